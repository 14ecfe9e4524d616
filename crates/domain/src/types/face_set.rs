//! Face sets: named collections that are searched as one.

use super::{FaceSetId, FaceSetName, FieldSchema, Note, PackId, TenantId, TimestampMs};

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
