//! Tenants and the state of the whole store: what an operator sees and does without a shell on the machine.
//!
//! An operator opens nobody's faces. So only the first key of a tenant is made here, while it has nothing yet: whoever could
//! make one later would have every face a moment after. A tenant that has lost all its keys is helped by the owner of the data folder.

use super::Library;
use super::keys::{
    CreateKey, fresh_key_id, fresh_secret, later, new_key_expiry, own_label, refuse_old_secret, refuse_too_many,
};
use crate::access::{Caller, FaceSetScope, Grant, Grants, Limits, TenantUsage};
use crate::ports::{ChangeRef, ReportProgress, StoreReport};
use crate::types::{AccessKey, Actor, Precondition, Revision, Tenant, TenantId, TenantName, require_path_segment};
use crate::{Error, Kind, Result};

/// How often a change of some limits is tried again because somebody else changed others meanwhile.
const CHANGE_TRIES: usize = 8;

/// Commits of a tenant that are read at once to see whether it ever had something.
const RECORD_PAGE: usize = 100;

/// Changes of a tenant's limits: `None` leaves one as it is, `Some(None)` takes it away.
#[derive(Debug, Clone, Copy, Default)]
pub struct LimitsPatch {
    /// See [`Limits::face_sets_max`].
    pub face_sets_max: Option<Option<u64>>,
    /// See [`Limits::faces_max`].
    pub faces_max: Option<Option<u64>>,
    /// See [`Limits::persons_max`].
    pub persons_max: Option<Option<u64>>,
    /// See [`Limits::face_set_faces_max`].
    pub face_set_faces_max: Option<Option<u64>>,
    /// See [`Limits::person_faces_max`].
    pub person_faces_max: Option<Option<u64>>,
    /// See [`Limits::calls_per_second`].
    pub calls_per_second: Option<Option<u32>>,
}

impl LimitsPatch {
    /// The limits with these changes.
    pub fn applied_to(&self, limits: Limits) -> Limits {
        Limits {
            face_sets_max: self.face_sets_max.unwrap_or(limits.face_sets_max),
            faces_max: self.faces_max.unwrap_or(limits.faces_max),
            persons_max: self.persons_max.unwrap_or(limits.persons_max),
            face_set_faces_max: self.face_set_faces_max.unwrap_or(limits.face_set_faces_max),
            person_faces_max: self.person_faces_max.unwrap_or(limits.person_faces_max),
            calls_per_second: self.calls_per_second.unwrap_or(limits.calls_per_second),
        }
    }
}

impl Library {
    /// Every tenant, oldest first. Needs the operate grant, as all that follows.
    pub async fn tenants(&self, caller: &Caller) -> Result<Vec<Tenant>> {
        caller.require(Grant::Operate)?;
        self.ports.credentials.tenants().await
    }

    /// A tenant and how much it has. `TenantNotFound`.
    pub async fn tenant(&self, caller: &Caller, name: &TenantName) -> Result<(Tenant, TenantUsage)> {
        let tenant = self.known_tenant(caller, name).await?;
        let usage = self.ports.store.usage(tenant.id).await?;
        Ok((tenant, usage))
    }

    /// Makes a tenant with these limits. `TenantExists`; `InvalidArgument` for a name that cannot stand in a path.
    pub async fn create_tenant(&self, caller: &Caller, name: TenantName, limits: Limits) -> Result<Tenant> {
        caller.require(Grant::Operate)?;
        require_path_segment("name", name.as_str())?;
        let mut bits = [0; 16];
        self.ports.ids.fill(&mut bits);
        let id = TenantId::from_bits(u128::from_be_bytes(bits));
        let proposed = Tenant { limits, ..Tenant::new(id, name, self.ports.clock.now()) };
        let made = self.ports.credentials.ensure_tenant(actor_for(caller, id), proposed).await?;
        if made.id == id {
            return Ok(made);
        }
        Err(Error::new(Kind::TenantExists, format!("there is a tenant `{}` already", made.name)).with_field("name"))
    }

    /// Changes limits of a tenant, if it is as `only_if` says; those that the patch does not name stay also where somebody
    /// changes them at the same moment. `TenantNotFound`, `Changed`.
    pub async fn update_tenant(
        &self,
        caller: &Caller,
        name: &TenantName,
        patch: LimitsPatch,
        only_if: Option<Precondition<Tenant>>,
    ) -> Result<Tenant> {
        let mut n_tries = 0;
        loop {
            let tenant = self.known_tenant(caller, name).await?;
            Precondition::check(only_if.as_ref(), &tenant)?;
            let limits = patch.applied_to(tenant.limits);
            if limits == tenant.limits {
                return Ok(tenant);
            }
            let read = tenant.limits;
            let unchanged = Precondition::new(move |now: &Tenant| now.limits == read);
            let actor = actor_for(caller, tenant.id);
            match self.ports.credentials.set_tenant_limits(actor, limits, Some(unchanged)).await {
                Ok(true) => return Ok(Tenant { limits, ..tenant }),
                Ok(false) => return Err(no_such_tenant(name)),
                Err(error) if error.kind() == Kind::Changed && n_tries < CHANGE_TRIES => n_tries += 1,
                Err(error) => return Err(self.unless_gone(&tenant, error).await),
            }
        }
    }

    /// Deletes a tenant with everything that it has; archives of its jobs are the caller's to erase. `TenantNotFound`;
    /// `InvalidArgument` for the tenant of the key that asks, which would be gone in the middle.
    pub async fn delete_tenant(&self, caller: &Caller, name: &TenantName) -> Result<Tenant> {
        let tenant = self.known_tenant(caller, name).await?;
        if tenant.id == caller.tenant {
            let message = format!("tenant `{name}` keeps the access key that asks");
            return Err(Error::invalid("name", message)
                .with_hint("`likeness tenant delete` on the server's machine deletes it"));
        }
        match self.ports.store.delete_tenant(actor_for(caller, tenant.id)).await {
            Ok(true) => Ok(tenant),
            Ok(false) => Err(no_such_tenant(name)),
            Err(error) => Err(self.unless_gone(&tenant, error).await),
        }
    }

    /// Makes the first key of a tenant that has nothing yet, which lives no longer than the caller's; the answer is the only
    /// one that shows its secret. An operator's key is one with the grant `operate` alone, of the tenant
    /// [`TenantName::OF_OPERATORS`]; of those there may be more. `TenantNotFound`; `Forbidden` for a tenant that has an access
    /// key, face sets, persons or faces, or whose record of changes shows that it had; `InvalidArgument`; `CapacityExceeded`.
    pub async fn create_key_of(&self, caller: &Caller, name: &TenantName, request: CreateKey) -> Result<AccessKey> {
        let tenant = self.known_tenant(caller, name).await?;
        refuse_old_secret(caller)?;
        let grants = request.grants.unwrap_or(Grants::USUAL);
        require_lawful(grants, name)?;
        if request.face_sets.is_some() {
            let message = "`face_sets` is given, and a tenant that gets its first keys has no face sets yet";
            return Err(Error::invalid("face_sets", message));
        }
        let label = own_label(request.label)?;
        let now = self.ports.clock.now();
        let asked = request.lifetime.map(|lifetime| later(now, lifetime));
        let expires_at = new_key_expiry(asked, self.own_end(caller).await?)?;
        if !grants.are_an_operators() {
            self.require_nothing_yet(&tenant).await?;
        }
        CreateKey::check_lifetime(request.lifetime)?;
        refuse_too_many(self.ports.credentials.keys(tenant.id).await?.len())?;
        let ids = &*self.ports.ids;
        let actor = actor_for(caller, tenant.id);
        let new = AccessKey::new(fresh_key_id(ids), fresh_secret(ids), tenant, now);
        let key = AccessKey { grants, face_sets: FaceSetScope::All, label, expires_at, ..new };
        match grants.are_an_operators() {
            true => self.ports.credentials.add_key(actor, key.clone()).await?,
            false if self.ports.credentials.add_first_key(actor, key.clone()).await? => {}
            false => return Err(is_in_use(name, "has an access key")),
        }
        Ok(key)
    }

    /// What is stored, over all tenants; see [`crate::ports::GalleryStore::report`].
    pub async fn report(&self, caller: &Caller, thorough: bool) -> Result<StoreReport> {
        caller.require(Grant::Operate)?;
        self.ports.store.report(thorough).await
    }

    /// How far the thorough report is that was asked for last.
    pub fn report_progress(&self, caller: &Caller) -> Result<Option<ReportProgress>> {
        caller.require(Grant::Operate)?;
        Ok(self.ports.store.report_progress())
    }

    /// Somebody has seen that acknowledged commits were lost; what reports said of them.
    pub async fn acknowledge_losses(&self, caller: &Caller) -> Result<Vec<String>> {
        caller.require(Grant::Operate)?;
        self.ports.store.acknowledge_losses().await
    }

    async fn known_tenant(&self, caller: &Caller, name: &TenantName) -> Result<Tenant> {
        caller.require(Grant::Operate)?;
        self.ports.credentials.tenant(name.clone()).await?.ok_or_else(|| no_such_tenant(name))
    }

    /// The error of a write for the tenant; `TenantNotFound` where it is that somebody else has just deleted it.
    async fn unless_gone(&self, tenant: &Tenant, error: Error) -> Error {
        if error.kind() != Kind::Forbidden {
            return error;
        }
        match self.ports.credentials.tenant(tenant.name.clone()).await {
            Ok(now) if now.as_ref().is_none_or(|now| now.id != tenant.id) => no_such_tenant(&tenant.name),
            _ => error,
        }
    }

    async fn require_nothing_yet(&self, tenant: &Tenant) -> Result<()> {
        if self.ports.store.usage(tenant.id).await? != TenantUsage::default() {
            return Err(is_in_use(&tenant.name, "has face sets, persons or faces"));
        }
        // What it had and deleted is in its record of changes, which a key shows, and its uploads are kept for a while.
        let mut from = Revision(0).into();
        loop {
            let page = self.ports.store.record_after(tenant.id, from, RECORD_PAGE).await?;
            let mut changes = page.commits.iter().flat_map(|commit| &commit.changes);
            if changes.any(|change| !matches!(change, ChangeRef::TenantMade(_) | ChangeRef::TenantChanged(_))) {
                return Err(is_in_use(&tenant.name, "had an access key"));
            }
            if !page.has_more {
                return Ok(());
            }
            from = page.reached;
        }
    }
}

/// `InvalidArgument` unless a tenant of that name may have a key with these grants: an operator's have one grant and a tenant
/// of their own.
pub fn require_lawful(grants: Grants, tenant: &TenantName) -> Result<()> {
    if !grants.are_an_operators() {
        return Ok(());
    }
    if grants != Grants::OPERATOR {
        return Err(Error::invalid("grants", "the grant `operate` goes with no other"));
    }
    if tenant.as_str() != TenantName::OF_OPERATORS {
        let message = format!("the grant `operate` is for keys of the tenant `{}` only", TenantName::OF_OPERATORS);
        return Err(Error::invalid("grants", message));
    }
    Ok(())
}

fn is_in_use(tenant: &TenantName, has: &str) -> Error {
    let message =
        format!("tenant `{tenant}` {has} already: an operator makes the first key of a tenant that has nothing yet");
    Error::new(Kind::Forbidden, message).with_hint(
        "a key of the tenant with the grant `manage` makes more, as `likeness key create` on the server's machine does",
    )
}

/// In whose name something is written for a tenant that is not the caller's own.
fn actor_for(caller: &Caller, tenant: TenantId) -> Actor {
    Actor { tenant, ..caller.actor() }
}

fn no_such_tenant(name: &TenantName) -> Error {
    Error::new(Kind::TenantNotFound, format!("there is no tenant `{name}`"))
}
