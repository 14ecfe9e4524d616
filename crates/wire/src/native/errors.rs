//! Errors of the native API: an HTTP status and a code for programs, a message for people.

use std::borrow::Cow;

use axum::body::Body;
use axum::extract::Request;
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use likeness_domain::{Error, Kind};

use super::dto::PREFIX;
use super::{convert, dto};
use crate::http::codes::status_and_word;
use crate::http::json;
use crate::http::request_id::RequestId;
use crate::http::trace;

/// Field of a `Forbidden` error that says that nobody is known: it is answered with 401, not 403.
pub(super) const AUTHORIZATION: &str = "authorization";

/// Field of a `Forbidden` error that says that the page of a request was made for somebody else than is signed in.
pub(super) const OTHER_SESSION: &str = "x-likeness-session";

/// An error on its way out.
#[derive(Debug)]
pub(super) struct NativeError(pub(super) Error);

impl From<Error> for NativeError {
    fn from(error: Error) -> Self {
        Self(error)
    }
}

/// The error behind an answer: how our own client reads it. A newer server may know kinds that we do not.
pub fn error_of(answer: dto::ErrorAnswer) -> Error {
    let dto::ErrorBody { kind, message, hint, .. } = answer.error;
    let kind = Kind::ALL.iter().copied().find(|&known| status_and_word(known).1 == kind).unwrap_or(Kind::Internal);
    // An earlier server wrote the hint behind the message.
    let (message, hint) = match (message.split_once("\nhint: "), hint) {
        (Some((message, hint)), None) => (message.to_owned(), Some(hint.to_owned())),
        (_, hint) => (message, hint),
    };
    match hint {
        Some(hint) => Error::new(kind, message).with_hint(hint),
        None => Error::new(kind, message),
    }
}

impl IntoResponse for NativeError {
    fn into_response(self) -> Response {
        let Self(error) = self;
        let is_unknown = error.kind() == Kind::Forbidden && error.field() == Some(AUTHORIZATION);
        let is_other = error.kind() == Kind::Forbidden && error.field() == Some(OTHER_SESSION);
        let (status, word) = match (is_unknown, is_other) {
            (true, _) => (StatusCode::UNAUTHORIZED, "unauthenticated"),
            (_, true) => (StatusCode::FORBIDDEN, "other_session"),
            _ => status_and_word(error.kind()),
        };
        // The one place where a native request's failure is handled, so the one place where it is logged. What a refusal
        // says may quote names that the caller sent, so only its code stands in the request's line.
        let is_fault = status.is_server_error();
        trace::refused_early("native", None);
        let is_noted = trace::failed(trace::Failure {
            is_fault,
            code: word.to_owned(),
            source: is_fault.then(|| format!("{error:?}")),
            hint: error.hint().filter(|_| is_fault).map(str::to_owned),
            ..trace::Failure::default()
        });
        if !is_fault {
            tracing::debug!(kind = word, error = ?error, "native request refused");
        } else if !is_noted {
            tracing::warn!(kind = word, error = ?error, "native request failed");
        }
        let option = error.field().map(option_of);
        let message = match (error.field(), option) {
            // What the library calls otherwise is called so by nobody who reads this.
            (Some(field), Some(option)) if field != option => {
                Cow::Owned(error.message().replacen(&format!("`{field}`"), &format!("`{option}`"), 1))
            }
            _ => Cow::Borrowed(error.message()),
        };
        let failures = error.failures().iter().map(convert::failure).collect();
        let mut response = answered(status, word, &message, option, error.hint(), failures);
        if matches!(error.kind(), Kind::Overloaded | Kind::RateExceeded) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        if is_unknown {
            response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        response
    }
}

/// Most characters of a message; it may quote what the caller sent.
const MESSAGE_CHARS_MAX: usize = 500;

/// What stands in the place of the rest.
const CUT: &str = " [..] ";

/// A message of bounded length: of a longer one its beginning and its end, where what is accepted mostly stands.
fn bounded(message: &str) -> Cow<'_, str> {
    let n_chars = message.chars().count();
    if n_chars <= MESSAGE_CHARS_MAX {
        return Cow::Borrowed(message);
    }
    let half = (MESSAGE_CHARS_MAX - CUT.len()) / 2;
    let begin = message.chars().take(half);
    Cow::Owned(begin.chain(CUT.chars()).chain(message.chars().skip(n_chars - half)).collect())
}

/// The option of this API that the library calls so.
fn option_of(field: &str) -> &str {
    match field {
        "face set name" => "name",
        "external id" => "external_id",
        "person key" => "key",
        "picture name" => "upload",
        "first image" => "image_a",
        "second image" => "image_b",
        field => field,
    }
}

/// A refusal with this code; [`identify`] adds the request's id.
pub(super) fn answer(
    status: StatusCode,
    code: &'static str,
    message: &str,
    field: Option<&str>,
    hint: Option<&str>,
) -> Response {
    answered(status, code, message, field, hint, Vec::new())
}

fn answered(
    status: StatusCode,
    code: &'static str,
    message: &str,
    field: Option<&str>,
    hint: Option<&str>,
    failures: Vec<dto::Failure>,
) -> Response {
    trace::refused_as(code);
    let error = dto::ErrorBody {
        code: code.to_owned(),
        kind: code.to_owned(),
        message: bounded(message).into_owned(),
        field: field.map(|field| bounded(field).into_owned()),
        hint: hint.map(str::to_owned),
        request_id: None,
        docs: Some(format!("{PREFIX}/docs#{code}")),
        failures,
    };
    let mut response = json::answer_as("application/json", status, &dto::ErrorAnswer { error: error.clone() });
    response.extensions_mut().insert(error);
    response
}

/// A refusal of the server itself, before any operation is looked for; its `X-Request-Id` is set here.
pub fn refusal(kind: Kind, message: &str, field: &str, request_id: &str) -> Response {
    let (status, code) = status_and_word(kind);
    let mut response = answer(status, code, message, Some(field), None);
    if let Some(error) = response.extensions_mut().remove::<dto::ErrorBody>() {
        let error = dto::ErrorBody { request_id: Some(request_id.to_owned()), ..error };
        *response.body_mut() = Body::from(json::write(&dto::ErrorAnswer { error }));
    }
    if let Ok(value) = HeaderValue::from_str(request_id) {
        response.headers_mut().insert("x-request-id", value);
    }
    response
}

/// Puts the id of the request into its answer, and into a refusal's text.
pub(super) async fn identify(request: Request, next: Next) -> Response {
    let request_id = request.extensions().get::<RequestId>().map(|id| id.0.clone());
    let mut response = next.run(request).await;
    if let Some(value) = request_id.as_deref().and_then(|id| HeaderValue::from_str(id).ok()) {
        response.headers_mut().insert("x-request-id", value);
    }
    if let Some(error) = response.extensions_mut().remove::<dto::ErrorBody>() {
        let error = dto::ErrorBody { request_id, ..error };
        *response.body_mut() = Body::from(json::write(&dto::ErrorAnswer { error }));
    }
    response
}
