//! How much a tenant may hold. Numbers come with the [`Caller`], a vendor's and the tenant's own alike.

use super::Library;
use crate::access::{Caller, least};
use crate::types::FaceSetSummary;
use crate::{Error, Kind, Result};

impl Library {
    /// Whether so many more faces fit into the tenant. Calls that ask at the same time may together pass the bound by
    /// as many faces as they add: it guards against a gallery that grows for months, not against a race.
    pub(super) async fn check_faces(&self, caller: &Caller, n_more: u64) -> Result<()> {
        let Some(faces_max) = caller.limits().faces_max else { return Ok(()) };
        let n_faces = self.ports.store.usage(caller.tenant).await?.n_faces;
        if n_faces.saturating_add(n_more) <= faces_max {
            return Ok(());
        }
        let message =
            format!("the tenant holds {n_faces} faces and may hold {faces_max}, expected room for {n_more} more");
        Err(Error::new(Kind::CapacityExceeded, message))
    }

    /// Whether one more person fits into the tenant, with the same reservation.
    pub(super) async fn check_persons(&self, caller: &Caller) -> Result<()> {
        let Some(persons_max) = caller.limits().persons_max else { return Ok(()) };
        let n_persons = self.ports.store.usage(caller.tenant).await?.n_persons;
        if n_persons < persons_max {
            return Ok(());
        }
        let message = format!("the tenant may have {persons_max} persons and has {n_persons}");
        Err(Error::new(Kind::TooManyPersons, message))
    }
}

/// Whether so many more faces fit into a set under the tenant's own bound; the set's capacity is the store's to check.
pub(super) fn check_face_set(caller: &Caller, summary: &FaceSetSummary, n_more: u64) -> Result<()> {
    let (n_faces, most) = (summary.n_faces, caller.tenant_limits.face_set_faces_max);
    match most {
        Some(most) if n_faces.saturating_add(n_more) > most => {
            let message = format!(
                "face set `{}` shows {n_faces} faces, sets of the tenant may show {most}",
                summary.face_set.name
            );
            Err(Error::new(Kind::CapacityExceeded, message))
        }
        _ => Ok(()),
    }
}

/// The capacity of a set that is made: what was asked for, else the vendor's number, and the tenant's bound if that is
/// less.
pub(super) fn capacity(caller: &Caller, wanted: Option<u64>) -> Option<u64> {
    least(wanted.or(caller.vendor_limits.face_set_faces_max), caller.tenant_limits.face_set_faces_max)
}
