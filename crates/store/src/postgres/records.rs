//! Short-lived records: sessions, answers of requests that may be repeated.

use bytes::Bytes;
use likeness_domain::ports::{Pending, Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::TimestampMs;
use tokio_postgres::Row;

use super::checksums::Checksum;
use super::errors::{Answer, Failure};
use super::rows::{self, tenant_bytes};
use super::session::Session;
use super::{PURGE_ROWS, PostgresStore, usage};
use crate::bounds;
use crate::embedded::codec;

/// Columns of [`record_row`].
const RECORD_COLUMNS: &str = "id, tenant, bucket, value, created_at, expires_at, checksum";

fn checksum(scope: &str, record: &Record) -> i64 {
    Checksum::of("records")
        .bytes(scope.as_bytes())
        .bytes(&record.id[..])
        .bytes(&codec::tenant_bytes(record.tenant)[..])
        .bytes(record.bucket.as_bytes())
        .number(record.created_at.0)
        .number(record.expires_at.0)
        .bytes(&record.value[..])
        .finish()
}

fn record_row(row: &Row, scope: &str) -> Answer<Record> {
    let id: &[u8] = row.try_get(0)?;
    let record = Record {
        id: id.try_into().map_err(|_| Failure::Damaged("the id of a record has not 32 bytes".into()))?,
        tenant: codec::tenant_of(row.try_get(1)?)?,
        bucket: row.try_get(2)?,
        value: Bytes::from(row.try_get::<_, Vec<u8>>(3)?),
        created_at: TimestampMs(row.try_get(4)?),
        expires_at: TimestampMs(row.try_get(5)?),
    };
    rows::need_intact(row.try_get(6)?, checksum(scope, &record), "short-lived record of scope", scope)?;
    Ok(record)
}

async fn find(session: &Session, scope: &str, id: &RecordId, now: TimestampMs) -> Answer<Option<Record>> {
    let sql = format!("SELECT {RECORD_COLUMNS} FROM records WHERE scope = $1 AND id = $2 AND expires_at > $3");
    let row = session.first(&sql, &[&scope, &&id[..], &now.0]).await?;
    row.map(|row| record_row(&row, scope)).transpose()
}

async fn put(
    session: &Session,
    scope: &str,
    record: &Record,
    quota: RecordQuota,
    now: TimestampMs,
) -> Answer<Option<Record>> {
    let (tenant, id) = (tenant_bytes(record.tenant), &record.id[..]);
    // One at a time of a bucket, so that its quota holds exactly; and one at a time of an id, so that of several with the same
    // one is first.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('record ' || $1 || encode($2, 'hex'), 0)),
                       pg_advisory_xact_lock(hashtextextended('bucket ' || $1 || encode($3, 'hex') || ' ' || $4, 0))";
    session.one(lock, &[&scope, &id, &tenant, &record.bucket]).await?;
    if let Some(known) = find(session, scope, &record.id, now).await? {
        return Ok(Some(known));
    }
    // One of this very id whose time is over, and a few others of the bucket, so that it shrinks to what still counts.
    session.execute("DELETE FROM records WHERE scope = $1 AND id = $2", &[&scope, &id]).await?;
    let sql = "DELETE FROM records WHERE number IN (SELECT number FROM records
               WHERE tenant = $1 AND scope = $2 AND bucket = $3 AND expires_at <= $4 ORDER BY expires_at LIMIT 16
               FOR UPDATE SKIP LOCKED)";
    session.execute(sql, &[&tenant, &scope, &record.bucket, &now.0]).await?;
    loop {
        let sql = "SELECT count(*), coalesce(sum(n_bytes), 0)::int8 FROM records
                   WHERE tenant = $1 AND scope = $2 AND bucket = $3";
        let row = session.one(sql, &[&tenant, &scope, &record.bucket]).await?;
        let (n_records, n_bytes) = (rows::whole(&row, 0)?, rows::whole(&row, 1)?);
        match bounds::check_record_quota(n_records, n_bytes, record.value.len(), quota) {
            Ok(()) => break,
            Err(_) if quota.when_full == WhenFull::Evict && n_records > 0 => {
                let sql = "DELETE FROM records WHERE number IN (SELECT number FROM records
                           WHERE tenant = $1 AND scope = $2 AND bucket = $3 ORDER BY expires_at, number LIMIT 1)";
                session.execute(sql, &[&tenant, &scope, &record.bucket]).await?;
            }
            Err(error) => return Err(error.into()),
        }
    }
    let sql = "INSERT INTO records (scope, id, tenant, bucket, created_at, expires_at, n_bytes, value, checksum)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)";
    session
        .execute(
            sql,
            &[
                &scope,
                &id,
                &tenant,
                &record.bucket,
                &record.created_at.0,
                &record.expires_at.0,
                &(record.value.len() as i64),
                &&record.value[..],
                &checksum(scope, record),
            ],
        )
        .await?;
    Ok(None)
}

async fn change(session: &Session, scope: &str, id: &RecordId, value: Bytes, expires_at: TimestampMs) -> Answer<bool> {
    let sql = format!("SELECT {RECORD_COLUMNS} FROM records WHERE scope = $1 AND id = $2 FOR UPDATE");
    let Some(row) = session.first(&sql, &[&scope, &&id[..]]).await? else { return Ok(false) };
    let changed = Record { value, expires_at, ..record_row(&row, scope)? };
    let sql =
        "UPDATE records SET value = $3, n_bytes = $4, expires_at = $5, checksum = $6 WHERE scope = $1 AND id = $2";
    let n_bytes = changed.value.len() as i64;
    let values = [
        &scope as _,
        &&id[..] as _,
        &&changed.value[..] as _,
        &n_bytes as _,
        &expires_at.0 as _,
        &checksum(scope, &changed) as _,
    ];
    Ok(session.execute(sql, &values).await? > 0)
}

impl RecordStore for PostgresStore {
    fn put_record(
        &self,
        scope: &'static str,
        record: Record,
        quota: RecordQuota,
        now: TimestampMs,
    ) -> Pending<'_, Option<Record>> {
        self.write("keep the record", move |session| {
            let record = record.clone();
            Box::pin(async move {
                bounds::check_record(&record.value)?;
                usage::refuse_deleted(session, record.tenant).await?;
                put(session, scope, &record, quota, now).await
            })
        })
    }

    fn record(&self, scope: &'static str, id: RecordId, now: TimestampMs) -> Pending<'_, Option<Record>> {
        self.read("look up the record", move |session| Box::pin(async move { find(session, scope, &id, now).await }))
    }

    fn change_record(
        &self,
        scope: &'static str,
        id: RecordId,
        value: Bytes,
        expires_at: TimestampMs,
    ) -> Pending<'_, bool> {
        self.write("change the record", move |session| {
            let value = value.clone();
            Box::pin(async move {
                bounds::check_record(&value)?;
                change(session, scope, &id, value, expires_at).await
            })
        })
    }

    fn delete_record(&self, scope: &'static str, id: RecordId) -> Pending<'_, bool> {
        self.write("erase the record", move |session| {
            Box::pin(async move {
                let sql = "DELETE FROM records WHERE scope = $1 AND id = $2";
                Ok(session.execute(sql, &[&scope, &&id[..]]).await? > 0)
            })
        })
    }

    fn purge_expired_records(&self, now: TimestampMs) -> Pending<'_, u64> {
        let sql = "DELETE FROM records WHERE number IN
                   (SELECT number FROM records WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.purge("forget records", now, sql, PURGE_ROWS)
    }
}
