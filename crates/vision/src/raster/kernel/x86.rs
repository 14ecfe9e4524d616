//! The loops compiled for AVX2 and AVX-512.
#![expect(unsafe_code, reason = "functions for instructions that the processor was asked for at run time")]

use super::{Columns, Kernel};

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
    ($kernel:ident, $module:ident, $features:literal, $name:literal) => {
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

compiled!(AVX512, avx512, "avx512f,avx512bw,avx512dq,avx512vl,avx2", "avx512");
compiled!(AVX2, avx2, "avx2", "avx2");
