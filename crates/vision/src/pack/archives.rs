//! Where the archives of packs and runtimes come from.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use likeness_domain::Result;

use super::client::download;
use super::progress::Progress;
use super::recipe::{PackRecipe, Package};
use super::{archive, unavailable};

/// Where archives come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The package index that has them, through its ordinary client (pip or npm).
    Index,
    /// An archive on disk, or a folder that holds them: no network, no client.
    Path(PathBuf),
}

/// Gives archives from wherever they come.
pub(super) struct Archives<'a> {
    pub(super) source: &'a Source,
    pub(super) search_path: Option<OsString>,
    pub(super) staging: &'a Path,
    pub(super) progress: &'a dyn Progress,
}

impl Archives<'_> {
    /// An archive of the package that `accept` takes. A folder may hold archives for several platforms; if none is
    /// taken, the error is that of the last.
    pub(super) fn obtain(&self, package: &Package, mut accept: impl FnMut(&Path) -> Result<()>) -> Result<PathBuf> {
        let (found, place) = match self.source {
            Source::Index => {
                let path = download(package, self.search_path.as_ref(), self.staging, self.progress)?;
                (vec![path], String::new())
            }
            Source::Path(path) => (archive::find(path, package)?, path.display().to_string()),
        };
        let mut refusal = None;
        for path in found {
            match accept(&path) {
                Ok(()) => return Ok(path),
                Err(err) => refusal = Some(err),
            }
        }
        let Package { name, version, .. } = package;
        Err(refusal.unwrap_or_else(|| {
            let (prefix, suffix) = package.archive_name();
            let message = format!("`{place}` holds no archive of {name} {version} (`{prefix}*{suffix}`)");
            unavailable(message, format!("fetch it with `{}` on a machine with network", package.fetch_command()))
        }))
    }

    /// The folder that the user brings a pack's files in.
    pub(super) fn folder(&self, recipe: &PackRecipe) -> Result<PathBuf> {
        match self.source {
            Source::Path(path) => Ok(path.clone()),
            Source::Index => Err(unavailable(
                format!("no package has the files of model pack `{}`", recipe.id),
                "bring them yourself: `likeness pack install liveness --from FOLDER`; see docs/packs.md",
            )),
        }
    }
}
