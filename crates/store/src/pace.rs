//! How much a step of large work does, so that those who wait for its end to write wait a time that is aimed at.

use std::time::Duration;

/// Rows of the first step, whose time nobody knows, and fewest of any: a step costs a flush or statements by itself, some
/// milliseconds and on a busy machine far more, so that one of fewer rows would hardly take less time, and large work has to
/// come to its end.
const ROWS_MIN: usize = 64;

/// Learns from the time that steps took how many rows the next one may have.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    n_rows: usize,
    n_rows_max: usize,
    aim: Duration,
}

impl Pace {
    /// Steps of at most so many rows that take about `aim`; [`Duration::MAX`] for as many rows as may be.
    pub(crate) fn new(n_rows_max: usize, aim: Duration) -> Self {
        let n_rows_max = n_rows_max.max(1);
        let n_rows = if aim == Duration::MAX { n_rows_max } else { n_rows_max.min(ROWS_MIN) };
        Self { n_rows, n_rows_max, aim }
    }

    /// Rows of the next step, at least one.
    pub(crate) fn n_rows(&self) -> usize {
        self.n_rows
    }

    /// A step of so many rows took so long by the clock on the wall, as those count who wait. A long one makes the next one
    /// shorter at once, a short one lets it grow twofold at most, as what a step finds in the cache tells little of the next.
    pub(crate) fn took(&mut self, n_rows: usize, wall: Duration) {
        if self.aim == Duration::MAX || n_rows == 0 {
            return;
        }
        let fitting = n_rows as f64 * self.aim.as_secs_f64() / wall.as_secs_f64().max(1e-6);
        let most = (2 * self.n_rows).min(self.n_rows_max);
        // A step with few rows left says what they took, and not that more would take too long.
        let fitting = if wall <= self.aim { fitting.max(self.n_rows as f64) } else { fitting.min(self.n_rows as f64) };
        self.n_rows = (fitting as usize).clamp(ROWS_MIN.min(most), most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const AIM: Duration = Duration::from_millis(10);

    /// The rows of the next step after steps each of whose rows takes `row_us`.
    fn settled(pace: &mut Pace, row_us: u64, n_steps: usize) -> usize {
        for _ in 0..n_steps {
            let n_rows = pace.n_rows();
            pace.took(n_rows, Duration::from_micros(row_us * n_rows as u64));
        }
        pace.n_rows()
    }

    #[test]
    fn steps_come_to_take_the_time_that_is_aimed_at() {
        let mut pace = Pace::new(1000, AIM);
        assert_eq!(pace.n_rows(), 64);
        assert_eq!(settled(&mut pace, 20, 1), 128, "twofold at most");
        assert_eq!(settled(&mut pace, 20, 9), 500);
        assert_eq!(settled(&mut pace, 100, 1), 100, "at once");
        assert_eq!(settled(&mut pace, 1, 20), 1000, "never more than may be");
        assert_eq!(settled(&mut pace, 1_000_000, 1), 64, "never so few that it does not come to its end");
    }

    #[test]
    fn a_step_that_was_short_of_rows_says_nothing_of_longer_ones() {
        let mut pace = Pace::new(1000, AIM);
        assert_eq!(settled(&mut pace, 20, 9), 500);
        pace.took(3, Duration::from_millis(1));
        assert_eq!(pace.n_rows(), 500);
        pace.took(0, Duration::from_secs(1));
        assert_eq!(pace.n_rows(), 500);
        pace.took(3, Duration::from_millis(30));
        assert_eq!(pace.n_rows(), 64);
    }

    #[test]
    fn without_an_aim_steps_have_as_many_rows_as_may_be() {
        let mut pace = Pace::new(250, Duration::MAX);
        pace.took(250, Duration::from_secs(9));
        assert_eq!(pace.n_rows(), 250);
        assert_eq!(Pace::new(0, Duration::MAX).n_rows(), 1);
        assert_eq!(Pace::new(3, AIM).n_rows(), 3);
    }
}
