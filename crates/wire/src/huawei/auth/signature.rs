//! Signatures with an access key: `SDK-HMAC-SHA256` and `V11-HMAC-SHA256`.
//!
//! Both sign the same canonical request; the second derives its key from the secret and names day, region and service.

use http::request::Parts;
use http::{HeaderMap, HeaderValue};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, TimestampMs};

use super::{Identity, unauthenticated};
use crate::http::signing::{
    self, COMPACT_TIME, SIGNED_HEADERS_MAX, hex, hmac_sha256, is_near, only, same, sha256_hex, unhex,
};
use crate::http::target;
use crate::huawei::errors::Failure;

/// Header that holds the body's hash, or a constant instead of it.
const CONTENT_SHA256: &str = "x-sdk-content-sha256";
/// What clients send there for bodies they do not sign, such as uploads.
const UNSIGNED_PAYLOAD: &[u8] = b"UNSIGNED-PAYLOAD";

/// What is signed besides the canonical request.
#[derive(Debug, PartialEq)]
enum Algorithm {
    /// Keyed with the secret itself.
    Sdk,
    /// Keyed with a key derived for `YYYYMMDD/region/service`.
    V11 { scope: String },
}

impl Algorithm {
    fn word(&self) -> &'static str {
        match self {
            Algorithm::Sdk => "SDK-HMAC-SHA256",
            Algorithm::V11 { .. } => "V11-HMAC-SHA256",
        }
    }
}

/// A well-formed `Authorization` header with a date that is near enough.
pub(super) struct Claim {
    pub(super) access_key_id: AccessKeyId,
    algorithm: Algorithm,
    signed_headers: String,
    signature: [u8; 32],
    date: String,
}

impl Claim {
    /// Reads the header and checks the date; the error says what is wrong, for the caller.
    pub(super) fn read(head: &Parts, now: TimestampMs) -> Result<Claim, &'static str> {
        let authorization = only(&head.headers, "authorization").ok_or("`Authorization` is there more than once")?;
        let (algorithm, access_key_id, signed_headers, signature) =
            parse(authorization).ok_or("`Authorization` is malformed or names an algorithm that is not supported")?;
        let date = only(&head.headers, "x-sdk-date").ok_or("`X-Sdk-Date` is missing")?;
        let signed_at = parse_date(date).ok_or("`X-Sdk-Date` is malformed, expected YYYYMMDDThhmmssZ")?;
        if !is_near(signed_at, now) {
            return Err("`X-Sdk-Date` is more than 15 minutes from the server's time");
        }
        let date = String::from_utf8_lossy(date).into_owned();
        if let Algorithm::V11 { scope } = &algorithm
            && scope.get(..8) != date.get(..8)
        {
            return Err("the credential's day is not the day of `X-Sdk-Date`");
        }
        if signed_headers.split(';').count() > SIGNED_HEADERS_MAX {
            return Err("too many signed headers, expected at most 64");
        }
        if !signed_headers.split(';').any(|name| name == "x-sdk-date") {
            return Err("`X-Sdk-Date` is not among the signed headers");
        }
        Ok(Claim { access_key_id, algorithm, signed_headers, signature, date })
    }
}

/// A claim and the key it names; believed only after [`Signed::verify`].
pub(in super::super) struct Signed {
    pub(super) claim: Claim,
    pub(super) key: AccessKey,
}

impl Signed {
    /// The identity, if the holder of the key's secret signed this head and this body.
    pub(in super::super) fn verify(self, head: &Parts, body: &[u8], now: TimestampMs) -> Result<Identity, Failure> {
        let payload = payload_hash(&head.headers, body).map_err(unauthenticated)?;
        let canonical_of =
            |payload: &[u8]| canonical_request(head, &self.claim.signed_headers, payload).map_err(unauthenticated);
        let is_of_key = |canonical: &[u8]| {
            self.key.secrets(now).any(|secret| same(&sign_claim(&self.claim, secret, canonical), &self.claim.signature))
        };
        let canonical = canonical_of(&payload)?;
        // Where there is no body, some clients sign its hash and some what they say instead of it; both cover the same.
        let says_unsigned = body.is_empty() && only(&head.headers, CONTENT_SHA256) == Some(UNSIGNED_PAYLOAD);
        if is_of_key(&canonical) || (says_unsigned && is_of_key(&canonical_of(UNSIGNED_PAYLOAD)?)) {
            return Ok(Identity { key: self.key, has_project: true });
        }
        Err(unauthenticated(mismatch(&canonical)))
    }
}

/// The vendor echoes what it signed, which finds most mistakes at once. It may hold a header somebody thinks of as a
/// secret, so only debug builds do.
fn mismatch(canonical: &[u8]) -> String {
    let mut message = "the signature does not match".to_owned();
    if cfg!(debug_assertions) {
        let text = String::from_utf8_lossy(canonical).replace('\n', "|");
        message = format!("{message}, canonical request: {text}");
    }
    message
}

/// Takes an `Authorization` header apart: algorithm, key id, signed headers, signature.
fn parse(header: &[u8]) -> Option<(Algorithm, AccessKeyId, String, [u8; 32])> {
    let text = std::str::from_utf8(header).ok()?.trim();
    let (word, rest) = text.split_once(|character: char| character.is_ascii_whitespace())?;
    let key_name = match word {
        "SDK-HMAC-SHA256" => "Access",
        "V11-HMAC-SHA256" => "Credential",
        _ => return None,
    };
    let [credential, signed_headers, signature] = signing::pairs(rest, [key_name, "SignedHeaders", "Signature"])?;
    let (algorithm, key_id) = if key_name == "Access" {
        (Algorithm::Sdk, credential)
    } else {
        let (key_id, scope) = credential.split_once('/')?;
        let pieces: Vec<&str> = scope.split('/').collect();
        let well_formed = pieces.len() == 3
            && pieces.iter().all(|piece| !piece.is_empty())
            && pieces[0].len() == 8
            && pieces[0].bytes().all(|byte| byte.is_ascii_digit());
        (Algorithm::V11 { scope: well_formed.then(|| scope.to_owned())? }, key_id)
    };
    Some((algorithm, AccessKeyId::new(key_id)?, signed_headers.to_owned(), unhex(signature)?))
}

/// `YYYYMMDDThhmmssZ`, nothing else.
fn parse_date(text: &[u8]) -> Option<TimestampMs> {
    let shaped = text.len() == 16 && text.iter().all(|byte| byte.is_ascii_digit() || b"TZ".contains(byte));
    signing::time(std::str::from_utf8(text).ok().filter(|_| shaped)?, COMPACT_TIME)
}

/// Piece 6 of the canonical request. A header that gives a hash must give the body's; the only other lawful content
/// is the constant that says the body is not signed.
fn payload_hash(headers: &HeaderMap, body: &[u8]) -> Result<Vec<u8>, &'static str> {
    let actual = || sha256_hex(body).into_bytes();
    if body.is_empty() || !headers.contains_key(CONTENT_SHA256) {
        return Ok(actual());
    }
    match only(headers, CONTENT_SHA256) {
        None => Err("`X-Sdk-Content-Sha256` is there more than once"),
        Some(UNSIGNED_PAYLOAD) => Ok(UNSIGNED_PAYLOAD.to_vec()),
        Some(given) if given.eq_ignore_ascii_case(&actual()) => Ok(given.to_vec()),
        Some(_) => Err("`X-Sdk-Content-Sha256` is not the body's hash"),
    }
}

/// The canonical request of this head with these signed headers.
fn canonical_request(head: &Parts, signed_headers: &str, payload: &[u8]) -> Result<Vec<u8>, String> {
    let query = signing::canonical_query(target::query_pairs(head.uri.query().unwrap_or_default()));
    // Twice the same header has no canonical form; which of the two a handler reads must not be left to luck.
    let value = |name: &str| {
        let missing = || format!("signed header `{}` is not there exactly once", super::super::params::shortened(name));
        only(&head.headers, name).map(<[u8]>::to_vec).ok_or_else(missing)
    };
    signing::canonical_request(head, &canonical_path(head.uri.path()), &query, signed_headers, value, payload)
}

/// The path decoded as a whole and encoded segment by segment, with a slash at its end.
fn canonical_path(raw_path: &str) -> String {
    let plain = target::decode(raw_path.as_bytes());
    let segments: Vec<String> = plain.split(|&byte| byte == b'/').map(target::encode).collect();
    let mut path = segments.join("/");
    if !path.ends_with('/') {
        path.push('/');
    }
    path
}

fn sign_claim(claim: &Claim, secret: &Secret, canonical: &[u8]) -> [u8; 32] {
    let hash = sha256_hex(canonical);
    let (word, date) = (claim.algorithm.word(), &claim.date);
    match &claim.algorithm {
        Algorithm::Sdk => hmac_sha256(secret.reveal().as_bytes(), format!("{word}\n{date}\n{hash}").as_bytes()),
        Algorithm::V11 { scope } => {
            let key = derived_key(&claim.access_key_id, secret, scope);
            hmac_sha256(key.as_bytes(), format!("{word}\n{date}\n{scope}\n{hash}").as_bytes())
        }
    }
}

/// Signs a request as clients do, with `SDK-HMAC-SHA256`: sets its `X-Sdk-Date` and `Authorization`. It must have a `Host`;
/// `Content-Type` is signed if it is there. For measurements and tests.
pub fn sign(head: &mut Parts, body: &[u8], (id, secret): (&AccessKeyId, &Secret), now: TimestampMs) {
    let date = signing::spell_time(now, COMPACT_TIME);
    let value = |text: String| HeaderValue::from_str(&text).expect("visible ASCII");
    head.headers.insert("x-sdk-date", value(date.clone()));
    let signed_headers = match head.headers.contains_key("content-type") {
        true => "content-type;host;x-sdk-date",
        false => "host;x-sdk-date",
    };
    let claim = Claim {
        access_key_id: id.clone(),
        algorithm: Algorithm::Sdk,
        signed_headers: signed_headers.to_owned(),
        signature: [0; 32],
        date,
    };
    let payload = sha256_hex(body);
    // Without a `Host` the signature fits no request, which the server then says.
    let canonical = canonical_request(head, signed_headers, payload.as_bytes()).unwrap_or_default();
    let signature = hex(&sign_claim(&claim, secret, &canonical));
    let word = claim.algorithm.word();
    let text = format!("{word} Access={id}, SignedHeaders={signed_headers}, Signature={signature}");
    head.headers.insert("authorization", value(text));
}

/// HKDF-SHA256 (RFC 5869) with one block of output, as hex text, which is itself the key.
fn derived_key(access_key_id: &AccessKeyId, secret: &Secret, scope: &str) -> String {
    let extracted = hmac_sha256(access_key_id.as_str().as_bytes(), secret.reveal().as_bytes());
    hex(&hmac_sha256(&extracted, &[scope.as_bytes(), &[1]].concat()))
}

/// Drives the header parser and the canonical request with anything: the first line is the path and query, the second
/// the `Authorization` header, the rest the body.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_signature(data: &[u8]) {
    let mut lines = data.splitn(3, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, authorization, body) = (line(), line(), line());
    let Ok(uri) = http::Uri::try_from(target) else { return };
    let Ok(value) = http::HeaderValue::from_bytes(authorization) else { return };
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.uri = uri;
    head.headers.insert("authorization", value.clone());
    head.headers.insert("x-sdk-date", http::HeaderValue::from_static("20260102T030405Z"));
    head.headers.insert("host", value);
    let now = TimestampMs(1_767_323_045_000);
    if let (Ok(claim), Ok(payload)) = (Claim::read(&head, now), payload_hash(&head.headers, body))
        && let Ok(canonical) = canonical_request(&head, &claim.signed_headers, &payload)
    {
        let secret = Secret::new("fuzz").expect("visible ASCII");
        assert_eq!(sign_claim(&claim, &secret, &canonical).len(), 32);
    }
    let _ = canonical_path(head.uri.path());
}

#[cfg(test)]
mod tests;
