use super::message::*;
use super::*;
use crate::pack::Digest;
use expect_test::{Expect, expect};
use proptest::prelude::*;

/// A model that needs every step of folding: block-quantised weights, a reshape of constants, a dropout, an unused
/// constant, an initializer listed as input, numbers listed by type, and a reshape made for one input size.
pub(crate) fn quantised_model() -> Vec<u8> {
    let graph = Graph {
        node: vec![
            with_ints(node("DequantizeLinear", &["w_q", "w_s", "w_z"], "w"), &[("axis", 1), ("block_size", 2)]),
            node("Reshape", &["w", "w_shape"], "w_4d"),
            with_tensor(node("Constant", &[], "ratio"), "value", raw("", 1, &[], &0.5_f32.to_le_bytes())),
            node("Dropout", &["x", "ratio"], "x_kept"),
            node("Add", &["x_kept", "bias"], "sum"),
            node("Conv", &["sum", "w_4d"], "cells"),
            node("Reshape", &["cells", "out_shape"], "y"),
        ],
        name: Some("tiny".into()),
        initializer: vec![
            raw("w_q", 3, &[2, 3], &[1, 2, 3, 0xff, 0xfe, 0x80]),
            listed_f32s("w_s", &[2, 2], &[0.5, 0.25, 2.0, 1.5]),
            raw("w_z", 3, &[2, 2], &[0, 1, 0xff, 0]),
            raw("w_shape", 7, &[4], &i64s(&[2, 3, 1, 1])),
            listed_f32s("bias", &[1], &[0.125]),
            raw("out_shape", 7, &[3], &i64s(&[1, 2048, 1])),
            listed_f32s("unused", &[1], &[9.0]),
        ],
        input: vec![value("x", &[1, 3, 32, 32]), value("bias", &[1])],
        output: vec![value("y", &[1, 2048, 1])],
        value_info: vec![value("sum", &[1, 3, 32, 32])],
        ..Graph::default()
    };
    let opset = OperatorSet { domain: Some(String::new()), version: Some(21) };
    write(&Model { ir_version: Some(10), graph: Some(graph), opset_import: vec![opset], ..Model::default() })
}

pub(crate) fn node(op_type: &str, input: &[&str], output: &str) -> Node {
    Node {
        input: input.iter().map(|&name| name.into()).collect(),
        output: vec![output.into()],
        name: Some(format!("{op_type}_{output}")),
        op_type: Some(op_type.into()),
        ..Node::default()
    }
}

fn with_ints(mut node: Node, ints: &[(&str, i64)]) -> Node {
    let attribute = |&(name, i): &(&str, i64)| Attribute {
        name: Some(name.into()),
        i: Some(i),
        r#type: Some(2),
        ..Attribute::default()
    };
    node.attribute.extend(ints.iter().map(attribute));
    node
}

fn with_tensor(mut node: Node, name: &str, tensor: Tensor) -> Node {
    node.attribute.push(Attribute {
        name: Some(name.into()),
        t: Some(Box::new(tensor)),
        r#type: Some(4),
        ..Attribute::default()
    });
    node
}

fn raw(name: &str, data_type: i32, dims: &[i64], bytes: &[u8]) -> Tensor {
    Tensor {
        dims: dims.into(),
        data_type: Some(data_type),
        name: Some(name.into()),
        raw_data: Some(Bytes::copy_from_slice(bytes)),
        ..Tensor::default()
    }
}

pub(crate) fn listed_f32s(name: &str, dims: &[i64], numbers: &[f32]) -> Tensor {
    Tensor {
        dims: dims.into(),
        data_type: Some(1),
        name: Some(name.into()),
        float_data: numbers.into(),
        ..Tensor::default()
    }
}

fn i64s(numbers: &[i64]) -> Vec<u8> {
    numbers.iter().flat_map(|number| number.to_le_bytes()).collect()
}

fn value(name: &str, dims: &[i64]) -> ValueInfo {
    let dim = |&size: &i64| Dimension { value: Some(DimensionValue::Value(size)), denotation: None };
    let shape = Shape { dim: dims.iter().map(dim).collect() };
    let tensor_type = TensorType { elem_type: Some(1), shape: Some(shape) };
    let r#type = Type { tensor_type: Some(tensor_type), ..Type::default() };
    ValueInfo { name: Some(name.into()), r#type: Some(r#type), doc_string: None }
}

fn read(bytes: &[u8]) -> Model {
    parse(Bytes::copy_from_slice(bytes)).unwrap()
}

fn folded(change: impl FnOnce(&mut Graph), input_size: InputSize) -> Result<Model> {
    let mut model = read(&quantised_model());
    change(model.graph.as_mut().unwrap());
    fold(model, input_size)
}

/// The f32 numbers of a folded model's constant.
fn constant(model: &Model, name: &str) -> Vec<f32> {
    let tensor = model.graph.as_ref().unwrap().initializer.iter().find(|tensor| tensor.name() == name).unwrap();
    tensor.raw_data().as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
}

// Digests of what the reference converter (`fold.py`, with onnx 1.23.2 and numpy 2.4.6) makes of the same model.
#[test]
fn folding_gives_the_bytes_of_the_reference_converter() {
    assert_eq!(
        Digest::of(&quantised_model()).to_string(),
        "952bf481ad419af2ca1354a15b1a59fb35bcbb34bda1055a245f3ec3c1328da1"
    );
    let as_stated = write(&folded(|_| {}, InputSize::AsStated).unwrap());
    assert_eq!(Digest::of(&as_stated).to_string(), "4e85f979356fc366824c8b65cbf76ea7c22d178269a492813df50baba61cad97");
    let free = write(&folded(|_| {}, InputSize::Free).unwrap());
    assert_eq!(Digest::of(&free).to_string(), "cb932b0ea0027f9d57b3262333c643a6d79952ae6fa2f21359e8f06d078fc6db");
}

#[test]
fn each_block_has_its_own_scale_and_zero_point() {
    let model = folded(|_| {}, InputSize::AsStated).unwrap();
    // Rows (1 2 | 3) and (-1 -2 | -128), zero points (0 | 1) and (-1 | 0), scales (.5 | .25) and (2 | 1.5).
    assert_eq!(constant(&model, "w_4d"), [0.5, 1.0, 0.5, 0.0, -2.0, -192.0]);
    let graph = model.graph.unwrap();
    let operators: Vec<&str> = graph.node.iter().map(|node| node.op_type()).collect();
    assert_eq!(operators, ["Add", "Conv", "Reshape"]);
    let constants: Vec<&str> = graph.initializer.iter().map(|tensor| tensor.name()).collect();
    assert_eq!(constants, ["bias", "out_shape", "w_4d"]);
    let inputs: Vec<&str> = graph.input.iter().map(|input| input.name()).collect();
    assert_eq!(inputs, ["x"]);
}

#[test]
fn without_blocks_there_is_one_scale_for_all_or_one_per_position() {
    let change = |scale: Tensor, axis: i64| {
        move |graph: &mut Graph| {
            graph.node[0] =
                with_ints(node("DequantizeLinear", &["w_q", "w_s"], "w"), &[("axis", axis), ("block_size", 0)]);
            graph.initializer[1] = scale;
        }
    };
    let all = folded(change(listed_f32s("w_s", &[], &[2.0]), 1), InputSize::AsStated).unwrap();
    assert_eq!(constant(&all, "w_4d"), [2.0, 4.0, 6.0, -2.0, -4.0, -256.0]);
    let per_row = folded(change(listed_f32s("w_s", &[2], &[1.0, 0.5]), 0), InputSize::AsStated).unwrap();
    assert_eq!(constant(&per_row, "w_4d"), [1.0, 2.0, 3.0, -0.5, -1.0, -64.0]);
    let per_column = folded(change(listed_f32s("w_s", &[3], &[1.0, 0.5, 2.0]), -1), InputSize::AsStated).unwrap();
    assert_eq!(constant(&per_column, "w_4d"), [1.0, 1.0, 6.0, -1.0, -1.0, -256.0]);
}

#[test]
fn a_freed_input_size_shows_in_inputs_reshapes_and_outputs() {
    let graph = folded(|_| {}, InputSize::Free).unwrap().graph.unwrap();
    let sizes = |value: &ValueInfo| -> Vec<String> {
        let shape = value.r#type.clone().unwrap().tensor_type.unwrap().shape.unwrap();
        let size = |dimension: Dimension| match dimension.value.unwrap() {
            DimensionValue::Value(size) => size.to_string(),
            DimensionValue::Param(name) => name,
        };
        shape.dim.into_iter().map(size).collect()
    };
    assert_eq!(sizes(&graph.input[0]), ["1", "3", "H", "W"]);
    assert_eq!(sizes(&graph.output[0]), ["1", "N0", "1"]);
    assert_eq!(graph.node.last().unwrap().input[1], "out_shape_dyn_Reshape_y");
    let shape = graph.initializer.iter().find(|tensor| tensor.name() == "out_shape_dyn_Reshape_y").unwrap();
    assert_eq!(shape.raw_data(), i64s(&[1, -1, 1]));
}

#[track_caller]
fn check_refused(change: impl FnOnce(&mut Graph), expect: Expect) {
    let err = folded(change, InputSize::Free).expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    expect.assert_eq(err.message());
}

#[test]
fn a_model_that_cannot_be_folded_is_refused_with_the_place() {
    check_refused(
        |graph| graph.initializer[0].dims = vec![2, 4],
        expect![[r#"model file: constant "w_q" has another number of elements than its shape says"#]],
    );
    check_refused(
        |graph| graph.initializer[0].dims = vec![-1],
        expect![[r#"model file: constant "w_q" has a negative dimension"#]],
    );
    check_refused(
        |graph| graph.initializer[0].dims = vec![i64::MAX, i64::MAX],
        expect![[r#"model file: constant "w_q" has another number of elements than its shape says"#]],
    );
    check_refused(
        |graph| graph.initializer[0].data_type = Some(99),
        expect![[r#"model file: constant "w_q" has an element type not supported here"#]],
    );
    check_refused(
        |graph| graph.initializer[0].data_location = Some(1),
        expect![[r#"model file: constant "w_q" lies in another file"#]],
    );
    check_refused(
        |graph| graph.initializer[1].dims = vec![4, 1],
        expect![[r#"model file: DequantizeLinear "DequantizeLinear_w" cannot be computed"#]],
    );
    check_refused(
        |graph| graph.initializer[3] = raw("w_shape", 7, &[2], &i64s(&[-1, -1])),
        expect![[r#"model file: Reshape "Reshape_w_4d" cannot be computed"#]],
    );
    check_refused(
        |graph| graph.node[0].attribute[0].i = Some(i64::MIN),
        expect![[r#"model file: DequantizeLinear "DequantizeLinear_w" cannot be computed"#]],
    );
    check_refused(
        |graph| graph.node[0].attribute[1].i = Some(-2),
        expect![[r#"model file: DequantizeLinear "DequantizeLinear_w" cannot be computed"#]],
    );
    check_refused(
        |graph| graph.node[0].output.clear(),
        expect![[r#"model file: DequantizeLinear "DequantizeLinear_w" cannot be computed"#]],
    );
    check_refused(
        |graph| graph.node[4].input[1] = "nowhere".into(),
        expect![[r#"model file: Add "Add_sum" uses "nowhere", which nothing makes"#]],
    );
    check_refused(
        |graph| graph.output[0].name = Some("x_kept".into()),
        expect![[r#"model file: output "x_kept" is not made by any node"#]],
    );
    check_refused(
        |graph| graph.input[0] = value("x", &[1, 3]),
        expect![[r#"model file: "x" has no dimension 2 to be freed"#]],
    );
    check_refused(
        |graph| graph.sparse_initializer.push(Bytes::new()),
        expect!["model file: has sparse constants, which are not supported"],
    );
}

#[test]
fn what_is_not_decoded_is_written_back_as_it_was() {
    let mut model = read(&quantised_model());
    let graph = model.graph.as_mut().unwrap();
    graph.node[0].attribute.push(Attribute { g: Some(Bytes::from_static(b"\x0a\x00")), ..Attribute::default() });
    graph.node[0].attribute.push(Attribute { ints: vec![3, -1, 0], floats: vec![0.5], ..Attribute::default() });
    graph.output[0].r#type.as_mut().unwrap().sequence_type = Some(Bytes::from_static(b"\x0a\x00"));
    assert_eq!(read(&write(&model)), model);
}

#[test]
fn a_file_that_would_blow_up_when_decoded_is_refused_unread() {
    // Empty nodes take two bytes in the file and two hundred in memory.
    let graph = [0x0a, 0x00].repeat(RECORDS_MAX + 1);
    let mut bytes = vec![0x3a];
    prost::encoding::encode_varint(graph.len() as u64, &mut bytes);
    bytes.extend(graph);
    expect!["model file: has more than 400000 fields"].assert_eq(parse(bytes.into()).unwrap_err().message());
}

#[test]
fn a_cut_off_file_is_refused() {
    let bytes = quantised_model();
    for length in 1..bytes.len() {
        let parsed = parse(Bytes::copy_from_slice(&bytes[..length]));
        // A cut between two fields of the model leaves a valid, smaller one.
        if let Ok(model) = parsed {
            assert!(fold(model, InputSize::AsStated).is_err() || length + 8 > bytes.len(), "cut at {length}");
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        if let Ok(model) = parse(bytes.into()) {
            let _ = fold(model, InputSize::Free);
        }
    }

    #[test]
    fn a_damaged_model_never_panics(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6)) {
        let mut bytes = quantised_model();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        for input_size in [InputSize::AsStated, InputSize::Free] {
            if let Ok(model) = parse(Bytes::copy_from_slice(&bytes)) {
                let _ = fold(model, input_size);
            }
        }
    }

    #[test]
    fn what_is_written_reads_the_same(damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..3)) {
        let mut bytes = quantised_model();
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if let Ok(model) = parse(bytes.into()) {
            let once = write(&model);
            let twice = write(&parse(once.clone().into()).unwrap());
            prop_assert_eq!(once, twice);
        }
    }
}
