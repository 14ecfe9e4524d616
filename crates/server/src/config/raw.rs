//! Settings as written: the list of all of them, and the layers they come from.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use crate::cli::Failure;

/// Every setting. Its name, variable, default and meaning are in [`SETTINGS`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Key {
    Listen,
    Data,
    Home,
    Pack,
    Workers,
    QueueMax,
    ConnectionsMax,
    HeadTimeoutS,
    BodyTimeoutS,
    WriteTimeoutS,
    HeadBytesMax,
    GraceS,
    FetchAllow,
    FetchConcurrentMax,
    HuaweiProjectName,
    HuaweiFaceSetsMax,
    HuaweiCapacityMax,
    HuaweiCapacityStep,
    HuaweiPageEndMax,
    HuaweiTopNMax,
    HuaweiBodyBytesMax,
    HuaweiImageBytesMax,
    HuaweiImageSideMax,
    HuaweiFetchDeadlineMs,
    HuaweiObjectStorage,
    HuaweiFieldTextStrict,
    HuaweiCallsPerSecond,
    LogLevel,
    LogFormat,
}

/// How a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shape {
    /// A text, quoted in the file.
    Text,
    /// A whole number, bare in the file.
    Number,
    /// `true` or `false`, bare in the file.
    Truth,
    /// A list of texts; separated by commas in the environment.
    List,
}

/// One row of the reference of settings.
#[derive(Debug)]
pub(crate) struct Setting {
    /// Which one.
    pub(crate) key: Key,
    /// Its name in the file; a dot separates table and key.
    pub(crate) name: &'static str,
    /// Its environment variable.
    pub(crate) env: &'static str,
    /// How it is written.
    pub(crate) shape: Shape,
    /// Its value when nobody sets it; empty where it depends on the machine (see [`machine_defaults`]) or is an
    /// empty list.
    pub(crate) default: &'static str,
    /// What it means, with the reason for the default.
    pub(crate) about: &'static str,
}

const fn setting(
    key: Key,
    name: &'static str,
    env: &'static str,
    shape: Shape,
    default: &'static str,
    about: &'static str,
) -> Setting {
    Setting { key, name, env, shape, default, about }
}

/// The reference: all settings, in the order they are shown. A table's settings stand together.
pub(crate) const SETTINGS: &[Setting] = &[
    setting(
        Key::Listen,
        "listen",
        "LIKENESS_LISTEN",
        Shape::Text,
        "127.0.0.1:7080",
        "address and port to answer on; loopback, because a face library is opened to a network on purpose or not at all",
    ),
    setting(
        Key::Data,
        "data",
        "LIKENESS_DATA",
        Shape::Text,
        "",
        "data folder of the library: faces, keys, everything that must be backed up; \
         by default `likeness/library` in the user's data folder",
    ),
    setting(
        Key::Home,
        "home",
        "LIKENESS_HOME",
        Shape::Text,
        "",
        "where model packs and runtimes are installed, all of which can be fetched again; \
         by default `likeness` in the user's data folder",
    ),
    setting(
        Key::Pack,
        "pack",
        "LIKENESS_PACK",
        Shape::Text,
        "default-1",
        "model pack of new face sets; the one that installs itself",
    ),
    setting(
        Key::Workers,
        "workers",
        "LIKENESS_WORKERS",
        Shape::Number,
        "",
        "threads that analyse images, each with its own model sessions; by default one per processor",
    ),
    setting(
        Key::QueueMax,
        "queue_max",
        "LIKENESS_QUEUE_MAX",
        Shape::Number,
        "64",
        "images that may wait for a worker before callers are told that the server is busy; a few seconds of work",
    ),
    setting(
        Key::ConnectionsMax,
        "listener.connections_max",
        "LIKENESS_LISTENER_CONNECTIONS_MAX",
        Shape::Number,
        "512",
        "connections open at once; further ones wait to be accepted. With a body of 12 MB each this bounds memory",
    ),
    setting(
        Key::HeadTimeoutS,
        "listener.head_timeout_s",
        "LIKENESS_LISTENER_HEAD_TIMEOUT_S",
        Shape::Number,
        "20",
        "seconds for a request's head to arrive, and for an idle connection to be used again",
    ),
    setting(
        Key::BodyTimeoutS,
        "listener.body_timeout_s",
        "LIKENESS_LISTENER_BODY_TIMEOUT_S",
        Shape::Number,
        "60",
        "seconds for a request's body to arrive: 12 MB at 1.6 Mbit/s",
    ),
    setting(
        Key::WriteTimeoutS,
        "listener.write_timeout_s",
        "LIKENESS_LISTENER_WRITE_TIMEOUT_S",
        Shape::Number,
        "30",
        "seconds a client may leave an answer unread",
    ),
    setting(
        Key::HeadBytesMax,
        "listener.head_bytes_max",
        "LIKENESS_LISTENER_HEAD_BYTES_MAX",
        Shape::Number,
        "65536",
        "most bytes of a request's head; tokens and signed headers take about 4,000",
    ),
    setting(
        Key::GraceS,
        "listener.grace_s",
        "LIKENESS_LISTENER_GRACE_S",
        Shape::Number,
        "25",
        "seconds that requests in flight get on shutdown; below the 30 that container managers wait before they kill",
    ),
    setting(
        Key::FetchAllow,
        "fetch.allow",
        "LIKENESS_FETCH_ALLOW",
        Shape::List,
        "",
        "hosts (`HOST` or `HOST:PORT`) images may be fetched from although their address is private or the port unusual",
    ),
    setting(
        Key::FetchConcurrentMax,
        "fetch.concurrent_max",
        "LIKENESS_FETCH_CONCURRENT_MAX",
        Shape::Number,
        "32",
        "images fetched at once; each may hold as many bytes as the dialect allows an image",
    ),
    setting(
        Key::HuaweiProjectName,
        "huawei.project_name",
        "LIKENESS_HUAWEI_PROJECT_NAME",
        Shape::Text,
        "cn-north-4",
        "name of a tenant's one project besides the vendor's region names, and the name it is listed by",
    ),
    setting(
        Key::HuaweiFaceSetsMax,
        "huawei.face_sets_max",
        "LIKENESS_HUAWEI_FACE_SETS_MAX",
        Shape::Number,
        "10",
        "most face sets of a tenant; the vendor's quota",
    ),
    setting(
        Key::HuaweiCapacityMax,
        "huawei.capacity_max",
        "LIKENESS_HUAWEI_CAPACITY_MAX",
        Shape::Number,
        "100000",
        "largest and default capacity of a face set, in faces; the vendor's quota",
    ),
    setting(
        Key::HuaweiCapacityStep,
        "huawei.capacity_step",
        "LIKENESS_HUAWEI_CAPACITY_STEP",
        Shape::Number,
        "10000",
        "capacities are multiples of this, as the vendor's are",
    ),
    setting(
        Key::HuaweiPageEndMax,
        "huawei.page_end_max",
        "LIKENESS_HUAWEI_PAGE_END_MAX",
        Shape::Number,
        "10000",
        "largest `offset + limit` of a listing; the vendor's bound",
    ),
    setting(
        Key::HuaweiTopNMax,
        "huawei.top_n_max",
        "LIKENESS_HUAWEI_TOP_N_MAX",
        Shape::Number,
        "1000",
        "largest `top_n` of a search; the vendor's bound, and the most the library offers",
    ),
    setting(
        Key::HuaweiBodyBytesMax,
        "huawei.body_bytes_max",
        "LIKENESS_HUAWEI_BODY_BYTES_MAX",
        Shape::Number,
        "12582912",
        "bytes of a request's body: 12 MB, as the vendor's gateway takes",
    ),
    setting(
        Key::HuaweiImageBytesMax,
        "huawei.image_bytes_max",
        "LIKENESS_HUAWEI_IMAGE_BYTES_MAX",
        Shape::Number,
        "8388608",
        "bytes of an image, as base64 text or as a file: 8 MB, the vendor's bound",
    ),
    setting(
        Key::HuaweiImageSideMax,
        "huawei.image_side_max",
        "LIKENESS_HUAWEI_IMAGE_SIDE_MAX",
        Shape::Number,
        "4096",
        "width and height of an image in pixels; the vendor's bound",
    ),
    setting(
        Key::HuaweiFetchDeadlineMs,
        "huawei.fetch_deadline_ms",
        "LIKENESS_HUAWEI_FETCH_DEADLINE_MS",
        Shape::Number,
        "10000",
        "milliseconds that fetching one image may take, all redirects together",
    ),
    setting(
        Key::HuaweiObjectStorage,
        "huawei.object_storage",
        "LIKENESS_HUAWEI_OBJECT_STORAGE",
        Shape::Text,
        "",
        "address in whose place `/bucket/key` image paths are fetched; by default none, and such paths cannot be read",
    ),
    setting(
        Key::HuaweiFieldTextStrict,
        "huawei.field_text_strict",
        "LIKENESS_HUAWEI_FIELD_TEXT_STRICT",
        Shape::Truth,
        "false",
        "whether texts of custom fields must keep to the documented letters, digits, `_` and `-`",
    ),
    setting(
        Key::HuaweiCallsPerSecond,
        "huawei.calls_per_second",
        "LIKENESS_HUAWEI_CALLS_PER_SECOND",
        Shape::Number,
        "",
        "calls a second of one tenant to one operation before it is told to slow down; by default no limit",
    ),
    setting(
        Key::LogLevel,
        "log.level",
        "LIKENESS_LOG_LEVEL",
        Shape::Text,
        "",
        "least level of a log line: error, warn, info, debug, trace, or a list such as `info,likeness_wire=debug`; \
         by default info in `serve` and warn elsewhere",
    ),
    setting(
        Key::LogFormat,
        "log.format",
        "LIKENESS_LOG_FORMAT",
        Shape::Text,
        "text",
        "text or json, one line an event",
    ),
];

/// Names the settings file; the one variable that is not a setting.
pub(crate) const ENV_CONFIG: &str = "LIKENESS_CONFIG";

impl Key {
    /// Its row of the reference.
    pub(crate) fn setting(self) -> &'static Setting {
        SETTINGS.iter().find(|setting| setting.key == self).expect("every key has a row, as a test checks")
    }
}

/// A value as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Written {
    /// One text or number.
    Text(String),
    /// A list.
    List(Vec<String>),
}

/// Who wrote a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Nobody.
    Default,
    /// This settings file.
    File(PathBuf),
    /// This environment variable.
    Env(&'static str),
    /// This flag of the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Origin::Default => f.write_str("default"),
            Origin::File(path) => write!(f, "file {}", path.display()),
            Origin::Env(name) => write!(f, "environment {name}"),
            Origin::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// Settings as written, each with its origin; any of them may be missing.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct RawConfig {
    values: BTreeMap<Key, (Written, Origin)>,
}

impl RawConfig {
    /// What was written for `key`, and by whom.
    pub(crate) fn get(&self, key: Key) -> Option<&(Written, Origin)> {
        self.values.get(&key)
    }

    /// Takes over a flag, if it was given.
    pub(crate) fn set_flag(&mut self, key: Key, flag: &'static str, value: Option<&str>) {
        if let Some(value) = value {
            self.values.insert(key, (Written::Text(value.to_owned()), Origin::Flag(flag)));
        }
    }

    /// Takes over a repeatable flag, if it was given at all.
    pub(crate) fn set_flag_list(&mut self, key: Key, flag: &'static str, values: &[String]) {
        if !values.is_empty() {
            self.values.insert(key, (Written::List(values.to_vec()), Origin::Flag(flag)));
        }
    }

    /// These settings, overruled by those of `stronger`.
    #[must_use]
    pub(crate) fn overruled_by(mut self, stronger: RawConfig) -> RawConfig {
        self.values.extend(stronger.values);
        self
    }

    /// The defaults; `user_data` is the user's data folder, if there is one.
    pub(crate) fn defaults(user_data: Option<&Path>) -> RawConfig {
        let mut raw = RawConfig::default();
        for setting in SETTINGS {
            let written = match (setting.shape, setting.default) {
                (Shape::List, "") => Written::List(Vec::new()),
                (_, "") => match machine_default(setting.key, user_data) {
                    Some(text) => Written::Text(text),
                    None => continue,
                },
                (_, text) => Written::Text(text.to_owned()),
            };
            raw.values.insert(setting.key, (written, Origin::Default));
        }
        raw
    }

    /// Reads the text of a settings file; `path` is only named.
    pub(crate) fn from_toml(text: &str, path: &Path) -> Result<RawConfig, Failure> {
        let table: toml::Table = text.parse().map_err(|error: toml::de::Error| {
            Failure::new(format!("cannot read settings file {}: {}", path.display(), error.to_string().trim_end()))
        })?;
        let mut raw = RawConfig::default();
        for (outer, value) in table {
            match value {
                toml::Value::Table(inner) => {
                    for (key, value) in inner {
                        raw.set_from_file(&format!("{outer}.{key}"), value, path)?;
                    }
                }
                value => raw.set_from_file(&outer, value, path)?,
            }
        }
        Ok(raw)
    }

    fn set_from_file(&mut self, name: &str, value: toml::Value, path: &Path) -> Result<(), Failure> {
        let Some(setting) = SETTINGS.iter().find(|setting| setting.name == name) else {
            let failure = Failure::new(format!("settings file {} has an unknown key `{name}`", path.display()));
            let nearest = nearest(name, SETTINGS.iter().map(|setting| setting.name));
            return Err(failure.with_hint(match nearest {
                Some(nearest) => format!("did you mean `{nearest}`?"),
                None => "run `likeness config show` to see all keys".to_owned(),
            }));
        };
        let wrong =
            |expected: &str| Failure::new(format!("`{name}` in settings file {} is not {expected}", path.display()));
        let written = match (setting.shape, value) {
            (Shape::Text, toml::Value::String(text)) => Written::Text(text),
            (Shape::Text, _) => return Err(wrong("a text")),
            (Shape::Number, toml::Value::Integer(number)) => Written::Text(number.to_string()),
            (Shape::Number, _) => return Err(wrong("a whole number")),
            (Shape::Truth, toml::Value::Boolean(truth)) => Written::Text(truth.to_string()),
            (Shape::Truth, _) => return Err(wrong("true or false")),
            (Shape::List, toml::Value::Array(items)) => {
                let text = |item| match item {
                    toml::Value::String(text) => Ok(text),
                    _ => Err(wrong("a list of texts")),
                };
                Written::List(items.into_iter().map(text).collect::<Result<_, _>>()?)
            }
            (Shape::List, _) => return Err(wrong("a list of texts")),
        };
        self.values.insert(setting.key, (written, Origin::File(path.to_owned())));
        Ok(())
    }

    /// Picks the settings out of the environment. An empty variable counts as unset.
    ///
    /// A variable that looks like a mistyped setting is refused. Other unknown `LIKENESS_..` variables are passed over:
    /// container managers inject some for a service of that name (`LIKENESS_PORT`, `LIKENESS_SERVICE_HOST`).
    pub(crate) fn from_env(variables: &[(OsString, OsString)]) -> Result<RawConfig, Failure> {
        let mut raw = RawConfig::default();
        for (name, value) in variables {
            let Some(name) = name.to_str().filter(|name| name.starts_with("LIKENESS_")) else { continue };
            if name == ENV_CONFIG || value.is_empty() {
                continue;
            }
            let Some(setting) = SETTINGS.iter().find(|setting| setting.env == name) else {
                let known = SETTINGS.iter().map(|setting| setting.env).chain([ENV_CONFIG]);
                match nearest(name, known) {
                    Some(nearest) if distance(name, nearest) <= 2 => {
                        return Err(Failure::new(format!("unknown environment variable {name}"))
                            .with_hint(format!("did you mean {nearest}?")));
                    }
                    _ => continue,
                }
            };
            let Some(text) = value.to_str() else {
                return Err(Failure::new(format!("environment variable {name} is not valid UTF-8")));
            };
            let written = match setting.shape {
                Shape::List => Written::List(
                    text.split(',').map(str::trim).filter(|item| !item.is_empty()).map(str::to_owned).collect(),
                ),
                Shape::Text | Shape::Number | Shape::Truth => Written::Text(text.to_owned()),
            };
            raw.values.insert(setting.key, (written, Origin::Env(setting.env)));
        }
        Ok(raw)
    }
}

/// Defaults that depend on the machine.
fn machine_default(key: Key, user_data: Option<&Path>) -> Option<String> {
    let folder = |path: PathBuf| path.to_str().map(str::to_owned);
    match key {
        Key::Data => folder(user_data?.join("likeness").join("library")),
        Key::Home => folder(user_data?.join("likeness")),
        Key::Workers => Some(std::thread::available_parallelism().map_or(1, usize::from).to_string()),
        _ => None,
    }
}

/// The known word nearest to `word`, if one is near enough to be meant.
fn nearest(word: &str, known: impl Iterator<Item = &'static str>) -> Option<&'static str> {
    known
        .map(|candidate| (distance(word, candidate), candidate))
        .min()
        .filter(|(distance, candidate)| distance * 3 <= candidate.len().max(word.len()))
        .map(|(_, candidate)| candidate)
}

/// Levenshtein distance in bytes.
fn distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (a_idx, a_byte) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = a_idx + 1;
        for (b_idx, b_byte) in b.bytes().enumerate() {
            let substituted = diagonal + usize::from(a_byte != b_byte);
            diagonal = row[b_idx + 1];
            row[b_idx + 1] = substituted.min(diagonal + 1).min(row[b_idx] + 1);
        }
    }
    row[b.len()]
}
