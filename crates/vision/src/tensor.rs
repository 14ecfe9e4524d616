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

/// Writes three planes of `width` x `height` numbers, one after the other, over `numbers`, with the picture at the top
/// left and black where it does not reach. The frame must be at least as large as the picture.
pub(crate) fn fill_planes(image: &RgbImage, scaling: Scaling, width: u32, height: u32, numbers: &mut [f32]) {
    assert!(width >= image.width() && height >= image.height(), "a frame holds its picture");
    let number = |byte: u8| (f32::from(byte) - scaling.mean) / scaling.scale;
    let plane_len = width as usize * height as usize;
    assert_eq!(numbers.len(), 3 * plane_len, "three planes");
    if (width, height) != (image.width(), image.height()) {
        numbers.fill(number(0));
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
        write_row(row, number, [&mut red[range.clone()], &mut second[range.clone()], &mut blue[range]]);
    }
}

/// Pixels converted at a time: one SIMD register of bytes for each colour.
const LANES: usize = 16;

/// One row of pixels as numbers, each colour to a row of its own.
#[inline(always)]
fn write_row(row: &[u8], number: impl Fn(u8) -> f32, [red, green, blue]: [&mut [f32]; 3]) {
    let (pixels, _) = row.as_chunks::<3>();
    let (groups, rest) = pixels.as_chunks::<LANES>();
    let ((reds, red), (greens, green), (blues, blue)) =
        (red.as_chunks_mut::<LANES>(), green.as_chunks_mut::<LANES>(), blue.as_chunks_mut::<LANES>());
    for (group, ((red, green), blue)) in groups.iter().zip(reds.iter_mut().zip(greens).zip(blues)) {
        // Taken apart as bytes first: a loop that writes three rows of numbers at once is not turned into SIMD.
        *red = group.map(|pixel| pixel[0]).map(&number);
        *green = group.map(|pixel| pixel[1]).map(&number);
        *blue = group.map(|pixel| pixel[2]).map(&number);
    }
    for (pixel, ((red, green), blue)) in rest.iter().zip(red.iter_mut().zip(green).zip(blue)) {
        (*red, *green, *blue) = (number(pixel[0]), number(pixel[1]), number(pixel[2]));
    }
}
