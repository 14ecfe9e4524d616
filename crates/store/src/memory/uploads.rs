//! Pictures that were handed in.

use std::collections::BTreeMap;

use bytes::Bytes;
use likeness_domain::Result;
use likeness_domain::ports::{NewUpload, Pending, UploadQuota, UploadStore};
use likeness_domain::types::{TenantId, TimestampMs, UploadName};

use super::{MemoryStore, ready};
use crate::bounds;

/// Every picture under its tenant and name.
#[derive(Default)]
pub(super) struct Pictures(BTreeMap<(TenantId, UploadName), NewUpload>);

impl Pictures {
    /// Erases every upload of a tenant.
    pub(super) fn erase_tenant(&mut self, tenant: TenantId) {
        self.0.retain(|(owner, _), _| *owner != tenant);
    }

    fn put(&mut self, tenant: TenantId, new: NewUpload, room: UploadQuota, now: TimestampMs) -> Result<()> {
        bounds::check_upload(&new)?;
        let others = self
            .0
            .iter()
            .filter(|((owner, name), other)| *owner == tenant && *name != new.name && now < other.expires_at);
        let (n_others, n_bytes) =
            others.fold((0, 0), |(n_others, n_bytes), (_, other)| (n_others + 1, n_bytes + other.bytes.len() as u64));
        bounds::check_upload_quota(n_others, n_bytes, new.bytes.len(), room)?;
        self.0.insert((tenant, new.name.clone()), new);
        Ok(())
    }
}

impl UploadStore for MemoryStore {
    fn put_upload(&self, tenant: TenantId, picture: NewUpload, room: UploadQuota, now: TimestampMs) -> Pending<'_, ()> {
        let mut state = self.read();
        ready(state.refuse_deleted(tenant).and_then(|()| state.pictures.put(tenant, picture, room, now)))
    }

    fn picture(&self, tenant: TenantId, name: UploadName, now: TimestampMs) -> Pending<'_, Option<Bytes>> {
        let found = self.read().pictures.0.get(&(tenant, name)).filter(|picture| now < picture.expires_at).cloned();
        ready(Ok(found.map(|picture| picture.bytes)))
    }

    fn erase_upload(&self, tenant: TenantId, name: UploadName) -> Pending<'_, ()> {
        self.read().pictures.0.remove(&(tenant, name));
        ready(Ok(()))
    }

    fn purge_expired_uploads(&self, now: TimestampMs) -> Pending<'_, u64> {
        let pictures = &mut self.read().pictures.0;
        let n_before = pictures.len();
        pictures.retain(|_, picture| now < picture.expires_at);
        ready(Ok((n_before - pictures.len()) as u64))
    }
}
