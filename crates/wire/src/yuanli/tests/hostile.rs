//! Requests that mean no good: each is answered in JSON, none with 500, and none changes anything.

use proptest::prelude::*;

use super::server::{Client, DEMO, NOW_S, P1, Server};
use crate::megvii::tests::cases;
use crate::tests::no_room::{budget, full_budget, in_pieces, within, without_place};

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

#[test]
fn a_large_body_with_an_unknown_key_takes_no_memory() {
    let server = Server::new();
    let stranger = Client { key: "stranger", secret: "s" }.sign("hmac_sha256", "0", NOW_S, "1");
    let picture = "x".repeat(1_000_000);
    let (sign, version) = (("sign", stranger.as_str()), ("sign_version", "hmac_sha256"));
    for (fields, n_held) in [([sign, version, ("file", &picture)], 0), ([("file", &picture), sign, version], 1_000_000)]
    {
        let budget = budget(8 << 20);
        let mut request = within(Server::multipart("add", Server::form(&fields)), &budget);
        let n_bytes = Server::form(&fields).len();
        *request.body_mut() = in_pieces(Server::form(&fields));
        request.headers_mut().insert("content-length", n_bytes.to_string().parse().unwrap());
        server.send(request).refused(403, "AUTHENTICATION_ERROR");
        assert!((n_held..n_held + 1000).contains(&budget.take_peak()));
        assert_eq!(budget.n_bytes(), 0);
    }
}

#[test]
fn where_there_is_no_room_callers_are_told_to_come_back() {
    let server = Server::with_lib_a();
    let picture = "x".repeat(100_000);
    let request = || Server::multipart("add", Server::form(&[("sign", &sign()), ("file", &picture)]));
    let (budget, _held) = full_budget();
    server.send(within(request(), &budget)).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
    server.send(without_place(request())).refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
}
