//! Deletes of many faces: all or none for the caller, in steps for everybody else, and finished also by another server.

use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{
    Change, Commit, CommitPage, CredentialStore, FaceScope, FaceSelector, GalleryChange, GalleryStore,
};
use likeness_domain::types::{
    Actor, FaceId, FaceOwner, FaceSet, FieldValue, RequestId, Revision, Tenant, TenantName, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};
use likeness_store::postgres::{PostgresStore, Settings};

use super::nodes::{Node, PATIENCE, finds_patiently, runtime};
use super::server::{self, Server};

/// Steps of so few faces, each as many as may be.
fn small_steps() -> Settings {
    Settings { n_connections: 8, delete_rows: 10, step_aim: Duration::MAX, ..Settings::DEFAULT }
}

/// Who makes the delete that is looked at.
fn deleter() -> Actor {
    Actor { request_id: RequestId::new("the-delete").unwrap(), ..by(ours()) }
}

/// The faces aged 40 or more (`age` is the second field).
fn older() -> FaceSelector {
    FaceSelector::Filter(Arc::new(Filter::Whole { field_idx: 1, min: 40, max: i64::MAX }))
}

fn are_older(n_faces: u64) -> Vec<FaceId> {
    (1..=n_faces).filter(|number| number % 100 >= 40).map(face_id).collect()
}

async fn filled(store: &PostgresStore, n_faces: u64) -> FaceSet {
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let numbers: Vec<u64> = (1..=n_faces).collect();
    for numbers in numbers.chunks(5_000) {
        let aged = |number: u64| valued(number, "age", FieldValue::Whole(number as i64 % 100));
        let faces = numbers.iter().map(|&number| aged(number)).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    }
    set
}

async fn commits_after(node: &Node, revision: Revision) -> Vec<Commit> {
    match node.store.changes_after(revision, 10_000).await.unwrap() {
        CommitPage::Commits { commits, .. } => commits,
        CommitPage::TooOld { .. } => panic!("nothing is compacted"),
    }
}

fn removed(commit: &Commit) -> Vec<FaceId> {
    let removed = |change: &Change| match change {
        Change::Gallery(GalleryChange::Remove { face, .. }) => Some(*face),
        _ => None,
    };
    commit.changes.iter().filter_map(removed).collect()
}

/// What [`until_deleted`] waits for: the faces that are left when those aged 40 or more are gone.
async fn until_deleted(store: &PostgresStore, set: &FaceSet, n_left: u64) {
    let started = Instant::now();
    loop {
        if let Ok(report) = store.report(false).await
            && (report.n_faces, report.n_faces_to_erase) == (n_left, 0)
        {
            break;
        }
        assert!(started.elapsed() < PATIENCE, "the delete did not go on");
    }
    let index = store.index();
    assert_eq!(finds_patiently(&*index, set.id, 45).await, None, "deleted");
    assert_eq!(finds_patiently(&*index, set.id, 5).await, Some(face_id(5)), "kept");
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
}

#[test]
fn a_delete_of_many_faces_lets_other_writes_of_its_tenant_in_between() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let (a, b) = (Node::at(server.place(&database), small_steps()), Node::at(server.place(&database), small_steps()));
    runtime().block_on(async {
        let set = filled(&a.store, 200).await;
        let before = a.store.report(false).await.unwrap().revision;
        // All are handed over before the first is answered.
        let delete = a.store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older());
        let new = (1_001..=1_003).map(|number| {
            let old = valued(number, "age", FieldValue::Whole(99));
            a.store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![old], None)
        });
        let new: Vec<_> = new.collect();
        for new in new {
            new.await.unwrap();
        }
        assert_eq!(delete.await.unwrap(), are_older(200), "in order of enrolment, and none that came later");
        let commits = commits_after(&a, before).await;
        let steps: Vec<_> = commits.iter().filter(|commit| !removed(commit).is_empty()).collect();
        assert_eq!(steps.iter().map(|step| removed(step).len()).collect::<Vec<_>>(), [10; 12]);
        assert!(steps.iter().all(|step| step.actor == deleter()), "in the name of who asked");
        let place = |number: u64| {
            let is_new = |change: &Change| match change {
                Change::Gallery(GalleryChange::Put { entry, .. }) => entry.face == face_id(number),
                _ => false,
            };
            commits.iter().position(|commit| commit.changes.iter().any(is_new)).unwrap()
        };
        assert!(place(1_001) <= 1 && place(1_003) <= 5, "each waited for a step at most: {}", place(1_003));
        until_deleted(&b.store, &set, 83).await;
    });
}

/// A server that is stopped while it deletes: another one goes on, whether it was there before or comes later.
#[test]
fn a_delete_goes_on_by_another_server() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    for was_there in [false, true] {
        let database = server.database();
        let n_locks = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objsubid = 2 AND granted";
        let until_alive = |n_servers: &str| {
            let started = Instant::now();
            while server.sql(&database, n_locks) != n_servers {
                assert!(started.elapsed() < PATIENCE, "there are not {n_servers} servers");
            }
        };
        let a = Node::at(server.place(&database), small_steps());
        let b = was_there.then(|| Node::at(server.place(&database), small_steps()));
        until_alive(if was_there { "2" } else { "1" });
        let set = runtime().block_on(async {
            let set = filled(&a.store, 1_000).await;
            let other = a.store.create_face_set(by(theirs()), face_set("theirs"), None).await.unwrap();
            let delete = a.store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older());
            // Until some steps are made.
            let started = Instant::now();
            while a.store.report(false).await.unwrap().n_faces > 990 {
                assert!(started.elapsed() < PATIENCE, "the delete has not begun");
            }
            drop(delete);
            if let Some(b) = &b {
                // Steps of a server that is alive are its own, also where another one looks for something to erase.
                b.store.delete_face_set(by(theirs()), other.id, false).await.unwrap();
            }
            set
        });
        drop(a);
        let n_left: u64 = server.sql(&database, "SELECT count(*) FROM pending_deletes").parse().unwrap();
        assert!(n_left > 0, "the server had no time to finish");
        until_alive(if was_there { "1" } else { "0" });
        let b = b.unwrap_or_else(|| Node::at(server.place(&database), small_steps()));
        runtime().block_on(async {
            // Something to erase wakes the maintenance, which would look by itself half a minute later.
            let other = b.store.create_face_set(by(theirs()), face_set("more"), None).await.unwrap();
            b.store.delete_face_set(by(theirs()), other.id, false).await.unwrap();
            until_deleted(&b.store, &set, 400).await;
        });
    }
}

/// A database that is killed while faces are deleted: the caller is told that the delete goes on, and it does.
#[test]
fn a_delete_goes_on_when_the_database_is_back() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start();
    let database = server.database();
    let node =
        Node::at(server.place(&database), Settings { reconnect_max: Duration::from_millis(300), ..small_steps() });
    runtime().block_on(async {
        let set = filled(&node.store, 2_000).await;
        let delete = node.store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older());
        let started = Instant::now();
        while node.store.report(false).await.unwrap().n_faces > 1_990 {
            assert!(started.elapsed() < PATIENCE, "the delete has not begun");
        }
        server.kill();
        let error = delete.await.unwrap_err();
        assert_eq!(error.kind(), Kind::Overloaded, "{error:?}");
        assert!(error.message().contains("deleted as soon as it is back"), "{error:?}");
        server.run();
        until_deleted(&node.store, &set, 800).await;
    });
}

/// A damaged step deletes nobody, is reported, and holds up no other.
#[test]
fn a_damaged_step_of_a_delete_is_not_made() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let database = server.database();
    let open = || Node::at(server.place(&database), small_steps());
    let node = open();
    let set = runtime().block_on(filled(&node.store, 100));
    drop(node);
    server.sql(
        &database,
        "INSERT INTO pending_deletes (tenant, request, faces, node, checksum)
         SELECT s.tenant, 'r', decode(lpad(to_hex(f.sequence), 2, '0') || '00000000000000', 'hex'), 1, 12345
         FROM faces AS f JOIN face_sets AS s ON s.id = f.face_set ORDER BY f.sequence LIMIT 1",
    );
    let node = open();
    runtime().block_on(async {
        let delete = node.store.delete_faces(deleter(), FaceScope::FaceSet(set.id), older()).await.unwrap();
        assert_eq!(delete, are_older(100));
        let report = node.store.report(true).await.unwrap();
        assert_eq!((report.n_faces, report.n_faces_to_erase), (40, 1));
        assert_eq!(report.problems.len(), 1, "{:?}", report.problems);
        assert!(report.problems[0].contains("ask for the delete again"), "{:?}", report.problems);
        let tenant = Tenant::new(ours(), TenantName::new("ours").unwrap(), TimestampMs(1));
        node.store.ensure_tenant(by(ours()), tenant).await.unwrap();
        assert!(node.store.delete_tenant(by(ours())).await.unwrap());
        let started = Instant::now();
        while server.sql(&database, "SELECT count(*) FROM pending_deletes") != "0" {
            assert!(started.elapsed() < PATIENCE, "what a tenant has left is erased");
        }
    });
}

/// 100,000 matches with the steps of a server, while others write for the same tenant: what they wait is printed, and bounded
/// where the machine does nothing else (`LIKENESS_SLOW_TESTS=1`).
#[test]
fn a_delete_of_a_hundred_thousand_faces_holds_nobody_up() {
    if !server::is_installed() {
        return;
    }
    let is_slow_run = std::env::var_os("LIKENESS_SLOW_TESTS").is_some();
    let n_faces = if is_slow_run { 166_700 } else { 5_000 };
    let server = server::shared();
    let database = server.database();
    let opened = || {
        // The one that servers have: the plain one looks through all rows for each that is removed.
        let options = FlatOptions { n_threads: 1, queue_len_max: 16, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 1 };
        let index = Arc::new(FlatIndex::new(options).unwrap());
        let settings = Settings { n_connections: 8, ..Settings::DEFAULT };
        PostgresStore::open(server.place(&database), index, settings, clock()).unwrap()
    };
    let (a, b) = (opened(), opened());
    runtime().block_on(async {
        let set = filled(&a, n_faces).await;
        let other = b.create_face_set(by(ours()), face_set("other"), None).await.unwrap();
        let started = Instant::now();
        let mut delete = a.delete_faces(deleter(), FaceScope::FaceSet(set.id), older());
        let mut waits = Vec::new();
        let deleted = loop {
            let began = Instant::now();
            let new = vec![face(1_000_000 + waits.len() as u64)];
            // By the other server, so that its turn is the database's.
            b.add_faces(by(ours()), FaceOwner::FaceSet(other.id), new, None).await.unwrap();
            waits.push(began.elapsed());
            let poll = std::future::poll_fn(|context| std::task::Poll::Ready(delete.as_mut().poll(context)));
            if let std::task::Poll::Ready(deleted) = poll.await {
                break deleted.unwrap();
            }
        };
        let elapsed = started.elapsed();
        assert_eq!(deleted, are_older(n_faces));
        waits.sort_unstable();
        let share = |percent: usize| waits[(waits.len() - 1) * percent / 100];
        let n_over = waits.iter().filter(|wait| **wait > Duration::from_millis(50)).count();
        eprintln!(
            "{} faces deleted in {elapsed:?}; {} others wrote meanwhile: median {:?}, 99 % {:?}, longest {:?}, {n_over} above \
             50 ms",
            deleted.len(),
            waits.len(),
            share(50),
            share(99),
            share(100)
        );
        assert!(waits.len() > deleted.len() / 2_500, "others wrote meanwhile: {}", waits.len());
        until_deleted(&b, &set, n_faces - deleted.len() as u64 + waits.len() as u64).await;
    });
}
