//! The identity file of a library, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_store::embedded::fuzz::identity_file(bytes));
