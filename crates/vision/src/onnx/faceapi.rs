//! The weight files of face-api: read, made plain, and given the graphs they belong to.
//!
//! Such a file is a list of byte-quantised tensors beside a JSON list of their names, shapes and scales; the nets
//! themselves are code in that library, written here as graphs. The recipe is a port of the reference converter and
//! gives the same bytes.
//!
//! All nets take the square crop of a face as planes of 0 to 255, red first, and normalise inside.

use std::collections::HashMap;

use serde::Deserialize;

use super::build::{Builder, Value, Window};
use super::constant::{Constant, n_elements};
use super::damaged;
use super::message::Model;

#[cfg(test)]
mod tests;

/// Side of the crop that all nets take.
const SIDE: usize = 112;

/// The mean colour of the training pictures, red first; the difference is divided by 255.
const MEAN: [f32; 3] = [122.782, 117.001, 104.298];

/// Tensors in a weight file; the largest net has a hundred.
const TENSORS_MAX: usize = 1000;

/// Dimensions of a tensor in a weight file.
const DIMENSIONS_MAX: usize = 4;

/// The nets we know the graphs of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceApiNet {
    /// 68 landmarks: output `landmarks`, x and y of each in 0 to 1 of the crop.
    Landmarks68,
    /// Seven expressions: output `probs`, probabilities of neutral, happy, sad, angry, fearful, disgusted, surprised.
    Expression,
    /// Age and gender: outputs `age` in years and `gender_male_female`, probabilities.
    AgeGender,
}

/// Makes a model from a weight file and the JSON that describes it. Errors are
/// [`likeness_domain::Kind::PackUnavailable`] and name the tensor at fault.
pub fn face_api(net: FaceApiNet, description: &[u8], weights: &[u8]) -> likeness_domain::Result<Model> {
    let weights = Weights::read(description, weights).map_err(damaged)?;
    let graph = match net {
        FaceApiNet::Landmarks68 => dense_net(&weights, "landmarks", false),
        FaceApiNet::Expression => dense_net(&weights, "probs", true),
        FaceApiNet::AgeGender => age_gender(&weights),
    };
    graph.map_err(damaged)
}

#[derive(Deserialize)]
struct Group {
    weights: Vec<Described>,
}

#[derive(Deserialize)]
struct Described {
    name: String,
    shape: Vec<usize>,
    dtype: String,
    quantization: Option<Quantization>,
}

/// A number is `byte * scale + min`.
#[derive(Deserialize)]
struct Quantization {
    dtype: String,
    scale: f64,
    min: f64,
}

/// A tensor in the library's order of axes.
struct Weight {
    dims: Vec<usize>,
    numbers: Vec<f32>,
}

/// Every tensor of a weight file by its name.
struct Weights(HashMap<String, Weight>);

impl Weights {
    fn read(description: &[u8], bytes: &[u8]) -> Result<Self, String> {
        let groups: Vec<Group> =
            serde_json::from_slice(description).map_err(|err| format!("weights are badly described: {err}"))?;
        let [group] = &groups[..] else {
            return Err(format!("weights come in {} groups, expected 1", groups.len()));
        };
        if group.weights.len() > TENSORS_MAX {
            return Err(format!("has {} tensors, expected at most {TENSORS_MAX}", group.weights.len()));
        }
        let mut rest = bytes;
        let mut weights = HashMap::new();
        for described in &group.weights {
            let numbers =
                described.read(&mut rest).map_err(|problem| format!("weight {:?} {problem}", described.name))?;
            weights.insert(described.name.clone(), Weight { dims: described.shape.clone(), numbers });
        }
        if rest.is_empty() { Ok(Self(weights)) } else { Err(format!("has {} bytes too many", rest.len())) }
    }

    fn get(&self, name: &str) -> Result<&Weight, String> {
        self.0.get(name).ok_or_else(|| format!("has no weight {name:?}"))
    }

    /// A tensor as it is.
    fn plain(&self, name: &str) -> Result<Constant, String> {
        let weight = self.get(name)?;
        Ok(Constant::f32s(weight.dims.clone(), &weight.numbers))
    }

    /// The filter of a convolution, `[height, width, in, out]` to `[out, in, height, width]`.
    fn filter(&self, name: &str) -> Result<Constant, String> {
        self.get(name)?.transposed([3, 2, 0, 1]).ok_or_else(|| format!("weight {name:?} is no filter"))
    }

    /// The filter of a depthwise convolution, `[height, width, in, 1]` to `[in, 1, height, width]`.
    fn depthwise_filter(&self, name: &str) -> Result<Constant, String> {
        let filter = self.get(name)?.transposed([2, 3, 0, 1]);
        filter.filter(|filter| filter.dims[1..] == [1, 3, 3]).ok_or_else(|| format!("weight {name:?} is no 3x3 filter"))
    }
}

impl Described {
    fn read(&self, rest: &mut &[u8]) -> Result<Vec<f32>, String> {
        let n_bytes_each = match (&self.quantization, self.dtype.as_str()) {
            (None, "float32") => 4,
            (Some(quantization), "float32") if quantization.dtype == "uint8" => 1,
            _ => return Err("is of a kind not supported here".into()),
        };
        let n_bytes = n_elements(&self.shape).and_then(|n_elements| n_elements.checked_mul(n_bytes_each));
        let n_bytes = n_bytes.filter(|&n_bytes| n_bytes <= rest.len() && self.shape.len() <= DIMENSIONS_MAX);
        let (bytes, after) = rest.split_at(n_bytes.ok_or("reaches beyond the end of the file")?);
        *rest = after;
        Ok(match &self.quantization {
            None => bytes.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect(),
            // In double precision, rounded once, as the reference has it.
            Some(Quantization { scale, min, .. }) => {
                bytes.iter().map(|&byte| (f64::from(byte) * scale + min) as f32).collect()
            }
        })
    }
}

impl Weight {
    /// With the axes in another order; `None` unless there are four.
    fn transposed(&self, order: [usize; 4]) -> Option<Constant> {
        let dims: [usize; 4] = self.dims.as_slice().try_into().ok()?;
        let strides = [dims[1] * dims[2] * dims[3], dims[2] * dims[3], dims[3], 1];
        let (dims, strides) = (order.map(|axis| dims[axis]), order.map(|axis| strides[axis]));
        let mut numbers = Vec::with_capacity(self.numbers.len());
        for a in 0..dims[0] {
            for b in 0..dims[1] {
                for c in 0..dims[2] {
                    let start = a * strides[0] + b * strides[1] + c * strides[2];
                    numbers.extend((0..dims[3]).map(|d| self.numbers[start + d * strides[3]]));
                }
            }
        }
        Some(Constant::f32s(dims.to_vec(), &numbers))
    }
}

/// A graph under construction, with the weights it takes.
struct Net<'a> {
    weights: &'a Weights,
    builder: Builder,
}

type Built = Result<Value, String>;

impl<'a> Net<'a> {
    /// A new graph, and its normalised input.
    fn new(weights: &'a Weights) -> (Self, Value) {
        let mut builder = Builder::default();
        let mean = builder.constant(&Constant::f32s(vec![1, 3, 1, 1], &MEAN));
        let centred = builder.node("Sub", &["input", &mean], SIDE, Vec::new());
        let scale = builder.constant(&Constant::f32s(vec![1], &[1.0 / 255.0]));
        let input = builder.node("Mul", &[&centred.name, &scale], SIDE, Vec::new());
        (Self { weights, builder }, input)
    }

    fn conv(&mut self, value: &Value, names: [&str; 2], stride: usize) -> Built {
        let (filter, bias) = (self.weights.filter(names[0])?, self.weights.plain(names[1])?);
        let [.., height, width] = filter.dims[..] else { unreachable!("a filter has four dimensions") };
        if height != width || height == 0 {
            return Err(format!("weight {:?} is no square filter", names[0]));
        }
        Ok(self.builder.conv(value, &[filter, bias], Window { side: height, stride, padded: true }, None))
    }

    /// A convolution per channel, then one across channels.
    fn separable(&mut self, value: &Value, prefix: &str, stride: usize) -> Built {
        let depthwise = self.weights.depthwise_filter(&format!("{prefix}/depthwise_filter"))?;
        let (group, window) = (depthwise.dims[0], Window { side: 3, stride, padded: true });
        let value = self.builder.conv(value, &[depthwise], window, Some(group));
        self.conv(&value, [&format!("{prefix}/pointwise_filter"), &format!("{prefix}/bias")], 1)
    }

    /// Four convolutions, each adding to what the ones before gave.
    fn dense_block(&mut self, value: &Value, block: usize) -> Built {
        let prefix = |layer: usize| format!("dense{block}/conv{layer}");
        let first = if block == 0 {
            self.conv(value, [&format!("{}/filters", prefix(0)), &format!("{}/bias", prefix(0))], 2)?
        } else {
            self.separable(value, &prefix(0), 2)?
        };
        let first = self.builder.relu(&first);
        let second = self.separable(&first, &prefix(1), 1)?;
        let mut sum = self.builder.add(&first, &second);
        for layer in 2..4 {
            let active = self.builder.relu(&sum);
            let next = self.separable(&active, &prefix(layer), 1)?;
            sum = self.builder.add(&sum, &next);
        }
        Ok(self.builder.relu(&sum))
    }

    /// Two separable convolutions at half the size, beside a plain one.
    fn reduction_block(&mut self, value: &Value, prefix: &str, active: bool) -> Built {
        let start = if active { self.builder.relu(value) } else { value.clone() };
        let deep = self.separable(&start, &format!("{prefix}/separable_conv0"), 1)?;
        let deep = self.builder.relu(&deep);
        let deep = self.separable(&deep, &format!("{prefix}/separable_conv1"), 1)?;
        let deep = self.builder.pool("MaxPool", &deep, Window { side: 3, stride: 2, padded: true });
        let (filters, bias) = (format!("{prefix}/expansion_conv/filters"), format!("{prefix}/expansion_conv/bias"));
        let plain = self.conv(value, [&filters, &bias], 2)?;
        Ok(self.builder.add(&deep, &plain))
    }

    fn main_block(&mut self, value: &Value, prefix: &str) -> Built {
        let mut deep = value.clone();
        for layer in 0..3 {
            let active = self.builder.relu(&deep);
            deep = self.separable(&active, &format!("{prefix}/separable_conv{layer}"), 1)?;
        }
        Ok(self.builder.add(&deep, value))
    }

    /// The mean of each plane, in a row.
    fn averaged(&mut self, value: &Value) -> Value {
        let value = match value.side {
            7.. => self.builder.pool("AveragePool", value, Window { side: 7, stride: 2, padded: false }),
            _ => value.clone(),
        };
        self.builder.flatten(&value)
    }

    /// A fully connected layer, and how many numbers it gives.
    fn fully_connected(&mut self, value: &Value, prefix: &str) -> Result<(Value, usize), String> {
        let (weights, bias) = (format!("{prefix}/weights"), format!("{prefix}/bias"));
        let (weights, bias) = (self.weights.plain(&weights)?, self.weights.plain(&bias)?);
        let [n_outputs] = bias.dims[..] else { return Err(format!("weight \"{prefix}/bias\" is no list")) };
        Ok((self.builder.dense(value, &weights, &bias), n_outputs))
    }

    fn finish(self, outputs: &[(Value, &str, Vec<usize>)]) -> Model {
        self.builder.finish(("faceapi", "faceapi2onnx"), ("input", &[1, 3, SIDE, SIDE]), outputs)
    }
}

/// Four dense blocks and one layer: 68 landmarks and expressions.
fn dense_net(weights: &Weights, output: &str, softmax: bool) -> Result<Model, String> {
    let (mut net, mut value) = Net::new(weights);
    for block in 0..4 {
        value = net.dense_block(&value, block)?;
    }
    let value = net.averaged(&value);
    let (mut value, n_outputs) = net.fully_connected(&value, "fc")?;
    if softmax {
        value = net.builder.softmax(&value);
    }
    Ok(net.finish(&[(value, output, vec![1, n_outputs])]))
}

/// A small Xception with two heads.
fn age_gender(weights: &Weights) -> Result<Model, String> {
    let (mut net, input) = Net::new(weights);
    let entry = net.conv(&input, ["entry_flow/conv_in/filters", "entry_flow/conv_in/bias"], 2)?;
    let mut value = net.builder.relu(&entry);
    value = net.reduction_block(&value, "entry_flow/reduction_block_0", false)?;
    value = net.reduction_block(&value, "entry_flow/reduction_block_1", true)?;
    for block in 0..2 {
        value = net.main_block(&value, &format!("middle_flow/main_block_{block}"))?;
    }
    value = net.reduction_block(&value, "exit_flow/reduction_block", true)?;
    value = net.separable(&value, "exit_flow/separable_conv", 1)?;
    value = net.builder.relu(&value);
    let value = net.averaged(&value);
    let (age, n_ages) = net.fully_connected(&value, "fc/age")?;
    let (gender, n_genders) = net.fully_connected(&value, "fc/gender")?;
    let gender = net.builder.softmax(&gender);
    Ok(net.finish(&[(age, "age", vec![1, n_ages]), (gender, "gender_male_female", vec![1, n_genders])]))
}
