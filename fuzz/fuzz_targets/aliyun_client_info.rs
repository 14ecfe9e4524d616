//! What Alibaba clients tell of themselves in the query, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::aliyun_client_info(bytes));
