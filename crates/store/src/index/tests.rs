use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, KeptRows, VectorIndex};
use likeness_domain::types::{FaceId, FaceSetId, FieldSchema, PackId, PersonId, Revision, Similarity, Template};
use proptest::prelude::*;

use crate::wait::wait_for;

use super::conformance::ApplyNow;
use super::conformance::{check_all, hits};
use super::galleries::Galleries;
use super::gallery::{Backing, Gallery, RowChange};
use super::pool::{Pool, answer_together};
use super::*;

/// Answers on the caller's thread.
fn flat_inline() -> Arc<dyn VectorIndex> {
    let options = FlatOptions { n_threads: 1, queue_len_max: 1, inline_numbers_max: usize::MAX, seed: 1 };
    Arc::new(FlatIndex::new(options).unwrap())
}

/// Every search goes through queue and threads.
fn flat_pooled() -> Arc<dyn VectorIndex> {
    Arc::new(FlatIndex::new(FlatOptions { n_threads: 2, queue_len_max: 64, inline_numbers_max: 0, seed: 1 }).unwrap())
}

/// With its rows on disk.
fn flat_in(folder: &Path) -> Arc<FlatIndex> {
    let options = FlatOptions { n_threads: 2, queue_len_max: 64, inline_numbers_max: 0, seed: 1 };
    Arc::new(FlatIndex::new_in(options, folder).unwrap())
}

#[test]
fn flat_conforms_with_its_rows_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let n_opened = AtomicUsize::new(0);
    check_all(|| {
        let folder = scratch.path().join(n_opened.fetch_add(1, Ordering::Relaxed).to_string());
        std::fs::create_dir(&folder).unwrap();
        flat_in(&folder)
    });
}

#[test]
fn flat_conforms_on_the_callers_thread() {
    check_all(flat_inline);
}

#[test]
fn flat_conforms_on_its_threads() {
    check_all(flat_pooled);
}

#[test]
fn the_oracle_conforms() {
    check_all(|| Arc::new(BruteForceIndex::new()));
}

// ------------------------------------------------------------------------------------------- equal to a full scan

fn set() -> FaceSetId {
    FaceSetId::new(1).unwrap()
}

fn pack() -> PackId {
    PackId::new("pack-1").unwrap()
}

fn opening() -> GalleryChange {
    GalleryChange::Open { face_set: set(), pack: pack(), schema: Arc::new(FieldSchema::default()) }
}

fn entry(number: u64, template: Template) -> GalleryEntry {
    GalleryEntry {
        face: FaceId::new(number).unwrap(),
        sequence: number,
        person: None,
        template,
        subject: None,
        values: Box::new([]),
    }
}

fn putting(entry: GalleryEntry) -> GalleryChange {
    GalleryChange::Put { face_set: set(), entry }
}

fn question(probe: Template, top_k: usize) -> GallerySearch {
    GallerySearch {
        face_set: set(),
        probe,
        top_k,
        similarity_min: Similarity::MIN,
        filter: None,
        one_per_person: false,
    }
}

/// How a row's vector is made of the few base vectors of a case: what makes a cheap bound go wrong.
#[derive(Debug, Clone)]
enum Shape {
    /// The base itself: ties.
    Same,
    /// One number moved by a few units in the last place: near ties, often with the same codes.
    Nudged { dimension: usize, n_ulps: i32 },
    /// A little of another base mixed in.
    Mixed { share: f32, with: usize },
    /// One number made much larger than all others: a coarse scale.
    Spiked { dimension: usize, factor: f32 },
    /// The opposite direction.
    Opposite,
}

fn shape() -> impl Strategy<Value = Shape> {
    prop_oneof![
        2 => Just(Shape::Same),
        3 => (any::<usize>(), -4_i32..=4).prop_map(|(dimension, n_ulps)| Shape::Nudged { dimension, n_ulps }),
        3 => (-1e-3_f32..1e-3, any::<usize>()).prop_map(|(share, with)| Shape::Mixed { share, with }),
        1 => (any::<usize>(), -1000.0_f32..1000.0).prop_map(|(dimension, factor)| Shape::Spiked { dimension, factor }),
        1 => Just(Shape::Opposite),
    ]
}

fn shaped(bases: &[Vec<f32>], base_idx: usize, shape: &Shape) -> Option<Template> {
    let base = &bases[base_idx % bases.len()];
    let mut raw = base.clone();
    match *shape {
        Shape::Same => {}
        Shape::Nudged { dimension, n_ulps } => {
            // Already of unit length, so that the nudge survives.
            let mut unit = Template::new(pack(), base).ok()?.unit().to_vec();
            let number = &mut unit[dimension % base.len()];
            for _ in 0..n_ulps.abs() {
                *number = if n_ulps > 0 { number.next_up() } else { number.next_down() };
            }
            return Template::from_unit(pack(), unit.into()).ok();
        }
        Shape::Mixed { share, with } => {
            let other = &bases[with % bases.len()];
            raw.iter_mut().zip(other).for_each(|(number, other)| *number += share * other);
        }
        Shape::Spiked { dimension, factor } => raw[dimension % base.len()] *= factor,
        Shape::Opposite => raw.iter_mut().for_each(|number| *number = -*number),
    }
    Template::new(pack(), &raw).ok()
}

#[derive(Debug, Clone)]
struct Row {
    number: u64,
    sequence: u64,
    person: Option<u64>,
    base_idx: usize,
    shape: Shape,
    is_removed: bool,
}

fn row() -> impl Strategy<Value = Row> {
    // Few numbers and sequences: faces are put again, and sequences are not in order of arrival.
    (1_u64..400, 1_u64..1000, prop::option::of(1_u64..6), any::<usize>(), shape(), prop::bool::weighted(0.1)).prop_map(
        |(number, sequence, person, base_idx, shape, is_removed)| Row {
            number,
            sequence,
            person,
            base_idx,
            shape,
            is_removed,
        },
    )
}

fn bases() -> impl Strategy<Value = Vec<Vec<f32>>> {
    prop_oneof![1_usize..8, 8_usize..130, 130_usize..600].prop_flat_map(|dimensions| {
        let number = prop_oneof![8 => -1.0_f32..1.0, 1 => Just(0.0_f32), 1 => -1e-5_f32..1e-5];
        prop::collection::vec(prop::collection::vec(number, dimensions), 1..4)
    })
}

#[derive(Debug, Clone)]
struct Ask {
    base_idx: usize,
    shape: Shape,
    top_k: usize,
    /// Of a row's own similarity, to meet thresholds exactly.
    threshold_row: Option<usize>,
    one_per_person: bool,
    every_nth: Option<u64>,
}

fn ask() -> impl Strategy<Value = Ask> {
    (any::<usize>(), shape(), 0_usize..60, prop::option::of(any::<usize>()), any::<bool>(), prop::option::of(1_u64..12))
        .prop_map(|(base_idx, shape, top_k, threshold_row, one_per_person, every_nth)| Ask {
            base_idx,
            shape,
            top_k,
            threshold_row,
            one_per_person,
            every_nth,
        })
}

fn check_equal_to_full_scan(bases: &[Vec<f32>], rows: &[Row], asks: &[Ask]) {
    let scratch = tempfile::tempdir().unwrap();
    let indexes = [flat_inline(), flat_pooled(), flat_in(scratch.path())];
    let oracle = BruteForceIndex::new();
    let mut changes = vec![opening()];
    for row in rows {
        let face = FaceId::new(row.number).unwrap();
        if row.is_removed {
            changes.push(GalleryChange::Remove { face_set: set(), face });
        } else if let Some(template) = shaped(bases, row.base_idx, &row.shape) {
            let person = row.person.and_then(PersonId::new);
            changes.push(putting(GalleryEntry { sequence: row.sequence, person, ..entry(row.number, template) }));
        }
    }
    for changes in changes.chunks(50) {
        oracle.apply_now(Revision(1), changes.to_vec());
        indexes.iter().for_each(|index| index.apply_now(Revision(1), changes.to_vec()));
    }
    let kept = oracle.rows(set());
    for ask in asks {
        let Some(probe) = shaped(bases, ask.base_idx, &ask.shape) else { continue };
        let threshold_row = ask.threshold_row.and_then(|row_idx| kept.get(row_idx % kept.len().max(1)));
        let similarity_min = threshold_row.and_then(|row| row.template.similarity(&probe)).unwrap_or(Similarity::MIN);
        let wanted = |every_nth: u64| (1..400).step_by(every_nth as usize).filter_map(FaceId::new).map(Filter::Face);
        let filter = ask.every_nth.map(|every_nth| Arc::new(Filter::AnyOf(wanted(every_nth).collect())));
        let one_per_person = ask.one_per_person;
        let question = GallerySearch { similarity_min, filter, one_per_person, ..question(probe, ask.top_k) };
        let expected = hits(&oracle, question.clone());
        for index in &indexes {
            assert_eq!(hits(&**index, question.clone()), expected);
        }
        if let Some(filter) = question.filter {
            let matching = |index: &dyn VectorIndex| wait_for(index.matching(set(), Arc::clone(&filter))).unwrap();
            indexes.iter().for_each(|index| assert_eq!(matching(&**index), matching(&oracle)));
        }
    }
    for index in &indexes {
        assert_eq!(index.n_rows(set()), kept.len());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(96) })]

    #[test]
    fn every_search_equals_a_full_scan(
        bases in bases(),
        rows in prop::collection::vec(row(), 0..120),
        asks in prop::collection::vec(ask(), 1..6),
    ) {
        check_equal_to_full_scan(&bases, &rows, &asks);
    }
}

/// Different directions in a fixed order, without a pattern that a scale could follow.
fn scattered(seed: u64, dimensions: usize) -> Template {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
    };
    Template::new(pack(), &(0..dimensions).map(|_| next()).collect::<Vec<f32>>()).unwrap()
}

#[test]
fn a_gallery_of_many_stretches_equals_a_full_scan() {
    // More than one stretch, so that several threads share a scan; a low dimension gives close similarities.
    let (index, oracle) = (flat_pooled(), BruteForceIndex::new());
    let rows: Vec<GalleryChange> = (1..=20_000).map(|number| putting(entry(number, scattered(number, 6)))).collect();
    oracle.apply_now(Revision(1), vec![opening()]);
    index.apply_now(Revision(1), vec![opening()]);
    // The oracle looks for a face to replace in every row: give it fewer, all far from the others.
    index.apply_now(Revision(2), rows.clone());
    let probe = scattered(777_777, 6);
    let mut found: Vec<(Similarity, FaceId)> = rows
        .iter()
        .filter_map(|change| match change {
            GalleryChange::Put { entry, .. } => Some((entry.template.similarity(&probe)?, entry.face)),
            _ => None,
        })
        .collect();
    found.sort_by(|a, b| b.0.get().total_cmp(&a.0.get()).then(a.1.cmp(&b.1)));
    for top_k in [1, 10, 1000] {
        let hits = hits(&*index, question(probe.clone(), top_k));
        let hits: Vec<(Similarity, FaceId)> = hits.iter().map(|hit| (hit.similarity, hit.face)).collect();
        assert_eq!(hits, found[..top_k]);
    }
}

/// The best rows of a list that are asked for, by computing every similarity.
fn best_of(rows: &[GalleryEntry], question: &GallerySearch) -> Vec<(Similarity, FaceId)> {
    let mut best: Vec<(Similarity, u64, &GalleryEntry)> = rows
        .iter()
        .filter(|row| question.filter.is_none() || row.subject.is_some())
        .filter_map(|row| Some((row.template.similarity(&question.probe)?, row.sequence, row)))
        .filter(|(similarity, ..)| *similarity >= question.similarity_min)
        .collect();
    best.sort_by(|a, b| b.0.get().total_cmp(&a.0.get()).then(a.1.cmp(&b.1)));
    if question.one_per_person {
        let mut seen = std::collections::HashSet::new();
        best.retain(|(.., row)| row.person.is_none_or(|person| seen.insert(person)));
    }
    best.into_iter().take(question.top_k).map(|(similarity, _, row)| (similarity, row.face)).collect()
}

/// A picture of a stranger, or one of several pictures of one of a hundred people, so that looks at sketches exclude most
/// rows and not all.
fn pictured(face: u64, picture: u64, dimensions: usize) -> GalleryEntry {
    let (own, other) = (scattered(picture, dimensions), scattered(picture % 100, dimensions));
    let share = if picture.is_multiple_of(7) { 0.2 + (picture % 5) as f32 * 0.15 } else { 0.0 };
    let mixed: Vec<f32> =
        own.unit().iter().zip(other.unit()).map(|(own, other)| own * (1.0 - share) + other * share).collect();
    GalleryEntry {
        person: PersonId::new(picture % 300),
        subject: picture.is_multiple_of(2).then(|| "somebody".into()),
        ..entry(face, Template::new(pack(), &mixed).unwrap())
    }
}

#[test]
fn joined_searches_of_many_full_segments_equal_full_scans_whatever_their_number() {
    for dimensions in [160, 128, 33] {
        let gallery = Gallery::new(set(), pack(), Arc::default(), 1, Backing::default());
        let rows: Vec<GalleryEntry> = (1..=4500).map(|number| pictured(number, number, dimensions)).collect();
        gallery.apply(rows.iter().cloned().map(RowChange::Put).collect());
        // Kernels scan for few one by one and for many together, each from another number on: 2 to 17 pass by all of them.
        for n_joined in 1..=17_u64 {
            let questions: Vec<GallerySearch> = (0..n_joined)
                .map(|ask| GallerySearch {
                    similarity_min: if ask % 4 == 3 { Similarity::new(0.3) } else { Similarity::MIN },
                    filter: (ask % 6 == 5).then(|| Arc::new(Filter::HasSubject)),
                    one_per_person: ask % 5 == 4,
                    ..question(scattered(ask * 8 + n_joined, dimensions), [10, 1, 100][ask as usize % 3])
                })
                .collect();
            let answers = answer_together(&gallery, &questions).unwrap();
            for (ask, (question, hits)) in questions.iter().zip(answers).enumerate() {
                let hits: Vec<(Similarity, FaceId)> = hits.iter().map(|hit| (hit.similarity, hit.face)).collect();
                assert_eq!(hits, best_of(&rows, question), "{dimensions} dimensions, {ask} of {n_joined}");
            }
        }
    }
}

#[test]
fn a_search_of_many_full_segments_equals_a_full_scan_while_rows_change() {
    // With 160 numbers there are no sketches, and the best so far are read at once.
    for dimensions in [160, 128, 100, 33] {
        let index = flat_pooled();
        let row = |face: u64, picture: u64| pictured(face, picture, dimensions);
        let mut rows: Vec<GalleryEntry> = (1..=7000).map(|number| row(number, number)).collect();
        index.apply_now(Revision(1), vec![opening()]);
        index.apply_now(Revision(2), rows.iter().cloned().map(putting).collect());
        for round in 0..3_u64 {
            for ask in 0..12_u64 {
                let question = GallerySearch {
                    similarity_min: if ask % 4 == 3 { Similarity::new(0.3) } else { Similarity::MIN },
                    filter: (ask % 3 == 1).then(|| Arc::new(Filter::HasSubject)),
                    one_per_person: ask % 5 == 4,
                    ..question(scattered(ask * 8 + round, dimensions), [1, 10, 100][ask as usize % 3])
                };
                let expected = best_of(&rows, &question);
                let hits = hits(&*index, question);
                let hits: Vec<(Similarity, FaceId)> = hits.iter().map(|hit| (hit.similarity, hit.face)).collect();
                assert_eq!(hits, expected, "{dimensions} dimensions, round {round}, ask {ask}");
            }
            // Every fifth one is replaced and every eleventh removed: what comes from the end takes its place.
            let mut changes = Vec::new();
            for row_idx in (0..rows.len()).rev().filter(|idx| idx % 5 == 0) {
                let face = rows[row_idx].face.get();
                let new = GalleryEntry { sequence: rows[row_idx].sequence, ..row(face, face * 31 + round) };
                rows[row_idx] = new.clone();
                changes.push(putting(new));
            }
            for row_idx in (0..rows.len()).rev().filter(|idx| idx % 11 == 3) {
                changes.push(GalleryChange::Remove { face_set: set(), face: rows.swap_remove(row_idx).face });
            }
            index.apply_now(Revision(3 + round), changes);
        }
    }
}

// ------------------------------------------------------------------------------------------------- at the same time

#[test]
fn searches_see_whole_commits_while_they_arrive() {
    check_whole_commits(flat_pooled());
    let scratch = tempfile::tempdir().unwrap();
    check_whole_commits(flat_in(scratch.path()));
}

fn check_whole_commits(index: Arc<dyn VectorIndex>) {
    const N_COMMITS: u64 = 300;
    const PAIRS: u64 = 40;
    index.apply_now(Revision(1), vec![opening()]);
    let is_done = AtomicBool::new(false);
    // Each commit puts or removes both faces of a pair.
    let commit = |number: u64| {
        let pair = number % PAIRS;
        let faces = [2 * pair + 1, 2 * pair + 2];
        let change = |face: u64| match (number / PAIRS).is_multiple_of(2) {
            true => putting(entry(face, scattered(face, 24))),
            false => GalleryChange::Remove { face_set: set(), face: FaceId::new(face).unwrap() },
        };
        index.apply_now(Revision(2 + number), faces.map(change).to_vec());
        // Own writes are read at once.
        let face = FaceId::new(faces[0]).unwrap();
        let found = hits(&*index, question(scattered(faces[0], 24), 1000));
        assert_eq!(found.iter().any(|hit| hit.face == face), (number / PAIRS).is_multiple_of(2));
    };
    std::thread::scope(|scope| {
        for reader in 0..2 {
            let (index, is_done) = (&index, &is_done);
            scope.spawn(move || {
                let mut n_searches = 0;
                while !is_done.load(Ordering::Relaxed) || n_searches == 0 {
                    let mut faces: Vec<u64> = hits(&**index, question(scattered(reader + 500, 24), 1000))
                        .iter()
                        .map(|hit| hit.face.get())
                        .collect();
                    faces.sort_unstable();
                    for pair in faces.chunks(2) {
                        assert!(
                            pair.len() == 2 && pair[0] % 2 == 1 && pair[1] == pair[0] + 1,
                            "half a commit: {faces:?}"
                        );
                    }
                    n_searches += 1;
                }
            });
        }
        (0..N_COMMITS).for_each(commit);
        is_done.store(true, Ordering::Relaxed);
    });
}

#[test]
fn a_full_queue_is_overloaded_and_askers_who_left_free_their_place() {
    let pool = Pool::new(2);
    let ask = || pool.submit(question(scattered(1, 8), 1));
    let (first, _second) = (ask().unwrap(), ask().unwrap());
    assert_eq!(ask().unwrap_err().kind(), Kind::Overloaded);
    drop(first);
    let _third = ask().unwrap();
    assert_eq!(ask().unwrap_err().kind(), Kind::Overloaded);
}

#[test]
fn a_closing_pool_answers_nobody_and_its_threads_leave() {
    let pool = Pool::new(2);
    let mut answer = pool.submit(question(scattered(1, 8), 1)).unwrap();
    pool.close();
    assert!(answer.try_recv().is_err());
    pool.work_off(&Galleries::default());
}

#[test]
fn waiting_searches_are_answered_together_each_with_its_own_answer() {
    let index =
        FlatIndex::new(FlatOptions { n_threads: 1, queue_len_max: 64, inline_numbers_max: 0, seed: 1 }).unwrap();
    let oracle = BruteForceIndex::new();
    let rows: Vec<GalleryChange> = (1..=500).map(|number| putting(entry(number, scattered(number, 40)))).collect();
    for changes in [vec![opening()], rows] {
        index.apply_now(Revision(1), changes.clone());
        oracle.apply_now(Revision(1), changes);
    }
    let questions: Vec<GallerySearch> = (0..40)
        .map(|number| GallerySearch {
            // Some for a face set that does not exist.
            face_set: FaceSetId::new(if number % 7 == 3 { 2 } else { 1 }).unwrap(),
            filter: (number % 3 == 0).then(|| Arc::new(Filter::Not(Box::new(Filter::Face(FaceId::new(1).unwrap()))))),
            ..question(scattered(9000 + number, 40), number as usize % 9)
        })
        .collect();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let index = Arc::new(index);
    let answers = runtime.block_on(async {
        let ask = |question: GallerySearch| {
            let index = index.clone();
            tokio::spawn(async move { index.search(question).await })
        };
        let mut answers = Vec::new();
        for asked in questions.iter().cloned().map(ask).collect::<Vec<_>>() {
            answers.push(asked.await.unwrap().unwrap());
        }
        answers
    });
    for (question, answer) in questions.into_iter().zip(answers) {
        assert_eq!(answer, hits(&oracle, question));
    }
}

// ---------------------------------------------------------------------------------------------------- rows on disk

const LIBRARY: [u8; 16] = [9; 16];

/// Puts, replacements and removals over more than one full segment, the same for the same seed.
fn history(seed: u64, n_changes: u64) -> Vec<GalleryChange> {
    let mut state = seed;
    let mut next = |end: u64| super::rotation::split_mix(&mut state) % end;
    let change = |_| {
        let face = 1 + next(4000);
        match next(10) {
            0 | 1 => GalleryChange::Remove { face_set: set(), face: FaceId::new(face).unwrap() },
            _ => putting(GalleryEntry {
                person: PersonId::new(next(50)),
                subject: (next(4) == 0).then(|| format!("subject {}", next(100)).into()),
                ..entry(face, scattered(face * 1000 + next(3), 40))
            }),
        }
    };
    (0..n_changes).map(change).collect()
}

#[track_caller]
fn check_same_answers(index: &dyn VectorIndex, oracle: &BruteForceIndex) {
    assert_eq!(index.n_rows(set()), oracle.n_rows(set()));
    for number in 0..6 {
        let filter = (number % 3 == 1).then(|| Arc::new(Filter::HasSubject));
        let one_per_person = number % 2 == 0;
        let question = GallerySearch { filter, one_per_person, ..question(scattered(number * 7000, 40), 50) };
        assert_eq!(hits(index, question.clone()), hits(oracle, question));
    }
    let everything = question(scattered(1, 40), usize::MAX);
    assert_eq!(hits(index, everything.clone()), hits(oracle, everything));
}

fn reopened(folder: &Path, library: [u8; 16]) -> (Arc<FlatIndex>, Option<KeptRows>) {
    let index = flat_in(folder);
    let kept = wait_for(index.reopen(library, vec![opening()])).unwrap();
    (index, kept)
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort_unstable();
    names
}

/// An index with rows on disk after a history, and the oracle after the same.
fn filled(folder: &Path) -> (Arc<FlatIndex>, BruteForceIndex) {
    let (index, kept) = reopened(folder, LIBRARY);
    assert!(kept.is_none(), "nothing was kept");
    wait_for(index.restart()).unwrap();
    let oracle = BruteForceIndex::new();
    let changes = std::iter::once(opening()).chain(history(5, 6000)).collect::<Vec<_>>();
    for changes in changes.chunks(500) {
        index.apply_now(Revision(7), changes.to_vec());
        oracle.apply_now(Revision(7), changes.to_vec());
    }
    wait_for(index.resume(Revision(7))).unwrap();
    (index, oracle)
}

#[test]
fn rows_on_disk_are_found_again_and_changed_further() {
    let scratch = tempfile::tempdir().unwrap();
    let (index, oracle) = filled(scratch.path());
    assert!(index.n_rows(set()) > 2 * 1024, "some segments are full");
    check_same_answers(&*index, &oracle);
    drop(index);
    let mut revision = 7;
    for (turn, seed) in [11, 12, 13].into_iter().enumerate() {
        let (index, kept) = reopened(scratch.path(), LIBRARY);
        assert_eq!(kept.map(|kept| (kept.revision, kept.lacking)), Some((Revision(revision), Vec::new())));
        assert_eq!(index.revision(), None, "searches wait for what was committed since");
        wait_for(index.resume(Revision(revision))).unwrap();
        check_same_answers(&*index, &oracle);
        for changes in history(seed, 900).chunks(30) {
            revision += 1;
            index.apply_now(Revision(revision), changes.to_vec());
            oracle.apply_now(Revision(revision), changes.to_vec());
        }
        check_same_answers(&*index, &oracle);
        if turn == 1 {
            // As if the process had been killed: nothing is closed in order.
            std::mem::forget(index);
        }
    }
}

#[test]
fn rows_on_disk_that_may_not_be_trusted_are_not_used() {
    let scratch = tempfile::tempdir().unwrap();
    let (index, oracle) = filled(scratch.path());
    let path = scratch.path().join(format!("{}40", row_file::ROWS_FILE));
    // While it is in use the same file may be trusted, after a kill; a copy may not.
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(&path, copy.path().join(path.file_name().unwrap())).unwrap();
    assert!(reopened(copy.path(), LIBRARY).1.is_none());
    drop(index);
    let whole = std::fs::read(&path).unwrap();
    assert!(reopened(scratch.path(), [8; 16]).1.is_none(), "another library");
    let row_bytes = (whole.len() - 4096) / 40;
    for damaged_at in [3, 20, 36, 42, 60, 70, 4096 + 9, 4096 + row_bytes * 3, whole.len() - 70] {
        let mut damaged = whole.clone();
        damaged[damaged_at] ^= 0x10;
        // The other state is that of a process that had the file in use.
        damaged[64..144].copy_from_slice(&whole[64..144]);
        if (64..144).contains(&damaged_at) {
            damaged[64..144].fill(7);
        }
        std::fs::write(&path, damaged).unwrap();
        let (index, kept) = reopened(scratch.path(), LIBRARY);
        assert!(kept.is_none(), "byte {damaged_at} was changed");
        drop(index);
    }
    std::fs::write(&path, &whole[..100]).unwrap();
    assert!(reopened(scratch.path(), LIBRARY).1.is_none());
    // Written again as it was it is trusted: it was closed in order.
    std::fs::write(&path, &whole).unwrap();
    let (index, kept) = reopened(scratch.path(), LIBRARY);
    assert_eq!(kept.unwrap().revision, Revision(7));
    wait_for(index.resume(Revision(7))).unwrap();
    check_same_answers(&*index, &oracle);
}

#[test]
fn an_index_filled_anew_overwrites_the_rows_on_disk() {
    let scratch = tempfile::tempdir().unwrap();
    let (index, _) = filled(scratch.path());
    drop(index);
    let (index, kept) = reopened(scratch.path(), [8; 16]);
    assert!(kept.is_none());
    wait_for(index.restart()).unwrap();
    let few: Vec<GalleryChange> = (1..=3).map(|number| putting(entry(number, scattered(number, 40)))).collect();
    index.apply_now(Revision(1), std::iter::once(opening()).chain(few.clone()).collect());
    wait_for(index.resume(Revision(1))).unwrap();
    let path = scratch.path().join(format!("{}40", row_file::ROWS_FILE));
    let (bytes, n_bytes) = (std::fs::read(&path).unwrap(), super::row_record::slot_bytes(40));
    assert_eq!(bytes.len(), 4096 + 3 * n_bytes);
    // And once more, while it is in use.
    wait_for(index.restart()).unwrap();
    index.apply_now(Revision(2), vec![opening(), few[1].clone()]);
    wait_for(index.resume(Revision(2))).unwrap();
    assert_eq!(std::fs::read(&path).unwrap().len(), 4096 + n_bytes);
    drop(index);
    let (index, kept) = reopened(scratch.path(), [8; 16]);
    assert_eq!(kept.unwrap().revision, Revision(2));
    assert_eq!(index.n_rows(set()), 1);
    wait_for(index.restart()).unwrap();
    wait_for(index.resume(Revision(3))).unwrap();
    assert_eq!(names(scratch.path()), [] as [String; 0], "a file without rows is removed");
}

/// The numbers of a template as they lie in a file.
fn mark(template: &Template) -> Vec<u8> {
    template.unit().iter().flat_map(|number| number.to_le_bytes()).collect()
}

#[test]
fn a_removed_row_is_gone_from_disk_when_its_removal_is_acknowledged() {
    let scratch = tempfile::tempdir().unwrap();
    let index = flat_in(scratch.path());
    assert!(wait_for(index.reopen(LIBRARY, Vec::new())).unwrap().is_none());
    wait_for(index.restart()).unwrap();
    wait_for(index.resume(Revision(1))).unwrap();
    let rows = |numbers: std::ops::Range<u64>| numbers.map(|number| putting(entry(number, scattered(number, 40))));
    index.apply_now(Revision(1), std::iter::once(opening()).chain(rows(1..3000)).collect());
    let path = scratch.path().join(format!("{}40", row_file::ROWS_FILE));
    let is_there = |number: u64| {
        let mark = mark(&scattered(number, 40));
        std::fs::read(&path).unwrap().windows(mark.len()).any(|window| window == mark)
    };
    assert!([1, 1500, 2999].into_iter().all(is_there));
    let remove = |number: u64| GalleryChange::Remove { face_set: set(), face: FaceId::new(number).unwrap() };
    index.apply_now(Revision(2), vec![remove(1), remove(1500), putting(entry(2999, scattered(5000, 40)))]);
    assert!(![1, 1500, 2999].into_iter().any(is_there), "removed and replaced rows are overwritten");
    assert!([2, 1501, 2998, 5000].into_iter().all(is_there), "no other row is");
    // Rows of a face set that the store has not any more are overwritten when the file is read again.
    std::mem::forget(index);
    let index = flat_in(scratch.path());
    let kept = wait_for(index.reopen(LIBRARY, Vec::new())).unwrap();
    assert_eq!(kept.map(|kept| kept.revision), Some(Revision(2)));
    assert!(![2, 1501, 2998, 5000].into_iter().any(is_there));
}
