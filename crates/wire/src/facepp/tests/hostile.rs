//! Requests that mean no good: each is answered in JSON, none with 500, and none changes anything.

use proptest::prelude::*;

use super::server::{P1, Server};
use crate::facepp::operations::TABLE;
use crate::megvii::tests::cases;
use crate::tests::no_room::{budget, full_budget, in_pieces, within, without_place};

#[test]
fn broken_forms_have_no_fields() {
    cases::broken_forms_have_no_fields(&Server::new());
}

#[test]
fn text_that_is_no_text_is_malformed() {
    cases::text_that_is_no_text_is_malformed(&Server::new(), "faceset/getdetail", "outer_id");
}

#[test]
fn a_secret_of_bytes_is_wrong_and_nothing_else() {
    let fields = vec![("api_key", "demoKey"), ("api_secret", "")];
    let request = Server::with_a_byte_that_is_no_text("faceset/getfacesets", fields);
    Server::new().send(request).refused(401, "AUTHENTICATION_ERROR");
}

/// Words that calls know, and some they do not.
const NAMES: [&str; 16] = [
    "outer_id",
    "faceset_token",
    "face_token",
    "face_tokens",
    "face_token1",
    "face_token2",
    "image_file",
    "image_base64",
    "image_file1",
    "image_base64_2",
    "face_rectangle",
    "start",
    "tags",
    "user_id",
    "return_attributes",
    "new_outer_id",
];

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn whatever_is_sent_is_answered(
        call in 0..TABLE.len(),
        fields in proptest::collection::vec((0..NAMES.len(), prop_oneof![
            Just("lobby".to_owned()), Just(P1.to_owned()), Just("1".to_owned()), Just("0,0,9,9".to_owned()),
            "[a-z,0-9^@=*'\"-]{0,40}", any::<String>(),
        ]), 0..6),
    ) {
        let server = Server::new();
        server.make("lobby");
        let token = server.add("lobby", P1);
        let fields: Vec<(&str, &str)> =
            fields.iter().map(|(name, text)| (NAMES[*name], if text == "1" { &*token } else { &**text })).collect();
        // The boundary in a value makes another form of it, which is answered as well.
        let reply = server.call(TABLE[call].info.name, &fields);
        prop_assert!(reply.status == 200 || reply.status == 400 || reply.status == 401, "{}", reply.text);
    }
}

#[test]
fn a_large_body_with_an_unknown_key_takes_no_memory() {
    let server = Server::new();
    let picture = "x".repeat(1_000_000);
    let fields = [("api_key", "stranger"), ("api_secret", "s"), ("image_file", picture.as_str())];
    let budget = budget(8 << 20);
    server
        .send(within(Server::multipart("detect", in_pieces(Server::form(&fields))), &budget))
        .refused(401, "AUTHENTICATION_ERROR");
    assert_eq!(budget.take_peak(), 0);
}

#[test]
fn where_there_is_no_room_callers_are_told_to_come_back() {
    let server = Server::new();
    let picture = "x".repeat(100_000);
    let fields = [("api_key", "demoKey"), ("api_secret", "demoSecret"), ("image_file", picture.as_str())];
    let (budget, _held) = full_budget();
    server
        .send(within(Server::multipart("detect", Server::form(&fields)), &budget))
        .refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
    server
        .send(without_place(Server::multipart("detect", Server::form(&fields))))
        .refused(403, "CONCURRENCY_LIMIT_EXCEEDED");
}
