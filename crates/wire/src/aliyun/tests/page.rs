//! `docs/aliyun.md` says what is true, and every case of the reference is a test: both are held against the code.

use std::collections::BTreeSet;

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

/// Cases of the reference.
const N_CASES: u32 = 88;

#[test]
fn every_row_of_what_is_refused_has_its_test() {
    for (beginning, n_least) in [("| Input | Answer | Test |", 25), ("| Refused upload | Answer (XML) | Test |", 9)] {
        let table = PAGE.split(beginning).nth(1).unwrap().split("\n\n").next().unwrap();
        let rows: Vec<&str> = table.lines().filter(|line| line.starts_with("| ")).collect();
        assert!(rows.len() >= n_least, "the table is where it is looked for");
        for row in rows {
            let last_cell = row.trim_end_matches(" |").rsplit(" | ").next().unwrap();
            let names: Vec<&str> = last_cell.split('`').skip(1).step_by(2).collect();
            assert!(!names.is_empty(), "{row}");
            for name in names {
                assert!(TESTS.iter().any(|tests| tests.contains(&format!("fn {name}()"))), "no test is called {name}");
            }
        }
    }
}

/// The numbers in the name of a test: `cases_5_to_7_and_9_what_they_show` are 5, 6, 7 and 9.
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
fn every_case_of_the_reference_is_a_test() {
    assert_eq!(cases("cases_5_to_7_and_9_what_20_show"), [5, 6, 7, 9]);
    let name = |line: &'static str| {
        let line = line.trim_start().trim_start_matches("async ");
        line.strip_prefix("fn ").or_else(|| line.strip_prefix("def test_"))?.split('(').next()
    };
    let names = TESTS.iter().chain(&END_TO_END).flat_map(|tests| tests.lines()).filter_map(name);
    let found: BTreeSet<u32> = names.flat_map(cases).collect();
    let missing: Vec<u32> = (1..=N_CASES).filter(|case| !found.contains(case)).collect();
    assert_eq!(missing, [] as [u32; 0], "cases without a test");
}
