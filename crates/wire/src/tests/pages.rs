//! What a dialect's page and its reference promise, held against the names of its tests.

use std::collections::BTreeSet;

use crate::adapter::Adapter;

/// Every operation of the adapter stands in the page's table of operations.
#[track_caller]
pub(crate) fn check_operations(page: &str, adapter: &Adapter) {
    let table = page.split("## Operations").nth(1).expect("the page has a section for them");
    let table = table.split("\n## ").next().expect("a split has a first part");
    for operation in adapter.operations {
        assert!(table.contains(&format!("`{}`", operation.name)), "the page does not list {}", operation.name);
    }
}

/// Every row of the table behind `beginning` names, in its last cell, tests that are in `sources`.
#[track_caller]
pub(crate) fn check_rows(page: &str, beginning: &str, n_rows_min: usize, sources: &[&str]) {
    let names: BTreeSet<&str> = sources.iter().flat_map(|source| tests_in(source)).collect();
    let (_, table) = page.split_once(beginning).expect("the page has the table");
    let lines = table.lines().skip_while(|line| !line.starts_with("| "));
    let rows: Vec<&str> = lines.take_while(|line| line.starts_with('|')).filter(|line| !line.contains("---")).collect();
    let rows: Vec<&str> = rows.into_iter().filter(|row| !row.ends_with("| Test |")).collect();
    assert!(rows.len() >= n_rows_min, "the table shrank to {} rows", rows.len());
    for row in rows {
        let last_cell = row.trim_end_matches(" |").rsplit(" | ").next().expect("a split has a last part");
        let named: Vec<&str> = last_cell.split('`').skip(1).step_by(2).collect();
        assert!(!named.is_empty(), "no test is named in the row {row}");
        for name in named {
            assert!(names.contains(name), "no test is called {name}, as the row says: {row}");
        }
    }
}

/// Each of the reference's cases from 1 to `n_cases` has its number in the name of a test.
#[track_caller]
pub(crate) fn check_cases(n_cases: u32, sources: &[&str]) {
    let found: BTreeSet<u32> = sources.iter().flat_map(|source| tests_in(source)).flat_map(cases).collect();
    let missing: Vec<u32> = (1..=n_cases).filter(|case| !found.contains(case)).collect();
    assert_eq!(missing, [] as [u32; 0], "cases without a test");
    assert_eq!(found.last(), Some(&n_cases), "a test is named after a case that does not exist");
}

/// The names of the tests of a Rust or Python source, those of Python without their `test_`.
pub(crate) fn tests_in(source: &str) -> impl Iterator<Item = &str> {
    let mut is_marked = false;
    source.lines().filter_map(move |line| {
        let line = line.trim_start();
        let was_marked = is_marked;
        is_marked = line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let rust = line.trim_start_matches("async ").strip_prefix("fn ").filter(|_| was_marked);
        rust.or_else(|| line.strip_prefix("def test_"))?.split('(').next()
    })
}

/// The numbers in the name of a test: `cases_5_to_7_and_9_what_they_show` is about 5, 6, 7 and 9.
fn cases(name: &str) -> Vec<u32> {
    let Some(rest) = name.strip_prefix("cases_").or_else(|| name.strip_prefix("case_")) else { return Vec::new() };
    let mut cases: Vec<u32> = Vec::new();
    let mut is_range = false;
    for word in rest.split('_') {
        match (word.parse::<u32>(), word) {
            (Ok(number), _) if is_range => {
                let first = cases.last().map_or(number, |last| last + 1);
                cases.extend(first..=number);
                is_range = false;
            }
            (Ok(number), _) => cases.push(number),
            (Err(_), "to") => is_range = true,
            (Err(_), "and") => {}
            (Err(_), _) => break,
        }
    }
    cases
}

#[test]
fn names_of_tests_tell_their_cases() {
    let source =
        "#[test]\nfn case_017_x() {}\nfn case_018_helper() {}\n#[tokio::test]\nasync fn cases_2_to_4_and_9_y_7() {}";
    assert_eq!(tests_in(source).collect::<Vec<_>>(), ["case_017_x", "cases_2_to_4_and_9_y_7"]);
    assert_eq!(tests_in("def test_case_048_049_pages(raw):\n    pass").collect::<Vec<_>>(), ["case_048_049_pages"]);
    assert_eq!(cases("cases_2_to_4_and_9_y_7"), [2, 3, 4, 9]);
    assert_eq!(cases("case_048_049_pages"), [48, 49]);
    assert_eq!(cases("other_5"), [] as [u32; 0]);
}
