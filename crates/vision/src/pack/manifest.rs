//! `manifest.toml`: what a pack is made of, and every number its models need.
//!
//! Nothing is guessed from tensor shapes or node names: a family word picks the code, the rest is stated here. Unknown
//! keys are refused, so a typo is an error and not a silently ignored wish.
//!
//! A pack recognises (`detect`, `align`, `embed` and `score`, all four, and perhaps `mesh`), or assesses (any of the tables of
//! [`AssessStages`]), or does both.
//!
//! # Invariants
//! A [`Manifest`] is checked as a whole by [`Manifest::parse`], the only maker: ranges hold, file names stay inside the
//! pack's folder, the operating points form a [`Calibration`].

mod assess;
mod mesh;
mod raw;

#[cfg(test)]
mod tests;

use likeness_domain::score::Calibration;
use likeness_domain::types::PackId;
use likeness_domain::{Error, Kind, Result};

use super::digest::Digest;

pub use assess::{AgeGenderStage, AssessStages, ExpressionStage, Landmarks68Stage, LivenessModel, LivenessStage};
pub use mesh::{FirstPass, MeshFamily, MeshStage};

/// Name of the manifest within a pack's folder.
pub const MANIFEST_FILE: &str = "manifest.toml";

/// Bytes of a manifest; the default pack's has two thousand.
pub const MANIFEST_BYTES_MAX: usize = 64 * 1024;

/// Largest [`Detect::side_max`]: beyond it the first layers of a detector alone would take gigabytes.
pub const DETECT_SIDE_MAX: u32 = 8192;

/// A checked manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Manifest {
    id: PackId,
    pack: PackDescription,
    recognition: Option<Recognition>,
    assess: AssessStages,
}

/// `[pack]`: what it is called and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PackDescription {
    /// Its name, without version: 1 to 48 of `a-z 0-9 - _`, beginning with a letter or digit.
    pub name: String,
    /// Its version, 1 to 9999. Another version is another pack: scores across versions mean nothing.
    pub version: u32,
    /// Licence of the weights, in words.
    pub licence: String,
    /// What a user should know before relying on it; may be empty.
    pub note: String,
}

/// What makes templates of faces, and gives their similarity a meaning.
#[derive(Debug, Clone, PartialEq)]
pub struct Recognition {
    /// Dimensions of the templates (`pack.dimension`), 1 to 4096.
    pub dimensions: usize,
    /// The detector.
    pub detect: Detect,
    /// The face mesh, which confirms and refines what the detector found; packs without one go by the detector alone.
    pub mesh: Option<MeshStage>,
    /// The alignment.
    pub align: Align,
    /// The embedder.
    pub embed: Embed,
    /// What similarities mean.
    pub score: Score,
}

/// A file of the pack and what its bytes must be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ModelFile {
    /// Its name in the pack's folder, never a path.
    pub name: String,
    /// SHA-256 of its bytes.
    pub sha256: Digest,
}

/// Order of the colour planes a model wants.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ColourOrder {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// `[detect]`: finds faces and their five landmarks.
#[derive(Debug, Clone, PartialEq)]
pub struct Detect {
    /// Which code reads its outputs.
    pub family: DetectFamily,
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: DetectInput,
    /// Its output strides in pixels, rising.
    pub strides: Vec<u32>,
    /// Detections below this score are no faces, above 0 to 1.
    pub score_min: f32,
    /// Of two boxes that overlap more than this (intersection over union, 0 to 1) the weaker goes.
    pub nms_iou: f32,
    /// A picture is scaled down so that its longer side has at most so many pixels; it is never scaled up.
    pub side_max: u32,
    /// A first pass over a smaller picture; without one the only pass is at `side_max`.
    pub first_pass: Option<FirstPass>,
}

/// Known families of detectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectFamily {
    /// YuNet, anchor-free: per stride `s` outputs `cls_s`, `obj_s`, `bbox_s` and `kps_s`.
    YuNet,
}

/// What a detector is fed: NCHW planes of `(byte - mean) / scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct DetectInput {
    /// Order of the planes.
    pub order: ColourOrder,
    /// Subtracted from every byte (0 to 255).
    pub mean: f32,
    /// Divides the difference; never 0.
    pub scale: f32,
    /// Width and height of the input; what the picture does not fill is 0 (black), on the right and at the bottom.
    pub frame: DetectFrame,
}

/// Which input sizes a detector takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DetectFrame {
    /// Any width and height that are multiples of this (`multiple_of`).
    MultipleOf(u32),
    /// Only this width and height (`side`), which holds [`Detect::side_max`].
    Fixed(u32),
}

/// `[align]`: how a face is brought into the crop that embedders see.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Align {
    /// Where the landmarks go.
    pub template: AlignTemplate,
}

/// Known landmark templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum AlignTemplate {
    /// The five ArcFace points in a 112x112 crop, least-squares similarity transform.
    FivePoint112,
    /// All 468 points of the face mesh in a 112x112 crop, least-squares similarity transform. Needs a [`MeshStage`].
    Mesh468_112,
}

/// `[embed]`: turns an aligned crop into a template.
#[derive(Debug, Clone, PartialEq)]
pub struct Embed {
    /// Which code feeds it.
    pub family: EmbedFamily,
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: CropInput,
    /// Name of the output that holds the template; `None` when the model has only one output.
    pub output: Option<String>,
}

/// Known families of embedders.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum EmbedFamily {
    /// Any net from a 112x112 aligned crop to a vector whose direction counts, as ArcFace and SFace.
    ArcFace112,
}

/// What a net of a crop is fed: NCHW planes of `(byte - mean) / scale`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CropInput {
    /// Width and height in pixels; for an embedder the aligned crop's.
    pub side: u32,
    /// Order of the planes.
    pub order: ColourOrder,
    /// Subtracted from every byte (0 to 255).
    pub mean: f32,
    /// Divides the difference; never 0.
    pub scale: f32,
}

/// `[score]`: what a similarity means.
#[derive(Debug, Clone, PartialEq)]
pub struct Score {
    /// False-accept rates and the similarities they were measured at.
    pub calibration: Calibration,
    /// On which data, in words.
    pub measured_on: String,
}

impl Manifest {
    /// Reads and checks a manifest. `origin` names the file in messages; every error is [`Kind::PackUnavailable`] and
    /// one line that names file and key.
    pub fn parse(bytes: &[u8], origin: &str) -> Result<Self> {
        if bytes.len() > MANIFEST_BYTES_MAX {
            let problem = format!("has {} bytes, expected at most {MANIFEST_BYTES_MAX}", bytes.len());
            return Err(refused(origin, &problem));
        }
        let text = std::str::from_utf8(bytes).map_err(|_| refused(origin, "is not UTF-8 text"))?;
        raw::parse(text).map_err(|problem| refused(origin, &problem))
    }

    /// The pack's id, `{name}-{version}`: stamped on every template.
    pub fn id(&self) -> &PackId {
        &self.id
    }

    /// What it is called and what may be done with it.
    pub fn pack(&self) -> &PackDescription {
        &self.pack
    }

    /// The same with other operating points; a pack that makes no templates stays as it is.
    pub(super) fn set_score(&mut self, score: Score) {
        if let Some(recognition) = &mut self.recognition {
            recognition.score = score;
        }
    }

    /// What makes templates, if the pack does.
    pub fn recognition(&self) -> Option<&Recognition> {
        self.recognition.as_ref()
    }

    /// What else it measures of a face.
    pub fn assess(&self) -> &AssessStages {
        &self.assess
    }

    /// Every model file the pack needs.
    pub fn files(&self) -> Vec<&ModelFile> {
        let recognition = self.recognition.iter().flat_map(|Recognition { detect, mesh, embed, .. }| {
            [Some(&detect.file), mesh.as_ref().map(|mesh| &mesh.file), Some(&embed.file)].into_iter().flatten()
        });
        recognition.chain(self.assess.files()).collect()
    }
}

/// Reads and checks a file of operating points for a pack: `pack`, `measured_on` and `operating_points`, the latter two as
/// in a manifest's `[score]`. Errors are as those of [`Manifest::parse`].
pub(super) fn parse_calibration(bytes: &[u8], origin: &str) -> Result<(PackId, Score)> {
    let text = std::str::from_utf8(bytes).map_err(|_| refused(origin, "is not UTF-8 text"))?;
    raw::parse_calibration(text).map_err(|problem| refused(origin, &problem))
}

fn refused(origin: &str, problem: &str) -> Error {
    Error::new(Kind::PackUnavailable, format!("{origin}: {problem}"))
}
