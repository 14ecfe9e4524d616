//! Who asks, and what they may do.

use super::fair::Share;
use super::grants::{FaceSetScope, Grant, Grants, not_granted};
use super::limits::Limits;
use crate::types::{AccessKey, AccessKeyId, Actor, FaceSetId, JobLease, RequestId, Tenant, TenantId, TimestampMs};
use crate::{Error, Kind, Result};

/// Who asks. It is made of a checked access key by [`super::Access::admit`], or for the owner of the data folder; every
/// [`crate::library::Library`] call takes one, so a route without authentication does not compile.
#[derive(Debug, Clone)]
pub struct Caller {
    /// Whose data it is about.
    pub tenant: TenantId,
    /// What is allowed.
    pub grants: Grants,
    /// With which face sets.
    pub face_sets: FaceSetScope,
    /// The access key that signed the request; `None` for the owner of the data folder and for the server's own work.
    pub key: Option<AccessKeyId>,
    /// When what it signed with ends, the key or the secret of before its last rotation.
    pub ends_at: Option<TimestampMs>,
    /// Whether it signed with the secret of before the key's last rotation.
    pub has_old_secret: bool,
    /// The numbers of the vendor whose dialect the call came through.
    pub vendor_limits: Limits,
    /// The numbers of the tenant.
    pub tenant_limits: Limits,
    /// How much the tenant gets of what is scarce, in proportion to others.
    pub weight: u32,
    /// Names this request in the log.
    pub request_id: String,
    /// The claim of the job that is done in this name.
    pub lease: Option<JobLease>,
}

impl Caller {
    /// Whoever signed with `key`, through a dialect with these limits.
    pub fn of_key(key: &AccessKey, vendor_limits: Limits, request_id: impl Into<String>) -> Self {
        Self {
            tenant: key.tenant.id,
            grants: key.grants,
            face_sets: key.face_sets.clone(),
            key: Some(key.id.clone()),
            ends_at: key.expires_at,
            has_old_secret: key.is_proved_by_old_secret(),
            vendor_limits,
            tenant_limits: key.tenant.limits,
            weight: Share::WEIGHT,
            request_id: request_id.into(),
            lease: None,
        }
    }

    /// The owner of the data folder, who may do everything that the tenant's limits allow.
    pub fn owner(tenant: &Tenant, request_id: impl Into<String>) -> Self {
        Self { tenant_limits: tenant.limits, ..Self::server(tenant.id, request_id) }
    }

    /// The server itself at work for a tenant, or the owner of the data folder where there is no tenant: everything, without
    /// a limit.
    pub fn server(tenant: TenantId, request_id: impl Into<String>) -> Self {
        Self {
            tenant,
            grants: Grants::ALL,
            face_sets: FaceSetScope::All,
            key: None,
            ends_at: None,
            has_old_secret: false,
            vendor_limits: Limits::NONE,
            tenant_limits: Limits::NONE,
            weight: Share::WEIGHT,
            request_id: request_id.into(),
            lease: None,
        }
    }

    /// The caller as it is kept with the commits that it makes.
    pub fn actor(&self) -> Actor {
        let request_id = RequestId::new(&self.request_id).unwrap_or_else(RequestId::unnamed);
        let (key, key_must_be_usable) = (self.key.clone(), self.key.is_some());
        Actor { tenant: self.tenant, key, request_id, key_must_be_usable, lease: self.lease }
    }

    /// On whose account the call takes what is scarce.
    pub fn share(&self) -> Share {
        Share { tenant: self.tenant, weight: self.weight }
    }

    /// The owner of the data folder where no tenant is spoken for: what an operator may do.
    pub fn operator(request_id: impl Into<String>) -> Self {
        Self { grants: Grants::OPERATOR, ..Self::server(TenantId::from_bits(0), request_id) }
    }

    /// The stricter of the vendor's and the tenant's numbers.
    pub fn limits(&self) -> Limits {
        self.vendor_limits.and(self.tenant_limits)
    }

    /// What a store compares writes of this caller with. A vendor's number of faces in a set is the capacity of the sets
    /// made through it, and no bound of others.
    pub(crate) fn write_limits(&self) -> Option<Limits> {
        Some(Limits { face_set_faces_max: self.tenant_limits.face_set_faces_max, ..self.limits() })
    }

    /// Refuses with [`Kind::Forbidden`] unless `grant` was given.
    pub fn require(&self, grant: Grant) -> Result<()> {
        if self.grants.contains(grant) { Ok(()) } else { Err(Error::new(Kind::Forbidden, not_granted(grant))) }
    }

    /// Refuses with [`Kind::Forbidden`] unless all of these were given; names the first that was not.
    pub fn require_all(&self, grants: Grants) -> Result<()> {
        grants.iter().try_for_each(|grant| self.require(grant))
    }

    /// Refuses with [`Kind::Forbidden`] if no grant at all was given that concerns what a tenant has.
    pub fn require_any(&self) -> Result<()> {
        if self.grants.without(Grant::Operate) == Grants::NONE {
            Err(Error::new(Kind::Forbidden, not_granted(Grant::Read)))
        } else {
            Ok(())
        }
    }

    /// Refuses with [`Kind::Forbidden`] where the key may use some face sets only; `act` completes "may not".
    pub fn require_every_face_set(&self, act: &str) -> Result<()> {
        if self.face_sets.is_all() {
            return Ok(());
        }
        Err(Error::new(Kind::Forbidden, format!("this access key is for some face sets only and may not {act}")))
    }

    /// Whether the face set is one of those that the caller may use. One that is not must be answered like one that does
    /// not exist.
    pub fn sees(&self, face_set: FaceSetId) -> bool {
        self.face_sets.contains(face_set)
    }
}

#[cfg(test)]
mod tests;
