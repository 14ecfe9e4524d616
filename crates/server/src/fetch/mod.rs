//! `ImageFetcher` over HTTP: images by address, without becoming a stranger's hand inside the network.
//!
//! A connector of our own, over `hyper` and `tokio-rustls`: the address that was checked must be the address that is
//! connected to, at every redirect, and with a few lines between look-up and connect that is evident. General clients
//! reach the same through hooks, and bring cookies, proxies and pools that would have to be switched off again.
//!
//! # Invariants
//! - A connection is opened only to an address that [`address::is_public`] and is none of this machine's own, or to a host
//!   the operator allowed by name; and never to one that the operator denied.
//! - Every look-up happens once per hop; there is no second one between check and connect (no DNS rebinding).
//! - No proxy, no cookie, no credential, no pooled connection; at most three redirects, never from https to http.
//! - Time is bounded by one deadline over all hops, bytes while they stream, fetches by slots that tenants take in turn,
//!   name look-ups by
//!   [`resolver`].

mod address;
mod connect;
mod deny;
mod resolver;
mod target;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};
use http_body_util::BodyExt;
use likeness_domain::access::{FairBounds, FairSlots, Share};
use likeness_domain::ports::{FetchRules, ImageFetcher, Pending, Webhook, WebhookSender};
use likeness_domain::settings::{ListOf, Millis, Truth};
use likeness_domain::{Error, Kind, Result};

use connect::{Exchange, Tls};
use resolver::BoundedResolver;
pub(crate) use resolver::Resolve;
use target::{Scheme, Target};

pub(crate) use deny::Denied;

pub(crate) use target::AllowedHost;

use crate::system::SystemClock;

likeness_domain::settings! {
    /// Where images may be fetched from.
    pub(crate) struct Settings in "fetch." {
        enabled: bool = "true", Truth,
            "whether images are fetched from addresses that callers name, and results posted to them; where nobody uses \
             that, `false` is safest";
        allow: Vec<AllowedHost> = "", ListOf("HOST or HOST:PORT"),
            "hosts (`HOST` or `HOST:PORT`) images may be fetched from although their address is private or the port \
             unusual";
        deny: Vec<Denied> = "", ListOf("HOST, address or network such as 192.0.2.0/24"),
            "hosts, each with all names below it, addresses and networks that nothing is fetched from or posted to, also \
             where `fetch.allow` allows it; such as the address under which a router shows this server to the internet";
        names_max: usize = "32", 4..=1024,
            "names of hosts that are looked up at once, for images and results together; those of one domain get a \
             quarter";
        name_wait_max as name_wait_max_ms: Duration = "5000", Millis(100..=60_000),
            "milliseconds that a look-up is waited for";
        concurrent_max: usize = "32", 1..=1024,
            "images fetched at once, in turn for each tenant; each may hold as many bytes as the dialect allows an image";
        queue_max: usize = "1024", 0..=65_536,
            "images that may wait to be fetched; where that is too many, those of the tenant with most are refused";
    }
}

/// Redirects followed. Object stores and link shorteners need one or two.
const REDIRECTS_MAX: usize = 3;

/// The machine's name service, for fetches and results together.
pub(crate) fn resolver(settings: &Settings) -> Arc<dyn Resolve> {
    Arc::new(BoundedResolver::of_the_machine(settings.names_max, settings.name_wait_max))
}

/// Whether a text is an address that could be fetched from or posted to, wherever that is.
pub(crate) fn is_address(text: &str) -> bool {
    Target::parse(text).is_ok()
}

/// Posts what this server tells of itself to an address that its operator chose, so it may be anywhere.
#[cfg(feature = "opentelemetry")]
pub(crate) struct Poster {
    target: Target,
    resolver: Arc<dyn Resolve>,
    tls: Tls,
}

#[cfg(feature = "opentelemetry")]
impl Poster {
    /// One that trusts the machine's certificates.
    pub(crate) fn new(address: &str, resolver: Arc<dyn Resolve>) -> Result<Self> {
        Ok(Self { target: Target::parse(address)?, resolver, tls: Tls::native() })
    }

    /// Posts a message and says with which status it was answered, or why it was not.
    pub(crate) async fn post(
        &self,
        content_type: &'static str,
        headers: &HeaderMap,
        body: Bytes,
    ) -> std::result::Result<u16, String> {
        let posting = async {
            let addresses = connect::addresses(&*self.resolver, &self.target).await?;
            let exchange =
                connect::post(&self.target, &addresses, &self.tls, Webhook { content_type, body }, headers).await?;
            Ok(exchange.response.status().as_u16())
        };
        // What was tried is known; below it is what came of it.
        posting.await.map_err(|error: Error| {
            std::error::Error::source(&error).map_or_else(|| error.message().to_owned(), ToString::to_string)
        })
    }
}

/// Fetches images over HTTP and HTTPS.
pub(crate) struct HttpFetcher {
    enabled: bool,
    allow: Vec<AllowedHost>,
    deny: Vec<Denied>,
    slots: FairSlots,
    resolver: Arc<dyn Resolve>,
    tls: Tls,
}

impl HttpFetcher {
    /// A fetcher that trusts the machine's certificates. Several may share `resolver`; slots are its own.
    pub(crate) fn new(settings: &Settings, resolver: Arc<dyn Resolve>) -> Self {
        Self::with(settings, resolver, Tls::native())
    }

    fn with(settings: &Settings, resolver: Arc<dyn Resolve>, tls: Tls) -> Self {
        let Settings { enabled, allow, deny, concurrent_max, queue_max, .. } = settings.clone();
        let bounds = FairBounds { what: "fetches", n_slots: concurrent_max, queue_max, wait_ms_max: None };
        Self { enabled, allow, deny, slots: FairSlots::new(bounds, Arc::new(SystemClock)), resolver, tls }
    }

    async fn fetch_within_deadline(&self, url: &str, rules: FetchRules) -> Result<Bytes> {
        let target = Target::parse(url)?;
        let fetching = async {
            let _slot = self.slots.enter(rules.share).await?;
            self.follow(target, rules.bytes_max).await
        };
        tokio::time::timeout(rules.deadline, fetching).await.unwrap_or_else(|_| Err(too_slow(rules.deadline)))
    }

    async fn follow(&self, mut target: Target, bytes_max: usize) -> Result<Bytes> {
        for n_redirects in 0.. {
            let mut exchange =
                self.get(&target).await.map_err(|error| if n_redirects > 0 { after_redirect(error) } else { error })?;
            if !is_redirect(exchange.response.status()) {
                return read_image(&mut exchange, bytes_max).await;
            }
            if n_redirects == REDIRECTS_MAX {
                break;
            }
            let location = location(exchange.response.headers())?;
            let next = target.redirected(location).map_err(after_redirect)?;
            if target.scheme == Scheme::Https && next.scheme == Scheme::Http {
                return Err(Error::new(Kind::UrlForbidden, "image address redirects from https to http"));
            }
            target = next;
        }
        Err(unreachable(format!("image address redirects more than {REDIRECTS_MAX} times")))
    }

    /// One request for an image and the head of its answer.
    async fn get(&self, target: &Target) -> Result<Exchange> {
        let addresses = self.addresses(target).await?;
        connect::get(target, &addresses, &self.tls).await
    }

    async fn post_within_deadline(&self, url: &str, message: Webhook, deadline: Duration, share: Share) -> Result<u16> {
        let target = Target::parse(url)?;
        let posting = async {
            let _slot = self.slots.enter(share).await?;
            let addresses = self.addresses(&target).await?;
            let exchange = connect::post(&target, &addresses, &self.tls, message, &HeaderMap::new()).await?;
            Ok(exchange.response.status().as_u16())
        };
        let too_slow = || Error::new(Kind::UrlTimeout, format!("no answer within {} s", deadline.as_secs_f32()));
        tokio::time::timeout(deadline, posting).await.unwrap_or_else(|_| Err(too_slow()))
    }

    /// Where the target is, if this server may connect to it.
    async fn addresses(&self, target: &Target) -> Result<Vec<SocketAddr>> {
        if !self.enabled {
            return Err(forbidden("this server fetches nothing by its address (`fetch.enabled` is false)"));
        }
        let denied = || forbidden("image address is denied on this server");
        if self.deny.iter().any(|denied| denied.covers_host(&target.host)) {
            return Err(denied());
        }
        let allowed = self.allow.iter().any(|allowed| allowed.covers(target));
        if !allowed && !target::is_web_port(target.port) {
            return Err(forbidden(format!("image address has port {}, expected 80 or 443", target.port)));
        }
        let addresses = connect::addresses(&*self.resolver, target).await?;
        // One private address among several is enough to refuse: an honest name has none.
        if addresses.iter().any(|address| self.deny.iter().any(|denied| denied.covers_address(address.ip()))) {
            return Err(denied());
        }
        if !allowed && !addresses.iter().all(|address| address::is_public(address.ip())) {
            return Err(forbidden("image address is not on the public internet"));
        }
        if !allowed && addresses.iter().any(|address| address::is_own(address.ip())) {
            return Err(forbidden("image address is this server's own"));
        }
        Ok(addresses)
    }
}

impl ImageFetcher for HttpFetcher {
    fn fetch(&self, url: &str, rules: FetchRules) -> Pending<'_, Bytes> {
        let url = url.to_owned();
        Box::pin(async move { self.fetch_within_deadline(&url, rules).await })
    }
}

impl WebhookSender for HttpFetcher {
    fn check(&self, url: &str) -> Pending<'_, ()> {
        let url = url.to_owned();
        Box::pin(async move { self.addresses(&Target::parse(&url)?).await.map(|_| ()) })
    }

    fn deliver(&self, url: &str, message: Webhook, deadline: Duration, share: Share) -> Pending<'_, u16> {
        let url = url.to_owned();
        Box::pin(async move { self.post_within_deadline(&url, message, deadline, share).await })
    }
}

fn is_redirect(status: StatusCode) -> bool {
    matches!(status.as_u16(), 301 | 302 | 303 | 307 | 308)
}

fn location(headers: &HeaderMap) -> Result<&str> {
    headers
        .get(header::LOCATION)
        .and_then(|location| std::str::from_utf8(location.as_bytes()).ok())
        .ok_or_else(|| unreachable("image address redirects without saying where to"))
}

async fn read_image(exchange: &mut Exchange, bytes_max: usize) -> Result<Bytes> {
    let response = &mut exchange.response;
    if response.status() != StatusCode::OK {
        let status = response.status().as_u16();
        let kind = match status {
            401 | 403 => Kind::UrlDenied,
            404 | 410 => Kind::UrlNotFound,
            _ => Kind::UrlUnreachable,
        };
        return Err(Error::new(kind, format!("image address answers with status {status}, expected 200")));
    }
    let too_large = || Error::new(Kind::ImageTooLarge, format!("image has more than {bytes_max} bytes"));
    let announced: Option<u64> = response
        .headers()
        .get(header::CONTENT_LENGTH)
        .and_then(|length| length.to_str().ok())
        .and_then(|length| length.parse().ok());
    if announced.is_some_and(|length| length > bytes_max as u64) {
        return Err(too_large());
    }
    let mut image = BytesMut::new();
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|error| unreachable("image was cut off while it was fetched").with_source(error))?;
        let Ok(data) = frame.into_data() else { continue };
        if data.len() > bytes_max - image.len() {
            return Err(too_large());
        }
        image.extend_from_slice(&data);
    }
    Ok(image.freeze())
}

fn too_slow(deadline: Duration) -> Error {
    Error::new(Kind::UrlTimeout, format!("image could not be fetched within {} s", deadline.as_secs_f32()))
}

/// The caller wrote the first address, not this one: say which hop is at fault, and keep the rest.
fn after_redirect(error: Error) -> Error {
    let kind = match error.kind() {
        Kind::UrlInvalid => Kind::UrlUnreachable,
        kind => kind,
    };
    Error::new(kind, format!("after a redirect: {}", error.message())).with_source(error)
}

fn unreachable(message: impl Into<String>) -> Error {
    Error::new(Kind::UrlUnreachable, message)
}

fn forbidden(message: impl Into<String>) -> Error {
    Error::new(Kind::UrlForbidden, message)
}
