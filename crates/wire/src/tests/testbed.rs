//! What stands behind a whole server in memory, for the tests of the dialects.

use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderMap, Request};
use http_body_util::BodyExt;
use likeness_domain::access::Access;
use likeness_domain::library::{Library, Ports};
use likeness_domain::ports::{Clock, CredentialStore};
use likeness_domain::types::{AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName};
use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{
    FakeAnalyzer, FakeClock, FakeFetcher, FakeVideoDecoder, FakeWebhookSender, SeededIds, block_on, caller,
};
use tower::ServiceExt;

use crate::Services;

/// One face of one person.
pub(crate) const P1: &str = "face anna 120x130+10+20";
/// Another picture of the same person.
pub(crate) const P1B: &str = "face anna~0.8 100x100+40+40";
/// Somebody else.
pub(crate) const P2: &str = "face bert 90x90+300+100";
/// Nobody.
pub(crate) const NOBODY: &str = "size 640x480";

/// Base64 of a picture.
pub(crate) fn base64(picture: impl AsRef<[u8]>) -> String {
    STANDARD.encode(picture)
}

/// The ports of a library in memory, of which tests hold some.
pub(crate) struct Testbed {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) analyzer: Arc<FakeAnalyzer>,
    pub(crate) fetcher: Arc<FakeFetcher>,
    index: Arc<BruteForceIndex>,
}

impl Testbed {
    /// With an empty store.
    pub(crate) fn new(clock: FakeClock, analyzer: FakeAnalyzer) -> Self {
        let index = Arc::new(BruteForceIndex::new());
        Self::over(Arc::new(MemoryStore::open(index.clone())), index, clock, analyzer)
    }

    /// With a store and the index it keeps.
    pub(crate) fn over(
        store: Arc<MemoryStore>,
        index: Arc<BruteForceIndex>,
        clock: FakeClock,
        analyzer: FakeAnalyzer,
    ) -> Self {
        let (clock, analyzer, fetcher) = (Arc::new(clock), Arc::new(analyzer), Arc::new(FakeFetcher::new()));
        Self { store, clock, analyzer, fetcher, index }
    }

    /// Everything a router needs.
    pub(crate) fn wire(&self, settings: crate::Settings) -> Services {
        let ids = Arc::new(SeededIds::new(7));
        let library = Library::new(Ports {
            analyzer: self.analyzer.clone(),
            store: self.store.clone(),
            index: self.index.clone(),
            fetcher: self.fetcher.clone(),
            decoder: Arc::new(FakeVideoDecoder),
            pictures: self.store.clone(),
            credentials: self.store.clone(),
            jobs: self.store.clone(),
            clock: self.clock.clone(),
            ids: ids.clone(),
        });
        Services {
            library: Arc::new(library),
            credentials: self.store.clone(),
            access: Arc::new(Access::new(self.store.clone(), self.clock.clone())),
            clock: self.clock.clone(),
            ids,
            secret: InstallationSecret::from_bytes([7; 32]),
            jobs: self.store.clone(),
            nonces: self.store.clone(),
            records: self.store.clone(),
            webhook_sender: Arc::new(FakeWebhookSender::new()),
            settings,
            ready: crate::always_ready(),
        }
    }

    /// Adds a key of the tenant with this [`tenant_id`], which is made if it is not there.
    pub(crate) fn add_key(
        &self,
        bits: u128,
        tenant: &str,
        (key, secret): (&str, &str),
        enabled: bool,
    ) -> likeness_domain::Result<()> {
        let created_at = self.clock.now();
        let (id, name) = (tenant_id(bits), TenantName::new(tenant).unwrap());
        let by = caller(id.to_bits()).actor();
        let tenant = block_on(self.store.ensure_tenant(by.clone(), Tenant::new(id, name, created_at)))?;
        let (id, secret) = (AccessKeyId::new(key).unwrap(), Secret::new(secret).unwrap());
        block_on(self.store.add_key(by, AccessKey { enabled, ..AccessKey::new(id, secret, tenant, created_at) }))
    }
}

/// These bits at both ends of a tenant's id.
pub(crate) fn tenant_id(bits: u128) -> TenantId {
    TenantId::from_bits(bits << 100 | bits)
}

/// Sends a request as it is; status, headers and body of the answer.
pub(crate) fn send(router: &Router, request: Request<Body>) -> (u16, HeaderMap, String) {
    block_on(async {
        let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
        let bytes = body.collect().await.unwrap().to_bytes();
        (head.status.as_u16(), head.headers, String::from_utf8(bytes.to_vec()).unwrap())
    })
}
