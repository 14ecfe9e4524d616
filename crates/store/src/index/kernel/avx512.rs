//! AVX-512 VNNI.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use core::arch::x86_64::*;
use std::ops::Range;

use super::{
    BatchMin, BoundTerms, CodeLine, FIFTH_WORDS, FifthRows, FineRows, FloatLine, FoundRow, GROUP_ROWS, Kernel,
    ProbeCodes, ProbeLine, RowSizes, Rows, TILE_LINES, TILE_PROBES, TileProbes, Tiles, avx2, group_bits, push_rows,
    scan_batch_by_tiles,
};

/// The kernel, if this processor can run it.
pub(super) fn available() -> Option<&'static Kernel> {
    let present = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma")
        && avx2::counts_bits();
    present.then(|| match amd_family() {
        Some(..=ZEN_4) => &AVX512_VNNI_ZEN_4,
        Some(_) => &AVX512_VNNI_AMD,
        None => &AVX512_VNNI,
    })
}

/// The family of Zen 4, the first with AVX-512.
pub(super) const ZEN_4: u32 = 0x19;

/// The family of a processor of AMD.
pub(super) fn amd_family() -> Option<u32> {
    let vendor = __cpuid(0);
    let is_amd = [vendor.ebx, vendor.edx, vendor.ecx].map(u32::to_le_bytes).concat() == b"AuthenticAMD";
    // Base and extended family: AMD's manual of CPUID, function 1.
    is_amd.then(|| __cpuid(1).eax).map(|eax| (eax >> 8 & 15) + (eax >> 20 & 255))
}

// The functions in this table are safe to call only where their features are: the table is private and handed out by
// `available` alone, which asks the processor first. `Kernel` has checked the lengths.
static AVX512_VNNI: Kernel = KERNEL;

/// The same, fetching in one step; see [`PREFETCH_ONCE_LINES`].
static AVX512_VNNI_AMD: Kernel = Kernel {
    // SAFETY: see above the table.
    scan: |rows, groups, wanted, probe, cutoff, found| unsafe {
        scan::<1>(rows, groups, wanted, probe, cutoff, found);
    },
    ..KERNEL
};

/// The same, leaving it to the processor: with either way of fetching ahead a search of a million rows of 128 dimensions
/// takes 5.0 to 5.3 ms there, without 3.7.
static AVX512_VNNI_ZEN_4: Kernel = Kernel {
    // SAFETY: see above the table.
    scan: |rows, groups, wanted, probe, cutoff, found| unsafe {
        scan::<0>(rows, groups, wanted, probe, cutoff, found);
    },
    ..KERNEL
};

/// See above [`AVX512_VNNI`].
pub(super) const KERNEL: Kernel = Kernel {
    name: "avx512-vnni",
    // SAFETY: see above the table.
    scan: |rows, groups, wanted, probe, cutoff, found| unsafe { scan::<2>(rows, groups, wanted, probe, cutoff, found) },
    // SAFETY: see above the table.
    scan_listed: |rows, list, probe, cutoff, found| unsafe { scan_listed(rows, list, probe, cutoff, found) },
    // SAFETY: see above the table.
    bit_sums: |rows, found, probe| unsafe { bit_sums(rows, found, probe) },
    // SAFETY: see above the table.
    refine: |rows, found, probe, cutoff, near| unsafe { refine(rows, found, probe, cutoff, near) },
    has_whole_tiles: true,
    has_tile_registers: false,
    batch_min: BatchMin { coarse: 5, finer: 10 },
    scan_batch: scan_batch_by_tiles,
    // SAFETY: see above the table.
    unpack: |rows, fine, tiles| unsafe { unpack(rows, fine, tiles) },
    // SAFETY: see above the table.
    scan_tiles: |tiles, probes, cutoffs, found| unsafe { scan_tiles(tiles, probes, cutoffs, found) },
    // SAFETY: see above the table.
    code_sum: |row, probe| unsafe { code_sum(row, probe) },
    // SAFETY: see above the table.
    dot: |a, b| unsafe { dot(a, b) },
    // SAFETY: see above the table.
    select_code: |values, code, rows| unsafe { select_code(values, code, rows) },
    // SAFETY: see above the table.
    select_byte: |values, bounds, rows| unsafe { select_byte(values, bounds, rows) },
    // SAFETY: see above the table.
    select_whole: |values, bounds, rows| unsafe { select_whole(values, bounds, rows) },
    // SAFETY: see above the table.
    select_real: |values, bounds, rows| unsafe { select_real(values, bounds, rows) },
    // SAFETY: see above the table.
    list: |rows, n_max, list| unsafe { avx2::list_bits(rows, n_max, list) },
};

/// How far ahead of the group at hand the coarse plane is fetched into the second cache: far enough that memory is never
/// waited for. Beyond 64 lines the distance hardly matters.
const PREFETCH_LINES: usize = 256;

/// How far ahead it is fetched on into the first cache.
const PREFETCH_NEAR_LINES: usize = 16;

/// How far ahead it is fetched into the first cache where one step does: on a Zen 5 (EPYC 9005) that alone takes 1.35 ms a
/// million rows of 128 dimensions (1.5 at 64 lines or 256), both steps 1.9, no step 1.85.
const PREFETCH_ONCE_LINES: usize = 128;

/// Rows whose sizes are fetched ahead.
const PREFETCH_SIZES: usize = 8 * GROUP_ROWS;

/// Rows of a list whose codes are fetched ahead of the row at hand.
const PREFETCH_LISTED: usize = 16;

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `rows` has the groups and `probe` as many lines as a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan<const FETCHES: usize>(
    rows: &Rows<'_>,
    groups: Range<usize>,
    wanted: &[u64],
    probe: &ProbeCodes,
    cutoff: f32,
    found: &mut Vec<FoundRow>,
) {
    // SAFETY: as of this function. The common lengths of a row are constants, so that its loop is unrolled.
    unsafe {
        match rows.n_lines {
            1 => scan_of::<1, FETCHES>(rows, groups, wanted, probe, cutoff, found),
            2 => scan_of::<2, FETCHES>(rows, groups, wanted, probe, cutoff, found),
            4 => scan_of::<4, FETCHES>(rows, groups, wanted, probe, cutoff, found),
            _ => scan_of::<0, FETCHES>(rows, groups, wanted, probe, cutoff, found),
        }
    }
}

/// With rows of `LINES` lines, or any number if that is 0. The coarse plane is fetched ahead in so many steps.
///
/// # Safety
/// As of [`scan`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan_of<const LINES: usize, const FETCHES: usize>(
    rows: &Rows<'_>,
    groups: Range<usize>,
    wanted: &[u64],
    probe: &ProbeCodes,
    cutoff: f32,
    found: &mut Vec<FoundRow>,
) {
    let n_lines = if LINES == 0 { rows.n_lines } else { LINES };
    let bounds = Bounds::new(&probe.terms, cutoff);
    for group in groups {
        let bits = group_bits(wanted, group);
        if bits == 0 {
            continue;
        }
        let first = group * GROUP_ROWS;
        // SAFETY: the group's rows and sizes are there.
        let (sums, mask) = unsafe {
            let start = rows.coarse.as_ptr().add(first * n_lines);
            // Beyond the plane's end the next one is fetched, which may be anywhere in memory. Fetching beyond the end of
            // that is allowed and harmless.
            let ahead = |n_lines_ahead: usize| match (first * n_lines + n_lines_ahead).checked_sub(rows.coarse.len()) {
                Some(beyond) => rows.next_coarse.as_ptr().wrapping_add(beyond),
                None => start.wrapping_add(n_lines_ahead),
            };
            match FETCHES {
                0 => {}
                1 => {
                    let far = ahead(PREFETCH_ONCE_LINES);
                    for line in 0..GROUP_ROWS * n_lines {
                        _mm_prefetch::<_MM_HINT_T0>(far.wrapping_add(line).cast());
                    }
                }
                _ => {
                    let (far, near) = (ahead(PREFETCH_LINES), ahead(PREFETCH_NEAR_LINES));
                    for line in 0..GROUP_ROWS * n_lines {
                        _mm_prefetch::<_MM_HINT_T1>(far.wrapping_add(line).cast());
                        _mm_prefetch::<_MM_HINT_T0>(near.wrapping_add(line).cast());
                    }
                }
            }
            let sizes = match (first + PREFETCH_SIZES).checked_sub(rows.sizes.len()) {
                Some(beyond) => rows.next_sizes.as_ptr().wrapping_add(beyond),
                None => rows.sizes.as_ptr().wrapping_add(first + PREFETCH_SIZES),
            };
            _mm_prefetch::<_MM_HINT_T0>(sizes.cast());
            let sums = sums_of_group::<LINES>(|lane| start.add(lane * n_lines), n_lines, &probe.lines);
            let sizes = _mm512_loadu_si512(rows.sizes.as_ptr().add(first).cast());
            (sums, bounds.reaching(sums, sizes) & bits)
        };
        if LINES != 1 {
            push_group(mask, first, sums, found);
        } else if mask != 0 {
            push_rows(mask, |lane| first + lane, &lanes(sums), found);
        }
    }
}

/// [`push_rows`] of the group from row `first`, without branches: with hundreds of dimensions every second group has a row
/// that its coarse bound leaves, and which one cannot be foreseen.
#[target_feature(enable = "avx512f")]
#[inline]
fn push_group(mask: u16, first: usize, sums: __m512i, found: &mut Vec<FoundRow>) {
    const { assert!(size_of::<FoundRow>() * GROUP_ROWS == 2 * size_of::<__m512i>()) };
    found.reserve(GROUP_ROWS);
    let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
    let rows = _mm512_maskz_compress_epi32(mask, _mm512_add_epi32(lanes, _mm512_set1_epi32(first as i32)));
    let sums = _mm512_maskz_compress_epi32(mask, sums);
    // Rows and sums in turn: lanes from 16 on are those of the sums.
    let (low, high) = (
        _mm512_setr_epi32(0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23),
        _mm512_setr_epi32(8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31),
    );
    // SAFETY: there is room for sixteen more, which are as long as two registers. A row that was found is its place and its
    // sum, in this order, of 32 bits each; as many are taken over as the mask has bits. The stores need no alignment.
    unsafe {
        let to: *mut __m512i = found.as_mut_ptr().add(found.len()).cast();
        _mm512_storeu_si512(to, _mm512_permutex2var_epi32(rows, low, sums));
        _mm512_storeu_si512(to.add(1), _mm512_permutex2var_epi32(rows, high, sums));
        found.set_len(found.len() + mask.count_ones() as usize);
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `rows` has the rows that were found and `probe` as many lines as a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn bit_sums(rows: &FifthRows<'_>, found: &[FoundRow], probe: &[ProbeLine]) -> [i32; GROUP_ROWS] {
    let n_words = rows.n_lines * FIFTH_WORDS;
    let ones = _mm512_set1_epi8(1);
    let mut quads = [_mm512_setzero_si512(); 4];
    for (quad, found) in quads.iter_mut().zip(found.chunks(4)) {
        let words: [*const u64; 4] = std::array::from_fn(|idx| {
            // A quad that is not full is filled up with its first row.
            let row = found[if idx < found.len() { idx } else { 0 }].row as usize;
            // SAFETY: the row is there.
            unsafe { rows.bits.as_ptr().add(row * n_words) }
        });
        let mut sums = [_mm512_setzero_si512(); 4];
        for word in 0..n_words {
            // SAFETY: `probe` has a register of codes for each word, aligned to 64 bytes.
            let codes = unsafe { _mm512_load_si512(probe.as_ptr().cast::<__m512i>().add(word)) };
            for (sum, words) in sums.iter_mut().zip(words) {
                // SAFETY: the row has so many words.
                let bits = unsafe { *words.add(word) };
                *sum = _mm512_dpbusd_epi32(*sum, ones, _mm512_maskz_mov_epi8(bits, codes));
            }
        }
        *quad = interleaved(sums);
    }
    lanes(folded(quads))
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `rows` has the rows that were found and `probe` as many lines as a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn refine(rows: &FineRows<'_>, found: &[FoundRow], probe: &ProbeCodes, cutoff: f32, near: &mut Vec<FoundRow>) {
    // SAFETY: as of this function. The common lengths of a row are constants, so that its loop is unrolled.
    unsafe {
        match rows.n_lines {
            1 => refine_of::<1>(rows, found, probe, cutoff, near),
            2 => refine_of::<2>(rows, found, probe, cutoff, near),
            4 => refine_of::<4>(rows, found, probe, cutoff, near),
            _ => refine_of::<0>(rows, found, probe, cutoff, near),
        }
    }
}

/// With rows of `LINES` lines, or any number if that is 0.
///
/// # Safety
/// As of [`refine`].
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn refine_of<const LINES: usize>(
    rows: &FineRows<'_>,
    found: &[FoundRow],
    probe: &ProbeCodes,
    cutoff: f32,
    near: &mut Vec<FoundRow>,
) {
    let bounds = Bounds::new(&probe.terms.of_whole_codes(), cutoff);
    let start = rows.fine.as_ptr();
    for chunk in found.chunks(GROUP_ROWS) {
        // A group that is not full is filled up with its first row.
        let of = |lane: usize| chunk[if lane < chunk.len() { lane } else { 0 }];
        let row = |lane: usize| of(lane).row as usize;
        let coarse: [i32; GROUP_ROWS] = std::array::from_fn(|lane| of(lane).sum);
        let sizes: [RowSizes; GROUP_ROWS] = std::array::from_fn(|lane| rows.whole_sizes(row(lane)));
        // SAFETY: the rows that were found are there; sums and sizes are sixteen numbers of 32 bits each.
        let (sums, mask) = unsafe {
            let fine = sums_of_group::<LINES>(|lane| start.add(row(lane) * rows.n_lines), rows.n_lines, &probe.lines);
            let coarse = _mm512_loadu_si512(coarse.as_ptr().cast());
            let sums = _mm512_add_epi32(_mm512_slli_epi32::<4>(coarse), fine);
            (sums, bounds.reaching(sums, _mm512_loadu_si512(sizes.as_ptr().cast())))
        };
        let mask = mask & (u16::MAX >> (GROUP_ROWS - chunk.len()));
        if mask != 0 {
            push_rows(mask, row, &lanes(sums), near);
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `rows` has the rows of the list and `probe` as many lines as a row.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan_listed(rows: &Rows<'_>, list: &[u16], probe: &ProbeCodes, cutoff: f32, found: &mut Vec<FoundRow>) {
    let n_lines = rows.n_lines;
    let bounds = Bounds::new(&probe.terms, cutoff);
    let start = rows.coarse.as_ptr();
    for (chunk_idx, chunk) in list.chunks(GROUP_ROWS).enumerate() {
        for &row in list.iter().skip(chunk_idx * GROUP_ROWS + PREFETCH_LISTED).take(GROUP_ROWS) {
            for line in 0..n_lines {
                _mm_prefetch::<_MM_HINT_T0>(start.wrapping_add(usize::from(row) * n_lines + line).cast());
            }
        }
        // A group that is not full is filled up with its first row.
        let row = |lane: usize| usize::from(chunk[if lane < chunk.len() { lane } else { 0 }]);
        let sizes: [RowSizes; GROUP_ROWS] = std::array::from_fn(|lane| rows.sizes[row(lane)]);
        // SAFETY: the rows of the list are there; `sizes` is sixteen numbers of 32 bits.
        let (sums, mask) = unsafe {
            let sums = sums_of_group::<0>(|lane| start.add(row(lane) * n_lines), n_lines, &probe.lines);
            (sums, bounds.reaching(sums, _mm512_loadu_si512(sizes.as_ptr().cast())))
        };
        let mask = mask & (u16::MAX >> (GROUP_ROWS - chunk.len()));
        if mask != 0 {
            push_rows(mask, row, &lanes(sums), found);
        }
    }
}

/// Sums of sixteen rows, row `i` in lane `i`.
///
/// # Safety
/// The processor has AVX-512 F, BW and VNNI; `row` gives the first of `n_lines` lines of each row, `probe` has as many,
/// and `LINES` is that number or 0.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn sums_of_group<const LINES: usize>(
    row: impl Fn(usize) -> *const CodeLine,
    n_lines: usize,
    probe: &[ProbeLine],
) -> __m512i {
    let n_lines = if LINES == 0 { n_lines } else { LINES };
    let low_half = _mm512_set1_epi8(15);
    let mut quads = [_mm512_setzero_si512(); 4];
    // Four rows at a time share the probe's registers; their sums are interleaved as they are added up.
    for (quad_idx, quad) in quads.iter_mut().enumerate() {
        let starts: [*const CodeLine; 4] = std::array::from_fn(|idx| row(4 * quad_idx + idx));
        let mut sums = [_mm512_setzero_si512(); 4];
        for line in 0..n_lines {
            // SAFETY: `probe` has `n_lines` lines of two registers, aligned to 64 bytes.
            let (low, high) = unsafe {
                let probe: *const __m512i = probe.as_ptr().add(line).cast();
                (_mm512_load_si512(probe), _mm512_load_si512(probe.add(1)))
            };
            for (sum, start) in sums.iter_mut().zip(starts) {
                // SAFETY: the row has `n_lines` lines of 64 bytes, aligned to 64.
                let codes = unsafe { _mm512_load_si512(start.add(line).cast()) };
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_and_si512(codes, low_half), low);
                *sum = _mm512_dpbusd_epi32(*sum, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low_half), high);
            }
        }
        *quad = interleaved(sums);
    }
    folded(quads)
}

/// The first half of adding up: the sums of four rows, each still in sixteen parts, become four parts of each.
#[target_feature(enable = "avx512f")]
#[inline]
fn interleaved(sums: [__m512i; 4]) -> __m512i {
    let pair = |a, b| _mm512_add_epi32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
    let (first, second) = (pair(sums[0], sums[1]), pair(sums[2], sums[3]));
    _mm512_add_epi32(_mm512_unpacklo_epi64(first, second), _mm512_unpackhi_epi64(first, second))
}

/// The second half, of sixteen rows: row `i` comes into lane `i`.
#[target_feature(enable = "avx512f")]
#[inline]
fn folded(quads: [__m512i; 4]) -> __m512i {
    // Each quarter of `quads[i]` now holds a part of the sums of rows 4i..4i + 4.
    let halves = |a, b| {
        _mm512_add_epi32(_mm512_shuffle_i32x4::<0b01_00_01_00>(a, b), _mm512_shuffle_i32x4::<0b11_10_11_10>(a, b))
    };
    let (first, second) = (halves(quads[0], quads[1]), halves(quads[2], quads[3]));
    _mm512_add_epi32(
        _mm512_shuffle_i32x4::<0b10_00_10_00>(first, second),
        _mm512_shuffle_i32x4::<0b11_01_11_01>(first, second),
    )
}

/// The coarse bound and the cutoff in registers.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    offset: __m512i,
    scale: __m512,
    residual_weight: __m512,
    slack: __m512,
    cutoff: __m512,
}

impl Bounds {
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn new(terms: &BoundTerms, cutoff: f32) -> Self {
        Self {
            offset: _mm512_set1_epi32(15 * terms.code_sum),
            scale: _mm512_set1_ps(8.0 * terms.scale),
            residual_weight: _mm512_set1_ps(terms.residual_weight),
            slack: _mm512_set1_ps(terms.slack),
            cutoff: _mm512_set1_ps(cutoff),
        }
    }

    /// The rows whose bound is at least the cutoff.
    #[target_feature(enable = "avx512f")]
    #[inline]
    pub(super) fn reaching(&self, sums: __m512i, sizes: __m512i) -> u16 {
        let doubled = _mm512_cvtepi32_ps(_mm512_sub_epi32(_mm512_add_epi32(sums, sums), self.offset));
        let scales = _mm512_castsi512_ps(_mm512_and_si512(sizes, _mm512_set1_epi32(0xffff_0000_u32 as i32)));
        let residuals = _mm512_castsi512_ps(_mm512_slli_epi32::<16>(sizes));
        let slack = _mm512_fmadd_ps(residuals, self.residual_weight, self.slack);
        let bounds = _mm512_fmadd_ps(doubled, _mm512_mul_ps(scales, self.scale), slack);
        _mm512_cmp_ps_mask::<_CMP_GE_OQ>(bounds, self.cutoff)
    }
}

#[target_feature(enable = "avx512f")]
#[inline]
pub(super) fn lanes(sums: __m512i) -> [i32; GROUP_ROWS] {
    let mut out = [0; GROUP_ROWS];
    // SAFETY: sixteen i32 are as wide as the register; the store needs no alignment.
    unsafe { _mm512_storeu_si512(out.as_mut_ptr().cast(), sums) };
    out
}

/// # Safety
/// The processor has AVX-512 F and BW; `rows` and `fine` have as many groups as `tiles` has room for.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn unpack(rows: &Rows<'_>, fine: &[CodeLine], tiles: &mut [CodeLine]) {
    let n_lines = rows.n_lines;
    let low_half = _mm512_set1_epi8(15);
    for (group, tile) in tiles.chunks_exact_mut(n_lines * TILE_LINES).enumerate() {
        for (line, tile) in tile.chunks_exact_mut(TILE_LINES).enumerate() {
            let columns = |plane: &[CodeLine]| {
                // SAFETY: the group's rows are there; a line is 64 bytes, aligned to 64.
                transposed(std::array::from_fn(|lane| unsafe {
                    _mm512_load_si512(plane.as_ptr().add((group * GROUP_ROWS + lane) * n_lines + line).cast())
                }))
            };
            for (word, (coarse, fine)) in columns(rows.coarse).into_iter().zip(columns(fine)).enumerate() {
                let upper = |codes| _mm512_andnot_si512(low_half, codes);
                let low = _mm512_or_si512(upper(_mm512_slli_epi16::<4>(coarse)), _mm512_and_si512(fine, low_half));
                let high = _mm512_or_si512(upper(coarse), _mm512_and_si512(_mm512_srli_epi16::<4>(fine), low_half));
                // SAFETY: a tile line is 64 bytes, aligned to 64.
                unsafe {
                    _mm512_store_si512(tile[word].0.as_mut_ptr().cast(), low);
                    _mm512_store_si512(tile[TILE_LINES / 2 + word].0.as_mut_ptr().cast(), high);
                }
            }
        }
    }
}

/// Sixteen rows of sixteen words become sixteen columns.
#[target_feature(enable = "avx512f")]
#[inline]
fn transposed(rows: [__m512i; 16]) -> [__m512i; 16] {
    // Within each quarter of the registers first: quarter `q` of `fours[4a + b]` is words 4q + b of rows 4a..4a + 4.
    let fours: [__m512i; 16] = {
        let mut out = [_mm512_setzero_si512(); 16];
        for a in 0..4 {
            let (r0, r1, r2, r3) = (rows[4 * a], rows[4 * a + 1], rows[4 * a + 2], rows[4 * a + 3]);
            let (low_01, high_01) = (_mm512_unpacklo_epi32(r0, r1), _mm512_unpackhi_epi32(r0, r1));
            let (low_23, high_23) = (_mm512_unpacklo_epi32(r2, r3), _mm512_unpackhi_epi32(r2, r3));
            out[4 * a] = _mm512_unpacklo_epi64(low_01, low_23);
            out[4 * a + 1] = _mm512_unpackhi_epi64(low_01, low_23);
            out[4 * a + 2] = _mm512_unpacklo_epi64(high_01, high_23);
            out[4 * a + 3] = _mm512_unpackhi_epi64(high_01, high_23);
        }
        out
    };
    let mut columns = [_mm512_setzero_si512(); 16];
    for b in 0..4 {
        let [a0, a1, a2, a3] = [fours[b], fours[4 + b], fours[8 + b], fours[12 + b]];
        let (front_01, back_01) =
            (_mm512_shuffle_i32x4::<0b01_00_01_00>(a0, a1), _mm512_shuffle_i32x4::<0b11_10_11_10>(a0, a1));
        let (front_23, back_23) =
            (_mm512_shuffle_i32x4::<0b01_00_01_00>(a2, a3), _mm512_shuffle_i32x4::<0b11_10_11_10>(a2, a3));
        columns[b] = _mm512_shuffle_i32x4::<0b10_00_10_00>(front_01, front_23);
        columns[4 + b] = _mm512_shuffle_i32x4::<0b11_01_11_01>(front_01, front_23);
        columns[8 + b] = _mm512_shuffle_i32x4::<0b10_00_10_00>(back_01, back_23);
        columns[12 + b] = _mm512_shuffle_i32x4::<0b11_01_11_01>(back_01, back_23);
    }
    columns
}

/// Groups whose sums are in registers at the same time: two share each broadcast of a probe's codes.
const TILE_GROUPS: usize = 2;

/// # Safety
/// The processor has AVX-512 F, BW and VNNI; lengths are as `scan_batch_by_tiles` makes them.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn scan_tiles(
    tiles: &Tiles<'_>,
    probes: &TileProbes,
    cutoffs: &[f32; TILE_PROBES],
    found: &mut [Vec<FoundRow>],
) {
    let n_groups = tiles.sizes.len() / GROUP_ROWS;
    let mut group = 0;
    // SAFETY: as of this function.
    unsafe {
        while group + TILE_GROUPS <= n_groups {
            scan_tiles_of::<TILE_GROUPS>(tiles, group, probes, cutoffs, found);
            group += TILE_GROUPS;
        }
        while group < n_groups {
            scan_tiles_of::<1>(tiles, group, probes, cutoffs, found);
            group += 1;
        }
    }
}

/// # Safety
/// As of [`scan_tiles`], with `GROUPS` groups from `group`.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
#[inline]
unsafe fn scan_tiles_of<const GROUPS: usize>(
    tiles: &Tiles<'_>,
    group: usize,
    probes: &TileProbes,
    cutoffs: &[f32; TILE_PROBES],
    found: &mut [Vec<FoundRow>],
) {
    let n_tile_lines = probes.quads.len();
    let mut sums = [[_mm512_setzero_si512(); TILE_PROBES]; GROUPS];
    // SAFETY: the groups' tiles are there; a line is 64 bytes, aligned to 64.
    unsafe {
        let start = tiles.lines.as_ptr().add(group * n_tile_lines);
        for (line, quads) in probes.quads.iter().enumerate() {
            let codes: [__m512i; GROUPS] =
                std::array::from_fn(|idx| _mm512_load_si512(start.add(idx * n_tile_lines + line).cast()));
            for (probe_idx, quad) in quads.iter().enumerate() {
                let quad = _mm512_set1_epi32(i32::from_le_bytes(quad.map(|code| code as u8)));
                for (sums, codes) in sums.iter_mut().zip(codes) {
                    sums[probe_idx] = _mm512_dpbusd_epi32(sums[probe_idx], codes, quad);
                }
            }
        }
    }
    let first = group * GROUP_ROWS;
    // SAFETY: sixteen sizes of 32 bits follow for each group; the loads need no alignment.
    let sizes: [__m512i; GROUPS] = std::array::from_fn(|idx| unsafe {
        _mm512_loadu_si512(tiles.sizes.as_ptr().add(first + idx * GROUP_ROWS).cast())
    });
    for probe_idx in 0..TILE_PROBES {
        let bounds = Bounds::new(&probes.terms[probe_idx], cutoffs[probe_idx]);
        let masks: [u16; GROUPS] = std::array::from_fn(|idx| bounds.reaching(sums[idx][probe_idx], sizes[idx]));
        // Nearly always none.
        if masks.iter().fold(0, |any, mask| any | mask) == 0 || probe_idx >= probes.n_probes {
            continue;
        }
        for (idx, mask) in masks.into_iter().enumerate() {
            let row = |lane| tiles.first_row + first + idx * GROUP_ROWS + lane;
            push_rows(mask, row, &lanes(sums[idx][probe_idx]), &mut found[probe_idx]);
        }
    }
}

/// # Safety
/// The processor has AVX-512 F, BW and VNNI.
#[target_feature(enable = "avx512f,avx512bw,avx512vnni")]
unsafe fn code_sum(row: &[CodeLine], probe: &[ProbeLine]) -> i32 {
    let low_half = _mm512_set1_epi8(15);
    let mut sum = _mm512_setzero_si512();
    for (line, probe) in row.iter().zip(probe) {
        // SAFETY: a line is 64 bytes, a probe's line twice as many, both aligned to 64.
        let (codes, low, high) = unsafe {
            let probe: *const __m512i = probe.0.as_ptr().cast();
            (_mm512_load_si512(line.0.as_ptr().cast()), _mm512_load_si512(probe), _mm512_load_si512(probe.add(1)))
        };
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(codes, low_half), low);
        sum = _mm512_dpbusd_epi32(sum, _mm512_and_si512(_mm512_srli_epi16::<4>(codes), low_half), high);
    }
    _mm512_reduce_add_epi32(sum)
}

/// # Safety
/// The processor has AVX-512 F, AVX2 and FMA.
#[target_feature(enable = "avx512f,avx2,fma")]
unsafe fn dot(a: &[FloatLine], b: &[FloatLine]) -> f64 {
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
    avx2::fold_four(_mm256_add_pd(_mm512_castpd512_pd256(eight), _mm512_extractf64x4_pd::<1>(eight)))
}

/// Whole words of 64 values by `select`, which gets their addresses; the rest by `rest`.
#[inline(always)]
fn select_words<T>(values: &[T], rows: &mut [u64], select: impl Fn(*const T) -> u64, rest: impl Fn(&[T], &mut [u64])) {
    let (words, left) = values.as_chunks::<64>();
    let n_words = words.len().min(rows.len());
    for (row_bits, word) in rows.iter_mut().zip(words) {
        *row_bits = select(word.as_ptr());
    }
    rest(left, &mut rows[n_words..]);
}

/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn select_code(values: &[u32], code: u32, rows: &mut [u64]) {
    let wanted = _mm512_set1_epi32(code as i32);
    let select = |values: *const u32| {
        (0..4).fold(0, |word, idx| {
            // SAFETY: 64 values follow, of which sixteen fill the register; the load needs no alignment.
            let values = unsafe { _mm512_loadu_si512(values.add(16 * idx).cast()) };
            word | u64::from(_mm512_cmpeq_epi32_mask(values, wanted)) << (16 * idx)
        })
    };
    select_words(values, rows, select, |values, rows| super::select_code(values, code, rows));
}

/// # Safety
/// The processor has AVX-512 F and BW.
#[target_feature(enable = "avx512f,avx512bw")]
unsafe fn select_byte(values: &[u8], (min, max): (u8, u8), rows: &mut [u64]) {
    let (least, greatest) = (_mm512_set1_epi8(min.cast_signed()), _mm512_set1_epi8(max.cast_signed()));
    let select = |values: *const u8| {
        // SAFETY: 64 values follow, which fill the register; the load needs no alignment.
        let values = unsafe { _mm512_loadu_si512(values.cast()) };
        _mm512_cmpge_epu8_mask(values, least) & _mm512_cmple_epu8_mask(values, greatest)
    };
    select_words(values, rows, select, |values, rows| super::select_byte(values, (min, max), rows));
}

/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn select_whole(values: &[i64], (min, max): (i64, i64), rows: &mut [u64]) {
    let (least, greatest) = (_mm512_set1_epi64(min), _mm512_set1_epi64(max));
    let select = |values: *const i64| {
        (0..8).fold(0, |word, idx| {
            // SAFETY: 64 values follow, of which eight fill the register; the load needs no alignment.
            let values = unsafe { _mm512_loadu_si512(values.add(8 * idx).cast()) };
            let mask = _mm512_cmpge_epi64_mask(values, least) & _mm512_cmple_epi64_mask(values, greatest);
            word | u64::from(mask) << (8 * idx)
        })
    };
    select_words(values, rows, select, |values, rows| super::select_whole(values, (min, max), rows));
}

/// # Safety
/// The processor has AVX-512 F.
#[target_feature(enable = "avx512f")]
unsafe fn select_real(values: &[f64], (min, max): (f64, f64), rows: &mut [u64]) {
    let (least, greatest) = (_mm512_set1_pd(min), _mm512_set1_pd(max));
    let select = |values: *const f64| {
        (0..8).fold(0, |word, idx| {
            // SAFETY: 64 values follow, of which eight fill the register; the load needs no alignment.
            let values = unsafe { _mm512_loadu_pd(values.add(8 * idx)) };
            let mask =
                _mm512_cmp_pd_mask::<_CMP_GE_OQ>(values, least) & _mm512_cmp_pd_mask::<_CMP_LE_OQ>(values, greatest);
            word | u64::from(mask) << (8 * idx)
        })
    };
    select_words(values, rows, select, |values, rows| super::select_real(values, (min, max), rows));
}
