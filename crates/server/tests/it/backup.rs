//! `likeness backup` and `likeness restore`, beside a server and cut short at any moment.

use std::fs;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use likeness_domain::ports::{CredentialStore, GalleryStore, UploadStore};
use likeness_domain::types::{FaceOwner, NewFace, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::Ledger;
use likeness_store::conformance::samples::{by, face, face_set, note, ours};
use likeness_store::conformance::uploads::{ROOM, picture};
use likeness_store::embedded::{Credentials, EmbeddedStore};
use serde_json::Value;

use crate::harness::Scratch;

/// A library of ten faces and some MiB in the folder `data`.
pub(crate) fn fill(scratch: &Scratch, n_mebibytes: usize) {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let store = EmbeddedStore::open(scratch.data(), Arc::new(Ledger::default())).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
        let faces = (1..=10)
            .map(|number| NewFace { note: Some(note(&format!("note-of-face-{number}"))), ..face(number) })
            .collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
        for number in 0..n_mebibytes {
            let new = picture(&number.to_string(), vec![number as u8; 1 << 20]);
            store.put_upload(ours(), new, ROOM, TimestampMs(0)).await.unwrap();
        }
        let credentials = Credentials::open(scratch.data()).unwrap();
        let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
        credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
    });
}

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[test]
fn a_backup_is_made_verified_and_restored() {
    let scratch = Scratch::new();
    fill(&scratch, 1);
    let made = json(&scratch.data_of(&["backup", "one", "--data", "data", "--json"]));
    assert_eq!((&made["layout"], &made["problems"]), (&10.into(), &Value::Array(vec![])));
    let verified = json(&scratch.data_of(&["backup", "--verify", "one", "--json"]));
    assert_eq!(made, verified);
    let restored = scratch.data_of(&["restore", "one", "--data", "new"]);
    assert!(restored.starts_with("library         new\nlayout          version 10\n"), "{restored}");
    assert!(restored.ends_with("problems        none\n"), "{restored}");
    let listed = scratch.data_of(&["face", "list", "--data", "new", "--set", "staff", "--json"]);
    assert_eq!(json(&listed)["faces"].as_array().unwrap().len(), 10, "{listed}");
    scratch.data_of(&["check", "--data", "new", "--thorough"]);

    let refused = |arguments: &[&str], says: &str| {
        let ended = scratch.run(arguments);
        assert_eq!((ended.code, ended.data.as_str()), (Some(2), ""), "{arguments:?}");
        assert!(ended.talk.contains(says) && ended.talk.contains("hint: "), "{arguments:?}: {}", ended.talk);
    };
    refused(&["backup", "one", "--data", "data"], "error: `one` exists already");
    refused(&["backup", "two", "--data", "absent"], "error: there is no library in `absent`");
    refused(&["restore", "one", "--data", "new"], "error: `new` is not empty: it has `likeness.");
    let mut bytes = fs::read(scratch.path().join("one")).unwrap();
    bytes[5000] ^= 8;
    fs::write(scratch.path().join("one"), bytes).unwrap();
    refused(&["backup", "--verify", "one"], "the backup `one` is damaged: bytes 0 to 1048575 are not those that were");
    refused(&["restore", "one", "--data", "other"], "the backup `one` is damaged");
    assert_eq!(scratch.run(&["backup"]).code, Some(2), "nothing to do");
}

/// Kills the command once the file has that many bytes; whether it was still running.
fn kill_at(scratch: &Scratch, arguments: &[&str], file: &str, n_bytes: u64) -> bool {
    let mut command: Command = scratch.command(arguments);
    let mut child: Child = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if fs::metadata(scratch.path().join(file)).is_ok_and(|metadata| metadata.len() >= n_bytes) {
            child.kill().unwrap();
            return child.wait().unwrap().code().is_none();
        }
        std::thread::yield_now();
    }
}

/// Whatever moment the command is killed at, its file is whole or not there, and its folder a whole library or none.
#[test]
fn a_killed_backup_or_restore_leaves_the_whole_or_nothing() {
    let scratch = Scratch::new();
    fill(&scratch, 8);
    scratch.data_of(&["backup", "whole", "--data", "data"]);
    let n_whole = fs::metadata(scratch.path().join("whole")).unwrap().len();
    let mut n_killed = 0;
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    for round in 0..10 {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        let n_bytes = random % (n_whole + n_whole / 8);
        let (file, folder) = (format!("backup-{round}"), format!("new-{round}"));
        let unfinished = format!("{file}.unfinished");
        n_killed += u32::from(kill_at(&scratch, &["backup", &file, "--data", "data"], &unfinished, n_bytes));
        if scratch.path().join(&file).exists() {
            scratch.data_of(&["backup", "--verify", &file]);
        } else {
            let half = scratch.run(&["backup", "--verify", &unfinished]);
            // It was killed between the last byte and the name.
            assert!(half.code == Some(2) || half.code == Some(0), "{}", half.talk);
            scratch.data_of(&["backup", &file, "--data", "data"]);
        }
        let database = format!("{folder}/unfinished/likeness.db");
        n_killed += u32::from(kill_at(&scratch, &["restore", "whole", "--data", &folder], &database, n_bytes));
        if !scratch.path().join(&folder).join("likeness.db").exists() {
            if scratch.path().join(&folder).join("unfinished").exists() {
                let refused = scratch.run(&["key", "create", "--data", &folder, "--tenant", "other"]);
                assert_eq!(refused.code, Some(2));
                assert!(refused.talk.contains("was cut short"), "{}", refused.talk);
            }
            scratch.data_of(&["restore", "whole", "--data", &folder]);
        }
        let listed = scratch.data_of(&["face", "list", "--data", &folder, "--set", "staff", "--json"]);
        assert_eq!(json(&listed)["faces"].as_array().unwrap().len(), 10, "{listed}");
        scratch.data_of(&["check", "--data", &folder, "--thorough"]);
        fs::remove_dir_all(scratch.path().join(&folder)).unwrap();
        fs::remove_file(scratch.path().join(&file)).unwrap();
    }
    assert!(n_killed >= 5, "most were killed in time: {n_killed}");
}

/// A server goes on answering and writing while a backup of its library is made.
#[test]
fn a_backup_is_made_beside_a_server() {
    let scratch = Scratch::new();
    fill(&scratch, 1);
    let Some(mut server) = scratch.serve(&[]) else { return };
    let made = json(&scratch.data_of(&["backup", "one", "--data", "data", "--json"]));
    scratch.data_of(&["face", "delete", "--data", "data", "--set", "staff", "3", "--yes"]);
    scratch.data_of(&["backup", "two", "--data", "data"]);
    server.stop();
    for (file, n_faces) in [("one", 10), ("two", 9)] {
        scratch.data_of(&["restore", file, "--data", file.repeat(2).as_str()]);
        let listed = scratch.data_of(&["face", "list", "--data", &file.repeat(2), "--set", "staff", "--json"]);
        assert_eq!(json(&listed)["faces"].as_array().unwrap().len(), n_faces, "{listed}");
    }
    assert_eq!(made["problems"], Value::Array(vec![]));
}
