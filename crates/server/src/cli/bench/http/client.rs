//! The clients of `likeness bench http`: a process of their own, which is this program again.
//!
//! The first line of its standard input is the [`Plan`]; each further line is a time in milliseconds, for which it
//! searches over all connections before it answers with one line, a [`Done`]. It ends with its input.

use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http::{Request, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use likeness_domain::Error;
use likeness_domain::ports::Clock;
use likeness_domain::types::{AccessKey, AccessKeyId, FaceSet, Secret};
use likeness_wire::huawei;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::TcpStream;
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::task::JoinSet;

use super::super::measure;
use crate::cli::terminal;
use crate::outcome::{Outcome, Verdict, failed};
use crate::system::SystemClock;

/// The word by which this program is told to be the clients.
pub(crate) const COMMAND: &str = "http-client";

/// Faces of a page when the probes are listed.
const PAGE: u64 = 1000;

/// Whom to ask what.
#[derive(Serialize, Deserialize)]
pub(super) struct Plan {
    address: SocketAddr,
    project: String,
    key: String,
    secret: String,
    face_set: String,
    connections: u64,
    top_k: u64,
    n_probes: u64,
}

impl Plan {
    pub(super) fn new(
        address: SocketAddr,
        key: &AccessKey,
        face_set: &FaceSet,
        connections: u64,
        top_k: u64,
        n_probes: u64,
    ) -> Self {
        Self {
            address,
            project: key.tenant.id.to_string(),
            key: key.id.as_str().to_owned(),
            secret: key.secret.reveal().to_owned(),
            face_set: face_set.name.as_str().to_owned(),
            connections,
            top_k,
            n_probes,
        }
    }
}

/// One turn, as the clients saw it.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Done {
    pub(super) searches: u64,
    pub(super) median_ms: f64,
    pub(super) p99_ms: f64,
}

/// The process of the clients, as the measuring process holds it. It is killed when this is dropped.
pub(super) struct Client {
    child: Child,
    orders: ChildStdin,
    answers: Lines<BufReader<ChildStdout>>,
}

impl Client {
    /// Starts the process and tells it the plan, on its standard input: a secret is no argument.
    pub(super) async fn start(plan: &Plan) -> Result<Self, Error> {
        let lost = |error: std::io::Error| failed(format!("cannot start the process of the clients: {error}"));
        let mut child = Command::new(std::env::current_exe().map_err(lost)?)
            .args(["bench", COMMAND])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .map_err(lost)?;
        let (orders, answers) = (child.stdin.take(), child.stdout.take());
        let (Some(orders), Some(answers)) = (orders, answers) else {
            return Err(failed("the process of the clients has no pipes"));
        };
        let mut client = Self { child, orders, answers: BufReader::new(answers).lines() };
        let plan = serde_json::to_string(plan).map_err(|error| failed(format!("cannot write JSON: {error}")))?;
        client.order(plan).await?;
        Ok(client)
    }

    async fn order(&mut self, line: String) -> Result<(), Error> {
        let sent = self.orders.write_all(format!("{line}\n").as_bytes()).await;
        sent.map_err(|error| failed(format!("the process of the clients has ended: {error}")))
    }

    /// Has all connections search for that long.
    pub(super) async fn search(&mut self, time: Duration) -> Result<Done, Error> {
        self.order(time.as_millis().to_string()).await?;
        let ended = || failed("the process of the clients has ended; the reason stands above");
        let line = self.answers.next_line().await.map_err(|_| ended())?.ok_or_else(ended)?;
        serde_json::from_str(&line).map_err(|error| failed(format!("the clients' answer is not understood: {error}")))
    }

    /// Ends the process.
    pub(super) async fn stop(self) -> Result<(), Error> {
        let Self { mut child, orders, answers } = self;
        drop((orders, answers));
        child.wait().await.map_err(|error| failed(format!("cannot end the process of the clients: {error}")))?;
        Ok(())
    }
}

/// Is the clients.
pub(crate) async fn run() -> Outcome {
    // Between turns nothing else is to be done, so waiting for a line may block.
    let mut lines = std::io::stdin().lines();
    let broken = |error: std::io::Error| failed(format!("cannot read standard input: {error}"));
    let Some(plan) = lines.next() else { return Ok(Verdict::Done) };
    let plan = serde_json::from_str(&plan.map_err(broken)?);
    let mut connections =
        connect(plan.map_err(|error| failed(format!("the plan is not understood: {error}")))?).await?;
    for line in lines {
        let line = line.map_err(broken)?;
        let time = line.parse().map_err(|_| failed(format!("`{line}` is no time in milliseconds")))?;
        let (kept, done) = turn(connections, Duration::from_millis(time)).await?;
        connections = kept;
        terminal::json(&done)?;
    }
    Ok(Verdict::Done)
}

/// One connection, with one request at a time.
struct Connection {
    sender: SendRequest<Full<Bytes>>,
    plan: Arc<Plan>,
    /// As the dialect spells them.
    probes: Arc<[String]>,
    next_probe: usize,
}

/// Opens every connection; the first lists the faces to search with.
async fn connect(plan: Plan) -> Result<Vec<Connection>, Error> {
    let plan = Arc::new(plan);
    let mut connections = Vec::new();
    for _ in 0..plan.connections {
        let lost = |error: &dyn std::fmt::Display| failed(format!("cannot connect to {}: {error}", plan.address));
        let stream = TcpStream::connect(plan.address).await.map_err(|error| lost(&error))?;
        stream.set_nodelay(true).map_err(|error| lost(&error))?;
        let (sender, driver) = handshake(TokioIo::new(stream)).await.map_err(|error| lost(&error))?;
        // It ends when the sender is dropped; what goes wrong on it is seen by its requests.
        tokio::spawn(driver);
        connections.push(Connection { sender, plan: Arc::clone(&plan), probes: Arc::new([]), next_probe: 0 });
    }
    let probes: Arc<[String]> = match connections.first_mut() {
        Some(first) => first.list().await?.into(),
        None => return Ok(connections),
    };
    let n_connections = connections.len();
    for (idx, connection) in connections.iter_mut().enumerate() {
        connection.next_probe = idx * probes.len() / n_connections;
        connection.probes = Arc::clone(&probes);
    }
    Ok(connections)
}

/// Has all connections search for that long.
async fn turn(connections: Vec<Connection>, time: Duration) -> Result<(Vec<Connection>, Done), Error> {
    let start = Instant::now();
    let mut tasks = JoinSet::new();
    for mut connection in connections {
        tasks.spawn(async move {
            let mut taken = Vec::new();
            while start.elapsed() < time {
                let before = Instant::now();
                connection.search(taken.is_empty()).await?;
                taken.push(before.elapsed());
            }
            Ok::<_, Error>((connection, taken))
        });
    }
    let (mut kept, mut taken) = (Vec::new(), Vec::new());
    while let Some(done) = tasks.join_next().await {
        let (connection, durations) = done.map_err(|error| failed(format!("a connection failed: {error}")))??;
        kept.push(connection);
        taken.extend(durations);
    }
    taken.sort_unstable();
    let [median_ms, p99_ms] = [0.5, 0.99].map(|share| measure::quantile_ms(&taken, share));
    Ok((kept, Done { searches: taken.len() as u64, median_ms, p99_ms }))
}

impl Connection {
    /// The ids of the faces to search with.
    async fn list(&mut self) -> Result<Vec<String>, Error> {
        let mut probes = Vec::new();
        while (probes.len() as u64) < self.plan.n_probes {
            let limit = PAGE.min(self.plan.n_probes - probes.len() as u64);
            let target = format!("/faces?offset={}&limit={limit}", probes.len());
            let answer = parsed(&self.send("GET", &target, Bytes::new()).await?)?;
            let ids = faces_of(&answer).iter().filter_map(|face| Some(face["face_id"].as_str()?.to_owned()));
            let n_before = probes.len();
            probes.extend(ids);
            if probes.len() == n_before {
                return Err(failed("the server lists fewer faces than it has"));
            }
        }
        Ok(probes)
    }

    /// One search. The answer is read whole; `is_checked` says whether also what it says.
    async fn search(&mut self, is_checked: bool) -> Result<(), Error> {
        let probe = &self.probes[self.next_probe];
        let body = format!(r#"{{"face_id":"{probe}","top_n":{}}}"#, self.plan.top_k);
        self.next_probe = (self.next_probe + 1) % self.probes.len();
        let answer = self.send("POST", "/search", body.into()).await?;
        if is_checked {
            let n_found = faces_of(&parsed(&answer)?).len() as u64;
            if n_found != self.plan.top_k {
                return Err(failed(format!("a search found {n_found} faces instead of {}", self.plan.top_k)));
            }
        }
        Ok(())
    }

    async fn send(&mut self, method: &str, target: &str, body: Bytes) -> Result<Bytes, Error> {
        let Plan { address, project, key, secret, face_set, .. } = &*self.plan;
        let request = Request::builder()
            .method(method)
            .uri(format!("/v2/{project}/face-sets/{face_set}{target}"))
            .header(header::HOST, address.to_string())
            .header(header::CONTENT_TYPE, "application/json")
            .body(())
            .map_err(|error| failed(format!("cannot make a request: {error}")))?;
        let (mut head, ()) = request.into_parts();
        let (Some(key), Some(secret)) = (AccessKeyId::new(key), Secret::new(secret)) else {
            return Err(failed("the plan names no access key"));
        };
        huawei::sign(&mut head, &body, (&key, &secret), SystemClock.now());
        let lost = |error: hyper::Error| failed(format!("no answer from the server: {error}"));
        self.sender.ready().await.map_err(lost)?;
        let answer = self.sender.send_request(Request::from_parts(head, Full::new(body))).await.map_err(lost)?;
        let status = answer.status();
        let body = answer.into_body().collect().await.map_err(lost)?.to_bytes();
        match status {
            StatusCode::OK => Ok(body),
            _ => Err(failed(format!("the server answered {status}: {}", String::from_utf8_lossy(&body)))),
        }
    }
}

fn parsed(answer: &[u8]) -> Result<Value, Error> {
    serde_json::from_slice(answer).map_err(|error| failed(format!("the server's answer is not JSON: {error}")))
}

fn faces_of(answer: &Value) -> &[Value] {
    answer["faces"].as_array().map_or(&[], Vec::as_slice)
}
