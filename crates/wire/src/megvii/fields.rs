//! What a request says, wherever it says it: form, urlencoded body, query.

use bytes::Bytes;
use http::HeaderMap;

use super::errors::Failure;
use crate::http::form::{self, Form, PARTS_MAX};
use crate::http::media_type::{self, MediaType};
use crate::http::target;

#[cfg(any(test, feature = "fuzz"))]
pub(crate) mod fuzz;

/// The fields of a request, those of the body before those of the query.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<Field>);

/// One of them.
pub(crate) struct Field {
    name: String,
    /// Its value as sent, decoded from its envelope only.
    pub(crate) bytes: Bytes,
    /// Whether it was sent as a file.
    pub(crate) is_file: bool,
}

// A field may be a photograph: shape only.
impl std::fmt::Debug for Field {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Field({:?}, {} bytes)", self.name, self.bytes.len())
    }
}

impl Fields {
    /// Takes body and query apart. A body that cannot be read as a form, JSON among them, is one without fields.
    pub(crate) async fn read(headers: &HeaderMap, body: Bytes, query: Option<&str>) -> Self {
        let mut fields = match media_type::of(headers) {
            MediaType::Form { boundary: Some(boundary) } => {
                let parts = Form::read(body, &boundary).await.unwrap_or_default().parts.into_iter();
                parts.map(|part| Field { name: part.name, bytes: part.bytes, is_file: part.is_file }).collect()
            }
            MediaType::UrlEncoded => std::str::from_utf8(&body).map(url_encoded).unwrap_or_default(),
            MediaType::Form { boundary: None } | MediaType::Json | MediaType::Missing | MediaType::Other => Vec::new(),
        };
        fields.extend(url_encoded(query.unwrap_or_default()));
        Self(fields)
    }

    /// The field of that name, as far as the start of a body and the query show it.
    pub(crate) async fn read_start(headers: &HeaderMap, start: &[u8], query: Option<&str>, name: &str) -> Self {
        let found = match media_type::of(headers) {
            MediaType::Form { boundary: Some(boundary) } => form::part_of_start(start, &boundary, name).await,
            MediaType::UrlEncoded => {
                // The last piece may have been cut off.
                let whole = start.iter().rposition(|&byte| byte == b'&').map_or(&[][..], |end| &start[..end]);
                let fields = std::str::from_utf8(whole).map(url_encoded).unwrap_or_default();
                fields.into_iter().find(|field| field.name == name).map(|field| field.bytes)
            }
            MediaType::Form { boundary: None } | MediaType::Json | MediaType::Missing | MediaType::Other => None,
        };
        let found = found.map(|bytes| Field { name: name.to_owned(), bytes, is_file: false });
        Self(found.into_iter().chain(url_encoded(query.unwrap_or_default())).collect())
    }

    /// The first field with that name, unless it is empty.
    pub(crate) fn get(&self, name: &str) -> Option<&Field> {
        self.present(name).filter(|field| !field.bytes.is_empty())
    }

    /// The first field with that name.
    pub(crate) fn present(&self, name: &str) -> Option<&Field> {
        self.0.iter().find(|field| field.name == name)
    }

    /// Refuses if one of these is absent or empty.
    pub(crate) fn require(&self, names: &[&str]) -> Result<(), Failure> {
        match names.iter().find(|name| self.get(name).is_none()) {
            Some(name) => Err(Failure::missing(name)),
            None => Ok(()),
        }
    }

    /// The text of a field, unless it is absent or empty.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Failure> {
        let Some(field) = self.get(name) else { return Ok(None) };
        std::str::from_utf8(&field.bytes).map(Some).map_err(|_| Failure::malformed(name))
    }

    /// What the text of a field says, unless that is absent or empty; malformed if `read` refuses it.
    pub(crate) fn read_as<'a, T, E>(
        &'a self,
        name: &str,
        read: impl FnOnce(&'a str) -> Result<T, E>,
    ) -> Result<Option<T>, Failure> {
        self.text(name)?.map(read).transpose().map_err(|_| Failure::malformed(name))
    }

    /// Refuses a text of more characters than these.
    pub(crate) fn check_length(&self, name: &str, chars_max: usize) -> Result<(), Failure> {
        match self.text(name)? {
            Some(text) if text.chars().count() > chars_max => Err(Failure::malformed(name)),
            _ => Ok(()),
        }
    }

    /// The text of a required field.
    pub(crate) fn needed(&self, name: &str) -> Result<&str, Failure> {
        self.text(name)?.ok_or_else(|| Failure::missing(name))
    }

    /// A switch: `0` or `1`, or absent.
    pub(crate) fn switch(&self, name: &str) -> Result<Option<bool>, Failure> {
        match self.text(name)? {
            None => Ok(None),
            Some("0") => Ok(Some(false)),
            Some("1") => Ok(Some(true)),
            Some(_) => Err(Failure::malformed(name)),
        }
    }

    /// A whole number in decimal digits, with a minus before it or none, unless it is absent or empty. More digits than
    /// fit are as good as the largest number.
    pub(crate) fn whole(&self, name: &str) -> Result<Option<i64>, Failure> {
        let Some(text) = self.text(name)? else { return Ok(None) };
        let digits = text.strip_prefix('-').unwrap_or(text);
        if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(Failure::malformed(name));
        }
        let size = digits.parse().unwrap_or(i64::MAX);
        Ok(Some(if text == digits { size } else { -size }))
    }

    /// A whole number of 1 to `max`, or `default` if there is none. Whether one out of range is moved into it instead
    /// of refused is for the caller to say.
    pub(crate) fn positive(&self, name: &str, default: u64, max: u64, clamps: bool) -> Result<u64, Failure> {
        let Some(number) = self.whole(name)? else { return Ok(default) };
        let number = u64::try_from(number).unwrap_or(0);
        if clamps || (1..=max).contains(&number) {
            return Ok(number.clamp(1, max));
        }
        Err(Failure::malformed(name))
    }
}

/// Pairs of `application/x-www-form-urlencoded`, of which no more are taken than of a form: a body of nothing but `&a`
/// would otherwise become hundreds of times as much memory.
fn url_encoded(text: &str) -> Vec<Field> {
    let pieces = text.split('&').filter(|piece| !piece.is_empty()).take(PARTS_MAX);
    let decoded = |text: &str| target::decode(text.replace('+', " ").as_bytes()).into_owned();
    let fields = pieces.filter_map(|piece| {
        let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
        let name = String::from_utf8(decoded(name)).ok()?;
        Some(Field { name, bytes: decoded(value).into(), is_file: false })
    });
    fields.collect()
}

#[cfg(test)]
mod tests {
    use super::fuzz::fuzz_fields;

    #[test]
    fn whatever_a_request_is_its_fields_are_read() {
        let form = b"\0--x\r\nContent-Disposition: form-data; name=\"image\"\r\n\r\n/9j/4A==\r\n--x--\r\n";
        for data in [&b""[..], b"\0", b"\x01a=1&b=%FF&&c\0d=+", b"\x02{}\0a=-99999999999999999999", form, &form[..40]] {
            fuzz_fields(data);
        }
    }
}
