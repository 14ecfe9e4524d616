//! Similarities to the vendor's rates, 0 to 100.
//!
//! Which rates the service prints is not documented; the specification asks for 80 as a sensible "same person". So a
//! pack's measured operating points are placed on the scale (same false-accept rate, same verdict, whatever pack made
//! the templates): FAR 1e-4 is 80. Between the points the scale is linear.

use likeness_domain::score::{Calibration, Scale};

/// False-accept rates and the rate each is shown as.
pub(super) const AT_FAR: [(f64, f64); 5] = [(1e-2, 60.0), (1e-3, 70.0), (1e-4, 80.0), (1e-5, 86.0), (1e-6, 91.0)];
/// What cosine 0, two unrelated faces, is shown as.
const AT_ZERO: f64 = 20.0;

/// The scale of a pack with this calibration: similarity -1 is 0 and 1 is 100, two decimals.
pub(super) fn scale(calibration: &Calibration) -> Scale {
    let knots = Scale::knots(calibration, Some(AT_ZERO), &AT_FAR);
    Scale::rising(knots, 100.0).expect("the rates rise to 100").with_decimals(2)
}
