//! A parsed filter and a face set's fields to a filter that can be evaluated.

use std::ops::Bound;

use super::expr::{Column, Expr, Node, Test, Value};
use super::lexer::At;
use super::number::{Number, whole_range};
use super::{Filter, syntax_error};
use crate::error::shortened;
use crate::types::{FaceId, FieldSchema, FieldType, Subject, TEXT_CHARS_MAX, nfc};
use crate::{Error, Kind, Result};

impl Expr {
    /// Looks up every field and reads every value as its field's type. [`Kind::UnknownField`] for a field that the
    /// schema does not have; [`Kind::InvalidArgument`] for a value of another type and for a range on anything but
    /// numbers; both point at the place.
    ///
    /// Whole-number fields are compared exactly: a fraction equals none of their values, and a range is the whole
    /// numbers within it, however large its bounds are written.
    pub fn check(&self, schema: &FieldSchema) -> Result<Filter> {
        Check { schema, read_face_id: self.read_face_id }.node(&self.root)
    }
}

struct Check<'a> {
    schema: &'a FieldSchema,
    read_face_id: fn(&str) -> Option<FaceId>,
}

impl Check<'_> {
    fn node(&self, node: &Node) -> Result<Filter> {
        let all = |parts: &[Node]| parts.iter().map(|part| self.node(part)).collect::<Result<Vec<_>>>();
        match node {
            Node::AnyOf(parts) => Ok(Filter::AnyOf(all(parts)?)),
            Node::Every(parts) => Ok(Filter::Every(all(parts)?)),
            Node::Not(part) => Ok(Filter::Not(Box::new(self.node(part)?))),
            Node::Test { column, at, test } => self.test(column, *at, test),
        }
    }

    fn test(&self, column: &Column, at: At, test: &Test) -> Result<Filter> {
        let field = match column {
            Column::Subject(_) | Column::FaceId(_) => None,
            Column::Field(name) => Some(self.schema.find(name).ok_or_else(|| unknown_field(name, at))?),
        };
        match test {
            Test::Between { lower, upper, at } => match field {
                Some((field_idx, field_type)) if field_type.is_numeric() => {
                    Ok(range(field_idx, field_type, lower.as_ref(), upper.as_ref()))
                }
                _ => {
                    let message = format!("`{}` is no number, so it has no ranges, expected a value", column.name());
                    Err(syntax_error(*at, &message))
                }
            },
            Test::OneOf(values) => {
                let one = |value: &Value| match field {
                    Some((field_idx, field_type)) => field_value(column.name(), field_idx, field_type, value),
                    None => Ok(self.built_in(column, value)),
                };
                match &values[..] {
                    [value] => one(value),
                    _ => Ok(Filter::AnyOf(values.iter().map(one).collect::<Result<_>>()?)),
                }
            }
        }
    }

    fn built_in(&self, column: &Column, value: &Value) -> Filter {
        let is_subject = matches!(column, Column::Subject(_));
        match value {
            Value::Any if is_subject => Filter::HasSubject,
            // Every face has an id.
            Value::Any => Filter::Every(Vec::new()),
            Value::Text(text, _) if is_subject => Filter::Subject(nfc(text.clone(), Subject::CHARS_MAX).into()),
            // What cannot be an id is the id of no face.
            Value::Text(text, _) => (self.read_face_id)(text).map_or(Filter::AnyOf(Vec::new()), Filter::Face),
        }
    }
}

fn field_value(name: &str, field_idx: usize, field_type: FieldType, value: &Value) -> Result<Filter> {
    let (text, at) = match value {
        Value::Any => return Ok(Filter::Has { field_idx }),
        Value::Text(text, at) => (text, *at),
    };
    let mismatch = |expected: &str| {
        let found = shortened(text);
        syntax_error(at, &format!("`{name}` is of type {}, expected {expected}, found `{found}`", field_type.word()))
    };
    match field_type {
        FieldType::String => Ok(Filter::Text { field_idx, value: nfc(text.clone(), TEXT_CHARS_MAX).into() }),
        FieldType::Boolean if text.eq_ignore_ascii_case("true") => Ok(Filter::Boolean { field_idx, value: true }),
        FieldType::Boolean if text.eq_ignore_ascii_case("false") => Ok(Filter::Boolean { field_idx, value: false }),
        FieldType::Boolean => Err(mismatch("true or false")),
        FieldType::Integer | FieldType::Long | FieldType::Float | FieldType::Double => {
            let number = Number::parse(text).ok_or_else(|| mismatch("a number"))?;
            Ok(range(field_idx, field_type, Bound::Included(&number), Bound::Included(&number)))
        }
    }
}

/// The range on a field that is known to be numeric.
fn range(field_idx: usize, field_type: FieldType, lower: Bound<&Number>, upper: Bound<&Number>) -> Filter {
    if matches!(field_type, FieldType::Integer | FieldType::Long) {
        let (min, max) = whole_range(lower, upper);
        return Filter::Whole { field_idx, min, max };
    }
    Filter::Real { field_idx, lower: lower.map(Number::real), upper: upper.map(Number::real) }
}

fn unknown_field(name: &str, at: At) -> Error {
    let message = format!("filter at character {}: custom field `{name}` is not defined by the face set", at.0);
    Error::new(Kind::UnknownField, message).with_field("filter")
}
