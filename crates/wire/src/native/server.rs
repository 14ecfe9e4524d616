//! The server itself, for administrators: its settings with their origin, and what it is doing.

use axum::response::Response;
use http::StatusCode;
use likeness_domain::access::{Caller, Grant};
use likeness_domain::{Error, Kind};

use super::api::Api;
use super::body::{Call, Query, json};
use super::dto;
use super::errors::NativeError;
use crate::services::ServerFacts;

type Answer = Result<Response, NativeError>;

/// `GET /settings`
pub(super) async fn settings(Call { api, caller }: Call, Query(words): Query) -> Answer {
    words.finish()?;
    let server = administered(&api, &caller, "see the server's settings")?;
    let is_owner = caller.key.is_none();
    Ok(json(StatusCode::OK, &dto::Settings { settings: server.settings(is_owner) }))
}

/// `GET /metrics`
pub(super) async fn metrics(Call { api, caller }: Call, Query(words): Query) -> Answer {
    words.finish()?;
    let server = administered(&api, &caller, "see what the server counted")?;
    Ok(json(StatusCode::OK, &server.metrics().await?))
}

/// The server, for somebody who manages all that a tenant has.
fn administered<'a>(api: &'a Api, caller: &Caller, act: &str) -> Result<&'a dyn ServerFacts, Error> {
    caller.require(Grant::Manage)?;
    caller.require_every_face_set(act)?;
    let missing = || Error::new(Kind::Unsupported, "no server is running, so there is nothing to tell of it");
    api.server.as_deref().ok_or_else(missing)
}
