//! The inner loops without vector instructions, for other processors and as what the others are compared with.
#![expect(unsafe_code, reason = "reads and writes whose bounds were checked once for all loops")]

use super::lanes::{ByteLanes, Lanes};
use super::{ByteLine, BytePointwise, Kernel, LANES, Line, Packing, PairLine, QuadLine};
use super::{bytes, convolve, elementwise, loops, words};

/// Runs everywhere.
pub(super) static KERNEL: Kernel = Kernel {
    name: "portable",
    packing: Packing::Pairs,
    // SAFETY: needs no instruction set; the bounds are checked by `Kernel`.
    dense: |job, out| unsafe { loops::dense::<Plain, 4, 1>(job, out) },
    // SAFETY: as above.
    depthwise: |job, out| unsafe { loops::depthwise::<Plain>(job, out) },
    // SAFETY: as above.
    quantise: |planes, limit, rows, scales| unsafe { loops::quantise::<Plain>(planes, limit, rows, scales) },
    // SAFETY: as above.
    pointwise: |job, _, out| unsafe { loops::pointwise::<Plain, 4, 1>(job, out) },
    quantise_bytes,
    pointwise_bytes,
    // SAFETY: as above.
    full: |job, out| unsafe { loops::full::<Plain, 1>(job, out) },
    // SAFETY: as above.
    convolution: |job, out| unsafe { convolve::convolution::<Plain, 4, 1, 1, 1>(job, out) },
    // SAFETY: as above.
    word_convolution: |job, rows, out| unsafe { words::convolution::<Plain, 4, 4, 1>(job, rows, out) },
    // SAFETY: as above.
    depthwise_convolution: |job, out| unsafe { convolve::depthwise_convolution::<Plain>(job, out) },
    // SAFETY: as above.
    max_pool: |input, size, out| unsafe { elementwise::max_pool::<Plain>(input, size, out) },
    // SAFETY: as above.
    sums: |a, b, out| unsafe { elementwise::sums::<Plain>(a, b, out) },
    // SAFETY: as above.
    sums_with_halved: |input, width, halved, out| unsafe {
        elementwise::sums_with_halved::<Plain>(input, width, halved, out)
    },
};

/// See [`Kernel::quantise_bytes`].
pub(super) fn quantise_bytes(planes: &[Line], n_pixels: usize, rows: &mut [i8], scales: &mut [[f32; 2]]) {
    // SAFETY: needs no instruction set; the bounds are checked by `Kernel`.
    unsafe { bytes::quantise::<Plain>(planes, n_pixels, rows, scales) }
}

/// See [`Kernel::pointwise_bytes`].
pub(super) fn pointwise_bytes(job: &BytePointwise<'_>, out: &mut [Line]) {
    // SAFETY: as above.
    unsafe { bytes::pointwise::<Plain, 4, 1>(job, out) }
}

#[derive(Clone, Copy)]
struct Plain([f32; LANES]);

impl Plain {
    #[inline(always)]
    fn map(self, other: Self, f: impl Fn(f32, f32) -> f32) -> Self {
        Self(std::array::from_fn(|lane| f(self.0[lane], other.0[lane])))
    }
}

// SAFETY of all functions: the caller vouches for the pointers.
impl Lanes for Plain {
    type Sums = [i32; LANES];
    type Pairs = [i16; 2 * LANES];

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        Self([number; LANES])
    }

    #[inline(always)]
    unsafe fn load(line: *const Line) -> Self {
        // SAFETY: see above.
        Self(unsafe { line.read() }.0)
    }

    #[inline(always)]
    unsafe fn store(self, line: *mut Line) {
        // SAFETY: see above.
        unsafe { line.write(Line(self.0)) }
    }

    #[inline(always)]
    unsafe fn times(self, factor: Self) -> Self {
        self.map(factor, |a, b| a * b)
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        self.map(other, |a, b| a + b)
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self {
        Self(std::array::from_fn(|lane| self.0[lane].mul_add(factor.0[lane], sum.0[lane])))
    }

    #[inline(always)]
    unsafe fn bent(self, slope: Self) -> Self {
        self.map(slope, |number, slope| if number < 0.0 { number * slope } else { number })
    }

    #[inline(always)]
    unsafe fn larger(self, other: Self) -> Self {
        self.map(other, |a, b| if a > b { a } else { b })
    }

    #[inline(always)]
    unsafe fn max_abs(self, other: Self) -> Self {
        self.map(other, |largest, number| largest.max(number.abs()))
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        self.0.into_iter().fold(0.0, f32::max)
    }

    #[inline(always)]
    unsafe fn store_integers(self, to: *mut i16) {
        // SAFETY: see above.
        unsafe { to.cast::<[i16; LANES]>().write_unaligned(self.0.map(|number| number.round_ties_even() as i16)) }
    }

    #[inline(always)]
    unsafe fn no_sums() -> Self::Sums {
        [0; LANES]
    }

    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self {
        Self(sums.map(|sum| sum as f32))
    }

    #[inline(always)]
    unsafe fn load_pairs(line: *const PairLine) -> Self::Pairs {
        // SAFETY: see above.
        unsafe { line.read() }.0
    }

    #[inline(always)]
    unsafe fn load_bytes(line: *const ByteLine) -> Self::Pairs {
        // SAFETY: see above.
        unsafe { line.read() }.0.map(i16::from)
    }

    #[inline(always)]
    unsafe fn splat_pair(pair: *const i16) -> Self::Pairs {
        // SAFETY: see above.
        let [first, second] = unsafe { pair.cast::<[i16; 2]>().read_unaligned() };
        std::array::from_fn(|idx| if idx.is_multiple_of(2) { first } else { second })
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        let product = |idx: usize| i32::from(a[idx]) * i32::from(b[idx]);
        std::array::from_fn(|lane| sums[lane].wrapping_add(product(2 * lane).wrapping_add(product(2 * lane + 1))))
    }
}

// SAFETY of all functions: as above.
impl ByteLanes for Plain {
    type Quads = [i16; 4 * LANES];

    #[inline(always)]
    unsafe fn to_integers(self) -> Self::Sums {
        self.0.map(|number| number.round_ties_even() as i32)
    }

    #[inline(always)]
    unsafe fn plus_sums(a: Self::Sums, b: Self::Sums) -> Self::Sums {
        std::array::from_fn(|lane| a[lane].wrapping_add(b[lane]))
    }

    #[inline(always)]
    unsafe fn total(sums: Self::Sums) -> i32 {
        sums.into_iter().fold(0, i32::wrapping_add)
    }

    #[inline(always)]
    unsafe fn store_bytes(integers: Self::Sums, to: *mut i8) {
        // SAFETY: see above.
        unsafe { to.cast::<[i8; LANES]>().write(integers.map(|integer| integer as i8)) }
    }

    #[inline(always)]
    unsafe fn load_quads(line: *const QuadLine) -> Self::Quads {
        // SAFETY: see above.
        unsafe { line.read() }.0.map(i16::from)
    }

    #[inline(always)]
    unsafe fn splat_quad(quad: *const i8) -> Self::Quads {
        // SAFETY: see above.
        let quad = unsafe { quad.cast::<[i8; 4]>().read() };
        std::array::from_fn(|idx| i16::from(quad[idx % 4]))
    }

    #[inline(always)]
    unsafe fn dot_quads(sums: Self::Sums, weights: Self::Quads, numbers: Self::Quads) -> Self::Sums {
        let product = |idx: usize| i32::from(weights[idx]) * i32::from(numbers[idx]);
        std::array::from_fn(|lane| sums[lane].wrapping_add((4 * lane..4 * lane + 4).map(product).sum()))
    }
}
