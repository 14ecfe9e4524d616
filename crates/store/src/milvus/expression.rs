//! Filters as expressions that Milvus evaluates, and the values they look at.
//!
//! An expression passes every row that the filter passes, and perhaps others: what comes back is looked up in the truth and
//! the filter itself is evaluated there. That makes texts simple: Milvus has 52 bits of a hash of each, so that no label or
//! value leaves the store. What cannot be said in this way, above all negations, is left out of the expression.

use std::fmt::Write as _;
use std::ops::Bound;

use likeness_domain::filter::Filter;
use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{FaceId, FaceSetId, FieldValue};
use xxhash_rust::xxh3::xxh3_64;

use super::client::field;

/// Whole numbers that f64 keeps apart: some versions compare JSON's numbers in it.
const WHOLE_MAX: i64 = 1 << 53;

/// Parts of a list or levels of nesting beyond which the expression says nothing: they are bounded by the server.
const PARTS_MAX: usize = 256;

/// The key of a row: equal for equal set and face, in any process.
pub(super) fn key_of(face_set: FaceSetId, face: FaceId) -> String {
    format!("{}.{}", face_set.get(), face.get())
}

/// The face of a key; `None` if it is not one of this set.
pub(super) fn face_of(face_set: FaceSetId, key: &str) -> Option<FaceId> {
    let (set, face) = key.split_once('.')?;
    (set.parse() == Ok(face_set.get())).then_some(())?;
    FaceId::new(face.parse().ok()?)
}

fn hash(text: &str) -> i64 {
    (xxh3_64(text.as_bytes()) >> 12).cast_signed()
}

/// The values of a row as a JSON object: `s` for the subject, `v0` and so on for the fields.
pub(super) fn values_of(entry: &GalleryEntry) -> String {
    let mut members: Vec<String> = Vec::new();
    if let Some(subject) = &entry.subject {
        members.push(format!("\"s\":{}", hash(subject)));
    }
    for (field_idx, value) in entry.values.iter().enumerate() {
        let text = match value {
            None => continue,
            Some(FieldValue::Text(text)) => hash(text).to_string(),
            Some(FieldValue::Whole(number)) => number.to_string(),
            Some(FieldValue::Real(number)) => format!("{number:?}"),
            Some(FieldValue::Boolean(flag)) => flag.to_string(),
        };
        members.push(format!("\"v{field_idx}\":{text}"));
    }
    format!("{{{}}}", members.join(","))
}

/// "In this set, and perhaps passing the filter".
pub(super) fn expression(face_set: FaceSetId, filter: Option<&Filter>) -> String {
    let mut text = format!("{} == {}", field::FACE_SET, face_set.get());
    if let Some(part) = filter.and_then(|filter| passing(face_set, filter, 0)) {
        let Ok(()) = write!(text, " and {part}") else { unreachable!("a text can be written to") };
    }
    text
}

const NOTHING: &str = "key == \"\"";

/// An expression that passes what the filter passes; `None` if only one that passes everything does.
fn passing(face_set: FaceSetId, filter: &Filter, depth: usize) -> Option<String> {
    if depth > 16 {
        return None;
    }
    let value = |field_idx: &usize| format!("{}[\"v{field_idx}\"]", field::VALUES);
    match filter {
        Filter::Every(parts) => {
            let parts: Vec<String> =
                parts.iter().take(PARTS_MAX).filter_map(|part| passing(face_set, part, depth + 1)).collect();
            (!parts.is_empty()).then(|| format!("({})", parts.join(" and ")))
        }
        Filter::AnyOf(parts) if parts.is_empty() => Some(NOTHING.to_owned()),
        Filter::AnyOf(parts) if parts.len() > PARTS_MAX => None,
        Filter::AnyOf(parts) => {
            let parts: Option<Vec<String>> = parts.iter().map(|part| passing(face_set, part, depth + 1)).collect();
            Some(format!("({})", parts?.join(" or ")))
        }
        Filter::Face(face) => Some(format!("{} == \"{}\"", field::KEY, key_of(face_set, *face))),
        Filter::Subject(subject) => Some(format!("{}[\"s\"] == {}", field::VALUES, hash(subject))),
        Filter::Text { field_idx, value: text } => Some(format!("{} == {}", value(field_idx), hash(text))),
        Filter::Boolean { field_idx, value: flag } => Some(format!("{} == {flag}", value(field_idx))),
        Filter::Whole { min, max, .. } if min > max => Some(NOTHING.to_owned()),
        Filter::Whole { field_idx, min, max } => {
            let mut parts = Vec::new();
            if (-WHOLE_MAX..=WHOLE_MAX).contains(min) {
                parts.push(format!("{} >= {min}", value(field_idx)));
            }
            if (-WHOLE_MAX..=WHOLE_MAX).contains(max) {
                parts.push(format!("{} <= {max}", value(field_idx)));
            }
            (!parts.is_empty()).then(|| format!("({})", parts.join(" and ")))
        }
        Filter::Real { field_idx, lower, upper } => {
            let mut parts = Vec::new();
            if let Bound::Included(number) | Bound::Excluded(number) = lower
                && number.is_finite()
            {
                parts.push(format!("{} >= {number:?}", value(field_idx)));
            }
            if let Bound::Included(number) | Bound::Excluded(number) = upper
                && number.is_finite()
            {
                parts.push(format!("{} <= {number:?}", value(field_idx)));
            }
            (!parts.is_empty()).then(|| format!("({})", parts.join(" and ")))
        }
        Filter::Not(_) | Filter::HasSubject | Filter::Has { .. } => None,
    }
}

#[cfg(test)]
mod tests;
