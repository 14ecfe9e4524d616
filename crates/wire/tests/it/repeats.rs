//! Requests of the native API that are sent again, and changes that meet: `Idempotency-Key`, `ETag`, `If-Match`.

use std::time::Duration;

use axum::body::Body;
use likeness_domain::access::{Grant, Grants};
use likeness_domain::ports::{Clock, JobStore, Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::{AccessKey, TimestampMs};
use likeness_wire::router;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::Settings;
use crate::native::{NOW, Server};
use crate::testbed::{P1, base64, tenant_id};

fn face() -> Value {
    json!({"image": {"base64": base64(P1)}})
}

const FACES: &str = "/face-sets/staff/faces";

async fn with_set() -> Server {
    let server = Server::new().await;
    server
        .acme(201, "POST", "/face-sets", json!({"name": "staff", "fields": [{"name": "age", "type": "integer"}]}))
        .await;
    server
}

async fn n_faces(server: &Server) -> usize {
    server.acme(200, "GET", FACES, Value::Null).await["faces"].as_array().unwrap().len()
}

/// Where the record of a request by `acme` with this `Idempotency-Key` is.
fn record_id(key: &str) -> RecordId {
    let mut digest = Sha256::new();
    digest.update(tenant_id(5).to_bits().to_be_bytes());
    digest.update(4_u64.to_be_bytes());
    digest.update(b"acme");
    digest.update(key);
    digest.finalize().into()
}

#[tokio::test]
async fn a_write_with_a_key_is_carried_out_once() {
    let mut server = with_set().await;
    let key = [("idempotency-key", "one")];
    let (status, headers, first) = server.send("acme", "POST", FACES, &key, face()).await;
    assert_eq!((status, headers.get("idempotent-replayed")), (201, None), "{first}");
    let (status, headers, again) = server.send("acme", "POST", FACES, &key, face()).await;
    assert_eq!((status, &again), (201, &first));
    assert_eq!(headers["idempotent-replayed"], "true");
    // Also after a restart.
    server.router = router(server.bed.wire(Settings::default()));
    assert_eq!(server.send("acme", "POST", FACES, &key, face()).await.2, first);
    assert_eq!(n_faces(&server).await, 1);
    // Another request with the same key.
    let other = json!({"image": {"base64": base64(P1)}, "subject": "anna"});
    for (method, path, body) in [
        ("POST", FACES, other),
        ("POST", "/face-sets/staff/faces?x=1", face()),
        ("POST", "/face-sets", json!({"name": "guests"})),
        ("DELETE", "/face-sets/staff", Value::Null),
    ] {
        let (status, _, answer) = server.send("acme", method, path, &key, body).await;
        assert_eq!((status, &answer["error"]["code"]), (422, &json!("idempotency_key_reused")), "{answer}");
        assert!(answer["error"]["request_id"].is_string());
    }
    // The same key of another access key, or of another tenant, is another one.
    server.add_key("acme", "second", |key| AccessKey { grants: Grants::of(&[Grant::Enrol]), ..key }).await;
    assert_eq!(server.send("second", "POST", FACES, &key, face()).await.0, 201);
    assert_eq!(n_faces(&server).await, 2);
    let (_, _, answer) = server.send("other", "POST", FACES, &key, face()).await;
    assert_eq!(answer["error"]["code"], "face_set_not_found");
    // Reading needs no key and takes no notice of one.
    assert_eq!(server.send("acme", "GET", "/face-sets", &key, Value::Null).await.0, 200);
    // A day later nothing is known of it.
    server.bed.clock.advance(Duration::from_hours(24));
    assert_eq!(server.send("acme", "POST", FACES, &key, face()).await.0, 201);
    assert_eq!(n_faces(&server).await, 3);
}

/// What is kept for a day would show labels of faces that are deleted within it.
#[tokio::test]
async fn a_kept_answer_is_sealed() {
    let server = with_set().await;
    let key = [("idempotency-key", "sealed")];
    let labelled = json!({"image": {"base64": base64(P1)}, "subject": "SecretSubject77"});
    let (status, _, first) = server.send("acme", "POST", FACES, &key, labelled.clone()).await;
    assert_eq!((status, &first["faces"][0]["subject"]), (201, &json!("SecretSubject77")), "{first}");
    let kept = server.bed.store.record("idempotency", record_id("sealed"), TimestampMs(NOW)).await.unwrap().unwrap();
    let text = String::from_utf8(kept.value.to_vec()).unwrap();
    let sealed = serde_json::from_str::<Value>(&text).unwrap()["answer"]["sealed"].as_str().unwrap().to_owned();
    assert!(!text.contains("SecretSubject77") && !sealed.is_empty(), "{text}");
    assert_eq!(server.send("acme", "POST", FACES, &key, labelled).await.2, first);
}

/// Operations that only look leave nothing behind, pictures of faces least of all.
#[tokio::test]
async fn of_what_only_looks_no_answer_is_kept() {
    let server = with_set().await;
    let face = server.acme(201, "POST", FACES, face()).await["faces"][0]["id"].clone();
    let key = [("idempotency-key", "looks")];
    let image = json!({"base64": base64(P1)});
    for (path, body) in [
        ("/face-sets/staff/faces/count", json!({"ids": [face]})),
        ("/face-sets/staff/faces/enrolled", json!({"external_ids": ["a"]})),
        ("/face-sets/staff/faces/thumbnails", json!({"ids": [face]})),
        ("/face-sets/staff/search", json!({"image": image})),
        ("/face-sets/staff/search-picture", json!({"image": image})),
        ("/compare", json!({"image_a": image, "image_b": image, "crops": true})),
        ("/compare-many", json!({"image": image, "others": [image]})),
        ("/detect", json!({"image": image})),
    ] {
        for _ in 0..2 {
            let (status, headers, answer) = server.send("acme", "POST", path, &key, body.clone()).await;
            assert_eq!(status, 200, "{path}: {answer}");
            assert_eq!(headers.get("idempotent-replayed"), None, "{path}");
        }
    }
    assert!(server.bed.store.record("idempotency", record_id("looks"), TimestampMs(NOW)).await.unwrap().is_none());
}

#[tokio::test]
async fn a_refused_write_may_be_sent_again() {
    let server = Server::new().await;
    let key = [("idempotency-key", "one")];
    for _ in 0..2 {
        let (status, headers, _) = server.send("acme", "POST", FACES, &key, face()).await;
        assert_eq!((status, headers.get("idempotent-replayed")), (404, None));
    }
    server.acme(201, "POST", "/face-sets", json!({"name": "staff"})).await;
    assert_eq!(server.send("acme", "POST", FACES, &key, face()).await.0, 201);
}

#[tokio::test]
async fn of_many_at_once_one_is_carried_out() {
    let server = with_set().await;
    let key = [("idempotency-key", "race")];
    let sends = (0..20).map(|_| server.send("acme", "POST", FACES, &key, face()));
    let mut ids = Vec::new();
    for (status, _, answer) in futures_of(sends).await {
        match status {
            201 => ids.push(answer["faces"][0]["id"].clone()),
            409 => assert_eq!(answer["error"]["code"], "idempotency_in_progress"),
            _ => panic!("{status} {answer}"),
        }
    }
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    assert_eq!(n_faces(&server).await, 1);
}

/// Polls all of them in turns until each is ready.
async fn futures_of<T>(futures: impl IntoIterator<Item = impl Future<Output = T>>) -> Vec<T> {
    let mut waiting: Vec<_> = futures.into_iter().map(|future| (Some(Box::pin(future)), None)).collect();
    std::future::poll_fn(|context| {
        for (future, output) in &mut waiting {
            if let Some(running) = future
                && let std::task::Poll::Ready(ready) = running.as_mut().poll(context)
            {
                (*future, *output) = (None, Some(ready));
            }
        }
        if waiting.iter().all(|(future, _)| future.is_none()) {
            std::task::Poll::Ready(())
        } else {
            std::task::Poll::Pending
        }
    })
    .await;
    waiting.into_iter().filter_map(|(_, output)| output).collect()
}

#[tokio::test]
async fn a_request_that_a_stop_cut_short_is_not_repeated_blindly() {
    let server = with_set().await;
    // As the record is written before the work begins.
    let id = record_id("cut");
    let of_request = {
        let text = face().to_string();
        let mut digest = Sha256::new();
        for part in [&b"POST"[..], b"/face-sets/staff/faces", b"application/json", text.as_bytes()] {
            digest.update((part.len() as u64).to_be_bytes());
            digest.update(part);
        }
        digest.finalize().iter().map(|byte| format!("{byte:02x}")).collect::<String>()
    };
    let record = Record {
        id,
        tenant: tenant_id(5),
        bucket: String::new(),
        value: json!({"request": of_request, "answer": null}).to_string().into(),
        created_at: TimestampMs(NOW),
        expires_at: TimestampMs(NOW + 1000),
    };
    let room = RecordQuota { n_max: 9, bytes_max: 9999, when_full: WhenFull::Refuse };
    server.bed.store.put_record("idempotency", record, room, TimestampMs(NOW)).await.unwrap();
    let (status, _, answer) = server.send("acme", "POST", FACES, &[("idempotency-key", "cut")], face()).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("idempotency_outcome_unknown")), "{answer}");
    let (status, _, _) = server.send("acme", "POST", FACES, &[("idempotency-key", "cut")], json!({})).await;
    assert_eq!(status, 422);
    assert_eq!(n_faces(&server).await, 0);
}

#[tokio::test]
async fn an_idempotency_key_has_a_form() {
    let server = with_set().await;
    for wrong in ["", "two words", &"x".repeat(256), "\u{fc}"] {
        let (status, _, answer) = server.send("acme", "POST", FACES, &[("idempotency-key", wrong)], face()).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!("idempotency-key")), "{wrong}: {answer}");
    }
    let twice = [("idempotency-key", "a"), ("idempotency-key", "b")];
    assert_eq!(server.send("acme", "POST", FACES, &twice, face()).await.0, 400);
    // Secrets are shown once, so there is no answer to repeat.
    let (status, _, answer) = server.send("acme", "POST", "/keys", &[("idempotency-key", "a")], json!({})).await;
    assert_eq!((status, &answer["error"]["field"]), (400, &json!("idempotency-key")), "{answer}");
    // Nobody is told anything before the key is proved.
    assert_eq!(server.send("nobody", "POST", FACES, &[("idempotency-key", "a")], face()).await.0, 401);
    let longest = "x".repeat(255);
    assert_eq!(server.send("acme", "POST", FACES, &[("idempotency-key", &longest)], face()).await.0, 201);
}

#[tokio::test]
async fn a_change_is_made_only_of_what_was_seen() {
    let server = with_set().await;
    server.acme(201, "POST", "/persons", json!({"key": "anna"})).await;
    let id = server.acme(201, "POST", FACES, face()).await["faces"][0]["id"].as_str().unwrap().to_owned();
    for path in ["/face-sets/staff".to_owned(), "/persons/anna".to_owned(), format!("{FACES}/{id}")] {
        let (_, headers, _) = server.send("acme", "GET", &path, &[], Value::Null).await;
        let tag = headers["etag"].to_str().unwrap().to_owned();
        let change = |tag: &str, note: &str| {
            let (tag, body) = (tag.to_owned(), json!({"note": note}));
            let (server, path) = (&server, &path);
            async move { server.send("acme", "PATCH", path, &[("if-match", &tag)], body).await }
        };
        server.bed.clock.advance(Duration::from_secs(1));
        let (status, headers, answer) = change(&tag, "first").await;
        assert_eq!(status, 200, "{path}: {answer}");
        let fresh = headers["etag"].to_str().unwrap().to_owned();
        assert_ne!(fresh, tag, "{path}");
        for stale in [&tag, "\"nosuch\"", &format!("W/{fresh}"), &format!("{tag}, \"x\"")] {
            let (status, _, answer) = change(stale, "second").await;
            assert_eq!((status, &answer["error"]["code"]), (412, &json!("changed")), "{path} {stale}: {answer}");
        }
        for malformed in ["nosuch", "\"x", "", "*, \"x\""] {
            let (status, _, answer) = change(malformed, "second").await;
            assert_eq!((status, &answer["error"]["field"]), (400, &json!("if-match")), "{path} {malformed}: {answer}");
        }
        assert_eq!(server.acme(200, "GET", &path, Value::Null).await["note"], "first");
        for good in ["*", &fresh] {
            assert_eq!(change(good, "first").await.0, 200, "{path} {good}");
            server.bed.clock.advance(Duration::from_secs(1));
        }
    }
}

/// What is absent stays; so each change can be undone.
#[tokio::test]
async fn what_a_change_names_as_null_is_taken_away() {
    let server = with_set().await;
    let enrol = json!({
        "image": {"base64": base64(P1)}, "subject": "anna", "external_id": "photo-1", "note": "n", "fields": {"age": 30},
    });
    let face = server.acme(201, "POST", FACES, enrol.clone()).await["faces"][0].clone();
    let path = format!("{FACES}/{}", face["id"].as_str().unwrap());
    assert_eq!(server.acme(200, "PATCH", &path, json!({})).await["subject"], "anna");
    for (patch, gone, kept) in [
        (json!({"subject": null}), "subject", "note"),
        (json!({"note": ""}), "note", "fields"),
        (json!({"fields": {"age": null}}), "fields", "external_id"),
        (json!({"external_id": null}), "external_id", "id"),
    ] {
        let changed = server.acme(200, "PATCH", &path, patch).await;
        assert!(changed[gone].is_null() && !changed[kept].is_null(), "{gone}: {changed}");
        let shown = server.acme(200, "GET", &path, Value::Null).await;
        assert_eq!(changed, shown);
    }
    let back = server.acme(200, "PATCH", &path, json!({"subject": "anna", "note": "n", "fields": {"age": 30}})).await;
    for part in ["subject", "note", "fields"] {
        assert_eq!(back[part], face[part]);
    }
    assert_eq!(server.acme(200, "PATCH", &path, json!({"subject": ""})).await.get("subject"), None);
    // The external id is free again, and is no member that changes.
    server.acme(201, "POST", FACES, enrol).await;
    for (patch, code, field) in [
        (json!({"external_id": "photo-2"}), "invalid_argument", json!("external_id")),
        (json!({"fields": {"size": null}}), "field_not_defined", json!("fields.size")),
    ] {
        let (_, _, answer) = server.send("acme", "PATCH", &path, &[], patch).await;
        assert_eq!((&answer["error"]["code"], &answer["error"]["field"]), (&json!(code), &field), "{answer}");
    }
    server.acme(201, "POST", "/persons", json!({"key": "p", "name": "P", "note": "n", "face_sets": ["staff"]})).await;
    let person = server.acme(200, "PATCH", "/persons/p", json!({"name": null})).await;
    assert_eq!((person.get("name"), &person["note"]), (None, &json!("n")));
    server.acme(200, "PATCH", "/face-sets/staff", json!({"label": "Staff", "note": "n"})).await;
    let set = server.acme(200, "PATCH", "/face-sets/staff", json!({"note": null})).await;
    assert_eq!((&set["label"], set.get("note")), (&json!("Staff"), None));
}

#[tokio::test]
async fn what_a_delete_would_delete_is_counted() {
    let server = with_set().await;
    let mut ids = Vec::new();
    for age in [10, 20, 30] {
        let body = json!({"image": {"base64": base64(P1)}, "subject": format!("s{age}"), "fields": {"age": age}});
        ids.push(server.acme(201, "POST", FACES, body).await["faces"][0]["id"].clone());
    }
    for (which, n) in [
        (json!({"filter": "age:[20 TO 90]"}), 2),
        (json!({"subject": "s10"}), 1),
        (json!({"field": {"name": "age", "value": 30}}), 1),
        (json!({"ids": [ids[0], "77"]}), 1),
        (json!({"filter": "age:[91 TO 99]"}), 0),
    ] {
        let counted = server.acme(200, "POST", "/face-sets/staff/faces/count", which.clone()).await;
        assert_eq!(counted["n_faces"], n, "{which}");
    }
    assert_eq!(n_faces(&server).await, 3, "nothing is deleted by it");
    let (_, _, answer) =
        server.send("acme", "POST", "/face-sets/staff/faces/count", &[], json!({"filter": "x:1"})).await;
    assert_eq!(answer["error"]["code"], "unknown_field");
}

/// Issue 15: of a picture of several people nothing said that only the largest face was looked at.
#[tokio::test]
async fn whoever_sends_a_picture_of_several_people_hears_that_one_was_looked_at() {
    let server = with_set().await;
    server.acme(201, "POST", "/persons", json!({"key": "anna", "face_sets": ["staff"]})).await;
    server.enrol("anna", "face anna 40x40+10+5").await;
    let (group, alone) = ("face bert 60x60+200+5\nface anna 40x40+10+5\n", "face anna 40x40+10+5");
    let image = |picture: &str| json!({"base64": base64(picture.as_bytes())});
    let compare = |explain: bool| {
        let body = json!({"image_a": image(group), "image_b": image(alone), "explain": explain});
        server.acme(200, "POST", "/compare", body)
    };
    assert_eq!(compare(false).await["n_faces_in_images"], json!([2, 1]));
    let explained = compare(true).await;
    let said = "first image: it shows 2 faces, and only the largest was compared; cut out the one that is meant";
    assert_eq!((&explained["same"], &explained["explanation"]["remarks"][0]), (&json!(false), &json!(said)));
    let alike = json!({"image_a": image(alone), "image_b": image(alone), "explain": true});
    assert!(server.acme(200, "POST", "/compare", alike).await.get("n_faces_in_images").is_none());

    let search = |picture: &str, explain: bool| {
        let body = json!({"image": image(picture), "explain": explain});
        server.acme(200, "POST", "/face-sets/staff/search", body)
    };
    assert_eq!(search(group, false).await["n_faces_in_image"], 2);
    let explained = search(group, true).await;
    let said = "image: it shows 2 faces, and only the largest was looked for; `search-picture` looks for each";
    assert_eq!(explained["explanation"]["remarks"][0], said, "{explained}");
    assert!(search(alone, true).await.get("n_faces_in_image").is_none());

    let many = json!({"image": image(group), "others": [image(alone), image(group)]});
    let many = server.acme(200, "POST", "/compare-many", many).await;
    let counts =
        [&many["n_faces_in_image"], &many["others"][0]["n_faces_in_image"], &many["others"][1]["n_faces_in_image"]];
    assert_eq!(counts, [&json!(2), &Value::Null, &json!(2)], "{many}");
    let compared = server.acme(200, "POST", "/persons/anna/compare", json!({"image": image(group)})).await;
    assert_eq!(compared["n_faces_in_image"], 2, "{compared}");
}

/// Issue 15: such a refusal said neither which field it was about nor what it takes.
#[tokio::test]
async fn a_value_that_no_field_takes_is_named_with_what_it_takes() {
    let server = Server::new().await;
    let fields = json!([{"name": "s", "type": "string"}, {"name": "n", "type": "long"}]);
    server.acme(201, "POST", "/face-sets", json!({"name": "typed", "fields": fields})).await;
    let image = json!({"base64": base64(b"face anna 40x40+10+5")});
    let upload = server.acme(201, "POST", "/uploads", json!({"image": image})).await["upload"].clone();
    let photo = |fields: &Value| json!({"image": {"upload": upload}, "fields": fields});
    let long = "x".repeat(5000);
    let number = "expected a whole number from -9223372036854775808 to 9223372036854775807: its type is long";
    let text = "expected a text of 1 to 256 characters: its type is string";
    for (fields, code, field, message) in [
        (json!({"s": long}), "field_type_mismatch", "fields.s", format!("is a text of 5000 characters, {text}")),
        (json!({"s": ""}), "field_type_mismatch", "fields.s", format!("is an empty text, {text}")),
        (json!({"s": 3}), "field_type_mismatch", "fields.s", format!("is `3`, {text}")),
        (json!({"s": null}), "field_type_mismatch", "fields.s", format!("is null, {text}")),
        (json!({"n": [1]}), "field_type_mismatch", "fields.n", format!("is a list, {number}")),
        (json!({"n": u64::MAX}), "field_type_mismatch", "fields.n", format!("is `18446744073709552000`, {number}")),
        (json!({"n": "3"}), "field_type_mismatch", "fields.n", format!("is the text `3`, {number}")),
        (
            json!({"x": 3}),
            "field_not_defined",
            "fields.x",
            "is not defined by the face set, expected one of s, n".into(),
        ),
        (
            json!({"s": "a\u{0}b"}),
            "invalid_argument",
            "fields.s",
            "has the control character U+0000, expected printable text".into(),
        ),
    ] {
        let told = |answer: Value, field: &str| {
            let error = &answer["error"];
            assert_eq!((&error["code"], &error["field"]), (&json!(code), &json!(field)), "{answer}");
            assert!(error["message"].as_str().unwrap().contains(&message), "{answer}");
        };
        let body = json!({"image": image, "fields": fields});
        told(server.acme(400, "POST", "/face-sets/typed/faces", body).await, field);
        let body = json!({"photos": [photo(&json!({"s": "fine"})), photo(&fields)]});
        let answer = server.acme(400, "POST", "/face-sets/typed/faces/enrol-later", body).await;
        told(answer, &format!("photos[1].{field}"));
    }
    // An address has lines.
    let body = json!({"image": image, "fields": {"s": "Main street 5\nSpringfield"}});
    server.acme(201, "POST", "/face-sets/typed/faces", body).await;
}

#[tokio::test]
async fn persons_templates_and_group_pictures_are_looked_for() {
    let server = with_set().await;
    for (key, picture) in [("anna", "face anna 40x40+10+5"), ("bert", "face anna~0.8 40x40+10+5")] {
        server.acme(201, "POST", "/persons", json!({"key": key, "face_sets": ["staff"]})).await;
        server.enrol(key, picture).await;
    }
    let search = |body: Value| server.acme(200, "POST", "/face-sets/staff/search", body);
    let found = search(json!({"person": "anna"})).await;
    assert_eq!(found["candidates"].as_array().unwrap().len(), 1, "{found}");
    assert_eq!(found["candidates"][0]["face"]["person"], "bert", "its own faces are left out");
    assert_eq!(
        (&found["n_compared"], &found["far"], &found["far_bound"]),
        (&json!(1), &json!(1e-4), &json!("measured"))
    );
    server.enrol("anna", "face anna~0.9 40x40+10+5").await;
    let found = search(json!({"person": "anna", "explain": true})).await;
    assert_eq!((&found["n_compared"], &found["n_faces"]), (&json!(2), &json!(3)));
    assert_eq!(found["far_bound"], "at_most", "two comparisons with each: {found}");
    let near = |value: &Value, expected: f64| (value.as_f64().unwrap() / expected - 1.0).abs() < 1e-3;
    assert!(near(&found["far"], 1e-4) && near(&found["false_matches"], 3e-4), "{found}");
    let explanation = &found["explanation"];
    assert_eq!(explanation["best"]["face"]["person"], "bert", "{explanation}");
    assert!(explanation.get("next").is_none() && explanation.get("margin").is_none(), "{explanation}");
    let nobody = search(json!({"person": "anna", "explain": true, "filter": "subject:nobody"})).await;
    let said = nobody["explanation"]["remarks"][0].as_str().unwrap();
    assert!(said.starts_with("no face was compared: besides the person's own"), "{said}");
    assert!(nobody["explanation"].get("best").is_none());

    let compare = |far: f64| {
        let body = json!({"image": {"base64": base64(b"face bert 40x40+10+5")}, "far": far});
        server.send("acme", "POST", "/persons/anna/compare", &[], body)
    };
    let (_, _, compared) = compare(2e-3).await;
    assert_eq!((&compared["n_compared"], &compared["far_bound"]), (&json!(2), &json!("at_least")), "{compared}");
    assert_eq!((&compared["far_asked"], &compared["far_applied"]), (&json!(2e-3), &json!(2e-3)));
    let (_, _, one) = server
        .send("acme", "POST", "/compare", &[], {
            let image = json!({"base64": base64(b"face bert 40x40+10+5")});
            json!({"image_a": image, "image_b": image, "far": 1e-3})
        })
        .await;
    assert_eq!(compared["similarity_min"], one["similarity_min"], "1e-3 for each of two faces");
    let (status, _, refused) = compare(1e-6).await;
    assert_eq!((status, &refused["error"]["field"]), (400, &json!("far")), "{refused}");
    let listed = server.acme(200, "GET", "/face-sets/staff/faces?include=templates", Value::Null).await;
    let template = listed["faces"][0]["template"].as_str().unwrap().to_owned();
    let found = search(json!({"template": template})).await;
    assert_eq!(found["candidates"][0]["face"]["person"], "anna");
    // Templates are for keys with the grant.
    let all_but = |key| AccessKey { grants: Grants::USUAL, ..key };
    server.add_key("acme", "usual", all_but).await;
    for (method, path, body) in [
        ("GET", "/face-sets/staff/faces?include=templates", Value::Null),
        ("POST", "/face-sets/staff/search", json!({"template": template})),
    ] {
        let (status, _, answer) = server.send("usual", method, path, &[], body).await;
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("forbidden")), "{answer}");
    }
    for (body, code) in [
        (json!({"template": "AAAA"}), "invalid_argument"),
        (json!({"template": "AAAAAA=="}), "invalid_argument"),
        (json!({"template": "!"}), "invalid_argument"),
        (json!({"template": "", "person": "anna"}), "invalid_argument"),
        (json!({"template": ""}), "invalid_argument"),
        (json!({"person": "carl"}), "person_not_found"),
        (json!({}), "missing_argument"),
    ] {
        let (_, _, answer) = server.send("acme", "POST", "/face-sets/staff/search", &[], body.clone()).await;
        assert_eq!(answer["error"]["code"], code, "{body}: {answer}");
    }
    let picture = json!({"base64": base64("face anna 60x60+10+5\nface zoe 40x40+300+100")});
    let body = json!({"image": picture, "faces_max": 5, "top": 2});
    let found = server.acme(200, "POST", "/face-sets/staff/search-picture", body).await;
    let faces = found["faces"].as_array().unwrap();
    assert_eq!((faces.len(), faces[0]["candidates"].as_array().unwrap().len()), (2, 2), "{found}");
    assert_eq!((&faces[0]["candidates"][0]["face"]["person"], &faces[1]["candidates"]), (&json!("anna"), &json!([])));
    for wrong in
        [json!({"faces_max": 0}), json!({"faces_max": 257}), json!({"top": 1001}), json!({"faces_max": 256, "top": 40})]
    {
        let mut body = wrong;
        body["image"] = picture.clone();
        let (status, ..) = server.send("acme", "POST", "/face-sets/staff/search-picture", &[], body).await;
        assert_eq!(status, 400);
    }
    let one = json!({"image": {"base64": base64("face anna~0.9 40x40+10+5")}});
    let compared = server.acme(200, "POST", "/persons/anna/compare", one.clone()).await;
    assert_eq!((&compared["same"], &compared["n_compared"]), (&json!(true), &json!(2)), "{compared}");
    server.acme(201, "POST", "/persons", json!({"key": "carl"})).await;
    let (_, _, answer) = server.send("acme", "POST", "/persons/carl/compare", &[], one.clone()).await;
    assert_eq!(answer["error"]["code"], "face_not_found");
    let (_, _, answer) = server.send("other", "POST", "/persons/anna/compare", &[], one).await;
    assert_eq!(answer["error"]["code"], "person_not_found");
}

#[tokio::test]
async fn an_upload_is_named_instead_of_being_sent_again() {
    let server = with_set().await;
    let upload = server.acme(201, "POST", "/uploads", face()).await;
    let image = json!({"image": {"upload": upload["upload"]}});
    assert_eq!(server.acme(200, "POST", "/detect", image.clone()).await["faces"].as_array().unwrap().len(), 1);
    server.acme(201, "POST", FACES, image.clone()).await;
    // It is the tenant's own, and neither an address nor another upload can be uploaded.
    let (_, _, answer) = server.send("other", "POST", "/detect", &[], image.clone()).await;
    assert_eq!(answer["error"]["code"], "upload_not_found");
    for wrong in [json!({"url": "http://img.test/a.jpg"}), image["image"].clone()] {
        let (status, _, answer) = server.send("acme", "POST", "/uploads", &[], json!({"image": wrong})).await;
        assert_eq!((status, &answer["error"]["field"]), (400, &json!("image")), "{answer}");
    }
    server.bed.clock.advance(Duration::from_hours(1));
    let (_, _, answer) = server.send("acme", "POST", "/detect", &[], image).await;
    assert_eq!(answer["error"]["code"], "upload_not_found");
}

#[tokio::test]
async fn a_delete_as_a_job_is_done_and_told_of() {
    let server = with_set().await;
    for age in [10, 20, 30] {
        let body = json!({"image": {"base64": base64(P1)}, "fields": {"age": age}});
        server.acme(201, "POST", FACES, body).await;
    }
    let later = "/face-sets/staff/faces/delete-later";
    let job = server.acme(202, "POST", later, json!({"filter": "age:[20 TO 90]"})).await;
    assert_eq!((&job["state"], &job["kind"], &job["key"]), (&json!("waiting"), &json!("delete-faces"), &json!("acme")));
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    // What can never be done is refused at once.
    for (body, code) in [
        (json!({"filter": "x:1"}), "unknown_field"),
        (json!({"filter": " "}), "invalid_argument"),
        (json!({"ids": []}), "invalid_argument"),
    ] {
        let (_, _, answer) = server.send("acme", "POST", later, &[], body).await;
        assert_eq!(answer["error"]["code"], code);
    }
    let (_, _, answer) = server.send("other", "GET", &path, &[], Value::Null).await;
    assert_eq!(answer["error"]["code"], "job_not_found");
    let gone = server.acme(202, "POST", later, json!({"filter": "age:[10 TO 10]"})).await;
    let gone_path = format!("/jobs/{}", gone["id"].as_str().unwrap());
    for _ in 0..2 {
        assert_eq!(server.acme(200, "DELETE", &gone_path, Value::Null).await["cancelled"], gone["id"]);
    }

    let done = work_until_done(&server, "delete-faces", &path).await;
    assert_eq!(done["outcome"], json!({"n_faces": 2}), "{done}");
    assert_eq!(n_faces(&server).await, 1);

    // What was cancelled has done nothing and is known for a day; what is done cannot be cancelled.
    let cancelled = server.acme(200, "GET", &gone_path, Value::Null).await;
    assert_eq!((&cancelled["state"], &cancelled["outcome"]), (&json!("cancelled"), &json!({"n_faces": 0})));
    assert!(cancelled["expires_at"].is_string() && cancelled.get("due_at").is_none(), "{cancelled}");
    let listed = server.acme(200, "GET", "/jobs", Value::Null).await;
    let states: Vec<_> = listed["jobs"].as_array().unwrap().iter().map(|job| &job["state"]).collect();
    assert_eq!(states, ["cancelled", "done"]);
    let (status, _, answer) = server.send("acme", "DELETE", &path, &[], Value::Null).await;
    assert_eq!((status, &answer["error"]["code"]), (409, &json!("job_done")), "{answer}");
    server.bed.clock.advance(Duration::from_hours(24));
    let (_, _, answer) = server.send("acme", "GET", &gone_path, &[], Value::Null).await;
    assert_eq!(answer["error"]["code"], "job_not_found");
}

/// Does the jobs of a kind until the one at that path is done, and gives it.
pub(crate) async fn work_until_done(server: &Server, kind: &str, path: &str) -> Value {
    use likeness_domain::library::jobs::Jobs;
    use std::sync::Arc;

    let jobs = Arc::new(Jobs::new(server.bed.store.clone(), server.bed.clock.clone(), server.bed.clock.clone()));
    let workers = likeness_wire::workers(server.bed.wire(Settings::default()));
    let worker = workers.into_iter().find(|worker| worker.handler.plan().kind == kind).unwrap();
    let working = {
        let jobs = Arc::clone(&jobs);
        tokio::spawn(async move { jobs.work(&*worker.handler).await })
    };
    let done = loop {
        tokio::task::yield_now().await;
        let job = server.acme(200, "GET", path, Value::Null).await;
        if job["state"] == "done" {
            break job;
        }
    };
    jobs.stop();
    working.await.unwrap();
    done
}

/// Does a step of a job that enrols, like a server that is gone before it has noted that.
async fn begin_and_vanish(server: &Server) {
    let now = server.bed.clock.now();
    let claimed = server.bed.store.claim("enrol-faces", now, TimestampMs(now.0 + 10_000), None).await.unwrap().unwrap();
    let workers = likeness_wire::workers(server.bed.wire(Settings::default()));
    let worker = workers.into_iter().find(|worker| worker.handler.plan().kind == "enrol-faces").unwrap();
    assert!(worker.handler.run(&claimed).await.is_ok());
}

/// Image after image of a job is enrolled or refused by itself, and each is told of; done twice, it enrols nothing twice.
#[tokio::test]
async fn many_images_are_enrolled_by_a_job() {
    let server = with_set().await;
    let upload = async |picture: &str| {
        let made = server.acme(201, "POST", "/uploads", json!({"image": {"base64": base64(picture)}})).await;
        json!({"image": {"upload": made["upload"]}})
    };
    let mut photos = Vec::new();
    // More than one step.
    for number in 0..20 {
        let mut photo = upload(P1).await;
        photo["external_id"] = json!(format!("photo-{number}"));
        photos.push(photo);
    }
    photos[3]["external_id"] = json!("photo-1");
    photos[7] = upload("size 100x100").await;
    photos[18] = json!({"image": {"upload": "nope"}});
    photos[19] = upload("face bert 40x40+10+5\nface carl 30x30+90+5").await;
    photos[19]["faces"] = json!("all");
    let later = "/face-sets/staff/faces/enrol-later";
    let job = server.acme(202, "POST", later, json!({"photos": photos})).await;
    assert_eq!((&job["state"], &job["kind"]), (&json!("waiting"), &json!("enrol-faces")));
    assert_eq!(job["progress"], json!({"n_done": 0, "n_total": 20}));
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());

    // Whoever begins it is gone before it is noted what was done: only the payload is as it was.
    begin_and_vanish(&server).await;
    assert_eq!(n_faces(&server).await, 14);
    server.bed.clock.advance(Duration::from_secs(10));

    let done = work_until_done(&server, "enrol-faces", &path).await;
    assert_eq!(done["progress"], json!({"n_done": 20, "n_total": 20}));
    let outcome = &done["outcome"];
    assert_eq!((&outcome["n_faces"], n_faces(&server).await), (&json!(18), 18), "{outcome}");
    let told = outcome["photos"].as_array().unwrap();
    assert_eq!(told.len(), 20);
    for (idx, code) in [(3, "face_exists"), (7, "no_face_in_image"), (18, "upload_not_found")] {
        assert_eq!((&told[idx]["code"], &told[idx]["n_faces"]), (&json!(code), &json!(0)), "{}", told[idx]);
        assert!(told[idx]["message"].is_string());
    }
    assert_eq!(told[19]["n_faces"], 2);
    let shown = format!("/face-sets/staff/faces/{}", told[0]["face_ids"][0].as_str().unwrap());
    assert_eq!(server.acme(200, "GET", &shown, Value::Null).await["external_id"], "photo-0");
    // Its pictures are not kept for their hour.
    for photo in [&photos[0], &photos[7], &photos[19]] {
        let (_, _, answer) = server.send("acme", "POST", "/detect", &[], json!({"image": photo["image"]})).await;
        assert_eq!(answer["error"]["code"], "upload_not_found", "{answer}");
    }
}

/// Issue 17: the server that did it was killed in the middle of a step; who had cancelled it on another one was told of fewer
/// faces than were enrolled.
#[tokio::test]
async fn a_cancelled_job_tells_of_faces_that_its_server_had_yet_to_note() {
    let server = with_set().await;
    let mut photos = Vec::new();
    for number in 0..20 {
        let picture = if number == 3 { "size 100x100" } else { P1 };
        let made = server.acme(201, "POST", "/uploads", json!({"image": {"base64": base64(picture)}})).await;
        photos.push(json!({"image": {"upload": made["upload"]}}));
    }
    let job = server.acme(202, "POST", "/face-sets/staff/faces/enrol-later", json!({"photos": photos})).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    begin_and_vanish(&server).await;
    server.acme(200, "DELETE", &path, Value::Null).await;
    let outcome = &server.acme(200, "GET", &path, Value::Null).await["outcome"];
    assert_eq!((&outcome["n_faces"], n_faces(&server).await), (&json!(15), 15), "{outcome}");
    let told = outcome["photos"].as_array().unwrap();
    assert_eq!(told.len(), 16);
    assert_eq!((&told[3]["code"], &told[3]["n_faces"]), (&json!("internal"), &json!(0)), "{}", told[3]);
    for (idx, photo) in told.iter().enumerate().filter(|(idx, _)| *idx != 3) {
        let shown = format!("{FACES}/{}", photo["face_ids"][0].as_str().unwrap());
        assert_eq!(server.acme(200, "GET", &shown, Value::Null).await["id"], photo["face_ids"][0], "{idx}");
    }

    // Of a face set that is gone by then nothing is enrolled.
    let later = json!({"photos": [photos[17]]});
    let job = server.acme(202, "POST", "/face-sets/staff/faces/enrol-later", later).await;
    begin_and_vanish(&server).await;
    server.acme(200, "DELETE", "/face-sets/staff", Value::Null).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    server.acme(200, "DELETE", &path, Value::Null).await;
    let outcome = &server.acme(200, "GET", &path, Value::Null).await["outcome"];
    assert_eq!(outcome, &json!({"n_faces": 0, "photos": []}));
}

/// Issue 17: a server that was stopped while another one cancelled its job enrolled one more image when it went on.
#[tokio::test]
async fn who_is_late_with_a_cancelled_job_enrols_nothing_of_it() {
    let server = with_set().await;
    let made = server.acme(201, "POST", "/uploads", json!({"image": {"base64": base64(P1)}})).await;
    let photos = json!({"photos": [{"image": {"upload": made["upload"]}}]});
    let job = server.acme(202, "POST", "/face-sets/staff/faces/enrol-later", photos).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let now = server.bed.clock.now();
    let claimed = server.bed.store.claim("enrol-faces", now, TimestampMs(now.0 + 10_000), None).await.unwrap().unwrap();
    server.acme(200, "DELETE", &path, Value::Null).await;
    let workers = likeness_wire::workers(server.bed.wire(Settings::default()));
    let worker = workers.into_iter().find(|worker| worker.handler.plan().kind == "enrol-faces").unwrap();
    let settled = worker.handler.run(&claimed).await.unwrap();
    assert_eq!(n_faces(&server).await, 0);
    assert!(!server.bed.store.settle(claimed.lease(), settled.outcome, settled.follow_ups).await.unwrap());
    let told = server.acme(200, "GET", &path, Value::Null).await;
    assert_eq!(
        (&told["state"], &told["outcome"]),
        (&json!("cancelled"), &json!({"n_faces": 0, "photos": []})),
        "{told}"
    );
}

#[tokio::test]
async fn a_job_that_enrols_is_refused_where_it_could_never_be_done_and_can_be_cancelled() {
    let server = with_set().await;
    let later = "/face-sets/staff/faces/enrol-later";
    let photo = json!({"image": {"upload": "u"}});
    let with = |member: &str, value: Value| {
        let mut second = photo.clone();
        second[member] = value;
        json!({"photos": [photo, second]})
    };
    for (body, code, text) in [
        (json!({"photos": []}), "invalid_argument", "`photos` has 0 entries, expected 1 to 1000"),
        (json!({"photos": vec![&photo; 1001]}), "invalid_argument", "`photos` has 1001 entries"),
        (with("image", json!({"base64": base64(P1)})), "invalid_argument", "photo 2: `image` came in base64"),
        (with("faces", json!("0")), "invalid_argument", "photo 2: "),
        (with("fields", json!({"nope": 1})), "field_not_defined", "photo 2: "),
        (with("note", json!("n".repeat(1 << 20))), "invalid_argument", "photo 2: "),
    ] {
        let (_, _, answer) = server.send("acme", "POST", later, &[], body).await;
        let error = &answer["error"];
        assert_eq!(error["code"], code, "{answer}");
        assert!(error["message"].as_str().unwrap().starts_with(text), "{answer}");
        assert!(error["field"].is_string(), "{answer}");
    }
    let noted = json!({"image": {"upload": "u"}, "note": "n".repeat(600)});
    let (_, _, answer) = server.send("acme", "POST", later, &[], json!({"photos": vec![noted; 1000]})).await;
    assert!(answer["error"]["message"].as_str().unwrap().contains("make several jobs of it"), "{answer}");
    let elsewhere = "/face-sets/nope/faces/enrol-later";
    let (_, _, answer) = server.send("acme", "POST", elsewhere, &[], with("note", json!("n"))).await;
    assert_eq!(answer["error"]["code"], "face_set_not_found");

    let job = server.acme(202, "POST", later, with("note", json!("n"))).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    server.acme(200, "DELETE", &path, Value::Null).await;
    let cancelled = server.acme(200, "GET", &path, Value::Null).await;
    let nothing = json!({"n_faces": 0, "photos": []});
    assert_eq!((&cancelled["state"], &cancelled["outcome"]), (&json!("cancelled"), &nothing), "{cancelled}");

    // A set that is gone meanwhile: every image is told so.
    let job = server.acme(202, "POST", later, with("note", json!("n"))).await;
    server.acme(200, "DELETE", "/face-sets/staff", Value::Null).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let done = work_until_done(&server, "enrol-faces", &path).await;
    assert_eq!(done["outcome"]["n_faces"], 0);
    let told = done["outcome"]["photos"].as_array().unwrap();
    assert!(told.len() == 2 && told.iter().all(|photo| photo["code"] == "face_set_not_found"), "{done}");
}

/// All or none: a delete that was begun goes on to its end, and whoever cancels it hears so.
#[tokio::test]
async fn a_delete_that_was_begun_is_not_cancelled() {
    let server = with_set().await;
    server.acme(201, "POST", FACES, json!({"image": {"base64": base64(P1)}, "subject": "anna"})).await;
    let job = server.acme(202, "POST", "/face-sets/staff/faces/delete-later", json!({"subject": "anna"})).await;
    let path = format!("/jobs/{}", job["id"].as_str().unwrap());
    let now = server.bed.clock.now();
    let claimed = server.bed.store.claim("delete-faces", now, TimestampMs(now.0 + 10_000), None).await.unwrap();
    assert_eq!(claimed.unwrap().id.to_string(), job["id"].as_str().unwrap());
    // Under way, and when whoever did it is gone.
    for state in ["running", "waiting"] {
        assert_eq!(server.acme(200, "GET", &path, Value::Null).await["state"], state);
        let (status, _, answer) = server.send("acme", "DELETE", &path, &[], Value::Null).await;
        assert_eq!((status, &answer["error"]["code"]), (409, &json!("job_done")), "{answer}");
        server.bed.clock.advance(Duration::from_secs(10));
    }
}

#[tokio::test]
async fn a_body_that_is_refused_is_told_in_words_of_json() {
    let server = with_set().await;
    server.acme(201, "POST", "/persons", json!({"key": "anna", "face_sets": ["staff"]})).await;
    for path in ["/face-sets/staff/faces/count", "/face-sets/staff/faces/delete", "/face-sets/staff/faces/delete-later"]
    {
        for (body, code, field, said) in [
            (json!({}), "missing_argument", "ids", "one is needed of `ids`, `subject`, `field`, `filter`"),
            (
                json!({"ids": ["1"], "subject": "x"}),
                "invalid_argument",
                "subject",
                "`ids` and `subject` exclude each other",
            ),
            (json!({"subject": 3}), "invalid_argument", "subject", "`subject` is 3, expected a text"),
            (json!({"ids": "1"}), "invalid_argument", "ids", "`ids` is the text \"1\", expected a list"),
            (json!({"field": {"name": "age"}}), "missing_argument", "field.value", "`field.value` is missing"),
        ] {
            let (status, _, answer) = server.send("acme", "POST", path, &[], body.clone()).await;
            let error = &answer["error"];
            assert_eq!(
                (status, &error["code"], &error["field"]),
                (400, &json!(code), &json!(field)),
                "{body}: {answer}"
            );
            assert_eq!(error["message"], said, "{body}");
        }
    }
    let image = json!({"base64": base64(b"face anna 40x40+10+5")});
    for (path, body, field, said) in [
        (
            "/face-sets",
            json!({"name": "a", "capacity": -1}),
            "capacity",
            "`capacity` is -1, expected a whole number from 0",
        ),
        (
            "/face-sets",
            json!({"name": "a", "capacity": 1.5}),
            "capacity",
            "`capacity` is 1.5, expected a whole number from 0",
        ),
        ("/face-sets", json!({"name": "a", "fields": {}}), "fields", "`fields` is an object, expected a list"),
        ("/face-sets", json!({"name": null}), "name", "`name` is null, expected a text"),
        (
            "/face-sets/staff/search",
            json!({"face_id": "1", "top": "9"}),
            "top",
            "`top` is the text \"9\", expected a whole number from 0",
        ),
        ("/face-sets/staff/search", json!({"face_id": "1", "far": true}), "far", "`far` is true, expected a number"),
        (
            "/face-sets/staff/search",
            json!({"image": image, "explain": 1}),
            "explain",
            "`explain` is 1, expected true or false",
        ),
    ] {
        let (status, _, answer) = server.send("acme", "POST", path, &[], body.clone()).await;
        let error = &answer["error"];
        assert_eq!((status, &error["field"]), (400, &json!(field)), "{body}: {answer}");
        assert_eq!(error["message"], said, "{body}");
    }
    // A whole number is one however it is written.
    let set = server.acme(201, "POST", "/face-sets", json!({"name": "whole", "capacity": 783.0})).await;
    assert_eq!(set["capacity"], 783);

    for (path, given) in [("/compare-many", "multipart/form-data; boundary=x"), ("/face-sets", "image/jpeg")] {
        let headers = [("content-type", given)];
        let (status, _, answer) = server.bytes("acme", "POST", path, &headers, Body::from("--x--")).await;
        let answer: Value = serde_json::from_slice(&answer).unwrap();
        let error = &answer["error"];
        assert_eq!((status, &error["field"]), (400, &json!("content-type")), "{answer}");
        assert!(error["message"].as_str().unwrap().ends_with("this operation takes JSON"), "{answer}");
        assert!(error["hint"].is_string());
    }
}

#[tokio::test]
async fn a_listing_of_persons_ends_where_they_end() {
    let server = with_set().await;
    for key in ["anna", "bert", "carl", "dora"] {
        server.acme(201, "POST", "/persons", json!({"key": key})).await;
    }
    for (limit, n_stretches) in [(1, 4), (2, 2), (3, 2), (4, 1), (5, 1)] {
        let (mut cursor, mut listed, mut n_asked) = (String::new(), Vec::new(), 0);
        loop {
            let page = server.acme(200, "GET", &format!("/persons?limit={limit}{cursor}"), Value::Null).await;
            let keys =
                page["persons"].as_array().unwrap().iter().map(|person| person["key"].as_str().unwrap().to_owned());
            listed.extend(keys);
            n_asked += 1;
            let Some(next) = page.get("next_cursor") else { break };
            cursor = format!("&cursor={}", next.as_str().unwrap());
        }
        assert_eq!((listed.join(" ").as_str(), n_asked), ("anna bert carl dora", n_stretches), "{limit}");
    }
}
