//! The record of commits where there are too many.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use likeness_domain::filter::Filter;
use likeness_domain::ports::{
    CommitPage, GalleryChange, GallerySearch, GalleryStore, Hit, Pending, RecordPage, VectorIndex,
};
use likeness_domain::types::{FaceSetId, Revision, TenantId};
use likeness_store::conformance::samples::*;
use likeness_store::index::BruteForceIndex;
use likeness_store::postgres::{PostgresStore, Settings};
use tokio::sync::watch;

use super::nodes::{Node, PATIENCE, looking_for, runtime, staff};
use super::server;

const SETTINGS: Settings = Settings { n_connections: 4, ..Settings::DEFAULT };

async fn record(node: &Node, tenant: TenantId) -> (RecordPage, Vec<u64>) {
    let record = node.store.record_after(tenant, Revision(0).into(), 1000).await.unwrap();
    let revisions = record.commits.iter().map(|commit| commit.revision.0).collect();
    (record, revisions)
}

/// Who writes much makes the record of no other tenant shorter, nor that of sets and deletes.
#[test]
fn the_record_of_others_is_kept_however_much_somebody_writes() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let node = Node::at(server.place(&database), SETTINGS);
    let set = runtime().block_on(async {
        let precious = node.store.create_face_set(by(theirs()), face_set("precious"), None).await.unwrap();
        node.store.delete_face_set(by(theirs()), precious.id, false).await.unwrap();
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        node.delete(set, 1).await;
        for number in 2..=61 {
            node.add(set, number).await;
        }
        set
    });
    drop(node);

    let node = Node::at(server.place(&database), Settings { commits_max: 20, ..SETTINGS });
    runtime().block_on(async {
        let expected: Vec<u64> = [3, 5].into_iter().chain(50..=65).collect();
        let began = Instant::now();
        while record(&node, ours()).await.1 != expected {
            assert!(began.elapsed() < PATIENCE, "{:?}", record(&node, ours()).await);
        }
        assert_eq!(record(&node, ours()).await.0.compacted, Revision(49));
        let (theirs, revisions) = record(&node, theirs()).await;
        assert_eq!((revisions, theirs.compacted), (vec![1, 2], Revision(0)));
        let CommitPage::TooOld { compacted } = node.store.changes_after(Revision(5), 100).await.unwrap() else {
            panic!("a follower needs them all")
        };
        assert_eq!(compacted, Revision(49));
        let CommitPage::Commits { commits, .. } = node.store.changes_after(compacted, 100).await.unwrap() else {
            panic!("what is not compacted is there")
        };
        assert_eq!(commits.len(), 16);
        node.add(set, 62).await;
        assert_eq!(node.finds(set, 62).await, Some(face_id(62)));
        assert_eq!(node.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// An index that takes over nothing from a certain revision on until it may.
struct HeldIndex {
    inner: BruteForceIndex,
    hold_at: watch::Sender<Revision>,
    n_restarts: AtomicUsize,
    /// Up to where it was asked to go.
    asked: watch::Sender<Revision>,
}

impl HeldIndex {
    fn at(revision: u64) -> Arc<Self> {
        Arc::new(Self {
            inner: BruteForceIndex::new(),
            hold_at: watch::Sender::new(Revision(revision)),
            n_restarts: AtomicUsize::new(0),
            asked: watch::Sender::new(Revision(0)),
        })
    }
}

impl VectorIndex for HeldIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        Box::pin(async move {
            self.asked.send_replace(revision);
            let mut held = self.hold_at.subscribe();
            let _ = held.wait_for(|hold_at| revision < *hold_at).await;
            self.inner.apply(revision, changes).await
        })
    }

    fn revision(&self) -> Option<Revision> {
        self.inner.revision()
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.n_restarts.fetch_add(1, Ordering::SeqCst);
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

/// A server that has slept while commits were compacted by another one shows afterwards what the database has, wherever it
/// stood: before a mark, on it, on a commit that is gone or kept for the record alone, or behind all of that; and a server
/// that is started then, too.
#[test]
fn a_server_that_slept_while_commits_were_compacted_shows_what_there_is() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    // Commits: 1 makes the set of faces, 2 one of the other tenant; 3 to 5 add faces 1 to 3, 6 is of the other tenant again, 7
    // deletes face 1, 8 to 12 add faces 4 to 8.
    // Kept of these many: up to which revision the first tenant's additions are gone, which is where its mark is.
    for (commits_max, mark) in [(11, 3), (10, 4), (8, 8)] {
        for slept_at in 2..=10 {
            let database = server.database();
            let writer = Node::at(server.place(&database), SETTINGS);
            let index = HeldIndex::at(slept_at);
            let sleeper = PostgresStore::open(server.place(&database), Arc::clone(&index) as _, SETTINGS, clock());
            let sleeper = sleeper.unwrap();
            runtime().block_on(async {
                let set = staff(&writer).await.id;
                for revision in 2..=12 {
                    match revision {
                        2 | 6 => {
                            let other = face_set(&format!("set-{revision}"));
                            writer.store.create_face_set(by(theirs()), other, None).await.unwrap();
                        }
                        7 => writer.delete(set, 1).await,
                        3..=5 => writer.add(set, revision - 2).await,
                        _ => writer.add(set, revision - 4).await,
                    }
                    if revision == slept_at {
                        let began = Instant::now();
                        while index.asked.borrow().0 != slept_at {
                            assert!(began.elapsed() < PATIENCE, "it follows");
                            std::thread::yield_now();
                        }
                    }
                }
                drop(writer);
                let writer = Node::at(server.place(&database), Settings { commits_max, ..SETTINGS });
                let began = Instant::now();
                while record(&writer, ours()).await.0.compacted < Revision(mark) {
                    assert!(began.elapsed() < PATIENCE, "{:?}", record(&writer, ours()).await);
                }
                assert_eq!(record(&writer, ours()).await.0.compacted, Revision(mark));

                index.hold_at.send_replace(Revision(u64::MAX));
                let started = Node::at(server.place(&database), SETTINGS);
                let slept = sleeper.index();
                for number in 1..=8 {
                    let expected = (number != 1).then(|| face_id(number));
                    assert_eq!(started.finds(set, number).await, expected);
                    let found = loop {
                        match slept.search(looking_for(set, number)).await {
                            Ok(found) => break found.first().map(|hit| hit.face),
                            Err(error) => assert!(began.elapsed() < PATIENCE, "{error:?}"),
                        }
                    };
                    assert_eq!(found, expected, "face {number}, slept at {slept_at}, gone up to {mark}");
                }
                // Only who is not behind all that is gone needs no filling, and who was on the mark cannot know that it is.
                let n_filled = 1 + usize::from(slept_at <= mark);
                assert_eq!(index.n_restarts.load(Ordering::SeqCst), n_filled, "slept at {slept_at}, gone up to {mark}");
                assert_eq!(writer.store.report(true).await.unwrap().problems, [] as [String; 0]);
            });
        }
    }
}

/// Commits go by their age however far apart the numbers of those are that were kept for the record alone.
#[test]
fn sparse_commits_go_by_their_age_in_one_step() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let node = Node::at(server.place(&database), SETTINGS);
    runtime().block_on(async {
        let set = staff(&node).await.id;
        for number in 1..=9 {
            node.add(set, number).await;
        }
    });
    drop(node);
    server.sql(&database, "UPDATE commits SET revision = revision * 5000; UPDATE store SET revision = revision * 5000");
    let settings = Settings { commit_age_max: Duration::ZERO, ..SETTINGS };
    let node = Node::at(server.place(&database), settings);
    runtime().block_on(async {
        let began = Instant::now();
        // The last one stays.
        while record(&node, ours()).await.1 != [50_000] {
            assert!(began.elapsed() < PATIENCE, "{:?}", record(&node, ours()).await);
        }
    });
}
