//! Every error of the service, and which of our kinds gets which.

use http::StatusCode;
use likeness_domain::{Error, Kind};

use crate::megvii::errors as megvii;
pub(super) use crate::megvii::errors::Failure;

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

/// Nobody has that key, or not with that secret.
pub(super) fn unknown_key() -> Failure {
    Failure::new(StatusCode::UNAUTHORIZED, "AUTHENTICATION_ERROR")
}

/// Too many tasks wait.
pub(super) fn queue_full() -> Failure {
    Failure::new(StatusCode::SERVICE_UNAVAILABLE, "TASK_QUEUE_IS_FULL")
}

/// The token is of no transient face and of no enrolled one.
pub(super) fn no_face(token: &str) -> Failure {
    Failure::bad(format!("INVALID_FACE_TOKEN: {token}"))
}

/// The error that a task ends with, or the one that may pass and is worth another try.
pub(super) fn passing(failure: Failure) -> Result<String, Error> {
    match failure.source {
        Some(error) if error.kind().is_retryable() || error.kind() == Kind::Internal => Err(error),
        _ => Ok(failure.error.into_owned()),
    }
}

/// A failed library call.
pub(super) fn library(error: Error, blame: &Blame<'_>) -> Failure {
    of_kind(error.kind(), error.field(), blame).of(error)
}

/// The error of a kind. `field` is the one at fault, as the library calls it.
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
        Kind::FaceNotFound => no_face(blame.token),
        Kind::UrlInvalid | Kind::UrlForbidden | Kind::UrlUnreachable | Kind::UrlNotFound | Kind::UrlDenied => {
            Failure::bad(format!("INVALID_IMAGE_URL: {image}"))
        }
        Kind::UrlTimeout => Failure::new(StatusCode::PRECONDITION_FAILED, format!("IMAGE_DOWNLOAD_TIMEOUT: {image}")),
        _ => megvii::of_kind(kind, image),
    }
}
