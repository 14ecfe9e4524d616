//! Imports: the faces of an archive are enrolled, some thousand at a time.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use likeness_domain::access::{Access, Caller};
use likeness_domain::library::jobs::{JobHandler, JobPlan, Settled};
use likeness_domain::library::{self, Library};
use likeness_domain::ports::{ArchiveId, ArchiveStore, Job, JobOutcome, Pending, RecordPlace};
use likeness_domain::types::{FaceSet, FaceSetId, PackId, Revision, TimestampMs};
use likeness_domain::{Error, Kind, limits};
use serde::{Deserialize, Serialize};

use super::super::archive_file::{Header, Reader, is_of_a_line, may_fit_in_part};
use super::super::{archive, dto, job};
use super::{IMPORT, LEASE, MESSAGE_CHARS_MAX, STEP, WAITS, erase_of, failed, off_thread, progress_in, stored};
use crate::http::codes::code_of;

/// Bytes of lines that are enrolled at once; fewer faces than allowed are if they are long.
const BATCH_BYTES: usize = 8 * 1024 * 1024;

/// Lines that were refused of which a job tells; further ones are counted.
const LINES_MAX: usize = 100;

/// Imports that may go on reading where they were without beginning anew. Each takes up to 10 MB.
const READERS_MAX: usize = 4;

/// What is to be imported, and what was.
#[derive(Serialize, Deserialize)]
pub(super) struct ImportWork {
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

/// The archive with its header.
pub(super) fn reader_of(
    archives: &dyn ArchiveStore,
    archive: ArchiveId,
    now: TimestampMs,
) -> Result<(Reader, Header), Error> {
    let opened = archives.open(archive, 0, now)?;
    let opened = opened.ok_or_else(|| Error::new(Kind::UploadNotFound, "the archive is not there any more"))?;
    Reader::of_stranger(opened.reader, opened.n_bytes)
}

/// A reader that was left behind a line.
struct Left {
    archive: ArchiveId,
    reader: Reader,
}

/// Enrols archives.
pub(in crate::native) struct Imports {
    pub(in crate::native) library: Arc<Library>,
    pub(in crate::native) access: Arc<Access>,
    pub(in crate::native) archives: Arc<dyn ArchiveStore>,
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
    pub(in crate::native) fn new(library: Arc<Library>, access: Arc<Access>, archives: Arc<dyn ArchiveStore>) -> Self {
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
                Err(error) if error.kind() == Kind::FaceSetNotFound => {
                    match job::begun(&self.library, &self.access, job, work.face_set).await {
                        // It has another name by now, with which the next step begins.
                        Ok((_, now)) if now.name != face_set.name => {}
                        Err(error) if is_of_the_server(error.kind()) => return Ok(WAITS[0]),
                        _ => work.end(Some(&error)),
                    }
                    return Ok(Duration::ZERO);
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
                Err(error) if lines.len() > 1 && may_fit_in_part(error.kind()) => {
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
    /// Of an archive of so many bytes that was not begun.
    pub(super) fn new(face_set: FaceSetId, archive: ArchiveId, n_bytes: u64, place: Option<RecordPlace>) -> Self {
        Self {
            face_set: face_set.get(),
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
            place: place.map(|place| (place.revision.0, place.mark)),
            n_since: 0,
            n_ahead: 0,
        }
    }

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

/// What an undone import of ours has enrolled, noted or not.
pub(in crate::native) async fn so_far(library: &Library, job: &Job) -> Result<Option<dto::JobOutcome>, Error> {
    let Ok(mut work) = serde_json::from_slice::<ImportWork>(&job.payload) else { return Ok(None) };
    work.catch_up(library, job).await?;
    Ok(Some(work.outcome()))
}

/// How far an import is.
pub(super) fn progress(job: &Job) -> Option<dto::JobProgress> {
    let work: ImportWork = serde_json::from_slice(&job.payload).ok()?;
    Some(progress_in("bytes", work.n_bytes_read, work.n_bytes))
}
