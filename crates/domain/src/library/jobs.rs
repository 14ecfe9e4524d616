//! Doing work that outlives its request: claim, hand to a handler, settle, try again later.
//!
//! [`Jobs`] stands between the [`JobStore`] and those who use it: it is a `JobStore` itself, so whoever accepts work needs
//! to know nothing of workers, and it wakes the workers when there is something new. Start at [`Jobs::work`].
//!
//! No thread and no runtime is known here: one call of [`Jobs::work`] does one job at a time, and whoever assembles the
//! parts runs as many calls at once as jobs of that kind may be under way.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;

use bytes::Bytes;

use crate::ports::{Cancel, Clock, Job, JobOutcome, JobPage, JobStore, NewJob, Pending, Timer, UploadStore};
use crate::types::{JobId, JobLease, TenantId, TimestampMs};
use crate::{Error, Kind, Repeated, Result};

/// Longest rest of a worker. The notify wakes it at once for work that this process accepted; this is for work accepted
/// by others, for a clock that was set, and for a store that failed.
const REST_MAX: Duration = Duration::from_secs(30);

/// How often results whose time is over are erased. Nobody is shown one in between.
const FORGET_EVERY: Duration = Duration::from_secs(60);

/// How long a worker waits before it tells a store that has failed once more what became of a job.
const SETTLE_AGAIN: Duration = Duration::from_secs(5);

/// Longest wait for the end of what is under way of a job that was cancelled.
const CANCEL_WAIT_MAX: Duration = Duration::from_secs(10);

/// How the jobs of one kind are done.
#[derive(Debug, Clone, Copy)]
pub struct JobPlan {
    /// The kind.
    pub kind: &'static str,
    /// Most time a job may take. A run that is not done by then is dropped and counts as failed; a job whose process
    /// died is due again after this time.
    pub lease: Duration,
    /// How long to wait before each further try; after the last it is given up. `[]` for a single try.
    pub retries: &'static [Duration],
}

/// Knows how to do one kind of job.
///
/// Work happens at least once: a process may die after the work and before the settling.
pub trait JobHandler: Send + Sync {
    /// What kind of job it does, and how.
    fn plan(&self) -> JobPlan;

    /// Does the job. An error of a kind that [is retryable](Kind::is_retryable), or of ours ([`Kind::Internal`], also a
    /// panic), leads to a further try; [`Kind::JobDone`], with which writes in the job's name are refused once it is not this
    /// worker's any more, to nothing; any other is given up at once.
    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled>;

    /// What becomes of a job that is given up because of `error`: a result that says so, or nothing.
    fn give_up(&self, job: &Job, error: &Error) -> Settled;

    /// Called with each failed run, for the log, and when the store begins to fail: with the first failure of a kind, not with
    /// those of the workers that try again until it works.
    fn failed(&self, error: &Error);
}

/// What becomes of a job, and what is to be done next because of it.
pub struct Settled {
    /// What becomes of it.
    pub outcome: JobOutcome,
    /// Jobs accepted in the same commit.
    pub follow_ups: Vec<NewJob>,
}

impl From<JobOutcome> for Settled {
    /// Without follow-ups.
    fn from(outcome: JobOutcome) -> Self {
        Self { outcome, follow_ups: Vec::new() }
    }
}

/// The queue, and what wakes workers when there is something new in it.
pub struct Jobs {
    store: Arc<dyn JobStore>,
    clock: Arc<dyn Clock>,
    timer: Arc<dyn Timer>,
    notify: Notify,
    /// Whose job of each kind was begun last.
    served: Mutex<HashMap<&'static str, TenantId>>,
    under_way: Mutex<UnderWay>,
    /// Failures of the store.
    trouble: Mutex<Repeated>,
    /// Rings when something leaves `under_way`.
    ended: Notify,
}

/// What the workers of this process are at.
#[derive(Default)]
struct UnderWay {
    n_claims: u64,
    /// Claims that are not answered: each may be of any job.
    claims: BTreeSet<u64>,
    jobs: HashSet<JobLease>,
}

/// A claim, and the job that came of it, until it is settled.
struct Claimed<'a> {
    jobs: &'a Jobs,
    number: u64,
    job: Option<JobLease>,
}

impl<'a> Claimed<'a> {
    fn begin(jobs: &'a Jobs) -> Self {
        let mut under_way = jobs.under_way();
        under_way.n_claims += 1;
        let number = under_way.n_claims;
        under_way.claims.insert(number);
        Self { jobs, number, job: None }
    }

    fn answered(&mut self, job: Option<JobLease>) {
        let mut under_way = self.jobs.under_way();
        under_way.claims.remove(&self.number);
        under_way.jobs.extend(job);
        self.job = job;
        drop(under_way);
        self.jobs.ended.wake_all();
    }
}

impl Drop for Claimed<'_> {
    fn drop(&mut self) {
        let mut under_way = self.jobs.under_way();
        under_way.claims.remove(&self.number);
        if let Some(job) = self.job {
            under_way.jobs.remove(&job);
        }
        drop(under_way);
        self.jobs.ended.wake_all();
    }
}

impl Jobs {
    /// The queue in `store`. `timer` goes by `clock`.
    pub fn new(store: Arc<dyn JobStore>, clock: Arc<dyn Clock>, timer: Arc<dyn Timer>) -> Self {
        Self {
            store,
            clock,
            timer,
            notify: Notify::default(),
            served: Mutex::default(),
            under_way: Mutex::default(),
            trouble: Mutex::default(),
            ended: Notify::default(),
        }
    }

    /// Does jobs of the handler's kind, one at a time, until [`Jobs::stop`]; a job under way is finished first. Failures
    /// are the handler's to hear; they never end this.
    pub async fn work(&self, handler: &dyn JobHandler) {
        while !self.notify.is_stopped() {
            // Before looking, so that a job that comes while nothing was found is not slept through.
            let n_wakes = self.notify.n_wakes();
            let wake_at = match self.work_once(handler).await {
                Ok(true) => continue,
                Ok(false) => self.store.next_due(handler.plan().kind).await.unwrap_or_else(|error| {
                    self.store_failed(&error, |error| handler.failed(error));
                    None
                }),
                Err(error) => {
                    self.store_failed(&error, |error| handler.failed(error));
                    None
                }
            };
            let at_latest = later(self.clock.now(), REST_MAX);
            self.rest(n_wakes, wake_at.map_or(at_latest, |wake_at| wake_at.min(at_latest))).await;
        }
    }

    /// Erases results and pictures whose time is over, and takes over jobs that nobody is at, until [`Jobs::stop`]. `failed` is
    /// called when the store begins to fail, see [`JobHandler::failed`].
    pub async fn purge_in_time(&self, pictures: &dyn UploadStore, failed: &(dyn Fn(&Error) + Send + Sync)) {
        while !self.notify.is_stopped() {
            let now = self.clock.now();
            let failed = |error: &Error| self.store_failed(error, failed);
            for forgotten in [self.store.forget(now).await, pictures.purge_expired_uploads(now).await] {
                let _ = forgotten.inspect_err(failed);
            }
            let under_way = self.under_way().jobs.iter().copied().collect();
            if self.store.take_over(now, under_way).await.inspect_err(failed).is_ok_and(|n_jobs| n_jobs > 0) {
                self.notify.wake_all();
            }
            let next = later(now, FORGET_EVERY);
            while !self.notify.is_stopped() && self.clock.now() < next {
                self.rest(self.notify.n_wakes(), next).await;
            }
        }
    }

    /// Ends [`Jobs::work`] and [`Jobs::purge_in_time`] as soon as they have nothing under way.
    pub fn stop(&self) {
        self.notify.stop();
    }

    /// Does one job if one is due; whether there was one.
    async fn work_once(&self, handler: &dyn JobHandler) -> Result<bool> {
        let now = self.clock.now();
        let JobPlan { kind, lease, retries } = handler.plan();
        let lease_until = later(now, lease);
        let served = self.served().get(kind).copied();
        // Until it is settled, so that whoever cancels the job can wait for that.
        let mut claimed = Claimed::begin(self);
        let found = self.store.claim(kind, now, lease_until, served).await?;
        self.trouble().news(None);
        claimed.answered(found.as_ref().map(Job::lease));
        let Some(job) = found else { return Ok(false) };
        self.served().insert(kind, job.tenant);
        let n_tries_before = usize::try_from(job.n_attempts).unwrap_or(usize::MAX).saturating_sub(1);
        let settled = if n_tries_before > retries.len() {
            // Nobody settled the last try that was allowed: the job took its process with it, or the store did not answer.
            let error = Error::new(Kind::Internal, "the job was tried as often as it may be, and never settled");
            handler.failed(&error);
            handler.give_up(&job, &error)
        } else {
            match self.run_in_time(handler, &job, lease_until).await {
                Ok(settled) => settled,
                // It was cancelled, or is somebody else's by now.
                Err(error) if error.kind() == Kind::JobDone => return Ok(true),
                Err(error) => {
                    handler.failed(&error);
                    let may_pass = error.kind().is_retryable() || error.kind() == Kind::Internal;
                    match retries.get(n_tries_before) {
                        Some(&pause) if may_pass => JobOutcome::Again { due_at: later(self.clock.now(), pause) }.into(),
                        _ => handler.give_up(&job, &error),
                    }
                }
            }
        };
        self.settle_in_time(handler, job.lease(), settled).await
    }

    /// Settles a job, if need be when the store works again: until then nobody else could go on with it, nor this worker with
    /// another. Ends with the lease, or when the workers are stopped.
    async fn settle_in_time(&self, handler: &dyn JobHandler, lease: JobLease, settled: Settled) -> Result<bool> {
        loop {
            let n_wakes = self.notify.n_wakes();
            let tried = self.settle(lease, settled.outcome.clone(), settled.follow_ups.clone()).await;
            let now = self.clock.now();
            match tried {
                Err(error) if error.kind().is_retryable() && now < lease.until && !self.notify.is_stopped() => {
                    self.store_failed(&error, |error| handler.failed(error));
                    self.rest(n_wakes, later(now, SETTLE_AGAIN).min(lease.until)).await;
                }
                tried => return tried.map(|_| true),
            }
        }
    }

    fn under_way(&self) -> MutexGuard<'_, UnderWay> {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn trouble(&self) -> MutexGuard<'_, Repeated> {
        self.trouble.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells that the store fails, unless that was told since it worked last.
    fn store_failed(&self, error: &Error, tell: impl FnOnce(&Error)) {
        let is_news = self.trouble().news(Some(error)).is_some();
        if is_news {
            tell(error);
        }
    }

    /// Until no worker of this process is at the job, or could have claimed it before now; at most [`CANCEL_WAIT_MAX`].
    async fn end_of(&self, id: JobId) {
        let n_claims = self.under_way().n_claims;
        let until = later(self.clock.now(), CANCEL_WAIT_MAX);
        loop {
            let n_wakes = self.ended.n_wakes();
            let is_under_way = {
                let under_way = self.under_way();
                under_way.jobs.iter().any(|lease| lease.job == id)
                    || under_way.claims.range(..=n_claims).next().is_some()
            };
            if !is_under_way || self.clock.now() >= until {
                return;
            }
            first_of(self.ended.next_ring(n_wakes), self.timer.sleep_until(until)).await;
        }
    }

    fn served(&self) -> MutexGuard<'_, HashMap<&'static str, TenantId>> {
        self.served.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn run_in_time(&self, handler: &dyn JobHandler, job: &Job, lease_until: TimestampMs) -> Result<Settled> {
        let mut run = pin!(async { handler.run(job).await });
        let caught = poll_fn(|context| {
            // A bug in one handler must not end the worker, and with it every later job.
            catch_unwind(AssertUnwindSafe(|| run.as_mut().poll(context)))
                .unwrap_or_else(|_| Poll::Ready(Err(Error::new(Kind::Internal, "the handler of the job panicked"))))
        });
        let too_late = async {
            while self.clock.now() < lease_until {
                self.timer.sleep_until(lease_until).await;
            }
        };
        first_of(caught, too_late).await.unwrap_or_else(|| {
            let message = format!("the job `{}` took longer than {} s", job.kind, handler.plan().lease.as_secs());
            Err(Error::new(Kind::Internal, message))
        })
    }

    /// Until there is something new or the time comes; may end earlier.
    async fn rest(&self, n_wakes: u64, until: TimestampMs) {
        first_of(self.notify.next_ring(n_wakes), self.timer.sleep_until(until)).await;
    }
}

impl JobStore for Jobs {
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>> {
        // Handed over now, so that dropping the future changes nothing; if it is dropped, nobody is woken and the job is
        // found after a rest.
        let enqueued = self.store.enqueue(jobs, waiting_max);
        Box::pin(async move {
            let ids = enqueued.await?;
            self.notify.wake_all();
            Ok(ids)
        })
    }

    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        lease_until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>> {
        self.store.claim(kind, now, lease_until, served)
    }

    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool> {
        let is_news =
            !follow_ups.is_empty() || matches!(outcome, JobOutcome::Again { .. } | JobOutcome::Continue { .. });
        let settled = self.store.settle(lease, outcome, follow_ups);
        Box::pin(async move {
            let settled = settled.await?;
            if settled && is_news {
                self.notify.wake_all();
            }
            Ok(settled)
        })
    }

    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>> {
        self.store.job(tenant, id, now)
    }

    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage> {
        self.store.jobs(tenant, from, limit, now)
    }

    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        only_unbegun: bool,
        expires_at: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel> {
        let cancelled = self.store.cancel(tenant, id, only_unbegun, expires_at, so_far);
        Box::pin(async move {
            let cancelled = cancelled.await?;
            if cancelled == Cancel::Done {
                // What it was doing is part of what it has done, and nothing comes after this answer.
                self.end_of(id).await;
            }
            Ok(cancelled)
        })
    }

    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>> {
        self.store.next_due(kind)
    }

    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.store.void_leases(now)
    }

    fn take_over(&self, now: TimestampMs, under_way: Vec<JobLease>) -> Pending<'_, u64> {
        self.store.take_over(now, under_way)
    }

    fn forget(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.store.forget(now)
    }
}

fn later(now: TimestampMs, by: Duration) -> TimestampMs {
    TimestampMs(now.0.saturating_add(i64::try_from(by.as_millis()).unwrap_or(i64::MAX)))
}

/// What `one` gives, or `None` if `other` is ready before it.
async fn first_of<T>(one: impl Future<Output = T>, other: impl Future) -> Option<T> {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|context| match one.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => other.as_mut().poll(context).map(|_| None),
    })
    .await
}

/// Wakes everybody who rests. Calls are counted, so one that comes between looking and resting is not missed.
#[derive(Default)]
struct Notify(Mutex<NotifyState>);

#[derive(Default)]
struct NotifyState {
    n_wakes: u64,
    stopped: bool,
    waiting: Vec<Waker>,
}

impl Notify {
    fn state(&self) -> MutexGuard<'_, NotifyState> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wake_all(&self) {
        self.change(|state| state.n_wakes += 1);
    }

    fn stop(&self) {
        self.change(|state| state.stopped = true);
    }

    fn change(&self, act: impl FnOnce(&mut NotifyState)) {
        let waiting = {
            let mut state = self.state();
            act(&mut state);
            std::mem::take(&mut state.waiting)
        };
        waiting.into_iter().for_each(Waker::wake);
    }

    fn n_wakes(&self) -> u64 {
        self.state().n_wakes
    }

    fn is_stopped(&self) -> bool {
        self.state().stopped
    }

    /// Ready when it has rung more often than that, or for the last time.
    async fn next_ring(&self, n_wakes: u64) {
        poll_fn(|context: &mut Context<'_>| {
            let mut state = self.state();
            if state.stopped || state.n_wakes != n_wakes {
                return Poll::Ready(());
            }
            if !state.waiting.iter().any(|waker| waker.will_wake(context.waker())) {
                state.waiting.push(context.waker().clone());
            }
            Poll::Pending
        })
        .await;
    }
}
