//! Baseline JPEG files of random coefficients, coded with the standard Huffman tables.

use proptest::prelude::*;

use super::jpeg_writer::{BitWriter, segment};
use crate::decode::jpeg::STANDARD;

#[derive(Debug, Clone)]
pub(super) struct RandomJpeg {
    width: u16,
    height: u16,
    /// Sampling factors of the first of three components; `None` for grey.
    sampling: Option<(u8, u8)>,
    quantiser: u8,
    restart_interval: u16,
    /// For each block in turn, again from the start when they are used up: coefficients as zigzag place and value.
    blocks: Vec<Vec<(u8, i16)>>,
}

impl RandomJpeg {
    pub(super) fn any() -> impl Strategy<Value = Self> {
        let sampling = prop_oneof![Just(None), (1_u8..=2, 1_u8..=2).prop_map(Some)];
        let value = prop_oneof![4 => -3_i16..=3, 1 => -60_i16..=60];
        let block = prop::collection::vec((0_u8..64, value), 0..12);
        let blocks = prop::collection::vec(block, 1..40);
        (1_u16..80, 1_u16..80, sampling, 1_u8..8, 0_u16..5, blocks).prop_map(
            |(width, height, sampling, quantiser, restart_interval, blocks)| Self {
                width,
                height,
                sampling,
                quantiser,
                restart_interval,
                blocks,
            },
        )
    }

    /// Largest difference between two right decoders: roundings of the transform and of the colours. None where chroma
    /// is enlarged, for which there are several filters.
    pub(super) fn tolerance(&self) -> Option<u8> {
        match self.sampling {
            None => Some(1),
            Some((1, 1)) => Some(4),
            _ => None,
        }
    }

    pub(super) fn write(&self) -> Vec<u8> {
        let mut file = vec![0xFF, 0xD8];
        segment(&mut file, 0xDB, &[[0].as_slice(), &[self.quantiser; 64]].concat());
        let components: Vec<(u8, u8)> = match self.sampling {
            None => vec![(1, 1)],
            Some(luma) => vec![luma, (1, 1), (1, 1)],
        };
        let mut frame = vec![8];
        frame.extend(self.height.to_be_bytes());
        frame.extend(self.width.to_be_bytes());
        frame.push(components.len() as u8);
        let ids = 1..=components.len() as u8;
        frame.extend(ids.clone().zip(&components).flat_map(|(id, &(h, v))| [id, h << 4 | v, 0]));
        segment(&mut file, 0xC0, &frame);
        for (class_and_idx, (counts, symbols)) in [0x00, 0x10, 0x01, 0x11].into_iter().zip(STANDARD) {
            segment(&mut file, 0xC4, &[&[class_and_idx], counts.as_slice(), symbols].concat());
        }
        segment(&mut file, 0xDD, &self.restart_interval.to_be_bytes());
        let mut scan = vec![components.len() as u8];
        scan.extend(ids.flat_map(|id| [id, if id == 1 { 0x00 } else { 0x11 }]));
        scan.extend([0, 63, 0]);
        segment(&mut file, 0xDA, &scan);
        self.write_scan(&mut file, &components);
        file.extend([0xFF, 0xD9]);
        file
    }

    fn write_scan(&self, file: &mut Vec<u8>, components: &[(u8, u8)]) {
        let (h_max, v_max) = components[0];
        let n_mcus = self.width.div_ceil(8 * u16::from(h_max)) * self.height.div_ceil(8 * u16::from(v_max));
        let mut blocks = self.blocks.iter().cycle();
        let (mut bits, mut last_dc, mut n_restarts) = (BitWriter::default(), [0; 3], 0);
        for mcu_idx in 0..n_mcus {
            if mcu_idx > 0 && self.restart_interval > 0 && mcu_idx % self.restart_interval == 0 {
                file.extend(std::mem::take(&mut bits).finish());
                file.extend([0xFF, 0xD0 + n_restarts % 8]);
                n_restarts += 1;
                last_dc = [0; 3];
            }
            for (component_idx, &(h, v)) in components.iter().enumerate() {
                let tables = if component_idx == 0 { [STANDARD[0], STANDARD[1]] } else { [STANDARD[2], STANDARD[3]] };
                for _ in 0..h * v {
                    let mut block = [0_i32; 64];
                    for &(place, value) in blocks.next().expect("for ever") {
                        block[usize::from(place)] = value.into();
                    }
                    let difference = block[0] - std::mem::replace(&mut last_dc[component_idx], block[0]);
                    write_block(&mut bits, tables, difference, &block[1..]);
                }
            }
        }
        file.extend(bits.finish());
    }
}

fn write_block(bits: &mut BitWriter, [dc, ac]: [(&[u8; 16], &[u8]); 2], difference: i32, rest: &[i32]) {
    write_value(bits, dc, 0, difference);
    let mut run = 0;
    for &value in rest {
        if value == 0 {
            run += 1;
            continue;
        }
        while run > 15 {
            write_symbol(bits, ac, 0xF0);
            run -= 16;
        }
        write_value(bits, ac, run, value);
        run = 0;
    }
    if run > 0 {
        write_symbol(bits, ac, 0);
    }
}

fn write_value(bits: &mut BitWriter, table: (&[u8; 16], &[u8]), run: u8, value: i32) {
    let size = 32 - value.unsigned_abs().leading_zeros();
    write_symbol(bits, table, run << 4 | size as u8);
    let encoded = if value < 0 { value - 1 } else { value };
    bits.push(encoded as u32 & ((1 << size) - 1), size);
}

fn write_symbol(bits: &mut BitWriter, (counts, symbols): (&[u8; 16], &[u8]), symbol: u8) {
    let (mut code, mut symbol_idx) = (0, 0);
    for (&count, length) in counts.iter().zip(1..) {
        for _ in 0..count {
            if symbols[symbol_idx] == symbol {
                return bits.push(code, length);
            }
            code += 1;
            symbol_idx += 1;
        }
        code <<= 1;
    }
    panic!("no code for {symbol}");
}
