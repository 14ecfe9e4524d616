//! NEON, which every 64-bit ARM processor has.
#![expect(unsafe_code, reason = "vector instructions of the processor")]

use core::arch::aarch64::*;

use super::{BLOCK_ROWS, BlockScales, BoundTerms, CodeLine, FloatLine, Kernel, Quad, Sums};

/// The kernels this processor can run, fastest first.
pub(super) fn available() -> impl Iterator<Item = &'static Kernel> {
    std::arch::is_aarch64_feature_detected!("neon").then_some(&NEON).into_iter()
}

// Handed out by `available` alone, which asks the processor first.
static NEON: Kernel = Kernel {
    name: "neon",
    // SAFETY: see above the table.
    sums_1: |block, probes, sums| unsafe { sums_neon(block, probes, sums) },
    // SAFETY: see above the table.
    sums_4: |block, probes, sums| unsafe { sums_neon(block, probes, sums) },
    // SAFETY: see above the table.
    sums_8: |block, probes, sums| unsafe { sums_neon(block, probes, sums) },
    // SAFETY: see above the table.
    reaching: |sums, scales, terms, cutoff| unsafe { reaching_neon(sums, scales, terms, cutoff) },
    // SAFETY: see above the table.
    dot: |a, b| unsafe { dot_neon(a, b) },
};

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn sums_neon<const P: usize>(block: &[CodeLine], probes: [&[Quad]; P], sums: &mut [Sums; P]) {
    let n_lines = probes.iter().fold(block.len(), |n_lines, probe| n_lines.min(probe.len()));
    let probes = probes.map(|probe| &probe[..n_lines]);
    // A quarter of a line (four rows) fills a register.
    for first_row in (0..BLOCK_ROWS).step_by(4) {
        // Two lanes for each row: rows 0 and 1, rows 2 and 3.
        let mut totals = [[vdupq_n_s32(0); 2]; P];
        for (line_idx, line) in block[..n_lines].iter().enumerate() {
            let quarter: &[u8; 16] = line.0[first_row * 4..][..16].try_into().expect("a quarter line is 16 bytes");
            // SAFETY: 16 bytes are readable at `quarter`.
            let codes = unsafe { vld1q_u8(quarter.as_ptr()) };
            let low = vreinterpretq_s16_u16(vmovl_u8(vget_low_u8(codes)));
            let high = vreinterpretq_s16_u16(vmovl_u8(vget_high_u8(codes)));
            for (total, probe) in totals.iter_mut().zip(&probes) {
                let bits = i32::from_le_bytes(probe[line_idx].map(|code| code as u8));
                let quad = vmovl_s8(vreinterpret_s8_s32(vdup_n_s32(bits)));
                let (first, second) = (vget_low_s16(quad), vget_high_s16(quad));
                // Lane sums of one row each; pairs within a row are added at the end.
                let row_0 = vmull_s16(vget_low_s16(low), first);
                let row_1 = vmull_s16(vget_high_s16(low), second);
                let row_2 = vmull_s16(vget_low_s16(high), first);
                let row_3 = vmull_s16(vget_high_s16(high), second);
                total[0] = vaddq_s32(total[0], vpaddq_s32(row_0, row_1));
                total[1] = vaddq_s32(total[1], vpaddq_s32(row_2, row_3));
            }
        }
        for (sums, total) in sums.iter_mut().zip(totals) {
            let quarter: &mut [i32; 4] = (&mut sums[first_row..][..4]).try_into().expect("four rows");
            // SAFETY: `quarter` is four i32, as wide as the register.
            unsafe { vst1q_s32(quarter.as_mut_ptr(), vpaddq_s32(total[0], total[1])) };
        }
    }
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn reaching_neon(sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) -> u16 {
    const BITS: [u32; 4] = [1, 2, 4, 8];
    // SAFETY: `BITS` is four u32, as wide as the register.
    let bits = unsafe { vld1q_u32(BITS.as_ptr()) };
    let mut rows = 0;
    for first_row in (0..BLOCK_ROWS).step_by(4) {
        // SAFETY: all three have sixteen numbers of 32 bits, of which four follow `first_row` (at most 12).
        let (sums, scales, residuals) = unsafe {
            (
                vld1q_s32(sums.as_ptr().add(first_row)),
                vld1q_f32(scales.scales.as_ptr().add(first_row)),
                vld1q_f32(scales.residuals.as_ptr().add(first_row)),
            )
        };
        let sums = vcvtq_f32_s32(vsubq_s32(sums, vdupq_n_s32(terms.sum_offset)));
        let slack = vfmaq_f32(vdupq_n_f32(terms.slack), residuals, vdupq_n_f32(terms.residual_weight));
        let bounds = vfmaq_f32(slack, sums, vmulq_f32(scales, vdupq_n_f32(terms.scale)));
        let reaching = vandq_u32(vcgeq_f32(bounds, vdupq_n_f32(cutoff)), bits);
        rows |= (vaddvq_u32(reaching) as u16) << first_row;
    }
    rows
}

/// # Safety
/// The processor has NEON.
#[target_feature(enable = "neon")]
unsafe fn dot_neon(a: &[FloatLine], b: &[FloatLine]) -> f64 {
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
