//! What changed, by whom, since when.

use std::sync::Arc;

use super::GalleryEntry;
use crate::types::{
    AccessKeyId, Actor, FaceId, FaceSetId, FieldSchema, PackId, PersonId, Revision, TenantId, TimestampMs,
};

/// One acknowledged write: all of its changes took effect together.
#[derive(Debug, Clone)]
pub struct Commit {
    /// Its number; larger than that of every write acknowledged before it.
    pub revision: Revision,
    /// When it was made, by the store's clock.
    pub at: TimestampMs,
    /// On whose behalf.
    pub actor: Actor,
    /// What changed, in order.
    pub changes: Vec<Change>,
}

/// One change of a commit.
#[derive(Debug, Clone)]
pub enum Change {
    /// A change of what a search sees.
    Gallery(GalleryChange),
    /// A face set's name, texts, tags or quality gate changed.
    FaceSetChanged(FaceSetId),
    /// A person was made, or its key, name, note or memberships changed.
    PersonChanged(PersonId),
    /// A person was deleted, with its faces and memberships.
    PersonDeleted(PersonId),
    /// A face that is not enrolled is kept for a while, or its label changed.
    TransientFaceKept(FaceId),
    /// A face that is not enrolled was deleted or is enrolled now.
    TransientFaceGone(FaceId),
    /// A face got a template of this pack.
    TemplatePut(FaceId, PackId),
    /// A tenant was made, or its limits changed.
    TenantChanged(TenantId),
    /// A tenant was deleted, with everything of it.
    TenantDeleted(TenantId),
    /// An access key was made, switched on or off, or given a new secret.
    KeyChanged(AccessKeyId),
    /// An access key was deleted.
    KeyDeleted(AccessKeyId),
}

impl From<GalleryChange> for Change {
    fn from(change: GalleryChange) -> Self {
        Self::Gallery(change)
    }
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

/// Answer of [`super::GalleryStore::changes_after`].
#[derive(Debug, Clone)]
pub enum CommitPage {
    /// Commits in order of their revisions.
    Commits {
        /// At most as many as were asked for. Writes that changed nothing a follower needs have none.
        commits: Vec<Commit>,
        /// Whoever applied these commits has reached this revision.
        reached: Revision,
        /// Whether there are commits after `reached` already.
        has_more: bool,
    },
    /// Commits after the given revision were compacted away: rebuild from the tables, which [`super::VectorIndex`]es are
    /// when a store is opened, and go on from the revision reached thereby.
    TooOld {
        /// Everything up to this revision is compacted away.
        compacted: Revision,
    },
}
