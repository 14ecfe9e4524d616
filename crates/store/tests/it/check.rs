//! Reports say what was looked at, find what is wrong, and name what to do.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{
    CredentialStore, GalleryChange, GalleryStore, ReportProgress, TransientFaceStore, VectorIndex,
};
use likeness_domain::types::{FaceOwner, FaceSet, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::Ledger;
use likeness_store::conformance::samples::*;
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, check};
use likeness_store::index::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};

use crate::patience::block_on;

const NONE: [String; 0] = [];

fn index() -> Arc<FlatIndex> {
    let options = FlatOptions { n_threads: 1, queue_len_max: 8, inline_numbers_max: INLINE_NUMBERS_MAX, seed: 1 };
    Arc::new(FlatIndex::new(options).unwrap())
}

/// A set `staff` with three faces and a member with one, and a held face.
async fn fill(store: &EmbeddedStore, dir: &Path) -> FaceSet {
    let credentials = Credentials::open(dir).unwrap();
    let tenant = Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1));
    credentials.ensure_tenant(by(ours()), tenant).await.unwrap();
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let faces = vec![face(1), face(2), face(3)];
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    let (anna, _) = store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store.add_faces(by(ours()), FaceOwner::Person(anna.id), vec![face(4)], None).await.unwrap();
    store.keep_faces(by(ours()), vec![held(9)], 10).await.unwrap();
    set
}

fn behind(dir: &Path, sql: &str) {
    rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap().execute_batch(sql).unwrap();
}

fn looked_at(dir: &Path, thorough: bool) -> Vec<String> {
    check(dir, thorough, &mut |_| {}).unwrap().problems
}

#[test]
fn a_report_says_what_was_checked_and_what_was_not() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), index()).unwrap();
        fill(&store, scratch.path()).await;
        let report = store.report(true).await.unwrap();
        assert_eq!(report.problems, NONE);
        let has = |lines: &[String], text: &str| lines.iter().any(|line| line.contains(text));
        for text in
            ["integrity_check", "foreign_key_check", "checksum of every row (", "counters", "commits", "of 4 faces"]
        {
            assert!(has(&report.checked, text), "{text}: {:?}", report.checked);
        }
        assert!(has(&report.checked, "the vectors of 4 of them"), "{:?}", report.checked);
        assert!(has(&report.not_checked, "handed-in pictures"), "{:?}", report.not_checked);
        assert_eq!(store.report_progress(), None, "it is over");
        let report = store.report(false).await.unwrap();
        assert!(has(&report.not_checked, "check --thorough"), "{:?}", report.not_checked);

        // From the files, while a store has them open and afterwards.
        let from_files = |thorough: bool| {
            let mut stages: Vec<ReportProgress> = Vec::new();
            let report = check(scratch.path(), thorough, &mut |now| stages.push(now)).unwrap();
            (report, stages)
        };
        let (report, stages) = from_files(true);
        assert_eq!(report.problems, NONE);
        assert!(has(&report.not_checked, "the index"), "{:?}", report.not_checked);
        assert!(!stages.is_empty());
        drop(store);
        let before = std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap();
        assert_eq!(from_files(true).0.n_faces, 4);
        assert!(has(&from_files(false).0.not_checked, "check --thorough"));
        assert_eq!(std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap(), before, "nothing is written");
    });
}

/// What no checksum sees: each is named with what it concerns and what to do, by the server and from the files.
#[test]
fn what_does_not_hang_together_is_named_with_its_cure() {
    for (sql, named, cure) in [
        (
            "UPDATE face_sets SET n_owned = n_owned + 1",
            "a face set counts another number of own faces",
            "counted anew when the server is started again",
        ),
        ("UPDATE persons SET n_faces = 7", "a person counts another number of faces", "counted anew"),
        ("UPDATE tenant_usage SET n_faces = 70", "a tenant counts another number of face sets", "counted anew"),
        ("UPDATE held_tenants SET n_held = 5", "a tenant counts another number of held faces", "counted anew"),
        (
            "DELETE FROM gallery WHERE sequence = (SELECT sequence FROM faces WHERE id = 2)",
            "a face set's own face is missing from its gallery (face 2 of face set ",
            "likeness recover",
        ),
        (
            "DELETE FROM gallery WHERE sequence = (SELECT sequence FROM faces WHERE id = 4)",
            "a member's face is missing from a gallery (face 4, face set ",
            "likeness recover",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM templates WHERE face = (SELECT sequence FROM faces WHERE id = 3)",
            "a face has no template of the pack it was enrolled with (face 3)",
            "delete the face by its id",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM faces WHERE id = 3",
            "of `templates` refers to a row of `faces` that is not there",
            "likeness recover",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM persons",
            "of `memberships` refers to a row of `persons` that is not there",
            "likeness recover",
        ),
        (
            "PRAGMA foreign_keys = OFF; DELETE FROM tenants; INSERT INTO tenants (id, name, created_at, checksum)
             VALUES (zeroblob(16), 'other', 1, 0)",
            "something belongs to a tenant that is not there (face set ",
            "delete it",
        ),
        ("DELETE FROM commits WHERE revision = 3", "commits after 2 and before 4 are missing", "fill themselves anew"),
    ] {
        let scratch = tempfile::tempdir().unwrap();
        block_on(async {
            let store = EmbeddedStore::open(scratch.path(), index()).unwrap();
            fill(&store, scratch.path()).await;
            behind(scratch.path(), sql);
            for problems in [store.report(true).await.unwrap().problems, looked_at(scratch.path(), true)] {
                let found = problems.iter().find(|problem| problem.contains(named));
                assert!(found.is_some_and(|problem| problem.contains(cure)), "{sql}: {problems:?}");
            }
        });
    }
}

#[test]
fn an_index_that_differs_from_the_store_is_named_and_filled_anew() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let index = index();
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let set = fill(&store, scratch.path()).await;
        assert_eq!(store.report(true).await.unwrap().problems, NONE);

        let ledger = Arc::new(Ledger::default());
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&ledger) as _).unwrap();
        let mut entry = ledger.rows(set.id).into_iter().find(|row| row.entry.face == face_id(2)).unwrap().entry;
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let revision = index.revision().unwrap();

        entry.template = template(77);
        index.apply(revision, vec![GalleryChange::Put { face_set: set.id, entry: entry.clone() }]).await.unwrap();
        let problems = store.report(true).await.unwrap().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("the index has another vector of face 2 of face set `staff`"), "{problems:?}");
        assert_eq!(store.report(true).await.unwrap().problems, NONE);

        let removed = GalleryChange::Remove { face_set: set.id, face: face_id(2) };
        index.apply(revision, vec![removed]).await.unwrap();
        let problems = store.report(true).await.unwrap().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(problems[0].starts_with("the index lacks 1 faces of face set `staff`"), "{problems:?}");
        assert_eq!(store.report(true).await.unwrap().problems, NONE);

        (entry.face, entry.sequence) = (face_id(99), entry.sequence + 1000);
        index.apply(revision, vec![GalleryChange::Put { face_set: set.id, entry }]).await.unwrap();
        let problems = store.report(true).await.unwrap().problems;
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].starts_with("the index shows 1 faces of face set `staff` that are not stored"),
            "{problems:?}"
        );
        assert_eq!(store.report(true).await.unwrap().problems, NONE);
    });
}

/// A damaged row is left out of the index on purpose, which is no second problem; with writes going on none is made up.
#[test]
fn a_comparison_with_the_index_is_not_misled() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), index()).unwrap();
        let set = fill(&store, scratch.path()).await;
        drop(store);
        behind(
            scratch.path(),
            "UPDATE templates SET checksum = 0 WHERE face = (SELECT sequence FROM faces WHERE id = 2)",
        );
        let store = EmbeddedStore::open(scratch.path(), index()).unwrap();
        let problems = store.report(true).await.unwrap().problems;
        assert!(problems.len() == 1 && problems[0].starts_with("template of face 2 is damaged"), "{problems:?}");
        for round in 0..20 {
            let writes: Vec<_> = (0..30)
                .map(|idx| {
                    let new = vec![face(100 + round * 30 + idx)];
                    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), new, None)
                })
                .collect();
            assert_eq!(store.report(true).await.unwrap().problems, problems);
            for write in writes {
                write.await.unwrap();
            }
        }
    });
}

#[test]
fn what_is_no_library_is_refused_and_what_cannot_be_opened_is_a_report() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    for make in [false, true] {
        if make {
            std::fs::create_dir(&dir).unwrap();
            std::fs::write(dir.join("other.txt"), b"not ours").unwrap();
        }
        let error = check(&dir, true, &mut |_| {}).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        assert!(error.message().contains("there is no library") && error.hint().is_some(), "{error}");
    }
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 1, "nothing is made");
    // Another program's database.
    let foreign = rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap();
    foreign.execute_batch("CREATE TABLE notes (text TEXT); INSERT INTO notes VALUES ('mine')").unwrap();
    drop(foreign);
    let error = check(&dir, true, &mut |_| {}).unwrap_err();
    assert!(error.message().contains("is not a Likeness store"), "{error}");
    assert_eq!(std::fs::read_dir(&dir).unwrap().count(), 2, "nothing is made");
    std::fs::remove_file(dir.join(DATABASE_FILE)).unwrap();

    block_on(async {
        let store = EmbeddedStore::open(&dir, index()).unwrap();
        fill(&store, &dir).await;
    });
    let database = dir.join(DATABASE_FILE);
    let whole = std::fs::read(&database).unwrap();
    let identity = std::fs::read(dir.join(IDENTITY_FILE)).unwrap();
    for (bytes, named) in [
        (vec![0; whole.len()], "the database is damaged"),
        (b"SQLite format 3\0".to_vec(), "the database is damaged"),
        (whole[..5000].to_vec(), "damaged"),
        (Vec::new(), "is missing or empty"),
    ] {
        std::fs::write(&database, bytes).unwrap();
        for thorough in [false, true] {
            let report = check(&dir, thorough, &mut |_| {}).unwrap();
            let problems = &report.problems;
            assert!(problems[0].contains(named) && problems[0].contains("likeness recover"), "{named}: {problems:?}");
        }
    }
    std::fs::write(&database, &whole).unwrap();
    let mut other = identity.clone();
    other[16] ^= 1;
    // Its own checksum fits no more: a damaged identity file is said, and written anew by the next start.
    std::fs::write(dir.join(IDENTITY_FILE), &other).unwrap();
    let report = check(&dir, false, &mut |_| {}).unwrap();
    assert_eq!(report.problems, NONE);
    assert!(report.not_checked.iter().any(|line| line.contains("the identity file is missing or damaged")));
}

/// A layout of before the checksums is not upgraded by looking at it.
#[test]
fn an_older_layout_is_looked_at_as_far_as_it_goes() {
    let scratch = tempfile::tempdir().unwrap();
    let bytes = include_bytes!("../data/3/likeness.db");
    std::fs::write(scratch.path().join(DATABASE_FILE), bytes).unwrap();
    let report = check(scratch.path(), true, &mut |_| {}).unwrap();
    assert_eq!((report.schema_version, report.problems), (3, vec![]));
    assert!(report.not_checked[0].contains("layout 3"), "{:?}", report.not_checked);
    assert_eq!(std::fs::read(scratch.path().join(DATABASE_FILE)).unwrap(), bytes);
}
