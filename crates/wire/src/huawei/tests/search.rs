//! Search: filters, threshold, cut, order, returned fields, probes.

use serde_json::{Value, json};

use super::server::{F1, F1B, F2, G, N, Server, base64};

const SEARCH: &str = "/face-sets/lib-a/search";

/// The faces of the reference's table 6.3.
fn with_team() -> Server {
    let server = Server::with_lib_a();
    for (label, fields) in [
        ("A", json!({"age": 20, "vip": true, "team": "red"})),
        ("B", json!({"age": 30, "vip": false, "team": "blue"})),
        ("C", json!({"age": 41, "team": "red"})),
        ("D", json!({})),
    ] {
        server.add(F1, label, fields);
    }
    server
}

fn found(server: &Server, filter: &str) -> String {
    let body = json!({"image_base64": base64(F1), "filter": filter, "top_n": 100, "threshold": 0});
    let mut labels = server.search(body);
    labels.sort();
    labels.concat()
}

#[test]
fn case_067_every_worked_example_of_the_filter_language() {
    let server = with_team();
    for (filter, expected) in [
        ("age:[20 TO 30]", "AB"),
        ("age:{20 TO 30}", ""),
        ("age:[20 TO 30}", "A"),
        ("age:[31 TO *]", "C"),
        ("age:[* TO 20]", "A"),
        ("age:30", "B"),
        ("team:red", "AC"),
        ("vip:false", "B"),
        ("(!team:red)", "BD"),
        ("team:red && (!age:20)", "C"),
        ("(team:red && age:[* TO 25]) || vip:false", "AB"),
        ("team:red || vip:false && age:99", "AC"),
        ("team:Red", ""),
        ("", "ABCD"),
        ("  ", "ABCD"),
        ("external_image_id:D", "D"),
    ] {
        assert_eq!(found(&server, filter), expected, "{filter}");
    }
    let search = |filter: &str| server.post(SEARCH, json!({"image_base64": base64(F1), "filter": filter}));
    search("age:[20 TO]").bad("FRS.0012");
    search("city:paris").bad("FRS.0402");
}

#[test]
fn a_filter_knows_the_face_id_and_points_at_its_mistakes() {
    let server = with_team();
    let id = server.add(F1, "E", json!({}));
    assert_eq!(found(&server, &format!("face_id:{id}")), "E");
    assert_eq!(found(&server, "face_id:zzzzzzzz"), "");
    let search = |filter: Value| server.post(SEARCH, json!({"image_base64": base64(F1), "filter": filter}));
    for wrong in ["age:abc", "vip:1", "team:[a TO b]", "age:1 team:red", "age:", "((((", &"(".repeat(5000)] {
        search(json!(wrong)).bad("FRS.0012");
    }
    search(json!(7)).bad("FRS.0012");
    let message = search(json!("age:1 &&")).bad("FRS.0012").json["error_msg"].clone();
    assert!(message.as_str().unwrap().contains(char::is_numeric), "{message} names no place");
}

#[test]
fn case_068_a_union() {
    assert_eq!(found(&with_team(), "(age:[1 TO *] && team:red) || vip:true"), "AC");
}

fn with_two() -> Server {
    let server = Server::with_lib_a();
    server.add(F1, "anna", json!({"age": 30}));
    server.add(F2, "bert", json!({"age": 20}));
    server
}

#[test]
fn case_069_the_same_person_comes_first_and_clears_the_advised_threshold() {
    let reply = with_two().post(SEARCH, json!({"image_base64": base64(F1B)})).ok();
    let faces = reply.json["faces"].as_array().unwrap();
    assert_eq!(faces.len(), 2);
    assert_eq!(faces[0]["external_image_id"], "anna");
    let similarity = |at: usize| faces[at]["similarity"].as_f64().unwrap();
    assert!(similarity(0) >= 0.93 && similarity(1) < 0.8, "{}", reply.text);
    assert_eq!(faces[0]["bounding_box"], json!({"width": 120, "height": 130, "top_left_x": 10, "top_left_y": 20}));
    assert_eq!(faces[0]["external_fields"], json!({}));
}

#[test]
fn case_070_top_n() {
    let server = with_two();
    let n_found = |top_n: Value| server.search(json!({"image_base64": base64(F1), "top_n": top_n})).len();
    assert_eq!(n_found(json!(1)), 1);
    assert_eq!(n_found(json!("1")), 1);
    assert_eq!(n_found(json!(1000)), 2);
    for number in 0..12 {
        server.add(F1, &format!("more{number}"), json!({}));
    }
    assert_eq!(n_found(json!(0)), 10);
    assert_eq!(n_found(json!(null)), 10);
    assert_eq!(n_found(json!(100)), 14);
}

#[test]
fn case_071_nobody_above_the_threshold() {
    let server = Server::with_lib_a();
    server.add(F2, "bert", json!({}));
    let reply = server.post(SEARCH, json!({"image_base64": base64(F1), "threshold": 0.99999})).ok();
    assert_eq!(reply.json, json!({"faces": []}));
}

#[test]
fn a_threshold_keeps_exactly_what_is_printed_as_that_much() {
    let server = with_two();
    let faces = server.post(SEARCH, json!({"image_base64": base64(F1B)})).ok().json["faces"].clone();
    let printed = faces[0]["similarity"].as_f64().unwrap();
    let search = |threshold: f64| server.search(json!({"image_base64": base64(F1B), "threshold": threshold}));
    assert_eq!(search(printed), ["anna"]);
    assert_eq!(search(printed + 1e-6), Vec::<String>::new());
}

#[test]
fn case_072_numbers_out_of_range() {
    let server = with_two();
    for (name, wrong) in [
        ("threshold", json!(1.5)),
        ("threshold", json!(-0.1)),
        ("threshold", json!("x")),
        ("threshold", json!("NaN")),
        ("threshold", json!(true)),
        ("top_n", json!(-1)),
        ("top_n", json!(1001)),
        ("top_n", json!(2.5)),
        ("top_n", json!("many")),
        ("top_n", json!(99_999_999_999_999_999_999_f64)),
        ("top_n", json!([1])),
    ] {
        server.post(SEARCH, json!({"image_base64": base64(F1), name: wrong})).bad("FRS.0012");
    }
}

#[test]
fn case_073_and_074_order() {
    let server = with_team();
    let search = |sort: Value| server.post(SEARCH, json!({"image_base64": base64(F1), "sort": sort}));
    let order = |sort: Value| super::server::labels(&search(sort).ok()).concat();
    assert_eq!(order(json!([{"age": "desc"}])), "CBAD");
    assert_eq!(order(json!([{"age": "ASC"}])), "ABCD");
    assert_eq!(order(json!({"age": "desc"})), "CBAD");
    assert_eq!(order(json!([{"age": "desc"}, {"score": "asc"}, {"age": "asc"}])), "ABCD", "the later one wins");
    assert_eq!(
        order(json!([{"score": "asc", "age": "desc"}])),
        "CBAD",
        "the second key decides where the first is equal"
    );
    assert_eq!(order(json!([])), "ABCD");
    search(json!([{"team": "asc"}])).bad("FRS.0032");
    search(json!([{"vip": "asc"}])).bad("FRS.0032");
    search(json!([{"external_image_id": "asc"}])).bad("FRS.0032");
    search(json!([{"similarity": "asc"}])).bad("FRS.0032");
    search(json!([{"city": "asc"}])).bad("FRS.0402");
    for wrong in [json!([{"age": "up"}]), json!([{"age": 1}]), json!(["age"]), json!(5), json!("age")] {
        search(wrong).bad("FRS.0012");
    }
    let many: Vec<Value> = (0..11).map(|number| json!({format!("f{number}"): "asc"})).collect();
    search(json!(many)).bad("FRS.0012");
}

#[test]
fn sorting_comes_after_the_cut() {
    let server = Server::with_lib_a();
    server.add(F1, "same", json!({"age": 1}));
    server.add(F1B, "alike", json!({"age": 2}));
    server.add(F2, "stranger", json!({"age": 3}));
    let body = json!({"image_base64": base64(F1), "top_n": 2, "sort": [{"age": "desc"}]});
    assert_eq!(server.search(body), ["alike", "same"]);
}

#[test]
fn case_075_only_the_fields_that_are_asked_for() {
    let server = with_team();
    let fields = |return_fields: Value| {
        let body = json!({"image_base64": base64(F1), "filter": "external_image_id:A", "return_fields": return_fields});
        server.post(SEARCH, body).ok().json["faces"][0]["external_fields"].clone()
    };
    assert_eq!(fields(json!(["age"])), json!({"age": 20}));
    assert_eq!(fields(json!(["team", "age", "city", "score"])), json!({"age": 20, "team": "red"}));
    assert_eq!(fields(json!([])), json!({}));
    assert_eq!(fields(json!(null)), json!({}));
    let body = json!({"image_base64": base64(F1), "return_fields": [1]});
    server.post(SEARCH, body).bad("FRS.0012");
}

#[test]
fn case_076_an_enrolled_face_finds_itself() {
    let server = with_two();
    let id = server.add(F1B, "anna-2", json!({}));
    let reply = server.post(SEARCH, json!({"face_id": id})).ok();
    let first = &reply.json["faces"][0];
    assert_eq!((&first["face_id"], &first["similarity"]), (&json!(id), &json!(1.0)));
    assert_eq!(reply.json["faces"][1]["external_image_id"], "anna");
}

#[test]
fn case_077_an_unknown_face_as_probe() {
    let server = with_two();
    for unknown in ["zzzzzzzz", "AAAAAAAB", "?"] {
        server.post(SEARCH, json!({"face_id": unknown})).bad("FRS.0403");
    }
    server.post("/face-sets", json!({"face_set_name": "lib-b"})).ok();
    let id = server.add(F1, "anna", json!({}));
    server.post("/face-sets/lib-b/search", json!({"face_id": id})).bad("FRS.0403");
}

#[test]
fn case_078_and_079_no_face_and_no_set() {
    let server = with_two();
    server.post(SEARCH, json!({"image_base64": base64(N)})).bad("FRS.0304");
    server.post("/face-sets/nope/search", json!({"image_base64": base64(F1)})).bad("FRS.0302");
    server.post(SEARCH, json!({})).bad("FRS.0011");
    server.post("/face-sets/nope/search", json!({})).bad("FRS.0011");
}

#[test]
fn case_080_a_form_with_what_python_prints() {
    let server = with_team();
    let search = |sort: &str, return_fields: &str| {
        let parts = [
            ("sort", sort),
            ("return_fields", return_fields),
            ("top_n", "3"),
            ("threshold", "0.5"),
            ("image_file", F1),
        ];
        server.post_form(SEARCH, &parts).ok()
    };
    for (sort, fields) in [
        ("[{'age': 'desc'}]", "['age']"),
        (r#"[{"age": "desc"}]"#, r#"["age"]"#),
        ("{'age': 'desc'}", "age"),
        ("[{'age': 'desc'}]", "age, city"),
    ] {
        let reply = search(sort, fields);
        assert_eq!(super::server::labels(&reply).concat(), "CBA", "{sort}");
        assert_eq!(reply.json["faces"][0]["external_fields"], json!({"age": 41}), "{fields}");
    }
}

#[test]
fn case_081_an_empty_set() {
    let server = Server::with_lib_a();
    assert_eq!(server.post(SEARCH, json!({"image_base64": base64(F1)})).ok().json, json!({"faces": []}));
}

#[test]
fn the_largest_face_is_looked_for() {
    let server = with_two();
    server.add("face carl 90x90+0+0", "carl", json!({}));
    assert_eq!(server.search(json!({"image_base64": base64(G), "threshold": 0.93})), ["carl"]);
}
