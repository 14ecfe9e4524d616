//! What is measured of a face beyond where it is and whom it resembles, when it is asked for.

pub mod pose;
pub mod quality;

use likeness_domain::types::{Aspects, Assessment, Detection, Quality};

use crate::align::Placement;
use crate::raster::RgbImage;

/// What can be measured without a model of its own.
pub const MEASURABLE: Aspects = Aspects::QUALITY.and(Aspects::POSE);

/// Measures of one face what of `aspects` can be measured; nothing asked for costs nothing. `aligned` is the face's crop
/// with the map that made it: without it there is no quality.
pub fn assess(
    picture: &RgbImage,
    detection: &Detection,
    aligned: Option<&(RgbImage, Placement)>,
    aspects: Aspects,
) -> (Quality, Assessment) {
    let needs_pose = !aspects.common(MEASURABLE).is_empty();
    let pose = if needs_pose { pose::of_sparse(&detection.landmarks) } else { None };
    let quality = match aligned {
        Some((crop, placement)) if aspects.contains(Aspects::QUALITY) => {
            quality::measure(picture, crop, placement, detection, pose)
        }
        _ => Quality::default(),
    };
    let pose = pose.filter(|_| aspects.contains(Aspects::POSE));
    (quality, Assessment { pose, ..Assessment::default() })
}
