//! The last stage, needing no image: what a similarity means.

mod scale;
pub mod verification;

pub use scale::Scale;

use crate::types::Similarity;

/// A false-accept rate together with the similarity it was measured at.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperatingPoint {
    /// Share of impostor comparisons at or above the similarity, 0 to 1, exclusive.
    pub far: f64,
    /// The threshold.
    pub similarity: Similarity,
}

/// How a pack's similarities relate to false-accept rates, as measured on a named set.
///
/// # Invariants
/// At least two points, FAR strictly falling, similarity strictly rising.
#[derive(Debug, Clone, PartialEq)]
pub struct Calibration(Vec<OperatingPoint>);

impl Calibration {
    /// Sorts the points by FAR, largest first; `None` if there are fewer than two, a FAR is not between 0 and 1, or
    /// a lower FAR does not have a higher similarity.
    pub fn new(mut points: Vec<OperatingPoint>) -> Option<Self> {
        points.sort_by(|a, b| b.far.total_cmp(&a.far));
        let in_range = points.iter().all(|point| 0.0 < point.far && point.far < 1.0);
        let rising = points.windows(2).all(|pair| pair[0].far > pair[1].far && pair[0].similarity < pair[1].similarity);
        (points.len() >= 2 && in_range && rising).then_some(Self(points))
    }

    /// The measured points, largest FAR first.
    pub fn points(&self) -> &[OperatingPoint] {
        &self.0
    }

    /// The threshold for a false-accept rate: linear in log10(FAR) between measured points, extended from the outer
    /// pair beyond them. `far` is clamped into 1e-12 to 1.
    pub fn similarity_at(&self, far: f64) -> Similarity {
        let log = far.clamp(1e-12, 1.0).log10();
        let last = self.0.len() - 2;
        let segment = self.0.windows(2).position(|pair| log >= pair[1].far.log10()).unwrap_or(last).min(last);
        let (a, b) = (&self.0[segment], &self.0[segment + 1]);
        let share = (log - a.far.log10()) / (b.far.log10() - a.far.log10());
        let (low, high) = (f64::from(a.similarity.get()), f64::from(b.similarity.get()));
        Similarity::new((low + share * (high - low)) as f32)
    }

    /// The false-accept rate that a similarity stands for: the inverse of [`Calibration::similarity_at`], but never
    /// below the smallest measured rate, since nobody has seen what lies there; at most 1.
    pub fn far_at(&self, similarity: Similarity) -> f64 {
        let similarity = f64::from(similarity.get());
        let last = self.0.len() - 2;
        let reaches = |point: &OperatingPoint| similarity <= f64::from(point.similarity.get());
        let segment = self.0[1..].iter().position(reaches).unwrap_or(last);
        let (a, b) = (&self.0[segment], &self.0[segment + 1]);
        let (low, high) = (f64::from(a.similarity.get()), f64::from(b.similarity.get()));
        let share = (similarity - low) / (high - low);
        let log = a.far.log10() + share * (b.far.log10() - a.far.log10());
        10f64.powf(log).clamp(self.0[last + 1].far, 1.0)
    }
}

#[cfg(test)]
mod tests;
