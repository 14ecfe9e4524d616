//! Face sets: make, list, get, change, delete.

use super::{CreateFaceSet, Library};
use crate::caller::{Caller, Grant};
use crate::types::{FaceSet, FaceSetKey, FaceSetPatch, FaceSetSummary, NewFaceSet, Tags};
use crate::{Error, Kind, Result};

impl Library {
    /// Makes a face set pinned to the default pack. Needs the write grant. `FaceSetExists`, `TooManyFaceSets`.
    pub async fn create_face_set(&self, caller: &Caller, request: CreateFaceSet) -> Result<FaceSet> {
        caller.require(Grant::Write)?;
        let new = NewFaceSet {
            id: self.fresh_id(crate::types::FaceSetId::new),
            name: request.name,
            label: request.label,
            note: request.note,
            tags: request.tags,
            pack: self.default_pack()?.id.clone(),
            schema: request.schema,
            capacity: request.capacity,
            quality_gate: request.quality_gate.unwrap_or(self.default_gate),
            created_at: self.ports.clock.now(),
        };
        self.ports.store.create_face_set(caller.actor(), new, request.face_sets_max).await
    }

    /// Every face set of the tenant, oldest first. Needs the read grant.
    pub async fn face_sets(&self, caller: &Caller) -> Result<Vec<FaceSetSummary>> {
        caller.require(Grant::Read)?;
        self.ports.store.face_sets(caller.tenant).await
    }

    /// The face sets that have all of these tags, oldest first. Needs the read grant.
    pub async fn face_sets_tagged(&self, caller: &Caller, tags: &Tags) -> Result<Vec<FaceSetSummary>> {
        let mut face_sets = self.face_sets(caller).await?;
        face_sets.retain(|summary| summary.face_set.tags.contains(tags));
        Ok(face_sets)
    }

    /// One face set. Needs the read grant. `FaceSetNotFound`.
    pub async fn face_set(&self, caller: &Caller, face_set: impl Into<FaceSetKey<'_>>) -> Result<FaceSetSummary> {
        caller.require(Grant::Read)?;
        self.existing_face_set(caller, face_set).await
    }

    /// Changes a face set's words. Needs the write grant. `FaceSetNotFound`, `FaceSetExists`.
    pub async fn update_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        patch: FaceSetPatch,
    ) -> Result<FaceSet> {
        caller.require(Grant::Write)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        self.ports.store.update_face_set(caller.actor(), face_set.id, patch).await
    }

    /// Deletes a face set and its own faces. Needs the write grant. `FaceSetNotFound`, `FaceSetNotEmpty`.
    pub async fn delete_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        only_if_empty: bool,
    ) -> Result<FaceSet> {
        caller.require(Grant::Write)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        self.ports.store.delete_face_set(caller.actor(), face_set.id, only_if_empty).await?;
        Ok(face_set)
    }

    /// The set that is meant in the caller's tenant, or [`Kind::FaceSetNotFound`]. Asks for no grant: the use case did.
    pub(super) async fn existing_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
    ) -> Result<FaceSetSummary> {
        match face_set.into() {
            FaceSetKey::Name(name) => {
                let found = self.ports.store.face_set(caller.tenant, name.clone()).await?;
                found.ok_or_else(|| Error::new(Kind::FaceSetNotFound, format!("face set `{name}` does not exist")))
            }
            FaceSetKey::Id(id) => {
                let found = self.ports.store.face_set_by_id(caller.tenant, id).await?;
                found.ok_or_else(|| Error::new(Kind::FaceSetNotFound, "no face set has that id"))
            }
        }
    }
}
