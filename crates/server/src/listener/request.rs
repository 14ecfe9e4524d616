//! What every request meets: an id, a deadline for its body, a line in the log, and a net for our own faults.

use std::convert::Infallible;
use std::future::poll_fn;
use std::net::IpAddr;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use likeness_domain::Kind;
use likeness_domain::ports::{IdSource, STEPS};
use likeness_wire::http::body::{BodyDeadline, NoPlace};
use likeness_wire::http::budget::{BodyAllowance, BodyBudget, Peer};
use likeness_wire::http::origin::OverTls;
use likeness_wire::http::request_id::{self, RequestId};
use likeness_wire::http::trace::{self, Failure, Observed};
use likeness_wire::native;
use tokio::time::{Instant, Sleep};
use tower::ServiceExt;
use tracing::field::Empty;
use tracing::{Instrument, Level, Span};

use super::Settings;
use super::large::{LargeRequests, is_large};
use super::peer::Proxies;
use super::places::{InFlight, Place};
use crate::metrics::Metrics;

/// Characters of a path in the log; the rest of a longer one says nothing more.
const LOGGED_PATH_CHARS_MAX: usize = 200;

/// Stands before the dialects.
#[derive(Clone)]
pub(super) struct Front {
    pub(super) router: Router,
    pub(super) ids: Arc<dyn IdSource>,
    pub(super) large: Arc<LargeRequests>,
    pub(super) bounds: Arc<Settings>,
    pub(super) proxies: Arc<Proxies>,
    /// Whether this server ended the connection's TLS.
    pub(super) is_over_tls: bool,
    /// Memory for bodies; `None` on the socket in the data folder, whose owner is not bounded.
    pub(super) budget: Option<Arc<BodyBudget>>,
    /// Where requests are counted.
    pub(super) metrics: Arc<Metrics>,
}

impl Front {
    /// Has the router answer, whatever happens. `peer` is the other end of the connection, if that is a network;
    /// `in_flight` lives as long as the answer's body.
    pub(super) fn answer(
        &self,
        request: Request<Incoming>,
        peer: Option<IpAddr>,
        in_flight: InFlight,
    ) -> impl Future<Output = Result<Response<Answer>, Infallible>> + use<> {
        let id = request_id::fresh(&*self.ids);
        let client = peer.map(|peer| self.proxies.client(peer, request.headers()));
        let line = AccessLine::begin(&request, client);
        let step = step(&request, &id);
        let deadline = BodyDeadline::new(line.started + self.bounds.body_timeout);
        let large = is_large(request.body()).then(|| Arc::clone(&self.large));
        let until = deadline.clone();
        let mut request = request.map(|body| Body::new(ArrivingBody::new(body, until, Arc::clone(&in_flight.0))));
        request.extensions_mut().insert(deadline);
        let request_id = id.clone();
        request.extensions_mut().insert(RequestId(id.clone()));
        if self.is_over_tls {
            request.extensions_mut().insert(OverTls);
        }
        // Held until the answer is ready.
        let allowance = self.budget.clone().zip(client);
        let allowance = allowance.map(|(budget, client)| BodyAllowance::new(budget, Peer::from(client)));
        if let Some(allowance) = &allowance {
            request.extensions_mut().insert(allowance.clone());
        }
        let (router, bounds, place) = (self.router.clone(), Arc::clone(&self.bounds), Arc::clone(&in_flight.0));
        let answering = without_panic(async move {
            if let Some(refusal) = host_refusal(&request, &request_id) {
                return Ok(refusal);
            }
            if !is_about_health(request.uri().path()) && !place.may_work(&bounds).await {
                request.extensions_mut().insert(NoPlace);
            }
            let answering = async move {
                let (Ok(mut response), observed) = trace::observed(router.oneshot(request)).await;
                response.extensions_mut().insert(observed);
                Ok(response)
            };
            match large {
                Some(large) => large.answer(answering).await,
                None => answering.await,
            }
        });
        let (metrics, under_way, traced) = (Arc::clone(&self.metrics), self.metrics.request(), step.clone());
        let answering = async move {
            let mut response = answering.await.unwrap_or_else(|| {
                // The panic's message is in the log already, through the hook, under this span.
                let mut response = plain(StatusCode::INTERNAL_SERVER_ERROR, "internal", "internal error");
                response.extensions_mut().insert(Observed::panicked());
                response
            });
            drop((allowance, under_way));
            let observed = response.extensions_mut().remove::<Observed>().unwrap_or_default();
            metrics.answered(&observed, response.status().as_u16(), line.started.elapsed());
            trace_outcome(&traced, &observed, response.status());
            line.end(response.status(), observed.failure);
            Ok(response.map(|body| Answer { body, _in_flight: in_flight }))
        };
        let logged = step.in_scope(|| {
            tracing::info_span!("request", id, dialect = Empty, operation = Empty, tenant = Empty, key = Empty)
        });
        answering.instrument(logged).instrument(step)
    }
}

/// The request as a trace shows it; nothing where nobody traces, and for what asks every few seconds how the server is.
fn step<B>(request: &Request<B>, id: &str) -> Span {
    let path = request.uri().path();
    if is_about_health(path) || path == "/metrics" {
        return Span::none();
    }
    // Several are as good as none.
    let mut parents = request.headers().get_all("traceparent").iter();
    let parent = parents.next().filter(|_| parents.next().is_none()).and_then(|parent| parent.to_str().ok());
    // Only methods that the standard knows: others are a client's words.
    let method = if is_standard(request.method()) { request.method().as_str() } else { "_OTHER" };
    tracing::info_span!(
        target: STEPS,
        "request",
        request_id = id,
        traceparent = parent,
        method,
        dialect = Empty,
        operation = Empty,
        status = Empty,
        refusal = Empty,
        is_fault = Empty
    )
}

fn is_standard(method: &Method) -> bool {
    [
        Method::GET,
        Method::HEAD,
        Method::POST,
        Method::PUT,
        Method::PATCH,
        Method::DELETE,
        Method::OPTIONS,
        Method::CONNECT,
        Method::TRACE,
    ]
    .contains(method)
}

/// Tells the trace how the request ended.
fn trace_outcome(step: &Span, observed: &Observed, status: StatusCode) {
    if step.is_disabled() {
        return;
    }
    step.record("status", u64::from(status.as_u16()));
    step.record("is_fault", status.is_server_error());
    let words =
        [("dialect", observed.dialect), ("operation", observed.operation.as_deref()), ("refusal", observed.refusal)];
    for (field, word) in words {
        if let Some(word) = word {
            step.record(field, word);
        }
    }
}

impl Front {
    /// Counts and logs a request whose head the HTTP library has refused. Who sent it is the other end of the connection:
    /// what a proxy wrote into that head is unknown.
    pub(super) fn refused_head(&self, peer: Option<IpAddr>, status: u16, error: &hyper::Error) {
        let observed = Observed { refusal: Some("request"), ..Observed::default() };
        self.metrics.answered(&observed, status, Duration::ZERO);
        tracing::info!(client = peer.map(tracing::field::display), status, reason = %error, "a request's head was refused");
    }
}

/// What health checks ask for. It is answered also where there is no place for anything else.
fn is_about_health(path: &str) -> bool {
    path == "/healthz" || path == "/readyz"
}

/// The answer to a request that does not say once which host it is for, as RFC 9112, section 3.2 demands: two hosts are how
/// a request is made to mean one thing to a proxy and another to us.
fn host_refusal<B>(request: &Request<B>, request_id: &str) -> Option<Response<Body>> {
    let n_hosts = request.headers().get_all(header::HOST).iter().count();
    let is_wrong = n_hosts > 1 || (n_hosts == 0 && request.version() >= Version::HTTP_11);
    let message = format!("the request has {n_hosts} `Host` headers, expected 1");
    is_wrong.then(|| match request.uri().path().strip_prefix(native::PREFIX) {
        Some(rest) if rest.is_empty() || rest.starts_with('/') => {
            native::refusal(Kind::InvalidArgument, &message, "host", request_id)
        }
        _ => plain(StatusCode::BAD_REQUEST, "invalid_argument", &message),
    })
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

/// An answer of the server itself, before any dialect. The message is ours and has nothing that JSON would escape.
fn plain(status: StatusCode, kind: &str, message: &str) -> Response<Body> {
    let mut response = Response::new(Body::from(format!(r#"{{"error":{{"kind":"{kind}","message":"{message}"}}}}"#)));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"));
    response
}

/// One line of the access log, written when the answer is ready or the client has gone.
struct AccessLine {
    method: http::Method,
    /// Without the query: tokens and signatures may be in there.
    path: String,
    /// The client's address; nothing on the socket in the data folder.
    client: Option<IpAddr>,
    started: Instant,
    ended: bool,
}

impl AccessLine {
    fn begin<B>(request: &Request<B>, client: Option<IpAddr>) -> Self {
        let path = request.uri().path().chars().take(LOGGED_PATH_CHARS_MAX).collect();
        Self { method: request.method().clone(), path, client, started: Instant::now(), ended: false }
    }

    /// Writes the line: as an error if the server is at fault, as a warning if the operator can do something about it.
    fn end(mut self, status: StatusCode, failure: Option<Failure>) {
        self.ended = true;
        let (ms, client) = (self.ms(), self.client.map(tracing::field::display));
        let (method, path, status) = (tracing::field::display(&self.method), self.path.as_str(), status.as_u16());
        macro_rules! write_line {
            ($level:expr, $($field:tt)*) => {
                tracing::event!($level, client, method, path, status, ms, $($field)* "answered")
            };
        }
        let Some(failure) = failure else {
            return match is_about_health(path) {
                true => write_line!(Level::DEBUG,),
                false => write_line!(Level::INFO,),
            };
        };
        let Failure { is_fault, code, reason, source, hint, answer_id } = failure;
        let reason = Some(reason).filter(|reason| !reason.is_empty());
        if is_fault {
            write_line!(Level::ERROR, code, reason, source, hint, answer_id,);
        } else if hint.is_some() {
            write_line!(Level::WARN, code, reason, source, hint, answer_id,);
        } else {
            write_line!(Level::INFO, code, reason, source, hint, answer_id,);
        }
    }

    fn ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(u64::MAX)
    }
}

impl Drop for AccessLine {
    fn drop(&mut self) {
        if !self.ended {
            let (ms, client) = (self.ms(), self.client.map(tracing::field::display));
            tracing::info!(client, method = %self.method, path = self.path, ms, "client left before the answer");
        }
    }
}

/// A request's body that must be complete by its deadline, and whose connection's place learns when it is waited for.
struct ArrivingBody {
    body: Incoming,
    deadline: BodyDeadline,
    // Made at the first wait: most bodies come with their head.
    sleep: Option<Pin<Box<Sleep>>>,
    place: Arc<Place>,
    n_received: u64,
    /// How long it was waited for in all, without the wait that goes on.
    waited: Duration,
    waits_since: Option<Instant>,
}

impl ArrivingBody {
    fn new(body: Incoming, deadline: BodyDeadline, place: Arc<Place>) -> Self {
        Self { body, deadline, sleep: None, place, n_received: 0, waited: Duration::ZERO, waits_since: None }
    }

    fn stop_waiting(&mut self) {
        if let Some(since) = self.waits_since.take() {
            self.waited += since.elapsed();
            self.place.waits_for_body_no_more();
        }
    }
}

impl Drop for ArrivingBody {
    fn drop(&mut self) {
        // What is not read is not waited for.
        self.stop_waiting();
    }
}

impl HttpBody for ArrivingBody {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            this.stop_waiting();
            if let Some(Ok(frame)) = &frame {
                this.n_received += frame.data_ref().map_or(0, Bytes::len) as u64;
            }
            return Poll::Ready(frame.map(|frame| frame.map_err(Into::into)));
        }
        if this.waits_since.is_none() {
            this.waits_since = Some(Instant::now());
            this.place.waits_for_body(this.n_received, this.waited);
        }
        let deadline = this.deadline.at();
        let sleep = this.sleep.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(deadline)));
        if sleep.deadline() < deadline {
            sleep.as_mut().reset(deadline);
        }
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
    _in_flight: InFlight,
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
