//! Every code of the service, and which of our kinds gets which.

use std::fmt::Debug;

use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use likeness_domain::{Error, Kind};

use super::dto::{IdentityError, Refusal};
use super::operations::Operation;
use crate::http::failed_call::FailedCall;
use crate::http::json;

/// A code with the HTTP status it comes under.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Code {
    pub(super) status: StatusCode,
    pub(super) text: &'static str,
}

impl Code {
    const fn new(status: StatusCode, text: &'static str) -> Self {
        Self { status, text }
    }
}

/// The codes this server can answer. Those the vendor lists and nobody can get from us are not here: console
/// statistics (0115-0120), account states (0019, 0202, 0203), match modes (0705) and the second code for an unreadable
/// clip (0751).
pub(super) mod code {
    use super::{Code, StatusCode};

    /// Constants with their status, text and meaning.
    macro_rules! codes {
        ($($name:ident: $status:ident, $text:literal, $meaning:literal;)*) => {
            $(#[doc = $meaning] pub(in super::super) const $name: Code = Code::new(StatusCode::$status, $text);)*
        };
    }

    codes! {
        FRS_0002: FORBIDDEN, "FRS.0002", "The key behind the credentials may not do this.";
        FRS_0010: BAD_REQUEST, "FRS.0010", "A header is missing.";
        FRS_0011: BAD_REQUEST, "FRS.0011", "A parameter is missing.";
        FRS_0012: BAD_REQUEST, "FRS.0012", "A parameter is malformed or out of range.";
        FRS_0013: BAD_REQUEST, "FRS.0013", "The picture's width or height.";
        FRS_0014: BAD_REQUEST, "FRS.0014", "The body is not JSON.";
        FRS_0015: BAD_REQUEST, "FRS.0015", "Undecodable base64.";
        FRS_0016: BAD_REQUEST, "FRS.0016", "Not a picture in an accepted format.";
        FRS_0017: BAD_REQUEST, "FRS.0017", "Too many bytes.";
        FRS_0018: INTERNAL_SERVER_ERROR, "FRS.0018", "A fault of the server.";
        FRS_0020: BAD_REQUEST, "FRS.0020", "A part of the service that is not available.";
        FRS_0021: BAD_REQUEST, "FRS.0021", "The image address is malformed.";
        FRS_0022: BAD_REQUEST, "FRS.0022", "The object cannot be read from storage.";
        FRS_0028: FORBIDDEN, "FRS.0028", "The project is not the caller's.";
        FRS_0032: BAD_REQUEST, "FRS.0032", "The sort field is not numeric.";
        FRS_0033: TOO_MANY_REQUESTS, "FRS.0033", "Too many requests.";
        FRS_0035: BAD_REQUEST, "FRS.0035", "The image address may not be fetched from.";
        FRS_0036: BAD_REQUEST, "FRS.0036", "The image could not be fetched.";
        FRS_0301: BAD_REQUEST, "FRS.0301", "The face set exists.";
        FRS_0302: BAD_REQUEST, "FRS.0302", "No such face set.";
        FRS_0303: BAD_REQUEST, "FRS.0303", "No such face (update, delete).";
        FRS_0304: BAD_REQUEST, "FRS.0304", "No face to search for.";
        FRS_0305: BAD_REQUEST, "FRS.0305", "Too many face sets.";
        FRS_0306: FORBIDDEN, "FRS.0306", "The face set is full.";
        FRS_0401: BAD_REQUEST, "FRS.0401", "No face has that value.";
        FRS_0402: BAD_REQUEST, "FRS.0402", "No such field.";
        FRS_0403: BAD_REQUEST, "FRS.0403", "No such face (get, search).";
        FRS_0404: BAD_REQUEST, "FRS.0404", "No face to add.";
        FRS_0405: BAD_REQUEST, "FRS.0405", "The custom field is not defined.";
        FRS_0406: BAD_REQUEST, "FRS.0406", "The custom value has another type.";
        FRS_0407: BAD_REQUEST, "FRS.0407", "The filter matched nothing to delete.";
        FRS_0501: BAD_REQUEST, "FRS.0501", "No face to compare.";
        FRS_0701: BAD_REQUEST, "FRS.0701", "The clip cannot be decoded.";
        FRS_0702: BAD_REQUEST, "FRS.0702", "No action has this code.";
        FRS_0703: BAD_REQUEST, "FRS.0703", "The actions' windows.";
        FRS_0704: BAD_REQUEST, "FRS.0704", "Too many actions.";
        FRS_0706: BAD_REQUEST, "FRS.0706", "The clip is shorter or longer than it may be.";
        FRS_0707: BAD_REQUEST, "FRS.0707", "Silent liveness: no face.";
        FRS_0709: BAD_REQUEST, "FRS.0709", "Silent liveness: several faces.";
        APIG_0101: NOT_FOUND, "APIG.0101", "No such API.";
        APIG_0201: BAD_REQUEST, "APIG.0201", "The request itself is unusable.";
        APIG_0201_TOO_LONG: PAYLOAD_TOO_LARGE, "APIG.0201", "The body is too long for the gateway.";
        APIG_0301: UNAUTHORIZED, "APIG.0301", "Who asks could not be established.";
    }
}

/// Where an image came from, since an unreadable one has a code for each.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Origin {
    /// It came with the request, or there is none.
    Inline,
    /// An address.
    Url,
    /// A path in object storage.
    Bucket,
}

/// The code of a failed library call.
pub(super) fn code_of(kind: Kind, operation: Operation, origin: Origin) -> Code {
    match kind {
        Kind::InvalidArgument => code::FRS_0012,
        Kind::MissingArgument => code::FRS_0011,
        Kind::Forbidden => code::FRS_0002,
        Kind::FaceSetNotFound => code::FRS_0302,
        Kind::FaceSetExists => code::FRS_0301,
        Kind::TooManyFaceSets => code::FRS_0305,
        Kind::CapacityExceeded | Kind::TooManyPersons => code::FRS_0306,
        Kind::FaceNotFound => match operation {
            Operation::UpdateFace | Operation::DeleteFaces | Operation::BatchDeleteFaces => code::FRS_0303,
            _ => code::FRS_0403,
        },
        Kind::UnknownField => code::FRS_0402,
        Kind::FieldNotDefined => code::FRS_0405,
        Kind::FieldTypeMismatch => code::FRS_0406,
        Kind::SortFieldNotNumeric => code::FRS_0032,
        Kind::NoFaceInImage => match operation {
            Operation::SearchFaces => code::FRS_0304,
            Operation::CompareFaces => code::FRS_0501,
            Operation::DetectLive | Operation::DetectLiveFace => code::FRS_0707,
            _ => code::FRS_0404,
        },
        // Clients of this service know no "too poor": to them it is a picture without a face to add; the message says why.
        Kind::PoorQuality => code::FRS_0404,
        Kind::SeveralFacesInImage => code::FRS_0709,
        Kind::ImageFormat | Kind::ImageCorrupt => code::FRS_0016,
        Kind::ImageDimensions => code::FRS_0013,
        Kind::ImageTooLarge => match origin {
            Origin::Inline => code::FRS_0017,
            Origin::Url => code::FRS_0036,
            Origin::Bucket => code::FRS_0022,
        },
        Kind::VideoUnreadable => code::FRS_0701,
        Kind::VideoDuration => code::FRS_0706,
        Kind::UrlInvalid => code::FRS_0021,
        Kind::UrlForbidden => code::FRS_0035,
        Kind::UrlUnreachable | Kind::UrlNotFound | Kind::UrlDenied | Kind::UrlTimeout => match origin {
            Origin::Inline | Origin::Url => code::FRS_0036,
            Origin::Bucket => code::FRS_0022,
        },
        Kind::PackUnavailable | Kind::Unsupported => code::FRS_0020,
        Kind::Overloaded | Kind::RateExceeded => code::FRS_0033,
        // Clients of this service know no "storage full". A server fault (5xx) is the only answer that no client takes
        // for a stored face; the message says what is the matter.
        Kind::StorageFull => code::FRS_0018,
        // Nothing in this dialect asks for these: external ids, persons, named packs, uploads and "only if empty" belong to other dialects.
        Kind::FaceSetNotEmpty
        | Kind::FaceExists
        | Kind::PackNotFound
        | Kind::UploadNotFound
        | Kind::PersonNotFound
        | Kind::PersonExists
        | Kind::KeyNotFound
        | Kind::JobNotFound
        | Kind::JobDone
        | Kind::TenantNotFound
        | Kind::TenantExists
        | Kind::Changed => code::FRS_0018,
        Kind::Internal => code::FRS_0018,
    }
}

/// The JSON shape of a failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The service's: code and message.
    Service,
    /// The gateway's: with the request id.
    Gateway,
    /// The token service's: nested, with a title.
    Identity,
}

/// A request that was not done, with the vendor's code.
#[derive(Debug)]
pub(super) struct Failure {
    cause: Cause,
    message: String,
    source: Option<Error>,
}

/// What the code of a failure is made of.
#[derive(Debug, Clone, Copy)]
enum Cause {
    /// It is this one.
    Code(Code, Shape),
    /// A failed library call about an image that came this way; the operation decides.
    Library(Kind, Origin),
}

impl From<Error> for Failure {
    /// A failed library call that is not about an image.
    fn from(error: Error) -> Self {
        Self::library(error, Origin::Inline)
    }
}

impl Failure {
    /// The service's own refusal.
    pub(super) fn service(code: Code, message: impl Into<String>) -> Self {
        Self { cause: Cause::Code(code, Shape::Service), message: message.into(), source: None }
    }

    /// A value that is malformed or out of range.
    pub(super) fn invalid(message: impl Into<String>) -> Self {
        Self::service(code::FRS_0012, message)
    }

    /// A needed value that is not there.
    pub(super) fn missing(message: impl Into<String>) -> Self {
        Self::service(code::FRS_0011, message)
    }

    /// The gateway's refusal, before the service is reached.
    pub(super) fn gateway(code: Code, message: impl Into<String>) -> Self {
        Self { cause: Cause::Code(code, Shape::Gateway), message: message.into(), source: None }
    }

    /// The token service's refusal.
    pub(super) fn identity(status: StatusCode, message: impl Into<String>) -> Self {
        let cause = Cause::Code(Code::new(status, "IAM"), Shape::Identity);
        Self { cause, message: message.into(), source: None }
    }

    /// A failed library call about an image that came this way; what lies below it goes to the log only.
    pub(super) fn library(error: Error, origin: Origin) -> Self {
        let message = match error.kind() {
            Kind::Internal => "internal fault; the server's log has the reason under this request id".to_owned(),
            // A hint is the operator's, and goes to the log.
            _ => error.message().to_owned(),
        };
        Self { cause: Cause::Library(error.kind(), origin), message, source: Some(error) }
    }

    /// Logs the failure, once, and answers it.
    pub(super) fn answer(self, operation: Option<Operation>, request_id: &str) -> Response {
        let (Code { status, text }, shape) = match (self.cause, operation) {
            (Cause::Code(code, shape), _) => (code, shape),
            (Cause::Library(kind, origin), Some(operation)) => (code_of(kind, operation, origin), Shape::Service),
            (Cause::Library(..), None) => (code::FRS_0018, Shape::Service),
        };
        let failed = FailedCall {
            dialect: "huawei",
            operation: operation.as_ref().map(|operation| operation as &dyn Debug),
            request_id,
            answer_id: None,
            status: status.as_u16(),
            code: text,
            source: self.source.as_ref(),
            message: &self.message,
        };
        failed.log(status.is_server_error());
        let (error_code, error_msg) = (text, &*self.message);
        let body = match shape {
            Shape::Service => Refusal::Service { error_code, error_msg },
            Shape::Gateway => Refusal::Gateway { error_msg, error_code, request_id },
            Shape::Identity => {
                let title = status.canonical_reason().unwrap_or_default();
                Refusal::Identity { error: IdentityError { code: status.as_u16(), message: error_msg, title } }
            }
        };
        let mut response = json::answer(status, &body);
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Option<Code> {
        match self.cause {
            Cause::Code(code, _) => Some(code),
            Cause::Library(..) => None,
        }
    }
}
