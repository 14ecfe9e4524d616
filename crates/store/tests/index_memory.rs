//! How much resident memory the index takes for a face, as Linux counts it: a test binary of its own with one test, as
//! everything that the process holds is counted.
#![cfg(target_os = "linux")]

use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::{GalleryChange, GalleryEntry, VectorIndex};
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId, Revision, Template};
use likeness_store::index::conformance::ApplyNow;
use likeness_store::index::{FlatIndex, FlatOptions};

const FACE_BYTES_MAX: usize = 211;
const SET_BYTES_MAX: usize = 6_500_000;

/// What the heap for the changes of a commit may grow by.
const HEAP_BYTES_MAX: usize = 1_000_000;

/// At most 211 bytes a face of 128 numbers in a set without persons and custom fields, and 6.5 MB a set: up to 1024 of its
/// last rows keep their vectors in memory, and of each of the two planes one large page may be nearly empty, as one of
/// sketches, which the first 98,304 rows do not have. 220 in all are held from 100,000 faces on. Looked at after each commit,
/// until all tables have grown several times and most rows are of segments with sketches, and after a start.
#[test]
fn a_face_takes_at_most_211_bytes_of_resident_memory_and_a_set_6_and_a_half_megabytes() {
    const N_FACES: u64 = 240_000;
    // What a process needs once, such as the heap for the changes of a commit, is not the set's.
    let scratch = tempfile::tempdir().expect("a folder");
    fill(&open(scratch.path()), 4000, |_| {});

    let scratch = tempfile::tempdir().expect("a folder");
    let before = resident();
    let index = open(scratch.path());
    let check = |n_faces: usize| {
        let n_bytes = resident().saturating_sub(before + HEAP_BYTES_MAX);
        let bytes_per_face = n_bytes.saturating_sub(SET_BYTES_MAX) / n_faces;
        assert!(
            bytes_per_face <= FACE_BYTES_MAX,
            "{n_faces} faces: {n_bytes} bytes, {bytes_per_face} each, expected at most {FACE_BYTES_MAX}"
        );
        assert!(n_faces < 100_000 || n_bytes <= 220 * n_faces, "{n_faces} faces: {n_bytes} bytes");
    };
    fill(&index, N_FACES, check);
    drop(index);

    let index = open(scratch.path());
    assert!(block_on(index.reopen(LIBRARY, vec![opening()])).expect("read").is_some(), "the rows are found again");
    block_on(index.resume(Revision(1))).expect("an index that is searched");
    assert_eq!(index.n_rows(face_set()), N_FACES as usize);
    check(N_FACES as usize);
}

const LIBRARY: [u8; 16] = [1; 16];

fn face_set() -> FaceSetId {
    FaceSetId::new(1).expect("an id")
}

fn pack() -> PackId {
    PackId::new("pack-1").expect("a pack id")
}

fn opening() -> GalleryChange {
    GalleryChange::Open { face_set: face_set(), pack: pack(), schema: Arc::new(FieldSchema::default()) }
}

fn open(folder: &Path) -> FlatIndex {
    let options = FlatOptions { n_threads: 2, queue_len_max: 1, inline_numbers_max: 0, seed: 1 };
    FlatIndex::new_in(options, folder).expect("an index")
}

fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(future)
}

/// Puts so many faces, and says after each commit how many there are.
fn fill(index: &FlatIndex, n_faces: u64, check: impl Fn(usize)) {
    assert!(block_on(index.reopen(LIBRARY, Vec::new())).expect("nothing to read").is_none());
    block_on(index.restart()).expect("an empty index");
    index.apply_now(Revision(1), vec![opening()]);
    for first in (1..=n_faces).step_by(1000) {
        let put = |number: u64| {
            let raw: Vec<f32> = (0..128).map(|idx| ((number * 128 + idx) as f32 * 0.37).sin()).collect();
            let template = Template::new(pack(), &raw).expect("a direction");
            let face = FaceId::new(number).expect("an id");
            let entry =
                GalleryEntry { face, sequence: number, person: None, template, subject: None, values: Box::default() };
            GalleryChange::Put { face_set: face_set(), entry }
        };
        index.apply_now(Revision(1), (first..(first + 1000).min(n_faces + 1)).map(put).collect());
        check(index.n_rows(face_set()));
    }
    block_on(index.resume(Revision(1))).expect("an index that is searched");
}

/// Bytes of memory that this process has of its own, in memory or swapped out.
fn resident() -> usize {
    let told = std::fs::read_to_string("/proc/self/smaps_rollup").expect("Linux says what a process holds");
    let kibibytes = |name: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(name)).expect("a line of its own");
        line.trim().trim_end_matches(" kB").parse::<usize>().expect("a number")
    };
    (kibibytes("Anonymous:") + kibibytes("Swap:")) * 1024
}
