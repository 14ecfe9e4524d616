//! The errors of the whole family. Each dialect's own stand in its `errors.rs`.

use std::borrow::Cow;

use http::StatusCode;
use likeness_domain::{Error, Kind};

/// The code that sends a caller away until later.
pub(crate) const TOO_MANY: &str = "CONCURRENCY_LIMIT_EXCEEDED";

/// A request that was not done, with the family's error.
#[derive(Debug)]
pub(crate) struct Failure {
    /// HTTP status.
    pub(crate) status: StatusCode,
    /// As it is sent: a code, or a code, a colon, one space and a detail.
    pub(crate) error: Cow<'static, str>,
    /// The failed library call, for the log.
    pub(crate) source: Option<Error>,
}

impl Failure {
    /// An error by its status and code.
    pub(crate) fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: error.into(), source: None }
    }

    /// A 400.
    pub(crate) fn bad(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// A required field is absent or empty; of a choice, all names.
    pub(crate) fn missing(field: &str) -> Self {
        Self::bad(format!("MISSING_ARGUMENTS: {field}"))
    }

    /// A field is malformed or out of range.
    pub(crate) fn malformed(field: &str) -> Self {
        Self::bad(format!("BAD_ARGUMENTS: {field}"))
    }

    /// The bytes are no picture in an accepted format.
    pub(crate) fn no_picture(field: &str) -> Self {
        Self::bad(format!("IMAGE_ERROR_UNSUPPORTED_FORMAT: {field}"))
    }

    /// The key may not be used so, for this reason.
    pub(crate) fn refused(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("AUTHORIZATION_ERROR: {reason}"))
    }

    /// A fault of the server, for which the family has no other error; clients may try again.
    pub(crate) fn internal() -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "INTERNAL_ERROR")
    }

    /// This failure with the failed library call behind it. What lies below goes to the log only.
    pub(crate) fn of(self, error: Error) -> Self {
        Self { source: Some(error), ..self }
    }
}

/// What the whole family answers to a kind of error; `image` is the field that the picture came in. A dialect has its own
/// words first. No catch-all here: a new kind needs an answer.
pub(crate) fn of_kind(kind: Kind, image: &str) -> Failure {
    match kind {
        Kind::ImageFormat | Kind::ImageCorrupt => Failure::no_picture(image),
        Kind::ImageDimensions => Failure::bad(format!("INVALID_IMAGE_SIZE: {image}")),
        Kind::ImageTooLarge => Failure::bad(format!("IMAGE_FILE_TOO_LARGE: {image}")),
        Kind::PoorQuality => Failure::bad("LOW_QUALITY"),
        Kind::CapacityExceeded | Kind::TooManyPersons => Failure::bad("QUOTA_EXCEEDED"),
        Kind::Overloaded | Kind::RateExceeded => Failure::new(StatusCode::FORBIDDEN, TOO_MANY),
        // Each dialect has words of its own for those that it can be asked for.
        Kind::InvalidArgument
        | Kind::MissingArgument
        | Kind::Forbidden
        | Kind::FaceSetNotFound
        | Kind::FaceSetExists
        | Kind::FaceSetNotEmpty
        | Kind::TooManyFaceSets
        | Kind::FaceNotFound
        | Kind::NoFaceInImage
        | Kind::UrlInvalid
        | Kind::UrlForbidden
        | Kind::UrlUnreachable
        | Kind::UrlNotFound
        | Kind::UrlDenied
        | Kind::UrlTimeout
        // Nothing in this family asks for these: persons, external ids, custom fields, exactly one face, clips, named packs,
        // uploads.
        | Kind::FaceExists
        | Kind::PersonNotFound
        | Kind::PersonExists
        | Kind::KeyNotFound
        | Kind::JobNotFound
        | Kind::JobDone
        | Kind::TenantNotFound
        | Kind::TenantExists
        | Kind::Changed
        | Kind::UnknownField
        | Kind::FieldNotDefined
        | Kind::FieldTypeMismatch
        | Kind::SortFieldNotNumeric
        | Kind::SeveralFacesInImage
        | Kind::VideoUnreadable
        | Kind::VideoDuration
        | Kind::PackNotFound
        | Kind::UploadNotFound
        // The vendors have no error for these: they are answered as faults of the server, so that clients may try again.
        | Kind::PackUnavailable
        | Kind::Unsupported
        | Kind::StorageFull
        | Kind::Internal => Failure::internal(),
    }
}
