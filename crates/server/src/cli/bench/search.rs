//! `likeness bench search`: the index alone, without HTTP, store or pictures. Building the gallery is not counted, so
//! other engines can be measured beside it in one run and on the same vectors (`benches/peers/search.py`).

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Args;
use likeness_domain::Error;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, VectorIndex};
use likeness_domain::types::{
    FaceId, FaceSetId, FieldName, FieldSchema, FieldType, FieldValue, PackId, Revision, Similarity, Template,
};
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use serde::Serialize;
use tokio::task::coop::consume_budget;
use tokio::task::{JoinSet, yield_now};

use super::super::table::{self, Align};
use super::super::terminal;
use super::measure::{Numbers, Pack, quantile_ms};
use super::scratch::Scratch;
use super::usage::{memory_mb, own_memory_mb, processor_time};
use crate::outcome::{Outcome, Verdict, failed, refused};

/// Changes in one commit while the gallery is filled.
const COMMIT_ROWS: u64 = 1000;

/// Measures searches in one gallery: time, processor time and memory. The vectors are random directions, the hardest
/// case, or come from a file.
#[derive(Debug, Args)]
pub(crate) struct SearchArgs {
    /// Faces of the gallery
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=100_000_000))]
    faces: u64,
    /// Numbers of a vector
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    dimensions: u64,
    /// Threads that search
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=256))]
    threads: u64,
    /// Searches of a turn
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1_000_000))]
    queries: u64,
    /// Searches asked at the same time
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=4096))]
    batch: u64,
    /// Hits wanted of each search
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    top_k: u64,
    /// Percent of the faces that pass a filter on a whole-number field [default: no filter]
    #[arg(long, value_name = "P", value_parser = clap::value_parser!(u64).range(0..=100))]
    filter: Option<u64>,
    /// Gallery of 32-bit floats (little endian, one row of `--dimensions` after the other), instead of random ones
    #[arg(long, value_name = "FILE", requires = "probes")]
    vectors: Option<PathBuf>,
    /// Probes, in the same form; asked in turn
    #[arg(long, value_name = "FILE", requires = "vectors")]
    probes: Option<PathBuf>,
    /// Keep the vectors in memory, instead of in a file in the system's folder for temporary files
    #[arg(long)]
    in_memory: bool,
    /// Measure one turn for each line of standard input, at once: a line is a batch size, or batch size and percent of
    /// a filter, or empty
    #[arg(long)]
    turns: bool,
    /// Also give the hits of the first batch: rows of the gallery from 0, and cosines
    #[arg(long)]
    answers: bool,
    /// Print one JSON object a turn
    #[arg(long)]
    json: bool,
}

/// What one turn measured. Times are of one search: those of a batch divided by its size.
#[derive(Serialize)]
struct Measured {
    faces: u64,
    dimensions: u64,
    threads: u64,
    batch: u64,
    filter: Option<u64>,
    queries: u64,
    wall_ms: f64,
    wall_ms_min: f64,
    wall_ms_p99: f64,
    cpu_ms: f64,
    per_second: f64,
    /// Resident memory that the gallery takes, for each face.
    bytes_per_face: f64,
    rss_mb: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    answers: Option<Vec<Vec<(u64, f32)>>>,
}

struct Bench {
    index: Arc<FlatIndex>,
    _scratch: Option<Scratch>,
    probes: Vec<Template>,
    args: SearchArgs,
    bytes_per_face: f64,
}

/// Runs the command.
pub(crate) async fn run(args: SearchArgs) -> Outcome {
    let is_turned = args.turns;
    let as_json = args.json;
    let (batch, filter) = (args.batch, args.filter);
    terminal::message(format!("filling a gallery of {} faces", args.faces));
    let bench = Bench::fill(args).await?;
    let mut rows = Vec::new();
    if is_turned {
        while let Some(line) = next_line().await? {
            let (batch, filter) = turn_of(&line, batch, filter)?;
            let measured = bench.turn(batch, filter).await?;
            say(&[measured], as_json)?;
        }
    } else {
        rows.push(bench.turn(batch, filter).await?);
        say(&rows, as_json)?;
    }
    Ok(Verdict::Done)
}

/// The next line of standard input, if there is one; waited for beside whatever may interrupt that.
async fn next_line() -> Result<Option<String>, Error> {
    let read = || std::io::stdin().lines().next().transpose();
    let line =
        tokio::task::spawn_blocking(read).await.map_err(|error| failed(format!("cannot read a line: {error}")))?;
    line.map_err(|error| failed(format!("cannot read standard input: {error}")))
}

/// Batch size and filter of a line.
fn turn_of(line: &str, batch: u64, filter: Option<u64>) -> Result<(u64, Option<u64>), Error> {
    let bad = || {
        refused(format!(
            "turn `{line}` is not understood, expected a batch size of 1 to 4096 and perhaps a percent of 0 to 100"
        ))
    };
    let numbers: Vec<u64> =
        line.split_whitespace().map(|word| word.parse().map_err(|_| bad())).collect::<Result<_, _>>()?;
    match numbers[..] {
        [] => Ok((batch, filter)),
        [batch @ 1..=4096] => Ok((batch, filter)),
        [batch @ 1..=4096, percent @ 0..=100] => Ok((batch, Some(percent))),
        _ => Err(bad()),
    }
}

/// Vectors from a file, one after the other.
struct Vectors {
    file: BufReader<File>,
    path: PathBuf,
    dimensions: usize,
}

impl Vectors {
    fn open(path: &Path, dimensions: usize) -> Result<Self, Error> {
        let file = File::open(path).map_err(|error| refused(format!("cannot open {}: {error}", path.display())))?;
        Ok(Self { file: BufReader::with_capacity(1 << 20, file), path: path.to_owned(), dimensions })
    }

    fn next(&mut self, pack: &Pack) -> Result<Template, Error> {
        let mut bytes = vec![0; self.dimensions * size_of::<f32>()];
        let path = self.path.display();
        self.file.read_exact(&mut bytes).map_err(|error| {
            refused(format!("cannot read a vector of {} numbers of {path}: {error}", self.dimensions))
        })?;
        let numbers: Vec<f32> = bytes.as_chunks::<4>().0.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Template::new(pack.id.clone(), &numbers).map_err(|error| refused(format!("{path}: {error}")))
    }
}

/// Where templates come from.
enum Source {
    Random(Numbers),
    File(Vectors),
}

impl Source {
    fn next(&mut self, pack: &Pack) -> Result<Template, Error> {
        match self {
            Source::Random(numbers) => numbers.template(pack),
            Source::File(vectors) => vectors.next(pack),
        }
    }
}

/// The percentile that a row belongs to: as many rows in each, in no order.
fn percentile(row: u64) -> i64 {
    (Numbers(row).next() % 100) as i64
}

fn face_set() -> FaceSetId {
    FaceSetId::new(1).expect("in range")
}

impl Bench {
    async fn fill(args: SearchArgs) -> Result<Self, Error> {
        let pack = Pack { id: PackId::new("bench-1").expect("an id"), dimensions: args.dimensions as usize };
        let source = |path: &Option<PathBuf>, seed| match path {
            Some(path) => Vectors::open(path, pack.dimensions).map(Source::File),
            None => Ok(Source::Random(Numbers(seed))),
        };
        let options = FlatOptions {
            n_threads: args.threads as usize,
            queue_len_max: 4096,
            inline_numbers_max: INLINE_NUMBERS_MAX,
            seed: 1,
        };
        let scratch = if args.in_memory { None } else { Some(Scratch::make(&std::env::temp_dir())?) };
        let index = match &scratch {
            Some(scratch) => FlatIndex::new_in(options, scratch.path())?,
            None => FlatIndex::new(options)?,
        };
        let before_mb = own_memory_mb();
        // Only sets with fields pay for them.
        let is_filtered = args.filter.is_some() || args.turns;
        let field = FieldName::new("percentile").map(|name| (name, FieldType::Integer));
        let fields = if is_filtered { vec![field.map_err(|error| failed(error.to_string()))?] } else { Vec::new() };
        let schema = Arc::new(FieldSchema::new(fields)?);
        let open = GalleryChange::Open { face_set: face_set(), pack: pack.id.clone(), schema };
        index.apply(Revision(1), vec![open]).await?;
        let mut vectors = source(&args.vectors, args.faces)?;
        for first in (0..args.faces).step_by(COMMIT_ROWS as usize) {
            let end = args.faces.min(first + COMMIT_ROWS);
            let put = |row: u64| {
                let value = is_filtered.then(|| Some(FieldValue::Whole(percentile(row))));
                let entry = GalleryEntry {
                    face: FaceId::new(row + 1).expect("fewer faces than ids"),
                    sequence: row,
                    person: None,
                    template: vectors.next(&pack)?,
                    subject: None,
                    values: value.into_iter().collect(),
                };
                Ok(GalleryChange::Put { face_set: face_set(), entry })
            };
            let changes: Result<Vec<_>, Error> = (first..end).map(put).collect();
            index.apply(Revision(1 + end), changes?).await?;
            // So that a signal is seen.
            yield_now().await;
        }
        let after_mb = own_memory_mb();
        let mut probes = source(&args.probes, u64::MAX)?;
        let probes = (0..args.queries).map(|_| probes.next(&pack)).collect::<Result<Vec<_>, Error>>()?;
        let bytes_per_face = (after_mb - before_mb) * 1e6 / args.faces as f64;
        Ok(Self { index: Arc::new(index), _scratch: scratch, probes, args, bytes_per_face })
    }

    async fn turn(&self, batch: u64, filter: Option<u64>) -> Result<Measured, Error> {
        let filter = filter.map(|percent| Arc::new(Filter::Whole { field_idx: 0, min: 0, max: percent as i64 - 1 }));
        let question = |probe: &Template| GallerySearch {
            face_set: face_set(),
            probe: probe.clone(),
            top_k: self.args.top_k as usize,
            similarity_min: Similarity::MIN,
            filter: filter.clone(),
            one_per_person: false,
        };
        let mut taken: Vec<Duration> = Vec::new();
        let mut answers = None;
        let cpu_before = processor_time();
        for probes in self.probes.chunks(batch as usize) {
            let questions: Vec<GallerySearch> = probes.iter().map(question).collect();
            let before = Instant::now();
            let hits = ask_all(&self.index, questions).await?;
            taken.push(before.elapsed() / probes.len() as u32);
            answers.get_or_insert(hits);
            consume_budget().await;
        }
        let cpu = processor_time().saturating_sub(cpu_before);
        let wall: Duration = taken
            .iter()
            .zip(self.probes.chunks(batch as usize))
            .map(|(each, probes)| *each * probes.len() as u32)
            .sum();
        taken.sort_unstable();
        let answer = |hits: Vec<Hit>| hits.iter().map(|hit| (hit.face.get() - 1, hit.similarity.get())).collect();
        Ok(Measured {
            faces: self.args.faces,
            dimensions: self.args.dimensions,
            threads: self.args.threads,
            batch,
            filter: filter.map(|filter| match *filter {
                Filter::Whole { max, .. } => (max + 1) as u64,
                _ => 100,
            }),
            queries: self.args.queries,
            wall_ms: quantile_ms(&taken, 0.5),
            wall_ms_min: quantile_ms(&taken, 0.0),
            wall_ms_p99: quantile_ms(&taken, 0.99),
            cpu_ms: cpu.as_secs_f64() * 1000.0 / self.args.queries as f64,
            per_second: self.args.queries as f64 / wall.as_secs_f64(),
            bytes_per_face: self.bytes_per_face,
            rss_mb: memory_mb().0,
            answers: answers.filter(|_| self.args.answers).map(|all| all.into_iter().map(answer).collect()),
        })
    }
}

/// Asks at the same time; the answers come in the order of the questions.
async fn ask_all(index: &Arc<FlatIndex>, questions: Vec<GallerySearch>) -> Result<Vec<Vec<Hit>>, Error> {
    if let [question] = &questions[..] {
        return Ok(vec![index.search(question.clone()).await?]);
    }
    let mut answers = vec![Vec::new(); questions.len()];
    let mut asked = JoinSet::new();
    for (question_idx, question) in questions.into_iter().enumerate() {
        let index = Arc::clone(index);
        asked.spawn(async move { (question_idx, index.search(question).await) });
    }
    while let Some(answer) = asked.join_next().await {
        let (question_idx, hits) = answer.map_err(|error| failed(format!("a search failed: {error}")))?;
        answers[question_idx] = hits?;
    }
    Ok(answers)
}

fn say(rows: &[Measured], as_json: bool) -> Result<(), Error> {
    if as_json {
        return rows.iter().try_for_each(terminal::json);
    }
    let names =
        ["faces", "numbers", "threads", "batch", "filter %", "ms", "99 % within", "CPU ms", "per second", "bytes/face"];
    let columns = names.map(|name| (name, Align::Right));
    let row = |row: &Measured| {
        let filter = row.filter.map_or_else(|| "none".to_owned(), |percent| percent.to_string());
        let counts = [row.faces, row.dimensions, row.threads, row.batch].map(|n| n.to_string());
        let times = [row.wall_ms, row.wall_ms_p99, row.cpu_ms].map(|ms| format!("{ms:.3}"));
        let rest = [row.per_second, row.bytes_per_face].map(|number| format!("{number:.0}"));
        counts.into_iter().chain([filter]).chain(times).chain(rest).collect()
    };
    table::lines(&columns, &rows.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_a_batch_size_and_perhaps_a_percent() {
        assert_eq!(turn_of("", 1, None).expect("a turn"), (1, None));
        assert_eq!(turn_of("16", 1, Some(3)).expect("a turn"), (16, Some(3)));
        assert_eq!(turn_of("256 1", 1, None).expect("a turn"), (256, Some(1)));
        for bad in ["0", "x", "1 101", "5000", "1 2 3", "-1"] {
            assert!(turn_of(bad, 1, None).expect_err("not a turn").to_string().contains(bad));
        }
    }

    #[test]
    fn every_percentile_has_about_as_many_rows() {
        let mut counts = [0; 100];
        (0..100_000).for_each(|row| counts[percentile(row) as usize] += 1);
        assert!(counts.iter().all(|&n| (900..1100).contains(&n)), "{counts:?}");
    }

    #[tokio::test]
    async fn searches_asked_at_once_find_what_searches_one_by_one_find() {
        let args = SearchArgs {
            faces: 2000,
            dimensions: 24,
            threads: 1,
            queries: 6,
            batch: 1,
            top_k: 3,
            filter: Some(50),
            vectors: None,
            probes: None,
            in_memory: true,
            turns: false,
            answers: true,
            json: true,
        };
        let bench = Bench::fill(args).await.expect("a gallery");
        let together = bench.turn(6, Some(50)).await.expect("answers").answers.expect("asked for");
        let one = bench.turn(1, Some(50)).await.expect("answers").answers.expect("asked for");
        assert_eq!((together.len(), one.len()), (6, 1));
        assert_eq!(together[0], one[0]);
        assert_eq!(together[0].len(), 3);
        assert!(together.iter().flatten().all(|(row, _)| percentile(*row) < 50));
    }
}
