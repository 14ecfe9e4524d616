//! `likeness migrate`, beside a server and killed at any moment.

use std::process::Stdio;

use serde_json::Value;

use crate::backup::fill;
use crate::harness::{Ended, Scratch};

#[expect(dead_code, reason = "the tests of the store need more of it")]
#[path = "../../../store/tests/it/postgres/server.rs"]
mod server;

/// A database of its own, as an operator writes it.
fn database() -> Option<String> {
    if !server::is_installed() {
        return None;
    }
    let server = server::shared();
    let dir = server.data().parent().unwrap().to_string_lossy().replace('/', "%2F");
    Some(format!("postgres://likeness@{dir}/{}", server.database()))
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[track_caller]
fn refused(ended: &Ended, words: &str) {
    assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""), "{}", ended.talk);
    assert!(ended.talk.contains(words) && ended.talk.contains("hint: "), "{}", ended.talk);
}

fn faces(scratch: &Scratch, place: [&str; 2]) -> Value {
    json(&scratch.data_of(&["face", "list", place[0], place[1], "--data", "own", "--set", "staff", "--json"]))["faces"]
        .take()
}

/// There, beside a server, and back.
#[test]
fn a_library_is_moved_to_a_database_and_back() {
    let Some(database) = database() else { return };
    let scratch = Scratch::new();
    fill(&scratch, 1);
    let listed = json(&scratch.data_of(&["face", "list", "--data", "data", "--set", "staff", "--json"]));
    let looked = json(&scratch.data_of(&["migrate", "--from", "data", "--to", &database, "--dry-run", "--json"]));
    let of = |report: &Value, table: &str| {
        report["tables"].as_array().unwrap().iter().find(|found| found["table"] == table).unwrap().clone()
    };
    assert_eq!(of(&looked, "faces")["source"]["rows"], 10);
    assert_eq!((&of(&looked, "faces")["target"]["rows"], &looked["finished"]), (&0.into(), &false.into()));

    let mut serving = scratch.serve(&[]);
    let copied = json(&scratch.data_of(&["migrate", "--from", "data", "--to", &database, "--json"]));
    assert_eq!((&copied["finished"], &of(&copied, "faces")["equal"]), (&false.into(), &true.into()));
    refused(&scratch.run(&["key", "list", "--store", &database]), "is not finished");
    let key = json(&scratch.data_of(&["key", "create", "--data", "data", "--tenant", "acme", "--json"]));
    let finished = scratch.data_of(&["migrate", "--from", "data", "--to", &database, "--finish"]);
    assert!(finished.contains("access keys                 1           1  "), "{finished}");
    if let Some(serving) = &mut serving {
        assert_eq!(serving.wait().code(), Some(0), "{}", serving.talk());
    }
    refused(&scratch.run(&["serve", "--data", "data", "--listen", "127.0.0.1:0"]), "was moved to");
    refused(&scratch.run(&["key", "create", "--data", "data", "--tenant", "acme"]), "--take-back");
    refused(&scratch.run(&["migrate", "--from", "data", "--to", &database]), "was moved to");
    let keys = scratch.data_of(&["key", "list", "--store", &database]);
    assert!(keys.contains(key["access_key_id"].as_str().unwrap()), "{keys}");
    assert_eq!(faces(&scratch, ["--store", &database]), listed["faces"]);

    scratch.data_of(&["migrate", "--from", &database, "--to", "back", "--finish"]);
    let back = json(&scratch.data_of(&["face", "list", "--data", "back", "--set", "staff", "--json"]));
    assert_eq!(back["faces"], listed["faces"]);
    scratch.data_of(&["check", "--data", "back", "--thorough"]);
    let recovered = scratch.data_of(&["recover", "--data", "data", "--to", "recovered"]);
    assert!(recovered.contains("moved away      to postgres://"), "{recovered}");
    scratch.data_of(&["migrate", "--take-back", "data"]);
    scratch.data_of(&["check", "--data", "data", "--thorough"]);
    refused(&scratch.run(&["migrate", "--take-back", "data"]), "was not moved away");
    refused(&scratch.run(&["migrate", "--from", "data", "--to", "back"]), "`--to`");
    refused(&scratch.run(&["migrate", "--from", "data", "--to", "data/inner"]), "lies within");
    let open = scratch.path().join("open");
    std::fs::create_dir_all(open.join("unfinished")).unwrap();
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
    refused(&scratch.run(&["migrate", "--from", "data", "--to", "open"]), "is open to others");
    std::fs::set_permissions(&open, std::os::unix::fs::PermissionsExt::from_mode(0o700)).unwrap();
    std::fs::remove_dir(open.join("unfinished")).unwrap();
    std::os::unix::fs::symlink(scratch.path().join("elsewhere"), open.join("unfinished")).unwrap();
    refused(&scratch.run(&["migrate", "--from", "data", "--to", "open"]), "symbolic link");
    assert_eq!(scratch.run(&["migrate", "--from", "data"]).code, Some(2));
}

/// Killed as soon as it says anything, a little later, and so on, and run again each time.
#[test]
fn a_killed_migration_goes_on() {
    let Some(database) = database() else { return };
    let scratch = Scratch::new();
    fill(&scratch, 4);
    let expected = json(&scratch.data_of(&["face", "list", "--data", "data", "--set", "staff", "--json"]));
    let arguments = ["migrate", "--from", "data", "--to", &database, "--finish", "--json"];
    let mut n_killed = 0;
    for n_lines in 1.. {
        let mut child = scratch.command(&arguments).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let stderr = child.stderr.take().unwrap();
        let lines = std::io::BufRead::lines(std::io::BufReader::new(stderr));
        // Each stage is a line.
        if lines.map_while(Result::ok).take(n_lines).count() == n_lines {
            child.kill().unwrap();
        }
        let output = child.wait_with_output().unwrap();
        if output.status.success() {
            break;
        }
        assert_eq!(output.status.code(), None, "it was killed");
        n_killed += 1;
        // It may have been all done but for its last word.
        if scratch.run(&["key", "list", "--store", &database]).code == Some(0) {
            break;
        }
    }
    assert!(n_killed >= 10, "{n_killed}");
    assert_eq!(faces(&scratch, ["--store", &database]), expected["faces"]);
}
