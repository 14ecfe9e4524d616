//! Every row is read again beside other work, and what is damaged is known.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use likeness_domain::ports::{GalleryStore, ScrubStep};
use likeness_domain::types::{FaceOwner, TimestampMs};
use likeness_store::conformance::Ledger;
use likeness_store::conformance::samples::*;
use likeness_store::embedded::{DATABASE_FILE, EmbeddedStore, SCRUB_FILE};

use crate::patience::block_on;

const DAY: Duration = Duration::from_secs(24 * 3600);
const N_FACES: u64 = 300;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap()
}

async fn fill(dir: &Path) -> EmbeddedStore {
    let store = open(dir);
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let faces = (1..=N_FACES).map(face).collect();
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    store.create_person(by(ours()), person("anna"), vec![face_set("staff")], None).await.unwrap();
    store
}

/// Reads all rows; returns how many.
async fn pass(store: &EmbeddedStore, now: i64, n_rows_max: u64) -> u64 {
    let mut n_read = 0;
    loop {
        match store.scrub(TimestampMs(now), DAY, n_rows_max).await.unwrap() {
            ScrubStep::Read(n_rows) => {
                assert!(n_rows <= n_rows_max);
                n_read += n_rows;
            }
            ScrubStep::NotBefore(at) => {
                assert_eq!(at, TimestampMs(now + DAY.as_millis() as i64));
                return n_read;
            }
        }
    }
}

#[test]
fn a_pass_reads_every_row_once_and_the_next_one_comes_in_its_time() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = fill(scratch.path()).await;
        assert_eq!(store.health().scrub, None);
        // Faces, templates, gallery; the set, the person, the membership; three commits.
        let n_rows = 3 * N_FACES + 3 + 3;
        assert_eq!(pass(&store, 1000, 7).await, n_rows);
        let report = store.health().scrub.unwrap();
        assert_eq!((report.started_at, report.finished_at), (None, Some(TimestampMs(1000))));
        assert_eq!((report.n_rows_read, report.n_rows_all), (n_rows, n_rows));
        assert_eq!(store.report(false).await.unwrap().scrub, Some(report));

        let next = TimestampMs(1000 + DAY.as_millis() as i64);
        let before = TimestampMs(next.0 - 1);
        assert_eq!(store.scrub(before, DAY, 10).await.unwrap(), ScrubStep::NotBefore(next));
        assert_eq!(store.scrub(next, DAY, 10).await.unwrap(), ScrubStep::Read(10));
        // A clock that was set back by years does not keep it from ever beginning.
        drop(store);
        let store = open(scratch.path());
        assert!(matches!(store.scrub(TimestampMs(-(1 << 50)), DAY, 10).await.unwrap(), ScrubStep::Read(_)));
    });
}

#[test]
fn a_pass_goes_on_where_it_was_after_a_restart() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = fill(scratch.path()).await;
        let n_rows = 3 * N_FACES + 3 + 3;
        for _ in 0..4 {
            assert_eq!(store.scrub(TimestampMs(5), DAY, 100).await.unwrap(), ScrubStep::Read(100));
        }
        drop(store);
        let store = open(scratch.path());
        assert_eq!(store.health().scrub.unwrap().started_at, Some(TimestampMs(5)));
        assert_eq!(pass(&store, 6, 100).await, n_rows - 400);
        assert_eq!(store.health().scrub.unwrap().n_rows_read, n_rows);

        // Without its file, or with another's, it begins anew.
        drop(store);
        std::fs::write(scratch.path().join(SCRUB_FILE), b"LikenessScrub 1\nfinished 6\n").unwrap();
        let store = open(scratch.path());
        assert_eq!(store.health().scrub, None);
        assert_eq!(pass(&store, 7, 1000).await, n_rows);
    });
}

#[test]
fn damage_that_comes_while_serving_is_found_set_aside_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = fill(scratch.path()).await;
        pass(&store, 1, 500).await;
        assert_eq!(store.health().n_rows_set_aside, 0);
        let behind = rusqlite::Connection::open(scratch.path().join(DATABASE_FILE)).unwrap();
        behind
            .execute_batch(
                "UPDATE templates SET checksum = checksum + 1 WHERE id = 200;
                 UPDATE commits SET at = at + 1 WHERE revision = 2;
                 UPDATE memberships SET sequence = sequence + 1;
                 UPDATE gallery SET sequence = 100000 WHERE sequence = (SELECT max(sequence) FROM gallery);",
            )
            .unwrap();
        let tomorrow = 1 + DAY.as_millis() as i64;
        pass(&store, tomorrow, 500).await;
        let health = store.health();
        // The gallery's row, and the face that should have it.
        assert_eq!((health.n_rows_set_aside, health.n_other_damage), (3, 2));
        let problems = store.report(false).await.unwrap().problems;
        for named in
            ["template of face ", "commit 2 is damaged", "membership in the face set", "a gallery shows a face"]
        {
            assert!(problems.iter().any(|problem| problem.starts_with(named)), "{named}: {problems:?}");
        }

        // Mended, and read again.
        behind
            .execute_batch(
                "UPDATE templates SET checksum = checksum - 1 WHERE id = 200;
                 UPDATE commits SET at = at - 1 WHERE revision = 2;
                 UPDATE memberships SET sequence = sequence - 1;
                 UPDATE gallery SET sequence = (SELECT max(sequence) FROM faces) WHERE sequence = 100000;",
            )
            .unwrap();
        pass(&store, tomorrow + DAY.as_millis() as i64, 500).await;
        assert_eq!(store.health().n_other_damage, 0);
        assert_eq!(store.report(false).await.unwrap().problems, [] as [String; 0]);
    });
}

/// A page that SQLite cannot read: the rest of its table is told as not read, and the other tables are read.
#[test]
fn a_page_that_cannot_be_read_is_told_and_the_pass_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        drop(fill(scratch.path()).await);
        let path = scratch.path().join(DATABASE_FILE);
        let database = rusqlite::Connection::open(&path).unwrap();
        let root: u64 = database
            .query_row("SELECT rootpage FROM sqlite_schema WHERE name = 'commits'", [], |row| row.get(0))
            .unwrap();
        drop(database);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[(root as usize - 1) * 4096..][..4096].fill(0x55);
        std::fs::write(&path, bytes).unwrap();
        let Ok(store) = EmbeddedStore::open(scratch.path(), Arc::new(Ledger::default())) else {
            // The newest commit is asked for at opening: then the cure is named there.
            return;
        };
        let n_read = pass(&store, 1, 500).await;
        assert!(n_read >= 3 * N_FACES, "{n_read}");
        assert_eq!(store.health().n_other_damage, 1);
        let problems = store.report(false).await.unwrap().problems;
        assert!(problems[0].starts_with("table `commits` cannot be read from its first row on"), "{problems:?}");
        assert!(problems[0].contains("likeness recover"), "{problems:?}");
    });
}
