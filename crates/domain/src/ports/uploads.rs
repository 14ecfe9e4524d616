//! Pictures that were handed in ahead of the call that names them.

use bytes::Bytes;

use super::Pending;
use crate::types::{TenantId, TimestampMs, UploadName};

/// A picture to be kept for a short time.
#[derive(Clone)]
pub struct NewUpload {
    /// Unique within the tenant; another picture of that name is replaced.
    pub name: UploadName,
    /// The file as it came; nobody has looked at it. Never logged.
    pub bytes: Bytes,
    /// When it is forgotten.
    pub expires_at: TimestampMs,
}

/// How much of a tenant may lie there at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UploadQuota {
    /// Most pictures.
    pub n_max: u64,
    /// Most bytes of all of them.
    pub bytes_max: u64,
}

/// A tray for pictures: durable, private, and short-lived, since photographs are biometric data like what is made of
/// them. A picture of another tenant behaves like one that was never there.
///
/// Writes are durable when they are acknowledged, as in [`super::GalleryStore`]; no index gets them.
pub trait UploadStore: Send + Sync {
    /// Keeps a picture. `Overloaded` if the tenant's pictures whose time is not over would then be more than `room`
    /// allows; `InvalidArgument` for more than [`crate::limits::IMAGE_BYTES_MAX`] bytes.
    fn put_upload(&self, tenant: TenantId, picture: NewUpload, room: UploadQuota, now: TimestampMs) -> Pending<'_, ()>;

    /// The bytes of a picture, unless its time is over at `now`.
    fn picture(&self, tenant: TenantId, name: UploadName, now: TimestampMs) -> Pending<'_, Option<Bytes>>;

    /// Erases a picture before its time; one that is not there is fine.
    fn erase_upload(&self, tenant: TenantId, name: UploadName) -> Pending<'_, ()>;

    /// Erases the pictures whose time is over, a few per commit; returns how many.
    fn purge_expired_uploads(&self, now: TimestampMs) -> Pending<'_, u64>;
}
