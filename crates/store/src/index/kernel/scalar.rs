//! Plain Rust: what the other kernels are tested against, and the path of every processor without one of its own.

use super::{BLOCK_ROWS, BlockScales, BoundTerms, CodeLine, FloatLine, Kernel, Quad, Sums};

pub(super) static KERNEL: Kernel =
    Kernel { name: "scalar", sums_1: block_sums, sums_4: block_sums, sums_8: block_sums, reaching, dot };

fn block_sums<const P: usize>(block: &[CodeLine], probes: [&[Quad]; P], sums: &mut [Sums; P]) {
    for (probe, sums) in probes.into_iter().zip(sums) {
        let mut rows = [0_i32; BLOCK_ROWS];
        for (line, quad) in block.iter().zip(probe) {
            for (sum, codes) in rows.iter_mut().zip(line.0.as_chunks::<4>().0) {
                *sum += codes.iter().zip(quad).map(|(&code, &probe)| i32::from(code) * i32::from(probe)).sum::<i32>();
            }
        }
        *sums = rows;
    }
}

fn reaching(sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) -> u16 {
    let bounds: [f32; BLOCK_ROWS] =
        std::array::from_fn(|row| terms.bound(sums[row], scales.scales[row], scales.residuals[row]));
    // Nearly every block has no such row: looking at all sixteen without branches first is cheapest.
    if !bounds.iter().fold(false, |any, &bound| any | (bound >= cutoff)) {
        return 0;
    }
    bounds.iter().enumerate().fold(0, |rows, (row, &bound)| rows | u16::from(bound >= cutoff) << row)
}

fn dot(a: &[FloatLine], b: &[FloatLine]) -> f64 {
    let mut sums = [0.0_f64; 16];
    for (a, b) in a.iter().zip(b) {
        for (sum, (&a, &b)) in sums.iter_mut().zip(a.0.iter().zip(&b.0)) {
            *sum += f64::from(a) * f64::from(b);
        }
    }
    for half in [8, 4, 2, 1] {
        for lane in 0..half {
            sums[lane] += sums[lane + half];
        }
    }
    sums[0]
}
