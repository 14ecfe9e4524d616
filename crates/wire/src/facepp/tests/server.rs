//! A whole server in memory and the requests to put to it.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use likeness_domain::library::jobs::Settled;
use likeness_domain::ports::{Clock, JobStore};
use likeness_domain::types::TimestampMs;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeClock, FakeFetcher, block_on};

use crate::facepp::Settings;
use crate::megvii::testbed as forms;
pub(super) use crate::megvii::testbed::{Reply, token};
use crate::router;
use crate::router::Worker;
use crate::testbed::{self, Testbed};
pub(super) use crate::testbed::{NOBODY, P1, P1B, P2, base64};

/// The second person small and the first large.
pub(super) const BOTH: &str = "face bert 60x60+400+300\nface anna 120x130+10+20";

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

impl Server {
    pub(super) fn new() -> Self {
        Self::with(Settings::default())
    }

    pub(super) fn with(settings: Settings) -> Self {
        Self::over(settings, FakeAnalyzer::new())
    }

    pub(super) fn over(settings: Settings, analyzer: FakeAnalyzer) -> Self {
        let bed = Testbed::new(FakeClock::new(NOW_S * 1000), analyzer);
        for (bits, client, enabled) in [(0x1111, DEMO, true), (0x1111, DISABLED, false), (0x2222, OTHER, true)] {
            bed.add_key(bits, &format!("tenant-{bits:x}"), client, enabled).unwrap();
        }
        let wire = bed.wire(crate::Settings { facepp: settings, ..crate::Settings::default() });
        let worker = crate::facepp::workers(wire.clone()).remove(0);
        let Testbed { store, clock, analyzer, fetcher, .. } = bed;
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
        testbed::send(&self.router, request)
    }

    /// Sends as it is and checks what holds for every answer in JSON.
    #[track_caller]
    pub(super) fn send(&self, request: Request<Body>) -> Reply {
        Reply::of(self.raw(request), "error_message", self.clock.now().0 / 1000)
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

pub(super) fn multipart(name: &str, body: &str) -> Request<Body> {
    forms::multipart(&format!("{BASE}{name}"), body)
}

/// A form; fields called `image_file..` are sent as files.
pub(super) fn form(fields: &[(&str, &str)]) -> String {
    forms::form(fields, |name| name.starts_with("image_file"))
}
