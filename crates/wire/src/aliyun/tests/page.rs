//! `docs/aliyun.md` says what is true, and every case of the reference is a test: both are held against the code.

use crate::tests::pages;

const PAGE: &str = include_str!("../../../../../docs/aliyun.md");

/// Everything where a row of the page may have its test.
const TESTS: [&str; 6] = [
    include_str!("../auth/tests.rs"),
    include_str!("faces.rs"),
    include_str!("persons.rs"),
    include_str!("scans.rs"),
    include_str!("transport.rs"),
    include_str!("uploads.rs"),
];

/// Tests that need an SDK, a real host or real photographs.
const END_TO_END: [&str; 4] = [
    include_str!("../../../../../tests/e2e/aliyun_v1/test_hosts.py"),
    include_str!("../../../../../tests/e2e/aliyun_v1/test_sdk.py"),
    include_str!("../../../../../tests/e2e/aliyun_v1/test_uploads.py"),
    include_str!("../../../../../tests/e2e/aliyun_v2/test_sdk.py"),
];

#[test]
fn every_row_of_what_is_refused_has_its_test() {
    pages::check_rows(PAGE, "| Input | Answer | Test |", 25, &TESTS);
    pages::check_rows(PAGE, "| Refused upload | Answer (XML) | Test |", 9, &TESTS);
}

#[test]
fn every_case_of_the_reference_is_a_test() {
    pages::check_cases(88, &[&TESTS[..], &END_TO_END].concat());
}
