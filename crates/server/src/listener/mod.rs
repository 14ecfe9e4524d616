//! The doors: sockets, connections and what every request meets before a dialect sees it.
//!
//! HTTP/1.1, over `hyper` directly rather than through `axum::serve`, because each bound here (heads, bodies, writes,
//! connections, shutdown) is a setting of the connection. Request targets reach the dialects as they were sent, since
//! signatures cover them.

mod connection;
mod io;
mod large;
mod request;
#[cfg(test)]
mod tests;

use std::io::Result;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use likeness_domain::ports::IdSource;
use likeness_domain::settings::Seconds;
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use connection::Connection;
pub(crate) use large::LargeRequests;
use request::Front;

likeness_domain::settings! {
    /// Bounds that keep clients from holding the server up.
    pub(crate) struct Settings in "listener." {
        connections_max: usize = "512", 1..=65_536,
            "connections open at once; further ones wait to be accepted. With a body of 12 MB each this bounds memory";
        head_timeout as head_timeout_s: Duration = "20", Seconds(1..=3600),
            "seconds for a request's head to arrive, and for an idle connection to be used again";
        body_timeout as body_timeout_s: Duration = "60", Seconds(1..=3600),
            "seconds for a request's body to arrive: 12 MB at 1.6 Mbit/s";
        write_timeout as write_timeout_s: Duration = "30", Seconds(1..=3600),
            "seconds a client may leave an answer unread";
        head_bytes_max: usize = "65536", 8192..=1_048_576,
            "most bytes of a request's head; tokens and signed headers take about 4,000";
        grace as grace_s: Duration = "25", Seconds(0..=3600),
            "seconds that requests in flight get on shutdown; below the 30 that container managers wait before they kill";
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
    Tcp(TcpStream),
    Unix(UnixStream),
}

impl Socket {
    async fn accept(&self) -> Result<Stream> {
        match self {
            Socket::Tcp(listener) => {
                let (stream, _) = listener.accept().await?;
                // Answers are written whole; waiting to fill a packet only adds 40 ms.
                stream.set_nodelay(true)?;
                Ok(Stream::Tcp(stream))
            }
            Socket::Unix(listener) => Ok(Stream::Unix(listener.accept().await?.0)),
        }
    }
}

/// Answers on `socket` with `router` until `stop` turns true; then refuses new connections, lets requests in flight
/// be answered for `bounds.grace`, and cuts the rest. Returns how many connections were cut. Requests with large bodies
/// are answered on the threads of `large`.
pub(crate) async fn serve(
    socket: Socket,
    router: Router,
    ids: Arc<dyn IdSource>,
    bounds: &Settings,
    large: Arc<LargeRequests>,
    mut stop: watch::Receiver<bool>,
) -> usize {
    let slots = Arc::new(Semaphore::new(bounds.connections_max));
    let front = Front { router, ids, large, body_timeout: bounds.body_timeout };
    let mut connections = JoinSet::new();
    loop {
        // The slot is taken first: at the limit, further clients wait in the kernel's queue instead of in our memory.
        let accepted = async {
            let slot = Arc::clone(&slots).acquire_owned().await.expect("the semaphore is never closed");
            (socket.accept().await, slot)
        };
        let (stream, slot) = tokio::select! {
            accepted = accepted => accepted,
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
        let connection = Connection { front: front.clone(), bounds: bounds.clone(), stop: stop.clone() };
        connections.spawn(async move {
            match stream {
                Stream::Tcp(stream) => connection.run(stream).await,
                Stream::Unix(stream) => connection.run(stream).await,
            }
            drop(slot);
        });
    }
    drop(socket);
    let all_ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(bounds.grace, all_ended).await;
    let n_cut = connections.len();
    connections.shutdown().await;
    n_cut
}
