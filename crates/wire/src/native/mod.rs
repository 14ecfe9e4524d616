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

mod api;
mod archive;
pub mod archive_file;
mod archive_jobs;
mod auth;
mod body;
mod changes;
mod convert;
mod cursor;
mod deletes;
mod details;
pub mod dto;
mod enrolments;
mod errors;
mod etag;
mod explain;
mod forms;
#[cfg(any(test, feature = "fuzz"))]
mod fuzz;
mod idempotency;
mod in_process;
mod job;
mod jobs;
mod keys;
mod liveness;
pub mod openapi;
mod persons;
mod routes;
mod server;
mod session;
mod sessions;
mod table;
mod tenants;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use axum::routing::get;

use api::Api;
pub use api::Native;
pub use archive_jobs::erase_archives_of_deleted_sets;
pub use auth::{Authenticate, Bearer, OwnerOfTheFolder, TENANT_HEADER};
pub use convert::{Detected, IMAGE_RULES, detections, report, time_text};
pub(crate) use convert::{parts, scrub};
pub use dto::PREFIX;
pub use errors::{error_of, refusal};
pub use idempotency::IDEMPOTENCY_KEY;
pub use in_process::{compare, detect};
pub(crate) use jobs::workers;
pub use liveness::judge;
pub use routes::packs_of as packs;
pub use sessions::{CSRF_HEADER, Sessions};
pub use table::{Operation, operations};
#[cfg(any(test, feature = "fuzz"))]
pub use {archive::fuzz_archived_face, archive_file::fuzz_archive, body::fuzz_body, fuzz::fuzz_head};

pub use crate::http::codes::{code_of, status_of};
pub use crate::services::ServerFacts;

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
    let api = Api { library, authenticate, sessions, archives, cursors, ready, server };
    let once = from_fn_with_state((api.clone(), idempotency), idempotency::once);
    Router::new()
        .nest(PREFIX, table::router().layer(once).with_state(api))
        .nest(PREFIX, description())
        .fallback(routes::unknown_operation)
        .method_not_allowed_fallback(routes::wrong_method)
        .layer(from_fn(errors::identify))
}
