//! `likeness recover`, and what a library that does not open says.

use std::fs;

use crate::harness::Scratch;

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
