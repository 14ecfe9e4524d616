//! SQLite's errors as those of the domain.

use std::path::Path;

use likeness_domain::{Error, Kind};
use rusqlite::ErrorCode;
use rusqlite::ffi;

/// What to do where pages are damaged.
pub(super) const RECOVER: &str = "stop the server and write what can be read to a new folder with `likeness recover`";

/// Why something inside the store did not work.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The caller's business: it is passed on as it is.
    Said(Error),
    /// The database's business.
    Sqlite(rusqlite::Error),
    /// A row that cannot be what was written.
    Damaged(String),
    /// The disk was full before it was tried.
    Full,
}

/// What a file system that cannot be written is called.
pub(super) const READ_ONLY: &str = "the file system under the store is read-only";

/// What a full disk is called.
pub(super) const FULL: &str = "the disk or quota under the store is full";

/// Result of everything below the port.
pub(crate) type Answer<T> = Result<T, Failure>;

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Said(error)
    }
}

impl From<rusqlite::Error> for Failure {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl Failure {
    /// The refusal `kind` with a message for the caller.
    pub(super) fn said(kind: Kind, message: impl Into<String>) -> Self {
        Self::Said(Error::new(kind, message))
    }

    /// The error for the caller; `doing` completes "cannot ...". `dir` is looked at to tell a full disk from a broken one.
    pub(super) fn into_error(self, doing: &str, dir: &Path) -> Error {
        match self {
            Self::Said(error) => error,
            Self::Damaged(what) => Error::internal(format!("cannot {doing}: the store is damaged"), what),
            Self::Full => Error::new(Kind::StorageFull, format!("cannot {doing}: {FULL}")),
            Self::Sqlite(error) if is_full(&error, dir) => {
                Error::new(Kind::StorageFull, format!("cannot {doing}: {FULL}")).with_source(error)
            }
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::ReadOnly) => {
                Error::new(Kind::StorageFull, format!("cannot {doing}: {READ_ONLY}")).with_source(error)
            }
            Self::Sqlite(error) if error.sqlite_error_code() == Some(ErrorCode::DatabaseBusy) => Error::new(
                Kind::Overloaded,
                format!("cannot {doing}: another process is writing to the store, try again in a moment"),
            )
            .with_source(error),
            Self::Sqlite(error)
                if matches!(error.sqlite_error_code(), Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase)) =>
            {
                Error::internal(format!("cannot {doing}: the database is damaged"), error).with_hint(RECOVER)
            }
            Self::Sqlite(error) => Error::internal(format!("cannot {doing}: the store failed"), error),
        }
    }

    /// Why, if the machine is at fault: the disk is full, broken or read-only. `None` for what concerns one write alone.
    pub(super) fn machine(&self, dir: &Path) -> Option<String> {
        let Self::Sqlite(error) = self else { return None };
        if is_full(error, dir) {
            return Some(FULL.to_owned());
        }
        let code = error.sqlite_error_code()?;
        if code == ErrorCode::ReadOnly {
            return Some(READ_ONLY.to_owned());
        }
        let is_machine = matches!(code, ErrorCode::SystemIoFailure | ErrorCode::CannotOpen);
        is_machine.then(|| format!("the disk under the store fails: {error}"))
    }

    /// The same trouble for another write that shared its fate.
    pub(super) fn shared(&self) -> Self {
        match self {
            Self::Said(error) => Self::Said(error.without_source()),
            Self::Damaged(what) => Self::Damaged(what.clone()),
            Self::Full => Self::Full,
            Self::Sqlite(rusqlite::Error::SqliteFailure(error, message)) => {
                Self::Sqlite(rusqlite::Error::SqliteFailure(*error, message.clone()))
            }
            Self::Sqlite(error) => Self::Damaged(error.to_string()),
        }
    }
}

/// Whether the disk, the quota or the file size limit is used up.
fn is_full(error: &rusqlite::Error, dir: &Path) -> bool {
    match error.sqlite_error() {
        None => false,
        Some(error) if error.code == ErrorCode::DiskFull => true,
        // SQLite knows ENOSPC only: a quota (EDQUOT) or a file size limit (EFBIG) looks like broken hardware to it.
        Some(error) => {
            let writing = [
                ffi::SQLITE_IOERR_WRITE,
                ffi::SQLITE_IOERR_FSYNC,
                ffi::SQLITE_IOERR_SHMOPEN,
                ffi::SQLITE_IOERR_SHMSIZE,
                ffi::SQLITE_CANTOPEN,
                ffi::SQLITE_IOERR_TRUNCATE,
                ffi::SQLITE_IOERR_CLOSE,
            ];
            writing.contains(&error.extended_code) && folder_is_full(dir)
        }
    }
}

/// Tries to write a little, the only portable way to ask about quotas.
fn folder_is_full(dir: &Path) -> bool {
    use std::io::{ErrorKind, Write};
    let path = dir.join("likeness.probe");
    let written = std::fs::File::create(&path).and_then(|mut file| {
        file.write_all(&[0; 64 * 1024])?;
        file.sync_all()
    });
    let _ = std::fs::remove_file(&path);
    written.is_err_and(|err| {
        matches!(err.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge)
    })
}
