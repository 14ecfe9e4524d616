//! One connection, from accept to close.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::watch;

use super::io::WriteBounded;
use super::request::Front;

/// On shutdown, time for a request whose head is just arriving to become one in flight.
const DRAIN_PAUSE: Duration = Duration::from_millis(250);

/// Header lines of a request. Vendors' SDKs send about 15.
const HEADERS_MAX: usize = 100;

/// How to run a connection.
pub(super) struct Connection {
    pub(super) front: Front,
    pub(super) bounds: super::Settings,
    pub(super) stop: watch::Receiver<bool>,
}

impl Connection {
    /// Answers until the client leaves, breaks a bound, or the server stops and nothing is in flight.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let in_flight = Arc::new(InFlight::default());
        let service = service_fn(|request| self.front.answer(request, in_flight.begin()));
        let stream = TokioIo::new(WriteBounded::new(stream, self.bounds.write_timeout));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                .header_read_timeout(self.bounds.head_timeout)
                .max_buf_size(self.bounds.head_bytes_max)
                .max_headers(HEADERS_MAX)
                .serve_connection(stream, service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            _ = self.stop.wait_for(|stop| *stop) => None,
        };
        let ended = match ended {
            Some(ended) => ended,
            None => {
                // An idle connection closes here; one with a request in flight after its answer. One that never sent
                // a request would stay open until its head times out, so it is dropped after a moment.
                connection.as_mut().graceful_shutdown();
                tokio::select! {
                    ended = connection.as_mut() => ended,
                    () = tokio::time::sleep(DRAIN_PAUSE) => {
                        if in_flight.is_none() {
                            return;
                        }
                        connection.await
                    }
                }
            }
        };
        if let Err(error) = ended {
            // Clients hang up, time out and send nonsense; none of it is our fault.
            tracing::debug!(error = %error, "connection ended early");
        }
    }
}

/// Counts the requests of a connection that have begun and whose answer is not yet written.
#[derive(Debug, Default)]
struct InFlight(AtomicUsize);

impl InFlight {
    fn begin(self: &Arc<Self>) -> InFlightGuard {
        self.0.fetch_add(1, Ordering::SeqCst);
        InFlightGuard(Arc::clone(self))
    }

    fn is_none(&self) -> bool {
        self.0.load(Ordering::SeqCst) == 0
    }
}

/// A request in flight; it ends when this is dropped, with the last of the answer's body.
pub(super) struct InFlightGuard(Arc<InFlight>);

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        self.0.0.fetch_sub(1, Ordering::SeqCst);
    }
}
