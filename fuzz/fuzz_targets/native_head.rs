//! Heads of native requests from any bytes: cookies, tokens, conditions, cursors.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::native_head(bytes));
