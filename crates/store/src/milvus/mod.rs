//! An index whose large face sets are in Milvus: what no node can hold is searched there, and answered exactly from the store.
//!
//! # The design on one page
//! The store ([`Truth`]) has everything; Milvus has copies of the vectors of sets from some size on ([`Settings`]), with a
//! key made of set and face, the partition key being the set, vectors of length 1 and the inner product as the measure. One
//! collection holds all templates of a pack. Smaller sets stay in the index within the node, as if there were no Milvus.
//!
//! **Writes.** A commit is acknowledged when this index has it in the *tail* of its set, in memory ([`tail`]). The record of
//! commits is the outbox: one node at a time ([`Truth::lead`]) reads what commits after a kept *position* touched, writes
//! those rows as the truth has them by now, deletes those that are gone, and then moves the position ([`outbox`]). A crash
//! anywhere between leaves the position behind what Milvus has; writing the same again ends in the same rows.
//!
//! **Milvus' crashes.** What Milvus confirms may be in its memory only, where its log is not as durable as ours. So it is told
//! now and then to write its files, up to a position that is kept as well ([`truth::Outbox::flushed`]), and after each new
//! connection the outbox begins from there once more: searches are overlaid from there, too, until it has caught up. A Milvus
//! whose files are older than that, as those of a copy that was put back, shows it by its *mark*, a row in each collection with
//! the revision up to which it was told to write: its face sets are copied anew.
//! Both are counted in the outbox before Milvus is told anything ([`truth::Outbox::n_taken_back`]): rows may be missing in it for
//! a moment from then on, and a search whose node had not heard of it is made again.
//!
//! **Reads.** Milvus is asked for what it had at the position ([`truth::Outbox::seen`], its own clock), so no search waits
//! for its clock to move on. Later changes come from the tail, row by row and exactly; a node whose tail does not reach back
//! to the position reads the rest from the record, up to a bound, and refuses beyond it ("try again"). Milvus' candidates,
//! more than are wanted, are looked up in the truth by their primary keys: whoever is gone there is not returned, whatever
//! Milvus says, and what is there is ranked anew by its f32 vector, so similarities, their order and ties are those of a full
//! scan. What is approximate is only whether Milvus' graph names every candidate: `docs/scale.md` says how many it names.
//!
//! **Filters** go along as far as Milvus knows the values ([`expression`]), as one that passes too much, never too little, and
//! are evaluated on the rows of the truth. Fewer candidates than were asked for are not taken for all there are, as a graph
//! that is walked for few rows loses some: Milvus then lists the rows that pass. Where that leaves too few hits, more
//! candidates are asked for, up to Milvus' own
//! bound, and then the set is scanned in the truth for as long as a search may take.
//! Deletes and counts by filter ([`VectorIndex::matching`]) have to be exact: they always scan the truth.
//!
//! **Without Milvus** small sets go on. Searches in large ones are refused with "try again", writes are accepted, and the
//! position stays where it was; it moves on by itself afterwards. Commits that were compacted before Milvus had them, and
//! collections that somebody dropped, make a set be copied anew: until that is done its searches are refused.
//!
//! | Part | What it is |
//! |---|---|
//! | `truth` | what is asked of the store |
//! | `outbox` | from the record of commits to Milvus; comparing and mending |
//! | `tail` | what Milvus does not have yet |
//! | `expression` | filters as Milvus evaluates them |
//! | `client`, `messages`, `grpc` | Milvus' protocol |

mod client;
mod expression;
mod grpc;
mod messages;
mod outbox;
mod search;
mod tail;
pub mod truth;

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, Instant};

use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GallerySearch, Hit, KeptRows, Pending, VectorIndex};
use likeness_domain::types::{FaceSetId, PackId, Revision};
use likeness_domain::{Error, Kind, Result};
use tokio::runtime::Handle;
use tokio::sync::Notify;

use self::client::Client;
pub use self::grpc::Address;
use self::tail::Tail;
use self::truth::{LargeSet, Outbox, Place, Stage, Truth};

/// How long whoever has nothing to do rests before it looks again.
const REST: Duration = Duration::from_millis(250);

/// Pause after Milvus or the store could not be reached.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

/// What an operator may choose.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where Milvus is.
    pub address: Address,
    /// The database in Milvus; empty for its default one.
    pub database: String,
    /// Face sets with at least so many faces move to Milvus.
    pub from_faces: u64,
    /// Most changed rows of a set that are kept in memory because Milvus does not have them yet.
    pub tail_rows_max: usize,
    /// How long Milvus may take for an answer.
    pub deadline: Duration,
    /// How often it is looked which sets are large by now, and whether Milvus still has its collections.
    pub look_every: Duration,
    /// How often Milvus is told to write what it has confirmed to its files. What came since is written to it again when its
    /// process may have ended, which a new connection means.
    pub flush_every: Duration,
    /// For how long nothing is written to a Milvus that was connected to anew: it may be starting, and some lose then what
    /// they confirm. Searches are overlaid from what is in its files for six times as long.
    pub settling: Duration,
    /// How long a set goes on being searched in the nodes, after it was copied and Milvus has made its graph, for Milvus'
    /// searching part to take that over.
    pub graph_wait_max: Duration,
    /// How long a search may scan the truth where Milvus' candidates do not suffice.
    pub scan_max: Duration,
}

impl Settings {
    /// What suits sets of millions of faces.
    pub fn new(address: Address) -> Self {
        Self {
            address,
            database: String::new(),
            from_faces: 10_000_000,
            tail_rows_max: 50_000,
            deadline: Duration::from_secs(5),
            look_every: Duration::from_secs(5),
            flush_every: Duration::from_secs(60),
            settling: Duration::from_secs(10),
            graph_wait_max: Duration::from_secs(600),
            scan_max: Duration::from_secs(20),
        }
    }
}

/// What was found by comparing Milvus with the truth.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Differences {
    /// Faces in the gallery, by the truth.
    pub n_truth: u64,
    /// Rows that Milvus has of the set.
    pub n_milvus: u64,
    /// Of every row's key, vector and values; the same for equal rows in any order.
    pub digest_truth: u64,
    /// The same of Milvus' rows.
    pub digest_milvus: u64,
    /// Faces that Milvus does not have.
    pub n_missing: u64,
    /// Rows that Milvus has with another vector or other values.
    pub n_stale: u64,
    /// Rows of faces that are gone.
    pub n_surplus: u64,
    /// Rows that changed each time they were looked at, or that Milvus had yet to get: nobody knows whether they differ.
    pub n_unsettled: u64,
}

impl Differences {
    /// Whether Milvus has what the truth has.
    pub fn is_none(&self) -> bool {
        self.n_missing == 0 && self.n_stale == 0 && self.n_surplus == 0 && self.n_unsettled == 0
    }
}

/// How it is about Milvus, as a node knows it.
#[derive(Debug, Clone, Default)]
pub struct Health {
    /// Why Milvus cannot be used; `None` while it answers.
    pub trouble: Option<Trouble>,
    /// Face sets that are in Milvus, or on their way.
    pub n_sets: usize,
    /// Of those, the ones that are copied for the first time.
    pub n_sets_moving: usize,
    /// Those that are copied anew, or will be.
    pub n_sets_refused: usize,
    /// Commits that Milvus does not have yet.
    pub n_commits_behind: u64,
    /// Changed faces that it does not have yet, as far as they are in this node's memory.
    pub n_faces_behind: usize,
}

/// Why Milvus cannot be used, and since when.
#[derive(Debug, Clone)]
pub struct Trouble {
    /// When that was found.
    pub since: Instant,
    /// What it says, or that it does not answer.
    pub why: String,
    /// What is to be changed, where it does not pass by itself.
    pub cure: Option<&'static str>,
}

/// The name of a collection that there is not: whoever asks for it learns whether Milvus answers, and whether it takes the
/// password and has the database.
const NO_COLLECTION: &str = "likeness_is_there";

/// What this node knows.
#[derive(Default)]
struct State {
    /// As it was loaded last.
    outbox: Outbox,
    packs: HashMap<FaceSetId, PackId>,
    tails: HashMap<FaceSetId, Tail>,
    /// Faces in the galleries of the sets in Milvus, as they were counted last.
    n_faces: HashMap<FaceSetId, u64>,
    /// Sets that the index within the node does not have.
    left_out: HashSet<FaceSetId>,
    /// Sets that this node holds although Milvus has them: they were wanted in the nodes when it began to be filled.
    held: HashSet<FaceSetId>,
    /// The commit that was applied last.
    at: Revision,
    /// Between a restart and the resumption.
    is_filling: bool,
}

impl State {
    fn stage(&self, face_set: FaceSetId) -> Option<Stage> {
        self.outbox.sets.get(&face_set).map(|set| set.stage)
    }

    /// Whether searches in the set are Milvus' business.
    fn is_in_milvus(&self, face_set: FaceSetId) -> bool {
        matches!(self.stage(face_set), Some(Stage::Served | Stage::Refilling)) && !self.held.contains(&face_set)
    }

    /// Whether searches in the set are to be answered here: also by a refusal, where this node no longer has the set and
    /// Milvus does not have it either.
    fn is_ours(&self, face_set: FaceSetId) -> bool {
        self.is_in_milvus(face_set) || self.left_out.contains(&face_set)
    }
}

struct Shared {
    /// Has the sets that are not in Milvus.
    inner: Arc<dyn VectorIndex>,
    truth: Arc<dyn Truth>,
    client: Client,
    settings: Settings,
    state: RwLock<State>,
    /// Whoever changes the index within the node.
    turn: tokio::sync::Mutex<()>,
    /// There may be something to hand to Milvus.
    wake: Notify,
    /// When it was looked last whether the collections are there.
    looked_at: Mutex<Option<Instant>>,
    flushes: Mutex<Flushes>,
    /// Why Milvus could not be used when it was asked last, and when that was.
    trouble: Mutex<(Option<Trouble>, Option<Instant>)>,
}

/// What is known of Milvus' files.
struct Flushes {
    /// When it was told last to write to them.
    at: Instant,
    /// Connections to Milvus when it was certain what it has; `None` in a process that has yet to find out.
    n_connections: Option<u64>,
    /// Connections to Milvus when its marks were looked at; see [`outbox`].
    n_at_marks: Option<u64>,
    /// Of sets that are being copied: the place up to which rows are in the files.
    copied: HashMap<FaceSetId, u64>,
    /// Of sets that are copied and whose graph is made: since when Milvus is asked whether it searches by it.
    graph_since: HashMap<FaceSetId, Instant>,
}

impl Shared {
    /// Finds out now and then whether Milvus answers, which a node that does not write to it would not notice; at once with
    /// `is_due`.
    async fn look(&self, is_due: bool) {
        {
            let mut found = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
            let pause = if found.0.is_some() { RETRY_PAUSE } else { self.settings.look_every.max(RETRY_PAUSE) };
            if !is_due && found.1.is_some_and(|at| at.elapsed() < pause) {
                return;
            }
            found.1 = Some(Instant::now());
        }
        let fault = self.client.has(NO_COLLECTION).await.err();
        let milvus = self.client.address();
        let mut found = self.trouble.lock().unwrap_or_else(PoisonError::into_inner);
        let before = found.0.take();
        let Some(fault) = fault else {
            if before.is_some() {
                tracing::info!(?milvus, "Milvus answers again");
            }
            return;
        };
        let (why, cure) = (fault.why(), fault.cure());
        if before.as_ref().is_none_or(|before| before.cure != cure) {
            match cure {
                Some(cure) => tracing::error!(?milvus, why, hint = cure, "Milvus cannot be used the way it is set"),
                None => tracing::warn!(?milvus, why, "Milvus does not answer, searches in its face sets are refused"),
            }
        }
        let since = before.map_or_else(Instant::now, |before| before.since);
        found.0 = Some(Trouble { since, why, cure });
    }

    fn state(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn state_mut(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes over what is kept of the outbox: what Milvus has by now leaves the tails, and sets that it has leave the node.
    async fn refresh(&self) -> Result<()> {
        let loaded = self.load().await?;
        // Commits are applied meanwhile: what was loaded before them is older, which does no harm.
        let _turn = self.turn.lock().await;
        self.adopt(loaded).await
    }

    /// What Milvus has for certain: on a new connection that is what is in its files, until the node that writes to it has
    /// told it the rest once more.
    fn certain(&self, outbox: &Outbox) -> truth::Position {
        match self.client.is_new(self.settings.settling * 6) && outbox.flushed.revision < outbox.position.revision {
            true => outbox.flushed,
            false => outbox.position,
        }
    }

    /// For whoever has the turn: what comes from now on fills the index, but for sets that are in Milvus.
    async fn begin_filling(&self) -> Result<()> {
        {
            let mut state = self.state_mut();
            state.is_filling = true;
            state.packs.clear();
            state.left_out.clear();
            state.tails.clear();
        }
        // It has to be known which sets are not to be filled.
        let loaded = self.load().await?;
        self.adopt(loaded).await
    }

    async fn load(&self) -> Result<(Outbox, Vec<LargeSet>)> {
        let outbox = self.truth.load().await?;
        let counted = self.truth.large_sets(u64::MAX, outbox.sets.keys().copied().collect()).await?;
        Ok((outbox, counted))
    }

    /// For whoever has the turn.
    async fn adopt(&self, (outbox, counted): (Outbox, Vec<LargeSet>)) -> Result<()> {
        let leaving: Vec<FaceSetId> = {
            let mut state = self.state_mut();
            let state = &mut *state;
            state.n_faces = counted.into_iter().map(|set| (set.face_set, set.n_faces)).collect();
            state.tails.retain(|face_set, _| outbox.sets.contains_key(face_set));
            for face_set in outbox.sets.keys() {
                state.tails.entry(*face_set).or_insert_with(|| Tail::new(state.at));
            }
            // An older state may come after a newer one, when the database was promoted; tails then begin too late, which
            // searches notice.
            let certain = self.certain(&outbox).revision;
            state.tails.values_mut().for_each(|tail| tail.trim(certain));
            state.outbox = outbox;
            let chosen = &state.outbox.chosen;
            match state.is_filling {
                true => {
                    let wanted = chosen.iter().filter(|(_, place)| **place == Place::Nodes);
                    state.held = wanted.map(|(face_set, _)| *face_set).collect();
                }
                // They leave the node, as others do when they are served.
                false => state.held.retain(|face_set| {
                    let is_there = state.outbox.sets.get(face_set).is_some_and(|set| set.stage == Stage::Served);
                    !is_there || chosen.get(face_set) == Some(&Place::Nodes)
                }),
            }
            let is_served = |set: &FaceSetId| state.stage(*set) == Some(Stage::Served) && !state.held.contains(set);
            match state.is_filling {
                true => Vec::new(),
                false => {
                    let mut leaving: Vec<FaceSetId> = state.packs.keys().copied().filter(is_served).collect();
                    leaving.retain(|face_set| !state.left_out.contains(face_set));
                    leaving
                }
            }
        };
        if leaving.is_empty() {
            return Ok(());
        }
        self.inner.amend(leaving.iter().map(|&face_set| GalleryChange::Close { face_set }).collect()).await?;
        self.state_mut().left_out.extend(leaving);
        Ok(())
    }

    async fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Result<()> {
        let _turn = self.turn.lock().await;
        let passed_on = self.record(revision, changes);
        self.inner.apply(revision, passed_on).await?;
        self.state_mut().at = revision;
        self.wake.notify_one();
        Ok(())
    }

    /// Puts changes of sets in Milvus into their tails; what the index within the node is to apply.
    fn record(&self, revision: Revision, changes: Vec<GalleryChange>) -> Vec<GalleryChange> {
        let mut state = self.state_mut();
        let state = &mut *state;
        let mut passed_on = Vec::with_capacity(changes.len());
        for change in changes {
            let face_set = match &change {
                GalleryChange::Open { face_set, pack, .. } => {
                    state.packs.entry(*face_set).or_insert_with(|| pack.clone());
                    *face_set
                }
                GalleryChange::Close { face_set } => {
                    // The index within the node may still have it, from before it moved.
                    state.packs.remove(face_set);
                    state.left_out.remove(face_set);
                    *face_set
                }
                GalleryChange::Put { face_set, .. } | GalleryChange::Remove { face_set, .. } => *face_set,
            };
            let is_in_milvus = state.is_in_milvus(face_set);
            // What fills the index comes from the tables, which Milvus has.
            if !state.is_filling
                && let Some(tail) = state.tails.get_mut(&face_set)
                && is_of_pack(&change, state.packs.get(&face_set))
            {
                tail.record(revision, &change, self.settings.tail_rows_max);
            }
            match is_in_milvus && (state.is_filling || state.left_out.contains(&face_set)) {
                true => {
                    state.left_out.insert(face_set);
                }
                false => passed_on.push(change),
            }
        }
        passed_on
    }
}

/// Rows of another pack, or of a set that is gone, are in no gallery.
fn is_of_pack(change: &GalleryChange, pack: Option<&PackId>) -> bool {
    match change {
        GalleryChange::Put { entry, .. } => pack == Some(entry.template.pack()),
        _ => true,
    }
}

/// See the module's page.
pub struct MilvusIndex {
    shared: Arc<Shared>,
    runtime: Handle,
}

impl MilvusIndex {
    /// One that has small sets in `inner`. It talks to Milvus on `runtime`, and only when it is asked to or by [`Self::run`].
    pub fn new(inner: Arc<dyn VectorIndex>, truth: Arc<dyn Truth>, settings: Settings, runtime: Handle) -> Self {
        let client = Client::new(settings.address.clone(), settings.database.clone(), settings.deadline);
        let shared = Shared {
            inner,
            truth,
            client,
            settings,
            state: RwLock::default(),
            turn: tokio::sync::Mutex::default(),
            wake: Notify::new(),
            looked_at: Mutex::default(),
            flushes: Mutex::new(Flushes {
                at: Instant::now(),
                n_connections: None,
                n_at_marks: None,
                copied: HashMap::new(),
                graph_since: HashMap::new(),
            }),
            trouble: Mutex::default(),
        };
        Self { shared: Arc::new(shared), runtime }
    }

    /// Hands to Milvus what there is to hand over, if this node leads, and takes over what others have handed over; false if
    /// there was nothing to do.
    pub async fn step(&self) -> Result<bool> {
        let has_worked = match self.shared.truth.lead().await? {
            true => self.shared.step().await?,
            false => false,
        };
        self.shared.refresh().await?;
        Ok(has_worked)
    }

    /// Steps until it is dropped, whatever happens to Milvus and the store meanwhile.
    pub async fn run(self: Arc<Self>) {
        let (mut is_well, mut is_due) = (true, true);
        loop {
            self.shared.look(std::mem::take(&mut is_due)).await;
            let pause = match self.step().await {
                Ok(true) => continue,
                Ok(false) => {
                    if !std::mem::replace(&mut is_well, true) {
                        tracing::info!(milvus = ?self.shared.client.address(), "Milvus is written to again");
                    }
                    REST
                }
                Err(error) => {
                    is_due = true;
                    if std::mem::replace(&mut is_well, false) {
                        let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                        let hint = error.hint();
                        tracing::warn!(milvus = ?self.shared.client.address(), %error, why, hint, "Milvus is not written to, it is tried again");
                    }
                    // What others have done is worth knowing all the same.
                    let _ = self.shared.refresh().await;
                    RETRY_PAUSE
                }
            };
            let _ = tokio::time::timeout(pause, self.shared.wake.notified()).await;
            if !is_well {
                tokio::time::sleep(pause).await;
            }
        }
    }

    /// How it is, as far as this node knows without asking anybody.
    pub fn health(&self) -> Health {
        let trouble = self.shared.trouble.lock().unwrap_or_else(PoisonError::into_inner).0.clone();
        let state = self.shared.state();
        let outbox = &state.outbox;
        let is_refused = |face_set: &FaceSetId, stage| stage == Stage::Refilling || outbox.rebuilds.contains(face_set);
        let n_behind = state.at.0.saturating_sub(outbox.position.revision.0);
        Health {
            trouble,
            n_sets: outbox.sets.len(),
            n_sets_moving: outbox.sets.values().filter(|set| set.stage == Stage::Filling).count(),
            n_sets_refused: outbox.sets.iter().filter(|(face_set, set)| is_refused(face_set, set.stage)).count(),
            n_commits_behind: if outbox.sets.is_empty() { 0 } else { n_behind },
            n_faces_behind: state.tails.values().map(Tail::n_rows).sum(),
        }
    }

    /// What was handed to Milvus, as it is kept.
    pub async fn outbox(&self) -> Result<Outbox> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.truth.load().await }).await
    }

    /// Compares Milvus' rows of a set with the truth.
    pub async fn compare(&self, face_set: FaceSetId) -> Result<Differences> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.compare(face_set).await }).await
    }

    /// Has a set copied to Milvus anew, by whichever node writes to it. Until that is done its searches are refused.
    pub async fn rebuild(&self, face_set: FaceSetId) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.truth.ask_for_rebuild(face_set).await }).await
    }

    /// Has a set searched in Milvus, or in the nodes, whatever its size; `None` leaves that to its size again. A set that is in
    /// Milvus is taken back by each node when it starts, and until then goes on being searched in Milvus.
    pub async fn choose(&self, face_set: FaceSetId, place: Option<Place>) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.truth.choose(face_set, place).await }).await
    }

    /// Does `call` on the runtime that has Milvus' connection, whatever the caller's is.
    fn spawn<T: Send + 'static>(&self, call: impl Future<Output = Result<T>> + Send + 'static) -> Pending<'_, T> {
        let running = self.runtime.spawn(call);
        Box::pin(
            async move { running.await.unwrap_or_else(|_| Err(Error::new(Kind::Internal, "the store has stopped"))) },
        )
    }
}

impl VectorIndex for MilvusIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        Box::pin(self.shared.apply(revision, changes))
    }

    fn revision(&self) -> Option<Revision> {
        self.shared.inner.revision()
    }

    fn reopen(&self, library: [u8; 16], opened: Vec<GalleryChange>) -> Pending<'_, Option<KeptRows>> {
        Box::pin(async move {
            let _turn = self.shared.turn.lock().await;
            self.shared.begin_filling().await?;
            // Rows of sets that are in Milvus by now are dropped, those of sets that come back are missed and read.
            let opened = self.shared.record(Revision(0), opened);
            self.shared.inner.reopen(library, opened).await
        })
    }

    fn restart(&self) -> Pending<'_, ()> {
        Box::pin(async move {
            let _turn = self.shared.turn.lock().await;
            self.shared.inner.restart().await?;
            self.shared.begin_filling().await
        })
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        Box::pin(async move {
            let _turn = self.shared.turn.lock().await;
            {
                let mut state = self.shared.state_mut();
                (state.is_filling, state.at) = (false, revision);
                state.tails.values_mut().for_each(|tail| *tail = Tail::new(revision));
            }
            self.shared.inner.resume(revision).await
        })
    }

    fn is_elsewhere(&self, face_set: FaceSetId) -> bool {
        self.shared.state().is_in_milvus(face_set)
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        if !self.shared.state().is_ours(question.face_set) {
            return self.shared.inner.search(question);
        }
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.search(question).await })
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        if !self.shared.state().is_ours(face_set) {
            return self.shared.inner.matching(face_set, filter);
        }
        let shared = Arc::clone(&self.shared);
        self.spawn(async move { shared.matching(face_set, &filter).await })
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        let state = self.shared.state();
        match state.is_in_milvus(face_set) {
            true => state.n_faces.get(&face_set).map_or(0, |&n_faces| n_faces as usize),
            false => self.shared.inner.n_rows(face_set),
        }
    }
}

/// The version of the Milvus at that address. [`Kind::Overloaded`] if it cannot be asked.
pub async fn version(address: Address) -> Result<String> {
    let client = Client::new(address, String::new(), Duration::from_secs(2));
    client.version().await.map_err(|fault| fault.for_operator("ask Milvus for its version"))
}

/// The same of a Milvus that is to be used: it takes the password, and has the database.
pub async fn probe(settings: &Settings) -> Result<String> {
    let client = Client::new(settings.address.clone(), settings.database.clone(), settings.deadline);
    let version = client.version().await.map_err(|fault| fault.for_operator("ask Milvus for its version"))?;
    client.has(NO_COLLECTION).await.map_err(|fault| fault.for_operator("look for collections"))?;
    Ok(version)
}
