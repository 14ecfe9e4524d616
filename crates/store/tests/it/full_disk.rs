//! No room: a clear answer, nothing half-written, nothing lost, and work goes on when there is room again.

use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{
    CredentialStore, FaceScope, FaceSelector, GalleryChange, GallerySearch, GalleryStore, Hit, Pending, VectorIndex,
};
use likeness_domain::types::{AccessKeyId, FaceOwner, FaceSetId, Revision, Tenant, TenantName, TimestampMs};
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger, refused};
use likeness_store::embedded::{Credentials, DATABASE_FILE, EmbeddedStore, IDENTITY_FILE, RESERVE_FILE, Settings};
use likeness_store::folder::DataFolder;

use crate::patience::{block_on, until};

fn open(dir: &Path, bytes_max: Option<u64>) -> (EmbeddedStore, Arc<Ledger>) {
    let index = Arc::new(Ledger::default());
    let settings = Settings { bytes_max, ..Settings::DEFAULT };
    let store =
        EmbeddedStore::open_locked(DataFolder::lock(dir).unwrap(), Arc::clone(&index) as _, settings, clock()).unwrap();
    (store, index)
}

/// Fills the store until it is full, sees that everything acknowledged is there, makes room and goes on.
async fn fill_and_recover(dir: &Path, bytes_max: Option<u64>) {
    let (store, index) = open(dir, bytes_max);
    let ballast = store.create_face_set(by(ours()), face_set("ballast"), None).await.unwrap();
    let faces = (1..=300).map(full_face).collect();
    store.add_faces(by(ours()), FaceOwner::FaceSet(ballast.id), faces, None).await.unwrap();
    let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    let owner = FaceOwner::FaceSet(set.id);
    let scope = FaceScope::FaceSet(set.id);

    let mut acknowledged = Vec::new();
    let error = loop {
        // Several at once, so that one commit holds writes of different size.
        let first = 1_000 + 100 * acknowledged.len() as u64;
        assert!(first < 10_000_000, "the disk does not get full");
        let writes: Vec<_> = (0..8)
            .map(|part| {
                let faces = (0..=part).map(|number| full_face(first + 10 * part + number)).collect();
                store.add_faces(by(ours()), owner, faces, None)
            })
            .collect();
        let mut refused = None;
        for write in writes {
            match write.await {
                Ok(faces) => acknowledged.extend(faces.into_iter().map(|face| face.id)),
                Err(error) => refused = Some(error),
            }
        }
        if let Some(error) = refused {
            break error;
        }
    };
    assert_eq!(error.kind(), Kind::StorageFull, "{error:?}");
    assert_eq!(error.message(), "cannot add the faces: the disk or quota under the store is full");

    // Reading goes on; what was refused left nothing behind, neither on disk nor in the index.
    let ids = |faces: Vec<likeness_domain::types::Face>| faces.into_iter().map(|face| face.id).collect::<Vec<_>>();
    assert_eq!(ids(store.list_faces(ours(), scope, EVERYTHING).await.unwrap()), acknowledged);
    assert_eq!(index.rows(set.id).iter().map(|row| row.entry.face).collect::<Vec<_>>(), acknowledged);
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);

    drop(store);
    // A restart on a full disk with a little more room (an operator who raises the quota or removes a file).
    let _ = std::fs::remove_file(dir.join("other-file"));
    let (store, _) = open(dir, bytes_max.map(|bytes_max| bytes_max + 256 * 1024));
    assert_eq!(ids(store.list_faces(ours(), scope, EVERYTHING).await.unwrap()), acknowledged);
    store.delete_face_set(by(ours()), ballast.id, false).await.unwrap();
    until(&store, "the ballast is erased", |report| report.n_faces_to_erase == 0).await;
    let more = (1..=100).map(full_face).collect();
    let added = store.add_faces(by(ours()), owner, more, None).await.unwrap();
    assert_eq!(added.len(), 100);
    assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
}

/// `max_page_count` is met inside the transaction.
#[test]
fn a_quota_of_the_store_is_reached() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(fill_and_recover(scratch.path(), Some(1 << 20)));
}

/// A real file system of 64 MiB is filled, which needs the right to mount one. What is freed then is more than the log
/// holds before a checkpoint is due: the database must be able to grow by that before the log gets shorter.
#[test]
fn a_small_file_system_is_full() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(mounted) = mounted(scratch.path(), "64m") else { return };
    std::fs::write(scratch.path().join("other-file"), vec![0; 24 << 20]).unwrap();
    block_on(fill_and_recover(mounted.0, None));
}

/// Writes until not a byte is free.
fn fill_up(file: &Path) {
    let mut file = std::fs::File::create(file).unwrap();
    for size in [1 << 20, 4096, 1] {
        while file.write_all(&vec![1; size]).is_ok() {}
    }
    assert_eq!(file.write_all(&[1]).unwrap_err().kind(), std::io::ErrorKind::StorageFull);
}

/// Without a free byte the store opens, lists and searches, refuses to enrol, deletes, and says how it is; with room it does all
/// again and keeps its reserve anew.
#[test]
fn a_store_on_a_full_disk_opens_serves_and_deletes() {
    let scratch = tempfile::tempdir().unwrap();
    let Some(mounted) = mounted(scratch.path(), "80m") else { return };
    let (dir, other) = (mounted.0.join("data"), mounted.0.join("other-file"));
    std::fs::create_dir(&dir).unwrap();
    let open = || {
        let index = Arc::new(Ledger::default());
        let settings = Settings { reserve_bytes: 24 << 20, ..Settings::DEFAULT };
        let folder = DataFolder::lock(&dir).unwrap();
        (EmbeddedStore::open_locked(folder, Arc::clone(&index) as _, settings, clock()).unwrap(), index)
    };
    let reserve = || std::fs::metadata(dir.join(RESERVE_FILE)).map_or(0, |file| file.len());
    let listed = async |store: &EmbeddedStore, set: FaceSetId| {
        let faces = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
        faces.into_iter().map(|face| face.id).collect::<Vec<_>>()
    };
    block_on(async {
        let (store, _) = open();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        let faces = (1..=2_000).map(full_face).collect();
        store.add_faces(by(ours()), FaceOwner::FaceSet(set), faces, None).await.unwrap();
        until_healthy(&store, true);
        assert_eq!(reserve(), 24 << 20);
        // What was written stands in the log alone while the disk fills up.
        fill_up(&other);
        let enrol = async |store: &EmbeddedStore, number| {
            store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![full_face(number)], None).await
        };
        let mut number = 10_000;
        while enrol(&store, number).await.is_ok() {
            // Into what is free within the files.
            number += 1;
            assert!(number < 20_000, "the disk does not get full");
        }
        assert!(store.health().write_failure.unwrap().contains("full"));
        let all = listed(&store, set).await;
        drop(store);
        assert_eq!(reserve(), 24 << 20, "nobody deleted, so it is kept from whoever fills the disk");
        fill_up(&mounted.0.join("more"));

        let (store, index) = open();
        assert_eq!(listed(&store, set).await, all);
        assert_eq!(index.rows(set).len(), all.len());
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        until_healthy(&store, false);
        let error = enrol(&store, 30_000).await.unwrap_err();
        assert_eq!(
            (error.kind(), error.message()),
            (Kind::StorageFull, "cannot add the faces: the disk or quota under the store is full")
        );
        for ids in all.chunks(100).take(5) {
            let deleted = store.delete_faces(by(ours()), FaceScope::FaceSet(set), FaceSelector::Ids(ids.to_vec()));
            assert_eq!(deleted.await.unwrap(), ids);
        }
        assert_eq!(listed(&store, set).await, all[500..]);
        assert!(enrol(&store, 30_001).await.is_err(), "what was freed is for deletes first");
        drop(store);

        let (store, _) = open();
        assert_eq!(listed(&store, set).await, all[500..]);
        until_healthy(&store, false);
        std::fs::remove_file(&other).unwrap();
        until_healthy(&store, true);
        assert_eq!(reserve(), 24 << 20, "the reserve is kept again");
        enrol(&store, 30_002).await.unwrap();
        assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
    });
}

/// Copies the files of a library that is open, as a kill would leave them.
fn copy_as_killed(from: &Path, to: &Path, with_index_of_log: bool) {
    std::fs::create_dir(to).unwrap();
    let index_of_log = with_index_of_log.then(|| format!("{DATABASE_FILE}-shm"));
    for name in
        [DATABASE_FILE.into(), format!("{DATABASE_FILE}-wal"), IDENTITY_FILE.into()].into_iter().chain(index_of_log)
    {
        std::fs::copy(from.join(&name), to.join(&name)).unwrap();
    }
    assert!(std::fs::metadata(to.join(format!("{DATABASE_FILE}-wal"))).unwrap().len() > 0);
}

/// The reserve was given up before, and then somebody else took the last byte: there is no room for the index of the log either.
#[test]
fn a_store_without_a_free_byte_and_without_a_reserve_opens_and_serves() {
    for was_killed in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        let Some(mounted) = mounted(scratch.path(), "24m") else { return };
        let (first, dir, other) = (mounted.0.join("first"), mounted.0.join("data"), mounted.0.join("other-file"));
        let open = || {
            let index = Arc::new(Ledger::default());
            let settings = Settings { reserve_bytes: 1 << 20, ..Settings::DEFAULT };
            let folder = DataFolder::lock(&dir).unwrap();
            (EmbeddedStore::open_locked(folder, Arc::clone(&index) as _, settings, clock()).unwrap(), index)
        };
        block_on(async {
            let store = EmbeddedStore::open(&first, Arc::new(Ledger::default())).unwrap();
            let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
            let owner = FaceOwner::FaceSet(set);
            store.add_faces(by(ours()), owner, (1..=500).map(full_face).collect(), None).await.unwrap();
            store.credentials().unwrap().ensure_tenant(by(ours()), tenant()).await.unwrap();
            if was_killed {
                copy_as_killed(&first, &dir, false);
                drop(store);
                std::fs::remove_dir_all(&first).unwrap();
            } else {
                drop(store);
                std::fs::rename(&first, &dir).unwrap();
            }
            std::fs::write(dir.join(RESERVE_FILE), []).unwrap();
            fill_up(&other);

            let (store, index) = open();
            let scope = FaceScope::FaceSet(set);
            let n_listed =
                async |store: &EmbeddedStore| store.list_faces(ours(), scope, EVERYTHING).await.unwrap().len();
            assert_eq!((n_listed(&store).await, index.rows(set).len()), (500, 500));
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
            assert!(store.health().write_failure.unwrap().contains("full"));
            let n_shared = std::fs::metadata(dir.join(format!("{DATABASE_FILE}-shm"))).map_or(0, |file| file.len());
            assert!(n_shared < 32768, "there is no room for it: {n_shared}");
            let credentials = store.credentials().unwrap();
            assert_eq!(credentials.tenants().await.unwrap().len(), 1);
            let error = store.add_faces(by(ours()), owner, vec![full_face(600)], None).await.unwrap_err();
            assert_eq!(error.kind(), Kind::StorageFull, "{error}");
            // Deletes are made where the log has blocks already.
            let mut n_left = 500;
            for number in 1..=20 {
                let deleted = store.delete_faces(by(ours()), scope, FaceSelector::Ids(vec![face_id(number)])).await;
                match deleted {
                    Ok(ids) => {
                        assert_eq!(ids, [face_id(number)]);
                        n_left -= 1;
                    }
                    Err(error) => assert_eq!(error.kind(), Kind::StorageFull, "{error}"),
                }
                assert_eq!((n_listed(&store).await, index.rows(set).len()), (n_left, n_left));
            }
            drop((store, credentials));

            let (store, _) = open();
            assert_eq!(n_listed(&store).await, n_left);
            std::fs::remove_file(&other).unwrap();
            until_healthy(&store, true);
            store.add_faces(by(ours()), owner, vec![full_face(600)], None).await.unwrap();
            assert_eq!(std::fs::metadata(dir.join(RESERVE_FILE)).unwrap().len(), 1 << 20, "the reserve is kept again");
            drop(store);
            let (store, _) = open();
            assert_eq!(n_listed(&store).await, n_left + 1);
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
            store.credentials().unwrap().ensure_tenant(by(ours()), tenant()).await.unwrap();
        });
    }
}

fn tenant() -> Tenant {
    Tenant::new(ours(), TenantName::new("acme").unwrap(), TimestampMs(1))
}

fn remount(mounted: &Mounted<'_>, how: &str) {
    let options = format!("remount,{how}");
    let remounted = std::process::Command::new("mount").args(["-o", &options]).arg(mounted.0).output().unwrap();
    assert!(remounted.status.success(), "{remounted:?}");
}

/// On a file system that cannot be written reads are served and writes refused.
#[test]
fn a_store_that_cannot_be_written_opens_and_serves() {
    for was_killed in [false, true] {
        let scratch = tempfile::tempdir().unwrap();
        let Some(mounted) = mounted(scratch.path(), "24m") else { return };
        let (first, dir) = (mounted.0.join("first"), mounted.0.join("data"));
        block_on(async {
            let store = EmbeddedStore::open(&first, Arc::new(Ledger::default())).unwrap();
            let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
            let owner = FaceOwner::FaceSet(set);
            store.add_faces(by(ours()), owner, (1..=50).map(full_face).collect(), None).await.unwrap();
            store.credentials().unwrap().ensure_tenant(by(ours()), tenant()).await.unwrap();
            if was_killed {
                copy_as_killed(&first, &dir, true);
                drop(store);
            } else {
                drop(store);
                std::fs::rename(&first, &dir).unwrap();
            }
            remount(&mounted, "ro");

            let index = Arc::new(Ledger::default());
            let store = EmbeddedStore::open(&dir, Arc::clone(&index) as _).unwrap();
            let scope = FaceScope::FaceSet(set);
            assert_eq!(store.list_faces(ours(), scope, EVERYTHING).await.unwrap().len(), 50);
            assert_eq!(index.rows(set).len(), 50);
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
            let read_only = "the file system under the store is read-only";
            assert_eq!(store.health().write_failure.unwrap(), read_only);
            store.probe_writes().await.unwrap();
            assert_eq!(store.health().write_failure.unwrap(), read_only);
            let error = store.add_faces(by(ours()), owner, vec![full_face(600)], None).await.unwrap_err();
            assert_eq!(
                (error.kind(), error.message()),
                (Kind::StorageFull, &*format!("cannot add the faces: {read_only}"))
            );
            let credentials = store.credentials().unwrap();
            assert_eq!(credentials.tenants().await.unwrap().len(), 1);
            let error = credentials.delete_key(by(ours()), AccessKeyId::new("AK1").unwrap()).await.unwrap_err();
            assert_eq!(error.kind(), Kind::StorageFull, "{error}");
            refused(EmbeddedStore::open(&dir, Arc::new(Ledger::default())), Kind::InvalidArgument);
            drop((store, credentials));
            // A command without a server.
            let credentials = Credentials::open(&dir).unwrap();
            assert_eq!(credentials.tenants().await.unwrap().len(), 1);
            drop(credentials);

            remount(&mounted, "rw");
            if was_killed {
                // Without its index the log is of no use there.
                std::fs::remove_file(dir.join(format!("{DATABASE_FILE}-shm"))).unwrap();
                remount(&mounted, "ro");
                let error = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).err().unwrap();
                assert!(error.message().contains("which cannot be read on a read-only file system"), "{error}");
                assert!(error.hint().unwrap().contains("make the file system writable"), "{error}");
                remount(&mounted, "rw");
            }
            let store = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).unwrap();
            store.add_faces(by(ours()), owner, vec![full_face(600)], None).await.unwrap();
            assert_eq!(store.health().write_failure, None);
            assert_eq!(store.report(true).await.unwrap().problems, [] as [String; 0]);
        });
    }
}

/// Waits until writes work, or fail.
fn until_healthy(store: &EmbeddedStore, do_writes_work: bool) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(120);
    while store.health().write_failure.is_none() != do_writes_work {
        assert!(std::time::Instant::now() < deadline, "{:?}", store.health());
        std::thread::yield_now();
    }
}

/// A file system of that size on the folder; `None`, with the reason printed, where that is not allowed.
pub(crate) fn mounted<'a>(folder: &'a Path, size: &str) -> Option<Mounted<'a>> {
    let options = format!("size={size}");
    let mount = std::process::Command::new("mount").args(["-t", "tmpfs", "-o", &options, "tmpfs"]).arg(folder).output();
    if !mount.as_ref().is_ok_and(|output| output.status.success()) {
        eprintln!("skipped: mounting a small file system is not allowed here");
        return None;
    }
    Some(Mounted(folder))
}

/// A mounted file system, taken away when it is dropped.
pub(crate) struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = std::process::Command::new("umount").arg("-l").arg(self.0).status();
    }
}

/// An index with a bug that ends the writing thread.
struct Panicking(Ledger);

impl VectorIndex for Panicking {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        assert!(changes.iter().all(|change| !matches!(change, GalleryChange::Put { .. })), "a bug");
        self.0.apply(revision, changes)
    }
    fn revision(&self) -> Option<Revision> {
        self.0.revision()
    }
    fn restart(&self) -> Pending<'_, ()> {
        self.0.restart()
    }
    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.0.resume(revision)
    }
    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        self.0.search(question)
    }
    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        self.0.matching(face_set, filter)
    }
    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.0.n_rows(face_set)
    }
}

#[test]
fn a_writing_thread_that_ended_is_told_and_reading_goes_on() {
    let scratch = tempfile::tempdir().unwrap();
    block_on(async {
        let store = EmbeddedStore::open(scratch.path(), Arc::new(Panicking(Ledger::default()))).unwrap();
        let set = store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap().id;
        assert_eq!(store.health().write_failure, None);
        let error = store.add_faces(by(ours()), FaceOwner::FaceSet(set), vec![face(1)], None).await.unwrap_err();
        assert_eq!(error.message(), "the store has stopped");
        until_healthy(&store, false);
        let listed = store.list_faces(ours(), FaceScope::FaceSet(set), EVERYTHING).await.unwrap();
        assert_eq!(listed.len(), 1, "it is on disk");
    });
}

/// On a file system that cannot be written a library at rest is checked and backed up.
#[test]
fn a_library_that_cannot_be_written_is_checked_and_backed_up() {
    let scratch = tempfile::tempdir().unwrap();
    let place = scratch.path().join("disk");
    std::fs::create_dir(&place).unwrap();
    let Some(mounted) = mounted(&place, "16m") else { return };
    let dir = mounted.0.join("data");
    block_on(async {
        let store = EmbeddedStore::open(&dir, Arc::new(Ledger::default())).unwrap();
        store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
    });
    remount(&mounted, "ro");
    let report = likeness_store::embedded::check(&dir, true, &mut |_| {}).unwrap();
    assert_eq!((report.n_face_sets, report.problems), (1, vec![]));
    let backed_up =
        likeness_store::embedded::backup(&dir, scratch.path().join("backup"), &mut |_, _, _| Ok(())).unwrap();
    assert_eq!((backed_up.revision, backed_up.problems), (report.revision, vec![]));
}
