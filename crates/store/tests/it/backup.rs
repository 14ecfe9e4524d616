//! Backups: of one moment while others write, whole or refused, and restored with everything.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use likeness_domain::Kind;
use likeness_domain::ports::{CommitPage, FaceScope, GalleryStore, RecordPlace, UploadStore};
use likeness_domain::types::{FaceOwner, FaceSetId, Revision};
use likeness_store::conformance::jobs::at;
use likeness_store::conformance::samples::*;
use likeness_store::conformance::uploads::{ROOM, picture};
use likeness_store::conformance::{EVERYTHING, Ledger, first_templates};
use likeness_store::embedded::{
    BackedUp, BackupStage, Credentials, DATABASE_FILE, EmbeddedStore, SCHEMA_VERSION, Settings, backup, restore,
    verify_backup,
};
use likeness_store::folder::DataFolder;

use crate::patience::block_on;

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap()
}

fn back_up(dir: &Path, to: &Path) -> likeness_domain::Result<BackedUp> {
    backup(dir, to, &mut |_, _, _| Ok(()))
}

fn verified(file: &Path) -> likeness_domain::Result<BackedUp> {
    verify_backup(file, &mut |_, _, _| Ok(()))
}

fn restored(from: &Path, dir: &Path) -> likeness_domain::Result<BackedUp> {
    restore(from, dir, &mut |_, _, _| Ok(()))
}

async fn staff(store: &EmbeddedStore, n_faces: u64) -> FaceSetId {
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let faces = (1..=n_faces).map(full_face).collect();
    store.add_faces(by(ours()), FaceOwner::FaceSet(set.id), faces, None).await.unwrap();
    set.id
}

async fn listed(store: &EmbeddedStore) -> Vec<u64> {
    let Some(set) = store.face_set(ours(), name("staff")).await.unwrap() else { return Vec::new() };
    let faces = store.list_faces(ours(), FaceScope::FaceSet(set.face_set.id), EVERYTHING).await.unwrap();
    let templates = first_templates(store, &faces).await;
    assert!(faces.iter().map(|face| template(face.id.get())).eq(templates), "each face has its own template");
    faces.iter().map(|face| face.id.get()).collect()
}

/// What the folder holds besides the lock's file, which a restore that is refused may leave.
fn files(dir: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| name != "likeness.lock");
    names.sort();
    names
}

/// Faces are enrolled one after the other; whatever moment a backup is of, it has the first ones and no others: all that were
/// acknowledged before it began, none that was begun after it ended.
#[test]
fn a_backup_of_a_store_in_use_is_of_one_moment() {
    let scratch = tempfile::tempdir().unwrap();
    let dir = scratch.path().join("data");
    let store = open(&dir);
    let set = block_on(staff(&store, 500));
    let (begun, acknowledged, is_over) = (AtomicU64::new(500), AtomicU64::new(500), AtomicBool::new(false));
    std::thread::scope(|scope| {
        let writer = scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                let number = begun.fetch_add(1, Ordering::SeqCst) + 1;
                block_on(store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![full_face(number)], None)).unwrap();
                acknowledged.store(number, Ordering::SeqCst);
            }
        });
        for round in 0..5 {
            let (file, new) = (scratch.path().join(format!("b{round}")), scratch.path().join(format!("n{round}")));
            let before = acknowledged.load(Ordering::SeqCst);
            let made = back_up(&dir, &file).unwrap();
            let after = begun.load(Ordering::SeqCst);
            assert_eq!(made.problems, [] as [String; 0]);
            assert_eq!(restored(&file, &new).unwrap(), made);
            let of_backup = open(&new);
            let faces = block_on(listed(&of_backup));
            assert_eq!(faces, (1..=faces.len() as u64).collect::<Vec<_>>());
            assert!((before..=after).contains(&(faces.len() as u64)), "{before} {} {after}", faces.len());
            let report = block_on(of_backup.report(true)).unwrap();
            assert_eq!((report.n_faces, report.problems), (faces.len() as u64, vec![]));
        }
        while acknowledged.load(Ordering::SeqCst) == 500 && !writer.is_finished() {
            std::thread::yield_now();
        }
        is_over.store(true, Ordering::SeqCst);
        writer.join().unwrap();
    });
    assert!(acknowledged.load(Ordering::SeqCst) > 500, "somebody wrote meanwhile");
}

#[test]
fn a_backup_is_private_and_a_restored_library_is_the_same_one() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, new, again] = ["data", "backup", "new", "again"].map(|name| scratch.path().join(name));
    block_on(async {
        let store = open(&dir);
        staff(&store, 20).await;
        let before = store.report(false).await.unwrap();
        let made = back_up(&dir, &file).unwrap();
        assert_eq!((made.revision, made.schema_version), (before.revision, SCHEMA_VERSION));
        assert_eq!(std::fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(std::fs::metadata(&file).unwrap().len(), made.n_bytes);
        assert_eq!(verified(&file).unwrap(), made);
        // It is a database that any SQLite reads.
        let conn = rusqlite::Connection::open_with_flags(&file, rusqlite::OpenFlags::SQLITE_OPEN_READ_ONLY).unwrap();
        assert_eq!(conn.query_row("SELECT count(*) FROM faces", [], |row| row.get::<_, u64>(0)).unwrap(), 20);
        drop(conn);
        assert_eq!(verified(&file).unwrap(), made, "reading it changes nothing");
        let _ = std::fs::remove_file(scratch.path().join("backup-shm"));
        let _ = std::fs::remove_file(scratch.path().join("backup-wal"));

        restored(&file, &new).unwrap();
        assert_eq!(files(&new), [DATABASE_FILE, "likeness.id"]);
        assert_eq!(std::fs::metadata(new.join(DATABASE_FILE)).unwrap().permissions().mode() & 0o777, 0o600);
        let copy = open(&new);
        assert_eq!(listed(&copy).await, listed(&store).await);
        // It is the same library, and whoever followed the old one to any number starts anew.
        assert_eq!(back_up(&new, &again).unwrap().library, made.library);
        assert!(copy.report(false).await.unwrap().revision.0 > before.revision.0 + 1_000_000_000);
        for seen in [0, 1, before.revision.0, before.revision.0 + 100_000] {
            let page = copy.changes_after(Revision(seen), 10).await.unwrap();
            assert!(matches!(page, CommitPage::TooOld { .. }), "{seen}: {page:?}");
        }
        let set = copy.face_set(ours(), name("staff")).await.unwrap().unwrap().face_set;
        copy.add_faces(by(ours()), FaceOwner::FaceSet(set.id), vec![face(30)], None).await.unwrap();
        assert_eq!(copy.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// One bit anywhere, a missing end, more at the end: nothing of it is taken for a backup, and nothing is restored.
/// Whoever follows the record of changes is told that a library was put back, even where two of them were made of one backup and
/// give the same numbers.
#[test]
fn a_place_in_the_record_of_another_library_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, first, second] = ["data", "backup", "first", "second"].map(|name| scratch.path().join(name));
    block_on(async {
        let store = open(&dir);
        let set = staff(&store, 3).await;
        let refused = async |store: &EmbeddedStore, place: RecordPlace| {
            let error = store.record_after(ours(), place, 10).await.unwrap_err();
            assert_eq!((error.kind(), error.field()), (Kind::Changed, Some("cursor")), "{place:?}");
        };
        let of_backup = store.record_after(ours(), Revision(0).into(), 10).await.unwrap().reached;
        back_up(&dir, &file).unwrap();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(4)], None).await.unwrap();
        let later = store.record_after(ours(), of_backup, 10).await.unwrap();
        assert_eq!(later.commits.len(), 1);
        let mut reached = None;
        for (dir, number) in [(&first, 5), (&second, 6)] {
            restored(&file, dir).unwrap();
            let store = open(dir);
            refused(&store, later.reached).await;
            let restored = store.record_after(ours(), Revision(0).into(), 10).await.unwrap();
            assert_eq!(restored.commits, []);
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(number)], None).await.unwrap();
            // That of the restored library, before anything was written to it.
            let page = store.record_after(ours(), restored.reached, 10).await.unwrap();
            assert_eq!(page.commits.len(), 1);
            if let Some(place) = reached.replace(page.reached) {
                assert_eq!(place.revision, page.reached.revision, "the number is given twice");
                refused(&store, place).await;
            }
        }
    });
}

#[test]
fn a_damaged_or_half_backup_is_refused() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, harmed, new] = ["data", "backup", "harmed", "new"].map(|name| scratch.path().join(name));
    block_on(async {
        let store = open(&dir);
        staff(&store, 50).await;
        // More than one block.
        store.put_upload(ours(), picture("a", vec![5; 1_500_000]), ROOM, at(0)).await.unwrap();
    });
    back_up(&dir, &file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let check = |bytes: &[u8], what: &str| {
        std::fs::write(&harmed, bytes).unwrap();
        for refused in [verified(&harmed), restored(&harmed, &new)] {
            let error = refused.expect_err(what);
            assert_eq!(error.kind(), Kind::InvalidArgument, "{what}: {error}");
            assert!(error.message().contains("damaged"), "{what}: {error}");
            assert!(error.hint().is_some());
        }
        assert_eq!(files(&new), [] as [&str; 0], "{what}");
    };
    let n_seeds = if std::env::var_os("LIKENESS_SLOW_TESTS").is_some() { 400 } else { 40 };
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = |end: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        (random % end as u64) as usize
    };
    for seed in 0..n_seeds {
        let mut bytes = whole.clone();
        // Half of them in the checksums and the footer.
        let at = if seed % 2 == 0 { below(bytes.len()) } else { bytes.len() - 1 - below(150) };
        bytes[at] ^= 1 << below(8);
        check(&bytes, &format!("a bit of byte {at}"));
        let len = below(whole.len());
        check(&whole[..len], &format!("cut after {len} bytes"));
    }
    check(&[whole.as_slice(), b"x"].concat(), "a byte more");
    let (one, two) = (0..1 << 20, 1 << 20..whole.len() - 150);
    let n_bytes = two.len().min(one.len()) & !4095;
    let mut swapped = whole.clone();
    swapped[..n_bytes].copy_from_slice(&whole[two.start..two.start + n_bytes]);
    check(&swapped, "another block's bytes");
    restored(&file, &new).unwrap();
}

/// A damaged row does not keep anybody from a backup of the rest, and is told by every step.
#[test]
fn damage_that_was_there_is_backed_up_and_told() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, new] = ["data", "backup", "new"].map(|name| scratch.path().join(name));
    block_on(async {
        staff(&open(&dir), 5).await;
        let conn = rusqlite::Connection::open(dir.join(DATABASE_FILE)).unwrap();
        conn.execute_batch("UPDATE faces SET subject = 'eve' WHERE id = 2").unwrap();
        drop(conn);
        for told in [back_up(&dir, &file), verified(&file), restored(&file, &new)] {
            let problems = told.unwrap().problems;
            assert!(problems.len() == 1 && problems[0].starts_with("face 2 is damaged"), "{problems:?}");
        }
        assert_eq!(listed(&open(&new)).await, [1, 3, 4, 5]);
    });
}

#[test]
fn what_is_there_is_not_written_over() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, new] = ["data", "backup", "new"].map(|name| scratch.path().join(name));
    let refusal = |answer: likeness_domain::Result<BackedUp>, contains: &str| {
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{error}");
        assert!(error.message().contains(contains), "{error}");
        assert!(error.hint().is_some(), "{error}");
    };
    refusal(back_up(&dir, &file), "there is no library in");
    assert!(!dir.exists(), "no empty library is made");
    block_on(staff(&open(&dir), 5));
    std::fs::write(&file, b"something").unwrap();
    refusal(back_up(&dir, &file), "exists already");
    refusal(restored(&file, &new), "is no whole backup");
    assert!(!new.exists());
    std::fs::remove_file(&file).unwrap();
    assert_eq!(back_up(&dir, &scratch.path().join("absent/backup")).unwrap_err().kind(), Kind::InvalidArgument);

    back_up(&dir, &file).unwrap();
    refusal(restored(&file, &dir), "is not empty");
    std::fs::create_dir(&new).unwrap();
    std::fs::write(new.join("letter"), b"dear").unwrap();
    refusal(restored(&file, &new), "is not empty: it has `letter`");
    std::fs::remove_file(new.join("letter")).unwrap();
    let owner = DataFolder::lock(&new).unwrap();
    refusal(restored(&file, &new), "is in use by process");
    drop(owner);
    restored(&file, &new).unwrap();
}

/// A link that lies where the backup is made is not followed, and a file there keeps neither its rights nor its other name.
#[test]
fn a_backup_writes_through_no_link() {
    use std::os::unix::fs::{PermissionsExt, symlink};

    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, victim] = ["data", "backup", "victim"].map(|name| scratch.path().join(name));
    block_on(staff(&open(&dir), 5));
    let unfinished = scratch.path().join("backup.unfinished");
    for is_symbolic in [true, false] {
        std::fs::write(&victim, b"dear").unwrap();
        std::fs::set_permissions(&victim, PermissionsExt::from_mode(0o666)).unwrap();
        match is_symbolic {
            true => symlink(&victim, &unfinished).unwrap(),
            false => std::fs::hard_link(&victim, &unfinished).unwrap(),
        }
        back_up(&dir, &file).unwrap();
        assert_eq!(std::fs::read(&victim).unwrap(), b"dear");
        let metadata = file.symlink_metadata().unwrap();
        assert!(metadata.is_file() && metadata.permissions().mode() & 0o777 == 0o600, "{metadata:?}");
        std::fs::remove_file(&file).unwrap();
    }
    for name in [DATABASE_FILE, "likeness.db-journal", "likeness.rows-512"] {
        let error = back_up(&dir, &dir.join(name)).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument, "{name}: {error}");
    }
}

/// A restore that was cut short has left no library, is not taken for an empty one, and can be done again.
#[test]
fn a_restore_that_was_cut_short_is_no_library() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, new] = ["data", "backup", "new"].map(|name| scratch.path().join(name));
    block_on(staff(&open(&dir), 5));
    back_up(&dir, &file).unwrap();
    std::fs::create_dir_all(new.join("unfinished")).unwrap();
    let half = std::fs::read(&file).unwrap();
    std::fs::write(new.join("unfinished").join(DATABASE_FILE), &half[..half.len() / 2]).unwrap();
    std::fs::write(new.join("likeness.lock"), b"1").unwrap();
    for error in [EmbeddedStore::open(&new, Arc::new(Ledger::default())).err(), Credentials::open(&new).err()] {
        let error = error.unwrap();
        assert!(error.message().contains("was cut short"), "{error}");
        assert!(error.hint().unwrap().contains("do it again"), "{error}");
    }
    restored(&file, &new).unwrap();
    assert_eq!(block_on(listed(&open(&new))), [1, 2, 3, 4, 5]);
    // The rest of a backup that was cut short is written over.
    let other = scratch.path().join("other");
    std::fs::write(scratch.path().join("other.unfinished"), &half).unwrap();
    back_up(&dir, &other).unwrap();
    assert!(!scratch.path().join("other.unfinished").exists());
}

/// Whoever watches may end it at any stage: then there is neither a backup nor half of one, nor a library.
#[test]
fn one_that_is_ended_leaves_nothing() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, file, new] = ["data", "backup", "new"].map(|name| scratch.path().join(name));
    block_on(staff(&open(&dir), 5));
    let end_at = |stage: BackupStage| {
        move |now: BackupStage, _: u64, _: u64| match now == stage {
            true => Err(likeness_domain::Error::new(Kind::Internal, "interrupted")),
            false => Ok(()),
        }
    };
    for stage in [BackupStage::Copying, BackupStage::Comparing] {
        let error = backup(&dir, &file, &mut end_at(stage)).unwrap_err();
        assert!(error.to_string().contains("interrupted"), "{stage:?}: {error}");
        assert_eq!(files(scratch.path()), ["data"], "{stage:?}");
    }
    back_up(&dir, &file).unwrap();
    for stage in [BackupStage::Comparing, BackupStage::ReadingRows] {
        let error = restore(&file, &new, &mut end_at(stage)).unwrap_err();
        assert!(error.to_string().contains("interrupted"), "{stage:?}: {error}");
        assert_eq!(files(scratch.path()), ["backup", "data"], "{stage:?}");
        assert_eq!(verify_backup(&file, &mut end_at(stage)).unwrap_err().message(), "interrupted");
    }
    restored(&file, &new).unwrap();
}

/// A file of each older layout is upgraded, and its copy is the way back.
#[test]
fn an_upgrade_keeps_a_copy_unless_told_not_to() {
    for version in 1..SCHEMA_VERSION {
        let scratch = tempfile::tempdir().unwrap();
        let [dir, new, plain] = ["data", "new", "plain"].map(|name| scratch.path().join(name));
        let older = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/data/{version}/likeness.db"));
        for dir in [&dir, &plain] {
            std::fs::create_dir(dir).unwrap();
            std::fs::copy(&older, dir.join(DATABASE_FILE)).unwrap();
        }
        let copy = dir.join(format!("likeness-layout-{version}.backup"));
        let made = block_on(open(&dir).report(true)).unwrap();
        assert_eq!((made.schema_version, made.problems), (SCHEMA_VERSION, vec![]));
        assert_eq!(std::fs::metadata(&copy).unwrap().permissions().mode() & 0o777, 0o600);
        let told = restored(&copy, &new).unwrap();
        assert_eq!((told.schema_version, told.problems), (version, vec![]));
        let older_again = block_on(async {
            let conn = rusqlite::Connection::open(new.join(DATABASE_FILE)).unwrap();
            conn.query_row("PRAGMA user_version", [], |row| row.get::<_, u32>(0)).unwrap()
        });
        assert_eq!(older_again, version, "the program that wrote it opens it");
        let again = block_on(open(&new).report(true)).unwrap();
        assert_eq!((again.n_faces, again.n_tenants), (made.n_faces, made.n_tenants));

        let settings = Settings { upgrade_copy: false, ..Settings::DEFAULT };
        let folder = DataFolder::lock(&plain).unwrap();
        let index = Arc::new(Ledger::default());
        drop(EmbeddedStore::open_locked(folder, index, settings, clock()).unwrap());
        assert_eq!(files(&plain), [DATABASE_FILE, "likeness.id"], "no copy of version {version}");
    }
}

/// The disk that the backup goes to is full: that is said, and nothing is left there.
#[test]
fn a_full_disk_leaves_no_half_backup() {
    let scratch = tempfile::tempdir().unwrap();
    let [dir, small] = ["data", "small"].map(|name| scratch.path().join(name));
    std::fs::create_dir(&small).unwrap();
    let Some(_mounted) = crate::full_disk::mounted(&small, "256k") else { return };
    block_on(async {
        let store = open(&dir);
        staff(&store, 5).await;
        store.put_upload(ours(), picture("a", vec![5; 500_000]), ROOM, at(0)).await.unwrap();
    });
    let error = back_up(&dir, &small.join("backup")).unwrap_err();
    assert_eq!(error.kind(), Kind::StorageFull, "{error:?}");
    assert_eq!(files(&small), [] as [&str; 0]);
    let file = scratch.path().join("backup");
    back_up(&dir, &file).unwrap();
    let error = restored(&file, &small.join("new")).unwrap_err();
    assert_eq!(error.kind(), Kind::StorageFull, "{error:?}");
    assert_eq!(files(&small.join("new")), [] as [&str; 0]);
}
