//! What the segments of a JPEG file say: frame, tables, scans (ITU T.81, annex B).

use super::huffman::{STANDARD, Table};
use super::{Facts, Fault};

/// Frame header with the geometry that follows from it.
#[derive(Debug)]
pub(super) struct Frame {
    pub(super) width: usize,
    pub(super) height: usize,
    pub(super) is_progressive: bool,
    pub(super) components: Vec<Component>,
    /// Largest sampling factors: an MCU covers `8 h_max` x `8 v_max` pixels.
    pub(super) h_max: usize,
    pub(super) v_max: usize,
    pub(super) mcus_across: usize,
    pub(super) mcus_down: usize,
}

/// One colour channel.
#[derive(Debug, Clone)]
pub(super) struct Component {
    pub(super) id: u8,
    /// Blocks of an MCU across and down: the sampling factors.
    pub(super) h: usize,
    pub(super) v: usize,
    pub(super) quantisation_idx: usize,
    /// Samples of the picture, without what fills up the last blocks.
    pub(super) width: usize,
    pub(super) height: usize,
}

impl Component {
    /// Blocks across and down in a scan of this component alone.
    pub(super) fn blocks(&self) -> (usize, usize) {
        (self.width.div_ceil(8), self.height.div_ceil(8))
    }
}

impl Frame {
    /// Reads the body of a frame header with this marker.
    pub(super) fn read(marker: u8, body: &[u8]) -> Result<Self, Fault> {
        let (&[precision, h1, h0, w1, w0, n_components], entries) = body.split_first_chunk().ok_or(Fault::Truncated)?;
        // Baseline, extended sequential and progressive, with Huffman codes.
        if !matches!(marker, 0xC0..=0xC2) || precision != 8 {
            return Err(Fault::Unusual);
        }
        let (width, height) = (usize::from(u16::from_be_bytes([w1, w0])), usize::from(u16::from_be_bytes([h1, h0])));
        if width == 0 || height == 0 {
            return Err(Fault::Unusual);
        }
        let (entries, _) = entries.as_chunks::<3>();
        if !matches!(n_components, 1 | 3 | 4) || entries.len() < usize::from(n_components) {
            return Err(Fault::Unusual);
        }
        let mut components = Vec::with_capacity(4);
        for &[id, sampling, quantisation_idx] in &entries[..usize::from(n_components)] {
            let (h, v) = (usize::from(sampling >> 4), usize::from(sampling & 15));
            let quantisation_idx = usize::from(quantisation_idx);
            if !(1..=4).contains(&h) || !(1..=4).contains(&v) || quantisation_idx > 3 {
                return Err(Fault::Damaged);
            }
            // The blocks of a component that is alone come row by row whatever its factors are.
            let (h, v) = if n_components == 1 { (1, 1) } else { (h, v) };
            components.push(Component { id, h, v, quantisation_idx, width: 0, height: 0 });
        }
        let h_max = components.iter().map(|component| component.h).max().unwrap_or(1);
        let v_max = components.iter().map(|component| component.v).max().unwrap_or(1);
        for component in &mut components {
            component.width = (width * component.h).div_ceil(h_max);
            component.height = (height * component.v).div_ceil(v_max);
        }
        let (mcus_across, mcus_down) = (width.div_ceil(8 * h_max), height.div_ceil(8 * v_max));
        let is_progressive = marker == 0xC2;
        Ok(Self { width, height, is_progressive, components, h_max, v_max, mcus_across, mcus_down })
    }
}

/// Tables in force.
pub(super) struct Tables {
    pub(super) quantisation: [Option<[u16; 64]>; 4],
    pub(super) dc: [Option<Table>; 4],
    pub(super) ac: [Option<Table>; 4],
    /// MCUs between restart markers; 0 for none.
    pub(super) restart_interval: usize,
}

impl Tables {
    /// None yet, but for the standard Huffman codes, which files without codes of their own mean.
    pub(super) fn new() -> Self {
        let [luma_dc, luma_ac, chroma_dc, chroma_ac] = STANDARD.map(|(counts, symbols)| Table::new(counts, symbols));
        Self {
            quantisation: [None; 4],
            dc: [luma_dc, chroma_dc, None, None],
            ac: [luma_ac, chroma_ac, None, None],
            restart_interval: 0,
        }
    }

    /// Reads the body of a segment that defines tables; others are passed over.
    pub(super) fn read(&mut self, marker: u8, body: &[u8]) -> Result<(), Fault> {
        match marker {
            0xC4 => self.read_huffman(body),
            0xDB => self.read_quantisation(body),
            0xDD => {
                let interval = body.first_chunk().ok_or(Fault::Truncated)?;
                self.restart_interval = u16::from_be_bytes(*interval).into();
                Ok(())
            }
            // Arithmetic coding; the number of lines given later.
            0xCC | 0xDC => Err(Fault::Unusual),
            _ => Ok(()),
        }
    }

    fn read_huffman(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((&class_and_idx, rest)) = body.split_first() {
            let (counts, rest) = rest.split_first_chunk::<16>().ok_or(Fault::Damaged)?;
            let n_symbols = counts.iter().map(|&count| usize::from(count)).sum();
            let (symbols, rest) = rest.split_at_checked(n_symbols).ok_or(Fault::Damaged)?;
            let tables = if class_and_idx >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(class_and_idx & 15)).ok_or(Fault::Damaged)?;
            *slot = Some(Table::new(counts, symbols).ok_or(Fault::Damaged)?);
            body = rest;
        }
        Ok(())
    }

    fn read_quantisation(&mut self, mut body: &[u8]) -> Result<(), Fault> {
        while let Some((&precision_and_idx, rest)) = body.split_first() {
            let slot = self.quantisation.get_mut(usize::from(precision_and_idx & 15)).ok_or(Fault::Damaged)?;
            if precision_and_idx >> 4 == 0 {
                let (values, rest) = rest.split_first_chunk::<64>().ok_or(Fault::Damaged)?;
                *slot = Some(values.map(u16::from));
                body = rest;
            } else {
                let (values, rest) = rest.split_first_chunk::<128>().ok_or(Fault::Damaged)?;
                *slot = Some(std::array::from_fn(|idx| u16::from_be_bytes([values[2 * idx], values[2 * idx + 1]])));
                body = rest;
            }
        }
        Ok(())
    }
}

/// Header of a scan.
pub(super) struct Scan {
    pub(super) components: Vec<ScanComponent>,
    /// First and last coefficient, in zigzag order.
    pub(super) first: usize,
    pub(super) last: usize,
    /// Bits of lower value that were left out so far, and are left out by this scan (progressive).
    pub(super) high: u32,
    pub(super) low: u32,
}

/// Which component a scan has, and which codes it uses.
#[derive(Clone, Copy)]
pub(super) struct ScanComponent {
    pub(super) component_idx: usize,
    pub(super) dc_idx: usize,
    pub(super) ac_idx: usize,
}

impl Scan {
    /// Reads the body of a scan header.
    pub(super) fn read(body: &[u8], frame: &Frame) -> Result<Self, Fault> {
        let (&n_components, rest) = body.split_first().ok_or(Fault::Damaged)?;
        let (entries, rest) = rest.split_at_checked(2 * usize::from(n_components)).ok_or(Fault::Damaged)?;
        let &[first, last, bits, ..] = rest else { return Err(Fault::Damaged) };
        let mut components = Vec::with_capacity(4);
        for entry in entries.chunks_exact(2) {
            let component_idx = frame.components.iter().position(|component| component.id == entry[0]);
            let component_idx = component_idx.ok_or(Fault::Damaged)?;
            if components.iter().any(|other: &ScanComponent| other.component_idx == component_idx) {
                return Err(Fault::Damaged);
            }
            let (dc_idx, ac_idx) = (usize::from(entry[1] >> 4), usize::from(entry[1] & 15));
            if dc_idx > 3 || ac_idx > 3 {
                return Err(Fault::Damaged);
            }
            components.push(ScanComponent { component_idx, dc_idx, ac_idx });
        }
        let blocks: usize = components.iter().map(|c| &frame.components[c.component_idx]).map(|c| c.h * c.v).sum();
        if components.is_empty() || (components.len() > 1 && blocks > 10) {
            return Err(Fault::Damaged);
        }
        let (first, last) = (usize::from(first), usize::from(last));
        let (high, low) = (u32::from(bits >> 4), u32::from(bits & 15));
        if !frame.is_progressive {
            // Some writers leave these numbers 0; there is only one lawful choice.
            return Ok(Self { components, first: 0, last: 63, high: 0, low: 0 });
        }
        let is_lawful = if first == 0 { last == 0 } else { last <= 63 && first <= last && components.len() == 1 };
        if !is_lawful || low > 13 || (high != 0 && high != low + 1) {
            return Err(Fault::Damaged);
        }
        Ok(Self { components, first, last, high, low })
    }
}

/// How components make colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ColourModel {
    /// One component.
    Grey,
    /// Red, green, blue as they are.
    Rgb,
    /// Luma and two chroma components (JFIF: ITU-R BT.601, full range).
    YCbCr,
    /// Four inks; `is_inverted`: 255 is no ink, as Adobe stores it.
    Cmyk { is_inverted: bool },
    /// Luma and chroma of the (inverted) first three inks, then black.
    Ycck,
}

impl ColourModel {
    /// The model that a file means. JFIF wins over Adobe's marker, and both over the components' names, as in libjpeg.
    pub(super) fn of(frame: &Frame, facts: &Facts) -> Self {
        let ids: Vec<u8> = frame.components.iter().map(|component| component.id).collect();
        match (frame.components.len(), facts.adobe_transform) {
            (1, _) => ColourModel::Grey,
            (4, Some(2)) => ColourModel::Ycck,
            (4, adobe) => ColourModel::Cmyk { is_inverted: adobe.is_some() },
            _ if facts.is_jfif => ColourModel::YCbCr,
            (_, Some(0)) => ColourModel::Rgb,
            (_, Some(_)) => ColourModel::YCbCr,
            (_, None) if ids == *b"RGB" => ColourModel::Rgb,
            _ => ColourModel::YCbCr,
        }
    }
}
