//! Writes JPEG files of plain 8 x 8 blocks, so that tests know every pixel and can break any rule.

/// A JPEG to be.
pub(super) struct JpegWriter {
    pub(super) width: u16,
    pub(super) height: u16,
    /// The values of each 8 x 8 block, row by row: one number per component, as stored.
    pub(super) blocks: Vec<Vec<u8>>,
    /// Frame marker C2 and separate scans instead of C0.
    pub(super) progressive: bool,
    /// Passes over the fine detail after the first scan of a progressive file, each without content, of one
    /// component after the other.
    pub(super) n_extra_scans: usize,
    /// EXIF orientation, if any.
    pub(super) orientation: Option<u8>,
    /// Colour transform in an Adobe marker, if any.
    pub(super) adobe_transform: Option<u8>,
}

impl JpegWriter {
    /// A baseline file.
    pub(super) fn new(width: u16, height: u16, blocks: Vec<Vec<u8>>) -> Self {
        let (progressive, n_extra_scans, orientation, adobe_transform) = (false, 0, None, None);
        Self { width, height, blocks, progressive, n_extra_scans, orientation, adobe_transform }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let n_components = self.blocks[0].len() as u8;
        let mut file = vec![0xFF, 0xD8];
        if let Some(orientation) = self.orientation {
            segment(&mut file, 0xE1, &[b"Exif\0\0".as_slice(), &exif(orientation)].concat());
        }
        if let Some(transform) = self.adobe_transform {
            segment(&mut file, 0xEE, &[b"Adobe\0\x64\0\0\0\0".as_slice(), &[transform]].concat());
        }
        segment(&mut file, 0xDB, &[[0].as_slice(), &[1; 64]].concat());
        let mut frame = vec![8];
        frame.extend(self.height.to_be_bytes());
        frame.extend(self.width.to_be_bytes());
        frame.push(n_components);
        frame.extend((1..=n_components).flat_map(|id| [id, 0x11, 0]));
        segment(&mut file, if self.progressive { 0xC2 } else { 0xC0 }, &frame);
        // Twelve DC codes of four bits for the symbols 0 to 11, and one AC code of one bit: end of block.
        let dc_lengths = [0, 0, 0, 12, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
        segment(&mut file, 0xC4, &[[0x00].as_slice(), &dc_lengths, &(0..12).collect::<Vec<_>>()].concat());
        segment(&mut file, 0xC4, &[0x10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);

        let mut scan = vec![n_components];
        scan.extend((1..=n_components).flat_map(|id| [id, 0x00]));
        scan.extend(if self.progressive { [0, 0, 0] } else { [0, 63, 0] });
        segment(&mut file, 0xDA, &scan);
        file.extend(self.first_scan());
        for scan_idx in 0..self.n_extra_scans {
            let id = scan_idx as u8 % n_components + 1;
            segment(&mut file, 0xDA, &[1, id, 0x00, 1, 63, 0]);
            let mut bits = BitWriter::default();
            self.blocks.iter().for_each(|_| bits.push(0, 1));
            file.extend(bits.finish());
        }
        file.extend([0xFF, 0xD9]);
        file
    }

    fn first_scan(&self) -> Vec<u8> {
        let mut bits = BitWriter::default();
        let mut last = vec![0_i32; self.blocks[0].len()];
        for block in &self.blocks {
            for (component, &value) in block.iter().enumerate() {
                // With a quantiser of 1 the first coefficient is eight times the mean, counted from 128.
                let coefficient = (i32::from(value) - 128) * 8;
                let difference = coefficient - std::mem::replace(&mut last[component], coefficient);
                let n_bits = 32 - difference.unsigned_abs().leading_zeros();
                bits.push(n_bits, 4);
                let encoded = if difference < 0 { difference - 1 } else { difference };
                bits.push(encoded as u32 & ((1 << n_bits) - 1), n_bits);
                if !self.progressive {
                    bits.push(0, 1);
                }
            }
        }
        bits.finish()
    }
}

/// An EXIF block (from its TIFF header on) that says only the orientation.
pub(super) fn exif(orientation: u8) -> Vec<u8> {
    let mut block = b"MM\0\x2A\0\0\0\x08\0\x01".to_vec();
    block.extend([0x01, 0x12, 0, 3, 0, 0, 0, 1, 0, orientation, 0, 0, 0, 0, 0, 0]);
    block
}

pub(super) fn segment(file: &mut Vec<u8>, marker: u8, body: &[u8]) {
    file.extend([0xFF, marker]);
    file.extend((body.len() as u16 + 2).to_be_bytes());
    file.extend(body);
}

#[derive(Default)]
pub(super) struct BitWriter {
    bytes: Vec<u8>,
    pending: u32,
    n_pending: u32,
}

impl BitWriter {
    pub(super) fn push(&mut self, value: u32, n_bits: u32) {
        for bit_idx in (0..n_bits).rev() {
            self.pending = self.pending << 1 | (value >> bit_idx & 1);
            self.n_pending += 1;
            if self.n_pending == 8 {
                self.bytes.push(self.pending as u8);
                if self.pending == 0xFF {
                    self.bytes.push(0);
                }
                (self.pending, self.n_pending) = (0, 0);
            }
        }
    }

    pub(super) fn finish(mut self) -> Vec<u8> {
        while self.n_pending != 0 {
            self.push(1, 1);
        }
        self.bytes
    }
}
