//! The end of a backup's file: eight bytes that say how long the file is, then its last bytes.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let Some((n_file_bytes, end)) = bytes.split_first_chunk() else { return };
    likeness_store::embedded::fuzz::backup_footer(end, u64::from_le_bytes(*n_file_bytes));
});
