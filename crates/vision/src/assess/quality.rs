//! How fit a picture of a face is for recognition: figures from 0 (worst) to 1 (best), each measured on the aligned crop
//! that the embedder gets, so that what is judged is what is recognised.
//!
//! The names and several ideas are those of ISO/IEC 29794-5 (face image quality); the scales are ours, set on portraits
//! and on Labelled Faces in the Wild, and a figure says nothing about the person. `docs/quality.md` has the reading.

use likeness_domain::types::{Detection, Pose, Quality};

use crate::align::Placement;
use crate::raster::RgbImage;

#[cfg(test)]
mod tests;

/// Side of the aligned crop.
const SIDE: usize = 112;

/// The part of the crop that is face in every picture, from brows to chin: columns and rows.
const WINDOW: Window = Window { left: 20, top: 34, right: 92, bottom: 106 };

/// Where a face has detail: both eyes and the mouth.
const DETAILED: [Window; 3] = [
    Window { left: 27, top: 44, right: 49, bottom: 60 },
    Window { left: 63, top: 44, right: 85, bottom: 60 },
    Window { left: 41, top: 84, right: 71, bottom: 100 },
];

/// A rectangle of the crop; the right column and bottom row are outside.
#[derive(Debug, Clone, Copy)]
struct Window {
    left: usize,
    top: usize,
    right: usize,
    bottom: usize,
}

impl Window {
    fn places(self) -> impl Iterator<Item = (usize, usize)> {
        (self.top..self.bottom).flat_map(move |y| (self.left..self.right).map(move |x| (x, y)))
    }
}

/// Measures the face whose aligned crop of `picture` is `crop`, made by `placement`. The figure `pose` is measured if
/// `pose` is known; `presence` is that of the face's mesh, if one was fitted.
pub fn measure(
    picture: &RgbImage,
    crop: &RgbImage,
    placement: &Placement,
    detection: &Detection,
    pose: Option<Pose>,
    presence: Option<f32>,
) -> Quality {
    let grey = Grey::of(crop);
    let sharpness = sharpness(&grey);
    let illumination = illumination(&grey);
    let visible = visibility(&grey, inside(picture, placement));
    let visibility = visible * presence.map_or(1.0, |presence| ramp(presence, PRESENCE));
    let pose = pose.map(frontality);
    let figures = [sharpness, illumination, visibility, detection.size(), pose.unwrap_or(1.0), detection.score];
    Quality {
        total: Some(total(&figures)),
        sharpness: Some(sharpness),
        illumination: Some(illumination),
        pose,
        visibility: Some(visibility),
    }
}

/// The geometric mean: a figure of 0 makes the total 0, as no light makes up for a face that is turned away.
fn total(figures: &[f32]) -> f32 {
    let product: f32 = figures.iter().map(|figure| figure.clamp(0.0, 1.0)).product();
    product.powf(1.0 / figures.len() as f32)
}

/// How much fine detail there is for the contrast: the variance of the Laplacian (Pech-Pacheco and others, "Diatom
/// autofocusing in brightfield microscopy", 2000), divided by the variance of the brightness about the plane that fits it
/// best. The quotient, unlike the variance itself, does not depend on exposure, complexion or light from one side: all
/// of them scale both. Its fourth root spreads evenly what blur does: on photographs with 250 pixels a side, a Gaussian
/// blur of 0, 1, 2, 4 and 6 pixels leaves 0.61, 0.48, 0.34, 0.15 and 0.02 in the mean. A picture smaller than the crop is
/// as unsharp as it looks at the crop's size.
fn sharpness(grey: &Grey) -> f32 {
    let detail = (grey.laplacian_variance() - ROUNDING).max(0.0);
    let contrast = grey.variance_about_plane();
    // Less than a grey level: a plain surface is not sharp.
    if contrast < 1.0 {
        return 0.0;
    }
    ramp((detail / contrast).sqrt().sqrt(), SHARPNESS)
}

/// What rounding the crop's pixels to whole numbers adds to the variance of their Laplacian: a twelfth for each of the
/// weights 4, 1, 1, 1, 1, squared.
const ROUNDING: f32 = 20.0 / 12.0;

/// That root of a picture that is blurred through, and of one that is sharp.
const SHARPNESS: (f32, f32) = (0.1, 0.7);

/// The worst of four: brightness (mean of the face), contrast (its standard deviation), balance (difference of the means
/// of left and right half, as a share of their sum) and clipping (share of black and white pixels). The limits of
/// brightness are wide on purpose: a dark complexion in good light must not count as bad light.
fn illumination(grey: &Grey) -> f32 {
    let values: Vec<f32> = WINDOW.places().map(|(x, y)| grey.at(x, y)).collect();
    let n_pixels = values.len() as f32;
    let mean = values.iter().sum::<f32>() / n_pixels;
    let deviation = (values.iter().map(|value| (value - mean).powi(2)).sum::<f32>() / n_pixels).sqrt();
    let n_clipped = values.iter().filter(|&&value| !(6.0..=250.0).contains(&value)).count() as f32;
    let middle = SIDE / 2;
    let half = |window: Window| {
        let (n, sum) = window.places().fold((0.0, 0.0), |(n, sum), (x, y)| (n + 1.0, sum + grey.at(x, y)));
        sum / n
    };
    let (left, right) = (half(Window { right: middle, ..WINDOW }), half(Window { left: middle, ..WINDOW }));
    let slant = (left - right).abs() / (left + right).max(1.0);
    let brightness = ramp(mean, (8.0, 50.0)).min(ramp(mean, (245.0, 215.0)));
    let contrast = ramp(deviation, (2.0, 18.0));
    let balance = ramp(slant, (0.7, 0.25));
    let clipping = ramp(n_clipped / n_pixels, (0.6, 0.2));
    brightness.min(contrast).min(balance).min(clipping)
}

/// The square of the cosine of the angle between the look and the line of sight, as ISO/IEC 29794-5 weighs each angle of
/// a head. Roll does not count: aligning undoes it.
fn frontality(pose: Pose) -> f32 {
    let cosine = pose.yaw.to_radians().cos() * pose.pitch.to_radians().cos();
    cosine.max(0.0).powi(2)
}

/// Not hidden, as far as that shows without a model: the share of the crop that is inside the picture, times the least
/// share of the usual detail at both eyes and the mouth. What covers an eye or the mouth smoothly (a mask, a hand, hair,
/// the picture's edge) takes its detail away. Patterned things and sunglasses with bright reflections have detail of
/// their own and are not noticed, so this is a weak witness: a low figure means something, a high one little.
fn visibility(grey: &Grey, inside: f32) -> f32 {
    let mean_slope = |window: Window| {
        let (n, sum) = window.places().fold((0.0, 0.0), |(n, sum), (x, y)| (n + 1.0, sum + grey.slope(x, y)));
        sum / n
    };
    let usual = mean_slope(WINDOW);
    if usual <= 0.0 {
        return 0.0;
    }
    let least = DETAILED.map(|window| mean_slope(window) / usual).into_iter().fold(f32::INFINITY, f32::min);
    inside * ramp(least, DETAIL)
}

/// Presence of a face mesh that says the face is hidden, and that nothing hides it. On 84 photographs of Labelled Faces in
/// the Wild it is 20 to 32 (5 % to 95 %); with the face masked from the bridge of the nose down -4 to 14, with a pattern
/// over the mouth, whose detail [`visibility`] takes for a mouth's, 3 to 20; black glasses and a covered eye hardly
/// lower it, and are [`visibility`]'s to notice.
const PRESENCE: (f32, f32) = (4.0, 18.0);

/// Detail at an eye or the mouth, as a share of that of the whole face: hidden, and surely there.
const DETAIL: (f32, f32) = (0.2, 0.8);

/// Which share of the face's part of the crop comes from inside the picture.
fn inside(picture: &RgbImage, placement: &Placement) -> f32 {
    let (right, bottom) = (f64::from(picture.width()) - 0.5, f64::from(picture.height()) - 0.5);
    let is_inside = |&(x, y): &(usize, usize)| {
        let (x, y) = placement.source(x as f64, y as f64);
        (-0.5..=right).contains(&x) && (-0.5..=bottom).contains(&y)
    };
    WINDOW.places().filter(is_inside).count() as f32 / WINDOW.places().count() as f32
}

/// 0 at or beyond `from`, 1 at or beyond `to`, straight between; either may be the larger one.
fn ramp(value: f32, (from, to): (f32, f32)) -> f32 {
    ((value - from) / (to - from)).clamp(0.0, 1.0)
}

/// Brightness of the crop's pixels, 0 to 255.
struct Grey(Vec<f32>);

impl Grey {
    /// Luma as in ITU-R BT.601, which JPEG uses too.
    fn of(crop: &RgbImage) -> Self {
        let luma =
            |&[red, green, blue]: &[u8; 3]| 0.299 * f32::from(red) + 0.587 * f32::from(green) + 0.114 * f32::from(blue);
        Self(crop.data().as_chunks::<3>().0.iter().map(luma).collect())
    }

    fn at(&self, x: usize, y: usize) -> f32 {
        self.0[y * SIDE + x]
    }

    /// Variance of the Laplacian over the window.
    fn laplacian_variance(&self) -> f32 {
        let laplacian = |(x, y): (usize, usize)| {
            self.at(x - 1, y) + self.at(x + 1, y) + self.at(x, y - 1) + self.at(x, y + 1) - 4.0 * self.at(x, y)
        };
        let (n, sum, squares) = WINDOW
            .places()
            .map(laplacian)
            .fold((0.0, 0.0, 0.0), |(n, sum, squares), value| (n + 1.0, sum + value, squares + value * value));
        squares / n - (sum / n) * (sum / n)
    }

    /// Variance of the brightness in the window about the plane through it with the least squares.
    fn variance_about_plane(&self) -> f32 {
        let middle = |from: usize, to: usize| (from + to - 1) as f32 / 2.0;
        let (middle_x, middle_y) = (middle(WINDOW.left, WINDOW.right), middle(WINDOW.top, WINDOW.bottom));
        let (mut n, mut sum, mut squares) = (0.0_f32, 0.0_f32, 0.0_f32);
        let (mut across, mut down, mut across_extent, mut down_extent) = (0.0_f32, 0.0_f32, 0.0_f32, 0.0_f32);
        for (x, y) in WINDOW.places() {
            let (value, right, below) = (self.at(x, y) - 128.0, x as f32 - middle_x, y as f32 - middle_y);
            (n, sum, squares) = (n + 1.0, sum + value, squares + value * value);
            (across, down) = (across + right * value, down + below * value);
            (across_extent, down_extent) = (across_extent + right * right, down_extent + below * below);
        }
        // The window is symmetric about its middle, so the plane's three numbers are found one by one.
        let explained = sum * sum / n + across * across / across_extent + down * down / down_extent;
        ((squares - explained) / n).max(0.0)
    }

    /// Steepness of the brightness, over two pixels each way.
    fn slope(&self, x: usize, y: usize) -> f32 {
        let (across, down) = (self.at(x + 1, y) - self.at(x - 1, y), self.at(x, y + 1) - self.at(x, y - 1));
        across.hypot(down)
    }
}

const _: () = assert!(WINDOW.right < SIDE && WINDOW.bottom < SIDE && WINDOW.left > 0 && WINDOW.top > 0);
