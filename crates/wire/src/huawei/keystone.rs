//! What clients of OpenStack ask the identity service besides a token: which versions it has, which projects and domains
//! they may use, and whether a token is good. The shapes are those of Keystone's API, version 3.

use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use serde_json::Value;

use super::auth::{Identity, token};
use super::call::Huawei;
use super::errors::Failure;
use super::iam;
use crate::http::{json, origin};

/// The version of Keystone's API whose answers these are, and the day it is of.
const VERSION: &str = "v3.14";
const UPDATED: &str = "2020-04-07T00:00:00Z";

fn version(head: &Parts) -> Value {
    serde_json::json!({
        "id": VERSION,
        "status": "stable",
        "updated": UPDATED,
        "links": [{"rel": "self", "href": format!("{}/v3/", origin::base_url(&head.headers, &head.extensions))}],
        "media-types": [{"base": "application/json", "type": "application/vnd.openstack.identity-v3+json"}],
    })
}

/// `GET /`: every version there is. 300, as Keystone answers, so that programs that follow links choose.
pub(super) fn list_versions(head: &Parts) -> Response {
    json::answer(StatusCode::MULTIPLE_CHOICES, &serde_json::json!({"versions": {"values": [version(head)]}}))
}

/// `GET /v3`
pub(super) fn show_version(head: &Parts) -> Response {
    json::answer(StatusCode::OK, &serde_json::json!({"version": version(head)}))
}

/// `GET /v3/auth/domains`: the caller's one domain, which is its tenant.
pub(super) fn list_domains(identity: &Identity) -> Response {
    let tenant = &identity.key.tenant;
    let (id, name) = (tenant.id.to_string(), tenant.name.as_str());
    let domain = serde_json::json!({"id": id, "name": name, "enabled": true, "description": ""});
    json::answer(StatusCode::OK, &serde_json::json!({"domains": [domain], "links": {}}))
}

/// `GET /v3/auth/tokens`: what the token in `X-Subject-Token` says. 404 if it is not good, or another tenant's.
pub(super) async fn check_token(
    dialect: &Huawei,
    identity: &Identity,
    head: &Parts,
    query: &[(String, String)],
) -> Result<Response, Failure> {
    let Some(subject) = head.headers.get("x-subject-token").filter(|value| !value.is_empty()) else {
        return Err(Failure::identity(StatusCode::BAD_REQUEST, "the header `X-Subject-Token` is missing"));
    };
    let now = dialect.wire.clock.now();
    let found = token::read(subject, &*dialect.wire.credentials, now).await?;
    let found = found.filter(|(key, ..)| key.is_usable(now) && key.tenant.id == identity.tenant());
    let (key, _, token) = found.ok_or_else(|| Failure::identity(StatusCode::NOT_FOUND, "the token is not valid"))?;
    let project = token.has_project.then(|| dialect.wire.settings.huawei.project_name.clone());
    let said = iam::Said {
        key: &key,
        project: project.as_deref(),
        method: "password",
        issued_at: token.issued_at(),
        expires_at: token.expires_at,
        has_catalog: iam::wants_catalog(query),
    };
    Ok(said.answer(StatusCode::OK, subject.clone(), head))
}
