use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Barrier};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http_body_util::BodyExt;
use sha2::{Digest, Sha256};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Notify, watch};
use tokio::task::JoinHandle;

use likeness_wire::http::body::NoPlace;

use super::Settings;
use super::{LargeRequests, Service, Socket, serve};
use crate::system::SystemIds;

const BOUNDS: Settings = Settings {
    connections_max: 8,
    connections_per_peer_max: 8,
    head_timeout: Duration::from_secs(20),
    idle_timeout: Duration::from_secs(20),
    body_timeout: Duration::from_secs(20),
    body_memory_mib: 64,
    body_memory_per_peer_mib: 64,
    body_wait_max: Duration::from_secs(20),
    client_address_header: None,
    trusted_proxies: Vec::new(),
    cors_origins: Vec::new(),
    write_timeout: Duration::from_secs(20),
    head_bytes_max: 8192,
    head_lines_max: 256,
    grace: Duration::from_secs(20),
};

/// A running listener over a router with a few strange places.
struct Door {
    port: u16,
    stop: watch::Sender<bool>,
    served: JoinHandle<usize>,
    /// A request to `/wait` has arrived.
    arrived: Arc<Notify>,
    /// Lets requests to `/wait` go on.
    release: Arc<Notify>,
    n_waiting_dropped: Arc<AtomicUsize>,
}

impl Door {
    async fn open(bounds: Settings) -> Door {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let (arrived, release) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
        let n_waiting_dropped = Arc::new(AtomicUsize::new(0));
        let places = (arrived.clone(), release.clone(), n_waiting_dropped.clone());
        let router = Router::new().fallback(move |request| strange_place(places.clone(), request));
        let large = Arc::new(LargeRequests::with_threads(1).unwrap());
        let (stop, stopped) = watch::channel(false);
        let served = tokio::spawn(async move {
            let budget = Some(bounds.body_budget());
            let (ids, metrics) = (Arc::new(SystemIds), crate::metrics::Metrics::new());
            let service = Service { router, ids, large, budget, metrics, tls: None };
            serve(Socket::Tcp(listener), service, &bounds, stopped).await
        });
        Door { port, stop, served, arrived, release, n_waiting_dropped }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(("127.0.0.1", self.port)).await.unwrap()
    }

    /// Sends raw bytes on a fresh connection and reads to its end.
    async fn exchange(&self, bytes: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(bytes.as_ref()).await.unwrap();
        read_to_end(&mut stream).await
    }
}

type Places = (Arc<Notify>, Arc<Notify>, Arc<AtomicUsize>);

/// Holds up the thread that digests, until it is opened.
static GATE: Barrier = Barrier::new(2);

async fn strange_place((arrived, release, n_dropped): Places, request: Request) -> Response {
    match request.uri().path() {
        "/wait" => {
            let guard = CountDrop(n_dropped);
            arrived.notify_one();
            release.notified().await;
            std::mem::forget(guard);
            Response::new(Body::from("waited"))
        }
        _ if request.extensions().get::<NoPlace>().is_some() => Response::new(Body::from("no place")),
        "/panic" => panic!("a fault of ours"),
        "/digest" => {
            let body = request.into_body().collect().await.unwrap().to_bytes();
            let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
            if std::thread::current().name() == Some("large-request") {
                arrived.notify_one();
                GATE.wait();
            }
            Response::new(Body::from(digest))
        }
        "/large" => Response::new(Body::from(vec![b'x'; 64 << 20])),
        "/body" => {
            let text = match request.into_body().collect().await {
                Ok(body) => format!("{} bytes", body.to_bytes().len()),
                Err(error) => format!("broken: {error}"),
            };
            Response::new(Body::from(text))
        }
        _ => Response::new(Body::from(request.uri().to_string())),
    }
}

struct CountDrop(Arc<AtomicUsize>);

impl Drop for CountDrop {
    fn drop(&mut self) {
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Whatever comes until the other side closes or resets.
async fn read_to_end(stream: &mut TcpStream) -> String {
    let mut received = Vec::new();
    let mut buffer = [0; 4096];
    while let Ok(n_bytes @ 1..) = stream.read(&mut buffer).await {
        received.extend_from_slice(&buffer[..n_bytes]);
    }
    String::from_utf8_lossy(&received).into_owned()
}

fn get(path: &str) -> String {
    format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
}

#[tokio::test]
async fn a_target_reaches_the_router_as_it_was_sent() {
    let door = Door::open(BOUNDS).await;
    let answer = door.exchange(get("/a%2fb/../c//%E4%BD%A0?x=%2B+1&y")).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n/a%2fb/../c//%E4%BD%A0?x=%2B+1&y"), "{answer}");
}

#[tokio::test]
async fn a_panic_is_a_500_and_the_server_goes_on() {
    let door = Door::open(BOUNDS).await;
    let answer = door.exchange(get("/panic")).await;
    assert!(answer.starts_with("HTTP/1.1 500 Internal Server Error\r\n"), "{answer}");
    assert!(answer.ends_with(r#"{"error":{"kind":"internal","message":"internal error"}}"#), "{answer}");
    assert!(door.exchange(get("/next")).await.ends_with("/next"));
}

// One thread serves all connections here. What it does not do itself stands still at the gate meanwhile.
#[tokio::test]
async fn small_requests_are_answered_while_large_bodies_are_digested() {
    let door = Door::open(BOUNDS).await;
    let body = vec![b'x'; 20 << 20];
    let head =
        format!("POST /digest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {}\r\n\r\n", body.len());
    let send = async || {
        let mut stream = door.connect().await;
        stream.write_all(head.as_bytes()).await.unwrap();
        stream.write_all(&body).await.unwrap();
        stream
    };
    let mut first = send().await;
    door.arrived.notified().await;
    // The only thread for large bodies stands at the gate; small ones need it not.
    assert!(door.exchange(get("/next")).await.ends_with("/next"));
    let small = "POST /digest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc";
    let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    assert!(door.exchange(small).await.ends_with(abc));
    let mut early = [0; 1];
    assert!(first.try_read(&mut early).is_err(), "a large one waits");
    tokio::task::spawn_blocking(|| GATE.wait()).await.unwrap();
    let digest: String = Sha256::digest(&body).iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(read_to_end(&mut first).await.ends_with(&digest));
    // A body whose length is not announced counts as a large one.
    let chunked = "POST /digest HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let (answer, opened) = tokio::join!(door.exchange(chunked), async {
        door.arrived.notified().await;
        tokio::task::spawn_blocking(|| GATE.wait()).await
    });
    assert!(opened.is_ok() && answer.ends_with(abc), "{answer}");
}

#[tokio::test]
async fn a_panic_over_a_large_body_is_a_500_too() {
    let door = Door::open(BOUNDS).await;
    let answer = door.exchange(
        "POST /panic HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    );
    assert!(answer.await.starts_with("HTTP/1.1 500 Internal Server Error\r\n"));
    assert!(door.exchange(get("/next")).await.ends_with("/next"));
}

#[tokio::test]
async fn what_is_cut_ends_on_the_threads_for_large_bodies_too() {
    let door = Door::open(Settings { grace: Duration::ZERO, ..BOUNDS }).await;
    let mut busy = door.connect().await;
    busy.write_all(b"POST /wait HTTP/1.1\r\nHost: x\r\nContent-Length: 70000\r\n\r\n").await.unwrap();
    door.arrived.notified().await;
    door.stop.send_replace(true);
    assert_eq!(door.served.await.unwrap(), 1);
    while door.n_waiting_dropped.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn a_head_that_does_not_come_is_cut() {
    let door = Door::open(Settings { head_timeout: Duration::from_millis(50), ..BOUNDS }).await;
    assert_eq!(door.exchange("").await, "");
    assert_eq!(door.exchange("GET / HTTP/1.1\r\nX-Slow").await, "");
}

#[tokio::test]
async fn a_head_without_end_is_refused() {
    let door = Door::open(BOUNDS).await;
    let answer = door.exchange(format!("GET / HTTP/1.1\r\nX: {}\r\n", "x".repeat(20_000))).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    let endless = "X: y\r\n".repeat(100_000);
    let answer = door.exchange(format!("GET / HTTP/1.1\r\n{endless}")).await;
    assert!(answer.starts_with("HTTP/1.1 431 ") || answer.is_empty(), "reset before it was read: {answer}");
}

/// A request of exactly so many bytes.
fn head_of(n_bytes: usize, path: &str) -> String {
    let (start, end) = (format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nX: "), "\r\n\r\n");
    format!("{start}{}{end}", "x".repeat(n_bytes - start.len() - end.len()))
}

// Without a bound of its own, what arrived in one read passed up to twice the bound.
#[tokio::test]
async fn a_head_may_have_as_many_bytes_as_the_setting_says_and_not_one_more() {
    for bound in [8192, 65_536] {
        let door = Door::open(Settings { head_bytes_max: bound, ..BOUNDS }).await;
        for path in ["/next", "/v3/auth/tokens", "/facepp/v3/detect", "/green/face/compare", "/likeness/v1/status"] {
            let answer = door.exchange(head_of(bound, path)).await;
            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with(path), "{path} {bound}: {answer}");
            for n_bytes in [bound + 1, bound + bound / 2, 2 * bound - 1] {
                let answer = door.exchange(head_of(n_bytes, path)).await;
                assert!(answer.starts_with("HTTP/1.1 431 "), "{path} {n_bytes} of {bound}: {answer}");
            }
        }
        // Also where an earlier body has made the buffer grow.
        let body = "x".repeat(4 * bound);
        let first = format!("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len());
        let answer = door.exchange(first + &head_of(bound + 1, "/next")).await;
        assert!(answer.contains(&format!("{} bytes", body.len())) && answer.contains("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn a_head_may_have_as_many_lines_as_the_setting_says_and_not_one_more() {
    let door = Door::open(BOUNDS).await;
    let with = |n_lines: usize| {
        let more = "X: y\r\n".repeat(n_lines - 2);
        door.exchange(format!("GET /next HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n"))
    };
    let answer = with(BOUNDS.head_lines_max).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/next"), "{answer}");
    let answer = with(BOUNDS.head_lines_max + 1).await;
    assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
}

#[tokio::test]
async fn a_body_that_does_not_come_is_broken_off() {
    let door = Door::open(Settings { body_timeout: Duration::from_millis(50), ..BOUNDS }).await;
    let answer = door.exchange("POST /body HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc").await;
    assert!(answer.ends_with("broken: the body did not arrive in time"), "{answer}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut() {
    let door = Door::open(Settings { write_timeout: Duration::from_millis(50), ..BOUNDS }).await;
    let mut stream = door.connect().await;
    stream.write_all(get("/large").as_bytes()).await.unwrap();
    stream.read_u8().await.unwrap();
    door.stop.send_replace(true);
    // The server ends long before its grace, with almost all of the answer unread.
    assert_eq!(door.served.await.unwrap(), 0);
    assert!(read_to_end(&mut stream).await.len() < 64 << 20);
}

#[tokio::test]
async fn connections_beyond_the_bound_wait_for_one_to_close() {
    let door = Door::open(Settings { connections_max: 1, ..BOUNDS }).await;
    let mut first = door.connect().await;
    first.write_all(get("/wait").as_bytes()).await.unwrap();
    door.arrived.notified().await;
    let mut second = door.connect().await;
    second.write_all(get("/second").as_bytes()).await.unwrap();
    // The first is answered and closes; only then is the second looked at.
    let mut early = [0; 1];
    assert!(second.try_read(&mut early).is_err());
    door.release.notify_one();
    assert!(read_to_end(&mut first).await.ends_with("waited"));
    assert!(read_to_end(&mut second).await.ends_with("/second"));
}

#[tokio::test]
async fn stopping_answers_what_is_in_flight_and_closes_what_is_idle() {
    let door = Door::open(BOUNDS).await;
    let mut silent = door.connect().await;
    let mut idle = door.connect().await;
    idle.write_all(b"GET /idle HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut head = [0; 15];
    idle.read_exact(&mut head).await.unwrap();
    let mut busy = door.connect().await;
    busy.write_all(b"GET /wait HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    door.arrived.notified().await;

    door.stop.send_replace(true);
    assert!(read_to_end(&mut idle).await.ends_with("/idle"));
    assert_eq!(read_to_end(&mut silent).await, "");
    assert!(TcpStream::connect(("127.0.0.1", door.port)).await.is_err(), "new connections are refused");
    assert!(!door.served.is_finished());
    door.release.notify_one();
    assert!(read_to_end(&mut busy).await.ends_with("waited"));
    assert_eq!(door.served.await.unwrap(), 0);
}

#[tokio::test]
async fn a_request_that_outlasts_the_grace_is_cut() {
    let door = Door::open(Settings { grace: Duration::from_millis(400), ..BOUNDS }).await;
    let mut busy = door.connect().await;
    busy.write_all(get("/wait").as_bytes()).await.unwrap();
    door.arrived.notified().await;
    door.stop.send_replace(true);
    assert_eq!(door.served.await.unwrap(), 1);
    assert_eq!(door.n_waiting_dropped.load(Ordering::SeqCst), 1);
    assert_eq!(read_to_end(&mut busy).await, "");
}

#[tokio::test]
async fn an_idle_connection_is_closed_in_its_own_time() {
    let door = Door::open(Settings { idle_timeout: Duration::from_millis(50), ..BOUNDS }).await;
    let answer = door.exchange("GET /idle HTTP/1.1\r\nHost: x\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("/idle"), "{answer}");
}

#[tokio::test]
async fn slow_heads_make_room_for_whoever_comes_with_a_request() {
    let door = Door::open(BOUNDS).await;
    let mut slow = Vec::new();
    for _ in 0..100 {
        let mut stream = door.connect().await;
        stream.write_all(b"GET / HTTP/1.1\r\nX-Slow").await.unwrap();
        slow.push(stream);
    }
    for place in ["/healthz", "/next"] {
        assert!(door.exchange(get(place)).await.ends_with(place));
    }
    assert_eq!(read_to_end(&mut slow[0]).await, "", "the first of them had to go");
}

#[tokio::test]
async fn health_is_answered_where_every_connection_is_at_work_and_nothing_else_is() {
    let bounds = Settings { connections_max: 2, body_wait_max: Duration::from_millis(50), ..BOUNDS };
    let door = Door::open(bounds).await;
    let mut busy = Vec::new();
    for _ in 0..2 {
        let mut stream = door.connect().await;
        stream.write_all(get("/wait").as_bytes()).await.unwrap();
        door.arrived.notified().await;
        busy.push(stream);
    }
    for place in ["/healthz", "/readyz"] {
        assert!(door.exchange(get(place)).await.ends_with(place));
    }
    assert!(door.exchange(get("/next")).await.ends_with("no place"));
    for mut stream in busy {
        door.release.notify_one();
        assert!(read_to_end(&mut stream).await.ends_with("waited"));
    }
    assert!(door.exchange(get("/next")).await.ends_with("/next"));
}

#[tokio::test]
async fn a_request_says_once_which_host_it_is_for() {
    let door = Door::open(BOUNDS).await;
    for (hosts, n_hosts) in [("", 0), ("Host: x\r\nhost: x\r\n", 2), ("Host: x\r\nHost: y\r\n", 2)] {
        let answer = door.exchange(format!("GET / HTTP/1.1\r\n{hosts}Connection: close\r\n\r\n")).await;
        assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
        assert!(answer.contains(&format!("the request has {n_hosts} `Host` headers, expected 1")), "{answer}");
    }
    // Below the native API's prefix in the words of that API.
    let answer = door.exchange("GET /likeness/v1/status HTTP/1.1\r\nConnection: close\r\n\r\n".to_owned()).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    let body: serde_json::Value = serde_json::from_str(body).unwrap();
    assert!(head.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert_eq!(
        (&body["error"]["code"], &body["error"]["field"]),
        (&serde_json::json!("invalid_argument"), &serde_json::json!("host"))
    );
    let id = body["error"]["request_id"].as_str().unwrap();
    assert!(head.to_lowercase().contains(&format!("x-request-id: {}", id.to_lowercase())), "{answer}");
    let answer = door.exchange("GET /old HTTP/1.0\r\n\r\n").await;
    assert!(answer.ends_with("/old"), "HTTP/1.0 knows no hosts: {answer}");
}
