//! A bounded queue between async callers and blocking threads.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// First in, first out; a full queue refuses at once instead of making callers wait.
pub(super) struct Queue<T> {
    state: Mutex<State<T>>,
    arrived: Condvar,
    len_max: usize,
}

struct State<T> {
    waiting: VecDeque<T>,
    closed: bool,
    /// Somebody wants the consumer to look around although no item came.
    nudged: bool,
}

/// Why an item was not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refused {
    Full,
    Closed,
}

/// What a consumer got.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken<T> {
    /// At least one item.
    Items(Vec<T>),
    /// Nothing came in the time given, or the consumer was nudged.
    Nothing,
    /// The queue is closed and everything in it was handed out.
    Closed,
}

impl<T> Queue<T> {
    pub(super) fn new(len_max: usize) -> Self {
        Self {
            state: Mutex::new(State { waiting: VecDeque::new(), closed: false, nudged: false }),
            arrived: Condvar::new(),
            len_max,
        }
    }

    /// Hands an item over.
    pub(super) fn push(&self, item: T) -> Result<(), Refused> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.closed {
            return Err(Refused::Closed);
        }
        if state.waiting.len() >= self.len_max {
            return Err(Refused::Full);
        }
        state.waiting.push_back(item);
        self.arrived.notify_one();
        Ok(())
    }

    /// Up to `n_max` items in the order they came, waiting for the first one: for ever if `patience` is `None`.
    pub(super) fn take(&self, n_max: usize, patience: Option<Duration>) -> Taken<T> {
        let deadline = patience.map(|patience| Instant::now() + patience);
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.waiting.is_empty() {
            if state.closed {
                return Taken::Closed;
            }
            if std::mem::take(&mut state.nudged) {
                return Taken::Nothing;
            }
            state = match deadline {
                None => self.arrived.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(deadline) => {
                    let left = deadline.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Taken::Nothing;
                    }
                    self.arrived.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0
                }
            };
        }
        let n_taken = state.waiting.len().min(n_max);
        Taken::Items(state.waiting.drain(..n_taken).collect())
    }

    /// Makes a consumer that waits, or the next one, go on with [`Taken::Nothing`] or an item.
    pub(super) fn nudge(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).nudged = true;
        self.arrived.notify_one();
    }

    /// Refuses further items; those inside are still handed out.
    pub(super) fn close(&self) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).closed = true;
        self.arrived.notify_all();
    }

    /// Whether somebody waits.
    pub(super) fn is_empty(&self) -> bool {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.is_empty()
    }
}

#[cfg(test)]
mod tests;
