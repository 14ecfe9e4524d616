//! Paths, signatures and security tokens of uploads by Alibaba clients, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::aliyun_upload(bytes));
