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
mod archives;
mod commits;
mod credentials;
mod gallery;
mod index;
mod jobs;
mod media;
mod records;
mod scope;
mod transient;
mod uploads;

use std::future::Future;
use std::pin::Pin;

use crate::Result;
use crate::types::{ID_END, TimestampMs};

pub use analysis::{
    Analysis, AnalyzeRequest, AnalyzedFace, AnalyzerLoad, Assess, Count, Doubt, FaceAnalyzer, FaceChoice, ImageFormats,
    ImageRules, PackInfo,
};
pub use archives::{ArchiveBounds, ArchiveId, ArchiveStore, OpenArchive};
pub use commits::{
    BEGIN_ANEW, Change, ChangeRef, Commit, CommitPage, CommitRecord, KeyAction, RecordPage, RecordPlace,
};
pub use credentials::CredentialStore;
pub use gallery::{
    FaceMove, FacePage, GalleryStore, OutsideHealth, OutsideTrouble, OwnersId, Page, PersonSummary, ReportProgress,
    ScrubReport, ScrubStep, StoreHealth, StoreReport, TemplatePage,
};
pub use index::{GalleryChange, GalleryEntry, GallerySearch, Hit, KeptRows, VectorIndex};
pub use jobs::{Cancel, Job, JobOutcome, JobPage, JobStore, NewJob, NonceStore};
pub use media::{FetchRules, ImageFetcher, Video, VideoDecoder, VideoFrame, VideoRules, Webhook, WebhookSender};
pub use records::{Record, RecordId, RecordQuota, RecordStore, SESSIONS, WhenFull};
pub use scope::{FaceScope, FaceSelector};
pub use transient::TransientFaceStore;
pub use uploads::{NewUpload, UploadQuota, UploadStore};

/// The target of the spans that mark the steps of a request (`decode`, `search`, `commit` and so on), of which traces are
/// made. Their fields go to an operator's collector: numbers, and nothing of anybody.
pub const STEPS: &str = "likeness_steps";

/// The answer of a port, later.
pub type Pending<'a, T> = Pin<Box<dyn Future<Output = Result<T>> + Send + 'a>>;

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

/// A random identity: `make` accepts what is above 0 and below [`ID_END`]. The store replaces one that is taken.
pub fn fresh_id<T>(ids: &dyn IdSource, make: impl Fn(u64) -> Option<T>) -> T {
    loop {
        let mut bytes = [0; 8];
        ids.fill(&mut bytes);
        // ID_END is a power of two, so the remainder is as evenly spread as the bytes are. Only zero is refused.
        if let Some(id) = make(u64::from_le_bytes(bytes) % ID_END) {
            return id;
        }
    }
}
