//! How an install tells what it is doing.

use std::fmt;

/// Hears of an install's progress; called from the thread that installs.
pub trait Progress: Send + Sync {
    /// A new stage begins; the one before is done.
    fn stage(&self, stage: &Stage);

    /// So many bytes of the stage are done, of [`Stage::bytes_about`]. May stand still, never falls.
    fn advance(&self, bytes_done: u64);
}

/// Tells nobody.
impl Progress for () {
    fn stage(&self, _: &Stage) {}
    fn advance(&self, _: u64) {}
}

/// What an install is doing. Its `Display` is a line for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stage {
    /// Another process installs into the same home; this one waits for it.
    Wait,
    /// An archive is being downloaded.
    Download {
        /// Package and version.
        package: String,
        /// Size of the archive, roughly.
        bytes_about: u64,
    },
    /// A file is being unpacked and checked.
    Unpack {
        /// Its name.
        file: String,
    },
    /// Weights are being converted.
    Fold {
        /// Name of the result.
        file: String,
    },
    /// All is written.
    Done,
}

impl Stage {
    /// How many bytes [`Progress::advance`] will reach, roughly, if it is called at all.
    pub fn bytes_about(&self) -> Option<u64> {
        match self {
            Stage::Download { bytes_about, .. } => Some(*bytes_about),
            _ => None,
        }
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Stage::Wait => f.write_str("waiting for another install to finish"),
            Stage::Download { package, .. } => write!(f, "downloading {package}"),
            Stage::Unpack { file } => write!(f, "unpacking {file}"),
            Stage::Fold { file } => write!(f, "converting {file}"),
            Stage::Done => f.write_str("done"),
        }
    }
}
