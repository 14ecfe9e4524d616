//! Where the labels of faces are put: inside the picture, never over each other, and over faces only where there is no
//! other place.

use super::canvas::Area;

/// A label to be placed.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Label {
    /// The box of the face it belongs to.
    pub(super) face: Area,
    /// Widths of the label's wordings in pixels, the preferred one first.
    pub(super) widths: Vec<f32>,
}

/// Where a label was put.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Placed {
    /// The label's area.
    pub(super) area: Area,
    /// Which of [`Label::widths`] it has.
    pub(super) wording: usize,
    /// Whether it lies so far from its face that a line should lead there.
    pub(super) is_apart: bool,
}

/// How high labels are, how far from a box, and where they may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// The picture.
    pub(super) bounds: Area,
    /// Height of every label in pixels.
    pub(super) height: f32,
    /// Pixels between a box and its label, and at least half of it between two labels.
    pub(super) gap: f32,
}

/// Cost of lying over faces with all of the label; a shorter wording is worth a fifth of it, and each label height of
/// distance a tenth.
const COVERING: f32 = 1.0;
const SHORTER: f32 = 0.2;
const DISTANCE: f32 = 0.1;

/// Puts every label somewhere, in their order; `None` where the picture has no free place left for one.
pub(super) fn place(labels: &[Label], room: &Room) -> Vec<Option<Placed>> {
    let faces: Vec<Area> = labels.iter().map(|label| label.face).collect();
    let mut placed: Vec<Option<Placed>> = Vec::with_capacity(labels.len());
    for label in labels {
        let taken: Vec<Area> = placed.iter().flatten().map(|placed| placed.area.grown(room.gap / 2.0)).collect();
        placed.push(best(label, room, &faces, &taken));
    }
    placed
}

/// The cheapest free place found so far.
struct Search<'a> {
    room: &'a Room,
    faces: &'a [Area],
    taken: &'a [Area],
    best: Option<(f32, Placed)>,
}

impl Search<'_> {
    /// Takes a place if it is free and cheaper than the best one; `extra` is added to what covering and wording cost.
    fn consider(&mut self, placed: Placed, extra: f32) {
        let area = &placed.area;
        let is_free = self.room.bounds.contains(area) && self.taken.iter().all(|other| other.common(area) == 0.0);
        let size = area.width() * area.height();
        if !is_free || size <= 0.0 {
            return;
        }
        let covered: f32 = self.faces.iter().map(|face| face.common(area)).sum::<f32>() / size;
        let cost = covered.min(3.0) * COVERING + placed.wording as f32 * SHORTER + extra;
        if self.best.is_none_or(|(least, _)| cost < least) {
            self.best = Some((cost, placed));
        }
    }
}

fn best(label: &Label, room: &Room, faces: &[Area], taken: &[Area]) -> Option<Placed> {
    let mut search = Search { room, faces, taken, best: None };
    for (wording, &width) in label.widths.iter().enumerate() {
        for (place_idx, (left, top)) in (0..).zip(beside(&label.face, width, room)) {
            let area = Area::at(left, top, width, room.height);
            search.consider(Placed { area, wording, is_apart: false }, place_idx as f32 * 0.005);
        }
    }
    if let Some((cost, placed)) = search.best
        && cost < COVERING / 2.0
    {
        return Some(placed);
    }
    // Nothing beside the box: anywhere in the picture, the nearer the better.
    let (wording, &width) = label.widths.iter().enumerate().next_back()?;
    for top in steps(room.bounds.top, room.bounds.bottom - room.height, room.height / 2.0) {
        for left in steps(room.bounds.left, room.bounds.right - width, width / 2.0) {
            let area = Area::at(left, top, width, room.height);
            let distance = gap_between(&area, &label.face) / room.height;
            let is_apart = distance > 0.75;
            let extra = distance * DISTANCE + if is_apart { 0.1 } else { 0.0 };
            search.consider(Placed { area, wording, is_apart }, extra);
        }
    }
    search.best.map(|(_, placed)| placed)
}

/// Corners of the places beside a box, the best first: above, below, to both sides, inside.
fn beside(face: &Area, width: f32, room: &Room) -> Vec<(f32, f32)> {
    let (above, below) = (face.top - room.gap - room.height, face.bottom + room.gap);
    let (before, after) = (face.left - room.gap - width, face.right + room.gap);
    let (aligned_right, aligned_bottom) = (face.right - width, face.bottom - room.height);
    let middle = (face.left + face.right - width) / 2.0;
    // At the edge of the picture a label may start outside its box.
    let inside_x = face.left.clamp(room.bounds.left, (room.bounds.right - width).max(room.bounds.left));
    vec![
        (face.left, above),
        (inside_x, above),
        (middle, above),
        (aligned_right, above),
        (face.left, below),
        (inside_x, below),
        (middle, below),
        (aligned_right, below),
        (after, face.top),
        (before, face.top),
        (after, aligned_bottom),
        (before, aligned_bottom),
        (face.left + room.gap, face.top + room.gap),
        (aligned_right - room.gap, face.top + room.gap),
        (face.left + room.gap, aligned_bottom - room.gap),
    ]
}

/// Pixels between two areas; 0 where they touch.
fn gap_between(a: &Area, b: &Area) -> f32 {
    let dx = (a.left - b.right).max(b.left - a.right).max(0.0);
    let dy = (a.top - b.bottom).max(b.top - a.bottom).max(0.0);
    dx.hypot(dy)
}

fn steps(from: f32, to: f32, step: f32) -> impl Iterator<Item = f32> {
    // At most 100 steps a side bound the work on large pictures with tiny labels.
    let step = step.max((to - from) / 100.0).max(1.0);
    (0..).map(move |idx| from + idx as f32 * step).take_while(move |at| *at <= to)
}

#[cfg(test)]
mod tests;
