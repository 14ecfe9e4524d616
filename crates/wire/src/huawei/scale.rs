//! Cosines to the vendor's similarities and back.
//!
//! The vendor advises 0.93 as "same person", and clients hard-code it. So a pack's measured operating points are
//! placed on the vendor's scale (same false-accept rate, same verdict, whatever pack made the templates): FAR 1e-4
//! is 0.93. Between the points the scale is linear.

use likeness_domain::score::Calibration;
use likeness_domain::types::Similarity;

/// False-accept rates and the vendor similarity each is shown as.
const AT_FAR: [(f64, f64); 5] = [(1e-2, 0.80), (1e-3, 0.88), (1e-4, 0.93), (1e-5, 0.955), (1e-6, 0.97)];
/// What cosine 0, two unrelated faces, is shown as.
const AT_ZERO: f64 = 0.30;
/// Two very good photographs of one person are shown as this much; it lies this share of the way from the FAR 1e-6
/// point to identity (for the default pack: cosine 0.666).
const VERY_SURE: (f64, f64) = (0.99, (0.666 - 0.5125) / (1.0 - 0.5125));
/// Decimals of a printed similarity.
const DECIMALS: f64 = 1e6;

/// The scale of one pack: knots from (-1, 0) to (1, 1), both coordinates rising.
#[derive(Debug, Clone)]
pub(super) struct Scale(Vec<(f64, f64)>);

impl Scale {
    /// The scale of a pack with this calibration.
    pub(super) fn new(calibration: &Calibration) -> Self {
        let measured = AT_FAR.map(|(far, shown)| (f64::from(calibration.similarity_at(far).get()), shown));
        let surest = measured[AT_FAR.len() - 1].0;
        let upper = (surest + VERY_SURE.1 * (1.0 - surest), VERY_SURE.0);
        let mut knots = vec![(-1.0, 0.0)];
        // A pack whose impostors score below zero has no use for the knot at zero, and points extrapolated beyond 1
        // cannot be told apart; whatever would not rise is left out.
        let zero = (measured[0].0 > 0.0).then_some((0.0, AT_ZERO));
        for knot in zero.into_iter().chain(measured).chain([upper]) {
            if knots[knots.len() - 1].0 < knot.0 && knot.0 < 1.0 {
                knots.push(knot);
            }
        }
        knots.push((1.0, 1.0));
        Self(knots)
    }

    /// What a cosine is shown as: 0 to 1, six decimals.
    pub(super) fn shown(&self, similarity: Similarity) -> f64 {
        let cosine = f64::from(similarity.get());
        let upper = self.0.iter().position(|knot| cosine <= knot.0).unwrap_or(self.0.len() - 1).max(1);
        let (a, b) = (self.0[upper - 1], self.0[upper]);
        let shown = a.1 + (cosine - a.0) / (b.0 - a.0) * (b.1 - a.1);
        (shown * DECIMALS).round() / DECIMALS
    }

    /// A cosine low enough that nothing shown as `threshold` or more lies below it. Rounding makes it keep a little
    /// too much, so the shown numbers have the last word.
    pub(super) fn cosine_for(&self, threshold: f64) -> Similarity {
        let wanted = threshold - 1.0 / DECIMALS;
        if wanted <= 0.0 {
            return Similarity::MIN;
        }
        let upper = self.0.iter().position(|knot| wanted <= knot.1).unwrap_or(self.0.len() - 1).max(1);
        let (a, b) = (self.0[upper - 1], self.0[upper]);
        let cosine = a.0 + (wanted - a.1) / (b.1 - a.1) * (b.0 - a.0);
        Similarity::new((cosine as f32).next_down())
    }
}
