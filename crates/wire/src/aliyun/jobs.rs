//! Asynchronous scans: accepted into the job table, done by [`Workers`], asked for or pushed.
//!
//! A task is done at least once: a worker that dies leaves it to the next one when its lease ends. Its result is kept
//! for an hour, and with it a push, if one was asked for, becomes a job of its own in the same commit.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::caller::{Caller, Grants};
use likeness_domain::ports::{Job, JobOutcome, Message, NewJob};
use likeness_domain::types::{TenantId, TimestampMs};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::errors::{Fault, code};
use super::routes::Api;
use super::scan::{self, Ready, Task};
use super::{dto, params};
use crate::http::json::{self, Object, Value};
use crate::http::target;
use crate::router::Wire;

/// Jobs that are scans.
const SCAN: &str = "scan";
/// Jobs that push a scan's result.
const PUSH: &str = "push";
/// How long a result can be asked for.
const RESULT_LIFETIME_MS: i64 = 60 * 60 * 1000;
/// How long a claimed job is hidden from other workers; several times what it can take.
const LEASE_MS: i64 = 60_000;
/// Scans under way at once. They share the analyzer with the requests that somebody waits for.
const SCANNERS: usize = 4;
/// Pushes under way at once.
const MESSENGERS: usize = 4;
/// Times a scan is begun: when the analyzer is busy, or when workers die of it.
const SCAN_ATTEMPTS_MAX: u32 = 10;
/// Waits before a push is repeated.
const PUSH_WAITS_MS: [i64; 3] = [5_000, 30_000, 120_000];
/// Time for a push.
const PUSH_DEADLINE: Duration = Duration::from_secs(5);
/// A worker looks for work this often; clients are told to ask after half a minute.
const REST: Duration = Duration::from_millis(500);
/// Characters of a callback's address.
const CALLBACK_CHARS_MAX: usize = 2048;

/// Where a result is to be pushed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Callback {
    url: String,
    seed: String,
}

/// What a scan's job holds.
#[derive(Serialize, Deserialize)]
struct ScanPayload {
    task: Ready,
    callback: Option<Callback>,
}

/// What a push's job holds.
#[derive(Serialize, Deserialize)]
struct PushPayload {
    url: String,
    body: String,
}

/// Reads `callback`, `seed` and `cryptType`. The address is judged now, so that whoever got it wrong is told.
pub(super) async fn callback(api: &Api, body: &Object) -> Result<Option<Callback>, Fault> {
    let Some(url) = params::text(body, "callback")?.filter(|url| !url.is_empty()) else { return Ok(None) };
    let seed = params::needed_text(body, "seed")?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
    if seed.len() > 64 || !seed.bytes().all(allowed) {
        return Err(Fault::invalid("`seed` must be 1 to 64 letters, digits or `_`"));
    }
    if let Some(other) = params::text(body, "cryptType")?
        && !other.eq_ignore_ascii_case("SHA256")
    {
        return Err(Fault::invalid("`cryptType` is not supported, expected SHA256"));
    }
    if url.chars().count() > CALLBACK_CHARS_MAX {
        return Err(Fault::invalid(format!("`callback` has more than {CALLBACK_CHARS_MAX} characters")));
    }
    let checked = api.wire.messenger.check(url).await;
    checked.map_err(|error| Fault::invalid(format!("`callback`: {}", error.message())))?;
    Ok(Some(Callback { url: url.to_owned(), seed: seed.to_owned() }))
}

/// Accepts the tasks that can be worked on, all or none of them.
pub(super) async fn accept(
    api: &Api,
    caller: &Caller,
    tasks: Vec<Task>,
    callback: Option<Callback>,
) -> Result<Vec<dto::TaskAnswer>, Fault> {
    let now = api.wire.clock.now();
    let mut jobs = Vec::new();
    let mut accepted = Vec::new();
    for task in tasks {
        let outcome = task.ready.map(|task| {
            let payload = json::write(&ScanPayload { task, callback: callback.clone() });
            jobs.push(NewJob {
                id: scan::fresh_job_id(api),
                tenant: caller.tenant,
                kind: SCAN,
                payload: payload.into(),
                due_at: now,
                created_at: now,
            });
        });
        accepted.push((task.data_id, task.url, outcome));
    }
    let ids = match jobs.is_empty() {
        true => Vec::new(),
        false => {
            let enqueued = api.wire.jobs.enqueue(jobs, api.settings().tasks_waiting_max).await;
            enqueued.map_err(|error| api.fault(error))?
        }
    };
    let mut ids = ids.into_iter();
    let answer = |(data_id, url, outcome): (_, _, Result<(), Fault>)| {
        let (code, msg, task_id) = match outcome {
            Ok(()) => (code::OK.number, code::OK.name.to_owned(), ids.next().map(scan::task_id)),
            Err(fault) => (fault.number, fault.msg, None),
        };
        dto::TaskAnswer { code, msg, data_id, task_id, url, extras: None, results: None }
    };
    Ok(accepted.into_iter().map(answer).collect())
}

/// The ids of a results request: an array, or an object with `taskIds`.
pub(super) fn task_ids(body: &Bytes) -> Result<Vec<String>, Fault> {
    let wrapped = match params::value(body)? {
        Value::Object(object) => object,
        list => return task_ids_of(&list),
    };
    task_ids_of(wrapped.get("taskIds").ok_or_else(|| params::missing("taskIds"))?)
}

fn task_ids_of(value: &Value) -> Result<Vec<String>, Fault> {
    let wrong = || Fault::invalid(format!("expected an array of 1 to {} task ids", scan::TASKS_MAX));
    let Value::List(items) = value else { return Err(wrong()) };
    if !(1..=scan::TASKS_MAX).contains(&items.len()) {
        return Err(wrong());
    }
    let one = |item: &Value| match item {
        Value::Text(text) => Ok(text.chars().take(64).collect()),
        _ => Err(wrong()),
    };
    items.iter().map(one).collect()
}

/// What became of tasks, in the order asked.
pub(super) async fn results(api: &Api, caller: &Caller, ids: &[String]) -> Result<Vec<serde_json::Value>, Fault> {
    let now = api.wire.clock.now();
    let mut answers = Vec::with_capacity(ids.len());
    for text in ids {
        let job = match scan::read_task_id(text) {
            Some(id) => api.wire.jobs.job(caller.tenant, id, now).await.map_err(|error| api.fault(error))?,
            None => None,
        };
        answers.push(result(text, job.filter(|job| job.kind == SCAN)));
    }
    Ok(answers)
}

fn result(text: &str, job: Option<Job>) -> serde_json::Value {
    let task_id = Some(text.to_owned());
    let told = |code: super::errors::Code, data_id, url| dto::TaskAnswer {
        code: code.number,
        msg: code.name.to_owned(),
        data_id,
        task_id: task_id.clone(),
        url,
        extras: None,
        results: None,
    };
    let answer = match job {
        None => told(code::EXPIRED, None, None),
        Some(Job { result: Some(result), .. }) => match serde_json::from_slice(&result) {
            Ok(value) => return value,
            Err(_) => told(code::GENERAL_ERROR, None, None),
        },
        Some(job) => match serde_json::from_slice::<ScanPayload>(&job.payload) {
            Ok(ScanPayload { task, .. }) => told(code::PROCESSING, task.data_id, Some(task.url)),
            Err(_) => told(code::PROCESSING, None, None),
        },
    };
    serde_json::to_value(answer).unwrap_or_default()
}

/// Does accepted scans and pushes results.
pub struct Workers {
    api: Arc<Api>,
}

impl Workers {
    /// Workers over the same ports as the router's.
    pub fn new(wire: Wire) -> Self {
        Self { api: Arc::new(Api::new(wire)) }
    }

    /// Works until told to stop; what is under way then is brought to its end.
    pub async fn run(self, stopping: watch::Receiver<bool>) {
        let workers = Arc::new(self);
        let mut running = JoinSet::new();
        for _ in 0..SCANNERS {
            let workers = Arc::clone(&workers);
            running.spawn(until_stopped(stopping.clone(), move || Arc::clone(&workers).scan_one()));
        }
        for _ in 0..MESSENGERS {
            let workers = Arc::clone(&workers);
            running.spawn(until_stopped(stopping.clone(), move || Arc::clone(&workers).push_one()));
        }
        while running.join_next().await.is_some() {}
    }

    /// Does the scan that is longest due; false if none is due.
    pub(super) async fn scan_one(self: Arc<Self>) -> likeness_domain::Result<bool> {
        let Some(job) = self.claim(SCAN).await? else { return Ok(false) };
        let task_id = scan::task_id(job.id);
        let Ok(ScanPayload { task, callback }) = serde_json::from_slice(&job.payload) else {
            let now = self.api.wire.clock.now();
            tracing::error!(dialect = "aliyun", task_id, "a task in the job table cannot be read and is dropped");
            self.api.wire.jobs.settle(job.id, forgotten(now), Vec::new()).await?;
            return Ok(true);
        };
        let caller = Caller { tenant: job.tenant, grants: Grants::ALL, request_id: task_id.clone() };
        let outcome = if job.n_attempts > SCAN_ATTEMPTS_MAX {
            Err(Fault::new(code::GENERAL_ERROR, "the task was begun too often"))
        } else {
            scan::run(&self.api, &caller, &task).await
        };
        let now = self.api.wire.clock.now();
        if let Err(fault) = &outcome {
            if fault.is_passing() && job.n_attempts < SCAN_ATTEMPTS_MAX {
                let due_at = TimestampMs(now.0 + 1000 * i64::from(job.n_attempts));
                self.api.wire.jobs.settle(job.id, JobOutcome::Again { due_at }, Vec::new()).await?;
                return Ok(true);
            }
            if fault.is_ours() {
                let source = fault.source().map(tracing::field::debug);
                tracing::error!(dialect = "aliyun", task_id, code = fault.number, source, "a task failed");
            }
        }
        let answer = scan::task_answer(outcome, task.data_id, Some(task_id), Some(task.url));
        let result = json::write(&answer);
        let push = callback.map(|callback| self.push(job.tenant, &callback, &result, now));
        let done = JobOutcome::Done { result: result.into(), expires_at: TimestampMs(now.0 + RESULT_LIFETIME_MS) };
        self.api.wire.jobs.settle(job.id, done, push.into_iter().collect()).await?;
        Ok(true)
    }

    /// Makes the push that is longest due; false if none is due.
    pub(super) async fn push_one(self: Arc<Self>) -> likeness_domain::Result<bool> {
        let Some(job) = self.claim(PUSH).await? else { return Ok(false) };
        let delivered = match serde_json::from_slice::<PushPayload>(&job.payload) {
            Ok(PushPayload { url, body }) => {
                let message = Message { content_type: "application/x-www-form-urlencoded", body: body.into() };
                self.api.wire.messenger.deliver(&url, message, PUSH_DEADLINE).await.map(|status| status == 200)
            }
            Err(_) => Ok(true),
        };
        let now = self.api.wire.clock.now();
        let n_before = job.n_attempts.saturating_sub(1) as usize;
        let outcome = match (matches!(delivered, Ok(true)), PUSH_WAITS_MS.get(n_before)) {
            (true, _) => forgotten(now),
            (false, Some(wait_ms)) => JobOutcome::Again { due_at: TimestampMs(now.0 + wait_ms) },
            (false, None) => {
                let job_id = job.id.get();
                tracing::warn!(dialect = "aliyun", job_id, "a result could not be pushed and can only be asked for");
                forgotten(now)
            }
        };
        self.api.wire.jobs.settle(job.id, outcome, Vec::new()).await?;
        Ok(true)
    }

    async fn claim(&self, kind: &'static str) -> likeness_domain::Result<Option<Job>> {
        let (jobs, now) = (&self.api.wire.jobs, self.api.wire.clock.now());
        // Claiming is a write; nobody should pay for one while there is nothing to do.
        if jobs.next_due(kind).await?.is_none_or(|due_at| due_at > now) {
            return Ok(None);
        }
        jobs.claim(kind, now, TimestampMs(now.0 + LEASE_MS)).await
    }

    fn push(&self, tenant: TenantId, callback: &Callback, content: &[u8], now: TimestampMs) -> NewJob {
        let checksum = checksum(tenant, &callback.seed, content);
        let body = format!("checksum={checksum}&content={}", target::encode(content));
        let payload = json::write(&PushPayload { url: callback.url.clone(), body });
        let id = scan::fresh_job_id(&self.api);
        NewJob { id, tenant, kind: PUSH, payload: payload.into(), due_at: now, created_at: now }
    }
}

fn forgotten(now: TimestampMs) -> JobOutcome {
    JobOutcome::Done { result: Bytes::new(), expires_at: TimestampMs(now.0 - 1) }
}

/// Lower-case hex SHA-256 of account uid, seed and content; the uid is the tenant's id.
fn checksum(tenant: TenantId, seed: &str, content: &[u8]) -> String {
    checksum_of(&tenant.to_string(), seed, content)
}

/// See [`checksum`].
pub(super) fn checksum_of(uid: &str, seed: &str, content: &[u8]) -> String {
    let digest = Sha256::new().chain_update(uid).chain_update(seed).chain_update(content).finalize();
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Calls `step` again and again while it has something to do, and rests in between.
async fn until_stopped<F>(mut stopping: watch::Receiver<bool>, step: impl Fn() -> F)
where
    F: Future<Output = likeness_domain::Result<bool>>,
{
    while !*stopping.borrow() {
        match step().await {
            Ok(true) => continue,
            Ok(false) => {}
            Err(error) => tracing::error!(dialect = "aliyun", ?error, "a worker cannot go on now"),
        }
        // Told to stop, or nobody is left who could tell.
        if tokio::time::timeout(REST, stopping.wait_for(|stop| *stop)).await.is_ok() {
            return;
        }
    }
}
