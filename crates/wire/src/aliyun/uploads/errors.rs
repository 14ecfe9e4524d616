//! What the storage refuses, as the vendor's storage service does: XML, with its codes.

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, StatusCode, header};
use likeness_domain::{Error, Kind};

use crate::aliyun::errors::Refusal;
use crate::http::failed_call::FailedCall;

/// A failed library call; what lies below it goes to the log only.
pub(super) fn of(error: Error) -> Refusal {
    // Names, grants and lifetimes are checked or given here: the uploader can mend the size of a file, or wait.
    let (status, code) = match error.kind() {
        Kind::ImageTooLarge => (StatusCode::BAD_REQUEST, "EntityTooLarge"),
        Kind::Forbidden => (StatusCode::FORBIDDEN, "AccessDenied"),
        kind if kind.is_retryable() => (StatusCode::SERVICE_UNAVAILABLE, "ServiceUnavailable"),
        _ => (StatusCode::INTERNAL_SERVER_ERROR, "InternalError"),
    };
    let message = match code {
        "InternalError" => "the file could not be kept; the server's log has the reason under this request id",
        _ => error.message(),
    };
    Refusal { status, code, message: message.to_owned(), source: Some(error) }
}

/// Logs the refusal, once, and answers it.
pub(super) fn refused(refusal: Refusal, request_id: &str) -> Response {
    let Refusal { status, code, message, source } = refusal;
    let failed = FailedCall {
        dialect: "aliyun",
        operation: None,
        request_id,
        answer_id: None,
        status: status.as_u16(),
        code,
        source: source.as_ref(),
        message: "upload refused",
    };
    failed.log(status.is_server_error());
    // Codes, messages and ids are ours, and none has a character that XML would need escaped.
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code><Message>{message}</Message>\
         <RequestId>{request_id}</RequestId></Error>\n"
    );
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/xml"));
    response
}
