//! NEON, which every 64-bit ARM processor has.
#![expect(unsafe_code, reason = "vector instructions of the processor")]

use core::arch::aarch64::*;
use std::ops::Range;

use super::{
    BatchMin, BoundTerms, CodeLine, FifthRows, FineRows, FloatLine, FoundRow, GROUP_ROWS, Kernel, ProbeCodes,
    ProbeLine, RowSizes, Rows, TILE_PROBES, TileProbes, Tiles, bit_sums_by_bit, list_bits, refine_by_row,
    scan_batch_by_tiles, scan_by_group, scan_list_by_row, scan_tiles_by_group, select_byte, select_code, select_real,
    select_whole, unpack_coarse_by_word,
};

/// The kernels this processor can run, fastest first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernel> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(&NEON).into_iter()
}

// Handed out by `available` alone, which asks the processor first. `Kernel` has checked the lengths.
static NEON: Kernel = Kernel {
    name: "neon",
    // SAFETY: see above the table.
    scan: |rows, groups, wanted, probe, cutoff, found| unsafe { scan((rows, groups, wanted), (probe, cutoff, found)) },
    // SAFETY: see above the table.
    scan_listed: |rows, list, probe, cutoff, found| unsafe { scan_listed((rows, list), (probe, cutoff, found)) },
    bit_sums: |rows, found, probe| bit_sums_by_bit(rows, found, probe),
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
    list: list_bits,
};

type ScanOf<'a> = (&'a Rows<'a>, Range<usize>, &'a [u64]);
type ScanFor<'a> = (&'a ProbeCodes, f32, &'a mut Vec<FoundRow>);
type TilesFor<'a> = (&'a TileProbes, &'a [f32; TILE_PROBES], &'a mut [Vec<FoundRow>]);

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn scan(what: ScanOf<'_>, probe: ScanFor<'_>) {
    // SAFETY: the processor has NEON.
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
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn scan_listed(what: (&Rows<'_>, &[u16]), probe: ScanFor<'_>) {
    // SAFETY: the processor has NEON.
    scan_list_by_row(what, probe, |row, probe| unsafe { code_sum(row, probe) });
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn refine(what: (&FineRows<'_>, &[FoundRow]), probe: ScanFor<'_>) {
    // SAFETY: the processor has NEON.
    refine_by_row(what, probe, |row, probe| unsafe { code_sum(row, probe) });
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn scan_tiles(tiles: &Tiles<'_>, probes: TilesFor<'_>) {
    // SAFETY: the processor has NEON.
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

/// Adds the products of sixteen codes (0 to 15) with a probe's to sums of four each.
#[target_feature(enable = "neon")]
#[inline]
fn add_products(sums: int32x4_t, codes: uint8x16_t, probe: int8x16_t) -> int32x4_t {
    let codes = vreinterpretq_s8_u8(codes);
    // A product is at most 15 × 127, and neighbours are added with more bits.
    let low = vmull_s8(vget_low_s8(codes), vget_low_s8(probe));
    let high = vmull_high_s8(codes, probe);
    vaddq_s32(sums, vpaddq_s32(vpaddlq_s16(low), vpaddlq_s16(high)))
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn code_sum(row: &[CodeLine], probe: &[ProbeLine]) -> i32 {
    let low_half = vdupq_n_u8(15);
    let mut sums = [vdupq_n_s32(0); 4];
    for (line, probe) in row.iter().zip(probe) {
        for (quarter, sum) in sums.iter_mut().enumerate() {
            // SAFETY: a quarter of a line is 16 bytes; a probe's line has two for each.
            let (codes, low, high) = unsafe {
                let probe = probe.0.as_ptr();
                (
                    vld1q_u8(line.0.as_ptr().add(16 * quarter)),
                    vld1q_s8(probe.add(16 * quarter)),
                    vld1q_s8(probe.add(64 + 16 * quarter)),
                )
            };
            *sum = add_products(*sum, vandq_u8(codes, low_half), low);
            *sum = add_products(*sum, vshrq_n_u8::<4>(codes), high);
        }
    }
    vaddvq_s32(vaddq_s32(vaddq_s32(sums[0], sums[1]), vaddq_s32(sums[2], sums[3])))
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn tile_sums(tile: &[CodeLine], quads: &[[[i8; 4]; TILE_PROBES]]) -> [[i32; GROUP_ROWS]; TILE_PROBES] {
    let mut out = [[0; GROUP_ROWS]; TILE_PROBES];
    // A quarter of a line (four rows) fills a register, and `add_products` leaves one sum for each row.
    for first_row in [0, 4, 8, 12] {
        let mut totals = [vdupq_n_s32(0); TILE_PROBES];
        for (line, quads) in tile.iter().zip(quads) {
            // SAFETY: a quarter of a line is 16 bytes.
            let codes = unsafe { vld1q_u8(line.0.as_ptr().add(first_row * 4)) };
            for (total, quad) in totals.iter_mut().zip(quads) {
                let quad = vreinterpretq_s8_s32(vdupq_n_s32(i32::from_le_bytes(quad.map(|code| code as u8))));
                *total = add_products(*total, codes, quad);
            }
        }
        for (out, total) in out.iter_mut().zip(totals) {
            let quarter: &mut [i32; 4] = (&mut out[first_row..][..4]).try_into().expect("four rows");
            // SAFETY: four i32 are as wide as the register.
            unsafe { vst1q_s32(quarter.as_mut_ptr(), total) };
        }
    }
    out
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
#[inline]
unsafe fn reaching(sums: &[i32; GROUP_ROWS], sizes: &[RowSizes; GROUP_ROWS], terms: &BoundTerms, cutoff: f32) -> u16 {
    const BITS: [u32; 4] = [1, 2, 4, 8];
    // SAFETY: `BITS` is four u32, as wide as the register.
    let bits = unsafe { vld1q_u32(BITS.as_ptr()) };
    let mut mask = 0;
    for first_row in [0, 4, 8, 12] {
        // SAFETY: both are sixteen numbers of 32 bits, of which four follow `first_row`.
        let (sums, sizes) =
            unsafe { (vld1q_s32(sums.as_ptr().add(first_row)), vld1q_u32(sizes.as_ptr().add(first_row).cast())) };
        let doubled = vcvtq_f32_s32(vsubq_s32(vaddq_s32(sums, sums), vdupq_n_s32(15 * terms.code_sum)));
        let scales = vreinterpretq_f32_u32(vandq_u32(sizes, vdupq_n_u32(0xffff_0000)));
        let residuals = vreinterpretq_f32_u32(vshlq_n_u32::<16>(sizes));
        let slack = vfmaq_f32(vdupq_n_f32(terms.slack), residuals, vdupq_n_f32(terms.residual_weight));
        let bounds = vfmaq_f32(slack, doubled, vmulq_f32(scales, vdupq_n_f32(8.0 * terms.scale)));
        let reaching = vandq_u32(vcgeq_f32(bounds, vdupq_n_f32(cutoff)), bits);
        mask |= (vaddvq_u32(reaching) as u16) << first_row;
    }
    mask
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn dot(a: &[FloatLine], b: &[FloatLine]) -> f64 {
    // Lanes 2i and 2i + 1 of the sixteen sums.
    let mut sums = [vdupq_n_f64(0.0); 8];
    for (a, b) in a.iter().zip(b) {
        for quarter in 0..4 {
            let (a, b) = (a.0.as_ptr(), b.0.as_ptr());
            // SAFETY: a line is sixteen f32, and `quarter` is below 4.
            let (a, b) = unsafe { (vld1q_f32(a.add(quarter * 4)), vld1q_f32(b.add(quarter * 4))) };
            let (low, high) = (quarter * 2, quarter * 2 + 1);
            sums[low] = vfmaq_f64(sums[low], vcvt_f64_f32(vget_low_f32(a)), vcvt_f64_f32(vget_low_f32(b)));
            sums[high] = vfmaq_f64(sums[high], vcvt_high_f64_f32(a), vcvt_high_f64_f32(b));
        }
    }
    // Upper half to lower half, as the definition says: eight lanes are four registers.
    for half in [4, 2, 1] {
        for idx in 0..half {
            sums[idx] = vaddq_f64(sums[idx], sums[idx + half]);
        }
    }
    vgetq_lane_f64::<0>(sums[0]) + vgetq_lane_f64::<1>(sums[0])
}
