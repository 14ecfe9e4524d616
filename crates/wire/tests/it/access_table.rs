//! Key x operation x dialect: what a key may do is what its dialect answers, for every operation of every table.
//!
//! A new operation fails here until it has a request.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::BodyExt;
use likeness_domain::access::{Caller, FaceSetScope, Grant, Grants, Limits};
use likeness_domain::library::CreateFaceSet;
use likeness_domain::ports::{Clock, CredentialStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceSetName, FieldSchema, Secret, Tags, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_testkit::{FakeAnalyzer, FakeClock, block_on};
use likeness_wire::{ADAPTERS, Operation, State, http::target, native, router};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Settings;
use crate::testbed::{P1, Testbed, base64, tenant_id};

const DATE: &str = "Sat, 21 Nov 2026 20:36:40 GMT";
const NOW: TimestampMs = TimestampMs(1_795_293_400_000);
const KEY: &str = "TableKey001";
const SECRET: &str = "table-secret";

/// Sends within a runtime, since scans wait for a time limit.
fn sent(router: &Router, request: Request<Body>) -> (u16, http::HeaderMap, String) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    runtime.block_on(async {
        let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    })
}

struct Server {
    bed: Testbed,
    router: Router,
    tenant: TenantId,
}

impl Server {
    /// A server with the face set `staff` and one key.
    fn new(key: impl FnOnce(AccessKey) -> AccessKey) -> Self {
        let bed = Testbed::new(FakeClock::new(NOW.0), FakeAnalyzer::new());
        bed.fetcher.serve("http://img.test:8099/a.jpg", P1);
        let mut settings = Settings::default();
        settings.aliyun.upload_endpoint = "http://127.0.0.1:7080".parse().ok();
        let wire = bed.wire(settings);
        let tenant = tenant_id(0x77);
        let owner = Caller::server(tenant, "test");
        let made = Tenant::new(tenant, TenantName::new("acme").unwrap(), NOW);
        let made = block_on(bed.store.ensure_tenant(owner.actor(), made)).unwrap();
        let (id, secret) = (AccessKeyId::new(KEY).unwrap(), Secret::new(SECRET).unwrap());
        let key = key(AccessKey::new(id, secret, made, NOW));
        block_on(bed.store.add_key(owner.actor(), key)).unwrap();
        let staff = CreateFaceSet {
            name: FaceSetName::new("staff").unwrap(),
            label: None,
            note: None,
            tags: Tags::default(),
            schema: FieldSchema::default(),
            capacity: None,
            quality_gate: None,
            thumbnails: false,
        };
        block_on(wire.library.create_face_set(&owner, staff)).unwrap();
        Self { bed, router: router(wire), tenant }
    }

    fn with_grants(grants: Grants) -> Self {
        Self::new(|key| AccessKey { grants, ..key })
    }

    /// Status and body of the answer to an operation.
    fn answer(&self, dialect: &str, operation: &str, set: &str) -> (u16, String) {
        self.answer_with(dialect, operation, set, SECRET)
    }

    fn answer_with(&self, dialect: &str, operation: &str, set: &str, secret: &str) -> (u16, String) {
        let info = ADAPTERS.iter().find(|adapter| adapter.name == dialect).unwrap().operations;
        let info = info.iter().find(|info| info.name == operation).unwrap();
        let request = match dialect {
            "huawei" => self.huawei(info.method, info.path, operation, set, secret),
            "aliyun" => aliyun(info.path, &aliyun_body(operation, set), secret),
            "facepp" => form(info.path, &[("api_key", KEY), ("api_secret", secret)], &facepp_fields(operation, set)),
            "yuanli" => {
                let sign = self.yuanli_sign(secret);
                let own = [("sign", &*sign), ("sign_version", "hmac_sha256")];
                form(info.path, &own, &yuanli_fields(operation, set))
            }
            other => panic!("dialect {other} has no requests here"),
        };
        let (status, _, text) = sent(&self.router, request);
        (status, text)
    }

    fn huawei(&self, method: &str, path: &str, operation: &str, set: &str, secret: &str) -> Request<Body> {
        let version =
            if path.contains("/auth/") || path.ends_with("/projects") || path == "/{v}" { "v3" } else { "v2" };
        let version = if path.ends_with("/subscribe") { "v1" } else { version };
        let path = path.replace("{v}", version).replace("{project_id}", &self.tenant.to_string());
        let path = path.replace("{face_set_name}", set);
        let (query, body) = huawei_words(operation);
        let login = json!({"auth": {"identity": {"methods": ["password"], "password": {"user":
            {"name": KEY, "password": secret, "domain": {"name": "acme"}}}}, "scope": {"project": {"name": "cn-north-4"}}}});
        let body = if operation == "KeystoneCreateUserTokenByPassword" { login.clone() } else { body };
        let request = Request::post("/v3/auth/tokens").header("content-type", "application/json");
        let (_, headers, _) = sent(&self.router, request.body(Body::from(login.to_string())).unwrap());
        let token = headers.get("x-subject-token").map_or("none", |token| token.to_str().unwrap());
        let request = Request::builder().method(method).uri(format!("{path}{query}")).header("x-auth-token", token);
        let request =
            if operation == "KeystoneValidateToken" { request.header("x-subject-token", token) } else { request };
        let body = if body.is_null() { String::new() } else { body.to_string() };
        request.header("content-type", "application/json").body(Body::from(body)).unwrap()
    }

    fn yuanli_sign(&self, secret: &str) -> String {
        let now_s = self.bed.clock.now().0 / 1000;
        let raw = format!("a={KEY}&b={}&c={now_s}&d=7", now_s + 100);
        let mac = Hmac::<sha2::Sha256>::new_from_slice(secret.as_bytes()).unwrap().chain_update(&raw);
        base64([&mac.finalize().into_bytes()[..], raw.as_bytes()].concat())
    }
}

fn huawei_words(operation: &str) -> (&'static str, Value) {
    let image = base64(P1);
    match operation {
        "DetectFace" | "SearchFace" => ("", json!({"image_base64": image})),
        "CompareFace" => ("", json!({"image1_base64": image, "image2_base64": image})),
        "CreateFaceSet" => ("", json!({"face_set_name": "new"})),
        "AddFaces" => ("", json!({"image_base64": image, "external_image_id": "anna"})),
        "ShowFaces" => ("?offset=0&limit=10", Value::Null),
        "UpdateFace" => ("", json!({"face_id": "abcdefgh", "external_image_id": "bert"})),
        "DeleteFace" => ("?external_image_id=anna", Value::Null),
        "BatchDeleteFaces" => ("", json!({"filter": "external_image_id:anna"})),
        "DetectLive" => ("", json!({"video_base64": "AAAA", "actions": "1"})),
        "DetectLiveFace" => ("", json!({"image_base64": image})),
        "ShowAllFaceSets" | "ShowFaceSet" | "DeleteFaceSet" => ("", Value::Null),
        "KeystoneCreateUserTokenByPassword" | "KeystoneListProjects" | "KeystoneValidateToken" => ("", Value::Null),
        "KeystoneListAuthProjects" | "KeystoneListAuthDomains" => ("", Value::Null),
        "KeystoneListVersions" | "KeystoneShowVersion" => ("", Value::Null),
        "ShowSubscription" | "CreateSubscription" => ("", Value::Null),
        other => panic!("the huawei operation {other} has no request in this table"),
    }
}

fn aliyun_body(operation: &str, set: &str) -> Value {
    let url = "http://img.test:8099/a.jpg";
    match operation {
        "AddPerson" => json!({"personId": "p1", "groupIds": [set]}),
        "SetPerson" => json!({"personId": "p1", "name": "n"}),
        "GetPerson" | "DeletePerson" | "GetFaces" => json!({"personId": "p1"}),
        "AddFaces" => json!({"personId": "p1", "urls": [url]}),
        "DeleteFaces" => json!({"personId": "p1", "faceIds": [5]}),
        "GetGroups" => json!({}),
        "GetPersons" => json!({"groupId": set}),
        "AddGroups" | "DeleteGroups" => json!({"personId": "p1", "groupIds": [set]}),
        "ImageSyncScan" | "ImageAsyncScan" => {
            json!({"scenes": ["sface-n"], "tasks": [{"url": url, "extras": {"groupId": set}}]})
        }
        "ImageAsyncScanResults" => json!(["img1-1"]),
        "DetectFace" => json!({"url": url}),
        "UploadCredentials" => json!({}),
        "SearchPerson" => json!({"url": url, "groupId": set}),
        other => panic!("the aliyun operation {other} has no request in this table"),
    }
}

fn facepp_fields(operation: &str, set: &str) -> Vec<(&'static str, String)> {
    let (token, set, image) = ("0123456789abcdef0123456789abcdef".to_owned(), set.to_owned(), base64(P1));
    match operation {
        "detect" => vec![("image_base64", image)],
        "compare" => vec![("image_base64_1", image.clone()), ("image_base64_2", image)],
        "search" => vec![("image_base64", image), ("outer_id", set)],
        "faceset/create" => vec![("outer_id", "new".to_owned())],
        "faceset/addface" | "faceset/removeface" => vec![("outer_id", set), ("face_tokens", token)],
        "faceset/async/addface" | "faceset/async/removeface" => vec![("outer_id", set), ("face_tokens", token)],
        "faceset/update" => vec![("outer_id", set), ("display_name", "d".to_owned())],
        "faceset/getdetail" | "faceset/delete" => vec![("outer_id", set)],
        "faceset/getfacesets" => vec![],
        "face/getdetail" => vec![("face_token", token)],
        "face/setuserid" => vec![("face_token", token), ("user_id", "u".to_owned())],
        "faceset/async/task_status" => vec![("task_id", token)],
        other => panic!("the facepp operation {other} has no request in this table"),
    }
}

fn yuanli_fields(operation: &str, set: &str) -> Vec<(&'static str, String)> {
    let (token, set, image) = ("0123456789abcdef0123456789abcdef".to_owned(), set.to_owned(), base64(P1));
    match operation {
        "create" => vec![("group_id", "new".to_owned()), ("group_name", "New".to_owned())],
        "free" | "group_info" | "list" => vec![("group_id", set)],
        "group_list" => vec![],
        "add" => vec![("group_id", set), ("user_id", "u".to_owned()), ("image", image)],
        "delete" => vec![("group_id", set), ("face_tokens", token)],
        "face_info" => vec![("group_id", set), ("face_token", token)],
        "search" => vec![("group_id", set), ("image", image)],
        other => panic!("the yuanli operation {other} has no request in this table"),
    }
}

fn form(path: &str, own: &[(&str, &str)], fields: &[(&'static str, String)]) -> Request<Body> {
    let fields =
        own.iter().map(|&(name, value)| (name, value)).chain(fields.iter().map(|(name, value)| (*name, &**value)));
    let pairs: Vec<String> =
        fields.map(|(name, value)| format!("{name}={}", target::encode(value.as_bytes()))).collect();
    let request = Request::post(path).header("content-type", "application/x-www-form-urlencoded");
    request.body(Body::from(pairs.join("&"))).unwrap()
}

fn aliyun(path: &str, body: &Value, secret: &str) -> Request<Body> {
    let to_sign = format!("POST\n\n\n\n{DATE}\nx-acs-version:2018-05-09\n{path}");
    let mac = Hmac::<sha1::Sha1>::new_from_slice(secret.as_bytes()).unwrap().chain_update(to_sign);
    let signature = base64(mac.finalize().into_bytes());
    let request = Request::post(path).header("date", DATE).header("x-acs-version", "2018-05-09");
    request.header("authorization", format!("acs {KEY}:{signature}")).body(Body::from(body.to_string())).unwrap()
}

/// Whether an answer is its dialect's "you may not".
fn is_forbidden(dialect: &str, answer: &(u16, String)) -> bool {
    let (status, text) = answer;
    match dialect {
        "huawei" => *status == 403 && text.contains("FRS.0002"),
        "aliyun" => text.contains("PERMISSION_DENY"),
        "facepp" => *status == 403 && text.contains("AUTHORIZATION_ERROR: Denied by Admin"),
        _ => *status == 403 && text.contains("AUTHORIZATION_ERROR: DENIED"),
    }
}

/// Every operation that is offered, of every dialect.
fn operations() -> impl Iterator<Item = (&'static str, &'static Operation)> {
    let offered = |info: &&Operation| !matches!(info.state, State::Refused(_));
    ADAPTERS.iter().flat_map(move |adapter| adapter.operations.iter().filter(offered).map(|info| (adapter.name, info)))
}

#[test]
fn an_operation_is_allowed_with_exactly_its_grants() {
    for (dialect, info) in operations() {
        let answer = Server::with_grants(info.needs).answer(dialect, info.name, "staff");
        assert!(!is_forbidden(dialect, &answer), "{dialect} {} with {}: {answer:?}", info.name, info.needs);
    }
}

#[test]
fn an_operation_is_refused_without_one_of_its_grants() {
    let mut n_cells = 0;
    for (dialect, info) in operations() {
        for missing in Grant::ALL {
            let answer = Server::with_grants(Grants::ALL.without(missing)).answer(dialect, info.name, "staff");
            let is_needed = info.needs.contains(missing);
            let cell = format!("{dialect} {} without {}: {answer:?}", info.name, missing.word());
            assert_eq!(is_forbidden(dialect, &answer), is_needed, "{cell}");
            n_cells += 1;
        }
    }
    assert!(n_cells > 250, "{n_cells}");
}

/// Also where an operation needs no grant at all: there is nothing for it in any dialect.
#[test]
fn an_operators_key_is_refused_by_every_dialect_in_its_own_words() {
    for (dialect, info) in operations() {
        let answer = Server::with_grants(Grants::OPERATOR).answer(dialect, info.name, "staff");
        // Signing in for a token is refused before, and who has none is nobody.
        let is_nobody = dialect == "huawei" && (answer.0 == 401 || answer.0 == 403);
        // What tells of a service's versions is for everybody.
        let is_for_everybody = ["KeystoneListVersions", "KeystoneShowVersion"].contains(&info.name);
        let is_refused = is_forbidden(dialect, &answer) || is_nobody || is_for_everybody;
        assert!(is_refused, "{dialect} {}: {answer:?}", info.name);
    }
}

/// They were listed page by page first, which needed the read grant and was one delete for each page.
#[test]
fn whoever_may_delete_may_delete_every_face_of_a_set_at_once() {
    let server = Server::with_grants(Grants::NONE.with(Grant::Delete));
    let fields = [("outer_id", "staff".to_owned()), ("face_tokens", "RemoveAllFaceTokens".to_owned())];
    let own = [("api_key", KEY), ("api_secret", SECRET)];
    let (status, _, text) = sent(&server.router, form("/facepp/v3/faceset/removeface", &own, &fields));
    assert_eq!((status, text.contains("\"face_removed\":0")), (200, true), "{text}");
}

#[test]
fn a_set_that_a_key_may_not_use_is_answered_like_one_that_does_not_exist() {
    for (dialect, info) in operations() {
        let names_a_set = match dialect {
            "huawei" => info.path.contains("{face_set_name}"),
            "aliyun" => ["GetPersons", "ImageSyncScan", "SearchPerson", "AddPerson"].contains(&info.name),
            "facepp" => {
                info.name == "search"
                    || info.name.starts_with("faceset/")
                        && !["faceset/create", "faceset/getfacesets", "faceset/async/task_status"].contains(&info.name)
            }
            _ => !["create", "group_list"].contains(&info.name),
        };
        if !names_a_set {
            continue;
        }
        let limited = || Server::new(|key| AccessKey { face_sets: FaceSetScope::Only([].into()), ..key });
        let hidden = limited().answer(dialect, info.name, "staff");
        let missing = limited().answer(dialect, info.name, "nosuch");
        // Ids of requests, durations and the name itself may differ.
        let shape = |(status, text): (u16, String)| {
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            let words = ["error_code", "error", "error_message", "code", "msg"].map(|word| json[word].to_string());
            (status, words.map(|word| word.replace("staff", "nosuch")))
        };
        assert_eq!(shape(hidden), shape(missing), "{dialect} {}", info.name);
    }
}

#[test]
fn only_the_sets_of_a_key_are_listed() {
    for (dialect, operation) in [
        ("huawei", "ShowAllFaceSets"),
        ("aliyun", "GetGroups"),
        ("facepp", "faceset/getfacesets"),
        ("yuanli", "group_list"),
    ] {
        // The groups of this service are those of persons.
        if dialect != "aliyun" {
            let (_, text) = Server::with_grants(Grants::ALL).answer(dialect, operation, "staff");
            assert!(text.contains("staff"), "{dialect}: {text}");
        }
        let limited = Server::new(|key| AccessKey { face_sets: FaceSetScope::Only([].into()), ..key });
        let (_, text) = limited.answer(dialect, operation, "staff");
        assert!(!text.contains("staff"), "{dialect}: {text}");
    }
}

/// An operation of each dialect that only needs somebody to ask.
const READING: [(&str, &str); 4] = [
    ("huawei", "ShowAllFaceSets"),
    ("aliyun", "GetGroups"),
    ("facepp", "faceset/getfacesets"),
    ("yuanli", "group_list"),
];

fn is_done(dialect: &str, (status, text): &(u16, String)) -> bool {
    *status == 200 && (dialect != "aliyun" || text.contains("\"code\":200"))
}

#[test]
fn an_expired_key_is_refused_like_a_disabled_one() {
    let disabled = Server::new(|key| AccessKey { enabled: false, ..key });
    for (dialect, operation) in READING {
        let expiring = Server::new(|key| AccessKey { expires_at: Some(TimestampMs(key.created_at.0 + 10_000)), ..key });
        assert!(is_done(dialect, &expiring.answer(dialect, operation, "staff")), "{dialect}");
        expiring.bed.clock.advance(Duration::from_secs(10));
        let words = |(status, text): (u16, String)| {
            let json: Value = serde_json::from_str(&text).unwrap_or_default();
            (status, ["error_code", "error", "error_message", "Code"].map(|word| json[word].to_string()))
        };
        let expired = expiring.answer(dialect, operation, "staff");
        assert!(!is_done(dialect, &expired), "{dialect}");
        assert_eq!(words(expired), words(disabled.answer(dialect, operation, "staff")), "{dialect}");
    }
}

#[test]
fn both_secrets_of_a_rotated_key_are_accepted_while_they_overlap() {
    for (dialect, operation) in READING {
        let server = Server::with_grants(Grants::ALL);
        let actor = Caller::server(server.tenant, "test").actor();
        let (id, fresh) = (AccessKeyId::new(KEY).unwrap(), Secret::new("fresh-secret").unwrap());
        let until = TimestampMs(server.bed.clock.now().0 + 10_000);
        block_on(server.bed.store.rotate_key(actor, id, fresh, until)).unwrap();
        for secret in [SECRET, "fresh-secret"] {
            assert!(is_done(dialect, &server.answer_with(dialect, operation, "staff", secret)), "{dialect} {secret}");
        }
        server.bed.clock.advance(Duration::from_secs(10));
        assert!(!is_done(dialect, &server.answer_with(dialect, operation, "staff", SECRET)), "{dialect}");
        assert!(is_done(dialect, &server.answer_with(dialect, operation, "staff", "fresh-secret")), "{dialect}");
    }
}

/// Whoever has a secret of before a rotation must not get more by it than that has: a token of 24 hours outlived the overlap.
#[test]
fn what_is_made_with_the_old_secret_while_both_are_accepted_ends_with_it() {
    let server = Server::with_grants(Grants::ALL);
    let actor = Caller::server(server.tenant, "test").actor();
    let (id, fresh) = (AccessKeyId::new(KEY).unwrap(), Secret::new("fresh-secret").unwrap());
    let until = TimestampMs(server.bed.clock.now().0 + 10_000);
    block_on(server.bed.store.rotate_key(actor, id, fresh, until)).unwrap();

    let asked = |identity: Value| {
        let body = json!({"auth": {"identity": identity, "scope": {"project": {"name": "cn-north-4"}}}});
        let request = Request::post("/v3/auth/tokens").header("content-type", "application/json");
        let (status, headers, text) = sent(&server.router, request.body(Body::from(body.to_string())).unwrap());
        let said: Value = serde_json::from_str(&text).unwrap();
        let token = headers.get("x-subject-token").map(|token| token.to_str().unwrap().to_owned());
        (status, token, said["token"]["expires_at"].as_str().unwrap_or_default().to_owned())
    };
    let login = |secret: &str| {
        let user = json!({"name": KEY, "password": secret, "domain": {"name": "acme"}});
        asked(json!({"methods": ["password"], "password": {"user": user}}))
    };
    let exchange = |token: &str| asked(json!({"methods": ["token"], "token": {"id": token}}));
    let lists = |token: &str| {
        let path = format!("/v2/{}/face-sets", server.tenant);
        let request = Request::get(path).header("x-auth-token", token).body(Body::empty()).unwrap();
        sent(&server.router, request).0
    };
    let (_, old, ends) = login(SECRET);
    let old = old.unwrap();
    let (_, exchanged, ends_as_well) = exchange(&old);
    let exchanged = exchanged.unwrap();
    let new = login("fresh-secret").1.unwrap();
    assert_eq!([&old, &exchanged, &new].map(|token| lists(token)), [200; 3]);
    // The rotation was at 20:36:40.
    assert_eq!((&*ends, &*ends_as_well), ("2026-11-21T20:36:50.000000Z", "2026-11-21T20:36:50.000000Z"));

    let grant = |secret: &str| {
        let path = "/green/credentials/uploadcredentials";
        let (_, _, text) = sent(&server.router, aliyun(path, &json!({}), secret));
        serde_json::from_str::<Value>(&text).unwrap()["data"].clone()
    };
    let put = |grant: &Value, name: &str| {
        let text = |member: &str| grant[member].as_str().unwrap().to_owned();
        let (token, date) = (text("securityToken"), "Sat, 21 Nov 2026 20:36:45 GMT");
        let path = format!("/{}/{}/{name}", text("uploadBucket"), text("uploadFolder"));
        let to_sign = format!("PUT\n\n\n{date}\nx-oss-security-token:{token}\n{path}");
        let mac = Hmac::<sha1::Sha1>::new_from_slice(text("accessKeySecret").as_bytes()).unwrap().chain_update(to_sign);
        let signature = base64(mac.finalize().into_bytes());
        let request = Request::put(&path).header("date", date).header("x-oss-security-token", token);
        let request = request.header("authorization", format!("OSS {}:{signature}", text("accessKeyId")));
        sent(&server.router, request.body(Body::from(P1)).unwrap())
    };
    let (old_grant, new_grant) = (grant(SECRET), grant("fresh-secret"));
    assert_eq!([&old_grant, &new_grant].map(|grant| put(grant, "a.jpg").0), [200; 2]);
    assert_eq!(old_grant["expiredTime"], until.0);

    server.bed.clock.advance(Duration::from_secs(10));
    assert_eq!([&old, &exchanged, &new].map(|token| lists(token)), [401, 401, 200]);
    assert_eq!(exchange(&old).0, 401);
    assert_eq!([&old_grant, &new_grant].map(|grant| put(grant, "b.jpg").0), [403, 200]);
}

#[test]
fn a_tenants_rate_is_refused_in_each_dialects_words() {
    for (dialect, operation) in READING {
        let server = Server::with_grants(Grants::ALL);
        let limits = Limits { calls_per_second: Some(2), ..Limits::NONE };
        let actor = Caller::server(server.tenant, "test").actor();
        block_on(server.bed.store.set_tenant_limits(actor, limits, None)).unwrap();
        for _ in 0..2 {
            assert!(is_done(dialect, &server.answer(dialect, operation, "staff")), "{dialect}");
        }
        let (status, text) = server.answer(dialect, operation, "staff");
        let expected = match dialect {
            "huawei" => (429, "FRS.0033"),
            "aliyun" => (200, "EXCEED_QUOTA"),
            _ => (403, "CONCURRENCY_LIMIT_EXCEEDED"),
        };
        assert!(status == expected.0 && text.contains(expected.1), "{dialect}: {status} {text}");
        server.bed.clock.advance(Duration::from_secs(1));
        assert!(is_done(dialect, &server.answer(dialect, operation, "staff")), "{dialect}");
    }
}

/// A request for each operation of the native API: the path's arguments filled in, and a body.
fn native_request(operation: &native::Operation) -> (String, Value) {
    let image = json!({"base64": base64(P1)});
    let (id, name, key) = match operation.path.split('/').nth(1) {
        Some("keys") => ("nosuchkey", "", ""),
        Some("jobs") => ("77", "", ""),
        Some("tenants") => ("", "nosuch", ""),
        _ => ("5", "staff", "anna"),
    };
    let path = operation.path.replace("{id}", id).replace("{name}", name).replace("{key}", key);
    let body = match operation.name {
        "begin_session" => json!({"key": format!("{KEY}.{SECRET}")}),
        "create_face_set" => json!({"name": "new"}),
        "update_face_set" | "update_face" | "update_person" => json!({"note": "n"}),
        "add_faces" | "search" | "search_picture" | "detect" | "liveness" | "add_person_face" | "compare_person"
        | "upload" => {
            json!({"image": image})
        }
        "delete_faces" | "delete_faces_later" | "count_faces" => json!({"ids": ["5"]}),
        "add_faces_later" => json!({"photos": [{"image": {"upload": "nope"}}]}),
        "list_thumbnails" | "list_person_thumbnails" => json!({"ids": ["5"]}),
        "enrolled" => json!({"external_ids": ["5"]}),
        "import_faces" => json!({"pack": "fake-1", "faces": []}),
        "compare" => json!({"image_a": image, "image_b": image}),
        "compare_many" => json!({"image": image, "others": [image]}),
        "create_person" => json!({"key": "bert", "face_sets": ["staff"]}),
        "change_memberships" => json!({"join": ["staff"]}),
        "move_faces" => json!({"to": "bert", "face_ids": ["5"]}),
        "merge_persons" => json!({"from": "bert"}),
        "split_person" => json!({"key": "bert", "face_ids": ["5"]}),
        "create_key" => json!({"label": "new"}),
        "create_tenant" => json!({"name": "north"}),
        "update_tenant" => json!({"limits": {"faces_max": 5}}),
        // One that an operator makes, of the operator's tenant.
        "create_tenant_key" => json!({"grants": ["read"]}),
        "update_key" => json!({"enabled": false}),
        "rotate_key" => json!({}),
        // No archive: its type is refused, after the grants.
        "import_faces_later" => json!({}),
        name if ["GET", "DELETE"].contains(&operation.method)
            || ["make_ticket", "export_faces_later"].contains(&name) =>
        {
            Value::Null
        }
        other => panic!("the native operation {other} has no request in this table"),
    };
    (path, body)
}

impl Server {
    /// Status, headers and body of the answer of the native API to somebody with this `Authorization`.
    fn native(&self, authorization: &str, method: &str, path: &str, body: &Value) -> (u16, http::HeaderMap, Value) {
        let request = Request::builder().method(method).uri(format!("/likeness/v1{path}"));
        let request = request.header("authorization", authorization).header("content-type", "application/json");
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        let (status, headers, text) = sent(&self.router, request.body(body).unwrap());
        (status, headers, serde_json::from_str(&text).unwrap())
    }
}

#[test]
fn an_operation_of_the_native_api_needs_exactly_its_grants() {
    let bearer = format!("Bearer {KEY}.{SECRET}");
    let mut n_cells = 0;
    for operation in native::operations() {
        let native::Operation { name, method, needs, .. } = operation;
        let (path, body) = native_request(&operation);
        for missing in [None].into_iter().chain(Grant::ALL.map(Some)) {
            // An operator's key has no other grant, and tenants' keys have all others.
            let all = if needs.are_an_operators() { needs } else { Grants::ALL };
            let grants = missing.map_or(needs, |missing| all.without(missing));
            let (status, _, answer) = Server::with_grants(grants).native(&bearer, method, &path, &body);
            // Tickets are made for the owner of the data folder only, whatever the grants.
            let is_needed = missing.is_some_and(|missing| needs.contains(missing)) || name == "make_ticket";
            assert_eq!(status == 403, is_needed, "{method} {path} without {missing:?}: {answer}");
            assert_eq!(answer["error"]["code"] == "forbidden", is_needed, "{answer}");
            assert_ne!(answer["error"]["code"], "unsupported", "{method} {path}");
            n_cells += 1;
        }
        let limited = Server::new(|key| {
            let grants = Grants::ALL;
            AccessKey { face_sets: FaceSetScope::Only([].into()), grants, ..key }
        });
        if path.starts_with("/face-sets/staff") {
            let (status, _, answer) = limited.native(&bearer, method, &path, &body);
            assert_eq!((status, &answer["error"]["code"]), (404, &json!("face_set_not_found")), "{method} {path}");
        }
        if needs.are_an_operators() {
            let (status, _, answer) = Server::with_grants(Grants::ALL).native(&bearer, method, &path, &body);
            assert_eq!((status, &answer["error"]["code"]), (403, &json!("forbidden")), "{method} {path}");
        }
        if path.starts_with("/keys") {
            let (status, _, answer) = limited.native(&bearer, method, &path, &body);
            assert_eq!((status, &answer["error"]["code"]), (403, &json!("forbidden")), "{method} {path}");
        }
    }
    assert!(n_cells > 300, "{n_cells}");
}

#[test]
fn nobody_uses_the_native_api_without_a_key() {
    let server = Server::new(|key| AccessKey { expires_at: Some(TimestampMs(NOW.0 + 10_000)), ..key });
    let good = format!("Bearer {KEY}.{SECRET}");
    let list = |authorization: &str| server.native(authorization, "GET", "/face-sets", &Value::Null);
    assert_eq!((list(&good).0, list(&good.replace("Bearer", "bearer")).0), (200, 200));
    for wrong in
        ["", "Bearer", "Bearer x", &good[..good.len() - 1], &format!("{good}x"), "Basic eDp5", "Bearer no.body"]
    {
        let (status, headers, answer) = list(wrong);
        let error = &answer["error"];
        assert_eq!((status, &error["code"]), (401, &json!("unauthenticated")));
        assert_eq!(headers["www-authenticate"], "Bearer");
        assert_eq!(
            (&error["field"], &error["docs"]),
            (&json!("authorization"), &json!("/likeness/v1/docs#unauthenticated"))
        );
        assert_eq!(error["request_id"].as_str(), headers["x-request-id"].to_str().ok(), "one id in body and header");
        assert!(!answer.to_string().contains(SECRET));
    }
    // Tenants and the state of the store are for operators only.
    for (path, status) in [("/tenants", 403), ("/report", 403), ("/nothing", 404)] {
        assert_eq!(server.native(&good, "GET", path, &Value::Null).0, status, "{path}");
    }
    server.bed.clock.advance(Duration::from_secs(10));
    let (status, _, answer) = list(&good);
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("forbidden")), "the key has expired");
}

#[test]
fn every_operation_of_the_native_api_is_on_its_page() {
    const PAGE: &str = include_str!("../../../../docs/native.md");
    for native::Operation { name, method, path, .. } in native::operations() {
        assert!(PAGE.contains(&format!("`{method} {path}`")), "docs/native.md lacks {name}: `{method} {path}`");
    }
}

#[test]
fn a_tenants_rate_holds_for_the_native_api() {
    let server = Server::with_grants(Grants::ALL);
    let limits = Limits { calls_per_second: Some(2), ..Limits::NONE };
    block_on(server.bed.store.set_tenant_limits(Caller::server(server.tenant, "test").actor(), limits, None)).unwrap();
    let call = || server.native(&format!("Bearer {KEY}.{SECRET}"), "GET", "/packs", &Value::Null);
    assert_eq!((call().0, call().0), (200, 200));
    let (status, headers, answer) = call();
    assert_eq!((status, &answer["error"]["code"]), (429, &json!("rate_exceeded")));
    assert_eq!(headers["retry-after"], "1");
}

#[test]
fn every_error_code_of_the_native_api_is_explained() {
    const PAGE: &str = include_str!("../../../../docs/native.md");
    for &kind in likeness_domain::Kind::ALL {
        let (status, code) = (likeness_wire::native::status_of(kind), likeness_wire::native::code_of(kind));
        let rows = [
            format!("| {status} | <a id=\"{code}\"></a>`{code}` |"),
            // The second row of a code has no anchor.
            format!("| {status} | `{code}` |"),
        ];
        assert!(rows.iter().any(|row| PAGE.contains(row)), "docs/native.md lacks {}", rows[0]);
    }
    // What the server itself shows is the same list, and every code of it can be linked to.
    let codes: Vec<Value> = serde_json::from_str(likeness_wire::native::openapi::CODES).unwrap();
    let shown = likeness_wire::native::openapi::page_text();
    for row in &codes {
        let (status, code, about) = (&row["status"], row["code"].as_str().unwrap(), row["about"].as_str().unwrap());
        assert!(PAGE.contains(&format!("`{code}` | {about} |")), "docs/native.md explains {code} otherwise");
        assert!(PAGE.contains(&format!("<a id=\"{code}\"></a>`{code}`")), "docs/native.md has no anchor {code}");
        assert_eq!(shown.matches(&format!("id=\"{code}\"")).count(), 1, "the page has no anchor {code}: {status}");
    }
    assert_eq!(codes.len(), PAGE.matches("</a>`").count() + 2, "`unsupported` has three rows");
}
