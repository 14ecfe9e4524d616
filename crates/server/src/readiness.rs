//! Whether the server can do its work: looks at its parts when `/readyz` or `GET /likeness/v1/status` asks.

use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use likeness_domain::library::Library;
use likeness_domain::ports::{AnalyzerLoad, GalleryStore, OutsideHealth, OutsideTrouble, StoreHealth, VectorIndex};
use likeness_wire::{PartHealth, PartState, Readiness};
use rustix::fs::StatVfsMountFlags;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use tokio::sync::Notify;
use tokio::time::Instant;

/// How long a trial write, or a question about the disk, may take. A store that is slower does not keep up.
const LOOK_MAX: Duration = Duration::from_secs(5);

/// How long whoever asks waits for it: a balancer that asks every second wants an answer within one.
const ANSWER_MAX: Duration = Duration::from_millis(700);

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
    writes: Asked,
    disk: Asked,
    data: PathBuf,
    /// Free bytes below which somebody should make room.
    low_bytes: u64,
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
        let (writes, disk) =
            (Asked::of("nothing was written"), Asked::of("the disk of the data folder does not answer"));
        Arc::new(Self { store, index, library, writes, disk, data: data.to_owned(), low_bytes })
    }

    /// How they are now. A trial write is made for it, at most once a second.
    pub(crate) async fn look(self: Arc<Self>) -> Readiness {
        let (store, disk) = tokio::join!(
            self.writes.look(Duration::ZERO, || trial_write(Arc::clone(&self.store))),
            // A disk that has recovered is not called full any longer than it is.
            self.disk.look(DISK_PAUSE, || disk_now(self.data.clone(), self.low_bytes)),
        );
        let health = self.store.health();
        // What is known without a trial needs none to end.
        let store = if health.write_failure.is_some() { store_health(&health) } else { store };
        let index = match self.index.revision() {
            Some(_) => health.outside.as_ref().map_or(PartHealth::OK, outside_health),
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

/// What is searched in a service of its own: without it the other face sets go on.
fn outside_health(health: &OutsideHealth) -> PartHealth {
    let OutsideHealth { name, n_sets, n_sets_refused, n_commits_behind, n_faces_behind, .. } = health;
    if let Some(OutsideTrouble { since, why, cure }) = &health.trouble {
        let state = if cure.is_some() { "cannot be used the way it is set" } else { "does not answer" };
        let cure = cure.map_or(String::new(), |cure| format!("; {cure}"));
        let since = OffsetDateTime::from_unix_timestamp(since.0.div_euclid(1000)).unwrap_or(OffsetDateTime::UNIX_EPOCH);
        let since = since.format(&Rfc3339).unwrap_or_default();
        return PartHealth::degraded(format!(
            "{name} {state} since {since} ({why}): searches in its face sets ({n_sets}) are refused, {n_commits_behind} \
             commits with {n_faces_behind} of their faces wait for it{cure}"
        ));
    }
    match n_sets_refused {
        0 => PartHealth::OK,
        n => PartHealth::degraded(format!(
            "face sets are copied to {name} anew ({n}), their searches are refused meanwhile"
        )),
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

/// Writes something that changes nothing.
async fn trial_write(store: Arc<dyn GalleryStore>) -> PartHealth {
    let written = store.probe_writes().await;
    let health = store.health();
    match written {
        _ if health.write_failure.is_some() => store_health(&health),
        Ok(()) => store_health(&health),
        Err(error) if error.kind() == likeness_domain::Kind::Overloaded => {
            PartHealth::degraded("too many writes are waiting")
        }
        Err(error) => PartHealth::failed(error.message()),
    }
}

/// The file system of the data folder. One on a network may never answer.
async fn disk_now(data: PathBuf, low_bytes: u64) -> PartHealth {
    match tokio::task::spawn_blocking(move || rustix::fs::statvfs(&data)).await {
        Ok(Ok(disk)) => {
            let is_read_only = disk.f_flag.contains(StatVfsMountFlags::RDONLY);
            disk_health(disk.f_bavail.saturating_mul(disk.f_frsize), low_bytes, is_read_only)
        }
        Ok(Err(error)) => PartHealth::failed(format!("the data folder cannot be looked at: {error}")),
        Err(error) => PartHealth::failed(format!("the data folder cannot be looked at: {error}")),
    }
}

/// A question that may take long, and is asked once at a time however many want to know. It goes on when they have gone.
struct Asked {
    /// What it is like when the answer does not come.
    silent: &'static str,
    last: Arc<Mutex<Answered>>,
    has_ended: Arc<Notify>,
}

/// What was answered last.
#[derive(Default)]
struct Answered {
    at: Option<Instant>,
    health: PartHealth,
    /// Since when the next answer is waited for.
    since: Option<Instant>,
}

impl Asked {
    fn of(silent: &'static str) -> Self {
        Self { silent, last: Arc::default(), has_ended: Arc::default() }
    }

    /// How it is, within [`ANSWER_MAX`]: the answer that is waited for or, until that is overdue, the one before. One that is good is
    /// repeated for `pause`.
    async fn look<F>(&self, pause: Duration, ask: impl FnOnce() -> F) -> PartHealth
    where
        F: Future<Output = PartHealth> + Send + 'static,
    {
        let mut ended = std::pin::pin!(self.has_ended.notified());
        ended.as_mut().enable();
        {
            let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
            if last.health.state != PartState::Failed && last.at.is_some_and(|at| at.elapsed() < pause) {
                return last.health.clone();
            }
            if last.since.is_none() {
                last.since = Some(Instant::now());
                let (asking, answered, has_ended) = (ask(), Arc::clone(&self.last), Arc::clone(&self.has_ended));
                tokio::spawn(async move {
                    let health = asking.await;
                    let answer = Answered { at: Some(Instant::now()), health, since: None };
                    *answered.lock().unwrap_or_else(PoisonError::into_inner) = answer;
                    has_ended.notify_waiters();
                });
            }
        }
        let _ = tokio::time::timeout(ANSWER_MAX, ended).await;
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = last.since.map_or(Duration::ZERO, |since| since.elapsed());
        if waited >= LOOK_MAX {
            return PartHealth::failed(format!("{} within {} s", self.silent, LOOK_MAX.as_secs()));
        }
        match (last.at, last.health.state) {
            (None, _) | (_, PartState::Ok) if last.since.is_some() && waited >= ANSWER_MAX => {
                PartHealth::degraded(format!("{} for {} ms", self.silent, waited.as_millis()))
            }
            _ => last.health.clone(),
        }
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
    use likeness_domain::types::TimestampMs;

    use super::*;

    /// Issue 17: `/readyz` took 5 s while the database was away.
    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_come_is_not_waited_for() {
        let asked = Asked::of("nothing was written");
        let began = Instant::now();
        let never = || std::future::pending::<PartHealth>();
        let looks = (0..20).map(|_| asked.look(Duration::ZERO, never));
        for health in futures_of(looks).await {
            assert_eq!(health, PartHealth::degraded("nothing was written for 700 ms"));
        }
        assert_eq!(began.elapsed(), ANSWER_MAX, "all of them wait for one answer");
        assert_eq!(asked.last.lock().unwrap().at, None);
        // Overdue.
        tokio::time::advance(LOOK_MAX).await;
        let overdue = asked.look(Duration::ZERO, never).await;
        assert_eq!(overdue, PartHealth::failed("nothing was written within 5 s"));
        // An answer that is good is repeated for as long as that is asked for.
        let asked = Asked::of("");
        let low = || std::future::ready(PartHealth::degraded("low"));
        assert_eq!(asked.look(LOOK_MAX, low).await, PartHealth::degraded("low"));
        assert_eq!(asked.look(LOOK_MAX, never).await, PartHealth::degraded("low"));
        assert_eq!(
            asked.look(Duration::ZERO, || std::future::ready(PartHealth::failed("full"))).await.state,
            PartState::Failed
        );
        assert_eq!(asked.look(LOOK_MAX, || std::future::ready(PartHealth::OK)).await, PartHealth::OK);
    }

    async fn futures_of<F: Future>(looks: impl Iterator<Item = F>) -> Vec<F::Output> {
        let mut looks: Vec<_> = looks.map(|look| (Box::pin(look), None)).collect();
        std::future::poll_fn(|context| {
            for (look, found) in looks.iter_mut().filter(|(_, found)| found.is_none()) {
                if let std::task::Poll::Ready(answer) = look.as_mut().poll(context) {
                    *found = Some(answer);
                }
            }
            match looks.iter().all(|(_, found)| found.is_some()) {
                true => std::task::Poll::Ready(()),
                false => std::task::Poll::Pending,
            }
        })
        .await;
        looks.into_iter().filter_map(|(_, found)| found).collect()
    }

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
    fn a_service_that_is_away_is_named_and_the_server_goes_on() {
        let away = OutsideHealth { name: "Milvus", n_sets: 2, n_commits_behind: 1, ..OutsideHealth::default() };
        assert_eq!(outside_health(&away), PartHealth::OK, "one commit is no trouble");
        let why = "cannot connect: Connection refused".to_owned();
        let mut trouble = OutsideTrouble { since: TimestampMs(0), why, cure: None };
        let told = outside_health(&OutsideHealth { trouble: Some(trouble.clone()), ..away.clone() });
        assert_eq!(told.state, PartState::Degraded);
        let expected = "Milvus does not answer since 1970-01-01T00:00:00Z (cannot connect: Connection refused): searches \
                        in its face sets (2) are refused, 1 commits with 0 of their faces wait for it";
        assert_eq!(told.reason.as_deref(), Some(expected));
        trouble.cure = Some("correct it");
        let told = outside_health(&OutsideHealth { trouble: Some(trouble), ..away.clone() }).reason.unwrap();
        assert!(told.starts_with("Milvus cannot be used the way it is set since") && told.ends_with("; correct it"));
        let refused = outside_health(&OutsideHealth { n_sets_refused: 1, ..away });
        let expected = "face sets are copied to Milvus anew (1), their searches are refused meanwhile";
        assert_eq!(refused.reason.as_deref(), Some(expected));
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
