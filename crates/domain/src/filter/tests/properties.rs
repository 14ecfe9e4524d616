//! Random filters over random rows, against an evaluator that shares no code with the product's: it works on a tree
//! of its own, with values as text and exact arithmetic in halves.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{schema, vocabulary};
use crate::filter::{Expr, FilterRow, parse};
use crate::types::{FaceId, FieldValue};

/// A row in plain words; numbers in halves, so that 3 is 1.5.
#[derive(Debug, Clone)]
struct Row {
    face: u64,
    subject: Option<&'static str>,
    age: Option<i32>,
    vip: Option<bool>,
    score_halves: Option<i32>,
    team: Option<&'static str>,
    serial: Option<i64>,
}

/// A question in plain words.
#[derive(Debug, Clone)]
enum Ask {
    And(Vec<Ask>),
    Or(Vec<Ask>),
    Not(Box<Ask>),
    Has(&'static str),
    Is(&'static str, Vec<Plain>),
    /// Field, bounds in halves (`None` is open), whether each is included.
    Range(&'static str, [Option<i64>; 2], [bool; 2]),
}

#[derive(Debug, Clone, PartialEq)]
enum Plain {
    Text(&'static str),
    Flag(bool),
    Halves(i64),
}

const TEXTS: [&str; 8] = ["red", "Red", "a b", "AND", "*", "a\"b\\c", "größe", "5"];

fn text() -> impl Strategy<Value = &'static str> {
    proptest::sample::select(&TEXTS[..])
}

fn row() -> impl Strategy<Value = Row> {
    let option = proptest::option::of::<BoxedStrategy<&'static str>>;
    (
        (1u64..6, option(text().boxed()), proptest::option::of(-4i32..5), proptest::option::of(any::<bool>())),
        (proptest::option::of(-8i32..9), option(text().boxed()), proptest::option::of(-4i64..5)),
    )
        .prop_map(|((face, subject, age, vip), (score_halves, team, serial))| Row {
            face,
            subject,
            age,
            vip,
            score_halves,
            team,
            serial,
        })
}

fn plain(field: &'static str) -> BoxedStrategy<Plain> {
    match field {
        "team" | "external_image_id" => text().prop_map(Plain::Text).boxed(),
        "vip" => any::<bool>().prop_map(Plain::Flag).boxed(),
        "face_id" => (1i64..6).prop_map(|face| Plain::Halves(face * 2)).boxed(),
        _ => (-9i64..10).prop_map(Plain::Halves).boxed(),
    }
}

fn ask() -> impl Strategy<Value = Ask> {
    let any_field =
        proptest::sample::select(&["age", "vip", "score", "team", "serial", "external_image_id", "face_id"][..]);
    let number_field = proptest::sample::select(&["age", "score", "serial"][..]);
    let bound = || proptest::option::of(-9i64..10);
    let test = prop_oneof![
        1 => any_field.clone().prop_map(Ask::Has),
        3 => any_field.prop_flat_map(|field| vec(plain(field), 1..4).prop_map(move |plains| Ask::Is(field, plains))),
        3 => (number_field, [bound(), bound()], any::<[bool; 2]>()).prop_map(|(field, at, within)| Ask::Range(field, at, within)),
    ];
    test.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 2..4).prop_map(Ask::And),
            vec(inner.clone(), 2..4).prop_map(Ask::Or),
            inner.prop_map(|part| Ask::Not(Box::new(part))),
        ]
    })
}

/// The value of a field in the plain row.
fn value(row: &Row, field: &str) -> Option<Plain> {
    match field {
        "external_image_id" => row.subject.map(Plain::Text),
        "face_id" => Some(Plain::Halves(row.face as i64 * 2)),
        "age" => row.age.map(|age| Plain::Halves(i64::from(age) * 2)),
        "serial" => row.serial.map(|serial| Plain::Halves(serial * 2)),
        "score" => row.score_halves.map(|halves| Plain::Halves(i64::from(halves))),
        "vip" => row.vip.map(Plain::Flag),
        "team" => row.team.map(Plain::Text),
        _ => panic!("{field}"),
    }
}

fn plainly(ask: &Ask, row: &Row) -> bool {
    match ask {
        Ask::And(parts) => !parts.iter().any(|part| !plainly(part, row)),
        Ask::Or(parts) => parts.iter().any(|part| plainly(part, row)),
        Ask::Not(part) => !plainly(part, row),
        Ask::Has(field) => value(row, field).is_some(),
        Ask::Is(field, plains) => value(row, field).is_some_and(|found| plains.contains(&found)),
        Ask::Range(field, [low, high], [low_in, high_in]) => match value(row, field) {
            Some(Plain::Halves(found)) => {
                low.is_none_or(|low| low < found || (*low_in && low == found))
                    && high.is_none_or(|high| found < high || (*high_in && high == found))
            }
            _ => false,
        },
    }
}

/// How a question is written; `style` chooses among the ways that mean the same.
fn written(ask: &Ask, style: u32) -> String {
    let (and, or, not) = if style & 1 == 0 { (" && ", "||", "!") } else { (" AND\t", " OR ", "NOT ") };
    let joined = |parts: &[Ask], between: &str| {
        let parts: Vec<String> = parts.iter().map(|part| format!("({})", written(part, style))).collect();
        parts.join(between)
    };
    match ask {
        Ask::And(parts) => joined(parts, and),
        Ask::Or(parts) => joined(parts, or),
        Ask::Not(part) => format!("({not}({}))", written(part, style)),
        Ask::Has(field) => format!("{field}:*"),
        Ask::Is(field, plains) => {
            let plains: Vec<String> = plains.iter().map(|plain| written_plain(field, plain, style)).collect();
            if plains.len() == 1 {
                format!("{field}:{}", plains[0])
            } else {
                format!("{field}:({})", plains.join(" || "))
            }
        }
        Ask::Range(field, [low, high], [low_in, high_in]) => {
            let bound = |halves: &Option<i64>| halves.map_or("*".to_owned(), |halves| written_halves(halves, style));
            let (open, close) = (if *low_in { '[' } else { '{' }, if *high_in { ']' } else { '}' });
            format!("{field} : {open}{} TO {}{close}", bound(low), bound(high))
        }
    }
}

fn written_plain(field: &str, plain: &Plain, style: u32) -> String {
    match plain {
        Plain::Text(text) => format!("\"{}\"", text.replace('\\', r"\\").replace('"', "\\\"")),
        Plain::Flag(flag) if style & 2 == 0 => flag.to_string(),
        Plain::Flag(flag) => flag.to_string().to_uppercase(),
        Plain::Halves(halves) if field == "face_id" => (halves / 2).to_string(),
        Plain::Halves(halves) => written_halves(*halves, style),
    }
}

fn written_halves(halves: i64, style: u32) -> String {
    match style & 12 {
        0 => (halves as f64 / 2.0).to_string(),
        4 => format!("{}e-1", halves * 5),
        8 => format!("{:.3}", halves as f64 / 2.0),
        _ => format!("{}E-2", halves * 50),
    }
}

fn matches(expr: &Expr, row: &Row) -> bool {
    let values = [
        row.age.map(|age| FieldValue::Whole(age.into())),
        row.vip.map(FieldValue::Boolean),
        row.score_halves.map(|halves| FieldValue::Real(f64::from(halves) / 2.0)),
        row.team.map(|team| FieldValue::Text(team.into())),
        row.serial.map(FieldValue::Whole),
        None,
    ];
    let row = FilterRow { face: FaceId::new(row.face).unwrap(), subject: row.subject, values: &values };
    expr.check(&schema()).unwrap().matches(row)
}

/// Text that looks like a filter and mostly is none.
fn nearly_a_filter() -> impl Strategy<Value = String> {
    let pieces = [
        "age", "vip", "team", "score", "face_id", ":", ":", "[", "]", "{", "}", "(", ")", "!", "&&", "||", "AND", "OR",
        "NOT", "TO", "1", "-2.5", "1e9", "true", "\"", "\\", "*", " ", " ", "x", "ü", "\u{a0}", "&", "\0",
    ];
    vec(proptest::sample::select(pieces.to_vec()), 0..24).prop_map(|pieces| pieces.concat())
}

proptest! {
    #[test]
    fn filters_agree_with_the_plain_evaluator(ask in ask(), rows in vec(row(), 1..8), style in 0u32..16) {
        let text = written(&ask, style);
        prop_assume!(text.chars().count() <= crate::limits::FILTER_CHARS_MAX);
        let expr = parse(&text, &vocabulary()).unwrap().unwrap();
        for row in &rows {
            prop_assert_eq!(matches(&expr, row), plainly(&ask, row), "{} on {:?}", text, row);
        }
    }

    #[test]
    fn printing_and_parsing_gives_the_same(ask in ask(), style in 0u32..16) {
        let text = written(&ask, style);
        prop_assume!(text.chars().count() <= crate::limits::FILTER_CHARS_MAX);
        let expr = parse(&text, &vocabulary()).unwrap().unwrap();
        prop_assert_eq!(parse(&expr.to_string(), &vocabulary()).unwrap().unwrap(), expr);
    }

    #[test]
    fn no_text_makes_it_panic(text in any::<String>()) {
        let _ = parse(&text, &vocabulary()).map(|expr| expr.map(|expr| expr.check(&schema())));
    }

    #[test]
    fn nothing_that_looks_like_a_filter_makes_it_panic(text in nearly_a_filter()) {
        if let Ok(Some(expr)) = parse(&text, &vocabulary()) {
            let _ = expr.check(&schema());
            prop_assert_eq!(parse(&expr.to_string(), &vocabulary()).unwrap(), Some(expr));
        }
    }
}
