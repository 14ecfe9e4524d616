//! Graphs written node by node, in the order in which they run.

use super::constant::Constant;
use super::message::{
    Attribute, Dimension, DimensionValue, Graph, Model, Node, OperatorSet, Shape, Tensor, TensorType, Type, ValueInfo,
};

/// Operator set of what is built, and the format version that came with it.
const OPSET_VERSION: i64 = 13;
const IR_VERSION: i64 = 7;

/// Element type and attribute types by their number in the format.
const F32: i32 = 1;
const INT: i32 = 2;
const INTS: i32 = 7;

/// A graph that grows. Values and constants are numbered, so the same calls give the same bytes.
#[derive(Default)]
pub(crate) struct Builder {
    nodes: Vec<Node>,
    constants: Vec<Tensor>,
}

/// A value of the graph, square planes of which one side is known; 0 where there are no planes.
#[derive(Clone)]
pub(crate) struct Value {
    pub(crate) name: String,
    pub(crate) side: usize,
}

/// The window of a convolution or a pooling.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub(crate) side: usize,
    pub(crate) stride: usize,
    /// Whether the planes are padded so that each stride gives a result ("same", the odd one to the right and bottom);
    /// otherwise windows stay inside ("valid").
    pub(crate) padded: bool,
}

impl Window {
    /// Padding before and after, and the side of the result, for planes of this side.
    fn on(self, side: usize) -> ([i64; 4], usize) {
        if !self.padded {
            return ([0; 4], side.saturating_sub(self.side) / self.stride + 1);
        }
        let result = side.div_ceil(self.stride);
        let padding = ((result - 1) * self.stride + self.side).saturating_sub(side);
        let (before, after) = ((padding / 2) as i64, (padding - padding / 2) as i64);
        ([before, before, after, after], result)
    }
}

impl Builder {
    pub(crate) fn constant(&mut self, constant: &Constant) -> String {
        let name = format!("c{}", self.constants.len());
        self.constants.push(constant.write(&name));
        name
    }

    /// A node whose result has planes of the same side as its first input.
    pub(crate) fn node(&mut self, op_type: &str, inputs: &[&str], side: usize, attributes: Vec<Attribute>) -> Value {
        let name = format!("t{}", self.nodes.len() + 1);
        self.nodes.push(Node {
            input: inputs.iter().map(|&input| input.to_owned()).collect(),
            output: vec![name.clone()],
            op_type: Some(op_type.to_owned()),
            attribute: attributes,
            ..Node::default()
        });
        Value { name, side }
    }

    pub(crate) fn relu(&mut self, value: &Value) -> Value {
        self.node("Relu", &[&value.name], value.side, Vec::new())
    }

    pub(crate) fn add(&mut self, left: &Value, right: &Value) -> Value {
        self.node("Add", &[&left.name, &right.name], left.side, Vec::new())
    }

    /// A convolution with `constants` (weights, and perhaps biases) in `group` groups.
    pub(crate) fn conv(
        &mut self,
        value: &Value,
        constants: &[Constant],
        window: Window,
        group: Option<usize>,
    ) -> Value {
        let constants: Vec<String> = constants.iter().map(|constant| self.constant(constant)).collect();
        let mut inputs = vec![value.name.as_str()];
        inputs.extend(constants.iter().map(String::as_str));
        let mut attributes: Vec<Attribute> = group.map(|group| integer("group", group)).into_iter().collect();
        let (more, side) = window_attributes(window, value.side);
        attributes.extend(more);
        self.node("Conv", &inputs, side, attributes)
    }

    /// `MaxPool` or `AveragePool`.
    pub(crate) fn pool(&mut self, op_type: &str, value: &Value, window: Window) -> Value {
        let (attributes, side) = window_attributes(window, value.side);
        self.node(op_type, &[&value.name], side, attributes.into())
    }

    pub(crate) fn flatten(&mut self, value: &Value) -> Value {
        self.node("Flatten", &[&value.name], 0, vec![integer("axis", 1)])
    }

    /// A fully connected layer.
    pub(crate) fn dense(&mut self, value: &Value, weights: &Constant, bias: &Constant) -> Value {
        let (weights, bias) = (self.constant(weights), self.constant(bias));
        self.node("Gemm", &[&value.name, &weights, &bias], 0, Vec::new())
    }

    pub(crate) fn softmax(&mut self, value: &Value) -> Value {
        self.node("Softmax", &[&value.name], 0, vec![integer("axis", 1)])
    }

    /// The model from `input` of this shape to `outputs`: a value, the name it gets, and its shape.
    pub(crate) fn finish(
        mut self,
        names: (&str, &str),
        input: (&str, &[usize]),
        outputs: &[(Value, &str, Vec<usize>)],
    ) -> Model {
        let (graph, producer) = names;
        for (value, name, _) in outputs {
            for spelled in self.nodes.iter_mut().flat_map(|node| node.input.iter_mut().chain(&mut node.output)) {
                if *spelled == value.name {
                    *spelled = (*name).to_owned();
                }
            }
        }
        Model {
            ir_version: Some(IR_VERSION),
            producer_name: Some(producer.to_owned()),
            graph: Some(Graph {
                node: self.nodes,
                name: Some(graph.to_owned()),
                initializer: self.constants,
                input: vec![floats(input.0, input.1)],
                output: outputs.iter().map(|(_, name, shape)| floats(name, shape)).collect(),
                ..Graph::default()
            }),
            opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET_VERSION) }],
            ..Model::default()
        }
    }
}

fn window_attributes(window: Window, side: usize) -> ([Attribute; 3], usize) {
    let (pads, side) = window.on(side);
    let (length, stride) = (window.side as i64, window.stride as i64);
    let attributes =
        [integers("kernel_shape", &[length; 2]), integers("pads", &pads), integers("strides", &[stride; 2])];
    (attributes, side)
}

/// An integer attribute.
pub(crate) fn integer(name: &str, value: usize) -> Attribute {
    Attribute { name: Some(name.into()), i: Some(value as i64), r#type: Some(INT), ..Attribute::default() }
}

/// An attribute that is a list of integers.
pub(crate) fn integers(name: &str, values: &[i64]) -> Attribute {
    Attribute { name: Some(name.into()), ints: values.to_vec(), r#type: Some(INTS), ..Attribute::default() }
}

fn floats(name: &str, shape: &[usize]) -> ValueInfo {
    let known =
        |&length: &usize| Dimension { value: Some(DimensionValue::Value(length as i64)), ..Dimension::default() };
    let shape = Shape { dim: shape.iter().map(known).collect() };
    let tensor_type = TensorType { elem_type: Some(F32), shape: Some(shape) };
    let r#type = Type { tensor_type: Some(tensor_type), ..Type::default() };
    ValueInfo { name: Some(name.to_owned()), r#type: Some(r#type), ..ValueInfo::default() }
}
