//! Files that are moved, removed or swapped while a store has them open, or before the next one opens them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{CredentialStore, FaceScope, GalleryStore};
use likeness_domain::types::{FaceOwner, FaceSetId, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, check};

use crate::patience::block_on;

fn open(dir: &Path) -> likeness_domain::Result<EmbeddedStore> {
    EmbeddedStore::open(dir, Arc::new(Ledger::default()))
}

/// A store with a face in it.
async fn fill(dir: &Path) -> (EmbeddedStore, FaceSetId) {
    let store = open(dir).unwrap();
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
    store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(1)], None).await.unwrap();
    (store, set)
}

/// What is written to a file that nobody finds again is not acknowledged.
#[test]
fn a_database_that_is_moved_while_it_is_open_takes_no_writes() {
    for end in ["", "-wal"] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let (store, set) = fill(scratch.path()).await;
            let credentials = store.credentials().unwrap();
            let path = scratch.path().join(format!("{DATABASE_FILE}{end}"));
            let moved = scratch.path().join("moved");
            fs::rename(&path, &moved).unwrap();
            let failure = store.health().write_failure.unwrap();
            assert!(failure.contains(&format!("`{DATABASE_FILE}{end}`")) && failure.contains("was moved"), "{failure}");
            let error = store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(2)], None).await.unwrap_err();
            assert!(error.message().contains("put it back"), "{error}");
            let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
            refused(credentials.ensure_tenant(by(ours()), tenant.clone()).await, Kind::Internal);
            // Reading goes on.
            let listed = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
            assert_eq!(listed.len(), 1);

            fs::rename(&moved, &path).unwrap();
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(2)], None).await.unwrap();
            credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
            assert_eq!(store.health().write_failure, None);
            drop((store, credentials));
            let store = open(scratch.path()).unwrap();
            assert_eq!(store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap().len(), 2);
        });
    }
}

/// SQLite would write the log of the library over the database that was put in its place.
#[test]
fn a_database_beside_the_log_of_another_one_is_refused() {
    let (scratch, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    block_on(async {
        drop(fill(other.path()).await);
        let (store, _) = fill(scratch.path()).await;
        let (database, log) = (scratch.path().join(DATABASE_FILE), scratch.path().join(format!("{DATABASE_FILE}-wal")));
        let (own, kept_log) = (scratch.path().join("own.db"), scratch.path().join("kept.wal"));
        fs::rename(&database, &own).unwrap();
        fs::copy(other.path().join(DATABASE_FILE), &database).unwrap();
        let before = fs::read(&database).unwrap();
        let is_refused = |error: likeness_domain::Error| {
            assert_eq!(error.kind(), Kind::InvalidArgument);
            assert!(error.message().contains("is the log of the one before"), "{error}");
            assert!(error.hint().is_some(), "{error}");
        };
        // Beside the server that has the other one.
        is_refused(Credentials::open(scratch.path()).err().unwrap());
        // A process that was killed leaves its log.
        fs::hard_link(&log, &kept_log).unwrap();
        drop(store);
        fs::rename(&kept_log, &log).unwrap();
        is_refused(open(scratch.path()).err().unwrap());
        is_refused(Credentials::open(scratch.path()).err().unwrap());
        let problems = check(scratch.path(), true, &mut |_| {}).unwrap().problems;
        assert!(problems.len() == 1 && problems[0].contains("is the log of the one before"), "{problems:?}");
        assert_eq!(fs::read(&database).unwrap(), before, "nothing is written to it");
        // Its own database goes with the log.
        fs::rename(&own, &database).unwrap();
        open(scratch.path()).unwrap();
    });
}

/// A library that was copied whole, with its log, is opened wherever it is.
#[test]
fn a_copied_folder_is_opened() {
    let (scratch, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    block_on(async {
        let (store, set) = fill(scratch.path()).await;
        for entry in fs::read_dir(scratch.path()).unwrap() {
            let path = entry.unwrap().path();
            fs::copy(&path, other.path().join(path.file_name().unwrap())).unwrap();
        }
        let copied = open(other.path()).unwrap();
        assert_eq!(copied.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap().len(), 1);
        drop(store);
    });
}
