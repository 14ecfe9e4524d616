//! The lock on the database's own file, whatever name it has.
//!
//! The lock of the folder ([`crate::folder`]) does not see that the same database lies in another folder, too, under a hard or a
//! symbolic link: two servers would write it, each with a log of its own beside its own name, and acknowledged writes of both
//! would be gone. So the owner locks the file as well.
//!
//! The system drops a process's locks of SQLite's kind on a file when it closes any descriptor of that file; therefore this one
//! is closed after all connections.

use std::fs::{File, TryLockError};
use std::path::Path;
use std::time::{Duration, Instant};

use likeness_domain::{Error, Result};

use super::schema::database_path;

/// How long, and how often, the owner tries: a command that looks whether the file is locked holds the lock for a moment.
const PATIENCE: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);

/// The lock of the owner, until this is dropped.
#[derive(Debug)]
pub(super) struct DatabaseLock {
    /// `None` where there is no file, or on a file system without locks.
    _file: Option<File>,
}

impl DatabaseLock {
    /// Takes it. Call it with the folder's lock held, before SQLite opens the file; one that SQLite makes afterwards has one
    /// name only. [`likeness_domain::Kind::InvalidArgument`] if another process has it.
    pub(super) fn take(dir: &Path) -> Result<Self> {
        let Ok(file) = File::open(database_path(dir)) else { return Ok(Self { _file: None }) };
        let deadline = Instant::now() + PATIENCE;
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(Self { _file: Some(file) }),
                Err(TryLockError::WouldBlock) if Instant::now() < deadline => std::thread::sleep(PAUSE),
                Err(TryLockError::WouldBlock) => return Err(other_owner(dir)),
                Err(TryLockError::Error(error)) => {
                    tracing::debug!(%error, "the file system locks no files");
                    return Ok(Self { _file: None });
                }
            }
        }
    }

    /// The same refusal for a command, which opens a database beside its owner: that must be the owner of this folder.
    pub(super) fn refuse_other_owner(dir: &Path) -> Result<()> {
        let Ok(file) = File::open(database_path(dir)) else { return Ok(()) };
        if !matches!(file.try_lock_shared(), Err(TryLockError::WouldBlock)) {
            return Ok(());
        }
        // The owner took the folder's lock first, so it is free only if the owner has come by another name.
        match File::open(dir).map(|folder| folder.try_lock()) {
            Ok(Ok(())) => Err(other_owner(dir)),
            _ => Ok(()),
        }
    }
}

fn other_owner(dir: &Path) -> Error {
    let message = format!(
        "`{}` is open under another name: a process owns the same file in another folder, by a hard or symbolic link",
        database_path(dir).display()
    );
    Error::invalid("data", message).with_hint("use that folder, or make a copy with `likeness backup`")
}
