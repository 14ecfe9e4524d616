//! A whole server in memory and the requests to put to it.

use likeness_domain::library::jobs::Settled;
use likeness_domain::ports::{Clock, JobStore};
use likeness_domain::types::TimestampMs;
use likeness_testkit::{FakeAnalyzer, FakeClock, block_on};

use crate::facepp::Settings;
pub(super) use crate::megvii::tests::server::Client;
use crate::megvii::tests::server::{self, Spoken};
pub(super) use crate::megvii::tests::{Reply, token};
use crate::tests::testbed::Testbed;
pub(super) use crate::tests::testbed::{NOBODY, P1, P1B, P2, base64};

/// The second person small and the first large.
pub(super) const BOTH: &str = "face bert 60x60+400+300\nface anna 120x130+10+20";

const NOW_S: i64 = 1_893_456_050;
pub(super) const BASE: &str = Facepp::BASE;

/// Who most requests are from.
pub(super) const DEMO: Client = Client { key: "demoKey", secret: "demoSecret" };
/// Of the same tenant, but switched off.
pub(super) const DISABLED: Client = Client { key: "disabledKey", secret: "disabledSecret" };
/// Of another tenant.
pub(super) const OTHER: Client = Client { key: "otherKey", secret: "otherSecret" };

pub(super) struct Facepp;

impl Spoken for Facepp {
    const BASE: &'static str = "/facepp/v3/";
    const ERROR_MEMBER: &'static str = "error_message";
    const LIST: &'static str = "faceset/getfacesets";
    const KEY_FIELD: &'static str = "api_key";
    const CLIENTS: [Client; 3] = [DEMO, DISABLED, OTHER];

    fn credentials(client: Client) -> Vec<(&'static str, String)> {
        vec![("api_key", client.key.to_owned()), ("api_secret", client.secret.to_owned())]
    }

    fn is_file(name: &str) -> bool {
        name.starts_with("image_file")
    }
}

pub(super) type Server = server::Server<Facepp>;

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::over(settings, FakeAnalyzer::new())
    }

    pub(super) fn over(settings: Settings, analyzer: FakeAnalyzer) -> Self {
        let settings = crate::Settings { facepp: settings, ..crate::Settings::default() };
        Self::on(Testbed::new(FakeClock::new(NOW_S * 1000), analyzer), settings)
    }

    /// Does the tasks that wait; how many.
    pub(super) fn work(&self) -> usize {
        let worker = crate::facepp::workers(self.services.clone()).remove(0);
        let (handler, mut n_done) = (&*worker.handler, 0);
        let now = self.clock.now();
        let later = TimestampMs(now.0 + 60_000);
        while let Some(job) = block_on(self.store.claim(handler.plan().kind, now, later, None)).unwrap() {
            let Settled { outcome, follow_ups } = block_on(handler.run(&job)).unwrap();
            assert!(block_on(self.store.settle(job.lease(), outcome, follow_ups)).unwrap());
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
