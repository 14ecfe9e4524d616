//! Custom fields: typed columns that a face set defines and its faces may fill.

use super::nfc;
use crate::error::shortened;
use crate::{Error, Kind, Result};
use std::fmt;
use std::sync::Arc;

/// Name of a custom field: 1 to 36 of `A-Z a-z 0-9 _ -`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FieldName(Arc<str>);

impl FieldName {
    /// Checks length and alphabet.
    pub fn new(text: &str) -> Result<Self> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"_-".contains(&byte);
        if (1..=36).contains(&text.len()) && text.bytes().all(allowed) {
            return Ok(Self(text.into()));
        }
        Err(Error::invalid(
            "field name",
            format!("field name `{}` is not valid, expected 1 to 36 of A-Z a-z 0-9 _ -", shortened(text)),
        ))
    }

    /// The name.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for FieldName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// Type of a custom field. Integer and Long differ in range only, Float and Double in name only.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FieldType {
    /// UTF-8 text of 1 to 256 characters.
    String,
    /// Whole number from -2^31 to 2^31 - 1.
    Integer,
    /// Whole number from -2^63 to 2^63 - 1.
    Long,
    /// Finite real number.
    Float,
    /// Finite real number.
    Double,
    /// True or false.
    Boolean,
}

impl FieldType {
    /// Every type, in the order of their declaration.
    pub const ALL: [FieldType; 6] = [
        FieldType::String,
        FieldType::Integer,
        FieldType::Long,
        FieldType::Float,
        FieldType::Double,
        FieldType::Boolean,
    ];

    /// The type's lower-case word.
    pub fn word(self) -> &'static str {
        match self {
            FieldType::String => "string",
            FieldType::Integer => "integer",
            FieldType::Long => "long",
            FieldType::Float => "float",
            FieldType::Double => "double",
            FieldType::Boolean => "boolean",
        }
    }

    /// The type of that lower-case word.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field_type| field_type.word() == word)
    }

    /// Which values it has, in words.
    pub fn expected(self) -> &'static str {
        match self {
            FieldType::String => "a text of 1 to 256 characters",
            FieldType::Integer => "a whole number from -2147483648 to 2147483647",
            FieldType::Long => "a whole number from -9223372036854775808 to 9223372036854775807",
            FieldType::Float | FieldType::Double => "a number",
            FieldType::Boolean => "true or false",
        }
    }

    /// Whether values can be ordered as numbers.
    pub fn is_numeric(self) -> bool {
        matches!(self, FieldType::Integer | FieldType::Long | FieldType::Float | FieldType::Double)
    }
}

/// A value of a custom field.
#[derive(Debug, Clone, PartialEq)]
pub enum FieldValue {
    /// Of a string field.
    Text(Arc<str>),
    /// Of an integer or long field.
    Whole(i64),
    /// Of a float or double field; finite.
    Real(f64),
    /// Of a boolean field.
    Boolean(bool),
}

/// Most characters of a text value.
pub const TEXT_CHARS_MAX: usize = 256;

impl FieldValue {
    /// Whether the value may stand in a field of `field_type`: its type, range and length all fit.
    pub fn fits(&self, field_type: FieldType) -> bool {
        match (self, field_type) {
            (FieldValue::Text(text), FieldType::String) => (1..=TEXT_CHARS_MAX).contains(&text.chars().count()),
            (FieldValue::Whole(number), FieldType::Integer) => i32::try_from(*number).is_ok(),
            (FieldValue::Whole(_), FieldType::Long) => true,
            (FieldValue::Real(number), FieldType::Float | FieldType::Double) => number.is_finite(),
            (FieldValue::Boolean(_), FieldType::Boolean) => true,
            _ => false,
        }
    }
}

/// A value for a custom field as a caller gives it, when the type of the field is not known yet.
#[derive(Debug, Clone, PartialEq)]
pub enum GivenValue {
    /// It has a type of its own, as in JSON. A whole number fits a field of real numbers, too.
    Typed(FieldValue),
    /// Text that is read by the type of the field, as in a query or a form; `true` and `false` in any case.
    Written(String),
    /// Something that no field can hold, such as a list, in words.
    Unfit(&'static str),
}

impl GivenValue {
    /// The value as a field of `field_type` holds it, texts in Unicode NFC ([`nfc`]); `None` if it does not fit.
    pub fn typed(&self, field_type: FieldType) -> Option<FieldValue> {
        let value = match (self, field_type) {
            (Self::Typed(FieldValue::Whole(number)), FieldType::Float | FieldType::Double) => {
                FieldValue::Real(*number as f64)
            }
            (Self::Typed(FieldValue::Text(text)), _) => FieldValue::Text(nfc(text.to_string(), TEXT_CHARS_MAX).into()),
            (Self::Typed(value), _) => value.clone(),
            (Self::Written(text), FieldType::String) => FieldValue::Text(nfc(text.clone(), TEXT_CHARS_MAX).into()),
            (Self::Written(text), FieldType::Integer | FieldType::Long) => FieldValue::Whole(text.parse().ok()?),
            (Self::Written(text), FieldType::Float | FieldType::Double) => FieldValue::Real(text.parse().ok()?),
            (Self::Written(text), FieldType::Boolean) => FieldValue::Boolean(text.to_ascii_lowercase().parse().ok()?),
            (Self::Unfit(_), _) => return None,
        };
        value.fits(field_type).then_some(value)
    }
}

/// The value as people are told of it.
impl fmt::Display for GivenValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Typed(FieldValue::Text(text)) => write_text(text, f),
            Self::Written(text) => write_text(text, f),
            Self::Typed(FieldValue::Whole(number)) => write!(f, "`{number}`"),
            Self::Typed(FieldValue::Real(number)) => write!(f, "`{number}`"),
            Self::Typed(FieldValue::Boolean(flag)) => write!(f, "`{flag}`"),
            Self::Unfit(what) => f.write_str(what),
        }
    }
}

fn write_text(text: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
    match text.chars().count() {
        0 => f.write_str("an empty text"),
        n_chars if n_chars > TEXT_CHARS_MAX => write!(f, "a text of {n_chars} characters"),
        _ => write!(f, "the text `{}`", shortened(text)),
    }
}

/// Values for custom fields by name, as a caller gives them; of two with one name the later one wins.
pub type GivenFields = Vec<(String, GivenValue)>;

/// The custom fields a face set defines, in their order; fixed when the set is made.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSchema(Vec<(FieldName, FieldType)>);

impl FieldSchema {
    /// Most fields of one face set.
    pub const FIELDS_MAX: usize = 10;

    /// Checks the number of fields; of two with one name the later one wins.
    pub fn new(fields: impl IntoIterator<Item = (FieldName, FieldType)>) -> Result<Self> {
        let mut kept: Vec<(FieldName, FieldType)> = Vec::new();
        for (name, field_type) in fields {
            match kept.iter_mut().find(|(other, _)| *other == name) {
                Some(slot) => slot.1 = field_type,
                None => kept.push((name, field_type)),
            }
            if kept.len() > Self::FIELDS_MAX {
                return Err(Error::invalid("fields", "more than 10 custom fields, expected 0 to 10"));
            }
        }
        Ok(Self(kept))
    }

    /// The definitions in order.
    pub fn fields(&self) -> &[(FieldName, FieldType)] {
        &self.0
    }

    /// Position and type of the field with that name.
    pub fn find(&self, name: &str) -> Option<(usize, FieldType)> {
        self.0.iter().position(|(other, _)| other.as_str() == name).map(|field_idx| (field_idx, self.0[field_idx].1))
    }

    /// Position and type of a field that a value is given to or taken from, or [`Kind::FieldNotDefined`].
    pub fn defined(&self, name: &str) -> Result<(usize, FieldType)> {
        self.find(name).ok_or_else(|| {
            let defined = match self.0.is_empty() {
                true => "which has none".to_owned(),
                false => {
                    let names: Vec<&str> = self.0.iter().map(|(name, _)| name.as_str()).collect();
                    format!("expected one of {}", names.join(", "))
                }
            };
            let name = shortened(name);
            let message = format!("custom field `{name}` is not defined by the face set, {defined}");
            Error::new(Kind::FieldNotDefined, message).with_field(format!("fields.{name}"))
        })
    }

    /// The given values, each as its field holds it: [`Kind::FieldNotDefined`] or [`Kind::FieldTypeMismatch`] on the
    /// first that does not fit, and [`Kind::InvalidArgument`] on a text with a control character other than a line break or a
    /// tab. Faces that have one from earlier keep it.
    pub fn typed(&self, given: &[(String, GivenValue)]) -> Result<FieldValues> {
        let mut values = FieldValues::default();
        for (name, value) in given {
            let (field_idx, field_type) = self.defined(name)?;
            let typed = value.typed(field_type).ok_or_else(|| {
                let (word, expected) = (field_type.word(), field_type.expected());
                let message = format!("custom field `{name}` is {value}, expected {expected}: its type is {word}");
                Error::new(Kind::FieldTypeMismatch, message).with_field(format!("fields.{name}"))
            })?;
            let is_unprintable = |character: char| character.is_control() && !"\n\r\t".contains(character);
            if let FieldValue::Text(text) = &typed
                && let Some(unprintable) = text.chars().find(|&character| is_unprintable(character))
            {
                let code = u32::from(unprintable);
                let message =
                    format!("custom field `{name}` has the control character U+{code:04X}, expected printable text");
                return Err(Error::invalid(format!("fields.{name}"), message));
            }
            values.set(self.0[field_idx].0.clone(), typed);
        }
        Ok(values)
    }
}

/// The custom values of one face, by name, in the order they were given. A field without a value is simply absent.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct FieldValues(Vec<(FieldName, FieldValue)>);

impl FieldValues {
    /// Collects values; of two with one name the later one wins.
    pub fn new(values: impl IntoIterator<Item = (FieldName, FieldValue)>) -> Self {
        let mut kept = Self::default();
        for (name, value) in values {
            kept.set(name, value);
        }
        kept
    }

    fn set(&mut self, name: FieldName, value: FieldValue) {
        match self.0.iter_mut().find(|(other, _)| *other == name) {
            Some(slot) => slot.1 = value,
            None => self.0.push((name, value)),
        }
    }

    /// The values in order.
    pub fn values(&self) -> &[(FieldName, FieldValue)] {
        &self.0
    }

    /// The value of one field.
    pub fn get(&self, name: &str) -> Option<&FieldValue> {
        self.0.iter().find(|(other, _)| other.as_str() == name).map(|(_, value)| value)
    }

    /// These values with `patch` laid over them: named ones are overwritten, the others stay.
    #[must_use]
    pub fn merged(&self, patch: &FieldValues) -> FieldValues {
        let mut merged = self.clone();
        for (name, value) in &patch.0 {
            merged.set(name.clone(), value.clone());
        }
        merged
    }

    /// These values but for those of the named fields.
    #[must_use]
    pub fn without(mut self, names: &[FieldName]) -> FieldValues {
        self.0.retain(|(name, _)| !names.contains(name));
        self
    }
}
