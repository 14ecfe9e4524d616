//! `docs/yuanli.md` is true: its tables are compared with the code.

use crate::tests::pages;
use crate::yuanli::ADAPTER;

const PAGE: &str = include_str!("../../../../../docs/yuanli.md");

/// Everything where a row of the table of bad input may have its test.
const TESTS: [&str; 6] = [
    include_str!("auth.rs"),
    include_str!("faces.rs"),
    include_str!("groups.rs"),
    include_str!("hostile.rs"),
    include_str!("listing.rs"),
    include_str!("search.rs"),
];

#[test]
fn the_page_lists_every_operation() {
    pages::check_operations(PAGE, &ADAPTER);
}

#[test]
fn every_row_of_bad_input_has_its_test() {
    pages::check_rows(PAGE, "## Bad input", 15, &TESTS);
}

#[test]
fn every_case_of_the_reference_has_a_test_with_its_number() {
    let names: Vec<&str> = TESTS.iter().flat_map(|tests| pages::tests_in(tests)).collect();
    // F03 is about curl, which is run from outside.
    for (letter, n_cases) in [('a', 21), ('b', 23), ('c', 19), ('d', 16), ('e', 14), ('f', 2)] {
        for case in 1..=n_cases {
            let number = format!("{letter}{case:02}");
            let has_number = |name: &&str| name.split('_').any(|word| word == number);
            assert!(names.iter().any(has_number), "no test for case {number}");
        }
    }
}
