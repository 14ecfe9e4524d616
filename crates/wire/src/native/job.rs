//! What jobs of the native API have in common, whatever they do.

use std::time::Duration;

use axum::response::Response;
use bytes::Bytes;
use http::StatusCode;
use likeness_domain::access::{Access, Caller, Limits};
use likeness_domain::library::Library;
use likeness_domain::library::jobs::Settled;
use likeness_domain::ports::{Job, JobOutcome};
use likeness_domain::types::{FaceSet, FaceSetId, JobId, TimestampMs};
use likeness_domain::{Error, Kind};
use serde::Serialize;

use super::body::json;
use super::{convert, dto};
use crate::http::json as json_text;

/// How long an outcome can be asked for.
const RESULT_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// The id that a path names.
pub(super) fn id(text: &str) -> Result<JobId, Error> {
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    let id = canonical.then(|| text.parse().ok().and_then(JobId::new)).flatten();
    id.ok_or_else(|| Error::new(Kind::JobNotFound, "there is no such job, or it is forgotten"))
}

/// A job in our own words. How far it is and what became of it is known by its kind.
pub(super) fn described(
    job: &Job,
    now: TimestampMs,
    progress: Option<dto::JobProgress>,
    outcome: Option<dto::JobOutcome>,
) -> dto::Job {
    let is_done = job.expires_at.is_some();
    let state = match (is_done, job.n_attempts) {
        (true, _) if job.is_cancelled => "cancelled",
        (true, _) => "done",
        // A claimed job is due again when its lease ends.
        (false, 1..) if now < job.due_at => "running",
        (false, _) => "waiting",
    };
    dto::Job {
        id: job.id.to_string(),
        kind: job.kind.clone(),
        state: state.to_owned(),
        n_attempts: job.n_attempts,
        progress,
        outcome,
        key: job.key.as_ref().map(ToString::to_string),
        created_at: convert::time_text(job.created_at),
        due_at: (!is_done).then(|| convert::time_text(job.due_at)),
        expires_at: job.expires_at.map(convert::time_text),
    }
}

/// The answer that a job was accepted.
pub(super) fn accepted(job: &Job, now: TimestampMs, progress: Option<dto::JobProgress>) -> Response {
    json(StatusCode::ACCEPTED, &described(job, now, progress, None))
}

/// What the requests of a job are called in the record of commits.
pub(super) fn request_id(job: &Job) -> String {
    format!("job-{}", job.id)
}

/// What became of a job of the native API that is done; `None` where nothing is told of it, as in listings.
pub(super) fn outcome(job: &Job) -> Option<dto::JobOutcome> {
    let result = job.result.as_ref().filter(|result| !result.is_empty())?;
    serde_json::from_slice(result).ok()
}

/// In whose name a job is done, and the face set that it is for: by its id, as another set may have got the name meanwhile.
pub(super) async fn begun(
    library: &Library,
    access: &Access,
    job: &Job,
    face_set: u64,
) -> Result<(Caller, FaceSet), Error> {
    let gone = || Error::new(Kind::FaceSetNotFound, "the face set was deleted");
    let caller = access.caller_of_job(job, Limits::NONE, request_id(job)).await?;
    let id = FaceSetId::new(face_set).ok_or_else(gone)?;
    let face_set = library.known_face_set(&caller, id).await?.face_set;
    Ok((caller, face_set))
}

/// Whether somebody has cancelled a job that is being done: what is left of it is not wanted any more, and how far it came is to
/// be known soon.
pub(super) async fn is_cancelled(library: &Library, job: &Job) -> bool {
    let caller = Caller::server(job.tenant, "jobs");
    library.job(&caller, job.id).await.is_ok_and(|now| now.is_cancelled)
}

/// What a job has come to up to now, as it is kept if it is cancelled; empty where nothing is told.
pub(super) fn so_far_bytes(outcome: Option<&dto::JobOutcome>) -> Bytes {
    outcome.map_or_else(Bytes::new, |outcome| json_text::write(outcome).into())
}

/// A job that is done, whose outcome can be asked for.
pub(super) fn settled(library: &Library, outcome: &impl Serialize) -> Settled {
    let expires_at = TimestampMs(library.now().0 + RESULT_LIFETIME_MS);
    JobOutcome::Done { result: json_text::write(outcome).into(), expires_at }.into()
}

/// A job that is not done: what is left of it, and when to go on. `so_far` is what came out, for whoever has cancelled it.
pub(super) fn goes_on(
    library: &Library,
    work: &impl Serialize,
    pause: Duration,
    so_far: Option<&dto::JobOutcome>,
) -> Settled {
    let pause_ms = i64::try_from(pause.as_millis()).unwrap_or(i64::MAX);
    let due_at = TimestampMs(library.now().0.saturating_add(pause_ms));
    JobOutcome::Continue { payload: json_text::write(work).into(), due_at, so_far: so_far_bytes(so_far) }.into()
}
