//! `likeness recover`, and what a library that does not open says.

use std::fs;
use std::io::Write;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::backup::fill;
use crate::harness::{Scratch, Server};

#[test]
fn a_library_that_does_not_open_names_the_cure_and_the_cure_works() {
    let scratch = Scratch::new();
    let key = scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme", "--json"]);
    let key: serde_json::Value = serde_json::from_str(&key).unwrap();
    scratch.data_of(&["check", "--data", "data", "--thorough"]);
    let database = scratch.data().join("likeness.db");
    let mut bytes = fs::read(&database).unwrap();
    // The first page: SQLite's header and the list of tables.
    bytes[..4096].fill(0);
    fs::write(&database, &bytes).unwrap();

    let checked = scratch.run(&["check", "--data", "data"]);
    assert_eq!(checked.code, Some(1), "{}", checked.talk);
    assert!(
        checked.data.contains("problem         cannot open the store in `data`: the database is damaged"),
        "{}",
        checked.data
    );
    assert!(checked.data.contains("likeness recover --data data --to NEW"), "{}", checked.data);
    assert_eq!(fs::read(&database).unwrap(), bytes, "nothing is written to it");

    let recovered = scratch.run(&["recover", "--data", "data", "--to", "new"]);
    assert_eq!(recovered.code, Some(0), "{} {}", recovered.data, recovered.talk);
    assert!(recovered.data.contains("access keys     1\n"), "{}", recovered.data);
    assert!(recovered.data.contains("lost            nothing\n"), "{}", recovered.data);
    assert_eq!(fs::read(&database).unwrap(), bytes, "the damaged library is left alone");
    let listed = scratch.data_of(&["key", "list", "--data", "new"]);
    assert!(listed.contains(key["access_key_id"].as_str().unwrap()), "{listed}");
    assert_eq!(scratch.run(&["check", "--data", "new", "--thorough"]).code, Some(0));
}

#[test]
fn an_emptied_library_is_refused_instead_of_starting_empty() {
    let scratch = Scratch::new();
    scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme"]);
    for end in ["", "-wal", "-shm"] {
        let _ = fs::remove_file(scratch.data().join(format!("likeness.db{end}")));
    }
    fs::write(scratch.data().join("likeness.db"), b"").unwrap();
    let ended = scratch.run(&["key", "create", "--data", "data", "--tenant", "other"]);
    assert_eq!(ended.code, Some(2));
    assert!(ended.talk.contains("is missing or empty") && ended.talk.contains("hint: "), "{}", ended.talk);
    let checked = scratch.run(&["check", "--data", "data"]);
    assert_eq!(checked.code, Some(1), "{}", checked.talk);
    assert!(checked.data.contains("is missing or empty"), "{}", checked.data);
    assert!(checked.data.contains("put a copy of the database back"), "{}", checked.data);
}

/// A library at rest is checked from its files, of which nothing is changed; with damage in a row the answer is "no".
#[test]
fn a_library_at_rest_is_checked_without_changing_it() {
    let scratch = Scratch::new();
    fill(&scratch, 0);
    let files = || -> Vec<(std::ffi::OsString, Vec<u8>)> {
        let mut files: Vec<_> = fs::read_dir(scratch.data())
            .unwrap()
            .map(|entry| entry.unwrap())
            .map(|entry| (entry.file_name(), fs::read(entry.path()).unwrap_or_default()))
            .filter(|(name, _)| !name.to_string_lossy().ends_with("-shm") && !name.to_string_lossy().ends_with("-wal"))
            .collect();
        files.sort();
        files
    };
    let before = files();
    for arguments in [["check", "--data", "data"].as_slice(), &["check", "--data", "data", "--thorough"]] {
        let text = scratch.data_of(arguments);
        assert!(text.contains("checked         the checksum of every row"), "{text}");
        assert!(text.contains("not checked     the index"), "{text}");
        assert!(text.ends_with("problems        none\n"), "{text}");
    }
    assert!(files() == before);

    let database = scratch.data().join("likeness.db");
    let mut bytes = fs::read(&database).unwrap();
    let note = b"note-of-face-3";
    let at = bytes.windows(note.len()).position(|window| window == note).unwrap();
    bytes[at] ^= 1;
    fs::write(&database, bytes).unwrap();
    let before = files();
    let checked = scratch.run(&["check", "--data", "data", "--json"]);
    assert_eq!(checked.code, Some(1), "{}", checked.talk);
    let report: serde_json::Value = serde_json::from_str(&checked.data).unwrap();
    let problems = report["problems"].as_array().unwrap();
    assert_eq!(problems.len(), 1, "{problems:?}");
    let problem = problems[0].as_str().unwrap();
    assert!(problem.starts_with("face ") && problem.contains("delete it by its id"), "{problem}");
    assert!(files() == before);
}

/// Lost commits are told by every start and check until somebody says that it was seen.
#[test]
fn lost_commits_are_told_until_they_are_acknowledged() {
    let scratch = Scratch::new();
    fill(&scratch, 0);
    let older = fs::read(scratch.data().join("likeness.db")).unwrap();
    scratch.data_of(&["face-set", "create", "--data", "data", "later"]);
    for end in ["-wal", "-shm"] {
        let _ = fs::remove_file(scratch.data().join(format!("likeness.db{end}")));
    }
    fs::write(scratch.data().join("likeness.db"), older).unwrap();
    // Before anybody has opened it, and after.
    for _ in 0..2 {
        let checked = scratch.run(&["check", "--data", "data"]);
        assert_eq!(checked.code, Some(1), "{}", checked.talk);
        assert!(checked.data.contains("problem         acknowledged commits "), "{}", checked.data);
        scratch.data_of(&["face-set", "list", "--data", "data"]);
    }
    if let Some(mut server) = scratch.serve(&[]) {
        let readiness = server.exchange("GET", "/readyz", "");
        assert!(readiness.contains(r#""status":"degraded""#), "{readiness}");
        assert!(readiness.contains(r#""lost_commits":1"#), "{readiness}");
        assert_eq!(scratch.run(&["check", "--data", "data"]).code, Some(1));
        let told = scratch.data_of(&["check", "--data", "data", "--acknowledge-loss"]);
        assert!(told.starts_with("acknowledged    acknowledged commits "), "{told}");
        let readiness = server.exchange("GET", "/readyz", "");
        assert!(readiness.contains(r#""status":"ok""#) && !readiness.contains("lost_commits"), "{readiness}");
        let text = scratch.data_of(&["check", "--data", "data", "--thorough"]);
        assert!(text.contains("checked         the index against the store"), "{text}");
        server.stop();
    } else {
        scratch.data_of(&["check", "--data", "data", "--acknowledge-loss"]);
    }
    scratch.data_of(&["check", "--data", "data"]);
    let told = scratch.data_of(&["check", "--data", "data", "--acknowledge-loss"]);
    assert_eq!(told, "acknowledged    nothing: no loss of commits is known\n");
}

/// A disk without a free byte: the server starts, lists, deletes, and says that it is not ready for writers until there is room.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn a_server_on_a_full_disk_serves_deletes_and_says_so() {
    let scratch = Scratch::new();
    fs::DirBuilder::new().mode(0o700).create(scratch.data()).unwrap();
    let mount =
        Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m,mode=0700", "tmpfs"]).arg(scratch.data()).output();
    if !mount.as_ref().is_ok_and(|output| output.status.success()) {
        println!("skipped: mounting a small file system is not allowed here");
        return;
    }
    let mounted = Mounted(scratch.data());
    fill(&scratch, 1);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let readiness = |server: &Server| server.exchange("GET", "/readyz", "");
    assert!(readiness(&server).starts_with("HTTP/1.1 200 "), "{}", readiness(&server));
    server.stop();
    let other = mounted.0.join("other-file");
    let mut file = fs::File::create(&other).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    drop(file);

    let Some(mut server) = scratch.serve(&[]) else { return };
    server.wait_for("writes fail; reading and searching go on");
    let answer = readiness(&server);
    assert!(answer.starts_with("HTTP/1.1 503 "), "{answer}");
    let told: serde_json::Value = serde_json::from_str(answer.split("\r\n\r\n").nth(1).unwrap()).unwrap();
    let full = "the disk or quota under the store is full";
    assert_eq!((&told["status"], &told["reason"]), (&json!("not ready"), &json!(full)), "{told}");
    assert_eq!(told["parts"]["store"], json!({"state": "failed", "reason": full}), "{told}");
    // The reserve is given up: its room is free, and little.
    assert_ne!(told["parts"]["disk"]["state"], "ok", "{told}");
    assert_eq!((&told["parts"]["index"]["state"], &told["parts"]["pipeline"]["state"]), (&json!("ok"), &json!("ok")));
    assert!(server.exchange("GET", "/healthz", "").starts_with("HTTP/1.1 200 "));
    let n_listed = || {
        let listed = scratch.data_of(&["face", "list", "--data", "data", "--set", "staff", "--json"]);
        serde_json::from_str::<serde_json::Value>(&listed).unwrap()["faces"].as_array().unwrap().len()
    };
    assert_eq!(n_listed(), 10);
    let refused = scratch.run(&["face-set", "create", "--data", "data", "other"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.talk.contains("the disk or quota under the store is full"), "{}", refused.talk);
    scratch.data_of(&["face", "delete", "--data", "data", "--set", "staff", "3", "--yes"]);
    assert_eq!(n_listed(), 9);
    fs::remove_file(other).unwrap();
    server.wait_for("writes work again");
    assert!(readiness(&server).starts_with("HTTP/1.1 200 "));
    scratch.data_of(&["face-set", "create", "--data", "data", "other"]);
    server.stop();
}

struct Mounted(PathBuf);

impl Drop for Mounted {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

/// A row that is set aside shows where operators look, until it is deleted.
#[test]
fn a_server_with_a_damaged_row_is_degraded() {
    let scratch = Scratch::new();
    fill(&scratch, 0);
    let database = scratch.data().join("likeness.db");
    let mut bytes = fs::read(&database).unwrap();
    // It stands in the row of that face and in no index.
    let note = b"note-of-face-3";
    let at = bytes.windows(note.len()).position(|window| window == note).unwrap();
    bytes[at] ^= 1;
    fs::write(&database, bytes).unwrap();
    let Some(mut server) = scratch.serve(&[]) else { return };
    let readiness = server.exchange("GET", "/readyz", "");
    assert!(readiness.starts_with("HTTP/1.1 200 "), "{readiness}");
    assert!(readiness.contains(r#""status":"degraded""#) && readiness.contains(r#""rows_set_aside":1"#), "{readiness}");
    scratch.data_of(&["face", "delete", "--data", "data", "--set", "staff", "3", "--yes"]);
    let readiness = server.exchange("GET", "/readyz", "");
    assert!(readiness.contains(r#""status":"ok""#) && !readiness.contains("rows_set_aside"), "{readiness}");
    server.stop();
}

/// Damage that comes while the server runs is told as soon as somebody reads the row, and the row is shown no more.
#[test]
fn damage_that_comes_while_serving_is_told() {
    let scratch = Scratch::new();
    fill(&scratch, 0);
    let Some(mut server) = scratch.serve(&["--listen-operations", "127.0.0.1:0"]) else { return };
    let port = server.port_after("health checks and metrics on http://127.0.0.1:");
    let metrics = |server: &Server| server.exchange_at(port, "GET", "/metrics", "");
    let set_aside = "likeness_store_table_rows_set_aside{table=\"faces\"}";
    assert!(metrics(&server).contains(&format!("{set_aside} 0\n")));
    // Nobody has read the row yet but the thread that writes.
    let database = scratch.data().join("likeness.db");
    let bytes = fs::read(&database).unwrap();
    let note = b"note-of-face-3";
    let at = bytes.windows(note.len()).position(|window| window == note).unwrap();
    let file = fs::OpenOptions::new().write(true).open(&database).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, &[note[0] ^ 1], at as u64).unwrap();
    let listed = scratch.data_of(&["face", "list", "--data", "data", "--set", "staff", "--json"]);
    assert!(listed.contains("note-of-face-2") && !listed.contains("ote-of-face-3"), "{listed}");
    let readiness = server.exchange("GET", "/readyz", "");
    assert!(readiness.contains(r#""status":"degraded""#) && readiness.contains(r#""rows_set_aside":1"#), "{readiness}");
    let page = metrics(&server);
    assert!(page.contains(&format!("{set_aside} 1\n")) && page.contains("likeness_store_rows_set_aside 1\n"), "{page}");
    let checked = scratch.run(&["check", "--data", "data"]);
    assert_eq!(checked.code, Some(1));
    assert!(checked.data.contains("face 3 is damaged"), "{}", checked.data);
    server.stop();
}
