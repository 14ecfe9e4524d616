//! The members of a request, whether it came as JSON or as a form.
//!
//! Numbers and booleans may be written as text, because forms have nothing else and some JSON samples of the vendor
//! do it too; an empty text counts as absent.

use std::borrow::Cow;

use bytes::Bytes;
use http::HeaderMap;

use super::errors::{Failure, code};
use super::operations::Body;
use super::python;
use crate::http::form::{Form, FormError, Part};
use crate::http::json::{Object, Value};
use crate::http::media_type::{self, MediaType};

/// A request's members.
#[derive(Debug)]
pub(super) enum Params {
    /// From a JSON object.
    Json(Object),
    /// From a form.
    Form(Form),
}

impl Params {
    /// Reads a body by its media type. An empty one has no members.
    pub(super) async fn read(headers: &HeaderMap, body: Bytes, accepted: Body) -> Result<Params, Failure> {
        let takes_forms = accepted == Body::JsonOrForm;
        if body.is_empty() {
            return Ok(Params::Json(Object::default()));
        }
        match media_type::of(headers) {
            MediaType::Missing => Err(Failure::service(code::FRS_0010, "header `Content-Type` is missing")),
            MediaType::Json => match Value::parse(&body) {
                Some(Value::Object(members)) => Ok(Params::Json(members)),
                Some(other) => {
                    let message = format!("the body is {}, expected a JSON object", other.kind());
                    Err(Failure::service(code::FRS_0014, message))
                }
                None => Err(Failure::service(code::FRS_0014, "the body is not JSON")),
            },
            MediaType::Form { boundary: Some(boundary) } if takes_forms => {
                Form::read(body, &boundary).await.map(Params::Form).map_err(|error| {
                    Failure::invalid(match error {
                        FormError::TooManyParts => "the form has more than 64 parts",
                        FormError::Malformed => "the body is not the form that `Content-Type` announces",
                    })
                })
            }
            MediaType::Form { boundary: None } if takes_forms => {
                Err(Failure::invalid("`Content-Type` names no boundary"))
            }
            _ => {
                let accepted = if takes_forms { "application/json or multipart/form-data" } else { "application/json" };
                Err(Failure::invalid(format!("`Content-Type` is not supported here, expected {accepted}")))
            }
        }
    }

    /// A text member; empty and `null` are absent.
    pub(super) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let text = match self {
            Params::Json(members) => match members.get(name) {
                None => return Ok(None),
                Some(Value::Text(text)) => text.as_str(),
                Some(other) => return Err(wrong(name, other, "text")),
            },
            Params::Form(form) => match form.get(name) {
                None => return Ok(None),
                Some(part) => part_text(part)?,
            },
        };
        Ok(Some(text).filter(|text| !text.is_empty()))
    }

    /// A text member that may also be written as a bare whole number: a list that has one item.
    pub(super) fn text_or_whole(&self, name: &str) -> Result<Option<Cow<'_, str>>, Failure> {
        match self {
            Params::Json(members) if matches!(members.get(name), Some(Value::Whole(_))) => {
                Ok(self.integer(name)?.map(|number| Cow::Owned(number.to_string())))
            }
            _ => Ok(self.text(name)?.filter(|text| !text.trim().is_empty()).map(Cow::Borrowed)),
        }
    }

    /// A text member that must be there.
    pub(super) fn needed_text(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or_else(|| Failure::missing(format!("`{name}` is missing")))
    }

    /// A whole number, also as decimal text.
    pub(super) fn integer(&self, name: &str) -> Result<Option<i64>, Failure> {
        let of_json = |value: &Value| if let Value::Whole(number) = value { Some(*number) } else { None };
        self.scalar(name, "a whole number", of_json, |text| text.parse().ok())
    }

    /// A finite number, also as decimal text.
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>, Failure> {
        let of_json = |value: &Value| match value {
            Value::Whole(number) => Some(*number as f64),
            Value::Real(number) => Some(*number),
            _ => None,
        };
        self.scalar(name, "a number", of_json, |text| text.parse().ok().filter(|number: &f64| number.is_finite()))
    }

    /// True or false, also as text in any case.
    pub(super) fn boolean(&self, name: &str) -> Result<Option<bool>, Failure> {
        let of_json = |value: &Value| if let Value::Boolean(flag) = value { Some(*flag) } else { None };
        self.scalar(name, "true or false", of_json, |text| text.to_ascii_lowercase().parse().ok())
    }

    /// A value of JSON, or the text of one.
    fn scalar<T>(
        &self,
        name: &str,
        expected: &str,
        of_json: impl Fn(&Value) -> Option<T>,
        of_text: impl Fn(&str) -> Option<T>,
    ) -> Result<Option<T>, Failure> {
        match self {
            Params::Json(members) if !matches!(members.get(name), None | Some(Value::Text(_))) => {
                let value = members.get(name).unwrap_or(&Value::Null);
                of_json(value).map(Some).ok_or_else(|| wrong(name, value, expected))
            }
            _ => {
                let Some(text) = self.text(name)?.map(str::trim) else { return Ok(None) };
                of_text(text).map(Some).ok_or_else(|| wrong_text(name, text, expected))
            }
        }
    }

    /// An array or object, also as text that holds JSON or what Python prints.
    pub(super) fn structure(&self, name: &str) -> Result<Option<Cow<'_, Value>>, Failure> {
        if let Params::Json(members) = self {
            match members.get(name) {
                Some(Value::Text(_)) | None => {}
                Some(value) => return Ok(Some(Cow::Borrowed(value))),
            }
        }
        let Some(text) = self.text(name)?.filter(|text| !text.trim().is_empty()) else { return Ok(None) };
        let value = Value::parse(text.as_bytes()).or_else(|| Value::parse(python::to_json(text).as_bytes()));
        match value {
            Some(Value::Null) => Ok(None),
            Some(value) => Ok(Some(Cow::Owned(value))),
            None => Err(wrong_text(name, text, "JSON")),
        }
    }

    /// A file part; an empty one is absent. JSON has none.
    pub(super) fn file(&self, name: &str) -> Option<&Bytes> {
        match self {
            Params::Json(_) => None,
            Params::Form(form) => form.get(name).map(|part| &part.bytes).filter(|bytes| !bytes.is_empty()),
        }
    }
}

fn part_text(part: &Part) -> Result<&str, Failure> {
    std::str::from_utf8(&part.bytes).map_err(|_| Failure::invalid(format!("`{}` is not UTF-8 text", part.name)))
}

fn wrong(name: &str, value: &Value, expected: &str) -> Failure {
    Failure::invalid(format!("`{name}` is {}, expected {expected}", value.kind()))
}

fn wrong_text(name: &str, text: &str, expected: &str) -> Failure {
    Failure::invalid(format!("`{name}` is `{}`, expected {expected}", shortened(text)))
}

/// At most 64 characters of a caller's text, for a message.
pub(super) fn shortened(text: &str) -> &str {
    text.char_indices().nth(64).map_or(text, |(end, _)| &text[..end])
}
