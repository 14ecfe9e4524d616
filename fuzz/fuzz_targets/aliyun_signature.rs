//! The `Authorization` header and the string to sign of the Alibaba dialect, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::aliyun_signature(bytes));
