//! What tenants have, and whether anything may be written for them.
//!
//! # Invariants
//! - `tenant_usage` is kept by triggers in the transaction that changes what it counts; a thorough report verifies it.
//! - Nothing is written for a tenant in `deleted_tenants`, so what is left of it only gets less.

use likeness_domain::access::{Grants, TenantUsage};
use likeness_domain::types::{AccessKeyId, Actor, JobLease, TenantId};

use super::errors::{Answer, Failure};
use super::rows;
use super::session::Session;
use crate::bounds::{key_gone, lease_over, tenant_deleted};

/// See `GalleryStore::usage`.
pub(super) async fn of_tenant(session: &Session, tenant: TenantId) -> Answer<TenantUsage> {
    let sql = "SELECT n_face_sets, n_faces, n_persons FROM tenant_usage WHERE tenant = $1";
    match session.first(sql, &[&rows::tenant_bytes(tenant)]).await? {
        None => Ok(TenantUsage::default()),
        Some(row) => Ok(TenantUsage {
            n_face_sets: rows::whole(&row, 0)?,
            n_faces: rows::whole(&row, 1)?,
            n_persons: rows::whole(&row, 2)?,
        }),
    }
}

/// `Forbidden` for a tenant that was deleted: a request that was under way meanwhile must not leave anything behind. And for
/// a key that was deleted or disabled since the request was admitted, where the actor says so. `JobDone` for a job that is not the
/// actor's any more; whoever cancels the job or takes it waits until the transaction has ended.
pub(super) async fn refuse_unusable(session: &Session, actor: &Actor) -> Answer<()> {
    let key = actor.key.as_ref().filter(|_| actor.key_must_be_usable).map(AccessKeyId::as_str);
    let sql = "SELECT EXISTS (SELECT 1 FROM deleted_tenants WHERE tenant = $1),
                      $2::text IS NULL OR EXISTS (SELECT 1 FROM access_keys
                                                   WHERE id = $2 AND (tenant = $1 OR grants = $3) AND enabled)";
    let operators = Grants::OPERATOR.to_string();
    let row = session.one(sql, &[&rows::tenant_bytes(actor.tenant), &key, &operators]).await?;
    if row.try_get(0)? {
        return Err(Failure::Said(tenant_deleted()));
    }
    if !row.try_get(1)? {
        return Err(Failure::Said(key_gone()));
    }
    let Some(JobLease { job, until }) = actor.lease else { return Ok(()) };
    let sql = "SELECT 1 FROM jobs WHERE id = $1 AND expires_at IS NULL AND due_at = $2 FOR SHARE";
    match session.exists(sql, &[&rows::number(job.get()), &until.0]).await? {
        true => Ok(()),
        false => Err(Failure::Said(lease_over())),
    }
}

/// `Forbidden` for a tenant that was deleted.
pub(super) async fn refuse_deleted(session: &Session, tenant: TenantId) -> Answer<()> {
    let sql = "SELECT 1 FROM deleted_tenants WHERE tenant = $1";
    if session.exists(sql, &[&rows::tenant_bytes(tenant)]).await? {
        return Err(Failure::Said(tenant_deleted()));
    }
    Ok(())
}
