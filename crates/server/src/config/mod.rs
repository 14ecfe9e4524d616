//! Configuration: default, then file, then environment, then flag; the later wins.
//!
//! [`RawConfig`] is what was written, all of it optional, each value with its origin. [`Config`] is complete, checked
//! and in typed units; the rest of the server sees only that.

mod raw;
mod settings;
pub(crate) mod show;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Read;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use likeness_domain::Error;
use likeness_domain::settings::{ListOf, Millis, Parsed, Refused, Truth, UnlessAuto, UnlessZero, Unset, With};
use likeness_domain::types::{PackId, QualityGate};
use likeness_vision::runtime::choice::Wanted;
use likeness_vision::runtime::{Library, Precision};

pub(crate) use raw::RawConfig;

use crate::outcome::refused;
use crate::{archives, fetch, listener, milvus, telemetry, tls, traces, video};
use raw::Origin;
use settings::ENV_CONFIG;

likeness_domain::settings! {
    /// The settings that belong to no single room.
    pub(crate) struct General in "" {
        listen: SocketAddr = "127.0.0.1:7080", Parsed("an address and port such as 127.0.0.1:7080"),
            "address and port to answer on; loopback, because a face library is opened to a network on purpose or not at \
             all";
        listen_operations: Option<SocketAddr> = "", Unset(Parsed("an address and port such as 127.0.0.1:7081")),
            "second address and port that answers health checks and `/metrics` only, in plain HTTP, so that no client's \
             traffic can be in their way; by default none";
        console: bool = "true", Truth,
            "whether the console, pages for people, is served at `/console`; it does nothing but call the native API";
        data: Option<PathBuf> = "", Unset(Parsed("a folder")),
            "data folder of the library: faces, keys, everything that must be backed up; by default `likeness/library` \
             in the user's data folder";
        store: Option<String> = "", Unset(With("postgres://USER@HOST:PORT/DATABASE without a password", store_address)),
            "address of a PostgreSQL database that holds the library instead of the data folder, so that several servers \
             share it (`docs/scale.md`); the data folder then holds the socket for commands only. By default none";
        store_password_file: Option<PathBuf> = "", Unset(Parsed("a file")),
            "file with the password of that database; where none is named, the environment variable `PGPASSWORD` has it";
        store_connections: usize = "16", 2..=500,
            "most connections to that database, besides one that listens";
        data_open_to_others: bool = "false", Truth,
            "whether a data folder that the group or others may enter is used all the same, as where a platform sets the \
             rights of a volume; otherwise it is refused";
        upgrade_copy: bool = "true", Truth,
            "whether a copy of the library is kept in its data folder before a newer program upgrades its layout, for the \
             way back; it takes as much room as the library";
        disk_reserve_mib: u64 = "24", 0..=1024,
            "MiB of the data folder's disk that are kept for the moment when it is full: then the server still starts, and \
             faces can be deleted to make room; 0 for none";
        record_commits: u64 = "200000", 1_000..=20_000_000,
            "most commits that the record of changes keeps (`likeness log`), of all tenants; when there are more, the tenants \
             that have most lose their oldest, changes of faces, deletes, and changes of keys and sets each by themselves; \
             some 100 bytes of disk each, and 8 of memory";
        record_days: u64 = "7", 1..=3_650,
            "most days that a commit is kept in it";
        scrub_interval_days: u64 = "7", 0..=365,
            "days from the end of one pass over every stored row, which looks for damage while the server works, to the start \
             of the next; 0 for none";
        scrub_rows_per_second: u64 = "2000", 1..=1_000_000,
            "most rows that such a pass reads in a second; a million faces are some three million rows, which take half an hour";
        home: Option<PathBuf> = "", Unset(Parsed("a folder")),
            "where model packs and runtimes are installed, all of which can be fetched again; by default `likeness` in \
             the user's data folder";
        pack: PackId = "default-2", With("1 to 64 of a-z 0-9 - _ .", |text: &str| PackId::new(text)),
            "model pack of new face sets; the default is the one that installs itself";
        quality_gate: QualityGate = "low", With("none, low, medium or high", |text: &str| QualityGate::from_word(text).ok()),
            "how good a picture of a face must be to be enrolled, in face sets whose maker does not say: none, low, \
             medium or high; low refuses only what is of no use";
        analysis_memory_mib: usize = "256", 64..=65_536,
            "MiB for the images that are analysed at the same time; an image waits until it fits, and one that needs \
             more is refused";
        workers: usize = "", 1..=256,
            "threads that analyse images, with one copy of the models for all; by default one per processor";
        queue_max: usize = "64", 1..=65_536,
            "images that may wait for a worker before callers are told that the server is busy; a few seconds of work";
        calls_per_second: Option<u32> = "1000", UnlessZero(1_000_000),
            "calls a second of a tenant that has no number of its own (`likeness tenant set --calls-per-second`); 0 for no \
             bound";
        weights: Vec<TenantWeight> = "", ListOf("NAME=WEIGHT with a weight of 1 to 1000"),
            "how much tenants get of what is scarce (analyses, fetches, clips, searches, writes) while several want it, in \
             proportion to others; by default every tenant has the weight 1";
        inference_runtime: Option<Library> = "auto", UnlessAuto("auto, onnxruntime, openvino or builtin"),
            "library that runs the models: onnxruntime, openvino, builtin for the program itself (what it does not know \
             as with auto), or auto for what was quickest on this machine; `likeness pack list` shows what that is";
        inference_precision: Option<Precision> = "auto", UnlessAuto("auto, f32 or bf16"),
            "numbers that openvino computes in: f32, bf16, or auto for bf16 where the processor has it, it is quicker \
             and gives the same faces; if this is set, the built-in runtime is used only where `inference_runtime` names \
             it";
        queue_wait_max as queue_wait_max_ms: Duration = "2000", Millis(100..=600_000),
            "milliseconds an image may be expected to wait for a worker; a caller that would wait longer is told to come \
             back, as is one that has waited twice as long; one image a worker and the next one of each tenant wait as \
             long as it takes";
    }
}

/// An address of a database that holds no password: settings are shown.
fn store_address(text: &str) -> Option<String> {
    let (_, rest) = text.split_once("://").filter(|(scheme, _)| matches!(*scheme, "postgres" | "postgresql"))?;
    let has_password = rest.split_once('@').is_some_and(|(user, _)| user.contains(':'))
        || rest.to_ascii_lowercase().contains("password=");
    (!has_password).then(|| text.to_owned())
}

/// Whether two sockets that listen at these addresses are in each other's way. Port 0 is one that is free.
fn are_one_place(a: SocketAddr, b: SocketAddr) -> bool {
    let (ip_a, ip_b) = (a.ip().to_canonical(), b.ip().to_canonical());
    // That of IPv6 is one of IPv4, too.
    let covers = |all: IpAddr, one: IpAddr| all.is_unspecified() && (all.is_ipv6() || one.is_ipv4());
    a.port() == b.port() && a.port() != 0 && (ip_a == ip_b || covers(ip_a, ip_b) || covers(ip_b, ip_a))
}

/// The weight of a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TenantWeight {
    /// The tenant's name.
    pub(crate) name: String,
    /// Its weight, 1 to 1000.
    pub(crate) weight: u32,
}

impl FromStr for TenantWeight {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, weight) = text.rsplit_once('=').ok_or(())?;
        let weight = weight.parse().ok().filter(|weight| (1..=1000).contains(weight)).ok_or(())?;
        if name.is_empty() { Err(()) } else { Ok(Self { name: name.to_owned(), weight }) }
    }
}

/// The settings, complete and checked. What each means is said where its room declares it.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Of no single room.
    pub(crate) general: General,
    /// Bounds on connections.
    pub(crate) listener: listener::Settings,
    /// The server's own TLS.
    pub(crate) tls: tls::Settings,
    /// Where large face sets are searched.
    pub(crate) milvus: milvus::Settings,
    /// Bounds on fetching.
    pub(crate) fetch: fetch::Settings,
    /// How clips are decoded.
    pub(crate) video: video::Settings,
    /// Archives of jobs.
    pub(crate) archives: archives::Settings,
    /// Limits and habits of the dialects.
    pub(crate) wire: likeness_wire::Settings,
    /// What is logged and how.
    pub(crate) log: telemetry::Settings,
    /// Whom requests are traced for.
    pub(crate) traces: traces::Settings,
}

/// How every row is read again beside other work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Scrub {
    /// From the end of one pass to the start of the next.
    pub(crate) interval: Duration,
    /// Most rows read in a second.
    pub(crate) rows_per_second: u64,
}

impl General {
    /// How every row is read again; `None` if it is not.
    pub(crate) fn scrub(&self) -> Option<Scrub> {
        let interval = Duration::from_secs(self.scrub_interval_days * 24 * 3600);
        (!interval.is_zero()).then_some(Scrub { interval, rows_per_second: self.scrub_rows_per_second })
    }
}

impl Config {
    /// Checks every setting; a refusal names the setting, the value, its origin and what is accepted.
    pub(crate) fn from_raw(raw: &RawConfig) -> Result<Config, Error> {
        let text = |name| raw.text(name);
        let read = || {
            Ok(Config {
                general: General::read(text)?,
                milvus: milvus::Settings::read(text)?,
                listener: listener::Settings::read(text)?,
                tls: tls::Settings::read(text)?,
                fetch: fetch::Settings::read(text)?,
                video: video::Settings::read(text)?,
                archives: archives::Settings::read(text)?,
                wire: likeness_wire::Settings::read(text)?,
                log: telemetry::Settings::read(text)?,
                traces: traces::Settings::read(text)?,
            })
        };
        let origin = |name| raw.get(name).map_or(&Origin::Default, |(_, origin)| origin);
        let config = read().map_err(|Refused { name, text, accepted }| {
            let text = without_password(&text);
            refused(format!("`{name}` is `{text}` ({}), expected {accepted}", origin(name)))
        })?;
        let General { listen, listen_operations, .. } = &config.general;
        match listen_operations {
            Some(operations) if are_one_place(*listen, *operations) => {
                let (theirs, own) = (origin("listen"), origin("listen_operations"));
                let message = format!(
                    "`listen_operations` is `{operations}` ({own}), which is a place of `listen`, `{listen}` ({theirs}), too"
                );
                Err(refused(message).with_hint("give one of them another port"))
            }
            _ => Ok(config),
        }
    }

    /// What runs the models.
    pub(crate) fn inference(&self) -> Wanted {
        Wanted { library: self.general.inference_runtime, precision: self.general.inference_precision }
    }

    /// The data folder of the library.
    pub(crate) fn data(&self) -> Result<&Path, Error> {
        self.general.data.as_deref().ok_or_else(|| {
            refused("no data folder is set, and the user has no home folder to put one in")
                .with_hint("name one with `--data DIR` or LIKENESS_DATA")
        })
    }

    /// Where model packs and runtimes are installed.
    pub(crate) fn home(&self) -> Result<&Path, Error> {
        self.general.home.as_deref().ok_or_else(|| {
            refused("no folder for model packs is set, and the user has no home folder to put one in")
                .with_hint("name one with LIKENESS_HOME")
        })
    }
}

/// Puts the layers together: defaults, the file (`--config`, else `LIKENESS_CONFIG`), the environment, the flags.
pub(crate) fn resolve(
    file: Option<&Path>,
    variables: impl Iterator<Item = (OsString, OsString)>,
    flags: RawConfig,
) -> Result<RawConfig, Error> {
    let variables: Vec<_> = variables.collect();
    let variable = |name: &str| {
        variables.iter().find(|(key, value)| key == name && !value.is_empty()).map(|(_, value)| PathBuf::from(value))
    };
    // The XDG rule: an absolute XDG_DATA_HOME, else ~/.local/share.
    let user_data = variable("XDG_DATA_HOME")
        .filter(|path| path.is_absolute())
        .or_else(|| variable("HOME").map(|home| home.join(".local").join("share")));
    let from_file = match file.map(Path::to_owned).or_else(|| variable(ENV_CONFIG)) {
        Some(path) => {
            let text = std::fs::read_to_string(&path)
                .map_err(|error| refused(format!("cannot read settings file {}: {error}", path.display())))?;
            RawConfig::from_toml(&text, &path)?
        }
        None => RawConfig::default(),
    };
    Ok(RawConfig::defaults(user_data.as_deref())
        .overruled_by(from_file)
        .overruled_by(RawConfig::from_env(&variables)?)
        .overruled_by(flags))
}

/// The one line of a file with a password, which the setting `name` names.
pub(crate) fn read_secret(name: &str, path: &Path) -> Result<String, Error> {
    const BYTES_MAX: u64 = 64 << 10;
    let mut text = String::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(BYTES_MAX + 1).read_to_string(&mut text));
    let cannot = |why: &dyn std::fmt::Display| refused(format!("`{name}` {} cannot be read: {why}", path.display()));
    match read {
        Err(error) => Err(cannot(&error)),
        Ok(_) if text.len() as u64 > BYTES_MAX => Err(cannot(&format!("it is longer than {BYTES_MAX} bytes"))),
        Ok(_) => Ok(text.trim_end_matches(['\n', '\r']).to_owned()),
    }
}

/// A refused value as an error may show it, which ends up in a log: what may be a password in an address is left out.
fn without_password(text: &str) -> Cow<'_, str> {
    let hidden = |from: usize, to: usize| Cow::Owned(format!("{}***{}", &text[..from], &text[to..]));
    if let Some(at) = text.to_ascii_lowercase().find("password=") {
        let from = at + "password=".len();
        let to = text[from..].find(['&', ' ']).map_or(text.len(), |n_bytes| from + n_bytes);
        return hidden(from, to);
    }
    let Some(from) = text.find("://").map(|at| at + 3) else { return Cow::Borrowed(text) };
    // Somebody who has not escaped it may have any character in a password.
    match (text[from..].find(':'), text.rfind('@')) {
        (Some(colon), Some(at)) if from + colon < at => hidden(from, at),
        _ => Cow::Borrowed(text),
    }
}
