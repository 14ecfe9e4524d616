//! `likeness recover`, and what a library that does not open says.

use std::fs;
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;

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
    assert_eq!(checked.code, Some(2));
    assert!(checked.talk.contains("the database is damaged"), "{}", checked.talk);
    assert!(checked.talk.contains("likeness recover --data data --to NEW"), "{}", checked.talk);

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
    for arguments in [["check", "--data", "data"].as_slice(), &["key", "create", "--data", "data", "--tenant", "other"]]
    {
        let ended = scratch.run(arguments);
        assert_eq!(ended.code, Some(2), "{arguments:?}");
        assert!(ended.talk.contains("is missing or empty"), "{}", ended.talk);
        assert!(ended.talk.contains("hint: "), "{}", ended.talk);
    }
}

/// A disk without a free byte: the server starts, lists, deletes, and says that it is not ready for writers until there is room.
#[test]
#[expect(clippy::print_stdout, reason = "a skipped test says why")]
fn a_server_on_a_full_disk_serves_deletes_and_says_so() {
    let scratch = Scratch::new();
    fs::create_dir(scratch.data()).unwrap();
    let mount = Command::new("mount").args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"]).arg(scratch.data()).output();
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
    assert!(
        answer.ends_with(r#"{"status":"not ready","reason":"the disk or quota under the store is full"}"#),
        "{answer}"
    );
    assert!(server.exchange("GET", "/healthz", "").starts_with("HTTP/1.1 200 "));
    let n_listed = || {
        let listed = scratch.data_of(&["face", "list", "--data", "data", "--set", "staff", "--json"]);
        serde_json::from_str::<serde_json::Value>(&listed).unwrap()["faces"].as_array().unwrap().len()
    };
    assert_eq!(n_listed(), 10);
    let refused = scratch.run(&["face-set", "create", "--data", "data", "other"]);
    assert_eq!(refused.code, Some(2));
    assert!(refused.talk.contains("the disk or quota under the store is full"), "{}", refused.talk);
    scratch.data_of(&["face", "delete", "--data", "data", "--set", "staff", "3"]);
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
    scratch.data_of(&["face", "delete", "--data", "data", "--set", "staff", "3"]);
    let readiness = server.exchange("GET", "/readyz", "");
    assert!(readiness.contains(r#""status":"ok""#) && !readiness.contains("rows_set_aside"), "{readiness}");
    server.stop();
}
