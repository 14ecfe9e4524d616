//! The loops of convolutions over pictures without a frame, for any instruction set. `R` is the number of pixels and `V`
//! that of lines of outputs that are summed up in registers at a time. `STEP` is the number of floats between pixels of
//! neighbouring windows where that is known: [`LANES`] in planes with a stride of 1, another one in a picture that is
//! channel by channel; 0 is any.
//!
//! # Safety of all functions
//! They are compiled into a function with the instruction set of `L`, called where the processor has it, and the lengths
//! of all slices were checked by [`Kernel`](super::Kernel). What a window covers beyond the picture is left out.
#![expect(
    unsafe_code,
    reason = "vector instructions, and reads and writes whose bounds were checked once for all loops"
)]

use std::ops::Range;

use super::lanes::Lanes;
use super::loops::FETCHED_AHEAD;
use super::{Convolution, DepthwiseConvolution, LANES, Line, Window};

/// Convolves with `R1`, `R2` or `R4` pixels at a time for one, two or more lines of outputs, of which at most `V_MAX` are
/// taken together.
#[inline(always)]
pub(super) unsafe fn convolution<L: Lanes, const R1: usize, const R2: usize, const R4: usize, const V_MAX: usize>(
    job: &Convolution<'_>,
    out: &mut [Line],
) {
    let (n_lines, step) = (job.finish.len(), job.lanes * job.window.stride);
    let mut first = 0;
    while first < n_lines {
        let n_taken = if step == LANES && job.lanes == LANES { V_MAX.min(n_lines - first) } else { 1 };
        // SAFETY: see the module's page.
        unsafe {
            match n_taken {
                1 if step == LANES && job.lanes == LANES => rows::<L, R1, 1, LANES>(job, first, out),
                1 if step == 2 && job.lanes == 1 => rows::<L, R1, 1, 2>(job, first, out),
                1 => rows::<L, R1, 1, 0>(job, first, out),
                2 => rows::<L, R2, 2, LANES>(job, first, out),
                3 => rows::<L, R4, 3, LANES>(job, first, out),
                _ => rows::<L, R4, 4, LANES>(job, first, out),
            }
        }
        first += n_taken;
    }
}

#[inline(always)]
unsafe fn rows<L: Lanes, const R: usize, const V: usize, const STEP: usize>(
    job: &Convolution<'_>,
    first: usize,
    out: &mut [Line],
) {
    let Window { output: [height, width], .. } = job.window;
    let inner = job.window.inner();
    for y in 0..height {
        let rows = job.window.rows(y);
        let mut x = 0;
        // SAFETY: see the module's page; windows from `inner.start` to `inner.end` lie in the picture as a whole.
        unsafe {
            while x < width {
                let columns = job.window.columns(x);
                if x < inner.start || x >= inner.end {
                    tile::<L, 1, V, STEP>(job, first, (y, x), rows.clone(), columns, out);
                    x += 1;
                } else if x + R <= inner.end {
                    tile::<L, R, V, STEP>(job, first, (y, x), rows.clone(), columns, out);
                    x += R;
                } else if x + 2 <= inner.end {
                    tile::<L, 2, V, STEP>(job, first, (y, x), rows.clone(), columns, out);
                    x += 2;
                } else {
                    tile::<L, 1, V, STEP>(job, first, (y, x), rows.clone(), columns, out);
                    x += 1;
                }
            }
        }
    }
}

/// Outputs of R pixels from (y, x) on, whose windows have these rows and columns in the picture.
#[inline(always)]
unsafe fn tile<L: Lanes, const R: usize, const V: usize, const STEP: usize>(
    job: &Convolution<'_>,
    first: usize,
    (y, x): (usize, usize),
    rows: Range<usize>,
    columns: Range<usize>,
    out: &mut [Line],
) {
    let Window { input: [in_height, in_width], kernel, stride, pads, output } = job.window;
    let n_channels = job.n_channels;
    let (lanes, step) = match STEP {
        0 => (job.lanes, stride * job.lanes),
        LANES => (LANES, LANES),
        step => (1, step),
    };
    let n_weights = kernel[0] * kernel[1] * n_channels;
    let group_len = in_height * in_width * lanes;
    let (n_groups, last_lanes) = (n_channels.div_ceil(lanes), n_channels - (n_channels - 1) / lanes * lanes);
    // SAFETY: rows and columns are those of windows that lie in the picture, so that `row` and `column` are at least zero
    // and less than its height and width for all R pixels; there are `n_groups` groups of `lanes` channels, and V lines of
    // outputs from `first` on, each with its weights and its plane.
    unsafe {
        let mut sums = [[L::load(&job.finish.get_unchecked(first).bias); V]; R];
        for v in 1..V {
            let bias = L::load(&job.finish.get_unchecked(first + v).bias);
            for r in 0..R {
                sums[r][v] = bias;
            }
        }
        let all_weights = job.weights.as_ptr().add(first * n_weights);
        for kernel_row in rows {
            for kernel_column in columns.clone() {
                let (row, column) = (y * stride + kernel_row - pads[0], x * stride + kernel_column - pads[1]);
                let mut source = job.input.as_ptr().add((row * in_width + column) * lanes);
                let mut weights = all_weights.add((kernel_row * kernel[1] + kernel_column) * n_channels);
                for group in 0..n_groups {
                    let n_lanes = if lanes > 1 && group + 1 == n_groups { last_lanes } else { lanes };
                    for lane in 0..n_lanes {
                        let mut lines = [L::load(weights); V];
                        for v in 1..V {
                            lines[v] = L::load(weights.add(v * n_weights));
                        }
                        for r in 0..R {
                            let number = L::splat(*source.add(r * step + lane));
                            for v in 0..V {
                                sums[r][v] = number.times_plus(lines[v], sums[r][v]);
                            }
                        }
                        weights = weights.wrapping_add(1);
                    }
                    source = source.wrapping_add(group_len);
                }
            }
        }
        // In two loops: a long one is not unrolled, and the sums would lie in memory.
        let plane_len = output[0] * output[1];
        let start = first * plane_len + y * output[1] + x;
        for v in 0..V {
            if start + v * plane_len < job.addend.len() {
                let addend = job.addend.as_ptr().add(start + v * plane_len);
                for r in 0..R {
                    sums[r][v] = sums[r][v].plus(L::load(addend.add(r)));
                }
            }
        }
        for v in 0..V {
            let slope = L::load(&job.finish.get_unchecked(first + v).slope);
            let place = out.as_mut_ptr().add(start + v * plane_len);
            for r in 0..R {
                sums[r][v].bent(slope).store(place.add(r));
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn depthwise_convolution<L: Lanes>(job: &DepthwiseConvolution<'_>, out: &mut [Line]) {
    // SAFETY: see the module's page.
    unsafe {
        match job.window.stride {
            1 => planes::<L, 1>(job, out),
            _ => planes::<L, 2>(job, out),
        }
    }
}

/// `S` is the stride.
#[inline(always)]
unsafe fn planes<L: Lanes, const S: usize>(job: &DepthwiseConvolution<'_>, out: &mut [Line]) {
    let Window { input, output: [height, width], .. } = job.window;
    let inner = job.window.inner();
    let planes = job.input.chunks_exact(input[0] * input[1]).zip(out.chunks_exact_mut(height * width));
    for (plane_idx, (plane, out)) in planes.enumerate() {
        for y in 0..height {
            let rows = job.window.rows(y);
            let mut x = 0;
            // SAFETY: see the module's page; windows from `inner.start` to `inner.end` lie in the picture as a whole.
            unsafe {
                while x < width {
                    if x < inner.start || x >= inner.end {
                        edge::<L>(job, plane_idx, plane, (y, x), rows.clone(), out);
                        x += 1;
                    } else if x + 4 <= inner.end {
                        inside::<L, S, 4>(job, plane_idx, plane, (y, x), rows.clone(), out);
                        x += 4;
                    } else {
                        inside::<L, S, 1>(job, plane_idx, plane, (y, x), rows.clone(), out);
                        x += 1;
                    }
                }
            }
        }
    }
}

/// Outputs of T pixels from (y, x) on, whose windows have all their columns in the picture.
#[inline(always)]
unsafe fn inside<L: Lanes, const S: usize, const T: usize>(
    job: &DepthwiseConvolution<'_>,
    plane_idx: usize,
    plane: &[Line],
    (y, x): (usize, usize),
    rows: Range<usize>,
    out: &mut [Line],
) {
    /// Most pixels of a row that outputs of a tile need: 4 outputs, 2 pixels apart.
    const COLUMNS_MAX: usize = 9;
    let Window { input: [_, in_width], stride, pads, output, .. } = job.window;
    let n_columns = S * (T - 1) + 3;
    // SAFETY: rows are those of the window in the picture, and so are all columns of T windows.
    unsafe {
        let (weights, finish) = (job.weights.get_unchecked(plane_idx), job.finish.get_unchecked(plane_idx));
        let mut sums = [L::load(&finish.bias); T];
        for kernel_row in rows {
            let row = y * stride + kernel_row - pads[0];
            let first = plane.as_ptr().add(row * in_width + x * S - pads[1]);
            let mut lines = [L::load(first); COLUMNS_MAX];
            for column in 1..n_columns {
                lines[column] = L::load(first.add(column));
            }
            if kernel_row == 2 && T > 1 {
                for column in 0..S * T {
                    L::fetch(first.wrapping_add(FETCHED_AHEAD + column));
                }
            }
            for kernel_column in 0..3 {
                let weight = L::load(weights.get_unchecked(kernel_row * 3 + kernel_column));
                for t in 0..T {
                    sums[t] = lines[S * t + kernel_column].times_plus(weight, sums[t]);
                }
            }
        }
        let slope = L::load(&finish.slope);
        let place = out.as_mut_ptr().add(y * output[1] + x);
        for t in 0..T {
            sums[t].bent(slope).store(place.add(t));
        }
    }
}

/// The output of the pixel at (y, x), some columns of whose window lie beside the picture.
#[inline(always)]
unsafe fn edge<L: Lanes>(
    job: &DepthwiseConvolution<'_>,
    plane_idx: usize,
    plane: &[Line],
    (y, x): (usize, usize),
    rows: Range<usize>,
    out: &mut [Line],
) {
    let Window { input: [_, in_width], stride, pads, output, .. } = job.window;
    // SAFETY: rows and columns are those of the window in the picture.
    unsafe {
        let (weights, finish) = (job.weights.get_unchecked(plane_idx), job.finish.get_unchecked(plane_idx));
        let mut sum = L::load(&finish.bias);
        for kernel_row in rows {
            for kernel_column in job.window.columns(x) {
                let (row, column) = (y * stride + kernel_row - pads[0], x * stride + kernel_column - pads[1]);
                let weight = L::load(weights.get_unchecked(kernel_row * 3 + kernel_column));
                sum = L::load(plane.as_ptr().add(row * in_width + column)).times_plus(weight, sum);
            }
        }
        sum.bent(L::load(&finish.slope)).store(out.as_mut_ptr().add(y * output[1] + x));
    }
}
