//! Waiting for what a store does by itself, without sleeping.

use std::path::Path;
use std::time::{Duration, Instant};

use likeness_domain::ports::{GalleryStore, StoreReport};
use likeness_store::embedded::DATABASE_FILE;

/// Runs a test's future.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
}

/// Asks for reports until one pleases; fails after two minutes.
pub(crate) async fn until(store: &dyn GalleryStore, what: &str, pleases: impl Fn(&StoreReport) -> bool) -> StoreReport {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        let report = store.report(false).await.unwrap();
        if pleases(&report) {
            return report;
        }
        assert!(Instant::now() < deadline, "waited too long for: {what}; {report:?}");
        std::thread::yield_now();
    }
}

/// Waits until everything deleted is erased and the log is clean. The last write must have been a delete.
pub(crate) async fn until_tidy(store: &dyn GalleryStore, dir: &Path) -> StoreReport {
    let log = dir.join(format!("{DATABASE_FILE}-wal"));
    until(store, "a tidy store", |report| {
        report.n_faces_to_erase == 0
            && report.bytes_free <= 256 * 4096
            && std::fs::metadata(&log).map_or(0, |metadata| metadata.len()) == 0
    })
    .await;
    // The log was cleaned after the report that pleased, so its sizes are old.
    store.report(false).await.unwrap()
}
