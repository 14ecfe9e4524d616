//! `docs/huawei.md` says what is true: its tables are held against the code.

use crate::adapter::State;
use crate::huawei::ADAPTER;

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
    let (_, table) = PAGE.split_once("## Bad input").unwrap();
    let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).skip(1).collect();
    assert!(rows.len() >= 50, "the table shrank to {} rows", rows.len());
    for row in rows {
        let name = row.trim_end_matches(" |").rsplit('|').next().unwrap().trim().trim_matches('`');
        let test = format!("#[test]\nfn {name}() {{");
        assert!(TESTS.iter().any(|source| source.contains(&test)), "no test for the row {row}");
    }
}
