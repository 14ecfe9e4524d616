//! Tenants and access keys.

use likeness_domain::access::{Grants, Limits, TenantUsage};
use likeness_domain::ports::{Change, CredentialStore, GalleryChange, KeyAction, Pending, SESSIONS};
use likeness_domain::types::{
    AccessKey, AccessKeyId, Actor, FaceSetId, FaceSetName, InstallationSecret, Precondition, PreviousSecret, Secret,
    Tenant, TenantId, TenantName, TimestampMs,
};
use likeness_domain::{Error, Result};

use super::{Changes, MemoryStore, State, ready};
use crate::bounds::{key_gone, lease_over, tenant_deleted};

impl State {
    /// The tenant's key of that id.
    fn key_mut(&mut self, tenant: TenantId, id: &AccessKeyId) -> Option<&mut AccessKey> {
        self.keys.iter_mut().find(|key| key.tenant.id == tenant && key.id == *id)
    }

    /// The key with its tenant as that is now.
    fn key_as_it_is(&self, key: &AccessKey) -> AccessKey {
        let tenant = self.tenants.iter().find(|tenant| tenant.id == key.tenant.id).cloned();
        AccessKey { tenant: tenant.unwrap_or_else(|| key.tenant.clone()), ..key.clone() }
    }

    pub(super) fn usage(&self, tenant: TenantId) -> TenantUsage {
        TenantUsage {
            n_face_sets: self.n_face_sets(tenant),
            n_faces: self.faces.values().filter(|face| face.tenant == tenant).count() as u64,
            n_persons: self.persons.values().filter(|person| person.tenant == tenant).count() as u64,
        }
    }

    /// `Forbidden` for a tenant that was deleted.
    pub(super) fn refuse_deleted(&self, tenant: TenantId) -> Result<()> {
        if self.deleted_tenants.contains(&tenant) { Err(tenant_deleted()) } else { Ok(()) }
    }

    /// `Forbidden` for a key that was deleted or disabled since the request was admitted, where the actor says so, and `JobDone`
    /// for a job that is not the actor's any more.
    pub(super) fn refuse_unusable(&self, actor: &Actor) -> Result<()> {
        if actor.lease.is_some_and(|lease| !self.jobs.is_under(lease)) {
            return Err(lease_over());
        }
        let Some(id) = actor.key.as_ref().filter(|_| actor.key_must_be_usable) else { return Ok(()) };
        let acts = |key: &AccessKey| key.tenant.id == actor.tenant || key.grants == Grants::OPERATOR;
        let is_usable = |key: &AccessKey| key.id == *id && acts(key) && key.enabled;
        if self.keys.iter().any(is_usable) { Ok(()) } else { Err(key_gone()) }
    }

    pub(super) fn delete_tenant(&mut self, tenant: TenantId, changes: &mut Changes) -> bool {
        let n_before = self.tenants.len();
        self.tenants.retain(|other| other.id != tenant);
        if self.tenants.len() == n_before {
            return false;
        }
        self.deleted_tenants.insert(tenant);
        let own = |(_, face_set): (&u64, &likeness_domain::types::FaceSet)| {
            (face_set.tenant == tenant).then_some(face_set.id)
        };
        let closed: Vec<FaceSetId> = self.face_sets.iter().filter_map(own).collect();
        let gone: Vec<u64> =
            self.faces.iter().filter(|(_, face)| face.tenant == tenant).map(|(&sequence, _)| sequence).collect();
        for sequence in gone {
            self.faces.remove(&sequence);
            self.templates.remove(&sequence);
            self.thumbnails.remove(&sequence);
        }
        self.memberships.retain(|_, (face_set, _)| !closed.contains(face_set));
        self.face_sets.retain(|_, face_set| face_set.tenant != tenant);
        self.persons.retain(|_, person| person.tenant != tenant);
        self.held.retain(|_, held| held.tenant != tenant);
        self.drop_unwanted_thumbnails();
        self.jobs.erase_tenant(tenant);
        self.pictures.erase_tenant(tenant);
        self.records.erase_tenant(tenant);
        self.keys.retain(|key| key.tenant.id != tenant);
        for face_set in closed {
            changes.push(GalleryChange::Close { face_set });
        }
        changes.push(Change::TenantDeleted(tenant));
        true
    }

    fn ensure_tenant(&mut self, proposed: Tenant, changes: &mut Changes) -> Result<Tenant> {
        if let Some(known) = self.tenants.iter().find(|tenant| tenant.name == proposed.name) {
            return Ok(known.clone());
        }
        if self.tenants.iter().any(|tenant| tenant.id == proposed.id) {
            return Err(Error::invalid("tenant", "the proposed tenant id is taken by another tenant"));
        }
        self.tenants.push(proposed.clone());
        changes.push(Change::TenantMade(proposed.id));
        Ok(proposed)
    }

    fn add_key(&mut self, key: AccessKey, changes: &mut Changes) -> Result<()> {
        if self.keys.iter().any(|other| other.id == key.id) {
            return Err(Error::invalid("access key", format!("access key `{}` exists already", key.id)));
        }
        if !self.tenants.iter().any(|tenant| tenant.id == key.tenant.id) {
            return Err(Error::invalid("tenant", format!("tenant `{}` does not exist", key.tenant.name)));
        }
        changes.push(Change::Key(key.id.clone(), KeyAction::Made));
        self.keys.push(key);
        Ok(())
    }

    /// Changes the tenant's key of that id; false if there is none.
    fn change_key(
        &mut self,
        tenant: TenantId,
        id: AccessKeyId,
        (action, changes): (KeyAction, &mut Changes),
        change: impl FnOnce(&mut AccessKey),
    ) -> bool {
        let Some(key) = self.key_mut(tenant, &id) else { return false };
        change(key);
        changes.push(Change::Key(id, action));
        true
    }
}

impl CredentialStore for MemoryStore {
    fn ensure_tenant(&self, actor: Actor, proposed: Tenant) -> Pending<'_, Tenant> {
        ready(self.write_as(actor, |state, _, changes| state.ensure_tenant(proposed, changes)))
    }

    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>> {
        ready(Ok(self.read().tenants.iter().find(|tenant| tenant.name == name).cloned()))
    }

    fn tenants(&self) -> Pending<'_, Vec<Tenant>> {
        ready(Ok(self.read().tenants.clone()))
    }

    fn face_set_names(&self, tenant: TenantId) -> Pending<'_, Vec<(FaceSetId, FaceSetName)>> {
        let state = self.read();
        let own = state.face_sets.values().filter(|face_set| face_set.tenant == tenant);
        ready(Ok(own.map(|face_set| (face_set.id, face_set.name.clone())).collect()))
    }

    fn set_tenant_limits(
        &self,
        actor: Actor,
        limits: Limits,
        only_if: Option<Precondition<Tenant>>,
    ) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| {
            let Some(known) = state.tenants.iter_mut().find(|known| known.id == tenant) else { return Ok(false) };
            Precondition::check(only_if.as_ref(), known)?;
            known.limits = limits;
            changes.push(Change::TenantChanged(tenant));
            Ok(true)
        }))
    }

    fn add_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, ()> {
        ready(self.write_as(actor, |state, _, changes| state.add_key(key, changes)))
    }

    fn add_first_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, _, changes| {
            if state.keys.iter().any(|other| other.tenant.id == key.tenant.id) {
                return Ok(false);
            }
            state.add_key(key, changes).map(|()| true)
        }))
    }

    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>> {
        let state = self.read();
        ready(Ok(state.keys.iter().find(|key| key.id == id).map(|key| state.key_as_it_is(key))))
    }

    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>> {
        let state = self.read();
        let own = state.keys.iter().filter(|key| key.tenant.id == tenant);
        ready(Ok(own.map(|key| state.key_as_it_is(key)).collect()))
    }

    fn set_key_enabled(&self, actor: Actor, id: AccessKeyId, enabled: bool) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| {
            let action = if enabled { KeyAction::Enabled } else { KeyAction::Disabled };
            if !enabled && state.key_mut(tenant, &id).is_some() {
                state.records.erase_bucket(tenant, SESSIONS, id.as_str());
            }
            Ok(state.change_key(tenant, id, (action, changes), |key| key.enabled = enabled))
        }))
    }

    fn rotate_key(
        &self,
        actor: Actor,
        id: AccessKeyId,
        secret: Secret,
        old_valid_until: TimestampMs,
    ) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| {
            Ok(state.change_key(tenant, id, (KeyAction::Rotated, changes), |key| {
                let old = std::mem::replace(&mut key.secret, secret);
                key.previous = Some(PreviousSecret { secret: old, valid_until: old_valid_until });
            }))
        }))
    }

    fn delete_key(&self, actor: Actor, id: AccessKeyId) -> Pending<'_, bool> {
        ready(self.write_as(actor, |state, tenant, changes| {
            let n_before = state.keys.len();
            state.keys.retain(|key| key.tenant.id != tenant || key.id != id);
            let deleted = state.keys.len() < n_before;
            if deleted {
                changes.push(Change::Key(id, KeyAction::Deleted));
            }
            Ok(deleted)
        }))
    }

    fn keys_used(&self, uses: Vec<(AccessKeyId, TimestampMs)>) -> Pending<'_, ()> {
        let mut state = self.read();
        let latest = uses.iter().map(|&(_, at)| at).max();
        for key in &mut state.keys {
            let used_at = uses.iter().find(|(id, _)| *id == key.id).map(|&(_, at)| at);
            key.last_used_at = key.last_used_at.max(used_at);
            key.previous = key.previous.take().filter(|previous| latest.is_none_or(|at| at < previous.valid_until));
        }
        ready(Ok(()))
    }

    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret> {
        ready(Ok(self.read().secret.get_or_insert(proposed).clone()))
    }
}
