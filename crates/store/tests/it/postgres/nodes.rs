//! Several servers on one database: what one acknowledges, the others show at once.

use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::ports::{
    CredentialStore, FaceScope, FaceSelector, GallerySearch, GalleryStore, JobOutcome, JobStore, NewJob, VectorIndex,
};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceId, FaceOwner, FaceSet, FaceSetId, JobId, JobLease, Secret, Similarity, Tenant,
    TenantName, TimestampMs,
};
use likeness_store::conformance::jobs::job;
use likeness_store::conformance::samples::*;
use likeness_store::index::BruteForceIndex;
use likeness_store::postgres::{Address, PostgresStore, Settings};

use super::replication::until;
use super::server::{self, Server};

/// How long a database may need to be there again on a busy machine.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A server's part: its store, its index as searched, and the index behind that.
pub(crate) struct Node {
    pub(crate) store: PostgresStore,
    pub(crate) index: Arc<dyn VectorIndex>,
    plain: Arc<BruteForceIndex>,
}

impl Node {
    fn open(server: &Server, database: &str) -> Self {
        Self::open_with(server, database, Settings { n_connections: 8, ..Settings::DEFAULT })
    }

    fn open_with(server: &Server, database: &str, settings: Settings) -> Self {
        Self::at(server.place(database), settings)
    }

    pub(crate) fn at(place: Address, settings: Settings) -> Self {
        let plain = Arc::new(BruteForceIndex::new());
        let store = PostgresStore::open(place, Arc::clone(&plain) as _, settings, clock()).unwrap();
        Self { index: store.index(), store, plain }
    }

    /// Rows that its index has of a set, whatever the database has.
    pub(crate) fn n_rows(&self, set: FaceSetId) -> usize {
        self.plain.rows(set).len()
    }

    /// Whom a search for the template of that number finds first.
    pub(crate) async fn finds(&self, set: FaceSetId, number: u64) -> Option<FaceId> {
        self.index.search(looking_for(set, number)).await.unwrap().first().map(|hit| hit.face)
    }

    /// See [`finds_patiently`].
    pub(crate) async fn finds_patiently(&self, set: FaceSetId, number: u64) -> Option<FaceId> {
        finds_patiently(&*self.index, set, number).await
    }

    pub(crate) async fn add(&self, set: FaceSetId, number: u64) {
        let added = self.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
        assert_eq!(added[0].id, face_id(number));
    }

    pub(crate) async fn delete(&self, set: FaceSetId, number: u64) {
        let selector = FaceSelector::Ids(vec![face_id(number)]);
        let deleted = self.store.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
        assert_eq!(deleted, [face_id(number)]);
    }
}

/// Whom a search for the template of that number finds first, tried again while the database is not reached yet.
pub(crate) async fn finds_patiently(index: &dyn VectorIndex, set: FaceSetId, number: u64) -> Option<FaceId> {
    let started = Instant::now();
    loop {
        match index.search(looking_for(set, number)).await {
            Ok(hits) => return hits.first().map(|hit| hit.face),
            Err(error) => assert_eq!(error.kind(), Kind::Overloaded, "{error:?}"),
        }
        assert!(started.elapsed() < PATIENCE, "the database is not reached again");
    }
}

pub(crate) fn looking_for(face_set: FaceSetId, number: u64) -> GallerySearch {
    GallerySearch {
        face_set,
        probe: template(number),
        top_k: 1,
        similarity_min: Similarity::new(0.999),
        filter: None,
        one_per_person: false,
    }
}

pub(crate) fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().build().unwrap()
}

pub(crate) async fn staff(node: &Node) -> FaceSet {
    node.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap()
}

/// How often: a few hundred times, or as often as the variable says.
fn n_rounds() -> u64 {
    std::env::var("LIKENESS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(500)
}

/// A face that was added by one server is found by the other's next search, and one that was deleted is not; while writes
/// of another tenant go on.
#[test]
fn what_one_server_acknowledges_the_other_shows_at_once() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(async {
        let set = staff(&a).await.id;
        assert_eq!(b.finds(set, 1).await, None);
        for number in 1..=n_rounds() {
            a.add(set, number).await;
            // Mostly it has not got there yet, and it is well.
            assert_eq!(b.store.health().write_failure, None);
            assert_eq!(b.finds(set, number).await, Some(face_id(number)), "face {number} was added on A");
            let other = b.store.create_face_set(by(theirs()), face_set(&format!("set-{number}")), None);
            a.delete(set, number).await;
            assert_eq!(b.finds(set, number).await, None, "face {number} was deleted on A");
            other.await.unwrap();
        }
        assert_eq!(b.plain.rows(set).len(), 0);
    });
}

/// Whatever both write, both indexes become equal, and equal to one that is filled from the tables.
#[test]
fn indexes_of_servers_become_equal() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(async {
        let set = staff(&a).await.id;
        let mut writes = Vec::new();
        for number in 1..=60 {
            let node = if number % 2 == 0 { &a } else { &b };
            writes.push(node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![labelled(number, "x")], None));
        }
        for write in writes {
            write.await.unwrap();
        }
        for number in (1..=60).step_by(3) {
            let node = if number % 2 == 0 { &b } else { &a };
            node.delete(set, number).await;
        }
        let (person, _) =
            b.store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
        a.store.add_faces(by(ours()), FaceOwner::Person(person.id), vec![full_face(100)], None).await.unwrap();
        // A search brings each to where the database is.
        assert_eq!(a.finds(set, 2).await, b.finds(set, 2).await);
        let c = Node::open(server, &database);
        let rows = |node: &Node| {
            let mut rows = node.plain.rows(set);
            rows.sort_by_key(|row| row.sequence);
            rows.iter().map(|row| format!("{row:?}")).collect::<Vec<_>>()
        };
        assert_eq!(rows(&a).len(), 41);
        assert_eq!(rows(&a), rows(&b));
        assert_eq!(rows(&a), rows(&c));
        assert_eq!(a.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A delete by filter on one server means the faces that another one has just added.
#[test]
fn a_delete_by_subject_sees_what_others_added() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(async {
        let set = staff(&a).await.id;
        for round in 0..50 {
            let number = round * 2 + 1;
            let faces = vec![labelled(number, "anna"), labelled(number + 1, "berta")];
            a.store.add_faces(by(ours()), FaceOwner::FaceSet(set), faces, None).await.unwrap();
            let selector = FaceSelector::Subject(subject("anna"));
            let deleted = b.store.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
            assert_eq!(deleted, [face_id(number)]);
            assert_eq!(a.finds(set, number).await, None);
        }
        assert_eq!(a.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 50);
    });
}

/// Keys are looked up in the database for each request, so what one server does to a key holds at once on every other, also for
/// a write that was admitted before.
#[test]
fn what_one_server_does_to_a_key_holds_at_once_on_the_other() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(async {
        let set = staff(&a).await.id;
        let tenant = Tenant::new(ours(), TenantName::new("ours").unwrap(), TimestampMs(1));
        let tenant = a.store.ensure_tenant(by(ours()), tenant).await.unwrap();
        for round in 0..40 {
            let id = AccessKeyId::new(&format!("AK{round:08}")).unwrap();
            assert!(b.store.key(id.clone()).await.unwrap().is_none());
            let key = AccessKey::new(id.clone(), Secret::new("first").unwrap(), tenant.clone(), TimestampMs(1));
            a.store.add_key(by(ours()), key).await.unwrap();
            let secrets = async |now: i64| -> Vec<String> {
                let key = b.store.key(id.clone()).await.unwrap().unwrap();
                key.secrets(TimestampMs(now)).map(|secret| secret.reveal().to_owned()).collect()
            };
            assert_eq!(secrets(5).await, ["first"]);
            a.store.rotate_key(by(ours()), id.clone(), Secret::new("second").unwrap(), TimestampMs(10)).await.unwrap();
            assert_eq!(secrets(5).await, ["second", "first"]);
            assert_eq!(secrets(10).await, ["second"]);
            // Admitted by B while the key was good.
            let actor = || Actor { key: Some(id.clone()), key_must_be_usable: true, ..by(ours()) };
            let add = async |number: u64| {
                let faces = vec![face(number)];
                let added = b.store.add_faces(actor(), FaceOwner::FaceSet(set), faces, None).await;
                added.map(drop).map_err(|error| error.kind())
            };
            assert_eq!(add(round * 10 + 1).await, Ok(()));
            assert!(a.store.set_key_enabled(by(ours()), id.clone(), false).await.unwrap());
            assert!(!b.store.key(id.clone()).await.unwrap().unwrap().enabled);
            assert_eq!(add(round * 10 + 2).await, Err(Kind::Forbidden), "disabled");
            assert!(b.store.set_key_enabled(by(ours()), id.clone(), true).await.unwrap());
            assert!(a.store.key(id.clone()).await.unwrap().unwrap().enabled);
            assert!(a.store.delete_key(by(ours()), id.clone()).await.unwrap());
            assert!(b.store.key(id.clone()).await.unwrap().is_none());
            assert_eq!(add(round * 10 + 3).await, Err(Kind::Forbidden), "deleted");
        }
        assert_eq!(a.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces, 40);
    });
}

/// A lease of a server that is there is its own; one of a server that is gone is taken up.
#[test]
fn leases_end_with_their_server() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(leases_end_with(a, &b, server, &database));
}

/// The lease of `a` does, which is one of the two servers of the database.
pub(super) async fn leases_end_with(a: Node, b: &Node, server: &Server, database: &str) {
    let job = NewJob {
        id: JobId::new(7).unwrap(),
        tenant: ours(),
        key: None,
        kind: "scan",
        payload: bytes::Bytes::from_static(b"work"),
        due_at: TimestampMs(0),
        created_at: TimestampMs(0),
    };
    a.store.enqueue(vec![job], 10).await.unwrap();
    // The lock of its listening connection shows that a server is alive.
    let n_alive = format!(
        "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted
         AND database = (SELECT oid FROM pg_database WHERE datname = '{database}')"
    );
    until(server, &n_alive, "2");
    let claimed = a.store.claim("scan", TimestampMs(1), TimestampMs(1_000_000), None).await.unwrap().unwrap();
    assert_eq!(b.store.void_leases(TimestampMs(2)).await.unwrap(), 0, "A is alive");
    let at_work = async |under_way| b.store.take_over(TimestampMs(2), under_way).await.unwrap();
    let take_over = async || at_work(vec![]).await;
    assert_eq!((take_over().await, take_over().await), (0, 0), "A is alive");
    drop(a);
    until(server, &n_alive, "1");
    // It may have lost its connection only.
    assert_eq!((take_over().await, take_over().await, take_over().await), (0, 1, 0), "A is gone");
    let again = b.store.claim("scan", TimestampMs(2), TimestampMs(1_000_000), None).await.unwrap().unwrap();
    assert_eq!((again.id, again.n_attempts), (claimed.id, 2));
    let own = || vec![again.lease()];
    assert_eq!((at_work(own()).await, at_work(own()).await), (0, 0), "B is at it");
    // As after a promotion without the last commits: the database has a claim that has ended here.
    assert_eq!((take_over().await, at_work(own()).await, take_over().await), (0, 0, 0), "it may be on its way");
    assert_eq!((take_over().await, take_over().await), (1, 0), "nobody is at it");
    let third = b.store.claim("scan", TimestampMs(2), TimestampMs(1_000_000), None).await.unwrap().unwrap();
    let later = JobOutcome::Again { due_at: TimestampMs(500) };
    assert!(b.store.settle(third.lease(), later, vec![]).await.unwrap());
    assert_eq!((take_over().await, take_over().await), (0, 0), "it is to wait");
    b.store.claim("scan", TimestampMs(500), TimestampMs(1_000_000), None).await.unwrap().unwrap();
    assert_eq!(b.store.void_leases(TimestampMs(2)).await.unwrap(), 1, "B has been started anew");
}

/// What a worker writes for a job is there before another server has cancelled the job, or not at all: whoever has cancelled it
/// sees everything of it.
#[test]
fn nothing_is_written_for_a_job_that_another_server_has_cancelled() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::open(server, &database), Node::open(server, &database));
    runtime().block_on(async {
        let set = staff(&a).await.id;
        let mut n_written = 0;
        for round in 1..=n_rounds().min(120) {
            let accepted = a.store.enqueue(vec![job(round)], 10).await.unwrap();
            let claimed = a.store.claim("scan", TimestampMs(200), TimestampMs(900), None).await.unwrap().unwrap();
            let actor = Actor { lease: Some(claimed.lease()), ..by(ours()) };
            let adding = a.store.add_faces(actor, FaceOwner::FaceSet(set), vec![face(round)], None);
            let cancelling = async {
                let until = TimestampMs(1_000_000);
                b.store.cancel(ours(), accepted[0], false, until, bytes::Bytes::new()).await.unwrap();
                b.store.face_set(ours(), name("staff")).await.unwrap().unwrap().n_faces
            };
            let (added, n_seen) = match round % 3 {
                0 => {
                    let added = adding.await;
                    (added, cancelling.await)
                }
                _ => tokio::join!(adding, cancelling),
            };
            match added {
                Ok(_) => n_written += 1,
                Err(error) => assert_eq!(error.kind(), Kind::JobDone, "{error:?}"),
            }
            assert_eq!(n_seen, n_written, "round {round}");
        }
        let late =
            Actor { lease: Some(JobLease { job: JobId::new(1).unwrap(), until: TimestampMs(900) }), ..by(ours()) };
        let added = a.store.add_faces(late, FaceOwner::FaceSet(set), vec![face(900)], None).await;
        assert_eq!(added.unwrap_err().kind(), Kind::JobDone);
    });
}

/// Killed in the middle of writes: what was acknowledged is there, and nothing that was refused. Meanwhile searches are
/// refused, as a face may have been deleted; afterwards everything goes on without a restart of ours.
#[test]
fn a_killed_database_loses_nothing_that_was_acknowledged() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start();
    let database = server.database();
    let settings = Settings {
        n_connections: 8,
        reconnect_max: Duration::from_millis(500),
        search_wait_max: Duration::from_millis(500),
        ..Settings::DEFAULT
    };
    let node = Node::open_with(&server, &database, settings);
    runtime().block_on(async {
        let set = staff(&node).await.id;
        let (mut n_next, mut acknowledged, mut deleted) = (1, Vec::new(), Vec::new());
        for _ in 0..3 {
            let mut writes = Vec::new();
            for _ in 0..40 {
                let add = node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(n_next)], None);
                writes.push((n_next, add));
                n_next += 1;
            }
            let mut writes = writes.into_iter();
            for (number, write) in writes.by_ref().take(10) {
                write.await.unwrap();
                acknowledged.push(face_id(number));
            }
            let gone = acknowledged.remove(0);
            node.delete(set, gone.get()).await;
            deleted.push(gone);
            server.kill();
            let killed = Instant::now();
            let refused = node.index.search(looking_for(set, 1)).await.map(drop).map_err(|error| error.kind());
            assert_eq!(refused, Err(Kind::Overloaded));
            assert!(node.store.health().write_failure.is_some(), "it is told that the database is away");
            let mut unknown = Vec::new();
            for (number, write) in writes {
                match write.await {
                    Ok(_) => acknowledged.push(face_id(number)),
                    Err(error) => {
                        assert_eq!(error.kind(), Kind::Overloaded, "{error:?}");
                        unknown.push((number, error.message().contains("not known")));
                    }
                }
            }
            server.run();
            let scope = FaceScope::FaceSet(set);
            // It takes the connections a moment to notice.
            let present = loop {
                match node.store.list_faces(ours(), scope, likeness_store::conformance::EVERYTHING).await {
                    Ok(faces) => break faces.into_iter().map(|face| face.id).collect::<Vec<_>>(),
                    Err(error) => assert_eq!(error.kind(), Kind::Overloaded, "{error:?}"),
                }
                assert!(killed.elapsed() < PATIENCE, "the database is not reached again");
            };
            for id in &acknowledged {
                assert!(present.contains(id), "face {id} was acknowledged");
            }
            for id in &deleted {
                assert!(!present.contains(id), "face {id} was deleted");
            }
            for (number, is_in_doubt) in unknown {
                let is_there = present.contains(&face_id(number));
                assert!(is_in_doubt || !is_there, "face {number} was refused and is there");
                if is_there {
                    acknowledged.push(face_id(number));
                }
            }
            for &id in &acknowledged {
                assert_eq!(node.finds_patiently(set, id.get()).await, Some(id), "face {id} is found");
            }
            assert_eq!(node.finds_patiently(set, gone.get()).await, None);
        }
        assert_eq!(node.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}
