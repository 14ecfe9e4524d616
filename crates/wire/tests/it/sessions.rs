//! Sessions of browsers, over the router that a server has.

use std::time::Duration;

use axum::Router;
use axum::body::Body;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use likeness_domain::access::{Caller, Grant, Grants};
use likeness_domain::ports::{Clock, CredentialStore};
use likeness_domain::types::{AccessKey, AccessKeyId, Secret, Tenant, TenantName, TimestampMs};
use likeness_testkit::{FakeAnalyzer, FakeClock, block_on};
use likeness_wire::router;
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::Settings;
use crate::testbed::{Testbed, tenant_id};

const NOW: i64 = 1_795_293_400_000;
const KEY: &str = "SessionKey01";
const SECRET: &str = "session-secret";
const MINUTE: Duration = Duration::from_secs(60);

struct Server {
    bed: Testbed,
    router: Router,
}

impl Server {
    fn new() -> Self {
        Self::with_key(|key| key)
    }

    fn with_key(key: impl FnOnce(AccessKey) -> AccessKey) -> Self {
        let bed = Testbed::new(FakeClock::new(NOW), FakeAnalyzer::new());
        let owner = Caller::server(tenant_id(5), "test");
        let made = Tenant::new(tenant_id(5), TenantName::new("acme").unwrap(), TimestampMs(NOW));
        let made = block_on(bed.store.ensure_tenant(owner.actor(), made)).unwrap();
        let (id, secret) = (AccessKeyId::new(KEY).unwrap(), Secret::new(SECRET).unwrap());
        block_on(bed.store.add_key(owner.actor(), key(AccessKey::new(id, secret, made, TimestampMs(NOW))))).unwrap();
        let router = router(bed.wire(Settings::default()));
        Self { bed, router }
    }

    fn send(&self, method: &str, path: &str, headers: &[(&str, &str)], body: Value) -> (u16, HeaderMap, Value) {
        let mut request =
            Request::builder().method(method).uri(format!("/likeness/v1{path}")).header("host", "our.host");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let body = if body.is_null() { Body::empty() } else { Body::from(body.to_string()) };
        block_on(async {
            let answer = self.router.clone().oneshot(request.body(body).unwrap()).await.unwrap();
            let (head, body) = answer.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            (head.status.as_u16(), head.headers, serde_json::from_slice(&bytes).unwrap())
        })
    }

    /// Signs in and gives the cookie, as a browser sends it.
    fn sign_in(&self) -> String {
        let (status, headers, body) = self.send("POST", "/session", &[], json!({"key": format!("{KEY}.{SECRET}")}));
        assert_eq!(status, 201, "{body}");
        let cookie = headers["set-cookie"].to_str().unwrap();
        cookie.split(';').next().unwrap().to_owned()
    }

    /// Status of a request by cookie.
    fn status_of(&self, cookie: &str) -> u16 {
        self.send("GET", "/session", &[("cookie", cookie)], Value::Null).0
    }

    fn change_key(&self, change: impl AsyncFn(&dyn CredentialStore, likeness_domain::types::Actor, AccessKeyId)) {
        let actor = Caller::server(tenant_id(5), "test").actor();
        block_on(change(&*self.bed.store, actor, AccessKeyId::new(KEY).unwrap()));
    }
}

#[test]
fn a_browser_signs_in_and_out() {
    let server = Server::with_key(|key| AccessKey { grants: Grants::of(&[Grant::Read, Grant::Search]), ..key });
    let (status, headers, body) = server.send("POST", "/session", &[], json!({"key": format!("{KEY}.{SECRET}")}));
    assert_eq!(status, 201, "{body}");
    let set = headers["set-cookie"].to_str().unwrap();
    let (pair, attributes) = set.split_once("; ").unwrap();
    assert_eq!(attributes, "Path=/likeness/v1; Max-Age=43200; HttpOnly; SameSite=Strict");
    assert!(!body.to_string().contains(SECRET));
    let (status, _, shown) = server.send("GET", "/session", &[("cookie", &format!("theme=dark; {pair}"))], Value::Null);
    assert_eq!((status, &shown), (200, &body), "the same as where it was begun");
    assert_eq!(shown["tenant"], "acme");
    assert_eq!((&shown["key"]["id"], &shown["grants"]), (&json!(KEY), &json!(["read", "search"])));
    assert_eq!(shown["expires_at"].as_str().unwrap().len(), "2026-11-21T20:36:40Z".len());
    // With the key itself there is no session.
    let bearer = format!("Bearer {KEY}.{SECRET}");
    let (_, _, by_key) = server.send("GET", "/session", &[("authorization", &bearer)], Value::Null);
    assert_eq!((&by_key["tenant"], by_key.get("expires_at")), (&json!("acme"), None));
    // A proxy says that the browser came by TLS.
    let by_tls = [("authorization", bearer.as_str()), ("x-forwarded-proto", "https")];
    let (_, headers, _) = server.send("POST", "/session", &by_tls, Value::Null);
    assert!(headers["set-cookie"].to_str().unwrap().ends_with("; Secure"));
    // Behind this server's own TLS, whatever the client says of itself.
    for over_tls in [true, false] {
        let mut request = Request::builder().method("POST").uri("/likeness/v1/session").header("host", "our.host");
        if over_tls {
            request = request.extension(likeness_wire::http::origin::OverTls);
        }
        let request = request.header("authorization", format!("Bearer {KEY}.{SECRET}")).body(Body::empty()).unwrap();
        let answer = block_on(server.router.clone().oneshot(request)).unwrap();
        assert_eq!(answer.status().as_u16(), 201);
        assert_eq!(answer.headers()["set-cookie"].to_str().unwrap().ends_with("; Secure"), over_tls);
    }

    let (status, headers, _) =
        server.send("DELETE", "/session", &[("cookie", pair), ("x-likeness-csrf", "1")], Value::Null);
    assert_eq!(status, 200);
    assert!(headers["set-cookie"].to_str().unwrap().contains("Max-Age=0"));
    let (status, headers, body) = server.send("GET", "/session", &[("cookie", pair)], Value::Null);
    assert_eq!((status, &body["error"]["code"]), (401, &json!("unauthenticated")));
    assert_eq!(headers["www-authenticate"], "Bearer");
}

#[test]
fn nobody_signs_in_without_a_key_that_is_accepted() {
    let server = Server::new();
    for body in [
        json!({"key": format!("{KEY}.wrong")}),
        json!({"key": "nosuch.key"}),
        json!({"key": "x"}),
        json!({"ticket": "made-up"}),
        json!({}),
        Value::Null,
    ] {
        let (status, headers, answer) = server.send("POST", "/session", &[], body);
        assert_eq!((status, &answer["error"]["code"]), (401, &json!("unauthenticated")), "{answer}");
        assert!(!headers.contains_key("set-cookie"));
    }
    let (status, _, answer) = server.send("POST", "/session", &[], json!({"key": "x".repeat(5000)}));
    assert_eq!((status, &answer["error"]["code"]), (413, &json!("image_too_large")), "{answer}");
    let (status, _, _) = server.send("POST", "/session", &[], json!({"key": "a.b", "more": 1}));
    assert_eq!(status, 400);
    // From another site's page nobody is signed in at all.
    let foreign = [("origin", "https://evil.example")];
    let (status, _, answer) = server.send("POST", "/session", &foreign, json!({"key": format!("{KEY}.{SECRET}")}));
    assert_eq!((status, &answer["error"]["field"]), (403, &json!("origin")), "{answer}");
    let disabled = Server::with_key(|key| AccessKey { enabled: false, ..key });
    let (status, _, answer) = disabled.send("POST", "/session", &[], json!({"key": format!("{KEY}.{SECRET}")}));
    assert_eq!((status, &answer["error"]["code"]), (403, &json!("forbidden")), "{answer}");
}

#[test]
fn a_session_changes_nothing_for_another_sites_page() {
    let server = Server::new();
    let cookie = server.sign_in();
    let make = |name: &str, headers: &[(&str, &str)]| {
        let headers = [headers, &[("cookie", cookie.as_str())]].concat();
        server.send("POST", "/face-sets", &headers, json!({"name": name}))
    };
    for headers in [
        &[][..],
        &[("origin", "https://evil.example")],
        &[("origin", "null")],
        &[("origin", "http://our.host.evil.example")],
        &[("origin", "http://our.host:8080")],
    ] {
        let (status, _, answer) = make("staff", headers);
        assert_eq!((status, &answer["error"]["field"]), (403, &json!("origin")), "{headers:?}: {answer}");
    }
    assert_eq!(make("a", &[("x-likeness-csrf", "1")]).0, 201);
    assert_eq!(make("b", &[("origin", "http://our.host")]).0, 201);
    assert_eq!(make("c", &[("origin", "https://OUR.host")]).0, 201);
    // Reading needs nothing more, and a key itself is never sent by another site's page.
    assert_eq!(server.status_of(&cookie), 200);
    let bearer = format!("Bearer {KEY}.{SECRET}");
    let (status, ..) = server.send("POST", "/face-sets", &[("authorization", &bearer)], json!({"name": "d"}));
    assert_eq!(status, 201);
}

#[test]
fn a_session_ends_when_it_is_not_used_and_after_twelve_hours() {
    let server = Server::new();
    let (used, unused) = (server.sign_in(), server.sign_in());
    for _ in 0..28 {
        assert_eq!(server.status_of(&used), 200);
        server.bed.clock.advance(25 * MINUTE);
    }
    assert_eq!(server.status_of(&unused), 401);
    assert_eq!(server.status_of(&used), 200, "700 minutes after its beginning");
    server.bed.clock.advance(19 * MINUTE);
    assert_eq!(server.status_of(&used), 200);
    server.bed.clock.advance(MINUTE);
    assert_eq!(server.status_of(&used), 401, "twelve hours after its beginning");
}

#[test]
fn a_session_ends_with_its_key() {
    let disabled = Server::new();
    let cookie = disabled.sign_in();
    disabled.change_key(async |keys, actor, id| assert!(keys.set_key_enabled(actor, id, false).await.unwrap()));
    assert_eq!(disabled.status_of(&cookie), 401);
    // Nor does it begin anew where a browser was left open.
    disabled.change_key(async |keys, actor, id| assert!(keys.set_key_enabled(actor, id, true).await.unwrap()));
    assert_eq!(disabled.status_of(&cookie), 401);
    assert_eq!(disabled.status_of(&disabled.sign_in()), 200);
    let deleted = Server::new();
    let cookie = deleted.sign_in();
    deleted.change_key(async |keys, actor, id| assert!(keys.delete_key(actor, id).await.unwrap()));
    assert_eq!(deleted.status_of(&cookie), 401);
    let expired = Server::with_key(|key| AccessKey { expires_at: Some(TimestampMs(NOW + 60_000)), ..key });
    let cookie = expired.sign_in();
    assert_eq!(expired.status_of(&cookie), 200);
    expired.bed.clock.advance(MINUTE);
    assert_eq!(expired.status_of(&cookie), 403);
    // The secret that began it is accepted for a while after a rotation.
    let rotated = Server::new();
    let cookie = rotated.sign_in();
    let until = TimestampMs(rotated.bed.clock.now().0 + 60_000);
    rotated.change_key(async |keys, actor, id| {
        let fresh = Secret::new("fresh-secret").unwrap();
        assert!(keys.rotate_key(actor, id, fresh, until).await.unwrap());
    });
    assert_eq!(rotated.status_of(&cookie), 200);
    rotated.bed.clock.advance(MINUTE);
    assert_eq!(rotated.status_of(&cookie), 401);
}

#[test]
fn a_key_has_few_sessions_and_a_restart_ends_none() {
    let mut server = Server::new();
    let first = server.sign_in();
    server.bed.clock.advance(2 * MINUTE);
    let second = server.sign_in();
    for _ in 0..63 {
        server.bed.clock.advance(Duration::from_millis(1));
        server.sign_in();
    }
    assert_eq!((server.status_of(&first), server.status_of(&second)), (401, 200), "the oldest made room");
    server.router = router(server.bed.wire(Settings::default()));
    assert_eq!(server.status_of(&second), 200);
    for made_up in ["likeness_session=", "likeness_session=x", &second[..second.len() - 1], &second.to_uppercase()] {
        assert_eq!(server.status_of(made_up), 401, "{made_up}");
    }
}

#[test]
fn who_asks_whether_anybody_is_signed_in_is_not_refused() {
    let server = Server::new();
    let asked = |headers: &[(&str, &str)]| {
        let mut request = Request::builder().uri("/likeness/v1/session?if_any=true").header("host", "our.host");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        block_on(async {
            let answer = server.router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let (head, body) = answer.into_parts();
            (head.status.as_u16(), body.collect().await.unwrap().to_bytes().len())
        })
    };
    assert_eq!(asked(&[]), (204, 0));
    assert_eq!(asked(&[("cookie", "likeness_session=none")]), (204, 0));
    // Who shows a key wants to know whether it is good.
    assert_eq!(asked(&[("authorization", "Bearer a.b")]).0, 401);
    let pair = server.sign_in();
    assert_eq!(asked(&[("cookie", &pair)]).0, 200);
    assert_eq!(server.send("GET", "/session?if_any=yes", &[("cookie", &pair)], Value::Null).0, 400);
    // A session whose key is worth nothing any more is none.
    server.change_key(async |keys, actor, id| {
        keys.delete_key(actor, id).await.unwrap();
    });
    assert_eq!(asked(&[("cookie", &pair)]), (204, 0));
    assert_eq!(server.send("GET", "/session", &[], Value::Null).0, 401, "not asked so, it is refused as ever");
}

/// The console in two tabs: what one shows is not what a request of it would change once the other has signed in.
#[test]
fn a_page_made_for_one_key_changes_nothing_with_another() {
    let server = Server::new();
    let pair = server.sign_in();
    let as_page_of = |who: &str| {
        let headers = [("cookie", pair.as_str()), ("x-likeness-csrf", "1"), ("x-likeness-session", who)];
        server.send("POST", "/face-sets", &headers, json!({"name": "staff"}))
    };
    for other in ["AnotherKey01", "owner:acme"] {
        let (status, _, answer) = as_page_of(other);
        assert_eq!((status, &answer["error"]["code"]), (403, &json!("other_session")), "{answer}");
    }
    assert_eq!(as_page_of(KEY).0, 201);
}
