//! `likeness config`: what is set, and by whom.

use clap::{Args, Subcommand};

use likeness_vision::pack::Home;

use super::{Outcome, Verdict, pack, terminal};
use crate::config::{Config, RawConfig, show};

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
pub(crate) fn run(command: Command, config: &Config, resolved: &RawConfig) -> Outcome {
    let Command::Show(args) = command;
    terminal::data(if args.json { show::json(resolved) } else { show::text(resolved, args.origin) });
    // Beside the settings, which leave it open: what was measured. A comment, so that the text stays a settings file.
    if !args.json
        && let Some(engines) = config.home().ok().and_then(|home| pack::engines(&Home::at(home), config))
    {
        terminal::data(format_args!("\n# {}", pack::engines_text(&engines)));
    }
    Ok(Verdict::Done)
}
