//! Face sets: make, list, get, change, delete.

use super::{CreateFaceSet, Library, quota};
use crate::access::{Caller, Grant};
use crate::types::{
    FaceSet, FaceSetBytes, FaceSetKey, FaceSetPatch, FaceSetSummary, NewFaceSet, Note, PackId, Tags, require_new_name,
};
use crate::{Error, Kind, Result};

impl Library {
    /// Makes a face set pinned to the default pack. Needs the manage grant, for every face set. `FaceSetExists`,
    /// `TooManyFaceSets`.
    pub async fn create_face_set(&self, caller: &Caller, request: CreateFaceSet) -> Result<FaceSet> {
        caller.require(Grant::Manage)?;
        let pack = self.default_pack()?.id.clone();
        self.create_face_set_of(caller, request, &pack).await
    }

    /// The same, pinned to another pack, which has to be loaded: `PackNotFound`.
    pub async fn create_face_set_of(&self, caller: &Caller, request: CreateFaceSet, pack: &PackId) -> Result<FaceSet> {
        caller.require(Grant::Manage)?;
        caller.require_every_face_set("make face sets")?;
        require_new_name("face set name", request.name.as_str())?;
        self.named_pack(pack)?;
        let new = NewFaceSet {
            id: self.fresh_id(crate::types::FaceSetId::new),
            name: request.name,
            label: request.label.map(Note::as_name),
            note: request.note,
            tags: request.tags,
            pack: pack.clone(),
            schema: request.schema,
            capacity: quota::capacity(caller, request.capacity),
            quality_gate: request.quality_gate.unwrap_or(self.default_gate),
            thumbnails: request.thumbnails,
            created_at: self.ports.clock.now(),
        };
        self.write(caller).await?.create_face_set(caller.actor(), new, caller.limits().face_sets_max).await
    }

    /// Every face set that the caller may use, oldest first. Needs the read grant.
    pub async fn face_sets(&self, caller: &Caller) -> Result<Vec<FaceSetSummary>> {
        caller.require(Grant::Read)?;
        let mut face_sets = self.ports.store.face_sets(caller.tenant).await?;
        face_sets.retain(|summary| caller.sees(summary.face_set.id));
        Ok(face_sets)
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

    /// How many bytes the faces of a set take. Needs the read grant. `FaceSetNotFound`.
    pub async fn face_set_bytes(&self, caller: &Caller, face_set: impl Into<FaceSetKey<'_>>) -> Result<FaceSetBytes> {
        caller.require(Grant::Read)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        self.ports.store.face_set_bytes(caller.tenant, face_set.id).await
    }

    /// One face set, for whoever is about to do something with it and needs to know how it is made: any grant will do, as
    /// the use case that follows asks for its own. `FaceSetNotFound`, `Forbidden` without any grant.
    pub async fn known_face_set(&self, caller: &Caller, face_set: impl Into<FaceSetKey<'_>>) -> Result<FaceSetSummary> {
        caller.require_any()?;
        self.existing_face_set(caller, face_set).await
    }

    /// Changes a face set's name, texts, tags, quality gate, capacity, or whether it keeps small pictures. Needs the manage grant. `FaceSetNotFound`,
    /// `FaceSetExists`; `InvalidArgument` for a capacity below the number of its faces.
    pub async fn update_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        mut patch: FaceSetPatch,
    ) -> Result<FaceSet> {
        caller.require(Grant::Manage)?;
        patch.label = patch.label.map(Note::as_name);
        if let Some(name) = &patch.name {
            require_new_name("face set name", name.as_str())?;
        }
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        self.write(caller).await?.update_face_set(caller.actor(), face_set.id, patch).await
    }

    /// Deletes a face set and its own faces. Needs the manage and the delete grant. `FaceSetNotFound`, `FaceSetNotEmpty`.
    pub async fn delete_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
        only_if_empty: bool,
    ) -> Result<FaceSet> {
        caller.require(Grant::Manage)?;
        caller.require(Grant::Delete)?;
        let face_set = self.existing_face_set(caller, face_set).await?.face_set;
        self.write(caller).await?.delete_face_set(caller.actor(), face_set.id, only_if_empty).await?;
        Ok(face_set)
    }

    /// The set that is meant in the caller's tenant, or [`Kind::FaceSetNotFound`], also if the caller may not use it. Every
    /// use case looks its sets up here. Asks for no grant: the use case did.
    pub(super) async fn existing_face_set(
        &self,
        caller: &Caller,
        face_set: impl Into<FaceSetKey<'_>>,
    ) -> Result<FaceSetSummary> {
        match face_set.into() {
            FaceSetKey::Name(name) => {
                let found = self.ports.store.face_set(caller.tenant, name.clone()).await?;
                let seen = found.filter(|summary| caller.sees(summary.face_set.id));
                seen.ok_or_else(|| Error::new(Kind::FaceSetNotFound, format!("face set `{name}` does not exist")))
            }
            FaceSetKey::Id(id) => {
                let found = self.ports.store.face_set_by_id(caller.tenant, id).await?;
                let seen = found.filter(|summary| caller.sees(summary.face_set.id));
                seen.ok_or_else(|| Error::new(Kind::FaceSetNotFound, "no face set has that id"))
            }
        }
    }
}
