//! `likeness job`: list, show, cancel.

use std::time::Duration;

use clap::{Args, Subcommand};
use http::Method;
use likeness_wire::native::dto;

use super::connection::{Connection, Needs, Payload};
use super::table::{self, Align, counted};
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};

/// How often `--wait` asks again.
const ASK_EVERY: Duration = Duration::from_millis(500);

/// Work that outlives its request: enrolments, deletes, exports and imports that clients asked for.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// List the jobs, the one accepted last first
    #[command(after_help = "Example: likeness job list --tenant acme --json")]
    List(ListArgs),
    /// Show one job: how far it is, or what came of it
    #[command(
        after_help = "Ends with 1 if the job was given up or cancelled.\n\nExample: likeness job show 5363423528974 --wait"
    )]
    Show(ShowArgs),
    /// Cancel a job that is not done; what it has done stays done
    #[command(after_help = "Example: likeness job cancel 5363423528974")]
    Cancel(IdArgs),
}

/// See [`Command::List`].
#[derive(Debug, Args)]
pub(crate) struct ListArgs {
    #[command(flatten)]
    library: LibraryArgs,
}

/// A job by its id.
#[derive(Debug, Args)]
pub(crate) struct IdArgs {
    /// Its id
    id: String,
    #[command(flatten)]
    library: LibraryArgs,
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    #[command(flatten)]
    which: IdArgs,
    /// Wait until it is done or cancelled
    #[arg(long)]
    wait: bool,
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    match command {
        Command::List(args) => list(args, config).await,
        Command::Show(args) => show(args, config).await,
        Command::Cancel(args) => cancel(args, config).await,
    }
}

async fn list(args: ListArgs, config: &Config) -> Outcome {
    let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
    let listed = connection.all("jobs", |page: &mut dto::Jobs| (&mut page.jobs, &mut page.next_cursor)).await?;
    if args.library.json {
        terminal::json(&listed)?;
        return Ok(Verdict::Done);
    }
    let columns = [("id", Align::Right), ("kind", Align::Left), ("state", Align::Left), ("accepted", Align::Left)];
    let row = |job: &dto::Job| vec![job.id.clone(), job.kind.clone(), job.state.clone(), job.created_at.clone()];
    let rows: Vec<_> = listed.jobs.iter().map(row).collect();
    if rows.is_empty() {
        terminal::message("there is no job");
    } else {
        table::lines(&columns, &rows).iter().for_each(terminal::data);
    }
    Ok(Verdict::Done)
}

async fn show(args: ShowArgs, config: &Config) -> Outcome {
    let ShowArgs { which: IdArgs { id, library }, wait } = args;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let job = loop {
        let job: dto::Job = connection.call(Method::GET, &["jobs", &id], &[], Payload::Empty).await?;
        if !wait || ["done", "cancelled"].contains(&job.state.as_str()) {
            break job;
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    if library.json {
        terminal::json(&job)?;
    } else {
        print(&job);
    }
    let is_given_up = job.outcome.as_ref().is_some_and(|outcome| outcome.code.is_some());
    Ok(if is_given_up || job.state == "cancelled" { Verdict::No } else { Verdict::Done })
}

fn print(job: &dto::Job) {
    terminal::data(format!("id        {}", job.id));
    terminal::data(format!("kind      {}", job.kind));
    terminal::data(format!("state     {}", job.state));
    terminal::data(format!("accepted  {}", job.created_at));
    if let Some(key) = &job.key {
        terminal::data(format!("key       {key}"));
    }
    if let Some(dto::JobProgress { n_done, n_total, unit }) = &job.progress {
        terminal::data(format!("progress  {n_done} of {n_total} {}", unit.as_deref().unwrap_or("images")));
    }
    let Some(outcome) = &job.outcome else { return };
    if let Some(n_faces) = outcome.n_faces {
        terminal::data(format!("faces     {n_faces}"));
    }
    if let Some(n_known) = outcome.n_known {
        terminal::data(format!("known     {}", counted(n_known, "face")));
    }
    if let Some(archive) = &outcome.archive {
        terminal::data(format!("archive   {}, until {}", archive.path, archive.available_until));
    }
    let (code, message) = (outcome.code.as_deref(), outcome.message.as_deref());
    if let Some(code) = code {
        terminal::data(format!("given up  {code}: {}", message.unwrap_or_default()));
    }
    for line in outcome.lines.iter().flatten() {
        terminal::data(format!("refused   line {}: {}", line.line, line.message));
    }
    for (idx, photo) in outcome.photos.iter().flatten().enumerate() {
        if let Some(message) = &photo.message {
            terminal::data(format!("refused   image {}: {message}", idx + 1));
        }
    }
}

async fn cancel(args: IdArgs, config: &Config) -> Outcome {
    let IdArgs { id, library } = args;
    let connection = Connection::open(config, library.tenant(), Needs::StoreOnly).await?;
    let done: dto::JobCancelled = connection.call(Method::DELETE, &["jobs", &id], &[], Payload::Empty).await?;
    if library.json {
        terminal::json(&done)?;
    } else {
        terminal::data(format!("cancelled job {}", done.cancelled));
    }
    Ok(Verdict::Done)
}
