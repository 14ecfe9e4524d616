//! The face mesh: 468 points in three dimensions, as MediaPipe's face landmark model gives them.
//!
//! Points used by name (indices into [`FaceMesh::points`], sides as the person sees them): 33 and 133 the corners of the
//! right eye, 362 and 263 of the left eye, 1 the tip of the nose, 61 and 291 the corners of the mouth, 13 and 14 the
//! inner lips, 159 and 145 the lids of the right eye, 386 and 374 of the left, 10 the forehead, 152 the chin.

mod net;

pub(crate) use net::turn_between;
pub use net::{FacePlace, MeshFit, MeshNet};

use likeness_domain::types::{Landmarks, Point};

/// Points of a mesh.
pub const N_POINTS: usize = 468;

/// A point of a mesh, in pixels of the upright picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct MeshPoint {
    /// Column.
    pub x: f32,
    /// Row.
    pub y: f32,
    /// Depth in the same unit, relative to the head's centre; smaller is nearer to the camera.
    pub z: f32,
}

/// A face's mesh.
#[derive(Clone, PartialEq)]
pub struct FaceMesh {
    /// All points, in the model's order.
    pub points: Box<[MeshPoint; N_POINTS]>,
    /// How surely this is a face: a logit. Faces reach 17 to 35, other things stay below 0.
    pub presence: f32,
}

// The shape of a face is biometric data: no point is printed.
impl std::fmt::Debug for FaceMesh {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaceMesh({N_POINTS} points, presence {:.1})", self.presence)
    }
}

impl FaceMesh {
    /// The five points that detectors report: the middle of each eye's corners, the tip of the nose, the corners of the
    /// mouth; right and left of the person, right first.
    pub fn five_points(&self) -> Landmarks {
        let middle = |a: usize, b: usize| Point {
            x: (self.points[a].x + self.points[b].x) / 2.0,
            y: (self.points[a].y + self.points[b].y) / 2.0,
        };
        Landmarks([middle(33, 133), middle(362, 263), middle(1, 1), middle(61, 61), middle(291, 291)])
    }

    /// All points in the plane of the picture.
    pub fn plane(&self) -> Vec<Point> {
        self.points.iter().map(|point| Point { x: point.x, y: point.y }).collect()
    }

    /// Left, top, right and bottom edge of the points.
    pub fn extent(&self) -> [f32; 4] {
        let start = [f32::INFINITY, f32::INFINITY, f32::NEG_INFINITY, f32::NEG_INFINITY];
        self.points.iter().fold(start, |[left, top, right, bottom], point| {
            [left.min(point.x), top.min(point.y), right.max(point.x), bottom.max(point.y)]
        })
    }

    /// Degrees by which the line through the eyes is turned clockwise in the picture, -180 to 180.
    pub fn tilt(&self) -> f64 {
        let Landmarks([right_eye, left_eye, ..]) = self.five_points();
        f64::from(left_eye.y - right_eye.y).atan2(f64::from(left_eye.x - right_eye.x)).to_degrees()
    }

    /// The same mesh in a picture that is `factor` times as large (pixel centres counted from the top left one).
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        let point = |point: &MeshPoint| MeshPoint {
            x: (point.x + 0.5) * factor - 0.5,
            y: (point.y + 0.5) * factor - 0.5,
            z: point.z * factor,
        };
        let points = Box::new(std::array::from_fn(|idx| point(&self.points[idx])));
        Self { points, presence: self.presence }
    }
}
