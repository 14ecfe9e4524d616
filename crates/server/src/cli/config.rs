//! `likeness config`: what is set, and by whom.

use clap::{Args, Subcommand};

use likeness_vision::pack::Home;

use super::{pack, terminal};
use crate::config::{Config, RawConfig, show};
use crate::outcome::{Outcome, Verdict};

/// Settings and where they come from.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print every setting
    #[command(after_help = "Example: likeness config show --origin")]
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
    // Beside the settings, which leave it open: what was measured.
    let engines = config.home().ok().and_then(|home| pack::engines(&Home::at(home), config));
    let default_far = pack::default_far(config);
    if args.json {
        terminal::data(show::json(resolved, engines.as_ref().map(pack::engines_json), default_far.flatten()));
        return Ok(Verdict::Done);
    }
    terminal::data(show::text(resolved, args.origin));
    if let Some(engines) = engines {
        // A comment, so that the text stays a settings file.
        terminal::data(format_args!("\n# {}", pack::engines_text(&engines)));
    }
    if let Some(default_far) = default_far {
        terminal::data(format_args!("# model pack {}: {}", config.general.pack, pack::default_text(default_far)));
    }
    Ok(Verdict::Done)
}
