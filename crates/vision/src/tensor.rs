//! Pictures as the numbers that models eat.

use crate::pack::ColourOrder;
use crate::raster::RgbImage;

#[cfg(test)]
mod tests;

/// How bytes become numbers: `(byte - mean) / scale`, colour planes in this order.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Scaling {
    pub(crate) order: ColourOrder,
    pub(crate) mean: f32,
    pub(crate) scale: f32,
}

/// Three planes of `width` x `height` numbers, one after the other, with the picture at the top left and black where it
/// does not reach. The frame must be at least as large as the picture.
pub(crate) fn planes(image: &RgbImage, scaling: Scaling, width: u32, height: u32) -> Vec<f32> {
    let mut numbers = vec![0.0; 3 * width as usize * height as usize];
    fill_planes(image, scaling, width, height, &mut numbers);
    numbers
}

/// Writes [`planes`] over `numbers`, of which there must be three times `width` x `height`.
pub(crate) fn fill_planes(image: &RgbImage, scaling: Scaling, width: u32, height: u32, numbers: &mut [f32]) {
    assert!(width >= image.width() && height >= image.height(), "a frame holds its picture");
    let number_of: [f32; 256] = std::array::from_fn(|byte| (byte as f32 - scaling.mean) / scaling.scale);
    let plane_len = width as usize * height as usize;
    assert_eq!(numbers.len(), 3 * plane_len, "three planes");
    if (width, height) != (image.width(), image.height()) {
        numbers.fill(number_of[0]);
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
        let planes = red[range.clone()].iter_mut().zip(&mut second[range.clone()]).zip(&mut blue[range]);
        for (pixel, ((red, green), blue)) in row.chunks_exact(3).zip(planes) {
            *red = number_of[usize::from(pixel[0])];
            *green = number_of[usize::from(pixel[1])];
            *blue = number_of[usize::from(pixel[2])];
        }
    }
}
