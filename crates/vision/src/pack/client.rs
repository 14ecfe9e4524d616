//! The ordinary package clients, as downloaders.
//!
//! They know the operator's proxies, mirrors and certificates, pick the archive for this platform and check it against
//! their index, so nothing of that is written again here. Programs are run without a shell; what they say is searched
//! for known messages to tell failures apart.

mod npm;
mod pip;

use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use likeness_domain::{Error, Result};

use super::archive;
use super::files::{cannot, create_dir, read_bounded};
use super::progress::{Progress, Stage};
use super::recipe::{Client, Package};
use super::unavailable;

/// Time between two looks at a download.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Bytes of a client's talk that are looked at.
const TALK_BYTES_MAX: usize = 1024 * 1024;

/// The cure for every trouble with clients and the network.
const HINT_FROM: &str = "fetch the archives on another machine and run `likeness pack install --from FOLDER`";

/// Downloads a package's archive into a folder of its own under `staging`, with the client that has it; `search_path`
/// stands in for `PATH`.
pub(super) fn download(
    package: &Package,
    search_path: Option<&OsString>,
    staging: &Path,
    progress: &dyn Progress,
) -> Result<PathBuf> {
    let dir = staging.join(package.name.trim_start_matches('@').replace('/', "-"));
    create_dir(&dir)?;
    let outcome = match package.client {
        Client::Pip => pip::download(package, search_path, &dir, progress)?,
        Client::Npm => npm::download(package, search_path, &dir, progress)?,
    };
    let Package { name, version, .. } = package;
    let client = package.client.word();
    let talk = match outcome {
        Outcome::Done => {
            return archive::find(&dir, package)?
                .pop()
                .ok_or_else(|| unavailable(format!("{client} downloaded no archive of {name} {version}"), HINT_FROM));
        }
        Outcome::Failed(talk) => talk,
    };
    if talk.says(&["No space left", "Disk quota exceeded", "ENOSPC", "EDQUOT"]) {
        return Err(cannot("write", &dir, std::io::ErrorKind::StorageFull.into()));
    }
    let (problem, hint) = match package.client {
        Client::Pip => pip::trouble(&talk),
        Client::Npm => npm::trouble(&talk),
    };
    let hint = hint.map_or_else(|| HINT_FROM.to_owned(), |hint| format!("{hint}, or {HINT_FROM}"));
    Err(unavailable(format!("cannot download {name} {version}: {problem}"), hint))
}

impl Client {
    fn word(self) -> &'static str {
        match self {
            Client::Pip => "pip",
            Client::Npm => "npm",
        }
    }
}

/// How a client ended.
enum Outcome {
    Done,
    Failed(Talk),
}

/// What a client said before it failed.
struct Talk(String);

impl Talk {
    fn says(&self, words: &[&str]) -> bool {
        words.iter().any(|word| self.0.contains(word))
    }

    /// The reason as the client printed it: the last of those lines that begin with `mark`, else the last one.
    fn reason(&self, mark: &str, silence: &str) -> String {
        let last = self.0.lines().rev().find_map(|line| line.trim().strip_prefix(mark));
        let last = last.or_else(|| self.0.lines().rev().map(str::trim).find(|line| !line.is_empty()));
        last.unwrap_or(silence).chars().take(300).collect()
    }
}

/// A client's program with the arguments that call it, to be run where nobody's files are taken for its modules or
/// settings.
fn program(spelling: &[&str], search_path: Option<&OsString>) -> Command {
    let mut command = Command::new(spelling[0]);
    command.args(&spelling[1..]).current_dir("/");
    if let Some(search_path) = search_path {
        command.env("PATH", search_path);
    }
    command
}

/// Whether the program is there and answers.
fn answers(mut command: Command) -> bool {
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

/// Runs a download to its end, watched by the bytes in its folder. The client writes to its own `scratch` first; in
/// `dir` that counts for the progress and is swept with the rest.
fn run(mut command: Command, package: &Package, dir: &Path, progress: &dyn Progress) -> Result<Outcome> {
    progress.stage(&Stage::Download {
        package: format!("{} {}", package.name, package.version),
        bytes_about: package.bytes_about,
    });
    let talk_path = dir.join("talk.log");
    let talk_file = File::create(&talk_path).map_err(|err| cannot("write", &talk_path, err))?;
    let talk_twin = talk_file.try_clone().map_err(|err| cannot("write", &talk_path, err))?;
    // What the client printed is searched for known messages.
    command.env("LC_ALL", "C").stdin(Stdio::null()).stdout(talk_twin).stderr(talk_file);
    let client = package.client.word();
    let started = |err| unavailable(format!("cannot start {client}: {err}"), HINT_FROM);
    let mut child = command.spawn().map_err(started)?;
    let mut bytes_done = 0;
    let status = loop {
        if let Some(status) = child.try_wait().map_err(started)? {
            break status;
        }
        // A client's scratch files come and go, progress does not go back.
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

/// The folder for what a client writes before it is done.
fn scratch(dir: &Path) -> Result<PathBuf> {
    let scratch = dir.join("scratch");
    create_dir(&scratch)?;
    Ok(scratch)
}

/// A client that is not there.
fn not_found(message: &str, how_to_get: &str) -> Error {
    unavailable(message, format!("{how_to_get}, or {HINT_FROM}"))
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
