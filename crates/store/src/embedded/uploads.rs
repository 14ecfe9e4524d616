//! Pictures that were handed in: in the database, because what is deleted there is overwritten and leaves the log.

use bytes::Bytes;
use likeness_domain::ports::{NewUpload, Pending, UploadQuota, UploadStore};
use likeness_domain::types::{TenantId, TimestampMs, UploadName};
use rusqlite::Connection;
use xxhash_rust::xxh3::Xxh3;

use super::errors::{Answer, Failure};
use super::transaction::{Manner, WriteTx};
use super::{EmbeddedStore, codec, rows, tenants};
use crate::bounds;

/// Pictures forgotten in one commit. They may be of 20 MB each, which are overwritten: bounds how long other writes wait.
const FORGET_ROWS: u64 = 4;

/// What stands before the bytes of a picture: these bytes and the XXH3 of whose it is, its name and its bytes. Pictures of an
/// earlier program have none; they are gone within an hour of the upgrade.
const SEAL: [u8; 8] = *b"LkPict\x00\x01";
const SEAL_BYTES: usize = SEAL.len() + 8;

pub(super) fn sealed(tenant: &[u8], name: &str, bytes: &[u8]) -> Vec<u8> {
    let mut sealed = Vec::with_capacity(SEAL_BYTES + bytes.len());
    sealed.extend_from_slice(&SEAL);
    sealed.extend_from_slice(&checksum(tenant, name, bytes).to_le_bytes());
    sealed.extend_from_slice(bytes);
    sealed
}

/// The picture again; [`Failure::Damaged`] if it is not what was handed in under that name, as of two that changed places.
pub(super) fn unsealed(tenant: &[u8], name: &str, stored: Vec<u8>) -> Answer<Bytes> {
    let stored = Bytes::from(stored);
    let Some((sum, bytes)) = stored.strip_prefix(&SEAL).and_then(|rest| rest.split_first_chunk::<8>()) else {
        return Ok(stored);
    };
    if u64::from_le_bytes(*sum) != checksum(tenant, name, bytes) {
        return Err(Failure::Damaged(format!("the checksum of picture `{name}` does not match: hand it in again")));
    }
    Ok(stored.slice(SEAL_BYTES..))
}

fn checksum(tenant: &[u8], name: &str, bytes: &[u8]) -> u64 {
    let mut hash = Xxh3::new();
    for part in [tenant, name.as_bytes(), bytes] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part);
    }
    hash.digest()
}

fn put(tx: &mut WriteTx<'_>, tenant: TenantId, picture: &NewUpload, room: UploadQuota, now: TimestampMs) -> Answer<()> {
    let tenant = codec::tenant_bytes(tenant);
    let name = picture.name.as_str();
    let sql = "SELECT count(*), coalesce(sum(max(length(bytes) - ?4, 0)), 0) FROM pictures
               WHERE tenant = ?1 AND name <> ?2 AND expires_at > ?3";
    let (n_others, n_bytes) = tx
        .conn
        .prepare_cached(sql)?
        .query_row((&tenant, name, now.0, SEAL_BYTES), |row| Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?)))?;
    bounds::check_upload_quota(n_others, n_bytes, picture.bytes.len(), room)?;
    tx.erased = erase(tx.conn, &tenant[..], name)?;
    tx.conn
        .prepare_cached("INSERT INTO pictures (tenant, name, expires_at, bytes) VALUES (?1, ?2, ?3, ?4)")?
        .execute((&tenant, name, picture.expires_at.0, sealed(&tenant[..], name, &picture.bytes)))?;
    Ok(())
}

/// Erases a picture; whether it was there.
fn erase(conn: &Connection, tenant: &[u8], name: &str) -> Answer<bool> {
    let sql = "DELETE FROM pictures WHERE tenant = ?1 AND name = ?2";
    Ok(conn.prepare_cached(sql)?.execute((tenant, name))? > 0)
}

fn picture(conn: &Connection, tenant: TenantId, name: &UploadName, now: TimestampMs) -> Answer<Option<Bytes>> {
    let sql = "SELECT bytes FROM pictures WHERE tenant = ?1 AND name = ?2 AND expires_at > ?3";
    let tenant = codec::tenant_bytes(tenant);
    rows::first(conn, sql, (&tenant, name.as_str(), now.0), |row| {
        unsealed(&tenant[..], name.as_str(), row.get::<_, Vec<u8>>(0)?)
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

    fn erase_upload(&self, tenant: TenantId, name: UploadName) -> Pending<'_, ()> {
        self.write_in(Manner::DELETE, "forget the picture", move |tx| {
            tx.erased = erase(tx.conn, &codec::tenant_bytes(tenant)[..], name.as_str())?;
            tx.idle = !tx.erased;
            Ok(())
        })
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
