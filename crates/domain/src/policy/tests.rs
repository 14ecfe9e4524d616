use super::*;
use crate::limits::FACES_PER_IMAGE_MAX;
use crate::ports::FaceChoice;
use crate::types::{BoundingBox, Landmarks, Point};

fn detection(width: u32, height: u32, score: f32, top: u32, left: u32) -> Detection {
    let bounding_box = BoundingBox { left, top, width, height };
    Detection { bounding_box, score, landmarks: Landmarks([Point { x: 0.0, y: 0.0 }; 5]) }
}

#[test]
fn choices_count_faces() {
    for (choice, expected) in [
        (FaceChoice::None, [0, 0, 0, 0]),
        (FaceChoice::Largest, [0, 1, 1, 1]),
        (FaceChoice::LargestFew(2), [0, 1, 2, 2]),
        (FaceChoice::LargestFew(0), [0, 0, 0, 0]),
        (FaceChoice::All, [0, 1, 3, FACES_PER_IMAGE_MAX]),
    ] {
        assert_eq!([0, 1, 3, 1_000_000].map(|n_faces| choice.count(n_faces)), expected, "{choice:?}");
    }
}

#[test]
fn larger_then_surer_then_higher_then_more_left() {
    let in_order = [
        detection(30, 30, 0.1, 9, 9),
        detection(10, 40, 0.9, 9, 9),
        detection(20, 20, 0.8, 3, 9),
        detection(40, 10, 0.8, 5, 1),
        detection(20, 20, 0.8, 5, 2),
    ];
    let mut shuffled = [3, 1, 4, 0, 2].map(|detection_idx: usize| in_order[detection_idx]);
    shuffled.sort_by(by_size);
    assert_eq!(shuffled, in_order);
}

#[test]
fn huge_boxes_do_not_overflow() {
    let huge = detection(u32::MAX, u32::MAX, 0.5, 0, 0);
    assert_eq!(by_size(&huge, &detection(1, 1, 0.5, 0, 0)), Ordering::Less);
}

#[test]
fn a_later_gate_is_stricter_in_every_figure() {
    let floors = QualityGate::ALL.map(QualityThresholds::of);
    for pair in floors.windows(2) {
        assert_eq!(pair[0].and(pair[1]), pair[1], "{pair:?}");
    }
    assert_eq!(floors[0], QualityThresholds::NONE);
    assert_eq!(QualityGate::ALL.map(|gate| QualityGate::from_word(gate.word()).unwrap()), QualityGate::ALL);
    let message = "`quality` is `best`, expected none, low, medium or high";
    assert_eq!(QualityGate::from_word("best").unwrap_err().message(), message);
}

#[test]
fn a_figure_at_the_floor_is_enough_and_one_below_is_printed_below() {
    let floor = QualityThresholds { sharpness: 0.5, side_px: 20, ..QualityThresholds::NONE };
    let reasons = |sharpness, side| {
        let quality = Quality { sharpness: Some(sharpness), ..Quality::default() };
        let reasons = poor_quality(&quality, &detection(side, 90, 0.9, 0, 0), &floor);
        reasons.iter().map(QualityFailure::to_string).collect::<Vec<_>>()
    };
    assert!(reasons(0.5, 20).is_empty());
    assert_eq!(reasons(0.4999, 20), ["blurred (sharpness 0.49, expected at least 0.50)"]);
    assert_eq!(reasons(1.0, 19), ["too small (side in pixels 19.00, expected at least 20.00)"]);
}
