//! Entropy-coded data: bits, and Huffman codes made from them (ITU T.81, annexes C and F).

use super::Fault;

/// Bits looked up at once. Tables of 1024 entries of 4 bytes for two AC codes stay in the first-level cache.
const LOOKUP_BITS: u32 = 10;
const LOOKUP_LEN: usize = 1 << LOOKUP_BITS;

/// Least run that stands for "end of block" in [`AcEntry`].
pub(super) const END_OF_BLOCK: usize = 128;

/// One Huffman code.
pub(super) struct Table {
    /// For each next [`LOOKUP_BITS`] bits: the symbol in the low byte, the length of its code above; 0 if it is longer.
    symbols_at: Box<[u16; LOOKUP_LEN]>,
    /// The same with the run and the value of an AC coefficient already taken apart.
    coefficients_at: Box<[AcEntry; LOOKUP_LEN]>,
    /// For each length, the first 16-bit number that no code of this length or shorter begins.
    limit: [u32; 17],
    /// What to add to a code of each length to get the position of its symbol.
    offset: [i32; 17],
    symbols: [u8; 256],
}

/// An AC coefficient as its bits say it.
#[derive(Clone, Copy, Default)]
struct AcEntry {
    /// The coefficient, or its number of bits if these did not fit the lookup.
    value: i16,
    /// Zeros before it, or [`END_OF_BLOCK`] and the run (0 to 14) that stands with it.
    run: u8,
    /// Bits used, with [`VALUE_FOLLOWS`]; 0 if the code is longer than the lookup.
    n_bits: u8,
}

const VALUE_FOLLOWS: u8 = 0x80;

impl Table {
    /// The code with `counts[n]` codes of `n + 1` bits for `symbols` in order; `None` if there is no such code.
    pub(super) fn new(counts: &[u8; 16], symbols: &[u8]) -> Option<Self> {
        let n_symbols: usize = counts.iter().map(|&count| usize::from(count)).sum();
        if n_symbols > 256 || symbols.len() != n_symbols {
            return None;
        }
        let mut table = Table {
            symbols_at: Box::new([0; LOOKUP_LEN]),
            coefficients_at: Box::new([AcEntry::default(); LOOKUP_LEN]),
            limit: [0; 17],
            offset: [0; 17],
            symbols: [0; 256],
        };
        table.symbols[..n_symbols].copy_from_slice(symbols);
        let (mut code, mut symbol_idx) = (0_u32, 0_usize);
        for length in 1..=16_u32 {
            let count = u32::from(counts[length as usize - 1]);
            table.offset[length as usize] = symbol_idx as i32 - code as i32;
            if code + count > 1 << length {
                return None;
            }
            for _ in 0..count {
                if length <= LOOKUP_BITS {
                    let start = (code << (LOOKUP_BITS - length)) as usize;
                    let end = start + (1 << (LOOKUP_BITS - length));
                    table.symbols_at[start..end].fill((length as u16) << 8 | u16::from(symbols[symbol_idx]));
                }
                code += 1;
                symbol_idx += 1;
            }
            table.limit[length as usize] = code << (16 - length);
            code <<= 1;
        }
        for next in 0..LOOKUP_LEN {
            table.coefficients_at[next] = ac_entry(table.symbols_at[next], next as u32);
        }
        Some(table)
    }
}

fn ac_entry(symbol_at: u16, next: u32) -> AcEntry {
    let (length, symbol) = (symbol_at >> 8, symbol_at & 0xFF);
    let (run, size) = ((symbol >> 4) as u8, symbol & 15);
    match size {
        _ if length == 0 => AcEntry::default(),
        // Sixteen zeros are fifteen and one more.
        0 if run == 15 => AcEntry { value: 0, run, n_bits: length as u8 },
        0 => AcEntry { value: 0, run: END_OF_BLOCK as u8 + run, n_bits: length as u8 },
        _ if u32::from(length + size) > LOOKUP_BITS => {
            AcEntry { value: size as i16, run, n_bits: length as u8 | VALUE_FOLLOWS }
        }
        _ => {
            let bits = next >> (LOOKUP_BITS - u32::from(length + size)) & ((1 << size) - 1);
            AcEntry { value: extended(bits, size.into()) as i16, run, n_bits: (length + size) as u8 }
        }
    }
}

/// The symbol at the beginning of `buffer`, whose code is longer than the lookup, and the length of its code.
#[cold]
#[inline(never)]
fn long_symbol(buffer: u64, table: &Table) -> Result<(u8, u32), Fault> {
    let next = (buffer >> 48) as u32;
    let length = (LOOKUP_BITS + 1..=16).find(|&length| next < table.limit[length as usize]).ok_or(Fault::Damaged)?;
    let symbol_idx = (next >> (16 - length)) as i32 + table.offset[length as usize];
    let symbol = table.symbols.get(symbol_idx as usize).copied().ok_or(Fault::Damaged)?;
    Ok((symbol, length))
}

/// The number that `size` bits stand for: those that begin with 0 are negative (T.81, F.2.2.1).
fn extended(bits: u32, size: u32) -> i32 {
    let is_negative = i32::from(bits < 1 << (size - 1));
    bits as i32 - is_negative * ((1 << size) - 1)
}

/// Reads the bits of one scan. Behind the end of the data or before a marker it gives zeros and counts them.
///
/// The rare cases are functions that take and return it by value: a reader whose address is never passed on is kept in
/// registers through a whole scan.
#[derive(Clone, Copy)]
pub(super) struct Bits<'a> {
    data: &'a [u8],
    /// The next byte not yet in `buffer`.
    at: usize,
    /// The next bits, the first one in the highest place. Below the `n_bits` known ones it may already hold bits of
    /// the bytes at `at`, never others.
    buffer: u64,
    n_bits: u32,
    /// Zeros at the end of `buffer` that were not in the data.
    n_padding: u32,
}

impl<'a> Bits<'a> {
    /// Reads from `at` on.
    pub(super) fn new(data: &'a [u8], at: usize) -> Self {
        Self { data, at, buffer: 0, n_bits: 0, n_padding: 0 }
    }

    /// Whether more bits were taken than there are.
    pub(super) fn is_overdrawn(&self) -> bool {
        self.n_bits < self.n_padding
    }

    /// Where the bytes begin that were not looked at.
    pub(super) fn position(&self) -> usize {
        self.at
    }

    /// Makes sure that 32 bits and more are in the buffer.
    #[inline(always)]
    fn refill(&mut self) {
        if self.n_bits >= 32 {
            return;
        }
        if let Some(next) = self.data.get(self.at..self.at + 8) {
            let word = u64::from_be_bytes(next.try_into().unwrap_or_default());
            let zero_where_ff = !word;
            let has_ff = zero_where_ff.wrapping_sub(0x0101_0101_0101_0101) & word & 0x8080_8080_8080_8080;
            if has_ff == 0 {
                self.buffer |= word >> self.n_bits;
                let n_bytes = (63 - self.n_bits) >> 3;
                self.at += n_bytes as usize;
                self.n_bits += n_bytes * 8;
                return;
            }
        }
        *self = self.refilled_by_bytes();
    }

    #[cold]
    #[inline(never)]
    fn refilled_by_bytes(mut self) -> Self {
        while self.n_bits <= 56 {
            let (byte, n_bytes) = match (self.data.get(self.at), self.data.get(self.at + 1)) {
                (Some(0xFF), Some(0)) => (0xFF, 2),
                (Some(0xFF), _) | (None, _) => {
                    self.n_padding += 8;
                    self.n_bits += 8;
                    continue;
                }
                (Some(&byte), _) => (byte, 1),
            };
            self.buffer |= u64::from(byte) << (56 - self.n_bits);
            self.at += n_bytes;
            self.n_bits += 8;
        }
        self
    }

    #[inline(always)]
    fn skip(&mut self, n_bits: u32) {
        self.buffer <<= n_bits;
        self.n_bits -= n_bits;
    }

    /// The next `n_bits` (0 to 16) as a number.
    #[inline(always)]
    pub(super) fn take(&mut self, n_bits: u32) -> u32 {
        self.refill();
        let bits = (self.buffer >> 1 >> (63 - n_bits)) as u32;
        self.skip(n_bits);
        bits
    }

    /// The next symbol.
    #[inline(always)]
    pub(super) fn symbol(&mut self, table: &Table) -> Result<u8, Fault> {
        self.refill();
        let entry = table.symbols_at[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if entry != 0 {
            self.skip(u32::from(entry >> 8));
            return Ok(entry as u8);
        }
        let (symbol, n_bits) = long_symbol(self.buffer, table)?;
        self.skip(n_bits);
        Ok(symbol)
    }

    /// The coefficient that the next `size` bits (1 to 15) stand for.
    #[inline(always)]
    pub(super) fn value(&mut self, size: u32) -> i32 {
        extended(self.take(size), size)
    }

    /// The difference of a DC coefficient to the one before.
    #[inline(always)]
    pub(super) fn dc_difference(&mut self, table: &Table) -> Result<i32, Fault> {
        match self.symbol(table)? {
            0 => Ok(0),
            size @ 1..=15 => Ok(self.value(size.into())),
            _ => Err(Fault::Damaged),
        }
    }

    /// Run and value of the next AC coefficient. A run of [`END_OF_BLOCK`] and more ends the block (progressive: and as
    /// many others as what is above it says); a value of 0 is another zero.
    #[inline(always)]
    pub(super) fn ac_coefficient(&mut self, table: &Table) -> Result<(usize, i32), Fault> {
        self.refill();
        let entry = table.coefficients_at[(self.buffer >> (64 - LOOKUP_BITS)) as usize];
        if entry.n_bits & VALUE_FOLLOWS == 0 && entry.n_bits != 0 {
            self.skip(entry.n_bits.into());
            return Ok((entry.run.into(), entry.value.into()));
        }
        if entry.n_bits != 0 {
            // A code of up to 10 bits and up to 15 of the value: all are in the buffer.
            self.skip((entry.n_bits & !VALUE_FOLLOWS).into());
            let size = entry.value as u32;
            let bits = (self.buffer >> (64 - size)) as u32;
            self.skip(size);
            return Ok((entry.run.into(), extended(bits, size)));
        }
        let (symbol, n_bits) = long_symbol(self.buffer, table)?;
        self.skip(n_bits);
        let (run, size) = (usize::from(symbol >> 4), u32::from(symbol & 15));
        match size {
            0 if run == 15 => Ok((15, 0)),
            0 => Ok((END_OF_BLOCK + run, 0)),
            _ => Ok((run, self.value(size))),
        }
    }

    /// A reader that goes on behind the restart marker with this number (0 to 7).
    #[inline(never)]
    pub(super) fn restarted(self, number: u8) -> Result<Self, Fault> {
        if self.is_overdrawn() {
            return Err(Fault::Truncated);
        }
        match super::next_marker(self.data, self.at) {
            Some((marker, after)) if marker == 0xD0 + number => Ok(Bits::new(self.data, after)),
            Some((0xD9, _)) | None => Err(Fault::Truncated),
            Some(_) => Err(Fault::Damaged),
        }
    }
}

/// Counts and symbols of the tables that T.81 gives in annex K.3, which a file without tables of its own means (frames
/// of motion JPEG): DC and AC of luma, DC and AC of chroma.
pub(in crate::decode) const STANDARD: [(&[u8; 16], &[u8]); 4] = [
    (&[0, 1, 5, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (
        &[0, 2, 1, 3, 3, 2, 4, 3, 5, 5, 4, 4, 0, 0, 1, 0x7D],
        &[
            0x01, 0x02, 0x03, 0x00, 0x04, 0x11, 0x05, 0x12, 0x21, 0x31, 0x41, 0x06, 0x13, 0x51, 0x61, 0x07, 0x22, 0x71,
            0x14, 0x32, 0x81, 0x91, 0xA1, 0x08, 0x23, 0x42, 0xB1, 0xC1, 0x15, 0x52, 0xD1, 0xF0, 0x24, 0x33, 0x62, 0x72,
            0x82, 0x09, 0x0A, 0x16, 0x17, 0x18, 0x19, 0x1A, 0x25, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x34, 0x35, 0x36, 0x37,
            0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58, 0x59,
            0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A, 0x83,
            0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A, 0xA2, 0xA3,
            0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA, 0xC2, 0xC3,
            0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA, 0xE1, 0xE2,
            0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF1, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
        ],
    ),
    (&[0, 3, 1, 1, 1, 1, 1, 1, 1, 1, 1, 0, 0, 0, 0, 0], &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11]),
    (
        &[0, 2, 1, 2, 4, 4, 3, 4, 7, 5, 4, 4, 0, 1, 2, 0x77],
        &[
            0x00, 0x01, 0x02, 0x03, 0x11, 0x04, 0x05, 0x21, 0x31, 0x06, 0x12, 0x41, 0x51, 0x07, 0x61, 0x71, 0x13, 0x22,
            0x32, 0x81, 0x08, 0x14, 0x42, 0x91, 0xA1, 0xB1, 0xC1, 0x09, 0x23, 0x33, 0x52, 0xF0, 0x15, 0x62, 0x72, 0xD1,
            0x0A, 0x16, 0x24, 0x34, 0xE1, 0x25, 0xF1, 0x17, 0x18, 0x19, 0x1A, 0x26, 0x27, 0x28, 0x29, 0x2A, 0x35, 0x36,
            0x37, 0x38, 0x39, 0x3A, 0x43, 0x44, 0x45, 0x46, 0x47, 0x48, 0x49, 0x4A, 0x53, 0x54, 0x55, 0x56, 0x57, 0x58,
            0x59, 0x5A, 0x63, 0x64, 0x65, 0x66, 0x67, 0x68, 0x69, 0x6A, 0x73, 0x74, 0x75, 0x76, 0x77, 0x78, 0x79, 0x7A,
            0x82, 0x83, 0x84, 0x85, 0x86, 0x87, 0x88, 0x89, 0x8A, 0x92, 0x93, 0x94, 0x95, 0x96, 0x97, 0x98, 0x99, 0x9A,
            0xA2, 0xA3, 0xA4, 0xA5, 0xA6, 0xA7, 0xA8, 0xA9, 0xAA, 0xB2, 0xB3, 0xB4, 0xB5, 0xB6, 0xB7, 0xB8, 0xB9, 0xBA,
            0xC2, 0xC3, 0xC4, 0xC5, 0xC6, 0xC7, 0xC8, 0xC9, 0xCA, 0xD2, 0xD3, 0xD4, 0xD5, 0xD6, 0xD7, 0xD8, 0xD9, 0xDA,
            0xE2, 0xE3, 0xE4, 0xE5, 0xE6, 0xE7, 0xE8, 0xE9, 0xEA, 0xF2, 0xF3, 0xF4, 0xF5, 0xF6, 0xF7, 0xF8, 0xF9, 0xFA,
        ],
    ),
];
