//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use hmac::{Hmac, KeyInit, Mac};
use http::Request;
use likeness_domain::ports::Clock;
use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock};

use crate::megvii::testbed as forms;
pub(super) use crate::megvii::testbed::Reply;
use crate::router;
use crate::testbed::{self, Testbed};
pub(super) use crate::testbed::{NOBODY, P1, P1B, P2, base64};
use crate::yuanli::Settings;

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
        base64([mac, raw.into_bytes()].concat())
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

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::on(Testbed::new(FakeClock::new(NOW_S * 1000), FakeAnalyzer::new()), settings)
    }

    /// Another process over the same store.
    pub(super) fn over(settings: Settings, store: Arc<MemoryStore>, index: Arc<BruteForceIndex>) -> Self {
        Self::on(Testbed::over(store, index, FakeClock::new(NOW_S * 1000), FakeAnalyzer::new()), settings)
    }

    fn on(bed: Testbed, settings: Settings) -> Self {
        let keys = [(0x1111, "acme", DEMO, true), (0x1111, "acme", DISABLED, false), (0x2222, "other", OTHER, true)];
        for (bits, tenant, client, enabled) in keys {
            // A second process over one store finds the keys there.
            let _ = bed.add_key(bits, tenant, (client.key, client.secret), enabled);
        }
        let router = router(bed.wire(crate::Settings { yuanli: settings, ..crate::Settings::default() }));
        let Testbed { store, clock, analyzer, .. } = bed;
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
        testbed::send(&self.router, request)
    }

    /// Sends as it is and checks what holds for every answer in JSON.
    #[track_caller]
    pub(super) fn send(&self, request: Request<Body>) -> Reply {
        Reply::of(self.raw(request), "error", self.clock.now().0 / 1000)
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
    #[track_caller]
    pub(super) fn token(&self) -> String {
        forms::token(&self.json["face_token"])
    }

    /// Tokens of the results.
    #[track_caller]
    pub(super) fn found(&self) -> Vec<&str> {
        self.list("results").iter().map(|result| result["face_token"].as_str().unwrap()).collect()
    }
}

pub(super) fn multipart(name: &str, body: &str) -> Request<Body> {
    forms::multipart(&format!("{BASE}{name}"), body)
}

/// A form; `file` is sent as a file.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    forms::form(fields, |name| name == "file")
}
