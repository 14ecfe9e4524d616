//! `ACS3-HMAC-SHA256`: a canonical request of the listed headers, the query encoded again and the body's hash.

use std::convert::Infallible;

use http::request::Parts;

use super::{Claim, MISMATCH, Refusal, Scheme, text};
use crate::http::signing::{self, SIGNED_HEADERS_MAX, hex, hmac_sha256, sha256_hex};
use crate::http::target::form_pairs;

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
