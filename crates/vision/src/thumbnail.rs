//! Small pictures of faces for people to look at: upright, with room around the face, as small JPEG files.

use bytes::Bytes;
use jpeg_encoder::{ColorType, Encoder, SamplingFactor};
use likeness_domain::types::Thumbnail;
use likeness_domain::{Error, Result};

use crate::align::Placement;
use crate::pyramid::Pyramid;
use crate::raster::RgbImage;

#[cfg(test)]
mod tests;

/// Side of the recogniser's crop, in which a face from brow to chin fills almost everything.
const CROP_PX: f64 = 112.0;

/// What is shown beyond each edge of that crop, in its pixels: hair, ears and chin.
const MARGIN_PX: f64 = 36.0;

/// By how much more of it is above than below, since the crop ends below the lips and shows no hair.
const RAISED_PX: f64 = 6.0;

/// JPEG qualities, the best first. The first makes 4 to 6 KB of a photograph; noise takes a later one.
const QUALITIES: [u8; 4] = [82, 65, 45, 20];

/// The picture of the face whose crop that placement describes. Beyond the photograph it is black.
pub(crate) fn of(pyramid: &mut Pyramid, placement: Placement) -> Result<Thumbnail> {
    encoded(&pyramid.warp(with_margin(placement), Thumbnail::SIDE_PX))
}

/// The map from the thumbnail to the picture, from that of the crop.
fn with_margin(crop: Placement) -> Placement {
    let scale = (CROP_PX + 2.0 * MARGIN_PX) / f64::from(Thumbnail::SIDE_PX);
    // Pixel centres: the thumbnail's first pixel begins where the margin does.
    let first = 0.5 * scale - 0.5 - MARGIN_PX;
    let (shift_x, shift_y) = crop.source(first, first - RAISED_PX);
    Placement { a: crop.a * scale, b: crop.b * scale, shift_x, shift_y }
}

fn encoded(picture: &RgbImage) -> Result<Thumbnail> {
    let failed = |error| Error::internal("cannot encode a thumbnail", error);
    let side = |side: u32| u16::try_from(side).unwrap_or(u16::MAX);
    let mut file = Vec::new();
    for quality in QUALITIES {
        file.clear();
        let mut encoder = Encoder::new(&mut file, quality);
        encoder.set_sampling_factor(SamplingFactor::F_2_2);
        encoder.set_optimized_huffman_tables(true);
        encoder
            .encode(picture.data(), side(picture.width()), side(picture.height()), ColorType::Rgb)
            .map_err(failed)?;
        if file.len() <= Thumbnail::BYTES_MAX {
            break;
        }
    }
    Thumbnail::new(Bytes::from(file))
}
