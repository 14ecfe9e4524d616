//! Cosines to the vendor's scores of 0 to 100 and back.
//!
//! The vendor advises thresholds by false-accept rate, and clients hard-code them. So a pack's measured operating
//! points are placed on the vendor's scale: whatever pack made the templates, 80 is reached by one comparison of two strangers in 10,000.

use std::collections::BTreeMap;

use likeness_domain::score::{Calibration, Scale};

use crate::http::json::rounded;

/// False-accept rates, how the vendor writes them, and the score each is shown as.
const AT_FAR: [(f64, &str, f64); 4] =
    [(1e-3, "1e-3", 75.0), (1e-4, "1e-4", 80.0), (1e-5, "1e-5", 85.0), (1e-6, "1e-6", 90.0)];

/// Up to so many faces the vendor's first column of advice holds.
const SMALL_GROUP_MAX: u64 = 100_000;
/// What the second column adds to the first.
const LARGE_GROUP_STEP: u32 = 5;

/// The scale of a pack with this calibration: similarity -1 is 0 and 1 is 100. Its numbers are not rounded, since
/// thresholds are compared with those; see [`shown`].
pub(super) fn scale(calibration: &Calibration) -> Scale {
    Scale::by_rates(calibration, &AT_FAR.map(|(far, _, score)| (far, score)), 100.0).expect("the scores rise to 100")
}

/// A score as it is printed: three decimals.
pub(super) fn shown(score: f64) -> f64 {
    rounded(score, 3)
}

/// Whether a score is above a threshold, both as it is and as it is printed: a client that compares for itself must
/// come to the same verdict.
pub(super) fn passes(score: f64, threshold: Option<f64>) -> bool {
    threshold.is_none_or(|threshold| score > threshold && shown(score) > threshold)
}

/// The vendor's advice for a library of so many faces.
pub(super) fn advice(n_faces: u64) -> BTreeMap<&'static str, u32> {
    let step = if n_faces <= SMALL_GROUP_MAX { 0 } else { LARGE_GROUP_STEP };
    AT_FAR.iter().map(|&(_, far, score)| (far, score as u32 + step)).collect()
}
