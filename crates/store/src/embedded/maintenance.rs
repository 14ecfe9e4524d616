//! What the writing thread does between commits, a little at a time so that nobody waits: erase the faces of deleted
//! sets and persons, give free space back to the disk, clean the log of what was deleted.

use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::ports::Clock;
use likeness_domain::types::TimestampMs;
use rusqlite::{Connection, TransactionBehavior};

use super::Settings;
use super::commits::Kept;
use super::errors::Answer;
use super::holds::HeldBy;
use crate::pace::Pace;

/// Most faces erased in one go. A caller who comes meanwhile waits for it.
const ERASE_ROWS: usize = 500;

/// Free pages (4 KiB) that are kept for the next faces instead of shrinking the file.
const FREE_PAGES_KEPT: u64 = 256;

/// Most pages moved in one go when the file is shrunk.
const VACUUM_PAGES: usize = 256;

/// From a delete to the moment the log is cleaned of its traces: several deletes share one cleaning.
const SCRUB_DELAY: Duration = Duration::from_millis(250);

/// The same is at least so many times what the last cleaning took, whose end depends on the disk: while much is deleted it takes
/// no more than a share of the time from those who wait to write.
const SCRUB_SHARE: u32 = 10;

/// And at most this.
const SCRUB_DELAY_MAX: Duration = Duration::from_secs(5);

/// How long cleaning waits for readers to finish before it tries again later.
const SCRUB_PATIENCE: Duration = Duration::from_millis(20);

/// From a commit to the moment old commits are looked for: many commits share one look.
const COMPACT_DELAY: Duration = Duration::from_secs(10);

/// Most commits compacted in one go.
const COMPACT_ROWS: usize = 500;

/// Pause after a step failed (a full disk, mostly).
const PAUSE: Duration = Duration::from_secs(1);

/// What is to be done.
pub(super) struct Maintenance {
    to_erase: bool,
    to_shrink: bool,
    scrub_at: Option<Instant>,
    scrub_delay: Duration,
    compact_at: Option<Instant>,
    paused_until: Option<Instant>,
    /// Rows were erased since opening whose old bytes are still in the log, or could not be erased for want of room.
    has_traces: bool,
    erase_pace: Pace,
    shrink_pace: Pace,
    compact_pace: Pace,
    kept: Kept,
    settings: Settings,
    clock: Arc<dyn Clock>,
}

impl Maintenance {
    /// The maintenance a store may have right after opening: whatever an earlier process left.
    pub(super) fn after_opening(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        let now = Some(Instant::now());
        Self { to_erase: true, to_shrink: true, scrub_at: now, compact_at: now, ..Self::none(settings, clock) }
    }

    /// None, of a store that cannot be written.
    pub(super) fn none(settings: Settings, clock: Arc<dyn Clock>) -> Self {
        Self {
            to_erase: false,
            to_shrink: false,
            scrub_at: None,
            scrub_delay: SCRUB_DELAY,
            compact_at: None,
            paused_until: None,
            has_traces: false,
            erase_pace: Pace::new(ERASE_ROWS, settings.step_aim),
            shrink_pace: Pace::new(VACUUM_PAGES, settings.step_aim),
            compact_pace: Pace::new(COMPACT_ROWS, settings.step_aim),
            kept: Kept::default(),
            settings,
            clock,
        }
    }

    /// Rows were deleted or overwritten: their old bytes are still in the log, and there may be rows left to erase.
    pub(super) fn something_was_erased(&mut self) {
        self.to_erase = true;
        self.to_shrink = true;
        self.has_traces = true;
        self.clean_log_soon();
    }

    /// Another process has written: what it deleted is still in the log if a reader was in the way of its own cleaning.
    pub(super) fn others_have_written(&mut self) {
        self.clean_log_soon();
    }

    fn clean_log_soon(&mut self) {
        let scrub_at = Instant::now() + self.scrub_delay;
        self.scrub_at.get_or_insert(scrub_at);
    }

    /// Commits were stored: old ones may have to go.
    pub(super) fn commits_were_kept(&mut self) {
        self.compact_at.get_or_insert_with(|| Instant::now() + COMPACT_DELAY);
    }

    /// When the next step is due; `None` when there is none.
    pub(super) fn due_in(&self) -> Option<Duration> {
        let now = Instant::now();
        let timed = self.scrub_at.into_iter().chain(self.compact_at).min();
        let due_at = if self.to_erase || self.to_shrink { Some(now) } else { timed };
        due_at.map(|due_at| due_at.max(self.paused_until.unwrap_or(due_at)).saturating_duration_since(now))
    }

    /// Whether something is due.
    pub(super) fn is_due(&self) -> bool {
        self.due_in().is_some_and(|due_in| due_in.is_zero())
    }

    /// Whether something deleted waits to be removed from the files, so that the reserve may be taken for it. Other steps, as
    /// compacting commits, wait for room: whoever fills the disk would take what the reserve gave up for them.
    pub(super) fn may_take_reserve(&self) -> bool {
        self.has_traces
    }

    /// Does a little of what is due, and says what it was and of how many rows. `idle`: nobody waits to write.
    pub(super) fn do_some(&mut self, conn: &Connection, idle: bool) -> Option<(HeldBy, usize)> {
        self.paused_until = None;
        match self.try_some(conn, idle) {
            Ok(done) => done,
            Err(failure) => {
                // Nobody waits for a step, so there is nobody to return an error to; it is tried again.
                tracing::warn!(?failure, "tidying the store failed, it is tried again");
                // What it counted may not have been made.
                self.kept = Kept::default();
                if !conn.is_autocommit() {
                    let _ = conn.execute_batch("ROLLBACK");
                }
                self.pause();
                None
            }
        }
    }

    /// Puts off what is due.
    pub(super) fn pause(&mut self) {
        self.paused_until = Some(Instant::now() + PAUSE);
    }

    /// What was done, of so many rows, took so long.
    pub(super) fn took(&mut self, by: HeldBy, n_rows: usize, wall: Duration) {
        match by {
            HeldBy::Erasure => self.erase_pace.took(n_rows, wall),
            HeldBy::Shrinking => self.shrink_pace.took(n_rows, wall),
            HeldBy::Compaction => self.compact_pace.took(n_rows, wall),
            HeldBy::LogCleaning => self.scrub_delay = (wall * SCRUB_SHARE).clamp(SCRUB_DELAY, SCRUB_DELAY_MAX),
            HeldBy::Writes | HeldBy::DeleteStep => {}
        }
    }

    fn try_some(&mut self, conn: &Connection, idle: bool) -> Answer<Option<(HeldBy, usize)>> {
        if self.scrub_at.is_some_and(|scrub_at| scrub_at <= Instant::now()) {
            let is_clean = scrub(conn)?;
            self.scrub_at = if is_clean { None } else { Some(Instant::now() + SCRUB_DELAY) };
            self.has_traces &= !is_clean || self.to_erase;
            Ok(Some((HeldBy::LogCleaning, 0)))
        } else if self.compact_at.is_some_and(|compact_at| compact_at <= Instant::now()) {
            let age = i64::try_from(self.settings.commit_age_max.as_millis()).unwrap_or(i64::MAX);
            let now = self.clock.now();
            let before = TimestampMs(now.0.saturating_sub(age));
            let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let n_rows_max = self.compact_pace.n_rows();
            let (most, ages) = (self.settings.commits_max, (before, now));
            let compacted = super::commits::compact_some(&tx, &mut self.kept, most, ages, n_rows_max)?;
            tx.commit()?;
            self.compact_at = compacted.is_more.then(Instant::now);
            if compacted.n_gone > 0 {
                self.something_was_erased();
            }
            Ok(Some((HeldBy::Compaction, compacted.n_gone)))
        } else if self.to_erase {
            let n_rows_max = self.erase_pace.n_rows();
            let tx = rusqlite::Transaction::new_unchecked(conn, TransactionBehavior::Immediate)?;
            let erased = super::erase::erase_some(&tx, n_rows_max).and_then(|n_erased| {
                tx.commit()?;
                Ok(n_erased)
            });
            let n_erased = erased.inspect_err(|_| self.has_traces = true)?;
            self.to_erase = n_erased > 0;
            if n_erased > 0 {
                self.something_was_erased();
            }
            Ok(Some((HeldBy::Erasure, n_erased)))
        } else if self.to_shrink && idle {
            let (n_freed, is_more) = shrink_some(conn, self.shrink_pace.n_rows() as u64)?;
            self.to_shrink = is_more;
            if n_freed > 0 && !is_more {
                // The file gets shorter when the log is folded into it.
                self.scrub_at.get_or_insert_with(|| Instant::now() + SCRUB_DELAY);
            }
            Ok(Some((HeldBy::Shrinking, n_freed as usize)))
        } else {
            Ok(None)
        }
    }
}

/// Folds the log into the database and truncates it, so that no deleted row is left in it. False if a reader was in the
/// way.
pub(super) fn scrub(conn: &Connection) -> Answer<bool> {
    conn.busy_timeout(SCRUB_PATIENCE)?;
    let in_the_way: rusqlite::Result<bool> = conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0));
    conn.busy_timeout(super::schema::BUSY_TIMEOUT)?;
    Ok(!in_the_way?)
}

/// Gives up to so many free pages back: how many, and whether there are more.
fn shrink_some(conn: &Connection, n_pages_max: u64) -> Answer<(u64, bool)> {
    let n_free: u64 = conn.query_row("PRAGMA freelist_count", [], |row| row.get(0))?;
    let n_spare = n_free.saturating_sub(FREE_PAGES_KEPT);
    let n_pages = n_spare.min(n_pages_max);
    if n_pages > 0 {
        let mut statement = conn.prepare(&format!("PRAGMA incremental_vacuum({n_pages})"))?;
        let mut rows = statement.query([])?;
        // It frees a page per step.
        while rows.next()?.is_some() {}
    }
    Ok((n_pages, n_spare > n_pages))
}
