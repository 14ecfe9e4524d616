//! Sums and pools of planes, for any instruction set.
//!
//! # Safety of all functions
//! They are compiled into a function with the instruction set of `L`, called where the processor has it, and the lengths
//! of all slices were checked by [`Kernel`](super::Kernel).
#![expect(
    unsafe_code,
    reason = "vector instructions, which compilers do not find by themselves: they make scattered stores of these loops"
)]

use super::Line;
use super::lanes::Lanes;

/// The largest numbers of each 2x2 pixels of planes of `height` x `width` pixels; an odd last row or column is left out.
#[inline(always)]
pub(super) unsafe fn max_pool<L: Lanes>(input: &[Line], [height, width]: [usize; 2], out: &mut [Line]) {
    let planes = input.chunks_exact(height * width);
    for (plane, out) in planes.zip(out.chunks_exact_mut((height / 2) * (width / 2))) {
        for (rows, out) in plane.chunks_exact(2 * width).zip(out.chunks_exact_mut(width / 2)) {
            let (upper, lower) = rows.split_at(width);
            let pairs = upper.as_chunks::<2>().0.iter().zip(lower.as_chunks::<2>().0);
            for (([a, b], [c, d]), out) in pairs.zip(out) {
                // SAFETY: see the module's page; all are references.
                unsafe { L::load(a).larger(L::load(b)).larger(L::load(c).larger(L::load(d))).store(out) }
            }
        }
    }
}

/// The sums of two values.
#[inline(always)]
pub(super) unsafe fn sums<L: Lanes>(a: &[Line], b: &[Line], out: &mut [Line]) {
    for ((a, b), out) in a.iter().zip(b).zip(out) {
        // SAFETY: see the module's page; all are references.
        unsafe { L::load(a).plus(L::load(b)).store(out) }
    }
}

/// The sums of planes of `width` pixels a row with planes of half as many rows and columns, each pixel of which stands for
/// 2x2 pixels.
#[inline(always)]
pub(super) unsafe fn sums_with_halved<L: Lanes>(input: &[Line], width: usize, halved: &[Line], out: &mut [Line]) {
    // Each row of the smaller one is for two of the larger.
    let twice = halved.chunks_exact(width / 2).flat_map(|row| [row, row]);
    for ((row, half), out) in input.chunks_exact(width).zip(twice).zip(out.chunks_exact_mut(width)) {
        let pairs = row.as_chunks::<2>().0.iter().zip(out.as_chunks_mut::<2>().0);
        for (([a, b], [first, second]), half) in pairs.zip(half) {
            // SAFETY: see the module's page; all are references.
            unsafe {
                let half = L::load(half);
                L::load(a).plus(half).store(first);
                L::load(b).plus(half).store(second);
            }
        }
    }
}
