//! Chooses the dialect of a request by its path; answers health checks and unknown paths itself.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use likeness_domain::ports::IdSource;
use serde::Serialize;
use tower::ServiceExt;

use crate::adapter::Adapter;
use crate::aliyun::{self, Aliyun};
use crate::facepp::{self, Facepp};
use crate::http::json;
use crate::http::request_id::{self, RequestId};
use crate::http::trace;
use crate::huawei::Huawei;
use crate::native;
use crate::readiness::{Readiness, ReadyCheck};
use crate::services::{RETRY_AFTER, Services, Worker};
use crate::yuanli::Yuanli;

/// Every dialect with vendor clients, in the order of their mounting.
pub const ADAPTERS: &[Adapter] =
    &[crate::huawei::ADAPTER, crate::aliyun::ADAPTER, crate::yuanli::ADAPTER, crate::facepp::ADAPTER];

/// What does the jobs of all dialects. Whoever assembles the dialects runs them, beside the [`router`].
pub fn workers(wire: Services) -> Vec<Worker> {
    let mut workers = facepp::workers(wire.clone());
    workers.extend(native::workers(wire.clone()));
    workers.extend(aliyun::workers(wire));
    workers
}

struct Dialects {
    /// What runs each kind of model, for `/readyz`.
    engines: BTreeMap<&'static str, String>,
    huawei: Huawei,
    aliyun: Aliyun,
    yuanli: Yuanli,
    facepp: Facepp,
    native: Router,
    ids: Arc<dyn IdSource>,
    ready: ReadyCheck,
}

/// Every dialect and the native API on one port, chosen by the first path segment, and `/healthz` and `/readyz`, which
/// need no authentication. `/readyz` also says what runs the models.
///
/// There is one fallback instead of framework routes: signatures cover the target as it was sent, and an unknown
/// route has to answer in its vendor's own shape.
pub fn router(wire: Services) -> Router {
    Router::new().fallback(dispatch).with_state(Arc::new(Dialects::new(wire)))
}

/// `/healthz` and `/readyz` alone, for a port that only operators reach.
pub fn operations_router(wire: Services) -> Router {
    Router::new().fallback(dispatch_operations).with_state(Arc::new(Dialects::new(wire)))
}

async fn dispatch_operations(State(dialects): State<Arc<Dialects>>, request: Request) -> Response {
    match request.uri().path() {
        "/healthz" => dialects.health(false).await,
        "/readyz" => dialects.health(true).await,
        _ => plain(StatusCode::NOT_FOUND, "not_found", "this port answers `/healthz`, `/readyz` and `/metrics` only"),
    }
}

async fn dispatch(State(dialects): State<Arc<Dialects>>, request: Request) -> Response {
    let request_id = request_id::of(request.extensions(), &*dialects.ids);
    let path = request.uri().path();
    let first_segment = path.split('/').nth(1).unwrap_or_default();
    let dialect = match first_segment {
        // Every version segment, also one that no operation has: the vendor's gateway answers those too.
        // Clients of OpenStack ask at the root which versions of the identity service there are.
        _ if is_version(first_segment) || path == "/" => "huawei",
        "likeness" => "native",
        "healthz" | "readyz" => "health",
        _ => {
            let mounted = ADAPTERS.iter().find(|adapter| adapter.mounts.contains(&first_segment));
            mounted.map_or("none", |adapter| adapter.name)
        }
    };
    trace::addressed(dialect);
    let mut response = match (dialect, path) {
        ("health", "/healthz") => dialects.health(false).await,
        ("health", "/readyz") => dialects.health(true).await,
        ("huawei", _) => dialects.huawei.answer(request, &request_id).await,
        ("aliyun", _) if first_segment == aliyun::BUCKET => dialects.aliyun.answer_upload(request, &request_id).await,
        ("aliyun", _) => dialects.aliyun.answer(request, &request_id).await,
        ("yuanli", _) => dialects.yuanli.answer(request, &request_id).await,
        ("facepp", _) => dialects.facepp.answer(request, &request_id).await,
        ("native", _) => dialects.native(request, &request_id).await,
        _ => plain(StatusCode::NOT_FOUND, "not_found", "no such path on this server"),
    };
    if matches!(response.status(), StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
        response.headers_mut().entry(header::RETRY_AFTER).or_insert(RETRY_AFTER);
    }
    if let Ok(value) = HeaderValue::from_str(&request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|digits| !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit()))
}

impl Dialects {
    fn new(wire: Services) -> Self {
        let (records, credentials) = (Arc::clone(&wire.records), Arc::clone(&wire.credentials));
        let sessions = native::Sessions::new(records, credentials, Arc::clone(&wire.clock), Arc::clone(&wire.ids));
        let sessions = Arc::new(sessions);
        Self {
            engines: wire.library.engines().into_iter().collect(),
            ids: Arc::clone(&wire.ids),
            ready: Arc::clone(&wire.ready),
            native: native::router(native::Native {
                library: Arc::clone(&wire.library),
                authenticate: Arc::new(native::Bearer {
                    sessions: Arc::clone(&sessions),
                    access: Arc::clone(&wire.access),
                    ids: Arc::clone(&wire.ids),
                }),
                sessions,
                records: Arc::clone(&wire.records),
                archives: Arc::clone(&wire.archives),
                secret: wire.secret.clone(),
                ready: Arc::clone(&wire.ready),
                server: wire.server.clone(),
            }),
            aliyun: Aliyun::new(wire.clone()),
            yuanli: Yuanli::new(wire.clone()),
            facepp: Facepp::new(wire.clone()),
            huawei: Huawei::new(wire),
        }
    }

    /// The native API, whose answers and log have the same id as this router's.
    async fn native(&self, mut request: Request, request_id: &str) -> Response {
        request.extensions_mut().insert(RequestId(request_id.to_owned()));
        let Ok(response) = self.native.clone().oneshot(request).await;
        response
    }

    async fn health(&self, asks_for_readiness: bool) -> Response<Body> {
        #[derive(Serialize)]
        struct Health<'a> {
            status: &'static str,
            engines: Option<&'a BTreeMap<&'static str, String>>,
            reason: Option<String>,
            parts: Option<BTreeMap<String, native::dto::Part>>,
            rows_set_aside: Option<u64>,
            other_damage: Option<u64>,
            lost_commits: Option<u64>,
            scrub: Option<native::dto::Scrub>,
        }
        let readiness = if asks_for_readiness { (self.ready)().await } else { Readiness::default() };
        let if_any = |number: u64| (number > 0).then_some(number);
        let reason = readiness.reason().map(str::to_owned);
        let (status, code) = match (&reason, readiness.is_degraded()) {
            (Some(_), _) => ("not ready", StatusCode::SERVICE_UNAVAILABLE),
            (None, true) => ("degraded", StatusCode::OK),
            (None, false) => ("ok", StatusCode::OK),
        };
        let is_ready = asks_for_readiness && reason.is_none();
        let health = Health {
            status,
            engines: is_ready.then_some(&self.engines),
            reason,
            parts: asks_for_readiness.then(|| native::parts(&readiness)),
            rows_set_aside: if_any(readiness.n_rows_set_aside),
            other_damage: if_any(readiness.n_other_damage),
            lost_commits: if_any(readiness.n_losses),
            scrub: readiness.scrub.filter(|_| is_ready).map(native::scrub),
        };
        json::answer(code, &health)
    }
}

fn plain(status: StatusCode, kind: &'static str, message: &'static str) -> Response {
    #[derive(Serialize)]
    struct Refusal {
        error: Reason,
    }
    #[derive(Serialize)]
    struct Reason {
        kind: &'static str,
        message: &'static str,
    }
    json::answer(status, &Refusal { error: Reason { kind, message } })
}
