//! A PostgreSQL server of the test's own: in a temporary folder, behind a Unix socket, without a port.
//!
//! It ends with the test's process, however that ends: a shell waits for the end of its input, which the test holds open.

use std::fs;
use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};

use likeness_store::postgres::Address;

/// Names the folder with `initdb` and `postgres`, for other places than Debian's.
const BIN_VARIABLE: &str = "LIKENESS_TEST_POSTGRES";

/// The name of a server's socket in its folder.
pub(crate) const SOCKET: &str = ".s.PGSQL.5432";

/// Where the programs are, of the newest version that is installed; `None` if there is none.
pub(crate) fn programs() -> Option<PathBuf> {
    if let Some(dir) = std::env::var_os(BIN_VARIABLE) {
        return Some(dir.into());
    }
    let installed = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let versions = installed.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let newest = PathBuf::from(format!("/usr/lib/postgresql/{}/bin", versions.max()?));
    newest.join("initdb").exists().then_some(newest)
}

/// Whether there is PostgreSQL on this machine; where there is none, says that a test is skipped.
#[expect(clippy::print_stderr, reason = "a skipped test says why")]
pub(crate) fn is_installed() -> bool {
    let found = programs().is_some();
    if !found {
        eprintln!("skipped: no PostgreSQL is installed (Debian: `apt-get install postgresql`)");
    }
    found
}

/// A server, stopped when it is dropped.
pub(crate) struct Server {
    programs: PathBuf,
    dir: PathBuf,
    watchdog: Child,
    n_databases: AtomicU32,
}

/// A server whose processes are stopped.
pub(crate) struct Frozen<'a>(&'a Server);

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        self.0.signal_all("CONT");
    }
}

/// The server that the tests of a process share.
pub(crate) fn shared() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(Server::start)
}

/// PostgreSQL refuses to run as root: then it is the package's user, or nobody.
fn account() -> Option<(u32, u32)> {
    if !rustix::process::geteuid().is_root() {
        return None;
    }
    let accounts = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let account = accounts.lines().find(|line| line.starts_with("postgres:")).unwrap_or("nobody:x:65534:65534");
    let mut numbers = account.split(':').skip(2).map_while(|field| field.parse().ok());
    Some((numbers.next()?, numbers.next()?))
}

/// Lets it run as who may run PostgreSQL.
pub(crate) fn as_account(command: &mut Command) {
    if let Some((user, group)) = account() {
        command.uid(user).gid(group);
    }
}

/// One of PostgreSQL's programs, run as who may run it.
pub(crate) fn program(name: &str) -> Command {
    let mut command = Command::new(programs().expect("PostgreSQL is installed").join(name));
    command.env("LC_ALL", "C").stdin(Stdio::null());
    as_account(&mut command);
    command
}

/// A new folder whose path is short enough for a socket in it, of whom PostgreSQL runs as; it stays until it is removed.
pub(crate) fn folder(prefix: &str) -> PathBuf {
    let dir = tempfile::Builder::new().prefix(prefix).tempdir_in("/tmp").expect("a folder").keep();
    give_folder(&dir);
    dir
}

/// Makes a folder if it is not there, and gives it to whom PostgreSQL runs as.
pub(crate) fn give_folder(dir: &Path) {
    fs::create_dir_all(dir).expect("the folder is ours");
    fs::set_permissions(dir, fs::Permissions::from_mode(0o755)).expect("the folder is ours");
    if let Some((user, group)) = account() {
        chown(dir, Some(user), Some(group)).expect("root may give it away");
    }
}

/// Kills the server of that data folder and all of its processes, as a power cut would, and waits until they are gone.
pub(crate) fn kill(data: &Path) {
    let pid = fs::read_to_string(data.join("postmaster.pid")).expect("it runs");
    let pid = pid.lines().next().expect("its process").to_owned();
    let mut kill = Command::new("sh");
    let script = r#"children=$(ps -o pid= --ppid "$1"); kill -KILL "$1" $children
        while kill -0 "$1" $children 2>/dev/null; do sleep 0.02; done; true"#;
    kill.args(["-c", script, "sh", &pid]);
    checked("kill", kill.output().expect("a shell runs"));
}

fn checked(what: &str, output: Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    assert!(output.status.success(), "{what}: {}{}", text(&output.stdout), text(&output.stderr));
    text(&output.stdout)
}

impl Server {
    /// Starts an empty one.
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// The same with further lines in its configuration.
    pub(crate) fn start_with(settings: &str) -> Self {
        let server = Self::made();
        server.init();
        server.configure(settings);
        server.run();
        server
    }

    /// A standby that streams from this one.
    pub(crate) fn standby(&self) -> Self {
        let standby = Self::made();
        let mut copy = standby.program("pg_basebackup");
        copy.args(["-R", "-X", "stream", "-c", "fast", "-U", "likeness", "-h"]).arg(&self.dir);
        copy.arg("-D").arg(standby.data());
        checked("pg_basebackup", copy.output().expect("pg_basebackup runs"));
        standby.configure("");
        standby.run();
        standby
    }

    /// Makes a standby the server to write to.
    pub(crate) fn promote(&self) {
        let mut promote = self.program("pg_ctl");
        promote.args(["-w", "-s", "-D"]).arg(self.data()).arg("promote");
        checked("pg_ctl promote", promote.output().expect("pg_ctl runs"));
    }

    /// The folder and who clears it away, nothing in it.
    fn made() -> Self {
        let programs = programs().expect("PostgreSQL is installed");
        // Not below the project: the path of a socket has at most 107 bytes.
        let dir = folder("lk-pg-");
        let mut stop = Command::new("sh");
        let script = r#"trap '' INT HUP TERM; cat >/dev/null
            [ -f "$1/data/postmaster.pid" ] && kill -QUIT "$(head -n 1 "$1/data/postmaster.pid")" && sleep 0.3
            rm -rf "$1""#;
        stop.args(["-c", script, "sh"]).arg(&dir).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null());
        let watchdog = stop.spawn().expect("a shell starts");
        Self { programs, dir, watchdog, n_databases: AtomicU32::new(0) }
    }

    /// One of PostgreSQL's programs, run as who may run it.
    fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.programs.join(name));
        command.current_dir(&self.dir).env("LC_ALL", "C").stdin(Stdio::null());
        as_account(&mut command);
        command
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// Makes the data folder, from a copy if one was made before: that takes a tenth of the time.
    fn init(&self) {
        let version = self.programs.to_string_lossy().replace('/', "-");
        let kept = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("postgres{version}"));
        if !kept.join("PG_VERSION").exists() {
            let options =
                ["--no-sync", "--data-checksums", "-A", "trust", "-U", "likeness", "-E", "UTF8", "--no-locale"];
            let mut init = self.program("initdb");
            init.args(options).arg("--wal-segsize=1").arg("-D").arg(self.data());
            checked("initdb", init.output().expect("initdb runs"));
            let fresh = kept.with_extension(std::process::id().to_string());
            copy(&self.data(), &fresh);
            // Whoever came first keeps the name.
            if fs::rename(&fresh, &kept).is_err() {
                let _ = fs::remove_dir_all(&fresh);
            }
            return;
        }
        copy(&kept, &self.data());
        self.own_data();
    }

    fn own_data(&self) {
        fs::set_permissions(self.data(), fs::Permissions::from_mode(0o700)).expect("it is ours");
        if let Some((user, group)) = account() {
            let mut give = Command::new("chown");
            give.arg("-R").arg(format!("{user}:{group}")).arg(self.data());
            checked("chown", give.output().expect("chown runs"));
        }
    }

    fn configure(&self, settings: &str) {
        let path = self.data().join("postgresql.conf");
        let mut file = fs::OpenOptions::new().append(true).open(path).expect("the configuration can be written");
        // The machine does not crash in a test, so nothing needs to reach the disk; for measurements others may be wanted.
        let wanted = std::env::var("LIKENESS_TEST_POSTGRES_SETTINGS").unwrap_or_default().replace(';', "\n");
        let usual = "fsync = off\nshared_buffers = 16MB\nmin_wal_size = 2MB\nlisten_addresses = ''\n\
                     autovacuum_naptime = 1h\nmax_connections = 200\n";
        let socket = format!("unix_socket_directories = '{}'\n", self.dir.display());
        write!(file, "\n{usual}{socket}{settings}\n{wanted}\n").expect("the configuration can be written");
    }

    /// Starts it and waits until it takes connections.
    pub(crate) fn run(&self) {
        let mut start = self.program("pg_ctl");
        start.args(["-w", "-t", "90", "-s", "-l"]).arg(self.dir.join("log")).arg("-D").arg(self.data()).arg("start");
        // Not a pipe: the server would hold it open.
        let status = start.stdout(Stdio::null()).stderr(Stdio::null()).status().expect("pg_ctl runs");
        let log = fs::read_to_string(self.dir.join("log")).unwrap_or_default();
        assert!(status.success(), "PostgreSQL does not start: {log}");
    }

    /// Stops it in that manner: `fast` or `immediate`.
    pub(crate) fn stop(&self, manner: &str) {
        let mut stop = self.program("pg_ctl");
        stop.args(["-w", "-s", "-m", manner, "-D"]).arg(self.data()).arg("stop");
        checked("pg_ctl stop", stop.output().expect("pg_ctl runs"));
    }

    /// Kills it and all of its processes, as a power cut would, and waits until they are gone.
    pub(crate) fn kill(&self) {
        kill(&self.data());
    }

    /// Stops it and all of its processes where they are: connections are taken by the system, and nobody answers. They go on
    /// when what is returned is dropped.
    pub(crate) fn freeze(&self) -> Frozen<'_> {
        self.signal_all("STOP");
        Frozen(self)
    }

    fn signal_all(&self, signal: &str) {
        let pid = fs::read_to_string(self.data().join("postmaster.pid")).expect("it runs");
        let pid = pid.lines().next().expect("its process").to_owned();
        let mut kill = Command::new("sh");
        // The first one before the others, so that it makes no more of them.
        let script = r#"kill -"$2" "$1"; kill -"$2" $(ps -o pid= --ppid "$1"); true"#;
        kill.args(["-c", script, "sh", &pid, signal]);
        checked("kill", kill.output().expect("a shell runs"));
    }

    /// Makes an empty database and returns its name.
    pub(crate) fn database(&self) -> String {
        let name = format!("test_{}", self.n_databases.fetch_add(1, Ordering::SeqCst));
        self.sql("postgres", &format!("CREATE DATABASE {name}"));
        name
    }

    /// Makes a copy of a database that nobody uses at the moment, and returns its name.
    pub(crate) fn copy_of(&self, database: &str) -> String {
        let name = format!("test_{}", self.n_databases.fetch_add(1, Ordering::SeqCst));
        // Connections of a store that was dropped may be about to end.
        let others = format!("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{database}'");
        self.sql("postgres", &others);
        self.sql("postgres", &format!("CREATE DATABASE {name} TEMPLATE {database}"));
        name
    }

    /// Runs statements and returns what they print, a line per row.
    pub(crate) fn sql(&self, database: &str, statements: &str) -> String {
        let output = self.psql(database).args(["-c", statements]).output();
        checked(statements, output.expect("psql runs")).trim().to_owned()
    }

    /// A client that is connected to a database.
    pub(crate) fn psql(&self, database: &str) -> Command {
        let mut psql = self.program("psql");
        psql.args(["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-U", "likeness", "-d", database]);
        psql.arg("-h").arg(&self.dir);
        psql
    }

    /// Where everything of it is, its socket too.
    pub(crate) fn folder(&self) -> &Path {
        &self.dir
    }

    /// Where its socket is.
    pub(crate) fn socket(&self) -> PathBuf {
        self.dir.join(SOCKET)
    }

    /// The address of a database.
    pub(crate) fn place(&self, database: &str) -> Address {
        place(&[self], database)
    }
}

/// The address of a database that is on whichever of these can be written to.
pub(crate) fn place(servers: &[&Server], database: &str) -> Address {
    Address::parse(&url(servers, database), None).expect("a valid address")
}

/// The same as a text.
pub(crate) fn url(servers: &[&Server], database: &str) -> String {
    let folders: Vec<&Path> = servers.iter().map(|server| &*server.dir).collect();
    url_in(&folders, database)
}

/// The same of servers whose sockets are in these folders.
pub(crate) fn url_in(folders: &[&Path], database: &str) -> String {
    let hosts: Vec<String> = folders.iter().map(|folder| folder.to_string_lossy().replace('/', "%2F")).collect();
    format!("postgres://likeness@{}/{database}", hosts.join(","))
}

impl Drop for Server {
    fn drop(&mut self) {
        // The end of its input tells the shell.
        drop(self.watchdog.stdin.take());
        let _ = self.watchdog.wait();
    }
}

/// Copies a folder with everything in it.
fn copy(from: &Path, to: &Path) {
    let mut copy = Command::new("cp");
    copy.arg("-r").arg(from).arg(to);
    checked("cp", copy.output().expect("cp runs"));
}
