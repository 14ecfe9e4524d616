//! `likeness compare`: are the largest faces of two photographs one person? Needs a pack, but no data folder.

use std::path::PathBuf;

use clap::Args;
use likeness_wire::native::{self, dto};

use super::{Outcome, Verdict, photo, search, terminal};
use crate::assemble;
use crate::config::Config;

/// Tells whether the largest faces of two photographs are one person. Ends with 0 for the same, 1 for different.
#[derive(Debug, Args)]
pub(crate) struct CompareArgs {
    /// One photograph
    photo_a: PathBuf,
    /// The other
    photo_b: PathBuf,
    /// Share of comparisons between strangers that may be taken for one person
    #[arg(long, default_value_t = 1e-4, value_name = "RATE")]
    far: f64,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: CompareArgs, config: &Config) -> Outcome {
    let image_a = photo::read(&args.photo_a)?;
    let image_b = photo::read(&args.photo_b)?;
    let library = assemble::without_store(config).await?;
    let request = dto::Compare {
        image_a: dto::Image::Bytes(image_a),
        image_b: dto::Image::Bytes(image_b),
        far: Some(args.far),
        any_turn: false,
    };
    let answer = native::compare(&library, &assemble::nobody(), request).await?;
    if args.json {
        terminal::json(&answer)?;
    } else {
        let verdict = if answer.same { "same person" } else { "different people" };
        let (far, threshold) = (search::rate(args.far), answer.similarity_min);
        terminal::data(format!("similarity  {:.4}", answer.similarity));
        terminal::data(format!("FAR         {}", search::rate(answer.far)));
        terminal::data(format!("verdict     {verdict} at FAR {far} (threshold {threshold:.4})"));
    }
    Ok(if answer.same { Verdict::Done } else { Verdict::No })
}
