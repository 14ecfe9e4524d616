//! Files that are moved, removed or swapped while a store has them open, or before the next one opens them.

use std::fs;
use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{CredentialStore, FaceScope, FaceSelector, GalleryStore};
use likeness_domain::types::{FaceOwner, FaceSetId, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, backup, check, recover};

use crate::patience::{block_on, until_tidy};

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

/// Copies a folder as a kill would leave it now.
fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let path = entry.unwrap().path();
        fs::copy(&path, to.join(path.file_name().unwrap())).unwrap();
    }
}

async fn add(store: &EmbeddedStore, set: FaceSetId, number: u64) {
    store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
}

/// What the tests put into each other's places.
struct Library {
    scratch: tempfile::TempDir,
    set: FaceSetId,
}

impl Library {
    /// `older.db` and `backup` are of some commits ago; then the log was folded in and begun anew, by a restart or without one;
    /// `killed` has a face in its log; `newer.db` has one more.
    fn make(is_restarted: bool) -> Self {
        let scratch = tempfile::tempdir().unwrap();
        let dir = scratch.path().join("data");
        let set = block_on(async {
            let (mut store, set) = fill(&dir).await;
            let delete = async |store: &EmbeddedStore, number| {
                let selector = FaceSelector::Ids(vec![face_id(number)]);
                store.delete_faces(by(ours()), FaceScope::FaceSet(set), selector).await.unwrap();
                until_tidy(store, &dir).await;
            };
            add(&store, set, 2).await;
            delete(&store, 2).await;
            fs::copy(dir.join(DATABASE_FILE), scratch.path().join("older.db")).unwrap();
            backup(&dir, scratch.path().join("backup"), &mut |_, _, _| Ok(())).unwrap();
            add(&store, set, 3).await;
            add(&store, set, 4).await;
            if is_restarted {
                drop(store);
                store = open(&dir).unwrap();
            } else {
                delete(&store, 4).await;
            }
            // The store may clean its log once more at any time, but not while somebody reads a state of before it.
            let reader = rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap();
            reader.execute_batch("BEGIN; SELECT revision FROM store").unwrap();
            if !is_restarted {
                add(&store, set, 4).await;
            }
            add(&store, set, 5).await;
            copy_folder(&dir, &scratch.path().join("killed"));
            drop(reader);
            add(&store, set, 6).await;
            set
        });
        fs::copy(dir.join(DATABASE_FILE), scratch.path().join("newer.db")).unwrap();
        Self { scratch, set }
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.scratch.path().join(name)
    }

    /// A copy of `killed`, of which a file is written over in place.
    fn harmed(&self, name: &str, file: &str, by: &Path) -> std::path::PathBuf {
        let dir = self.path(name);
        copy_folder(&self.path("killed"), &dir);
        fs::write(dir.join(file), fs::read(by).unwrap()).unwrap();
        dir
    }
}

/// Nobody opens it, everybody says why, and nothing is written.
fn check_refused(dir: &Path, why: &str) {
    let content =
        || [DATABASE_FILE.to_owned(), format!("{DATABASE_FILE}-wal")].map(|name| fs::read(dir.join(name)).unwrap());
    let before = content();
    let backed_up = backup(dir, dir.join("copy"), &mut |_, _, _| Ok(()));
    let refusals = [open(dir).err(), Credentials::open(dir).err(), backed_up.err()];
    for error in refusals {
        let error = error.unwrap_or_else(|| panic!("not refused: {why}"));
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        assert!(error.message().contains(why), "{error}, expected {why}");
        let hint = error.hint().unwrap();
        assert!(hint.contains("put the database back") && hint.contains("`likeness recover`"), "{hint}");
    }
    let problems = check(dir, true, &mut |_| {}).unwrap().problems;
    assert!(problems.len() == 1 && problems[0].contains(why), "{problems:?}");
    assert!(content() == before, "something was written: {why}");
}

/// SQLite would write the pages of the log over whatever lies beside it under the right name.
#[test]
fn a_database_that_is_written_over_beside_its_log_is_refused() {
    let other = Library::make(true);
    for is_restarted in [true, false] {
        let library = Library::make(is_restarted);
        let wal = format!("{DATABASE_FILE}-wal");
        let foreign = library.path("foreign.db");
        rusqlite::Connection::open(&foreign).unwrap().execute_batch("CREATE TABLE notes (text TEXT)").unwrap();
        let text = library.path("text");
        fs::write(&text, b"dear diary".repeat(1000)).unwrap();
        for (name, by, why) in [
            ("a", library.path("older.db"), "is an older copy, of revision"),
            ("b", library.path("backup"), "is an older copy, of revision"),
            ("c", library.path("newer.db"), "the log is an older one, or damaged"),
            ("d", other.path("newer.db"), "is of another library than likeness.id says"),
            ("e", foreign, "is a database of another program"),
            ("f", text, "is no database"),
        ] {
            check_refused(&library.harmed(name, DATABASE_FILE, &by), why);
        }
        // Without the identity file the log itself tells.
        let dir = library.harmed("g", DATABASE_FILE, &other.path("newer.db"));
        fs::remove_file(dir.join(IDENTITY_FILE)).unwrap();
        check_refused(&dir, "is the log of another library");

        // Another log beside the right database, which was closed in order.
        for (name, from) in [("h", &other), ("i", &library)] {
            let dir = library.path(name);
            copy_folder(&library.path("data"), &dir);
            fs::copy(from.path("killed").join(&wal), dir.join(&wal)).unwrap();
            check_refused(&dir, if name == "h" { "is the log of another library" } else { "the log is an older one" });
        }
    }
}

/// The cures that are named work.
#[test]
fn what_was_refused_beside_a_log_is_opened_without_it_or_recovered() {
    let library = Library::make(true);
    let n_listed = |dir: &Path| {
        let store = open(dir).unwrap();
        let health = store.health();
        let listed = block_on(store.list_faces(ours(), FaceScope::FaceSet(library.set), EVERYTHING)).unwrap();
        (listed.len(), health.n_losses)
    };
    let dir = library.harmed("a", DATABASE_FILE, &library.path("older.db"));
    let to = library.path("recovered");
    recover(&dir, &to).unwrap();
    // What the log has, and what the older copy had.
    let (n_recovered, _) = n_listed(&to);
    assert!(n_recovered >= 2, "{n_recovered}");
    for end in ["-wal", "-shm"] {
        fs::remove_file(dir.join(format!("{DATABASE_FILE}{end}"))).unwrap();
    }
    assert_eq!(n_listed(&dir), (1, 1), "the older copy, with the loss of what came later");
}

/// What a kill leaves is its own, whatever is the matter with the index of the log, also after an owner of before took no note.
#[test]
fn a_log_of_its_own_is_folded_in() {
    for is_restarted in [true, false] {
        let library = Library::make(is_restarted);
        let garbage = library.path("garbage");
        fs::write(&garbage, [0x5a; 32768]).unwrap();
        let shm = format!("{DATABASE_FILE}-shm");
        let whole = library.harmed("a", &shm, &library.path("killed").join(&shm));
        let damaged = library.harmed("b", &shm, &garbage);
        let without_note = library.harmed("c", &shm, &garbage);
        fs::write(without_note.join("likeness.lock"), "4711").unwrap();
        // The same filling of the log, folded in as far as a reader lets it, and whole.
        let base = library.path("base.db");
        fs::copy(library.path("killed").join(DATABASE_FILE), &base).unwrap();
        let folded_in = library.path("d");
        copy_folder(&library.path("killed"), &folded_in);
        let conn = rusqlite::Connection::open(folded_in.join(DATABASE_FILE)).unwrap();
        conn.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())).unwrap();
        let after_fold = library.path("e");
        copy_folder(&folded_in, &after_fold);
        drop(conn);
        for dir in [whole, damaged, without_note, folded_in, after_fold] {
            let store = open(&dir).unwrap();
            let listed = block_on(store.list_faces(ours(), FaceScope::FaceSet(library.set), EVERYTHING)).unwrap();
            let ids: Vec<_> = listed.iter().map(|face| face.id.get()).collect();
            assert_eq!(ids, [1, 3, 4, 5], "{}", dir.display());
            assert_eq!(block_on(store.report(true)).unwrap().problems, [] as [String; 0]);
        }
    }
}
