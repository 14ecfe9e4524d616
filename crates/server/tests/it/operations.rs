//! What operators use: metrics, TLS, reloading, `doctor`, completions and man pages.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use rustix::process::Signal;
use serde_json::Value;
use time::OffsetDateTime;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned, crypto};

use crate::harness::{Scratch, Server, has_pack};

#[test]
fn metrics_count_requests_and_name_nobody() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--listen-operations", "127.0.0.1:0", "--quickstart"]) else { return };
    let port = server.port_after("health checks and metrics on http://127.0.0.1:");
    server.exchange("GET", "/v3/projects", "");
    server.exchange("GET", "/likeness/v1/face-sets", "");
    server.exchange("GET", "/nothing", "");
    let page = server.exchange_at(port, "GET", "/metrics", "");
    assert!(page.starts_with("HTTP/1.1 200 ") && page.contains("text/plain; version=0.0.4"), "{page}");
    for line in [
        "likeness_requests_total{dialect=\"huawei\",operation=\"none\",status=\"401\"} 1",
        "likeness_requests_total{dialect=\"native\",operation=\"none\",status=\"401\"} 1",
        "likeness_requests_total{dialect=\"none\",operation=\"none\",status=\"404\"} 1",
        "likeness_refusals_total{dialect=\"native\",reason=\"unauthenticated\"} 1",
        "likeness_store_faces 0",
        "likeness_store_tenants 1",
        "likeness_store_writes_failing 0",
        "likeness_store_rows_set_aside 0",
        "likeness_store_table_rows_set_aside{table=\"templates\"} 0",
        "likeness_store_other_damage 0",
        "likeness_store_losses 0",
        "likeness_index_ready 1",
        "likeness_analysis_threads 1",
        "likeness_analysis_queue_length 0",
        "# TYPE likeness_request_duration_seconds histogram",
    ] {
        assert!(page.lines().any(|found| found == line), "{line} is not in\n{page}");
    }
    let key = scratch.quickstart_key();
    let (key, _) = key.split_once('.').unwrap();
    assert!(!page.contains("demo") && !page.contains(key), "nothing of a tenant: {page}");
    assert!(server.exchange("GET", "/metrics", "").starts_with("HTTP/1.1 404 "), "not for clients");
    server.stop();
}

/// DER as PEM.
fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, der);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).unwrap()).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

/// A certificate for 127.0.0.1 in the server's files, signed by itself.
fn certificate(scratch: &Scratch) -> CertificateDer<'static> {
    certificate_until(scratch, OffsetDateTime::now_utc() + Duration::from_hours(400 * 24))
}

/// The same, valid until that time.
fn certificate_until(scratch: &Scratch, end: OffsetDateTime) -> CertificateDer<'static> {
    let mut parameters = rcgen::CertificateParams::new(vec!["127.0.0.1".to_owned()]).unwrap();
    parameters.not_after = end;
    let key = rcgen::KeyPair::generate().unwrap();
    let made = rcgen::CertifiedKey { cert: parameters.self_signed(&key).unwrap(), signing_key: key };
    // By renaming, as those who renew certificates do.
    for (name, text) in [
        ("key.pem", pem("PRIVATE KEY", made.signing_key.serialized_der())),
        ("cert.pem", pem("CERTIFICATE", made.cert.der())),
    ] {
        let draft = scratch.path().join("draft.pem");
        fs::write(&draft, text).unwrap();
        fs::set_permissions(&draft, fs::Permissions::from_mode(0o600)).unwrap();
        fs::rename(draft, scratch.path().join(name)).unwrap();
    }
    made.cert.der().clone()
}

fn serve_tls(scratch: &Scratch, more: &[(&str, &str)]) -> Server {
    let mut command = scratch.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
    command.env("LIKENESS_WORKERS", "1");
    command.env("LIKENESS_TLS_CERTIFICATE", "cert.pem").env("LIKENESS_TLS_KEY", "key.pem");
    command.envs(more.iter().copied());
    let server = Server::start(command);
    server.wait_for("listening on https://127.0.0.1:");
    server
}

fn client(roots: &[CertificateDer<'static>]) -> Arc<ClientConfig> {
    let mut store = RootCertStore::empty();
    roots.iter().for_each(|root| store.add(root.clone()).unwrap());
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    Arc::new(builder.with_safe_default_protocol_versions().unwrap().with_root_certificates(store).with_no_client_auth())
}

/// The answer to a health check through TLS.
fn healthz(port: u16, config: &Arc<ClientConfig>) -> std::io::Result<String> {
    let name = ServerName::try_from("127.0.0.1").unwrap();
    let connection = ClientConnection::new(Arc::clone(config), name).map_err(std::io::Error::other)?;
    let mut stream = StreamOwned::new(connection, TcpStream::connect(("127.0.0.1", port))?);
    stream.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")?;
    let mut answer = Vec::new();
    match stream.read_to_end(&mut answer) {
        Err(error) if error.kind() != std::io::ErrorKind::UnexpectedEof => return Err(error),
        _ => {}
    }
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[test]
fn a_certificate_is_renewed_under_load_without_a_failed_request() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    let first = certificate(&scratch);
    let mut server = serve_tls(&scratch, &[]);
    let port = server.port_after("listening on https://127.0.0.1:");
    // Which certificate a connection gets is told by whom the client trusts.
    let only_first = client(std::slice::from_ref(&first));
    assert!(healthz(port, &only_first).unwrap().starts_with("HTTP/1.1 200 "));
    let mut plain = TcpStream::connect(("127.0.0.1", port)).unwrap();
    plain.write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = plain.read_to_end(&mut answer);
    assert!(!answer.starts_with(b"HTTP/1.1 200"), "plain HTTP is not answered there");

    let second = certificate(&scratch);
    let (both, only_second) = (client(&[first, second.clone()]), client(&[second]));
    let (ended, n_answered) = (AtomicBool::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        let load: Vec<_> = (0..4)
            .map(|_| {
                scope.spawn(|| {
                    while !ended.load(Ordering::Relaxed) {
                        let answer = healthz(port, &both).unwrap();
                        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
                        n_answered.fetch_add(1, Ordering::Relaxed);
                    }
                })
            })
            .collect();
        while n_answered.load(Ordering::Relaxed) < 20 {
            std::thread::yield_now();
        }
        server.signal(Signal::HUP);
        server.wait_for("the certificate is read again");
        let before = n_answered.load(Ordering::Relaxed);
        while n_answered.load(Ordering::Relaxed) < before + 20 {
            std::thread::yield_now();
        }
        ended.store(true, Ordering::Relaxed);
        load.into_iter().for_each(|thread| thread.join().expect("no request fails"));
    });
    assert!(healthz(port, &only_second).unwrap().starts_with("HTTP/1.1 200 "), "the new one is in use");
    assert!(healthz(port, &only_first).is_err(), "the old one is not");

    fs::write(scratch.path().join("cert.pem"), "nonsense").unwrap();
    server.signal(Signal::HUP);
    server.wait_for("the one before holds on");
    assert!(healthz(port, &only_second).unwrap().starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn openssl_speaks_to_it_and_client_certificates_are_asked_for() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    certificate(&scratch);
    let authority = rcgen::generate_simple_self_signed(vec!["client.example".to_owned()]).unwrap();
    fs::write(scratch.path().join("clients.pem"), pem("CERTIFICATE", authority.cert.der())).unwrap();
    fs::write(scratch.path().join("client-key.pem"), pem("PRIVATE KEY", authority.signing_key.serialized_der()))
        .unwrap();
    let mut server = serve_tls(&scratch, &[("LIKENESS_TLS_CLIENT_CA", "clients.pem")]);
    let port = server.port_after("listening on https://127.0.0.1:");
    let Some(without) = s_client(scratch.path(), port, &["-tls1_3"]) else {
        server.stop();
        return;
    };
    assert!(!without.contains("HTTP/1.1 200"), "a certificate is required: {without}");
    let with = s_client(scratch.path(), port, &["-cert", "clients.pem", "-key", "client-key.pem"]).unwrap();
    assert!(with.contains("HTTP/1.1 200"), "{with}");
    let old = s_client(scratch.path(), port, &["-tls1_1"]).unwrap();
    assert!(!old.contains("HTTP/1.1 200"), "TLS 1.1 is over: {old}");
    server.stop();
}

/// What `openssl s_client` says and hears; `None`, with the reason printed, where there is none.
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn s_client(folder: &Path, port: u16, more: &[&str]) -> Option<String> {
    let mut command = Command::new("openssl");
    command.args(["s_client", "-connect", &format!("127.0.0.1:{port}"), "-CAfile", "cert.pem", "-ign_eof"]).args(more);
    command.current_dir(folder).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => {
            println!("skipped: openssl cannot be started: {error}");
            return None;
        }
    };
    // It may have given up already.
    let _ =
        child.stdin.take().unwrap().write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    let output = child.wait_with_output().unwrap();
    Some(format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn settings_are_read_again_and_what_needs_a_start_is_named() {
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    let settings = scratch.path().join("likeness.toml");
    fs::write(&settings, "queue_max = 32\n").unwrap();
    let mut command =
        scratch.command(&["serve", "--listen", "127.0.0.1:0", "--data", "data", "--config", "likeness.toml"]);
    command.env("LIKENESS_WORKERS", "1");
    let mut server = Server::start(command);
    server.wait_for("listening on http://127.0.0.1:");
    fs::write(&settings, "queue_max = 16\n[log]\nlevel = \"debug\"\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for("these hold from the next start on: queue_max");
    server.exchange("GET", "/healthz", "");
    // Health checks are logged at the level debug only.
    server.wait_for("path=\"/healthz\"");
    fs::write(&settings, "queue_max = \"many\"\n").unwrap();
    server.signal(Signal::HUP);
    server.wait_for("the settings cannot be read again, those before hold on");
    assert!(server.exchange("GET", "/healthz", "").starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn the_doctor_names_what_is_wrong_with_its_cure() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    let examined = |arguments: &[&str]| {
        let ended = scratch.run(&[&["doctor", "--data", "data", "--json"], arguments].concat());
        let report: Value = serde_json::from_str(&ended.data).unwrap_or_else(|_| panic!("{}", ended.talk));
        (ended.code, report)
    };
    let state_of = |report: &Value, what: &str| {
        let findings = report["findings"].as_array().unwrap();
        let found = findings.iter().find(|finding| finding["what"] == what);
        found.map(|finding| finding["state"].as_str().unwrap().to_owned())
    };
    let (code, report) = examined(&["--quick"]);
    assert_eq!(code, Some(0), "{report}");
    for what in ["data folder", "server", "store", "index", "model packs", "clock", "disk"] {
        assert_eq!(state_of(&report, what).as_deref(), Some("ok"), "{what}: {report}");
    }
    assert!(report.to_string().contains(&format!("process {} answers", server.pid())), "{report}");
    // Nothing confines a server in a test.
    assert_eq!(state_of(&report, "sandbox").as_deref(), Some("warn"), "{report}");
    assert!(report.to_string().contains("it has what the store has: 0 faces in 0 face sets"), "{report}");
    // The server was told by a flag where to listen.
    assert_eq!(state_of(&report, "settings").as_deref(), Some("warn"), "{report}");
    assert!(report.to_string().contains("`listen` is `127.0.0.1:0` there and `127.0.0.1:7080` here"), "{report}");
    let mut alike = scratch.command(&["doctor", "--data", "data", "--quick"]);
    let alike = crate::harness::ended({
        alike.env("LIKENESS_LISTEN", "127.0.0.1:0");
        alike
    });
    assert!(!alike.data.contains("runs with others"), "{}", alike.data);
    fs::set_permissions(scratch.data(), fs::Permissions::from_mode(0o755)).unwrap();
    let (code, report) = examined(&["--quick"]);
    assert_eq!((code, state_of(&report, "data folder").as_deref()), (Some(1), Some("fail")));
    assert!(report.to_string().contains("chmod 700 data"), "{report}");
    fs::set_permissions(scratch.data(), fs::Permissions::from_mode(0o700)).unwrap();
    server.stop();

    let text = scratch.run(&["doctor", "--data", "data"]);
    assert!(text.data.contains("ok    data folder  data, yours alone\n"), "{}", text.data);
    let stopped = scratch.run(&["doctor", "--data", "data", "--quick"]);
    assert_eq!(stopped.code, Some(1), "a health check without a server fails: {}", stopped.data);
    assert!(stopped.data.contains("fail  store        no server answers for this folder"), "{}", stopped.data);
    fs::write(scratch.data().join("likeness.db"), "").unwrap();
    let emptied = scratch.run(&["doctor", "--data", "data", "--quick"]);
    assert!(emptied.data.contains("fail  store        likeness.db is missing or empty"), "{}", emptied.data);
}

/// What every command that asks a server for something is called with.
const ASKING: [&[&str]; 16] = [
    &["check"],
    &["check", "--thorough"],
    &["check", "--acknowledge-loss"],
    &["face-set", "list"],
    &["face-set", "create", "lobby"],
    &["person", "list"],
    &["face", "list", "--set", "staff"],
    &["face", "delete", "1", "--set", "staff", "--yes"],
    &["face", "import", ".", "--set", "staff"],
    &["job", "list"],
    &["log"],
    &["search", "0.png", "--set", "staff"],
    &["thresholds", "--set", "staff"],
    &["export", "staff", "staff.zst"],
    &["console", "--print"],
    &["tenant", "delete", "demo", "--yes"],
];

#[track_caller]
fn check_nobody_waits_for_ever(scratch: &Scratch, commands: &[&[&str]], expected: &str) {
    let started: Vec<_> = commands
        .iter()
        .map(|arguments| {
            let mut command = scratch.command(&[arguments, &["--data", "data"][..]].concat());
            (arguments, command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
        })
        .collect();
    for (arguments, child) in started {
        let ended = child.wait_with_output().unwrap();
        let talk = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert_eq!(ended.status.code(), Some(2), "{arguments:?}: {talk}");
        assert!(talk.contains(expected), "{arguments:?}: {talk}");
    }
}

#[test]
fn a_server_that_hangs_is_named_instead_of_waited_for() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    fs::write(scratch.path().join("0.png"), "no command gets so far as to read it").unwrap();
    scratch.data_of(&["face-set", "create", "staff", "--data", "data"]);
    server.signal(Signal::STOP);
    let expected = format!("the server does not answer: process {} has said nothing for 5 s", server.pid());
    check_nobody_waits_for_ever(&scratch, &ASKING, &expected);
    let ended = scratch.run(&["doctor", "--data", "data", "--quick"]);
    assert_eq!(ended.code, Some(1), "{}", ended.talk);
    let line = format!("fail  server       it does not answer: process {} has said nothing for 5 s\n", server.pid());
    assert!(ended.data.contains(&line), "{}", ended.data);
    for what in ["disk", "clock", "tls", "model packs"] {
        assert!(ended.data.lines().any(|line| line.starts_with(&format!("ok    {what:<12} "))), "{}", ended.data);
    }
    server.signal(Signal::CONT);
    scratch.data_of(&["doctor", "--data", "data", "--quick"]);
    server.stop();
}

#[test]
fn a_library_without_its_database_is_not_taken_for_one_still_to_be_made() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    fs::remove_file(scratch.data().join("likeness.db")).unwrap();
    let ended = scratch.run(&["doctor", "--data", "data"]);
    assert_eq!(ended.code, Some(1), "{}", ended.data);
    assert!(ended.data.contains("is missing or empty, but likeness.id says"), "{}", ended.data);
    fs::create_dir(scratch.path().join("empty")).unwrap();
    let ended = scratch.run(&["doctor", "--data", "empty"]);
    assert!(ended.data.contains("no library yet"), "{}", ended.data);
}

/// Issue 15: whoever had mistyped the folder was told to take its files away from everybody else.
#[test]
fn a_folder_of_other_files_is_not_to_be_shut() {
    // Without one `doctor` fails whatever the folder is.
    if !has_pack() {
        return;
    }
    let scratch = Scratch::new();
    let folder = scratch.path().join("etc");
    fs::create_dir(&folder).unwrap();
    fs::write(folder.join("passwd"), "x").unwrap();
    for path in [&folder, &folder.join("passwd")] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    for more in [&[][..], &["--quick"]] {
        let ended = scratch.run(&[&["doctor", "--data", "etc"], more].concat());
        assert_eq!(ended.code, Some(1), "{}", ended.data);
        let line = "fail  data folder  etc is no data folder: it has `passwd` and no library\n";
        assert!(ended.data.contains(line) && !ended.data.contains("chmod"), "{}", ended.data);
    }
    // One that is not there may be a typing error.
    for more in [&[][..], &["--quick"]] {
        let ended = scratch.run(&[&["doctor", "--data", "nosuch"], more].concat());
        assert_eq!(ended.code, Some(1), "{}", ended.data);
    }
    // What lies beside a library that is still to be made is none of somebody else's.
    fs::create_dir(scratch.path().join("new")).unwrap();
    fs::set_permissions(scratch.path().join("new"), fs::Permissions::from_mode(0o700)).unwrap();
    fs::write(scratch.path().join("new/likeness.toml"), "").unwrap();
    fs::set_permissions(scratch.path().join("new/likeness.toml"), fs::Permissions::from_mode(0o600)).unwrap();
    let ended = scratch.run(&["doctor", "--data", "new"]);
    assert!(ended.data.contains("ok    data folder  new, yours alone\n"), "{}", ended.data);
}

/// Issue 15: it was said that there is no server, and to start one.
#[test]
fn a_server_whose_socket_was_removed_is_named() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    fs::remove_file(scratch.data().join("likeness.sock")).unwrap();
    let ended = scratch.run(&["doctor", "--data", "data"]);
    assert_eq!(ended.code, Some(1), "{}", ended.data);
    let line = format!("fail  server       process {} has this folder, and nobody answers at", server.pid());
    assert!(ended.data.contains(&line) && !ended.data.contains("start `likeness serve`"), "{}", ended.data);
    server.stop();
}

/// A script that reads JSON reads why there is none.
#[test]
fn what_ends_a_command_that_was_asked_for_json_is_json() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    fs::write(scratch.path().join("bad.toml"), "nosuchkey = 3\n").unwrap();
    for (arguments, code, words) in [
        (&["face-set", "show", "x", "--json", "--data", "data"][..], "face_set_not_found", "`x`"),
        (&["face-set", "list", "--json", "--data", "nosuch"], "invalid_argument", "no library"),
        (&["doctor", "--json", "--config", "bad.toml"], "invalid_argument", "nosuchkey"),
        (&["face-set", "show", "--json"], "invalid_argument", "<NAME>"),
        (&["face", "list", "--limit", "x", "--set", "s", "--json"], "invalid_argument", "--limit"),
    ] {
        let ended = scratch.run(arguments);
        assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""), "{arguments:?}: {}", ended.talk);
        let last = ended.talk.lines().last().unwrap();
        let told: Value = serde_json::from_str(last).unwrap_or_else(|_| panic!("{arguments:?}: {}", ended.talk));
        assert_eq!(told["error"]["code"], code, "{told}");
        assert!(told["error"]["message"].as_str().unwrap().contains(words), "{told}");
    }
    let plain = scratch.run(&["face-set", "show", "x", "--data", "data"]);
    assert!(plain.talk.starts_with("error: "), "{}", plain.talk);
}

#[test]
fn a_socket_on_which_nobody_answers_is_not_waited_for_and_a_stale_one_is_none() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let listener = UnixListener::bind(scratch.data().join("likeness.sock")).unwrap();
    let expected = format!("the server does not answer: process {} has said nothing for 5 s", std::process::id());
    check_nobody_waits_for_ever(&scratch, &[&["check"], &["face-set", "list"]], &expected);
    drop(listener);
    scratch.data_of(&["check", "--data", "data"]);
    let ended = scratch.run(&["doctor", "--data", "data"]);
    assert!(ended.data.contains("server       none has this folder"), "{}", ended.data);
}

#[test]
fn the_doctor_says_when_the_certificate_ends() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let day = Duration::from_hours(24);
    for (left, state, words) in [
        (day * 200, "ok", "the certificate expires on "),
        (day * 3, "warn", "the certificate expires on "),
        (Duration::ZERO, "fail", "the certificate has expired on "),
    ] {
        certificate_until(&scratch, OffsetDateTime::now_utc() + left - Duration::from_secs(1));
        let mut command = scratch.command(&["doctor", "--data", "data", "--quick", "--json"]);
        command.env("LIKENESS_TLS_CERTIFICATE", "cert.pem").env("LIKENESS_TLS_KEY", "key.pem");
        let report: Value = serde_json::from_str(&crate::harness::ended(command).data).unwrap();
        let found = report["findings"].as_array().unwrap().iter().find(|finding| finding["what"] == "tls").cloned();
        let found = found.unwrap();
        assert_eq!(found["state"], state, "{found}");
        assert!(found.to_string().contains(words), "{found}");
    }
}

#[test]
fn the_tenant_may_come_from_the_environment() {
    let scratch = Scratch::new();
    for tenant in ["acme", "globex"] {
        scratch.data_of(&["key", "create", "--data", "data", "--tenant", tenant, "--json"]);
    }
    let list = |tenant: &str| {
        let mut command = scratch.command(&["face-set", "list", "--data", "data", "--json"]);
        command.env("LIKENESS_TENANT", tenant);
        crate::harness::ended(command)
    };
    assert_eq!(list("acme").code, Some(0));
    assert!(list("nobody").talk.contains("there is no tenant `nobody`"));
    assert!(list("").talk.contains("there are several tenants"), "an empty variable counts as unset");
    let keys = |arguments: &[&str], tenant: &str| {
        let mut command = scratch.command(&[&["key"], arguments, &["--data", "data", "--json"]].concat());
        command.env("LIKENESS_TENANT", tenant);
        let ended = crate::harness::ended(command);
        assert_eq!(ended.code, Some(0), "{}", ended.talk);
        serde_json::from_str::<Value>(&ended.data).unwrap()
    };
    assert_eq!(keys(&["create"], "acme")["tenant"], "acme");
    assert_eq!(keys(&["list"], "acme")["keys"].as_array().unwrap().len(), 2);
    assert_eq!(keys(&["list"], "")["keys"].as_array().unwrap().len(), 3);
}

#[test]
fn completions_and_pages_are_made_of_the_commands() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish"] {
        assert!(scratch.data_of(&["completions", shell]).contains("thresholds"), "{shell}");
    }
    let program = format!(
        "{}\nread -ra COMP_WORDS\n{}",
        scratch.data_of(&["completions", "bash"]),
        r#"
        COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
        _likeness
        echo "${COMPREPLY[*]}""#
    );
    // The last word is what is typed of it by then.
    let offered = |typed: &str| {
        let mut bash =
            Command::new("bash").args(["-c", &program]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        writeln!(bash.stdin.take().unwrap(), "likeness {typed}").unwrap();
        String::from_utf8(bash.wait_with_output().unwrap().stdout).unwrap().trim_end().to_owned()
    };
    assert_eq!(offered("thr"), "thresholds");
    assert_eq!(offered("face-set upd"), "update");
    assert_eq!(offered("set upd"), "update", "the short name of a command is one, too");
    assert_eq!(offered("--data folder set update --ren"), "--rename");
    assert_eq!(offered("completions z"), "zsh");
    assert_eq!(offered("calibrate persons --face c"), "central");
    assert_eq!(offered("--log-format j"), "json");
    assert_eq!(offered("key create --tenant acme --grant re"), "read");
    assert_eq!(offered("face-set update staff --quality m"), "medium");
    assert_eq!(offered("face-set update staff --thumbnails of"), "off");
    let made = scratch.run(&["man", "pages"]);
    assert_eq!(made.code, Some(0), "{}", made.talk);
    let page = fs::read_to_string(scratch.path().join("pages/likeness-search.1")).unwrap();
    assert!(page.contains("false\\-matches"), "{page}");
}
