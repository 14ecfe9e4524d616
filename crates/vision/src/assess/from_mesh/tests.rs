use super::*;
use crate::mesh::N_POINTS;

const ZERO: MeshPoint = MeshPoint { x: 0.0, y: 0.0, z: 0.0 };

/// The mesh that the net would draw of the average head in this pose, two pixels a millimetre: with less yaw, as
/// [`YAW_FACTOR`] says. Points that are not on the head lie at the origin.
fn drawn(pose: Pose) -> FaceMesh {
    let [yaw, pitch, roll] =
        [pose.yaw / YAW_FACTOR, pose.pitch, pose.roll].map(|angle| f64::from(angle).to_radians().sin_cos());
    let mut points = Box::new([ZERO; N_POINTS]);
    for (idx, place) in head::HEAD {
        let [x, y, z] = place.map(f64::from);
        // Written out axis by axis, to be another way than the solver's: nod, then turn, then tilt.
        let (y, z) = (y * pitch.1 + z * pitch.0, z * pitch.1 - y * pitch.0);
        let (x, z) = (x * yaw.1 - z * yaw.0, x * yaw.0 + z * yaw.1);
        let (x, y) = (x * roll.1 - y * roll.0, x * roll.0 + y * roll.1);
        points[idx] = MeshPoint { x: (300.0 + 2.0 * x) as f32, y: (200.0 + 2.0 * y) as f32, z: (2.0 * z) as f32 };
    }
    FaceMesh { points, presence: 25.0 }
}

#[track_caller]
fn check_near(found: Option<Pose>, expected: Pose, tolerance: f32) {
    let found = found.expect("there is a pose");
    let off = |a: f32, b: f32| ((a - b + 540.0).rem_euclid(360.0) - 180.0).abs();
    let worst = off(found.yaw, expected.yaw).max(off(found.pitch, expected.pitch)).max(off(found.roll, expected.roll));
    assert!(worst <= tolerance, "{found:?}, expected {expected:?} to {tolerance} degrees");
}

fn poses() -> impl Iterator<Item = Pose> {
    let angles = |end: i32| (-end..=end).step_by(15).map(|angle| angle as f32);
    angles(75)
        .flat_map(move |yaw| angles(45).map(move |pitch| (yaw, pitch)))
        .flat_map(|(yaw, pitch)| [0.0, 20.0, 90.0, 180.0, -90.0].map(|roll| Pose { yaw, pitch, roll }))
}

#[test]
fn a_turned_head_is_found_to_a_hundredth_of_a_degree() {
    poses().for_each(|head| check_near(pose(&drawn(head)), head, 0.01));
}

#[test]
fn points_that_are_a_fiftieth_of_the_face_off_cost_less_than_two_degrees() {
    // A fixed pattern of errors, up to 5 pixels each way on a face of 260, in depth as well.
    let noise = |n: usize| ((n * 7919 + 13) % 101) as f32 / 10.0 - 5.0;
    for head in poses() {
        let mut mesh = drawn(head);
        for (idx, point) in mesh.points.iter_mut().enumerate() {
            (point.x, point.y, point.z) =
                (point.x + noise(3 * idx), point.y + noise(3 * idx + 1), point.z + noise(3 * idx + 2));
        }
        check_near(pose(&mesh), head, 2.0);
    }
}

#[test]
fn signs_are_those_of_the_contract() {
    let nose = |head: Pose| drawn(head).points[1];
    let ahead = nose(Pose::default());
    // Turned to the person's left: the tip of the nose moves to the right of the picture. Looking up: it moves up.
    assert!(nose(Pose { yaw: 30.0, ..Pose::default() }).x > ahead.x + 20.0);
    assert!(nose(Pose { pitch: 30.0, ..Pose::default() }).y < ahead.y);
    let tilted = drawn(Pose { roll: 30.0, ..Pose::default() });
    assert!(
        tilted.points[263].y > tilted.points[33].y,
        "clockwise: the left eye, on the right of the picture, moves down"
    );
    assert!(ahead.z < drawn(Pose::default()).points[33].z, "the nose is nearer to the camera than the eyes");
}

#[test]
fn what_is_no_head_has_no_pose() {
    let mut mesh = FaceMesh { points: Box::new([MeshPoint { x: 5.0, y: 5.0, z: 5.0 }; N_POINTS]), presence: 25.0 };
    assert_eq!(pose(&mesh), None);
    for strange in [f32::NAN, f32::INFINITY] {
        mesh.points[1].x = strange;
        assert_eq!(pose(&mesh), None);
    }
}

#[test]
fn landmarks_and_head_are_points_of_the_mesh_each_once() {
    let distinct = |mut all: Vec<usize>| {
        all.sort_unstable();
        all.dedup();
        (all.len(), all.last().copied())
    };
    let (n_landmarks, last) = distinct(LANDMARKS_68.to_vec());
    assert!(n_landmarks == 68 && last < Some(N_POINTS));
    let (n_head, last) = distinct(head::HEAD.map(|(idx, _)| idx).to_vec());
    assert!(n_head == head::HEAD.len() && last < Some(N_POINTS));
}

#[test]
fn openness_is_height_by_width_whatever_the_size() {
    let mut mesh = FaceMesh { points: Box::new([ZERO; N_POINTS]), presence: 25.0 };
    for (opening, x, height) in [(&RIGHT_EYE, 0.0, 6.0), (&LEFT_EYE, 50.0, 3.0), (&LIPS, 20.0, 15.0)] {
        mesh.points[opening.corners[0]].x = x;
        mesh.points[opening.corners[1]].x = x + 30.0;
        for (step, [upper, lower]) in opening.across.into_iter().enumerate() {
            mesh.points[upper] = MeshPoint { x: x + 10.0 + step as f32, y: -height / 2.0, z: 1.0 };
            mesh.points[lower] = MeshPoint { x: x + 10.0 + step as f32, y: height / 2.0, z: 1.0 };
        }
    }
    let grey = RgbImage::new(4, 4, vec![128; 48]).unwrap();
    for size in [1.0, 3.0] {
        let found = openness(&grey, &mesh.scaled(size));
        assert_eq!(found.eye_contrast, 0.0);
        for (found, expected) in [(found.right_eye, 0.2), (found.left_eye, 0.1), (found.mouth, 0.5)] {
            assert!((found - expected).abs() < 1e-4, "{found} {expected}");
        }
        assert!(found.is_mouth_open());
    }
}

#[test]
fn an_even_lid_has_no_contrast_and_an_iris_has_whatever_its_size_and_light() {
    // An eye of 40 pixels about (60, 30): white, with an iris as wide as a third of it.
    let eye = |size: f32, light: f32, is_open: bool| {
        let side = (120.0 * size) as u32;
        let pixel = |x: u32| {
            let is_iris = ((x as f32 + 0.5) / size - 60.5).abs() < 7.0;
            (light * if is_iris && is_open { 60.0 } else { 200.0 }) as u8
        };
        let data = (0..side).flat_map(|_| (0..side).flat_map(|x| [pixel(x); 3])).collect();
        let picture = RgbImage::new(side, side, data).unwrap();
        let corner = |x: f32| Point { x: (x + 0.5) * size - 0.5, y: (30.0 + 0.5) * size - 0.5 };
        contrast_along(&picture, [corner(40.0), corner(80.0)])
    };
    let open = eye(1.0, 1.0, true);
    assert!(open > 0.3, "{open}");
    for (size, light) in [(3.0, 1.0), (1.0, 0.4), (2.0, 1.2)] {
        let other = eye(size, light, true);
        assert!((other / open - 1.0).abs() < 0.1, "{size} {light}: {other}, {open}");
        assert!(eye(size, light, false) < 0.01);
    }
    let white = RgbImage::new(4, 4, vec![255; 48]).unwrap();
    let outside = [Point { x: -90.0, y: 900.0 }, Point { x: -50.0, y: 900.0 }];
    assert_eq!(contrast_along(&white, outside), 0.0, "no panic beyond the picture");
}
