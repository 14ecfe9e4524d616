//! A large face set in a folder, in a database, and in a database with Milvus: rates, memory, latency, recall. The figures of
//! docs/scale.md come from `LIKENESS_TEST_FIGURES_FACES=1000000 cargo nextest run --release -p likeness-store --features milvus
//! -E 'test(figures)' --no-capture`, with `LIKENESS_TEST_POSTGRES_SETTINGS='fsync=on;shared_buffers=1GB;max_wal_size=4GB'`.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::ports::{GallerySearch, GalleryStore, Hit, VectorIndex};
use likeness_domain::types::{FaceOwner, FaceSetId, NewFace, Similarity, Template};
use likeness_store::conformance::samples::*;
use likeness_store::embedded::EmbeddedStore;
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use likeness_store::milvus;
use likeness_store::postgres::{PostgresStore, Settings};

use super::server;
use crate::milvus::server as milvus_server;
use crate::milvus::server::Variety;
use crate::milvus::{Chance, vector};

const N_PROBES: u64 = 200;
const TOP_K: usize = 10;
const N_NUMBERS: usize = 128;
const OF_PERSON: u64 = 4;
const COMMIT_FACES: u64 = 1000;

/// What the tests bear with.
const RECALL_MIN: f64 = 0.95;

fn index(folder: &Path) -> Arc<FlatIndex> {
    let options = FlatOptions { n_threads: 2, queue_len_max: 64, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 0x5eed };
    Arc::new(FlatIndex::new_in(options, folder).unwrap())
}

/// MiB that this process has in memory, its mapped files left out.
fn memory() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("RssAnon:"));
    let kib = line.and_then(|line| line.trim().trim_end_matches(" kB").parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0
}

struct Measured<'a> {
    what: &'a str,
    store: &'a dyn GalleryStore,
    index: Arc<dyn VectorIndex>,
    n_faces: u64,
}

impl Measured<'_> {
    async fn filled(&self) -> FaceSetId {
        let set = self.store.create_face_set(by(ours()), face_set("many"), None).await.unwrap().id;
        let (mut chance, mut taken) = (Chance(1), Duration::ZERO);
        for first in (1..=self.n_faces).step_by(COMMIT_FACES as usize) {
            let faces: Vec<NewFace> = (first..(first + COMMIT_FACES).min(self.n_faces + 1))
                .map(|number| {
                    let raw = vector(&mut chance, number / OF_PERSON, N_NUMBERS);
                    NewFace { template: Template::new(pack(), &raw).unwrap(), ..labelled(number, "somebody") }
                })
                .collect();
            let began = Instant::now();
            self.store.add_faces(by(ours()), FaceOwner::FaceSet(set), faces, None).await.unwrap();
            taken += began.elapsed();
        }
        let rate = self.n_faces as f64 / taken.as_secs_f64();
        eprintln!("{}: {} faces in {taken:?}, {rate:.0} a second; {:.0} MiB", self.what, self.n_faces, memory());
        set
    }

    async fn answers(&self, set: FaceSetId) -> Vec<Vec<Hit>> {
        let (mut chance, mut taken, mut answers) = (Chance(2), Vec::new(), Vec::new());
        for probe in 0..N_PROBES {
            let raw = vector(&mut chance, probe * (self.n_faces / OF_PERSON) / N_PROBES, N_NUMBERS);
            let question = GallerySearch {
                face_set: set,
                probe: Template::new(pack(), &raw).unwrap(),
                top_k: TOP_K,
                similarity_min: Similarity::MIN,
                filter: None,
                one_per_person: false,
            };
            let began = Instant::now();
            answers.push(self.index.search(question).await.unwrap());
            taken.push(began.elapsed());
        }
        taken.sort_unstable();
        let place = |share: f64| taken[((taken.len() - 1) as f64 * share) as usize];
        eprintln!("{}: search median {:?}, 95 % {:?}, longest {:?}", self.what, place(0.5), place(0.95), place(1.0));
        answers
    }
}

fn recall(found: &[Vec<Hit>], wanted: &[Vec<Hit>]) -> f64 {
    let n_found: usize = found.iter().zip(wanted).map(|(a, b)| b.iter().filter(|hit| a.contains(hit)).count()).sum();
    n_found as f64 / wanted.iter().map(Vec::len).sum::<usize>() as f64
}

#[test]
fn figures_of_a_large_set_with_and_without_milvus() {
    if !server::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let n_faces = std::env::var("LIKENESS_TEST_FIGURES_FACES").ok().and_then(|n| n.parse().ok()).unwrap_or(2000_u64);
    let (server, scratch) = (server::shared(), tempfile::tempdir().unwrap());
    let folder = |name: &str| {
        let folder = scratch.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    };
    let settings = Settings { n_connections: 8, ..Settings::DEFAULT };
    let patient = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let exact = {
        let dir = folder("embedded");
        let index = index(&dir);
        let store = EmbeddedStore::open(&dir, Arc::clone(&index) as _).unwrap();
        let measured = Measured { what: "folder", store: &store, index, n_faces };
        patient.block_on(async { measured.answers(measured.filled().await).await })
    };
    let database = server.database();
    let (set, in_database) = {
        let index = index(&folder("postgres"));
        let store = PostgresStore::open(server.place(&database), index, settings, clock()).unwrap();
        let measured = Measured { what: "database", store: &store, index: store.index(), n_faces };
        patient.block_on(async {
            let set = measured.filled().await;
            (set, measured.answers(set).await)
        })
    };
    assert_eq!(in_database, exact, "both are exact");
    {
        let began = Instant::now();
        let index = index(&folder("again"));
        let _store = PostgresStore::open(server.place(&database), index, settings, clock()).unwrap();
        eprintln!("database: a server has started after {:?}", began.elapsed());
    }
    let milvus = milvus_server::Server::start(Variety::Standalone);
    let large = milvus::Settings {
        from_faces: 1,
        deadline: Duration::from_secs(60),
        ..milvus::Settings::new(milvus.address())
    };
    let place = server.place(&database);
    let store =
        PostgresStore::open_with_milvus(place, index(&folder("milvus")), settings, clock(), large.clone()).unwrap();
    let measured = Measured { what: "database with Milvus", store: &store, index: store.index(), n_faces };
    patient.block_on(async {
        let began = Instant::now();
        while !measured.index.is_elsewhere(set) {
            // What the database does lets time pass, and the index's own tasks go on.
            store.face_set(ours(), face_set("many").name).await.unwrap();
        }
        let rate = n_faces as f64 / began.elapsed().as_secs_f64();
        eprintln!("{}: copied, and in its graph after {:?}, {rate:.0} a second", measured.what, began.elapsed());
        let found = measured.answers(set).await;
        let recall = recall(&found, &exact);
        eprintln!("{}: {recall:.4} of the best {TOP_K}; it has {:.0} MiB in memory", measured.what, milvus.memory());
        assert!(recall >= RECALL_MIN, "{recall}");
    });
    drop(store);
    let began = Instant::now();
    let index = index(&folder("last"));
    let _store = PostgresStore::open_with_milvus(server.place(&database), index, settings, clock(), large).unwrap();
    eprintln!("database with Milvus: a server has started after {:?}, with {:.0} MiB", began.elapsed(), memory());
}
