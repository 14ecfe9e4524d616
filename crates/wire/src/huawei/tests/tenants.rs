//! Two tenants never see each other, at any endpoint.

use axum::body::Body;
use serde_json::{Value, json};

use super::server::{F1, Server, base64};
use crate::huawei::operations::TABLE;

/// Every service endpoint with another tenant's project in the path.
#[test]
fn another_tenant_s_project_is_closed_at_every_endpoint() {
    let server = Server::with_lib_a();
    server.add(F1, "anna", json!({"team": "red"}));
    let before = server.get("/face-sets").ok().text;
    let stranger = server.token_of(&server.other);
    let mut n_endpoints = 0;
    for row in &TABLE {
        if row.extra.is_of_identity() {
            continue;
        }
        for version in row.extra.versions {
            let target = row.info.path.replace("{v}", version).replace("{project_id}", &server.acme.project);
            let target = target.replace("{face_set_name}", "lib-a");
            for query in ["", "?team=red", "?external_image_id=anna"] {
                let body = json!({"image_base64": base64(F1), "filter": "team:red", "face_set_name": "new"});
                let mut request = server.request(row.info.method, &format!("{target}{query}"), body.to_string());
                request.headers_mut().insert("x-auth-token", stranger.parse().unwrap());
                server.send(request).refused(403, "FRS.0028");
                n_endpoints += 1;
            }
        }
    }
    assert!(n_endpoints >= 15 * 3, "the table shrank to {n_endpoints}");
    assert_eq!(server.get("/face-sets").ok().text, before);
}

/// The same names and another tenant's ids within one's own project.
#[test]
fn nothing_of_another_tenant_is_found_by_name_or_id() {
    let server = Server::with_lib_a();
    let face = server.add(F1, "anna", json!({"team": "red"}));
    let stranger = server.token_of(&server.other);
    let ask = |method: &str, path: &str, body: Value| {
        let target = format!("/v2/{}{path}", server.other.project);
        let mut request = server.request(method, &target, body.to_string());
        request.headers_mut().insert("x-auth-token", stranger.parse().unwrap());
        server.send(request)
    };
    let picture = json!({"image_base64": base64(F1)});
    assert_eq!(ask("GET", "/face-sets", json!({})).ok().json, json!({"face_sets_info": []}));
    for (method, path, body) in [
        ("GET", "/face-sets/lib-a", json!({})),
        ("DELETE", "/face-sets/lib-a", json!({})),
        ("POST", "/face-sets/lib-a/faces", picture.clone()),
        ("GET", "/face-sets/lib-a/faces", json!({})),
        ("PUT", "/face-sets/lib-a/faces", json!({"face_id": face, "external_image_id": "stolen"})),
        ("DELETE", "/face-sets/lib-a/faces?external_image_id=anna", json!({})),
        ("DELETE", "/face-sets/lib-a/faces/batch", json!({"filter": "team:red"})),
        ("POST", "/face-sets/lib-a/search", picture.clone()),
    ] {
        ask(method, path, body).bad("FRS.0302");
    }

    // With a set of the same name and fields, which is another set.
    let fields = json!({"team": {"type": "string"}});
    ask("POST", "/face-sets", json!({"face_set_name": "lib-a", "external_fields": fields})).ok();
    let by_id = format!("/face-sets/lib-a/faces?face_id={face}");
    ask("GET", &by_id, json!({})).bad("FRS.0403");
    ask("DELETE", &by_id, json!({})).bad("FRS.0303");
    ask("PUT", "/face-sets/lib-a/faces", json!({"face_id": face, "external_image_id": "stolen"})).bad("FRS.0303");
    ask("DELETE", "/face-sets/lib-a/faces?external_image_id=anna", json!({})).bad("FRS.0401");
    ask("DELETE", "/face-sets/lib-a/faces?team=red", json!({})).bad("FRS.0401");
    ask("DELETE", "/face-sets/lib-a/faces/batch", json!({"filter": "team:red"})).bad("FRS.0407");
    ask("POST", "/face-sets/lib-a/search", json!({"face_id": face})).bad("FRS.0403");
    assert_eq!(ask("POST", "/face-sets/lib-a/search", picture.clone()).ok().json, json!({"faces": []}));
    assert_eq!(ask("GET", "/face-sets/lib-a/faces", json!({})).ok().json["faces"], json!([]));
    assert_eq!(ask("GET", "/face-sets", json!({})).ok().json["face_sets_info"][0]["face_number"], 0);
    ask("DELETE", "/face-sets/lib-a", json!({})).ok();

    let kept = server.get("/face-sets/lib-a/faces").ok();
    assert_eq!(kept.json["faces"][0]["external_image_id"], "anna");
    assert_eq!(server.search(picture), ["anna"]);
}

#[test]
fn quotas_are_each_tenant_s_own() {
    let server = Server::new();
    for number in 0..10 {
        server.post("/face-sets", json!({"face_set_name": format!("s{number}")})).ok();
    }
    let stranger = server.token_of(&server.other);
    let target = format!("/v2/{}/face-sets", server.other.project);
    let mut request = server.request("POST", &target, Body::from(r#"{"face_set_name":"s0"}"#));
    request.headers_mut().insert("x-auth-token", stranger.parse().unwrap());
    server.send(request).ok();
}
