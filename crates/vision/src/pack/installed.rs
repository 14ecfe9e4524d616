//! What is installed: listed, verified and loaded, never written.

#[cfg(test)]
mod tests;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use likeness_domain::types::PackId;
use likeness_domain::{Error, Result};

use super::digest::Digest;
use super::files::{cannot, read_bounded};
use super::home::{Home, RuntimeLibrary};
use super::manifest::{MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, ModelFile};
use super::openvino::{VERSION as OPENVINO_VERSION, openvino};
use super::own_points::own_points;
use super::recipe::{RuntimeRecipe, installable_word};
use super::unavailable;
use crate::onnx::MODEL_BYTES_MAX;

/// Folders looked at under `packs/`; nobody has a hundred packs.
const PACKS_MAX: usize = 1000;

/// A pack in its folder.
#[derive(Debug, Clone)]
pub struct InstalledPack {
    manifest: Manifest,
    dir: PathBuf,
}

impl InstalledPack {
    /// Opens a pack's folder: reads the manifest, but no model file yet.
    pub fn open(dir: &Path) -> Result<Self> {
        let path = dir.join(MANIFEST_FILE);
        let bytes = read_bounded(&path, MANIFEST_BYTES_MAX).map_err(|err| cannot("read", &path, err))?;
        let manifest = Manifest::parse(&bytes, &format!("`{}`", path.display()))?;
        // Face sets pin a pack by its id, so a renamed folder must not answer for another pack.
        if dir.file_name().is_none_or(|name| name != manifest.id().as_str()) {
            let message = format!("`{}`: `pack.id` and `pack.version` make `{}`", path.display(), manifest.id());
            return Err(unavailable(message, format!("rename the folder to `{}`", manifest.id())));
        }
        Ok(Self { manifest, dir: dir.to_owned() })
    }

    /// The pack with the operating points that hold for it.
    fn with_own_points(mut self, home: &Home) -> Result<Self> {
        let stated = self.manifest.recognition().map(|recognition| &recognition.score);
        if let Some(score) = own_points(home, self.manifest.id(), stated)? {
            self.manifest.set_score(score);
        }
        Ok(self)
    }

    /// What the pack states, with the operating points that hold for it.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Its folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The bytes of one of its files, whose digest is checked on these very bytes.
    pub fn read(&self, file: &ModelFile) -> Result<Bytes> {
        let path = self.dir.join(&file.name);
        let bytes = read_bounded(&path, MODEL_BYTES_MAX).map_err(|err| cannot("read", &path, err))?;
        self.check(file, Digest::of(&bytes))?;
        Ok(bytes.into())
    }

    /// Checks every file against the manifest.
    pub fn verify(&self) -> Result<()> {
        for file in self.manifest.files() {
            let path = self.dir.join(&file.name);
            let digest = Digest::of_file(&path).map_err(|err| match err.kind() {
                io::ErrorKind::NotFound => self.incomplete(&path),
                _ => cannot("read", &path, err),
            })?;
            self.check(file, digest)?;
        }
        Ok(())
    }

    /// Refuses a pack one of whose files is not there, whatever is in the others: that takes no time.
    pub fn check_whole(&self) -> Result<()> {
        let mut paths = self.manifest.files().into_iter().map(|file| self.dir.join(&file.name));
        paths.find(|path| !path.is_file()).map_or(Ok(()), |path| Err(self.incomplete(&path)))
    }

    fn incomplete(&self, path: &Path) -> Error {
        let hint = format!("remove `{}` and install the pack again, by `likeness pack install`", self.dir.display());
        unavailable(format!("`{}` is missing", path.display()), hint)
    }

    fn check(&self, file: &ModelFile, digest: Digest) -> Result<()> {
        if digest == file.sha256 {
            return Ok(());
        }
        let path = self.dir.join(&file.name);
        Err(unavailable(
            format!("`{}` has digest {digest}, its manifest states {}", path.display(), file.sha256),
            format!("the file is damaged or was replaced; remove `{}` and install the pack again", self.dir.display()),
        ))
    }
}

/// A folder under `packs/`, or the runtime, and what is known of it.
#[derive(Debug)]
pub struct Finding<T> {
    /// The folder's name; a pack's id if all is well.
    pub name: String,
    /// What it is, or what is wrong with it.
    pub outcome: Result<T>,
}

/// Every folder under `packs/` by name, without a look at the model files. A home that does not exist has none.
pub fn list(home: &Home) -> Result<Vec<Finding<InstalledPack>>> {
    let dir = home.packs_dir();
    let entries = match fs::read_dir(&dir) {
        Ok(entries) => entries,
        Err(err) if err.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(err) => return Err(cannot("read", &dir, err)),
    };
    let mut findings = Vec::new();
    for entry in entries.take(PACKS_MAX) {
        let path = entry.map_err(|err| cannot("read", &dir, err))?.path();
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if path.is_dir() && !name.starts_with('.') {
            let outcome = InstalledPack::open(&path).and_then(|pack| pack.with_own_points(home));
            findings.push(Finding { name, outcome });
        }
    }
    findings.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(findings)
}

/// A pack, every digest checked.
pub fn load(home: &Home, id: &PackId) -> Result<InstalledPack> {
    let pack = open(home, id)?;
    pack.verify()?;
    Ok(pack)
}

/// A pack, without a look at its model files.
pub fn open(home: &Home, id: &PackId) -> Result<InstalledPack> {
    as_stated(home, id)?.with_own_points(home)
}

/// A pack with nothing but what its manifest states.
pub(super) fn as_stated(home: &Home, id: &PackId) -> Result<InstalledPack> {
    let dir = home.pack_dir(id);
    if !dir.is_dir() {
        let message = format!("model pack `{id}` is not installed");
        let hint = match installable_word(id) {
            Some(word) => format!("`likeness pack install {word}` installs it"),
            None => "run `likeness pack list` to see the installed packs".into(),
        };
        return Err(unavailable(message, hint));
    }
    InstalledPack::open(&dir)
}

/// Digests every file of one pack, or of all packs and the runtime, and says of each whether it is as it should be.
/// Only an unreadable home and an unknown `id` are errors.
pub fn verify(home: &Home, id: Option<&PackId>) -> Result<Vec<Finding<()>>> {
    let checked = |pack: Result<InstalledPack>| pack.and_then(|pack| pack.verify());
    if let Some(id) = id {
        if !home.pack_dir(id).is_dir() {
            return load(home, id).map(|_| Vec::new());
        }
        let outcome = checked(InstalledPack::open(&home.pack_dir(id)));
        return Ok(vec![Finding { name: id.to_string(), outcome }]);
    }
    let packs = list(home)?.into_iter();
    let mut findings: Vec<_> =
        packs.map(|Finding { name, outcome }| Finding { name, outcome: checked(outcome) }).collect();
    let recipe = RuntimeRecipe::pinned();
    let name = format!("{}-{}", recipe.package.name, recipe.package.version);
    findings.push(Finding { name, outcome: runtime_of(home, &recipe).map(drop) });
    // Only where it was installed: nothing depends on it.
    if home.openvino_dir(OPENVINO_VERSION).is_dir() {
        findings.push(Finding { name: format!("openvino-{OPENVINO_VERSION}"), outcome: openvino(home).map(drop) });
    }
    Ok(findings)
}

/// The installed ONNX Runtime, its digest checked.
pub fn runtime(home: &Home) -> Result<RuntimeLibrary> {
    runtime_of(home, &RuntimeRecipe::pinned())
}

/// Whether the file of ONNX Runtime is there, whatever is in it: enough for a report.
pub fn has_runtime(home: &Home) -> bool {
    let recipe = RuntimeRecipe::pinned();
    home.runtime_dir(&recipe.package.version).join(&recipe.library).is_file()
}

pub(super) fn runtime_of(home: &Home, recipe: &RuntimeRecipe) -> Result<RuntimeLibrary> {
    let version = &recipe.package.version;
    let path = home.runtime_dir(version).join(&recipe.library);
    let digest = match Digest::of_file(&path) {
        Ok(digest) => digest,
        Err(err) if err.kind() == io::ErrorKind::NotFound => {
            let message = format!("ONNX Runtime {version} is not installed in `{}`", home.path().display());
            return Err(unavailable(message, "run `likeness pack install`"));
        }
        Err(err) => return Err(cannot("read", &path, err)),
    };
    // Where no digest is pinned the operator has put the file there, and answers for it.
    match recipe.sha256 {
        Some(expected) if expected != digest => Err(unavailable(
            format!("`{}` has digest {digest}, expected {expected}", path.display()),
            "the file is damaged or was replaced; run `likeness pack install` to fetch it again",
        )),
        _ => Ok(RuntimeLibrary { path, version: version.clone() }),
    }
}
