//! Exports: a face set is written into an archive, some thousand faces at a time.

use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::access::{Access, Caller};
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::library::{self, Library};
use likeness_domain::ports::{ArchiveId, ArchiveStore, Job, JobOutcome, Pending};
use likeness_domain::types::{FaceSet, FaceSetKey, FaceSetSummary, TimestampMs};
use likeness_domain::{Error, limits};
use serde::{Deserialize, Serialize};

use super::super::archive_file::{Header, Writer};
use super::super::body::{Call, InFaceSet, Query};
use super::super::dto::PREFIX;
use super::super::{archive, convert, dto, job};
use super::{
    Answer, EXPORT, EraseOnDrop, LEASE, STEP, WAITING_MAX, WAITS, dimensions, erase_of, failed, progress_in, stored,
};
use crate::http::json as json_text;

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
pub(super) struct Kept {
    #[serde(flatten)]
    pub(super) outcome: dto::JobOutcome,
    pub(super) file: KeptFile,
}

/// Where the archive is that a job has made.
#[derive(Serialize, Deserialize)]
pub(super) struct KeptFile {
    pub(super) archive: u64,
    /// Whose faces it has; absent in what programs of before kept.
    pub(super) face_set: Option<u64>,
    /// The part with the header, in base64: it says how many faces follow, which is known at the end.
    pub(super) head: String,
}

/// `POST /face-sets/{name}/archive/export-later`
pub(in crate::native) async fn export_later(
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

/// Makes archives.
pub(in crate::native) struct Exports {
    pub(in crate::native) library: Arc<Library>,
    pub(in crate::native) access: Arc<Access>,
    pub(in crate::native) archives: Arc<dyn ArchiveStore>,
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

/// How far an export is.
pub(super) fn progress(job: &Job) -> Option<dto::JobProgress> {
    match job::outcome(job) {
        Some(outcome) => outcome.n_faces.map(|n_faces| progress_in("faces", n_faces, n_faces)),
        None => {
            let work: ExportWork = serde_json::from_slice(&job.payload).ok()?;
            Some(progress_in("faces", work.n_faces, work.n_total.max(work.n_faces)))
        }
    }
}
