//! Who made a change, as it is kept with the change.

use std::fmt;
use std::sync::Arc;

use super::{AccessKeyId, JobId, TenantId, TimestampMs};

/// Names one request in logs, answers and commits: 1 to [`RequestId::CHARS_MAX`] visible ASCII characters.
///
/// Cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RequestId(Arc<str>);

impl RequestId {
    /// Most characters it may have.
    pub const CHARS_MAX: usize = 128;

    /// Checks length and alphabet; `None` for anything but 1 to [`RequestId::CHARS_MAX`] visible ASCII characters.
    pub fn new(text: &str) -> Option<Self> {
        let visible = text.bytes().all(|byte| byte.is_ascii_graphic());
        ((1..=Self::CHARS_MAX).contains(&text.len()) && visible).then(|| Self(text.into()))
    }

    /// The id of a request that has none of its own: `-`.
    pub fn unnamed() -> Self {
        Self("-".into())
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.0)
    }
}

/// On whose behalf a write is made: kept with the commit that it makes, so that an audit can say who changed what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// Whose data is changed.
    pub tenant: TenantId,
    /// The access key that signed the request; `None` for the owner of the data folder and for the server's own work.
    pub key: Option<AccessKeyId>,
    /// The request that made the change.
    pub request_id: RequestId,
    /// Whether the store refuses the write ([`crate::Kind::Forbidden`]) if it has no such key any more or it is disabled,
    /// so that a request under way has no effect once its key is gone. Not kept with the commit, where it is false.
    pub key_must_be_usable: bool,
    /// The claim of the job that makes the write; the store refuses it ([`crate::Kind::JobDone`]) once the job is done, cancelled or
    /// due for somebody else, so that a worker that was held up has no effect afterwards. Not kept with the commit, where it
    /// is `None`.
    pub lease: Option<JobLease>,
}

/// A worker's claim of a job: it holds as long as the job is not done and has this end of its lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct JobLease {
    /// The job.
    pub job: JobId,
    /// When it is due for others, as it was claimed.
    pub until: TimestampMs,
}
