//! Held faces.

use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceScope, Pending, TransientFaceStore};
use likeness_domain::types::{
    AccessKeyId, Actor, Face, FaceId, FaceOwner, FaceSetId, FieldValues, NewTransientFace, Subject, TenantId,
    TimestampMs, TransientFace,
};
use likeness_domain::{Error, Kind, Result};

use super::{Changes, MemoryStore, State, each_once, ready};
use crate::bounds;
use crate::id::free_id;

impl State {
    /// Whether an id names a face, held or enrolled, or is the source face of one.
    pub(super) fn is_face_id_used(&self, id: u64) -> bool {
        self.faces.values().any(|face| face.id.get() == id || face.source_face.get() == id)
            || self.held.values().any(|held| held.id.get() == id)
    }

    fn keep_faces(
        &mut self,
        (tenant, key): (TenantId, Option<AccessKeyId>),
        faces: Vec<NewTransientFace>,
        held_max: u64,
        changes: &mut Changes,
    ) -> Vec<TransientFace> {
        let mut held = Vec::with_capacity(faces.len());
        let keeps_thumbnails = self.keeps_thumbnails(tenant);
        for new in faces {
            let id = free_id(new.id.get(), |id| self.is_face_id_used(id));
            let face = TransientFace {
                id: FaceId::new(id).unwrap_or(new.id),
                tenant,
                kept_by: key.clone(),
                template: new.template,
                detection: new.detection,
                quality: new.quality,
                subject: None,
                created_at: new.created_at,
                expires_at: new.expires_at,
            };
            let sequence = self.next_sequence();
            self.held.insert(sequence, face.clone());
            if let Some(thumbnail) = new.thumbnail.filter(|_| keeps_thumbnails) {
                self.thumbnails.insert(sequence, thumbnail);
            }
            changes.push(Change::TransientFaceKept(face.id));
            held.push(face);
        }
        let own: Vec<u64> = self.held.iter().filter(|(_, held)| held.tenant == tenant).map(|(&key, _)| key).collect();
        let n_over = own.len().saturating_sub(usize::try_from(held_max).unwrap_or(usize::MAX));
        for sequence in &own[..n_over] {
            if let Some(gone) = self.held.remove(sequence) {
                changes.push(Change::TransientFaceGone(gone.id));
            }
        }
        self.drop_unwanted_thumbnails();
        held
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Option<(u64, &TransientFace)> {
        let is_meant = |held: &TransientFace| held.tenant == tenant && held.id == id && now < held.expires_at;
        self.held.iter().find(|(_, held)| is_meant(held)).map(|(&sequence, held)| (sequence, held))
    }

    /// Sequences of the tenant's faces of that source face, in order.
    fn of_origin(&self, tenant: TenantId, source_face: FaceId) -> Vec<u64> {
        let own = self.faces.iter().filter(|(_, face)| face.tenant == tenant && face.source_face == source_face);
        own.map(|(&sequence, _)| sequence).collect()
    }

    fn faces_of_source(&self, tenant: TenantId, scope: Option<FaceScope>, source_faces: Vec<FaceId>) -> Vec<Face> {
        let inside = scope.map(|scope| self.scope(tenant, scope));
        let found = each_once(source_faces).into_iter().flat_map(|source_face| self.of_origin(tenant, source_face));
        let found = found.filter(|sequence| inside.as_ref().is_none_or(|inside| inside.contains(sequence)));
        found.map(|sequence| self.faces[&sequence].clone()).collect()
    }

    fn enrol_transient_face(
        &mut self,
        tenant: TenantId,
        face_set: FaceSetId,
        source_face: FaceId,
        (id, now): (FaceId, TimestampMs),
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<Face> {
        let face_set = self.face_set(tenant, face_set)?;
        let known = match self.held_face(tenant, source_face, now) {
            Some((sequence, held)) => {
                Some((sequence, held.template.clone(), held.detection, held.quality, held.subject.clone()))
            }
            None => self.of_origin(tenant, source_face).first().and_then(|&sequence| {
                let face = &self.faces[&sequence];
                let of_set = self.template(sequence, &face_set.pack);
                let template = of_set.or_else(|| self.template(sequence, &face.pack))?.clone();
                Some((sequence, template, face.detection, face.quality, face.subject.clone()))
            }),
        };
        let (known_as, template, detection, quality, subject) =
            known.ok_or_else(|| Error::new(Kind::FaceNotFound, "no face with that id is held or enrolled"))?;
        if self.gallery(face_set).any(|(_, face)| face.source_face == source_face) {
            return Err(Error::new(Kind::FaceExists, "the face is in the set already"));
        }
        bounds::check_gallery(face_set, self.n_gallery(face_set), 1, limits)?;
        limits.check_tenant_faces(self.usage(tenant).n_faces, 1)?;
        if *template.pack() != face_set.pack {
            let (theirs, ours) = (template.pack(), &face_set.pack);
            let message = format!("a template of pack `{theirs}` does not fit a face set of pack `{ours}`");
            return Err(Error::invalid("template", message));
        }
        let owner = FaceOwner::FaceSet(face_set.id);
        let free = free_id(id.get(), |id| self.is_face_id_used(id));
        let face = Face {
            id: FaceId::new(free).unwrap_or(id),
            source_face,
            tenant,
            owner,
            pack: template.pack().clone(),
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
        self.templates.insert(sequence, vec![template]);
        self.keep_thumbnail(sequence, self.thumbnails.get(&known_as).cloned());
        let n_before = self.held.len();
        self.held.retain(|_, held| held.tenant != tenant || held.id != source_face);
        if self.held.len() < n_before {
            changes.push(Change::TransientFaceGone(source_face));
        }
        self.drop_unwanted_thumbnails();
        self.show(sequence, changes);
        Ok(face)
    }

    fn label_source(
        &mut self,
        tenant: TenantId,
        source_face: FaceId,
        subject: Subject,
        now: TimestampMs,
        changes: &mut Changes,
    ) -> Result<()> {
        let held = self.held_face(tenant, source_face, now).map(|(sequence, _)| sequence);
        let enrolled = self.of_origin(tenant, source_face);
        if held.is_none() && enrolled.is_empty() {
            return Err(Error::new(Kind::FaceNotFound, "no face with that id is held or enrolled"));
        }
        if let Some(held) = held.and_then(|sequence| self.held.get_mut(&sequence)) {
            held.subject = Some(subject.clone());
            changes.push(Change::TransientFaceKept(source_face));
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

    fn delete_source(&mut self, tenant: TenantId, source_face: FaceId, now: TimestampMs, changes: &mut Changes) -> u64 {
        let held = self.held_face(tenant, source_face, now).map(|(sequence, _)| sequence);
        let n_held = held.and_then(|sequence| self.held.remove(&sequence)).iter().count();
        if n_held > 0 {
            changes.push(Change::TransientFaceGone(source_face));
        }
        let enrolled = self.of_origin(tenant, source_face);
        for &sequence in &enrolled {
            self.remove_face(sequence, changes);
        }
        self.drop_unwanted_thumbnails();
        (n_held + enrolled.len()) as u64
    }
}

impl TransientFaceStore for MemoryStore {
    fn keep_faces(&self, actor: Actor, faces: Vec<NewTransientFace>, held_max: u64) -> Pending<'_, Vec<TransientFace>> {
        let key = actor.key.clone();
        ready(
            self.write_as(actor, |state, tenant, changes| {
                Ok(state.keep_faces((tenant, key), faces, held_max, changes))
            }),
        )
    }

    fn held_face(&self, tenant: TenantId, id: FaceId, now: TimestampMs) -> Pending<'_, Option<TransientFace>> {
        ready(Ok(self.read().held_face(tenant, id, now).map(|(_, held)| held.clone())))
    }

    fn faces_of_source(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        source_faces: Vec<FaceId>,
    ) -> Pending<'_, Vec<Face>> {
        ready(Ok(self.read().faces_of_source(tenant, scope, source_faces)))
    }

    fn enrol_transient_face(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        source_face: FaceId,
        id: FaceId,
        now: TimestampMs,
        limits: Option<Limits>,
    ) -> Pending<'_, Face> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(self.write_as(actor, |state, tenant, changes| {
            state.enrol_transient_face(tenant, face_set, source_face, (id, now), &limits, changes)
        }))
    }

    fn label_source(&self, actor: Actor, source_face: FaceId, subject: Subject, now: TimestampMs) -> Pending<'_, ()> {
        ready(
            self.write_as(actor, |state, tenant, changes| {
                state.label_source(tenant, source_face, subject, now, changes)
            }),
        )
    }

    fn delete_source(&self, actor: Actor, source_face: FaceId, now: TimestampMs) -> Pending<'_, u64> {
        ready(self.write_as(actor, |state, tenant, changes| Ok(state.delete_source(tenant, source_face, now, changes))))
    }

    fn purge_expired_faces(&self, now: TimestampMs) -> Pending<'_, u64> {
        if self.read().held.values().all(|held| now < held.expires_at) {
            return ready(Ok(0));
        }
        ready(self.write(|state, _| {
            let n_before = state.held.len();
            state.held.retain(|_, held| now < held.expires_at);
            state.drop_unwanted_thumbnails();
            Ok((n_before - state.held.len()) as u64)
        }))
    }
}
