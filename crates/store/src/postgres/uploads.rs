//! Pictures that were handed in.

use bytes::Bytes;
use likeness_domain::ports::{NewUpload, Pending, UploadQuota, UploadStore};
use likeness_domain::types::{TenantId, TimestampMs, UploadName};

use super::errors::Answer;
use super::rows::{self, tenant_bytes};
use super::session::Session;
use super::{PostgresStore, usage};
use crate::bounds;

/// Pictures forgotten in one commit. They may be of 20 MB each.
const FORGET_ROWS: i64 = 16;

async fn put(
    session: &Session,
    tenant: TenantId,
    picture: &NewUpload,
    room: UploadQuota,
    now: TimestampMs,
) -> Answer<()> {
    let (tenant, name) = (tenant_bytes(tenant), picture.name.as_str());
    // One at a time of a tenant, so that its quota holds exactly.
    let lock = "SELECT pg_advisory_xact_lock(hashtextextended('uploads ' || encode($1, 'hex'), 0))";
    session.one(lock, &[&tenant]).await?;
    let sql = "SELECT count(*), coalesce(sum(n_bytes), 0)::int8 FROM pictures
               WHERE tenant = $1 AND name <> $2 AND expires_at > $3";
    let row = session.one(sql, &[&tenant, &name, &now.0]).await?;
    bounds::check_upload_quota(rows::whole(&row, 0)?, rows::whole(&row, 1)?, picture.bytes.len(), room)?;
    let sql = "INSERT INTO pictures (tenant, name, expires_at, n_bytes, bytes) VALUES ($1, $2, $3, $4, $5)
               ON CONFLICT (tenant, name) DO UPDATE
               SET expires_at = excluded.expires_at, n_bytes = excluded.n_bytes, bytes = excluded.bytes";
    let n_bytes = picture.bytes.len() as i64;
    session.execute(sql, &[&tenant, &name, &picture.expires_at.0, &n_bytes, &&picture.bytes[..]]).await?;
    Ok(())
}

impl UploadStore for PostgresStore {
    fn put_upload(&self, tenant: TenantId, picture: NewUpload, room: UploadQuota, now: TimestampMs) -> Pending<'_, ()> {
        self.write("keep the picture", move |session| {
            let picture = picture.clone();
            Box::pin(async move {
                bounds::check_upload(&picture)?;
                usage::refuse_deleted(session, tenant).await?;
                put(session, tenant, &picture, room, now).await
            })
        })
    }

    fn picture(&self, tenant: TenantId, name: UploadName, now: TimestampMs) -> Pending<'_, Option<Bytes>> {
        self.read("look up the picture", move |session| {
            let name = name.clone();
            Box::pin(async move {
                let sql = "SELECT bytes FROM pictures WHERE tenant = $1 AND name = $2 AND expires_at > $3";
                let row = session.first(sql, &[&tenant_bytes(tenant), &name.as_str(), &now.0]).await?;
                row.map(|row| Ok(Bytes::from(row.try_get::<_, Vec<u8>>(0)?))).transpose()
            })
        })
    }

    fn erase_upload(&self, tenant: TenantId, name: UploadName) -> Pending<'_, ()> {
        self.write("forget the picture", move |session| {
            let name = name.clone();
            Box::pin(async move {
                let sql = "DELETE FROM pictures WHERE tenant = $1 AND name = $2";
                session.execute(sql, &[&tenant_bytes(tenant), &name.as_str()]).await?;
                Ok(())
            })
        })
    }

    fn purge_expired_uploads(&self, now: TimestampMs) -> Pending<'_, u64> {
        let sql = "DELETE FROM pictures WHERE (tenant, name) IN
                   (SELECT tenant, name FROM pictures WHERE expires_at <= $1 LIMIT $2 FOR UPDATE SKIP LOCKED)";
        self.purge("forget pictures", now, sql, FORGET_ROWS)
    }
}
