//! `likeness liveness`: whether a living person is in a clip or a photograph. Needs packs, but no data folder.

use std::path::PathBuf;

use clap::Args;
use likeness_domain::{Kind, limits};
use likeness_wire::native::{self, dto};

use super::table::{self, Align};
use super::{photo, terminal};
use crate::assemble;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Tells whether a living person is in a photograph or, with `--actions`, in a clip. Ends with 1 when there is none.
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness liveness clip.mp4 --actions turn_left,blink")]
pub(crate) struct LivenessArgs {
    /// The photograph or clip
    file: PathBuf,
    /// It is a clip, in which the person was asked to do this, in that order: some of turn_left, turn_right, nod,
    /// open_mouth, blink
    #[arg(long, value_name = "A,B,..")]
    actions: Option<String>,
    /// When each action may happen, in milliseconds [default: any time after the one before]
    #[arg(long, value_name = "START-END,..", requires = "actions")]
    windows: Option<String>,
    /// Least degrees of a nod [default: 10]
    #[arg(long, value_name = "N", requires = "actions", value_parser = crate::cli::numbers::finite::<f32>)]
    nod_degrees: Option<f32>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: LivenessArgs, config: &Config) -> Outcome {
    let bytes = photo::read_within(&args.file, limits::VIDEO_BYTES_MAX.max(limits::IMAGE_BYTES_MAX))
        .map_err(|reason| refused(format!("cannot read {}: {reason}", args.file.display())))?;
    let library = assemble::without_store(config).await?;
    let is_picture = args.actions.is_none();
    let request = dto::Liveness {
        image: dto::Image::Bytes(bytes),
        actions: args.actions,
        windows: args.windows,
        nod_degrees: args.nod_degrees,
    };
    let answer = native::judge(&library, &assemble::nobody(), request).await.map_err(|error| {
        let hint = is_picture && error.kind() == Kind::ImageFormat;
        let failure = photo::failure(&args.file, error);
        if hint {
            failure.with_hint("of a clip, say what the person was to do: `--actions turn_left,nod`")
        } else {
            failure
        }
    })?;
    if args.json {
        terminal::json(&answer)?;
    } else if let Some(actions) = &answer.actions {
        let row = |seen: &dto::SeenAction| vec![seen.action.clone(), format!("{:.3}", seen.confidence)];
        let columns = [("action", Align::Left), ("confidence", Align::Right)];
        table::lines(&columns, &actions.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    } else if let Some(probability) = answer.probability {
        terminal::data(format!("{probability:.3}"));
    }
    if !args.json {
        let remarks =
            if answer.remarks.is_empty() { String::new() } else { format!(": {}", answer.remarks.join(", ")) };
        terminal::data(format!("{}{remarks}", if answer.alive { "alive" } else { "not alive" }));
    }
    Ok(if answer.alive { Verdict::Done } else { Verdict::No })
}
