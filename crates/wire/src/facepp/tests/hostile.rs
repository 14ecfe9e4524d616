//! Requests that mean no good: each is answered in JSON, none with 500, and none changes anything.

use proptest::prelude::*;

use super::server::{P1, Server};
use crate::facepp::operations::TABLE;
use crate::megvii::tests::cases;

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
