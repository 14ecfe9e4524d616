//! Form fields as Python writes them, from any bytes: the way into the Huawei dialect's fields.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_wire::fuzz::python(bytes));
