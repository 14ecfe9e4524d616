//! The `sign` of the Yuanli dialect, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::yuanli_sign(bytes));
