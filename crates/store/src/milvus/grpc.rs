//! Unary gRPC calls over one HTTP/2 connection, made anew when it breaks.
//!
//! Of gRPC this is what Milvus' protocol needs: a message there, a message back, a deadline.

use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};

use base64::Engine;
use bytes::{BufMut, Bytes, BytesMut};
use h2::client::SendRequest;
use likeness_domain::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::ClientConfig;
use tokio_rustls::rustls::pki_types::ServerName;

use super::messages::Answer;

/// Bytes of the longest answer that is read: the largest question asks for 16,384 keys of 32 bytes.
const ANSWER_BYTES_MAX: usize = 16 << 20;

/// Bytes that the other side may send before we have looked at the first.
const WINDOW_BYTES: u32 = 4 << 20;

/// Why a call did not work.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fault {
    /// Milvus is not there, does not answer in time, or says that it can do it later. Whether it did anything is not known.
    Away(String),
    /// Milvus does not do this: the code and reason it gives.
    Refused { code: i32, reason: String },
    /// No connection can be made the way it is set: what TLS found.
    Unfit(String),
}

impl Fault {
    /// For callers of the index: their questions are fine, so all of them may come again, and are told where that is of use.
    pub(super) fn into_error(self, doing: &str) -> Error {
        let (why, is_passing) = (self.why(), self.is_passing());
        let what = match (&self, is_passing) {
            (Self::Away(_), _) => "Milvus does not answer, try again in a moment",
            (_, true) => "Milvus refuses it, try again in a moment",
            (Self::Unfit(_), false) => "no connection to Milvus can be made the way it is set",
            (Self::Refused { .. }, false) => "Milvus refuses it, which does not pass by itself",
        };
        Error::new(Kind::Overloaded, format!("cannot {doing}: {what}")).with_source(why)
    }

    /// The same for whoever runs the server: with what is to be changed.
    pub(super) fn for_operator(self, doing: &str) -> Error {
        let cure = self.cure();
        let error = self.into_error(doing);
        match cure {
            Some(cure) => error.with_hint(cure),
            None => error,
        }
    }

    /// In words.
    pub(super) fn why(&self) -> String {
        match self {
            Self::Away(why) | Self::Unfit(why) => why.clone(),
            Self::Refused { code, reason } => format!("{reason} (code {code})"),
        }
    }

    /// Whether it may be over in a moment without anybody doing anything.
    pub(super) fn is_passing(&self) -> bool {
        matches!(self, Self::Away(_)) || self.is_missing_collection()
    }

    /// What is to be changed, where it does not pass by itself.
    pub(super) fn cure(&self) -> Option<&'static str> {
        if self.is_passing() {
            return None;
        }
        let why = self.why().to_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| why.contains(word));
        Some(match self {
            Self::Unfit(_) if has(&["corrupt message", "wrong version"]) => {
                "there is no TLS behind that address: write `http://` in `milvus.url`, or another port"
            }
            Self::Unfit(_) if has(&["expired", "not valid yet", "notvalidyet"]) => {
                "renew the certificate of Milvus, or set the clock"
            }
            Self::Unfit(_) if has(&["for name", "notvalidforname"]) => {
                "write a name in `milvus.url` that the certificate of Milvus has"
            }
            Self::Unfit(_) => "name the file with the certificate of its authority in `milvus.ca_file`",
            Self::Refused { .. } if is_of_database(&why) => {
                "make that database in Milvus, or correct `milvus.database`"
            }
            Self::Refused { code: PERMISSION_DENIED | UNAUTHENTICATED, .. } => OF_TOKEN,
            Self::Refused { .. } if has(&["auth", "permission", "privilege"]) => OF_TOKEN,
            _ => "look into the log of Milvus",
        })
    }

    /// Milvus does not have such a collection, or not in memory: it was dropped or released by somebody else.
    pub(super) fn is_missing_collection(&self) -> bool {
        const NOT_FOUND: i32 = 100;
        const NOT_LOADED: i32 = 101;
        matches!(self, Self::Refused { code: NOT_FOUND | NOT_LOADED, .. })
    }
}

/// Statuses of gRPC.
const PERMISSION_DENIED: i32 = 7;
const UNAUTHENTICATED: i32 = 16;

/// What cures a wrong password, or one without rights.
const OF_TOKEN: &str = "correct the `user:password` in the file of `milvus.token_file` (or LIKENESS_MILVUS_TOKEN), or what that user may do";

/// Whether Milvus says that it has no such database: its versions have several codes for that, and one for everything.
fn is_of_database(reason: &str) -> bool {
    reason.contains("database") && (reason.contains("not exist") || reason.contains("not found"))
}

/// Result of every call.
pub(super) type Outcome<T> = std::result::Result<T, Fault>;

/// Where Milvus is and how to introduce oneself.
#[derive(Clone)]
pub struct Address {
    host: String,
    port: u16,
    tls: Option<Arc<ClientConfig>>,
    /// The value of `authorization`.
    authorization: Option<http::HeaderValue>,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(formatter, "{}", self.shown())
    }
}

impl Address {
    /// Reads `http://host:19530` or `https://host:19530`, with `user:password` or an API key beside it. `authorities` is a
    /// PEM file with the certificates that the server's is signed by; without it the machine's count.
    pub fn parse(address: &str, token: Option<&str>, authorities: Option<&Path>) -> Result<Self> {
        let refused = |why: &str| {
            Error::invalid("milvus.url", format!("`milvus.url` is `{address}`: {why}"))
                .with_hint("for example `http://milvus.example:19530`, or `https://` for TLS")
        };
        let uri: http::Uri = address.parse().map_err(|_| refused("this is no address"))?;
        let is_tls = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(refused("expected `http://` or `https://`")),
        };
        let authority = uri.authority().ok_or_else(|| refused("the host is missing"))?;
        if authority.as_str().contains('@') {
            return Err(refused("a password in it would be shown with the settings").with_hint(
                "put `user:password` in a file and name it in `milvus.token_file`, or in LIKENESS_MILVUS_TOKEN",
            ));
        }
        if !matches!(uri.path(), "" | "/") || uri.query().is_some() {
            return Err(refused("expected nothing behind the port"));
        }
        let tls = match is_tls {
            true => {
                let mut config =
                    crate::postgres::tls::client_config(authorities, ("milvus.ca_file", "milvus.ca_file"))?;
                config.alpn_protocols = vec![b"h2".to_vec()];
                Some(Arc::new(config))
            }
            false => None,
        };
        let authorization = match token {
            Some(token) => {
                let encoded = base64::engine::general_purpose::STANDARD.encode(token);
                let mut value = http::HeaderValue::try_from(encoded)
                    .map_err(|error| Error::internal("cannot send the token", error))?;
                value.set_sensitive(true);
                Some(value)
            }
            None => None,
        };
        let host = authority.host().trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: authority.port_u16().unwrap_or(19530), tls, authorization })
    }

    /// Without the token, for people.
    pub fn shown(&self) -> String {
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let host = if self.host.contains(':') { format!("[{}]", self.host) } else { self.host.clone() };
        format!("{scheme}://{host}:{}", self.port)
    }
}

/// A connection, made when it is needed.
pub(super) struct Channel {
    address: Address,
    connected: Mutex<Option<SendRequest<Bytes>>>,
    n_connections: AtomicU64,
    connected_at: std::sync::Mutex<Option<Instant>>,
}

impl Channel {
    pub(super) fn new(address: Address) -> Self {
        Self {
            address,
            connected: Mutex::new(None),
            n_connections: AtomicU64::new(0),
            connected_at: std::sync::Mutex::new(None),
        }
    }

    pub(super) fn address(&self) -> &Address {
        &self.address
    }

    /// Connections that were made so far: whoever sees another number cannot know what became of the process behind the one
    /// before.
    pub(super) fn n_connections(&self) -> u64 {
        self.n_connections.load(Ordering::SeqCst)
    }

    /// Whether the connection was made in place of another one, and so short a while ago.
    pub(super) fn is_new(&self, within: Duration) -> bool {
        if self.n_connections() < 2 {
            return false;
        }
        let connected_at = *self.connected_at.lock().unwrap_or_else(PoisonError::into_inner);
        connected_at.is_some_and(|at| at.elapsed() < within)
    }

    /// Calls a method of Milvus' service and checks the status in its answer.
    pub(super) async fn call<A: Answer>(
        &self,
        method: &'static str,
        request: &impl prost::Message,
        deadline: Duration,
    ) -> Outcome<A> {
        let answer: A = match tokio::time::timeout(deadline, self.try_call(method, request, deadline)).await {
            Ok(answer) => answer?,
            Err(_) => {
                // A connection on which nothing comes back may be one to a machine that is gone.
                *self.connected.lock().await = None;
                return Err(Fault::Away(format!("{method}: no answer within {} ms", deadline.as_millis())));
            }
        };
        match answer.status() {
            Some(status) if status.code != 0 || status.error_code != 0 => {
                let code = if status.code != 0 { status.code } else { status.error_code };
                // The server is starting, or its own parts are not connected yet.
                const NOT_READY: [i32; 4] = [1, 2, 4, 8];
                let is_final = is_of_database(&status.reason.to_lowercase());
                if !is_final && (status.retriable || NOT_READY.contains(&status.code)) {
                    return Err(Fault::Away(format!("{method}: {} (code {code})", status.reason)));
                }
                Err(Fault::Refused { code, reason: format!("{method}: {}", status.reason) })
            }
            _ => Ok(answer),
        }
    }

    async fn try_call<A: Answer>(
        &self,
        method: &'static str,
        request: &impl prost::Message,
        deadline: Duration,
    ) -> Outcome<A> {
        let away = |error: h2::Error| Fault::Away(format!("{method}: {error}"));
        let mut sender = self.sender().await?;
        let uri = format!("{}/milvus.proto.milvus.MilvusService/{method}", self.address.shown());
        let mut head = http::Request::post(uri)
            .version(http::Version::HTTP_2)
            .header("content-type", "application/grpc")
            .header("te", "trailers")
            .header("grpc-timeout", format!("{}m", deadline.as_millis().min(99_999_999)));
        if let Some(authorization) = &self.address.authorization {
            head = head.header("authorization", authorization.clone());
        }
        let head = head.body(()).map_err(|error| Fault::Away(format!("{method}: {error}")))?;
        let (answer, mut body) = sender.send_request(head, false).map_err(away)?;
        body.send_data(framed(request), true).map_err(away)?;
        let (head, mut body) = answer.await.map_err(away)?.into_parts();
        if head.status != http::StatusCode::OK {
            return Err(Fault::Away(format!("{method}: HTTP status {}", head.status.as_u16())));
        }
        let mut read = BytesMut::new();
        while let Some(piece) = body.data().await {
            let piece = piece.map_err(away)?;
            let _ = body.flow_control().release_capacity(piece.len());
            if read.len() + piece.len() > ANSWER_BYTES_MAX {
                return Err(Fault::Away(format!("{method}: the answer is longer than {ANSWER_BYTES_MAX} bytes")));
            }
            read.extend_from_slice(&piece);
        }
        let trailers = body.trailers().await.map_err(away)?.unwrap_or(head.headers);
        let text = |name| trailers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned();
        match text("grpc-status").as_str() {
            "0" => {}
            code => {
                let code: i32 = code.parse().unwrap_or(-1);
                let reason = format!("{method}: {}", text("grpc-message"));
                // Wrong credentials and calls that a server does not have do not become better by waiting.
                const FINAL: [i32; 4] = [3, 7, 12, 16];
                return Err(match FINAL.contains(&code) {
                    true => Fault::Refused { code, reason },
                    false => Fault::Away(format!("{reason} (gRPC status {code})")),
                });
            }
        }
        unframed(read.freeze()).ok_or_else(|| Fault::Away(format!("{method}: the answer is cut short or malformed")))
    }

    /// The connection, once it takes another call.
    async fn sender(&self) -> Outcome<SendRequest<Bytes>> {
        let mut connected = self.connected.lock().await;
        if let Some(sender) = &*connected
            && let Ok(sender) = sender.clone().ready().await
        {
            return Ok(sender);
        }
        *connected = None;
        // The address is not said: whoever may not know it is told why, too.
        let away = |error: std::io::Error| Fault::Away(format!("cannot connect: {error}"));
        let socket = TcpStream::connect((self.address.host.as_str(), self.address.port)).await.map_err(away)?;
        socket.set_nodelay(true).map_err(away)?;
        let sender = match &self.address.tls {
            None => handshake(socket).await,
            Some(config) => {
                let name = ServerName::try_from(self.address.host.clone())
                    .map_err(|error| Fault::Unfit(format!("TLS: no certificate is for names like that: {error}")))?;
                let secured = TlsConnector::from(Arc::clone(config)).connect(name, socket).await;
                let socket = secured.map_err(|error| {
                    let of_tls = error.get_ref().and_then(|inner| inner.downcast_ref::<tokio_rustls::rustls::Error>());
                    match of_tls {
                        Some(found) => Fault::Unfit(format!("TLS: {found}")),
                        None => away(error),
                    }
                })?;
                handshake(socket).await
            }
        };
        let sender = sender.map_err(|error| away(std::io::Error::other(error)))?;
        let sender = sender.ready().await.map_err(|error| away(std::io::Error::other(error)))?;
        *self.connected_at.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        self.n_connections.fetch_add(1, Ordering::SeqCst);
        *connected = Some(sender.clone());
        Ok(sender)
    }
}

/// Begins HTTP/2; the task that drives the connection ends with it.
async fn handshake(
    socket: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
) -> std::result::Result<SendRequest<Bytes>, h2::Error> {
    let mut settings = h2::client::Builder::new();
    settings.initial_window_size(WINDOW_BYTES).initial_connection_window_size(WINDOW_BYTES).enable_push(false);
    let (sender, connection) = settings.handshake(socket).await?;
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to Milvus ended");
        }
    });
    Ok(sender)
}

/// A message as gRPC sends it: not compressed, its length, itself.
fn framed(message: &impl prost::Message) -> Bytes {
    let len = message.encoded_len();
    let mut bytes = BytesMut::with_capacity(5 + len);
    bytes.put_u8(0);
    bytes.put_u32(u32::try_from(len).unwrap_or(u32::MAX));
    let Ok(()) = message.encode(&mut bytes) else { unreachable!("there is room for what was measured") };
    bytes.freeze()
}

/// The message of an answer; `None` unless there is exactly one, whole.
fn unframed<A: prost::Message + Default>(mut bytes: Bytes) -> Option<A> {
    if bytes.len() < 5 || bytes[0] != 0 {
        return None;
    }
    let len = u32::from_be_bytes(bytes[1..5].try_into().ok()?) as usize;
    let message = bytes.split_off(5);
    (message.len() == len).then(|| A::decode(message).ok()).flatten()
}
