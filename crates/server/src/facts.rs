//! What the native API tells administrators of the server: its settings with their origin, and its metrics.

use std::sync::{Arc, Mutex, PoisonError};

use likeness_domain::ports::Pending;
use likeness_wire::native::{ServerFacts, dto};

use crate::config::{RawConfig, show};
use crate::metrics::{Metrics, Sources};

/// See [`ServerFacts`].
pub(crate) struct Facts {
    settings: Mutex<RawConfig>,
    metrics: Arc<Metrics>,
    sources: Arc<Sources>,
}

impl Facts {
    /// Of a server that was started with these settings.
    pub(crate) fn new(settings: RawConfig, metrics: Arc<Metrics>, sources: Arc<Sources>) -> Self {
        Self { settings: Mutex::new(settings), metrics, sources }
    }

    /// These settings hold from now on.
    pub(crate) fn settings_are(&self, settings: &RawConfig) {
        *self.settings.lock().unwrap_or_else(PoisonError::into_inner) = settings.clone();
    }
}

impl ServerFacts for Facts {
    fn settings(&self, with_private: bool) -> Vec<dto::Setting> {
        show::rows(&self.settings.lock().unwrap_or_else(PoisonError::into_inner), with_private)
    }

    fn metrics(&self) -> Pending<'_, dto::Metrics> {
        Box::pin(async { Ok(self.metrics.figures(&self.sources).await) })
    }
}
