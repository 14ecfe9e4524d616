//! What a form, an urlencoded body or a query says, from any bytes: the way into the Yuanli and Face++ dialects.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::fields(bytes));
