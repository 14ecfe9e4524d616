//! PNG by its decoder's own interface, which can leave out what is no pixel: colour profiles and texts are compressed, so that
//! a few kilobytes of file would become hundreds of megabytes beside the picture. Nobody reads them here.

use std::io::Cursor;

use image::ColorType;
use likeness_domain::limits::IMAGE_MEMORY_BYTES_MAX;
use likeness_domain::{Error, Kind, Result};
use png::{BitDepth, DecodingError, Limits, Transformations};

use super::pixels::to_rgb;
use super::{Format, damaged};
use crate::raster::RgbImage;

/// Decodes the file, whose header says these sides.
pub(super) fn decode(bytes: &[u8], sides: (u32, u32)) -> Result<RgbImage> {
    let limits = Limits { bytes: usize::try_from(IMAGE_MEMORY_BYTES_MAX).unwrap_or(usize::MAX) };
    let mut decoder = png::Decoder::new_with_limits(Cursor::new(bytes), limits);
    decoder.set_ignore_iccp_chunk(true);
    decoder.set_ignore_text_chunk(true);
    // Palettes and fewer than eight bits become bytes; a transparent colour becomes an alpha channel.
    decoder.set_transformations(Transformations::EXPAND);
    let mut reader = decoder.read_info().map_err(corrupt)?;
    let n_bytes = reader.output_buffer_size().filter(|&n_bytes| n_bytes as u64 <= IMAGE_MEMORY_BYTES_MAX);
    let Some(n_bytes) = n_bytes.filter(|_| reader.info().size() == sides) else {
        return Err(damaged(Format::Png, "its header contradicts itself"));
    };
    let (color, depth) = reader.output_color_type();
    let Some(color) = color_type(color, depth) else {
        return Err(damaged(Format::Png, "its colour model is unknown"));
    };
    let mut stored = vec![0; n_bytes];
    reader.next_frame(&mut stored).map_err(corrupt)?;
    if depth == BitDepth::Sixteen {
        stored.as_chunks_mut::<2>().0.iter_mut().for_each(|value| *value = u16::from_be_bytes(*value).to_ne_bytes());
    }
    let data = to_rgb(stored, color).ok_or_else(|| damaged(Format::Png, "its colour model is unknown"))?;
    RgbImage::new(sides.0, sides.1, data).ok_or_else(|| damaged(Format::Png, "pixels are missing"))
}

fn color_type(color: png::ColorType, depth: BitDepth) -> Option<ColorType> {
    Some(match (color, depth) {
        (png::ColorType::Grayscale, BitDepth::Eight) => ColorType::L8,
        (png::ColorType::Grayscale, BitDepth::Sixteen) => ColorType::L16,
        (png::ColorType::GrayscaleAlpha, BitDepth::Eight) => ColorType::La8,
        (png::ColorType::GrayscaleAlpha, BitDepth::Sixteen) => ColorType::La16,
        (png::ColorType::Rgb, BitDepth::Eight) => ColorType::Rgb8,
        (png::ColorType::Rgb, BitDepth::Sixteen) => ColorType::Rgb16,
        (png::ColorType::Rgba, BitDepth::Eight) => ColorType::Rgba8,
        (png::ColorType::Rgba, BitDepth::Sixteen) => ColorType::Rgba16,
        _ => return None,
    })
}

/// The decoder's own words may quote the file, so they go to the log only.
fn corrupt(error: DecodingError) -> Error {
    match error {
        DecodingError::LimitsExceeded => {
            Error::new(Kind::ImageDimensions, "PNG image needs more memory than is allowed for one image")
                .with_source(error)
        }
        _ => damaged(Format::Png, "it is truncated, damaged or of an unusual kind").with_source(error),
    }
}
