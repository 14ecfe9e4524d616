//! Several servers on one database, with their large face sets in Milvus.

use std::io::Write;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{CredentialStore, FaceScope, FaceSelector, GalleryStore, VectorIndex};
use likeness_domain::types::{FaceOwner, FaceSetId};
use likeness_store::conformance::samples::*;
use likeness_store::index::BruteForceIndex;
use likeness_store::milvus;
use likeness_store::milvus::truth::{Place, Stage};
use likeness_store::postgres::{Address, PostgresStore, Settings};

use super::nodes::{PATIENCE, looking_for};
use super::pooler::{self, Pooler};
use super::server;
use crate::milvus::server as milvus_server;
use crate::milvus::server::Variety;

pub(crate) const FROM_FACES: u64 = 40;

struct Node {
    store: PostgresStore,
    index: Arc<dyn VectorIndex>,
    /// What this node holds itself.
    plain: Arc<BruteForceIndex>,
}

pub(crate) fn settings(server: &milvus_server::Server) -> milvus::Settings {
    milvus::Settings {
        from_faces: FROM_FACES,
        look_every: Duration::from_millis(100),
        ..milvus::Settings::new(server.address())
    }
}

/// Somebody who has read a table in a transaction that does not end until `act` is over.
fn while_somebody_reads<T>(server: &server::Server, database: &str, table: &str, act: impl FnOnce() -> T) -> T {
    let mut psql = server.psql(database);
    psql.env("PGAPPNAME", "reader").stdin(Stdio::piped()).stdout(Stdio::null());
    let mut reader = psql.spawn().expect("psql runs");
    let mut said = reader.stdin.take().expect("it is piped");
    writeln!(said, "BEGIN; SELECT count(*) FROM {table};").expect("psql reads");
    let has_read = "SELECT count(*) FROM pg_stat_activity
                    WHERE application_name = 'reader' AND state = 'idle in transaction'";
    let started = Instant::now();
    while server.sql(database, has_read) == "0" {
        assert!(started.elapsed() < Duration::from_secs(60), "it reads");
    }
    let answer = act();
    drop(said);
    reader.wait().expect("psql ends");
    answer
}

impl Node {
    fn open(server: &server::Server, database: &str, milvus: &milvus_server::Server) -> Self {
        Self::at(server.place(database), milvus)
    }

    fn at(place: Address, milvus: &milvus_server::Server) -> Self {
        let plain = Arc::new(BruteForceIndex::new());
        let of_store = Settings { n_connections: 8, ..Settings::DEFAULT };
        let store =
            PostgresStore::open_with_milvus(place, Arc::clone(&plain) as _, of_store, clock(), settings(milvus))
                .unwrap();
        Self { index: store.index(), store, plain }
    }

    async fn add(&self, set: FaceSetId, numbers: std::ops::Range<u64>) {
        let faces = numbers.map(face).collect();
        self.store.add_faces(by(ours()), FaceOwner::FaceSet(set), faces, None).await.unwrap();
    }

    async fn delete(&self, set: FaceSetId, number: u64) {
        let selector = FaceSelector::Ids(vec![face_id(number)]);
        self.store.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
    }

    async fn finds(&self, set: FaceSetId, number: u64) -> bool {
        let hits = self.index.search(looking_for(set, number)).await.unwrap();
        hits.first().is_some_and(|hit| hit.face == face_id(number))
    }

    /// Ready when no node holds the set any more.
    async fn wait_until_elsewhere(&self, set: FaceSetId) {
        let started = Instant::now();
        while !self.index.is_elsewhere(set) || self.plain.n_rows(set) > 0 {
            assert!(started.elapsed() < PATIENCE, "the set is in Milvus");
            // What the database does lets time pass, and the index's own tasks go on.
            self.store.tenants().await.unwrap();
        }
    }
}

#[test]
fn what_one_server_acknowledges_the_other_shows_at_once_from_milvus() {
    if !server::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let server = server::shared();
    shows_at_once(&server.place(&server.database()));
}

/// The server that writes to Milvus is one, and another takes over, also where locks end with their transactions.
#[test]
fn what_one_server_acknowledges_the_other_shows_at_once_from_milvus_behind_a_pooler() {
    if !pooler::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let server = server::shared();
    let pooler = Pooler::start(server, "");
    shows_at_once(&pooler.place(&server.database()));
}

fn shows_at_once(place: &Address) {
    let milvus = milvus_server::Server::start(Variety::Lite);
    let a = Node::at(place.clone(), &milvus);
    let b = Node::at(place.clone(), &milvus);
    let patient = tokio::runtime::Builder::new_current_thread().build().unwrap();
    patient.block_on(async {
        let set = a.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        let small = a.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap().id;
        a.add(small, 9001..9003).await;
        a.add(set, 1..1 + FROM_FACES).await;
        a.wait_until_elsewhere(set).await;
        b.wait_until_elsewhere(set).await;
        assert!(!a.index.is_elsewhere(small) && a.plain.n_rows(small) == 2);
        for number in 100..200 {
            let (here, there) = if number % 2 == 0 { (&a, &b) } else { (&b, &a) };
            here.add(set, number..number + 1).await;
            assert!(there.finds(set, number).await, "{number} was added by the other server");
            if number % 3 == 0 {
                there.delete(set, number).await;
                assert!(!here.finds(set, number).await, "{number} was deleted by the other server");
                assert!(!there.finds(set, number).await, "{number} was deleted by this server");
            }
        }
        let all = a.index.matching(set, Arc::new(Filter::Every(Vec::new()))).await.unwrap();
        assert_eq!(all.len(), FROM_FACES as usize + 67);
        // A server that starts now does not read the set from the database.
        let c = Node::at(place.clone(), &milvus);
        assert!(c.index.is_elsewhere(set) && c.plain.n_rows(set) == 0 && c.plain.n_rows(small) == 2);
        assert!(c.finds(set, 7).await && !c.finds(set, 102).await && c.finds(small, 9001).await);
        // The servers' part in Milvus may end: another one goes on with it.
        drop(a);
        b.add(set, 300..310).await;
        b.delete(set, 7).await;
        let beside = b.store.milvus(settings(&milvus)).await.unwrap();
        let newest = b.index.revision().unwrap();
        let started = Instant::now();
        while beside.outbox().await.unwrap().position.revision < newest {
            assert!(started.elapsed() < PATIENCE, "another server writes to Milvus");
        }
        let found = beside.compare(set).await.unwrap();
        assert!(found.is_none() && found.n_milvus == FROM_FACES + 67 + 10 - 1, "{found:?}");
        assert_eq!(found.digest_milvus, found.digest_truth);
        assert!(c.finds(set, 305).await && !c.finds(set, 7).await);
        // Copied anew when asked for; searches are refused meanwhile, or already answered again.
        beside.rebuild(set).await.unwrap();
        let started = Instant::now();
        loop {
            let outbox = beside.outbox().await.unwrap();
            if outbox.rebuilds.is_empty() && outbox.sets[&set].stage == Stage::Served {
                break;
            }
            assert!(started.elapsed() < PATIENCE, "the set is copied anew");
        }
        assert!(beside.compare(set).await.unwrap().is_none());
        b.store.delete_face_set(by(ours()), set, false).await.unwrap();
        assert!(!b.index.search(looking_for(set, 305)).await.is_ok_and(|hits| !hits.is_empty()));
    });
}

/// A set that is named is in Milvus however small, and one that is named otherwise is in no Milvus however large; whoever
/// changes his mind is followed, by servers that run and by those that start.
#[test]
fn a_set_that_is_named_goes_where_it_is_wanted() {
    if !server::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let database = server.database();
    let patient = tokio::runtime::Builder::new_current_thread().build().unwrap();
    patient.block_on(async {
        let a = Node::open(server, &database, &milvus);
        let beside = a.store.milvus(settings(&milvus)).await.unwrap();
        let small = a.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap().id;
        let large = a.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        let other = a.store.create_face_set(by(ours()), face_set("visitors"), None).await.unwrap().id;
        beside.choose(small, Some(Place::Milvus)).await.unwrap();
        beside.choose(large, Some(Place::Nodes)).await.unwrap();
        a.add(large, 1..1 + FROM_FACES).await;
        a.add(small, 9001..9003).await;
        a.add(other, 5001..5001 + FROM_FACES).await;
        a.wait_until_elsewhere(small).await;
        // Found large at the same moment as the one before.
        a.wait_until_elsewhere(other).await;
        assert!(a.finds(small, 9002).await && a.finds(large, 3).await && a.finds(other, 5003).await);
        let outbox = beside.outbox().await.unwrap();
        assert_eq!(outbox.sets.keys().copied().collect::<Vec<_>>(), [small, other]);
        assert!(!a.index.is_elsewhere(large) && a.plain.n_rows(large) == FROM_FACES as usize);
        // The other way round. The server that runs searches the second in Milvus until it starts again.
        beside.choose(large, None).await.unwrap();
        beside.choose(other, Some(Place::Nodes)).await.unwrap();
        a.wait_until_elsewhere(large).await;
        assert!(a.index.is_elsewhere(other));
        let b = Node::open(server, &database, &milvus);
        assert!(!b.index.is_elsewhere(other) && b.plain.n_rows(other) == FROM_FACES as usize);
        a.add(other, 5100..5103).await;
        b.delete(other, 5001).await;
        for node in [&a, &b] {
            assert!(node.finds(other, 5101).await && !node.finds(other, 5001).await && node.finds(large, 3).await);
        }
        assert_eq!(b.plain.n_rows(other), FROM_FACES as usize + 3 - 1);
        // And back to what its size says: then no server holds it.
        beside.choose(other, None).await.unwrap();
        b.wait_until_elsewhere(other).await;
        assert!(b.finds(other, 5101).await && !b.finds(other, 5001).await);
        assert!(beside.compare(other).await.unwrap().is_none());
    });
}

/// Without Milvus a server starts, writes are acknowledged, small sets are searched, large ones refused.
#[test]
fn a_server_starts_and_writes_without_milvus() {
    if !server::is_installed() || !milvus_server::is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let database = server.database();
    let patient = tokio::runtime::Builder::new_current_thread().build().unwrap();
    patient.block_on(async {
        let a = Node::open(server, &database, &milvus);
        let set = a.store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        let small = a.store.create_face_set(by(ours()), face_set("guests"), None).await.unwrap().id;
        a.add(set, 1..1 + FROM_FACES).await;
        a.wait_until_elsewhere(set).await;
        milvus.kill();
        drop(a);
        let b = Node::open(server, &database, &milvus);
        b.add(small, 9001..9003).await;
        b.add(set, 100..110).await;
        b.delete(set, 3).await;
        assert!(b.finds(small, 9002).await);
        assert_eq!(b.index.search(looking_for(set, 100)).await.unwrap_err().kind(), Kind::Overloaded);
        // It is told by a node that reads only, too, and how much waits.
        let told = |node: &Node| node.store.health().outside.unwrap();
        // Whoever starts does not wait for searches under way: one of a server that hangs does not end.
        let c = while_somebody_reads(server, &database, "milvus_outbox", || Node::open(server, &database, &milvus));
        for node in [&b, &c] {
            node.index.search(looking_for(small, 1)).await.unwrap();
            let health = told(node);
            let trouble = health.trouble.unwrap();
            assert!(trouble.cure.is_none(), "it may pass by itself: {trouble:?}");
            assert_eq!((health.n_sets, health.n_sets_refused), (1, 0));
            assert!(health.n_commits_behind >= 2, "{}", health.n_commits_behind);
            assert!(node.store.health().write_failure.is_none());
        }
        assert_eq!(told(&b).n_faces_behind, 11);
        milvus.run();
        let started = Instant::now();
        while b.index.search(looking_for(set, 1)).await.is_err() {
            assert!(started.elapsed() < PATIENCE, "Milvus is back");
        }
        assert!(b.finds(set, 100).await && b.finds(set, 1).await && !b.finds(set, 3).await);
        for node in [&b, &c] {
            while told(node).trouble.is_some() || told(node).n_commits_behind > 0 {
                assert!(started.elapsed() < PATIENCE, "Milvus is back: {:?}", told(node));
                node.store.tenants().await.unwrap();
            }
        }
    });
}
