//! A picture at several sizes, each half of the one before, so that a crop of a large face is as quick as one of a small
//! face and shows no aliasing.
//!
//! Coordinates count pixel centres: the centre of the top left pixel is (0, 0). A pixel of level n is the mean of
//! 2^n x 2^n pixels of the base, so its centre is at `(x + 0.5) * 2^n - 0.5` there.

use crate::align::{Placement, warp};
use crate::raster::RgbImage;

#[cfg(test)]
mod tests;

/// The base picture and, made when first needed, its halves.
pub struct Pyramid {
    levels: Vec<RgbImage>,
    reduced: f32,
}

impl Pyramid {
    /// A pyramid on this picture.
    pub fn new(base: RgbImage) -> Self {
        Self::reduced_by(1.0, base)
    }

    /// A pyramid on a picture that was so many times as wide before it was reduced.
    pub fn reduced_by(reduced: f32, base: RgbImage) -> Self {
        Self { levels: vec![base], reduced }
    }

    /// How many times as wide as the base the picture was as it came.
    pub fn reduced(&self) -> f32 {
        self.reduced
    }

    /// The picture as it came.
    pub fn base(&self) -> &RgbImage {
        &self.levels[0]
    }

    /// The square crop of `side` pixels that `placement` (crop to base) describes. The level is chosen so that a crop
    /// pixel covers between one and two of its pixels along each axis (more than one only if the face is larger than
    /// the crop), which bilinear sampling resolves.
    pub fn warp(&mut self, placement: Placement, side: u32) -> RgbImage {
        let mut level = 0;
        let mut covered = placement.a.hypot(placement.b);
        let mut halves = placement;
        while covered >= 2.0 && self.ensure(level + 1) {
            level += 1;
            covered /= 2.0;
            // Pixel centres: x' = (x + 0.5) / 2 - 0.5.
            halves = Placement {
                a: halves.a / 2.0,
                b: halves.b / 2.0,
                shift_x: (halves.shift_x - 0.5) / 2.0,
                shift_y: (halves.shift_y - 0.5) / 2.0,
            };
        }
        warp(&self.levels[level], halves, side)
    }

    /// The whole picture with a longer side of at most `side_max` pixels, never enlarged; each pixel the mean of the area
    /// it covers. `None` if the base is that small already.
    pub fn fitted(&mut self, side_max: u32) -> Option<RgbImage> {
        let (width, height) = self.base().fitted(side_max);
        if (width, height) == (self.base().width(), self.base().height()) {
            return None;
        }
        let mut level = 0;
        // From the smallest level that is still at least twice as large: the mean of means is the mean up to the
        // unevenness of the last pixels.
        while self.levels[level].width().min(u32::MAX / 4) >= 4 * width && self.ensure(level + 1) {
            level += 1;
        }
        Some(self.levels[level].shrunk(width, height))
    }

    /// Makes the level if it is not there; false if the one before cannot be halved any more.
    fn ensure(&mut self, level: usize) -> bool {
        while self.levels.len() <= level {
            let last = &self.levels[self.levels.len() - 1];
            if last.width() < 2 || last.height() < 2 {
                return false;
            }
            let next = last.halved();
            self.levels.push(next);
        }
        true
    }
}
