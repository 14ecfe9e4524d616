//! Input that means harm: never a panic, never a fault of ours (`Server::send` asserts that no answer is a 500).

use axum::body::Body;
use http::{HeaderValue, Request};
use proptest::prelude::*;
use serde_json::json;

use super::server::{F1, Server, base64};

fn post(server: &Server, path: &str, content_type: &str, body: impl Into<Body>) -> super::server::Reply {
    let mut request = server.request("POST", &server.target(path), body);
    request.headers_mut().insert("content-type", content_type.parse().unwrap());
    server.send_signed_in(request)
}

#[test]
fn deep_and_wide_json() {
    let server = Server::new();
    let json = "application/json";
    post(&server, "/face-sets", json, "[".repeat(1_000_000)).bad("FRS.0014");
    post(&server, "/face-sets", json, format!("{}1{}", "{\"a\":".repeat(500), "}".repeat(500))).bad("FRS.0014");
    post(&server, "/face-sets", json, format!("{{\"a\":[{}0]}}", "0,".repeat(1_000_000))).bad("FRS.0014");
    let many: String = (0..90_000).map(|number| format!("\"f{number}\":{{}},")).collect();
    post(&server, "/face-sets", json, format!("{{\"face_set_name\":\"x\",\"external_fields\":{{{many}\"z\":1}}}}"))
        .bad("FRS.0012");
}

#[test]
fn numbers_beyond_all_measure() {
    let server = Server::with_lib_a();
    for number in
        ["1e400", "-1e400", "1e-400", "99999999999999999999999", "-9223372036854775809", "1E+308", "0x10", "NaN", "01"]
    {
        let body = format!("{{\"image_base64\":\"{}\",\"top_n\":{number}}}", base64(F1));
        let reply = post(&server, "/face-sets/lib-a/search", "application/json", body);
        assert_eq!(reply.status, 400, "{number}: {}", reply.text);
        let body = format!("{{\"face_set_name\":\"x\",\"face_set_capacity\":\"{number}\"}}");
        post(&server, "/face-sets", "application/json", body).bad("FRS.0012");
        let body = format!("{{\"image_base64\":\"{}\",\"external_fields\":{{\"age\":{number}}}}}", base64(F1));
        assert_eq!(post(&server, "/face-sets/lib-a/faces", "application/json", body).status, 400, "{number}");
    }
}

#[test]
fn reals_are_written_without_an_exponent() {
    let server = Server::with_lib_a();
    for (number, written) in [("1e-9", "0.000000001"), ("1.5e3", "1500.0"), ("-2e21", "-2000000000000000000000.0")] {
        let body = format!("{{\"image_base64\":\"{}\",\"external_fields\":{{\"score\":{number}}}}}", base64(F1));
        let reply = post(&server, "/face-sets/lib-a/faces", "application/json", body).ok();
        assert!(reply.text.contains(&format!("\"score\":{written}")), "{}", reply.text);
    }
}

#[test]
fn repeated_members_and_odd_text() {
    let server = Server::new();
    let body = r#"{"face_set_name":"bad name","face_set_name":"good","face_set_capacity":1,"face_set_capacity":null}"#;
    post(&server, "/face-sets", "application/json", body).ok();
    for name in ["\\u0000", "\\ud83d\\ude00", "\u{202e}x", "%s%n", "' OR 1=1 --", "../../etc/passwd"] {
        post(&server, "/face-sets", "application/json", format!("{{\"face_set_name\":\"{name}\"}}")).bad("FRS.0012");
    }
    post(&server, "/face-sets", "application/json", r#"{"face_set_name":"\ud800"}"#).bad("FRS.0014");
}

#[test]
fn forms_that_are_no_forms() {
    let server = Server::with_lib_a();
    let form = "multipart/form-data; boundary=b";
    for body in [
        "--b".to_owned(),
        "--b--".to_owned(),
        "no boundary at all".to_owned(),
        "--b\r\nContent-Disposition: form-data; name=\"image_file\"\r\n\r\nendless".to_owned(),
        "--b\r\n\r\nno headers\r\n--b--\r\n".to_owned(),
        "--b\r\nContent-Disposition: nonsense\r\n\r\nx\r\n--b--\r\n".to_owned(),
        format!("--b\r\n{}\r\n\r\nx\r\n--b--\r\n", "X: y\r\n".repeat(1000)),
        "--b\r\nContent-Disposition: form-data; name=\"a\"\r\n\r\nx\r\n".repeat(10_000) + "--b--\r\n",
    ] {
        let reply = post(&server, "/face-detect", form, body);
        assert_eq!(reply.status, 400, "{}", reply.text);
    }
    let parts = vec![("name", "x"); 65];
    server.post_form("/face-detect", &parts).bad("FRS.0012");
    let body = b"--b\r\nContent-Disposition: form-data; name=\"filter\"\r\n\r\n\xff\xfe\r\n--b--\r\n".to_vec();
    post(&server, "/face-sets/lib-a/search", form, body).bad("FRS.0012");
    post(&server, "/face-detect", "multipart/form-data; boundary=", "x").bad("FRS.0012");
    post(&server, "/face-detect", &format!("multipart/form-data; boundary={}", "b".repeat(5000)), "x").bad("FRS.0012");
}

#[test]
fn headers_full_of_garbage() {
    let server = Server::new();
    for value in [&b"\xff\xfe"[..], b"SDK-HMAC-SHA256 \xff", b"Bearer x", b"Basic eDp5", b",,,,,====", &[b'a'; 60_000]]
    {
        let value = HeaderValue::from_bytes(value).unwrap();
        for name in ["authorization", "x-auth-token"] {
            let mut request = server.request("GET", &server.target("/face-sets"), Body::empty());
            request.headers_mut().insert(name, value.clone());
            request.headers_mut().insert("x-sdk-date", value.clone());
            server.send(request).refused(401, "APIG.0301");
        }
        let mut request = server.request("GET", &server.target("/face-sets"), Body::empty());
        for name in ["x-project-id", "expect", "content-length"] {
            request.headers_mut().insert(name, value.clone());
        }
        server.send_signed_in(request).refused(403, "FRS.0028");
    }
}

#[test]
fn targets_full_of_garbage() {
    let server = Server::with_lib_a();
    for path in ["/face-sets/%", "/face-sets/%zz", "/face-sets/%2F%2f", "/face-sets/lib-a%00", "/face-sets/a+b"] {
        server.get(path).bad("FRS.0302");
    }
    for query in ["?%ff=1", "?face_id=%ff", "?=&&=;=", "?limit=5&limit=%C3%28"] {
        let reply = server.delete(&format!("/face-sets/lib-a/faces{query}"));
        assert_eq!(reply.status, 400, "{query}: {}", reply.text);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_body_is_answered(body: Vec<u8>, as_form: bool, path in prop::sample::select(vec![
        "/face-detect", "/face-compare", "/face-sets", "/face-sets/lib-a/faces", "/face-sets/lib-a/search",
    ])) {
        let server = Server::with_lib_a();
        let content_type = if as_form { "multipart/form-data; boundary=b" } else { "application/json" };
        let reply = post(&server, path, content_type, body);
        prop_assert_eq!(reply.status, 400);
    }

    #[test]
    fn any_member_is_answered(name in "[a-z_0-9]{1,12}|filter|sort|return_fields|top_n|threshold|face_id|attributes",
        text in "\\PC{0,40}")
    {
        let server = Server::with_lib_a();
        let body = json!({"image_base64": base64(F1), name.clone(): text.clone()});
        let reply = server.post("/face-sets/lib-a/search", body.clone());
        prop_assert!(reply.status == 200 || reply.status == 400, "{}", reply.text);
        let reply = server.post_form("/face-sets/lib-a/search", &[(&name.replace('"', ""), &text), ("image_file", F1)]);
        prop_assert!(reply.status == 200 || reply.status == 400, "{}", reply.text);
    }

    #[test]
    fn any_path_is_answered(path in "(/[a-z0-9%/?&=-]{0,12}){0,5}") {
        let server = Server::new();
        if let Ok(request) = Request::builder().uri(format!("/v2{path}")).body(Body::empty()) {
            let reply = server.send_signed_in(request);
            prop_assert!(reply.status < 500, "{}", reply.text);
        }
    }
}
