//! Connection, TLS and one request.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Method, Request, Response, header};
use http_body_util::Full;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use likeness_domain::ports::Webhook;
use likeness_domain::{Error, Kind, Result};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto, pki_types};

use super::resolver::Resolve;
use super::target::{Host, Scheme, Target};
use super::unreachable;

/// Time for one of several addresses to accept; a dead one must not use up the whole deadline.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Addresses of a host that are tried.
const ADDRESSES_MAX: usize = 8;

/// Bytes of the head of an answer.
const HEAD_BYTES_MAX: usize = 64 * 1024;

/// The addresses behind a target, at least one.
pub(super) async fn addresses(resolver: &dyn Resolve, target: &Target) -> Result<Vec<SocketAddr>> {
    let ips = match &target.host {
        Host::Ip(ip) => vec![*ip],
        Host::Name(name) => resolver.resolve(name.clone()).await?,
    };
    if ips.is_empty() {
        return Err(unreachable("host of the image address has no address"));
    }
    Ok(ips.into_iter().map(|ip| SocketAddr::new(ip, target.port)).collect())
}

/// TLS as a client; the machine's certificates are read at the first use.
#[derive(Clone)]
pub(super) struct Tls {
    config: Arc<std::sync::OnceLock<Arc<ClientConfig>>>,
}

impl Tls {
    /// Trusts what the machine trusts.
    pub(super) fn native() -> Tls {
        Tls { config: Arc::default() }
    }

    /// Trusts these roots only.
    #[cfg(test)]
    pub(super) fn trusting(roots: RootCertStore) -> Tls {
        Tls { config: Arc::new(std::sync::OnceLock::from(client_config(roots))) }
    }

    fn connector(&self) -> TlsConnector {
        let config = self.config.get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "a certificate of this machine cannot be read");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            if roots.is_empty() {
                tracing::warn!("this machine trusts no certificate authority; no image can be fetched over https");
            }
            client_config(roots)
        });
        TlsConnector::from(config.clone())
    }
}

fn client_config(roots: RootCertStore) -> Arc<ClientConfig> {
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .expect("the provider supports TLS 1.2 and 1.3")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
}

/// An answer whose body is still to be read; dropping it closes the connection.
pub(super) struct Exchange {
    pub(super) response: Response<Incoming>,
    _connection: AbortOnDrop,
}

struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Asks the first of `addresses` that accepts for an image.
pub(super) async fn get(target: &Target, addresses: &[SocketAddr], tls: &Tls) -> Result<Exchange> {
    let accept = (header::ACCEPT, "image/*, */*;q=0.5");
    send(target, addresses, tls, Method::GET, (accept, &HeaderMap::new()), Bytes::new()).await
}

/// Posts a message to the first of `addresses` that accepts.
pub(super) async fn post(
    target: &Target,
    addresses: &[SocketAddr],
    tls: &Tls,
    message: Webhook,
    headers: &HeaderMap,
) -> Result<Exchange> {
    let content_type = (header::CONTENT_TYPE, message.content_type);
    send(target, addresses, tls, Method::POST, (content_type, headers), message.body).await
}

async fn send(
    target: &Target,
    addresses: &[SocketAddr],
    tls: &Tls,
    method: Method,
    ((name, value), headers): ((HeaderName, &'static str), &HeaderMap),
    body: Bytes,
) -> Result<Exchange> {
    let mut request = Request::builder()
        .method(method)
        .uri(&target.path)
        .header(header::HOST, target.host_header())
        .header(header::USER_AGENT, concat!("likeness/", env!("CARGO_PKG_VERSION")))
        .header(name, value)
        .header(header::ACCEPT_ENCODING, "identity")
        .header(header::CONNECTION, "close")
        .body(Full::new(body))
        .map_err(|error| Error::new(Kind::UrlInvalid, "image address has a malformed path").with_source(error))?;
    request.headers_mut().extend(headers.clone());
    let stream = connect(addresses).await?;
    match target.scheme {
        Scheme::Http => exchange(stream, request).await,
        Scheme::Https => {
            let name = match &target.host {
                Host::Name(name) => pki_types::ServerName::try_from(name.clone()).map_err(|error| {
                    Error::new(Kind::UrlInvalid, "image address has a malformed host").with_source(error)
                })?,
                Host::Ip(ip) => pki_types::ServerName::from(*ip),
            };
            let stream =
                tls.connector().connect(name, stream).await.map_err(|error| {
                    unreachable("image address offers no trusted TLS connection").with_source(error)
                })?;
            exchange(stream, request).await
        }
    }
}

async fn connect(addresses: &[SocketAddr]) -> Result<TcpStream> {
    let mut last = None;
    for address in addresses.iter().take(ADDRESSES_MAX) {
        match tokio::time::timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await {
            Ok(Ok(stream)) => return Ok(stream),
            Ok(Err(error)) => last = Some(error),
            Err(_) => last = Some(std::io::ErrorKind::TimedOut.into()),
        }
    }
    let error = last.expect("there is at least one address");
    Err(unreachable("host of the image address cannot be connected to").with_source(error))
}

async fn exchange(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    request: Request<Full<Bytes>>,
) -> Result<Exchange> {
    let no_answer = |error: hyper::Error| unreachable("image address gives no valid HTTP answer").with_source(error);
    let (mut sender, connection) = hyper::client::conn::http1::Builder::new()
        .max_buf_size(HEAD_BYTES_MAX)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(no_answer)?;
    let connection = AbortOnDrop(tokio::spawn(async move {
        // Its failure is seen by whoever reads the answer.
        let _ = connection.await;
    }));
    let response = sender.send_request(request).await.map_err(no_answer)?;
    Ok(Exchange { response, _connection: connection })
}
