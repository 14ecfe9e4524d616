//! The loops compiled for AVX2 and AVX-512, and pixels taken apart with the instructions of the latter.
#![expect(unsafe_code, reason = "functions for instructions that the processor was asked for at run time")]

use std::arch::x86_64::*;

use super::{Columns, Kernel, LANES};

/// Those that this processor can run, the fastest first.
pub(super) fn kernels() -> impl Iterator<Item = &'static Kernel> {
    let has_avx512 = is_x86_feature_detected!("avx512f")
        && is_x86_feature_detected!("avx512bw")
        && is_x86_feature_detected!("avx512dq")
        && is_x86_feature_detected!("avx512vl");
    let has_avx2 = is_x86_feature_detected!("avx2");
    has_avx512.then_some(&AVX512).into_iter().chain(has_avx2.then_some(&AVX2))
}

/// Makes a kernel of the loops compiled for these instructions.
macro_rules! compiled {
    ($kernel:ident, $module:ident, $features:literal, $name:literal, $numbers:expr) => {
        // Reached through `kernels` only, which has asked the processor for all of it.
        static $kernel: Kernel = Kernel {
            name: $name,
            // SAFETY: the processor has the instructions, see above.
            add_weighted_bytes: |totals, row, weight| unsafe { $module::add_weighted_bytes(totals, row, weight) },
            // SAFETY: as above.
            add_weighted_sums: |totals, row, weight| unsafe { $module::add_weighted_sums(totals, row, weight) },
            // SAFETY: as above.
            add_two: |sums, one, other| unsafe { $module::add_two(sums, one, other) },
            // SAFETY: as above.
            add: |sums, row| unsafe { $module::add(sums, row) },
            // SAFETY: as above.
            narrow: |totals, columns, pixels, out| unsafe { $module::narrow(totals, columns, pixels, out) },
            numbers: $numbers,
        };

        mod $module {
            use super::Columns;

            #[target_feature(enable = $features)]
            pub(super) fn add_weighted_bytes(totals: &mut [f32], row: &[u8], weight: f32) {
                super::super::add_weighted(totals, row, weight);
            }

            #[target_feature(enable = $features)]
            pub(super) fn add_weighted_sums(totals: &mut [f32], row: &[u16], weight: f32) {
                super::super::add_weighted(totals, row, weight);
            }

            #[target_feature(enable = $features)]
            pub(super) fn add_two(sums: &mut [u16], one: &[u8], other: &[u8]) {
                super::super::add_two(sums, one, other);
            }

            #[target_feature(enable = $features)]
            pub(super) fn add(sums: &mut [u16], row: &[u8]) {
                super::super::add(sums, row);
            }

            #[target_feature(enable = $features)]
            pub(super) fn narrow(totals: &[f32], columns: &Columns, pixels: &mut [f32], out: &mut [u8]) {
                super::super::narrow(totals, columns, pixels, out);
            }
        }
    };
}

compiled!(AVX512, avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2", "avx512", |row, scaling, colours| {
    // SAFETY: the processor has the instructions, see above.
    unsafe { numbers(row, scaling, colours) }
});
// Of plain code for this compilers make what is slower with more instructions.
compiled!(AVX2, avx2, "avx2", "avx2", super::numbers);

/// `super::numbers`, sixteen pixels at a time.
#[target_feature(enable = "avx512f,avx512bw,avx512dq,avx512vl,avx2")]
fn numbers(row: &[u8], (mean, scale): (f32, f32), [red, green, blue]: [&mut [f32]; 3]) {
    let (pixels, rest) = row.as_chunks::<{ 3 * LANES }>();
    let ((reds, red), (greens, green), (blues, blue)) =
        (red.as_chunks_mut::<LANES>(), green.as_chunks_mut::<LANES>(), blue.as_chunks_mut::<LANES>());
    // Four pixels, which are three numbers of 32 bits, to each 128 bits.
    let fours = _mm512_setr_epi32(0, 1, 2, 2, 3, 4, 5, 5, 6, 7, 8, 8, 9, 10, 11, 11);
    // A byte of each pixel, with zeros above it.
    let order = |colour: i8| {
        let byte = |pixel: i8| 3 * pixel + colour;
        _mm512_broadcast_i32x4(_mm_setr_epi8(
            byte(0),
            -1,
            -1,
            -1,
            byte(1),
            -1,
            -1,
            -1,
            byte(2),
            -1,
            -1,
            -1,
            byte(3),
            -1,
            -1,
            -1,
        ))
    };
    let orders = [order(0), order(1), order(2)];
    let (means, scales) = (_mm512_set1_ps(mean), _mm512_set1_ps(scale));
    for (pixels, ((red, green), blue)) in pixels.iter().zip(reds.iter_mut().zip(greens).zip(blues)) {
        // SAFETY: 48 bytes are read of 48.
        let bytes = unsafe { _mm512_maskz_loadu_epi32(0xFFF, pixels.as_ptr().cast()) };
        let fours = _mm512_permutexvar_epi32(fours, bytes);
        for (order, out) in orders.iter().zip([red, green, blue]) {
            let number = _mm512_sub_ps(_mm512_cvtepi32_ps(_mm512_shuffle_epi8(fours, *order)), means);
            // A division by 1 changes nothing but takes a third of the time.
            let number = if scale == 1.0 { number } else { _mm512_div_ps(number, scales) };
            // SAFETY: sixteen numbers are written of sixteen.
            unsafe { _mm512_storeu_ps(out.as_mut_ptr(), number) };
        }
    }
    super::numbers(rest, (mean, scale), [red, green, blue]);
}
