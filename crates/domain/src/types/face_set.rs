//! Face sets: named collections that are searched as one.

use super::{FaceSetId, FaceSetName, FieldSchema, Note, PackId, Precondition, Tags, TenantId, TimestampMs};
use crate::error::shortened;
use crate::{Error, Result};

/// How good a picture of a face must be to be enrolled; what that means in figures is [`crate::policy::QualityThresholds`].
/// A later one is stricter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum QualityGate {
    /// Whatever the detector finds.
    None,
    /// Only what is of no use is refused.
    Low,
    /// Good snapshots pass.
    Medium,
    /// Only good portraits pass.
    High,
}

impl QualityGate {
    /// Every gate, the loosest first.
    pub const ALL: [QualityGate; 4] = [QualityGate::None, QualityGate::Low, QualityGate::Medium, QualityGate::High];

    /// Our word for it.
    pub const fn word(self) -> &'static str {
        match self {
            QualityGate::None => "none",
            QualityGate::Low => "low",
            QualityGate::Medium => "medium",
            QualityGate::High => "high",
        }
    }

    /// The gate of that word; `InvalidArgument` names the words there are.
    pub fn from_word(word: &str) -> Result<Self> {
        let unknown = || {
            let message = format!("`quality` is `{}`, expected none, low, medium or high", shortened(word));
            Error::invalid("quality", message)
        };
        Self::ALL.into_iter().find(|gate| gate.word() == word).ok_or_else(unknown)
    }
}

/// A face set to be made. Id, pack and time are given by the library before the store sees it.
#[derive(Debug, Clone)]
pub struct NewFaceSet {
    /// Its future id.
    pub id: FaceSetId,
    /// Unique within the tenant.
    pub name: FaceSetName,
    /// Name for people, if it differs.
    pub label: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// Words to find it by.
    pub tags: Tags,
    /// The pack every face in it is made with.
    pub pack: PackId,
    /// Its custom fields.
    pub schema: FieldSchema,
    /// Most faces it may hold; `None` for no bound of its own.
    pub capacity: Option<u64>,
    /// How good a picture of a face must be.
    pub quality_gate: QualityGate,
    /// Whether a small picture is kept of each face that is enrolled from now on, for people to look at.
    pub thumbnails: bool,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// A face set: searched as one, pinned to one pack.
#[derive(Debug, Clone)]
pub struct FaceSet {
    /// Its identity.
    pub id: FaceSetId,
    /// Whose data it is.
    pub tenant: TenantId,
    /// Unique within the tenant.
    pub name: FaceSetName,
    /// Name for people, if it differs.
    pub label: Option<Note>,
    /// Free text.
    pub note: Option<Note>,
    /// Words to find it by.
    pub tags: Tags,
    /// The pack every face in it is made with.
    pub pack: PackId,
    /// Its custom fields.
    pub schema: FieldSchema,
    /// Most faces it may hold; `None` for no bound of its own.
    pub capacity: Option<u64>,
    /// How good a picture of a face must be.
    pub quality_gate: QualityGate,
    /// Whether a small picture is kept of each face that is enrolled from now on, for people to look at.
    pub thumbnails: bool,
    /// When it was made.
    pub created_at: TimestampMs,
}

/// A face set and how many faces are in its gallery: its own and those of its member persons.
#[derive(Debug, Clone)]
pub struct FaceSetSummary {
    /// The set.
    pub face_set: FaceSet,
    /// Faces in its gallery.
    pub n_faces: u64,
}

/// How many bytes the faces of a set's gallery take, without what the store needs to keep order: for people who wonder where
/// the room went.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaceSetBytes {
    /// Of templates of the set's pack.
    pub templates: u64,
    /// Of words, boxes and figures.
    pub records: u64,
    /// Of small pictures.
    pub thumbnails: u64,
    /// Whether all faces were looked at, and not a sample of a large set.
    pub is_exact: bool,
}

impl FaceSetBytes {
    /// Faces that are looked at, at most.
    pub const SAMPLE_MAX: u64 = 1000;

    /// Of a whole set, from what so many of its faces take.
    #[must_use]
    pub fn scaled(self, n_sampled: u64, n_faces: u64) -> Self {
        let whole = |bytes: u64| (u128::from(bytes) * u128::from(n_faces) / u128::from(n_sampled.max(1))) as u64;
        Self {
            templates: whole(self.templates),
            records: whole(self.records),
            thumbnails: whole(self.thumbnails),
            is_exact: self.is_exact,
        }
    }
}

/// What an update changes; `None` keeps what is there. Pack and custom fields never change.
#[derive(Debug, Clone, Default)]
pub struct FaceSetPatch {
    /// New name.
    pub name: Option<FaceSetName>,
    /// New name for people; an empty one clears it.
    pub label: Option<Note>,
    /// New text; an empty one clears it.
    pub note: Option<Note>,
    /// All of its tags from now on.
    pub tags: Option<Tags>,
    /// How good a picture of a face must be from now on; faces in the set stay.
    pub quality_gate: Option<QualityGate>,
    /// Whether small pictures are kept from now on. With `false` those that there are are erased; with `true` faces that are
    /// enrolled already get none.
    pub thumbnails: Option<bool>,
    /// Most faces that it may hold from now on, not fewer than it has; `Some(None)` for no bound of its own.
    pub capacity: Option<Option<u64>>,
    /// What the set has to be like.
    pub only_if: Option<Precondition<FaceSet>>,
}

/// How a caller names a face set that exists.
#[derive(Debug, Clone, Copy)]
pub enum FaceSetKey<'a> {
    /// By its name, which an update may give to another set.
    Name(&'a FaceSetName),
    /// By its id, which it keeps.
    Id(FaceSetId),
}

impl<'a> From<&'a FaceSetName> for FaceSetKey<'a> {
    fn from(name: &'a FaceSetName) -> Self {
        Self::Name(name)
    }
}

impl From<FaceSetId> for FaceSetKey<'_> {
    fn from(id: FaceSetId) -> Self {
        Self::Id(id)
    }
}
