//! The store on a disk that forgets what was not flushed, tears and reorders writes, breaks and fills up.
//!
//! A process that is killed shows no missing flush, as the system still has what it wrote. Here SQLite writes through a file
//! system of ours ([`vfs`]) that knows what was flushed ([`disk`]).
#![expect(clippy::print_stderr, reason = "what was run is said")]

mod disk;
mod history;
mod power;
mod probe;
mod upgrade;
mod vfs;

#[path = "../it/patience.rs"]
#[expect(dead_code, reason = "shared with the other tests")]
mod patience;

use std::sync::Arc;

use likeness_domain::ports::VectorIndex;
use likeness_store::conformance;
use likeness_store::conformance::Opened;
use likeness_store::embedded::{Credentials, EmbeddedStore};

/// A store on a watched disk, whose syncs reach nothing but the watcher.
fn open_watched(index: Arc<dyn VectorIndex>) -> Opened {
    let dir = tempfile::tempdir().unwrap();
    let disk = disk::Disk::under(dir.path());
    let store = Arc::new(EmbeddedStore::open(dir.path(), index).unwrap());
    Opened {
        gallery: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        credentials: Arc::new(Credentials::open(dir.path()).unwrap()),
        keep: Box::new((dir, disk)),
    }
}

conformance!(watched, open_watched);
