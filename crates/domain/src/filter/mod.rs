//! Filters over faces: a typed tree, made by checking a parsed text against a face set's fields.
//!
//! A [`Filter`] is already resolved: fields are positions in the set's schema, numbers are in the field's own range,
//! so evaluating it cannot fail. [`Filter::matches`] is the plain definition of its meaning; an index may evaluate it
//! any faster way that agrees.

//!
//! From text to filter: `lexer` makes tokens, `parser` a tree ([`Expr`]), `check` looks up fields and types.

mod check;
mod expr;
mod lexer;
mod number;
mod parser;

pub use expr::{Expr, Vocabulary};
pub use parser::parse;

use std::ops::Bound;
use std::sync::Arc;

use crate::Error;
use crate::types::{FaceId, FieldName, FieldSchema, FieldValue};

/// A condition on a face. A face without a value never passes a test on that value, so it does pass its negation.
#[derive(Debug, Clone, PartialEq)]
pub enum Filter {
    /// All of these pass; an empty list passes everything.
    Every(Vec<Filter>),
    /// At least one of these passes; an empty list passes nothing.
    AnyOf(Vec<Filter>),
    /// This does not pass.
    Not(Box<Filter>),
    /// The face is this one.
    Face(FaceId),
    /// The face's subject is exactly this text.
    Subject(Arc<str>),
    /// The face has a subject.
    HasSubject,
    /// The custom field has a value.
    Has {
        /// Position in the schema.
        field_idx: usize,
    },
    /// The text field is exactly this.
    Text {
        /// Position in the schema.
        field_idx: usize,
        /// Its value.
        value: Arc<str>,
    },
    /// The boolean field is this.
    Boolean {
        /// Position in the schema.
        field_idx: usize,
        /// Its value.
        value: bool,
    },
    /// The whole-number field is from `min` to `max`, both included; `min > max` matches nothing.
    Whole {
        /// Position in the schema.
        field_idx: usize,
        /// Least value.
        min: i64,
        /// Greatest value.
        max: i64,
    },
    /// The real-number field is between the bounds, which are never NaN.
    Real {
        /// Position in the schema.
        field_idx: usize,
        /// Lower bound.
        lower: Bound<f64>,
        /// Upper bound.
        upper: Bound<f64>,
    },
}

/// What a filter looks at.
#[derive(Debug, Clone, Copy)]
pub struct FilterRow<'a> {
    /// Which face.
    pub face: FaceId,
    /// Its label.
    pub subject: Option<&'a str>,
    /// Its custom values, one slot per field of the schema.
    pub values: &'a [Option<FieldValue>],
}

impl Filter {
    /// "This field has exactly this value", which passes nothing if the schema has no such field.
    pub fn equals(schema: &FieldSchema, name: &FieldName, value: &FieldValue) -> Filter {
        let nothing = Filter::AnyOf(Vec::new());
        let Some(field_idx) = schema.fields().iter().position(|(other, _)| other == name) else { return nothing };
        match value {
            FieldValue::Text(text) => Filter::Text { field_idx, value: Arc::from(&**text) },
            FieldValue::Boolean(flag) => Filter::Boolean { field_idx, value: *flag },
            FieldValue::Whole(number) => Filter::Whole { field_idx, min: *number, max: *number },
            FieldValue::Real(number) => {
                use std::ops::Bound::Included;
                Filter::Real { field_idx, lower: Included(*number), upper: Included(*number) }
            }
        }
    }

    /// Whether the face passes.
    pub fn matches(&self, row: FilterRow<'_>) -> bool {
        let value = |field_idx: usize| row.values.get(field_idx).and_then(Option::as_ref);
        match self {
            Filter::Every(parts) => parts.iter().all(|part| part.matches(row)),
            Filter::AnyOf(parts) => parts.iter().any(|part| part.matches(row)),
            Filter::Not(part) => !part.matches(row),
            Filter::Face(face) => row.face == *face,
            Filter::Subject(subject) => row.subject == Some(subject),
            Filter::HasSubject => row.subject.is_some(),
            Filter::Has { field_idx } => value(*field_idx).is_some(),
            Filter::Text { field_idx, value: wanted } => {
                matches!(value(*field_idx), Some(FieldValue::Text(text)) if text == wanted)
            }
            Filter::Boolean { field_idx, value: wanted } => {
                matches!(value(*field_idx), Some(FieldValue::Boolean(flag)) if flag == wanted)
            }
            Filter::Whole { field_idx, min, max } => {
                matches!(value(*field_idx), Some(FieldValue::Whole(number)) if min <= number && number <= max)
            }
            Filter::Real { field_idx, lower, upper } => {
                use std::ops::RangeBounds;
                matches!(value(*field_idx), Some(FieldValue::Real(number)) if (*lower, *upper).contains(number))
            }
        }
    }
}

/// What is wrong with a filter, and where.
fn syntax_error(at: lexer::At, problem: &str) -> Error {
    Error::invalid("filter", format!("filter at character {}: {problem}", at.0))
}

#[cfg(test)]
mod tests;
