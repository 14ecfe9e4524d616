//! Deleting very many faces as a job.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use likeness_domain::Error;
use likeness_domain::access::Access;
use likeness_domain::library::Library;
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::ports::{Job, JobOutcome, Pending};
use serde::{Deserialize, Serialize};

use super::body::{Call, InFaceSet, Json};
use super::errors::NativeError;
use super::{convert, dto, job};
use crate::http::codes::code_of;
use crate::http::json as json_text;

/// The kind of jobs that delete faces.
pub(super) const DELETE: &str = "delete-faces";

/// Most deletes that wait, over all tenants.
const WAITING_MAX: u64 = 1000;

/// Time for one delete: a million faces take some minutes.
const LEASE: Duration = Duration::from_hours(1);

/// Pauses before further tries.
const WAITS: [Duration; 3] = [Duration::from_secs(10), Duration::from_secs(60), Duration::from_mins(10)];

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
    Ok(job::accepted(&job, api.library.now(), None))
}

/// Does these jobs.
pub(super) struct Deletes {
    pub(super) library: Arc<Library>,
    pub(super) access: Arc<Access>,
}

impl Deletes {
    async fn done(&self, job: &Job, work: Work) -> Result<u64, Error> {
        let (caller, face_set) = job::begun(&self.library, &self.access, job, work.face_set).await?;
        let (_, deleted) =
            self.library.delete_faces(&caller, &face_set.name, convert::delete_faces(work.which)?).await?;
        Ok(deleted.len() as u64)
    }
}

impl JobHandler for Deletes {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: DELETE, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(work) = serde_json::from_slice(&job.payload) else { return Ok(JobOutcome::Forgotten.into()) };
            let n_faces = self.done(job, work).await?;
            Ok(job::settled(&self.library, &dto::JobOutcome { n_faces: Some(n_faces), ..Default::default() }))
        })
    }

    fn give_up(&self, _: &Job, error: &Error) -> Settled {
        let (code, message) = (code_of(error.kind()).to_owned(), error.message().to_owned());
        let outcome = dto::JobOutcome { code: Some(code), message: Some(message), ..Default::default() };
        job::settled(&self.library, &outcome)
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "native", ?error, "a job could not be done now");
    }
}
