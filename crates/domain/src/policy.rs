//! Which face of several: pure functions with explicit options.

use crate::types::Detection;
use std::cmp::Ordering;

/// Which of the faces in an image are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceChoice {
    /// None: only where they are is asked.
    None,
    /// The one with the largest box.
    Largest,
    /// Up to this many, largest first.
    LargestFew(usize),
    /// All of them, up to [`crate::limits::FACES_PER_IMAGE_MAX`].
    All,
}

impl FaceChoice {
    /// How many faces of `n_faces`, sorted by [`by_size`], are meant: the first so many.
    pub fn count(self, n_faces: usize) -> usize {
        match self {
            FaceChoice::None => 0,
            FaceChoice::Largest => n_faces.min(1),
            FaceChoice::LargestFew(n_max) => n_faces.min(n_max),
            FaceChoice::All => n_faces.min(crate::limits::FACES_PER_IMAGE_MAX),
        }
    }
}

/// Order of faces in an answer: largest box first; of equal boxes the surer one, then the higher, then the more left.
pub fn by_size(a: &Detection, b: &Detection) -> Ordering {
    let place = |detection: &Detection| (detection.bounding_box.top, detection.bounding_box.left);
    (b.bounding_box.area().cmp(&a.bounding_box.area())).then(b.score.total_cmp(&a.score)).then(place(a).cmp(&place(b)))
}

#[cfg(test)]
mod tests;
