use likeness_domain::types::{PackId, Similarity, Template};
use proptest::prelude::*;

use super::*;
use crate::index::kernel::sketch::{BLOCK_LINES, BLOCK_ROWS, available, set_row};
use crate::index::quantise::{ReadyProbe, RowCodes};
use crate::index::rotation::Rotation;

fn unit(raw: &[f32]) -> Option<Template> {
    Template::new(PackId::new("pack-1").unwrap(), raw).ok()
}

/// A row whose similarity just reaches a cutoff is found with it. Gives the residual.
#[track_caller]
fn check(row: &[f32], probe: &[f32], seed: u64) -> u8 {
    let rotation = Rotation::new(seed, row.len());
    let row_codes = RowCodes::new(row, &rotation);
    let codes = codes(&row_codes.coarse[0], &row_codes.fine[0], row_codes.sizes.scale(), row.len());
    assert_eq!(row_codes.sketch_residual, residual(&codes, &rotation.apply(row)));
    let mut plane = vec![CodeLine::ZERO; BLOCK_LINES];
    for place in 0..BLOCK_ROWS {
        set_row(&mut plane, place, &codes, row_codes.sketch_residual);
    }
    let sketched = ReadyProbe::new(probe, &rotation).sketched();
    let similarity = Similarity::of_units(row, probe).get();
    for cutoff in [similarity, f32::NEG_INFINITY] {
        for kernel in available() {
            let mut found = Vec::new();
            kernel.scan(&plane, &[u64::MAX], &sketched.tables, sketched.least(cutoff), &mut found);
            assert_eq!(found.len(), BLOCK_ROWS, "{}: similarity {similarity}", kernel.name());
        }
    }
    row_codes.sketch_residual
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn a_row_that_reaches_the_cutoff_is_found(
        pairs in prop::collection::vec((component(), component()), 1..=128),
        seed in any::<u64>(),
    ) {
        let (row, probe): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
        if let (Some(row), Some(probe)) = (unit(&row), unit(&probe)) {
            check(row.unit(), probe.unit(), seed);
            check(row.unit(), row.unit(), seed);
            check(probe.unit(), row.unit(), seed);
        }
    }
}

/// Mostly ordinary numbers, some tiny or huge.
fn component() -> impl Strategy<Value = f32> {
    prop_oneof![6 => -1.0_f32..1.0, 1 => -1e-6_f32..1e-6, 1 => -100.0_f32..100.0, 1 => Just(0.0)]
}

#[test]
fn zeros_and_single_numbers_are_found() {
    check(&[0.0; 20], &[0.0; 20], 3);
    for (row, probe) in [(1.0, 1.0), (1.0, -1.0), (-1.0, -1.0), (0.999, 1.001)] {
        check(&[row], &[probe], 1);
    }
    // Turned into one number: the rows of the rotation itself.
    let mut raw = vec![0.0_f32; 128];
    raw[77] = 1.0;
    let rotated: Vec<f32> = Rotation::new(5, 128).apply(&raw).iter().map(|&number| number as f32).collect();
    check(&rotated, &raw, 5);
    check(&raw, &rotated, 5);
}

#[test]
fn a_sketch_of_a_typical_template_leaves_a_sixth_out_and_excludes_strangers() {
    let raw = |seed: f32| -> Vec<f32> { (0..128).map(|idx| (idx as f32 * seed).sin()).collect() };
    let (row, probe) = (unit(&raw(12.9898)).unwrap(), unit(&raw(78.233)).unwrap());
    let residual = check(row.unit(), probe.unit(), 5);
    assert!((140..210).contains(&residual), "{residual} of 1024");
    let rotation = Rotation::new(5, 128);
    let codes = RowCodes::new(row.unit(), &rotation);
    let codes = codes_of(&codes);
    let sketched = ReadyProbe::new(probe.unit(), &rotation).sketched();
    let mut plane = vec![CodeLine::ZERO; BLOCK_LINES];
    (0..BLOCK_ROWS).for_each(|place| set_row(&mut plane, place, &codes, residual));
    let similarity = Similarity::of_units(row.unit(), probe.unit()).get();
    for kernel in available() {
        let n_found = |cutoff: f32| {
            let mut found = Vec::new();
            kernel.scan(&plane, &[u64::MAX], &sketched.tables, sketched.least(cutoff), &mut found);
            found.len()
        };
        assert_eq!((n_found(similarity + 0.25), n_found(similarity)), (0, BLOCK_ROWS), "{}", kernel.name());
    }
}

fn codes_of(row: &RowCodes) -> [u8; PAIRS] {
    codes(&row.coarse[0], &row.fine[0], row.sizes.scale(), 128)
}

#[test]
fn values_of_any_probe_stay_within_16_bits() {
    let mut raw = vec![0.0_f32; 128];
    raw[0] = 1.0;
    for rotated in [vec![0.0; 128], raw.iter().map(|&number| f64::from(number)).collect(), vec![0.0884; 128]] {
        let sketched = SketchedProbe::new(&rotated, 1.3);
        let greatest = 255 * PAIRS as u64 + 255 * u64::from(sketched.tables.residual_weight) / 256;
        assert!(greatest < 1 << 16 && sketched.tables.residual_weight <= 256 * 128, "{greatest}");
    }
}
