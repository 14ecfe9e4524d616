//! Work of the native API that outlives its request: deletes of very many faces here, enrolments in
//! [`enrolments`](super::enrolments), archives in [`archive_jobs`](super::archive_jobs).

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use http::StatusCode;
use likeness_domain::access::{Access, Caller, Limits};
use likeness_domain::library::Library;
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::ports::{Job, JobOutcome, Pending};
use likeness_domain::types::{FaceSet, FaceSetId, TimestampMs};
use likeness_domain::{Error, Kind};
use serde::{Deserialize, Serialize};

use super::archive_jobs::{self, Exports, Imports};
use super::body::{Call, InFaceSet, Json, json};
use super::enrolments::{self, Enrolments};
use super::errors::{self, NativeError};
use super::{convert, dto, keys};
use crate::http::json as json_text;
use crate::router::{Services, Worker};

/// The kind of jobs that delete faces.
pub(super) const DELETE: &str = "delete-faces";

/// Most deletes that wait, over all tenants.
const WAITING_MAX: u64 = 1000;

/// Time for one delete: a million faces take some minutes.
const LEASE: Duration = Duration::from_hours(1);

/// Pauses before further tries.
const WAITS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_mins(10)];

/// How long an outcome can be asked for.
const RESULT_LIFETIME_MS: i64 = 24 * 60 * 60 * 1000;

/// What is to be done.
#[derive(Serialize, Deserialize)]
struct Work {
    face_set: u64,
    which: dto::DeleteFaces,
}

/// `POST /face-sets/{name}/faces/delete-later`
pub(super) async fn delete_later(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::DeleteFaces>,
) -> Result<Response, NativeError> {
    let which = convert::delete_faces(body.clone())?;
    let face_set = api.library.check_delete(&caller, &name, which).await?;
    let work = Work { face_set: face_set.id.get(), which: body };
    let payload = json_text::write(&work).into();
    let job = api.library.accept_job(&caller, DELETE, payload, WAITING_MAX).await?;
    Ok(json(StatusCode::ACCEPTED, &keys::described_job(&job, api.library.now())))
}

/// The outcome of a job of ours; `None` for jobs of other dialects and for ones that are not done.
pub(super) fn outcome(job: &Job) -> Option<dto::JobOutcome> {
    if job.kind == DELETE && job.is_cancelled {
        return Some(dto::JobOutcome { n_faces: Some(0), ..Default::default() });
    }
    if job.kind == enrolments::ENROL {
        return enrolments::outcome(job);
    }
    if let Some(outcome) = archive_jobs::outcome(job) {
        return Some(outcome);
    }
    let result = job.result.as_ref().filter(|result| job.kind == DELETE && !result.is_empty())?;
    serde_json::from_slice(result).ok()
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

struct Deletes {
    library: Arc<Library>,
    access: Arc<Access>,
}

impl Deletes {
    async fn done(&self, job: &Job, work: Work) -> Result<u64, Error> {
        let (caller, face_set) = begun(&self.library, &self.access, job, work.face_set).await?;
        let (_, deleted) =
            self.library.delete_faces(&caller, &face_set.name, convert::delete_faces(work.which)?).await?;
        Ok(deleted.len() as u64)
    }
}

/// In whose name a job is done, and the face set that it is for: by its id, as another set may have got the name meanwhile.
pub(super) async fn begun(
    library: &Library,
    access: &Access,
    job: &Job,
    face_set: u64,
) -> Result<(Caller, FaceSet), Error> {
    let gone = || Error::new(Kind::FaceSetNotFound, "the face set was deleted");
    let caller = access.caller_of_job(job, Limits::NONE, format!("job-{}", job.id)).await?;
    let id = FaceSetId::new(face_set).ok_or_else(gone)?;
    let face_set = library.known_face_set(&caller, id).await?.face_set;
    Ok((caller, face_set))
}

/// A job that is done, whose outcome can be asked for.
pub(super) fn settled(library: &Library, outcome: &dto::JobOutcome) -> Settled {
    settled_with(library, outcome)
}

/// The same where more is kept than is returned.
pub(super) fn settled_with(library: &Library, outcome: &impl Serialize) -> Settled {
    let expires_at = TimestampMs(library.now().0 + RESULT_LIFETIME_MS);
    JobOutcome::Done { result: json_text::write(outcome).into(), expires_at }.into()
}

impl JobHandler for Deletes {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: DELETE, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(work) = serde_json::from_slice(&job.payload) else { return Ok(JobOutcome::Forgotten.into()) };
            let n_faces = self.done(job, work).await?;
            Ok(settled(&self.library, &dto::JobOutcome { n_faces: Some(n_faces), ..Default::default() }))
        })
    }

    fn give_up(&self, _: &Job, error: &Error) -> Settled {
        let (code, message) = (errors::code_of(error.kind()).to_owned(), error.message().to_owned());
        let outcome = dto::JobOutcome { code: Some(code), message: Some(message), ..Default::default() };
        settled(&self.library, &outcome)
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "native", ?error, "a job could not be done now");
    }
}
