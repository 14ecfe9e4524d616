//! `likeness eval`: how well a pack tells people apart, measured on labelled pairs.

pub(super) mod all_pairs;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use likeness_domain::policy::{QualityThresholds, poor_quality};
use likeness_domain::ports::{Analysis, AnalyzeRequest, AnalyzedFace, Assess, FaceAnalyzer, FaceChoice};
use likeness_domain::score::verification::{IMPOSTORS_ABOVE_MIN, Interval, wilson};
use likeness_domain::types::{Aspects, BoundingBox, PackId, QualityGate, Template};
use likeness_domain::{Error, Kind};
use likeness_wire::native;
use serde::Serialize;
use tokio::task::JoinSet;

use super::rates::percent;
use super::table::{self, Align, counted};
use super::{photo, terminal};
use crate::assemble;
use crate::config::Config;
use crate::eval::metrics::{Evaluation, FARS, Figures, ScoredPair, evaluate, roc};
use crate::eval::pairs::{self, Pairs};
use crate::eval::plot;
use crate::outcome::{Outcome, Verdict};
use crate::outcome::{failed, refused};

/// Accuracy of a model pack.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Verification by the k-fold protocol: accuracy, EER, TAR at FAR
    #[command(after_help = "Example: likeness eval pairs pairs.csv --images lfw/ --plot roc.png")]
    Pairs(PairsArgs),
    /// Every photograph of a folder of persons against every other: TAR at FAR 1e-1 to 1e-6
    #[command(after_help = "Example: likeness eval all-pairs lfw/ --roc roc.png")]
    AllPairs(all_pairs::AllPairsArgs),
}

impl Command {
    /// The pack named by the command.
    pub(crate) fn pack(&self) -> Option<&str> {
        match self {
            Command::Pairs(args) => args.pack.as_deref(),
            Command::AllPairs(args) => args.pack.as_deref(),
        }
    }
}

/// What is asked of photographs: where their names start from, the face that is meant, the gate, and whether those
/// without a face are named.
struct Wanted<'a> {
    images: &'a Path,
    face: MeantFace,
    gate: QualityGate,
    names_no_face: bool,
}

/// Embeds one face of every photograph in a list of pairs and measures how well similarity tells pairs of one person
/// from pairs of two. Each fold is judged with the threshold that is best on the other folds. A pair with a photograph
/// that shows no face counts as an error; one that a quality gate refuses is left out with its pairs.
#[derive(Debug, Args)]
pub(crate) struct PairsArgs {
    /// The list: CSV with the columns fold,image_a,image_b,same
    pairs: PathBuf,
    /// Folder that the list's paths start from
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Measure this pack [default: the configured one]
    #[arg(long, value_name = "ID")]
    pub(crate) pack: Option<String>,
    /// Which face of a photograph with several is meant: the central or the largest one
    #[arg(long, value_enum, hide_possible_values = true, default_value_t = MeantFace::Central, value_name = "WHICH")]
    face: MeantFace,
    /// Leave out photographs that this quality gate refuses: none, low, medium or high
    #[arg(long, value_name = "LEVEL", default_value = "none", value_parser = gate)]
    gate: QualityGate,
    /// Draw the ROC; the name says the format: .png or .svg
    #[arg(long, value_name = "OUT.png", value_parser = plot::path)]
    plot: Option<PathBuf>,
    /// Print one JSON object; shares are fractions
    #[arg(long)]
    json: bool,
}

pub(super) fn gate(word: &str) -> Result<QualityGate, Error> {
    QualityGate::from_word(word)
}

/// What a photograph is good for.
#[derive(Debug, Clone)]
enum Looked {
    /// Its template.
    Face(Template),
    /// No face or no picture.
    NoFace,
    /// The gate refuses it.
    Refused,
}

/// How many photographs were of no use.
#[derive(Debug, Clone, Copy)]
struct Lost {
    no_face: usize,
    refused: usize,
}

/// Which of several faces the list is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(super) enum MeantFace {
    /// The one whose centre is nearest to the picture's: lists made from pictures cropped around a person, as LFW is
    Central,
    /// The one with the largest box
    Largest,
}

impl MeantFace {
    /// Which faces have to be embedded to have the one that is meant.
    fn choice(self) -> FaceChoice {
        match self {
            MeantFace::Central => FaceChoice::Central,
            MeantFace::Largest => FaceChoice::Largest,
        }
    }

    /// The face that is meant, of those found; of equally central ones the largest.
    fn of(self, analysis: Analysis) -> Option<AnalyzedFace> {
        // Twice the distance between the centres, squared: whole numbers, so equal is equal.
        let (width, height) = (i64::from(analysis.image_width), i64::from(analysis.image_height));
        let off_centre = |face: &AnalyzedFace| {
            let BoundingBox { left, top, width: box_width, height: box_height } = face.detection.bounding_box;
            let x = 2 * i64::from(left) + i64::from(box_width) - width;
            let y = 2 * i64::from(top) + i64::from(box_height) - height;
            x * x + y * y
        };
        match self {
            MeantFace::Central => analysis.faces.into_iter().min_by_key(off_centre),
            MeantFace::Largest => analysis.faces.into_iter().next(),
        }
    }
}

#[derive(Serialize)]
struct Answer {
    pairs: usize,
    accuracy: f64,
    /// If pairs are independent.
    accuracy_interval: (f64, f64),
    accuracy_sd: f64,
    eer: f64,
    /// If pairs are independent.
    eer_interval: (f64, f64),
    tar_at_far: TarAtFar,
    threshold: f64,
    no_face: usize,
    #[serde(skip_serializing_if = "Option::is_none")]
    gate: Option<&'static str>,
    refused: usize,
    photographs: usize,
    folds: Vec<Fold>,
}

#[derive(Serialize)]
struct Fold {
    fold: u32,
    pairs: usize,
    accuracy: f64,
    eer: f64,
    tar_at_far: TarAtFar,
    threshold: f64,
}

/// Without a rate of which too few pairs of two people would tell: nothing is printed as null.
#[derive(Serialize)]
struct TarAtFar {
    #[serde(rename = "1e-2")]
    at_1e_2: Option<f64>,
    #[serde(rename = "1e-3")]
    at_1e_3: Option<f64>,
}

impl TarAtFar {
    fn of(figures: &Figures) -> Self {
        Self { at_1e_2: shown_tar(figures, 0), at_1e_3: shown_tar(figures, 1) }
    }
}

/// The true-accept rate at one of [`FARS`], where the sample shows that rate.
fn shown_tar(figures: &Figures, idx: usize) -> Option<f64> {
    let is_shown = figures.n_impostors as f64 * FARS[idx] >= IMPOSTORS_ABOVE_MIN;
    is_shown.then_some(figures.tar_at_far[idx])
}

/// 95 % interval of the accuracy, if pairs are independent.
fn accuracy_interval(overall: &Figures) -> Interval {
    let n_right = (overall.accuracy * overall.n_pairs as f64).round() as u64;
    wilson(n_right, overall.n_pairs as u64)
}

/// 95 % interval of the equal error rate, if pairs are independent: that of the rate among the pairs of which there are fewer,
/// those of one person or those of two.
fn eer_interval(overall: &Figures) -> Interval {
    let n = overall.n_impostors.min(overall.n_pairs - overall.n_impostors);
    wilson((overall.eer * n as f64).round() as u64, n as u64)
}

/// Runs the command.
pub(crate) async fn run(command: Command, config: &Config) -> Outcome {
    let args = match command {
        Command::Pairs(args) => args,
        Command::AllPairs(args) => return all_pairs::run(args, config).await,
    };
    let list = pairs::read(&args.pairs)?;
    let analyzer = assemble::analyzer(config).await?;
    let pack = analyzer.packs()[0].id.clone();
    let wanted = Wanted { images: &args.images, face: args.face, gate: args.gate, names_no_face: true };
    let looked = embed_all(&analyzer, &pack, &list.images, &wanted, config.general.workers).await?;
    let lost = Lost {
        no_face: looked.iter().filter(|looked| matches!(looked, Looked::NoFace)).count(),
        refused: looked.iter().filter(|looked| matches!(looked, Looked::Refused)).count(),
    };
    let scored = score(&list, &looked);
    if !scored.iter().any(|pair| pair.same) || scored.iter().all(|pair| pair.same) {
        return Err(refused(format!("quality gate `{}` left no pairs of both kinds", args.gate.word())));
    }
    let evaluation = evaluate(&scored);
    if let Some(path) = &args.plot {
        std::fs::write(path, draw(&args.pairs, &pack, &scored, &evaluation, plot::PlotFormat::of_name(path)?)?)
            .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        terminal::message(format!("ROC drawn to {}", path.display()));
    }
    if args.json {
        terminal::json(&answer(&evaluation, lost, &args, list.images.len()))?;
    } else {
        print(&evaluation, &pack, list.images.len(), lost, args.gate);
    }
    if evaluation.folds.len() == 1 {
        terminal::message("there is one fold only, so its threshold was chosen on itself: the accuracy flatters");
    }
    Ok(Verdict::Done)
}

/// What the face that is meant in each image is good for.
async fn embed_all(
    analyzer: &Arc<dyn FaceAnalyzer>,
    pack: &PackId,
    images: &[String],
    wanted: &Wanted<'_>,
    workers: usize,
) -> Result<Vec<Looked>, Error> {
    let style = "{bar:32} {pos}/{len} photographs, {per_sec}, {eta} left";
    let style = ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(images.len() as u64).with_style(style.progress_chars("=> "));
    let mut looked = vec![Looked::NoFace; images.len()];
    let mut waiting = images.iter().enumerate();
    let mut in_flight = JoinSet::new();
    loop {
        // One in work and one waiting for each worker: the pool's queue is never full.
        while in_flight.len() < workers * 2 {
            let Some((image_idx, name)) = waiting.next() else { break };
            let (analyzer, pack, path) = (Arc::clone(analyzer), pack.clone(), wanted.images.join(name));
            let (face, gate) = (wanted.face, wanted.gate);
            in_flight.spawn(async move { (embed(&*analyzer, pack, &path, face, gate).await, image_idx) });
        }
        let Some(done) = in_flight.join_next().await else { break };
        let (template, image_idx) = done.map_err(|error| failed(format!("embedding failed: {error}")))?;
        bar.inc(1);
        let name = &images[image_idx];
        match template? {
            Ok(Looked::NoFace) if !wanted.names_no_face => {}
            Ok(Looked::NoFace) => bar.suspend(|| terminal::message(format!("no face: {name}"))),
            Ok(found) => looked[image_idx] = found,
            Err(error) => bar.suspend(|| terminal::message(format!("no picture: {name}: {error}"))),
        }
    }
    bar.finish_and_clear();
    Ok(looked)
}

/// The outer error ends the evaluation; the inner one is the picture's own fault.
async fn embed(
    analyzer: &dyn FaceAnalyzer,
    pack: PackId,
    path: &Path,
    face: MeantFace,
    gate: QualityGate,
) -> Result<Result<Looked, Error>, Error> {
    let floor = QualityThresholds::of(gate);
    let rules = native::IMAGE_RULES;
    let request = AnalyzeRequest {
        count: likeness_domain::ports::Count::No,
        pack,
        rules,
        find: face.choice(),
        face_side_min: 0,
        embed: face.choice(),
        assess: match gate {
            QualityGate::None => Assess::NOTHING,
            _ => Assess { aspects: Aspects::QUALITY, faces: face.choice() },
        },
    };
    let image = match photo::read(path) {
        Err(error) if error.kind() == Kind::ImageFormat => return Ok(Err(error)),
        image => image?,
    };
    match analyzer.analyze(image, request).await {
        Ok(analysis) => Ok(Ok(match face.of(analysis) {
            Some(face) if !poor_quality(&face.quality, &face.detection, &floor).is_empty() => Looked::Refused,
            Some(face) => face.template.map_or(Looked::NoFace, Looked::Face),
            None => Looked::NoFace,
        })),
        Err(error) => match error.kind() {
            Kind::ImageFormat | Kind::ImageCorrupt | Kind::ImageDimensions => Ok(Err(error)),
            _ => Err(photo::failure(path, error)),
        },
    }
}

/// The pairs of which no photograph was refused.
fn score(list: &Pairs, looked: &[Looked]) -> Vec<ScoredPair> {
    let similarity = |a: usize, b: usize| match (&looked[a], &looked[b]) {
        (Looked::Face(a), Looked::Face(b)) => Some(a.similarity(b)?.get()),
        _ => None,
    };
    let is_refused = |image_idx: usize| matches!(looked[image_idx], Looked::Refused);
    let scored = |pair: &pairs::Pair| ScoredPair {
        fold: pair.fold,
        similarity: similarity(pair.image_a, pair.image_b),
        same: pair.same,
    };
    let judged = list.pairs.iter().filter(|pair| !is_refused(pair.image_a) && !is_refused(pair.image_b));
    judged.map(scored).collect()
}

fn answer(evaluation: &Evaluation, lost: Lost, args: &PairsArgs, n_images: usize) -> Answer {
    let overall = &evaluation.overall;
    let fold = |(fold, figures): &(u32, Figures)| Fold {
        fold: *fold,
        pairs: figures.n_pairs,
        accuracy: figures.accuracy,
        eer: figures.eer,
        tar_at_far: TarAtFar::of(figures),
        threshold: figures.threshold,
    };
    Answer {
        pairs: overall.n_pairs,
        accuracy: overall.accuracy,
        accuracy_interval: (accuracy_interval(overall).low, accuracy_interval(overall).high),
        accuracy_sd: evaluation.accuracy_sd,
        eer: overall.eer,
        eer_interval: (eer_interval(overall).low, eer_interval(overall).high),
        tar_at_far: TarAtFar::of(overall),
        threshold: overall.threshold,
        no_face: lost.no_face,
        gate: (args.gate != QualityGate::None).then(|| args.gate.word()),
        refused: lost.refused,
        photographs: n_images,
        folds: evaluation.folds.iter().map(fold).collect(),
    }
}

fn print(evaluation: &Evaluation, pack: &PackId, n_images: usize, lost: Lost, gate: QualityGate) {
    let columns = ["fold", "pairs", "accuracy", "EER", "TAR at FAR 1e-2", "TAR at FAR 1e-3", "threshold"]
        .map(|name| (name, Align::Right));
    let row = |name: String, figures: &Figures| {
        let shown = |idx: usize| shown_tar(figures, idx).map_or_else(|| "-".to_owned(), percent);
        let (at_1e_2, at_1e_3) = (shown(0), shown(1));
        let threshold = format!("{:.4}", figures.threshold);
        let (accuracy, eer) = (percent(figures.accuracy), percent(figures.eer));
        vec![name, figures.n_pairs.to_string(), accuracy, eer, at_1e_2, at_1e_3, threshold]
    };
    let mut rows: Vec<_> = evaluation.folds.iter().map(|(fold, figures)| row(fold.to_string(), figures)).collect();
    rows.push(row("all".to_owned(), &evaluation.overall));
    table::lines(&columns, &rows).iter().for_each(terminal::data);
    let (accuracy, deviation) = (percent(evaluation.overall.accuracy), percent(evaluation.accuracy_sd));
    terminal::data(format!("accuracy {accuracy}, standard deviation over the folds {deviation}"));
    let overall = &evaluation.overall;
    let Interval { low, high } = accuracy_interval(overall);
    terminal::data(format!(
        "95 % interval of the accuracy, if pairs are independent: {} to {}",
        percent(low),
        percent(high)
    ));
    let Interval { low, high } = eer_interval(overall);
    terminal::data(format!("and of the EER: {} to {}", percent(low), percent(high)));
    if FARS.iter().any(|far| overall.n_impostors as f64 * far < IMPOSTORS_ABOVE_MIN) {
        terminal::data(format!(
            "-: fewer than {IMPOSTORS_ABOVE_MIN} of {} of two people would lie above the threshold, too few for a rate; \
             `eval all-pairs` compares every photograph with every other",
            counted(overall.n_impostors as u64, "pair")
        ));
    }
    let photographs = counted(n_images as u64, "photograph");
    terminal::data(format!("pack {pack}, {photographs}, {} without a face", lost.no_face));
    if gate != QualityGate::None {
        let share = percent(lost.refused as f64 / n_images as f64);
        terminal::data(format!("quality gate {} refused {} of them ({share})", gate.word(), lost.refused));
    }
}

fn draw(
    list: &Path,
    pack: &PackId,
    scored: &[ScoredPair],
    evaluation: &Evaluation,
    format: plot::PlotFormat,
) -> Result<Vec<u8>, Error> {
    let of_fold = |fold: u32| scored.iter().filter(|pair| pair.fold == fold).copied().collect::<Vec<_>>();
    let folds: Vec<_> = evaluation.folds.iter().map(|(fold, _)| roc(&of_fold(*fold))).collect();
    let overall = &evaluation.overall;
    let name = list.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let (accuracy, deviation) = (percent(overall.accuracy), percent(evaluation.accuracy_sd));
    let mut figures = vec![format!("accuracy {accuracy} ± {deviation}"), format!("EER {}", percent(overall.eer))];
    for (idx, far) in ["1 %", "0.1 %"].into_iter().enumerate() {
        figures.extend(shown_tar(overall, idx).map(|tar| format!("TAR {} at FAR {far}", percent(tar))));
    }
    let plot = plot::Plot {
        kind: plot::Kind::Roc,
        title: &format!("Telling people apart: ROC of pack {pack}"),
        subtitle: &format!(
            "{} in {} folds of {name}; bold: all pairs, faint: each fold",
            counted(overall.n_pairs as u64, "pair"),
            evaluation.folds.len()
        ),
        figures: &figures,
        overall: &roc(scored),
        folds: &folds,
        measured: &[],
        n_impostors: scored.iter().filter(|pair| !pair.same).count(),
    };
    plot::draw(&plot, format)
}
