//! `likeness config`: what is set, and by whom.

use clap::{Args, Subcommand};

use super::{Outcome, Verdict, terminal};
use crate::config::{RawConfig, show};

/// Settings and where they come from.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every setting
    Show(ShowArgs),
}

/// See [`Command::Show`].
#[derive(Debug, Args)]
pub(crate) struct ShowArgs {
    /// Say also where each value comes from: default, file, environment or flag
    #[arg(long)]
    origin: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command on the settings that won.
pub(crate) fn run(command: Command, resolved: &RawConfig) -> Outcome {
    let Command::Show(args) = command;
    terminal::data(if args.json { show::json(resolved) } else { show::text(resolved, args.origin) });
    Ok(Verdict::Done)
}
