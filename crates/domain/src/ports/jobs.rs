//! Work that outlives its request, and things that may be used only once.

use bytes::Bytes;

use super::Pending;
use crate::types::{AccessKeyId, JobId, JobLease, TenantId, TimestampMs};

/// Work to be done later.
#[derive(Clone)]
pub struct NewJob {
    /// Its future id; a proposal, as with faces.
    pub id: JobId,
    /// Whose work it is.
    pub tenant: TenantId,
    /// The access key that asked for it; `None` for the owner of the data folder and the server's own work.
    pub key: Option<AccessKeyId>,
    /// Who can do it: a short word owned by one worker, as in `scan`.
    pub kind: &'static str,
    /// What is to be done, in the worker's own format; may hold personal data, so it is never logged.
    pub payload: Bytes,
    /// Not before this time.
    pub due_at: TimestampMs,
    /// When it was asked for.
    pub created_at: TimestampMs,
}

/// Work that was asked for.
#[derive(Clone)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// Whose work it is.
    pub tenant: TenantId,
    /// The access key that asked for it; `None` for the owner of the data folder and the server's own work.
    pub key: Option<AccessKeyId>,
    /// Who can do it.
    pub kind: String,
    /// What is to be done; empty once it is done.
    pub payload: Bytes,
    /// What came out, and of a cancelled one what was done of it, if that is known; `None` until it is done.
    pub result: Option<Bytes>,
    /// Whether it was cancelled.
    pub is_cancelled: bool,
    /// How often it was claimed.
    pub n_attempts: u32,
    /// When it may be claimed next; of no meaning once it is done.
    pub due_at: TimestampMs,
    /// When it was asked for.
    pub created_at: TimestampMs,
    /// When it is forgotten; `None` until it is done or cancelled.
    pub expires_at: Option<TimestampMs>,
}

impl Job {
    /// The claim of whoever got the job from [`JobStore::claim`].
    pub fn lease(&self) -> JobLease {
        JobLease { job: self.id, until: self.due_at }
    }
}

/// What a job says when it is to be cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cancel {
    /// It will not be done, or what is done of it will have no result.
    Done,
    /// It was begun, and was to be cancelled only if it was not.
    TooLate,
    /// There is no undone job with that id.
    NotFound,
}

/// What becomes of a claimed job.
#[derive(Clone)]
pub enum JobOutcome {
    /// It is done: the result is kept until then, and the payload is erased in the same commit.
    Done {
        /// What came out, at least one byte.
        result: Bytes,
        /// When it is forgotten.
        expires_at: TimestampMs,
    },
    /// Try again at that time.
    Again {
        /// Not before this time.
        due_at: TimestampMs,
    },
    /// It is done in part: the payload says from now on what is left, and the tries are counted anew.
    Continue {
        /// What is left to be done, in the worker's own format.
        payload: Bytes,
        /// Not before this time.
        due_at: TimestampMs,
        /// What came out up to now: kept as the result if it was cancelled meanwhile; may be empty.
        so_far: Bytes,
    },
    /// It is done and nobody will ask for it: its bytes are erased in the same commit.
    Forgotten,
}

/// A stretch of a tenant's jobs.
#[derive(Clone, Default)]
pub struct JobPage {
    /// Jobs, the one accepted last first. Their payloads and results are left out.
    pub jobs: Vec<Job>,
    /// Where the next stretch begins, for [`JobStore::jobs`]; `None` at the end.
    pub next: Option<u64>,
}

/// A durable queue of jobs. An accepted job survives restarts; a job whose worker died becomes due again when its lease
/// ends, so work happens at least once: what a handler does must bear being done twice.
///
/// Writes are durable when they are acknowledged, as in [`super::GalleryStore`]; no index gets them. Payloads and
/// results have at most [`crate::limits::JOB_BYTES_MAX`] bytes, more is `InvalidArgument`, and so is an empty result.
pub trait JobStore: Send + Sync {
    /// Accepts jobs, all or none; `Overloaded` if more than `waiting_max` jobs of their kind would then be undone, or if more
    /// than nine tenths of those would be one tenant's: it must not keep all others out.
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>>;

    /// Takes an undone job of this kind, if one is due, and hides it until `lease_until`. Tenants are served in turn: it
    /// is a job of the first tenant after `served` that has one due, in the order of their ids, which begins anew after
    /// the last; with `None` at the first of all. Of that tenant's jobs it is the one that is longest due, and of those due at
    /// the same time the one accepted first.
    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>>;

    /// Settles a claimed job and accepts its follow-ups, however many wait, in one commit; false if the job is gone, already done or
    /// due for somebody else than who has this claim (then nothing is written), or cancelled under this claim (then what came
    /// out of it is kept, and nothing else).
    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool>;

    /// The job, done or not, unless it is forgotten at `now`.
    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>>;

    /// The jobs of a tenant that are not forgotten at `now`, the one accepted last first, at most `limit` of them, from the
    /// place that an earlier answer's `next` named, or from the last one (`None`).
    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage>;

    /// Takes an undone job out of the queue for good: its payload is erased, and it is known as cancelled until `expires_at`.
    /// `so_far` is kept as its result; empty is none. One that is under way at the moment is brought to the end of its step by
    /// its worker, who then cannot settle it, but says what came out; with `only_unbegun` such a job, and one that was ever
    /// begun, goes on instead ([`Cancel::TooLate`]), so that a cancelled job has done nothing.
    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        only_unbegun: bool,
        expires_at: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel>;

    /// When the next job of this kind is due, so that a worker knows how long to rest.
    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>>;

    /// Makes every job due that was begun and is not done, and returns how many. For whoever owns the store alone, before it
    /// claims any: those who began them are gone, and a lease of theirs means nothing.
    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64>;

    /// Makes jobs due that nobody is at though they were begun, and returns how many: those of servers of the same store which
    /// are gone, and those that this one has claimed otherwise than in `under_way`, the claims that its workers are at. A store
    /// that was put back, or whose standby was promoted without the last commits, has such claims again. Both count when two
    /// calls in a row have found them: a server that has lost its connection comes back, and a claim may just be on its way.
    /// Call it once a minute. A store that belongs to one process has none.
    fn take_over(&self, now: TimestampMs, under_way: Vec<JobLease>) -> Pending<'_, u64> {
        let _ = (now, under_way);
        Box::pin(std::future::ready(Ok(0)))
    }

    /// Erases jobs that are done and past their time, a few per commit; returns how many.
    fn forget(&self, now: TimestampMs) -> Pending<'_, u64>;
}

/// Remembers things that may be used only once, such as nonces and single-use signatures, across restarts.
pub trait NonceStore: Send + Sync {
    /// A clock that is set back revives nothing: tokens are kept for a while after they have expired, and at a time before the
    /// expiry of one that is no longer kept, the answer is false for every token.
    ///
    /// True if `token` was not spent within `scope` before; it is remembered until `expires_at`. The answer is durable:
    /// of two calls with one token, at once or across any crash, at most one hears true before `expires_at` has come. A
    /// refused token keeps its first time. `InvalidArgument` above [`crate::limits::ONCE_SCOPE_BYTES_MAX`] and
    /// [`crate::limits::ONCE_TOKEN_BYTES_MAX`]: hash what is longer.
    fn consume(&self, scope: &str, token: &[u8], now: TimestampMs, expires_at: TimestampMs) -> Pending<'_, bool>;
}
