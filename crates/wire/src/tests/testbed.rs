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
use likeness_domain::ports::{ArchiveBounds, Clock, CredentialStore, Pending};
use likeness_domain::types::{AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName};
use likeness_store::archives::MemoryArchives;
use likeness_store::index::BruteForceIndex;
use likeness_store::memory::MemoryStore;
use likeness_testkit::{
    FakeAnalyzer, FakeClock, FakeFetcher, FakeVideoDecoder, FakeWebhookSender, SeededIds, block_on, caller,
};
use serde_json::{Value, json};
use tower::ServiceExt;

use super::native_api::{ServerFacts, dto};
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

/// What the archives of tests are kept within.
const ARCHIVE_BOUNDS: ArchiveBounds =
    ArchiveBounds { bytes_max: 4 << 20, tenant_bytes_max: 3 << 20, tenant_archives_max: 3, lifetime_ms: 3_600_000 };

/// The ports of a library in memory, of which tests hold some.
pub(crate) struct Testbed {
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) clock: Arc<FakeClock>,
    pub(crate) analyzer: Arc<FakeAnalyzer>,
    pub(crate) fetcher: Arc<FakeFetcher>,
    pub(crate) archives: Arc<MemoryArchives>,
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
        let archives = Arc::new(MemoryArchives::new(ARCHIVE_BOUNDS));
        Self { store, clock, analyzer, fetcher, index, archives }
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
            archives: self.archives.clone(),
            webhook_sender: Arc::new(FakeWebhookSender::new()),
            settings,
            ready: crate::always_ready(),
            server: Some(Arc::new(FakeServer)),
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

/// A server with one setting, and with one whose value is private, that answered one request.
struct FakeServer;

impl ServerFacts for FakeServer {
    fn settings(&self, with_private: bool) -> Vec<dto::Setting> {
        let setting = |name: &str, value: Value, origin: &str, origin_name: Option<&str>| dto::Setting {
            name: name.to_owned(),
            value: Some(value),
            is_set: true,
            is_hidden: false,
            origin: origin.to_owned(),
            origin_name: origin_name.map(str::to_owned),
            env: format!("LIKENESS_{}", name.to_uppercase()),
            accepted: "what fits".to_owned(),
            about: "what it means".to_owned(),
        };
        let mut weights = setting("weights", json!(["acme=2"]), "file", Some("/etc/likeness.toml"));
        if !with_private {
            weights = dto::Setting { value: None, is_hidden: true, ..weights };
        }
        vec![setting("workers", json!(4), "default", None), weights]
    }

    fn metrics(&self) -> Pending<'_, dto::Metrics> {
        let operation = dto::OperationMetrics {
            dialect: "native".to_owned(),
            operation: "search".to_owned(),
            n: 3,
            n_refused: 1,
            n_failed: 0,
            sum_s: 0.5,
            duration_buckets: vec![2, 0, 1],
        };
        let metrics = dto::Metrics {
            time: "2026-11-21T20:36:40Z".to_owned(),
            started_at: "2026-11-21T20:00:00Z".to_owned(),
            requests_in_flight: 1,
            connections: 2,
            request_body_bytes: 0,
            duration_bucket_ends_s: vec![0.1, 1.0],
            operations: vec![operation],
            analysis: dto::AnalysisMetrics { threads: 4, busy: 1, queued: 0, queue_max: 64, expected_wait_s: 0.0 },
            store: Some(dto::StoreMetrics { bytes: 4096, free_bytes: 0, n_faces: 1 }),
            memory_bytes: Some(1 << 20),
            cpu_s: Some(2.5),
        };
        Box::pin(async { Ok(metrics) })
    }
}
