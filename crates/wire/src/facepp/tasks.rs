//! `faceset/async/..`: adding and removing faces later, as jobs for `domain::library::jobs`.
//!
//! A task is done at least once: adding a face that is there and removing one that is not change nothing, so doing it
//! again after a crash is harmless, though it counts fewer faces then.

use std::sync::Arc;
use std::time::Duration;

use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::ports::{Job, JobOutcome, Pending};
use likeness_domain::types::{FaceSetId, TimestampMs};
use likeness_domain::{Error, Kind};
use serde::{Deserialize, Serialize};

use super::call::{Call, Facepp};
use super::dto::{Answer, TaskStatus};
use super::errors::{self, Blame, Failure};
use super::face_sets::{self, Act, FaceSetNamed};
use crate::http::json;
use crate::megvii::fields::Fields;
use crate::services::{Services, Worker};

/// Jobs of this dialect.
const FACES: &str = "facepp faces";
/// Tasks that may wait.
const WAITING_MAX: u64 = 10_000;
/// Tasks under way at once; each is a few writes.
const WORKERS: usize = 2;
/// How long an outcome can be asked for.
const RESULT_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// Most time for a task.
const LEASE: Duration = Duration::from_secs(60);
/// Waits before a task is begun again.
const WAITS: [Duration; 3] = [Duration::from_secs(1), Duration::from_secs(5), Duration::from_secs(30)];

/// What a job holds.
#[derive(Serialize, Deserialize)]
struct Task {
    act: Act,
    face_set: u64,
    /// As the client gave them; `None` for all faces.
    tokens: Option<Vec<String>>,
}

/// Accepts a task. The face set must be there now; the tokens are checked when the task is done.
pub(super) async fn accept(call: &Call<'_>, act: Act) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    let tokens = face_sets::tokens_of(call, act)?;
    let face_set = named.find(call).await?.face_set.id.get();
    let payload = json::write(&Task { act, face_set, tokens }).into();
    let accepted = call.library.accept_job(&call.caller, FACES, payload, WAITING_MAX).await;
    let job = accepted.map_err(|error| match error.kind() {
        Kind::Overloaded => errors::queue_full(),
        _ => call.failed(error),
    })?;
    Ok(Answer::Accepted { task_id: call.names.task_id(job.id) })
}

/// How far a task is.
pub(super) async fn status(call: &Call<'_>) -> Result<Answer, Failure> {
    let unknown = || Failure::bad("INVALID_TASK_ID");
    let id = call.names.task(call.fields.needed("task_id")?).ok_or_else(unknown)?;
    // A key asks for the tasks that it started; one that may read every face set asks for all of its tenant.
    let job = call.library.job(&call.caller, id).await.map_err(|error| match error.kind() {
        Kind::JobNotFound | Kind::Forbidden => unknown(),
        _ => call.failed(error),
    })?;
    let job = Some(job).filter(|job| job.kind == FACES && !job.is_cancelled).ok_or_else(unknown)?;
    let task_id = call.names.task_id(id);
    let Some(result) = job.result else {
        return Ok(Answer::Task(TaskStatus { task_id, status: 0, members: serde_json::Map::new() }));
    };
    let done: Outcome = serde_json::from_slice(&result).map_err(|_| unknown())?;
    Ok(Answer::Task(TaskStatus { task_id, status: done.status, members: done.members }))
}

/// What a job's result holds.
#[derive(Serialize, Deserialize)]
struct Outcome {
    status: i8,
    members: serde_json::Map<String, serde_json::Value>,
}

impl Outcome {
    fn failed(error: &str) -> Self {
        let members = [("task_failure_detail".to_owned(), error.into())].into_iter().collect();
        Self { status: -1, members }
    }
}

/// What does this dialect's jobs.
pub(crate) fn workers(wire: Services) -> Vec<Worker> {
    vec![Worker { handler: Arc::new(Tasks(Facepp::new(wire))), n_at_once: WORKERS }]
}

struct Tasks(Facepp);

impl Tasks {
    async fn done(&self, job: &Job, task: Task) -> Result<Answer, Failure> {
        let caller = self.0.service.caller_of_job(job).await;
        let caller = caller.map_err(|error| errors::library(error, &Blame::NOBODY))?;
        let call = self.0.service.call(caller, &self.0.names, Fields::default());
        let id = FaceSetId::new(task.face_set).ok_or_else(|| Failure::bad(Blame::NOBODY.unknown_face_set))?;
        let face_set = FaceSetNamed::Token(id).find(&call).await?.face_set;
        match task.act {
            Act::Add => face_sets::added(&call, &face_set, &task.tokens.unwrap_or_default()).await,
            Act::Remove => face_sets::removed(&call, &face_set, task.tokens).await,
        }
    }

    fn settled(&self, outcome: &Outcome) -> Settled {
        let expires_at = TimestampMs(self.0.service.wire.clock.now().0 + RESULT_LIFETIME_MS);
        JobOutcome::Done { result: json::write(outcome).into(), expires_at }.into()
    }
}

impl JobHandler for Tasks {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: FACES, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(task) = serde_json::from_slice(&job.payload) else { return Ok(JobOutcome::Forgotten.into()) };
            let outcome = match self.done(job, task).await {
                Ok(answer) => match serde_json::to_value(answer) {
                    Ok(serde_json::Value::Object(members)) => Outcome { status: 1, members },
                    _ => Outcome::failed("INTERNAL_ERROR"),
                },
                Err(failure) => Outcome::failed(&errors::passing(failure)?),
            };
            Ok(self.settled(&outcome))
        })
    }

    fn give_up(&self, _: &Job, _: &Error) -> Settled {
        self.settled(&Outcome::failed("INTERNAL_ERROR"))
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "facepp", ?error, "a task could not be done now");
    }
}
