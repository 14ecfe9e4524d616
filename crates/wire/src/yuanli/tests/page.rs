//! `docs/yuanli.md` says what is true: its tables are held against the code.

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
    let table = PAGE.split("## Operations").nth(1).unwrap().split("\n## ").next().unwrap();
    for operation in ADAPTER.operations {
        assert!(table.contains(&format!("`{}`", operation.name)), "the page does not list {}", operation.name);
    }
}

#[test]
fn every_row_of_bad_input_has_its_test() {
    let table = PAGE.split("## Bad input").nth(1).unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() > 15, "the table is where it is looked for");
    for row in rows {
        let last_cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
        let names: Vec<&str> = last_cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "{row}");
        for name in names {
            assert!(TESTS.iter().any(|tests| tests.contains(&format!("fn {name}()"))), "no test is called {name}");
        }
    }
}

#[test]
fn every_case_of_the_reference_has_a_test_with_its_number() {
    let names = TESTS.iter().flat_map(|tests| tests.lines()).filter_map(|line| line.strip_prefix("fn "));
    let names: Vec<&str> = names.filter_map(|line| line.split('(').next()).collect();
    // F03 is about curl, which is run from outside.
    for (letter, n_cases) in [('a', 21), ('b', 23), ('c', 19), ('d', 16), ('e', 14), ('f', 2)] {
        for case in 1..=n_cases {
            let number = format!("{letter}{case:02}");
            let has_number = |name: &&str| name.split('_').any(|word| word == number);
            assert!(names.iter().any(has_number), "no test for case {number}");
        }
    }
}
