use super::*;

/// Where a pinhole camera `distance_mm` away sees the head's places in this pose, on a face some 150 pixels wide.
fn photographed(places: &[Place], pose: Pose, distance_mm: f64) -> Vec<Point> {
    let (yaw, pitch, roll) =
        (f64::from(pose.yaw).to_radians(), f64::from(pose.pitch).to_radians(), f64::from(pose.roll).to_radians());
    let project = |&[x, y, z]: &Place| {
        // Written out here, axis by axis, to be another way than the solver's: nod, then turn, then tilt.
        let (y, z) = (y * pitch.cos() + z * pitch.sin(), z * pitch.cos() - y * pitch.sin());
        let (x, z) = (x * yaw.cos() - z * yaw.sin(), x * yaw.sin() + z * yaw.cos());
        let (x, y) = (x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos());
        let size = 1.7 * distance_mm / (distance_mm + z);
        Point { x: (300.0 + size * x) as f32, y: (200.0 + size * y) as f32 }
    };
    places.iter().map(project).collect()
}

fn dense(pose: Pose, distance_mm: f64) -> DenseLandmarks {
    let points = photographed(&DENSE_PLACES.map(|(_, place, _)| place), pose, distance_mm);
    let mut all = [Point { x: f32::NAN, y: f32::NAN }; 68];
    for ((point_idx, _, _), point) in DENSE_PLACES.iter().zip(points) {
        all[*point_idx] = point;
    }
    DenseLandmarks(Box::new(all))
}

fn sparse(pose: Pose, distance_mm: f64) -> Landmarks {
    Landmarks(photographed(&SPARSE_PLACES, pose, distance_mm).try_into().expect("there are five"))
}

#[track_caller]
fn check_near(found: Option<Pose>, expected: Pose, tolerance: f32) {
    let found = found.expect("there is a pose");
    // The difference of two rolls of 179 and -179 is 2.
    let off = |a: f32, b: f32| ((a - b + 540.0).rem_euclid(360.0) - 180.0).abs();
    let worst = off(found.yaw, expected.yaw).max(off(found.pitch, expected.pitch)).max(off(found.roll, expected.roll));
    assert!(worst <= tolerance, "{found:?}, expected {expected:?} to {tolerance} degrees");
}

/// Poses in which a detector may find a face, and the four ways up.
fn poses() -> impl Iterator<Item = Pose> {
    let angles = |step: usize, end: i32| (-end..=end).step_by(step).map(|angle| angle as f32);
    angles(15, 60)
        .flat_map(move |yaw| angles(15, 45).map(move |pitch| (yaw, pitch)))
        .flat_map(|(yaw, pitch)| [0.0, 20.0, 90.0, 180.0, -90.0].map(|roll| Pose { yaw, pitch, roll }))
}

#[test]
fn a_head_seen_by_the_assumed_camera_is_found_to_a_twentieth_of_a_degree() {
    for pose in poses() {
        check_near(of_dense(&dense(pose, CAMERA_MM)), pose, 0.05);
        check_near(of_sparse(&sparse(pose, CAMERA_MM)), pose, 0.05);
    }
}

#[test]
fn a_camera_at_another_distance_costs_less_than_four_degrees() {
    for distance_mm in [400.0, 2_000.0, 1e9] {
        for pose in poses() {
            check_near(of_dense(&dense(pose, distance_mm)), pose, 4.0);
        }
    }
}

#[test]
fn five_points_at_another_distance_cost_less_than_six_degrees() {
    for distance_mm in [400.0, 2_000.0, 1e9] {
        for pose in poses() {
            check_near(of_sparse(&sparse(pose, distance_mm)), pose, 6.0);
        }
    }
}

#[test]
fn landmarks_that_are_a_hundredth_of_the_face_off_cost_less_than_five_degrees() {
    // A fixed pattern of errors, up to 1.5 pixels each way on a face of 150.
    let noise = |n: usize| ((n * 7919 + 13) % 31) as f32 / 10.0 - 1.5;
    for pose in poses() {
        let mut landmarks = dense(pose, CAMERA_MM);
        for (point_idx, point) in landmarks.0.iter_mut().enumerate() {
            point.x += noise(2 * point_idx);
            point.y += noise(2 * point_idx + 1);
        }
        check_near(of_dense(&landmarks), pose, 5.0);
    }
}

#[test]
fn signs_are_those_of_the_contract() {
    let nose_off = |pose: Pose| {
        let [right_eye, left_eye, nose, ..] = sparse(pose, CAMERA_MM).0;
        (nose.x - (right_eye.x + left_eye.x) / 2.0, nose.y, left_eye.y - right_eye.y)
    };
    let (x, y, slant) = nose_off(Pose::default());
    assert_eq!((x, slant), (0.0, 0.0));
    // Turned to the person's left: the tip of the nose moves to the right of the picture.
    assert!(nose_off(Pose { yaw: 30.0, ..Pose::default() }).0 > 10.0);
    // Looking up: it moves up.
    assert!(nose_off(Pose { pitch: 30.0, ..Pose::default() }).1 < y);
    // Clockwise: the person's left eye, on the right of the picture, moves down.
    assert!(nose_off(Pose { roll: 30.0, ..Pose::default() }).2 > 10.0);
}

#[test]
fn what_is_no_face_has_no_pose() {
    let same = Point { x: 5.0, y: 5.0 };
    assert_eq!(of_sparse(&Landmarks([same; 5])), None);
    assert_eq!(of_dense(&DenseLandmarks(Box::new([same; 68]))), None);
    let mut not_finite = sparse(Pose::default(), CAMERA_MM);
    not_finite.0[2].x = f32::NAN;
    assert_eq!(of_sparse(&not_finite), None);
    not_finite.0[2].x = f32::INFINITY;
    assert_eq!(of_sparse(&not_finite), None);
}
