//! What an operator may set for this dialect.

use likeness_domain::access::Limits;
use likeness_domain::limits;
use likeness_domain::settings::{OneOf, Parsed, Truth, UnlessZero, With, Word};
use std::fmt;
use std::str::FromStr;

/// A code as clients compare it: nothing that would need escaping, and nothing that looks like a detail.
const CODE: With<String> = With("A-Z and _", |text| {
    let is_code = (1..=64).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_');
    is_code.then(|| text.to_owned())
});

likeness_domain::settings! {
    /// Limits and habits of the service. The defaults are the vendor's documented values where there are some.
    pub struct Settings in "yuanli." {
        superset_responses: bool = "true", Truth,
            "whether answers whose shape the vendor does not document have every plausible member; clients ignore \
             members they do not know";
        bad_sign_error: BadSign = "authorization",
            Word(&[("authorization", BadSign::Authorization), ("authentication", BadSign::Authentication)]),
            "what a wrong signature is called: authorization (`AUTHORIZATION_ERROR: INVALID_SIGN`) or authentication \
             (`AUTHENTICATION_ERROR`)";
        sign_skew_s: u64 = "0", 0..=86_400,
            "seconds that a sign is good for after its end";
        sign_life_max_s: Option<u64> = "86400", UnlessZero(315_360_000),
            "most seconds from now to the end of a sign; one that ends later is refused, since whoever reads a sign can use \
             it: 24 hours; 0 for no bound, as the vendor has none";
        concurrency_status: u16 = "403", OneOf(403, 429),
            "HTTP status of `CONCURRENCY_LIMIT_EXCEEDED`: 403, or 429 as one page of the vendor says";
        unknown_group_error: &'static str = "INVALID_GROUP_ID",
            Word(&[("INVALID_GROUP_ID", "INVALID_GROUP_ID"), ("INVALID_OUTER_ID", "INVALID_OUTER_ID")]),
            "what an unknown library is called: INVALID_GROUP_ID or INVALID_OUTER_ID";
        group_exist_error: String = "GROUP_EXIST", CODE,
            "what a taken group_id is called; the vendor's own word is not known";
        group_quota_error: String = "GROUP_QUOTA_EXCEEDED", CODE,
            "what a library too many is called; the vendor's own word is not known";
        face_quota_error: String = "QUOTA_EXCEEDED", CODE,
            "what a face too many is called; the vendor's own word is not known";
        group_time_offset: TimeOffset = "+08:00", Parsed("an offset such as +08:00"),
            "offset from UTC in which libraries tell when they were made, as in the vendor's samples";
        next_type: NextType = "string", Word(&[("string", NextType::String), ("int", NextType::Int)]),
            "how the next position of a listing is written: string or int";
        strict_start_max: bool = "false", Truth,
            "whether a listing may start only at 1 to 1000, as documented; later faces could then never be listed";
        clamp_limits: bool = "false", Truth,
            "whether `start` and `limit` out of range are moved into it instead of refused";
        strict_coexistence: bool = "false", Truth,
            "whether `image` and `file` together are refused; otherwise `file` wins";
        allow_remove_all: bool = "false", Truth,
            "whether the word RemoveAllFaceTokens deletes every face of a library";
        empty_group_error: bool = "false", Truth,
            "whether a search in an empty library is the error EMPTY_FACESET";
        allow_dot_in_ids: bool = "false", Truth,
            "whether group_id and user_id may have a dot";
        min_side: u32 = "48", 1..=limits::IMAGE_SIDE_MAX.into(),
            "least width and height of an image in pixels; the vendor's bound";
        max_side: u32 = "4096", 1..=limits::IMAGE_SIDE_MAX.into(),
            "largest width and height of an image in pixels; the vendor's bound";
        max_image_bytes: usize = "10485760", 1024..=limits::IMAGE_BYTES_MAX as u64,
            "bytes of an image: 10 MiB; the family of these services takes 2 MB";
        max_body_bytes: usize = "20971520", 1024..=2 * limits::IMAGE_BYTES_MAX as u64,
            "bytes of a request's body: 20 MiB, as the family of these services takes";
        max_groups: Option<u64> = "10", UnlessZero(1_000_000),
            "most face sets of a tenant; the vendor's quota; 0 for no bound";
        max_faces_total: Option<u64> = "5000000", UnlessZero(1_000_000_000),
            "most faces of a tenant, all face sets together; the vendor's quota; 0 for no bound";
        max_qps: Option<u32> = "0", UnlessZero(1_000_000),
            "calls a second of one key before it is told to slow down; 0 for no bound";
        min_face_quality: u8 = "0", 0..=100,
            "least total quality of a face to be added, in percent, besides the face set's quality gate; 0 for no bound";
        min_face_px: u32 = "40", 0..=limits::IMAGE_SIDE_MAX.into(),
            "least width and height of a face to be added, in pixels: below some 40 there is little left to recognise";
    }
}

impl Settings {
    /// The vendor's numbers, as the gate and the library want them.
    pub(super) fn limits(&self) -> Limits {
        Limits { face_sets_max: self.max_groups, faces_max: self.max_faces_total, ..Limits::NONE }
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
