//! One connection, from accept to close.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_rustls::TlsAcceptor;

use super::escaped::EscapedTargets;
use super::io::Watched;
use super::places::{InFlight, Place};
use super::request::Front;
use crate::tls::Tls;

/// On shutdown, time for a request whose head is just arriving to become one in flight.
const DRAIN_PAUSE: Duration = Duration::from_millis(250);

/// How to run a connection.
pub(super) struct Connection {
    pub(super) front: Front,
    pub(super) place: Arc<Place>,
    /// The other end; `None` on the socket in the data folder.
    pub(super) peer: Option<IpAddr>,
    pub(super) stop: watch::Receiver<bool>,
}

impl Connection {
    /// The same through TLS. The handshake has to be over by the time that a head may take; one that fails costs a line in
    /// the log of level debug, since strangers try.
    pub(super) async fn run_tls(mut self, stream: TcpStream, tls: &Tls) {
        let accepting = TlsAcceptor::from(tls.config()).accept(stream);
        let accepted = tokio::select! {
            accepted = tokio::time::timeout(self.front.bounds.head_timeout, accepting) => accepted,
            () = self.place.sent_away() => return,
            _ = self.stop.wait_for(|stop| *stop) => return,
        };
        match accepted {
            Ok(Ok(stream)) => {
                self.front.is_over_tls = true;
                self.run(stream).await;
            }
            Ok(Err(error)) => {
                self.front.metrics.tls_failed();
                tracing::debug!(%error, "no TLS came about with a client");
            }
            Err(_) => {
                self.front.metrics.tls_failed();
                tracing::debug!("a client did not finish its TLS handshake in time");
            }
        }
    }

    /// Answers until the client leaves, breaks a bound, has to make room for others, or the server stops and nothing is
    /// in flight.
    pub(super) async fn run(mut self, stream: impl AsyncRead + AsyncWrite + Unpin) {
        let (place, bounds) = (&self.place, &*self.front.bounds);
        let service = service_fn(|request| self.front.answer(request, self.peer, InFlight::begin(place)));
        let watched = Watched::new(stream, bounds.write_timeout, Arc::clone(place));
        let stream = TokioIo::new(EscapedTargets::new(watched));
        let mut connection = std::pin::pin!(
            http1::Builder::new()
                .timer(TokioTimer::new())
                // Heads and pauses between requests have bounds of their own, which `Place` watches.
                .header_read_timeout(None)
                // Without a bound of its own a head may be longer than the buffer by what a single read adds to it.
                .max_header_size(bounds.head_bytes_max)
                .max_buf_size(bounds.head_bytes_max)
                .max_headers(bounds.head_lines_max)
                // As the vendors write them: some clients compare the spelling, which they should not.
                .title_case_headers(true)
                .serve_connection(stream, service)
        );
        let ended = tokio::select! {
            ended = connection.as_mut() => Some(ended),
            () = place.waited_too_long(bounds) => return,
            () = place.sent_away() => return,
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
                        if !place.phase().is_in_flight() {
                            return;
                        }
                        connection.await
                    }
                }
            }
        };
        let Err(error) = ended else { return };
        if error.is_parse() {
            // The library has answered it already, without a body: nobody can tell which dialect such a head is for.
            let status = if error.is_parse_too_large() { 431_u16 } else { 400 };
            self.front.refused_head(self.peer, status, &error);
        } else {
            // Clients hang up and time out; none of it is our fault.
            tracing::debug!(error = %error, "connection ended early");
        }
    }
}
