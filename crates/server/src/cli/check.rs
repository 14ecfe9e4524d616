//! `likeness check`: what is stored, and whether it is intact. Asks a running server; a library that no server has is read from
//! its files, of which nothing is changed.

use std::time::Duration;

use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_store::embedded::{self, DATABASE_FILE};
use likeness_wire::native::{self, dto};
use serde::Serialize;

use super::connection::{Connection, Payload};
use super::progress::BytesProgress;
use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed, refused};
use crate::video;

/// How often a server is asked how far its report is.
const ASK_EVERY: Duration = Duration::from_millis(250);

/// What is stored, and whether it is intact.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  likeness check\n  likeness check --thorough\n  likeness check --acknowledge-loss\n\n\
    Notes name what an upgrade joined or renamed as it was different by its spelling only (Unicode NFC), and with --thorough \
    names that look alike: they are no problem, and the exit code does not tell of them.\n\
    Where a server has the library, the server looks: also at the index in its memory. Otherwise the files are read, and \
    nothing of them is changed.\n\
    The exit code is 0 if all is well, 1 if something is damaged or lost, 2 if there is no library that could be looked at."
)]
pub(crate) struct CheckArgs {
    /// Read and compare everything, which takes a while: every row, SQLite's own structures, counters, links, the index
    #[arg(long)]
    thorough: bool,
    /// End the notice that acknowledged commits are missing, after having seen to it
    #[arg(long, conflicts_with = "thorough")]
    acknowledge_loss: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// What `--json` prints.
#[derive(Debug, Serialize)]
struct Findings {
    #[serde(flatten)]
    report: dto::Report,
    /// Whether the decoder of clips can be confined on this machine.
    clips: String,
}

/// Prints the store's report; the answer is "no" if it has problems.
pub(crate) async fn run(args: CheckArgs, config: &Config) -> Outcome {
    let data = config.data()?;
    if args.acknowledge_loss {
        // Looking must not make a library where there is none.
        if config.general.store.is_none() && !data.join(DATABASE_FILE).is_file() {
            return Err(refused(format!("there is no library in {}", data.display()))
                .with_hint("name its data folder with `--data DIR` or LIKENESS_DATA"));
        }
        return acknowledge(config, args.json).await;
    }
    let mut progress = BytesProgress::of_rows();
    let report = match Connection::to_server(config).await? {
        Some(server) => of_server(&server, args.thorough, &mut progress).await,
        // The library is opened as a server would: it is in no folder.
        None if config.general.store.is_some() => {
            of_server(&Connection::as_operator(config).await?, args.thorough, &mut progress).await
        }
        None => of_files(config, args.thorough).await,
    };
    progress.finish();
    let report = report?;
    let clips = video::confinement(&config.video).await.to_string();
    let findings = Findings { report, clips };
    if args.json {
        terminal::json(&findings)?;
    } else {
        print(&findings);
    }
    Ok(if findings.report.problems.is_empty() { Verdict::Done } else { Verdict::No })
}

/// Asks a server, and meanwhile how far it is.
async fn of_server(server: &Connection, thorough: bool, progress: &mut BytesProgress) -> Result<dto::Report, Error> {
    let words = [("thorough", if thorough { "true" } else { "false" })];
    let report = server.call(Method::GET, &["report"], &words, Payload::Empty);
    tokio::pin!(report);
    loop {
        match tokio::time::timeout(ASK_EVERY, &mut report).await {
            Ok(report) => return report,
            Err(_) if !thorough => {}
            Err(_) => {
                let path = ["report", "progress"];
                // A server of an older version does not know.
                if let Ok(dto::ReportProgress { stage: Some(stage), n_done, n_all }) =
                    server.call(Method::GET, &path, &[], Payload::Empty).await
                {
                    progress.show(&stage, n_done, n_all);
                }
            }
        }
    }
}

/// Reads the files.
async fn of_files(config: &Config, thorough: bool) -> Result<dto::Report, Error> {
    let data = config.data()?.to_owned();
    let task = tokio::task::spawn_blocking(move || {
        let mut progress = BytesProgress::of_rows();
        let report = embedded::check(data, thorough, &mut |now| {
            if thorough {
                progress.show(now.stage, now.n_done, now.n_all);
            }
        });
        progress.finish();
        report
    });
    let report = task.await.map_err(|error| failed(format!("the check broke off: {error}")))??;
    Ok(native::report(report))
}

/// Ends the notice of losses, through the server or by taking the library.
async fn acknowledge(config: &Config, json: bool) -> Outcome {
    let connection = Connection::as_operator(config).await?;
    let losses: dto::AcknowledgedLosses =
        connection.call(Method::DELETE, &["report", "losses"], &[], Payload::Empty).await?;
    if json {
        terminal::json(&losses)?;
        return Ok(Verdict::Done);
    }
    for loss in &losses.acknowledged {
        terminal::data(format_args!("acknowledged    {loss}"));
    }
    if losses.acknowledged.is_empty() {
        terminal::data("acknowledged    nothing: no loss of commits is known");
    }
    Ok(Verdict::Done)
}

fn print(Findings { report, clips }: &Findings) {
    let line = |name: &str, value: &dyn std::fmt::Display| terminal::data(format_args!("{name:<16}{value}"));
    line("store", &report.backend);
    line("layout", &format_args!("version {}", report.schema_version));
    line("revision", &report.revision);
    line("tenants", &report.n_tenants);
    line("face sets", &report.n_face_sets);
    line("persons", &report.n_persons);
    line("faces", &report.n_faces);
    line("held faces", &report.n_held_faces);
    line("still to erase", &format_args!("{} deleted faces", report.n_faces_to_erase));
    line("on disk", &format_args!("{} bytes, of which {} are free", report.bytes_on_disk, report.bytes_free));
    line("clips", clips);
    if let Some(scrub) = &report.scrub {
        line("every row read", &scrub_words(scrub));
    }
    for what in &report.checked {
        line("checked", what);
    }
    for what in &report.not_checked {
        line("not checked", what);
    }
    for note in &report.notes {
        line("note", note);
    }
    for problem in &report.problems {
        line("problem", problem);
    }
    if report.problems.is_empty() {
        line("problems", &"none");
    }
}

/// When a server has read every row the last time, and how far it is now.
fn scrub_words(scrub: &dto::Scrub) -> String {
    let last = scrub.finished_at.as_ref().map(|at| format!("last at {at}"));
    let now = scrub.started_at.as_ref().map(|at| {
        let percent = (scrub.n_rows_read * 100 / scrub.n_rows_all.max(1)).min(100);
        format!("a server has read {percent} % since {at}")
    });
    let words: Vec<String> = last.into_iter().chain(now).collect();
    words.join("; ")
}
