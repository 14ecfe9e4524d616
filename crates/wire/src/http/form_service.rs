//! What services of one family have in common: every call is a form that is posted, and every answer in JSON has an id
//! and a duration beside its own members, of which a refusal has but one, a code.
//!
//! This is the one place here that knows error codes: those the whole family has. Each dialect keeps its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;

use axum::extract::Request;
use axum::response::Response;
use http::request::Parts;
use http::{Method, StatusCode, header};
use likeness_domain::Error;
use likeness_domain::ports::{Clock, IdSource};
use serde::Serialize;

use super::body::{self, BodyError, Upload};
use super::fields::{FieldError, Fields};
use super::{json, request_id};
use crate::router::RETRY_AFTER;

/// A request that was not done, in the family's words.
#[derive(Debug)]
pub struct Failure {
    /// HTTP status.
    pub status: StatusCode,
    /// As it is sent: a code, or a code, a colon, one space and a detail.
    pub error: Cow<'static, str>,
    /// The failed library call, for the log.
    pub source: Option<Error>,
}

impl Failure {
    /// An error by its status and code.
    pub fn new(status: StatusCode, error: impl Into<Cow<'static, str>>) -> Self {
        Self { status, error: error.into(), source: None }
    }

    /// A 400.
    pub fn bad(error: impl Into<Cow<'static, str>>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, error)
    }

    /// A required field is absent or empty; of a choice, all names.
    pub fn missing(field: &str) -> Self {
        Self::bad(format!("MISSING_ARGUMENTS: {field}"))
    }

    /// A field is malformed or out of range.
    pub fn malformed(field: &str) -> Self {
        Self::bad(format!("BAD_ARGUMENTS: {field}"))
    }

    /// The bytes are no picture in an accepted format.
    pub fn no_picture(field: &str) -> Self {
        Self::bad(format!("IMAGE_ERROR_UNSUPPORTED_FORMAT: {field}"))
    }

    /// The key may not be used so, for this reason.
    pub fn refused(reason: &str) -> Self {
        Self::new(StatusCode::FORBIDDEN, format!("AUTHORIZATION_ERROR: {reason}"))
    }

    /// This failure, which is how a failed library call is answered. What lies below goes to the log only.
    pub fn of(self, error: Error) -> Self {
        Self { source: Some(error), ..self }
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

/// What every answer has, and the answer itself.
#[derive(Serialize)]
struct Envelope<'a, T> {
    request_id: &'a str,
    time_used: i64,
    #[serde(flatten)]
    answer: T,
}

/// One service of the family: where it differs from the others.
pub struct FormService<'a, O> {
    /// Its name in the log.
    pub dialect: &'static str,
    /// The member of a refusal.
    pub error_member: &'static str,
    /// Whether the detail of an error may be logged.
    pub logs_details: bool,
    /// The field without which nobody is known: a request whose form has no end lacks it.
    pub key_field: &'static str,
    /// Most bytes of a request's body.
    pub max_body_bytes: usize,
    /// The call of a method and raw path.
    pub find: fn(&Method, &str) -> Option<O>,
    /// Tells the time of an answer and how long it took.
    pub clock: &'a dyn Clock,
    /// Makes the ids of answers.
    pub ids: &'a dyn IdSource,
}

/// The error of a caller that has to come back later, in both dialects.
pub const TOO_MANY: &str = "CONCURRENCY_LIMIT_EXCEEDED";

impl<O: Copy + Debug> FormService<'_, O> {
    /// Answers a request, whatever it is: `run` does a call, given its fields.
    pub async fn answer<A, R>(&self, request: Request, request_id: &str, run: impl FnOnce(O, Fields) -> R) -> Response
    where
        A: Serialize,
        R: Future<Output = Result<A, Failure>>,
    {
        let started = self.clock.now();
        let answer_id = request_id::dated(started, self.ids);
        let (head, content) = request.into_parts();
        let mut upload = Upload::new(&head.headers, content);
        let operation = (self.find)(&head.method, head.uri.path());
        let outcome = match operation {
            Some(operation) => match self.fields(&head, &mut upload).await {
                Ok(fields) => run(operation, fields).await,
                Err(failure) => Err(failure),
            },
            None => Err(Failure::new(StatusCode::NOT_FOUND, "API_NOT_FOUND")),
        };
        upload.discard(2 * self.max_body_bytes).await;
        let time_used = (self.clock.now().0 - started.0).max(0);
        match outcome {
            Ok(answer) => json::answer(StatusCode::OK, &Envelope { request_id: &answer_id, time_used, answer }),
            Err(failure) => {
                self.log(&failure, operation, request_id, &answer_id);
                if failure.status == StatusCode::PAYLOAD_TOO_LARGE {
                    return body::too_long();
                }
                let answer = BTreeMap::from([(self.error_member, &*failure.error)]);
                let mut response =
                    json::answer(failure.status, &Envelope { request_id: &answer_id, time_used, answer });
                // These vendors say "too many" with 403; the router adds the header to 429 and 503.
                if failure.error == TOO_MANY {
                    response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
                }
                response
            }
        }
    }

    async fn fields(&self, head: &Parts, upload: &mut Upload) -> Result<Fields, Failure> {
        let body = upload.read(self.max_body_bytes).await.map_err(|error| match error {
            BodyError::TooLong => Failure::new(StatusCode::PAYLOAD_TOO_LARGE, body::TOO_LONG),
            // Nobody is left to read the answer; a form without its end has no fields.
            BodyError::Broken => Failure::missing(self.key_field),
        })?;
        Ok(Fields::read(&head.headers, body, head.uri.query()).await)
    }

    /// Logs a failure, once, under the id of the request and that of the answer.
    fn log(&self, failure: &Failure, operation: Option<O>, request_id: &str, answer_id: &str) {
        let Failure { status, error, source } = failure;
        let code = if self.logs_details { error } else { error.split_once(": ").map_or(&**error, |(code, _)| code) };
        let (dialect, status) = (self.dialect, status.as_u16());
        let message = source.as_ref().map_or("", Error::message);
        let operation = operation.map(tracing::field::debug);
        if status >= 500 {
            let source = source.as_ref().map(tracing::field::debug);
            tracing::error!(dialect, operation, request_id, answer_id, status, code, source, "{message}");
        } else {
            tracing::info!(dialect, operation, request_id, answer_id, status, code, "{message}");
        }
    }
}
