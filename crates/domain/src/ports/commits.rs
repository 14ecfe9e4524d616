//! What changed, by whom, since when.

use super::GalleryChange;
use crate::types::{AccessKeyId, Actor, FaceId, FaceSetId, PackId, PersonId, Revision, TenantId, TimestampMs};

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
    /// A tenant was made.
    TenantMade(TenantId),
    /// A tenant's limits changed; of an earlier program also that it was made.
    TenantChanged(TenantId),
    /// A tenant was deleted, with everything of it.
    TenantDeleted(TenantId),
    /// Something was done with an access key.
    Key(AccessKeyId, KeyAction),
}

/// What was done with an access key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyAction {
    /// It was made.
    Made,
    /// It was switched on.
    Enabled,
    /// It was switched off.
    Disabled,
    /// It was given a new secret.
    Rotated,
    /// It was deleted.
    Deleted,
    /// Something but the deletion, kept by an earlier program, which did not say what.
    Changed,
}

/// A change as the record of commits keeps it, by ids: no vector and no text of what changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ChangeRef {
    /// A face set was made.
    Opened(FaceSetId),
    /// A face set was deleted.
    Closed(FaceSetId),
    /// A face is in the gallery of the set: it was enrolled or changed, or its person joined.
    Put(FaceSetId, FaceId),
    /// A face is no longer in the gallery of the set: it was deleted, or its person left.
    Removed(FaceSetId, FaceId),
    /// [`Change::FaceSetChanged`].
    FaceSetChanged(FaceSetId),
    /// [`Change::PersonChanged`].
    PersonChanged(PersonId),
    /// [`Change::PersonDeleted`].
    PersonDeleted(PersonId),
    /// [`Change::TransientFaceKept`].
    TransientFaceKept(FaceId),
    /// [`Change::TransientFaceGone`].
    TransientFaceGone(FaceId),
    /// [`Change::TemplatePut`].
    TemplatePut(FaceId, PackId),
    /// [`Change::TenantMade`].
    TenantMade(TenantId),
    /// [`Change::TenantChanged`].
    TenantChanged(TenantId),
    /// [`Change::TenantDeleted`].
    TenantDeleted(TenantId),
    /// [`Change::Key`].
    Key(AccessKeyId, KeyAction),
}

/// A commit as the record keeps it, for people who want to know who did what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommitRecord {
    /// Its number.
    pub revision: Revision,
    /// When it was made, by the store's clock.
    pub at: TimestampMs,
    /// On whose behalf.
    pub actor: Actor,
    /// What changed, in order.
    pub changes: Vec<ChangeRef>,
    /// Tells it from another commit that may have its number in another history.
    pub mark: u64,
}

/// A place in the record of commits: behind a commit. Numbers are given a second time where a library was put back to an older
/// state, or a standby promoted without the last commits; the commit's own mark says whether it is the same history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordPlace {
    /// The number of the commit.
    pub revision: Revision,
    /// Its [`CommitRecord::mark`]; 0 where no commit was kept up to there, `None` where only the number is known.
    pub mark: Option<u64>,
}

impl From<Revision> for RecordPlace {
    fn from(revision: Revision) -> Self {
        Self { revision, mark: None }
    }
}

/// The hint for whoever cannot go on in the record of commits.
pub const BEGIN_ANEW: &str =
    "read what there is anew, and then the changes from the beginning, without `since` and `cursor`";

/// Answer of [`super::GalleryStore::record_after`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RecordPage {
    /// Commits in order of their revisions.
    pub commits: Vec<CommitRecord>,
    /// Up to this revision commits of the tenant may be compacted away; behind it all are there. Some before it may be, too.
    pub compacted: Revision,
    /// Everything up to this place was looked at: it is behind the last of `commits` if there may be more, and otherwise behind
    /// the last commit of anybody.
    pub reached: RecordPlace,
    /// Whether there may be commits after `reached`.
    pub has_more: bool,
}

impl From<GalleryChange> for Change {
    fn from(change: GalleryChange) -> Self {
        Self::Gallery(change)
    }
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
