//! What an operator may set for this dialect.

use std::fmt;
use std::str::FromStr;

/// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Whether answers whose shape the vendor does not document have every plausible member. Default true: clients
    /// ignore members they do not know, and break without one they do.
    pub superset_responses: bool,
    /// What a wrong signature is called. Default `authorization`.
    pub bad_sign_error: BadSign,
    /// Seconds that a sign is good for after its end. Default 0.
    pub sign_skew_s: u64,
    /// HTTP status of `CONCURRENCY_LIMIT_EXCEEDED`. Default 403; one page of the vendor says 429.
    pub concurrency_status: u16,
    /// What an unknown library is called. Default `INVALID_GROUP_ID`.
    pub unknown_group_error: UnknownGroup,
    /// What a taken `group_id` is called. Default `GROUP_EXIST`.
    pub group_exist_error: String,
    /// What a library too many is called. Default `GROUP_QUOTA_EXCEEDED`.
    pub group_quota_error: String,
    /// What a face too many is called. Default `QUOTA_EXCEEDED`.
    pub face_quota_error: String,
    /// In which offset from UTC libraries tell when they were made. Default `+08:00`.
    pub group_time_offset: TimeOffset,
    /// How the next position of a listing is written. Default `string`.
    pub next_type: NextType,
    /// Whether a listing may start only at 1 to 1000, as documented; faces behind the 2000th could never be listed
    /// then. Default false.
    pub strict_start_max: bool,
    /// Whether `limit` and `start` out of range are moved into it instead of refused. Default false.
    pub clamp_limits: bool,
    /// Whether `image` and `file` together are refused; otherwise `file` wins. Default false.
    pub strict_coexistence: bool,
    /// Whether the word `RemoveAllFaceTokens` deletes every face of a library. Default false.
    pub allow_remove_all: bool,
    /// Whether a search in an empty library is the error `EMPTY_FACESET`. Default false.
    pub empty_group_error: bool,
    /// Whether `group_id` and `user_id` may have a dot. Default false.
    pub allow_dot_in_ids: bool,
    /// Least width and height of an image. Default 48.
    pub min_side: u32,
    /// Largest width and height of an image. Default 4096.
    pub max_side: u32,
    /// Bytes of an image. Default 10 MiB.
    pub max_image_bytes: usize,
    /// Bytes of a request's body. Default 20 MiB.
    pub max_body_bytes: usize,
    /// Most face sets of a tenant; `None` for no bound. Default 10.
    pub max_groups: Option<u64>,
    /// Most faces of a tenant, all face sets together; `None` for no bound. Default 5,000,000.
    pub max_faces_total: Option<u64>,
    /// Calls per second of one key, with bursts of as many. Default none: no limit.
    pub max_qps: Option<u32>,
    /// Least total quality of a face to be added, in percent. Default 0.
    pub min_face_quality: u8,
    /// Least width and height of a face to be added, in pixels. Default 40.
    pub min_face_px: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            superset_responses: true,
            bad_sign_error: BadSign::Authorization,
            sign_skew_s: 0,
            concurrency_status: 403,
            unknown_group_error: UnknownGroup::GroupId,
            group_exist_error: "GROUP_EXIST".to_owned(),
            group_quota_error: "GROUP_QUOTA_EXCEEDED".to_owned(),
            face_quota_error: "QUOTA_EXCEEDED".to_owned(),
            group_time_offset: TimeOffset(8 * 60),
            next_type: NextType::String,
            strict_start_max: false,
            clamp_limits: false,
            strict_coexistence: false,
            allow_remove_all: false,
            empty_group_error: false,
            allow_dot_in_ids: false,
            min_side: 48,
            max_side: 4096,
            max_image_bytes: 10 * 1024 * 1024,
            max_body_bytes: 20 * 1024 * 1024,
            max_groups: Some(10),
            max_faces_total: Some(5_000_000),
            max_qps: None,
            min_face_quality: 0,
            min_face_px: 40,
        }
    }
}

/// What a wrong signature is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BadSign {
    /// `AUTHORIZATION_ERROR: INVALID_SIGN`.
    Authorization,
    /// `AUTHENTICATION_ERROR`.
    Authentication,
}

/// What an unknown library is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UnknownGroup {
    /// `INVALID_GROUP_ID`, as in the vendor's samples.
    GroupId,
    /// `INVALID_OUTER_ID`, as in one of its tables.
    OuterId,
}

/// How the next position of a listing is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NextType {
    /// As JSON text.
    String,
    /// As a JSON number.
    Int,
}

/// An offset from UTC in minutes, within a day, written `+08:00`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TimeOffset(pub(super) i16);

impl FromStr for TimeOffset {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (sign, rest) = match text.split_at_checked(1).ok_or(())? {
            ("+", rest) => (1, rest),
            ("-", rest) => (-1, rest),
            _ => return Err(()),
        };
        let (hours, minutes) = rest.split_once(':').ok_or(())?;
        let two_digits = |text: &str, end: i16| {
            let digits = text.len() == 2 && text.bytes().all(|byte| byte.is_ascii_digit());
            text.parse().ok().filter(|number: &i16| digits && *number < end).ok_or(())
        };
        Ok(Self(sign * (two_digits(hours, 24)? * 60 + two_digits(minutes, 60)?)))
    }
}

impl fmt::Display for TimeOffset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { '-' } else { '+' };
        let minutes = self.0.unsigned_abs();
        write!(f, "{sign}{:02}:{:02}", minutes / 60, minutes % 60)
    }
}

impl FromStr for BadSign {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "authorization" => Ok(Self::Authorization),
            "authentication" => Ok(Self::Authentication),
            _ => Err(()),
        }
    }
}

impl UnknownGroup {
    /// The error as it is sent.
    pub(super) fn word(self) -> &'static str {
        match self {
            Self::GroupId => "INVALID_GROUP_ID",
            Self::OuterId => "INVALID_OUTER_ID",
        }
    }
}

impl FromStr for UnknownGroup {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        [Self::GroupId, Self::OuterId].into_iter().find(|error| error.word() == text).ok_or(())
    }
}

impl FromStr for NextType {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "string" => Ok(Self::String),
            "int" => Ok(Self::Int),
            _ => Err(()),
        }
    }
}
