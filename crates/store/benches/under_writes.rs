//! What an index with its rows on disk does beside searches: memory, starting again, writing under search.
//!
//! `cargo bench -p likeness-store --bench under_writes`, with `LIKENESS_BENCH_FACES=1000000` for a million faces of 128
//! numbers instead of 100,000. No criterion: each thing is measured once, as a whole.
#![expect(clippy::print_stdout, reason = "figures that are no distribution of equal runs are printed")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, VectorIndex};
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId, Revision, Similarity, Template};
use likeness_store::index::conformance::{ApplyNow, hits};
use likeness_store::index::{FlatIndex, FlatOptions};
use rustix::time::{ClockId, clock_gettime};

const DIMENSIONS: usize = 128;

/// Puts and removals a second, half of each.
const WRITES_PER_S: u64 = 20_000;

/// Writes of a commit.
const COMMIT_WRITES: u64 = 20;

const LIBRARY: [u8; 16] = [1; 16];

/// Small, repeatable and good enough to scatter directions.
struct Random(u64);

impl Random {
    fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    }

    fn template(&mut self) -> Template {
        let raw: Vec<f32> = (0..DIMENSIONS).map(|_| self.next() + self.next() + self.next()).collect();
        Template::new(pack(), &raw).unwrap()
    }
}

fn pack() -> PackId {
    PackId::new("pack-1").unwrap()
}

fn face_set() -> FaceSetId {
    FaceSetId::new(1).unwrap()
}

fn opening() -> GalleryChange {
    GalleryChange::Open { face_set: face_set(), pack: pack(), schema: Arc::new(FieldSchema::default()) }
}

fn putting(number: u64, template: Template) -> GalleryChange {
    let face = FaceId::new(number).unwrap();
    let entry = GalleryEntry { face, sequence: number, person: None, template, subject: None, values: Box::default() };
    GalleryChange::Put { face_set: face_set(), entry }
}

fn question(probe: Template) -> GallerySearch {
    GallerySearch {
        face_set: face_set(),
        probe,
        top_k: 10,
        similarity_min: Similarity::MIN,
        filter: None,
        one_per_person: false,
    }
}

fn cpu() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

/// Resident memory of the process, in bytes.
fn resident() -> u64 {
    let text = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap_or_default();
    line.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn open(folder: &std::path::Path) -> FlatIndex {
    let options = FlatOptions { n_threads: 2, queue_len_max: 1024, inline_numbers_max: 0, seed: 1 };
    FlatIndex::new_in(options, folder).unwrap()
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

fn main() {
    let n_faces: u64 = std::env::var("LIKENESS_BENCH_FACES").ok().and_then(|n| n.parse().ok()).unwrap_or(100_000);
    let scratch = tempfile::tempdir().unwrap();
    let before = resident();
    let index = open(scratch.path());
    assert!(block_on(index.reopen(LIBRARY, Vec::new())).unwrap().is_none());
    block_on(index.restart()).unwrap();
    index.apply_now(Revision(1), vec![opening()]);
    let mut random = Random(0x5EED);
    let (started, cpu_before) = (Instant::now(), cpu());
    for first in (1..=n_faces).step_by(1000) {
        let numbers = first..(first + 1000).min(n_faces + 1);
        index.apply_now(Revision(1), numbers.map(|number| putting(number, random.template())).collect());
    }
    block_on(index.resume(Revision(1))).unwrap();
    println!(
        "{n_faces} x {DIMENSIONS} put in {:.2?} ({:.2?} of processor time), {} bytes of memory a face",
        started.elapsed(),
        cpu() - cpu_before,
        resident().saturating_sub(before) / n_faces
    );
    let before_hits = hits(&index, question(Random(9).template()));
    drop(index);

    let (started, cpu_before) = (Instant::now(), cpu());
    let index = open(scratch.path());
    let kept = block_on(index.reopen(LIBRARY, vec![opening()])).unwrap().expect("rows that were kept");
    block_on(index.resume(kept.revision)).unwrap();
    let found = hits(&index, question(Random(9).template()));
    println!(
        "to the first search after a restart: {:.2?} ({:.2?} of processor time), {} MB resident",
        started.elapsed(),
        cpu() - cpu_before,
        resident() / 1_000_000
    );
    assert_eq!(found, before_hits);

    costs(&index);
    searches("alone", &index, None);
    searches("beside writes", &index, Some(n_faces));
}

/// Processor time of a search, alone and many together.
fn costs(index: &FlatIndex) {
    let mut random = Random(55);
    for (batch, n_batches) in [(1, 64), (16, 8), (256, 4)] {
        let cpu_before = cpu();
        for _ in 0..n_batches {
            let questions: Vec<_> = (0..batch).map(|_| question(random.template())).collect();
            block_on(async {
                let asked: Vec<_> = questions.into_iter().map(|question| index.search(question)).collect();
                let mut asked: Vec<_> = asked.into_iter().map(Box::pin).collect();
                // Each is in the queue before the first is awaited.
                std::future::poll_fn(|context| {
                    asked.retain_mut(|search| search.as_mut().poll(context).is_pending());
                    if asked.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
                })
                .await;
            });
        }
        let each = (cpu() - cpu_before) / (batch * n_batches);
        println!(
            "{batch} together: {each:.2?} of processor time a search, {:.0} a second and core",
            1.0 / each.as_secs_f64()
        );
    }
}

/// Searches one after the other for some seconds, beside writes or not.
fn searches(what: &str, index: &FlatIndex, writes_to: Option<u64>) {
    const SECONDS: u64 = 5;
    let (is_done, n_written) = (AtomicBool::new(false), AtomicU64::new(0));
    let (mut taken, mut pauses) = (Vec::new(), Vec::new());
    std::thread::scope(|scope| {
        let (is_done, n_written) = (&is_done, &n_written);
        if let Some(n_faces) = writes_to {
            scope.spawn(move || write(index, n_faces, is_done, n_written));
        }
        // How long the gallery cannot be entered.
        let watch = scope.spawn(move || {
            let mut pauses = Vec::new();
            while !is_done.load(Ordering::Relaxed) {
                let started = Instant::now();
                std::hint::black_box(index.n_rows(face_set()));
                pauses.push(started.elapsed());
                std::thread::sleep(Duration::from_micros(200));
            }
            pauses
        });
        let mut random = Random(77);
        let end = Instant::now() + Duration::from_secs(SECONDS);
        while Instant::now() < end {
            let probe = random.template();
            let started = Instant::now();
            std::hint::black_box(hits(index, question(probe)));
            taken.push(started.elapsed());
        }
        is_done.store(true, Ordering::Relaxed);
        pauses = watch.join().unwrap();
    });
    taken.sort_unstable();
    pauses.sort_unstable();
    let at = |all: &[Duration], share: f64| all[((all.len() - 1) as f64 * share) as usize];
    println!(
        "{what}: {} searches, median {:.2?}, 99 % within {:.2?}, longest {:.2?}; entering the gallery 99.9 % within {:.2?}, \
         longest {:.2?}; {} writes a second",
        taken.len(),
        at(&taken, 0.5),
        at(&taken, 0.99),
        at(&taken, 1.0),
        at(&pauses, 0.999),
        at(&pauses, 1.0),
        n_written.load(Ordering::Relaxed) / SECONDS
    );
}

/// Removes the oldest faces and puts as many new ones, at the pace.
fn write(index: &FlatIndex, n_faces: u64, is_done: &AtomicBool, n_written: &AtomicU64) {
    let mut random = Random(33);
    let started = Instant::now();
    let mut next = 1;
    while !is_done.load(Ordering::Relaxed) {
        let mut changes = Vec::new();
        for _ in 0..COMMIT_WRITES / 2 {
            changes.push(GalleryChange::Remove { face_set: face_set(), face: FaceId::new(next).unwrap() });
            changes.push(putting(n_faces + next, random.template()));
            next += 1;
        }
        index.apply_now(Revision(2 + next), changes);
        let n = n_written.fetch_add(COMMIT_WRITES, Ordering::Relaxed) + COMMIT_WRITES;
        let due = Duration::from_micros(n * 1_000_000 / WRITES_PER_S);
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
}
