//! Who may ask, and where the fields may be.

use axum::body::Body;
use http::Request;

use super::server::{BASE, Client, DEMO, DISABLED, OTHER, Server};
use crate::facepp::Settings;
use crate::megvii::tests::cases;

#[test]
fn key_and_secret_come_first() {
    let server = Server::new();
    let post = |fields: &[(&str, &str)]| server.post("detect", fields);
    post(&[]).bad("MISSING_ARGUMENTS: api_key");
    post(&[("api_key", "demoKey")]).bad("MISSING_ARGUMENTS: api_secret");
    post(&[("api_key", ""), ("api_secret", "demoSecret")]).bad("MISSING_ARGUMENTS: api_key");
}

#[test]
fn a_wrong_secret_and_an_unknown_key_are_told_alike() {
    let server = Server::new();
    for (key, secret) in [
        (DEMO.key, "demoSecreT"),
        (DEMO.key, "demoSecret2"),
        (DEMO.key, "x"),
        (DEMO.key, OTHER.secret),
        ("nobody", DEMO.secret),
        ("a b c", "x"),
        (DISABLED.key, "x"),
    ] {
        server.call_as(Client { key, secret }, "faceset/getfacesets", &[]).refused(401, "AUTHENTICATION_ERROR");
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
    let calls = ["", "detects", "faceset", "faceset/create/x", "face/analyze", "faceset/async"];
    cases::everything_else_is_no_api(&Server::new(), &calls, &["/facepp", "/facepp/v2/detect", "/facepp/v3"]);
}

#[test]
fn fields_may_be_in_a_form_a_body_or_the_query() {
    let server = Server::new();
    server.make("lobby");
    let words = "api_key=demoKey&api_secret=demoSecret&outer_id=lobby";
    let in_query = Request::post(format!("{BASE}faceset/getdetail?{words}")).body(Body::empty()).unwrap();
    for reply in [server.send(in_query), server.post_text("faceset/getdetail", words)] {
        assert_eq!(reply.ok().json["outer_id"], "lobby");
    }
}

#[test]
fn calls_a_second_can_be_bounded() {
    cases::calls_a_second_are_bounded(&Server::with(Settings { max_qps: Some(1), ..Settings::default() }));
}

#[test]
fn a_body_too_long_is_refused_in_plain_text() {
    let server = Server::with(Settings { max_body_bytes: 2000, ..Settings::default() });
    cases::a_body_too_long_is_refused_in_plain_text(&server);
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
