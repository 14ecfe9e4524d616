use super::*;
use crate::limits::FACES_PER_IMAGE_MAX;
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
