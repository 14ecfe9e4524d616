//! Access keys, jobs and the state of the server.

use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use likeness_domain::access::Grants;
use likeness_domain::library::{CreateKey, KeySummary};
use likeness_domain::types::{AccessKey, AccessKeyId, FaceSetName};
use likeness_domain::{Error, Kind};

use super::body::{Call, Json, OfId, Query, json};
use super::errors::NativeError;
use super::{convert, dto};

type Answer = Result<Response, NativeError>;

/// How long the old secret of a rotated key is accepted unless the caller says otherwise: a day.
const OVERLAP_S_DEFAULT: u64 = 24 * 60 * 60;

/// `GET /keys`
pub(super) async fn list(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    words.finish()?;
    let from = api.cursors.open_number(caller.tenant, "keys", cursor.as_deref())?.unwrap_or(0);
    let all = api.library.keys(&caller).await?;
    let n_keys = all.len() as u64;
    let (skipped, taken) = (usize::try_from(from).unwrap_or(usize::MAX), usize::try_from(limit).unwrap_or(usize::MAX));
    let keys = all.into_iter().skip(skipped).take(taken).map(key).collect();
    let reached = from.saturating_add(limit);
    let next_cursor = (reached < n_keys).then(|| api.cursors.seal_number(caller.tenant, "keys", reached));
    Ok(json(StatusCode::OK, &dto::Keys { keys, next_cursor }))
}

/// `POST /keys`
pub(super) async fn create(Call { api, caller }: Call, Json(body): Json<dto::CreateKey>) -> Answer {
    let request = request(body)?;
    let named = request.face_sets.clone();
    let made = api.library.create_key(&caller, request).await?;
    // The secret is shown this once, so what was asked for has to do if the key cannot be looked up.
    let face_sets = api.library.key(&caller, &made.id).await.map_or(named, |summary| summary.face_sets);
    Ok(json(StatusCode::CREATED, &with_secret(made, face_sets)))
}

/// What is asked for of a new key.
pub(super) fn request(body: dto::CreateKey) -> Result<CreateKey, Error> {
    Ok(CreateKey {
        grants: body.grants.map(|words| grants(&words)).transpose()?,
        face_sets: match body.face_sets {
            None => None,
            Some(names) if names.len() > 1000 => {
                let message = format!("{} face sets given, expected at most 1000", names.len());
                return Err(Error::invalid("face_sets", message));
            }
            Some(names) => Some(names.into_iter().map(FaceSetName::new).collect::<Result<_, _>>()?),
        },
        lifetime: body.expires_in_s.map(Duration::from_secs),
        label: convert::note("label", body.label)?,
    })
}

fn grants(words: &[String]) -> Result<Grants, Error> {
    if words.is_empty() {
        return Err(Error::invalid("grants", "`grants` is empty, expected at least one"));
    }
    Grants::parse(&words.join(","))
}

/// `GET /keys/{id}`
pub(super) async fn show(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let summary = api.library.key(&caller, &key_id(&id)?).await?;
    Ok(json(StatusCode::OK, &key(summary)))
}

/// `PATCH /keys/{id}`
pub(super) async fn update(Call { api, caller }: Call, OfId(id): OfId, Json(body): Json<dto::UpdateKey>) -> Answer {
    let summary = api.library.set_key_enabled(&caller, &key_id(&id)?, body.enabled).await?;
    Ok(json(StatusCode::OK, &key(summary)))
}

/// `POST /keys/{id}/rotate`
pub(super) async fn rotate(Call { api, caller }: Call, OfId(id): OfId, Json(body): Json<dto::RotateKey>) -> Answer {
    let overlap = Duration::from_secs(body.overlap_s.unwrap_or(OVERLAP_S_DEFAULT));
    let rotated = api.library.rotate_key(&caller, &key_id(&id)?, overlap).await?;
    let face_sets = api.library.key(&caller, &rotated.id).await.ok().and_then(|summary| summary.face_sets);
    Ok(json(StatusCode::OK, &with_secret(rotated, face_sets)))
}

/// `DELETE /keys/{id}`
pub(super) async fn delete(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let id = key_id(&id)?;
    api.library.delete_key(&caller, &id).await?;
    Ok(json(StatusCode::OK, &dto::KeyDeleted { deleted: id.to_string() }))
}

fn key_id(text: &str) -> Result<AccessKeyId, Error> {
    AccessKeyId::new(text).ok_or_else(|| Error::new(Kind::KeyNotFound, "there is no access key with that id"))
}

fn key(summary: KeySummary) -> dto::Key {
    let KeySummary { key, face_sets } = summary;
    dto::Key {
        id: key.id.to_string(),
        label: convert::text(key.label),
        grants: key.grants.iter().map(|grant| grant.word().to_owned()).collect(),
        face_sets: face_sets.map(|names| names.iter().map(ToString::to_string).collect()),
        enabled: key.enabled,
        created_at: convert::time_text(key.created_at),
        expires_at: key.expires_at.map(convert::time_text),
        last_used_at: key.last_used_at.map(convert::time_text),
        old_secret_valid_until: key.previous.map(|previous| convert::time_text(previous.valid_until)),
        secret: None,
    }
}

pub(super) fn with_secret(made: AccessKey, face_sets: Option<Vec<FaceSetName>>) -> dto::Key {
    let secret = made.secret.reveal().to_owned();
    dto::Key { secret: Some(secret), ..key(KeySummary { key: made, face_sets }) }
}

/// `GET /status`
pub(super) async fn status(Call { api, caller }: Call) -> Answer {
    let readiness = (api.ready)().await;
    let usage = match api.library.usage(&caller).await {
        Ok(usage) => Some(convert::usage(usage)),
        Err(error) if error.kind() == Kind::Forbidden => None,
        Err(error) => return Err(error.into()),
    };
    let engines = api.library.engines().into_iter().map(|(part, engine)| (part.to_owned(), engine)).collect();
    Ok(json(
        StatusCode::OK,
        &dto::Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            ready: readiness.reason().is_none(),
            reason: readiness.reason().map(str::to_owned),
            parts: convert::parts(&readiness),
            rows_set_aside: readiness.n_rows_set_aside,
            other_damage: readiness.n_other_damage,
            lost_commits: readiness.n_losses,
            engines,
            packs: api.library.packs().iter().map(|pack| pack.id.to_string()).collect(),
            usage,
            time: convert::time_text(api.library.now()),
        },
    ))
}
