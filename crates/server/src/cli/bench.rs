//! `likeness bench`: what this machine can do, on faces that are made up. Anybody can run it; nothing is kept.

mod http;
mod measure;
mod photo;
mod scratch;
mod search;
mod usage;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand};
use serde::Serialize;

use super::photo as photo_file;
use super::table::{self, Align};
use super::terminal;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict};
use measure::{Enrolment, SearchLatency, StageTimes};
use scratch::Stop;

/// Measures search by gallery size, the stages of image analysis, and durable enrolment, on made-up templates and
/// pictures. Nothing is read from or written to the library.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true, after_help = "Example: likeness bench --faces 100000 --json")]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    command: Option<Command>,
    /// Largest gallery to search
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    faces: u64,
    /// Time for each figure
    #[arg(long, default_value_t = 2, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Also measure decoding, on this photograph
    #[arg(long, value_name = "PHOTO")]
    photo: Option<PathBuf>,
    /// Where to make and remove the scratch library; what counts is the disk it is on [default: the data folder's
    /// parent, else the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Processor time and memory from real photographs to their faces
    #[command(after_help = "Example: likeness bench photo portrait.jpg")]
    Photo(photo::PhotoArgs),
    /// Search alone, in a gallery and with questions of any kind
    #[command(after_help = "Example: likeness bench search --faces 1000000")]
    Search(search::SearchArgs),
    /// Processor time of a search by face id over HTTP, beside the index alone
    Http(http::HttpArgs),
    /// The clients of `http`, started by it
    #[command(name = http::client::COMMAND, hide = true)]
    HttpClient,
}

#[derive(Serialize)]
struct Report {
    machine: Machine,
    pack: String,
    dimensions: usize,
    search: Vec<SearchLatency>,
    stages: StageTimes,
    enrolment: Vec<Enrolment>,
}

#[derive(Serialize)]
struct Machine {
    cpu: String,
    threads: usize,
    workers: usize,
}

/// Runs the command.
pub(crate) async fn run(args: BenchArgs, config: &Config) -> Outcome {
    match args.command {
        Some(Command::Photo(args)) => return photo::run(args, config).await,
        Some(Command::Search(args)) => return Stop::listen().await.unless(search::run(args)).await,
        Some(Command::Http(args)) => return http::run(args, config).await,
        Some(Command::HttpClient) => return http::client::run().await,
        None => {}
    }
    let time = Duration::from_secs(args.seconds);
    let photo = args.photo.as_deref().map(photo_file::read).transpose()?;
    let scratch_parent = args.scratch.clone().unwrap_or_else(|| default_scratch(config));
    terminal::message("measuring the stages of image analysis");
    let (pack, stages) = measure::stages(config, photo.as_deref(), time)?;
    let (mut search, mut enrolment) = (Vec::new(), Vec::new());
    let measuring = async {
        for n_faces in gallery_sizes(args.faces) {
            terminal::message(format!("measuring search in {n_faces} faces"));
            search.push(measure::search(config, &pack, n_faces, time).await?);
        }
        for writers in [1, 32] {
            terminal::message(format!("measuring enrolment by {writers} at once"));
            enrolment.push(measure::enrolment(&scratch_parent, &pack, writers, time).await?);
        }
        Ok(())
    };
    Stop::listen().await.unless(measuring).await?;
    let report = Report {
        machine: Machine { cpu: cpu_name(), threads: n_threads(), workers: config.general.workers },
        pack: pack.id.to_string(),
        dimensions: pack.dimensions,
        search,
        stages,
        enrolment,
    };
    if args.json {
        terminal::json(&report)?
    } else {
        print(&report)
    }
    Ok(Verdict::Done)
}

/// Tens from a thousand up, and the largest.
fn gallery_sizes(largest: u64) -> Vec<u64> {
    let mut sizes: Vec<u64> =
        std::iter::successors(Some(1000_u64), |size| Some(size * 10)).take_while(|size| *size < largest).collect();
    sizes.push(largest);
    sizes
}

/// The disk that the library is on, or would be.
fn default_scratch(config: &Config) -> PathBuf {
    let beside = config.data().ok().and_then(|data| data.ancestors().skip(1).find(|parent| parent.is_dir()));
    match beside {
        Some(parent) => parent.to_owned(),
        None => std::env::temp_dir(),
    }
}

fn n_threads() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// What the kernel calls the processor; Linux only, and some processors have no name.
fn cpu_name() -> String {
    let about = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let named = about.lines().find_map(|line| line.strip_prefix("model name")?.split_once(':'));
    named.map_or_else(|| std::env::consts::ARCH.to_owned(), |(_, name)| name.trim().to_owned())
}

fn print(report: &Report) {
    let Machine { cpu, threads, workers } = &report.machine;
    terminal::data(format!("machine  {cpu}, {threads} threads, of which {workers} work"));
    terminal::data(format!("pack     {}, {} dimensions", report.pack, report.dimensions));
    terminal::data("");
    terminal::data("search: the best 10 of made-up faces, one question after the other");
    let columns = ["faces", "median ms", "99 % within ms", "per second"].map(|name| (name, Align::Right));
    let row = |row: &SearchLatency| {
        let (median, p99) = (format!("{:.3}", row.median_ms), format!("{:.3}", row.p99_ms));
        vec![row.faces.to_string(), median, p99, format!("{:.0}", row.per_second)]
    };
    table::lines(&columns, &report.search.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    terminal::data("");
    terminal::data(format!("image analysis: one thread, a picture of {} pixels", report.stages.picture));
    let stages = &report.stages;
    let decode = stages.decode_ms.map_or("not measured: name a photograph with `--photo`".to_owned(), milliseconds);
    for (name, time) in
        [("decode", decode), ("detect", milliseconds(stages.detect_ms)), ("embed", milliseconds(stages.embed_ms))]
    {
        terminal::data(format!("{name:<6}  {time}"));
    }
    terminal::data("");
    terminal::data("enrolment: templates into a store, each on disk when it is acknowledged");
    let columns = ["at once", "per second"].map(|name| (name, Align::Right));
    let row = |row: &Enrolment| vec![row.writers.to_string(), format!("{:.0}", row.per_second)];
    table::lines(&columns, &report.enrolment.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
}

fn milliseconds(time: f64) -> String {
    format!("{time:.2} ms")
}

#[cfg(test)]
mod tests {
    use super::gallery_sizes;

    #[test]
    fn galleries_grow_by_tens_up_to_the_largest() {
        assert_eq!(gallery_sizes(100_000), [1000, 10_000, 100_000]);
        assert_eq!(gallery_sizes(50_000), [1000, 10_000, 50_000]);
        assert_eq!(gallery_sizes(1000), [1000]);
    }
}
