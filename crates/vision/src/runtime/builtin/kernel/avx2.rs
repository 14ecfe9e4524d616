//! The inner loops with AVX2 and FMA.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use std::arch::x86_64::*;

use super::lanes::Lanes;
use super::{ByteLine, Convolution, Dense, Depthwise, DepthwiseConvolution, Full, Kernel, Line, Packing, PairLine};
use super::{Pointwise, WordConvolution, convolve, elementwise, loops, portable, words};

/// The kernel, if this processor can run it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    (is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma")).then_some(&KERNEL)
}

// Reached through `kernel` only, which has asked the processor for both.
static KERNEL: Kernel = Kernel {
    name: "avx2",
    packing: Packing::Pairs,
    // SAFETY: the processor has the instructions, see above; the bounds are checked by `Kernel`.
    dense: |job, out| unsafe { dense(job, out) },
    // SAFETY: as above.
    depthwise: |job, out| unsafe { depthwise(job, out) },
    // SAFETY: as above.
    quantise: |planes, limit, rows, scales| unsafe { quantise(planes, limit, rows, scales) },
    // SAFETY: as above.
    pointwise: |job, _, out| unsafe { pointwise(job, out) },
    // Sums of products of bytes saturate here, and 16-bit integers are quicker.
    quantise_bytes: portable::quantise_bytes,
    pointwise_bytes: portable::pointwise_bytes,
    // SAFETY: as above.
    full: |job, out| unsafe { full(job, out) },
    // SAFETY: as above.
    convolution: |job, out| unsafe { convolution(job, out) },
    // SAFETY: as above.
    word_convolution: |job, rows, out| unsafe { word_convolution(job, rows, out) },
    // SAFETY: as above.
    depthwise_convolution: |job, out| unsafe { depthwise_convolution(job, out) },
    // SAFETY: as above.
    max_pool: |input, size, out| unsafe { max_pool(input, size, out) },
    // SAFETY: as above.
    sums: |a, b, out| unsafe { sums(a, b, out) },
    // SAFETY: as above.
    sums_with_halved: |input, width, halved, out| unsafe { sums_with_halved(input, width, halved, out) },
};

#[target_feature(enable = "avx2,fma")]
fn dense(job: &Dense<'_>, out: &mut [Line]) {
    // SAFETY: compiled for these instructions, and `Kernel` has checked the bounds.
    unsafe { loops::dense::<Avx2, 4, 1>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn depthwise(job: &Depthwise<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::depthwise::<Avx2>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn quantise(planes: &[Line], limit: f32, rows: &mut [i16], scales: &mut [f32]) {
    // SAFETY: as in `dense`.
    unsafe { loops::quantise::<Avx2>(planes, limit, rows, scales) }
}

#[target_feature(enable = "avx2,fma")]
fn pointwise(job: &Pointwise<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::pointwise::<Avx2, 4, 1>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn full(job: &Full<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::full::<Avx2, 4>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn convolution(job: &Convolution<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { convolve::convolution::<Avx2, 6, 1, 1, 1>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn word_convolution(job: &WordConvolution<'_>, rows: &mut [i16], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { words::convolution::<Avx2, 4, 4, 1>(job, rows, out) }
}

#[target_feature(enable = "avx2,fma")]
fn depthwise_convolution(job: &DepthwiseConvolution<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { convolve::depthwise_convolution::<Avx2>(job, out) }
}

#[target_feature(enable = "avx2,fma")]
fn max_pool(input: &[Line], size: [usize; 2], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::max_pool::<Avx2>(input, size, out) }
}

#[target_feature(enable = "avx2,fma")]
fn sums(a: &[Line], b: &[Line], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::sums::<Avx2>(a, b, out) }
}

#[target_feature(enable = "avx2,fma")]
fn sums_with_halved(input: &[Line], width: usize, halved: &[Line], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::sums_with_halved::<Avx2>(input, width, halved, out) }
}

/// The lower and the upper half.
#[derive(Clone, Copy)]
struct Avx2([__m256; 2]);

// SAFETY of all functions: the caller vouches for the instruction set and the pointers.
impl Lanes for Avx2 {
    type Sums = [__m256i; 2];
    type Pairs = [__m256i; 2];

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: see above.
        Self([unsafe { _mm256_set1_ps(number) }; 2])
    }

    #[inline(always)]
    fn fetch(line: *const Line) {
        // SAFETY: reads nothing, whatever the pointer.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    #[inline(always)]
    unsafe fn load(line: *const Line) -> Self {
        let line: *const f32 = line.cast();
        // SAFETY: see above. A line is twice 8 numbers.
        Self(unsafe { [_mm256_load_ps(line), _mm256_load_ps(line.add(8))] })
    }

    #[inline(always)]
    unsafe fn store(self, line: *mut Line) {
        let line: *mut f32 = line.cast();
        // SAFETY: as in `load`.
        unsafe {
            _mm256_store_ps(line, self.0[0]);
            _mm256_store_ps(line.add(8), self.0[1]);
        }
    }

    #[inline(always)]
    unsafe fn times(self, factor: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { [_mm256_mul_ps(self.0[0], factor.0[0]), _mm256_mul_ps(self.0[1], factor.0[1])] })
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { [_mm256_add_ps(self.0[0], other.0[0]), _mm256_add_ps(self.0[1], other.0[1])] })
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            Self([_mm256_fmadd_ps(self.0[0], factor.0[0], sum.0[0]), _mm256_fmadd_ps(self.0[1], factor.0[1], sum.0[1])])
        }
    }

    #[inline(always)]
    unsafe fn bent(self, slope: Self) -> Self {
        // SAFETY: see above. The sign of a mask's numbers says which is taken.
        unsafe {
            let product = self.times(slope).0;
            let zero = _mm256_setzero_ps();
            let negative = [_mm256_cmp_ps::<_CMP_LT_OQ>(self.0[0], zero), _mm256_cmp_ps::<_CMP_LT_OQ>(self.0[1], zero)];
            Self([
                _mm256_blendv_ps(self.0[0], product[0], negative[0]),
                _mm256_blendv_ps(self.0[1], product[1], negative[1]),
            ])
        }
    }

    #[inline(always)]
    unsafe fn larger(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { [_mm256_max_ps(self.0[0], other.0[0]), _mm256_max_ps(self.0[1], other.0[1])] })
    }

    #[inline(always)]
    unsafe fn max_abs(self, other: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let sign = _mm256_set1_ps(-0.0);
            Self([
                _mm256_max_ps(self.0[0], _mm256_andnot_ps(sign, other.0[0])),
                _mm256_max_ps(self.0[1], _mm256_andnot_ps(sign, other.0[1])),
            ])
        }
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: see above.
        unsafe {
            let eight = _mm256_max_ps(self.0[0], self.0[1]);
            let four = _mm_max_ps(_mm256_castps256_ps128(eight), _mm256_extractf128_ps::<1>(eight));
            let two = _mm_max_ps(four, _mm_movehl_ps(four, four));
            _mm_cvtss_f32(_mm_max_ss(two, _mm_movehdup_ps(two)))
        }
    }

    #[inline(always)]
    unsafe fn store_integers(self, to: *mut i16) {
        // SAFETY: see above. Sixteen integers of 16 bits are 256 bits.
        unsafe {
            let packed = _mm256_packs_epi32(_mm256_cvtps_epi32(self.0[0]), _mm256_cvtps_epi32(self.0[1]));
            // Packing goes by halves: the second and third quarter have changed places.
            _mm256_storeu_si256(to.cast(), _mm256_permute4x64_epi64::<0b11_01_10_00>(packed));
        }
    }

    #[inline(always)]
    unsafe fn no_sums() -> Self::Sums {
        // SAFETY: see above.
        [unsafe { _mm256_setzero_si256() }; 2]
    }

    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self {
        // SAFETY: see above.
        Self(unsafe { [_mm256_cvtepi32_ps(sums[0]), _mm256_cvtepi32_ps(sums[1])] })
    }

    #[inline(always)]
    unsafe fn load_pairs(line: *const PairLine) -> Self::Pairs {
        let line: *const __m256i = line.cast();
        // SAFETY: see above. A line is twice 256 bits.
        unsafe { [_mm256_load_si256(line), _mm256_load_si256(line.add(1))] }
    }

    #[inline(always)]
    unsafe fn load_bytes(line: *const ByteLine) -> Self::Pairs {
        let line: *const __m128i = line.cast();
        // SAFETY: see above. A line is twice 128 bits.
        unsafe { [_mm256_cvtepi8_epi16(_mm_load_si128(line)), _mm256_cvtepi8_epi16(_mm_load_si128(line.add(1)))] }
    }

    #[inline(always)]
    unsafe fn splat_pair(pair: *const i16) -> Self::Pairs {
        // SAFETY: see above. A pair is 32 bits.
        [unsafe { _mm256_set1_epi32(pair.cast::<i32>().read_unaligned()) }; 2]
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        // SAFETY: see above.
        unsafe {
            [
                _mm256_add_epi32(sums[0], _mm256_madd_epi16(a[0], b[0])),
                _mm256_add_epi32(sums[1], _mm256_madd_epi16(a[1], b[1])),
            ]
        }
    }
}
