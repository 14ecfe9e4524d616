//! A whole server in memory that speaks one service of the family, and the requests to put to it.

use std::marker::PhantomData;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use http::Request;
use likeness_domain::ports::Clock;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{FakeAnalyzer, FakeFetcher};

use super::{Reply, form, multipart};
use crate::tests::testbed::{self, Testbed};
use crate::{Services, router};

/// Somebody with a key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) key: &'static str,
    pub(crate) secret: &'static str,
}

/// How one service of the family is spoken.
pub(crate) trait Spoken {
    /// What every path begins with.
    const BASE: &'static str;
    /// The member of a refusal.
    const ERROR_MEMBER: &'static str;
    /// A call that needs nothing but a key.
    const LIST: &'static str;
    /// What is said to be missing where there is no field at all.
    const KEY_FIELD: &'static str;

    /// The first client is of a tenant, the second of the same one but switched off, the third of another tenant.
    const CLIENTS: [Client; 3];

    /// The fields by which a client is known.
    fn credentials(client: Client) -> Vec<(&'static str, String)>;

    /// Whether a field is sent as a file.
    fn is_file(name: &str) -> bool;
}

pub(crate) struct Server<S> {
    router: Router,
    pub(crate) services: Services,
    pub(crate) clock: Arc<likeness_testkit::FakeClock>,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) analyzer: Arc<FakeAnalyzer>,
    pub(crate) fetcher: Arc<FakeFetcher>,
    spoken: PhantomData<S>,
}

impl<S: Spoken> Server<S> {
    pub(crate) fn on(bed: Testbed, settings: crate::Settings) -> Self {
        let [demo, disabled, other] = S::CLIENTS;
        for (bits, tenant, client, enabled) in
            [(0x1111, "acme", demo, true), (0x1111, "acme", disabled, false), (0x2222, "other", other, true)]
        {
            // A second process over one store finds the keys there.
            let _ = bed.add_key(bits, tenant, (client.key, client.secret), enabled);
        }
        let services = bed.wire(settings);
        let router = router(services.clone());
        let Testbed { store, clock, analyzer, fetcher, .. } = bed;
        Self { router, services, clock, store, analyzer, fetcher, spoken: PhantomData }
    }

    /// A call of the first client as a form.
    #[track_caller]
    pub(crate) fn call(&self, name: &str, fields: &[(&str, &str)]) -> Reply {
        self.call_as(S::CLIENTS[0], name, fields)
    }

    #[track_caller]
    pub(crate) fn call_as(&self, client: Client, name: &str, fields: &[(&str, &str)]) -> Reply {
        let credentials = S::credentials(client);
        let own = credentials.iter().map(|(name, value)| (*name, value.as_str()));
        self.post(name, &own.chain(fields.iter().copied()).collect::<Vec<_>>())
    }

    /// A form as it is.
    #[track_caller]
    pub(crate) fn post(&self, name: &str, fields: &[(&str, &str)]) -> Reply {
        self.send(Self::multipart(name, Self::form(fields)))
    }

    /// An urlencoded body as it is.
    #[track_caller]
    pub(crate) fn post_text(&self, name: &str, body: &str) -> Reply {
        let request = Request::post(format!("{}{name}", S::BASE));
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.to_owned())).unwrap())
    }

    /// Sends as it is and checks nothing.
    pub(crate) fn raw(&self, request: Request<Body>) -> (u16, http::HeaderMap, String) {
        testbed::send(&self.router, request)
    }

    /// Sends as it is and checks what holds for every answer in JSON.
    #[track_caller]
    pub(crate) fn send(&self, request: Request<Body>) -> Reply {
        Reply::of(self.raw(request), S::ERROR_MEMBER, self.clock.now().0 / 1000)
    }

    pub(crate) fn multipart(name: &str, body: impl Into<Body>) -> Request<Body> {
        multipart(&format!("{}{name}", S::BASE), body)
    }

    pub(crate) fn form(fields: &[(&str, &str)]) -> String {
        form(fields, S::is_file)
    }

    /// A form of the first client whose last field is a byte that is no text.
    pub(crate) fn with_a_byte_that_is_no_text(name: &str, mut fields: Vec<(&str, &str)>) -> Request<Body> {
        let last = fields.pop().expect("a field");
        fields.push((last.0, "@@@"));
        let mut bytes = Self::form(&fields).into_bytes();
        let at = bytes.windows(3).position(|window| window == b"@@@").unwrap();
        bytes[at] = 0xff;
        Self::multipart(name, bytes)
    }
}
