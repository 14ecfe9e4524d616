//! `likeness compare`: are the largest faces of two photographs one person? Needs a pack, but no data folder.

use std::path::PathBuf;

use clap::Args;
use likeness_wire::native::{self, dto};

use super::rates::{rate, with_interval};
use super::{photo, terminal};
use crate::assemble;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};

/// Tells whether the largest faces of two photographs are one person. Ends with 0 for the same, 1 for different.
#[derive(Debug, Args)]
#[command(after_help = "\
    Ends with 0 for the same person, 1 for different people.\n\n\
    Example: likeness compare passport.jpg visitor.jpg --far 1e-5")]
pub(crate) struct CompareArgs {
    /// One photograph
    photo_a: PathBuf,
    /// The other
    photo_b: PathBuf,
    /// Share of comparisons of two strangers that may be taken for one person [default: 1e-4, or what `pack calibrate --default-far` has set]
    #[arg(long, value_name = "RATE", value_parser = crate::cli::numbers::finite::<f64>)]
    far: Option<f64>,
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
        far: args.far,
        explain: false,
        crops: false,
        any_turn: false,
    };
    let answer = native::compare(&library, &assemble::nobody(), request)
        .await
        .map_err(|error| photo::failure_of_two([&args.photo_a, &args.photo_b], error))?;
    if args.json {
        terminal::json(&answer)?;
    } else {
        photo::note_several_of_two([&args.photo_a, &args.photo_b], answer.n_faces_in_images);
        let verdict = if answer.same { "same person" } else { "different people" };
        terminal::data(format!("similarity  {:.4}", answer.similarity));
        terminal::data(format!("FAR         {}", with_interval(&answer.rate)));
        terminal::data(format!(
            "verdict     {verdict} at FAR {} (threshold {:.4})",
            rate(answer.far_applied),
            answer.similarity_min
        ));
    }
    Ok(if answer.same { Verdict::Done } else { Verdict::No })
}
