//! Faces of a face set: enrol, list, get, update, delete.

use super::{AddFaces, DeleteFaces, FacesAdded, Library};
use crate::Result;
use crate::caller::Caller;
use crate::ports::Page;
use crate::types::{ExternalId, Face, FaceId, FacePatch, FaceSet, FaceSetName};

impl Library {
    /// Enrols faces from an image, all or none. Needs the write grant. Checked in this order: `FaceSetNotFound`, custom
    /// fields (`FieldNotDefined`, `FieldTypeMismatch`), the image kinds, `NoFaceInImage`, `CapacityExceeded`,
    /// `FaceExists`.
    pub async fn add_faces(&self, caller: &Caller, request: AddFaces) -> Result<FacesAdded> {
        let _ = (caller, request);
        todo!()
    }

    /// Faces in order of enrolment. Needs the read grant. `FaceSetNotFound`.
    pub async fn list_faces(&self, caller: &Caller, name: &FaceSetName, page: Page) -> Result<(FaceSet, Vec<Face>)> {
        let _ = (caller, name, page);
        todo!()
    }

    /// One face. Needs the read grant. `FaceSetNotFound`, `FaceNotFound`.
    pub async fn face(&self, caller: &Caller, name: &FaceSetName, face: FaceId) -> Result<(FaceSet, Face)> {
        let _ = (caller, name, face);
        todo!()
    }

    /// Which of these external ids are already enrolled in the set. Needs the read grant. `FaceSetNotFound`.
    pub async fn enrolled(&self, caller: &Caller, name: &FaceSetName, ids: Vec<ExternalId>) -> Result<Vec<ExternalId>> {
        let _ = (caller, name, ids);
        todo!()
    }

    /// Changes a face's words; custom values are laid over the present ones. Needs the write grant.
    /// `FaceSetNotFound`, `FaceNotFound`, `FieldNotDefined`, `FieldTypeMismatch`.
    pub async fn update_face(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        face: FaceId,
        patch: FacePatch,
    ) -> Result<(FaceSet, Face)> {
        let _ = (caller, name, face, patch);
        todo!()
    }

    /// Deletes faces, all that are meant or none, and returns their ids; none is an empty list. Needs the write
    /// grant. `FaceSetNotFound`, `UnknownField`, and `InvalidArgument` for a filter that does not fit the fields.
    pub async fn delete_faces(
        &self,
        caller: &Caller,
        name: &FaceSetName,
        which: DeleteFaces,
    ) -> Result<(FaceSet, Vec<FaceId>)> {
        let _ = (caller, name, which);
        todo!()
    }
}
