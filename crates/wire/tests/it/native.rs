//! The native API over the router that a server has: persons, access keys, listings; two tenants side by side.

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use likeness_domain::access::{Caller, FaceSetScope, Grant, Grants};
use likeness_domain::ports::{CredentialStore, GalleryStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceSetId, FaceSetName, FieldSchema, NewFaceSet, PackId, QualityGate, Secret, Tags, Tenant,
    TenantName, TimestampMs,
};
use likeness_testkit::{FakeAnalyzer, FakeClock};
use likeness_wire::router;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Settings;
use crate::testbed::{P1, Testbed, base64, tenant_id};

pub(crate) const NOW: i64 = 1_795_293_400_000;

/// Two tenants, `acme` and `other`, each with a key of its name that may do everything.
pub(crate) struct Server {
    pub(crate) bed: Testbed,
    pub(crate) router: Router,
}

/// An answer: status, headers, JSON.
pub(crate) type Answer = (u16, HeaderMap, Value);

impl Server {
    pub(crate) async fn new() -> Self {
        let bed = Testbed::new(FakeClock::new(NOW), FakeAnalyzer::new());
        for (bits, name) in [(5, "acme"), (6, "other")] {
            let owner = Caller::server(tenant_id(bits), "test");
            let made = Tenant::new(tenant_id(bits), TenantName::new(name).unwrap(), TimestampMs(NOW));
            bed.store.ensure_tenant(owner.actor(), made).await.unwrap();
        }
        let router = router(bed.wire(Settings::default()));
        let server = Self { bed, router };
        server.add_key("acme", "acme", |key| AccessKey { grants: Grants::ALL, ..key }).await;
        server.add_key("other", "other", |key| AccessKey { grants: Grants::ALL, ..key }).await;
        server
    }

    /// Adds a key whose id and secret are its name.
    pub(crate) async fn add_key(&self, tenant: &str, name: &str, change: impl FnOnce(AccessKey) -> AccessKey) {
        let tenant = self.bed.store.tenant(TenantName::new(tenant).unwrap()).await.unwrap().unwrap();
        let actor = Caller::server(tenant.id, "test").actor();
        let (id, secret) = (AccessKeyId::new(name).unwrap(), Secret::new(name).unwrap());
        let key = change(AccessKey::new(id, secret, tenant, TimestampMs(NOW)));
        self.bed.store.add_key(actor, key).await.unwrap();
    }

    /// Adds an operator's key, whose id and secret are `operator`.
    pub(crate) async fn add_operator(&self) {
        let id = tenant_id(0x0b);
        let made = Tenant::new(id, TenantName::new(TenantName::OF_OPERATORS).unwrap(), TimestampMs(NOW));
        self.bed.store.ensure_tenant(Caller::server(id, "test").actor(), made).await.unwrap();
        self.add_key("operator", "operator", |key| AccessKey { grants: Grants::OPERATOR, ..key }).await;
    }

    /// Sends a request with the key of that name.
    pub(crate) async fn send(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Value,
    ) -> Answer {
        let request = Request::builder().method(method).uri(format!("/likeness/v1{path}"));
        let mut request = request
            .header("host", "our.host")
            .header("authorization", format!("Bearer {key}.{key}"))
            .header("content-type", "application/json");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let (head, body) = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap())
    }

    /// Sends any body with the key of that name; status, headers and bytes of the answer.
    pub(crate) async fn bytes(
        &self,
        key: &str,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> (u16, HeaderMap, Vec<u8>) {
        let request = Request::builder().method(method).uri(format!("/likeness/v1{path}")).header("host", "our.host");
        let mut request = request.header("authorization", format!("Bearer {key}.{key}"));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let (head, body) = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, bytes.to_vec())
    }

    /// The answer to the key `acme`, which has to be this status.
    #[track_caller]
    pub(crate) fn acme(&self, status: u16, method: &str, path: &str, body: Value) -> impl Future<Output = Value> {
        let caller = std::panic::Location::caller();
        let (method, path) = (method.to_owned(), path.to_owned());
        async move {
            let (found, _, answer) = self.send("acme", &method, &path, &[], body).await;
            assert_eq!(found, status, "{caller}: {method} {path}: {answer}");
            answer
        }
    }

    /// Status, headers and body of what is for everybody.
    pub(crate) async fn text(&self, path: &str) -> (u16, HeaderMap, String) {
        let request = Request::builder().uri(format!("/likeness/v1{path}")).body(Body::empty()).unwrap();
        let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    }

    /// Enrols a face of a person.
    pub(crate) async fn enrol(&self, person: &str, picture: &str) -> String {
        let body = json!({"image": {"base64": base64(picture)}});
        let answer = self.acme(201, "POST", &format!("/persons/{person}/faces"), body).await;
        answer["faces"][0]["id"].as_str().unwrap().to_owned()
    }
}

#[track_caller]
pub(crate) fn refused((status, _, answer): Answer, code: &str) {
    assert_eq!(answer["error"]["code"], code, "{status} {answer}");
}

#[tokio::test]
async fn a_person_is_made_found_renamed_and_deleted() {
    let server = Server::new().await;
    let body = json!({"key": "anna/1", "name": "Anna", "face_sets": ["staff"]});
    let made = server.acme(201, "POST", "/persons", body.clone()).await;
    assert_eq!((&made["face_sets"], &made["n_faces"]), (&json!(["staff"]), &json!(0)));
    refused(server.send("acme", "POST", "/persons", &[], body).await, "person_exists");
    let id = server.enrol("anna%2F1", "face anna 40x40+10+5").await;
    let query = json!({"image": {"base64": base64("face anna~0.9 60x60+10+5")}});
    let found = server.acme(200, "POST", "/face-sets/staff/search", query.clone()).await;
    let face = &found["candidates"][0]["face"];
    assert_eq!((&face["id"], &face["person"], &face["person_name"]), (&json!(id), &json!("anna/1"), &json!("Anna")));
    let changed = server.acme(200, "PATCH", "/persons/anna%2F1", json!({"key": "anna", "note": "n"})).await;
    assert_eq!((&changed["key"], &changed["name"], &changed["note"]), (&json!("anna"), &json!("Anna"), &json!("n")));
    refused(server.send("acme", "GET", "/persons/anna%2F1", &[], Value::Null).await, "person_not_found");
    let faces = server.acme(200, "GET", "/persons/anna/faces", Value::Null).await;
    assert_eq!(faces["faces"][0]["person"], "anna");
    assert_eq!(server.acme(200, "GET", "/persons", Value::Null).await["persons"][0]["n_faces"], 1);
    // Another tenant sees nothing of it, by whatever way.
    for (method, path, body) in [
        ("GET", "/persons/anna", Value::Null),
        ("PATCH", "/persons/anna", json!({"note": "x"})),
        ("DELETE", "/persons/anna", Value::Null),
        ("GET", "/persons/anna/faces", Value::Null),
        ("DELETE", &format!("/persons/anna/faces/{id}"), Value::Null),
        ("POST", "/persons/anna/move", json!({"to": "bert", "face_ids": [id]})),
        ("POST", "/persons/anna/merge", json!({"from": "bert"})),
        ("POST", "/persons/anna/split", json!({"key": "bert", "face_ids": [id]})),
        ("POST", "/persons/anna/face-sets", json!({"join": ["staff"]})),
    ] {
        refused(server.send("other", method, path, &[], body).await, "person_not_found");
    }
    assert_eq!(server.send("other", "GET", "/persons", &[], Value::Null).await.2["persons"], json!([]));
    let left =
        server.acme(200, "POST", "/persons/anna/face-sets", json!({"join": ["guests"], "leave": ["staff"]})).await;
    assert_eq!(left["face_sets"], json!(["guests"]));
    refused(server.send("acme", "POST", "/persons/anna/face-sets", &[], json!({})).await, "missing_argument");
    let deleted = server.acme(200, "DELETE", "/persons/anna", Value::Null).await;
    assert_eq!((&deleted["deleted"], &deleted["n_faces"]), (&json!("anna"), &json!(1)));
}

#[tokio::test]
async fn persons_are_moved_between_merged_and_split() {
    let server = Server::new().await;
    for key in ["anna", "bert"] {
        server.acme(201, "POST", "/persons", json!({"key": key, "face_sets": [format!("of-{key}")]})).await;
    }
    let one = server.enrol("anna", "face anna 40x40+10+5").await;
    let two = server.enrol("anna", "face anna~0.9 50x50+10+5").await;
    let moved = server.acme(200, "POST", "/persons/anna/move", json!({"to": "bert", "face_ids": [two, "77"]})).await;
    assert_eq!((&moved["faces"][0]["id"], &moved["faces"][0]["person"]), (&json!(two), &json!("bert")));
    let member = server.acme(200, "GET", "/face-sets/of-bert/faces", Value::Null).await;
    assert_eq!(member["faces"].as_array().unwrap().len(), 1);
    for (body, code) in [
        (json!({"to": "bert", "face_ids": [two]}), "face_not_found"),
        (json!({"to": "bert", "face_ids": ["x"]}), "face_not_found"),
        (json!({"to": "bert", "face_ids": []}), "invalid_argument"),
        (json!({"to": "anna", "face_ids": [one]}), "invalid_argument"),
        (json!({"to": "carl", "face_ids": [one]}), "person_not_found"),
    ] {
        refused(server.send("acme", "POST", "/persons/anna/move", &[], body).await, code);
    }
    let split = json!({"key": "carl", "name": "Carl", "face_ids": [one]});
    let carl = server.acme(201, "POST", "/persons/anna/split", split.clone()).await;
    assert_eq!((&carl["face_sets"], &carl["n_faces"]), (&json!(["of-anna"]), &json!(1)));
    refused(server.send("acme", "POST", "/persons/anna/split", &[], split).await, "face_not_found");
    let again = json!({"key": "carl", "face_ids": [two]});
    refused(server.send("acme", "POST", "/persons/bert/split", &[], again).await, "person_exists");
    refused(server.send("acme", "POST", "/persons/bert/merge", &[], json!({"from": "bert"})).await, "invalid_argument");
    let merged = server.acme(200, "POST", "/persons/bert/merge", json!({"from": "carl"})).await;
    assert_eq!((&merged["n_moved"], &merged["person"]["face_sets"]), (&json!(1), &json!(["of-bert", "of-anna"])));
    refused(server.send("acme", "GET", "/persons/carl", &[], Value::Null).await, "person_not_found");
    let faces = server.acme(200, "GET", "/persons/bert/faces", Value::Null).await;
    assert_eq!(faces["faces"].as_array().unwrap().len(), 2);
}

/// Also where the caller does not see any more what it has changed.
#[tokio::test]
async fn a_write_that_succeeded_is_not_answered_with_an_error() {
    let server = Server::new().await;
    for name in ["con", "staff"] {
        server.acme(201, "POST", "/face-sets", json!({"name": name})).await;
    }
    let con = server.bed.store.face_set(tenant_id(5), FaceSetName::new("con").unwrap()).await.unwrap().unwrap();
    let only_con = FaceSetScope::Only([con.face_set.id].into());
    let scoped = |key| AccessKey { grants: Grants::ALL, face_sets: only_con.clone(), ..key };
    server.add_key("acme", "scoped", scoped).await;
    let enrols = |key| AccessKey { grants: Grants::of(&[Grant::Enrol]), face_sets: only_con.clone(), ..key };
    server.add_key("acme", "enrols", enrols).await;
    for (key, others) in [("sy", json!(["con", "staff"])), ("li", json!(["con"]))] {
        server.acme(201, "POST", "/persons", json!({"key": key, "face_sets": others})).await;
        let path = format!("/persons/{key}/face-sets");
        // Refused as a whole: nothing is joined by a key that may not leave.
        let both = json!({"join": ["con"], "leave": ["con"]});
        refused(server.send("enrols", "POST", &path, &[], both).await, "forbidden");
        let (status, _, answer) = server.send("scoped", "POST", &path, &[], json!({"leave": ["con"]})).await;
        assert_eq!((status, &answer["key"], &answer["face_sets"]), (200, &json!(key), &json!([])), "{answer}");
        refused(server.send("scoped", "GET", &format!("/persons/{key}"), &[], Value::Null).await, "person_not_found");
    }
    assert_eq!(server.acme(200, "GET", "/persons/sy", Value::Null).await["face_sets"], json!(["staff"]));
}

#[tokio::test]
async fn a_key_hands_on_only_what_it_has() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    let limits = |key| AccessKey {
        grants: Grants::of(&[Grant::Manage, Grant::Read]),
        expires_at: Some(TimestampMs(NOW + 1_000_000)),
        ..key
    };
    server.add_key("acme", "weak", limits).await;
    let make = |key: &'static str, body: Value| server.send(key, "POST", "/keys", &[], body);
    let (status, _, made) = make("weak", json!({"label": "door", "face_sets": ["staff"]})).await;
    assert_eq!(status, 201, "{made}");
    assert_eq!((&made["grants"], &made["face_sets"]), (&json!(["read", "manage"]), &json!(["staff"])));
    assert_eq!(made["expires_at"], "2026-11-21T20:53:20Z", "as long as the key that made it");
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    assert_eq!((id.len(), secret.len()), (20, 40));
    for body in [json!({"grants": ["read", "delete"]}), json!({"grants": ["templates"]}), json!({"expires_in_s": 1001})]
    {
        refused(make("weak", body).await, "forbidden");
    }
    assert_eq!(make("weak", json!({"grants": ["read"], "expires_in_s": 10})).await.0, 201);
    for (body, code) in [
        (json!({"grants": ["fly"]}), "invalid_argument"),
        (json!({"grants": []}), "invalid_argument"),
        (json!({"face_sets": ["nosuch"]}), "face_set_not_found"),
        (json!({"label": "x".repeat(256)}), "invalid_argument"),
        (json!({"label": "a\nb"}), "invalid_argument"),
        (json!({"label": "a\u{7}b"}), "invalid_argument"),
        (json!({"lable": "x"}), "invalid_argument"),
    ] {
        refused(make("acme", body).await, code);
    }
    // Nor does it touch a key that may do more.
    for (method, path, body) in [
        ("PATCH", "/keys/acme", json!({"enabled": false})),
        ("POST", "/keys/acme/rotate", json!({})),
        ("DELETE", "/keys/acme", Value::Null),
    ] {
        refused(server.send("weak", method, path, &[], body.clone()).await, "forbidden");
        // A key of another tenant is not there.
        let path = path.replace("acme", "other");
        refused(server.send("acme", method, &path, &[], body).await, "key_not_found");
    }
    // Nor does it learn the secret of a key that lives longer; one that ends with it or before it may rotate.
    let rotate = |path: &'static str| server.send("weak", "POST", path, &[], json!({"overlap_s": 0}));
    let as_weak = |key| AccessKey { grants: Grants::of(&[Grant::Read]), ..key };
    server.add_key("acme", "endless", as_weak).await;
    let at = |ms| move |key| AccessKey { expires_at: Some(TimestampMs(NOW + ms)), ..as_weak(key) };
    server.add_key("acme", "longer", at(1_000_001)).await;
    server.add_key("acme", "aslong", at(1_000_000)).await;
    for path in ["/keys/endless/rotate", "/keys/longer/rotate"] {
        refused(rotate(path).await, "forbidden");
    }
    for path in ["/keys/aslong/rotate", "/keys/weak/rotate"] {
        assert_eq!(rotate(path).await.0, 200, "{path}");
    }
    // A key for some sets only keeps no keys, whatever its grants.
    let scoped = |key| AccessKey { grants: Grants::ALL, face_sets: FaceSetScope::Only([].into()), ..key };
    server.add_key("acme", "scoped", scoped).await;
    refused(make("scoped", json!({})).await, "forbidden");
    refused(server.send("scoped", "GET", "/keys", &[], Value::Null).await, "forbidden");
}

/// Whoever may change persons and faces and not read them learns nothing of them by changing them, nor by a change that
/// changes nothing.
#[tokio::test]
async fn changes_show_those_who_may_not_read_only_what_was_changed() {
    const SECRETS: [&str; 6] = ["Anna Rossi", "top secret", "vault", "Rome", "badge 7", "observed"];
    let server = Server::new().await;
    let fields = json!([{"name": "city", "type": "string"}]);
    server.acme(201, "POST", "/face-sets", json!({"name": "vault", "fields": fields})).await;
    server.acme(201, "POST", "/face-sets", json!({"name": "open"})).await;
    for key in ["e-1", "e-2"] {
        let person = json!({"key": key, "name": "Anna Rossi", "note": "top secret", "face_sets": ["vault"]});
        server.acme(201, "POST", "/persons", person).await;
    }
    let image = json!({"base64": base64(P1)});
    let own = json!({"image": image, "subject": "badge 7", "external_id": "observed", "note": "top secret",
        "fields": {"city": "Rome"}});
    let face = server.acme(201, "POST", "/face-sets/vault/faces", own).await["faces"][0]["id"].clone();
    let of_set = format!("/face-sets/vault/faces/{}", face.as_str().unwrap());
    let of_person = json!({"image": image, "source": "observed"});
    let moved = server.acme(201, "POST", "/persons/e-1/faces", of_person).await["faces"][0]["id"].clone();
    for (name, grants) in
        [("enrols", &[Grant::Enrol][..]), ("deletes", &[Grant::Delete]), ("both", &[Grant::Enrol, Grant::Delete])]
    {
        server.add_key("acme", name, |key| AccessKey { grants: Grants::of(grants), ..key }).await;
    }
    let own_face = json!({"image": image, "source": "mine"});
    for (key, method, path, body, names) in [
        ("enrols", "PATCH", "/persons/e-1", json!({}), json!("e-1")),
        ("enrols", "PATCH", "/persons/e-1", json!({"name": "Anna Rossi"}), json!("e-1")),
        ("enrols", "PATCH", &of_set, json!({}), face.clone()),
        ("enrols", "POST", "/persons/e-1/faces", own_face, json!("mine")),
        ("enrols", "POST", "/persons/e-1/face-sets", json!({"join": ["open"]}), json!("e-1")),
        ("deletes", "POST", "/persons/e-1/face-sets", json!({"leave": ["nosuch"]}), json!("e-1")),
        ("both", "POST", "/persons/e-1/move", json!({"to": "e-2", "face_ids": [moved]}), moved.clone()),
        ("both", "POST", "/persons/e-2/split", json!({"key": "e-3", "face_ids": [moved]}), json!("e-3")),
        ("both", "POST", "/persons/e-1/merge", json!({"from": "e-2"}), json!("e-1")),
    ] {
        let (status, headers, answer) = server.send(key, method, path, &[], body.clone()).await;
        assert!((200..300).contains(&status), "{key} {method} {path} {body}: {status} {answer}");
        let text = answer.to_string();
        assert!(text.contains(names.as_str().unwrap()), "{method} {path} {body}: {text}");
        for secret in SECRETS {
            assert!(!text.contains(secret), "{key} {method} {path} {body} shows {secret}: {text}");
        }
        assert!(headers.get("etag").is_none(), "{key} {method} {path} {body}: {headers:?}");
        refused(server.send(key, "GET", "/persons/e-1", &[], Value::Null).await, "forbidden");
    }
    // Who may read sees what became of it.
    let shown = server.acme(200, "PATCH", "/persons/e-1", json!({})).await;
    assert_eq!((&shown["name"], &shown["note"]), (&json!("Anna Rossi"), &json!("top secret")));
    assert_eq!(server.acme(200, "PATCH", &of_set, json!({})).await["fields"], json!({"city": "Rome"}));
}

#[tokio::test]
async fn a_key_is_listed_switched_rotated_and_deleted() {
    let server = Server::new().await;
    let made = server.acme(201, "POST", "/keys", json!({"grants": ["read"]})).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    let listed = server.acme(200, "GET", "/keys?limit=1", Value::Null).await;
    assert_eq!((&listed["keys"][0]["id"], listed["keys"].as_array().unwrap().len()), (&json!("acme"), 1));
    let cursor = listed["next_cursor"].as_str().unwrap();
    let listed = server.acme(200, "GET", &format!("/keys?limit=1&cursor={cursor}"), Value::Null).await;
    assert_eq!((&listed["keys"][0]["id"], listed.get("next_cursor")), (&json!(id), None));
    assert!(!listed.to_string().contains(secret), "secrets are shown once");
    refused(server.send("other", "GET", &format!("/keys?cursor={cursor}"), &[], Value::Null).await, "invalid_argument");
    let path = format!("/keys/{id}");
    assert_eq!(server.acme(200, "PATCH", &path, json!({"enabled": false})).await["enabled"], false);
    let rotated = server.acme(200, "POST", &format!("{path}/rotate"), json!({"overlap_s": 60})).await;
    assert_ne!(rotated["secret"], made["secret"]);
    assert_eq!(rotated["old_secret_valid_until"], "2026-11-21T20:37:40Z");
    let too_long = json!({"overlap_s": 2_678_401});
    refused(server.send("acme", "POST", &format!("{path}/rotate"), &[], too_long).await, "invalid_argument");
    assert_eq!(server.acme(200, "DELETE", &path, Value::Null).await["deleted"], id);
    refused(server.send("acme", "GET", &path, &[], Value::Null).await, "key_not_found");
}

/// A key is rotated because somebody else may know its secret, who must not be able to do the same.
#[tokio::test]
async fn the_secret_of_before_a_rotation_changes_its_key_no_more() {
    let server = Server::new().await;
    server.acme(200, "POST", "/keys/acme/rotate", json!({"overlap_s": 60})).await;
    // The server's calls are signed with the old secret, which does everything else.
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    for (method, path, body) in [
        ("POST", "/keys/acme/rotate", json!({"overlap_s": 0})),
        ("PATCH", "/keys/acme", json!({"enabled": false})),
        ("DELETE", "/keys/acme", Value::Null),
    ] {
        refused(server.send("acme", method, path, &[], body).await, "forbidden");
    }
    // Nor would another key that it makes or learns, or whose loss it causes.
    server.add_key("acme", "endless", |key| key).await;
    for (method, path, body) in [
        ("POST", "/keys", json!({"grants": ["read"]})),
        ("POST", "/keys", json!({"expires_in_s": 1})),
        ("POST", "/keys/endless/rotate", json!({})),
        ("PATCH", "/keys/endless", json!({"enabled": false})),
        ("DELETE", "/keys/endless", Value::Null),
    ] {
        let answer = server.send("acme", method, path, &[], body).await;
        assert!(answer.2.to_string().contains("the secret was replaced"), "{method} {path}: {answer:?}");
        refused(answer, "forbidden");
    }
    assert_eq!(server.acme(200, "GET", "/keys", Value::Null).await["keys"].as_array().unwrap().len(), 2);
    // Also where the key ends before the old secret would.
    let ending = |key| AccessKey { expires_at: Some(TimestampMs(NOW + 30_000)), ..key };
    server.add_key("acme", "ending", ending).await;
    let rotate = || server.send("ending", "POST", "/keys/ending/rotate", &[], json!({"overlap_s": 60}));
    assert_eq!(rotate().await.0, 200);
    refused(rotate().await, "forbidden");
}

#[tokio::test]
async fn a_sets_capacity_is_changed_taken_away_and_never_below_its_faces() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff", "capacity": 1})).await;
    let enrol = || json!({"image": {"base64": base64(P1)}});
    server.acme(201, "POST", "/face-sets/staff/faces", enrol()).await;
    let full = server.send("acme", "POST", "/face-sets/staff/faces", &[], enrol()).await;
    refused(full, "capacity_exceeded");
    let change = async |capacity: Value| {
        server.send("acme", "PATCH", "/face-sets/staff", &[], json!({"capacity": capacity})).await
    };
    let (status, _, answer) = change(json!(0)).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("capacity")), "{answer}");
    assert_eq!(answer["error"]["message"], "`capacity` is 0, but the face set has 1 faces");
    for wrong in [json!(-1), json!("9"), json!(1.5)] {
        refused(change(wrong).await, "invalid_argument");
    }
    assert_eq!(change(json!(2)).await.2["capacity"], 2);
    server.acme(201, "POST", "/face-sets/staff/faces", enrol()).await;
    assert_eq!(server.acme(200, "PATCH", "/face-sets/staff", json!({"note": "x"})).await["capacity"], 2);
    assert!(change(Value::Null).await.2["capacity"].is_null());
    server.acme(201, "POST", "/face-sets/staff/faces", enrol()).await;
}

#[tokio::test]
async fn a_key_for_named_sets_is_for_at_least_one_and_for_each_once() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    let make = async |body: Value| server.send("acme", "POST", "/keys", &[], body).await;
    let (status, _, answer) = make(json!({"face_sets": []})).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("face_sets")), "{answer}");
    assert_eq!(make(json!({"face_sets": ["staff", "staff"]})).await.2["face_sets"], json!(["staff"]));
    assert_eq!(make(json!({"label": "  "})).await.2.get("label"), None);
}

/// The record of commits as its readers see it: what was done, by which key, of what, and no secret.
#[tokio::test]
async fn the_record_tells_who_changed_what() {
    let server = Server::new().await;
    let made = server.acme(201, "POST", "/keys", json!({"grants": ["read"]})).await;
    let (id, secret) = (made["id"].as_str().unwrap(), made["secret"].as_str().unwrap());
    server.acme(200, "PATCH", &format!("/keys/{id}"), json!({"enabled": false})).await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    server.acme(201, "POST", "/face-sets", json!({"name": "guests"})).await;
    let enrolled = json!({"image": {"base64": base64(P1)}});
    let face = server.acme(201, "POST", "/face-sets/staff/faces", enrolled).await["faces"][0]["id"].clone();
    server.acme(200, "DELETE", "/face-sets/guests", Value::Null).await;
    server.acme(200, "DELETE", &format!("/keys/{id}"), Value::Null).await;
    let short = |commit: &Value| {
        let changes = commit["changes"].as_array().unwrap().iter();
        let what = changes.map(|change| {
            let of = ["face_set", "access_key"].iter().find_map(|name| change[name].as_str()).unwrap_or("-");
            format!("{} {of} {}", change["what"].as_str().unwrap(), change["n_faces"])
        });
        (commit["key"].as_str().map(str::to_owned), what.collect::<Vec<_>>().join(", "))
    };
    let all = server.acme(200, "GET", "/changes", Value::Null).await;
    let told: Vec<_> = all["commits"].as_array().unwrap().iter().map(short).collect();
    let by_acme = |what: &str| (Some("acme".to_owned()), what.to_owned());
    let n_before = told.len() - 7;
    assert_eq!(
        told[n_before..],
        [
            by_acme(&format!("key_made {id} null")),
            by_acme(&format!("key_disabled {id} null")),
            by_acme("face_set_made staff null"),
            // It has no name any more.
            by_acme("face_set_made - null"),
            by_acme("faces_put staff 1"),
            by_acme("face_set_deleted - null"),
            by_acme(&format!("key_deleted {id} null")),
        ]
    );
    assert_eq!(all["compacted"], 0);
    assert!(!all.to_string().contains(secret));
    let of_staff = server.acme(200, "GET", "/changes?face_set=staff", Value::Null).await;
    let told: Vec<_> = of_staff["commits"].as_array().unwrap().iter().map(short).collect();
    assert_eq!(told, [by_acme("face_set_made staff null"), by_acme("faces_put staff 1")]);
    assert_eq!(of_staff["commits"][1]["changes"][0]["face_ids"], json!([face]));
    // In stretches, and behind a revision.
    for path in ["/changes?limit=2", "/changes?limit=1&face_set=staff"] {
        let whole = if path.contains("face_set") { &of_staff } else { &all };
        let (mut listed, mut next) = (Vec::new(), path.to_owned());
        loop {
            let page = server.acme(200, "GET", &next, Value::Null).await;
            listed.extend(page["commits"].as_array().unwrap().clone());
            let Some(cursor) = page["next_cursor"].as_str() else { break };
            next = format!("{path}&cursor={cursor}");
        }
        assert_eq!(Value::Array(listed), whole["commits"], "{path}");
    }
    let since = all["commits"][n_before + 4]["revision"].as_u64().unwrap();
    let later = server.acme(200, "GET", &format!("/changes?since={since}"), Value::Null).await;
    assert_eq!(later["commits"].as_array().unwrap()[..], all["commits"].as_array().unwrap()[n_before + 5..]);
    // Behind what was seen, later on; one that the library has not got to is of another history.
    let position = all["position"].as_str().unwrap();
    let none = server.acme(200, "GET", &format!("/changes?cursor={position}"), Value::Null).await;
    assert_eq!((none["commits"].as_array().unwrap().len(), &none["next_cursor"]), (0, &Value::Null));
    let beyond = server.acme(412, "GET", &format!("/changes?since={}", u64::MAX), Value::Null).await;
    assert_eq!((beyond["error"]["kind"].as_str(), beyond["error"]["field"].as_str()), (Some("changed"), Some("since")));
    // Another tenant has its own; who may not manage every set sees none.
    let theirs = server.send("other", "GET", "/changes", &[], Value::Null).await.2;
    assert!(!theirs.to_string().contains("acme"), "{theirs}");
    let cursor = server.acme(200, "GET", "/changes?limit=1", Value::Null).await["next_cursor"].clone();
    let cursor = cursor.as_str().unwrap();
    for (key, path, code) in [
        ("other", format!("/changes?cursor={cursor}"), "invalid_argument"),
        ("acme", format!("/changes?face_set=staff&cursor={cursor}"), "invalid_argument"),
        ("acme", format!("/changes?since=1&cursor={cursor}"), "invalid_argument"),
        ("acme", "/changes?since=-1".to_owned(), "invalid_argument"),
        ("acme", "/changes?limit=0".to_owned(), "invalid_argument"),
        ("acme", "/changes?face_set=nobody".to_owned(), "face_set_not_found"),
    ] {
        refused(server.send(key, "GET", &path, &[], Value::Null).await, code);
    }
    let scoped = |key| AccessKey { grants: Grants::ALL, face_sets: FaceSetScope::Only([].into()), ..key };
    server.add_key("acme", "scoped", scoped).await;
    refused(server.send("scoped", "GET", "/changes", &[], Value::Null).await, "forbidden");
}

#[tokio::test]
async fn listings_go_on_where_they_stopped() {
    let server = Server::new().await;
    for name in ["b", "a", "c"] {
        server.acme(201, "POST", "/face-sets", json!({"name": name, "tags": ["all", name]})).await;
        server.acme(201, "POST", "/persons", json!({"key": name})).await;
        for number in 0..3 {
            let picture = format!("face {name}{number} 40x40+10+5");
            let body = json!({"image": {"base64": base64(picture)}, "external_id": format!("{number}")});
            server.acme(201, "POST", &format!("/face-sets/{name}/faces"), body).await;
        }
    }
    for (path, member, name, expected) in [
        ("/face-sets?tags=all&", "face_sets", "name", ["b", "a", "c"]),
        ("/persons?", "persons", "key", ["a", "b", "c"]),
        ("/face-sets/a/faces?", "faces", "external_id", ["0", "1", "2"]),
    ] {
        let mut found = Vec::new();
        let mut cursor = String::new();
        loop {
            let answer = server.acme(200, "GET", &format!("{path}limit=2{cursor}"), Value::Null).await;
            found.extend(
                answer[member].as_array().unwrap().iter().map(|entry| entry[name].as_str().unwrap().to_owned()),
            );
            let Some(next) = answer["next_cursor"].as_str() else { break };
            cursor = format!("&cursor={next}");
        }
        assert_eq!(found, expected, "{path}");
        assert!(!cursor.is_empty());
        // Neither made up, nor of another tenant or listing.
        for wrong in ["&cursor=AAAA", "&cursor=", &format!("{cursor}A")] {
            refused(
                server.send("acme", "GET", &format!("{path}limit=2{wrong}"), &[], Value::Null).await,
                "invalid_argument",
            );
        }
        let elsewhere = server.send("acme", "GET", &format!("/jobs?limit=2{cursor}"), &[], Value::Null).await;
        refused(elsewhere, "invalid_argument");
        for wrong in ["limit=0", "limit=1001", "offset=9007199254740992", "limit=x", "limit=-1", "offset=x"] {
            refused(server.send("acme", "GET", &format!("{path}{wrong}"), &[], Value::Null).await, "invalid_argument");
        }
    }
    let other = server.acme(200, "GET", "/face-sets/a/faces?limit=2", Value::Null).await;
    let cursor = other["next_cursor"].as_str().unwrap();
    let of_another_set =
        server.send("acme", "GET", &format!("/face-sets/b/faces?cursor={cursor}"), &[], Value::Null).await;
    refused(of_another_set, "invalid_argument");
    let both = format!("/face-sets/a/faces?cursor={cursor}&offset=2");
    refused(server.send("acme", "GET", &both, &[], Value::Null).await, "invalid_argument");
}

#[tokio::test]
async fn the_state_of_the_server_is_told() {
    let server = Server::new().await;
    server.acme(201, "POST", "/persons", json!({"key": "anna", "face_sets": ["staff"]})).await;
    let status = server.acme(200, "GET", "/status", Value::Null).await;
    assert_eq!(
        (&status["ready"], &status["usage"]["n_persons"], &status["usage"]["n_face_sets"]),
        (&json!(true), &json!(1), &json!(1))
    );
    server.add_key("acme", "seeker", |key| AccessKey { grants: Grants::of(&[Grant::Search]), ..key }).await;
    let (_, _, status) = server.send("seeker", "GET", "/status", &[], Value::Null).await;
    assert_eq!((&status["ready"], status.get("usage")), (&json!(true), None));
    refused(server.send("seeker", "POST", "/tickets", &[], Value::Null).await, "forbidden");
}

#[tokio::test]
async fn a_step_in_paths_is_no_new_name_and_an_old_one_is_reached() {
    let server = Server::new().await;
    server.acme(201, "POST", "/persons", json!({"key": "anna", "face_sets": ["staff"]})).await;
    let id = server.enrol("anna", "face anna 40x40+10+5").await;
    for step in [".", ".."] {
        for (method, path, body) in [
            ("POST", "/face-sets", json!({"name": step})),
            ("PATCH", "/face-sets/staff", json!({"name": step})),
            ("POST", "/persons", json!({"key": step})),
            ("PATCH", "/persons/anna", json!({"key": step})),
            ("POST", "/persons/anna/split", json!({"key": step, "face_ids": [id]})),
            ("POST", "/persons/anna/face-sets", json!({"join": [step]})),
        ] {
            let (status, _, answer) = server.send("acme", method, path, &[], body).await;
            assert_eq!(
                (status, &answer["error"]["code"]),
                (400, &json!("invalid_argument")),
                "{method} {path} {answer}"
            );
        }
    }
    // Of an earlier version.
    let old = NewFaceSet {
        id: FaceSetId::new(99).unwrap(),
        name: FaceSetName::new("..").unwrap(),
        label: None,
        note: None,
        tags: Tags::default(),
        pack: PackId::new("fake-1").unwrap(),
        schema: FieldSchema::default(),
        capacity: None,
        quality_gate: QualityGate::None,
        thumbnails: false,
        created_at: TimestampMs(NOW),
    };
    let actor = Caller::server(tenant_id(5), "test").actor();
    server.bed.store.create_face_set(actor, old, None).await.unwrap();
    assert_eq!(server.acme(200, "GET", "/face-sets/%2E%2E", Value::Null).await["name"], "..");
    let renamed = server.acme(200, "PATCH", "/face-sets/%2E%2E", json!({"name": "found"})).await;
    assert_eq!(renamed["name"], "found");
}

#[tokio::test]
async fn a_label_is_taken_away_by_an_empty_one() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    let body = json!({"image": {"base64": base64("face anna 40x40+10+5")}, "subject": "anna", "note": "n"});
    let face = server.acme(201, "POST", "/face-sets/staff/faces", body).await["faces"][0].clone();
    let path = format!("/face-sets/staff/faces/{}", face["id"].as_str().unwrap());
    let changed = server.acme(200, "PATCH", &path, json!({"subject": ""})).await;
    assert_eq!((changed.get("subject"), &changed["note"]), (None, &json!("n")));
    assert_eq!(server.acme(200, "GET", &path, Value::Null).await.get("subject"), None);
    // Enrolled with an empty one it is still a mistake.
    let body = json!({"image": {"base64": base64("face bert 40x40+10+5")}, "subject": ""});
    refused(server.send("acme", "POST", "/face-sets/staff/faces", &[], body).await, "invalid_argument");
}

#[tokio::test]
async fn settings_and_metrics_are_for_whoever_manages_the_whole_tenant() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    let staff = FaceSetScope::Only([FaceSetId::new(1).unwrap()].into());
    server.add_key("acme", "reader", |key| AccessKey { grants: Grants::ALL.without(Grant::Manage), ..key }).await;
    server.add_key("acme", "limited", |key| AccessKey { grants: Grants::ALL, face_sets: staff, ..key }).await;
    for path in ["/settings", "/metrics"] {
        for key in ["reader", "limited"] {
            refused(server.send(key, "GET", path, &[], Value::Null).await, "forbidden");
        }
        refused(server.send("acme", "GET", &format!("{path}?bogus=1"), &[], Value::Null).await, "invalid_argument");
    }
    let answer = server.acme(200, "GET", "/settings", Value::Null).await;
    let [workers, weights] = answer["settings"].as_array().unwrap().as_slice() else { panic!("{answer}") };
    assert_eq!((&workers["value"], &workers["origin"]), (&json!(4), &json!("default")));
    // What names other tenants is shown to none of them.
    assert_eq!((weights.get("value"), &weights["is_set"], &weights["is_hidden"]), (None, &json!(true), &json!(true)));
    assert_eq!(server.acme(200, "GET", "/metrics", Value::Null).await["operations"][0]["n"], 3);
}

#[tokio::test]
async fn a_face_sets_thumbnails_are_shown_and_erased() {
    let server = Server::new().await;
    let made = server.acme(201, "POST", "/face-sets", json!({"name": "staff", "thumbnails": true})).await;
    assert_eq!(made["thumbnails"], true);
    let enrolled = json!({"image": {"base64": base64(P1)}});
    let face = server.acme(201, "POST", "/face-sets/staff/faces", enrolled).await["faces"][0]["id"].clone();
    let path = format!("/face-sets/staff/faces/{}/thumbnail", face.as_str().unwrap());
    let (status, headers, bytes) = server.bytes("acme", "GET", &path, &[], Body::empty()).await;
    assert_eq!((status, &bytes[..]), (200, likeness_testkit::FAKE_THUMBNAIL));
    assert_eq!(headers["content-type"], "image/jpeg");
    assert_eq!(headers["cache-control"], "private, no-store");
    let asked = json!({"ids": ["77", face, "x"]});
    let (_, headers, found) = server.send("acme", "POST", "/face-sets/staff/faces/thumbnails", &[], asked).await;
    assert_eq!(found, json!({"thumbnails": [{"id": face, "jpeg": base64(likeness_testkit::FAKE_THUMBNAIL)}]}));
    assert_eq!(headers["cache-control"], "private, no-store");
    server.acme(400, "POST", "/face-sets/staff/faces/thumbnails", json!({"ids": []})).await;

    let changed = server.acme(200, "PATCH", "/face-sets/staff", json!({"thumbnails": false})).await;
    assert_eq!(changed["thumbnails"], false);
    let refused = server.acme(404, "GET", &path, Value::Null).await;
    assert_eq!(refused["error"]["code"], "face_not_found");
    assert!(refused["error"]["message"].as_str().unwrap().contains("no thumbnail"), "{refused}");
}

/// The list of persons has a picture of each where they are asked for, and finds people by a part of their names.
#[tokio::test]
async fn persons_are_listed_with_their_pictures_and_by_a_part_of_their_names() {
    let server = Server::new().await;
    server.acme(201, "POST", "/face-sets", json!({"name": "staff", "thumbnails": true})).await;
    for (key, name) in [("p1", "Anna Winter"), ("p2", "Bert")] {
        server.acme(201, "POST", "/persons", json!({"key": key, "name": name, "face_sets": ["staff"]})).await;
    }
    server.enrol("p1", P1).await;
    let (status, headers, found) = server.send("acme", "GET", "/persons?include=thumbnails", &[], Value::Null).await;
    assert_eq!((status, headers["cache-control"].to_str().unwrap()), (200, "private, no-store"));
    let picture = base64(likeness_testkit::FAKE_THUMBNAIL);
    assert_eq!((&found["persons"][0]["thumbnail"], found["persons"][1].get("thumbnail")), (&json!(picture), None));
    let plain = server.acme(200, "GET", "/persons", Value::Null).await;
    assert_eq!(plain["persons"][0].get("thumbnail"), None);

    let keys =
        |found: &Value| found["persons"].as_array().unwrap().iter().map(|p| p["key"].clone()).collect::<Vec<_>>();
    let found = server.acme(200, "GET", "/persons?contains=winter", Value::Null).await;
    assert_eq!(keys(&found), ["p1"]);
    let first = server.acme(200, "GET", "/persons?contains=P&limit=1", Value::Null).await;
    let cursor = first["next_cursor"].as_str().unwrap();
    let second = server.acme(200, "GET", &format!("/persons?contains=P&limit=1&cursor={cursor}"), Value::Null).await;
    assert_eq!((keys(&first), keys(&second)), (vec![json!("p1")], vec![json!("p2")]));
    // It is one of that text only.
    server.acme(400, "GET", &format!("/persons?limit=1&cursor={cursor}"), Value::Null).await;
    let refused = server.acme(400, "GET", "/persons?contains=", Value::Null).await;
    assert_eq!(refused["error"]["field"], "contains");
    let refused = server.acme(400, "GET", "/persons?include=faces", Value::Null).await;
    assert_eq!(refused["error"]["field"], "include");
}

/// A typing error among several ids is told.
#[tokio::test]
async fn ids_of_no_face_are_named_among_those_of_some() {
    let server = Server::new().await;
    for key in ["anna", "bert"] {
        server.acme(201, "POST", "/persons", json!({"key": key})).await;
    }
    let mut ids = Vec::new();
    for _ in 0..4 {
        ids.push(server.enrol("anna", P1).await);
    }
    assert_eq!(server.acme(200, "GET", "/persons/anna", Value::Null).await["n_faces"], 4);
    let asked = json!({"to": "bert", "face_ids": [ids[0], ids[0], "1", "x", "1"]});
    let moved = server.acme(200, "POST", "/persons/anna/move", asked).await;
    assert_eq!((moved["faces"].as_array().unwrap().len(), &moved["unknown"]), (1, &json!(["1", "x"])));
    let asked = json!({"key": "carl", "face_ids": [ids[1], ids[0]]});
    let split = server.acme(201, "POST", "/persons/anna/split", asked).await;
    assert_eq!((&split["n_faces"], &split["unknown"]), (&json!(1), &json!([ids[0]])));
    // Nothing is said where every id was one.
    let asked = json!({"to": "bert", "face_ids": [ids[2]]});
    assert_eq!(server.acme(200, "POST", "/persons/anna/move", asked).await.get("unknown"), None);
    assert_eq!(server.acme(200, "GET", "/persons/anna", Value::Null).await["n_faces"], 1);

    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    let body = json!({"image": {"base64": base64(P1)}});
    let face = server.acme(201, "POST", "/face-sets/staff/faces", body).await["faces"][0]["id"].clone();
    let gone = server.acme(200, "POST", "/face-sets/staff/faces/delete", json!({"ids": [face, "7"]})).await;
    assert_eq!(gone, json!({"deleted": [face], "unknown": ["7"]}));
}

#[tokio::test]
async fn faces_are_found_in_a_set_by_a_filter_and_by_how_their_names_begin() {
    let server = Server::new().await;
    let fields = json!([{"name": "age", "type": "integer"}]);
    server.acme(201, "POST", "/face-sets", json!({"name": "staff", "fields": fields})).await;
    for (number, subject) in ["anna", "Anton", "bert"].into_iter().enumerate() {
        let body = json!({"image": {"base64": base64(P1)}, "subject": subject, "fields": {"age": 20 + number}});
        server.acme(201, "POST", "/face-sets/staff/faces", body).await;
    }
    let list = async |query: &str| {
        let answer = server.acme(200, "GET", &format!("/face-sets/staff/faces?{query}"), Value::Null).await;
        let names = answer["faces"].as_array().unwrap().iter().map(|face| face["subject"].as_str().unwrap().to_owned());
        (names.collect::<Vec<_>>(), answer["n_matching"].as_u64(), answer["next_offset"].as_u64())
    };
    let names = |names: &[&str]| names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
    assert_eq!(list("begins=an").await, (names(&["anna", "Anton"]), None, None));
    assert_eq!(list("begins=zo").await, (names(&[]), None, None));
    assert_eq!(list("filter=age:%5B21+TO+*%5D").await, (names(&["Anton", "bert"]), Some(2), None));
    assert_eq!(list("filter=subject:*&limit=2").await, (names(&["anna", "Anton"]), Some(3), Some(2)));
    assert_eq!(list("filter=subject:*&limit=2&offset=2").await, (names(&["bert"]), Some(3), None));
    // Whoever goes on by cursor misses nothing when faces go away meanwhile, as with an offset.
    let stretch = server.acme(200, "GET", "/face-sets/staff/faces?filter=subject:*&limit=1", Value::Null).await;
    let (first, cursor) = (&stretch["faces"][0]["id"], stretch["next_cursor"].as_str().unwrap());
    server.acme(200, "DELETE", &format!("/face-sets/staff/faces/{}", first.as_str().unwrap()), Value::Null).await;
    let path = format!("/face-sets/staff/faces?filter=subject:*&limit=1&cursor={cursor}");
    let stretch = server.acme(200, "GET", &path, Value::Null).await;
    assert_eq!((&stretch["faces"][0]["subject"], &stretch["n_matching"]), (&json!("Anton"), &json!(2)));
    let path = format!("/face-sets/staff/faces?filter=subject:*&cursor={}", stretch["next_cursor"].as_str().unwrap());
    let stretch = server.acme(200, "GET", &path, Value::Null).await;
    assert_eq!((&stretch["faces"][0]["subject"], stretch.get("next_cursor")), (&json!("bert"), None));
    for of_another in [
        "cursor=CURSOR",
        "filter=subject:b*&cursor=CURSOR",
        "begins=a&cursor=CURSOR",
        "filter=subject:*&cursor=CURSOR&offset=1",
    ] {
        let path = format!("/face-sets/staff/faces?{}", of_another.replace("CURSOR", cursor));
        let refused = server.acme(400, "GET", &path, Value::Null).await;
        assert_eq!(refused["error"]["field"], "cursor", "{of_another}");
    }
    for (query, field) in [
        ("begins=", "begins"),
        ("filter=x&begins=y", "begins"),
        ("filter=%20", "filter"),
        ("begins=a&offset=1", "offset"),
    ] {
        let path = format!("/face-sets/staff/faces?{query}");
        assert_eq!(server.acme(400, "GET", &path, Value::Null).await["error"]["field"], field, "{query}");
    }
    let unknown = server.acme(400, "GET", "/face-sets/staff/faces?filter=height:2", Value::Null).await;
    assert_eq!(unknown["error"]["code"], "unknown_field");
}
