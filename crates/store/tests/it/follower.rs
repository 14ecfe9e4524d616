//! An index of another node: it knows of a store only what it reads of its commits, in small pages and at moments of its
//! own choosing.

use std::sync::Arc;

use likeness_domain::ports::{Change, CommitPage, GalleryEntry, GalleryStore, VectorIndex};
use likeness_domain::types::{FaceSetId, Revision, TenantId};
use likeness_store::conformance::Ledger;
use likeness_store::index::BruteForceIndex;

/// Commits of a page.
const PAGE: usize = 3;

/// How far a follower is after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Followed {
    /// There are more commits.
    ToHere,
    /// It knows every commit.
    Everything,
    /// What it has to read next was compacted away: it has to be filled from the tables.
    TooOld,
}

/// See the module's page. A new one knows nothing, as after a restart.
pub(crate) struct Follower {
    index: Arc<BruteForceIndex>,
    reached: Revision,
}

impl Follower {
    pub(crate) fn new() -> Self {
        Self { index: Arc::new(BruteForceIndex::new()), reached: Revision(0) }
    }

    /// The index of a store that was just opened, which filled it from its tables up to `reached`.
    pub(crate) fn filled(index: Arc<BruteForceIndex>, reached: Revision) -> Self {
        Self { index, reached }
    }

    /// Takes over one page.
    pub(crate) async fn follow(&mut self, store: &dyn GalleryStore) -> Followed {
        let (commits, reached, has_more) = match store.changes_after(self.reached, PAGE).await.unwrap() {
            CommitPage::Commits { commits, reached, has_more } => (commits, reached, has_more),
            CommitPage::TooOld { compacted } => {
                assert!(self.reached < compacted, "{:?} is not older than {compacted:?}", self.reached);
                return Followed::TooOld;
            }
        };
        for commit in commits {
            assert!(self.reached < commit.revision && commit.revision <= reached, "a commit out of its turn");
            let seen = commit.changes.into_iter().filter_map(|change| match change {
                Change::Gallery(change) => Some(change),
                _ => None,
            });
            self.index.apply(commit.revision, seen.collect()).await.unwrap();
        }
        self.reached = reached;
        if has_more { Followed::ToHere } else { Followed::Everything }
    }

    /// Reads the rest, and knows then what the store's own index knows, whenever it read what.
    pub(crate) async fn check(&mut self, store: &dyn GalleryStore, own: &Ledger, tenants: &[TenantId]) -> Followed {
        let mut followed = Followed::ToHere;
        while followed == Followed::ToHere {
            followed = self.follow(store).await;
        }
        if followed == Followed::Everything {
            let mut n_sets = 0;
            for &tenant in tenants {
                for set in store.face_sets(tenant).await.unwrap() {
                    self.check_set(own, set.face_set.id);
                    n_sets += 1;
                }
            }
            assert_eq!(own.n_galleries(), n_sets, "the store's own index has every set and no other");
        }
        followed
    }

    fn check_set(&self, own: &Ledger, id: FaceSetId) {
        let told = |row: &GalleryEntry| {
            let words = (row.face, row.sequence, row.person, row.subject.clone(), format!("{:?}", row.values));
            (words, row.template.unit().to_vec())
        };
        let mut known = self.index.rows(id);
        known.sort_by_key(|row| row.sequence);
        let known: Vec<_> = known.iter().map(told).collect();
        let own: Vec<_> = own.rows(id).iter().map(|row| told(&row.entry)).collect();
        assert_eq!(known, own, "what the follower knows of set {id}");
    }
}
