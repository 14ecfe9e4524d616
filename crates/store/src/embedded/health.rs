//! How the store is: damaged rows, lost commits, writes that fail.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use likeness_domain::ports::StoreHealth;
use likeness_domain::types::Revision;
use rusqlite::{Connection, ErrorCode};
use xxhash_rust::xxh3::xxh3_64;

use super::checksums::TABLES;
use super::damage::DamageLog;
use super::errors::{Answer, Failure, RECOVER};
use super::losses::Losses;
use super::open_files::OpenFiles;
use crate::folder::create_private;

/// Name of the table whose rows have no checksums.
pub(super) const GALLERY: &str = "gallery";

/// Name of the file inside the data folder that has what is known to be damaged: a line `row TABLE IDENTITY` or `other TABLE TEXT`
/// each, and the XXH3 of them.
pub(super) const DAMAGE_FILE: &str = "likeness.damage";

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
    /// `None` of a library that is only looked at.
    files: Option<OpenFiles>,
    /// The index was found to differ from the tables.
    index_differs: AtomicBool,
}

impl Health {
    /// Of a store whose writes work.
    pub(super) fn new(damage: Arc<DamageLog>, losses: Losses) -> Self {
        Self {
            damage,
            losses: Mutex::new(losses),
            other_damage: Mutex::new(BTreeSet::new()),
            write_failure: Mutex::new(None),
            files: None,
            index_differs: AtomicBool::new(false),
        }
    }

    /// The index differs from the tables: the writing thread fills it anew before it answers the next write.
    pub(super) fn index_differs(&self) {
        self.index_differs.store(true, Ordering::SeqCst);
    }

    /// Whether somebody has found that since this was last asked.
    pub(super) fn take_index_differs(&self) -> bool {
        self.index_differs.swap(false, Ordering::SeqCst)
    }

    /// The same with a look at these files before each commit.
    pub(super) fn watching(self, files: OpenFiles) -> Self {
        Self { files: Some(files), ..self }
    }

    /// Why what is written now would be lost, as the files are not in their places any more.
    pub(super) fn file_trouble(&self) -> Option<String> {
        self.files.as_ref()?.trouble()
    }

    /// A commit of this revision was added to the log: a log that was begun anew by it is noted.
    pub(super) fn log_has_grown(&self, revision: Revision) {
        if let Some(files) = &self.files {
            files.log_has_grown(revision);
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

    /// Reads again what an earlier process knew to be damaged: what still is, is known from the start.
    pub(super) fn recall(&self, dir: &Path, conn: &Connection) {
        let text = std::fs::read_to_string(dir.join(DAMAGE_FILE)).unwrap_or_default();
        let Some((head, checksum)) = text.trim_end().rsplit_once('\n') else { return };
        // A file that is not what was written is worth nothing: what it says is found again.
        if u64::from_str_radix(checksum, 16).ok() != Some(xxh3_64(head.as_bytes())) {
            return;
        }
        for line in head.lines() {
            match line.split_once(' ') {
                Some(("row", row)) => self.damage.look_at(conn, row),
                Some(("other", what)) => {
                    let Some((table, what)) = what.split_once(' ') else { continue };
                    let known = TABLES.iter().map(|table| table.name).chain([GALLERY, ANY_TABLE]);
                    if let Some(table) = known.into_iter().find(|known| *known == table) {
                        self.note(table, what.to_owned());
                    }
                }
                _ => {}
            }
        }
    }

    /// Writes down what is known to be damaged, for the next process. Like the position of the check of every row it is not
    /// flushed: whoever reads a damaged row finds it again.
    pub(super) fn keep(&self, dir: &Path) {
        let mut head: String = self.damage.lines().iter().map(|row| format!("row {row}\n")).collect();
        for (table, what) in locked(&self.other_damage).iter() {
            head.push_str(&format!("other {table} {}\n", what.replace(['\n', '\r'], " ")));
        }
        let path = dir.join(DAMAGE_FILE);
        let written = match head.trim_end() {
            "" => match std::fs::remove_file(&path) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
                _ => Ok(()),
            },
            head => {
                let unfinished = path.with_extension("damage.new");
                let text = format!("{head}\n{:016x}\n", xxh3_64(head.as_bytes()));
                let written = create_private(&unfinished).and_then(|mut file| file.write_all(text.as_bytes()));
                written.and_then(|()| std::fs::rename(&unfinished, &path))
            }
        };
        if let Err(error) = written {
            tracing::debug!(%error, "{DAMAGE_FILE} cannot be written");
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
            // Nobody may have come to write since.
            write_failure: locked(&self.write_failure).clone().or_else(|| self.file_trouble()),
            n_rows_set_aside: self.damage.n_known(),
            rows_set_aside_of: self.damage.n_known_of(),
            n_other_damage: locked(&self.other_damage).len() as u64,
            n_losses: locked(&self.losses).n_known(),
            scrub: None,
            outside: None,
        }
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
