//! What each engine costs: time of one thread for each model, interleaved, and memory.
//!
//! `cargo bench -p likeness-vision --bench engines` with the default pack installed. Other machines and other loads give
//! other numbers; compare those of one run only.
#![expect(clippy::print_stdout, reason = "prints its figures")]

use std::process::Command;
use std::time::Instant;

use bytes::Bytes;
use likeness_domain::Result;
use likeness_vision::pack::{self, Home};
use likeness_vision::runtime::{Engine, Engines, Library, LibraryFiles, ModelKind, Precision, Runtime, Session};

const ENGINES: [Engines; 4] = [
    Engines::all(Engine::PORTABLE),
    Engines::all(Engine { library: Library::OpenVino, precision: Precision::F32 }),
    Engines::all(Engine { library: Library::OpenVino, precision: Precision::Bf16 }),
    Engines::BUILT_IN,
];

/// Rounds over all engines; the least time of each counts, since other programs only add to it.
const N_ROUNDS: usize = 30;

/// Threads that run models at the same time where memory is measured.
const N_THREADS: usize = 2;

struct Case {
    name: &'static str,
    kind: ModelKind,
    shape: Vec<usize>,
    model: Bytes,
}

fn main() {
    if let Some(engine_idx) = std::env::args().skip_while(|arg| arg != "--memory").nth(1) {
        return memory(engine_idx.parse().expect("a number"));
    }
    let (files, cases) = match installed() {
        Ok(installed) => installed,
        Err(err) => return println!("left out, no models: {err}"),
    };
    let mut runs: Vec<(String, Session, &Case, f64)> = Vec::new();
    for engines in ENGINES {
        let runtime = match Runtime::open(files.clone(), engines, 1) {
            Ok(runtime) => runtime,
            Err(err) => {
                println!("left out, {}: {err}", engines.detector);
                continue;
            }
        };
        for case in &cases {
            let mut session = Session::open(&runtime, case.kind, case.name, &case.model).expect("opens");
            if case.shape[0] > session.model().batch_max() {
                continue;
            }
            session.run_filled(&case.shape, |input| input.copy_from_slice(&noise(input.len()))).expect("runs");
            runs.push((engines.of(case.kind).to_string(), session, case, f64::INFINITY));
        }
    }
    for _ in 0..N_ROUNDS {
        for (_, session, case, least) in &mut runs {
            let before = Instant::now();
            session.run_filled(&case.shape, |_| {}).expect("runs");
            *least = least.min(before.elapsed().as_secs_f64() * 1e3);
        }
    }
    for (engine, _, case, least) in &runs {
        let each = least / case.shape[0] as f64;
        println!("{:<28} {engine:<18} {each:6.2} ms", format!("{} {:?}", case.name, case.shape));
    }
    for engine_idx in 0..ENGINES.len() {
        let program = std::env::current_exe().expect("has a path");
        let output = Command::new(program).args(["--memory", &engine_idx.to_string()]).output().expect("runs");
        print!("{}", String::from_utf8_lossy(&output.stdout));
    }
}

/// Resident megabytes after each step, in a process of its own.
fn memory(engine_idx: usize) {
    let engines = ENGINES[engine_idx];
    let (files, cases) = installed().expect("was there a moment ago");
    let mut line = format!("{:<18} at the start {} MB", engines.detector.to_string(), resident_mb());
    let Ok(runtime) = Runtime::open(files, engines, N_THREADS) else { return };
    line += &format!(", library {} MB", resident_mb());
    let mut sessions: Vec<(Bytes, Vec<Session>)> = Vec::new();
    for case in cases {
        let idx = match sessions.iter().position(|(model, _)| *model == case.model) {
            Some(idx) => idx,
            None => {
                let session = Session::open(&runtime, case.kind, case.name, &case.model).expect("opens");
                sessions.push((case.model.clone(), vec![session; N_THREADS]));
                sessions.len() - 1
            }
        };
        if case.shape[0] > sessions[idx].1[0].model().batch_max() {
            continue;
        }
        std::thread::scope(|scope| {
            for session in &mut sessions[idx].1 {
                let shape = &case.shape;
                scope.spawn(move || session.run_filled(shape, |input| input.fill(1.0)).map(drop).expect("runs"));
            }
        });
        line += &format!(", {} {:?} {} MB", case.name, case.shape, resident_mb());
    }
    println!("{line}");
}

fn installed() -> Result<(LibraryFiles, Vec<Case>)> {
    let home = Home::from_env()?;
    let pack = pack::load(&home, &pack::default_pack_id())?;
    let recognition = pack.manifest().recognition().expect("the default pack recognises");
    let detect = pack.read(&recognition.detect.file)?;
    let embed = pack.read(&recognition.embed.file)?;
    let mesh = pack.read(&recognition.mesh.as_ref().expect("the default pack has a mesh").file)?;
    let case =
        |name, kind, shape: &[usize], model: &Bytes| Case { name, kind, shape: shape.to_vec(), model: model.clone() };
    let cases = vec![
        case("recogniser", ModelKind::Recogniser, &[1, 3, 112, 112], &embed),
        case("detector", ModelKind::Detector, &[1, 3, 320, 320], &detect),
        case("detector", ModelKind::Detector, &[1, 3, 256, 320], &detect),
        case("detector", ModelKind::Detector, &[1, 3, 256, 640], &detect),
        case("detector", ModelKind::Detector, &[1, 3, 640, 640], &detect),
        case("mesh", ModelKind::Mesh, &[1, 3, 192, 192], &mesh),
        case("recogniser", ModelKind::Recogniser, &[4, 3, 112, 112], &embed),
    ];
    let openvino = pack::openvino(&home).ok().map(|library| library.path);
    Ok((LibraryFiles { onnxruntime: Some(pack::runtime(&home)?.path), openvino }, cases))
}

fn noise(n_numbers: usize) -> Vec<f32> {
    (0..n_numbers as u32).map(|idx| (idx.wrapping_mul(2_654_435_761) >> 24) as f32).collect()
}

fn resident_mb() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("Linux");
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("says it");
    line.trim().trim_end_matches(" kB").parse::<u64>().expect("a number") / 1024
}
