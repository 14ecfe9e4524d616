//! `likeness doctor`: looks at everything a server stands on, and says of each thing what is wrong and what cures it.

use std::fmt::Display;
use std::fs;
use std::net::IpAddr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use clap::Args;
use http::Method;
use likeness_domain::Error;
use likeness_domain::types::{PackId, TimestampMs};
use likeness_store::embedded::{DATABASE_FILE, IDENTITY_FILE};
use likeness_store::folder::{self, DataFolder, LOCK_FILE};
use likeness_vision::pack::{self, Home};
use likeness_wire::native::dto;
use serde::Serialize;

use super::connection::{Connection, Needs, Payload};
use super::key::spell;
use super::socket::{self, Presence};
use super::table::counted;
use super::{terminal, thresholds};
use crate::assemble::SOCKET_FILE;
use crate::config::{Config, RawConfig};
use crate::index_check::{self, IndexCheck};
use crate::outcome::{Outcome, Verdict};
use crate::running::{self, Running};
use crate::tls::{Tls, Validity};

/// Free bytes of the data folder's disk below which it is time to act.
const FREE_BYTES_MIN: u64 = 1 << 30;

/// A clock before this is not set: the program did not exist then (2026-01-01).
const CLOCK_MIN_S: u64 = 1_767_225_600;

/// A certificate that ends sooner than this was probably forgotten: authorities advise to renew a month before.
const CERTIFICATE_LEFT_MIN: Duration = Duration::from_hours(14 * 24);

/// Looks at everything a server stands on: settings, disk, permissions, model packs, store and index, clock, and how the
/// running server is confined. Ends with 1 if something has failed.
#[derive(Debug, Args)]
#[command(after_help = "\
    Each line is ok, warn or fail, with what cures it. Ends with 1 if something has failed.\n\n\
    Example: sudo -u likeness likeness doctor --config /etc/likeness/likeness.toml --data /var/lib/likeness/library")]
pub(crate) struct DoctorArgs {
    /// Only what takes no time, for health checks of containers: no digest of a model, no row of the store
    #[arg(long)]
    quick: bool,
    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Longest that the data folder is waited for.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// How it is about one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum State {
    Ok,
    Warn,
    Fail,
}

/// One line of the report.
#[derive(Debug, Serialize)]
struct Finding {
    state: State,
    what: &'static str,
    says: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    cure: Option<String>,
}

#[derive(Serialize)]
struct Report {
    version: &'static str,
    worst: State,
    findings: Vec<Finding>,
}

#[derive(Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn ok(&mut self, what: &'static str, says: impl Display) {
        self.0.push(Finding { state: State::Ok, what, says: says.to_string(), cure: None });
    }

    fn warn(&mut self, what: &'static str, says: impl Display, cure: impl Display) {
        self.0.push(Finding { state: State::Warn, what, says: says.to_string(), cure: Some(cure.to_string()) });
    }

    fn fail(&mut self, what: &'static str, says: impl Display, cure: impl Display) {
        self.0.push(Finding { state: State::Fail, what, says: says.to_string(), cure: Some(cure.to_string()) });
    }

    fn error(&mut self, what: &'static str, error: &Error, cure: &str) {
        self.fail(what, error.message(), error.hint().unwrap_or(cure));
    }
}

/// Runs the command.
pub(crate) async fn run(args: DoctorArgs, config: &Config, resolved: &RawConfig) -> Outcome {
    let mut found = Findings::default();
    settings(&mut found, config);
    clock(&mut found);
    if let Some(data) = data_folder(&mut found, config).await {
        let presence = socket::look(&data.join(SOCKET_FILE)).await;
        // A process that has the folder without its socket, as where a cleaner of old files took that. A health check must not
        // stand in the way of a server that starts, so it does not try for the folder.
        let owner = match presence {
            Presence::Nobody if !args.quick => {
                let data = data.clone();
                in_time(LOOK_MAX, move || owner_of(&data)).await.flatten()
            }
            _ => None,
        };
        server(&mut found, presence, owner.as_deref());
        if matches!(presence, Presence::Answers { .. }) {
            running(&mut found, config, resolved).await;
        }
        if owner.is_none() {
            store(&mut found, config, &data, presence, args.quick).await;
        }
    }
    if !args.quick {
        milvus(&mut found, config).await;
    }
    packs(&mut found, config, args.quick);
    programs(&mut found, config).await;
    let worst = [State::Fail, State::Warn].into_iter().find(|state| found.0.iter().any(|line| line.state == *state));
    let worst = worst.unwrap_or(State::Ok);
    if args.json {
        terminal::json(&Report { version: env!("CARGO_PKG_VERSION"), worst, findings: found.0 })?;
    } else {
        found.0.iter().for_each(print);
    }
    Ok(if worst == State::Fail { Verdict::No } else { Verdict::Done })
}

fn print(line: &Finding) {
    let word = match line.state {
        State::Ok => "ok",
        State::Warn => "warn",
        State::Fail => "fail",
    };
    terminal::data(format_args!("{word:<5} {:<12} {}", line.what, line.says));
    if let Some(cure) = &line.cure {
        terminal::data(format_args!("{:<19}cure: {cure}", ""));
    }
}

fn settings(found: &mut Findings, config: &Config) {
    let listen = config.general.listen;
    match Tls::open(&config.tls) {
        Err(error) => found.error("tls", &error, "correct the settings of tls"),
        Ok(Some(tls)) => certificate(found, config, tls.validity()),
        Ok(None) if is_inside(listen.ip()) => found.ok("tls", format_args!("none, and {listen} is this machine's own")),
        Ok(None) => found.warn(
            "tls",
            format_args!("none, and {listen} is open to a network: keys and photographs are readable on the way"),
            "put a proxy with TLS before the server, or set tls.certificate and tls.key",
        ),
    }
    if let Some(operations) = config.general.listen_operations.filter(|address| !is_inside(address.ip())) {
        found.warn(
            "operations",
            format_args!("{operations} shows metrics to everybody who reaches it"),
            "bind listen_operations to an address that only your monitoring reaches",
        );
    }
    let wanted = (config.general.analysis_memory_mib + config.listener.body_memory_mib) as u64;
    match memory_mib() {
        Some(there) if wanted * 2 > there => found.warn(
            "memory",
            format_args!("images and bodies may take {wanted} MiB of {there} MiB, beside the faces and the models"),
            "lower analysis_memory_mib and listener.body_memory_mib, or give the machine more memory",
        ),
        Some(there) => found.ok("memory", format_args!("images and bodies may take {wanted} MiB of {there} MiB")),
        None => {}
    }
    let needed = config.listener.connections_max as u64 * 2 + 256;
    if let Some(limit) = files_max().filter(|limit| *limit < needed) {
        found.warn(
            "open files",
            format_args!("this user may open {limit} files, a full server needs about {needed}"),
            "raise the limit (`ulimit -n`, LimitNOFILE of the unit), or lower listener.connections_max",
        );
    }
}

fn certificate(found: &mut Findings, config: &Config, validity: Option<Validity>) {
    let key_mode = config.tls.key.as_ref().and_then(|key| fs::metadata(key).ok()).map(|key| key.permissions().mode());
    if let Some(mode) = key_mode.filter(|mode| mode & 0o077 != 0) {
        found.fail(
            "tls",
            format_args!("the private key may be read by others (mode {:o})", mode & 0o777),
            "chmod 600 the file of tls.key, or 640 with a group of the server alone",
        );
        return;
    }
    let cure = "renew it; the server takes the new file over by itself";
    let Some(validity) = validity else {
        found.warn("tls", "certificate and key fit, but how long the certificate is valid cannot be read", cure);
        return;
    };
    let now = SystemTime::now();
    let day = |time: SystemTime| spell(TimestampMs(milliseconds(time)));
    if now < validity.begin {
        let begin = day(validity.begin);
        found.fail("tls", format_args!("the certificate is valid from {begin} on only"), "set the clock, or wait");
        return;
    }
    match validity.end.duration_since(now) {
        Err(_) => found.fail("tls", format_args!("the certificate has expired on {}", day(validity.end)), cure),
        Ok(left) if left < CERTIFICATE_LEFT_MIN => {
            found.warn("tls", format_args!("the certificate expires on {}", day(validity.end)), cure);
        }
        Ok(_) => {
            found.ok("tls", format_args!("certificate and key fit, the certificate expires on {}", day(validity.end)));
        }
    }
}

fn milliseconds(time: SystemTime) -> i64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Whether only this machine reaches an address.
fn is_inside(ip: IpAddr) -> bool {
    ip.is_loopback()
}

fn clock(found: &mut Findings) {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0, |now| now.as_secs());
    if now < CLOCK_MIN_S {
        found.fail(
            "clock",
            format_args!("it says {now} seconds since 1970, which is in the past"),
            "set it: signatures and tokens are good for minutes",
        );
        return;
    }
    // What systemd-timesyncd and chrony leave on most machines; containers have their host's clock and neither.
    let synchronised = ["/run/systemd/timesync/synchronized", "/run/chrony/chronyd.pid", "/run/ntpd.pid"];
    match synchronised.iter().any(|path| Path::new(path).exists()) {
        true => found.ok("clock", "kept by a time service"),
        false => found.ok("clock", "plausible; no time service is seen from here"),
    }
}

/// The data folder, if it is one that can be looked into.
async fn data_folder(found: &mut Findings, config: &Config) -> Option<PathBuf> {
    let config = config.clone();
    let looked = in_time(LOOK_MAX, move || {
        let mut found = Findings::default();
        let data = folder(&mut found, &config);
        if let Some(data) = data {
            disk(&mut found, &config, data);
        }
        (data.map(Path::to_owned), found)
    });
    let Some((data, lines)) = looked.await else {
        let says = format!("nothing was read of it within {} s", LOOK_MAX.as_secs());
        found.fail("data folder", says, "look at its disk: it hangs, or the network that it is on is away");
        return None;
    };
    found.0.extend(lines.0);
    data
}

/// What comes of looking into files; `None` if that takes too long, as on a disk that hangs. Its thread goes on waiting, and
/// nobody waits for it.
async fn in_time<T: Send + 'static>(time_max: Duration, look: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::time::timeout(time_max, tokio::task::spawn_blocking(look)).await.ok()?.ok()
}

/// The data folder, if it is one.
fn folder<'a>(found: &mut Findings, config: &'a Config) -> Option<&'a Path> {
    let data = match config.data() {
        Ok(data) => data,
        Err(error) => {
            found.error("data folder", &error, "name one with --data DIR");
            return None;
        }
    };
    let metadata = match fs::metadata(data) {
        Ok(metadata) if metadata.is_dir() => metadata,
        Ok(_) => {
            found.fail("data folder", format_args!("{} is no folder", data.display()), "name another one with --data");
            return None;
        }
        Err(error) => {
            let says = format!("{}: {error}", data.display());
            let cure = "the first `likeness serve` makes it; or name another one with --data DIR";
            found.fail("data folder", says, cure);
            return None;
        }
    };
    if let Some(other) = strange_file(config, data) {
        let says = format!("{} is no data folder: it has `{other}` and no library", data.display());
        let cure = "name the data folder with --data DIR or LIKENESS_DATA; a library is made in a folder of its own";
        found.fail("data folder", says, cure);
        return None;
    }
    let (mode, own) = (metadata.permissions().mode() & 0o777, rustix::process::geteuid().as_raw());
    if mode & 0o077 != 0 {
        let says = format!("{} may be entered by others (mode {mode:o})", data.display());
        found.fail("data folder", says, format_args!("chmod 700 {}", data.display()));
    } else if metadata.uid() != own && own != 0 {
        let says = format!("{} belongs to user {}, you are {own}", data.display(), metadata.uid());
        found.warn("data folder", says, "run this as the server's user, as in `sudo -u likeness likeness doctor`");
        return None;
    } else {
        found.ok("data folder", format_args!("{}, yours alone", data.display()));
    }
    let open: Vec<_> = fs::read_dir(data)
        .into_iter()
        .flatten()
        .filter_map(Result::ok)
        .filter(|entry| entry.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o077 != 0))
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    if !open.is_empty() {
        let cure = format!("chmod 600 {}/*", data.display());
        found.fail("permissions", format_args!("others may read {}", open.join(", ")), cure);
    }
    Some(data)
}

/// A file or folder of somebody else in a folder that has no library: to change who may read that would be no cure.
fn strange_file(config: &Config, data: &Path) -> Option<String> {
    let is_there = |file: &str| data.join(file).exists();
    if config.general.store.is_some() || [DATABASE_FILE, IDENTITY_FILE, LOCK_FILE].into_iter().any(is_there) {
        return None;
    }
    let names = fs::read_dir(data).into_iter().flatten().filter_map(Result::ok).map(|entry| entry.file_name());
    let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
    names.sort_unstable();
    // What an empty disk has, and what is put beside a library before it is made.
    names.into_iter().find(|name| name != "lost+found" && !name.ends_with(".toml") && !name.ends_with(".env"))
}

/// Who has the folder, where somebody has.
fn owner_of(data: &Path) -> Option<String> {
    if !data.join(LOCK_FILE).exists() {
        return None;
    }
    match DataFolder::lock(data) {
        Err(error) if folder::is_in_use(&error) => {
            Some(error.message().rsplit(" by ").next().unwrap_or("another process").to_owned())
        }
        _ => None,
    }
}

fn disk(found: &mut Findings, config: &Config, data: &Path) {
    let Ok(disk) = rustix::fs::statvfs(data) else {
        found.warn("disk", "its free space cannot be asked for", "check it with `df`");
        return;
    };
    let free = disk.f_bavail * disk.f_frsize;
    let (mib, reserve) = (free >> 20, config.general.disk_reserve_mib);
    let cure = "make room, or move the data folder (`likeness backup`, `likeness restore`) to a larger disk";
    if free < (reserve << 20).max(64 << 20) {
        found.fail("disk", format_args!("{mib} MiB are free: writes fail or will soon"), cure);
    } else if free < FREE_BYTES_MIN {
        found.warn("disk", format_args!("{mib} MiB are free"), cure);
    } else if disk.f_favail > 0 && disk.f_favail < 1000 {
        found.warn("disk", format_args!("{} more files may be made", disk.f_favail), cure);
    } else {
        found.ok("disk", format_args!("{mib} MiB are free"));
    }
}

/// Whether a server has the folder.
fn server(found: &mut Findings, presence: Presence, owner: Option<&str>) {
    if let Some(owner) = owner {
        found.fail(
            "server",
            format_args!("{owner} has this folder, and nobody answers at {SOCKET_FILE} in it"),
            "wait if a command has it; else restart the server: its socket was removed",
        );
        return;
    }
    match presence {
        Presence::Nobody => found.ok("server", "none has this folder; what follows looks into it directly"),
        Presence::Silent { pid } => found.fail(
            "server",
            format_args!("it does not answer: {}", socket::silence(pid)),
            "look into its log and at its disk; what is acknowledged outlives `kill -9` and a new start",
        ),
        Presence::Answers { pid: None } => found.ok("server", "it answers"),
        Presence::Answers { pid: Some(pid) } => {
            found.ok("server", format_args!("process {pid} answers"));
            sandbox(found, pid);
        }
    }
}

/// Whether the server that answers works with what holds here and now: all else that is looked at is of the settings and the points
/// of whoever asks.
async fn running(found: &mut Findings, config: &Config, resolved: &RawConfig) {
    // What it does not answer, as one of an earlier release does not, is told of the store.
    let Ok(Some(connection)) = Connection::to_server(config).await else { return };
    let Some(answer) = connection.ask_server(running::PATH).await else { return };
    let Ok(server) = serde_json::from_slice::<Running>(&answer) else { return };
    let otherwise = server.otherwise(resolved);
    if !otherwise.is_empty() {
        found.warn(
            "settings",
            format_args!("the server runs with others than those looked at here: {}", otherwise.join(", ")),
            "ask with the server's own settings (--config FILE, environment), or restart it if these are newer",
        );
    }
    let Ok(home) = config.home() else { return };
    let home = Home::at(home);
    let has_others = |pack: &&dto::Pack| {
        let installed = PackId::new(&pack.id).and_then(|id| pack::open(&home, &id).ok());
        let recognition = installed.as_ref().and_then(|pack| pack.manifest().recognition());
        let (decides, installed) =
            (thresholds::calibration_of(pack), recognition.map(|found| &found.score.calibration));
        decides.zip(installed).is_some_and(|(decides, installed)| !thresholds::are_same(&decides, installed))
    };
    for pack in server.packs.iter().filter(has_others) {
        found.warn(
            "thresholds",
            format_args!("the server decides by other operating points of {} than are installed", pack.id),
            "restart it, so that the installed ones hold; or look whether LIKENESS_HOME is the server's",
        );
    }
}

/// Whether the Milvus that is set answers from here, and takes us.
async fn milvus(found: &mut Findings, config: &Config) {
    if config.milvus.url.is_none() {
        return;
    }
    let cure = "start it, or correct `milvus.url`; searches in face sets that are there are refused meanwhile";
    match crate::milvus::probe(config).await {
        Ok(version) => {
            found.ok("milvus", format_args!("answers (version {version}), takes the password and has the database"))
        }
        Err(error) => {
            let why = std::error::Error::source(&error).map(|why| format!(": {why}")).unwrap_or_default();
            found.fail("milvus", format_args!("{}{why}", error.message()), error.hint().unwrap_or(cure));
        }
    }
}

/// What the running server says of Milvus.
fn served_in_milvus(found: &mut Findings, metrics: &str) {
    let number = |name: &str| {
        let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.parse::<u64>().ok())
    };
    let Some(is_up) = number("likeness_milvus_up") else { return };
    let of = |name: &str| number(name).unwrap_or_default();
    let says = format!(
        "{} there; {} in {} wait for it",
        counted(of("likeness_milvus_face_sets"), "face set"),
        counted(of("likeness_milvus_faces_behind"), "changed face"),
        counted(of("likeness_milvus_commits_behind"), "commit")
    );
    let n_refused = of("likeness_milvus_face_sets_refused");
    match (is_up, n_refused) {
        (0, _) => found.fail(
            "in milvus",
            format_args!("the server cannot use Milvus, so searches in its face sets are refused: {says}"),
            "`/likeness/v1/status` and the server's log say why",
        ),
        (_, 1..) => found.warn(
            "in milvus",
            format_args!("{} copied to it anew and refused meanwhile: {says}", counted(n_refused, "face set")),
            "wait; `likeness milvus check` shows how far it is",
        ),
        _ => found.ok("in milvus", says),
    }
}

/// How the process of a server is confined, where this user may see that.
fn sandbox(found: &mut Findings, pid: i32) {
    let Ok(status) = fs::read_to_string(format!("/proc/{pid}/status")) else { return };
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.map(|value| value.split_whitespace().next().unwrap_or_default().to_owned()).unwrap_or_default()
    };
    let mut loose = Vec::new();
    if field("Uid") == "0" {
        loose.push("it runs as root");
    }
    if !field("CapEff").trim_start_matches('0').is_empty() && field("Uid") != "0" {
        loose.push("it has capabilities");
    }
    if field("NoNewPrivs") != "1" {
        loose.push("it could gain privileges");
    }
    if field("Seccomp") != "2" {
        loose.push("no filter of system calls");
    }
    match loose.is_empty() {
        true => found.ok("sandbox", format_args!("process {pid} has a user of its own, no privileges and a filter")),
        false => found.warn(
            "sandbox",
            format_args!("process {pid}: {}", loose.join(", ")),
            "run it by the unit of the package, or in a container that drops capabilities (docs/operations.md)",
        ),
    }
}

async fn store(found: &mut Findings, config: &Config, data: &Path, presence: Presence, quick: bool) {
    // Where the identity of a library is left without its database, all that opens it says what is missing.
    let is_there = |file: &str| data.join(file).exists();
    if config.general.store.is_none() && !is_there(DATABASE_FILE) && !is_there(IDENTITY_FILE) {
        found.ok("store", "no library yet; the first `likeness serve` makes one");
        return;
    }
    let (cure, unreached) = store_cures(config.general.store.is_some());
    match presence {
        // Its folder is not to be had, and the line before says why.
        Presence::Silent { .. } => return,
        // One look tells that no server can start.
        Presence::Nobody
            if quick
                && config.general.store.is_none()
                && is_there(IDENTITY_FILE)
                && fs::metadata(data.join(DATABASE_FILE)).map_or(0, |file| file.len()) == 0 =>
        {
            let says = format!("{DATABASE_FILE} is missing or empty, and {IDENTITY_FILE} says that a library was here");
            found.fail(
                "store",
                says,
                "put the file back, or restore a backup into a folder of its own (`likeness restore`)",
            );
            return;
        }
        Presence::Nobody if quick => {
            found.fail("store", "no server answers for this folder", "start `likeness serve`, or look into its log");
            return;
        }
        Presence::Nobody | Presence::Answers { .. } => {}
    }
    let connection = match Connection::as_operator(config).await {
        Ok(connection) => connection,
        Err(error) => return found.error("store", &error, unreached),
    };
    let report: Result<dto::Report, Error> =
        connection.call(Method::GET, &["report"], &[("thorough", "false")], Payload::Empty).await;
    let report = match report {
        Ok(report) => report,
        Err(error) => return found.error("store", &error, unreached),
    };
    if report.problems.is_empty() {
        let (faces, sets) = (counted(report.n_faces, "face"), counted(report.n_face_sets, "face set"));
        found.ok("store", format_args!("{faces} in {sets}, revision {}, nothing is damaged", report.revision));
    } else {
        found.fail("store", report.problems.join("; "), cure);
    }
    if let Some(metrics) = connection.ask_server("/metrics").await {
        let metrics = String::from_utf8_lossy(&metrics);
        writes(found, &metrics);
        served_in_milvus(found, &metrics);
    }
    if let Some(checked) = connection.ask_server(index_check::PATH).await {
        index(found, &checked);
    }
    face_sets(found, config, &connection).await;
}

/// What cures damage of the store, and what a store that cannot be asked.
fn store_cures(is_database: bool) -> (&'static str, &'static str) {
    const OF_FOLDER: &str =
        "`likeness check --thorough` says more; `likeness recover` and `likeness restore` are the ways back";
    const OF_DATABASE: &str = "`likeness check --thorough` says more; damaged faces can be deleted by their ids, and a \
                               backup of the database is the way back";
    const UNREACHED: &str = "see whether the database runs; the server's log says why it cannot be used";
    if is_database { (OF_DATABASE, UNREACHED) } else { (OF_FOLDER, OF_FOLDER) }
}

/// The index of a running server against its store. A command that opens the folder itself fills its own from the store.
fn index(found: &mut Findings, checked: &[u8]) {
    let cure = "restart the server, which fills it anew from the store, and look into its log";
    match serde_json::from_slice::<IndexCheck>(checked) {
        Err(_) => found.warn("index", "the server's answer is not understood", "use the server's own program"),
        Ok(IndexCheck { is_ready: false, .. }) => {
            found.fail(
                "index",
                "it is filled anew, searches are refused meanwhile",
                "wait; if this stays, look into the log",
            );
        }
        Ok(IndexCheck { n_differing: 0, n_face_sets, n_faces, .. }) => {
            let (faces, sets) = (counted(n_faces, "face"), counted(n_face_sets, "face set"));
            // So that more than the store has is no contradiction.
            let persons = if n_faces > 0 { ", a person's counted in each of its sets" } else { "" };
            found.ok("index", format_args!("it has what the store has: {faces} in {sets}{persons}"));
        }
        Ok(IndexCheck { n_differing, .. }) => {
            let sets = counted(n_differing, "face set");
            found.fail("index", format_args!("{sets} have other numbers of faces there than in the store"), cure);
        }
    }
}

fn writes(found: &mut Findings, metrics: &str) {
    if metrics.lines().any(|line| line == "likeness_store_writes_failing 1") {
        found.fail("writes", "the last write failed", "look at the disk above and into the server's log");
    }
}

/// Whether every face set has its model pack.
async fn face_sets(found: &mut Findings, config: &Config, connection: &Connection) {
    let Ok(home) = config.home() else { return };
    let home = Home::at(home);
    let mut missing = Vec::new();
    for tenant in connection.tenants().await.unwrap_or_default() {
        let Ok(connection) = Connection::open(config, Some(&tenant), Needs::StoreOnly).await else { continue };
        let sets: Result<dto::FaceSets, Error> =
            connection.call(Method::GET, &["face-sets"], &[], Payload::Empty).await;
        for set in sets.map(|sets| sets.face_sets).unwrap_or_default() {
            // What is wrong with one that is there is told of the packs.
            let is_there = PackId::new(&set.pack).is_some_and(|id| home.has_pack(&id));
            if !is_there && !missing.contains(&set.pack) {
                missing.push(set.pack);
            }
        }
    }
    if !missing.is_empty() {
        found.fail(
            "face sets",
            format_args!("some are pinned to model packs that are not installed: {}", missing.join(", ")),
            "`likeness pack install` them, or put their folders back below LIKENESS_HOME/packs",
        );
    }
}

fn packs(found: &mut Findings, config: &Config, quick: bool) {
    let home = match config.home() {
        Ok(home) => Home::at(home),
        Err(error) => return found.error("model packs", &error, "name a folder with LIKENESS_HOME"),
    };
    let default = pack::open(&home, &config.general.pack);
    let told = default.as_ref().err().map_or(String::new(), |error| error.message().to_owned());
    if let Err(error) = &default {
        found.error("model packs", error, "run `likeness pack install`");
    }
    if super::pack::default_far(config) == Some(None) {
        found.warn("default rate", super::pack::default_text(None), "measure more people, or choose the default rate");
    }
    if let Some(says) = super::pack::person_faces_text(config) {
        found.warn("default rate", says, "choose a larger default rate, or measure more people");
    }
    if quick {
        match default.and_then(|pack| pack.check_whole()) {
            // It was told of.
            Err(error) if error.message() == told => {}
            Err(error) => found.error("model packs", &error, "run `likeness pack install`"),
            Ok(()) if !pack::has_runtime(&home) => {
                found.fail("model packs", "ONNX Runtime is not installed", "run `likeness pack install`");
            }
            Ok(()) => found.ok("model packs", format_args!("{} is installed", config.general.pack)),
        }
        return;
    }
    match pack::verify(&home, None) {
        Err(error) => found.error("model packs", &error, "check the folder's permissions"),
        Ok(checked) => {
            let (sound, broken): (Vec<_>, Vec<_>) = checked.into_iter().partition(|pack| pack.outcome.is_ok());
            if !sound.is_empty() {
                let names: Vec<_> = sound.iter().map(|pack| pack.name.as_str()).collect();
                found.ok("model packs", format_args!("intact: {}", names.join(", ")));
            }
            // The default one was told of.
            for pack in broken {
                if let Err(error) = pack.outcome
                    && told != error.message()
                {
                    found.error("model packs", &error, "install it again");
                }
            }
        }
    }
}

async fn programs(found: &mut Findings, config: &Config) {
    let program = &config.video.program;
    let asked = tokio::process::Command::new(program).arg("-version").kill_on_drop(true).output();
    match tokio::time::timeout(Duration::from_secs(5), asked).await {
        Ok(Ok(answer)) if answer.status.success() => {
            let said = String::from_utf8_lossy(&answer.stdout);
            let version: String = said.lines().next().unwrap_or_default().chars().take(40).collect();
            found.ok("clips", version);
        }
        _ => found.warn(
            "clips",
            "no ffmpeg is found, so liveness of clips is unavailable; all else works",
            "install ffmpeg 5 or later, or set video.program",
        ),
    }
}

/// Memory that this process may use: the machine's, or what its control group allows.
fn memory_mib() -> Option<u64> {
    let text = fs::read_to_string("/proc/meminfo").ok()?;
    let total = text.lines().find_map(|line| line.strip_prefix("MemTotal:"))?;
    let machine = total.split_whitespace().next()?.parse::<u64>().ok()? >> 10;
    let group = fs::read_to_string("/sys/fs/cgroup/memory.max").ok();
    let group = group.and_then(|text| text.trim().parse::<u64>().ok()).map(|bytes| bytes >> 20);
    Some(group.map_or(machine, |group| group.min(machine)))
}

/// Files that this user may have open.
fn files_max() -> Option<u64> {
    rustix::process::getrlimit(rustix::process::Resource::Nofile).current
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Issue 17: where the database was away, the cure was to recover or restore a folder.
    #[test]
    fn a_database_is_not_cured_by_commands_for_folders() {
        let (damaged, unreached) = store_cures(true);
        for cure in [damaged, unreached] {
            assert!(cure.contains("database") && !cure.contains("likeness re"), "{cure}");
        }
        assert!(store_cures(false).1.contains("`likeness recover`"));
    }

    #[tokio::test]
    async fn a_disk_that_hangs_is_not_waited_for() {
        let (answer, waiting) = std::sync::mpsc::channel::<()>();
        assert_eq!(in_time(Duration::from_millis(1), move || waiting.recv()).await, None);
        drop(answer);
    }
}
