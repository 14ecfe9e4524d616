//! Requests and answers of the services of [`crate::megvii`], and what all of them answer alike.

pub(crate) mod cases;
pub(crate) mod server;

use std::fmt::Write as _;

use axum::body::Body;
use http::{HeaderMap, Request};
use likeness_domain::Kind;
use serde_json::Value;

use super::errors::Failure;

/// The boundary of every form.
const BOUNDARY: &str = "bnd";

/// A form as a request.
pub(crate) fn multipart(path: &str, body: impl Into<Body>) -> Request<Body> {
    let request = Request::post(path).header("content-type", format!("multipart/form-data; boundary={BOUNDARY}"));
    request.body(body.into()).unwrap()
}

/// A form, some of whose fields are sent as files.
pub(crate) fn form(fields: &[(&str, &str)], is_file: impl Fn(&str) -> bool) -> String {
    let part = |(name, text): &(&str, &str)| {
        let file = if is_file(name) { "; filename=\"a.jpg\"" } else { "" };
        format!("--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"{name}\"{file}\r\n\r\n{text}\r\n")
    };
    format!("{}--{BOUNDARY}--\r\n", fields.iter().map(part).collect::<String>())
}

/// An answer, checked for what every answer must be.
#[derive(Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) text: String,
    pub(crate) json: Value,
    error_member: &'static str,
}

impl Reply {
    /// Checks what holds for every answer in JSON of a service with this member in its refusals.
    #[track_caller]
    pub(crate) fn of(
        (status, headers, text): (u16, HeaderMap, String),
        error_member: &'static str,
        now_s: i64,
    ) -> Self {
        assert_eq!(headers["content-type"], "application/json; charset=UTF-8", "{text}");
        let json: Value = serde_json::from_str(&text).unwrap();
        check_request_id(json["request_id"].as_str().unwrap(), now_s);
        assert!(json["time_used"].as_u64().is_some(), "{text}");
        assert_eq!(json.get(error_member).is_some(), status != 200, "{text}");
        assert!(!text.contains("null"), "{text}");
        assert!(!text.contains("Secret"), "no answer repeats a secret");
        assert_ne!(status, 500, "{text}");
        // Whoever met a server that was too busy is told when to come back.
        let is_busy = json[error_member] == "CONCURRENCY_LIMIT_EXCEEDED" || matches!(status, 429 | 503);
        assert_eq!(headers.get("retry-after").is_some_and(|seconds| seconds == "2"), is_busy, "{text}");
        Self { status, text, json, error_member }
    }

    /// It was done.
    #[track_caller]
    pub(crate) fn ok(self) -> Self {
        assert_eq!(self.status, 200, "{}", self.text);
        self
    }

    /// It was refused so, and with nothing else.
    #[track_caller]
    pub(crate) fn refused(&self, status: u16, error: &str) {
        assert_eq!((self.status, self.json[self.error_member].as_str()), (status, Some(error)), "{}", self.text);
        assert_eq!(self.json.as_object().unwrap().len(), 3, "{}", self.text);
    }

    /// Refused with 400.
    #[track_caller]
    pub(crate) fn bad(&self, error: &str) {
        self.refused(400, error);
    }

    #[track_caller]
    pub(crate) fn list(&self, member: &str) -> &[Value] {
        self.json[member].as_array().unwrap()
    }

    /// Names of the members, sorted.
    pub(crate) fn members(&self) -> String {
        self.json.as_object().unwrap().keys().cloned().collect::<Vec<_>>().join(" ")
    }
}

/// A token, which is 32 hex digits.
#[track_caller]
pub(crate) fn token(value: &Value) -> String {
    let token = value.as_str().unwrap();
    assert!(token.len() == 32 && token.bytes().all(is_hex), "{token}");
    token.to_owned()
}

/// Every kind of failure with the error it is answered by, one a line.
pub(crate) fn kinds(failure_of: impl Fn(Kind) -> Failure) -> String {
    let mut table = String::new();
    for &kind in Kind::ALL {
        let failure = failure_of(kind);
        writeln!(table, "{kind:?}: {} {}", failure.status.as_u16(), failure.error).unwrap();
    }
    table
}

/// Unix seconds and a random UUID.
#[track_caller]
fn check_request_id(id: &str, now_s: i64) {
    let (seconds, uuid) = id.split_once(',').unwrap();
    assert_eq!(seconds.parse(), Ok(now_s), "{id}");
    let parts: Vec<&str> = uuid.split('-').collect();
    assert_eq!(parts.iter().map(|part| part.len()).collect::<Vec<_>>(), [8, 4, 4, 4, 12], "{id}");
    assert!(uuid.bytes().all(|byte| byte == b'-' || is_hex(byte)), "{id}");
    assert!(parts[2].starts_with('4') && parts[3].starts_with(['8', '9', 'a', 'b']), "{id}");
}

/// A hex digit as we write it.
fn is_hex(byte: u8) -> bool {
    byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte)
}
