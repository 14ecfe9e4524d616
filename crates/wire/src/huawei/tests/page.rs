//! `docs/huawei.md` says what is true: its tables are held against the code.

use crate::adapter::State;
use crate::huawei::ADAPTER;
use crate::tests::pages;

const PAGE: &str = include_str!("../../../../../docs/huawei.md");

/// Everything where a row of the table of bad input may have its test.
const TESTS: [&str; 12] = [
    include_str!("auth.rs"),
    include_str!("face_sets.rs"),
    include_str!("faces.rs"),
    include_str!("hostile.rs"),
    include_str!("images.rs"),
    include_str!("legacy.rs"),
    include_str!("limits.rs"),
    include_str!("liveness.rs"),
    include_str!("probes.rs"),
    include_str!("search.rs"),
    include_str!("tenants.rs"),
    include_str!("../auth/signature/tests.rs"),
];

/// Tests that need an SDK or real photographs.
const END_TO_END: [&str; 2] = [
    include_str!("../../../../../tests/e2e/huawei/test_cases.py"),
    include_str!("../../../../../tests/e2e/huawei/test_sdk.py"),
];

#[test]
fn the_page_lists_every_operation_with_its_state() {
    for operation in ADAPTER.operations {
        let state = match operation.state {
            State::Done => "done".to_owned(),
            State::Partly(difference) => format!("partly: {difference}"),
            State::Refused(code) => format!("refused with `{code}`"),
        };
        let row = format!("| {} | {} `{}` | {state} |", operation.name, operation.method, operation.path);
        assert!(PAGE.contains(&row), "the page lacks {row}");
    }
}

#[test]
fn every_row_of_bad_input_names_a_test_that_exists() {
    pages::check_rows(PAGE, "## Bad input", 50, &TESTS);
}

#[test]
fn every_case_of_the_reference_is_a_test() {
    pages::check_cases(100, &[&TESTS[..], &END_TO_END].concat());
}
