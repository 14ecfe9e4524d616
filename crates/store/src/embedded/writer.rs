//! The one thread that writes, and its group commit.
//!
//! Writes wait in a bounded queue. The thread takes all that wait, runs each inside a savepoint of one transaction,
//! flushes once, tells the index, and only then answers. So the cost of a flush is shared by everybody who came while
//! the last one was under way, a write that fails takes nobody with it, and nothing is acknowledged that is not yet on disk.
//!
//! Between commits the thread does the maintenance: erasing what was deleted, giving space back, cleaning the log.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use likeness_domain::ports::{Change, Clock, GalleryChange, VectorIndex};
use likeness_domain::types::Revision;
use likeness_domain::{Error, Kind, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::commits;
use super::deletes::{self, Made};
use super::errors::{Answer, FULL, Failure};
use super::health::Health;
use super::holds::{Held, HeldBy, HoldClock, Holds};
use super::identity::IdentityFile;
use super::maintenance::{self, Maintenance};
use super::numbers::Counters;
use super::numbers::NUMBER_END;
use super::queue::{Queue, Refused, Taken};
use super::rebuild::rebuild;
use super::reserve::Reserve;
use super::schema;
use super::set_aside::{self, Cure};
use super::transaction::{Manner, Running, WriteTx};
use super::turn::Turns;
use crate::pace::Pace;
use crate::wait::wait_for;

/// Pause between two attempts to fill an index that has failed.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

/// Pause before a step of a delete that failed (a full disk, mostly) is tried again.
const STEP_PAUSE: Duration = Duration::from_secs(1);

/// Pause between two attempts to write again after writing has failed.
const PROBE_PAUSE: Duration = Duration::from_secs(1);

/// Most writes of one commit: bounds how long the first of them waits for the last.
pub(super) const BATCH_MAX: usize = 256;

/// What the index takes over of commits, in their order.
type Commits = Vec<(Revision, Vec<GalleryChange>)>;

/// A write in the queue.
trait Job: Send {
    /// How it is made.
    fn manner(&self) -> Manner;
    /// Does it; whether it worked.
    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool;
    /// Why `run` did not work.
    fn failure(&self) -> Option<Failure>;
    /// Replaces what `run` found: the whole commit did not work.
    fn fail(&mut self, failure: Failure);
    /// Answers the caller. One who has hung up is no reason to undo anything.
    fn answer(self: Box<Self>);
}

struct Write<T, F> {
    doing: &'static str,
    manner: Manner,
    dir: Arc<PathBuf>,
    act: Option<F>,
    answer: Option<Answer<T>>,
    caller: oneshot::Sender<Result<T>>,
}

impl<T: Send, F: FnOnce(&mut WriteTx<'_>) -> Answer<T> + Send> Job for Write<T, F> {
    fn manner(&self) -> Manner {
        self.manner
    }

    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        let Some(act) = self.act.take() else { return false };
        // A bug in one write must not stop all others for ever; its savepoint is rolled back like any failure's.
        let answer = catch_unwind(AssertUnwindSafe(|| act(tx)));
        let answer = answer.unwrap_or_else(|_| Err(Failure::said(Kind::Internal, "a write of the store panicked")));
        self.answer.insert(answer).is_ok()
    }

    fn failure(&self) -> Option<Failure> {
        self.answer.as_ref()?.as_ref().err().map(Failure::shared)
    }

    fn fail(&mut self, failure: Failure) {
        // A write that was refused on its own account keeps its reason.
        if !matches!(self.answer, Some(Err(_))) {
            self.answer = Some(Err(failure));
        }
    }

    fn answer(self: Box<Self>) {
        let answer = self.answer.unwrap_or_else(|| Err(Failure::said(Kind::Internal, "a write was left undone")));
        let _ = self.caller.send(answer.map_err(|failure| failure.into_error(self.doing, &self.dir)));
    }
}

/// Somebody asks whether something can be written; what is found is in [`Health`].
struct WriteProbe(oneshot::Sender<Result<()>>);

impl Job for WriteProbe {
    fn manner(&self) -> Manner {
        Manner::PROBE
    }

    fn run(&mut self, tx: &mut WriteTx<'_>) -> bool {
        tx.idle = true;
        true
    }

    fn failure(&self) -> Option<Failure> {
        None
    }

    fn fail(&mut self, _: Failure) {}

    fn answer(self: Box<Self>) {
        let _ = self.0.send(Ok(()));
    }
}

/// Hands writes over to the writing thread. Once the store is dropped it is refused.
#[derive(Clone)]
pub(super) struct Inlet {
    queue: Arc<Queue<Box<dyn Job>>>,
    dir: Arc<PathBuf>,
}

/// Handle of the writing thread. Dropping it lets the writes that wait finish first.
pub(super) struct Writer {
    inlet: Inlet,
    holds: Arc<Holds>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread. `counters` are those in the file, and the index has taken over everything up to them.
    pub(super) fn start(
        conn: Connection,
        (counters, identity, n_commits): (Counters, IdentityFile, Arc<AtomicU64>),
        (maintenance, pace): (Maintenance, Pace),
        (dir, reserve, health): (Arc<PathBuf>, Reserve, Arc<Health>),
        (index, clock): (Arc<dyn VectorIndex>, Arc<dyn Clock>),
        queue_max: usize,
    ) -> Result<Self> {
        let queue = Arc::new(Queue::<Box<dyn Job>>::new(queue_max));
        let (loop_queue, holds) = (Arc::clone(&queue), Arc::new(Holds::new()));
        let woken = Arc::downgrade(&queue);
        health.damage.on_news(move || {
            if let Some(queue) = woken.upgrade() {
                queue.nudge();
            }
        });
        let mut state = Thread {
            conn,
            counters,
            n_commits,
            identity,
            maintenance,
            reserve,
            health: Arc::clone(&health),
            // One that was given up by an earlier process, or for opening, is taken when there is room.
            probe_at: Some(Instant::now()),
            index,
            clock,
            rebuild_at: None,
            dir: Arc::clone(&dir),
            deletes: VecDeque::new(),
            // An earlier process may have left some.
            step_at: Some(Instant::now()),
            pace,
            holds: Arc::clone(&holds),
            turns: Turns::of(&dir),
            is_left: false,
        };
        let thread = std::thread::Builder::new()
            .name("store-writer".into())
            .spawn(move || {
                // However the thread ends, callers get an error instead of waiting for ever.
                let _closing = Closing(&loop_queue, &health);
                state.serve(&loop_queue);
            })
            .map_err(|err| Error::internal("cannot start the writing thread of the store", err))?;
        Ok(Self { inlet: Inlet { queue, dir }, holds, thread: Some(thread) })
    }

    /// For whoever has writes of its own beside those of the store.
    pub(super) fn inlet(&self) -> &Inlet {
        &self.inlet
    }

    /// What held the thread since this was last asked.
    pub(super) fn take_holds(&self) -> Vec<(HeldBy, Held)> {
        self.holds.take()
    }
}

impl Inlet {
    /// Hands a write over; `doing` completes "cannot ...".
    pub(super) fn submit<T, F>(
        &self,
        doing: &'static str,
        act: F,
        manner: Manner,
    ) -> Result<oneshot::Receiver<Result<T>>>
    where
        T: Send + 'static,
        F: FnOnce(&mut WriteTx<'_>) -> Answer<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let job = Write { doing, manner, dir: Arc::clone(&self.dir), act: Some(act), answer: None, caller };
        self.push(doing, Box::new(job))?;
        Ok(answer)
    }

    /// Has it tried whether something can be written. The answer comes when that is known to the store's health.
    pub(super) fn probe(&self) -> Result<oneshot::Receiver<Result<()>>> {
        let (caller, answer) = oneshot::channel();
        self.push("try a write", Box::new(WriteProbe(caller)))?;
        Ok(answer)
    }

    fn push(&self, doing: &str, job: Box<dyn Job>) -> Result<()> {
        self.queue.push(job).map_err(|refused| match refused {
            Refused::Full => Error::new(
                Kind::Overloaded,
                format!("cannot {doing}: too many writes are waiting, try again in a moment"),
            ),
            Refused::Closed => stopped(),
        })
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.inlet.queue.close();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// The answer of a store whose thread is gone.
pub(super) fn stopped() -> Error {
    Error::new(Kind::Internal, "the store has stopped")
}

struct Closing<'a>(&'a Queue<Box<dyn Job>>, &'a Health);

impl Drop for Closing<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.1.writes_fail("the writing thread of the store has stopped");
        }
        self.0.close();
        // Dropping what is left drops the callers' channels, which answers them.
        while let Taken::Items(_) = self.0.take(BATCH_MAX, None) {}
    }
}

struct Thread {
    conn: Connection,
    counters: Counters,
    /// Commits made, for whoever keeps what was read.
    n_commits: Arc<AtomicU64>,
    identity: IdentityFile,
    maintenance: Maintenance,
    reserve: Reserve,
    health: Arc<Health>,
    /// When writing is tried again that has failed.
    probe_at: Option<Instant>,
    index: Arc<dyn VectorIndex>,
    clock: Arc<dyn Clock>,
    /// When an index that has failed is filled anew.
    rebuild_at: Option<Instant>,
    dir: Arc<PathBuf>,
    /// Deletes in steps whose callers wait, in the order of their steps.
    deletes: VecDeque<Running>,
    /// When the next step of a delete is due; `None` when there is none.
    step_at: Option<Instant>,
    /// Of the steps of deletes.
    pace: Pace,
    holds: Arc<Holds>,
    /// Of other processes that write to the library.
    turns: Turns,
    /// See [`Thread::look_whether_left`].
    is_left: bool,
}

impl Thread {
    fn serve(&mut self, queue: &Queue<Box<dyn Job>>) {
        let clock = HoldClock::of_this_thread();
        let mut was_maintained = false;
        loop {
            let rebuild_in = self.rebuild_at.map(|at| at.saturating_duration_since(Instant::now()));
            let step_in = self.step_at.map(|at| at.saturating_duration_since(Instant::now()));
            let probe_in = self.probe_at.map(|at| at.saturating_duration_since(Instant::now()));
            let due = self.maintenance.due_in().into_iter().chain(rebuild_in).chain(step_in).chain(probe_in);
            let patience = due.min();
            match queue.take(BATCH_MAX, patience) {
                Taken::Items(jobs) => {
                    self.turns.give();
                    self.look_whether_left();
                    let began = clock.begin();
                    self.tell_index_of_damage();
                    self.commit_all(jobs);
                    clock.end(began, HeldBy::Writes, &self.holds);
                }
                Taken::Nothing => {
                    self.tell_index_of_damage();
                    self.rebuild_index();
                }
                Taken::Closed => {
                    // Whoever waits for a delete is answered; steps that fail are left to the next opening.
                    while !self.deletes.is_empty() && self.make_step().is_some() {}
                    return;
                }
            }
            // One of both, then the turn of those who wait to write.
            let is_step_due = self.step_at.is_some_and(|step_at| step_at <= Instant::now());
            if is_step_due && (was_maintained || !self.maintenance.is_due()) {
                was_maintained = false;
                self.turns.give();
                let began = clock.begin();
                let n_rows = self.make_step().unwrap_or(0);
                let wall = clock.end(began, HeldBy::DeleteStep, &self.holds);
                self.pace.took(n_rows, wall);
            } else if self.maintenance.is_due() && self.look_whether_left() {
                self.maintenance.pause();
            } else if self.maintenance.is_due() {
                was_maintained = true;
                self.turns.give();
                let began = clock.begin();
                if self.maintenance.may_take_reserve() {
                    self.make_room_if_short();
                }
                if let Some((by, n_rows)) = self.maintenance.do_some(&self.conn, queue.is_empty()) {
                    let wall = clock.end(began, by, &self.holds);
                    self.maintenance.took(by, n_rows, wall);
                }
            }
            if self.probe_at.is_some_and(|probe_at| probe_at <= Instant::now()) {
                self.probe();
            }
        }
    }

    /// Whether the library is being moved away: a migration holds the lock of writers until this process has stopped, so nobody
    /// waits for it.
    fn look_whether_left(&mut self) -> bool {
        let is_left = self.dir.join(schema::MOVED_FILE).exists();
        if is_left != self.is_left {
            self.is_left = is_left;
            let patience = if is_left { Duration::ZERO } else { schema::BUSY_TIMEOUT };
            if let Err(error) = self.conn.busy_timeout(patience) {
                tracing::debug!(%error, "how long the store waits for other processes stays as it was");
            }
        }
        is_left
    }

    /// Frees the reserve if a delete could find no room, and folds the log into the database, so that it gets shorter.
    fn make_room_if_short(&mut self) {
        if !self.reserve.is_room_short() || !self.reserve.give_up() {
            return;
        }
        self.has_failed(FULL.into());
        if let Err(failure) = maintenance::scrub(&self.conn) {
            tracing::warn!(?failure, "the log could not be folded into the database");
        }
    }

    /// A write failed on account of the machine: that is said from now on, until one works.
    fn has_failed(&mut self, reason: String) {
        self.health.writes_fail(reason);
        self.probe_at = Some(Instant::now() + PROBE_PAUSE);
    }

    /// Tries whether writing works again, as nobody may come to write while it is known to fail.
    fn probe(&mut self) {
        self.probe_at = None;
        if let Some(reason) = self.health.file_trouble() {
            self.has_failed(reason);
        } else if !self.reserve.take() {
            self.has_failed(FULL.into());
        } else if self.health.do_writes_fail() {
            match self.write_nothing() {
                Ok(()) => self.health.writes_work(),
                Err(error) => {
                    tracing::debug!(%error, "writing still fails");
                    self.probe_at = Some(Instant::now() + PROBE_PAUSE);
                }
            }
        }
    }

    /// A commit that reaches the disk and changes nothing.
    fn write_nothing(&self) -> rusqlite::Result<()> {
        // There and back: SQLite writes no page whose content an update leaves as it is.
        let sql = "BEGIN IMMEDIATE; UPDATE store SET revision = revision + 1; UPDATE store SET revision = revision - 1; COMMIT";
        let written = self.conn.execute_batch(sql);
        if written.is_err() && !self.conn.is_autocommit() {
            let _ = self.conn.execute_batch("ROLLBACK");
        }
        written
    }

    /// Tries a write because somebody asked. While writes are known to fail, [`Thread::probe`] tries them.
    fn probe_for_others(&mut self) {
        if self.reserve.is_given_up() || self.health.do_writes_fail() {
            return;
        }
        if let Err(error) = self.write_nothing() {
            let failure = Failure::from(error);
            let reason = failure.machine(&self.dir);
            self.has_failed(reason.unwrap_or_else(|| format!("a trial write failed: {failure:?}")));
        }
    }

    /// Commits together what may stand together; then tries a write if somebody asked and nothing was committed.
    fn commit_all(&mut self, jobs: Vec<Box<dyn Job>>) {
        let (probes, jobs): (Vec<_>, Vec<_>) = jobs.into_iter().partition(|job| job.manner().is_probe);
        let n_commits = self.n_commits.load(Ordering::SeqCst);
        if !jobs.is_empty() {
            self.commit_in_turn(jobs);
        }
        if !probes.is_empty() && self.n_commits.load(Ordering::SeqCst) == n_commits {
            self.probe_for_others();
        }
        for probe in probes {
            probe.answer();
        }
    }

    /// Commits together what may stand together.
    fn commit_in_turn(&mut self, jobs: Vec<Box<dyn Job>>) {
        let has_deletes = jobs.iter().any(|job| job.manner().may_take_reserve);
        if has_deletes {
            self.make_room_if_short();
        }
        if self.reserve.is_given_up() {
            self.commit_deletes(jobs);
            return;
        }
        let mut together = Vec::with_capacity(jobs.len());
        for job in jobs {
            if !job.manner().is_alone {
                together.push(job);
                continue;
            }
            if !together.is_empty() {
                self.commit(std::mem::take(&mut together));
            }
            self.commit(vec![job]);
        }
        if !together.is_empty() {
            self.commit(together);
        }
    }

    /// While the reserve is given up: deletes are made, each in a commit of its own, and nothing else.
    fn commit_deletes(&mut self, jobs: Vec<Box<dyn Job>>) {
        for mut job in jobs {
            if job.manner().may_take_reserve {
                self.commit(vec![job]);
            } else {
                job.fail(Failure::Full);
                job.answer();
            }
        }
    }

    /// Makes one step of the deletes that were begun, or a part of one; returns how many faces it was about, `None` if it
    /// failed, and is tried again later.
    fn make_step(&mut self) -> Option<usize> {
        match self.try_step() {
            Ok(Some((step, Made { deleted, n_rows, is_whole }))) => {
                let deletes = self.deletes.drain(..);
                self.deletes = deletes.filter_map(|running| running.after_step(step, &deleted, is_whole)).collect();
                self.step_at = Some(Instant::now());
                Some(n_rows)
            }
            Ok(None) => {
                self.step_at = None;
                Some(0)
            }
            Err(error) => {
                // While writes are known to fail that is said already.
                if self.health.do_writes_fail() {
                    tracing::debug!(%error, "a step of a delete failed, it is tried again");
                } else {
                    tracing::warn!(%error, "a step of a delete failed, it is tried again");
                }
                self.step_at = Some(Instant::now() + STEP_PAUSE);
                None
            }
        }
    }

    /// The next step, if there is one, and what was made of it.
    fn try_step(&mut self) -> Result<Option<(i64, Made)>> {
        let doing = "delete the faces";
        let next = deletes::next_step(&self.conn).map_err(|failure| failure.into_error(doing, &self.dir))?;
        let Some(step) = next else { return Ok(None) };
        self.make_room_if_short();
        let (id, n_rows_max) = (step.id, self.pace.n_rows());
        let (caller, mut answer) = oneshot::channel();
        let act = move |tx: &mut WriteTx<'_>| {
            let made = deletes::make_step(tx, &step, n_rows_max)?;
            tx.actor = Some(step.actor);
            Ok(made)
        };
        let (manner, dir) = (Manner::DELETE_ALONE, Arc::clone(&self.dir));
        let job = Write { doing, manner, dir, act: Some(act), answer: None, caller };
        self.commit(vec![Box::new(job)]);
        let made = answer.try_recv().unwrap_or_else(|_| Err(stopped()))?;
        Ok(Some((id, made)))
    }

    fn commit(&mut self, mut jobs: Vec<Box<dyn Job>>) {
        if let Some(reason) = self.health.file_trouble() {
            for mut job in jobs {
                job.fail(Failure::said(Kind::Internal, &*reason));
                job.answer();
            }
            self.has_failed(reason);
            return;
        }
        match self.try_commit(&mut jobs) {
            Ok((commits, machine)) => {
                match machine {
                    Some(reason) => self.has_failed(reason),
                    None if !commits.is_empty() && !self.reserve.is_given_up() => self.health.writes_work(),
                    None => {}
                }
                self.tell_index(commits);
            }
            Err(failure) => {
                self.health.see("write", &failure);
                if let Some(reason) = failure.machine(&self.dir) {
                    self.has_failed(reason);
                }
                if !self.conn.is_autocommit() {
                    // Fails only when SQLite has rolled back by itself already.
                    let _ = self.conn.execute_batch("ROLLBACK");
                }
                for job in &mut jobs {
                    job.fail(failure.shared());
                }
            }
        }
        // A write that was refused because it has read a damaged row is answered when that row is searched no more.
        self.tell_index_of_damage();
        for job in jobs {
            job.answer();
        }
    }

    /// Tells the index of rows that were found damaged, or whole again, by whoever read them. It has taken over every commit.
    fn tell_index_of_damage(&mut self) {
        let damage = Arc::clone(&self.health.damage);
        if !damage.has_news() {
            return;
        }
        let news = damage.take_news();
        // An index that is filled anew gets whole rows only.
        if self.rebuild_at.is_none() {
            match set_aside::cure(&self.conn, &news) {
                Cure::Changes(changes) => {
                    if let Err(error) = wait_for(self.index.amend(changes)) {
                        tracing::error!(%error, "the index failed, it is filled anew from the tables");
                        self.rebuild_at = Some(Instant::now());
                    }
                }
                Cure::FillAnew => self.rebuild_at = Some(Instant::now()),
            }
        }
        self.rebuild_index();
        damage.was_told(&news);
    }

    /// Tells the index the commits in order and waits until it has reached them. An index that fails is filled anew from
    /// the tables; until that has worked it refuses searches, and the writes are acknowledged nevertheless, as they are on
    /// disk and nobody is shown an older state.
    fn tell_index(&mut self, commits: Commits) {
        for (revision, changes) in commits {
            if self.rebuild_at.is_some() {
                break;
            }
            if let Err(error) = wait_for(self.index.apply(revision, changes)) {
                tracing::error!(revision = revision.0, %error, "the index failed, it is filled anew from the tables");
                self.rebuild_at = Some(Instant::now());
            }
        }
        self.rebuild_index();
    }

    /// Fills an index that has failed, or was found to differ from the tables, anew, when that is due.
    fn rebuild_index(&mut self) {
        if self.health.take_index_differs() {
            tracing::error!("the index differs from the tables, it is filled anew from them");
            self.rebuild_at = Some(Instant::now());
        }
        if self.rebuild_at.is_none_or(|rebuild_at| rebuild_at > Instant::now()) {
            return;
        }
        self.rebuild_at = match rebuild(&self.conn, self.counters.revision, self.index.as_ref()) {
            Ok(_) => None,
            Err(failure) => {
                tracing::error!(?failure, "the index could not be filled, searches are refused; it is tried again");
                Some(Instant::now() + REBUILD_PAUSE)
            }
        };
    }

    /// One transaction for all; also returns why a write among them failed, if the machine is at fault. `Err` means that
    /// nothing of any of them is on disk.
    fn try_commit(&mut self, jobs: &mut [Box<dyn Job>]) -> Answer<(Commits, Option<String>)> {
        self.conn.prepare_cached("BEGIN IMMEDIATE")?.execute([])?;
        let mut commits = Vec::with_capacity(jobs.len());
        // Writes of access keys, also those of other processes, take revisions in between. They concern no search, but the
        // index hears of every revision.
        let mut counters = self.counters;
        let sql = "SELECT revision, last_commit FROM store";
        let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
        let (revision, last_commit): (i64, i64) = self.conn.prepare_cached(sql)?.query_row((), read)?;
        // A damaged number is not believed; what this thread knows is never behind the tables.
        let [revision, last_commit] = [revision, last_commit].map(|number| Revision(number.max(0) as u64));
        let is_credible = revision.0 < NUMBER_END.cast_unsigned();
        if revision > counters.revision && is_credible {
            commits.extend((counters.revision.0 + 1..=revision.0).map(|revision| (Revision(revision), Vec::new())));
            (counters.revision, counters.last_commit) = (revision, last_commit);
            self.maintenance.others_have_written();
        }
        let n_of_others = commits.len();
        let mut erased = false;
        let mut tx = WriteTx {
            conn: &self.conn,
            changes: Vec::new(),
            actor: None,
            erased: false,
            begun: None,
            idle: false,
            counters,
        };
        let now = self.clock.now();
        let mut n_kept = 0;
        let mut begun = Vec::new();
        let mut machine = None;
        for job in jobs {
            tx.conn.prepare_cached("SAVEPOINT one_write")?.execute([])?;
            let counters_before = tx.counters;
            let worked = job.run(&mut tx);
            if worked && tx.idle {
                debug_assert!(tx.changes.is_empty() && !tx.erased, "who found nothing to do has changed nothing");
            } else if worked {
                tx.counters.revision.0 += 1;
                let changes = std::mem::take(&mut tx.changes);
                if let Some(actor) = tx.actor.take().filter(|_| !changes.is_empty()) {
                    let previous = std::mem::replace(&mut tx.counters.last_commit, tx.counters.revision);
                    commits::insert(tx.conn, tx.counters.revision, previous, now, &actor, &changes)?;
                    n_kept += 1;
                }
                let seen = changes.into_iter().filter_map(|change| match change {
                    Change::Gallery(change) => Some(change),
                    _ => None,
                });
                commits.push((tx.counters.revision, seen.collect()));
                erased |= tx.erased;
                begun.extend(tx.begun.take());
            } else {
                if tx.conn.is_autocommit() {
                    // A full disk makes SQLite roll back everything, not only the statement that met it: the writes before
                    // this one are undone as well, so the whole batch has met a full disk.
                    let lost = || Failure::said(Kind::Internal, "SQLite gave a transaction up without a reason");
                    return Err(job.failure().unwrap_or_else(lost));
                }
                let failure = job.failure();
                if let Some(failure) = &failure {
                    self.health.see("write", failure);
                }
                machine = machine.or(failure.and_then(|failure| failure.machine(&self.dir)));
                tx.conn.prepare_cached("ROLLBACK TO one_write")?.execute([])?;
                tx.counters = counters_before;
                tx.changes.clear();
            }
            tx.actor = None;
            tx.begun = None;
            tx.erased = false;
            tx.idle = false;
            tx.conn.prepare_cached("RELEASE one_write")?.execute([])?;
        }
        let counters = tx.counters;
        if commits.len() == n_of_others {
            commits.clear();
            self.conn.prepare_cached("ROLLBACK")?.execute([])?;
            return Ok((commits, machine));
        }
        self.conn.prepare_cached("UPDATE store SET revision = ?1, next_sequence = ?2, last_commit = ?3")?.execute((
            counters.revision.0,
            counters.next_sequence,
            counters.last_commit.0,
        ))?;
        self.conn.prepare_cached("COMMIT")?.execute([])?;
        self.n_commits.fetch_add(1, Ordering::SeqCst);
        self.health.log_has_grown(counters.revision);
        self.counters = counters;
        self.identity.acknowledge(counters);
        if !begun.is_empty() {
            self.deletes.extend(begun);
            self.step_at = Some(Instant::now());
        }
        if n_kept > 0 {
            self.maintenance.commits_were_kept();
        }
        if erased {
            self.maintenance.something_was_erased();
            // What was deleted is damaged no more.
            if self.health.damage.n_known() > 0
                && let Err(failure) = self.health.damage.renewed(&self.conn)
            {
                tracing::debug!(?failure, "the damaged rows could not be looked at again");
            }
        }
        Ok((commits, machine))
    }
}
