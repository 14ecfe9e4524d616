//! Every code of the service, and which of our kinds gets which.

use std::fmt::Debug;

use axum::response::Response;
use http::StatusCode;
use http::header::{HeaderValue, RETRY_AFTER};
use likeness_domain::{Error, Kind};

use super::dto;
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

    const BAD: StatusCode = StatusCode::BAD_REQUEST;
    /// The key behind the credentials may not do this.
    pub(in super::super) const FRS_0002: Code = Code::new(StatusCode::FORBIDDEN, "FRS.0002");
    /// A header is missing.
    pub(in super::super) const FRS_0010: Code = Code::new(BAD, "FRS.0010");
    /// A parameter is missing.
    pub(in super::super) const FRS_0011: Code = Code::new(BAD, "FRS.0011");
    /// A parameter is malformed or out of range.
    pub(in super::super) const FRS_0012: Code = Code::new(BAD, "FRS.0012");
    /// The picture's width or height.
    pub(in super::super) const FRS_0013: Code = Code::new(BAD, "FRS.0013");
    /// The body is not JSON.
    pub(in super::super) const FRS_0014: Code = Code::new(BAD, "FRS.0014");
    /// Undecodable base64.
    pub(in super::super) const FRS_0015: Code = Code::new(BAD, "FRS.0015");
    /// Not a picture in an accepted format.
    pub(in super::super) const FRS_0016: Code = Code::new(BAD, "FRS.0016");
    /// Too many bytes.
    pub(in super::super) const FRS_0017: Code = Code::new(BAD, "FRS.0017");
    /// A fault of the server.
    pub(in super::super) const FRS_0018: Code = Code::new(StatusCode::INTERNAL_SERVER_ERROR, "FRS.0018");
    /// A part of the service that is not available.
    pub(in super::super) const FRS_0020: Code = Code::new(BAD, "FRS.0020");
    /// The image address is malformed.
    pub(in super::super) const FRS_0021: Code = Code::new(BAD, "FRS.0021");
    /// The object cannot be read from storage.
    pub(in super::super) const FRS_0022: Code = Code::new(BAD, "FRS.0022");
    /// The project is not the caller's.
    pub(in super::super) const FRS_0028: Code = Code::new(StatusCode::FORBIDDEN, "FRS.0028");
    /// The sort field is not numeric.
    pub(in super::super) const FRS_0032: Code = Code::new(BAD, "FRS.0032");
    /// Too many requests.
    pub(in super::super) const FRS_0033: Code = Code::new(StatusCode::TOO_MANY_REQUESTS, "FRS.0033");
    /// The image address may not be fetched from.
    pub(in super::super) const FRS_0035: Code = Code::new(BAD, "FRS.0035");
    /// The image could not be fetched.
    pub(in super::super) const FRS_0036: Code = Code::new(BAD, "FRS.0036");
    /// The face set exists.
    pub(in super::super) const FRS_0301: Code = Code::new(BAD, "FRS.0301");
    /// No such face set.
    pub(in super::super) const FRS_0302: Code = Code::new(BAD, "FRS.0302");
    /// No such face (update, delete).
    pub(in super::super) const FRS_0303: Code = Code::new(BAD, "FRS.0303");
    /// No face to search for.
    pub(in super::super) const FRS_0304: Code = Code::new(BAD, "FRS.0304");
    /// Too many face sets.
    pub(in super::super) const FRS_0305: Code = Code::new(BAD, "FRS.0305");
    /// The face set is full.
    pub(in super::super) const FRS_0306: Code = Code::new(StatusCode::FORBIDDEN, "FRS.0306");
    /// No face has that value.
    pub(in super::super) const FRS_0401: Code = Code::new(BAD, "FRS.0401");
    /// No such field.
    pub(in super::super) const FRS_0402: Code = Code::new(BAD, "FRS.0402");
    /// No such face (get, search).
    pub(in super::super) const FRS_0403: Code = Code::new(BAD, "FRS.0403");
    /// No face to add.
    pub(in super::super) const FRS_0404: Code = Code::new(BAD, "FRS.0404");
    /// The custom field is not defined.
    pub(in super::super) const FRS_0405: Code = Code::new(BAD, "FRS.0405");
    /// The custom value has another type.
    pub(in super::super) const FRS_0406: Code = Code::new(BAD, "FRS.0406");
    /// The filter matched nothing to delete.
    pub(in super::super) const FRS_0407: Code = Code::new(BAD, "FRS.0407");
    /// No face to compare.
    pub(in super::super) const FRS_0501: Code = Code::new(BAD, "FRS.0501");
    /// The clip cannot be decoded.
    pub(in super::super) const FRS_0701: Code = Code::new(BAD, "FRS.0701");
    /// No action has this code.
    pub(in super::super) const FRS_0702: Code = Code::new(BAD, "FRS.0702");
    /// The actions' windows.
    pub(in super::super) const FRS_0703: Code = Code::new(BAD, "FRS.0703");
    /// Too many actions.
    pub(in super::super) const FRS_0704: Code = Code::new(BAD, "FRS.0704");
    /// The clip is shorter or longer than it may be.
    pub(in super::super) const FRS_0706: Code = Code::new(BAD, "FRS.0706");
    /// Silent liveness: no face.
    pub(in super::super) const FRS_0707: Code = Code::new(BAD, "FRS.0707");
    /// Silent liveness: several faces.
    pub(in super::super) const FRS_0709: Code = Code::new(BAD, "FRS.0709");
    /// No such API.
    pub(in super::super) const APIG_0101: Code = Code::new(StatusCode::NOT_FOUND, "APIG.0101");
    /// The request itself is unusable.
    pub(in super::super) const APIG_0201: Code = Code::new(BAD, "APIG.0201");
    /// The body is too long for the gateway.
    pub(in super::super) const APIG_0201_TOO_LONG: Code = Code::new(StatusCode::PAYLOAD_TOO_LARGE, "APIG.0201");
    /// Who asks could not be established.
    pub(in super::super) const APIG_0301: Code = Code::new(StatusCode::UNAUTHORIZED, "APIG.0301");
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
        // Nothing in this dialect asks for these: external ids, persons and "only if empty" are other dialects' words.
        Kind::FaceSetNotEmpty | Kind::FaceExists | Kind::PersonNotFound | Kind::PersonExists => code::FRS_0018,
        Kind::Internal => code::FRS_0018,
    }
}

/// In which shape a failure is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// The service's: code and message.
    Service,
    /// The gateway's: with the request id.
    Gateway,
    /// The token service's: nested, with a title.
    Identity,
}

/// A request that was not done, in the vendor's words.
#[derive(Debug)]
pub(super) struct Failure {
    code: Code,
    shape: Shape,
    message: String,
    source: Option<Error>,
}

impl Failure {
    /// The service's own refusal.
    pub(super) fn service(code: Code, message: impl Into<String>) -> Self {
        Self { code, shape: Shape::Service, message: message.into(), source: None }
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
        Self { code, shape: Shape::Gateway, message: message.into(), source: None }
    }

    /// The token service's refusal.
    pub(super) fn identity(status: StatusCode, message: impl Into<String>) -> Self {
        Self { code: Code::new(status, "IAM"), shape: Shape::Identity, message: message.into(), source: None }
    }

    /// A failed library call of `operation`; what lies below it goes to the log only.
    pub(super) fn library(error: Error, operation: Operation, origin: Origin) -> Self {
        let code = code_of(error.kind(), operation, origin);
        let message = match error.kind() {
            Kind::Internal => "internal fault; the server's log has the reason under this request id".to_owned(),
            // A hint is the operator's, and goes to the log.
            _ => error.message().to_owned(),
        };
        Self { code, shape: Shape::Service, message, source: Some(error) }
    }

    /// Logs the failure, once, and answers it.
    pub(super) fn answer(self, operation: Option<Operation>, request_id: &str) -> Response {
        let Code { status, text } = self.code;
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
        let mut response = match self.shape {
            Shape::Service => json::answer(status, &dto::ServiceError { error_code: text, error_msg: &self.message }),
            Shape::Gateway => {
                let body = dto::GatewayError { error_msg: &self.message, error_code: text, request_id };
                json::answer(status, &body)
            }
            Shape::Identity => {
                let title = status.canonical_reason().unwrap_or_default();
                let error = dto::IdentityErrorBody { code: status.as_u16(), message: &self.message, title };
                json::answer(status, &dto::IdentityError { error })
            }
        };
        if status == StatusCode::TOO_MANY_REQUESTS {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    #[cfg(test)]
    pub(super) fn code(&self) -> Code {
        self.code
    }
}
