//! `ACS3-HMAC-SHA256`: a canonical request of the listed headers, the query encoded again and the body's hash.

use std::convert::Infallible;

use http::request::Parts;

use super::{Claim, MISMATCH, Refusal, Scheme, form_pairs, text};
use crate::http::signing::{self, SIGNED_HEADERS_MAX, hex, hmac_sha256, sha256_hex};

/// Takes `Credential=..,SignedHeaders=..,Signature=..` apart.
pub(super) fn parse(text: &str) -> Option<Claim> {
    let [credential, signed_headers, signature] = signing::pairs(text, ["Credential", "SignedHeaders", "Signature"])?;
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
    if given != sha256_hex(body) {
        return Err(Refusal::new(MISMATCH, "the body's hash is not the header: x-acs-content-sha256"));
    }
    let canonical = canonical_request(head, signed_headers, given);
    let to_sign = format!("ACS3-HMAC-SHA256\n{}", sha256_hex(&canonical));
    Ok((vec![hex(&hmac_sha256(secret, to_sign.as_bytes()))], canonical))
}

/// Path as sent, the query decoded (where `+` is a space) and encoded again, several values of one header sorted.
pub(super) fn canonical_request(head: &Parts, signed_headers: &str, payload: &str) -> Vec<u8> {
    let query = signing::canonical_query(form_pairs(head.uri.query().unwrap_or_default()));
    let value = |name: &str| {
        let values = head.headers.get_all(name).iter();
        let mut values: Vec<&[u8]> = values.map(|value| value.as_bytes().trim_ascii()).collect();
        values.sort_unstable();
        Ok::<_, Infallible>(values.join(&b','))
    };
    let payload = payload.as_bytes();
    let Ok(canonical) = signing::canonical_request(head, head.uri.path(), &query, signed_headers, value, payload);
    canonical
}

/// Drives the reader of `ACS3` headers and the canonical request with anything; see [`super::acs1::fuzz_signature`].
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_acs3(data: &[u8]) {
    fuzz(data, "x-acs-date", "2026-11-21T20:36:34Z");
}

/// The first line is path and query, the second the `Authorization` header, the third an `x-acs-` header, the rest the
/// body.
#[cfg(any(test, feature = "fuzz"))]
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
    let Ok(claim) = Claim::read(&head, likeness_domain::types::TimestampMs(1_795_293_393_000)) else { return };
    match claim.scheme {
        Scheme::One => assert!(!super::acs1::signatures(&head, b"fuzz").0.is_empty()),
        Scheme::Three { signed_headers } => {
            let _ = signature(&head, &signed_headers, b"fuzz", body);
            assert!(!canonical_request(&head, &signed_headers, "").is_empty());
        }
    }
}
