//! ArcFace-like nets (SFace among them): a crop of 112 x 112 pixels in, a vector out whose direction counts.

use likeness_domain::types::{PackId, Template};
use likeness_domain::{Error, Kind, Result};

use crate::pack::{CropInput, Recognition};
use crate::raster::RgbImage;
use crate::runtime::{ModelKind, Runtime, Session, Tensor};
use crate::tensor::{Scaling, fill_planes};

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
        let scaling = Scaling { order, mean, scale };
        let outputs = self.session.run_filled(&[1, 3, side as usize, side as usize], |numbers| {
            fill_planes(crop, scaling, side, side, numbers);
        })?;
        template(&outputs, self.output.as_deref(), self.dimensions, &self.pack)
    }

    /// The templates of several aligned crops, as many at a time as the runtime is quickest at.
    pub fn embed_all(&mut self, crops: &[&RgbImage]) -> Result<Vec<Template>> {
        let CropInput { side, order, mean, scale } = self.input;
        let scaling = Scaling { order, mean, scale };
        let plane_len = 3 * side as usize * side as usize;
        let mut templates = Vec::with_capacity(crops.len());
        for chunk in crops.chunks(self.session.model().batch_max()) {
            if let [crop] = chunk {
                templates.push(self.embed(crop)?);
                continue;
            }
            let shape = [chunk.len(), 3, side as usize, side as usize];
            let outputs = self.session.run_filled(&shape, |numbers| {
                for (crop, numbers) in chunk.iter().zip(numbers.chunks_exact_mut(plane_len)) {
                    fill_planes(crop, scaling, side, side, numbers);
                }
            })?;
            let n_numbers = chunk.len() * self.dimensions;
            let refused = |problem: String| Error::new(Kind::PackUnavailable, format!("embedder {problem}"));
            let numbers = Tensor::numbers(&outputs, self.output.as_deref(), n_numbers).map_err(refused)?;
            for numbers in numbers.chunks_exact(self.dimensions) {
                templates.push(direction(numbers, &self.pack)?);
            }
        }
        Ok(templates)
    }
}

/// Reads the template from a net's outputs: the one named, or the only one. [`Kind::PackUnavailable`] if it is missing,
/// of another length, or not a direction (a broken model; no picture gives that).
pub fn template(outputs: &[Tensor], name: Option<&str>, dimensions: usize, pack: &PackId) -> Result<Template> {
    let refused = |problem: &str| Error::new(Kind::PackUnavailable, format!("embedder {problem}"));
    let numbers = Tensor::numbers(outputs, name, dimensions).map_err(|problem| refused(&problem))?;
    direction(numbers, pack)
}

fn direction(numbers: &[f32], pack: &PackId) -> Result<Template> {
    Template::new(pack.clone(), numbers)
        .map_err(|err| Error::new(Kind::PackUnavailable, "embedder gives no direction").with_source(err))
}
