//! Short-lived records: sessions, answers of requests that may be repeated.
//!
//! # Invariants
//! - `record_buckets` is kept by triggers in the transaction that changes what it counts; a thorough report verifies it.

use bytes::Bytes;
use likeness_domain::ports::{Pending, Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::TimestampMs;
use rusqlite::{Connection, Row};

use super::checksums::{self, Columns, RECORDS};
use super::errors::Answer;
use super::transaction::{Manner, WriteTx};
use super::{EmbeddedStore, codec, rows, tenants};
use crate::bounds;

/// Records erased in one commit: bounds how long other writes wait.
const FORGET_ROWS: u64 = 200;

/// Columns of [`record_row`], of `records AS r`.
static RECORD_COLUMNS: Columns = Columns::new(|| {
    format!("r.number, r.id, r.tenant, r.bucket, r.value, r.created_at, r.expires_at, {}", RECORDS.intact("r"))
});

fn record_row(row: &Row<'_>) -> Answer<Record> {
    rows::need_intact(row, 7, "a short-lived record", 0)?;
    let id: Vec<u8> = row.get(1)?;
    Ok(Record {
        id: id.try_into().map_err(|_| super::errors::Failure::Damaged("the id of a record has not 32 bytes".into()))?,
        tenant: codec::tenant_of(row.get_ref(2)?.as_blob().map_err(rusqlite::Error::from)?)?,
        bucket: row.get(3)?,
        value: Bytes::from(row.get::<_, Vec<u8>>(4)?),
        created_at: TimestampMs(row.get(5)?),
        expires_at: TimestampMs(row.get(6)?),
    })
}

fn find(conn: &Connection, scope: &str, id: &RecordId, now: TimestampMs) -> Answer<Option<Record>> {
    let sql =
        format!("SELECT {RECORD_COLUMNS} FROM records AS r WHERE r.scope = ?1 AND r.id = ?2 AND r.expires_at > ?3");
    rows::first(conn, &sql, (scope, &id[..], now.0), record_row)
}

fn put(
    tx: &mut WriteTx<'_>,
    scope: &str,
    record: &Record,
    quota: RecordQuota,
    now: TimestampMs,
) -> Answer<Option<Record>> {
    if let Some(known) = find(tx.conn, scope, &record.id, now)? {
        tx.idle = true;
        return Ok(Some(known));
    }
    let tenant = codec::tenant_bytes(record.tenant);
    // One of this very id whose time is over, and a few others of the bucket, so that it shrinks to what still counts.
    tx.conn.prepare_cached("DELETE FROM records WHERE scope = ?1 AND id = ?2")?.execute((scope, &record.id[..]))?;
    let sql = "DELETE FROM records WHERE number IN (SELECT number FROM records
               WHERE tenant = ?1 AND scope = ?2 AND bucket = ?3 AND expires_at <= ?4 ORDER BY expires_at LIMIT 16)";
    let n_gone = tx.conn.prepare_cached(sql)?.execute((tenant, scope, &record.bucket, now.0))?;
    tx.erased |= n_gone > 0;
    loop {
        let sql = "SELECT n_records, n_bytes FROM record_buckets WHERE tenant = ?1 AND scope = ?2 AND bucket = ?3";
        let found = rows::first(tx.conn, sql, (tenant, scope, &record.bucket), |row| {
            Ok((row.get::<_, u64>(0)?, row.get::<_, u64>(1)?))
        })?;
        let (n_records, n_bytes) = found.unwrap_or_default();
        match bounds::check_record_quota(n_records, n_bytes, record.value.len(), quota) {
            Ok(()) => break,
            Err(_) if quota.when_full == WhenFull::Evict && n_records > 0 => {
                let sql = "DELETE FROM records WHERE number IN (SELECT number FROM records
                           WHERE tenant = ?1 AND scope = ?2 AND bucket = ?3 ORDER BY expires_at, number LIMIT 1)";
                tx.conn.prepare_cached(sql)?.execute((tenant, scope, &record.bucket))?;
                tx.erased = true;
            }
            Err(error) => return Err(error.into()),
        }
    }
    tx.conn.prepare_cached(&RECORDS.insert())?.execute((
        scope,
        &record.id[..],
        tenant,
        &record.bucket,
        record.created_at.0,
        record.expires_at.0,
        &*record.value,
    ))?;
    Ok(None)
}

fn change(tx: &mut WriteTx<'_>, scope: &str, id: &RecordId, value: &[u8], expires_at: TimestampMs) -> Answer<bool> {
    let sql = format!("SELECT {RECORD_COLUMNS} FROM records AS r WHERE r.scope = ?1 AND r.id = ?2");
    // A damaged row must not get a checksum that says that it is intact.
    let number = rows::first(tx.conn, &sql, (scope, &id[..]), |row| {
        record_row(row)?;
        Ok(row.get::<_, u64>(0)?)
    })?;
    let Some(number) = number else {
        tx.idle = true;
        return Ok(false);
    };
    tx.conn.prepare_cached("UPDATE records SET value = ?2, expires_at = ?3 WHERE number = ?1")?.execute((
        number,
        value,
        expires_at.0,
    ))?;
    checksums::renew(tx.conn, &RECORDS, "number", number)?;
    tx.erased = true;
    Ok(true)
}

fn delete(tx: &mut WriteTx<'_>, scope: &str, id: &RecordId) -> Answer<bool> {
    let sql = "DELETE FROM records WHERE scope = ?1 AND id = ?2";
    let was_there = tx.conn.prepare_cached(sql)?.execute((scope, &id[..]))? > 0;
    tx.erased = was_there;
    tx.idle = !was_there;
    Ok(was_there)
}

/// Erases some of those whose time is over; fewer than [`FORGET_ROWS`] means that none is left.
fn purge_some(tx: &mut WriteTx<'_>, now: TimestampMs) -> Answer<u64> {
    let sql = "DELETE FROM records WHERE number IN (SELECT number FROM records WHERE expires_at <= ?1 LIMIT ?2)";
    let n_gone = tx.conn.prepare_cached(sql)?.execute((now.0, FORGET_ROWS))? as u64;
    tx.erased = n_gone > 0;
    tx.idle = n_gone == 0;
    Ok(n_gone)
}

impl RecordStore for EmbeddedStore {
    fn put_record(
        &self,
        scope: &'static str,
        record: Record,
        quota: RecordQuota,
        now: TimestampMs,
    ) -> Pending<'_, Option<Record>> {
        self.write("keep the record", move |tx| {
            bounds::check_record(&record.value)?;
            tenants::refuse_deleted(tx.conn, record.tenant)?;
            put(tx, scope, &record, quota, now)
        })
    }

    fn record(&self, scope: &'static str, id: RecordId, now: TimestampMs) -> Pending<'_, Option<Record>> {
        self.read_one("look up the record", move |conn| find(conn, scope, &id, now))
    }

    fn change_record(
        &self,
        scope: &'static str,
        id: RecordId,
        value: Bytes,
        expires_at: TimestampMs,
    ) -> Pending<'_, bool> {
        self.write("change the record", move |tx| {
            bounds::check_record(&value)?;
            change(tx, scope, &id, &value, expires_at)
        })
    }

    fn delete_record(&self, scope: &'static str, id: RecordId) -> Pending<'_, bool> {
        self.write_in(Manner::DELETE, "erase the record", move |tx| delete(tx, scope, &id))
    }

    fn purge_expired_records(&self, now: TimestampMs) -> Pending<'_, u64> {
        Box::pin(async move {
            let mut n_gone = 0;
            loop {
                let n_more = self.write_in(Manner::DELETE, "forget records", move |tx| purge_some(tx, now)).await?;
                n_gone += n_more;
                if n_more < FORGET_ROWS {
                    return Ok(n_gone);
                }
            }
        })
    }
}
