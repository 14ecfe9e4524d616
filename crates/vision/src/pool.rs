//! Threads for work that keeps a core busy, behind a bounded queue.
//!
//! The pool knows nothing of pictures: a worker is any state that a task may use, one per thread. The queue is bounded by
//! the number of tasks and by time: a task that would have to wait longer than `wait_max`, as the tasks before it are
//! expected to take, is refused at once with the time after which to try again. Tasks may take longer than those before
//! let expect: one that has waited for twice `wait_max` is refused then. One whose caller has gone is skipped; one that
//! panics takes down neither its thread nor the pool.

use std::any::Any;
use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use likeness_domain::ports::AnalyzerLoad;
use likeness_domain::{Error, Kind, Result};
use tokio::sync::oneshot;

#[cfg(test)]
mod tests;

/// Threads that each own a `W`.
pub struct Pool<W> {
    shared: Arc<Shared<W>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

/// How much the newest task counts in the moving average of what tasks take.
const NEWEST_SHARE: f64 = 0.2;

/// A task waits at most for so many times `wait_max`, where tasks take longer than was expected when it came.
const WAIT_FACTOR_MAX: u32 = 2;

/// The answer of a task, later. Dropping it cancels the task if it has not begun.
pub type Answer<T> = oneshot::Receiver<Result<T>>;

struct Shared<W> {
    state: Mutex<State<W>>,
    /// For workers: there is a task, or the end.
    wake: Condvar,
    /// For the thread that refuses tasks which wait too long: one may have to be, or the end.
    wake_refuser: Condvar,
    queue_max: usize,
    wait_max: Duration,
    n_workers: usize,
    clock: Clock,
}

/// The time since any fixed moment; never goes back.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

struct State<W> {
    queue: VecDeque<Waiting<W>>,
    /// When each task at work began.
    begun: Vec<Duration>,
    is_open: bool,
    /// Moving average of what a task takes, in seconds; 0 before the first one is done.
    task_s: f64,
}

impl<W> State<W> {
    /// How long a task waits that is put behind `n_queued` others, if they take what tasks took so far, or as long as a
    /// task at work has been at it already.
    fn expected_wait(&self, n_queued: usize, n_workers: usize, now: Duration) -> Duration {
        let at_work = self.begun.iter().map(|begun| now.saturating_sub(*begun).as_secs_f64());
        let task_s = at_work.fold(self.task_s, f64::max);
        Duration::from_secs_f64(task_s * n_queued as f64 / n_workers as f64)
    }

    /// Refuses the tasks whose time to wait is over.
    fn refuse_expired(&mut self, now: Duration) {
        let is_expired = |waiting: &Waiting<W>| waiting.until.is_some_and(|until| until <= now);
        while let Some(place) = self.queue.iter().position(is_expired) {
            if let Some(Waiting { task, since, .. }) = self.queue.remove(place) {
                task.refuse(now.saturating_sub(since));
            }
        }
    }
}

struct Waiting<W> {
    task: Box<dyn Task<W>>,
    since: Duration,
    /// When it is refused; `None` for the one task a worker that may always wait.
    until: Option<Duration>,
}

trait Task<W>: Send {
    fn is_cancelled(&self) -> bool;
    fn run(self: Box<Self>, worker: &mut W);
    fn refuse(self: Box<Self>, waited: Duration);
}

struct Request<T, F> {
    task: F,
    answer: oneshot::Sender<Result<T>>,
}

impl<W: Send + 'static> Pool<W> {
    /// Starts one thread per worker (at least one). Up to `queue_max` tasks wait when all are busy, and none for longer
    /// than about `wait_max`; twice that is the most.
    pub fn start(workers: Vec<W>, queue_max: usize, wait_max: Duration) -> Result<Self> {
        let started = Instant::now();
        Self::start_with_clock(workers, queue_max, wait_max, Box::new(move || started.elapsed()))
    }

    fn start_with_clock(workers: Vec<W>, queue_max: usize, wait_max: Duration, clock: Clock) -> Result<Self> {
        if workers.is_empty() {
            return Err(Error::invalid("workers", "`workers` is 0, expected at least 1"));
        }
        let state = State { queue: VecDeque::with_capacity(queue_max), begun: Vec::new(), is_open: true, task_s: 0.0 };
        let (state, n_workers) = (Mutex::new(state), workers.len());
        let (wake, wake_refuser) = (Condvar::new(), Condvar::new());
        let pool = Self {
            shared: Arc::new(Shared { state, wake, wake_refuser, queue_max, wait_max, n_workers, clock }),
            threads: Mutex::new(Vec::with_capacity(n_workers + 1)),
        };
        for (worker_idx, worker) in workers.into_iter().enumerate() {
            let shared = Arc::clone(&pool.shared);
            // When a thread cannot be started, dropping `pool` ends those that were.
            let thread = std::thread::Builder::new()
                .name(format!("vision-{worker_idx}"))
                .spawn(move || shared.work(worker))
                .map_err(|err| Error::internal("cannot start a thread for image analysis", err))?;
            lock(&pool.threads).push(thread);
        }
        let shared = Arc::clone(&pool.shared);
        let refuser = std::thread::Builder::new()
            .name("vision-queue".to_owned())
            .spawn(move || shared.refuse_late())
            .map_err(|err| Error::internal("cannot start a thread for the queue of image analysis", err))?;
        lock(&pool.threads).push(refuser);
        Ok(pool)
    }

    /// Hands a task over. [`Kind::Overloaded`] at once if the queue is full, the wait would be too long or the pool is
    /// shut down.
    pub fn submit<T: Send + 'static>(
        &self,
        task: impl FnOnce(&mut W) -> Result<T> + Send + 'static,
    ) -> Result<Answer<T>> {
        let (answer, receiver) = oneshot::channel();
        let mut state = lock(&self.shared.state);
        if !state.is_open {
            return Err(Error::new(Kind::Overloaded, "image analysis is shutting down"));
        }
        // A worker that is idle now takes a task at once, so it does not count as waiting.
        let n_idle = self.shared.n_workers - state.begun.len();
        let now = (self.shared.clock)();
        state.refuse_expired(now);
        let n_tasks_max = self.shared.queue_max + n_idle;
        if state.queue.len() >= n_tasks_max {
            state.queue.retain(|waiting| !waiting.task.is_cancelled());
        }
        if state.queue.len() >= n_tasks_max {
            let message = format!("{} images are waiting for analysis already", state.queue.len());
            return Err(Error::new(Kind::Overloaded, message));
        }
        let n_before = state.queue.len().saturating_sub(n_idle);
        let expected_wait = state.expected_wait(n_before, self.shared.n_workers, now);
        // One task a worker may always wait: however slow they are, a caller that sends one after the other is served.
        let may_wait = state.queue.len() < self.shared.n_workers + n_idle;
        if !may_wait && expected_wait > self.shared.wait_max {
            // Upwards, so that the two are never the same.
            let (expected, most) = (expected_wait.as_nanos().div_ceil(1_000_000), self.shared.wait_max.as_millis());
            let message = format!("an image would wait {expected} ms for analysis, expected at most {most} ms");
            return Err(Error::new(Kind::Overloaded, message));
        }
        let until = (!may_wait).then(|| now.saturating_add(self.shared.wait_max.saturating_mul(WAIT_FACTOR_MAX)));
        state.queue.push_back(Waiting { task: Box::new(Request { task, answer }), since: now, until });
        drop(state);
        self.shared.wake.notify_one();
        if until.is_some() {
            self.shared.wake_refuser.notify_one();
        }
        Ok(receiver)
    }

    /// How busy it is.
    pub fn load(&self) -> AnalyzerLoad {
        let n_ended = lock(&self.threads).iter().filter(|thread| thread.is_finished()).count();
        let state = lock(&self.shared.state);
        let now = (self.shared.clock)();
        AnalyzerLoad {
            n_workers: self.shared.n_workers,
            n_ended,
            n_busy: state.begun.len(),
            n_queued: state.queue.len(),
            queue_max: self.shared.queue_max,
            expected_wait: state.expected_wait(state.queue.len(), self.shared.n_workers, now),
        }
    }
}

impl<W> Pool<W> {
    /// Takes no more tasks, finishes those that still have a caller, and ends the threads. Blocks until that is done;
    /// safe to call again.
    pub fn shut_down(&self) {
        lock(&self.shared.state).is_open = false;
        self.shared.wake.notify_all();
        self.shared.wake_refuser.notify_all();
        for thread in std::mem::take(&mut *lock(&self.threads)) {
            // A thread that ended by a panic outside a task has nothing left to wait for.
            let _ = thread.join();
        }
    }
}

impl<W> Drop for Pool<W> {
    fn drop(&mut self) {
        self.shut_down();
    }
}

impl<W> Shared<W> {
    fn work(&self, mut worker: W) {
        let mut state = lock(&self.state);
        loop {
            let start = (self.clock)();
            state.refuse_expired(start);
            if let Some(Waiting { task, .. }) = state.queue.pop_front() {
                state.begun.push(start);
                drop(state);
                let is_cancelled = task.is_cancelled();
                task.run(&mut worker);
                let taken = (self.clock)().saturating_sub(start).as_secs_f64();
                state = lock(&self.state);
                if let Some(place) = state.begun.iter().position(|begun| *begun == start) {
                    state.begun.swap_remove(place);
                }
                if !is_cancelled {
                    let share = if state.task_s == 0.0 { 1.0 } else { NEWEST_SHARE };
                    state.task_s += (taken - state.task_s) * share;
                }
            } else if state.is_open {
                state = self.wake.wait(state).unwrap_or_else(PoisonError::into_inner);
            } else {
                return;
            }
        }
    }
}

impl<W> Shared<W> {
    /// Refuses tasks as soon as they have waited too long, also while all workers are at a long one. Until the end.
    fn refuse_late(&self) {
        let mut state = lock(&self.state);
        while state.is_open {
            let now = (self.clock)();
            state.refuse_expired(now);
            let next = state.queue.iter().filter_map(|waiting| waiting.until).min();
            state = match next.map(|until| until.saturating_sub(now)) {
                Some(left) => self.wake_refuser.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0,
                None => self.wake_refuser.wait(state).unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}

impl<W, T: Send, F: FnOnce(&mut W) -> Result<T> + Send> Task<W> for Request<T, F> {
    fn is_cancelled(&self) -> bool {
        self.answer.is_closed()
    }

    fn run(self: Box<Self>, worker: &mut W) {
        let Request { task, answer } = *self;
        if answer.is_closed() {
            return;
        }
        // A worker's state is sessions of the inference library; a panic of ours leaves them as they were.
        let outcome = catch_unwind(AssertUnwindSafe(|| task(worker)));
        let outcome = outcome.unwrap_or_else(|panic| {
            Err(Error::internal("image analysis failed unexpectedly", describe(panic.as_ref())))
        });
        // The caller may have gone meanwhile, which is its right.
        let _ = answer.send(outcome);
    }

    fn refuse(self: Box<Self>, waited: Duration) {
        let waited = waited.as_millis();
        let message =
            format!("an image waited {waited} ms for analysis, since those before it took longer than expected");
        let _ = self.answer.send(Err(Error::new(Kind::Overloaded, message)));
    }
}

/// What a panic said, for the log.
pub(crate) fn describe(panic: &(dyn Any + Send)) -> String {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    format!("panic: {}", text.unwrap_or("without a message"))
}

/// No code panics while it holds one of these locks, and what they guard is whole between any two statements.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
