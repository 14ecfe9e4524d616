//! Signature version 1.0: HMAC-SHA1 over a few headers, all `x-acs-` headers and the decoded query.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use http::request::Parts;

use super::{Refusal, text};
use crate::http::signing::{hmac_sha1, prefixed_headers};
use crate::http::target::form_pairs;

/// Refuses methods and versions other than HMAC-SHA1 and 1.0, where they are named.
pub(super) fn check_method(headers: &HeaderMap) -> Result<(), Refusal> {
    let names = |name, wanted: &str| headers.get(name).is_none_or(|_| text(headers, name) == Some(wanted));
    if names("x-acs-signature-method", "HMAC-SHA1") && names("x-acs-signature-version", "1.0") {
        return Ok(());
    }
    Err(Refusal::new("InvalidSignatureMethod", "expected HMAC-SHA1 and signature version 1.0"))
}

/// The signatures that are right for this request, as base64, and the string to sign.
///
/// There are two where a query parameter is empty: one client signs `name=`, the other `name`.
pub(super) fn signatures(head: &Parts, secret: &[u8]) -> (Vec<String>, Vec<u8>) {
    let to_sign = string_to_sign(head, true);
    let bare = string_to_sign(head, false);
    let sign = |to_sign: &[u8]| STANDARD.encode(hmac_sha1(secret, to_sign));
    let mut signatures = vec![sign(&to_sign)];
    if bare != to_sign {
        signatures.push(sign(&bare));
    }
    (signatures, to_sign)
}

/// Method, four headers, the `x-acs-` headers and the resource; nothing is encoded again.
fn string_to_sign(head: &Parts, empty_has_equals: bool) -> Vec<u8> {
    let mut to_sign = signed_headers(head, &["accept", "content-md5", "content-type", "date"], "x-acs-");
    to_sign.extend_from_slice(head.uri.path().as_bytes());
    let mut pairs = form_pairs(head.uri.query().unwrap_or_default());
    pairs.sort_by(|a, b| a.0.cmp(&b.0));
    for (pair_idx, (name, value)) in pairs.iter().enumerate() {
        to_sign.push(if pair_idx == 0 { b'?' } else { b'&' });
        to_sign.extend_from_slice(name);
        if empty_has_equals || !value.is_empty() {
            to_sign.push(b'=');
            to_sign.extend_from_slice(value);
        }
    }
    to_sign
}

/// The method, the values of `named` headers and all headers whose name begins with `prefix`, a line each: how this
/// vendor's older signatures begin.
pub(in crate::aliyun) fn signed_headers(head: &Parts, named: &[&str], prefix: &str) -> Vec<u8> {
    let mut to_sign = head.method.as_str().as_bytes().to_vec();
    to_sign.push(b'\n');
    for name in named {
        if let Some(value) = head.headers.get(*name) {
            to_sign.extend_from_slice(value.as_bytes().trim_ascii());
        }
        to_sign.push(b'\n');
    }
    to_sign.extend(prefixed_headers(&head.headers, prefix));
    to_sign
}
