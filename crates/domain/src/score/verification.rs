//! Rates over all pairs of a set of photographs: how often two people are taken for one, and one person for two, with
//! the uncertainty that the sample leaves.

use crate::types::Similarity;

/// Bins of a [`PairCounts`] over the cosines -1 to 1: each is 0.00002 wide, which is finer than any figure we print.
const N_BINS: usize = 100_000;

/// Fewest impostor pairs that have to lie at or above a threshold before a rate is stated: with 10, the rate itself is
/// known within a factor of about two (Poisson, 95 %).
pub const IMPOSTORS_ABOVE_MIN: f64 = 10.0;

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;

/// How many pairs have which similarity. Its size does not depend on the number of pairs.
#[derive(Debug, Clone)]
pub struct PairCounts {
    genuine: Vec<u64>,
    impostor: Vec<u64>,
}

impl Default for PairCounts {
    fn default() -> Self {
        Self { genuine: vec![0; N_BINS], impostor: vec![0; N_BINS] }
    }
}

/// What a false-accept rate costs.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct RateAt {
    /// Pairs at or above this cosine are accepted.
    pub cosine: f64,
    /// Impostor pairs that are accepted there.
    pub n_impostors: u64,
    /// Share of genuine pairs that are accepted there.
    pub tar: f64,
}

/// The 95 % interval of a share, or of a number that a share stands for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// Lower end, 0 or more.
    pub low: f64,
    /// Upper end; of a share, 1 or less.
    pub high: f64,
}

/// One threshold of a ROC.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Rates {
    /// False-accept rate.
    pub far: f64,
    /// True-accept rate.
    pub tar: f64,
}

impl PairCounts {
    /// Counts a pair.
    pub fn add(&mut self, similarity: Similarity, same_person: bool) {
        let counts = if same_person { &mut self.genuine } else { &mut self.impostor };
        counts[bin_of(f64::from(similarity.get()))] += 1;
    }

    /// Pairs of one person.
    pub fn n_genuine(&self) -> u64 {
        self.genuine.iter().sum()
    }

    /// Pairs of two people.
    pub fn n_impostor(&self) -> u64 {
        self.impostor.iter().sum()
    }

    /// The lowest threshold at which at most the share `far` of the impostor pairs is accepted. `None` where the sample
    /// cannot show that rate: fewer than [`IMPOSTORS_ABOVE_MIN`] impostor pairs are expected above it, or there is no
    /// genuine pair.
    pub fn at_far(&self, far: f64) -> Option<RateAt> {
        let (n_genuine, n_impostor) = (self.n_genuine(), self.n_impostor());
        let allowed = far * n_impostor as f64;
        // Rounding must not refuse a rate that ten pairs of a round number show exactly.
        if n_genuine == 0 || allowed < IMPOSTORS_ABOVE_MIN * (1.0 - 1e-9) {
            return None;
        }
        let allowed = (allowed * (1.0 + 1e-12)).floor() as u64;
        let mut at = RateAt { cosine: 1.0, n_impostors: 0, tar: 0.0 };
        let mut accepted = 0;
        for bin in (0..N_BINS).rev() {
            if at.n_impostors + self.impostor[bin] > allowed {
                break;
            }
            at.n_impostors += self.impostor[bin];
            accepted += self.genuine[bin];
            at.cosine = lower_end(bin);
        }
        at.tar = accepted as f64 / n_genuine as f64;
        Some(at)
    }

    /// The ROC, from the threshold that accepts nothing to the one that accepts all; thresholds that change nothing are
    /// left out.
    pub fn roc(&self) -> Vec<Rates> {
        let (n_genuine, n_impostor) = (self.n_genuine().max(1) as f64, self.n_impostor().max(1) as f64);
        let (mut genuine, mut impostor) = (0, 0);
        let mut rates = vec![Rates { far: 0.0, tar: 0.0 }];
        for bin in (0..N_BINS).rev().filter(|&bin| self.genuine[bin] + self.impostor[bin] > 0) {
            genuine += self.genuine[bin];
            impostor += self.impostor[bin];
            rates.push(Rates { far: impostor as f64 / n_impostor, tar: genuine as f64 / n_genuine });
        }
        rates
    }
}

/// The bin of a cosine; the last one holds 1 as well.
fn bin_of(cosine: f64) -> usize {
    (((cosine + 1.0) / 2.0 * N_BINS as f64) as usize).min(N_BINS - 1)
}

fn lower_end(bin: usize) -> f64 {
    bin as f64 / N_BINS as f64 * 2.0 - 1.0
}

/// Wilson's interval of a share of `n` independent trials (E. B. Wilson, 1927). It stays inside 0 to 1, and is not empty
/// where every trial succeeded.
pub fn wilson(n_successes: u64, n: u64) -> Interval {
    if n == 0 {
        return Interval { low: 0.0, high: 1.0 };
    }
    let (count, share) = (n as f64, n_successes as f64 / n as f64);
    let middle = share + Z * Z / (2.0 * count);
    let half = Z * (share * (1.0 - share) / count + Z * Z / (4.0 * count * count)).sqrt();
    let scale = 1.0 + Z * Z / count;
    // At the ends the formula gives 0 and 1, but for rounding.
    Interval {
        low: if n_successes == 0 { 0.0 } else { (middle - half) / scale },
        high: if n_successes == n { 1.0 } else { (middle + half) / scale },
    }
}

/// The 95 % interval of a share whose trials come in groups: the percentiles of `n_draws` shares over groups drawn with
/// replacement (bootstrap). `groups` holds, for each person, accepted pairs and pairs. The pairs of a person share
/// photographs and are not independent, which Wilson's interval supposes; where no pair failed the bootstrap is empty,
/// which Wilson's is not: the answer spans both. The numbers drawn are the same in every run.
pub fn interval_by_person(groups: &[(u64, u64)], n_draws: usize) -> Interval {
    let sum = |groups: &mut dyn Iterator<Item = (u64, u64)>| groups.fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1));
    let (accepted, all) = sum(&mut groups.iter().copied());
    let wilson = wilson(accepted, all);
    if all == 0 || n_draws == 0 {
        return wilson;
    }
    let mut random = SplitMix64(1);
    let mut draw = || groups[(random.next() % groups.len() as u64) as usize];
    let shares = (0..n_draws)
        .map(|_| sum(&mut (0..groups.len()).map(|_| draw())))
        .filter(|(_, n)| *n > 0)
        .map(|(accepted, n)| accepted as f64 / n as f64);
    percentiles(shares.collect(), wilson)
}

/// Accepted pairs of photographs of two persons, as far as there are any.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AcceptedBetween {
    /// Number of one person, below that of the other.
    pub person_a: u32,
    /// Number of the other.
    pub person_b: u32,
    /// How many pairs of their photographs are accepted; above 0.
    pub n_pairs: u64,
}

/// Most steps that a bootstrap over pairs of persons may take; a second or two.
const BOOTSTRAP_STEPS_MAX: usize = 1_000_000_000;

/// The 95 % interval of a false-accept rate by the bootstrap over persons: `n_draws` times as many persons as there are
/// are drawn with replacement, and a pair of two persons counts as often as both were drawn (copies of one person make no
/// impostor pairs). `n_photos` holds the photographs of each person. Pairs with a common photograph are not independent,
/// which Wilson's interval supposes; the answer spans both. Fewer draws are made, but no fewer than 200, where `accepted`
/// is so long that they would take minutes. The numbers drawn are the same in every run.
pub fn far_interval_by_person(n_photos: &[u64], accepted: &[AcceptedBetween], n_draws: usize) -> Interval {
    let pairs_among = |weights: &mut dyn Iterator<Item = u64>| {
        let (sum, squares) = weights.fold((0_u64, 0_u64), |(sum, squares), n| (sum + n, squares + n * n));
        (sum * sum - squares) / 2
    };
    let n_accepted: u64 = accepted.iter().map(|pairs| pairs.n_pairs).sum();
    let n_pairs = pairs_among(&mut n_photos.iter().copied());
    let wilson = wilson(n_accepted, n_pairs);
    if n_photos.len() < 2 || n_draws == 0 {
        return wilson;
    }
    let n_draws = n_draws.min((BOOTSTRAP_STEPS_MAX / accepted.len().max(1)).max(200));
    let mut random = SplitMix64(1);
    let mut weights = vec![0_u64; n_photos.len()];
    let mut rates = Vec::with_capacity(n_draws);
    for _ in 0..n_draws {
        weights.fill(0);
        for _ in 0..n_photos.len() {
            weights[(random.next() % n_photos.len() as u64) as usize] += 1;
        }
        let drawn = pairs_among(&mut weights.iter().zip(n_photos).map(|(weight, n)| weight * n));
        let passed: u64 = accepted
            .iter()
            .map(|pairs| weights[pairs.person_a as usize] * weights[pairs.person_b as usize] * pairs.n_pairs)
            .sum();
        if drawn > 0 {
            rates.push(passed as f64 / drawn as f64);
        }
    }
    percentiles(rates, wilson)
}

/// SplitMix64 (Steele, Lea, Flood, 2014): the same numbers in every run.
struct SplitMix64(u64);

impl SplitMix64 {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

/// From the 2.5th to the 97.5th percentile of these shares, widened to span `least` as well.
fn percentiles(mut shares: Vec<f64>, least: Interval) -> Interval {
    if shares.is_empty() {
        return least;
    }
    shares.sort_by(f64::total_cmp);
    let at = |share: f64| shares[((shares.len() - 1) as f64 * share).round() as usize];
    Interval { low: at(0.025).min(least.low), high: at(0.975).max(least.high) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(genuine: &[(f32, u64)], impostor: &[(f32, u64)]) -> PairCounts {
        let mut counts = PairCounts::default();
        for (pairs, same) in [(genuine, true), (impostor, false)] {
            for &(cosine, n) in pairs {
                (0..n).for_each(|_| counts.add(Similarity::new(cosine), same));
            }
        }
        counts
    }

    #[test]
    fn a_rate_is_the_share_above_the_lowest_threshold_that_keeps_it() {
        // 1,000 impostors: 10 at .5, 90 at .3, 900 at 0. Four genuine pairs, at .9, .4, .2 and -.1.
        let counts = counts(&[(0.9, 1), (0.4, 1), (0.2, 1), (-0.1, 1)], &[(0.5, 10), (0.3, 90), (0.0, 900)]);
        assert_eq!((counts.n_genuine(), counts.n_impostor()), (4, 1000));
        let at = counts.at_far(0.01).expect("ten pairs show it");
        assert_eq!((at.n_impostors, at.tar), (10, 0.5));
        assert!((at.cosine - 0.3).abs() < 1e-4, "just above the next impostor: {}", at.cosine);
        let at = counts.at_far(0.1).expect("a hundred pairs show it");
        assert_eq!((at.n_impostors, at.tar), (100, 0.75));
        let at = counts.at_far(0.05).expect("fifty pairs show it");
        assert_eq!((at.n_impostors, at.tar), (10, 0.5), "90 tied pairs would be too many");
    }

    #[test]
    fn a_rate_that_the_sample_cannot_show_is_not_stated() {
        let counts = counts(&[(0.9, 1)], &[(0.0, 1000)]);
        assert_eq!(counts.at_far(0.001), None);
        assert!(counts.at_far(0.01).is_some());
        assert_eq!(self::counts(&[], &[(0.0, 1000)]).at_far(0.1), None);
    }

    #[test]
    fn the_roc_runs_from_nothing_to_all() {
        let roc = counts(&[(0.9, 3), (0.1, 1)], &[(0.2, 1), (-0.2, 1)]).roc();
        let rates = |far, tar| Rates { far, tar };
        assert_eq!(roc, [rates(0.0, 0.0), rates(0.0, 0.75), rates(0.5, 0.75), rates(0.5, 1.0), rates(1.0, 1.0)]);
    }

    #[test]
    fn wilson_agrees_with_its_table() {
        // 8 of 10: 0.4902 to 0.9433; 10 of 10: 0.7225 to 1 (computed by hand from the formula).
        let Interval { low, high } = wilson(8, 10);
        assert!((low - 0.4902).abs() < 1e-4 && (high - 0.9433).abs() < 1e-4, "{low} {high}");
        let Interval { low, high } = wilson(10, 10);
        assert!((low - 0.7225).abs() < 1e-4 && high == 1.0, "{low} {high}");
        assert_eq!(wilson(0, 0), Interval { low: 0.0, high: 1.0 });
    }

    #[test]
    fn pairs_that_fail_together_widen_the_interval() {
        // 90 of 100 pairs accepted; ten people of ten pairs each, one of whom fails altogether.
        let apart = vec![(9, 10); 10];
        let mut together = vec![(10, 10); 9];
        together.push((0, 10));
        let (apart, together) = (interval_by_person(&apart, 2000), interval_by_person(&together, 2000));
        assert_eq!(apart, wilson(90, 100), "nobody differs, so drawing people again tells nothing new");
        assert!(together.low <= 0.71 && together.high == 1.0, "{together:?}");
    }

    #[test]
    fn impostors_that_come_from_few_persons_widen_the_interval_of_a_rate() {
        // 50 persons of two photographs: 1,225 pairs of persons, 4,900 of photographs. 49 accepted pairs, one of each of 49
        // pairs of persons far apart, or all of them with the same person.
        let n_photos = [2_u64; 50];
        let between = |person_a: u32, person_b: u32| AcceptedBetween { person_a, person_b, n_pairs: 1 };
        let apart: Vec<_> = (0..49).map(|idx| between(idx % 7, 8 + (idx * 17) % 42)).collect();
        let one: Vec<_> = (1..50).map(|other| between(0, other)).collect();
        let (apart, one) =
            (far_interval_by_person(&n_photos, &apart, 2000), far_interval_by_person(&n_photos, &one, 2000));
        for interval in [apart, one] {
            assert!(interval.low <= 0.01 && 0.01 <= interval.high, "{interval:?} holds the rate");
        }
        assert!(one.high - one.low > 1.5 * (apart.high - apart.low), "{one:?} {apart:?}");
        assert_eq!(one.low, 0.0, "without that person there is no false accept");
        assert_eq!(far_interval_by_person(&n_photos, &[], 2000).low, 0.0);
        assert!(far_interval_by_person(&n_photos, &[], 2000).high > 5e-4, "none of 4,900 is not never");
        assert_eq!(far_interval_by_person(&[3], &[], 2000), Interval { low: 0.0, high: 1.0 }, "no pair at all");
    }

    #[test]
    fn every_cosine_has_a_bin() {
        assert_eq!((bin_of(-1.0), bin_of(1.0)), (0, N_BINS - 1));
        assert!((lower_end(bin_of(0.3)) - 0.3).abs() < 3e-5);
    }
}
