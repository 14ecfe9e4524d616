//! What every request meets: an id, a deadline for its body, a line in the log, and a net for our own faults.

use std::convert::Infallible;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use likeness_domain::ports::IdSource;
use likeness_wire::http::request_id::{self, RequestId};
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;
use tracing::Instrument;

use super::connection::InFlightGuard;
use super::large::{LargeRequests, is_large};

/// Characters of a path in the log; the rest of a longer one says nothing more.
const LOGGED_PATH_CHARS_MAX: usize = 200;

/// Stands before the dialects.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) router: Router,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) large: Arc<LargeRequests>,
    pub(super) body_timeout: Duration,
}

impl Front {
    /// Has the router answer, whatever happens. `in_flight` lives as long as the answer's body.
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
        in_flight: InFlightGuard,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
        let id = request_id::fresh(&*self.ids);
        let line = AccessLine::begin(&request);
        let deadline = line.started + self.body_timeout;
        let large = is_large(request.body()).then(|| Arc::clone(&self.large));
        let mut request = request.map(|body| Body::new(DeadlineBody { body, deadline, sleep: None }));
        request.extensions_mut().insert(RequestId(id.clone()));
        let answering = self.router.clone().oneshot(request);
        let answering = without_panic(async move {
            match large {
                Some(large) => large.answer(answering).await,
                None => answering.await,
            }
        });
        let answering = async move {
            let response = answering.await.unwrap_or_else(|| {
                // The panic's message is in the log already, through the hook, under this span.
                tracing::error!("a request made the server panic");
                broken()
            });
            line.end(response.status());
            Ok(response.map(|body| Answer { body, _in_flight: in_flight }))
        };
        answering.instrument(tracing::info_span!("request", id))
    }
}

/// Runs a future to its end; `None` if it panics. One bad request must not take its connection's neighbours along.
async fn without_panic(future: impl Future<Output = Result<Response<Body>, Infallible>>) -> Option<Response<Body>> {
    let mut future = std::pin::pin!(future);
    // Unwind safety: the future is dropped after a panic and never polled again.
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(polled) => polled.map(|Ok(response)| Some(response)),
        Err(_) => Poll::Ready(None),
    })
    .await
}

fn broken() -> Response<Body> {
    let mut response = Response::new(Body::from(r#"{"error":{"kind":"internal","message":"internal error"}}"#));
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// One line of the access log, written when the answer is ready or the client has gone.
struct AccessLine {
    method: http::Method,
    /// Without the query: tokens and signatures may be in there.
    path: String,
    started: Instant,
    ended: bool,
}

impl AccessLine {
    fn begin<B>(request: &Request<B>) -> Self {
        let path = request.uri().path().chars().take(LOGGED_PATH_CHARS_MAX).collect();
        Self { method: request.method().clone(), path, started: Instant::now(), ended: false }
    }

    fn end(mut self, status: StatusCode) {
        self.ended = true;
        let ms = self.ms();
        if self.path == "/healthz" || self.path == "/readyz" {
            tracing::debug!(method = %self.method, path = self.path, status = status.as_u16(), ms, "answered");
        } else {
            tracing::info!(method = %self.method, path = self.path, status = status.as_u16(), ms, "answered");
        }
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if !self.ended {
            tracing::info!(method = %self.method, path = self.path, ms = self.ms(), "client left before the answer");
        }
    }
}

/// A request's body that must be complete by its deadline.
struct DeadlineBody {
    body: Incoming,
    deadline: Instant,
    // Made at the first wait: most bodies come with their head.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl HttpBody for DeadlineBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        let deadline = this.deadline;
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        sleep.as_mut().poll(cx).map(|()| Some(Err("the body did not arrive in time".into())))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// An answer's body; the request is in flight until it is dropped.
pub(super) struct Answer {
    body: Body,
    _in_flight: InFlightGuard,
}

impl HttpBody for Answer {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
