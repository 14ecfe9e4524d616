//! Archives that jobs have made: fetched as a whole or in stretches, told of, and erased.

use std::io::Read;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::response::{IntoResponse, Response};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use likeness_domain::access::{Caller, Grant};
use likeness_domain::library::Library;
use likeness_domain::ports::{ArchiveId, ArchiveStore, Job, JobStore};
use likeness_domain::types::FaceSetId;
use likeness_domain::{Error, Kind};
use tokio::task::JoinHandle;

use super::super::api::Api;
use super::super::body::{Call, OfId, file_type, json};
use super::super::errors::NativeError;
use super::super::{dto, job};
use super::exports::Kept;
use super::{Answer, EXPORT, MEDIA_TYPE, PIECE_BYTES, erase_soon, stored};

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
pub(in crate::native) async fn download(Call { api, caller }: Call, OfId(id): OfId, headers: HeaderMap) -> Answer {
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
pub(in crate::native) async fn erase(Call { api, caller }: Call, OfId(id): OfId) -> Answer {
    let (job, made) = made(&api, &caller, &id).await?;
    stored(&api.archives, move |archives| archives.erase(made.archive)).await?;
    Ok(json(StatusCode::OK, &dto::ArchiveErased { erased: job.id.to_string() }))
}

/// Takes those archives out of what is told of jobs that are not there any more.
pub(in crate::native) async fn tell_what_is_there(api: &Api, jobs: &[Job], told: &mut [dto::Job]) -> Result<(), Error> {
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
