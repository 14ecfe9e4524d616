//! AVX-512 VNNI, AVX-VNNI and AVX2.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use core::arch::x86_64::*;

use super::{BLOCK_ROWS, BlockScales, BoundTerms, CodeLine, FloatLine, Kernel, Quad, Sums};

/// The kernels this processor can run, fastest first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernel> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma");
    let avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni");
    let avx_vnni = avx2 && is_x86_feature_detected!("avxvnni");
    [(avx512 && avx2, &AVX512_VNNI), (avx_vnni, &AVX_VNNI), (avx2, &AVX2)]
        .into_iter()
        .filter_map(|(present, kernel)| present.then_some(kernel))
}

// The functions in these tables are safe to call only where their features are: the tables are private and handed out
// by `available` alone, which asks the processor first.

static AVX512_VNNI: Kernel = Kernel {
    name: "avx512-vnni",
    // SAFETY: see above the tables.
    sums_1: |block, probes, sums| unsafe { sums_avx512(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_4: |block, probes, sums| unsafe { sums_avx512(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_8: |block, probes, sums| unsafe { sums_avx512(block, probes, sums) },
    // SAFETY: see above the tables.
    reaching: |sums, scales, terms, cutoff| unsafe { reaching_avx512(sums, scales, terms, cutoff) },
    // SAFETY: see above the tables.
    dot: |a, b| unsafe { dot_avx512(a, b) },
};

static AVX_VNNI: Kernel = Kernel {
    name: "avx-vnni",
    // SAFETY: see above the tables.
    sums_1: |block, probes, sums| unsafe { sums_avx_vnni(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_4: |block, probes, sums| unsafe { sums_avx_vnni(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_8: |block, probes, sums| unsafe { sums_avx_vnni(block, probes, sums) },
    // SAFETY: see above the tables.
    reaching: |sums, scales, terms, cutoff| unsafe { reaching_avx2(sums, scales, terms, cutoff) },
    // SAFETY: see above the tables.
    dot: |a, b| unsafe { dot_avx2(a, b) },
};

static AVX2: Kernel = Kernel {
    name: "avx2",
    // SAFETY: see above the tables.
    sums_1: |block, probes, sums| unsafe { sums_avx2(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_4: |block, probes, sums| unsafe { sums_avx2(block, probes, sums) },
    // SAFETY: see above the tables.
    sums_8: |block, probes, sums| unsafe { sums_avx2(block, probes, sums) },
    // SAFETY: see above the tables.
    reaching: |sums, scales, terms, cutoff| unsafe { reaching_avx2(sums, scales, terms, cutoff) },
    // SAFETY: see above the tables.
    dot: |a, b| unsafe { dot_avx2(a, b) },
};

#[inline]
fn bits(quad: Quad) -> i32 {
    i32::from_le_bytes(quad.map(|code| code as u8))
}

/// Lines that every probe has a quad for.
#[inline]
fn n_common<const P: usize>(block: &[CodeLine], probes: &[&[Quad]; P]) -> usize {
    probes.iter().fold(block.len(), |n_lines, probe| n_lines.min(probe.len()))
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn sums_avx512<const P: usize>(block: &[CodeLine], probes: [&[Quad]; P], sums: &mut [Sums; P]) {
    let n_lines = n_common(block, &probes);
    let block = &block[..n_lines];
    let probes = probes.map(|probe| &probe[..n_lines]);
    let mut totals = [_mm512_setzero_si512(); P];
    let mut line_idx = 0;
    if P == 1 {
        // One chain of additions would wait for itself: keep four going.
        let mut chains = [_mm512_setzero_si512(); 4];
        while line_idx + 4 <= n_lines {
            for (chain_idx, chain) in chains.iter_mut().enumerate() {
                // SAFETY: a line is 64 bytes, aligned to 64.
                let codes = unsafe { _mm512_load_si512(block[line_idx + chain_idx].0.as_ptr().cast()) };
                *chain = _mm512_dpbusd_epi32(*chain, codes, _mm512_set1_epi32(bits(probes[0][line_idx + chain_idx])));
            }
            line_idx += 4;
        }
        totals[0] = _mm512_add_epi32(_mm512_add_epi32(chains[0], chains[1]), _mm512_add_epi32(chains[2], chains[3]));
    }
    while line_idx < n_lines {
        // SAFETY: a line is 64 bytes, aligned to 64.
        let codes = unsafe { _mm512_load_si512(block[line_idx].0.as_ptr().cast()) };
        for (total, probe) in totals.iter_mut().zip(&probes) {
            *total = _mm512_dpbusd_epi32(*total, codes, _mm512_set1_epi32(bits(probe[line_idx])));
        }
        line_idx += 1;
    }
    for (sums, total) in sums.iter_mut().zip(totals) {
        // SAFETY: `Sums` is sixteen i32, as wide as the register; the store needs no alignment.
        unsafe { _mm512_storeu_si512(sums.as_mut_ptr().cast(), total) };
    }
}

/// # Safety
/// The processor has AVX2 and AVX-VNNI.
#[target_feature(enable = "avx2,avxvnni")]
unsafe fn sums_avx_vnni<const P: usize>(block: &[CodeLine], probes: [&[Quad]; P], sums: &mut [Sums; P]) {
    let n_lines = n_common(block, &probes);
    let probes = probes.map(|probe| &probe[..n_lines]);
    // Half a block at a time, so that eight sums stay in sixteen registers; the second walk finds it in the cache.
    for first_row in (0..BLOCK_ROWS).step_by(8) {
        let mut totals = [_mm256_setzero_si256(); P];
        for (line_idx, line) in block[..n_lines].iter().enumerate() {
            let half: &[u8; 32] = line.0[first_row * 4..][..32].try_into().expect("half a line is 32 bytes");
            // SAFETY: 32 bytes are readable at `half`; a half line is aligned to 32.
            let codes = unsafe { _mm256_load_si256(half.as_ptr().cast()) };
            for (total, probe) in totals.iter_mut().zip(&probes) {
                *total = _mm256_dpbusd_avx_epi32(*total, codes, _mm256_set1_epi32(bits(probe[line_idx])));
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            let half: &mut [i32; 8] = (&mut sums[first_row..][..8]).try_into().expect("eight rows");
            // SAFETY: `half` is eight i32, as wide as the register; the store needs no alignment.
            unsafe { _mm256_storeu_si256(half.as_mut_ptr().cast(), total) };
        }
    }
}

/// # Safety
/// The processor has AVX2.
#[target_feature(enable = "avx2")]
unsafe fn sums_avx2<const P: usize>(block: &[CodeLine], probes: [&[Quad]; P], sums: &mut [Sums; P]) {
    let n_lines = n_common(block, &probes);
    let probes = probes.map(|probe| &probe[..n_lines]);
    // `maddubs` would saturate at 16 bits (255 × 127 × 2), so codes are widened to 16 bits first. A quarter of a line
    // (four rows) then fills a register, and each row's sum is in two neighbouring lanes.
    for first_row in (0..BLOCK_ROWS).step_by(4) {
        let mut totals = [_mm256_setzero_si256(); P];
        for (line_idx, line) in block[..n_lines].iter().enumerate() {
            let quarter: &[u8; 16] = line.0[first_row * 4..][..16].try_into().expect("a quarter line is 16 bytes");
            // SAFETY: 16 bytes are readable at `quarter`; a quarter line is aligned to 16.
            let codes = _mm256_cvtepu8_epi16(unsafe { _mm_load_si128(quarter.as_ptr().cast()) });
            for (total, probe) in totals.iter_mut().zip(&probes) {
                let quad = _mm256_cvtepi8_epi16(_mm_set1_epi32(bits(probe[line_idx])));
                *total = _mm256_add_epi32(*total, _mm256_madd_epi16(codes, quad));
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            // Lanes r0 r0 r1 r1 | r2 r2 r3 r3 become r0 r1 .. .. | r2 r3 .. .., then r0 r1 r2 r3.
            let pairs = _mm256_hadd_epi32(total, total);
            let rows = _mm256_castsi256_si128(_mm256_permute4x64_epi64::<0b00_00_10_00>(pairs));
            let quarter: &mut [i32; 4] = (&mut sums[first_row..][..4]).try_into().expect("four rows");
            // SAFETY: `quarter` is four i32, as wide as the register; the store needs no alignment.
            unsafe { _mm_storeu_si128(quarter.as_mut_ptr().cast(), rows) };
        }
    }
}

/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn reaching_avx512(sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) -> u16 {
    // SAFETY: all three are sixteen numbers of 32 bits, as wide as the register; the loads need no alignment.
    let (sums, scales, residuals) = unsafe {
        (
            _mm512_loadu_si512(sums.as_ptr().cast()),
            _mm512_loadu_ps(scales.scales.as_ptr()),
            _mm512_loadu_ps(scales.residuals.as_ptr()),
        )
    };
    let sums = _mm512_cvtepi32_ps(_mm512_sub_epi32(sums, _mm512_set1_epi32(terms.sum_offset)));
    let slack = _mm512_fmadd_ps(residuals, _mm512_set1_ps(terms.residual_weight), _mm512_set1_ps(terms.slack));
    let bounds = _mm512_fmadd_ps(sums, _mm512_mul_ps(scales, _mm512_set1_ps(terms.scale)), slack);
    _mm512_cmp_ps_mask::<_CMP_GE_OQ>(bounds, _mm512_set1_ps(cutoff))
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn reaching_avx2(sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) -> u16 {
    let mut rows = 0;
    for first_row in (0..BLOCK_ROWS).step_by(8) {
        // SAFETY: all three have sixteen numbers of 32 bits, of which eight follow `first_row` (0 or 8) and fill the
        // register; the loads need no alignment.
        let (sums, scales, residuals) = unsafe {
            (
                _mm256_loadu_si256(sums.as_ptr().add(first_row).cast()),
                _mm256_loadu_ps(scales.scales.as_ptr().add(first_row)),
                _mm256_loadu_ps(scales.residuals.as_ptr().add(first_row)),
            )
        };
        let sums = _mm256_cvtepi32_ps(_mm256_sub_epi32(sums, _mm256_set1_epi32(terms.sum_offset)));
        let slack = _mm256_fmadd_ps(residuals, _mm256_set1_ps(terms.residual_weight), _mm256_set1_ps(terms.slack));
        let bounds = _mm256_fmadd_ps(sums, _mm256_mul_ps(scales, _mm256_set1_ps(terms.scale)), slack);
        let reaching = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(bounds, _mm256_set1_ps(cutoff)));
        rows |= (reaching as u16) << first_row;
    }
    rows
}

/// # Safety
/// The processor has AVX-512 F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn dot_avx512(a: &[FloatLine], b: &[FloatLine]) -> f64 {
    let (mut low, mut high) = (_mm512_setzero_pd(), _mm512_setzero_pd());
    for (a, b) in a.iter().zip(b) {
        let (a, b) = (a.0.as_ptr(), b.0.as_ptr());
        // SAFETY: a line is sixteen f32, aligned to 64 bytes.
        let (a_low, a_high) = unsafe { (_mm256_load_ps(a), _mm256_load_ps(a.add(8))) };
        // SAFETY: as above.
        let (b_low, b_high) = unsafe { (_mm256_load_ps(b), _mm256_load_ps(b.add(8))) };
        low = _mm512_fmadd_pd(_mm512_cvtps_pd(a_low), _mm512_cvtps_pd(b_low), low);
        high = _mm512_fmadd_pd(_mm512_cvtps_pd(a_high), _mm512_cvtps_pd(b_high), high);
    }
    let eight = _mm512_add_pd(low, high);
    fold_four(_mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd::<1>(eight)))
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn dot_avx2(a: &[FloatLine], b: &[FloatLine]) -> f64 {
    let mut sums = [_mm256_setzero_pd(); 4];
    for (a, b) in a.iter().zip(b) {
        for (quarter, sum) in sums.iter_mut().enumerate() {
            let (a, b) = (a.0.as_ptr(), b.0.as_ptr());
            // SAFETY: a line is sixteen f32, aligned to 64 bytes, and `quarter` is below 4.
            let (a, b) = unsafe { (_mm_load_ps(a.add(quarter * 4)), _mm_load_ps(b.add(quarter * 4))) };
            *sum = _mm256_fmadd_pd(_mm256_cvtps_pd(a), _mm256_cvtps_pd(b), *sum);
        }
    }
    fold_four(_mm256_add_pd(_mm256_add_pd(sums[0], sums[2]), _mm256_add_pd(sums[1], sums[3])))
}

/// Upper half to lower half, twice, as the definition says.
#[target_feature(enable = "avx2")]
fn fold_four(four: __m256d) -> f64 {
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}
