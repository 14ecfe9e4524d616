//! Pictures that were handed in, in files.

use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::UploadStore;
use likeness_store::conformance::Ledger;
use likeness_store::conformance::jobs::at;
use likeness_store::conformance::samples::ours;
use likeness_store::conformance::uploads::{ROOM, picture, upload_name};
use likeness_store::embedded::EmbeddedStore;

use crate::patience::{block_on, until_tidy};

fn open(dir: &Path) -> EmbeddedStore {
    EmbeddedStore::open(dir, Arc::new(Ledger::default())).unwrap()
}

/// Photographs are biometric data: one that is replaced or forgotten leaves the files, across a restart too.
#[test]
fn no_trace_of_a_purged_upload_is_left_in_any_file() {
    let scratch = tempfile::tempdir().unwrap();
    let mark = |number: u64| format!("picture {number:08} of somebody;").into_bytes();
    let on_disk = || {
        let files = std::fs::read_dir(scratch.path()).unwrap();
        let bytes: Vec<Vec<u8>> = files.map(|file| std::fs::read(file.unwrap().path()).unwrap()).collect();
        let holds = |mark: &[u8]| bytes.iter().any(|bytes| bytes.windows(mark.len()).any(|window| window == mark));
        (0..8).filter(|&number| holds(&mark(number))).collect::<Vec<u64>>()
    };
    // Small ones share a page, large ones have pages of their own.
    let bytes = |number: u64| mark(number).repeat(if number.is_multiple_of(2) { 1 } else { 2_000 });
    block_on(async {
        let store = open(scratch.path());
        for number in 0..6 {
            let new = picture(&number.to_string(), bytes(number));
            store.put_upload(ours(), new, ROOM, at(0)).await.unwrap();
        }
        assert_eq!(on_disk(), [0, 1, 2, 3, 4, 5], "what is stored can be found");
        for number in [6, 7] {
            let mut new = picture(&(number - 6).to_string(), bytes(number));
            new.expires_at = at(9_000);
            store.put_upload(ours(), new, ROOM, at(0)).await.unwrap();
        }
        until_tidy(&store, scratch.path()).await;
        assert_eq!(on_disk(), [2, 3, 4, 5, 6, 7], "what was replaced is gone");
        drop(store);
        let store = open(scratch.path());
        assert_eq!(store.picture(ours(), upload_name("3"), at(999)).await.unwrap().unwrap(), bytes(3));
        assert_eq!(store.purge_expired_uploads(at(1_000)).await.unwrap(), 4);
        until_tidy(&store, scratch.path()).await;
        assert_eq!(on_disk(), [6, 7]);
        assert_eq!(store.picture(ours(), upload_name("1"), at(8_999)).await.unwrap().unwrap(), bytes(7));
    });
}
