//! The index whose large sets are in Milvus, against real servers that the tests start themselves.

mod faults;
mod secured;
pub(crate) mod server;
mod truth;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use likeness_domain::filter::{Filter, FilterRow};
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId, Revision, Similarity, Template};
use likeness_store::index::BruteForceIndex;
use likeness_store::index::conformance::{CASES, check_all};
use likeness_store::milvus::truth::Stage;
use likeness_store::milvus::{MilvusIndex, Settings};
use tokio::runtime::{Handle, Runtime};

use self::server::{Server, Variety};
use self::truth::MemoryTruth;

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime")
}

fn settings(server: &Server, from_faces: u64) -> Settings {
    // A busy machine may keep Milvus waiting for seconds; a server that is gone is noticed at once.
    let deadline = Duration::from_secs(60);
    let settling = Duration::ZERO;
    Settings { from_faces, look_every: Duration::ZERO, settling, deadline, ..Settings::new(server.address()) }
}

/// Steps until there is nothing to do.
async fn settle(index: &MilvusIndex) {
    loop {
        let has_worked = index.step().await.expect("Milvus and the store are there");
        let outbox = index.outbox().await.expect("the store is there");
        let is_filling = outbox.sets.values().any(|set| set.stage != Stage::Served);
        if !has_worked && !is_filling {
            return;
        }
    }
}

/// An index with the store that feeds it: what is applied is committed first.
///
/// Each has sets of its own in collections that they share, as making one takes seconds. Revisions are those of commits,
/// which the cases do not count as a store does.
struct Fed {
    truth: Arc<MemoryTruth>,
    index: Arc<MilvusIndex>,
    runtime: Handle,
    sets_from: u64,
    /// Every how many commits Milvus is brought up to date.
    ship_every: u64,
    n_commits: AtomicU64,
    last: AtomicU64,
}

impl Fed {
    fn new(server: &Server, runtime: &Runtime, ship_every: u64) -> Self {
        static N: AtomicU64 = AtomicU64::new(0);
        let truth = Arc::new(MemoryTruth::default());
        let inner = Arc::new(BruteForceIndex::new());
        let handle = runtime.handle().clone();
        let index = MilvusIndex::new(inner, Arc::clone(&truth) as _, settings(server, 0), handle.clone());
        Self {
            truth,
            index: Arc::new(index),
            runtime: handle,
            sets_from: 1000 * N.fetch_add(1, Ordering::SeqCst),
            ship_every,
            n_commits: AtomicU64::new(0),
            last: AtomicU64::new(0),
        }
    }

    fn mapped(&self, face_set: FaceSetId) -> FaceSetId {
        FaceSetId::new(face_set.get() + self.sets_from).expect("a small number is an id")
    }

    fn mapped_change(&self, change: GalleryChange) -> GalleryChange {
        match change {
            GalleryChange::Open { face_set, pack, schema } => {
                GalleryChange::Open { face_set: self.mapped(face_set), pack, schema }
            }
            GalleryChange::Close { face_set } => GalleryChange::Close { face_set: self.mapped(face_set) },
            GalleryChange::Put { face_set, entry } => GalleryChange::Put { face_set: self.mapped(face_set), entry },
            GalleryChange::Remove { face_set, face } => GalleryChange::Remove { face_set: self.mapped(face_set), face },
        }
    }
}

impl VectorIndex for Fed {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let changes: Vec<GalleryChange> = changes.into_iter().map(|change| self.mapped_change(change)).collect();
        // A set moves to Milvus when it is made, so that nothing of it is ever searched within the node.
        let opens = changes.iter().any(|change| matches!(change, GalleryChange::Open { .. }));
        let commit = self.truth.commit(&changes);
        let n_commits = self.n_commits.fetch_add(1, Ordering::SeqCst);
        self.last.store(revision.0, Ordering::SeqCst);
        let ships = opens || n_commits.is_multiple_of(self.ship_every);
        let index = Arc::clone(&self.index);
        let applied = self.runtime.spawn(async move {
            index.apply(commit, changes).await?;
            if ships {
                settle(&index).await;
            }
            Ok(())
        });
        Box::pin(async move { applied.await.expect("no panic") })
    }

    fn revision(&self) -> Option<Revision> {
        self.index.revision().map(|_| Revision(self.last.load(Ordering::SeqCst)))
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.truth.clear();
        self.index.restart()
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.last.store(revision.0, Ordering::SeqCst);
        self.index.resume(Revision(self.n_commits.load(Ordering::SeqCst)))
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        let face_set = self.mapped(question.face_set);
        self.index.search(GallerySearch { face_set, ..question })
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        self.index.matching(self.mapped(face_set), filter)
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        // Counted when Milvus is brought up to date, which is not after every commit here.
        let face_set = self.mapped(face_set);
        let filter = Arc::new(Filter::Every(Vec::new()));
        match self.ship_every {
            1 => self.index.n_rows(face_set),
            _ => pollster(self.index.matching(face_set, filter)).map_or(0, |rows| rows.len()),
        }
    }
}

fn pollster<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Every case of the suite holds: the sets of its cases are small enough for Milvus to look at every row. With everything in
/// Milvus, with everything in the tail, and with half here and half there.
fn conforms(variety: Variety) {
    if !server::is_installed() {
        return;
    }
    let (server, runtime) = (Server::start(variety), runtime());
    for ship_every in [1, 2, u64::MAX] {
        let started = Instant::now();
        check_all(|| Arc::new(Fed::new(&server, &runtime, ship_every)));
        eprintln!("{} cases, Milvus every {ship_every} commits: {:?}", CASES.len(), started.elapsed());
    }
}

#[test]
fn conforms_with_a_standalone_server() {
    conforms(Variety::Standalone);
}

#[test]
fn conforms_with_the_small_one() {
    conforms(Variety::Lite);
}

const SET: u64 = 1;

fn set(number: u64) -> FaceSetId {
    FaceSetId::new(number).unwrap()
}

fn face(number: u64) -> FaceId {
    FaceId::new(number).unwrap()
}

fn pack() -> PackId {
    PackId::new("pack-1").unwrap()
}

fn opening(number: u64) -> GalleryChange {
    GalleryChange::Open { face_set: set(number), pack: pack(), schema: Arc::new(FieldSchema::new([]).unwrap()) }
}

/// Numbers that look like chance and are the same every time.
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    /// About normally distributed.
    fn normal(&mut self) -> f32 {
        (0..6).map(|_| self.next() as f32 / (1_u64 << 31) as f32 - 0.5).sum()
    }
}

/// A face of one of many persons: their faces are alike, as those of a recogniser are.
pub(crate) fn vector(chance: &mut Chance, person: u64, n_numbers: usize) -> Vec<f32> {
    let mut of_person = Chance(person.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    (0..n_numbers).map(|_| of_person.normal() + 0.6 * chance.normal()).collect()
}

fn entry(number: u64, raw: &[f32]) -> GalleryEntry {
    GalleryEntry {
        face: face(number),
        sequence: number,
        person: None,
        template: Template::new(pack(), raw).unwrap(),
        subject: Some(format!("subject {}", number % 100).into()),
        values: Box::new([]),
    }
}

fn putting(number: u64, entry: GalleryEntry) -> GalleryChange {
    GalleryChange::Put { face_set: set(number), entry }
}

fn removing(number: u64, gone: u64) -> GalleryChange {
    GalleryChange::Remove { face_set: set(number), face: face(gone) }
}

fn question(number: u64, raw: &[f32], top_k: usize) -> GallerySearch {
    GallerySearch {
        face_set: set(number),
        probe: Template::new(pack(), raw).unwrap(),
        top_k,
        similarity_min: Similarity::MIN,
        filter: None,
        one_per_person: false,
    }
}

/// The answer of a full scan.
fn exactly(rows: &[GalleryEntry], question: &GallerySearch) -> Vec<Hit> {
    let passes = |row: &&GalleryEntry| {
        let row = FilterRow { face: row.face, subject: row.subject.as_deref(), values: &row.values };
        question.filter.as_ref().is_none_or(|filter| filter.matches(row))
    };
    let mut found: Vec<(Similarity, &GalleryEntry)> =
        rows.iter().filter(passes).filter_map(|row| Some((row.template.similarity(&question.probe)?, row))).collect();
    found.sort_by(|(a, a_row), (b, b_row)| b.get().total_cmp(&a.get()).then(a_row.sequence.cmp(&b_row.sequence)));
    let hit = |(similarity, row): (Similarity, &GalleryEntry)| Hit {
        face: row.face,
        person: row.person,
        similarity,
        sequence: row.sequence,
    };
    found.into_iter().take(question.top_k).map(hit).collect()
}

/// Faces of a large set, where they are, and what is asked.
struct Large {
    truth: Arc<MemoryTruth>,
    index: Arc<MilvusIndex>,
    chance: Chance,
    rows: Vec<GalleryEntry>,
}

impl Large {
    const N_PROBES: u64 = 100;
    const TOP_K: usize = 10;
    const N_NUMBERS: usize = 128;
    /// Faces of a person.
    const OF_PERSON: u64 = 4;
    /// What the tests bear with.
    const RECALL_MIN: f64 = 0.98;

    async fn add(&mut self, n_faces: u64) {
        let until = self.rows.len() as u64 + n_faces;
        while (self.rows.len() as u64) < until {
            let from = self.rows.len() as u64;
            let mut changes = vec![opening(SET)];
            for number in from..(from + 1000).min(until) {
                let raw = vector(&mut self.chance, number / Self::OF_PERSON, Self::N_NUMBERS);
                self.rows.push(entry(number + 1, &raw));
                changes.extend(self.rows.last().cloned().map(|row| putting(SET, row)));
            }
            self.index.apply(self.truth.commit(&changes), changes).await.unwrap();
        }
    }

    async fn measure(&mut self, what: &str, filter: Option<Arc<Filter>>) {
        let n_persons = self.rows.len() as u64 / Self::OF_PERSON;
        let (mut n_wanted, mut n_found, mut n_first, mut took) = (0, 0, 0, Vec::new());
        for probe in 0..Self::N_PROBES {
            let raw = vector(&mut self.chance, probe * n_persons / Self::N_PROBES, Self::N_NUMBERS);
            let question = GallerySearch { filter: filter.clone(), ..question(SET, &raw, Self::TOP_K) };
            let wanted = exactly(&self.rows, &question);
            let began = Instant::now();
            let found = self.index.search(question).await.unwrap();
            took.push(began.elapsed());
            n_wanted += wanted.len();
            n_found += wanted.iter().filter(|hit| found.contains(hit)).count();
            n_first += usize::from(found.first() == wanted.first());
        }
        took.sort_unstable();
        let recall = n_found as f64 / n_wanted as f64;
        eprintln!(
            "{what}: {recall:.4} of the best {} of {}, {:.4} of the very best; median {:?}, longest {:?}",
            Self::TOP_K,
            self.rows.len(),
            n_first as f64 / Self::N_PROBES as f64,
            took[took.len() / 2],
            took[took.len() - 1]
        );
        assert!(recall >= Self::RECALL_MIN, "{what}: {recall}");
    }
}

/// How many of the best hits are found in a set of many faces of many persons: measured, with a bound that has some room.
#[test]
fn recall() {
    if !server::is_installed() {
        return;
    }
    let n_faces: u64 = std::env::var("LIKENESS_TEST_MILVUS_FACES").map_or(20_000, |n| n.parse().expect("a number"));
    let (server, runtime) = (Server::start(Variety::Standalone), runtime());
    let truth = Arc::new(MemoryTruth::default());
    let inner = Arc::new(BruteForceIndex::new());
    // On a busy machine Milvus may take its time with the last rows: those are compared one by one then.
    let settings = Settings { graph_wait_max: Duration::from_secs(180), ..settings(&server, 1) };
    let index = MilvusIndex::new(inner, Arc::clone(&truth) as _, settings, runtime.handle().clone());
    let mut large = Large { truth, index: Arc::new(index), chance: Chance(1), rows: Vec::new() };
    runtime.block_on(async {
        large.add(n_faces).await;
        let started = Instant::now();
        while !large.index.is_elsewhere(set(SET)) {
            large.index.step().await.unwrap();
        }
        eprintln!("{n_faces} faces handed to Milvus, and in its graph: {:?}", started.elapsed());
        let tenth = (0..10).map(|number| Filter::Subject(format!("subject {number}").into()));
        let tenth = Some(Arc::new(Filter::AnyOf(tenth.collect())));
        large.measure("all faces", None).await;
        large.measure("a filter that a tenth passes", tenth).await;
        large.add(n_faces / 4).await;
        settle(&large.index).await;
        large.measure("with a fifth that is not in the graph", None).await;
    });
}
