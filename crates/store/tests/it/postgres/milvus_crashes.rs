//! Two servers on one database with their face set in Milvus, while a server, the database, Milvus or what is between them goes
//! away under load: each answer is held to what was acknowledged before it was asked for.

use std::collections::BTreeSet;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use likeness_domain::ports::{CredentialStore, FaceScope, FaceSelector, GallerySearch, GalleryStore, VectorIndex};
use likeness_domain::types::{FaceOwner, FaceSetId, Similarity};
use likeness_store::conformance::EVERYTHING;
use likeness_store::conformance::samples::*;
use likeness_store::index::BruteForceIndex;
use likeness_store::milvus;
use likeness_store::milvus::truth::Stage;
use likeness_store::postgres::{Address, PostgresStore, Settings};

use super::cable::{Cable, Mended};
use super::nodes::{PATIENCE, runtime};
use super::replication::{synchronous_pair, until};
use super::server::{self, Server};
use super::witness::{Ends, Peer, Witness, ask, ask_patiently, enrol, refusal, under_load, write_on};
use crate::milvus::server as milvus_server;
use crate::milvus::server::Variety;

/// Faces that are there before anything goes away.
const N_FIRST: u64 = 20;

/// How much goes on between two blows: acknowledged writes, and as many answers.
const N_BETWEEN: u64 = 12;

/// Tells the child where the database and Milvus are.
const PLACES: &str = "LIKENESS_TEST_NODE";

fn is_installed() -> bool {
    server::is_installed() && milvus_server::is_installed()
}

/// A server within this process.
struct Here {
    store: PostgresStore,
    index: Arc<dyn VectorIndex>,
    plain: Arc<BruteForceIndex>,
    milvus: milvus::Settings,
    set: FaceSetId,
}

fn milvus_settings(url: &str) -> milvus::Settings {
    milvus::Settings {
        from_faces: 1,
        look_every: Duration::from_millis(100),
        flush_every: Duration::from_secs(2),
        ..milvus::Settings::new(milvus::Address::parse(url, None, None).unwrap())
    }
}

impl Here {
    fn open(database: &str, milvus: &str) -> Self {
        let settings = Settings {
            n_connections: 8,
            reconnect_max: Duration::from_millis(500),
            search_wait_max: Duration::from_millis(500),
            statement_timeout: Duration::from_secs(5),
            ..Settings::DEFAULT
        };
        let (plain, milvus) = (Arc::new(BruteForceIndex::new()), milvus_settings(milvus));
        let place = Address::parse(database, None).unwrap();
        let opened = PostgresStore::open_with_milvus(place, Arc::clone(&plain) as _, settings, clock(), milvus.clone());
        let store = opened.unwrap();
        let set = runtime().block_on(async {
            match store.face_set(ours(), name("staff")).await.unwrap() {
                Some(set) => set.face_set.id,
                None => store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id,
            }
        });
        Self { index: store.index(), store, plain, milvus, set }
    }

    /// With faces that are in Milvus, and in no server any more.
    fn filled(database: &str, milvus: &str, witness: &Witness) -> Self {
        let node = Self::open(database, milvus);
        for number in 1..=N_FIRST {
            assert!(enrol(&node, witness, number));
        }
        witness.n_faces.store(N_FIRST, Ordering::SeqCst);
        node.wait_until_elsewhere();
        node
    }

    fn wait_until_elsewhere(&self) {
        let started = Instant::now();
        while !self.index.is_elsewhere(self.set) || self.plain.n_rows(self.set) > 0 {
            assert!(started.elapsed() < PATIENCE, "the set is in Milvus");
            // What the database does lets time pass.
            runtime().block_on(self.store.tenants()).unwrap();
        }
    }

    /// Milvus has everything that is committed by now.
    fn wait_until_shipped(&self) {
        let started = Instant::now();
        runtime().block_on(async {
            let newest = self.index.revision().unwrap();
            let beside = self.store.milvus(self.milvus.clone()).await.unwrap();
            loop {
                let outbox = beside.outbox().await.unwrap();
                let is_served = outbox.sets.values().all(|set| set.stage == Stage::Served);
                if newest <= outbox.position.revision && is_served && outbox.rebuilds.is_empty() {
                    return;
                }
                assert!(started.elapsed() < PATIENCE * 2, "Milvus has caught up: {outbox:?}");
            }
        });
    }

    /// And has that in its files.
    fn wait_until_flushed(&self) {
        let started = Instant::now();
        runtime().block_on(async {
            let beside = self.store.milvus(self.milvus.clone()).await.unwrap();
            while beside.outbox().await.map(|outbox| outbox.flushed != outbox.position).unwrap() {
                assert!(started.elapsed() < PATIENCE, "Milvus writes its files");
            }
        });
    }

    fn listed(&self) -> BTreeSet<u64> {
        let listed = runtime().block_on(self.store.list_faces(ours(), FaceScope::FaceSet(self.set), EVERYTHING));
        listed.unwrap().into_iter().map(|face| face.id.get()).collect()
    }
}

impl Peer for Here {
    fn add(&self, number: u64) -> bool {
        let owner = FaceOwner::FaceSet(self.set);
        let added = runtime().block_on(self.store.add_faces(by(ours()), owner, vec![face(number)], None));
        added.inspect_err(refusal).is_ok_and(|faces| {
            assert_eq!(faces[0].id, face_id(number));
            true
        })
    }

    fn delete(&self, number: u64) -> bool {
        let (scope, selector) = (FaceScope::FaceSet(self.set), FaceSelector::Ids(vec![face_id(number)]));
        runtime().block_on(self.store.delete_faces(by(ours()), scope, selector)).inspect_err(refusal).is_ok()
    }

    fn search(&self) -> Option<BTreeSet<u64>> {
        let question = GallerySearch {
            face_set: self.set,
            probe: template(1),
            top_k: 4000,
            similarity_min: Similarity::MIN,
            filter: None,
            one_per_person: false,
        };
        let found = runtime().block_on(self.index.search(question)).inspect_err(refusal).ok()?;
        Some(found.into_iter().map(|hit| hit.face.get()).collect())
    }
}

/// A server in a process of its own, which may be stopped or killed.
struct There {
    process: Mutex<Child>,
    talk: Mutex<(ChildStdin, BufReader<ChildStdout>)>,
    has_ended: AtomicBool,
}

impl There {
    const TEST: &'static str = "postgres::milvus_crashes::a_server_with_milvus_in_a_process_of_its_own";

    fn open(database: &str, milvus: &str) -> Self {
        let mut process = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", Self::TEST, "--nocapture"])
            .env(PLACES, format!("{database} {milvus}"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let talk = (process.stdin.take().unwrap(), BufReader::new(process.stdout.take().unwrap()));
        let there = Self { process: Mutex::new(process), talk: Mutex::new(talk), has_ended: AtomicBool::new(false) };
        assert_eq!(there.ask("hello").as_deref(), Some("yes"));
        there
    }

    /// What it says; `None` if it has ended before.
    fn ask(&self, question: &str) -> Option<String> {
        let mut talk = self.talk.lock().unwrap();
        let _ = writeln!(talk.0, "{question}").and_then(|()| talk.0.flush());
        let mut line = String::new();
        // The test harness prints around it.
        while talk.1.read_line(&mut line).is_ok_and(|n_bytes| n_bytes > 0) {
            if let Some(answer) = line.trim_end().strip_prefix("= ") {
                return Some(answer.to_owned());
            }
            line.clear();
        }
        self.has_ended.store(true, Ordering::SeqCst);
        None
    }

    fn signal(&self, signal: rustix::process::Signal) {
        let pid = rustix::process::Pid::from_child(&self.process.lock().unwrap());
        rustix::process::kill_process(pid, signal).unwrap();
    }

    fn kill(&self) {
        let mut process = self.process.lock().unwrap();
        process.kill().unwrap();
        process.wait().unwrap();
    }
}

impl Drop for There {
    fn drop(&mut self) {
        self.kill();
    }
}

impl Peer for There {
    fn add(&self, number: u64) -> bool {
        self.ask(&format!("add {number}")).as_deref() == Some("yes")
    }

    fn delete(&self, number: u64) -> bool {
        self.ask(&format!("delete {number}")).as_deref() == Some("yes")
    }

    fn search(&self) -> Option<BTreeSet<u64>> {
        let answer = self.ask("search")?;
        let found = answer.strip_prefix("found")?;
        Some(found.split_whitespace().map(|number| number.parse().unwrap()).collect())
    }

    fn has_ended(&self) -> bool {
        self.has_ended.load(Ordering::SeqCst)
    }
}

/// What the process of [`There`] does; nothing in any other.
#[test]
fn a_server_with_milvus_in_a_process_of_its_own() {
    let Ok(places) = std::env::var(PLACES) else { return };
    let (database, milvus) = places.split_once(' ').unwrap();
    let node = Here::open(database, milvus);
    let yes = |is_done| if is_done { "yes" } else { "no" }.to_owned();
    for line in io::stdin().lines() {
        let line = line.unwrap();
        let (word, number) = line.split_once(' ').unwrap_or((&line, "0"));
        let number = number.parse().unwrap();
        let answer = match word {
            "add" => yes(node.add(number)),
            "delete" => yes(node.delete(number)),
            "search" => match node.search() {
                Some(found) => found.iter().fold("found".to_owned(), |said, number| format!("{said} {number}")),
                None => "refused".to_owned(),
            },
            _ => "yes".to_owned(),
        };
        let mut out = io::stdout().lock();
        writeln!(out, "\n= {answer}").and_then(|()| out.flush()).unwrap();
    }
}

/// When all is quiet again: every server returns what the database has, which is what was acknowledged, and so does one that
/// starts now; and Milvus has just that.
#[track_caller]
fn all_is_well(node: &Here, peers: &[&dyn Peer], witness: &Witness, database: &str, milvus: &str) {
    ask_patiently(node, witness);
    let before = witness.lives().clone();
    witness.check(&before, &node.listed());
    node.wait_until_shipped();
    let late = Here::open(database, milvus);
    for peer in peers.iter().copied().chain([node as &dyn Peer, &late]) {
        ask_patiently(peer, witness);
        assert_eq!(peer.search().unwrap(), node.listed());
    }
    let found = runtime().block_on(async {
        let beside = node.store.milvus(node.milvus.clone()).await.unwrap();
        beside.compare(node.set).await.unwrap()
    });
    assert!(found.is_none() && found.digest_milvus == found.digest_truth, "{found:?}");
    assert_eq!(found.n_milvus, node.listed().len() as u64);
    assert_eq!(late.plain.n_rows(late.set), 0, "a server that starts does not read the set");
    let report = runtime().block_on(node.store.report(true)).unwrap();
    assert_eq!(report.problems, [] as [String; 0]);
}

/// How often: so that the suite takes minutes, or as often as the variable says.
fn n_rounds(usual: u64) -> u64 {
    std::env::var("LIKENESS_TEST_ROUNDS").ok().and_then(|rounds| rounds.parse().ok()).unwrap_or(usual)
}

/// Nobody waits for anybody: both enrol and delete while both are asked.
#[test]
fn what_is_deleted_on_one_server_while_the_other_searches_is_not_returned() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let (database, milvus_url) = (server::url(&[server], &server.database()), milvus.url());
    let witness = Witness::default();
    let a = Here::filled(&database, &milvus_url, &witness);
    let b = Here::open(&database, &milvus_url);
    under_load(&[&a, &b], &witness, || witness.wait_for(n_rounds(300), n_rounds(300)));
    all_is_well(&a, &[&b], &witness, &database, &milvus_url);
}

#[test]
fn a_killed_server_loses_nothing_of_its_sets_in_milvus() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let (database, milvus_url) = (server::url(&[server], &server.database()), milvus.url());
    let witness = Witness::default();
    drop(Here::filled(&database, &milvus_url, &witness));
    for round in 0..n_rounds(6) {
        // The one that is killed was there first: it is the one that writes to Milvus.
        let killed = There::open(&database, &milvus_url);
        ask_patiently(&killed, &witness);
        let other = Here::open(&database, &milvus_url);
        witness.is_over.store(false, Ordering::SeqCst);
        thread::scope(|scope| {
            scope.spawn(|| write_on(&killed, &witness));
            let _ends = Ends(&witness);
            witness.wait_for(round * 3 % 7 + 1, 0);
            for _ in 0..round % 4 {
                ask_patiently(&other, &witness);
            }
            killed.kill();
        });
        for _ in 0..3 {
            ask_patiently(&other, &witness);
        }
        under_load(&[&other], &witness, || witness.wait_for(N_BETWEEN, N_BETWEEN));
        all_is_well(&other, &[], &witness, &database, &milvus_url);
    }
}

/// It holds the lock of whoever writes to Milvus, and perhaps one of the database, while it does nothing.
#[test]
fn a_stopped_server_with_milvus_shows_nothing_old_when_it_goes_on() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let (database, milvus_url) = (server::url(&[server], &server.database()), milvus.url());
    let witness = Witness::default();
    drop(Here::filled(&database, &milvus_url, &witness));
    let stopped = There::open(&database, &milvus_url);
    ask_patiently(&stopped, &witness);
    let other = Here::open(&database, &milvus_url);
    for _ in 0..n_rounds(3) {
        stopped.signal(rustix::process::Signal::STOP);
        under_load(&[&other], &witness, || witness.wait_for(N_BETWEEN * 3, N_BETWEEN));
        // One that starts meanwhile has nothing of that in memory.
        let late = Here::open(&database, &milvus_url);
        ask_patiently(&late, &witness);
        stopped.signal(rustix::process::Signal::CONT);
        for number in [1, 2, 3].map(|number| number + witness.n_faces.fetch_add(3, Ordering::SeqCst)) {
            ask_patiently(&stopped, &witness);
            assert!(enrol(&stopped, &witness, number));
            assert!(ask(&other, &witness) && ask(&late, &witness));
        }
        all_is_well(&other, &[&stopped, &late], &witness, &database, &milvus_url);
    }
    // Stopped in the middle of whatever it does.
    witness.is_over.store(false, Ordering::SeqCst);
    thread::scope(|scope| {
        scope.spawn(|| write_on(&stopped, &witness));
        let _ends = Ends(&witness);
        for _ in 0..n_rounds(3) {
            witness.wait_for(5, 0);
            stopped.signal(rustix::process::Signal::STOP);
            for _ in 0..N_BETWEEN {
                ask_patiently(&other, &witness);
            }
            stopped.signal(rustix::process::Signal::CONT);
        }
    });
    all_is_well(&other, &[&stopped], &witness, &database, &milvus_url);
}

#[test]
fn a_milvus_that_is_killed_under_load_loses_nothing() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let (database, milvus_url) = (server::url(&[server], &server.database()), milvus.url());
    let witness = Witness::default();
    let a = Here::filled(&database, &milvus_url, &witness);
    let b = Here::open(&database, &milvus_url);
    under_load(&[&a, &b], &witness, || {
        for _ in 0..n_rounds(3) {
            witness.wait_for(N_BETWEEN, N_BETWEEN);
            milvus.kill();
            // Writes are acknowledged all the same.
            witness.wait_for(N_BETWEEN, 0);
            milvus.run();
        }
        witness.wait_for(N_BETWEEN, N_BETWEEN);
    });
    all_is_well(&a, &[&b], &witness, &database, &milvus_url);
}

#[test]
fn a_killed_database_loses_nothing_of_the_sets_in_milvus() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (Server::start(), milvus_server::Server::start(Variety::Lite));
    let (database, milvus_url) = (server::url(&[&server], &server.database()), milvus.url());
    let witness = Witness::default();
    let a = Here::filled(&database, &milvus_url, &witness);
    let b = Here::open(&database, &milvus_url);
    under_load(&[&a, &b], &witness, || {
        for _ in 0..n_rounds(3) {
            witness.wait_for(N_BETWEEN, N_BETWEEN);
            server.kill();
            server.run();
        }
        witness.wait_for(N_BETWEEN, N_BETWEEN);
    });
    all_is_well(&a, &[&b], &witness, &database, &milvus_url);
}

#[test]
fn a_promotion_loses_nothing_of_the_sets_in_milvus() {
    if !is_installed() {
        return;
    }
    let milvus = milvus_server::Server::start(Variety::Lite);
    let (primary, standby) = synchronous_pair();
    let (database, milvus_url) = (server::url(&[&primary, &standby], &primary.database()), milvus.url());
    let witness = Witness::default();
    let a = Here::filled(&database, &milvus_url, &witness);
    let b = Here::open(&database, &milvus_url);
    under_load(&[&a, &b], &witness, || {
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        primary.kill();
        standby.promote();
        witness.wait_for(N_BETWEEN, N_BETWEEN);
    });
    all_is_well(&a, &[&b], &witness, &database, &milvus_url);
}

/// A standby that is promoted without the last commits has faces again whose deletes were among them, and which Milvus was
/// told to delete.
#[test]
fn what_milvus_has_of_a_lost_history_is_copied_anew() {
    if !is_installed() {
        return;
    }
    let milvus = milvus_server::Server::start(Variety::Lite);
    let primary = Server::start();
    let standby = primary.standby();
    let name_of_it = primary.database();
    let (database, milvus_url) = (server::url(&[&primary, &standby], &name_of_it), milvus.url());
    let witness = Witness::default();
    let a = Here::filled(&database, &milvus_url, &witness);
    // Otherwise whoever writes to Milvus would look at those faces once more anyway.
    a.wait_until_shipped();
    a.wait_until_flushed();
    let position = primary.sql("postgres", "SELECT pg_current_wal_lsn()");
    until(&standby, &format!("SELECT pg_last_wal_replay_lsn() >= '{position}'"), "t");
    standby.stop("fast");
    assert!(a.delete(5) && a.add(1005));
    a.wait_until_shipped();
    primary.kill();
    standby.run();
    standby.promote();
    // The other history grows to where this one was.
    let b = Here::open(&database, &milvus_url);
    for number in [2001, 2002, 2003] {
        assert!(enrol(&b, &witness, number));
    }
    ask_patiently(&a, &witness);
    let lost = runtime().block_on(a.store.acknowledge_losses()).unwrap();
    assert!(matches!(lost.as_slice(), [one] if one.contains("promoted without them")), "{lost:?}");
    all_is_well(&a, &[&b], &witness, &database, &milvus_url);
    assert!(a.listed().contains(&5) && !a.listed().contains(&1005));
}

/// A server that cannot ask the database does not know what was deleted meanwhile, whatever Milvus says.
#[test]
fn a_server_with_milvus_that_is_cut_off_from_the_database_shows_nothing_old() {
    if !is_installed() {
        return;
    }
    let (server, milvus) = (server::shared(), milvus_server::Server::start(Variety::Lite));
    let (cable, name_of_it) = (Cable::new(server.socket()), server.database());
    let (direct, milvus_url) = (server::url(&[server], &name_of_it), milvus.url());
    let witness = Witness::default();
    // It is there first, so it writes to Milvus.
    let cut_off = Here::filled(&server::url_in(&[cable.folder()], &name_of_it), &milvus_url, &witness);
    let other = Here::open(&direct, &milvus_url);
    for round in 0..n_rounds(4) {
        let cut = || match round % 2 {
            0 => cable.cut(),
            _ => cable.silence(true),
        };
        under_load(&[&cut_off, &other], &witness, || {
            witness.wait_for(N_BETWEEN, N_BETWEEN);
            let mended = Mended(&cable);
            cut();
            // A silent server may hold the tenant's lock in the middle of its rows, until TCP tells the database that it has
            // gone: never here, where both ends are on one machine.
            witness.wait_for(if round % 2 == 0 { N_BETWEEN } else { 0 }, N_BETWEEN);
            assert!(!ask(&cut_off, &witness), "it cannot know");
            drop(mended);
            witness.wait_for(N_BETWEEN, N_BETWEEN);
        });
        ask_patiently(&cut_off, &witness);
        all_is_well(&other, &[&cut_off], &witness, &direct, &milvus_url);
    }
}
