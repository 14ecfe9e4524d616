//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use http_body_util::BodyExt;
use likeness_domain::library::{Library, Ports};
use likeness_domain::ports::{Clock, CredentialStore};
use likeness_domain::types::{AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName};
use likeness_store::index::ScanIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock, FakeFetcher, FakeVideoDecoder, SeededIds, block_on};
use serde_json::Value;
use tower::ServiceExt;

use crate::yuanli::Settings;
use crate::{Wire, router};

/// One face of one person.
pub(super) const P1: &str = "face anna 120x130+10+20";
/// Another picture of the same person.
pub(super) const P1B: &str = "face anna~0.8 100x100+40+40";
/// Somebody else.
pub(super) const P2: &str = "face bert 90x90+300+100";
/// Nobody.
pub(super) const NOBODY: &str = "size 640x480";

/// Where the reference pins the clock.
pub(super) const NOW_S: i64 = 1_893_456_050;
pub(super) const BASE: &str = "/finauth/search/group/";

/// Somebody who can sign.
#[derive(Debug, Clone, Copy)]
pub(super) struct Client {
    pub(super) key: &'static str,
    pub(super) secret: &'static str,
}

/// Who most requests are from; the one of the reference's vectors.
pub(super) const DEMO: Client =
    Client { key: "demoKey-0001_AbCdEfGhIjKlMnOpQr", secret: "demoSecret-0001_ZyXwVuTsRqPoNmL" };
/// Of another tenant.
pub(super) const OTHER: Client = Client { key: "otherKey", secret: "otherSecret" };
/// Of the first tenant, but switched off.
pub(super) const DISABLED: Client = Client { key: "disabledKey", secret: "disabledSecret" };

impl Client {
    /// The parts as a client signs them; `end` is as written.
    pub(super) fn sign(self, version: &str, end: &str, made: i64, random: &str) -> String {
        let raw = format!("a={}&b={end}&c={made}&d={random}", self.key);
        let mac: Vec<u8> = match version {
            "hmac_sha256" => {
                let mac = Hmac::<sha2::Sha256>::new_from_slice(self.secret.as_bytes()).unwrap();
                mac.chain_update(&raw).finalize().into_bytes().to_vec()
            }
            _ => {
                let mac = Hmac::<sha1::Sha1>::new_from_slice(self.secret.as_bytes()).unwrap();
                mac.chain_update(&raw).finalize().into_bytes().to_vec()
            }
        };
        STANDARD.encode([mac, raw.into_bytes()].concat())
    }

    fn usual_sign(self) -> String {
        self.sign("hmac_sha1", &(NOW_S + 1_000_000_000).to_string(), NOW_S, "0000000042")
    }
}

pub(super) struct Server {
    router: Router,
    pub(super) clock: Arc<FakeClock>,
    pub(super) store: Arc<MemoryStore>,
    pub(super) analyzer: Arc<FakeAnalyzer>,
}

/// An answer, checked for what every answer must be.
#[derive(Debug)]
pub(super) struct Reply {
    pub(super) status: u16,
    pub(super) text: String,
    pub(super) json: Value,
}

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        let index = Arc::new(ScanIndex::new());
        Self::over(settings, Arc::new(MemoryStore::open(index.clone())), index)
    }

    /// Another process over the same store.
    pub(super) fn over(settings: Settings, store: Arc<MemoryStore>, index: Arc<ScanIndex>) -> Self {
        let clock = Arc::new(FakeClock::new(NOW_S * 1000));
        let ids = Arc::new(SeededIds::new(7));
        let analyzer = Arc::new(FakeAnalyzer::new());
        let library = Arc::new(Library::new(Ports {
            analyzer: analyzer.clone(),
            store: store.clone(),
            index,
            fetcher: Arc::new(FakeFetcher::new()),
            decoder: Arc::new(FakeVideoDecoder),
            pictures: store.clone(),
            clock: clock.clone(),
            ids: ids.clone(),
        }));
        add_key(&store, &clock, 0x1111, "acme", DEMO, true);
        add_key(&store, &clock, 0x1111, "acme", DISABLED, false);
        add_key(&store, &clock, 0x2222, "other", OTHER, true);
        let router = router(Wire {
            library,
            credentials: store.clone(),
            clock: clock.clone(),
            ids,
            secret: InstallationSecret::from_bytes([7; 32]),
            jobs: store.clone(),
            once: store.clone(),
            messenger: Arc::new(likeness_testkit::FakeMessenger::new()),
            settings: crate::Settings { yuanli: settings, ..crate::Settings::default() },
            ready: Arc::new(|| true),
        });
        Self { router, clock, store, analyzer }
    }

    /// A signed call as a form.
    #[track_caller]
    pub(super) fn call(&self, name: &str, fields: &[(&str, &str)]) -> Reply {
        self.call_as(DEMO, name, fields)
    }

    #[track_caller]
    pub(super) fn call_as(&self, client: Client, name: &str, fields: &[(&str, &str)]) -> Reply {
        let sign = client.usual_sign();
        let mut all = vec![("sign", sign.as_str()), ("sign_version", "hmac_sha1")];
        all.extend(fields);
        self.post(name, &all)
    }

    /// A form as it is.
    #[track_caller]
    pub(super) fn post(&self, name: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(multipart(name, &form(fields)))
    }

    /// An urlencoded body as it is.
    #[track_caller]
    pub(super) fn post_text(&self, name: &str, body: &str) -> Reply {
        let request =
            Request::post(format!("{BASE}{name}")).header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
    }

    /// Sends as it is and checks nothing.
    pub(super) fn raw(&self, request: Request<Body>) -> (u16, http::HeaderMap, String) {
        block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            let (head, body) = response.into_parts();
            let bytes = body.collect().await.unwrap().to_bytes();
            (head.status.as_u16(), head.headers, String::from_utf8(bytes.to_vec()).unwrap())
        })
    }

    /// Sends as it is and checks what holds for every answer in JSON.
    #[track_caller]
    pub(super) fn send(&self, request: Request<Body>) -> Reply {
        let (status, headers, text) = self.raw(request);
        assert_eq!(headers["content-type"], "application/json; charset=UTF-8", "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        check_request_id(json["request_id"].as_str().unwrap(), self.clock.now().0 / 1000);
        assert!(json["time_used"].as_u64().is_some(), "{text}");
        assert_eq!(json.get("error").is_some(), status != 200, "{text}");
        assert!(!text.contains("null"), "{text}");
        assert_ne!(status, 500, "{text}");
        Reply { status, text, json }
    }

    /// With the library of most cases, `lib_a`.
    pub(super) fn with_lib_a() -> Self {
        let server = Self::new();
        server.make("lib_a");
        server
    }

    #[track_caller]
    pub(super) fn make(&self, name: &str) {
        self.call("create", &[("group_id", name), ("group_name", "Alpha")]).ok();
    }

    /// Adds a face to `lib_a` and returns its token.
    #[track_caller]
    pub(super) fn add(&self, picture: &str, user: &str) -> String {
        self.call("add", &[("group_id", "lib_a"), ("file", picture), ("user_id", user)]).ok().token()
    }

    /// How many faces `lib_a` has, by listing.
    #[track_caller]
    pub(super) fn n_listed(&self) -> usize {
        self.call("list", &[("group_id", "lib_a"), ("limit", "1000")]).ok().list("face_tokens").len()
    }

    /// Searches `lib_a`.
    #[track_caller]
    pub(super) fn search(&self, picture: &str, more: &[(&str, &str)]) -> Reply {
        let mut fields = vec![("group_id", "lib_a"), ("file", picture)];
        fields.extend(more);
        self.call("search", &fields)
    }
}

impl Reply {
    /// It was done.
    #[track_caller]
    pub(super) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }

    /// It was refused so, and with nothing else.
    #[track_caller]
    pub(super) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.json["error"].as_str()), (status, Some(error)), "{}", self.text);
        assert_eq!(self.json.as_object().unwrap().len(), 3, "{}", self.text);
    }

    /// Refused with 400.
    #[track_caller]
    pub(super) fn bad(&self, error: &str) {
        self.refused(400, error);
    }

    #[track_caller]
    pub(super) fn token(&self) -> String {
        let token = self.json["face_token"].as_str().unwrap();
        assert!(
            token.len() == 32 && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)),
            "{token}"
        );
        token.to_owned()
    }

    #[track_caller]
    pub(super) fn list(&self, member: &str) -> &[Value] {
        self.json[member].as_array().unwrap()
    }

    /// Tokens of the results.
    #[track_caller]
    pub(super) fn found(&self) -> Vec<&str> {
        self.list("results").iter().map(|result| result["face_token"].as_str().unwrap()).collect()
    }
}

/// The boundary of every form.
const BOUNDARY: &str = "bnd";

pub(super) fn multipart(name: &str, body: &str) -> Request<Body> {
    let request = Request::post(format!("{BASE}{name}"));
    let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A form; `file` is sent as a file.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        let file = if *name == "file" { "; filename=\"a.jpg\"" } else { "" };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    };
    format!("{}--{BOUNDARY}--\r\n", fields.iter().map(part).collect::<String>())
}

/// Base64 of a picture.
pub(super) fn base64(picture: impl AsRef<[u8]>) -> String {
    STANDARD.encode(picture)
}

#[track_caller]
fn check_request_id(id: &str, now_s: i64) {
    let (seconds, uuid) = id.split_once(',').unwrap();
    assert!((now_s - seconds.parse::<i64>().unwrap()).abs() <= 2, "{id}");
    let parts: Vec<&str> = uuid.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
    assert!(uuid.bytes().all(|byte| byte == b'-' || byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)), "{id}");
    assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
}

fn add_key(store: &MemoryStore, clock: &FakeClock, bits: u128, tenant: &str, client: Client, enabled: bool) {
    let id = TenantId::from_bits(bits << 100 | bits);
    let proposed = Tenant { id, name: TenantName::new(tenant).unwrap(), created_at: clock.now() };
    let tenant = block_on(store.ensure_tenant(proposed)).unwrap();
    let (id, secret) = (AccessKeyId::new(client.key).unwrap(), Secret::new(client.secret).unwrap());
    let key = AccessKey { id, secret, tenant, enabled, created_at: clock.now() };
    // A second process over one store finds the keys there.
    let _ = block_on(store.add_key(key));
}
