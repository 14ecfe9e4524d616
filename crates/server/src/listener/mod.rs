//! The doors: sockets, connections and what every request meets before a dialect sees it.
//!
//! HTTP/1.1, over `hyper` directly rather than through `axum::serve`, because each bound here (heads, bodies, writes,
//! connections, shutdown) is a setting of the connection. Request targets reach the dialects as they were sent, but
//! for characters that the library would refuse ([`escaped`]), since
//! signatures cover them.

mod connection;
pub(crate) mod cors;
mod escaped;
mod io;
mod large;
mod peer;
mod places;
mod request;
#[cfg(test)]
mod tests;

use std::io::Result;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use http::HeaderName;
use likeness_domain::ports::IdSource;
use likeness_domain::settings::{ListOf, Millis, Parsed, Seconds, Unset};
use likeness_wire::http::budget::{BodyBounds, BodyBudget, Peer};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use connection::Connection;
use cors::Origin;
pub(crate) use large::LargeRequests;
pub(crate) use peer::Network;
use peer::Proxies;
use places::Places;
use request::Front;

use crate::metrics::Metrics;
use crate::tls::Tls;

likeness_domain::settings! {
    /// Bounds that keep clients from holding the server up.
    pub(crate) struct Settings in "listener." {
        connections_max: usize = "512", 1..=65_536,
            "connections open at once; for a further one the idlest is closed, and if all have a request in work its \
             request waits";
        connections_per_peer_max: usize = "256", 1..=65_536,
            "connections open at once of one address (of IPv6: of one network of 64 bits); those of a proxy named in \
             listener.trusted_proxies are not counted";
        head_timeout as head_timeout_s: Duration = "20", Seconds(1..=3600),
            "seconds for a request's head to arrive";
        idle_timeout as idle_timeout_s: Duration = "75", Seconds(1..=3600),
            "seconds that a connection may stay open between two requests; longer than the 60 of most load balancers, \
             which must close first";
        body_timeout as body_timeout_s: Duration = "60", Seconds(1..=3600),
            "seconds for a request's body to arrive: 12 MB at 1.6 Mbit/s";
        body_memory_mib: usize = "256", 64..=1_048_576,
            "MiB for the bodies of all requests in work; a body above 64 KiB is read when there is room for it, and \
             callers without a known key get half of the room";
        body_memory_per_peer_mib: usize = "64", 16..=1_048_576,
            "MiB of it for the bodies of one address";
        body_wait_max as body_wait_max_ms: Duration = "5000", Millis(0..=60_000),
            "milliseconds that a body may wait for room, and a request for a connection's place, before its caller is \
             told that the server is busy";
        write_timeout as write_timeout_s: Duration = "30", Seconds(1..=3600),
            "seconds a client may leave an answer unread";
        head_bytes_max: usize = "65536", 8192..=1_048_576,
            "most bytes of a request's head, from its first line to the empty one; tokens and signed headers take about \
             4,000";
        head_lines_max: usize = "256", 16..=4096,
            "most header lines of a request; clients of the vendors send about 15, proxies add some";
        grace as grace_s: Duration = "25", Seconds(0..=3600),
            "seconds that requests in flight get on shutdown; below the 30 that container managers wait before they kill";
        client_address_header: Option<HeaderName> = "", Unset(Parsed("a header's name such as x-forwarded-for")),
            "header in which a proxy says whose request it passes on; by default none is believed, and all requests \
             through a proxy count as the proxy's";
        trusted_proxies: Vec<Network> = "", ListOf("addresses and networks such as 10.0.0.7 or 10.0.0.0/8"),
            "addresses of proxies that are believed; by default those of this machine, if \
             listener.client_address_header is set";
        cors_origins: Vec<Origin> = "", ListOf("origins such as https://shop.example, or *"),
            "origins whose web pages may call the Face++ and the native API with a key of theirs (CORS), `*` for all; by \
             default none may";
    }
}

/// Pause after a failed accept; it fails while the process has no file descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(200);

/// A bound socket.
pub(crate) enum Socket {
    /// Open to the network.
    Tcp(TcpListener),
    /// Open to the owner of the data folder.
    Unix(UnixListener),
}

enum Stream {
    Tcp(TcpStream, IpAddr),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> Result<Stream> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                // Answers are written whole; waiting to fill a packet only adds 40 ms.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream, peer.ip()))
            }
            Socket::Unix(listener) => loop {
                let (stream, _) = listener.accept().await?;
                // Its file keeps others out, unless somebody changed the file's rights; no key is asked for here.
                let peer = stream.peer_cred()?.uid();
                if may_command(peer, rustix::process::geteuid().as_raw()) {
                    return Ok(Stream::Unix(stream));
                }
                tracing::warn!(uid = peer, "another user was refused at the socket of the data folder");
            },
        }
    }
}

/// Whether a process of this user may command a server of that one: its own user, and the administrator.
fn may_command(peer_uid: u32, own_uid: u32) -> bool {
    peer_uid == own_uid || peer_uid == 0
}

impl Settings {
    /// The memory for bodies that these settings allow.
    pub(crate) fn body_budget(&self) -> Arc<BodyBudget> {
        BodyBudget::new(BodyBounds {
            bytes_max: self.body_memory_mib << 20,
            peer_bytes_max: self.body_memory_per_peer_mib.min(self.body_memory_mib) << 20,
            wait_max: self.body_wait_max,
        })
    }
}

/// What stands behind a socket.
#[derive(Clone)]
pub(crate) struct Service {
    /// Answers requests.
    pub(crate) router: Router,
    /// Gives requests their ids.
    pub(crate) ids: Arc<dyn IdSource>,
    /// The threads on which requests with large bodies are answered.
    pub(crate) large: Arc<LargeRequests>,
    /// Within which bodies are read; `None` on the socket in the data folder, whose owner is not bounded.
    pub(crate) budget: Option<Arc<BodyBudget>>,
    /// Where requests are counted.
    pub(crate) metrics: Arc<Metrics>,
    /// How connections are encrypted; `None` for plain HTTP.
    pub(crate) tls: Option<Arc<Tls>>,
}

/// Answers on `socket` with `service` until `stop` turns true; then refuses new connections, lets requests in flight
/// be answered for `bounds.grace`, and cuts the rest. Returns how many connections were cut.
pub(crate) async fn serve(
    socket: Socket,
    service: Service,
    bounds: &Settings,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let Service { router, ids, large, budget, metrics, tls } = service;
    let places = Places::new(bounds);
    let proxies = Proxies { header: bounds.client_address_header.clone(), networks: bounds.trusted_proxies.clone() };
    let (bounds_of_all, proxies) = (Arc::new(bounds.clone()), Arc::new(proxies));
    let front = Front { is_over_tls: false, router, ids, large, bounds: bounds_of_all, proxies, budget, metrics };
    let mut connections = JoinSet::new();
    loop {
        let stream = tokio::select! {
            stream = socket.accept() => stream,
            _ = stop.wait_for(|stop| *stop) => break,
        };
        while connections.try_join_next().is_some() {}
        let stream = match stream {
            Ok(stream) => stream,
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let peer = match &stream {
            Stream::Tcp(_, peer) => Some(*peer),
            Stream::Unix(_) => None,
        };
        let place = places.enter(peer.filter(|peer| !front.proxies.contain(*peer)).map(Peer::from));
        let connection = Connection { front: front.clone(), place, peer, stop: stop.clone() };
        let (tls, under_way) = (tls.clone(), front.metrics.connection());
        connections.spawn(async move {
            match (stream, tls) {
                (Stream::Tcp(stream, _), Some(tls)) => connection.run_tls(stream, &tls).await,
                (Stream::Tcp(stream, _), None) => connection.run(stream).await,
                (Stream::Unix(stream), _) => connection.run(stream).await,
            }
            drop(under_way);
        });
    }
    drop(socket);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(bounds.grace, all_ended).await;
    let n_cut = connections.len();
    connections.shutdown().await;
    n_cut
}
