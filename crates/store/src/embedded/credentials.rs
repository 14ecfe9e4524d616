//! Tenants and access keys, also from a second process beside a running server.
//!
//! They live in the same file as the faces but go through connections of their own: a new key needs no server, and a
//! server asks the file each time, so it sees the key with the next request.

use std::path::Path;
use std::time::Duration;

use likeness_domain::ports::{CredentialStore, Pending};
use likeness_domain::types::{
    AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Error, Result};
use rusqlite::{Connection, Row, TransactionBehavior};

use super::errors::{Answer, Failure};
use super::pool::Pool;
use super::schema::{self, MIGRATIONS, Purpose};
use super::{codec, rows};
use crate::folder::{DataFolder, make_private_folder};

/// Most look-ups that wait.
const QUEUE_MAX: usize = 4096;

/// How often, and how long in all, opening looks again while another process makes the layout.
const LAYOUT_RETRY: Duration = Duration::from_millis(20);
const LAYOUT_TRIES: u32 = 100;

const TENANT_COLUMNS: &str = "t.id, t.name, t.created_at";
const KEY_COLUMNS: &str = "t.id, t.name, t.created_at, k.id, k.secret, k.enabled, k.created_at";

/// Tenants and access keys of a data folder, whoever owns it.
pub struct Credentials {
    readers: Pool,
    writer: Pool,
}

impl Credentials {
    /// Opens the data folder's credentials, making folder and store if there are none. The folder may be in use by a
    /// server. Errors as for [`super::EmbeddedStore::open`]; an old layout is upgraded only if the folder is not in use.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        let dir = dir.as_ref();
        make_private_folder(dir)?;
        let connect = |purpose| schema::opened(schema::connect(dir, purpose), dir);
        let mut writer = connect(Purpose::Write)?;
        make_layout(&mut writer, dir)?;
        let readers = vec![connect(Purpose::Read)?];
        Ok(Self {
            readers: Pool::start("key-reader", readers, dir.to_owned(), QUEUE_MAX)?,
            writer: Pool::start("key-writer", vec![writer], dir.to_owned(), QUEUE_MAX)?,
        })
    }

    /// A write: everything `act` does or nothing.
    fn write<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<T> + Send + 'static,
    {
        self.writer.run(doing, move |conn| {
            let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let answer = act(&tx)?;
            tx.commit()?;
            Ok(answer)
        })
    }
}

/// Makes or upgrades the layout, which needs the folder's lock: two programs must not do it at once, and a running server
/// must not find another layout than it knows.
fn make_layout(conn: &mut Connection, dir: &Path) -> Result<()> {
    let mut n_tries = 0;
    while schema::opened(schema::version(conn, schema::SCHEMA_VERSION), dir)? < schema::SCHEMA_VERSION {
        match DataFolder::lock(dir) {
            Ok(_lock) => return schema::opened(schema::migrate(conn, MIGRATIONS), dir),
            // A server that starts at this moment is about to do the same.
            Err(_) if n_tries < LAYOUT_TRIES => {
                n_tries += 1;
                std::thread::sleep(LAYOUT_RETRY);
            }
            Err(in_use) => return Err(in_use),
        }
    }
    Ok(())
}

fn tenant_row(row: &Row<'_>) -> Answer<Tenant> {
    let name = TenantName::new(&row.get::<_, String>(1)?);
    Ok(Tenant {
        id: codec::tenant_of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
        name: name.map_err(|_| Failure::Damaged("a tenant's name is malformed".into()))?,
        created_at: TimestampMs(row.get(2)?),
    })
}

fn key_row(row: &Row<'_>) -> Answer<AccessKey> {
    let damaged = || Failure::Damaged("an access key is malformed".into());
    Ok(AccessKey {
        tenant: tenant_row(row)?,
        id: AccessKeyId::new(&row.get::<_, String>(3)?).ok_or_else(damaged)?,
        secret: Secret::new(&row.get::<_, String>(4)?).ok_or_else(damaged)?,
        enabled: row.get(5)?,
        created_at: TimestampMs(row.get(6)?),
    })
}

fn tenant_named(conn: &Connection, name: &TenantName) -> Answer<Option<Tenant>> {
    let sql = format!("SELECT {TENANT_COLUMNS} FROM tenants AS t WHERE t.name = ?1");
    rows::first(conn, &sql, [name.as_str()], tenant_row)
}

fn key_with_id(conn: &Connection, id: &AccessKeyId) -> Answer<Option<AccessKey>> {
    let sql =
        format!("SELECT {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant WHERE k.id = ?1");
    rows::first(conn, &sql, [id.as_str()], key_row)
}

impl CredentialStore for Credentials {
    fn ensure_tenant(&self, proposed: Tenant) -> Pending<'_, Tenant> {
        self.write("make the tenant", move |conn| {
            if let Some(known) = tenant_named(conn, &proposed.name)? {
                return Ok(known);
            }
            let id = codec::tenant_bytes(proposed.id);
            if conn.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1")?.exists([id])? {
                let message = "the proposed tenant id is taken by another tenant";
                return Err(Failure::Said(Error::invalid("tenant", message)));
            }
            conn.prepare_cached("INSERT INTO tenants (id, name, created_at) VALUES (?1, ?2, ?3)")?.execute((
                id,
                proposed.name.as_str(),
                proposed.created_at.0,
            ))?;
            Ok(proposed)
        })
    }

    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>> {
        self.readers.read("look up the tenant", move |conn| tenant_named(conn, &name))
    }

    fn tenants(&self) -> Pending<'_, Vec<Tenant>> {
        self.readers.read("list the tenants", |conn| {
            rows::all(conn, &format!("SELECT {TENANT_COLUMNS} FROM tenants AS t ORDER BY t.rank"), (), tenant_row)
        })
    }

    fn add_key(&self, key: AccessKey) -> Pending<'_, ()> {
        self.write("add the access key", move |conn| {
            if key_with_id(conn, &key.id)?.is_some() {
                let message = format!("access key `{}` exists already", key.id);
                return Err(Failure::Said(Error::invalid("access key", message)));
            }
            let tenant = codec::tenant_bytes(key.tenant.id);
            if !conn.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1")?.exists([tenant])? {
                let message = format!("tenant `{}` does not exist", key.tenant.name);
                return Err(Failure::Said(Error::invalid("tenant", message)));
            }
            conn.prepare_cached(
                "INSERT INTO access_keys (id, secret, tenant, enabled, created_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?
            .execute((key.id.as_str(), key.secret.reveal(), tenant, key.enabled, key.created_at.0))?;
            Ok(())
        })
    }

    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>> {
        self.readers.read("look up the access key", move |conn| key_with_id(conn, &id))
    }

    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>> {
        self.readers.read("list the access keys", move |conn| {
            let sql = format!(
                "SELECT {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant
                 WHERE k.tenant = ?1 ORDER BY k.rank"
            );
            rows::all(conn, &sql, [codec::tenant_bytes(tenant)], key_row)
        })
    }

    fn set_key_enabled(&self, id: AccessKeyId, enabled: bool) -> Pending<'_, bool> {
        self.write("switch the access key", move |conn| {
            let sql = "UPDATE access_keys SET enabled = ?2 WHERE id = ?1";
            Ok(conn.prepare_cached(sql)?.execute((id.as_str(), enabled))? > 0)
        })
    }

    fn delete_key(&self, id: AccessKeyId) -> Pending<'_, bool> {
        self.writer.run("delete the access key", move |conn| {
            let sql = "DELETE FROM access_keys WHERE id = ?1";
            let deleted = conn.prepare_cached(sql)?.execute([id.as_str()])? > 0;
            if deleted {
                // The secret is in the log until it is folded in. A reader in the way is no reason to fail: the next
                // checkpoint does it.
                conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(()))?;
            }
            Ok(deleted)
        })
    }

    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret> {
        self.write("look up the secret of the installation", move |conn| {
            conn.prepare_cached("INSERT INTO installation (id, secret) VALUES (1, ?1) ON CONFLICT (id) DO NOTHING")?
                .execute([proposed.reveal()])?;
            let stored: Vec<u8> = conn.query_row("SELECT secret FROM installation", [], |row| row.get(0))?;
            let bytes = stored.try_into().map_err(|_| Failure::Damaged("the secret has not 32 bytes".into()))?;
            Ok(InstallationSecret::from_bytes(bytes))
        })
    }
}
