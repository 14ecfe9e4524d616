//! Face sets: make, list, get, delete.

use super::{CreateFaceSet, Library};
use crate::Result;
use crate::caller::Caller;
use crate::types::{FaceSet, FaceSetName, FaceSetSummary};

impl Library {
    /// Makes a face set pinned to the default pack. Needs the write grant. `FaceSetExists`, `TooManyFaceSets`.
    pub async fn create_face_set(&self, caller: &Caller, request: CreateFaceSet) -> Result<FaceSet> {
        let _ = (&self.ports, caller, request);
        todo!()
    }

    /// Every face set of the tenant, oldest first. Needs the read grant.
    pub async fn face_sets(&self, caller: &Caller) -> Result<Vec<FaceSetSummary>> {
        let _ = caller;
        todo!()
    }

    /// One face set. Needs the read grant. `FaceSetNotFound`.
    pub async fn face_set(&self, caller: &Caller, name: &FaceSetName) -> Result<FaceSetSummary> {
        let _ = (caller, name);
        todo!()
    }

    /// Deletes a face set and its own faces. Needs the write grant. `FaceSetNotFound`, `FaceSetNotEmpty`.
    pub async fn delete_face_set(&self, caller: &Caller, name: &FaceSetName, only_if_empty: bool) -> Result<FaceSet> {
        let _ = (caller, name, only_if_empty);
        todo!()
    }
}
