use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::Kind;

#[test]
fn ids_are_above_zero_and_below_two_to_the_45() {
    assert_eq!(FaceId::new(0), None);
    assert_eq!(FaceId::new(ID_END), None);
    assert_eq!(FaceId::new(ID_END - 1).unwrap().get(), 35_184_372_088_831);
    assert_eq!(format!("{0} {0:?}", PersonId::new(7).unwrap()), "7 PersonId(7)");
    // What the width was chosen for: eight letters, and a JSON number, spell every id.
    assert!(52u64.pow(8) > ID_END && (1u64 << 53) > ID_END);
}

#[test]
fn a_tenant_id_is_32_lower_case_hex_digits() {
    let id = TenantId::from_bits(0xab);
    assert_eq!(id.to_string(), "000000000000000000000000000000ab");
    assert_eq!(TenantId::parse(&id.to_string()), Some(id));
    for text in [
        "",
        "ab",
        "000000000000000000000000000000AB",
        "0000000000000000000000000000000ab",
        "+00000000000000000000000000000ab",
    ] {
        assert_eq!(TenantId::parse(text), None, "{text}");
    }
}

#[test]
fn names_have_an_alphabet_and_a_length() {
    assert!(TenantName::new("a.b-C_9").is_ok());
    assert!(AccessKeyId::new("aB-_9").is_some());
    assert!(FieldName::new("a-b_C9").is_ok());
    assert!(PackId::new("default-1.2_x").is_some());
    for text in ["", "a b", "ü", "a/b", "a\n"] {
        assert!(TenantName::new(text).is_err(), "{text}");
        assert!(AccessKeyId::new(text).is_none(), "{text}");
        assert!(FieldName::new(text).is_err(), "{text}");
        assert!(PackId::new(text).is_none(), "{text}");
    }
    let (fits, too_long) = (64, 65);
    assert!(TenantName::new(&"a".repeat(fits)).is_ok() && TenantName::new(&"a".repeat(too_long)).is_err());
    assert!(AccessKeyId::new(&"a".repeat(fits)).is_some() && AccessKeyId::new(&"a".repeat(too_long)).is_none());
    assert!(PackId::new(&"a".repeat(fits)).is_some() && PackId::new(&"a".repeat(too_long)).is_none());
    assert!(PersonKey::new("ü".repeat(fits)).is_ok() && PersonKey::new("ü".repeat(too_long)).is_err());
    assert!(FieldName::new(&"a".repeat(36)).is_ok() && FieldName::new(&"a".repeat(37)).is_err());
    assert!(PackId::new(".hidden").is_none() && PackId::new("Default").is_none(), "a pack id is a folder name");
}

#[test]
fn texts_are_counted_in_characters_and_hold_no_control_characters() {
    assert!(FaceSetName::new("ü".repeat(255)).is_ok());
    assert!(FaceSetName::new("ü".repeat(256)).is_err());
    assert!(Subject::new("").is_err() && ExternalId::new("").is_err());
    assert!(Note::new("").is_ok() && Note::new("two\r\n\tlines").is_ok());
    for text in ["a\0", "a\u{7f}", "a\u{85}"] {
        assert!(Note::new(text).is_err() && Subject::new(text).is_err(), "{text:?}");
    }
    assert!(Subject::new("two\nlines").is_err());
    assert!(PersonKey::new("").is_err() && PersonKey::new("a\tb").is_err());
}

#[test]
fn errors_name_the_field_and_what_is_accepted() {
    let err = Subject::new("").unwrap_err();
    assert_eq!((err.kind(), err.field()), (Kind::InvalidArgument, Some("subject")));
    assert_eq!(err.message(), "`subject` has 0 characters, expected 1 to 255");
    let err = FieldName::new(&"x y".repeat(99)).unwrap_err();
    assert!(err.message().len() < 150, "a caller's text is cut: {err}");
}

#[test]
fn secrets_do_not_print() {
    let secret = Secret::new("hunter2").unwrap();
    assert_eq!(format!("{secret:?}"), "***");
    assert_eq!(secret.reveal(), "hunter2");
    assert!(
        Secret::new("").is_none() && Secret::new("with space").is_none() && Secret::new(&"x".repeat(129)).is_none()
    );
    let tenant = Tenant::new(TenantId::from_bits(1), TenantName::new("t").unwrap(), TimestampMs(0));
    let id = AccessKeyId::new("AK").unwrap();
    let key = AccessKey::new(id, secret, tenant, TimestampMs(0));
    assert!(!format!("{key:?}").contains("hunter2"));
}

fn pack() -> PackId {
    PackId::new("default-1").unwrap()
}

#[test]
fn templates_are_made_unit_length_once() {
    let template = Template::new(pack(), &[3.0, 4.0]).unwrap();
    assert_eq!(template.unit(), [0.6, 0.8]);
    assert_eq!(Template::new(pack(), &[]).unwrap_err(), TemplateError::Dimensions);
    assert_eq!(Template::new(pack(), &vec![1.0; DIMENSIONS_MAX + 1]).unwrap_err(), TemplateError::Dimensions);
    for raw in [[0.0, 0.0], [f32::NAN, 1.0], [f32::INFINITY, 1.0]] {
        assert_eq!(Template::new(pack(), &raw).unwrap_err(), TemplateError::NotANumber);
    }
    assert!(Template::new(pack(), &[f32::MAX, f32::MAX]).is_ok(), "squares are taken where they fit");
}

#[test]
fn a_template_read_back_is_checked_again() {
    let read = |unit: &[f32]| Template::from_unit(pack(), Arc::from(unit)).map(|template| template.unit().to_vec());
    assert_eq!(read(&[0.6, 0.8]), Ok(vec![0.6, 0.8]));
    assert_eq!(read(&[0.6, 0.9]), Err(TemplateError::NotUnit));
    assert_eq!(read(&[0.0, 0.0]), Err(TemplateError::NotUnit));
    assert_eq!(read(&[f32::NAN, 0.8]), Err(TemplateError::NotANumber));
    assert_eq!(read(&[]), Err(TemplateError::Dimensions));
}

#[test]
fn templates_print_their_shape_only() {
    let template = Template::new(pack(), &[3.0, 4.0]).unwrap();
    assert_eq!(
        format!("{template:?}"),
        "Template(PackId(default-1), 2 dimensions)".replace("PackId(default-1)", "default-1")
    );
}

#[test]
fn scores_across_packs_or_dimensions_have_no_meaning() {
    let template = Template::new(pack(), &[3.0, 4.0]).unwrap();
    let other_pack = Template::new(PackId::new("default-2").unwrap(), &[3.0, 4.0]).unwrap();
    let other_size = Template::new(pack(), &[3.0, 4.0, 0.0]).unwrap();
    assert_eq!(template.similarity(&template), Some(Similarity::MAX));
    assert_eq!(template.similarity(&other_pack), None);
    assert_eq!(template.similarity(&other_size), None);
}

#[test]
fn similarities_are_clamped() {
    assert_eq!(Similarity::new(1.000_001), Similarity::MAX);
    assert_eq!(Similarity::new(-7.0), Similarity::MIN);
    assert_eq!(Similarity::new(f32::NAN), Similarity::MIN);
}

#[test]
fn boxes_are_inside_the_image_and_never_empty() {
    let clamped = |corners| BoundingBox::clamped(corners, 100, 50);
    assert_eq!(clamped([10.4, 9.6, 20.5, 30.4]), BoundingBox { left: 10, top: 10, width: 11, height: 20 });
    assert_eq!(clamped([-5.0, -5.0, 500.0, 500.0]), BoundingBox { left: 0, top: 0, width: 100, height: 50 });
    assert_eq!(clamped([30.0, 30.0, 20.0, 20.0]), BoundingBox { left: 30, top: 30, width: 1, height: 1 });
    assert_eq!(clamped([400.0, 400.0, 500.0, 500.0]), BoundingBox { left: 99, top: 49, width: 1, height: 1 });
    assert_eq!(clamped([f32::NAN; 4]), BoundingBox { left: 0, top: 0, width: 1, height: 1 });
}

fn schema() -> FieldSchema {
    let fields = FieldType::ALL.map(|field_type| (FieldName::new(field_type.word()).unwrap(), field_type));
    FieldSchema::new(fields).unwrap()
}

fn values(pairs: &[(&str, FieldValue)]) -> FieldValues {
    FieldValues::new(pairs.iter().map(|(name, value)| (FieldName::new(name).unwrap(), value.clone())))
}

#[test]
fn field_types_have_words_both_ways() {
    for field_type in FieldType::ALL {
        assert_eq!(FieldType::from_word(field_type.word()), Some(field_type));
    }
    assert_eq!(FieldType::from_word("LONG"), None);
    let numeric: Vec<_> = FieldType::ALL.into_iter().filter(|field_type| field_type.is_numeric()).collect();
    assert_eq!(numeric, [FieldType::Integer, FieldType::Long, FieldType::Float, FieldType::Double]);
}

#[test]
fn values_fit_their_type_range_and_length() {
    let text = |n_chars| FieldValue::Text("ü".repeat(n_chars).into());
    for (value, fitting) in [
        (text(1), &["string"][..]),
        (text(TEXT_CHARS_MAX), &["string"]),
        (text(0), &[]),
        (text(TEXT_CHARS_MAX + 1), &[]),
        (FieldValue::Whole(i64::from(i32::MAX)), &["integer", "long"]),
        (FieldValue::Whole(i64::from(i32::MAX) + 1), &["long"]),
        (FieldValue::Whole(i64::from(i32::MIN) - 1), &["long"]),
        (FieldValue::Real(1.0), &["float", "double"]),
        (FieldValue::Real(f64::INFINITY), &[]),
        (FieldValue::Real(f64::NAN), &[]),
        (FieldValue::Boolean(true), &["boolean"]),
    ] {
        let found: Vec<_> = FieldType::ALL.into_iter().filter(|&kind| value.fits(kind)).map(FieldType::word).collect();
        assert_eq!(found, fitting, "{value:?}");
    }
}

#[test]
fn values_are_checked_against_the_schema() {
    let given = |name: &str, value| [(name.to_owned(), GivenValue::Typed(value))];
    let both = [given("integer", FieldValue::Whole(3)), given("string", FieldValue::Text("x".into()))].concat();
    let expected = values(&[("integer", FieldValue::Whole(3)), ("string", FieldValue::Text("x".into()))]);
    assert_eq!(schema().typed(&both).unwrap(), expected);
    let err = schema().typed(&given("city", FieldValue::Whole(3))).unwrap_err();
    assert_eq!(
        (err.kind(), err.message()),
        (
            Kind::FieldNotDefined,
            "custom field `city` is not defined by the face set, expected one of string, integer, long, float, double, boolean"
        )
    );
    let err = schema().typed(&given("integer", FieldValue::Real(3.5))).unwrap_err();
    assert_eq!(
        (err.kind(), err.message()),
        (
            Kind::FieldTypeMismatch,
            "custom field `integer` is `3.5`, expected a whole number from -2147483648 to 2147483647: its type is integer"
        )
    );
}

#[test]
fn a_given_value_takes_the_type_of_its_field() {
    let whole = GivenValue::Typed(FieldValue::Whole(3));
    assert_eq!(whole.typed(FieldType::Long), Some(FieldValue::Whole(3)));
    assert_eq!(whole.typed(FieldType::Double), Some(FieldValue::Real(3.0)));
    assert_eq!(whole.typed(FieldType::String), None, "a number is no text");
    assert_eq!(GivenValue::Typed(FieldValue::Text("3".into())).typed(FieldType::Integer), None, "nor the other way");
    for (text, field_type, value) in [
        ("3", FieldType::String, Some(FieldValue::Text("3".into()))),
        ("3", FieldType::Integer, Some(FieldValue::Whole(3))),
        ("2147483648", FieldType::Integer, None),
        ("2147483648", FieldType::Long, Some(FieldValue::Whole(1 << 31))),
        ("3", FieldType::Float, Some(FieldValue::Real(3.0))),
        ("inf", FieldType::Float, None),
        ("True", FieldType::Boolean, Some(FieldValue::Boolean(true))),
        ("1", FieldType::Boolean, None),
        ("", FieldType::String, None),
    ] {
        assert_eq!(GivenValue::Written(text.to_owned()).typed(field_type), value, "{text:?} as {field_type:?}");
    }
    assert!(FieldType::ALL.into_iter().all(|field_type| GivenValue::Unfit("null").typed(field_type).is_none()));
}

#[test]
fn the_later_of_two_definitions_or_values_wins() {
    let name = |text| FieldName::new(text).unwrap();
    let twice =
        FieldSchema::new([(name("a"), FieldType::Long), (name("b"), FieldType::Long), (name("a"), FieldType::String)]);
    assert_eq!(twice.unwrap().fields(), [(name("a"), FieldType::String), (name("b"), FieldType::Long)]);
    let twice = values(&[("a", FieldValue::Whole(1)), ("b", FieldValue::Whole(2)), ("a", FieldValue::Whole(3))]);
    assert_eq!(twice, values(&[("a", FieldValue::Whole(3)), ("b", FieldValue::Whole(2))]));
}

#[test]
fn a_schema_has_at_most_ten_fields() {
    let fields = |n_fields: usize| {
        (0..n_fields).map(|field_idx| (FieldName::new(&format!("f{field_idx}")).unwrap(), FieldType::Long))
    };
    assert!(FieldSchema::new(fields(10).chain(fields(10))).is_ok(), "one name twice is one field");
    assert_eq!(FieldSchema::new(fields(11)).unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(FieldSchema::new(fields(10)).unwrap().find("f3"), Some((3, FieldType::Long)));
    assert_eq!(FieldSchema::default().find("f3"), None);
}

#[test]
fn a_patch_overwrites_what_it_names_and_keeps_the_rest() {
    let present = values(&[("a", FieldValue::Whole(1)), ("b", FieldValue::Whole(2))]);
    let patch = values(&[("c", FieldValue::Whole(5)), ("a", FieldValue::Whole(3))]);
    let expected = values(&[("a", FieldValue::Whole(3)), ("b", FieldValue::Whole(2)), ("c", FieldValue::Whole(5))]);
    assert_eq!(present.merged(&patch), expected);
    assert_eq!(present.merged(&FieldValues::default()), present);
    assert_eq!(expected.get("c"), Some(&FieldValue::Whole(5)));
    assert_eq!(expected.get("d"), None);
}

proptest! {
    #[test]
    fn similarity_is_symmetric_bounded_and_one_with_itself(
        a in proptest::collection::vec(-9.0f32..9.0, 40), b in proptest::collection::vec(-9.0f32..9.0, 40),
    ) {
        let (Ok(a), Ok(b)) = (Template::new(pack(), &a), Template::new(pack(), &b)) else { return Ok(()) };
        let there = a.similarity(&b).unwrap();
        prop_assert_eq!(there, b.similarity(&a).unwrap());
        prop_assert!((-1.0..=1.0).contains(&there.get()));
        prop_assert!((a.similarity(&a).unwrap().get() - 1.0).abs() < 1e-6);
    }

    #[test]
    fn similarity_is_the_cosine(
        a in proptest::collection::vec(-9.0f32..9.0, 1..70), b in proptest::collection::vec(-9.0f32..9.0, 70),
    ) {
        let b = &b[..a.len()];
        let (Ok(one), Ok(two)) = (Template::new(pack(), &a), Template::new(pack(), b)) else { return Ok(()) };
        let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(&a, &b)| f64::from(a) * f64::from(b)).sum::<f64>();
        let cosine = dot(&a, b) / (dot(&a, &a) * dot(b, b)).sqrt();
        prop_assert!((f64::from(one.similarity(&two).unwrap().get()) - cosine).abs() < 1e-5);
    }

    #[test]
    fn a_template_survives_being_stored(raw in proptest::collection::vec(-1e6f32..1e6, 1..200)) {
        let Ok(template) = Template::new(pack(), &raw) else { return Ok(()) };
        let back = Template::from_unit(pack(), template.unit().into()).unwrap();
        prop_assert_eq!(back, template);
    }

    #[test]
    fn any_corners_give_a_box_inside_the_image(corners: [f32; 4], width in 1u32..5000, height in 1u32..5000) {
        let found = BoundingBox::clamped(corners, width, height);
        prop_assert!(found.width >= 1 && found.left + found.width <= width);
        prop_assert!(found.height >= 1 && found.top + found.height <= height);
    }
}

#[test]
fn tags_are_words_each_once() {
    let tags = Tags::parse(" red, dark blue ,,red,Red").unwrap();
    assert_eq!(tags.words().iter().map(|word| &**word).collect::<Vec<_>>(), ["red", "dark blue", "Red"]);
    assert_eq!(tags.to_string(), "red,dark blue,Red");
    assert_eq!(Tags::parse(&tags.to_string()).unwrap(), tags);
    assert!(tags.contains(&Tags::parse("Red,red").unwrap()) && tags.contains(&Tags::default()));
    assert!(!tags.contains(&Tags::parse("red,green").unwrap()));
    let many = |n_tags: usize| (0..n_tags).map(|number| format!("t{number},")).collect::<String>();
    for (text, is_fine) in [
        ("x".repeat(255), true),
        ("x".repeat(256), false),
        ("a\nb".to_owned(), false),
        (many(128), true),
        (many(129), false),
    ] {
        assert_eq!(Tags::parse(&text).is_ok(), is_fine, "{} bytes", text.len());
    }
}

#[test]
fn the_size_of_a_face_is_that_of_its_features_whichever_way_it_looks() {
    let eyes_and_mouth = |eyes: f32, height: f32| {
        let at = |x: f32, y: f32| Point { x, y };
        let points = [at(0.0, 0.0), at(eyes, 0.0), at(9.0, 9.0), at(0.0, height), at(eyes, height)];
        let bounding_box = BoundingBox { left: 0, top: 0, width: 1, height: 1 };
        Detection { bounding_box, score: 1.0, landmarks: Landmarks(points) }.size()
    };
    assert_eq!(eyes_and_mouth(17.5, 20.0), 0.5);
    assert_eq!(eyes_and_mouth(2.0, 20.0), 0.5, "a profile");
    assert_eq!(eyes_and_mouth(70.0, 80.0), 1.0);
    assert_eq!(eyes_and_mouth(0.0, 0.0), 0.0);
}

#[test]
fn a_request_id_is_short_visible_ascii() {
    assert_eq!(RequestId::new("job-7").unwrap().as_str(), "job-7");
    let longest = "x".repeat(RequestId::CHARS_MAX);
    assert!(RequestId::new(&longest).is_some());
    for refused in ["", "two words", "tab\t", "caf\u{e9}", "\u{7f}", &format!("{longest}x")] {
        assert!(RequestId::new(refused).is_none(), "{refused:?}");
    }
}

// `é` as one character and as two is one name, whoever sends it.
#[test]
fn names_have_one_spelling() {
    let (two, one) = ("Ande\u{301}", "And\u{e9}");
    assert_eq!(Subject::new(two).unwrap(), Subject::new(one).unwrap());
    assert_eq!(ExternalId::new(two).unwrap().as_str(), one);
    assert_eq!(FaceSetName::new(two).unwrap().as_str(), one);
    assert_eq!(UploadName::new(two).unwrap().as_str(), one);
    assert_eq!(PersonKey::new(two).unwrap().as_str(), one);
    assert_eq!(Tags::parse(&format!("{two},{one}, x")).unwrap().to_string(), format!("{one},x"));
    assert_eq!(Note::new(two).unwrap().as_str(), two, "free text stays");
    assert_eq!(Note::new(two).unwrap().as_name().as_str(), one);
    for given in [GivenValue::Written(two.to_owned()), GivenValue::Typed(FieldValue::Text(two.into()))] {
        assert_eq!(given.typed(FieldType::String), Some(FieldValue::Text(one.into())));
    }
    // What is read back keeps its bytes.
    assert_eq!(Subject::stored(two).unwrap().as_str(), two);
    assert_eq!(PersonKey::stored(two).unwrap().as_str(), two);
    assert_eq!(Tags::stored(two).unwrap().to_string(), two);
    // Lengths are those of the spelling that is kept.
    assert!(PersonKey::new("e\u{301}".repeat(64)).is_ok() && PersonKey::new("e\u{301}".repeat(65)).is_err());
}
