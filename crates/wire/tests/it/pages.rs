//! The pages in `docs` are true: what a dialect's page and its reference promise is compared with the dialect's table and
//! with the names of its tests.

use std::collections::BTreeSet;

use likeness_wire::{ADAPTERS, State};

/// The sources of a dialect's tests below `crates/wire/src`.
macro_rules! sources {
    ($dialect:literal: $($file:literal)*) => {
        &[$(include_str!(concat!("../../src/", $dialect, "/", $file))),*]
    };
}

/// Sources of tests that need an SDK, a real host or real photographs.
macro_rules! end_to_end {
    ($($file:literal)*) => {
        &[$(include_str!(concat!("../../../../tests/e2e/", $file))),*]
    };
}

const HUAWEI: &str = include_str!("../../../../docs/huawei.md");
const HUAWEI_TESTS: &[&str] = sources!("huawei": "tests/auth.rs" "tests/face_sets.rs" "tests/faces.rs" "tests/hostile.rs"
    "tests/images.rs" "tests/legacy.rs" "tests/limits.rs" "tests/liveness.rs" "tests/probes.rs" "tests/search.rs"
    "tests/tenants.rs" "auth/signature/tests.rs");
const ALIYUN: &str = include_str!("../../../../docs/aliyun.md");
const ALIYUN_TESTS: &[&str] = sources!("aliyun": "auth/tests.rs" "tests/faces.rs" "tests/persons.rs" "tests/scans.rs"
    "tests/transport.rs" "tests/uploads.rs");
const YUANLI: &str = include_str!("../../../../docs/yuanli.md");
const YUANLI_TESTS: &[&str] = sources!("yuanli": "tests/auth.rs" "tests/faces.rs" "tests/groups.rs" "tests/hostile.rs"
    "tests/listing.rs" "tests/search.rs");
const FACEPP: &str = include_str!("../../../../docs/facepp.md");
const FACEPP_TESTS: &[&str] = sources!("facepp": "tests/auth.rs" "tests/faces.rs" "tests/face_sets.rs" "tests/hostile.rs"
    "tests/tasks.rs");

#[test]
fn every_operation_is_on_its_page_with_its_state() {
    for adapter in ADAPTERS {
        for info in adapter.operations {
            let (name, path) = (info.name, info.path);
            let state = match info.state {
                State::Done => "done".to_owned(),
                State::Partly(difference) => format!("partly: {difference}"),
                State::Refused(code) => format!("refused with `{code}`"),
            };
            match adapter.name {
                "huawei" => {
                    let row = format!("| {name} | {} `{path}` | {state} |", info.method);
                    assert!(HUAWEI.contains(&row), "docs/huawei.md lacks {row}");
                }
                "aliyun" => {
                    let row = format!("| {name} | `{path}` | {state} |");
                    assert!(ALIYUN.contains(&row), "docs/aliyun.md lacks {row}");
                }
                "yuanli" => {
                    assert!(operations_of(YUANLI).contains(&format!("`{name}`")), "docs/yuanli.md lacks {name}")
                }
                "facepp" => {
                    assert!(operations_of(FACEPP).contains(&format!("`{name}`")), "docs/facepp.md lacks {name}")
                }
                other => panic!("the dialect {other} has no page here"),
            }
        }
    }
}

/// A page's section of operations.
fn operations_of(page: &str) -> &str {
    let section = page.split("## Operations").nth(1).expect("the page has a section for them");
    section.split("\n## ").next().expect("a split has a first part")
}

#[test]
fn every_row_of_what_is_refused_names_a_test_that_exists() {
    check_rows(HUAWEI, "## Bad input", 50, HUAWEI_TESTS);
    check_rows(ALIYUN, "| Input | Answer | Test |", 25, ALIYUN_TESTS);
    check_rows(ALIYUN, "| Refused upload | Answer (XML) | Test |", 9, ALIYUN_TESTS);
    check_rows(YUANLI, "## Bad input", 15, YUANLI_TESTS);
    check_rows(FACEPP, "## Bad input", 15, FACEPP_TESTS);
}

#[test]
fn every_case_of_a_reference_is_a_test() {
    let huawei: &[&str] = end_to_end!("huawei/test_cases.py" "huawei/test_sdk.py");
    check_cases(100, &[HUAWEI_TESTS, huawei].concat());
    let aliyun: &[&str] = end_to_end!("aliyun_v1/test_hosts.py" "aliyun_v1/test_sdk.py" "aliyun_v1/test_uploads.py"
        "aliyun_v2/test_sdk.py");
    check_cases(88, &[ALIYUN_TESTS, aliyun].concat());
    let yuanli: Vec<&str> = YUANLI_TESTS.iter().flat_map(|tests| tests_in(tests)).collect();
    // F03 is about curl, which is run from outside.
    for (letter, n_cases) in [('a', 21), ('b', 23), ('c', 19), ('d', 16), ('e', 14), ('f', 2)] {
        for case in 1..=n_cases {
            let number = format!("{letter}{case:02}");
            let has_number = |name: &&str| name.split('_').any(|word| word == number);
            assert!(yuanli.iter().any(has_number), "no test for case {number}");
        }
    }
}

/// Every row of the table behind `beginning` names, in its last cell, tests that are in `sources`.
#[track_caller]
fn check_rows(page: &str, beginning: &str, n_rows_min: usize, sources: &[&str]) {
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
fn check_cases(n_cases: u32, sources: &[&str]) {
    let found: BTreeSet<u32> = sources.iter().flat_map(|source| tests_in(source)).flat_map(cases).collect();
    let missing: Vec<u32> = (1..=n_cases).filter(|case| !found.contains(case)).collect();
    assert_eq!(missing, [] as [u32; 0], "cases without a test");
    assert_eq!(found.last(), Some(&n_cases), "a test is named after a case that does not exist");
}

/// The names of the tests of a Rust or Python source, those of Python without their `test_`.
fn tests_in(source: &str) -> impl Iterator<Item = &str> {
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
