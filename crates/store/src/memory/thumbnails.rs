//! Small pictures of faces.

use likeness_domain::ports::FaceScope;
use likeness_domain::types::{FaceId, TenantId, Thumbnail};

use super::{State, each_once};

impl State {
    /// Whether a set that shows the face keeps pictures.
    fn is_pictured(&self, sequence: u64) -> bool {
        self.faces.contains_key(&sequence) && self.galleries_of(sequence).any(|face_set| face_set.thumbnails)
    }

    /// Keeps the picture of a face, if a set that shows it keeps pictures.
    pub(super) fn keep_thumbnail(&mut self, sequence: u64, thumbnail: Option<Thumbnail>) {
        if let Some(thumbnail) = thumbnail.filter(|_| self.is_pictured(sequence)) {
            self.thumbnails.insert(sequence, thumbnail);
        }
    }

    /// Erases the pictures that nobody keeps.
    pub(super) fn drop_unwanted_thumbnails(&mut self) {
        let mut thumbnails = std::mem::take(&mut self.thumbnails);
        let is_held = |sequence: &u64| self.held.get(sequence).is_some_and(|held| self.keeps_thumbnails(held.tenant));
        thumbnails.retain(|sequence, _| is_held(sequence) || self.is_pictured(*sequence));
        self.thumbnails = thumbnails;
    }

    pub(super) fn thumbnails_of(
        &self,
        tenant: TenantId,
        scope: FaceScope,
        ids: Vec<FaceId>,
    ) -> Vec<(FaceId, Thumbnail)> {
        let keeps = match scope {
            FaceScope::FaceSet(id) => self.face_set(tenant, id).is_ok_and(|face_set| face_set.thumbnails),
            FaceScope::Person(_) => true,
        };
        let inside = if keeps { self.scope(tenant, scope) } else { Vec::new() };
        let find = |id: FaceId| {
            let sequence = inside.iter().find(|sequence| self.faces[sequence].id == id)?;
            Some((id, self.thumbnails.get(sequence)?.clone()))
        };
        each_once(ids).into_iter().filter_map(find).collect()
    }

    pub(super) fn keeps_thumbnails(&self, tenant: TenantId) -> bool {
        self.face_sets.values().any(|face_set| face_set.tenant == tenant && face_set.thumbnails)
    }
}
