//! Tenants as the writing thread sees them: what they have, and their deletion.
//!
//! # Invariants
//! - `tenant_usage` is kept by triggers in the transaction that changes what it counts; a thorough report verifies it.
//! - Nothing is written for a tenant in `deleted_tenants`, so what is left of it only gets less.

use likeness_domain::access::{Grants, TenantUsage};
use likeness_domain::ports::Change;
use likeness_domain::types::{Actor, JobLease, TenantId};
use rusqlite::Connection;

use super::checksums::{self, PERSONS};
use super::errors::RECOVER;
use super::errors::{Answer, Failure};
use super::transaction::WriteTx;
use super::{codec, face_sets, rows};
use crate::bounds::{key_gone, lease_over, tenant_deleted};

/// Uploads erased in one go: they may be of 20 MB each, which are overwritten.
const UPLOADS_AT_ONCE: usize = 4;

/// See `GalleryStore::usage`.
pub(super) fn usage(conn: &Connection, tenant: TenantId) -> Answer<TenantUsage> {
    let sql = "SELECT n_face_sets, n_faces, n_persons FROM tenant_usage WHERE tenant = ?1";
    let found = rows::first(conn, sql, [codec::tenant_bytes(tenant)], |row| {
        Ok(TenantUsage { n_face_sets: row.get(0)?, n_faces: row.get(1)?, n_persons: row.get(2)? })
    })?;
    Ok(found.unwrap_or_default())
}

/// `Forbidden` for a tenant that was deleted: a request that was under way meanwhile must not leave anything behind.
pub(super) fn refuse_deleted(conn: &Connection, tenant: TenantId) -> Answer<()> {
    let sql = "SELECT 1 FROM deleted_tenants WHERE tenant = ?1";
    if conn.prepare_cached(sql)?.exists([codec::tenant_bytes(tenant)])? {
        return Err(Failure::Said(tenant_deleted()));
    }
    Ok(())
}

/// `Forbidden` for a key that was deleted or disabled since the request was admitted, where the actor says so, and `JobDone`
/// for a job that is not the actor's any more.
pub(super) fn refuse_unusable(conn: &Connection, actor: &Actor) -> Answer<()> {
    if let Some(JobLease { job, until }) = actor.lease {
        let sql = "SELECT 1 FROM jobs WHERE id = ?1 AND expires_at IS NULL AND due_at = ?2";
        if !conn.prepare_cached(sql)?.exists((job.get(), until.0))? {
            return Err(Failure::Said(lease_over()));
        }
    }
    let Some(key) = actor.key.as_ref().filter(|_| actor.key_must_be_usable) else { return Ok(()) };
    let sql = "SELECT 1 FROM access_keys WHERE id = ?1 AND (tenant = ?2 OR grants = ?3) AND enabled = 1";
    let operators = Grants::OPERATOR.to_string();
    if conn.prepare_cached(sql)?.exists((key.as_str(), codec::tenant_bytes(actor.tenant), operators))? {
        return Ok(());
    }
    Err(Failure::Said(key_gone()))
}

/// Takes the tenant, its keys and the names of its face sets away, which hides everything that it has; the maintenance
/// erases the rest. See `GalleryStore::delete_tenant`.
pub(super) fn delete(tx: &mut WriteTx<'_>, tenant: TenantId) -> Answer<bool> {
    let id = codec::tenant_bytes(tenant);
    tx.conn.prepare_cached("DELETE FROM access_keys WHERE tenant = ?1")?.execute([id])?;
    if tx.conn.prepare_cached("DELETE FROM tenants WHERE id = ?1")?.execute([id])? == 0 {
        tx.idle = true;
        return Ok(false);
    }
    tx.conn.prepare_cached("INSERT INTO deleted_tenants (tenant) VALUES (?1)")?.execute([id])?;
    for summary in face_sets::list(tx.conn, tenant)? {
        face_sets::hide(tx, summary.face_set.id)?;
    }
    tx.push(Change::TenantDeleted(tenant));
    tx.erased = true;
    Ok(true)
}

/// Erases up to about `n_rows_max` rows of deleted tenants whose face sets are erased already, and returns how many; 0
/// when nothing is left. Persons lose their keys here and are erased as deleted ones are.
pub(super) fn erase_some(conn: &Connection, n_rows_max: usize) -> Answer<usize> {
    let sql = "SELECT tenant FROM deleted_tenants WHERE erased = 0 LIMIT 1";
    let Some(tenant) = rows::first(conn, sql, (), |row| Ok(row.get::<_, Vec<u8>>(0)?))? else { return Ok(0) };
    let n_persons = hide_persons(conn, &tenant, n_rows_max)?;
    if n_persons > 0 {
        return Ok(n_persons);
    }
    for (sql, n_max) in [
        (
            "DELETE FROM held_faces WHERE sequence IN (SELECT sequence FROM held_faces WHERE tenant = ?1 LIMIT ?2)",
            n_rows_max,
        ),
        ("DELETE FROM pictures WHERE id IN (SELECT id FROM pictures WHERE tenant = ?1 LIMIT ?2)", UPLOADS_AT_ONCE),
        ("DELETE FROM records WHERE number IN (SELECT number FROM records WHERE tenant = ?1 LIMIT ?2)", n_rows_max),
    ] {
        let n_erased = conn.prepare_cached(sql)?.execute((&tenant, n_max))?;
        if n_erased > 0 {
            return Ok(n_erased);
        }
    }
    let n_jobs = erase_jobs(conn, &tenant, n_rows_max)?;
    if n_jobs > 0 {
        return Ok(n_jobs);
    }
    conn.prepare_cached("DELETE FROM held_tenants WHERE tenant = ?1")?.execute([&tenant])?;
    conn.prepare_cached("DELETE FROM tenant_usage WHERE tenant = ?1")?.execute([&tenant])?;
    Ok(conn.prepare_cached("UPDATE deleted_tenants SET erased = 1 WHERE tenant = ?1")?.execute([&tenant])?)
}

/// Erases keys, names and notes of persons, as [`super::persons::delete`] does; they are erased next.
fn hide_persons(conn: &Connection, tenant: &[u8], n_rows_max: usize) -> Answer<usize> {
    let sql = "SELECT id FROM persons WHERE tenant = ?1 AND key IS NOT NULL LIMIT ?2";
    let found = rows::all(conn, sql, (tenant, n_rows_max), |row| Ok(row.get::<_, u64>(0)?))?;
    for id in &found {
        let sql = "UPDATE persons SET key = NULL, name = NULL, note = NULL WHERE id = ?1";
        conn.prepare_cached(sql)?.execute([id])?;
        checksums::renew(conn, &PERSONS, "id", id)?;
    }
    Ok(found.len())
}

/// Erases jobs, done and undone.
fn erase_jobs(conn: &Connection, tenant: &[u8], n_rows_max: usize) -> Answer<usize> {
    let sql = "SELECT sequence, kind, expires_at IS NULL FROM jobs WHERE tenant = ?1 LIMIT ?2";
    let found = rows::all(conn, sql, (tenant, n_rows_max), |row| {
        Ok((row.get::<_, u64>(0)?, row.get::<_, String>(1)?, row.get::<_, bool>(2)?))
    })?;
    for (sequence, kind, is_undone) in &found {
        conn.prepare_cached("DELETE FROM jobs WHERE sequence = ?1")?.execute([sequence])?;
        if *is_undone {
            let sql = "UPDATE job_kinds SET n_undone = n_undone - 1 WHERE kind = ?1";
            conn.prepare_cached(sql)?.execute([kind])?;
        }
    }
    Ok(found.len())
}

/// Reads every tenant; lists those that cannot be what was written.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>) -> Answer<()> {
    let ids = rows::all(conn, "SELECT id FROM tenants", (), |row| Ok(row.get::<_, Vec<u8>>(0)?))?;
    let n_malformed = ids.iter().filter(|id| codec::tenant_of(id).is_err()).count();
    if n_malformed > 0 {
        problems.push(format!("the ids of {n_malformed} tenants are malformed: {RECOVER}"));
    }
    Ok(())
}
