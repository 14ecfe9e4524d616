//! Sixty-eight points on a head that exists nowhere, as a camera sees them.

use likeness_domain::types::{BoundingBox, DenseLandmarks, Point, Pose};

/// A face before a camera.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FakeHead {
    /// Where it looks.
    pub pose: Pose,
    /// How far the inner lips are apart, as a share of their width: 0 closed, 0.6 wide open.
    pub mouth: f32,
    /// Height of the eyes as a share of their width: 0.35 open, 0.05 closed.
    pub eyes: f32,
    /// Whether it is a flat picture of a head that looks into the camera, tilted as a whole.
    pub is_flat: bool,
}

impl Default for FakeHead {
    fn default() -> Self {
        Self { pose: Pose::default(), mouth: 0.0, eyes: 0.35, is_flat: false }
    }
}

/// Millimetres between camera and head.
const CAMERA_MM: f32 = 600.0;

/// Half of the points (the person's right, and the middle), in millimetres from between the eyes: to the right in the
/// picture, down, away from the camera. The other half mirrors them.
const PLACES: [(usize, [f32; 3]); 39] = [
    (0, [-72.0, 0.0, 90.0]),
    (1, [-71.0, 22.0, 86.0]),
    (2, [-68.0, 44.0, 80.0]),
    (3, [-63.0, 64.0, 70.0]),
    (4, [-54.0, 82.0, 56.0]),
    (5, [-42.0, 97.0, 38.0]),
    (6, [-28.0, 108.0, 22.0]),
    (7, [-14.0, 113.0, 9.0]),
    (8, [0.0, 114.0, 5.0]),
    (17, [-57.0, -16.0, 24.0]),
    (18, [-49.0, -23.0, 14.0]),
    (19, [-38.0, -26.0, 8.0]),
    (20, [-26.0, -24.0, 4.0]),
    (21, [-15.0, -20.0, 2.0]),
    (27, [0.0, -3.0, 0.0]),
    (28, [0.0, 9.0, -7.0]),
    (29, [0.0, 21.0, -14.0]),
    (30, [0.0, 34.0, -21.0]),
    (31, [-13.0, 43.0, 2.0]),
    (32, [-7.0, 45.0, -3.0]),
    (33, [0.0, 46.5, -6.0]),
    (36, [-45.0, 0.0, 28.0]),
    (37, [-36.0, 0.0, 19.0]),
    (38, [-26.0, 0.0, 15.0]),
    (39, [-16.5, 0.0, 14.0]),
    (40, [-26.0, 0.0, 15.0]),
    (41, [-36.0, 0.0, 19.0]),
    (48, [-25.5, 71.0, 12.0]),
    (49, [-15.0, 65.0, 0.0]),
    (50, [-6.0, 62.0, -6.0]),
    (51, [0.0, 63.0, -7.0]),
    (57, [0.0, 82.0, -4.0]),
    (58, [-6.0, 81.5, -3.0]),
    (59, [-15.0, 79.0, 2.0]),
    (60, [-21.0, 71.0, 10.0]),
    (61, [-8.0, 71.0, -3.0]),
    (62, [0.0, 71.0, -5.0]),
    (66, [0.0, 71.0, -5.0]),
    (67, [-8.0, 71.0, -3.0]),
];

/// The point on the other side of the face; those in the middle are their own.
fn mirrored(point_idx: usize) -> usize {
    match point_idx {
        0..=16 => 16 - point_idx,
        17..=26 => 43 - point_idx,
        31..=35 => 66 - point_idx,
        36..=39 | 42..=45 => 81 - point_idx,
        40..=41 | 46..=47 => 87 - point_idx,
        48..=54 => 102 - point_idx,
        55..=59 => 114 - point_idx,
        60..=64 => 124 - point_idx,
        65..=67 => 132 - point_idx,
        other => other,
    }
}

impl FakeHead {
    /// Its points in a picture in which its face, looking into the camera, would fill the box.
    pub fn landmarks(&self, bounding_box: &BoundingBox) -> DenseLandmarks {
        let mut points = Box::new([Point { x: 0.0, y: 0.0 }; 68]);
        for (point_idx, place) in PLACES {
            let [x, y, z] = self.moved(point_idx, place);
            points[point_idx] = self.seen([x, y, z], bounding_box);
            points[mirrored(point_idx)] = self.seen([-x, y, z], bounding_box);
        }
        DenseLandmarks(points)
    }

    /// The place of a point after lips and lids have moved.
    fn moved(&self, point_idx: usize, [x, y, z]: [f32; 3]) -> [f32; 3] {
        let (eye_mm, mouth_mm) = (28.5 * self.eyes, 42.0 * self.mouth);
        let down = match point_idx {
            37 | 38 => -eye_mm / 2.0,
            40 | 41 => eye_mm / 2.0,
            57..=59 | 65..=67 => mouth_mm,
            6..=8 => mouth_mm / 2.0,
            _ => 0.0,
        };
        [x, y + down, if self.is_flat { 0.0 } else { z }]
    }

    fn seen(&self, [x, y, z]: [f32; 3], bounding_box: &BoundingBox) -> Point {
        let [yaw, pitch, roll] = [self.pose.yaw, self.pose.pitch, self.pose.roll].map(f32::to_radians);
        // About the middle of the face, 45 mm below the eyes.
        let y = y - 45.0;
        let (y, z) = (y * pitch.cos() + z * pitch.sin(), z * pitch.cos() - y * pitch.sin());
        let (x, z) = (x * yaw.cos() - z * yaw.sin(), x * yaw.sin() + z * yaw.cos());
        let (x, y) = (x * roll.cos() - y * roll.sin(), x * roll.sin() + y * roll.cos());
        let scale = bounding_box.width as f32 / 144.0 * CAMERA_MM / (CAMERA_MM + z);
        Point {
            x: bounding_box.left as f32 + bounding_box.width as f32 / 2.0 + x * scale,
            y: bounding_box.top as f32 + bounding_box.height as f32 / 2.0 + y * scale,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOX: BoundingBox = BoundingBox { left: 100, top: 100, width: 144, height: 180 };

    #[test]
    fn every_point_has_a_place_of_its_side() {
        let points = FakeHead::default().landmarks(&BOX);
        for (point_idx, point) in points.0.iter().enumerate() {
            let across = points.0[mirrored(point_idx)];
            assert_ne!((point.x, point.y), (0.0, 0.0), "{point_idx}");
            assert!((point.x + across.x - 344.0).abs() < 0.01 && (point.y - across.y).abs() < 0.01, "{point_idx}");
        }
        assert!(points.jaw()[0].x < points.jaw()[16].x && points.eyes()[0].x < points.eyes()[6].x);
    }

    #[test]
    fn the_tip_of_the_nose_shows_where_the_head_looks() {
        let tip = |yaw, pitch| {
            let pose = Pose { yaw, pitch, roll: 0.0 };
            FakeHead { pose, ..FakeHead::default() }.landmarks(&BOX).nose()[3]
        };
        let ahead = tip(0.0, 0.0);
        assert!(tip(20.0, 0.0).x > ahead.x + 5.0, "left of the person is right in the picture");
        assert!(tip(0.0, 20.0).y < ahead.y - 5.0, "up");
    }

    #[test]
    fn lips_and_lids_open_as_told() {
        let head = FakeHead { mouth: 0.5, eyes: 0.2, ..FakeHead::default() }.landmarks(&BOX);
        let lips = &head.mouth()[12..];
        assert!(((lips[6].y - lips[2].y) / (lips[4].x - lips[0].x) - 0.5).abs() < 0.03);
        let eye = &head.eyes()[..6];
        assert!(((eye[5].y - eye[1].y) / (eye[3].x - eye[0].x) - 0.2).abs() < 0.02);
    }
}
