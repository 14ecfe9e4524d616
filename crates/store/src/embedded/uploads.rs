//! Pictures that were handed in: in the database, because what is deleted there is overwritten and leaves the log.

use bytes::Bytes;
use likeness_domain::ports::{NewUpload, Pending, UploadQuota, UploadStore};
use likeness_domain::types::{TenantId, TimestampMs, UploadName};
use rusqlite::Connection;

use super::errors::Answer;
use super::transaction::{Manner, WriteTx};
use super::{EmbeddedStore, codec, rows, tenants};
use crate::bounds;

/// Pictures forgotten in one commit. They may be of 20 MB each, which are overwritten: bounds how long other writes wait.
const FORGET_ROWS: u64 = 4;

fn put(tx: &mut WriteTx<'_>, tenant: TenantId, picture: &NewUpload, room: UploadQuota, now: TimestampMs) -> Answer<()> {
    let tenant = codec::tenant_bytes(tenant);
    let name = picture.name.as_str();
    let sql = "SELECT count(*), coalesce(sum(length(bytes)), 0) FROM pictures
               WHERE tenant = ?1 AND name <> ?2 AND expires_at > ?3";
    let (n_others, n_bytes) = tx
        .conn
        .prepare_cached(sql)?
        .query_row((&tenant, name, now.0), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))?;
    bounds::check_upload_quota(n_others, n_bytes, picture.bytes.len(), room)?;
    let sql = "DELETE FROM pictures WHERE tenant = ?1 AND name = ?2";
    tx.erased = tx.conn.prepare_cached(sql)?.execute((&tenant, name))? > 0;
    tx.conn
        .prepare_cached("INSERT INTO pictures (tenant, name, expires_at, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute((&tenant, name, picture.expires_at.0, &*picture.bytes))?;
    Ok(())
}

fn picture(conn: &Connection, tenant: TenantId, name: &UploadName, now: TimestampMs) -> Answer<Option<Bytes>> {
    let sql = "SELECT bytes FROM pictures WHERE tenant = ?1 AND name = ?2 AND expires_at > ?3";
    rows::first(conn, sql, (codec::tenant_bytes(tenant), name.as_str(), now.0), |row| {
        Ok(Bytes::from(row.get::<_, Vec<u8>>(0)?))
    })
}

/// Erases some of those whose time is over; fewer than [`FORGET_ROWS`] means that none is left.
fn purge_some(tx: &mut WriteTx<'_>, now: TimestampMs) -> Answer<u64> {
    let sql = "DELETE FROM pictures WHERE id IN (SELECT id FROM pictures WHERE expires_at <= ?1 LIMIT ?2)";
    let n_forgotten = tx.conn.prepare_cached(sql)?.execute((now.0, FORGET_ROWS))? as u64;
    tx.erased = n_forgotten > 0;
    tx.idle = n_forgotten == 0;
    Ok(n_forgotten)
}

impl UploadStore for EmbeddedStore {
    fn put_upload(&self, tenant: TenantId, picture: NewUpload, room: UploadQuota, now: TimestampMs) -> Pending<'_, ()> {
        self.write("keep the picture", move |tx| {
            bounds::check_upload(&picture)?;
            tenants::refuse_deleted(tx.conn, tenant)?;
            put(tx, tenant, &picture, room, now)
        })
    }

    fn picture(&self, tenant: TenantId, name: UploadName, now: TimestampMs) -> Pending<'_, Option<Bytes>> {
        self.read("look up the picture", move |conn| picture(conn, tenant, &name, now))
    }

    fn purge_expired_uploads(&self, now: TimestampMs) -> Pending<'_, u64> {
        Box::pin(async move {
            let mut n_forgotten = 0;
            loop {
                let n_more = self.write_in(Manner::DELETE, "forget pictures", move |tx| purge_some(tx, now)).await?;
                n_forgotten += n_more;
                if n_more < FORGET_ROWS {
                    return Ok(n_forgotten);
                }
            }
        })
    }
}
