//! Tenants and access keys.

use likeness_domain::Error;
use likeness_domain::access::{FaceSetScope, Grants, Limits};
use likeness_domain::ports::{Change, CredentialStore, KeyAction, Pending, SESSIONS};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceSetId, FaceSetName, InstallationSecret, Note, Precondition, PreviousSecret,
    Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use tokio_postgres::Row;

use super::checksums::{self, Checksum};
use super::errors::{Answer, Failure};
use super::rows::{self, tenant_bytes};
use super::session::Session;
use super::transaction::WriteTx;
use super::{PostgresStore, face_sets};
use crate::embedded::codec;

/// Columns of [`tenant_row`], of `tenants AS t`.
const TENANT_COLUMNS: &str = "t.id, t.name, t.created_at, t.face_sets_max, t.faces_max, t.persons_max, \
     t.face_set_faces_max, t.person_faces_max, t.calls_per_second, t.checksum";

/// Columns of [`key_row`] behind those of its tenant, of `access_keys AS k`.
const KEY_COLUMNS: &str = "k.id, k.secret, k.previous_secret, k.previous_until, k.grants, k.face_sets, k.label, k.enabled, \
     k.created_at, k.expires_at, k.last_used_at, k.checksum";

fn tenant_row(row: &Row) -> Answer<Tenant> {
    let most = |column: usize| -> Answer<Option<u64>> {
        Ok(row.try_get::<_, Option<i64>>(column)?.and_then(|most| u64::try_from(most).ok()))
    };
    let tenant = Tenant {
        id: codec::tenant_of(row.try_get(0)?)?,
        name: TenantName::new(row.try_get(1)?).map_err(|_| Failure::Damaged("a tenant's name is malformed".into()))?,
        created_at: TimestampMs(row.try_get(2)?),
        limits: Limits {
            face_sets_max: most(3)?,
            faces_max: most(4)?,
            persons_max: most(5)?,
            face_set_faces_max: most(6)?,
            person_faces_max: most(7)?,
            calls_per_second: most(8)?.and_then(|most| u32::try_from(most).ok()),
        },
    };
    rows::need_intact(row.try_get(9)?, checksums::tenant(&tenant), "tenant", tenant.id)?;
    Ok(tenant)
}

/// A key with its tenant.
fn key_row(row: &Row) -> Answer<AccessKey> {
    let damaged = || Failure::Damaged("an access key is malformed".into());
    let time =
        |column: usize| -> Answer<Option<TimestampMs>> { Ok(row.try_get::<_, Option<i64>>(column)?.map(TimestampMs)) };
    let previous = match (row.try_get::<_, Option<&str>>(12)?, time(13)?) {
        (Some(secret), Some(valid_until)) => {
            Some(PreviousSecret { secret: Secret::new(secret).ok_or_else(damaged)?, valid_until })
        }
        _ => None,
    };
    let face_sets: Option<&[u8]> = row.try_get(15)?;
    let key = AccessKey {
        tenant: tenant_row(row)?,
        id: AccessKeyId::new(row.try_get(10)?).ok_or_else(damaged)?,
        secret: Secret::new(row.try_get(11)?).ok_or_else(damaged)?,
        previous,
        grants: grants_of(row.try_get(14)?).ok_or_else(damaged)?,
        face_sets: face_sets.map_or(Some(FaceSetScope::All), scope_of).ok_or_else(damaged)?,
        label: rows::text(row, 16, Note::new)?,
        enabled: row.try_get(17)?,
        created_at: TimestampMs(row.try_get(18)?),
        expires_at: time(19)?,
        last_used_at: time(20)?,
    };
    rows::need_intact(row.try_get(21)?, checksums::access_key(&key, face_sets), "access key", &key.id)?;
    Ok(key)
}

/// Grants as they are stored: their words between commas, an empty text for none.
fn grants_of(text: &str) -> Option<Grants> {
    if text.is_empty() { Some(Grants::NONE) } else { Grants::parse(text).ok() }
}

/// Face sets as they are stored, unless they are all: ids as u64, little-endian.
fn scope_of(bytes: &[u8]) -> Option<FaceSetScope> {
    let (ids, []) = bytes.as_chunks::<8>() else { return None };
    let ids: Option<Vec<FaceSetId>> = ids.iter().map(|id| FaceSetId::new(u64::from_le_bytes(*id))).collect();
    Some(FaceSetScope::Only(ids?.into()))
}

fn scope_bytes(scope: &FaceSetScope) -> Option<Vec<u8>> {
    match scope {
        FaceSetScope::All => None,
        FaceSetScope::Only(face_sets) => Some(face_sets.iter().flat_map(|id| id.get().to_le_bytes()).collect()),
    }
}

async fn tenant_where(session: &Session, condition: &str, value: super::session::Values<'_>) -> Answer<Option<Tenant>> {
    let row = session.first(&format!("SELECT {TENANT_COLUMNS} FROM tenants AS t WHERE {condition}"), value).await?;
    row.as_ref().map(tenant_row).transpose()
}

async fn key_with_id(session: &Session, id: &AccessKeyId) -> Answer<Option<AccessKey>> {
    let sql = format!(
        "SELECT {TENANT_COLUMNS}, {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant WHERE k.id = $1"
    );
    let row = session.first(&sql, &[&id.as_str()]).await?;
    row.as_ref().map(key_row).transpose()
}

async fn ensure_tenant(tx: &mut WriteTx, proposed: Tenant) -> Answer<Tenant> {
    if let Some(known) = tenant_where(&tx.session, "t.name = $1", &[&proposed.name.as_str()]).await? {
        return Ok(known);
    }
    let id = tenant_bytes(proposed.id);
    if tx.session.exists("SELECT 1 FROM tenants WHERE id = $1", &[&id]).await? {
        return Err(Failure::Said(Error::invalid("tenant", "the proposed tenant id is taken by another tenant")));
    }
    let sql = "INSERT INTO tenants (id, name, created_at, checksum) VALUES ($1, $2, $3, 0)";
    tx.session.execute(sql, &[&id, &proposed.name.as_str(), &proposed.created_at.0]).await?;
    write_limits(&tx.session, &proposed).await?;
    tx.push(Change::TenantMade(proposed.id));
    Ok(proposed)
}

/// Writes the limits of a tenant, and its checksum.
async fn write_limits(session: &Session, tenant: &Tenant) -> Answer<()> {
    let sql = "UPDATE tenants SET face_sets_max = $2, faces_max = $3, persons_max = $4, face_set_faces_max = $5,
               person_faces_max = $6, calls_per_second = $7, checksum = $8 WHERE id = $1";
    let most = |most: Option<u64>| most.map(rows::number);
    let limits = &tenant.limits;
    session
        .execute(
            sql,
            &[
                &tenant_bytes(tenant.id),
                &most(limits.face_sets_max),
                &most(limits.faces_max),
                &most(limits.persons_max),
                &most(limits.face_set_faces_max),
                &most(limits.person_faces_max),
                &limits.calls_per_second.map(i64::from),
                &checksums::tenant(tenant),
            ],
        )
        .await?;
    Ok(())
}

async fn add_key(tx: &mut WriteTx, key: &AccessKey) -> Answer<()> {
    if key_with_id(&tx.session, &key.id).await?.is_some() {
        let message = format!("access key `{}` exists already", key.id);
        return Err(Failure::Said(Error::invalid("access key", message)));
    }
    let tenant = tenant_bytes(key.tenant.id);
    if !tx.session.exists("SELECT 1 FROM tenants WHERE id = $1", &[&tenant]).await? {
        let message = format!("tenant `{}` does not exist", key.tenant.name);
        return Err(Failure::Said(Error::invalid("tenant", message)));
    }
    let face_sets = scope_bytes(&key.face_sets);
    let sql = "INSERT INTO access_keys (id, secret, tenant, enabled, created_at, grants, face_sets, label, expires_at,
                                        previous_secret, previous_until, checksum)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)";
    tx.session
        .execute(
            sql,
            &[
                &key.id.as_str(),
                &key.secret.reveal(),
                &tenant,
                &key.enabled,
                &key.created_at.0,
                &key.grants.to_string(),
                &face_sets,
                &key.label.as_ref().map(Note::as_str),
                &key.expires_at.map(|at| at.0),
                &key.previous.as_ref().map(|previous| previous.secret.reveal()),
                &key.previous.as_ref().map(|previous| previous.valid_until.0),
                &checksums::access_key(key, face_sets.as_deref()),
            ],
        )
        .await?;
    tx.push(Change::Key(key.id.clone(), KeyAction::Made));
    Ok(())
}

/// Changes the tenant's key of that id; false if there is none. A damaged one is refused, as it must not get a checksum that
/// says that it is intact.
async fn change_key(
    tx: &mut WriteTx,
    tenant: TenantId,
    (id, action): (&AccessKeyId, KeyAction),
    change: impl FnOnce(&mut AccessKey),
) -> Answer<bool> {
    let Some(mut key) = key_with_id(&tx.session, id).await?.filter(|key| key.tenant.id == tenant) else {
        return Ok(false);
    };
    change(&mut key);
    write_key(&tx.session, &key).await?;
    tx.push(Change::Key(id.clone(), action));
    Ok(true)
}

/// Writes what may change of a key.
async fn write_key(session: &Session, key: &AccessKey) -> Answer<()> {
    let sql =
        "UPDATE access_keys SET enabled = $2, secret = $3, previous_secret = $4, previous_until = $5, checksum = $6
               WHERE id = $1";
    session
        .execute(
            sql,
            &[
                &key.id.as_str(),
                &key.enabled,
                &key.secret.reveal(),
                &key.previous.as_ref().map(|previous| previous.secret.reveal()),
                &key.previous.as_ref().map(|previous| previous.valid_until.0),
                &checksums::access_key(key, scope_bytes(&key.face_sets).as_deref()),
            ],
        )
        .await?;
    Ok(())
}

async fn note_uses(session: &Session, uses: &[(AccessKeyId, TimestampMs)]) -> Answer<()> {
    let Some(latest) = uses.iter().map(|(_, at)| at.0).max() else { return Ok(()) };
    let (ids, times): (Vec<&str>, Vec<i64>) = uses.iter().map(|(id, at)| (id.as_str(), at.0)).unzip();
    // In the order of ids, so that two nodes that do this at once are not in each other's way.
    let sql = "UPDATE access_keys AS k SET last_used_at = u.at
               FROM (SELECT k.id, max(u.at) AS at FROM unnest($1::text[], $2::int8[]) AS u (id, at)
                     JOIN access_keys AS k ON k.id = u.id GROUP BY k.id ORDER BY k.id) AS u
               WHERE k.id = u.id AND coalesce(k.last_used_at, 0) < u.at";
    session.execute(sql, &[&ids, &times]).await?;
    let sql = format!(
        "SELECT {TENANT_COLUMNS}, {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant
         WHERE k.previous_until <= $1 ORDER BY k.id FOR UPDATE OF k"
    );
    for mut key in rows::intact(&session.query(&sql, &[&latest]).await?, key_row)? {
        key.previous = None;
        write_key(session, &key).await?;
    }
    Ok(())
}

fn secret_checksum(secret: &[u8]) -> i64 {
    Checksum::of("installation").bytes(secret).finish()
}

async fn installation_secret(session: &Session, proposed: &InstallationSecret) -> Answer<InstallationSecret> {
    let sql = "INSERT INTO installation (id, secret, checksum) VALUES (1, $1, $2) ON CONFLICT (id) DO NOTHING";
    session.execute(sql, &[&&proposed.reveal()[..], &secret_checksum(proposed.reveal())]).await?;
    let row = session.one("SELECT secret, checksum FROM installation", &[]).await?;
    let stored: &[u8] = row.try_get(0)?;
    rows::need_intact(row.try_get(1)?, secret_checksum(stored), "secret of the installation", 1)?;
    let bytes = stored.try_into().map_err(|_| Failure::Damaged("the secret has not 32 bytes".into()))?;
    Ok(InstallationSecret::from_bytes(bytes))
}

impl CredentialStore for PostgresStore {
    fn ensure_tenant(&self, actor: Actor, proposed: Tenant) -> Pending<'_, Tenant> {
        self.write_as(actor, "make the tenant", move |tx| Box::pin(ensure_tenant(tx, proposed.clone())))
    }

    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>> {
        self.read("look up the tenant", move |session| {
            let name = name.clone();
            Box::pin(async move { tenant_where(session, "t.name = $1", &[&name.as_str()]).await })
        })
    }

    fn tenants(&self) -> Pending<'_, Vec<Tenant>> {
        self.read("list the tenants", |session| {
            Box::pin(async move {
                let sql = format!("SELECT {TENANT_COLUMNS} FROM tenants AS t ORDER BY t.rank");
                rows::intact(&session.query(&sql, &[]).await?, tenant_row)
            })
        })
    }

    fn face_set_names(&self, tenant: TenantId) -> Pending<'_, Vec<(FaceSetId, FaceSetName)>> {
        self.read("list the face sets", move |session| {
            Box::pin(async move {
                let sets = face_sets::list(session, tenant).await?;
                Ok(sets.into_iter().map(|summary| (summary.face_set.id, summary.face_set.name)).collect())
            })
        })
    }

    fn set_tenant_limits(
        &self,
        actor: Actor,
        limits: Limits,
        only_if: Option<Precondition<Tenant>>,
    ) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "set the tenant's limits", move |tx| {
            let only_if = only_if.clone();
            Box::pin(async move {
                let found = tenant_where(&tx.session, "t.id = $1", &[&tenant_bytes(tenant)]).await?;
                let Some(found) = found else { return Ok(false) };
                Precondition::check(only_if.as_ref(), &found)?;
                write_limits(&tx.session, &Tenant { limits, ..found }).await?;
                tx.push(Change::TenantChanged(tenant));
                Ok(true)
            })
        })
    }

    fn add_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, ()> {
        self.write_as(actor, "add the access key", move |tx| {
            let key = key.clone();
            Box::pin(async move { add_key(tx, &key).await })
        })
    }

    fn add_first_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, bool> {
        self.write_as(actor, "add the access key", move |tx| {
            let key = key.clone();
            Box::pin(async move {
                let tenant = tenant_bytes(key.tenant.id);
                if tx.session.exists("SELECT 1 FROM access_keys WHERE tenant = $1", &[&tenant]).await? {
                    return Ok(false);
                }
                add_key(tx, &key).await?;
                Ok(true)
            })
        })
    }

    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>> {
        self.read("look up the access key", move |session| {
            let id = id.clone();
            Box::pin(async move { key_with_id(session, &id).await })
        })
    }

    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>> {
        self.read("list the access keys", move |session| {
            Box::pin(async move {
                let sql = format!(
                    "SELECT {TENANT_COLUMNS}, {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant
                     WHERE k.tenant = $1 ORDER BY k.rank"
                );
                rows::intact(&session.query(&sql, &[&tenant_bytes(tenant)]).await?, key_row)
            })
        })
    }

    fn set_key_enabled(&self, actor: Actor, id: AccessKeyId, enabled: bool) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "switch the access key", move |tx| {
            let id = id.clone();
            let action = if enabled { KeyAction::Enabled } else { KeyAction::Disabled };
            Box::pin(async move {
                let is_known = change_key(tx, tenant, (&id, action), |key| key.enabled = enabled).await?;
                if is_known && !enabled {
                    let sql = "DELETE FROM records WHERE tenant = $1 AND scope = $2 AND bucket = $3";
                    tx.session.execute(sql, &[&tenant_bytes(tenant), &SESSIONS, &id.as_str()]).await?;
                }
                Ok(is_known)
            })
        })
    }

    fn rotate_key(
        &self,
        actor: Actor,
        id: AccessKeyId,
        secret: Secret,
        old_valid_until: TimestampMs,
    ) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "rotate the access key", move |tx| {
            let (id, secret) = (id.clone(), secret.clone());
            Box::pin(async move {
                let rotate = |key: &mut AccessKey| {
                    let old = std::mem::replace(&mut key.secret, secret);
                    key.previous = Some(PreviousSecret { secret: old, valid_until: old_valid_until });
                };
                change_key(tx, tenant, (&id, KeyAction::Rotated), rotate).await
            })
        })
    }

    fn delete_key(&self, actor: Actor, id: AccessKeyId) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the access key", move |tx| {
            let id = id.clone();
            Box::pin(async move {
                let sql = "DELETE FROM access_keys WHERE tenant = $1 AND id = $2";
                let is_known = tx.session.execute(sql, &[&tenant_bytes(tenant), &id.as_str()]).await? > 0;
                if is_known {
                    tx.push(Change::Key(id, KeyAction::Deleted));
                }
                Ok(is_known)
            })
        })
    }

    fn keys_used(&self, uses: Vec<(AccessKeyId, TimestampMs)>) -> Pending<'_, ()> {
        self.write("note the use of the access keys", move |session| {
            let uses = uses.clone();
            Box::pin(async move { note_uses(session, &uses).await })
        })
    }

    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret> {
        self.write("look up the secret of the installation", move |session| {
            let proposed = proposed.clone();
            Box::pin(async move { installation_secret(session, &proposed).await })
        })
    }
}
