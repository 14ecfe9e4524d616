//! What every service of the family answers alike.

use std::time::Duration;

use axum::body::Body;
use http::Request;

use super::server::{Server, Spoken};

/// Unknown calls, other paths of the service and other methods.
pub(crate) fn everything_else_is_no_api<S: Spoken>(server: &Server<S>, calls: &[&str], paths: &[&str]) {
    for call in calls {
        server.call(call, &[]).refused(404, "API_NOT_FOUND");
    }
    let list = format!("{}{}", S::BASE, S::LIST);
    for (method, path) in paths.iter().map(|path| ("POST", *path)).chain([("GET", &*list), ("PUT", &*list)]) {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).unwrap();
        server.send(request).refused(404, "API_NOT_FOUND");
    }
    server.call(&format!("{}/", S::LIST), &[]).ok();
}

/// With one call a second allowed.
pub(crate) fn calls_a_second_are_bounded<S: Spoken>(server: &Server<S>) {
    server.call(S::LIST, &[]).ok();
    server.call(S::LIST, &[]).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
    server.call_as(S::CLIENTS[2], S::LIST, &[]).ok();
    server.clock.advance(Duration::from_secs(1));
    server.call(S::LIST, &[]).ok();
}

/// With at most 2000 bytes allowed.
pub(crate) fn a_body_too_long_is_refused_in_plain_text<S: Spoken>(server: &Server<S>) {
    let (status, headers, text) = server.raw(Server::<S>::multipart(S::LIST, "x".repeat(2001)));
    assert_eq!((status, text.as_str()), (413, "Request Entity Too Large"));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
}

/// Bodies that are not the form they are said to be.
pub(crate) fn broken_forms_have_no_fields<S: Spoken>(server: &Server<S>) {
    let missing = format!("MISSING_ARGUMENTS: {}", S::KEY_FIELD);
    let credentials = S::credentials(S::CLIENTS[0]);
    let credentials: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let whole = Server::<S>::form(&credentials);
    for body in ["", "--bnd", "--bnd\r\n\r\n", &whole[..whole.len() / 2], "--other--\r\n", "{}"] {
        server.send(Server::<S>::multipart(S::LIST, body.to_owned())).bad(&missing);
    }
    server.post(S::LIST, &[("x", "y"); 100]).bad(&missing);
    let no_boundary = Request::post(format!("{}{}", S::BASE, S::LIST)).header("content-type", "multipart/form-data");
    server.send(no_boundary.body(Body::from(whole)).unwrap()).bad(&missing);
}

/// A field of a call holds bytes that are no text.
pub(crate) fn text_that_is_no_text_is_malformed<S: Spoken>(server: &Server<S>, call: &str, field: &str) {
    let credentials = S::credentials(S::CLIENTS[0]);
    let mut fields: Vec<_> = credentials.iter().map(|(name, value)| (*name, value.as_str())).collect();
    fields.push((field, ""));
    let request = Server::<S>::with_a_byte_that_is_no_text(call, fields);
    server.send(request).bad(&format!("BAD_ARGUMENTS: {field}"));
}
