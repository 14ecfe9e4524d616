//! Bounds of faces, persons, jobs, tokens and pictures, the same in every backend. What they are compared with is what is
//! stored when the write is made.

use std::collections::BTreeMap;

use likeness_domain::access::Limits;
use likeness_domain::limits::{
    IMAGE_BYTES_MAX, JOB_BYTES_MAX, ONCE_SCOPE_BYTES_MAX, ONCE_TOKEN_BYTES_MAX, RECORD_BYTES_MAX,
};
use likeness_domain::ports::{JobOutcome, NewJob, NewUpload, RecordQuota, UploadQuota};
use likeness_domain::types::{FaceSet, TenantId, TimestampMs};
use likeness_domain::{Error, Kind, Result};

/// `CapacityExceeded` if the gallery of a set, which shows `n_shown` faces, may not show `n_more`: by the set's capacity, or
/// by the limit on every set.
pub(crate) fn check_gallery(face_set: &FaceSet, n_shown: u64, n_more: u64, limits: &Limits) -> Result<()> {
    let n_wanted = n_shown.saturating_add(n_more);
    let name = &face_set.name;
    let message = match (face_set.capacity, limits.face_set_faces_max) {
        _ if n_more == 0 => return Ok(()),
        (Some(capacity), _) if n_wanted > capacity => format!("face set `{name}` holds at most {capacity} faces"),
        (_, Some(faces_max)) if n_wanted > faces_max => {
            format!("face set `{name}` shows {n_shown} faces, sets of the tenant may show {faces_max}")
        }
        _ => return Ok(()),
    };
    Err(Error::new(Kind::CapacityExceeded, message))
}

/// `InvalidArgument` if a payload is too long.
pub(crate) fn check_jobs(jobs: &[NewJob]) -> Result<()> {
    jobs.iter().try_for_each(|job| check_len("job payload", job.payload.len(), JOB_BYTES_MAX))
}

/// `InvalidArgument` if a result is too long.
pub(crate) fn check_outcome(outcome: &JobOutcome) -> Result<()> {
    match outcome {
        // The mark of a cancelled job.
        JobOutcome::Done { result, .. } if result.is_empty() => {
            Err(Error::invalid("job result", "`job result` is empty, expected at least 1 byte"))
        }
        JobOutcome::Done { result, .. } => check_len("job result", result.len(), JOB_BYTES_MAX),
        JobOutcome::Continue { payload, so_far, .. } => {
            check_len("job payload", payload.len(), JOB_BYTES_MAX)?;
            check_len("job result", so_far.len(), JOB_BYTES_MAX)
        }
        JobOutcome::Again { .. } | JobOutcome::Forgotten => Ok(()),
    }
}

/// What came out of a job up to now, for one that was cancelled meanwhile; empty where that is not said.
pub(crate) fn so_far(outcome: &JobOutcome) -> &[u8] {
    match outcome {
        JobOutcome::Done { result, .. } => result,
        JobOutcome::Continue { so_far, .. } => so_far,
        JobOutcome::Again { .. } | JobOutcome::Forgotten => &[],
    }
}

/// `InvalidArgument` if scope or token is too long.
pub(crate) fn check_token(scope: &str, token: &[u8]) -> Result<()> {
    check_len("scope", scope.len(), ONCE_SCOPE_BYTES_MAX)?;
    check_len("token", token.len(), ONCE_TOKEN_BYTES_MAX)
}

/// Milliseconds that a token is kept after it has expired: a clock that is set back by less than this revives none.
const SPENT_KEPT_MS: i64 = 15 * 60 * 1000;

/// Until when a token is kept that expires then.
pub(crate) fn kept_until(expires_at: TimestampMs) -> TimestampMs {
    TimestampMs(expires_at.0.saturating_add(SPENT_KEPT_MS))
}

/// When those tokens expired that are kept no longer than until `now`.
pub(crate) fn purged_at(now: TimestampMs) -> TimestampMs {
    TimestampMs(now.0.saturating_sub(SPENT_KEPT_MS))
}

/// How many jobs of each kind there are, kinds in order of first mention.
pub(crate) fn by_kind(jobs: &[NewJob]) -> Vec<(&'static str, u64)> {
    let mut kinds: Vec<(&'static str, u64)> = Vec::new();
    for job in jobs {
        match kinds.iter_mut().find(|(kind, _)| *kind == job.kind) {
            Some((_, n_jobs)) => *n_jobs += 1,
            None => kinds.push((job.kind, 1)),
        }
    }
    kinds
}

/// `Overloaded` if `n_more` jobs beside `n_undone` are more than may wait.
pub(crate) fn check_room(kind: &str, n_undone: u64, n_more: u64, waiting_max: u64) -> Result<()> {
    if n_undone.saturating_add(n_more) <= waiting_max {
        return Ok(());
    }
    let message = format!("{n_undone} jobs `{kind}` are waiting, at most {waiting_max} may; try again in a moment");
    Err(Error::new(Kind::Overloaded, message))
}

/// The same for each tenant of the jobs.
pub(crate) fn by_kind_and_tenant(jobs: &[NewJob]) -> BTreeMap<(&'static str, TenantId), u64> {
    let mut counts = BTreeMap::new();
    for job in jobs {
        *counts.entry((job.kind, job.tenant)).or_default() += 1;
    }
    counts
}

/// Whether so many jobs are more than one tenant may have waiting. The last tenth is for the others.
pub(crate) fn is_above_room_of_tenant(n_jobs: u64, waiting_max: u64) -> bool {
    n_jobs > waiting_max - waiting_max / 10
}

/// `Overloaded` if `n_more` jobs of a tenant beside the `n_own` that it has undone are more than it may have waiting.
pub(crate) fn check_room_of_tenant(kind: &str, n_own: u64, n_more: u64, waiting_max: u64) -> Result<()> {
    if !is_above_room_of_tenant(n_own.saturating_add(n_more), waiting_max) {
        return Ok(());
    }
    let message =
        format!("{n_own} jobs `{kind}` of this tenant are waiting, as many as one may have; try again in a moment");
    Err(Error::new(Kind::Overloaded, message))
}

/// `InvalidArgument` if a picture is too long.
pub(crate) fn check_upload(picture: &NewUpload) -> Result<()> {
    check_len("picture", picture.bytes.len(), IMAGE_BYTES_MAX)
}

/// `Overloaded` if one more picture, of `n_bytes_more`, is more than there is room for.
pub(crate) fn check_upload_quota(n_others: u64, n_bytes: u64, n_bytes_more: usize, room: UploadQuota) -> Result<()> {
    let UploadQuota { n_max, bytes_max } = room;
    if n_others < n_max && n_bytes.saturating_add(n_bytes_more as u64) <= bytes_max {
        return Ok(());
    }
    let message = format!(
        "{n_others} pictures of {n_bytes} bytes lie there already, at most {n_max} of {bytes_max} bytes may; \
         try again when some are forgotten"
    );
    Err(Error::new(Kind::Overloaded, message))
}

/// `InvalidArgument` if the value of a record is too long.
pub(crate) fn check_record(value: &[u8]) -> Result<()> {
    check_len("record", value.len(), RECORD_BYTES_MAX)
}

/// `Overloaded` if one more record beside `n_records` of `n_bytes` is more than there is room for.
pub(crate) fn check_record_quota(n_records: u64, n_bytes: u64, n_bytes_more: usize, quota: RecordQuota) -> Result<()> {
    if n_records < quota.n_max && n_bytes.saturating_add(n_bytes_more as u64) <= quota.bytes_max {
        return Ok(());
    }
    let (n_max, bytes_max) = (quota.n_max, quota.bytes_max);
    let message = format!(
        "{n_records} short-lived records of {n_bytes} bytes are kept, at most {n_max} of {bytes_max} bytes may be; \
         try again when some have expired"
    );
    Err(Error::new(Kind::Overloaded, message))
}

fn check_len(field: &'static str, len: usize, len_max: usize) -> Result<()> {
    if len <= len_max {
        return Ok(());
    }
    Err(Error::invalid(field, format!("the {field} has {len} bytes, expected at most {len_max}")))
}

/// The refusal of a write in the name of a key that was deleted or disabled since its request was admitted.
pub(crate) fn key_gone() -> Error {
    Error::new(Kind::Forbidden, "the access key was deleted or disabled meanwhile")
}

/// The refusal of a write for a job that is not done any more by who makes it.
pub(crate) fn lease_over() -> Error {
    Error::new(Kind::JobDone, "the job was cancelled, is done, or is somebody else's by now")
}

/// The refusal of a write for a tenant that was deleted.
pub(crate) fn tenant_deleted() -> Error {
    Error::new(Kind::Forbidden, "the tenant was deleted")
}
