//! The stages that find a face in two passes: the detector's first pass over a small picture, and the face mesh that
//! confirms and refines what it found.

use super::{CropInput, ModelFile};

/// `detect.first_pass`: the picture is scaled down for the detector once, and its other quarter turns are tried only when
/// no face is certain.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FirstPass {
    /// Pixels of the picture's longer side in this pass, 32 to [`super::Detect::side_max`].
    pub side: u32,
    /// Detector score from which no quarter turn is tried, [`super::Detect::score_min`] to 1.
    pub score_sure: f32,
}

/// Known families of face meshes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MeshFamily {
    /// MediaPipe's face landmark model without iris refinement: 468 points and a presence score.
    FaceMesh468,
}

/// `[mesh]`: fits a face mesh to a square crop about each face. Crops are turned by the tilt that the mesh itself found,
/// until little is left.
#[derive(Debug, Clone, PartialEq)]
pub struct MeshStage {
    /// Which code reads its outputs.
    pub family: MeshFamily,
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: CropInput,
    /// Side of the square crop, in longer sides of the face's box, 1 to 4.
    pub crop_scale: f32,
    /// Presence score (a logit) below which this is not taken for a face.
    pub presence_min: f32,
    /// Presence score below which crops of other tilts are tried as well; at least `presence_min`.
    pub presence_sure: f32,
    /// Degrees of tilt left after which the mesh is not run again, above 0 to 90.
    pub tilt_max: f32,
    /// Most runs of the mesh for one starting tilt, 1 to 16.
    pub passes_max: u32,
    /// Name of the output with the points: x, y and z of each in pixels of the crop; smaller z is nearer.
    pub points: String,
    /// Name of the output with the presence score: one number, a logit.
    pub presence: String,
}
