//! What strangers put into the heads of native requests, for fuzzing: cookies, tokens, conditions, cursors.

use axum::extract::FromRequestParts;
use http::request::Parts;
use http::{HeaderValue, Request, header};
use likeness_domain::types::{InstallationSecret, TenantId};

use super::cursor::Cursors;
use super::etag::IfMatch;
use super::{idempotency, sessions};

/// Entry for fuzzing: the lines of `data` are a cookie, a token, an origin, a condition, a key of idempotency and a cursor.
/// A cursor is read exactly if it is one that was made.
pub fn fuzz_head(data: &[u8]) {
    let mut lines = data.split(|&byte| byte == b'\n');
    let mut next = || lines.next().unwrap_or_default();
    let names = [header::COOKIE, header::AUTHORIZATION, header::ORIGIN, header::IF_MATCH, idempotency::IDEMPOTENCY_KEY];
    let mut request = Request::post("/").body(()).unwrap_or_default();
    for name in names {
        if let Ok(value) = HeaderValue::from_bytes(next()) {
            request.headers_mut().append(name, value);
        }
    }
    let mut head: Parts = request.into_parts().0;
    let _ = (sessions::bearer(&head), sessions::has_cookie(&head.headers), sessions::check_origin(&head));
    let _ = idempotency::key_of(&head.headers);
    let context = &mut std::task::Context::from_waker(std::task::Waker::noop());
    let condition = std::pin::pin!(IfMatch::from_request_parts(&mut head, &())).poll(context);
    assert!(condition.is_ready(), "a head is read at once");

    let cursors = Cursors::new(&InstallationSecret::from_bytes([7; 32]));
    let (tenant, text) = (TenantId::from_bits(5), String::from_utf8_lossy(next()));
    if let Ok(place) = cursors.open(tenant, "fuzz", &text) {
        assert_eq!(cursors.seal(tenant, "fuzz", &place), text, "only what was made is read");
    }
    let place = &text.as_bytes()[..text.len().min(256)];
    let made = cursors.seal(tenant, "fuzz", place);
    assert_eq!(cursors.open(tenant, "fuzz", &made).ok().as_deref(), Some(place));
    assert!(cursors.open(tenant, "another list", &made).is_err());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn any_head_is_read_or_refused(lines in proptest::collection::vec("[ -~\u{80}-\u{ff}]{0,80}", 0..8)) {
            super::fuzz_head(lines.join("\n").as_bytes());
        }
    }
}
