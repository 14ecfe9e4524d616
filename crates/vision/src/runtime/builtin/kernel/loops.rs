//! The loops, for any instruction set. `R` is the number of pixels and `V` that of lines of outputs that are summed up in
//! registers at a time.
//!
//! # Safety of all functions
//! They are compiled into a function with the instruction set of `L`, called where the processor has it, and all bounds
//! were checked by [`Kernel`](super::Kernel).
#![expect(
    unsafe_code,
    reason = "vector instructions, and reads and writes whose bounds were checked once for all loops"
)]

use super::lanes::Lanes;
use super::{Dense, Depthwise, FULL_BLOCK, FULL_LINES, Finish, Full, LANES, Line, PANEL_LINES};
use super::{PackedWeights, PairLine, Pointwise};

/// By how many pixels a row of a depthwise convolution is fetched ahead.
pub(super) const FETCHED_AHEAD: usize = 16;

/// Smaller numbers than this are as good as none; their reciprocal could be infinite.
pub(super) const LARGEST_MIN: f32 = 1e-30;

#[inline(always)]
pub(super) unsafe fn pointwise<L: Lanes, const R: usize, const V: usize>(job: &Pointwise<'_>, out: &mut [Line]) {
    let PackedWeights::Pairs(weights) = job.weights else { return };
    let (n_lines, n_pairs) = (job.finish.len(), job.depth / 2);
    let mut first = 0;
    while first < n_lines {
        let panel = first / PANEL_LINES * PANEL_LINES;
        let width = PANEL_LINES.min(n_lines - panel);
        let n_taken = V.min(panel + width - first);
        let columns = Columns { weights: &weights[panel * n_pairs + (first - panel)..], width, first };
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
    weights: &'a [PairLine],
    /// Lines of the panel.
    width: usize,
    /// Which line of all outputs the first one is.
    first: usize,
}

#[inline(always)]
unsafe fn pixels<L: Lanes, const R: usize, const V: usize>(
    job: &Pointwise<'_>,
    columns: Columns<'_>,
    out: &mut [Line],
) {
    let n_pixels = job.scales.len();
    let mut pixel = 0;
    // SAFETY: see the module's page.
    unsafe {
        while pixel + R <= n_pixels {
            tile::<L, R, V>(job, columns, pixel, out);
            pixel += R;
        }
        while pixel + 4 <= n_pixels {
            tile::<L, 4, V>(job, columns, pixel, out);
            pixel += 4;
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
unsafe fn tile<L: Lanes, const R: usize, const V: usize>(
    job: &Pointwise<'_>,
    columns: Columns<'_>,
    pixel: usize,
    out: &mut [Line],
) {
    // SAFETY: there are R pixels of at least one pair of inputs from `pixel` on and V lines from `columns.first` on, and for each of them the rows,
    // weights, terms and places that `Kernel::pointwise` has counted.
    unsafe {
        let rows = job.rows.as_ptr().add(pixel * job.depth);
        let sums = products::<L, R, V>(rows, job.depth, columns.weights.as_ptr(), columns.width);
        for v in 0..V {
            let Finish { scale, bias, slope } = job.finish.get_unchecked(columns.first + v);
            let (scale, bias, slope) = (L::load(scale), L::load(bias), L::load(slope));
            let plane = out.as_mut_ptr().add((columns.first + v) * job.plane_len);
            for r in 0..R {
                let number = L::to_floats(sums[r][v]).times(L::splat(*job.scales.get_unchecked(pixel + r)));
                let number = number.times_plus(scale, bias).bent(slope);
                number.store(plane.add(*job.places.get_unchecked(pixel + r) as usize));
            }
        }
    }
}

/// Sums of the products of R rows of `depth` numbers each with V lines of a panel of `width` lines of weights.
///
/// # Safety
/// `depth` is even and not zero, and there are as many rows and lines.
#[inline(always)]
pub(super) unsafe fn products<L: Lanes, const R: usize, const V: usize>(
    rows: *const i16,
    depth: usize,
    mut weights: *const PairLine,
    width: usize,
) -> [[L::Sums; V]; R] {
    // SAFETY: the caller vouches for what is read.
    unsafe {
        let mut sums = [[L::no_sums(); V]; R];
        let mut input = 0;
        // Checked behind the body: were there rows without inputs, the zeros would lie in memory first.
        loop {
            let mut lines = [L::load_pairs(weights); V];
            for v in 1..V {
                lines[v] = L::load_pairs(weights.add(v));
            }
            for r in 0..R {
                let pair = L::splat_pair(rows.add(r * depth + input));
                for v in 0..V {
                    sums[r][v] = L::dot(sums[r][v], pair, lines[v]);
                }
            }
            weights = weights.wrapping_add(width);
            input += 2;
            if input >= depth {
                break;
            }
        }
        sums
    }
}

#[inline(always)]
pub(super) unsafe fn quantise<L: Lanes>(planes: &[Line], limit: f32, rows: &mut [i16], scales: &mut [f32]) {
    let n_pixels = scales.len();
    let n_planes = planes.len().checked_div(n_pixels).unwrap_or(0);
    for (pixel, scale) in scales.iter_mut().enumerate() {
        // SAFETY: there are `n_pixels` lines in each of `n_planes` planes and a row of 16 numbers of each for each pixel.
        unsafe {
            let first = planes.as_ptr().add(pixel);
            let mut largest = L::splat(0.0);
            for plane in 0..n_planes {
                largest = largest.max_abs(L::load(first.add(plane * n_pixels)));
            }
            let largest = largest.largest();
            let is_some = largest > LARGEST_MIN;
            *scale = if is_some { largest / limit } else { 0.0 };
            let factor = L::splat(if is_some { limit / largest } else { 0.0 });
            let row = rows.as_mut_ptr().add(pixel * n_planes * LANES);
            for plane in 0..n_planes {
                L::load(first.add(plane * n_pixels)).times(factor).store_integers(row.add(plane * LANES));
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn depthwise<L: Lanes>(job: &Depthwise<'_>, out: &mut [Line]) {
    // SAFETY: see the module's page.
    unsafe {
        match job.stride {
            1 => depthwise_rows::<L, 1>(job, out),
            _ => depthwise_rows::<L, 2>(job, out),
        }
    }
}

#[inline(always)]
unsafe fn depthwise_rows<L: Lanes, const S: usize>(job: &Depthwise<'_>, out: &mut [Line]) {
    for (row_idx, row) in out.chunks_exact_mut(job.width).enumerate() {
        let input = &job.input[row_idx * S * job.row_len..];
        let mut x = 0;
        // SAFETY: see the module's page.
        unsafe {
            while x + 4 <= job.width {
                depthwise_tile::<L, S, 4>(job, input, x, row);
                x += 4;
            }
            while x < job.width {
                depthwise_tile::<L, S, 1>(job, input, x, row);
                x += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn depthwise_tile<L: Lanes, const S: usize, const T: usize>(
    job: &Depthwise<'_>,
    input: &[Line],
    x: usize,
    out: &mut [Line],
) {
    /// Most lines of a row that outputs of a tile need: 4 outputs, 2 lines apart.
    const COLUMNS_MAX: usize = 9;
    let n_columns = S * (T - 1) + 3;
    // SAFETY: the input has three rows of `row_len` lines, in each of them `n_columns` lines from `x * S` on, and the
    // row of outputs has T lines from `x` on.
    unsafe {
        let mut sums = [L::load(&job.finish.bias); T];
        for kernel_row in 0..3 {
            let first = input.as_ptr().add(kernel_row * job.row_len + x * S);
            let mut lines = [L::load(first); COLUMNS_MAX];
            for column in 1..n_columns {
                lines[column] = L::load(first.add(column));
            }
            if kernel_row == 2 && T > 1 {
                // Of the only row that no tile has read before; those of many channels lie in no cache near by.
                for column in 0..S * T {
                    L::fetch(first.wrapping_add(FETCHED_AHEAD + column));
                }
            }
            for kernel_column in 0..3 {
                let weight = L::load(&job.weights[kernel_row * 3 + kernel_column]);
                for t in 0..T {
                    sums[t] = lines[S * t + kernel_column].times_plus(weight, sums[t]);
                }
            }
        }
        let slope = L::load(&job.finish.slope);
        for t in 0..T {
            sums[t].bent(slope).store(out.as_mut_ptr().add(x + t));
        }
    }
}

#[inline(always)]
pub(super) unsafe fn dense<L: Lanes, const R: usize, const V: usize>(job: &Dense<'_>, out: &mut [Line]) {
    let n_lines = job.finish.len();
    let mut first = 0;
    while first < n_lines {
        let n_taken = V.min(n_lines - first);
        // SAFETY: see the module's page.
        unsafe {
            match n_taken {
                1 => dense_rows::<L, R, 1>(job, first, out),
                _ => dense_rows::<L, R, 2>(job, first, out),
            }
        }
        first += n_taken;
    }
}

#[inline(always)]
unsafe fn dense_rows<L: Lanes, const R: usize, const V: usize>(job: &Dense<'_>, first: usize, out: &mut [Line]) {
    for (row_idx, &place) in job.places.iter().enumerate() {
        let mut x = 0;
        // SAFETY: see the module's page.
        unsafe {
            while x + R <= job.width {
                dense_tile::<L, R, V>(job, first, (row_idx, x), place as usize + x, out);
                x += R;
            }
            while x < job.width {
                dense_tile::<L, 1, V>(job, first, (row_idx, x), place as usize + x, out);
                x += 1;
            }
        }
    }
}

#[inline(always)]
unsafe fn dense_tile<L: Lanes, const R: usize, const V: usize>(
    job: &Dense<'_>,
    first: usize,
    (row_idx, x): (usize, usize),
    place: usize,
    out: &mut [Line],
) {
    let n_weights = job.kernel_rows * job.run;
    // SAFETY: the input has the rows of the kernel from `row_idx * row_step` on and in each of them the runs of R places
    // from `x * step` on; there are V lines of outputs from `first` on, each with its weights and its plane.
    unsafe {
        let mut sums = [[L::load(&job.finish[first].bias); V]; R];
        if V > 1 {
            let bias = L::load(&job.finish[first + V - 1].bias);
            for r in 0..R {
                sums[r][V - 1] = bias;
            }
        }
        let weights = job.weights.as_ptr().add(first * n_weights);
        for kernel_row in 0..job.kernel_rows {
            let input = job.input.as_ptr().add((row_idx * job.row_step + kernel_row) * job.row_len + x * job.step);
            for idx in 0..job.run {
                let at = kernel_row * job.run + idx;
                let mut lines = [L::load(weights.add(at)); V];
                for v in 1..V {
                    lines[v] = L::load(weights.add(v * n_weights + at));
                }
                for r in 0..R {
                    let number = L::splat(*input.add(r * job.step + idx));
                    for v in 0..V {
                        sums[r][v] = number.times_plus(lines[v], sums[r][v]);
                    }
                }
            }
        }
        for v in 0..V {
            let slope = L::load(&job.finish[first + v].slope);
            let plane = out.as_mut_ptr().add((first + v) * job.plane_len + place);
            for r in 0..R {
                sums[r][v].bent(slope).store(plane.add(r));
            }
        }
    }
}

#[inline(always)]
pub(super) unsafe fn full<L: Lanes, const V: usize>(job: &Full<'_>, out: &mut [Line]) {
    let n_lines = job.bias.len();
    let mut first = 0;
    while first < n_lines {
        let group = first / FULL_LINES * FULL_LINES;
        let left = FULL_LINES.min(n_lines - group) - (first - group);
        // SAFETY: see the module's page.
        unsafe {
            first += match V.min(left) {
                8.. => full_lines::<L, 8>(job, first, out),
                4..8 => full_lines::<L, 4>(job, first, out),
                2..4 => full_lines::<L, 2>(job, first, out),
                _ => full_lines::<L, 1>(job, first, out),
            }
        }
    }
}

/// Makes V lines of outputs of each vector; gives V. The weights of a block are read from memory once for all vectors.
#[inline(always)]
unsafe fn full_lines<L: Lanes, const V: usize>(job: &Full<'_>, first: usize, out: &mut [Line]) -> usize {
    let n_lines = job.bias.len();
    let group = first / FULL_LINES * FULL_LINES;
    let width = FULL_LINES.min(n_lines - group);
    let (n_pairs, n_blocks, n_vectors) = (job.n_inputs / 2, job.n_inputs / FULL_BLOCK, job.scales.len());
    // SAFETY: from `first` on there are V lines in the group, and for each pair of inputs a line of weights and for each
    // block one of terms for each of them; each vector has `n_inputs` numbers, `n_blocks` sums and `n_lines` outputs.
    unsafe {
        for vector in 0..n_vectors {
            out[vector * n_lines + first..][..V].fill(Line::ZERO);
        }
        let group_weights = job.weights.as_ptr().add(group * n_pairs + (first - group));
        let group_terms = job.terms.as_ptr().add(group * n_blocks + (first - group));
        for block in 0..n_blocks {
            let terms = group_terms.add(block * width);
            for vector in 0..n_vectors {
                let input = job.inputs.as_ptr().add(vector * job.n_inputs + block * FULL_BLOCK);
                let totals = out.as_mut_ptr().add(vector * n_lines + first);
                let mut sums = [L::no_sums(); V];
                for pair in 0..FULL_BLOCK / 2 {
                    let inputs = L::splat_pair(input.add(2 * pair));
                    let weights = group_weights.add((block * (FULL_BLOCK / 2) + pair) * width);
                    for v in 0..V {
                        sums[v] = L::dot(sums[v], inputs, L::load_bytes(weights.add(v)));
                    }
                }
                let block_sum = L::splat(*job.block_sums.get_unchecked(vector * n_blocks + block));
                for v in 0..V {
                    let [one, zero] = &*terms.add(v);
                    let total = L::to_floats(sums[v]).times_plus(L::load(one), L::load(totals.add(v)));
                    block_sum.times_plus(L::load(zero), total).store(totals.add(v));
                }
            }
        }
        for vector in 0..n_vectors {
            for v in 0..V {
                let total = out.as_mut_ptr().add(vector * n_lines + first + v);
                let (scale, bias) = (L::splat(job.scales[vector]), L::load(&job.bias[first + v]));
                L::load(total).times_plus(scale, bias).store(total);
            }
        }
    }
    V
}
