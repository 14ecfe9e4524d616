//! Folding: block-quantised weights become plain f32, and what only serves them goes.
//!
//! The recipe is a port of the reference converter that the default pack's digests were made with, and gives the same
//! bytes: `DequantizeLinear` and `Reshape` of constants are computed, `Dropout` (nothing at inference) and constants
//! nobody uses are dropped, old-style inputs that name initializers go, and the result declares operator set 13.

use std::collections::{HashMap, HashSet};

use super::constant::{Constant, n_elements};
use super::damaged;
use super::message::{Attribute, DimensionValue, Graph, Model, Node, OperatorSet, ValueInfo};

/// Operator set of the result: the newest whose operators the folded graphs use unchanged.
const OPSET_VERSION: i64 = 13;

/// Format version of the result: the one that came with operator set 13.
const IR_VERSION: i64 = 7;

/// Whether the input's height and width are freed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InputSize {
    /// They stay as the file states them.
    AsStated,
    /// They become variable: for fully convolutional detectors whose outputs are `[1, cells, k]`.
    Free,
}

/// Folds a model. Errors are [`likeness_domain::Kind::PackUnavailable`] and name the node or constant at fault.
pub fn fold(model: Model, input_size: InputSize) -> likeness_domain::Result<Model> {
    let graph = model.graph.ok_or_else(|| damaged("has no graph"))?;
    // What they use would not be seen here and could be dropped.
    if graph.node.iter().any(Node::has_graphs) || !model.functions.is_empty() {
        return Err(damaged("has sub-graphs or functions, which are not supported"));
    }
    if !graph.sparse_initializer.is_empty() {
        return Err(damaged("has sparse constants, which are not supported"));
    }
    let mut graph = fold_graph(graph, input_size).map_err(damaged)?;
    if input_size == InputSize::Free {
        free_input_size(&mut graph).map_err(damaged)?;
    }
    check_wiring(&graph).map_err(damaged)?;
    Ok(Model {
        ir_version: Some(IR_VERSION),
        producer_name: Some("fold".into()),
        producer_version: None,
        graph: Some(graph),
        opset_import: vec![OperatorSet { domain: Some(String::new()), version: Some(OPSET_VERSION) }],
        functions: Vec::new(),
    })
}

/// Constants by name, in the order in which they became known.
#[derive(Default)]
struct Constants {
    entries: Vec<(String, Constant)>,
    places: HashMap<String, usize>,
}

impl Constants {
    fn get(&self, name: &str) -> Option<&Constant> {
        self.places.get(name).map(|&place| &self.entries[place].1)
    }

    fn contains(&self, name: &str) -> bool {
        self.places.contains_key(name)
    }

    fn insert(&mut self, name: String, constant: Constant) {
        match self.places.get(&name) {
            Some(&place) => self.entries[place].1 = constant,
            None => {
                self.places.insert(name.clone(), self.entries.len());
                self.entries.push((name, constant));
            }
        }
    }
}

fn fold_graph(graph: Graph, input_size: InputSize) -> Result<Graph, String> {
    let mut constants = Constants::default();
    for tensor in &graph.initializer {
        constants.insert(tensor.name.clone().unwrap_or_default(), Constant::read(tensor)?);
    }
    let nodes = compute_constants(graph.node, &mut constants)?;
    let mut nodes = drop_idle(nodes);
    if input_size == InputSize::Free {
        free_reshapes(&mut nodes, &mut constants)?;
    }
    let used = used_names(&nodes);
    let initializer = constants.entries.iter().filter(|(name, _)| used.contains(name.as_str()));
    let initializer = initializer.map(|(name, constant)| constant.write(name)).collect();
    let is_fed = |input: &ValueInfo| {
        let name = input.name.as_deref().unwrap_or_default();
        used.contains(name) && !constants.contains(name)
    };
    let input = graph.input.into_iter().filter(is_fed).collect();
    let name = graph.name.filter(|name| !name.is_empty()).unwrap_or_else(|| "g".into());
    Ok(Graph { node: nodes, name: Some(name), initializer, input, output: graph.output, ..Graph::default() })
}

/// Computes the nodes that depend on constants alone; returns the others.
fn compute_constants(nodes: Vec<Node>, constants: &mut Constants) -> Result<Vec<Node>, String> {
    let mut kept = Vec::with_capacity(nodes.len());
    for node in nodes {
        let compute = match node.op_type.as_deref() {
            Some("DequantizeLinear") => dequantize,
            Some("Reshape") => reshape,
            _ => {
                kept.push(node);
                continue;
            }
        };
        let inputs: Option<Vec<&Constant>> = node.input.iter().map(|name| constants.get(name)).collect();
        let Some(inputs) = inputs else {
            kept.push(node);
            continue;
        };
        let problem = || format!("{} {:?} cannot be computed", node.op_type(), node.name());
        let [output] = &node.output[..] else { return Err(problem()) };
        let constant = compute(&node, &inputs).ok_or_else(problem)?;
        constants.insert(output.clone(), constant);
    }
    Ok(kept)
}

/// `(quantised - zero_point) * scale`. With `block_size`, each scale serves so many neighbours along `axis`; without,
/// there is one scale for all or one per position on `axis`.
fn dequantize(node: &Node, inputs: &[&Constant]) -> Option<Constant> {
    let (quantised, scale, zero_point) = match inputs {
        [quantised, scale] => (quantised, scale, None),
        [quantised, scale, zero_point] => (quantised, scale, Some(zero_point)),
        _ => return None,
    };
    let dims = &quantised.dims;
    let integer = |name: &str, default| attribute(node, name).map_or(Some(default), |attribute| attribute.i);
    let axis = integer("axis", 1)?;
    let axis = if axis < 0 { axis.checked_add(dims.len() as i64)? } else { axis };
    let axis = usize::try_from(axis).ok()?;
    let block_size = usize::try_from(integer("block_size", 0)?).ok()?;
    let scale_at = ScaleIndex::new(dims, &scale.dims, axis, block_size)?;
    if zero_point.is_some_and(|zero_point| zero_point.dims != scale.dims) {
        return None;
    }
    let scales = scale.to_f32s()?;
    let zero_points = zero_point.map_or(Some(vec![0.0; scales.len()]), |zero_point| zero_point.to_f32s())?;
    let mut numbers = quantised.to_f32s()?;
    for (idx, number) in numbers.iter_mut().enumerate() {
        let at = scale_at.of(idx);
        *number = (*number - zero_points[at]) * scales[at];
    }
    Some(Constant::f32s(dims.clone(), &numbers))
}

/// Which scale belongs to the element at a flat position.
struct ScaleIndex {
    /// Elements between two neighbours along the axis.
    inner: usize,
    /// Positions along the axis.
    n_positions: usize,
    /// Positions that share a scale.
    block_size: usize,
    /// Scales along the axis.
    n_blocks: usize,
    /// Whether scales differ off the axis, too.
    is_blocked: bool,
}

impl ScaleIndex {
    fn new(dims: &[usize], scale_dims: &[usize], axis: usize, block_size: usize) -> Option<Self> {
        if block_size == 0 && n_elements(scale_dims) == Some(1) {
            return Some(Self { inner: 1, n_positions: 1, block_size: 1, n_blocks: 1, is_blocked: false });
        }
        let n_positions = *dims.get(axis)?;
        let inner = n_elements(&dims[axis + 1..])?;
        if block_size == 0 {
            let per_position = Self { inner, n_positions, block_size: 1, n_blocks: n_positions, is_blocked: false };
            return (scale_dims == [n_positions]).then_some(per_position);
        }
        let n_blocks = *scale_dims.get(axis)?;
        let same_elsewhere = dims.len() == scale_dims.len()
            && dims.iter().zip(scale_dims).enumerate().all(|(idx, (dim, scale_dim))| idx == axis || dim == scale_dim);
        let fits = same_elsewhere && n_blocks == n_positions.div_ceil(block_size);
        fits.then_some(Self { inner, n_positions, block_size, n_blocks, is_blocked: true })
    }

    fn of(&self, idx: usize) -> usize {
        let (outer, rest) = (idx / (self.inner * self.n_positions), idx % (self.inner * self.n_positions));
        let block = rest / self.inner / self.block_size;
        if self.is_blocked { (outer * self.n_blocks + block) * self.inner + rest % self.inner } else { block }
    }
}

fn reshape(_: &Node, inputs: &[&Constant]) -> Option<Constant> {
    let [constant, shape] = inputs else { return None };
    constant.reshape(&shape.to_i64s()?)
}

/// Drops `Dropout` nodes, whose output is their input at inference, and `Constant` nodes nobody uses.
fn drop_idle(nodes: Vec<Node>) -> Vec<Node> {
    let mut renamed: HashMap<String, String> = HashMap::new();
    let mut kept = Vec::with_capacity(nodes.len());
    for mut node in nodes {
        for input in &mut node.input {
            if let Some(name) = renamed.get(input) {
                *input = name.clone();
            }
        }
        match (node.op_type(), node.input.first(), node.output.first()) {
            ("Dropout", Some(input), Some(output)) => drop(renamed.insert(output.clone(), input.clone())),
            _ => kept.push(node),
        }
    }
    let used: HashSet<String> = used_names(&kept).into_iter().map(str::to_owned).collect();
    let is_idle = |node: &Node| node.op_type() == "Constant" && !node.output.iter().any(|name| used.contains(name));
    kept.retain(|node| !is_idle(node));
    kept
}

/// Frees the middle of three-dimensional shapes: `[1, cells, k]` was computed for one input size.
fn free_reshapes(nodes: &mut [Node], constants: &mut Constants) -> Result<(), String> {
    for node in nodes.iter_mut().filter(|node| node.op_type() == "Reshape") {
        let problem = || format!("Reshape {:?} has no constant shape", node.name());
        let shape_name = node.input.get(1).ok_or_else(problem)?;
        let mut shape = constants.get(shape_name).and_then(Constant::to_i64s).ok_or_else(problem)?;
        if shape.len() == 3 {
            shape[1] = -1;
            let free_name = format!("{shape_name}_dyn_{}", node.name());
            constants.insert(free_name.clone(), Constant::i64s(&shape));
            node.input[1] = free_name;
        }
    }
    Ok(())
}

/// Declares height and width of the inputs and the number of cells of the outputs as variable.
fn free_input_size(graph: &mut Graph) -> Result<(), String> {
    for input in &mut graph.input {
        free_dimension(input, 2, "H".into())?;
        free_dimension(input, 3, "W".into())?;
    }
    for (idx, output) in graph.output.iter_mut().enumerate() {
        free_dimension(output, 1, format!("N{idx}"))?;
    }
    Ok(())
}

fn free_dimension(value: &mut ValueInfo, axis: usize, name: String) -> Result<(), String> {
    let shape = value.r#type.as_mut().and_then(|r#type| r#type.tensor_type.as_mut()?.shape.as_mut());
    match shape.and_then(|shape| shape.dim.get_mut(axis)) {
        Some(dimension) => {
            dimension.value = Some(DimensionValue::Param(name));
            Ok(())
        }
        None => Err(format!("{:?} has no dimension {axis} to be freed", value.name())),
    }
}

/// Every value is made before it is used, and every output is made.
fn check_wiring(graph: &Graph) -> Result<(), String> {
    // An empty name is an optional input left out.
    let mut known = HashSet::from([""]);
    known.extend(graph.initializer.iter().map(|tensor| tensor.name()));
    known.extend(graph.input.iter().map(|input| input.name()));
    for node in &graph.node {
        if let Some(name) = node.input.iter().find(|name| !known.contains(name.as_str())) {
            return Err(format!("{} {:?} uses {name:?}, which nothing makes", node.op_type(), node.name()));
        }
        known.extend(node.output.iter().map(String::as_str));
    }
    match graph.output.iter().find(|output| output.name().is_empty() || !known.contains(output.name())) {
        Some(output) => Err(format!("output {:?} is not made by any node", output.name())),
        None => Ok(()),
    }
}

fn used_names(nodes: &[Node]) -> HashSet<&str> {
    nodes.iter().flat_map(|node| &node.input).map(String::as_str).collect()
}

fn attribute<'a>(node: &'a Node, name: &str) -> Option<&'a Attribute> {
    node.attribute.iter().find(|attribute| attribute.name() == name)
}
