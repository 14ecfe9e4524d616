//! Commits: who changed what, and what a follower gets.

use std::time::{Duration, Instant};

use likeness_domain::ports::{Change, Commit, CommitPage, FaceScope, FaceSelector, GalleryChange, VectorIndex};
use likeness_domain::types::{FaceOwner, FacePatch, FaceSetPatch, PersonPatch, Revision, TimestampMs};

use super::Bench;
use super::samples::*;
use crate::index::BruteForceIndex;

const EVERY: usize = usize::MAX;

async fn commits(bench: &Bench, after: Revision, limit: usize) -> (Vec<Commit>, Revision, bool) {
    match bench.store.changes_after(after, limit).await.unwrap() {
        CommitPage::Commits { commits, reached, has_more } => (commits, reached, has_more),
        CommitPage::TooOld { compacted } => panic!("compacted up to {compacted:?}"),
    }
}

/// The changes of a commit in short.
fn told(commit: &Commit) -> Vec<String> {
    let told = |change: &Change| match change {
        Change::Gallery(GalleryChange::Open { .. }) => "open".to_owned(),
        Change::Gallery(GalleryChange::Close { .. }) => "close".to_owned(),
        Change::Gallery(GalleryChange::Put { entry, .. }) => format!("put {}", entry.face),
        Change::Gallery(GalleryChange::Remove { face, .. }) => format!("remove {face}"),
        Change::FaceSetChanged(_) => "set".to_owned(),
        Change::PersonChanged(_) => "person".to_owned(),
        Change::PersonDeleted(_) => "no person".to_owned(),
        Change::TransientFaceKept(face) => format!("kept {face}"),
        Change::TransientFaceGone(face) => format!("gone {face}"),
        Change::TemplatePut(face, pack) => format!("template {face} {pack}"),
        Change::TenantMade(_) => "tenant made".to_owned(),
        Change::TenantChanged(_) => "tenant".to_owned(),
        Change::TenantDeleted(_) => "no tenant".to_owned(),
        Change::Key(key, action) => format!("key {key} {action:?}"),
    };
    commit.changes.iter().map(told).collect()
}

/// Each write is one commit, with its actor and its revision; a write that is refused or changes nothing has none.
pub async fn a_commit_says_who_changed_what(bench: Bench) -> Bench {
    let store = &bench.store;
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let scope = FaceScope::FaceSet(set.id);
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1), face(2)], None).await.unwrap();
    assert!(store.create_face_set(by(ours()), face_set("staff"), None).await.is_err());
    let patch = FacePatch { subject: Some(subject("anna")), ..FacePatch::default() };
    store.update_face(by(ours()), scope, face_id(2), patch, TimestampMs(9)).await.unwrap();
    let patch = FaceSetPatch { note: Some(note("new")), ..FaceSetPatch::default() };
    store.update_face_set(by(ours()), set.id, patch).await.unwrap();
    let (anna, _) = store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store
        .update_person(by(ours()), anna.id, PersonPatch { name: Some(note("A")), ..PersonPatch::default() })
        .await
        .unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(3)], None).await.unwrap();
    let other = (face_id(3), template_of_pack(3, pack_named("other-1")));
    store.put_templates(by(ours()), vec![other]).await.unwrap();
    store.keep_faces(by(theirs()), vec![held(7)], 10).await.unwrap();
    store.delete_source(by(theirs()), face_id(7), held(7).created_at).await.unwrap();
    store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(99)])).await.unwrap();

    let (all, reached, has_more) = commits(&bench, Revision(0), EVERY).await;
    let all_told: Vec<_> = all.iter().map(told).collect();
    assert_eq!(
        all_told,
        [
            vec!["open"],
            vec!["put 1", "put 2"],
            vec!["put 2"],
            vec!["set"],
            vec!["person"],
            vec!["person"],
            vec!["put 3"],
            vec!["template 3 other-1"],
            vec!["kept 7"],
            vec!["gone 7"],
        ]
    );
    assert!(all.is_sorted_by(|a, b| a.revision < b.revision));
    assert_eq!((reached, has_more), (store.report(false).await.unwrap().revision, false));
    let n_ours = all.iter().filter(|commit| commit.actor == by(ours())).count();
    let n_theirs = all.iter().filter(|commit| commit.actor == by(theirs())).count();
    assert_eq!((n_ours, n_theirs), (8, 2));
    bench
}

/// Pages meet without a gap; asked again from the end there is nothing.
pub async fn commits_are_read_page_by_page(bench: Bench) -> Bench {
    let set = bench.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    for number in 1..=6 {
        bench.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(number)], None).await.unwrap();
    }
    let (mut at, mut revisions) = (Revision(0), Vec::new());
    loop {
        let (page, reached, has_more) = commits(&bench, at, 3).await;
        assert!(page.len() <= 3 && page.iter().all(|commit| at < commit.revision && commit.revision <= reached));
        revisions.extend(page.iter().map(|commit| commit.revision));
        at = reached;
        if !has_more {
            break;
        }
    }
    let (all, reached, _) = commits(&bench, Revision(0), EVERY).await;
    assert_eq!(revisions, all.iter().map(|commit| commit.revision).collect::<Vec<_>>());
    assert_eq!((at, revisions.len()), (reached, 7));
    let (none, still, has_more) = commits(&bench, at, 3).await;
    assert_eq!((none.len(), still, has_more), (0, at, false));
    let (none, still, has_more) = commits(&bench, Revision(0), 0).await;
    assert_eq!((none.len(), still, has_more), (0, Revision(0), true));
    bench
}

/// What is deleted is in no commit any more, also in those from before; a follower that comes late ends where the store is.
pub async fn a_deleted_face_is_in_no_commit(bench: Bench) -> Bench {
    let store = &bench.store;
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let gone = store.create_face_set(by(ours()), face_set("gone"), None).await.unwrap();
    for set in [set.id, gone.id] {
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(1), face(2)], None).await.unwrap();
    }
    let selector = FaceSelector::Ids(vec![face_id(1)]);
    store.delete_faces(by(ours()), FaceScope::FaceSet(set.id), selector).await.unwrap();
    store.delete_face_set(by(ours()), gone.id, false).await.unwrap();
    let (all, _, _) = commits(&bench, Revision(0), EVERY).await;
    let all_told: Vec<_> = all.iter().map(told).collect();
    assert_eq!(all_told, [vec!["open"], vec![], vec!["put 2"], vec![], vec!["remove 1"], vec!["close"]]);
    let follower = BruteForceIndex::new();
    follow(&bench, &follower, Revision(0)).await;
    let faces: Vec<_> = follower.rows(set.id).into_iter().map(|row| row.face).collect();
    assert_eq!((faces, follower.n_rows(gone.id)), (vec![face_id(2)], 0));
    bench
}

/// Applies to `index` everything after `revision`, in small pages; returns what is reached.
async fn follow(bench: &Bench, index: &dyn VectorIndex, revision: Revision) -> Revision {
    let mut at = revision;
    loop {
        let (page, reached, has_more) = commits(bench, at, 3).await;
        for commit in page {
            let seen = commit.changes.into_iter().filter_map(|change| match change {
                Change::Gallery(change) => Some(change),
                _ => None,
            });
            index.apply(commit.revision, seen.collect()).await.unwrap();
        }
        at = reached;
        if !has_more {
            return at;
        }
    }
}

/// It is filled anew before the write is acknowledged, and goes on from there.
pub async fn an_index_that_fails_is_filled_anew(bench: Bench) -> Bench {
    let store = &bench.store;
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    store.add_faces(by(ours()), owner, vec![face(1)], None).await.unwrap();
    let n_before = bench.index.n_restarts();
    bench.index.fail_next();
    store.add_faces(by(ours()), owner, vec![face(2)], None).await.unwrap();
    assert_eq!(bench.index.n_restarts(), n_before + 1);
    assert_eq!(bench.index.revision(), Some(store.report(false).await.unwrap().revision));
    let faces = |bench: &Bench| bench.index.rows(set.id).iter().map(|row| row.entry.face).collect::<Vec<_>>();
    assert_eq!(faces(&bench), [1, 2].map(face_id));
    store.add_faces(by(ours()), owner, vec![face(3)], None).await.unwrap();
    assert_eq!(faces(&bench), [1, 2, 3].map(face_id));
    bench
}

/// A write is acknowledged when its index has reached it, not before.
pub async fn an_index_that_lags_is_waited_for(bench: Bench) -> Bench {
    let store = &bench.store;
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    bench.index.lag_next(Duration::from_millis(50));
    let started = Instant::now();
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1)], None).await.unwrap();
    assert!(started.elapsed() >= Duration::from_millis(50));
    assert_eq!(bench.index.rows(set.id).len(), 1);
    assert_eq!(bench.index.revision(), Some(store.report(false).await.unwrap().revision));
    bench
}
