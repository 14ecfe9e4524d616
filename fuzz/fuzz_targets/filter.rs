//! Any text as a filter: parsed or refused; what was parsed prints and parses to the same, and checks without a panic.
#![no_main]

use libfuzzer_sys::fuzz_target;
use likeness_domain::Kind;
use likeness_domain::filter::{FilterRow, Vocabulary, parse};
use likeness_domain::types::{FaceId, FieldName, FieldSchema, FieldType, FieldValue};

fuzz_target!(|text: &str| {
    let vocabulary =
        Vocabulary { subject: "external_image_id", face_id: ("face_id", |text| text.parse().ok().and_then(FaceId::new)) };
    let expr = match parse(text, &vocabulary) {
        Ok(Some(expr)) => expr,
        Ok(None) => return,
        Err(err) => return assert_eq!(err.kind(), Kind::InvalidArgument),
    };
    let fields = [("a", FieldType::Integer), ("b", FieldType::Double), ("c", FieldType::String), ("d", FieldType::Boolean)];
    let schema =
        FieldSchema::new(fields.map(|(name, kind)| (FieldName::new(name).expect("a valid name"), kind))).expect("four fields");
    match expr.check(&schema) {
        Ok(filter) => {
            let values = [Some(FieldValue::Whole(1)), Some(FieldValue::Real(1.5)), Some(FieldValue::Text("x".into())), None];
            let row = FilterRow { face: FaceId::new(7).expect("in range"), subject: Some("anna"), values: &values };
            assert_eq!(filter.matches(row), !likeness_domain::filter::Filter::Not(Box::new(filter.clone())).matches(row));
        }
        Err(err) => assert!(matches!(err.kind(), Kind::InvalidArgument | Kind::UnknownField), "{err:?}"),
    }
});
