//! The last stage, needing no image: what a similarity means.

mod scale;
pub mod verification;

pub use scale::Scale;
pub use verification::Interval;

use crate::types::Similarity;

/// The false-accept rate of a comparison where nobody says which: one comparison of two strangers in ten thousand. Where
/// it was not measured nothing else takes its place ([`Calibration::far_default`]).
pub const FAR_USUAL: f64 = 1e-4;

/// A false-accept rate together with the similarity it was measured at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// Share of impostor comparisons at or above the similarity, 0 to 1, exclusive.
    pub far: f64,
    /// The threshold.
    pub similarity: Similarity,
    /// 95 % interval of `far` at this similarity, which holds it; `None` where nobody has worked it out.
    pub far_interval: Option<Interval>,
    /// Share of genuine comparisons at or above the similarity, 0 to 1; `None` where it was not measured.
    pub tar: Option<f64>,
    /// 95 % interval of `tar`, which holds it; `None` where nobody has worked it out.
    pub tar_interval: Option<Interval>,
}

impl OperatingPoint {
    /// A point of which nothing else is known.
    pub fn new(far: f64, similarity: Similarity) -> Self {
        Self { far, similarity, far_interval: None, tar: None, tar_interval: None }
    }
}

/// How a stated rate relates to the true one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Bound {
    /// It lies between measured points.
    Measured,
    /// The similarity is above every measured one, where the rate is that of the highest and the true one is lower; or it is
    /// that of several comparisons ([`FalseAcceptRate::of_any`]).
    AtMost,
    /// The similarity is below every measured one: the rate is that of the lowest, and the true one is higher.
    AtLeast,
}

/// The false-accept rate that a similarity stands for: the share of comparisons between two strangers that come out at
/// least so similar. It is a rate per comparison: a search compares with every face of its gallery.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseAcceptRate {
    /// The rate, above 0 and at most 1.
    pub rate: f64,
    /// 95 % interval of the rate, if the pack states those of its points. Beyond the measured points it is open: from 0,
    /// or up to 1.
    pub interval: Option<Interval>,
    /// How the rate relates to the true one.
    pub bound: Bound,
}

impl FalseAcceptRate {
    /// The rate at which any of `n` comparisons comes out at least so similar, of one stranger with the `n` faces of a
    /// person: at most `n` times the rate of one. How far below depends on how alike these faces are, which nobody has
    /// measured, so it is a bound; its interval begins with that of one comparison.
    #[must_use]
    pub fn of_any(self, n: u64) -> Self {
        if n <= 1 || self.bound == Bound::AtLeast {
            return self;
        }
        let at_most = |rate: f64| (rate * n as f64).min(1.0);
        let interval = self.interval.map(|Interval { low, high }| Interval { low, high: at_most(high) });
        Self { rate: at_most(self.rate), interval, bound: Bound::AtMost }
    }

    /// How many of `n_faces` strangers are expected to be at least so similar, with the 95 % interval of that number:
    /// rate times comparisons. The probability that there is any is never above it, and close to it while it is small.
    pub fn false_matches(&self, n_faces: u64) -> FalseMatches {
        let n = n_faces as f64;
        FalseMatches {
            expected: self.rate * n,
            interval: self.interval.map(|Interval { low, high }| Interval { low: low * n, high: high * n }),
        }
    }
}

/// How many strangers of a gallery are expected to be found.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FalseMatches {
    /// The expected number, 0 or more; a bound where the rate behind it is one.
    pub expected: f64,
    /// Its 95 % interval, if that of the rate is known.
    pub interval: Option<Interval>,
}

/// How a pack's similarities relate to false-accept rates, as measured on a named set.
///
/// # Invariants
/// At least two points, FAR strictly falling, similarity strictly rising; an interval holds its rate, and the ends of
/// those of FAR do not rise from point to point. A default that was chosen is a measured rate.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration {
    points: Vec<OperatingPoint>,
    /// The rate that somebody has chosen for verdicts for which nobody says which.
    far_chosen: Option<f64>,
    /// Points of another measurement, which bound the similarities of rates below the smallest one; perhaps none.
    floor: Vec<OperatingPoint>,
}

impl Calibration {
    /// Sorts the points by FAR, largest first; `None` if there are fewer than two, a FAR or a true-accept rate is not
    /// between 0 and 1, a lower FAR does not have a higher similarity, or an interval does not fit (see the invariants).
    pub fn new(mut points: Vec<OperatingPoint>) -> Option<Self> {
        points.sort_by(|a, b| b.far.total_cmp(&a.far));
        let in_range = points.iter().all(|point| 0.0 < point.far && point.far < 1.0);
        let rising = points.windows(2).all(|pair| pair[0].far > pair[1].far && pair[0].similarity < pair[1].similarity);
        let fitting = points.iter().all(|point| {
            let holds = |interval: Interval| {
                0.0 <= interval.low && interval.low <= point.far && point.far <= interval.high && interval.high <= 1.0
            };
            let holds_tar = |Interval { low, high }: Interval| {
                point.tar.is_some_and(|tar| 0.0 <= low && low <= tar && tar <= high && high <= 1.0)
            };
            point.far_interval.is_none_or(holds)
                && point.tar.is_none_or(|tar| (0.0..=1.0).contains(&tar))
                && point.tar_interval.is_none_or(holds_tar)
        });
        let intervals: Vec<Interval> = points.iter().filter_map(|point| point.far_interval).collect();
        let falling = intervals.windows(2).all(|pair| pair[0].low >= pair[1].low && pair[0].high >= pair[1].high);
        let fits = points.len() >= 2 && in_range && rising && fitting && falling;
        fits.then_some(Self { points, far_chosen: None, floor: Vec::new() })
    }

    /// The same with this rate where nobody says which; `None` if it is not within the measured range.
    pub fn with_far_default(self, far: f64) -> Option<Self> {
        let (least, most) = self.far_range();
        (least..=most).contains(&far).then_some(Self { far_chosen: Some(far), ..self })
    }

    /// The same, but the similarity of a rate below the smallest measured one is never lower than `other` has it: what a
    /// small sample seems to say of rates that it cannot show makes no verdict looser.
    #[must_use]
    pub fn not_below(self, other: &Calibration) -> Self {
        Self { floor: other.points.clone(), ..self }
    }

    /// The measured points, largest FAR first.
    pub fn points(&self) -> &[OperatingPoint] {
        &self.points
    }

    /// The threshold for a false-accept rate: linear in log10(FAR) between measured points, extended from the outer
    /// pair beyond them, below the smallest rate no lower than [`Calibration::not_below`] says. `far` is clamped into
    /// 1e-12 to 1.
    pub fn similarity_at(&self, far: f64) -> Similarity {
        let log = far.clamp(1e-12, 1.0).log10();
        let found = on_lines(&self.points, log);
        let is_beyond = log < self.far_range().0.log10() && !self.floor.is_empty();
        Similarity::new(if is_beyond { found.max(on_lines(&self.floor, log)) } else { found } as f32)
    }

    /// The smallest and the largest rate that were measured.
    pub fn far_range(&self) -> (f64, f64) {
        (self.points[self.points.len() - 1].far, self.points[0].far)
    }

    /// The rates below the smallest measured one at which [`Calibration::not_below`] bounds the similarity; mostly none.
    pub fn fars_beyond(&self) -> impl Iterator<Item = f64> + '_ {
        let (least, _) = self.far_range();
        self.floor.iter().map(|point| point.far).filter(move |&far| far < least)
    }

    /// The default that somebody has chosen, if any.
    pub fn far_chosen(&self) -> Option<f64> {
        self.far_chosen
    }

    /// The rate of a verdict for which nobody says which: the one that was chosen ([`Calibration::with_far_default`]), or
    /// [`FAR_USUAL`] where that was measured; `None` where it was not.
    pub fn far_default(&self) -> Option<f64> {
        let (least, most) = self.far_range();
        self.far_chosen.or((least..=most).contains(&FAR_USUAL).then_some(FAR_USUAL))
    }

    /// The false-accept rate that a similarity stands for: between measured points the inverse of
    /// [`Calibration::similarity_at`], beyond them the outer point's rate as a bound, since nobody has seen what lies
    /// there.
    pub fn false_accept_rate(&self, similarity: Similarity) -> FalseAcceptRate {
        let (first, last) = (&self.points[0], &self.points[self.points.len() - 1]);
        if similarity > last.similarity {
            let interval = last.far_interval.map(|interval| Interval { low: 0.0, high: interval.high });
            return FalseAcceptRate { rate: last.far, interval, bound: Bound::AtMost };
        }
        if similarity < first.similarity {
            let interval = first.far_interval.map(|interval| Interval { low: interval.low, high: 1.0 });
            return FalseAcceptRate { rate: first.far, interval, bound: Bound::AtLeast };
        }
        let segment =
            self.points[1..].iter().position(|point| similarity <= point.similarity).unwrap_or(self.points.len() - 2);
        let (a, b) = (&self.points[segment], &self.points[segment + 1]);
        let (low, high) = (f64::from(a.similarity.get()), f64::from(b.similarity.get()));
        let share = (f64::from(similarity.get()) - low) / (high - low);
        // At the points themselves the logarithm would miss the rate by its last bits.
        let between = |at_a: f64, at_b: f64| match share {
            0.0 => at_a,
            1.0 => at_b,
            _ if at_b == 0.0 => 0.0,
            _ => 10f64.powf(at_a.log10() + share * (at_b.log10() - at_a.log10())),
        };
        let interval = a.far_interval.zip(b.far_interval);
        FalseAcceptRate {
            rate: between(a.far, b.far),
            interval: interval.map(|(a, b)| Interval { low: between(a.low, b.low), high: between(a.high, b.high) }),
            bound: Bound::Measured,
        }
    }

    /// The true-accept rate at a similarity: the share of comparisons of one person that come out at least so similar,
    /// linear between measured points. `None` beyond them, and where the points around it state none.
    pub fn tar_at(&self, similarity: Similarity) -> Option<f64> {
        self.linear_at(similarity, |point| point.tar)
    }

    /// The 95 % interval of [`Calibration::tar_at`], likewise.
    pub fn tar_interval_at(&self, similarity: Similarity) -> Option<Interval> {
        let low = self.linear_at(similarity, |point| point.tar_interval.map(|interval| interval.low))?;
        let high = self.linear_at(similarity, |point| point.tar_interval.map(|interval| interval.high))?;
        Some(Interval { low, high })
    }

    fn linear_at(&self, similarity: Similarity, of: impl Fn(&OperatingPoint) -> Option<f64>) -> Option<f64> {
        if similarity < self.points[0].similarity || similarity > self.points[self.points.len() - 1].similarity {
            return None;
        }
        let segment = self.points[1..].iter().position(|point| similarity <= point.similarity)?;
        let (a, b) = (&self.points[segment], &self.points[segment + 1]);
        let (low, high) = (f64::from(a.similarity.get()), f64::from(b.similarity.get()));
        let share = (f64::from(similarity.get()) - low) / (high - low);
        let (at_a, at_b) = (of(a)?, of(b)?);
        Some(at_a + share * (at_b - at_a))
    }
}

/// The similarity at a rate whose log10 is given, on the lines through two points or more.
fn on_lines(points: &[OperatingPoint], log: f64) -> f64 {
    let last = points.len() - 2;
    let segment = points.windows(2).position(|pair| log >= pair[1].far.log10()).unwrap_or(last).min(last);
    let (a, b) = (&points[segment], &points[segment + 1]);
    let share = (log - a.far.log10()) / (b.far.log10() - a.far.log10());
    let (low, high) = (f64::from(a.similarity.get()), f64::from(b.similarity.get()));
    low + share * (high - low)
}

#[cfg(test)]
mod tests;
