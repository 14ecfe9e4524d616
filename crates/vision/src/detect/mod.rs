//! Where the faces are: one file per detector family.
//!
//! A family pre-processes, runs and post-processes; the first and last are pure functions. What leaves this room is in
//! pixels of the picture that came in, whatever frame the model saw.

use likeness_domain::Result;
use likeness_domain::types::Landmarks;

use crate::pack::{Detect, DetectFamily};
use crate::raster::RgbImage;
use crate::runtime::Runtime;

pub mod yunet;

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

    /// Every face of the picture, surest first.
    pub fn detect(&mut self, image: &RgbImage) -> Result<Vec<FoundFace>> {
        match self {
            Detector::YuNet(yunet) => yunet.detect(image),
        }
    }
}
