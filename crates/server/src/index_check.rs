//! Whether the index has what the store has, face set by face set: asked by `likeness doctor` of a running server.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use likeness_domain::Result;
use likeness_domain::ports::{CredentialStore, GalleryStore, VectorIndex};
use likeness_domain::types::FaceSetId;
use likeness_wire::http::json;
use serde::{Deserialize, Serialize};

/// Where the answer is, on the socket in the data folder.
pub(crate) const PATH: &str = "/index-check";

/// Time between two looks: a write that is just being made is in the store before it is in the index.
const NEXT_LOOK_AFTER: Duration = Duration::from_millis(300);

/// Looks at which a set has to differ: where somebody writes all the time, each may find a write on its way.
const N_LOOKS: usize = 10;

/// What was compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct IndexCheck {
    /// Whether the index answers searches, rather than being filled anew.
    pub(crate) is_ready: bool,
    /// Face sets of all tenants.
    pub(crate) n_face_sets: u64,
    /// Faces in their galleries, by the store.
    pub(crate) n_faces: u64,
    /// Face sets of which the index has another number of faces than the store, at every look.
    pub(crate) n_differing: u64,
}

/// Compares the number of faces of every set.
pub(crate) async fn check(
    store: &dyn GalleryStore,
    index: &dyn VectorIndex,
    credentials: &dyn CredentialStore,
) -> Result<IndexCheck> {
    let (mut suspects, n_face_sets, n_faces) = differing(store, index, credentials).await?;
    for _ in 1..N_LOOKS {
        if suspects.is_empty() {
            break;
        }
        tokio::time::sleep(NEXT_LOOK_AFTER).await;
        let (again, ..) = differing(store, index, credentials).await?;
        suspects.retain(|face_set| again.contains(face_set));
    }
    let n_differing = suspects.len() as u64;
    Ok(IndexCheck { is_ready: index.revision().is_some(), n_face_sets, n_faces, n_differing })
}

/// The sets that differ, how many sets there are, and how many faces.
async fn differing(
    store: &dyn GalleryStore,
    index: &dyn VectorIndex,
    credentials: &dyn CredentialStore,
) -> Result<(Vec<FaceSetId>, u64, u64)> {
    let (mut differing, mut n_face_sets, mut n_faces) = (Vec::new(), 0, 0);
    for tenant in credentials.tenants().await? {
        for summary in store.face_sets(tenant.id).await? {
            n_face_sets += 1;
            n_faces += summary.n_faces;
            let id = summary.face_set.id;
            // What is searched elsewhere is not counted here, but by the store, a moment ago.
            if !index.is_elsewhere(id) && index.n_rows(id) as u64 != summary.n_faces {
                differing.push(summary.face_set.id);
            }
        }
    }
    Ok((differing, n_face_sets, n_faces))
}

/// Answers [`PATH`] before everything else that `router` answers. For the owner of the data folder.
pub(crate) fn with_index_check(
    router: Router,
    store: Arc<dyn GalleryStore>,
    index: Arc<dyn VectorIndex>,
    credentials: Arc<dyn CredentialStore>,
) -> Router {
    let answer = move || {
        let (store, index, credentials) = (Arc::clone(&store), Arc::clone(&index), Arc::clone(&credentials));
        async move {
            match check(&*store, &*index, &*credentials).await {
                Ok(found) => json::answer(StatusCode::OK, &found),
                Err(error) => failed(&error),
            }
        }
    };
    Router::new().route(PATH, get(answer)).fallback_service(router)
}

fn failed(error: &likeness_domain::Error) -> Response {
    tracing::warn!(%error, "the index cannot be compared with the store");
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use likeness_domain::filter::Filter;
    use likeness_domain::ports::{GalleryChange, GallerySearch, Hit, Pending};
    use likeness_domain::types::{Revision, Tenant, TenantName, TimestampMs};
    use likeness_store::conformance::samples::*;
    use likeness_store::index::BruteForceIndex;
    use likeness_store::memory::MemoryStore;

    use super::*;

    /// Has another number of rows than its store at some of the looks.
    struct Late {
        inner: BruteForceIndex,
        /// How many rows too many at each look from now on; none after the last.
        surplus: Mutex<Vec<usize>>,
    }

    impl VectorIndex for Late {
        fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
            self.inner.apply(revision, changes)
        }

        fn revision(&self) -> Option<Revision> {
            self.inner.revision()
        }

        fn restart(&self) -> Pending<'_, ()> {
            self.inner.restart()
        }

        fn resume(&self, revision: Revision) -> Pending<'_, ()> {
            self.inner.resume(revision)
        }

        fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>> {
            self.inner.search(question)
        }

        fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>> {
            self.inner.matching(face_set, filter)
        }

        fn n_rows(&self, face_set: FaceSetId) -> usize {
            self.inner.n_rows(face_set) + self.surplus.lock().unwrap().pop().unwrap_or(0)
        }
    }

    /// Issue 17: `doctor` called a server broken while somebody wrote.
    #[tokio::test(start_paused = true)]
    async fn only_a_set_that_differs_at_every_look_is_wrong() {
        let name = TenantName::new("acme").unwrap();
        let acme = Tenant::new(ours(), name, TimestampMs(1));
        for (n_late, n_differing) in [(0, 0), (1, 0), (N_LOOKS - 1, 0), (N_LOOKS, 1)] {
            let index = Arc::new(Late { inner: BruteForceIndex::new(), surplus: Mutex::new(vec![1; n_late]) });
            let store = MemoryStore::open(Arc::clone(&index) as _);
            store.ensure_tenant(by(ours()), acme.clone()).await.unwrap();
            store.create_face_set(by(ours()), face_set("staff"), None).await.unwrap();
            let found = check(&store, &*index, &store).await.unwrap();
            let expected = IndexCheck { is_ready: true, n_face_sets: 1, n_faces: 0, n_differing };
            assert_eq!(found, expected, "{n_late} looks");
        }
    }
}
