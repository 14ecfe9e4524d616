//! Convolution nets with branches: detectors and face meshes. All is in 32-bit floats, or some convolutions in 16-bit integers
//! ([`words`]).
//!
//! [`read`] makes steps of an ONNX graph, merging additions and activations into the convolutions before them. A value
//! between two steps is a picture in planes without a frame (see [`super::kernel`]). Weights do not depend on the size of
//! the input; where values lie in memory does, so a [`Plan`] is made for each new size. Sums are made in the same order
//! whatever the instruction set, with rounding as in other libraries up to that order.

use likeness_domain::{Error, Result};

use super::kernel::{self, Finish, Kernel, LANES, Line, Window};
use crate::runtime::Tensor;

mod heads;
mod read;
mod words;

#[cfg(test)]
mod tests;

use words::WordConvolution;

/// Most numbers of one value; a detector's largest frame of 4096 x 4096 pixels has as many after its first convolution.
const NUMBERS_MAX: usize = 1 << 26;

/// A loaded net.
pub(in crate::runtime) struct Net {
    kernel: &'static Kernel,
    /// Channels of the input.
    channels: usize,
    /// Its height and width where they are fixed.
    size: [Option<usize>; 2],
    /// In an order in which they can run.
    steps: Vec<Step>,
    /// The channels of each value; value 0 is the input.
    values: Vec<usize>,
    outputs: Vec<Output>,
}

/// An operation that makes a value of one or two others.
struct Step {
    operation: Operation,
    input: usize,
    output: usize,
}

impl Step {
    /// The second value it takes.
    fn other(&self) -> Option<usize> {
        match &self.operation {
            Operation::Convolution(Convolution { addend, .. })
            | Operation::WordConvolution(WordConvolution { addend, .. }) => *addend,
            Operation::Add { other, .. } => Some(*other),
            Operation::Depthwise(_) | Operation::MaxPool => None,
        }
    }
}

enum Operation {
    Convolution(Convolution),
    /// Of one pixel.
    WordConvolution(WordConvolution),
    Depthwise(Depthwise),
    /// The largest number of each 2x2 pixels.
    MaxPool,
    /// The sum with another value, each pixel of which stands for 2x2 pixels if it `is_halved`.
    Add {
        other: usize,
        is_halved: bool,
    },
}

struct Convolution {
    kernel: [usize; 2],
    stride: usize,
    pads: [usize; 4],
    /// For each line of outputs, row and column of the kernel and channel a line.
    weights: Vec<Line>,
    finish: Vec<Finish>,
    /// A value that is added to the first channels before negative numbers are bent.
    addend: Option<usize>,
}

struct Depthwise {
    stride: usize,
    pads: [usize; 4],
    weights: Vec<[Line; 9]>,
    finish: Vec<Finish>,
}

/// A value, or some of its channels, that leaves the net.
struct Output {
    name: String,
    value: usize,
    channels: std::ops::Range<usize>,
    form: Form,
}

/// The order of an output's numbers.
enum Form {
    /// All pixels of a channel after each other.
    Channels,
    /// All channels of a pixel after each other; each number through the logistic function if it `is_logistic`.
    Pixels { is_logistic: bool },
}

/// What one thread needs to run nets.
#[derive(Default)]
pub(super) struct Scratch {
    plan: Option<Plan>,
    buffers: Vec<Vec<Line>>,
    rows: Vec<i16>,
}

/// Sizes and places of all values for an input of one size.
struct Plan {
    /// Height and width of each value.
    sizes: Vec<[usize; 2]>,
    /// Which buffer holds each value. Value 0 lies in none.
    buffers: Vec<usize>,
}

impl Net {
    /// Runs the net on one picture of `data`, channel by channel.
    pub(super) fn run(&self, scratch: &mut Scratch, shape: &[usize], data: &[f32]) -> Result<Vec<Tensor>> {
        let unusual = || {
            let [height, width] = self.size.map(|len| len.map_or_else(|| "any".to_owned(), |len| len.to_string()));
            let problem = format!("an input of {shape:?}, expected [1, {}, {height}, {width}]", self.channels);
            Error::internal("cannot run a model", problem)
        };
        let &[1, channels, height, width] = shape else { return Err(unusual()) };
        let is_size = |(len, fixed): (usize, Option<usize>)| fixed.is_none_or(|fixed| fixed == len);
        let has_size = [height, width].into_iter().zip(self.size).all(is_size);
        let n_numbers = channels.checked_mul(height).and_then(|product| product.checked_mul(width));
        if channels != self.channels || !has_size || n_numbers != Some(data.len()) {
            return Err(unusual());
        }
        let Scratch { plan, buffers, rows } = scratch;
        let plan = match plan {
            Some(plan) if plan.sizes[0] == [height, width] => plan,
            _ => plan.insert(self.plan([height, width]).map_err(|it| Error::internal("cannot run a model", it))?),
        };
        let n_buffers = plan.buffers.iter().max().map_or(0, |last| last + 1);
        if buffers.len() < n_buffers {
            buffers.resize_with(n_buffers, Vec::new);
        }
        for step in &self.steps {
            let buffer_idx = plan.buffers[step.output];
            let mut buffer = std::mem::take(&mut buffers[buffer_idx]);
            let n_lines = self.n_lines(plan, step.output);
            if buffer.len() < n_lines {
                buffer.resize(n_lines, Line::ZERO);
            }
            self.step(step, plan, (data, buffers), rows, &mut buffer[..n_lines]);
            buffers[buffer_idx] = buffer;
        }
        let output = |output: &Output| self.output(output, plan, self.value(output.value, plan, buffers));
        Ok(self.outputs.iter().map(output).collect())
    }

    fn step(
        &self,
        step: &Step,
        plan: &Plan,
        (data, buffers): (&[f32], &[Vec<Line>]),
        rows: &mut Vec<i16>,
        out: &mut [Line],
    ) {
        let value = |value: usize| self.value(value, plan, buffers);
        let (input, output) = (plan.sizes[step.input], plan.sizes[step.output]);
        match &step.operation {
            Operation::Convolution(convolution) => {
                let Convolution { kernel, stride, pads: [above, left, ..], weights, finish, addend } = convolution;
                let window = Window { input, kernel: *kernel, stride: *stride, pads: [*above, *left], output };
                let (numbers, lanes) = match step.input {
                    0 => (data, 1),
                    _ => (kernel::numbers(value(step.input)), LANES),
                };
                let job = kernel::Convolution {
                    input: numbers,
                    lanes,
                    n_channels: self.values[step.input],
                    window,
                    weights,
                    finish,
                    addend: addend.map_or(&[], value),
                };
                self.kernel.convolution(&job, out);
            }
            Operation::WordConvolution(WordConvolution { weights, finish, addend }) => {
                let job = kernel::WordConvolution {
                    input: value(step.input),
                    n_pixels: input[0] * input[1],
                    depth: self.values[step.input],
                    limit: words::LIMIT as f32,
                    weights,
                    finish,
                    addend: addend.map_or(&[], value),
                };
                self.kernel.word_convolution(&job, rows, out);
            }
            Operation::Depthwise(Depthwise { stride, pads: [above, left, ..], weights, finish }) => {
                let window = Window { input, kernel: [3, 3], stride: *stride, pads: [*above, *left], output };
                let job = kernel::DepthwiseConvolution { input: value(step.input), window, weights, finish };
                self.kernel.depthwise_convolution(&job, out);
            }
            Operation::MaxPool => self.kernel.max_pool(value(step.input), input, out),
            Operation::Add { other, is_halved: false } => self.kernel.sums(value(step.input), value(*other), out),
            Operation::Add { other, is_halved: true } => {
                self.kernel.sums_with_halved(value(step.input), input[1], value(*other), out);
            }
        }
    }

    fn n_lines(&self, plan: &Plan, value: usize) -> usize {
        let [height, width] = plan.sizes[value];
        self.values[value].div_ceil(LANES) * height * width
    }

    fn value<'a>(&self, value: usize, plan: &Plan, buffers: &'a [Vec<Line>]) -> &'a [Line] {
        &buffers[plan.buffers[value]][..self.n_lines(plan, value)]
    }

    fn output(&self, output: &Output, plan: &Plan, lines: &[Line]) -> Tensor {
        let ([height, width], channels) = (plan.sizes[output.value], output.channels.clone());
        let n_pixels = height * width;
        let plane = |channel: usize| &lines[channel / LANES * n_pixels..][..n_pixels];
        let mut data = Vec::with_capacity(n_pixels * channels.len());
        let shape = match output.form {
            Form::Channels => {
                let numbers = |channel: usize| plane(channel).iter().map(move |line| line.0[channel % LANES]);
                data.extend(channels.clone().flat_map(numbers));
                vec![1, channels.len() * n_pixels]
            }
            Form::Pixels { is_logistic } => {
                // In one line, unless there are more than fit.
                for pixel in 0..n_pixels {
                    let mut first = channels.start;
                    while first < channels.end {
                        let end = channels.end.min((first / LANES + 1) * LANES);
                        let line = &plane(first)[pixel];
                        data.extend_from_slice(&line.0[first % LANES..first % LANES + end - first]);
                        first = end;
                    }
                }
                if is_logistic {
                    data.iter_mut().for_each(|number| *number = 1.0 / (1.0 + (-*number).exp()));
                }
                vec![1, n_pixels, channels.len()]
            }
        };
        Tensor { name: output.name.clone(), shape, data }
    }

    /// Sizes for an input of this height and width, and buffers that are used again as soon as what they hold is not
    /// needed any more. The problem in words if a kernel or a sum does not fit.
    fn plan(&self, size: [usize; 2]) -> std::result::Result<Plan, String> {
        let mut sizes = vec![[0, 0]; self.values.len()];
        let mut last_uses = vec![0; self.values.len()];
        sizes[0] = size;
        for (step_idx, Step { operation, input, output }) in self.steps.iter().enumerate() {
            let of = sizes[*input];
            last_uses[*input] = step_idx;
            let too_small = || format!("a picture of {size:?} pixels is too small for it");
            let (made, other) = match operation {
                Operation::Convolution(Convolution { kernel, stride, pads, addend, .. }) => {
                    let made = super::graph::Convolution::output(*kernel, [*stride; 2], *pads, of);
                    (made.ok_or_else(too_small)?, addend.map(|addend| (addend, 1)))
                }
                Operation::WordConvolution(WordConvolution { addend, .. }) => (of, addend.map(|addend| (addend, 1))),
                Operation::Depthwise(Depthwise { stride, pads, .. }) => {
                    (super::graph::Convolution::output([3, 3], [*stride; 2], *pads, of).ok_or_else(too_small)?, None)
                }
                Operation::MaxPool => (of.map(|len| len / 2), None),
                Operation::Add { other, is_halved } => (of, Some((*other, if *is_halved { 2 } else { 1 }))),
            };
            if let Some((other, factor)) = other {
                last_uses[other] = step_idx;
                if sizes[other].map(|len| len * factor) != made {
                    return Err(format!("a picture of {size:?} pixels makes sums of other sizes"));
                }
            }
            let n_numbers = made[0].checked_mul(made[1]).and_then(|n| n.checked_mul(self.values[*output]));
            match n_numbers {
                Some(1..=NUMBERS_MAX) => sizes[*output] = made,
                Some(0) => return Err(too_small()),
                _ => return Err(format!("a picture of {size:?} pixels is too large for it")),
            }
        }
        for output in &self.outputs {
            last_uses[output.value] = self.steps.len();
        }
        let mut buffers = vec![0; self.values.len()];
        let (mut free, mut n_buffers) = (Vec::new(), 0);
        let mut is_held = vec![false; self.values.len()];
        for (step_idx, step) in self.steps.iter().enumerate() {
            // The one that was given back last, which is still in the processor's cache.
            buffers[step.output] = free.pop().unwrap_or_else(|| {
                n_buffers += 1;
                n_buffers - 1
            });
            is_held[step.output] = true;
            for value in 1..self.values.len() {
                if is_held[value] && last_uses[value] <= step_idx {
                    is_held[value] = false;
                    free.push(buffers[value]);
                }
            }
        }
        Ok(Plan { sizes, buffers })
    }
}

impl Scratch {
    /// Gives the memory of large values back.
    pub(super) fn shrink(&mut self) {
        self.buffers = Vec::new();
    }
}
