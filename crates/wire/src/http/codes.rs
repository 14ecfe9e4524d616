//! Status and code of each kind of error, by which the native API answers and the log and the metrics tell it.

use http::StatusCode;
use likeness_domain::Kind;

/// HTTP status of a kind.
pub fn status_of(kind: Kind) -> u16 {
    status_and_word(kind).0.as_u16()
}

/// Code of a kind.
pub fn code_of(kind: Kind) -> &'static str {
    status_and_word(kind).1
}

/// HTTP status and code of a kind. No catch-all: a new kind needs an entry here.
pub(crate) fn status_and_word(kind: Kind) -> (StatusCode, &'static str) {
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
        Kind::KeyNotFound => (StatusCode::NOT_FOUND, "key_not_found"),
        Kind::TenantNotFound => (StatusCode::NOT_FOUND, "tenant_not_found"),
        Kind::TenantExists => (StatusCode::CONFLICT, "tenant_exists"),
        Kind::JobNotFound => (StatusCode::NOT_FOUND, "job_not_found"),
        Kind::JobDone => (StatusCode::CONFLICT, "job_done"),
        Kind::Changed => (StatusCode::PRECONDITION_FAILED, "changed"),
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
        Kind::PackNotFound => (StatusCode::NOT_FOUND, "pack_not_found"),
        Kind::UploadNotFound => (StatusCode::NOT_FOUND, "upload_not_found"),
        Kind::PackUnavailable => (StatusCode::SERVICE_UNAVAILABLE, "pack_unavailable"),
        Kind::Unsupported => (StatusCode::NOT_IMPLEMENTED, "unsupported"),
        Kind::Overloaded => (StatusCode::SERVICE_UNAVAILABLE, "overloaded"),
        Kind::StorageFull => (StatusCode::INSUFFICIENT_STORAGE, "storage_full"),
        Kind::Internal => (StatusCode::INTERNAL_SERVER_ERROR, "internal"),
    }
}
