//! A random rotation of vectors, so that no dimension is more important than another.
//!
//! Codes have one scale for a whole vector; a vector with a few large numbers would waste most of them. Rotated at
//! random, every vector looks alike: its numbers are spread like a normal distribution, the largest about three times
//! the typical one. Cosines stay what they are.
//!
//! Multiplying with a random matrix would take d² steps. Instead the numbers' signs are flipped at random and neighbours
//! mixed by a Walsh-Hadamard transform of the largest power of two that fits, over the first and then over the last
//! dimensions, a few times (Andoni et al., "Practical and Optimal LSH for Angular Distance", 2015, use three such
//! rounds): d log d steps, and exactly a rotation for any number of dimensions.
//!
//! Each round changes a vector of length 1 by rounding errors of at most (log₂ d + 2) × 2⁻⁵³ relative to its length, all
//! of them together by less than 1e-13.

/// Rounds of flipped signs and a transform.
const ROUNDS: usize = 4;

/// A rotation of vectors of one length.
#[derive(Debug, Clone)]
pub(super) struct Rotation {
    dimensions: usize,
    /// For each round and dimension, whether the sign is flipped: bit `i` of a round's words.
    flips: Vec<u64>,
}

impl Rotation {
    /// The same for the same seed and length.
    pub(super) fn new(seed: u64, dimensions: usize) -> Self {
        let mut state = seed;
        let flips = (0..ROUNDS * dimensions.div_ceil(64)).map(|_| split_mix(&mut state)).collect();
        Self { dimensions, flips }
    }

    /// Numbers of its vectors.
    pub(super) fn dimensions(&self) -> usize {
        self.dimensions
    }

    /// The rotated vector.
    pub(super) fn apply(&self, vector: &[f32]) -> Vec<f64> {
        debug_assert_eq!(vector.len(), self.dimensions);
        let mut numbers: Vec<f64> = vector.iter().map(|&number| f64::from(number)).collect();
        let len = prev_power_of_two(self.dimensions);
        let n_words = self.dimensions.div_ceil(64);
        let scale = 1.0 / (len as f64).sqrt();
        for (round, flips) in self.flips.chunks_exact(n_words).enumerate() {
            for (numbers, flips) in numbers.chunks_mut(64).zip(flips) {
                for (idx, number) in numbers.iter_mut().enumerate() {
                    *number = f64::from_bits(number.to_bits() ^ ((flips >> idx & 1) << 63));
                }
            }
            let first = if round % 2 == 0 { 0 } else { self.dimensions - len };
            transform(&mut numbers[first..first + len], scale);
        }
        numbers
    }
}

/// SplitMix64: every seed gives its own, well mixed sequence.
pub(super) fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut mixed = *state;
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

fn prev_power_of_two(number: usize) -> usize {
    1 << number.max(1).ilog2()
}

/// The Walsh-Hadamard transform of a power of two of numbers, times `scale`.
fn transform(numbers: &mut [f64], scale: f64) {
    let mut half = 1;
    while half < numbers.len() {
        for pair in numbers.chunks_exact_mut(2 * half) {
            let (low, high) = pair.split_at_mut(half);
            for (low, high) in low.iter_mut().zip(high) {
                (*low, *high) = (*low + *high, *low - *high);
            }
        }
        half *= 2;
    }
    for number in numbers {
        *number *= scale;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn product(a: &[f64], b: &[f64]) -> f64 {
        a.iter().zip(b).map(|(a, b)| a * b).sum()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

        #[test]
        fn products_of_any_length_stay_what_they_are(
            pairs in prop::collection::vec((-1.0_f32..1.0, -1.0_f32..1.0), 1..700),
            seed in any::<u64>(),
        ) {
            let (a, b): (Vec<f32>, Vec<f32>) = pairs.into_iter().unzip();
            let rotation = Rotation::new(seed, a.len());
            let plain = |vector: &[f32]| vector.iter().map(|&number| f64::from(number)).collect::<Vec<f64>>();
            let (before, after) = (product(&plain(&a), &plain(&b)), product(&rotation.apply(&a), &rotation.apply(&b)));
            let lengths = (product(&plain(&a), &plain(&a)) * product(&plain(&b), &plain(&b))).sqrt();
            prop_assert!((before - after).abs() <= 1e-12 * lengths, "{before} became {after}");
        }
    }

    #[test]
    fn a_single_large_number_is_spread_over_all_dimensions() {
        for dimensions in [64, 128, 130, 200, 512, 600] {
            for at in [0, 1, dimensions - 1] {
                let mut vector = vec![0.0_f32; dimensions];
                vector[at] = 1.0;
                let rotated = Rotation::new(7, dimensions).apply(&vector);
                let largest = rotated.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
                assert!(largest < 6.0 / (dimensions as f64).sqrt(), "{dimensions} dimensions: {largest}");
            }
        }
    }

    #[test]
    fn seeds_give_different_rotations_and_the_same_seed_the_same() {
        let vector: Vec<f32> = (0..128).map(|idx| (idx as f32).sin()).collect();
        let rotated = |seed| Rotation::new(seed, 128).apply(&vector);
        assert_eq!(rotated(1), rotated(1));
        assert_ne!(rotated(1), rotated(2));
    }
}
