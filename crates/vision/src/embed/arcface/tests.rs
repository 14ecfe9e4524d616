use super::*;

fn tensor(name: &str, data: &[f32]) -> Tensor {
    Tensor { name: name.to_owned(), shape: vec![1, data.len()], data: data.to_vec() }
}

fn pack() -> PackId {
    PackId::new("test-1").expect("lawful")
}

#[track_caller]
fn check_refused(outputs: &[Tensor], name: Option<&str>, dimensions: usize, words: &str) {
    let error = template(outputs, name, dimensions, &pack()).expect_err("must be refused");
    assert_eq!(error.kind(), Kind::PackUnavailable);
    assert_eq!(error.message(), words);
}

#[test]
fn the_only_output_becomes_a_unit_vector() {
    let template = template(&[tensor("x", &[3.0, -4.0])], None, 2, &pack()).expect("a template");
    assert_eq!(template.unit(), [0.6, -0.8]);
    assert_eq!(template.pack(), &pack());
}

#[test]
fn a_named_output_is_picked_among_several() {
    let outputs = [tensor("other", &[1.0]), tensor("fc1", &[0.0, 2.0])];
    assert_eq!(template(&outputs, Some("fc1"), 2, &pack()).expect("a template").unit(), [0.0, 1.0]);
    check_refused(&outputs, Some("fc2"), 2, "embedder has no output `fc2`");
    check_refused(&outputs, None, 2, "embedder has 2 outputs, expected 1 or a name in the manifest");
}

#[test]
fn wrong_length_and_numbers_that_are_no_direction_are_refused() {
    check_refused(&[tensor("x", &[1.0, 2.0])], None, 3, "embedder gives 2 numbers, expected 3");
    check_refused(&[tensor("x", &[0.0, 0.0])], None, 2, "embedder gives no direction");
    check_refused(&[tensor("x", &[f32::NAN, 1.0])], None, 2, "embedder gives no direction");
}
