//! The members of a request's body.

use bytes::Bytes;

use super::errors::Fault;
use crate::http::json::{Object, Value};

/// Deepest nesting of a body; documented requests have four levels.
const DEPTH_MAX: usize = 32;

/// Reads a body as JSON; an empty one is an empty object.
pub(super) fn value(body: &Bytes) -> Result<Value, Fault> {
    if body.trim_ascii().is_empty() {
        return Ok(Value::Object(Object::default()));
    }
    let value = Value::parse(body).ok_or_else(|| Fault::invalid("the body is not JSON"))?;
    if depth(&value) > DEPTH_MAX {
        return Err(Fault::invalid("the body is nested deeper than 32 levels"));
    }
    Ok(value)
}

/// Reads a body that is an object.
pub(super) fn object(body: &Bytes) -> Result<Object, Fault> {
    match value(body)? {
        Value::Object(object) => Ok(object),
        other => Err(Fault::invalid(format!("the body is {}, expected an object", other.kind()))),
    }
}

fn depth(value: &Value) -> usize {
    match value {
        Value::List(items) => 1 + items.iter().map(depth).max().unwrap_or(0),
        Value::Object(object) => 1 + object.members().iter().map(|(_, value)| depth(value)).max().unwrap_or(0),
        _ => 0,
    }
}

/// A text that may be missing.
pub(super) fn text<'a>(object: &'a Object, name: &str) -> Result<Option<&'a str>, Fault> {
    let read = |value: &'a Value| value.as_text().ok_or_else(|| wrong(name, value, "text"));
    object.get(name).map(read).transpose()
}

/// A text that must be there.
pub(super) fn needed_text<'a>(object: &'a Object, name: &str) -> Result<&'a str, Fault> {
    text(object, name)?.filter(|text| !text.is_empty()).ok_or_else(|| missing(name))
}

/// An array that may be missing.
pub(super) fn list<'a>(object: &'a Object, name: &str) -> Result<Option<&'a [Value]>, Fault> {
    match object.get(name) {
        None => Ok(None),
        Some(Value::List(items)) => Ok(Some(items)),
        Some(other) => Err(wrong(name, other, "an array")),
    }
}

/// An array that must be there and hold 1 to `n_max` entries.
pub(super) fn needed_list<'a>(object: &'a Object, name: &str, n_max: usize) -> Result<&'a [Value], Fault> {
    let items = list(object, name)?.ok_or_else(|| missing(name))?;
    if !(1..=n_max).contains(&items.len()) {
        return Err(Fault::invalid(format!("`{name}` has {} entries, expected 1 to {n_max}", items.len())));
    }
    Ok(items)
}

/// The texts of an array that must be there.
pub(super) fn needed_texts<'a>(object: &'a Object, name: &str, n_max: usize) -> Result<Vec<&'a str>, Fault> {
    let one = |item: &'a Value| item.as_text().ok_or_else(|| wrong(name, item, "an array of texts"));
    needed_list(object, name, n_max)?.iter().map(one).collect()
}

/// A whole number, also as text, within a range; `default` if it is missing.
pub(super) fn whole(
    object: &Object,
    name: &str,
    default: u64,
    range: std::ops::RangeInclusive<u64>,
) -> Result<u64, Fault> {
    let number = match object.get(name) {
        None => return Ok(default),
        Some(Value::Whole(number)) => u64::try_from(*number).ok(),
        Some(Value::Text(text)) => text.parse().ok(),
        Some(_) => None,
    };
    number.filter(|number| range.contains(number)).ok_or_else(|| {
        Fault::invalid(format!("`{name}` must be a whole number from {} to {}", range.start(), range.end()))
    })
}

pub(super) fn missing(name: &str) -> Fault {
    Fault::invalid(format!("`{name}` is missing"))
}

fn wrong(name: &str, value: &Value, expected: &str) -> Fault {
    Fault::invalid(format!("`{name}` is {}, expected {expected}", value.kind()))
}
