//! Small files that a writer of our own makes, and damaged ones. That converted models compute what OpenVINO computes from
//! the originals is checked in `tests/vision/tflite.rs` and in `tests/e2e/models`.

mod writer;

use expect_test::{Expect, expect};
use likeness_domain::Kind;
use proptest::prelude::*;

use super::*;
use crate::onnx::{self, message::Node};
use writer::{Field, Field::Absent, Field::Byte, Field::Word, Operation, Tensor, file};

const ADD: i8 = 0;
const CONV: i8 = 3;
const DEPTHWISE: i8 = 4;
const DEQUANTIZE: i8 = 6;
const MAX_POOL: i8 = 17;
const PAD: i8 = 34;
const PRELU: i8 = 54;

fn planes(dims: [i32; 3]) -> Tensor {
    Tensor { dims: [&[1], &dims[..]].concat(), element: 0, data: Vec::new() }
}

fn floats(dims: &[i32], numbers: impl IntoIterator<Item = f32>) -> Tensor {
    let data = numbers.into_iter().flat_map(f32::to_le_bytes).collect();
    Tensor { dims: dims.into(), element: 0, data }
}

fn words(dims: &[i32], numbers: &[i32]) -> Tensor {
    let data = numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
    Tensor { dims: dims.into(), element: 2, data }
}

/// Numbers from `start` on, each 1 more.
fn rising(start: f32, n: usize) -> impl Iterator<Item = f32> {
    (0..n).map(move |idx| start + idx as f32)
}

fn operation(code: i8, inputs: &[i32], output: i32, options: Vec<Field>) -> Operation {
    Operation { code, inputs: inputs.into(), output, options }
}

/// Options of a convolution: SAME padding, stride 2, no activation.
fn same_stride_2() -> Vec<Field> {
    vec![Byte(0), Word(2), Word(2), Byte(0)]
}

fn output(name: &str, n_numbers: usize) -> Output {
    Output { name: name.into(), n_numbers }
}

/// A residual block in small: 4x4x2 planes; a depthwise convolution at stride 2 and a 1x1 convolution to four channels with
/// 16-bit weights beside a max pooling padded to four channels; their sum through PRelu.
fn block() -> Vec<u8> {
    let half = Tensor {
        dims: vec![4, 1, 1, 2],
        element: 1,
        // 1, 2, ... 8 as 16-bit floats.
        data: [0x3c00_u16, 0x4000, 0x4200, 0x4400, 0x4500, 0x4600, 0x4700, 0x4800]
            .iter()
            .flat_map(|bits| bits.to_le_bytes())
            .collect(),
    };
    let tensors = vec![
        planes([4, 4, 2]),                                        // 0: input
        floats(&[1, 3, 3, 2], rising(0.0, 18)),                   // 1: depthwise filters
        floats(&[2], [0.5, -0.5]),                                // 2: their biases
        planes([2, 2, 2]),                                        // 3
        half,                                                     // 4: 16-bit filters
        Tensor { data: Vec::new(), ..floats(&[4, 1, 1, 2], []) }, // 5: the same, 32-bit
        planes([2, 2, 4]),                                        // 6
        planes([2, 2, 2]),                                        // 7: pooled
        words(&[4, 2], &[0, 0, 0, 0, 0, 0, 0, 2]),                // 8
        planes([2, 2, 4]),                                        // 9: padded
        planes([2, 2, 4]),                                        // 10: sum
        floats(&[1, 1, 4], [0.1, 0.2, 0.3, 0.4]),                 // 11: slopes
        planes([2, 2, 4]),                                        // 12: output
    ];
    let operations = vec![
        operation(DEPTHWISE, &[0, 1, 2], 3, vec![Byte(0), Word(2), Word(2), Word(1), Byte(0)]),
        operation(DEQUANTIZE, &[4], 5, Vec::new()),
        operation(CONV, &[3, 5, -1], 6, vec![Byte(1), Word(1), Word(1), Byte(0)]),
        operation(MAX_POOL, &[0], 7, vec![Byte(1), Word(2), Word(2), Word(2), Word(2), Byte(0)]),
        operation(PAD, &[7, 8], 9, Vec::new()),
        operation(ADD, &[6, 9], 10, Vec::new()),
        operation(PRELU, &[10, 11], 12, Vec::new()),
    ];
    file(tensors, operations, &[12])
}

/// What a node does, in a line.
fn line(node: &Node) -> String {
    let attributes = node.attribute.iter().map(|attribute| {
        let name = attribute.name.as_deref().unwrap_or_default();
        let value = attribute.i.map_or_else(|| format!("{:?}", attribute.ints), |number| number.to_string());
        format!(" {name}={value}")
    });
    let attributes: String = attributes.collect();
    format!("{} = {}({}){attributes}\n", node.output.join(", "), node.op_type(), node.input.join(", "))
}

#[test]
fn a_residual_block_is_converted_with_its_padding_and_order() {
    let model = to_onnx(&block(), &[output("sum", 16)]).unwrap();
    let graph = model.graph.unwrap();
    let lines: String = graph.node.iter().map(line).collect();
    expect![[r#"
        t1 = Conv(input, c0, c1) dilations=[1, 1] group=2 kernel_shape=[3, 3] pads=[0, 0, 1, 1] strides=[2, 2]
        t2 = Conv(t1, c2) dilations=[1, 1] group=1 kernel_shape=[1, 1] pads=[0, 0, 0, 0] strides=[1, 1]
        t3 = MaxPool(input) kernel_shape=[2, 2] pads=[0, 0, 0, 0] strides=[2, 2]
        t4 = Pad(t3, c3)
        t5 = Add(t2, t4)
        t6 = PRelu(t5, c4)
        t7 = Transpose(t6) perm=[0, 2, 3, 1]
        sum = Flatten(t7) axis=1
    "#]]
    .assert_eq(&lines);
    let constant = |name: &str| {
        let tensor = graph.initializer.iter().find(|tensor| tensor.name() == name).unwrap();
        (tensor.dims.clone(), tensor.raw_data.clone().unwrap())
    };
    let numbers = |name: &str| -> Vec<f32> {
        constant(name).1.as_chunks().0.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect()
    };
    // [1, 3, 3, channel] becomes [channel, 1, 3, 3]: even numbers first, then the odd ones.
    assert_eq!(constant("c0").0, [2, 1, 3, 3]);
    assert_eq!(numbers("c0"), (0..18).map(|idx| (idx % 9 * 2 + idx / 9) as f32).collect::<Vec<_>>());
    assert_eq!(constant("c2").0, [4, 2, 1, 1]);
    assert_eq!(numbers("c2"), rising(1.0, 8).collect::<Vec<_>>());
    // Batch, channels, height, width, before and then after: two channels after.
    let widths: Vec<i64> = constant("c3").1.as_chunks().0.iter().map(|&bytes| i64::from_le_bytes(bytes)).collect();
    assert_eq!(widths, [0, 0, 0, 0, 0, 2, 0, 0]);
    assert_eq!(constant("c4").0, [4, 1, 1]);
}

#[test]
fn the_same_file_gives_the_same_bytes() {
    let convert = || onnx::write(&to_onnx(&block(), &[output("sum", 16)]).unwrap());
    assert_eq!(convert(), convert());
    assert!(onnx::parse(convert().into()).is_ok());
}

/// One convolution of 5x6x1 planes with these options; the filter is 3x3.
fn one_conv(options: Vec<Field>, made: [i32; 3]) -> Vec<u8> {
    let tensors = vec![planes([5, 6, 1]), floats(&[1, 3, 3, 1], rising(0.0, 9)), planes(made)];
    file(tensors, vec![operation(CONV, &[0, 1], 2, options)], &[2])
}

#[test]
fn same_padding_puts_the_odd_pixel_right_and_below() {
    let graph = to_onnx(&one_conv(same_stride_2(), [3, 3, 1]), &[output("y", 9)]).unwrap().graph.unwrap();
    // Five rows at stride 2 need one above and one below, six columns none on the left and one on the right.
    let pads = graph.node[0].attribute.iter().find(|attribute| attribute.name.as_deref() == Some("pads")).unwrap();
    assert_eq!(pads.ints, [1, 0, 1, 1]);
}

#[test]
fn fused_activations_become_operations_of_their_own() {
    for (activation, expected) in [(0, None), (1, Some("Relu")), (3, Some("Clip"))] {
        let mut options = same_stride_2();
        options[3] = Byte(activation);
        let graph = to_onnx(&one_conv(options, [3, 3, 1]), &[output("y", 9)]).unwrap().graph.unwrap();
        let follows = graph.node.iter().find(|node| matches!(node.op_type(), "Relu" | "Clip"));
        assert_eq!(follows.map(|node| node.op_type()), expected);
    }
}

#[track_caller]
fn check_refused(file: &[u8], outputs: &[Output], expect: Expect) {
    let err = to_onnx(file, outputs).expect_err("must be refused");
    assert_eq!(err.kind(), Kind::PackUnavailable);
    expect.assert_eq(err.message());
}

#[test]
fn what_is_not_understood_is_refused_by_name() {
    let y = [output("y", 9)];
    check_refused(
        b"PK\x03\x04 a wheel",
        &y,
        expect!["model file: is no TFLite model: it does not say `TFL3` after its first four bytes"],
    );
    check_refused(
        &one_conv(same_stride_2(), [3, 3, 1]),
        &[output("y", 10)],
        expect!["model file: output `y` has 9 numbers, expected 10"],
    );
    check_refused(&one_conv(same_stride_2(), [3, 3, 1]), &[], expect!["model file: has 1 outputs, expected 0"]);
    check_refused(
        &one_conv(same_stride_2(), [3, 4, 1]),
        &y,
        expect!["model file: operation 0 makes [1, 3, 3, 1], but the file says [1, 3, 4, 1]"],
    );
    check_refused(
        &one_conv(vec![Byte(0), Word(0), Word(2)], [3, 3, 1]),
        &y,
        expect!["model file: operation 0 has a window of 3, stride 0, dilation 1, expected 1 to 1024"],
    );
    check_refused(
        &one_conv(vec![Byte(0), Word(2), Word(2), Byte(4)], [3, 3, 1]),
        &y,
        expect!["model file: has an activation of kind 4, expected 0 (none), 1 (ReLU) or 3 (ReLU 6)"],
    );
    check_refused(
        &one_conv(vec![Byte(7), Word(2), Word(2)], [3, 3, 1]),
        &y,
        expect!["model file: has padding of kind 7, expected 0 or 1"],
    );
    let softmax = file(vec![planes([3, 3, 1]), planes([3, 3, 1])], vec![operation(25, &[0], 1, Vec::new())], &[1]);
    check_refused(
        &softmax,
        &y,
        expect![
            "model file: has an operation of kind 25, expected ADD (0), CONV_2D (3), DEPTHWISE_CONV_2D (4), DEQUANTIZE (6), MAX_POOL_2D (17), PAD (34) or PRELU (54)"
        ],
    );
    let too_early = file(
        vec![planes([3, 3, 1]), planes([3, 3, 1]), planes([3, 3, 1])],
        vec![operation(ADD, &[0, 1], 2, Vec::new())],
        &[2],
    );
    check_refused(
        &too_early,
        &y,
        expect!["model file: operation 0 takes tensor 1, which no operation before it makes"],
    );
    let short = file(
        vec![planes([5, 6, 1]), floats(&[1, 3, 3, 1], [1.0]), planes([3, 3, 1])],
        vec![operation(CONV, &[0, 1], 2, same_stride_2())],
        &[2],
    );
    check_refused(
        &short,
        &y,
        expect![
            "model file: operation 0 takes tensor 1 as a constant of shape [1, 3, 3, 1], of which there are 4 bytes"
        ],
    );
}

#[test]
fn constants_shared_by_many_operations_cannot_fill_the_memory() {
    let n_operations = 2000;
    let mut tensors = vec![floats(&[1, 1, 1, 1000], [])];
    tensors.push(floats(&[1, 1, 1000], rising(0.0, 1000)));
    tensors.extend((0..n_operations).map(|_| planes([1, 1, 1000])));
    let operations = (0..n_operations).map(|idx| {
        let input = if idx == 0 { 0 } else { idx + 1 };
        operation(PRELU, &[input, 1], idx + 2, Vec::new())
    });
    let bytes = file(tensors, operations.collect(), &[n_operations + 1]);
    let err = to_onnx(&bytes, &[output("y", 1000)]).expect_err("must be refused");
    assert!(err.message().contains("more bytes of constants"), "{}", err.message());
}

#[test]
fn a_list_of_hundreds_of_millions_is_refused_unread() {
    // A vector that claims more elements than there are bytes.
    let mut bytes = writer::root(vec![Word(3), Field::Words(vec![1, 2, 3])]);
    let at = bytes.len() - 16;
    assert_eq!(bytes[at..at + 4], [3, 0, 0, 0]);
    bytes[at..at + 4].copy_from_slice(&0x7fff_ffff_u32.to_le_bytes());
    check_refused(&bytes, &[], expect!["model file: has an offset that leads outside of the file"]);
    check_refused(
        &writer::root(vec![Word(3), Absent, Absent, Absent, Absent]),
        &[],
        expect!["model file: has 0 graphs, expected 1"],
    );
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let named = [&[8, 0, 0, 0], &b"TFL3"[..], &bytes].concat();
        let _ = to_onnx(&named, &[output("y", 9)]);
        let _ = to_onnx(&bytes, &[output("y", 9)]);
    }

    #[test]
    fn a_damaged_file_never_panics(at in 0..block().len(), byte in any::<u8>(), length in 0..block().len()) {
        let mut bytes = block();
        bytes[at] = byte;
        let _ = to_onnx(&bytes, &[output("sum", 16)]);
        let _ = to_onnx(&bytes[..length], &[output("sum", 16)]);
    }
}

#[test]
fn sixteen_bit_floats_are_read_exactly() {
    let cases = [
        (0x0000, 0.0),
        (0x8000, -0.0),
        (0x3c00, 1.0),
        (0xc000, -2.0),
        (0x3555, 0.333_251_95),
        (0x7bff, 65_504.0),
        (0x0400, 6.103_515_6e-5),
        (0x0001, 5.960_464_5e-8),
        (0x83ff, -6.097_555e-5),
        (0x7c00, f32::INFINITY),
    ];
    for (bits, number) in cases {
        assert_eq!(convert::from_f16(bits).to_bits(), f32::to_bits(number), "{bits:#06x}");
    }
    assert!(convert::from_f16(0x7e00).is_nan());
}
