//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock};

pub(super) use crate::megvii::tests::Reply;
pub(super) use crate::megvii::tests::server::Client;
use crate::megvii::tests::server::{self, Spoken};
use crate::megvii::tests::token;
use crate::tests::testbed::Testbed;
pub(super) use crate::tests::testbed::{NOBODY, P1, P1B, P2, base64};
use crate::yuanli::Settings;

/// Where the reference pins the clock.
pub(super) const NOW_S: i64 = 1_893_456_050;
pub(super) const BASE: &str = Yuanli::BASE;

/// Who most requests are from; the one of the reference's vectors.
pub(super) const DEMO: Client =
    Client { key: "demoKey-0001_AbCdEfGhIjKlMnOpQr", secret: "demoSecret-0001_ZyXwVuTsRqPoNmL" };
/// Of the same tenant, but switched off.
pub(super) const DISABLED: Client = Client { key: "disabledKey", secret: "disabledSecret" };
/// Of another tenant.
pub(super) const OTHER: Client = Client { key: "otherKey", secret: "otherSecret" };

pub(super) struct Yuanli;

impl Spoken for Yuanli {
    const BASE: &'static str = "/finauth/search/group/";
    const ERROR_MEMBER: &'static str = "error";
    const LIST: &'static str = "group_list";
    const KEY_FIELD: &'static str = "sign";
    const CLIENTS: [Client; 3] = [DEMO, DISABLED, OTHER];

    fn credentials(client: Client) -> Vec<(&'static str, String)> {
        let sign = client.sign("hmac_sha1", &(NOW_S + 86_400).to_string(), NOW_S, "0000000042");
        vec![("sign", sign), ("sign_version", "hmac_sha1".to_owned())]
    }

    fn is_file(name: &str) -> bool {
        name == "file"
    }
}

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
}

pub(super) type Server = server::Server<Yuanli>;

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::spoken_on(Testbed::new(FakeClock::new(NOW_S * 1000), FakeAnalyzer::new()), settings)
    }

    /// Another process over the same store.
    pub(super) fn over(settings: Settings, store: Arc<MemoryStore>, index: Arc<BruteForceIndex>) -> Self {
        Self::spoken_on(Testbed::over(store, index, FakeClock::new(NOW_S * 1000), FakeAnalyzer::new()), settings)
    }

    fn spoken_on(bed: Testbed, settings: Settings) -> Self {
        Self::on(bed, crate::Settings { yuanli: settings, ..crate::Settings::default() })
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
        token(&self.json["face_token"])
    }

    /// Tokens of the results.
    #[track_caller]
    pub(super) fn found(&self) -> Vec<&str> {
        self.list("results").iter().map(|result| result["face_token"].as_str().unwrap()).collect()
    }
}
