//! Faces: enrolled observations.

use super::{
    AccessKeyId, Detection, ExternalId, FaceId, FaceSetId, FieldName, FieldValues, Note, PackId, PersonId,
    Precondition, Subject, Template, TenantId, Thumbnail, TimestampMs,
};

/// Who a face belongs to. It lives and dies with its owner.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FaceOwner {
    /// The face set it was enrolled into; it is searched there only.
    FaceSet(FaceSetId),
    /// A person; it is searched in every face set the person is a member of.
    Person(PersonId),
}

/// Fitness of the image a face came from; each figure is 0 (worst) to 1 (best) and absent when it was not measured.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Quality {
    /// Everything together.
    pub total: Option<f32>,
    /// Not blurred.
    pub sharpness: Option<f32>,
    /// Evenly and sufficiently lit.
    pub illumination: Option<f32>,
    /// Looking at the camera.
    pub pose: Option<f32>,
    /// Not hidden.
    pub visibility: Option<f32>,
}

/// A face to be enrolled. Ids and times are given by the library before the store sees it.
#[derive(Debug, Clone)]
pub struct NewFace {
    /// Its future id.
    pub id: FaceId,
    /// The id that it gets where the other is in use; `None` for the next free one.
    pub spare_id: Option<FaceId>,
    /// Its vector and pack.
    pub template: Template,
    /// Where it was in the image it came from.
    pub detection: Detection,
    /// How good that image was.
    pub quality: Quality,
    /// Label saying who it is.
    pub subject: Option<Subject>,
    /// The caller's own id of this observation, unique within the owner.
    pub external_id: Option<ExternalId>,
    /// Custom values, fitting the owner set's schema; empty for faces of persons.
    pub fields: FieldValues,
    /// Free text.
    pub note: Option<Note>,
    /// Where the image came from, as the caller spelled it (an address); kept only if the caller's dialect needs it.
    pub source: Option<Note>,
    /// A small picture of it, which is kept if a set that shows the face keeps such pictures ([`super::FaceSet::thumbnails`]).
    pub thumbnail: Option<Thumbnail>,
    /// When it was enrolled.
    pub created_at: TimestampMs,
}

impl NewFace {
    /// The enrolled face under the id that it gets, which is the one that was proposed unless that is in use; and its template.
    pub fn enrolled(self, id: FaceId, tenant: TenantId, owner: FaceOwner) -> (Face, Template) {
        let face = Face {
            id,
            source_face: id,
            tenant,
            owner,
            pack: self.template.pack().clone(),
            detection: self.detection,
            quality: self.quality,
            subject: self.subject,
            external_id: self.external_id,
            fields: self.fields,
            note: self.note,
            source: self.source,
            created_at: self.created_at,
            updated_at: self.created_at,
        };
        (face, self.template)
    }
}

/// An enrolled face: what people read of it. Its templates, one for each pack, are read by
/// [`crate::ports::GalleryStore::templates`] where a vector is needed.
#[derive(Debug, Clone)]
pub struct Face {
    /// Its identity.
    pub id: FaceId,
    /// Under which id it was first known: that of the transient face it was made from, or its own. Faces made from one transient
    /// face are one face to whoever knows that id.
    pub source_face: FaceId,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The face set or person it belongs to.
    pub owner: FaceOwner,
    /// The pack of the template it was enrolled with; it may have templates of further packs.
    pub pack: PackId,
    /// Where it was in the image it came from.
    pub detection: Detection,
    /// How good that image was.
    pub quality: Quality,
    /// Label saying who it is.
    pub subject: Option<Subject>,
    /// The caller's own id of this observation.
    pub external_id: Option<ExternalId>,
    /// Custom values.
    pub fields: FieldValues,
    /// Free text.
    pub note: Option<Note>,
    /// Where the image came from.
    pub source: Option<Note>,
    /// When it was enrolled.
    pub created_at: TimestampMs,
    /// When label, note or fields last changed; equal to `created_at` at first.
    pub updated_at: TimestampMs,
}

/// What an update changes; `None` keeps what is there.
#[derive(Debug, Clone, Default)]
pub struct FacePatch {
    /// New label.
    pub subject: Option<Subject>,
    /// Values laid over the present ones.
    pub fields: FieldValues,
    /// New free text.
    pub note: Option<Note>,
    /// What is taken away; it wins over a new value.
    pub cleared: ClearedParts,
    /// What the face has to be like.
    pub only_if: Option<Precondition<Face>>,
}

/// What an update takes away of a face. A note is taken away by an empty one.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClearedParts {
    /// The label.
    pub subject: bool,
    /// The caller's own id, which may be used again then.
    pub external_id: bool,
    /// The values of these custom fields.
    pub fields: Vec<FieldName>,
}

impl FacePatch {
    /// Changes the face, whatever [`FacePatch::only_if`] says, and leaves its times alone.
    pub fn apply(self, face: &mut Face) {
        let FacePatch { subject, fields, note, cleared, only_if: _ } = self;
        face.subject = if cleared.subject { None } else { subject.or(face.subject.take()) };
        face.fields = face.fields.merged(&fields).without(&cleared.fields);
        face.note = note.or(face.note.take());
        if cleared.external_id {
            face.external_id = None;
        }
    }
}

/// A face found in an image, to be kept as a transient face.
#[derive(Debug, Clone)]
pub struct NewTransientFace {
    /// Its future id.
    pub id: FaceId,
    /// Its vector and pack.
    pub template: Template,
    /// Where it was in the image it came from.
    pub detection: Detection,
    /// How good that image was.
    pub quality: Quality,
    /// A small picture of it, which goes along when it is enrolled; kept only while a set of the tenant keeps such pictures.
    pub thumbnail: Option<Thumbnail>,
    /// When it was found.
    pub created_at: TimestampMs,
    /// From when on it is found no more; its bytes are erased soon after.
    pub expires_at: TimestampMs,
}

/// A face that was found in an image and is kept for a while without being enrolled, so that it can be.
#[derive(Debug, Clone)]
pub struct TransientFace {
    /// Its identity, which faces made from it have as their origin.
    pub id: FaceId,
    /// Whose data it is.
    pub tenant: TenantId,
    /// The access key that kept it; `None` for the owner of the data folder.
    pub kept_by: Option<AccessKeyId>,
    /// Its vector and pack.
    pub template: Template,
    /// Where it was in the image it came from.
    pub detection: Detection,
    /// How good that image was.
    pub quality: Quality,
    /// Label saying who it is.
    pub subject: Option<Subject>,
    /// When it was found.
    pub created_at: TimestampMs,
    /// From when on it is found no more.
    pub expires_at: TimestampMs,
}
