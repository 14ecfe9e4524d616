//! One library, many dialects: what is made here is seen through another API, and the other way round.

use serde_json::json;

use super::server::{DEMO, P1, P1B, P2, Server, base64};
use crate::tests::huawei_client::HuaweiClient;

/// A client of the Huawei dialect with the same key.
fn huawei(server: &Server) -> HuaweiClient<'_> {
    HuaweiClient::new(|request| server.raw(request), (DEMO.key, DEMO.secret), "acme")
}

#[test]
fn a_library_made_here_is_a_face_set_there_and_its_faces_are_found_and_deleted_there() {
    let server = Server::with_lib_a();
    let huawei = huawei(&server);
    let sets = huawei.call("GET", "/face-sets", json!({}));
    assert_eq!(sets["face_sets_info"][0]["face_set_name"], "lib_a");
    let token = server.add(P1, "u1");
    let faces = huawei.call("GET", "/face-sets/lib_a/faces", json!({}));
    let face = &faces["faces"][0];
    assert_eq!(face["external_image_id"], "u1");
    let found = huawei.call("POST", "/face-sets/lib_a/search", json!({"image_base64": base64(P1B), "threshold": 0.93}));
    assert_eq!(found["faces"][0]["face_id"], face["face_id"]);
    let id = face["face_id"].as_str().unwrap();
    huawei.call("DELETE", &format!("/face-sets/lib_a/faces?face_id={id}"), json!({}));
    assert_eq!(server.n_listed(), 0);
    assert_eq!(server.search(P1, &[]).ok().found().len(), 0);
    server.call("face_info", &[("group_id", "lib_a"), ("face_token", &token)]).bad("INVALID_FACE_TOKEN");
}

#[test]
fn a_face_set_made_there_is_a_library_here_and_its_faces_are_found_and_deleted_here() {
    let server = Server::new();
    let huawei = huawei(&server);
    huawei.call("POST", "/face-sets", json!({"face_set_name": "theirs"}));
    let added = json!({"image_base64": base64(P2), "external_image_id": "bert"});
    huawei.call("POST", "/face-sets/theirs/faces", added);
    let reply = server.call("group_list", &[]).ok();
    let group = &reply.list("group_infos")[0];
    assert_eq!((&group["group_id"], &group["group_name"]), (&"theirs".into(), &"theirs".into()));
    let found = server.call("search", &[("group_id", "theirs"), ("file", P2), ("threshold", "90")]).ok();
    assert_eq!(found.list("results")[0]["user_id"], "bert");
    let token = found.found()[0].to_owned();
    let deleted = server.call("delete", &[("group_id", "theirs"), ("face_tokens", &token)]).ok();
    assert_eq!(deleted.json["face_removed"], 1);
    let left = huawei.call("POST", "/face-sets/theirs/search", json!({"image_base64": base64(P2)}));
    assert_eq!(left["faces"], json!([]));
    server.call("free", &[("group_id", "theirs")]).ok();
    assert_eq!(huawei.call("GET", "/face-sets", json!({}))["face_sets_info"], json!([]));
}
