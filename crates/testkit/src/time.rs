//! A clock that stands still and ids that repeat.

use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use likeness_domain::ports::{Clock, IdSource, Timer};
use likeness_domain::types::TimestampMs;

/// A clock that moves only when it is told to, and rings for those who wait for a time.
#[derive(Debug)]
pub struct FakeClock(Mutex<Now>);

#[derive(Debug)]
struct Now {
    now_ms: i64,
    waiting: Vec<Waker>,
}

impl FakeClock {
    /// A clock that says `now_ms` milliseconds since 1970.
    pub fn new(now_ms: i64) -> Self {
        Self(Mutex::new(Now { now_ms, waiting: Vec::new() }))
    }

    /// Sets it to `now_ms`.
    pub fn set(&self, now_ms: i64) {
        self.change(|_| now_ms);
    }

    /// Moves it forward, by whole milliseconds.
    pub fn advance(&self, by: Duration) {
        let by_ms = i64::try_from(by.as_millis()).expect("a test stays within 292 million years");
        self.change(|now_ms| now_ms + by_ms);
    }

    fn state(&self) -> MutexGuard<'_, Now> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn change(&self, act: impl FnOnce(i64) -> i64) {
        let waiting = {
            let mut now = self.state();
            now.now_ms = act(now.now_ms);
            std::mem::take(&mut now.waiting)
        };
        // Each looks at the clock and waits on if it was not its time.
        waiting.into_iter().for_each(Waker::wake);
    }
}

impl Default for FakeClock {
    /// 2026-03-01 08:00:00 UTC.
    fn default() -> Self {
        Self::new(1_772_352_000_000)
    }
}

impl Clock for FakeClock {
    fn now(&self) -> TimestampMs {
        TimestampMs(self.state().now_ms)
    }
}

impl Timer for FakeClock {
    fn sleep_until(&self, at: TimestampMs) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        Box::pin(std::future::poll_fn(move |context| {
            let mut now = self.state();
            if at.0 <= now.now_ms {
                return Poll::Ready(());
            }
            now.waiting.push(context.waker().clone());
            Poll::Pending
        }))
    }
}

/// Random-looking bytes that are the same in every run with the same seed (SplitMix64).
#[derive(Debug)]
pub struct SeededIds(AtomicU64);

impl SeededIds {
    /// The sequence of that seed.
    pub fn new(seed: u64) -> Self {
        Self(AtomicU64::new(seed))
    }
}

impl IdSource for SeededIds {
    fn fill(&self, bytes: &mut [u8]) {
        for chunk in bytes.chunks_mut(8) {
            let state = self.0.fetch_add(GOLDEN, Ordering::SeqCst).wrapping_add(GOLDEN);
            chunk.copy_from_slice(&mixed(state).to_le_bytes()[..chunk.len()]);
        }
    }
}

/// Step of SplitMix64 (Steele, Lea, Flood: "Fast splittable pseudorandom number generators", 2014).
pub(crate) const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;

/// Output function of SplitMix64.
pub(crate) fn mixed(state: u64) -> u64 {
    let z = (state ^ state >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

#[cfg(test)]
mod tests;
