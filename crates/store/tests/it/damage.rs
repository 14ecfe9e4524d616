//! Damage is seen and named, and the rest goes on.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{CommitPage, CredentialStore, FaceScope, FaceSelector, GalleryStore, TransientFaceStore};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, FaceSetId, InstallationSecret, Revision, Secret, Tenant, TenantName, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, backup, check};
use likeness_store::folder::{DataFolder, LOCK_FILE};

use crate::patience::block_on;

fn open(dir: &Path) -> (EmbeddedStore, Arc<Ledger>) {
    let index = Arc::new(Ledger::default());
    (EmbeddedStore::open(dir, Arc::clone(&index) as _).unwrap(), index)
}

/// What stands in the tables, changed behind the store's back by another program.
fn behind(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
}

/// A set `staff` with the faces 1 to 3, a person `anna` in it with face 4, face 9 held, a key.
async fn fill(dir: &Path) -> FaceSetId {
    let (store, _) = open(dir);
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let faces = vec![full_face(1), full_face(2), full_face(3)];
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    let (anna, _) = store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(4)], None).await.unwrap();
    store.keep_faces(by(ours()), vec![held(9)], 10).await.unwrap();
    let credentials = Credentials::open(dir).unwrap();
    let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
    let tenant = credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
    let (id, secret) = (AccessKeyId::new("KEY1").unwrap(), Secret::new("secret-of-the-key").unwrap());
    credentials.add_key(by(ours()), AccessKey::new(id, secret, tenant, TimestampMs(1))).await.unwrap();
    credentials.installation_secret(InstallationSecret::from_bytes([7; 32])).await.unwrap();
    set.id
}

async fn listed(store: &EmbeddedStore, set: FaceSetId) -> Vec<u64> {
    let faces = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
    faces.iter().map(|face| face.id.get()).collect()
}

fn searched(index: &Ledger, set: FaceSetId) -> Vec<u64> {
    index.rows(set).iter().map(|row| row.entry.face.get()).collect()
}

/// A vector with other signs is as long as before: only the checksum tells.
#[test]
fn flipped_signs_in_a_template_are_found_at_open_and_the_face_is_not_searched() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        let conn = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
        let sql = "SELECT vector FROM templates WHERE face = (SELECT sequence FROM faces WHERE id = 2)";
        let mut vector: Vec<u8> = conn.query_row(sql, [], |row| row.get(0)).unwrap();
        vector.iter_mut().skip(3).step_by(4).for_each(|byte| *byte ^= 0x80);
        conn.execute(
            "UPDATE templates SET vector = ?1 WHERE face = (SELECT sequence FROM faces WHERE id = 2)",
            [vector],
        )
        .unwrap();
        drop(conn);

        let (store, index) = open(scratch.path());
        assert_eq!(searched(&index, set), [1, 3, 4]);
        let named = "template of face 2 is damaged (its checksum does not match): delete the face and enrol it again, or \
                     restore a backup";
        assert_eq!(store.report(false).await.unwrap().problems, [named], "found while the index was filled");
        assert_eq!(store.report(true).await.unwrap().problems, [named]);
        let scope = FaceScope::FaceSet(set);
        refused(store.templates(ours(), Some(scope), vec![face_id(2)], pack()).await, Kind::Internal);
        // Deleting it mends it.
        let deleted = store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(2)])).await.unwrap();
        assert_eq!(deleted, [face_id(2)]);
        assert_eq!(store.report(false).await.unwrap().problems, [] as [String; 0]);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// Two templates that have changed places are each of them whole, but not of the face that they stand under.
#[test]
fn templates_that_changed_places_are_both_set_aside() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        behind(
            scratch.path(),
            "CREATE TEMP TABLE one AS SELECT t.* FROM templates AS t JOIN faces AS f ON f.sequence = t.face WHERE f.id = 1;
             CREATE TEMP TABLE two AS SELECT t.* FROM templates AS t JOIN faces AS f ON f.sequence = t.face WHERE f.id = 2;
             UPDATE templates SET (vector, checksum) = (SELECT vector, checksum FROM two) WHERE id = (SELECT id FROM one);
             UPDATE templates SET (vector, checksum) = (SELECT vector, checksum FROM one) WHERE id = (SELECT id FROM two);",
        );
        let (store, index) = open(scratch.path());
        assert_eq!(searched(&index, set), [3, 4]);
        assert_eq!(store.report(true).await.unwrap().problems.len(), 2);
    });
}

/// A row of every table that has checksums, changed by one value: it is named, not returned, and the rest is.
#[test]
fn a_changed_row_of_any_table_is_named_and_set_aside() {
    for (sql, named, listed_then, searched_then) in [
        ("UPDATE faces SET subject = 'eve' WHERE id = 2", "face 2 is damaged", vec![1, 3, 4], vec![1, 3, 4]),
        ("UPDATE faces SET checksum = checksum + 1 WHERE id = 2", "face 2 is damaged", vec![1, 3, 4], vec![1, 3, 4]),
        (
            "UPDATE templates SET checksum = 0 WHERE id = 2",
            "template of face 2 is damaged",
            vec![1, 2, 3, 4],
            vec![1, 3, 4],
        ),
        ("UPDATE held_faces SET subject = 'eve'", "held face 9 is damaged", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("UPDATE persons SET name = 'eve'", "person ", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("UPDATE memberships SET sequence = 99", "membership in the face set", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("UPDATE face_sets SET capacity = 5", "face set ", vec![1, 2, 3, 4], vec![]),
        ("UPDATE commits SET at = 5 WHERE revision = 2", "commit 2 is damaged", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("UPDATE access_keys SET enabled = 0", "access key KEY1 is damaged", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        ("UPDATE tenants SET name = 'eve'", "tenant ", vec![1, 2, 3, 4], vec![1, 2, 3, 4]),
        (
            "UPDATE installation SET secret = zeroblob(32)",
            "secret of the installation 1",
            vec![1, 2, 3, 4],
            vec![1, 2, 3, 4],
        ),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let set = fill(scratch.path()).await;
            behind(scratch.path(), sql);
            let (store, index) = open(scratch.path());
            assert_eq!(searched(&index, set), searched_then, "{sql}");
            assert_eq!(listed(&store, set).await, listed_then, "{sql}");
            let problems = store.report(true).await.unwrap().problems;
            assert!(problems.iter().any(|problem| problem.contains(named)), "{sql}: {problems:?}");
            // Everything else is written as before.
            let other = store.create_face_set(by(ours()), face_set("other"), None).await.unwrap();
            store.add_faces(by(ours()), FaceOwner::FaceSet(other.id), vec![face(20)], None).await.unwrap();
            assert_eq!(listed(&store, other.id).await, [20]);
        });
    }
}

/// A damaged row is not written over with a checksum that matches.
#[test]
fn a_damaged_row_is_refused_not_mended_by_a_change() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        behind(
            scratch.path(),
            "UPDATE faces SET note = 'eve' WHERE id = 2; UPDATE face_sets SET note = 'eve'; UPDATE persons SET note = 'eve';
             UPDATE held_faces SET created_at = 3; UPDATE access_keys SET secret = 'another-secret';",
        );
        let (store, _) = open(scratch.path());
        let now = TimestampMs(7);
        let scope = FaceScope::FaceSet(set);
        refused(store.update_face(by(ours()), scope, face_id(2), Default::default(), now).await, Kind::Internal);
        refused(store.update_face_set(by(ours()), set, Default::default()).await, Kind::Internal);
        refused(store.held_face(ours(), face_id(9), now).await, Kind::Internal);
        refused(store.label_source(by(ours()), face_id(9), subject("eve"), now).await, Kind::Internal);
        refused(store.person(ours(), key("anna")).await, Kind::Internal);
        let credentials = Credentials::open(scratch.path()).unwrap();
        let id = AccessKeyId::new("KEY1").unwrap();
        refused(credentials.key(id.clone()).await, Kind::Internal);
        refused(credentials.set_key_enabled(by(ours()), id, false).await, Kind::Internal);
        assert_eq!(store.report(true).await.unwrap().problems.len(), 5);
    });
}

/// A row of a gallery has no checksum of its own, but shows no face of another set.
#[test]
fn a_damaged_gallery_shows_no_face_of_another_set() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        let (store, _) = open(scratch.path());
        let other = store.create_face_set(by(theirs()), face_set("other"), None).await.unwrap();
        store.add_faces(by(theirs()), FaceOwner::FaceSet(other.id), vec![face(30)], None).await.unwrap();
        drop(store);
        behind(
            scratch.path(),
            &format!(
                "UPDATE gallery SET sequence = (SELECT sequence FROM faces WHERE id = 30)
                 WHERE face_set = {set} AND sequence = (SELECT sequence FROM faces WHERE id = 1)"
            ),
        );
        let (store, index) = open(scratch.path());
        assert_eq!(searched(&index, set), [2, 3, 4]);
        assert_eq!(listed(&store, set).await, [2, 3, 4]);
        assert!(store.faces(ours(), FaceScope::FaceSet(set), vec![face_id(30)]).await.unwrap().is_empty());
        let found = store.templates(ours(), Some(FaceScope::FaceSet(set)), vec![face_id(30)], pack()).await.unwrap();
        assert!(found.is_empty());
        let problems = store.report(true).await.unwrap().problems;
        assert!(
            problems.iter().any(|problem| problem.starts_with("a gallery shows a face that does not")),
            "{problems:?}"
        );
    });
}

/// Counters that were damaged are counted anew when the store is opened, and numbers are not used twice.
#[test]
fn counters_are_taken_from_the_tables() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        for sql in [
            "UPDATE store SET next_sequence = 1, revision = 0, last_commit = 0",
            "UPDATE store SET next_sequence = -7, revision = -9, last_commit = -1",
            "UPDATE face_sets SET n_gallery = 0, n_owned = 77; UPDATE persons SET n_faces = 5",
            "UPDATE held_tenants SET n_held = 3",
        ] {
            behind(scratch.path(), sql);
            let (store, _) = open(scratch.path());
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0], "{sql}");
            let number = 40 + store.report(false).await.unwrap().revision.0;
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
            assert_eq!(listed(&store, set).await.last(), Some(&number), "the newest is the last");
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0], "{sql}");
        }
    });
}

/// A second process is refused although every file of the folder is gone, and notices that its database was one day there.
#[test]
fn a_folder_has_one_owner_although_its_files_vanish() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        let (store, _) = open(scratch.path());
        let refusal = |file: &str| {
            std::fs::remove_file(scratch.path().join(file)).unwrap();
            let error = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).err().unwrap();
            assert!(error.message().contains("is in use by"), "{error}");
        };
        refusal(LOCK_FILE);
        refusal(DATABASE_FILE);
        // The owner goes on with the file it has open.
        assert_eq!(listed(&store, set).await, [1, 2, 3, 4]);
        drop(store);
        assert!(DataFolder::lock(scratch.path()).is_ok());
    });
}

/// Without the identity file the log alone tells that somebody's faces were here.
#[test]
fn an_empty_database_beside_a_log_with_commits_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill(scratch.path()));
    let (database, log) = (scratch.path().join(DATABASE_FILE), scratch.path().join(format!("{DATABASE_FILE}-wal")));
    // Open, so that the log is not folded in.
    let (store, _) = open(scratch.path());
    block_on(store.create_face_set(by(ours()), face_set("second"), None)).unwrap();
    let copy = tempfile::tempdir().unwrap();
    let wal = std::fs::read(&log).unwrap();
    drop(store);
    std::fs::write(copy.path().join(DATABASE_FILE), b"").unwrap();
    std::fs::write(copy.path().join(format!("{DATABASE_FILE}-wal")), &wal).unwrap();
    assert!(database.exists());
    for error in [
        EmbeddedStore::open(copy.path(), Arc::new(Ledger::default())).err().unwrap(),
        Credentials::open(copy.path()).err().unwrap(),
    ] {
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        assert!(error.message().contains("the log of a library that was here") && error.hint().is_some(), "{error}");
    }
    assert_eq!(std::fs::read(copy.path().join(format!("{DATABASE_FILE}-wal"))).unwrap(), wal, "nothing is thrown away");
}

/// A link in the place of a file of ours is not written through.
#[test]
fn a_link_in_the_place_of_the_lock_file_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill(scratch.path()));
    std::fs::remove_file(scratch.path().join(LOCK_FILE)).unwrap();
    std::os::unix::fs::symlink(DATABASE_FILE, scratch.path().join(LOCK_FILE)).unwrap();
    let before = std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap();
    let error = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).err().unwrap();
    assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
    assert_eq!(std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap(), before);
}

/// The same database under another name in another folder: two servers would each write a log of their own.
#[test]
fn a_database_has_one_owner_whatever_its_name() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill(scratch.path()));
    let others = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let database = scratch.path().join(DATABASE_FILE);
    std::fs::hard_link(&database, others[0].path().join(DATABASE_FILE)).unwrap();
    std::os::unix::fs::symlink(&database, others[1].path().join(DATABASE_FILE)).unwrap();
    let (store, _) = open(scratch.path());
    let credentials = store.credentials().unwrap();
    for other in &others {
        std::fs::copy(scratch.path().join(IDENTITY_FILE), other.path().join(IDENTITY_FILE)).unwrap();
        for error in [
            EmbeddedStore::open(other.path(), Arc::new(Ledger::default())).err().unwrap(),
            Credentials::open(other.path()).err().unwrap(),
            check(other.path(), true, &mut |_| {}).unwrap_err(),
            backup(other.path(), scratch.path().join("copy"), &mut |_, _, _| Ok(())).unwrap_err(),
        ] {
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
            assert!(error.message().contains("is open under another name") && error.hint().is_some(), "{error}");
        }
    }
    // A command beside the owner is welcome under the owner's name.
    drop(Credentials::open(scratch.path()).unwrap());
    drop((store, credentials));
    drop(EmbeddedStore::open(others[0].path(), Arc::new(Ledger::default())).unwrap());
}

/// A key that was disabled comes back when the log's end is lost: that is said like any other loss.
#[test]
fn a_lost_change_of_an_access_key_is_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        fill(scratch.path()).await;
        let id = AccessKeyId::new("KEY1").unwrap();
        let database = scratch.path().join(DATABASE_FILE);
        let older = std::fs::read(&database).unwrap();
        // A command, without a server.
        let credentials = Credentials::open(scratch.path()).unwrap();
        assert!(credentials.set_key_enabled(by(ours()), id.clone(), false).await.unwrap());
        drop(credentials);
        std::fs::write(&database, &older).unwrap();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(scratch.path().join(format!("{DATABASE_FILE}{end}")));
        }
        let (store, _) = open(scratch.path());
        let problems = store.report(false).await.unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains("acknowledged commits"), "{problems:?}");
        assert!(problems[0].contains("likeness key list"), "{problems:?}");
        assert_eq!(store.health().n_losses, 1);
    });
}

#[test]
fn an_emptied_missing_or_foreign_database_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill(scratch.path()));
    let database = scratch.path().join(DATABASE_FILE);
    let whole = std::fs::read(&database).unwrap();
    let refusal = |contains: &str| {
        for error in [
            EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).err().unwrap(),
            Credentials::open(scratch.path()).err().unwrap(),
        ] {
            assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
            assert!(error.message().contains(contains), "{error}");
            assert!(error.hint().is_some(), "{error}");
        }
    };
    std::fs::write(&database, b"").unwrap();
    refusal("is missing or empty");
    assert_eq!(std::fs::metadata(&database).unwrap().len(), 0, "nothing is written to it");
    std::fs::remove_file(&database).unwrap();
    refusal("is missing or empty");
    assert!(!database.exists(), "no empty one is made");

    let other = tempfile::tempdir().unwrap();
    block_on(fill(other.path()));
    std::fs::copy(other.path().join(DATABASE_FILE), &database).unwrap();
    refusal("is of another library");

    // The right one is welcome again, and so is an identity file that is missing or damaged.
    std::fs::write(&database, &whole).unwrap();
    drop(open(scratch.path()));
    let identity = scratch.path().join(IDENTITY_FILE);
    let before = std::fs::read(&identity).unwrap();
    for damaged in [None, Some(&before[..20])] {
        std::fs::remove_file(&identity).unwrap();
        if let Some(bytes) = damaged {
            std::fs::write(&identity, bytes).unwrap();
        }
        drop(open(scratch.path()));
        assert_eq!(std::fs::read(&identity).unwrap()[..40], before[..40]);
    }
    std::fs::copy(other.path().join(DATABASE_FILE), &database).unwrap();
    refusal("is of another library");
    std::fs::remove_file(&identity).unwrap();
    drop(open(scratch.path()));
}

/// A log that is gone takes acknowledged commits with it: that is said, and their numbers are not used again.
#[test]
fn lost_commits_are_noticed() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let set = fill(scratch.path()).await;
        let database = scratch.path().join(DATABASE_FILE);
        let older = std::fs::read(&database).unwrap();
        let (store, _) = open(scratch.path());
        for number in 50..55 {
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
        }
        let before = store.report(false).await.unwrap().revision;
        drop(store);
        std::fs::write(&database, &older).unwrap();
        for end in ["-wal", "-shm"] {
            let _ = std::fs::remove_file(scratch.path().join(format!("{DATABASE_FILE}{end}")));
        }

        // Looking changes nothing of it, and says the same.
        let lost = format!("acknowledged commits {} to {} are missing", before.0 - 4, before.0);
        for _ in 0..2 {
            let problems = check(scratch.path(), true, &mut |_| {}).unwrap().problems;
            assert!(problems.len() == 1 && problems[0].starts_with(&lost), "{problems:?}");
        }
        let (store, index) = open(scratch.path());
        index.is_filled(Revision(before.0 + 1));
        let problems = store.report(false).await.unwrap().problems;
        assert!(problems.len() == 1 && problems[0].starts_with(&lost), "{problems:?}");
        assert_eq!(store.health().n_losses, 1);
        assert_eq!(store.report(true).await.unwrap().problems, problems);
        // A follower that has seen the lost commits starts anew from the tables.
        let page = store.changes_after(before, 10).await.unwrap();
        assert!(matches!(page, CommitPage::TooOld { compacted } if compacted.0 == before.0 + 1), "{page:?}");
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(60)], None).await.unwrap();
        assert_eq!(listed(&store, set).await, [1, 2, 3, 4, 60]);
        let CommitPage::Commits { commits, .. } = store.changes_after(Revision(before.0 + 1), 10).await.unwrap() else {
            panic!("commits go on")
        };
        assert_eq!(commits.len(), 1);
        // It is told by every start until somebody says that it was seen.
        drop(store);
        let (store, _) = open(scratch.path());
        assert_eq!(store.report(false).await.unwrap().problems, problems);
        assert_eq!(store.acknowledge_losses().await.unwrap(), problems);
        assert_eq!((store.health().n_losses, store.report(true).await.unwrap().problems), (0, vec![]));
        drop(store);
        let (store, _) = open(scratch.path());
        assert_eq!(store.report(false).await.unwrap().problems, [] as [String; 0]);
        assert_eq!(store.acknowledge_losses().await.unwrap(), [] as [String; 0]);
    });
}

/// A commit that is missing or damaged is not passed over: a follower is sent to the tables.
#[test]
fn a_gap_in_the_commits_is_noticed() {
    for sql in [
        "DELETE FROM commits WHERE revision = 2",
        "UPDATE commits SET changes = x'' WHERE revision = 2",
        "DELETE FROM commits WHERE revision = (SELECT max(revision) FROM commits)",
    ] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            fill(scratch.path()).await;
            behind(scratch.path(), sql);
            let (store, _) = open(scratch.path());
            let page = store.changes_after(Revision(0), 100).await.unwrap();
            assert!(matches!(page, CommitPage::TooOld { .. }), "{sql}: {page:?}");
            assert_eq!(store.report(true).await.unwrap().problems.len(), 1, "{sql}");
        });
    }
}
