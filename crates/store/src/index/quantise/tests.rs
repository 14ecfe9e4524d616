use likeness_domain::types::{PackId, Similarity, Template};
use proptest::prelude::*;

use super::*;
use crate::index::kernel;

fn unit(raw: &[f32]) -> Option<Template> {
    Template::new(PackId::new("pack-1").unwrap(), raw).ok()
}

/// Coarse and fine upper bound of a row's similarity, and the similarity. The lower bound is checked here.
#[track_caller]
fn bounds(row: &[f32], probe: &[f32], seed: u64) -> (f32, f32, f32) {
    let rotation = Rotation::new(seed, row.len());
    let (ready, codes) = (ReadyProbe::new(probe, &rotation), RowCodes::new(row, &rotation));
    let kernel = kernel::active();
    let (coarse_sum, fine_sum) =
        (kernel.code_sum(&codes.coarse, &ready.codes.lines), kernel.code_sum(&codes.fine, &ready.codes.lines));
    let terms = &ready.codes.terms;
    let coarse = terms.coarse_bound(coarse_sum, codes.sizes);
    let mut bits = vec![0; codes.fine.len() * FIFTH_WORDS];
    let sizes = codes.sizes.with_residual(codes.fifth_bits(row.len(), &mut bits));
    let fifth_sum = 2 * coarse_sum + bit_sum(&bits, &ready.codes.lines);
    let fifth = terms.fifth_bound(fifth_sum, sizes);
    let sizes = codes.sizes.with_residual(codes.fine_residual);
    let (lower, fine) = terms.whole_bounds(16 * coarse_sum + fine_sum, sizes);
    let similarity = Similarity::of_units(row, probe).get();
    assert!(lower <= similarity, "lower bound {lower} of similarity {similarity}");
    assert!(fifth >= similarity, "bound {fifth} by five bits of similarity {similarity}");
    // As far above as `check_bounds` says of the others, with at most 4.5 scales a dimension.
    let far = 2.0 * 1.3 * 5.0 * (row.len() as f32).sqrt() / 125.0 + 1e-4;
    assert!(fifth - similarity <= far, "bound {fifth} by five bits of similarity {similarity}");
    (coarse, fine, similarity)
}

/// Of the probe's codes where bits are set, one dimension after the other.
fn bit_sum(bits: &[u64], probe: &[ProbeLine]) -> i32 {
    let codes = probe.iter().flat_map(|line| line.0).enumerate();
    codes
        .filter(|(dimension, _)| bits[dimension / 64] >> (dimension % 64) & 1 == 1)
        .map(|(_, code)| i32::from(code))
        .sum()
}

#[track_caller]
fn check_bounds(row: &[f32], probe: &[f32], seed: u64) {
    let (coarse, fine, similarity) = bounds(row, probe, seed);
    assert!(coarse >= similarity, "coarse bound {coarse} of similarity {similarity}");
    assert!(fine >= similarity, "fine bound {fine} of similarity {similarity}");
    // A residual is at most 8 scales a dimension for coarse codes and half of one for fine ones and the probe's; a scale
    // is at most 1.01 / 127. Twice that, as the approximation may be off as far again.
    let per_scale = (row.len() as f32).sqrt() / 125.0;
    assert!(
        coarse - similarity <= 2.0 * 1.3 * 8.5 * per_scale + 1e-4,
        "coarse bound {coarse} of similarity {similarity}"
    );
    assert!(fine - similarity <= 2.0 * 1.3 * 1.1 * per_scale + 1e-4, "fine bound {fine} of similarity {similarity}");
}

#[test]
fn one_dimension_is_bounded() {
    for (row, probe) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (0.999, 1.001)] {
        check_bounds(&[row], &[probe], 1);
    }
}

#[test]
fn a_typical_template_is_bounded_closely() {
    // Fixed directions without a pattern.
    let raw = |seed: f32| -> Vec<f32> { (0..128).map(|idx| (idx as f32 * seed).sin()).collect() };
    for (row, probe) in [(12.9898, 78.233), (1.7, 1.7), (3.3, 0.9)] {
        let (row, probe) = (unit(&raw(row)).unwrap(), unit(&raw(probe)).unwrap());
        let (coarse, fine, similarity) = bounds(row.unit(), probe.unit(), 5);
        assert!(coarse - similarity < 0.16 && fine - similarity < 0.02, "{coarse} {fine} {similarity}");
    }
}

#[test]
fn a_template_with_one_large_number_is_bounded_as_closely() {
    let mut raw = vec![0.01_f32; 128];
    raw[77] = 5.0;
    let template = unit(&raw).unwrap();
    let (coarse, fine, similarity) = bounds(template.unit(), template.unit(), 5);
    assert!(coarse - similarity < 0.2 && fine - similarity < 0.03, "{coarse} {fine} {similarity}");
}

#[test]
fn zeros_are_bounded() {
    check_bounds(&[0.0; 20], &[0.0; 20], 3);
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn the_bounds_are_never_below_the_similarity(
        pairs in prop::collection::vec((component(), component()), 1..600),
        seed in any::<u64>(),
    ) {
        let (row, probe): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        if let (Some(row), Some(probe)) = (unit(&row), unit(&probe)) {
            check_bounds(row.unit(), probe.unit(), seed);
            check_bounds(row.unit(), row.unit(), seed);
        }
    }

    #[test]
    fn codes_that_were_not_rotated_evenly_are_bounded_as_well(
        at in prop::collection::vec((0_usize..512, -1.0_f32..1.0), 1..4),
        seed in any::<u64>(),
    ) {
        // A row that the rotation makes of one number: the rows of the rotation itself.
        let mut raw = vec![0.0_f32; 512];
        at.iter().for_each(|&(dimension, number)| raw[dimension] = number);
        let rotated: Vec<f32> = Rotation::new(seed, 512).apply(&raw).iter().map(|&number| number as f32).collect();
        if let (Some(row), Some(probe)) = (unit(&rotated), unit(&raw)) {
            check_bounds(row.unit(), probe.unit(), seed);
            check_bounds(probe.unit(), row.unit(), seed);
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
