mod targets;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::access::Share;
use likeness_domain::ports::{FetchRules, ImageFetcher, Pending, Webhook, WebhookSender};
use likeness_domain::{Error, Kind};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::rustls::{RootCertStore, ServerConfig, crypto, pki_types};

use super::address::is_own;
use super::connect::Tls;
use super::resolver::Resolve;
use super::{AllowedHost, HttpFetcher, Settings};

const RULES: FetchRules = FetchRules { bytes_max: 1000, deadline: Duration::from_secs(20), share: SHARE };

const SHARE: Share = Share { tenant: likeness_domain::types::TenantId::from_bits(1), weight: 1 };

/// A name service that knows these names only.
struct FakeResolver(HashMap<&'static str, Vec<IpAddr>>);

impl Resolve for FakeResolver {
    fn resolve(&self, name: String) -> Pending<'static, Vec<IpAddr>> {
        let found = self.0.get(name.as_str()).cloned();
        Box::pin(async move { found.ok_or_else(|| Error::new(Kind::UrlUnreachable, "unknown name")) })
    }
}

/// A web server on 127.0.0.1 that answers each path as scripted and then closes, or holds the connection open.
struct Web {
    address: SocketAddr,
}

#[derive(Clone)]
enum Script {
    Answer(String),
    /// Sends this and then nothing more.
    Hold(String),
    /// Sends this and then zeros for as long as somebody reads.
    Endless(String),
}

impl Web {
    async fn start(scripts: Vec<(&'static str, Script)>) -> Web {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let scripts: Arc<HashMap<_, _>> = Arc::new(scripts.into_iter().collect());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(answer(stream, Arc::clone(&scripts)));
            }
        });
        Web { address }
    }

    fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    fn allowed(&self) -> Vec<AllowedHost> {
        vec![self.address.to_string().parse().unwrap()]
    }
}

async fn answer(mut stream: TcpStream, scripts: Arc<HashMap<&'static str, Script>>) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        match stream.read_u8().await {
            Ok(byte) => request.push(byte),
            Err(_) => return,
        }
    }
    let mut request = String::from_utf8(request).unwrap();
    let length = request.split_once("content-length: ").and_then(|(_, rest)| rest.split("\r\n").next());
    if let Some(length) = length {
        let mut body = vec![0; length.parse().unwrap()];
        stream.read_exact(&mut body).await.unwrap();
        request.push_str(std::str::from_utf8(&body).unwrap());
    }
    let path = request.split(' ').nth(1).unwrap();
    // What the client sent is the answer to this one path, so that a test can look at it.
    if path == "/echo" {
        let _ = stream.write_all(ok(&request).as_bytes()).await;
        return;
    }
    match scripts.get(path).unwrap_or_else(|| panic!("no script for {path}")) {
        Script::Answer(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
        }
        Script::Hold(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            std::future::pending::<()>().await;
        }
        Script::Endless(text) => {
            let _ = stream.write_all(text.as_bytes()).await;
            while stream.write_all(&[0; 4096]).await.is_ok() {}
        }
    }
}

fn ok(body: &str) -> String {
    format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len())
}

fn redirect(to: &str) -> Script {
    Script::Answer(format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n"))
}

fn fetcher(allow: Vec<AllowedHost>, names: &[(&'static str, &[&str])]) -> HttpFetcher {
    let names = names.iter().map(|(name, ips)| (*name, ips.iter().map(|ip| ip.parse().unwrap()).collect())).collect();
    let settings = Settings { allow, concurrent_max: 4, ..Settings::default() };
    HttpFetcher::with(&settings, Arc::new(FakeResolver(names)), Tls::trusting(RootCertStore::empty()))
}

/// Fetches `path` of a server that the operator allowed.
async fn fetch(web: &Web, path: &str) -> Result<Bytes, Error> {
    fetcher(web.allowed(), &[]).fetch(&web.url(path), RULES).await
}

#[track_caller]
fn check_refused(fetched: Result<Bytes, Error>, kind: Kind, message: &str) {
    let error = fetched.expect_err("the fetch should be refused");
    assert_eq!((error.kind(), error.message()), (kind, message));
}

#[tokio::test]
async fn an_image_comes_back_byte_for_byte() {
    let web = Web::start(vec![("/a.jpg?v=1", Script::Answer(ok("picture")))]).await;
    assert_eq!(fetch(&web, "/a.jpg?v=1#top").await.unwrap(), "picture");
}

#[tokio::test]
async fn a_body_without_a_length_ends_with_the_connection() {
    let chunked = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\npict\r\n3\r\nure\r\n0\r\n\r\n";
    let web = Web::start(vec![
        ("/close", Script::Answer("HTTP/1.0 200 OK\r\n\r\npicture".into())),
        ("/chunked", Script::Answer(chunked.into())),
    ])
    .await;
    assert_eq!(fetch(&web, "/close").await.unwrap(), "picture");
    assert_eq!(fetch(&web, "/chunked").await.unwrap(), "picture");
}

#[tokio::test]
async fn the_request_says_who_asks_and_nothing_else() {
    let web = Web::start(vec![]).await;
    let request = fetch(&web, "/echo").await.unwrap();
    let expected = format!(
        "GET /echo HTTP/1.1\r\nhost: {}\r\nuser-agent: likeness/{}\r\naccept: image/*, */*;q=0.5\r\n\
         accept-encoding: identity\r\nconnection: close\r\n\r\n",
        web.address,
        env!("CARGO_PKG_VERSION")
    );
    assert_eq!(request, expected);
}

#[tokio::test]
async fn loopback_is_refused_unless_allowed_by_name_and_port() {
    let web = Web::start(vec![("/", Script::Answer(ok("picture")))]).await;
    let port = web.address.port();
    let not_allowed = fetcher(vec![], &[]).fetch(&web.url("/"), RULES).await;
    check_refused(not_allowed, Kind::UrlForbidden, &format!("image address has port {port}, expected 80 or 443"));
    let other_port = fetcher(vec!["127.0.0.1:1".parse().unwrap()], &[]).fetch(&web.url("/"), RULES).await;
    check_refused(other_port, Kind::UrlForbidden, &format!("image address has port {port}, expected 80 or 443"));
    let by_name = fetcher(vec![format!("photos.test:{port}").parse().unwrap()], &[("photos.test", &["127.0.0.1"])]);
    assert_eq!(by_name.fetch(&format!("http://Photos.TEST.:{port}/"), RULES).await.unwrap(), "picture");
    // The name was allowed, not the address behind it.
    let by_address = by_name.fetch(&web.url("/"), RULES).await;
    check_refused(by_address, Kind::UrlForbidden, &format!("image address has port {port}, expected 80 or 443"));
}

#[tokio::test]
async fn a_name_with_a_private_address_is_refused_also_among_public_ones() {
    let names: &[(&str, &[&str])] = &[
        ("private.test", &["10.0.0.1"]),
        ("mixed.test", &["93.184.215.14", "192.168.0.1"]),
        ("mapped.test", &["::ffff:169.254.169.254"]),
        ("empty.test", &[]),
    ];
    let fetcher = fetcher(vec![], names);
    for name in ["private.test", "mixed.test", "mapped.test"] {
        let refused = fetcher.fetch(&format!("http://{name}/"), RULES).await;
        check_refused(refused, Kind::UrlForbidden, "image address is not on the public internet");
    }
    let empty = fetcher.fetch("http://empty.test/", RULES).await;
    check_refused(empty, Kind::UrlUnreachable, "host of the image address has no address");
    let unknown = fetcher.fetch("http://unknown.test/", RULES).await;
    assert_eq!(unknown.unwrap_err().kind(), Kind::UrlUnreachable);
}

#[tokio::test]
async fn what_is_denied_is_refused_by_name_by_address_and_after_a_redirect_although_it_is_allowed() {
    let web = Web::start(vec![("/", Script::Answer(ok("picture"))), ("/on", redirect("http://a.denied.test/"))]).await;
    let port = web.address.port();
    let names: &[(&str, &[&str])] = &[("a.denied.test", &["93.184.215.14"]), ("by.address.test", &["93.184.216.1"])];
    let allow = || vec![format!("127.0.0.1:{port}").parse().unwrap()];
    let denying = |denied: &[&str]| HttpFetcher {
        deny: denied.iter().map(|denied| denied.parse().unwrap()).collect(),
        ..fetcher(allow(), names)
    };
    let refused = "image address is denied on this server";
    let both = denying(&["denied.test", "93.184.216.0/24"]);
    for url in ["http://a.denied.test/", "http://by.address.test/", "http://93.184.216.9/"] {
        check_refused(both.fetch(url, RULES).await, Kind::UrlForbidden, refused);
        assert_eq!(both.check(url).await.unwrap_err().message(), refused);
        assert_eq!(both.deliver(url, message(""), SOON, SHARE).await.unwrap_err().message(), refused);
    }
    let after = both.fetch(&web.url("/on"), RULES).await;
    check_refused(after, Kind::UrlForbidden, &format!("after a redirect: {refused}"));
    assert_eq!(both.fetch(&web.url("/"), RULES).await.unwrap(), "picture");
    check_refused(denying(&["127.0.0.0/8"]).fetch(&web.url("/"), RULES).await, Kind::UrlForbidden, refused);
}

#[tokio::test]
async fn switched_off_nothing_is_fetched_or_posted() {
    let web = Web::start(vec![("/", Script::Answer(ok("picture")))]).await;
    let off = HttpFetcher { enabled: false, ..fetcher(web.allowed(), &[]) };
    let refused = "this server fetches nothing by its address (`fetch.enabled` is false)";
    check_refused(off.fetch(&web.url("/"), RULES).await, Kind::UrlForbidden, refused);
    assert_eq!(off.check(&web.url("/")).await.unwrap_err().message(), refused);
    assert_eq!(off.deliver(&web.url("/"), message(""), SOON, SHARE).await.unwrap_err().message(), refused);
}

#[test]
fn an_address_of_this_machine_is_its_own() {
    assert!(is_own("127.0.0.1".parse().unwrap()));
    for other in ["192.0.2.1", "93.184.215.14", "2001:db8::1"] {
        assert!(!is_own(other.parse().unwrap()), "{other}");
    }
    // Of another interface, where the machine has one.
    let outward = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
    if outward.connect("192.0.2.1:9").is_ok() {
        assert!(is_own(outward.local_addr().unwrap().ip()));
    }
}

#[tokio::test]
async fn a_redirect_is_followed_and_every_hop_is_checked_anew() {
    let web = Web::start(vec![
        ("/good", redirect("next/../picture")),
        ("/picture", Script::Answer(ok("picture"))),
        ("/loopback", redirect("http://127.0.0.1/secret")),
        ("/metadata", redirect("//169.254.169.254/latest/meta-data")),
        ("/name", redirect("http://inside.test/")),
        ("/port", redirect("http://93.184.215.14:22/")),
        ("/scheme", redirect("file:///etc/passwd")),
        ("/nowhere", Script::Answer("HTTP/1.1 302 Found\r\nContent-Length: 0\r\n\r\n".into())),
    ])
    .await;
    let fetcher = fetcher(web.allowed(), &[("inside.test", &["fd00::1"])]);
    assert_eq!(fetcher.fetch(&web.url("/good"), RULES).await.unwrap(), "picture");
    let not_public = "after a redirect: image address is not on the public internet";
    for path in ["/loopback", "/metadata", "/name"] {
        check_refused(fetcher.fetch(&web.url(path), RULES).await, Kind::UrlForbidden, not_public);
    }
    let port = "after a redirect: image address has port 22, expected 80 or 443";
    check_refused(fetcher.fetch(&web.url("/port"), RULES).await, Kind::UrlForbidden, port);
    let scheme = "after a redirect: image address does not begin with http:// or https://";
    check_refused(fetcher.fetch(&web.url("/scheme"), RULES).await, Kind::UrlUnreachable, scheme);
    let nowhere = "image address redirects without saying where to";
    check_refused(fetcher.fetch(&web.url("/nowhere"), RULES).await, Kind::UrlUnreachable, nowhere);
}

#[tokio::test]
async fn three_redirects_are_followed_and_a_loop_ends() {
    let web = Web::start(vec![
        ("/1", redirect("/2")),
        ("/2", redirect("/3")),
        ("/3", redirect("/4")),
        ("/4", Script::Answer(ok("picture"))),
        ("/0", redirect("/1")),
        ("/loop", redirect("/loop")),
    ])
    .await;
    assert_eq!(fetch(&web, "/1").await.unwrap(), "picture");
    let message = "image address redirects more than 3 times";
    check_refused(fetch(&web, "/0").await, Kind::UrlUnreachable, message);
    check_refused(fetch(&web, "/loop").await, Kind::UrlUnreachable, message);
}

#[tokio::test]
async fn too_many_bytes_are_refused_as_announced_and_as_found() {
    let head = "HTTP/1.1 200 OK\r\n\r\n";
    let web = Web::start(vec![
        ("/announced", Script::Hold("HTTP/1.1 200 OK\r\nContent-Length: 1001\r\n\r\n".into())),
        ("/endless", Script::Endless(head.into())),
        ("/exact", Script::Answer(ok(&"x".repeat(1000)))),
    ])
    .await;
    let message = "image has more than 1000 bytes";
    check_refused(fetch(&web, "/announced").await, Kind::ImageTooLarge, message);
    check_refused(fetch(&web, "/endless").await, Kind::ImageTooLarge, message);
    assert_eq!(fetch(&web, "/exact").await.unwrap().len(), 1000);
}

#[tokio::test]
async fn an_endless_head_is_refused() {
    let web = Web::start(vec![("/", Script::Endless("HTTP/1.1 200 OK\r\nX: ".into()))]).await;
    check_refused(fetch(&web, "/").await, Kind::UrlUnreachable, "image address gives no valid HTTP answer");
}

#[tokio::test]
async fn one_deadline_covers_head_and_body() {
    let web = Web::start(vec![
        ("/head", Script::Hold("HTTP/1.1 200 OK\r\n".into())),
        ("/body", Script::Hold("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npict".into())),
    ])
    .await;
    let rules = FetchRules { deadline: Duration::from_millis(250), ..RULES };
    let fetcher = fetcher(web.allowed(), &[]);
    for path in ["/head", "/body"] {
        let slow = fetcher.fetch(&web.url(path), rules).await;
        check_refused(slow, Kind::UrlTimeout, "image could not be fetched within 0.25 s");
    }
}

#[tokio::test]
async fn what_is_not_a_whole_200_is_unreachable_and_its_body_is_not_repeated() {
    let web = Web::start(vec![
        ("/404", Script::Answer("HTTP/1.1 404 Not Found\r\nContent-Length: 6\r\n\r\nsecret".into())),
        ("/206", Script::Answer("HTTP/1.1 206 Partial Content\r\nContent-Length: 1\r\n\r\nx".into())),
        ("/cut", Script::Answer("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\npict".into())),
        ("/nonsense", Script::Answer("SSH-2.0-secret\r\n".into())),
    ])
    .await;
    let status = |status| format!("image address answers with status {status}, expected 200");
    check_refused(fetch(&web, "/404").await, Kind::UrlNotFound, &status(404));
    check_refused(fetch(&web, "/206").await, Kind::UrlUnreachable, &status(206));
    check_refused(fetch(&web, "/cut").await, Kind::UrlUnreachable, "image was cut off while it was fetched");
    check_refused(fetch(&web, "/nonsense").await, Kind::UrlUnreachable, "image address gives no valid HTTP answer");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unreachable() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let fetcher = fetcher(vec![address.to_string().parse().unwrap()], &[]);
    let refused = fetcher.fetch(&format!("http://{address}/"), RULES).await;
    check_refused(refused, Kind::UrlUnreachable, "host of the image address cannot be connected to");
}

#[tokio::test]
async fn https_needs_a_trusted_certificate_for_that_name_and_never_leads_to_http() {
    let web = Web::start(vec![("/", Script::Answer(ok("picture"))), ("/down", redirect("http://photos.test/"))]).await;
    let (tls_port, trusted) = tls_in_front_of(web.address, "photos.test").await;
    let allow = || ["photos.test", "other.test"].map(|name| format!("{name}:{tls_port}").parse().unwrap()).to_vec();
    let names: &[(&str, &[&str])] = &[("photos.test", &["127.0.0.1"]), ("other.test", &["127.0.0.1"])];
    let https = |name: &str, path: &str| format!("https://{name}:{tls_port}{path}");

    let trusting = HttpFetcher { tls: Tls::trusting(trusted), ..fetcher(allow(), names) };
    assert_eq!(trusting.fetch(&https("photos.test", "/"), RULES).await.unwrap(), "picture");
    let down = trusting.fetch(&https("photos.test", "/down"), RULES).await;
    check_refused(down, Kind::UrlForbidden, "image address redirects from https to http");
    let untrusted = "image address offers no trusted TLS connection";
    let other_name = trusting.fetch(&https("other.test", "/"), RULES).await;
    check_refused(other_name, Kind::UrlUnreachable, untrusted);
    let trusting_nobody = fetcher(allow(), names).fetch(&https("photos.test", "/"), RULES).await;
    check_refused(trusting_nobody, Kind::UrlUnreachable, untrusted);
}

/// A TLS door to `behind` with a fresh certificate for `name`; returns its port and the certificate.
async fn tls_in_front_of(behind: SocketAddr, name: &str) -> (u16, RootCertStore) {
    let made = rcgen::generate_simple_self_signed([name.to_owned()]).unwrap();
    let mut trusted = RootCertStore::empty();
    trusted.add(made.cert.der().clone()).unwrap();
    let key = pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let config = ServerConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let acceptor = tokio_rustls::TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let Ok(mut front) = acceptor.accept(stream).await else { return };
                let mut back = TcpStream::connect(behind).await.unwrap();
                let _ = tokio::io::copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    (port, trusted)
}

#[tokio::test]
async fn fetches_beyond_the_bound_wait_for_a_slot() {
    let web = Web::start(vec![("/hold", Script::Hold(String::new())), ("/", Script::Answer(ok("picture")))]).await;
    let one_slot = Settings { allow: web.allowed(), concurrent_max: 1, ..Settings::default() };
    let resolver = Arc::new(FakeResolver(HashMap::new()));
    let fetcher = HttpFetcher::with(&one_slot, resolver, Tls::trusting(RootCertStore::empty()));
    let rules = FetchRules { deadline: Duration::from_millis(250), ..RULES };
    let (url, held_url) = (web.url("/"), web.url("/hold"));
    let holding = fetcher.fetch(&held_url, RULES);
    let mut holding = std::pin::pin!(holding);
    // The first poll takes the only slot; the other fetch then finds none before its deadline.
    assert!(std::future::poll_fn(|cx| std::task::Poll::Ready(holding.as_mut().poll(cx).is_pending())).await);
    let waiting = fetcher.fetch(&url, rules).await;
    check_refused(waiting, Kind::UrlTimeout, "image could not be fetched within 0.25 s");
}

fn message(body: &'static str) -> Webhook {
    Webhook { content_type: "text/plain", body: body.into() }
}

const SOON: Duration = Duration::from_secs(20);

#[tokio::test]
async fn a_message_is_posted_and_the_status_is_the_answer() {
    let web = Web::start(vec![
        ("/204", Script::Answer("HTTP/1.1 204 No Content\r\n\r\n".into())),
        ("/302", redirect("/echo")),
        ("/slow", Script::Hold(String::new())),
    ])
    .await;
    let fetcher = fetcher(web.allowed(), &[]);
    let deliver = async |path: &str, deadline| fetcher.deliver(&web.url(path), message("hello"), deadline, SHARE).await;
    assert_eq!(deliver("/echo", SOON).await.unwrap(), 200);
    assert_eq!(deliver("/204", SOON).await.unwrap(), 204);
    assert_eq!(deliver("/302", SOON).await.unwrap(), 302, "nobody is followed");
    let slow = deliver("/slow", Duration::from_millis(250)).await;
    assert_eq!(slow.unwrap_err().kind(), Kind::UrlTimeout);
}

#[tokio::test]
async fn a_message_goes_where_an_image_may_come_from() {
    let fetcher = fetcher(Vec::new(), &[("inside.test", &["10.0.0.1"]), ("outside.test", &["1.2.3.4"])]);
    for (url, kind) in [
        ("http://127.0.0.1/", Kind::UrlForbidden),
        ("http://inside.test/", Kind::UrlForbidden),
        ("http://outside.test:22/", Kind::UrlForbidden),
        ("http://2130706433/", Kind::UrlForbidden),
        ("http://nobody.test/", Kind::UrlUnreachable),
        ("ftp://outside.test/", Kind::UrlInvalid),
    ] {
        assert_eq!(fetcher.check(url).await.unwrap_err().kind(), kind, "{url}");
        assert_eq!(fetcher.deliver(url, message(""), SOON, SHARE).await.unwrap_err().kind(), kind, "{url}");
    }
    fetcher.check("http://outside.test/").await.unwrap();
}
