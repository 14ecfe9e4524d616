//! A filter as parsed, before its fields are looked up.

use std::fmt;
use std::ops::Bound;

use super::lexer::{At, is_word_character};
use super::number::Number;
use crate::types::FaceId;

/// What a dialect calls the built-in columns. They hide custom fields of the same name.
#[derive(Debug, Clone, Copy)]
pub struct Vocabulary {
    /// Name of the subject, as in `subject:anna`.
    pub subject: &'static str,
    /// Name of the face id, and how to read one; `None` from the reader matches no face.
    pub face_id: (&'static str, fn(&str) -> Option<FaceId>),
}

/// A parsed filter whose fields are still names; [`Expr::check`] looks them up.
///
/// It prints as a filter that parses to an equal one (unless the spaces it adds make it too long). Two are equal if
/// they ask the same in the same order, wherever their parts stood in the text.
#[derive(Debug, Clone)]
pub struct Expr {
    pub(super) root: Node,
    pub(super) read_face_id: fn(&str) -> Option<FaceId>,
}

impl PartialEq for Expr {
    fn eq(&self, other: &Self) -> bool {
        self.root == other.root
    }
}

/// A condition.
///
/// # Invariants
/// `AnyOf` and `Every` hold at least two parts. No chain of `AnyOf`, `Every` and `Not` is longer than
/// 2 * [`crate::limits::FILTER_DEPTH_MAX`] + 2, so walking it by recursion is safe.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Node {
    AnyOf(Vec<Node>),
    Every(Vec<Node>),
    Not(Box<Node>),
    Test { column: Column, at: At, test: Test },
}

/// What is tested.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Column {
    /// The built-in subject, by the dialect's name for it.
    Subject(&'static str),
    /// The built-in face id, by the dialect's name for it.
    FaceId(&'static str),
    /// A custom field.
    Field(String),
}

impl Column {
    pub(super) fn name(&self) -> &str {
        match self {
            Column::Subject(name) | Column::FaceId(name) => name,
            Column::Field(name) => name,
        }
    }
}

/// How it is tested.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    /// One of these, at least one.
    OneOf(Vec<Value>),
    /// Between these, a range of numbers.
    Between { lower: Bound<Number>, upper: Bound<Number>, at: At },
}

/// What it is compared with.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// `*`: any value at all.
    Any,
    /// This text, of which the field's type makes a number or truth value if need be; never empty.
    Text(String, At),
}

impl fmt::Display for Expr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.root.fmt(f)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // `&&` binds tighter than `||`, so only an alternative within an alternative is ambiguous.
            Node::AnyOf(parts) => joined(f, parts, " || ", |part| matches!(part, Node::AnyOf(_))),
            Node::Every(parts) => joined(f, parts, " && ", |part| matches!(part, Node::AnyOf(_) | Node::Every(_))),
            Node::Not(part) => {
                f.write_str("!")?;
                joined(f, std::slice::from_ref(part), "", |part| matches!(part, Node::AnyOf(_) | Node::Every(_)))
            }
            Node::Test { column, test, .. } => write!(f, "{}:{test}", column.name()),
        }
    }
}

fn joined(
    f: &mut fmt::Formatter<'_>,
    parts: &[impl AsRef<Node>],
    between: &str,
    grouped: impl Fn(&Node) -> bool,
) -> fmt::Result {
    for (part_idx, part) in parts.iter().enumerate() {
        if part_idx > 0 {
            f.write_str(between)?;
        }
        let part = part.as_ref();
        if grouped(part) { write!(f, "({part})")? } else { write!(f, "{part}")? }
    }
    Ok(())
}

impl AsRef<Node> for Node {
    fn as_ref(&self) -> &Node {
        self
    }
}

impl fmt::Display for Test {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Test::OneOf(values) => match &values[..] {
                [value] => value.fmt(f),
                [first, others @ ..] => {
                    write!(f, "({first}")?;
                    others.iter().try_for_each(|value| write!(f, " || {value}"))?;
                    f.write_str(")")
                }
                [] => unreachable!("the parser reads at least one value"),
            },
            Test::Between { lower, upper, .. } => {
                f.write_str(if matches!(lower, Bound::Excluded(_)) { "{" } else { "[" })?;
                write!(f, "{} TO {}", bound_text(lower), bound_text(upper))?;
                f.write_str(if matches!(upper, Bound::Excluded(_)) { "}" } else { "]" })
            }
        }
    }
}

fn bound_text(bound: &Bound<Number>) -> &str {
    match bound {
        Bound::Unbounded => "*",
        Bound::Included(number) | Bound::Excluded(number) => number.as_str(),
    }
}

impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Value::Any => f.write_str("*"),
            Value::Text(text, _) if text != "*" && text.chars().all(is_word_character) => f.write_str(text),
            Value::Text(text, _) => write!(f, "\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")),
        }
    }
}
