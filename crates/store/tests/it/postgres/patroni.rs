//! Two database servers that Patroni looks after with etcd, under the load of two of our servers: its failover, the return of
//! the one that was lost, a switchover, and the loss of etcd.

use std::collections::BTreeSet;
use std::fs;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use likeness_domain::ports::{FaceScope, FaceSelector, GallerySearch, GalleryStore};
use likeness_domain::types::{FaceOwner, FaceSetId, Similarity};
use likeness_store::conformance::EVERYTHING;
use likeness_store::conformance::samples::*;
use likeness_store::postgres::{Address, Settings};

use super::nodes::{Node, PATIENCE, runtime, staff};
use super::server;
use super::witness::{Peer, Witness, ask, ask_patiently, refusal, under_load};

/// How much goes on between two blows: acknowledged writes, and as many answers.
const N_BETWEEN: u64 = 20;

/// Debian's, which whoever runs PostgreSQL may run too.
const ETCD: &str = "/usr/bin/etcd";
const PATRONI: &str = "/usr/bin/patroni";
const CONTROL: &str = "/usr/bin/patronictl";

/// Whether this is a slow run with all that it takes; says what is missing.
fn is_possible() -> bool {
    if std::env::var_os("LIKENESS_SLOW_TESTS").is_none() {
        eprintln!("skipped: set LIKENESS_SLOW_TESTS=1 to put a cluster of Patroni through its failovers");
        return false;
    }
    let is_there = [ETCD, PATRONI, CONTROL].iter().all(|program| Path::new(program).exists());
    if !is_there {
        eprintln!("skipped: no Patroni or no etcd is installed (Debian: `apt-get install patroni etcd-server`)");
    }
    is_there && server::is_installed()
}

/// A database server with the Patroni that looks after it.
struct Member {
    name: &'static str,
    folder: PathBuf,
    port: u16,
    running: Option<Child>,
}

/// Everything ends with it, and with the test's process.
struct Cluster {
    folder: PathBuf,
    watchdog: Child,
    etcd_ports: [u16; 2],
    etcd: Option<Child>,
    members: [Member; 2],
}

/// Ports that nobody listens at now.
fn free_ports<const N: usize>() -> [u16; N] {
    let listeners = [(); N].map(|()| TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

impl Cluster {
    /// Starts it and waits until the second follows the first synchronously.
    fn start() -> Self {
        let folder = server::folder("lk-pa-");
        let script = r#"trap '' INT HUP TERM; cat >/dev/null
            kill -KILL $(cat "$1"/*/pid 2>/dev/null) 2>/dev/null
            for file in "$1"/*/data/postmaster.pid; do [ -f "$file" ] && kill -QUIT "$(head -n 1 "$file")"; done
            sleep 0.3; rm -rf "$1""#;
        let mut stop = Command::new("sh");
        stop.args(["-c", script, "sh"]).arg(&folder).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = stop.spawn().expect("a shell starts");
        let [client, peer, of_a, of_b, rest_a, rest_b] = free_ports();
        let members = [("a", of_a, rest_a), ("b", of_b, rest_b)].map(|(name, port, rest)| {
            let member = Member { name, folder: folder.join(name), port, running: None };
            server::give_folder(&member.folder);
            let written = fs::write(member.settings(), settings_of(&member, rest, client));
            written.expect("the folder is ours");
            member
        });
        server::give_folder(&folder.join("etcd"));
        let mut cluster = Self { folder, watchdog, etcd_ports: [client, peer], etcd: None, members };
        cluster.start_etcd();
        cluster.start_member(0);
        cluster.until(|told| told.contains("\ta\t") && told.contains("Leader\trunning"));
        cluster.start_member(1);
        cluster.until_synchronous(1);
        cluster.sql(0, "postgres", "CREATE ROLE likeness LOGIN");
        cluster.sql(0, "postgres", "CREATE DATABASE likeness OWNER likeness");
        cluster
    }

    /// One of the programs, as who may run PostgreSQL; it is remembered for whoever clears away.
    fn spawn(&self, folder: &Path, mut command: Command) -> Child {
        let log = fs::File::options().create(true).append(true).open(folder.join("log")).expect("the folder is ours");
        command.current_dir(folder).env("LC_ALL", "C").stdin(Stdio::null());
        // Signals to the test's own group are not for it.
        command.stdout(log.try_clone().unwrap()).stderr(log).process_group(0);
        server::as_account(&mut command);
        let child = command.spawn().expect("it starts");
        fs::write(folder.join("pid"), format!("{}\n", child.id())).expect("the folder is ours");
        child
    }

    fn start_etcd(&mut self) {
        let folder = self.folder.join("etcd");
        let [client, peer] = self.etcd_ports.map(|port| format!("http://127.0.0.1:{port}"));
        let mut etcd = Command::new(ETCD);
        etcd.args(["--data-dir", "data", "--log-level", "error"]);
        etcd.args(["--listen-client-urls", &client, "--advertise-client-urls", &client]);
        etcd.args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer]);
        etcd.args(["--initial-cluster", &format!("default={peer}")]);
        self.etcd = Some(self.spawn(&folder, etcd));
    }

    fn kill_etcd(&mut self) {
        let mut etcd = self.etcd.take().expect("it runs");
        etcd.kill().unwrap();
        etcd.wait().unwrap();
    }

    fn start_member(&mut self, idx: usize) {
        let member = &self.members[idx];
        let mut command = Command::new(PATRONI);
        command.arg(member.settings());
        self.members[idx].running = Some(self.spawn(&member.folder, command));
    }

    /// Patroni and the database that it looks after, at once and without a word, as when their machine is lost.
    fn kill_member(&mut self, idx: usize) {
        let mut running = self.members[idx].running.take().expect("it runs");
        running.kill().unwrap();
        running.wait().unwrap();
        server::kill(&self.members[idx].folder.join("data"));
    }

    /// What `patronictl` answers; empty while it cannot.
    fn control(&self, words: &[&str]) -> String {
        let mut control = Command::new(CONTROL);
        control.arg("-c").arg(self.members[0].settings()).args(words).env("LC_ALL", "C.UTF-8");
        let output = control.stdin(Stdio::null()).output().expect("it runs");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Waits until the members are told so.
    #[track_caller]
    fn until(&self, is_so: impl Fn(&str) -> bool) {
        let started = Instant::now();
        loop {
            let told = self.control(&["list", "-f", "tsv"]);
            if is_so(&told) {
                return;
            }
            let logs = || {
                let log = |of: &str| fs::read_to_string(self.folder.join(of).join("log")).unwrap_or_default();
                ["etcd", "a", "b"].map(|of| format!("{of}: {}", log(of))).join("\n")
            };
            assert!(started.elapsed() < PATIENCE * 2, "the cluster stays at {told}\n{}", logs());
        }
    }

    /// Waits until that member leads.
    #[track_caller]
    fn until_leader(&self, idx: usize) {
        let name = format!("\t{}\t", self.members[idx].name);
        self.until(|told| told.lines().any(|line| line.contains(&name) && line.contains("\tLeader\trunning")));
    }

    /// Waits until that member has whatever is acknowledged.
    #[track_caller]
    fn until_synchronous(&self, idx: usize) {
        let name = format!("\t{}\t", self.members[idx].name);
        self.until(|told| told.lines().any(|line| line.contains(&name) && is_synchronous(line)));
    }

    /// What a statement prints there; empty if it is not answered.
    fn sql(&self, idx: usize, database: &str, statement: &str) -> String {
        let mut psql = server::program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-U", "postgres", "-d", database, "-c", statement]);
        psql.args(["-h", "127.0.0.1", "-p", &self.members[idx].port.to_string()]);
        let output = psql.output().expect("psql runs");
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }

    fn place(&self) -> Address {
        let [a, b] = self.members.each_ref().map(|member| format!("127.0.0.1:{}", member.port));
        Address::parse(&format!("postgres://likeness@{a},{b}/likeness"), None).unwrap()
    }
}

/// Newer ones say how it runs.
fn is_synchronous(line: &str) -> bool {
    ["running", "streaming"].iter().any(|state| line.contains(&format!("\tSync Standby\t{state}")))
}

impl Drop for Cluster {
    fn drop(&mut self) {
        // The end of its input tells the shell.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
        let children = self.members.iter_mut().filter_map(|member| member.running.as_mut());
        for child in children.chain(self.etcd.as_mut()) {
            let _ = child.wait();
        }
    }
}

impl Member {
    fn settings(&self) -> PathBuf {
        self.folder.join("patroni.yml")
    }
}

/// As short as Patroni lets its times be. The words about synchronous replication are those of `docs/scale.md`.
fn settings_of(member: &Member, rest_port: u16, etcd_port: u16) -> String {
    let (name, port, folder) = (member.name, member.port, member.folder.display());
    let programs = server::programs().expect("PostgreSQL is installed");
    format!(
        "scope: faces
name: {name}
restapi: {{listen: '127.0.0.1:{rest_port}', connect_address: '127.0.0.1:{rest_port}'}}
etcd3: {{host: '127.0.0.1:{etcd_port}'}}
bootstrap:
  dcs:
    ttl: 20
    loop_wait: 2
    retry_timeout: 3
    synchronous_mode: true
    postgresql:
      use_pg_rewind: true
      parameters: {{max_connections: 100}}
  initdb: [encoding: UTF8, data-checksums, no-locale, no-sync, wal-segsize: '1']
postgresql:
  listen: '127.0.0.1:{port}'
  connect_address: '127.0.0.1:{port}'
  data_dir: '{folder}/data'
  bin_dir: '{}'
  pgpass: '{folder}/pgpass'
  remove_data_directory_on_rewind_failure: true
  remove_data_directory_on_diverged_timelines: true
  authentication:
    superuser: {{username: postgres}}
    replication: {{username: replicator}}
  pg_hba: ['local all all trust', 'host all all 127.0.0.1/32 trust', 'host replication all 127.0.0.1/32 trust']
  parameters:
    unix_socket_directories: '{folder}'
    fsync: 'off'
    shared_buffers: 16MB
",
        programs.display()
    )
}

/// One of our servers.
struct Ours {
    node: Node,
    set: FaceSetId,
}

impl Ours {
    fn open(place: Address, reconnect_max: Duration) -> Self {
        let node = Node::at(
            place,
            Settings {
                n_connections: 8,
                reconnect_max,
                search_wait_max: reconnect_max,
                statement_timeout: Duration::from_secs(5),
                ..Settings::DEFAULT
            },
        );
        let set = runtime().block_on(async {
            match node.store.face_set(ours(), name("staff")).await.unwrap() {
                Some(set) => set.face_set.id,
                None => staff(&node).await.id,
            }
        });
        Self { node, set }
    }

    fn listed(&self) -> BTreeSet<u64> {
        let listed = runtime().block_on(self.node.store.list_faces(ours(), FaceScope::FaceSet(self.set), EVERYTHING));
        listed.unwrap().into_iter().map(|face| face.id.get()).collect()
    }
}

impl Peer for Ours {
    fn add(&self, number: u64) -> bool {
        let owner = FaceOwner::FaceSet(self.set);
        let added = runtime().block_on(self.node.store.add_faces(by(ours()), owner, vec![face(number)], None));
        added.inspect_err(refusal).is_ok_and(|faces| {
            assert_eq!(faces[0].id, face_id(number));
            true
        })
    }

    fn delete(&self, number: u64) -> bool {
        let (scope, selector) = (FaceScope::FaceSet(self.set), FaceSelector::Ids(vec![face_id(number)]));
        runtime().block_on(self.node.store.delete_faces(by(ours()), scope, selector)).inspect_err(refusal).is_ok()
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
        let found = runtime().block_on(self.node.index.search(question)).inspect_err(refusal).ok()?;
        let found: Vec<_> = found.into_iter().map(|hit| hit.face).collect();
        // The records that a caller is shown.
        let shown = runtime().block_on(self.node.store.faces(ours(), FaceScope::FaceSet(self.set), found));
        Some(shown.inspect_err(refusal).ok()?.into_iter().map(|face| face.id.get()).collect())
    }
}

/// With `synchronous_mode` nothing that was acknowledged is lost and nothing deleted comes back, whatever Patroni does and
/// whoever is lost; and everything goes on by itself.
#[test]
fn patroni_may_change_the_primary_at_any_time() {
    if !is_possible() {
        return;
    }
    let mut cluster = Cluster::start();
    let witness = Witness::default();
    let patient = Ours::open(cluster.place(), Duration::from_secs(5));
    let brisk = Ours::open(cluster.place(), Duration::from_millis(500));
    let peers: [&dyn Peer; 2] = [&patient, &brisk];
    under_load(&peers, &witness, || {
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        let step = |name: &str, began: Instant| eprintln!("{name}: {:.1} s", began.elapsed().as_secs_f64());

        let began = Instant::now();
        cluster.kill_member(0);
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        cluster.until_leader(1);
        step("the primary is lost, its standby takes over", began);

        let began = Instant::now();
        cluster.start_member(0);
        cluster.until_synchronous(0);
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        step("it comes back as a standby", began);

        let began = Instant::now();
        cluster.control(&["switchover", "faces", "--leader", "b", "--candidate", "a", "--force"]);
        cluster.until_leader(0);
        cluster.until_synchronous(1);
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        step("a switchover", began);

        let began = Instant::now();
        cluster.kill_etcd();
        while cluster.sql(0, "postgres", "SELECT pg_is_in_recovery()") != "t" {
            assert!(began.elapsed() < PATIENCE, "Patroni takes the primary away that nobody vouches for");
        }
        for peer in peers {
            assert!(!ask(peer, &witness), "no server knows what was deleted");
            assert!(!peer.add(1_000_000) && !peer.delete(1), "no server takes a write");
        }
        step("etcd is lost, nothing is answered", began);

        let began = Instant::now();
        cluster.start_etcd();
        witness.wait_for(N_BETWEEN, N_BETWEEN);
        step("etcd comes back", began);
    });
    // Both are there again, and any of our servers shows what is in the database.
    cluster.until(|told| told.contains("\tLeader\trunning") && told.lines().any(is_synchronous));
    ask_patiently(&patient, &witness);
    let before = witness.lives().clone();
    witness.check(&before, &patient.listed());
    let late = Ours::open(cluster.place(), Duration::from_secs(5));
    for peer in peers.into_iter().chain([&late as &dyn Peer]) {
        ask_patiently(peer, &witness);
        assert_eq!(peer.search().unwrap(), patient.listed());
    }
    for ours in [&patient, &brisk] {
        assert_eq!(ours.node.store.health().n_losses, 0, "no server has seen a commit that is gone");
    }
    let report = runtime().block_on(patient.node.store.report(true)).unwrap();
    assert_eq!(report.problems, [] as [String; 0]);
    eprintln!("{} faces were enrolled or refused, {} are there", before.len(), patient.listed().len());
}
