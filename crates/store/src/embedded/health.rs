//! How the store is: damaged rows, lost commits, writes that fail.

use std::sync::Arc;

use super::damage::DamageLog;

/// What the threads of a store tell about it.
#[derive(Debug)]
pub(super) struct Health {
    /// Rows that are set aside.
    pub(super) damage: Arc<DamageLog>,
    /// Commits of earlier runs that are missing, for people.
    pub(super) losses: Vec<String>,
}
