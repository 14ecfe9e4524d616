//! What a request's body is said to be.

use http::HeaderMap;
use http::header::CONTENT_TYPE;

/// The media type of a body, as far as dialects care.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MediaType {
    /// No `Content-Type`, or an empty one.
    Missing,
    /// `application/json`, with any parameters.
    Json,
    /// `multipart/form-data` with its boundary, which may be missing.
    Form {
        /// The text between parts, without the leading dashes.
        boundary: Option<String>,
    },
    /// `application/x-www-form-urlencoded`.
    UrlEncoded,
    /// Something else.
    Other,
}

/// Reads the `Content-Type`: only the media type and the boundary count, without regard to case. Clients put all kinds
/// of parameters behind it (`charset=utf8` is not even a registered name), so these are not judged.
pub fn of(headers: &HeaderMap) -> MediaType {
    let Some(value) = headers.get(CONTENT_TYPE) else { return MediaType::Missing };
    let text = String::from_utf8_lossy(value.as_bytes());
    let mut pieces = text.split(';');
    let essence = pieces.next().unwrap_or_default().trim().to_ascii_lowercase();
    match essence.as_str() {
        "" => MediaType::Missing,
        "application/json" => MediaType::Json,
        "application/x-www-form-urlencoded" => MediaType::UrlEncoded,
        "multipart/form-data" => MediaType::Form { boundary: pieces.find_map(boundary) },
        _ => MediaType::Other,
    }
}

fn boundary(parameter: &str) -> Option<String> {
    let (name, value) = parameter.split_once('=')?;
    let value = value.trim().trim_matches('"');
    // RFC 2046 ends a boundary at 70 characters; twice that forgives sloppy clients and still bounds the search.
    let sane = (1..=140).contains(&value.len());
    (name.trim().eq_ignore_ascii_case("boundary") && sane).then(|| value.to_owned())
}
