//! Persons and the sets they are members of.

use std::collections::HashSet;

use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceMove, GalleryChange};
use likeness_domain::types::{
    Face, FaceOwner, FaceSet, FaceSetId, FaceSetName, NewFaceSet, NewPerson, Person, PersonId, PersonKey, PersonPatch,
    Precondition, TenantId,
};
use likeness_domain::{Error, Kind, Result};

use super::{Changes, State};
use crate::bounds;
use crate::id::free_id;

impl State {
    pub(super) fn create_person(
        &mut self,
        tenant: TenantId,
        new: NewPerson,
        join: Vec<NewFaceSet>,
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<(Person, Vec<FaceSet>)> {
        if self.person_named(tenant, &new.key).is_some() {
            return Err(Error::new(Kind::PersonExists, format!("person `{}` exists already", new.key)));
        }
        limits.check_persons(self.usage(tenant).n_persons, 1)?;
        self.check_quota(tenant, self.n_missing(tenant, &join), limits.face_sets_max)?;
        let person = self.insert_person(tenant, new);
        let mut joined: Vec<FaceSet> = Vec::new();
        for new_set in join {
            let face_set = self.join_face_set(tenant, person.id, new_set, changes);
            if joined.iter().all(|other| other.id != face_set.id) {
                joined.push(face_set);
            }
        }
        changes.push(Change::PersonChanged(person.id));
        Ok((person, joined))
    }

    pub(super) fn person_named(&self, tenant: TenantId, key: &PersonKey) -> Option<&Person> {
        self.persons.values().find(|person| person.tenant == tenant && person.key == *key)
    }

    /// Makes the person. Checks were done.
    fn insert_person(&mut self, tenant: TenantId, new: NewPerson) -> Person {
        let used = |id: u64| self.persons.values().any(|person| person.id.get() == id);
        let id = free_id(new.id.get(), used);
        let person = Person {
            id: PersonId::new(id).unwrap_or(new.id),
            tenant,
            key: new.key,
            name: new.name,
            note: new.note,
            created_at: new.created_at,
        };
        let sequence = self.next_sequence();
        self.persons.insert(sequence, person.clone());
        person
    }

    pub(super) fn make_members(
        &mut self,
        tenant: TenantId,
        face_set: FaceSetId,
        mut persons: Vec<NewPerson>,
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<Vec<Person>> {
        let face_set = self.face_set(tenant, face_set)?.clone();
        let mut seen = HashSet::new();
        persons.retain(|new| seen.insert(new.key.clone()));
        let known: Vec<&Person> = persons.iter().filter_map(|new| self.person_named(tenant, &new.key)).collect();
        let n_new = (persons.len() - known.len()) as u64;
        limits.check_persons(self.usage(tenant).n_persons, n_new)?;
        let strangers = known.iter().filter(|person| !self.is_member(face_set.id, person.id));
        let faces = strangers.flat_map(|person| self.owned(FaceOwner::Person(person.id)));
        let n_more = faces.filter(|&sequence| self.template(sequence, &face_set.pack).is_some()).count();
        bounds::check_gallery(&face_set, self.n_gallery(&face_set), n_more as u64, limits)?;
        let mut members = Vec::with_capacity(persons.len());
        for new in persons {
            let person = match self.person_named(tenant, &new.key) {
                Some(person) => person.clone(),
                None => self.insert_person(tenant, new),
            };
            if self.join(&face_set, person.id, changes) {
                changes.push(Change::PersonChanged(person.id));
            }
            members.push(person);
        }
        Ok(members)
    }

    /// Makes the person a member of the set; whether it was none before. Checks were done.
    fn join(&mut self, face_set: &FaceSet, person: PersonId, changes: &mut Changes) -> bool {
        if self.is_member(face_set.id, person) {
            return false;
        }
        let sequence = self.next_sequence();
        self.memberships.insert(sequence, (face_set.id, person));
        for sequence in self.owned(FaceOwner::Person(person)) {
            changes.extend(self.put_change(sequence, face_set));
        }
        true
    }

    /// How many of these sets would have to be made.
    fn n_missing(&self, tenant: TenantId, join: &[NewFaceSet]) -> u64 {
        let mut names: Vec<&FaceSetName> = join.iter().map(|new| &new.name).collect();
        names.sort();
        names.dedup();
        names.into_iter().filter(|name| self.face_set_named(tenant, name).is_none()).count() as u64
    }

    /// Makes the person a member of the set of that name, made if it is missing. Checks were done.
    fn join_face_set(&mut self, tenant: TenantId, person: PersonId, new: NewFaceSet, changes: &mut Changes) -> FaceSet {
        let face_set = match self.face_set_named(tenant, &new.name) {
            Some(face_set) => face_set.clone(),
            None => {
                let face_set = self.insert_face_set(tenant, new, changes);
                self.made_by_joining.insert(face_set.id);
                face_set
            }
        };
        self.join(&face_set, person, changes);
        face_set
    }

    pub(super) fn join_face_sets(
        &mut self,
        tenant: TenantId,
        person: PersonId,
        join: Vec<NewFaceSet>,
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<Vec<FaceSet>> {
        self.person(tenant, person)?;
        self.check_quota(tenant, self.n_missing(tenant, &join), limits.face_sets_max)?;
        let n_of_pack = |pack: &likeness_domain::types::PackId| {
            let owned = self.owned(FaceOwner::Person(person));
            owned.iter().filter(|&&sequence| self.template(sequence, pack).is_some()).count() as u64
        };
        let mut checked: Vec<&FaceSetName> = Vec::new();
        for new in &join {
            if checked.contains(&&new.name) {
                continue;
            }
            checked.push(&new.name);
            match self.face_set_named(tenant, &new.name) {
                Some(face_set) if self.is_member(face_set.id, person) => {}
                Some(face_set) => {
                    bounds::check_gallery(face_set, self.n_gallery(face_set), n_of_pack(&face_set.pack), limits)?;
                }
                None if [new.capacity, limits.face_set_faces_max]
                    .iter()
                    .flatten()
                    .any(|&most| n_of_pack(&new.pack) > most) =>
                {
                    let message = format!("face set `{}` would be made too small for the person's faces", new.name);
                    return Err(Error::new(Kind::CapacityExceeded, message));
                }
                None => {}
            }
        }
        for new in join {
            self.join_face_set(tenant, person, new, changes);
        }
        changes.push(Change::PersonChanged(person));
        Ok(self.face_sets_of(tenant, person))
    }

    pub(super) fn leave_face_sets(
        &mut self,
        tenant: TenantId,
        person: PersonId,
        names: &[FaceSetName],
        changes: &mut Changes,
    ) -> Result<Vec<FaceSet>> {
        self.person(tenant, person)?;
        let mut left = Vec::new();
        for name in names {
            let Some(face_set) = self.face_set_named(tenant, name).cloned() else { continue };
            if !self.is_member(face_set.id, person) {
                continue;
            }
            self.hide(&face_set, person, changes);
            self.memberships.retain(|_, membership| *membership != (face_set.id, person));
            self.drop_if_unused(&face_set, changes);
            left.push(face_set);
        }
        self.drop_unwanted_thumbnails();
        if !left.is_empty() {
            changes.push(Change::PersonChanged(person));
        }
        Ok(left)
    }

    /// Deletes a set that was there for its members only, if it has none and no face of its own.
    fn drop_if_unused(&mut self, face_set: &FaceSet, changes: &mut Changes) {
        let has_members = self.memberships.values().any(|(joined, _)| *joined == face_set.id);
        let owns_faces = !self.owned(FaceOwner::FaceSet(face_set.id)).is_empty();
        if self.made_by_joining.contains(&face_set.id) && !has_members && !owns_faces {
            self.made_by_joining.remove(&face_set.id);
            self.face_sets.retain(|_, other| other.id != face_set.id);
            changes.push(GalleryChange::Close { face_set: face_set.id });
        }
    }

    /// Tells the set that it no longer shows the person's faces.
    fn hide(&self, face_set: &FaceSet, person: PersonId, changes: &mut Changes) {
        let gallery = self.gallery(face_set).filter(|(_, face)| face.owner == FaceOwner::Person(person));
        changes.extend(gallery.map(|(_, face)| GalleryChange::Remove { face_set: face_set.id, face: face.id }));
    }

    pub(super) fn move_faces(
        &mut self,
        tenant: TenantId,
        faces: &FaceMove,
        limits: &Limits,
        changes: &mut Changes,
    ) -> Result<Vec<Face>> {
        let &FaceMove { from, to, ref ids, limit, at } = faces;
        self.person(tenant, from)?;
        self.person(tenant, to)?;
        if from == to {
            return Ok(Vec::new());
        }
        let mut moved = self.owned(FaceOwner::Person(from));
        moved.retain(|sequence| ids.as_ref().is_none_or(|ids| ids.contains(&self.faces[sequence].id)));
        moved.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
        let owned = self.owned(FaceOwner::Person(to));
        limits.check_person_faces(owned.len() as u64, moved.len() as u64)?;
        for sequence in &moved {
            let external_id = self.faces[sequence].external_id.as_ref();
            if external_id.is_some() && owned.iter().any(|other| self.faces[other].external_id.as_ref() == external_id)
            {
                let message = "the person has a face with that external id already";
                return Err(Error::new(Kind::FaceExists, message));
            }
        }
        let (left, joined) = (self.face_sets_of(tenant, from), self.face_sets_of(tenant, to));
        for face_set in joined.iter().filter(|face_set| left.iter().all(|other| other.id != face_set.id)) {
            let n_more = moved.iter().filter(|&&sequence| self.template(sequence, &face_set.pack).is_some()).count();
            bounds::check_gallery(face_set, self.n_gallery(face_set), n_more as u64, limits)?;
        }
        let mut faces = Vec::with_capacity(moved.len());
        for sequence in moved {
            let before: Vec<FaceSetId> = self.galleries_of(sequence).map(|face_set| face_set.id).collect();
            let Some(face) = self.faces.get_mut(&sequence) else { continue };
            (face.owner, face.updated_at) = (FaceOwner::Person(to), at);
            let face = face.clone();
            for face_set in before {
                if self.galleries_of(sequence).all(|shown| shown.id != face_set) {
                    changes.push(GalleryChange::Remove { face_set, face: face.id });
                }
            }
            self.show(sequence, changes);
            faces.push(face);
        }
        self.drop_unwanted_thumbnails();
        if !faces.is_empty() {
            changes.push(Change::PersonChanged(from));
            changes.push(Change::PersonChanged(to));
        }
        Ok(faces)
    }

    pub(super) fn update_person(
        &mut self,
        tenant: TenantId,
        id: PersonId,
        patch: PersonPatch,
        changes: &mut Changes,
    ) -> Result<Person> {
        let mut person = self.person(tenant, id)?.clone();
        Precondition::check(patch.only_if.as_ref(), &person)?;
        if let Some(key) = patch.key {
            let is_other = |other: &Person| other.tenant == tenant && other.key == key && other.id != id;
            if self.persons.values().any(is_other) {
                return Err(Error::new(Kind::PersonExists, format!("person `{key}` exists already")));
            }
            person.key = key;
        }
        person.name = patch.name.or(person.name).filter(|name| !name.as_str().is_empty());
        person.note = patch.note.or(person.note).filter(|note| !note.as_str().is_empty());
        let slot = self.persons.values_mut().find(|other| other.id == id);
        if let Some(slot) = slot {
            slot.clone_from(&person);
        }
        changes.push(Change::PersonChanged(id));
        Ok(person)
    }

    pub(super) fn delete_person(&mut self, tenant: TenantId, id: PersonId, changes: &mut Changes) -> Result<u64> {
        self.person(tenant, id)?;
        let joined = self.face_sets_of(tenant, id);
        for face_set in &joined {
            self.hide(face_set, id, changes);
        }
        let n_faces = self.owned(FaceOwner::Person(id)).len() as u64;
        self.erase_owned(FaceOwner::Person(id));
        self.memberships.retain(|_, (_, person)| *person != id);
        self.persons.retain(|_, person| person.id != id);
        for face_set in &joined {
            self.drop_if_unused(face_set, changes);
        }
        changes.push(Change::PersonDeleted(id));
        Ok(n_faces)
    }

    pub(super) fn delete_merged_person(
        &mut self,
        tenant: TenantId,
        id: PersonId,
        into: PersonId,
        changes: &mut Changes,
    ) -> Result<bool> {
        self.person(tenant, id)?;
        self.person(tenant, into)?;
        let theirs = self.face_sets_of(tenant, into);
        let has_given_all = self.owned(FaceOwner::Person(id)).is_empty()
            && self.face_sets_of(tenant, id).iter().all(|set| theirs.iter().any(|their| their.id == set.id));
        if has_given_all {
            self.delete_person(tenant, id, changes)?;
        }
        Ok(has_given_all)
    }

    pub(super) fn face_sets_of(&self, tenant: TenantId, person: PersonId) -> Vec<FaceSet> {
        if self.person(tenant, person).is_err() {
            return Vec::new();
        }
        let joined = self.memberships.values().filter(|(_, member)| *member == person);
        joined.filter_map(|&(face_set, _)| self.face_set(tenant, face_set).ok().cloned()).collect()
    }

    pub(super) fn members(&self, tenant: TenantId, face_set: FaceSetId) -> Vec<Person> {
        if self.face_set(tenant, face_set).is_err() {
            return Vec::new();
        }
        let members = self.memberships.values().filter(|(joined, _)| *joined == face_set);
        members.filter_map(|&(_, person)| self.person(tenant, person).ok().cloned()).collect()
    }
}
