//! Where the faces are: one file per detector family.
//!
//! A family pre-processes, runs and post-processes; the first and last are pure functions. What leaves this room is in
//! pixels of the picture that came in, whatever frame the model saw.

use likeness_domain::Result;
use likeness_domain::types::{Landmarks, Point};

use crate::pack::{Detect, DetectFamily};
use crate::raster::RgbImage;
use crate::runtime::Runtime;

pub mod yunet;

pub use yunet::{iou, suppressed};

/// A face as a detector reports it, in pixels of the picture it was given; may reach beyond its edges. All numbers are
/// finite, the box has an area and the points do not coincide.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FoundFace {
    /// Left, top, right and bottom edge.
    pub corners: [f32; 4],
    /// The five points.
    pub landmarks: Landmarks,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
}

impl FoundFace {
    /// The same face in a frame whose pixels are `scale` times as small (across, down) and begin at `start` in the one
    /// this face is in.
    #[must_use]
    pub fn moved(self, scale: (f32, f32), start: (f32, f32)) -> Self {
        let (across, down) = scale;
        let [left, top, right, bottom] = self.corners;
        let point = |point: Point| Point { x: point.x * across + start.0, y: point.y * down + start.1 };
        FoundFace {
            corners: [left * across + start.0, top * down + start.1, right * across + start.0, bottom * down + start.1],
            landmarks: Landmarks(self.landmarks.0.map(point)),
            score: self.score,
        }
    }
}

/// A loaded detector of a known family. Clones share the model: one for each thread.
#[derive(Clone)]
pub enum Detector {
    /// YuNet.
    YuNet(yunet::YuNet),
}

impl Detector {
    /// Makes a detector from the manifest's words and the bytes of the model, and tries it once.
    pub fn open(runtime: &Runtime, detect: &Detect, model: &[u8]) -> Result<Self> {
        match detect.family {
            DetectFamily::YuNet => Ok(Detector::YuNet(yunet::YuNet::open(runtime, detect, model)?)),
        }
    }

    /// Every face of at least this score in a picture that is shown to the net as it is, strongest first, without double
    /// ones.
    pub fn pass(&mut self, image: &RgbImage, score_min: f32) -> Result<Vec<FoundFace>> {
        match self {
            Detector::YuNet(yunet) => yunet.pass(image, score_min),
        }
    }

    /// Every face of the picture, surest first.
    pub fn detect(&mut self, image: &RgbImage) -> Result<Vec<FoundFace>> {
        match self {
            Detector::YuNet(yunet) => yunet.detect(image),
        }
    }
}
