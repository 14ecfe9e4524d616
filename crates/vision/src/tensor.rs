//! Pictures as the numbers that models eat.

use crate::pack::ColourOrder;
use crate::raster::{RgbImage, write_numbers};

#[cfg(test)]
mod tests;

/// How bytes become numbers: `(byte - mean) / scale`, colour planes in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) order: ColourOrder,
    pub(crate) mean: f32,
    pub(crate) scale: f32,
}

/// Writes three planes of `width` x `height` numbers, one after the other, over `numbers`, with the picture at the top
/// left and black where it does not reach. The frame must be at least as large as the picture.
pub(crate) fn fill_planes(image: &RgbImage, scaling: Scaling, width: u32, height: u32, numbers: &mut [f32]) {
    assert!(width >= image.width() && height >= image.height(), "a frame holds its picture");
    let plane_len = width as usize * height as usize;
    assert_eq!(numbers.len(), 3 * plane_len, "three planes");
    if (width, height) != (image.width(), image.height()) {
        numbers.fill((0.0 - scaling.mean) / scaling.scale);
    }
    let (first, rest) = numbers.split_at_mut(plane_len);
    let (second, third) = rest.split_at_mut(plane_len);
    let (red, blue) = match scaling.order {
        ColourOrder::Rgb => (first, third),
        ColourOrder::Bgr => (third, first),
    };
    for (y, row) in image.data().chunks_exact(image.width() as usize * 3).enumerate() {
        let start = y * width as usize;
        let range = start..start + image.width() as usize;
        let rows = [&mut red[range.clone()], &mut second[range.clone()], &mut blue[range]];
        write_numbers(row, (scaling.mean, scaling.scale), rows);
    }
}
