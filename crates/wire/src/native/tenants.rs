//! Tenants and the state of the whole store, for an operator: a key with the grant `operate`, or the owner of the data folder.

use axum::extract::FromRequestParts;
use axum::response::Response;
use http::StatusCode;
use http::request::Parts;
use likeness_domain::access::Limits;
use likeness_domain::library::{CreateKey, LimitsPatch};
use likeness_domain::types::{Tenant, TenantId, TenantName, TimestampMs};
use likeness_domain::{Error, Kind};

use super::api::Api;
use super::body::{Call, Json, Query, json, path_word};
use super::errors::NativeError;
use super::etag::{self, IfMatch};
use super::{archive_jobs, convert, dto, keys};
use crate::adapter::needs::OPERATE;

type Answer = Result<Response, NativeError>;

/// Most of what is counted: stores keep signed numbers.
const COUNT_MAX: u64 = i64::MAX as u64;

/// The tenant a path names.
pub(super) struct OfTenant(TenantName);

impl FromRequestParts<Api> for OfTenant {
    type Rejection = NativeError;

    async fn from_request_parts(parts: &mut Parts, api: &Api) -> Result<Self, NativeError> {
        let name = TenantName::new(&path_word(parts, api, "name").await?);
        Ok(Self(name.map_err(|error| error.with_field("name"))?))
    }
}

/// `GET /tenants`
pub(super) async fn list(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    words.finish()?;
    let mut tenants = api.library.tenants(&caller).await?;
    // By what stays, so that a tenant that is deleted meanwhile moves no other out of the stretches.
    tenants.sort_by_key(place);
    if let Some(cursor) = cursor {
        let from = api.cursors.open(caller.tenant, "tenants", &cursor)?;
        tenants.retain(|tenant| place_bytes(tenant) > from);
    }
    let most = usize::try_from(limit).unwrap_or(usize::MAX);
    let is_more = tenants.len() > most;
    tenants.truncate(most);
    let last = tenants.last().filter(|_| is_more);
    let next_cursor = last.map(|last| api.cursors.seal(caller.tenant, "tenants", &place_bytes(last)));
    let tenants = tenants.iter().map(convert::tenant).collect();
    Ok(json(StatusCode::OK, &dto::Tenants { tenants, next_cursor }))
}

/// Where a tenant stands in the listing.
fn place(tenant: &Tenant) -> (TimestampMs, TenantId) {
    (tenant.created_at, tenant.id)
}

/// The same as bytes that are ordered alike.
fn place_bytes(tenant: &Tenant) -> Vec<u8> {
    let at = u64::try_from(tenant.created_at.0).unwrap_or(0).to_be_bytes();
    [&at[..], &tenant.id.to_bits().to_be_bytes()].concat()
}

/// `POST /tenants`
pub(super) async fn create(Call { api, caller }: Call, Json(body): Json<dto::CreateTenant>) -> Answer {
    let name = TenantName::new(&body.name).map_err(|error| error.with_field("name"))?;
    let limits = patch(body.limits.unwrap_or_default())?.applied_to(Limits::NONE);
    let made = api.library.create_tenant(&caller, name, limits).await?;
    Ok(tagged(json(StatusCode::CREATED, &convert::tenant(&made)), &made))
}

/// `GET /tenants/{name}`
pub(super) async fn show(Call { api, caller }: Call, OfTenant(name): OfTenant) -> Answer {
    let (tenant, usage) = api.library.tenant(&caller, &name).await?;
    let answer = dto::Tenant { usage: Some(convert::usage(usage)), ..convert::tenant(&tenant) };
    Ok(tagged(json(StatusCode::OK, &answer), &tenant))
}

/// `PATCH /tenants/{name}`
pub(super) async fn update(
    Call { api, caller }: Call,
    OfTenant(name): OfTenant,
    if_match: IfMatch,
    Json(body): Json<dto::UpdateTenant>,
) -> Answer {
    let changed = api.library.update_tenant(&caller, &name, patch(body.limits)?, if_match.on(etag::of_tenant)).await?;
    Ok(tagged(json(StatusCode::OK, &convert::tenant(&changed)), &changed))
}

/// `DELETE /tenants/{name}`
pub(super) async fn delete(Call { api, caller }: Call, OfTenant(name): OfTenant, Query(mut words): Query) -> Answer {
    let confirm = words.text("confirm");
    words.finish()?;
    caller.require_all(OPERATE)?;
    match confirm {
        Some(text) if text == name.as_str() => {}
        Some(text) => {
            let given: String = text.chars().take(64).collect();
            let message = format!("`confirm` is `{given}`, expected `{name}`, the tenant that is to be deleted");
            return Err(Error::invalid("confirm", message).into());
        }
        None => {
            let message = format!("`confirm` is missing, expected `{name}`: the tenant is deleted with all its faces");
            return Err(Error::new(Kind::MissingArgument, message).with_field("confirm").into());
        }
    }
    let deleted = api.library.delete_tenant(&caller, &name).await?;
    archive_jobs::erase_all_of(&api.archives, deleted.id).await?;
    Ok(json(StatusCode::OK, &dto::TenantDeleted { deleted: name.to_string() }))
}

/// `POST /tenants/{name}/keys`
pub(super) async fn create_key(
    Call { api, caller }: Call,
    OfTenant(name): OfTenant,
    Json(body): Json<dto::CreateKey>,
) -> Answer {
    let request: CreateKey = keys::request(body)?;
    let made = api.library.create_key_of(&caller, &name, request).await?;
    Ok(json(StatusCode::CREATED, &keys::with_secret(made, None)))
}

/// `GET /report`
pub(super) async fn report(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let thorough = words.flag("thorough")?;
    words.finish()?;
    Ok(json(StatusCode::OK, &convert::report(api.library.report(&caller, thorough).await?)))
}

/// `GET /report/progress`
pub(super) async fn report_progress(Call { api, caller }: Call) -> Answer {
    Ok(json(StatusCode::OK, &convert::report_progress(api.library.report_progress(&caller)?)))
}

/// `DELETE /report/losses`
pub(super) async fn acknowledge_losses(Call { api, caller }: Call) -> Answer {
    let acknowledged = api.library.acknowledge_losses(&caller).await?;
    Ok(json(StatusCode::OK, &dto::AcknowledgedLosses { acknowledged }))
}

fn tagged(response: Response, tenant: &Tenant) -> Response {
    etag::tagged(response, &etag::of_tenant(tenant))
}

fn patch(limits: dto::ChangeLimits) -> Result<LimitsPatch, Error> {
    let counted = |name: &'static str, limit: Option<Option<u64>>| match limit {
        Some(Some(most)) if most > COUNT_MAX => Err(out_of_range(name, most, (0, COUNT_MAX))),
        limit => Ok(limit),
    };
    let calls_per_second = match limits.calls_per_second {
        None => None,
        Some(None) => Some(None),
        Some(Some(most)) => match u32::try_from(most) {
            Ok(fitting @ 1..) => Some(Some(fitting)),
            _ => {
                let error = out_of_range("calls_per_second", most, (1, u64::from(u32::MAX)));
                return Err(if most == 0 { error.with_hint("a disabled key makes no calls") } else { error });
            }
        },
    };
    Ok(LimitsPatch {
        face_sets_max: counted("face_sets_max", limits.face_sets_max)?,
        faces_max: counted("faces_max", limits.faces_max)?,
        persons_max: counted("persons_max", limits.persons_max)?,
        face_set_faces_max: counted("set_faces_max", limits.set_faces_max)?,
        person_faces_max: counted("person_faces_max", limits.person_faces_max)?,
        calls_per_second,
    })
}

fn out_of_range(name: &'static str, given: u64, (least, most): (u64, u64)) -> Error {
    let message = format!("`{name}` is {given}, expected {least} to {most}, or null for no limit");
    Error::invalid(format!("limits.{name}"), message)
}
