//! Entries for fuzzing.

use likeness_domain::types::TimestampMs;

use super::{Claim, Scheme, acs1, acs3};

/// Drives the reader of `acs` headers and the string to sign with anything: the first line is path and query, the
/// second the `Authorization` header, the third an `x-acs-` header.
pub fn fuzz_signature(data: &[u8]) {
    fuzz(data, "Date", "Sat, 21 Nov 2026 20:36:33 GMT");
}

/// Drives the reader of `ACS3` headers and the canonical request with anything; see [`fuzz_signature`].
pub fn fuzz_acs3(data: &[u8]) {
    fuzz(data, "x-acs-date", "2026-11-21T20:36:34Z");
}

/// The first line is path and query, the second the `Authorization` header, the third an `x-acs-` header, the rest the
/// body.
fn fuzz(data: &[u8], date_name: &'static str, date: &'static str) {
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
        Scheme::One => assert!(!acs1::signatures(&head, b"fuzz").0.is_empty()),
        Scheme::Three { signed_headers } => {
            let _ = acs3::signature(&head, &signed_headers, b"fuzz", body);
            assert!(!acs3::canonical_request(&head, &signed_headers, "").is_empty());
        }
    }
}
