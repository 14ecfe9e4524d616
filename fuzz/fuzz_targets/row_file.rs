//! A file of the index's rows, from any bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_store::index::row_file::fuzz_rows_file as entry;

fuzz_target!(|bytes: &[u8]| entry(bytes));
