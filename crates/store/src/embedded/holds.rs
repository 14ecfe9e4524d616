//! How long the writing thread was held at a time, and by what: whoever else writes waits as long.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// What holds the writing thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HeldBy {
    /// Writes that were handed over, committed together.
    Writes,
    /// A step of a delete of many faces.
    DeleteStep,
    /// Erasing some of what a deleted set, person or tenant left.
    Erasure,
    /// Compacting commits.
    Compaction,
    /// Giving free space back.
    Shrinking,
    /// Cleaning the log of what was deleted.
    LogCleaning,
}

impl HeldBy {
    /// All, in the order in which they are listed.
    pub const ALL: [HeldBy; 6] =
        [Self::Writes, Self::DeleteStep, Self::Erasure, Self::Compaction, Self::Shrinking, Self::LogCleaning];
}

/// How often and how long something held the writing thread. The times are without those in which the thread was ready and
/// other threads had the processors, where the machine tells them: so they are of the work and not of what else runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Held {
    /// How often.
    pub n: u64,
    /// Together.
    pub total: Duration,
    /// The longest.
    pub longest: Duration,
    /// The longest by the clock on the wall.
    pub longest_wall: Duration,
    n_within: [u64; N_BOUNDS],
}

/// Bounds of the counts: 0.1 ms and each 2 to the power of 1/2 times the one before, the last without an end.
const N_BOUNDS: usize = 28;

fn bound(idx: usize) -> Duration {
    Duration::from_secs_f64(1e-4 * 2_f64.powf(idx as f64 / 2.0))
}

impl Held {
    const NEVER: Held = Held {
        n: 0,
        total: Duration::ZERO,
        longest: Duration::ZERO,
        longest_wall: Duration::ZERO,
        n_within: [0; N_BOUNDS],
    };

    fn add(&mut self, took: Duration, wall: Duration) {
        self.n += 1;
        self.total += took;
        self.longest = self.longest.max(took);
        self.longest_wall = self.longest_wall.max(wall);
        let idx = (0..N_BOUNDS - 1).find(|&idx| took <= bound(idx));
        self.n_within[idx.unwrap_or(N_BOUNDS - 1)] += 1;
    }

    /// A time that this share of them did not exceed, by at most 42 % too long.
    pub fn within(&self, share: f64) -> Duration {
        let wanted = (self.n as f64 * share).ceil() as u64;
        let mut n_seen = 0;
        let idx = self.n_within.iter().position(|n| {
            n_seen += n;
            n_seen >= wanted
        });
        idx.map_or(self.longest, |idx| bound(idx).min(self.longest))
    }
}

/// What held the writing thread of a store.
#[derive(Debug)]
pub(super) struct Holds(Mutex<[Held; HeldBy::ALL.len()]>);

impl Holds {
    pub(super) fn new() -> Self {
        Self(Mutex::new([Held::NEVER; HeldBy::ALL.len()]))
    }

    /// All since this was last asked.
    pub(super) fn take(&self) -> Vec<(HeldBy, Held)> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let taken = std::mem::replace(&mut *held, [Held::NEVER; HeldBy::ALL.len()]);
        HeldBy::ALL.into_iter().zip(taken).collect()
    }
}

/// The clock of the writing thread.
pub(super) struct HoldClock {
    /// Of this thread: nanoseconds that it ran, nanoseconds that it was ready and did not run, and how often it ran.
    schedule: Option<File>,
}

/// A moment of [`HoldClock`].
#[derive(Clone, Copy)]
pub(super) struct Began {
    at: Instant,
    waited: Duration,
}

impl HoldClock {
    /// That of the thread that calls.
    pub(super) fn of_this_thread() -> Self {
        Self { schedule: File::open("/proc/thread-self/schedstat").ok() }
    }

    /// Time in which the thread was ready and did not run; nothing where that is not told.
    fn waited(&self) -> Duration {
        let mut text = [0; 80];
        let waited = self.schedule.as_ref().and_then(|file| {
            let n_bytes = file.read_at(&mut text, 0).ok()?;
            std::str::from_utf8(&text[..n_bytes]).ok()?.split(' ').nth(1)?.parse().ok()
        });
        Duration::from_nanos(waited.unwrap_or(0))
    }

    pub(super) fn begin(&self) -> Began {
        Began { at: Instant::now(), waited: self.waited() }
    }

    /// Counts what was done since; returns how long it took by the clock on the wall.
    pub(super) fn end(&self, began: Began, by: HeldBy, holds: &Holds) -> Duration {
        let wall = began.at.elapsed();
        let took = wall.saturating_sub(self.waited().saturating_sub(began.waited));
        let mut held = holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        held[by as usize].add(took, wall);
        wall
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_of_the_times_is_within_the_bound_that_is_told() {
        let holds = Holds::new();
        assert!(holds.take().iter().all(|(_, held)| *held == Held::NEVER));
        assert_eq!(Held::NEVER.within(0.99), Duration::ZERO);
        let mut held = Held::NEVER;
        (1..=100).for_each(|ms| held.add(Duration::from_millis(ms), Duration::from_millis(2 * ms)));
        assert_eq!((held.n, held.longest), (100, Duration::from_millis(100)));
        assert_eq!(held.longest_wall, Duration::from_millis(200));
        for (share, ms) in [(0.5, 50), (0.99, 99), (1.0, 100)] {
            let (within, exact) = (held.within(share), Duration::from_millis(ms));
            assert!(within >= exact && within <= exact.mul_f64(1.42), "{share}: {within:?} for {exact:?}");
        }
    }

    #[test]
    fn what_is_done_is_counted_under_its_name() {
        let (clock, holds) = (HoldClock::of_this_thread(), Holds::new());
        let began = clock.begin();
        let wall = clock.end(began, HeldBy::LogCleaning, &holds);
        let counted: Vec<_> = holds.take().into_iter().filter(|(_, held)| held.n > 0).collect();
        let [(HeldBy::LogCleaning, held)] = counted[..] else { panic!("{counted:?}") };
        assert_eq!((held.n, held.longest_wall), (1, wall));
        assert!(held.longest <= wall);
        assert!(holds.take().iter().all(|(_, held)| *held == Held::NEVER), "it was told");
    }
}
