//! `likeness recover`: a new library from whatever can still be read of a damaged one.

use std::path::PathBuf;

use clap::Args;
use likeness_store::embedded;
use serde_json::json;

use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed};

/// Write what can still be read of a damaged library to a new folder.
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness recover --data /srv/faces --to /srv/faces-recovered")]
pub(crate) struct RecoverArgs {
    /// The new data folder: empty, or not there yet
    #[arg(long, value_name = "NEW", value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    to: PathBuf,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints what was found and what is lost; the answer is "no" if something is lost.
pub(crate) async fn run(args: RecoverArgs, config: &Config) -> Outcome {
    super::refuse_database(config, "restore a backup of the database, or promote a standby")?;
    let data = config.data()?.to_owned();
    let to = args.to.clone();
    let moved_to = std::fs::read_to_string(data.join(embedded::MOVED_FILE)).ok();
    let recovered = tokio::task::spawn_blocking(move || embedded::recover(data, to))
        .await
        .map_err(|error| failed(format!("the recovery broke off: {error}")))??;
    if args.json {
        terminal::data(json!({
            "new_library": args.to.display().to_string(),
            "pages": recovered.n_pages,
            "pages_unreadable": recovered.n_pages_unreadable,
            "tenants": recovered.n_tenants,
            "access_keys": recovered.n_keys,
            "face_sets": recovered.n_face_sets,
            "persons": recovered.n_persons,
            "faces": recovered.n_faces,
            "lost": recovered.lost,
            "moved_to": moved_to,
        }));
        return Ok(if recovered.lost.is_empty() { Verdict::Done } else { Verdict::No });
    }
    let line = |name: &str, value: &dyn std::fmt::Display| terminal::data(format_args!("{name:<16}{value}"));
    line("new library", &args.to.display());
    line("pages", &format_args!("{}, of which {} are unreadable", recovered.n_pages, recovered.n_pages_unreadable));
    line("tenants", &recovered.n_tenants);
    line("access keys", &recovered.n_keys);
    line("face sets", &recovered.n_face_sets);
    line("persons", &recovered.n_persons);
    line("faces", &recovered.n_faces);
    line("not recovered", &"jobs under way, spent tokens, handed-in pictures: they are asked for again or come again");
    if let Some(moved_to) = moved_to {
        line("moved away", &format_args!("to {moved_to}: what was deleted there since is in the new library again"));
    }
    for lost in &recovered.lost {
        line("lost", lost);
    }
    if recovered.lost.is_empty() {
        line("lost", &"nothing");
        return Ok(Verdict::Done);
    }
    Ok(Verdict::No)
}
