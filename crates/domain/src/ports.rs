//! What the domain needs of others, in behaviour first.
//!
//! Ports are object-safe and held as `Arc<dyn Port>`. Slow ones answer with a [`Pending`] future.
//!
//! # Writes, revisions and the index
//! Each writing method of [`GalleryStore`] takes the [`Actor`](crate::types::Actor) on whose behalf it is made and is one
//! atomic [`Commit`]. When its future resolves to `Ok`, the write is durable (it survives `kill -9` and power loss) and
//! visible to every read and search that starts afterwards; when it resolves to `Err`, nothing was written. Dropping the
//! future does not undo a write that was handed over. A delete of many faces may be several commits in a row
//! ([`GalleryStore::delete_faces`]).
//!
//! A store is opened with a [`VectorIndex`] and feeds it: every commit's [`GalleryChange`]s are applied in revision
//! order, after the commit is durable and before it is acknowledged. So the index can never miss a change because a
//! client hung up, and "acknowledged" implies "searchable" (or, for deletes, "gone from search").

mod analysis;
mod commits;
mod gallery;
mod index;
mod jobs;
mod media;
mod transient;
mod uploads;

use std::future::Future;
use std::pin::Pin;

use crate::Result;
use crate::types::{AccessKey, AccessKeyId, InstallationSecret, Tenant, TenantId, TenantName, TimestampMs};

pub use analysis::{
    Analysis, AnalyzeRequest, AnalyzedFace, Assess, Doubt, FaceAnalyzer, ImageFormats, ImageRules, PackInfo,
};
pub use commits::{Change, Commit, CommitPage, GalleryChange};
pub use gallery::{FaceScope, FaceSelector, GalleryStore, Page, StoreReport};
pub use index::{GalleryEntry, GallerySearch, Hit, VectorIndex};
pub use jobs::{Job, JobOutcome, JobStore, NewJob, NonceStore};
pub use media::{FetchRules, ImageFetcher, Video, VideoDecoder, VideoFrame, VideoRules, Webhook, WebhookSender};
pub use transient::TransientFaceStore;
pub use uploads::{NewUpload, UploadQuota, UploadStore};

/// The answer of a port, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

// -------------------------------------------------------------------------------------------------- credentials

/// Tenants and their access keys. Changes made by another process (`likeness key` beside a running server) are seen
/// by the next call.
pub trait CredentialStore: Send + Sync {
    /// The tenant of that name, made with the proposed id and time if it does not exist.
    fn ensure_tenant(&self, proposed: Tenant) -> Pending<'_, Tenant>;

    /// The tenant of that name.
    fn tenant(&self, name: TenantName) -> Pending<'_, Option<Tenant>>;

    /// Every tenant, oldest first.
    fn tenants(&self) -> Pending<'_, Vec<Tenant>>;

    /// Stores a key. `InvalidArgument` if its id is taken or its tenant unknown.
    fn add_key(&self, key: AccessKey) -> Pending<'_, ()>;

    /// The key with that id, also when disabled.
    fn key(&self, id: AccessKeyId) -> Pending<'_, Option<AccessKey>>;

    /// The keys of a tenant, oldest first.
    fn keys(&self, tenant: TenantId) -> Pending<'_, Vec<AccessKey>>;

    /// Switches a key on or off; false if there is none.
    fn set_key_enabled(&self, id: AccessKeyId, enabled: bool) -> Pending<'_, bool>;

    /// Deletes a key; false if there is none.
    fn delete_key(&self, id: AccessKeyId) -> Pending<'_, bool>;

    /// The installation's secret: the one stored, or `proposed`, which is then stored for good. Every process hears the
    /// same.
    fn installation_secret(&self, proposed: InstallationSecret) -> Pending<'_, InstallationSecret>;
}

// -------------------------------------------------------------------------------------------- time and randomness

/// Tells the time, so that a failing run can be replayed.
pub trait Clock: Send + Sync {
    /// Now.
    fn now(&self) -> TimestampMs;
}

/// Wakes those who rest, by the same time as the [`Clock`].
pub trait Timer: Send + Sync {
    /// Ready when the clock says `at` or later. It may be ready earlier: ask the clock.
    fn sleep_until(&self, at: TimestampMs) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}

/// Gives random numbers: from the operating system in service, from a seed in tests.
pub trait IdSource: Send + Sync {
    /// Fills `bytes` with unpredictable bytes.
    fn fill(&self, bytes: &mut [u8]);
}
