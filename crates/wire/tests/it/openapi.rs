//! The description of the native API is true: it has every operation and no other, every example in it is run by a server, and
//! what the server answers is what the description says.

use std::collections::BTreeSet;

use axum::body::Body;
use expect_test::expect_file;
use http::Request;
use likeness_domain::ports::{JobStore, NewJob};
use likeness_domain::types::{AccessKeyId, JobId, TimestampMs};
use likeness_wire::native::{openapi, operations};
use serde_json::{Map, Value, json};
use tower::ServiceExt;

use crate::Settings;
use crate::native::{NOW, Server};
use crate::testbed::{P1, base64, tenant_id};

/// Operations whose examples are not run here: tickets are for the owner of the data folder.
const NOT_RUN: &[&str] = &["make_ticket"];

/// The operations in an order in which each finds what it needs.
const ORDER: &[&str] = &[
    "begin_session",
    "show_session",
    "show_status",
    "list_packs",
    "create_face_set",
    "show_face_set",
    "update_face_set",
    "list_face_sets",
    "add_faces",
    "show_face",
    "show_thumbnail",
    "list_thumbnails",
    "update_face",
    "list_faces",
    "count_faces",
    "delete_faces_later",
    "enrolled",
    "search",
    "search_picture",
    "compare",
    "compare_many",
    "detect",
    "liveness",
    "upload",
    "add_faces_later",
    "export_faces",
    "import_faces",
    "export_faces_later",
    "import_faces_later",
    "fetch_archive",
    "erase_archive",
    "create_person",
    "add_person_face",
    "show_person",
    "list_members",
    "list_persons",
    "list_person_faces",
    "list_person_thumbnails",
    "update_person",
    "change_memberships",
    "compare_person",
    "move_faces",
    "merge_persons",
    "split_person",
    "create_key",
    "list_keys",
    "show_key",
    "update_key",
    "rotate_key",
    "delete_key",
    "list_changes",
    "list_jobs",
    "show_job",
    "cancel_job",
    "delete_faces",
    "delete_face",
    "delete_person_face",
    "delete_person",
    "delete_face_set",
    "end_session",
    "show_settings",
    "show_metrics",
    "create_tenant",
    "show_tenant",
    "update_tenant",
    "create_tenant_key",
    "list_tenants",
    "delete_tenant",
    "show_report",
    "show_report_progress",
    "acknowledge_losses",
];

fn pretty(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap() + "\n"
}

/// `UPDATE_EXPECT=1` writes it anew.
#[test]
fn the_description_in_docs_is_the_one_that_is_served() {
    expect_file!["../../../../docs/openapi.json"].assert_eq(&pretty(&openapi::document()));
}

#[test]
fn every_operation_is_described_and_nothing_else() {
    let document = openapi::document();
    let mut described: Vec<String> = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let name = operation["operationId"].as_str().unwrap();
            described.push(format!("{} {path} {name}", method.to_uppercase()));
            for argument in path.split('/').filter_map(|segment| segment.strip_prefix('{')?.strip_suffix('}')) {
                let parameters = operation["parameters"].as_array().unwrap();
                let is_named = |parameter: &Value| parameter["name"] == argument && parameter["in"] == "path";
                assert!(parameters.iter().any(is_named), "{name} has no parameter {argument}");
            }
        }
    }
    let mut offered: Vec<String> =
        operations().iter().map(|info| format!("{} {} {}", info.method, info.path, info.name)).collect();
    described.sort_unstable();
    offered.sort_unstable();
    assert_eq!(described, offered);
    check_references(&document, &document);
}

/// Every reference leads to something.
fn check_references(part: &Value, document: &Value) {
    match part {
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                let pointer = reference.strip_prefix('#').unwrap();
                assert!(document.pointer(pointer).is_some(), "{reference} leads to nothing");
            }
            members.values().for_each(|member| check_references(member, document));
        }
        Value::Array(entries) => entries.iter().for_each(|entry| check_references(entry, document)),
        _ => {}
    }
}

/// What is wrong with a value by its schema, as far as our schemas go.
fn fault(schema: &Value, value: &Value, document: &Value, place: &str) -> Option<String> {
    let say = |what: String| Some(format!("{place}: {what}: {value}"));
    let Value::Object(members) = schema else {
        return if *schema == json!(false) { say("nothing fits".into()) } else { None };
    };
    if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
        let found = fault(document.pointer(&reference[1..]).unwrap(), value, document, place);
        if found.is_some() {
            return found;
        }
    }
    for (name, least) in [("oneOf", 1), ("anyOf", 1)] {
        if let Some(Value::Array(choices)) = members.get(name) {
            let n_fitting = choices.iter().filter(|choice| fault(choice, value, document, place).is_none()).count();
            if n_fitting < least {
                return say(format!("fits none of {name}"));
            }
        }
    }
    if let Some(Value::Array(all)) = members.get("allOf")
        && let Some(found) = all.iter().find_map(|one| fault(one, value, document, place))
    {
        return Some(found);
    }
    if members.get("const").is_some_and(|constant| constant != value) {
        return say("is not the constant".into());
    }
    if let Some(Value::Array(choices)) = members.get("enum")
        && !choices.contains(value)
    {
        return say("is not among the values".into());
    }
    let is_of = |kind: &str| match kind {
        "object" => value.is_object(),
        "array" => value.is_array(),
        "string" => value.is_string(),
        "integer" => value.is_i64() || value.is_u64(),
        "number" => value.is_number(),
        "boolean" => value.is_boolean(),
        _ => value.is_null(),
    };
    let fits = match members.get("type") {
        None => true,
        Some(Value::String(kind)) => is_of(kind),
        Some(kinds) => kinds.as_array().unwrap().iter().any(|kind| is_of(kind.as_str().unwrap())),
    };
    if !fits {
        return say(format!("is not of type {}", members["type"]));
    }
    if let Value::Object(given) = value {
        let empty = Map::new();
        let properties = members.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        for required in members.get("required").and_then(Value::as_array).into_iter().flatten() {
            if !given.contains_key(required.as_str().unwrap()) {
                return say(format!("lacks {required}"));
            }
        }
        for (name, member) in given {
            let place = format!("{place}/{name}");
            let schema = properties.get(name).or(members.get("additionalProperties")).or_else(|| {
                // Whatever else is not described must not be in an answer either.
                let is_described = members.contains_key("properties") && !members.contains_key("allOf");
                is_described.then_some(&Value::Bool(false))
            });
            if let Some(found) = schema.and_then(|schema| fault(schema, member, document, &place)) {
                return Some(found);
            }
        }
    }
    if let (Value::Array(entries), Some(items)) = (value, members.get("items")) {
        return entries.iter().find_map(|entry| fault(items, entry, document, &format!("{place}[]")));
    }
    None
}

/// The numbers in a request of this schema, each by the names of the members that lead to it.
fn numbers(schema: &Value, document: &Value, place: &[String], found: &mut BTreeSet<Vec<String>>) {
    if let Some(reference) = schema["$ref"].as_str() {
        numbers(document.pointer(&reference[1..]).unwrap(), document, place, found);
    }
    for choices in ["oneOf", "anyOf", "allOf"] {
        schema[choices].as_array().into_iter().flatten().for_each(|one| numbers(one, document, place, found));
    }
    let is_number = |kind: &Value| *kind == "integer" || *kind == "number";
    if !place.is_empty()
        && (is_number(&schema["type"]) || schema["type"].as_array().into_iter().flatten().any(is_number))
    {
        found.insert(place.to_vec());
    }
    for (name, member) in schema["properties"].as_object().into_iter().flatten() {
        numbers(member, document, &[place, std::slice::from_ref(name)].concat(), found);
    }
}

/// Every number that a request may have, in its body or its query, is refused by its name where it is none, is empty, is beyond
/// every number or is there twice.
#[tokio::test]
async fn every_number_of_every_request_is_refused_where_it_is_none() {
    let server = Server::new().await;
    server.add_operator().await;
    let document = openapi::document();
    let (mut n_members, mut n_options, mut wrong) = (0, 0, Vec::new());
    for operation in operations() {
        let key = if operation.needs.are_an_operators() { "operator" } else { "acme" };
        let described = &document["paths"][operation.path][&operation.method.to_ascii_lowercase()];
        let (path, _) = openapi::example(&operation).unwrap();
        let path = path.split('?').next().unwrap();
        let mut requests: Vec<(String, String, String)> = Vec::new();
        let mut members = BTreeSet::new();
        let body = &described["requestBody"]["content"]["application/json"]["schema"];
        numbers(body, &document, &[], &mut members);
        for member in &members {
            n_members += 1;
            let (name, within) = member.split_last().unwrap();
            let nested = |text: String| {
                within.iter().rev().fold(format!("{{{text}}}"), |text, outer| format!("{{{outer:?}: {text}}}"))
            };
            for value in [r#""x""#, r#""""#, r#""nan""#, "true", "[1]", "{}"] {
                requests.push((path.to_owned(), nested(format!("{name:?}: {value}")), name.clone()));
            }
            requests.push((path.to_owned(), nested(format!("{name:?}: 1, {name:?}: 1")), name.clone()));
            for value in ["NaN", "Infinity", "-Infinity", "1e999", "01", ""] {
                requests.push((path.to_owned(), nested(format!("{name:?}: {value}")), "JSON".to_owned()));
            }
        }
        for parameter in described["parameters"].as_array().into_iter().flatten() {
            let mut found = BTreeSet::new();
            let name = parameter["name"].as_str().unwrap();
            numbers(&parameter["schema"], &document, &[name.to_owned()], &mut found);
            if parameter["in"] != "query" || found.is_empty() {
                continue;
            }
            n_options += 1;
            for value in ["x", "", "nan", "NaN", "inf", "-inf", "1e999", "1,5"] {
                requests.push((format!("{path}?{name}={value}"), "{}".to_owned(), name.to_owned()));
            }
            requests.push((format!("{path}?{name}=1&{name}=1"), "{}".to_owned(), name.to_owned()));
        }
        for (path, body, named) in requests {
            let headers = [("content-type", "application/json")];
            let (status, _, answer) = server.bytes(key, operation.method, &path, &headers, body.clone().into()).await;
            let answer = String::from_utf8_lossy(&answer).into_owned();
            if status != 400 || !answer.contains(&named) {
                wrong.push(format!("{}: {path} {body}: {status} {answer}", operation.name));
            }
        }
    }
    assert!(n_members > 20 && n_options > 5, "{n_members} members and {n_options} options are numbers");
    assert!(wrong.is_empty(), "{}:\n{}", wrong.len(), wrong.join("\n"));
}

/// Does the jobs of a kind that are due. Nothing is asked of the server meanwhile: how often it was asked would show in the
/// ids of later answers.
async fn do_jobs(server: &Server, kind: &'static str) {
    let workers = likeness_wire::workers(server.bed.wire(Settings::default()));
    let worker = workers.into_iter().find(|worker| worker.handler.plan().kind == kind).unwrap();
    let lease_until = TimestampMs(NOW + 10_000);
    while let Some(job) = server.bed.store.claim(kind, TimestampMs(NOW), lease_until, None).await.unwrap() {
        let settled = worker.handler.run(&job).await.unwrap();
        server.bed.store.settle(job.lease(), settled.outcome, settled.follow_ups).await.unwrap();
    }
}

/// The answers are those in `crates/wire/src/native/openapi/examples.json`; `UPDATE_EXPECT=1` writes them anew.
#[tokio::test]
async fn every_example_is_run() {
    let server = Server::new().await;
    let document = openapi::document();
    let all: Vec<&str> = operations().iter().map(|info| info.name).filter(|name| !NOT_RUN.contains(name)).collect();
    for name in &all {
        assert!(ORDER.contains(name), "the example of {name} is not run");
    }
    let mut words: Vec<(&str, String)> =
        vec![("ID.SECRET", "acme.acme".to_owned()), ("default-2", "fake-1".to_owned())];
    let mut answers = Map::new();
    for name in ORDER {
        let operation = *operations().iter().find(|info| info.name == *name).unwrap();
        match *name {
            "create_tenant" => server.add_operator().await,
            // Somebody to move faces to.
            "move_faces" => drop(server.acme(201, "POST", "/persons", json!({"key": "bert"})).await),
            "delete_person_face" => {
                let id = server.enrol("anna", P1).await;
                words.retain(|(word, _)| *word != "PERSON_FACE");
                words.insert(0, ("PERSON_FACE", id));
            }
            "list_jobs" => {
                let job = NewJob {
                    id: JobId::new(77).unwrap(),
                    tenant: tenant_id(5),
                    key: AccessKeyId::new("acme"),
                    kind: "scan",
                    payload: bytes::Bytes::new(),
                    due_at: TimestampMs(NOW),
                    created_at: TimestampMs(NOW),
                };
                server.bed.store.enqueue(vec![job], 10).await.unwrap();
                words.push(("JOB", "77".to_owned()));
            }
            _ => {}
        }
        let (path, body) = openapi::example(&operation).unwrap();
        let (mut path, mut text) = (path, body.to_string());
        for (word, meaning) in &words {
            path = path.replace(word, meaning);
            text = text.replace(word, meaning);
        }
        let mut body: Value = serde_json::from_str(&text).unwrap();
        for image in ["image", "image_a", "image_b"] {
            if body.is_object() && !body[image].is_null() {
                let picture = if *name == "liveness" { "face anna 40x40+10+5 live=0.75\n" } else { P1 };
                body[image] = json!({"base64": base64(picture)});
            }
        }
        for other in body.get_mut("others").and_then(Value::as_array_mut).into_iter().flatten() {
            *other = json!({"base64": base64(P1)});
        }
        let method = operation.method.to_ascii_lowercase();
        let described = &document["paths"][operation.path][&method];
        if *name == "fetch_archive" {
            do_jobs(&server, "export-faces").await;
            let (status, headers, bytes) = server.bytes("acme", "GET", &path, &[], Body::empty()).await;
            assert_eq!((status, &headers["content-type"]), (200, &"application/zstd".parse().unwrap()));
            assert!(described["responses"]["200"]["content"]["application/zstd"].is_object());
            assert!(bytes.starts_with(b"\x28\xb5\x2f\xfd"));
            continue;
        }
        if *name == "show_thumbnail" {
            let (status, headers, bytes) = server.bytes("acme", "GET", &path, &[], Body::empty()).await;
            assert_eq!((status, &headers["content-type"]), (200, &"image/jpeg".parse().unwrap()));
            let asked = [("accept", "application/octet-stream")];
            let (_, headers, _) = server.bytes("acme", "GET", &path, &asked, Body::empty()).await;
            assert_eq!(headers["content-type"], "application/octet-stream");
            for media_type in ["image/jpeg", "application/octet-stream"] {
                assert!(described["responses"]["200"]["content"][media_type].is_object());
            }
            assert_eq!(bytes, likeness_testkit::FAKE_THUMBNAIL);
            continue;
        }
        if let Some(lines) = body.as_str() {
            assert!(described["requestBody"]["content"]["application/octet-stream"].is_object());
            let headers = [("content-type", "application/x-ndjson")];
            let (status, _, answer) =
                server.bytes("acme", operation.method, &path, &headers, lines.to_owned().into()).await;
            let answer: Value = serde_json::from_slice(&answer).unwrap();
            let schema = &described["responses"][status.to_string()]["content"]["application/json"]["schema"];
            assert!(status == 202 && fault(schema, &answer, &document, name).is_none(), "{name}: {status} {answer}");
            answers.insert((*name).to_owned(), answer);
            continue;
        }
        if !body.is_null() {
            let schema = &described["requestBody"]["content"]["application/json"]["schema"];
            assert_eq!(fault(schema, &body, &document, name), None);
        }
        let key = if operation.needs.are_an_operators() { "operator" } else { "acme" };
        let (status, _, mut answer) = server.send(key, operation.method, &path, &[], body).await;
        let schema = &described["responses"][status.to_string()]["content"]["application/json"]["schema"];
        assert!((200..300).contains(&status) && !schema.is_null(), "{name}: {status} {answer}");
        assert_eq!(fault(schema, &answer, &document, name), None);
        match *name {
            "add_faces" => words.push(("FACE", answer["faces"][0]["id"].as_str().unwrap().to_owned())),
            "add_person_face" => {
                // Before the word that it begins with.
                words.insert(0, ("PERSON_FACE", answer["faces"][0]["id"].as_str().unwrap().to_owned()));
            }
            "export_faces_later" => words.push(("EXPORT", answer["id"].as_str().unwrap().to_owned())),
            "upload" => words.push(("UPLOAD", answer["upload"].as_str().unwrap().to_owned())),
            "create_key" => words.push(("KEY", answer["id"].as_str().unwrap().to_owned())),
            _ => {}
        }
        if answer.get("secret").is_some() {
            answer["secret"] = json!("SECRET");
        }
        if answer.get("position").is_some() {
            // It is sealed, and changes with the times of commits.
            answer["position"] = json!("AQAAAAAAAAAWi2bY3Zk6mzcRZ4p5kDHbQWpVtiOrfmM");
        }
        for commit in answer.get_mut("commits").and_then(Value::as_array_mut).into_iter().flatten() {
            // The store of the tests dates them by the clock on the wall.
            commit["at"] = json!("2026-11-21T20:36:40Z");
        }
        answers.insert((*name).to_owned(), answer);
    }
    expect_file!["../../src/native/openapi/examples.json"].assert_eq(&pretty(&Value::Object(answers)));
}

#[tokio::test]
async fn the_page_needs_nothing_but_this_server() {
    let server = Server::new().await;
    for (path, kind) in [
        ("/openapi.json", "application/json"),
        ("/docs", "text/html; charset=utf-8"),
        ("/docs/page.js", "text/javascript; charset=utf-8"),
        ("/docs/page.css", "text/css; charset=utf-8"),
    ] {
        let (status, headers, text) = server.text(path).await;
        assert_eq!((status, headers["content-type"].to_str().unwrap()), (200, kind), "{path}");
        if path != "/openapi.json" {
            let policy = headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
            assert!(!text.contains("://") && !text.contains("innerHTML"), "{path} names another host or writes markup");
        }
    }
    let request = Request::builder().uri("/likeness/v1/docs/").body(Body::empty()).unwrap();
    let answer = server.router.clone().oneshot(request).await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.headers()["location"].to_str().unwrap()), (308, "../docs"));
    let (_, _, text) = server.text("/openapi.json").await;
    assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), openapi::document());
}

/// Issue 15: such a request was answered like one to a path that is not there.
#[tokio::test]
async fn a_path_tells_the_methods_that_it_takes() {
    let server = Server::new().await;
    for (method, path, allowed) in [
        ("TRACE", "/changes", "GET,HEAD"),
        ("PUT", "/face-sets", "GET,HEAD,POST"),
        ("GET", "/face-sets/staff/search", "POST"),
    ] {
        let (status, headers, answer) = server.bytes("acme", method, path, &[], Body::empty()).await;
        assert_eq!((status, headers["allow"].to_str().unwrap()), (405, allowed), "{method} {path}");
        assert!(String::from_utf8_lossy(&answer).contains("\"unsupported\""), "{method} {path}");
    }
}

/// Names of the members that a request's type reads, as its refusal of an unknown one lists them.
fn members_read<T: serde::de::DeserializeOwned>() -> Vec<String> {
    let Err(error) = serde_json::from_str::<T>(r#"{"no such member": 0}"#) else { panic!("it reads any member") };
    let text = error.to_string();
    let (_, expected) = text.split_once("expected").expect("what is expected is said");
    let mut names: Vec<String> = expected.split('`').skip(1).step_by(2).map(str::to_owned).collect();
    names.sort_unstable();
    names
}

#[test]
fn requests_are_described_with_the_members_that_are_read() {
    use likeness_wire::native::dto;
    let schemas = &openapi::document()["components"]["schemas"];
    let resolved = |schema: &Value| match schema["$ref"].as_str() {
        Some(path) => schemas[path.rsplit('/').next().unwrap()].clone(),
        None => schema.clone(),
    };
    let mut n_types = 0;
    macro_rules! check {
        ($($name:ident)*) => { $(
            let schema = &schemas[stringify!($name)];
            let choices = schema["oneOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
            let mut described: Vec<String> = Vec::new();
            for choice in choices.iter().map(resolved) {
                assert_eq!(choice["additionalProperties"], false, "{}", stringify!($name));
                described.extend(choice["properties"].as_object().unwrap().keys().cloned());
            }
            described.sort_unstable();
            assert_eq!(described, members_read::<dto::$name>(), "{}", stringify!($name));
            n_types += 1;
        )* };
    }
    check!(AddFaces AddFacesLater AddPersonFace BeginSession ChangeLimits ChangeMemberships Compare CompareMany ComparePerson CreateFaceSet CreateKey CreatePerson CreateTenant
        DeleteFaces Detect ExternalIds Field Image ImportFaces Liveness MergePerson MoveFaces PutUpload RotateKey Search
        SearchPicture SplitPerson ThumbnailsOf UpdateFace UpdateFaceSet UpdateKey UpdatePerson UpdateTenant);
    // Every type that refuses unknown members is among them.
    let is_closed = |schema: &Value| {
        schema["additionalProperties"] == false || resolved(&schema["oneOf"][0])["additionalProperties"] == false
    };
    let closed = schemas.as_object().unwrap().values().filter(|schema| is_closed(schema));
    let parts = [
        "AddFacesOf",
        "ImageElsewhere",
        "ImageItself",
        "ArchivedFace",
        "ArchivedPerson",
        "DeleteFacesByIds",
        "DeleteFacesBySubject",
        "DeleteFacesByField",
        "DeleteFacesByFilter",
        "FieldValue",
    ];
    let not_requests = parts.iter().filter(|name| is_closed(&schemas[**name]));
    assert_eq!(n_types + not_requests.count(), closed.count());
}
