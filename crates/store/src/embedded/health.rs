//! How the store is: damaged rows, lost commits, writes that fail.

use std::sync::{Arc, Mutex, PoisonError};

use likeness_domain::ports::StoreHealth;

use super::damage::DamageLog;

/// What the threads of a store say about it.
#[derive(Debug)]
pub(super) struct Health {
    /// Rows that are set aside.
    pub(super) damage: Arc<DamageLog>,
    /// Commits of earlier runs that are missing, for people.
    pub(super) losses: Vec<String>,
    /// Why the last write failed on account of the machine.
    write_failure: Mutex<Option<String>>,
}

impl Health {
    /// Of a store whose writes work.
    pub(super) fn new(damage: Arc<DamageLog>, losses: Vec<String>) -> Self {
        Self { damage, losses, write_failure: Mutex::new(None) }
    }

    /// Writes fail from now on, for this reason.
    pub(super) fn writes_fail(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let mut failure = self.write_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.as_ref() != Some(&reason) {
            tracing::error!(reason, "writes fail; reading and searching go on");
            *failure = Some(reason);
        }
    }

    /// Writes work.
    pub(super) fn writes_work(&self) {
        let mut failure = self.write_failure.lock().unwrap_or_else(PoisonError::into_inner);
        if failure.take().is_some() {
            tracing::info!("writes work again");
        }
    }

    /// Whether the last write failed on account of the machine.
    pub(super) fn do_writes_fail(&self) -> bool {
        self.write_failure.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// For those who ask from outside.
    pub(super) fn summary(&self) -> StoreHealth {
        StoreHealth {
            write_failure: self.write_failure.lock().unwrap_or_else(PoisonError::into_inner).clone(),
            n_rows_set_aside: self.damage.n_known(),
        }
    }
}
