//! Held faces.

use likeness_domain::ports::{FaceScope, GalleryChange, HeldFaceStore, Pending};
use likeness_domain::types::{
    Face, FaceId, FaceOwner, FaceSetId, FieldValues, HeldFace, NewHeldFace, Subject, TenantId, TimestampMs,
};
use likeness_domain::{Error, Kind, Result};

use super::{MemoryStore, State, each_once, ready};
use crate::id::free_id;

impl State {
    /// Whether an id names a face, held or enrolled, or is the origin of one.
    pub(super) fn is_face_id_used(&self, id: u64) -> bool {
        self.faces.values().any(|face| face.id.get() == id || face.origin.get() == id)
            || self.held.values().any(|held| held.id.get() == id)
    }

    fn hold_faces(&mut self, tenant: TenantId, faces: Vec<NewHeldFace>, held_max: u64) -> Vec<HeldFace> {
        let mut held = Vec::with_capacity(faces.len());
        for new in faces {
            let id = free_id(new.id.get(), |id| self.is_face_id_used(id));
            let face = HeldFace {
                id: FaceId::new(id).unwrap_or(new.id),
                tenant,
                template: new.template,
                detection: new.detection,
                quality: new.quality,
                subject: None,
                created_at: new.created_at,
                expires_at: new.expires_at,
            };
            let sequence = self.next_sequence();
            self.held.insert(sequence, face.clone());
            held.push(face);
        }
        let own: Vec<u64> = self.held.iter().filter(|(_, held)| held.tenant == tenant).map(|(&key, _)| key).collect();
        let n_over = own.len().saturating_sub(usize::try_from(held_max).unwrap_or(usize::MAX));
        for sequence in &own[..n_over] {
            self.held.remove(sequence);
        }
        held
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Option<(u64, &HeldFace)> {
        let is_meant = |held: &HeldFace| held.tenant == tenant && held.id == id && now < held.expires_at;
        self.held.iter().find(|(_, held)| is_meant(held)).map(|(&sequence, held)| (sequence, held))
    }

    /// Sequences of the tenant's faces of that origin, in order.
    fn of_origin(&self, tenant: TenantId, origin: FaceId) -> Vec<u64> {
        let own = self.faces.iter().filter(|(_, face)| face.tenant == tenant && face.origin == origin);
        own.map(|(&sequence, _)| sequence).collect()
    }

    fn faces_of_origin(&self, tenant: TenantId, scope: Option<FaceScope>, origins: Vec<FaceId>) -> Vec<Face> {
        let inside = scope.map(|scope| self.scope(tenant, scope));
        let found = each_once(origins).into_iter().flat_map(|origin| self.of_origin(tenant, origin));
        let found = found.filter(|sequence| inside.as_ref().is_none_or(|inside| inside.contains(sequence)));
        found.map(|sequence| self.faces[&sequence].clone()).collect()
    }

    fn enrol_held_face(
        &mut self,
        tenant: TenantId,
        face_set: FaceSetId,
        origin: FaceId,
        id: FaceId,
        now: TimestampMs,
        changes: &mut Vec<GalleryChange>,
    ) -> Result<Face> {
        let face_set = self.face_set(tenant, face_set)?;
        let known = match self.held_face(tenant, origin, now) {
            Some((_, held)) => Some((held.template.clone(), held.detection, held.quality, held.subject.clone())),
            None => self.of_origin(tenant, origin).first().map(|sequence| {
                let face = &self.faces[sequence];
                (face.template.clone(), face.detection, face.quality, face.subject.clone())
            }),
        };
        let (template, detection, quality, subject) =
            known.ok_or_else(|| Error::new(Kind::FaceNotFound, "no face with that id is held or enrolled"))?;
        if self.gallery(face_set).any(|(_, face)| face.origin == origin) {
            return Err(Error::new(Kind::FaceExists, "the face is in the set already"));
        }
        self.check_room(face_set, 1)?;
        if *template.pack() != face_set.pack {
            let (theirs, ours) = (template.pack(), &face_set.pack);
            let message = format!("a template of pack `{theirs}` does not fit a face set of pack `{ours}`");
            return Err(Error::invalid("template", message));
        }
        let owner = FaceOwner::FaceSet(face_set.id);
        let free = free_id(id.get(), |id| self.is_face_id_used(id));
        let face = Face {
            id: FaceId::new(free).unwrap_or(id),
            origin,
            tenant,
            owner,
            template,
            detection,
            quality,
            subject,
            external_id: None,
            fields: FieldValues::default(),
            note: None,
            source: None,
            created_at: now,
            updated_at: now,
        };
        let sequence = self.next_sequence();
        self.faces.insert(sequence, face.clone());
        self.held.retain(|_, held| held.tenant != tenant || held.id != origin);
        self.show(sequence, changes);
        Ok(face)
    }

    fn label_origin(
        &mut self,
        tenant: TenantId,
        origin: FaceId,
        subject: Subject,
        now: TimestampMs,
        changes: &mut Vec<GalleryChange>,
    ) -> Result<()> {
        let held = self.held_face(tenant, origin, now).map(|(sequence, _)| sequence);
        let enrolled = self.of_origin(tenant, origin);
        if held.is_none() && enrolled.is_empty() {
            return Err(Error::new(Kind::FaceNotFound, "no face with that id is held or enrolled"));
        }
        if let Some(held) = held.and_then(|sequence| self.held.get_mut(&sequence)) {
            held.subject = Some(subject.clone());
        }
        for sequence in enrolled {
            if let Some(face) = self.faces.get_mut(&sequence) {
                face.subject = Some(subject.clone());
                face.updated_at = now;
            }
            self.show(sequence, changes);
        }
        Ok(())
    }

    fn delete_origin(
        &mut self,
        tenant: TenantId,
        origin: FaceId,
        now: TimestampMs,
        changes: &mut Vec<GalleryChange>,
    ) -> u64 {
        let held = self.held_face(tenant, origin, now).map(|(sequence, _)| sequence);
        let n_held = held.and_then(|sequence| self.held.remove(&sequence)).iter().count();
        let enrolled = self.of_origin(tenant, origin);
        for &sequence in &enrolled {
            self.remove_face(sequence, changes);
        }
        (n_held + enrolled.len()) as u64
    }
}

impl HeldFaceStore for MemoryStore {
    fn hold_faces(&self, tenant: TenantId, faces: Vec<NewHeldFace>, held_max: u64) -> Pending<'_, Vec<HeldFace>> {
        ready(self.write(|state, _| Ok(state.hold_faces(tenant, faces, held_max))))
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Pending<'_, Option<HeldFace>> {
        ready(Ok(self.read().held_face(tenant, id, now).map(|(_, held)| held.clone())))
    }

    fn faces_of_origin(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        origins: Vec<FaceId>,
    ) -> Pending<'_, Vec<Face>> {
        ready(Ok(self.read().faces_of_origin(tenant, scope, origins)))
    }

    fn enrol_held_face(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        origin: FaceId,
        id: FaceId,
        now: TimestampMs,
    ) -> Pending<'_, Face> {
        ready(self.write(|state, changes| state.enrol_held_face(tenant, face_set, origin, id, now, changes)))
    }

    fn label_origin(&self, tenant: TenantId, origin: FaceId, subject: Subject, now: TimestampMs) -> Pending<'_, ()> {
        ready(self.write(|state, changes| state.label_origin(tenant, origin, subject, now, changes)))
    }

    fn delete_origin(&self, tenant: TenantId, origin: FaceId, now: TimestampMs) -> Pending<'_, u64> {
        ready(self.write(|state, changes| Ok(state.delete_origin(tenant, origin, now, changes))))
    }

    fn forget_held_faces(&self, now: TimestampMs) -> Pending<'_, u64> {
        if self.read().held.values().all(|held| now < held.expires_at) {
            return ready(Ok(0));
        }
        ready(self.write(|state, _| {
            let n_before = state.held.len();
            state.held.retain(|_, held| now < held.expires_at);
            Ok((n_before - state.held.len()) as u64)
        }))
    }
}
