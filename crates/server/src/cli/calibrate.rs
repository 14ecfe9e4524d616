//! `likeness calibrate`: operating points for a model pack, measured on one's own labelled faces.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use http::Method;
use likeness_domain::score::verification::{
    IMPOSTORS_ABOVE_MIN, Interval, PairCounts, RateAt, far_interval_by_person, interval_by_person,
};
use likeness_domain::score::{Calibration, FAR_USUAL, OperatingPoint};
use likeness_domain::types::{PackId, QualityGate, Similarity, Template};
use likeness_domain::{Error, limits};
use likeness_vision::pack::{Score, calibration_text};
use likeness_wire::native::dto;
use serde::Serialize;

use super::connection::{Connection, Needs, Payload};
use super::eval::all_pairs::{self, Known, KnownFaces};
use super::eval::{MeantFace, gate};
use super::rates::{percent, percents, rate, significant};
use super::table::{self, Align, counted};
use super::terminal;
use crate::config::Config;
use crate::eval::plot;
use crate::outcome::{Outcome, Verdict, failed, refused};

/// False-accept rates for which operating points are made, as far as the sample shows them.
const FARS: [f64; 11] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4, 3e-5, 1e-5, 3e-6, 1e-6];

/// Draws of persons behind an interval.
const N_DRAWS: usize = 1000;

/// Measures operating points on your own labelled faces: the similarity for each false-accept rate (FAR) that the sample
/// can show, and the share of genuine comparisons that pass (TAR), both with 95 % intervals over persons. Writes them to a file
/// that `likeness pack calibrate FILE` takes over. The faces are a folder with one sub-folder a person, or those of a face
/// set, by the person that owns them or their label. A photograph under the wrong name counts as a false accept or reject:
/// check the labels first.
#[derive(Debug, Args)]
#[command(after_help = "\
    A rate is stated where ten pairs of two people or more lie above its threshold; intervals are of 95 %, over persons. \
    A photograph under the wrong name counts as a false accept or reject: check the names first. \
    `likeness pack calibrate FILE` takes the points over.\n\n\
    Example: likeness calibrate persons/ -o gate.toml --roc roc.png --det det.png")]
pub(crate) struct CalibrateArgs {
    /// The folder: one sub-folder a person, named as you like, with that person's photographs
    #[arg(conflicts_with = "face_set")]
    folder: Option<PathBuf>,
    /// The faces of this face set instead
    #[arg(long = "set", value_name = "NAME")]
    face_set: Option<String>,
    /// Whose face set [default: LIKENESS_TENANT, else the only tenant]
    #[arg(long, value_name = "NAME", env = "LIKENESS_TENANT", hide_env = true)]
    tenant: Option<String>,
    /// Measure this pack [default: the configured one, or the face set's]
    #[arg(long, value_name = "ID", conflicts_with = "face_set")]
    pub(crate) pack: Option<String>,
    /// Which face of a photograph with several is meant: the central or the largest one
    #[arg(long, value_enum, hide_possible_values = true, default_value_t = MeantFace::Largest, value_name = "WHICH", conflicts_with = "face_set")]
    face: MeantFace,
    /// Leave out photographs that this quality gate refuses: none, low, medium or high
    #[arg(long, value_name = "LEVEL", default_value = "low", value_parser = gate, conflicts_with = "face_set")]
    gate: QualityGate,
    /// The file of operating points to write
    #[arg(short, long, value_name = "FILE", value_parser = clap::builder::TypedValueParser::try_map(clap::builder::PathBufValueParser::new(), super::terminal::written_file))]
    output: Option<PathBuf>,
    /// Replace the file if it exists
    #[arg(long)]
    force: bool,
    /// Draw the ROC (TAR over FAR); the name says the format: .png or .svg
    #[arg(long, value_name = "OUT.png", value_parser = plot::path)]
    roc: Option<PathBuf>,
    /// Draw the DET curve (false rejects over false accepts, both logarithmic); the name says the format: .png or .svg
    #[arg(long, value_name = "OUT.png", value_parser = plot::path)]
    det: Option<PathBuf>,
    /// Print one JSON object; shares are fractions
    #[arg(long)]
    json: bool,
}

#[derive(Serialize)]
struct Answer {
    pack: String,
    measured_on: String,
    persons: usize,
    faces: usize,
    left_out: usize,
    /// Of those: copies of another photograph of the same person.
    copies: usize,
    /// Photographs that stand under two names.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    under_two_names: Vec<(String, String)>,
    /// The most similar pairs of two names.
    most_similar: Vec<SimilarPair>,
    genuine_pairs: u64,
    impostor_pairs: u64,
    operating_points: Vec<dto::OperatingPoint>,
    #[serde(skip_serializing_if = "Option::is_none")]
    file: Option<String>,
}

/// Two photographs of different names.
#[derive(Serialize)]
struct SimilarPair {
    similarity: f32,
    first: String,
    second: String,
}

/// Runs the command.
pub(crate) async fn run(args: CalibrateArgs, config: &Config) -> Outcome {
    if let Some(file) = args.output.as_ref().filter(|file| file.exists() && !args.force) {
        return Err(refused(format!("{} exists already", file.display())).with_hint("`--force` replaces it"));
    }
    let (pack, mut faces, source) = match (&args.folder, &args.face_set) {
        (Some(folder), _) => {
            let (pack, faces) = all_pairs::of_folder(folder, args.face, args.gate, false, config).await?;
            (pack, faces, format!("folder {}", name_of(folder)))
        }
        (None, Some(face_set)) => {
            let (pack, faces) = of_face_set(face_set, args.tenant.as_deref(), config).await?;
            (pack, faces, format!("face set {face_set}"))
        }
        (None, None) => {
            let hint = "`likeness calibrate DIR` measures photographs, `likeness calibrate --set NAME` enrolled faces";
            return Err(refused("neither a folder nor a face set is given").with_hint(hint));
        }
    };
    let copies = faces.without_copies()?;
    say_copies(&copies);
    let known = faces.known();
    let counts = all_pairs::counts(&known).map_err(|error| match &args.face_set {
        // There are no folders in it.
        Some(_) => error.with_hint("each person has two faces or more with its name (`subject`) in the set"),
        None => error,
    })?;
    let calibration = calibration(&counts, &known, faces.n_persons)?;
    let measured_on = format!(
        "{source}, {} of {} people, {} impostor and {} genuine pairs",
        counted(known.len() as u64, "face"),
        faces.n_persons,
        counts.n_impostor(),
        counts.n_genuine()
    );
    let score = Score { calibration, measured_on };
    if let Some(file) = &args.output {
        write(file, &calibration_text(&pack, &score))?;
    }
    let (figures, measured) = drawn_points(&score.calibration);
    for (path, kind) in [(&args.roc, plot::Kind::Roc), (&args.det, plot::Kind::Det)] {
        let Some(path) = path else { continue };
        let drawn = all_pairs::draw(kind, &source, &pack, &counts, (&figures, &measured), path)?;
        std::fs::write(path, drawn).map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        terminal::message(format!("drawn to {}", path.display()));
    }
    let answer = Answer {
        pack: pack.to_string(),
        measured_on: score.measured_on.clone(),
        persons: faces.n_persons,
        faces: known.len(),
        left_out: faces.n_left_out,
        copies: copies.n_left_out,
        most_similar: copies
            .most_similar
            .into_iter()
            .map(|(similarity, first, second)| SimilarPair { similarity, first, second })
            .collect(),
        under_two_names: copies.under_two_names,
        genuine_pairs: counts.n_genuine(),
        impostor_pairs: counts.n_impostor(),
        operating_points: score.calibration.points().iter().map(point).collect(),
        file: args.output.as_ref().map(|file| file.display().to_string()),
    };
    if args.json {
        terminal::json(&answer)?;
    } else {
        print(&answer);
    }
    Ok(Verdict::Done)
}

/// Says which photographs are copies: of one person they are left out, of two they are false accepts in every table.
fn say_copies(copies: &all_pairs::Copies) {
    if copies.n_left_out > 0 {
        let named: Vec<_> = copies.left_out.iter().map(|(copy, of)| format!("{copy} of {of}")).collect();
        let more = if copies.n_left_out > named.len() { ", .." } else { "" };
        let photographs = counted(copies.n_left_out as u64, "photograph");
        terminal::message(format!(
            "left out {photographs} that copy another one of the person: {}{more}",
            named.join(", ")
        ));
    }
    for (first, second) in &copies.under_two_names {
        terminal::message(format!("one photograph stands under two names: {first} and {second}"));
    }
}

fn name_of(folder: &Path) -> String {
    let name = folder.canonicalize().ok().and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned()));
    name.unwrap_or_else(|| folder.display().to_string())
}

fn point(point: &OperatingPoint) -> dto::OperatingPoint {
    let interval = |ends: Option<Interval>| ends.map(|Interval { low, high }| dto::Interval { low, high });
    dto::OperatingPoint {
        far: point.far,
        similarity: point.similarity.get(),
        far_interval: interval(point.far_interval),
        tar: point.tar,
        tar_interval: interval(point.tar_interval),
    }
}

/// The faces of a set with their templates, by the person that owns them, else by their label. Those with neither are left
/// out.
async fn of_face_set(name: &str, tenant: Option<&str>, config: &Config) -> Result<(PackId, KnownFaces), Error> {
    let connection = Connection::open(config, tenant, Needs::StoreOnly).await?;
    let face_set: dto::FaceSet = connection.call(Method::GET, &["face-sets", name], &[], Payload::Empty).await?;
    let pack = PackId::new(&face_set.pack).ok_or_else(|| failed("the face set's model pack has no valid name"))?;
    let limit = limits::ARCHIVE_FACES_MAX.to_string();
    let (mut labelled, mut n_left_out, mut from) = (Vec::new(), 0, Some(0));
    while let Some(place) = from {
        let place = place.to_string();
        let query = [("from", place.as_str()), ("limit", limit.as_str())];
        let path = ["face-sets", name, "archive"];
        let page: dto::ArchivePage = connection.call(Method::GET, &path, &query, Payload::Empty).await?;
        for face in page.faces {
            let owner = face.person.map(|person| format!("person {}", person.key));
            match owner.or(face.subject.map(|subject| format!("subject {subject}"))) {
                Some(label) => {
                    let name = format!("face {} of {label}", face.id.unwrap_or_default());
                    labelled.push((label, name, template(&pack, &face.template)?));
                }
                None => n_left_out += 1,
            }
        }
        n_left_out += page.n_damaged as usize;
        from = page.next;
    }
    labelled.sort_by(|a, b| a.0.cmp(&b.0));
    let (mut faces, mut names, mut last) = (Vec::with_capacity(labelled.len()), Vec::new(), None);
    let mut n_persons = 0;
    for (label, name, template) in labelled {
        if last.as_ref() != Some(&label) {
            n_persons += 1;
            last = Some(label);
        }
        faces.push((n_persons - 1, template));
        names.push(name);
    }
    Ok((pack, KnownFaces { faces, names, n_persons, n_left_out }))
}

/// The template in an archive's words.
fn template(pack: &PackId, text: &str) -> Result<Template, Error> {
    let unreadable = |_| failed("the library gave a template that cannot be read");
    let bytes = STANDARD.decode(text).map_err(unreadable)?;
    let (numbers, _) = bytes.as_chunks::<4>();
    let numbers: Vec<f32> = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
    Template::new(pack.clone(), &numbers).map_err(|_| failed("the library gave a template that cannot be read"))
}

/// The operating points that the sample can show.
fn calibration(counts: &PairCounts, known: &[Known<'_>], n_persons: usize) -> Result<Calibration, Error> {
    let mut n_photos = vec![0_u64; n_persons];
    known.iter().for_each(|face| n_photos[face.person_idx] += 1);
    // Several rates may have one similarity where few pairs differ: the first of them stands.
    let mut shown: Vec<(f64, RateAt)> = Vec::new();
    for (far, at) in FARS.into_iter().map_while(|far| Some((far, counts.at_far(far)?))) {
        if shown.last().is_none_or(|(_, last)| (last.cosine as f32) < at.cosine as f32) {
            shown.push((far, at));
        }
    }
    let cosines: Vec<f64> = shown.iter().map(|(_, at)| at.cosine).collect();
    let genuine = all_pairs::genuine_accepted(known, &cosines)?;
    let mut points: Vec<OperatingPoint> = Vec::with_capacity(shown.len());
    for ((far, at), groups) in shown.into_iter().zip(genuine) {
        let accepted = all_pairs::accepted_between(known, at.cosine)?;
        let (of_far, of_tar) = points.last().map(|last| (last.far_interval, last.tar_interval)).unwrap_or_default();
        let found = far_interval_by_person(&n_photos, &accepted, N_DRAWS);
        points.push(OperatingPoint {
            far,
            similarity: Similarity::new(at.cosine as f32),
            far_interval: Some(holding(found, far, of_far)),
            tar: Some(at.tar),
            tar_interval: Some(holding(interval_by_person(&groups, N_DRAWS), at.tar, of_tar)),
        });
    }
    let n_points = points.len();
    Calibration::new(points).ok_or_else(|| {
        let message = format!(
            "{} of two people and {} of one show {n_points} false-accept rates, expected at least 2",
            counted(counts.n_impostor(), "pair"),
            counts.n_genuine()
        );
        let hint = format!(
            "a rate needs {IMPOSTORS_ABOVE_MIN} pairs of two people above its threshold: 23 persons of two photographs \
             show 1e-2, 72 show 1e-3, 225 show 1e-4, 710 show 1e-5"
        );
        refused(message).with_hint(hint)
    })
}

/// The interval of a rate, which holds the rate itself and does not rise above that of the point before.
fn holding(Interval { low, high }: Interval, rate: f64, before: Option<Interval>) -> Interval {
    let Interval { low: least, high: most } = before.unwrap_or(Interval { low: 1.0, high: 1.0 });
    Interval { low: low.min(rate).min(least), high: high.max(rate).min(most) }
}

/// What a picture shows: a line for each whole power of ten, and all points with their intervals.
fn drawn_points(calibration: &Calibration) -> (Vec<String>, Vec<plot::Measured>) {
    let measured = calibration.points().iter().filter_map(|point| {
        let ends = |Interval { low, high }: Interval| (low, high);
        let (far_interval, tar_interval) = (ends(point.far_interval?), ends(point.tar_interval?));
        Some(plot::Measured { far: point.far, tar: point.tar?, far_interval, tar_interval })
    });
    let measured: Vec<_> = measured.collect();
    let whole = measured.iter().filter(|point| (point.far.log10() - point.far.log10().round()).abs() < 1e-9);
    (whole.map(|point| all_pairs::figure(point.far, point.tar, point.tar_interval)).collect(), measured)
}

fn write(file: &Path, text: &str) -> Result<(), Error> {
    std::fs::write(file, text).map_err(|error| failed(format!("cannot write {}: {error}", file.display())))
}

fn print(answer: &Answer) {
    let columns = ["FAR", "95 % interval", "cosine", "TAR", "95 % interval"].map(|name| (name, Align::Right));
    let row = |point: &dto::OperatingPoint| {
        let between = point.far_interval.map(|ends| format!("{} to {}", significant(ends.low), significant(ends.high)));
        let tar = point.tar.map_or_else(|| "-".to_owned(), percent);
        let tar_between = point.tar_interval.map(|ends| percents(ends.low, ends.high));
        let cosine = format!("{:.4}", point.similarity);
        vec![rate(point.far), between.unwrap_or_default(), cosine, tar, tar_between.unwrap_or_default()]
    };
    let rows: Vec<_> = answer.operating_points.iter().map(row).collect();
    table::lines(&columns, &rows).iter().for_each(terminal::data);
    terminal::data(format!("pack {}, measured on {}", answer.pack, answer.measured_on));
    if answer.left_out > 0 {
        let faces = counted(answer.left_out as u64, "face");
        terminal::data(format!("{faces} left out: no usable face, refused by the gate, a copy, or without a label"));
    }
    if let Some(SimilarPair { similarity, first, second }) = answer.most_similar.first() {
        terminal::data(format!("the most similar of two names: {first} and {second}, cosine {similarity:.4}"));
        terminal::data(
            "  (`--json` has the five most similar; a person under two names is a false accept in every row)",
        );
    }
    terminal::data("interval: the wider of Wilson's (pairs independent) and a bootstrap over persons (they are not)");
    if let Some(least) = answer.operating_points.last() {
        terminal::data(format!(
            "rates below {} are not stated: fewer than {IMPOSTORS_ABOVE_MIN} pairs of two people would lie above",
            rate(least.far)
        ));
    }
    match &answer.file {
        Some(file) => {
            let least = answer.operating_points.last().map(|point| point.far).filter(|least| *least > FAR_USUAL);
            let default = least.map(|least| format!(" --default-far {}", rate(least))).unwrap_or_default();
            terminal::message(format!("written to {file}; `likeness pack calibrate {file}{default}` takes it over"));
            if let Some(least) = least {
                terminal::message(format!(
                    "  where no rate is said {} would then hold, since {} is not shown: {:.0} times as many strangers pass",
                    rate(least),
                    rate(FAR_USUAL),
                    least / FAR_USUAL
                ));
            }
        }
        None => terminal::message(
            "`-o FILE` writes these operating points to a file, which `likeness pack calibrate` takes over",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Templates at angles on a circle: the cosine of two is that of the angle between them.
    fn faces(n_persons: usize, of_each: usize) -> KnownFaces {
        let pack = PackId::new("test-1").expect("an id");
        let face = |idx: usize| {
            // Spread over the circle by the golden ratio, a person's faces within a fiftieth of it.
            let angle =
                ((idx / of_each) as f64 * 0.618_034).fract() * std::f64::consts::TAU + (idx % of_each) as f64 * 0.01;
            let numbers = [angle.cos() as f32, angle.sin() as f32];
            (idx / of_each, Template::new(pack.clone(), &numbers).expect("a template"))
        };
        KnownFaces { faces: (0..n_persons * of_each).map(face).collect(), names: Vec::new(), n_persons, n_left_out: 0 }
    }

    #[test]
    fn points_are_made_as_far_down_as_the_sample_shows() {
        let faces = faces(60, 2);
        let known = faces.known();
        let counts = all_pairs::counts(&known).expect("comparable");
        let found = calibration(&counts, &known, 60).expect("enough pairs");
        let fars: Vec<_> = found.points().iter().map(|point| point.far).collect();
        // 7,080 pairs of two people: 1e-2 has 70 above it, 1e-3 seven.
        assert_eq!(fars.first().zip(fars.last()), Some((&1e-1, &3e-3)), "{fars:?}");
        for point in found.points() {
            let interval = point.far_interval.expect("measured");
            assert!(interval.low <= point.far && point.far <= interval.high, "{point:?}");
            let (tar, interval) = (point.tar.expect("measured"), point.tar_interval.expect("measured"));
            assert!(interval.low <= tar && tar <= interval.high && interval.low < 1.0, "{point:?}");
        }
    }

    /// Faces of which some are unlike the other one of their person.
    fn unlike_faces(n_persons: usize) -> KnownFaces {
        let pack = PackId::new("test-1").expect("an id");
        let face = |idx: usize| {
            let person = idx / 2;
            let angle =
                (person as f64 * 0.618_034).fract() * std::f64::consts::TAU + (idx % 2) as f64 * 0.02 * person as f64;
            let numbers = [angle.cos() as f32, angle.sin() as f32];
            (person, Template::new(pack.clone(), &numbers).expect("a template"))
        };
        KnownFaces { faces: (0..n_persons * 2).map(face).collect(), names: Vec::new(), n_persons, n_left_out: 0 }
    }

    /// The interval of Clopper and Pearson (1934): shares at which so few, or so many, have a chance of 2.5 %.
    fn exact(n_successes: u64, n: u64) -> Interval {
        let mut log_factorials = vec![0.0; n as usize + 1];
        for k in 1..log_factorials.len() {
            log_factorials[k] = log_factorials[k - 1] + (k as f64).ln();
        }
        let log_factorial = |n: u64| log_factorials[n as usize];
        let chance = |k: u64, share: f64| {
            let ways = log_factorial(n) - log_factorial(k) - log_factorial(n - k);
            (ways + k as f64 * share.ln() + (n - k) as f64 * (1.0 - share).ln()).exp()
        };
        let solve = |is_above: &dyn Fn(f64) -> bool| {
            let (mut low, mut high) = (0.0, 1.0);
            for _ in 0..60 {
                let middle = (low + high) / 2.0;
                if is_above(middle) { high = middle } else { low = middle }
            }
            low
        };
        let at_least = |share: f64| 1.0 - (0..n_successes).map(|k| chance(k, share)).sum::<f64>();
        let at_most = |share: f64| (0..=n_successes).map(|k| chance(k, share)).sum::<f64>();
        Interval { low: solve(&|share| at_least(share) > 0.025), high: solve(&|share| at_most(share) < 0.025) }
    }

    /// The percentiles of both rates over persons drawn with replacement, every pair compared anew: slow and plain.
    fn plain_bootstrap(faces: &KnownFaces, cosine: f64) -> (Interval, Interval) {
        let n_faces = faces.faces.len();
        let cosine_of = |a: usize, b: usize| faces.faces[a].1.similarity(&faces.faces[b].1).expect("one pack").get();
        let accepted: Vec<bool> =
            (0..n_faces * n_faces).map(|at| f64::from(cosine_of(at / n_faces, at % n_faces)) >= cosine).collect();
        let is_accepted = |a: usize, b: usize| accepted[a * n_faces + b];
        let mut state = 7_u64;
        let mut below = |n: usize| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            (state >> 33) as usize % n
        };
        let (mut fars, mut tars) = (Vec::new(), Vec::new());
        for _ in 0..600 {
            let drawn: Vec<usize> = (0..faces.n_persons).map(|_| below(faces.n_persons)).collect();
            let (mut n_false, mut n_strange, mut n_true) = (0, 0, 0);
            for (idx, &a) in drawn.iter().enumerate() {
                n_true += usize::from(is_accepted(2 * a, 2 * a + 1));
                for &b in drawn[idx + 1..].iter().filter(|&&b| b != a) {
                    for (of_a, of_b) in [(0, 0), (0, 1), (1, 0), (1, 1)] {
                        n_strange += 1;
                        n_false += usize::from(is_accepted(2 * a + of_a, 2 * b + of_b));
                    }
                }
            }
            fars.push(n_false as f64 / n_strange as f64);
            tars.push(n_true as f64 / drawn.len() as f64);
        }
        let percentiles = |mut rates: Vec<f64>| {
            rates.sort_by(f64::total_cmp);
            Interval { low: rates[15], high: rates[584] }
        };
        (percentiles(fars), percentiles(tars))
    }

    #[test]
    fn intervals_are_those_of_a_plain_bootstrap_or_exact_ones_where_these_are_wider() {
        let faces = unlike_faces(50);
        let known = faces.known();
        let counts = all_pairs::counts(&known).expect("comparable");
        let found = calibration(&counts, &known, 50).expect("enough pairs");
        let check = |of: &str, found: Interval, drawn: Interval, exact: Interval| {
            let (low, high) = (drawn.low.min(exact.low), drawn.high.max(exact.high));
            let least = 0.12 * (high - low);
            assert!(
                (found.low - low).abs() < least && (found.high - high).abs() < least,
                "{of}: {found:?} {drawn:?} {exact:?}"
            );
        };
        assert!(found.points().len() >= 3, "{found:?}");
        for point in found.points() {
            let cosine = counts.at_far(point.far).expect("shown").cosine;
            let (of_far, of_tar) = plain_bootstrap(&faces, cosine);
            let n_false = counts.at_far(point.far).expect("shown").n_impostors;
            let (n_true, n_genuine) = ((point.tar.expect("measured") * 50.0).round() as u64, 50);
            check("FAR", point.far_interval.expect("made"), of_far, exact(n_false, counts.n_impostor()));
            check("TAR", point.tar_interval.expect("made"), of_tar, exact(n_true, n_genuine));
        }
    }

    /// A file against its own copy had been counted as two photographs of somebody that are alike. Issue 15.
    #[test]
    fn copies_of_a_photograph_are_left_out_and_what_is_under_two_names_is_named() {
        let mut faces = faces(30, 2);
        // The first of each person is there a second time, and the very first under another name as well.
        for person in (0..30).rev() {
            let (own, template) = (2 * person, faces.faces[2 * person].1.clone());
            faces.faces.insert(own + 1, (person, template));
        }
        let first = faces.faces[0].1.clone();
        faces.faces.push((29, first));
        faces.names = (0..91).map(|idx| format!("p{}/{idx}", faces.faces[idx].0)).collect();
        let copies = faces.without_copies().expect("comparable");
        assert_eq!((copies.n_left_out, faces.faces.len(), faces.names.len(), faces.n_left_out), (30, 61, 61, 30));
        assert_eq!(copies.left_out[0], ("p0/1".to_owned(), "p0/0".to_owned()));
        assert!(
            copies.under_two_names.contains(&("p0/0".to_owned(), "p29/90".to_owned())),
            "{:?}",
            copies.under_two_names
        );
        assert_eq!(copies.most_similar.len(), 5);
        assert!(copies.most_similar.is_sorted_by(|a, b| a.0 >= b.0));
        assert_eq!(faces.without_copies().expect("comparable").n_left_out, 0);
    }

    #[test]
    fn a_sample_that_shows_nothing_is_refused_with_what_is_needed() {
        let faces = faces(4, 2);
        let known = faces.known();
        let counts = all_pairs::counts(&known).expect("comparable");
        let error = calibration(&counts, &known, 4).expect_err("24 pairs");
        assert!(error.message().contains("expected at least 2"), "{}", error.message());
        assert!(error.hint().is_some_and(|hint| hint.contains("23 persons")));
    }
}
