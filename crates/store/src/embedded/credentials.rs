//! Tenants and access keys, also from a second process beside a running server.
//!
//! They live in the same file as the faces but go through connections of their own: a new key needs no server, and a
//! server asks the file each time, so it sees the key with the next request.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::ports::{CredentialStore, Pending};
use likeness_domain::types::{
    AccessKey, AccessKeyId, InstallationSecret, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Error, Result};
use rusqlite::{Connection, Row, TransactionBehavior};

use super::checksums::{self, ACCESS_KEYS, Columns, INSTALLATION, TENANTS};
use super::errors::{Answer, Failure};
use super::identity::IdentityFile;
use super::pool::Pool;
use super::schema::{self, Purpose};
use super::{codec, opening, rows};
use crate::folder::{DataFolder, make_private_folder};

/// Most look-ups that wait.
const QUEUE_MAX: usize = 4096;

/// How often, and how long in all, opening looks again while another process makes the layout.
const LAYOUT_RETRY: Duration = Duration::from_millis(20);
const LAYOUT_TRIES: u32 = 100;

/// Columns of [`tenant_row`], of `tenants AS t`.
static TENANT_COLUMNS: Columns = Columns::new(|| format!("t.id, t.name, t.created_at, {}", TENANTS.intact("t")));

/// Columns of [`key_row`], of `tenants AS t` and `access_keys AS k`.
static KEY_COLUMNS: Columns =
    Columns::new(|| format!("{TENANT_COLUMNS}, k.id, k.secret, k.enabled, k.created_at, {}", ACCESS_KEYS.intact("k")));

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
        let damage = Arc::default();
        let connect = |purpose| schema::opened(schema::connect(dir, purpose, &damage), dir);
        schema::opened(opening::check_present(dir), dir)?;
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
            Ok(_lock) => {
                let library = schema::opened(opening::open(conn, dir), dir)?;
                drop(IdentityFile::open(dir, library.id, library.counters));
                return Ok(());
            }
            // A server that starts at this moment is about to do the same.
            Err(_) if n_tries < LAYOUT_TRIES => {
                n_tries += 1;
                std::thread::sleep(LAYOUT_RETRY);
            }
            Err(in_use) => return Err(in_use),
        }
    }
    schema::opened(opening::check_same(conn, dir), dir)
}

fn tenant_row(row: &Row<'_>) -> Answer<Tenant> {
    rows::need_intact(row, 3, "a tenant", 0)?;
    let name = TenantName::new(&row.get::<_, String>(1)?);
    Ok(Tenant {
        id: codec::tenant_of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
        name: name.map_err(|_| Failure::Damaged("a tenant's name is malformed".into()))?,
        created_at: TimestampMs(row.get(2)?),
    })
}

fn key_row(row: &Row<'_>) -> Answer<AccessKey> {
    let damaged = || Failure::Damaged("an access key is malformed".into());
    rows::need_intact(row, 8, "an access key", 4)?;
    Ok(AccessKey {
        tenant: tenant_row(row)?,
        id: AccessKeyId::new(&row.get::<_, String>(4)?).ok_or_else(damaged)?,
        secret: Secret::new(&row.get::<_, String>(5)?).ok_or_else(damaged)?,
        enabled: row.get(6)?,
        created_at: TimestampMs(row.get(7)?),
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
            conn.prepare_cached(&TENANTS.insert())?.execute((id, proposed.name.as_str(), proposed.created_at.0))?;
            Ok(proposed)
        })
    }

    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>> {
        self.readers.read("look up the tenant", move |conn| tenant_named(conn, &name))
    }

    fn tenants(&self) -> Pending<'_, Vec<Tenant>> {
        self.readers.read("list the tenants", |conn| {
            rows::intact(conn, &format!("SELECT {TENANT_COLUMNS} FROM tenants AS t ORDER BY t.rank"), (), tenant_row)
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
            conn.prepare_cached(&ACCESS_KEYS.insert())?.execute((
                key.id.as_str(),
                key.secret.reveal(),
                tenant,
                key.enabled,
                key.created_at.0,
            ))?;
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
            rows::intact(conn, &sql, [codec::tenant_bytes(tenant)], key_row)
        })
    }

    fn set_key_enabled(&self, id: AccessKeyId, enabled: bool) -> Pending<'_, bool> {
        self.write("switch the access key", move |conn| {
            if key_with_id(conn, &id)?.is_none() {
                return Ok(false);
            }
            let sql = "UPDATE access_keys SET enabled = ?2 WHERE id = ?1";
            conn.prepare_cached(sql)?.execute((id.as_str(), enabled))?;
            checksums::renew(conn, &ACCESS_KEYS, "id", id.as_str())?;
            Ok(true)
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
            let sql = format!("{} ON CONFLICT (id) DO NOTHING", INSTALLATION.insert());
            conn.prepare_cached(&sql)?.execute((1, proposed.reveal()))?;
            let sql = format!("SELECT i.secret, {} FROM installation AS i", INSTALLATION.intact("i"));
            let (stored, is_intact): (Vec<u8>, bool) =
                conn.query_row(&sql, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
            if !is_intact {
                return Err(Failure::Damaged("the checksum of the installation's secret does not match".into()));
            }
            let bytes = stored.try_into().map_err(|_| Failure::Damaged("the secret has not 32 bytes".into()))?;
            Ok(InstallationSecret::from_bytes(bytes))
        })
    }
}
