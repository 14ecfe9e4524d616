//! The inner loops with AVX-512 and its instructions for sums of products of 16-bit integers (VNNI).
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use std::arch::asm;
use std::arch::x86_64::*;

use super::lanes::{ByteLanes, Lanes};
use super::{
    ByteLine, BytePointwise, Convolution, Dense, Depthwise, DepthwiseConvolution, Full, Kernel, Line, Packing,
};
use super::{PairLine, Pointwise, QuadLine, WordConvolution, bytes, convolve, elementwise, loops, words};

/// The kernel, if this processor can run it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    let has_all = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl")
        && is_x86_feature_detected!("avx512vnni")
        && is_x86_feature_detected!("avx2")
        && is_x86_feature_detected!("fma");
    has_all.then_some(&KERNEL)
}

// Reached through `kernel` only, which has asked the processor for all of it.
pub(super) const KERNEL: Kernel = Kernel {
    name: "avx512-vnni",
    packing: Packing::Pairs,
    // SAFETY: the processor has the instructions, see above; the bounds are checked by `Kernel`.
    dense: |job, out| unsafe { dense(job, out) },
    // SAFETY: as above.
    depthwise: |job, out| unsafe { depthwise(job, out) },
    // SAFETY: as above.
    quantise: |planes, limit, rows, scales| unsafe { quantise(planes, limit, rows, scales) },
    // SAFETY: as above.
    pointwise: |job, _, out| unsafe { pointwise(job, out) },
    // SAFETY: as above.
    quantise_bytes: |planes, n_pixels, rows, scales| unsafe { quantise_bytes(planes, n_pixels, rows, scales) },
    // SAFETY: as above.
    pointwise_bytes: |job, out| unsafe { pointwise_bytes(job, out) },
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

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn dense(job: &Dense<'_>, out: &mut [Line]) {
    // SAFETY: compiled for these instructions, and `Kernel` has checked the bounds.
    unsafe { loops::dense::<Avx512, 6, 2>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn depthwise(job: &Depthwise<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::depthwise::<Avx512>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn quantise(planes: &[Line], limit: f32, rows: &mut [i16], scales: &mut [f32]) {
    // SAFETY: as in `dense`.
    unsafe { loops::quantise::<Avx512>(planes, limit, rows, scales) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn pointwise(job: &Pointwise<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::pointwise::<Avx512, 6, 4>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn quantise_bytes(planes: &[Line], n_pixels: usize, rows: &mut [i8], scales: &mut [[f32; 2]]) {
    // SAFETY: as in `dense`.
    unsafe { bytes::quantise::<Avx512>(planes, n_pixels, rows, scales) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn pointwise_bytes(job: &BytePointwise<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { bytes::pointwise::<Avx512, 6, 4>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn full(job: &Full<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { loops::full::<Avx512, 8>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn convolution(job: &Convolution<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { convolve::convolution::<Avx512, 12, 12, 6, 4>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn word_convolution(job: &WordConvolution<'_>, rows: &mut [i16], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { words::convolution::<Avx512, 12, 6, 4>(job, rows, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn depthwise_convolution(job: &DepthwiseConvolution<'_>, out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { convolve::depthwise_convolution::<Avx512>(job, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn max_pool(input: &[Line], size: [usize; 2], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::max_pool::<Avx512>(input, size, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn sums(a: &[Line], b: &[Line], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::sums::<Avx512>(a, b, out) }
}

#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn sums_with_halved(input: &[Line], width: usize, halved: &[Line], out: &mut [Line]) {
    // SAFETY: as in `dense`.
    unsafe { elementwise::sums_with_halved::<Avx512>(input, width, halved, out) }
}

#[derive(Clone, Copy)]
struct Avx512(__m512);

// SAFETY of all functions: the caller vouches for the instruction set and the pointers.
impl Lanes for Avx512 {
    type Sums = __m512i;
    type Pairs = __m512i;

    #[inline(always)]
    unsafe fn splat(number: f32) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_set1_ps(number) })
    }

    #[inline(always)]
    fn fetch(line: *const Line) {
        // SAFETY: reads nothing, whatever the pointer.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) }
    }

    #[inline(always)]
    unsafe fn load(line: *const Line) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_load_ps(line.cast()) })
    }

    #[inline(always)]
    unsafe fn store(self, line: *mut Line) {
        // SAFETY: see above.
        unsafe { _mm512_store_ps(line.cast(), self.0) }
    }

    #[inline(always)]
    unsafe fn times(self, factor: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_mul_ps(self.0, factor.0) })
    }

    #[inline(always)]
    unsafe fn plus(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_add_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn times_plus(self, factor: Self, sum: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_fmadd_ps(self.0, factor.0, sum.0) })
    }

    #[inline(always)]
    unsafe fn bent(self, slope: Self) -> Self {
        // SAFETY: see above.
        unsafe {
            let negative = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(self.0, _mm512_setzero_ps());
            Self(_mm512_mask_mul_ps(self.0, negative, self.0, slope.0))
        }
    }

    #[inline(always)]
    unsafe fn larger(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_max_ps(self.0, other.0) })
    }

    #[inline(always)]
    unsafe fn max_abs(self, other: Self) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_max_ps(self.0, _mm512_abs_ps(other.0)) })
    }

    #[inline(always)]
    unsafe fn largest(self) -> f32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_max_ps(self.0) }
    }

    #[inline(always)]
    unsafe fn store_integers(self, to: *mut i16) {
        // SAFETY: see above. Sixteen integers of 16 bits are 256 bits.
        unsafe { _mm256_storeu_si256(to.cast(), _mm512_cvtsepi32_epi16(_mm512_cvtps_epi32(self.0))) }
    }

    #[inline(always)]
    unsafe fn no_sums() -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_setzero_si512() }
    }

    #[inline(always)]
    unsafe fn to_floats(sums: Self::Sums) -> Self {
        // SAFETY: see above.
        Self(unsafe { _mm512_cvtepi32_ps(sums) })
    }

    #[inline(always)]
    unsafe fn load_pairs(line: *const PairLine) -> Self::Pairs {
        // SAFETY: see above.
        unsafe { _mm512_load_si512(line.cast()) }
    }

    #[inline(always)]
    unsafe fn load_bytes(line: *const ByteLine) -> Self::Pairs {
        // SAFETY: see above.
        unsafe { _mm512_cvtepi8_epi16(_mm256_load_si256(line.cast())) }
    }

    #[inline(always)]
    unsafe fn splat_pair(pair: *const i16) -> Self::Pairs {
        // SAFETY: see above. A pair is 32 bits.
        unsafe { _mm512_set1_epi32(pair.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot(sums: Self::Sums, a: Self::Pairs, b: Self::Pairs) -> Self::Sums {
        // SAFETY: see above.
        unsafe { dot(sums, a, b) }
    }
}

// SAFETY of all functions: as above.
impl ByteLanes for Avx512 {
    type Quads = __m512i;

    #[inline(always)]
    unsafe fn to_integers(self) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_cvtps_epi32(self.0) }
    }

    #[inline(always)]
    unsafe fn plus_sums(a: Self::Sums, b: Self::Sums) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_add_epi32(a, b) }
    }

    #[inline(always)]
    unsafe fn total(sums: Self::Sums) -> i32 {
        // SAFETY: see above.
        unsafe { _mm512_reduce_add_epi32(sums) }
    }

    #[inline(always)]
    unsafe fn store_bytes(integers: Self::Sums, to: *mut i8) {
        // SAFETY: see above. Sixteen bytes are 128 bits.
        unsafe { _mm_storeu_si128(to.cast(), _mm512_cvtepi32_epi8(integers)) }
    }

    #[inline(always)]
    unsafe fn load_quads(line: *const QuadLine) -> Self::Quads {
        // SAFETY: see above.
        unsafe { _mm512_load_si512(line.cast()) }
    }

    #[inline(always)]
    unsafe fn splat_quad(quad: *const i8) -> Self::Quads {
        // SAFETY: see above. Four bytes are 32 bits.
        unsafe { _mm512_set1_epi32(quad.cast::<i32>().read_unaligned()) }
    }

    #[inline(always)]
    unsafe fn dot_quads(sums: Self::Sums, weights: Self::Quads, numbers: Self::Quads) -> Self::Sums {
        // SAFETY: see above.
        unsafe { _mm512_dpbusd_epi32(sums, weights, numbers) }
    }
}

/// `_mm512_dpwssd_epi32`, which LLVM takes apart into a multiplication and an addition as often as not. That takes 1.7
/// times as long in these loops (measured: 106 against 185 thousand million products a second).
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx512vnni,avx2,fma")]
fn dot(mut sums: __m512i, a: __m512i, b: __m512i) -> __m512i {
    // SAFETY: an instruction that touches these registers only, and that the caller's processor has.
    unsafe {
        asm!(
            "vpdpwssd {sums}, {a}, {b}",
            sums = inout(zmm_reg) sums,
            a = in(zmm_reg) a,
            b = in(zmm_reg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    sums
}
