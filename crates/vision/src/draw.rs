//! A photograph with what was found drawn on it, for people who want to see.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use likeness_domain::ports::{Analysis, AnalyzedFace, ImageRules};
use likeness_domain::{Error, Result};

use crate::decode::decode;
use crate::raster::RgbImage;

#[cfg(test)]
mod tests;

const BOX_COLOR: [u8; 3] = [0, 220, 90];
const POINT_COLOR: [u8; 3] = [255, 60, 60];
const TEXT_COLOR: [u8; 3] = [0, 0, 0];

/// Decodes `image` and gives it back as PNG with a box, five points and the score for every face of `analysis`, which
/// must come from the same image. The score's ground is as wide as needed, above the box or, at the top edge, inside.
pub fn annotate(image: &[u8], rules: &ImageRules, analysis: &Analysis) -> Result<Vec<u8>> {
    let mut picture = decode(image, rules)?;
    if (picture.width(), picture.height()) != (analysis.image_width, analysis.image_height) {
        return Err(Error::invalid("analysis", "`analysis` is of an image with other sides"));
    }
    // Lines that are visible on a poster and do not cover a thumbnail.
    let unit = i64::from(picture.width().max(picture.height()) / 500).max(1);
    for face in &analysis.faces {
        draw_face(&mut picture, face, unit);
    }
    let mut png = Vec::new();
    PngEncoder::new(&mut png)
        .write_image(picture.data(), picture.width(), picture.height(), ExtendedColorType::Rgb8)
        .map_err(|err| Error::internal("cannot write a PNG image", err))?;
    Ok(png)
}

fn draw_face(picture: &mut RgbImage, face: &AnalyzedFace, unit: i64) {
    let bounding_box = face.detection.bounding_box;
    let (left, top) = (i64::from(bounding_box.left), i64::from(bounding_box.top));
    let (width, height) = (i64::from(bounding_box.width), i64::from(bounding_box.height));
    fill(picture, left, top, width, unit, BOX_COLOR);
    fill(picture, left, top + height - unit, width, unit, BOX_COLOR);
    fill(picture, left, top, unit, height, BOX_COLOR);
    fill(picture, left + width - unit, top, unit, height, BOX_COLOR);
    for point in face.detection.landmarks.0 {
        let (x, y) = (point.x.round() as i64, point.y.round() as i64);
        fill(picture, x.saturating_sub(unit), y.saturating_sub(unit), 2 * unit + 1, 2 * unit + 1, POINT_COLOR);
    }
    let text = format!("{:.2}", face.detection.score);
    // One glyph cell is 4 x 7 units: a digit of 3 x 5 with a margin.
    let text_height = 7 * unit;
    let text_top = if top >= text_height { top - text_height } else { top };
    fill(picture, left, text_top, (4 * text.len() as i64 + 1) * unit, text_height, BOX_COLOR);
    for (place, glyph) in text.bytes().enumerate() {
        draw_glyph(picture, left + (4 * place as i64 + 1) * unit, text_top + unit, glyph, unit);
    }
}

fn draw_glyph(picture: &mut RgbImage, left: i64, top: i64, glyph: u8, unit: i64) {
    let rows = match glyph {
        b'0'..=b'9' => DIGITS[usize::from(glyph - b'0')],
        _ => POINT,
    };
    for (y, row) in (0..).zip(rows) {
        for x in 0..3 {
            if row >> (2 - x) & 1 == 1 {
                fill(picture, left + x * unit, top + y * unit, unit, unit, TEXT_COLOR);
            }
        }
    }
}

fn fill(picture: &mut RgbImage, left: i64, top: i64, width: i64, height: i64, color: [u8; 3]) {
    // Landmarks of a broken model may lie anywhere; only what is inside the picture costs time.
    let columns = left.max(0)..left.saturating_add(width).min(i64::from(picture.width()));
    for y in top.max(0)..top.saturating_add(height).min(i64::from(picture.height())) {
        for x in columns.clone() {
            picture.put_pixel(x, y, color);
        }
    }
}

/// Rows of three dots from the top, the leftmost being the highest bit.
const DIGITS: [[u8; 5]; 10] = [
    [0b111, 0b101, 0b101, 0b101, 0b111],
    [0b010, 0b110, 0b010, 0b010, 0b111],
    [0b111, 0b001, 0b111, 0b100, 0b111],
    [0b111, 0b001, 0b111, 0b001, 0b111],
    [0b101, 0b101, 0b111, 0b001, 0b001],
    [0b111, 0b100, 0b111, 0b001, 0b111],
    [0b111, 0b100, 0b111, 0b101, 0b111],
    [0b111, 0b001, 0b010, 0b010, 0b010],
    [0b111, 0b101, 0b111, 0b101, 0b111],
    [0b111, 0b101, 0b111, 0b001, 0b111],
];
const POINT: [u8; 5] = [0, 0, 0, 0, 0b010];
