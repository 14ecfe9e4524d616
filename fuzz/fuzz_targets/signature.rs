//! The `Authorization` header and the canonical request of the Huawei dialect, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::huawei_signature(bytes));
