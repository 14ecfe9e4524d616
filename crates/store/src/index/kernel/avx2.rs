//! AVX2, and AVX-VNNI where the processor has it.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use core::arch::x86_64::*;

use super::{
    BatchMin, BoundTerms, CodeLine, FloatLine, GROUP_ROWS, Kernel, ProbeLine, RowSizes, TILE_PROBES, bit_sums_by_bit,
    refine_by_row, scan_batch_by_tiles, scan_by_group, scan_list_by_row, scan_tiles_by_group, select_byte, select_code,
    select_real, select_whole, unpack_coarse_by_word,
};

/// The kernels this processor can run, fastest first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernel> {
    let avx2 = is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && counts_bits();
    let avx_vnni = avx2 && is_x86_feature_detected!("avxvnni");
    [(avx_vnni, &with_vnni::KERNEL), (avx2, &plain::KERNEL)]
        .into_iter()
        .filter_map(|(present, kernel)| present.then_some(kernel))
}

/// Whether [`list_bits`] may be called: every processor with AVX2 can.
pub(super) fn counts_bits() -> bool {
    is_x86_feature_detected!("bmi1") && is_x86_feature_detected!("popcnt")
}

/// # Safety
/// The processor has BMI1 and `popcnt`.
#[target_feature(enable = "bmi1,popcnt")]
pub(super) unsafe fn list_bits(rows: &[u64], n_max: usize, list: &mut Vec<u16>) -> usize {
    super::list_bits(rows, n_max, list)
}

/// Adds to each 32-bit lane the products of its four codes (0 to 15) with the probe's.
#[target_feature(enable = "avx2")]
#[inline]
fn add_products(sums: __m256i, codes: __m256i, probe: __m256i) -> __m256i {
    // A pair of products is at most 2 × 15 × 127, which 16 bits hold.
    _mm256_add_epi32(sums, _mm256_madd_epi16(_mm256_maddubs_epi16(codes, probe), _mm256_set1_epi16(1)))
}

#[target_feature(enable = "avx2,avxvnni")]
#[inline]
fn add_products_vnni(sums: __m256i, codes: __m256i, probe: __m256i) -> __m256i {
    _mm256_dpbusd_avx_epi32(sums, codes, probe)
}

/// A kernel of 256-bit registers around an instruction that adds products.
macro_rules! kernel_of_256_bits {
    ($module:ident, $name:literal, $features:literal, $add_products:ident) => {
        mod $module {
            use super::*;

            // The functions in this table are safe to call only where their features are: it is handed out by
            // `available` alone, which asks the processor first. `Kernel` has checked the lengths.
            pub(super) static KERNEL: Kernel = Kernel {
                name: $name,
                // SAFETY: see above the table.
                scan: |rows, groups, wanted, probe, cutoff, found| unsafe {
                    scan((rows, groups, wanted), (probe, cutoff, found));
                },
                // SAFETY: see above the table.
                scan_listed: |rows, list, probe, cutoff, found| unsafe {
                    scan_listed((rows, list), (probe, cutoff, found));
                },
                // SAFETY: see above the table.
                bit_sums: |rows, found, probe| unsafe { bit_sums(rows, found, probe) },
                // SAFETY: see above the table.
                refine: |rows, found, probe, cutoff, near| unsafe { refine((rows, found), (probe, cutoff, near)) },
                has_whole_tiles: false,
                has_tile_registers: false,
                batch_min: BatchMin { coarse: 4, finer: 4 },
                scan_batch: scan_batch_by_tiles,
                unpack: unpack_coarse_by_word,
                // SAFETY: see above the table.
                scan_tiles: |tiles, probes, cutoffs, found| unsafe {
                    scan_tiles(tiles, (probes, cutoffs, found));
                },
                // SAFETY: see above the table.
                code_sum: |row, probe| unsafe { code_sum(row, probe) },
                // SAFETY: see above the table.
                dot: |a, b| unsafe { dot(a, b) },
                select_byte,
                select_code,
                select_whole,
                select_real,
                // SAFETY: see above the table.
                list: |rows, n_max, list| unsafe { list_bits(rows, n_max, list) },
            };

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            unsafe fn scan(what: ScanOf<'_>, probe: ScanFor<'_>) {
                // SAFETY: the processor has the features.
                scan_by_group(
                    what,
                    probe,
                    |row, probe| unsafe { code_sum(row, probe) },
                    |sums, sizes, terms, cutoff| {
                        // SAFETY: as above.
                        unsafe { reaching(sums, sizes, terms, cutoff) }
                    },
                );
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            unsafe fn scan_listed(what: (&Rows<'_>, &[u16]), probe: ScanFor<'_>) {
                // SAFETY: the processor has the features.
                scan_list_by_row(what, probe, |row, probe| unsafe { code_sum(row, probe) });
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            unsafe fn bit_sums(rows: &FifthRows<'_>, found: &[FoundRow], probe: &[ProbeLine]) -> [i32; GROUP_ROWS] {
                bit_sums_by_bit(rows, found, probe)
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            unsafe fn refine(what: (&FineRows<'_>, &[FoundRow]), probe: ScanFor<'_>) {
                // SAFETY: the processor has the features.
                refine_by_row(what, probe, |row, probe| unsafe { code_sum(row, probe) });
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            unsafe fn scan_tiles(tiles: &Tiles<'_>, probes: TilesFor<'_>) {
                // SAFETY: the processor has the features.
                scan_tiles_by_group(
                    tiles,
                    probes,
                    |tile, quads| unsafe { tile_sums(tile, quads) },
                    |sums, sizes, terms, cutoff| {
                        // SAFETY: as above.
                        unsafe { reaching(sums, sizes, terms, cutoff) }
                    },
                );
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn code_sum(row: &[CodeLine], probe: &[ProbeLine]) -> i32 {
                let low_half = _mm256_set1_epi8(15);
                let mut sums = [_mm256_setzero_si256(); 2];
                for (line, probe) in row.iter().zip(probe) {
                    for (half, sum) in sums.iter_mut().enumerate() {
                        // SAFETY: half a line is 32 bytes, aligned to 32; a probe's line has two for each.
                        let (codes, low, high) = unsafe {
                            let probe: *const __m256i = probe.0.as_ptr().cast();
                            (
                                _mm256_load_si256(line.0.as_ptr().cast::<__m256i>().add(half)),
                                _mm256_load_si256(probe.add(half)),
                                _mm256_load_si256(probe.add(2 + half)),
                            )
                        };
                        *sum = $add_products(*sum, _mm256_and_si256(codes, low_half), low);
                        *sum = $add_products(*sum, _mm256_and_si256(_mm256_srli_epi16::<4>(codes), low_half), high);
                    }
                }
                fold_eight(_mm256_add_epi32(sums[0], sums[1]))
            }

            /// # Safety
            /// The processor has the features.
            #[target_feature(enable = $features)]
            #[inline]
            unsafe fn tile_sums(
                tile: &[CodeLine],
                quads: &[[[i8; 4]; TILE_PROBES]],
            ) -> [[i32; GROUP_ROWS]; TILE_PROBES] {
                let mut out = [[0; GROUP_ROWS]; TILE_PROBES];
                // Half a group at a time, so that eight sums stay in sixteen registers.
                for first_row in [0, 8] {
                    let mut totals = [_mm256_setzero_si256(); TILE_PROBES];
                    for (line, quads) in tile.iter().zip(quads) {
                        // SAFETY: half a line is 32 bytes, aligned to 32.
                        let codes = unsafe { _mm256_load_si256(line.0.as_ptr().add(first_row * 4).cast()) };
                        for (total, quad) in totals.iter_mut().zip(quads) {
                            let quad = _mm256_set1_epi32(i32::from_le_bytes(quad.map(|code| code as u8)));
                            *total = $add_products(*total, codes, quad);
                        }
                    }
                    for (out, total) in out.iter_mut().zip(totals) {
                        let half: &mut [i32; 8] = (&mut out[first_row..][..8]).try_into().expect("eight rows");
                        // SAFETY: eight i32 are as wide as the register; the store needs no alignment.
                        unsafe { _mm256_storeu_si256(half.as_mut_ptr().cast(), total) };
                    }
                }
                out
            }
        }
    };
}

use std::ops::Range;

use super::{FifthRows, FineRows, FoundRow, ProbeCodes, Rows, TileProbes, Tiles};

type ScanOf<'a> = (&'a Rows<'a>, Range<usize>, &'a [u64]);
type ScanFor<'a> = (&'a ProbeCodes, f32, &'a mut Vec<FoundRow>);
type TilesFor<'a> = (&'a TileProbes, &'a [f32; TILE_PROBES], &'a mut [Vec<FoundRow>]);

kernel_of_256_bits!(plain, "avx2", "avx2,fma", add_products);
kernel_of_256_bits!(with_vnni, "avx-vnni", "avx2,fma,avxvnni", add_products_vnni);

#[target_feature(enable = "avx2")]
#[inline]
fn fold_eight(eight: __m256i) -> i32 {
    let four = _mm_add_epi32(_mm256_castsi256_si128(eight), _mm256_extracti128_si256::<1>(eight));
    let two = _mm_add_epi32(four, _mm_shuffle_epi32::<0b01_00_11_10>(four));
    _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32::<0b00_00_00_01>(two)))
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
#[inline]
unsafe fn reaching(sums: &[i32; GROUP_ROWS], sizes: &[RowSizes; GROUP_ROWS], terms: &BoundTerms, cutoff: f32) -> u16 {
    let mut mask = 0;
    for first_row in [0, 8] {
        // SAFETY: both are sixteen numbers of 32 bits, of which eight follow `first_row` and fill the register; the loads
        // need no alignment.
        let (sums, sizes) = unsafe {
            (
                _mm256_loadu_si256(sums.as_ptr().add(first_row).cast()),
                _mm256_loadu_si256(sizes.as_ptr().add(first_row).cast()),
            )
        };
        let offset = _mm256_set1_epi32(15 * terms.code_sum);
        let doubled = _mm256_cvtepi32_ps(_mm256_sub_epi32(_mm256_add_epi32(sums, sums), offset));
        let scales = _mm256_castsi256_ps(_mm256_and_si256(sizes, _mm256_set1_epi32(0xffff_0000_u32 as i32)));
        let residuals = _mm256_castsi256_ps(_mm256_slli_epi32::<16>(sizes));
        let slack = _mm256_fmadd_ps(residuals, _mm256_set1_ps(terms.residual_weight), _mm256_set1_ps(terms.slack));
        let bounds = _mm256_fmadd_ps(doubled, _mm256_mul_ps(scales, _mm256_set1_ps(8.0 * terms.scale)), slack);
        let reaching = _mm256_movemask_ps(_mm256_cmp_ps::<_CMP_GE_OQ>(bounds, _mm256_set1_ps(cutoff)));
        mask |= (reaching as u16) << first_row;
    }
    mask
}

/// # Safety
/// The processor has AVX2 and FMA.
#[target_feature(enable = "avx2,fma")]
unsafe fn dot(a: &[FloatLine], b: &[FloatLine]) -> f64 {
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
#[inline]
pub(super) fn fold_four(four: __m256d) -> f64 {
    let two = _mm_add_pd(_mm256_castpd256_pd128(four), _mm256_extractf128_pd::<1>(four));
    _mm_cvtsd_f64(_mm_add_sd(two, _mm_unpackhi_pd(two, two)))
}
