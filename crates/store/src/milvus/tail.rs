//! What changed in a set since Milvus was told: laid over Milvus' answers, exactly.

use std::collections::HashMap;

use likeness_domain::ports::{GalleryChange, GalleryEntry};
use likeness_domain::types::{FaceId, Revision};

/// The changes of one set after a commit.
///
/// # Invariants
/// `rows` has every face that changed after `from`, with the last such change.
#[derive(Debug, Default)]
pub(super) struct Tail {
    from: Revision,
    /// `None`: it is no longer in the gallery.
    rows: HashMap<FaceId, (Revision, Option<GalleryEntry>)>,
}

impl Tail {
    /// One that begins here.
    pub(super) fn new(from: Revision) -> Self {
        Self { from, rows: HashMap::new() }
    }

    /// Whether it has everything that changed after `position`.
    pub(super) fn reaches(&self, position: Revision) -> bool {
        self.from <= position
    }

    pub(super) fn from(&self) -> Revision {
        self.from
    }

    pub(super) fn n_rows(&self) -> usize {
        self.rows.len()
    }

    /// Takes a change over. With more than `rows_max` rows it begins anew: what it had is in the record of commits.
    pub(super) fn record(&mut self, revision: Revision, change: &GalleryChange, rows_max: usize) {
        match change {
            GalleryChange::Open { .. } => {}
            GalleryChange::Close { .. } => self.rows.clear(),
            GalleryChange::Put { entry, .. } => {
                self.rows.insert(entry.face, (revision, Some(entry.clone())));
            }
            GalleryChange::Remove { face, .. } => {
                self.rows.insert(*face, (revision, None));
            }
        }
        if self.rows.len() > rows_max {
            *self = Self::new(revision);
        }
    }

    /// Lets go of what Milvus has by now.
    pub(super) fn trim(&mut self, position: Revision) {
        if self.from < position {
            self.from = position;
            self.rows.retain(|_, (revision, _)| *revision > position);
        }
    }

    /// Puts what was read from the record of commits before what it has: changes after `from`, which are there up to where
    /// it began.
    pub(super) fn extend_back(&mut self, from: Revision, rows: HashMap<FaceId, (Revision, Option<GalleryEntry>)>) {
        self.from = from;
        for (face, row) in rows {
            self.rows.entry(face).or_insert(row);
        }
    }

    /// The faces that changed.
    pub(super) fn faces(&self) -> impl Iterator<Item = FaceId> {
        self.rows.keys().copied()
    }

    /// The rows that are in the gallery.
    pub(super) fn entries(&self) -> impl Iterator<Item = &GalleryEntry> {
        self.rows.values().filter_map(|(_, entry)| entry.as_ref())
    }
}

#[cfg(test)]
mod tests {
    use likeness_domain::types::FaceSetId;

    use super::*;

    fn removing(number: u64) -> GalleryChange {
        GalleryChange::Remove { face_set: FaceSetId::new(1).unwrap(), face: FaceId::new(number).unwrap() }
    }

    fn face(number: u64) -> FaceId {
        FaceId::new(number).unwrap()
    }

    fn has(tail: &Tail, number: u64) -> bool {
        tail.faces().any(|changed| changed == face(number))
    }

    #[test]
    fn what_milvus_has_is_let_go_and_later_changes_of_the_same_face_stay() {
        let mut tail = Tail::new(Revision(3));
        for (revision, number) in [(4, 1), (5, 2), (6, 1)] {
            tail.record(Revision(revision), &removing(number), 9);
        }
        tail.trim(Revision(5));
        assert!(has(&tail, 1) && !has(&tail, 2));
        assert!(tail.reaches(Revision(5)) && !tail.reaches(Revision(4)));
        tail.trim(Revision(4));
        assert!(tail.reaches(Revision(5)));
    }

    #[test]
    fn one_that_grew_too_long_is_read_from_the_record() {
        let mut tail = Tail::new(Revision(3));
        for number in 1..=3 {
            tail.record(Revision(3 + number), &removing(number), 2);
        }
        assert_eq!((tail.from(), tail.n_rows()), (Revision(6), 0));
        tail.record(Revision(7), &removing(1), 2);
        let read = [(face(1), (Revision(4), None)), (face(2), (Revision(5), None))];
        tail.extend_back(Revision(3), read.into_iter().collect());
        assert!(tail.reaches(Revision(3)) && has(&tail, 1) && has(&tail, 2));
        tail.trim(Revision(5));
        // The later change of the first face is the one that counts.
        assert!(has(&tail, 1) && !has(&tail, 2));
    }
}
