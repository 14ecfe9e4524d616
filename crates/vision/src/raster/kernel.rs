//! The loops of [`super::resample`] and of pixels as numbers, written once and compiled for each instruction set; which one runs is chosen once per
//! process. All give the same bytes: each number is made by the same operations in the same order. The unsafe code is in
//! the submodules.

mod bytes;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// One implementation of the loops.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What it is called, as in `avx2`.
    #[cfg_attr(not(test), expect(dead_code, reason = "named by tests"))]
    pub(super) name: &'static str,
    /// Adds a row of bytes, each times the weight.
    pub(super) add_weighted_bytes: fn(totals: &mut [f32], row: &[u8], weight: f32),
    /// Adds a row of sums, each times the weight.
    pub(super) add_weighted_sums: fn(totals: &mut [f32], row: &[u16], weight: f32),
    /// The sums of two rows.
    pub(super) add_two: fn(sums: &mut [u16], one: &[u8], other: &[u8]),
    /// Adds a row. Sums fit 16 bits.
    pub(super) add: fn(sums: &mut [u16], row: &[u8]),
    /// See [`Columns`].
    pub(super) narrow: fn(totals: &[f32], columns: &Columns, pixels: &mut [f32], out: &mut [u8]),
    /// See [`write_numbers`].
    #[expect(clippy::type_complexity, reason = "the names of its parameters explain it")]
    pub(super) numbers: fn(row: &[u8], scaling: (f32, f32), colours: [&mut [f32]; 3]),
}

/// Writes a row of pixels as numbers, each colour (red, green, blue) to a row of its own: `(byte - mean) / scale`.
pub(crate) fn write_numbers(row: &[u8], (mean, scale): (f32, f32), colours: [&mut [f32]; 3]) {
    (Kernel::get().numbers)(row, (mean, scale), colours);
}

/// Which old pixels each new pixel of a row is made of, `n_taps` for each.
#[derive(Debug)]
pub(super) struct Columns {
    /// Number of the first old pixel.
    pub(super) firsts: Vec<u32>,
    /// The weights of each new pixel's old ones; 0 where it has fewer than `n_taps`.
    pub(super) weights: Vec<f32>,
    pub(super) n_taps: usize,
}

impl Kernel {
    /// The fastest that this processor can run.
    pub(super) fn get() -> &'static Kernel {
        static CHOSEN: OnceLock<&Kernel> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::all().first().copied().unwrap_or(&PORTABLE))
    }

    /// All that this processor can run, the fastest first.
    pub(super) fn all() -> Vec<&'static Kernel> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::kernels());
        all.push(&PORTABLE);
        all
    }
}

static PORTABLE: Kernel = Kernel {
    name: "portable",
    add_weighted_bytes: add_weighted,
    add_weighted_sums: add_weighted,
    add_two,
    add,
    narrow,
    numbers,
};

#[inline(always)]
fn add_weighted<T: Copy + Into<f32>>(totals: &mut [f32], row: &[T], weight: f32) {
    for (total, &value) in totals.iter_mut().zip(row) {
        *total += weight * value.into();
    }
}

#[inline(always)]
fn add_two(sums: &mut [u16], one: &[u8], other: &[u8]) {
    for ((sum, &one), &other) in sums.iter_mut().zip(one).zip(other) {
        *sum = u16::from(one) + u16::from(other);
    }
}

#[inline(always)]
fn add(sums: &mut [u16], row: &[u8]) {
    for (sum, &value) in sums.iter_mut().zip(row) {
        *sum += u16::from(value);
    }
}

/// One row of new pixels from one of old pixels: three numbers each, and one more behind the last, so that each can be
/// read as four. `pixels` is as long as `out` and one number longer.
#[inline(always)]
fn narrow(totals: &[f32], columns: &Columns, pixels: &mut [f32], out: &mut [u8]) {
    // The usual numbers of taps, so that the loop over them is unrolled.
    match columns.n_taps {
        1 => narrow_by::<1>(totals, columns, pixels),
        2 => narrow_by::<2>(totals, columns, pixels),
        3 => narrow_by::<3>(totals, columns, pixels),
        4 => narrow_by::<4>(totals, columns, pixels),
        5 => narrow_by::<5>(totals, columns, pixels),
        _ => narrow_by::<0>(totals, columns, pixels),
    }
    bytes::truncated(pixels, out);
}

/// `N` is the number of taps; 0 is any.
#[inline(always)]
fn narrow_by<const N: usize>(totals: &[f32], columns: &Columns, pixels: &mut [f32]) {
    let n_taps = if N == 0 { columns.n_taps } else { N };
    if n_taps == 0 {
        return pixels.fill(0.0);
    }
    let weights = columns.weights.chunks_exact(n_taps);
    for (new_idx, (&first, weights)) in columns.firsts.iter().zip(weights).enumerate() {
        // Half a level rounds; the fourth number is the next pixel's.
        let mut sum = [0.5_f32; 4];
        let old = &totals[first as usize * 3..][..n_taps * 3 + 1];
        for (idx, &weight) in weights.iter().enumerate() {
            let four = &old[idx * 3..idx * 3 + 4];
            for lane in 0..4 {
                sum[lane] += weight * four[lane];
            }
        }
        pixels[new_idx * 3..new_idx * 3 + 4].copy_from_slice(&sum);
    }
}

/// Pixels converted at a time: one register of bytes for each colour.
const LANES: usize = 16;

#[inline(always)]
fn numbers(row: &[u8], (mean, scale): (f32, f32), colours: [&mut [f32]; 3]) {
    // A division by 1 changes nothing but takes a third of the time.
    if scale == 1.0 {
        numbers_by(row, |byte| f32::from(byte) - mean, colours);
    } else {
        numbers_by(row, |byte| (f32::from(byte) - mean) / scale, colours);
    }
}

#[inline(always)]
fn numbers_by(row: &[u8], number: impl Fn(u8) -> f32, [red, green, blue]: [&mut [f32]; 3]) {
    let (pixels, _) = row.as_chunks::<3>();
    let (groups, rest) = pixels.as_chunks::<LANES>();
    let ((reds, red), (greens, green), (blues, blue)) =
        (red.as_chunks_mut::<LANES>(), green.as_chunks_mut::<LANES>(), blue.as_chunks_mut::<LANES>());
    for (group, ((red, green), blue)) in groups.iter().zip(reds.iter_mut().zip(greens).zip(blues)) {
        // Taken apart as bytes first: a loop that writes three rows of numbers at once is not turned into SIMD.
        *red = group.map(|pixel| pixel[0]).map(&number);
        *green = group.map(|pixel| pixel[1]).map(&number);
        *blue = group.map(|pixel| pixel[2]).map(&number);
    }
    for (pixel, ((red, green), blue)) in rest.iter().zip(red.iter_mut().zip(green).zip(blue)) {
        (*red, *green, *blue) = (number(pixel[0]), number(pixel[1]), number(pixel[2]));
    }
}
