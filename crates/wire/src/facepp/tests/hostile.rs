//! Requests that mean no good: each is answered in JSON, none with 500, and none changes anything.

use axum::body::Body;
use proptest::prelude::*;

use super::server::{P1, Server, form, multipart};
use crate::facepp::operations::TABLE;

#[test]
fn broken_forms_have_no_fields() {
    let server = Server::new();
    let whole = form(&[("api_key", "demoKey"), ("api_secret", "demoSecret")]);
    for body in ["", "--bnd", "--bnd\r\n\r\n", &whole[..whole.len() / 2], "--other--\r\n", "{}"] {
        server.send(multipart("detect", body)).bad("MISSING_ARGUMENTS: api_key");
    }
    server.send(multipart("detect", &form(&[("x", "y"); 100]))).bad("MISSING_ARGUMENTS: api_key");
}

#[test]
fn text_that_is_no_text_is_malformed() {
    let server = Server::new();
    let body = form(&[("api_key", "demoKey"), ("api_secret", "demoSecret"), ("outer_id", "@@@")]);
    let mut bytes = body.into_bytes();
    let at = bytes.windows(3).position(|window| window == b"@@@").unwrap();
    bytes[at] = 0xff;
    let mut request = multipart("faceset/getdetail", "");
    *request.body_mut() = Body::from(bytes);
    server.send(request).bad("BAD_ARGUMENTS: outer_id");
}

#[test]
fn a_secret_of_bytes_is_wrong_and_nothing_else() {
    let server = Server::new();
    let mut bytes = form(&[("api_key", "demoKey"), ("api_secret", "@@@")]).into_bytes();
    let at = bytes.windows(3).position(|window| window == b"@@@").unwrap();
    bytes[at] = 0xff;
    let mut request = multipart("faceset/getfacesets", "");
    *request.body_mut() = Body::from(bytes);
    server.send(request).refused(401, "AUTHENTICATION_ERROR");
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
        let reply = server.call(TABLE[call].1.name, &fields);
        prop_assert!(reply.status == 200 || reply.status == 400 || reply.status == 401, "{}", reply.text);
    }
}
