//! The picture of a request: bytes or Base64, each also where clients mix them up, or an address.

use bytes::Bytes;
use likeness_domain::library::ImageSource;

use super::errors::Failure;
use super::fields::{Field, Fields};
use crate::http::base64_text;

/// What a field for a picture is meant to hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    File,
    Base64,
    Address,
}

/// The field a picture came in, and what it holds.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Given<'a> {
    /// Name of the field.
    pub(crate) name: &'static str,
    content: Content,
    field: &'a Field,
}

/// The first of these fields that is there and not empty.
pub(crate) fn given<'a, const N: usize>(fields: &'a Fields, known: [(&'static str, Content); N]) -> Option<Given<'a>> {
    known.into_iter().find_map(|(name, content)| Some(Given { name, content, field: fields.get(name)? }))
}

impl Given<'_> {
    /// The picture, or where it is.
    pub(crate) fn source(&self) -> Result<ImageSource, Failure> {
        let bytes = match self.content {
            Content::File => of_file(self.field),
            Content::Base64 => of_text(self.field).ok_or_else(|| Failure::no_picture(self.name))?,
            Content::Address => {
                let address = std::str::from_utf8(&self.field.bytes);
                let address = address.map_err(|_| Failure::bad(format!("INVALID_IMAGE_URL: {}", self.name)))?;
                return Ok(ImageSource::Url(address.trim().to_owned()));
            }
        };
        Ok(ImageSource::Bytes(bytes))
    }
}

/// The picture in a field that is meant for bytes; Base64 of a picture is taken for the picture.
pub(crate) fn of_file(field: &Field) -> Bytes {
    let sent = &field.bytes;
    if begins_like_a_picture(sent) {
        return sent.clone();
    }
    decoded(sent).filter(|bytes| begins_like_a_picture(bytes)).unwrap_or_else(|| sent.clone())
}

/// The picture in a field that is meant for Base64; bytes of a picture are taken for it. `None` if it is neither.
pub(crate) fn of_text(field: &Field) -> Option<Bytes> {
    let sent = &field.bytes;
    if field.is_file || begins_like_a_picture(sent) { Some(sent.clone()) } else { decoded(sent) }
}

/// Base64 as clients send it; a blank is a `+` that was not escaped.
fn decoded(text: &[u8]) -> Option<Bytes> {
    let text = std::str::from_utf8(text).ok()?.trim_ascii();
    if text.contains(' ') { base64_text::decode(&text.replace(' ', "+")) } else { base64_text::decode(text) }
}

/// JPEG, PNG, BMP, GIF or WebP by their first bytes. No Base64 of such a file begins like one: it would begin with
/// `/9j`, `iVB`, `Qk`, `R0lG` or `UklG`.
fn begins_like_a_picture(bytes: &[u8]) -> bool {
    const BEGINNINGS: [&[u8]; 5] = [b"\xff\xd8\xff", b"\x89PNG", b"BM", b"GIF8", b"RIFF"];
    BEGINNINGS.iter().any(|beginning| bytes.starts_with(beginning))
}
