//! Every error of the service, and which of our kinds gets which.

use http::StatusCode;
use likeness_domain::{Error, Kind};

use super::settings::{BadSign, Settings};
use crate::megvii::errors as megvii;
pub(super) use crate::megvii::errors::Failure;

/// Nobody has that key.
pub(super) fn unknown_key() -> Failure {
    Failure::new(StatusCode::FORBIDDEN, "AUTHENTICATION_ERROR")
}

/// The signature is not the key's.
pub(super) fn wrong_mac(settings: &Settings) -> Failure {
    match settings.bad_sign_error {
        BadSign::Authorization => Failure::refused("INVALID_SIGN"),
        BadSign::Authentication => unknown_key(),
    }
}

/// The face is not in the library.
pub(super) fn no_face() -> Failure {
    Failure::bad("INVALID_FACE_TOKEN")
}

/// A failed library call; `image` is the field its picture came in.
pub(super) fn library(error: Error, image: &'static str, settings: &Settings) -> Failure {
    of_kind(error.kind(), error.field(), image, settings).of(error)
}

/// The error of a kind. `field` is the one at fault, as the library calls it; `image` is the field the picture came in.
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
        Kind::FaceSetNotFound => Failure::bad(settings.unknown_group_error),
        Kind::FaceSetExists => Failure::bad(settings.group_exist_error.clone()),
        Kind::FaceSetNotEmpty => Failure::bad("NOT_EMPTY"),
        Kind::TooManyFaceSets => Failure::bad(settings.group_quota_error.clone()),
        Kind::CapacityExceeded | Kind::TooManyPersons => Failure::bad(settings.face_quota_error.clone()),
        Kind::FaceNotFound => no_face(),
        Kind::NoFaceInImage => Failure::bad(format!("NO_FACE_FOUND: {image}")),
        Kind::Overloaded | Kind::RateExceeded => {
            let status = StatusCode::from_u16(settings.concurrency_status).unwrap_or(StatusCode::FORBIDDEN);
            Failure { status, ..megvii::of_kind(kind, image) }
        }
        _ => megvii::of_kind(kind, image),
    }
}
