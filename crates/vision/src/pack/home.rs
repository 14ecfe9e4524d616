//! `LIKENESS_HOME`: where packs and the runtime library live, apart from any library's data folder.
//!
//! ```text
//! LIKENESS_HOME/
//!   packs/<pack id>/                  manifest.toml and the model files it names
//!   calibrations/<pack id>.toml       operating points measured on one's own photographs, if there are any
//!   runtime/onnxruntime-<version>/    the ONNX Runtime shared library
//!   runtime/openvino-<version>/       the OpenVINO shared libraries, where they are offered for the machine
//!   runtime/engines.json              which library runs which model, as measured on this machine
//!   incoming/                         what an install has not finished; swept by the next one
//!   install.lock                      held while installing
//! ```
//! Nothing in it is precious but the calibrations: all else can be installed again.

#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use likeness_domain::Result;
use likeness_domain::types::PackId;

use super::unavailable;

/// The environment variable that names the folder.
pub const HOME_VAR: &str = "LIKENESS_HOME";

/// The folder of installed packs and runtimes; it need not exist.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Home(PathBuf);

impl Home {
    /// This folder; a relative path is taken from the working folder now, not later.
    pub fn at(path: impl Into<PathBuf>) -> Self {
        let path = path.into();
        Self(std::path::absolute(&path).unwrap_or(path))
    }

    /// The folder that the environment names: `LIKENESS_HOME`, else `likeness` in the user's data folder
    /// (`XDG_DATA_HOME`, else `~/.local/share`). `var` reads a variable.
    pub fn resolve(var: impl Fn(&str) -> Option<OsString>) -> Result<Self> {
        let set = |name: &str| var(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(home) = set(HOME_VAR) {
            return Ok(Self::at(home));
        }
        // The specification of XDG says that relative paths are to be ignored.
        if let Some(data) = set("XDG_DATA_HOME").filter(|path| path.is_absolute()) {
            return Ok(Self(data.join("likeness")));
        }
        match set("HOME").filter(|path| path.is_absolute()) {
            Some(user) => Ok(Self(user.join(".local/share/likeness"))),
            None => Err(unavailable(
                "no folder for model packs: neither `LIKENESS_HOME`, `XDG_DATA_HOME` nor `HOME` is set",
                "set `LIKENESS_HOME` to a folder that may be written to",
            )),
        }
    }

    /// The folder that this process's environment names.
    pub fn from_env() -> Result<Self> {
        Self::resolve(|name| std::env::var_os(name))
    }

    /// The folder itself.
    pub fn path(&self) -> &Path {
        &self.0
    }

    /// The folder of one pack.
    pub fn pack_dir(&self, id: &PackId) -> PathBuf {
        self.packs_dir().join(id.as_str())
    }

    /// Whether the folder of a pack is there, whatever is in it.
    pub fn has_pack(&self, id: &PackId) -> bool {
        self.pack_dir(id).is_dir()
    }

    /// The file with operating points of one's own for a pack.
    pub(super) fn calibration_file(&self, id: &PackId) -> PathBuf {
        self.calibrations_dir().join(format!("{id}.toml"))
    }

    pub(super) fn calibrations_dir(&self) -> PathBuf {
        self.0.join("calibrations")
    }

    pub(super) fn packs_dir(&self) -> PathBuf {
        self.0.join("packs")
    }

    pub(super) fn runtime_dir(&self, version: &str) -> PathBuf {
        self.0.join("runtime").join(format!("onnxruntime-{version}"))
    }

    pub(super) fn openvino_dir(&self, version: &str) -> PathBuf {
        self.0.join("runtime").join(format!("openvino-{version}"))
    }

    /// The file that keeps which library runs which model on this machine. Development builds have one of their own: in
    /// them the built-in runtime is many times slower, the libraries are not.
    pub fn engines_file(&self) -> PathBuf {
        let name = if cfg!(debug_assertions) { "engines-development.json" } else { "engines.json" };
        self.0.join("runtime").join(name)
    }

    pub(super) fn incoming_dir(&self) -> PathBuf {
        self.0.join("incoming")
    }

    pub(super) fn lock_file(&self) -> PathBuf {
        self.0.join("install.lock")
    }
}

/// A shared library that runs models, to be loaded by path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RuntimeLibrary {
    /// The file.
    pub path: PathBuf,
    /// Its version.
    pub version: String,
}
