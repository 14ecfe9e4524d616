//! Columns of the database that have a format of their own, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_store::embedded::fuzz::columns(bytes));
