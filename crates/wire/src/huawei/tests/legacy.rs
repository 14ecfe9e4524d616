//! The wire form of the two older SDKs: v1 paths, other content types, members nobody documents, Python in forms.

use axum::body::Body;
use http::Request;
use serde_json::json;

use super::server::{F1, F1B, G, Server, base64, form};
use super::signing::{self, Signer};

const DATE: &str = "20260301T080000Z";

/// Signs `content-type;host;x-sdk-date` and, in a form, the true hash of the body.
fn signed(server: &Server, method: &str, path: &str, content_type: &str, body: &str) -> Request<Body> {
    let target = format!("/v1/{}{path}", server.acme.project);
    let (plain_path, query) = target.split_once('?').unwrap_or((&target, ""));
    let mut pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    pairs.sort_unstable();
    let headers = [("content-type", content_type), ("host", "localhost:7080"), ("x-sdk-date", DATE)];
    let canonical = signing::canonical(method, &format!("{plain_path}/"), &pairs, &headers, body.as_bytes());
    let signer = Signer { id: server.acme.key_id, secret: server.acme.secret, date: DATE };
    let authorization = signer.authorization("SDK-HMAC-SHA256", &canonical, "content-type;host;x-sdk-date");
    let mut request = Request::builder().method(method).uri(&target).header("Authorization", authorization);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    // Sent, but not signed.
    request = request.header("X-Project-Id", &server.acme.project);
    request.body(Body::from(body.to_owned())).unwrap()
}

/// What the older Python SDK accepts as an answer: exactly 200, and text it can evaluate.
#[track_caller]
fn readable(reply: super::server::Reply) -> super::server::Reply {
    let reply = reply.ok();
    assert!(!reply.text.contains("null"), "{}", reply.text);
    reply
}

#[test]
fn a_session_of_the_older_java_sdk() {
    let server = Server::new();
    let json_type = "application/json; charset=utf-8";
    let call = |method: &str, path: &str, body: serde_json::Value| {
        let body = if body.is_null() { String::new() } else { body.to_string() };
        readable(server.send(signed(&server, method, path, json_type, &body)))
    };
    let fields = json!({"badge": {"type": "LONG"}});
    call("POST", "/face-sets", json!({"face_set_name": "old", "face_set_capacity": 10000, "external_fields": fields}));
    let body = json!({"image_base64": base64(F1), "external_image_id": "emp-1", "refresh": true,
        "external_fields": {"badge": 7001}});
    let added = call("POST", "/face-sets/old/faces", body);
    let face_id = added.json["faces"][0]["face_id"].as_str().unwrap().to_owned();
    call("PUT", "/face-sets/old/faces", json!({"face_id": face_id, "external_fields": {"badge": 7002}}));
    let found = call(
        "POST",
        "/face-sets/old/search",
        json!({"image_base64": base64(F1B), "top_n": 5, "threshold": 0.93, "return_fields": ["badge"],
            "sort": [{"badge": "asc"}], "filter": "badge:7002"}),
    );
    assert_eq!(found.json["faces"][0]["external_fields"], json!({"badge": 7002}));
    let listed = call("GET", "/face-sets/old/faces?offset=0&limit=10", json!(null));
    assert_eq!(listed.json["faces"].as_array().unwrap().len(), 1);
    let deleted = call("DELETE", "/face-sets/old/faces?badge=7002", json!(null));
    assert_eq!(deleted.json["face_number"], 1);
    call("DELETE", "/face-sets/old", json!(null));
}

#[test]
fn a_form_of_the_older_java_sdk() {
    let server = Server::with_lib_a();
    let body = format!(
        "--java\r\nContent-Disposition: form-data; name=\"image_file\"; filename=\"a.jpg\"\r\n\
         Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n{F1}\r\n\
         --java\r\nContent-Disposition: form-data; name=\"external_image_id\"\r\n\
         Content-Type: text/plain; charset=UTF-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\nemp-1\r\n--java--\r\n"
    );
    let request = signed(&server, "POST", "/face-sets/lib-a/faces", "multipart/form-data; boundary=java", &body);
    assert_eq!(super::server::labels(&readable(server.send(request))), ["emp-1"]);
}

#[test]
fn case_015_a_form_of_the_older_python_sdk_signed_with_its_true_hash() {
    let server = Server::with_lib_a();
    let parts = [
        ("external_fields", "{'team': 'red', 'vip': True}"),
        ("external_image_id", "emp-1"),
        ("single", "True"),
        ("image_file", G),
    ];
    let content_type = "multipart/form-data; boundary=py";
    let request = signed(&server, "POST", "/face-sets/lib-a/faces", content_type, &form("py", &parts));
    let added = readable(server.send(request));
    assert_eq!(added.json["faces"][0]["external_fields"], json!({"team": "red", "vip": true}));
    let parts = [("sort", "[{'age': 'asc'}]"), ("return_fields", "['team']"), ("image_file", G)];
    let request = signed(&server, "POST", "/face-sets/lib-a/search", content_type, &form("py", &parts));
    let found = readable(server.send(request));
    assert_eq!(found.json["faces"][0]["external_fields"], json!({"team": "red"}));
    let mut request = signed(&server, "POST", "/face-detect", content_type, &form("py", &[("image_file", F1)]));
    *request.body_mut() = Body::from(form("py", &[("image_file", G)]));
    server.send(request).refused(401, "APIG.0301");
}
