//! Files that are all there or not there: synced writes, and folders that appear by one rename.

use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use likeness_domain::{Error, Result};

use super::unavailable;

/// What an install needs at its peak: both archives, pip's copies of them, and the results.
const INSTALL_MB_MAX: u32 = 200;

/// Reads a file of at most `bytes_max` bytes; one that is larger is an error of kind `FileTooLarge`.
pub(super) fn read_bounded(path: &Path, bytes_max: usize) -> io::Result<Vec<u8>> {
    let file = File::open(path)?;
    let metadata = file.metadata()?;
    // Neither a device nor a pipe: reading could last for ever.
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
    }
    let mut bytes = Vec::with_capacity(usize::try_from(metadata.len()).unwrap_or(bytes_max).min(bytes_max));
    file.take(bytes_max as u64 + 1).read_to_end(&mut bytes)?;
    if bytes.len() > bytes_max {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("larger than {bytes_max} bytes")));
    }
    Ok(bytes)
}

/// Writes a new file and waits until it is on disk.
pub(super) fn write_synced(path: &Path, bytes: &[u8]) -> Result<()> {
    let write = || {
        let mut file = File::create_new(path)?;
        file.write_all(bytes)?;
        file.sync_all()
    };
    write().map_err(|err| cannot("write", path, err))
}

/// Makes a folder with all above it.
pub(super) fn create_dir(path: &Path) -> Result<()> {
    fs::create_dir_all(path).map_err(|err| cannot("create", path, err))
}

/// Moves a finished folder to its place by one rename. What is there already is first moved to `retired`, so a crash
/// leaves the old folder, none, or the new one, but never a mixture.
pub(super) fn publish(staged: &Path, target: &Path, retired: &Path) -> Result<()> {
    let parent = target.parent().expect("packs and runtimes have a folder above them");
    create_dir(parent)?;
    let publish = || {
        sync_dir(staged)?;
        match fs::rename(target, retired) {
            Err(err) if err.kind() != io::ErrorKind::NotFound => return Err(err),
            _ => {}
        }
        fs::rename(staged, target)?;
        sync_dir(parent)
    };
    publish().map_err(|err| cannot("write", target, err))
}

/// A file could not be used; a full disk is told apart, since its cure is another.
pub(super) fn cannot(verb: &str, path: &Path, err: io::Error) -> Error {
    let full = matches!(err.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded);
    let (reason, hint) = if full {
        ("no space left".to_owned(), format!("free {INSTALL_MB_MAX} MB there, or set `LIKENESS_HOME` to another disk"))
    } else {
        let hint = "check that the folder exists and may be used, or set `LIKENESS_HOME` to another one";
        (err.to_string(), hint.to_owned())
    };
    unavailable(format!("cannot {verb} `{}`: {reason}", path.display()), hint).with_source(err)
}

// A rename is durable only once its folder is on disk.
fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}
