//! Files that older programs wrote.

use std::sync::Arc;

use likeness_domain::ports::{
    CredentialStore, FaceScope, GalleryStore, JobStore, NonceStore, Record, RecordQuota, RecordStore,
    TransientFaceStore, UploadStore, WhenFull,
};
use likeness_domain::types::{FaceOwner, FaceSetPatch, FieldValue, InstallationSecret, QualityGate};
use likeness_store::conformance::jobs::{at, job, job_id};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM, picture, upload_name};
use likeness_store::conformance::{EVERYTHING, Ledger, first_templates};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, SCHEMA_VERSION};

use crate::patience::block_on;

/// A file written by the program that knew layout 1 (see `data/README.md`) is brought up to date with everything in it.
#[test]
fn a_folder_of_layout_1_is_upgraded_and_keeps_everything() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/1/likeness.db")).unwrap();
    block_on(async {
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_tenants, report.n_face_sets, report.n_persons, report.n_faces), (1, 1, 1, 2));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(faces.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 2]);
        assert_eq!(first_templates(&store, &faces).await, [1, 2].map(template));
        assert_eq!(index.rows(set.id).len(), 2);
        let anna = store.person(ours(), key("anna")).await.unwrap().unwrap();
        assert_eq!(faces[1].owner, FaceOwner::Person(anna.id));

        // What came with layout 2 works in it.
        assert_eq!(store.enqueue(vec![job(5)], 10).await.unwrap(), [job_id(5)]);
        assert!(store.consume("nonce", b"one", at(0), at(9)).await.unwrap());
        // And with layout 5.
        store.put_upload(ours(), picture("a", "bytes"), ROOM, at(0)).await.unwrap();
        let credentials = Credentials::open(scratch.path()).unwrap();
        assert_eq!(credentials.tenants().await.unwrap()[0].name.as_str(), "acme");
        let secret = InstallationSecret::from_bytes([3; 32]);
        assert!(credentials.installation_secret(secret.clone()).await.unwrap() == secret);
        drop((credentials, store));
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        assert!(store.job(ours(), job_id(5), at(0)).await.unwrap().is_some());
        assert!(store.picture(ours(), upload_name("a"), at(0)).await.unwrap().is_some());
        assert!(!store.consume("nonce", b"one", at(8), at(9)).await.unwrap());
        let secret_again = Credentials::open(scratch.path()).unwrap();
        let proposed = InstallationSecret::from_bytes([4; 32]);
        assert!(secret_again.installation_secret(proposed).await.unwrap() == secret);
    });
}

/// A file that the program of layout 3 left behind gets held faces, origins and tags, and every face is its own origin.
#[test]
fn a_folder_of_layout_3_is_upgraded_and_keeps_everything() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/3/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_faces, report.n_held_faces), (2, 0));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.tags, tags(""));
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert!(faces.iter().all(|face| face.source_face == face.id));
        assert_eq!(first_templates(&store, &faces).await, [1, 2].map(template));

        // What came with layout 4 works in it.
        let held_ids = store.keep_faces(by(ours()), vec![held(7)], 10).await.unwrap();
        store
            .enrol_transient_face(by(ours()), set.id, held_ids[0].id, face_id(20), held(7).created_at, None)
            .await
            .unwrap();
        let patch = FaceSetPatch { tags: Some(tags("a,b")), ..FaceSetPatch::default() };
        store.update_face_set(by(ours()), set.id, patch).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let found = store.faces_of_source(ours(), None, vec![face_id(1), face_id(7)]).await.unwrap();
        assert_eq!(found.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 20]);
        assert_eq!(store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set.tags, tags("a,b"));
    });
}

/// A file that the program of layout 5 left behind: what its sets took they go on taking, until somebody says otherwise.
#[test]
fn a_folder_of_layout_5_is_upgraded_and_its_sets_have_no_quality_gate() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/5/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_face_sets, report.n_faces), (1, 2));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.quality_gate, QualityGate::None);
        let patch = FaceSetPatch { quality_gate: Some(QualityGate::High), ..FaceSetPatch::default() };
        store.update_face_set(by(ours()), set.id, patch).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.quality_gate, QualityGate::High);
    });
}

/// A file of layout 2 keeps the work that its jobs stand for.
#[test]
fn a_folder_of_layout_2_is_upgraded_and_keeps_its_jobs() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/2/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(first_templates(&store, &faces).await, [1, 2].map(template));
        assert_eq!(store.job(ours(), job_id(5), at(0)).await.unwrap().unwrap().payload[..], [1, 2]);
    });
}

/// A file of layout 4 keeps its held faces, which can be enrolled, and its tags.
#[test]
fn a_folder_of_layout_4_is_upgraded_and_keeps_its_held_faces() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/4/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_faces, report.n_held_faces), (2, 1));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.tags, tags("a,b"));
        let now = held(7).created_at;
        let known = store.held_face(ours(), face_id(7), now).await.unwrap().unwrap();
        assert_eq!((known.subject, known.template), (Some(subject("held")), template(1)));
        let face = store.enrol_transient_face(by(ours()), set.id, face_id(7), face_id(20), now, None).await.unwrap();
        assert_eq!(first_templates(&store, &[face]).await, [template(1)]);
    });
}

/// Rows of old layouts have no checksums, so that those which an upgrade makes hold for damaged rows, too.
#[test]
fn what_was_damaged_before_there_were_checksums_is_named() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(DATABASE_FILE);
    std::fs::write(&file, include_bytes!("../data/6/likeness.db")).unwrap();
    let conn = rusqlite::Connection::open(&file).unwrap();
    let before = block_on(async {
        let copy = tempfile::tempdir().unwrap();
        std::fs::copy(&file, copy.path().join(DATABASE_FILE)).unwrap();
        let store = EmbeddedStore::open(copy.path(), Arc::new(Ledger::default())).unwrap();
        store.report(true).await.unwrap()
    });
    assert_eq!((before.problems, before.n_face_sets, before.n_persons), (vec![], 1, 1));
    conn.execute_batch("UPDATE face_sets SET fields = 'city:blob'; UPDATE persons SET key = 'a' || char(7)").unwrap();
    drop(conn);
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let problems = store.report(true).await.unwrap().problems;
        for (owner, name) in [("face set", "`staff`"), ("person", "`a\\u{7}`")] {
            let is_named = |problem: &&String| problem.starts_with(owner) && problem.contains(name);
            assert_eq!(problems.iter().filter(is_named).count(), 1, "{owner} {name}: {problems:?}");
        }
    });
}

/// A file of layout 6, with a face made from a held one: what is written to it afterwards stands beside what was there.
#[test]
fn a_folder_of_layout_6_is_upgraded_and_takes_templates_of_further_packs() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/6/likeness.db")).unwrap();
    block_on(async {
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert_eq!(set.quality_gate, QualityGate::High);
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set.id), EVERYTHING).await.unwrap();
        assert_eq!(faces.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [1, 2, 20]);
        assert_eq!(faces[2].source_face, face_id(9));
        assert_eq!(first_templates(&store, &faces).await, [1, 2, 2].map(template));
        let other = (face_id(1), template_of_pack(8, pack_named("other-1")));
        store.put_templates(by(ours()), vec![other.clone()]).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(30)], None).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let ids = [1, 30].map(face_id).to_vec();
        let found = store.templates(ours(), None, ids.clone(), pack_named("other-1")).await.unwrap();
        assert_eq!(found, [other]);
        let first = [(face_id(1), template(1)), (face_id(30), template(30))];
        assert_eq!(store.templates(ours(), None, ids, pack()).await.unwrap(), first);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A file of layout 7 keeps its faces, and remembers short-lived records from then on.
#[test]
fn a_folder_of_layout_7_is_upgraded_and_keeps_records() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/7/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems, report.n_faces), (SCHEMA_VERSION, vec![], 3));
        let record = Record {
            id: [1; 32],
            tenant: ours(),
            bucket: String::new(),
            value: "value".into(),
            created_at: at(0),
            expires_at: at(100),
        };
        let room = RecordQuota { n_max: 1, bytes_max: 10, when_full: WhenFull::Refuse };
        assert!(store.put_record("s", record.clone(), room, at(0)).await.unwrap().is_none());
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        assert!(store.record("s", [1; 32], at(0)).await.unwrap() == Some(record));
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A file of layout 8 with names that differ by their spelling only (NFC and NFD): what can be joined is, what cannot is told
/// apart visibly, everything is found by either spelling, and it is said what was done.
#[test]
fn a_folder_of_layout_8_is_upgraded_and_its_names_have_one_spelling() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(DATABASE_FILE);
    std::fs::write(&file, include_bytes!("../data/8/likeness.db")).unwrap();
    block_on(async {
        let index = Arc::new(Ledger::default());
        let store = EmbeddedStore::open(scratch.path(), Arc::clone(&index) as _).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_face_sets, report.n_persons, report.n_faces), (4, 2, 8));
        let notes = [
            "face set `staff`: 1 subjects had several spellings and were joined (Unicode NFC)",
            "face 101: its external id `bild-\u{e9}-2` got `-2` at its end, since face 102 has the same in another spelling",
            "face set `caf\u{e9}-2`: it got `-2` at the end of its name, since another face set has the same in another \
             spelling; rename, merge or delete one",
            "face 103: its external id `x-2` got `-2` at its end, since face 104 has the same in another spelling",
            "person `Zo\u{e9}`: another person with this key in another spelling was merged into it",
        ];
        assert_eq!(report.notes, notes);

        let set = async |text: &str| store.face_set(ours(), name(text)).await.unwrap().unwrap().face_set;
        let faces_of = async |id| store.list_faces(ours(), FaceScope::FaceSet(id), EVERYTHING).await.unwrap();
        // By either spelling.
        assert_eq!(set("caf\u{e9}").await.id, set("cafe\u{301}").await.id);
        assert_eq!(set("caf\u{e9}").await.id.get(), 2002);
        assert_eq!(set("re\u{301}sume\u{301}").await.name.as_str(), "r\u{e9}sum\u{e9}");
        let second = set("caf\u{e9}-2").await;
        assert_eq!((second.id.get(), second.tags.clone()), (2001, tags("\u{e9}t\u{e9},plain")));
        assert_eq!(second.label.unwrap().as_str(), "Caf\u{e9}");
        assert_eq!(second.note.unwrap().as_str(), "note e\u{301}", "notes are nobody's name");

        let staff = faces_of(set("staff").await.id).await;
        let found = |id: u64| staff.iter().find(|face| face.id.get() == id).unwrap();
        assert_eq!(
            (&found(101).subject, &found(102).subject),
            (&Some(subject("Andr\u{e9}")), &Some(subject("Andre\u{301}")))
        );
        assert_eq!(found(101).external_id.as_ref().unwrap().as_str(), "bild-\u{e9}-2");
        assert_eq!(found(101).fields.get("city"), Some(&FieldValue::Text("Gen\u{e8}ve".into())));
        assert_eq!(found(101).note.as_ref().unwrap().as_str(), "e\u{301}");

        let zoe = store.person(ours(), key("Zoe\u{301}")).await.unwrap().unwrap();
        assert_eq!((zoe.id.get(), zoe.key.as_str()), (3002, "Zo\u{e9}"));
        let faces = store.list_faces(ours(), FaceScope::Person(zoe.id), EVERYTHING).await.unwrap();
        assert_eq!(faces.iter().map(|face| face.id.get()).collect::<Vec<_>>(), [103, 104]);
        assert_eq!(first_templates(&store, &faces).await.len(), 2);
        let mut sets = store.face_sets_of(ours(), zoe.id).await.unwrap();
        sets.sort_by(|one, other| one.name.as_str().cmp(other.name.as_str()));
        assert_eq!(sets.iter().map(|set| set.name.as_str()).collect::<Vec<_>>(), ["caf\u{e9}", "staff"]);
        // Both faces are searched in both sets.
        assert_eq!((index.rows(sets[0].id).len(), index.rows(sets[1].id).len()), (2, 7));
        assert!(store.picture(ours(), upload_name("photo-\u{e9}"), at(0)).await.unwrap().is_some());
        drop(store);

        // Once: the next start changes nothing and says the same.
        let revision = report.revision;
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.revision, report.notes.len(), report.problems), (revision, notes.len(), vec![]));
        // A name that somebody changes is no news any more.
        let patch = FaceSetPatch { name: Some(name("other")), ..FaceSetPatch::default() };
        store.update_face_set(by(ours()), second.id, patch).await.unwrap();
        assert_eq!(store.report(false).await.unwrap().notes.len(), notes.len() - 1);
    });
}

/// A file of layout 9: its sets keep no pictures until somebody says so.
#[test]
fn a_folder_of_layout_9_is_upgraded_and_keeps_pictures_when_told_to() {
    let scratch = tempfile::tempdir().unwrap();
    std::fs::write(scratch.path().join(DATABASE_FILE), include_bytes!("../data/9/likeness.db")).unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        assert_eq!((report.schema_version, report.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!((report.n_face_sets, report.n_persons, report.n_faces), (4, 2, 8));
        let set = store.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        assert!(!set.thumbnails && !store.keeps_thumbnails(ours()).await.unwrap());
        let patch = FaceSetPatch { thumbnails: Some(true), ..FaceSetPatch::default() };
        store.update_face_set(by(ours()), set.id, patch).await.unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![pictured(500)], None).await.unwrap();
        drop(store);
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let ids = vec![face_id(101), face_id(500)];
        let found = store.thumbnails(ours(), FaceScope::FaceSet(set.id), ids).await.unwrap();
        assert_eq!(found, [(face_id(500), thumbnail(500))]);
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A damaged row is not given a new checksum on the way, and a person of whom one is damaged is not merged.
#[test]
fn an_upgrade_to_one_spelling_leaves_damaged_rows_as_they_are() {
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(DATABASE_FILE);
    std::fs::write(&file, include_bytes!("../data/8/likeness.db")).unwrap();
    let conn = rusqlite::Connection::open(&file).unwrap();
    conn.execute_batch("UPDATE faces SET subject = 'Eve' || char(101, 769) WHERE id IN (101, 103)").unwrap();
    drop(conn);
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        let report = store.report(true).await.unwrap();
        for id in [101, 103] {
            assert!(report.problems.iter().any(|problem| problem.contains(&format!("face {id}"))), "{report:?}");
        }
        let kept = store.person(ours(), key("Zoe\u{301}-2")).await.unwrap().unwrap();
        assert_eq!(kept.id.get(), 3001);
        assert!(report.notes.iter().any(|note| note.starts_with("person `Zo\u{e9}-2`: it got `-2`")), "{report:?}");
    });
}

/// Figures of opening an old library of a million faces: `LIKENESS_SLOW_TESTS=1 cargo test --release -p likeness-store
/// --test it a_million_old_faces -- --nocapture`.
#[test]
fn a_million_old_faces_are_upgraded_within_minutes() {
    if std::env::var_os("LIKENESS_SLOW_TESTS").is_none() {
        eprintln!("skipped: set LIKENESS_SLOW_TESTS=1 to make and upgrade a store of a million faces");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join(DATABASE_FILE);
    std::fs::write(&file, include_bytes!("../data/6/likeness.db")).unwrap();
    let conn = rusqlite::Connection::open(&file).unwrap();
    // Vectors of 128 dimensions, all the same.
    let zeros = "00".repeat(508);
    conn.execute_batch(&format!(
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = OFF;
         BEGIN;
         CREATE TEMP TABLE numbers AS
             WITH RECURSIVE n (i) AS (SELECT 1000 UNION ALL SELECT i + 1 FROM n WHERE i < 1000999) SELECT i FROM n;
         INSERT INTO faces (sequence, id, face_set, pack, detection, created_at, updated_at)
             SELECT i, i + 1000000, (SELECT id FROM face_sets), 'sample-1', (SELECT detection FROM faces LIMIT 1), 1, 1
             FROM numbers;
         INSERT INTO templates SELECT i, x'{zeros}0000803f' FROM numbers;
         INSERT INTO gallery SELECT (SELECT id FROM face_sets), i FROM numbers;
         UPDATE face_sets SET n_gallery = n_gallery + 1000000, n_owned = n_owned + 1000000;
         UPDATE store SET next_sequence = 1001000;
         COMMIT;
         PRAGMA wal_checkpoint(TRUNCATE);",
    ))
    .unwrap();
    drop(conn);
    let n_bytes = std::fs::metadata(&file).unwrap().len();
    let started = std::time::Instant::now();
    let store = Credentials::open(scratch.path()).unwrap();
    let elapsed = started.elapsed();
    drop(store);
    eprintln!("a store of {n_bytes} bytes and a million faces was upgraded in {elapsed:?}");
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())).unwrap();
        assert_eq!(store.report(false).await.unwrap().n_faces, 1_000_003);
        let found = store.templates(ours(), None, vec![face_id(2_000_500)], pack()).await.unwrap();
        assert_eq!(found[0].1.unit()[127], 1.0);
    });
    assert!(elapsed < std::time::Duration::from_secs(300), "old libraries open within minutes: {elapsed:?}");
}
