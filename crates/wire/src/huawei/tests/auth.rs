//! Who asks: the token service, tokens, signatures over the wire, project look-up.

use std::time::Duration;

use axum::body::Body;
use http::Request;
use likeness_domain::ports::{Clock, CredentialStore};
use likeness_domain::types::{AccessKeyId, Secret};
use likeness_testkit::block_on;
use serde_json::{Value, json};

use super::server::{Client, Reply, Server, login};
use super::signing::{self, Signer};

/// The default of the fake clock.
const DATE: &str = "20260301T080000Z";

fn ask_token(server: &Server, body: Value) -> Reply {
    server.send(server.request("POST", "/v3/auth/tokens?nocatalog=true", body.to_string()))
}

fn with_token(server: &Server, token: &str, target: &str) -> Reply {
    let mut request = server.request("GET", target, Body::empty());
    request.headers_mut().insert("x-auth-token", token.parse().unwrap());
    server.send(request)
}

/// A request as the current SDK signs it.
fn signed(client: &Client, method: &str, target: &str, body: &str, date: &str) -> Request<Body> {
    let (path, query) = target.split_once('?').unwrap_or((target, ""));
    let mut pairs: Vec<(&str, &str)> = query.split('&').filter_map(|pair| pair.split_once('=')).collect();
    pairs.sort_unstable();
    let headers = [("content-type", "application/json"), ("host", "localhost:7080"), ("x-sdk-date", date)];
    let canonical = signing::canonical(method, &format!("{path}/"), &pairs, &headers, body.as_bytes());
    let signer = Signer { id: client.key_id, secret: client.secret, date };
    let authorization = signer.authorization("SDK-HMAC-SHA256", &canonical, "content-type;host;x-sdk-date");
    let mut request = Request::builder().method(method).uri(target).header("authorization", authorization);
    for (name, value) in headers {
        request = request.header(name, value);
    }
    request.body(Body::from(body.to_owned())).unwrap()
}

#[test]
fn case_001_good_credentials_get_a_token_for_a_day() {
    let server = Server::new();
    let reply = ask_token(&server, login(&server.acme, Some("cn-north-4")));
    assert_eq!(reply.status, 201);
    assert!(!reply.headers["x-subject-token"].is_empty());
    let token = &reply.json["token"];
    assert_eq!(token["issued_at"], "2026-03-01T08:00:00.000000Z");
    assert_eq!(token["expires_at"], "2026-03-02T08:00:00.000000Z");
    assert_eq!(token["project"]["id"], server.acme.project.as_str());
    assert_eq!(token["project"]["name"], "cn-north-4");
    assert_eq!(token["user"]["domain"]["name"], "acme");
}

#[test]
fn case_002_whatever_is_wrong_gets_the_same_answer() {
    let server = Server::new();
    let user = |change: &dyn Fn(&mut Value)| {
        let mut body = login(&server.acme, Some("cn-north-4"));
        change(&mut body["auth"]["identity"]["password"]["user"]);
        let reply = ask_token(&server, body);
        assert_eq!((reply.status, &reply.json["error"]["code"]), (401, &json!(401)), "{}", reply.text);
        assert_eq!(reply.json["error"]["title"], "Unauthorized");
        reply.json["error"]["message"].clone()
    };
    let messages = [
        user(&|user| user["password"] = json!("wrong")),
        user(&|user| user["name"] = json!("AKNOBODY")),
        user(&|user| user["name"] = json!("not even a key id!")),
        user(&|user| user["name"] = json!(server.other.key_id)),
        user(&|user| user["domain"]["name"] = json!("other")),
        user(&|user| user["domain"] = json!({"id": "0"})),
    ];
    assert!(messages.iter().all(|message| *message == messages[0]), "{messages:?}");
}

#[test]
fn malformed_token_requests_are_400_in_the_same_shape() {
    let server = Server::new();
    let good = login(&server.acme, None);
    let without = |path: &str| {
        let mut body = good.clone();
        let (parent, name) = path.rsplit_once('/').unwrap();
        body.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
        body
    };
    let mut by_key = good.clone();
    by_key["auth"]["identity"]["methods"] = json!(["hw_ak_sk"]);
    let mut odd_scope = good.clone();
    odd_scope["auth"]["scope"] = json!({"project": {}});
    let mut number = good.clone();
    number["auth"]["identity"]["password"]["user"]["password"] = json!(5);
    for body in [
        json!([]),
        json!({}),
        by_key,
        odd_scope,
        number,
        without("/auth/identity/methods"),
        without("/auth/identity/password/user/name"),
        without("/auth/identity/password/user/password"),
        without("/auth/identity/password/user/domain"),
    ] {
        let reply = ask_token(&server, body.clone());
        assert_eq!((reply.status, &reply.json["error"]["code"]), (400, &json!(400)), "{body}");
        assert_eq!(reply.json["error"]["title"], "Bad Request");
    }
    let reply = server.send(server.request("POST", "/v3/auth/tokens", "{"));
    assert_eq!(reply.status, 400);
}

#[test]
fn case_003_an_earlier_token_stays_valid_beside_a_later_one() {
    let server = Server::new();
    let (first, second) = (server.token_of(&server.acme), server.token_of(&server.acme));
    assert_ne!(first, second);
    with_token(&server, &first, &server.target("/face-sets")).ok();
    with_token(&server, &second, &server.target("/face-sets")).ok();
}

#[test]
fn case_004_without_credentials_nothing_is_said() {
    let server = Server::new();
    let reply = server.send(server.request("GET", &server.target("/face-sets"), Body::empty()));
    let reply = reply.refused(401, "APIG.0301");
    assert_eq!(reply.json["request_id"].as_str().unwrap(), reply.headers["x-request-id"]);
}

#[test]
fn case_005_a_made_up_token_is_no_token() {
    let server = Server::new();
    for token in ["random", "AQEAAAGc", &"x".repeat(8000)] {
        with_token(&server, token, &server.target("/face-sets")).refused(401, "APIG.0301");
    }
}

#[test]
fn case_006_a_token_opens_its_own_project_only() {
    let server = Server::new();
    let token = server.token_of(&server.acme);
    let target = format!("/v2/{}/face-sets", server.other.project);
    with_token(&server, &token, &target).refused(403, "FRS.0028");
}

#[test]
fn a_token_lives_for_24_hours() {
    let server = Server::new();
    let token = server.token_of(&server.acme);
    server.clock.advance(Duration::from_secs(24 * 3600 - 1));
    with_token(&server, &token, &server.target("/face-sets")).ok();
    server.clock.advance(Duration::from_secs(1));
    with_token(&server, &token, &server.target("/face-sets")).refused(401, "APIG.0301");
}

#[test]
fn a_token_dies_with_its_key() {
    let server = Server::new();
    let token = server.token_of(&server.acme);
    let key = AccessKeyId::new(server.acme.key_id).unwrap();
    let by = block_on(server.store.key(key.clone())).unwrap().unwrap().tenant.id;
    let by = likeness_domain::access::Caller::server(by, "test").actor();
    block_on(server.store.set_key_enabled(by.clone(), key.clone(), false)).unwrap();
    with_token(&server, &token, &server.target("/face-sets")).refused(403, "FRS.0002");
    assert_eq!(ask_token(&server, login(&server.acme, None)).status, 401, "a disabled key gets no new one");
    let request = signed(&server.acme, "GET", &server.target("/face-sets"), "", DATE);
    server.send(request).refused(401, "APIG.0301");
    block_on(server.store.set_key_enabled(by.clone(), key.clone(), true)).unwrap();
    with_token(&server, &token, &server.target("/face-sets")).ok();
    block_on(server.store.delete_key(by, key)).unwrap();
    with_token(&server, &token, &server.target("/face-sets")).refused(401, "APIG.0301");
}

#[test]
fn an_account_token_opens_no_project() {
    let server = Server::new();
    for scope in [json!(null), json!({"domain": {"name": "acme"}}), json!({"domain": {"id": server.acme.project}})] {
        let mut body = login(&server.acme, None);
        body["auth"]["scope"] = scope;
        let reply = ask_token(&server, body);
        assert_eq!(reply.status, 201, "{}", reply.text);
        assert_eq!(reply.json["token"]["domain"]["name"], "acme");
        let token = reply.headers["x-subject-token"].to_str().unwrap();
        with_token(&server, token, &server.target("/face-sets")).refused(403, "FRS.0028");
        with_token(&server, token, "/v3/projects?name=cn-north-4").ok();
    }
}

#[test]
fn a_token_may_be_asked_for_a_project_by_id_or_by_any_region() {
    let server = Server::new();
    let scoped = |project: Value| {
        let mut body = login(&server.acme, None);
        body["auth"]["scope"] = json!({"project": project});
        ask_token(&server, body)
    };
    for name in ["cn-north-1", "cn-north-4", "cn-south-1", "cn-east-3", "ap-southeast-1", "cn-north-4_staging"] {
        let reply = scoped(json!({"name": name}));
        assert_eq!((reply.status, &reply.json["token"]["project"]["name"]), (201, &json!(name)));
    }
    assert_eq!(scoped(json!({"id": server.acme.project})).status, 201);
    assert_eq!(scoped(json!({"name": "atlantis-1"})).status, 401);
    assert_eq!(scoped(json!({"id": server.other.project})).status, 403);
    assert_eq!(scoped(json!({"id": "0".repeat(32)})).status, 403, "an unknown id is as good as somebody else's");
}

#[test]
fn case_007_a_signed_request_is_answered() {
    let server = Server::new();
    server.send(signed(&server.acme, "GET", &server.target("/face-sets"), "", DATE)).ok();
    let body = r#"{"face_set_name": "lib-a"}"#;
    server.send(signed(&server.acme, "POST", &server.target("/face-sets"), body, DATE)).ok();
}

#[test]
fn case_008_signed_pairs_may_come_in_any_order() {
    let server = Server::with_lib_a();
    for query in ["offset=0&limit=5", "limit=5&offset=0"] {
        let target = server.target(&format!("/face-sets/lib-a/faces?{query}"));
        server.send(signed(&server.acme, "GET", &target, "", DATE)).ok();
    }
}

#[test]
fn case_009_a_signed_query_with_everything_in_it_is_answered_by_the_service() {
    let server = Server::with_lib_a();
    let plain = "external_image_id=a b+c~\u{e9}";
    let target = server.target(&format!("/face-sets/lib-a/faces?{plain}"));
    let wire = target.replace(plain, "external_image_id=a%20b%2Bc~%C3%A9");
    let mut request = signed(&server.acme, "DELETE", &target.replace(plain, "external_image_id=x"), "", DATE);
    // The signature is made over the plain text; the wire has it encoded.
    let headers = [("content-type", "application/json"), ("host", "localhost:7080"), ("x-sdk-date", DATE)];
    let path = format!("{}/", server.target("/face-sets/lib-a/faces"));
    let canonical = signing::canonical("DELETE", &path, &[("external_image_id", "a b+c~\u{e9}")], &headers, b"");
    let signer = Signer { id: server.acme.key_id, secret: server.acme.secret, date: DATE };
    let authorization = signer.authorization("SDK-HMAC-SHA256", &canonical, "content-type;host;x-sdk-date");
    request.headers_mut().insert("authorization", authorization.parse().unwrap());
    *request.uri_mut() = wire.parse().unwrap();
    server.send(request).bad("FRS.0401");
}

#[test]
fn case_013_an_old_date_is_refused() {
    let server = Server::new();
    let request = || signed(&server.acme, "GET", &server.target("/face-sets"), "", DATE);
    server.send(request()).ok();
    server.clock.advance(Duration::from_secs(16 * 60));
    server.send(request()).refused(401, "APIG.0301");
}

#[test]
fn our_own_clients_sign_as_the_sdk_does() {
    let server = Server::new();
    let (id, secret) = (AccessKeyId::new(server.acme.key_id).unwrap(), Secret::new(server.acme.secret).unwrap());
    let sdk = signed(&server.acme, "GET", &server.target("/face-sets"), "", DATE);
    let (mut head, body) = server.request("GET", &server.target("/face-sets"), Body::empty()).into_parts();
    for name in ["host", "content-type"] {
        head.headers.insert(name, sdk.headers()[name].clone());
    }
    crate::huawei::sign(&mut head, b"", (&id, &secret), server.clock.now());
    for name in ["x-sdk-date", "authorization"] {
        assert_eq!(head.headers[name], sdk.headers()[name], "{name}");
    }
    server.send(Request::from_parts(head, body)).ok();
}

#[test]
fn case_014_a_body_changed_on_the_way_is_refused() {
    let server = Server::new();
    let mut request = signed(&server.acme, "POST", &server.target("/face-sets"), r#"{"face_set_name":"a"}"#, DATE);
    *request.body_mut() = Body::from(r#"{"face_set_name":"b"}"#);
    server.send(request).refused(401, "APIG.0301");
    assert_eq!(server.get("/face-sets").ok().json, json!({"face_sets_info": []}));
}

#[test]
fn a_signature_opens_its_own_project_only_and_counts_before_a_token() {
    let server = Server::new();
    let target = server.target("/face-sets");
    server.send(signed(&server.other, "GET", &target, "", DATE)).refused(403, "FRS.0028");
    let mut both = signed(&server.other, "GET", &target, "", DATE);
    both.headers_mut().insert("x-auth-token", server.token_of(&server.acme).parse().unwrap());
    server.send(both).refused(403, "FRS.0028");
    let unknown = Client { key_id: "AKNOBODY", ..server.acme.clone() };
    server.send(signed(&unknown, "GET", &target, "", DATE)).refused(401, "APIG.0301");
}

#[test]
fn a_project_header_must_agree_with_the_path() {
    let server = Server::new();
    let with_header = |project: &str| {
        let mut request = server.request("GET", &server.target("/face-sets"), Body::empty());
        request.headers_mut().insert("x-project-id", project.parse().unwrap());
        server.send_signed_in(request)
    };
    with_header(&server.acme.project).ok();
    with_header("").ok();
    with_header(&server.other.project).refused(403, "FRS.0028");
}

#[test]
fn a_path_without_a_project_is_malformed() {
    let server = Server::new();
    let request = server.request("GET", "/v2/%7Bproject_id%7D/face-sets", Body::empty());
    server.send_signed_in(request).bad("FRS.0012");
}

#[test]
fn the_one_project_is_found_by_the_names_clients_ask_for() {
    let server = Server::new();
    let find = |query: &str| server.send(signed(&server.acme, "GET", &format!("/v3/projects{query}"), "", DATE)).ok();
    for name in ["cn-north-4", "ap-southeast-2", "cn-east-3_team"] {
        let reply = find(&format!("?name={name}"));
        assert_eq!(reply.json["projects"].as_array().unwrap().len(), 1);
        assert_eq!(reply.json["projects"][0]["id"], server.acme.project.as_str());
        assert_eq!(reply.json["projects"][0]["name"], name);
    }
    assert_eq!(find("").json["projects"][0]["name"], "cn-north-4");
    for name in ["atlantis-1", "cn-north-40", ""] {
        assert_eq!(find(&format!("?name={name}")).json["projects"], json!([]), "{name}");
    }
    let request = server.request("GET", "/v3/projects?name=cn-north-4", Body::empty());
    server.send(request).refused(401, "APIG.0301");
}

/// Addition A3: what clients of OpenStack ask before and after they have a token.
#[test]
fn a3_clients_of_openstack_find_the_identity_service_and_the_face_service() {
    let server = Server::new();
    let request = |method: &str, target: &str, body: String| {
        let mut request = server.request(method, target, body);
        request.headers_mut().insert("host", "localhost:7080".parse().unwrap());
        request
    };
    let get = |target: &str| request("GET", target, String::new());
    let root = server.send(get("/"));
    assert_eq!(root.status, 300);
    let version = &root.json["versions"]["values"][0];
    assert_eq!((&version["id"], &version["status"]), (&json!("v3.14"), &json!("stable")));
    assert_eq!(version["links"][0], json!({"rel": "self", "href": "http://localhost:7080/v3/"}));
    for target in ["/v3", "/v3/"] {
        assert_eq!(&server.send(get(target)).ok().json["version"], version);
    }
    // By TLS before us, and with a host that is no name: links stay on the way that the client came.
    let mut by_tls = get("/v3");
    by_tls.headers_mut().insert("x-forwarded-proto", "https".parse().unwrap());
    assert_eq!(server.send(by_tls).json["version"]["links"][0]["href"], "https://localhost:7080/v3/");
    let mut odd = get("/v3");
    odd.headers_mut().insert("host", "a\"b".parse().unwrap());
    assert_eq!(server.send(odd).json["version"]["links"][0]["href"], "/v3/");

    // A user's id says by itself who it is.
    let mut body = login(&server.acme, Some("cn-north-4_staging"));
    let user = json!({"id": server.acme.key_id, "password": server.acme.secret});
    body["auth"]["identity"]["password"]["user"] = user;
    let issued = server.send(request("POST", "/v3/auth/tokens", body.to_string()));
    assert_eq!(issued.status, 201, "{}", issued.text);
    let catalog = issued.json["token"]["catalog"].as_array().unwrap();
    let endpoint = |kind: &str| {
        let entry = catalog.iter().find(|entry| entry["type"] == kind).unwrap();
        (entry["endpoints"][0]["url"].as_str().unwrap(), entry["endpoints"][0]["region"].as_str().unwrap())
    };
    let face = format!("http://localhost:7080/v2/{}", server.acme.project);
    assert_eq!(endpoint("identity"), ("http://localhost:7080/v3", "cn-north-4"));
    assert_eq!(endpoint("face"), (&*face, "cn-north-4"));
    assert_eq!(ask_token(&server, body).json["token"]["catalog"], json!([]), "with `nocatalog`");

    let token = issued.headers["x-subject-token"].to_str().unwrap().to_owned();
    let projects = with_token(&server, &token, "/v3/auth/projects").ok().json["projects"].clone();
    assert_eq!((&projects[0]["id"], projects.as_array().unwrap().len()), (&json!(server.acme.project), 1));
    let domains = with_token(&server, &token, "/v3/auth/domains").ok().json["domains"].clone();
    assert_eq!((&domains[0]["name"], domains.as_array().unwrap().len()), (&json!("acme"), 1));
    for target in ["/v3/auth/projects", "/v3/auth/domains", "/v3/auth/tokens"] {
        server.send(server.request("GET", target, Body::empty())).refused(401, "APIG.0301");
    }
}

/// Addition A3: a token is checked by whoever has one of the same tenant, and nobody learns of another's.
#[test]
fn a3_a_token_can_be_checked_by_its_tenant() {
    let server = Server::new();
    let (own, other) = (server.token_of(&server.acme), server.token_of(&server.other));
    let check = |token: &str, subject: Option<&str>| {
        let mut request = server.request("GET", "/v3/auth/tokens", Body::empty());
        request.headers_mut().insert("x-auth-token", token.parse().unwrap());
        if let Some(subject) = subject {
            request.headers_mut().insert("x-subject-token", subject.parse().unwrap());
        }
        server.send(request)
    };
    let checked = check(&own, Some(&own)).ok();
    assert_eq!(checked.headers["x-subject-token"], own);
    assert_eq!(checked.json["token"]["user"]["id"], "AKACME");
    assert_eq!(checked.json["token"]["expires_at"], "2026-03-02T08:00:00.000000Z");
    for (subject, status) in [(Some(&*other), 404), (Some("nonsense"), 404), (None, 400)] {
        let refused = check(&own, subject);
        assert_eq!((refused.status, &refused.json["error"]["code"]), (status, &json!(status)), "{}", refused.text);
    }
    server.clock.advance(Duration::from_secs(24 * 3600));
    let later = server.token_of(&server.acme);
    assert_eq!(check(&later, Some(&own)).status, 404, "its time is over");
}

/// Addition A3: the method `token`. What is got for a token ends with it, so that nobody stays for ever.
#[test]
fn a3_a_token_can_be_exchanged_and_lives_no_longer_for_it() {
    let server = Server::new();
    let account = ask_token(&server, login(&server.acme, None));
    let account = account.headers["x-subject-token"].to_str().unwrap();
    server.clock.advance(Duration::from_secs(3600));
    let exchange = |token: &str, scope: Value| {
        let identity = json!({"methods": ["token"], "token": {"id": token}});
        ask_token(&server, json!({"auth": {"identity": identity, "scope": scope}}))
    };
    let project = json!({"project": {"id": server.acme.project}});
    let exchanged = exchange(account, project.clone());
    assert_eq!(exchanged.status, 201, "{}", exchanged.text);
    let said = &exchanged.json["token"];
    assert_eq!((&said["methods"], &said["issued_at"]), (&json!(["token"]), &json!("2026-03-01T09:00:00.000000Z")));
    assert_eq!(said["expires_at"], "2026-03-02T08:00:00.000000Z");
    let token = exchanged.headers["x-subject-token"].to_str().unwrap();
    with_token(&server, token, &server.target("/face-sets")).ok();
    server.clock.advance(Duration::from_secs(23 * 3600));
    with_token(&server, token, &server.target("/face-sets")).refused(401, "APIG.0301");
    for bad in [account, token, "nonsense", "\u{e9}"] {
        assert_eq!(exchange(bad, project.clone()).status, 401, "{bad}");
    }
    let own = server.token_of(&server.acme);
    assert_eq!(exchange(&own, json!({"project": {"id": server.other.project}})).status, 403);
    assert_eq!(exchange("", project).status, 400);
}
