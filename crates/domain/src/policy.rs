//! Which face of several: pure functions with explicit options.

use crate::types::{BoundingBox, Detection};
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

/// Least share of the common area in the joint area for a face to be the one at a place that a caller drew: boxes that
/// people and other detectors draw around one face have a third and more.
const SAME_PLACE: f64 = 0.3;

/// Which of these boxes is at the place: the one that shares most with it, if it shares enough; of equals the first.
pub fn at_place(boxes: impl IntoIterator<Item = BoundingBox>, place: BoundingBox) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (idx, found) in boxes.into_iter().enumerate() {
        let share = common_share(found, place);
        if share >= SAME_PLACE && best.is_none_or(|(_, most)| share > most) {
            best = Some((idx, share));
        }
    }
    best.map(|(idx, _)| idx)
}

/// Common area by joint area, 0 to 1.
fn common_share(a: BoundingBox, b: BoundingBox) -> f64 {
    let span = |start_a: u32, size_a: u32, start_b: u32, size_b: u32| {
        let end = (u64::from(start_a) + u64::from(size_a)).min(u64::from(start_b) + u64::from(size_b));
        end.saturating_sub(u64::from(start_a.max(start_b)))
    };
    let common = span(a.left, a.width, b.left, b.width) * span(a.top, a.height, b.top, b.height);
    // In f64, since two boxes drawn by a caller may together be larger than any whole number we have.
    common as f64 / (a.area() as f64 + b.area() as f64 - common as f64).max(1.0)
}

#[cfg(test)]
mod tests;
