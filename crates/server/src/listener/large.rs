//! Requests with large bodies are answered on threads of their own.
//!
//! Every dialect digests, decodes and parses the bodies it takes: megabytes of base64 in JSON, signed by a hash. On the
//! threads that serve all connections this would make everybody wait. So such a request is handed over as a whole before a
//! dialect sees it, and its connection only waits for the answer. The threads are as many as the machine has processors,
//! which bounds what all large bodies together may take; between the requests on one thread the work is taken in turns
//! wherever one of them waits (for more of its body, for its analysis).

use std::io::Result;
use std::panic::resume_unwind;

use hyper::body::Body;
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tracing::Instrument;

/// Bytes of a body from which handing over pays: a hash of so many takes about as long as waking another thread twice.
const LARGE_BYTES: u64 = 64 * 1024;

/// Whether a body is large, or so long that nobody knows yet.
pub(super) fn is_large(body: &impl Body) -> bool {
    body.size_hint().upper().is_none_or(|n_bytes| n_bytes > LARGE_BYTES)
}

/// The threads for requests with large bodies.
pub(crate) struct LargeRequests {
    /// There until this is dropped.
    runtime: Option<Runtime>,
}

impl LargeRequests {
    /// Starts as many threads as there are processors.
    pub(crate) fn start() -> Result<Self> {
        Self::with_threads(std::thread::available_parallelism().map_or(1, Into::into))
    }

    pub(super) fn with_threads(n_threads: usize) -> Result<Self> {
        // What a request needs besides (addresses looked up, clips decoded) works there as it does elsewhere.
        let runtime =
            Builder::new_multi_thread().worker_threads(n_threads).thread_name("large-request").enable_all().build()?;
        Ok(Self { runtime: Some(runtime) })
    }

    /// Has the answer made on these threads. Dropping the returned future ends the work at its next wait; a panic is this
    /// future's, too.
    pub(super) async fn answer<T: Send + 'static>(&self, answering: impl Future<Output = T> + Send + 'static) -> T {
        let runtime = self.runtime.as_ref().expect("it is there until this is dropped");
        let mut task = AbortOnDrop(runtime.spawn(answering.in_current_span()));
        match (&mut task.0).await {
            Ok(answer) => answer,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => resume_unwind(panic),
                Err(error) => panic!("the threads for large requests have stopped: {error}"),
            },
        }
    }
}

impl Drop for LargeRequests {
    fn drop(&mut self) {
        // Every connection has ended by now, so nobody waits for what may still run.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

struct AbortOnDrop<T>(JoinHandle<T>);

impl<T> Drop for AbortOnDrop<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}
