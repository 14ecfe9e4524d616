//! Face sets: named collections that are searched as one.

use super::{FaceSetId, FaceSetName, FieldSchema, Note, PackId, Tags, TenantId, TimestampMs};

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

/// What an update changes; `None` keeps what is there. Pack, custom fields and capacity never change.
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
