//! Does accepted scans and pushes their results: two kinds of jobs for `domain::library::jobs`.
//!
//! A task is done at least once: a process that dies leaves it to the next one when its lease ends. Its outcome is kept
//! for an hour, and with it a push, if one was asked for, becomes a job of its own in the same commit.

use std::sync::Arc;
use std::time::Duration;

use likeness_domain::access::Caller;
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::ports::{Job, JobOutcome, NewJob, Pending, Webhook};
use likeness_domain::types::TimestampMs;
use likeness_domain::{Error, Kind};
use serde::{Deserialize, Serialize};

use super::call::Api;
use super::errors::Fault;
use super::jobs::{Callback, SCAN, ScanPayload};
use super::scan::{self, Finding};
use super::scan_result::Kept;
use crate::http::signing::sha256_hex;
use crate::http::{json, target};
use crate::services::{Services, Worker};

/// Jobs that push a scan's outcome.
const PUSH: &str = "push";
/// How long an outcome can be asked for.
const RESULT_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// Scans under way at once. They share the analyzer with the requests that somebody waits for.
const SCANNERS: usize = 4;
/// Pushes under way at once.
const PUSHERS: usize = 4;
/// Most time for a scan; several times what fetching and analysing two images can take.
const SCAN_LEASE: Duration = Duration::from_secs(60);
/// Waits before a scan is begun again, because the analyzer was busy or a worker died of it.
const SCAN_WAITS: [Duration; 9] = [
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(4),
    Duration::from_secs(5),
    Duration::from_secs(6),
    Duration::from_secs(7),
    Duration::from_secs(8),
    Duration::from_secs(9),
];
/// Most time for a push, and a little for the looking up before it.
const PUSH_LEASE: Duration = Duration::from_secs(30);
/// Time for the receiver.
const PUSH_DEADLINE: Duration = Duration::from_secs(5);
/// Waits before a push is repeated.
const PUSH_WAITS: [Duration; 3] = [Duration::from_secs(5), Duration::from_secs(30), Duration::from_secs(120)];

/// What does this dialect's jobs.
pub(crate) fn workers(wire: Services) -> Vec<Worker> {
    let api = Arc::new(Api::new(wire));
    vec![
        Worker { handler: Arc::new(Scanner(Arc::clone(&api))), n_at_once: SCANNERS },
        Worker { handler: Arc::new(Pusher(api)), n_at_once: PUSHERS },
    ]
}

struct Scanner(Arc<Api>);

impl Scanner {
    /// The outcome is kept, and pushed if that was asked for.
    fn settled(&self, job: &Job, payload: ScanPayload, outcome: Result<Vec<Finding>, Fault>) -> Settled {
        let api = &self.0;
        let ScanPayload { task, callback } = payload;
        if let Err(fault) = &outcome
            && fault.is_ours()
        {
            let (task_id, source) = (scan::task_id(job.id), fault.source().map(tracing::field::debug));
            tracing::error!(dialect = "aliyun", task_id, code = fault.number, source, "a task failed");
        }
        let now = api.wire.clock.now();
        let kept = Kept::of(outcome, task.data_id, task.url);
        let result = json::write(&kept).into();
        let push = callback.map(|callback| NewJob {
            id: scan::fresh_job_id(api),
            tenant: job.tenant,
            key: job.key.clone(),
            kind: PUSH,
            payload: json::write(&PushPayload { callback, task_id: scan::task_id(job.id), kept }).into(),
            due_at: now,
            created_at: now,
        });
        let expires_at = TimestampMs(now.0 + RESULT_LIFETIME_MS);
        Settled { outcome: JobOutcome::Done { result, expires_at }, follow_ups: push.into_iter().collect() }
    }
}

impl JobHandler for Scanner {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: SCAN, lease: SCAN_LEASE, retries: &SCAN_WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Some(payload) = read::<ScanPayload>(job) else { return Ok(JobOutcome::Forgotten.into()) };
            let outcome = match scan::run(&self.0, &caller(&self.0, job).await?, &payload.task).await {
                Ok(findings) => Ok(findings),
                Err(fault) => Err(match fault.passing() {
                    Ok(error) => return Err(error),
                    Err(fault) => fault,
                }),
            };
            Ok(self.settled(job, payload, outcome))
        })
    }

    fn give_up(&self, job: &Job, error: &Error) -> Settled {
        let Some(payload) = read(job) else { return JobOutcome::Forgotten.into() };
        self.settled(job, payload, Err(error.without_source().into()))
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "aliyun", ?error, "a task could not be done now");
    }
}

struct Pusher(Arc<Api>);

/// What a push's job holds. What is pushed is put together when it is, so that nobody who was deleted is in it.
#[derive(Serialize, Deserialize)]
struct PushPayload {
    callback: Callback,
    task_id: String,
    kept: Kept,
}

impl JobHandler for Pusher {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: PUSH, lease: PUSH_LEASE, retries: &PUSH_WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Some(PushPayload { callback, task_id, kept }) = read(job) else {
                return Ok(JobOutcome::Forgotten.into());
            };
            let caller = caller(&self.0, job).await?;
            let answer = kept.answer(&self.0, &caller, task_id).await;
            let content = json::write(&answer.map_err(|fault| Error::new(Kind::Internal, fault.msg))?);
            let checksum = checksum(&job.tenant.to_string(), &callback.seed, &content);
            let body = format!("checksum={checksum}&content={}", target::encode(&content)).into();
            let message = Webhook { content_type: "application/x-www-form-urlencoded", body };
            match self.0.wire.webhook_sender.deliver(&callback.url, message, PUSH_DEADLINE, caller.share()).await? {
                200 => Ok(JobOutcome::Forgotten.into()),
                status => {
                    Err(Error::new(Kind::UrlUnreachable, format!("the receiver answered {status}, expected 200")))
                }
            }
        })
    }

    fn give_up(&self, _: &Job, _: &Error) -> Settled {
        JobOutcome::Forgotten.into()
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "aliyun", ?error, "a result could not be pushed; it can be asked for");
    }
}

/// A job is done in the name of the key that asked for it, with what that may do now.
async fn caller(api: &Api, job: &Job) -> likeness_domain::Result<Caller> {
    api.wire.access.caller_of_job(job, api.settings().limits(), scan::task_id(job.id)).await
}

/// What the job holds. One that cannot be read was written by another program, and nobody else can do it either.
fn read<T: for<'de> Deserialize<'de>>(job: &Job) -> Option<T> {
    let read = serde_json::from_slice(&job.payload).ok();
    if read.is_none() {
        let (kind, task_id) = (&job.kind, scan::task_id(job.id));
        tracing::error!(dialect = "aliyun", kind, task_id, "a job cannot be read and is dropped");
    }
    read
}

/// Lower-case hex SHA-256 of account uid, seed and content; the uid is the tenant's id.
pub(super) fn checksum(uid: &str, seed: &str, content: &[u8]) -> String {
    sha256_hex(&[uid.as_bytes(), seed.as_bytes(), content].concat())
}
