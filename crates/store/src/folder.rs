//! The data folder: one process at a time owns it.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::Read;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use likeness_domain::{Error, Kind, Result};
use rustix::fs::OFlags;

/// Name of the file that holds the owner's process id for people, and which files it has open. It is locked as well as the folder, for programs of older
/// versions, which knew the file only.
pub const LOCK_FILE: &str = "likeness.lock";

/// A data folder that this process owns until the value is dropped.
///
/// The lock is on the folder itself, so that nobody can unlink it from under its owner: whoever removes or replaces files in
/// the folder, even all of them, does not make it free. The operating system releases the lock when the process ends, however
/// it ends; a left-over lock file means nothing.
#[derive(Debug)]
pub struct DataFolder {
    path: PathBuf,
    // Closing them releases the locks.
    folder: File,
    /// `None` if there is none on a file system that cannot be written.
    lock: Option<File>,
}

impl DataFolder {
    /// Makes the folder if need be and takes its lock. [`Kind::InvalidArgument`] naming the process that has it.
    pub fn lock(path: impl Into<PathBuf>) -> Result<Self> {
        let path = path.into();
        make_private_folder(&path)?;
        let folder =
            File::open(&path).map_err(|err| folder_error("cannot open the lock of data folder", &path, err))?;
        let folder_lock = folder.try_lock();
        let lock_path = path.join(LOCK_FILE);
        let lock =
            open_lock(&lock_path).map_err(|err| folder_error("cannot open the lock of data folder", &path, err))?;
        // Some network file systems lock no folders; there the file has to do.
        let locked = match (folder_lock, &lock) {
            (Err(TryLockError::WouldBlock), _) => Err(TryLockError::WouldBlock),
            (_, Some(lock)) => lock.try_lock(),
            (folder_lock, None) => folder_lock,
        };
        match locked {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                // The owner may be between locking and writing; its number is a courtesy.
                let owner = content(lock.as_ref());
                let owner = owner.lines().next().and_then(|id| id.trim().parse::<u32>().ok());
                let owner = owner.map_or("another process".to_owned(), |id| format!("process {id}"));
                let message = format!("data folder `{}`{IN_USE}{owner}", path.display());
                return Err(Error::invalid(FIELD, message)
                    .with_hint("stop that process, or let it do the work: commands talk to a running server"));
            }
            Err(TryLockError::Error(err)) => return Err(folder_error("cannot lock data folder", &path, err)),
        }
        // Which files the last owner had open stays noted until this one has opened its own.
        let before = content(lock.as_ref());
        let folder = Self { path, folder, lock };
        folder.note(before.split_once('\n').map_or("", |(_, lines)| lines));
        Ok(folder)
    }

    /// Writes the number of this process and then these lines into the lock file.
    fn note(&self, lines: &str) {
        if let Some(lock) = &self.lock {
            write_lock(lock, lines);
        }
    }

    /// The lock file; `None` if there is none on a file system that cannot be written.
    pub(crate) fn lock_file(&self) -> Option<LockFile> {
        self.lock.as_ref()?.try_clone().ok().map(LockFile)
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        // Closing them would do, but for a process that is being started at this moment: until it runs a program of its own it
        // has them open, too.
        let _ = self.folder.unlock();
        if let Some(lock) = &self.lock {
            let _ = lock.unlock();
        }
    }
}

/// The lock file of a folder that this process owns.
#[derive(Debug)]
pub(crate) struct LockFile(File);

impl LockFile {
    /// Writes the number of this process and then these lines into it.
    pub(crate) fn write(&self, lines: &str) {
        write_lock(&self.0, lines);
    }
}

fn write_lock(lock: &File, lines: &str) {
    let end = if lines.is_empty() { "" } else { "\n" };
    let text = format!("{}{end}{lines}", std::process::id());
    // Written over before it is cut, as a full disk has no room for what was given back.
    let written = lock.write_all_at(text.as_bytes(), 0).and_then(|()| lock.set_len(text.len() as u64));
    if let Err(err) = written {
        // Owning the folder does not depend on the courtesy: a full disk must not keep the store from opening.
        tracing::debug!(error = %err, "process id not written to the lock file");
    }
}

/// Whether an error of opening a library says that another process has its folder, which may be over in a while.
pub fn is_in_use(error: &Error) -> bool {
    error.field() == Some(FIELD) && error.message().contains(IN_USE)
}

const FIELD: &str = "data";
const IN_USE: &str = " is in use by ";

/// Opens the lock file, making it if there is none. On a file system that cannot be written one that is there does, or none.
fn open_lock(path: &Path) -> std::io::Result<Option<File>> {
    let opened = own_file().create(true).truncate(false).open(path);
    match opened {
        Err(err) if err.kind() == std::io::ErrorKind::ReadOnlyFilesystem => match File::open(path) {
            Err(err) if err.kind() == std::io::ErrorKind::NotFound => Ok(None),
            opened => opened.map(Some),
        },
        opened => opened.map(Some),
    }
}

/// What is in the lock file, as far as it can be read.
fn content(lock: Option<&File>) -> String {
    let mut text = String::new();
    if let Some(mut lock) = lock {
        let _ = lock.read_to_string(&mut text);
    }
    text
}

/// How a file of ours is opened for reading and writing: made for its owner only, and never through a symbolic link, which would
/// have another file written over.
pub(crate) fn own_file() -> OpenOptions {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600).custom_flags(OFlags::NOFOLLOW.bits().cast_signed());
    options
}

/// Makes a file for its owner only. What had its name is removed first, so that it has no other name and nobody else's rights.
pub fn create_private(path: &Path) -> std::io::Result<File> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => own_file().create_new(true).open(path),
    }
}

/// Makes the folder, readable by its owner only, unless it exists. An existing folder keeps the rights its owner gave
/// it; the files inside are private in either case.
pub(crate) fn make_private_folder(path: &Path) -> Result<()> {
    if fs::metadata(path).is_ok_and(|metadata| metadata.is_dir()) {
        return Ok(());
    }
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(path)
        .map_err(|err| folder_error("cannot make data folder", path, err))
}

fn folder_error(doing: &str, path: &Path, err: std::io::Error) -> Error {
    let kind = match err.kind() {
        std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Kind::StorageFull,
        _ => Kind::InvalidArgument,
    };
    Error::new(kind, format!("{doing} `{}`: {err}", path.display())).with_source(err)
}

#[cfg(test)]
mod tests;
