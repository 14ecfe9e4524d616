//! The inner loops with AVX2.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use std::arch::x86_64::*;

use super::{BlockValues, Kernel, portable};

/// The kernel, if this processor can run it.
pub(super) fn kernel() -> Option<&'static Kernel> {
    is_x86_feature_detected!("avx2").then_some(&AVX2)
}

// Reached through `kernel` only, which has asked the processor for AVX2.
static AVX2: Kernel = Kernel {
    name: "avx2",
    // SAFETY: the processor has AVX2, see above.
    transform: |coefficients, quantisers| unsafe { transform(coefficients, quantisers) },
    // SAFETY: as above.
    twice_as_wide: |row, out| unsafe { twice_as_wide(row, out) },
    // SAFETY: as above.
    twice_as_high: |near, far, far_is_above, out| unsafe { twice_as_high(near, far, far_is_above, out) },
    // SAFETY: as above.
    twice_both: |near, far, sums, out| unsafe { twice_both(near, far, sums, out) },
    // SAFETY: as above.
    rgb: |rows, out| unsafe { pixels(rows, out) },
};

#[target_feature(enable = "avx2")]
fn transform(coefficients: &BlockValues, quantisers: &BlockValues) -> [[u8; 8]; 8] {
    let product = |idx: usize| {
        // SAFETY: a block has 64 numbers, of which 16 are loaded from place `idx * 16` on; `idx` is 0 to 3.
        let load = |block: &BlockValues| unsafe { _mm256_loadu_si256(block.as_ptr().add(idx * 16).cast()) };
        let (value, quantiser) = (load(coefficients), load(quantisers));
        _mm256_mullo_epi16(value, quantiser)
    };
    let columns = pass::<11>([product(0), product(1), product(2), product(3)]);
    // Two columns each: 0 and 4, 1 and 5, 2 and 6, 3 and 7.
    let [c04, c15, c26, c37] = columns;
    let c17 = _mm256_blend_epi32::<0b1111_0000>(c15, c37);
    let c35 = _mm256_blend_epi32::<0b1111_0000>(c37, c15);
    let [r04, r15, r26, r37] = pass::<18>([interleaved(c04), interleaved(c26), interleaved(c17), interleaved(c35)]);
    let half = _mm256_set1_epi8(-128);
    let r0145 = _mm256_xor_si256(_mm256_packs_epi16(r04, r15), half);
    let r2367 = _mm256_xor_si256(_mm256_packs_epi16(r26, r37), half);
    // Rows 0 to 3 and 4 to 7.
    let halves = [_mm256_permute2x128_si256::<0x20>(r0145, r2367), _mm256_permute2x128_si256::<0x31>(r0145, r2367)];
    // SAFETY: both are 64 bytes without a lawful value excluded.
    unsafe { std::mem::transmute(halves) }
}

/// The eight numbers of the lower half interleaved with those of the upper half.
#[inline]
#[target_feature(enable = "avx2")]
fn interleaved(halves: __m256i) -> __m256i {
    let order = _mm256_broadcastsi128_si256(_mm_setr_epi8(0, 1, 8, 9, 2, 3, 10, 11, 4, 5, 12, 13, 6, 7, 14, 15));
    _mm256_shuffle_epi8(_mm256_permute4x64_epi64::<0b11_01_10_00>(halves), order)
}

/// Two factors in 1/8192, for the two numbers of a pair.
#[inline]
#[target_feature(enable = "avx2")]
fn factors(first: i16, second: i16) -> __m256i {
    _mm256_set1_epi32(i32::from(second) << 16 | i32::from(first as u16))
}

/// One direction of the transform, for eight columns at once: `portable::pass` with its sums of products written for
/// pairs. The input is inputs 0 and 4, 2 and 6, 1 and 7, 3 and 5, each pair interleaved; the output is transposed,
/// columns 0 and 4 in the halves of the first vector, then 1 and 5, 2 and 6, 3 and 7.
#[inline]
#[target_feature(enable = "avx2")]
fn pass<const SHIFT: i32>([p04, p26, p17, p35]: [__m256i; 4]) -> [__m256i; 4] {
    let dot = |pair: __m256i, first: i16, second: i16| _mm256_madd_epi16(pair, factors(first, second));
    let (add, sub) = (|a, b| _mm256_add_epi32(a, b), |a, b| _mm256_sub_epi32(a, b));

    // 1 / 2 is added here once for all sums below.
    let half = _mm256_set1_epi32(1 << (SHIFT - 1));
    let even_0 = add(dot(p04, 8192, 8192), half);
    let even_1 = add(dot(p04, 8192, -8192), half);
    let even_2 = dot(p26, 4433, 4433 - 15_137);
    let even_3 = dot(p26, 4433 + 6270, 4433);
    let even = [add(even_0, even_3), add(even_1, even_2), sub(even_1, even_2), sub(even_0, even_3)];

    let swap = _mm256_broadcastsi128_si256(_mm_setr_epi8(2, 3, 0, 1, 6, 7, 4, 5, 10, 11, 8, 9, 14, 15, 12, 13));
    // Inputs 1 + 5 and 7 + 3.
    let z43 = _mm256_add_epi16(p17, _mm256_shuffle_epi8(p35, swap));
    let z3 = dot(z43, 9633, 9633 - 16_069);
    let z4 = dot(z43, 9633 - 3196, 9633);
    let odd = [
        add(dot(p17, 12_299 - 7373, -7373), z4),
        add(dot(p35, 25_172 - 20_995, -20_995), z3),
        add(dot(p35, -20_995, 16_819 - 20_995), z4),
        add(dot(p17, -7373, 2446 - 7373), z3),
    ];

    let sum = |idx: usize| _mm256_srai_epi32::<SHIFT>(add(even[idx], odd[idx]));
    let difference = |idx: usize| _mm256_srai_epi32::<SHIFT>(sub(even[idx], odd[idx]));
    // In each half of a vector four numbers of one row, then four of the next.
    let rows_01 = _mm256_packs_epi32(sum(0), sum(1));
    let rows_23 = _mm256_packs_epi32(sum(2), sum(3));
    let rows_45 = _mm256_packs_epi32(difference(3), difference(2));
    let rows_67 = _mm256_packs_epi32(difference(1), difference(0));
    let (rows_02, rows_13) = (_mm256_unpacklo_epi16(rows_01, rows_23), _mm256_unpackhi_epi16(rows_01, rows_23));
    let (rows_46, rows_57) = (_mm256_unpacklo_epi16(rows_45, rows_67), _mm256_unpackhi_epi16(rows_45, rows_67));
    let (upper_01, upper_23) = (_mm256_unpacklo_epi16(rows_02, rows_13), _mm256_unpackhi_epi16(rows_02, rows_13));
    let (lower_01, lower_23) = (_mm256_unpacklo_epi16(rows_46, rows_57), _mm256_unpackhi_epi16(rows_46, rows_57));
    [
        _mm256_unpacklo_epi64(upper_01, lower_01),
        _mm256_unpackhi_epi64(upper_01, lower_01),
        _mm256_unpacklo_epi64(upper_23, lower_23),
        _mm256_unpackhi_epi64(upper_23, lower_23),
    ]
}

#[target_feature(enable = "avx2")]
fn twice_as_wide(row: &[u8], out: &mut [u8]) {
    portable::twice_as_wide(row, out);
}

#[target_feature(enable = "avx2")]
fn twice_as_high(near: &[u8], far: &[u8], far_is_above: bool, out: &mut [u8]) {
    portable::twice_as_high(near, far, far_is_above, out);
}

#[target_feature(enable = "avx2")]
fn twice_both(near: &[u8], far: &[u8], sums: &mut [u16], out: &mut [u8]) {
    portable::twice_both(near, far, sums, out);
}

/// Pixels made at a time.
const LANES: usize = 32;

#[target_feature(enable = "avx2")]
fn pixels([luma, cb, cr]: [&[u8]; 3], out: &mut [[u8; 3]]) {
    let ((lumas, luma_rest), (cbs, cb_rest), (crs, cr_rest)) =
        (luma.as_chunks::<LANES>(), cb.as_chunks::<LANES>(), cr.as_chunks::<LANES>());
    let (outs, out_rest) = out.as_chunks_mut::<LANES>();
    for (out, ((luma, cb), cr)) in outs.iter_mut().zip(lumas.iter().zip(cbs).zip(crs)) {
        // SAFETY: each is 32 bytes.
        let load = |bytes: &[u8; LANES]| unsafe { _mm256_loadu_si256(bytes.as_ptr().cast()) };
        let halves = planar(load(luma), load(cb), load(cr));
        for (half, vector) in halves.into_iter().enumerate() {
            // SAFETY: `out` has 96 bytes, of which 16 from each multiple of 16 are written.
            unsafe { _mm_storeu_si128(out.as_mut_ptr().cast::<__m128i>().add(half), vector) };
        }
    }
    portable::pixels([luma_rest, cb_rest, cr_rest], out_rest);
}

/// 32 pixels as six vectors of 16 bytes in the order they are stored.
#[inline]
#[target_feature(enable = "avx2")]
fn planar(luma: __m256i, cb: __m256i, cr: __m256i) -> [__m128i; 6] {
    let zero = _mm256_setzero_si256();
    // Unpacking and packing again work within 128 bits, so the order is kept.
    let low = colours(_mm256_unpacklo_epi8(luma, zero), _mm256_unpacklo_epi8(cb, zero), _mm256_unpacklo_epi8(cr, zero));
    let high =
        colours(_mm256_unpackhi_epi8(luma, zero), _mm256_unpackhi_epi8(cb, zero), _mm256_unpackhi_epi8(cr, zero));
    let red = _mm256_packus_epi16(low[0], high[0]);
    let green = _mm256_packus_epi16(low[1], high[1]);
    let blue = _mm256_packus_epi16(low[2], high[2]);
    // Each result has bytes of 16 pixels of each half; -1 where a byte comes from another colour.
    let pick = |source: __m256i, order: [i8; 16]| {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = order;
        let order = _mm_setr_epi8(a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p);
        _mm256_shuffle_epi8(source, _mm256_broadcastsi128_si256(order))
    };
    let mixed = |orders: [[i8; 16]; 3]| {
        let red_and_green = _mm256_or_si256(pick(red, orders[0]), pick(green, orders[1]));
        _mm256_or_si256(red_and_green, pick(blue, orders[2]))
    };
    let [first, second, third] = [mixed(const { orders(0) }), mixed(const { orders(1) }), mixed(const { orders(2) })];
    let (low, high) = (|v| _mm256_castsi256_si128(v), |v| _mm256_extracti128_si256::<1>(v));
    [low(first), low(second), low(third), high(first), high(second), high(third)]
}

/// Which of 16 reds, greens and blues go where in 16 bytes of pixels, `part` of three.
const fn orders(part: usize) -> [[i8; 16]; 3] {
    let mut orders = [[-1; 16]; 3];
    let mut at = 0;
    while at < 16 {
        let byte_idx = part * 16 + at;
        orders[byte_idx % 3][at] = (byte_idx / 3) as i8;
        at += 1;
    }
    orders
}

/// Colours of sixteen pixels, not yet bound to 0 to 255: `super::rgb` in 16 bits, with the same roundings.
#[inline]
#[target_feature(enable = "avx2")]
fn colours(luma: __m256i, cb: __m256i, cr: __m256i) -> [__m256i; 3] {
    let half = _mm256_set1_epi16(128);
    let (cb, cr) = (_mm256_sub_epi16(cb, half), _mm256_sub_epi16(cr, half));
    let (twice_cb, twice_cr) = (_mm256_add_epi16(cb, cb), _mm256_add_epi16(cr, cr));
    // The high half of twice a product, plus one, halved, is the rounded product.
    let rounded = |twice: __m256i, factor: i16| {
        let high = _mm256_mulhi_epi16(twice, _mm256_set1_epi16(factor));
        _mm256_srai_epi16::<1>(_mm256_add_epi16(high, _mm256_set1_epi16(1)))
    };
    // 91 881 is 65 536 and 26 345; 116 130 is 131 072 less 14 942; 46 802 is 65 536 less 18 734.
    let red = _mm256_add_epi16(cr, rounded(twice_cr, 26_345));
    let blue = _mm256_add_epi16(twice_cb, rounded(twice_cb, -14_942));
    let green_factors = _mm256_set1_epi32(18_734 << 16 | i32::from(-22_554_i16 as u16));
    let green_half = _mm256_set1_epi32(32_768);
    let green =
        |pairs: __m256i| _mm256_srai_epi32::<16>(_mm256_add_epi32(_mm256_madd_epi16(pairs, green_factors), green_half));
    let green = _mm256_packs_epi32(green(_mm256_unpacklo_epi16(cb, cr)), green(_mm256_unpackhi_epi16(cb, cr)));
    let green = _mm256_sub_epi16(green, cr);
    [_mm256_add_epi16(luma, red), _mm256_add_epi16(luma, green), _mm256_add_epi16(luma, blue)]
}
