use super::*;

fn face() -> FoundFace {
    let at = |x: f32, y: f32| Point { x, y };
    FoundFace {
        corners: [10.0, 20.0, 30.0, 50.0],
        landmarks: Landmarks([at(14.0, 28.0), at(25.0, 28.0), at(20.0, 35.0), at(15.0, 42.0), at(24.0, 42.0)]),
        score: 0.9,
    }
}

#[test]
fn face_found_in_a_turned_picture_is_put_where_it_was() {
    // The picture is 100 x 60; turned by 90 degrees it is 60 x 100, and its left column was the bottom row.
    let back = turned_back(&face(), ExifOrientation::TURN_90, 100, 60);
    assert_eq!(back.corners, [20.0, 30.0, 50.0, 50.0]);
    assert_eq!(back.landmarks.0[0], Point { x: 28.0, y: 45.0 });
    let back = turned_back(&face(), ExifOrientation::TURN_180, 100, 60);
    assert_eq!(back.corners, [70.0, 10.0, 90.0, 40.0]);
    let back = turned_back(&face(), ExifOrientation::TURN_270, 100, 60);
    assert_eq!(back.corners, [50.0, 10.0, 80.0, 30.0]);
    assert_eq!(back.landmarks.0[0], Point { x: 71.0, y: 14.0 });
}

#[test]
fn box_reaching_beyond_the_picture_is_clamped_and_its_landmarks_are_not() {
    let mut face = face();
    face.corners = [-5.0, -3.0, 400.0, 20.4];
    face.landmarks.0[0] = Point { x: -2.0, y: -1.0 };
    let detection = detection(&face, 100, 60);
    assert_eq!(detection.bounding_box, BoundingBox { left: 0, top: 0, width: 100, height: 20 });
    assert_eq!(detection.landmarks.0[0], Point { x: -2.0, y: -1.0 });
}
