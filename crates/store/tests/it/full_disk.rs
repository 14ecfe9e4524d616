//! No room: a clear answer, nothing half-written, nothing lost, and work goes on when there is room again.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{FaceScope, GalleryStore};
use likeness_domain::types::FaceOwner;
use likeness_store::conformance::samples::*;
use likeness_store::conformance::{EVERYTHING, Ledger};
use likeness_store::embedded::{EmbeddedStore, Settings};
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
