//! `likeness migrate`: a library from a folder to a database, from a database to a folder, or to another of its kind, while the
//! source serves.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::Args;
use likeness_domain::Error;
use likeness_store::migration::{self, Place, Report, Stage, TableReport, Task};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;

use super::progress::BytesProgress;
use super::socket::{self, Presence};
use super::terminal;
use crate::assemble::{self, SOCKET_FILE};
use crate::config::Config;
use crate::guard;
use crate::outcome::{Outcome, Verdict, failed, refused};

/// Move a library between a data folder and a PostgreSQL database while it is in use.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  likeness migrate --from /srv/faces --to postgres://likeness@db.example/likeness\n  \
    likeness migrate --from /srv/faces --to postgres://likeness@db.example/likeness --finish\n  \
    likeness migrate --take-back /srv/faces\n\n\
    The first copies everything while the source serves, and can be run again: it goes on, and brings what changed meanwhile. \
    The second does the same, then nobody can write for a moment, the rest is copied, every row of both is compared, and the \
    source is left: a server of the folder is stopped, servers of a database fail. Start one with the new place then. The \
    password of a database comes as for `serve`. docs/scale.md says what is carried."
)]
pub(crate) struct MigrateArgs {
    /// The library: its data folder, or the address of its database
    #[arg(long, value_name = "DIR|postgres://..", required_unless_present = "take_back")]
    from: Option<String>,
    /// Where to: a folder that is empty or not there yet, or the address of an empty database
    #[arg(long, value_name = "DIR|postgres://..", required_unless_present = "take_back")]
    to: Option<String>,
    /// Leave the source: afterwards the target is the library
    #[arg(long)]
    finish: bool,
    /// Look at both and count, write nothing
    #[arg(long, conflicts_with = "finish")]
    dry_run: bool,
    /// Let this source be served again, as it was when it was left; what was written to the target since is not in it
    #[arg(long, value_name = "DIR|postgres://..", conflicts_with_all = ["from", "to", "finish", "dry_run"])]
    take_back: Option<String>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Moves the library, or looks.
pub(crate) async fn run(args: MigrateArgs, config: &Config) -> Outcome {
    if let Some(from) = args.take_back {
        let from = place(config, "--take-back", &from)?;
        let shown = from.to_string();
        blocking(move || migration::take_back(&from)).await?;
        if args.json {
            terminal::data(json!({ "taken_back": shown }));
        } else {
            terminal::data(format_args!("`{shown}` may be served again, as it was when it was left"));
        }
        return Ok(Verdict::Done);
    }
    let (Some(from), Some(to)) = (args.from, args.to) else { return Err(refused("name `--from` and `--to`")) };
    let shown = (from, to);
    let (from, to) = (place(config, "--from", &shown.0)?, place(config, "--to", &shown.1)?);
    if let Place::Folder(to) = &to {
        guard::check_folder(config, to)?;
        let real = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if let Place::Folder(from) = &from
            && to.ancestors().any(|above| real(above) == real(from))
        {
            let message = format!("`--to` is `{}`, which lies within the library `{}`", to.display(), from.display());
            return Err(refused(message).with_hint("name a folder that does not exist yet with `--to`"));
        }
    }
    let task = match (args.dry_run, args.finish) {
        (true, _) => Task::Look,
        (_, true) => Task::Finish,
        _ => Task::Copy,
    };
    let report = blocking(move || {
        let mut progress = BytesProgress::of_rows();
        let report = migration::migrate(&from, &to, task, &mut stop, &mut |stage, n_done, n_all| {
            progress.show(&words(stage), n_done, n_all);
        });
        progress.finish();
        report
    });
    let report = report.await?;
    let verb = match task {
        Task::Look => "looked at",
        Task::Copy => "copied",
        Task::Finish => "moved",
    };
    if args.json {
        print_json(&shown, verb, &report)
    } else {
        print(&shown, task, &report)
    }
    Ok(Verdict::Done)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work).await.map_err(|error| failed(format!("the migration broke off: {error}")))?
}

/// What was written behind an option.
fn place(config: &Config, option: &str, text: &str) -> Result<Place, Error> {
    if text.starts_with("postgres://") || text.starts_with("postgresql://") {
        return assemble::database_place(config, text);
    }
    if text.contains("://") || text.is_empty() || text == "-" {
        let message = format!("`{option}` is `{text}`, expected a folder or `postgres://user@host:5432/database`");
        return Err(refused(message));
    }
    // In full, as it is remembered.
    let path = std::path::absolute(Path::new(text)).unwrap_or_else(|_| PathBuf::from(text));
    Ok(Place::Folder(path))
}

/// Stops the server that has the folder. It answers what it has begun; writes are refused by now.
fn stop(dir: &Path) -> Result<(), Error> {
    let presence = tokio::runtime::Handle::current().block_on(socket::look(&dir.join(SOCKET_FILE)));
    let pid = match presence {
        Presence::Answers { pid } => pid,
        Presence::Silent { pid } => return Err(socket::silent(pid)),
        Presence::Nobody => None,
    };
    let Some(pid) = pid.and_then(Pid::from_raw) else {
        return Err(failed(format!(
            "`{}` is in use by a process that is no server or cannot be reached",
            dir.display()
        ))
        .with_hint("wait until it has ended, or stop it, and run this again"));
    };
    terminal::message(format_args!("stopping the server of {} (process {})", dir.display(), pid.as_raw_nonzero()));
    kill_process(pid, Signal::TERM).map_err(|error| {
        failed(format!(
            "the server of `{}` (process {}) cannot be stopped: {error}",
            dir.display(),
            pid.as_raw_nonzero()
        ))
        .with_hint("run this as the user of the server, or stop the server first")
    })
}

fn words(stage: Stage) -> String {
    let of = |doing: &str, table: &str| format!("{doing} {}", table.replace('_', " "));
    match stage {
        Stage::Comparing(table) => of("comparing", table),
        Stage::Copying(table) => of("copying", table),
        Stage::Verifying(table) => of("verifying", table),
        Stage::Completing => "completing the target".into(),
        Stage::Stopping => "leaving the source".into(),
        Stage::Opening => "finishing the target".into(),
    }
}

fn digest(digest: Option<u64>) -> String {
    digest.map_or_else(|| "-".to_owned(), |digest| format!("{digest:016x}"))
}

fn print((from, to): &(String, String), task: Task, report: &Report) {
    let line = |name: &str, value: &dyn Display| terminal::data(format_args!("{name:<16}{value}"));
    line("from", from);
    line("to", to);
    if !report.tables.is_empty() {
        line("revision", &report.revision);
        line("rows written", &report.n_written);
        line("rows erased", &report.n_erased);
        terminal::data(format_args!("\n{:<17}{:>12}{:>12}  {:<18}{}", "table", "source", "target", "digest", "equal"));
    }
    for table in &report.tables {
        let TableReport { n_rows, n_rows_target, .. } = table;
        let equal = if table.is_equal() { "yes" } else { "not yet" };
        let name = table.table.replace('_', " ");
        let digest = digest(table.digest);
        terminal::data(format_args!("{name:<17}{n_rows:>12}{n_rows_target:>12}  {digest:<18}{equal}"));
    }
    let next = match task {
        Task::Look => "nothing was written; without --dry-run it is copied".to_owned(),
        Task::Copy => "the source goes on; run it again with --finish to leave it".to_owned(),
        Task::Finish => {
            let held = report.held_ms as f64 / 1000.0;
            let serve = if to.contains("://") { format!("--store '{to}'") } else { format!("--data {to}") };
            format!("nobody could write for {held:.1} s; start `likeness serve {serve}` now")
        }
    };
    terminal::message(next);
}

fn print_json((from, to): &(String, String), verb: &str, report: &Report) {
    let tables: Vec<_> = report
        .tables
        .iter()
        .map(|table| {
            json!({
                "table": table.table,
                "equal": table.is_equal(),
                "source": { "rows": table.n_rows, "digest": table.digest.map(|digest| format!("{digest:016x}")) },
                "target": {
                    "rows": table.n_rows_target,
                    "digest": table.digest_target.map(|digest| format!("{digest:016x}")),
                },
            })
        })
        .collect();
    terminal::data(json!({
        "from": from,
        "to": to,
        "done": verb,
        "finished": report.is_finished,
        "revision": report.revision,
        "passes": report.n_passes,
        "rows_written": report.n_written,
        "rows_erased": report.n_erased,
        "writes_held_ms": report.held_ms,
        "tables": tables,
    }));
}
