//! Traces as a collector gets them. The collector is written here, with a reader of protobuf of its own: what the server
//! says must be what the standard numbers say, not what the server reads back.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use crate::harness::{Scratch, Server, has_pack};
use crate::library::portraits;

/// Patience with a server that has to send something.
const PATIENCE: Duration = Duration::from_secs(60);

/// The fields of a message: number and content.
fn fields(mut message: &[u8]) -> Vec<(u64, Content)> {
    let mut found = Vec::new();
    while !message.is_empty() {
        let tag = varint(&mut message);
        let content = match tag & 7 {
            0 => Content::Number(varint(&mut message)),
            1 => Content::Number(u64::from_le_bytes(take(&mut message, 8).try_into().unwrap())),
            2 => {
                let n_bytes = varint(&mut message) as usize;
                Content::Bytes(take(&mut message, n_bytes).to_vec())
            }
            5 => Content::Number(u32::from_le_bytes(take(&mut message, 4).try_into().unwrap()).into()),
            other => panic!("wire type {other}"),
        };
        found.push((tag >> 3, content));
    }
    found
}

#[derive(Debug, Clone)]
enum Content {
    Number(u64),
    Bytes(Vec<u8>),
}

fn varint(message: &mut &[u8]) -> u64 {
    let mut number = 0;
    for shift in (0..).step_by(7) {
        let byte = take(message, 1)[0];
        number |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            break;
        }
    }
    number
}

fn take<'a>(message: &mut &'a [u8], n_bytes: usize) -> &'a [u8] {
    let (taken, rest) = message.split_at(n_bytes);
    *message = rest;
    taken
}

/// The messages in a field.
fn messages(message: &[u8], number: u64) -> Vec<Vec<u8>> {
    let of = |(field, content)| match content {
        Content::Bytes(bytes) if field == number => Some(bytes),
        _ => None,
    };
    fields(message).into_iter().filter_map(of).collect()
}

fn text(message: &[u8], number: u64) -> String {
    messages(message, number).pop().map(|bytes| String::from_utf8(bytes).unwrap()).unwrap_or_default()
}

fn number(message: &[u8], number: u64) -> u64 {
    let of = |(field, content): &(u64, Content)| match content {
        Content::Number(value) if *field == number => Some(*value),
        _ => None,
    };
    fields(message).iter().find_map(of).unwrap_or_default()
}

fn hex(message: &[u8], number: u64) -> String {
    messages(message, number).pop().unwrap_or_default().iter().map(|byte| format!("{byte:02x}")).collect()
}

fn attributes(message: &[u8], field: u64) -> BTreeMap<String, String> {
    let read = |pair: Vec<u8>| {
        let value = messages(&pair, 2).pop().unwrap();
        let said = match &fields(&value)[0] {
            (1, Content::Bytes(bytes)) => String::from_utf8(bytes.clone()).unwrap(),
            (3, Content::Number(number)) => number.to_string(),
            other => panic!("a value of another kind: {other:?}"),
        };
        (text(&pair, 1), said)
    };
    messages(message, field).into_iter().map(read).collect()
}

/// A span as `opentelemetry/proto/trace/v1/trace.proto` numbers it.
#[derive(Debug, Clone)]
struct Span {
    trace: String,
    id: String,
    parent: String,
    name: String,
    kind: u64,
    start: u64,
    end: u64,
    attributes: BTreeMap<String, String>,
    is_error: bool,
    flags: u64,
}

impl Span {
    fn read(message: &[u8]) -> Span {
        Span {
            trace: hex(message, 1),
            id: hex(message, 2),
            parent: hex(message, 4),
            name: text(message, 5),
            kind: number(message, 6),
            start: number(message, 7),
            end: number(message, 8),
            attributes: attributes(message, 9),
            is_error: messages(message, 15).first().is_some_and(|status| number(status, 3) == 2),
            flags: number(message, 16),
        }
    }
}

/// What the collector was sent: head and body of a request.
type Call = (String, Vec<u8>);

/// A collector that answers its first calls with these statuses, all others with 200.
fn collector(mut statuses: Vec<u16>) -> (u16, Receiver<Call>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let (sender, calls) = channel();
    statuses.reverse();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let call = read_call(&mut stream);
            let status = statuses.pop().unwrap_or(200);
            let answer = format!("HTTP/1.1 {status} Said\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).unwrap();
            if sender.send(call).is_err() {
                return;
            }
        }
    });
    (port, calls)
}

fn read_call(stream: &mut TcpStream) -> Call {
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let (mut received, mut buffer) = (Vec::new(), [0; 4096]);
    loop {
        if let Some(end) = received.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(received[..end].to_vec()).unwrap();
            let length =
                head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
            let n_bytes: usize = length.unwrap();
            if received.len() == end + 4 + n_bytes {
                return (head, received.split_off(end + 4));
            }
        }
        let n_read = stream.read(&mut buffer).unwrap();
        assert!(n_read > 0, "the call was cut off");
        received.extend_from_slice(&buffer[..n_read]);
    }
}

fn spans(body: &[u8]) -> Vec<Span> {
    let scopes = messages(body, 1).into_iter().flat_map(|resource| messages(&resource, 2));
    scopes.flat_map(|scope| messages(&scope, 2)).map(|span| Span::read(&span)).collect()
}

/// Starts a traced server with a tenant and key; `variables` are in its environment.
fn traced(scratch: &Scratch, variables: &[(&str, String)]) -> Option<(Server, String)> {
    if !has_pack() {
        return None;
    }
    let mut command = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data", "--quickstart"]);
    command.env("LIKENESS_WORKERS", "1").envs(variables.iter().map(|(name, value)| (*name, value)));
    let server = Server::start(command);
    server.wait_for("listening on http://127.0.0.1:");
    let bearer = scratch.quickstart_key();
    Some((server, bearer))
}

/// Everything that was sent until the server has ended.
fn sent(calls: &Receiver<Call>) -> Vec<Span> {
    calls.try_iter().flat_map(|(_, body)| spans(&body)).collect()
}

#[test]
fn a_request_and_its_steps_are_one_trace_and_name_nobody() {
    let Some(portraits) = portraits() else { return };
    let scratch = Scratch::new();
    let (port, calls) = collector(Vec::new());
    let endpoint = ("LIKENESS_TRACES_ENDPOINT", format!("http://127.0.0.1:{port}"));
    let headers = ("OTEL_EXPORTER_OTLP_HEADERS", "x-scope=seven%207".to_owned());
    let Some((mut server, bearer)) = traced(&scratch, &[endpoint, headers]) else { return };
    let (trace, parent) = ("0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331");
    let key = format!("Authorization: Bearer {bearer}\r\nContent-Type: application/json\r\n");
    let made = server.exchange_with("POST", "/likeness/v1/face-sets", &key, br#"{"name": "hidden-name"}"#);
    assert!(made.starts_with("HTTP/1.1 201 "), "{made}");
    let photo = std::fs::read(portraits.join("biden.jpg")).unwrap();
    let picture = format!("Authorization: Bearer {bearer}\r\nContent-Type: image/jpeg\r\n");
    let target = "/likeness/v1/face-sets/hidden-name/faces?subject=secret-person";
    let traced = format!("{picture}traceparent: 00-{trace}-{parent}-01\r\n");
    let enrolled = server.exchange_with("POST", target, &traced, &photo);
    assert!(enrolled.starts_with("HTTP/1.1 20"), "{enrolled}");
    let enrolled_id =
        enrolled.lines().find_map(|line| line.to_lowercase().strip_prefix("x-request-id: ").map(str::to_owned));
    let found = server.exchange_with("POST", "/likeness/v1/face-sets/hidden-name/search", &picture, &photo);
    assert!(found.starts_with("HTTP/1.1 200 "), "{found}");
    // Of others: a caller that does not keep its trace, a health check, a path that nobody serves.
    let unkept = format!("{key}traceparent: 00-{trace}-{parent}-00\r\n");
    server.exchange_with("GET", "/likeness/v1/face-sets/hidden-name", &unkept, b"");
    server.exchange_with("GET", "/healthz", "", b"");
    server.exchange_with("GET", "/v2/whose/face-sets", "", b"");
    server.stop();
    let received: Vec<Call> = calls.try_iter().collect();
    let (head, first) = &received[0];
    assert!(head.starts_with("POST /v1/traces HTTP/1.1"), "{head}");
    assert!(head.to_lowercase().contains("content-type: application/x-protobuf"), "{head}");
    assert!(head.to_lowercase().contains("x-scope: seven 7"), "{head}");
    let resource = messages(&messages(first, 1)[0], 1).remove(0);
    assert_eq!(attributes(&resource, 1)["service.name"], "likeness");
    let spans: Vec<Span> = received.iter().flat_map(|(_, body)| spans(body)).collect();

    let enrolment = spans.iter().find(|span| span.parent == parent).expect("the trace that the caller began goes on");
    assert_eq!((enrolment.trace.as_str(), enrolment.kind, enrolment.flags), (trace, 2, 0x301), "{enrolment:?}");
    assert_eq!(enrolment.name, "POST /likeness/v1/face-sets/{name}/faces");
    let expected = [
        ("http.request.method", "POST"),
        ("http.route", "/likeness/v1/face-sets/{name}/faces"),
        ("likeness.dialect", "native"),
        ("likeness.request_id", &enrolled_id.expect("the answer has an id")),
    ];
    for (name, value) in expected {
        assert_eq!(enrolment.attributes[name], value);
    }
    assert!(enrolment.attributes["http.response.status_code"].starts_with("20") && !enrolment.is_error);
    let steps_of = |request: &Span| -> BTreeMap<String, Span> {
        let inside = spans.iter().filter(|span| span.trace == request.trace && span.id != request.id);
        inside.map(|span| (span.name.clone(), span.clone())).collect()
    };
    let steps = steps_of(enrolment);
    for name in ["analyse", "decode", "find faces", "embed", "commit"] {
        let step = steps.get(name).unwrap_or_else(|| panic!("no step `{name}` in {steps:#?}"));
        assert!(enrolment.start <= step.start && step.start <= step.end && step.end <= enrolment.end, "{step:?}");
        assert_eq!((step.kind, step.flags), (1, 0x101));
    }
    for inner in ["decode", "find faces", "embed"] {
        assert_eq!(steps[inner].parent, steps["analyse"].id, "{inner}");
    }
    assert_eq!(steps["commit"].parent, enrolment.id);
    assert_eq!(steps["embed"].attributes["likeness.faces"], "1");

    let search = spans.iter().find(|span| span.name == "POST /likeness/v1/face-sets/{name}/search").expect("told");
    assert!(search.parent.is_empty() && search.trace != trace && search.trace.len() == 32, "{search:?}");
    assert_eq!(search.flags, 0x101);
    assert_eq!(steps_of(search)["search"].parent, search.id);

    assert!(spans.iter().all(|span| span.name != "GET /likeness/v1/face-sets/{name}"), "its caller does not keep it");
    let refused =
        spans.iter().find(|span| span.attributes.get("likeness.dialect").is_some_and(|name| name == "huawei"));
    let refused = refused.expect("refused requests are told, too");
    assert_eq!(refused.attributes["http.response.status_code"], "401");
    assert!(refused.attributes.contains_key("error.type") && !refused.is_error, "{refused:?}");
    assert!(spans.iter().all(|span| !span.name.contains("health")));
    let (key_id, _) = bearer.split_once('.').expect("two parts");
    for (_, body) in &received {
        let said = String::from_utf8_lossy(body);
        for hidden in ["hidden-name", "secret-person", "demo", "whose", "127.0.0.1", key_id] {
            assert!(!said.contains(hidden), "`{hidden}` left the machine");
        }
    }
}

#[test]
fn a_collector_that_is_busy_gets_the_same_again_and_one_that_refuses_is_told_of_once() {
    let scratch = Scratch::new();
    let (port, calls) = collector(vec![503]);
    let base = ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{port}/"));
    let Some((mut server, _)) = traced(&scratch, &[base]) else { return };
    server.exchange_with("GET", "/nothing", "", b"");
    let (_, first) = calls.recv_timeout(PATIENCE).expect("a message");
    let (_, second) = calls.recv_timeout(PATIENCE).expect("the same once more");
    assert_eq!(first, second);
    assert_eq!(spans(&first).len(), 1);
    assert_eq!(spans(&first)[0].name, "GET", "a path that nobody serves has no route");
    server.stop();

    let (port, calls) = collector(vec![401, 401]);
    let base = ("LIKENESS_TRACES_ENDPOINT", format!("http://127.0.0.1:{port}"));
    let scratch = Scratch::new();
    let Some((mut server, _)) = traced(&scratch, &[base]) else { return };
    server.exchange_with("GET", "/nothing", "", b"");
    calls.recv_timeout(PATIENCE).expect("a message");
    server.wait_for("does not take traces");
    server.exchange_with("GET", "/nothing", "", b"");
    calls.recv_timeout(PATIENCE).expect("another one");
    server.exchange_with("GET", "/nothing", "", b"");
    calls.recv_timeout(PATIENCE).expect("one that is taken");
    server.wait_for("spans of traces were lost");
    server.stop();
    assert_eq!(server.talk().matches("does not take traces").count(), 1);
}

#[test]
fn one_of_several_requests_is_traced_and_nobody_waits_for_a_collector_that_is_not_there() {
    let scratch = Scratch::new();
    let (port, calls) = collector(Vec::new());
    let base = ("LIKENESS_TRACES_ENDPOINT", format!("http://127.0.0.1:{port}"));
    let Some((mut server, _)) = traced(&scratch, &[base, ("LIKENESS_TRACES_ONE_IN", "3".to_owned())]) else { return };
    for _ in 0..7 {
        server.exchange_with("GET", "/nothing", "", b"");
    }
    server.stop();
    assert_eq!(sent(&calls).len(), 3, "the first, the fourth and the seventh");

    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let scratch = Scratch::new();
    let Some((mut server, _)) = traced(&scratch, &[("LIKENESS_TRACES_ENDPOINT", format!("http://{nobody}"))]) else {
        return;
    };
    assert!(server.exchange_with("GET", "/nothing", "", b"").starts_with("HTTP/1.1 404 "));
    server.stop();
}
