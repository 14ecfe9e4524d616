//! Every error of the service, and which of our kinds gets which.

use std::borrow::Cow;

use http::StatusCode;
use likeness_domain::{Error, Kind};

use super::operations::Operation;
use crate::http::body::TOO_LONG;
use crate::http::fields::FieldError;

/// A request that was not done, in the vendor's words.
#[derive(Debug)]
pub(super) struct Failure {
    pub(super) status: StatusCode,
    /// The member `error_message`: a code, or a code, a colon, one space and a detail.
    pub(super) error: Cow<'static, str>,
    /// For the log.
    message: String,
    source: Option<Error>,
}

/// What the client named, for errors that repeat it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Blame<'a> {
    /// The field the picture came in.
    pub(super) image: &'a str,
    /// What an unknown face set is called, which depends on how it was named.
    pub(super) unknown_face_set: &'static str,
    /// The face token.
    pub(super) token: &'a str,
}

impl Blame<'_> {
    /// Nothing was named that could be at fault.
    pub(super) const NOBODY: Blame<'static> =
        Blame { image: "image_file", unknown_face_set: "INVALID_FACESET_TOKEN", token: "" };
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

    /// Nobody has that key, or not with that secret.
    pub(super) fn unknown_key() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "AUTHENTICATION_ERROR")
    }

    /// The key may not be used so, for this reason.
    pub(super) fn refused(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("AUTHORIZATION_ERROR: {reason}"))
    }

    /// Too many calls.
    pub(super) fn too_many_calls() -> Self {
        Self::new(StatusCode::FORBIDDEN, "CONCURRENCY_LIMIT_EXCEEDED")
    }

    /// Too many tasks wait.
    pub(super) fn queue_full() -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "TASK_QUEUE_IS_FULL")
    }

    /// The error to be told, or what may pass and is worth another try.
    pub(super) fn passing(self) -> Result<String, Error> {
        match self.source {
            Some(error) if error.kind().is_retryable() || error.kind() == Kind::Internal => Err(error),
            _ => Ok(self.error.into_owned()),
        }
    }

    /// No such call.
    pub(super) fn no_api() -> Self {
        Self::new(StatusCode::NOT_FOUND, "API_NOT_FOUND")
    }

    /// The body is longer than allowed.
    pub(super) fn too_long() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, TOO_LONG)
    }

    /// The token is of no face that is held or enrolled.
    pub(super) fn no_face(token: &str) -> Self {
        Self::bad(format!("INVALID_FACE_TOKEN: {token}"))
    }

    /// A failed library call. What lies below goes to the log only.
    pub(super) fn library(error: Error, blame: &Blame<'_>) -> Self {
        let mut failure = of_kind(error.kind(), error.field(), blame);
        failure.message = error.message().to_owned();
        failure.source = Some(error);
        failure
    }

    /// Logs the failure, once, under the id of the request and that of the answer.
    pub(super) fn log(&self, operation: Option<Operation>, request_id: &str, answer_id: &str) {
        let (status, code, message) = (self.status.as_u16(), self.code(), self.message.as_str());
        let operation = operation.map(tracing::field::debug);
        if status >= 500 {
            let source = self.source.as_ref().map(tracing::field::debug);
            tracing::error!(dialect = "facepp", operation, request_id, answer_id, status, code, source, "{message}");
        } else {
            tracing::info!(dialect = "facepp", operation, request_id, answer_id, status, code, "{message}");
        }
    }

    /// The error without its detail, which may be a face's token and is not logged.
    fn code(&self) -> &str {
        self.error.split_once(": ").map_or(&*self.error, |(code, _)| code)
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

/// The error of a kind. `field` is the one at fault in our words.
pub(super) fn of_kind(kind: Kind, field: Option<&str>, blame: &Blame<'_>) -> Failure {
    let image = blame.image;
    match kind {
        Kind::InvalidArgument => Failure::malformed(match field {
            Some("face set name") => "outer_id",
            Some("label") => "display_name",
            Some("note") => "user_data",
            Some("tags") => "tags",
            Some("subject") => "user_id",
            Some("top_k") => "return_result_count",
            Some("second face") => "face_token2",
            Some("page limit") => "start",
            _ => "face_token",
        }),
        Kind::MissingArgument => Failure::missing("outer_id"),
        Kind::Forbidden => Failure::refused("Denied by Admin"),
        Kind::FaceSetNotFound => Failure::bad(blame.unknown_face_set),
        Kind::FaceSetExists => Failure::bad("FACESET_EXIST"),
        Kind::FaceSetNotEmpty => Failure::bad("FACESET_NOT_EMPTY"),
        Kind::TooManyFaceSets => Failure::bad("FACESET_QUOTA_EXCEEDED"),
        Kind::CapacityExceeded => Failure::bad("QUOTA_EXCEEDED"),
        Kind::FaceNotFound => Failure::no_face(blame.token),
        Kind::PoorQuality => Failure::bad("LOW_QUALITY"),
        Kind::ImageFormat | Kind::ImageCorrupt => Failure::no_picture(image),
        Kind::ImageDimensions => Failure::bad(format!("INVALID_IMAGE_SIZE: {image}")),
        Kind::ImageTooLarge => Failure::bad(format!("IMAGE_FILE_TOO_LARGE: {image}")),
        Kind::UrlInvalid | Kind::UrlForbidden | Kind::UrlUnreachable | Kind::UrlNotFound | Kind::UrlDenied => {
            Failure::bad(format!("INVALID_IMAGE_URL: {image}"))
        }
        Kind::UrlTimeout => {
            Failure::new(StatusCode::PRECONDITION_FAILED, format!("IMAGE_DOWNLOAD_TIMEOUT: {image}"))
        }
        Kind::Overloaded => Failure::too_many_calls(),
        // Nothing in this dialect asks for these: no face is an answer, and there are no persons, external ids, fields, clips.
        Kind::NoFaceInImage
        | Kind::SeveralFacesInImage
        | Kind::FaceExists
        | Kind::PersonNotFound
        | Kind::PersonExists
        | Kind::UnknownField
        | Kind::FieldNotDefined
        | Kind::FieldTypeMismatch
        | Kind::SortFieldNotNumeric
        | Kind::VideoUnreadable
        | Kind::VideoDuration
        // Clients know no word for these: they are told that it is our fault, and may try again.
        | Kind::PackUnavailable
        | Kind::Unsupported
        | Kind::StorageFull
        | Kind::Internal => Failure::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR"),
    }
}
