//! `likeness bench http`: what a search by face id costs over HTTP, beside what the index alone takes for it.
//!
//! This process is the server: its store, index, dialects and listener are those of `likeness serve`, in a scratch folder
//! with made-up faces. The clients are a process of their own ([`client`]), so that the processor time of this one is the
//! server's alone. Both figures are taken turn by turn in one run, since machines are noisy.

pub(super) mod client;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use clap::Args;
use likeness_domain::Error;
use likeness_domain::ports::{
    Analysis, AnalyzeRequest, FaceAnalyzer, FaceScope, GallerySearch, PackInfo, Page, Pending, VectorIndex,
};
use likeness_domain::score::{Calibration, OperatingPoint};
use likeness_domain::types::{AccessKey, Aspects, FaceOwner, FaceSet, PackId, Similarity, TenantName};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::measure::{self, Numbers, Pack};
use super::scratch::{Scratch, Stop};
use super::usage::{processor_time, processor_time_of};
use crate::assemble::{self, Opened};
use crate::cli::progress::CountProgress;
use crate::cli::table::{self, Align};
use crate::cli::{key, terminal};
use crate::config::Config;
use crate::listener::{self, LargeRequests, Socket};
use crate::outcome::{Outcome, Verdict, failed, refused};
use crate::system::SystemIds;
use client::Client;

/// What the names of the index's threads begin with.
const SCANNING: &str = "index-";

/// Faces whose templates are looked for, one after the other: the first ones, which the dialect lists.
const PROBES_MAX: u64 = 10_000;

/// Time of the uncounted turn that fills caches and opens connections.
const WARM_UP: Duration = Duration::from_millis(500);

/// Measures the processor time (all threads of the server, user and system) of a search by face id over HTTP, through
/// the Huawei dialect with signed requests, and of the index call alone for the same probes, by as many callers at once.
/// The clients are a process of their own and are not counted. Nothing is read from or written to the library.
#[derive(Debug, Args)]
#[command(after_help = "Example: likeness bench http --faces 100000 --connections 32 --json")]
pub(crate) struct HttpArgs {
    /// Faces of the set that is searched
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1_000..=10_000_000))]
    faces: u64,
    /// Numbers of a template
    #[arg(long, default_value_t = 128, value_name = "N", value_parser = clap::value_parser!(u64).range(2..=4096))]
    dimensions: u64,
    /// Connections, each with one search after the other
    #[arg(long, default_value_t = 32, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=512))]
    connections: u64,
    /// Most candidates of a search
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    top_k: u64,
    /// Turns of each figure
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    rounds: u64,
    /// Time of each turn
    #[arg(long, default_value_t = 2, value_name = "S", value_parser = clap::value_parser!(u64).range(1..=600))]
    seconds: u64,
    /// Where to make and remove the scratch library; what counts is the disk it is on [default: the data folder's
    /// parent, else the system's temporary folder]
    #[arg(long, value_name = "DIR")]
    scratch: Option<PathBuf>,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Searches of one kind, all turns together.
#[derive(Debug, Default, Serialize)]
struct Figure {
    searches: u64,
    /// Processor time of a search in microseconds: the mean over all turns.
    cpu_us: f64,
    /// The same of the turn that took least.
    cpu_us_min: f64,
    /// Processor time of the index's threads alone: the scan. 0 where the system does not say.
    scan_us: f64,
    per_second: f64,
    /// Medians over all turns of each turn's quantiles.
    median_ms: f64,
    p99_ms: f64,
}

#[derive(Serialize)]
struct Report {
    cpu: String,
    threads: usize,
    faces: u64,
    dimensions: u64,
    top_k: u64,
    connections: u64,
    rounds: u64,
    /// The index asked by one caller, one search after the other.
    lone: Figure,
    index: Figure,
    http: Figure,
    /// Processor time over HTTP divided by that of the index.
    ratio: f64,
    /// The scan of a search over HTTP divided by that of a lone one.
    scan_ratio: f64,
}

/// One turn of one kind.
#[derive(Debug, Clone, Copy)]
struct Turn {
    searches: u64,
    cpu: Duration,
    /// Of the index's threads.
    scan: Duration,
    took: Duration,
    median_ms: f64,
    p99_ms: f64,
}

/// Runs the command.
pub(crate) async fn run(args: HttpArgs, config: &Config) -> Outcome {
    let mut stop = Stop::listen().await;
    let scratch = Scratch::make(&args.scratch.clone().unwrap_or_else(|| super::default_scratch(config)))?;
    let mut config = config.clone();
    config.general.data = Some(scratch.path().join("library"));
    // What is measured is how many calls there can be.
    config.general.calls_per_second = None;
    let pack = Pack { id: PackId::new("bench-1").expect("a lawful id"), dimensions: args.dimensions as usize };
    let info = PackInfo { id: pack.id.clone(), dimensions: pack.dimensions, calibration: calibration() };
    // Not to be interrupted: the thread that opens the library would make its folder again. It takes a moment.
    let opened = assemble::open_with(&config, move |_| Ok(Arc::new(MadeUpPack([info])))).await?;
    let report = stop.unless(reported(&args, &config, &opened, &pack)).await;
    drop(opened);
    let report = report?;
    if args.json {
        terminal::json(&report)?
    } else {
        print(&report)
    }
    Ok(Verdict::Done)
}

/// Fills the library and measures searches in it.
async fn reported(args: &HttpArgs, config: &Config, opened: &Opened, pack: &Pack) -> Result<Report, Error> {
    let tenant = TenantName::new("bench")?;
    let key = key::create(&*opened.credentials, &tenant, key::Wanted::EVERYTHING).await?;
    let face_set = filled(opened, &key, pack, args.faces).await?;

    let (stop, stopping) = watch::channel(false);
    let listener = TcpListener::bind(("127.0.0.1", 0)).await;
    let listener = listener.map_err(|error| failed(format!("cannot listen: {error}")))?;
    let address = listener.local_addr().map_err(|error| failed(format!("cannot read the bound port: {error}")))?;
    let router = likeness_wire::router(opened.wire(config, likeness_wire::always_ready()));
    let large =
        LargeRequests::start().map_err(|error| failed(format!("cannot start threads for requests: {error}")))?;
    let bounds = listener::Settings {
        connections_max: 2 * args.connections as usize,
        connections_per_peer_max: 2 * args.connections as usize,
        // Connections are idle while the index alone is asked.
        idle_timeout: config.listener.idle_timeout + Duration::from_secs(args.seconds),
        ..config.listener.clone()
    };
    let server = tokio::spawn(async move {
        let (ids, large, metrics) = (Arc::new(SystemIds), Arc::new(large), crate::metrics::Metrics::new());
        let service = listener::Service { router, ids, large, budget: None, metrics, tls: None };
        listener::serve(Socket::Tcp(listener), service, &bounds, stopping).await
    });
    let measured = measured(args, opened, &key, &face_set, address).await;
    stop.send_replace(true);
    server.await.map_err(|error| failed(format!("the server failed: {error}")))?;
    let [lone, index, http] = measured?;

    Ok(Report {
        cpu: super::cpu_name(),
        threads: super::n_threads(),
        faces: args.faces,
        dimensions: args.dimensions,
        top_k: args.top_k,
        connections: args.connections,
        rounds: args.rounds,
        ratio: http.cpu_us / index.cpu_us,
        scan_ratio: http.scan_us / lone.scan_us,
        lone,
        index,
        http,
    })
}

/// A set of so many made-up faces, each with a label as vendors' clients give one.
async fn filled(opened: &Opened, key: &AccessKey, pack: &Pack, n_faces: u64) -> Result<FaceSet, Error> {
    let actor = || measure::actor_of(key.tenant.id);
    let face_set = opened.store.create_face_set(actor(), measure::new_face_set(pack), None).await?;
    let progress = CountProgress::new("making up faces", n_faces);
    let mut numbers = Numbers(n_faces);
    for first in (1..=n_faces).step_by(1000) {
        let last = n_faces.min(first + 999);
        let faces = (first..=last).map(|number| measure::labelled_face(number, numbers.template(pack)?));
        let faces = faces.collect::<Result<Vec<_>, Error>>()?;
        opened.store.add_faces(actor(), FaceOwner::FaceSet(face_set.id), faces, None).await?;
        progress.set(last);
    }
    progress.finish();
    Ok(face_set)
}

/// All figures, turn by turn: of the index asked by one, by as many as there are connections, and over these.
async fn measured(
    args: &HttpArgs,
    opened: &Opened,
    key: &AccessKey,
    face_set: &FaceSet,
    address: std::net::SocketAddr,
) -> Result<[Figure; 3], Error> {
    let questions: Arc<[GallerySearch]> = questions(opened, key, face_set, args).await?.into();
    let plan = client::Plan::new(address, key, face_set, args.connections, args.top_k, questions.len() as u64);
    let mut client = Client::start(&plan).await?;
    let time = Duration::from_secs(args.seconds);
    search_index(&opened.index, &questions, args.connections, WARM_UP).await?;
    search_over_http(&mut client, WARM_UP).await?;
    let progress = CountProgress::new("searching", args.rounds);
    let (mut lone_turns, mut index_turns, mut http_turns) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=args.rounds {
        lone_turns.push(search_index(&opened.index, &questions, 1, time).await?);
        index_turns.push(search_index(&opened.index, &questions, args.connections, time).await?);
        http_turns.push(search_over_http(&mut client, time).await?);
        progress.set(round);
    }
    progress.finish();
    client.stop().await?;
    Ok([figure(&lone_turns), figure(&index_turns), figure(&http_turns)])
}

/// What the index is asked: for each probe what the library would ask for it.
async fn questions(
    opened: &Opened,
    key: &AccessKey,
    face_set: &FaceSet,
    args: &HttpArgs,
) -> Result<Vec<GallerySearch>, Error> {
    let (tenant, scope) = (key.tenant.id, FaceScope::FaceSet(face_set.id));
    let page = Page { offset: 0, limit: PROBES_MAX.min(args.faces) };
    let faces = opened.store.list_faces(tenant, scope, page).await?;
    let ids = faces.iter().map(|face| face.id).collect();
    let templates = opened.store.templates(tenant, Some(scope), ids, face_set.pack.clone()).await?;
    let question = |probe| GallerySearch {
        face_set: face_set.id,
        probe,
        top_k: args.top_k as usize,
        similarity_min: Similarity::MIN,
        filter: None,
        one_per_person: false,
    };
    Ok(templates.into_iter().map(|(_, template)| question(template)).collect())
}

/// One turn of the index alone, asked by as many callers at once as there are connections.
async fn search_index(
    index: &Arc<dyn VectorIndex>,
    questions: &Arc<[GallerySearch]>,
    n_callers: u64,
    time: Duration,
) -> Result<Turn, Error> {
    let (start, cpu_before, scan_before) = (Instant::now(), processor_time(), processor_time_of(SCANNING));
    let mut callers = JoinSet::new();
    for caller in 0..n_callers as usize {
        let (index, questions) = (Arc::clone(index), Arc::clone(questions));
        callers.spawn(async move {
            let mut taken = Vec::new();
            for question in questions.iter().cycle().skip(caller * questions.len() / n_callers as usize) {
                if start.elapsed() >= time {
                    break;
                }
                let before = Instant::now();
                let hits = index.search(question.clone()).await?;
                if hits.len() != question.top_k {
                    return Err(failed(format!("the index gave {} hits instead of {}", hits.len(), question.top_k)));
                }
                taken.push(before.elapsed());
            }
            Ok::<_, Error>(taken)
        });
    }
    let mut taken = Vec::new();
    while let Some(done) = callers.join_next().await {
        taken.extend(done.map_err(|error| failed(format!("a caller failed: {error}")))??);
    }
    let (took, cpu) = (start.elapsed(), processor_time().saturating_sub(cpu_before));
    let scan = processor_time_of(SCANNING).saturating_sub(scan_before);
    taken.sort_unstable();
    Ok(Turn {
        searches: taken.len() as u64,
        cpu,
        scan,
        took,
        median_ms: measure::quantile_ms(&taken, 0.5),
        p99_ms: measure::quantile_ms(&taken, 0.99),
    })
}

/// One turn over HTTP: the processor time of this process while the clients ask.
async fn search_over_http(client: &mut Client, time: Duration) -> Result<Turn, Error> {
    let (start, cpu_before, scan_before) = (Instant::now(), processor_time(), processor_time_of(SCANNING));
    let done = client.search(time).await?;
    let (took, cpu) = (start.elapsed(), processor_time().saturating_sub(cpu_before));
    let scan = processor_time_of(SCANNING).saturating_sub(scan_before);
    Ok(Turn { searches: done.searches, cpu, scan, took, median_ms: done.median_ms, p99_ms: done.p99_ms })
}

fn figure(turns: &[Turn]) -> Figure {
    let searches: u64 = turns.iter().map(|turn| turn.searches).sum();
    let (cpu, took): (Duration, Duration) =
        (turns.iter().map(|turn| turn.cpu).sum(), turns.iter().map(|turn| turn.took).sum());
    let scan: Duration = turns.iter().map(|turn| turn.scan).sum();
    let cpu_us = |cpu: Duration, searches: u64| cpu.as_secs_f64() * 1e6 / searches.max(1) as f64;
    let middle = |of: fn(&Turn) -> f64| {
        let mut figures: Vec<f64> = turns.iter().map(of).collect();
        figures.sort_by(f64::total_cmp);
        figures.get(figures.len() / 2).copied().unwrap_or_default()
    };
    Figure {
        searches,
        cpu_us: cpu_us(cpu, searches),
        cpu_us_min: turns.iter().map(|turn| cpu_us(turn.cpu, turn.searches)).fold(f64::INFINITY, f64::min),
        scan_us: cpu_us(scan, searches),
        per_second: searches as f64 / took.as_secs_f64(),
        median_ms: middle(|turn| turn.median_ms),
        p99_ms: middle(|turn| turn.p99_ms),
    }
}

fn print(report: &Report) {
    terminal::data(format!("machine  {}, {} threads", report.cpu, report.threads));
    terminal::data(format!(
        "search   by face id in {} faces of {} dimensions, the best {}, {} at once, {} turns",
        report.faces, report.dimensions, report.top_k, report.connections, report.rounds
    ));
    terminal::data("");
    let columns =
        ["CPU us", "least", "scan us", "per second", "median ms", "99 % within ms"].map(|name| (name, Align::Right));
    let columns: Vec<_> = [("", Align::Left)].into_iter().chain(columns).collect();
    let row = |(name, figure): (&str, &Figure)| {
        let numbers =
            [figure.cpu_us, figure.cpu_us_min, figure.scan_us, figure.per_second].map(|number| format!("{number:.0}"));
        let times = [figure.median_ms, figure.p99_ms].map(|ms| format!("{ms:.2}"));
        [name.to_owned()].into_iter().chain(numbers).chain(times).collect::<Vec<_>>()
    };
    let rows =
        [("index, one search at a time", &report.lone), ("index alone", &report.index), ("over HTTP", &report.http)]
            .map(row);
    table::lines(&columns, &rows).iter().for_each(terminal::data);
    terminal::data("");
    terminal::data(format!("over HTTP a search takes {:.2} times the processor time of the index alone", report.ratio));
    if report.scan_ratio.is_finite() {
        terminal::data(format!("its scan takes {:.2} times the processor time of a lone one's", report.scan_ratio));
    }
}

/// Made-up operating points: no threshold is used, but a pack has to have some.
fn calibration() -> Calibration {
    let point = |far, similarity| OperatingPoint::new(far, Similarity::new(similarity));
    Calibration::new(vec![point(1e-2, 0.2), point(1e-6, 0.5)]).expect("two points that rise")
}

/// Stands in for models: nothing is looked at here.
struct MadeUpPack([PackInfo; 1]);

impl FaceAnalyzer for MadeUpPack {
    fn packs(&self) -> &[PackInfo] {
        &self.0
    }

    fn aspects(&self) -> Aspects {
        Aspects::NONE
    }

    fn analyze(&self, _: Bytes, _: AnalyzeRequest) -> Pending<'_, Analysis> {
        Box::pin(async { Err(refused("this measurement looks at no images")) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_is_the_mean_of_its_turns() {
        let turn = |searches, cpu_ms, median_ms| Turn {
            searches,
            cpu: Duration::from_millis(cpu_ms),
            scan: Duration::from_millis(cpu_ms / 2),
            took: Duration::from_secs(1),
            median_ms,
            p99_ms: 2.0 * median_ms,
        };
        let figure = figure(&[turn(100, 10, 1.0), turn(300, 90, 3.0), turn(100, 40, 2.0)]);
        assert_eq!((figure.searches, figure.cpu_us, figure.cpu_us_min), (500, 280.0, 100.0));
        assert_eq!((figure.median_ms, figure.p99_ms, figure.scan_us), (2.0, 4.0, 140.0));
        assert!((figure.per_second - 500.0 / 3.0).abs() < 1e-9);
    }
}
