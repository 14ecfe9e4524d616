use super::super::tests::{listed_f32s, node};
use super::super::write;
use super::*;

const SLOPES: [f32; 4] = [0.25, 0.0, -0.5, 1.5];

/// A convolution, then a parametric ReLU with this slope.
fn model(slope: Tensor) -> Model {
    let graph = Graph {
        node: vec![node("Conv", &["x", "w"], "planes"), node("PRelu", &["planes", "slope"], "y")],
        initializer: vec![listed_f32s("w", &[4, 1, 1, 1], &[1.0; 4]), slope],
        output: vec![super::super::message::ValueInfo { name: Some("y".into()), ..Default::default() }],
        ..Graph::default()
    };
    Model { graph: Some(graph), ..Model::default() }
}

/// Runs a graph of `Relu`, `Add` and depthwise 1x1 `Conv` on one number per channel.
fn run(graph: &Graph, x: [f32; 4]) -> Vec<f32> {
    let weights =
        graph.initializer.iter().map(|tensor| (tensor.name(), Constant::read(tensor).unwrap().to_f32s().unwrap()));
    let mut values: HashMap<&str, Vec<f32>> = weights.collect();
    values.insert("x", x.into());
    for node in &graph.node {
        let inputs: Vec<&Vec<f32>> = node.input.iter().map(|name| &values[name.as_str()]).collect();
        let channels = 0..x.len();
        let output = match (node.op_type(), &inputs[..]) {
            ("Relu", [a]) => channels.map(|c| a[c].max(0.0)).collect(),
            ("Add", [a, b]) => channels.map(|c| a[c] + b[c]).collect(),
            ("Conv", [a, weight]) => channels.map(|c| a[c] * weight[c]).collect(),
            (op_type, _) => panic!("{op_type} is not expected"),
        };
        values.insert(&node.output[0], output);
    }
    values["y"].clone()
}

#[test]
fn the_rewritten_graph_computes_the_same() {
    for dims in [&[4, 1, 1][..], &[1, 4, 1, 1]] {
        let graph = ease_prelu(model(listed_f32s("slope", dims, &SLOPES))).graph.unwrap();
        for x in [[1.0, 2.0, 3.0, 4.0], [-1.0, -2.0, -3.0, -4.0], [0.0, -0.5, 0.5, -8.0]] {
            let expected: Vec<f32> =
                x.iter().zip(SLOPES).map(|(&x, slope)| if x < 0.0 { slope * x } else { x }).collect();
            assert_eq!(run(&graph, x), expected);
        }
    }
}

#[test]
fn planes_may_be_pooled_padded_and_added_before() {
    for between in
        [&[("MaxPool", &["planes"][..])][..], &[("Pad", &["planes", "w"])], &[("Add", &["planes", "planes"])]]
    {
        let changed = model(listed_f32s("slope", &[4, 1, 1], &SLOPES)).tap(
            |graph| {
                graph.node[1].input[0] = "between".into();
                graph.node.insert(1, node(between[0].0, between[0].1, "between"));
            },
            "",
        );
        let graph = ease_prelu(changed).graph.unwrap();
        assert!(graph.node.iter().all(|node| node.op_type() != "PRelu"), "{}", between[0].0);
    }
    // Of what is added only one has planes for certain.
    let changed = model(listed_f32s("slope", &[4, 1, 1], &SLOPES)).tap(
        |graph| {
            graph.node[1].input[0] = "sum".into();
            graph.node.insert(1, node("Add", &["planes", "x"], "sum"));
        },
        "",
    );
    assert!(ease_prelu(changed).graph.unwrap().node.iter().any(|node| node.op_type() == "PRelu"));
}

#[test]
fn slopes_nobody_uses_any_more_go() {
    let graph = ease_prelu(model(listed_f32s("slope", &[4, 1, 1], &SLOPES))).graph.unwrap();
    let names: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    assert_eq!(names, ["w", "y/linear_weight", "y/rest_weight"]);
    let group = graph.node.iter().find(|node| node.output[0] == "y/linear").unwrap().attribute[0].i;
    assert_eq!(group, Some(4));
}

#[test]
fn what_is_of_another_kind_stays() {
    let unchanged = |model: Model| {
        let before = write(&model);
        assert_eq!(write(&ease_prelu(model)), before);
    };
    // One slope for all, slopes along another axis, and slopes that are not constant.
    unchanged(model(listed_f32s("slope", &[1], &[0.25])));
    unchanged(model(listed_f32s("slope", &[1, 4, 1], &SLOPES)));
    unchanged(
        model(listed_f32s("another", &[4, 1, 1], &SLOPES)).tap(|graph| graph.node[1].input[1] = "w2".into(), "another"),
    );
    // An input that may have no planes.
    unchanged(
        model(listed_f32s("slope", &[4, 1, 1], &SLOPES)).tap(|graph| graph.node[0].op_type = Some("Gemm".into()), ""),
    );
    // A sub-graph that may use the slopes, too.
    unchanged(model(listed_f32s("slope", &[4, 1, 1], &SLOPES)).tap(
        |graph| graph.node[0].attribute.push(Attribute { g: Some(bytes::Bytes::new()), ..Attribute::default() }),
        "",
    ));
    // A name that is taken already.
    unchanged(
        model(listed_f32s("slope", &[4, 1, 1], &SLOPES))
            .tap(|graph| graph.node.push(node("Relu", &["x"], "y/relu")), ""),
    );
}

impl Model {
    /// Changes the graph, and drops an initializer.
    fn tap(mut self, change: impl FnOnce(&mut Graph), dropped: &str) -> Self {
        let graph = self.graph.as_mut().unwrap();
        change(graph);
        graph.initializer.retain(|tensor| tensor.name() != dropped);
        self
    }
}
