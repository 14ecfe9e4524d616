//! `likeness thresholds`: what each threshold means, in one table.

use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_domain::score::{Calibration, Interval, OperatingPoint};
use likeness_domain::types::{PackId, Similarity};
use likeness_vision::pack::{self, Home, Score};
use likeness_wire::ADAPTERS;
use likeness_wire::native::dto;
use serde::Serialize;

use super::connection::{Connection, Needs, Payload};
use super::rates::{percent, percents, rate, shown_rate, sign, significant};
use super::table::{self, Align, counted};
use super::terminal;
use crate::cli::library_args::LibraryArgs;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, refused};

/// Shows what each threshold means: similarity (cosine), false-accept rate (FAR) per comparison, how many strangers it is
/// expected to find in a face set, true-accept rate (TAR), and the number that each dialect prints for it.
#[derive(Debug, Args)]
#[command(after_help = "\
    FAR is the false-accept rate of one comparison, TAR the true-accept rate; a search compares with every face of the set, \
    so that FAR times faces is the number of strangers it is expected to find.\n\n\
    Example: likeness thresholds --set staff --false-matches 0.01")]
pub(crate) struct ThresholdsArgs {
    /// For this face set: its model pack, and as many comparisons as it has faces
    #[arg(long = "set", value_name = "NAME")]
    face_set: Option<String>,
    /// For a gallery of so many faces
    #[arg(long, value_name = "N", conflicts_with = "face_set", value_parser = clap::value_parser!(u64).range(1..))]
    faces: Option<u64>,
    /// Also the threshold at which so many strangers are expected to be found
    #[arg(long, value_name = "X", value_parser = super::numbers::finite::<f64>)]
    false_matches: Option<f64>,
    /// Also the threshold of this false-accept rate
    #[arg(long, value_name = "RATE", value_parser = super::numbers::finite::<f64>)]
    far: Option<f64>,
    #[command(flatten)]
    library: LibraryArgs,
}

#[derive(Serialize)]
struct Answer {
    pack: String,
    measured_on: String,
    /// The rate of a verdict for which nobody says which.
    #[serde(skip_serializing_if = "Option::is_none")]
    default_far: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    face_set: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    n_faces: Option<u64>,
    thresholds: Vec<Row>,
}

#[derive(Serialize)]
struct Row {
    far: f64,
    /// `at_most` where the rate itself was not measured and is lower.
    #[serde(skip_serializing_if = "is_measured")]
    far_bound: dto::Bound,
    #[serde(skip_serializing_if = "Option::is_none")]
    far_interval: Option<dto::Interval>,
    similarity: f32,
    #[serde(skip_serializing_if = "Option::is_none")]
    false_matches: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    false_matches_interval: Option<dto::Interval>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tar: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tar_interval: Option<dto::Interval>,
    /// Numbers by dialect.
    numbers: serde_json::Map<String, serde_json::Value>,
}

fn is_measured(bound: &dto::Bound) -> bool {
    *bound == dto::Bound::Measured
}

/// Runs the command.
pub(crate) async fn run(args: ThresholdsArgs, config: &Config) -> Outcome {
    let (pack_id, n_faces, decides) = match &args.face_set {
        Some(name) => {
            let connection = Connection::open(config, args.library.tenant(), Needs::StoreOnly).await?;
            let found: dto::FaceSet = connection.call(Method::GET, &["face-sets", name], &[], Payload::Empty).await?;
            let id = PackId::new(&found.pack).ok_or_else(|| refused("the face set's model pack has no valid name"))?;
            let packs: dto::Packs = connection.call(Method::GET, &["packs"], &[], Payload::Empty).await?;
            let decides = packs.packs.iter().find(|pack| pack.id == found.pack).and_then(calibration_of);
            (id, Some(found.n_faces), decides)
        }
        None => (config.general.pack.clone(), args.faces, None),
    };
    let mut score = score_of(config, &pack_id)?;
    // A server decides by the points that it was started with.
    if let Some(decides) = decides.filter(|decides| !are_same(decides, &score.calibration)) {
        terminal::message(
            "the running server has other operating points than are installed now: these are the server's, until it is \
             started again",
        );
        score.calibration = decides;
        score.measured_on = "photographs that the running server's operating points name".to_owned();
    }
    let similarities = similarities(&score.calibration, &args, n_faces)?;
    let answer = Answer {
        pack: pack_id.to_string(),
        measured_on: score.measured_on.clone(),
        default_far: score.calibration.far_default(),
        face_set: args.face_set.clone(),
        n_faces,
        thresholds: similarities.into_iter().map(|similarity| row(&score.calibration, similarity, n_faces)).collect(),
    };
    if args.library.json {
        terminal::json(&answer)?;
    } else {
        print(&answer, &score.calibration);
    }
    Ok(Verdict::Done)
}

/// The operating points of a pack as a server tells them.
pub(super) fn calibration_of(pack: &dto::Pack) -> Option<Calibration> {
    let ends = |ends: dto::Interval| Interval { low: ends.low, high: ends.high };
    let points = pack.operating_points.iter().map(|point| OperatingPoint {
        far: point.far,
        similarity: Similarity::new(point.similarity),
        far_interval: point.far_interval.map(ends),
        tar: point.tar,
        tar_interval: point.tar_interval.map(ends),
    });
    let calibration = Calibration::new(points.collect())?;
    match pack.default_far {
        Some(far) => calibration.with_far_default(far),
        None => Some(calibration),
    }
}

/// Whether both state the same rates, and the same one where nobody says which.
pub(super) fn are_same(a: &Calibration, b: &Calibration) -> bool {
    let stated = |calibration: &Calibration| -> Vec<(f64, f32)> {
        calibration.points().iter().map(|point| (point.far, point.similarity.get())).collect()
    };
    stated(a) == stated(b) && a.far_default() == b.far_default()
}

/// What an installed pack says of its similarities; no model is read.
fn score_of(config: &Config, id: &PackId) -> Result<Score, Error> {
    let pack = pack::open(&Home::at(config.home()?), id)?;
    let score = pack.manifest().recognition().map(|recognition| recognition.score.clone());
    score.ok_or_else(|| refused(format!("model pack `{id}` recognises no faces, so it has no thresholds")))
}

/// The similarities of the table, rising: the measured points, those at which numbers of dialects for rates below them stand
/// where the pack has points for these, and what was asked for besides.
fn similarities(
    calibration: &Calibration,
    args: &ThresholdsArgs,
    n_faces: Option<u64>,
) -> Result<Vec<Similarity>, Error> {
    let (least, most) = calibration.far_range();
    let mut found: Vec<Similarity> = calibration.points().iter().map(|point| point.similarity).collect();
    found.extend(calibration.fars_beyond().map(|far| calibration.similarity_at(far)));
    if let Some(far) = args.far {
        if !(least..=most).contains(&far) {
            // As it was written: rounded it might lie within.
            let shown = if (1e-3..1e6).contains(&far) { far.to_string() } else { format!("{far:e}") };
            let message = format!("`--far` is {shown}, expected {least:e} to {most:e}, which is what was measured");
            let hint = match far == 1.0 {
                true => "1 is no threshold: everybody passes, which a search with `--far 1` asks for",
                false => "`likeness calibrate` measures more photographs",
            };
            return Err(refused(message).with_hint(hint));
        }
        found.push(calibration.similarity_at(far));
    }
    if let Some(expected) = args.false_matches {
        let Some(n_faces) = n_faces else {
            return Err(refused("`--false-matches` needs a gallery").with_hint("add `--set NAME` or `--faces N`"));
        };
        let far = expected / n_faces.max(1) as f64;
        if !(least * (1.0 - 1e-9)..=most * (1.0 + 1e-9)).contains(&far) {
            let of_all = |far: f64| significant(far * n_faces.max(1) as f64);
            let message = format!(
                "`--false-matches` is {expected}, expected {} to {} among {}",
                of_all(least),
                of_all(most),
                counted(n_faces, "face")
            );
            let (least, most) = (rate(least), rate(most));
            let hint = format!("the model pack was measured from a false-accept rate of {least} to {most}");
            return Err(refused(message).with_hint(hint));
        }
        found.push(calibration.similarity_at(far.clamp(least, most)));
    }
    found.sort_by(|a, b| a.get().total_cmp(&b.get()));
    found.dedup();
    Ok(found)
}

fn row(calibration: &Calibration, similarity: Similarity, n_faces: Option<u64>) -> Row {
    let found = calibration.false_accept_rate(similarity);
    let matches = n_faces.map(|n_faces| found.false_matches(n_faces));
    let numbers = ADAPTERS.iter().map(|adapter| {
        let number = (adapter.scale)(calibration).to_number(similarity);
        // Nobody types more digits into a configuration.
        (adapter.name.to_owned(), ((number * 1000.0).round() / 1000.0).into())
    });
    Row {
        far: found.rate,
        far_bound: found.bound.into(),
        far_interval: found.interval.map(interval),
        similarity: similarity.get(),
        false_matches: matches.map(|matches| matches.expected),
        false_matches_interval: matches.and_then(|matches| matches.interval).map(interval),
        tar: calibration.tar_at(similarity),
        tar_interval: calibration.tar_interval_at(similarity).map(interval),
        numbers: numbers.collect(),
    }
}

fn interval(interval: Interval) -> dto::Interval {
    dto::Interval { low: interval.low, high: interval.high }
}

fn print(answer: &Answer, calibration: &Calibration) {
    let mut columns = vec![("cosine", Align::Right), ("FAR", Align::Right)];
    let shown = Shown {
        gallery: answer.n_faces.is_some(),
        far_intervals: answer.thresholds.iter().any(|row| row.far_interval.is_some()),
        tar_intervals: answer.thresholds.iter().any(|row| row.tar_interval.is_some()),
    };
    if shown.far_intervals {
        columns.push(("95 % interval", Align::Right));
    }
    if shown.gallery {
        columns.push(("false matches", Align::Right));
        if shown.far_intervals {
            columns.push(("95 % interval", Align::Right));
        }
    }
    columns.push(("TAR", Align::Right));
    if shown.tar_intervals {
        columns.push(("95 % interval", Align::Right));
    }
    columns.extend(ADAPTERS.iter().map(|adapter| (adapter.name, Align::Right)));
    let rows: Vec<_> = answer.thresholds.iter().map(|row| cells(row, &shown)).collect();
    table::lines(&columns, &rows).iter().for_each(terminal::data);
    terminal::data(format_args!("pack {}, measured on: {}", answer.pack, answer.measured_on));
    let (least, most) = calibration.far_range();
    terminal::data(format_args!(
        "FAR: share of comparisons of two strangers that pass, measured from {} to {} and not known beyond",
        rate(most),
        rate(least)
    ));
    if answer.thresholds.iter().any(|row| row.far_bound == dto::Bound::AtMost) {
        terminal::data(
            "<: not measured; the numbers of dialects stand there by the pack's own points or the line of the last two",
        );
    }
    terminal::data(super::pack::default_text(answer.default_far));
    match answer.n_faces {
        Some(n_faces) => terminal::data(format_args!(
            "false matches: strangers expected to be found in one search among {}, FAR times faces",
            counted(n_faces, "face")
        )),
        None => terminal::data("a search compares with every face: `--set NAME` or `--faces N` shows what that means"),
    }
}

/// Which columns there are besides those of every table.
struct Shown {
    gallery: bool,
    far_intervals: bool,
    tar_intervals: bool,
}

fn cells(row: &Row, shown: &Shown) -> Vec<String> {
    let between = |ends: Option<dto::Interval>| {
        ends.map_or_else(|| "-".to_owned(), |ends| format!("{} to {}", significant(ends.low), significant(ends.high)))
    };
    let found = dto::FalseAcceptRate { far: row.far, far_interval: None, far_bound: row.far_bound };
    let mut cells = vec![format!("{:.4}", row.similarity), shown_rate(&found)];
    if shown.far_intervals {
        cells.push(between(row.far_interval));
    }
    if shown.gallery {
        cells.push(
            row.false_matches
                .map_or_else(|| "-".to_owned(), |matches| format!("{}{}", sign(row.far_bound), significant(matches))),
        );
        if shown.far_intervals {
            cells.push(between(row.false_matches_interval));
        }
    }
    cells.push(row.tar.map_or_else(|| "-".to_owned(), percent));
    if shown.tar_intervals {
        cells.push(row.tar_interval.map_or_else(|| "-".to_owned(), |ends| percents(ends.low, ends.high)));
    }
    // By name: a JSON object has no order of its own.
    let number = |dialect: &str| row.numbers.get(dialect).map_or_else(|| "-".to_owned(), ToString::to_string);
    cells.extend(ADAPTERS.iter().map(|adapter| number(adapter.name)));
    cells
}

#[cfg(test)]
mod tests {
    use likeness_domain::score::OperatingPoint;

    use super::*;

    #[test]
    fn every_number_stands_in_the_column_of_its_dialect() {
        let points = [(1e-1, 0.2), (1e-2, 0.3), (1e-3, 0.36), (1e-4, 0.42), (1e-5, 0.47), (1e-6, 0.52)];
        let points = points.map(|(far, cosine)| OperatingPoint::new(far, Similarity::new(cosine)));
        let calibration = Calibration::new(points.to_vec()).expect("rising");
        let row = row(&calibration, Similarity::new(0.42), Some(2000));
        let shown = Shown { gallery: true, far_intervals: false, tar_intervals: false };
        let cells = cells(&row, &shown);
        assert_eq!(cells[..3], ["0.4200", "1e-4", "0.2"]);
        let of = |dialect: &str| ADAPTERS.iter().position(|adapter| adapter.name == dialect).expect("known");
        let numbers: Vec<_> =
            ["huawei", "aliyun", "yuanli", "facepp"].map(|name| cells[4 + of(name)].as_str()).to_vec();
        assert_eq!(numbers, ["0.93", "80.0", "80.0", "69.101"]);
    }
}
