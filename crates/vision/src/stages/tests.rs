use super::*;

#[test]
fn box_reaching_beyond_the_picture_is_clamped_and_its_landmarks_are_not() {
    let landmarks = Landmarks([Point { x: -2.0, y: -1.0 }; 5]);
    let face = FoundFace { corners: [-5.0, -3.0, 400.0, 20.4], landmarks, score: 0.9 };
    let detection = detection(&face, 100, 60);
    assert_eq!(detection.bounding_box, BoundingBox { left: 0, top: 0, width: 100, height: 20 });
    assert_eq!(detection.landmarks.0[0], Point { x: -2.0, y: -1.0 });
}
