//! Every error of the service, and which of our kinds gets which.

use std::borrow::Cow;

use http::StatusCode;
use likeness_domain::{Error, Kind};

use super::operations::Operation;
use super::settings::{BadSign, Settings};
use crate::http::body::TOO_LONG;
use crate::http::fields::FieldError;

/// A request that was not done, in the vendor's words.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// The member `error`: a code, or a code, a colon, one space and a detail.
    pub(super) error: Cow<'static, str>,
    /// For the log.
    message: String,
    source: Option<Error>,
}

impl Failure {
    fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: error.into(), message: String::new(), source: None }
    }

    /// A 400.
    pub(super) fn bad(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// A required field is absent or empty; of a choice, all names.
    pub(super) fn missing(field: &str) -> Self {
        Self::bad(format!("MISSING_ARGUMENTS: {field}"))
    }

    /// A field is malformed or out of range.
    pub(super) fn malformed(field: &str) -> Self {
        Self::bad(format!("BAD_ARGUMENTS: {field}"))
    }

    /// The bytes are no picture in an accepted format.
    pub(super) fn no_picture(field: &str) -> Self {
        Self::bad(format!("IMAGE_ERROR_UNSUPPORTED_FORMAT: {field}"))
    }

    /// Nobody has that key.
    pub(super) fn unknown_key() -> Self {
        Self::new(StatusCode::FORBIDDEN, "AUTHENTICATION_ERROR")
    }

    /// The key may not be used so, for this reason.
    pub(super) fn refused(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("AUTHORIZATION_ERROR: {reason}"))
    }

    /// The signature is not the key's.
    pub(super) fn wrong_mac(settings: &Settings) -> Self {
        match settings.bad_sign_error {
            BadSign::Authorization => Self::refused("INVALID_SIGN"),
            BadSign::Authentication => Self::unknown_key(),
        }
    }

    /// Too many calls.
    pub(super) fn too_many_calls(settings: &Settings) -> Self {
        let status = StatusCode::from_u16(settings.concurrency_status).unwrap_or(StatusCode::FORBIDDEN);
        Self::new(status, "CONCURRENCY_LIMIT_EXCEEDED")
    }

    /// No such call.
    pub(super) fn no_api() -> Self {
        Self::new(StatusCode::NOT_FOUND, "API_NOT_FOUND")
    }

    /// The body is longer than allowed.
    pub(super) fn too_long() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG)
    }

    /// The face is not in the library.
    pub(super) fn no_face() -> Self {
        Self::bad("INVALID_FACE_TOKEN")
    }

    /// A failed library call; `image` is the field its picture came in. What lies below goes to the log only.
    pub(super) fn library(error: Error, image: &'static str, settings: &Settings) -> Self {
        let mut failure = of_kind(error.kind(), error.field(), image, settings);
        failure.message = error.message().to_owned();
        failure.source = Some(error);
        failure
    }

    /// Logs the failure, once, under the id of the request and that of the answer.
    pub(super) fn log(&self, operation: Option<Operation>, request_id: &str, answer_id: &str) {
        let (status, error, message) = (self.status.as_u16(), &*self.error, self.message.as_str());
        let operation = operation.map(tracing::field::debug);
        if status >= 500 {
            let source = self.source.as_ref().map(tracing::field::debug);
            tracing::error!(
                dialect = "yuanli",
                operation,
                request_id,
                answer_id,
                status,
                code = error,
                source,
                "{message}"
            );
        } else {
            tracing::info!(dialect = "yuanli", operation, request_id, answer_id, status, code = error, "{message}");
        }
    }
}

impl From<FieldError> for Failure {
    fn from(error: FieldError) -> Self {
        match error {
            FieldError::Missing(field) => Self::missing(&field),
            FieldError::Malformed(field) => Self::malformed(&field),
        }
    }
}

/// The error of a kind. `field` is the one at fault in our words; `image` is the field the picture came in.
pub(super) fn of_kind(kind: Kind, field: Option<&str>, image: &str, settings: &Settings) -> Failure {
    match kind {
        Kind::InvalidArgument => Failure::malformed(match field {
            Some("subject") => "user_id",
            Some("note") => "user_data",
            Some("top_k" | "page limit") => "limit",
            _ => "group_id",
        }),
        Kind::MissingArgument => Failure::missing("group_id"),
        Kind::Forbidden => Failure::refused("DENIED"),
        Kind::FaceSetNotFound => Failure::bad(settings.unknown_group_error.word()),
        Kind::FaceSetExists => Failure::bad(settings.group_exist_error.clone()),
        Kind::FaceSetNotEmpty => Failure::bad("NOT_EMPTY"),
        Kind::TooManyFaceSets => Failure::bad(settings.group_quota_error.clone()),
        Kind::CapacityExceeded => Failure::bad(settings.face_quota_error.clone()),
        Kind::FaceNotFound => Failure::no_face(),
        Kind::NoFaceInImage => Failure::bad(format!("NO_FACE_FOUND: {image}")),
        Kind::PoorQuality => Failure::bad("LOW_QUALITY"),
        Kind::ImageFormat | Kind::ImageCorrupt => Failure::no_picture(image),
        Kind::ImageDimensions => Failure::bad(format!("INVALID_IMAGE_SIZE: {image}")),
        Kind::ImageTooLarge => Failure::bad(format!("IMAGE_FILE_TOO_LARGE: {image}")),
        Kind::Overloaded => Failure::too_many_calls(settings),
        // Nothing in this dialect asks for these: persons, external ids, custom fields, addresses, exactly one face,
        // clips.
        Kind::FaceExists
        | Kind::PersonNotFound
        | Kind::PersonExists
        | Kind::UnknownField
        | Kind::FieldNotDefined
        | Kind::FieldTypeMismatch
        | Kind::SortFieldNotNumeric
        | Kind::SeveralFacesInImage
        | Kind::VideoUnreadable
        | Kind::VideoDuration
        | Kind::UrlInvalid
        | Kind::UrlForbidden
        | Kind::UrlUnreachable
        | Kind::UrlNotFound
        | Kind::UrlDenied
        | Kind::UrlTimeout
        // Clients know no word for these: they are told that it is our fault, and may try again.
        | Kind::PackUnavailable
        | Kind::Unsupported
        | Kind::StorageFull
        | Kind::Internal => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}
