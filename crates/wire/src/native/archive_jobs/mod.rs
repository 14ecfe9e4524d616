//! Archives as jobs: a face set is written into a file, which is fetched; a file that was uploaded is enrolled.
//!
//! Both are done some thousand faces at a time, and how far they are stands in the payload, so a restart goes on where it was.
//! An export that died in the middle of a step writes that step again over what is there. An import that did knows its
//! faces again, as every import of the same archive does.
//!
//! [`exports`] makes archives, [`fetched`] hands them out, [`uploads`] takes them in, and [`imports`] enrols them.

mod exports;
mod fetched;
mod imports;
mod uploads;

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use likeness_domain::library::Library;
use likeness_domain::ports::{ArchiveId, ArchiveStore, Job};
use likeness_domain::types::{PackId, TenantId};
use likeness_domain::{Error, Kind};
use serde::Deserialize;

use super::dto;
use super::errors::NativeError;
use crate::http::codes::code_of;

pub(super) use exports::{Exports, export_later};
pub use fetched::erase_archives_of_deleted_sets;
pub(super) use fetched::{download, erase, tell_what_is_there};
pub(super) use imports::{Imports, so_far};
pub(super) use uploads::import_later;

type Answer = Result<Response, NativeError>;

/// The kind of jobs that make archives.
pub(super) const EXPORT: &str = "export-faces";

/// The kind of jobs that enrol archives.
pub(super) const IMPORT: &str = "import-faces";

/// Most jobs of either kind that wait, over all tenants.
const WAITING_MAX: u64 = 1000;

/// Stretches of [`likeness_domain::limits::ARCHIVE_FACES_MAX`] faces after which it is noted how far a job is.
const STEP: usize = 10;

/// Time for so many: writing them takes a second, and other writes may be in the way.
const LEASE: Duration = Duration::from_mins(15);

/// Pauses before further tries while the server is busy or its disk is full.
const WAITS: [Duration; 3] = [Duration::from_secs(2), Duration::from_secs(10), Duration::from_secs(60)];

/// Characters of a message that are kept of a line.
const MESSAGE_CHARS_MAX: usize = 200;

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

/// Numbers of a template of that pack.
fn dimensions(library: &Library, pack: &PackId) -> Result<usize, Error> {
    let packs = library.packs();
    packs.iter().find(|known| known.id == *pack).map(|pack| pack.dimensions).ok_or_else(|| {
        let known: Vec<String> = packs.iter().map(|pack| pack.id.to_string()).collect();
        Error::new(Kind::PackNotFound, format!("model pack `{pack}` is not loaded, but {}", known.join(", ")))
    })
}

/// What is told of a job that ends because of an error.
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

/// Erases the archives of a tenant that was deleted.
pub(super) async fn erase_all_of(archives: &Arc<dyn ArchiveStore>, tenant: TenantId) -> Result<(), Error> {
    stored(archives, move |archives| archives.erase_all_of(tenant)).await
}

/// How far a job of ours is; `None` for other jobs and in listings, which have no payloads.
pub(super) fn progress(job: &Job) -> Option<dto::JobProgress> {
    match job.kind.as_str() {
        EXPORT => exports::progress(job),
        IMPORT => imports::progress(job),
        _ => None,
    }
}

fn progress_in(unit: &str, n_done: u64, n_total: u64) -> dto::JobProgress {
    dto::JobProgress { n_done, n_total, unit: Some(unit.to_owned()) }
}
