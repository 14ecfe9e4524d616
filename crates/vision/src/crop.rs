//! A stretch of a picture at another size: what nets see that take a face as it is, not aligned by its landmarks.

use likeness_domain::types::{BoundingBox, QuarterTurn};

use crate::raster::{Coverage, ExifOrientation, RgbImage, resample};

#[cfg(test)]
mod tests;

/// A stretch in whole pixels; may reach beyond the picture, where it is black.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// Left edge.
    pub left: i64,
    /// Top edge.
    pub top: i64,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

/// How pixels are found between pixels.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// The mean over a triangle as wide as a new pixel, and at least two old ones: fine patterns become grey.
    Smooth,
    /// Between the four nearest old pixels however many a new one covers, as nets were trained with that look at the
    /// grain of a picture.
    Direct,
}

impl Stretch {
    /// The square about the centre of a box whose side is `scale` times the box's longer side.
    pub fn square(bounding_box: &BoundingBox, scale: f64) -> Self {
        let longer = bounding_box.width.max(bounding_box.height);
        let side = (f64::from(longer) * scale).round().clamp(1.0, f64::from(SIDE_MAX));
        let start = |start: u32, size: u32| (f64::from(start) + (f64::from(size) - side) / 2.0).round() as i64;
        let BoundingBox { left, top, width, height } = *bounding_box;
        Self { left: start(left, width), top: start(top, height), width: side as u32, height: side as u32 }
    }

    /// The box scaled about its centre and kept inside a picture of these sides: by as much as fits between its edges,
    /// and moved where it would reach beyond one.
    pub fn inside(bounding_box: &BoundingBox, scale: f64, image_width: u32, image_height: u32) -> Self {
        let BoundingBox { left, top, width, height } = *bounding_box;
        let (width, height) = (f64::from(width), f64::from(height));
        let (right_max, bottom_max) = (f64::from(image_width) - 1.0, f64::from(image_height) - 1.0);
        let scale = scale.min(bottom_max / height).min(right_max / width);
        let span = |start: u32, size: f64, end_max: f64| {
            let half = size * scale / 2.0;
            let centre = f64::from(start) + size / 2.0;
            // Moved inside at the near edge first, then at the far one, as the reference does.
            let (start, end) = (centre - half, centre + half);
            let (start, end) = if start < 0.0 { (0.0, end - start) } else { (start, end) };
            let (start, end) = if end > end_max { (start - (end - end_max), end_max) } else { (start, end) };
            let first = start.max(0.0) as u32;
            (i64::from(first), (end.max(0.0) as u32).saturating_sub(first) + 1)
        };
        let ((left, width), (top, height)) = (span(left, width, right_max), span(top, height, bottom_max));
        Self { left, top, width, height }
    }
}

/// Longest side of a stretch: eight times that of the largest box, so positions and sums are far from overflow.
const SIDE_MAX: u32 = 1 << 20;

/// The stretch as a square picture of `side` pixels.
pub fn resampled(image: &RgbImage, stretch: Stretch, side: u32, sampling: Sampling) -> RgbImage {
    let columns = taps(stretch.left, stretch.width, image.width(), side, sampling);
    let rows = taps(stretch.top, stretch.height, image.height(), side, sampling);
    let data = resample(image.data(), image.width() as usize, &columns, &rows);
    RgbImage::new(side, side, data).expect("as many bytes as the crop has")
}

/// The picture of a face that lies or stands on its head, set upright.
pub fn upright(crop: RgbImage, turn: QuarterTurn) -> RgbImage {
    crop.oriented(match turn {
        QuarterTurn::None => ExifOrientation::UPRIGHT,
        QuarterTurn::Quarter => ExifOrientation::TURN_270,
        QuarterTurn::Half => ExifOrientation::TURN_180,
        QuarterTurn::ThreeQuarters => ExifOrientation::TURN_90,
    })
}

/// Where a place of an upright crop (0 to 1 across and down) was before [`upright`].
pub fn turned_back(x: f32, y: f32, turn: QuarterTurn) -> (f32, f32) {
    match turn {
        QuarterTurn::None => (x, y),
        QuarterTurn::Quarter => (1.0 - y, x),
        QuarterTurn::Half => (1.0 - x, 1.0 - y),
        QuarterTurn::ThreeQuarters => (y, 1.0 - x),
    }
}

/// The pixels of the picture that each new one is made of, in one direction. What lies outside is left out: it is black.
fn taps(start: i64, len: u32, image_len: u32, side: u32, sampling: Sampling) -> Vec<Coverage> {
    let scale = f64::from(len) / f64::from(side);
    let reach = match sampling {
        Sampling::Smooth => scale.max(1.0),
        Sampling::Direct => 1.0,
    };
    let tap = |new_idx: u32| {
        // In the stretch, where whole numbers are edges and pixel centres lie half a pixel further.
        let centre = (f64::from(new_idx) + 0.5) * scale;
        let (first, last) = match sampling {
            Sampling::Smooth => {
                (((centre - reach).round() as i64).max(0), ((centre + reach).round() as i64).min(i64::from(len)))
            }
            Sampling::Direct => ((centre - 0.5).floor() as i64, (centre - 0.5).floor() as i64 + 2),
        };
        let weight = |idx: i64| (1.0 - ((idx as f64 + 0.5 - centre) / reach).abs()).max(0.0);
        let total: f64 = (first..last).map(weight).sum();
        // A pixel beyond the stretch's own edge repeats the one at the edge.
        let mut weights = vec![];
        let mut first_inside = 0;
        for idx in first..last {
            let inside = start + idx.clamp(0, i64::from(len) - 1);
            if !(0..i64::from(image_len)).contains(&inside) {
                continue;
            }
            let inside = inside as usize;
            let share = (weight(idx) / total) as f32;
            if weights.is_empty() {
                first_inside = inside;
            }
            match weights.get_mut(inside - first_inside) {
                Some(present) => *present += share,
                None => weights.push(share),
            }
        }
        Coverage { first: first_inside, weights }
    };
    (0..side).map(tap).collect()
}
