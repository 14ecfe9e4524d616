//! Small parts on their own.

use likeness_domain::types::{FaceId, ID_END, TimestampMs};
use likeness_testkit::SeededIds;
use proptest::prelude::*;

use crate::http::json::Value;
use crate::huawei::{convert, ids, python};

#[test]
fn ids_are_eight_letters_and_nothing_else_is_an_id() {
    assert_eq!(ids::face_id(FaceId::new(1).unwrap()), "AAAAAAAB");
    assert_eq!(ids::face_id(FaceId::new(52).unwrap()), "AAAAAABA");
    let last = FaceId::new(ID_END - 1).unwrap();
    assert_eq!(ids::read_face_id(&ids::face_id(last)), Some(last));
    for text in ["", "AAAAAAAA", "zzzzzzzz", "AAAAAAA", "AAAAAAAAB", "AAAAAA1B", "AAAAAA\u{e9}"] {
        assert_eq!(ids::read_face_id(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn every_id_has_one_spelling(number in 1..ID_END) {
        let id = FaceId::new(number).unwrap();
        let text = ids::face_id(id);
        prop_assert_eq!(text.len(), 8);
        prop_assert!(text.bytes().all(|byte| byte.is_ascii_alphabetic()));
        prop_assert_eq!(ids::read_face_id(&text), Some(id));
    }

    #[test]
    fn a_text_that_spells_an_id_is_its_only_spelling(text in "[A-Za-z]{8}") {
        if let Some(id) = ids::read_face_id(&text) {
            prop_assert_eq!(ids::face_id(id), text);
        }
    }

    #[test]
    fn python_s_texts_never_make_it_fall(text in "\\PC*") {
        let _ = Value::parse(python::to_json(&text).as_bytes());
    }

    #[test]
    fn python_s_strings_come_through(text in "[a-z'\" \u{e9}\u{1f600}:,{}\\[\\]\n\t]{0,20}") {
        // As CPython's repr: single quotes unless only those would need escaping.
        let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
        let escaped = text.replace('\n', "\\n").replace('\t', "\\t");
        let escaped = if quote == '\'' { escaped.replace('\'', "\\'") } else { escaped };
        let written = format!("{{'k': {quote}{escaped}{quote}, 'n': None, 't': True}}");
        let read = Value::parse(python::to_json(&written).as_bytes());
        let Some(Value::Object(object)) = read else { panic!("{written}") };
        prop_assert_eq!(object.get("k"), Some(&Value::Text(text)));
        prop_assert_eq!(object.get("t"), Some(&Value::Boolean(true)));
        prop_assert_eq!(object.get("n"), None);
    }
}

#[test]
fn made_labels_are_in_the_documented_alphabet() {
    let source = SeededIds::new(3);
    let labels: Vec<String> = (0..100).map(|_| ids::fresh_external_image_id(&source)).collect();
    assert!(labels.iter().all(|label| label.len() == 8 && label.bytes().all(|byte| byte.is_ascii_alphanumeric())));
    assert_ne!(labels[0], labels[1]);
}

#[test]
fn dates_are_utc_without_a_zone() {
    for (ms, text) in [
        (0, "1970-01-01 00:00:00"),
        (1_772_352_900_999, "2026-03-01 08:15:00"),
        (-1, "1969-12-31 23:59:59"),
        (i64::MAX, "1970-01-01 00:00:00"),
    ] {
        assert_eq!(convert::create_date(TimestampMs(ms)), text);
    }
}
