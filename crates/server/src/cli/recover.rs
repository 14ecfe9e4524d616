//! `likeness recover`: a new library from whatever can still be read of a damaged one.

use std::path::PathBuf;

use clap::Args;
use likeness_store::embedded;

use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed};

/// Write what can still be read of a damaged library to a new folder.
#[derive(Debug, Args)]
pub(crate) struct RecoverArgs {
    /// The new data folder: empty, or not there yet
    #[arg(long, value_name = "NEW")]
    to: PathBuf,
}

/// Prints what was found and what is lost; the answer is "no" if something is lost.
pub(crate) async fn run(args: RecoverArgs, config: &Config) -> Outcome {
    super::refuse_database(config, "restore a backup of the database, or promote a standby")?;
    let data = config.data()?.to_owned();
    let to = args.to.clone();
    let recovered = tokio::task::spawn_blocking(move || embedded::recover(data, to))
        .await
        .map_err(|error| failed(format!("the recovery broke off: {error}")))??;
    let line = |name: &str, value: &dyn std::fmt::Display| terminal::data(format_args!("{name:<16}{value}"));
    line("new library", &args.to.display());
    line("pages", &format_args!("{}, of which {} are unreadable", recovered.n_pages, recovered.n_pages_unreadable));
    line("tenants", &recovered.n_tenants);
    line("access keys", &recovered.n_keys);
    line("face sets", &recovered.n_face_sets);
    line("persons", &recovered.n_persons);
    line("faces", &recovered.n_faces);
    line("not recovered", &"jobs under way, spent tokens, handed-in pictures: they are asked for again or come again");
    for lost in &recovered.lost {
        line("lost", lost);
    }
    if recovered.lost.is_empty() {
        line("lost", &"nothing");
        return Ok(Verdict::Done);
    }
    Ok(Verdict::No)
}
