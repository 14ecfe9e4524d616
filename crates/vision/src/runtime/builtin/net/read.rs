//! An ONNX graph as the steps of a [`Net`].

use std::collections::HashMap;

use super::{Convolution, Depthwise, Form, Net, Operation, Output, Step, heads, words};
use crate::onnx::constant::n_elements;
use crate::onnx::message::{DimensionValue, Graph, Model, Node, ValueInfo};
use crate::runtime::builtin::graph::{self, Constants, float, integer, lengths, string};
use crate::runtime::builtin::kernel::{Kernel, LANES};
use crate::runtime::builtin::layers::{finish, line_of, places};

/// Most nodes of a graph.
const NODES_MAX: usize = 4096;

/// Most channels of a value.
const CHANNELS_MAX: usize = 1 << 14;

impl Net {
    /// Reads a model. The problem in words if it has an operation, or a sequence of them, that is not known.
    pub(in super::super) fn read((kernel, in_words): (&'static Kernel, bool), model: Model) -> Result<Self, String> {
        let graph = model.graph.ok_or("has no graph")?;
        if graph.node.len() > NODES_MAX {
            return Err(format!("has {} operations, at most {NODES_MAX} are known here", graph.node.len()));
        }
        let constants = Constants::of(&graph);
        let inputs = constants.inputs(&graph);
        let [input] = inputs[..] else { return Err(format!("has {} inputs, expected one", inputs.len())) };
        let (channels, size) = input_shape(input).ok_or("has an input that is no picture")?;
        let stored = Named { value: 0, channels, form: Seen::Picture };
        let mut reader = Reader {
            constants,
            n_uses: n_uses(&graph),
            names: HashMap::from([(input.name(), stored)]),
            steps: Vec::new(),
            values: vec![channels],
        };
        for node in &graph.node {
            reader.add(node).map_err(|problem| {
                let name = node.output.first().map_or("", String::as_str);
                format!("{} `{name}`: {problem}", node.op_type())
            })?;
        }
        let output = |output: &ValueInfo| {
            let unknown = || format!("output `{}` is none of the forms that are known here", output.name());
            let &Named { value, channels, form } = reader.names.get(output.name()).ok_or_else(unknown)?;
            let form = match form {
                Seen::Channels => Form::Channels,
                Seen::Pixels { is_logistic } => Form::Pixels { is_logistic },
                _ => return Err(unknown()),
            };
            // The input itself lies in no plane.
            if value == 0 {
                Err(unknown())
            } else {
                Ok(Output { name: output.name().to_owned(), value, channels: 0..channels, form })
            }
        };
        let mut outputs = graph.output.iter().map(output).collect::<Result<Vec<_>, _>>()?;
        if outputs.is_empty() {
            return Err("has no outputs".to_owned());
        }
        let Reader { steps, mut values, .. } = reader;
        let mut steps = steps.into_iter().map(|(step, _)| step).collect();
        heads::merge(&mut steps, &mut values, &mut outputs);
        if in_words {
            words::convert(&mut steps, &values);
        }
        Ok(Self { kernel, channels, size, steps, values, outputs })
    }
}

/// Channels, and height and width where they are fixed.
fn input_shape(input: &ValueInfo) -> Option<(usize, [Option<usize>; 2])> {
    let shape = input.r#type.as_ref()?.tensor_type.as_ref()?.shape.as_ref()?;
    let length = |value: &Option<DimensionValue>| match value {
        Some(DimensionValue::Value(len)) => usize::try_from(*len).ok().filter(|&len| len > 0),
        _ => None,
    };
    let [batch, channels, height, width] = &shape.dim[..] else { return None };
    let channels = length(&channels.value).filter(|&channels| channels <= CHANNELS_MAX)?;
    matches!(length(&batch.value), None | Some(1)).then_some((channels, [length(&height.value), length(&width.value)]))
}

/// How often each value is used.
fn n_uses(graph: &Graph) -> HashMap<&str, usize> {
    let mut n_uses = HashMap::new();
    let outputs = graph.output.iter().map(ValueInfo::name);
    for name in graph.node.iter().flat_map(|node| &node.input).map(String::as_str).chain(outputs) {
        *n_uses.entry(name).or_default() += 1;
    }
    n_uses
}

/// What a name of the graph stands for.
#[derive(Clone, Copy)]
struct Named {
    value: usize,
    channels: usize,
    form: Seen,
}

/// How the graph sees a value.
#[derive(Clone, Copy, PartialEq)]
enum Seen {
    Picture,
    /// With channels of zeros after its own.
    Widened,
    /// Each pixel as 2x2 pixels.
    Doubled,
    /// Channels last; a picture still.
    ChannelsLast,
    /// See [`Form::Pixels`].
    Pixels {
        is_logistic: bool,
    },
    /// See [`Form::Channels`].
    Channels,
}

struct Reader<'a> {
    constants: Constants<'a>,
    n_uses: HashMap<&'a str, usize>,
    names: HashMap<&'a str, Named>,
    /// Steps so far, and whether an activation belongs to each already.
    steps: Vec<(Step, bool)>,
    /// The channels of each value.
    values: Vec<usize>,
}

impl<'a> Reader<'a> {
    fn add(&mut self, node: &'a Node) -> Result<(), String> {
        if node.has_graphs() {
            return Err("this operation is not known here".to_owned());
        }
        let [output] = &node.output[..] else { return Err("does not make one value".to_owned()) };
        let named = match node.op_type() {
            "Conv" => self.convolution(node)?,
            "Relu" => {
                let channels = self.named(node, 0)?.channels;
                self.activation(node, vec![0.0; channels])?
            }
            "PRelu" => {
                let slope = self.constants.slope(node, self.named(node, 0)?.channels)?;
                self.activation(node, slope)?
            }
            "MaxPool" => self.pool(node)?,
            "Add" => self.sum(node)?,
            "Pad" => self.widened(node)?,
            "Resize" => self.doubled(node)?,
            "Transpose" => {
                let is_last = node.attribute.iter().any(|it| it.name() == "perm" && it.ints == [0, 2, 3, 1]);
                let form = is_last.then_some(Seen::ChannelsLast).ok_or("does not put channels last")?;
                Named { form, ..self.picture(node, 0)? }
            }
            "Reshape" => self.reshaped(node)?,
            "Sigmoid" => match self.named(node, 0)? {
                named @ Named { form: Seen::Pixels { is_logistic: false }, .. } => {
                    Named { form: Seen::Pixels { is_logistic: true }, ..named }
                }
                _ => return Err("is not one of pixels with their channels".to_owned()),
            },
            "Flatten" if integer(node, "axis").unwrap_or(1) == 1 => {
                Named { form: Seen::Channels, ..self.picture(node, 0)? }
            }
            // With one use, that of another name is no second one.
            "Identity" | "Dropout" if self.is_used_once(node, 0) => self.named(node, 0)?,
            _ => return Err("this operation is not known here".to_owned()),
        };
        self.names.insert(output, named);
        Ok(())
    }

    fn named(&self, node: &Node, input_idx: usize) -> Result<Named, String> {
        let name = node.input.get(input_idx).map_or("", String::as_str);
        self.names.get(name).copied().ok_or_else(|| format!("its input `{name}` is made by nothing before it"))
    }

    /// A value that is taken as it was made.
    fn picture(&self, node: &Node, input_idx: usize) -> Result<Named, String> {
        let named = self.named(node, input_idx)?;
        if named.form == Seen::Picture { Ok(named) } else { Err("does not take a picture".to_owned()) }
    }

    fn is_used_once(&self, node: &Node, input_idx: usize) -> bool {
        node.input.get(input_idx).is_some_and(|name| self.n_uses.get(name.as_str()) == Some(&1))
    }

    /// The step that made a value.
    fn maker(&mut self, value: usize) -> Option<usize> {
        self.steps.iter().position(|(step, _)| step.output == value)
    }

    fn push(&mut self, operation: Operation, input: usize, channels: usize) -> Named {
        let value = self.values.len();
        self.values.push(channels);
        self.steps.push((Step { operation, input, output: value }, false));
        Named { value, channels, form: Seen::Picture }
    }

    fn convolution(&mut self, node: &Node) -> Result<Named, String> {
        let input = self.picture(node, 0)?;
        let convolution = self.constants.convolution(node, input.channels)?;
        let graph::Convolution { weights, n_inputs, n_outputs, n_groups, kernel, strides, pads, .. } = &convolution;
        let (n_inputs, n_outputs) = (*n_inputs, *n_outputs);
        let [stride, across] = *strides;
        if across != stride {
            return Err(format!("has strides of {strides:?}, expected twice the same"));
        }
        if n_outputs > CHANNELS_MAX {
            return Err(format!("makes {n_outputs} channels, at most {CHANNELS_MAX} are known here"));
        }
        let finish = finish(&convolution, None);
        let operation = if *n_groups == n_inputs && n_inputs == n_outputs && *kernel == [3, 3] && input.value != 0 {
            if stride > 2 {
                return Err(format!("is depthwise with a stride of {stride}, expected 1 or 2"));
            }
            let planes = (0..n_outputs).step_by(LANES);
            let weight = |first, place| line_of(first, n_outputs, |output| weights[output * 9 + place]);
            let weights = planes.map(|first| std::array::from_fn(|place| weight(first, place))).collect();
            Operation::Depthwise(Depthwise { stride, pads: *pads, weights, finish })
        } else if *n_groups == 1 {
            let [rows, columns] = *kernel;
            let n_lines = [finish.len(), rows, columns, n_inputs];
            let mut lines = Vec::with_capacity(n_elements(&n_lines).ok_or("has too many weights")?);
            for first in (0..n_outputs).step_by(LANES) {
                for (y, x, channel) in places(rows, columns, n_inputs) {
                    let weight = |output| weights[((output * n_inputs + channel) * rows + y) * columns + x];
                    lines.push(line_of(first, n_outputs, weight));
                }
            }
            let (kernel, pads, addend) = (*kernel, *pads, None);
            Operation::Convolution(Convolution { kernel, stride, pads, weights: lines, finish, addend })
        } else {
            return Err(format!("has {n_groups} groups and a kernel of {}x{}", kernel[0], kernel[1]));
        };
        Ok(self.push(operation, input.value, n_outputs))
    }

    fn activation(&mut self, node: &Node, slope: Vec<f32>) -> Result<Named, String> {
        let input = self.picture(node, 0)?;
        let unknown = || "does not follow a convolution".to_owned();
        if !self.is_used_once(node, 0) {
            return Err("what it takes is used elsewhere as well".to_owned());
        }
        let maker = self.maker(input.value).ok_or_else(unknown)?;
        let (Step { operation, .. }, is_bent) = &mut self.steps[maker];
        let finish = match operation {
            Operation::Convolution(Convolution { finish, .. }) | Operation::Depthwise(Depthwise { finish, .. }) => {
                finish
            }
            _ => return Err(unknown()),
        };
        if std::mem::replace(is_bent, true) {
            return Err(unknown());
        }
        for (line_idx, finish) in finish.iter_mut().enumerate() {
            finish.slope = line_of(line_idx * LANES, slope.len(), |channel| slope[channel]);
        }
        Ok(input)
    }

    fn pool(&mut self, node: &Node) -> Result<Named, String> {
        let input = self.picture(node, 0)?;
        let is_plain = lengths::<2>(node, "kernel_shape", 0)? == [2, 2]
            && lengths::<2>(node, "strides", 1)? == [2, 2]
            && lengths::<4>(node, "pads", 0)? == [0; 4]
            && lengths::<2>(node, "dilations", 1)? == [1, 1]
            && integer(node, "ceil_mode").unwrap_or(0) == 0
            && string(node, "auto_pad").is_none_or(|word| word == b"NOTSET");
        if !is_plain || input.value == 0 {
            return Err("is not one of 2x2 pixels".to_owned());
        }
        Ok(self.push(Operation::MaxPool, input.value, input.channels))
    }

    fn sum(&mut self, node: &Node) -> Result<Named, String> {
        let (a, b) = (self.named(node, 0)?, self.named(node, 1)?);
        if a.channels != b.channels || a.value == 0 || b.value == 0 {
            return Err(format!("takes {} and {} channels", a.channels, b.channels));
        }
        // Added by the convolution that makes one of them, if nothing else needs that.
        for (sum, sum_idx, other) in [(a, 0, b), (b, 1, a)] {
            let may = sum.form == Seen::Picture && matches!(other.form, Seen::Picture | Seen::Widened);
            if !may || sum.value == other.value || !self.is_used_once(node, sum_idx) {
                continue;
            }
            let Some(maker) = self.maker(sum.value) else { continue };
            if let (Step { operation: Operation::Convolution(Convolution { addend: addend @ None, .. }), .. }, false) =
                &mut self.steps[maker]
            {
                *addend = Some(other.value);
                // The other one is there by now.
                let step = self.steps.remove(maker);
                self.steps.push(step);
                return Ok(sum);
            }
        }
        match (a.form, b.form) {
            (Seen::Picture, Seen::Picture) => {
                Ok(self.push(Operation::Add { other: b.value, is_halved: false }, a.value, a.channels))
            }
            (Seen::Picture, Seen::Doubled) => {
                Ok(self.push(Operation::Add { other: b.value, is_halved: true }, a.value, a.channels))
            }
            (Seen::Doubled, Seen::Picture) => {
                Ok(self.push(Operation::Add { other: a.value, is_halved: true }, b.value, b.channels))
            }
            _ => Err("is not one of two pictures".to_owned()),
        }
    }

    fn widened(&mut self, node: &Node) -> Result<Named, String> {
        let input = self.picture(node, 0)?;
        let is_constant = string(node, "mode").is_none_or(|mode| mode == b"constant");
        // The number to pad with is zero if it is not said.
        let is_zero = match node.input.get(2) {
            Some(name) if !name.is_empty() => self.constants.get(node, 2)?.to_f32s() == Some(vec![0.0]),
            _ => true,
        };
        match self.constants.get(node, 1)?.to_i64s().as_deref() {
            Some(&[0, 0, 0, 0, 0, more, 0, 0]) if is_constant && is_zero && node.input.len() <= 3 => {
                let more = usize::try_from(more).ok().filter(|&more| more <= CHANNELS_MAX);
                let channels = input.channels + more.ok_or("its padding is out of bounds")?;
                Ok(Named { channels, form: Seen::Widened, ..input })
            }
            _ => Err("pads more than channels of zeros at the end".to_owned()),
        }
    }

    fn doubled(&mut self, node: &Node) -> Result<Named, String> {
        let input = self.picture(node, 0)?;
        let is = |name, word: &[u8]| string(node, name) == Some(word);
        let is_nearest = is("mode", b"nearest")
            && is("coordinate_transformation_mode", b"asymmetric")
            && is("nearest_mode", b"floor")
            && float(node, "extrapolation_value").unwrap_or(0.0) == 0.0
            && node.input.len() == 3;
        if !is_nearest || self.constants.get(node, 2)?.to_f32s() != Some(vec![1.0, 1.0, 2.0, 2.0]) {
            return Err("does not make 2x2 pixels of each".to_owned());
        }
        Ok(Named { form: Seen::Doubled, ..input })
    }

    fn reshaped(&mut self, node: &Node) -> Result<Named, String> {
        let input = self.named(node, 0)?;
        let shape = self.constants.get(node, 1)?.to_i64s();
        match (input.form, shape.as_deref()) {
            (Seen::ChannelsLast, Some(&[1, -1, last])) if usize::try_from(last) == Ok(input.channels) => {
                Ok(Named { form: Seen::Pixels { is_logistic: false }, ..input })
            }
            _ => Err("does not make a list of pixels with their channels".to_owned()),
        }
    }
}
