//! The socket of a running server: requests over it, and whether anybody answers there.
//!
//! A server that hangs, since its disk does or it was stopped, still has its socket, and the kernel takes connections for it.
//! So a request is waited for as long as the server answers something else meanwhile: some take minutes and are healthy.

use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper_util::rt::TokioIo;
use likeness_domain::Error;
use tokio::net::UnixStream;
use tokio::time::{Instant, timeout, timeout_at};

use crate::outcome::failed;

/// How long a server may say nothing at all, not even that it is healthy.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// How often one whose queue of connections is full is tried again.
const TRY_EVERY: Duration = Duration::from_millis(100);

/// What every server answers at once, however busy it is.
const HEALTH: &str = "/healthz";

/// Who is at a socket; the number of the process where the kernel tells it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Presence {
    /// There is no server. A socket file without a listener was left behind by a killed one and counts as none.
    Nobody,
    /// A server that answers.
    Answers { pid: Option<i32> },
    /// A process listens, and does not answer.
    Silent { pid: Option<i32> },
}

/// Looks who is at the socket, for a few seconds at most.
pub(super) async fn look(socket: &Path) -> Presence {
    let deadline = Instant::now() + SILENCE_MAX;
    let stream = loop {
        match UnixStream::connect(socket).await {
            Ok(stream) => break stream,
            // Nobody has taken the connections that wait there.
            Err(error) if error.kind() == ErrorKind::WouldBlock && Instant::now() < deadline => {
                tokio::time::sleep(TRY_EVERY).await;
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => return Presence::Silent { pid: None },
            Err(_) => return Presence::Nobody,
        }
    };
    let pid = stream.peer_cred().ok().and_then(|peer| peer.pid()).filter(|pid| *pid > 0);
    let Ok(question) = Request::get(HEALTH).header(header::HOST, "localhost").body(Full::new(Bytes::new())) else {
        return Presence::Nobody;
    };
    match timeout_at(deadline, exchange(socket, stream, question)).await {
        Ok(Ok(_)) => Presence::Answers { pid },
        // It ended meanwhile.
        Ok(Err(_)) => Presence::Nobody,
        Err(_) => Presence::Silent { pid },
    }
}

/// The error of a command whose server is silent.
pub(super) fn silent(pid: Option<i32>) -> Error {
    failed(format!("the server does not answer: {}", silence(pid)))
        .with_hint("look into its log and at its disk; `likeness doctor` looks at what needs no server")
}

/// Who says nothing, and for how long.
pub(super) fn silence(pid: Option<i32>) -> String {
    let who = pid.map_or("the process at its socket".to_owned(), |pid| format!("process {pid}"));
    format!("{who} has said nothing for {} s", SILENCE_MAX.as_secs())
}

/// Sends one request and reads the answer, however long that takes, as long as the server is there.
pub(super) async fn ask(socket: &Path, request: Request<Full<Bytes>>) -> Result<(StatusCode, Bytes), Error> {
    let answer = async {
        let stream = UnixStream::connect(socket).await;
        let stream = stream.map_err(|error| lost("cannot reach", socket)(error.into()))?;
        exchange(socket, stream, request).await
    };
    tokio::pin!(answer);
    loop {
        if let Ok(answer) = timeout(SILENCE_MAX, &mut answer).await {
            return answer;
        }
        if let Presence::Silent { pid } = look(socket).await {
            return Err(silent(pid));
        }
    }
}

async fn exchange(
    socket: &Path,
    stream: UnixStream,
    request: Request<Full<Bytes>>,
) -> Result<(StatusCode, Bytes), Error> {
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| lost("cannot talk to", socket)(error.into()))?;
    // It ends when the sender is dropped; what goes wrong on it is seen by the request below.
    let driver = AbortOnDrop(tokio::spawn(connection));
    let answer = sender.send_request(request).await.map_err(|error| lost("no answer from", socket)(error.into()))?;
    let answer = collected(answer).await.map_err(lost("the answer broke off:", socket));
    drop(driver);
    answer
}

/// A task that ends with whoever waits for what it does.
struct AbortOnDrop<T>(tokio::task::JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

fn lost(doing: &str, socket: &Path) -> impl Fn(Box<dyn std::error::Error + Send + Sync>) -> Error {
    let doing = format!("{doing} the server at {}", socket.display());
    move |error| Error::internal(doing.clone(), error)
}

/// Status and body of an answer.
pub(super) async fn collected<B>(
    answer: Response<B>,
) -> Result<(StatusCode, Bytes), Box<dyn std::error::Error + Send + Sync>>
where
    B: hyper::body::Body,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let status = answer.status();
    let body = answer.into_body().collect().await.map_err(Into::into)?;
    Ok((status, body.to_bytes()))
}
