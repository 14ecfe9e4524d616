//! `likeness explain`: why two photographs, or a photograph and a face set, match or do not.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_wire::native::{self, dto};

use super::connection::{Connection, Needs, Payload};
use super::rates::{in_gallery, rate, shown_matches, with_interval};
use super::{photo, terminal};
use crate::assemble;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed, refused};

/// Says why the largest faces of two photographs, or one and a face set, match or do not: similarity, false-accept rate
/// (FAR), margin to the next person, quality of the photographs, and what would change the verdict. Ends with 0 for a
/// match, 1 for none.
#[derive(Debug, Args)]
#[command(after_help = "\
    Says similarity, false-accept rate (FAR), margin to the next person, quality of the photographs, and what would change \
    the verdict. Ends with 0 for a match, 1 for none.\n\n\
    Examples: likeness explain visitor.jpg --set staff\n          likeness explain a.jpg b.jpg --crops crops/")]
pub(crate) struct ExplainArgs {
    /// The photograph
    photo: PathBuf,
    /// The one to compare it with
    #[arg(conflicts_with = "face_set")]
    other: Option<PathBuf>,
    /// Explain the search in this face set instead
    #[arg(long = "set", value_name = "NAME")]
    face_set: Option<String>,
    /// The threshold by its false-accept rate [default: 1e-4, or what `pack calibrate --default-far` has set]
    #[arg(long, value_name = "RATE", value_parser = super::numbers::finite::<f64>)]
    far: Option<f64>,
    /// The threshold at which so many strangers are expected to be found among all faces of the set
    #[arg(long, value_name = "X", conflicts_with = "far", requires = "face_set", value_parser = super::numbers::finite::<f64>)]
    false_matches: Option<f64>,
    /// Write what the recogniser saw of each photograph into this folder, as crop-1.png and crop-2.png
    #[arg(long, value_name = "DIR", value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    crops: Option<PathBuf>,
    /// Replace files of these names that likeness has not drawn
    #[arg(long, requires = "crops")]
    force: bool,
    #[command(flatten)]
    library: LibraryArgs,
}

/// Runs the command.
pub(crate) async fn run(args: ExplainArgs, config: &Config) -> Outcome {
    // The parser asks for no gallery where there is a second photograph, which excludes one.
    if args.false_matches.is_some() && args.face_set.is_none() {
        return Err(refused("`--false-matches` needs a gallery").with_hint("add `--set NAME`, or give a `--far`"));
    }
    if args.crops.as_ref().is_some_and(|folder| folder.exists() && !folder.is_dir()) {
        return Err(refused("`--crops` names a file, expected a folder"));
    }
    if let Some(folder) = &args.crops {
        let photos: Vec<&Path> = std::iter::once(&args.photo).chain(&args.other).map(PathBuf::as_path).collect();
        let n_crops = photos.len();
        (1..=2).try_for_each(|number| photo::refuse_to_replace(&photos, &crop_file(folder, number)))?;
        (1..=n_crops).try_for_each(|number| photo::refuse_to_lose(&crop_file(folder, number), args.force))?;
    }
    let image = photo::read(&args.photo)?;
    match (&args.other, &args.face_set) {
        (Some(other), _) => {
            let library = assemble::without_store(config).await?;
            let request = dto::Compare {
                image_a: dto::Image::Bytes(image),
                image_b: dto::Image::Bytes(photo::read(other)?),
                far: args.far,
                explain: true,
                crops: args.crops.is_some(),
                any_turn: false,
            };
            let answer = native::compare(&library, &assemble::nobody(), request)
                .await
                .map_err(|error| photo::failure_of_two([&args.photo, other], error))?;
            let faces = answer.explanation.as_ref().map(|explanation| explanation.faces.as_slice());
            write_crops(args.crops.as_deref(), faces.unwrap_or_default())?;
            if args.library.json {
                terminal::json(&answer)?;
            } else {
                print_comparison(&answer);
            }
            Ok(if answer.same { Verdict::Done } else { Verdict::No })
        }
        (None, Some(face_set)) => {
            let far = args.far.map(|far| far.to_string());
            let expected = args.false_matches.map(|expected| expected.to_string());
            let crops = if args.crops.is_some() { "true" } else { "false" };
            let mut query = vec![("top", "1"), ("explain", "true"), ("crops", crops)];
            query.extend(far.as_deref().map(|far| ("far", far)));
            query.extend(expected.as_deref().map(|expected| ("false_matches", expected)));
            let connection = Connection::open(config, args.library.tenant(), Needs::Pack).await?;
            let answer: dto::SearchAnswer = connection
                .call(Method::POST, &["face-sets", face_set, "search"], &query, Payload::Image(image))
                .await
                .map_err(|error| photo::failure(&args.photo, error))?;
            let probe = answer.explanation.as_ref().and_then(|explanation| explanation.probe.clone());
            write_crops(args.crops.as_deref(), probe.as_slice())?;
            if args.library.json {
                terminal::json(&answer)?;
            } else {
                print_search(&answer);
            }
            Ok(if answer.candidates.is_empty() { Verdict::No } else { Verdict::Done })
        }
        (None, None) => Err(refused("neither a second photograph nor a face set is given")
            .with_hint("`likeness explain A B` compares two photographs, `likeness explain A --set NAME` searches")),
    }
}

/// The file of a crop; numbers count from 1.
fn crop_file(folder: &Path, number: usize) -> PathBuf {
    folder.join(format!("crop-{number}.png"))
}

fn write_crops(folder: Option<&Path>, faces: &[dto::ExaminedFace]) -> Result<(), Error> {
    let Some(folder) = folder else { return Ok(()) };
    let cannot = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| failed(format!("cannot write {path}: {error}"))
    };
    // A face that a recogniser can read is for whoever asked for it.
    fs::DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(cannot(folder))?;
    for (idx, png) in faces.iter().enumerate().filter_map(|(idx, face)| Some((idx, face.crop.as_ref()?))) {
        let path = crop_file(folder, idx + 1);
        let png = STANDARD.decode(png).map_err(|error| Error::internal("a crop cannot be read", error))?;
        let png = photo::drawn(png);
        // One from earlier may be open to others.
        let _ = fs::remove_file(&path);
        let opened = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&path);
        opened.and_then(|mut file| file.write_all(&png)).map_err(cannot(&path))?;
        terminal::message(format!("what the recogniser saw: {}", path.display()));
    }
    Ok(())
}

fn line(name: &str, value: impl std::fmt::Display) {
    terminal::data(format_args!("{name:<14}{value}"));
}

fn print_comparison(answer: &dto::Comparison) {
    let verdict = if answer.same { "same person" } else { "different people" };
    line("verdict", format_args!("{verdict} at FAR {}", rate(answer.far_applied)));
    line("similarity", format_args!("{:.4} (threshold {:.4})", answer.similarity, answer.similarity_min));
    line("FAR", with_interval(&answer.rate));
    let Some(explanation) = &answer.explanation else { return };
    for (name, face) in ["first image", "second image"].into_iter().zip(&explanation.faces) {
        line(name, face_text(face));
    }
    explanation.remarks.iter().for_each(|remark| terminal::data(format_args!("- {remark}")));
}

fn print_search(answer: &dto::SearchAnswer) {
    let Some(explanation) = &answer.explanation else { return };
    line("verdict", if answer.candidates.is_empty() { "nobody" } else { "found" });
    let threshold = in_gallery(answer);
    line("threshold", format_args!("{:.4}: {threshold}", answer.similarity_min));
    // Whom a face shows that nobody has labelled is not known.
    let is_unnamed = explanation.findings.iter().any(|finding| finding.code == "next_unnamed");
    let next = if is_unnamed { "next face" } else { "next person" };
    for (name, candidate) in [("best", &explanation.best), (next, &explanation.next)] {
        let Some(candidate) = candidate else { continue };
        let who = super::face::who(&candidate.face).unwrap_or("no label");
        let matches = shown_matches(&candidate.in_gallery, candidate.rate.far_bound);
        line(
            name,
            format_args!(
                "{:.4}  {who}, face {}, FAR {}, {matches} false matches expected",
                candidate.similarity,
                candidate.face.id,
                with_interval(&candidate.rate)
            ),
        );
    }
    if let Some(margin) = explanation.margin {
        line("margin", format_args!("{margin:.4}"));
    }
    if let Some(probe) = &explanation.probe {
        line("image", face_text(probe));
    }
    explanation.remarks.iter().for_each(|remark| terminal::data(format_args!("- {remark}")));
}

fn face_text(face: &dto::ExaminedFace) -> String {
    let dto::BoundingBox { width, height, .. } = face.detection.bounding_box;
    let mut text = format!("{width}x{height} px, passes the quality gate {}", face.gate);
    if let Some(quality) = face.quality {
        let figures = [
            ("sharpness", quality.sharpness),
            ("illumination", quality.illumination),
            ("pose", quality.pose),
            ("visibility", quality.visibility),
        ];
        for (name, figure) in figures {
            text += &figure.map(|figure| format!(", {name} {figure:.2}")).unwrap_or_default();
        }
    }
    if let Some(dto::Pose { yaw, pitch, roll }) = face.pose {
        text += &format!(", yaw {yaw:.0} pitch {pitch:.0} roll {roll:.0}");
    }
    text
}
