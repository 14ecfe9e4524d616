//! Clients that mean no good, against the real binary.

use std::io::{Read, Write};
use std::sync::Barrier;
use std::thread;

use crate::harness::{Scratch, Server};

const MIB: u64 = 1 << 20;
/// Memory that request bodies may take; half of it is open to clients without a key.
const BUDGET_MIB: u64 = 64;
/// What a server may take besides: buffers of sockets, parsing, answers.
const BESIDES_MIB: u64 = 100;
const CONNECTIONS: usize = 64;
const BODY_BYTES: usize = 20_000_000;

/// A field of `/proc/PID/status` in bytes.
fn memory(server: &Server, field: &str) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", server.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix(field)).unwrap();
    line.trim_start_matches(':').trim().trim_end_matches(" kB").parse::<u64>().unwrap() * 1024
}

/// The head of a form of [`BODY_BYTES`] from a client of its own, whose key would come after the picture.
fn head(idx: usize) -> String {
    format!(
        "POST /finauth/search/group/add HTTP/1.1\r\nHost: x\r\nX-Forwarded-For: 10.{}.{}.1\r\n\
         Content-Type: multipart/form-data; boundary=b\r\nContent-Length: {BODY_BYTES}\r\nConnection: close\r\n\r\n\
         --b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a\"\r\n\r\n",
        idx / 256,
        idx % 256
    )
}

#[test]
fn bodies_of_many_strangers_stay_within_their_memory() {
    let scratch = Scratch::new();
    let settings = format!(
        "[listener]\nbody_memory_mib = {BUDGET_MIB}\nbody_wait_max_ms = 100\nclient_address_header = \"x-forwarded-for\"\n"
    );
    std::fs::write(scratch.path().join("likeness.toml"), settings).unwrap();
    let Some(mut server) = scratch.serve(&["--config", "likeness.toml"]) else { return };
    // The highest resident size so far is that of loading the models.
    std::fs::write(format!("/proc/{}/clear_refs", server.pid()), "5").unwrap();
    let before = memory(&server, "VmRSS");
    let all_are_sending = Barrier::new(CONNECTIONS);
    let answers: Vec<String> = thread::scope(|scope| {
        let clients: Vec<_> = (0..CONNECTIONS)
            .map(|idx| {
                let mut stream = server.connect();
                let all_are_sending = &all_are_sending;
                scope.spawn(move || {
                    let head = head(idx);
                    let n_in_head = head.split("\r\n\r\n").nth(1).map_or(0, |start| start.len() + 4);
                    stream.write_all(head.as_bytes()).unwrap();
                    all_are_sending.wait();
                    let mut n_left = BODY_BYTES - n_in_head;
                    // A server that has heard enough may close; that is no failure of the client.
                    while n_left > 0 && stream.write_all(&[b'x'; 65_536][..n_left.min(65_536)]).is_ok() {
                        n_left -= n_left.min(65_536);
                    }
                    let mut answer = Vec::new();
                    let _ = stream.read_to_end(&mut answer);
                    String::from_utf8_lossy(&answer).lines().next().unwrap_or_default().to_owned()
                })
            })
            .collect();
        clients.into_iter().map(|client| client.join().unwrap()).collect()
    });
    let peak = memory(&server, "VmHWM");
    let allowed = before + (BUDGET_MIB + BESIDES_MIB) * MIB;
    assert!(peak <= allowed, "{} MiB before, {} MiB at most", before / MIB, peak / MIB);
    let n_of = |status: &str| answers.iter().filter(|answer| answer.contains(status)).count();
    assert!(n_of(" 403 ") > 0, "some were told to come back later: {answers:?}");
    assert!(server.exchange("GET", "/readyz", "").starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn a_second_port_answers_health_checks_and_nothing_else() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--listen-operations", "127.0.0.1:0"]) else { return };
    let port = server.port_after("health checks and metrics on http://127.0.0.1:");
    for (place, status) in [("/healthz", "200"), ("/readyz", "200"), ("/v2/x/face-detect", "404")] {
        let answer = server.exchange_at(port, "GET", place, "");
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{place}: {answer}");
    }
    server.stop();
}
