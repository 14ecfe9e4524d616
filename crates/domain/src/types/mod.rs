//! The nouns, each made valid once, at construction.

mod actor;
mod assessment;
mod face;
mod face_set;
mod field;
mod geometry;
mod id;
mod key;
mod look_alike;
mod nfc;
mod person;
mod precondition;
mod tags;
mod template;
mod text;
mod thumbnail;

pub use actor::{Actor, JobLease, RequestId};
pub use assessment::{
    Aspects, Assessment, DenseLandmarks, Expression, Expressions, GenderEstimate, MeshLandmarks, Openness, Pose,
    QualityFailure, QuarterTurn,
};
pub use face::{ClearedParts, Face, FaceOwner, FacePatch, NewFace, NewTransientFace, Quality, TransientFace};
pub use face_set::{FaceSet, FaceSetBytes, FaceSetKey, FaceSetPatch, FaceSetSummary, NewFaceSet, QualityGate};
pub use field::{FieldName, FieldSchema, FieldType, FieldValue, FieldValues, GivenFields, GivenValue, TEXT_CHARS_MAX};
pub use geometry::{BoundingBox, Detection, Landmarks, Point};
pub use id::{FaceId, FaceSetId, ID_END, JobId, PersonId, Revision, TenantId, TimestampMs};
pub use key::{AccessKey, AccessKeyId, InstallationSecret, PreviousSecret, Secret, Tenant, TenantName};
pub use look_alike::LookAlikes;
pub use nfc::nfc;
pub use person::{NewPerson, Person, PersonKey, PersonPatch};
pub use precondition::Precondition;
pub use tags::Tags;
pub use template::{DIMENSIONS_MAX, PackId, Similarity, Template, TemplateError};
pub use text::{
    ExternalId, FaceSetName, Note, Subject, UploadName, is_unseen, require_new_name, require_path_segment, require_seen,
};
pub use thumbnail::Thumbnail;

#[cfg(test)]
mod tests;
