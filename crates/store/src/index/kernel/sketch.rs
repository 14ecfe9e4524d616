//! The inner loop over sketches: codes of 3 bits a dimension, looked up instead of multiplied.
//!
//! What a sketch is, and why its bound is one, says [`super::super::sketch`]. Here a row has a code of 6 bits for each
//! [`PAIRS`] pair of dimensions, a probe has a table of 64 bytes for each pair, and a row's *value* is the sum of what its
//! codes find there, plus its residual times the probe's weight:
//!
//! ```text
//! value = Σⱼ tableⱼ[codeⱼ] + ⌊residual × weight / 256⌋
//! ```
//!
//! Every implementation gives the same values. A row whose residual is [`RESIDUAL_MAX`] is found whatever its value: the
//! residual may be longer.
//!
//! # Layout
//! [`BLOCK_ROWS`] rows are a block of [`BLOCK_LINES`] lines. Three lines hold the codes of four pairs: line `i` has the code
//! of pair `4g + i` in the lower 6 bits of its bytes and two bits of the code of pair `4g + 3` in the upper ones, the lowest
//! two in the first line. So three of four lookups need no unpacking where the lookup ignores the upper bits. The last line
//! holds the residuals. Byte `2i` of a line is of row `i`, byte `2i + 1` of row `32 + i`: sums of 16 bits of the even and of
//! the odd bytes then are of neighbouring rows.
#![cfg_attr(
    target_arch = "x86_64",
    expect(unsafe_code, reason = "vector instructions that the processor was asked for at run time")
)]

use std::sync::OnceLock;

use super::{CodeLine, LINE_DIMENSIONS};

/// Pairs of dimensions, each with one code.
pub const PAIRS: usize = LINE_DIMENSIONS / 2;

/// Rows of a block.
pub const BLOCK_ROWS: usize = 64;

/// Lines of a block.
pub const BLOCK_LINES: usize = PAIRS / 4 * 3 + 1;

/// Codes of a pair.
pub const CODES: usize = 64;

/// Stands for a residual of any length.
pub const RESIDUAL_MAX: u8 = u8::MAX;

/// A probe's tables, one for each pair, and what residuals are multiplied with, in 256ths.
#[derive(Debug, Clone)]
pub struct Tables {
    /// [`PAIRS`] of them.
    pub lines: Vec<CodeLine>,
    /// At most `256 × 128`, so that values stay within 16 bits.
    pub residual_weight: u16,
}

/// A row found: its place in the rows, below 65,536, in the upper half, its value in the lower one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct SketchedRow(u32);

impl SketchedRow {
    /// Its place in the rows.
    #[inline]
    pub fn row(self) -> usize {
        (self.0 >> 16) as usize
    }

    /// See the module's page; the greatest if the residual may be of any length.
    #[inline]
    pub fn value(self) -> u16 {
        self.0 as u16
    }
}

/// Where a row's byte is in a line.
#[inline]
fn byte_of(row: usize) -> usize {
    row % 32 * 2 + row % BLOCK_ROWS / 32
}

/// Sets the codes and the residual of a row in whole blocks.
pub fn set_row(plane: &mut [CodeLine], row: usize, codes: &[u8; PAIRS], residual: u8) {
    let (block, byte) = (&mut plane[row / BLOCK_ROWS * BLOCK_LINES..][..BLOCK_LINES], byte_of(row));
    for (lines, codes) in block.chunks_exact_mut(3).zip(codes.as_chunks::<4>().0) {
        for (idx, line) in lines.iter_mut().enumerate() {
            line.0[byte] = codes[idx] & 63 | codes[3] >> (2 * idx) << 6;
        }
    }
    block[BLOCK_LINES - 1].0[byte] = residual;
}

type Scan = fn(&[CodeLine], &[u64], &Tables, u16, &mut Vec<SketchedRow>);

/// One implementation of the inner loop.
pub struct SketchKernel {
    name: &'static str,
    scan: Scan,
}

impl SketchKernel {
    /// What it is called.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Appends to `found` the rows of whole blocks that are wanted (bit `row` of `wanted`) and whose value is at least
    /// `least`, in any order.
    #[inline]
    pub fn scan(&self, plane: &[CodeLine], wanted: &[u64], tables: &Tables, least: u16, found: &mut Vec<SketchedRow>) {
        let n_blocks = plane.len() / BLOCK_LINES;
        assert!(
            plane.len().is_multiple_of(BLOCK_LINES) && wanted.len() >= n_blocks && n_blocks * BLOCK_ROWS <= 1 << 16
        );
        assert!(tables.lines.len() == PAIRS && tables.residual_weight <= 256 * 128);
        (self.scan)(plane, wanted, tables, least, found);
    }
}

/// The implementations this processor can run, fastest first; the last one is always `scalar`.
pub fn available() -> Vec<&'static SketchKernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    kernels.extend(vbmi::available());
    kernels.push(&SCALAR);
    kernels
}

/// The implementation that scans faster than codes can be multiplied, if there is one; the same for the life of the
/// process.
pub fn active() -> Option<&'static SketchKernel> {
    static ACTIVE: OnceLock<Option<&'static SketchKernel>> = OnceLock::new();
    *ACTIVE.get_or_init(|| available().into_iter().next().filter(|kernel| !std::ptr::eq(*kernel, &SCALAR)))
}

/// Plain Rust: what the others are tested against.
static SCALAR: SketchKernel = SketchKernel { name: "scalar", scan: scan_plainly };

fn scan_plainly(plane: &[CodeLine], wanted: &[u64], tables: &Tables, least: u16, found: &mut Vec<SketchedRow>) {
    for (block_idx, (block, wanted)) in plane.chunks_exact(BLOCK_LINES).zip(wanted).enumerate() {
        for row in (0..BLOCK_ROWS).filter(|row| wanted >> row & 1 == 1) {
            let byte = |line: &CodeLine| line.0[byte_of(row)];
            let groups = block.chunks_exact(3).zip(tables.lines.as_chunks::<4>().0);
            let sum: u16 = groups
                .map(|(lines, tables)| {
                    let of = |table: usize, code: u8| u16::from(tables[table].0[usize::from(code & 63)]);
                    let last = (0..3).fold(0, |code, idx| code | byte(&lines[idx]) >> 6 << (2 * idx));
                    (0..3).map(|idx| of(idx, byte(&lines[idx]))).sum::<u16>() + of(3, last)
                })
                .sum();
            let residual = byte(&block[BLOCK_LINES - 1]);
            let value = sum + (u32::from(residual) * u32::from(tables.residual_weight) / 256) as u16;
            let value = if residual == RESIDUAL_MAX { u16::MAX } else { value };
            if value >= least {
                found.push(SketchedRow(((block_idx * BLOCK_ROWS + row) as u32) << 16 | u32::from(value)));
            }
        }
    }
}

#[cfg(target_arch = "x86_64")]
mod vbmi {
    //! AVX-512 VBMI: 64 lookups in one instruction.

    use core::arch::x86_64::*;

    use super::super::avx512::{ZEN_4, amd_family};
    use super::*;

    /// The kernel, if this processor can run it.
    pub(super) fn available() -> Option<&'static SketchKernel> {
        let present = is_x86_feature_detected!("avx512f")
            && is_x86_feature_detected!("avx512bw")
            && is_x86_feature_detected!("avx512vbmi")
            && is_x86_feature_detected!("avx512vbmi2")
            && is_x86_feature_detected!("popcnt");
        present.then(|| match amd_family() {
            Some(..=ZEN_4) => &ZEN_4_KERNEL,
            _ => &KERNEL,
        })
    }

    // Handed out by `available` alone, which asks the processor first. `SketchKernel` has checked the lengths.
    static KERNEL: SketchKernel = SketchKernel {
        name: "avx512-vbmi",
        // SAFETY: see above the table.
        scan: |plane, wanted, tables, least, found| unsafe { scan::<96>(plane, wanted, tables, least, found) },
    };

    /// The same, leaving the fetching to the processor: on a Zen 4 a million rows take 1.24 ms so, with one step of 16 or of
    /// 64 lines 2.1.
    static ZEN_4_KERNEL: SketchKernel = SketchKernel {
        name: "avx512-vbmi",
        // SAFETY: see above the table.
        scan: |plane, wanted, tables, least, found| unsafe { scan::<0>(plane, wanted, tables, least, found) },
    };

    /// Fetches `AHEAD` lines ahead, beyond the plane's end as well, where mostly the next one is and nothing is harmed.
    ///
    /// # Safety
    /// The processor has AVX-512 F, BW, VBMI and VBMI2 and `popcnt`; the plane has whole blocks, `wanted` a word for each, and there are
    /// all tables.
    #[target_feature(enable = "avx512f,avx512bw,avx512vbmi,avx512vbmi2,popcnt")]
    unsafe fn scan<const AHEAD: usize>(
        plane: &[CodeLine],
        wanted: &[u64],
        tables: &Tables,
        least: u16,
        found: &mut Vec<SketchedRow>,
    ) {
        // Bits of the second where the first has ones, else those of the third.
        const CHOOSE: i32 = 0xca;
        let (lowest_pair, lowest_half) = (_mm512_set1_epi8(0b11), _mm512_set1_epi8(0b1111));
        let weight = _mm512_set1_epi16(tables.residual_weight.cast_signed());
        let (least, any) = (_mm512_set1_epi16(least.cast_signed()), _mm512_set1_epi16(0xff00_u16.cast_signed()));
        let lanes: [u16; 32] = std::array::from_fn(|lane| lane as u16);
        // SAFETY: 32 numbers of 16 bits; the load needs no alignment.
        let lanes = unsafe { _mm512_loadu_si512(lanes.as_ptr().cast()) };
        for (block_idx, wanted) in wanted[..plane.len() / BLOCK_LINES].iter().enumerate() {
            // The sum of a byte and the one above it, and of the one above alone.
            let (mut both, mut odd) = (_mm512_setzero_si512(), _mm512_setzero_si512());
            // SAFETY: the plane has so many blocks.
            let block = unsafe { plane.as_ptr().add(block_idx * BLOCK_LINES) };
            let mut group = 0;
            while group < PAIRS / 4 {
                // SAFETY: a block has three lines for each group, and there are four tables for each; all are 64 bytes,
                // aligned to 64. Fetching is harmless anywhere.
                let ([first, second, third], tables) = unsafe {
                    let lines = block.add(3 * group);
                    if AHEAD > 0 {
                        _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(AHEAD).cast());
                        _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(AHEAD + 1).cast());
                        _mm_prefetch::<_MM_HINT_T0>(lines.wrapping_add(AHEAD + 2).cast());
                    }
                    let tables: *const __m512i = tables.lines.as_ptr().add(4 * group).cast();
                    let lines: *const __m512i = lines.cast();
                    (
                        [_mm512_load_si512(lines), _mm512_load_si512(lines.add(1)), _mm512_load_si512(lines.add(2))],
                        [
                            _mm512_load_si512(tables),
                            _mm512_load_si512(tables.add(1)),
                            _mm512_load_si512(tables.add(2)),
                            _mm512_load_si512(tables.add(3)),
                        ],
                    )
                };
                // What comes from neighbouring bytes is in the upper two bits, which lookups ignore.
                let upper = _mm512_ternarylogic_epi32::<CHOOSE>(
                    lowest_half,
                    _mm512_srli_epi16::<4>(second),
                    _mm512_srli_epi16::<2>(third),
                );
                let fourth = _mm512_ternarylogic_epi32::<CHOOSE>(lowest_pair, _mm512_srli_epi16::<6>(first), upper);
                let looked_up = [
                    _mm512_permutexvar_epi8(first, tables[0]),
                    _mm512_permutexvar_epi8(second, tables[1]),
                    _mm512_permutexvar_epi8(third, tables[2]),
                    _mm512_permutexvar_epi8(fourth, tables[3]),
                ];
                both = _mm512_add_epi16(
                    both,
                    _mm512_add_epi16(
                        _mm512_add_epi16(looked_up[0], looked_up[1]),
                        _mm512_add_epi16(looked_up[2], looked_up[3]),
                    ),
                );
                odd = _mm512_add_epi16(
                    odd,
                    _mm512_add_epi16(
                        _mm512_add_epi16(_mm512_srli_epi16::<8>(looked_up[0]), _mm512_srli_epi16::<8>(looked_up[1])),
                        _mm512_add_epi16(_mm512_srli_epi16::<8>(looked_up[2]), _mm512_srli_epi16::<8>(looked_up[3])),
                    ),
                );
                group += 1;
            }
            // SAFETY: as above.
            let residuals = unsafe { _mm512_load_si512(block.add(BLOCK_LINES - 1).cast()) };
            let even = _mm512_sub_epi16(both, _mm512_slli_epi16::<8>(odd));
            // Residuals times 256 each.
            let sums = [even, odd];
            let residuals = [_mm512_slli_epi16::<8>(residuals), _mm512_and_si512(residuals, any)];
            let mut half = 0;
            while half < 2 {
                let (sums, residuals) = (sums[half], residuals[half]);
                let of_half = 32 * half;
                half += 1;
                let values = _mm512_add_epi16(sums, _mm512_mulhi_epu16(residuals, weight));
                let is_any = _mm512_cmpeq_epi16_mask(residuals, any);
                let values = _mm512_mask_mov_epi16(values, is_any, _mm512_set1_epi16(-1));
                let mask = _mm512_cmpge_epu16_mask(values, least) & (wanted >> of_half) as u32;
                if mask == 0 {
                    continue;
                }
                let n = mask.count_ones() as usize;
                let n_found = found.len();
                if found.capacity() - n_found < BLOCK_ROWS {
                    found.reserve(BLOCK_ROWS);
                }
                let first_row = _mm512_set1_epi16(((block_idx * BLOCK_ROWS + of_half) as u16).cast_signed());
                let rows = _mm512_maskz_compress_epi16(mask, _mm512_add_epi16(lanes, first_row));
                let values = _mm512_maskz_compress_epi16(mask, values);
                // SAFETY: there is room for 64 rows more, of which at most 32 are written; the first `n` are those found.
                unsafe {
                    let to = found.as_mut_ptr().add(n_found);
                    store(to, _mm512_castsi512_si256(rows), _mm512_castsi512_si256(values));
                    if n > 16 {
                        let (rows, values) =
                            (_mm512_extracti64x4_epi64::<1>(rows), _mm512_extracti64x4_epi64::<1>(values));
                        store(to.add(16), rows, values);
                    }
                    found.set_len(n_found + n);
                }
            }
        }
    }

    /// # Safety
    /// There is room for sixteen.
    #[target_feature(enable = "avx512f")]
    #[inline]
    unsafe fn store(to: *mut SketchedRow, rows: __m256i, values: __m256i) {
        let rows = _mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(rows));
        // SAFETY: as of this function; a row found is a number of 32 bits, and the store needs no alignment.
        unsafe { _mm512_storeu_si512(to.cast(), _mm512_or_si512(rows, _mm512_cvtepu16_epi32(values))) };
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// As the layout is described, pair by pair.
    fn values(rows: &[([u8; PAIRS], u8)], tables: &Tables) -> Vec<u16> {
        let value = |(codes, residual): &([u8; PAIRS], u8)| match *residual {
            RESIDUAL_MAX => u16::MAX,
            residual => {
                let sum: u32 = (0..PAIRS).map(|pair| u32::from(tables.lines[pair].0[usize::from(codes[pair])])).sum();
                (sum + u32::from(residual) * u32::from(tables.residual_weight) / 256) as u16
            }
        };
        rows.iter().map(value).collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(48) })]

        #[test]
        fn every_kernel_finds_the_rows_that_a_plain_loop_finds(
            seed in any::<u64>(),
            n_blocks in 0_usize..5,
            residual_weight in 0_u16..=256 * 128,
            one_in in 1_u64..60,
        ) {
            let mut state = seed;
            let mut next = || crate::index::rotation::split_mix(&mut state);
            let rows: Vec<([u8; PAIRS], u8)> = (0..n_blocks * BLOCK_ROWS)
                .map(|_| (std::array::from_fn(|_| next() as u8 & 63), if next() % 50 == 0 { 255 } else { next() as u8 }))
                .collect();
            let lines = (0..PAIRS).map(|_| CodeLine(std::array::from_fn(|_| next() as u8))).collect();
            let tables = Tables { lines, residual_weight };
            // What was there before is overwritten.
            let mut plane = vec![CodeLine([next() as u8; 64]); n_blocks * BLOCK_LINES];
            rows.iter().enumerate().for_each(|(row, (codes, residual))| set_row(&mut plane, row, codes, *residual));
            let wanted: Vec<u64> = (0..n_blocks).map(|_| next() | next()).collect();
            let values = values(&rows, &tables);
            let mut sorted = values.clone();
            sorted.sort_unstable_by(|a, b| b.cmp(a));
            let at_least = sorted.get(values.len() / one_in as usize).copied().unwrap_or(0);
            for least in [at_least, 0, 1, u16::MAX] {
                let expected: Vec<SketchedRow> = (0..rows.len())
                    .filter(|row| wanted[row / 64] >> (row % 64) & 1 == 1 && values[*row] >= least)
                    .map(|row| SketchedRow((row as u32) << 16 | u32::from(values[row])))
                    .collect();
                for kernel in available() {
                    let mut found = vec![SketchedRow(7)];
                    kernel.scan(&plane, &wanted, &tables, least, &mut found);
                    prop_assert_eq!(found.remove(0), SketchedRow(7));
                    found.sort_unstable_by_key(|found| found.row());
                    prop_assert_eq!(&found, &expected, "{}", kernel.name());
                }
            }
        }
    }
}
