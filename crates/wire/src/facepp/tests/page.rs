//! `docs/facepp.md` is true: its tables are compared with the code.

use crate::facepp::ADAPTER;
use crate::tests::pages;

const PAGE: &str = include_str!("../../../../../docs/facepp.md");

/// Everything where a row of the table of bad input may have its test.
const TESTS: [&str; 5] = [
    include_str!("auth.rs"),
    include_str!("faces.rs"),
    include_str!("face_sets.rs"),
    include_str!("hostile.rs"),
    include_str!("tasks.rs"),
];

#[test]
fn the_page_lists_every_operation() {
    pages::check_operations(PAGE, &ADAPTER);
}

#[test]
fn every_row_of_bad_input_has_its_test() {
    pages::check_rows(PAGE, "## Bad input", 15, &TESTS);
}
