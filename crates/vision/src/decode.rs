//! Bytes to upright RGB, bounded: the only place that knows picture formats.
//!
//! Every file is taken to be hostile. The order is always the same: number of bytes, format by magic bytes, sides from
//! the header, and only then the first allocation, whose size follows from the sides just checked. Time is bounded by
//! pixels times [`JPEG_SCANS_MAX`]. A picture that ends early or is damaged is refused rather than filled with grey: a
//! face that is half missing would still get a template, and a wrong one.
//!
//! What is made equal here: EXIF orientation is applied (JPEG, PNG, WebP); grey and palettes become RGB; CMYK and YCCK
//! become RGB, stored inverted or not as the Adobe marker says; 16 bits are rounded to 8; transparency is laid over
//! white, the background that cut-out portraits are made for; of an animation the first frame is taken. Colour
//! profiles are not applied: the models were trained without.

use std::io::Cursor;

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, png::PngDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError, Limits};
use likeness_domain::limits::{IMAGE_BYTES_MAX, IMAGE_PIXELS_MAX, IMAGE_SIDE_MAX, JPEG_SCANS_MAX};
use likeness_domain::ports::{ImageFormats, ImageRules};
use likeness_domain::{Error, Kind, Result};

use crate::raster::{ExifOrientation, RgbImage};

mod header;
mod jpeg;
#[cfg(test)]
mod tests;

/// Bytes a decoder may need for the picture as stored: four channels of every pixel allowed. Sixteen-bit pictures
/// with transparency take eight bytes a pixel, so they may have half as many pixels.
const DECODED_BYTES_MAX: u64 = IMAGE_PIXELS_MAX * 4;

/// A picture format, told by its first bytes and by nothing else: names and content types lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// JPEG, baseline or progressive.
    Jpeg,
    /// PNG, also animated.
    Png,
    /// Windows bitmap.
    Bmp,
    /// WebP: lossy, lossless or animated.
    WebP,
    /// GIF.
    Gif,
}

impl Format {
    /// The format of a file that starts with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        match bytes {
            [0xFF, 0xD8, 0xFF, ..] => Some(Format::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Format::Png),
            [b'B', b'M', ..] => Some(Format::Bmp),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Format::WebP),
            [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some(Format::Gif),
            _ => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Format::Jpeg => "JPEG",
            Format::Png => "PNG",
            Format::Bmp => "BMP",
            Format::WebP => "WebP",
            Format::Gif => "GIF",
        }
    }

    fn as_set(self) -> ImageFormats {
        match self {
            Format::Jpeg => ImageFormats::JPEG,
            Format::Png => ImageFormats::PNG,
            Format::Bmp => ImageFormats::BMP,
            Format::WebP => ImageFormats::WEBP,
            Format::Gif => ImageFormats::GIF,
        }
    }
}

/// Decodes one picture within `rules` and [`likeness_domain::limits`].
///
/// Errors: [`Kind::ImageTooLarge`] (bytes), [`Kind::ImageFormat`], [`Kind::ImageDimensions`] (sides or pixels),
/// [`Kind::ImageCorrupt`] (the rest: truncated, damaged, or a variant of the format that nobody uses for photographs).
pub fn decode(bytes: &[u8], rules: &ImageRules) -> Result<RgbImage> {
    let bytes_max = rules.bytes_max.min(IMAGE_BYTES_MAX);
    if bytes.len() > bytes_max {
        let message = format!("image has {} bytes, expected at most {bytes_max}", bytes.len());
        return Err(Error::new(Kind::ImageTooLarge, message));
    }
    let format = Format::of(bytes).ok_or_else(|| unknown_format(rules))?;
    if !rules.formats.contains(format.as_set()) {
        return Err(not_accepted(format, rules));
    }
    match format {
        Format::Jpeg => {
            let facts = jpeg::survey(bytes)?;
            check_sides((facts.width, facts.height), rules)?;
            jpeg::decode(bytes, &facts)
        }
        Format::Png => {
            let sides = check_sides(header::png_sides(bytes)?, rules)?;
            let decoder = PngDecoder::with_limits(Cursor::new(bytes), limits()).map_err(|err| corrupt(format, err))?;
            read(format, decoder, sides)
        }
        Format::Bmp => {
            let sides = check_sides(header::bmp_sides(bytes)?, rules)?;
            let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
            read(format, decoder, sides)
        }
        Format::WebP => {
            let sides = check_sides(header::webp_sides(bytes)?, rules)?;
            let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
            read(format, decoder, sides)
        }
        Format::Gif => {
            let sides = check_sides(header::gif_sides(bytes)?, rules)?;
            let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
            read(format, decoder, sides)
        }
    }
}

fn check_sides(sides: (u32, u32), rules: &ImageRules) -> Result<(u32, u32)> {
    let (width, height) = sides;
    let side_max = rules.side_max.min(IMAGE_SIDE_MAX);
    // A side of 0 is no picture in any format's book, so at least 1 also where a dialect states no minimum.
    let side_min = rules.side_min.max(1);
    if width.min(height) < side_min || width.max(height) > side_max {
        let message = format!("image is {width} x {height} pixels, expected sides of {side_min} to {side_max}");
        return Err(Error::new(Kind::ImageDimensions, message));
    }
    if u64::from(width) * u64::from(height) > IMAGE_PIXELS_MAX {
        let message = format!("image is {width} x {height} pixels, expected at most {IMAGE_PIXELS_MAX} in all");
        return Err(Error::new(Kind::ImageDimensions, message));
    }
    Ok(sides)
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_image_width = Some(IMAGE_SIDE_MAX);
    limits.max_image_height = Some(IMAGE_SIDE_MAX);
    limits.max_alloc = Some(DECODED_BYTES_MAX);
    limits
}

/// Reads the pixels of a decoder that agrees with the `sides` checked before.
fn read(format: Format, mut decoder: impl ImageDecoder, sides: (u32, u32)) -> Result<RgbImage> {
    if decoder.dimensions() != sides {
        return Err(damaged(format, "its header contradicts itself"));
    }
    let n_bytes = decoder.total_bytes();
    if n_bytes > DECODED_BYTES_MAX {
        let (width, height) = sides;
        let message = format!(
            "image is {width} x {height} pixels of {} bytes, expected at most {DECODED_BYTES_MAX} \
                               bytes in all",
            decoder.color_type().bytes_per_pixel()
        );
        return Err(Error::new(Kind::ImageDimensions, message));
    }
    decoder.set_limits(limits()).map_err(|err| corrupt(format, err))?;
    // Unreadable EXIF is common and harmless: the picture is then shown as stored.
    let exif = decoder.exif_metadata().ok().flatten();
    let orientation = exif.as_deref().map_or(ExifOrientation::UPRIGHT, exif_orientation);
    let color = decoder.color_type();
    let mut stored = vec![0; n_bytes as usize];
    decoder.read_image(&mut stored).map_err(|err| corrupt(format, err))?;
    let data = to_rgb(stored, color).ok_or_else(|| damaged(format, "its colour model is unknown"))?;
    let image = RgbImage::new(sides.0, sides.1, data).ok_or_else(|| damaged(format, "pixels are missing"))?;
    Ok(image.oriented(orientation))
}

/// The orientation in an EXIF block that starts at its TIFF header; upright if it does not say.
fn exif_orientation(exif: &[u8]) -> ExifOrientation {
    let number = image::metadata::Orientation::from_exif_chunk(exif).map(image::metadata::Orientation::to_exif);
    number.and_then(ExifOrientation::new).unwrap_or(ExifOrientation::UPRIGHT)
}

/// Any colour type that the decoders give, as RGB over white. In place where it shrinks.
fn to_rgb(stored: Vec<u8>, color: ColorType) -> Option<Vec<u8>> {
    let stored = match color {
        ColorType::L16 | ColorType::La16 | ColorType::Rgb16 | ColorType::Rgba16 => to_eight_bits(stored),
        _ => stored,
    };
    match color {
        ColorType::L8 | ColorType::L16 => Some(stored.into_iter().flat_map(|grey| [grey; 3]).collect()),
        ColorType::La8 | ColorType::La16 => {
            Some(stored.chunks_exact(2).flat_map(|pixel| [over_white(pixel[0], pixel[1]); 3]).collect())
        }
        ColorType::Rgb8 | ColorType::Rgb16 => Some(stored),
        ColorType::Rgba8 | ColorType::Rgba16 => Some(drop_alpha(stored)),
        _ => None,
    }
}

fn to_eight_bits(mut stored: Vec<u8>) -> Vec<u8> {
    let n_values = stored.len() / 2;
    for value_idx in 0..n_values {
        let value = u16::from_ne_bytes([stored[value_idx * 2], stored[value_idx * 2 + 1]]);
        stored[value_idx] = ((u32::from(value) + 128) / 257) as u8;
    }
    stored.truncate(n_values);
    stored
}

fn drop_alpha(mut stored: Vec<u8>) -> Vec<u8> {
    let n_pixels = stored.len() / 4;
    for pixel_idx in 0..n_pixels {
        let alpha = stored[pixel_idx * 4 + 3];
        for channel in 0..3 {
            stored[pixel_idx * 3 + channel] = over_white(stored[pixel_idx * 4 + channel], alpha);
        }
    }
    stored.truncate(n_pixels * 3);
    stored
}

fn over_white(value: u8, alpha: u8) -> u8 {
    let (value, alpha) = (u32::from(value), u32::from(alpha));
    ((value * alpha + 255 * (255 - alpha) + 127) / 255) as u8
}

fn accepted(rules: &ImageRules) -> String {
    let all = [Format::Jpeg, Format::Png, Format::Bmp, Format::WebP, Format::Gif];
    let names: Vec<_> = all.into_iter().filter(|f| rules.formats.contains(f.as_set())).map(Format::name).collect();
    names.join(", ")
}

fn unknown_format(rules: &ImageRules) -> Error {
    Error::new(Kind::ImageFormat, format!("data is no image in a known format, expected one of {}", accepted(rules)))
}

fn not_accepted(format: Format, rules: &ImageRules) -> Error {
    let message = format!("image format is {}, expected one of {}", format.name(), accepted(rules));
    Error::new(Kind::ImageFormat, message)
}

fn damaged(format: Format, why: &str) -> Error {
    Error::new(Kind::ImageCorrupt, format!("{} image cannot be decoded: {why}", format.name()))
}

/// A decoder's own words may quote the file, so they go to the log only.
fn corrupt(format: Format, err: ImageError) -> Error {
    match err {
        ImageError::Limits(_) => {
            let message = format!("{} image needs more memory than is allowed for one image", format.name());
            Error::new(Kind::ImageDimensions, message).with_source(err)
        }
        _ => damaged(format, "it is truncated, damaged or of an unusual kind").with_source(err),
    }
}

fn too_many_scans() -> Error {
    damaged(Format::Jpeg, &format!("it has more than {JPEG_SCANS_MAX} scans"))
}
