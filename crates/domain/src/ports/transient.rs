//! Faces that were found and are kept for a while without being enrolled.

use super::{FaceScope, Pending};
use crate::access::Limits;
use crate::types::{Actor, Face, FaceId, FaceSetId, NewTransientFace, Subject, TenantId, TimestampMs, TransientFace};

/// Keeps transient faces, and makes enrolled ones of them.
///
/// A transient face is known by its id. Faces made from it have that id as their [`Face::source_face`]; a face enrolled any other way
/// is its own source face. Being enrolled, it is transient no longer: so one id means the transient face until it is enrolled, and from then
/// on every face of that source face. With the last of those the face is gone: whoever deletes an enrolled face, by whatever
/// way, need not know that it was transient once. An id is never both a source face and the id of another face.
///
/// Writes are durable when they are acknowledged, as in [`super::GalleryStore`]. A transient face whose time is over at `now` is
/// not there, whether or not its bytes have been erased.
pub trait TransientFaceStore: Send + Sync {
    /// Keeps faces, all or none. Of a tenant's transient faces the newest `n_max` are kept; older ones are erased in the same
    /// commit, whatever time they have left.
    fn keep_faces(&self, actor: Actor, faces: Vec<NewTransientFace>, n_max: u64) -> Pending<'_, Vec<TransientFace>>;

    /// The transient face with that id.
    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Pending<'_, Option<TransientFace>>;

    /// The faces of these source faces in the scope, or everywhere in the tenant, by source face in the order asked for (each once)
    /// and then in order of enrolment.
    fn faces_of_source(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        source_faces: Vec<FaceId>,
    ) -> Pending<'_, Vec<Face>>;

    /// Enrols the transient face `source_face`, which then is transient no longer, or, when it is not, the oldest enrolled face of that
    /// source face once more: as a face of the set with the proposed `id`, with its template, detection, quality and label,
    /// all in one commit. `FaceSetNotFound`;
    /// `FaceNotFound` if there is no such face; `FaceExists` if the set's gallery has a face of that source face;
    /// `CapacityExceeded` if the set is full or one of the `limits` on faces would be passed; `InvalidArgument` if the template is not of the set's pack. Reasons are
    /// looked for in this order.
    fn enrol_transient_face(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        source_face: FaceId,
        id: FaceId,
        now: TimestampMs,
        limits: Option<Limits>,
    ) -> Pending<'_, Face>;

    /// Gives the transient face and every enrolled face of that source face this label, all in one commit. `FaceNotFound` if there
    /// is neither.
    fn label_source(&self, actor: Actor, source_face: FaceId, subject: Subject, now: TimestampMs) -> Pending<'_, ()>;

    /// Deletes the transient face and every enrolled face of that source face, all in one commit; returns how many those were
    /// together.
    fn delete_source(&self, actor: Actor, source_face: FaceId, now: TimestampMs) -> Pending<'_, u64>;

    /// Erases transient faces whose time is over, a few per commit; returns how many.
    fn purge_expired_faces(&self, now: TimestampMs) -> Pending<'_, u64>;
}
