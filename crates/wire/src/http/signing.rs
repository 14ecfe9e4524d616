//! What every signature is made of: digests and their hexadecimal form, times, headers, canonical requests.
//!
//! A vendor's module says what goes into the string to sign; how the pieces are read, encoded and joined stands here
//! once. Everything works on what was really sent: raw path, raw query, raw header bytes.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::request::Parts;
use http::{HeaderMap, HeaderName};
use likeness_domain::types::TimestampMs;
use sha1::Sha1;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;

use super::target;

/// How far a client's clock may be from ours, either way: 15 minutes.
pub(crate) const CLOCK_TOLERANCE_MS: i64 = 15 * 60 * 1000;
/// Most headers that a signature may list. The vendors' clients sign a dozen at most.
pub(crate) const SIGNED_HEADERS_MAX: usize = 64;

/// A time as `Sat, 21 Nov 2026 20:36:33 GMT`.
pub(crate) const HTTP_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[weekday repr:short], [day] [month repr:short] [year] [hour]:[minute]:[second] GMT");
/// A time as `2026-11-21T20:36:34Z`.
pub(crate) const ISO_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second]Z");
/// A time as `20261121T203634Z`.
pub(crate) const COMPACT_TIME: &[BorrowedFormatItem<'_>] =
    format_description!("[year][month][day]T[hour][minute][second]Z");

/// HMAC-SHA256 (RFC 2104).
pub(crate) fn hmac_sha256(key: &[u8], message: &[u8]) -> [u8; 32] {
    let mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// HMAC-SHA1 (RFC 2104).
pub(crate) fn hmac_sha1(key: &[u8], message: &[u8]) -> [u8; 20] {
    let mac = Hmac::<Sha1>::new_from_slice(key).expect("HMAC takes a key of any length");
    mac.chain_update(message).finalize().into_bytes().into()
}

/// SHA-256 in lower-case hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits, two for each byte.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let digits = bytes.iter().flat_map(|byte| [byte >> 4, byte & 15]);
    digits.map(|digit| char::from(b"0123456789abcdef"[usize::from(digit)])).collect()
}

/// The `N` bytes of exactly `2 * N` lower-case hexadecimal digits.
pub(crate) fn unhex<const N: usize>(text: &str) -> Option<[u8; N]> {
    let digit = |byte: u8| match byte {
        b'0'..=b'9' => Some(byte - b'0'),
        b'a'..=b'f' => Some(byte - b'a' + 10),
        _ => None,
    };
    let digits = Some(text.as_bytes()).filter(|digits| digits.len() == 2 * N)?;
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Whether a body with this MD5 digest is the one that `Content-MD5` is of, where that header is. Where only the header
/// is under the signature, it must be.
pub(crate) fn fits_md5(headers: &HeaderMap, digest: &[u8]) -> bool {
    let given = headers.get("content-md5").filter(|value| !value.is_empty());
    given.is_none_or(|given| given.as_bytes() == STANDARD.encode(digest).as_bytes())
}

/// Whether two texts or digests are the same; the time taken does not depend on where they differ.
pub(crate) fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

/// The time that a text means in a format; `None` if it is not written exactly so.
pub(crate) fn time(text: &str, format: &[BorrowedFormatItem<'_>]) -> Option<TimestampMs> {
    let at = time::PrimitiveDateTime::parse(text, format).ok()?.assume_utc();
    Some(TimestampMs(at.unix_timestamp().checked_mul(1000)?))
}

/// A time in a format.
pub(crate) fn spell_time(at: TimestampMs, format: &[BorrowedFormatItem<'_>]) -> String {
    utc(at).format(&format).expect("the formats have only what a time has")
}

/// A time in UTC; 1970 for one that no calendar has.
pub(crate) fn utc(at: TimestampMs) -> time::OffsetDateTime {
    let at = time::OffsetDateTime::from_unix_timestamp_nanos(i128::from(at.0) * 1_000_000);
    at.unwrap_or(time::OffsetDateTime::UNIX_EPOCH)
}

/// Whether a client's clock is within [`CLOCK_TOLERANCE_MS`] of ours.
pub(crate) fn is_near(at: TimestampMs, now: TimestampMs) -> bool {
    now.0.saturating_sub(at.0).saturating_abs() <= CLOCK_TOLERANCE_MS
}

/// A header's first value as text, without the blanks around it.
pub(crate) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok().map(str::trim)
}

/// The bytes of a header that is there exactly once, without the blanks around them.
pub(crate) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut values = headers.get_all(name).iter();
    let value = values.next()?;
    values.next().is_none().then(|| value.as_bytes().trim_ascii())
}

/// The values of `Name=value` pairs with commas between them, such as an `Authorization` header has, in the order of
/// `names`; `None` unless each name is there exactly once and there is no other.
pub(crate) fn pairs<'a, const N: usize>(text: &'a str, names: [&str; N]) -> Option<[&'a str; N]> {
    let mut values = [None; N];
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once('=')?;
        let place = names.iter().position(|known| *known == name.trim())?;
        if values[place].replace(value.trim()).is_some() {
            return None;
        }
    }
    values.iter().all(Option::is_some).then(|| values.map(Option::unwrap_or_default))
}

/// Pairs of a query, sorted as plain bytes and encoded again.
pub(crate) fn canonical_query(mut pairs: Vec<(Vec<u8>, Vec<u8>)>) -> String {
    pairs.sort();
    let pairs = pairs.iter().map(|(name, value)| format!("{}={}", target::encode(name), target::encode(value)));
    pairs.collect::<Vec<_>>().join("&")
}

/// A canonical request: method, path, query, the signed headers, their names and the digest of the body, joined by line
/// feeds. `signed_headers` are names with semicolons between them; `value` gives each one's value or why there is none.
pub(crate) fn canonical_request<E>(
    head: &Parts,
    path: &str,
    query: &str,
    signed_headers: &str,
    mut value: impl FnMut(&str) -> Result<Vec<u8>, E>,
    payload: &[u8],
) -> Result<Vec<u8>, E> {
    let mut canonical = [head.method.as_str(), path, query].join("\n").into_bytes();
    for name in signed_headers.split(';') {
        let value = value(name)?;
        canonical.extend_from_slice(&[b"\n", name.as_bytes(), b":", &value].concat());
    }
    canonical.extend_from_slice(&[b"\n\n", signed_headers.as_bytes(), b"\n", payload].concat());
    Ok(canonical)
}

/// Every header whose name begins with `prefix` as a line `name:value`, in the order of their names.
pub(crate) fn prefixed_headers(headers: &HeaderMap, prefix: &str) -> Vec<u8> {
    let mut own: Vec<(&HeaderName, &[u8])> = headers
        .iter()
        .filter(|(name, _)| name.as_str().starts_with(prefix))
        .map(|(name, value)| (name, value.as_bytes().trim_ascii()))
        .collect();
    own.sort_by_key(|(name, _)| name.as_str());
    own.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), b":", value, b"\n"].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hexadecimal_digits_are_read_as_written() {
        assert_eq!(hex(&[0, 0x1f, 0xa0]), "001fa0");
        assert_eq!(unhex("001fa0"), Some([0, 0x1f, 0xa0]));
        for wrong in ["001fa", "001fa00", "001FA0", "001fg0", "é1fa"] {
            assert_eq!(unhex::<3>(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn each_pair_is_there_once_and_no_other() {
        let read = |text| pairs(text, ["Access", "Signature"]);
        assert_eq!(read("Access=a, Signature = b=c"), Some(["a", "b=c"]));
        assert_eq!(read("Signature=b,Access="), Some(["", "b"]));
        for wrong in ["", "Access=a", "Access=a,Signature=b,Access=a", "Access=a,Signature=b,X=y", "Access,Signature=b"]
        {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_clock_may_be_fifteen_minutes_off() {
        let at = time("20261121T203634Z", COMPACT_TIME).unwrap();
        assert_eq!(time("2026-11-21T20:36:34Z", ISO_TIME), Some(at));
        assert_eq!(time("Sat, 21 Nov 2026 20:36:34 GMT", HTTP_TIME), Some(at));
        for ms in [-CLOCK_TOLERANCE_MS, 0, CLOCK_TOLERANCE_MS] {
            assert!(
                is_near(at, TimestampMs(at.0 + ms)) && !is_near(at, TimestampMs(at.0 + ms + ms.signum())) || ms == 0
            );
        }
        assert!(!is_near(TimestampMs(i64::MIN), TimestampMs(i64::MAX)));
    }
}
