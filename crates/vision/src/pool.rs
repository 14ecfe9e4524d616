//! Threads for work that keeps a core busy, behind a bounded queue.
//!
//! The pool knows nothing of pictures: a worker is any state that a task may use, one per thread. The queue is bounded by
//! the number of tasks and by time: a task that would have to wait longer than `wait_max`, as the tasks before it are
//! expected to take, is refused at once with the time after which to try again. One whose caller has gone is skipped; one
//! that panics takes down neither its thread nor the pool.

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

/// The answer of a task, later. Dropping it cancels the task if it has not begun.
pub type Answer<T> = oneshot::Receiver<Result<T>>;

struct Shared<W> {
    state: Mutex<State<W>>,
    wake: Condvar,
    queue_max: usize,
    wait_max: Duration,
    n_workers: usize,
    clock: Clock,
}

/// The time since any fixed moment; never goes back.
type Clock = Box<dyn Fn() -> Duration + Send + Sync>;

struct State<W> {
    queue: VecDeque<Box<dyn Task<W>>>,
    n_busy: usize,
    is_open: bool,
    /// Moving average of what a task takes, in seconds; 0 before the first one is done.
    task_s: f64,
}

impl<W> State<W> {
    /// How long a task waits that is put behind `n_queued` others.
    fn expected_wait(&self, n_queued: usize, n_workers: usize) -> Duration {
        Duration::from_secs_f64(self.task_s * n_queued as f64 / n_workers as f64)
    }
}

trait Task<W>: Send {
    fn is_cancelled(&self) -> bool;
    fn run(self: Box<Self>, worker: &mut W);
}

struct Request<T, F> {
    task: F,
    answer: oneshot::Sender<Result<T>>,
}

impl<W: Send + 'static> Pool<W> {
    /// Starts one thread per worker (at least one). Up to `queue_max` tasks wait when all are busy, and none for longer
    /// than about `wait_max`.
    pub fn start(workers: Vec<W>, queue_max: usize, wait_max: Duration) -> Result<Self> {
        let started = Instant::now();
        Self::start_with_clock(workers, queue_max, wait_max, Box::new(move || started.elapsed()))
    }

    fn start_with_clock(workers: Vec<W>, queue_max: usize, wait_max: Duration, clock: Clock) -> Result<Self> {
        if workers.is_empty() {
            return Err(Error::invalid("workers", "`workers` is 0, expected at least 1"));
        }
        let state = State { queue: VecDeque::with_capacity(queue_max), n_busy: 0, is_open: true, task_s: 0.0 };
        let (state, wake, n_workers) = (Mutex::new(state), Condvar::new(), workers.len());
        let pool = Self {
            shared: Arc::new(Shared { state, wake, queue_max, wait_max, n_workers, clock }),
            threads: Mutex::new(Vec::with_capacity(n_workers)),
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
        let n_idle = self.shared.n_workers - state.n_busy;
        let n_tasks_max = self.shared.queue_max + n_idle;
        if state.queue.len() >= n_tasks_max {
            state.queue.retain(|task| !task.is_cancelled());
        }
        if state.queue.len() >= n_tasks_max {
            let message = format!("{} images are waiting for analysis already", state.queue.len());
            return Err(Error::new(Kind::Overloaded, message));
        }
        let expected_wait = state.expected_wait(state.queue.len().saturating_sub(n_idle), self.shared.n_workers);
        // One task a worker may always wait: however slow they are, a caller that sends one after the other is served.
        if state.queue.len() >= self.shared.n_workers + n_idle && expected_wait > self.shared.wait_max {
            // Upwards, so that the two are never the same.
            let (expected, most) = (expected_wait.as_nanos().div_ceil(1_000_000), self.shared.wait_max.as_millis());
            let message = format!("an image would wait {expected} ms for analysis, expected at most {most} ms");
            return Err(Error::new(Kind::Overloaded, message));
        }
        state.queue.push_back(Box::new(Request { task, answer }));
        drop(state);
        self.shared.wake.notify_one();
        Ok(receiver)
    }

    /// How busy it is.
    pub fn load(&self) -> AnalyzerLoad {
        let n_ended = lock(&self.threads).iter().filter(|thread| thread.is_finished()).count();
        let state = lock(&self.shared.state);
        AnalyzerLoad {
            n_workers: self.shared.n_workers,
            n_ended,
            n_busy: state.n_busy,
            n_queued: state.queue.len(),
            queue_max: self.shared.queue_max,
            expected_wait: state.expected_wait(state.queue.len(), self.shared.n_workers),
        }
    }
}

impl<W> Pool<W> {
    /// Takes no more tasks, finishes those that still have a caller, and ends the threads. Blocks until that is done;
    /// safe to call again.
    pub fn shut_down(&self) {
        lock(&self.shared.state).is_open = false;
        self.shared.wake.notify_all();
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
            if let Some(task) = state.queue.pop_front() {
                state.n_busy += 1;
                drop(state);
                let is_cancelled = task.is_cancelled();
                let start = (self.clock)();
                task.run(&mut worker);
                let taken = (self.clock)().saturating_sub(start).as_secs_f64();
                state = lock(&self.state);
                state.n_busy -= 1;
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
