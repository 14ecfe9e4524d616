//! Workers that are driven by hand, a turn at a time.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Wake, Waker};

/// One of a [`TaskDriver`].
pub type Worker<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

/// Futures that rest most of the time. Dropping the tasks ends them where they rest.
///
/// Over ports that answer at once, and a clock that stands still, a turn does all there is to do and nothing else: no
/// test has to sleep, and "nothing happens before its time" can be asserted.
pub struct TaskDriver<'a>(Vec<Option<Worker<'a>>>);

struct Flag(AtomicBool);

impl Wake for Flag {
    fn wake(self: Arc<Self>) {
        self.0.store(true, Ordering::SeqCst);
    }
}

impl<'a> TaskDriver<'a> {
    /// A tasks of one, which has had its first turn.
    pub fn of_one(worker: impl Future<Output = ()> + 'a) -> Self {
        Self::of([Box::pin(worker) as Worker<'a>])
    }

    /// All of these, which have had their first turn.
    pub fn of(workers: impl IntoIterator<Item = Worker<'a>>) -> Self {
        let mut tasks = Self(workers.into_iter().map(Some).collect());
        tasks.run_until_stalled();
        tasks
    }

    /// Drives all until nobody has anything to do; how many are still there.
    pub fn run_until_stalled(&mut self) -> usize {
        let flag = Arc::new(Flag(AtomicBool::new(true)));
        let waker = Waker::from(flag.clone());
        // Also the first time, as whatever woke them between turns was not heard.
        while flag.0.swap(false, Ordering::SeqCst) {
            for place in &mut self.0 {
                let is_done = place
                    .as_mut()
                    .is_some_and(|worker| worker.as_mut().poll(&mut Context::from_waker(&waker)).is_ready());
                if is_done {
                    *place = None;
                }
            }
        }
        self.0.iter().flatten().count()
    }
}
