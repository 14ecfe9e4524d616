//! The native API, `/likeness/v1`: one more adapter, for our own command line and console.
//!
//! It covers the whole library in plain JSON and has no quirks to keep, so it is the one to read first. Ids of faces
//! are decimal numbers in strings: the same digits stand in the store's table, and no JSON reader can round them.
//! Requests with an image take it raw (`image/*` or `application/octet-stream`, options in the query), as
//! `multipart/form-data`, or inside JSON (`{"base64": ..}` or `{"url": ..}`).
//!
//! [`operations`] lists the operations; those below `/tenants` and `/report` are an operator's.
//!
//! [`router`] takes the authentication as a parameter: over the network an access key ([`Bearer`]), through the socket in
//! the data folder and within the process the tenant's name ([`OwnerOfTheFolder`]). `docs/native.md` is for users.

mod archive;
pub mod archive_file;
mod archive_jobs;
mod auth;
mod body;
mod changes;
mod convert;
mod cursor;
pub mod dto;
mod enrolments;
mod errors;
mod etag;
mod explain;
mod forms;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod idempotency;
mod keys;
mod liveness;
pub mod openapi;
mod persons;
mod routes;
mod server;
mod session;
mod table;
mod tenants;
#[cfg(test)]
mod tests;
mod workers;

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;
use likeness_domain::Error;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;
use likeness_domain::ports::{Analysis, ArchiveStore, RecordStore, ScrubReport, StoreReport};
use likeness_domain::types::{InstallationSecret, TimestampMs};

use crate::readiness::{PartHealth, Readiness, ReadyCheck};

pub use auth::{Authenticate, Bearer, OwnerOfTheFolder, TENANT_HEADER};
pub use convert::IMAGE_RULES;
pub use errors::{code_of, error_of, refusal, status_of};
pub use idempotency::IDEMPOTENCY_KEY;
pub use server::ServerFacts;
pub use session::{CSRF_HEADER, Sessions};
pub use table::{Operation, operations};
pub(crate) use workers::workers;
#[cfg(any(test, feature = "fuzz"))]
pub use {archive::fuzz_archived_face, archive_file::fuzz_archive, body::fuzz_body, fuzz::fuzz_head};

/// Where the native API lives.
pub const PREFIX: &str = "/likeness/v1";

/// What the native API stands on.
pub struct Native {
    /// The library it speaks for.
    pub library: Arc<Library>,
    /// Who asks.
    pub authenticate: Arc<dyn Authenticate>,
    /// Sessions of browsers.
    pub sessions: Arc<Sessions>,
    /// Remembers answers of requests that may be sent again.
    pub records: Arc<dyn RecordStore>,
    /// Archives that jobs make and read.
    pub archives: Arc<dyn ArchiveStore>,
    /// What the key of its cursors is derived from.
    pub secret: InstallationSecret,
    /// Whether the server can do its work.
    pub ready: ReadyCheck,
    /// What the server knows of itself; `None` within a command, where none is running.
    pub server: Option<Arc<dyn ServerFacts>>,
}

#[derive(Clone)]
struct Api {
    library: Arc<Library>,
    authenticate: Arc<dyn Authenticate>,
    sessions: Arc<Sessions>,
    archives: Arc<dyn ArchiveStore>,
    cursors: Arc<cursor::Cursors>,
    idempotency: Arc<idempotency::Idempotency>,
    ready: ReadyCheck,
    server: Option<Arc<dyn ServerFacts>>,
}

/// What describes the API; it is for everybody.
fn description() -> Router {
    Router::new()
        .route("/openapi.json", get(openapi::show))
        .route("/docs", get(openapi::page))
        .route("/docs/", get(openapi::page_with_slash))
        .route("/docs/page.js", get(openapi::page_script))
        .route("/docs/page.css", get(openapi::page_style))
}

/// Every operation.
pub fn router(native: Native) -> Router {
    let Native { library, authenticate, sessions, records, archives, secret, ready, server } = native;
    let cursors = Arc::new(cursor::Cursors::new(&secret));
    let idempotency = Arc::new(idempotency::Idempotency::new(records));
    let api = Api { library, authenticate, sessions, archives, cursors, idempotency, ready, server };
    Router::new()
        .nest(PREFIX, table::router().layer(from_fn_with_state(api.clone(), idempotency::once)).with_state(api))
        .nest(PREFIX, description())
        .fallback(routes::unknown_operation)
        .method_not_allowed_fallback(routes::unknown_operation)
        .layer(from_fn(errors::identify))
}

/// A report on a store in the native API's words, for callers within the process that have no router.
pub fn report(report: StoreReport) -> dto::Report {
    convert::report(report)
}

/// How each part of a server is, in the native API's words.
pub(crate) fn parts(readiness: &Readiness) -> BTreeMap<String, dto::Part> {
    let part = |(name, part): (&str, &PartHealth)| {
        (name.to_owned(), dto::Part { state: part.state.word().to_owned(), reason: part.reason.clone() })
    };
    readiness.parts().into_iter().map(part).collect()
}

/// A time as the native API spells it: RFC 3339, UTC.
pub fn time_text(at: TimestampMs) -> String {
    convert::time_text(at)
}

/// How far the check of every row is, in the native API's words.
pub(crate) fn scrub(report: ScrubReport) -> dto::Scrub {
    convert::scrub(report)
}

/// Compares with the native API's types, for callers within the process that have a library but no router.
pub async fn compare(library: &Library, caller: &Caller, body: dto::Compare) -> Result<dto::Comparison, Error> {
    if body.explain || body.crops {
        return explain::compare(library, caller, body).await;
    }
    let far = body.far;
    let answer = library.compare(caller, convert::compare_images(body)?).await?;
    convert::comparison(library, far, answer)
}

/// What was found in an image.
#[derive(Debug)]
pub struct Detected {
    /// As it is, fit for drawing.
    pub analysis: Analysis,
    /// What was asked for but no installed model pack measures, by the names of the native API.
    pub not_measured: Vec<&'static str>,
}

/// Detects with the native API's types, for callers within the process.
pub async fn detect(library: &Library, caller: &Caller, body: dto::Detect) -> Result<Detected, Error> {
    let (image, aspects) = convert::detect(body)?;
    let analysis = library.detect(caller, image, aspects).await?;
    Ok(Detected { analysis, not_measured: convert::not_measured(aspects, library.aspects()) })
}

/// Judges a clip or a picture with the native API's types, for callers within the process.
pub async fn judge(library: &Library, caller: &Caller, body: dto::Liveness) -> Result<dto::Judged, Error> {
    liveness::judge(library, caller, body).await
}

/// What was found in an image, as the native API's answer.
pub fn detections(detected: Detected) -> dto::Detections {
    convert::detections(detected)
}
