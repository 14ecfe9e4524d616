//! A net that is shown one crop.

use likeness_domain::{Error, Kind, Result};

use crate::pack::{CropInput, InstalledPack, ModelFile};
use crate::raster::RgbImage;
use crate::runtime::{ModelKind, Runtime, Session, Tensor};
use crate::tensor::{Scaling, fill_planes};

/// A loaded net with what it is fed. Clones share the model: one for each thread.
#[derive(Clone)]
pub(super) struct Net {
    session: Session,
    input: CropInput,
    file_name: String,
}

impl Net {
    /// Reads and checks a model of a pack, and opens it.
    pub(super) fn open(runtime: &Runtime, pack: &InstalledPack, file: &ModelFile, input: CropInput) -> Result<Self> {
        let session = Session::open(runtime, ModelKind::Attribute, &file.name, &pack.read(file)?)?;
        Ok(Self { session, input, file_name: file.name.clone() })
    }

    /// Side of the crop it is shown.
    pub(super) fn side(&self) -> u32 {
        self.input.side
    }

    /// All outputs for a crop of that side.
    pub(super) fn run(&mut self, crop: &RgbImage) -> Result<Vec<Tensor>> {
        let CropInput { side, order, mean, scale } = self.input;
        self.session.run_filled(&[1, 3, side as usize, side as usize], |numbers| {
            fill_planes(crop, Scaling { order, mean, scale }, side, side, numbers);
        })
    }

    /// An output that is not what the manifest says.
    pub(super) fn refused(&self, problem: &str) -> Error {
        Error::new(Kind::PackUnavailable, format!("model `{}` {problem}", self.file_name))
    }

    /// The numbers of the output of that name, or of the only one; there must be `n_numbers`, all finite.
    pub(super) fn numbers<'a>(&self, outputs: &'a [Tensor], name: Option<&str>, n_numbers: usize) -> Result<&'a [f32]> {
        let numbers = Tensor::numbers(outputs, name, n_numbers).map_err(|problem| self.refused(&problem))?;
        if numbers.iter().all(|number| number.is_finite()) {
            return Ok(numbers);
        }
        Err(self.refused("gives numbers that are not finite"))
    }
}

/// Numbers made probabilities: each 0 to 1, and 1 together. With `softmax` they are logarithms, otherwise shares already,
/// whose rounding errors are evened out.
pub(super) fn probabilities<const N: usize>(numbers: [f32; N], softmax: bool) -> Option<[f32; N]> {
    let largest = numbers.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let shares = numbers.map(|number| if softmax { (number - largest).exp() } else { number.max(0.0) });
    let total: f32 = shares.iter().sum();
    (total.is_finite() && total > 0.0).then(|| shares.map(|share| share / total))
}
