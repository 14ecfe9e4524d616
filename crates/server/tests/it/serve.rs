use std::fs;
use std::io::Write;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;

use expect_test::expect;
use rustix::process::Signal;
use serde_json::Value;

use crate::harness::{Scratch, Server, password_body, read_to_end, request};

#[test]
fn it_answers_without_authentication_whether_it_lives_and_ends_cleanly() {
    let scratch = Scratch::new();
    for signal in [Signal::TERM, Signal::INT] {
        let Some(mut server) = scratch.serve(&[]) else { return };
        let answer = server.exchange("GET", "/healthz", "");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with(r#"{"status":"ok"}"#), "{answer}");
        let answer = server.exchange("GET", "/readyz", "");
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        let ready: Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
        assert_eq!(ready["status"], "ok");
        // What `config show` says of this machine is what runs.
        let shown: Value = serde_json::from_str(&scratch.data_of(&["config", "show", "--json"])).unwrap();
        for kind in ["detector", "mesh", "recogniser", "attribute"] {
            let engine = ready["engines"][kind].as_str().unwrap();
            assert!(["onnxruntime f32", "openvino f32", "openvino bf16"].contains(&engine), "{engine}");
            let measured = &shown["inference_runtime"]["in_use"][kind];
            let expected =
                format!("{} {}", measured["runtime"].as_str().unwrap(), measured["precision"].as_str().unwrap());
            assert_eq!(engine, expected, "{kind}");
        }
        assert!(scratch.data().join("likeness.sock").exists());
        server.signal(signal);
        assert_eq!(server.wait().code(), Some(0));
        assert!(!scratch.data().join("likeness.sock").exists());
    }
}

#[test]
fn a_request_in_flight_is_answered_after_sigterm() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&[]) else { return };
    let key: Value =
        serde_json::from_str(&scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme", "--json"]))
            .unwrap();
    let whole = request("POST", "/v3/auth/tokens", &password_body(&key));
    let (first, rest) = whole.split_at(whole.len() - 10);
    // Connections are accepted in order: once the second is answered, the first is known to be accepted.
    let mut stream = server.connect();
    stream.write_all(first.as_bytes()).unwrap();
    let mut probe = server.connect();
    probe.write_all(request("GET", "/healthz", "").as_bytes()).unwrap();
    read_to_end(&mut probe);
    server.signal(Signal::TERM);
    server.wait_for("stopping");
    stream.write_all(rest.as_bytes()).unwrap();
    let answer = read_to_end(&mut stream);
    assert!(answer.starts_with("HTTP/1.1 201 Created\r\n"), "{answer}");
    assert_eq!(server.wait().code(), Some(0));
}

#[test]
fn keys_made_and_disabled_beside_it_count_at_once() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&[]) else { return };
    let key: Value =
        serde_json::from_str(&scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme", "--json"]))
            .unwrap();
    let id = key["access_key_id"].as_str().unwrap();
    let log_in = || {
        let answer = server.exchange("POST", "/v3/auth/tokens", &password_body(&key));
        answer.split(' ').nth(1).unwrap().to_owned()
    };
    assert_eq!(log_in(), "201");
    scratch.data_of(&["key", "disable", "--data", "data", id]);
    assert_eq!(log_in(), "401");
    scratch.data_of(&["key", "enable", "--data", "data", id]);
    assert_eq!(log_in(), "201");
    scratch.data_of(&["key", "delete", "--data", "data", "--yes", id]);
    assert_eq!(log_in(), "401");
    // Another command asks the server itself, through the socket.
    assert!(scratch.data_of(&["check", "--data", "data"]).contains("tenants         1\n"));
    assert!(!server.talk().contains(key["access_key_secret"].as_str().unwrap()));
    server.stop();
}

#[test]
fn a_folder_belongs_to_one_server() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&[]) else { return };
    let second = scratch.run(&["serve", "--listen", "127.0.0.1:0", "--data", "data"]);
    assert_eq!(second.code, Some(2));
    let owner = fs::read_to_string(scratch.data().join("likeness.lock")).unwrap();
    let expected =
        format!("is in use by process {}\n  hint: stop that process", owner.lines().next().unwrap_or_default().trim());
    assert!(second.talk.contains(&expected), "{}", second.talk);
    // The first goes on as if nothing had been.
    assert!(server.exchange("GET", "/healthz", "").starts_with("HTTP/1.1 200 "));
    server.stop();
}

#[test]
fn a_killed_server_leaves_nothing_in_the_way_of_the_next() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&[]) else { return };
    server.signal(Signal::KILL);
    server.wait();
    assert!(scratch.data().join("likeness.sock").exists());
    let Some(mut server) = scratch.serve(&[]) else { return };
    assert!(scratch.data_of(&["check", "--data", "data"]).contains("problems        none\n"));
    server.stop();
}

#[test]
fn a_busy_port_is_reported_before_anything_is_made() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let scratch = Scratch::new();
    let refused = scratch.run(&["serve", "--listen", &address, "--data", "data"]);
    assert_eq!(refused.code, Some(2));
    expect![[r#"
        error: cannot listen on [ADDRESS]: Address already in use (os error 98)
          hint: another program has that port; choose one with `--listen`, or 0 for any free one
    "#]]
    .assert_eq(&refused.talk.replace(&address, "[ADDRESS]"));
    assert!(!scratch.data().exists());
}

#[test]
fn only_the_owner_can_read_what_it_makes() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    let mode = |path: &std::path::Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&scratch.data()), 0o700);
    let mut names: Vec<_> = fs::read_dir(scratch.data())
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            assert_eq!(mode(&path), 0o600, "{}", path.display());
            path.file_name().unwrap().to_string_lossy().into_owned()
        })
        .collect();
    names.sort();
    let expected = [
        "likeness.db",
        "likeness.db-shm",
        "likeness.db-wal",
        "likeness.id",
        "likeness.lock",
        "likeness.reserve",
        "likeness.sock",
        "quickstart.env",
    ];
    assert_eq!(names, expected);
    server.stop();
}

#[test]
fn quickstart_makes_a_key_once_and_keeps_its_secret_off_the_screen() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    server.wait_for("The README has the same");
    let file = scratch.data().join("quickstart.env");
    let first = fs::read_to_string(&file).unwrap();
    let variable = |text: &str, name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(&format!("export LIKENESS_{name}=")));
        line.unwrap_or_else(|| panic!("no {name}")).to_owned()
    };
    assert_eq!(variable(&first, "URL"), format!("http://127.0.0.1:{}", server.port()));
    // The commands of `likeness` find the library by the same file.
    assert_eq!(variable(&first, "DATA").trim_matches('\''), scratch.data().to_str().unwrap());
    let key = serde_json::json!({
        "tenant": variable(&first, "TENANT"),
        "project_id": variable(&first, "PROJECT_ID"),
        "access_key_id": variable(&first, "ACCESS_KEY_ID"),
        "access_key_secret": variable(&first, "ACCESS_KEY_SECRET"),
    });
    let answer = server.exchange("POST", "/v3/auth/tokens", &password_body(&key));
    assert!(answer.starts_with("HTTP/1.1 201 "), "{answer}");
    assert!(!server.talk().contains(&variable(&first, "ACCESS_KEY_SECRET")));
    server.stop();

    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    server.wait_for("The README has the same");
    let second = fs::read_to_string(&file).unwrap();
    assert_eq!(variable(&second, "ACCESS_KEY_ID"), variable(&first, "ACCESS_KEY_ID"));
    assert_eq!(variable(&second, "URL"), format!("http://127.0.0.1:{}", server.port()));
    assert_eq!(scratch.data_of(&["key", "list", "--data", "data"]).lines().count(), 1);
    server.stop();
}

#[test]
fn a_log_line_has_the_request_id_of_the_answer_and_no_query() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--log-format", "json"]) else { return };
    let answer = server.exchange("GET", "/v3/projects?name=secret", "");
    let id = answer.lines().find_map(|line| line.strip_prefix("X-Request-Id: ")).unwrap().to_owned();
    server.wait_for("/v3/projects");
    server.stop();
    let talk = server.talk();
    let line = talk.lines().find(|line| line.contains("/v3/projects")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!(line["message"], "answered");
    assert_eq!(line["span"]["id"], id);
    assert_eq!(line["path"], "/v3/projects");
    assert_eq!(line["status"], 401);
    assert!(!talk.contains("secret"), "{talk}");
}

#[test]
fn a_call_that_was_not_done_is_one_line_in_the_log_in_every_dialect() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--log-format", "json"]) else { return };
    let calls = [
        ("POST", "/v2/project/face-detect", "huawei", "APIG.0301"),
        ("POST", "/green/face/compare", "aliyun", "InvalidApi.NotFound"),
        ("POST", "/facepp/v3/detect", "facepp", "MISSING_ARGUMENTS"),
        ("POST", "/finauth/lite/compare", "yuanli", "API_NOT_FOUND"),
        ("GET", "/likeness/v1/face-sets", "native", "unauthenticated"),
    ];
    let answers = calls.map(|(method, path, ..)| server.exchange(method, path, ""));
    server.wait_for("/likeness/v1/face-sets");
    server.stop();
    let talk = server.talk();
    for ((_, path, dialect, code), answer) in calls.into_iter().zip(answers) {
        let id = answer.lines().find_map(|line| line.strip_prefix("X-Request-Id: ")).unwrap();
        let lines: Vec<&str> = talk.lines().filter(|line| line.contains(id)).collect();
        assert_eq!(lines.len(), 1, "{path}: {lines:?}\n{answer}");
        let line: Value = serde_json::from_str(lines[0]).unwrap();
        assert_eq!((&line["message"], &line["path"]), (&"answered".into(), &path.into()), "{line}");
        assert_eq!((&line["code"], &line["client"]), (&code.into(), &"127.0.0.1".into()), "{line}");
        assert_eq!((&line["span"]["dialect"], line["ms"].is_u64()), (&dialect.into(), true), "{line}");
    }
}

/// Who looks a line of the record up in the log finds it there.
#[test]
fn a_request_of_the_command_line_has_one_id_in_the_record_and_in_the_log() {
    if !crate::harness::has_pack() {
        return;
    }
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let Some(mut server) = scratch.serve(&["--log-format", "json"]) else { return };
    scratch.data_of(&["face-set", "create", "staff", "--data", "data", "--tenant", "acme"]);
    let record: Value = serde_json::from_str(&scratch.data_of(&["log", "--json", "--data", "data"])).unwrap();
    server.stop();
    let commit = record["commits"].as_array().unwrap().last().unwrap();
    let id = commit["request_id"].as_str().and_then(|id| id.strip_prefix("local-")).expect("through the server");
    assert_eq!(id.len(), 32, "{commit}");
    assert!(server.talk().lines().any(|line| line.contains(id)), "{id}");
}

#[test]
fn a_refused_head_is_one_line_in_the_log() {
    let scratch = Scratch::new();
    let Some(mut server) = scratch.serve(&["--log-format", "json"]) else { return };
    let answer = server.exchange("GET", &format!("/{}", "x".repeat(65_000)), "");
    assert!(answer.starts_with("HTTP/1.1 404 "), "{answer}");
    let answer = server.exchange("GET", "/a b", "");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    server.wait_for("head was refused");
    server.stop();
    let talk = server.talk();
    let line = talk.lines().find(|line| line.contains("head was refused")).unwrap();
    let line: Value = serde_json::from_str(line).unwrap();
    assert_eq!((&line["status"], &line["client"]), (&400.into(), &"127.0.0.1".into()), "{line}");
}

#[test]
fn a_data_folder_that_is_open_to_others_is_refused_with_the_cure() {
    let scratch = Scratch::new();
    let create = || scratch.run(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let open_to = |mode| fs::set_permissions(scratch.data(), fs::Permissions::from_mode(mode)).unwrap();
    let mode = || fs::metadata(scratch.data()).unwrap().permissions().mode() & 0o777;
    // An empty one, as a new volume is, is made private.
    fs::create_dir(scratch.data()).unwrap();
    open_to(0o755);
    let made = create();
    assert_eq!((made.code, mode()), (Some(0), 0o700), "{}", made.talk);
    for open in [0o755, 0o750, 0o701, 0o707] {
        open_to(open);
        let refused = create();
        assert_eq!((refused.code, refused.data.as_str(), mode()), (Some(2), "", open));
        let expected =
            format!("is open to others (mode 0{open:o}), expected to be its owner's alone\n  hint: `chmod 700 ");
        assert!(refused.talk.contains(&expected), "{}", refused.talk);
    }
    let mut allowed = scratch.command(&["key", "create", "--data", "data", "--tenant", "acme"]);
    allowed.env("LIKENESS_DATA_OPEN_TO_OTHERS", "true");
    assert_eq!(crate::harness::ended(allowed).code, Some(0));
}

#[test]
fn a_server_writes_no_memory_dumps_and_says_at_the_start_what_is_not_protected() {
    let scratch = Scratch::new();
    if !crate::harness::has_pack() {
        return;
    }
    let mut server = Server::start(scratch.command(&["serve", "--listen", "0.0.0.0:0", "--data", "data"]));
    server.wait_for("listening on http://0.0.0.0:");
    let limits = fs::read_to_string(format!("/proc/{}/limits", server.pid())).unwrap();
    let cores = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
    assert_eq!(cores.split_whitespace().filter(|word| *word == "0").count(), 2, "{cores}");
    let talk = server.talk();
    for part in
        ["speaks plain HTTP", "there is no access key", "`aliyun.require_content_md5`", "`aliyun.require_nonce`"]
    {
        assert!(talk.contains(part), "{part}: {talk}");
    }
    server.stop();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let talk = server.talk();
    assert!(!talk.contains("speaks plain HTTP") && !talk.contains("no access key"), "{talk}");
    server.stop();
    let help = scratch.data_of(&["serve", "--help"]);
    assert!(help.contains("plain HTTP") && help.contains("docs/security.md"), "{help}");
}

#[test]
fn another_user_cannot_command_the_server_though_the_socket_is_open() {
    let scratch = Scratch::new();
    if !rustix::process::geteuid().is_root() {
        print_skipped("only an administrator can be another user");
        return;
    }
    let Some(mut server) = scratch.serve(&["--quickstart"]) else { return };
    for (path, mode) in
        [(scratch.path().to_owned(), 0o755), (scratch.data(), 0o755), (scratch.data().join("likeness.sock"), 0o666)]
    {
        fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
    }
    use std::os::unix::process::CommandExt;
    let mut other = scratch.command(&["check", "--data", "data"]);
    other.uid(65_534).gid(65_534);
    let refused = crate::harness::ended(other);
    assert_eq!((refused.code, refused.data.as_str()), (Some(2), ""), "{}", refused.talk);
    server.wait_for("another user was refused at the socket of the data folder");
    server.stop();
}

#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn print_skipped(reason: &str) {
    println!("skipped: {reason}");
}
