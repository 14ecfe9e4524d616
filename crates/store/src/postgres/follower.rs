//! How a node's index follows the database.
//!
//! The follower is at a position: the number and checksum of the last commit that the index has taken over. Commits come to it
//! in two ways: this node's own writes hand their changes over as soon as they are committed; those of other nodes are read
//! from the table. Both are applied strictly in the order of revisions, each once.
//!
//! A search first asks the database for its last commit and waits until the index is there ([`Follower::reach`]). So it sees
//! every write that any node has acknowledged before it began: what was enrolled is found, what was deleted is not. `NOTIFY`
//! only spares it the wait; without it nothing becomes wrong.
//!
//! A database that is behind the position, or has another commit there, is another history: a server that was promoted
//! without the last commits of the one before it. Then the index is filled anew from the tables.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use likeness_domain::ports::{Change, GalleryChange, VectorIndex};
use likeness_domain::types::{FaceSet, Revision};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_postgres::SimpleQueryMessage;

use super::Shared;
use super::commits::{self, CHANNEL, Position};
use super::errors::{Answer, Failure};
use super::gallery::gallery_page;
use super::kept::{self, Note};
use super::rows::{self, SET_COLUMNS};
use super::session::Session;

/// Commits read at once.
const PAGE: i64 = 256;

/// Rows read at once while the index is filled: bounds the memory held twice.
const FILL_ROWS: i64 = 4096;

/// How long the follower rests at most before it looks by itself.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Pause after the database could not be read or the index not be filled.
const RETRY_PAUSE: Duration = Duration::from_millis(250);

/// Losses that are remembered, at most; further ones are in the log only.
const LOSSES_MAX: usize = 100;

/// Own commits that wait to be applied, at most; beyond it they are read from the table like others.
const OWN_MAX: usize = 4096;

/// See the module's page.
pub(super) struct Follower {
    index: Arc<dyn VectorIndex>,
    /// Which commits the rows come from that the index keeps, of a node that has a folder.
    note: Option<Note>,
    /// Whether the index was asked for what it has kept.
    is_asked: AtomicBool,
    at: watch::Sender<Position>,
    /// Changes of this node's commits that are not applied yet.
    own: Mutex<BTreeMap<u64, (Position, Vec<GalleryChange>)>>,
    /// The highest revision that is known to exist.
    known: AtomicU64,
    /// The index has to be filled anew.
    is_lost: AtomicBool,
    lag: Mutex<Lag>,
    /// It has had commits that the database lacks, and so may have what was made of them elsewhere.
    has_other_history: AtomicBool,
    /// Where the node was and where the database, each time that the database lacked commits, until somebody acknowledges it.
    losses: Mutex<Vec<(Position, Revision)>>,
    wake: Notify,
    /// Who wants to know the last commit of the database.
    questions: mpsc::Sender<oneshot::Sender<Result<Position, String>>>,
}

/// The other end of the questions, for [`answer_questions`].
pub(super) type Questions = mpsc::Receiver<oneshot::Sender<Result<Position, String>>>;

/// How far the index is behind, by what was seen of it.
#[derive(Debug, Default)]
struct Lag {
    /// The index has reached all that was known at some time since it was filled.
    has_been_level: bool,
    /// A revision that was known then and is not reached yet.
    behind: Option<(u64, Instant)>,
}

impl Lag {
    fn see(&mut self, is_lost: bool, at: u64, known: u64, now: Instant) {
        if is_lost {
            *self = Self::default();
            return;
        }
        let has_reached = self.behind.is_some_and(|(revision, _)| revision <= at);
        self.has_been_level |= has_reached || known <= at;
        if has_reached || self.behind.is_none() {
            self.behind = (at < known).then_some((known, now));
        }
    }
}

impl Follower {
    /// One whose index is not filled yet.
    pub(super) fn new(index: Arc<dyn VectorIndex>, note: Option<Note>, questions_max: usize) -> (Self, Questions) {
        let (questions, asked) = mpsc::channel(questions_max.max(1));
        let at = watch::Sender::new(Position { revision: Revision(0), checksum: 0 });
        let follower = Self {
            index,
            note,
            is_asked: AtomicBool::new(false),
            at,
            own: Mutex::default(),
            known: AtomicU64::new(0),
            is_lost: AtomicBool::new(true),
            lag: Mutex::default(),
            has_other_history: AtomicBool::new(false),
            losses: Mutex::default(),
            wake: Notify::new(),
            questions,
        };
        (follower, asked)
    }

    /// Where the index is.
    pub(super) fn position(&self) -> Position {
        *self.at.borrow()
    }

    /// Whether the index is filled, has been up to date since, and has reached within that time whatever was known to exist. While
    /// others write, every node is some milliseconds behind at most moments.
    pub(super) fn keeps_up(&self, within: Duration) -> bool {
        let lag = self.see_lag();
        lag.has_been_level && lag.behind.is_none_or(|(_, since)| since.elapsed() <= within)
    }

    /// The index has to be filled anew.
    fn lose(&self) {
        self.is_lost.store(true, Ordering::SeqCst);
        drop(self.see_lag());
    }

    /// Notes since when the index is behind, if it is.
    fn see_lag(&self) -> MutexGuard<'_, Lag> {
        let (is_lost, known) = (self.is_lost.load(Ordering::SeqCst), self.known.load(Ordering::SeqCst));
        let at = self.position().revision.0;
        let mut lag = self.lag.lock().unwrap_or_else(PoisonError::into_inner);
        lag.see(is_lost, at, known, Instant::now());
        lag
    }

    /// Somebody has heard of that revision.
    pub(super) fn has_heard_of(&self, revision: u64) {
        if self.known.fetch_max(revision, Ordering::SeqCst) < revision {
            drop(self.see_lag());
            self.wake.notify_one();
        }
    }

    /// This node has made a commit.
    pub(super) fn has_committed(&self, position: Position, changes: Vec<Change>) {
        let seen = changes.into_iter().filter_map(|change| match change {
            Change::Gallery(change) => Some(change),
            _ => None,
        });
        let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
        if own.len() < OWN_MAX {
            own.insert(position.revision.0, (position, seen.collect()));
        }
        drop(own);
        self.known.fetch_max(position.revision.0, Ordering::SeqCst);
        drop(self.see_lag());
        self.wake.notify_one();
    }

    /// Ready when the index has reached that revision; false if that takes longer than `wait_max`.
    pub(super) async fn wait_until(&self, revision: Revision, wait_max: Duration) -> bool {
        let mut at = self.at.subscribe();
        let reached = at.wait_for(|position| revision <= position.revision);
        tokio::time::timeout(wait_max, reached).await.is_ok_and(|reached| reached.is_ok())
    }

    /// Brings the index to where the database is at this moment. [`Failure::NoConnection`] if that is not known, or takes longer
    /// than `wait_max`.
    pub(super) async fn reach(&self, wait_max: Duration) -> Answer<()> {
        let (answer, truth) = oneshot::channel();
        let busy = || Failure::NoConnection("too many searches wait for the database".into());
        self.questions.try_send(answer).map_err(|_| busy())?;
        let truth = truth.await.map_err(|_| busy())?.map_err(Failure::NoConnection)?;
        self.has_heard_of(truth.revision.0);
        if !self.wait_until(truth.revision, wait_max).await {
            return Err(Failure::NoConnection("the index of this node is behind the database".into()));
        }
        let at = self.position();
        if at.revision == truth.revision && truth.checksum != 0 && at.checksum != truth.checksum {
            self.is_of_another_history(at, truth);
        }
        if self.is_lost.load(Ordering::SeqCst) {
            return Err(Failure::NoConnection("the index of this node is filled anew".into()));
        }
        Ok(())
    }

    /// How often the database lacked commits that this node had seen, since it was started or somebody acknowledged that.
    pub(super) fn n_losses(&self) -> u64 {
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).len() as u64
    }

    /// The same in words.
    pub(super) fn losses(&self) -> Vec<String> {
        let losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        let told = |(node, database): &(Position, Revision)| {
            format!(
                "the database lacks acknowledged commits that this server had seen up to {}: another database server was promoted \
                 without them, at {} when that was noticed; enrol again what is missing, delete again what is back, see with \
                 `likeness key list` whether access keys are back that were disabled or deleted, and then end this notice with \
                 `likeness check --acknowledge-loss`",
                node.revision.0, database.0
            )
        };
        losses.iter().map(told).collect()
    }

    /// Somebody has seen them; returns what they said.
    pub(super) fn acknowledge_losses(&self) -> Vec<String> {
        let told = self.losses();
        self.losses.lock().unwrap_or_else(PoisonError::into_inner).clear();
        told
    }

    /// What the index has taken over is not what the database has.
    fn is_of_another_history(&self, at: Position, truth: Position) {
        tracing::error!(
            node = at.revision.0,
            database = truth.revision.0,
            "the database lacks commits that this node has seen: another server was promoted without them. The index is \
             filled anew; hint: with `synchronous_standby_names` a promotion loses nothing"
        );
        let mut losses = self.losses.lock().unwrap_or_else(PoisonError::into_inner);
        // Several searches may notice the same one.
        if losses.last().is_none_or(|(last, _)| *last != at) && losses.len() < LOSSES_MAX {
            losses.push((at, truth.revision));
        }
        drop(losses);
        // What is known of the other history is of no use.
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.known.store(0, Ordering::SeqCst);
        self.has_other_history.store(true, Ordering::SeqCst);
        self.lose();
        self.wake.notify_one();
    }

    /// Applies the next of this node's own commits, if it is there.
    async fn apply_own(&self) -> Answer<bool> {
        let next = self.position().revision.0 + 1;
        let found = {
            let mut own = self.own.lock().unwrap_or_else(PoisonError::into_inner);
            let found = own.remove(&next);
            // What was read from the table meanwhile is no longer needed.
            *own = own.split_off(&next);
            found
        };
        let Some((position, changes)) = found else { return Ok(false) };
        self.apply(position, changes).await?;
        Ok(true)
    }

    async fn apply(&self, position: Position, changes: Vec<GalleryChange>) -> Answer<()> {
        if let Some(note) = &self.note {
            note.write(position);
        }
        if let Err(error) = self.index.apply(position.revision, changes).await {
            tracing::error!(revision = position.revision.0, %error, "the index failed, it is filled anew");
            self.lose();
            return Err(error.into());
        }
        self.at.send_replace(position);
        drop(self.see_lag());
        Ok(())
    }

    /// Reads and applies a page of commits from the table; whether there may be more.
    async fn read_page(&self, session: &Session) -> Answer<bool> {
        let at = self.position();
        // The commit of the position comes along, to see that the history is still the same.
        let mut stored = match commits::from(session, at.revision, PAGE + 1).await {
            Err(Failure::Damaged(what)) => {
                tracing::error!(what, "a commit is damaged, the index is filled anew");
                self.lose();
                return Ok(true);
            }
            stored => stored?,
        };
        let is_first_known = stored.first().is_some_and(|first| first.position.revision == at.revision);
        let is_same = match stored.first() {
            // What is kept for the record alone has gaps behind it.
            Some(first) if is_first_known => {
                (first.position.checksum == at.checksum || at.checksum == 0)
                    && commits::is_chain(&stored[1..], at.revision)
            }
            Some(_) => at.checksum == 0 && commits::is_chain(&stored, at.revision),
            // Nothing at all: the position is the start, or the table is behind it.
            None => at.revision.0 == 0 || commits::last(session).await?.revision == at.revision,
        };
        if !is_same {
            let truth = commits::last(session).await?;
            let is_behind = stored.first().is_none_or(|first| at.revision < first.position.revision)
                || at.revision <= commits::compacted(session).await?;
            if at.revision < truth.revision && is_behind {
                tracing::warn!("commits were compacted before this node read them, the index is filled anew");
                self.lose();
            } else {
                self.is_of_another_history(at, truth);
            }
            return Ok(true);
        }
        if is_first_known {
            stored.remove(0);
        }
        let n_read = stored.len();
        let positions: Vec<Position> = stored.iter().map(|stored| stored.position).collect();
        for (commit, position) in commits::resolved(session, stored).await?.into_iter().zip(positions) {
            let seen = commit.changes.into_iter().filter_map(|change| match change {
                Change::Gallery(change) => Some(change),
                _ => None,
            });
            self.apply(position, seen.collect()).await?;
        }
        Ok(n_read as i64 >= PAGE)
    }

    /// Fills the index with every gallery, as one state of the database has them: from the tables, unless it has kept its
    /// rows of an earlier process.
    async fn fill(&self, session: &Session) -> Answer<()> {
        #[cfg(feature = "milvus")]
        if self.has_other_history.load(Ordering::SeqCst) {
            super::milvus::distrust(session).await?;
            self.has_other_history.store(false, Ordering::SeqCst);
        }
        session.begin_snapshot().await?;
        let started = tokio::time::Instant::now();
        let position = commits::last(session).await?;
        let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.sequence");
        let sets = rows::intact(&session.query(&sql, &[]).await?, rows::set_row)?;
        let sets: Vec<FaceSet> = sets.into_iter().map(|set| set.face_set).collect();
        let is_first = !self.is_asked.swap(true, Ordering::SeqCst);
        let mut kept = None;
        if let (Some(note), true) = (&self.note, is_first) {
            kept = match kept::reopen(session, note, position, &sets, &*self.index).await {
                Ok(kept) => kept,
                Err(Failure::Said(error)) => {
                    tracing::warn!(%error, "the rows that the index kept cannot be used");
                    None
                }
                Err(failure) => return Err(failure),
            };
        }
        let n_rows = match kept {
            Some(n_rows) => n_rows,
            None => self.fill_anew(session, position, sets).await?,
        };
        session.batch("COMMIT").await?;
        // Later ones are read from the table.
        self.own.lock().unwrap_or_else(PoisonError::into_inner).clear();
        self.known.fetch_max(position.revision.0, Ordering::SeqCst);
        self.is_lost.store(false, Ordering::SeqCst);
        drop(self.see_lag());
        self.at.send_replace(position);
        let elapsed_ms = started.elapsed().as_millis() as u64;
        let how = if kept.is_some() { "index found its rows again" } else { "index filled from the database" };
        tracing::info!(n_rows, elapsed_ms, revision = position.revision.0, "{how}");
        Ok(())
    }

    async fn fill_anew(&self, session: &Session, position: Position, sets: Vec<FaceSet>) -> Answer<u64> {
        if let Some(note) = &self.note {
            note.write(position);
        }
        self.index.restart().await?;
        let mut n_rows = 0_u64;
        for face_set in sets {
            let (id, schema) = (face_set.id, Arc::new(face_set.schema.clone()));
            let mut chunk = vec![GalleryChange::Open { face_set: id, pack: face_set.pack.clone(), schema }];
            if self.index.is_elsewhere(id) {
                self.index.apply(position.revision, chunk).await?;
                continue;
            }
            let mut after = -1_i64;
            loop {
                let page = gallery_page(session, &face_set, after, FILL_ROWS).await?;
                n_rows += page.entries.len() as u64;
                chunk.extend(page.entries.into_iter().map(|entry| GalleryChange::Put { face_set: id, entry }));
                self.index.apply(position.revision, std::mem::take(&mut chunk)).await?;
                match page.last {
                    Some(last) => after = last,
                    None => break,
                }
            }
        }
        self.index.resume(position.revision).await?;
        Ok(n_rows)
    }

    /// One step: fills, applies or reads; false if there was nothing to do.
    async fn step(&self, shared: &Shared, is_due: bool) -> Answer<bool> {
        if self.is_lost.load(Ordering::SeqCst) {
            let session = shared.database.session().await?;
            let filled = self.fill(&session).await;
            match filled {
                Ok(()) => return Ok(true),
                Err(failure) => {
                    session.roll_back().await;
                    return Err(failure);
                }
            }
        }
        if self.apply_own().await? {
            return Ok(true);
        }
        if is_due || self.position().revision.0 < self.known.load(Ordering::SeqCst) {
            return self.read_page(&shared.database.session().await?).await;
        }
        Ok(false)
    }
}

/// Follows until the store is closed. Ready the first time when the index is filled, which `filled` tells.
pub(super) async fn follow(shared: Arc<Shared>, filled: oneshot::Sender<Answer<()>>) {
    let follower = &shared.follower;
    let mut filled = Some(filled);
    let mut is_due = false;
    // Why it does not work at the moment, as the log has it: it is tried several times a second.
    let mut logged: Option<String> = None;
    loop {
        match follower.step(&shared, is_due).await {
            Ok(has_worked) => {
                if logged.take().is_some() {
                    tracing::info!("the commits are followed again");
                }
                if let Some(filled) = filled.take() {
                    let _ = filled.send(Ok(()));
                }
                is_due = false;
                if !has_worked || !is_behind(follower) {
                    is_due = tokio::time::timeout(LOOK_EVERY, rest(follower)).await.is_err();
                }
            }
            Err(failure) => {
                shared.database.note(Some(&failure));
                if let Some(filled) = filled.take() {
                    // Whoever opens the store gets an error instead of waiting.
                    let _ = filled.send(Err(failure));
                    return;
                }
                let why = failure.to_string();
                if logged.as_ref() != Some(&why) {
                    tracing::warn!(why, "the commits cannot be followed, it is tried again until they can");
                    logged = Some(why);
                }
                tokio::time::sleep(RETRY_PAUSE).await;
            }
        }
    }
}

fn is_behind(follower: &Follower) -> bool {
    follower.is_lost.load(Ordering::SeqCst) || follower.position().revision.0 < follower.known.load(Ordering::SeqCst)
}

/// Ready when there is something to do.
async fn rest(follower: &Follower) {
    while !is_behind(follower) {
        follower.wake.notified().await;
    }
}

/// Asks the database for its last commit, once for all who ask meanwhile: a question that comes while the answer is under way
/// is answered by the next one.
pub(super) async fn answer_questions(shared: Arc<Shared>, mut questions: Questions) {
    while let Some(first) = questions.recv().await {
        let mut asked = vec![first];
        while let Ok(next) = questions.try_recv() {
            asked.push(next);
        }
        // Taken before the question, as the index may get ahead of the answer while that is under way.
        let at = shared.follower.position();
        let look = async { commits::last(&shared.database.session().await?).await };
        let answer = match tokio::time::timeout(shared.settings.statement_timeout, look).await {
            Ok(Ok(position)) => Ok(position),
            Ok(Err(failure)) => {
                shared.database.note(Some(&failure));
                Err(failure.into_error("look for commits").to_string())
            }
            Err(_) => Err("the database does not answer".to_owned()),
        };
        if let Ok(truth) = answer
            && truth.revision < at.revision
            && !shared.follower.is_lost.load(Ordering::SeqCst)
        {
            shared.follower.is_of_another_history(at, truth);
        }
        for question in asked {
            let _ = question.send(answer.clone());
        }
    }
}

/// Listens for commits of other nodes on a connection of its own, which also shows the others that this node is alive.
pub(super) async fn listen(shared: Arc<Shared>) {
    loop {
        if let Err(failure) = listen_once(&shared).await {
            shared.database.note(Some(&failure));
            tracing::debug!(%failure, "not listening for commits, it is tried again");
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

async fn listen_once(shared: &Shared) -> Answer<()> {
    let (client, mut connection) = shared.database.connect().await?;
    let (messages, mut told) = mpsc::unbounded_channel();
    let driver = tokio::spawn(async move {
        while let Some(message) = std::future::poll_fn(|context| connection.poll_message(context)).await {
            match message {
                Ok(tokio_postgres::AsyncMessage::Notification(notification)) => {
                    if messages.send(notification.payload().to_owned()).is_err() {
                        break;
                    }
                }
                Ok(_) => {}
                Err(_) => break,
            }
        }
    });
    let listened = async {
        let node = shared.node;
        let class = super::NODE_LOCKS;
        // The lock is held until the connection ends. Behind a pooler in transaction mode nothing can be heard, and a lock takes
        // a transaction that stays open; that has no snapshot, which would keep the database from clearing away.
        let sql = if shared.database.is_pooled() {
            format!(
                "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE; SET LOCAL idle_in_transaction_session_timeout = 0; \
                 SELECT pg_advisory_xact_lock_shared({class}, {node})"
            )
        } else {
            format!("LISTEN {CHANNEL}; SELECT pg_advisory_lock_shared({class}, {node})")
        };
        let begun = async {
            client.batch_execute(&sql).await?;
            // Whatever was committed before is looked for; by no portal, which would keep its snapshot in an open transaction.
            client.simple_query("SELECT revision FROM store").await
        };
        let answer_max = shared.settings.statement_timeout;
        let silent = |_| Failure::NoConnection("the database did not answer in time".into());
        let said = tokio::time::timeout(answer_max, begun).await.map_err(silent)??;
        let revision = said.iter().rev().find_map(|message| match message {
            SimpleQueryMessage::Row(row) => row.get(0)?.parse().ok(),
            _ => None,
        });
        shared.follower.has_heard_of(revision.unwrap_or_default());
        loop {
            let payload = match tokio::time::timeout(answer_max, told.recv()).await {
                Ok(Some(payload)) => payload,
                Ok(None) => break,
                // Nothing was written, or nobody is there any more to tell of it.
                Err(_) => {
                    tokio::time::timeout(answer_max, client.batch_execute("")).await.map_err(silent)??;
                    continue;
                }
            };
            let Some((node, revision)) = payload.split_once(' ') else { continue };
            // This node's own commits come to the follower without a detour.
            if node.parse() != Ok(shared.node) {
                shared.follower.has_heard_of(revision.parse().unwrap_or_default());
            }
        }
        Ok(())
    };
    let outcome: Answer<()> = listened.await;
    driver.abort();
    outcome
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_lags_while_what_was_known_is_not_reached_and_not_because_more_came() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut lag = Lag::default();
        lag.see(true, 0, 9, start);
        lag.see(false, 5, 9, after(1));
        assert!(!lag.has_been_level, "it has been filled and is not up to date yet");
        lag.see(false, 9, 12, after(2));
        assert!(lag.has_been_level, "what was known when it was filled is reached");
        lag.see(false, 12, 12, after(2));
        assert!(lag.behind.is_none());
        // Always one behind, and always another one.
        for second in 3..20 {
            lag.see(false, second + 10, second + 11, after(second));
            assert_eq!(lag.behind, Some((second + 11, after(second))));
        }
        // It stands still.
        lag.see(false, 29, 40, after(30));
        lag.see(false, 29, 41, after(40));
        assert_eq!(lag.behind, Some((30, after(19))));
        lag.see(false, 30, 41, after(41));
        assert_eq!(lag.behind, Some((41, after(41))));
        // What was known of another history does not matter.
        lag.see(true, 27, 0, after(42));
        assert!(!lag.has_been_level && lag.behind.is_none());
    }
}
