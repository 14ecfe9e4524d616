//! Calls per second, when an operator bounds them.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use likeness_domain::types::{TenantId, TimestampMs};

use super::operations::Operation;

/// A token bucket for each tenant and operation: as many calls at once as one second allows, refilled evenly.
pub(super) struct Limiter {
    calls_per_second: Option<u32>,
    // Bounded by tenants times operations; a bucket is 24 bytes.
    buckets: Mutex<HashMap<(TenantId, Operation), Bucket>>,
}

struct Bucket {
    n_calls: f64,
    refilled_at: TimestampMs,
}

impl Limiter {
    pub(super) fn new(calls_per_second: Option<u32>) -> Self {
        Self { calls_per_second, buckets: Mutex::new(HashMap::new()) }
    }

    /// Whether one more call may be made now, which it then counts.
    pub(super) fn admits(&self, tenant: TenantId, operation: Operation, now: TimestampMs) -> bool {
        let Some(rate) = self.calls_per_second.map(f64::from) else { return true };
        // Nothing in here panics half-way, so a poisoned lock still guards sound buckets.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry((tenant, operation)).or_insert(Bucket { n_calls: rate, refilled_at: now });
        let elapsed_s = (now.0 - bucket.refilled_at.0).max(0) as f64 / 1000.0;
        bucket.n_calls = (bucket.n_calls + elapsed_s * rate).min(rate);
        bucket.refilled_at = now;
        let admitted = bucket.n_calls >= 1.0;
        if admitted {
            bucket.n_calls -= 1.0;
        }
        admitted
    }
}
