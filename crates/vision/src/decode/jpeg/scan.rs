//! Coefficients from the bits of a scan (ITU T.81, annexes F and G).

use super::Fault;
use super::frame::{Frame, Scan, ScanComponent, Tables};
use super::huffman::{Bits, END_OF_BLOCK, Table};
use super::kernel::{BlockValues, PLACE};

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
            if run >= END_OF_BLOCK {
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

/// All coefficients of one component.
pub(super) struct Coefficients {
    /// One for each block, row by row.
    blocks: Vec<BlockValues>,
    /// For each block, which of its AC coefficients are not 0: bit k for place k in zigzag order.
    nonzero: Vec<u64>,
    /// Blocks in a row, up to the end of the last MCU.
    pub(super) blocks_across: usize,
    /// For each place, how many low bits are still missing; `None` if no scan had it.
    missing_bits: [Option<u32>; 64],
}

impl Coefficients {
    /// Bytes for each block.
    pub(super) const BLOCK_BYTES: usize = size_of::<BlockValues>() + size_of::<u64>();

    /// All 0.
    pub(super) fn new(blocks_across: usize, blocks_down: usize) -> Self {
        let n_blocks = blocks_across * blocks_down;
        Self { blocks: vec![[0; 64]; n_blocks], nonzero: vec![0; n_blocks], blocks_across, missing_bits: [None; 64] }
    }

    /// Whether every coefficient has come with all its bits.
    pub(super) fn is_complete(&self) -> bool {
        self.missing_bits.iter().all(|&missing| missing == Some(0))
    }

    /// The block at this column and row.
    #[inline(always)]
    pub(super) fn block(&self, column: usize, row: usize) -> &BlockValues {
        &self.blocks[row * self.blocks_across + column]
    }

    /// Whether all its coefficients but the first are 0.
    #[inline(always)]
    pub(super) fn is_flat(&self, column: usize, row: usize) -> bool {
        self.nonzero[row * self.blocks_across + column] == 0
    }

    #[inline(always)]
    fn block_mut(&mut self, column: usize, row: usize) -> Block<'_> {
        let block_idx = row * self.blocks_across + column;
        Block { values: &mut self.blocks[block_idx], nonzero: &mut self.nonzero[block_idx] }
    }
}

/// The coefficients of one block.
struct Block<'a> {
    values: &'a mut BlockValues,
    nonzero: &'a mut u64,
}

impl Sink for Block<'_> {
    #[inline(always)]
    fn put(&mut self, zigzag_idx: usize, value: i32) {
        self.values[place(zigzag_idx)] = value as i16;
        *self.nonzero |= 1 << (zigzag_idx & 63);
    }
}

/// Puts coefficients into a block whose coefficients are all 0.
pub(super) struct Stored<'a>(pub(super) &'a mut BlockValues);

impl Sink for Stored<'_> {
    #[inline(always)]
    fn put(&mut self, zigzag_idx: usize, value: i32) {
        self.0[place(zigzag_idx)] = value as i16;
    }
}

#[inline(always)]
fn place(zigzag_idx: usize) -> usize {
    usize::from(PLACE[zigzag_idx & 63]) & 63
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
    note_bits(scan, stored)?;
    let dc = |part: &ScanComponent| tables.dc[part.dc_idx].as_ref().ok_or(Fault::Damaged);
    let ac = |part: &ScanComponent| tables.ac[part.ac_idx].as_ref().ok_or(Fault::Damaged);
    let file = (data, at, frame, scan, tables.restart_interval);
    // Each kind of scan has a loop of its own.
    if !frame.is_progressive {
        return each_block(file, stored, |bits, state, part, mut block| {
            let last_dc = &mut state.last_dc[part.component_idx & 3];
            *last_dc = last_dc.wrapping_add(bits.dc_difference(dc(part)?)?);
            *block.values = [0; 64];
            *block.nonzero = 0;
            block.values[0] = *last_dc as i16;
            ac_coefficients(bits, ac(part)?, &mut block).map(|_| ())
        });
    }
    match (scan.first, scan.high, scan.components.as_slice()) {
        (0, 0, _) => each_block(file, stored, |bits, state, part, block| {
            let last_dc = &mut state.last_dc[part.component_idx & 3];
            *last_dc = last_dc.wrapping_add(bits.dc_difference(dc(part)?)?);
            block.values[0] = last_dc.wrapping_shl(scan.low) as i16;
            Ok(())
        }),
        (0, _, _) => each_block(file, stored, |bits, _, _, block| {
            block.values[0] |= (bits.take(1) << scan.low) as i16;
            Ok(())
        }),
        (_, 0, [part, ..]) => {
            let table = ac(part)?;
            each_block(file, stored, |bits, state, _, block| {
                first_bits(bits, scan, table, &mut state.end_of_block_run, block)
            })
        }
        (_, _, [part, ..]) => {
            let table = ac(part)?;
            each_block(file, stored, |bits, state, _, block| {
                more_bits(bits, scan, table, &mut state.end_of_block_run, block)
            })
        }
        (_, _, []) => Err(Fault::Damaged),
    }
}

/// Calls `read_block` for each block of a scan in turn; where the data of the scan ends.
#[inline(always)]
fn each_block(
    (data, at, frame, scan, restart_interval): (&[u8], usize, &Frame, &Scan, usize),
    stored: &mut [Coefficients],
    mut read_block: impl FnMut(&mut Bits<'_>, &mut State, &ScanComponent, Block<'_>) -> Result<(), Fault>,
) -> Result<usize, Fault> {
    let mut bits = Bits::new(data, at);
    let mut state = State::default();
    // A scan of one component has only the blocks that the picture needs, row by row.
    let alone = match scan.components.as_slice() {
        [only] => Some(frame.components[only.component_idx].blocks()),
        _ => None,
    };
    let (across, down) = alone.unwrap_or((frame.mcus_across, frame.mcus_down));
    let (mut n_left, mut restart_idx) = (restart_interval, 0);
    for row in 0..down {
        for column in 0..across {
            if restart_interval > 0 {
                if n_left == 0 {
                    bits = bits.restarted(restart_idx)?;
                    state = State::default();
                    (n_left, restart_idx) = (restart_interval, (restart_idx + 1) & 7);
                }
                n_left -= 1;
            }
            for part in &scan.components {
                let component = &frame.components[part.component_idx];
                let (h, v) = if alone.is_some() { (1, 1) } else { (component.h, component.v) };
                for block_row in row * v..(row + 1) * v {
                    for block_column in column * h..(column + 1) * h {
                        let block = stored[part.component_idx].block_mut(block_column, block_row);
                        read_block(&mut bits, &mut state, part, block)?;
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

/// The high bits of AC coefficients (T.81, G.1.2.2).
#[inline(always)]
fn first_bits(
    bits: &mut Bits<'_>,
    scan: &Scan,
    table: &Table,
    end_of_block_run: &mut u32,
    mut block: Block<'_>,
) -> Result<(), Fault> {
    if *end_of_block_run > 0 {
        *end_of_block_run -= 1;
        return Ok(());
    }
    let mut zigzag_idx = scan.first;
    while zigzag_idx <= scan.last {
        let (run, value) = bits.ac_coefficient(table)?;
        if run >= END_OF_BLOCK {
            let n_bits = (run - END_OF_BLOCK) as u32;
            *end_of_block_run = (1 << n_bits) - 1 + bits.take(n_bits);
            break;
        }
        zigzag_idx += run;
        if value != 0 {
            if zigzag_idx > 63 {
                return Err(Fault::Damaged);
            }
            block.put(zigzag_idx, value << scan.low);
        }
        zigzag_idx += 1;
    }
    Ok(())
}

/// One more bit of AC coefficients (T.81, G.1.2.3): new ones of which this is the first bit stand between corrections of
/// those that are known already.
#[inline(always)]
fn more_bits(
    bits: &mut Bits<'_>,
    scan: &Scan,
    table: &Table,
    end_of_block_run: &mut u32,
    mut block: Block<'_>,
) -> Result<(), Fault> {
    let bit = 1_i16 << scan.low;
    let (mut zigzag_idx, end) = (scan.first, scan.last + 1);
    // The places of this scan, from `zigzag_idx` on, that are known already.
    let mut known = *block.nonzero & (u64::MAX << scan.first) & (u64::MAX >> (63 - scan.last));
    if *end_of_block_run == 0 {
        while zigzag_idx < end {
            let symbol = bits.symbol(table)?;
            let (mut run, size) = (usize::from(symbol >> 4), symbol & 15);
            let new_value = match size {
                0 if run < 15 => {
                    *end_of_block_run = (1 << run) + bits.take(run as u32);
                    break;
                }
                0 => 0,
                1 if bits.take(1) == 1 => bit,
                1 => -bit,
                _ => return Err(Fault::Damaged),
            };
            loop {
                let next_known = (known.trailing_zeros() as usize).min(end);
                let n_zeros = next_known - zigzag_idx;
                if run < n_zeros {
                    zigzag_idx += run;
                    if new_value != 0 {
                        block.put(zigzag_idx, new_value.into());
                    }
                    zigzag_idx += 1;
                    break;
                }
                run -= n_zeros;
                zigzag_idx = next_known;
                if zigzag_idx == end {
                    break;
                }
                correct(bits, &mut block.values[place(next_known)], bit);
                known &= known - 1;
                zigzag_idx += 1;
            }
        }
    }
    if *end_of_block_run > 0 {
        while known != 0 {
            correct(bits, &mut block.values[place(known.trailing_zeros() as usize)], bit);
            known &= known - 1;
        }
        *end_of_block_run -= 1;
    }
    Ok(())
}

#[inline(always)]
fn correct(bits: &mut Bits<'_>, value: &mut i16, bit: i16) {
    if bits.take(1) == 1 && *value & bit == 0 {
        *value = value.wrapping_add(if *value >= 0 { bit } else { -bit });
    }
}
