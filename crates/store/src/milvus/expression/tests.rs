use std::sync::Arc;

use super::*;

fn set() -> FaceSetId {
    FaceSetId::new(7).unwrap()
}

#[track_caller]
fn check(filter: Filter, expect: &str) {
    let text = expression(set(), Some(&filter));
    assert_eq!(text.strip_prefix("face_set == 7").unwrap(), expect);
}

#[test]
fn what_an_expression_cannot_say_passes_everything() {
    let adult = || Filter::Whole { field_idx: 1, min: 18, max: i64::MAX };
    let named = || Filter::Not(Box::new(Filter::Subject("anna".into())));
    check(Filter::Every(vec![adult(), named()]), " and ((value[\"v1\"] >= 18))");
    check(Filter::AnyOf(vec![adult(), named()]), "");
    check(Filter::Every(vec![]), "");
    check(Filter::HasSubject, "");
    check(Filter::Whole { field_idx: 0, min: i64::MIN, max: i64::MAX }, "");
    check(Filter::AnyOf(vec![adult(); PARTS_MAX + 1]), "");
}

#[test]
fn what_passes_nothing_asks_for_nothing() {
    check(Filter::AnyOf(vec![]), " and key == \"\"");
    check(Filter::Whole { field_idx: 0, min: 2, max: 1 }, " and key == \"\"");
}

#[test]
fn texts_do_not_leave_the_store() {
    let text = "\"Zoë\" or 1 == 1";
    let filter = Filter::AnyOf(vec![
        Filter::Subject(text.into()),
        Filter::Text { field_idx: 3, value: text.into() },
        Filter::Face(FaceId::new(5).unwrap()),
    ]);
    let found = expression(set(), Some(&filter));
    assert!(!found.contains("Zo") && !found.contains("1 == 1"), "{found}");
    assert!(found.ends_with(" or key == \"7.5\")"), "{found}");
    let entry = GalleryEntry {
        face: FaceId::new(5).unwrap(),
        sequence: 1,
        person: None,
        template: likeness_domain::types::Template::new(
            likeness_domain::types::PackId::new("pack-1").unwrap(),
            &[1.0, 0.0],
        )
        .unwrap(),
        subject: Some(Arc::from(text)),
        values: Box::new([
            None,
            Some(FieldValue::Whole(-3)),
            Some(FieldValue::Real(0.1)),
            Some(FieldValue::Boolean(true)),
        ]),
    };
    let hash = hash(text);
    assert_eq!(values_of(&entry), format!("{{\"s\":{hash},\"v1\":-3,\"v2\":0.1,\"v3\":true}}"));
    assert!((0..1 << 52).contains(&hash));
}

#[test]
fn keys_name_a_face_of_one_set() {
    let face = FaceId::new(12).unwrap();
    assert_eq!(key_of(set(), face), "7.12");
    assert_eq!(face_of(set(), "7.12"), Some(face));
    for other in ["8.12", "7.", "7.0x", "712", ""] {
        assert_eq!(face_of(set(), other), None, "{other}");
    }
}
