//! Cosines to the vendor's confidences of 0 to 100 and back.
//!
//! The vendor sends thresholds by false-accept rate with every answer, which have been the same for years and which
//! clients hard-code. So a pack's measured operating points are placed there: whatever pack made the templates, a
//! confidence above 69.101 is reached by one comparison of two strangers in 10,000.

use std::collections::BTreeMap;

use likeness_domain::score::{Calibration, Scale};

/// False-accept rates, how the vendor writes them, and the confidence each is shown as.
const AT_FAR: [(f64, &str, f64); 3] = [(1e-3, "1e-3", 62.327), (1e-4, "1e-4", 69.101), (1e-5, "1e-5", 73.975)];
/// A rate that the vendor gives no threshold for, where a service of the same family has it.
const BEYOND: (f64, f64) = (1e-6, 78.0);
/// Decimals of a confidence.
const DECIMALS: u32 = 3;

/// The scale of a pack with this calibration: similarity -1 is 0 and 1 is 100.
pub(super) fn scale(calibration: &Calibration) -> Scale {
    let [a, b, c] = AT_FAR.map(|(far, _, confidence)| (far, confidence));
    let scale = Scale::by_rates(calibration, &[a, b, c, BEYOND], 100.0).expect("the confidences rise to 100");
    scale.with_decimals(DECIMALS)
}

/// What goes with every confidence.
pub(super) fn thresholds() -> BTreeMap<&'static str, f64> {
    AT_FAR.iter().map(|&(_, far, confidence)| (far, confidence)).collect()
}
