//! Calls a second.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use crate::types::{AccessKeyId, TenantId, TimestampMs};

/// Whose calls are counted together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CountedBy {
    /// Those of one key, whatever the operation.
    Key,
    /// Those of one tenant to one operation.
    TenantAndOperation,
}

/// A vendor's bound on calls a second, as data.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    /// Whose calls are counted together.
    pub counted_by: CountedBy,
    /// Calls (or other units, such as images) a second, with bursts of as many.
    pub per_second: u32,
}

/// Under what units are counted.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Counter {
    /// All calls of a tenant, through every dialect.
    Tenant(TenantId),
    /// The calls of a key through one dialect.
    Key(&'static str, AccessKeyId),
    /// The calls of a tenant to one operation of one dialect.
    Operation(&'static str, &'static str, TenantId),
}

/// A token bucket for each counter: as many units at once as one second allows, refilled evenly.
///
/// Memory is bounded by the number of counters; use ones that an authenticated caller cannot invent.
#[derive(Debug)]
pub struct RateLimiter<K> {
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    n_units: f64,
    refilled_at: TimestampMs,
}

impl<K: Hash + Eq> Default for RateLimiter<K> {
    fn default() -> Self {
        Self { buckets: Mutex::default() }
    }
}

impl<K: Hash + Eq> RateLimiter<K> {
    /// Whether `n_units` more may be used now, which it then counts. A call of more units than one second allows is
    /// admitted when the bucket is full, and leaves a debt: otherwise it could never be made.
    pub fn admits(&self, counter: K, units_per_second: u32, n_units: u32, now: TimestampMs) -> bool {
        let (rate, wanted) = (f64::from(units_per_second), f64::from(n_units));
        // Nothing in here panics half-way, so a poisoned lock still guards sound buckets.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(counter).or_insert(Bucket { n_units: rate, refilled_at: now });
        let elapsed_s = (now.0 - bucket.refilled_at.0).max(0) as f64 / 1000.0;
        bucket.n_units = (bucket.n_units + elapsed_s * rate).min(rate);
        bucket.refilled_at = now;
        let admitted = bucket.n_units >= wanted.min(rate);
        if admitted {
            bucket.n_units -= wanted;
        }
        admitted
    }
}
