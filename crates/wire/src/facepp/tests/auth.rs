//! Who may ask, and where the fields may be.

use axum::body::Body;
use http::Request;

use super::server::{BASE, DEMO, DISABLED, OTHER, Server};
use crate::facepp::Settings;

#[test]
fn key_and_secret_come_first() {
    let server = Server::new();
    let post = |fields: &[(&str, &str)]| server.send(super::server::multipart("detect", &super::server::form(fields)));
    post(&[]).bad("MISSING_ARGUMENTS: api_key");
    post(&[("api_key", "demoKey")]).bad("MISSING_ARGUMENTS: api_secret");
    post(&[("api_key", ""), ("api_secret", "demoSecret")]).bad("MISSING_ARGUMENTS: api_key");
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_told_alike() {
    let server = Server::new();
    for client in [
        (DEMO.0, "demoSecreT"),
        (DEMO.0, "demoSecret2"),
        (DEMO.0, "x"),
        (DEMO.0, OTHER.1),
        ("nobody", DEMO.1),
        ("a b c", "x"),
        (DISABLED.0, "x"),
    ] {
        server.call_as(client, "faceset/getfacesets", &[]).refused(401, "AUTHENTICATION_ERROR");
    }
}

#[test]
fn a_disabled_key_is_told_so_only_with_its_secret() {
    let server = Server::new();
    let reply = server.call_as(DISABLED, "faceset/getfacesets", &[]);
    reply.refused(403, "AUTHORIZATION_ERROR: Denied by Admin");
}

#[test]
fn everything_else_is_no_api() {
    let server = Server::new();
    for name in ["", "detects", "faceset", "faceset/create/x", "face/analyze", "faceset/async"] {
        server.call(name, &[]).refused(404, "API_NOT_FOUND");
    }
    for path in ["/facepp", "/facepp/v2/detect", "/facepp/v3"] {
        server.send(Request::post(path).body(Body::empty()).unwrap()).refused(404, "API_NOT_FOUND");
    }
    let get = Request::get(format!("{BASE}faceset/getfacesets?api_key=demoKey&api_secret=demoSecret"));
    server.send(get.body(Body::empty()).unwrap()).refused(404, "API_NOT_FOUND");
    server.call("faceset/getfacesets/", &[]).ok();
}

#[test]
fn fields_may_be_in_a_form_a_body_or_the_query() {
    let server = Server::new();
    server.make("lobby");
    let words = "api_key=demoKey&api_secret=demoSecret&outer_id=lobby";
    let in_query = Request::post(format!("{BASE}faceset/getdetail?{words}")).body(Body::empty()).unwrap();
    let in_body = Request::post(format!("{BASE}faceset/getdetail"))
        .header("content-type", "application/x-www-form-urlencoded")
        .body(Body::from(words))
        .unwrap();
    for request in [in_query, in_body] {
        assert_eq!(server.send(request).ok().json["outer_id"], "lobby");
    }
}

#[test]
fn calls_a_second_can_be_bounded() {
    let server = Server::with(Settings { max_qps: Some(1), ..Settings::default() });
    server.call("faceset/getfacesets", &[]).ok();
    server.call("faceset/getfacesets", &[]).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
    server.call_as(OTHER, "faceset/getfacesets", &[]).ok();
    server.clock.advance(std::time::Duration::from_secs(1));
    server.call("faceset/getfacesets", &[]).ok();
}

#[test]
fn a_body_too_long_is_refused_in_plain_text() {
    let server = Server::with(Settings { max_body_bytes: 2000, ..Settings::default() });
    let request = Request::post(format!("{BASE}detect")).body(Body::from(vec![b'x'; 2001])).unwrap();
    let (status, headers, text) = server.raw(request);
    assert_eq!((status, text.as_str()), (413, "Request Entity Too Large"));
    assert_eq!(headers["content-type"], "text/plain; charset=utf-8");
}

#[test]
fn another_tenant_sees_nothing() {
    let server = Server::new();
    server.make("lobby");
    let token = server.add("lobby", super::server::P1);
    let reply = server.call_as(OTHER, "faceset/getfacesets", &[]).ok();
    assert!(reply.list("facesets").is_empty());
    server.call_as(OTHER, "faceset/getdetail", &[("outer_id", "lobby")]).bad("INVALID_OUTER_ID");
    let detail = server.call("faceset/getdetail", &[("outer_id", "lobby")]).ok();
    let faceset_token = detail.json["faceset_token"].as_str().unwrap();
    let by_token = server.call_as(OTHER, "faceset/getdetail", &[("faceset_token", faceset_token)]);
    by_token.bad("INVALID_FACESET_TOKEN");
    let unknown = format!("INVALID_FACE_TOKEN: {token}");
    server.call_as(OTHER, "face/getdetail", &[("face_token", &token)]).bad(&unknown);
    server.call_as(OTHER, "faceset/create", &[("outer_id", "lobby")]).ok();
    let added = server.call_as(OTHER, "faceset/addface", &[("outer_id", "lobby"), ("face_tokens", &token)]).ok();
    assert_eq!(added.list("failure_detail")[0]["reason"], "INVALID_FACE_TOKEN");
}
