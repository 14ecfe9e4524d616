//! The picture in a field of a form: bytes or Base64, each also where clients mix them up.

use bytes::Bytes;

use super::fields::Field;
use crate::http::base64_text;

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
