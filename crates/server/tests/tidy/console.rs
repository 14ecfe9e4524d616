//! What the server says as a code or a name has a text in every language of the console.

use std::collections::BTreeMap;

use serde_json::Value;

use super::{read, root};

const LANGUAGES: [&str; 3] = ["en", "de", "zh"];

fn json(path: &str) -> Value {
    let text = read(&root().join(path));
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn messages(language: &str) -> BTreeMap<String, String> {
    let file = json(&format!("console/src/messages/{language}.json"));
    serde_json::from_value(file).expect("texts by their keys")
}

/// Those of these words for which a language has no text of its own.
#[track_caller]
fn check<'a>(prefix: &str, words: impl IntoIterator<Item = &'a str>) {
    let words: Vec<&str> = words.into_iter().collect();
    assert!(!words.is_empty(), "{prefix}");
    let english = messages("en");
    for language in LANGUAGES {
        let texts = messages(language);
        for word in &words {
            let key = format!("{prefix}.{word}");
            let text = texts.get(&key).map_or("", String::as_str);
            assert!(!text.is_empty(), "console/src/messages/{language}.json has no `{key}`");
            assert!(language == "en" || text != english[&key], "`{key}` of {language} is English");
        }
    }
}

fn words(schema: &Value) -> impl Iterator<Item = &str> {
    schema["enum"].as_array().expect("an enumeration").iter().filter_map(Value::as_str)
}

#[test]
fn every_refusal_has_a_text_in_each_language() {
    let codes = json("crates/wire/src/native/openapi/codes.json");
    let codes = codes.as_array().expect("a list");
    check("error", codes.iter().filter_map(|code| code["code"].as_str()));
}

#[test]
fn every_finding_has_a_text_in_each_language() {
    let schemas = json("crates/wire/src/native/openapi/schemas.json");
    check("finding", words(&schemas["Finding"]["properties"]["code"]));
    check("failure", words(&schemas["Failure"]["properties"]["figure"]));
    let source = read(&root().join("crates/domain/src/liveness/mod.rs"));
    let (_, names) = source.split_once("impl LivenessReason {").expect("the words of its reasons");
    let (names, _) = names.split_once("\n}\n").expect("the end of it");
    check("remark", names.split("=> \"").skip(1).filter_map(|rest| rest.split('"').next()));
}

#[test]
fn every_setting_has_a_text_in_each_language() {
    // The reference is compared with the settings themselves; English is what the program says.
    let reference = read(&root().join("docs/configuration.md"));
    let names: Vec<&str> = reference
        .lines()
        .filter(|line| line.contains("| `LIKENESS_"))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .collect();
    assert!(names.len() > 100, "{} settings", names.len());
    for language in LANGUAGES.into_iter().filter(|&language| language != "en") {
        let path = format!("console/src/messages/settings/{language}.json");
        let file = json(&path);
        let about = file["about"].as_object().expect("texts by the names of settings");
        for name in &names {
            assert!(about.contains_key(*name), "{path} does not say what `{name}` is for");
        }
        assert_eq!(about.len(), names.len(), "{path} has a setting that is gone");
    }
}
