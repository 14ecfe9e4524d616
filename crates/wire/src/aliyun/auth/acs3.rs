//! `ACS3-HMAC-SHA256`: a canonical request of the listed headers, the query encoded again and the body's hash.

use hmac::Hmac;
use http::request::Parts;
use likeness_domain::types::TimestampMs;
use sha2::{Digest, Sha256};

use super::{Claim, MISMATCH, Refusal, Scheme, form_pairs, hex, hmac, text};
use crate::http::target;

/// Most signed headers; the SDK signs a dozen.
const SIGNED_HEADERS_MAX: usize = 64;

/// Takes `Credential=..,SignedHeaders=..,Signature=..` apart.
pub(super) fn parse(text: &str) -> Option<Claim> {
    let mut values = [None; 3];
    for pair in text.split(',') {
        let (name, value) = pair.trim().split_once('=')?;
        let place = ["Credential", "SignedHeaders", "Signature"].iter().position(|known| *known == name.trim())?;
        if values[place].replace(value.trim()).is_some() {
            return None;
        }
    }
    let [Some(credential), Some(signed_headers), Some(signature)] = values else { return None };
    if signed_headers.split(';').count() > SIGNED_HEADERS_MAX {
        return None;
    }
    Some(Claim {
        access_key_id: credential.to_owned(),
        scheme: Scheme::Three { signed_headers: signed_headers.to_owned() },
        signature: signature.to_owned(),
    })
}

/// The signature that is right for this request, and the string that was hashed for it.
pub(super) fn signature(
    head: &Parts,
    signed_headers: &str,
    secret: &[u8],
    body: &[u8],
) -> Result<(Vec<String>, Vec<u8>), Refusal> {
    // Unsigned, these could be exchanged under a good signature. The nonce is needed only when it is sent.
    let nonce = head.headers.contains_key("x-acs-signature-nonce").then_some("x-acs-signature-nonce");
    for name in ["host", "x-acs-date", "x-acs-content-sha256"].into_iter().chain(nonce) {
        if !signed_headers.split(';').any(|signed| signed == name) {
            return Err(Refusal::new(MISMATCH, format!("header to be signed is missing: {name}")));
        }
    }
    let Some(given) = text(&head.headers, "x-acs-content-sha256") else {
        return Err(Refusal::new("MissingXAcsContentSha256", "the header `x-acs-content-sha256` is missing"));
    };
    if given != hex(&Sha256::digest(body)) {
        return Err(Refusal::new(MISMATCH, "the body's hash is not the header: x-acs-content-sha256"));
    }
    let canonical = canonical_request(head, signed_headers, given);
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", hex(&Sha256::digest(&canonical)));
    Ok((vec![hex(&hmac::<Hmac<Sha256>>(secret, to_sign.as_bytes()))], canonical))
}

pub(super) fn canonical_request(head: &Parts, signed_headers: &str, payload: &str) -> Vec<u8> {
    let mut canonical = Vec::with_capacity(1024);
    let line = |canonical: &mut Vec<u8>, text: &[u8]| {
        canonical.extend_from_slice(text);
        canonical.push(b'\n');
    };
    line(&mut canonical, head.method.as_str().as_bytes());
    line(&mut canonical, head.uri.path().as_bytes());
    line(&mut canonical, canonical_query(head.uri.query().unwrap_or_default()).as_bytes());
    for name in signed_headers.split(';') {
        let mut values: Vec<&[u8]> =
            head.headers.get_all(name).iter().map(|value| value.as_bytes().trim_ascii()).collect();
        values.sort_unstable();
        line(&mut canonical, &[name.as_bytes(), b":", &values.join(&b','.to_owned())].concat());
    }
    line(&mut canonical, b"");
    line(&mut canonical, signed_headers.as_bytes());
    canonical.extend_from_slice(payload.as_bytes());
    canonical
}

/// The query decoded, where `+` is a space, and encoded again, where it is `%20`.
fn canonical_query(raw_query: &str) -> String {
    let mut pairs = form_pairs(raw_query);
    pairs.sort();
    let pairs: Vec<String> =
        pairs.iter().map(|(name, value)| format!("{}={}", target::encode(name), target::encode(value))).collect();
    pairs.join("&")
}

/// Drives the reader of `ACS3` headers and the canonical request with anything; see [`super::acs1::fuzz_signature`].
pub fn fuzz_acs3(data: &[u8]) {
    fuzz(data, "x-acs-date", "2026-11-21T20:36:34Z");
}

/// The first line is path and query, the second the `Authorization` header, the third an `x-acs-` header, the rest the
/// body.
pub(super) fn fuzz(data: &[u8], date_name: &'static str, date: &'static str) {
    let mut lines = data.splitn(4, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (target, authorization, acs, body) = (line(), line(), line(), line());
    let Ok(uri) = http::Uri::try_from(target) else { return };
    let (Ok(authorization), Ok(acs)) =
        (http::HeaderValue::from_bytes(authorization), http::HeaderValue::from_bytes(acs))
    else {
        return;
    };
    let (mut head, ()) = http::Request::new(()).into_parts();
    head.uri = uri;
    head.headers.insert("authorization", authorization);
    head.headers.insert("x-acs-version", acs);
    head.headers.insert(date_name, http::HeaderValue::from_static(date));
    let Ok(claim) = Claim::read(&head, TimestampMs(1_795_293_393_000)) else { return };
    match claim.scheme {
        Scheme::One => assert!(!super::acs1::signatures(&head, b"fuzz").0.is_empty()),
        Scheme::Three { signed_headers } => {
            let _ = signature(&head, &signed_headers, b"fuzz", body);
            assert!(!canonical_request(&head, &signed_headers, "").is_empty());
        }
    }
}
