//! `likeness detect`: where the faces in a photograph are, and what can be read from them. Needs a pack, but no data
//! folder.

use std::path::PathBuf;

use clap::Args;
use likeness_vision::draw::{PictureFormat, annotate};
use likeness_wire::native::{self, dto};

use likeness_domain::Error;

use super::table::{self, Align, counted};
use super::{offered, photo, terminal};
use crate::assemble;
use crate::config::Config;
use crate::outcome::failed;
use crate::outcome::{Outcome, Verdict};

/// Finds the faces in a photograph. Ends with 1 when there is none.
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness detect group.jpg -o found.jpg")]
pub(crate) struct DetectArgs {
    /// The photograph
    photo: PathBuf,
    /// Write the photograph with boxes, points and a table of what was measured; the name says the format: .png, .jpg
    /// or .jpeg
    #[arg(short, long, value_name = "OUT.png", value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    output: Option<PathBuf>,
    /// Replace a file that likeness has not drawn
    #[arg(long, requires = "output")]
    force: bool,
    /// Has no effect: faces that lie on their side or head down are always found
    #[arg(long, hide = true)]
    any_turn: bool,
    /// What to measure: `none`, or words between commas of landmarks68, pose, quality, expression, age_gender, liveness
    /// and mesh468 (the 468 points of the face mesh), or `all` for each of them but mesh468
    #[arg(long, value_name = "WORDS", default_value = "all", value_parser = offered::ASSESSMENTS, hide_possible_values = true)]
    assess: String,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub(crate) async fn run(args: DetectArgs, config: &Config) -> Outcome {
    // A name that cannot be written is refused before work begins.
    let output =
        args.output.as_deref().map(|path| Ok::<_, Error>((path, PictureFormat::of_name(path)?))).transpose()?;
    if let Some((path, _)) = output {
        photo::refuse_to_replace(&[&args.photo], path)?;
        photo::refuse_to_lose(path, args.force)?;
    }
    let image = photo::read(&args.photo)?;
    let library = assemble::without_store(config).await?;
    let assess = Some(args.assess).filter(|words| words != "none");
    let request = dto::Detect { image: dto::Image::Bytes(image.clone()), any_turn: args.any_turn, assess };
    let detected = native::detect(&library, &assemble::nobody(), request)
        .await
        .map_err(|error| photo::failure(&args.photo, error))?;
    let mut enlarged = 1;
    if let Some((path, format)) = output {
        let drawn = annotate(&image, &native::IMAGE_RULES, &detected.analysis, format)?;
        std::fs::write(path, photo::drawn(drawn.bytes))
            .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        enlarged = drawn.factor;
    }
    let n_faces = detected.analysis.faces.len();
    let answer = native::detections(detected);
    if args.json {
        terminal::json(&answer)?;
    } else if n_faces > 0 {
        table(&answer.faces).iter().for_each(terminal::data);
    }
    terminal::message(format!(
        "{} in a picture of {} x {} pixels",
        counted(n_faces as u64, "face"),
        answer.image_width,
        answer.image_height
    ));
    if let Some(doubt) = answer.faces.iter().find_map(|face| face.doubt.as_ref()) {
        let n_doubtful = answer.faces.iter().filter(|face| face.doubt.is_some()).count();
        terminal::message(format!("{} in doubt: {}", counted(n_doubtful as u64, "face"), doubt.reason));
    }
    if !answer.not_measured.is_empty() {
        terminal::message(format!("not measured, for want of a model pack: {}", answer.not_measured.join(", ")));
        hints(&answer.not_measured).iter().for_each(|hint| terminal::message(format!("  hint: {hint}")));
    }
    if let Some((path, _)) = output {
        let enlarged = if enlarged > 1 { format!(", enlarged {enlarged} times") } else { String::new() };
        terminal::message(format!("drawn to {}{enlarged}", path.display()));
    }
    Ok(if n_faces == 0 { Verdict::No } else { Verdict::Done })
}

/// One line per face: where it is, and what was measured of any.
fn table(faces: &[dto::DetectedFace]) -> Vec<String> {
    type Cell = fn(&dto::DetectedFace) -> Option<String>;
    let optional: [(&str, Align, Cell); 9] = [
        ("quality", Align::Right, |face| face.quality?.total.map(|total| format!("{total:.2}"))),
        ("yaw", Align::Right, |face| face.pose.map(|pose| format!("{:.0}", pose.yaw))),
        ("pitch", Align::Right, |face| face.pose.map(|pose| format!("{:.0}", pose.pitch))),
        ("roll", Align::Right, |face| face.pose.map(|pose| format!("{:.0}", pose.roll))),
        ("age", Align::Right, |face| face.age.map(|age| format!("{age:.0}"))),
        ("gender", Align::Left, |face| face.male.map(|male| if male >= 0.5 { "male" } else { "female" }.to_owned())),
        ("expression", Align::Left, |face| {
            let strongest = face.expressions.as_ref()?.iter().max_by(|a, b| a.1.total_cmp(b.1))?;
            Some(strongest.0.clone())
        }),
        ("live", Align::Right, |face| face.liveness.map(|liveness| format!("{liveness:.2}"))),
        ("doubt", Align::Left, |face| {
            let doubt = face.doubt.as_ref()?;
            // Rounded down, so that a presence just below the least one is not printed as that.
            let presence = (doubt.presence * 10.0).floor() / 10.0;
            Some(format!("presence {presence:.1}, expected at least {:.1}", doubt.presence_min))
        }),
    ];
    let measured = optional.into_iter().filter(|(_, _, cell)| faces.iter().any(|face| cell(face).is_some()));
    let measured: Vec<_> = measured.collect();
    let columns = ["left", "top", "width", "height", "score"].map(|name| (name, Align::Right)).into_iter();
    let columns: Vec<_> = columns.chain(measured.iter().map(|(name, align, _)| (*name, *align))).collect();
    let row = |face: &dto::DetectedFace| {
        let dto::BoundingBox { left, top, width, height } = face.detection.bounding_box;
        let mut cells = [left, top, width, height].map(|pixels| pixels.to_string()).to_vec();
        cells.push(format!("{:.3}", face.detection.score));
        cells.extend(measured.iter().map(|(_, _, cell)| cell(face).unwrap_or_default()));
        cells
    };
    table::lines(&columns, &faces.iter().map(row).collect::<Vec<_>>())
}

/// How to get what is missing.
fn hints(not_measured: &[String]) -> Vec<&'static str> {
    let missing = |words: &[&str]| not_measured.iter().any(|word| words.contains(&word.as_str()));
    let attributes =
        missing(&["landmarks68", "expression", "age_gender"]).then_some("`likeness pack install attributes`");
    let liveness =
        missing(&["liveness"]).then_some("`likeness pack install liveness --from FOLDER`, see docs/packs.md");
    attributes.into_iter().chain(liveness).collect()
}
