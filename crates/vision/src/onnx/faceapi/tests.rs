use super::*;

/// The description and the bytes of one quantised and one plain tensor.
fn weights(description: &str, bytes: &[u8]) -> Result<Weights, String> {
    Weights::read(description.as_bytes(), bytes)
}

const TWO: &str = r#"[{"weights": [
    {"name": "a", "shape": [2, 1, 1, 2], "dtype": "float32", "quantization": {"dtype": "uint8", "scale": 0.5, "min": -1.0}},
    {"name": "b", "shape": [1], "dtype": "float32"}
], "paths": ["two.bin"]}]"#;

#[test]
fn bytes_become_numbers_and_axes_change_places() {
    let mut bytes = vec![0, 2, 4, 255];
    bytes.extend(1.5_f32.to_le_bytes());
    let weights = weights(TWO, &bytes).unwrap();
    assert_eq!(weights.get("a").unwrap().numbers, [-1.0, 0.0, 1.0, 126.5]);
    assert_eq!(weights.plain("b").unwrap(), Constant::f32s(vec![1], &[1.5]));
    // [height 2, width 1, in 1, out 2] becomes [out, in, height, width].
    assert_eq!(weights.filter("a").unwrap(), Constant::f32s(vec![2, 1, 2, 1], &[-1.0, 1.0, 0.0, 126.5]));
}

#[track_caller]
fn check_refused(description: &str, bytes: &[u8], problem: &str) {
    let found = weights(description, bytes).err().expect("must be refused");
    assert!(found.contains(problem), "{found}");
}

#[test]
fn damaged_weight_files_are_refused_with_the_tensor_named() {
    check_refused("{}", &[], "weights are badly described");
    check_refused("[]", &[], "weights come in 0 groups, expected 1");
    check_refused(TWO, &[0; 3], r#"weight "a" reaches beyond the end of the file"#);
    check_refused(TWO, &[0; 7], r#"weight "b" reaches beyond the end of the file"#);
    check_refused(TWO, &[0; 9], "has 1 bytes too many");
    check_refused(&TWO.replace("uint8", "int4"), &[0; 8], r#"weight "a" is of a kind not supported here"#);
    check_refused(&TWO.replace("[2, 1, 1, 2]", "[4294967296, 4294967296, 4294967296]"), &[0; 8], "reaches beyond");
    check_refused(&TWO.replace("[2, 1, 1, 2]", "[2, 1, 1, 1, 2]"), &[0; 8], "reaches beyond");
}

#[test]
fn net_without_its_weights_is_refused() {
    for net in [FaceApiNet::Landmarks68, FaceApiNet::Expression, FaceApiNet::AgeGender] {
        let error = face_api(net, TWO.as_bytes(), &[0; 8]).expect_err("has none of them");
        assert!(error.message().starts_with("model file: has no weight"), "{error}");
    }
}

#[test]
fn padding_falls_to_the_right_and_bottom_first() {
    let window = Window { side: 3, stride: 2, padded: true };
    let mut builder = Builder::default();
    let value = Value { name: "input".into(), side: 112 };
    assert_eq!(builder.pool("MaxPool", &value, window).side, 56);
    let model = builder.finish(("g", "p"), ("input", &[1, 3, 112, 112]), &[]);
    let pads = model.graph.unwrap().node[0].attribute[1].ints.clone();
    assert_eq!(pads, [0, 0, 1, 1]);
}
