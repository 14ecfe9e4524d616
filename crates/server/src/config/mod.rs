//! Configuration: default, then file, then environment, then flag; the later wins.
//!
//! [`RawConfig`] is what was written, all of it optional, each value with its origin. [`Config`] is complete, checked
//! and in typed units; the rest of the server sees only that.

mod raw;
mod settings;
pub(crate) mod show;
#[cfg(test)]
mod tests;

use std::ffi::OsString;
use std::net::SocketAddr;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use likeness_domain::Error;
use likeness_domain::limits;
use likeness_domain::types::{PackId, QualityGate};
use likeness_vision::runtime::choice::Wanted;
use likeness_wire::{aliyun, facepp, huawei, yuanli};
use tracing_subscriber::filter::Targets;

pub(crate) use raw::RawConfig;
pub(crate) use settings::Key;

use crate::cli::{failed, refused};
use crate::fetch::AllowedHost;
use raw::{Origin, Written};
use settings::ENV_CONFIG;

/// The settings, complete and checked. What each means is said in [`settings::SETTINGS`].
#[derive(Debug, Clone)]
pub(crate) struct Config {
    /// Where to answer.
    pub(crate) listen: SocketAddr,
    /// Data folder; see [`Config::data`].
    data: Option<PathBuf>,
    /// Where packs live; see [`Config::home`].
    home: Option<PathBuf>,
    /// Pack of new face sets.
    pub(crate) pack: PackId,
    /// Quality gate of new face sets.
    pub(crate) quality_gate: QualityGate,
    /// MiB for the images that are analysed at the same time.
    pub(crate) analysis_memory_mib: usize,
    /// Threads that analyse images.
    pub(crate) workers: usize,
    /// Images that may wait for one.
    pub(crate) queue_max: usize,
    /// What runs the models.
    pub(crate) inference: Wanted,
    /// How long one may be expected to wait.
    pub(crate) queue_wait_max: Duration,
    /// Bounds on connections.
    pub(crate) listener: ListenerConfig,
    /// Bounds on fetching.
    pub(crate) fetch: FetchConfig,
    /// How clips are decoded.
    pub(crate) video: VideoConfig,
    /// Limits and habits of the dialects.
    pub(crate) wire: likeness_wire::Settings,
    /// What is logged and how.
    pub(crate) log: LogConfig,
}

/// Bounds that keep clients from holding the server up.
#[derive(Debug, Clone)]
pub(crate) struct ListenerConfig {
    /// Connections open at once.
    pub(crate) connections_max: usize,
    /// For a head to arrive and for an idle connection.
    pub(crate) head_timeout: Duration,
    /// For a body to arrive.
    pub(crate) body_timeout: Duration,
    /// For an answer to be taken.
    pub(crate) write_timeout: Duration,
    /// Most bytes of a head.
    pub(crate) head_bytes_max: usize,
    /// For requests in flight on shutdown.
    pub(crate) grace: Duration,
}

/// Where images may be fetched from.
#[derive(Debug, Clone)]
pub(crate) struct FetchConfig {
    /// Hosts the operator allowed by name.
    pub(crate) allow: Vec<AllowedHost>,
    /// Fetches at once.
    pub(crate) concurrent_max: usize,
}

/// How clips are decoded.
#[derive(Debug, Clone)]
pub(crate) struct VideoConfig {
    /// The ffmpeg program.
    pub(crate) program: PathBuf,
    /// For one clip.
    pub(crate) deadline: Duration,
    /// Clips at once.
    pub(crate) concurrent_max: usize,
}

/// What is logged and how.
#[derive(Debug, Clone)]
pub(crate) struct LogConfig {
    /// What is worth a line; each command has its own default.
    pub(crate) level: Option<Targets>,
    /// How a line looks.
    pub(crate) format: LogFormat,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

impl FromStr for LogFormat {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "text" => Ok(LogFormat::Text),
            "json" => Ok(LogFormat::Json),
            _ => Err(()),
        }
    }
}

impl Config {
    /// Checks every setting.
    pub(crate) fn from_raw(raw: &RawConfig) -> Result<Config, Error> {
        let read = Reader { raw };
        Ok(Config {
            listen: read.parsed(Key::Listen, "an address and port such as 127.0.0.1:7080")?,
            data: read.text(Key::Data).map(PathBuf::from),
            home: read.text(Key::Home).map(PathBuf::from),
            pack: read.with(Key::Pack, "1 to 64 of a-z 0-9 - _ .", PackId::new)?,
            quality_gate: read
                .with(Key::QualityGate, "none, low, medium or high", |word| QualityGate::from_word(word).ok())?,
            analysis_memory_mib: read.number(Key::AnalysisMemoryMib, 64..=65_536)?,
            workers: read.number(Key::Workers, 1..=256)?,
            queue_max: read.number(Key::QueueMax, 1..=65_536)?,
            inference: Wanted {
                library: read.unless_auto(Key::InferenceRuntime, "auto, onnxruntime or openvino")?,
                precision: read.unless_auto(Key::InferencePrecision, "auto, f32 or bf16")?,
            },
            queue_wait_max: Duration::from_millis(read.number(Key::QueueWaitMaxMs, 100..=600_000)? as u64),
            listener: ListenerConfig {
                connections_max: read.number(Key::ConnectionsMax, 1..=65_536)?,
                head_timeout: read.seconds(Key::HeadTimeoutS, 1..=3600)?,
                body_timeout: read.seconds(Key::BodyTimeoutS, 1..=3600)?,
                write_timeout: read.seconds(Key::WriteTimeoutS, 1..=3600)?,
                head_bytes_max: read.number(Key::HeadBytesMax, 8192..=1_048_576)?,
                grace: read.seconds(Key::GraceS, 0..=3600)?,
            },
            fetch: FetchConfig {
                allow: read.list(Key::FetchAllow, "HOST or HOST:PORT")?,
                concurrent_max: read.number(Key::FetchConcurrentMax, 1..=1024)?,
            },
            video: VideoConfig {
                program: PathBuf::from(read.text(Key::VideoProgram).unwrap_or_default()),
                deadline: read.seconds(Key::VideoDeadlineS, 1..=600)?,
                concurrent_max: read.number(Key::VideoConcurrentMax, 1..=64)?,
            },
            wire: likeness_wire::Settings {
                huawei: huawei(&read)?,
                aliyun: aliyun(&read)?,
                yuanli: yuanli(&read)?,
                facepp: facepp(&read)?,
            },
            log: LogConfig {
                level: read
                    .text(Key::LogLevel)
                    .map(|_| read.parsed(Key::LogLevel, "a level, or a list such as `info,likeness_wire=debug`"))
                    .transpose()?,
                format: read.parsed(Key::LogFormat, "text or json")?,
            },
        })
    }

    /// The data folder of the library.
    pub(crate) fn data(&self) -> Result<&Path, Error> {
        self.data.as_deref().ok_or_else(|| {
            refused("no data folder is set, and the user has no home folder to put one in")
                .with_hint("name one with `--data DIR` or LIKENESS_DATA")
        })
    }

    /// Where model packs and runtimes are installed.
    pub(crate) fn home(&self) -> Result<&Path, Error> {
        self.home.as_deref().ok_or_else(|| {
            refused("no folder for model packs is set, and the user has no home folder to put one in")
                .with_hint("name one with LIKENESS_HOME")
        })
    }
}

fn huawei(read: &Reader<'_>) -> Result<huawei::Settings, Error> {
    // The upper bounds are the library's own; a dialect may be stricter, never laxer.
    let as_many = |key, max: u64| read.number(key, 1..=usize::try_from(max).unwrap_or(usize::MAX));
    Ok(huawei::Settings {
        project_name: read.parsed(Key::HuaweiProjectName, "a name")?,
        face_sets_max: as_many(Key::HuaweiFaceSetsMax, 1_000_000)? as u64,
        capacity_max: as_many(Key::HuaweiCapacityMax, 1_000_000_000)? as u64,
        capacity_step: as_many(Key::HuaweiCapacityStep, 1_000_000_000)? as u64,
        page_end_max: as_many(Key::HuaweiPageEndMax, 1_000_000_000)? as u64,
        top_n_max: read.number(Key::HuaweiTopNMax, 1..=limits::TOP_K_MAX)?,
        body_bytes_max: read.number(Key::HuaweiBodyBytesMax, 1024..=2 * limits::IMAGE_BYTES_MAX)?,
        image_bytes_max: read.number(Key::HuaweiImageBytesMax, 1024..=limits::IMAGE_BYTES_MAX)?,
        image_side_max: as_many(Key::HuaweiImageSideMax, limits::IMAGE_SIDE_MAX.into())? as u32,
        fetch_deadline_ms: as_many(Key::HuaweiFetchDeadlineMs, 600_000)? as u64,
        object_storage: read.text(Key::HuaweiObjectStorage).map(str::to_owned),
        field_text_strict: read.parsed(Key::HuaweiFieldTextStrict, "true or false")?,
        calls_per_second: match read.text(Key::HuaweiCallsPerSecond) {
            Some(_) => Some(as_many(Key::HuaweiCallsPerSecond, 1_000_000)? as u32),
            None => None,
        },
    })
}

fn yuanli(read: &Reader<'_>) -> Result<yuanli::Settings, Error> {
    const TRUTH: &str = "true or false";
    // A code as clients compare it: nothing that would need escaping, and nothing that looks like a detail.
    let is_code = |text: &&str| {
        (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_')
    };
    let code = |key| read.with(key, "A-Z and _", |text| Some(text).filter(is_code).map(str::to_owned));
    let unless_zero = |key, max: usize| Ok::<_, Error>(Some(read.number(key, 0..=max)?).filter(|number| *number > 0));
    let side_max = limits::IMAGE_SIDE_MAX as usize;
    Ok(yuanli::Settings {
        superset_responses: read.parsed(Key::YuanliSupersetResponses, TRUTH)?,
        bad_sign_error: read.parsed(Key::YuanliBadSignError, "authorization or authentication")?,
        sign_skew_s: read.number(Key::YuanliSignSkewS, 0..=86_400)? as u64,
        concurrency_status: read.with(Key::YuanliConcurrencyStatus, "403 or 429", |text| match text {
            "403" => Some(403),
            "429" => Some(429),
            _ => None,
        })?,
        unknown_group_error: read.parsed(Key::YuanliUnknownGroupError, "INVALID_GROUP_ID or INVALID_OUTER_ID")?,
        group_exist_error: code(Key::YuanliGroupExistError)?,
        group_quota_error: code(Key::YuanliGroupQuotaError)?,
        face_quota_error: code(Key::YuanliFaceQuotaError)?,
        group_time_offset: read.parsed(Key::YuanliGroupTimeOffset, "an offset such as +08:00")?,
        next_type: read.parsed(Key::YuanliNextType, "string or int")?,
        strict_start_max: read.parsed(Key::YuanliStrictStartMax, TRUTH)?,
        clamp_limits: read.parsed(Key::YuanliClampLimits, TRUTH)?,
        strict_coexistence: read.parsed(Key::YuanliStrictCoexistence, TRUTH)?,
        allow_remove_all: read.parsed(Key::YuanliAllowRemoveAll, TRUTH)?,
        empty_group_error: read.parsed(Key::YuanliEmptyGroupError, TRUTH)?,
        allow_dot_in_ids: read.parsed(Key::YuanliAllowDotInIds, TRUTH)?,
        min_side: read.number(Key::YuanliMinSide, 1..=side_max)? as u32,
        max_side: read.number(Key::YuanliMaxSide, 1..=side_max)? as u32,
        max_image_bytes: read.number(Key::YuanliMaxImageBytes, 1024..=limits::IMAGE_BYTES_MAX)?,
        max_body_bytes: read.number(Key::YuanliMaxBodyBytes, 1024..=2 * limits::IMAGE_BYTES_MAX)?,
        max_groups: unless_zero(Key::YuanliMaxGroups, 1_000_000)?.map(|number| number as u64),
        max_faces_total: unless_zero(Key::YuanliMaxFacesTotal, 1_000_000_000)?.map(|number| number as u64),
        max_qps: unless_zero(Key::YuanliMaxQps, 1_000_000)?.map(|number| number as u32),
        min_face_quality: read.number(Key::YuanliMinFaceQuality, 0..=100)? as u8,
        min_face_px: read.number(Key::YuanliMinFacePx, 0..=side_max)? as u32,
    })
}

fn facepp(read: &Reader<'_>) -> Result<facepp::Settings, Error> {
    let bounded = |key| Ok::<_, Error>(Some(read.number(key, 0..=1_000_000)?).filter(|number| *number > 0));
    let side_max = limits::IMAGE_SIDE_MAX as usize;
    let hours_max = (limits::TRANSIENT_FACE_LIFETIME_MAX.as_secs() / 3600) as usize;
    Ok(facepp::Settings {
        held_hours: read.number(Key::FaceppHeldHours, 1..=hours_max)? as u32,
        max_faces_per_set: read.number(Key::FaceppMaxFacesPerSet, 1..=1_000_000_000)? as u64,
        max_face_sets: bounded(Key::FaceppMaxFaceSets)?.map(|number| number as u64),
        min_side: read.number(Key::FaceppMinSide, 1..=side_max)? as u32,
        max_side: read.number(Key::FaceppMaxSide, 1..=side_max)? as u32,
        max_image_bytes: read.number(Key::FaceppMaxImageBytes, 1024..=limits::IMAGE_BYTES_MAX)?,
        max_body_bytes: read.number(Key::FaceppMaxBodyBytes, 1024..=4 * limits::IMAGE_BYTES_MAX)?,
        fetch_timeout_s: read.number(Key::FaceppFetchTimeoutS, 1..=600)? as u32,
        max_qps: bounded(Key::FaceppMaxQps)?.map(|number| number as u32),
    })
}

fn aliyun(read: &Reader<'_>) -> Result<aliyun::Settings, Error> {
    let number = |key, least: usize, most: usize| read.number(key, least..=most);
    let side_max = usize::try_from(limits::IMAGE_SIDE_MAX).unwrap_or(usize::MAX);
    Ok(aliyun::Settings {
        groups_max: number(Key::AliyunGroupsMax, 1, 1_000_000)? as u64,
        faces_max: number(Key::AliyunFacesMax, 1, limits::PAGE_LIMIT_MAX as usize)? as u64,
        body_bytes_max: number(Key::AliyunBodyBytesMax, 1024, limits::IMAGE_BYTES_MAX)?,
        image_bytes_max: number(Key::AliyunImageBytesMax, 1024, limits::IMAGE_BYTES_MAX)?,
        image_side_max: number(Key::AliyunImageSideMax, 1, side_max)? as u32,
        fetch_deadline_ms: number(Key::AliyunFetchDeadlineMs, 1, 600_000)? as u64,
        scan_deadline_ms: number(Key::AliyunScanDeadlineMs, 1, 600_000)? as u64,
        compare_review_rate: number(Key::AliyunCompareReviewRate, 0, 100)? as u32,
        search_review_rate: number(Key::AliyunSearchReviewRate, 0, 100)? as u32,
        search_rate_min: number(Key::AliyunSearchRateMin, 0, 100)? as u32,
        unknown_person_code: number(Key::AliyunUnknownPersonCode, 400, 599)? as u16,
        limited: read.list::<String>(Key::AliyunLimitedTenants, "names of tenants, or *")?.into_iter().collect(),
        tasks_waiting_max: number(Key::AliyunTasksWaitingMax, 1, 1_000_000)? as u64,
        upload_endpoint: read
            .text(Key::AliyunUploadEndpoint)
            .map(|_| read.parsed(Key::AliyunUploadEndpoint, "an address such as http://192.0.2.7:7080"))
            .transpose()?,
        uploads_bytes_max: number(Key::AliyunUploadsBytesMax, 1, usize::MAX)? as u64,
    })
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
                .map_err(|error| failed(format!("cannot read settings file {}: {error}", path.display())))?;
            RawConfig::from_toml(&text, &path)?
        }
        None => RawConfig::default(),
    };
    Ok(RawConfig::defaults(user_data.as_deref())
        .overruled_by(from_file)
        .overruled_by(RawConfig::from_env(&variables)?)
        .overruled_by(flags))
}

/// Turns written values into typed ones; a refusal names the setting, the value, its origin and what is accepted.
struct Reader<'a> {
    raw: &'a RawConfig,
}

impl Reader<'_> {
    fn text(&self, key: Key) -> Option<&str> {
        match self.raw.get(key) {
            Some((Written::Text(text), _)) => Some(text),
            _ => None,
        }
    }

    fn list<T: FromStr>(&self, key: Key, expected: &str) -> Result<Vec<T>, Error> {
        let items = match self.raw.get(key) {
            Some((Written::List(items), _)) => items.as_slice(),
            Some((Written::Text(text), _)) => std::slice::from_ref(text),
            None => &[],
        };
        items.iter().map(|item| item.parse().map_err(|_| self.refusal(key, item, expected))).collect()
    }

    fn parsed<T: FromStr>(&self, key: Key, expected: &str) -> Result<T, Error> {
        self.with(key, expected, |text| text.parse().ok().filter(|_| !text.is_empty()))
    }

    fn unless_auto<T: FromStr>(&self, key: Key, expected: &str) -> Result<Option<T>, Error> {
        if self.text(key) == Some("auto") { Ok(None) } else { self.parsed(key, expected).map(Some) }
    }

    fn with<T>(&self, key: Key, expected: &str, make: impl FnOnce(&str) -> Option<T>) -> Result<T, Error> {
        let text = self.text(key).unwrap_or_default();
        make(text).ok_or_else(|| self.refusal(key, text, expected))
    }

    fn number(&self, key: Key, range: RangeInclusive<usize>) -> Result<usize, Error> {
        let text = self.text(key).unwrap_or_default();
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(number),
            _ => Err(self.refusal(key, text, &format!("{} to {}", range.start(), range.end()))),
        }
    }

    fn seconds(&self, key: Key, range: RangeInclusive<usize>) -> Result<Duration, Error> {
        self.number(key, range).map(|seconds| Duration::from_secs(seconds as u64))
    }

    fn refusal(&self, key: Key, text: &str, expected: &str) -> Error {
        let origin = self.raw.get(key).map_or(&Origin::Default, |(_, origin)| origin);
        refused(format!("`{}` is `{text}` ({origin}), expected {expected}", key.setting().name))
    }
}
