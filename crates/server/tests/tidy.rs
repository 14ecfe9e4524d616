//! Directions, confinements and conventions, checked on the sources themselves, so that local runs and CI agree.

#[path = "tidy/architecture.rs"]
mod architecture;
#[path = "tidy/circles.rs"]
mod circles;
#[path = "tidy/console.rs"]
mod console;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// Which of our crates a crate may use. `domain` uses none: that is what keeps it the same for every vendor and backend.
const EDGES: &[(&str, &[&str])] = &[
    ("domain", &[]),
    ("vision", &["domain"]),
    ("store", &["domain"]),
    ("wire", &["domain"]),
    ("testkit", &["domain"]),
    ("server", &["domain", "vision", "store", "wire"]),
];

/// What tests of any crate may use besides: fakes, and the in-memory store.
const TEST_EDGES: &[&str] = &["testkit", "store"];

/// Heavy libraries and the only crates that may name them.
const CONFINED: &[(&str, &[&str])] = &[
    ("openvino", &["vision"]),
    ("openvino-sys", &["vision"]),
    ("ort", &["vision"]),
    ("rusqlite", &["store"]),
    ("tokio-postgres", &["store"]),
    ("deadpool-postgres", &["store"]),
    ("axum", &["wire", "server"]),
    ("hyper", &["server"]),
    ("serde", &["vision", "wire", "server"]),
    ("clap", &["server"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().expect("the workspace is two levels up")
}

fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|err| panic!("cannot read {}: {err}", path.display()))
}

/// Every file below `dir` whose name ends so.
fn files(dir: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        let entries = fs::read_dir(&dir).unwrap_or_else(|err| panic!("cannot list {}: {err}", dir.display()));
        for entry in entries {
            let path = entry.expect("a directory entry can be read").path();
            if path.is_dir() {
                dirs.push(path);
            } else if path.to_string_lossy().ends_with(ending) {
                found.push(path);
            }
        }
    }
    found.sort();
    found
}

fn manifest(crate_name: &str) -> toml::Table {
    let path = root().join("crates").join(crate_name).join("Cargo.toml");
    read(&path).parse().unwrap_or_else(|err| panic!("{}: {err}", path.display()))
}

/// Names in a table of dependencies, also those for one target only.
fn dependencies(manifest: &toml::Table, table: &str) -> BTreeSet<String> {
    let keys = |holder: &toml::Table| -> Vec<String> {
        let table = holder.get(table).and_then(toml::Value::as_table);
        table.into_iter().flat_map(|table| table.keys().cloned()).collect()
    };
    let targets = manifest.get("target").and_then(toml::Value::as_table);
    let by_target = targets.into_iter().flat_map(|targets| targets.values()).filter_map(toml::Value::as_table);
    keys(manifest).into_iter().chain(by_target.flat_map(keys)).collect()
}

fn ours(names: &BTreeSet<String>) -> impl Iterator<Item = &str> {
    names.iter().filter_map(|name| name.strip_prefix("likeness-"))
}

/// Lines of our Rust sources outside comments, with the place to name in a failure. These checks are left
/// out: they have to name what they forbid.
fn code_lines() -> Vec<(String, String)> {
    let root = root();
    let mut lines = Vec::new();
    for path in files(&root.join("crates"), ".rs") {
        if path.ends_with("server/tests/tidy.rs") || path.ends_with("server/tests/tidy/architecture.rs") {
            continue;
        }
        let place = path.strip_prefix(&root).expect("it is below the root").to_string_lossy().into_owned();
        for (line_idx, line) in read(&path).lines().enumerate() {
            if !line.trim_start().starts_with("//") {
                lines.push((format!("{place}:{}", line_idx + 1), line.to_owned()));
            }
        }
    }
    assert!(lines.len() > 1000, "the sources are where they are looked for");
    lines
}

#[track_caller]
fn check_none(what: &str, found: Vec<String>) {
    assert!(found.is_empty(), "{what}:\n  {}", found.join("\n  "));
}

#[test]
fn every_crate_is_on_the_list_of_edges() {
    let crates = fs::read_dir(root().join("crates")).expect("crates/ can be listed");
    let found: BTreeSet<String> =
        crates.map(|entry| entry.expect("an entry can be read").file_name().to_string_lossy().into_owned()).collect();
    let listed: BTreeSet<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(found, listed);
}

#[test]
fn dependencies_point_inward() {
    for (name, allowed) in EDGES {
        let manifest = manifest(name);
        for used in ours(&dependencies(&manifest, "dependencies")) {
            assert!(allowed.contains(&used), "{name} must not depend on {used}");
        }
        for used in ours(&dependencies(&manifest, "dev-dependencies")) {
            assert!(allowed.contains(&used) || TEST_EDGES.contains(&used), "tests of {name} must not use {used}");
        }
        assert_eq!(ours(&dependencies(&manifest, "build-dependencies")).count(), 0, "{name} is built by itself");
    }
}

#[test]
fn the_domain_needs_nothing_but_bytes_and_tables_of_letters() {
    let needed = ["bytes", "unicode-normalization", "unicode-security"].map(str::to_owned);
    assert_eq!(dependencies(&manifest("domain"), "dependencies"), BTreeSet::from(needed));
}

#[test]
fn heavy_libraries_stay_in_their_rooms() {
    for (library, rooms) in CONFINED {
        for (name, _) in EDGES.iter().filter(|(name, _)| !rooms.contains(name)) {
            let used = dependencies(&manifest(name), "dependencies");
            assert!(!used.contains(*library), "{library} belongs to {rooms:?}, {name} depends on it");
        }
    }
}

#[test]
fn every_crate_takes_its_lints_and_versions_from_the_workspace() {
    for (name, _) in EDGES {
        let manifest = manifest(name);
        let lints = manifest.get("lints").and_then(|lints| lints.get("workspace")).and_then(toml::Value::as_bool);
        assert_eq!(lints, Some(true), "{name} inherits the lints");
        for table in ["dependencies", "dev-dependencies", "build-dependencies"] {
            for (library, asked) in manifest.get(table).and_then(toml::Value::as_table).into_iter().flatten() {
                let inherited = asked.get("workspace").and_then(toml::Value::as_bool) == Some(true);
                assert!(inherited, "{name} states a version of {library} itself");
            }
        }
    }
}

#[test]
fn unsafe_code_is_in_kernels_and_library_seams_only_and_explains_itself() {
    let homes = [
        "crates/server/src/video/kernel.rs",
        "crates/store/src/index/kernel",
        // An allocator that counts.
        "crates/store/tests/index_memory.rs",
        // A file system of SQLite's for tests, which is a table of C functions.
        "crates/store/tests/faults/vfs.rs",
        "crates/vision/src/align/kernel/",
        "crates/vision/src/decode/jpeg/kernel",
        "crates/vision/src/raster/kernel/",
        "crates/vision/src/runtime/builtin/kernel/",
        "crates/vision/src/runtime/onnxruntime.rs",
        "crates/vision/src/runtime/clock.rs",
        "crates/vision/src/runtime/heap.rs",
    ];
    let is_home = |place: &str| homes.iter().any(|home| place.starts_with(home));
    let forms = ["unsafe {", "unsafe fn", "unsafe impl", "unsafe extern", "(unsafe_code"];
    let found = code_lines().into_iter().filter(|(place, line)| {
        let lifted = line.contains("allow(unsafe_code");
        lifted || (!is_home(place) && forms.iter().any(|form| line.contains(form)))
    });
    check_none(
        "unsafe code outside the kernels and the seams to libraries, or allowed without a reason",
        found.map(|(place, _)| place).collect(),
    );
    let silent = files(&root().join("crates"), ".rs").into_iter().filter(|path| {
        let text = read(path);
        text.contains("unsafe {") && !text.contains("SAFETY:")
    });
    check_none("unsafe code without a SAFETY comment", silent.map(|path| path.display().to_string()).collect());
}

#[test]
fn nothing_is_left_out_or_switched_off() {
    let words = ["todo!(", "unimplemented!(", "dbg!(", "#[ignore"];
    let found = code_lines().into_iter().filter(|(_, line)| words.iter().any(|word| line.contains(word)));
    check_none(
        "unfinished or switched-off code",
        found.map(|(place, line)| format!("{place}: {}", line.trim())).collect(),
    );
}

#[test]
fn tests_do_not_sleep() {
    let in_test = |place: &str| place.contains("/tests/") || place.contains("tests.rs") || place.contains("/testkit/");
    let found = code_lines().into_iter().filter(|(place, line)| in_test(place) && line.contains("sleep("));
    check_none("a test that sleeps is slow or flaky", found.map(|(place, _)| place).collect());
}

#[test]
fn third_parties_are_named() {
    let page = read(&root().join("THIRD_PARTY.md"));
    let workspace: toml::Table = read(&root().join("Cargo.toml")).parse().expect("the root manifest is TOML");
    let declared = dependencies(workspace["workspace"].as_table().expect("a workspace"), "dependencies");
    let unnamed: Vec<String> = declared
        .into_iter()
        .filter(|name| !name.starts_with("likeness-") && !page.contains(&format!("| `{name}` |")))
        .collect();
    check_none("dependencies that THIRD_PARTY.md does not name", unnamed);
}
