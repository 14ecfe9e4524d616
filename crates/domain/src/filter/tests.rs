use std::fmt::Write;

use expect_test::{Expect, expect};

use super::*;
use crate::types::{FieldName, FieldSchema, FieldType};
use crate::{Kind, Result, limits};

mod properties;

fn vocabulary() -> Vocabulary {
    let read = |text: &str| text.parse().ok().and_then(FaceId::new);
    Vocabulary { subject: "external_image_id", face_id: ("face_id", read) }
}

fn schema() -> FieldSchema {
    let fields = [
        ("age", FieldType::Integer),
        ("vip", FieldType::Boolean),
        ("score", FieldType::Double),
        ("team", FieldType::String),
        ("serial", FieldType::Long),
        ("NOT", FieldType::String),
    ];
    FieldSchema::new(fields.map(|(name, field_type)| (FieldName::new(name).unwrap(), field_type))).unwrap()
}

/// The faces of the specification's worked examples, and E for what those leave out.
fn matching(text: &str) -> Result<String> {
    let text_value = |text: &str| Some(FieldValue::Text(text.into()));
    let (whole, real, flag) = (
        |number| Some(FieldValue::Whole(number)),
        |number| Some(FieldValue::Real(number)),
        |flag| Some(FieldValue::Boolean(flag)),
    );
    let rows = [
        ("A", Some("anna"), vec![whole(20), flag(true), None, text_value("red"), None, None]),
        ("B", Some("bert"), vec![whole(30), flag(false), None, text_value("blue"), None, None]),
        ("C", Some("anna"), vec![whole(41), None, None, text_value("red"), None, None]),
        ("D", None, vec![None; 6]),
        ("E", Some("a b"), vec![None, None, real(1.5), text_value("a*\"b\\"), whole(i64::MAX), text_value("NOT")]),
    ];
    let Some(expr) = parse(text, &vocabulary())? else { return Ok("no filter".to_owned()) };
    let again = parse(&expr.to_string(), &vocabulary())?;
    assert_eq!(again.as_ref(), Some(&expr), "{text} prints as {expr}");
    let filter = expr.check(&schema())?;
    let mut names = String::new();
    for (row_idx, (name, subject, values)) in rows.iter().enumerate() {
        let face = FaceId::new(row_idx as u64 + 1).unwrap();
        if filter.matches(FilterRow { face, subject: *subject, values }) {
            write!(names, "{name}").unwrap();
        }
    }
    Ok(if names.is_empty() { "-".to_owned() } else { names })
}

#[track_caller]
fn check(text: &str, expected: &str) {
    assert_eq!(matching(text).unwrap_or_else(|err| panic!("{text}: {err}")), expected, "{text}");
}

#[track_caller]
fn check_errors(texts: &[&str], expected: Expect) {
    let mut output = String::new();
    for text in texts {
        let err = matching(text).expect_err(text);
        assert_eq!(err.field(), Some("filter"), "{text}");
        writeln!(output, "{text}\n  {err:?}").unwrap();
    }
    expected.assert_eq(&output);
}

#[test]
fn the_worked_examples_of_the_specification() {
    check("age:[20 TO 30]", "AB");
    check("age:{20 TO 30}", "-");
    check("age:[20 TO 30}", "A");
    check("age:[31 TO *]", "C");
    check("age:[* TO 20]", "A");
    check("age:30", "B");
    check("team:red", "AC");
    check("vip:false", "B");
    check("(!team:red)", "BDE");
    check("team:red && (!age:20)", "C");
    check("(team:red && age:[* TO 25]) || vip:false", "AB");
    check("team:red || vip:false && age:99", "AC");
    check("team:Red", "-");
    assert_eq!(matching("age:[20 TO]").unwrap_err().kind(), Kind::InvalidArgument);
    assert_eq!(matching("city:paris").unwrap_err().kind(), Kind::UnknownField);
}

#[test]
fn negation_binds_tighter_than_and_and_that_tighter_than_or() {
    check("!team:red && vip:false", "B");
    check("!(team:red && vip:false)", "ABCDE");
    check("vip:false || team:red && age:20", "AB");
    check("(vip:false || team:red) && age:20", "A");
    check("!!age:20", "A");
    check("!age:20 || age:20", "ABCDE");
}

#[test]
fn keywords_are_upper_case_words_and_stand_for_the_signs() {
    check("team:red AND NOT age:20 OR vip:false", "BC");
    check("NOT team:red", "BDE");
    check("NOT:NOT", "E");
    check("NOT NOT:NOT", "ABCD");
    check("NOT : NOT", "E");
    check("team:OR", "-");
    check("team:(OR OR OR OR red)", "AC");
    check("age:[ 20\tTO\r\n30 ]", "AB");
}

#[test]
fn lists_of_values_and_any_value() {
    check("age:(20 || 41)", "AC");
    check("age:(20 OR 41||99)", "AC");
    check("age:(20)", "A");
    check("age:*", "ABC");
    check("!age:*", "DE");
    check("age:(* || 20)", "ABC");
    check("external_image_id:*", "ABCE");
    check("face_id:*", "ABCDE");
}

#[test]
fn ranges_may_mix_brackets_be_open_or_hold_nothing() {
    check("age:{20 TO 30]", "B");
    check("age:[30 TO 20]", "-");
    check("age:[* TO *]", "ABC");
    check("age:{* TO *}", "ABC");
    check("age:[20.5 TO 40.9]", "B");
    check("age:[-1e3 TO 2e1]", "A");
    check("score:{1 TO 1.5]", "E");
    check("score:{1 TO 1.5}", "-");
    check("score:[* TO *]", "E");
}

#[test]
fn numbers_are_compared_exactly() {
    check("age:20.0", "A");
    check("age:2e1", "A");
    check("age:\"20\"", "A");
    check("age:20.5", "-");
    check("!age:20.5", "ABCDE");
    check("score:1.5", "E");
    check("score:15e-1", "E");
    check("serial:9223372036854775807", "E");
    check("serial:9223372036854775808", "-");
    check("serial:[9223372036854775807 TO 1e30]", "E");
    check("serial:{9223372036854775807 TO *]", "-");
    check("serial:[* TO 1e999]", "E");
    check("age:[-99999999999999999999 TO 99999999999999999999]", "ABC");
}

#[test]
fn texts_are_whole_values_without_wildcards() {
    check("team:re*", "-");
    check("team:r?d", "-");
    check("team:\"red\"", "AC");
    check("team:\"a*\\\"b\\\\\"", "E");
    check("team:\"*\"", "-");
    check("team:5", "-");
    check("vip:TRUE", "A");
    check("vip:(True OR \"false\")", "AB");
}

#[test]
fn the_built_in_columns_have_equality_only() {
    check("external_image_id:anna", "AC");
    check("external_image_id:\"a b\"", "E");
    check("!external_image_id:anna", "BDE");
    check("face_id:2", "B");
    check("face_id:(1 || 3)", "AC");
    check("face_id:nonsense", "-");
    check("!face_id:nonsense", "ABCDE");
}

#[test]
fn blank_text_is_no_filter() {
    for text in ["", " ", "\t\r\n "] {
        check(text, "no filter");
    }
}

#[test]
fn errors_say_where_and_what_was_expected() {
    check_errors(
        &[
            "age:[20 TO]",
            "age:[20 TO",
            "age:[20 30]",
            "age:[a TO 30]",
            "age:[20 TO 30)",
            "age:[20 to 30]",
            "age:[\"20\" TO 30]",
            "a:1 b:2",
            "age",
            "age:",
            ":1",
            "age:1 &&",
            "age:1 & vip:true",
            "age:1 | vip:true",
            "&& age:1",
            "(age:1",
            "age:1)",
            "()",
            "age:()",
            "age:(1 2)",
            "age:(1 && 2)",
            "age:(1 ||)",
            "team:\"open",
            "team:\"open\\",
            "team:\"\"",
            "team:a:b",
            "größe:1",
            "a.b:1",
            "abcdefghijabcdefghijabcdefghijabcdefghij:1",
            "age:\u{a0}1",
            "not age:1",
            "!",
            "team:[1 TO 2",
        ],
        expect![[r#"
            age:[20 TO]
              InvalidArgument: filter at character 11: expected a number or `*`, found `]`
            age:[20 TO
              InvalidArgument: filter at character 11: expected a number or `*`, found the end
            age:[20 30]
              InvalidArgument: filter at character 9: expected `TO`, found `30`
            age:[a TO 30]
              InvalidArgument: filter at character 6: expected a number or `*`, found `a`
            age:[20 TO 30)
              InvalidArgument: filter at character 14: expected `]` or `}`, found `)`
            age:[20 to 30]
              InvalidArgument: filter at character 9: expected `TO`, found `to`
            age:["20" TO 30]
              InvalidArgument: filter at character 6: expected a number or `*`, found `"20"`
            a:1 b:2
              InvalidArgument: filter at character 5: expected `&&`, `||` or the end, found `b`
            age
              InvalidArgument: filter at character 4: expected `:` and a value after the field name, found the end
            age:
              InvalidArgument: filter at character 5: expected a value or a range, found the end
            :1
              InvalidArgument: filter at character 1: expected a field name, `(` or `!`, found `:`
            age:1 &&
              InvalidArgument: filter at character 9: expected a field name, `(` or `!`, found the end
            age:1 & vip:true
              InvalidArgument: filter at character 7: expected `&&`, found a single `&`
            age:1 | vip:true
              InvalidArgument: filter at character 7: expected `||`, found a single `|`
            && age:1
              InvalidArgument: filter at character 1: expected a field name, `(` or `!`, found `&&`
            (age:1
              InvalidArgument: filter at character 7: expected `&&`, `||` or `)`, found the end
            age:1)
              InvalidArgument: filter at character 6: expected `&&`, `||` or the end, found `)`
            ()
              InvalidArgument: filter at character 2: expected a field name, `(` or `!`, found `)`
            age:()
              InvalidArgument: filter at character 6: expected a value or a range, found `)`
            age:(1 2)
              InvalidArgument: filter at character 8: expected `||` or `)`, found `2`
            age:(1 && 2)
              InvalidArgument: filter at character 8: expected `||` or `)`, found `&&`
            age:(1 ||)
              InvalidArgument: filter at character 10: expected a value or a range, found `)`
            team:"open
              InvalidArgument: filter at character 6: quoted text without an end, expected a closing `"`
            team:"open\
              InvalidArgument: filter at character 6: quoted text without an end, expected a closing `"`
            team:""
              InvalidArgument: filter at character 6: an empty text is never stored, expected 1 to 256 characters
            team:a:b
              InvalidArgument: filter at character 7: expected `&&`, `||` or the end, found `:`
            größe:1
              InvalidArgument: filter at character 1: expected a field name of 1 to 36 of A-Z a-z 0-9 _ -, found `größe`
            a.b:1
              InvalidArgument: filter at character 1: expected a field name of 1 to 36 of A-Z a-z 0-9 _ -, found `a.b`
            abcdefghijabcdefghijabcdefghijabcdefghij:1
              InvalidArgument: filter at character 1: expected a field name of 1 to 36 of A-Z a-z 0-9 _ -, found `abcdefghijabcdefghijabcdefghijabcdefghij`
            age: 1
              InvalidArgument: filter at character 5: unexpected blank, expected space, tab or line break
            not age:1
              InvalidArgument: filter at character 5: expected `:` and a value after the field name, found `age`
            !
              InvalidArgument: filter at character 2: expected a field name, `(` or `!`, found the end
            team:[1 TO 2
              InvalidArgument: filter at character 13: expected `]` or `}`, found the end
        "#]],
    );
}

#[test]
fn errors_of_meaning_say_where_and_what_was_expected() {
    check_errors(
        &[
            "city:paris",
            "age:1 && (city:*)",
            "age:abc",
            "age:(1 || x)",
            "vip:1",
            "vip:yes",
            "score:\"1,5\"",
            "age:0x10",
            "serial:inf",
            "team:[a TO b]",
            "team:[1 TO 2]",
            "vip:{0 TO 1}",
            "external_image_id:[1 TO 2]",
            "face_id:[1 TO 2]",
            "Age:1",
        ],
        expect![[r#"
            city:paris
              UnknownField: filter at character 1: custom field `city` is not defined by the face set
            age:1 && (city:*)
              UnknownField: filter at character 11: custom field `city` is not defined by the face set
            age:abc
              InvalidArgument: filter at character 5: `age` is of type integer, expected a number, found `abc`
            age:(1 || x)
              InvalidArgument: filter at character 11: `age` is of type integer, expected a number, found `x`
            vip:1
              InvalidArgument: filter at character 5: `vip` is of type boolean, expected true or false, found `1`
            vip:yes
              InvalidArgument: filter at character 5: `vip` is of type boolean, expected true or false, found `yes`
            score:"1,5"
              InvalidArgument: filter at character 7: `score` is of type double, expected a number, found `1,5`
            age:0x10
              InvalidArgument: filter at character 5: `age` is of type integer, expected a number, found `0x10`
            serial:inf
              InvalidArgument: filter at character 8: `serial` is of type long, expected a number, found `inf`
            team:[a TO b]
              InvalidArgument: filter at character 7: expected a number or `*`, found `a`
            team:[1 TO 2]
              InvalidArgument: filter at character 6: `team` is no number, so it has no ranges, expected a value
            vip:{0 TO 1}
              InvalidArgument: filter at character 5: `vip` is no number, so it has no ranges, expected a value
            external_image_id:[1 TO 2]
              InvalidArgument: filter at character 19: `external_image_id` is no number, so it has no ranges, expected a value
            face_id:[1 TO 2]
              InvalidArgument: filter at character 9: `face_id` is no number, so it has no ranges, expected a value
            Age:1
              UnknownField: filter at character 1: custom field `Age` is not defined by the face set
        "#]],
    );
}

#[test]
fn length_and_nesting_are_bounded() {
    let long = format!("age:1{}", " ".repeat(limits::FILTER_CHARS_MAX - 5));
    check(&long, "-");
    let longer = format!("{long} ");
    let nested = |n_levels: usize| format!("{}age:20{}", "(".repeat(n_levels), ")".repeat(n_levels));
    check(&nested(limits::FILTER_DEPTH_MAX), "A");
    check(&format!("{}age:20", "!".repeat(limits::FILTER_DEPTH_MAX)), "A");
    for text in [
        longer,
        nested(limits::FILTER_DEPTH_MAX + 1),
        "(".repeat(4096),
        "!".repeat(4096),
        format!("{}age:20", "NOT ".repeat(limits::FILTER_DEPTH_MAX + 1)),
        "(!".repeat(2048),
        format!("{}age:(1)", "!".repeat(limits::FILTER_DEPTH_MAX)),
    ] {
        assert_eq!(matching(&text).unwrap_err().kind(), Kind::InvalidArgument, "{text}");
    }
    // Not nested, only many: no bound but the length.
    let many = vec!["age:1"; 455].join(" || ");
    check(&many, "-");
}

#[test]
fn places_are_counted_in_characters() {
    let err = matching("team:\"größe\" && age:x").unwrap_err();
    assert_eq!(err.message(), "filter at character 21: `age` is of type integer, expected a number, found `x`");
}

// A face's subject and custom texts are in NFC; a filter may be typed on any keyboard.
#[test]
fn values_are_compared_in_one_spelling() {
    let filter = |text: &str| parse(text, &vocabulary()).unwrap().unwrap().check(&schema()).unwrap();
    for text in ["external_image_id:\"and\u{e9}\"", "external_image_id:\"ande\u{301}\""] {
        assert_eq!(filter(text), Filter::Subject("and\u{e9}".into()));
    }
    assert_eq!(filter("team:\"e\u{301}\""), Filter::Text { field_idx: 3, value: "\u{e9}".into() });
}

#[test]
fn built_in_columns_hide_fields_of_the_same_name() {
    let schema = FieldSchema::new([(FieldName::new("face_id").unwrap(), FieldType::String)]).unwrap();
    let filter = parse("face_id:7", &vocabulary()).unwrap().unwrap().check(&schema).unwrap();
    assert_eq!(filter, Filter::Face(FaceId::new(7).unwrap()));
}

#[test]
fn no_part_means_the_neutral_answer() {
    let row = FilterRow { face: FaceId::new(1).unwrap(), subject: None, values: &[] };
    assert!(Filter::Every(vec![]).matches(row));
    assert!(!Filter::AnyOf(vec![]).matches(row));
    // A row shorter than the schema has no value there.
    assert!(!Filter::Has { field_idx: 3 }.matches(row));
}
