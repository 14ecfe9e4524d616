//! How the store is: damaged rows, lost commits, writes that fail.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use likeness_domain::ports::StoreHealth;
use rusqlite::ErrorCode;

use super::damage::DamageLog;
use super::errors::{Answer, Failure};
use super::losses::Losses;
use super::scrub::RECOVER;

/// Most damage that concerns no single row with a checksum and is remembered one by one.
const OTHER_DAMAGE_MAX: usize = 1000;

/// Stands for a table where it is not known which one is damaged.
pub(super) const ANY_TABLE: &str = "any";

/// What the threads of a store say about it.
#[derive(Debug)]
pub(super) struct Health {
    /// Rows that are set aside.
    pub(super) damage: Arc<DamageLog>,
    /// Commits of earlier runs that are missing and that nobody has acknowledged.
    losses: Mutex<Losses>,
    /// Damage that concerns no single row with a checksum: the table that it is in, and what it is, for people.
    other_damage: Mutex<BTreeSet<(&'static str, String)>>,
    /// Why the last write failed on account of the machine.
    write_failure: Mutex<Option<String>>,
}

impl Health {
    /// Of a store whose writes work.
    pub(super) fn new(damage: Arc<DamageLog>, losses: Losses) -> Self {
        Self {
            damage,
            losses: Mutex::new(losses),
            other_damage: Mutex::new(BTreeSet::new()),
            write_failure: Mutex::new(None),
        }
    }

    /// Commits that are missing, for people.
    pub(super) fn losses(&self) -> Vec<String> {
        locked(&self.losses).words()
    }

    /// The same answer; pages that could not be read for it are remembered ([`Self::see`]).
    pub(super) fn watched<T>(&self, doing: &'static str, answer: Answer<T>) -> Answer<T> {
        if let Err(failure) = &answer {
            self.see(doing, failure);
        }
        answer
    }

    /// Remembers pages, of whichever table, that could not be read; `doing` completes "cannot ...".
    pub(super) fn see(&self, doing: &'static str, failure: &Failure) {
        let Failure::Sqlite(error) = failure else { return };
        if let Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) = error.sqlite_error_code() {
            self.note(ANY_TABLE, format!("the database is damaged: cannot {doing} ({error}): {RECOVER}"));
        }
    }

    /// Somebody has seen that commits are missing; returns what was said of them.
    pub(super) fn acknowledge_losses(&self, dir: &Path) -> std::io::Result<Vec<String>> {
        let words = locked(&self.losses).acknowledge(dir)?;
        for loss in &words {
            tracing::warn!(loss, "a loss of commits was acknowledged and is not reported any more");
        }
        Ok(words)
    }

    /// Remembers damage in a table that concerns no single row with a checksum, and logs it the first time.
    pub(super) fn note(&self, table: &'static str, what: String) {
        let mut known = locked(&self.other_damage);
        if known.len() < OTHER_DAMAGE_MAX && known.insert((table, what.clone())) {
            tracing::error!(table, "{what}");
        }
    }

    /// The table is read anew: what is still damaged is noted again.
    pub(super) fn forget(&self, table: &'static str) {
        locked(&self.other_damage).retain(|(known, _)| *known != table);
    }

    /// Such damage, for people.
    pub(super) fn other_damage(&self) -> Vec<String> {
        locked(&self.other_damage).iter().map(|(_, what)| what.clone()).collect()
    }

    /// Writes fail from now on, for this reason.
    pub(super) fn writes_fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let mut failure = locked(&self.write_failure);
        if failure.as_ref() != Some(&reason) {
            tracing::error!(reason, "writes fail; reading and searching go on");
            *failure = Some(reason);
        }
    }

    /// Writes work.
    pub(super) fn writes_work(&self) {
        let mut failure = locked(&self.write_failure);
        if failure.take().is_some() {
            tracing::info!("writes work again");
        }
    }

    /// Whether the last write failed on account of the machine.
    pub(super) fn do_writes_fail(&self) -> bool {
        locked(&self.write_failure).is_some()
    }

    /// For those who ask from outside.
    pub(super) fn summary(&self) -> StoreHealth {
        StoreHealth {
            write_failure: locked(&self.write_failure).clone(),
            n_rows_set_aside: self.damage.n_known(),
            rows_set_aside_of: self.damage.n_known_of(),
            n_other_damage: locked(&self.other_damage).len() as u64,
            n_losses: locked(&self.losses).n_known(),
            scrub: None,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
