//! The reference of settings: every one with its name, variable, default and meaning. `docs/configuration.md` is made
//! from it.

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
    /// Its value when nobody sets it; empty where it depends on the machine (see [`super::raw`]) or is an
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
