//! Package archives (zip files, or gzipped tar files): found, checked, and one file taken out.

mod tar;

use std::fs::{self, File};
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use likeness_domain::{Error, Result};
use zip::ZipArchive;
use zip::result::ZipError;

use super::digest::Digest;
use super::files::cannot;
use super::recipe::Package;
use super::unavailable;

/// Bytes of one unpacked file: three times the runtime library, the largest we take.
const MEMBER_BYTES_MAX: u64 = 96 * 1024 * 1024;

/// Files looked at in a folder given as `--from`.
const FILES_MAX: usize = 10_000;

/// The archives of a package at `path`, which is one of them or a folder that holds them, in order of name.
pub(super) fn find(path: &Path, package: &Package) -> Result<Vec<PathBuf>> {
    let metadata = fs::metadata(path).map_err(|err| {
        let message = format!("cannot read `{}`: {err}", path.display());
        unavailable(message, "give an archive, or a folder that holds the archives").with_source(err)
    })?;
    let mut found = Vec::new();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(|err| cannot("read", path, err))?.take(FILES_MAX) {
            found.push(entry.map_err(|err| cannot("read", path, err))?.path());
        }
    } else {
        found.push(path.to_owned());
    }
    let (prefix, suffix) = package.archive_name();
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(&suffix)
    });
    found.sort();
    Ok(found)
}

/// Checks a whole archive against the package's digest, if it has one for all platforms.
pub(super) fn check(path: &Path, package: &Package) -> Result<()> {
    let Some(expected) = package.sha256 else { return Ok(()) };
    let digest = Digest::of_file(path).map_err(|err| cannot("read", path, err))?;
    if digest == expected { Ok(()) } else { Err(wrong_digest(&format!("`{}`", path.display()), digest, expected)) }
}

/// The bytes of one file in an archive, checked against `expected`.
pub(super) fn take(path: &Path, member: &str, expected: Digest) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(|err| cannot("read", path, err))?;
    let is_tar = path.extension().is_some_and(|extension| extension == "tgz");
    let taken = if is_tar { tar::take(file, member) } else { unzip(file, member) };
    match taken {
        Ok(bytes) => checked(bytes, &format!("`{member}` in `{}`", path.display()), expected),
        Err(Unreadable::Absent) => {
            let message = format!("`{}` holds no `{member}`", path.display());
            Err(unavailable(message, HINT_OTHER_ARCHIVE))
        }
        Err(Unreadable::TooLarge(n_bytes)) => {
            let message = format!("`{member}` in `{}` has {n_bytes} bytes", path.display());
            Err(unavailable(format!("{message}, expected at most {MEMBER_BYTES_MAX}"), HINT_OTHER_ARCHIVE))
        }
        Err(Unreadable::Damaged(reason)) => {
            let message = format!("`{}` cannot be unpacked: {reason}", path.display());
            Err(unavailable(message, "the archive is damaged; fetch it again"))
        }
    }
}

/// Bytes that are what they should be; `what` names them.
pub(super) fn checked(bytes: Vec<u8>, what: &str, expected: Digest) -> Result<Vec<u8>> {
    let digest = Digest::of(&bytes);
    if digest == expected { Ok(bytes) } else { Err(wrong_digest(what, digest, expected)) }
}

/// Why a file cannot be taken out of an archive.
enum Unreadable {
    Absent,
    TooLarge(u64),
    Damaged(String),
}

impl From<io::Error> for Unreadable {
    fn from(err: io::Error) -> Self {
        match err.kind() {
            io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => {
                Unreadable::Damaged("it is not a whole archive".into())
            }
            _ => Unreadable::Damaged(err.to_string()),
        }
    }
}

impl From<ZipError> for Unreadable {
    fn from(err: ZipError) -> Self {
        match err {
            ZipError::FileNotFound => Unreadable::Absent,
            ZipError::InvalidArchive(_) => Unreadable::Damaged("it is not a whole archive".into()),
            ZipError::Io(err) => err.into(),
            err => Unreadable::Damaged(err.to_string()),
        }
    }
}

fn unzip(file: File, member: &str) -> std::result::Result<Vec<u8>, Unreadable> {
    let mut archive = ZipArchive::new(file)?;
    let entry = archive.by_name(member)?;
    // The stated size is a claim: it may refuse, but only the bound below allocates.
    if entry.size() > MEMBER_BYTES_MAX {
        return Err(Unreadable::TooLarge(entry.size()));
    }
    let mut bytes = Vec::new();
    entry.take(MEMBER_BYTES_MAX).read_to_end(&mut bytes)?;
    Ok(bytes)
}

const HINT_OTHER_ARCHIVE: &str = "this is not the archive it says it is; fetch it again from the package index";

fn wrong_digest(what: &str, digest: Digest, expected: Digest) -> Error {
    let message = format!("{what} has digest {digest}, expected {expected}");
    unavailable(
        message,
        "nothing was installed from it; fetch it again, and do not use it if the digest stays the same",
    )
}
