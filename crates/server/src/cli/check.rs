//! `likeness check`: what is stored, and whether it is intact. Asks a running server, or looks into the folder itself.

use clap::Args;
use http::Method;
use likeness_store::embedded::DATABASE_FILE;
use likeness_wire::native::dto;

use super::connection::{Connection, Payload};
use super::{Outcome, Verdict, refused, terminal};
use crate::config::Config;

/// What is stored, and whether it is intact.
#[derive(Debug, Args)]
pub(crate) struct CheckArgs {
    /// Read every row and check every template, which takes a while
    #[arg(long)]
    thorough: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the store's report; the answer is "no" if it has problems.
pub(crate) async fn run(args: CheckArgs, config: &Config) -> Outcome {
    let data = config.data()?;
    // Looking must not make a library where there is none.
    if !data.join(DATABASE_FILE).is_file() {
        return Err(refused(format!("there is no library in {}", data.display()))
            .with_hint("name its data folder with `--data DIR` or LIKENESS_DATA"));
    }
    let connection = Connection::as_operator(config).await?;
    let thorough = if args.thorough { "true" } else { "false" };
    let report: dto::Report =
        connection.call(Method::GET, &["report"], &[("thorough", thorough)], Payload::Empty).await?;
    if args.json {
        terminal::json(&report)?;
    } else {
        print(&report);
    }
    Ok(if report.problems.is_empty() { Verdict::Done } else { Verdict::No })
}

fn print(report: &dto::Report) {
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
    for problem in &report.problems {
        line("problem", problem);
    }
    if report.problems.is_empty() {
        line("problems", &"none");
    }
}
