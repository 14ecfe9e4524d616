//! The loops of a convolution of one pixel in 8-bit integers, for any instruction set. `R` is the number of pixels and `V`
//! that of lines of outputs that are summed up in registers at a time.
//!
//! # Safety of all functions
//! They are compiled into a function with the instruction set of `L`, called where the processor has it, and all bounds
//! were checked by [`Kernel`](super::Kernel).
#![expect(
    unsafe_code,
    reason = "vector instructions, and reads and writes whose bounds were checked once for all loops"
)]

use super::lanes::ByteLanes;
use super::loops::LARGEST_MIN;
use super::{BYTE_BLOCK, BytePointwise, LANES, Line, PANEL_LINES, QuadLine};

/// The largest number of a block of bytes.
const BYTE_LIMIT: f32 = 127.0;

#[inline(always)]
pub(super) unsafe fn quantise<L: ByteLanes>(
    planes: &[Line],
    n_pixels: usize,
    rows: &mut [i8],
    scales: &mut [[f32; 2]],
) {
    const BLOCK_PLANES: usize = BYTE_BLOCK / LANES;
    let n_planes = planes.len().checked_div(n_pixels).unwrap_or(0);
    let n_blocks = n_planes.div_ceil(BLOCK_PLANES);
    for (idx, scale) in scales.iter_mut().enumerate() {
        let (pixel, block) = (idx / n_blocks, idx % n_blocks);
        let first_plane = block * BLOCK_PLANES;
        let n_taken = BLOCK_PLANES.min(n_planes - first_plane);
        // SAFETY: there are `n_pixels` lines in each of `n_planes` planes and a row of 16 numbers of each for each pixel.
        unsafe {
            let line = |plane: usize| L::load(planes.as_ptr().add((first_plane + plane) * n_pixels + pixel));
            let mut largest = L::splat(0.0);
            for plane in 0..n_taken {
                largest = largest.max_abs(line(plane));
            }
            let largest = largest.largest();
            let is_some = largest > LARGEST_MIN;
            let factor = L::splat(if is_some { BYTE_LIMIT / largest } else { 0.0 });
            let row = rows.as_mut_ptr().add((pixel * n_planes + first_plane) * LANES);
            let mut sums = L::no_sums();
            for plane in 0..n_taken {
                let integers = line(plane).times(factor).to_integers();
                sums = L::plus_sums(sums, integers);
                L::store_bytes(integers, row.add(plane * LANES));
            }
            let one = if is_some { largest / BYTE_LIMIT } else { 0.0 };
            *scale = [one, one * L::total(sums) as f32];
        }
    }
}

#[inline(always)]
pub(super) unsafe fn pointwise<L: ByteLanes, const R: usize, const V: usize>(
    job: &BytePointwise<'_>,
    out: &mut [Line],
) {
    let (n_lines, n_quads) = (job.finish.len(), job.depth / 4);
    let mut first = 0;
    while first < n_lines {
        let panel = first / PANEL_LINES * PANEL_LINES;
        let width = PANEL_LINES.min(n_lines - panel);
        let n_taken = V.min(panel + width - first);
        let columns = Columns { weights: &job.weights[panel * n_quads + (first - panel)..], width, first };
        // SAFETY: see the module's page.
        unsafe {
            match n_taken {
                1 => pixels::<L, R, 1>(job, columns, out),
                2 => pixels::<L, R, 2>(job, columns, out),
                3 => pixels::<L, R, 3>(job, columns, out),
                _ => pixels::<L, R, 4>(job, columns, out),
            }
        }
        first += n_taken;
    }
}

/// Some lines of outputs of a panel.
#[derive(Clone, Copy)]
struct Columns<'a> {
    /// From the first of these lines on.
    weights: &'a [QuadLine],
    /// Lines of the panel.
    width: usize,
    /// Which line of all outputs the first one is.
    first: usize,
}

#[inline(always)]
unsafe fn pixels<L: ByteLanes, const R: usize, const V: usize>(
    job: &BytePointwise<'_>,
    columns: Columns<'_>,
    out: &mut [Line],
) {
    let n_pixels = job.places.len();
    let mut pixel = 0;
    // SAFETY: see the module's page.
    unsafe {
        while pixel + R <= n_pixels {
            tile::<L, R, V>(job, columns, pixel, out);
            pixel += R;
        }
        while pixel + 2 <= n_pixels {
            tile::<L, 2, V>(job, columns, pixel, out);
            pixel += 2;
        }
        while pixel < n_pixels {
            tile::<L, 1, V>(job, columns, pixel, out);
            pixel += 1;
        }
    }
}

#[inline(always)]
unsafe fn tile<L: ByteLanes, const R: usize, const V: usize>(
    job: &BytePointwise<'_>,
    columns: Columns<'_>,
    pixel: usize,
    out: &mut [Line],
) {
    let n_blocks = job.depth.div_ceil(BYTE_BLOCK);
    // SAFETY: there are R pixels of at least one quad of inputs from `pixel` on and V lines from `columns.first` on, and
    // for each of them the rows, scales, weights, terms and places that `Kernel::pointwise_bytes` has counted.
    unsafe {
        let rows = job.rows.as_ptr().add(pixel * job.depth);
        let scales = job.scales.as_ptr().add(pixel * n_blocks);
        let mut weights = columns.weights.as_ptr();
        let mut totals = [[Line::ZERO; V]; R];
        for v in 0..V {
            let bias = job.finish.get_unchecked(columns.first + v).bias;
            for r in 0..R {
                totals[r][v] = bias;
            }
        }
        for block in 0..n_blocks {
            let mut sums = [[L::no_sums(); V]; R];
            let mut input = block * BYTE_BLOCK;
            let end = job.depth.min(input + BYTE_BLOCK);
            // Checked behind the body: were there blocks without inputs, the zeros would lie in memory first.
            loop {
                let mut lines = [L::load_quads(weights); V];
                for v in 1..V {
                    lines[v] = L::load_quads(weights.add(v));
                }
                for r in 0..R {
                    let quad = L::splat_quad(rows.add(r * job.depth + input));
                    for v in 0..V {
                        sums[r][v] = L::dot_quads(sums[r][v], lines[v], quad);
                    }
                }
                weights = weights.wrapping_add(columns.width);
                input += 4;
                if input >= end {
                    break;
                }
            }
            for v in 0..V {
                let [one, zero] = job.terms.get_unchecked((columns.first + v) * n_blocks + block);
                let (one, zero) = (L::load(one), L::load(zero));
                for r in 0..R {
                    let [scale, sum] = *scales.add(r * n_blocks + block);
                    let product = L::to_floats(sums[r][v]).times(L::splat(scale));
                    let total = product.times_plus(one, L::load(&totals[r][v]));
                    L::splat(sum).times_plus(zero, total).store(&mut totals[r][v]);
                }
            }
        }
        for v in 0..V {
            let slope = L::load(&job.finish.get_unchecked(columns.first + v).slope);
            let plane = out.as_mut_ptr().add((columns.first + v) * job.plane_len);
            for r in 0..R {
                let place = plane.add(*job.places.get_unchecked(pixel + r) as usize);
                L::load(&totals[r][v]).bent(slope).store(place);
            }
        }
    }
}
