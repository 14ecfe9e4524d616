//! Cosines to the vendor's similarities and back.
//!
//! The vendor advises 0.93 as "same person", and clients hard-code it. So a pack's measured operating points are
//! placed on the vendor's scale (same false-accept rate, same verdict, whatever pack made the templates): FAR 1e-4
//! is 0.93. Between the points the scale is linear.

use likeness_domain::score::{Calibration, Scale};
use likeness_domain::types::Similarity;

/// False-accept rates and the vendor similarity each is shown as.
const AT_FAR: [(f64, f64); 5] = [(1e-2, 0.80), (1e-3, 0.88), (1e-4, 0.93), (1e-5, 0.955), (1e-6, 0.97)];
/// What cosine 0, two unrelated faces, is shown as.
const AT_ZERO: f64 = 0.30;
/// Two very good photographs of one person are shown as this much; it lies this share of the way from the FAR 1e-6
/// point to identity (for the default pack: cosine 0.666).
const VERY_SURE: (f64, f64) = (0.99, (0.666 - 0.5125) / (1.0 - 0.5125));
/// Decimals of a shown similarity.
const DECIMALS: u32 = 6;

/// The scale of a pack with this calibration: similarity -1 is 0 and 1 is 1.
pub(super) fn scale(calibration: &Calibration) -> Scale {
    let mut knots = Scale::knots(calibration, Some(AT_ZERO), &AT_FAR);
    let surest = f64::from(calibration.similarity_at(AT_FAR[AT_FAR.len() - 1].0).get());
    knots.push((Similarity::new((surest + VERY_SURE.1 * (1.0 - surest)) as f32), VERY_SURE.0));
    Scale::rising(knots, 1.0).expect("the numbers rise to 1").with_decimals(DECIMALS)
}

#[cfg(test)]
mod tests;
