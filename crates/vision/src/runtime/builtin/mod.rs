//! Inference of our own, without a library, in two ways:
//!
//! - Recognisers: chains of convolutions whose 1x1 convolutions, nearly all of the work, are computed in 16-bit integers.
//!   Processors multiply twice as many of those in an instruction as 32-bit floats. Weights are rounded to 11 to 16 bits
//!   for each output channel when a model is loaded, and the numbers of each pixel to 13 bits while it runs, scaled by
//!   the largest of them: nothing is calibrated, and a picture's numbers depend on nothing but that picture. Sums of
//!   products fit 32 bits by construction. Everything else is computed in 32-bit floats.
//!   Or in 8-bit integers, 64 numbers of a pixel and of the weights scaled together: that takes two thirds of the time of
//!   16 bits with AVX-512, and templates still agree with those of 32-bit floats to a cosine of 0.9997 where the weights
//!   are such integers in the file that the model was made of.
//! - Detectors and meshes: nets with branches and few channels, in 32-bit floats ([`net`]). Or with those 1x1 convolutions
//!   that have 32 inputs or more in 16-bit integers, 96 pixels scaled together: that takes six sevenths of the time, the mesh's
//!   points agree with those of floats to 0.01 pixel of its crop, the detector's scores to 0.0003.
//!
//! The way of a recogniser's picture: [`graph`] reads the model, [`layers`] hold the weights, [`kernel`] has the inner
//! loops. A model with an operation that is not known here is refused, and another library runs it.

use bytes::Bytes;
use likeness_domain::{Error, Result};

use super::{ModelKind, Precision, Tensor, unloadable};
use crate::onnx;

mod graph;
mod kernel;
mod layers;
mod net;

#[cfg(test)]
mod tests;

use graph::{Chain, Convolution, Operation};
use kernel::{Kernel, Line};
use layers::{Affine, Dense, Depthwise, Full, Integers, Picture, Pointwise, Strip, Vectors};
use net::Net;

/// Pictures that a recogniser runs together at most. Weights that are larger than the pictures they are for, such as those of
/// the full connection, are read from memory once for all of them.
const BATCH_MAX: usize = 8;

/// Name of the vector instructions that are used, as in `avx512-vnni`; `None` where there are none, which makes other
/// libraries quicker.
pub(super) fn vectorised_kernel() -> Option<&'static str> {
    let kernel = Kernel::get();
    kernel.is_vectorised().then(|| kernel.name())
}

/// A loaded model.
#[expect(clippy::large_enum_variant, reason = "each is in an `Arc` of its own")]
pub(super) enum Loaded {
    /// In integers of 16 or 8 bits.
    Recogniser(Recogniser),
    /// In 32-bit floats, and 16-bit integers in part.
    Net(Net),
}

/// A recogniser.
pub(super) struct Recogniser {
    kernel: &'static Kernel,
    /// Channels, height and width.
    input: [usize; 3],
    output: String,
    first: Dense,
    /// Run one picture after another: their pictures are larger than their weights.
    early: Vec<Stage>,
    /// Each run for all pictures before the next one: their weights, larger than their pictures, stay in the processor's
    /// cache meanwhile.
    late: Vec<Stage>,
    last: Full,
}

enum Stage {
    Pointwise(Pointwise),
    Affine(Affine),
}

/// What one thread needs to run a model.
#[derive(Default)]
pub(super) struct Scratch {
    recogniser: RecogniserScratch,
    net: net::Scratch,
}

#[derive(Default)]
struct RecogniserScratch {
    framed: Vec<f32>,
    planes: Vec<Line>,
    next: Vec<Line>,
    /// The pictures that come to the late stages.
    pictures: Vec<Vec<Line>>,
    strip: Strip,
    vectors: Vectors,
}

impl Scratch {
    /// Gives memory back that an unusually large picture needed.
    pub(super) fn shrink(&mut self) {
        self.net.shrink();
    }
}

impl Loaded {
    /// See [`super::Model::open`]. The precision is one that the built-in runtime has for models of that kind.
    pub(super) fn open(way: (ModelKind, Precision), name: &str, model: &Bytes) -> Result<Self> {
        Self::with_kernel(Kernel::get(), way, name, model)
    }

    fn with_kernel(
        kernel: &'static Kernel,
        (kind, precision): (ModelKind, Precision),
        name: &str,
        model: &Bytes,
    ) -> Result<Self> {
        let model = onnx::parse(model.clone())
            .map_err(|err| unloadable(name, "cannot be loaded: damaged, or no ONNX model").with_source(err))?;
        let read = match (kind, precision) {
            (ModelKind::Recogniser, Precision::I16) => {
                Recogniser::read((kernel, Integers::Words), model).map(Self::Recogniser)
            }
            (ModelKind::Recogniser, Precision::I8) => {
                Recogniser::read((kernel, Integers::Bytes), model).map(Self::Recogniser)
            }
            (ModelKind::Detector | ModelKind::Mesh, Precision::F32 | Precision::I16) => {
                Net::read((kernel, precision == Precision::I16), model).map(Self::Net)
            }
            _ => Err(format!("it has no {} for a {}", precision.word(), kind.word())),
        };
        read.map_err(|problem| {
            let problem: String = problem.chars().take(200).collect();
            unloadable(name, &format!("cannot be loaded by the built-in runtime: {problem}"))
                .with_hint("set `inference_runtime` to auto, onnxruntime or openvino")
        })
    }

    /// See [`super::Model::batch_max`].
    pub(super) fn batch_max(&self) -> usize {
        match self {
            Self::Recogniser(_) => BATCH_MAX,
            Self::Net(_) => 1,
        }
    }

    /// Runs the model on an input of this shape and gives every output.
    pub(super) fn run(&self, scratch: &mut Scratch, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        match self {
            Self::Recogniser(recogniser) => recogniser.run(&mut scratch.recogniser, shape, data),
            Self::Net(net) => net.run(&mut scratch.net, shape, data),
        }
    }
}

impl Recogniser {
    fn read(way: (&'static Kernel, Integers), model: onnx::message::Model) -> std::result::Result<Self, String> {
        let Chain { input, output, operations } = Chain::read(model)?;
        let (affine, operations) = match &operations[..] {
            [Operation::Affine { scale, shift }, rest @ ..] => ((scale.clone(), shift.clone()), rest),
            rest => ((vec![1.0; input[0]], vec![0.0; input[0]]), rest),
        };
        let [Operation::Convolution(convolution), rest @ ..] = operations else {
            return Err("does not begin with a convolution".to_owned());
        };
        if convolution.n_groups != 1 {
            return Err("begins with a convolution in groups".to_owned());
        }
        let mut picture = output_of(convolution, rest);
        let first = Dense::new(input, affine, convolution, picture);
        let mut stages = Vec::new();
        let mut rest = rest;
        loop {
            rest = match rest {
                [Operation::Affine { scale, shift }, rest @ ..] => {
                    stages.push(Stage::Affine(Affine::new(picture, scale, shift)));
                    rest
                }
                [Operation::Convolution(depthwise), Operation::Convolution(convolution), rest @ ..]
                    if is_depthwise(depthwise) =>
                {
                    let output = output_of(convolution, rest);
                    let depthwise = Depthwise::new(depthwise)?;
                    stages.push(Stage::Pointwise(pointwise(way, Some(depthwise), picture, convolution, output)?));
                    picture = output;
                    rest
                }
                [Operation::Convolution(convolution), rest @ ..] => {
                    let output = output_of(convolution, rest);
                    stages.push(Stage::Pointwise(pointwise(way, None, picture, convolution, output)?));
                    picture = output;
                    rest
                }
                [Operation::Full(full)] => {
                    let last = Full::new(picture, full);
                    let n_early = stages.iter().position(Stage::has_more_weights_than_pixels).unwrap_or(stages.len());
                    let late = stages.split_off(n_early);
                    return Ok(Self { kernel: way.0, input, output, first, early: stages, late, last });
                }
                _ => return Err("does not end in a full connection".to_owned()),
            };
        }
    }

    /// Runs the model on pictures of its input's shape: one after another up to the late stages, each of which, and the
    /// full connection at the end, is run for all of them.
    fn run(&self, scratch: &mut RecogniserScratch, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let [channels, height, width] = self.input;
        let [n_pictures, rest @ ..] = shape else { return Err(Error::internal("cannot run a model", "no shape")) };
        if rest != self.input || data.len() != n_pictures * channels * height * width {
            let problem = format!("an input of {shape:?}, expected any number of {:?}", self.input);
            return Err(Error::internal("cannot run a model", problem));
        }
        let RecogniserScratch { framed, planes, next, pictures, strip, vectors } = scratch;
        framed.resize(self.first.framed_len(), 0.0);
        if pictures.len() < *n_pictures {
            pictures.resize_with(*n_pictures, Vec::new);
        }
        let pictures = &mut pictures[..*n_pictures];
        let between = self.early.iter().rev().find_map(Stage::output).unwrap_or(self.first.output);
        for (data, picture) in data.chunks_exact(channels * height * width).zip(&mut *pictures) {
            grow(planes, self.first.output);
            self.first.run(self.kernel, data, framed, planes);
            self.early.iter().for_each(|stage| stage.run(self.kernel, planes, next, strip));
            grow(picture, between);
            picture[..between.len()].copy_from_slice(&planes[..between.len()]);
        }
        for stage in &self.late {
            pictures.iter_mut().for_each(|picture| stage.run(self.kernel, picture, next, strip));
        }
        vectors.clear();
        pictures.iter().for_each(|picture| self.last.add(self.kernel, picture, vectors));
        let mut numbers = Vec::with_capacity(n_pictures * self.last.n_outputs);
        self.last.run(self.kernel, vectors, &mut numbers);
        Ok(vec![Tensor { name: self.output.clone(), shape: vec![*n_pictures, self.last.n_outputs], data: numbers }])
    }
}

impl Stage {
    /// What it makes of a picture; `None` if that has the shape of what it takes.
    fn output(&self) -> Option<Picture> {
        match self {
            Self::Affine(_) => None,
            Self::Pointwise(pointwise) => Some(pointwise.output),
        }
    }

    fn has_more_weights_than_pixels(&self) -> bool {
        match self {
            Self::Affine(_) => false,
            Self::Pointwise(pointwise) => pointwise.n_weights() > pointwise.n_inputs(),
        }
    }

    /// Replaces the picture in `planes` by what the stage makes of it, using `next`.
    fn run(&self, kernel: &Kernel, planes: &mut Vec<Line>, next: &mut Vec<Line>, strip: &mut Strip) {
        match self {
            Self::Affine(affine) => affine.run(planes),
            Self::Pointwise(pointwise) => {
                grow(next, pointwise.output);
                pointwise.run(kernel, planes, strip, next);
                std::mem::swap(planes, next);
            }
        }
    }
}

fn is_depthwise(convolution: &Convolution) -> bool {
    convolution.n_groups > 1
        && convolution.n_groups == convolution.n_inputs
        && convolution.n_inputs == convolution.n_outputs
}

/// What a convolution makes, with the frame that the operations after it need.
fn output_of(convolution: &Convolution, rest: &[Operation]) -> Picture {
    let next = rest.iter().find(|operation| !matches!(operation, Operation::Affine { .. }));
    let frame = match next {
        Some(Operation::Convolution(next)) if is_depthwise(next) => next.pads,
        _ => [0; 4],
    };
    let [height, width] = convolution.size;
    Picture { channels: convolution.n_outputs, height, width, frame }
}

fn pointwise(
    way: (&Kernel, Integers),
    depthwise: Option<Depthwise>,
    input: Picture,
    convolution: &Convolution,
    output: Picture,
) -> std::result::Result<Pointwise, String> {
    let Convolution { kernel: size, strides, pads, n_groups, .. } = convolution;
    if (*size, *strides, *pads, *n_groups) != ([1, 1], [1, 1], [0; 4], 1) {
        return Err(format!(
            "has a convolution of {}x{} in {n_groups} groups, with strides of {strides:?} and padding of {pads:?}",
            size[0], size[1]
        ));
    }
    Pointwise::new(way, depthwise, input, convolution, output)
}

fn grow(planes: &mut Vec<Line>, picture: Picture) {
    if planes.len() < picture.len() {
        planes.resize(picture.len(), Line::ZERO);
    }
}
