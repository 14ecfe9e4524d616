//! Pixels made of weighted old ones, row by row and column by column: what shrinking a picture and cropping it share.
//!
//! Rows come first, since whole rows add up without regard to where pixels begin, which compilers turn into SIMD; rows
//! of the same weight are added as whole numbers before they are weighted. Columns then have only as many rows as the
//! new picture. `fast_image_resize` is faster still, but its box filter takes whole old pixels only: at ratios such as
//! 3.6 its pixels are up to 32 levels from the mean of the area.

use super::kernel::{Columns, Kernel};

/// Which old pixels a new one covers, and how much of it each fills; weights sum to 1, or to less where a part of it lies
/// outside the picture.
pub(crate) struct Coverage {
    pub(crate) first: usize,
    pub(crate) weights: Vec<f32>,
}

impl Coverage {
    fn end(&self) -> usize {
        self.first + self.weights.len()
    }
}

/// Rows that sums of 16 bits hold: 257 times 255 is their largest number.
const ROWS_MAX: usize = 257;

/// The RGB bytes of the picture with these columns and rows, which must lie inside the old one of RGB bytes `data` and
/// of `width` pixels.
pub(crate) fn resample(data: &[u8], width: usize, columns: &[Coverage], rows: &[Coverage]) -> Vec<u8> {
    resampled(Kernel::get(), data, width, columns, rows)
}

/// The same with these loops.
pub(super) fn resampled(
    kernel: &Kernel,
    data: &[u8],
    width: usize,
    columns: &[Coverage],
    rows: &[Coverage],
) -> Vec<u8> {
    let covered = || columns.iter().filter(|column| !column.weights.is_empty());
    let start = covered().map(|column| column.first).min().unwrap_or(0);
    let end = covered().map(Coverage::end).max().unwrap_or(0).max(start);
    let line = |y: usize| &data[(y * width + start) * 3..(y * width + end) * 3];
    let taps = taps(columns, start, end);
    let mut totals = vec![0.0_f32; (end - start) * 3 + 1];
    let mut sums = vec![0_u16; (end - start) * 3];
    let mut pixels = vec![0.0_f32; columns.len() * 3 + 1];
    let mut resampled = vec![0; columns.len() * rows.len() * 3];
    for (row, out) in rows.iter().zip(resampled.chunks_exact_mut(columns.len() * 3)) {
        totals.fill(0.0);
        let mut y = row.first;
        for run in row.weights.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(ROWS_MAX)) {
            if let [weight] = run {
                (kernel.add_weighted_bytes)(&mut totals, line(y), *weight);
            } else {
                (kernel.add_two)(&mut sums, line(y), line(y + 1));
                (y + 2..y + run.len()).for_each(|y| (kernel.add)(&mut sums, line(y)));
                (kernel.add_weighted_sums)(&mut totals, &sums, run[0]);
            }
            y += run.len();
        }
        (kernel.narrow)(&totals, &taps, &mut pixels, out);
    }
    resampled
}

/// The columns with as many old pixels each, of those from `start` to `end`.
fn taps(columns: &[Coverage], start: usize, end: usize) -> Columns {
    let n_taps = columns.iter().map(|column| column.weights.len()).max().unwrap_or(0);
    let (mut firsts, mut weights) = (Vec::with_capacity(columns.len()), Vec::with_capacity(columns.len() * n_taps));
    for column in columns {
        let first = if column.weights.is_empty() { start } else { column.first };
        // Further left where it would reach beyond the end; what it does not cover weighs nothing.
        let moved = first.min(end - n_taps);
        firsts.push((moved - start) as u32);
        let n_before = if column.weights.is_empty() { 0 } else { first - moved };
        weights.resize(weights.len() + n_before, 0.0);
        weights.extend_from_slice(&column.weights);
        weights.resize(firsts.len() * n_taps, 0.0);
    }
    Columns { firsts, weights, n_taps }
}
