//! Face sets: create, list, get, delete.

use serde_json::{Value, json};

use super::server::{F1, Server};
use crate::huawei::Settings;

fn create(server: &Server, body: Value) -> super::server::Reply {
    server.post("/face-sets", body)
}

#[test]
fn case_017_create_set_defaults() {
    let server = Server::new();
    let reply = create(&server, json!({"face_set_name": "lib-b"})).ok();
    let info = &reply.json["face_set_info"];
    assert_eq!(info["face_set_capacity"], 100_000);
    assert_eq!(info["face_number"], 0);
    assert_eq!(info["create_date"], "2026-03-01 08:00:00");
    assert_eq!(info["external_fields"], json!({}));
    let id = info["face_set_id"].as_str().unwrap();
    assert!(id.len() == 8 && id.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{id}");
}

#[test]
fn case_018_a_taken_name_is_refused() {
    let server = Server::new();
    create(&server, json!({"face_set_name": "lib-b"})).ok();
    create(&server, json!({"face_set_name": "lib-b"})).bad("FRS.0301");
    create(&server, json!({"face_set_name": "LIB-B"})).ok();
}

#[test]
fn case_019_to_021_capacity() {
    let server = Server::new();
    let with =
        |name: &str, capacity: Value| create(&server, json!({"face_set_name": name, "face_set_capacity": capacity}));
    assert_eq!(with("text", json!("20000")).ok().json["face_set_info"]["face_set_capacity"], 20_000);
    assert_eq!(with("null", json!(null)).ok().json["face_set_info"]["face_set_capacity"], 100_000);
    for wrong in [json!(15_000), json!(110_000), json!(0), json!(-10_000), json!(20_000.5), json!("many"), json!([1])] {
        with("wrong", wrong).bad("FRS.0012");
    }
}

#[test]
fn case_022_names() {
    let server = Server::new();
    for name in ["bad name!", "x".repeat(65).as_str(), "caf\u{e9}", "a/b", "a.b"] {
        create(&server, json!({"face_set_name": name})).bad("FRS.0012");
    }
    create(&server, json!({"face_set_name": 5})).bad("FRS.0012");
    for body in [json!({}), json!({"face_set_name": ""}), json!({"face_set_name": null})] {
        create(&server, body).bad("FRS.0011");
    }
    for name in ["x".repeat(64).as_str(), "_starts-odd", "0"] {
        create(&server, json!({"face_set_name": name})).ok();
    }
}

#[test]
fn case_023_to_026_field_definitions() {
    let server = Server::new();
    let with = |fields: Value| create(&server, json!({"face_set_name": "fields", "external_fields": fields}));
    for name in [
        "face_id",
        "_source",
        "external_image_id",
        "bounding_box",
        "similarity",
        "create_time",
        "vector",
        "_id",
        "_all",
        "",
        "a b",
        &"x".repeat(37),
    ] {
        with(json!({name: {"type": "long"}})).bad("FRS.0012");
    }
    let eleven: Value = (0..11).map(|number| (format!("f{number}"), json!({"type": "long"}))).collect();
    with(eleven).bad("FRS.0012");
    for wrong in [
        json!({"f": {"type": "date"}}),
        json!({"f": {}}),
        json!({"f": "long"}),
        json!({"f": {"type": 1}}),
        json!([]),
        json!("words"),
        json!(1),
    ] {
        with(wrong).bad("FRS.0012");
    }
    let reply = with(json!({"f": {"type": "LONG"}, "g": {"type": "Boolean", "extra": 1}, "gone": null})).ok();
    let fields = &reply.json["face_set_info"]["external_fields"];
    assert_eq!(*fields, json!({"f": {"type": "long"}, "g": {"type": "boolean"}}));
}

#[test]
fn fields_keep_their_order_and_the_later_of_two_with_one_name_wins() {
    let server = Server::new();
    let body =
        r#"{"face_set_name":"s","external_fields":{"z":{"type":"long"},"a":{"type":"string"},"z":{"type":"float"}}}"#;
    let reply = server.send_signed_in(server.request("POST", &server.target("/face-sets"), body)).ok();
    let expected = r#""external_fields":{"z":{"type":"float"},"a":{"type":"string"}}"#;
    assert!(reply.text.contains(expected), "{}", reply.text);
}

#[test]
fn case_027_an_eleventh_set_is_refused() {
    let server = Server::new();
    for number in 0..10 {
        create(&server, json!({"face_set_name": format!("s{number}")})).ok();
    }
    create(&server, json!({"face_set_name": "s10"})).bad("FRS.0305");
    create(&server, json!({"face_set_name": "s3"})).bad("FRS.0301");
    server.delete("/face-sets/s3").ok();
    create(&server, json!({"face_set_name": "s10"})).ok();
}

#[test]
fn account_limits_are_settings() {
    let settings = Settings { face_sets_max: 1, capacity_max: 500, capacity_step: 100, ..Settings::default() };
    let server = Server::with(settings);
    let reply = create(&server, json!({"face_set_name": "a", "face_set_capacity": 300})).ok();
    assert_eq!(reply.json["face_set_info"]["face_set_capacity"], 300);
    create(&server, json!({"face_set_name": "b", "face_set_capacity": 10_000})).bad("FRS.0012");
    create(&server, json!({"face_set_name": "b"})).bad("FRS.0305");
}

#[test]
fn case_028_a_body_that_is_not_json() {
    let server = Server::new();
    let post = |body: &'static [u8]| server.send_signed_in(server.request("POST", &server.target("/face-sets"), body));
    for body in [&b"{\"face_set_name\":"[..], b"[]", b"5", b"\"x\"", b"{\"a\":1}}", b"{\"face_set_name\":\"\xff\"}"] {
        post(body).bad("FRS.0014");
    }
    post(b"").bad("FRS.0011");
}

#[test]
fn case_029_a_project_without_sets() {
    let server = Server::new();
    assert_eq!(server.get("/face-sets?ignored=1").ok().json, json!({"face_sets_info": []}));
}

#[test]
fn sets_are_listed_oldest_first_with_live_counts() {
    let server = Server::with_lib_a();
    create(&server, json!({"face_set_name": "another"})).ok();
    server.add(F1, "anna", json!({}));
    let reply = server.get("/face-sets").ok();
    let sets = reply.json["face_sets_info"].as_array().unwrap();
    let names: Vec<&str> = sets.iter().map(|set| set["face_set_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["lib-a", "another"]);
    assert_eq!((&sets[0]["face_number"], &sets[1]["face_number"]), (&json!(1), &json!(0)));
    assert_eq!(server.get("/face-sets/lib-a").ok().json["face_set_info"], sets[0]);
}

#[test]
fn case_030_a_missing_set_is_400() {
    let server = Server::new();
    for name in ["nope", "%2e%2e", "caf%C3%A9", "%00"] {
        server.get(&format!("/face-sets/{name}")).bad("FRS.0302");
        server.delete(&format!("/face-sets/{name}")).bad("FRS.0302");
    }
}

#[test]
fn case_031_a_deleted_set_is_gone_with_its_faces_and_its_name_is_free() {
    let server = Server::with_lib_a();
    let before = server.get("/face-sets/lib-a").ok().json["face_set_info"]["face_set_id"].clone();
    let face = server.add(F1, "anna", json!({}));
    assert_eq!(server.delete("/face-sets/lib-a").ok().json, json!({"face_set_name": "lib-a"}));
    server.get("/face-sets/lib-a").bad("FRS.0302");
    server.get(&format!("/face-sets/lib-a/faces?face_id={face}")).bad("FRS.0302");
    server.make_lib_a();
    server.get(&format!("/face-sets/lib-a/faces?face_id={face}")).bad("FRS.0403");
    assert_ne!(server.get("/face-sets/lib-a").ok().json["face_set_info"]["face_set_id"], before);
}

#[test]
fn a_set_id_in_the_path_is_not_a_name() {
    let server = Server::with_lib_a();
    let info = server.get("/face-sets/lib-a").ok();
    let id = info.json["face_set_info"]["face_set_id"].as_str().unwrap();
    server.get(&format!("/face-sets/{id}")).bad("FRS.0302");
}

#[test]
fn the_older_clients_status_question_is_answered() {
    let server = Server::new();
    for method in ["GET", "POST"] {
        let target = format!("/v1/{}/subscribe", server.acme.project);
        let reply = server.send_signed_in(server.request(method, &target, axum::body::Body::empty())).ok();
        assert_eq!(reply.json, json!({"subscribe_status": true, "create_time": "2026-03-01 08:00:00"}));
    }
}
