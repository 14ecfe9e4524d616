//! Tenants and access keys, also from a second process beside a running server.
//!
//! They live in the same file as the faces but are read through connections of their own: a new key needs no server, and a
//! server asks the file each time whether anything was committed, so it sees the key with the next request. While nothing
//! was, a key that was looked up is not read again.
//!
//! A server's own writes of keys stand in the queue of the writing thread with all others, so none waits longer than those. A
//! command writes through a connection of its own, beside a server in turns ([`super::turn`]).

use std::future::ready;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use likeness_domain::access::{FaceSetScope, Grants, Limits};
use likeness_domain::ports::{Change, Clock, CredentialStore, KeyAction, Pending, SESSIONS};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceSetId, FaceSetName, InstallationSecret, Note, Precondition, PreviousSecret,
    Revision, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};
use rusqlite::{Connection, Row, TransactionBehavior};

use super::cache::VersionedCache;
use super::checksums::{self, ACCESS_KEYS, Columns, INSTALLATION, TENANTS};
use super::damage::DamageLog;
use super::database_lock::DatabaseLock;
use super::errors::{Answer, Failure};
use super::identity::{self, IdentityFile};
use super::open_files::OpenFiles;
use super::opening::Upgrade;
use super::pool::Pool;
use super::schema::{self, FileUse, Purpose};
use super::transaction::{Manner, WriteTx};
use super::turn::Turn;
use super::writer::Inlet;
use super::{answered, codec, commits, face_sets, maintenance, opening, presence, rows, tenants};
use crate::clock::WallClock;
use crate::folder::{DataFolder, make_private_folder};

/// Most look-ups that wait.
const QUEUE_MAX: usize = 4096;

/// Most keys whose last use is noted in one commit: bounds how long other writes wait.
const USES_AT_ONCE: usize = 250;

/// How often a connection of its own tries to take the lock for writes that another process has.
const LOCK_RETRY: Duration = Duration::from_micros(500);

/// Pause between two attempts to clean the log while readers are in the way, and how often it is tried: those who write
/// wait during an attempt.
const SCRUB_PAUSE: Duration = Duration::from_millis(60);
const SCRUB_TRIES: u32 = 60;

/// How often, and how long in all, opening looks again while another process makes the layout.
const LAYOUT_RETRY: Duration = Duration::from_millis(20);
const LAYOUT_TRIES: u32 = 100;

/// Columns of [`tenant_row`], of `tenants AS t`.
static TENANT_COLUMNS: Columns = Columns::new(|| {
    let intact = TENANTS.intact("t");
    format!(
        "t.id, t.name, t.created_at, {intact}, t.face_sets_max, t.faces_max, t.persons_max, t.face_set_faces_max,
         t.person_faces_max, t.calls_per_second"
    )
});

/// Columns of [`key_row`], of `tenants AS t` and `access_keys AS k`.
static KEY_COLUMNS: Columns = Columns::new(|| {
    let intact = ACCESS_KEYS.intact("k");
    format!(
        "{TENANT_COLUMNS}, k.id, k.secret, k.previous_secret, k.previous_until, k.grants, k.face_sets, k.label, k.enabled,
         k.created_at, k.expires_at, k.last_used_at, {intact}"
    )
});

/// Tenants and access keys of a data folder, whoever owns it.
pub struct Credentials {
    readers: Pool,
    writes: Writes,
    /// Tells whether anybody has committed anything to the file, in this process or another. It never waits.
    watch: Mutex<Connection>,
    keys: Arc<VersionedCache<AccessKeyId, (u64, u64), AccessKey>>,
    damage: Arc<DamageLog>,
    /// Of the store in this process, if there is one: held as long as these connections are open.
    _lock: Option<Arc<DatabaseLock>>,
}

/// Who writes.
enum Writes {
    /// The writing thread of the store in this process, between other writes.
    Store(Inlet),
    /// A connection of its own, of a command.
    Own(OwnWrites),
}

/// A connection that writes, also beside a server.
struct OwnWrites {
    thread: Pool,
    files: Arc<OpenFiles>,
    dir: Arc<PathBuf>,
}

/// What a write has done.
struct Done<T> {
    answer: T,
    /// What is kept as a commit, in the name of who asked.
    change: Option<Change>,
    /// Whether anything was written.
    wrote: bool,
    /// Whether a secret was overwritten or deleted, which is in the log until that is folded in.
    erased: bool,
}

impl<T> Done<T> {
    /// Found nothing to do.
    fn nothing(answer: T) -> Self {
        Self { answer, change: None, wrote: false, erased: false }
    }

    /// Written without a commit.
    fn unkept(answer: T) -> Self {
        Self { wrote: true, ..Self::nothing(answer) }
    }

    fn kept(answer: T, change: Change) -> Self {
        Self { change: Some(change), ..Self::unkept(answer) }
    }

    /// The same of what took a secret away, if it did anything.
    fn erasing(self) -> Self {
        Self { erased: self.wrote, ..self }
    }
}

impl Done<bool> {
    /// Whether there was something to change, and then this change.
    fn change(known: bool, change: impl FnOnce() -> Change) -> Self {
        if known { Self::kept(true, change()) } else { Self::nothing(false) }
    }
}

impl Credentials {
    /// Opens the data folder's credentials, making folder and store if there are none. The folder may be in use by a
    /// server. Errors as for [`super::EmbeddedStore::open`]; an old layout is upgraded only if the folder is not in use, after
    /// a copy was made.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self> {
        Self::open_upgrading(dir, true)
    }

    /// The same; `upgrade_copy` is that of [`super::Settings`].
    pub fn open_upgrading(dir: impl AsRef<Path>, upgrade_copy: bool) -> Result<Self> {
        let dir = dir.as_ref();
        make_private_folder(dir)?;
        schema::opened(presence::check_present(dir), dir)?;
        let (file_use, damage) = (FileUse::of(dir), Arc::default());
        let mut conn = schema::opened(schema::connect(dir, Purpose::Write, file_use, &damage), dir)?;
        make_layout(&mut conn, dir, file_use, Upgrade::of(upgrade_copy))?;
        let thread = Pool::start("key-writer", vec![conn], dir.to_owned(), QUEUE_MAX)?;
        let (files, own_dir) = (Arc::new(OpenFiles::of(dir)), Arc::new(dir.to_owned()));
        let writes = Writes::Own(OwnWrites { thread, files, dir: own_dir });
        Self::connect(dir, file_use, writes, &damage, None)
    }

    /// The same of a folder whose store is open in this process: `writer` writes, and damaged rows go into the store's `damage`.
    pub(super) fn of_store(
        dir: &Path,
        file_use: FileUse,
        (damage, writer): (&Arc<DamageLog>, Inlet),
        lock: Arc<DatabaseLock>,
    ) -> Result<Self> {
        Self::connect(dir, file_use, Writes::Store(writer), damage, Some(lock))
    }

    fn connect(
        dir: &Path,
        file_use: FileUse,
        writes: Writes,
        damage: &Arc<DamageLog>,
        lock: Option<Arc<DatabaseLock>>,
    ) -> Result<Self> {
        let connect = || schema::opened(schema::connect(dir, Purpose::Read, file_use, damage), dir);
        let (reader, watch) = (connect()?, connect()?);
        schema::opened(presence::check_same(&reader, dir), dir)?;
        let no_wait = watch.busy_timeout(Duration::ZERO).map_err(Failure::from);
        schema::opened(no_wait, dir)?;
        Ok(Self {
            watch: Mutex::new(watch),
            keys: Arc::new(VersionedCache::new()),
            damage: Arc::clone(damage),
            _lock: lock,
            readers: Pool::start("key-reader", vec![reader], dir.to_owned(), QUEUE_MAX)?,
            writes,
        })
    }

    /// Numbers that are others after every commit to the file but this connection's own, of which there are none, and after
    /// every row that was found damaged; `None` if the file cannot tell at once. This is done on the caller's thread: it reads
    /// a few bytes of shared memory, behind a lock that readers share, where handing it over would take longer.
    fn version(&self) -> Option<(u64, u64)> {
        let found_damaged = self.damage.version();
        let watch = self.watch.lock().unwrap_or_else(PoisonError::into_inner);
        let mut statement = watch.prepare_cached("PRAGMA data_version").ok()?;
        statement.query_row([], |row| row.get(0)).ok().map(|commits| (commits, found_damaged))
    }

    /// A write: everything `act` does or nothing.
    fn write<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<Done<T>> + Send + 'static,
    {
        self.write_in(Manner::USUAL, None, doing, act)
    }

    /// The same on somebody's behalf, kept as a commit if `act` says what changed.
    fn write_as<T, F>(&self, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, TenantId) -> Answer<Done<T>> + Send + 'static,
    {
        self.write_as_in(Manner::USUAL, actor, doing, act)
    }

    /// The same of what takes a key or a secret away: that is made also where the disk is full.
    fn revoke_as<T, F>(&self, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, TenantId) -> Answer<Done<T>> + Send + 'static,
    {
        self.write_as_in(Manner::DELETE, actor, doing, act)
    }

    fn write_as_in<T, F>(&self, manner: Manner, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection, TenantId) -> Answer<Done<T>> + Send + 'static,
    {
        let asked_by = actor.clone();
        self.write_in(manner, Some(actor), doing, move |conn| {
            tenants::refuse_deleted(conn, asked_by.tenant)?;
            tenants::refuse_unusable(conn, &asked_by)?;
            act(conn, asked_by.tenant)
        })
    }

    fn write_in<T, F>(&self, manner: Manner, actor: Option<Actor>, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<Done<T>> + Send + 'static,
    {
        match &self.writes {
            Writes::Store(writer) => {
                let act = move |tx: &mut WriteTx<'_>| {
                    let Done { answer, change, wrote, erased } = act(tx.conn)?;
                    (tx.idle, tx.erased) = (!wrote, erased);
                    if let Some(change) = change {
                        tx.push(change);
                        tx.actor = actor;
                    }
                    Ok(answer)
                };
                answered(writer.submit(doing, act, manner))
            }
            Writes::Own(own) => own.write(doing, actor, act),
        }
    }
}

impl OwnWrites {
    /// One transaction, in a turn of its own. What it has reached is noted in the identity file, so that it is noticed when the
    /// write is lost: a key that was deleted must not come back in silence. The writing thread of a store reads the revision
    /// anew with each commit of its own.
    fn write<T, F>(&self, doing: &'static str, actor: Option<Actor>, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<Done<T>> + Send + 'static,
    {
        let (files, dir) = (Arc::clone(&self.files), Arc::clone(&self.dir));
        self.thread.run(doing, move |conn| {
            if let Some(reason) = files.trouble() {
                return Err(Failure::said(Kind::Internal, format!("cannot {doing}: {reason}")));
            }
            let turn = Turn::take(&dir);
            let tx = begin(conn)?;
            let done = act(&tx)?;
            let mut reached = None;
            if let (Some(change), Some(actor)) = (done.change, actor) {
                let sql = "SELECT revision, last_commit, next_sequence FROM store";
                let read = |row: &Row<'_>| Ok((Revision(row.get(0)?), Revision(row.get(1)?), row.get(2)?));
                let (revision, previous, next_sequence) = tx.prepare_cached(sql)?.query_row((), read)?;
                let revision = Revision(revision.0 + 1);
                commits::insert(&tx, revision, previous, WallClock.now(), &actor, &[change])?;
                tx.prepare_cached("UPDATE store SET revision = ?1, last_commit = ?1")?.execute([revision.0])?;
                reached = Some((revision, next_sequence));
            }
            let library = presence::library_of(&tx)?;
            tx.commit()?;
            if let Some((revision, next_sequence)) = reached {
                identity::acknowledge_beside(&dir, library, revision, next_sequence);
            }
            drop(turn);
            if done.erased {
                clean_log(conn, &dir)?;
            }
            Ok(done.answer)
        })
    }
}

/// Folds the log in, so that what was overwritten is in no file. Where readers stay in the way it is left to the next one who
/// does, as a server that runs.
fn clean_log(conn: &Connection, dir: &Path) -> Answer<()> {
    for _ in 0..SCRUB_TRIES {
        let turn = Turn::take(dir);
        if maintenance::scrub(conn)? {
            break;
        }
        drop(turn);
        sleep(SCRUB_PAUSE);
    }
    Ok(())
}

/// Begins to write. SQLite itself would let more time pass between two attempts than a turn has.
fn begin(conn: &Connection) -> Answer<rusqlite::Transaction<'_>> {
    let deadline = Instant::now() + schema::BUSY_TIMEOUT;
    conn.busy_timeout(Duration::ZERO)?;
    let begun = loop {
        match rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate) {
            Err(error) if is_busy(&error) && Instant::now() < deadline => sleep(LOCK_RETRY),
            begun => break begun,
        }
    };
    conn.busy_timeout(schema::BUSY_TIMEOUT)?;
    let begun = begun?;
    // It may have been moved away while this waited.
    schema::version(&begun, schema::SCHEMA_VERSION)?;
    Ok(begun)
}

fn is_busy(error: &rusqlite::Error) -> bool {
    error.sqlite_error_code() == Some(rusqlite::ErrorCode::DatabaseBusy)
}

/// Makes or upgrades the layout, which needs the folder's lock: two programs must not do it at once, and a running server
/// must not find another layout than it knows.
fn make_layout(conn: &mut Connection, dir: &Path, file_use: FileUse, upgrade: Upgrade) -> Result<()> {
    let mut n_tries = 0;
    while schema::opened(opening::version(conn, dir), dir)? < schema::SCHEMA_VERSION {
        match DataFolder::lock(dir) {
            Ok(_lock) => {
                let library = schema::opened(opening::open(conn, dir, file_use, upgrade), dir)?;
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
    schema::opened(presence::check_same(conn, dir), dir)
}

fn tenant_row(row: &Row<'_>) -> Answer<Tenant> {
    rows::need_intact(row, 3, "a tenant", 0)?;
    let name = TenantName::new(&row.get::<_, String>(1)?);
    Ok(Tenant {
        id: codec::tenant_of(row.get_ref(0)?.as_blob().map_err(rusqlite::Error::from)?)?,
        name: name.map_err(|_| Failure::Damaged("a tenant's name is malformed".into()))?,
        created_at: TimestampMs(row.get(2)?),
        limits: Limits {
            face_sets_max: row.get(4)?,
            faces_max: row.get(5)?,
            persons_max: row.get(6)?,
            face_set_faces_max: row.get(7)?,
            person_faces_max: row.get(8)?,
            calls_per_second: row.get(9)?,
        },
    })
}

/// A key with its tenant.
fn key_row(row: &Row<'_>) -> Answer<AccessKey> {
    let damaged = || Failure::Damaged("an access key is malformed".into());
    rows::need_intact(row, 21, "an access key", 10)?;
    let time =
        |column: usize| -> Answer<Option<TimestampMs>> { Ok(row.get::<_, Option<i64>>(column)?.map(TimestampMs)) };
    let previous = match (row.get::<_, Option<String>>(12)?, time(13)?) {
        (Some(secret), Some(valid_until)) => {
            Some(PreviousSecret { secret: Secret::new(&secret).ok_or_else(damaged)?, valid_until })
        }
        _ => None,
    };
    let face_sets = row.get_ref(15)?.as_blob_or_null().map_err(rusqlite::Error::from)?;
    Ok(AccessKey {
        tenant: tenant_row(row)?,
        id: AccessKeyId::new(&row.get::<_, String>(10)?).ok_or_else(damaged)?,
        secret: Secret::new(&row.get::<_, String>(11)?).ok_or_else(damaged)?,
        previous,
        grants: grants_of(&row.get::<_, String>(14)?).ok_or_else(damaged)?,
        face_sets: face_sets.map_or(Some(FaceSetScope::All), scope_of).ok_or_else(damaged)?,
        label: rows::text(row, 16, Note::new)?,
        enabled: row.get(17)?,
        created_at: TimestampMs(row.get(18)?),
        expires_at: time(19)?,
        last_used_at: time(20)?,
    })
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

fn tenant_named(conn: &Connection, name: &TenantName) -> Answer<Option<Tenant>> {
    let sql = format!("SELECT {TENANT_COLUMNS} FROM tenants AS t WHERE t.name = ?1");
    rows::first(conn, &sql, [name.as_str()], tenant_row)
}

fn key_with_id(conn: &Connection, id: &AccessKeyId) -> Answer<Option<AccessKey>> {
    let sql = format!(
        "SELECT {KEY_COLUMNS} FROM access_keys AS k JOIN tenants AS t ON t.id = k.tenant
         WHERE k.id = ?1"
    );
    rows::first(conn, &sql, [id.as_str()], key_row)
}

fn add_key(conn: &Connection, key: &AccessKey) -> Answer<()> {
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
        key.grants.to_string(),
        scope_bytes(&key.face_sets),
        key.label.as_ref().map(Note::as_str),
        key.expires_at.map(|at| at.0),
        key.previous.as_ref().map(|previous| previous.secret.reveal()),
        key.previous.as_ref().map(|previous| previous.valid_until.0),
    ))?;
    Ok(())
}

impl CredentialStore for Credentials {
    fn ensure_tenant(&self, actor: Actor, proposed: Tenant) -> Pending<'_, Tenant> {
        self.write_as(actor, "make the tenant", move |conn, _| {
            if let Some(known) = tenant_named(conn, &proposed.name)? {
                return Ok(Done::nothing(known));
            }
            let id = codec::tenant_bytes(proposed.id);
            if conn.prepare_cached("SELECT 1 FROM tenants WHERE id = ?1")?.exists([id])? {
                let message = "the proposed tenant id is taken by another tenant";
                return Err(Failure::Said(Error::invalid("tenant", message)));
            }
            insert_tenant(conn, &proposed)?;
            let change = Change::TenantMade(proposed.id);
            Ok(Done::kept(proposed, change))
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

    fn face_set_names(&self, tenant: TenantId) -> Pending<'_, Vec<(FaceSetId, FaceSetName)>> {
        self.readers.read("list the face sets", move |conn| {
            let sets = face_sets::list(conn, tenant)?;
            Ok(sets.into_iter().map(|summary| (summary.face_set.id, summary.face_set.name)).collect())
        })
    }

    fn set_tenant_limits(
        &self,
        actor: Actor,
        limits: Limits,
        only_if: Option<Precondition<Tenant>>,
    ) -> Pending<'_, bool> {
        self.write_as(actor, "set the tenant's limits", move |conn, tenant| {
            // A damaged row must not get a checksum that says that it is intact.
            let sql = format!("SELECT {TENANT_COLUMNS} FROM tenants AS t WHERE t.id = ?1");
            if let Some(found) = rows::first(conn, &sql, [codec::tenant_bytes(tenant)], tenant_row)? {
                Precondition::check(only_if.as_ref(), &found)?;
            }
            let known = write_limits(conn, tenant, &limits)?;
            Ok(Done::change(known, || Change::TenantChanged(tenant)))
        })
    }

    fn add_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, ()> {
        self.write_as(actor, "add the access key", move |conn, _| {
            add_key(conn, &key)?;
            Ok(Done::kept((), Change::Key(key.id, KeyAction::Made)))
        })
    }

    fn add_first_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, bool> {
        self.write_as(actor, "add the access key", move |conn, _| {
            let tenant = codec::tenant_bytes(key.tenant.id);
            if conn.prepare_cached("SELECT 1 FROM access_keys WHERE tenant = ?1")?.exists([tenant])? {
                return Ok(Done::nothing(false));
            }
            add_key(conn, &key)?;
            Ok(Done::kept(true, Change::Key(key.id, KeyAction::Made)))
        })
    }

    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>> {
        let version = self.version();
        if let Some(known) = version.and_then(|version| self.keys.get(&id, version)) {
            return Box::pin(ready(Ok(Some(known))));
        }
        let cache = Arc::clone(&self.keys);
        self.readers.run("look up the access key", move |conn| {
            let found = key_with_id(conn, &id)?;
            if let (Some(version), Some(found)) = (version, &found) {
                cache.put(id, version, found.clone());
            }
            Ok(found)
        })
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

    fn set_key_enabled(&self, actor: Actor, id: AccessKeyId, enabled: bool) -> Pending<'_, bool> {
        let manner = if enabled { Manner::USUAL } else { Manner::DELETE };
        self.write_as_in(manner, actor, "switch the access key", move |conn, tenant| {
            if key_with_id(conn, &id)?.is_none() {
                return Ok(Done::nothing(false));
            }
            let sql = "UPDATE access_keys SET enabled = ?3 WHERE tenant = ?1 AND id = ?2";
            let params = (codec::tenant_bytes(tenant), id.as_str(), enabled);
            let known = conn.prepare_cached(sql)?.execute(params)? > 0;
            checksums::renew(conn, &ACCESS_KEYS, "id", id.as_str())?;
            let mut n_gone = 0;
            if !enabled {
                let sql = "DELETE FROM records WHERE tenant = ?1 AND scope = ?2 AND bucket = ?3";
                let params = (codec::tenant_bytes(tenant), SESSIONS, id.as_str());
                n_gone = conn.prepare_cached(sql)?.execute(params)?;
            }
            let action = if enabled { KeyAction::Enabled } else { KeyAction::Disabled };
            let done = Done::change(known, || Change::Key(id, action));
            Ok(if n_gone > 0 { done.erasing() } else { done })
        })
    }

    fn rotate_key(
        &self,
        actor: Actor,
        id: AccessKeyId,
        secret: Secret,
        old_valid_until: TimestampMs,
    ) -> Pending<'_, bool> {
        self.revoke_as(actor, "rotate the access key", move |conn, tenant| {
            let sql = "UPDATE access_keys SET previous_secret = secret, previous_until = ?4, secret = ?3
                       WHERE tenant = ?1 AND id = ?2";
            if key_with_id(conn, &id)?.is_none() {
                // A damaged row must not get a checksum that says that it is intact.
                return Ok(Done::nothing(false));
            }
            let params = (codec::tenant_bytes(tenant), id.as_str(), secret.reveal(), old_valid_until.0);
            let known = conn.prepare_cached(sql)?.execute(params)? > 0;
            checksums::renew(conn, &ACCESS_KEYS, "id", id.as_str())?;
            Ok(Done::change(known, || Change::Key(id, KeyAction::Rotated)).erasing())
        })
    }

    fn delete_key(&self, actor: Actor, id: AccessKeyId) -> Pending<'_, bool> {
        self.revoke_as(actor, "delete the access key", move |conn, tenant| {
            let sql = "DELETE FROM access_keys WHERE tenant = ?1 AND id = ?2";
            let known = conn.prepare_cached(sql)?.execute((codec::tenant_bytes(tenant), id.as_str()))? > 0;
            Ok(Done::change(known, || Change::Key(id, KeyAction::Deleted)).erasing())
        })
    }

    fn keys_used(&self, uses: Vec<(AccessKeyId, TimestampMs)>) -> Pending<'_, ()> {
        Box::pin(async move {
            let mut uses = uses.into_iter().peekable();
            while uses.peek().is_some() {
                let some: Vec<_> = uses.by_ref().take(USES_AT_ONCE).collect();
                self.write("note the use of the access keys", move |conn| note_uses(conn, &some)).await?;
            }
            Ok(())
        })
    }

    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret> {
        let doing = "look up the secret of the installation";
        Box::pin(async move {
            // Not to be written where it is there: the disk may be full or read-only.
            if let Some(known) = self.readers.read(doing, known_secret).await? {
                return Ok(known);
            }
            self.write(doing, move |conn| {
                let sql = format!("{} ON CONFLICT (id) DO NOTHING", INSTALLATION.insert());
                conn.prepare_cached(&sql)?.execute((1, proposed.reveal()))?;
                let known = known_secret(conn)?;
                let known = known.ok_or_else(|| Failure::Damaged("the installation has no secret".into()))?;
                Ok(Done::unkept(known))
            })
            .await
        })
    }
}

/// See `CredentialStore::keys_used`.
fn note_uses(conn: &Connection, uses: &[(AccessKeyId, TimestampMs)]) -> Answer<Done<()>> {
    let mut n_changed = 0;
    for (id, at) in uses {
        let sql = "UPDATE access_keys SET last_used_at = ?2 WHERE id = ?1 AND coalesce(last_used_at, 0) < ?2";
        n_changed += conn.prepare_cached(sql)?.execute((id.as_str(), at.0))?;
    }
    let Some(latest) = uses.iter().map(|(_, at)| at.0).max() else { return Ok(Done::nothing(())) };
    // A damaged row must not get a checksum that says that it is intact.
    let intact = ACCESS_KEYS.intact("k");
    let sql = format!("SELECT k.id FROM access_keys AS k WHERE k.previous_until <= ?1 AND {intact}");
    let over = rows::all(conn, &sql, [latest], |row| Ok(row.get::<_, String>(0)?))?;
    for id in &over {
        let sql = "UPDATE access_keys SET previous_secret = NULL, previous_until = NULL WHERE id = ?1";
        conn.prepare_cached(sql)?.execute([id])?;
        checksums::renew(conn, &ACCESS_KEYS, "id", id)?;
    }
    match (n_changed, over.is_empty()) {
        (0, true) => Ok(Done::nothing(())),
        (_, true) => Ok(Done::unkept(())),
        (_, false) => Ok(Done::unkept(()).erasing()),
    }
}

/// The secret of the installation, if there is one.
fn known_secret(conn: &Connection) -> Answer<Option<InstallationSecret>> {
    let sql = format!("SELECT i.secret, {} FROM installation AS i", INSTALLATION.intact("i"));
    rows::first(conn, &sql, (), |row| {
        if !row.get::<_, bool>(1)? {
            return Err(Failure::Damaged("the checksum of the installation's secret does not match".into()));
        }
        let bytes = row.get::<_, Vec<u8>>(0)?.try_into();
        let bytes = bytes.map_err(|_| Failure::Damaged("the secret has not 32 bytes".into()))?;
        Ok(InstallationSecret::from_bytes(bytes))
    })
}

fn insert_tenant(conn: &Connection, tenant: &Tenant) -> Answer<()> {
    let limits = &tenant.limits;
    conn.prepare_cached(&TENANTS.insert())?.execute((
        codec::tenant_bytes(tenant.id),
        tenant.name.as_str(),
        tenant.created_at.0,
        whole(limits.face_sets_max),
        whole(limits.faces_max),
        whole(limits.persons_max),
        whole(limits.face_set_faces_max),
        whole(limits.person_faces_max),
        limits.calls_per_second,
    ))?;
    Ok(())
}

/// A limit in SQL's numbers, which end at 2^63.
fn whole(most: Option<u64>) -> Option<i64> {
    most.map(|most| i64::try_from(most).unwrap_or(i64::MAX))
}

/// Writes the limits of a tenant; false if there is none.
fn write_limits(conn: &Connection, tenant: TenantId, limits: &Limits) -> Answer<bool> {
    let sql = "UPDATE tenants SET face_sets_max = ?2, faces_max = ?3, persons_max = ?4, face_set_faces_max = ?5,
               person_faces_max = ?6, calls_per_second = ?7 WHERE id = ?1";
    let params = (
        codec::tenant_bytes(tenant),
        whole(limits.face_sets_max),
        whole(limits.faces_max),
        whole(limits.persons_max),
        whole(limits.face_set_faces_max),
        whole(limits.person_faces_max),
        limits.calls_per_second,
    );
    let known = conn.prepare_cached(sql)?.execute(params)? > 0;
    checksums::renew(conn, &TENANTS, "id", codec::tenant_bytes(tenant))?;
    Ok(known)
}
