//! From similarities to the numbers a dialect prints, and back.

use super::Calibration;
use crate::types::Similarity;

/// A rising, piecewise linear map from similarities to numbers, with its exact inverse for thresholds.
///
/// # Invariants
/// At least two knots; similarities and numbers strictly rising; the first knot at -1, the last at 1. `to_number` never
/// falls when the similarity rises.
#[derive(Debug, Clone, PartialEq)]
pub struct Scale {
    knots: Vec<(Similarity, f64)>,
    /// Ten to the number of decimals that are printed, if they are bounded.
    steps_per_one: Option<f64>,
}

impl Scale {
    /// A scale through these (similarity, number) knots; `None` if they break the invariants or a number is not
    /// finite.
    pub fn new(knots: Vec<(Similarity, f64)>) -> Option<Self> {
        let rising = knots.windows(2).all(|pair| pair[0].0 < pair[1].0 && pair[0].1 < pair[1].1);
        let finite = knots.iter().all(|(_, number)| number.is_finite());
        let whole = knots.first()?.0 == Similarity::MIN && knots.last()?.0 == Similarity::MAX;
        (rising && finite && whole).then_some(Self { knots, steps_per_one: None })
    }

    /// A scale from 0 at similarity -1 to `top` at 1 on which the similarity measured at each false-accept rate has the
    /// number given for it (rising, between 0 and `top`): same rate, same verdict, whatever pack made the templates.
    pub fn by_rates(calibration: &Calibration, numbers_at: &[(f64, f64)], top: f64) -> Option<Self> {
        Self::rising(Self::knots(calibration, None, numbers_at), top)
    }

    /// The knots of such a scale: the number of cosine 0, which two unrelated faces have, if it is to have one, and those
    /// of false-accept rates. A pack whose impostors mostly score below zero has no use for a knot at zero.
    pub fn knots(calibration: &Calibration, at_zero: Option<f64>, numbers_at: &[(f64, f64)]) -> Vec<(Similarity, f64)> {
        let measured = numbers_at.iter().map(|&(far, number)| (calibration.similarity_at(far), number));
        let zero = at_zero.map(|number| (Similarity::new(0.0), number));
        let first = measured.clone().next();
        let zero = zero.filter(|zero| first.is_none_or(|first| zero.0 < first.0));
        zero.into_iter().chain(measured).collect()
    }

    /// A scale from 0 at similarity -1 to `top` at 1 through these knots, whose numbers rise between 0 and `top`. Points
    /// extrapolated beyond 1 cannot be told apart: a knot that is not above the one before it and below 1 is left out.
    pub fn rising(knots: impl IntoIterator<Item = (Similarity, f64)>, top: f64) -> Option<Self> {
        let mut rising = vec![(Similarity::MIN, 0.0)];
        for knot in knots {
            if rising[rising.len() - 1].0 < knot.0 && knot.0 < Similarity::MAX {
                rising.push(knot);
            }
        }
        rising.push((Similarity::MAX, top));
        Self::new(rising)
    }

    /// The same scale with its numbers rounded to so many decimals (at most 9), half away from zero. Rounding here and
    /// not when printing keeps thresholds true to what is printed.
    #[must_use]
    pub fn with_decimals(mut self, n_decimals: u32) -> Self {
        self.steps_per_one = Some(10f64.powi(n_decimals.min(9) as i32));
        self
    }

    /// The number for a similarity; at a knot, exactly the knot's number (as rounded).
    pub fn to_number(&self, similarity: Similarity) -> f64 {
        let last = self.knots.len() - 2;
        let segment = self.knots[1..].iter().position(|knot| similarity <= knot.0).unwrap_or(last);
        let ((low_at, low), (high_at, high)) = (self.knots[segment], self.knots[segment + 1]);
        let cosine = |similarity: Similarity| f64::from(similarity.get());
        let share = (cosine(similarity) - cosine(low_at)) / (cosine(high_at) - cosine(low_at));
        // At the upper knot the sum may miss the knot's number by its last bit.
        let number = if similarity == high_at { high } else { (low + share * (high - low)).clamp(low, high) };
        self.steps_per_one.map_or(number, |steps| (number * steps).round() / steps)
    }

    /// The threshold for a number: the least similarity whose number is not below `number`. So
    /// `similarity >= to_similarity(number)` if and only if `to_number(similarity) >= number`, and no candidate is left
    /// out (or let in) against what is printed beside it.
    ///
    /// Beyond the scale's ends it is [`Similarity::MIN`] and, although nothing reaches such a number, or NaN,
    /// [`Similarity::MAX`].
    pub fn to_similarity(&self, number: f64) -> Similarity {
        let reaches = |similarity: Similarity| self.to_number(similarity) >= number;
        if reaches(Similarity::MIN) {
            return Similarity::MIN;
        }
        // By halves through all f32 from -1 to 1 in their order, of which there are fewer than 2^32.
        let (mut below, mut reached) = (rank(-1.0), rank(1.0));
        while reached - below > 1 {
            let middle = below + (reached - below) / 2;
            if reaches(Similarity::new(at_rank(middle))) { reached = middle } else { below = middle }
        }
        Similarity::new(at_rank(reached))
    }
}

/// Place of a number among all f32: neighbours differ by 1, and both zeros have 0.
fn rank(number: f32) -> i64 {
    let size = i64::from(number.abs().to_bits());
    if number < 0.0 { -size } else { size }
}

/// The f32 at a place.
fn at_rank(rank: i64) -> f32 {
    let size = f32::from_bits(rank.unsigned_abs() as u32);
    if rank < 0 { -size } else { size }
}
