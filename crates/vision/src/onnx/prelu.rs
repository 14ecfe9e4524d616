//! Parametric ReLU in terms a runtime has fast code for.
//!
//! ONNX Runtime keeps convolutions in a blocked memory layout, but has no blocked `PRelu`: each one costs two
//! conversions, half of a recogniser's time. With slope `a` per channel, `prelu(x) = (1 - a) * relu(x) + a * x`, which two
//! depthwise 1x1 convolutions and an addition compute within the blocked layout.

#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet};

use super::constant::Constant;
use super::message::{Attribute, Graph, Model, Node, Tensor};

/// Rewrites every `PRelu` with one constant slope per channel after a convolution, or after sums and poolings of what
/// convolutions make; what is of another kind stays. The
/// result computes the same to float error, is meant for the runtime only, and is never written to disk.
#[must_use]
pub fn ease_prelu(mut model: Model) -> Model {
    match &mut model.graph {
        // A sub-graph may use slopes that nobody else uses.
        Some(graph) if !graph.node.iter().any(Node::has_graphs) => ease(graph),
        _ => {}
    }
    model
}

fn ease(graph: &mut Graph) {
    let constants: HashMap<&str, &Tensor> = graph.initializer.iter().map(|tensor| (tensor.name(), tensor)).collect();
    let mut taken: HashSet<String> = graph.node.iter().flat_map(|node| &node.output).cloned().collect();
    taken.extend(constants.keys().map(|&name| name.to_owned()));
    taken.extend(graph.input.iter().map(|input| input.name().to_owned()));

    // Values known to be [batch, channels, height, width].
    let mut planes: HashSet<String> = HashSet::new();
    let mut nodes = Vec::with_capacity(graph.node.len());
    let mut weights = Vec::new();
    let mut slopes: HashSet<String> = HashSet::new();
    for node in std::mem::take(&mut graph.node) {
        let makes_planes = match (node.op_type(), &node.input[..]) {
            ("Conv", [_, weight, ..]) => constants.get(weight.as_str()).is_some_and(|weight| weight.dims.len() == 4),
            ("BatchNormalization" | "Relu" | "PRelu" | "MaxPool" | "Pad", [input, ..]) => planes.contains(input),
            ("Add", [left, right]) => planes.contains(left) && planes.contains(right),
            _ => false,
        };
        if makes_planes {
            planes.extend(node.output.first().cloned());
        }
        match makes_planes.then(|| eased(&node, &constants, &mut taken)).flatten() {
            Some((replacement, tensors)) => {
                nodes.extend(replacement);
                weights.extend(tensors);
                slopes.extend(node.input.get(1).cloned());
            }
            None => nodes.push(node),
        }
    }
    graph.node = nodes;
    // A runtime complains of constants nobody uses any more.
    let mut used: HashSet<&str> = graph.node.iter().flat_map(|node| &node.input).map(String::as_str).collect();
    used.extend(graph.output.iter().map(|output| output.name()));
    graph.initializer.retain(|tensor| !slopes.contains(tensor.name()) || used.contains(tensor.name()));
    graph.initializer.extend(weights);
}

/// The nodes and weights that stand in for a `PRelu`; `None` if it is none of the kind described above.
fn eased(
    node: &Node,
    constants: &HashMap<&str, &Tensor>,
    taken: &mut HashSet<String>,
) -> Option<([Node; 4], [Tensor; 2])> {
    let ("PRelu", [input, slope], [output]) = (node.op_type(), &node.input[..], &node.output[..]) else { return None };
    let slope = Constant::read(constants.get(slope.as_str())?).ok()?;
    let ([n_channels, 1, 1] | [1, n_channels, 1, 1]) = slope.dims[..] else { return None };
    let above = slope.to_f32s()?;
    let below: Vec<f32> = above.iter().map(|slope| 1.0 - slope).collect();

    let mut name = |part: &str| {
        let name = format!("{output}/{part}");
        taken.insert(name.clone()).then_some(name)
    };
    let [relu, linear, rest, linear_weight, rest_weight] =
        [name("relu")?, name("linear")?, name("rest")?, name("linear_weight")?, name("rest_weight")?];
    let weight = |name: &str, numbers: &[f32]| Constant::f32s(vec![n_channels, 1, 1, 1], numbers).write(name);
    let tensors = [weight(&linear_weight, &above), weight(&rest_weight, &below)];
    let nodes = [
        plain("Relu", [input.as_str()], &relu),
        depthwise([input, &linear_weight], &linear, n_channels),
        depthwise([&relu, &rest_weight], &rest, n_channels),
        plain("Add", [linear.as_str(), &rest], output),
    ];
    Some((nodes, tensors))
}

fn plain<const N: usize>(op_type: &str, input: [&str; N], output: &str) -> Node {
    Node {
        input: input.map(str::to_owned).into(),
        output: vec![output.to_owned()],
        name: Some(output.to_owned()),
        op_type: Some(op_type.to_owned()),
        ..Node::default()
    }
}

/// A 1x1 convolution with one weight per channel. Stride, padding and dilation have the neutral defaults.
fn depthwise(input: [&str; 2], output: &str, n_channels: usize) -> Node {
    const INT: i32 = 2;
    const INTS: i32 = 7;
    let attribute =
        |name: &str, r#type| Attribute { name: Some(name.into()), r#type: Some(r#type), ..Attribute::default() };
    let mut node = plain("Conv", input, output);
    node.attribute = vec![
        Attribute { i: Some(n_channels as i64), ..attribute("group", INT) },
        Attribute { ints: vec![1, 1], ..attribute("kernel_shape", INTS) },
    ];
    node
}
