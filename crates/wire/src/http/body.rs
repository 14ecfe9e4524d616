//! Reading a request's body within bounds.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use bytes::{Bytes, BytesMut};
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, EXPECT};
use http::request::Parts;
use http::{Extensions, HeaderMap, HeaderValue, StatusCode};
use http_body_util::BodyExt;
use likeness_domain::{Error, Kind};
use tokio::time::Instant;

use super::budget::{BodyAllowance, FREE_BYTES, Reservation, Sender};

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
    /// There was no memory for it in time, or it arrived too slowly while others waited for memory.
    Busy,
}

/// What callers get at [`BodyError::Busy`], as an error of the library that each dialect has a word for.
pub fn busy() -> Error {
    Error::new(Kind::Overloaded, "there is no memory for more request bodies at the moment, try again in a few seconds")
}

/// The listener's mark on a request whose connection found no place in time: each dialect refuses it in its own words.
#[derive(Debug, Clone, Copy)]
pub struct NoPlace;

/// Refuses a request that the listener has marked with [`NoPlace`].
pub fn check_place(extensions: &Extensions) -> Result<(), Error> {
    if extensions.get::<NoPlace>().is_none() {
        return Ok(());
    }
    Err(Error::new(Kind::Overloaded, "too many connections have a request in work, try again in a few seconds"))
}

/// When a body must have arrived. The listener puts it into each request; an operation that takes very long bodies puts it
/// off as they arrive.
#[derive(Debug, Clone)]
pub struct BodyDeadline(Arc<Mutex<Instant>>);

impl BodyDeadline {
    /// At this time.
    pub fn new(at: Instant) -> Self {
        Self(Arc::new(Mutex::new(at)))
    }

    /// When it is.
    pub fn at(&self) -> Instant {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the body so much more time.
    pub fn put_off(&self, by: Duration) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) += by;
    }
}

/// A body that is still to come.
///
/// Reading it is what makes the connection answer `100 Continue`. So a request can be refused by its head alone, and
/// a client that asked first never sends the bytes.
pub struct Upload {
    body: Option<Body>,
    announced: Option<u64>,
    asks_first: bool,
    allowance: Option<BodyAllowance>,
    sender: Sender,
    /// What [`Upload::read_start`] has read.
    start: BytesMut,
}

impl Upload {
    /// Takes over a request's body, within the memory that the listener allows it.
    pub fn of(head: &Parts, body: Body) -> Self {
        Self { allowance: BodyAllowance::of(&head.extensions), ..Self::new(&head.headers, body) }
    }

    /// Takes over a request's body; `headers` are the request's.
    pub fn new(headers: &HeaderMap, body: Body) -> Self {
        let text = |name| headers.get(name).and_then(|value| value.to_str().ok());
        Self {
            body: Some(body),
            announced: text(CONTENT_LENGTH).and_then(|length| length.parse().ok()),
            asks_first: text(EXPECT).is_some_and(|expect| expect.eq_ignore_ascii_case("100-continue")),
            allowance: None,
            sender: Sender::Unknown,
            start: BytesMut::new(),
        }
    }

    /// Notes that the sender has named a key that exists.
    pub fn is_of_known_key(&mut self) {
        self.sender = Sender::Known;
    }

    /// Whether room has to be reserved for it.
    pub fn is_large(&self) -> bool {
        self.announced.is_none_or(|length| length > FREE_BYTES as u64)
    }

    /// The first bytes of the body, at least [`FREE_BYTES`] of a longer one; [`Upload::read`] returns them again.
    pub async fn read_start(&mut self) -> Result<&[u8], BodyError> {
        if let Some(body) = &mut self.body {
            while self.start.len() < FREE_BYTES {
                let Some(frame) = body.frame().await else { break };
                if let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() {
                    self.start.extend_from_slice(&data);
                }
            }
        }
        Ok(&self.start)
    }

    /// The whole body, at most `bytes_max` long. A second call reads nothing.
    ///
    /// The memory it takes is counted until the request has its answer, or [`Upload::discard`] is called.
    pub async fn read(&mut self, bytes_max: usize) -> Result<Bytes, BodyError> {
        if self.announced.is_some_and(|length| length > bytes_max as u64) {
            return Err(BodyError::TooLong);
        }
        if self.start.len() > bytes_max {
            return Err(BodyError::TooLong);
        }
        let mut reserved = None;
        // How long a body in pieces will be nobody knows: room is taken for the longest it may be.
        let n_bytes = match self.announced.and_then(|length| usize::try_from(length).ok()) {
            None if self.start.len() > FREE_BYTES => Some(bytes_max),
            announced => announced.filter(|&n_bytes| n_bytes > FREE_BYTES),
        };
        if let Some(n_bytes) = n_bytes {
            reserved = self.reserve(n_bytes).await?;
            if self.announced.is_some() {
                self.start.reserve(n_bytes.saturating_sub(self.start.len()));
            }
        }
        let Some(mut body) = self.body.take() else { return Ok(Bytes::new()) };
        let mut whole = std::mem::take(&mut self.start);
        let mut first: Option<Bytes> = None;
        loop {
            let frame = match &reserved {
                None => body.frame().await,
                Some(reservation) => tokio::select! {
                    frame = body.frame() => frame,
                    () = reservation.lost() => return Err(BodyError::Busy),
                },
            };
            let Some(frame) = frame else { break };
            let Ok(data) = frame.map_err(|_| BodyError::Broken)?.into_data() else { continue };
            let n_bytes = first.as_ref().map_or(0, Bytes::len) + whole.len() + data.len();
            if n_bytes > bytes_max {
                self.body = Some(body);
                return Err(BodyError::TooLong);
            }
            match &reserved {
                Some(reservation) => reservation.received(data.len()),
                None if n_bytes > FREE_BYTES => match self.reserve(bytes_max).await {
                    Ok(reservation) => reserved = reservation,
                    Err(error) => {
                        self.body = Some(body);
                        return Err(error);
                    }
                },
                None => {}
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
        let whole = first.unwrap_or_else(|| whole.freeze());
        if let Some(reservation) = reserved {
            reservation.arrived(whole.len());
        }
        Ok(whole)
    }

    // Not `async`: the future must not borrow the body, which threads cannot share.
    fn reserve(&self, n_bytes: usize) -> impl Future<Output = Result<Option<Arc<Reservation>>, BodyError>> + use<> {
        let (allowance, sender) = (self.allowance.clone(), self.sender);
        async move {
            match allowance {
                None => Ok(None),
                Some(allowance) => allowance.reserve(sender, n_bytes).await.map(Some).ok_or(BodyError::Busy),
            }
        }
    }

    /// Reads and forgets what was not read, up to `bytes_max`.
    ///
    /// Many clients write their whole request before they look at the answer; a connection closed in their face would
    /// hide the reason. One that asked first (`Expect: 100-continue`) needs no such courtesy.
    pub async fn discard(mut self, bytes_max: usize) {
        if let Some(allowance) = &self.allowance {
            allowance.release();
        }
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
