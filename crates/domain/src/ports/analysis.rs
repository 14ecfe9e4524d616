//! Finding and embedding faces.

use std::time::Duration;

use bytes::Bytes;

use super::Pending;
use crate::score::Calibration;
use crate::types::{Aspects, Assessment, Detection, PackId, Quality, Template};

/// Picture formats, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageFormats(pub u8);

impl ImageFormats {
    /// JPEG, any colour model.
    pub const JPEG: ImageFormats = ImageFormats(1);
    /// PNG.
    pub const PNG: ImageFormats = ImageFormats(2);
    /// Windows bitmap.
    pub const BMP: ImageFormats = ImageFormats(4);
    /// WebP.
    pub const WEBP: ImageFormats = ImageFormats(8);
    /// GIF, of which the first frame is used.
    pub const GIF: ImageFormats = ImageFormats(16);
    /// All of them.
    pub const ALL: ImageFormats = ImageFormats(31);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: ImageFormats) -> Self {
        Self(self.0 | other.0)
    }

    /// Whether every format of `other` is in this set.
    pub const fn contains(self, other: ImageFormats) -> bool {
        self.0 & other.0 == other.0
    }
}

/// What an image may be; a dialect states its own, within [`crate::limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ImageRules {
    /// Accepted formats; another gives [`crate::Kind::ImageFormat`].
    pub formats: ImageFormats,
    /// Most bytes of the file; more gives [`crate::Kind::ImageTooLarge`].
    pub bytes_max: usize,
    /// Largest width and height; a larger one gives [`crate::Kind::ImageDimensions`].
    pub side_max: u32,
    /// Smallest width and height.
    pub side_min: u32,
}

/// Which of the faces in an image are meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceChoice {
    /// None: only where they are is asked.
    None,
    /// The one with the largest box.
    Largest,
    /// The one whose centre is nearest to the picture's.
    Central,
    /// Up to this many, largest first.
    LargestFew(usize),
    /// All of them, up to [`crate::limits::FACES_PER_IMAGE_MAX`].
    All,
}

impl FaceChoice {
    /// How many faces of `n_faces`, in the order of [`Analysis::faces`], are meant: the first so many.
    pub fn count(self, n_faces: usize) -> usize {
        match self {
            FaceChoice::None => 0,
            FaceChoice::Largest | FaceChoice::Central => n_faces.min(1),
            FaceChoice::LargestFew(n_max) => n_faces.min(n_max),
            FaceChoice::All => n_faces.min(crate::limits::FACES_PER_IMAGE_MAX),
        }
    }
}

/// What to do with an image.
#[derive(Debug, Clone)]
pub struct AnalyzeRequest {
    /// With which pack.
    pub pack: PackId,
    /// What the image may be.
    pub rules: ImageRules,
    /// Which faces have to be found. Whoever wants one face pays for one: with [`FaceChoice::Largest`] small faces beside
    /// it may be missing from the answer, with [`FaceChoice::All`] they are searched for. `None` counts as `All`.
    pub find: FaceChoice,
    /// Least length in pixels of the longer side of a face's box; smaller faces need not be found.
    pub face_side_min: u32,
    /// Which of the faces found get a template.
    pub embed: FaceChoice,
    /// What else to measure.
    pub assess: Assess,
    /// Whether to say how many faces the image shows.
    pub count: Count,
}

/// Whether somebody who wants one face of an image hears how many it shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Count {
    /// No, which costs nothing.
    No,
    /// If another one is seen on the way to the one that is wanted; only then all are looked for.
    IfSeveral,
    /// All are looked for.
    All,
}

/// What to measure of which faces, beyond detection and template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Assess {
    /// What to measure. What the installation cannot measure is left out of the answer, not refused.
    pub aspects: Aspects,
    /// Of which of the detected faces. Quality is measured on the crop that a template is made from, so if it is asked
    /// for, it is measured of every face that gets a template besides.
    pub faces: FaceChoice,
}

impl Assess {
    /// Nothing, which costs nothing.
    pub const NOTHING: Assess = Assess { aspects: Aspects::NONE, faces: FaceChoice::None };
}

/// What was found in an image.
#[derive(Debug, Clone)]
pub struct Analysis {
    /// Width of the upright image in pixels.
    pub image_width: u32,
    /// Height of the upright image in pixels.
    pub image_height: u32,
    /// The faces: confirmed ones before doubtful ones, then largest box first ([`crate::policy::by_size`]), or most central
    /// first if [`FaceChoice::Central`] was to be found.
    pub faces: Vec<AnalyzedFace>,
    /// How many faces the image shows, those besides [`Analysis::faces`] included; `None` unless it was asked for. With
    /// [`Count::IfSeveral`] small ones beside a single large one may be passed over.
    pub n_faces: Option<usize>,
}

/// A face found in an image.
#[derive(Debug, Clone)]
pub struct AnalyzedFace {
    /// Where it is.
    pub detection: Detection,
    /// Its template, if it was among those to be embedded.
    pub template: Option<Template>,
    /// How good it is, as far as measured: empty unless [`Aspects::QUALITY`] was asked of this face.
    pub quality: Quality,
    /// What else was measured: empty unless asked of this face.
    pub assessment: Assessment,
    /// Why it is not certain that this is a face that can be recognised; `None` for a confirmed face, and for one of which
    /// nothing but the box was asked (see [`Aspects::POINTS`]). A doubtful face has no assessment, and its template is not
    /// fit for comparison: enrolling it or searching with it is refused.
    pub doubt: Option<Doubt>,
}

/// The face mesh did not confirm what the detector reported: a head turned far away, a hidden face, or no face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Doubt {
    /// The mesh's presence score, a logit.
    pub presence: f32,
    /// The least that confirms a face.
    pub presence_min: f32,
}

/// What a loaded pack is.
#[derive(Debug, Clone)]
pub struct PackInfo {
    /// Its id.
    pub id: PackId,
    /// Dimensions of its templates.
    pub dimensions: usize,
    /// How its similarities relate to false-accept rates.
    pub calibration: Calibration,
}

/// How busy an analyzer is, for metrics.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct AnalyzerLoad {
    /// Threads that analyse images.
    pub n_workers: usize,
    /// Those of them that have ended by a fault.
    pub n_ended: usize,
    /// Threads at work.
    pub n_busy: usize,
    /// Images that wait for a thread.
    pub n_queued: usize,
    /// Most images that may wait.
    pub queue_max: usize,
    /// How long an image handed over now is expected to wait.
    pub expected_wait: Duration,
}

/// Finds and embeds faces. Blocking work happens on its own bounded pool; when that is full the answer is
/// [`crate::Kind::Overloaded`] at once.
pub trait FaceAnalyzer: Send + Sync {
    /// The packs that can be used, the default one first; never empty.
    fn packs(&self) -> &[PackInfo];

    /// What can be measured, with any of the packs.
    fn aspects(&self) -> Aspects;

    /// What runs the models, for reports: for each kind of model its word and that of the engine, `detector` and
    /// `openvino bf16`. Empty where no model runs.
    fn engines(&self) -> Vec<(&'static str, String)> {
        Vec::new()
    }

    /// How busy it is. Never waits, so that it can be asked often. All zero where nothing is queued.
    fn load(&self) -> AnalyzerLoad {
        AnalyzerLoad::default()
    }

    /// Decodes, detects, embeds and assesses. No face is an empty list, not an error. Errors: the image kinds,
    /// [`crate::Kind::PackUnavailable`], [`crate::Kind::Overloaded`].
    fn analyze(&self, image: Bytes, request: AnalyzeRequest) -> Pending<'_, Analysis>;
}
