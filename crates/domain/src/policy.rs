//! Which face of several, and which is good enough: pure functions with explicit options.

use std::cmp::Ordering;

use crate::ports::Doubt;
use crate::types::{BoundingBox, Detection, Quality, QualityFailure, QualityGate};
use crate::{Error, Kind};

/// Order of faces in an answer: largest box first; of equal boxes the surer one, then the higher, then the more left.
pub fn by_size(a: &Detection, b: &Detection) -> Ordering {
    let place = |detection: &Detection| (detection.bounding_box.top, detection.bounding_box.left);
    (b.bounding_box.area().cmp(&a.bounding_box.area())).then(b.score.total_cmp(&a.score)).then(place(a).cmp(&place(b)))
}

/// How far from the middle of a picture a face is: twice the distance between the centres of box and picture, squared.
/// Whole numbers, so equal is equal.
pub fn off_centre(bounding_box: BoundingBox, image_width: u32, image_height: u32) -> i64 {
    let BoundingBox { left, top, width, height } = bounding_box;
    let x = 2 * i64::from(left) + i64::from(width) - i64::from(image_width);
    let y = 2 * i64::from(top) + i64::from(height) - i64::from(image_height);
    x * x + y * y
}

/// Least share of the common area in the joint area for a face to be the one at a place that a caller drew: boxes that
/// people and other detectors draw around one face have a third and more.
const SAME_PLACE: f64 = 0.3;

/// Which of these boxes is at the place: the one that shares most with it, if it shares enough; of equals the first.
pub fn best_overlap(boxes: impl IntoIterator<Item = BoundingBox>, place: BoundingBox) -> Option<usize> {
    let mut best: Option<(usize, f64)> = None;
    for (idx, found) in boxes.into_iter().enumerate() {
        let share = iou(found, place);
        if share >= SAME_PLACE && best.is_none_or(|(_, most)| share > most) {
            best = Some((idx, share));
        }
    }
    best.map(|(idx, _)| idx)
}

/// Common area by joint area, 0 to 1.
fn iou(a: BoundingBox, b: BoundingBox) -> f64 {
    let span = |start_a: u32, size_a: u32, start_b: u32, size_b: u32| {
        let end = (u64::from(start_a) + u64::from(size_a)).min(u64::from(start_b) + u64::from(size_b));
        end.saturating_sub(u64::from(start_a.max(start_b)))
    };
    let common = span(a.left, a.width, b.left, b.width) * span(a.top, a.height, b.top, b.height);
    // In f64, since two boxes drawn by a caller may together be larger than any whole number we have.
    common as f64 / (a.area() as f64 + b.area() as f64 - common as f64).max(1.0)
}

/// Least figures of a face that may be enrolled, 0 (anything) to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityThresholds {
    /// Of [`Quality::sharpness`].
    pub sharpness: f32,
    /// Of [`Quality::illumination`].
    pub illumination: f32,
    /// Of [`Quality::pose`].
    pub pose: f32,
    /// Of [`Quality::visibility`].
    pub visibility: f32,
    /// Of [`Detection::size`].
    pub size: f32,
    /// Of [`Quality::total`].
    pub total: f32,
    /// Of the shorter side of the box in pixels; always known, so it refuses also where nothing is measured.
    pub side_px: u32,
}

impl QualityThresholds {
    /// Refuses nothing.
    pub const NONE: QualityThresholds = QualityThresholds {
        sharpness: 0.0,
        illumination: 0.0,
        pose: 0.0,
        visibility: 0.0,
        size: 0.0,
        total: 0.0,
        side_px: 0,
    };

    /// What a gate asks for. `Low` is where the default pack stops recognising: on photographs that were blurred,
    /// darkened and shrunk step by step, the template below it has less than about 0.6 in common with the original's, and
    /// a head turned by more than 70 degrees shows half a face. `Medium` asks for 45 degrees and 17 pixels between the
    /// eyes, `High` for 30 degrees and 28 pixels. `docs/quality.md` has what each refuses.
    pub const fn of(gate: QualityGate) -> Self {
        match gate {
            QualityGate::None => Self::NONE,
            QualityGate::Low => Self {
                sharpness: 0.1,
                illumination: 0.1,
                pose: 0.12,
                visibility: 0.2,
                size: 0.22,
                total: 0.3,
                side_px: 0,
            },
            QualityGate::Medium => Self {
                sharpness: 0.35,
                illumination: 0.35,
                pose: 0.5,
                visibility: 0.5,
                size: 0.5,
                total: 0.6,
                side_px: 0,
            },
            QualityGate::High => Self {
                sharpness: 0.6,
                illumination: 0.7,
                pose: 0.75,
                visibility: 0.8,
                size: 0.8,
                total: 0.8,
                side_px: 0,
            },
        }
    }

    /// The stricter one of both, figure by figure.
    #[must_use]
    pub const fn and(self, other: QualityThresholds) -> Self {
        Self {
            sharpness: self.sharpness.max(other.sharpness),
            illumination: self.illumination.max(other.illumination),
            pose: self.pose.max(other.pose),
            visibility: self.visibility.max(other.visibility),
            size: self.size.max(other.size),
            total: self.total.max(other.total),
            side_px: if self.side_px > other.side_px { self.side_px } else { other.side_px },
        }
    }
}

/// Every figure of a face that is below the floor; none if it is good enough. A figure that was not measured refuses
/// nothing: an installation that cannot measure it would otherwise enrol nobody.
pub fn poor_quality(quality: &Quality, detection: &Detection, floor: &QualityThresholds) -> Vec<QualityFailure> {
    let is_measured = *quality != Quality::default();
    let side_px = detection.bounding_box.width.min(detection.bounding_box.height);
    let figures = [
        ("blurred", "sharpness", quality.sharpness, floor.sharpness),
        ("badly lit", "illumination", quality.illumination, floor.illumination),
        ("turned away", "pose", quality.pose, floor.pose),
        ("hidden", "visibility", quality.visibility, floor.visibility),
        ("too small", "size", is_measured.then(|| detection.size()), floor.size),
        ("poor in all", "total", quality.total, floor.total),
        ("too small", "side in pixels", Some(side_px as f32), floor.side_px as f32),
    ];
    let short = |(reason, figure, value, least): (_, _, Option<f32>, f32)| {
        value.filter(|&value| value < least).map(|value| QualityFailure { reason, figure, value, least })
    };
    figures.into_iter().filter_map(short).collect()
}

/// The failure of a face that its mesh did not confirm.
pub fn doubtful(doubt: Doubt) -> QualityFailure {
    QualityFailure {
        reason: "not surely a face that can be recognised, as it is turned far away, hidden, or no face",
        figure: "presence",
        value: doubt.presence,
        least: doubt.presence_min,
    }
}

/// The refusal of a face for these reasons, of which there is at least one.
pub fn poor_quality_error(failures: &[QualityFailure]) -> Error {
    let reasons: Vec<_> = failures.iter().map(QualityFailure::to_string).collect();
    let message = format!("the face is too poor to be enrolled: {}", reasons.join(", "));
    Error::new(Kind::PoorQuality, message).with_failures(failures)
}

/// The refusal to compare a face that its mesh did not confirm: its template may match nobody.
pub fn doubtful_error(doubt: Doubt) -> Error {
    let failure = doubtful(doubt);
    Error::new(Kind::PoorQuality, format!("the face is too poor to be compared: {failure}")).with_failures(&[failure])
}

#[cfg(test)]
mod tests;
