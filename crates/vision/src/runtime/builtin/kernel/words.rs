//! The loops of a convolution of one pixel over planes without a frame in 16-bit integers, for any instruction set. A run of
//! pixels is scaled together, so that one scale follows all its sums. `R` is the number of pixels and `V` that of lines of
//! outputs that are summed up in registers at a time.
//!
//! # Safety of all functions
//! They are compiled into a function with the instruction set of `L`, called where the processor has it, and all bounds
//! were checked by [`Kernel`](super::Kernel).
#![expect(
    unsafe_code,
    reason = "vector instructions, and reads and writes whose bounds were checked once for all loops"
)]

use super::lanes::Lanes;
use super::loops::{LARGEST_MIN, products};
use super::{Finish, LANES, Line, PANEL_LINES, RUN_PIXELS, WordConvolution};

/// Convolves with `R2` or `R4` pixels at a time for up to two or more lines of outputs, of which at most `V_MAX` are taken
/// together.
#[inline(always)]
pub(super) unsafe fn convolution<L: Lanes, const R2: usize, const R4: usize, const V_MAX: usize>(
    job: &WordConvolution<'_>,
    rows: &mut [i16],
    out: &mut [Line],
) {
    let n_lines = job.finish.len();
    let mut first_pixel = 0;
    while first_pixel < job.n_pixels {
        let n_pixels = RUN_PIXELS.min(job.n_pixels - first_pixel);
        // SAFETY: see the module's page.
        let scale = unsafe { quantised::<L>(job, first_pixel, n_pixels, rows) };
        let run = Run { rows, first_pixel, n_pixels, scale };
        let mut first = 0;
        while first < n_lines {
            let panel = first / PANEL_LINES * PANEL_LINES;
            let width = PANEL_LINES.min(n_lines - panel);
            let n_taken = V_MAX.min(panel + width - first);
            // SAFETY: see the module's page.
            unsafe {
                match n_taken {
                    1 => pixels::<L, R2, 1>(job, &run, first, width, out),
                    2 => pixels::<L, R2, 2>(job, &run, first, width, out),
                    3 => pixels::<L, R4, 3>(job, &run, first, width, out),
                    _ => pixels::<L, R4, 4>(job, &run, first, width, out),
                }
            }
            first += n_taken;
        }
        first_pixel += n_pixels;
    }
}

/// Neighbouring pixels as integers.
struct Run<'a> {
    /// A row of `depth` numbers for each pixel.
    rows: &'a [i16],
    first_pixel: usize,
    n_pixels: usize,
    /// What a number of 1 stands for.
    scale: f32,
}

/// Makes rows of integers of a run of pixels; gives what a number of 1 stands for.
#[inline(always)]
unsafe fn quantised<L: Lanes>(job: &WordConvolution<'_>, first_pixel: usize, n_pixels: usize, rows: &mut [i16]) -> f32 {
    let n_planes = job.depth / LANES;
    // SAFETY: there are `n_planes` planes of `job.n_pixels` lines, and rows for `n_pixels` pixels.
    unsafe {
        let first = job.input.as_ptr().add(first_pixel);
        let mut largest = [L::splat(0.0); 2];
        for plane in 0..n_planes {
            let lines = first.add(plane * job.n_pixels);
            let mut pixel = 0;
            while pixel + 2 <= n_pixels {
                largest[0] = largest[0].max_abs(L::load(lines.add(pixel)));
                largest[1] = largest[1].max_abs(L::load(lines.add(pixel + 1)));
                pixel += 2;
            }
            if pixel < n_pixels {
                largest[0] = largest[0].max_abs(L::load(lines.add(pixel)));
            }
        }
        let largest = largest[0].larger(largest[1]).largest();
        let is_some = largest > LARGEST_MIN;
        let factor = L::splat(if is_some { job.limit / largest } else { 0.0 });
        for plane in 0..n_planes {
            let lines = first.add(plane * job.n_pixels);
            let row = rows.as_mut_ptr().add(plane * LANES);
            for pixel in 0..n_pixels {
                L::load(lines.add(pixel)).times(factor).store_integers(row.add(pixel * job.depth));
            }
        }
        if is_some { largest / job.limit } else { 0.0 }
    }
}

#[inline(always)]
unsafe fn pixels<L: Lanes, const R: usize, const V: usize>(
    job: &WordConvolution<'_>,
    run: &Run<'_>,
    first: usize,
    width: usize,
    out: &mut [Line],
) {
    let mut pixel = 0;
    // SAFETY: see the module's page.
    unsafe {
        while pixel + R <= run.n_pixels {
            tile::<L, R, V>(job, run, (pixel, first), width, out);
            pixel += R;
        }
        while pixel + 4 <= run.n_pixels {
            tile::<L, 4, V>(job, run, (pixel, first), width, out);
            pixel += 4;
        }
        while pixel < run.n_pixels {
            tile::<L, 1, V>(job, run, (pixel, first), width, out);
            pixel += 1;
        }
    }
}

/// V lines of outputs from `first` on for R pixels of the run from `pixel` on. `width` is the number of lines of the panel.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    job: &WordConvolution<'_>,
    run: &Run<'_>,
    (pixel, first): (usize, usize),
    width: usize,
    out: &mut [Line],
) {
    let panel = first / PANEL_LINES * PANEL_LINES;
    // SAFETY: there are R pixels in the run from `pixel` on and V lines in the panel from `first` on, and for each of them the
    // rows, weights and places that `Kernel::word_convolution` has counted.
    unsafe {
        let weights = job.weights.as_ptr().add(panel * (job.depth / 2) + (first - panel));
        let sums = products::<L, R, V>(run.rows.as_ptr().add(pixel * job.depth), job.depth, weights, width);
        let start = first * job.n_pixels + run.first_pixel + pixel;
        for v in 0..V {
            let Finish { scale, bias, slope } = job.finish.get_unchecked(first + v);
            let scale = L::load(scale).times(L::splat(run.scale));
            let (bias, slope) = (L::load(bias), L::load(slope));
            let plane = start + v * job.n_pixels;
            let place = out.as_mut_ptr().add(plane);
            if plane < job.addend.len() {
                let addend = job.addend.as_ptr().add(plane);
                for r in 0..R {
                    let number = L::to_floats(sums[r][v]).times_plus(scale, bias).plus(L::load(addend.add(r)));
                    number.bent(slope).store(place.add(r));
                }
            } else {
                for r in 0..R {
                    L::to_floats(sums[r][v]).times_plus(scale, bias).bent(slope).store(place.add(r));
                }
            }
        }
    }
}
