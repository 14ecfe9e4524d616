//! What the inner loops need of an instruction set.
#![expect(unsafe_code, reason = "declares functions that need an instruction set and valid pointers")]

use super::{ByteLine, Line, PairLine, QuadLine};

/// The numbers of lines, one line after another.
pub(super) fn numbers(lines: &[Line]) -> &[f32] {
    // SAFETY: a line is 16 numbers and nothing else.
    unsafe { std::slice::from_raw_parts(lines.as_ptr().cast(), lines.len() * super::LANES) }
}

/// Sixteen numbers in vector registers.
///
/// # Safety
/// Functions may be called only where the processor has the instruction set of the implementation, and pointers must be
/// valid for what is read or written there. Only [`Line`]s, [`PairLine`]s and [`ByteLine`]s need be aligned.
/// An implementation inlines all of them, so that they are compiled for that instruction set.
pub(super) trait Lanes: Copy {
    /// Sixteen sums of products.
    type Sums: Copy;
    /// Two 16-bit integers for each of sixteen sums.
    type Pairs: Copy;

    /// The same number sixteen times.
    unsafe fn splat(number: f32) -> Self;
    /// Asks for a line that is read soon; it need not be one. Nothing where the processor cannot be asked.
    #[inline(always)]
    fn fetch(_line: *const Line) {}
    /// Reads a line.
    unsafe fn load(line: *const Line) -> Self;
    /// Writes a line.
    unsafe fn store(self, line: *mut Line);
    /// `self * factor`
    unsafe fn times(self, factor: Self) -> Self;
    /// `self + other`
    unsafe fn plus(self, other: Self) -> Self;
    /// `self * factor + sum`, rounded once.
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self;
    /// The numbers that are below zero multiplied with `slope`.
    unsafe fn bent(self, slope: Self) -> Self;
    /// For each lane the larger one.
    unsafe fn larger(self, other: Self) -> Self;
    /// For each lane the larger one of `self` and the other without its sign.
    unsafe fn max_abs(self, other: Self) -> Self;
    /// The largest of the sixteen, none of which is negative.
    unsafe fn largest(self) -> f32;
    /// Writes them as integers, rounded to the nearest, the even one of two.
    unsafe fn store_integers(self, to: *mut i16);

    /// Zeros.
    unsafe fn no_sums() -> Self::Sums;
    /// The sums as floats, rounded to the nearest.
    unsafe fn to_floats(sums: Self::Sums) -> Self;
    /// Reads pairs.
    unsafe fn load_pairs(line: *const PairLine) -> Self::Pairs;
    /// Reads pairs of bytes.
    unsafe fn load_bytes(line: *const ByteLine) -> Self::Pairs;
    /// The same pair sixteen times.
    unsafe fn splat_pair(pair: *const i16) -> Self::Pairs;
    /// Adds the sum of both products to each sum, wrapping around.
    unsafe fn dot(sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums;
}

/// What sums of products of bytes need besides.
///
/// # Safety
/// As for [`Lanes`].
pub(super) trait ByteLanes: Lanes {
    /// Four bytes for each of sixteen sums.
    type Quads: Copy;

    /// The numbers as integers, rounded to the nearest, the even one of two.
    unsafe fn to_integers(self) -> Self::Sums;
    /// `a + b`
    unsafe fn plus_sums(a: Self::Sums, b: Self::Sums) -> Self::Sums;
    /// The sum of all sixteen.
    unsafe fn total(sums: Self::Sums) -> i32;
    /// Writes integers that fit bytes.
    unsafe fn store_bytes(integers: Self::Sums, to: *mut i8);
    /// Reads weights.
    unsafe fn load_quads(line: *const QuadLine) -> Self::Quads;
    /// The same four numbers sixteen times.
    unsafe fn splat_quad(quad: *const i8) -> Self::Quads;
    /// Adds the sum of four products to each sum, wrapping around: weights without a sign times numbers with one.
    unsafe fn dot_quads(sums: Self::Sums, weights: Self::Quads, numbers: Self::Quads) -> Self::Sums;
}
