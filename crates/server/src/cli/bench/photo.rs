//! `likeness bench photo`: processor time from a photograph's bytes to its faces, through the same analysis that
//! requests use. Start-up is not counted, so other programs can be measured beside it in one run (`benches/peers`).

use std::io::BufRead;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use bytes::Bytes;
use clap::Args;
use likeness_domain::Error;
use likeness_domain::ports::{AnalyzeRequest, Assess, FaceAnalyzer, FaceChoice};
use likeness_wire::native;
use serde::Serialize;

use super::super::table::{self, Align};
use super::super::{photo, terminal};
use super::measure::quantile_ms;
use super::usage::{memory_mb, processor_time};
use crate::assemble;
use crate::config::Config;
use crate::outcome::{Outcome, Verdict, failed};

/// Measures the processor time (all threads of this process, user and system) that the faces of photographs take, one
/// photograph after the other, after one uncounted turn each.
#[derive(Debug, Args)]
pub(crate) struct PhotoArgs {
    /// The photographs; `-` reads their paths from standard input, one a line, and answers each line at once, so that
    /// another program can be measured in between
    #[arg(required = true, value_name = "PHOTO")]
    photos: Vec<PathBuf>,
    /// How often each photograph is analysed
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    repeat: u64,
    /// Which faces get a template: one (the largest), all, or detect-only for none
    #[arg(long, value_enum, hide_possible_values = true, default_value_t = Faces::One, value_name = "WHICH")]
    faces: Faces,
    /// Workers that hold the models; more than one shows the memory of a server
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=64))]
    workers: u64,
    /// Print one JSON object a photograph
    #[arg(long)]
    json: bool,
}

/// Which faces get a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum Faces {
    /// The largest
    One,
    /// All
    All,
    /// None: only where they are
    DetectOnly,
}

#[derive(Serialize)]
struct Measured {
    photo: String,
    /// Width x height.
    picture: String,
    faces: usize,
    templates: usize,
    repeat: u64,
    /// Processor time in milliseconds: median and least of the repetitions.
    cpu_ms: f64,
    cpu_ms_min: f64,
    /// Resident memory of this process in MB before the photograph, after it, and at its highest so far.
    rss_before_mb: f64,
    rss_mb: f64,
    rss_peak_mb: f64,
}

/// Runs the command.
pub(crate) async fn run(args: PhotoArgs, config: &Config) -> Outcome {
    let mut config = config.clone();
    config.general.workers = args.workers as usize;
    let analyzer = assemble::analyzer(&config).await?;
    if args.photos == [Path::new("-")] {
        // Nothing else runs meanwhile, so waiting for a line may block.
        for line in std::io::stdin().lock().lines() {
            let line = line.map_err(|error| failed(format!("cannot read standard input: {error}")))?;
            let measured = measure(&analyzer, Path::new(line.trim_end()), &args).await?;
            say(vec![measured], args.json)?;
        }
        return Ok(Verdict::Done);
    }
    let mut rows = Vec::new();
    for path in &args.photos {
        rows.push(measure(&analyzer, path, &args).await?);
    }
    say(rows, args.json)?;
    Ok(Verdict::Done)
}

async fn measure(analyzer: &Arc<dyn FaceAnalyzer>, path: &Path, args: &PhotoArgs) -> Result<Measured, Error> {
    let image = photo::read(path)?;
    let embed = match args.faces {
        Faces::One => FaceChoice::Largest,
        Faces::All => FaceChoice::All,
        Faces::DetectOnly => FaceChoice::None,
    };
    let request = AnalyzeRequest {
        count: likeness_domain::ports::Count::No,
        pack: analyzer.packs()[0].id.clone(),
        rules: native::IMAGE_RULES,
        embed,
        find: if args.faces == Faces::One { FaceChoice::Largest } else { FaceChoice::All },
        face_side_min: 0,
        assess: Assess::NOTHING,
    };
    let (rss_before_mb, _) = memory_mb();
    let analyze = async || {
        let answer = analyzer.analyze(Bytes::clone(&image), request.clone()).await;
        answer.map_err(|error| photo::failure(path, error))
    };
    let analysis = analyze().await?;
    let mut taken = Vec::new();
    for _ in 0..args.repeat {
        let before = processor_time();
        analyze().await?;
        taken.push(processor_time().saturating_sub(before));
    }
    taken.sort_unstable();
    let (rss_mb, rss_peak_mb) = memory_mb();
    Ok(Measured {
        photo: path.display().to_string(),
        picture: format!("{} x {}", analysis.image_width, analysis.image_height),
        faces: analysis.faces.len(),
        templates: analysis.faces.iter().filter(|face| face.template.is_some()).count(),
        repeat: args.repeat,
        cpu_ms: quantile_ms(&taken, 0.5),
        cpu_ms_min: quantile_ms(&taken, 0.0),
        rss_before_mb,
        rss_mb,
        rss_peak_mb,
    })
}

fn say(rows: Vec<Measured>, as_json: bool) -> Result<(), Error> {
    if as_json {
        return rows.iter().try_for_each(terminal::json);
    }
    let columns = [("photograph", Align::Left), ("pixels", Align::Right)].into_iter();
    let numbers = ["faces", "templates", "CPU ms", "least", "RSS MB", "peak MB"].map(|name| (name, Align::Right));
    let columns: Vec<_> = columns.chain(numbers).collect();
    let row = |row: &Measured| {
        let times = [row.cpu_ms, row.cpu_ms_min].map(|ms| format!("{ms:.1}"));
        let memory = [row.rss_mb, row.rss_peak_mb].map(|mb| format!("{mb:.0}"));
        let counts = [row.faces, row.templates].map(|n| n.to_string());
        let names = vec![row.photo.clone(), row.picture.clone()];
        names.into_iter().chain(counts).chain(times).chain(memory).collect()
    };
    table::lines(&columns, &rows.iter().map(row).collect::<Vec<_>>()).iter().for_each(terminal::data);
    Ok(())
}
