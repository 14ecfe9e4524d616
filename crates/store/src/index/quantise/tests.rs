use likeness_domain::types::{PackId, Similarity, Template};
use proptest::prelude::*;

use super::*;

fn unit(raw: &[f32]) -> Option<Template> {
    Template::new(PackId::new("pack-1").unwrap(), raw).ok()
}

#[track_caller]
fn check_bound(row: &[f32], probe: &[f32]) {
    let ready = ReadyProbe::new(probe);
    let Quantised { codes, scale, residual } = quantise(row);
    let stored_sum: i32 = codes
        .iter()
        .zip(ready.quads.as_flattened())
        .map(|(&code, &probe)| i32::from(stored_code(code)) * i32::from(probe))
        .sum();
    let bound = ready.terms.bound(stored_sum, scale, f32_above(residual));
    let similarity = Similarity::of_units(row, probe).get();
    assert!(bound >= similarity, "bound {bound} of similarity {similarity}");
    let dimensions = row.len() as f32;
    // Each residual is at most half a scale per dimension, a scale at most 1/127.
    assert!(bound - similarity <= 2.1 * dimensions.sqrt() / 127.0 + 1e-5, "bound {bound} of similarity {similarity}");
}

#[test]
fn one_dimension_is_bounded() {
    for (row, probe) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (0.999, 1.001)] {
        check_bound(&[row], &[probe]);
    }
}

#[test]
fn a_typical_template_is_bounded_closely() {
    // A fixed pseudo-random direction: sines of many turns.
    let raw = |seed: f32| -> Vec<f32> { (0..128).map(|idx| (idx as f32 * seed).sin()).collect() };
    let (row, probe) = (unit(&raw(12.9898)).unwrap(), unit(&raw(78.233)).unwrap());
    let ready = ReadyProbe::new(probe.unit());
    let quantised = quantise(row.unit());
    let width = quantised.residual * f64::from(ready.terms.residual_weight) + f64::from(ready.terms.slack);
    assert!(width < 0.01, "{width}");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(128) })]

    #[test]
    fn the_bound_is_never_below_the_similarity(
        pairs in prop::collection::vec((component(), component()), 1..600),
    ) {
        let (row, probe): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        if let (Some(row), Some(probe)) = (unit(&row), unit(&probe)) {
            check_bound(row.unit(), probe.unit());
            check_bound(row.unit(), row.unit());
        }
    }
}

/// Mostly ordinary numbers, some tiny, huge or just on the border between two codes.
fn component() -> impl Strategy<Value = f32> {
    prop_oneof![
        6 => -1.0_f32..1.0,
        1 => -1e-6_f32..1e-6,
        1 => -100.0_f32..100.0,
        1 => (-127_i8..127).prop_map(|code| (f32::from(code) + 0.5) / 127.0),
        1 => Just(0.0),
    ]
}
