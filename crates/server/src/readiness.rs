//! Whether the server can do its work: looks at its parts when `/readyz` or `GET /likeness/v1/status` asks.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use likeness_domain::library::Library;
use likeness_domain::ports::{AnalyzerLoad, GalleryStore, StoreHealth, VectorIndex};
use likeness_wire::{PartHealth, PartState, Readiness};
use rustix::fs::{StatVfs, StatVfsMountFlags};
use tokio::task::JoinHandle;

/// How long a trial write, or a question about the disk, is waited for. A store that is slower does not keep up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// Pause between two questions about the disk: answers in between are repeated.
const DISK_PAUSE: Duration = Duration::from_secs(1);

/// Free bytes below which hardly anything can be written.
const FULL_BYTES: u64 = 1 << 20;

/// Free bytes below which somebody should make room, where the reserve is not larger.
const LOW_BYTES: u64 = 64 << 20;

/// What is looked at.
pub(crate) struct Parts {
    store: Arc<dyn GalleryStore>,
    index: Arc<dyn VectorIndex>,
    library: Arc<Library>,
    disk: Arc<Disk>,
}

impl Parts {
    /// The parts of a server whose data folder is `data`, which keeps `reserve_bytes` of room for deletes.
    pub(crate) fn new(
        store: Arc<dyn GalleryStore>,
        index: Arc<dyn VectorIndex>,
        library: Arc<Library>,
        data: &Path,
        reserve_bytes: u64,
    ) -> Arc<Self> {
        let low_bytes = reserve_bytes.max(LOW_BYTES);
        let disk = Disk { data: data.to_owned(), low_bytes, last: tokio::sync::Mutex::default() };
        Arc::new(Self { store, index, library, disk: Arc::new(disk) })
    }

    /// How they are now. A trial write is made for it, at most once a second.
    pub(crate) async fn look(self: Arc<Self>) -> Readiness {
        let (written, disk) = tokio::join!(tokio::time::timeout(LOOK_MAX, self.store.probe_writes()), self.disk.look());
        let health = self.store.health();
        let store = match written {
            _ if health.write_failure.is_some() => store_health(&health),
            Ok(Ok(())) => store_health(&health),
            Ok(Err(error)) if error.kind() == likeness_domain::Kind::Overloaded => {
                PartHealth::degraded("too many writes are waiting")
            }
            Ok(Err(error)) => PartHealth::failed(error.message()),
            Err(_) => PartHealth::failed(format!("nothing was written within {} s", LOOK_MAX.as_secs())),
        };
        let index = match self.index.revision() {
            Some(_) => PartHealth::OK,
            None => PartHealth::failed("the index is filled anew, searches are refused meanwhile"),
        };
        Readiness {
            refusal: None,
            store,
            index,
            pipeline: pipeline_health(self.library.packs().len(), self.library.analyzer_load()),
            disk,
            n_rows_set_aside: health.n_rows_set_aside,
            n_other_damage: health.n_other_damage,
            n_losses: health.n_losses,
            scrub: health.scrub,
        }
    }

    /// The same as something to be called.
    pub(crate) fn check(self: &Arc<Self>) -> impl Fn() -> Pin<Box<dyn Future<Output = Readiness> + Send>> + use<> {
        let parts = Arc::clone(self);
        move || Box::pin(Arc::clone(&parts).look())
    }
}

fn store_health(health: &StoreHealth) -> PartHealth {
    if let Some(reason) = &health.write_failure {
        return PartHealth::failed(reason);
    }
    let counts = [
        (health.n_rows_set_aside, "damaged rows are set aside"),
        (health.n_other_damage, "other things are damaged"),
        (health.n_losses, "times acknowledged commits went missing"),
    ];
    let found: Vec<_> = counts.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")).collect();
    match found.is_empty() {
        true => PartHealth::OK,
        false => PartHealth::degraded(format!("{}; `likeness check` names them", found.join(", "))),
    }
}

fn pipeline_health(n_packs: usize, load: AnalyzerLoad) -> PartHealth {
    let AnalyzerLoad { n_workers, n_ended, n_queued, queue_max, .. } = load;
    if n_packs == 0 {
        PartHealth::failed("no model pack is loaded")
    } else if n_workers > 0 && n_ended >= n_workers {
        PartHealth::failed("the threads that analyse images have ended")
    } else if n_ended > 0 {
        PartHealth::degraded(format!("{n_ended} of {n_workers} threads that analyse images have ended"))
    } else if n_queued > 0 && n_queued >= queue_max {
        PartHealth::degraded(format!("{n_queued} images wait for analysis, as many as may"))
    } else {
        PartHealth::OK
    }
}

/// The file system of the data folder.
struct Disk {
    data: PathBuf,
    /// Free bytes below which somebody should make room.
    low_bytes: u64,
    last: tokio::sync::Mutex<DiskAnswer>,
}

/// What the disk answered last.
#[derive(Default)]
struct DiskAnswer {
    at: Option<Instant>,
    health: PartHealth,
    /// A question that it has not answered: a file system on a network may never do so.
    waiting: Option<JoinHandle<rustix::io::Result<StatVfs>>>,
}

impl Disk {
    async fn look(&self) -> PartHealth {
        let mut last = self.last.lock().await;
        // A disk that has recovered is not called full any longer than it is.
        let is_fresh = last.health.state != PartState::Failed && last.at.is_some_and(|at| at.elapsed() < DISK_PAUSE);
        let is_silent = last.waiting.as_ref().is_some_and(|waiting| !waiting.is_finished());
        if is_fresh || is_silent {
            return last.health.clone();
        }
        // Kept while it is waited for, so that whoever asks and hangs up does not start one question after the other.
        last.health = PartHealth::failed("the disk of the data folder does not answer");
        let data = self.data.clone();
        let asked = last.waiting.insert(tokio::task::spawn_blocking(move || rustix::fs::statvfs(&data)));
        if let Ok(answer) = tokio::time::timeout(LOOK_MAX, asked).await {
            last.waiting = None;
            last.at = Some(Instant::now());
            last.health = match answer {
                Ok(Ok(disk)) => {
                    let is_read_only = disk.f_flag.contains(StatVfsMountFlags::RDONLY);
                    disk_health(disk.f_bavail.saturating_mul(disk.f_frsize), self.low_bytes, is_read_only)
                }
                Ok(Err(error)) => PartHealth::failed(format!("the data folder cannot be looked at: {error}")),
                Err(error) => PartHealth::failed(format!("the data folder cannot be looked at: {error}")),
            };
        }
        last.health.clone()
    }
}

fn disk_health(free_bytes: u64, low_bytes: u64, is_read_only: bool) -> PartHealth {
    let (free_mib, low_mib) = (free_bytes >> 20, low_bytes >> 20);
    if is_read_only {
        PartHealth::failed("the disk of the data folder is read-only")
    } else if free_bytes < FULL_BYTES {
        PartHealth::failed("the disk of the data folder is full")
    } else if free_bytes < low_bytes {
        PartHealth::degraded(format!("{free_mib} MiB are free, expected at least {low_mib} MiB"))
    } else {
        PartHealth::OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_low_before_it_is_full() {
        let state = |free_bytes, is_read_only| disk_health(free_bytes, 64 << 20, is_read_only).state;
        assert_eq!(state(u64::MAX, false), PartState::Ok);
        assert_eq!(state(64 << 20, false), PartState::Ok);
        assert_eq!(state((64 << 20) - 1, false), PartState::Degraded);
        assert_eq!(state((1 << 20) - 1, false), PartState::Failed);
        assert_eq!(state(u64::MAX, true), PartState::Failed);
    }

    #[test]
    fn a_pipeline_without_threads_or_packs_has_failed_and_a_full_one_is_busy() {
        let load = AnalyzerLoad { n_workers: 2, queue_max: 3, ..AnalyzerLoad::default() };
        assert_eq!(pipeline_health(1, load), PartHealth::OK);
        assert_eq!(pipeline_health(0, load).state, PartState::Failed);
        assert_eq!(pipeline_health(1, AnalyzerLoad { n_ended: 1, ..load }).state, PartState::Degraded);
        assert_eq!(pipeline_health(1, AnalyzerLoad { n_ended: 2, ..load }).state, PartState::Failed);
        assert_eq!(pipeline_health(1, AnalyzerLoad { n_queued: 2, ..load }).state, PartState::Ok);
        assert_eq!(pipeline_health(1, AnalyzerLoad { n_queued: 3, ..load }).state, PartState::Degraded);
    }

    #[test]
    fn a_store_says_what_is_damaged_and_why_it_does_not_write() {
        let damaged = StoreHealth { n_rows_set_aside: 2, n_losses: 1, ..StoreHealth::default() };
        let told = store_health(&damaged);
        assert_eq!(told.state, PartState::Degraded);
        let expected =
            "2 damaged rows are set aside, 1 times acknowledged commits went missing; `likeness check` names them";
        assert_eq!(told.reason.as_deref(), Some(expected));
        let full = StoreHealth { write_failure: Some("full".into()), ..damaged };
        assert_eq!(store_health(&full), PartHealth::failed("full"));
        assert_eq!(store_health(&StoreHealth::default()), PartHealth::OK);
    }
}
