//! From a TFLite graph to an ONNX one: [batch, height, width, channels] becomes [batch, channels, height, width].

use super::Output;
use super::graph::{Activation, Element, Graph, Kind, Operation, Padding, Tensor, Window};
use crate::onnx::build::{Builder, Value, integer, integers};
use crate::onnx::constant::Constant;

/// Largest height, width or number of channels of a tensor. Products of three stay far below 2^63.
const SIDE_MAX: i32 = 65_536;

/// Largest stride, dilation or side of a window.
const WINDOW_MAX: i32 = 1024;

/// Bytes of all constants written, in bytes of the file: 16-bit floats become 32-bit ones, and a file in which many
/// operations share a constant is no net in use.
const CONSTANT_BYTES_FACTOR: usize = 4;

type Made<T> = Result<T, String>;

/// Planes of a computed tensor.
#[derive(Clone)]
struct Planes {
    value: Value,
    /// Height, width, channels.
    dims: [usize; 3],
}

struct Converter<'a> {
    graph: &'a Graph<'a>,
    builder: Builder,
    /// For each tensor what is known of it so far.
    known: Vec<Known>,
    /// How many more bytes of constants may be written.
    n_bytes_left: usize,
}

#[derive(Clone)]
enum Known {
    /// Nothing, or it is a constant of the file.
    AsStated,
    /// The constant of this place, made 32-bit.
    Dequantized(usize),
    Computed(Planes),
}

pub(super) fn convert(graph: &Graph<'_>, n_file_bytes: usize, outputs: &[Output]) -> Made<crate::onnx::message::Model> {
    let mut converter = Converter {
        graph,
        builder: Builder::default(),
        known: vec![Known::AsStated; graph.tensors.len()],
        n_bytes_left: n_file_bytes.saturating_mul(CONSTANT_BYTES_FACTOR),
    };
    let [input] = graph.inputs[..] else { return Err(format!("has {} inputs, expected 1", graph.inputs.len())) };
    let (idx, tensor) = converter.tensor(input)?;
    let input_dims = dims(tensor).filter(|_| tensor.element == Element::F32 && tensor.data.is_empty());
    let [height, width, n_channels] =
        input_dims.ok_or_else(|| format!("has an input of shape {:?}, expected [1, h, w, channels]", tensor.dims))?;
    let value = Value { name: "input".into(), side: 0 };
    converter.known[idx] = Known::Computed(Planes { value, dims: [height, width, n_channels] });
    for (number, operation) in graph.operations.iter().enumerate() {
        converter.operation(operation).map_err(|problem| format!("operation {number} {problem}"))?;
    }
    if graph.outputs.len() != outputs.len() {
        return Err(format!("has {} outputs, expected {}", graph.outputs.len(), outputs.len()));
    }
    let mut results = Vec::with_capacity(outputs.len());
    for (&place, output) in graph.outputs.iter().zip(outputs) {
        let Output { name, n_numbers } = output;
        let value = converter.flattened(place, *n_numbers).map_err(|problem| format!("output `{name}` {problem}"))?;
        results.push((value, name.as_str(), vec![1, *n_numbers]));
    }
    Ok(converter.builder.finish(("tflite", "likeness"), ("input", &[1, n_channels, height, width]), &results))
}

impl<'a> Converter<'a> {
    fn tensor(&self, place: i32) -> Made<(usize, &'a Tensor<'a>)> {
        let idx = usize::try_from(place).ok();
        idx.and_then(|idx| Some((idx, self.graph.tensors.get(idx)?)))
            .ok_or_else(|| format!("names tensor {place}, which does not exist"))
    }

    /// A tensor that was computed before.
    fn planes(&self, place: i32) -> Made<Planes> {
        match &self.known[self.tensor(place)?.0] {
            Known::Computed(planes) => Ok(planes.clone()),
            _ => Err(format!("takes tensor {place}, which no operation before it makes")),
        }
    }

    /// The shape and numbers of a constant.
    fn floats(&mut self, place: i32) -> Made<(Vec<usize>, Vec<f32>)> {
        let (idx, tensor) = self.tensor(place)?;
        let source = match self.known[idx] {
            Known::Dequantized(source) => &self.graph.tensors[source],
            _ => tensor,
        };
        let numbers = match source.element {
            Element::F32 => self.elements(place, source)?.into_iter().map(f32::from_le_bytes).collect(),
            Element::F16 if matches!(self.known[idx], Known::Dequantized(_)) => {
                self.elements(place, source)?.into_iter().map(|bytes| from_f16(u16::from_le_bytes(bytes))).collect()
            }
            other => return Err(format!("takes tensor {place} of {other:?}, expected a constant of floats")),
        };
        Ok((tensor.dims.iter().map(|&dim| usize::try_from(dim).unwrap_or(0)).collect(), numbers))
    }

    /// The elements of a constant, as many as its shape says. The bytes they take once written are counted.
    fn elements<const N: usize>(&mut self, place: i32, tensor: &'a Tensor<'a>) -> Made<Vec<[u8; N]>> {
        let n_elements = tensor
            .dims
            .iter()
            .try_fold(1_usize, |product, &dim| product.checked_mul(usize::try_from(dim).ok().filter(|&dim| dim > 0)?));
        let (elements, rest) = tensor.data.as_chunks();
        if n_elements != Some(elements.len()) || !rest.is_empty() {
            let (n_bytes, dims) = (tensor.data.len(), &tensor.dims);
            return Err(format!(
                "takes tensor {place} as a constant of shape {dims:?}, of which there are {n_bytes} bytes"
            ));
        }
        let left = elements.len().checked_mul(4).and_then(|n_bytes| self.n_bytes_left.checked_sub(n_bytes));
        self.n_bytes_left = left.ok_or("takes more bytes of constants than a net of this size can have")?;
        Ok(elements.to_vec())
    }

    fn operation(&mut self, operation: &Operation) -> Made<()> {
        let [output] = operation.outputs[..] else {
            return Err(format!("makes {} tensors, expected 1", operation.outputs.len()));
        };
        let (output_idx, output_tensor) = self.tensor(output)?;
        if !matches!(self.known[output_idx], Known::AsStated) || !output_tensor.data.is_empty() {
            return Err(format!("makes tensor {output}, which is there already"));
        }
        let made = match (operation.kind, &operation.inputs[..]) {
            (Kind::Dequantize, &[constant]) => {
                let (idx, tensor) = self.tensor(constant)?;
                if output_tensor.dims != tensor.dims {
                    return Err(format!("makes {:?} of constants of shape {:?}", output_tensor.dims, tensor.dims));
                }
                self.known[output_idx] = Known::Dequantized(idx);
                return Ok(());
            }
            (Kind::Conv { window, activation }, &[planes, filter, ref bias @ ..]) => {
                let made = self.conv(planes, filter, bias, window, None)?;
                self.activated(made, activation)
            }
            (Kind::DepthwiseConv { window, multiplier, activation }, &[planes, filter, ref bias @ ..]) => {
                let made = self.conv(planes, filter, bias, window, Some(multiplier))?;
                self.activated(made, activation)
            }
            (Kind::MaxPool { window, size, activation }, &[planes]) => {
                let made = self.max_pool(planes, window, size)?;
                self.activated(made, activation)
            }
            (Kind::Add { activation }, &[left, right]) => {
                let made = self.add(left, right)?;
                self.activated(made, activation)
            }
            (Kind::PRelu, &[planes, slopes]) => self.prelu(planes, slopes)?,
            (Kind::Pad, &[planes, widths]) => self.pad(planes, widths)?,
            (_, inputs) => {
                return Err(format!("takes {} tensors, which is another number than it needs", inputs.len()));
            }
        };
        if dims(output_tensor) != Some(made.dims) || output_tensor.element != Element::F32 {
            let [height, width, n_channels] = made.dims;
            return Err(format!(
                "makes [1, {height}, {width}, {n_channels}], but the file says {:?}",
                output_tensor.dims
            ));
        }
        self.known[output_idx] = Known::Computed(made);
        Ok(())
    }

    /// CONV_2D with filters [out, height, width, in]; with a `multiplier` DEPTHWISE_CONV_2D with filters [1, height, width,
    /// out], one group of filters for each channel of the input.
    fn conv(
        &mut self,
        planes: i32,
        filter: i32,
        bias: &[i32],
        window: Window,
        multiplier: Option<i32>,
    ) -> Made<Planes> {
        let Planes { value, dims: [height, width, n_channels] } = self.planes(planes)?;
        let (filter_dims, numbers) = self.floats(filter)?;
        let &[first, rows, columns, last] = &filter_dims[..] else {
            return Err(format!("has filters of shape {filter_dims:?}, expected four dimensions"));
        };
        let (n_outputs, group, filter) = match multiplier {
            None if last == n_channels => {
                // [out, height, width, in] to [out, in, height, width].
                let order = |out: usize, channel: usize, place: usize| (out * rows * columns + place) * last + channel;
                (first, 1, reordered(&numbers, [first, last, rows * columns], order))
            }
            Some(multiplier)
                if first == 1 && usize::try_from(multiplier).is_ok_and(|m| m.checked_mul(n_channels) == Some(last)) =>
            {
                // [1, height, width, out] to [out, 1, height, width].
                let order = |out: usize, _: usize, place: usize| place * last + out;
                (last, n_channels, reordered(&numbers, [last, 1, rows * columns], order))
            }
            _ => return Err(format!("has filters of shape {filter_dims:?} for {n_channels} channels")),
        };
        let filter =
            Constant::f32s(vec![n_outputs, numbers.len() / (n_outputs * rows * columns), rows, columns], &filter);
        let mut inputs = vec![value.name, self.builder.constant(&filter)];
        match *bias {
            [] | [-1] => {}
            [bias] => {
                let (bias_dims, numbers) = self.floats(bias)?;
                if bias_dims != [n_outputs] {
                    return Err(format!("has biases of shape {bias_dims:?} for {n_outputs} filters"));
                }
                inputs.push(self.builder.constant(&Constant::f32s(bias_dims, &numbers)));
            }
            _ => return Err("has more than one tensor of biases".into()),
        }
        let places = [place(height, rows, window, 0)?, place(width, columns, window, 1)?];
        let mut attributes = vec![integers("dilations", &window.dilations.map(i64::from)), integer("group", group)];
        attributes.extend(window_attributes([rows, columns], window, places));
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        let value = self.builder.node("Conv", &inputs, 0, attributes);
        Ok(Planes { value, dims: [places[0].n_results, places[1].n_results, n_outputs] })
    }

    fn max_pool(&mut self, planes: i32, window: Window, size: [i32; 2]) -> Made<Planes> {
        let Planes { value, dims: [height, width, n_channels] } = self.planes(planes)?;
        let size = size.map(|side| usize::try_from(side).unwrap_or(0));
        let places = [place(height, size[0], window, 0)?, place(width, size[1], window, 1)?];
        let attributes = window_attributes(size, window, places).into();
        let value = self.builder.node("MaxPool", &[&value.name], 0, attributes);
        Ok(Planes { value, dims: [places[0].n_results, places[1].n_results, n_channels] })
    }

    fn add(&mut self, left: i32, right: i32) -> Made<Planes> {
        let (left, right) = (self.planes(left)?, self.planes(right)?);
        if left.dims != right.dims {
            return Err(format!("adds {:?} to {:?} (height, width, channels)", left.dims, right.dims));
        }
        Ok(Planes { value: self.builder.add(&left.value, &right.value), dims: left.dims })
    }

    fn prelu(&mut self, planes: i32, slopes: i32) -> Made<Planes> {
        let Planes { value, dims } = self.planes(planes)?;
        let (slope_dims, numbers) = self.floats(slopes)?;
        if numbers.len() != dims[2] || slope_dims.last() != Some(&dims[2]) {
            return Err(format!("has slopes of shape {slope_dims:?} for {} channels", dims[2]));
        }
        let slopes = self.builder.constant(&Constant::f32s(vec![dims[2], 1, 1], &numbers));
        Ok(Planes { value: self.builder.node("PRelu", &[&value.name, &slopes], 0, Vec::new()), dims })
    }

    /// PAD with zeros, by the numbers in a constant [4, 2]: before and after along each dimension.
    fn pad(&mut self, planes: i32, widths: i32) -> Made<Planes> {
        let Planes { value, dims } = self.planes(planes)?;
        let (_, tensor) = self.tensor(widths)?;
        if tensor.dims != [4, 2] || tensor.element != Element::I32 {
            return Err(format!("pads by a tensor of shape {:?}, expected integers [4, 2]", tensor.dims));
        }
        let widths: Vec<i32> = self.elements(widths, tensor)?.into_iter().map(i32::from_le_bytes).collect();
        if widths[..2] != [0, 0] || widths.iter().any(|width| !(0..=SIDE_MAX).contains(width)) {
            return Err(format!("pads by {widths:?}, expected none in the batch and 0 to {SIDE_MAX} elsewhere"));
        }
        let width = |axis: usize, side: usize| i64::from(widths[2 * axis + side]);
        // Batch, channels, height, width, first before and then after.
        let onnx: Vec<i64> = [0, 1].iter().flat_map(|&side| [0, 3, 1, 2].map(|axis| width(axis, side))).collect();
        let onnx = self.builder.constant(&Constant::i64s(&onnx));
        let dims = std::array::from_fn(|axis| dims[axis] + (width(axis + 1, 0) + width(axis + 1, 1)) as usize);
        Ok(Planes { value: self.builder.node("Pad", &[&value.name, &onnx], 0, Vec::new()), dims })
    }

    fn activated(&mut self, planes: Planes, activation: Activation) -> Planes {
        let Planes { value, dims } = planes;
        let value = match activation {
            Activation::None => value,
            Activation::Relu => self.builder.relu(&value),
            Activation::Relu6 => {
                let bounds = [0.0, 6.0].map(|bound| self.builder.constant(&Constant::f32s(Vec::new(), &[bound])));
                self.builder.node("Clip", &[&value.name, &bounds[0], &bounds[1]], 0, Vec::new())
            }
        };
        Planes { value, dims }
    }

    /// A computed tensor as a list, in the order of the TFLite model: channels vary fastest.
    fn flattened(&mut self, place: i32, n_numbers: usize) -> Made<Value> {
        let Planes { mut value, dims: [height, width, n_channels] } = self.planes(place)?;
        if height * width * n_channels != n_numbers {
            return Err(format!("has {} numbers, expected {n_numbers}", height * width * n_channels));
        }
        if height * width > 1 && n_channels > 1 {
            value = self.builder.node("Transpose", &[&value.name], 0, vec![integers("perm", &[0, 2, 3, 1])]);
        }
        Ok(self.builder.flatten(&value))
    }
}

/// Height, width and channels of a tensor that holds planes.
fn dims(tensor: &Tensor<'_>) -> Option<[usize; 3]> {
    let [1, planes @ ..] = &tensor.dims[..] else { return None };
    let planes: [i32; 3] = planes.try_into().ok()?;
    planes.iter().all(|side| (1..=SIDE_MAX).contains(side)).then(|| planes.map(|side| side as usize))
}

/// Numbers in the order of the axes (a, b, c), each from the place that `source` says.
fn reordered(numbers: &[f32], [a, b, c]: [usize; 3], source: impl Fn(usize, usize, usize) -> usize) -> Vec<f32> {
    let mut result = Vec::with_capacity(numbers.len());
    for i in 0..a {
        for j in 0..b {
            result.extend((0..c).map(|k| numbers[source(i, j, k)]));
        }
    }
    result
}

/// How a window lies along one axis: padding before and after, and how many results there are.
#[derive(Clone, Copy)]
struct Place {
    before: usize,
    after: usize,
    n_results: usize,
}

/// A window of `side` pixels along planes of `length`; `axis` 0 is height, 1 is width.
fn place(length: usize, side: usize, window: Window, axis: usize) -> Made<Place> {
    let (stride, dilation) = (window.strides[axis], window.dilations[axis]);
    let is_usable = (1..=WINDOW_MAX as usize).contains(&side)
        && [stride, dilation].iter().all(|value| (1..=WINDOW_MAX).contains(value));
    if !is_usable {
        return Err(format!(
            "has a window of {side}, stride {stride}, dilation {dilation}, expected 1 to {WINDOW_MAX}"
        ));
    }
    let (stride, reach) = (stride as usize, (side - 1) * dilation as usize + 1);
    match window.padding {
        Padding::Same => {
            let n_results = length.div_ceil(stride);
            let padding = ((n_results - 1) * stride + reach).saturating_sub(length);
            Ok(Place { before: padding / 2, after: padding - padding / 2, n_results })
        }
        Padding::Valid if reach <= length => {
            Ok(Place { before: 0, after: 0, n_results: (length - reach) / stride + 1 })
        }
        Padding::Valid => Err(format!("has a window of {reach} on planes of {length}")),
    }
}

fn window_attributes(size: [usize; 2], window: Window, places: [Place; 2]) -> [crate::onnx::message::Attribute; 3] {
    let pads = [places[0].before, places[1].before, places[0].after, places[1].after];
    [
        integers("kernel_shape", &size.map(|side| side as i64)),
        integers("pads", &pads.map(|width| width as i64)),
        integers("strides", &window.strides.map(i64::from)),
    ]
}

/// The number that 16 bits stand for (IEEE 754 binary16); exact.
pub(super) fn from_f16(bits: u16) -> f32 {
    let sign = u32::from(bits >> 15) << 31;
    let (exponent, mantissa) = (u32::from(bits >> 10) & 0x1f, u32::from(bits) & 0x3ff);
    match exponent {
        // Zero and numbers below the smallest normal one: multiples of 2^-24.
        0 => f32::from_bits(sign | (mantissa as f32 / (1 << 24) as f32).to_bits()),
        0x1f => f32::from_bits(sign | 0x7f80_0000 | (mantissa << 13)),
        _ => f32::from_bits(sign | ((exponent + 112) << 23) | (mantissa << 13)),
    }
}
