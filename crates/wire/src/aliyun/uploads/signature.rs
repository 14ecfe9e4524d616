//! Signature version 1 of the storage service: HMAC-SHA1 over the method, three headers, all `x-oss-` headers and the
//! decoded path. The body is not under it, so it is checked before a byte of the file is read.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::request::Parts;
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{AccessKey, TimestampMs};

use super::super::operations::BUCKET;
use super::{below_bucket, grant};
use crate::aliyun::auth::{parse_time, signed_headers};
use crate::aliyun::errors::Refusal;
use crate::http::signing::{hmac_sha1, is_near, same, text};

/// The object that a path names, decoded; `None` if it is none in the bucket.
pub(super) fn object(raw_path: &str) -> Option<String> {
    below_bucket(raw_path).filter(|object| !object.is_empty())
}

/// The key into whose tenant's folder the request may write.
pub(super) async fn verify(
    head: &Parts,
    object: &str,
    credentials: &dyn CredentialStore,
    now: TimestampMs,
) -> Result<AccessKey, Refusal> {
    let (access_key_id, signature) = authorization(head)
        .ok_or_else(|| Refusal::denied("AccessDenied", "the header `Authorization` is missing or malformed"))?;
    let at = text(&head.headers, date_header(head)).and_then(parse_time);
    if !at.is_some_and(|at| is_near(at, now)) {
        let message = "the header `Date` or `x-oss-date` is not within 15 minutes of the server's time";
        return Err(Refusal::denied("RequestTimeTooSkewed", message));
    }
    let token = head.headers.get("x-oss-security-token").map(|token| token.as_bytes().trim_ascii());
    // Long-lived keys sign calls, not uploads: a file can only be put with what was handed out for it.
    let no_token = || Refusal::denied("InvalidAccessKeyId", "files are put with temporary credentials only");
    let opened = grant::open(token.ok_or_else(no_token)?, credentials, now).await?;
    if opened.access_key_id != access_key_id {
        return Err(Refusal::denied("InvalidAccessKeyId", "the access key id is not the one of the security token"));
    }
    let expected = hmac_sha1(opened.access_key_secret.as_bytes(), &string_to_sign(head, object));
    if same(STANDARD.encode(expected).as_bytes(), signature.as_bytes()) {
        return Ok(opened.key);
    }
    Err(Refusal::denied("SignatureDoesNotMatch", "the signature is not the one of this request"))
}

/// Access key id and signature.
fn authorization(head: &Parts) -> Option<(&str, &str)> {
    text(&head.headers, "authorization")?.strip_prefix("OSS ")?.split_once(':')
}

/// The header that holds the time: clients that cannot set `Date`, as in browsers, send another, and sign it in its place.
fn date_header(head: &Parts) -> &'static str {
    if head.headers.contains_key("x-oss-date") { "x-oss-date" } else { "date" }
}

fn string_to_sign(head: &Parts, object: &str) -> Vec<u8> {
    let mut to_sign = signed_headers(head, &["content-md5", "content-type", date_header(head)], "x-oss-");
    to_sign.extend_from_slice(format!("/{BUCKET}/{object}").as_bytes());
    to_sign
}

/// Drives the readers of a storage request with anything, one a line: path, `Authorization` header, security token, date.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_upload(data: &[u8]) {
    let mut lines = data.splitn(4, |&byte| byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let request = http::Request::put(line()).header("authorization", line()).header("x-oss-meta", "a").body(());
    let Ok((head, ())) = request.map(http::Request::into_parts) else { return };
    let object = object(head.uri.path()).unwrap_or_default();
    let _ = (authorization(&head), string_to_sign(&head, &object), grant::TOKEN.read(line()));
    let _ = std::str::from_utf8(line()).ok().and_then(parse_time);
}
