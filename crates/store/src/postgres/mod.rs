//! The store in PostgreSQL: one truth for several servers, each with an index of its own.
//!
//! Everything but the index is in the database, and every read but a search goes there. A write is one transaction, alone
//! within its tenant ([`transaction`]). Each server's index follows the commits of all ([`follower`]), and a search waits
//! until its index is where the database is ([`fresh`]). `docs/storage.md` says what that promises and costs.
//!
//! # Invariants
//! - A row of another tenant is unreachable: each function looks its face set or person up under the tenant, or does so in the
//!   statement ([`rows`], [`scope::in_scope`]).
//! - Counters (`n_gallery`, `n_owned`, `n_faces`) change in the transaction that changes what they count.
//! - Revisions have no gap and become visible in their order.

mod address;
mod checksums;
mod commits;
mod credentials;
mod deletes;
mod erase;
mod errors;
mod face_sets;
mod faces;
mod follower;
mod fresh;
mod gallery;
mod jobs;
mod kept;
pub(crate) mod migration;
#[cfg(feature = "milvus")]
mod milvus;
mod nonces;
mod persons;
mod records;
mod report;
mod respell;
mod rows;
mod schema;
mod scope;
mod session;
mod templates;
mod tenants;
mod thumbnails;
pub(crate) mod tls;
mod transaction;
mod transient;
mod uploads;
mod usage;

use std::collections::{BTreeSet, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use likeness_domain::access::{Limits, TenantUsage};
use likeness_domain::ports::{
    Clock, CommitPage, FaceMove, FacePage, FaceScope, FaceSelector, GalleryStore, OwnersId, Page, Pending,
    PersonSummary, RecordPage, RecordPlace, ReportProgress, STEPS, StoreHealth, StoreReport, TemplatePage, VectorIndex,
};
#[cfg(feature = "milvus")]
use likeness_domain::ports::{OutsideHealth, OutsideTrouble};
use likeness_domain::types::{
    Actor, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetBytes, FaceSetId, FaceSetName, FaceSetPatch,
    FaceSetSummary, JobLease, NewFace, NewFaceSet, NewPerson, PackId, Person, PersonId, PersonKey, PersonPatch,
    Revision, Template, TenantId, Thumbnail, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};
use tokio::runtime::Runtime;
use tokio::sync::{Notify, Semaphore, oneshot};
use tracing::Instrument;

use self::errors::{Answer, Failure, pause_before};
use self::follower::Follower;
use self::session::{Database, Session};
use self::transaction::{OnSession, Step, Turns, WriteTx};
use crate::wait::wait_for;

pub use self::address::Address;

/// First number of the advisory locks that show which servers are alive; the second is the server's.
const NODE_LOCKS: i64 = 0x4c6b;

/// The server with the number in the column `node` does not show that it is alive, `$3` being [`NODE_LOCKS`].
const NODE_IS_GONE: &str = "NOT EXISTS (SELECT 1 FROM pg_locks AS l WHERE l.locktype = 'advisory'
    AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND l.objsubid = 2 AND l.classid::int8 = $3 AND l.objid::int8 = node AND l.granted)";

/// Expired rows erased in one transaction.
const PURGE_ROWS: i64 = 200;

/// What an operator may choose.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// Most connections that are kept, besides one that listens.
    pub n_connections: usize,
    /// Threads that talk to the database and apply commits to the index.
    pub n_threads: usize,
    /// Most calls that wait for a connection; more are refused as overloaded.
    pub waiting_max: usize,
    /// How long a statement may take; beyond it the database cancels it. A database that does not even do that, soon
    /// afterwards, counts as gone.
    pub statement_timeout: Duration,
    /// How long a write waits for another one of its tenant.
    pub lock_timeout: Duration,
    /// How long a call tries to reach a database that went away, as in a failover, before it is refused.
    pub reconnect_max: Duration,
    /// How long a search waits for this node's index to be where the database is, before it is refused.
    pub search_wait_max: Duration,
    /// How long an acknowledgement waits for this node's index; searches wait for it in any case.
    pub index_wait_max: Duration,
    /// Most commits that are kept, of all tenants; when there are more, those that have most lose their oldest.
    pub commits_max: u64,
    /// How long a commit is kept at most.
    pub commit_age_max: Duration,
    /// Most faces of a delete that are erased in one transaction, at least 1; the tenant's other writes wait for no more.
    pub delete_rows: usize,
    /// How long such a step is to take, and every other one of large work: steps have as few rows as that needs.
    /// [`Duration::MAX`] for as many rows as may be.
    pub step_aim: Duration,
}

impl Settings {
    /// What suits a server with one database near by.
    pub const DEFAULT: Settings = Settings {
        n_connections: 16,
        n_threads: 2,
        waiting_max: 4096,
        statement_timeout: Duration::from_secs(30),
        lock_timeout: Duration::from_secs(10),
        reconnect_max: Duration::from_secs(5),
        search_wait_max: Duration::from_secs(2),
        index_wait_max: Duration::from_secs(10),
        commits_max: 200_000,
        commit_age_max: Duration::from_secs(7 * 24 * 3600),
        delete_rows: 250,
        step_aim: Duration::from_millis(15),
    };
}

/// What the tasks of a store share.
struct Shared {
    database: Arc<Database>,
    follower: Follower,
    index: Arc<dyn VectorIndex>,
    outside: Outside,
    clock: Arc<dyn Clock>,
    settings: Settings,
    /// A number of this server among those of the database.
    node: i32,
    /// Whether it has an index that follows.
    is_following: bool,
    /// The order of writes.
    turns: Turns,
    /// Room for calls that wait.
    waiting: Semaphore,
    /// There is something to erase.
    erase: Notify,
    /// Steps of deletes that the maintenance leaves alone; see [`deletes`].
    deletes: Mutex<HashSet<i64>>,
    /// Of the thorough report that is being made.
    report_progress: Mutex<Option<ReportProgress>>,
}

impl Shared {
    fn watch_report(&self, progress: Option<ReportProgress>) {
        *self.report_progress.lock().unwrap_or_else(PoisonError::into_inner) = progress;
    }

    /// A read: each statement sees what is committed when it begins, or all of them one state with `is_snapshot`. It is
    /// tried again on another connection when the one it had was lost.
    async fn read<T>(&self, is_snapshot: bool, act: &OnSession<'_, T>) -> Answer<T> {
        let give_up_at = tokio::time::Instant::now() + self.settings.reconnect_max;
        let mut n_tries = 0;
        loop {
            let answer =
                match tokio::time::timeout(self.settings.statement_timeout, self.try_read(is_snapshot, act)).await {
                    Ok(answer) => answer,
                    // The connection was dropped half way, and the pool does not get it back.
                    Err(_) => {
                        self.database.distrust();
                        Err(Failure::NoConnection("the database did not answer in time".into()))
                    }
                };
            match answer {
                Err(failure) if failure.is_disconnection() && tokio::time::Instant::now() < give_up_at => {
                    self.database.note(Some(&failure));
                    n_tries += 1;
                    tokio::time::sleep(pause_before(n_tries)).await;
                }
                answer => return answer,
            }
        }
    }

    async fn try_read<T>(&self, is_snapshot: bool, act: &OnSession<'_, T>) -> Answer<T> {
        self.read_on(self.database.session().await?, is_snapshot, act).await
    }

    async fn read_on<T>(&self, session: Session, is_snapshot: bool, act: &OnSession<'_, T>) -> Answer<T> {
        let session = Abandoned::guard(session);
        if is_snapshot {
            session.get().begin_snapshot().await?;
        }
        let answer = act(session.get()).await;
        let session = session.done();
        if is_snapshot {
            session.roll_back().await;
        }
        answer
    }

    /// A write that is no commit: nobody follows it. In a transaction of its own, made again when another one was in its way.
    async fn write<T>(&self, act: &OnSession<'_, T>) -> Answer<T> {
        const CONFLICTS_MAX: u32 = 12;
        let give_up_at = tokio::time::Instant::now() + self.settings.reconnect_max;
        let mut n_tries = 0;
        loop {
            let failure = match self.try_write_alone(act).await {
                Err(failure) => failure,
                answer => return answer,
            };
            self.database.note(Some(&failure));
            let is_worth_it = (failure.is_conflict() && n_tries < CONFLICTS_MAX)
                || (failure.is_disconnection() && tokio::time::Instant::now() < give_up_at);
            if !is_worth_it {
                return Err(failure);
            }
            n_tries += 1;
            tokio::time::sleep(pause_before(n_tries)).await;
        }
    }

    async fn try_write_alone<T>(&self, act: &OnSession<'_, T>) -> Answer<T> {
        let session = self.database.session().await?;
        let worked = async {
            transaction::begin(self, &session, "").await?;
            act(&session).await
        };
        match worked.await {
            Ok(answer) => match session.batch("COMMIT").await {
                Ok(()) => Ok(answer),
                Err(failure) => {
                    session.give_up();
                    Err(if failure.is_disconnection() { Failure::InDoubt } else { failure })
                }
            },
            Err(failure) => {
                session.roll_back().await;
                Err(failure)
            }
        }
    }
}

/// A connection that is closed, not given back, if whoever has it is stopped half way.
struct Abandoned(Option<Session>);

impl Abandoned {
    fn guard(session: Session) -> Self {
        Self(Some(session))
    }

    fn get(&self) -> &Session {
        let Some(session) = &self.0 else { unreachable!("it is taken only by the end") };
        session
    }

    fn done(mut self) -> Session {
        let Some(session) = self.0.take() else { unreachable!("it is taken only here") };
        session
    }
}

impl Drop for Abandoned {
    fn drop(&mut self) {
        if let Some(session) = self.0.take() {
            session.give_up();
        }
    }
}

/// The answer of a store that is being closed.
fn stopped() -> Error {
    Error::new(Kind::Internal, "the store has stopped")
}

/// Faces, persons, keys and jobs in a database, for one of its servers. See the module's page.
pub struct PostgresStore {
    shared: Arc<Shared>,
    /// Given up when the store is dropped.
    runtime: Option<Runtime>,
    /// When it was tried last whether something can be written.
    probed_at: Mutex<Option<Instant>>,
    /// Servers with jobs under way that were not seen when that was looked at last.
    absent: Mutex<BTreeSet<i32>>,
    /// Claims of this server that none of its workers was at when that was looked for last.
    orphaned: Mutex<Vec<JobLease>>,
}

impl PostgresStore {
    /// Connects, makes or upgrades the layout, and fills `index`, which follows from then on.
    ///
    /// [`Kind::Overloaded`] if the database cannot be reached, [`Kind::InvalidArgument`] if it cannot be used: another
    /// program's tables, another encoding than UTF-8, a newer layout.
    pub fn open(
        address: Address,
        index: Arc<dyn VectorIndex>,
        settings: Settings,
        clock: Arc<dyn Clock>,
    ) -> Result<Self> {
        Self::open_with(address, index, settings, clock, true, Beside::default())
    }

    /// The same with large face sets in Milvus, and the others in `index`. Milvus need not be there yet.
    #[cfg(feature = "milvus")]
    pub fn open_with_milvus(
        address: Address,
        index: Arc<dyn VectorIndex>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        milvus: crate::milvus::Settings,
    ) -> Result<Self> {
        let beside = Beside { milvus: Some(milvus), ..Beside::default() };
        Self::open_with(address, index, settings, clock, true, beside)
    }

    /// The same for a server, whose index keeps its rows in `folder`: where they are of a state that the database has had,
    /// a start takes what came since from the record of commits instead of reading every face. Of sets in Milvus it keeps
    /// and reads none.
    pub fn open_in(
        folder: &Path,
        address: Address,
        index: Arc<dyn VectorIndex>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        milvus: Option<Milvus>,
    ) -> Result<Self> {
        let beside = Beside { milvus, folder: Some(folder.to_owned()) };
        Self::open_with(address, index, settings, clock, true, beside)
    }

    /// Milvus beside what the servers of this database do with it, for commands that compare or have something copied anew.
    #[cfg(feature = "milvus")]
    pub fn milvus(&self, milvus: crate::milvus::Settings) -> Pending<'_, Arc<crate::milvus::MilvusIndex>> {
        let Some(runtime) = &self.runtime else { return Box::pin(std::future::ready(Err(stopped()))) };
        let handle = runtime.handle().clone();
        let (database, timeout) = (Arc::clone(&self.shared.database), self.shared.settings.statement_timeout);
        self.spawn("open the index in Milvus", async move {
            let truth = Arc::new(milvus::MilvusTruth::open(database, timeout).await?);
            let nothing = Arc::new(crate::index::BruteForceIndex::new());
            Ok(Arc::new(crate::milvus::MilvusIndex::new(nothing, truth, milvus, handle)))
        })
    }

    /// The same for a command that only looks tenants and keys up or changes them, perhaps beside running servers: no index is
    /// filled, so [`Self::index`] refuses every search.
    pub fn open_without_index(address: Address, settings: Settings, clock: Arc<dyn Clock>) -> Result<Self> {
        Self::open_with(
            address,
            Arc::new(crate::index::BruteForceIndex::new()),
            settings,
            clock,
            false,
            Beside::default(),
        )
    }

    fn open_with(
        address: Address,
        index: Arc<dyn VectorIndex>,
        settings: Settings,
        clock: Arc<dyn Clock>,
        is_following: bool,
        beside: Beside,
    ) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(settings.n_threads.max(1))
            .thread_name("store-postgres")
            .enable_all()
            .build()
            .map_err(|error| Error::internal("cannot start the threads of the store", error))?;
        let doing = format!("open the store in `{}`", address.shown);
        let opened = runtime.spawn(start(address, index, settings, clock, is_following, beside));
        match wait_for(opened) {
            Ok(Ok(shared)) => Ok(Self {
                shared,
                runtime: Some(runtime),
                probed_at: Mutex::new(None),
                absent: Mutex::default(),
                orphaned: Mutex::default(),
            }),
            Ok(Err(failure)) => {
                runtime.shutdown_background();
                let (is_away, cure) = (failure.is_disconnection(), failure.cure());
                let error = failure.into_error(&doing);
                Err(match cure {
                    Some(cure) => error.with_hint(cure),
                    None if is_away => error.with_hint(errors::NOT_REACHED),
                    None => error,
                })
            }
            Err(_) => {
                runtime.shutdown_background();
                Err(stopped())
            }
        }
    }

    /// The index to search in: before it answers it waits until it is where the database is, so that it sees every write that
    /// was acknowledged by any server before. It refuses with [`Kind::Overloaded`] while the database cannot be asked.
    pub fn index(&self) -> Arc<dyn VectorIndex> {
        let Some(runtime) = &self.runtime else { unreachable!("it is there until the store is dropped") };
        Arc::new(fresh::FreshIndex { shared: Arc::clone(&self.shared), runtime: runtime.handle().clone() })
    }

    fn node(&self) -> i32 {
        self.shared.node
    }

    /// Runs a call on the store's own threads: it goes on when the caller hangs up.
    fn spawn<T: Send + 'static>(
        &self,
        doing: &'static str,
        call: impl Future<Output = Answer<T>> + Send + 'static,
    ) -> Pending<'_, T> {
        let Some(runtime) = &self.runtime else { return Box::pin(std::future::ready(Err(stopped()))) };
        let shared = Arc::clone(&self.shared);
        if shared.waiting.available_permits() == 0 {
            let message = format!("cannot {doing}: too many calls wait for the database, try again in a moment");
            return Box::pin(std::future::ready(Err(Error::new(Kind::Overloaded, message))));
        }
        let running = runtime.spawn(async move {
            let _room = shared.waiting.acquire().await;
            call.await
        });
        Box::pin(async move {
            match running.await {
                Ok(answer) => answer.map_err(|failure| failure.into_error(doing)),
                Err(_) => Err(stopped()),
            }
        })
    }

    fn read<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Session) -> Step<'a, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.spawn(doing, async move { shared.read(false, &act).await })
    }

    /// The same where several statements have to see one state.
    fn read_snapshot<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Session) -> Step<'a, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        self.spawn(doing, async move { shared.read(true, &act).await })
    }

    /// A write on somebody's behalf, which is kept as a commit.
    fn write_as<T, F>(&self, actor: Actor, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a mut WriteTx) -> Step<'a, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let turn = shared.turns.take(actor.tenant);
        let committed = self.spawn(doing, async move { shared.write_as(turn, &actor, &act).await });
        Box::pin(committed.instrument(tracing::info_span!(target: STEPS, "commit")))
    }

    /// A write that nobody follows.
    fn write<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: for<'a> Fn(&'a Session) -> Step<'a, T> + Send + Sync + 'static,
    {
        let shared = Arc::clone(&self.shared);
        let committed = self.spawn(doing, async move { shared.write(&act).await });
        Box::pin(committed.instrument(tracing::info_span!(target: STEPS, "commit")))
    }

    /// Erases what is past its time, `n_rows` at a time; `sql` erases at most `$2` rows that expired at `$1`.
    fn purge(&self, doing: &'static str, now: TimestampMs, sql: &'static str, n_rows: i64) -> Pending<'_, u64> {
        let shared = Arc::clone(&self.shared);
        self.spawn(doing, async move {
            let mut n_gone = 0;
            loop {
                let n_more = shared
                    .write(&move |session| Box::pin(async move { session.execute(sql, &[&now.0, &n_rows]).await }))
                    .await?;
                n_gone += n_more;
                if n_more < n_rows.cast_unsigned() {
                    return Ok(n_gone);
                }
            }
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.shared.database.close();
        if let Some(runtime) = self.runtime.take() {
            // Whoever drops it may be a task of another runtime, which must not wait.
            runtime.shutdown_background();
        }
    }
}

/// What is to be known of Milvus; a program without it knows nothing.
#[cfg(feature = "milvus")]
pub type Milvus = crate::milvus::Settings;
/// Without the feature `milvus` there is none.
#[cfg(not(feature = "milvus"))]
pub type Milvus = std::convert::Infallible;

/// What a server may have beside its index.
#[derive(Default)]
struct Beside {
    milvus: Option<Milvus>,
    folder: Option<PathBuf>,
}

/// The index that has large sets in Milvus, if there is one.
#[cfg(feature = "milvus")]
type Outside = Option<Arc<crate::milvus::MilvusIndex>>;
#[cfg(not(feature = "milvus"))]
type Outside = Option<std::convert::Infallible>;

/// The index, with Milvus before it if there is one, which is written to from then on.
#[cfg(feature = "milvus")]
async fn with_milvus(
    database: &Arc<Database>,
    index: Arc<dyn VectorIndex>,
    settings: &Settings,
    milvus: Option<Milvus>,
) -> Answer<(Arc<dyn VectorIndex>, Outside)> {
    let Some(milvus) = milvus else { return Ok((index, None)) };
    let truth = Arc::new(milvus::MilvusTruth::open(Arc::clone(database), settings.statement_timeout).await?);
    let index = Arc::new(crate::milvus::MilvusIndex::new(index, truth, milvus, tokio::runtime::Handle::current()));
    tokio::spawn(Arc::clone(&index).run());
    Ok((Arc::clone(&index) as _, Some(index)))
}

/// How the service is in which large sets are searched.
#[cfg(feature = "milvus")]
fn outside_health(shared: &Shared) -> Option<OutsideHealth> {
    let health = shared.outside.as_ref()?.health();
    let now = shared.clock.now().0;
    let since = |at: Instant| TimestampMs(now - i64::try_from(at.elapsed().as_millis()).unwrap_or(now));
    Some(OutsideHealth {
        name: "Milvus",
        trouble: health.trouble.map(|found| OutsideTrouble {
            since: since(found.since),
            why: found.why,
            cure: found.cure,
        }),
        n_sets: health.n_sets as u64,
        n_sets_moving: health.n_sets_moving as u64,
        n_sets_refused: health.n_sets_refused as u64,
        n_commits_behind: health.n_commits_behind,
        n_faces_behind: health.n_faces_behind as u64,
    })
}

#[cfg(not(feature = "milvus"))]
fn outside_health(shared: &Shared) -> Option<likeness_domain::ports::OutsideHealth> {
    let _ = &shared.outside;
    None
}

#[cfg(not(feature = "milvus"))]
async fn with_milvus(
    _: &Arc<Database>,
    index: Arc<dyn VectorIndex>,
    _: &Settings,
    _: Option<Milvus>,
) -> Answer<(Arc<dyn VectorIndex>, Outside)> {
    Ok((index, None))
}

/// Opens the database and starts what goes on beside the calls.
async fn start(
    address: Address,
    index: Arc<dyn VectorIndex>,
    settings: Settings,
    clock: Arc<dyn Clock>,
    is_following: bool,
    Beside { milvus, folder }: Beside,
) -> Answer<Arc<Shared>> {
    let answer_max = settings.statement_timeout + session::ANSWER_MARGIN;
    let database = Arc::new(Database::new(address, settings.n_connections, settings.reconnect_max, Some(answer_max))?);
    database.refuse_hidden_pooler().await?;
    let session = database.session().await?;
    schema::migrate(&session).await?;
    let node = session.one("SELECT (random() * 2147483646)::int4", &[]).await?.try_get(0)?;
    drop(session);
    let (index, outside) = with_milvus(&database, index, &settings, milvus).await?;
    let (follower, questions) =
        Follower::new(Arc::clone(&index), kept::note_in(folder.as_deref())?, settings.waiting_max);
    let shared = Arc::new(Shared {
        database,
        follower,
        index,
        outside,
        clock,
        settings,
        node,
        is_following,
        turns: Turns::default(),
        waiting: Semaphore::new(settings.waiting_max.clamp(1, Semaphore::MAX_PERMITS)),
        erase: Notify::new(),
        deletes: Mutex::default(),
        report_progress: Mutex::new(None),
    });
    if !is_following {
        return Ok(shared);
    }
    let (filled, is_filled) = oneshot::channel();
    tokio::spawn(follower::follow(Arc::clone(&shared), filled));
    is_filled.await.unwrap_or_else(|_| Err(Failure::NoConnection("the index could not be filled".into())))?;
    tokio::spawn(follower::answer_questions(Arc::clone(&shared), questions));
    tokio::spawn(follower::listen(Arc::clone(&shared)));
    tokio::spawn(erase::maintain(Arc::clone(&shared)));
    Ok(shared)
}

impl GalleryStore for PostgresStore {
    fn create_face_set(&self, actor: Actor, new: NewFaceSet, face_sets_max: Option<u64>) -> Pending<'_, FaceSet> {
        let tenant = actor.tenant;
        self.write_as(actor, "make the face set", move |tx| {
            Box::pin(face_sets::create(tx, tenant, new.clone(), face_sets_max))
        })
    }

    fn face_set(&self, tenant: TenantId, name: FaceSetName) -> Pending<'_, Option<FaceSetSummary>> {
        self.read("look up the face set", move |session| {
            let name = name.clone();
            Box::pin(async move { face_sets::named(session, tenant, &name).await })
        })
    }

    fn face_set_by_id(&self, tenant: TenantId, id: FaceSetId) -> Pending<'_, Option<FaceSetSummary>> {
        self.read("look up the face set", move |session| Box::pin(face_sets::by_id(session, tenant, id)))
    }

    fn update_face_set(&self, actor: Actor, face_set: FaceSetId, patch: FaceSetPatch) -> Pending<'_, FaceSet> {
        let tenant = actor.tenant;
        self.write_as(actor, "change the face set", move |tx| {
            Box::pin(face_sets::update(tx, tenant, face_set, patch.clone()))
        })
    }

    fn face_sets(&self, tenant: TenantId) -> Pending<'_, Vec<FaceSetSummary>> {
        self.read("list the face sets", move |session| Box::pin(face_sets::list(session, tenant)))
    }

    fn face_set_bytes(&self, tenant: TenantId, face_set: FaceSetId) -> Pending<'_, FaceSetBytes> {
        self.read("count the bytes of the face set", move |session| {
            Box::pin(face_sets::bytes(session, tenant, face_set))
        })
    }

    fn delete_face_set(&self, actor: Actor, face_set: FaceSetId, only_if_empty: bool) -> Pending<'_, ()> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the face set", move |tx| {
            Box::pin(face_sets::delete(tx, tenant, face_set, only_if_empty))
        })
    }

    fn add_faces_of(
        &self,
        actor: Actor,
        faces: Vec<(FaceOwner, Vec<NewFace>)>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Face>> {
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "add the faces", move |tx| {
            let faces = faces.clone();
            Box::pin(async move { faces::add(tx, tenant, faces, &limits).await })
        })
    }

    fn faces(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Pending<'_, Vec<Face>> {
        self.read("look up the faces", move |session| Box::pin(faces::by_id(session, tenant, scope, ids.clone())))
    }

    fn templates(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: PackId,
    ) -> Pending<'_, Vec<(FaceId, Template)>> {
        self.read("look up the templates", move |session| {
            let (ids, pack) = (ids.clone(), pack.clone());
            Box::pin(async move { templates::by_id(session, tenant, scope, ids, &pack).await })
        })
    }

    fn faces_with_templates(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        from: u64,
        limit: u64,
    ) -> Pending<'_, TemplatePage> {
        self.read_snapshot("read the templates", move |session| {
            Box::pin(templates::page(session, tenant, face_set, from, limit))
        })
    }

    fn thumbnails(
        &self,
        tenant: TenantId,
        scope: FaceScope,
        ids: Vec<FaceId>,
    ) -> Pending<'_, Vec<(FaceId, Thumbnail)>> {
        self.read("look up the thumbnails", move |session| {
            Box::pin(thumbnails::by_id(session, tenant, scope, ids.clone()))
        })
    }

    fn keeps_thumbnails(&self, tenant: TenantId) -> Pending<'_, bool> {
        self.read("look up which sets keep thumbnails", move |session| Box::pin(thumbnails::are_kept(session, tenant)))
    }

    fn put_templates(&self, actor: Actor, templates: Vec<(FaceId, Template)>) -> Pending<'_, ()> {
        let tenant = actor.tenant;
        self.write_as(actor, "add the templates", move |tx| Box::pin(templates::put(tx, tenant, templates.clone())))
    }

    fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Pending<'_, Vec<FaceSet>> {
        self.read("look up the faces' sets", move |session| {
            Box::pin(templates::face_sets_showing(session, tenant, faces.clone()))
        })
    }

    fn list_faces(&self, tenant: TenantId, scope: FaceScope, page: Page) -> Pending<'_, Vec<Face>> {
        self.read("list the faces", move |session| Box::pin(faces::list(session, tenant, scope, page)))
    }

    fn faces_from(&self, tenant: TenantId, scope: FaceScope, from: u64, limit: u64) -> Pending<'_, FacePage> {
        self.read_snapshot("list the faces", move |session| Box::pin(faces::page(session, tenant, scope, from, limit)))
    }

    fn faces_at(&self, tenant: TenantId, face_set: FaceSetId, places: Vec<u64>) -> Pending<'_, Vec<Face>> {
        let places: Vec<i64> = places.into_iter().map(rows::number).collect();
        self.read("list the faces", move |session| {
            let places = places.clone();
            Box::pin(async move { faces::at(session, tenant, FaceScope::FaceSet(face_set), &places).await })
        })
    }

    fn places_beginning(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        texts: Vec<String>,
        limit: u64,
    ) -> Pending<'_, Vec<u64>> {
        self.read("find the faces", move |session| {
            Box::pin(faces::beginning(session, tenant, face_set, texts.clone(), limit))
        })
    }

    fn external_ids_of(&self, tenant: TenantId, ids: Vec<OwnersId>) -> Pending<'_, Vec<(OwnersId, FaceId)>> {
        self.read("look up the external ids", move |session| {
            Box::pin(faces::external_ids(session, tenant, ids.clone()))
        })
    }

    fn update_face(
        &self,
        actor: Actor,
        scope: FaceScope,
        face: FaceId,
        patch: FacePatch,
        now: TimestampMs,
    ) -> Pending<'_, Face> {
        let tenant = actor.tenant;
        self.write_as(actor, "change the face", move |tx| {
            Box::pin(faces::update(tx, tenant, scope, face, patch.clone(), now))
        })
    }

    fn delete_faces(&self, actor: Actor, scope: FaceScope, selector: FaceSelector) -> Pending<'_, Vec<FaceId>> {
        let shared = Arc::clone(&self.shared);
        let turn = shared.turns.take(actor.tenant);
        let deleted = self
            .spawn("delete the faces", async move { deletes::delete(&shared, turn, &actor, (scope, &selector)).await });
        Box::pin(deleted.instrument(tracing::info_span!(target: STEPS, "commit")))
    }

    fn create_person(
        &self,
        actor: Actor,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, (Person, Vec<FaceSet>)> {
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "make the person", move |tx| {
            let (new, join) = (new.clone(), join.clone());
            Box::pin(async move { persons::create(tx, tenant, new, join, &limits).await })
        })
    }

    fn make_members(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        persons: Vec<NewPerson>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Person>> {
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "make the persons members", move |tx| {
            let persons = persons.clone();
            Box::pin(async move { persons::make_members(tx, tenant, face_set, persons, &limits).await })
        })
    }

    fn person(&self, tenant: TenantId, key: PersonKey) -> Pending<'_, Option<Person>> {
        self.read("look up the person", move |session| {
            let key = key.clone();
            Box::pin(async move { persons::by_key(session, tenant, &key).await })
        })
    }

    fn persons(&self, tenant: TenantId, ids: Vec<PersonId>) -> Pending<'_, Vec<Person>> {
        self.read("look up the persons", move |session| Box::pin(persons::by_id(session, tenant, ids.clone())))
    }

    fn n_faces_of_person(&self, tenant: TenantId, person: PersonId) -> Pending<'_, u64> {
        self.read("count the faces of the person", move |session| Box::pin(persons::n_faces(session, tenant, person)))
    }

    fn persons_named(
        &self,
        tenant: TenantId,
        keys: Vec<PersonKey>,
        face_set: FaceSetId,
    ) -> Pending<'_, Vec<(PersonSummary, bool)>> {
        self.read("look up the persons", move |session| {
            Box::pin(persons::named(session, tenant, keys.clone(), face_set))
        })
    }

    fn persons_after(&self, tenant: TenantId, after: Option<PersonKey>, limit: u64) -> Pending<'_, Vec<PersonSummary>> {
        self.read("list the persons", move |session| {
            let after = after.clone();
            Box::pin(async move { persons::after(session, tenant, after.as_ref(), limit).await })
        })
    }

    fn move_faces(&self, actor: Actor, faces: FaceMove, limits: Option<Limits>) -> Pending<'_, Vec<Face>> {
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "move the faces", move |tx| {
            let faces = faces.clone();
            Box::pin(async move { persons::move_faces(tx, tenant, faces, &limits).await })
        })
    }

    fn update_person(&self, actor: Actor, person: PersonId, patch: PersonPatch) -> Pending<'_, Person> {
        let tenant = actor.tenant;
        self.write_as(actor, "change the person", move |tx| {
            Box::pin(persons::update(tx, tenant, person, patch.clone()))
        })
    }

    fn delete_person(&self, actor: Actor, person: PersonId) -> Pending<'_, u64> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the person", move |tx| Box::pin(persons::delete(tx, tenant, person)))
    }

    fn delete_merged_person(&self, actor: Actor, person: PersonId, into: PersonId) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the person", move |tx| Box::pin(persons::delete_merged(tx, tenant, person, into)))
    }

    fn join_face_sets(
        &self,
        actor: Actor,
        person: PersonId,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<FaceSet>> {
        let (tenant, limits) = (actor.tenant, limits.unwrap_or(Limits::NONE));
        self.write_as(actor, "join the face sets", move |tx| {
            let join = join.clone();
            Box::pin(async move { persons::join(tx, tenant, person, join, &limits).await })
        })
    }

    fn leave_face_sets(&self, actor: Actor, person: PersonId, names: Vec<FaceSetName>) -> Pending<'_, Vec<FaceSet>> {
        let tenant = actor.tenant;
        self.write_as(actor, "leave the face sets", move |tx| {
            let names = names.clone();
            Box::pin(async move { persons::leave(tx, tenant, person, &names).await })
        })
    }

    fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Pending<'_, Vec<FaceSet>> {
        self.read("list the person's face sets", move |session| {
            Box::pin(persons::face_sets_of(session, tenant, person))
        })
    }

    fn members(&self, tenant: TenantId, face_set: FaceSetId, page: Page) -> Pending<'_, (Vec<Person>, u64)> {
        self.read_snapshot("list the members", move |session| {
            Box::pin(face_sets::members(session, tenant, face_set, page))
        })
    }

    fn usage(&self, tenant: TenantId) -> Pending<'_, TenantUsage> {
        self.read("see what the tenant has", move |session| Box::pin(usage::of_tenant(session, tenant)))
    }

    fn delete_tenant(&self, actor: Actor) -> Pending<'_, bool> {
        let tenant = actor.tenant;
        self.write_as(actor, "delete the tenant", move |tx| Box::pin(tenants::delete(tx, tenant)))
    }

    fn changes_after(&self, revision: Revision, limit: usize) -> Pending<'_, CommitPage> {
        self.read_snapshot("read the commits", move |session| Box::pin(commits::after(session, revision, limit)))
    }

    fn record_after(&self, tenant: TenantId, after: RecordPlace, limit: usize) -> Pending<'_, RecordPage> {
        self.read_snapshot("read the record of commits", move |session| {
            Box::pin(commits::record_after(session, tenant, after, limit))
        })
    }

    fn health(&self) -> StoreHealth {
        let is_behind = || !self.shared.follower.keeps_up(self.shared.settings.index_wait_max);
        let behind = || is_behind().then(|| "the index is behind the database".to_owned());
        let database = &self.shared.database;
        let full = || database.is_full().then(|| errors::FULL.to_owned());
        StoreHealth {
            write_failure: database.trouble().or_else(full).or_else(behind),
            outside: outside_health(&self.shared),
            n_losses: self.shared.follower.n_losses(),
            ..StoreHealth::default()
        }
    }

    fn probe_writes(&self) -> Pending<'_, ()> {
        const PAUSE: Duration = Duration::from_secs(1);
        {
            let mut probed_at = self.probed_at.lock().unwrap_or_else(PoisonError::into_inner);
            if probed_at.is_some_and(|at| at.elapsed() < PAUSE) {
                return Box::pin(std::future::ready(Ok(())));
            }
            *probed_at = Some(Instant::now());
        }
        // It changes nothing, but a server that is read-only or whose disk is full refuses it.
        let database = Arc::clone(&self.shared.database);
        let room_due = database.room_due();
        let written = self.write("write to the database", move |session| {
            Box::pin(async move {
                if room_due.is_some() {
                    session::need_room(session).await?;
                }
                let sql = "UPDATE likeness_layout AS l SET version = l.version FROM store";
                match session.execute(sql, &[]).await {
                    // This server is not busy: it has nothing to do here any more.
                    Err(failure) if failure.is_moved_away() => Err(Failure::said(Kind::Internal, errors::MOVED_AWAY)),
                    written => written.map(drop),
                }
            })
        });
        Box::pin(async move {
            written.await?;
            if let Some(due) = room_due {
                database.note_room(due);
            }
            Ok(())
        })
    }

    fn report(&self, thorough: bool) -> Pending<'_, StoreReport> {
        let shared = Arc::clone(&self.shared);
        self.spawn("report on the store", async move {
            let within = Arc::clone(&shared);
            let look: Box<OnSession<'_, StoreReport>> = Box::new(move |session| {
                let shared = Arc::clone(&within);
                Box::pin(async move { report::report(&shared, session, thorough).await })
            });
            // Every row may be looked at.
            let answer = async {
                let session = shared.database.session().await?.without_limit();
                shared.read_on(session, true, &*look).await
            };
            let answer = answer.await;
            shared.watch_report(None);
            let mut report = answer?;
            report.problems.extend(shared.follower.losses());
            Ok(report)
        })
    }

    fn acknowledge_losses(&self) -> Pending<'_, Vec<String>> {
        Box::pin(std::future::ready(Ok(self.shared.follower.acknowledge_losses())))
    }

    fn report_progress(&self) -> Option<ReportProgress> {
        *self.shared.report_progress.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
