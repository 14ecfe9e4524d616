//! Archives as jobs: a face set is written into a file, which is fetched; a file that was uploaded is enrolled.
//!
//! Both are done some thousand faces at a time, and how far they are stands in the payload, so a restart goes on where it was.
//! An export that died in the middle of a step writes that step again over what is there. An import that did knows its
//! faces again, as every import of the same archive does.

use std::collections::VecDeque;
use std::io::Read;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::extract::Request;
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::{Bytes, BytesMut};
use http::request::Parts;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use http_body_util::BodyExt;
use likeness_domain::access::{Access, Caller, Grant};
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::library::{self, Library};
use likeness_domain::ports::{ArchiveId, ArchiveStore, Job, JobOutcome, JobStore, Pending, RecordPlace};
use likeness_domain::types::{
    FaceSet, FaceSetId, FaceSetKey, FaceSetName, FaceSetSummary, PackId, Revision, TenantId, TimestampMs,
};
use likeness_domain::{Error, Kind, limits};
use serde::{Deserialize, Serialize};
use tokio::task::JoinHandle;

use super::api::Api;
use super::archive_file::{Header, Reader, Writer};
use super::body::{Call, FILE_TYPE, InFaceSet, OfId, Query, check_plain, content_type, essence, file_type, json};
use super::dto::PREFIX;
use super::errors::NativeError;
use super::{archive, convert, dto, job};
use crate::http::body::BodyDeadline;
use crate::http::budget::RATE_MIN;
use crate::http::codes::code_of;
use crate::http::json as json_text;

type Answer = Result<Response, NativeError>;

/// The kind of jobs that make archives.
pub(super) const EXPORT: &str = "export-faces";

/// The kind of jobs that enrol archives.
pub(super) const IMPORT: &str = "import-faces";

/// Most jobs of either kind that wait, over all tenants.
const WAITING_MAX: u64 = 1000;

/// Stretches of [`limits::ARCHIVE_FACES_MAX`] faces after which it is noted how far a job is.
const STEP: usize = 10;

/// Time for so many: writing them takes a second, and other writes may be in the way.
const LEASE: Duration = Duration::from_mins(15);

/// Pauses before further tries while the server is busy or its disk is full.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];

/// Bytes of lines that are enrolled at once; fewer faces than allowed are if they are long.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Lines that were refused of which a job tells; further ones are counted.
const LINES_MAX: usize = 100;

/// Characters of a message that are kept of a line.
const MESSAGE_CHARS_MAX: usize = 200;

/// Imports that may go on reading where they were without beginning anew. Each takes up to 10 MB.
const READERS_MAX: usize = 4;

/// Bytes of an archive that are written or read at once.
const PIECE_BYTES: usize = 1 << 20;

/// What an archive is sent as.
const MEDIA_TYPE: &str = "application/zstd";

/// What an archive's store does, on a thread that may block.
async fn stored<T: Send + 'static>(
    archives: &Arc<dyn ArchiveStore>,
    work: impl FnOnce(&dyn ArchiveStore) -> Result<T, Error> + Send + 'static,
) -> Result<T, Error> {
    let archives = Arc::clone(archives);
    off_thread(move || work(&*archives)).await
}

/// Work that blocks, on a thread that may.
async fn off_thread<T: Send + 'static>(work: impl FnOnce() -> Result<T, Error> + Send + 'static) -> Result<T, Error> {
    tokio::task::spawn_blocking(work)
        .await
        .unwrap_or_else(|error| Err(Error::internal("the work on an archive ended early", error)))
}

// ------------------------------------------------------------------------------------------------------------ exports

/// What is to be exported, and what was.
#[derive(Serialize, Deserialize)]
struct ExportWork {
    face_set: u64,
    archive: u64,
    /// Where the next stretch begins; `None` at the end.
    from: Option<u64>,
    n_bytes: u64,
    n_faces: u64,
    n_left_out: u64,
    /// Faces of the set when it was asked for.
    n_total: u64,
    /// Whether it is to have small pictures; absent in what programs of before kept.
    #[serde(default)]
    thumbnails: bool,
}

/// What is kept of a job that is done.
#[derive(Serialize, Deserialize)]
struct Kept {
    #[serde(flatten)]
    outcome: dto::JobOutcome,
    file: KeptFile,
}

/// Where the archive is that a job has made.
#[derive(Serialize, Deserialize)]
struct KeptFile {
    archive: u64,
    /// Whose faces it has; absent in what programs of before kept.
    face_set: Option<u64>,
    /// The part with the header, in base64: it says how many faces follow, which is known at the end.
    head: String,
}

/// `POST /face-sets/{name}/archive/export-later`
pub(super) async fn export_later(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
) -> Answer {
    let thumbnails = words.includes("thumbnails")?;
    words.finish()?;
    let FaceSetSummary { face_set, n_faces } = api.library.check_export(&caller, &name, thumbnails).await?;
    let archive = ArchiveId { tenant: caller.tenant, number: api.library.fresh_face_id().get() };
    // Begun at once, so that who has as many archives as there may be hears so now.
    let mut unfinished = EraseOnDrop::new(&api.archives, archive);
    let now = api.library.now();
    stored(&api.archives, move |archives| archives.write(archive, 0, &[], now)).await?;
    let work = ExportWork {
        face_set: face_set.id.get(),
        archive: archive.number,
        from: Some(0),
        n_bytes: 0,
        n_faces: 0,
        n_left_out: 0,
        n_total: n_faces,
        thumbnails,
    };
    let job = api.library.accept_job(&caller, EXPORT, json_text::write(&work).into(), WAITING_MAX).await?;
    unfinished.keep();
    Ok(job::accepted(&job, api.library.now(), progress(&job)))
}

/// The archive that a job of the tenant has made, and its length.
struct Made {
    archive: ArchiveId,
    face_set: Option<FaceSetId>,
    head: Bytes,
    n_bytes: u64,
}

impl Made {
    /// Of a job that is done.
    fn of(job: &Job) -> Option<Result<Self, Error>> {
        let is_export = job.kind == EXPORT && !job.is_cancelled;
        let kept: Kept = serde_json::from_slice(job.result.as_ref().filter(|_| is_export)?).ok()?;
        let damaged = |error| Error::internal("the beginning of an archive is damaged", error);
        let archive = ArchiveId { tenant: job.tenant, number: kept.file.archive };
        let n_bytes = kept.outcome.archive.map_or(0, |archive| archive.n_bytes);
        let face_set = kept.file.face_set.and_then(FaceSetId::new);
        let head = STANDARD.decode(&kept.file.head).map_err(damaged);
        Some(head.map(|head| Self { archive, face_set, head: head.into(), n_bytes }))
    }

    /// The same as long as its bytes are.
    fn tag(&self) -> String {
        format!("\"{:x}-{:x}\"", self.archive.number, self.n_bytes)
    }
}

fn missing(message: &str) -> Error {
    Error::new(Kind::UploadNotFound, message).with_field("id")
}

/// What that job has made, for callers who may have it.
async fn made(api: &Api, caller: &Caller, id: &str) -> Result<(Job, Made), Error> {
    caller.require(Grant::Read)?;
    caller.require(Grant::Templates)?;
    let job = api.library.job(caller, job::id(id)?).await?;
    if job.kind != EXPORT {
        return Err(missing("the job makes no archive"));
    }
    match (Made::of(&job), &job.result) {
        _ if job.is_cancelled => Err(missing("the job was cancelled")),
        (Some(made), _) => Ok((job, made?)),
        (None, Some(_)) => Err(missing("the job was given up")),
        (None, None) => Err(missing("the job is not done yet").with_hint("ask for the job until it is `done`")),
    }
}

/// Refuses a caller that may not use the face set of an archive now, or that it has outlived: whoever deletes a set takes its
/// faces away also from those who have exported it and not fetched it yet.
async fn check_face_set(api: &Api, caller: &Caller, made: &Made) -> Result<(), Error> {
    let Some(face_set) = made.face_set else { return Ok(()) };
    match api.library.known_face_set(caller, face_set).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == Kind::FaceSetNotFound => {
            // Of a key for some sets it may be there and not be the key's.
            if caller.face_sets.is_all() {
                erase_soon(&api.archives, made.archive);
            }
            Err(missing("the face set that was exported was deleted"))
        }
        Err(error) => Err(error),
    }
}

/// `GET /jobs/{id}/archive`: the archive, or the stretch of it that `Range` names, so that a fetch that broke off goes on. It
/// stays until its time is over or it is erased: that the last byte was handed to a connection does not say that it arrived.
pub(super) async fn download(Call { api, caller }: Call, OfId(id): OfId, headers: HeaderMap) -> Answer {
    let (job, made) = made(&api, &caller, &id).await?;
    check_face_set(&api, &caller, &made).await?;
    let (n_bytes, tag, n_head) = (made.n_bytes, made.tag(), made.head.len() as u64);
    let media_type = file_type(&headers, MEDIA_TYPE);
    let range = match Stretch::asked(&headers, &tag) {
        Stretch::Whole => None,
        Stretch::From(first) if first < n_bytes => Some((first, n_bytes - 1)),
        Stretch::Between(first, last) if first < n_bytes => Some((first, last.min(n_bytes - 1))),
        Stretch::Last(n) if n > 0 && n_bytes > 0 => Some((n_bytes.saturating_sub(n), n_bytes - 1)),
        Stretch::From(_) | Stretch::Between(..) | Stretch::Last(_) => return Ok(not_within(n_bytes)),
    };
    let (first, last) = range.unwrap_or((0, n_bytes.saturating_sub(1)));
    let (now, archive) = (api.library.now(), made.archive);
    let opened = stored(&api.archives, move |archives| archives.open(archive, first.saturating_sub(n_head), now));
    let Some(opened) = opened.await? else {
        let hint = "export the face set again";
        return Err(missing("the archive was erased, or its time is over").with_hint(hint).into());
    };
    let n_left = (last + 1).saturating_sub(first);
    let [begin, end] = [first, last + 1].map(|place| usize::try_from(place.min(n_head)).unwrap_or(0));
    let head = made.head.slice(begin..end);
    let reader = opened.reader.take(n_left - head.len() as u64);
    let body =
        Fetched { head: Some(head).filter(|head| !head.is_empty()), source: Source::Idle(Box::new(reader)), n_left };
    let mut response = Response::new(Body::new(body));
    if range.is_some() {
        *response.status_mut() = StatusCode::PARTIAL_CONTENT;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CONTENT_LENGTH, n_left.into());
    headers.insert(header::ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let content_range = range.map(|(first, last)| format!("bytes {first}-{last}/{n_bytes}"));
    let disposition = format!("attachment; filename=\"export-{}.zst\"", job.id);
    for (name, text) in [
        (header::ETAG, Some(tag)),
        (header::CONTENT_RANGE, content_range),
        (header::CONTENT_DISPOSITION, Some(disposition)),
    ] {
        if let Some(Ok(value)) = text.map(HeaderValue::try_from) {
            headers.insert(name, value);
        }
    }
    Ok(response)
}

/// The answer to a stretch that begins behind the end.
fn not_within(n_bytes: u64) -> Response {
    let message = format!("`Range` begins behind the archive's end, expected a place below {n_bytes}");
    let mut response = NativeError(Error::invalid("range", message)).into_response();
    *response.status_mut() = StatusCode::RANGE_NOT_SATISFIABLE;
    if let Ok(value) = HeaderValue::try_from(format!("bytes */{n_bytes}")) {
        response.headers_mut().insert(header::CONTENT_RANGE, value);
    }
    response
}

/// What a request wants of an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stretch {
    Whole,
    /// From this byte on.
    From(u64),
    /// From this byte to that one.
    Between(u64, u64),
    /// So many bytes at the end.
    Last(u64),
}

impl Stretch {
    /// A range that is malformed, of other units, or of several stretches is passed over, and so is one for another state than
    /// `If-Range` names (RFC 9110, sections 13.1.5 and 14.2).
    fn asked(headers: &HeaderMap, tag: &str) -> Self {
        if headers.get(header::IF_RANGE).is_some_and(|asked| asked.as_bytes() != tag.as_bytes()) {
            return Stretch::Whole;
        }
        let mut ranges = headers.get_all(header::RANGE).iter();
        match (ranges.next().and_then(|range| range.to_str().ok()), ranges.next()) {
            (Some(range), None) => Self::read(range).unwrap_or(Stretch::Whole),
            _ => Stretch::Whole,
        }
    }

    fn read(range: &str) -> Option<Self> {
        let number = |text: &str| {
            let is_number = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
            is_number.then(|| text.parse().unwrap_or(u64::MAX))
        };
        let (unit, stretch) = range.split_once('=')?;
        let (first, last) = stretch.trim().split_once('-').filter(|_| unit.trim().eq_ignore_ascii_case("bytes"))?;
        match (first, last) {
            ("", last) => Some(Stretch::Last(number(last)?)),
            (first, "") => Some(Stretch::From(number(first)?)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                (first <= last).then_some(Stretch::Between(first, last))
            }
        }
    }
}

/// `DELETE /jobs/{id}/archive`
pub(super) async fn erase(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let (job, made) = made(&api, &caller, &id).await?;
    stored(&api.archives, move |archives| archives.erase(made.archive)).await?;
    Ok(json(StatusCode::OK, &dto::ArchiveErased { erased: job.id.to_string() }))
}

/// Takes those archives out of what is told of jobs that are not there any more.
pub(super) async fn tell_what_is_there(api: &Api, jobs: &[Job], told: &mut [dto::Job]) -> Result<(), Error> {
    let made: Vec<_> = jobs.iter().map(|job| Made::of(job)?.ok().map(|made| made.archive)).collect();
    if made.iter().all(Option::is_none) {
        return Ok(());
    }
    let now = api.library.now();
    let is_there = stored(&api.archives, move |archives| {
        let open = |archive: Option<ArchiveId>| archive.map_or(Ok(None), |archive| archives.open(archive, 0, now));
        made.into_iter().map(|archive| open(archive).map(|opened| opened.is_some())).collect::<Result<Vec<_>, _>>()
    });
    for (told, is_there) in told.iter_mut().zip(is_there.await?) {
        if let Some(outcome) = told.outcome.as_mut().filter(|_| !is_there) {
            outcome.archive = None;
        }
    }
    Ok(())
}

/// An archive on its way to a client: read piece by piece off the threads that serve connections.
struct Fetched {
    head: Option<Bytes>,
    source: Source,
    n_left: u64,
}

enum Source {
    Idle(Box<dyn Read + Send>),
    Reading(JoinHandle<std::io::Result<(Box<dyn Read + Send>, Bytes)>>),
    Ended,
}

impl HttpBody for Fetched {
    type Data = Bytes;
    type Error = axum::BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, axum::BoxError>>> {
        let this = self.get_mut();
        let piece = match this.head.take() {
            Some(head) => head,
            None => loop {
                match std::mem::replace(&mut this.source, Source::Ended) {
                    Source::Ended => return Poll::Ready(None),
                    Source::Idle(reader) => {
                        this.source = Source::Reading(tokio::task::spawn_blocking(move || piece_of(reader)));
                    }
                    Source::Reading(mut reading) => {
                        let Poll::Ready(read) = Pin::new(&mut reading).poll(cx) else {
                            this.source = Source::Reading(reading);
                            return Poll::Pending;
                        };
                        let (reader, piece) = match read {
                            Ok(Ok(read)) => read,
                            Ok(Err(error)) => return Poll::Ready(Some(Err(error.into()))),
                            Err(error) => return Poll::Ready(Some(Err(error.into()))),
                        };
                        if piece.is_empty() {
                            return Poll::Ready(None);
                        }
                        this.source = Source::Idle(reader);
                        break piece;
                    }
                }
            },
        };
        this.n_left = this.n_left.saturating_sub(piece.len() as u64);
        Poll::Ready(Some(Ok(http_body::Frame::data(piece))))
    }

    fn size_hint(&self) -> http_body::SizeHint {
        http_body::SizeHint::with_exact(self.n_left)
    }
}

fn piece_of(mut reader: Box<dyn Read + Send>) -> std::io::Result<(Box<dyn Read + Send>, Bytes)> {
    let mut piece = Vec::with_capacity(PIECE_BYTES);
    reader.by_ref().take(PIECE_BYTES as u64).read_to_end(&mut piece)?;
    Ok((reader, piece.into()))
}

/// Erases an archive that was not uploaded as a whole when it is dropped, unless it is to be kept.
struct EraseOnDrop {
    archives: Arc<dyn ArchiveStore>,
    archive: Option<ArchiveId>,
}

impl EraseOnDrop {
    fn new(archives: &Arc<dyn ArchiveStore>, archive: ArchiveId) -> Self {
        Self { archives: Arc::clone(archives), archive: Some(archive) }
    }

    fn keep(&mut self) {
        self.archive = None;
    }
}

impl Drop for EraseOnDrop {
    fn drop(&mut self) {
        if let Some(archive) = self.archive.take() {
            erase_soon(&self.archives, archive);
        }
    }
}

/// Erases an archive on another thread. Where that fails it goes when its time is over.
fn erase_soon(archives: &Arc<dyn ArchiveStore>, archive: ArchiveId) {
    let archives = Arc::clone(archives);
    let erase = move || {
        if let Err(error) = archives.erase(archive) {
            tracing::warn!(dialect = "native", ?error, "an archive is not erased before its time is over");
        }
    };
    match tokio::runtime::Handle::try_current() {
        Ok(runtime) => drop(runtime.spawn_blocking(erase)),
        Err(_) => erase(),
    }
}

/// Makes archives.
pub(super) struct Exports {
    pub(super) library: Arc<Library>,
    pub(super) access: Arc<Access>,
    pub(super) archives: Arc<dyn ArchiveStore>,
}

impl Exports {
    async fn step(&self, job: &Job, work: &mut ExportWork) -> Result<Option<Settled>, Error> {
        let (caller, face_set) = job::begun(&self.library, &self.access, job, work.face_set).await?;
        let archive = ArchiveId { tenant: job.tenant, number: work.archive };
        for n_done in 0..STEP {
            let Some(from) = work.from else { break };
            let written = self.write(&caller, &face_set, archive, work, from).await;
            match written {
                Ok(()) => {}
                // What is done is noted; the next try begins behind it.
                Err(error) if n_done > 0 && error.kind().is_retryable() => break,
                Err(error) => return Err(error),
            }
            if job::is_cancelled(&self.library, job).await {
                return Ok(None);
            }
        }
        if work.from.is_some() {
            return Ok(None);
        }
        let head = self.head(face_set, work)?;
        let lifetime_ms = i64::try_from(self.archives.bounds().lifetime_ms).unwrap_or(i64::MAX);
        let now = self.library.now();
        let available_until = TimestampMs(now.0.saturating_add(lifetime_ms));
        let outcome = dto::JobOutcome {
            n_faces: Some(work.n_faces),
            n_left_out: (work.n_left_out > 0).then_some(work.n_left_out),
            archive: Some(dto::JobArchive {
                path: format!("{PREFIX}/jobs/{}/archive", job.id),
                n_bytes: work.n_bytes + head.len() as u64,
                available_until: convert::time_text(available_until),
            }),
            ..Default::default()
        };
        let kept = Kept {
            outcome,
            file: KeptFile { archive: work.archive, face_set: Some(work.face_set), head: STANDARD.encode(head) },
        };
        stored(&self.archives, move |archives| archives.touch(archive, now)).await?;
        Ok(Some(job::settled(&self.library, &kept)))
    }

    async fn write(
        &self,
        caller: &Caller,
        face_set: &FaceSet,
        archive: ArchiveId,
        work: &mut ExportWork,
        from: u64,
    ) -> Result<(), Error> {
        let limit = limits::ARCHIVE_FACES_MAX as u64;
        let stretch = library::Stretch { from, limit, with_thumbnails: work.thumbnails };
        let exported = self.library.export_faces(caller, FaceSetKey::Id(face_set.id), stretch).await?;
        let (n_faces, n_damaged, next) = (exported.faces.len() as u64, exported.n_damaged, exported.next);
        let (at, now) = (work.n_bytes, self.library.now());
        let n_bytes = stored(&self.archives, move |archives| {
            let writing = |error| Error::internal("cannot write faces into an archive", error);
            let mut writer = Writer::part(Vec::new()).map_err(writing)?;
            for face in archive::archived_faces(&exported) {
                writer.face(&face).map_err(writing)?;
            }
            let part = writer.finish().map_err(writing)?;
            archives.write(archive, at, &part, now)?;
            Ok(part.len() as u64)
        })
        .await?;
        work.n_bytes += n_bytes;
        work.n_faces += n_faces;
        work.n_left_out += n_damaged;
        work.from = next;
        Ok(())
    }

    /// The part of an archive with its header.
    fn head(&self, face_set: FaceSet, work: &ExportWork) -> Result<Vec<u8>, Error> {
        let dimensions = dimensions(&self.library, &face_set.pack)?;
        let (n_faces, thumbnails) = (work.n_faces, work.thumbnails.then_some(true));
        let face_set = convert::face_set(FaceSetSummary { face_set, n_faces });
        let header = Header { faces: Some(n_faces), thumbnails, ..Header::of(&face_set, dimensions) };
        Writer::new(Vec::new(), &header)
            .and_then(Writer::finish)
            .map_err(|error| Error::internal("cannot write the header of an archive", error))
    }
}

impl JobHandler for Exports {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: EXPORT, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(mut work) = serde_json::from_slice::<ExportWork>(&job.payload) else {
                return Ok(JobOutcome::Forgotten.into());
            };
            let stepped = match self.step(job, &mut work).await {
                // Its archive went when it was cancelled, and nobody wants it.
                Err(_) if job::is_cancelled(&self.library, job).await => None,
                stepped => stepped?,
            };
            Ok(match stepped {
                Some(settled) => settled,
                None => job::goes_on(&self.library, &work, Duration::ZERO, None),
            })
        })
    }

    fn give_up(&self, job: &Job, error: &Error) -> Settled {
        erase_of(&self.archives, job);
        job::settled(&self.library, &failed(error))
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "native", ?error, "a face set could not be exported now");
    }
}

// ------------------------------------------------------------------------------------------------------------ imports

/// What is to be imported, and what was.
#[derive(Serialize, Deserialize)]
struct ImportWork {
    face_set: u64,
    archive: u64,
    n_bytes: u64,
    /// Bytes of the archive that were read, about.
    n_bytes_read: u64,
    /// The line that was done last; the header's is 1.
    line: u64,
    n_enrolled: u64,
    n_known: u64,
    n_refused: u64,
    refused: VecDeque<dto::LineOutcome>,
    /// Whether the end is reached, so that the archive can go.
    is_ended: bool,
    /// Why the rest is not enrolled.
    failed: Option<dto::JobOutcome>,
    /// A place in the record of commits, as number and mark. What the job has enrolled since then is known from there, also where
    /// nobody was left to note it. `None` where that is not known, and in what programs of before kept.
    #[serde(default)]
    place: Option<(u64, Option<u64>)>,
    /// How many of `n_enrolled` came after that place.
    #[serde(default)]
    n_since: u64,
    /// How many of `n_enrolled` are of lines behind `line`: a server that was at them is gone, or has failed in their middle. They
    /// come back as known.
    #[serde(default)]
    n_ahead: u64,
}

/// `POST /face-sets/{name}/archive/import-later`
pub(super) async fn import_later(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
    request: Request,
) -> Answer {
    let capacity = words.parsed("capacity", "a whole number")?;
    let thumbnails = words.parsed("thumbnails", "true or false")?;
    words.finish()?;
    let known = api.library.check_import(&caller, &name).await?;
    // An import that is asked for once more, in the same words, goes on.
    if let Some(set) = &known {
        let has = set.capacity.map_or_else(|| "no capacity".to_owned(), |most| format!("a capacity of {most}"));
        let keeps = if set.thumbnails { "keeps thumbnails" } else { "keeps no thumbnails" };
        for (option, is_other, so) in [
            ("capacity", capacity.is_some_and(|most| set.capacity != Some(most)), format!("has {has}")),
            ("thumbnails", thumbnails.is_some_and(|keeps| set.thumbnails != keeps), keeps.to_owned()),
        ] {
            if is_other {
                let message = format!("`{option}` is for a face set that the import makes; `{name}` exists and {so}");
                let exists = Error::new(Kind::FaceSetExists, message).with_field(option);
                return Err(exists.with_hint("leave it out, or change the face set first").into());
            }
        }
    }
    let (head, body) = request.into_parts();
    check_media_type(&head)?;
    check_plain(&head)?;
    let archive = ArchiveId { tenant: caller.tenant, number: api.library.fresh_face_id().get() };
    let mut unfinished = EraseOnDrop::new(&api.archives, archive);
    let n_bytes = received(&api, archive, &head, body).await?;
    let (now, makes_set) = (api.library.now(), known.is_none());
    let (header, fields) = stored(&api.archives, move |archives| {
        let (reader, header) = reader_of(archives, archive, now)?;
        let fields = match &header.fields {
            Some(fields) => fields.clone(),
            None if makes_set => reader.fields()?,
            None => Vec::new(),
        };
        Ok((header, fields))
    })
    .await?;
    let face_set = match known {
        Some(face_set) => face_set,
        None => {
            let asked = dto::CreateFaceSet { fields, capacity, thumbnails, ..Default::default() };
            made_face_set(&api, &caller, &name, &header, asked).await?
        }
    };
    check_pack(&api.library, &face_set, &header)?;
    let work = ImportWork {
        face_set: face_set.id.get(),
        archive: archive.number,
        n_bytes,
        n_bytes_read: 0,
        line: 1,
        n_enrolled: 0,
        n_known: 0,
        n_refused: 0,
        refused: VecDeque::new(),
        is_ended: false,
        failed: None,
        place: api.library.place_in_record().map(|place| (place.revision.0, place.mark)),
        n_since: 0,
        n_ahead: 0,
    };
    let job = api.library.accept_job(&caller, IMPORT, json_text::write(&work).into(), WAITING_MAX).await?;
    unfinished.keep();
    Ok(job::accepted(&job, api.library.now(), progress(&job)))
}

fn check_media_type(head: &Parts) -> Result<(), Error> {
    match essence(content_type(&head.headers)).as_str() {
        "" | MEDIA_TYPE | FILE_TYPE | "application/x-ndjson" => Ok(()),
        _ => {
            let expected = "expected application/zstd, application/x-ndjson or application/octet-stream";
            Err(Error::invalid("content-type", format!("content type is not accepted, {expected}")))
        }
    }
}

/// Writes a body into an archive as it arrives; its bytes.
async fn received(api: &Api, archive: ArchiveId, head: &Parts, mut body: Body) -> Result<u64, Error> {
    let max = api.archives.bounds().tenant_bytes_max;
    let too_large = || {
        Error::new(Kind::ImageTooLarge, format!("the archive has more than {max} bytes, as many as a tenant may have"))
    };
    let announced = head.headers.get(header::CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|n_bytes: u64| n_bytes > max) {
        return Err(too_large());
    }
    let deadline = head.extensions.get::<BodyDeadline>();
    let (mut n_bytes, mut piece) = (0_u64, BytesMut::new());
    loop {
        let frame = body.frame().await;
        let is_end = frame.is_none();
        if let Some(frame) = frame {
            let broken =
                |error| Error::invalid("body", "the request body broke off, or arrived too slowly").with_source(error);
            let Ok(data) = frame.map_err(broken)?.into_data() else { continue };
            piece.extend_from_slice(&data);
        }
        if !is_end && piece.len() < PIECE_BYTES {
            continue;
        }
        let (bytes, at) = (piece.split().freeze(), n_bytes);
        n_bytes += bytes.len() as u64;
        if n_bytes > max {
            return Err(too_large());
        }
        if let Some(deadline) = deadline {
            deadline.put_off(Duration::from_millis(bytes.len() as u64 * 1000 / RATE_MIN as u64));
        }
        if !bytes.is_empty() || at == 0 {
            let now = api.library.now();
            stored(&api.archives, move |archives| archives.write(archive, at, &bytes, now)).await?;
        }
        if is_end {
            return Ok(n_bytes);
        }
    }
}

fn reader_of(archives: &dyn ArchiveStore, archive: ArchiveId, now: TimestampMs) -> Result<(Reader, Header), Error> {
    let opened = archives.open(archive, 0, now)?;
    let opened = opened.ok_or_else(|| Error::new(Kind::UploadNotFound, "the archive is not there any more"))?;
    Reader::of_stranger(opened.reader, opened.n_bytes)
}

/// The face set that an archive asks for, made unless somebody else has made it meanwhile.
async fn made_face_set(
    api: &Api,
    caller: &Caller,
    name: &FaceSetName,
    header: &Header,
    asked: dto::CreateFaceSet,
) -> Result<FaceSet, Error> {
    let pack = pack_of(header)?;
    check_dimensions(&api.library, &pack, header)?;
    let body = dto::CreateFaceSet {
        name: name.to_string(),
        label: header.label.clone(),
        note: header.note.clone(),
        quality: header.quality.clone(),
        pack: Some(header.pack.clone()),
        ..asked
    };
    match api.library.create_face_set_of(caller, convert::create_face_set(body)?, &pack).await {
        Err(error) if error.kind() == Kind::FaceSetExists => api.library.check_import(caller, name).await?.ok_or(error),
        made => made,
    }
}

fn pack_of(header: &Header) -> Result<PackId, Error> {
    let missing = || Error::invalid("pack", "line 1: `pack` is missing");
    convert::pack_id(Some(&header.pack)).map_err(|error| error.about("line 1"))?.ok_or_else(missing)
}

fn dimensions(library: &Library, pack: &PackId) -> Result<usize, Error> {
    let packs = library.packs();
    packs.iter().find(|known| known.id == *pack).map(|pack| pack.dimensions).ok_or_else(|| {
        let known: Vec<String> = packs.iter().map(|pack| pack.id.to_string()).collect();
        Error::new(Kind::PackNotFound, format!("model pack `{pack}` is not loaded, but {}", known.join(", ")))
    })
}

fn check_dimensions(library: &Library, pack: &PackId, header: &Header) -> Result<(), Error> {
    let expected = dimensions(library, pack)?;
    if header.dimensions != expected {
        let found = header.dimensions;
        let message = format!("line 1: `dimensions` is {found}, templates of `{pack}` have {expected}");
        return Err(Error::invalid("archive", message));
    }
    Ok(())
}

fn check_pack(library: &Library, face_set: &FaceSet, header: &Header) -> Result<(), Error> {
    let theirs = pack_of(header)?;
    if theirs != face_set.pack {
        let (name, ours) = (&face_set.name, &face_set.pack);
        let message = format!("the archive's templates are of model pack `{theirs}`, face set `{name}` is of `{ours}`");
        return Err(Error::invalid("pack", message).with_hint("import it into a face set of its own"));
    }
    check_dimensions(library, &theirs, header)
}

/// A reader that was left behind a line.
struct Left {
    archive: ArchiveId,
    reader: Reader,
}

/// Enrols archives.
pub(super) struct Imports {
    pub(super) library: Arc<Library>,
    pub(super) access: Arc<Access>,
    pub(super) archives: Arc<dyn ArchiveStore>,
    readers: Mutex<VecDeque<Left>>,
}

/// Lines that were read.
#[derive(Default)]
struct Batch {
    /// The faces, each with its line.
    faces: Vec<(u64, library::ArchivedFace)>,
    /// Lines that are no faces.
    faults: Vec<(u64, Error)>,
    is_end: bool,
    /// What keeps the rest from being read.
    damage: Option<Error>,
}

impl Batch {
    fn read(reader: &mut Reader, pack: &PackId) -> Self {
        let (mut batch, mut n_bytes) = (Self::default(), 0);
        while batch.faces.len() + batch.faults.len() < limits::ARCHIVE_FACES_MAX && n_bytes < BATCH_BYTES {
            let found = match reader.face_or_fault() {
                Ok(Some(found)) => found,
                Ok(None) => {
                    batch.is_end = true;
                    break;
                }
                Err(error) => {
                    batch.damage = Some(error);
                    break;
                }
            };
            let line = reader.line_number();
            let read = found.and_then(|(face, n)| {
                n_bytes += n;
                archive::read(face, pack).map_err(|error| error.about(format_args!("line {line}")))
            });
            match read {
                Ok(face) => batch.faces.push((line, face)),
                Err(error) => batch.faults.push((line, error)),
            }
        }
        batch
    }
}

impl Imports {
    pub(super) fn new(library: Arc<Library>, access: Arc<Access>, archives: Arc<dyn ArchiveStore>) -> Self {
        Self { library, access, archives, readers: Mutex::default() }
    }

    /// A reader behind that line, which an earlier step has left or which is made anew.
    async fn reader(&self, archive: ArchiveId, line: u64) -> Result<Reader, Error> {
        let left = {
            let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
            let place = readers.iter().position(|left| left.archive == archive);
            place.and_then(|place| readers.remove(place))
        };
        if let Some(left) = left.filter(|left| left.reader.line_number() == line) {
            return Ok(left.reader);
        }
        let now = self.library.now();
        stored(&self.archives, move |archives| {
            let (mut reader, _) = reader_of(archives, archive, now)?;
            reader.skip_to(line)?;
            Ok(reader)
        })
        .await
    }

    fn leave(&self, archive: ArchiveId, reader: Reader) {
        let mut readers = self.readers.lock().unwrap_or_else(PoisonError::into_inner);
        readers.push_back(Left { archive, reader });
        if readers.len() > READERS_MAX {
            readers.pop_front();
        }
    }

    /// Enrols some thousand faces; the pause before the next ones.
    async fn step(&self, job: &Job, work: &mut ImportWork) -> Result<Duration, Error> {
        let mut begun = job::begun(&self.library, &self.access, job, work.face_set).await?;
        work.catch_up(&self.library, job).await?;
        let archive = ArchiveId { tenant: job.tenant, number: work.archive };
        let now = self.library.now();
        stored(&self.archives, move |archives| archives.touch(archive, now)).await?;
        let mut reader = self.reader(archive, work.line).await?;
        for n_done in 0..STEP {
            if n_done > 0 {
                // The key may have expired meanwhile.
                begun = match job::begun(&self.library, &self.access, job, work.face_set).await {
                    Ok(begun) => begun,
                    Err(error) if is_of_the_server(error.kind()) => return Ok(WAITS[0]),
                    Err(error) => {
                        work.end(Some(&error));
                        return Ok(Duration::ZERO);
                    }
                };
            }
            let (caller, face_set) = &begun;
            let pack = face_set.pack.clone();
            let (next, batch) = off_thread(move || {
                let batch = Batch::read(&mut reader, &pack);
                Ok((reader, batch))
            })
            .await?;
            reader = next;
            let Batch { faces, faults, is_end, damage } = batch;
            let line_before = work.line;
            let enrolled = self.enrol(caller, face_set, faces, work).await;
            if enrolled.is_ok() {
                work.line = reader.line_number();
            }
            for (line, error) in faults {
                if (line_before + 1..=work.line).contains(&line) {
                    work.refuse(line, &error);
                }
            }
            match enrolled {
                Ok(()) => {}
                // Cancelled, or somebody else's by now.
                Err(error) if error.kind() == Kind::JobDone => return Ok(Duration::ZERO),
                Err(error) if is_of_the_server(error.kind()) => {
                    // What is done is noted, if anything is; the next try begins behind it.
                    return if n_done > 0 || work.line > line_before { Ok(WAITS[0]) } else { Err(error) };
                }
                Err(error) => {
                    work.end(Some(&error));
                    return Ok(Duration::ZERO);
                }
            }
            if is_end || damage.is_some() {
                work.end(damage.as_ref());
                return Ok(Duration::ZERO);
            }
            if job::is_cancelled(&self.library, job).await {
                return Ok(Duration::ZERO);
            }
        }
        work.n_bytes_read = reader.n_bytes_read().min(work.n_bytes);
        self.leave(archive, reader);
        Ok(Duration::ZERO)
    }

    /// Enrols the faces of some lines. A batch that is refused because of a line is halved until that line is found, and
    /// the others are enrolled.
    async fn enrol(
        &self,
        caller: &Caller,
        face_set: &FaceSet,
        lines: Vec<(u64, library::ArchivedFace)>,
        work: &mut ImportWork,
    ) -> Result<(), Error> {
        // The batch that is next comes last.
        let mut batches = vec![lines];
        while let Some(mut lines) = batches.pop() {
            let Some(&(last, _)) = lines.last() else { continue };
            let faces = lines.iter().map(|(_, face)| face.clone()).collect();
            let request = library::ImportFaces { face_set: face_set.name.clone(), faces };
            match self.library.import_faces(caller, request).await {
                Ok(library::FacesImported { n_enrolled, n_known }) => {
                    let n_again = n_known.min(work.n_ahead);
                    work.n_ahead -= n_again;
                    work.n_enrolled += n_enrolled;
                    work.n_since += n_enrolled;
                    work.n_known += n_known - n_again;
                    work.line = last;
                }
                // Of those that do not fit as a whole the first ones do.
                Err(error)
                    if lines.len() > 1 && (is_of_a_line(error.kind()) || error.kind() == Kind::CapacityExceeded) =>
                {
                    let second_half = lines.split_off(lines.len() / 2);
                    batches.extend([second_half, lines]);
                }
                Err(error) if is_of_a_line(error.kind()) => {
                    work.refuse(last, &error);
                    work.line = last;
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

impl ImportWork {
    /// Adds what the job has enrolled and nobody has noted.
    async fn catch_up(&mut self, library: &Library, job: &Job) -> Result<(), Error> {
        let (Some((revision, mark)), Some(face_set)) = (self.place, FaceSetId::new(self.face_set)) else {
            return Ok(());
        };
        let place = RecordPlace { revision: Revision(revision), mark };
        let caller = Caller::server(job.tenant, "jobs");
        let enrolled = library.faces_enrolled_by(&caller, &job::request_id(job), face_set, place).await?;
        self.place = enrolled.map(|(_, reached)| (reached.revision.0, reached.mark));
        if let Some((n_enrolled, _)) = enrolled {
            let n_unnoted = n_enrolled.saturating_sub(self.n_since);
            self.n_enrolled += n_unnoted;
            self.n_ahead += n_unnoted;
            self.n_since = 0;
        }
        Ok(())
    }

    fn refuse(&mut self, line: u64, error: &Error) {
        self.n_refused += 1;
        if self.refused.len() >= LINES_MAX {
            return;
        }
        // The place within the batch says nothing to whoever made the archive.
        let message = error.message().trim_start_matches("face 1: ");
        let message = message.trim_start_matches(&format!("line {line}: ")).chars().take(MESSAGE_CHARS_MAX).collect();
        self.refused.push_back(dto::LineOutcome { line, code: code_of(error.kind()).to_owned(), message });
    }

    fn end(&mut self, error: Option<&Error>) {
        self.is_ended = true;
        self.n_bytes_read = self.n_bytes;
        self.failed = error.map(failed);
    }

    fn outcome(&self) -> dto::JobOutcome {
        let failed = self.failed.clone().unwrap_or_default();
        let mut lines: Vec<dto::LineOutcome> = self.refused.iter().cloned().collect();
        lines.sort_by_key(|line| line.line);
        dto::JobOutcome {
            n_faces: Some(self.n_enrolled),
            n_known: Some(self.n_known),
            n_refused: Some(self.n_refused),
            lines: (!lines.is_empty()).then_some(lines),
            ..failed
        }
    }
}

/// Whether a refusal says that what is in a line is wrong.
fn is_of_a_line(kind: Kind) -> bool {
    matches!(kind, Kind::InvalidArgument | Kind::MissingArgument | Kind::FieldNotDefined | Kind::FieldTypeMismatch)
}

/// Whether a refusal says that the server cannot do it now, whatever the face.
fn is_of_the_server(kind: Kind) -> bool {
    kind.is_retryable() || kind == Kind::Internal
}

impl JobHandler for Imports {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: IMPORT, lease: LEASE, retries: &WAITS }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        Box::pin(async move {
            let Ok(mut work) = serde_json::from_slice::<ImportWork>(&job.payload) else {
                return Ok(JobOutcome::Forgotten.into());
            };
            if work.is_ended {
                // Only now that the end is noted: a process that dies in between has nothing more to read.
                let archive = ArchiveId { tenant: job.tenant, number: work.archive };
                stored(&self.archives, move |archives| archives.erase(archive)).await?;
                return Ok(job::settled(&self.library, &work.outcome()));
            }
            let stepped = self.step(job, &mut work).await;
            let is_cancelled = job::is_cancelled(&self.library, job).await;
            let pause = match stepped {
                // Its archive went when it was cancelled.
                Err(_) if is_cancelled => Duration::ZERO,
                stepped => stepped?,
            };
            if is_cancelled {
                // From now on nothing more is enrolled.
                work.catch_up(&self.library, job).await?;
            }
            let so_far = work.outcome();
            Ok(job::goes_on(&self.library, &work, pause, Some(&so_far)))
        })
    }

    fn give_up(&self, job: &Job, error: &Error) -> Settled {
        erase_of(&self.archives, job);
        let Ok(mut work) = serde_json::from_slice::<ImportWork>(&job.payload) else {
            return JobOutcome::Forgotten.into();
        };
        work.end(Some(error));
        job::settled(&self.library, &work.outcome())
    }

    fn failed(&self, error: &Error) {
        tracing::warn!(dialect = "native", ?error, "an archive could not be imported now");
    }
}

// --------------------------------------------------------------------------------------------------------------- both

fn failed(error: &Error) -> dto::JobOutcome {
    let message = error.message().chars().take(MESSAGE_CHARS_MAX).collect();
    let code = code_of(error.kind()).to_owned();
    dto::JobOutcome { code: Some(code), message: Some(message), ..Default::default() }
}

/// The archive of a job that is not done.
#[derive(Deserialize)]
struct OfJob {
    archive: u64,
}

/// Erases the archive of a job that will not be done, if it has one.
pub(super) fn erase_of(archives: &Arc<dyn ArchiveStore>, job: &Job) {
    if [EXPORT, IMPORT].contains(&job.kind.as_str())
        && let Ok(OfJob { archive }) = serde_json::from_slice(&job.payload)
    {
        erase_soon(archives, ArchiveId { tenant: job.tenant, number: archive });
    }
}

/// Jobs that are looked at together.
const JOBS_PAGE: u64 = 100;

/// Erases archives of face sets that were deleted, by whatever dialect, command or server: what was deleted is not to lie there
/// until the time of an archive is over.
pub async fn erase_archives_of_deleted_sets(
    library: &Library,
    jobs: &dyn JobStore,
    archives: &Arc<dyn ArchiveStore>,
) -> Result<(), Error> {
    for tenant in stored(archives, |archives| archives.owners()).await? {
        let caller = Caller::server(tenant, "erase-archives");
        let mut from = None;
        loop {
            let page = jobs.jobs(tenant, from, JOBS_PAGE, library.now()).await?;
            for listed in page.jobs.iter().filter(|job| job.kind == EXPORT) {
                // In a listing they have no results.
                let job = jobs.job(tenant, listed.id, library.now()).await?;
                let Some(Ok(Made { archive, face_set: Some(id), .. })) = job.as_ref().and_then(Made::of) else {
                    continue;
                };
                match library.known_face_set(&caller, id).await {
                    Err(error) if error.kind() == Kind::FaceSetNotFound => {
                        stored(archives, move |archives| archives.erase(archive)).await?;
                    }
                    known => _ = known?,
                }
            }
            from = page.next;
            if from.is_none() {
                break;
            }
        }
    }
    Ok(())
}

/// Erases the archives of a tenant that was deleted.
pub(super) async fn erase_all_of(archives: &Arc<dyn ArchiveStore>, tenant: TenantId) -> Result<(), Error> {
    stored(archives, move |archives| archives.erase_all_of(tenant)).await
}

/// What an undone import of ours has enrolled, noted or not.
pub(super) async fn so_far(library: &Library, job: &Job) -> Result<Option<dto::JobOutcome>, Error> {
    let Ok(mut work) = serde_json::from_slice::<ImportWork>(&job.payload) else { return Ok(None) };
    work.catch_up(library, job).await?;
    Ok(Some(work.outcome()))
}

/// How far a job of ours is; `None` for other jobs and in listings, which have no payloads.
pub(super) fn progress(job: &Job) -> Option<dto::JobProgress> {
    let of = |unit: &str, n_done, n_total| Some(dto::JobProgress { n_done, n_total, unit: Some(unit.to_owned()) });
    match job.kind.as_str() {
        EXPORT => match job::outcome(job) {
            Some(outcome) => outcome.n_faces.and_then(|n_faces| of("faces", n_faces, n_faces)),
            None => {
                let work: ExportWork = serde_json::from_slice(&job.payload).ok()?;
                of("faces", work.n_faces, work.n_total.max(work.n_faces))
            }
        },
        IMPORT => {
            let work: ImportWork = serde_json::from_slice(&job.payload).ok()?;
            of("bytes", work.n_bytes_read, work.n_bytes)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_one_stretch_of_bytes_or_passed_over() {
        for (text, expected) in [
            ("bytes=0-0", Some(Stretch::Between(0, 0))),
            ("Bytes = 5-", Some(Stretch::From(5))),
            ("bytes=-7", Some(Stretch::Last(7))),
            ("bytes=99999999999999999999-", Some(Stretch::From(u64::MAX))),
            ("bytes=3-2", None),
            ("bytes=0-1,4-5", None),
            ("bytes=-", None),
            ("bytes=+1-2", None),
            ("bytes=", None),
            ("lines=0-1", None),
            ("0-1", None),
        ] {
            assert_eq!(Stretch::read(text), expected, "{text}");
        }
    }
}
