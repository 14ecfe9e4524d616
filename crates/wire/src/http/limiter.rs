//! Calls per second, when an operator bounds them. What is counted under one key, and what the refusal is called, is a
//! dialect's business.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, PoisonError};

use likeness_domain::types::TimestampMs;

/// A token bucket for each key: as many units at once as one second allows, refilled evenly.
///
/// Memory is bounded by the number of keys; use ones that an authenticated caller cannot invent.
#[derive(Debug)]
pub struct Limiter<K> {
    buckets: Mutex<HashMap<K, Bucket>>,
}

#[derive(Debug)]
struct Bucket {
    n_units: f64,
    refilled_at: TimestampMs,
}

impl<K: Hash + Eq> Default for Limiter<K> {
    fn default() -> Self {
        Self { buckets: Mutex::default() }
    }
}

impl<K: Hash + Eq> Limiter<K> {
    /// Whether `n_units` more may be used now, which it then counts. A call of more units than one second allows is
    /// admitted when the bucket is full, and leaves a debt: otherwise it could never be made.
    pub fn admits(&self, key: K, units_per_second: u32, n_units: u32, now: TimestampMs) -> bool {
        let (rate, wanted) = (f64::from(units_per_second), f64::from(n_units));
        // Nothing in here panics half-way, so a poisoned lock still guards sound buckets.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let bucket = buckets.entry(key).or_insert(Bucket { n_units: rate, refilled_at: now });
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
