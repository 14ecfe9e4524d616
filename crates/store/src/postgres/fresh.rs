//! The index that searches go through: it is brought to where the database is before it answers.

use std::sync::Arc;

use likeness_domain::Result;
use likeness_domain::filter::Filter;
use likeness_domain::ports::{GalleryChange, GallerySearch, Hit, Pending, VectorIndex};
use likeness_domain::types::{FaceSetId, Revision};
use tokio::runtime::Handle;

use super::{Shared, stopped};

/// See [`super::PostgresStore::index`].
pub(super) struct FreshIndex {
    pub(super) shared: Arc<Shared>,
    pub(super) runtime: Handle,
}

impl FreshIndex {
    async fn reach(&self) -> Result<()> {
        let shared = Arc::clone(&self.shared);
        // On the store's own threads, as it waits for the network and for time.
        let reached = self.runtime.spawn(async move { shared.follower.reach(shared.settings.search_wait_max).await });
        let reached = reached.await.map_err(|_| stopped())?;
        reached.map_err(|failure| failure.into_error("search"))
    }
}

impl VectorIndex for FreshIndex {
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        self.shared.index.apply(revision, changes)
    }

    fn amend(&self, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        self.shared.index.amend(changes)
    }

    fn revision(&self) -> Option<Revision> {
        self.shared.index.revision()
    }

    fn restart(&self) -> Pending<'_, ()> {
        self.shared.index.restart()
    }

    fn resume(&self, revision: Revision) -> Pending<'_, ()> {
        self.shared.index.resume(revision)
    }

    fn is_elsewhere(&self, face_set: FaceSetId) -> bool {
        self.shared.index.is_elsewhere(face_set)
    }

    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
        Box::pin(async move {
            self.reach().await?;
            self.shared.index.search(question).await
        })
    }

    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
        Box::pin(async move {
            self.reach().await?;
            self.shared.index.matching(face_set, filter).await
        })
    }

    fn n_rows(&self, face_set: FaceSetId) -> usize {
        self.shared.index.n_rows(face_set)
    }
}
