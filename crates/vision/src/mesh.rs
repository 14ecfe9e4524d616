//! The face mesh: 468 points in three dimensions, as MediaPipe's face landmark model gives them.
//!
//! Points used by name (indices into [`FaceMesh::points`], sides as the person sees them): 33 and 133 the corners of the
//! right eye, 362 and 263 of the left eye, 1 the tip of the nose, 61 and 291 the corners of the mouth, 13 and 14 the
//! inner lips, 159 and 145 the lids of the right eye, 386 and 374 of the left, 10 the forehead, 152 the chin.

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
