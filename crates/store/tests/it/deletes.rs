//! Deletes of many faces: all or none for the caller, in steps for everybody else, and finished also after a crash.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{
    Change, Commit, CommitPage, CredentialStore, FaceScope, FaceSelector, GalleryChange, GallerySearch, GalleryStore,
    Hit, KeyAction, Pending, VectorIndex,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceId, FaceOwner, FaceSet, FaceSetId, FieldValue, NewFace, RequestId, Revision,
    Secret, Tenant, TenantName, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{Credentials, EmbeddedStore, Settings};
use likeness_store::folder::DataFolder;
use likeness_store::index::{FlatIndex, FlatOptions};

use crate::crash::{Killer, child_task, say};
use crate::patience::{block_on, until};

fn open(dir: &Path, index: Arc<dyn VectorIndex>, delete_rows: usize) -> EmbeddedStore {
    open_paced(dir, index, delete_rows, Duration::MAX)
}

/// The same whose steps have as few rows as they need to take so long.
fn open_paced(dir: &Path, index: Arc<dyn VectorIndex>, delete_rows: usize, step_aim: Duration) -> EmbeddedStore {
    let settings = Settings { delete_rows, step_aim, ..Settings::DEFAULT };
    EmbeddedStore::open_locked(DataFolder::lock(dir).unwrap(), index, settings, clock()).unwrap()
}

/// Who makes the delete that is looked at.
fn deleter() -> Actor {
    Actor { request_id: RequestId::new("the-delete").unwrap(), ..by(ours()) }
}

fn aged(number: u64, age: i64) -> NewFace {
    valued(number, "age", FieldValue::Whole(age))
}

/// The faces aged 40 or more (`age` is the second field).
fn older() -> FaceSelector {
    FaceSelector::Filter(Arc::new(Filter::Whole { field_idx: 1, min: 40, max: i64::MAX }))
}

/// Every commit after a revision.
async fn commits_after(store: &EmbeddedStore, mut revision: Revision) -> Vec<Commit> {
    let mut all = Vec::new();
    loop {
        let CommitPage::Commits { commits, reached, has_more } = store.changes_after(revision, 1000).await.unwrap()
        else {
            panic!("nothing is compacted");
        };
        all.extend(commits);
        revision = reached;
        if !has_more {
            return all;
        }
    }
}

fn removed(commit: &Commit) -> Vec<FaceId> {
    let removed = |change: &Change| match change {
        Change::Gallery(GalleryChange::Remove { face, .. }) => Some(*face),
        _ => None,
    };
    commit.changes.iter().filter_map(removed).collect()
}

async fn filled(store: &EmbeddedStore, n_faces: u64) -> FaceSet {
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let numbers: Vec<u64> = (1..=n_faces).collect();
    for numbers in numbers.chunks(5_000) {
        let faces = numbers.iter().map(|&number| aged(number, number as i64 % 100)).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    }
    set
}

/// An index that hands a new face and a change of a key over to its store whenever it takes over a step of a delete: at that
/// moment the next step cannot have begun.
struct Enroller<T> {
    inner: T,
    store: OnceLock<(Weak<EmbeddedStore>, Weak<Credentials>, FaceOwner)>,
    n_enrolled: AtomicU64,
}

impl<T> Enroller<T> {
    fn new(inner: T) -> Self {
        Self { inner, store: OnceLock::new(), n_enrolled: AtomicU64::new(0) }
    }
}

impl<T: VectorIndex> VectorIndex for Enroller<T> {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let is_step = changes.iter().any(|change| matches!(change, GalleryChange::Remove { .. }));
        if let Some((store, credentials, owner)) = self.store.get().filter(|_| is_step) {
            let number = self.n_enrolled.fetch_add(1, Ordering::Relaxed);
            let new = aged((1 << 40) + number, 99);
            // Handed over at once; nobody waits for the answer.
            drop(store.upgrade().unwrap().add_faces(by(ours()), *owner, vec![new], None));
            let enabled = number % 2 == 1;
            drop(credentials.upgrade().unwrap().set_key_enabled(by(ours()), key().id, enabled));
        }
        self.inner.apply(revision, changes)
    }

    fn revision(&self) -> Option<Revision> {
        self.inner.revision()
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.inner.restart()
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.inner.resume(revision)
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        self.inner.search(question)
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        self.inner.matching(face_set, filter)
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.inner.n_rows(face_set)
    }
}

fn key() -> AccessKey {
    let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
    AccessKey::new(AccessKeyId::new("AK1").unwrap(), Secret::new("hush").unwrap(), tenant, TimestampMs(1))
}

/// Deletes the faces aged 40 or more and checks that a face and a change of a key that are handed over meanwhile are written
/// after at most one step, which bounds how long they wait: a key that is misused is refused at once.
async fn check_steps(index: impl VectorIndex + 'static, n_faces: u64, delete_rows: usize) {
    let scratch = tempfile::tempdir().unwrap();
    let index = Arc::new(Enroller::new(index));
    let store = Arc::new(open(scratch.path(), Arc::clone(&index) as _, delete_rows));
    let set = filled(&store, n_faces).await;
    let credentials = Arc::new(store.credentials().unwrap());
    credentials.ensure_tenant(by(ours()), key().tenant).await.unwrap();
    credentials.add_key(by(ours()), key()).await.unwrap();
    let beside = (Arc::downgrade(&store), Arc::downgrade(&credentials), FaceOwner::FaceSet(set.id));
    assert!(index.store.set(beside).is_ok());
    let before = store.report(false).await.unwrap().revision;
    let deleted = store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older()).await.unwrap();
    let expected: Vec<FaceId> = (1..=n_faces).filter(|number| number % 100 >= 40).map(face_id).collect();
    assert_eq!(deleted, expected, "in order of enrolment");
    // The last face may still be under way, and the key, which was handed over after it.
    let n_left = n_faces - expected.len() as u64 + index.n_enrolled.load(Ordering::Relaxed);
    until(&*store, "the last face is enrolled", |report| report.n_faces == n_left).await;
    let n_steps = expected.len().div_ceil(delete_rows);
    // One for the steps that are to come.
    let last = Revision(before.0 + 1 + 3 * n_steps as u64);
    until(&*store, "the key is changed", |report| report.revision >= last).await;

    let steps = commits_after(&store, before).await;
    let mut erased = Vec::new();
    assert_eq!(steps.len(), 3 * n_steps);
    for (idx, beside) in steps.chunks(3).enumerate() {
        let faces = removed(&beside[0]);
        assert!((1..=delete_rows).contains(&faces.len()), "a step of {} faces", faces.len());
        assert_eq!(beside[0].actor, deleter(), "every step is made in the name of who asked");
        assert!(matches!(beside[1].changes[..], [Change::Gallery(GalleryChange::Put { .. })]), "then the new face");
        let action = if idx % 2 == 1 { KeyAction::Enabled } else { KeyAction::Disabled };
        assert!(matches!(&beside[2].changes[..], [Change::Key(_, done)] if *done == action), "then the key");
        erased.extend(faces);
    }
    assert_eq!(erased, expected);
    let report = store.report(true).await.unwrap();
    assert_eq!((report.problems, report.n_faces_to_erase), (vec![], 0));
    assert_eq!(index.n_rows(set.id) as u64, n_left);
}

#[test]
fn a_delete_of_many_faces_lets_other_writes_in_between() {
    block_on(check_steps(Ledger::default(), 2_000, 10));
}

/// 100,000 matches with the step of a server.
#[test]
fn a_delete_of_a_hundred_thousand_faces_lets_other_writes_in_between() {
    let options = FlatOptions { n_threads: 1, queue_len_max: 16, inline_numbers_max: 0, seed: 1 };
    let index = FlatIndex::new(options).unwrap();
    block_on(check_steps(index, 166_700, Settings::DEFAULT.delete_rows));
}

#[test]
fn deletes_by_label_and_by_ids_are_made_in_steps_too() {
    let scratch = tempfile::tempdir().unwrap();
    let index = Arc::new(Ledger::default());
    let store = open(scratch.path(), Arc::clone(&index) as _, 4);
    block_on(async {
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
        let (owner, scope) = (FaceOwner::FaceSet(set.id), FaceScope::FaceSet(set.id));
        let label = |number: u64| if number.is_multiple_of(3) { "anna" } else { "ben" };
        let faces = (1..=60).map(|number| labelled(number, label(number))).collect();
        store.add_faces(by(ours()), owner, faces, None).await.unwrap();
        let before = store.report(false).await.unwrap().revision;
        let annas = store.delete_faces(deleter(), scope, FaceSelector::Subject(subject("anna"))).await.unwrap();
        assert_eq!(annas, (1..=60).filter(|number| number % 3 == 0).map(face_id).collect::<Vec<_>>());
        // Unknown ids, repeated ids and ids of faces that are gone are passed over.
        let ids = [9, 50, 50, 49, 47, 46, 2, 1, 777, 44].map(face_id).to_vec();
        let some = store.delete_faces(deleter(), scope, FaceSelector::Ids(ids)).await.unwrap();
        assert_eq!(some, [1, 2, 44, 46, 47, 49, 50].map(face_id));
        let sizes: Vec<usize> =
            commits_after(&store, before).await.iter().map(|commit| removed(commit).len()).collect();
        assert_eq!(sizes, [4, 4, 4, 4, 4, 4, 3]);
        assert_eq!(index.rows(set.id).len(), 60 - 20 - 7);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// Steps that take longer than they should are made in parts: the delete is the same, in smaller commits.
#[test]
fn steps_that_take_too_long_are_made_in_parts() {
    let scratch = tempfile::tempdir().unwrap();
    let index = Arc::new(Ledger::default());
    let store = open_paced(scratch.path(), Arc::clone(&index) as _, 100, Duration::ZERO);
    block_on(async {
        let set = filled(&store, 1_000).await;
        let before = store.report(false).await.unwrap().revision;
        let deleted = store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older()).await.unwrap();
        let expected: Vec<FaceId> = (1..=1_000).filter(|number| number % 100 >= 40).map(face_id).collect();
        assert_eq!(deleted, expected, "in order of enrolment");
        let steps = commits_after(&store, before).await;
        let sizes: Vec<usize> = steps.iter().map(|commit| removed(commit).len()).collect();
        // Steps of a hundred, in parts of as few as may be.
        assert_eq!(sizes, [64, 36].repeat(6));
        assert!(steps.iter().all(|commit| commit.actor == deleter()));
        assert_eq!(index.rows(set.id).len(), 400);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// What is meant is settled when a delete begins: what is enrolled or changed later stays, and deletes that overlap each
/// erase what the other has not.
#[test]
fn deletes_that_are_under_way_together_do_not_meddle() {
    let scratch = tempfile::tempdir().unwrap();
    let store = open(scratch.path(), Arc::new(Ledger::default()), 3);
    block_on(async {
        let set = filled(&store, 200).await;
        let (owner, scope) = (FaceOwner::FaceSet(set.id), FaceScope::FaceSet(set.id));
        let everybody = FaceSelector::Filter(Arc::new(Filter::Every(Vec::new())));
        // All are handed over before the first is answered.
        let first = store.delete_faces(deleter(), scope, older());
        let late = store.add_faces(by(ours()), owner, vec![aged(1000, 80)], None);
        let second = store.delete_faces(deleter(), scope, everybody.clone());
        let latest = store.add_faces(by(ours()), owner, vec![aged(1001, 80)], None);
        let whole_set = store.delete_face_set(by(ours()), set.id, true);
        let (first, second) = (first.await.unwrap(), second.await.unwrap());
        late.await.unwrap();
        latest.await.unwrap();
        assert_eq!(whole_set.await.unwrap_err().kind(), Kind::FaceSetNotEmpty);
        assert_eq!(first.len(), 120);
        assert_eq!(second.len(), 81, "the young ones and the one that came late");
        let mut all: BTreeSet<FaceId> = first.into_iter().collect();
        assert!(second.into_iter().all(|face| all.insert(face)), "no face is deleted twice");
        let left = store.list_faces(ours(), scope, EVERYTHING).await.unwrap();
        assert_eq!(left.iter().map(|face| face.id).collect::<Vec<_>>(), [face_id(1001)]);

        // A set that goes while its faces are being deleted takes them along.
        store.add_faces(by(ours()), owner, (2000..2100).map(face).collect(), None).await.unwrap();
        let delete = store.delete_faces(deleter(), scope, everybody);
        store.delete_face_set(by(ours()), set.id, false).await.unwrap();
        assert!(delete.await.unwrap().len() <= 101);
        until(&store, "the set is erased", |report| report.n_faces_to_erase == 0).await;
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// An index that is being filled has an incomplete gallery: nothing is deleted by it.
#[test]
fn a_delete_by_filter_is_refused_while_the_index_is_filled() {
    let scratch = tempfile::tempdir().unwrap();
    let index = Arc::new(Ledger::default());
    let store = open(scratch.path(), Arc::clone(&index) as _, 10);
    block_on(async {
        let set = filled(&store, 50).await;
        let scope = FaceScope::FaceSet(set.id);
        index.restart().await.unwrap();
        let error = store.delete_faces(deleter(), scope, older()).await.unwrap_err();
        assert_eq!(error.kind(), Kind::Overloaded);
        assert_eq!(store.list_faces(ours(), scope, EVERYTHING).await.unwrap().len(), 50);
    });
}

/// Faces of one run of the child, and how many of them are deleted.
const N_RUN: u64 = 400;
const DELETE_ROWS: usize = 20;

/// Enrols and deletes by filter for ever, in a set for each turn, saying what was begun and what was acknowledged.
async fn delete_for_ever(dir: &Path, first: u64) {
    // Each step is made in parts.
    let store = open_paced(dir, Arc::new(Ledger::default()), DELETE_ROWS, Duration::ZERO);
    for turn in first.. {
        let set = store.create_face_set(by(ours()), face_set(&format!("turn-{turn}")), None).await.unwrap();
        let number = |face_idx: u64| turn * N_RUN + face_idx + 1;
        let faces = (0..N_RUN).map(|face_idx| aged(number(face_idx), face_idx as i64 % 100)).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
        say("filled", turn);
        let delete = store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), older());
        // The parent counts lines to kill: some fall into the delete.
        for number in 0..30 {
            say("deleting", turn);
            let other = aged((1 << 44) + turn * 100 + number, 1);
            store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![other], None).await.unwrap();
        }
        assert_eq!(delete.await.unwrap().len() as u64, N_RUN / 100 * 60);
        say("deleted", turn);
    }
}

/// After a kill at any moment a delete by filter is either not begun or goes on to its end by itself.
#[test]
fn a_delete_of_many_faces_is_all_or_none_after_a_kill_at_any_moment() {
    if let Some((dir, first)) = child_task() {
        block_on(delete_for_ever(&dir, first));
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let (mut filled, mut deleted) = (BTreeSet::new(), BTreeSet::new());
    let mut killer = Killer::new("deletes::a_delete_of_many_faces_is_all_or_none_after_a_kill_at_any_moment");
    let mut n_found_under_way = 0;
    for _ in 0..Killer::N_ROUNDS {
        killer.run_and_kill(scratch.path(), |line| {
            let Some((word, number)) = line.split_once(' ') else { return };
            let Ok(number) = number.trim().parse::<u64>() else { return };
            match word {
                "filled" => filled.insert(number),
                "deleted" => deleted.insert(number),
                _ => false,
            };
        });
        n_found_under_way += block_on(check_finished(scratch.path(), &filled, &deleted));
    }
    assert!(deleted.len() > 10, "the children had time to delete: {}", deleted.len());
    assert!(n_found_under_way > 0, "no kill fell into a delete");
}

/// Steps of deletes in a library that nobody has open; looking at them changes nothing.
fn n_steps_left(dir: &Path) -> u64 {
    let path = dir.join(likeness_store::embedded::DATABASE_FILE);
    let conn = rusqlite::Connection::open_with_flags(path, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
    // A child that was killed at once has made no table.
    conn.query_row("SELECT count(*) FROM pending_deletes", [], |row| row.get(0)).unwrap_or(0)
}

/// Whether a delete was under way when the store was opened.
async fn check_finished(dir: &Path, filled: &BTreeSet<u64>, deleted: &BTreeSet<u64>) -> u64 {
    let index = Arc::new(Ledger::default());
    let was_under_way = n_steps_left(dir) > 0;
    let store = open_paced(dir, Arc::clone(&index) as _, DELETE_ROWS, Duration::ZERO);
    until(&store, "the delete is finished", |report| report.n_faces_to_erase == 0).await;
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    for turn in filled {
        let set = store.face_set(ours(), name(&format!("turn-{turn}"))).await.unwrap().expect("a filled set").face_set;
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(index.rows(set.id).len(), faces.len());
        let is_old = |face: &FaceId| face.get() < 1 << 44 && (face.get() - turn * N_RUN - 1) % 100 >= 40;
        let n_old = faces.iter().filter(|face| is_old(&face.id)).count() as u64;
        let n_young = faces.iter().filter(|face| face.id.get() < 1 << 44 && !is_old(&face.id)).count() as u64;
        assert_eq!(n_young, N_RUN / 100 * 40, "a face that was not meant is gone");
        assert!(n_old == 0 || n_old == N_RUN / 100 * 60, "turn {turn}: {n_old} are left of a delete");
        assert!(n_old == 0 || !deleted.contains(turn), "turn {turn}: what was deleted is back");
    }
    u64::from(was_under_way)
}
