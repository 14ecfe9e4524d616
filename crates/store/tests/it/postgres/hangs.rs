//! A database that does not answer and does not go away either: its processes are stopped, or what is between does not speak.

use std::time::{Duration, Instant};

use likeness_domain::ports::{FaceScope, GalleryStore};
use likeness_domain::types::{FaceId, FaceOwner, FaceSetId};
use likeness_domain::{Error, Kind};
use likeness_store::conformance::EVERYTHING;
use likeness_store::conformance::samples::*;
use likeness_store::postgres::{Address, Settings};

use super::cable::{Cable, Mended};
use super::nodes::{Node, looking_for, staff};
use super::replication::{synchronous_pair, until};
use super::server::{self, Server};

/// Far more than the limits below add up to, far less than for ever.
const ANSWER_MAX: Duration = Duration::from_secs(40);

/// Short limits, so that the tests need not wait.
const SETTINGS: Settings = Settings {
    n_connections: 8,
    statement_timeout: Duration::from_secs(1),
    lock_timeout: Duration::from_secs(1),
    reconnect_max: Duration::from_secs(1),
    ..Settings::DEFAULT
};

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

async fn answer<T: std::fmt::Debug>(call: impl Future<Output = Result<T, Error>>) -> Error {
    let answer = tokio::time::timeout(ANSWER_MAX, call).await.expect("it is answered");
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), Kind::Overloaded, "{error:?}");
    error
}

async fn listed(node: &Node, set: FaceSetId) -> Vec<FaceId> {
    let listed = node.store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
    listed.into_iter().map(|face| face.id).collect()
}

/// Every call gets an answer while the server's processes are stopped: those that were under way, those that wait behind
/// them, and those that come later. Afterwards everything is as the database has it.
#[test]
fn a_database_that_is_stopped_is_waited_for_no_longer_than_the_limits() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start();
    let node = Node::at(server.place(&server.database()), SETTINGS);
    runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        // Idle connections lie in the pool.
        let reads: Vec<_> = (0..4).map(|_| node.store.face_sets(ours())).collect();
        for read in reads {
            read.await.unwrap();
        }
        let frozen = server.freeze();
        let add = |number| node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None);
        let writes: Vec<_> = (10..20).map(add).collect();
        let other = node.store.create_face_set(by(theirs()), face_set("other"), None);
        let started = Instant::now();
        answer(node.store.face_sets(ours())).await;
        answer(node.index.search(looking_for(set, 1))).await;
        for write in writes {
            answer(write).await;
        }
        answer(other).await;
        // It is known by now that nobody answers there.
        answer(add(20)).await;
        answer(node.store.face_sets(ours())).await;
        assert!(started.elapsed() < ANSWER_MAX, "{:?}", started.elapsed());
        assert!(node.store.health().write_failure.is_some());
        drop(frozen);
        assert_eq!(node.finds_patiently(set, 1).await, Some(face_id(1)));
        node.add(set, 2).await;
        assert_eq!(node.finds_patiently(set, 2).await, Some(face_id(2)));
        let listed = listed(&node, set).await;
        for number in 10..=20 {
            let found = node.finds_patiently(set, number).await;
            assert_eq!(found.is_some(), listed.contains(&face_id(number)), "face {number}");
        }
    });
}

/// A commit whose answer does not come is neither made nor not made for whoever asked; the index hears of it from the
/// database, once.
#[test]
fn a_commit_that_is_not_answered_is_not_known() {
    if !server::is_installed() {
        return;
    }
    let server = server::shared();
    let (cable, database) = (Cable::new(server.socket()), server.database());
    let direct = Node::at(server.place(&database), SETTINGS);
    let place = Address::parse(&server::url_in(&[cable.folder()], &database), None).unwrap();
    let node = Node::at(place, SETTINGS);
    runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        let mended = Mended(&cable);
        cable.silence_at_commit();
        let add = node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(2)], None);
        let error = answer(add).await;
        assert!(error.message().contains("whether it was made is not known"), "{error}");
        // It was made.
        assert_eq!(direct.finds_patiently(set, 2).await, Some(face_id(2)));
        assert_eq!(node.n_rows(set), 1, "nobody has told the index");
        // Nor is a search answered without what may have been made.
        answer(node.index.search(looking_for(set, 1))).await;
        drop(mended);
        assert_eq!(node.finds_patiently(set, 2).await, Some(face_id(2)));
        assert_eq!((node.n_rows(set), listed(&node, set).await.len()), (2, 2));
        node.add(set, 3).await;
        assert_eq!(node.finds_patiently(set, 3).await, Some(face_id(3)));
        assert_eq!((node.n_rows(set), node.store.health().n_losses), (3, 0));
    });
}

/// A primary that breaks while a commit waits for the standby has the commit afterwards, and the standby does not: it is not
/// acknowledged before the standby has it.
#[test]
fn a_commit_that_the_standby_may_lack_is_not_acknowledged() {
    if !server::is_installed() {
        return;
    }
    let (primary, standby) = synchronous_pair();
    let node = Node::at(primary.place(&primary.database()), SETTINGS);
    let set = runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        set
    });
    standby.stop("fast");
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let waiting = "FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
            until(&primary, &format!("SELECT count(*) > 0 {waiting}"), "t");
            primary.sql("postgres", &format!("SELECT pg_terminate_backend(pid) {waiting}"));
        });
        runtime().block_on(async {
            let add = node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(2)], None);
            let error = answer(add).await;
            assert!(error.message().contains("whether it was made is not known"), "{error}");
        });
    });
    standby.run();
    runtime().block_on(async {
        assert_eq!(node.finds_patiently(set, 2).await, Some(face_id(2)));
        node.add(set, 3).await;
        assert_eq!(node.finds_patiently(set, 3).await, Some(face_id(3)));
    });
}
