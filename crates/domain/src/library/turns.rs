//! What tenants take in turn.

use std::ops::Deref;
use std::sync::Arc;

use super::Library;
use crate::Result;
use crate::access::{Caller, FairBounds, FairSlots, Slot};
use crate::ports::{Clock, GalleryStore};

/// What tenants take in turn besides fetches and clips, whose slots are their ports' own since they have deadlines.
#[derive(Clone)]
pub struct Turns {
    /// Analyses of images.
    pub analyses: FairSlots,
    /// Searches in the index.
    pub searches: FairSlots,
    /// Writes.
    pub writes: FairSlots,
}

impl Turns {
    /// Nobody waits.
    pub fn unbounded(clock: &Arc<dyn Clock>) -> Self {
        let slots = |what| {
            let bounds = FairBounds { what, n_slots: usize::MAX, queue_max: 0, wait_ms_max: None };
            FairSlots::new(bounds, Arc::clone(clock))
        };
        Self { analyses: slots("images"), searches: slots("searches"), writes: slots("writes") }
    }
}

/// The store, for one write of a tenant whose turn it is.
pub(super) struct Writing<'a> {
    store: &'a (dyn GalleryStore + 'static),
    _slot: Slot,
}

impl Deref for Writing<'_> {
    type Target = dyn GalleryStore;

    fn deref(&self) -> &Self::Target {
        self.store
    }
}

impl Library {
    /// Waits for the tenant's turn to write.
    pub(super) async fn write(&self, caller: &Caller) -> Result<Writing<'_>> {
        let slot = self.turns.writes.enter(caller.share()).await?;
        Ok(Writing { store: &*self.ports.store, _slot: slot })
    }
}
