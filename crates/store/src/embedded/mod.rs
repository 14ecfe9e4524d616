//! The default store: one SQLite file in the data folder.
//!
//! One thread writes ([`writer`]), a few read ([`pool`]); both kinds sit behind bounded queues. What is on disk and what
//! a delete leaves when is told in `docs/storage.md`. Start at [`EmbeddedStore::open`].
//!
//! # Invariants
//! - A row of another tenant is unreachable: each function of [`face_sets`], [`faces`] and [`persons`] looks its face set
//!   or person up under the tenant and goes on by the id found ([`rows`]).
//! - Counters (`n_gallery`, `n_owned`, `n_faces`) change in the transaction that changes what they count; a thorough report
//!   verifies them.

mod backup;
mod cache;
mod cells;
mod check;
mod checksums;
pub(crate) mod codec;
mod commits;
mod credentials;
mod damage;
mod database_lock;
mod deletes;
mod erase;
pub(crate) mod errors;
mod face_sets;
mod faces;
pub mod fuzz;
mod health;
mod holds;
mod identity;
mod index_check;
mod jobs;
mod log_check;
mod losses;
mod maintenance;
pub(crate) mod migration;
mod nonces;
mod numbers;
mod open_files;
mod opening;
mod persons;
mod pool;
mod presence;
mod queue;
mod rebuild;
mod records;
mod recover;
mod report;
mod reserve;
pub(crate) mod respell;
mod rows;
mod rules;
mod schema;
mod scope;
mod scrub;
mod set_aside;
mod templates;
mod tenants;
mod thumbnails;
mod transaction;
mod transient;
mod turn;
mod upgrade;
mod uploads;
mod wal;
mod writer;

use std::future::ready;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use likeness_domain::access::{Limits, TenantUsage};
use likeness_domain::ports::{
    Clock, CommitPage, FaceMove, FacePage, FaceScope, FaceSelector, GalleryStore, OwnersId, Page, Pending,
    PersonSummary, RecordPage, RecordPlace, ReportProgress, STEPS, ScrubStep, StoreHealth, StoreReport, TemplatePage,
    VectorIndex,
};
use likeness_domain::types::{
    Actor, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetBytes, FaceSetId, FaceSetName, FaceSetPatch,
    FaceSetSummary, NewFace, NewFaceSet, NewPerson, PackId, Person, PersonId, PersonKey, PersonPatch, Revision,
    Template, TenantId, Thumbnail, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};

use tokio::sync::oneshot;
use tracing::Instrument;

use self::cache::VersionedCache;
use self::database_lock::DatabaseLock;
use self::errors::Answer;
use self::open_files::OpenFiles;
use self::opening::Upgrade;
use self::rebuild::Filled;
use self::schema::FileUse;
use self::transaction::{Manner, WriteTx};
use crate::clock::WallClock;
use crate::folder::DataFolder;
use crate::pace::Pace;

pub use self::backup::{BackedUp, BackupStage, Watch, backup, restore, verify as verify_backup};
pub use self::check::check;
pub use self::credentials::Credentials;
pub use self::holds::{Held, HeldBy};
pub use self::identity::IDENTITY_FILE;
pub use self::losses::LOSSES_FILE;
pub use self::recover::{Recovered, recover};
pub use self::reserve::RESERVE_FILE;
pub use self::schema::{DATABASE_FILE, MOVED_FILE, SCHEMA_VERSION};
pub use self::scrub::SCRUB_FILE;

/// What an operator may choose.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Threads that read. Reads are short; two keep one long listing from holding up the rest.
    pub n_readers: usize,
    /// Most reads that wait; more are refused as overloaded.
    pub reads_max: usize,
    /// Most writes that wait; more are refused as overloaded.
    pub writes_max: usize,
    /// Most bytes of the database file; `None` for as much as the disk holds.
    pub bytes_max: Option<u64>,
    /// Most commits that are kept, of all tenants; when there are more, those that have most lose their oldest.
    pub commits_max: u64,
    /// How long a commit is kept at most.
    pub commit_age_max: Duration,
    /// Most faces of a delete that are erased in one commit, at least 1; other writes wait for no more than these.
    pub delete_rows: usize,
    /// How long such a step is to take, and every other one of large work beside the writes: steps have as few rows as that
    /// needs. [`Duration::MAX`] for as many rows as may be.
    pub step_aim: Duration,
    /// Whether a copy of the library is kept in its folder before its layout is upgraded.
    pub upgrade_copy: bool,
    /// Bytes of the reserve that is given up on a full disk so that the store opens and faces can be deleted; 0 for none. The
    /// log is folded into the database at 16 MiB, which may need as much.
    pub reserve_bytes: u64,
}

impl Settings {
    /// What suits one machine: queues that are worked off within about a second.
    pub const DEFAULT: Settings = Settings {
        n_readers: 4,
        reads_max: 8192,
        writes_max: 4096,
        bytes_max: None,
        // Some 20 MB of single enrolments.
        commits_max: 200_000,
        commit_age_max: Duration::from_secs(7 * 24 * 3600),
        delete_rows: 250,
        step_aim: Duration::from_millis(15),
        upgrade_copy: true,
        reserve_bytes: 0,
    };
}

/// Pause between two trial writes that somebody asked for.
const WRITE_PROBE_PAUSE: Duration = Duration::from_secs(1);

/// Face sets by name. Their version is `n_commits` and that of the damage found.
type FaceSetCache = VersionedCache<(TenantId, FaceSetName), (u64, u64), FaceSetSummary>;

/// Faces and persons in the data folder's database.
pub struct EmbeddedStore {
    // Dropped in this order: reads end, writes end, and only then somebody else may own the folder.
    readers: pool::Pool,
    writer: writer::Writer,
    health: Arc<health::Health>,
    folder: DataFolder,
    file_use: FileUse,
    index: Arc<dyn VectorIndex>,
    delete_rows: usize,
    /// Commits that the writing thread has made; each is counted before anybody is told of it. Nobody else changes what this
    /// store keeps of faces and face sets, as the folder is ours.
    n_commits: Arc<AtomicU64>,
    face_sets: Arc<FaceSetCache>,
    scrub: Arc<scrub::Scrub>,
    filled: Filled,
    /// Of the thorough report that is being made.
    report_progress: Arc<Mutex<Option<ReportProgress>>>,
    /// When somebody last asked for a trial write; held while that is under way.
    write_probe: tokio::sync::Mutex<Option<Instant>>,
    /// The last, as it is given back after every connection is closed.
    database_lock: Arc<DatabaseLock>,
}

impl EmbeddedStore {
    /// Takes the data folder's lock, opens the store in it or makes an empty one, brings an older layout up to date, and
    /// fills `index`. [`likeness_domain::Kind::InvalidArgument`] if the folder is in use, holds something else, or was
    /// written by a newer program.
    pub fn open(dir: impl AsRef<Path>, index: Arc<dyn VectorIndex>) -> Result<Self> {
        Self::open_locked(DataFolder::lock(dir.as_ref())?, index, Settings::DEFAULT, Arc::new(WallClock))
    }

    /// Tenants and access keys of the same folder. Damage that is found in them is told by [`GalleryStore::health`] of this
    /// store. Errors as for [`Credentials::open`].
    pub fn credentials(&self) -> Result<Credentials> {
        let writer = self.writer.inlet().clone();
        Credentials::of_store(
            self.folder.path(),
            self.file_use,
            (&self.health.damage, writer),
            Arc::clone(&self.database_lock),
        )
    }

    /// The same in a folder that this process owns already; `clock` dates the commits.
    pub fn open_locked(
        folder: DataFolder,
        index: Arc<dyn VectorIndex>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        let dir = folder.path().to_owned();
        let damage = Arc::new(damage::DamageLog::default());
        let mut file_use = FileUse::of(&dir);
        let revision_alone = log_check::revision_alone(&dir);
        let connect = |purpose, file_use| schema::opened(schema::connect(&dir, purpose, file_use, &damage), &dir);
        schema::opened(presence::check_present(&dir), &dir)?;
        let database_lock = Arc::new(DatabaseLock::take(&dir)?);
        let open = |file_use| -> Result<_> {
            let mut conn = connect(schema::Purpose::Write, file_use)?;
            let opened = opening::open(&mut conn, &dir, file_use, Upgrade::of(settings.upgrade_copy));
            Ok((conn, schema::opened(opened, &dir)?))
        };
        let mut reserve = match file_use {
            FileUse::ReadOnly => reserve::Reserve::none(&dir),
            _ => reserve::Reserve::find(&dir, settings.reserve_bytes),
        };
        // Reading needs a few bytes, too, also after this: connections grow what they share.
        if reserve.is_room_short() {
            reserve.give_up();
        }
        let mut opened = open(file_use);
        let is_full = |opened: &Result<_>| matches!(opened, Err(error) if error.kind() == Kind::StorageFull);
        if is_full(&opened) && reserve.give_up() {
            opened = open(file_use);
        }
        if is_full(&opened) && file_use == FileUse::Shared {
            // There is not even room for the index of the log.
            file_use = FileUse::Alone;
            opened = open(file_use);
        }
        let (conn, mut library) = opened?;
        let identity = identity::IdentityFile::open(&dir, library.id, library.counters);
        schema::opened(schema::limit_size(&conn, settings.bytes_max), &dir)?;
        let folder_id = identity::folder_id(&dir, library.id);
        let filled = rebuild::fill(&conn, folder_id, library.counters.revision, index.as_ref());
        let filled = schema::opened(filled, &dir)?;
        if filled == Filled::Anew {
            // What was found damaged until now was left out.
            damage.was_told(&damage.take_news());
            // Of an index that kept its rows the check of every row is not far.
            if library.missing.is_empty() {
                library.missing = opening::missing_faces(&conn);
            }
        }
        let files = OpenFiles::note(&folder, revision_alone);
        let health = Arc::new(health::Health::new(Arc::clone(&damage), library.losses).watching(files));
        health.recall(&dir, &conn);
        if !library.missing.is_empty() {
            for what in library.missing {
                health.note(health::ANY_TABLE, what);
            }
            // The counters that told it are right by now.
            health.keep(&dir);
        }
        match file_use {
            FileUse::ReadOnly => health.writes_fail(errors::READ_ONLY),
            FileUse::Alone => {
                tracing::warn!(
                    "the disk is full to the last byte: the library is opened for this process alone, commands that open it \
                     beside the server are refused until that is started again with room"
                );
                health.writes_fail(errors::FULL);
            }
            FileUse::Shared if reserve.is_given_up() => health.writes_fail(errors::FULL),
            FileUse::Shared => _ = reserve.take(),
        }
        let readers = (0..settings.n_readers.max(1))
            .map(|_| connect(schema::Purpose::Read, file_use))
            .collect::<Result<Vec<_>>>()?;
        let maintenance = match file_use {
            FileUse::ReadOnly => maintenance::Maintenance::none(settings, Arc::clone(&clock)),
            _ => maintenance::Maintenance::after_opening(settings, Arc::clone(&clock)),
        };
        let n_commits = Arc::new(AtomicU64::new(0));
        let scrub = scrub::Scrub::of(&dir);
        if filled == Filled::Kept {
            // Nobody has looked at the rows.
            scrub.hasten();
        }
        Ok(Self {
            readers: pool::Pool::start("store-reader", readers, dir.clone(), settings.reads_max)?,
            writer: writer::Writer::start(
                conn,
                (library.counters, identity, Arc::clone(&n_commits)),
                (maintenance, Pace::new(settings.delete_rows, settings.step_aim)),
                (Arc::new(dir), reserve, Arc::clone(&health)),
                (Arc::clone(&index), clock),
                settings.writes_max,
            )?,
            health,
            folder,
            file_use,
            index,
            delete_rows: settings.delete_rows.max(1),
            n_commits,
            face_sets: Arc::new(VersionedCache::new()),
            scrub: Arc::new(scrub),
            filled,
            report_progress: Arc::default(),
            write_probe: tokio::sync::Mutex::default(),
            database_lock,
        })
    }

    /// What held the writing thread since the store was opened or this was last asked, how often and how long: nobody else
    /// writes meanwhile.
    pub fn take_holds(&self) -> Vec<(HeldBy, Held)> {
        self.writer.take_holds()
    }

    fn read<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Answer<T> + Send + 'static,
    {
        let health = Arc::clone(&self.health);
        self.after_damage(self.readers.read(doing, move |conn| health.watched(doing, act(conn))))
    }

    /// The same for `act` with a single statement, which sees one state without a transaction around it.
    fn read_one<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&rusqlite::Connection) -> Answer<T> + Send + 'static,
    {
        let health = Arc::clone(&self.health);
        self.after_damage(self.readers.run(doing, move |conn| health.watched(doing, act(conn))))
    }

    /// The same answer, but if a damaged row was found meanwhile only when no search finds that any more.
    fn after_damage<'a, T: Send + 'static>(&'a self, answer: Pending<'a, T>) -> Pending<'a, T> {
        Box::pin(async move {
            let answer = answer.await;
            if self.health.damage.has_news() {
                // The writing thread tells the index before it takes a write. A full queue or disk is no matter: it does so
                // all the same.
                let _ = self.wait_for_index().await;
            }
            answer
        })
    }

    /// Waits until the index has reached every commit that was acknowledged or handed over.
    fn wait_for_index(&self) -> Pending<'_, ()> {
        self.write_in(Manner::USUAL, "wait for the index", |tx| {
            tx.idle = true;
            Ok(())
        })
    }

    /// Hands the write over at once, so that dropping the future changes nothing.
    fn write<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Answer<T> + Send + 'static,
    {
        answered(self.writer.inlet().submit(doing, act, Manner::USUAL))
    }

    /// The same in another manner.
    fn write_in<T, F>(&self, manner: Manner, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Answer<T> + Send + 'static,
    {
        answered(self.writer.inlet().submit(doing, act, manner))
    }
}

impl Drop for EmbeddedStore {
    fn drop(&mut self) {
        self.health.keep(self.folder.path());
    }
}

/// The answer of a write that was handed over.
fn answered<'a, T: Send + 'static>(handed_over: Result<oneshot::Receiver<Result<T>>>) -> Pending<'a, T> {
    let answered = async move { handed_over?.await.unwrap_or_else(|_| Err(writer::stopped())) };
    Box::pin(answered.instrument(tracing::info_span!(target: STEPS, "commit")))
}

impl EmbeddedStore {
    /// A write on somebody's behalf, which is kept as a commit.
    fn write_as<T, F>(&self, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>, TenantId) -> Answer<T> + Send + 'static,
    {
        self.write_as_in(Manner::USUAL, actor, doing, act)
    }

    /// The same of what makes room.
    fn delete_as<T, F>(&self, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>, TenantId) -> Answer<T> + Send + 'static,
    {
        self.write_as_in(Manner::DELETE, actor, doing, act)
    }

    fn write_as_in<T, F>(&self, manner: Manner, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>, TenantId) -> Answer<T> + Send + 'static,
    {
        self.write_in(manner, doing, move |tx| {
            tenants::refuse_deleted(tx.conn, actor.tenant)?;
            tenants::refuse_unusable(tx.conn, &actor)?;
            let answer = act(tx, actor.tenant)?;
            tx.actor = Some(actor);
            Ok(answer)
        })
    }
}

impl GalleryStore for EmbeddedStore {
    fn create_face_set(&self, actor: Actor, new: NewFaceSet, face_sets_max: Option<u64>) -> Pending<'_, FaceSet> {
        self.write_as(actor, "make the face set", move |tx, tenant| face_sets::create(tx, tenant, new, face_sets_max))
    }

    fn face_set(&self, tenant: TenantId, name: FaceSetName) -> Pending<'_, Option<FaceSetSummary>> {
        let version = (self.n_commits.load(Ordering::SeqCst), self.health.damage.version());
        let key = (tenant, name);
        if let Some(known) = self.face_sets.get(&key, version) {
            return Box::pin(ready(Ok(Some(known))));
        }
        let cache = Arc::clone(&self.face_sets);
        self.read_one("look up the face set", move |conn| {
            let found = face_sets::named(conn, key.0, &key.1)?;
            if let Some(found) = &found {
                cache.put(key, version, found.clone());
            }
            Ok(found)
        })
    }

    fn face_set_by_id(&self, tenant: TenantId, id: FaceSetId) -> Pending<'_, Option<FaceSetSummary>> {
        self.read_one("look up the face set", move |conn| face_sets::by_id(conn, tenant, id))
    }

    fn update_face_set(&self, actor: Actor, face_set: FaceSetId, patch: FaceSetPatch) -> Pending<'_, FaceSet> {
        self.write_as(actor, "change the face set", move |tx, tenant| face_sets::update(tx, tenant, face_set, patch))
    }

    fn face_sets(&self, tenant: TenantId) -> Pending<'_, Vec<FaceSetSummary>> {
        self.read_one("list the face sets", move |conn| face_sets::list(conn, tenant))
    }

    fn face_set_bytes(&self, tenant: TenantId, face_set: FaceSetId) -> Pending<'_, FaceSetBytes> {
        self.read("count the bytes of the face set", move |conn| face_sets::bytes(conn, tenant, face_set))
    }

    fn delete_face_set(&self, actor: Actor, face_set: FaceSetId, only_if_empty: bool) -> Pending<'_, ()> {
        self.delete_as(actor, "delete the face set", move |tx, tenant| {
            face_sets::delete(tx, tenant, face_set, only_if_empty)
        })
    }

    fn add_faces_of(
        &self,
        actor: Actor,
        faces: Vec<(FaceOwner, Vec<NewFace>)>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Face>> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "add the faces", move |tx, tenant| faces::add(tx, tenant, faces, &limits))
    }

    fn faces(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Pending<'_, Vec<Face>> {
        self.read_one("look up the faces", move |conn| faces::by_id(conn, tenant, scope, ids))
    }

    fn templates(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: PackId,
    ) -> Pending<'_, Vec<(FaceId, Template)>> {
        self.read_one("look up the templates", move |conn| templates::by_id(conn, tenant, scope, ids, &pack))
    }

    fn faces_with_templates(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        from: u64,
        limit: u64,
    ) -> Pending<'_, TemplatePage> {
        self.read("read the templates", move |conn| templates::page(conn, tenant, face_set, from, limit))
    }

    fn thumbnails(
        &self,
        tenant: TenantId,
        scope: FaceScope,
        ids: Vec<FaceId>,
    ) -> Pending<'_, Vec<(FaceId, Thumbnail)>> {
        self.read("look up the thumbnails", move |conn| thumbnails::by_id(conn, tenant, scope, ids))
    }

    fn keeps_thumbnails(&self, tenant: TenantId) -> Pending<'_, bool> {
        self.read_one("look up which sets keep thumbnails", move |conn| thumbnails::are_kept(conn, tenant))
    }

    fn put_templates(&self, actor: Actor, templates: Vec<(FaceId, Template)>) -> Pending<'_, ()> {
        self.write_as(actor, "add the templates", move |tx, tenant| templates::put(tx, tenant, templates))
    }

    fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Pending<'_, Vec<FaceSet>> {
        self.read("look up the faces' sets", move |conn| templates::face_sets_showing(conn, tenant, faces))
    }

    fn list_faces(&self, tenant: TenantId, scope: FaceScope, page: Page) -> Pending<'_, Vec<Face>> {
        self.read_one("list the faces", move |conn| faces::list(conn, tenant, scope, page))
    }

    fn faces_from(&self, tenant: TenantId, scope: FaceScope, from: u64, limit: u64) -> Pending<'_, FacePage> {
        self.read("list the faces", move |conn| faces::page(conn, tenant, scope, from, limit))
    }

    fn faces_at(&self, tenant: TenantId, face_set: FaceSetId, places: Vec<u64>) -> Pending<'_, Vec<Face>> {
        let scope = FaceScope::FaceSet(face_set);
        self.read("list the faces", move |conn| faces::at(conn, tenant, scope, places))
    }

    fn places_beginning(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        texts: Vec<String>,
        limit: u64,
    ) -> Pending<'_, Vec<u64>> {
        self.read("find the faces", move |conn| faces::beginning(conn, tenant, face_set, texts, limit))
    }

    fn external_ids_of(&self, tenant: TenantId, ids: Vec<OwnersId>) -> Pending<'_, Vec<(OwnersId, FaceId)>> {
        self.read("look up the external ids", move |conn| faces::external_ids(conn, tenant, ids))
    }

    fn update_face(
        &self,
        actor: Actor,
        scope: FaceScope,
        face: FaceId,
        patch: FacePatch,
        now: TimestampMs,
    ) -> Pending<'_, Face> {
        self.write_as(actor, "change the face", move |tx, tenant| faces::update(tx, tenant, scope, face, patch, now))
    }

    fn delete_faces(&self, actor: Actor, scope: FaceScope, selector: FaceSelector) -> Pending<'_, Vec<FaceId>> {
        let (index, n_rows_max) = (Arc::clone(&self.index), self.delete_rows);
        let is_small = deletes::is_small(&selector, n_rows_max);
        let act = move |tx: &mut WriteTx<'_>| {
            tenants::refuse_unusable(tx.conn, &actor)?;
            let begun = deletes::begin(tx, &actor, (scope, &selector), index.as_ref(), n_rows_max)?;
            tx.actor = Some(actor);
            Ok(begun)
        };
        let doing = "delete the faces";
        let manner = if is_small { Manner::DELETE } else { Manner::DELETE_ALONE };
        let begun = self.write_in(manner, doing, act);
        Box::pin(async move {
            match begun.await? {
                deletes::Begun::Done(deleted) => Ok(deleted),
                deletes::Begun::InSteps(deleted) => deleted.await.unwrap_or_else(|_| Err(writer::stopped())),
            }
        })
    }

    fn create_person(
        &self,
        actor: Actor,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, (Person, Vec<FaceSet>)> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "make the person", move |tx, tenant| persons::create(tx, tenant, new, join, &limits))
    }

    fn make_members(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        persons: Vec<NewPerson>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Person>> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "make the persons members", move |tx, tenant| {
            persons::make_members(tx, tenant, face_set, persons, &limits)
        })
    }

    fn person(&self, tenant: TenantId, key: PersonKey) -> Pending<'_, Option<Person>> {
        self.read_one("look up the person", move |conn| persons::by_key(conn, tenant, &key))
    }

    fn persons(&self, tenant: TenantId, ids: Vec<PersonId>) -> Pending<'_, Vec<Person>> {
        self.read_one("look up the persons", move |conn| persons::by_id(conn, tenant, ids))
    }

    fn n_faces_of_person(&self, tenant: TenantId, person: PersonId) -> Pending<'_, u64> {
        self.read("count the faces of the person", move |conn| persons::n_faces(conn, tenant, person))
    }

    fn persons_named(
        &self,
        tenant: TenantId,
        keys: Vec<PersonKey>,
        face_set: FaceSetId,
    ) -> Pending<'_, Vec<(PersonSummary, bool)>> {
        self.read("look up the persons", move |conn| persons::named(conn, tenant, keys, face_set))
    }

    fn persons_after(&self, tenant: TenantId, after: Option<PersonKey>, limit: u64) -> Pending<'_, Vec<PersonSummary>> {
        self.read_one("list the persons", move |conn| persons::after(conn, tenant, after.as_ref(), limit))
    }

    fn move_faces(&self, actor: Actor, faces: FaceMove, limits: Option<Limits>) -> Pending<'_, Vec<Face>> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "move the faces", move |tx, tenant| persons::move_faces(tx, tenant, faces, &limits))
    }

    fn update_person(&self, actor: Actor, person: PersonId, patch: PersonPatch) -> Pending<'_, Person> {
        self.write_as(actor, "change the person", move |tx, tenant| persons::update(tx, tenant, person, patch))
    }

    fn delete_person(&self, actor: Actor, person: PersonId) -> Pending<'_, u64> {
        self.delete_as(actor, "delete the person", move |tx, tenant| persons::delete(tx, tenant, person))
    }

    fn delete_merged_person(&self, actor: Actor, person: PersonId, into: PersonId) -> Pending<'_, bool> {
        self.delete_as(actor, "delete the person", move |tx, tenant| persons::delete_merged(tx, tenant, person, into))
    }

    fn join_face_sets(
        &self,
        actor: Actor,
        person: PersonId,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<FaceSet>> {
        let limits = limits.unwrap_or(Limits::NONE);
        self.write_as(actor, "join the face sets", move |tx, tenant| persons::join(tx, tenant, person, join, &limits))
    }

    fn leave_face_sets(&self, actor: Actor, person: PersonId, names: Vec<FaceSetName>) -> Pending<'_, Vec<FaceSet>> {
        self.write_as(actor, "leave the face sets", move |tx, tenant| persons::leave(tx, tenant, person, &names))
    }

    fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Pending<'_, Vec<FaceSet>> {
        self.read("list the person's face sets", move |conn| persons::face_sets_of(conn, tenant, person))
    }

    fn members(&self, tenant: TenantId, face_set: FaceSetId, page: Page) -> Pending<'_, (Vec<Person>, u64)> {
        self.read("list the members", move |conn| face_sets::members(conn, tenant, face_set, page))
    }

    fn usage(&self, tenant: TenantId) -> Pending<'_, TenantUsage> {
        self.read_one("see what the tenant has", move |conn| tenants::usage(conn, tenant))
    }

    fn delete_tenant(&self, actor: Actor) -> Pending<'_, bool> {
        self.delete_as(actor, "delete the tenant", tenants::delete)
    }

    fn record_after(&self, tenant: TenantId, after: RecordPlace, limit: usize) -> Pending<'_, RecordPage> {
        self.read("read the record of commits", move |conn| commits::record_after(conn, tenant, after, limit))
    }

    fn changes_after(&self, revision: Revision, limit: usize) -> Pending<'_, CommitPage> {
        self.read("read the commits", move |conn| commits::after(conn, revision, limit))
    }

    fn health(&self) -> StoreHealth {
        StoreHealth { scrub: self.scrub.report(), ..self.health.summary() }
    }

    fn probe_writes(&self) -> Pending<'_, ()> {
        Box::pin(async {
            let mut asked_at = self.write_probe.lock().await;
            if asked_at.is_some_and(|asked_at| asked_at.elapsed() < WRITE_PROBE_PAUSE) {
                return Ok(());
            }
            // Noted first, so that whoever asks and hangs up does not fill the queue with trial writes.
            *asked_at = Some(Instant::now());
            answered(self.writer.inlet().probe()).await
        })
    }

    fn report(&self, thorough: bool) -> Pending<'_, StoreReport> {
        let dir = self.folder.path().to_owned();
        let (health, progress) = (Arc::clone(&self.health), Arc::clone(&self.report_progress));
        let filled = self.filled;
        let read = self.read("report on the store", move |conn| {
            let watch = |now| *progress.lock().unwrap_or_else(PoisonError::into_inner) = Some(now);
            let _over = ProgressIsOver(Arc::clone(&progress));
            report::report(conn, &dir, thorough, (&health, filled), &mut { watch })
        });
        Box::pin(async move {
            let mut report = read.await?;
            if thorough {
                index_check::compare(self, &mut report).await?;
            }
            report.scrub = self.scrub.report();
            Ok(report)
        })
    }

    fn report_progress(&self) -> Option<ReportProgress> {
        *self.report_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn acknowledge_losses(&self) -> Pending<'_, Vec<String>> {
        let (health, dir) = (Arc::clone(&self.health), self.folder.path().to_owned());
        // With the readers, as it waits for the disk.
        self.read_one("acknowledge lost commits", move |_| {
            health.acknowledge_losses(&dir).map_err(|error| {
                let path = dir.join(LOSSES_FILE);
                let message = format!("cannot remove `{}`: {error}", path.display());
                errors::Failure::Said(Error::new(Kind::Internal, message).with_source(error))
            })
        })
    }

    fn scrub(&self, now: TimestampMs, interval: Duration, n_rows_max: u64) -> Pending<'_, ScrubStep> {
        if let Some(at) = self.scrub.not_before(now, interval) {
            return Box::pin(ready(Ok(ScrubStep::NotBefore(at))));
        }
        let (scrub, health) = (Arc::clone(&self.scrub), Arc::clone(&self.health));
        self.read("read the rows again", move |conn| scrub.step(conn, &health, now, n_rows_max))
    }
}

/// Says that no report is made any more, however it ends.
struct ProgressIsOver(Arc<Mutex<Option<ReportProgress>>>);

impl Drop for ProgressIsOver {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}
