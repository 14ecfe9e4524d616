//! The native API, `/likeness/v1`: one more adapter, for our own command line and console.
//!
//! It covers the whole library in plain JSON and has no quirks to keep, so it is the one to read first. Ids of faces
//! are decimal numbers in strings: the same digits stand in the store's table, and no JSON reader can round them.
//! Requests with an image take it raw (`image/*` or `application/octet-stream`, options in the query), as
//! `multipart/form-data`, or inside JSON (`{"base64": ..}` or `{"url": ..}`).
//!
//! | Operation | Method and path below `/likeness/v1` |
//! |---|---|
//! | make, list face sets | `POST`, `GET /face-sets` |
//! | show, delete a face set | `GET`, `DELETE /face-sets/{name}` (`?only_if_empty=true`) |
//! | enrol, list faces | `POST`, `GET /face-sets/{name}/faces` (`?offset=&limit=`) |
//! | show, change, delete a face | `GET`, `PATCH`, `DELETE /face-sets/{name}/faces/{id}` |
//! | delete faces by ids, subject, field or filter | `POST /face-sets/{name}/faces/delete` |
//! | which external ids are enrolled | `POST /face-sets/{name}/faces/enrolled` |
//! | faces with templates, out and in | `GET`, `POST /face-sets/{name}/archive` (`?from=&limit=`) |
//! | search | `POST /face-sets/{name}/search` |
//! | compare, detect | `POST /compare`, `POST /detect` (`?assess=all`) |
//! | liveness of a picture, or of a clip with actions | `POST /liveness` |
//! | model packs | `GET /packs` |
//! | tenants, state of the store ([`operator_router`] only) | `GET /tenants`, `GET /report` (`?thorough=true`) |
//! | delete a tenant with everything of it ([`operator_router`] only) | `DELETE /tenants/{name}` |
//!
//! Persons are not covered yet.
//!
//! [`router`] takes the authentication as a parameter: over the network an access key ([`Bearer`]), through the socket in
//! the data folder and within the process the tenant's name ([`OwnerOfTheFolder`]). `docs/native.md` is for users.

mod archive;
mod auth;
mod body;
mod convert;
pub mod dto;
mod errors;
mod liveness;
mod routes;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{delete, get, post};
use likeness_domain::Error;
use likeness_domain::access::Caller;
use likeness_domain::library::Library;
use likeness_domain::ports::{Analysis, CredentialStore, GalleryStore};

pub use archive::fuzz_archived_face;
pub use auth::{Authenticate, Bearer, OwnerOfTheFolder, TENANT_HEADER};
pub use body::fuzz_body;
pub use convert::IMAGE_RULES;
pub use errors::{code_of, error_of, status_of};

/// Where the native API lives.
pub const PREFIX: &str = "/likeness/v1";

#[derive(Clone)]
struct Api {
    library: Arc<Library>,
    authenticate: Arc<dyn Authenticate>,
}

/// Every operation a tenant may ask for.
pub fn router(library: Arc<Library>, authenticate: Arc<dyn Authenticate>) -> Router {
    let routes = Router::new()
        .route("/face-sets", get(routes::list_face_sets).post(routes::create_face_set))
        .route(
            "/face-sets/{name}",
            get(routes::show_face_set).patch(routes::update_face_set).delete(routes::delete_face_set),
        )
        .route("/face-sets/{name}/faces", get(routes::list_faces).post(routes::add_faces))
        .route("/face-sets/{name}/faces/delete", post(routes::delete_faces))
        .route("/face-sets/{name}/faces/enrolled", post(routes::enrolled))
        .route(
            "/face-sets/{name}/faces/{id}",
            get(routes::show_face).patch(routes::update_face).delete(routes::delete_face),
        )
        .route("/face-sets/{name}/archive", get(archive::export).post(archive::import))
        .route("/face-sets/{name}/search", post(routes::search))
        .route("/compare", post(routes::compare))
        .route("/detect", post(routes::detect))
        .route("/liveness", post(routes::liveness))
        .route("/packs", get(routes::packs))
        .with_state(Api { library, authenticate });
    Router::new()
        .nest(PREFIX, routes)
        .fallback(routes::unknown_operation)
        .method_not_allowed_fallback(routes::unknown_operation)
        .layer(from_fn(errors::identify))
}

#[derive(Clone)]
struct Operator {
    store: Arc<dyn GalleryStore>,
    credentials: Arc<dyn CredentialStore>,
}

/// Questions over all tenants. It asks for no proof: merge it with [`router`] only behind a listener that nobody but
/// the owner of the data folder can reach.
pub fn operator_router(store: Arc<dyn GalleryStore>, credentials: Arc<dyn CredentialStore>) -> Router {
    let routes = Router::new()
        .route("/tenants", get(routes::tenants))
        .route("/tenants/{name}", delete(routes::delete_tenant))
        .route("/report", get(routes::report))
        .with_state(Operator { store, credentials });
    Router::new().nest(PREFIX, routes).layer(from_fn(errors::identify))
}

/// Compares with the native API's types, for callers within the process that have a library but no router.
pub async fn compare(library: &Library, caller: &Caller, body: dto::Compare) -> Result<dto::Comparison, Error> {
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
