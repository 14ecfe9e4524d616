//! `docs/facepp.md` says what is true: its tables are held against the code.

use crate::facepp::ADAPTER;

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
