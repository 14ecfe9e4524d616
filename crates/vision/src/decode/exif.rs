//! The orientation in EXIF data: one number of a TIFF directory, found without reading anything else.
//!
//! What cannot be read counts as upright: damaged EXIF data is common and the picture is whole.

use super::header::{chunk_at, u16_at, u32_at};
use crate::raster::ExifOrientation;

/// TIFF tag of the orientation.
const ORIENTATION: u16 = 0x0112;
/// More entries than any camera writes.
const ENTRIES_MAX: u16 = 512;
/// More chunks than any encoder writes before the EXIF data.
const CHUNKS_MAX: usize = 100_000;

/// The orientation in a block that starts at its TIFF header (`II*\0` or `MM\0*`), in whichever whole-number type it
/// is stored (the standard says SHORT; LONG and BYTE are found too).
pub(super) fn orientation(block: &[u8]) -> ExifOrientation {
    read(block).and_then(ExifOrientation::new).unwrap_or(ExifOrientation::UPRIGHT)
}

fn read(block: &[u8]) -> Option<u8> {
    let is_big = match block.get(..4)? {
        b"MM\0\x2A" => true,
        b"II\x2A\0" => false,
        _ => return None,
    };
    let short = |at: usize| u16_at(block, at, is_big);
    let long = |at: usize| u32_at(block, at, is_big);
    let directory = long(4)? as usize;
    let n_entries = short(directory)?;
    for entry_idx in 0..n_entries.min(ENTRIES_MAX) {
        let entry = directory.checked_add(2 + 12 * usize::from(entry_idx))?;
        if short(entry)? != ORIENTATION {
            continue;
        }
        // A value of at most four bytes stands at the start of the field, whatever the byte order.
        let value = match short(entry + 2)? {
            1 | 6 | 7 => u32::from(*block.get(entry + 8)?),
            3 | 8 => u32::from(short(entry + 8)?),
            4 | 9 => long(entry + 8)?,
            _ => return None,
        };
        return u8::try_from(value).ok();
    }
    None
}

/// The orientation in the chunk `eXIf` of a PNG file, which may stand before or after the pixels.
pub(super) fn of_png(bytes: &[u8]) -> ExifOrientation {
    let mut at = 8_usize;
    for _ in 0..CHUNKS_MAX {
        let Some(n_bytes) = u32_at(bytes, at, true) else { break };
        let Some(body) = at.checked_add(8).filter(|&body| body <= bytes.len()) else { break };
        let end = body.saturating_add(n_bytes as usize);
        if &bytes[at + 4..body] == b"eXIf" {
            return bytes.get(body..end).map_or(ExifOrientation::UPRIGHT, orientation);
        }
        at = end.saturating_add(4);
    }
    ExifOrientation::UPRIGHT
}

/// The orientation in the chunk `EXIF` of a WebP file, which stands after the pixels. Some writers begin it as in a
/// JPEG file.
pub(super) fn of_webp(bytes: &[u8]) -> ExifOrientation {
    let mut at = 12_usize;
    for _ in 0..CHUNKS_MAX {
        let Some((kind, n_bytes)) = chunk_at(bytes, at) else { break };
        let body = at + 8;
        if kind == b"EXIF" {
            let block = bytes.get(body..body.saturating_add(n_bytes)).unwrap_or_default();
            return orientation(block.strip_prefix(b"Exif\0\0").unwrap_or(block));
        }
        at = body.saturating_add(n_bytes).saturating_add(n_bytes % 2);
    }
    ExifOrientation::UPRIGHT
}
