//! The store that forgets: everything in plain maps behind one lock.
//!
//! It is the oracle of the conformance suite and of random tests, so it is written to be obviously right, not fast: a
//! gallery is found by looking at every face. Each write checks everything first and changes something only afterwards,
//! which makes it all or nothing without a way back.

mod commits;
mod credentials;
mod faces;
mod jobs;
mod persons;
mod records;
mod thumbnails;
mod transient;
mod uploads;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use likeness_domain::access::{Limits, TenantUsage};
use likeness_domain::ports::{
    Change, Clock, CommitPage, FaceMove, FacePage, FaceScope, FaceSelector, GalleryChange, GalleryStore, OwnersId,
    Page, Pending, PersonSummary, RecordPage, RecordPlace, StoreHealth, StoreReport, TemplatePage, VectorIndex,
};
use likeness_domain::types::{
    AccessKey, Actor, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetBytes, FaceSetId, FaceSetName, FaceSetPatch,
    FaceSetSummary, InstallationSecret, NewFace, NewFaceSet, NewPerson, PackId, Person, PersonId, PersonKey,
    PersonPatch, Precondition, Revision, Template, Tenant, TenantId, Thumbnail, TimestampMs, TransientFace,
};
use likeness_domain::{Error, Kind, Result};

use self::commits::Stored;
use crate::clock::WallClock;
use crate::commits::ref_of;
use crate::gallery::{check_capacity, patched};
use crate::id::free_id;
use crate::wait::wait_for;

/// Faces, keys and jobs in memory, gone with the process.
pub struct MemoryStore {
    state: Mutex<State>,
    index: Arc<dyn VectorIndex>,
}

/// Everything, in the order it came: maps are keyed by a number that only grows.
#[derive(Default)]
struct State {
    revision: Revision,
    last_sequence: u64,
    face_sets: BTreeMap<u64, FaceSet>,
    persons: BTreeMap<u64, Person>,
    memberships: BTreeMap<u64, (FaceSetId, PersonId)>,
    made_by_joining: HashSet<FaceSetId>,
    faces: BTreeMap<u64, Face>,
    /// The templates of each face, one per pack.
    templates: BTreeMap<u64, Vec<Template>>,
    /// Pictures of faces and held faces, by their sequences.
    thumbnails: BTreeMap<u64, Thumbnail>,
    held: BTreeMap<u64, TransientFace>,
    tenants: Vec<Tenant>,
    keys: Vec<AccessKey>,
    secret: Option<InstallationSecret>,
    jobs: jobs::Jobs,
    spent: jobs::Spent,
    pictures: uploads::Pictures,
    records: records::Records,
    deleted_tenants: HashSet<TenantId>,
    commits: Vec<Stored>,
}

/// What a write has changed so far.
#[derive(Default)]
struct Changes(Vec<Change>);

impl Changes {
    fn push(&mut self, change: impl Into<Change>) {
        self.0.push(change.into());
    }

    fn extend(&mut self, changes: impl IntoIterator<Item = GalleryChange>) {
        self.0.extend(changes.into_iter().map(Change::Gallery));
    }
}

impl MemoryStore {
    /// An empty store that feeds `index`.
    pub fn open(index: Arc<dyn VectorIndex>) -> Self {
        Self { state: Mutex::default(), index }
    }

    fn read(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One commit: the index learns of it under the same lock, so in order and before it is acknowledged.
    fn write<T>(&self, act: impl FnOnce(&mut State, &mut Changes) -> Result<T>) -> Result<T> {
        let mut state = self.read();
        let mut changes = Changes::default();
        let answer = act(&mut state, &mut changes)?;
        self.commit(&mut state, None, changes);
        Ok(answer)
    }

    /// The same on somebody's behalf, kept as a commit.
    fn write_as<T>(
        &self,
        actor: Actor,
        act: impl FnOnce(&mut State, TenantId, &mut Changes) -> Result<T>,
    ) -> Result<T> {
        let mut state = self.read();
        state.refuse_deleted(actor.tenant)?;
        state.refuse_unusable(&actor)?;
        let mut changes = Changes::default();
        let answer = act(&mut state, actor.tenant, &mut changes)?;
        self.commit(&mut state, Some(actor), changes);
        Ok(answer)
    }

    /// Fills the index anew with every gallery.
    fn fill_index(&self, state: &State) -> Result<()> {
        wait_for(self.index.restart())?;
        for face_set in state.face_sets.values() {
            let opened = GalleryChange::Open {
                face_set: face_set.id,
                pack: face_set.pack.clone(),
                schema: Arc::new(face_set.schema.clone()),
            };
            let rows = state.gallery(face_set).filter_map(|(sequence, _)| state.put_change(sequence, face_set));
            let changes = std::iter::once(opened).chain(rows).collect();
            wait_for(self.index.apply(state.revision, changes))?;
        }
        wait_for(self.index.resume(state.revision))
    }

    fn commit(&self, state: &mut State, actor: Option<Actor>, Changes(changes): Changes) {
        state.revision.0 += 1;
        let revision = state.revision;
        if let Some(actor) = actor.filter(|_| !changes.is_empty()) {
            let refs = changes.iter().map(ref_of).collect();
            let actor = Actor { key_must_be_usable: false, lease: None, ..actor };
            state.commits.push(Stored { revision, at: WallClock.now(), actor, changes: refs });
        }
        let seen = changes.into_iter().filter_map(|change| match change {
            Change::Gallery(change) => Some(change),
            _ => None,
        });
        if let Err(error) = wait_for(self.index.apply(revision, seen.collect())) {
            tracing::error!(revision = revision.0, %error, "the index failed, it is filled anew");
            if let Err(error) = self.fill_index(state) {
                tracing::error!(%error, "the index could not be filled, searches are refused");
            }
        }
    }
}

fn ready<'a, T: Send + 'a>(answer: Result<T>) -> Pending<'a, T> {
    Box::pin(std::future::ready(answer))
}

impl State {
    fn next_sequence(&mut self) -> u64 {
        self.last_sequence += 1;
        self.last_sequence
    }

    fn face_set(&self, tenant: TenantId, id: FaceSetId) -> Result<&FaceSet> {
        self.face_sets
            .values()
            .find(|face_set| face_set.tenant == tenant && face_set.id == id)
            .ok_or_else(|| Error::new(Kind::FaceSetNotFound, "the face set does not exist"))
    }

    fn face_set_named(&self, tenant: TenantId, name: &FaceSetName) -> Option<&FaceSet> {
        self.face_sets.values().find(|face_set| face_set.tenant == tenant && face_set.name == *name)
    }

    fn person(&self, tenant: TenantId, id: PersonId) -> Result<&Person> {
        self.persons
            .values()
            .find(|person| person.tenant == tenant && person.id == id)
            .ok_or_else(|| Error::new(Kind::PersonNotFound, "the person does not exist"))
    }

    fn n_face_sets(&self, tenant: TenantId) -> u64 {
        self.face_sets.values().filter(|face_set| face_set.tenant == tenant).count() as u64
    }

    fn is_member(&self, face_set: FaceSetId, person: PersonId) -> bool {
        self.memberships.values().any(|&membership| membership == (face_set, person))
    }

    /// The face's template of that pack.
    fn template(&self, sequence: u64, pack: &PackId) -> Option<&Template> {
        self.templates.get(&sequence)?.iter().find(|template| template.pack() == pack)
    }

    /// Whether the face is in the gallery of the set.
    fn is_shown(&self, sequence: u64, face_set: &FaceSet) -> bool {
        match self.faces[&sequence].owner {
            FaceOwner::FaceSet(owner) => owner == face_set.id,
            FaceOwner::Person(owner) => {
                self.is_member(face_set.id, owner) && self.template(sequence, &face_set.pack).is_some()
            }
        }
    }

    /// The gallery of a set in order of enrolment.
    fn gallery<'a>(&'a self, face_set: &'a FaceSet) -> impl Iterator<Item = (u64, &'a Face)> {
        let faces = self.faces.iter().map(|(&sequence, face)| (sequence, face));
        faces.filter(|&(sequence, _)| self.is_shown(sequence, face_set))
    }

    fn n_gallery(&self, face_set: &FaceSet) -> u64 {
        self.gallery(face_set).count() as u64
    }

    /// Every set that shows the face.
    fn galleries_of(&self, sequence: u64) -> impl Iterator<Item = &FaceSet> {
        self.face_sets.values().filter(move |face_set| self.is_shown(sequence, face_set))
    }

    /// `TooManyFaceSets` if `n_more` would be more than the tenant may have.
    fn check_quota(&self, tenant: TenantId, n_more: u64, face_sets_max: Option<u64>) -> Result<()> {
        match face_sets_max {
            Some(n_max) if n_more > 0 && self.n_face_sets(tenant).saturating_add(n_more) > n_max => Err(Error::new(
                Kind::TooManyFaceSets,
                format!("the tenant may have {n_max} face sets and has {}", self.n_face_sets(tenant)),
            )),
            _ => Ok(()),
        }
    }

    fn insert_face_set(&mut self, tenant: TenantId, new: NewFaceSet, changes: &mut Changes) -> FaceSet {
        let used = |id: u64| self.face_sets.values().any(|face_set| face_set.id.get() == id);
        let id = free_id(new.id.get(), used);
        let face_set = FaceSet {
            id: FaceSetId::new(id).unwrap_or(new.id),
            tenant,
            name: new.name,
            label: new.label,
            note: new.note,
            tags: new.tags,
            pack: new.pack,
            schema: new.schema,
            capacity: new.capacity,
            quality_gate: new.quality_gate,
            thumbnails: new.thumbnails,
            created_at: new.created_at,
        };
        let sequence = self.next_sequence();
        self.face_sets.insert(sequence, face_set.clone());
        changes.push(GalleryChange::Open {
            face_set: face_set.id,
            pack: face_set.pack.clone(),
            schema: Arc::new(face_set.schema.clone()),
        });
        face_set
    }

    fn create_face_set(
        &mut self,
        tenant: TenantId,
        new: NewFaceSet,
        face_sets_max: Option<u64>,
        changes: &mut Changes,
    ) -> Result<FaceSet> {
        if self.face_set_named(tenant, &new.name).is_some() {
            return Err(Error::new(Kind::FaceSetExists, format!("face set `{}` exists already", new.name)));
        }
        self.check_quota(tenant, 1, face_sets_max)?;
        Ok(self.insert_face_set(tenant, new, changes))
    }

    fn update_face_set(
        &mut self,
        tenant: TenantId,
        id: FaceSetId,
        patch: FaceSetPatch,
        changes: &mut Changes,
    ) -> Result<FaceSet> {
        Precondition::check(patch.only_if.as_ref(), self.face_set(tenant, id)?)?;
        if let Some(name) = &patch.name
            && self.face_set_named(tenant, name).is_some_and(|other| other.id != id)
        {
            return Err(Error::new(Kind::FaceSetExists, format!("face set `{name}` exists already")));
        }
        check_capacity(&patch, self.n_gallery(self.face_set(tenant, id)?))?;
        let known = self.face_sets.values_mut().find(|face_set| face_set.id == id);
        let face_set = known.ok_or_else(|| Error::new(Kind::FaceSetNotFound, "the face set does not exist"))?;
        patched(face_set, patch);
        let face_set = face_set.clone();
        changes.push(Change::FaceSetChanged(id));
        self.drop_unwanted_thumbnails();
        Ok(face_set)
    }

    fn delete_face_set(
        &mut self,
        tenant: TenantId,
        id: FaceSetId,
        only_if_empty: bool,
        changes: &mut Changes,
    ) -> Result<()> {
        let face_set = self.face_set(tenant, id)?;
        if only_if_empty && self.n_gallery(face_set) > 0 {
            return Err(Error::new(Kind::FaceSetNotEmpty, format!("face set `{}` is not empty", face_set.name)));
        }
        self.erase_owned(FaceOwner::FaceSet(id));
        self.memberships.retain(|_, (face_set, _)| *face_set != id);
        self.face_sets.retain(|_, face_set| face_set.id != id);
        self.drop_unwanted_thumbnails();
        changes.push(GalleryChange::Close { face_set: id });
        Ok(())
    }

    fn summary(&self, face_set: &FaceSet) -> FaceSetSummary {
        FaceSetSummary { face_set: face_set.clone(), n_faces: self.n_gallery(face_set) }
    }

    fn report(&self) -> StoreReport {
        StoreReport {
            backend: "memory".into(),
            revision: self.revision,
            n_tenants: self.tenants.len() as u64,
            n_face_sets: self.face_sets.len() as u64,
            n_persons: self.persons.len() as u64,
            n_faces: self.faces.len() as u64,
            n_held_faces: self.held.len() as u64,
            ..StoreReport::default()
        }
    }
}

/// The entries of a page.
fn paged<T>(entries: impl Iterator<Item = T>, page: Page) -> Vec<T> {
    let whole = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
    entries.skip(whole(page.offset)).take(whole(page.limit)).collect()
}

impl GalleryStore for MemoryStore {
    fn create_face_set(&self, actor: Actor, new: NewFaceSet, face_sets_max: Option<u64>) -> Pending<'_, FaceSet> {
        ready(self.write_as(actor, |state, tenant, changes| state.create_face_set(tenant, new, face_sets_max, changes)))
    }

    fn face_set(&self, tenant: TenantId, name: FaceSetName) -> Pending<'_, Option<FaceSetSummary>> {
        let state = self.read();
        ready(Ok(state.face_set_named(tenant, &name).map(|face_set| state.summary(face_set))))
    }

    fn face_set_by_id(&self, tenant: TenantId, id: FaceSetId) -> Pending<'_, Option<FaceSetSummary>> {
        let state = self.read();
        ready(Ok(state.face_set(tenant, id).ok().map(|face_set| state.summary(face_set))))
    }

    fn update_face_set(&self, actor: Actor, face_set: FaceSetId, patch: FaceSetPatch) -> Pending<'_, FaceSet> {
        ready(self.write_as(actor, |state, tenant, changes| state.update_face_set(tenant, face_set, patch, changes)))
    }

    fn face_sets(&self, tenant: TenantId) -> Pending<'_, Vec<FaceSetSummary>> {
        let state = self.read();
        let own = state.face_sets.values().filter(|face_set| face_set.tenant == tenant);
        ready(Ok(own.map(|face_set| state.summary(face_set)).collect()))
    }

    fn face_set_bytes(&self, tenant: TenantId, face_set: FaceSetId) -> Pending<'_, FaceSetBytes> {
        let state = self.read();
        let mut bytes = FaceSetBytes { is_exact: true, ..FaceSetBytes::default() };
        let Ok(set) = state.face_set(tenant, face_set) else { return ready(Ok(FaceSetBytes::default())) };
        for (sequence, face) in state.gallery(set) {
            let texts =
                [face.subject.as_ref().map(|text| text.as_str()), face.external_id.as_ref().map(|id| id.as_str())];
            let notes = [&face.note, &face.source].map(|note| note.as_ref().map(|note| note.as_str()));
            bytes.records += 60 + texts.iter().chain(&notes).flatten().map(|text| text.len() as u64).sum::<u64>();
            bytes.templates +=
                state.template(sequence, &set.pack).map_or(0, |template| template.unit().len() as u64 * 4);
            bytes.thumbnails += state.thumbnails.get(&sequence).map_or(0, |thumbnail| thumbnail.bytes().len() as u64);
        }
        ready(Ok(bytes))
    }

    fn delete_face_set(&self, actor: Actor, face_set: FaceSetId, only_if_empty: bool) -> Pending<'_, ()> {
        ready(
            self.write_as(actor, |state, tenant, changes| {
                state.delete_face_set(tenant, face_set, only_if_empty, changes)
            }),
        )
    }

    fn add_faces_of(
        &self,
        actor: Actor,
        faces: Vec<(FaceOwner, Vec<NewFace>)>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Face>> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(self.write_as(actor, |state, tenant, changes| state.add_faces(tenant, faces, &limits, changes)))
    }

    fn faces(&self, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Pending<'_, Vec<Face>> {
        ready(Ok(self.read().faces_by_id(tenant, scope, &ids)))
    }

    fn templates(
        &self,
        tenant: TenantId,
        scope: Option<FaceScope>,
        ids: Vec<FaceId>,
        pack: PackId,
    ) -> Pending<'_, Vec<(FaceId, Template)>> {
        ready(Ok(self.read().templates_of(tenant, scope, ids, &pack)))
    }

    fn faces_with_templates(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        from: u64,
        limit: u64,
    ) -> Pending<'_, TemplatePage> {
        ready(Ok(self.read().faces_with_templates(tenant, face_set, from, limit)))
    }

    fn thumbnails(
        &self,
        tenant: TenantId,
        scope: FaceScope,
        ids: Vec<FaceId>,
    ) -> Pending<'_, Vec<(FaceId, Thumbnail)>> {
        ready(Ok(self.read().thumbnails_of(tenant, scope, ids)))
    }

    fn keeps_thumbnails(&self, tenant: TenantId) -> Pending<'_, bool> {
        ready(Ok(self.read().keeps_thumbnails(tenant)))
    }

    fn put_templates(&self, actor: Actor, templates: Vec<(FaceId, Template)>) -> Pending<'_, ()> {
        ready(self.write_as(actor, |state, tenant, changes| state.put_templates(tenant, templates, changes)))
    }

    fn face_sets_showing(&self, tenant: TenantId, faces: Vec<FaceId>) -> Pending<'_, Vec<FaceSet>> {
        ready(Ok(self.read().face_sets_showing(tenant, faces)))
    }

    fn list_faces(&self, tenant: TenantId, scope: FaceScope, page: Page) -> Pending<'_, Vec<Face>> {
        let state = self.read();
        ready(Ok(paged(state.scope(tenant, scope).into_iter().map(|sequence| state.faces[&sequence].clone()), page)))
    }

    fn faces_from(&self, tenant: TenantId, scope: FaceScope, from: u64, limit: u64) -> Pending<'_, FacePage> {
        let state = self.read();
        let mut rest = state.scope(tenant, scope).into_iter().skip_while(|&sequence| sequence < from);
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        let faces = rest.by_ref().take(limit).map(|sequence| state.faces[&sequence].clone()).collect();
        ready(Ok(FacePage { faces, next: rest.next() }))
    }

    fn faces_at(&self, tenant: TenantId, face_set: FaceSetId, places: Vec<u64>) -> Pending<'_, Vec<Face>> {
        let state = self.read();
        let inside = state.scope(tenant, FaceScope::FaceSet(face_set)).into_iter();
        let meant = inside.filter(|sequence| places.contains(sequence));
        ready(Ok(meant.map(|sequence| state.faces[&sequence].clone()).collect()))
    }

    fn places_beginning(
        &self,
        tenant: TenantId,
        face_set: FaceSetId,
        texts: Vec<String>,
        limit: u64,
    ) -> Pending<'_, Vec<u64>> {
        let state = self.read();
        let begins = |text: &str| texts.iter().any(|beginning| text.starts_with(beginning.as_str()));
        let is_meant = |face: &Face| match face.owner {
            FaceOwner::FaceSet(_) => {
                face.subject.as_ref().is_some_and(|subject| begins(subject.as_str()))
                    || face.external_id.as_ref().is_some_and(|id| begins(id.as_str()))
            }
            FaceOwner::Person(id) => state.person(tenant, id).is_ok_and(|person| {
                begins(person.key.as_str()) || person.name.as_ref().is_some_and(|name| begins(name.as_str()))
            }),
        };
        let mut places = state.scope(tenant, FaceScope::FaceSet(face_set));
        places.retain(|sequence| is_meant(&state.faces[sequence]));
        places.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        ready(Ok(places))
    }

    fn external_ids_of(&self, tenant: TenantId, ids: Vec<OwnersId>) -> Pending<'_, Vec<(OwnersId, FaceId)>> {
        ready(Ok(self.read().external_ids(tenant, ids)))
    }

    fn update_face(
        &self,
        actor: Actor,
        scope: FaceScope,
        face: FaceId,
        patch: FacePatch,
        now: TimestampMs,
    ) -> Pending<'_, Face> {
        ready(
            self.write_as(actor, |state, tenant, changes| state.update_face(tenant, scope, face, patch, now, changes)),
        )
    }

    fn delete_faces(&self, actor: Actor, scope: FaceScope, selector: FaceSelector) -> Pending<'_, Vec<FaceId>> {
        ready(self.write_as(actor, |state, tenant, changes| Ok(state.delete_faces(tenant, scope, &selector, changes))))
    }

    fn create_person(
        &self,
        actor: Actor,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, (Person, Vec<FaceSet>)> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(self.write_as(actor, |state, tenant, changes| state.create_person(tenant, new, join, &limits, changes)))
    }

    fn make_members(
        &self,
        actor: Actor,
        face_set: FaceSetId,
        persons: Vec<NewPerson>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<Person>> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(
            self.write_as(actor, |state, tenant, changes| {
                state.make_members(tenant, face_set, persons, &limits, changes)
            }),
        )
    }

    fn person(&self, tenant: TenantId, key: PersonKey) -> Pending<'_, Option<Person>> {
        ready(Ok(self.read().person_named(tenant, &key).cloned()))
    }

    fn persons(&self, tenant: TenantId, ids: Vec<PersonId>) -> Pending<'_, Vec<Person>> {
        let state = self.read();
        ready(Ok(each_once(ids).into_iter().filter_map(|id| state.person(tenant, id).ok().cloned()).collect()))
    }

    fn n_faces_of_person(&self, tenant: TenantId, person: PersonId) -> Pending<'_, u64> {
        let state = self.read();
        let is_known = state.person(tenant, person).is_ok();
        ready(Ok(if is_known { state.owned(FaceOwner::Person(person)).len() as u64 } else { 0 }))
    }

    fn persons_named(
        &self,
        tenant: TenantId,
        keys: Vec<PersonKey>,
        face_set: FaceSetId,
    ) -> Pending<'_, Vec<(PersonSummary, bool)>> {
        let state = self.read();
        let of_key = |key: &PersonKey| {
            let person = state.person_named(tenant, key)?;
            let n_faces = state.owned(FaceOwner::Person(person.id)).len() as u64;
            let is_member = state.is_member(face_set, person.id);
            Some((PersonSummary { person: person.clone(), n_faces }, is_member))
        };
        let mut seen = HashSet::new();
        ready(Ok(keys.iter().filter(|key| seen.insert(*key)).filter_map(of_key).collect()))
    }

    fn persons_after(&self, tenant: TenantId, after: Option<PersonKey>, limit: u64) -> Pending<'_, Vec<PersonSummary>> {
        let state = self.read();
        let of_tenant = state.persons.values().filter(|person| person.tenant == tenant);
        let mut persons: Vec<&Person> =
            of_tenant.filter(|person| after.as_ref().is_none_or(|after| person.key > *after)).collect();
        persons.sort_by(|one, other| one.key.cmp(&other.key));
        persons.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let summary = |person: &Person| PersonSummary {
            person: person.clone(),
            n_faces: state.owned(FaceOwner::Person(person.id)).len() as u64,
        };
        ready(Ok(persons.into_iter().map(summary).collect()))
    }

    fn move_faces(&self, actor: Actor, faces: FaceMove, limits: Option<Limits>) -> Pending<'_, Vec<Face>> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(self.write_as(actor, |state, tenant, changes| state.move_faces(tenant, &faces, &limits, changes)))
    }

    fn update_person(&self, actor: Actor, person: PersonId, patch: PersonPatch) -> Pending<'_, Person> {
        ready(self.write_as(actor, |state, tenant, changes| state.update_person(tenant, person, patch, changes)))
    }

    fn delete_person(&self, actor: Actor, person: PersonId) -> Pending<'_, u64> {
        ready(self.write_as(actor, |state, tenant, changes| state.delete_person(tenant, person, changes)))
    }

    fn delete_merged_person(&self, actor: Actor, person: PersonId, into: PersonId) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| state.delete_merged_person(tenant, person, into, changes)))
    }

    fn join_face_sets(
        &self,
        actor: Actor,
        person: PersonId,
        join: Vec<NewFaceSet>,
        limits: Option<Limits>,
    ) -> Pending<'_, Vec<FaceSet>> {
        let limits = limits.unwrap_or(Limits::NONE);
        ready(
            self.write_as(actor, |state, tenant, changes| state.join_face_sets(tenant, person, join, &limits, changes)),
        )
    }

    fn leave_face_sets(&self, actor: Actor, person: PersonId, names: Vec<FaceSetName>) -> Pending<'_, Vec<FaceSet>> {
        ready(self.write_as(actor, |state, tenant, changes| state.leave_face_sets(tenant, person, &names, changes)))
    }

    fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Pending<'_, Vec<FaceSet>> {
        ready(Ok(self.read().face_sets_of(tenant, person)))
    }

    fn members(&self, tenant: TenantId, face_set: FaceSetId, page: Page) -> Pending<'_, (Vec<Person>, u64)> {
        let members = self.read().members(tenant, face_set);
        let n_members = members.len() as u64;
        ready(Ok((paged(members.into_iter(), page), n_members)))
    }

    fn usage(&self, tenant: TenantId) -> Pending<'_, TenantUsage> {
        ready(Ok(self.read().usage(tenant)))
    }

    fn delete_tenant(&self, actor: Actor) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| Ok(state.delete_tenant(tenant, changes))))
    }

    fn changes_after(&self, revision: Revision, limit: usize) -> Pending<'_, CommitPage> {
        ready(Ok(self.read().changes_after(revision, limit)))
    }

    fn record_after(&self, tenant: TenantId, after: RecordPlace, limit: usize) -> Pending<'_, RecordPage> {
        ready(self.read().record_after(tenant, after, limit))
    }

    fn health(&self) -> StoreHealth {
        StoreHealth::default()
    }

    fn report(&self, _thorough: bool) -> Pending<'_, StoreReport> {
        ready(Ok(self.read().report()))
    }
}

/// The same without repetitions, in the order of first mention.
fn each_once<T: Copy + Eq + std::hash::Hash>(ids: Vec<T>) -> Vec<T> {
    let mut seen = HashMap::new();
    ids.into_iter().filter(|&id| seen.insert(id, ()).is_none()).collect()
}
