//! Errors of the native API: an HTTP status and a code for programs, a message for people.

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use likeness_domain::{Error, Kind};

use super::dto;

/// An error on its way out.
#[derive(Debug)]
pub(super) struct NativeError(pub(super) Error);

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// HTTP status and code of a kind. No catch-all: a new kind needs an entry here.
pub(super) fn status_and_word(kind: Kind) -> (StatusCode, &'static str) {
    match kind {
        Kind::InvalidArgument => (StatusCode::BAD_REQUEST, "invalid_argument"),
        Kind::MissingArgument => (StatusCode::BAD_REQUEST, "missing_argument"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "forbidden"),
        Kind::FaceSetNotFound => (StatusCode::NOT_FOUND, "face_set_not_found"),
        Kind::FaceSetExists => (StatusCode::CONFLICT, "face_set_exists"),
        Kind::FaceSetNotEmpty => (StatusCode::CONFLICT, "face_set_not_empty"),
        Kind::TooManyFaceSets => (StatusCode::CONFLICT, "too_many_face_sets"),
        Kind::TooManyPersons => (StatusCode::CONFLICT, "too_many_persons"),
        Kind::CapacityExceeded => (StatusCode::CONFLICT, "capacity_exceeded"),
        Kind::RateExceeded => (StatusCode::TOO_MANY_REQUESTS, "rate_exceeded"),
        Kind::FaceNotFound => (StatusCode::NOT_FOUND, "face_not_found"),
        Kind::FaceExists => (StatusCode::CONFLICT, "face_exists"),
        Kind::PersonNotFound => (StatusCode::NOT_FOUND, "person_not_found"),
        Kind::PersonExists => (StatusCode::CONFLICT, "person_exists"),
        Kind::UnknownField => (StatusCode::BAD_REQUEST, "unknown_field"),
        Kind::FieldNotDefined => (StatusCode::BAD_REQUEST, "field_not_defined"),
        Kind::FieldTypeMismatch => (StatusCode::BAD_REQUEST, "field_type_mismatch"),
        Kind::SortFieldNotNumeric => (StatusCode::BAD_REQUEST, "sort_field_not_numeric"),
        Kind::NoFaceInImage => (StatusCode::UNPROCESSABLE_ENTITY, "no_face_in_image"),
        Kind::SeveralFacesInImage => (StatusCode::UNPROCESSABLE_ENTITY, "several_faces_in_image"),
        Kind::PoorQuality => (StatusCode::UNPROCESSABLE_ENTITY, "poor_quality"),
        Kind::ImageFormat => (StatusCode::UNPROCESSABLE_ENTITY, "image_format"),
        Kind::ImageCorrupt => (StatusCode::UNPROCESSABLE_ENTITY, "image_corrupt"),
        Kind::ImageDimensions => (StatusCode::UNPROCESSABLE_ENTITY, "image_dimensions"),
        Kind::ImageTooLarge => (StatusCode::PAYLOAD_TOO_LARGE, "image_too_large"),
        Kind::VideoUnreadable => (StatusCode::UNPROCESSABLE_ENTITY, "video_unreadable"),
        Kind::VideoDuration => (StatusCode::UNPROCESSABLE_ENTITY, "video_duration"),
        Kind::UrlInvalid => (StatusCode::BAD_REQUEST, "url_invalid"),
        Kind::UrlForbidden => (StatusCode::FORBIDDEN, "url_forbidden"),
        Kind::UrlUnreachable => (StatusCode::BAD_GATEWAY, "url_unreachable"),
        Kind::UrlNotFound => (StatusCode::BAD_GATEWAY, "url_not_found"),
        Kind::UrlDenied => (StatusCode::BAD_GATEWAY, "url_denied"),
        Kind::UrlTimeout => (StatusCode::GATEWAY_TIMEOUT, "url_timeout"),
        Kind::PackUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "pack_unavailable"),
        Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "unsupported"),
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Kind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}

/// The error behind an answer: how our own client reads it. A newer server may know kinds that we do not.
pub fn error_of(answer: dto::ErrorAnswer) -> Error {
    let dto::ErrorBody { kind, message, .. } = answer.error;
    let kind = Kind::ALL.iter().copied().find(|&known| status_and_word(known).1 == kind).unwrap_or(Kind::Internal);
    match message.split_once("\nhint: ") {
        Some((message, hint)) => Error::new(kind, message).with_hint(hint),
        None => Error::new(kind, message),
    }
}

impl IntoResponse for NativeError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let (status, word) = status_and_word(error.kind());
        // The one place where a native request's failure is handled, so the one place where it is logged.
        if status.is_server_error() {
            tracing::warn!(kind = word, error = ?error, "native request failed");
        } else {
            tracing::debug!(kind = word, error = ?error, "native request refused");
        }
        let body = dto::ErrorAnswer {
            error: dto::ErrorBody {
                kind: word.to_owned(),
                // With the hint, if there is one: see `error_of`.
                message: error.to_string(),
                field: error.field().map(str::to_owned),
            },
        };
        let mut response = super::body::json(status, &body);
        if matches!(error.kind(), Kind::Overloaded | Kind::RateExceeded) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }
}
