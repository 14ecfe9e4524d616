//! Plain Rust: what the other kernels are tested against, and the path of every processor without one of its own.

use super::{BLOCK_ROWS, CodeLine, FloatLine, Kernel, Quad, Sums};

pub(super) static KERNEL: Kernel =
    Kernel { name: "scalar", sums_1: block_sums, sums_4: block_sums, sums_8: block_sums, dot };

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
