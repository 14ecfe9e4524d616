//! JPEG: Huffman-coded files of 8 bits, baseline, extended or progressive, decoded in Rust whose only unsafe code is the
//! vector instructions in `kernel`, which see whole rows and blocks and no byte of the file.
//!
//! Why a decoder of our own: photographs come with 12 megapixels and more, and faces are found on a fraction of them.
//! Reduced by an averaging transform while it is decoded, such a picture costs little more than reading its bits, and
//! none of its full size is ever in memory. `zune-jpeg` has no reduced decoding, takes an early end marker for the end
//! of the picture, and refuses files that other readers show; libjpeg-turbo can reduce, but is C that would read
//! strangers' bytes, and needs more than Rust and a C compiler to build.
//!
//! What is tolerated and what is refused (held by `tests::jpeg::rules`):
//!
//! | In the file | Answer |
//! |---|---|
//! | grey, YCbCr (any sampling factors), RGB, CMYK, YCCK; baseline, extended, progressive; restart markers | read |
//! | JFIF and Adobe markers that contradict each other | JFIF wins: YCbCr |
//! | no Huffman tables | the standard ones are meant |
//! | no end marker, or bytes after it | read, if all pixels are there |
//! | stray bytes between segments, or before a restart or the end marker | passed over |
//! | EXIF damaged, or behind other segments | orientation as far as it can be read |
//! | pixels missing, with or without an end marker | refused as truncated |
//! | progressive with detail missing | refused as truncated |
//! | codes or numbers that cannot be, a restart marker out of turn, two frame headers | refused as damaged |
//! | more than [`JPEG_SCANS_MAX`] scans | refused |
//! | 12 bits, arithmetic or lossless coding, two components, height given later | refused as unusual |

use likeness_domain::Error;
use likeness_domain::limits::JPEG_SCANS_MAX;

use self::frame::{ColourModel, Frame, Scan, Tables};
use self::huffman::Bits;
#[cfg(test)]
pub(super) use self::huffman::STANDARD;
use self::idct::{COLUMN_ORDER, byte, factors, transform};
use self::kernel::{BlockValues, PLACE, flat_sample};
use self::render::{Renderer, Shape};
use self::scan::{Coefficients, Nowhere, Sink, Stored, ac_coefficients};
use super::{Format, Reduction, damaged, exif, too_many_scans};
use crate::raster::{ExifOrientation, RgbImage};

mod frame;
mod huffman;
mod idct;
mod kernel;
mod render;
mod scan;

/// What the segments before the first scan say.
#[derive(Debug)]
pub(super) struct Facts {
    pub(super) width: u32,
    pub(super) height: u32,
    pub(super) orientation: ExifOrientation,
    is_jfif: bool,
    adobe_transform: Option<u8>,
    frame: Frame,
    /// Whether the first scan has everything, so that pixels are made as it is read.
    is_streamed: bool,
}

/// Why a file cannot be decoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    Truncated,
    Damaged,
    Unusual,
    TooManyScans,
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Error {
        match fault {
            Fault::Truncated => damaged(Format::Jpeg, "it is truncated"),
            Fault::Damaged => damaged(Format::Jpeg, "it is damaged"),
            Fault::Unusual => damaged(Format::Jpeg, "it is of an unusual kind, expected 8 bits and Huffman coding")
                .with_hint("export it as an ordinary JPEG"),
            Fault::TooManyScans => too_many_scans(),
        }
    }
}

impl Facts {
    /// Most bytes that decoding holds at once, the finished picture included.
    pub(super) fn memory_bytes(&self, reduction: Reduction) -> u64 {
        let frame = &self.frame;
        let coefficients: usize = if self.is_streamed {
            0
        } else {
            let n_blocks = |one: &frame::Component| one.h * one.v * frame.mcus_across * frame.mcus_down;
            frame.components.iter().map(n_blocks).sum::<usize>() * Coefficients::BLOCK_BYTES
        };
        (Renderer::n_bytes(frame, reduction) + coefficients) as u64
    }
}

/// Reads the segments up to the first scan.
pub(super) fn survey(bytes: &[u8]) -> likeness_domain::Result<Facts> {
    let (mut frame, mut is_jfif, mut adobe_transform, mut orientation) = (None, false, None, None);
    let mut at = 2;
    loop {
        let (marker, body) = next_segment(bytes, &mut at).ok_or(Fault::Truncated)?;
        match marker {
            END_OF_IMAGE => return Err(damaged(Format::Jpeg, "it has no pixels")),
            0xE0 => is_jfif |= body.starts_with(b"JFIF\0"),
            0xE1 if orientation.is_none() => {
                orientation = body.strip_prefix(b"Exif\0").and_then(|rest| rest.get(1..)).map(exif::orientation);
            }
            0xEE if body.starts_with(b"Adobe") => adobe_transform = body.get(11).copied().or(adobe_transform),
            START_OF_SCAN => {
                let frame: Frame = frame.ok_or_else(|| damaged(Format::Jpeg, "it has no frame header"))?;
                let scan = Scan::read(body, &frame)?;
                return Ok(Facts {
                    width: frame.width as u32,
                    height: frame.height as u32,
                    orientation: orientation.unwrap_or(ExifOrientation::UPRIGHT),
                    is_jfif,
                    adobe_transform,
                    is_streamed: !frame.is_progressive && scan.components.len() == frame.components.len(),
                    frame,
                });
            }
            _ if is_frame_header(marker) => {
                let earlier = frame.replace(Frame::read(marker, body)?);
                if earlier.is_some() {
                    return Err(damaged(Format::Jpeg, "it has two frame headers"));
                }
            }
            _ => {}
        }
    }
}

/// Decodes a surveyed file whose sides have been checked.
pub(super) fn decode(bytes: &[u8], facts: &Facts, reduction: Reduction) -> likeness_domain::Result<RgbImage> {
    let mut renderer = Renderer::new(&facts.frame, ColourModel::of(&facts.frame, facts), reduction);
    if facts.is_streamed {
        stream_file(bytes, &facts.frame, &mut renderer)?;
    } else {
        store_file(bytes, &facts.frame, &mut renderer)?;
    }
    let (width, height, data) = renderer.finish();
    RgbImage::new(width as u32, height as u32, data).ok_or_else(|| damaged(Format::Jpeg, "pixels are missing"))
}

/// Reads the tables and the only scan; what comes after it is not looked at.
fn stream_file(bytes: &[u8], frame: &Frame, renderer: &mut Renderer) -> Result<(), Fault> {
    let mut tables = Tables::new();
    let mut at = 2;
    loop {
        let (marker, body) = next_segment(bytes, &mut at).ok_or(Fault::Truncated)?;
        match marker {
            START_OF_SCAN => {
                let scan = Scan::read(body, frame)?;
                return stream(bytes, at, (frame, &scan, &tables), renderer);
            }
            _ => tables.read(marker, body)?,
        }
    }
}

/// Reads all scans into memory, then makes the pixels.
fn store_file(bytes: &[u8], frame: &Frame, renderer: &mut Renderer) -> Result<(), Fault> {
    let mut tables = Tables::new();
    let blocks = |one: &frame::Component| (one.h * frame.mcus_across, one.v * frame.mcus_down);
    let mut stored: Vec<_> =
        frame.components.iter().map(blocks).map(|(across, down)| Coefficients::new(across, down)).collect();
    // A component keeps the table it had when its first scan came.
    let mut quantisation = vec![None; frame.components.len()];
    let (mut at, mut n_scans, mut n_frames) = (2, 0, 0);
    while let Some((marker, body)) = next_segment(bytes, &mut at) {
        match marker {
            END_OF_IMAGE => break,
            START_OF_SCAN => {
                n_scans += 1;
                if n_scans > JPEG_SCANS_MAX {
                    return Err(Fault::TooManyScans);
                }
                let scan = Scan::read(body, frame)?;
                for part in &scan.components {
                    let table = tables.quantisation[frame.components[part.component_idx].quantisation_idx];
                    let kept = &mut quantisation[part.component_idx];
                    *kept = kept.or(table);
                }
                at = scan::read(bytes, at, (frame, &scan, &tables), &mut stored)?;
            }
            _ if is_frame_header(marker) => {
                n_frames += 1;
                if n_frames > 1 {
                    return Err(Fault::Damaged);
                }
            }
            _ => tables.read(marker, body)?,
        }
    }
    if !stored.iter().all(Coefficients::is_complete) {
        return Err(Fault::Truncated);
    }
    let mut transforms = Vec::with_capacity(stored.len());
    for (plane, table) in renderer.planes.iter().zip(&quantisation) {
        transforms.push(Transform::new(table.as_ref().ok_or(Fault::Damaged)?, plane.shape));
    }
    let kernel = renderer.kernel;
    for mcu_row in 0..frame.mcus_down {
        for (component_idx, component) in frame.components.iter().enumerate() {
            let (stored, plane) = (&stored[component_idx], &mut renderer.planes[component_idx]);
            for row in mcu_row * component.v..(mcu_row + 1) * component.v {
                for column in 0..stored.blocks_across {
                    let block = stored.block(column, row);
                    match &transforms[component_idx] {
                        Transform::Full { quantisers } if stored.is_flat(column, row) => {
                            plane.fill(column, row, flat_sample(block[0], quantisers[0]));
                        }
                        Transform::Full { quantisers } => {
                            plane.put_full(column, row, &(kernel.transform)(block, quantisers));
                        }
                        Transform::Reduced { factors } => {
                            let mut values = [0.0; 64];
                            for zigzag_idx in 0..64 {
                                let value = f32::from(block[usize::from(PLACE[zigzag_idx]) & 63]);
                                values[usize::from(COLUMN_ORDER[zigzag_idx]) & 63] = value * factors[zigzag_idx];
                            }
                            plane.put(
                                column,
                                row,
                                &transform(&values, plane.shape.block_width, plane.shape.block_height),
                            );
                        }
                    }
                }
            }
        }
        renderer.advance(mcu_row + 1);
    }
    Ok(())
}

/// How the blocks of a component become samples, with its quantisation table made ready for that.
enum Transform {
    /// Eight by eight samples, in whole numbers.
    Full { quantisers: BlockValues },
    /// Fewer: means, in floating point.
    Reduced { factors: [f32; 64] },
}

impl Transform {
    fn new(table: &[u16; 64], shape: Shape) -> Self {
        if !shape.is_full() {
            return Transform::Reduced { factors: factors(table, shape.block_width, shape.block_height) };
        }
        let mut quantisers = [0; 64];
        for (&place, &quantiser) in PLACE.iter().zip(table) {
            quantisers[usize::from(place)] = quantiser as i16;
        }
        Transform::Full { quantisers }
    }
}

/// Coefficients of a block in columns, multiplied with their factors.
struct Block<'a> {
    values: &'a mut [f32; 64],
    factors: &'a [f32; 64],
}

impl Sink for Block<'_> {
    #[inline(always)]
    fn put(&mut self, zigzag_idx: usize, value: i32) {
        let place = usize::from(COLUMN_ORDER[zigzag_idx & 63]) & 63;
        self.values[place] = value as f32 * self.factors[zigzag_idx & 63];
    }
}

/// Sums of coefficients for two by two samples: even, odd across, odd down, odd in both directions.
struct Four<'a> {
    sums: [f32; 4],
    factors: &'a [f32; 64],
}

/// Which sum of [`Four`] each coefficient (in zigzag order) belongs to. Those that are even and not 0 have the factor 0.
const SUM_OF: [u8; 64] = {
    let mut sums = [0; 64];
    let mut zigzag_idx = 0;
    while zigzag_idx < 64 {
        let place = COLUMN_ORDER[zigzag_idx];
        sums[zigzag_idx] = place / 8 % 2 + place % 2 * 2;
        zigzag_idx += 1;
    }
    sums
};

impl Sink for Four<'_> {
    #[inline(always)]
    fn put(&mut self, zigzag_idx: usize, value: i32) {
        let sum_idx = usize::from(SUM_OF[zigzag_idx & 63]) & 3;
        self.sums[sum_idx] += value as f32 * self.factors[zigzag_idx & 63];
    }
}

impl Four<'_> {
    fn samples(&self) -> [[f32; 2]; 2] {
        let [even, across, down, both] = self.sums;
        [
            [even + across + down + both, even - across + down - both],
            [even + across - down - both, even - across - down + both],
        ]
    }
}

/// Reads a scan of all components of a sequential file, making pixels as it goes.
fn stream(
    data: &[u8],
    at: usize,
    (frame, scan, tables): (&Frame, &Scan, &Tables),
    renderer: &mut Renderer,
) -> Result<(), Fault> {
    let mut parts = Vec::with_capacity(scan.components.len());
    for part in &scan.components {
        let component = &frame.components[part.component_idx];
        let quantisation = tables.quantisation[component.quantisation_idx].as_ref().ok_or(Fault::Damaged)?;
        let dc = tables.dc[part.dc_idx].as_ref().ok_or(Fault::Damaged)?;
        let ac = tables.ac[part.ac_idx].as_ref().ok_or(Fault::Damaged)?;
        let transform = Transform::new(quantisation, renderer.planes[part.component_idx].shape);
        parts.push((part.component_idx, component, (dc, ac), transform));
    }
    let kernel = renderer.kernel;
    let mut bits = Bits::new(data, at);
    let mut last_dc = [0_i32; 4];
    let (mut values, mut coefficients) = ([0.0_f32; 64], [0; 64]);
    let (mut n_left, mut restart_idx) = (tables.restart_interval, 0);
    for mcu_row in 0..frame.mcus_down {
        for mcu_column in 0..frame.mcus_across {
            if tables.restart_interval > 0 {
                if n_left == 0 {
                    bits = bits.restarted(restart_idx)?;
                    last_dc = [0; 4];
                    (n_left, restart_idx) = (tables.restart_interval, (restart_idx + 1) & 7);
                }
                n_left -= 1;
            }
            for (component_idx, component, (dc, ac), how) in &parts {
                let plane = &mut renderer.planes[*component_idx];
                let last_dc = &mut last_dc[*component_idx & 3];
                for row in mcu_row * component.v..(mcu_row + 1) * component.v {
                    for column in mcu_column * component.h..(mcu_column + 1) * component.h {
                        *last_dc = last_dc.wrapping_add(bits.dc_difference(dc)?);
                        let factors = match how {
                            Transform::Full { quantisers } => {
                                let n_places = ac_coefficients(&mut bits, ac, &mut Stored(&mut coefficients))?;
                                if n_places == 1 {
                                    plane.fill(column, row, flat_sample(*last_dc as i16, quantisers[0]));
                                } else {
                                    coefficients[0] = *last_dc as i16;
                                    plane.put_full(column, row, &(kernel.transform)(&coefficients, quantisers));
                                    coefficients = [0; 64];
                                }
                                continue;
                            }
                            Transform::Reduced { factors } => factors,
                        };
                        let mean = *last_dc as f32 * factors[0];
                        match (plane.shape.block_width, plane.shape.block_height) {
                            (1, 1) => {
                                ac_coefficients(&mut bits, ac, &mut Nowhere)?;
                                plane.fill(column, row, byte(mean));
                            }
                            (2, 2) => {
                                let mut four = Four { sums: [mean, 0.0, 0.0, 0.0], factors };
                                ac_coefficients(&mut bits, ac, &mut four)?;
                                plane.put_four(column, row, four.samples());
                            }
                            (block_width, block_height) => {
                                values[0] = mean;
                                let mut block = Block { values: &mut values, factors };
                                if ac_coefficients(&mut bits, ac, &mut block)? == 1 {
                                    plane.fill(column, row, byte(mean));
                                } else {
                                    plane.put(column, row, &transform(&values, block_width, block_height));
                                    values.fill(0.0);
                                }
                            }
                        }
                    }
                }
            }
        }
        if bits.is_overdrawn() {
            return Err(Fault::Truncated);
        }
        renderer.advance(mcu_row + 1);
    }
    Ok(())
}

const END_OF_IMAGE: u8 = 0xD9;
const START_OF_SCAN: u8 = 0xDA;

/// Frame headers are C0 to CF but for the tables C4 and CC and the reserved C8.
fn is_frame_header(marker: u8) -> bool {
    matches!(marker, 0xC0..=0xCF) && !matches!(marker, 0xC4 | 0xC8 | 0xCC)
}

/// The next segment at or after `at`, which is moved behind it: its marker and body. `None` where the file ends.
fn next_segment<'a>(bytes: &'a [u8], at: &mut usize) -> Option<(u8, &'a [u8])> {
    loop {
        let (marker, after) = next_marker(bytes, *at)?;
        *at = after;
        match marker {
            // Without a body: TEM, restart markers, start of image.
            0x01 | 0xD0..=0xD8 => {}
            END_OF_IMAGE => return Some((marker, &[])),
            _ => {
                let n_bytes = u16::from_be_bytes(*bytes.get(after..)?.first_chunk()?);
                let body = bytes.get(after + 2..after + usize::from(n_bytes))?;
                *at = after + usize::from(n_bytes);
                return Some((marker, body));
            }
        }
    }
}

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
