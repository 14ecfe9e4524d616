//! Every code of the service, and which of our kinds gets which.

use std::fmt::Debug;

use axum::response::Response;
use http::{StatusCode, header};
use likeness_domain::{Error, Kind};

use super::dto;
use super::operations::Operation;
use super::settings::Settings;
use crate::http::failed_call::FailedCall;
use crate::http::json;
use crate::services::RETRY_AFTER;

/// A code of an envelope, a task or an image, with the name the vendor gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) number: u16,
    pub(super) name: &'static str,
}

/// The codes this server can answer. Those of the vendor's list that nobody can get from us are not here: 503, which is
/// an HTTP status here, 585 (no cache), 587 (a full queue is 588), 591 and 595 (no video).
pub(super) mod code {
    use super::Code;

    const fn code(number: u16, name: &'static str) -> Code {
        Code { number, name }
    }

    pub(in super::super) const OK: Code = code(200, "OK");
    pub(in super::super) const PROCESSING: Code = code(280, "PROCESSING");
    pub(in super::super) const BAD_REQUEST: Code = code(400, "BAD_REQUEST");
    pub(in super::super) const NOT_ALLOWED: Code = code(401, "NOT_ALLOWED");
    pub(in super::super) const FORBIDDEN: Code = code(403, "FORBIDDEN");
    pub(in super::super) const NOT_FOUND: Code = code(404, "NOT_FOUND");
    pub(in super::super) const DOWNLOAD_FAILED: Code = code(480, "DOWNLOAD_FAILED");
    pub(in super::super) const GENERAL_ERROR: Code = code(500, "GENERAL_ERROR");
    pub(in super::super) const DB_FAILED: Code = code(580, "DB_FAILED");
    pub(in super::super) const TIMEOUT: Code = code(581, "TIMEOUT");
    pub(in super::super) const ALGO_FAILED: Code = code(586, "ALGO_FAILED");
    pub(in super::super) const EXCEED_QUOTA: Code = code(588, "EXCEED_QUOTA");
    pub(in super::super) const TOO_LARGE: Code = code(589, "TOO_LARGE");
    pub(in super::super) const BAD_FORMAT: Code = code(590, "BAD_FORMAT");
    pub(in super::super) const DOWNLOAD_TIMEOUT: Code = code(592, "DOWNLOAD_TIMEOUT");
    pub(in super::super) const EXPIRED: Code = code(594, "EXPIRED");
    pub(in super::super) const PERMISSION_DENY: Code = code(596, "PERMISSION_DENY");
}

/// Code of a kind, and the message for it where that is not the code's name.
///
/// "Person exists", "too many faces" and the like have no published code: 400 with a message of ours.
pub(super) fn code_of(kind: Kind) -> (Code, Option<&'static str>) {
    match kind {
        Kind::InvalidArgument | Kind::MissingArgument => (code::BAD_REQUEST, None),
        Kind::Forbidden => (code::PERMISSION_DENY, None),
        Kind::FaceSetNotFound => (code::NOT_FOUND, Some("NOT_FOUND: group")),
        Kind::TooManyFaceSets => (code::BAD_REQUEST, Some("BAD_REQUEST: too many groups")),
        Kind::TooManyPersons => (code::BAD_REQUEST, Some("BAD_REQUEST: too many persons")),
        Kind::CapacityExceeded => (code::BAD_REQUEST, Some("FACE_LIMIT")),
        Kind::FaceNotFound => (code::NOT_FOUND, Some("NOT_FOUND: face")),
        Kind::PersonNotFound => (code::NOT_FOUND, Some("NOT_FOUND: person")),
        Kind::PersonExists => (code::BAD_REQUEST, Some("BAD_REQUEST: person already exists")),
        Kind::KeyNotFound
        | Kind::TenantNotFound
        | Kind::TenantExists
        | Kind::JobNotFound
        | Kind::JobDone
        | Kind::Changed => (code::BAD_REQUEST, None),
        Kind::NoFaceInImage => (code::BAD_REQUEST, Some("NO_FACE")),
        Kind::SeveralFacesInImage => (code::BAD_REQUEST, Some("MULTIPLE_FACES")),
        Kind::PoorQuality => (code::BAD_REQUEST, Some("POOR_QUALITY")),
        Kind::ImageFormat | Kind::ImageCorrupt => (code::BAD_FORMAT, None),
        Kind::ImageDimensions => (code::DOWNLOAD_FAILED, Some("DOWNLOAD_FAILED: IMAGE_TOO_MUCH_PIXELS")),
        Kind::ImageTooLarge => (code::TOO_LARGE, None),
        Kind::UrlInvalid => (code::BAD_REQUEST, None),
        Kind::UrlForbidden => (code::NOT_ALLOWED, None),
        Kind::UrlUnreachable => (code::DOWNLOAD_FAILED, None),
        Kind::UrlNotFound | Kind::UploadNotFound => (code::NOT_FOUND, None),
        Kind::UrlDenied => (code::FORBIDDEN, None),
        Kind::UrlTimeout => (code::DOWNLOAD_TIMEOUT, None),
        Kind::PackUnavailable => (code::ALGO_FAILED, None),
        Kind::Unsupported => (code::PERMISSION_DENY, None),
        Kind::Overloaded | Kind::RateExceeded => (code::EXCEED_QUOTA, None),
        Kind::StorageFull => (code::DB_FAILED, None),
        Kind::Internal => (code::GENERAL_ERROR, None),
        // Nothing in this dialect asks for these: sets are not made by name, packs are not named, and custom fields, filters, external ids
        // and clips belong to other dialects.
        Kind::VideoUnreadable | Kind::VideoDuration | Kind::PackNotFound => (code::BAD_REQUEST, None),
        Kind::FaceSetExists | Kind::FaceSetNotEmpty | Kind::FaceExists => (code::BAD_REQUEST, None),
        Kind::UnknownField | Kind::FieldNotDefined | Kind::FieldTypeMismatch | Kind::SortFieldNotNumeric => {
            (code::BAD_REQUEST, None)
        }
    }
}

/// Why a call, a task or an image failed, with the vendor's code.
#[derive(Debug)]
pub(super) struct Fault {
    pub(super) number: u16,
    pub(super) msg: String,
    source: Option<Error>,
}

impl Fault {
    /// A code and what is the matter.
    pub(super) fn new(code: Code, detail: impl AsRef<str>) -> Self {
        Self { number: code.number, msg: with_detail(code.name, detail.as_ref()), source: None }
    }

    /// A member that is missing, malformed or out of range.
    pub(super) fn invalid(detail: impl AsRef<str>) -> Self {
        Self::new(code::BAD_REQUEST, detail)
    }

    /// A fault as it was kept with a result.
    pub(super) fn kept(number: u16, msg: String) -> Self {
        Self { number, msg, source: None }
    }

    /// The same fault, with the code that the operator wants for an unknown person.
    #[must_use]
    pub(super) fn of_unknown_person(mut self, settings: &Settings) -> Self {
        if self.source.as_ref().is_some_and(|error| error.kind() == Kind::PersonNotFound) {
            self.number = settings.unknown_person_code;
        }
        self
    }

    /// The same fault of one of several images: `NO_FACE: faceUrl`.
    #[must_use]
    pub(super) fn of_member(mut self, member: &str) -> Self {
        self.msg = match self.msg.split_once(": ") {
            Some((name, detail)) => format!("{name}: {member}: {detail}"),
            None => format!("{}: {member}", self.msg),
        };
        self
    }

    /// Whether the log should have more than a line of information.
    pub(super) fn is_ours(&self) -> bool {
        matches!(self.number, 500 | 580 | 586)
    }

    /// What lies below, for the log.
    pub(super) fn source(&self) -> Option<&Error> {
        self.source.as_ref()
    }

    /// The library's error, if trying again later may help: the server was too busy.
    pub(super) fn passing(self) -> Result<Error, Fault> {
        match self.source {
            Some(error) if error.kind() == Kind::Overloaded => Ok(error),
            source => Err(Fault { source, ..self }),
        }
    }
}

impl From<Error> for Fault {
    /// A failed library call; what lies below it goes to the log only.
    fn from(error: Error) -> Self {
        let (code, word) = code_of(error.kind());
        // What the caller can use: fixed messages stand alone, the others say what is wrong.
        let msg = match (word, error.kind()) {
            (Some(word), Kind::PoorQuality) => with_detail(word, error.message()),
            (Some(word), _) => word.to_owned(),
            (None, Kind::Internal) => with_detail(code.name, "the server's log has the reason under this request id"),
            (None, _) => with_detail(code.name, &error.to_string()),
        };
        Self { number: code.number, msg, source: Some(error) }
    }
}

fn with_detail(name: &str, detail: &str) -> String {
    if detail.is_empty() { name.to_owned() } else { format!("{name}: {detail}") }
}

/// The code and message of an outcome, and what came of it if it was done.
pub(super) fn told<T>(outcome: Result<T, Fault>) -> (u16, String, Option<T>) {
    match outcome {
        Ok(done) => (code::OK.number, code::OK.name.to_owned(), Some(done)),
        Err(fault) => (fault.number, fault.msg, None),
    }
}

/// A request that the gateway, or the storage of uploads, did not let through.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) status: StatusCode,
    pub(super) code: &'static str,
    /// For the caller; may echo parts of the request, so it is never logged.
    pub(super) message: String,
    pub(super) source: Option<Error>,
}

impl Refusal {
    /// A refusal with status 400, as most have.
    pub(super) fn new(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::BAD_REQUEST, code, message: message.into(), source: None }
    }

    /// A refusal with status 404.
    pub(super) fn not_found(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::NOT_FOUND, ..Self::new(code, message) }
    }

    /// A refusal with status 403.
    pub(super) fn denied(code: &'static str, message: impl Into<String>) -> Self {
        Self { status: StatusCode::FORBIDDEN, ..Self::new(code, message) }
    }

    /// Keys or nonces could not be looked up.
    pub(super) fn internal(error: Error) -> Self {
        Self {
            status: StatusCode::SERVICE_UNAVAILABLE,
            source: Some(error),
            ..Self::new("ServiceUnavailable", "the server cannot check the request now")
        }
    }
}

/// A request that was not done.
#[derive(Debug)]
pub(super) enum Failure {
    /// Before the caller was known.
    Gateway(Refusal),
    /// After.
    Service(Fault),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Failure::Service(error.into())
    }
}

impl From<Refusal> for Failure {
    fn from(refusal: Refusal) -> Self {
        Failure::Gateway(refusal)
    }
}

impl From<Fault> for Failure {
    fn from(fault: Fault) -> Self {
        Failure::Service(fault)
    }
}

impl Failure {
    /// Logs the failure, once, and answers it.
    pub(super) fn answer(
        self,
        operation: Option<Operation>,
        host: &str,
        request_id: &str,
        settings: &Settings,
    ) -> Response {
        let shown_id = dto::request_id(request_id);
        let operation = operation.as_ref().map(|operation| operation as &dyn Debug);
        let log = |status: StatusCode, code: &str, source, message, is_fault| {
            let (dialect, status) = ("aliyun", status.as_u16());
            FailedCall { dialect, operation, request_id, answer_id: None, status, code, source, message }.log(is_fault);
        };
        let fault = match self {
            Failure::Gateway(Refusal { status, code, message, source }) => {
                log(status, code, source.as_ref(), "refused", status.is_server_error());
                let body = dto::GatewayError { request_id: &shown_id, host_id: host, code, message: &message };
                return answer(status, &body);
            }
            Failure::Service(fault) => fault.of_unknown_person(settings),
        };
        let (code, msg) = (fault.number, fault.msg.as_str());
        log(StatusCode::OK, &code.to_string(), fault.source(), msg, fault.is_ours());
        let (request_id, typed_request_id) = (&*shown_id, &*shown_id);
        let body = dto::Envelope::<()> { code, msg, request_id, typed_request_id, data: None };
        retry_later_if_busy(answer(StatusCode::OK, &body), [code])
    }
}

/// The answer, with `Retry-After` if one of the codes in it says that the server was too busy: this vendor's HTTP status
/// is 200 then.
pub(super) fn retry_later_if_busy(mut answer: Response, codes: impl IntoIterator<Item = u16>) -> Response {
    if codes.into_iter().any(|code| code == code::EXCEED_QUOTA.number) {
        answer.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
    }
    answer
}

/// A JSON answer with the vendor's spelling of its media type.
pub(super) fn answer(status: StatusCode, body: &impl serde::Serialize) -> Response {
    json::answer_as("application/json;charset=utf-8", status, body)
}
