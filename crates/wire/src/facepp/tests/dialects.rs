//! One library, many dialects: what is made here is seen through another API, and the other way round.

use serde_json::json;

use super::server::{DEMO, P1, P1B, P2, Server, base64, token};
use crate::tests::huawei_client::HuaweiClient;

/// A client of the Huawei dialect with the same key.
fn huawei(server: &Server) -> HuaweiClient<'_> {
    HuaweiClient::new(|request| server.raw(request), (DEMO.key, DEMO.secret), "acme")
}

#[test]
fn a_face_set_made_here_is_one_there_and_its_faces_are_found_and_deleted_there() {
    let server = Server::new();
    let huawei = huawei(&server);
    server.make("lobby");
    assert_eq!(huawei.call("GET", "/face-sets", json!({}))["face_sets_info"][0]["face_set_name"], "lobby");
    let anna = server.add("lobby", P1);
    server.call("face/setuserid", &[("face_token", &anna), ("user_id", "Anna")]).ok();
    let face = &huawei.call("GET", "/face-sets/lobby/faces", json!({}))["faces"][0];
    assert_eq!(face["external_image_id"], "Anna");
    let found = huawei.call("POST", "/face-sets/lobby/search", json!({"image_base64": base64(P1B), "threshold": 0.93}));
    assert_eq!(found["faces"][0]["face_id"], face["face_id"]);
    let id = face["face_id"].as_str().unwrap();
    huawei.call("DELETE", &format!("/face-sets/lobby/faces?face_id={id}"), json!({}));
    assert!(server.tokens("lobby").is_empty());
    server.call("search", &[("image_file", P1), ("outer_id", "lobby")]).bad("EMPTY_FACESET");
    // It leaves nothing behind, although its token was that of a transient face before it was added.
    server.call("face/getdetail", &[("face_token", &anna)]).bad(&format!("INVALID_FACE_TOKEN: {anna}"));
}

#[test]
fn a_face_set_made_there_is_one_here_and_its_faces_are_found_added_and_deleted_here() {
    let server = Server::new();
    let huawei = huawei(&server);
    huawei.call("POST", "/face-sets", json!({"face_set_name": "theirs"}));
    let added = json!({"image_base64": base64(P2), "external_image_id": "bert"});
    huawei.call("POST", "/face-sets/theirs/faces", added);
    let listed = server.call("faceset/getfacesets", &[]).ok();
    assert_eq!(listed.list("facesets")[0]["outer_id"], "theirs");
    let found = server.call("search", &[("outer_id", "theirs"), ("image_file", P2)]).ok();
    let result = &found.list("results")[0];
    assert_eq!((&result["user_id"], &result["confidence"]), (&json!("bert"), &json!(100.0)));
    let bert = token(&result["face_token"]);
    assert_eq!(server.tokens("theirs"), std::slice::from_ref(&bert));

    // Its token is as good as any other: into a set of ours, and out of both.
    server.make("ours");
    let added = server.call("faceset/addface", &[("outer_id", "ours"), ("face_tokens", &bert)]).ok();
    assert_eq!(added.json["face_added"], 1);
    server.call("face/setuserid", &[("face_token", &bert), ("user_id", "Bert")]).ok();
    let faces = huawei.call("GET", "/face-sets/theirs/faces", json!({}));
    assert_eq!(faces["faces"][0]["external_image_id"], "Bert");
    let removed = server.call("faceset/removeface", &[("outer_id", "theirs"), ("face_tokens", &bert)]).ok();
    assert_eq!(removed.json["face_removed"], 1);
    assert_eq!(
        huawei.call("POST", "/face-sets/theirs/search", json!({"image_base64": base64(P2)}))["faces"],
        json!([])
    );
    assert_eq!(server.tokens("ours"), [bert]);
    server.call("faceset/delete", &[("outer_id", "theirs")]).ok();
    let left = huawei.call("GET", "/face-sets", json!({}));
    assert_eq!(left["face_sets_info"].as_array().unwrap().len(), 1);
}

#[test]
fn a_face_set_without_outer_id_has_a_name_there() {
    let server = Server::new();
    let huawei = huawei(&server);
    let made = server.call("faceset/create", &[("display_name", "Lobby")]).ok();
    let sets = huawei.call("GET", "/face-sets", json!({}));
    let name = sets["face_sets_info"][0]["face_set_name"].as_str().unwrap();
    huawei.call("DELETE", &format!("/face-sets/{name}"), json!({}));
    let token = token(&made.json["faceset_token"]);
    server.call("faceset/getdetail", &[("faceset_token", &token)]).bad("INVALID_FACESET_TOKEN");
}
