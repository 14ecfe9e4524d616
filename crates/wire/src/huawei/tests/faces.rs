//! Faces: add, list, get, update, delete.

use serde_json::{Value, json};

use super::server::{F1, F2, G, N, Reply, Server, base64, labels};

const FACES: &str = "/face-sets/lib-a/faces";

fn add(server: &Server, body: Value) -> Reply {
    let mut body = body;
    if body.get("image_base64").is_none() {
        body["image_base64"] = json!(base64(F1));
    }
    server.post(FACES, body)
}

fn ids_of(reply: &Reply) -> Vec<String> {
    let faces = reply.json["faces"].as_array().unwrap();
    faces.iter().map(|face| face["face_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn case_032_values_are_echoed_with_their_types() {
    let server = Server::with_lib_a();
    let fields = r#"{"age":23,"vip":true,"score":1.5,"team":"red"}"#;
    let values: Value = serde_json::from_str(fields).unwrap();
    let reply = add(&server, json!({"external_image_id": "emp-1", "external_fields": values})).ok();
    let face = &reply.json["faces"][0];
    assert_eq!(reply.json["face_set_name"], "lib-a");
    assert_eq!(face["external_image_id"], "emp-1");
    assert_eq!(face["external_fields"], values);
    assert_eq!(face["bounding_box"], json!({"width": 120, "height": 130, "top_left_x": 10, "top_left_y": 20}));
    let stored = server.get(FACES).ok();
    assert_eq!(stored.json, reply.json, "what is listed is what was answered");
}

#[test]
fn case_033_a_label_is_made_when_none_is_given() {
    let server = Server::with_lib_a();
    let allowed = |label: &str| label.len() == 8 && label.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let first = labels(&add(&server, json!({})).ok()).remove(0);
    let second = labels(&add(&server, json!({"external_image_id": null})).ok()).remove(0);
    assert!(allowed(&first) && allowed(&second) && first != second, "{first} {second}");
}

#[test]
fn case_034_and_035_all_faces_or_the_largest() {
    let server = Server::with_lib_a();
    let reply = add(&server, json!({"image_base64": base64(G)})).ok();
    let shared = labels(&reply);
    assert!(shared.len() == 2 && shared[0] == shared[1], "{shared:?}");
    for single in [json!(true), json!("True"), json!("true")] {
        let reply = add(&server, json!({"image_base64": base64(G), "single": single})).ok();
        assert_eq!(reply.json["faces"].as_array().unwrap().len(), 1);
        assert_eq!(reply.json["faces"][0]["bounding_box"]["width"], 150);
    }
    add(&server, json!({"single": "perhaps"})).bad("FRS.0012");
    add(&server, json!({"single": 1})).bad("FRS.0012");
}

#[test]
fn case_036_no_face_to_add() {
    let server = Server::with_lib_a();
    add(&server, json!({"image_base64": base64(N)})).bad("FRS.0404");
}

#[test]
fn a_face_that_is_not_good_enough_is_no_face_to_add() {
    let server = Server::with_lib_a();
    let blurred = "face anna 100x100+0+0 sharpness=0.05";
    let reply = add(&server, json!({"image_base64": base64(blurred)}));
    let message = "the face is too poor to be enrolled: blurred (sharpness 0.05, expected at least 0.10)";
    assert_eq!(reply.json["error_msg"], message);
    reply.bad("FRS.0404");
    let both = format!("{blurred}\nface bert 90x90+200+0 sharpness=0.9");
    assert_eq!(add(&server, json!({"image_base64": base64(&both)})).ok().json["faces"].as_array().unwrap().len(), 1);
}

#[test]
fn case_037_and_038_fields_that_do_not_fit() {
    let server = Server::with_lib_a();
    let with = |fields: Value| add(&server, json!({"external_fields": fields}));
    with(json!({"city": "x"})).bad("FRS.0405");
    for wrong in [
        json!({"age": "23"}),
        json!({"age": 23.5}),
        json!({"vip": 1}),
        json!({"team": 5}),
        json!({"age": true}),
        json!({"age": 2_147_483_648_i64}),
        json!({"age": 1e30}),
        json!({"score": "1.5"}),
        json!({"score": false}),
        json!({"vip": "true"}),
        json!({"team": ""}),
        json!({"team": "x".repeat(257)}),
        json!({"team": ["red"]}),
        json!({"age": {"n": 1}}),
    ] {
        with(wrong).bad("FRS.0406");
    }
    add(&server, json!({"external_fields": [1]})).bad("FRS.0012");
    add(&server, json!({"external_fields": "age=1"})).bad("FRS.0012");
    let reply = with(json!({"age": null, "city": null, "score": 3, "team": "caf\u{e9} \u{1f600}"})).ok();
    assert_eq!(reply.json["faces"][0]["external_fields"], json!({"score": 3.0, "team": "caf\u{e9} \u{1f600}"}));
    assert_eq!(
        server.get("/face-sets/lib-a").ok().json["face_set_info"]["face_number"],
        1,
        "refused ones left nothing"
    );
}

#[test]
fn strict_texts_are_a_setting() {
    let settings = crate::huawei::Settings { field_text_strict: true, ..Default::default() };
    let server = Server::with(settings);
    server.make_lib_a();
    add(&server, json!({"external_fields": {"team": "red team"}})).bad("FRS.0406");
    add(&server, json!({"external_fields": {"team": "red-team_1"}})).ok();
}

#[test]
fn case_039_the_same_picture_twice_is_two_faces() {
    let server = Server::with_lib_a();
    let (first, second) = (server.add(F1, "anna", json!({})), server.add(F1, "anna", json!({})));
    assert_ne!(first, second);
}

#[test]
fn case_040_a_full_set_takes_none_of_a_picture_s_faces() {
    let settings = crate::huawei::Settings { capacity_step: 1, capacity_max: 2, ..Default::default() };
    let server = Server::with(settings);
    server.make_lib_a();
    server.add(F1, "anna", json!({}));
    add(&server, json!({"image_base64": base64(G)})).refused(403, "FRS.0306");
    assert_eq!(server.get("/face-sets/lib-a").ok().json["face_set_info"]["face_number"], 1);
    let second = server.add(F2, "bert", json!({}));
    add(&server, json!({})).refused(403, "FRS.0306");
    server.delete(&format!("{FACES}?face_id={second}")).ok();
    add(&server, json!({})).ok();
}

#[test]
fn case_041_unknown_members_are_ignored() {
    let server = Server::with_lib_a();
    add(&server, json!({"refresh": true, "whatever": {"deep": [1, 2]}})).ok();
}

#[test]
fn case_042_to_043_forms_with_json_or_python_in_them() {
    let server = Server::with_lib_a();
    let form = |fields: &str, single: &str| {
        server.post_form(FACES, &[("external_fields", fields), ("single", single), ("image_file", G)])
    };
    let reply = form(r#"{"age":23}"#, "True").ok();
    assert_eq!(reply.json["faces"].as_array().unwrap().len(), 1);
    assert_eq!(reply.json["faces"][0]["external_fields"], json!({"age": 23}));
    let reply = form("{'vip': True, 'team': 'it\\'s \"red\"', 'age': None}", "False").ok();
    assert_eq!(reply.json["faces"].as_array().unwrap().len(), 2);
    assert_eq!(reply.json["faces"][0]["external_fields"], json!({"vip": true, "team": "it's \"red\""}));
    form("{'vip': Perhaps}", "true").bad("FRS.0012");
    form("{'age': 100L}", "true").bad("FRS.0012");
}

#[test]
fn labels_keep_to_the_documented_alphabet() {
    let server = Server::with_lib_a();
    for wrong in [json!("a b"), json!("x".repeat(37)), json!("caf\u{e9}"), json!(17), json!(["a"])] {
        add(&server, json!({"external_image_id": wrong})).bad("FRS.0012");
    }
    let longest = "x".repeat(36);
    assert_eq!(labels(&add(&server, json!({"external_image_id": longest})).ok()), [longest]);
}

#[test]
fn the_set_is_looked_for_before_the_fields_and_the_fields_before_the_picture() {
    let server = Server::with_lib_a();
    let body = json!({"image_base64": base64("no picture"), "external_fields": {"city": 1}});
    server.post("/face-sets/nope/faces", body.clone()).bad("FRS.0302");
    server.post(FACES, body).bad("FRS.0405");
    assert!(server.analyzer.requests().is_empty());
    server.post("/face-sets/nope/faces", json!({})).bad("FRS.0011");
}

fn with_seven() -> (Server, Vec<String>) {
    let server = Server::with_lib_a();
    let ids = (0..7).map(|number| server.add(F1, &format!("n{number}"), json!({"age": number}))).collect();
    (server, ids)
}

#[test]
fn case_048_to_051_pages() {
    let (server, ids) = with_seven();
    let list = |query: &str| server.get(&format!("{FACES}{query}"));
    assert_eq!(ids_of(&list("").ok()), ids[..5]);
    assert_eq!(ids_of(&list("?offset=5&limit=5").ok()), ids[5..]);
    assert_eq!(ids_of(&list("?limit=2").ok()), ids[..2]);
    assert_eq!(ids_of(&list("?offset=7").ok()), Vec::<String>::new());
    assert_eq!(ids_of(&list("?offset=9990&limit=10").ok()), Vec::<String>::new());
    for wrong in [
        "?offset=9999&limit=2",
        "?offset=0&limit=0",
        "?limit=abc",
        "?offset=-1",
        "?offset=1.5",
        "?limit=+",
        "?limit=18446744073709551615&offset=1",
        "?limit=99999999999999999999",
    ] {
        list(wrong).bad("FRS.0012");
    }
    server.get("/face-sets/nope/faces").bad("FRS.0302");
}

#[test]
fn case_052_and_053_one_face() {
    let (server, ids) = with_seven();
    let get = |id: &str| server.get(&format!("{FACES}?offset=abc&face_id={id}"));
    assert_eq!(ids_of(&get(&ids[3]).ok()), ids[3..4]);
    for unknown in ["zzzzzzzz", "AAAAAAAA", "AAAAAAAB", "short", "caf%C3%A9", "12345678"] {
        get(unknown).bad("FRS.0403");
    }
    server.get("/face-sets/nope/faces?face_id=zzzzzzzz").bad("FRS.0302");
}

#[test]
fn case_054_an_update_is_laid_over_the_present_values() {
    let server = Server::with_lib_a();
    let id = server.add(F1, "anna", json!({"age": 23, "team": "red"}));
    let reply = server.put(FACES, json!({"face_id": id, "external_fields": {"age": 24}})).ok();
    assert_eq!(reply.json["face_number"], 1);
    assert_eq!(reply.json["face_set_name"], "lib-a");
    let face = server.get(&format!("{FACES}?face_id={id}")).ok().json["faces"][0].clone();
    assert_eq!(face["external_fields"], json!({"age": 24, "team": "red"}));
    assert_eq!(face["external_image_id"], "anna");
    server.put(FACES, json!({"face_id": id, "external_image_id": "anna-2"})).ok();
    assert_eq!(labels(&server.get(FACES).ok()), ["anna-2"]);
    assert_eq!(server.search(json!({"image_base64": base64(F1), "filter": "age:24"})), ["anna-2"]);
}

#[test]
fn case_055_to_057_updates_that_cannot_be() {
    let server = Server::with_lib_a();
    let id = server.add(F1, "anna", json!({}));
    server.put(FACES, json!({"face_id": id})).bad("FRS.0011");
    server.put(FACES, json!({"face_id": id, "external_fields": {}})).bad("FRS.0011");
    server.put(FACES, json!({"external_image_id": "x"})).bad("FRS.0011");
    server.put(FACES, json!({"face_id": id, "external_image_id": "a b"})).bad("FRS.0012");
    server.put(FACES, json!({"face_id": "zzzzzzzz", "external_image_id": "x"})).bad("FRS.0303");
    server.put(FACES, json!({"face_id": "AAAAAAAB", "external_image_id": "x"})).bad("FRS.0303");
    server.put(FACES, json!({"face_id": id, "external_fields": {"age": "x"}})).bad("FRS.0406");
    server.put(FACES, json!({"face_id": id, "external_fields": {"city": 1}})).bad("FRS.0405");
    server.put("/face-sets/nope/faces", json!({"face_id": id, "external_image_id": "x"})).bad("FRS.0302");
    assert_eq!(labels(&server.get(FACES).ok()), ["anna"]);
}

#[test]
fn case_058_a_deleted_face_is_gone() {
    let server = Server::with_lib_a();
    let id = server.add(F1, "anna", json!({}));
    assert_eq!(server.delete(&format!("{FACES}?face_id={id}")).ok().json["face_number"], 1);
    server.delete(&format!("{FACES}?face_id={id}")).bad("FRS.0303");
    server.delete(&format!("{FACES}?face_id=whatever")).bad("FRS.0303");
    assert_eq!(server.search(json!({"image_base64": base64(F1)})), Vec::<String>::new());
}

#[test]
fn case_059_and_060_deletes_by_label() {
    let server = Server::with_lib_a();
    server.add(G, "pair", json!({}));
    server.add(F1, "anna", json!({}));
    assert_eq!(server.delete(&format!("{FACES}?external_image_id=pair")).ok().json["face_number"], 2);
    for unused in ["unused", "a%20b%2Bc~%C3%A9", "%00", &"x".repeat(300)] {
        server.delete(&format!("{FACES}?external_image_id={unused}")).bad("FRS.0401");
    }
    assert_eq!(labels(&server.get(FACES).ok()), ["anna"]);
}

#[test]
fn case_061_to_063_deletes_by_custom_field() {
    let server = Server::with_lib_a();
    for (label, fields) in [
        ("a", json!({"age": 20, "vip": true, "team": "red"})),
        ("b", json!({"age": 30, "vip": false, "team": "blue"})),
        ("c", json!({"age": 41, "team": "red", "score": 2.5})),
        ("d", json!({})),
    ] {
        server.add(F1, label, fields);
    }
    let delete = |query: &str| server.delete(&format!("{FACES}{query}"));
    for wrong in ["?age=x", "?age=1.5", "?vip=1", "?score=high", "?score=inf", "?score=NaN", "?age=99999999999"] {
        delete(wrong).bad("FRS.0012");
    }
    delete("?age=99").bad("FRS.0401");
    delete("?team=Red").bad("FRS.0401");
    delete("?city=x").bad("FRS.0402");
    delete("").bad("FRS.0011");
    delete("?team=").bad("FRS.0011");
    delete("?team").bad("FRS.0011");
    assert_eq!(delete("?team=red").ok().json["face_number"], 2);
    assert_eq!(delete("?vip=FALSE").ok().json["face_number"], 1);
    assert_eq!(labels(&server.get(FACES).ok()), ["d"]);
    server.delete("/face-sets/nope/faces?team=red").bad("FRS.0302");
}

#[test]
fn of_several_names_a_face_id_is_meant_first() {
    let server = Server::with_lib_a();
    let first = server.add(F1, "a", json!({"age": 1}));
    server.add(F1, "b", json!({"age": 2}));
    server.add(F1, "c", json!({"age": 3}));
    let delete = |query: &str| server.delete(&format!("{FACES}?{query}")).ok().json["face_number"].clone();
    assert_eq!(delete(&format!("age=3&external_image_id=b&face_id={first}")), 1);
    assert_eq!(labels(&server.get(FACES).ok()), ["b", "c"]);
    assert_eq!(delete("age=3&external_image_id=b"), 1);
    assert_eq!(labels(&server.get(FACES).ok()), ["c"]);
}

#[test]
fn case_064_to_066_deletes_by_filter() {
    let server = Server::with_lib_a();
    let batch = |body: Value| server.delete_with("/face-sets/lib-a/faces/batch", body);
    for age in [15, 20, 25, 30, 35] {
        server.add(F1, &format!("a{age}"), json!({"age": age}));
    }
    let reply = batch(json!({"filter": "age:[20 TO 30]"})).ok();
    assert_eq!((&reply.json["face_number"], &reply.json["face_set_name"]), (&json!(3), &json!("lib-a")));
    assert_eq!(labels(&server.get(FACES).ok()), ["a15", "a35"]);
    batch(json!({"filter": "age:[20 TO 30]"})).bad("FRS.0407");
    for missing in [json!({}), json!({"filter": ""}), json!({"filter": "  "}), json!({"filter": null})] {
        batch(missing).bad("FRS.0011");
    }
    server.delete("/face-sets/lib-a/faces/batch").bad("FRS.0011");
    batch(json!({"filter": "age:[20 TO"})).bad("FRS.0012");
    batch(json!({"filter": 5})).bad("FRS.0012");
    batch(json!({"filter": "city:x"})).bad("FRS.0402");
    server.delete_with("/face-sets/nope/faces/batch", json!({"filter": "age:1"})).bad("FRS.0302");
    let request = server.request("DELETE", &server.target("/face-sets/lib-a/faces/batch"), "{");
    server.send_signed_in(request).bad("FRS.0014");
}
