//! Lines of a face set archive, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::archive(bytes));
