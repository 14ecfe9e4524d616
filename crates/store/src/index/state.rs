//! What revision an index has reached, and whether it may be trusted.

use std::sync::atomic::{AtomicU64, Ordering};

use likeness_domain::types::Revision;
use likeness_domain::{Error, Kind, Result};

/// Stands for "failed or being filled".
const NOT_READY: u64 = u64::MAX;

/// The revision of an index; a new one is at 0 and ready.
#[derive(Debug, Default)]
pub(super) struct Reached(AtomicU64);

impl Reached {
    pub(super) fn get(&self) -> Option<Revision> {
        Some(self.0.load(Ordering::Acquire)).filter(|&revision| revision != NOT_READY).map(Revision)
    }

    /// A commit was taken over; counts only while the index is ready.
    pub(super) fn advance(&self, revision: Revision) {
        if self.get().is_some() {
            self.0.store(revision.0, Ordering::Release);
        }
    }

    /// From now on searches are refused.
    pub(super) fn stop(&self) {
        self.0.store(NOT_READY, Ordering::Release);
    }

    /// From now on they are answered.
    pub(super) fn resume(&self, revision: Revision) {
        self.0.store(revision.0, Ordering::Release);
    }

    /// `Overloaded` unless searches may be answered.
    pub(super) fn check(&self) -> Result<()> {
        match self.get() {
            Some(_) => Ok(()),
            None => Err(Error::new(Kind::Overloaded, "the index is being filled, try again in a moment")),
        }
    }
}
