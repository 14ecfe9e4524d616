//! An aligned crop to a template: one file per embedding family.

use likeness_domain::Result;
use likeness_domain::types::{PackId, Template};

use crate::pack::{EmbedFamily, Recognition};
use crate::raster::RgbImage;
use crate::runtime::Runtime;

pub mod arcface;

/// A loaded embedder of a known family. Clones share the model: one for each thread.
#[derive(Clone)]
pub enum Embedder {
    /// Any net from a 112 x 112 crop to a vector.
    ArcFace(arcface::ArcFace),
}

impl Embedder {
    /// Makes the embedder of a pack from the bytes of its model, and tries it once.
    pub fn open(runtime: &Runtime, pack: &PackId, recognition: &Recognition, model: &[u8]) -> Result<Self> {
        match recognition.embed.family {
            EmbedFamily::ArcFace112 => {
                Ok(Embedder::ArcFace(arcface::ArcFace::open(runtime, pack, recognition, model)?))
            }
        }
    }

    /// The template of a crop made for this family.
    pub fn embed(&mut self, crop: &RgbImage) -> Result<Template> {
        match self {
            Embedder::ArcFace(arcface) => arcface.embed(crop),
        }
    }

    /// The templates of several crops, in their order: quicker than one by one where the runtime is. A template differs
    /// from the one that [`Self::embed`] makes of the crop by rounding only.
    pub fn embed_all(&mut self, crops: &[&RgbImage]) -> Result<Vec<Template>> {
        match self {
            Embedder::ArcFace(arcface) => arcface.embed_all(crops),
        }
    }
}
