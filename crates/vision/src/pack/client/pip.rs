//! pip, the client of the Python package index.

use std::ffi::OsString;
use std::path::Path;

use likeness_domain::Result;

use super::{Outcome, Talk, answers, not_found, program, run, scratch};
use crate::pack::progress::Progress;
use crate::pack::recipe::{Build, Package};

/// How pip may be called, the most trustworthy first: a `pip` on the path may belong to another Python.
const SPELLINGS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// Python for which archives are asked when there is none for the Python that runs pip: what we take out of an archive
/// is no Python, and the same for each.
const OTHER_PYTHON: &str = "3.12";

/// Downloads the archive for this platform, or exactly the one that the package states, into `dir`.
pub(super) fn download(
    package: &Package,
    search_path: Option<&OsString>,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<Outcome> {
    let spelling = SPELLINGS.into_iter().find(|spelling| answers(program(spelling, search_path))).ok_or_else(|| {
        not_found(
            "pip was not found (tried `python3 -m pip`, `python -m pip`, `pip3`, `pip`)",
            "install it (Debian: `apt install python3-pip`)",
        )
    })?;
    let scratch = scratch(dir)?;
    let fetch = |more: &[&str]| {
        let mut command = program(spelling, search_path);
        command
            .args(["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "-d"])
            .arg(dir)
            .args(more)
            .arg(format!("{}=={}", package.name, package.version))
            .env("TMPDIR", &scratch);
        run(command, package, dir, progress)
    };
    let this_machine = match package.build {
        Build::ForThisMachine => fetch(&[])?,
        Build::Exactly { python, platform } => {
            return fetch(&["--python-version", python, "--platform", platform]);
        }
    };
    match this_machine {
        Outcome::Failed(talk) if has_no_archive(&talk) => fetch(&["--python-version", OTHER_PYTHON]),
        outcome => Ok(outcome),
    }
}

/// What went wrong, and what may help.
pub(super) fn trouble(talk: &Talk) -> (String, Option<&'static str>) {
    if is_offline(talk) {
        return (
            "pip does not reach its package index".into(),
            Some("check the network and pip's settings (proxy, mirror)"),
        );
    }
    if has_no_archive(talk) {
        return (
            "pip's package index has none for this platform".into(),
            Some("check which index pip uses (`pip config list`)"),
        );
    }
    (talk.reason("ERROR: ", "pip failed without a word"), None)
}

fn is_offline(talk: &Talk) -> bool {
    talk.says(&["connection broken", "NewConnectionError", "Failed to establish", "name resolution", "ProxyError"])
        || talk.says(&["ConnectTimeout", "ReadTimeout", "Network is unreachable", "Max retries exceeded"])
}

fn has_no_archive(talk: &Talk) -> bool {
    talk.says(&["No matching distribution"]) && !is_offline(talk)
}
