//! Threads that read: each with a connection of its own, all fed by one bounded queue.

use std::path::PathBuf;
use std::sync::Arc;
use std::thread::JoinHandle;

use likeness_domain::ports::Pending;
use likeness_domain::{Error, Kind, Result};
use rusqlite::Connection;
use tokio::sync::oneshot;

use super::errors::Answer;
use super::queue::{Queue, Refused, Taken};
use super::writer::stopped;

type Task = Box<dyn FnOnce(&Connection) + Send>;

/// A pool of connections on threads. Dropping it lets the tasks that wait finish first.
pub(super) struct Pool {
    queue: Arc<Queue<Task>>,
    dir: PathBuf,
    threads: Vec<JoinHandle<()>>,
}

impl Pool {
    /// Starts one thread per connection.
    pub(super) fn start(name: &str, connections: Vec<Connection>, dir: PathBuf, queue_max: usize) -> Result<Self> {
        let queue = Arc::new(Queue::<Task>::new(queue_max));
        let mut pool = Self { queue, dir, threads: Vec::new() };
        for conn in connections {
            let queue = Arc::clone(&pool.queue);
            let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
                while let Taken::Items(tasks) = queue.take(1, None) {
                    for task in tasks {
                        // A task that panics drops its caller's channel, which answers; the thread goes on.
                        let _ = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| task(&conn)));
                        if !conn.is_autocommit() {
                            let _ = conn.execute_batch("ROLLBACK");
                        }
                    }
                }
            });
            pool.threads.push(thread.map_err(|err| Error::internal("cannot start a thread of the store", err))?);
        }
        Ok(pool)
    }

    /// Runs `act` in one transaction, so that several statements see one state; `doing` completes "cannot ...".
    pub(super) fn read<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<T> + Send + 'static,
    {
        self.run(doing, move |conn| {
            let tx = conn.unchecked_transaction()?;
            let answer = act(&tx)?;
            // Nothing was written, so what was read stands; on a damaged file even ending the transaction may fail.
            if let Err(error) = tx.commit() {
                tracing::debug!(%error, "a transaction that has only read could not be ended in order");
            }
            Ok(answer)
        })
    }

    /// Runs `act` as it is.
    pub(super) fn run<T, F>(&self, doing: &'static str, act: F) -> Pending<'_, T>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Answer<T> + Send + 'static,
    {
        let (caller, answer) = oneshot::channel();
        let dir = self.dir.clone();
        let task = move |conn: &Connection| {
            let _ = caller.send(act(conn).map_err(|failure| failure.into_error(doing, &dir)));
        };
        let handed_over = self.queue.push(Box::new(task)).map_err(|refused| match refused {
            Refused::Full => Error::new(
                Kind::Overloaded,
                format!("cannot {doing}: too many requests are waiting for the store, try again in a moment"),
            ),
            Refused::Closed => stopped(),
        });
        Box::pin(async move {
            handed_over?;
            answer.await.unwrap_or_else(|_| Err(stopped()))
        })
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.queue.close();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}
