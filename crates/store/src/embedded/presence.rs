//! Whether the library that was in a folder is there still.

use std::path::Path;

use likeness_domain::ports::Clock;
use likeness_domain::{Error, Kind};
use rusqlite::Connection;

use super::database_lock::DatabaseLock;
use super::errors::{Answer, Failure};
use super::identity::{Found, IDENTITY_FILE, Identity, LibraryId, identity_of};
use super::log_check;
use super::losses::Loss;
use super::open_files;
use super::schema::DATABASE_FILE;
use crate::clock::WallClock;

/// Folder inside the data folder in which `recover` and `restore` make the database, so that one that was cut short leaves no
/// library.
pub(super) const UNFINISHED: &str = "unfinished";

/// Refuses a folder whose database is gone while the identity file says that there was one, is not finished, was put beside
/// the log of another one, or is open in another folder. Called before SQLite makes an empty one.
pub(super) fn check_present(dir: &Path) -> Answer<()> {
    DatabaseLock::refuse_other_owner(dir).map_err(Failure::Said)?;
    open_files::check_log(dir)?;
    log_check::check(dir)?;
    let n_bytes = std::fs::metadata(dir.join(DATABASE_FILE)).map_or(0, |metadata| metadata.len());
    match identity_of(dir)? {
        Found::Identity(identity) if n_bytes == 0 => Err(emptied(dir, &identity)),
        // SQLite would throw the log away.
        _ if n_bytes == 0 && log_check::has_commits(dir) => {
            let message = format!(
                "the database in `{}` is missing or empty, but there is `{DATABASE_FILE}-wal`, the log of a library that was \
                 here, with commits in it",
                dir.display()
            );
            Err(Failure::Said(Error::new(Kind::InvalidArgument, message).with_hint(format!(
                "put the database or a copy of it back, or write what can still be read to a new folder with `likeness \
                 recover`; to start an empty library, move `{DATABASE_FILE}-wal` away"
            ))))
        }
        _ if n_bytes == 0 && dir.join(UNFINISHED).is_dir() => {
            let message = format!("a restore or recovery into `{}` was cut short", dir.display());
            Err(Failure::Said(Error::new(Kind::InvalidArgument, message).with_hint(format!(
                "do it again; to start an empty library instead, remove the folder `{UNFINISHED}` in it"
            ))))
        }
        _ => Ok(()),
    }
}

/// Refuses a database of another library than the one whose identity file lies beside it.
pub(super) fn check_same(conn: &Connection, dir: &Path) -> Answer<()> {
    match identity_of(dir)? {
        Found::Identity(identity) if library_of(conn)? != identity.library => Err(swapped(dir)),
        _ => Ok(()),
    }
}

pub(super) fn emptied(dir: &Path, identity: &Identity) -> Failure {
    // No number of commits: a restore adds 2^32 to it.
    let revision =
        identity.acknowledged.map_or(String::new(), |(revision, _)| format!(", its last revision {revision},"));
    let message = format!(
        "the database in `{}` is missing or empty, but {IDENTITY_FILE} says that a library{revision} was here",
        dir.display()
    );
    Failure::Said(Error::new(Kind::InvalidArgument, message).with_hint(format!(
        "put a copy of the database back, or write what can still be read to a new folder with `likeness recover`; to start \
         an empty library, move {IDENTITY_FILE} away"
    )))
}

fn swapped(dir: &Path) -> Failure {
    let message = format!("the database in `{}` is of another library than {IDENTITY_FILE} says", dir.display());
    Failure::Said(
        Error::new(Kind::InvalidArgument, message).with_hint(format!(
            "put the right `{DATABASE_FILE}` back; if this one is right, move {IDENTITY_FILE} away"
        )),
    )
}

/// The id of the library.
pub(super) fn library_of(conn: &Connection) -> Answer<LibraryId> {
    let bytes: Vec<u8> = conn.query_row("SELECT library FROM store", [], |row| row.get(0))?;
    bytes.try_into().map_err(|_| Failure::Damaged("the id of the library has not 16 bytes".into()))
}

/// What is missing of a database that has reached a revision, when another one was acknowledged.
pub(super) fn loss_between(reached: u64, acknowledged: u64) -> Option<Loss> {
    let now = WallClock.now();
    (reached < acknowledged).then(|| Loss { first: reached + 1, last: acknowledged, noticed_at: now })
}
