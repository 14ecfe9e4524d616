//! What is missing or damaged is said: by a recovery, by the next opening, by the check of every row, over restarts.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::Kind;
use likeness_domain::ports::{CredentialStore, FaceScope, GalleryStore, ScrubStep, TransientFaceStore, UploadStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FaceSetId, InstallationSecret, PersonId, Secret, Tenant, TenantId, TenantName,
    TimestampMs,
};
use likeness_store::conformance::jobs::at;
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM, picture};
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, check, recover};
use rusqlite::Connection;

use crate::patience::block_on;

const PAGE_BYTES: usize = 4096;

struct Filled {
    set: FaceSetId,
    persons: [PersonId; 2],
}

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap()
}

/// Two tenants: ours has a set with the faces 1 to 3 and the persons `p1` (faces 4 and 5) and `p2` (face 6), theirs a set with the
/// faces 11 to 13. Each has two keys; face 9 is held.
async fn fill(dir: &Path) -> Filled {
    let store = open(dir);
    let credentials = store.credentials().unwrap();
    let mut sets = Vec::new();
    for (tenant, name, faces) in [(ours(), "acme", [1, 2, 3]), (theirs(), "other", [11, 12, 13])] {
        let new = Tenant::new(tenant, TenantName::new(name).unwrap(), TimestampMs(1));
        credentials.ensure_tenant(by(tenant), new.clone()).await.unwrap();
        for number in [1, 2] {
            let (id, secret) = (format!("KEY-{name}-{number}"), Secret::new("secret-of-the-key").unwrap());
            let key = AccessKey::new(AccessKeyId::new(&id).unwrap(), secret, new.clone(), TimestampMs(1));
            credentials.add_key(by(tenant), key).await.unwrap();
        }
        let set = store.create_face_set(by(tenant), face_set(&format!("lobby-{name}")), None).await.unwrap().id;
        let faces = faces.map(full_face).to_vec();
        store.add_faces(by(tenant), FaceOwner::FaceSet(set), faces, None).await.unwrap();
        sets.push(set);
    }
    let mut persons = Vec::new();
    for (name, faces) in [("p1", vec![face(4), face(5)]), ("p2", vec![face(6)])] {
        let join = vec![face_set("lobby-acme")];
        let (person, _) = store.create_person(by(ours()), person(name), join, None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::Person(person.id), faces, None).await.unwrap();
        persons.push(person.id);
    }
    store.keep_faces(by(ours()), vec![held(9)], 10).await.unwrap();
    credentials.installation_secret(InstallationSecret::from_bytes([7; 32])).await.unwrap();
    Filled { set: sets[0], persons: [persons[0], persons[1]] }
}

fn behind(dir: &Path, sql: &str) {
    Connection::open(dir.join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
}

/// The first page of rows of a table, to be changed.
fn change_page(dir: &Path, table: &str, change: impl FnOnce(&mut [u8])) {
    let path = dir.join(DATABASE_FILE);
    let conn = Connection::open(&path).unwrap();
    let sql = "SELECT rootpage FROM sqlite_schema WHERE name = ?1";
    let root: usize = conn.query_row(sql, [table], |row| row.get(0)).unwrap();
    conn.query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |_| Ok(())).unwrap();
    drop(conn);
    let mut bytes = std::fs::read(&path).unwrap();
    let mut number = root;
    // An inner page has its leftmost child at its first cell.
    while matches!(bytes[(number - 1) * PAGE_BYTES], 2 | 5) {
        let page = &bytes[(number - 1) * PAGE_BYTES..][..PAGE_BYTES];
        let cell = usize::from(u16::from_be_bytes([page[12], page[13]]));
        number = u32::from_be_bytes(page[cell..cell + 4].try_into().unwrap()) as usize;
    }
    change(&mut bytes[(number - 1) * PAGE_BYTES..][..PAGE_BYTES]);
    std::fs::write(&path, bytes).unwrap();
}

/// Takes the highest bit of the number of cells away.
fn cut_cells(page: &mut [u8]) {
    let n_cells = u16::from_be_bytes([page[3], page[4]]);
    assert!(n_cells > 0);
    let fewer = n_cells ^ (1 << n_cells.ilog2());
    page[3..5].copy_from_slice(&fewer.to_be_bytes());
}

async fn found(store: &EmbeddedStore, tenant: TenantId) -> Vec<u64> {
    let ids = (1..20).map(face_id).collect();
    let templates = store.templates(tenant, None, ids, pack()).await.unwrap();
    templates.iter().map(|(id, _)| id.get()).collect()
}

#[test]
fn a_recovery_says_what_is_lost_of_every_table() {
    for (table, sql) in [
        ("access_keys", "UPDATE access_keys SET secret = 'abc' WHERE id = 'KEY-acme-1'"),
        ("memberships", "UPDATE memberships SET checksum = 1 WHERE sequence = (SELECT min(sequence) FROM memberships)"),
        ("installation", "UPDATE installation SET secret = zeroblob(32)"),
        ("held_faces", "UPDATE held_faces SET created_at = 5"),
    ] {
        for is_page in [false, true] {
            let scratch = tempfile::tempdir().unwrap();
            let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
            std::fs::create_dir(&dir).unwrap();
            block_on(fill(&dir));
            match is_page {
                true => change_page(&dir, table, |page| page.fill(0)),
                false => behind(&dir, sql),
            }
            let recovered = recover(&dir, &to).unwrap();
            let named = format!("`{table}`");
            assert!(recovered.lost.iter().any(|lost| lost.contains(&named)), "{table}: {:?}", recovered.lost);
            let says = |words: &str| recovered.lost.iter().any(|lost| lost.contains(words));
            match table {
                "access_keys" => assert!(says("access key KEY-acme-1 is missing"), "{:?}", recovered.lost),
                "memberships" => assert!(says("faces in its gallery"), "{:?}", recovered.lost),
                _ => {}
            }
        }
    }
}

/// A damaged row is not taken for what it says: nobody finds the faces of another tenant or person.
#[test]
fn a_recovery_believes_no_damaged_row() {
    for sql in [
        "UPDATE face_sets SET tenant = (SELECT other.tenant FROM face_sets AS other WHERE other.id <> face_sets.id)",
        "UPDATE persons SET key = 'p3' WHERE key = 'p2'; UPDATE persons SET key = 'p2' WHERE key = 'p1';
         UPDATE persons SET key = 'p1' WHERE key = 'p3'",
        "UPDATE persons SET tenant = (SELECT tenant FROM face_sets WHERE name = 'lobby-other')",
    ] {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
        std::fs::create_dir(&dir).unwrap();
        block_on(async {
            let Filled { persons, .. } = fill(&dir).await;
            behind(&dir, sql);
            let recovered = recover(&dir, &to).unwrap();
            assert!(!recovered.lost.is_empty(), "{sql}");
            let store = open(&to);
            assert_eq!(found(&store, ours()).await, [1, 2, 3, 4, 5, 6], "{sql}");
            assert_eq!(found(&store, theirs()).await, [11, 12, 13], "{sql}");
            for (person, is_p1) in [(persons[0], true), (persons[1], false)] {
                let faces = store.list_faces(ours(), FaceScope::Person(person), EVERYTHING).await.unwrap();
                assert_eq!(faces.len(), if is_p1 { 2 } else { 1 }, "{sql}");
            }
            for (key_text, id) in [("p1", persons[0]), ("p2", persons[1])] {
                let person = store.person(ours(), key(key_text)).await.unwrap();
                assert!(person.is_none_or(|person| person.id == id), "{sql}: {key_text} is another person");
            }
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0], "{sql}");
        });
    }
}

/// Rows behind the number of cells that a page names are there all the same.
#[test]
fn a_recovery_finds_rows_that_a_page_does_not_count() {
    for table in ["faces", "templates", "access_keys", "memberships", "persons", "tenants"] {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
        std::fs::create_dir(&dir).unwrap();
        block_on(async {
            fill(&dir).await;
            change_page(&dir, table, cut_cells);
            let recovered = recover(&dir, &to).unwrap();
            assert_eq!(recovered.lost, [] as [String; 0], "{table}");
            assert_eq!((recovered.n_keys, recovered.n_faces, recovered.n_tenants), (4, 9, 2), "{table}");
            let store = open(&to);
            assert_eq!(found(&store, ours()).await, [1, 2, 3, 4, 5, 6], "{table}");
            let p1 = store.person(ours(), key("p1")).await.unwrap().unwrap();
            assert_eq!(store.face_sets_of(ours(), p1.id).await.unwrap().len(), 1, "{table}");
        });
    }
}

/// A log that is gone: the recovery says that acknowledged commits are missing, and so does the new library.
#[test]
fn a_recovery_keeps_the_loss_of_commits() {
    let scratch = tempfile::tempdir().unwrap();
    let (dir, cut, to) = (scratch.path().join("whole"), scratch.path().join("cut"), scratch.path().join("new"));
    for folder in [&dir, &cut] {
        std::fs::create_dir(folder).unwrap();
    }
    block_on(async {
        let Filled { set, .. } = fill(&dir).await;
        std::fs::copy(dir.join(DATABASE_FILE), cut.join(DATABASE_FILE)).unwrap();
        let store = open(&dir);
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(20)], None).await.unwrap();
        let revision = store.report(false).await.unwrap().revision.0;
        drop(store);
        std::fs::copy(dir.join(IDENTITY_FILE), cut.join(IDENTITY_FILE)).unwrap();
        let said = format!("acknowledged commits {revision} to {revision} are missing");
        let recovered = recover(&cut, &to).unwrap();
        assert!(recovered.lost.iter().any(|lost| lost.starts_with(&said)), "{:?}", recovered.lost);
        let problems = check(&to, true, &mut |_| {}).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].starts_with(&said), "{problems:?}");
        let store = open(&to);
        assert_eq!(store.health().n_losses, 1);
        assert_eq!(store.acknowledge_losses().await.unwrap(), problems);
        // A library that lacks nothing is recovered without such a word.
        assert_eq!(recover(&dir, scratch.path().join("other")).unwrap().lost, [] as [String; 0]);
    });
}

async fn whole_pass(store: &EmbeddedStore, now: i64) {
    while let ScrubStep::Read(_) = store.scrub(TimestampMs(now), Duration::from_secs(9), 1000).await.unwrap() {}
}

/// A face that no search finds, since its row of the gallery is gone, is told by the opening, by the check of every row, and
/// over restarts.
#[test]
fn a_face_that_is_missing_from_its_gallery_is_told() {
    let gone = "DELETE FROM gallery WHERE sequence = (SELECT sequence FROM faces WHERE id = 2)";
    for is_open in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            fill(scratch.path()).await;
            let mut store = open(scratch.path());
            if is_open {
                behind(scratch.path(), gone);
                whole_pass(&store, 5).await;
            } else {
                drop(store);
                behind(scratch.path(), gone);
                store = open(scratch.path());
            }
            for _ in 0..2 {
                // Once more by the opening that counts the rows.
                let problems = store.report(false).await.unwrap().problems;
                assert_eq!(store.health().n_other_damage, problems.len() as u64);
                let is_named = |problem: &String| problem.contains("gallery") && problem.contains("likeness recover");
                assert!(!problems.is_empty() && problems.iter().all(is_named), "{problems:?}");
                drop(store);
                store = open(scratch.path());
            }
        });
    }
}

/// Rows that a page does not count are gone from lists and searches: that is told from the start.
#[test]
fn rows_that_a_page_does_not_count_are_told() {
    for table in ["faces", "gallery"] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            fill(scratch.path()).await;
            change_page(scratch.path(), table, cut_cells);
            // Where SQLite sees it, the opening names the cure.
            let store = match EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())) {
                Err(error) => return assert!(error.hint().is_some_and(|hint| hint.contains("recover")), "{error:?}"),
                Ok(store) => store,
            };
            assert!(store.health().n_other_damage > 0, "{table}");
            drop(store);
            if let Ok(store) = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())) {
                assert!(store.health().n_other_damage > 0, "{table}: after a restart");
            }
        });
    }
}

/// What the check of every row has found is known from the start of the next process on.
#[test]
fn damage_that_was_found_is_known_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        fill(scratch.path()).await;
        behind(
            scratch.path(),
            "UPDATE memberships SET checksum = 1 WHERE sequence = (SELECT min(sequence) FROM memberships);
             UPDATE access_keys SET label = 'eve' WHERE id = 'KEY-acme-1'",
        );
        let store = open(scratch.path());
        assert_eq!(store.health().n_rows_set_aside, 0);
        whole_pass(&store, 5).await;
        assert_eq!(store.health().n_rows_set_aside, 2);
        let problems = store.report(false).await.unwrap().problems;
        drop(store);
        let store = open(scratch.path());
        assert_eq!(store.health().n_rows_set_aside, 2);
        assert_eq!(store.report(false).await.unwrap().problems, problems);
        drop(store);
        // What was mended meanwhile is not.
        behind(scratch.path(), "DELETE FROM access_keys WHERE id = 'KEY-acme-1'");
        assert_eq!(open(scratch.path()).health().n_rows_set_aside, 1);
    });
}

/// Numbers of the file's header have no checksum: the tables show what they must be.
#[test]
fn a_damaged_layout_number_is_refused_with_the_cure() {
    for sql in
        ["PRAGMA user_version = 7", "PRAGMA user_version = 5", "PRAGMA user_version = 0", "PRAGMA application_id = 0"]
    {
        let scratch = tempfile::tempdir().unwrap();
        let (dir, to) = (scratch.path().join("damaged"), scratch.path().join("new"));
        std::fs::create_dir(&dir).unwrap();
        block_on(async {
            fill(&dir).await;
            behind(&dir, sql);
            for error in [
                EmbeddedStore::open(&dir, Arc::new(Ledger::default())).err().unwrap(),
                Credentials::open(&dir).err().unwrap(),
            ] {
                assert!(error.hint().is_some_and(|hint| hint.contains("likeness recover")), "{sql}: {error:?}");
                assert!(!error.message().contains("CREATE"), "{sql}: {error}");
            }
            assert!(
                std::fs::read_dir(&dir)
                    .unwrap()
                    .all(|entry| { !entry.unwrap().file_name().to_string_lossy().ends_with(".backup") })
            );
            let problems = check(&dir, false, &mut |_| {}).unwrap().problems;
            assert!(problems.len() == 1 && problems[0].contains("likeness recover"), "{sql}: {problems:?}");
            assert_eq!(recover(&dir, &to).unwrap().n_faces, 9, "{sql}");
        });
    }
}

/// Numbers at the end of what SQLite can count are not counted on from.
#[test]
fn extreme_numbers_are_not_believed() {
    let most = i64::MAX;
    for sql in [
        format!("UPDATE store SET next_sequence = {most}"),
        format!("UPDATE store SET revision = {most}"),
        format!("UPDATE store SET last_commit = {most}, compacted = {most}"),
        format!("PRAGMA foreign_keys = OFF; UPDATE faces SET sequence = {most} WHERE id = 2"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let Filled { set, .. } = fill(scratch.path()).await;
            behind(scratch.path(), &sql);
            for number in [50, 51] {
                let store = open(scratch.path());
                store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
                let listed = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
                assert!(listed.iter().any(|face| face.id == face_id(number)), "{sql}");
            }
        });
    }
}

/// Two pictures that changed places are neither of them taken for the other, nor one for another tenant's.
#[test]
fn uploads_that_changed_places_are_refused() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = open(scratch.path());
        for (name, bytes) in [("a", "picture of anna"), ("b", "picture of bert")] {
            store.put_upload(ours(), picture(name, bytes), ROOM, at(0)).await.unwrap();
        }
        let (a, b) = (picture("a", "").name, picture("b", "").name);
        assert_eq!(store.picture(ours(), a.clone(), at(1)).await.unwrap().unwrap(), "picture of anna".as_bytes());
        behind(
            scratch.path(),
            "UPDATE pictures SET bytes = (SELECT other.bytes FROM pictures AS other WHERE other.id <> pictures.id)
             WHERE name = 'a'",
        );
        refused(store.picture(ours(), a, at(1)).await, Kind::Internal);
        assert_eq!(store.picture(ours(), b.clone(), at(1)).await.unwrap().unwrap(), "picture of bert".as_bytes());
        let tenant: String =
            likeness_store::conformance::THEIRS.to_be_bytes().iter().map(|byte| format!("{byte:02x}")).collect();
        behind(scratch.path(), &format!("UPDATE pictures SET tenant = x'{tenant}' WHERE name = 'b'"));
        refused(store.picture(theirs(), b, at(1)).await, Kind::Internal);
    });
}
