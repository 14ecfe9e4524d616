//! Requests that mean no good: each is answered in JSON, none with 500, and none changes anything.

use proptest::prelude::*;

use super::server::{DEMO, NOW_S, P1, Server};
use crate::megvii::tests::cases;

fn sign() -> String {
    DEMO.sign("hmac_sha1", &(NOW_S + 9).to_string(), NOW_S, "1")
}

#[test]
fn broken_forms_have_no_fields() {
    cases::broken_forms_have_no_fields(&Server::new());
}

#[test]
fn a_body_of_nothing_but_names_is_cut_short() {
    let server = Server::new();
    let body = format!("{}sign={}", "a&".repeat(1_000_000), sign());
    server.post_text("group_list", &body).bad("MISSING_ARGUMENTS: sign");
}

#[test]
fn forms_are_read_as_clients_write_them() {
    let server = Server::with_lib_a();
    let sign = sign();
    let parts = [
        format!("Content-Disposition: form-data; name=sign\r\n\r\n{sign}"),
        "content-disposition: form-data; name=\"sign_version\"\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nhmac_sha1".to_owned(),
        "Content-Disposition: form-data; name=\"group_id\"; filename=\"x\"\r\n\r\nlib_a".to_owned(),
        format!("Content-Disposition: form-data; name=\"file\"; filename*=UTF-8''a%20b.jpg\r\nContent-Type: image/jpeg\r\n\r\n{P1}"),
        "Content-Disposition: form-data; name=\"unknown\"\r\n\r\nx".to_owned(),
        "Content-Disposition: form-data; name=\"user_id\"\r\n\r\nu1".to_owned(),
    ];
    let body = parts.iter().map(|part| format!("--bnd\r\n{part}\r\n")).collect::<String>() + "--bnd--";
    server.send(Server::multipart("add", body)).ok();
}

#[test]
fn text_that_is_no_text_is_malformed() {
    cases::text_that_is_no_text_is_malformed(&Server::with_lib_a(), "group_info", "group_id");
}

#[test]
fn control_characters_are_malformed() {
    let server = Server::with_lib_a();
    server.call("create", &[("group_id", "x"), ("group_name", "a\u{0}b")]).bad("BAD_ARGUMENTS: group_name");
    server.call("group_info", &[("group_id", "a\u{7}")]).bad("BAD_ARGUMENTS: group_id");
    server.call("group_info", &[("group_id", &"a".repeat(256))]).bad("BAD_ARGUMENTS: group_id");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn whatever_is_sent_is_answered(call in "(create|free|add|delete|list|face_info|search)", name in "[a-z_]{1,12}", value in "\\PC{0,40}") {
        let server = Server::with_lib_a();
        let known = ["group_id", "group_name", "user_id", "start", "limit", "threshold", "face_tokens", "check_empty"];
        for field in known {
            server.call(&call, &[("group_id", "lib_a"), (field, &value), (&name, &value), ("file", &value)]);
        }
        server.call("group_info", &[("group_id", "lib_a")]);
    }
}
