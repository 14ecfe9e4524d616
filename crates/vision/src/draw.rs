//! A photograph with what was found drawn on it, for people who want to see.

use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use likeness_domain::ports::{Analysis, AnalyzedFace, ImageRules};
use likeness_domain::{Error, Result};

use crate::decode::decode;
use crate::raster::RgbImage;

mod font;

#[cfg(test)]
mod tests;

const BOX_COLOR: [u8; 3] = [0, 220, 90];
const POINT_COLOR: [u8; 3] = [255, 60, 60];
const LANDMARK_COLOR: [u8; 3] = [70, 200, 255];
const TEXT_COLOR: [u8; 3] = [0, 0, 0];

/// Decodes `image` and gives it back as PNG with a box, five points and the score for every face of `analysis`, which
/// must come from the same image; with 68 points and words below the box as far as these were measured. The score's
/// ground is as wide as needed, above the box or, at the top edge, inside.
pub fn annotate(image: &[u8], rules: &ImageRules, analysis: &Analysis) -> Result<Vec<u8>> {
    let mut picture = decode(image, rules)?;
    if (picture.width(), picture.height()) != (analysis.image_width, analysis.image_height) {
        return Err(Error::invalid("analysis", "`analysis` is of an image with other sides"));
    }
    // Lines and words that are legible on a poster and do not cover a thumbnail.
    let unit = i64::from((picture.width().max(picture.height()) + 300) / 400).max(1);
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
    for point in face.assessment.landmarks.iter().flat_map(|landmarks| landmarks.0.iter()) {
        fill(picture, point.x.round() as i64, point.y.round() as i64, unit, unit, LANDMARK_COLOR);
    }
    for point in face.detection.landmarks.0 {
        let (x, y) = (point.x.round() as i64, point.y.round() as i64);
        fill(picture, x.saturating_sub(unit), y.saturating_sub(unit), 2 * unit + 1, 2 * unit + 1, POINT_COLOR);
    }
    let text_top = if top >= LINE_UNITS * unit { top - LINE_UNITS * unit } else { top };
    draw_text(picture, left, text_top, &format!("{:.2}", face.detection.score), unit);
    let words = words(face);
    // Below the box if there is room for all of it, else at the lower edge of the picture, over the face if need be.
    let height_needed = LINE_UNITS * unit * words.len() as i64;
    let words_top = (top + height).min(i64::from(picture.height()) - height_needed).max(0);
    for (line_idx, line) in (0..).zip(&words) {
        draw_text(picture, left, words_top + line_idx * LINE_UNITS * unit, line, unit);
    }
}

/// What was measured of a face, in lines of words.
fn words(face: &AnalyzedFace) -> Vec<String> {
    let found = &face.assessment;
    let age = found.age.map(|age| format!("age {age:.0}"));
    let gender = found.gender.map(|gender| {
        let (word, probability) =
            if gender.male >= 0.5 { ("male", gender.male) } else { ("female", 1.0 - gender.male) };
        format!("{word} {probability:.2}")
    });
    let expression = found.expression.map(|expressions| {
        let (strongest, probability) = expressions.strongest();
        format!("{} {probability:.2}", strongest.word())
    });
    let pose = found.pose.map(|pose| format!("yaw {:.0} pitch {:.0} roll {:.0}", pose.yaw, pose.pitch, pose.roll));
    let quality = face.quality.total.map(|total| format!("quality {total:.2}"));
    let liveness = found.liveness.map(|liveness| format!("live {liveness:.2}"));
    let person: Vec<String> = age.into_iter().chain(gender).collect();
    let person = (!person.is_empty()).then(|| person.join(" "));
    person.into_iter().chain(expression).chain(pose).chain(quality).chain(liveness).collect()
}

/// Height of a line of text: letters of five dots with a margin.
const LINE_UNITS: i64 = 7;

/// One line on a ground of its own. One glyph cell is 4 x 7 units: a letter of 3 x 5 with a margin.
fn draw_text(picture: &mut RgbImage, left: i64, top: i64, text: &str, unit: i64) {
    fill(picture, left, top, (4 * text.len() as i64 + 1) * unit, LINE_UNITS * unit, BOX_COLOR);
    for (place, letter) in (0..).zip(text.bytes()) {
        draw_glyph(picture, left + (4 * place + 1) * unit, top + unit, letter, unit);
    }
}

fn draw_glyph(picture: &mut RgbImage, left: i64, top: i64, letter: u8, unit: i64) {
    for (y, row) in (0..).zip(font::rows(letter)) {
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
