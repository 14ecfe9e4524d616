//! A database with a standby: what becomes of writes and indexes when the standby is promoted.

use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, GalleryStore};
use likeness_domain::types::{FaceId, FaceOwner, Revision};
use likeness_store::conformance::EVERYTHING;
use likeness_store::conformance::samples::*;
use likeness_store::postgres::Settings;

use super::nodes::{Node, looking_for, runtime, staff};
use super::server::{self, Server};

fn settings() -> Settings {
    Settings { n_connections: 8, reconnect_max: Duration::from_secs(30), ..Settings::DEFAULT }
}

/// Waits until a statement on the database prints this.
pub(super) fn until(server: &Server, statement: &str, expected: &str) {
    let started = Instant::now();
    while server.sql("postgres", statement) != expected {
        assert!(started.elapsed() < Duration::from_secs(60), "{statement} does not become {expected}");
    }
}

/// A primary whose commits wait for a standby, and that standby.
pub(super) fn synchronous_pair() -> (Server, Server) {
    let primary = Server::start();
    let standby = primary.standby();
    primary.sql("postgres", "ALTER SYSTEM SET synchronous_standby_names = '*'");
    primary.sql("postgres", "SELECT pg_reload_conf()");
    until(&primary, "SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'sync'", "1");
    (primary, standby)
}

/// With synchronous replication a promotion in the middle of writes loses no acknowledged one, and needs nothing of us: calls
/// under way go on with the new server.
#[test]
fn a_promotion_loses_nothing_that_was_acknowledged() {
    if !server::is_installed() {
        return;
    }
    let (primary, standby) = synchronous_pair();
    let database = primary.database();
    let place = server::place(&[&primary, &standby], &database);
    let (node, other) = (Node::at(place.clone(), settings()), Node::at(place, settings()));
    runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        node.add(set, 2).await;
        node.delete(set, 1).await;
        let writes: Vec<_> = (10..50)
            .map(|number| node.store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None))
            .collect();
        let mut acknowledged: Vec<FaceId> = vec![face_id(2)];
        let mut writes = writes.into_iter();
        for write in writes.by_ref().take(10) {
            acknowledged.extend(write.await.unwrap().into_iter().map(|face| face.id));
        }
        primary.kill();
        standby.promote();
        for write in writes {
            match write.await {
                Ok(faces) => acknowledged.extend(faces.into_iter().map(|face| face.id)),
                // The one whose commit was under way, at most.
                Err(error) => assert!(error.message().contains("not known"), "{error:?}"),
            }
        }
        assert!(acknowledged.len() >= 40, "writes go on at the standby: {}", acknowledged.len());
        let present = node.store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
        let present: Vec<FaceId> = present.into_iter().map(|face| face.id).collect();
        assert!(acknowledged.iter().all(|id| present.contains(id)));
        assert!(!present.contains(&face_id(1)));
        for node in [&node, &other] {
            assert_eq!(node.finds_patiently(set, 1).await, None);
            for id in &acknowledged {
                assert_eq!(node.finds_patiently(set, id.get()).await, Some(*id));
            }
        }
        assert_eq!(node.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A standby that is promoted without the last commits makes another history. A server that has seen those commits notices,
/// whether the other history is shorter or has grown past it, and shows what the database has.
#[test]
fn an_index_of_a_lost_history_is_filled_anew() {
    if !server::is_installed() {
        return;
    }
    let primary = Server::start();
    let standby = primary.standby();
    let database = primary.database();
    let place = server::place(&[&primary, &standby], &database);
    let node = Node::at(place.clone(), settings());
    runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        let position = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
        until(&standby, &format!("SELECT pg_last_wal_replay_lsn() >= '{position}'"), "t");
        standby.stop("fast");
        let kept = node.store.record_after(ours(), Revision(0).into(), 10).await.unwrap().reached;
        node.add(set, 2).await;
        let lost = node.store.record_after(ours(), kept, 10).await.unwrap();
        assert_eq!(lost.commits.len(), 1);
        node.add(set, 3).await;
        primary.kill();
        standby.run();
        standby.promote();
        // The other history grows to the revision at which the node is, and the next search must not take it for its own.
        let writer = Node::at(place, settings());
        writer.add(set, 12).await;
        writer.add(set, 13).await;
        // Whoever follows the record is told, though the number of its commit was given again; behind a commit that was not lost
        // it goes on.
        let error = writer.store.record_after(ours(), lost.reached, 10).await.unwrap_err();
        assert_eq!((error.kind(), error.field()), (Kind::Changed, Some("cursor")), "{error:?}");
        assert_eq!(writer.store.record_after(ours(), kept, 10).await.unwrap().commits.len(), 2);
        match node.index.search(looking_for(set, 2)).await {
            Ok(hits) => assert!(hits.is_empty(), "the database does not have it"),
            Err(error) => assert_eq!(error.kind(), Kind::Overloaded, "{error:?}"),
        }
        assert_eq!(node.finds_patiently(set, 1).await, Some(face_id(1)));
        assert_eq!(node.finds_patiently(set, 2).await, None, "the database does not have it");
        assert_eq!(node.finds_patiently(set, 3).await, None);
        assert_eq!(node.finds_patiently(set, 13).await, Some(face_id(13)));
        node.add(set, 14).await;
        assert_eq!(writer.finds_patiently(set, 14).await, Some(face_id(14)));

        // It says so until somebody has seen it; the other server has seen nothing of what was lost.
        assert_eq!((node.store.health().n_losses, writer.store.health().n_losses), (1, 0));
        let told = node.store.report(false).await.unwrap().problems;
        assert!(told.len() == 1 && told[0].contains("lacks acknowledged commits"), "{told:?}");
        assert_eq!(node.store.acknowledge_losses().await.unwrap(), told);
        assert_eq!(node.store.health().n_losses, 0);
        assert_eq!(node.store.report(false).await.unwrap().problems, [] as [String; 0]);
    });
}

/// Whoever gives no password to a database that asks for one is told that, and where it comes from.
#[test]
fn a_password_that_is_missing_is_asked_for() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start();
    let database = server.database();
    server.sql("postgres", "ALTER ROLE likeness PASSWORD 'secret'");
    let rules = server.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local {database} all scram-sha-256\n{before}")).unwrap();
    let loaded = server.sql("postgres", "SELECT pg_conf_load_time()");
    server.sql("postgres", "SELECT pg_reload_conf()");
    until(&server, &format!("SELECT pg_conf_load_time() > '{loaded}'"), "t");
    let index = std::sync::Arc::new(likeness_store::conformance::Ledger::default());
    let place = server.place(&database);
    let opened = likeness_store::postgres::PostgresStore::open(place, index, settings(), clock());
    let error = opened.err().expect("nobody may sign in without it");
    assert!(error.message().contains("asks for a password, and none was given"), "{error}");
    assert!(error.hint().unwrap().contains("PGPASSWORD"), "{error:?}");
}

/// Whoever opens a database that cannot be used is told what to do about it, each trouble by its own cure.
#[test]
fn each_trouble_with_the_database_has_its_cure() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start_with("max_connections = 8\nsuperuser_reserved_connections = 3");
    let database = server.database();
    let standby = server.standby();
    let roles = "CREATE ROLE guest LOGIN PASSWORD 'right'; CREATE ROLE poor LOGIN; CREATE ROLE few LOGIN CONNECTION LIMIT 0; \
                 ALTER ROLE likeness PASSWORD 'right'";
    server.sql("postgres", roles);
    let rules = server.data().join("pg_hba.conf");
    let before = std::fs::read_to_string(&rules).unwrap();
    std::fs::write(&rules, format!("local all guest scram-sha-256\nlocal all stranger reject\n{before}")).unwrap();
    let loaded = server.sql("postgres", "SELECT pg_conf_load_time()");
    server.sql("postgres", "SELECT pg_reload_conf()");
    until(&server, &format!("SELECT pg_conf_load_time() > '{loaded}'"), "t");
    let url = |server: &Server, user: &str, database: &str| {
        server::url(&[server], database).replacen("likeness@", &format!("{user}@"), 1)
    };
    let settings = Settings { reconnect_max: Duration::from_secs(2), ..settings() };
    for (url, cure) in [
        (url(&server, "guest", &database), "correct the password"),
        (url(&server, "stranger", &database), "pg_hba.conf"),
        (url(&server, "likeness", "nowhere"), "CREATE DATABASE"),
        (url(&server, "poor", &database), "own the database"),
        (url(&server, "few", &database), "max_connections"),
        (url(&standby, "likeness", &database), "name the primary"),
        (url(&server, "likeness", &database) + "?options=-c%20search_path%3Dnowhere", "`search_path`"),
    ] {
        let place = likeness_store::postgres::Address::parse(&url, Some("wrong")).unwrap();
        let index = std::sync::Arc::new(likeness_store::conformance::Ledger::default());
        let opened = likeness_store::postgres::PostgresStore::open(place, index, settings, clock());
        let error = opened.err().unwrap_or_else(|| panic!("{url} cannot be used"));
        let hint = error.hint().unwrap_or_default();
        assert!(hint.contains(cure), "{url}: {error:?}: {hint}");
        // Issue 17: the driver's own text of most of them is "db error".
        let why = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        let is_told = why.contains("(SQLSTATE ") || why.contains("does not allow writes");
        assert!(is_told && !format!("{error:?}").contains("wrong"), "{url}: {error:?}");
    }
}
