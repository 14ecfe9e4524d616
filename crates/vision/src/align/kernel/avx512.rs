//! Eight pixels at a time with AVX-512: both pixels of a row that a new one lies between are read as one number of 64
//! bits, mixed across and then down in integers, as the plain code does. They are read one by one: AMD's processors take
//! longer for a gather than for eight reads.
#![expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")]

use std::arch::x86_64::*;

use super::{GROUP, Row, WarpRow};

/// The loop, if this processor can run it.
pub(super) fn warp_row() -> Option<WarpRow> {
    let has_all = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512vbmi");
    // SAFETY: the processor has the instructions.
    has_all.then_some(|row: &Row<'_>, from, out: &mut [[u8; 3]]| unsafe { made(row, from, out) })
}

#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
fn made(row: &Row<'_>, from: usize, out: &mut [[u8; 3]]) -> usize {
    let (steps_x, steps_y) = (row.steps.0.as_chunks::<GROUP>().0, row.steps.1.as_chunks::<GROUP>().0);
    let stride = row.width as usize * 3;
    let n_bytes = row.picture.len();
    assert!(from.is_multiple_of(GROUP), "groups begin at multiples of their length");
    assert_eq!(n_bytes, stride * row.height as usize, "three bytes a pixel");
    // Offsets of up to two rows and eight bytes must not overflow, and products of rows are made of 32 bits.
    assert!(n_bytes < 1 << 40, "pictures are smaller");
    let splat = |number: i64| _mm512_set1_epi64(number);
    let zero = _mm512_setzero_si512();
    // Positions in 1/32 pixel from which on a right or a lower neighbour is missing.
    let (x_end, y_end) = (splat((i64::from(row.width) - 1) << 5), splat((i64::from(row.height) - 1) << 5));
    // The first offset whose two rows of eight bytes reach beyond the picture.
    let offset_end = splat(n_bytes as i64 - stride as i64 - 7);
    let (start_x, start_y) = (splat(row.start.0), splat(row.start.1));
    let fraction = splat(31);
    // Of eight bytes, those of both pixels by colour; the fourth pair is none.
    let pairs = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 3, 1, 4, 2, 5, -1, -1, 8, 11, 9, 12, 10, 13, -1, -1));
    // The lowest two bytes of each number four times.
    let four_times = _mm512_broadcast_i32x4(_mm_setr_epi8(0, 1, 0, 1, 0, 1, 0, 1, 8, 9, 8, 9, 8, 9, 8, 9));
    let half = _mm512_set1_epi32(512);
    // Of each 16 bytes the first three and those from the fourth on.
    let order: [i8; 64] = std::array::from_fn(|idx| {
        let (pixel, colour) = (idx / 3, idx % 3);
        if pixel < GROUP { (pixel / 2 * 16 + pixel % 2 * 4 + colour) as i8 } else { 0 }
    });
    // SAFETY: 64 bytes are read of 64.
    let order = unsafe { _mm512_loadu_si512(order.as_ptr().cast()) };
    let (outs, _) = out.as_chunks_mut::<GROUP>();
    for (idx, ((step_x, step_y), out)) in steps_x.iter().zip(steps_y).zip(outs).enumerate().skip(from / GROUP) {
        // SAFETY: eight numbers of 64 bits are read of eight.
        let (step_x, step_y) =
            unsafe { (_mm512_loadu_si512(step_x.as_ptr().cast()), _mm512_loadu_si512(step_y.as_ptr().cast())) };
        let x = _mm512_srai_epi64::<5>(_mm512_add_epi64(start_x, step_x));
        let y = _mm512_srai_epi64::<5>(_mm512_add_epi64(start_y, step_y));
        // As numbers without a sign, negative ones are larger than any end.
        let is_inside = _mm512_cmplt_epu64_mask(x, x_end) & _mm512_cmplt_epu64_mask(y, y_end);
        let (column, line) = (_mm512_srli_epi64::<5>(x), _mm512_srli_epi64::<5>(y));
        let offset = _mm512_add_epi64(
            _mm512_mul_epu32(line, splat(stride as i64)),
            _mm512_add_epi64(column, _mm512_add_epi64(column, column)),
        );
        if is_inside & _mm512_cmplt_epi64_mask(offset, offset_end) != 0xFF {
            return idx * GROUP;
        }
        // SAFETY: columns and lines are inside the picture, so that offsets are at least 0, and each is less than
        // `offset_end`: eight bytes from there and from a row later are in the picture.
        let (upper, lower) = unsafe {
            let offsets: [i64; GROUP] = std::mem::transmute(offset);
            let first = row.picture.as_ptr();
            (read(first, offsets), read(first.add(stride), offsets))
        };
        let right = _mm512_and_si512(x, fraction);
        let shares = _mm512_or_si512(_mm512_sub_epi64(splat(32), right), _mm512_slli_epi64::<8>(right));
        let shares = _mm512_shuffle_epi8(shares, four_times);
        let across = |pixels| _mm512_maddubs_epi16(_mm512_shuffle_epi8(pixels, pairs), shares);
        let (upper, lower) = (across(upper), across(lower));
        let below = _mm512_and_si512(y, fraction);
        let shares = _mm512_or_si512(_mm512_sub_epi64(splat(32), below), _mm512_slli_epi64::<16>(below));
        let down = |pairs, shares| _mm512_srli_epi32::<10>(_mm512_add_epi32(_mm512_madd_epi16(pairs, shares), half));
        // Pixels with an even index, and those with an odd one.
        let even = down(_mm512_unpacklo_epi16(upper, lower), _mm512_shuffle_epi32::<0b00_00_00_00>(shares));
        let odd = down(_mm512_unpackhi_epi16(upper, lower), _mm512_shuffle_epi32::<0b10_10_10_10>(shares));
        let words = _mm512_packus_epi32(even, odd);
        let bytes = _mm512_permutexvar_epi8(order, _mm512_packus_epi16(words, zero));
        // SAFETY: 24 bytes are written of 24.
        unsafe { _mm512_mask_storeu_epi8(out.as_mut_ptr().cast(), 0xFF_FFFF, bytes) };
    }
    steps_x.len() * GROUP
}

/// Eight numbers of eight bytes.
///
/// # Safety
/// There are eight bytes at each of the offsets.
#[inline]
#[target_feature(enable = "avx512f,avx512bw,avx512vbmi")]
unsafe fn read(first: *const u8, offsets: [i64; GROUP]) -> __m512i {
    // SAFETY: see above.
    let [a, b, c, d, e, f, g, h] =
        offsets.map(|offset| unsafe { first.offset(offset as isize).cast::<i64>().read_unaligned() });
    _mm512_setr_epi64(a, b, c, d, e, f, g, h)
}
