//! Time and randomness from the operating system.

use std::pin::Pin;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use likeness_domain::ports::{Clock, IdSource, Timer};
use likeness_domain::types::TimestampMs;

/// The machine's clock.
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> TimestampMs {
        // A clock before 1970 is a machine whose time was never set; signatures will say so.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        TimestampMs(i64::try_from(since_epoch.as_millis()).unwrap_or(i64::MAX))
    }
}

impl Timer for SystemClock {
    fn sleep_until(&self, at: TimestampMs) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        let left_ms = u64::try_from(at.0.saturating_sub(self.now().0)).unwrap_or(0);
        Box::pin(tokio::time::sleep(Duration::from_millis(left_ms)))
    }
}

/// The machine's source of unpredictable bytes.
pub(crate) struct SystemIds;

impl IdSource for SystemIds {
    fn fill(&self, bytes: &mut [u8]) {
        // Without randomness there are no secrets and no ids; going on would be worse than stopping.
        getrandom::fill(bytes).expect("the operating system gives random bytes");
    }
}
