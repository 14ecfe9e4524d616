use proptest::prelude::*;

use super::*;

fn kernels() -> Vec<&'static Kernel> {
    let kernels = available();
    assert_eq!(kernels.last().map(|kernel| kernel.name()), Some("scalar"));
    kernels
}

fn plain_sum(block: &[CodeLine], row: usize, probe: &[Quad]) -> i32 {
    let row = block.iter().flat_map(|line| &line.0[row * 4..row * 4 + 4]);
    row.zip(probe.as_flattened()).map(|(&code, &probe)| i32::from(code) * i32::from(probe)).sum()
}

#[track_caller]
fn check_sums(block: &[CodeLine], probes: &[Vec<Quad>]) {
    let probes: Vec<&[Quad]> = probes.iter().map(Vec::as_slice).collect();
    for kernel in kernels() {
        let mut sums = vec![[-1; BLOCK_ROWS]; probes.len()];
        kernel.block_sums(block, &probes, &mut sums);
        for (probe, sums) in probes.iter().zip(&sums) {
            let plain: [i32; BLOCK_ROWS] = std::array::from_fn(|row| plain_sum(block, row, probe));
            assert_eq!(*sums, plain, "{} with {} lines and {} probes", kernel.name(), block.len(), probes.len());
        }
    }
}

#[test]
fn extreme_codes_at_the_largest_dimension_do_not_overflow() {
    for (code, probe) in [(255, 127), (255, -127), (1, 127), (0, -127)] {
        check_sums(&vec![CodeLine([code; 64]); 1024], &vec![vec![[probe; 4]; 1024]; PROBES_MAX]);
    }
}

#[test]
fn the_active_kernel_is_the_fastest_available_and_stays() {
    assert_eq!(active().name(), available()[0].name());
    assert!(std::ptr::eq(active(), active()));
}

#[track_caller]
fn check_reaching(sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) {
    for kernel in kernels() {
        let reaching = kernel.reaching(sums, scales, terms, cutoff);
        for (row, &sum) in sums.iter().enumerate() {
            let bound = terms.bound(sum, scales.scales[row], scales.residuals[row]);
            let is_reaching = reaching >> row & 1 == 1;
            // Half of the slack that a search allows for.
            if (bound - cutoff).abs() > 5e-7 {
                assert_eq!(is_reaching, bound >= cutoff, "{}: row {row}, bound {bound}", kernel.name());
            }
        }
    }
}

#[test]
fn a_cutoff_of_minus_infinity_is_reached_by_every_row_and_infinity_by_none() {
    let terms = BoundTerms { sum_offset: 5, scale: 0.01, residual_weight: 1.01, slack: 0.01 };
    for kernel in kernels() {
        let reaching = |cutoff: f32| kernel.reaching(&[-10_000; BLOCK_ROWS], &BlockScales::ZERO, &terms, cutoff);
        assert_eq!((reaching(f32::NEG_INFINITY), reaching(f32::INFINITY)), (u16::MAX, 0), "{}", kernel.name());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn every_kernel_sums_codes_like_a_plain_loop(
        lines in prop::collection::vec(prop::collection::vec(any::<u8>(), 64), 0..40),
        n_probes in 0..=PROBES_MAX,
        seed in prop::collection::vec(-127_i8..=127, 160 * PROBES_MAX),
    ) {
        let block: Vec<CodeLine> = lines.iter().map(|line| CodeLine(line.as_slice().try_into().unwrap())).collect();
        let probes: Vec<Vec<Quad>> = seed.chunks(160).take(n_probes)
            .map(|codes| codes.as_chunks::<4>().0[..block.len()].to_vec())
            .collect();
        check_sums(&block, &probes);
    }

    #[test]
    fn every_kernel_finds_the_rows_that_reach_a_cutoff(
        // As templates have them: scale times 127 at most 1, and similarities around the cutoff.
        rows in prop::collection::vec((-16_000_i32..16_000, 0.001_f32..0.0078, 0.0_f32..0.1), BLOCK_ROWS),
        sum_offset in -1_000_000_i32..1_000_000,
        cutoff in -0.5_f32..0.5,
    ) {
        let terms = BoundTerms { sum_offset, scale: 0.0078, residual_weight: 1.05, slack: 0.01 };
        let sums: Sums = std::array::from_fn(|row| rows[row].0 + sum_offset);
        let scales = BlockScales {
            scales: std::array::from_fn(|row| rows[row].1),
            residuals: std::array::from_fn(|row| rows[row].2),
        };
        check_reaching(&sums, &scales, &terms, cutoff);
    }

    #[test]
    fn every_kernel_gives_the_defined_similarity_to_the_last_bit(
        pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..600),
        exponent in -20_i32..=0,
    ) {
        let scale = 2.0_f32.powi(exponent);
        let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().map(|(a, b)| (a * scale, b)).unzip();
        let defined = Similarity::of_units(&a, &b);
        let (a, b): (Vec<FloatLine>, Vec<FloatLine>) = (float_lines(&a).collect(), float_lines(&b).collect());
        for kernel in kernels() {
            let similarity = kernel.similarity(&a, &b);
            prop_assert_eq!(similarity.get().to_bits(), defined.get().to_bits(), "{}", kernel.name());
        }
    }
}
