//! `likeness detect`: where the faces in a photograph are. Needs a pack, but no data folder.

use std::path::PathBuf;

use clap::Args;
use likeness_wire::native::{self, dto};

use super::table::{self, Align, counted};
use super::{Outcome, Verdict, photo, terminal};
use crate::assemble;
use crate::cli::Failure;
use crate::config::Config;

/// Finds the faces in a photograph. Ends with 1 when there is none.
#[derive(Debug, Args)]
pub(crate) struct DetectArgs {
    /// The photograph
    photo: PathBuf,
    /// Write the photograph with boxes, points and scores drawn
    #[arg(short, long, value_name = "OUT.png")]
    output: Option<PathBuf>,
    /// Also look for faces that lie on their side or head down
    #[arg(long)]
    any_turn: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: DetectArgs, config: &Config) -> Outcome {
    let image = photo::read(&args.photo)?;
    let library = assemble::without_store(config).await?;
    let request = dto::Detect { image: dto::Image::Bytes(image.clone()), any_turn: args.any_turn };
    let analysis = native::detect(&library, &assemble::nobody(), request)
        .await
        .map_err(|error| photo::failure(&args.photo, error))?;
    if let Some(output) = &args.output {
        let picture = likeness_vision::draw::annotate(&image, &native::IMAGE_RULES, &analysis)?;
        std::fs::write(output, picture)
            .map_err(|error| Failure::new(format!("cannot write {}: {error}", output.display())))?;
    }
    let n_faces = analysis.faces.len();
    let answer = native::detections(analysis);
    if args.json {
        terminal::json(&answer)?;
    } else if n_faces > 0 {
        let columns = ["left", "top", "width", "height", "score"].map(|name| (name, Align::Right));
        let row = |face: &dto::Detection| {
            let dto::BoundingBox { left, top, width, height } = face.bounding_box;
            let mut cells = [left, top, width, height].map(|pixels| pixels.to_string()).to_vec();
            cells.push(format!("{:.3}", face.score));
            cells
        };
        table::lines(&columns, &answer.faces.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    }
    terminal::talk(format!(
        "{} in a picture of {} x {} pixels",
        counted(n_faces as u64, "face"),
        answer.image_width,
        answer.image_height
    ));
    if let Some(output) = &args.output {
        terminal::talk(format!("drawn to {}", output.display()));
    }
    Ok(if n_faces == 0 { Verdict::No } else { Verdict::Done })
}
