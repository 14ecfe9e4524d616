//! The sides of a picture, from the first bytes of its file and before anything is allocated.
//!
//! Where a file states its sides in several places (WebP), all that matter to the decoder's memory are read here.

use likeness_domain::Result;

use super::{Format, damaged};

/// Width and height from the IHDR chunk, which has to come first.
pub(super) fn png_sides(bytes: &[u8]) -> Result<(u32, u32)> {
    let sides = || {
        (bytes.get(12..16)? == b"IHDR").then_some(())?;
        Some((u32::from_be_bytes(array(bytes, 16)?), u32::from_be_bytes(array(bytes, 20)?)))
    };
    sides().ok_or_else(|| damaged(Format::Png, "its header is incomplete"))
}

/// Size of the oldest header of bitmaps, which has 16-bit sides.
const CORE_HEADER_BYTES: u32 = 12;

/// Width and height of the bitmap; a negative height (rows from the top) counts as positive.
pub(super) fn bmp_sides(bytes: &[u8]) -> Result<(u32, u32)> {
    let sides = || match u32::from_le_bytes(array(bytes, 14)?) {
        CORE_HEADER_BYTES => {
            Some((u16::from_le_bytes(array(bytes, 18)?).into(), u16::from_le_bytes(array(bytes, 20)?).into()))
        }
        _ => {
            let width = u32::try_from(i32::from_le_bytes(array(bytes, 18)?)).ok()?;
            Some((width, i32::from_le_bytes(array(bytes, 22)?).unsigned_abs()))
        }
    };
    sides().ok_or_else(|| damaged(Format::Bmp, "its header is incomplete"))
}

/// Width and height of the logical screen. A frame may claim more; the decoder's memory limit deals with that.
pub(super) fn gif_sides(bytes: &[u8]) -> Result<(u32, u32)> {
    let sides = || Some((u16::from_le_bytes(array(bytes, 6)?).into(), u16::from_le_bytes(array(bytes, 8)?).into()));
    sides().ok_or_else(|| damaged(Format::Gif, "its header is incomplete"))
}

/// Width and height of the canvas; every frame found inside must fit it, since the decoder unpacks a frame before it
/// compares.
pub(super) fn webp_sides(bytes: &[u8]) -> Result<(u32, u32)> {
    let sides = || match bytes.get(12..16)? {
        b"VP8X" => Some((u24(bytes, 24)? + 1, u24(bytes, 27)? + 1)),
        _ => bitstream_sides(bytes, 12),
    };
    let sides = sides().ok_or_else(|| damaged(Format::WebP, "its header is incomplete"))?;
    let fits = |(width, height): (u32, u32)| width <= sides.0 && height <= sides.1;
    let mut at = 12;
    for _ in 0..CHUNKS_MAX {
        let Some((kind, n_bytes)) = chunk_at(bytes, at) else { return Ok(sides) };
        // An animation frame has a header of 16 bytes and then chunks of its own.
        let inner = if kind == b"ANMF" { at + 8 + 16 } else { at };
        for frame_at in frame_chunks(bytes, inner) {
            if bitstream_sides(bytes, frame_at).is_some_and(|frame| !fits(frame)) {
                return Err(damaged(Format::WebP, "a frame is larger than its canvas"));
            }
        }
        if kind == b"ANMF" {
            // Only the first frame is decoded.
            return Ok(sides);
        }
        at = at.saturating_add(8).saturating_add(n_bytes.next_multiple_of(2));
    }
    Err(damaged(Format::WebP, "it has too many chunks before its first frame"))
}

/// Real files have fewer than ten chunks.
const CHUNKS_MAX: usize = 1000;

/// The chunk at `at`, and the one after it if that is where the pixels follow their transparency.
fn frame_chunks(bytes: &[u8], at: usize) -> impl Iterator<Item = usize> {
    let after_alpha = match chunk_at(bytes, at) {
        Some((b"ALPH", n_bytes)) => Some(at + 8 + n_bytes.next_multiple_of(2)),
        _ => None,
    };
    std::iter::once(at).chain(after_alpha)
}

/// Kind and number of bytes of the RIFF chunk that starts at `at`.
pub(super) fn chunk_at(bytes: &[u8], at: usize) -> Option<(&[u8], usize)> {
    let kind = bytes.get(at..at.checked_add(4)?)?;
    Some((kind, u32::from_le_bytes(array(bytes, at + 4)?) as usize))
}

/// Sides in a `VP8 ` (lossy) or `VP8L` (lossless) chunk that starts at `at`.
fn bitstream_sides(bytes: &[u8], at: usize) -> Option<(u32, u32)> {
    match chunk_at(bytes, at)?.0 {
        b"VP8 " => {
            let side = |at| Some(u32::from(u16::from_le_bytes(array(bytes, at)?) & 0x3FFF));
            Some((side(at + 14)?, side(at + 16)?))
        }
        b"VP8L" => {
            let bits = u32::from_le_bytes(array(bytes, at + 9)?);
            Some(((bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1))
        }
        _ => None,
    }
}

/// Bytes besides the pixels that the decoder holds: of a PNG its EXIF, which is there twice for a moment. Other texts and profiles
/// are passed over.
pub(super) fn side_bytes(format: Format, bytes: &[u8]) -> u64 {
    match format {
        Format::Png => {
            let exif = png_chunks(bytes).filter(|(kind, _)| *kind == b"eXIf").map(|(_, n_bytes)| n_bytes as u64);
            2 * exif.max().unwrap_or(0).min(bytes.len() as u64)
        }
        _ => 0,
    }
}

/// Kinds and lengths of the chunks of a PNG, as far as the file goes.
fn png_chunks(bytes: &[u8]) -> impl Iterator<Item = (&[u8], usize)> {
    let mut at = 8_usize;
    std::iter::from_fn(move || {
        let n_bytes = u32::from_be_bytes(array(bytes, at)?) as usize;
        let kind = bytes.get(at + 4..at + 8)?;
        // Length, kind and checksum.
        at = at.saturating_add(12).saturating_add(n_bytes);
        Some((kind, n_bytes))
    })
}

fn u24(bytes: &[u8], at: usize) -> Option<u32> {
    let [low, middle, high] = array(bytes, at)?;
    Some(u32::from_le_bytes([low, middle, high, 0]))
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> Option<[u8; N]> {
    bytes.get(at..at.checked_add(N)?)?.try_into().ok()
}

/// The 16-bit number at `at`, the high byte first if `is_big`.
pub(super) fn u16_at(bytes: &[u8], at: usize, is_big: bool) -> Option<u16> {
    let number = array(bytes, at)?;
    Some(if is_big { u16::from_be_bytes(number) } else { u16::from_le_bytes(number) })
}

/// The 32-bit number at `at`, the high byte first if `is_big`.
pub(super) fn u32_at(bytes: &[u8], at: usize, is_big: bool) -> Option<u32> {
    let number = array(bytes, at)?;
    Some(if is_big { u32::from_be_bytes(number) } else { u32::from_le_bytes(number) })
}

/// Most bytes for each pixel that decoding at full size holds at once, the finished picture included.
pub(super) fn bytes_per_pixel(format: Format, bytes: &[u8]) -> u64 {
    match format {
        Format::Jpeg => 3,
        Format::Png => {
            let sixteen_bits = u64::from(bytes.get(24) == Some(&16)) + 1;
            // A colour may be said to be transparent, which adds a channel.
            let has_transparency = u64::from(png_chunks(bytes).any(|(kind, _)| kind == b"tRNS"));
            match bytes.get(25) {
                // Values as stored, and as RGB.
                Some(0) => (1 + has_transparency) * sixteen_bits + 3,
                Some(4) => 2 * sixteen_bits + 3,
                // Made RGB in place.
                Some(2 | 3) => (3 + has_transparency) * sixteen_bits,
                _ => 4 * sixteen_bits,
            }
        }
        Format::Bmp => {
            let is_core = u32_at(bytes, 14, false) == Some(CORE_HEADER_BYTES);
            match u16_at(bytes, if is_core { 24 } else { 28 }, false) {
                Some(16 | 32) => 4,
                _ => 3,
            }
        }
        // The places in the palette and the canvas.
        Format::Gif => 5,
        Format::WebP => match bytes.get(12..16) {
            // Unpacked as RGBA, and copied as RGB unless it is transparent.
            Some(b"VP8L") if bytes.get(24).is_some_and(|flags| flags & 0x10 != 0) => 4,
            Some(b"VP8L") => 7,
            // Planes of luma and halved chroma, and RGB.
            Some(b"VP8 ") => 5,
            // Canvas, frame and result of an animation; else whichever of the others is largest.
            _ if bytes.get(20).is_some_and(|flags| flags & 0x02 != 0) => 12,
            _ => 7,
        },
    }
}
