//! Pixels made of weighted old ones, row by row and column by column: what shrinking a picture and cropping it share.
//!
//! Rows come first, since whole rows add up without regard to where pixels begin, which compilers turn into SIMD; rows
//! of the same weight are added as whole numbers before they are weighted. Columns then have only as many rows as the
//! new picture. `fast_image_resize` is faster still, but its box filter takes whole old pixels only: at ratios such as
//! 3.6 its pixels are up to 32 levels from the mean of the area.

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
    let covered = || columns.iter().filter(|column| !column.weights.is_empty());
    let start = covered().map(|column| column.first).min().unwrap_or(0);
    let end = covered().map(Coverage::end).max().unwrap_or(0);
    let line = |y: usize| &data[(y * width + start) * 3..(y * width + end) * 3];
    // One number more than there are, so that each pixel can be read as four.
    let mut totals = vec![0.0_f32; (end - start) * 3 + 1];
    let mut sums = vec![0_u16; (end - start) * 3];
    let mut resampled = vec![0; columns.len() * rows.len() * 3];
    for (row, out) in rows.iter().zip(resampled.chunks_exact_mut(columns.len() * 3)) {
        totals.fill(0.0);
        let mut y = row.first;
        for run in row.weights.chunk_by(|a, b| a == b).flat_map(|run| run.chunks(ROWS_MAX)) {
            if let [weight] = run {
                add_weighted(&mut totals, line(y), *weight);
            } else {
                add_two(&mut sums, line(y), line(y + 1));
                (y + 2..y + run.len()).for_each(|y| add(&mut sums, line(y)));
                add_weighted(&mut totals, &sums, run[0]);
            }
            y += run.len();
        }
        narrow(&totals, start, columns, out);
    }
    resampled
}

fn add_weighted<T: Copy + Into<f32>>(totals: &mut [f32], row: &[T], weight: f32) {
    for (total, &value) in totals.iter_mut().zip(row) {
        *total += weight * value.into();
    }
}

fn add_two(sums: &mut [u16], one: &[u8], other: &[u8]) {
    for ((sum, &one), &other) in sums.iter_mut().zip(one).zip(other) {
        *sum = u16::from(one) + u16::from(other);
    }
}

fn add(sums: &mut [u16], row: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += u16::from(value);
    }
}

/// One row of new pixels from one of old pixels, of which the first is that of column `start`.
fn narrow(totals: &[f32], start: usize, columns: &[Coverage], out: &mut [u8]) {
    let (pixels, _) = out.as_chunks_mut::<3>();
    for (pixel, column) in pixels.iter_mut().zip(columns) {
        // Half a level rounds; the fourth number is the next pixel's.
        let mut sum = [0.5_f32; 4];
        if !column.weights.is_empty() {
            let old = &totals[(column.first - start) * 3..(column.end() - start) * 3 + 1];
            for (idx, &weight) in column.weights.iter().enumerate() {
                let four = &old[idx * 3..idx * 3 + 4];
                for lane in 0..4 {
                    sum[lane] += weight * four[lane];
                }
            }
        }
        *pixel = [sum[0] as u8, sum[1] as u8, sum[2] as u8];
    }
}
