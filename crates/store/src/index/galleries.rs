//! The galleries of an index: looked up by many threads, changed by one.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use likeness_domain::types::FaceSetId;

use super::gallery::Gallery;

/// The galleries by face set.
#[derive(Default)]
pub(super) struct Galleries(RwLock<HashMap<FaceSetId, Arc<Gallery>>>);

const POISONED: &str = "a change of the index was cut short by a panic";

impl Galleries {
    pub(super) fn get(&self, face_set: FaceSetId) -> Option<Arc<Gallery>> {
        self.0.read().expect(POISONED).get(&face_set).cloned()
    }

    pub(super) fn insert(&self, face_set: FaceSetId, gallery: Arc<Gallery>) {
        self.0.write().expect(POISONED).insert(face_set, gallery);
    }

    pub(super) fn remove(&self, face_set: FaceSetId) -> Option<Arc<Gallery>> {
        self.0.write().expect(POISONED).remove(&face_set)
    }

    /// All of them as they are now.
    pub(super) fn all(&self) -> HashMap<FaceSetId, Arc<Gallery>> {
        self.0.read().expect(POISONED).clone()
    }

    /// Takes every gallery out, also after a panic cut a change short.
    pub(super) fn take_all(&self) -> Vec<Arc<Gallery>> {
        let mut galleries = self.0.write().unwrap_or_else(PoisonError::into_inner);
        self.0.clear_poison();
        galleries.drain().map(|(_, gallery)| gallery).collect()
    }
}
