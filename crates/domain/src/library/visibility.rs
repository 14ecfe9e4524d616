//! What a caller sees whose key is for some face sets only.
//!
//! A face set that the caller may not use is answered like one that does not exist. A face is seen through the sets that
//! show it, a person through the sets that it is a member of: one of them has to be the caller's. Changing or deleting is
//! refused unless all of them are, as the change would be seen in the others too.

use super::Library;
use crate::access::Caller;
use crate::types::{Face, FaceOwner, FaceSet, Person, PersonId};
use crate::{Error, Kind, Result};

/// Members of a set looked at by one question.
const MEMBERS_PAGE: u64 = 1000;

impl Library {
    /// The sets of a person that the caller may use, in order of joining.
    pub(super) async fn face_sets_of(&self, caller: &Caller, person: PersonId) -> Result<Vec<FaceSet>> {
        let mut face_sets = self.ports.store.face_sets_of(caller.tenant, person).await?;
        face_sets.retain(|face_set| caller.sees(face_set.id));
        Ok(face_sets)
    }

    /// Whether the caller sees a person: always with a key for every face set, else through one of its sets.
    pub(super) async fn sees_person(&self, caller: &Caller, person: PersonId) -> Result<bool> {
        Ok(caller.face_sets.is_all() || !self.face_sets_of(caller, person).await?.is_empty())
    }

    /// Those of the faces that the caller sees, in their order.
    pub(super) async fn seen_faces(&self, caller: &Caller, faces: Vec<Face>) -> Result<Vec<Face>> {
        if caller.face_sets.is_all() {
            return Ok(faces);
        }
        let mut seen = Vec::with_capacity(faces.len());
        for face in faces {
            let is_seen = match face.owner {
                FaceOwner::FaceSet(face_set) => caller.sees(face_set),
                FaceOwner::Person(person) => self.sees_person(caller, person).await?,
            };
            if is_seen {
                seen.push(face);
            }
        }
        Ok(seen)
    }

    /// Refuses to change what belongs to a person that is a member of a set which the caller may not use.
    pub(super) async fn require_unshared_person(&self, caller: &Caller, person: PersonId) -> Result<()> {
        if caller.face_sets.is_all() {
            return Ok(());
        }
        let face_sets = self.ports.store.face_sets_of(caller.tenant, person).await?;
        if face_sets.iter().all(|face_set| caller.sees(face_set.id)) { Ok(()) } else { Err(shared()) }
    }

    /// The same for faces, wherever in the tenant they are enrolled.
    pub(super) async fn require_unshared_faces(&self, caller: &Caller, faces: &[Face]) -> Result<()> {
        if caller.face_sets.is_all() {
            return Ok(());
        }
        for face in faces {
            match face.owner {
                FaceOwner::FaceSet(face_set) if !caller.sees(face_set) => return Err(shared()),
                FaceOwner::FaceSet(_) => {}
                FaceOwner::Person(person) => self.require_unshared_person(caller, person).await?,
            }
        }
        Ok(())
    }

    /// The same for every member person of a set: for deletes that say what they mean by a condition.
    pub(super) async fn require_unshared_members(&self, caller: &Caller, face_set: &FaceSet) -> Result<()> {
        if caller.face_sets.is_all() {
            return Ok(());
        }
        let mut page = crate::ports::Page { offset: 0, limit: MEMBERS_PAGE };
        loop {
            let (persons, n_persons) = self.ports.store.members(caller.tenant, face_set.id, page).await?;
            for Person { id, .. } in &persons {
                self.require_unshared_person(caller, *id).await?;
            }
            page.offset += MEMBERS_PAGE;
            if page.offset >= n_persons {
                return Ok(());
            }
        }
    }
}

fn shared() -> Error {
    let message = "this access key may not change what is also shown by a face set that it is not for";
    Error::new(Kind::Forbidden, message)
}
