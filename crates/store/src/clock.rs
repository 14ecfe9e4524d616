//! The machine's clock, for stores that are opened without another.

use std::time::{SystemTime, UNIX_EPOCH};

use likeness_domain::ports::Clock;
use likeness_domain::types::TimestampMs;

/// Tells the time of the machine.
pub(crate) struct WallClock;

impl Clock for WallClock {
    fn now(&self) -> TimestampMs {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }
}
