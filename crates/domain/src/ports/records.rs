//! Short-lived records: what a server has to remember about its clients for a while, across restarts.

use bytes::Bytes;

use super::Pending;
use crate::types::{TenantId, TimestampMs};

/// Names a record: a digest of what only its owner knows, so that whoever reads the store cannot use it.
pub type RecordId = [u8; 32];

/// Scope of browsers' sessions; those of a key are in the bucket of its id.
pub const SESSIONS: &str = "session";

/// Something to be remembered until its time is over, such as a browser's session.
#[derive(Clone, PartialEq, Eq)]
pub struct Record {
    /// Unique within its scope.
    pub id: RecordId,
    /// Whose it is; gone with the tenant.
    pub tenant: TenantId,
    /// Records of one scope, tenant and bucket are counted together.
    pub bucket: String,
    /// What is remembered, in the format of whoever asked for it. Never logged.
    pub value: Bytes,
    /// When it was made.
    pub created_at: TimestampMs,
    /// From when on it is as if it had never been.
    pub expires_at: TimestampMs,
}

/// How many records of one scope, tenant and bucket there may be at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RecordQuota {
    /// Most records.
    pub n_max: u64,
    /// Most bytes of all their values.
    pub bytes_max: u64,
    /// What happens to one more.
    pub when_full: WhenFull,
}

/// What happens to a record for which there is no room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenFull {
    /// It is `Overloaded`.
    Refuse,
    /// Those go that would expire first.
    Evict,
}

/// Short-lived records, durable when they are acknowledged, as in [`super::GalleryStore`]; no index gets them, and none is a
/// commit. A scope is a short word, one for each use. A value has at most [`crate::limits::RECORD_BYTES_MAX`] bytes, more is
/// `InvalidArgument`.
pub trait RecordStore: Send + Sync {
    /// Keeps a record and returns `None`; or changes nothing and returns the record of that scope and id whose time is not
    /// over at `now`. `Overloaded` by `quota`; `Forbidden` if the tenant was deleted.
    fn put_record(
        &self,
        scope: &'static str,
        record: Record,
        quota: RecordQuota,
        now: TimestampMs,
    ) -> Pending<'_, Option<Record>>;

    /// The record, unless its time is over at `now`.
    fn record(&self, scope: &'static str, id: RecordId, now: TimestampMs) -> Pending<'_, Option<Record>>;

    /// Gives a record another value and time; false if it is not there (any more). `quota` is not asked again.
    fn change_record(
        &self,
        scope: &'static str,
        id: RecordId,
        value: Bytes,
        expires_at: TimestampMs,
    ) -> Pending<'_, bool>;

    /// Erases a record; false if there is none. Of several calls at once exactly one hears true.
    fn delete_record(&self, scope: &'static str, id: RecordId) -> Pending<'_, bool>;

    /// Erases the records whose time is over, a few per commit; returns how many.
    fn purge_expired_records(&self, now: TimestampMs) -> Pending<'_, u64>;
}
