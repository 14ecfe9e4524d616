//! JSON as clients send it and as they can read it.
//!
//! Incoming: [`Value`] keeps the order of members (a sort order may depend on it), lets the last of equal names win,
//! and is bounded in depth and number of values. Outgoing: [`answer`] writes reals without an exponent, because some
//! clients read answers with tools that know none, and leaves members out that are `None`, because some cannot read
//! `null`.

use std::cell::Cell;
use std::fmt;
use std::io;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use http::header::{CONTENT_TYPE, HeaderValue};
use likeness_domain::types::FieldValue;
use serde::Serialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::ser::{CharEscape, CompactFormatter, Formatter};

/// Most values in one text. A megabyte of `[0,0,..` would otherwise become many megabytes of memory.
pub const VALUES_MAX: usize = 100_000;

/// A JSON value.
#[derive(Debug, Clone, PartialEq)]
pub enum Value {
    /// `null`.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A number written without fraction or exponent, within 64 signed bits.
    Whole(i64),
    /// Any other number; finite.
    Real(f64),
    /// Text.
    Text(String),
    /// An array.
    List(Vec<Value>),
    /// An object.
    Object(Object),
}

/// The members of a JSON object, in order.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(String, Value)>);

impl Object {
    /// Every member as sent, repeated names included.
    pub fn members(&self) -> &[(String, Value)] {
        &self.0
    }

    /// The last member with that name; `null` counts as absent.
    pub fn get(&self, name: &str) -> Option<&Value> {
        let found = self.0.iter().rfind(|(other, _)| other == name);
        found.map(|(_, value)| value).filter(|value| **value != Value::Null)
    }
}

/// The text without the byte order mark that some editors and languages write before UTF-8.
pub(crate) fn without_mark(text: &[u8]) -> &[u8] {
    text.strip_prefix(b"\xef\xbb\xbf").unwrap_or(text)
}

impl Value {
    /// Reads a whole text. `None` if it is not JSON, not UTF-8, nested deeper than 128, has more than [`VALUES_MAX`]
    /// values or a number no 64-bit float can hold. A byte order mark before it is passed over.
    pub fn parse(text: &[u8]) -> Option<Value> {
        let n_left = Cell::new(VALUES_MAX);
        let mut reader = serde_json::Deserializer::from_slice(without_mark(text));
        let value = Seed(&n_left).deserialize(&mut reader).ok()?;
        reader.end().ok()?;
        Some(value)
    }

    /// The text, if it is one.
    pub fn as_text(&self) -> Option<&str> {
        if let Value::Text(text) = self { Some(text) } else { None }
    }

    /// What the value is, for an error message.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "null",
            Value::Boolean(_) => "a boolean",
            Value::Whole(_) | Value::Real(_) => "a number",
            Value::Text(_) => "text",
            Value::List(_) => "an array",
            Value::Object(_) => "an object",
        }
    }
}

/// Reads one value and counts it.
#[derive(Clone, Copy)]
struct Seed<'a>(&'a Cell<usize>);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        let n_left = self.0.get();
        if n_left == 0 {
            return Err(serde::de::Error::custom("too many values"));
        }
        self.0.set(n_left - 1);
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Value, E> {
        Ok(Value::Boolean(flag))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Whole(number))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Value, E> {
        Ok(i64::try_from(number).map_or(Value::Real(number as f64), Value::Whole))
    }

    fn visit_f64<E>(self, number: f64) -> Result<Value, E> {
        Ok(Value::Real(number))
    }

    fn visit_str<E>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Value, E> {
        Ok(Value::Text(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element_seed(self)? {
            list.push(item);
        }
        Ok(Value::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut object = Object::default();
        while let Some(name) = members.next_key()? {
            object.0.push((name, members.next_value_seed(self)?));
        }
        Ok(Value::Object(object))
    }
}

/// A number with so many decimals, at most.
pub(crate) fn rounded(number: impl Into<f64>, n_decimals: i32) -> f64 {
    let steps_per_one = 10_f64.powi(n_decimals);
    (number.into() * steps_per_one).round() / steps_per_one
}

/// The value of a custom field.
pub(crate) fn of_field(value: &FieldValue) -> serde_json::Value {
    match value {
        FieldValue::Text(text) => (&**text).into(),
        FieldValue::Whole(number) => (*number).into(),
        FieldValue::Real(number) => (*number).into(),
        FieldValue::Boolean(flag) => (*flag).into(),
    }
}

/// A complete answer with a JSON body.
pub fn answer(status: StatusCode, body: &impl Serialize) -> Response {
    answer_as("application/json; charset=UTF-8", status, body)
}

/// The same with another spelling of its media type.
pub fn answer_as(media_type: &'static str, status: StatusCode, body: &impl Serialize) -> Response {
    let mut response = Response::new(Body::from(write(body)));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(media_type));
    response
}

/// `body` as JSON text: reals without exponent, members that are `None` left out.
///
/// # Panics
/// If `body` has a map with keys that are not text: a bug in a DTO.
pub fn write(body: &impl Serialize) -> Vec<u8> {
    let mut text = Vec::new();
    let mut writer = serde_json::Serializer::with_formatter(&mut text, Plain::default());
    body.serialize(&mut writer).expect("a DTO has only text keys and memory does not fail to write");
    text
}

/// How answers are written: `1e-7` as `0.0000001`, `2e3` as `2000.0`, and no member whose value is null.
///
/// A member's name is held back until its value begins, since only then it is known whether there is one.
#[derive(Default)]
struct Plain {
    /// The name of a member whose value has not begun, with its quotes.
    name: Option<Vec<u8>>,
    /// Whether that name is still being written.
    is_in_name: bool,
    /// Whether each object that is open has a member, innermost last.
    has_members: Vec<bool>,
}

impl Plain {
    /// Writes the name that was held back, now that its value begins.
    fn begin_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        let Some(name) = self.name.take() else { return Ok(()) };
        if self.has_members.last_mut().is_some_and(|has_members| std::mem::replace(has_members, true)) {
            writer.write_all(b",")?;
        }
        writer.write_all(&name)?;
        writer.write_all(b":")
    }

    /// Writes a piece of text, which is a value's or a name's.
    fn write_text<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        write: impl FnOnce(&mut dyn io::Write) -> io::Result<()>,
    ) -> io::Result<()> {
        match &mut self.name {
            Some(name) if self.is_in_name => write(name),
            _ => write(&mut { writer }),
        }
    }
}

/// Methods that begin a value and write it as usual.
macro_rules! usual {
    ($($method:ident($($value:ident: $type:ty)?)),*) => {
        $(fn $method<W: ?Sized + io::Write>(&mut self, writer: &mut W $(, $value: $type)?) -> io::Result<()> {
            self.begin_value(writer)?;
            CompactFormatter.$method(writer $(, $value)?)
        })*
    };
}

impl Formatter for Plain {
    usual!(
        write_bool(value: bool), write_i8(value: i8), write_i16(value: i16), write_i32(value: i32), write_i64(value: i64),
        write_u8(value: u8), write_u16(value: u16), write_u32(value: u32), write_u64(value: u64),
        write_i128(value: i128), write_u128(value: u128), write_number_str(value: &str), begin_array()
    );

    fn write_null<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if self.name.take().is_some() { Ok(()) } else { writer.write_all(b"null") }
    }

    fn write_f64<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: f64) -> io::Result<()> {
        self.begin_value(writer)?;
        // `Display` of a float never has an exponent; it leaves out the fraction of a whole one.
        if number.fract() == 0.0 { write!(writer, "{number}.0") } else { write!(writer, "{number}") }
    }

    fn write_f32<W: ?Sized + io::Write>(&mut self, writer: &mut W, number: f32) -> io::Result<()> {
        self.begin_value(writer)?;
        if number.fract() == 0.0 { write!(writer, "{number}.0") } else { write!(writer, "{number}") }
    }

    fn begin_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        if !self.is_in_name {
            self.begin_value(writer)?;
        }
        self.write_text(writer, |mut text| CompactFormatter.begin_string(&mut text))
    }

    fn end_string<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.write_text(writer, |mut text| CompactFormatter.end_string(&mut text))
    }

    fn write_string_fragment<W: ?Sized + io::Write>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()> {
        self.write_text(writer, |mut text| CompactFormatter.write_string_fragment(&mut text, fragment))
    }

    fn write_char_escape<W: ?Sized + io::Write>(&mut self, writer: &mut W, escape: CharEscape) -> io::Result<()> {
        self.write_text(writer, |mut text| CompactFormatter.write_char_escape(&mut text, escape))
    }

    fn begin_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.begin_value(writer)?;
        self.has_members.push(false);
        CompactFormatter.begin_object(writer)
    }

    fn end_object<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        self.has_members.pop();
        CompactFormatter.end_object(writer)
    }

    fn begin_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W, _: bool) -> io::Result<()> {
        (self.name, self.is_in_name) = (Some(Vec::new()), true);
        Ok(())
    }

    fn end_object_key<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        self.is_in_name = false;
        Ok(())
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, _: &mut W) -> io::Result<()> {
        Ok(())
    }
}
