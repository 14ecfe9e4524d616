//! Image scans: one picture against another (`sface-1`) or against a group (`sface-n`).

use std::sync::Arc;
use std::time::Duration;

use likeness_domain::access::Caller;
use likeness_domain::library::{SearchFaces, Threshold};
use likeness_domain::ports::fresh_id;
use likeness_domain::types::{FaceSetId, FaceSetName, JobId};
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use super::call::Api;
use super::errors::{Fault, code, told};
use super::image::image;
use super::settings::Settings;
use super::{convert, dto, params};
use crate::http::json::{Object, Value};

/// Most faces of a query image.
pub(super) const FACES_MAX: usize = 20;
/// Candidates asked for per face. More than are shown, because several faces of one label fold to one person here.
const TOP_K: usize = 40;
/// Most tasks of a request.
pub(super) const TASKS_MAX: usize = 100;
/// Tasks of one request that are worked on at a time; more would only take the analyzer's queue from others.
const TASKS_AT_ONCE: usize = 8;
/// Characters of a caller's own id of a task.
const DATA_ID_CHARS_MAX: usize = 256;

/// What is to be done with an image.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) enum Scene {
    /// Compare it with another.
    Compare { face_url: String },
    /// Look for its faces in a group.
    Search { group: String },
}

/// A task that can be worked on; kept in this form while it waits.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Ready {
    pub(super) data_id: Option<String>,
    pub(super) url: String,
    pub(super) scenes: Vec<Scene>,
}

/// A task as it was asked for.
pub(super) struct Task {
    pub(super) data_id: Option<String>,
    pub(super) url: Option<String>,
    pub(super) ready: Result<Ready, Fault>,
}

/// Reads the scenes and tasks of a request. Faults of the request are errors; faults of one task are its own.
pub(super) fn read(body: &Object) -> Result<Vec<Task>, Fault> {
    let scenes = params::needed_texts(body, "scenes", 2)?;
    if let Some(other) = scenes.iter().find(|scene| !["sface-1", "sface-n"].contains(scene)) {
        let other: String = other.chars().take(32).collect();
        return Err(Fault::invalid(format!("scene `{other}` is not supported, expected sface-1 or sface-n")));
    }
    let mut tasks: Vec<Task> = Vec::new();
    for item in params::needed_list(body, "tasks", TASKS_MAX)? {
        let Value::Object(task) = item else { return Err(Fault::invalid("`tasks` must hold objects")) };
        let data_id = params::text(task, "dataId")?.map(str::to_owned);
        if data_id.as_ref().is_some_and(|id| id.chars().count() > DATA_ID_CHARS_MAX) {
            return Err(Fault::invalid(format!("`dataId` has more than {DATA_ID_CHARS_MAX} characters")));
        }
        if data_id.is_some() && tasks.iter().any(|other| other.data_id == data_id) {
            return Err(Fault::invalid("`dataId` is there twice"));
        }
        let ready = read_task(task, &scenes, data_id.clone());
        // What is too long to be fetched is too long to be echoed.
        let url = task.get("url").and_then(Value::as_text).filter(|url| url.len() <= 8192).map(str::to_owned);
        tasks.push(Task { data_id, url, ready });
    }
    Ok(tasks)
}

fn read_task(task: &Object, scenes: &[&str], data_id: Option<String>) -> Result<Ready, Fault> {
    let url = params::needed_text(task, "url")?.to_owned();
    let no_extras = Object::default();
    let extras = match task.get("extras") {
        Some(Value::Object(extras)) => extras,
        Some(other) => return Err(Fault::invalid(format!("`extras` is {}, expected an object", other.kind()))),
        None => &no_extras,
    };
    let read_scene = |scene: &&str| match *scene {
        "sface-1" => Ok(Scene::Compare { face_url: params::needed_text(extras, "faceUrl")?.to_owned() }),
        _ => {
            let group = convert::group(params::needed_text(extras, "groupId")?)?;
            Ok(Scene::Search { group: group.as_str().to_owned() })
        }
    };
    Ok(Ready { data_id, url, scenes: scenes.iter().map(read_scene).collect::<Result<_, Fault>>()? })
}

/// What a scene found.
pub(super) enum Finding {
    /// How alike the two pictures' faces are.
    Compared { rate: f64 },
    /// Who of the group resembles each face.
    Searched { face_set: FaceSetId, faces: Vec<dto::FaceFound> },
}

impl Finding {
    /// As it is sent.
    pub(super) fn shown(self, settings: &Settings) -> dto::SceneResult {
        let (scene, rate, review_rate, top_person_data) = match self {
            Finding::Compared { rate } => ("sface-1", rate, settings.compare_review_rate, None),
            Finding::Searched { faces, .. } => {
                let rates = faces.iter().flat_map(|face| &face.persons).map(|person| person.rate);
                ("sface-n", rates.fold(0.0, f64::max), settings.search_review_rate, Some(faces))
            }
        };
        let suggestion = if rate >= f64::from(review_rate) { "review" } else { "pass" };
        dto::SceneResult { scene, label: "normal", suggestion, rate, top_person_data }
    }
}

/// Works on all tasks at once; those that are not done in time say so.
pub(super) async fn run_all(api: &Arc<Api>, caller: &Caller, tasks: Vec<Task>) -> Vec<dto::TaskAnswer> {
    let slots = Arc::new(Semaphore::new(TASKS_AT_ONCE));
    // Dropping the set, with the request, stops what is under way.
    let mut running = JoinSet::new();
    let mut outcomes: Vec<Option<Result<Vec<Finding>, Fault>>> = Vec::new();
    let mut echoes = Vec::new();
    for (task_idx, task) in tasks.into_iter().enumerate() {
        echoes.push((task.data_id, task.url));
        match task.ready {
            Err(fault) => outcomes.push(Some(Err(fault))),
            Ok(ready) => {
                outcomes.push(None);
                let (api, caller, slots) = (Arc::clone(api), caller.clone(), Arc::clone(&slots));
                running.spawn(async move {
                    let _slot = slots.acquire().await;
                    (task_idx, run(&api, &caller, &ready).await)
                });
            }
        }
    }
    let deadline = tokio::time::Instant::now() + Duration::from_millis(api.settings().scan_deadline_ms);
    let unfinished = loop {
        match tokio::time::timeout_at(deadline, running.join_next()).await {
            Ok(Some(Ok((task_idx, outcome)))) => outcomes[task_idx] = Some(outcome),
            // A task that panicked; the log has it.
            Ok(Some(Err(_))) => {}
            Ok(None) => break code::GENERAL_ERROR,
            Err(_) => break code::TIMEOUT,
        }
    };
    let answer = |((data_id, url), outcome): ((Option<String>, Option<String>), Option<_>)| {
        let outcome = outcome.unwrap_or_else(|| Err(Fault::new(unfinished, "")));
        task_answer(api, outcome, data_id, fresh_task_id(api), url)
    };
    echoes.into_iter().zip(outcomes).map(answer).collect()
}

/// Works on one task.
pub(super) async fn run(api: &Api, caller: &Caller, task: &Ready) -> Result<Vec<Finding>, Fault> {
    let mut findings = Vec::with_capacity(task.scenes.len());
    for scene in &task.scenes {
        findings.push(match scene {
            Scene::Compare { face_url } => compare(api, caller, &task.url, face_url).await?,
            Scene::Search { group } => search(api, caller, &task.url, group).await?,
        });
    }
    Ok(findings)
}

async fn compare(api: &Api, caller: &Caller, url: &str, face_url: &str) -> Result<Finding, Fault> {
    let first = image(api, caller, url).map_err(|fault| fault.of_member("url"))?;
    let second = image(api, caller, face_url).map_err(|fault| fault.of_member("faceUrl"))?;
    let compared = api.library().compare(caller, [first, second]).await.map_err(|error| {
        let member = if error.field() == Some("second image") { "faceUrl" } else { "url" };
        let is_of_an_image = error.field().is_some();
        let fault = Fault::from(error);
        if is_of_an_image { fault.of_member(member) } else { fault }
    })?;
    Ok(Finding::Compared { rate: api.scales.get(&compared.pack)?.to_number(compared.similarity) })
}

async fn search(api: &Api, caller: &Caller, url: &str, group: &str) -> Result<Finding, Fault> {
    let (face_set, faces) = persons_like(api, caller, url, convert::group(group)?, convert::PERSONS_MAX).await?;
    Ok(Finding::Searched { face_set, faces })
}

/// Who of a group resembles each face of an image, at most `n_max` persons a face.
pub(super) async fn persons_like(
    api: &Api,
    caller: &Caller,
    url: &str,
    face_set: FaceSetName,
    n_max: usize,
) -> Result<(FaceSetId, Vec<dto::FaceFound>), Fault> {
    let request = SearchFaces {
        face_set,
        image: image(api, caller, url)?,
        faces_max: FACES_MAX,
        top_k: TOP_K,
        threshold: Threshold::Number(api.scales.clone(), api.settings().search_rate_min.into()),
        filter: None,
        one_per_person: true,
    };
    let found = api.library().search_faces(caller, request).await?;
    Ok((found.face_set.id, convert::faces_found(&found, api.scales.get(&found.face_set.pack)?, n_max)))
}

/// A task's element of the answer.
pub(super) fn task_answer(
    api: &Api,
    outcome: Result<Vec<Finding>, Fault>,
    data_id: Option<String>,
    task_id: String,
    url: Option<String>,
) -> dto::TaskAnswer {
    let (code, msg, findings) = told(outcome);
    let shown = |findings: Vec<Finding>| findings.into_iter().map(|found| found.shown(api.settings())).collect();
    let results = findings.map(shown);
    let extras = Some(dto::Empty {});
    dto::TaskAnswer { code, msg, data_id, task_id: Some(task_id), url, extras, results, faces: None }
}

/// A task id as clients see it.
pub(super) fn task_id(id: JobId) -> String {
    format!("img{:012x}", id.get())
}

/// The task with that id, if it can be one.
pub(super) fn read_task_id(text: &str) -> Option<JobId> {
    let digits = text.strip_prefix("img").filter(|digits| digits.len() == 12)?;
    let lower_hex = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    if !digits.bytes().all(lower_hex) {
        return None;
    }
    JobId::new(u64::from_str_radix(digits, 16).ok()?)
}

/// A task id of work that nobody can ask for later.
pub(super) fn fresh_task_id(api: &Api) -> String {
    task_id(fresh_job_id(api))
}

/// A random job id.
pub(super) fn fresh_job_id(api: &Api) -> JobId {
    fresh_id(&*api.wire.ids, JobId::new)
}
