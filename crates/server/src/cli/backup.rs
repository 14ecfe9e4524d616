//! `likeness backup` and `likeness restore`: the library in one file, and back. Both work on the files themselves, whether a
//! server runs or not.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::Args;
use likeness_domain::Error;
use likeness_store::embedded::{self, BackedUp, BackupStage};
use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::progress::BytesProgress;
use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed};

/// Write a backup of the library while it is in use, or verify one.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  likeness backup /backups/faces-monday\n  likeness backup --verify /backups/faces-monday\n\n\
    The backup holds everything: faces, keys with their secrets, jobs, handed-in pictures. It is readable by its owner only.\n\
    It is a SQLite database with checksums behind it; `likeness restore` makes a library of it."
)]
pub(crate) struct BackupArgs {
    /// The new file
    #[arg(value_name = "TO", required_unless_present = "verify", value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    to: Option<PathBuf>,
    /// Compare every checksum of this backup and read every row in it, instead of making one
    #[arg(long, value_name = "FILE", conflicts_with = "to")]
    verify: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Make a library from a backup, in a new data folder.
#[derive(Debug, Args)]
#[command(after_help = "Example:\n  likeness restore /backups/faces-monday --data /srv/faces\n\n\
    The folder must be empty or not exist. Every row is read before the command says that it is done.")]
pub(crate) struct RestoreArgs {
    /// The backup
    #[arg(value_name = "FROM")]
    from: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Writes or verifies a backup; the answer is "no" if a row in it is damaged.
pub(crate) async fn backup(args: BackupArgs, config: &Config) -> Outcome {
    match (args.verify, args.to) {
        (Some(file), _) => {
            let backed_up = watched({
                let file = file.clone();
                move |watch| embedded::verify_backup(file, watch).map_err(|error| of_option(error, "verify"))
            });
            print(("verified", &file), &backed_up.await?, args.json)
        }
        (None, Some(to)) => {
            super::refuse_database(config, "`pg_dump` and `pg_basebackup` make backups of the database")?;
            let data = config.data()?.to_owned();
            let backed_up = watched({
                let to = to.clone();
                move |watch| embedded::backup(data, to, watch)
            });
            print(("backup", &to), &backed_up.await?, args.json)
        }
        (None, None) => Err(crate::outcome::refused("name the file to write, or one to `--verify`")),
    }
}

/// Makes a library from a backup; the answer is "no" if a row in it is damaged.
pub(crate) async fn restore(args: RestoreArgs, config: &Config) -> Outcome {
    super::refuse_database(config, "restore the database by `pg_restore` or its own recovery")?;
    let data = config.data()?.to_owned();
    let restored = watched({
        let data = data.clone();
        move |watch| embedded::restore(args.from, data, watch).map_err(|error| of_option(error, "from"))
    });
    print(("library", &data), &restored.await?, args.json)
}

/// An error of the backup names the option that it came by.
fn of_option(error: Error, option: &'static str) -> Error {
    if error.field() == Some("backup") { error.with_field(option) } else { error }
}

/// Runs what blocks off the async threads, and shows how far it is. A signal ends it at the next block of the file, so that
/// nothing half done is left; a second one ends the process at once.
async fn watched(
    work: impl FnOnce(embedded::Watch<'_>) -> Result<BackedUp, Error> + Send + 'static,
) -> Result<BackedUp, Error> {
    let is_stopped = Arc::new(AtomicBool::new(false));
    let mut task = tokio::task::spawn_blocking({
        let is_stopped = Arc::clone(&is_stopped);
        move || {
            let mut progress = BytesProgress::new();
            let outcome = work(&mut |stage, n_done, n_bytes| {
                progress.show(words(stage), n_done, n_bytes);
                match is_stopped.load(Ordering::Relaxed) {
                    true => Err(failed("interrupted")),
                    false => Ok(()),
                }
            });
            progress.finish();
            outcome
        }
    });
    loop {
        tokio::select! {
            outcome = &mut task => return outcome.map_err(|error| failed(format!("the work broke off: {error}")))?,
            () = super::stop::asked() => {
                if is_stopped.swap(true, Ordering::Relaxed) {
                    std::process::exit(2);
                }
            }
        }
    }
}

fn words(stage: BackupStage) -> &'static str {
    match stage {
        BackupStage::Copying => "copying",
        BackupStage::Comparing => "comparing checksums",
        BackupStage::ReadingRows => "reading every row",
    }
}

fn print((what, path): (&str, &Path), backed_up: &BackedUp, json: bool) -> Outcome {
    #[derive(Serialize)]
    struct Report<'a> {
        path: String,
        library: &'a str,
        layout: u32,
        revision: u64,
        created_at: &'a str,
        bytes: u64,
        problems: &'a [String],
    }
    let at = OffsetDateTime::from_unix_timestamp_nanos(i128::from(backed_up.created_at.0) * 1_000_000);
    let created_at = at.ok().and_then(|at| at.format(&Rfc3339).ok()).unwrap_or_default();
    if json {
        terminal::json(&Report {
            path: path.display().to_string(),
            library: &backed_up.library,
            layout: backed_up.schema_version,
            revision: backed_up.revision.0,
            created_at: &created_at,
            bytes: backed_up.n_bytes,
            problems: &backed_up.problems,
        })?;
    } else {
        let line = |name: &str, value: &dyn std::fmt::Display| terminal::data(format_args!("{name:<16}{value}"));
        line(what, &path.display());
        line("layout", &format_args!("version {}", backed_up.schema_version));
        line("revision", &backed_up.revision.0);
        line("made at", &created_at);
        line("bytes", &backed_up.n_bytes);
        for problem in &backed_up.problems {
            line("problem", problem);
        }
        if backed_up.problems.is_empty() {
            line("problems", &"none");
        }
    }
    Ok(if backed_up.problems.is_empty() { Verdict::Done } else { Verdict::No })
}
