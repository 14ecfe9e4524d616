//! ARCHITECTURE.md, claim by claim, as far as the sources can tell whether it is true.

use std::collections::BTreeSet;
use std::fs;

use super::{EDGES, check_none, code_lines, dependencies, files, manifest, ours, read, root};

/// Parsers that strangers can reach, the file each is in, and its fuzz target. A file that gets a new reader of strange
/// bytes belongs here.
const PARSERS: &[(&str, &str, &str)] = &[
    ("images", "crates/vision/src/decode.rs", "image"),
    ("images, reduced while decoding", "crates/vision/src/decode/jpeg.rs", "image_reduced"),
    ("models in ONNX", "crates/vision/src/onnx/mod.rs", "onnx"),
    ("models in TFLite", "crates/vision/src/tflite/mod.rs", "tflite"),
    ("manifests of packs", "crates/vision/src/pack/manifest/raw.rs", "manifest"),
    ("filters", "crates/domain/src/filter/parser.rs", "filter"),
    ("addresses and redirects", "crates/server/src/fetch/target.rs", "urls"),
    ("sealed tokens", "crates/wire/src/http/sealed.rs", "token"),
    ("Huawei signatures", "crates/wire/src/huawei/auth/signature.rs", "signature"),
    ("Huawei fields as Python writes them", "crates/wire/src/huawei/python.rs", "python"),
    ("Huawei token requests", "crates/wire/src/huawei/iam.rs", "keystone"),
    ("Alibaba signatures, version 1", "crates/wire/src/aliyun/auth/acs1.rs", "aliyun_signature"),
    ("Alibaba signatures, version 3", "crates/wire/src/aliyun/auth/acs3.rs", "aliyun_acs3"),
    ("Alibaba client information", "crates/wire/src/aliyun/client_info.rs", "aliyun_client_info"),
    ("Alibaba storage requests", "crates/wire/src/aliyun/uploads/signature.rs", "aliyun_upload"),
    ("Yuanli signs", "crates/wire/src/yuanli/auth.rs", "yuanli_sign"),
    ("forms of Face++ and Yuanli", "crates/wire/src/megvii/fields.rs", "fields"),
    ("faces of archives", "crates/wire/src/native/archive.rs", "archived_face"),
    ("archives", "crates/wire/src/native/archive_file.rs", "archive"),
    ("bodies of the native API", "crates/wire/src/native/body.rs", "native_body"),
    ("heads of the native API", "crates/wire/src/native/fuzz.rs", "native_head"),
    ("ends of backups", "crates/store/src/embedded/backup/format.rs", "backup"),
    ("identity files", "crates/store/src/embedded/identity.rs", "identity"),
    ("rows of the index on disk", "crates/store/src/index/row_file.rs", "row_file"),
    ("columns with a format of their own", "crates/store/src/embedded/codec.rs", "columns"),
    ("pages of damaged databases", "crates/store/src/embedded/records.rs", "damaged_page"),
];

fn page() -> String {
    read(&root().join("ARCHITECTURE.md"))
}

/// The words in back quotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// The lines of a section, without its heading.
fn section(heading: &str) -> String {
    let page = page();
    let (_, rest) = page.split_once(&format!("\n## {heading}\n")).unwrap_or_else(|| panic!("no section {heading}"));
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

#[test]
fn rooms_named_in_the_architecture_exist() {
    let page = page();
    let tops = ["crates/", "docs/", "tests/", "fuzz/", "console/", "scenarios/", "xtask/"];
    let named = quoted(&page).filter(|word| tops.iter().any(|top| word.starts_with(top)));
    let plain = named.filter(|word| !word.contains(['<', '*', '{', ' ', '\n']));
    // A module may be a folder or a file.
    let exists = |room: &str| root().join(room).exists() || root().join(format!("{room}.rs")).exists();
    check_none(
        "ARCHITECTURE.md names what is not there",
        plain.filter(|room| !exists(room)).map(str::to_owned).collect(),
    );
}

#[test]
fn every_folder_of_a_crate_stands_among_the_rooms() {
    let rooms = section("Rooms");
    let named: BTreeSet<&str> = quoted(&rooms).collect();
    let mut missing = Vec::new();
    for (name, _) in EDGES {
        let sources = format!("crates/{name}/src");
        if named.contains(sources.as_str()) {
            continue;
        }
        for entry in fs::read_dir(root().join(&sources)).expect("a crate has sources") {
            let path = entry.expect("an entry can be read").path();
            let folder = path.file_name().expect("an entry has a name").to_string_lossy().into_owned();
            let has_products = path.is_dir() && folder != "tests" && !files(&path, ".rs").is_empty();
            // The folder of a file with the same name may hold nothing but the file's tests.
            let only_tests = || files(&path, ".rs").iter().all(|file| file.to_string_lossy().contains("tests"));
            let room = format!("{sources}/{folder}");
            let is_named = named.contains(room.as_str()) || named.contains(format!("{room}.rs").as_str());
            if has_products && !is_named && !only_tests() {
                missing.push(room);
            }
        }
    }
    check_none("folders that are not among the rooms of ARCHITECTURE.md", missing);
}

#[test]
fn the_picture_shows_every_crate_port_and_dialect() {
    let picture = section("The picture");
    let mut missing: Vec<String> = EDGES.iter().map(|(name, _)| (*name).to_owned()).collect();
    for dialect in fs::read_dir(root().join("crates/wire/src")).expect("the dialects can be listed") {
        let path = dialect.expect("an entry can be read").path();
        if path.join("operations.rs").exists() {
            missing.push(format!("{}/", path.file_name().expect("a name").to_string_lossy()));
        }
    }
    let ports = files(&root().join("crates/domain/src/ports"), ".rs").into_iter();
    for file in ports.chain([root().join("crates/domain/src/ports.rs")]) {
        let text = read(&file);
        let traits = text.lines().filter_map(|line| line.strip_prefix("pub trait "));
        missing.extend(traits.filter_map(|rest| rest.split([':', ' ', '<', '{']).next()).map(str::to_owned));
    }
    // A listener of the timer, and what stores are asked to notify, are parts of the ports beside them.
    let shown: BTreeSet<&str> = words(&picture).collect();
    let named: BTreeSet<String> = missing.iter().cloned().collect();
    missing.retain(|name| !picture.contains(name.as_str()) && name != "Notify");
    check_none("the picture of ARCHITECTURE.md lacks", missing);
    let rows = picture.lines().skip_while(|line| !line.starts_with("| ports")).take_while(|line| line.starts_with('|'));
    let ports: Vec<&str> = rows.flat_map(words).filter(|word| word.starts_with(char::is_uppercase)).collect();
    assert!(ports.len() > 10 && ports.iter().all(|port| shown.contains(port)), "{ports:?}");
    let gone = ports.into_iter().filter(|port| !named.contains(*port));
    check_none("the picture of ARCHITECTURE.md has ports that are none", gone.map(str::to_owned).collect());
    let widths: BTreeSet<usize> = picture.lines().filter(|line| line.starts_with(['+', '|'])).map(str::len).collect();
    assert_eq!(widths.len(), 1, "the boxes of the picture are as wide as each other: {widths:?}");
}

/// The names in a text.
fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|character: char| !character.is_alphanumeric() && character != '_').filter(|word| !word.is_empty())
}

/// Code outside tests below these places, by place and line.
fn product_lines(below: &[&str]) -> Vec<(String, String)> {
    let is_test = |place: &str| place.contains("/tests") || place.contains("tests.rs");
    let lines = code_lines().into_iter();
    lines.filter(|(place, _)| below.iter().any(|below| place.starts_with(below)) && !is_test(place)).collect()
}

#[test]
fn types_functions_and_modules_named_in_the_architecture_exist() {
    let page = page();
    let sources: String = code_lines().into_iter().map(|(_, line)| line + "\n").collect();
    let has = |keyword: &str, name: &str| {
        let text = format!("{keyword} {name}");
        let mut found = sources.match_indices(&text).map(|(at, _)| &sources[at + text.len()..]);
        found.any(|rest| !rest.starts_with(|next: char| next.is_alphanumeric() || next == '_'))
    };
    let is_type = |name: &str| ["struct", "enum", "trait", "type", "const"].iter().any(|keyword| has(keyword, name));
    let is_crate = |name: &str| EDGES.iter().any(|(known, _)| *known == name);
    let exists = |name: &str| match name.split_once("::") {
        Some((holder, part)) if is_crate(holder) => {
            let module = root().join(format!("crates/{holder}/src/{part}"));
            module.exists() || module.with_extension("rs").exists()
        }
        Some((holder, part)) if part.starts_with(char::is_uppercase) => {
            is_type(holder) && sources.contains(&format!("{part},"))
        }
        Some((holder, part)) => is_type(holder) && has("fn", part),
        None => is_type(name) || sources.contains(&format!("{name:?}")),
    };
    let is_name = |word: &&str| {
        let is_word = word.chars().all(|character| character.is_alphanumeric() || "_:".contains(character));
        is_word && (word.contains("::") || word.starts_with(char::is_uppercase))
    };
    let names: BTreeSet<&str> = quoted(&page).filter(is_name).collect();
    assert!(names.len() > 10, "{names:?}");
    check_none(
        "ARCHITECTURE.md names what is not in the sources",
        names.into_iter().filter(|name| !exists(name)).map(str::to_owned).collect(),
    );
}

#[test]
fn every_use_case_takes_a_caller() {
    let mut found = Vec::new();
    for file in files(&root().join("crates/domain/src/library"), ".rs") {
        let text = read(&file);
        // Work in the background is no use case; it makes its own callers.
        let is_test = file.to_string_lossy().contains("tests");
        if is_test || file.ends_with("jobs.rs") {
            continue;
        }
        for signature in text.split("    pub async fn ").skip(1) {
            let signature = signature.split('{').next().unwrap_or_default();
            if !signature.contains("caller: &Caller") {
                found.push(format!("{}: {}", file.display(), signature.trim()));
            }
        }
    }
    check_none("use cases that nobody is asked for", found);
}

#[test]
fn the_domain_reads_no_clock_and_makes_no_random_number() {
    let sources = ["SystemTime", "Instant", "getrandom", "RandomState"];
    let found = product_lines(&["crates/domain/src"]).into_iter();
    check_none(
        "time or chance that does not come through a port",
        found.filter(|(_, line)| words(line).any(|word| sources.contains(&word))).map(|(place, _)| place).collect(),
    );
}

/// Where threads are started, or the runtime's threads for blocking work are used; rule 7 of ARCHITECTURE.md names them.
const THREADS: &[&str] = &[
    "crates/vision/src/pool.rs",
    "crates/store/src/embedded/",
    "crates/store/src/index/",
    "crates/store/src/postgres/",
    "crates/store/src/conformance",
    "crates/wire/src/native/archive_jobs/",
    "crates/server/src/listener/large.rs",
    "crates/server/src/fetch/resolver.rs",
    "crates/server/src/readiness.rs",
    "crates/server/src/assemble.rs",
    "crates/server/src/cli/",
];

#[test]
fn threads_are_started_where_rule_7_says() {
    let forms = ["thread::Builder", "thread::spawn", "thread::scope", "spawn_blocking", "Builder::new_multi_thread"];
    let found = product_lines(&["crates/"]).into_iter().filter(|(place, line)| {
        let is_product = place.contains("/src/") && !place.starts_with("crates/testkit/");
        let is_known = THREADS.iter().any(|home| place.starts_with(home));
        is_product && !is_known && forms.iter().any(|form| line.contains(form))
    });
    check_none("threads in a place that rule 7 does not name", found.map(|(place, _)| place).collect());
}

#[test]
fn only_the_runtime_names_the_inference_libraries() {
    let forms = ["ort::", "openvino_sys::", "openvino::Tensor", "openvino::Core"];
    let found = product_lines(&["crates/"]).into_iter().filter(|(place, line)| {
        let starts = |form: &&&str| line.trim_start().starts_with(**form) || line.contains(&format!(" {form}"));
        !place.starts_with("crates/vision/src/runtime/") && forms.iter().find(starts).is_some()
    });
    check_none("an inference library outside of the runtime", found.map(|(place, _)| place).collect());
}

#[test]
fn what_is_deliberately_absent_is_absent() {
    let manifest = read(&root().join("Cargo.toml")).to_lowercase();
    for word in ["cuda", "tensorrt", "directml", "rocm", "hnsw", "libloading"] {
        assert!(!manifest.contains(word), "a dependency or feature for {word}");
    }
}

#[test]
fn rule_1_names_the_directions_that_the_manifests_have() {
    let rules = section("Rules of direction");
    let rule = rules.lines().find(|line| line.starts_with("1. ")).expect("rule 1");
    assert!(rule.contains("`domain` depends on nothing of ours") && rule.contains("`server` on all"), "{rule}");
    for (name, _) in EDGES.iter().filter(|(name, _)| !["domain", "server"].contains(name)) {
        assert!(rule.contains(&format!("`{name}`")), "rule 1 does not name {name}");
        let used = dependencies(&manifest(name), "dependencies");
        assert_eq!(ours(&used).collect::<Vec<_>>(), ["domain"], "{name}");
    }
    assert_eq!(ours(&dependencies(&manifest("domain"), "dependencies")).count(), 0);
}

#[test]
fn no_dialect_knows_another() {
    let dialects = ["huawei", "aliyun", "yuanli", "facepp", "native"];
    let mut found = Vec::new();
    for (place, line) in code_lines() {
        let Some(inside) = place.strip_prefix("crates/wire/src/") else { continue };
        let Some(own) = dialects.iter().find(|dialect| inside.starts_with(&format!("{dialect}/"))) else { continue };
        let is_test = inside.contains("/tests");
        let others = dialects.iter().filter(|other| *other != own);
        if !is_test && others.into_iter().any(|other| line.contains(&format!("crate::{other}::"))) {
            found.push(place);
        }
    }
    // What two of them share is theirs to name, and it names neither.
    for (place, line) in code_lines().into_iter().filter(|(place, _)| place.starts_with("crates/wire/src/megvii/")) {
        if dialects.iter().any(|dialect| line.contains(&format!("crate::{dialect}::"))) {
            found.push(place);
        }
    }
    check_none("a dialect that knows another", found);
}

#[test]
fn a_dialect_is_one_line_among_the_adapters() {
    let router = read(&root().join("crates/wire/src/router.rs"));
    let (_, list) = router.split_once("pub const ADAPTERS").expect("the list of adapters");
    for entry in fs::read_dir(root().join("crates/wire/src")).expect("the dialects can be listed") {
        let path = entry.expect("an entry can be read").path();
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        if path.join("operations.rs").exists() {
            assert_eq!(list.matches(&format!("crate::{name}::ADAPTER")).count(), 1, "{name} among the adapters");
            assert!(router.contains(&format!("(\"{name}\", _) => dialects.{name}.answer(")), "{name} in the router");
        }
    }
}

#[test]
fn a_store_is_one_line_of_the_conformance_suite() {
    let suite = read(&root().join("crates/store/tests/it/main.rs"));
    for store in ["memory", "embedded"] {
        assert!(suite.contains(&format!("conformance!({store},")), "{store} is run through the conformance suite");
        assert!(root().join("crates/store/src").join(store).is_dir());
    }
    let postgres = read(&root().join("crates/store/tests/it/postgres/mod.rs"));
    assert!(postgres.contains("conformance!("), "PostgreSQL is run through the conformance suite");
    let schemes = read(&root().join("crates/store/src/open.rs"));
    for scheme in ["\"memory:\"", "\"sqlite\"", "\"postgres\""] {
        assert!(schemes.contains(scheme), "{scheme} opens a store");
    }
}

#[test]
fn every_parser_that_strangers_reach_has_a_fuzz_target() {
    let cargo: toml::Table = read(&root().join("fuzz/Cargo.toml")).parse().expect("the manifest is TOML");
    let bins = cargo["bin"].as_array().expect("the targets").iter();
    let built: BTreeSet<String> = bins.filter_map(|bin| bin["name"].as_str().map(str::to_owned)).collect();
    let listed: BTreeSet<String> = PARSERS.iter().map(|(.., target)| (*target).to_owned()).collect();
    assert_eq!(built, listed, "the targets and the parsers that they drive");
    for (what, file, target) in PARSERS {
        assert!(root().join(file).exists(), "{what} are read in {file}");
        let source = read(&root().join(format!("fuzz/fuzz_targets/{target}.rs")));
        assert!(source.contains("fuzz_target!"), "{target} drives something");
    }
    // A reader that was made to be fuzzed is driven by a target.
    let entries = read(&root().join("crates/wire/src/lib.rs"));
    for (place, line) in code_lines().into_iter().filter(|(place, _)| place.starts_with("crates/wire/src/")) {
        let name = line.trim_start().strip_prefix("pub fn fuzz_").and_then(|rest| rest.split('(').next());
        if let Some(name) = name {
            assert!(entries.contains(&format!("fuzz_{name} as ")), "{place}: fuzz_{name} is an entry for fuzzing");
        }
    }
}
