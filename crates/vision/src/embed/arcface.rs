//! ArcFace-like nets (SFace among them): a crop of 112 x 112 pixels in, a vector out whose direction counts.

use likeness_domain::types::{PackId, Template};
use likeness_domain::{Error, Kind, Result};

use crate::pack::{CropInput, Recognition};
use crate::raster::RgbImage;
use crate::runtime::{ModelKind, Runtime, Session, Tensor};
use crate::tensor::{Scaling, planes};

#[cfg(test)]
mod tests;

/// A loaded net. Clones share the model: one for each thread.
#[derive(Clone)]
pub struct ArcFace {
    session: Session,
    pack: PackId,
    input: CropInput,
    output: Option<String>,
    dimensions: usize,
}

impl ArcFace {
    /// Makes a session and runs it once on grey. [`Kind::PackUnavailable`] if the output is not what the manifest says.
    pub fn open(runtime: &Runtime, pack: &PackId, recognition: &Recognition, model: &[u8]) -> Result<Self> {
        let embed = &recognition.embed;
        let session = Session::open(runtime, ModelKind::Recogniser, &embed.file.name, model)?;
        let (input, output, dimensions) = (embed.input, embed.output.clone(), recognition.dimensions);
        let mut arcface = Self { session, pack: pack.clone(), input, output, dimensions };
        let n_bytes = input.side as usize * input.side as usize * 3;
        let grey = RgbImage::new(input.side, input.side, vec![128; n_bytes]).expect("a manifest's side is positive");
        arcface.embed(&grey).map_err(|err| {
            let message = format!("model `{}` is no embedder of {dimensions} dimensions", embed.file.name);
            Error::new(Kind::PackUnavailable, message).with_source(err)
        })?;
        Ok(arcface)
    }

    /// The template of an aligned crop.
    pub fn embed(&mut self, crop: &RgbImage) -> Result<Template> {
        let CropInput { side, order, mean, scale } = self.input;
        let numbers = planes(crop, Scaling { order, mean, scale }, side, side);
        let outputs = self.session.run(&[1, 3, side as usize, side as usize], &numbers)?;
        template(&outputs, self.output.as_deref(), self.dimensions, &self.pack)
    }
}

/// Reads the template from a net's outputs: the one named, or the only one. [`Kind::PackUnavailable`] if it is missing,
/// of another length, or not a direction (a broken model; no picture gives that).
pub fn template(outputs: &[Tensor], name: Option<&str>, dimensions: usize, pack: &PackId) -> Result<Template> {
    let refused = |problem: &str| Error::new(Kind::PackUnavailable, format!("embedder {problem}"));
    let numbers = Tensor::numbers(outputs, name, dimensions).map_err(|problem| refused(&problem))?;
    Template::new(pack.clone(), numbers).map_err(|err| refused("gives no direction").with_source(err))
}
