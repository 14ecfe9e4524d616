//! Asynchronous scans: accepted into the job table, done by [`workers`](super::workers), asked for here.

use bytes::Bytes;
use likeness_domain::access::Caller;
use likeness_domain::ports::Job;
use serde::{Deserialize, Serialize};

use super::call::Api;
use super::errors::{Code, Fault, code, told};
use super::scan::{self, Ready, Task};
use super::scan_result::Kept;
use super::{dto, params};
use crate::http::json::{self, Object, Value};

/// Jobs that are scans.
pub(super) const SCAN: &str = "scan";
/// Characters of a callback's address.
const CALLBACK_CHARS_MAX: usize = 2048;

/// Where a result is to be pushed.
#[derive(Clone, Serialize, Deserialize)]
pub(super) struct Callback {
    pub(super) url: String,
    pub(super) seed: String,
}

/// What a scan's job holds.
#[derive(Serialize, Deserialize)]
pub(super) struct ScanPayload {
    pub(super) task: Ready,
    pub(super) callback: Option<Callback>,
}

/// Reads `callback`, `seed` and `cryptType`. The address is checked now, so that a wrong one is refused.
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
    let checked = api.wire.webhook_sender.check(url).await;
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
    let mut payloads = Vec::new();
    let mut accepted = Vec::new();
    for task in tasks {
        let outcome = task.ready.map(|task| {
            payloads.push(json::write(&ScanPayload { task, callback: callback.clone() }).into());
        });
        accepted.push((task.data_id, task.url, outcome));
    }
    let ids = api.library().accept_jobs(caller, SCAN, payloads, api.settings().tasks_waiting_max).await?;
    let mut ids = ids.into_iter();
    let answer = |(data_id, url, outcome)| {
        let (code, msg, accepted) = told(outcome);
        let task_id = accepted.and_then(|()| ids.next()).map(scan::task_id);
        dto::TaskAnswer { code, msg, data_id, task_id, url, ..Default::default() }
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
    let one = |item: &Value| Some(item.as_text()?.chars().take(64).collect());
    items.iter().map(one).collect::<Option<_>>().ok_or_else(wrong)
}

/// What became of tasks, in the order asked.
pub(super) async fn results(api: &Api, caller: &Caller, ids: &[String]) -> Result<Vec<dto::TaskAnswer>, Fault> {
    let now = api.wire.clock.now();
    let mut answers = Vec::with_capacity(ids.len());
    for text in ids {
        let job = match scan::read_task_id(text) {
            Some(id) => api.wire.jobs.job(caller.tenant, id, now).await?,
            None => None,
        };
        answers.push(
            match job.filter(|job| {
                job.kind == SCAN && !job.is_cancelled && (caller.face_sets.is_all() || job.key == caller.key)
            }) {
                Some(job) => result(api, caller, text, &job).await?,
                None => unfinished(code::EXPIRED, text, None, None),
            },
        );
    }
    Ok(answers)
}

async fn result(api: &Api, caller: &Caller, task_id: &str, job: &Job) -> Result<dto::TaskAnswer, Fault> {
    Ok(match &job.result {
        None => match serde_json::from_slice::<ScanPayload>(&job.payload) {
            Ok(ScanPayload { task, .. }) => unfinished(code::PROCESSING, task_id, task.data_id, Some(task.url)),
            Err(_) => unfinished(code::PROCESSING, task_id, None, None),
        },
        Some(result) => match serde_json::from_slice::<Kept>(result) {
            Ok(kept) => kept.answer(api, caller, task_id.to_owned()).await?,
            Err(_) => unfinished(code::GENERAL_ERROR, task_id, None, None),
        },
    })
}

fn unfinished(code: Code, task_id: &str, data_id: Option<String>, url: Option<String>) -> dto::TaskAnswer {
    let (code, msg, task_id) = (code.number, code.name.to_owned(), Some(task_id.to_owned()));
    dto::TaskAnswer { code, msg, data_id, task_id, url, ..Default::default() }
}
