//! How much a tenant may hold and how often it may call.

use crate::{Error, Kind, Result};

/// Upper bounds; `None` is no bound. A vendor's are its documented numbers, which an operator may change by settings; a
/// tenant's are what `likeness tenant set` says. Where both say something, the stricter one holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Limits {
    /// Face sets of the tenant.
    pub face_sets_max: Option<u64>,
    /// Faces that the face sets and persons of the tenant own together.
    pub faces_max: Option<u64>,
    /// Persons of the tenant.
    pub persons_max: Option<u64>,
    /// Faces that the gallery of one face set shows. A vendor's is the capacity of sets that are made through it; a
    /// tenant's holds for all of its sets.
    pub face_set_faces_max: Option<u64>,
    /// Faces that one person owns.
    pub person_faces_max: Option<u64>,
    /// Calls a second, over all operations.
    pub calls_per_second: Option<u32>,
}

impl Limits {
    /// No bound at all.
    pub const NONE: Limits = Limits {
        face_sets_max: None,
        faces_max: None,
        persons_max: None,
        face_set_faces_max: None,
        person_faces_max: None,
        calls_per_second: None,
    };

    /// The stricter bound of each kind.
    #[must_use]
    pub fn and(self, other: Limits) -> Limits {
        Limits {
            face_sets_max: least(self.face_sets_max, other.face_sets_max),
            faces_max: least(self.faces_max, other.faces_max),
            persons_max: least(self.persons_max, other.persons_max),
            face_set_faces_max: least(self.face_set_faces_max, other.face_set_faces_max),
            person_faces_max: least(self.person_faces_max, other.person_faces_max),
            calls_per_second: least(self.calls_per_second, other.calls_per_second),
        }
    }

    /// `CapacityExceeded` if a tenant that owns `n_faces` may not own `n_more`.
    pub fn check_tenant_faces(&self, n_faces: u64, n_more: u64) -> Result<()> {
        match self.faces_max {
            Some(faces_max) if n_more > 0 && n_faces.saturating_add(n_more) > faces_max => Err(Error::new(
                Kind::CapacityExceeded,
                format!("the tenant holds {n_faces} faces and may hold {faces_max}, expected room for {n_more} more"),
            )),
            _ => Ok(()),
        }
    }

    /// `CapacityExceeded` if a person that owns `n_owned` faces may not own `n_more`.
    pub fn check_person_faces(&self, n_owned: u64, n_more: u64) -> Result<()> {
        match self.person_faces_max {
            Some(faces_max) if n_more > 0 && n_owned.saturating_add(n_more) > faces_max => Err(Error::new(
                Kind::CapacityExceeded,
                format!("the person has {n_owned} faces and may have {faces_max}, expected room for {n_more} more"),
            )),
            _ => Ok(()),
        }
    }

    /// `TooManyPersons` if a tenant that has `n_persons` may not have `n_more`.
    pub fn check_persons(&self, n_persons: u64, n_more: u64) -> Result<()> {
        match self.persons_max {
            Some(persons_max) if n_more > 0 && n_persons.saturating_add(n_more) > persons_max => Err(Error::new(
                Kind::TooManyPersons,
                format!("the tenant may have {persons_max} persons and has {n_persons}"),
            )),
            _ => Ok(()),
        }
    }
}

/// The lesser of two bounds, where `None` is no bound.
fn least<T: Ord>(one: Option<T>, other: Option<T>) -> Option<T> {
    match (one, other) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    }
}

/// How much of its [`Limits`] a tenant uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TenantUsage {
    /// Face sets.
    pub n_face_sets: u64,
    /// Faces that its face sets and persons own, each counted once.
    pub n_faces: u64,
    /// Persons.
    pub n_persons: u64,
}
