//! The stores against their contract, against each other, and against disasters.
#![expect(clippy::print_stderr, reason = "a skipped test says why, a slow one what it measured")]

mod archives;
mod backup;
mod check;
mod crash;
mod crash_followers;
mod crash_jobs;
mod crash_transient;
mod damage;
mod damage_matrix;
mod damage_serving;
mod deletes;
mod erasure;
mod full_disk;
mod index_rows;
mod jobs;
mod layouts;
#[cfg(feature = "milvus")]
mod milvus;
mod model;
mod open_files;
mod opening;
#[cfg(feature = "postgres")]
mod postgres;
mod recovery;
mod reported_losses;
mod scrub;
mod uploads;

mod follower;
mod patience;

use std::path::Path;
use std::sync::Arc;

use likeness_domain::ports::VectorIndex;
use likeness_store::conformance;
use likeness_store::conformance::Opened;
use likeness_store::embedded::{Credentials, EmbeddedStore};
use likeness_store::memory::MemoryStore;

fn open_memory(index: Arc<dyn VectorIndex>) -> Opened {
    let store = Arc::new(MemoryStore::open(index));
    Opened {
        gallery: Arc::clone(&store) as _,
        credentials: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        keep: Box::new(()),
    }
}

/// With the credentials of a command beside a server.
fn open_embedded(index: Arc<dyn VectorIndex>) -> Opened {
    opened_embedded(index, |_, dir| Credentials::open(dir).unwrap())
}

/// With those of the server itself.
fn open_embedded_server(index: Arc<dyn VectorIndex>) -> Opened {
    opened_embedded(index, |store, _| store.credentials().unwrap())
}

fn opened_embedded(
    index: Arc<dyn VectorIndex>,
    credentials: impl FnOnce(&EmbeddedStore, &Path) -> Credentials,
) -> Opened {
    let dir = tempfile::tempdir().unwrap();
    let store = Arc::new(EmbeddedStore::open(dir.path(), index).unwrap());
    Opened {
        credentials: Arc::new(credentials(&store, dir.path())),
        gallery: Arc::clone(&store) as _,
        jobs: Arc::clone(&store) as _,
        once: Arc::clone(&store) as _,
        records: Arc::clone(&store) as _,
        pictures: store,
        keep: Box::new(dir),
    }
}

conformance!(memory, open_memory);
conformance!(embedded, open_embedded);
conformance!(embedded_server, open_embedded_server);
