//! Authentication and transport: cases 1 to 26, as far as no SDK is needed.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::server::{KEY, Key, Server};
use crate::aliyun::auth::tests::{Vector, vector};
use crate::tests::no_room::{full_budget, within, without_place};

#[tokio::test]
async fn cases_1_to_4_and_7_the_vectors_are_signed_well() {
    for name in ['A', 'C', 'D', 'E'] {
        let server = Server::new().await;
        let reply = server.vector(&vector(name)).await;
        // Signed well, and then judged by the service: the person is unknown, or `urls` is missing.
        let code = if matches!(name, 'A' | 'E') { 404 } else { 400 };
        reply.fault(code, "");
    }
    let server = Server::new().await;
    assert_eq!(server.vector(&vector('B')).await.ok(), json!({"code": 200, "groupIds": []}));
}

#[tokio::test]
async fn cases_5_and_6_a_nonce_is_good_once_and_without_one_a_repetition_is_a_request() {
    let server = Server::new().await;
    server.vector(&vector('D')).await.fault(400, "BAD_REQUEST");
    server.vector(&vector('D')).await.gateway(400, "SignatureNonceUsed");
    for _ in 0..2 {
        server.vector(&vector('B')).await.ok();
    }
}

#[tokio::test]
async fn cases_8_to_13_what_is_not_as_it_was_signed() {
    let server = Server::new().await;
    let agent = "AlibabaCloud (Linux; x86_64) Python/3.11.7 Core/0.4.3 TeaDSL/3";
    server.vector(&vector('E').with("user-agent", agent)).await.gateway(400, "SignatureDoesNotMatch");
    let changed = Vector { body: r#"{"personId": "p1", "urls": ["http://h/b.jpg"]}"#, ..vector('A') };
    server.vector(&changed).await.gateway(400, "ContentMD5NotMatched");
    let wrong = Key { secret: "Wrong", ..KEY };
    let refused = server.send(server.signed(wrong, "/green/sface/groups", "", &[])).await;
    let refused = refused.gateway(400, "SignatureDoesNotMatch");
    assert!(refused["Message"].as_str().unwrap().contains("is:POST\n"), "an old SDK reads what follows the colon");
    let unknown = vector('A').with("authorization", "acs Nobody:+1/TlH4WnZTHgh83q8tzl0YugxI=");
    server.vector(&unknown).await.gateway(404, "InvalidAccessKeyId.NotFound");
    server.vector(&vector('A').with("date", "yesterday")).await.gateway(400, "InvalidTimeStamp.Format");
    server.clock.advance(std::time::Duration::from_secs(20 * 60));
    server.vector(&vector('A')).await.gateway(400, "InvalidTimeStamp.Expired");
}

#[tokio::test]
async fn cases_14_to_17_the_gateway_refuses_in_this_order() {
    let server = Server::new().await;
    let request = |method: &str, path: &str, version: &str| {
        let request = Request::builder().method(method).uri(path).header("x-acs-version", version);
        request.header("host", "sface.example.test").body(Body::empty()).unwrap()
    };
    let good = "2018-05-09";
    let refused = server.send(request("POST", "/green/sface/groups", good)).await.gateway(400, "MissingAuthorization");
    assert_eq!(refused["HostId"], "sface.example.test");
    server.send(request("POST", "/green/sface/groups", "2017-01-12")).await.gateway(400, "InvalidAction.NotFound");
    let signed = server.signed(KEY, "/green/sface/groups", "", &[("x-acs-version", "2017-01-12")]);
    server.send(signed).await.gateway(400, "InvalidAction.NotFound");
    for path in
        ["/green/sface/nothing", "/green", "/green/sface/persons", "/green/sface/groups//", "/green/sface/Groups"]
    {
        server.send(request("GET", path, "")).await.gateway(404, "InvalidApi.NotFound");
    }
    server.send(request("GET", "/green/sface/groups", "")).await.gateway(400, "UnsupportedHTTPMethod");
}

#[tokio::test]
async fn cases_18_to_20_the_body_is_json_whatever_it_is_called() {
    let server = Server::new().await;
    for extra in [
        &[("content-type", "application/octet-stream"), ("accept", "application/octet-stream")][..],
        &[("content-type", "application/json; charset=utf-8")],
        &[("x-acs-action", "GetPerson"), ("x-sdk-client", "python/2.0.0")],
        &[],
    ] {
        let request = server.signed(KEY, "/green/sface/person", r#"{"personId":"p1"}"#, extra);
        server.send(request).await.fault(404, "NOT_FOUND: person");
    }
    let form = [("content-type", "application/x-www-form-urlencoded")];
    server.send(server.signed(KEY, "/green/sface/person", "personId=p1", &form)).await.fault(400, "BAD_REQUEST");
    server.send(server.signed(KEY, "/green/sface/groups/", "", &[])).await.ok();
}

#[tokio::test]
async fn cases_22_and_26_bodies_that_are_none() {
    let server = Server::new().await;
    let send = async |body: &str| server.send(server.signed(KEY, "/green/sface/face/add", body, &[])).await;
    let deep = format!("{}1{}", "[".repeat(40), "]".repeat(40));
    let deep = format!(r#"{{"personId":{deep}}}"#);
    let long = format!(r#"{{"personId":"{}"}}"#, "x".repeat(1024 * 1024));
    for body in ["", "{}", r#"{"personId":"#, "[]", "1", "null", r#"{"personId":null}"#, &deep, &long] {
        send(body).await.fault(400, "BAD_REQUEST");
    }
    for body in ["", " ", "{}", r#"{"any":[1]}"#] {
        server.send(server.signed(KEY, "/green/sface/groups", body, &[])).await.ok();
    }
    // Escapes, and the last of equal names.
    let body = r#"{"personId":"x","personId":"\u0070\u0031","groupIds":["g1"],"name":"\u5c0f\u660e"}"#;
    server.send(server.signed(KEY, "/green/sface/person/add", body, &[])).await.ok();
    let shown = server.post("/sface/person", json!({"personId": "p1"})).await.ok();
    assert_eq!(shown["name"], "小明");
}

#[tokio::test]
async fn cases_24_and_25_client_info_never_matters() {
    let server = Server::new().await;
    for target in [
        "/green/sface/groups?clientInfo={}",
        "/green/sface/groups?ClientInfo=not",
        "/green/sface/groups?ClientInfo=[1]&clientInfo=x",
    ] {
        // Braces and brackets stand in a signed resource as they are, and may stand so in a target.
        let raw = target.replace('{', "%7B").replace('}', "%7D").replace('[', "%5B").replace(']', "%5D");
        let (mut head, body) = server.signed(KEY, target, "", &[]).into_parts();
        head.uri = raw.parse().unwrap();
        server.send(Request::from_parts(head, body)).await.ok();
    }
}

#[tokio::test]
async fn where_there_is_no_room_callers_are_told_to_come_back() {
    let server = Server::new().await;
    let request = || server.signed(KEY, "/green/sface/person/add", &" ".repeat(100_000), &[]);
    let (budget, _held) = full_budget();
    server.send(within(request(), &budget)).await.fault(588, "EXCEED_QUOTA");
    server.send(without_place(request())).await.fault(588, "EXCEED_QUOTA");
}
