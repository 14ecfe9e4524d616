//! What an operator's key does over HTTP, and what it does not.

use axum::body::Body;
use likeness_domain::access::{Grant, Grants};
use likeness_domain::ports::CredentialStore;
use likeness_domain::types::{AccessKey, AccessKeyId, TenantName, TimestampMs};
use serde_json::{Value, json};

use crate::native::{Answer, NOW, Server, refused};

async fn server() -> Server {
    let server = Server::new().await;
    server.add_operator().await;
    server
}

impl Server {
    async fn operator(&self, method: &str, path: &str, body: Value) -> Answer {
        self.send("operator", method, path, &[], body).await
    }
}

fn names(answer: &Value) -> Vec<&str> {
    answer["tenants"].as_array().unwrap().iter().map(|tenant| tenant["name"].as_str().unwrap()).collect()
}

#[tokio::test]
async fn an_operator_makes_limits_and_deletes_a_tenant() {
    let server = server().await;
    let body = json!({"name": "north", "limits": {"faces_max": 10, "persons_max": null}});
    let (status, headers, made) = server.operator("POST", "/tenants", body.clone()).await;
    assert_eq!((status, &made["limits"]), (201, &json!({"faces_max": 10})), "{made}");
    assert_eq!(made["project_id"].as_str().unwrap().len(), 32);
    refused(server.operator("POST", "/tenants", body).await, "tenant_exists");
    let made_tag = headers["etag"].to_str().unwrap().to_owned();

    // A change under a condition, which does not hold a second time; what is not named stays.
    let condition = [("if-match", &*made_tag)];
    let body = json!({"limits": {"calls_per_second": 50}});
    let (status, _, changed) = server.send("operator", "PATCH", "/tenants/north", &condition, body.clone()).await;
    assert_eq!((status, &changed["limits"]), (200, &json!({"faces_max": 10, "calls_per_second": 50})));
    refused(server.send("operator", "PATCH", "/tenants/north", &condition, body).await, "changed");
    let (_, _, changed) = server.operator("PATCH", "/tenants/north", json!({"limits": {"faces_max": null}})).await;
    assert_eq!(changed["limits"], json!({"calls_per_second": 50}));
    let stored = server.bed.store.tenant(TenantName::new("north").unwrap()).await.unwrap().unwrap();
    assert_eq!((stored.limits.calls_per_second, stored.limits.faces_max), (Some(50), None));

    let (_, _, shown) = server.operator("GET", "/tenants/north", Value::Null).await;
    assert_eq!(shown["usage"], json!({"n_face_sets": 0, "n_persons": 0, "n_faces": 0}));

    // There is no way back, so the name is said twice.
    for (query, code) in [("", "missing_argument"), ("?confirm=nord", "invalid_argument")] {
        let answer = server.operator("DELETE", &format!("/tenants/north{query}"), Value::Null).await;
        assert_eq!(answer.2["error"]["field"], "confirm");
        refused(answer, code);
    }
    let (status, _, gone) = server.operator("DELETE", "/tenants/north?confirm=north", Value::Null).await;
    assert_eq!((status, gone), (200, json!({"deleted": "north"})));
    refused(server.operator("DELETE", "/tenants/north?confirm=north", Value::Null).await, "tenant_not_found");
    refused(server.operator("GET", "/tenants/north", Value::Null).await, "tenant_not_found");
    // The tenant of the key that asks goes with the command line only.
    refused(server.operator("DELETE", "/tenants/operator?confirm=operator", Value::Null).await, "invalid_argument");
}

#[tokio::test]
async fn limits_out_of_range_are_refused_with_their_path() {
    let server = server().await;
    for (limits, field) in [
        (json!({"calls_per_second": 0}), "limits.calls_per_second"),
        (json!({"calls_per_second": 4_294_967_296_u64}), "limits.calls_per_second"),
        (json!({"faces_max": 9_223_372_036_854_775_808_u64}), "limits.faces_max"),
    ] {
        let answer = server.operator("PATCH", "/tenants/acme", json!({"limits": limits})).await;
        assert_eq!(answer.2["error"]["field"], field);
        refused(answer, "invalid_argument");
    }
    refused(server.operator("POST", "/tenants", json!({"name": ".."})).await, "invalid_argument");
    refused(server.operator("POST", "/tenants", json!({"name": "a b"})).await, "invalid_argument");
}

#[tokio::test]
async fn tenants_are_listed_in_stretches_by_what_stays() {
    let server = server().await;
    for name in ["north", "south", "west"] {
        assert_eq!(server.operator("POST", "/tenants", json!({"name": name})).await.0, 201);
    }
    let (_, _, all) = server.operator("GET", "/tenants", Value::Null).await;
    let all: Vec<String> = names(&all).into_iter().map(str::to_owned).collect();
    assert_eq!(all.len(), 6);
    let (_, _, first) = server.operator("GET", "/tenants?limit=2", Value::Null).await;
    assert_eq!(names(&first), all[..2]);
    let cursor = first["next_cursor"].as_str().unwrap();
    // One that was shown is deleted; nothing is left out for that.
    let shown = &all[0];
    let gone = server.operator("DELETE", &format!("/tenants/{shown}?confirm={shown}"), Value::Null).await;
    assert!(gone.0 == 200 || shown == "operator", "{gone:?}");
    let (_, _, rest) = server.operator("GET", &format!("/tenants?limit=4&cursor={cursor}"), Value::Null).await;
    assert_eq!(names(&rest), all[2..]);
    assert_eq!(rest.get("next_cursor"), None);
}

/// Whoever could make keys of a tenant with faces would have the faces a moment after.
#[tokio::test]
async fn the_first_key_is_made_for_a_tenant_that_has_nothing_yet() {
    let server = server().await;
    server.operator("POST", "/tenants", json!({"name": "north"})).await;
    let body = json!({"grants": ["manage", "delete", "read"], "label": "first"});
    let (status, _, key) = server.operator("POST", "/tenants/north/keys", body.clone()).await;
    assert_eq!((status, &key["grants"]), (201, &json!(["read", "delete", "manage"])), "{key}");
    let bearer = format!("Bearer {}.{}", key["id"].as_str().unwrap(), key["secret"].as_str().unwrap());
    let stored = server.bed.store.key(AccessKeyId::new(key["id"].as_str().unwrap()).unwrap()).await.unwrap().unwrap();
    assert_eq!(stored.tenant.name.as_str(), "north");
    // The first key alone, though the tenant has no faces yet.
    refused(server.operator("POST", "/tenants/north/keys", body.clone()).await, "forbidden");
    // The new key works.
    let request = http::Request::post("/likeness/v1/face-sets").header("authorization", bearer.as_str());
    let request =
        request.header("content-type", "application/json").body(Body::from(json!({"name": "staff"}).to_string()));
    let answer = tower::ServiceExt::oneshot(server.router.clone(), request.unwrap()).await.unwrap();
    assert_eq!(answer.status(), 201);
    refused(server.operator("POST", "/tenants/north/keys", body.clone()).await, "forbidden");
    refused(server.operator("POST", "/tenants/nosuch/keys", body.clone()).await, "tenant_not_found");
    // Nor where it has deleted all it had, its key as well: its record would be shown, and its uploads used.
    let own = |method: &str, path: &str| {
        let request = http::Request::builder().method(method).uri(format!("/likeness/v1{path}"));
        let request = request.header("authorization", bearer.as_str()).body(Body::empty()).unwrap();
        tower::ServiceExt::oneshot(server.router.clone(), request)
    };
    assert_eq!(own("DELETE", "/face-sets/staff").await.unwrap().status(), 200);
    assert_eq!(own("DELETE", &format!("/keys/{}", key["id"].as_str().unwrap())).await.unwrap().status(), 200);
    refused(server.operator("POST", "/tenants/north/keys", body).await, "forbidden");
    // Secrets are shown once, so they are not kept for a repetition.
    let headers = [("idempotency-key", "k1")];
    let body = json!({"grants": ["read"]});
    refused(server.send("operator", "POST", "/tenants/other/keys", &headers, body).await, "invalid_argument");
}

#[tokio::test]
async fn only_an_operator_hands_on_what_an_operator_may() {
    let server = server().await;
    let operate = json!({"grants": ["operate"]});
    // A tenant's key cannot give it, whatever it may do, nor can an operator to a tenant's key.
    refused(server.send("acme", "POST", "/keys", &[], operate.clone()).await, "forbidden");
    refused(server.operator("POST", "/tenants/acme/keys", operate.clone()).await, "invalid_argument");
    let mixed = json!({"grants": ["operate", "read"]});
    refused(server.operator("POST", "/tenants/operator/keys", mixed).await, "invalid_argument");
    let (status, _, key) = server.operator("POST", "/tenants/operator/keys", operate.clone()).await;
    assert_eq!((status, &key["grants"]), (201, &json!(["operate"])));

    // A key that manages the operator's tenant sees such keys and changes none.
    server.add_key("operator", "manager", |key| AccessKey { grants: Grants::ALL, ..key }).await;
    let path = format!("/keys/{}", key["id"].as_str().unwrap());
    assert_eq!(server.send("manager", "GET", &path, &[], Value::Null).await.0, 200);
    for (method, path, body) in [
        ("POST", format!("{path}/rotate"), json!({})),
        ("PATCH", path.clone(), json!({"enabled": false})),
        ("DELETE", path.clone(), Value::Null),
        ("POST", "/keys".to_owned(), operate.clone()),
    ] {
        refused(server.send("manager", method, &path, &[], body).await, "forbidden");
    }
    // Nor does it live longer than the key that made it.
    let soon = Some(TimestampMs(NOW + 60_000));
    server.add_key("operator", "short", |key| AccessKey { grants: Grants::OPERATOR, expires_at: soon, ..key }).await;
    let (_, _, made) = server.send("short", "POST", "/tenants/operator/keys", &[], operate).await;
    assert_eq!(made["expires_at"], "2026-11-21T20:37:40Z");
    let longer = json!({"grants": ["operate"], "expires_in_s": 3600});
    refused(server.send("short", "POST", "/tenants/operator/keys", &[], longer).await, "forbidden");
    // Nor does a tenant's first key.
    server.operator("POST", "/tenants", json!({"name": "north"})).await;
    let longer = json!({"expires_in_s": 3600});
    refused(server.send("short", "POST", "/tenants/north/keys", &[], longer).await, "forbidden");
    let (_, _, made) = server.send("short", "POST", "/tenants/north/keys", &[], json!({})).await;
    assert_eq!(made["expires_at"], "2026-11-21T20:37:40Z");
}

#[tokio::test]
async fn an_operator_reads_no_faces_and_no_templates() {
    let server = server().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    for (method, path) in [
        ("GET", "/face-sets"),
        ("GET", "/face-sets/staff"),
        ("GET", "/face-sets/staff/faces"),
        ("GET", "/face-sets/staff/archive"),
        ("POST", "/face-sets/staff/archive/export-later"),
        ("GET", "/persons"),
        ("GET", "/keys"),
        ("GET", "/changes"),
        ("GET", "/jobs"),
        ("GET", "/settings"),
    ] {
        refused(server.operator(method, path, Value::Null).await, "forbidden");
    }
    // Whatever the body names.
    for (path, body) in [
        ("/persons/anna/move", json!({"to": "bert", "face_ids": ["nosuch"]})),
        ("/persons/anna/split", json!({"key": "bert", "face_ids": ["nosuch"]})),
    ] {
        refused(server.operator("POST", path, body).await, "forbidden");
    }
    // Nor through a browser's session, where there would be nothing to see.
    refused(server.operator("POST", "/session", json!({"key": "operator.operator"})).await, "forbidden");
    let (status, _, own) = server.operator("GET", "/session", Value::Null).await;
    assert_eq!((status, &own["grants"], &own["tenant"]), (200, &json!(["operate"]), &json!("operator")));
    let (status, _, report) = server.operator("GET", "/report?thorough=true", Value::Null).await;
    assert_eq!((status, &report["n_face_sets"]), (200, &json!(1)), "{report}");
}

/// The tenant sees in its own record that an operator was there.
#[tokio::test]
async fn what_an_operator_does_is_in_the_record_of_the_tenant() {
    let server = server().await;
    server.operator("PATCH", "/tenants/acme", json!({"limits": {"faces_max": 7}})).await;
    let changes = server.acme(200, "GET", "/changes", Value::Null).await;
    let last = changes["commits"].as_array().unwrap().last().unwrap().clone();
    assert_eq!((&last["key"], &last["changes"][0]["what"]), (&json!("operator"), &json!("tenant_changed")), "{last}");
    // And a key that was taken from the operator does nothing more, also of what was admitted before.
    let none = |key| AccessKey { grants: Grants::of(&[Grant::Read]), ..key };
    server.add_key("operator", "reader", none).await;
    refused(server.send("reader", "GET", "/tenants", &[], Value::Null).await, "forbidden");
}
