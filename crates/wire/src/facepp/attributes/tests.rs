use likeness_domain::types::{
    BoundingBox, DenseLandmarks, Expressions, GenderEstimate, Landmarks, MeshLandmarks, Pose,
};
use serde_json::json;

use super::*;

/// Attributes as they are sent.
fn told(attributes: &Attributes) -> serde_json::Value {
    serde_json::from_slice(&crate::http::json::write(attributes)).unwrap()
}

fn all() -> Vec<&'static str> {
    ATTRIBUTES.map(|(name, _)| name).to_vec()
}

#[test]
fn what_was_measured_is_told_in_their_words() {
    let measured = Assessment {
        pose: Some(Pose { yaw: -12.34567, pitch: 3.0, roll: 0.5 }),
        expression: Some(Expressions([0.125, 0.5, 0.0, 0.125, 0.0, 0.0, 0.25])),
        age: Some(30.6),
        gender: Some(GenderEstimate { male: 0.25 }),
        openness: Some(Openness { right_eye: 0.3, left_eye: 0.3, mouth: 0.375, eye_contrast: 0.2 }),
        ..Assessment::default()
    };
    let quality = Quality { total: Some(0.75), sharpness: Some(0.875), ..Quality::default() };
    let expected = json!({
        "gender": {"value": "Female"},
        "age": {"value": 31},
        "smile": {"value": 50.0, "threshold": 50.0},
        "headpose": {"pitch_angle": 3.0, "roll_angle": 0.5, "yaw_angle": -12.346},
        "facequality": {"value": 75.0},
        "blur": {"blurness": {"value": 12.5}},
        "emotion": {"neutral": 12.5, "happiness": 50.0, "sadness": 0.0, "anger": 12.5, "fear": 0.0, "disgust": 0.0,
            "surprise": 25.0},
        "mouthstatus": {"open": 75.0, "close": 25.0},
    });
    assert_eq!(told(&attributes(&all(), &measured, &quality)), expected);
    assert_eq!(told(&attributes(&["age"], &measured, &quality)), json!({"age": {"value": 31}}));
}

#[test]
fn what_was_not_measured_is_left_out() {
    let nothing = attributes(&all(), &Assessment::default(), &Quality::default());
    assert_eq!(told(&nothing), json!({}));
}

#[test]
fn landmarks_have_the_pictures_left_and_right() {
    let point = |x: f32, y: f32| Point { x, y };
    let at = Detection {
        bounding_box: BoundingBox { left: 0, top: 0, width: 100, height: 100 },
        score: 1.0,
        landmarks: Landmarks([
            point(30.0, 40.4),
            point(70.0, 40.0),
            point(50.0, 60.0),
            point(35.0, 80.0),
            point(65.0, 80.0),
        ]),
    };
    let sparse = landmark(&at, &Assessment::default(), Set::Of83);
    assert_eq!((sparse["left_eye_center"].x, sparse["left_eye_center"].y), (30, 40));
    assert_eq!((sparse["mouth_right_corner"].x, sparse.len()), (65, 5));
    let mut points = [point(0.0, 0.0); 68];
    points.iter_mut().enumerate().for_each(|(idx, point)| point.x = idx as f32);
    let measured = Assessment { landmarks: Some(DenseLandmarks(Box::new(points))), ..Assessment::default() };
    let dense = landmark(&at, &measured, Set::Of106);
    assert_eq!((dense["contour_chin"].x, dense["left_eye_left_corner"].x, dense["nose_tip"].x), (8, 36, 30));
    assert_eq!(dense.len(), 17);
    let mut points = [point(0.0, 0.0); 468];
    points.iter_mut().enumerate().for_each(|(idx, point)| point.x = idx as f32);
    let measured = Assessment { mesh: Some(MeshLandmarks(Box::new(points))), ..measured };
    assert_eq!(landmark(&at, &measured, Set::Of83).len(), 81);
    let meshed = landmark(&at, &measured, Set::Of106);
    assert_eq!((meshed["contour_chin"].x, meshed["left_eye_left_corner"].x, meshed.len()), (152, 33, 104));
}
