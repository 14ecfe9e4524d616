//! Faces: enrol, find, change, delete.

use std::collections::HashSet;

use likeness_domain::access::Limits;
use likeness_domain::filter::FilterRow;
use likeness_domain::ports::{Change, FaceScope, FaceSelector, GalleryChange, OwnersId, TemplatePage};
use likeness_domain::types::{
    ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, FieldSchema, NewFace, PackId, Precondition,
    Template, TenantId, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};

use super::{Changes, State, each_once};
use crate::bounds;
use crate::gallery::{entry, slots};
use crate::id::free_id;

impl State {
    /// Sequences of the faces in the scope, in order; empty for a scope the tenant does not have.
    pub(super) fn scope(&self, tenant: TenantId, scope: FaceScope) -> Vec<u64> {
        match scope {
            FaceScope::FaceSet(id) => match self.face_set(tenant, id) {
                Ok(face_set) => self.gallery(face_set).map(|(sequence, _)| sequence).collect(),
                Err(_) => Vec::new(),
            },
            FaceScope::Person(id) if self.person(tenant, id).is_ok() => self.owned(FaceOwner::Person(id)),
            FaceScope::Person(_) => Vec::new(),
        }
    }

    pub(super) fn owned(&self, owner: FaceOwner) -> Vec<u64> {
        self.faces.iter().filter(|(_, face)| face.owner == owner).map(|(&sequence, _)| sequence).collect()
    }

    fn check_owner(&self, tenant: TenantId, owner: FaceOwner) -> Result<()> {
        match owner {
            FaceOwner::FaceSet(id) => self.face_set(tenant, id).map(drop),
            FaceOwner::Person(id) => self.person(tenant, id).map(drop),
        }
    }

    pub(super) fn add_faces(
        &mut self,
        tenant: TenantId,
        faces: Vec<(FaceOwner, Vec<NewFace>)>,
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<Vec<Face>> {
        // In this order in every store: face sets, persons, packs, limits.
        for are_persons in [false, true] {
            let owners = faces.iter().map(|(owner, _)| *owner);
            for owner in owners.filter(|owner| matches!(owner, FaceOwner::Person(_)) == are_persons) {
                self.check_owner(tenant, owner)?;
            }
        }
        for (owner, theirs) in &faces {
            self.check_packs(tenant, *owner, theirs)?;
        }
        let faces: Vec<(FaceOwner, NewFace)> =
            faces.into_iter().flat_map(|(owner, theirs)| theirs.into_iter().map(move |new| (owner, new))).collect();
        self.check_capacity(tenant, &faces, limits)?;
        self.check_external_ids(&faces)?;
        let mut enrolled = Vec::with_capacity(faces.len());
        for (owner, mut new) in faces {
            let thumbnail = new.thumbnail.take();
            let wanted = new.spare_id.filter(|_| self.is_face_id_used(new.id.get())).unwrap_or(new.id);
            let id = free_id(wanted.get(), |id| self.is_face_id_used(id));
            let id = FaceId::new(id).unwrap_or(new.id);
            let (face, template) = new.enrolled(id, tenant, owner);
            let sequence = self.next_sequence();
            self.faces.insert(sequence, face.clone());
            self.templates.insert(sequence, vec![template]);
            self.keep_thumbnail(sequence, thumbnail);
            self.show(sequence, changes);
            enrolled.push(face);
        }
        Ok(enrolled)
    }

    /// Tells every gallery that has the face.
    pub(super) fn show(&self, sequence: u64, changes: &mut Changes) {
        changes.extend(self.galleries_of(sequence).filter_map(|face_set| self.put_change(sequence, face_set)));
    }

    /// The face as a row of the set's gallery; `None` if it is not in it.
    pub(super) fn put_change(&self, sequence: u64, face_set: &FaceSet) -> Option<GalleryChange> {
        if !self.is_shown(sequence, face_set) {
            return None;
        }
        let template = self.template(sequence, &face_set.pack)?.clone();
        let entry = entry(&self.faces[&sequence], template, sequence, &face_set.schema);
        Some(GalleryChange::Put { face_set: face_set.id, entry })
    }

    /// Erases every face of an owner that is being deleted.
    pub(super) fn erase_owned(&mut self, owner: FaceOwner) {
        for sequence in self.owned(owner) {
            self.faces.remove(&sequence);
            self.templates.remove(&sequence);
            self.thumbnails.remove(&sequence);
        }
    }

    /// Sequence of the tenant's face with that id, wherever it is.
    fn sequence_of(&self, tenant: TenantId, id: FaceId) -> Option<u64> {
        let found = self.faces.iter().find(|(_, face)| face.tenant == tenant && face.id == id);
        found.map(|(&sequence, _)| sequence)
    }

    pub(super) fn templates_of(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: &PackId,
    ) -> Vec<(FaceId, Template)> {
        let inside = scope.map(|scope| self.scope(tenant, scope));
        let find = |id: FaceId| {
            let sequence = self.sequence_of(tenant, id)?;
            let is_meant = inside.as_ref().is_none_or(|inside| inside.contains(&sequence));
            let template = self.template(sequence, pack).filter(|_| is_meant)?;
            Some((id, template.clone()))
        };
        each_once(ids).into_iter().filter_map(find).collect()
    }

    /// `from` is the sequence of the first face that is meant.
    pub(super) fn faces_with_templates(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        from: u64,
        limit: u64,
    ) -> TemplatePage {
        let Ok(set) = self.face_set(tenant, face_set) else { return TemplatePage::default() };
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut rest = self.gallery(set).map(|(sequence, _)| sequence).filter(|&sequence| sequence >= from);
        let page: Vec<u64> = rest.by_ref().take(limit).collect();
        let read = |&sequence: &u64| {
            let template = self.template(sequence, &set.pack)?;
            Some((self.faces[&sequence].clone(), template.clone()))
        };
        TemplatePage { faces: page.iter().filter_map(read).collect(), n_damaged: 0, next: rest.next() }
    }

    pub(super) fn put_templates(
        &mut self,
        tenant: TenantId,
        templates: Vec<(FaceId, Template)>,
        changes: &mut Changes,
    ) -> Result<()> {
        let n_before: Vec<u64> = self.face_sets.values().map(|face_set| self.n_gallery(face_set)).collect();
        let before = self.templates.clone();
        let mut touched: Vec<(u64, PackId)> = Vec::new();
        for (id, template) in templates {
            let Some(sequence) = self.sequence_of(tenant, id) else {
                self.templates = before;
                return Err(Error::new(Kind::FaceNotFound, format!("face {id} does not exist")));
            };
            let of_face = self.templates.entry(sequence).or_default();
            of_face.retain(|old| old.pack() != template.pack());
            touched.push((sequence, template.pack().clone()));
            of_face.push(template);
        }
        let overfull = self.face_sets.values().zip(n_before).find(|(face_set, n_before)| {
            let n_now = self.n_gallery(face_set);
            n_now > *n_before && face_set.capacity.is_some_and(|capacity| n_now > capacity)
        });
        if let Some((face_set, _)) = overfull {
            let message = format!("face set `{}` has no room for the faces that would join it", face_set.name);
            self.templates = before;
            return Err(Error::new(Kind::CapacityExceeded, message));
        }
        for (sequence, pack) in touched {
            changes.push(Change::TemplatePut(self.faces[&sequence].id, pack.clone()));
            let of_pack = self.galleries_of(sequence).filter(|face_set| face_set.pack == pack);
            changes.extend(of_pack.filter_map(|face_set| self.put_change(sequence, face_set)));
        }
        Ok(())
    }

    pub(super) fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Vec<FaceSet> {
        let mut found: Vec<FaceSet> = Vec::new();
        for sequence in each_once(faces).into_iter().filter_map(|id| self.sequence_of(tenant, id)) {
            let joined = match self.faces[&sequence].owner {
                FaceOwner::FaceSet(id) => self.face_set(tenant, id).into_iter().cloned().collect(),
                FaceOwner::Person(id) => self.face_sets_of(tenant, id),
            };
            for face_set in joined.into_iter().filter(|face_set| self.is_shown(sequence, face_set)) {
                if found.iter().all(|other| other.id != face_set.id) {
                    found.push(face_set);
                }
            }
        }
        found
    }

    fn check_packs(&self, tenant: TenantId, owner: FaceOwner, faces: &[NewFace]) -> Result<()> {
        let FaceOwner::FaceSet(id) = owner else { return Ok(()) };
        let pack = &self.face_set(tenant, id)?.pack;
        match faces.iter().find(|face| face.template.pack() != pack) {
            None => Ok(()),
            Some(face) => Err(Error::invalid(
                "template",
                format!("a template of pack `{}` does not fit a face set of pack `{pack}`", face.template.pack()),
            )),
        }
    }

    fn check_capacity(&self, tenant: TenantId, faces: &[(FaceOwner, NewFace)], limits: &Limits) -> Result<()> {
        for owner in each_once(faces.iter().map(|(owner, _)| *owner).collect()) {
            if let FaceOwner::Person(_) = owner {
                let n_more = faces.iter().filter(|(other, _)| *other == owner).count();
                limits.check_person_faces(self.owned(owner).len() as u64, n_more as u64)?;
            }
        }
        limits.check_tenant_faces(self.usage(tenant).n_faces, faces.len() as u64)?;
        for face_set in self.face_sets.values() {
            let is_shown = |(owner, face): &&(FaceOwner, NewFace)| match *owner {
                FaceOwner::FaceSet(id) => id == face_set.id,
                FaceOwner::Person(id) => self.is_member(face_set.id, id) && *face.template.pack() == face_set.pack,
            };
            let n_more = faces.iter().filter(is_shown).count();
            bounds::check_gallery(face_set, self.n_gallery(face_set), n_more as u64, limits)?;
        }
        Ok(())
    }

    fn check_external_ids(&self, faces: &[(FaceOwner, NewFace)]) -> Result<()> {
        let id_of = |owner, external_id: &Option<ExternalId>| external_id.clone().map(|id| (owner, id));
        let mut used: HashSet<OwnersId> =
            self.faces.values().filter_map(|face| id_of(face.owner, &face.external_id)).collect();
        for id in faces.iter().filter_map(|(owner, face)| id_of(*owner, &face.external_id)) {
            if used.contains(&id) {
                let message = format!("a face with external id `{}` is enrolled already", id.1);
                return Err(Error::new(Kind::FaceExists, message));
            }
            used.insert(id);
        }
        Ok(())
    }

    pub(super) fn faces_by_id(&self, tenant: TenantId, scope: FaceScope, ids: &[FaceId]) -> Vec<Face> {
        let inside = self.scope(tenant, scope);
        let find = |id: FaceId| inside.iter().map(|sequence| &self.faces[sequence]).find(|face| face.id == id).cloned();
        each_once(ids.to_vec()).into_iter().filter_map(find).collect()
    }

    pub(super) fn external_ids(&self, tenant: TenantId, ids: Vec<OwnersId>) -> Vec<(OwnersId, FaceId)> {
        let mut answer: Vec<(OwnersId, FaceId)> = Vec::new();
        for id in ids {
            let is_user = |face: &&Face| face.owner == id.0 && face.external_id.as_ref() == Some(&id.1);
            if self.check_owner(tenant, id.0).is_ok()
                && let Some(user) = self.faces.values().find(is_user)
                && !answer.iter().any(|(other, _)| *other == id)
            {
                answer.push((id, user.id));
            }
        }
        answer
    }

    pub(super) fn update_face(
        &mut self,
        tenant: TenantId,
        scope: FaceScope,
        id: FaceId,
        patch: FacePatch,
        now: TimestampMs,
        changes: &mut Changes,
    ) -> Result<Face> {
        let inside = self.scope(tenant, scope);
        let sequence = inside
            .into_iter()
            .find(|sequence| self.faces[sequence].id == id)
            .ok_or_else(|| Error::new(Kind::FaceNotFound, format!("face {id} does not exist there")))?;
        let mut face = self.faces[&sequence].clone();
        Precondition::check(patch.only_if.as_ref(), &face)?;
        patch.apply(&mut face);
        face.updated_at = now;
        self.faces.insert(sequence, face.clone());
        self.show(sequence, changes);
        Ok(face)
    }

    pub(super) fn delete_faces(
        &mut self,
        tenant: TenantId,
        scope: FaceScope,
        selector: &FaceSelector,
        changes: &mut Changes,
    ) -> Vec<FaceId> {
        let no_fields = FieldSchema::default();
        let schema = match scope {
            FaceScope::FaceSet(id) => self.face_set(tenant, id).map_or(&no_fields, |face_set| &face_set.schema),
            FaceScope::Person(_) => &no_fields,
        };
        let is_meant = |face: &Face| match selector {
            FaceSelector::Ids(ids) => ids.contains(&face.id),
            FaceSelector::Subject(subject) => face.subject.as_ref() == Some(subject),
            FaceSelector::Field { name, value } => face.fields.get(name.as_str()) == Some(value),
            FaceSelector::Filter(filter) => filter.matches(FilterRow {
                face: face.id,
                subject: face.subject.as_ref().map(|subject| subject.as_str()),
                values: &slots(&face.fields, schema),
            }),
        };
        let mut meant = self.scope(tenant, scope);
        meant.retain(|sequence| is_meant(&self.faces[sequence]));
        meant.into_iter().map(|sequence| self.remove_face(sequence, changes)).collect()
    }

    pub(super) fn remove_face(&mut self, sequence: u64, changes: &mut Changes) -> FaceId {
        let face = self.faces[&sequence].id;
        let galleries = self.galleries_of(sequence);
        changes.extend(galleries.map(|face_set| GalleryChange::Remove { face_set: face_set.id, face }));
        self.faces.remove(&sequence);
        self.templates.remove(&sequence);
        self.thumbnails.remove(&sequence);
        face
    }
}
