//! The gallery as searched.

use std::sync::Arc;

use super::Pending;
use crate::filter::Filter;
use crate::types::{FaceId, FaceSetId, FieldSchema, FieldValue, PackId, PersonId, Revision, Similarity, Template};

/// One row of a gallery.
#[derive(Debug, Clone)]
pub struct GalleryEntry {
    /// Which face.
    pub face: FaceId,
    /// Place in order of enrolment within the installation; of equally similar faces the lower one comes first.
    pub sequence: u64,
    /// The person that owns the face, if one does.
    pub person: Option<PersonId>,
    /// Its vector.
    pub template: Template,
    /// Its label, for filters.
    pub subject: Option<Arc<str>>,
    /// Its custom values, one slot per field of the set's schema, for filters.
    pub values: Box<[Option<FieldValue>]>,
}

/// A change of what a search sees.
#[derive(Debug, Clone)]
pub enum GalleryChange {
    /// A face set now exists, with an empty gallery. Repeating it for a set that exists changes nothing.
    Open {
        /// Which set.
        face_set: FaceSetId,
        /// The pack of all its templates.
        pack: PackId,
        /// Its custom fields, giving meaning to [`GalleryEntry::values`].
        schema: Arc<FieldSchema>,
    },
    /// The face set is gone, with its gallery.
    Close {
        /// Which set.
        face_set: FaceSetId,
    },
    /// The face is in the gallery with these values; replaces a row of the same face.
    Put {
        /// In which set.
        face_set: FaceSetId,
        /// The row.
        entry: GalleryEntry,
    },
    /// The face is no longer in the gallery.
    Remove {
        /// In which set.
        face_set: FaceSetId,
        /// Which face.
        face: FaceId,
    },
}

/// A question to the index.
#[derive(Debug, Clone)]
pub struct GallerySearch {
    /// In which set.
    pub face_set: FaceSetId,
    /// Whom to look for; of the set's pack.
    pub probe: Template,
    /// Most hits wanted.
    pub top_k: usize,
    /// Least similarity of a hit (inclusive).
    pub similarity_min: Similarity,
    /// Only rows that pass; evaluated before the cut to `top_k`.
    pub filter: Option<Arc<Filter>>,
    /// Of the faces of one person only the most similar (then oldest) is a hit; faces without a person stand alone.
    pub one_per_person: bool,
}

/// A row found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Hit {
    /// Which face.
    pub face: FaceId,
    /// Its owner, if a person.
    pub person: Option<PersonId>,
    /// How similar to the probe.
    pub similarity: Similarity,
    /// Its place in the order of enrolment: of hits that are equally similar the earliest comes first.
    pub sequence: u64,
}

/// What an index found of an earlier process.
#[derive(Debug, Clone, Default)]
pub struct KeptRows {
    /// It has all rows up to this revision, and perhaps parts of the next one.
    pub revision: Revision,
    /// Set and sequence of rows whose subject and values it does not have; they have to be put again.
    pub lacking: Vec<(FaceSetId, u64)>,
}

/// The gallery as searched. Derived: it may be dropped and rebuilt from the store at any time.
pub trait VectorIndex: Send + Sync {
    /// Takes over what one commit changed. Called by its store in revision order, one commit at a time, each awaited before
    /// the next. When it is ready, every later search sees the changes and [`VectorIndex::revision`] says so.
    ///
    /// An error means that the index does not know any more what it knows: from then on it refuses searches
    /// ([`crate::Kind::Overloaded`]) rather than answer from an older state, until it was filled anew between
    /// [`VectorIndex::restart`] and [`VectorIndex::resume`], which its store does at once.
    fn apply(&self, revision: Revision, changes: Vec<GalleryChange>) -> Pending<'_, ()>;

    /// Takes over what its store has found out about rows between two commits: one that is damaged goes, one that is whole
    /// again comes back. The revision stays. Taking out what is not there changes nothing. Errors as of
    /// [`VectorIndex::apply`].
    fn amend(&self, changes: Vec<GalleryChange>) -> Pending<'_, ()> {
        match self.revision() {
            Some(revision) => self.apply(revision, changes),
            // It is filled anew, and whoever fills it leaves damaged rows out.
            None => Box::pin(std::future::ready(Ok(()))),
        }
    }

    /// The revision it has reached; `None` while searches are refused because it has failed or is filled anew.
    fn revision(&self) -> Option<Revision>;

    /// Asked once, before anything else, of an index that may have kept its rows in a place of its own: takes them over if
    /// they are of this library and may be trusted, and refuses searches until [`VectorIndex::resume`]. `opened` are all
    /// face sets, as [`GalleryChange::Open`]; rows of others are dropped. What was committed since comes by
    /// [`VectorIndex::apply`] before the resumption. `None` if there is nothing to be trusted: then it is filled between
    /// [`VectorIndex::restart`] and [`VectorIndex::resume`].
    fn reopen(&self, library: [u8; 16], opened: Vec<GalleryChange>) -> Pending<'_, Option<KeptRows>> {
        let _ = (library, opened);
        Box::pin(std::future::ready(Ok(None)))
    }

    /// Drops every row, as if new, and refuses searches until [`VectorIndex::resume`]. What comes by
    /// [`VectorIndex::apply`] meanwhile fills it from the tables.
    fn restart(&self) -> Pending<'_, ()>;

    /// It is filled with everything up to that revision and answers searches again.
    fn resume(&self, revision: Revision) -> Pending<'_, ()>;

    /// Whether the rows of this set are kept in another place, which has them by itself: whoever fills the index leaves them
    /// out then. Known from [`VectorIndex::restart`] on.
    fn is_elsewhere(&self, face_set: FaceSetId) -> bool {
        let _ = face_set;
        false
    }

    /// The most similar rows, best first, older first among equals. Exact: equal to scanning every row in f32. An
    /// unknown face set has an empty gallery. Errors: [`crate::Kind::Overloaded`], also while it is filled anew.
    fn search(&self, question: GallerySearch) -> Pending<'_, Vec<Hit>>;

    /// [`GalleryEntry::sequence`] of every row of a set's gallery that passes the filter, ascending; as exact as a search.
    /// An unknown face set has none. Errors: [`crate::Kind::Overloaded`] while it is filled anew.
    fn matching(&self, face_set: FaceSetId, filter: Arc<Filter>) -> Pending<'_, Vec<u64>>;

    /// Rows in the gallery of a set.
    fn n_rows(&self, face_set: FaceSetId) -> usize;
}
