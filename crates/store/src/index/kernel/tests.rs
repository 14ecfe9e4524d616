use proptest::prelude::*;

use super::*;

fn kernels() -> Vec<&'static Kernel> {
    let kernels = available();
    assert_eq!(kernels.last().map(|kernel| kernel.name()), Some("scalar"));
    kernels
}

/// Numbers that look random and are the same in every run.
struct Numbers(u64);

impl Numbers {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 >> 16
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    fn unit(&mut self) -> f32 {
        self.below(1 << 20) as f32 / (1 << 20) as f32
    }
}

/// Rows, probes and cutoffs of one shape.
struct Case {
    n_lines: usize,
    coarse: Vec<CodeLine>,
    fine: Vec<CodeLine>,
    sizes: Vec<RowSizes>,
    residuals: Vec<u16>,
    wanted: Vec<u64>,
    probes: Vec<ProbeCodes>,
    cutoffs: Vec<f32>,
}

impl Case {
    fn new(seed: u64, n_lines: usize, n_groups: usize, n_probes: usize) -> Self {
        let numbers = &mut Numbers(seed | 1);
        let n_rows = n_groups * GROUP_ROWS;
        let line = |numbers: &mut Numbers| CodeLine(std::array::from_fn(|_| numbers.next() as u8));
        let probe_line =
            |numbers: &mut Numbers| ProbeLine(std::array::from_fn(|_| (numbers.below(255) as i32 - 127) as i8));
        let probe = |numbers: &mut Numbers| {
            let lines: Vec<ProbeLine> = (0..n_lines).map(|_| probe_line(numbers)).collect();
            let code_sum = lines.iter().flat_map(|line| line.0).map(i32::from).sum();
            // As templates have them: bounds are around 0.1.
            let scale = 0.02 / (127.0 * (n_lines * LINE_DIMENSIONS) as f32).sqrt();
            ProbeCodes { lines, terms: BoundTerms { code_sum, scale, residual_weight: 1.01, slack: 0.01 } }
        };
        let sizes = |numbers: &mut Numbers| {
            RowSizes::new(bf16(bf16_above(0.001 + 0.02 * numbers.unit())), 0.05 + 0.1 * numbers.unit())
        };
        Self {
            n_lines,
            coarse: (0..n_rows * n_lines).map(|_| line(numbers)).collect(),
            fine: (0..n_rows * n_lines).map(|_| line(numbers)).collect(),
            sizes: (0..n_rows).map(|_| sizes(numbers)).collect(),
            residuals: (0..n_rows).map(|_| bf16_above(0.1 * numbers.unit())).collect(),
            wanted: (0..n_rows.div_ceil(64)).map(|_| numbers.next() | numbers.next() << 32).collect(),
            probes: (0..n_probes).map(|_| probe(numbers)).collect(),
            cutoffs: (0..n_probes).map(|_| 0.05 + 0.2 * numbers.unit()).collect(),
        }
    }

    fn rows(&self) -> Rows<'_> {
        let (next_coarse, next_sizes) = (&self.fine[..], &self.sizes[..]);
        Rows { coarse: &self.coarse, n_lines: self.n_lines, sizes: &self.sizes, next_coarse, next_sizes }
    }

    fn n_groups(&self) -> usize {
        self.sizes.len() / GROUP_ROWS
    }

    fn row(&self, row: usize) -> &[CodeLine] {
        &self.coarse[row * self.n_lines..][..self.n_lines]
    }

    /// As the layout is described, one dimension after the other.
    fn plain_sum(&self, row: usize, probe: &ProbeCodes) -> i32 {
        self.sum_of(self.row(row), probe)
    }

    /// The same of whole codes.
    fn plain_whole_sum(&self, row: usize, probe: &ProbeCodes) -> i32 {
        16 * self.plain_sum(row, probe) + self.sum_of(&self.fine[row * self.n_lines..][..self.n_lines], probe)
    }

    fn sum_of(&self, lines: &[CodeLine], probe: &ProbeCodes) -> i32 {
        let code = |dimension: usize| {
            let byte = lines[dimension / 128].0[dimension % 64];
            i32::from(if dimension % 128 < 64 { byte & 15 } else { byte >> 4 })
        };
        let probe_code = |dimension: usize| i32::from(probe.lines[dimension / 128].0[dimension % 128]);
        (0..self.n_lines * 128).map(|dimension| code(dimension) * probe_code(dimension)).sum()
    }

    /// What was found must be wanted, once, with the right sums, and complete but for rows within rounding of the
    /// cutoff.
    #[track_caller]
    fn check(
        &self,
        (name, sizes): (&str, &[RowSizes]),
        found: &[FoundRow],
        groups: Range<usize>,
        wanted: &[u64],
        (sum_of, terms, cutoff): (impl Fn(usize) -> i32, &BoundTerms, f32),
    ) {
        let mut found = found.to_vec();
        found.sort_by_key(|found| found.row);
        let mut found = found.into_iter().peekable();
        for row in groups.start * GROUP_ROWS..groups.end * GROUP_ROWS {
            let sum = sum_of(row);
            let bound = terms.coarse_bound(sum, sizes[row]);
            let is_wanted = wanted[row / 64] >> (row % 64) & 1 == 1;
            let is_found = found.next_if(|found| found.row as usize == row);
            if let Some(found) = is_found {
                assert_eq!(found.sum, sum, "{name}: sum of row {row}");
            }
            // A tenth of the slack that a search allows for.
            if !is_wanted || (bound - cutoff).abs() > 1e-6 {
                assert_eq!(
                    is_found.is_some(),
                    is_wanted && bound >= cutoff,
                    "{name}: row {row}, bound {bound}, {cutoff}"
                );
            }
        }
        assert_eq!(found.next(), None, "{name}: a row that is not there or twice");
    }

    fn check_all(&self) {
        let n_groups = self.n_groups();
        for kernel in kernels() {
            let name = kernel.name();
            for (probe, &cutoff) in self.probes.iter().zip(&self.cutoffs) {
                for groups in [0..n_groups, n_groups / 3..n_groups, 0..0] {
                    let mut found = Vec::new();
                    kernel.scan(&self.rows(), groups.clone(), &self.wanted, probe, cutoff, &mut found);
                    let expected = (|row| self.plain_sum(row, probe), &probe.terms, cutoff);
                    self.check((name, &self.sizes), &found, groups, &self.wanted, expected);
                }
                let is_wanted = |row: &u16| self.wanted[usize::from(*row) / 64] >> (row % 64) & 1 == 1;
                let list: Vec<u16> = (0..self.sizes.len() as u16).filter(is_wanted).collect();
                let mut found = Vec::new();
                kernel.scan_listed(&self.rows(), &list, probe, cutoff, &mut found);
                let expected = (|row| self.plain_sum(row, probe), &probe.terms, cutoff);
                self.check((name, &self.sizes), &found, 0..n_groups, &self.wanted, expected);
                for row in 0..self.sizes.len() {
                    assert_eq!(kernel.code_sum(self.row(row), &probe.lines), self.plain_sum(row, probe), "{name}");
                }
            }
            self.check_narrowed(kernel);
            self.check_refined(kernel);
            self.check_batch(kernel);
        }
    }

    /// Some rows that a scan has found, in the order of nothing.
    fn found(&self, probe: &ProbeCodes) -> Vec<FoundRow> {
        let rows = (0..self.sizes.len()).rev().filter(|row| row % 3 != 1);
        rows.map(|row| FoundRow { row: row as u32, sum: self.plain_sum(row, probe) }).collect()
    }

    fn check_narrowed(&self, kernel: &Kernel) {
        // The words may be any bits: here those of the fine codes as they lie in memory.
        let words = self.fine.iter().flat_map(|line| line.0.as_chunks::<8>().0).map(|bytes| u64::from_le_bytes(*bytes));
        let bits: Vec<u64> = words.take(self.sizes.len() * self.n_lines * FIFTH_WORDS).collect();
        let rows = FifthRows { bits: &bits, n_lines: self.n_lines, sizes: &self.sizes, residuals: &self.residuals };
        for (probe, &cutoff) in self.probes.iter().zip(&self.cutoffs) {
            let found = self.found(probe);
            let mut narrowed = Vec::new();
            kernel.narrow(&rows, &found, probe, cutoff, &mut narrowed);
            let codes: Vec<i32> = probe.lines.iter().flat_map(|line| line.0).map(i32::from).collect();
            let expected = found.iter().filter_map(|&found| {
                let words = rows.words(found.row as usize);
                let is_set = |dimension: &usize| words[dimension / 64] >> (dimension % 64) & 1 == 1;
                let sum: i32 = (0..codes.len()).filter(is_set).map(|dimension| codes[dimension]).sum();
                let bound = probe.terms.fifth_bound(2 * found.sum + sum, rows.fifth_sizes(found.row as usize));
                (bound >= cutoff).then_some(NarrowedRow { found, bound })
            });
            assert_eq!(narrowed, expected.collect::<Vec<_>>(), "{}", kernel.name());
        }
    }

    fn check_refined(&self, kernel: &Kernel) {
        let rows = FineRows { fine: &self.fine, n_lines: self.n_lines, sizes: &self.sizes, residuals: &self.residuals };
        for (probe, &cutoff) in self.probes.iter().zip(&self.cutoffs) {
            let found = self.found(probe);
            let mut near = Vec::new();
            kernel.refine(&rows, &found, probe, cutoff, &mut near);
            let mut near = near.into_iter().peekable();
            for FoundRow { row, .. } in found {
                let sum = self.plain_whole_sum(row as usize, probe);
                let bound = probe.terms.whole_bounds(sum, rows.whole_sizes(row as usize)).1;
                let is_near = near.next_if(|near| near.row == row);
                assert!(is_near.is_none_or(|near| near.sum == sum), "{}: sum of row {row}", kernel.name());
                if (bound - cutoff).abs() > 1e-6 {
                    assert_eq!(is_near.is_some(), bound >= cutoff, "{}: row {row}, bound {bound}", kernel.name());
                }
            }
            assert_eq!(near.next(), None, "{}: a row that was not found or twice", kernel.name());
        }
    }

    fn check_batch(&self, kernel: &Kernel) {
        let n_groups = self.n_groups();
        let rows = BatchRows { rows: self.rows(), fine: &self.fine, residuals: &self.residuals, next_fine: &[] };
        let probes = kernel.batch(&self.probes.iter().collect::<Vec<_>>());
        let all = vec![u64::MAX; self.wanted.len()];
        let is_whole = kernel.has_whole_tiles();
        // What another shape left there must not matter.
        let mut scratch = BatchScratch { lines: vec![CodeLine([0x5a; 64]); 3], ..BatchScratch::default() };
        // One probe finds nothing; the others must not notice.
        let mut cutoffs = self.cutoffs.clone();
        if let Some(cutoff) = cutoffs.get_mut(5) {
            *cutoff = f32::INFINITY;
        }
        for groups in [0..n_groups, n_groups / 3..n_groups, 0..0] {
            let mut found = vec![Vec::new(); self.probes.len()];
            kernel.scan_batch(&rows, groups.clone(), &probes, &cutoffs, &mut scratch, &mut found);
            for ((probe, &cutoff), found) in self.probes.iter().zip(&cutoffs).zip(&found) {
                let sum_of = |row| match is_whole {
                    true => self.plain_whole_sum(row, probe),
                    false => self.plain_sum(row, probe),
                };
                let terms = if is_whole { probe.terms.of_whole_codes() } else { probe.terms };
                let sizes: Vec<_> = match is_whole {
                    true => (0..self.sizes.len())
                        .map(|row| rows.rows.sizes[row].with_residual(rows.residuals[row]))
                        .collect(),
                    false => self.sizes.clone(),
                };
                self.check((kernel.name(), &sizes), found, groups.clone(), &all, (sum_of, &terms, cutoff));
            }
        }
    }
}

#[test]
fn every_kernel_agrees_with_a_plain_loop_over_all_shapes() {
    for n_lines in 1..=6 {
        for (n_groups, n_probes) in [(0, 1), (1, 8), (2, 3), (5, 9), (8, 1), (11, 37)] {
            Case::new((n_lines * 100 + n_groups) as u64, n_lines, n_groups, n_probes).check_all();
        }
    }
}

#[test]
fn extreme_codes_at_the_largest_dimension_do_not_overflow() {
    for (code, probe) in [(255, 127), (255, -127), (0x0f, 127), (0xf0, -127), (0, 127)] {
        let mut case = Case::new(1, 32, 2, 2);
        case.coarse.fill(CodeLine([code; 64]));
        case.fine.fill(CodeLine([code; 64]));
        for probe_codes in &mut case.probes {
            probe_codes.lines.fill(ProbeLine([probe; LINE_DIMENSIONS]));
            probe_codes.terms.code_sum = 4096 * i32::from(probe);
        }
        case.check_all();
    }
}

#[test]
fn terms_of_whole_codes_give_the_bound_of_whole_codes() {
    let mut numbers = Numbers(3);
    for _ in 0..1000 {
        let terms = BoundTerms {
            code_sum: numbers.below(4000) as i32 - 2000,
            scale: 0.01 * numbers.unit(),
            residual_weight: 1.0 + numbers.unit(),
            slack: 0.01 * numbers.unit(),
        };
        let (coarse, fine) = (numbers.below(60_000) as i32 - 30_000, numbers.below(60_000) as i32 - 30_000);
        let (scale, residual) = (bf16(bf16_above(0.02 * numbers.unit())), bf16(bf16_above(0.02 * numbers.unit())));
        let (sum, sizes) = (16 * coarse + fine, RowSizes::new(scale, residual));
        let (whole, bound) = (terms.of_whole_codes().coarse_bound(sum, sizes), terms.whole_bounds(sum, sizes).1);
        assert!((whole - bound).abs() <= 1e-6 * bound.abs().max(1.0), "{whole} and {bound}");
    }
}

#[test]
fn a_cutoff_of_minus_infinity_is_reached_by_every_row_and_infinity_by_none() {
    let case = Case::new(5, 1, 4, 1);
    for kernel in kernels() {
        let n_found = |cutoff| {
            let mut found = Vec::new();
            kernel.scan(&case.rows(), 0..4, &[u64::MAX], &case.probes[0], cutoff, &mut found);
            found.len()
        };
        assert_eq!((n_found(f32::NEG_INFINITY), n_found(f32::INFINITY)), (64, 0), "{}", kernel.name());
    }
}

#[test]
fn the_active_kernel_is_the_fastest_available_and_stays() {
    assert_eq!(active().name(), available()[0].name());
    assert!(std::ptr::eq(active(), active()));
}

#[test]
fn sizes_are_the_scale_and_a_length_not_below_the_one_given() {
    for residual in [0.0, 1e-30, 0.1, 0.107_421_875, 0.107_421_876, 1.0, 4.09] {
        let sizes = RowSizes::new(0.015_625, residual);
        assert_eq!(sizes.scale(), 0.015_625);
        assert!(sizes.residual() >= residual && sizes.residual() <= residual * 1.008, "{residual}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(32) })]

    #[test]
    fn every_kernel_agrees_with_a_plain_loop(seed: u64, n_lines in 1_usize..5, n_groups in 0_usize..9, n_probes in 1_usize..40) {
        Case::new(seed, n_lines, n_groups, n_probes).check_all();
    }

    #[test]
    fn every_kernel_selects_the_values_that_pass(
        values in prop::collection::vec(-5_i64..5, 0..300),
        ends in (-6_i64..6, -6_i64..6),
        far in any::<bool>(),
    ) {
        let ends = if far { (i64::MIN, i64::MAX) } else { ends };
        let passing = |pass: &dyn Fn(i64) -> bool| {
            let mut rows = [0_u64; 5];
            values.iter().enumerate().for_each(|(idx, &value)| rows[idx / 64] |= u64::from(pass(value)) << (idx % 64));
            rows
        };
        let between = passing(&|value| (ends.0..=ends.1).contains(&value));
        let equal = passing(&|value| value + 5 == 3);
        let codes: Vec<u32> = values.iter().map(|&value| (value + 5) as u32).collect();
        let reals: Vec<f64> = values.iter().map(|&value| value as f64).collect();
        for kernel in kernels() {
            // What was there before is overwritten.
            let mut rows = [u64::MAX; 5];
            kernel.select_whole(&values, ends, &mut rows);
            prop_assert_eq!(rows, between, "{}", kernel.name());
            rows.fill(u64::MAX);
            let bytes: Vec<u8> = values.iter().map(|&value| (value + 128) as u8).collect();
            let (least, greatest) = (ends.0.saturating_add(128).max(0), ends.1.saturating_add(128).min(255));
            if let (Ok(least), Ok(greatest)) = (u8::try_from(least), u8::try_from(greatest)) {
                kernel.select_byte(&bytes, (least, greatest), &mut rows);
                prop_assert_eq!(rows, between, "{}", kernel.name());
            }
            rows.fill(u64::MAX);
            kernel.select_real(&reals, (ends.0 as f64, ends.1 as f64), &mut rows);
            prop_assert_eq!(rows, between, "{}", kernel.name());
            rows.fill(u64::MAX);
            kernel.select_code(&codes, 3, &mut rows);
            prop_assert_eq!(rows, equal, "{}", kernel.name());
        }
    }

    #[test]
    fn every_kernel_lists_the_bits_that_are_set(
        words in prop::collection::vec(prop_oneof![Just(0), Just(u64::MAX), any::<u64>()], 0..20),
        masks in prop::collection::vec(any::<u64>(), 60),
        n_masks in 0_usize..4,
        n_max in 0_usize..600,
    ) {
        // The more masks, the fewer bits.
        let mask = |word_idx: usize| masks[word_idx * 3..][..n_masks.min(3)].iter().fold(u64::MAX, |all, mask| all & mask);
        let words: Vec<u64> = words.iter().enumerate().map(|(idx, word)| word & mask(idx)).collect();
        let places: Vec<u16> =
            (0..words.len() * 64).filter(|place| words[place / 64] >> (place % 64) & 1 == 1).map(|place| place as u16).collect();
        let expected = if places.len() <= n_max { [&[7][..], &places].concat() } else { vec![7] };
        for kernel in kernels() {
            let mut list = vec![7];
            prop_assert_eq!(kernel.list(&words, n_max, &mut list), places.len(), "{}", kernel.name());
            prop_assert_eq!(&list, &expected, "{}", kernel.name());
        }
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
