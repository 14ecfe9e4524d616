//! The database behind pgbouncer in transaction mode, where a connection leads to another process of the server after each
//! transaction.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, GalleryStore, VectorIndex};
use likeness_domain::types::FaceSetId;
use likeness_store::conformance;
use likeness_store::conformance::Opened;
use likeness_store::conformance::samples::*;
use likeness_store::index::BruteForceIndex;
use likeness_store::postgres::{Address, PostgresStore, Settings};

use super::nodes::{Node, PATIENCE, leases_end_with, looking_for, runtime, staff};
use super::replication::until;
use super::server::{self, Server};

const PROGRAM: &str = "/usr/sbin/pgbouncer";

/// Whether there is a pooler, and something to put it before; says what is missing.
pub(crate) fn is_installed() -> bool {
    let is_there = Path::new(PROGRAM).exists();
    if !is_there {
        eprintln!("skipped: no pgbouncer is installed (Debian: `apt-get install pgbouncer`)");
    }
    is_there && server::is_installed()
}

/// One before a server, behind a socket; it ends with the test's process.
pub(crate) struct Pooler {
    folder: PathBuf,
    watchdog: Child,
}

impl Pooler {
    /// `settings` are further lines.
    pub(crate) fn start(server: &Server, settings: &str) -> Self {
        let folder = server::folder("lk-pb-");
        symlink(server.folder(), folder.join("server")).unwrap();
        let folder_shown = folder.display();
        // Each transaction gets the process that has rested longest, so what is left behind in one is missed at once.
        let configured = format!(
            "[databases]\n* = host={folder_shown}/server port=5432\n\
             [pgbouncer]\npool_mode = transaction\nlisten_port = 5432\nunix_socket_dir = {folder_shown}\n\
             auth_type = trust\nauth_file = {folder_shown}/users\nlogfile = {folder_shown}/log\n\
             max_client_conn = 400\nserver_idle_timeout = 1\nserver_round_robin = 1\nserver_login_retry = 1\n{settings}\n"
        );
        fs::write(folder.join("users"), "\"likeness\" \"\"\n").unwrap();
        fs::write(folder.join("settings"), configured).unwrap();
        let mut watchdog = Command::new("sh");
        let script = r#"trap '' INT HUP TERM; "$1" -q settings </dev/null & running=$!
            cat >/dev/null; kill -KILL $running; rm -rf "$2""#;
        watchdog.args(["-c", script, "sh", PROGRAM]).arg(&folder).current_dir(&folder);
        watchdog.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        server::as_account(&mut watchdog);
        let pooler = Self { watchdog: watchdog.spawn().expect("a shell starts"), folder };
        let started = Instant::now();
        while !pooler.folder.join(server::SOCKET).exists() {
            let log = fs::read_to_string(pooler.folder.join("log")).unwrap_or_default();
            assert!(started.elapsed() < PATIENCE, "pgbouncer does not start: {log}");
            std::thread::yield_now();
        }
        pooler
    }

    /// The address of a database that says nothing of it.
    fn url(&self, database: &str) -> String {
        server::url_in(&[&self.folder], database)
    }

    /// The same with what has to be said.
    fn told_url(&self, database: &str) -> String {
        format!("{}?pool_mode=transaction", self.url(database))
    }

    pub(crate) fn place(&self, database: &str) -> Address {
        Address::parse(&self.told_url(database), None).unwrap()
    }

    /// What it takes for the server is this one from now on.
    fn lead_to(&self, server: &Server) {
        let link = self.folder.join("server");
        fs::remove_file(&link).unwrap();
        symlink(server.folder(), link).unwrap();
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

fn settings() -> Settings {
    Settings { n_connections: 4, ..Settings::DEFAULT }
}

fn open(index: Arc<dyn VectorIndex>) -> Opened {
    static POOLER: OnceLock<Pooler> = OnceLock::new();
    let server = server::shared();
    let pooler = POOLER.get_or_init(|| Pooler::start(server, ""));
    let store = PostgresStore::open(pooler.place(&server.database()), index, settings(), clock()).unwrap();
    let store = Arc::new(store);
    Opened {
        gallery: Arc::clone(&store) as _,
        credentials: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        keep: Box::new(()),
    }
}

conformance!(by_room conforms, is_installed, open);

/// Nobody is told of commits there, and still a search sees every write of another server that was acknowledged before.
#[test]
fn what_one_server_acknowledges_is_shown_by_one_behind_a_pooler_at_once() {
    if !is_installed() {
        return;
    }
    let server = server::shared();
    let (pooler, database) = (Pooler::start(server, ""), server.database());
    let direct = Node::at(server.place(&database), settings());
    let (a, b) = (Node::at(pooler.place(&database), settings()), Node::at(pooler.place(&database), settings()));
    runtime().block_on(async {
        let set = staff(&direct).await.id;
        for number in 1..=200 {
            let (writes, deletes) = match number % 3 {
                0 => (&a, &direct),
                1 => (&direct, &b),
                _ => (&b, &a),
            };
            writes.add(set, number).await;
            for node in [&a, &b, &direct] {
                assert_eq!(node.finds(set, number).await, Some(face_id(number)), "face {number} was added");
            }
            deletes.delete(set, number).await;
            for node in [&a, &b, &direct] {
                assert_eq!(node.finds(set, number).await, None, "face {number} was deleted");
            }
        }
        assert_eq!(a.store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// What shows that a server is alive goes with it, and does not stay with a connection of the pooler.
#[test]
fn leases_end_with_their_server_behind_a_pooler() {
    if !is_installed() {
        return;
    }
    let server = server::shared();
    let (pooler, database) = (Pooler::start(server, ""), server.database());
    let (a, b) = (Node::at(pooler.place(&database), settings()), Node::at(pooler.place(&database), settings()));
    runtime().block_on(async {
        leases_end_with(a, &b, server, &database).await;
        // What holds B's lock keeps nothing from being cleared away.
        let held = "SELECT count(*) FROM pg_stat_activity WHERE state = 'idle in transaction'
                    AND (backend_xmin IS NOT NULL OR backend_xid IS NOT NULL)";
        until(server, held, "0");
    });
}

/// An address that says nothing of the pooler is refused, by what it does and not by its version; in session mode nothing is to
/// be said.
#[test]
fn a_pooler_that_nobody_told_of_is_named() {
    if !is_installed() {
        return;
    }
    let (server, index) = (server::shared(), || Arc::new(BruteForceIndex::new()));
    let open = |url: &str| {
        let place = Address::parse(url, None).unwrap();
        PostgresStore::open(place, index(), settings(), clock()).map(drop)
    };
    for order in ["server_round_robin = 1", "server_round_robin = 0"] {
        let (pooler, database) = (Pooler::start(server, order), server.database());
        for _ in 0..3 {
            let error = open(&pooler.url(&database)).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument);
            let said = error.to_string();
            assert!(
                said.contains("a pooler in transaction mode") && said.contains("`pool_mode=transaction`"),
                "{said}"
            );
        }
        open(&pooler.told_url(&database)).unwrap();
    }
    let (pooler, database) = (Pooler::start(server, "pool_mode = session"), server.database());
    open(&pooler.url(&database)).unwrap();
    // It costs nothing but speed where there is no pooler.
    open(&format!("{}?pool_mode=transaction", server::url(&[server], &database))).unwrap();
}

/// The pooler does not tell its clients that another server answers: one that is a standby and behind must not be asked what
/// was deleted.
#[test]
fn a_standby_behind_a_pooler_is_not_asked() {
    if !is_installed() {
        return;
    }
    let primary = Server::start();
    let standby = primary.standby();
    let (pooler, database) = (Pooler::start(&primary, ""), primary.database());
    let brisk = Settings { reconnect_max: std::time::Duration::from_millis(500), ..settings() };
    let node = Node::at(pooler.place(&database), brisk);
    let direct = Node::at(primary.place(&database), settings());
    let scope = |set: FaceSetId| FaceScope::FaceSet(set);
    runtime().block_on(async {
        let set = staff(&node).await.id;
        node.add(set, 1).await;
        node.add(set, 2).await;
        until(&standby, "SELECT pg_last_wal_replay_lsn() = pg_last_wal_receive_lsn()", "t");
        let on_standby = format!("SELECT count(*) FROM pg_database WHERE datname = '{database}'");
        until(&standby, &on_standby, "1");
        let started = Instant::now();
        while standby.sql(&database, "SELECT count(*) FROM faces") != "2" {
            assert!(started.elapsed() < PATIENCE, "the standby follows");
        }
        standby.sql("postgres", "SELECT pg_wal_replay_pause()");
        until(&standby, "SELECT pg_get_wal_replay_pause_state()", "paused");
        direct.delete(set, 1).await;
        assert_eq!(node.finds(set, 1).await, None);

        pooler.lead_to(&standby);
        let pooled = format!("pg_stat_activity WHERE datname = '{database}' AND pid <> pg_backend_pid()");
        drop(direct);
        primary.sql("postgres", &format!("SELECT pg_terminate_backend(pid) FROM {pooled}"));
        until(&primary, &format!("SELECT count(*) FROM {pooled}"), "0");
        for _ in 0..5 {
            let found = node.index.search(looking_for(set, 1)).await.map(|hits| hits.len());
            assert_eq!(found.map_err(|error| error.kind()), Err(Kind::Overloaded));
            let shown = node.store.faces(ours(), scope(set), vec![face_id(1)]).await.map(|faces| faces.len());
            assert_eq!(shown.map_err(|error| error.kind()), Err(Kind::Overloaded));
        }
        let listed = node.store.list_faces(ours(), scope(set), conformance::EVERYTHING).await.map(|faces| faces.len());
        assert_eq!(listed.map_err(|error| error.kind()), Err(Kind::Overloaded));

        pooler.lead_to(&primary);
        standby.sql("postgres", &format!("SELECT pg_terminate_backend(pid) FROM {pooled}"));
        assert_eq!(node.finds_patiently(set, 1).await, None);
        assert_eq!(node.finds_patiently(set, 2).await, Some(face_id(2)));
        node.add(set, 3).await;
    });
}
