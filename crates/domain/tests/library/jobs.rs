//! Workers over the in-memory store, by a clock that stands still: a turn drives them until all of them rest.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Poll, Waker};
use std::time::Duration;

use bytes::Bytes;
use likeness_domain::library::jobs::{JobHandler, JobPlan, Jobs, Settled};
use likeness_domain::ports::{Cancel, Clock, Job, JobOutcome, JobPage, JobStore, NewJob, Pending};
use likeness_domain::types::{JobId, JobLease, TenantId, TimestampMs};
use likeness_domain::{Error, Kind};
use likeness_store::memory::MemoryStore;
use likeness_testkit::{BruteForceIndex, FakeClock, TaskDriver, Worker, block_on};

const LEASE: Duration = Duration::from_secs(10);
const RETRIES: [Duration; 2] = [Duration::from_secs(1), Duration::from_secs(60)];

/// What a run does.
#[derive(Clone, Copy)]
enum Run {
    Done,
    DoneAndMore(&'static str),
    Fails(Kind),
    Panics,
    Hangs,
    /// Goes on when it is told to, once.
    Waits,
}

/// Does as it is told, and remembers what it did.
struct Script {
    kind: &'static str,
    runs: Mutex<VecDeque<Run>>,
    told: Mutex<Vec<String>>,
    may_end: AtomicBool,
    waiting: Mutex<Option<Waker>>,
}

impl Script {
    fn new(kind: &'static str, runs: &[Run]) -> Self {
        let runs = Mutex::new(runs.iter().copied().collect());
        Self { kind, runs, told: Mutex::default(), may_end: AtomicBool::new(false), waiting: Mutex::default() }
    }

    fn let_end(&self) {
        self.may_end.store(true, Ordering::SeqCst);
        self.waiting.lock().unwrap().take().into_iter().for_each(Waker::wake);
    }

    fn tell(&self, line: String) {
        self.told.lock().unwrap().push(line);
    }

    /// What happened since this was asked last.
    #[track_caller]
    fn check(&self, expected: &[&str]) {
        assert_eq!(std::mem::take(&mut *self.told.lock().unwrap()), expected);
    }
}

impl JobHandler for Script {
    fn plan(&self) -> JobPlan {
        JobPlan { kind: self.kind, lease: LEASE, retries: &RETRIES }
    }

    fn run<'a>(&'a self, job: &'a Job) -> Pending<'a, Settled> {
        self.tell(format!("run {}", job.id));
        let run = self.runs.lock().unwrap().pop_front().unwrap_or(Run::Done);
        let outcome = JobOutcome::Done { result: "done".into(), expires_at: TimestampMs(1_000_000) };
        match run {
            Run::Done => Box::pin(async { Ok(outcome.into()) }),
            Run::DoneAndMore(kind) => {
                let follow_ups = vec![NewJob { kind, ..job_due(job.id.get() + 1, 0) }];
                Box::pin(async { Ok(Settled { outcome, follow_ups }) })
            }
            Run::Fails(kind) => Box::pin(async move { Err(Error::new(kind, "it does not work")) }),
            Run::Panics => panic!("a bug in the handler"),
            Run::Hangs => Box::pin(std::future::pending()),
            Run::Waits => Box::pin(std::future::poll_fn(move |context| {
                *self.waiting.lock().unwrap() = Some(context.waker().clone());
                match self.may_end.load(Ordering::SeqCst) {
                    true => Poll::Ready(Ok(outcome.clone().into())),
                    false => Poll::Pending,
                }
            })),
        }
    }

    fn give_up(&self, job: &Job, error: &Error) -> Settled {
        self.tell(format!("give up {} after {}: {error}", job.id, job.n_attempts));
        let result = Bytes::from("given up");
        JobOutcome::Done { result, expires_at: TimestampMs(1_000_000) }.into()
    }

    fn failed(&self, error: &Error) {
        self.tell(format!("failed: {error}"));
    }
}

fn job_due(number: u64, due_at: i64) -> NewJob {
    NewJob {
        id: JobId::new(number).unwrap(),
        tenant: TenantId::from_bits(1),
        key: None,
        kind: "scan",
        payload: Bytes::new(),
        due_at: TimestampMs(due_at),
        created_at: TimestampMs(0),
    }
}

struct Desk {
    store: Arc<MemoryStore>,
    clock: Arc<FakeClock>,
    jobs: Jobs,
}

impl Desk {
    fn new() -> Self {
        let store = Arc::new(MemoryStore::open(Arc::new(BruteForceIndex::default())));
        let clock = Arc::new(FakeClock::new(0));
        let jobs = Jobs::new(store.clone(), clock.clone(), clock.clone());
        Self { store, clock, jobs }
    }

    fn enqueue(&self, jobs: Vec<NewJob>) {
        block_on(self.jobs.enqueue(jobs, 100)).unwrap();
    }

    fn result_of(&self, number: u64) -> Option<Bytes> {
        let id = JobId::new(number).unwrap();
        block_on(self.jobs.job(TenantId::from_bits(1), id, self.clock.now())).unwrap().and_then(|job| job.result)
    }

    fn advance(&self, ms: u64) {
        self.clock.advance(Duration::from_millis(ms));
    }
}

#[test]
fn a_new_job_wakes_a_resting_worker() {
    let desk = Desk::new();
    let script = Script::new("scan", &[]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    script.check(&[]);
    desk.enqueue(vec![job_due(1, 0), job_due(2, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1", "run 2"]);
    assert_eq!(desk.result_of(1).unwrap(), "done");
}

/// It rests exactly until then, with no tick in between.
#[test]
fn a_job_is_done_when_it_is_due() {
    let desk = Desk::new();
    let script = Script::new("scan", &[]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 5_000), job_due(2, 3_000)]);
    tasks.run_until_stalled();
    desk.advance(2_999);
    tasks.run_until_stalled();
    script.check(&[]);
    desk.advance(1);
    tasks.run_until_stalled();
    script.check(&["run 2"]);
    desk.advance(2_000);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
}

#[test]
fn a_failed_job_is_tried_again_after_its_pauses_and_then_given_up() {
    let desk = Desk::new();
    let fails = Run::Fails(Kind::UrlUnreachable);
    let script = Script::new("scan", &[fails, fails, fails, fails]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1", "failed: it does not work"]);
    desk.advance(999);
    tasks.run_until_stalled();
    script.check(&[]);
    desk.advance(1);
    tasks.run_until_stalled();
    script.check(&["run 1", "failed: it does not work"]);
    desk.advance(59_999);
    tasks.run_until_stalled();
    script.check(&[]);
    desk.advance(1);
    tasks.run_until_stalled();
    script.check(&["run 1", "failed: it does not work", "give up 1 after 3: it does not work"]);
    assert_eq!(desk.result_of(1).unwrap(), "given up");
    desk.advance(900_000);
    tasks.run_until_stalled();
    script.check(&[]);
}

/// Whoever has cancelled a job knows that nothing comes of it any more.
#[test]
fn a_cancelled_job_has_ended_when_that_is_answered() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Waits, Run::Hangs]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 0), job_due(2, 0), job_due(3, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
    let cancel = |number| {
        desk.jobs.cancel(TenantId::from_bits(1), JobId::new(number).unwrap(), false, TimestampMs(99_000), Bytes::new())
    };
    // The worker is at another one.
    assert_eq!(block_on(cancel(3)).unwrap(), Cancel::Done);

    let answered = std::cell::Cell::new(None);
    let mut asked = TaskDriver::of_one(async { answered.set(Some(cancel(1).await.unwrap())) });
    asked.run_until_stalled();
    assert_eq!(answered.get(), None);
    script.let_end();
    tasks.run_until_stalled();
    asked.run_until_stalled();
    assert_eq!(answered.get(), Some(Cancel::Done));

    // One that does not end is not waited for without bound.
    script.check(&["run 2"]);
    let answered = std::cell::Cell::new(None);
    let mut asked = TaskDriver::of_one(async { answered.set(Some(cancel(2).await.unwrap())) });
    asked.run_until_stalled();
    assert_eq!(answered.get(), None);
    desk.advance(10_000);
    asked.run_until_stalled();
    assert_eq!(answered.get(), Some(Cancel::Done));
}

/// What cannot get better by waiting is not tried again.
#[test]
fn a_hopeless_job_is_given_up_at_once() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Fails(Kind::ImageCorrupt)]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1", "failed: it does not work", "give up 1 after 1: it does not work"]);
}

#[test]
fn a_panicking_handler_ends_neither_its_job_nor_the_worker() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Panics, Run::Done]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1", "failed: the handler of the job panicked"]);
    desk.advance(1_000);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
    assert_eq!(desk.result_of(1).unwrap(), "done");
}

/// Another worker could claim it from then on, so this one lets go.
#[test]
fn a_run_ends_with_its_lease() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Hangs, Run::Done]);
    let mut tasks = TaskDriver::of_one(desk.jobs.work(&script));
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    desk.advance(9_999);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
    desk.advance(1);
    tasks.run_until_stalled();
    script.check(&["failed: the job `scan` took longer than 10 s"]);
    desk.advance(1_000);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
    assert_eq!(desk.result_of(1).unwrap(), "done");
}

/// A process died with it, as often as it may be tried.
#[test]
fn a_job_that_kills_its_workers_is_given_up() {
    let desk = Desk::new();
    let script = Script::new("scan", &[]);
    desk.enqueue(vec![job_due(1, 0)]);
    for try_idx in 0..3 {
        let now = TimestampMs(try_idx * 10_000);
        let claimed = block_on(desk.store.claim("scan", now, TimestampMs(now.0 + 10_000), None)).unwrap();
        assert!(claimed.is_some(), "try {try_idx}");
    }
    desk.advance(30_000);
    TaskDriver::of_one(desk.jobs.work(&script));
    let error = "the job was tried as often as it may be, and never settled";
    script.check(&[&format!("failed: {error}"), &format!("give up 1 after 4: {error}")]);
    assert_eq!(desk.result_of(1).unwrap(), "given up");
}

#[test]
fn follow_ups_wake_the_workers_of_their_kind() {
    let desk = Desk::new();
    let scan = Script::new("scan", &[Run::DoneAndMore("callback")]);
    let callback = Script::new("callback", &[]);
    let workers: [Worker<'_>; 2] = [Box::pin(desk.jobs.work(&callback)), Box::pin(desk.jobs.work(&scan))];
    let mut tasks = TaskDriver::of(workers);
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    scan.check(&["run 1"]);
    callback.check(&["run 2"]);
}

/// As many jobs are under way as there are workers.
#[test]
fn each_worker_does_one_job_at_a_time() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Hangs, Run::Hangs, Run::Hangs]);
    let workers: [Worker<'_>; 2] = [Box::pin(desk.jobs.work(&script)), Box::pin(desk.jobs.work(&script))];
    let mut tasks = TaskDriver::of(workers);
    desk.enqueue(vec![job_due(1, 0), job_due(2, 0), job_due(3, 0)]);
    tasks.run_until_stalled();
    script.check(&["run 1", "run 2"]);
}

/// No job is begun any more, the one under way is finished.
#[test]
fn a_stopped_worker_finishes_what_it_has_begun() {
    let desk = Desk::new();
    let script = Script::new("scan", &[Run::Hangs, Run::Done]);
    let failed = |error: &Error| panic!("{error}");
    let workers: [Worker<'_>; 3] = [
        Box::pin(desk.jobs.work(&script)),
        Box::pin(desk.jobs.work(&script)),
        Box::pin(desk.jobs.purge_in_time(&*desk.store, &failed)),
    ];
    let mut tasks = TaskDriver::of(workers);
    desk.enqueue(vec![job_due(1, 0)]);
    tasks.run_until_stalled();
    desk.jobs.stop();
    desk.enqueue(vec![job_due(2, 0)]);
    assert_eq!(tasks.run_until_stalled(), 1, "one job is under way");
    desk.advance(10_000);
    assert_eq!(tasks.run_until_stalled(), 0);
    script.check(&["run 1", "failed: the job `scan` took longer than 10 s"]);
}

/// Within a minute, whatever else goes on.
#[test]
fn results_are_erased_when_their_time_is_over() {
    let desk = Desk::new();
    let failed = |error: &Error| panic!("{error}");
    let mut tasks = TaskDriver::of_one(desk.jobs.purge_in_time(&*desk.store, &failed));
    desk.enqueue(vec![job_due(1, 0)]);
    let outcome = JobOutcome::Done { result: "done".into(), expires_at: TimestampMs(30_000) };
    let lease = JobLease { job: JobId::new(1).unwrap(), until: TimestampMs(0) };
    assert!(block_on(desk.jobs.settle(lease, outcome, vec![])).unwrap());
    // At a time when it was not forgotten: only erasing hides it.
    let is_stored = || {
        let found = block_on(desk.store.job(TenantId::from_bits(1), JobId::new(1).unwrap(), TimestampMs(0)));
        found.unwrap().is_some()
    };
    desk.advance(59_999);
    tasks.run_until_stalled();
    assert!(is_stored());
    desk.advance(1);
    tasks.run_until_stalled();
    assert!(!is_stored());
}

/// A store that fails so many claims and then so many times to settle, and in which whoever has begun a job is gone.
struct Failing(Arc<MemoryStore>, Mutex<u32>, Mutex<u32>);
impl Failing {
    fn fails(n_failures: &Mutex<u32>) -> bool {
        let mut n_failures = n_failures.lock().unwrap();
        let fails = *n_failures > 0;
        *n_failures -= u32::from(fails);
        fails
    }
}
impl JobStore for Failing {
    fn enqueue(&self, jobs: Vec<NewJob>, waiting_max: u64) -> Pending<'_, Vec<JobId>> {
        self.0.enqueue(jobs, waiting_max)
    }
    fn claim(
        &self,
        kind: &'static str,
        now: TimestampMs,
        until: TimestampMs,
        served: Option<TenantId>,
    ) -> Pending<'_, Option<Job>> {
        if Self::fails(&self.1) {
            return Box::pin(async { Err(Error::new(Kind::Overloaded, "the store is busy")) });
        }
        self.0.claim(kind, now, until, served)
    }
    fn settle(&self, lease: JobLease, outcome: JobOutcome, follow_ups: Vec<NewJob>) -> Pending<'_, bool> {
        if Self::fails(&self.2) {
            return Box::pin(async { Err(Error::new(Kind::Overloaded, "the store is away")) });
        }
        self.0.settle(lease, outcome, follow_ups)
    }
    fn job(&self, tenant: TenantId, id: JobId, now: TimestampMs) -> Pending<'_, Option<Job>> {
        self.0.job(tenant, id, now)
    }
    fn jobs(&self, tenant: TenantId, from: Option<u64>, limit: u64, now: TimestampMs) -> Pending<'_, JobPage> {
        self.0.jobs(tenant, from, limit, now)
    }
    fn cancel(
        &self,
        tenant: TenantId,
        id: JobId,
        unbegun: bool,
        until: TimestampMs,
        so_far: Bytes,
    ) -> Pending<'_, Cancel> {
        self.0.cancel(tenant, id, unbegun, until, so_far)
    }
    fn next_due(&self, kind: &'static str) -> Pending<'_, Option<TimestampMs>> {
        self.0.next_due(kind)
    }
    fn void_leases(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.0.void_leases(now)
    }
    fn take_over(&self, now: TimestampMs, _: Vec<JobLease>) -> Pending<'_, u64> {
        self.0.void_leases(now)
    }
    fn forget(&self, now: TimestampMs) -> Pending<'_, u64> {
        self.0.forget(now)
    }
}

/// Workers rest for longer than that.
#[test]
fn a_job_that_was_taken_over_wakes_a_resting_worker() {
    let desk = Desk::new();
    let jobs = Jobs::new(
        Arc::new(Failing(desk.store.clone(), Mutex::default(), Mutex::default())),
        desk.clock.clone(),
        desk.clock.clone(),
    );
    let script = Script::new("scan", &[]);
    let failed = |error: &Error| panic!("{error}");
    let workers: [Worker<'_>; 2] = [Box::pin(jobs.work(&script)), Box::pin(jobs.purge_in_time(&*desk.store, &failed))];
    let mut tasks = TaskDriver::of(workers);
    desk.enqueue(vec![job_due(1, 0)]);
    // By another server, for ten minutes.
    block_on(desk.store.claim("scan", TimestampMs(0), TimestampMs(600_000), None)).unwrap().unwrap();
    tasks.run_until_stalled();
    desk.advance(59_999);
    tasks.run_until_stalled();
    script.check(&[]);
    desk.advance(1);
    tasks.run_until_stalled();
    script.check(&["run 1"]);
}

/// Issue 17: a database that was away when a step had ended left the job to its claim, for a quarter of an hour.
#[test]
fn what_became_of_a_job_is_stored_once_the_store_works_again() {
    let desk = Desk::new();
    let failing = Failing(desk.store.clone(), Mutex::default(), Mutex::new(2));
    let jobs = Jobs::new(Arc::new(failing), desk.clock.clone(), desk.clock.clone());
    let script = Script::new("scan", &[]);
    desk.enqueue(vec![job_due(1, 0), job_due(2, 0)]);
    let mut tasks = TaskDriver::of_one(jobs.work(&script));
    script.check(&["run 1", "failed: the store is away"]);
    desk.advance(5_000);
    tasks.run_until_stalled();
    script.check(&[]);
    desk.advance(5_000);
    tasks.run_until_stalled();
    script.check(&["run 2"]);
    assert_eq!(desk.result_of(1), Some("done".into()));
}

/// The store fails as often as two workers and who erases results ask it; that is said once, they rest, and go on by themselves.
/// Issue 17: each of them said so every half minute. When it fails again, that is said again.
#[test]
fn a_failing_store_does_not_end_a_worker() {
    let desk = Desk::new();
    let failing = Arc::new(Failing(desk.store.clone(), Mutex::new(4), Mutex::default()));
    let jobs = Jobs::new(Arc::clone(&failing) as _, desk.clock.clone(), desk.clock.clone());
    let script = Script::new("scan", &[]);
    let failed = |error: &Error| panic!("{error}");
    desk.enqueue(vec![job_due(1, 0)]);
    let workers: [Worker<'_>; 3] = [
        Box::pin(jobs.work(&script)),
        Box::pin(jobs.work(&script)),
        Box::pin(jobs.purge_in_time(&*desk.store, &failed)),
    ];
    let mut tasks = TaskDriver::of(workers);
    script.check(&["failed: the store is busy"]);
    for expected in [&[][..], &["run 1"]] {
        desk.advance(29_999);
        tasks.run_until_stalled();
        script.check(&[]);
        desk.advance(1);
        tasks.run_until_stalled();
        script.check(expected);
    }
    *failing.1.lock().unwrap() = 1;
    desk.enqueue(vec![job_due(2, 0)]);
    desk.advance(30_000);
    tasks.run_until_stalled();
    script.check(&["failed: the store is busy", "run 2"]);
}
