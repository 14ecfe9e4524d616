//! JPEG: a walk over the markers that bounds the work, then the decoder.

use likeness_domain::limits::{IMAGE_SIDE_MAX, JPEG_SCANS_MAX};
use likeness_domain::{Error, Result};
use zune_core::bytestream::ZCursor;
use zune_core::colorspace::ColorSpace;
use zune_core::options::DecoderOptions;
use zune_jpeg::JpegDecoder;

use super::{Format, Reduction, damaged, exif, too_many_scans};
use crate::raster::{ExifOrientation, RgbImage};

/// What the markers of a whole JPEG file say.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) width: u32,
    pub(super) height: u32,
    n_components: u8,
    has_adobe_marker: bool,
    pub(super) orientation: ExifOrientation,
}

impl Facts {
    /// Most bytes that decoding holds at once, the finished picture included.
    pub(super) fn memory_bytes(&self, _: Reduction) -> u64 {
        u64::from(self.width) * u64::from(self.height) * 3
    }
}

/// Reads every marker up to the end of the image without unpacking anything.
///
/// It refuses what would surprise the decoder later: a file that ends before its end marker, a second frame header, and
/// more scans than any camera writes (each scan costs a pass over all pixels, however few bytes it has).
pub(super) fn survey(bytes: &[u8]) -> Result<Facts> {
    let mut frame: Option<(u32, u32, u8)> = None;
    let mut n_scans = 0;
    let mut has_adobe_marker = false;
    let mut orientation = None;
    let mut at = 2;
    loop {
        let (marker, after) = next_marker(bytes, at).ok_or_else(truncated)?;
        at = after;
        match marker {
            // Without a body: TEM, restart markers, start of image.
            0x01 | 0xD0..=0xD8 => continue,
            END_OF_IMAGE => break,
            _ => {}
        }
        let body = segment(bytes, at).ok_or_else(truncated)?;
        at += 2 + body.len();
        match marker {
            // Frame headers are C0 to CF but for the tables C4 and CC and the reserved C8.
            0xC0..=0xCF if !matches!(marker, 0xC4 | 0xC8 | 0xCC) => {
                let [_, h1, h0, w1, w0, n_components, ..] = *body else { return Err(truncated()) };
                let sides = (u16::from_be_bytes([w1, w0]).into(), u16::from_be_bytes([h1, h0]).into());
                if frame.replace((sides.0, sides.1, n_components)).is_some() {
                    return Err(damaged(Format::Jpeg, "it has two frame headers"));
                }
            }
            0xE1 if orientation.is_none() => {
                orientation = body.strip_prefix(b"Exif\0\0").map(exif::orientation);
            }
            0xEE => has_adobe_marker |= body.starts_with(b"Adobe"),
            START_OF_SCAN => {
                n_scans += 1;
                if n_scans > JPEG_SCANS_MAX {
                    return Err(too_many_scans());
                }
            }
            _ => {}
        }
    }
    let (width, height, n_components) = frame.ok_or_else(|| damaged(Format::Jpeg, "it has no frame header"))?;
    if n_scans == 0 {
        return Err(damaged(Format::Jpeg, "it has no pixels"));
    }
    let orientation = orientation.unwrap_or(ExifOrientation::UPRIGHT);
    Ok(Facts { width, height, n_components, has_adobe_marker, orientation })
}

/// Decodes a surveyed file whose sides have been checked.
pub(super) fn decode(bytes: &[u8], facts: &Facts, _: Reduction) -> Result<RgbImage> {
    // The decoder takes CMYK to be inverted, as Adobe stores it; a file without Adobe's marker means what it says.
    let is_plain_cmyk = facts.n_components == 4 && !facts.has_adobe_marker;
    let options = DecoderOptions::default()
        .set_strict_mode(true)
        .set_max_width(IMAGE_SIDE_MAX as usize)
        .set_max_height(IMAGE_SIDE_MAX as usize)
        .jpeg_set_max_scans(JPEG_SCANS_MAX)
        .jpeg_set_out_colorspace(if is_plain_cmyk { ColorSpace::CMYK } else { ColorSpace::RGB });
    let mut decoder = JpegDecoder::new_with_options(ZCursor::new(bytes), options);
    decoder.decode_headers().map_err(corrupt)?;
    if decoder.dimensions() != Some((facts.width as usize, facts.height as usize)) {
        return Err(damaged(Format::Jpeg, "its header contradicts itself"));
    }
    let mut data = decoder.decode().map_err(corrupt)?;
    if is_plain_cmyk {
        cmyk_to_rgb(&mut data);
    }
    let image = RgbImage::new(facts.width, facts.height, data);
    image.ok_or_else(|| damaged(Format::Jpeg, "pixels are missing"))
}

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// The next marker at or after `at`, and where it ends. Skips entropy-coded data (in which FF is followed by 00), fill
/// bytes and stray bytes between segments.
fn next_marker(bytes: &[u8], mut at: usize) -> Option<(u8, usize)> {
    loop {
        at += bytes.get(at..)?.iter().position(|&byte| byte == 0xFF)? + 1;
        match *bytes.get(at)? {
            0x00 => at += 1,
            0xFF => {}
            marker => return Some((marker, at + 1)),
        }
    }
}

/// The body of the segment whose length field is at `at`.
fn segment(bytes: &[u8], at: usize) -> Option<&[u8]> {
    let n_bytes: [u8; 2] = bytes.get(at..at + 2)?.try_into().ok()?;
    bytes.get(at + 2..at + usize::from(u16::from_be_bytes(n_bytes)))
}

/// Four channels to three, in place.
fn cmyk_to_rgb(data: &mut Vec<u8>) {
    let n_pixels = data.len() / 4;
    for pixel_idx in 0..n_pixels {
        let light = 255 - u32::from(data[pixel_idx * 4 + 3]);
        for channel in 0..3 {
            let ink_free = 255 - u32::from(data[pixel_idx * 4 + channel]);
            data[pixel_idx * 3 + channel] = ((ink_free * light + 127) / 255) as u8;
        }
    }
    data.truncate(n_pixels * 3);
}

fn truncated() -> Error {
    damaged(Format::Jpeg, "it is truncated")
}

fn corrupt(err: zune_jpeg::errors::DecodeErrors) -> Error {
    damaged(Format::Jpeg, "it is truncated, damaged or of an unusual kind").with_source(err.to_string())
}
