//! The store in PostgreSQL, on real servers that the tests start themselves.

mod cable;
mod deletes;
#[cfg(feature = "milvus")]
mod figures;
mod full_disk;
mod hangs;
mod layouts;
mod migration;
#[cfg(feature = "milvus")]
mod milvus;
#[cfg(feature = "milvus")]
mod milvus_crashes;
mod nodes;
mod patroni;
mod pooler;
mod record;
mod replication;
mod server;
mod starts;
mod witness;

use std::sync::Arc;

use likeness_domain::ports::VectorIndex;
use likeness_store::conformance;
use likeness_store::conformance::Opened;
use likeness_store::conformance::samples::clock;
use likeness_store::postgres::{PostgresStore, Settings};

/// One with few connections, on a database of its own.
fn open(index: Arc<dyn VectorIndex>) -> Opened {
    let server = server::shared();
    let settings = Settings { n_connections: 8, ..Settings::DEFAULT };
    let store = PostgresStore::open(server.place(&server.database()), index, settings, clock()).unwrap();
    let store = Arc::new(store);
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

conformance!(by_room conforms, server::is_installed, open);
