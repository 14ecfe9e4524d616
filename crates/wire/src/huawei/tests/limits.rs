//! Body sizes, content types, throttling, a busy server.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use http::Request;
use http_body::{Body as _, Frame};
use likeness_domain::Kind;
use serde_json::json;

use super::server::{F1, Server, base64};
use crate::huawei::Settings;
use crate::tests::no_room::{full_budget, within, without_place};

/// A body that counts how much of it was asked for.
struct Counted {
    n_left: usize,
    n_read: Arc<AtomicUsize>,
}

impl http_body::Body for Counted {
    type Data = Bytes;
    type Error = std::convert::Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        if self.n_left == 0 {
            return Poll::Ready(None);
        }
        let n_bytes = self.n_left.min(64 * 1024);
        self.n_left -= n_bytes;
        self.n_read.fetch_add(n_bytes, Ordering::SeqCst);
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b' '; n_bytes])))))
    }
}

fn counted(n_bytes: usize) -> (Body, Arc<AtomicUsize>) {
    let n_read = Arc::new(AtomicUsize::new(0));
    let body = Counted { n_left: n_bytes, n_read: Arc::clone(&n_read) };
    assert!(!body.is_end_stream());
    (Body::new(body), n_read)
}

fn post(server: &Server, body: Body, headers: &[(&str, &str)]) -> Request<Body> {
    let mut request = server.request("POST", &server.target("/face-detect"), body);
    for (name, value) in headers {
        let name: http::HeaderName = name.parse().unwrap();
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request
}

const MB: usize = 1024 * 1024;

#[test]
fn a_body_above_12_mb_is_the_gateway_s_413() {
    let server = Server::new();
    let (body, n_read) = counted(13 * MB);
    server.send_signed_in(post(&server, body, &[])).refused(413, "APIG.0201");
    assert_eq!(n_read.load(Ordering::SeqCst), 13 * MB, "a client that writes first gets to read the answer");
    let (body, n_read) = counted(12 * MB);
    server.send_signed_in(post(&server, body, &[])).bad("FRS.0014");
    assert_eq!(n_read.load(Ordering::SeqCst), 12 * MB);
    let (body, n_read) = counted(500 * MB);
    server.send_signed_in(post(&server, body, &[])).refused(413, "APIG.0201");
    assert!(n_read.load(Ordering::SeqCst) < 40 * MB, "courtesy has an end");
}

#[test]
fn a_client_that_asks_first_is_refused_before_it_sends() {
    let server = Server::new();
    let length = (13 * MB).to_string();
    let headers = [("expect", "100-continue"), ("content-length", length.as_str())];
    let (body, n_read) = counted(13 * MB);
    server.send_signed_in(post(&server, body, &headers)).refused(413, "APIG.0201");
    assert_eq!(n_read.load(Ordering::SeqCst), 0);
    let (body, n_read) = counted(MB);
    server.send(post(&server, body, &[("expect", "100-Continue")])).refused(401, "APIG.0301");
    assert_eq!(n_read.load(Ordering::SeqCst), 0);
}

#[test]
fn content_types() {
    let server = Server::with_lib_a();
    let body = json!({"image_base64": base64(F1)}).to_string();
    let with = |content_type: &str| {
        server.send_signed_in(post(&server, body.clone().into(), &[("content-type", content_type)]))
    };
    for fine in [
        "application/json",
        "application/json;charset=utf8",
        "APPLICATION/JSON; charset=utf-8; x=y",
        " application/json ",
    ] {
        with(fine).ok();
    }
    with("").bad("FRS.0010");
    for other in ["text/plain", "application/x-www-form-urlencoded", "application/jsonp", "multipart/form-data"] {
        with(other).bad("FRS.0012");
    }
    let mut request = post(&server, body.clone().into(), &[]);
    request.headers_mut().remove("content-type");
    server.send_signed_in(request).bad("FRS.0010");
    // Forms are only where files are.
    let mut request =
        server.request("POST", &server.target("/face-sets"), super::server::form("b", &[("face_set_name", "x")]));
    request.headers_mut().insert("content-type", "multipart/form-data; boundary=b".parse().unwrap());
    server.send_signed_in(request).bad("FRS.0012");
}

#[test]
fn calls_per_second_are_a_setting() {
    let server = Server::with(Settings { calls_per_second: Some(2), ..Settings::default() });
    let list = || server.get("/face-sets");
    list().ok();
    list().ok();
    let reply = list().refused(429, "FRS.0033");
    assert_eq!(reply.headers["retry-after"], "1");
    server.post("/face-sets", json!({"face_set_name": "a"})).ok();
    server.clock.advance(Duration::from_millis(500));
    list().ok();
    list().refused(429, "FRS.0033");
    server.clock.advance(Duration::from_secs(3600));
    list().ok();
    list().ok();
    list().refused(429, "FRS.0033");
}

#[test]
fn a_busy_server_says_so() {
    let server = Server::new();
    server.analyzer.fail_next(Kind::Overloaded);
    let body = json!({"image_base64": base64(F1)});
    let reply = server.post("/face-detect", body.clone()).refused(429, "FRS.0033");
    assert!(reply.headers.contains_key("retry-after"));
    server.post("/face-detect", body).ok();
}

#[test]
fn where_there_is_no_room_callers_are_told_to_come_back() {
    let server = Server::new();
    let request = || post(&server, Body::from(vec![b' '; 100_000]), &[]);
    let (budget, _held) = full_budget();
    server.send_signed_in(within(request(), &budget)).refused(429, "FRS.0033");
    server.send_signed_in(without_place(request())).refused(429, "FRS.0033");
    // Nobody who has shown no key gets as far as asking for memory, and small requests never have to ask.
    server.send(within(request(), &budget)).refused(401, "APIG.0301");
    server.send_signed_in(within(post(&server, Body::from("{}"), &[]), &budget)).refused(400, "FRS.0011");
}

#[test]
fn a_request_for_a_token_is_short() {
    let server = Server::new();
    let body = Body::from(vec![b' '; 65 * 1024]);
    server.send(server.request("POST", "/v3/auth/tokens", body)).refused(413, "APIG.0201");
}

#[test]
fn a_byte_order_mark_before_json_is_passed_over() {
    let server = Server::new();
    let body = ["\u{feff}".as_bytes(), json!({"image_base64": base64(F1)}).to_string().as_bytes()].concat();
    server.send_signed_in(post(&server, Body::from(body), &[])).ok();
}
