//! `likeness eval all-pairs`: every photograph of a folder of persons against every other.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use clap::Args;
use likeness_domain::Error;
use likeness_domain::score::verification::{
    AcceptedBetween, IMPOSTORS_ABOVE_MIN, Interval, PairCounts, far_interval_by_person, interval_by_person,
};
use likeness_domain::types::{PackId, QualityGate, Similarity, Template};
use serde::Serialize;

use super::super::rates::{percent, percents, significant};
use super::super::table::{self, Align, counted};
use super::super::{photo, terminal};
use super::{Looked, MeantFace, Wanted, embed_all, gate};
use crate::assemble;
use crate::config::Config;
use crate::eval::{metrics, plot};
use crate::outcome::{Outcome, Verdict, failed, refused};

/// False-accept rates of the table.
const FARS: [f64; 6] = [1e-1, 1e-2, 1e-3, 1e-4, 1e-5, 1e-6];

/// Draws of persons behind an interval.
const N_DRAWS: usize = 1000;

/// People below which no rate is stated: all comparisons of two are one pair of people, and a bootstrap over so few has
/// nothing to vary. With four, 38 of 38 intervals held.
const PERSONS_MIN: usize = 4;

/// Two photographs are taken for copies of one where they are at least so similar: of one person on one day few are above
/// 0.95.
const COPY_COSINE: f32 = 0.999_99;

/// Pairs that are named.
const NAMED_MAX: usize = 5;

/// Photographs whose templates are compared with each other while they are in the processor's cache.
const BLOCK: usize = 128;

/// Embeds one face of every photograph below a folder with one sub-folder a person, compares all with all and prints the
/// true-accept rate (TAR) at false-accept rates (FAR) from 1e-1 to 1e-6. Photographs without a usable face are left out
/// of the pairs and counted.
#[derive(Debug, Args)]
pub(crate) struct AllPairsArgs {
    /// The folder: one sub-folder a person, named as you like, with that person's photographs
    folder: PathBuf,
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
    roc: Option<PathBuf>,
    /// Name the photographs that were left out
    #[arg(long)]
    names: bool,
    /// Print one JSON object; shares are fractions
    #[arg(long)]
    json: bool,
}

/// Photographs with the number of their person.
struct Folder {
    images: Vec<String>,
    person_idx: Vec<usize>,
    n_persons: usize,
}

/// A template and whose it is.
pub(in crate::cli) struct Known<'a> {
    pub(in crate::cli) person_idx: usize,
    template: &'a Template,
}

/// Templates with the numbers of their persons, those of one person together.
pub(in crate::cli) struct KnownFaces {
    pub(in crate::cli) faces: Vec<(usize, Template)>,
    /// What each is called: a photograph's path, or a face's id with its label.
    pub(in crate::cli) names: Vec<String>,
    pub(in crate::cli) n_persons: usize,
    /// Faces or photographs of no use.
    pub(in crate::cli) n_left_out: usize,
}

/// What was found by looking at all pairs of different names, and what was left out.
#[derive(Default)]
pub(in crate::cli) struct Copies {
    /// Photographs that are copies of an earlier one of the same person, left out.
    pub(in crate::cli) n_left_out: usize,
    /// The first of them, with what they are copies of.
    pub(in crate::cli) left_out: Vec<(String, String)>,
    /// Photographs that stand under two names.
    pub(in crate::cli) under_two_names: Vec<(String, String)>,
    /// The most similar pairs of two names, the most similar first.
    pub(in crate::cli) most_similar: Vec<(f32, String, String)>,
}

impl KnownFaces {
    /// Leaves out copies of one photograph of a person: a file against its own copy says nothing of how alike two photographs
    /// of somebody are. What stands under two names stays, since nobody knows which one is right, and is named.
    pub(in crate::cli) fn without_copies(&mut self) -> Result<Copies, Error> {
        let mut found = Copies::default();
        let mut copy_of: HashMap<usize, usize> = HashMap::new();
        let mut similar: Vec<(f32, usize, usize)> = Vec::new();
        let known = self.known();
        for_each_pair_idx(&known, |(a_idx, b_idx), (a, b), similarity| {
            let cosine = similarity.get();
            if a.person_idx == b.person_idx {
                if cosine >= COPY_COSINE {
                    copy_of.entry(b_idx).and_modify(|first| *first = a_idx.min(*first)).or_insert(a_idx);
                }
            } else if similar.len() < NAMED_MAX || similar.last().is_some_and(|(least, ..)| cosine > *least) {
                let place = similar.partition_point(|(other, ..)| *other >= cosine);
                similar.insert(place, (cosine, a_idx, b_idx));
                similar.truncate(NAMED_MAX);
            }
        })?;
        let name = |idx: usize| self.names.get(idx).cloned().unwrap_or_default();
        let pair = |&(cosine, a, b): &(f32, usize, usize)| (cosine, name(a), name(b));
        found.most_similar = similar.iter().map(pair).collect();
        let is_copy = |(cosine, ..): &&(f32, String, String)| *cosine >= COPY_COSINE;
        let two = |(_, a, b): &(f32, String, String)| (a.clone(), b.clone());
        found.under_two_names = found.most_similar.iter().filter(is_copy).map(two).collect();
        let mut copies: Vec<_> = copy_of.iter().map(|(&copy, &first)| (copy, first)).collect();
        copies.sort_unstable();
        found.n_left_out = copies.len();
        found.left_out = copies.iter().take(NAMED_MAX).map(|&(copy, first)| (name(copy), name(first))).collect();
        let mut idx = 0..self.faces.len();
        self.faces.retain(|_| idx.next().is_none_or(|idx| !copy_of.contains_key(&idx)));
        let mut idx = 0..self.names.len();
        self.names.retain(|_| idx.next().is_none_or(|idx| !copy_of.contains_key(&idx)));
        self.n_left_out += found.n_left_out;
        Ok(found)
    }

    /// To be compared.
    pub(in crate::cli) fn known(&self) -> Vec<Known<'_>> {
        self.faces.iter().map(|(person_idx, template)| Known { person_idx: *person_idx, template }).collect()
    }
}

#[derive(Serialize)]
struct Answer {
    pack: String,
    persons: usize,
    photographs: usize,
    no_face: usize,
    refused: usize,
    genuine_pairs: u64,
    impostor_pairs: u64,
    rates: Vec<Rate>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    left_out: Vec<String>,
}

/// A line of the table; what the sample cannot show is absent.
#[derive(Serialize)]
struct Rate {
    far: f64,
    #[serde(flatten)]
    shown: Option<Shown>,
}

#[derive(Serialize)]
struct Shown {
    cosine: f64,
    impostor_pairs_above: u64,
    far_low: f64,
    far_high: f64,
    tar: f64,
    tar_low: f64,
    tar_high: f64,
}

/// Runs the command.
pub(crate) async fn run(args: AllPairsArgs, config: &Config) -> Outcome {
    let folder = list(&args.folder)?;
    let analyzer = assemble::analyzer(config).await?;
    let pack = analyzer.packs()[0].id.clone();
    let wanted = Wanted { images: &args.folder, face: args.face, gate: args.gate, names_no_face: args.names };
    let looked = embed_all(&analyzer, &pack, &folder.images, &wanted, config.general.workers).await?;
    let known: Vec<Known<'_>> = looked
        .iter()
        .zip(&folder.person_idx)
        .filter_map(|(looked, &person_idx)| match looked {
            Looked::Face(template) => Some(Known { person_idx, template }),
            Looked::NoFace | Looked::Refused => None,
        })
        .collect();
    let counts = counts(&known)?;
    let rates = rates(&counts, &known, folder.n_persons)?;
    if let Some(path) = &args.roc {
        let shown = || rates.iter().filter_map(|rate| Some((rate.far, rate.shown.as_ref()?)));
        let figures: Vec<_> =
            shown().map(|(far, shown)| figure(far, shown.tar, (shown.tar_low, shown.tar_high))).collect();
        let measured = shown().map(|(far, shown)| plot::Measured {
            far,
            tar: shown.tar,
            far_interval: (shown.far_low, shown.far_high),
            tar_interval: (shown.tar_low, shown.tar_high),
        });
        let measured: Vec<_> = measured.collect();
        let name = args.folder.canonicalize().ok();
        let name = name.and_then(|path| Some(path.file_name()?.to_string_lossy().into_owned())).unwrap_or_default();
        std::fs::write(path, draw(plot::Kind::Roc, &name, &pack, &counts, (&figures, &measured), path)?)
            .map_err(|error| failed(format!("cannot write {}: {error}", path.display())))?;
        terminal::message(format!("ROC drawn to {}", path.display()));
    }
    let left_out = looked.iter().zip(&folder.images).filter(|(looked, _)| !matches!(looked, Looked::Face(_)));
    let answer = Answer {
        pack: pack.to_string(),
        persons: folder.n_persons,
        photographs: folder.images.len(),
        no_face: looked.iter().filter(|looked| matches!(looked, Looked::NoFace)).count(),
        refused: looked.iter().filter(|looked| matches!(looked, Looked::Refused)).count(),
        genuine_pairs: counts.n_genuine(),
        impostor_pairs: counts.n_impostor(),
        rates,
        left_out: if args.names { left_out.map(|(_, name)| name.clone()).collect() } else { Vec::new() },
    };
    if args.json {
        terminal::json(&answer)?
    } else {
        print(&answer)
    }
    Ok(Verdict::Done)
}

/// The faces of a folder of persons that are of use, and the pack that embedded them. `names` names the others.
pub(in crate::cli) async fn of_folder(
    path: &Path,
    face: MeantFace,
    gate: QualityGate,
    names: bool,
    config: &Config,
) -> Result<(PackId, KnownFaces), Error> {
    let folder = list(path)?;
    let analyzer = assemble::analyzer(config).await?;
    let pack = analyzer.packs()[0].id.clone();
    let wanted = Wanted { images: path, face, gate, names_no_face: names };
    let looked = embed_all(&analyzer, &pack, &folder.images, &wanted, config.general.workers).await?;
    let n_images = looked.len();
    let (mut faces, mut names) = (Vec::new(), Vec::new());
    for ((looked, person_idx), name) in looked.into_iter().zip(folder.person_idx).zip(folder.images) {
        if let Looked::Face(template) = looked {
            faces.push((person_idx, template));
            names.push(name);
        }
    }
    let n_left_out = n_images - faces.len();
    Ok((pack, KnownFaces { faces, names, n_persons: folder.n_persons, n_left_out }))
}

/// The photographs below `folder`, by person and name.
fn list(folder: &Path) -> Result<Folder, Error> {
    let entries = |path: &Path| -> Result<Vec<PathBuf>, Error> {
        let read = std::fs::read_dir(path).and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect());
        let mut paths: Vec<PathBuf> =
            read.map_err(|error| refused(format!("cannot list folder {}: {error}", path.display())))?;
        paths.sort();
        Ok(paths)
    };
    let mut found = Folder { images: Vec::new(), person_idx: Vec::new(), n_persons: 0 };
    for person in entries(folder)?.into_iter().filter(|path| path.is_dir()) {
        let photos = entries(&person)?.into_iter().filter(|path| path.is_file() && photo::has_photo_name(path));
        let before = found.images.len();
        for path in photos {
            let below = path.strip_prefix(folder).unwrap_or(&path);
            found.images.push(below.display().to_string());
            found.person_idx.push(found.n_persons);
        }
        found.n_persons += usize::from(found.images.len() > before);
    }
    if found.images.is_empty() {
        let message = format!("folder {} has no sub-folder with photographs", folder.display());
        return Err(refused(message).with_hint("one sub-folder a person: anna/1.jpg, anna/2.jpg, bert/1.jpg"));
    }
    Ok(found)
}

fn similarity(a: &Known<'_>, b: &Known<'_>) -> Result<Similarity, Error> {
    a.template.similarity(b.template).ok_or_else(|| refused("templates of one pack cannot be compared"))
}

/// All pairs, of which some have to be of one person and some of two.
pub(in crate::cli) fn counts(known: &[Known<'_>]) -> Result<PairCounts, Error> {
    let mut counts = PairCounts::default();
    for_each_pair(known, |a, b, similarity| counts.add(similarity, a.person_idx == b.person_idx))?;
    if counts.n_genuine() > 0 && counts.n_impostor() > 0 {
        return Ok(counts);
    }
    let message = format!(
        "{} make {} of one person and {} of two people, expected some of both",
        counted(known.len() as u64, "usable face"),
        counted(counts.n_genuine(), "pair"),
        counts.n_impostor()
    );
    Err(refused(message).with_hint("each person has a sub-folder of two photographs or more"))
}

/// How many pairs of which two persons are at least so similar.
pub(in crate::cli) fn accepted_between(known: &[Known<'_>], cosine: f64) -> Result<Vec<AcceptedBetween>, Error> {
    let mut pairs: HashMap<(u32, u32), u64> = HashMap::new();
    for_each_pair(known, |a, b, similarity| {
        if a.person_idx != b.person_idx && f64::from(similarity.get()) >= cosine {
            let (low, high) = (a.person_idx.min(b.person_idx), a.person_idx.max(b.person_idx));
            *pairs.entry((low as u32, high as u32)).or_default() += 1;
        }
    })?;
    let mut pairs: Vec<_> = pairs
        .into_iter()
        .map(|((person_a, person_b), n_pairs)| AcceptedBetween { person_a, person_b, n_pairs })
        .collect();
    pairs.sort_unstable_by_key(|pairs| (pairs.person_a, pairs.person_b));
    Ok(pairs)
}

/// For each of these thresholds: of every person with two photographs or more, how many pairs are accepted, and all pairs.
/// Known faces lie together by person.
pub(in crate::cli) fn genuine_accepted(known: &[Known<'_>], cosines: &[f64]) -> Result<Vec<Vec<(u64, u64)>>, Error> {
    let mut found = vec![Vec::new(); cosines.len()];
    for own in known.chunk_by(|a, b| a.person_idx == b.person_idx).filter(|own| own.len() > 1) {
        let mut accepted = vec![0_u64; cosines.len()];
        for (idx, a) in own.iter().enumerate() {
            for b in &own[idx + 1..] {
                let similarity = f64::from(similarity(a, b)?.get());
                for (n_accepted, cosine) in accepted.iter_mut().zip(cosines) {
                    *n_accepted += u64::from(similarity >= *cosine);
                }
            }
        }
        let n_pairs = (own.len() * (own.len() - 1) / 2) as u64;
        found.iter_mut().zip(accepted).for_each(|(groups, n_accepted)| groups.push((n_accepted, n_pairs)));
    }
    Ok(found)
}

/// All pairs, block by block, none of them kept: the memory taken does not grow with their number.
fn for_each_pair(known: &[Known<'_>], mut see: impl FnMut(&Known<'_>, &Known<'_>, Similarity)) -> Result<(), Error> {
    for_each_pair_idx(known, |_, (a, b), similarity| see(a, b, similarity))
}

/// The same with the places of both, of which the first is the lesser one.
fn for_each_pair_idx(
    known: &[Known<'_>],
    mut see: impl FnMut((usize, usize), (&Known<'_>, &Known<'_>), Similarity),
) -> Result<(), Error> {
    let n_blocks = known.len().div_ceil(BLOCK);
    for row in 0..n_blocks {
        for column in row..n_blocks {
            for a_idx in row * BLOCK..((row + 1) * BLOCK).min(known.len()) {
                let (end, a) = (((column + 1) * BLOCK).min(known.len()), &known[a_idx]);
                let first = (a_idx + 1).max(column * BLOCK).min(end);
                for (idx, b) in known[first..end].iter().enumerate() {
                    see((a_idx, first + idx), (a, b), similarity(a, b)?);
                }
            }
        }
    }
    Ok(())
}

/// The table. The intervals take the thresholds as given and draw persons.
fn rates(counts: &PairCounts, known: &[Known<'_>], n_persons: usize) -> Result<Vec<Rate>, Error> {
    let at = FARS.map(|far| counts.at_far(far));
    let genuine = genuine_accepted(known, &at.map(|at| at.map_or(f64::INFINITY, |at| at.cosine)))?;
    let mut n_photos = vec![0_u64; n_persons];
    known.iter().for_each(|face| n_photos[face.person_idx] += 1);
    let is_enough = n_photos.iter().filter(|&&n_photos| n_photos > 0).count() >= PERSONS_MIN;
    let rate = |(idx, far): (usize, &f64)| {
        let shown = at[idx].filter(|_| is_enough).map(|at| -> Result<Shown, Error> {
            let Interval { low, high } = interval_by_person(&genuine[idx], N_DRAWS);
            let of_far = far_interval_by_person(&n_photos, &accepted_between(known, at.cosine)?, N_DRAWS);
            Ok(Shown {
                cosine: at.cosine,
                impostor_pairs_above: at.n_impostors,
                far_low: of_far.low,
                far_high: of_far.high,
                tar: at.tar,
                tar_low: low,
                tar_high: high,
            })
        });
        Ok(Rate { far: *far, shown: shown.transpose()? })
    };
    FARS.iter().enumerate().map(rate).collect()
}

fn print(answer: &Answer) {
    let columns =
        ["FAR", "95 % interval", "cosine", "impostors above", "TAR", "95 % interval"].map(|name| (name, Align::Right));
    let row = |rate: &Rate| {
        let mut cells = vec![format!("{:.0e}", rate.far)];
        match &rate.shown {
            Some(shown) => cells.extend([
                format!("{} to {}", significant(shown.far_low), significant(shown.far_high)),
                format!("{:.4}", shown.cosine),
                shown.impostor_pairs_above.to_string(),
                percent(shown.tar),
                percents(shown.tar_low, shown.tar_high),
            ]),
            None => cells.extend(["-"; 5].map(str::to_owned)),
        }
        cells
    };
    table::lines(&columns, &answer.rates.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    let (persons, photographs) = (answer.persons as u64, answer.photographs as u64);
    terminal::data(format!(
        "pack {}: {} of {persons} people, {} without a usable face, {} refused by the gate",
        answer.pack,
        counted(photographs, "photograph"),
        answer.no_face,
        answer.refused
    ));
    terminal::data(format!(
        "{} of one person, {} of two people",
        counted(answer.genuine_pairs, "pair"),
        counted(answer.impostor_pairs, "pair")
    ));
    terminal::data("interval: the wider of Wilson's (pairs independent) and a bootstrap over persons (they are not)");
    if answer.persons < PERSONS_MIN {
        terminal::data(format!("-: no rate is stated of fewer than {PERSONS_MIN} people, whatever their photographs"));
    } else if answer.rates.iter().any(|rate| rate.shown.is_none()) {
        terminal::data(format!(
            "-: fewer than {IMPOSTORS_ABOVE_MIN} pairs of two people would lie above the threshold, too few for a rate"
        ));
    }
}

/// A line beside a curve.
pub(in crate::cli) fn figure(far: f64, tar: f64, (low, high): (f64, f64)) -> String {
    format!("TAR {} ({}) at FAR {far:.0e}", percent(tar), percents(low, high))
}

/// The curve of all pairs, in the format that the name of the file asks for.
pub(in crate::cli) fn draw(
    kind: plot::Kind,
    name: &str,
    pack: &PackId,
    counts: &PairCounts,
    (figures, measured): (&[String], &[plot::Measured]),
    path: &Path,
) -> Result<Vec<u8>, Error> {
    let roc = counts.roc();
    let overall: Vec<_> = roc.into_iter().map(|rates| metrics::RocPoint { far: rates.far, tar: rates.tar }).collect();
    let plot = plot::Plot {
        kind,
        title: &format!("Telling people apart: {} of pack {pack}", kind.word()),
        subtitle: &format!(
            "all pairs of {name}: {} of one person, {} of two people; bars: 95 % intervals",
            counts.n_genuine(),
            counts.n_impostor()
        ),
        figures,
        overall: &overall,
        folds: &[],
        measured,
        n_impostors: counts.n_impostor() as usize,
    };
    plot::draw(&plot, plot::PlotFormat::of_name(path)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pair_is_counted_once_across_blocks() {
        let pack = PackId::new("test-1").expect("an id");
        let n = 2 * BLOCK + 3;
        let templates: Vec<Template> =
            (0..n).map(|idx| Template::new(pack.clone(), &[1.0, idx as f32 / n as f32]).expect("a template")).collect();
        let known: Vec<_> =
            templates.iter().enumerate().map(|(idx, template)| Known { person_idx: idx / 7, template }).collect();
        let counts = counts(&known).expect("comparable");
        let genuine = |size: u64| size * (size - 1) / 2;
        assert_eq!(counts.n_genuine(), 37 * genuine(7), "259 photographs of 37 people");
        assert_eq!(counts.n_genuine() + counts.n_impostor(), genuine(n as u64));
        let rates = rates(&counts, &known, 37).expect("comparable");
        assert!(rates[0].shown.is_some() && rates[5].shown.is_none());
        let shown = rates[0].shown.as_ref().expect("shown");
        assert!(shown.far_low <= 0.1 && shown.far_low < shown.far_high, "{} {}", shown.far_low, shown.far_high);
        let above: u64 = accepted_between(&known, shown.cosine).expect("comparable").iter().map(|p| p.n_pairs).sum();
        assert_eq!(above, shown.impostor_pairs_above);
    }
}
