//! Opening, closing, opening again, and doing so beside another process.

use std::os::unix::fs::PermissionsExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::Kind;
use likeness_domain::ports::{CommitPage, CredentialStore, FaceScope, FaceSelector, GalleryStore, RecordPage};
use likeness_domain::types::{
    AccessKey, AccessKeyId, FaceOwner, Revision, Secret, Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, first_templates, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, Settings, recover};
use likeness_store::folder::DataFolder;

use crate::patience::{block_on, until_tidy};

/// The index is filled from what is on disk, in order; numbers go on where they were.
#[test]
fn everything_is_there_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let (anna, sets) =
            store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(sets[0].id), vec![full_face(9), face(3)], None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(7)], None).await.unwrap();
        store.delete_faces(by(ours()), FaceScope::Person(anna.id), FaceSelector::Ids(vec![face_id(7)])).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(5)], None).await.unwrap();
        let before = store.report(false).await.unwrap();
        drop(store);

        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        index.is_filled(before.revision);
        let rows = index.rows(sets[0].id);
        assert_eq!(rows.iter().map(|row| row.entry.face.get()).collect::<Vec<_>>(), [9, 3, 5]);
        let faces = store.list_faces(ours(), FaceScope::FaceSet(sets[0].id), EVERYTHING).await.unwrap();
        let templates = first_templates(&store, &faces).await;
        assert!(rows.iter().map(|row| &row.entry.template).eq(&templates));
        assert_eq!(rows[2].entry.person, Some(anna.id));
        let after = store.report(true).await.unwrap();
        assert_eq!((after.revision, after.n_faces, after.problems), (before.revision, 3, vec![]));
        store.add_faces(by(ours()), FaceOwner::FaceSet(sets[0].id), vec![face(1)], None).await.unwrap();
        let order: Vec<_> = index.rows(sets[0].id).iter().map(|row| row.entry.face.get()).collect();
        assert_eq!(order, [9, 3, 5, 1]);
        assert_eq!(store.report(false).await.unwrap().revision, Revision(before.revision.0 + 1));
    });
}

/// Whoever moves a library away holds the lock of writers until the server has stopped, which therefore waits for nobody; if the
/// move breaks off, it waits again.
#[test]
fn a_library_that_is_being_left_waits_for_no_other_process() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let mover = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
        mover.execute_batch("BEGIN IMMEDIATE").unwrap();
        let mark = scratch.path().join("likeness.moved");
        std::fs::write(&mark, "postgres://db.example/likeness").unwrap();
        let began = Instant::now();
        refused(store.create_face_set(by(ours()), face_set("staff"), None).await.map(drop), Kind::Overloaded);
        assert!(began.elapsed() < Duration::from_secs(4), "it waited as for any other process");
        std::fs::remove_file(&mark).unwrap();
        mover.execute_batch("ROLLBACK").unwrap();
        store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    });
}

/// A second store on the folder is refused while the first lives, and welcome afterwards.
#[test]
fn one_process_owns_the_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let open = || EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default()));
    let store = open().unwrap();
    refused(open(), Kind::InvalidArgument);
    drop(store);
    open().unwrap();
}

fn acme() -> Tenant {
    Tenant::new(TenantId::from_bits(7), TenantName::new("acme").unwrap(), TimestampMs(1))
}

fn access_key() -> AccessKey {
    let (id, secret) = (AccessKeyId::new("AK1").unwrap(), Secret::new("hush").unwrap());
    AccessKey::new(id, secret, acme(), TimestampMs(2))
}

/// `likeness key create` beside a running server: the server sees the key, and later its end, with the next question.
#[test]
fn keys_are_made_beside_an_open_store() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let server = Credentials::open(scratch.path()).unwrap();
        assert!(server.key(access_key().id).await.unwrap().is_none());
        let tool = Credentials::open(scratch.path()).unwrap();
        tool.ensure_tenant(by(acme().id), acme()).await.unwrap();
        tool.add_key(by(acme().id), access_key()).await.unwrap();
        assert_eq!(server.key(access_key().id).await.unwrap().unwrap().secret.reveal(), "hush");
        tool.set_key_enabled(by(acme().id), access_key().id, false).await.unwrap();
        assert!(!server.key(access_key().id).await.unwrap().unwrap().enabled);
        store.create_face_set(by(acme().id), face_set("staff"), None).await.unwrap();
        let revision = store.report(false).await.unwrap().revision;
        assert_eq!(revision.0, 4, "writes of keys and of faces share one count");
        tool.delete_key(by(acme().id), access_key().id).await.unwrap();
        assert!(server.key(access_key().id).await.unwrap().is_none());
        assert_eq!(store.report(false).await.unwrap().n_tenants, 1);
    });
}

/// Who writes beside a server has a turn: the server stays away meanwhile, but for ever only if it would have to.
#[test]
fn a_turn_beside_an_open_store_is_waited_for_and_never_for_ever() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let tool = Credentials::open(scratch.path()).unwrap();
        let stopped = std::fs::File::open(scratch.path().join(IDENTITY_FILE)).unwrap();
        stopped.lock().unwrap();
        let began = Instant::now();
        store.create_face_set(by(acme().id), face_set("staff"), None).await.unwrap();
        assert!(began.elapsed() >= Duration::from_millis(20), "{:?}", began.elapsed());
        let began = Instant::now();
        tool.ensure_tenant(by(acme().id), acme()).await.unwrap();
        assert!(began.elapsed() >= Duration::from_secs(1), "{:?}", began.elapsed());
        assert_eq!(store.report(false).await.unwrap().n_tenants, 1);
    });
}

/// A server's keys are written by its store, as long as that is open.
#[test]
fn keys_are_not_written_for_a_store_that_is_closed() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let credentials = store.credentials().unwrap();
        credentials.ensure_tenant(by(acme().id), acme()).await.unwrap();
        drop(store);
        refused(credentials.add_key(by(acme().id), access_key()).await, Kind::Internal);
        assert_eq!(credentials.keys(acme().id).await.unwrap().len(), 0);
    });
}

/// The first key may come before the first server.
#[test]
fn keys_are_made_in_an_empty_folder() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("new");
    block_on(async {
        let tool = Credentials::open(&dir).unwrap();
        tool.ensure_tenant(by(acme().id), acme()).await.unwrap();
        let store = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).unwrap();
        assert_eq!(store.report(true).await.unwrap().n_tenants, 1);
    });
}

/// A deleted key's secret is in no file any more.
#[test]
fn a_deleted_secret_leaves_no_trace() {
    let scratch = tempfile::tempdir().unwrap();
    let on_disk = || {
        let files = std::fs::read_dir(scratch.path()).unwrap();
        let mut all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        all.any(|bytes| bytes.windows(17).any(|window| window == b"secret-of-nobody!"))
    };
    block_on(async {
        let store = Credentials::open(scratch.path()).unwrap();
        store.ensure_tenant(by(acme().id), acme()).await.unwrap();
        let key = AccessKey { secret: Secret::new("secret-of-nobody!").unwrap(), ..access_key() };
        store.add_key(by(acme().id), key).await.unwrap();
        assert!(on_disk());
        // A secret that was replaced stays until its time is over, and then until the next use of a key is noted.
        let next = Secret::new("another-secret").unwrap();
        store.rotate_key(by(acme().id), access_key().id, next, TimestampMs(50)).await.unwrap();
        store.keys_used(vec![(access_key().id, TimestampMs(49))]).await.unwrap();
        assert!(on_disk());
        store.keys_used(vec![(access_key().id, TimestampMs(50))]).await.unwrap();
        assert!(!on_disk());
        let again = Secret::new("secret-of-nobody!").unwrap();
        store.rotate_key(by(acme().id), access_key().id, again, TimestampMs(60)).await.unwrap();
        assert!(on_disk());
        store.delete_key(by(acme().id), access_key().id).await.unwrap();
        assert!(!on_disk());
    });
}

/// Nor is one that a server deleted or whose time is over, once its store is tidy.
#[test]
fn a_secret_that_a_server_deleted_leaves_no_trace() {
    let scratch = tempfile::tempdir().unwrap();
    let on_disk = || {
        let files = std::fs::read_dir(scratch.path()).unwrap();
        let mut all = files.map(|file| std::fs::read(file.unwrap().path()).unwrap());
        all.any(|bytes| bytes.windows(17).any(|window| window == b"secret-of-nobody!"))
    };
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let credentials = store.credentials().unwrap();
        credentials.ensure_tenant(by(acme().id), acme()).await.unwrap();
        let secret = || Secret::new("secret-of-nobody!").unwrap();
        credentials.add_key(by(acme().id), AccessKey { secret: secret(), ..access_key() }).await.unwrap();
        let next = Secret::new("another-secret").unwrap();
        credentials.rotate_key(by(acme().id), access_key().id, next, TimestampMs(50)).await.unwrap();
        until_tidy(&store, scratch.path()).await;
        assert!(on_disk(), "it is accepted a while longer");
        credentials.keys_used(vec![(access_key().id, TimestampMs(50))]).await.unwrap();
        until_tidy(&store, scratch.path()).await;
        assert!(!on_disk());
        credentials.rotate_key(by(acme().id), access_key().id, secret(), TimestampMs(60)).await.unwrap();
        assert!(on_disk());
        credentials.delete_key(by(acme().id), access_key().id).await.unwrap();
        until_tidy(&store, scratch.path()).await;
        assert!(!on_disk());
    });
}

/// Faces are nobody's business but the owner's.
#[test]
fn files_are_private() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let _store = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).unwrap();
    assert_eq!(std::fs::metadata(&dir).unwrap().permissions().mode() & 0o777, 0o700);
    for file in std::fs::read_dir(&dir).unwrap() {
        let file = file.unwrap();
        assert_eq!(file.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{:?}", file.path());
    }
    assert!(dir.join(DATABASE_FILE).exists());
}

fn revisions(record: &RecordPage) -> Vec<u64> {
    record.commits.iter().map(|commit| commit.revision.0).collect()
}

/// Who writes much makes the record of no other tenant shorter, and whoever may only enrol does not make that of keys, sets
/// and deletes shorter.
#[test]
fn the_record_of_others_is_kept_however_much_somebody_writes() {
    let scratch = tempfile::tempdir().unwrap();
    let open = |commits_max, commit_age_max| {
        let settings = Settings { commits_max, commit_age_max, ..Settings::DEFAULT };
        let folder = DataFolder::lock(scratch.path()).unwrap();
        EmbeddedStore::open_locked(folder, Arc::new(Ledger::default()), settings, clock()).unwrap()
    };
    let record =
        async |store: &EmbeddedStore, tenant| store.record_after(tenant, Revision(0).into(), 1000).await.unwrap();
    let week = Duration::from_secs(7 * 24 * 3600);
    block_on(async {
        let store = open(1000, week);
        let credentials = store.credentials().unwrap();
        let busy = Tenant::new(ours(), TenantName::new("busy").unwrap(), TimestampMs(1));
        let set = store.create_face_set(by(theirs()), face_set("precious"), None).await.unwrap().id;
        store.delete_face_set(by(theirs()), set, false).await.unwrap();
        credentials.ensure_tenant(by(ours()), busy.clone()).await.unwrap();
        credentials.add_key(by(ours()), AccessKey { tenant: busy, ..access_key() }).await.unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        let (owner, scope) = (FaceOwner::FaceSet(set), FaceScope::FaceSet(set));
        store.add_faces(by(ours()), owner, vec![face(1)], None).await.unwrap();
        store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(1)])).await.unwrap();
        for number in 2..=200 {
            store.add_faces(by(ours()), owner, vec![face(number)], None).await.unwrap();
        }
        assert_eq!(record(&store, ours()).await.compacted, Revision(0));
        drop((store, credentials));

        // Two of the other tenant; of this one three of keys and sets, a delete, and the last of the faces.
        for (first, n_added) in [(192, 0), (192 + 300, 300)] {
            let store = open(20, week);
            for number in 0..n_added {
                store.add_faces(by(ours()), owner, vec![face(1000 + number)], None).await.unwrap();
            }
            drop(store);
            // At once after opening, and not only some seconds after the last commit.
            let store = open(20, week);
            let expected: Vec<u64> = [3, 4, 5, 7].into_iter().chain(first + 1..=first + 14).collect();
            let began = Instant::now();
            while revisions(&record(&store, ours()).await) != expected {
                assert!(began.elapsed() < Duration::from_secs(120), "{:?}", record(&store, ours()).await);
                std::thread::yield_now();
            }
            assert_eq!(record(&store, ours()).await.compacted, Revision(first));
            let theirs = record(&store, theirs()).await;
            assert_eq!((revisions(&theirs), theirs.compacted), (vec![1, 2], Revision(0)));
            let after = store.record_after(ours(), Revision(4).into(), 2).await.unwrap();
            assert_eq!((revisions(&after), after.has_more), (vec![5, 7], true));
            let CommitPage::TooOld { compacted } = store.changes_after(Revision(4), 100).await.unwrap() else {
                panic!("a follower needs them all")
            };
            assert_eq!(compacted, Revision(first));
            let CommitPage::Commits { commits, .. } = store.changes_after(compacted, 100).await.unwrap() else {
                panic!("what is not compacted is there")
            };
            assert_eq!(commits.len(), 14);
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
            let conn = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
            let sql = "SELECT count(*) FROM commits WHERE length(changes) = 0";
            assert_eq!(conn.query_row(sql, (), |row| row.get::<_, u64>(0)).unwrap(), 1, "one mark");
        }
        let new = tempfile::tempdir().unwrap();
        let recovered = recover(scratch.path(), new.path()).unwrap();
        assert_eq!(recovered.lost, [] as [String; 0], "no face is missed for want of its delete");

        let store = open(20, Duration::ZERO);
        let newest = store.report(false).await.unwrap().revision;
        for tenant in [ours(), theirs()] {
            let began = Instant::now();
            while record(&store, tenant).await.compacted != newest {
                assert!(began.elapsed() < Duration::from_secs(120), "{:?}", record(&store, tenant).await);
                std::thread::yield_now();
            }
            assert_eq!(revisions(&record(&store, tenant).await), [] as [u64; 0]);
        }
    });
}

/// Callers beyond the queues are told at once, and what was taken is done.
#[test]
fn full_queues_refuse_and_lose_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let settings = Settings { n_readers: 1, reads_max: 2, writes_max: 2, ..Settings::DEFAULT };
        let folder = DataFolder::lock(scratch.path()).unwrap();
        let store = EmbeddedStore::open_locked(folder, Arc::new(Ledger::default()), settings, clock()).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
        let writes: Vec<_> = (1..=500)
            .map(|number| store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(number)], None))
            .collect();
        let mut n_done = 0;
        let mut n_refused = 0;
        for write in writes {
            match write.await {
                Ok(_) => n_done += 1,
                Err(error) => {
                    assert_eq!(error.kind(), Kind::Overloaded);
                    n_refused += 1;
                }
            }
        }
        assert!(n_refused > 0, "500 writes fit a queue of 2");
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(faces.len(), n_done);
    });
}

/// Damage is found by a thorough report, not by a search that answers with somebody else.
#[test]
fn damage_is_reported() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(1), face(2)], None).await.unwrap();
        let conn = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
        conn.execute_batch(
            "UPDATE templates SET vector = zeroblob(64) WHERE face = (SELECT sequence FROM faces WHERE id = 1);
             UPDATE face_sets SET n_gallery = 7;",
        )
        .unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!(
            report.problems,
            [
                "template of face 1 is damaged (its checksum does not match): delete the face and enrol it again, or \
                 restore a backup"
                    .to_owned(),
                format!(
                    "a face set counts another number of gallery rows than it has (face set {}): it is counted anew when the \
                     server is started again",
                    set.id
                ),
            ]
        );
        let scope = FaceScope::FaceSet(set.id);
        refused(store.templates(ours(), Some(scope), vec![face_id(1)], pack()).await, Kind::Internal);
        conn.execute_batch("UPDATE face_sets SET n_gallery = 2;").unwrap();
        drop((conn, store));

        // The others are still searched after a restart, and the damaged one can be deleted.
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        assert_eq!(index.rows(set.id).iter().map(|row| row.entry.face).collect::<Vec<_>>(), [face_id(2)]);
        let selector = FaceSelector::Ids(vec![face_id(1)]);
        assert_eq!(store.delete_faces(by(ours()), scope, selector).await.unwrap(), [face_id(1)]);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// Commits that are too many or too old go, and whoever comes late for them is told so; the tables still have everything.
#[test]
fn old_commits_are_compacted_away() {
    for settings in [
        Settings { commits_max: 3, ..Settings::DEFAULT },
        Settings { commit_age_max: std::time::Duration::ZERO, ..Settings::DEFAULT },
    ] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
            let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
            for number in 1..=8 {
                store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(number)], None).await.unwrap();
            }
            drop(store);
            let closed_at = clock().now();
            while clock().now() == closed_at {
                std::thread::yield_now();
            }
            let folder = DataFolder::lock(scratch.path()).unwrap();
            let index = Arc::new(Ledger::default());
            let store = EmbeddedStore::open_locked(folder, Arc::clone(&index) as _, settings, clock()).unwrap();
            let compacted = loop {
                match store.changes_after(Revision(0), 100).await.unwrap() {
                    CommitPage::TooOld { compacted } => break compacted,
                    CommitPage::Commits { .. } => std::thread::yield_now(),
                }
            };
            let CommitPage::Commits { commits, reached, .. } = store.changes_after(compacted, 100).await.unwrap()
            else {
                panic!("what is not compacted is there");
            };
            // Three are kept: that of the set, for the record alone, and those of the last two faces.
            let (n_kept, kept) = if settings.commits_max == 3 { (2, vec![1, 8, 9]) } else { (0, vec![]) };
            assert_eq!((commits.len(), reached, compacted), (n_kept, Revision(9), Revision(9 - n_kept as u64)));
            let record = store.record_after(ours(), Revision(0).into(), 100).await.unwrap();
            assert_eq!(revisions(&record), kept);
            assert_eq!((record.compacted, record.reached.revision), (compacted, Revision(9)));
            assert_eq!(index.rows(set.id).len(), 8, "the index is filled from the tables");
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        });
    }
}
