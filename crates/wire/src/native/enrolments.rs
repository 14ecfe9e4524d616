//! Enrolling the faces of many images as a job. The images were uploaded or are to be fetched, since a job holds none.
//!
//! A job is done some images at a time; what became of each stands in its payload, so a restart goes on where it was. An
//! image that was enrolled just before a crash is known by the ids that its faces were to get.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use likeness_domain::access::{Access, Caller};
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::library::{AddFaces, Library};
use likeness_domain::ports::{Job, JobOutcome, Pending};
use likeness_domain::types::{Face, FaceId, FaceSet, FaceSetId, FaceSetName, UploadName};
use likeness_domain::{Error, Kind, limits};
use serde::{Deserialize, Serialize};

use super::api::Api;
use super::body::{Call, InFaceSet, Json};
use super::errors::NativeError;
use super::{convert, dto, job};
use crate::http::codes::code_of;
use crate::http::json as json_text;

/// The kind of jobs that enrol faces.
pub(super) const ENROL: &str = "enrol-faces";

/// Most images of one job.
const PHOTOS_MAX: usize = 1000;

/// Bytes of the requests of a job: the other half of what a job may hold is for what becomes of them.
const REQUESTS_BYTES_MAX: usize = limits::JOB_BYTES_MAX / 2;

/// Most jobs that wait, over all tenants.
const WAITING_MAX: u64 = 1000;

/// Images after which it is noted how far a job is.
const STEP: usize = 16;

/// Time for so many images, each of which may have to be fetched.
const LEASE: Duration = Duration::from_mins(15);

/// Pauses before further tries while the server is busy or its disk is full.
const WAITS: [Duration; 4] =
    [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60), Duration::from_mins(10)];

/// Ids that are returned for the faces of one image.
const FACE_IDS_MAX: usize = 16;

/// Characters of a message that are kept of an image that was refused.
const MESSAGE_CHARS_MAX: usize = 200;

/// What is to be done, and what was.
#[derive(Serialize, Deserialize)]
struct Work {
    face_set: u64,
    photos: VecDeque<Photo>,
    done: Vec<dto::PhotoOutcome>,
    /// Uploads of images that are done, to be erased once that is noted.
    #[serde(default)]
    spent: Vec<String>,
}

#[derive(Serialize, Deserialize)]
struct Photo {
    /// What the first of its faces is to be called.
    first_id: u64,
    request: dto::AddFaces,
}

impl Photo {
    fn request(self, face_set: FaceSetName) -> Result<AddFaces, Error> {
        let first_id = FaceId::new(self.first_id);
        Ok(AddFaces { first_id, ..convert::add_faces(face_set, self.request)? })
    }
}

/// `POST /face-sets/{name}/faces/enrol-later`
pub(super) async fn enrol_later(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::AddFacesLater>,
) -> Result<Response, NativeError> {
    let face_set = checked(&api, &caller, &name, &body.photos).await?;
    let named = |request| Photo { first_id: api.library.fresh_face_id().get(), request };
    let photos = body.photos.into_iter().map(named).collect();
    let payload = json_text::write(&Work { face_set: face_set.id.get(), photos, done: Vec::new(), spent: Vec::new() });
    if payload.len() > REQUESTS_BYTES_MAX {
        let (n_bytes, max) = (payload.len(), REQUESTS_BYTES_MAX);
        let message = format!("`photos` has {n_bytes} bytes, expected at most {max}; make several jobs of it");
        return Err(Error::invalid("photos", message).into());
    }
    let job = api.library.accept_job(&caller, ENROL, payload.into(), WAITING_MAX).await?;
    Ok(job::accepted(&job, api.library.now(), progress(&job)))
}

/// Refuses at once what could never be enrolled.
async fn checked(
    api: &Api,
    caller: &Caller,
    name: &FaceSetName,
    photos: &[dto::AddFaces],
) -> Result<FaceSet, NativeError> {
    convert::check_count("photos", photos.len(), 1..=PHOTOS_MAX)?;
    let mut requests = Vec::with_capacity(photos.len());
    for (idx, photo) in photos.iter().enumerate() {
        let of_photo = |error: Error| {
            let field = format!("photos[{idx}]{}", error.field().map(|field| format!(".{field}")).unwrap_or_default());
            error.about(format_args!("photo {}", idx + 1)).with_field(field)
        };
        if !matches!(photo.image, dto::Image::Url(_) | dto::Image::Upload(_)) {
            let message = "`image` came in base64, expected `upload` or `url`: a job keeps no image";
            return Err(of_photo(Error::invalid("image", message)).into());
        }
        requests.push(convert::add_faces(name.clone(), photo.clone()).map_err(of_photo)?);
    }
    Ok(api.library.check_add(caller, name, &requests).await?)
}

/// How far a job of ours is; `None` for other jobs and in listings, which have no payloads.
pub(super) fn progress(job: &Job) -> Option<dto::JobProgress> {
    if job.kind != ENROL || job.is_cancelled {
        return None;
    }
    if let Some(outcome) = job::outcome(job) {
        let n_total = outcome.photos.map_or(0, |photos| photos.len() as u64);
        return Some(dto::JobProgress { n_done: n_total, n_total, unit: None });
    }
    let work: Work = serde_json::from_slice(&job.payload).ok()?;
    let n_done = work.done.len() as u64;
    Some(dto::JobProgress { n_done, n_total: n_done + work.photos.len() as u64, unit: None })
}

/// Does these jobs.
pub(super) struct Enrolments {
    pub(super) library: Arc<Library>,
    pub(super) access: Arc<Access>,
}

impl Enrolments {
    async fn step(&self, job: &Job, work: &mut Work) -> Result<Option<Duration>, Error> {
        let (caller, FaceSet { name, .. }) = job::begun(&self.library, &self.access, job, work.face_set).await?;
        self.erase(&caller, std::mem::take(&mut work.spent)).await?;
        for n_done in 0..STEP {
            let Some(photo) = work.photos.front() else { break };
            let photo = Photo { first_id: photo.first_id, request: photo.request.clone() };
            let outcome = match self.enrolled(&caller, &name, photo).await {
                Ok(outcome) => outcome,
                // Cancelled, or somebody else's by now: nothing of this image is enrolled.
                Err(error) if error.kind() == Kind::JobDone => break,
                Err(error) if !is_of_the_server(error.kind()) => refused(&error),
                Err(error) if n_done == 0 => return Err(error),
                Err(_) => return Ok(Some(WAITS[0])),
            };
            if let Some(Photo { request: dto::AddFaces { image: dto::Image::Upload(name), .. }, .. }) =
                work.photos.pop_front()
            {
                work.spent.push(name);
            }
            work.done.push(outcome);
            // Whoever cancels it wants no more of them, and soon to know how far it came.
            if job::is_cancelled(&self.library, job).await {
                break;
            }
        }
        if !work.photos.is_empty() {
            return Ok(Some(Duration::ZERO));
        }
        self.erase(&caller, std::mem::take(&mut work.spent)).await?;
        Ok(None)
    }

    /// Erases pictures that were enrolled or refused: nobody needs to look at them again.
    async fn erase(&self, caller: &Caller, uploads: Vec<String>) -> Result<(), Error> {
        for name in uploads {
            self.library.erase_upload(caller, UploadName::new(name)?).await?;
        }
        Ok(())
    }

    async fn enrolled(&self, caller: &Caller, name: &FaceSetName, photo: Photo) -> Result<dto::PhotoOutcome, Error> {
        let added = self.library.add_faces(caller, photo.request(name.clone())?).await?;
        Ok(enrolled(&added.faces, added.refused.len() as u64))
    }

    fn settled(&self, done: Vec<dto::PhotoOutcome>) -> Settled {
        job::settled(&self.library, &told(done))
    }
}

fn told(done: Vec<dto::PhotoOutcome>) -> dto::JobOutcome {
    let n_faces = done.iter().map(|photo| photo.n_faces).sum();
    dto::JobOutcome { n_faces: Some(n_faces), photos: Some(done), ..Default::default() }
}

/// What became of the images that an undone job of ours has looked at. Those of the step that is under way are not noted yet, and
/// never will be if the server that made it is gone: the ones that were enrolled are known by the ids of their faces.
pub(super) async fn so_far(library: &Library, caller: &Caller, job: &Job) -> Result<Option<dto::JobOutcome>, Error> {
    let Ok(Work { face_set, photos, mut done, .. }) = serde_json::from_slice(&job.payload) else { return Ok(None) };
    let mut n_unknown = 0;
    for photo in photos.iter().take(STEP) {
        let faces = match (FaceSetId::new(face_set), FaceId::new(photo.first_id)) {
            (Some(face_set), Some(first)) => library.faces_enrolled_as(caller, face_set, first).await?,
            _ => Vec::new(),
        };
        if faces.is_empty() {
            n_unknown += 1;
            continue;
        }
        done.extend((0..n_unknown).map(|_| looked_at_in_vain()));
        n_unknown = 0;
        done.push(enrolled(&faces, 0));
    }
    Ok(Some(told(done)))
}

/// Of an image without faces in the set that came before one with some.
fn looked_at_in_vain() -> dto::PhotoOutcome {
    refused(&Error::new(
        Kind::Internal,
        "nothing of it is enrolled; the server that looked at it is gone before it said why",
    ))
}

fn enrolled(faces: &[Face], n_refused: u64) -> dto::PhotoOutcome {
    let face_ids = faces.iter().take(FACE_IDS_MAX).map(|face| face.id.to_string()).collect();
    dto::PhotoOutcome { n_faces: faces.len() as u64, n_refused, face_ids, ..Default::default() }
}

/// Whether a refusal says that the server cannot do it now, whatever the image.
fn is_of_the_server(kind: Kind) -> bool {
    matches!(kind, Kind::Overloaded | Kind::RateExceeded | Kind::StorageFull)
}

fn refused(error: &Error) -> dto::PhotoOutcome {
    let message = error.message().chars().take(MESSAGE_CHARS_MAX).collect();
    let code = code_of(error.kind()).to_owned();
    dto::PhotoOutcome { code: Some(code), message: Some(message), ..Default::default() }
}

impl JobHandler for Enrolments {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: ENROL, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(mut work) = serde_json::from_slice::<Work>(&job.payload) else {
                return Ok(JobOutcome::Forgotten.into());
            };
            let Some(pause) = self.step(job, &mut work).await? else { return Ok(self.settled(work.done)) };
            let so_far = told(work.done.clone());
            Ok(job::goes_on(&self.library, &work, pause, Some(&so_far)))
        })
    }

    fn give_up(&self, job: &Job, error: &Error) -> Settled {
        let Ok(mut work) = serde_json::from_slice::<Work>(&job.payload) else { return JobOutcome::Forgotten.into() };
        work.done.extend(work.photos.iter().map(|_| refused(error)));
        self.settled(work.done)
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "native", ?error, "images of a job could not be enrolled now");
    }
}
