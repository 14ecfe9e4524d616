//! A node that starts again takes over the rows that its index has kept, unless they are of another history.

use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

use likeness_domain::filter::Filter;
use likeness_domain::ports::{
    FaceScope, FaceSelector, GalleryChange, GallerySearch, GalleryStore, Hit, KeptRows, Pending, VectorIndex,
};
use likeness_domain::types::{FaceId, FaceOwner, FaceSetId, Revision};
use likeness_store::conformance::samples::*;
use likeness_store::index::{FlatIndex, FlatOptions};
use likeness_store::postgres::{Milvus, PostgresStore, Settings};

use super::nodes::{looking_for, runtime};
use super::server::{self, Server};

/// The index of a server, which counts how often it was filled anew, and with how many rows it was filled or brought up to date.
struct Watched {
    inner: FlatIndex,
    n_restarts: AtomicUsize,
    n_puts: AtomicUsize,
}

impl VectorIndex for Watched {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        let n_puts = changes.iter().filter(|change| matches!(change, GalleryChange::Put { .. })).count();
        self.n_puts.fetch_add(n_puts, Ordering::SeqCst);
        self.inner.apply(revision, changes)
    }

    fn revision(&self) -> Option<Revision> {
        self.inner.revision()
    }

    fn reopen(&self, library: [u8; 16], opened: Vec<GalleryChange>) -> Pending<'_, Option<KeptRows>> {
        self.inner.reopen(library, opened)
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

struct Node {
    store: PostgresStore,
    index: Arc<dyn VectorIndex>,
    watched: Weak<Watched>,
    /// How often it was filled anew, and rows put, until it was open.
    start: (usize, usize),
}

impl Node {
    fn open(server: &Server, database: &str, folder: &Path) -> Self {
        Self::open_with(server, database, folder, None)
    }

    fn open_with(server: &Server, database: &str, folder: &Path, milvus: Option<Milvus>) -> Self {
        let options = FlatOptions { n_threads: 1, queue_len_max: 64, inline_numbers_max: 0, seed: 1 };
        let inner = FlatIndex::new_in(options, folder).unwrap();
        let watched = Arc::new(Watched { inner, n_restarts: AtomicUsize::new(0), n_puts: AtomicUsize::new(0) });
        let settings = Settings { n_connections: 4, ..Settings::DEFAULT };
        let place = server.place(database);
        let store =
            PostgresStore::open_in(folder, place, Arc::clone(&watched) as _, settings, clock(), milvus).unwrap();
        let start = (watched.n_restarts.load(Ordering::SeqCst), watched.n_puts.load(Ordering::SeqCst));
        Self { index: store.index(), store, watched: Arc::downgrade(&watched), start }
    }

    async fn add(&self, set: FaceSetId, numbers: std::ops::Range<u64>) {
        self.store.add_faces(by(ours()), FaceOwner::FaceSet(set), numbers.map(face).collect(), None).await.unwrap();
    }

    async fn delete(&self, set: FaceSetId, number: u64) {
        let selector = FaceSelector::Ids(vec![face_id(number)]);
        self.store.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
    }

    async fn shows(&self, set: FaceSetId, number: u64) -> bool {
        let found: Vec<FaceId> =
            self.index.search(looking_for(set, number)).await.unwrap().iter().map(|hit| hit.face).collect();
        found == [face_id(number)]
    }

    /// Its index lets go of its file: the next one may have it.
    fn close(self) {
        let Self { store, index, watched, .. } = self;
        drop((store, index));
        // What goes on beside the calls ends with the store, on threads of its own.
        while watched.strong_count() > 0 {
            std::thread::yield_now();
        }
    }
}

#[test]
fn a_node_that_starts_again_reads_only_what_came_since() {
    if !server::is_installed() {
        return;
    }
    let (server, folders) = (server::shared(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let (database, [here, there]) = (server.database(), folders.each_ref().map(|folder| folder.path()));
    let a = Node::open(server, &database, here);
    let set = runtime().block_on(async {
        let set = a.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        a.add(set, 1..41).await;
        set
    });
    assert_eq!(a.start, (1, 0));
    a.close();
    let b = Node::open(server, &database, there);
    assert_eq!(b.start, (1, 40), "its folder is empty");
    let guests = runtime().block_on(async {
        b.add(set, 50..53).await;
        b.delete(set, 7).await;
        let guests = b.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap().id;
        b.add(guests, 9001..9003).await;
        guests
    });
    let a = Node::open(server, &database, here);
    assert_eq!(a.start, (0, 5));
    runtime().block_on(async {
        assert!(a.shows(set, 3).await && a.shows(set, 51).await && a.shows(guests, 9002).await);
        assert!(!a.shows(set, 7).await);
        // And it follows from there.
        b.add(set, 60..61).await;
        b.delete(set, 3).await;
        assert!(a.shows(set, 60).await && !a.shows(set, 3).await);
        a.store.delete_face_set(by(ours()), guests, false).await.unwrap();
    });
    a.close();
    let a = Node::open(server, &database, here);
    assert_eq!(a.start, (0, 0));
    runtime().block_on(async {
        assert!(a.shows(set, 60).await && !a.shows(guests, 9002).await);
        a.delete(set, 60).await;
    });
    a.close();
    // The note is damaged, or empty.
    for damage in [&b"0123456789abcdef01234567"[..], b""] {
        std::fs::write(here.join("likeness.follows"), damage).unwrap();
        let a = Node::open(server, &database, here);
        assert_eq!(a.start, (1, 41));
        a.close();
    }
}

/// A database that lacks the node's last commits and has others instead, as after a promotion that lost some: numbers of
/// commits and places of faces are the same.
#[test]
fn rows_of_another_history_are_not_taken_over() {
    if !server::is_installed() {
        return;
    }
    let (server, folders) = (server::shared(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let (database, [here, there]) = (server.database(), folders.each_ref().map(|folder| folder.path()));
    let a = Node::open(server, &database, here);
    let set = runtime().block_on(async {
        let set = a.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        a.add(set, 1..11).await;
        set
    });
    a.close();
    let copy = server.copy_of(&database);
    let a = Node::open(server, &database, here);
    assert_eq!(a.start, (0, 0));
    runtime().block_on(async { a.add(set, 100..101).await });
    a.close();
    let b = Node::open(server, &copy, there);
    runtime().block_on(async { b.add(set, 200..201).await });
    let a = Node::open(server, &copy, here);
    assert_eq!(a.start, (1, 11));
    runtime().block_on(async {
        assert!(a.shows(set, 200).await && !a.shows(set, 100).await);
        b.add(set, 201..202).await;
    });
    a.close();
    // Where the other history is longer, too.
    let a = Node::open(server, &database, here);
    assert_eq!(a.start, (1, 11));
    runtime().block_on(async { assert!(a.shows(set, 100).await && !a.shows(set, 200).await) });
}

/// Sets in Milvus cost a start nothing, and those beside them are where they were; also where a set has moved meanwhile, either
/// way.
#[cfg(feature = "milvus")]
#[test]
fn a_node_with_milvus_that_starts_again_reads_only_what_came_since() {
    use likeness_store::milvus::truth::Place;

    use super::milvus::{FROM_FACES, settings};
    use super::nodes::PATIENCE;
    use crate::milvus::server as milvus_server;

    if !server::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(milvus_server::Variety::Lite));
    let (database, folders) = (server.database(), [(); 2].map(|()| tempfile::tempdir().unwrap()));
    let [here, there] = folders.each_ref().map(|folder| folder.path());
    let open = |folder| Node::open_with(server, &database, folder, Some(settings(&milvus)));
    let until_elsewhere = |node: &Node, set| {
        let started = std::time::Instant::now();
        while !node.index.is_elsewhere(set) || node.watched.upgrade().unwrap().n_rows(set) > 0 {
            assert!(started.elapsed() < PATIENCE, "the set is in Milvus");
            // What the database does lets time pass.
            runtime().block_on(node.store.face_set(ours(), name("large"))).unwrap();
        }
    };
    let a = open(here);
    let (small, large) = runtime().block_on(async {
        let small = a.store.create_face_set(by(ours()), face_set("small"), None).await.unwrap().id;
        let large = a.store.create_face_set(by(ours()), face_set("large"), None).await.unwrap().id;
        a.add(small, 9001..9011).await;
        a.add(large, 1..1 + FROM_FACES).await;
        (small, large)
    });
    until_elsewhere(&a, large);
    a.close();
    let b = open(there);
    assert_eq!(b.start, (1, 10), "its folder is empty, and the large set is none of its business");
    runtime().block_on(async {
        b.add(small, 9020..9023).await;
        b.delete(small, 9001).await;
        b.add(large, 500..540).await;
        b.delete(large, 7).await;
    });
    let a = open(here);
    assert_eq!(a.start, (0, 3));
    runtime().block_on(async {
        assert!(a.shows(small, 9002).await && a.shows(small, 9021).await && !a.shows(small, 9001).await);
        assert!(a.shows(large, 3).await && a.shows(large, 501).await && !a.shows(large, 7).await);
    });
    // The small one goes to Milvus while this node is away, and the large one comes back.
    a.close();
    let beside = runtime().block_on(b.store.milvus(settings(&milvus))).unwrap();
    runtime().block_on(async {
        beside.choose(small, Some(Place::Milvus)).await.unwrap();
        beside.choose(large, Some(Place::Nodes)).await.unwrap();
    });
    until_elsewhere(&b, small);
    let a = open(here);
    assert_eq!(a.start, (1, FROM_FACES as usize + 39), "the large one is read");
    runtime().block_on(async {
        assert!(a.shows(small, 9021).await && !a.shows(small, 9001).await);
        assert!(a.shows(large, 501).await && !a.shows(large, 7).await);
    });
    a.close();
    let a = open(here);
    assert_eq!(a.start, (0, 0));
    runtime().block_on(async {
        assert!(a.shows(small, 9021).await && a.shows(large, 501).await && !a.shows(large, 7).await);
        // And it follows from there.
        b.add(small, 9030..9031).await;
        b.delete(large, 501).await;
        assert!(a.shows(small, 9030).await && !a.shows(large, 501).await);
    });
}
