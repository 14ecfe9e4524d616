//! Five landmarks to the crop an embedder expects.
//!
//! The transform turns, scales and shifts (no shear, no mirror) so that the sum of squared distances between the moved
//! landmarks and the template is smallest: Umeyama, "Least-squares estimation of transformation parameters between two
//! point patterns", 1991. In the plane it has a closed form over complex numbers, used here. Pixels are then taken from
//! the picture by bilinear interpolation, black beyond its edges, as OpenCV's `alignCrop` does.

use likeness_domain::types::{Landmarks, Point};

use crate::pack::AlignTemplate;
use crate::raster::RgbImage;

mod kernel;
pub mod mesh_template;

#[cfg(test)]
mod tests;

/// Where the landmarks belong in a crop of 112 x 112 pixels (the ArcFace template).
pub(crate) const FIVE_POINT_112: [Point; 5] = [
    Point { x: 38.2946, y: 51.6963 },
    Point { x: 73.5318, y: 51.5014 },
    Point { x: 56.0252, y: 71.7366 },
    Point { x: 41.5493, y: 92.3655 },
    Point { x: 70.7299, y: 92.2041 },
];

/// The map from crop to picture: `x = a u - b v + shift_x`, `y = b u + a v + shift_y`.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Placement {
    /// Scale times cosine of the turn.
    pub a: f64,
    /// Scale times sine of the turn.
    pub b: f64,
    /// Picture column of the crop's top left pixel.
    pub shift_x: f64,
    /// Picture row of the crop's top left pixel.
    pub shift_y: f64,
}

impl Placement {
    /// Where a place of the crop is in the picture.
    pub fn source(&self, u: f64, v: f64) -> (f64, f64) {
        (self.a * u - self.b * v + self.shift_x, self.b * u + self.a * v + self.shift_y)
    }
}

/// The crop of `image` in which the five `landmarks` lie where they do in crops of `template`; `None` if all landmarks coincide or are not finite.
pub fn align(image: &RgbImage, landmarks: &Landmarks, template: AlignTemplate) -> Option<RgbImage> {
    placed(image, landmarks, template).map(|(crop, _)| crop)
}

/// The same with the map that made it.
pub fn placed(image: &RgbImage, landmarks: &Landmarks, template: AlignTemplate) -> Option<(RgbImage, Placement)> {
    let placement = match template {
        AlignTemplate::FivePoint112 => placement(&landmarks.0, &FIVE_POINT_112)?,
        AlignTemplate::Mesh468_112 => placement(&landmarks.0, &mesh_template::five_points())?,
    };
    Some((warp(image, placement, 112), placement))
}

/// The map from the crop into the picture that undoes the least-squares transform of `points` (of the picture) onto
/// `template` (in the crop), point by point; `None` if the points coincide or are not finite. Both have n points.
pub fn placement(points: &[Point], template: &[Point]) -> Option<Placement> {
    assert_eq!(points.len(), template.len(), "every point has its place in the template");
    let mean = |points: &[Point]| {
        let sum = points.iter().fold((0.0, 0.0), |sum, p| (sum.0 + f64::from(p.x), sum.1 + f64::from(p.y)));
        (sum.0 / points.len() as f64, sum.1 / points.len() as f64)
    };
    let (from, to) = (mean(points), mean(template));
    // With points as complex numbers about their means: factor = sum(conj(p) q) / sum(|p|^2).
    let (mut real, mut imaginary, mut spread) = (0.0, 0.0, 0.0);
    for (p, q) in points.iter().zip(template) {
        let (px, py) = (f64::from(p.x) - from.0, f64::from(p.y) - from.1);
        let (qx, qy) = (f64::from(q.x) - to.0, f64::from(q.y) - to.1);
        real += px * qx + py * qy;
        imaginary += px * qy - py * qx;
        spread += px * px + py * py;
    }
    // The inverse's factor is conj(factor) / |factor|^2; the spread cancels from numerator to here.
    let squared = real * real + imaginary * imaginary;
    let (a, b) = (real * spread / squared, -imaginary * spread / squared);
    let placement =
        Placement { a, b, shift_x: from.0 - (a * to.0 - b * to.1), shift_y: from.1 - (b * to.0 + a * to.1) };
    let is_usable = a.is_finite() && b.is_finite() && spread > 0.0 && from.0.is_finite() && from.1.is_finite();
    is_usable.then_some(placement)
}

/// The square crop of `side` pixels that `placement` describes, by bilinear interpolation, black beyond the picture.
pub fn warp(image: &RgbImage, placement: Placement, side: u32) -> RgbImage {
    warped(image, placement, side, kernel::warp_row())
}

/// The same with this loop.
fn warped(image: &RgbImage, placement: Placement, side: u32, warp_row: Option<kernel::WarpRow>) -> RgbImage {
    let Placement { a, b, shift_x, shift_y } = placement;
    // OpenCV's arithmetic: each term in 1/1024 pixel, their sum in 1/32 pixel. Finer positions would be as good, but
    // templates are compared with those of programs that run the same model through OpenCV.
    let fixed = |pixels: f64| (pixels * 1024.0).round_ties_even().clamp(-FIXED_MAX, FIXED_MAX) as i64;
    let (steps_x, steps_y): (Vec<i64>, Vec<i64>) =
        (0..side).map(f64::from).map(|u| (fixed(a * u), fixed(b * u))).unzip();
    let mut data = vec![0; side as usize * side as usize * 3];
    for (v, out) in data.chunks_exact_mut(side as usize * 3).enumerate() {
        let v = v as f64;
        let row = kernel::Row {
            picture: image.data(),
            width: image.width(),
            height: image.height(),
            // Half of 1/32 pixel rounds.
            start: (fixed(shift_x - b * v) + 16, fixed(shift_y + a * v) + 16),
            steps: (&steps_x, &steps_y),
        };
        let (out, _) = out.as_chunks_mut::<3>();
        let mut from = 0;
        while from < out.len() {
            if let Some(warp_row) = warp_row {
                from = warp_row(&row, from, out);
            }
            // A group at the picture's edge, or what is left of the row.
            let end = (from + kernel::GROUP).min(out.len());
            plain(image, &row, from, &mut out[from..end]);
            from = end;
        }
    }
    RgbImage::new(side, side, data).expect("as many bytes as the crop has")
}

/// Pixels of a row from `from` on.
fn plain(image: &RgbImage, row: &kernel::Row<'_>, from: usize, out: &mut [[u8; 3]]) {
    // Positions (in 1/32 pixel) between which all four neighbours are inside the picture.
    let (x_end, y_end) = ((i64::from(image.width()) - 1) << 5, (i64::from(image.height()) - 1) << 5);
    let stride = image.width() as usize * 3;
    let steps = row.steps.0.iter().zip(row.steps.1).skip(from);
    for (pixel, (step_x, step_y)) in out.iter_mut().zip(steps) {
        let (x, y) = ((row.start.0 + step_x) >> 5, (row.start.1 + step_y) >> 5);
        if (0..x_end).contains(&x) && (0..y_end).contains(&y) {
            let start = (y >> 5) as usize * stride + (x >> 5) as usize * 3;
            let upper: &[u8; 6] = image.data()[start..].first_chunk().expect("two pixels of this row");
            let lower: &[u8; 6] = image.data()[start + stride..].first_chunk().expect("two pixels of the next row");
            *pixel = mixed(upper, lower, (x & 31) as u64, (y & 31) as u64);
        } else {
            *pixel = sample(image, x, y);
        }
    }
}

/// The colour between two pixels of a row and the two below them, `right` and `below` in 1/32 pixel, each 0 to 31. All
/// three channels are computed in one number, 21 bits for each.
fn mixed(upper: &[u8; 6], lower: &[u8; 6], right: u64, below: u64) -> [u8; 3] {
    let spread = |rgb: u32| u64::from(rgb & 0xFF) | u64::from(rgb & 0xFF00) << 13 | u64::from(rgb & 0xFF_0000) << 26;
    let across = |&[a, b, c, d, e, f]: &[u8; 6]| {
        let (left_pixel, right_pixel) = (u32::from_le_bytes([a, b, c, d]), u32::from_le_bytes([c, d, e, f]) >> 8);
        spread(left_pixel) * (32 - right) + spread(right_pixel) * right
    };
    // At most 255 * 1024 + 512, which is less than 2^18.
    let sums = across(upper) * (32 - below) + across(lower) * below + spread(0x01_0101) * 512;
    [(sums >> 10) as u8, (sums >> 31) as u8, (sums >> 52) as u8]
}

/// Far outside of any picture, yet sums of it do not overflow.
const FIXED_MAX: f64 = (1_u64 << 50) as f64;

/// The picture between its pixel centres, at a position in 1/32 pixel.
fn sample(image: &RgbImage, x: i64, y: i64) -> [u8; 3] {
    let (left, top) = (x >> 5, y >> 5);
    let (right_share, bottom_share) = ((x & 31) as u32, (y & 31) as u32);
    let mut sum = [0_u32; 3];
    for (row, row_share) in [(top, 32 - bottom_share), (top + 1, bottom_share)] {
        for (column, column_share) in [(left, 32 - right_share), (left + 1, right_share)] {
            if !(0..i64::from(image.width())).contains(&column) || !(0..i64::from(image.height())).contains(&row) {
                continue;
            }
            let pixel = image.pixel(column as u32, row as u32);
            for channel in 0..3 {
                sum[channel] += row_share * column_share * u32::from(pixel[channel]);
            }
        }
    }
    sum.map(|value| ((value + 512) >> 10) as u8)
}
