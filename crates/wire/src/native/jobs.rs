//! Jobs: work that outlives its request. Each kind is told and done by a file of its own.

use std::sync::Arc;

use axum::response::Response;
use http::StatusCode;
use likeness_domain::ports::Job;
use likeness_domain::types::TimestampMs;

use super::archive_jobs::{self, Exports, Imports};
use super::body::{Call, OfId, Query, json};
use super::deletes::{self, Deletes};
use super::enrolments::{self, Enrolments};
use super::errors::NativeError;
use super::{dto, job};
use crate::services::{Services, Worker};

type Answer = Result<Response, NativeError>;

/// `GET /jobs`
pub(super) async fn list(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    words.finish()?;
    let from = api.cursors.open_number(caller.tenant, "jobs", cursor.as_deref())?;
    let page = api.library.jobs(&caller, from, limit).await?;
    let now = api.library.now();
    let next_cursor = page.next.map(|next| api.cursors.seal_number(caller.tenant, "jobs", next));
    let mut jobs: Vec<dto::Job> = page.jobs.iter().map(|job| told(job, now)).collect();
    archive_jobs::tell_what_is_there(&api, &page.jobs, &mut jobs).await?;
    Ok(json(StatusCode::OK, &dto::Jobs { jobs, next_cursor }))
}

/// `GET /jobs/{id}`
pub(super) async fn show(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let found = api.library.job(&caller, job::id(&id)?).await?;
    let mut shown = [told(&found, api.library.now())];
    archive_jobs::tell_what_is_there(&api, &[found], &mut shown).await?;
    let [shown] = shown;
    Ok(json(StatusCode::OK, &shown))
}

/// `DELETE /jobs/{id}`
pub(super) async fn cancel(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let id = job::id(&id)?;
    let found = api.library.job(&caller, id).await?;
    let so_far = async |job: &Job| {
        let outcome = match job.kind.as_str() {
            enrolments::ENROL => enrolments::so_far(&api.library, &caller, job).await?,
            archive_jobs::IMPORT => archive_jobs::so_far(&api.library, job).await?,
            _ => None,
        };
        Ok(job::so_far_bytes(outcome.as_ref()))
    };
    api.library.cancel_job(&caller, id, &[deletes::DELETE], so_far).await?;
    archive_jobs::erase_of(&api.archives, &found);
    Ok(json(StatusCode::OK, &dto::JobCancelled { cancelled: id.to_string() }))
}

fn told(job: &Job, now: TimestampMs) -> dto::Job {
    let progress = enrolments::progress(job).or_else(|| archive_jobs::progress(job));
    let outcome = match job.kind.as_str() {
        // Only one that was not begun can be cancelled.
        deletes::DELETE if job.is_cancelled => Some(dto::JobOutcome { n_faces: Some(0), ..Default::default() }),
        deletes::DELETE | enrolments::ENROL | archive_jobs::EXPORT | archive_jobs::IMPORT => job::outcome(job),
        _ => None,
    };
    job::described(job, now, progress, outcome)
}

/// What does the jobs of the native API.
pub(crate) fn workers(wire: Services) -> Vec<Worker> {
    let Services { library, access, archives, .. } = wire;
    let exports =
        Exports { library: Arc::clone(&library), access: Arc::clone(&access), archives: Arc::clone(&archives) };
    let imports = Imports::new(Arc::clone(&library), Arc::clone(&access), archives);
    let enrolments = Enrolments { library: Arc::clone(&library), access: Arc::clone(&access) };
    vec![
        Worker { handler: Arc::new(Deletes { library, access }), n_at_once: 1 },
        Worker { handler: Arc::new(enrolments), n_at_once: 2 },
        Worker { handler: Arc::new(exports), n_at_once: 1 },
        Worker { handler: Arc::new(imports), n_at_once: 1 },
    ]
}
