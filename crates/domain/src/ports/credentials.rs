//! Tenants and access keys.

use super::Pending;
#[cfg(doc)]
use crate::access::Grants;
use crate::access::Limits;
use crate::types::{
    AccessKey, AccessKeyId, Actor, FaceSetId, FaceSetName, InstallationSecret, Precondition, Secret, Tenant, TenantId,
    TenantName, TimestampMs,
};

/// Tenants and their access keys. Changes made by another process (`likeness key` beside a running server) are seen
/// by the next call.
///
/// A key acts for its own tenant; one with [`Grants::OPERATOR`] acts for any, which is what an actor with another tenant than
/// its key's is.
///
/// Writes that take an [`Actor`] are commits as those of [`super::GalleryStore`] are: durable when they are acknowledged, and seen
/// by [`super::GalleryStore::changes_after`]. The actor's tenant is the one that is concerned.
pub trait CredentialStore: Send + Sync {
    /// The tenant of that name, made with the proposed id, time and limits if it does not exist.
    fn ensure_tenant(&self, actor: Actor, proposed: Tenant) -> Pending<'_, Tenant>;

    /// The tenant of that name.
    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>>;

    /// Every tenant, oldest first.
    fn tenants(&self) -> Pending<'_, Vec<Tenant>>;

    /// Id and name of every face set of a tenant, oldest first: for whoever makes or shows keys for some of them.
    fn face_set_names(&self, tenant: TenantId) -> Pending<'_, Vec<(FaceSetId, FaceSetName)>>;

    /// Gives the actor's tenant these limits, if it is as `only_if` says; false if there is none. `Changed`.
    fn set_tenant_limits(
        &self,
        actor: Actor,
        limits: Limits,
        only_if: Option<Precondition<Tenant>>,
    ) -> Pending<'_, bool>;

    /// Stores a key. `InvalidArgument` if its id is taken or its tenant unknown.
    fn add_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, ()>;

    /// The same for a tenant's first key: in one transaction with the question whether the tenant has one already; false if
    /// it has, and nothing is stored.
    fn add_first_key(&self, actor: Actor, key: AccessKey) -> Pending<'_, bool>;

    /// The key with that id, also when disabled or expired.
    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>>;

    /// The keys of a tenant, oldest first.
    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>>;

    /// Switches a key of the actor's tenant on or off; false if there is none. Switching it off erases the sessions that were begun
    /// with it, which are records of scope [`super::SESSIONS`] in the bucket of its id: they are over when it is switched on again.
    fn set_key_enabled(&self, actor: Actor, id: AccessKeyId, enabled: bool) -> Pending<'_, bool>;

    /// Gives a key of the actor's tenant a new secret; the present one is accepted until `old_valid_until`, one before it no
    /// more. False if there is no such key.
    fn rotate_key(
        &self,
        actor: Actor,
        id: AccessKeyId,
        secret: Secret,
        old_valid_until: TimestampMs,
    ) -> Pending<'_, bool>;

    /// Deletes a key of the actor's tenant; false if there is none.
    fn delete_key(&self, actor: Actor, id: AccessKeyId) -> Pending<'_, bool>;

    /// Notes when keys were used last; an earlier time than is stored changes nothing, nor does an unknown key. Secrets that
    /// were replaced and are no more accepted at the latest of these times are erased. No commit.
    fn keys_used(&self, uses: Vec<(AccessKeyId, TimestampMs)>) -> Pending<'_, ()>;

    /// The installation's secret: the one stored, or `proposed`, which is then stored for good. Every process hears the
    /// same.
    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret>;
}
