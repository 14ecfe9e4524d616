//! What every [`VectorIndex`] must do, written once.
//!
//! A case is a name and a function over the trait; an index joins with one line, [`check_all`], in its tests.

use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GalleryEntry, GallerySearch, Hit, VectorIndex};
use likeness_domain::types::{
    FaceId, FaceSetId, FieldName, FieldSchema, FieldType, FieldValue, PackId, PersonId, Revision, Similarity, Template,
};

use crate::wait::wait_for;

/// A name and what it checks, over an index without face sets.
pub type Case = (&'static str, fn(&dyn VectorIndex));

macro_rules! cases {
    ($($case:ident),* $(,)?) => { &[$((stringify!($case), $case as fn(&dyn VectorIndex))),*] };
}

/// Every case.
pub const CASES: &[Case] = cases![
    an_unknown_face_set_has_an_empty_gallery,
    hits_are_best_first_and_older_first_among_equals,
    the_threshold_is_inclusive,
    top_k_bounds_the_hits,
    similarity_is_the_one_of_the_templates,
    opening_twice_keeps_the_rows,
    putting_again_replaces_the_row,
    a_removed_face_is_gone,
    a_closed_face_set_is_empty_and_opens_empty,
    changes_of_a_commit_take_effect_in_order,
    a_face_set_never_sees_its_neighbour,
    the_filter_comes_before_the_cut,
    a_face_without_a_value_passes_the_negation_only,
    rows_that_pass_a_filter_are_named_in_order_of_enrolment,
    one_hit_per_person_is_the_best_then_the_oldest,
    persons_are_folded_before_the_cut,
    a_probe_of_another_pack_finds_nothing,
    similarities_beyond_the_ends_are_ties_and_not_lost,
    many_rows_come_and_go,
    the_revision_is_the_last_one_applied,
    searches_are_refused_while_it_is_filled_anew,
];

/// Runs every case on an index of its own; panics with the name of the first that fails.
pub fn check_all(open: impl Fn() -> Arc<dyn VectorIndex>) {
    for (name, case) in CASES {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| case(&*open())));
        if let Err(panic) = outcome {
            let reason = panic.downcast_ref::<String>().map(String::as_str);
            let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("no reason given");
            panic!("index conformance: {name}: {reason}");
        }
    }
}

/// Changes that are taken over before anything goes on.
pub trait ApplyNow {
    /// Applies one commit and waits until it is taken over.
    fn apply_now(&self, revision: Revision, changes: Vec<GalleryChange>);
}

impl<T: VectorIndex + ?Sized> ApplyNow for T {
    fn apply_now(&self, revision: Revision, changes: Vec<GalleryChange>) {
        wait_for(self.apply(revision, changes)).expect("an index in order takes a commit over");
    }
}

/// Asks and waits for the answer.
pub fn hits(index: &dyn VectorIndex, question: GallerySearch) -> Vec<Hit> {
    let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime without drivers starts");
    runtime.block_on(index.search(question)).expect("an idle index answers")
}

fn face_set(number: u64) -> FaceSetId {
    FaceSetId::new(number).expect("a small number is an id")
}

fn face(number: u64) -> FaceId {
    FaceId::new(number).expect("a small number is an id")
}

fn person(number: u64) -> PersonId {
    PersonId::new(number).expect("a small number is an id")
}

fn pack() -> PackId {
    PackId::new("pack-1").expect("a pack id")
}

fn template(raw: &[f32]) -> Template {
    Template::new(pack(), raw).expect("numbers of a template")
}

/// One text and one whole-number field.
fn schema() -> Arc<FieldSchema> {
    let name = |text| FieldName::new(text).expect("a field name");
    let fields = [(name("city"), FieldType::String), (name("age"), FieldType::Integer)];
    Arc::new(FieldSchema::new(fields).expect("two fields"))
}

/// A row whose sequence is its number.
fn entry(number: u64, raw: &[f32]) -> GalleryEntry {
    GalleryEntry {
        face: face(number),
        sequence: number,
        person: None,
        template: template(raw),
        subject: None,
        values: Box::new([None, None]),
    }
}

fn open(index: &dyn VectorIndex, set: u64) {
    index.apply_now(Revision(1), vec![opening(set)]);
}

fn opening(set: u64) -> GalleryChange {
    GalleryChange::Open { face_set: face_set(set), pack: pack(), schema: schema() }
}

fn putting(set: u64, entry: GalleryEntry) -> GalleryChange {
    GalleryChange::Put { face_set: face_set(set), entry }
}

fn removing(set: u64, number: u64) -> GalleryChange {
    GalleryChange::Remove { face_set: face_set(set), face: face(number) }
}

fn put(index: &dyn VectorIndex, set: u64, entries: impl IntoIterator<Item = GalleryEntry>) {
    index.apply_now(Revision(2), entries.into_iter().map(|entry| putting(set, entry)).collect());
}

/// Everything, best first.
fn question(set: u64, raw: &[f32]) -> GallerySearch {
    GallerySearch {
        face_set: face_set(set),
        probe: template(raw),
        top_k: 100,
        similarity_min: Similarity::MIN,
        filter: None,
        one_per_person: false,
    }
}

#[track_caller]
fn check_faces(index: &dyn VectorIndex, question: GallerySearch, expect: &[u64]) {
    let found: Vec<u64> = hits(index, question).iter().map(|hit| hit.face.get()).collect();
    assert_eq!(found, expect);
}

fn an_unknown_face_set_has_an_empty_gallery(index: &dyn VectorIndex) {
    check_faces(index, question(7, &[1.0, 0.0]), &[]);
    assert_eq!(index.n_rows(face_set(7)), 0);
    open(index, 7);
    check_faces(index, question(7, &[1.0, 0.0]), &[]);
    assert_eq!(index.n_rows(face_set(7)), 0);
}

fn hits_are_best_first_and_older_first_among_equals(index: &dyn VectorIndex) {
    open(index, 1);
    let older = GalleryEntry { sequence: 1, ..entry(9, &[1.0, 1.0]) };
    put(index, 1, [entry(5, &[1.0, 1.0]), entry(3, &[1.0, 0.0]), entry(4, &[-1.0, 0.0]), older, entry(2, &[1.0, 1.0])]);
    check_faces(index, question(1, &[1.0, 0.0]), &[3, 9, 2, 5, 4]);
    assert_eq!(index.n_rows(face_set(1)), 5);
}

fn the_threshold_is_inclusive(index: &dyn VectorIndex) {
    open(index, 1);
    let rows = [entry(1, &[0.6, 0.8, 0.0]), entry(2, &[0.6, 0.0, 0.8]), entry(3, &[0.59, 0.8, 0.0])];
    let probe = [1.0, 0.0, 0.0];
    let exactly = template(&probe).similarity(&rows[0].template).expect("one pack");
    put(index, 1, rows);
    check_faces(index, GallerySearch { similarity_min: exactly, ..question(1, &probe) }, &[1, 2]);
    let above = Similarity::new(exactly.get().next_up());
    check_faces(index, GallerySearch { similarity_min: above, ..question(1, &probe) }, &[]);
}

fn top_k_bounds_the_hits(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, (1..=4).map(|number| entry(number, &[1.0, number as f32])));
    for (top_k, expect) in [(0, &[][..]), (1, &[1]), (3, &[1, 2, 3]), (4, &[1, 2, 3, 4]), (5, &[1, 2, 3, 4])] {
        check_faces(index, GallerySearch { top_k, ..question(1, &[1.0, 0.0]) }, expect);
    }
}

fn similarity_is_the_one_of_the_templates(index: &dyn VectorIndex) {
    open(index, 1);
    let wave = |seed: f32| -> Vec<f32> { (0..77).map(|idx| (idx as f32 * seed).sin()).collect() };
    let rows: Vec<GalleryEntry> = (1..=40).map(|number| entry(number, &wave(number as f32 * 1.37))).collect();
    put(index, 1, rows.clone());
    for probe in [wave(0.77), wave(1.37 * 17.0), wave(1.37).iter().map(|number| -number).collect()] {
        let found = hits(index, question(1, &probe));
        assert_eq!(found.len(), rows.len());
        for hit in found {
            let row = rows.iter().find(|row| row.face == hit.face).expect("a face that was put");
            assert_eq!(Some(hit.similarity), row.template.similarity(&template(&probe)));
        }
    }
}

fn opening_twice_keeps_the_rows(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, [entry(1, &[1.0, 0.0])]);
    open(index, 1);
    check_faces(index, question(1, &[1.0, 0.0]), &[1]);
}

fn putting_again_replaces_the_row(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, [entry(1, &[1.0, 0.0]), entry(2, &[0.8, 0.6])]);
    let owned = GalleryEntry { person: Some(person(5)), subject: Some("anna".into()), ..entry(1, &[0.0, 1.0]) };
    put(index, 1, [owned]);
    assert_eq!(index.n_rows(face_set(1)), 2);
    check_faces(index, question(1, &[1.0, 0.0]), &[2, 1]);
    let filter = Some(Arc::new(Filter::Subject("anna".into())));
    let found = hits(index, GallerySearch { filter, ..question(1, &[0.0, 1.0]) });
    assert_eq!(found, [Hit { face: face(1), person: Some(person(5)), similarity: Similarity::MAX, sequence: 1 }]);
}

fn a_removed_face_is_gone(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, (1..=3).map(|number| entry(number, &[1.0, number as f32])));
    index.apply_now(Revision(3), vec![removing(1, 1), removing(1, 99), removing(2, 3)]);
    check_faces(index, question(1, &[1.0, 0.0]), &[2, 3]);
    assert_eq!(index.n_rows(face_set(1)), 2);
    index.apply_now(Revision(4), vec![removing(1, 3), removing(1, 2)]);
    check_faces(index, question(1, &[1.0, 0.0]), &[]);
    put(index, 1, [entry(3, &[1.0, 1.0])]);
    check_faces(index, question(1, &[1.0, 0.0]), &[3]);
}

fn a_closed_face_set_is_empty_and_opens_empty(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, [entry(1, &[1.0, 0.0])]);
    index.apply_now(Revision(3), vec![GalleryChange::Close { face_set: face_set(1) }]);
    check_faces(index, question(1, &[1.0, 0.0]), &[]);
    assert_eq!(index.n_rows(face_set(1)), 0);
    put(index, 1, [entry(2, &[1.0, 0.0])]);
    check_faces(index, question(1, &[1.0, 0.0]), &[]);
    open(index, 1);
    check_faces(index, question(1, &[1.0, 0.0]), &[]);
    put(index, 1, [entry(3, &[1.0, 0.0])]);
    check_faces(index, question(1, &[1.0, 0.0]), &[3]);
}

fn changes_of_a_commit_take_effect_in_order(index: &dyn VectorIndex) {
    let changes = vec![
        opening(1),
        putting(1, entry(1, &[1.0, 0.0])),
        opening(2),
        putting(2, entry(2, &[1.0, 0.0])),
        removing(1, 1),
        putting(1, entry(3, &[1.0, 0.0])),
        putting(1, entry(1, &[0.0, 1.0])),
        GalleryChange::Close { face_set: face_set(2) },
        opening(2),
        putting(2, entry(4, &[1.0, 0.0])),
    ];
    index.apply_now(Revision(1), changes);
    check_faces(index, question(1, &[1.0, 0.0]), &[3, 1]);
    check_faces(index, question(2, &[1.0, 0.0]), &[4]);
}

fn a_face_set_never_sees_its_neighbour(index: &dyn VectorIndex) {
    open(index, 1);
    open(index, 2);
    put(index, 1, [entry(1, &[1.0, 0.0]), entry(2, &[1.0, 0.1])]);
    put(index, 2, [entry(2, &[1.0, 0.1]), entry(3, &[1.0, 0.2])]);
    index.apply_now(Revision(3), vec![removing(1, 2)]);
    check_faces(index, question(1, &[1.0, 0.0]), &[1]);
    check_faces(index, question(2, &[1.0, 0.0]), &[2, 3]);
}

fn the_filter_comes_before_the_cut(index: &dyn VectorIndex) {
    open(index, 1);
    let aged = |number: u64| GalleryEntry {
        values: Box::new([None, Some(FieldValue::Whole(number as i64))]),
        ..entry(number, &[1.0, number as f32 / 100.0])
    };
    put(index, 1, (1..=50).map(aged));
    let filter = Some(Arc::new(Filter::Whole { field_idx: 1, min: 40, max: 45 }));
    check_faces(index, GallerySearch { top_k: 3, filter, ..question(1, &[1.0, 0.0]) }, &[40, 41, 42]);
}

fn a_face_without_a_value_passes_the_negation_only(index: &dyn VectorIndex) {
    open(index, 1);
    let text = |text: &str| Some(FieldValue::Text(text.into()));
    let bern = GalleryEntry { values: Box::new([text("bern"), None]), ..entry(1, &[1.0, 0.0]) };
    let rome = GalleryEntry { values: Box::new([text("rome"), None]), ..entry(2, &[1.0, 0.1]) };
    put(index, 1, [bern, rome, entry(3, &[1.0, 0.2])]);
    let in_bern = || Filter::Text { field_idx: 0, value: "bern".into() };
    let ask = |filter: Filter| GallerySearch { filter: Some(Arc::new(filter)), ..question(1, &[1.0, 0.0]) };
    check_faces(index, ask(in_bern()), &[1]);
    check_faces(index, ask(Filter::Not(Box::new(in_bern()))), &[2, 3]);
    check_faces(index, ask(Filter::Text { field_idx: 0, value: "oslo".into() }), &[]);
    check_faces(index, ask(Filter::Every(Vec::new())), &[1, 2, 3]);
    check_faces(index, ask(Filter::AnyOf(Vec::new())), &[]);
    check_faces(index, ask(Filter::Face(face(2))), &[2]);
}

fn rows_that_pass_a_filter_are_named_in_order_of_enrolment(index: &dyn VectorIndex) {
    open(index, 1);
    let aged = |number: u64| GalleryEntry {
        // Faces are put in another order than that of their sequences.
        sequence: 10_000 - number,
        values: Box::new([None, Some(FieldValue::Whole((number % 7) as i64))]),
        ..entry(number, &[1.0, 0.0])
    };
    put(index, 1, (1..=3000).map(aged));
    let removed =
        (1..=3000).step_by(5).map(|number| GalleryChange::Remove { face_set: face_set(1), face: face(number) });
    index.apply_now(Revision(3), removed.collect());
    let matching = |set: u64, filter: Filter| wait_for(index.matching(face_set(set), Arc::new(filter)));
    let third = Filter::Whole { field_idx: 1, min: 3, max: 3 };
    let expected: Vec<u64> =
        (1..=3000).rev().filter(|number| number % 7 == 3 && number % 5 != 1).map(|number| 10_000 - number).collect();
    assert_eq!(matching(1, third.clone()).expect("an index in order"), expected);
    assert_eq!(matching(1, Filter::Every(Vec::new())).expect("an index in order").len(), 2400);
    assert_eq!(matching(1, Filter::AnyOf(Vec::new())).expect("an index in order"), Vec::<u64>::new());
    assert_eq!(matching(2, third).expect("an index in order"), Vec::<u64>::new());
}

fn owned(number: u64, owner: u64, raw: &[f32]) -> GalleryEntry {
    GalleryEntry { person: Some(person(owner)), ..entry(number, raw) }
}

fn one_hit_per_person_is_the_best_then_the_oldest(index: &dyn VectorIndex) {
    open(index, 1);
    let rows = [
        owned(9, 1, &[1.0, 0.3]),
        owned(2, 1, &[1.0, 0.2]),
        owned(8, 2, &[1.0, 0.4]),
        owned(7, 2, &[1.0, 0.4]),
        entry(4, &[1.0, 0.4]),
        entry(5, &[1.0, 0.4]),
    ];
    put(index, 1, rows);
    check_faces(index, GallerySearch { one_per_person: true, ..question(1, &[1.0, 0.0]) }, &[2, 4, 5, 7]);
    check_faces(index, question(1, &[1.0, 0.0]), &[2, 9, 4, 5, 7, 8]);
}

fn persons_are_folded_before_the_cut(index: &dyn VectorIndex) {
    open(index, 1);
    // Worst first, so that each person's best row pushes out what came before.
    let rows = (1..=30).rev().map(|number| owned(number, 1 + (number - 1) / 10, &[1.0, number as f32 / 30.0]));
    put(index, 1, rows);
    check_faces(index, GallerySearch { one_per_person: true, top_k: 2, ..question(1, &[1.0, 0.0]) }, &[1, 11]);
    check_faces(index, GallerySearch { one_per_person: true, top_k: 9, ..question(1, &[1.0, 0.0]) }, &[1, 11, 21]);
}

fn a_probe_of_another_pack_finds_nothing(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, [entry(1, &[1.0, 0.0])]);
    let other = PackId::new("pack-2").expect("a pack id");
    let probe = Template::new(other, &[1.0, 0.0]).expect("numbers of a template");
    check_faces(index, GallerySearch { probe, ..question(1, &[1.0, 0.0]) }, &[]);
}

fn similarities_beyond_the_ends_are_ties_and_not_lost(index: &dyn VectorIndex) {
    // Read back from a store, a template's length may be a little off 1: cosines beyond 1 and -1 are clamped.
    let stored = |unit: f32| Template::from_unit(pack(), [unit].into()).expect("within tolerance of length 1");
    let row = |number, unit| GalleryEntry { template: stored(unit), ..entry(number, &[1.0]) };
    open(index, 1);
    put(index, 1, [row(1, -1.0009), row(2, 1.0002), row(3, 1.0009), row(4, -1.0002)]);
    let ask = |unit: f32| GallerySearch { probe: stored(unit), ..question(1, &[1.0]) };
    check_faces(index, ask(1.0009), &[2, 3, 1, 4]);
    check_faces(index, ask(-1.0009), &[1, 4, 2, 3]);
    check_faces(index, GallerySearch { top_k: 3, ..ask(1.0009) }, &[2, 3, 1]);
    check_faces(index, GallerySearch { similarity_min: Similarity::MAX, ..ask(1.0009) }, &[2, 3]);
}

fn many_rows_come_and_go(index: &dyn VectorIndex) {
    const N_ROWS: u64 = 2600;
    open(index, 1);
    // Rows turn away from the probe by steps that f32 tells apart.
    let turned = |number: u64| entry(number, &[1.0, number as f32 / N_ROWS as f32, 0.5]);
    put(index, 1, (1..=N_ROWS).map(turned));
    assert_eq!(index.n_rows(face_set(1)), N_ROWS as usize);
    let probe = [1.0, 0.0, 0.5];
    index.apply_now(
        Revision(3),
        (1..=N_ROWS).filter(|number| number % 3 != 0).map(|number| removing(1, number)).collect(),
    );
    let multiples: Vec<u64> = (1..=N_ROWS).filter(|number| number % 3 == 0).collect();
    assert_eq!(index.n_rows(face_set(1)), multiples.len());
    let all = GallerySearch { top_k: 10_000, ..question(1, &probe) };
    check_faces(index, all.clone(), &multiples);
    put(index, 1, (1..=N_ROWS).rev().map(turned));
    check_faces(index, all.clone(), &(1..=N_ROWS).collect::<Vec<u64>>());
    index.apply_now(Revision(5), (1..=N_ROWS).map(|number| removing(1, number)).collect());
    check_faces(index, all, &[]);
    assert_eq!(index.n_rows(face_set(1)), 0);
}

fn the_revision_is_the_last_one_applied(index: &dyn VectorIndex) {
    open(index, 1);
    assert_eq!(index.revision(), Some(Revision(1)));
    put(index, 1, [entry(1, &[1.0, 0.0])]);
    assert_eq!(index.revision(), Some(Revision(2)));
    index.apply_now(Revision(9), Vec::new());
    assert_eq!(index.revision(), Some(Revision(9)));
}

fn searches_are_refused_while_it_is_filled_anew(index: &dyn VectorIndex) {
    open(index, 1);
    put(index, 1, [entry(1, &[1.0, 0.0]), entry(2, &[1.0, 0.1])]);
    wait_for(index.restart()).expect("an index can start anew");
    let refused = || wait_for(index.search(question(1, &[1.0, 0.0]))).expect_err("nothing is answered yet").kind();
    assert_eq!((refused(), index.revision(), index.n_rows(face_set(1))), (Kind::Overloaded, None, 0));
    index.apply_now(Revision(7), vec![opening(1), putting(1, entry(2, &[1.0, 0.1]))]);
    assert_eq!((refused(), index.revision()), (Kind::Overloaded, None));
    let matching = || wait_for(index.matching(face_set(1), Arc::new(Filter::Every(Vec::new()))));
    assert_eq!(matching().expect_err("half a gallery matches nothing").kind(), Kind::Overloaded);
    wait_for(index.resume(Revision(7))).expect("an index can go on");
    assert_eq!(index.revision(), Some(Revision(7)));
    assert_eq!(matching().expect("it is in order again"), [2]);
    check_faces(index, question(1, &[1.0, 0.0]), &[2]);
}
