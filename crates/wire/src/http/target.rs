//! Paths and queries as bytes, without a framework's opinions: signatures are made over what was really sent.

use std::borrow::Cow;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode, percent_encode};

/// Everything but the unreserved characters of RFC 3986.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// Percent-decodes; a `%` that starts no escape stays as it is, and so does `+`.
pub fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    percent_decode(raw).into()
}

/// Percent-encodes all but `A-Z a-z 0-9 - _ . ~`, with upper-case hex.
pub fn encode(plain: &[u8]) -> String {
    percent_encode(plain, RESERVED).to_string()
}

/// The decoded segments of a raw path such as `/a/b%20c`: those between slashes, without the empty one a trailing
/// slash leaves. `None` if a segment is not UTF-8 or the path does not start with a slash.
pub fn segments(raw_path: &str) -> Option<Vec<String>> {
    let path = raw_path.strip_prefix('/')?;
    let path = path.strip_suffix('/').unwrap_or(path);
    path.split('/').map(|segment| String::from_utf8(decode(segment.as_bytes()).into_owned()).ok()).collect()
}

/// The decoded pairs of a raw query, in order; a name without `=` has an empty value, empty pieces are passed over.
pub fn query_pairs(raw_query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    let pieces = raw_query.split('&').filter(|piece| !piece.is_empty());
    pieces
        .map(|piece| {
            let (name, value) = piece.split_once('=').unwrap_or((piece, ""));
            (decode(name.as_bytes()).into_owned(), decode(value.as_bytes()).into_owned())
        })
        .collect()
}

/// The same of a query in form style, where `+` is a space.
pub fn form_pairs(raw_query: &str) -> Vec<(Vec<u8>, Vec<u8>)> {
    query_pairs(&raw_query.replace('+', " "))
}
