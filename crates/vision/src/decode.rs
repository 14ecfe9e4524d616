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

use image::codecs::{bmp::BmpDecoder, gif::GifDecoder, webp::WebPDecoder};
use image::{ColorType, ImageDecoder, ImageError, Limits};
use likeness_domain::limits::{
    IMAGE_BYTES_MAX, IMAGE_MEMORY_BYTES_MAX, IMAGE_PIXELS_MAX, IMAGE_SIDE_MAX, JPEG_SCANS_MAX,
};
use likeness_domain::ports::ImageRules;
use likeness_domain::{Error, Kind, Result};

pub use self::format::Format;
use self::pixels::to_rgb;
use crate::raster::{ExifOrientation, RgbImage};

mod exif;
mod format;
mod header;
mod jpeg;
mod pixels;
mod png_file;
#[cfg(test)]
mod tests;

/// A picture file whose header was read and found within the rules; nothing is decoded or allocated yet.
#[derive(Debug)]
pub struct EncodedImage<'a> {
    bytes: &'a [u8],
    format: Format,
    /// Width and height as stored, before the EXIF orientation is applied.
    stored: (u32, u32),
    orientation: ExifOrientation,
    /// Bytes that decoding at full size needs at once, the finished picture included.
    full_bytes: u64,
    jpeg: Option<jpeg::Facts>,
}

/// How much smaller than stored a picture is decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reduction {
    /// As stored.
    Full,
    /// Half of each side.
    Half,
    /// A quarter of each side.
    Quarter,
    /// An eighth of each side.
    Eighth,
}

impl Reduction {
    /// All of them, the largest picture first.
    pub const ALL: [Reduction; 4] = [Reduction::Full, Reduction::Half, Reduction::Quarter, Reduction::Eighth];

    /// How many stored pixels make one, in each direction: 1, 2, 4 or 8.
    pub fn divisor(self) -> u32 {
        match self {
            Reduction::Full => 1,
            Reduction::Half => 2,
            Reduction::Quarter => 4,
            Reduction::Eighth => 8,
        }
    }

    /// The strongest reduction that leaves a longer side of at least `side_min` pixels; `Full` if there is none.
    pub fn keeping(width: u32, height: u32, side_min: u32) -> Self {
        let fits = |reduction: &Reduction| width.max(height).div_ceil(reduction.divisor()) >= side_min;
        Self::ALL.into_iter().rev().find(fits).unwrap_or(Reduction::Full)
    }
}

impl<'a> EncodedImage<'a> {
    /// Reads the header of a file and checks it against `rules` and [`likeness_domain::limits`].
    ///
    /// Errors: [`Kind::ImageTooLarge`] (bytes), [`Kind::ImageFormat`], [`Kind::ImageDimensions`] (sides or pixels),
    /// [`Kind::ImageCorrupt`] (the header is damaged).
    pub fn open(bytes: &'a [u8], rules: &ImageRules) -> Result<Self> {
        let bytes_max = rules.bytes_max.min(IMAGE_BYTES_MAX);
        if bytes.len() > bytes_max {
            let message = format!("image has {} bytes, expected at most {bytes_max}", bytes.len());
            return Err(Error::new(Kind::ImageTooLarge, message));
        }
        let format = Format::of(bytes).ok_or_else(|| unknown_format(bytes, rules))?;
        if !rules.formats.contains(format.as_set()) {
            return Err(not_accepted(format, rules));
        }
        let mut jpeg = None;
        let (stored, orientation) = match format {
            Format::Jpeg => {
                let facts = jpeg::survey(bytes)?;
                let header = ((facts.width, facts.height), facts.orientation);
                jpeg = Some(facts);
                header
            }
            Format::Png => (header::png_sides(bytes)?, exif::of_png(bytes)),
            Format::Bmp => (header::bmp_sides(bytes)?, ExifOrientation::UPRIGHT),
            Format::WebP => (header::webp_sides(bytes)?, exif::of_webp(bytes)),
            Format::Gif => (header::gif_sides(bytes)?, ExifOrientation::UPRIGHT),
        };
        let stored = check_sides(stored, rules)?;
        let n_pixels = u64::from(stored.0) * u64::from(stored.1);
        let full_bytes = match &jpeg {
            Some(facts) => facts.memory_bytes(Reduction::Full),
            None => n_pixels * header::bytes_per_pixel(format, bytes) + header::side_bytes(format, bytes),
        };
        Ok(Self { bytes, format, stored, orientation, full_bytes, jpeg })
    }

    /// The file's format.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Width and height as stored, before the EXIF orientation is applied.
    pub fn stored_sides(&self) -> (u32, u32) {
        self.stored
    }

    /// How the stored picture lies.
    pub fn orientation(&self) -> ExifOrientation {
        self.orientation
    }

    /// Width of the upright picture at full size.
    pub fn width(&self) -> u32 {
        self.sides(Reduction::Full).0
    }

    /// Height of the upright picture at full size.
    pub fn height(&self) -> u32 {
        self.sides(Reduction::Full).1
    }

    /// Width and height of the upright picture that [`Self::decode`] returns: the stored sides divided and rounded up.
    pub fn sides(&self, reduction: Reduction) -> (u32, u32) {
        let (width, height) = self.reduced_sides(reduction);
        if self.orientation.swaps_sides() { (height, width) } else { (width, height) }
    }

    /// Most bytes that [`Self::decode`] holds at once, the picture it returns included; known before it begins.
    pub fn memory_bytes(&self, reduction: Reduction) -> u64 {
        let (width, height) = self.reduced_sides(reduction);
        let result_bytes = u64::from(width) * u64::from(height) * 3;
        let decoding = match &self.jpeg {
            Some(facts) => facts.memory_bytes(reduction),
            None if reduction == Reduction::Full => self.full_bytes,
            None => self.full_bytes + result_bytes,
        };
        // A picture that is turned is there twice for a moment, but what decoding needed besides is gone by then.
        if self.orientation == ExifOrientation::UPRIGHT { decoding } else { decoding.max(2 * result_bytes) }
    }

    /// Decodes the picture, upright, each of its pixels the mean of the stored ones it covers.
    ///
    /// Errors: [`Kind::ImageCorrupt`] (truncated, damaged, or a variant of the format that nobody uses for photographs),
    /// [`Kind::ImageDimensions`] (it needs more than [`IMAGE_MEMORY_BYTES_MAX`]).
    pub fn decode(&self, reduction: Reduction) -> Result<RgbImage> {
        let memory_bytes = self.memory_bytes(reduction);
        if memory_bytes > IMAGE_MEMORY_BYTES_MAX {
            let (width, height) = self.stored;
            let message = format!(
                "image is {width} x {height} pixels and needs {} MiB to be decoded as {}, expected at most {} MiB",
                memory_bytes.div_ceil(1 << 20),
                self.format.name(),
                IMAGE_MEMORY_BYTES_MAX >> 20
            );
            return Err(Error::new(Kind::ImageDimensions, message));
        }
        let (format, bytes) = (self.format, self.bytes);
        let picture = match format {
            Format::Jpeg => {
                let facts = self.jpeg.as_ref().ok_or_else(|| damaged(format, "it has no frame header"))?;
                jpeg::decode(bytes, facts, reduction)?
            }
            Format::Png => png_file::decode(bytes, self.stored)?,
            Format::Bmp => {
                let decoder = BmpDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
                read(format, decoder, self.stored)?
            }
            Format::WebP => {
                let decoder = WebPDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
                read(format, decoder, self.stored)?
            }
            Format::Gif => {
                let decoder = GifDecoder::new(Cursor::new(bytes)).map_err(|err| corrupt(format, err))?;
                read(format, decoder, self.stored)?
            }
        };
        let (width, height) = self.reduced_sides(reduction);
        let picture = if (picture.width(), picture.height()) == (width, height) {
            picture
        } else {
            picture.shrunk(width, height)
        };
        Ok(picture.oriented(self.orientation))
    }

    fn reduced_sides(&self, reduction: Reduction) -> (u32, u32) {
        let divisor = reduction.divisor();
        (self.stored.0.div_ceil(divisor), self.stored.1.div_ceil(divisor))
    }
}

/// Decodes one picture at full size within `rules` and [`likeness_domain::limits`].
///
/// Errors: those of [`EncodedImage::open`] and [`EncodedImage::decode`].
pub fn decode(bytes: &[u8], rules: &ImageRules) -> Result<RgbImage> {
    EncodedImage::open(bytes, rules)?.decode(Reduction::Full)
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
    limits.max_alloc = Some(IMAGE_MEMORY_BYTES_MAX);
    limits
}

/// Reads the pixels of a decoder that agrees with the `sides` checked before.
fn read(format: Format, mut decoder: impl ImageDecoder, sides: (u32, u32)) -> Result<RgbImage> {
    if decoder.dimensions() != sides {
        return Err(damaged(format, "its header contradicts itself"));
    }
    let n_bytes = decoder.total_bytes();
    if n_bytes > IMAGE_MEMORY_BYTES_MAX {
        return Err(damaged(format, "its header contradicts itself"));
    }
    decoder.set_limits(limits()).map_err(|err| corrupt(format, err))?;
    let color = decoder.color_type();
    let mut stored = vec![0; n_bytes as usize];
    decoder.read_image(&mut stored).map_err(|err| corrupt(format, err))?;
    if format == Format::Bmp && color == ColorType::Rgba8 {
        pixels::mend_unused_alpha(&mut stored);
    }
    let data = to_rgb(stored, color).ok_or_else(|| damaged(format, "its colour model is unknown"))?;
    RgbImage::new(sides.0, sides.1, data).ok_or_else(|| damaged(format, "pixels are missing"))
}

fn accepted(rules: &ImageRules) -> String {
    let all = [Format::Jpeg, Format::Png, Format::Bmp, Format::WebP, Format::Gif];
    let names: Vec<_> = all.into_iter().filter(|f| rules.formats.contains(f.as_set())).map(Format::name).collect();
    names.join(", ")
}

fn unknown_format(bytes: &[u8], rules: &ImageRules) -> Error {
    let accepted = accepted(rules);
    match format::unreadable_name(bytes) {
        Some(name) => Error::new(Kind::ImageFormat, format!("image is {name}, expected one of {accepted}"))
            .with_hint("export or convert it to one of these first"),
        None => {
            Error::new(Kind::ImageFormat, format!("data is no image in a known format, expected one of {accepted}"))
        }
    }
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
