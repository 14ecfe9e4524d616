//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::Request;
use http_body_util::BodyExt;
use likeness_domain::library::jobs::Settled;
use likeness_domain::library::{Library, Ports};
use likeness_domain::ports::{Clock, CredentialStore, JobStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_store::index::ScanIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock, FakeFetcher, FakeMessenger, FakeVideoDecoder, SeededIds, block_on};
use serde_json::Value;
use tower::ServiceExt;

use crate::facepp::Settings;
use crate::router::Worker;
use crate::{Wire, router};

/// One face of one person.
pub(super) const P1: &str = "face anna 120x130+10+20";
/// Another picture of the same person.
pub(super) const P1B: &str = "face anna~0.8 100x100+40+40";
/// Somebody else.
pub(super) const P2: &str = "face bert 90x90+300+100";
/// The second person small and the first large.
pub(super) const BOTH: &str = "face bert 60x60+400+300\nface anna 120x130+10+20";
/// Nobody.
pub(super) const NOBODY: &str = "size 640x480";

const NOW_S: i64 = 1_893_456_050;
pub(super) const BASE: &str = "/facepp/v3/";

/// Key and secret of somebody.
pub(super) type Client = (&'static str, &'static str);

/// Who most requests are from.
pub(super) const DEMO: Client = ("demoKey", "demoSecret");
/// Of another tenant.
pub(super) const OTHER: Client = ("otherKey", "otherSecret");
/// Of the first tenant, but switched off.
pub(super) const DISABLED: Client = ("disabledKey", "disabledSecret");

pub(super) struct Server {
    router: Router,
    worker: Worker,
    store: Arc<MemoryStore>,
    pub(super) clock: Arc<FakeClock>,
    pub(super) analyzer: Arc<FakeAnalyzer>,
    pub(super) fetcher: Arc<FakeFetcher>,
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
        Self::over(settings, FakeAnalyzer::new())
    }

    pub(super) fn over(settings: Settings, analyzer: FakeAnalyzer) -> Self {
        let index = Arc::new(ScanIndex::new());
        let store = Arc::new(MemoryStore::open(index.clone()));
        let clock = Arc::new(FakeClock::new(NOW_S * 1000));
        let ids = Arc::new(SeededIds::new(11));
        let (analyzer, fetcher) = (Arc::new(analyzer), Arc::new(FakeFetcher::new()));
        let library = Library::new(Ports {
            analyzer: analyzer.clone(),
            store: store.clone(),
            index,
            fetcher: fetcher.clone(),
            pictures: store.clone(),
            decoder: Arc::new(FakeVideoDecoder),
            clock: clock.clone(),
            ids: ids.clone(),
        });
        for (bits, client, enabled) in [(0x1111, DEMO, true), (0x1111, DISABLED, false), (0x2222, OTHER, true)] {
            add_key(&store, &clock, bits, client, enabled);
        }
        let wire = Wire {
            library: Arc::new(library),
            credentials: store.clone(),
            clock: clock.clone(),
            ids,
            secret: InstallationSecret::from_bytes([9; 32]),
            jobs: store.clone(),
            once: store.clone(),
            messenger: Arc::new(FakeMessenger::new()),
            settings: crate::Settings { facepp: settings, ..crate::Settings::default() },
            ready: Arc::new(|| true),
        };
        let worker = crate::facepp::workers(wire.clone()).remove(0);
        Self { router: router(wire), worker, store, clock, analyzer, fetcher }
    }

    /// A call as a form, with key and secret.
    #[track_caller]
    pub(super) fn call(&self, name: &str, fields: &[(&str, &str)]) -> Reply {
        self.call_as(DEMO, name, fields)
    }

    #[track_caller]
    pub(super) fn call_as(&self, client: Client, name: &str, fields: &[(&str, &str)]) -> Reply {
        let mut all = vec![("api_key", client.0), ("api_secret", client.1)];
        all.extend(fields);
        self.send(multipart(name, &form(&all)))
    }

    /// Sends as it is and checks nothing.
    pub(super) fn raw(&self, request: Request<Body>) -> (u16, http::HeaderMap, String) {
        block_on(async {
            let (head, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
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
        let (seconds, uuid) = json["request_id"].as_str().unwrap().split_once(',').unwrap();
        assert_eq!((seconds.parse(), uuid.len()), (Ok(self.clock.now().0 / 1000), 36), "{text}");
        assert!(json["time_used"].as_u64().is_some(), "{text}");
        assert_eq!(json.get("error_message").is_some(), status != 200, "{text}");
        assert!(!text.contains("null"), "{text}");
        assert!(!text.contains("Secret"), "no answer repeats a secret");
        assert_ne!(status, 500, "{text}");
        Reply { status, text, json }
    }

    /// Does the tasks that wait; how many.
    pub(super) fn work(&self) -> usize {
        let (handler, mut n_done) = (&*self.worker.handler, 0);
        let now = self.clock.now();
        let later = TimestampMs(now.0 + 60_000);
        while let Some(job) = block_on(self.store.claim(handler.kind(), now, later)).unwrap() {
            let Settled { outcome, follow_ups } = block_on(handler.run(&job)).unwrap();
            assert!(block_on(self.store.settle(job.id, outcome, follow_ups)).unwrap());
            n_done += 1;
        }
        n_done
    }

    /// A face set `outer_id`.
    #[track_caller]
    pub(super) fn make(&self, outer_id: &str) -> Reply {
        self.call("faceset/create", &[("outer_id", outer_id)]).ok()
    }

    /// The token of the first face of a picture.
    #[track_caller]
    pub(super) fn token(&self, picture: &str) -> String {
        let reply = self.call("detect", &[("image_file", picture)]).ok();
        token(&reply.list("faces")[0]["face_token"])
    }

    /// Adds the first face of a picture to a set and returns its token.
    #[track_caller]
    pub(super) fn add(&self, outer_id: &str, picture: &str) -> String {
        let token = self.token(picture);
        let reply = self.call("faceset/addface", &[("outer_id", outer_id), ("face_tokens", &token)]).ok();
        assert_eq!(reply.json["face_added"], 1, "{}", reply.text);
        token
    }

    /// Tokens of a set, by listing.
    #[track_caller]
    pub(super) fn tokens(&self, outer_id: &str) -> Vec<String> {
        let reply = self.call("faceset/getdetail", &[("outer_id", outer_id)]).ok();
        reply.list("face_tokens").iter().map(token).collect()
    }
}

/// A token, which is 32 hex digits.
#[track_caller]
pub(super) fn token(value: &Value) -> String {
    let token = value.as_str().unwrap();
    assert!(token.len() == 32 && token.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)), "{token}");
    token.to_owned()
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
        assert_eq!((self.status, self.json["error_message"].as_str()), (status, Some(error)), "{}", self.text);
        assert_eq!(self.json.as_object().unwrap().len(), 3, "{}", self.text);
    }

    /// Refused with 400.
    #[track_caller]
    pub(super) fn bad(&self, error: &str) {
        self.refused(400, error);
    }

    #[track_caller]
    pub(super) fn list(&self, member: &str) -> &[Value] {
        self.json[member].as_array().unwrap()
    }

    /// Names of the members, sorted.
    pub(super) fn members(&self) -> String {
        self.json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }
}

/// The boundary of every form.
const BOUNDARY: &str = "bnd";

pub(super) fn multipart(name: &str, body: &str) -> Request<Body> {
    let request = Request::post(format!("{BASE}{name}"));
    let request = request.header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    request.body(Body::from(body.to_owned())).unwrap()
}

/// A form; fields called `image_file..` are sent as files.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    let part = |(name, text): &(&str, &str)| {
        let file = if name.starts_with("image_file") { "; filename=\"a.jpg\"" } else { "" };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    };
    format!("{}--{BOUNDARY}--\r\n", fields.iter().map(part).collect::<String>())
}

/// Base64 of a picture.
pub(super) fn base64(picture: impl AsRef<[u8]>) -> String {
    STANDARD.encode(picture)
}

fn add_key(store: &MemoryStore, clock: &FakeClock, bits: u128, (key, secret): Client, enabled: bool) {
    let id = TenantId::from_bits(bits << 100 | bits);
    let name = TenantName::new(&format!("tenant-{bits:x}")).unwrap();
    let tenant = block_on(store.ensure_tenant(Tenant { id, name, created_at: clock.now() })).unwrap();
    let (id, secret) = (AccessKeyId::new(key).unwrap(), Secret::new(secret).unwrap());
    block_on(store.add_key(AccessKey { id, secret, tenant, enabled, created_at: clock.now() })).unwrap();
}
