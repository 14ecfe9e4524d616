//! One person throughout: no one may do the first action and hand over to another.

use super::TrackedFace;
use crate::types::Similarity;

/// Moments in a row that may look like somebody else: motion blur lasts about two.
const STRANGE_IN_A_ROW_MAX: usize = 2;

/// Which of the faces are the person's whom most of the clip shows. A face is if it resembles the reference (the face
/// most like all others), or the last face before it that is: a turned head resembles the frontal one less and less, but
/// each step of the turn resembles the step before.
pub(super) fn of_one_person(faces: &[(usize, &TrackedFace)], similarity_min: Similarity) -> Vec<bool> {
    let alike = |a: &TrackedFace, b: &TrackedFace| {
        a.template.similarity(&b.template).is_some_and(|similarity| similarity >= similarity_min)
    };
    let popularity = |face: &TrackedFace| faces.iter().filter(|(_, other)| alike(face, other)).count();
    // `max_by_key` takes the last of equals; the first is wanted, so that nobody can replace the person later on.
    let Some((_, reference)) = faces.iter().rev().max_by_key(|(_, face)| popularity(face)) else { return Vec::new() };
    let mut last = *reference;
    let step = |(_, face): &(usize, &'_ TrackedFace)| alike(face, reference);
    let direct: Vec<bool> = faces.iter().map(step).collect();
    let mut chained = Vec::with_capacity(faces.len());
    for ((_, face), is_direct) in faces.iter().zip(direct) {
        let is_same = is_direct || alike(face, last);
        if is_same {
            last = face;
        }
        chained.push(is_same);
    }
    chained
}

/// Whether the strange moments are few enough to be blur.
pub(super) fn is_one_person(is_same: &[bool]) -> bool {
    let longest = is_same.split(|&is_same| is_same).map(<[bool]>::len).max().unwrap_or(0);
    let n_strange = is_same.iter().filter(|&&is_same| !is_same).count();
    longest <= STRANGE_IN_A_ROW_MAX && n_strange * 5 <= is_same.len()
}
