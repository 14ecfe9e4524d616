//! Requests for which a server has no memory or no place.

use std::convert::Infallible;
use std::net::IpAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Body;
use bytes::Bytes;
use http::Request;
use http_body::Frame;
use likeness_testkit::block_on;

use crate::http::body::NoPlace;
use crate::http::budget::{BodyAllowance, BodyBounds, BodyBudget, Peer, Sender};

/// A request of a client for which there is this much memory for bodies, now and at once.
pub(crate) fn within(mut request: Request<Body>, budget: &Arc<BodyBudget>) -> Request<Body> {
    request.extensions_mut().insert(BodyAllowance::new(Arc::clone(budget), client(1)));
    request
}

/// So many bytes for bodies, for which nobody waits.
pub(crate) fn budget(bytes_max: usize) -> Arc<BodyBudget> {
    BodyBudget::new(BodyBounds { bytes_max, peer_bytes_max: bytes_max, wait_max: Duration::ZERO })
}

/// Memory for bodies of which another client holds all, as long as the second value lives.
pub(crate) fn full_budget() -> (Arc<BodyBudget>, BodyAllowance) {
    let budget = budget(1 << 20);
    let other = BodyAllowance::new(Arc::clone(&budget), client(2));
    block_on(other.reserve(Sender::Known, 1 << 20)).expect("nobody else has asked");
    (budget, other)
}

fn client(last: u8) -> Peer {
    Peer::from(IpAddr::from([192, 0, 2, last]))
}

/// A request whose connection has found no place.
pub(crate) fn without_place(mut request: Request<Body>) -> Request<Body> {
    request.extensions_mut().insert(NoPlace);
    request
}

/// A body that arrives in pieces, as those of a network do.
pub(crate) fn in_pieces(body: impl Into<Bytes>) -> Body {
    Body::new(Pieces(body.into()))
}

struct Pieces(Bytes);

impl http_body::Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let n_bytes = self.0.len().min(16 * 1024);
        Poll::Ready((n_bytes > 0).then(|| Ok(Frame::data(self.0.split_to(n_bytes)))))
    }
}
