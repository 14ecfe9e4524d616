//! Short-lived records.

use std::collections::BTreeMap;

use bytes::Bytes;
use likeness_domain::Result;
use likeness_domain::ports::{Pending, Record, RecordId, RecordQuota, RecordStore, WhenFull};
use likeness_domain::types::{TenantId, TimestampMs};

use super::{MemoryStore, ready};
use crate::bounds;

/// Every record under its scope and id, with its place in the order of making.
#[derive(Default)]
pub(super) struct Records {
    n_made: u64,
    records: BTreeMap<(&'static str, RecordId), (u64, Record)>,
}

impl Records {
    /// Erases every record of a tenant.
    pub(super) fn erase_tenant(&mut self, tenant: TenantId) {
        self.records.retain(|_, (_, record)| record.tenant != tenant);
    }

    /// Erases the records of a tenant in one bucket.
    pub(super) fn erase_bucket(&mut self, tenant: TenantId, scope: &str, bucket: &str) {
        let is_of = |record: &Record| record.tenant == tenant && record.bucket == bucket;
        self.records.retain(|(other, _), (_, record)| *other != scope || !is_of(record));
    }

    fn purge(&mut self, now: TimestampMs) {
        self.records.retain(|_, (_, record)| now < record.expires_at);
    }

    fn put(
        &mut self,
        scope: &'static str,
        record: Record,
        quota: RecordQuota,
        now: TimestampMs,
    ) -> Result<Option<Record>> {
        bounds::check_record(&record.value)?;
        self.purge(now);
        if let Some((_, known)) = self.records.get(&(scope, record.id)) {
            return Ok(Some(known.clone()));
        }
        loop {
            let same = self.records.iter().filter(|((other, _), (_, known))| {
                *other == scope && known.tenant == record.tenant && known.bucket == record.bucket
            });
            let counted: Vec<_> = same.map(|(key, (number, known))| (known.expires_at, *number, *key)).collect();
            let n_bytes = counted.iter().map(|(_, _, key)| self.records[key].1.value.len() as u64).sum();
            match bounds::check_record_quota(counted.len() as u64, n_bytes, record.value.len(), quota) {
                Ok(()) => break,
                Err(error) => match counted.into_iter().min() {
                    Some((_, _, first)) if quota.when_full == WhenFull::Evict => self.records.remove(&first),
                    _ => return Err(error),
                },
            };
        }
        self.n_made += 1;
        self.records.insert((scope, record.id), (self.n_made, record));
        Ok(None)
    }
}

impl RecordStore for MemoryStore {
    fn put_record(
        &self,
        scope: &'static str,
        record: Record,
        quota: RecordQuota,
        now: TimestampMs,
    ) -> Pending<'_, Option<Record>> {
        let mut state = self.read();
        ready(state.refuse_deleted(record.tenant).and_then(|()| state.records.put(scope, record, quota, now)))
    }

    fn record(&self, scope: &'static str, id: RecordId, now: TimestampMs) -> Pending<'_, Option<Record>> {
        let state = self.read();
        let found = state.records.records.get(&(scope, id)).map(|(_, record)| record);
        ready(Ok(found.filter(|record| now < record.expires_at).cloned()))
    }

    fn change_record(
        &self,
        scope: &'static str,
        id: RecordId,
        value: Bytes,
        expires_at: TimestampMs,
    ) -> Pending<'_, bool> {
        if let Err(error) = bounds::check_record(&value) {
            return ready(Err(error));
        }
        let mut state = self.read();
        let Some((_, record)) = state.records.records.get_mut(&(scope, id)) else { return ready(Ok(false)) };
        (record.value, record.expires_at) = (value, expires_at);
        ready(Ok(true))
    }

    fn delete_record(&self, scope: &'static str, id: RecordId) -> Pending<'_, bool> {
        ready(Ok(self.read().records.records.remove(&(scope, id)).is_some()))
    }

    fn purge_expired_records(&self, now: TimestampMs) -> Pending<'_, u64> {
        let records = &mut self.read().records;
        let n_before = records.records.len();
        records.purge(now);
        ready(Ok((n_before - records.records.len()) as u64))
    }
}
