//! npm, the client of the JavaScript package index.

use std::ffi::OsString;
use std::path::Path;

use likeness_domain::Result;

use super::{Outcome, Talk, answers, not_found, program, run, scratch};
use crate::pack::progress::Progress;
use crate::pack::recipe::Package;

/// Downloads the archive into `dir`, without running anything that is in it.
pub(super) fn download(
    package: &Package,
    search_path: Option<&OsString>,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<Outcome> {
    if !answers(program(&["npm"], search_path)) {
        return Err(not_found("npm was not found", "install it (Debian: `apt install npm`)"));
    }
    let scratch = scratch(dir)?;
    let mut command = program(&["npm", "pack"], search_path);
    command
        .args(["--ignore-scripts", "--no-update-notifier", "--no-fund", "--no-audit", "--loglevel", "error"])
        .arg("--cache")
        .arg(&scratch)
        .arg("--pack-destination")
        .arg(dir)
        .arg(format!("{}@{}", package.name, package.version))
        .env("TMPDIR", &scratch);
    run(command, package, dir, progress)
}

/// What went wrong, and what may help.
pub(super) fn trouble(talk: &Talk) -> (String, Option<&'static str>) {
    if talk.says(&["ENOTFOUND", "EAI_AGAIN", "ECONNREFUSED", "ECONNRESET", "ETIMEDOUT", "ENETUNREACH", "EHOSTUNREACH"])
    {
        return (
            "npm does not reach its package index".into(),
            Some("check the network and npm's settings (proxy, registry)"),
        );
    }
    if talk.says(&["E404", "ETARGET"]) {
        return (
            "npm's package index has no such version".into(),
            Some("check which index npm uses (`npm config list`)"),
        );
    }
    // Where npm keeps its log is no reason.
    let lines = talk.0.lines().filter(|line| !line.contains("complete log of this run")).collect::<Vec<_>>();
    (Talk(lines.join("\n")).reason("npm error ", "npm failed without a word"), None)
}
