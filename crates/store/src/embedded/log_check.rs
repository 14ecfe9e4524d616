//! Whether the log beside a database is its own.
//!
//! SQLite does not ask: it writes the pages of whatever log has the right name over the database. When somebody copies another
//! database, or an older one, over ours and leaves the log where it is, or puts another log beside it, what both held is lost.
//!
//! Therefore both are looked at before SQLite folds one into the other. Each commit writes the row of `store`, which names the
//! library and its revision. The database alone must be of the same library, and its revision must lie between the one at which
//! the log was begun and the log's last: it is the former until the log is folded in, and the latter at the end of that. At
//! which one the log was begun is noted in the lock file ([`super::open_files`]); where that is not known, the log's first commit
//! tells it but for the writes that were made in it.

use std::fs::File;
use std::path::Path;

use likeness_domain::{Error, Kind};
use rusqlite::types::Value;
use rusqlite::{Connection, ErrorCode};

use super::cells::{Kind as PageKind, cell, cell_offsets};
use super::errors::{Answer, Failure};
use super::identity::{self, Found, IDENTITY_FILE, LibraryId};
use super::numbers::NUMBER_END;
use super::open_files::LogStart;
use super::schema::{self, APPLICATION_ID, DATABASE_FILE, database_path};
use super::wal::{self, Head, Salts};
use super::writer::BATCH_MAX;

/// The row of `store`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Store {
    revision: u64,
    /// Up to which revision commits were compacted away; 0 of layouts that do not know it.
    compacted: u64,
    /// `None` of layouts that do not know it.
    library: Option<LibraryId>,
}

/// What a database says of itself without its log.
#[derive(Debug)]
enum Alone {
    /// It is no database of SQLite's.
    Nothing,
    /// It is another program's.
    Foreign,
    /// A library, whose row of `store` is in that page.
    Library { page: u32, store: Store },
    /// That cannot be said: everything is in the log still, or it was being folded in.
    Unknown,
}

/// What a log has.
#[derive(Debug)]
struct Log {
    salts: Salts,
    /// Whether it has a transaction.
    has_commits: bool,
    /// The row of `store` after its first transaction that wrote that, and after its last one.
    stores: Option<(Store, Store)>,
}

/// The revision of the database alone, for the note on its log; `None` if that cannot be said.
pub(super) fn revision_alone(dir: &Path) -> Option<u64> {
    match alone(dir) {
        Alone::Library { store, .. } => Some(store.revision),
        _ => None,
    }
}

/// Whether the log of a folder has a transaction.
pub(super) fn has_commits(dir: &Path) -> bool {
    File::open(wal::path(dir)).is_ok_and(|file| Log::read(&file, 0).is_ok_and(|log| log.has_commits))
}

/// Refuses a database whose log is not its own. Called before SQLite opens both.
pub(super) fn check(dir: &Path) -> Answer<()> {
    let Ok(file) = File::open(wal::path(dir)) else { return Ok(()) };
    let Ok(Some(before)) = Head::read(&file) else { return Ok(()) };
    let alone = alone(dir);
    let page = match alone {
        Alone::Library { page, .. } => page,
        _ => 0,
    };
    let Ok(log) = Log::read(&file, page) else { return Ok(()) };
    // A server beside this process has folded it in and begun it anew: what was read does not belong together.
    if !log.has_commits || log.salts != before.salts || Head::read(&file).ok().flatten() != Some(before) {
        return Ok(());
    }
    let identity = match identity::identity_of(dir)? {
        Found::Identity(identity) => Some(identity.library),
        _ => None,
    };
    match reason(&alone, &log, identity, LogStart::noted(dir)) {
        None => Ok(()),
        Some(reason) => Err(refusal(dir, &reason)),
    }
}

/// Why they do not belong together; `None` if they do, as far as can be seen.
fn reason(alone: &Alone, log: &Log, identity: Option<LibraryId>, noted: Option<LogStart>) -> Option<String> {
    let store = match alone {
        Alone::Nothing => return Some(format!("`{DATABASE_FILE}` is no database")),
        Alone::Foreign => return Some(format!("`{DATABASE_FILE}` is a database of another program")),
        Alone::Unknown => return None,
        Alone::Library { store, .. } => store,
    };
    if let (Some(library), Some(expected)) = (store.library, identity)
        && library != expected
    {
        return Some(format!("`{DATABASE_FILE}` is of another library than {IDENTITY_FILE} says"));
    }
    if let (Some(library), Some((_, Store { library: Some(of_log), .. }))) = (store.library, log.stores)
        && library != of_log
    {
        return Some(format!("`{DATABASE_FILE}-wal` is the log of another library"));
    }
    // A damaged number is mended by what the tables show.
    if store.revision >= NUMBER_END.cast_unsigned() {
        return None;
    }
    let start = match (noted.filter(|noted| noted.salts == log.salts), log.stores) {
        (Some(noted), _) => noted.revision,
        // Numbers that jumped, after a loss of commits, say nothing of the one before.
        (None, Some((first, _))) if first.compacted == first.revision => 0,
        (None, Some((first, _))) => first.revision.saturating_sub(BATCH_MAX as u64),
        (None, None) => 0,
    };
    if store.revision < start {
        return Some(format!(
            "`{DATABASE_FILE}` is an older copy, of revision {}, and the log goes on from revision {start}",
            store.revision
        ));
    }
    match log.stores {
        Some((_, last)) if store.revision > last.revision => Some(format!(
            "`{DATABASE_FILE}` is of revision {}, and the log ends with revision {}: the log is an older one, or damaged",
            store.revision, last.revision
        )),
        _ => None,
    }
}

fn refusal(dir: &Path, reason: &str) -> Failure {
    let message = format!(
        "the log `{DATABASE_FILE}-wal` in `{}` is not that of the database beside it: {reason}; nothing was written to either",
        dir.display()
    );
    Failure::Said(Error::new(Kind::InvalidArgument, message).with_hint(format!(
        "put the database back that belongs to the log; if this one is right, move `{DATABASE_FILE}-wal` and \
         `{DATABASE_FILE}-shm` away, whose commits are missing then; `likeness recover` writes what can be read of both to a \
         new library"
    )))
}

fn alone(dir: &Path) -> Alone {
    let read = || -> Answer<Alone> {
        let conn = schema::open_immutable(&database_path(dir))?;
        let application_id: i32 = conn.query_row("PRAGMA application_id", [], |row| row.get(0))?;
        let n_tables: u32 = conn.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
        if application_id != APPLICATION_ID {
            return Ok(if (application_id, n_tables) == (0, 0) { Alone::Unknown } else { Alone::Foreign });
        }
        let sql = "SELECT rootpage FROM sqlite_schema WHERE type = 'table' AND name = 'store'";
        Ok(Alone::Library { page: conn.query_row(sql, [], |row| row.get(0))?, store: store_of(&conn)? })
    };
    match read() {
        Ok(alone) => alone,
        Err(Failure::Sqlite(error)) if error.sqlite_error_code() == Some(ErrorCode::NotADatabase) => Alone::Nothing,
        Err(_) => Alone::Unknown,
    }
}

fn store_of(conn: &Connection) -> Answer<Store> {
    let revision: i64 = conn.query_row("SELECT revision FROM store", [], |row| row.get(0))?;
    let newer = conn.query_row("SELECT library, compacted FROM store", [], |row| Ok((row.get(0)?, row.get(1)?)));
    // Layouts before 7 have neither.
    let (library, compacted): (Option<Vec<u8>>, i64) = newer.unwrap_or((None, 0));
    Ok(Store {
        revision: revision.cast_unsigned(),
        compacted: compacted.cast_unsigned(),
        library: library.and_then(|bytes| bytes.try_into().ok()),
    })
}

impl Log {
    /// Reads the log of a database whose row of `store` is in that page.
    fn read(file: &File, store_page: u32) -> std::io::Result<Self> {
        let mut log = Self { salts: [0; 2], has_commits: false, stores: None };
        let Some(head) = Head::read(file)? else { return Ok(log) };
        log.salts = head.salts;
        let mut written = None;
        wal::each_frame(file, &head, |number, page, is_end| {
            if number == store_page {
                written = row_of_store(page, number).or(written);
            }
            if is_end {
                log.has_commits = true;
                if let Some(store) = written.take() {
                    log.stores = Some((log.stores.map_or(store, |(first, _)| first), store));
                }
            }
        })?;
        Ok(log)
    }
}

/// The row in a page of the table `store`, which has one.
fn row_of_store(page: &[u8], number: u32) -> Option<Store> {
    let kind = PageKind::of(page, number)?;
    let at = *cell_offsets(page, number, kind).first()?;
    let values = cell(page, at, kind, &mut |_| None)?.values;
    // Columns: id, revision, next_sequence, compacted, library, last_commit.
    let Some(&Value::Integer(revision)) = values.get(1) else { return None };
    Some(Store {
        revision: revision.cast_unsigned(),
        compacted: match values.get(3) {
            Some(&Value::Integer(compacted)) => compacted.cast_unsigned(),
            _ => 0,
        },
        library: match values.get(4) {
            Some(Value::Blob(library)) => library.as_slice().try_into().ok(),
            _ => None,
        },
    })
}

/// For fuzzing: a page that may be anything.
pub(super) fn fuzz_page(page: &[u8]) {
    for number in [1, 2] {
        let _ = row_of_store(page, number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn store(revision: u64) -> Store {
        Store { revision, compacted: 0, library: Some([7; 16]) }
    }

    fn refused(alone: u64, (first, last): (u64, u64), noted: Option<u64>) -> bool {
        let log = Log { salts: [1, 2], has_commits: true, stores: Some((store(first), store(last))) };
        let noted = noted.map(|revision| LogStart { salts: [1, 2], revision });
        reason(&Alone::Library { page: 2, store: store(alone) }, &log, Some([7; 16]), noted).is_some()
    }

    #[test]
    fn a_database_lies_between_the_start_and_the_end_of_its_log() {
        // As it was when the log was begun, partly and wholly folded in.
        for alone in [100, 101, 150, 200] {
            assert!(!refused(alone, (101, 200), Some(100)), "{alone}");
            assert!(!refused(alone, (101, 200), None), "{alone}");
        }
        assert!(refused(99, (101, 200), Some(100)));
        assert!(refused(201, (101, 200), Some(100)));
        // Without a note a first commit may have had as many writes as one may have.
        assert!(!refused(1000 - BATCH_MAX as u64, (1000, 2000), None));
        assert!(refused(1000 - BATCH_MAX as u64 - 1, (1000, 2000), None));
        assert!(!refused(NUMBER_END.cast_unsigned(), (101, 200), None), "a damaged number is mended");
    }

    #[test]
    fn a_note_on_another_log_says_nothing() {
        let log = Log { salts: [1, 2], has_commits: true, stores: None };
        let alone = Alone::Library { page: 2, store: store(5) };
        let noted = |salts| Some(LogStart { salts, revision: 9 });
        assert!(reason(&alone, &log, None, noted([1, 2])).is_some());
        assert!(reason(&alone, &log, None, noted([1, 3])).is_none());
    }

    /// After a loss of commits the numbers go on behind it.
    #[test]
    fn numbers_that_jumped_are_no_older_copy() {
        let jumped = Store { compacted: 5000, ..store(5000) };
        let log = Log { salts: [1, 2], has_commits: true, stores: Some((jumped, store(5001))) };
        assert!(reason(&Alone::Library { page: 2, store: store(9) }, &log, None, None).is_none());
    }
}
