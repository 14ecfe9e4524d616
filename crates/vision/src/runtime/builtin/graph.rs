//! An ONNX model as a chain of the few operations that are known here.
//!
//! What can be merged is merged: normalisations and activations become part of the convolution before them.

use std::collections::HashMap;

use crate::onnx::constant::Constant;
use crate::onnx::message::{DimensionValue, Graph, Model, Node, Tensor, ValueInfo};

/// Most numbers of a picture between two operations, and of a kernel.
const NUMBERS_MAX: usize = 1 << 26;

/// Most pixels of a side, of a kernel's side, and of padding.
const SIDE_MAX: usize = 1 << 12;
const KERNEL_MAX: usize = 16;

/// What a model computes, one operation after another.
#[derive(Debug)]
pub(super) struct Chain {
    /// Channels, height and width of the input.
    pub(super) input: [usize; 3],
    /// Name of the output.
    pub(super) output: String,
    pub(super) operations: Vec<Operation>,
}

/// An operation on a picture of some channels.
#[derive(Debug)]
pub(super) enum Operation {
    /// `x * scale + shift`, for each channel.
    Affine {
        scale: Vec<f32>,
        shift: Vec<f32>,
    },
    Convolution(Convolution),
    /// All numbers of the picture, channel by channel, to a vector. The last operation.
    Full(Full),
}

/// A convolution with what follows it.
#[derive(Debug, Clone)]
pub(super) struct Convolution {
    /// Outputs x inputs of a group x kernel rows x kernel columns.
    pub(super) weights: Vec<f32>,
    pub(super) n_inputs: usize,
    pub(super) n_outputs: usize,
    pub(super) n_groups: usize,
    /// Rows and columns of the kernel.
    pub(super) kernel: [usize; 2],
    /// Vertical and horizontal.
    pub(super) strides: [usize; 2],
    /// Zeros around the picture: above, on the left, below, on the right.
    pub(super) pads: [usize; 4],
    /// For each output.
    pub(super) bias: Vec<f32>,
    /// What outputs below zero are multiplied with, for each output.
    pub(super) slope: Option<Vec<f32>>,
    /// Height and width of the outputs.
    pub(super) size: [usize; 2],
}

/// A full connection.
#[derive(Debug, Clone)]
pub(super) struct Full {
    /// Outputs x inputs.
    pub(super) weights: Vec<f32>,
    /// For each output.
    pub(super) bias: Vec<f32>,
}

impl Chain {
    /// Reads a model. The problem in words if it is no chain, or has an operation that is not known.
    pub(super) fn read(model: Model) -> Result<Self, String> {
        let graph = model.graph.ok_or("has no graph")?;
        let constants = Constants::of(&graph);
        let inputs = constants.inputs(&graph);
        let ([input], [output]) = (&inputs[..], &graph.output[..]) else {
            return Err(format!("has {} inputs and {} outputs, expected one each", inputs.len(), graph.output.len()));
        };
        let input_shape = input_shape(input).ok_or("has an input that is no picture of a fixed size")?;
        let mut reader =
            Reader { constants, value: input.name(), shape: Shape::Picture(input_shape), operations: Vec::new() };
        for node in &graph.node {
            let problem = |problem: String| format!("{} `{}`: {problem}", node.op_type(), node.name());
            match (&node.input[..], &node.output[..]) {
                ([first, ..], [output, ..]) if first == reader.value => {
                    reader.add(node).map_err(problem)?;
                    reader.value = output;
                }
                _ => return Err(problem("does not take what the operation before it makes".to_owned())),
            }
        }
        let Reader { value, operations, .. } = reader;
        match operations.last() {
            Some(Operation::Full(_)) if value == output.name() => {
                Ok(Self { input: input_shape, output: value.to_owned(), operations })
            }
            _ => Err("does not end in a full connection".to_owned()),
        }
    }
}

fn input_shape(input: &ValueInfo) -> Option<[usize; 3]> {
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let lengths = shape.dim.iter().map(|dimension| match dimension.value {
        Some(DimensionValue::Value(len)) => usize::try_from(len).ok(),
        _ => None,
    });
    match lengths.collect::<Option<Vec<_>>>()?[..] {
        [1, channels, height, width] if is_small(channels, height, width) => Some([channels, height, width]),
        _ => None,
    }
}

fn is_small(channels: usize, height: usize, width: usize) -> bool {
    let sides = 1..=SIDE_MAX;
    sides.contains(&height)
        && sides.contains(&width)
        && channels > 0
        && channels.checked_mul(height * width).is_some_and(|product| product <= NUMBERS_MAX)
}

#[derive(Clone, Copy)]
enum Shape {
    /// Channels, height, width.
    Picture([usize; 3]),
    /// A picture whose numbers are taken one after another.
    Flat(usize),
    /// Numbers.
    Vector(usize),
}

/// The constants of a graph by name, and what operations say with them.
pub(super) struct Constants<'a>(HashMap<&'a str, &'a Tensor>);

impl<'a> Constants<'a> {
    pub(super) fn of(graph: &'a Graph) -> Self {
        Self(graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect())
    }

    /// The graph's inputs without the constants, which old files list as well.
    pub(super) fn inputs(&self, graph: &'a Graph) -> Vec<&'a ValueInfo> {
        graph.input.iter().filter(|input| !self.0.contains_key(input.name())).collect()
    }

    pub(super) fn get(&self, node: &Node, input_idx: usize) -> Result<Constant, String> {
        let name = node.input.get(input_idx).ok_or_else(|| format!("has no input {input_idx}"))?;
        let tensor = self.0.get(name.as_str()).ok_or_else(|| format!("its input {input_idx} is no constant"))?;
        Constant::read(tensor)
    }

    /// The finite numbers of a constant with this shape.
    pub(super) fn numbers(&self, node: &Node, input_idx: usize, dims: &[usize]) -> Result<Vec<f32>, String> {
        let constant = self.get(node, input_idx)?;
        let numbers = constant.to_f32s().filter(|_| constant.dims == dims);
        let numbers = numbers.ok_or_else(|| format!("its input {input_idx} is not of the shape {dims:?}"))?;
        if numbers.iter().any(|number| !number.is_finite()) {
            return Err(format!("its input {input_idx} has numbers that are not finite"));
        }
        Ok(numbers)
    }

    /// What numbers below zero are multiplied with, for each channel.
    pub(super) fn slope(&self, node: &Node, channels: usize) -> Result<Vec<f32>, String> {
        let slope = self.get(node, 1)?;
        let per_channel = matches!(slope.dims[..], [len, 1, 1] | [1, len, 1, 1] if len == channels);
        Ok(slope.to_f32s().filter(|_| per_channel).ok_or("has no slope for each channel")?)
    }

    /// A convolution of a picture of so many channels; the size of what it makes is not set.
    pub(super) fn convolution(&self, node: &Node, channels: usize) -> Result<Convolution, String> {
        let weights = self.get(node, 1)?;
        let [n_outputs, per_group, rows, columns] = weights.dims[..] else {
            return Err("is not one of pictures".to_owned());
        };
        let weights = self.numbers(node, 1, &[n_outputs, per_group, rows, columns])?;
        let n_groups = integer(node, "group").unwrap_or(1);
        let n_groups = usize::try_from(n_groups).ok().filter(|&n_groups| n_groups > 0).ok_or("has no groups")?;
        if per_group.checked_mul(n_groups) != Some(channels) || n_outputs == 0 || !n_outputs.is_multiple_of(n_groups) {
            return Err(format!("its weights are not for {channels} channels"));
        }
        if !(1..=KERNEL_MAX).contains(&rows) || !(1..=KERNEL_MAX).contains(&columns) {
            return Err(format!("its kernel is {rows}x{columns}, expected 1 to {KERNEL_MAX} each"));
        }
        if string(node, "auto_pad").is_some_and(|word| word != b"NOTSET") {
            return Err("its padding is not stated in numbers".to_owned());
        }
        let strides = lengths::<2>(node, "strides", 1)?;
        let pads = lengths::<4>(node, "pads", 0)?;
        if lengths::<2>(node, "dilations", 1)? != [1, 1] {
            return Err("has a dilated kernel".to_owned());
        }
        if strides.contains(&0) || strides.into_iter().chain(pads).any(|len| len > KERNEL_MAX) {
            return Err("its strides or padding are out of bounds".to_owned());
        }
        let bias = match node.input.get(2) {
            Some(name) if !name.is_empty() => self.numbers(node, 2, &[n_outputs])?,
            _ => vec![0.0; n_outputs],
        };
        let (kernel, size) = ([rows, columns], [0, 0]);
        Ok(Convolution {
            weights,
            n_inputs: channels,
            n_outputs,
            n_groups,
            kernel,
            strides,
            pads,
            bias,
            slope: None,
            size,
        })
    }
}

impl Convolution {
    /// Height and width of the outputs for a picture of this height and width; `None` if the kernel is larger.
    pub(super) fn output(
        kernel: [usize; 2],
        strides: [usize; 2],
        pads: [usize; 4],
        size: [usize; 2],
    ) -> Option<[usize; 2]> {
        let side = |axis: usize| {
            let steps = (size[axis] + pads[axis] + pads[axis + 2]).checked_sub(kernel[axis])?;
            Some(steps / strides[axis] + 1)
        };
        Some([side(0)?, side(1)?])
    }
}

struct Reader<'a> {
    constants: Constants<'a>,
    /// Name of what the last operation made.
    value: &'a str,
    /// Its shape.
    shape: Shape,
    operations: Vec<Operation>,
}

impl Reader<'_> {
    fn add(&mut self, node: &Node) -> Result<(), String> {
        match (node.op_type(), self.shape) {
            ("Dropout" | "Identity", _) => Ok(()),
            ("Sub", Shape::Picture(_)) => {
                let number = -self.number(node)?;
                self.affine(1.0, number)
            }
            ("Add", Shape::Picture(_)) => {
                let number = self.number(node)?;
                self.affine(1.0, number)
            }
            ("Mul", Shape::Picture(_)) => {
                let number = self.number(node)?;
                self.affine(number, 0.0)
            }
            ("Conv", Shape::Picture(shape)) => self.convolution(node, shape),
            ("BatchNormalization", Shape::Picture([channels, ..])) => self.normalisation(node, channels),
            ("BatchNormalization", Shape::Vector(len)) => self.normalisation(node, len),
            ("PRelu", Shape::Picture([channels, ..])) => {
                let slope = self.constants.slope(node, channels)?;
                self.activation(slope)
            }
            ("Relu", Shape::Picture([channels, ..])) => self.activation(vec![0.0; channels]),
            ("Flatten", Shape::Picture([channels, height, width])) => {
                if integer(node, "axis").unwrap_or(1) != 1 {
                    return Err("has another axis than 1".to_owned());
                }
                self.shape = Shape::Flat(channels * height * width);
                Ok(())
            }
            ("Gemm", Shape::Flat(len)) => self.full(node, len),
            _ => Err("this operation is not known here".to_owned()),
        }
    }

    /// The only number of the second input.
    fn number(&self, node: &Node) -> Result<f32, String> {
        let numbers = self.constants.get(node, 1)?.to_f32s().unwrap_or_default();
        match numbers[..] {
            [number] if number.is_finite() => Ok(number),
            _ => Err("takes more than one number".to_owned()),
        }
    }

    /// Scales and shifts all channels alike.
    fn affine(&mut self, by: f32, to: f32) -> Result<(), String> {
        let Shape::Picture([channels, ..]) = self.shape else { return Err("needs a picture".to_owned()) };
        self.scale_and_shift(&vec![by; channels], &vec![to; channels])
    }

    /// `x * by + to` for each channel, merged into what is before where that is possible.
    fn scale_and_shift(&mut self, by: &[f32], to: &[f32]) -> Result<(), String> {
        let merge = |weights: &mut [f32], bias: &mut [f32]| {
            let n_each = weights.len() / by.len();
            for (weights, by) in weights.chunks_exact_mut(n_each.max(1)).zip(by) {
                weights.iter_mut().for_each(|weight| *weight *= by);
            }
            for ((bias, by), to) in bias.iter_mut().zip(by).zip(to) {
                *bias = *bias * by + to;
            }
        };
        match self.operations.last_mut() {
            Some(Operation::Affine { scale, shift }) => merge(scale, shift),
            Some(Operation::Convolution(Convolution { weights, bias, slope: None, .. })) => merge(weights, bias),
            Some(Operation::Full(Full { weights, bias })) => merge(weights, bias),
            _ => self.operations.push(Operation::Affine { scale: by.to_vec(), shift: to.to_vec() }),
        }
        Ok(())
    }

    fn normalisation(&mut self, node: &Node, channels: usize) -> Result<(), String> {
        let numbers = |idx| self.constants.numbers(node, idx, &[channels]);
        let (gamma, beta, mean, variance) = (numbers(1)?, numbers(2)?, numbers(3)?, numbers(4)?);
        let epsilon = f64::from(float(node, "epsilon").unwrap_or(1e-5));
        let scale: Vec<f64> = gamma
            .iter()
            .zip(&variance)
            .map(|(&gamma, &variance)| f64::from(gamma) / (f64::from(variance) + epsilon).sqrt())
            .collect();
        if scale.iter().any(|scale| !scale.is_finite()) {
            return Err("has a variance that is none".to_owned());
        }
        let shift = beta
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((&beta, &mean), scale)| (f64::from(beta) - f64::from(mean) * scale) as f32);
        let shift: Vec<f32> = shift.collect();
        let scale: Vec<f32> = scale.into_iter().map(|scale| scale as f32).collect();
        self.scale_and_shift(&scale, &shift)
    }

    fn activation(&mut self, numbers: Vec<f32>) -> Result<(), String> {
        match self.operations.last_mut() {
            Some(Operation::Convolution(Convolution { slope: slope @ None, .. })) => {
                *slope = Some(numbers);
                Ok(())
            }
            _ => Err("does not follow a convolution".to_owned()),
        }
    }

    fn convolution(&mut self, node: &Node, [channels, height, width]: [usize; 3]) -> Result<(), String> {
        let mut convolution = self.constants.convolution(node, channels)?;
        let Convolution { kernel, strides, pads, n_outputs, .. } = convolution;
        let size = Convolution::output(kernel, strides, pads, [height, width]);
        convolution.size = size.ok_or("its kernel is larger than the picture")?;
        let [height, width] = convolution.size;
        if !is_small(n_outputs, height, width) {
            return Err("its outputs are too large".to_owned());
        }
        self.shape = Shape::Picture([n_outputs, height, width]);
        self.operations.push(Operation::Convolution(convolution));
        Ok(())
    }

    fn full(&mut self, node: &Node, len: usize) -> Result<(), String> {
        let is_plain = float(node, "alpha").unwrap_or(1.0) == 1.0
            && float(node, "beta").unwrap_or(1.0) == 1.0
            && integer(node, "transA").unwrap_or(0) == 0
            && integer(node, "transB").unwrap_or(0) == 1;
        if !is_plain {
            return Err("is none of a vector and rows of weights".to_owned());
        }
        let dims = self.constants.get(node, 1)?.dims;
        let [n_outputs, n_inputs] = dims[..] else { return Err("its weights are no matrix".to_owned()) };
        if n_inputs != len || n_outputs == 0 {
            return Err(format!("its weights are not for {len} numbers"));
        }
        let weights = self.constants.numbers(node, 1, &dims)?;
        let bias = match node.input.get(2) {
            Some(name) if !name.is_empty() => self.constants.numbers(node, 2, &[n_outputs])?,
            _ => vec![0.0; n_outputs],
        };
        self.shape = Shape::Vector(n_outputs);
        self.operations.push(Operation::Full(Full { weights, bias }));
        Ok(())
    }
}

pub(super) fn integer(node: &Node, name: &str) -> Option<i64> {
    // Some writers leave out a zero.
    node.attribute.iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.i.unwrap_or(0))
}

pub(super) fn float(node: &Node, name: &str) -> Option<f32> {
    node.attribute.iter().find(|attribute| attribute.name() == name).map(|attribute| attribute.f.unwrap_or(0.0))
}

pub(super) fn string<'a>(node: &'a Node, name: &str) -> Option<&'a [u8]> {
    node.attribute.iter().find(|attribute| attribute.name() == name)?.s.as_deref()
}

pub(super) fn lengths<const N: usize>(node: &Node, name: &str, default: usize) -> Result<[usize; N], String> {
    let Some(attribute) = node.attribute.iter().find(|attribute| attribute.name() == name) else {
        return Ok([default; N]);
    };
    let lengths = attribute.ints.iter().map(|&len| usize::try_from(len).ok()).collect::<Option<Vec<_>>>();
    lengths.and_then(|lengths| lengths.try_into().ok()).ok_or_else(|| format!("its `{name}` are not {N} lengths"))
}
