//! Reading a request's body within bounds.

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::{HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;

/// What some services say to too long a body instead of their JSON.
pub const TOO_LONG: &str = "Request Entity Too Large";

/// [`TOO_LONG`] as an answer.
pub fn too_long() -> Response {
    let mut response = Response::new(Body::from(TOO_LONG));
    *response.status_mut() = StatusCode::PAYLOAD_TOO_LARGE;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response
}

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BodyError {
    /// It is longer than allowed, as announced or as found.
    TooLong,
    /// The connection broke before its end.
    Broken,
}

/// A body that is still to come.
///
/// Reading it is what makes the connection answer `100 Continue`. So a request can be refused by its head alone, and
/// a client that asked first never sends the bytes.
pub struct Upload {
    body: Option<Body>,
    announced: Option<u64>,
    asks_first: bool,
}

impl Upload {
    /// Takes over a request's body; `headers` are the request's.
    pub fn new(headers: &HeaderMap, body: Body) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            body: Some(body),
            announced: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            asks_first: text(EXPECT).is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")),
        }
    }

    /// The whole body, at most `bytes_max` long. A second call reads nothing.
    pub async fn read(&mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        if self.announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(BodyError::TooLong);
        }
        let Some(mut body) = self.body.take() else { return Ok(Bytes::new()) };
        let mut first: Option<Bytes> = None;
        let mut whole = BytesMut::new();
        while let Some(frame) = body.frame().await {
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            if first.as_ref().map_or(0, Bytes::len) + whole.len() + data.len() > bytes_max {
                self.body = Some(body);
                return Err(BodyError::TooLong);
            }
            // Most bodies arrive in one piece, which then need not be copied.
            match (first.take(), whole.is_empty()) {
                (None, true) => first = Some(data),
                (Some(start), _) => {
                    whole.extend_from_slice(&start);
                    whole.extend_from_slice(&data);
                }
                (None, false) => whole.extend_from_slice(&data),
            }
        }
        Ok(first.unwrap_or_else(|| whole.freeze()))
    }

    /// Reads and forgets what was not read, up to `bytes_max`.
    ///
    /// Many clients write their whole request before they look at the answer; a connection closed in their face would
    /// hide the reason. One that asked first (`Expect: 100-continue`) needs no such courtesy.
    pub async fn discard(mut self, bytes_max: usize) {
        if self.asks_first || self.announced.is_some_and(|length| length > bytes_max as u64) {
            return;
        }
        let Some(mut body) = self.body.take() else { return };
        let mut n_bytes = 0;
        while let Some(Ok(frame)) = body.frame().await {
            n_bytes += frame.data_ref().map_or(0, Bytes::len);
            if n_bytes > bytes_max {
                return;
            }
        }
    }
}
