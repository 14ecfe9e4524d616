//! A page of a damaged database: every row that may stand in it is read or passed over.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| likeness_store::embedded::fuzz::damaged_page(bytes));
