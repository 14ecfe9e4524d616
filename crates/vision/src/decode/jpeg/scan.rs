//! Coefficients from the bits of a scan (ITU T.81, annexes F and G).

use super::Fault;
use super::frame::{Frame, Scan, ScanComponent, Tables};
use super::huffman::{Bits, END_OF_BLOCK, Table};

/// Takes the AC coefficients of a block, by their place in zigzag order (1 to 63).
pub(super) trait Sink {
    /// Takes one that is not 0.
    fn put(&mut self, zigzag_idx: usize, value: i32);
}

/// Takes none: where only the mean of a block is wanted.
pub(super) struct Nowhere;

impl Sink for Nowhere {
    #[inline(always)]
    fn put(&mut self, _: usize, _: i32) {}
}

/// Reads the AC coefficients of a block of a sequential scan; how many places there are up to the last one that is not 0.
#[inline(always)]
pub(super) fn ac_coefficients(bits: &mut Bits<'_>, table: &Table, sink: &mut impl Sink) -> Result<usize, Fault> {
    let mut zigzag_idx = 1;
    let mut n_places = 1;
    while zigzag_idx < 64 {
        let (run, value) = bits.ac_coefficient(table)?;
        zigzag_idx += run;
        if zigzag_idx > 63 {
            if run == END_OF_BLOCK {
                break;
            }
            return Err(Fault::Damaged);
        }
        sink.put(zigzag_idx & 63, value);
        zigzag_idx += 1;
        n_places = zigzag_idx;
    }
    Ok(n_places)
}

/// All coefficients of one component, in zigzag order.
pub(super) struct Coefficients {
    /// 64 for each block, row by row.
    values: Vec<i16>,
    /// Blocks in a row, up to the end of the last MCU.
    pub(super) blocks_across: usize,
    /// For each place, how many low bits are still missing; `None` if no scan had it.
    missing_bits: [Option<u32>; 64],
}

impl Coefficients {
    /// All 0.
    pub(super) fn new(blocks_across: usize, blocks_down: usize) -> Self {
        Self { values: vec![0; blocks_across * blocks_down * 64], blocks_across, missing_bits: [None; 64] }
    }

    /// Whether every coefficient has come with all its bits.
    pub(super) fn is_complete(&self) -> bool {
        self.missing_bits.iter().all(|&missing| missing == Some(0))
    }

    /// The block at this column and row.
    pub(super) fn block(&self, column: usize, row: usize) -> &[i16; 64] {
        let start = (row * self.blocks_across + column) * 64;
        self.values[start..start + 64].try_into().unwrap_or(&[0; 64])
    }

    fn block_mut(&mut self, column: usize, row: usize) -> &mut [i16] {
        let start = (row * self.blocks_across + column) * 64;
        &mut self.values[start..start + 64]
    }
}

struct Stored<'a>(&'a mut [i16]);

impl Sink for Stored<'_> {
    #[inline(always)]
    fn put(&mut self, zigzag_idx: usize, value: i32) {
        self.0[zigzag_idx] = value as i16;
    }
}

/// State of a scan between its blocks, set back by restart markers.
#[derive(Default)]
struct State {
    last_dc: [i32; 4],
    /// Blocks left that have no more new coefficients (progressive).
    end_of_block_run: u32,
}

/// Reads a whole scan into `stored`, one entry for each component of the frame; where its data ends.
pub(super) fn read(
    data: &[u8],
    at: usize,
    (frame, scan, tables): (&Frame, &Scan, &Tables),
    stored: &mut [Coefficients],
) -> Result<usize, Fault> {
    let mut bits = Bits::new(data, at);
    let mut state = State::default();
    note_bits(scan, stored)?;
    // A scan of one component has only the blocks that the picture needs, row by row.
    let alone = match scan.components.as_slice() {
        [only] => Some(frame.components[only.component_idx].blocks()),
        _ => None,
    };
    let (across, down) = alone.unwrap_or((frame.mcus_across, frame.mcus_down));
    let (mut n_left, mut restart_idx) = (tables.restart_interval, 0);
    for row in 0..down {
        for column in 0..across {
            if tables.restart_interval > 0 {
                if n_left == 0 {
                    bits.restart(restart_idx)?;
                    state = State::default();
                    (n_left, restart_idx) = (tables.restart_interval, (restart_idx + 1) & 7);
                }
                n_left -= 1;
            }
            for part in &scan.components {
                let component = &frame.components[part.component_idx];
                let (h, v) = if alone.is_some() { (1, 1) } else { (component.h, component.v) };
                for block_row in row * v..(row + 1) * v {
                    for block_column in column * h..(column + 1) * h {
                        let block = stored[part.component_idx].block_mut(block_column, block_row);
                        read_block(&mut bits, (scan, tables), part, &mut state, (frame.is_progressive, block))?;
                    }
                }
            }
        }
        if bits.is_overdrawn() {
            return Err(Fault::Truncated);
        }
    }
    Ok(bits.position())
}

/// Notes which bits this scan brings, and refuses those that do not follow what came before.
fn note_bits(scan: &Scan, stored: &mut [Coefficients]) -> Result<(), Fault> {
    for part in &scan.components {
        let missing_bits = &mut stored[part.component_idx].missing_bits;
        if scan.first > 0 && missing_bits[0].is_none() {
            return Err(Fault::Damaged);
        }
        for missing in &mut missing_bits[scan.first..=scan.last] {
            if scan.high != 0 && *missing != Some(scan.high) {
                return Err(Fault::Damaged);
            }
            *missing = Some(scan.low);
        }
    }
    Ok(())
}

fn read_block(
    bits: &mut Bits<'_>,
    (scan, tables): (&Scan, &Tables),
    part: &ScanComponent,
    state: &mut State,
    (is_progressive, block): (bool, &mut [i16]),
) -> Result<(), Fault> {
    let dc = || tables.dc[part.dc_idx].as_ref().ok_or(Fault::Damaged);
    let ac = || tables.ac[part.ac_idx].as_ref().ok_or(Fault::Damaged);
    let last_dc = &mut state.last_dc[part.component_idx];
    if !is_progressive {
        *last_dc = last_dc.wrapping_add(bits.dc_difference(dc()?)?);
        block.fill(0);
        block[0] = *last_dc as i16;
        return ac_coefficients(bits, ac()?, &mut Stored(block)).map(|_| ());
    }
    match (scan.first, scan.high) {
        (0, 0) => {
            *last_dc = last_dc.wrapping_add(bits.dc_difference(dc()?)?);
            block[0] = last_dc.wrapping_shl(scan.low) as i16;
            Ok(())
        }
        (0, _) => {
            block[0] |= (bits.take(1) << scan.low) as i16;
            Ok(())
        }
        (_, 0) => first_bits(bits, scan, ac()?, &mut state.end_of_block_run, block),
        _ => more_bits(bits, scan, ac()?, &mut state.end_of_block_run, block),
    }
}

/// The high bits of AC coefficients (T.81, G.1.2.2).
fn first_bits(
    bits: &mut Bits<'_>,
    scan: &Scan,
    table: &Table,
    end_of_block_run: &mut u32,
    block: &mut [i16],
) -> Result<(), Fault> {
    if *end_of_block_run > 0 {
        *end_of_block_run -= 1;
        return Ok(());
    }
    let mut zigzag_idx = scan.first;
    while zigzag_idx <= scan.last {
        let symbol = bits.symbol(table)?;
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        if size == 0 && run < 15 {
            *end_of_block_run = (1 << run) - 1 + bits.take(run as u32);
            break;
        }
        zigzag_idx += run;
        if size > 0 {
            let place = block.get_mut(zigzag_idx).ok_or(Fault::Damaged)?;
            *place = (bits.value(size) << scan.low) as i16;
        }
        zigzag_idx += 1;
    }
    Ok(())
}

/// One more bit of AC coefficients (T.81, G.1.2.3): new ones of which this is the first bit stand between corrections of
/// those that are known already.
fn more_bits(
    bits: &mut Bits<'_>,
    scan: &Scan,
    table: &Table,
    end_of_block_run: &mut u32,
    block: &mut [i16],
) -> Result<(), Fault> {
    let bit = 1_i16 << scan.low;
    let mut zigzag_idx = scan.first;
    if *end_of_block_run == 0 {
        while zigzag_idx <= scan.last {
            let symbol = bits.symbol(table)?;
            let (mut run, size) = (symbol >> 4, symbol & 15);
            let mut new_value = 0;
            match size {
                0 if run < 15 => {
                    *end_of_block_run = (1 << run) + bits.take(run.into());
                    break;
                }
                0 => {}
                1 => new_value = if bits.take(1) == 1 { bit } else { -bit },
                _ => return Err(Fault::Damaged),
            }
            while zigzag_idx <= scan.last {
                let place = &mut block[zigzag_idx];
                zigzag_idx += 1;
                if *place != 0 {
                    correct(bits, place, bit);
                } else if run == 0 {
                    *place = new_value;
                    break;
                } else {
                    run -= 1;
                }
            }
        }
    }
    if *end_of_block_run > 0 {
        for place in block[zigzag_idx..=scan.last].iter_mut().filter(|place| **place != 0) {
            correct(bits, place, bit);
        }
        *end_of_block_run -= 1;
    }
    Ok(())
}

fn correct(bits: &mut Bits<'_>, place: &mut i16, bit: i16) {
    if bits.take(1) == 1 && *place & bit == 0 {
        *place = place.wrapping_add(if *place >= 0 { bit } else { -bit });
    }
}
