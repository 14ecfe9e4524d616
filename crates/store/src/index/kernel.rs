//! The inner loops of a search, one implementation per instruction set, chosen once per process.
//!
//! All unsafe code of the crate is in the submodules of this file. What they compute is defined so that every
//! implementation gives the same bits: the code sums are integers, and the similarity's order of summation is stated
//! by [`Similarity::of_units`]. A search therefore gives the same answer on every processor.
//!
//! # Layout
//! A row's 8-bit codes are kept as two planes of 4 bits: the *coarse* plane holds the upper halves, the *fine* plane the
//! lower ones (`quantise` says what they mean). In both planes a row is a run of [`CodeLine`]s, one for 128 dimensions:
//! byte `i` of line `l` holds dimension `128l + i` in its lower and dimension `128l + 64 + i` in its upper half. The
//! rows of a plane follow each other, so a row of 128 dimensions is one cache line of each plane.
//!
//! Longer rows also have their *fifth bits* by themselves, the uppermost of each fine code, in words of 64 dimensions: a
//! quarter of the fine plane, which [`Kernel::narrow`] looks at first.
//!
//! A scan of one probe ([`Kernel::scan`]) multiplies the coarse plane as it is. For many probes ([`Kernel::scan_batch`])
//! the codes of a block of rows, few enough to stay in the first cache, are unpacked to one byte a code and multiplied with
//! all probes: a product of matrices whose results are compared before they leave the first cache. Where bytes can be
//! multiplied whole ([`Kernel::has_whole_tiles`]), these are the 8-bit codes, whose bounds leave hardly a row to be looked
//! at again.
//!
//! Without matrix instructions a block is unpacked into *tiles*: sixteen rows by four dimensions. A tile line is one vector
//! register, the four probe codes it meets are one broadcast, and each 32-bit lane sums up one row of one probe. `amx` says
//! how it is with them.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod amx;
pub mod at_hand;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod mapped;
pub mod pages;
mod scalar;
pub mod sketch;

use std::ops::Range;
use std::sync::OnceLock;

use likeness_domain::types::Similarity;

/// Rows that are compared with a cutoff at a time; planes hold whole groups.
pub const GROUP_ROWS: usize = 16;

/// Dimensions of a [`CodeLine`] in a plane.
pub const LINE_DIMENSIONS: usize = 128;

/// Words of fifth bits for each line of a plane.
pub const FIFTH_WORDS: usize = LINE_DIMENSIONS / 64;

/// Tile lines of a group for each line of a plane.
const TILE_LINES: usize = LINE_DIMENSIONS / 4;

/// Probes in one pass over tiles.
const TILE_PROBES: usize = 8;

/// Groups whose codes are unpacked at a time if a row has one line: 16 KB, a third of the first cache.
const BLOCK_GROUPS: usize = 8;

/// One cache line of codes: of a plane (see the module's page) or of a tile, where byte `4r + i` is dimension `i` of
/// row `r`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct CodeLine(pub [u8; 64]);

impl CodeLine {
    /// Zeros.
    pub const ZERO: CodeLine = CodeLine([0; 64]);
}

/// Sixteen numbers of one vector; the last line of a vector is filled up with zeros.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct FloatLine(pub [f32; 16]);

impl FloatLine {
    /// Zeros.
    pub const ZERO: FloatLine = FloatLine([0.0; 16]);
}

/// The codes of a probe that meet one line of a plane, -127 to 127; zeros beyond the last dimension.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct ProbeLine(pub [i8; LINE_DIMENSIONS]);

/// Two numbers of a row, each in the upper 16 bits of an f32 (bfloat16): in the upper half the scale its codes are
/// multiplied with, in the lower half the length of what the coarse codes leave out.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[repr(transparent)]
pub struct RowSizes(u32);

impl RowSizes {
    /// The scale must be a bfloat16 number; the length is rounded up to one.
    pub fn new(scale: f32, residual: f32) -> Self {
        debug_assert_eq!(scale.to_bits() & 0xffff, 0, "a scale is a bfloat16 number");
        Self(scale.to_bits() | u32::from(bf16_above(residual)))
    }

    /// Both numbers as they are kept.
    pub fn to_bits(self) -> u32 {
        self.0
    }

    /// From what [`RowSizes::to_bits`] gave.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    /// The same scale with the length of what other codes leave out, the upper half of an f32.
    #[inline]
    pub fn with_residual(self, residual: u16) -> Self {
        Self(self.0 & 0xffff_0000 | u32::from(residual))
    }

    /// What the row's codes are multiplied with.
    #[inline]
    pub fn scale(self) -> f32 {
        f32::from_bits(self.0 & 0xffff_0000)
    }

    /// Not below the length of what the codes leave out: the coarse ones, or others after [`RowSizes::with_residual`].
    #[inline]
    pub fn residual(self) -> f32 {
        f32::from_bits(self.0 << 16)
    }
}

/// The upper half of the least bfloat16 number not below `number`, which is not negative.
pub fn bf16_above(number: f32) -> u16 {
    let bits = number.to_bits();
    let upper = (bits >> 16) as u16;
    if bits & 0xffff == 0 { upper } else { upper + 1 }
}

/// The number of an upper half.
#[inline]
pub fn bf16(upper: u16) -> f32 {
    f32::from_bits(u32::from(upper) << 16)
}

/// The coarse plane of a run of rows.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// `n_lines` of each row, of whole groups.
    pub coarse: &'a [CodeLine],
    /// Lines of a row.
    pub n_lines: usize,
    /// One for each row, of whole groups.
    pub sizes: &'a [RowSizes],
    /// The coarse plane of the rows that are probably scanned next, to be fetched ahead; may be empty.
    pub next_coarse: &'a [CodeLine],
    /// Sizes of the same rows.
    pub next_sizes: &'a [RowSizes],
}

/// The fine plane of the same rows, and what their whole codes leave out.
#[derive(Debug, Clone, Copy)]
pub struct FineRows<'a> {
    /// `n_lines` of each row.
    pub fine: &'a [CodeLine],
    /// Lines of a row.
    pub n_lines: usize,
    /// One for each row, with the residuals of the coarse codes.
    pub sizes: &'a [RowSizes],
    /// Residuals of the whole codes, the upper half of an f32 each.
    pub residuals: &'a [u16],
}

impl FineRows<'_> {
    /// Lines of the row's fine codes.
    #[inline]
    pub fn line(&self, row: usize) -> &[CodeLine] {
        &self.fine[row * self.n_lines..][..self.n_lines]
    }

    /// Scale and residual of the row's whole codes.
    #[inline]
    pub fn whole_sizes(&self, row: usize) -> RowSizes {
        self.sizes[row].with_residual(self.residuals[row])
    }
}

/// The fifth bits of the same rows, and what codes of five bits leave out.
#[derive(Debug, Clone, Copy)]
pub struct FifthRows<'a> {
    /// [`FIFTH_WORDS`] × `n_lines` of each row: bit `i` of word `w` is that of dimension `64w + i`.
    pub bits: &'a [u64],
    /// Lines of a row in a plane.
    pub n_lines: usize,
    /// One for each row, with the residuals of the coarse codes.
    pub sizes: &'a [RowSizes],
    /// Residuals of the codes of five bits, the upper half of an f32 each.
    pub residuals: &'a [u16],
}

impl FifthRows<'_> {
    /// The row's bits.
    #[inline]
    pub fn words(&self, row: usize) -> &[u64] {
        &self.bits[row * self.n_lines * FIFTH_WORDS..][..self.n_lines * FIFTH_WORDS]
    }

    /// Scale and residual of the row's codes of five bits.
    #[inline]
    pub fn fifth_sizes(&self, row: usize) -> RowSizes {
        self.sizes[row].with_residual(self.residuals[row])
    }
}

/// A probe as scans need it.
#[derive(Debug, Clone)]
pub struct ProbeCodes {
    /// One for each line of a row.
    pub lines: Vec<ProbeLine>,
    /// What bounds need.
    pub terms: BoundTerms,
}

/// What a probe brings to the bounds of a row's similarity. `quantise` says why they are bounds.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundTerms {
    /// Sum of the probe's codes.
    pub code_sum: i32,
    /// What the probe's codes are multiplied with.
    pub scale: f32,
    /// What a row's residual is multiplied with.
    pub residual_weight: f32,
    /// Added to every bound.
    pub slack: f32,
}

impl BoundTerms {
    /// Upper bound of the similarity of a row whose coarse codes have this sum with the probe's.
    #[inline]
    pub fn coarse_bound(&self, sum: i32, sizes: RowSizes) -> f32 {
        let doubled = (2 * sum - 15 * self.code_sum) as f32;
        doubled * (sizes.scale() * (8.0 * self.scale)) + self.margin(sizes)
    }

    /// Upper bound of the similarity of a row whose codes of five bits have this sum with the probe's; `sizes` has the
    /// residual of those.
    #[inline]
    pub fn fifth_bound(&self, sum: i32, sizes: RowSizes) -> f32 {
        let doubled = (2 * sum - 31 * self.code_sum) as f32;
        doubled * (sizes.scale() * (4.0 * self.scale)) + self.margin(sizes)
    }

    /// How far a bound is from the similarity of the codes: what they leave out, and roundings.
    #[inline]
    pub fn margin(&self, sizes: RowSizes) -> f32 {
        sizes.residual() * self.residual_weight + self.slack
    }

    /// Terms for which [`BoundTerms::coarse_bound`] of the sum of 8-bit codes, with the residual of those, is
    /// the upper one of [`BoundTerms::whole_bounds`]: 15 · 17 = 255 and 8 / 16 = 1/2.
    pub fn of_whole_codes(&self) -> Self {
        Self { code_sum: 17 * self.code_sum, scale: self.scale / 16.0, ..*self }
    }

    /// Lower and upper bound of the similarity of a row whose whole codes have this sum with the probe's; `sizes` has the
    /// residual of whole codes.
    #[inline]
    pub fn whole_bounds(&self, sum: i32, sizes: RowSizes) -> (f32, f32) {
        let middle = (2 * sum - 255 * self.code_sum) as f32 * (sizes.scale() * (0.5 * self.scale));
        let margin = self.margin(sizes);
        (middle - margin, middle + margin)
    }
}

/// A row whose bound reaches the cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub struct FoundRow {
    /// Its place in the rows.
    pub row: u32,
    /// Sum of its codes with the probe's: of the coarse ones or of whole ones, whichever the bound is of.
    pub sum: i32,
}

/// A row whose bound reaches the cutoff by codes of five bits as well.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct NarrowedRow {
    /// As it was found, with the sum of its coarse codes.
    pub found: FoundRow,
    /// Upper bound of its similarity.
    pub bound: f32,
}

/// Both planes of a run of rows, for many probes.
#[derive(Debug, Clone, Copy)]
pub struct BatchRows<'a> {
    /// The coarse plane.
    pub rows: Rows<'a>,
    /// `n_lines` of each row, of whole groups.
    pub fine: &'a [CodeLine],
    /// Residuals of the whole codes, the upper half of an f32 each, of whole groups.
    pub residuals: &'a [u16],
    /// The fine plane of the rows that are probably scanned next, to be fetched ahead; may be empty.
    pub next_fine: &'a [CodeLine],
}

/// Probes side by side, as [`Kernel::scan_batch`] of the kernel that made them needs them.
#[derive(Debug, Clone)]
pub struct BatchProbes {
    /// What coarse bounds of each probe need.
    terms: Vec<BoundTerms>,
    /// Lines of each probe.
    n_lines: usize,
    codes: BatchCodes,
}

#[derive(Debug, Clone)]
enum BatchCodes {
    /// For vector registers, eight probes at a time.
    Eights(Vec<TileProbes>),
    /// For tile registers: for each sixteen probes, filled up with zeros to an even number of times, and each 64
    /// dimensions, sixteen lines: byte `4n + i` of line `l` is the code of dimension `4l + i` of probe `n`.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "only AMX has tile registers"))]
    Sixteens(Vec<CodeLine>),
}

impl BatchProbes {
    /// How many there are.
    pub fn len(&self) -> usize {
        self.terms.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.terms.is_empty()
    }
}

/// Memory that [`Kernel::scan_batch`] uses; any kernel and any rows may follow each other.
#[derive(Debug, Default)]
pub struct BatchScratch {
    /// Codes of the block at hand, unpacked.
    lines: Vec<CodeLine>,
    sizes: Vec<RowSizes>,
}

/// Up to eight probes side by side, as passes over tiles need them.
#[derive(Debug, Clone)]
struct TileProbes {
    /// For each tile line of a group, the four codes of each probe as they lie in memory.
    quads: Vec<[[i8; 4]; TILE_PROBES]>,
    /// What bounds of the tiles' codes need.
    terms: [BoundTerms; TILE_PROBES],
    /// Probes that count; the places beyond are filled up.
    n_probes: usize,
}

impl TileProbes {
    /// Of 1 to [`TILE_PROBES`] probes of the same length, for tiles of whole codes or of coarse ones.
    fn new(probes: &[&ProbeCodes], has_whole_tiles: bool) -> Self {
        let at = |probe_idx: usize| probes[if probe_idx < probes.len() { probe_idx } else { 0 }];
        let n_tile_lines = at(0).lines.len() * TILE_LINES;
        let quad = |line_idx: usize, probe_idx: usize| {
            let quads = at(probe_idx).lines[line_idx / TILE_LINES].0.as_chunks::<4>().0;
            quads[line_idx % TILE_LINES]
        };
        Self {
            quads: (0..n_tile_lines)
                .map(|line_idx| std::array::from_fn(|probe_idx| quad(line_idx, probe_idx)))
                .collect(),
            terms: std::array::from_fn(|probe_idx| {
                let terms = &at(probe_idx).terms;
                if has_whole_tiles { terms.of_whole_codes() } else { *terms }
            }),
            n_probes: probes.len().min(TILE_PROBES),
        }
    }
}

/// Rows whose codes were unpacked.
#[derive(Debug, Clone, Copy)]
struct Tiles<'a> {
    /// [`TILE_LINES`] × `n_lines` for each group.
    lines: &'a [CodeLine],
    /// Lines of a row in its plane.
    n_lines: usize,
    /// One for each row; of whole codes their residual stands in place of that of coarse ones.
    sizes: &'a [RowSizes],
    /// Place of the first row among all rows.
    first_row: usize,
}

type Scan = fn(&Rows<'_>, Range<usize>, &[u64], &ProbeCodes, f32, &mut Vec<FoundRow>);
type ScanListed = fn(&Rows<'_>, &[u16], &ProbeCodes, f32, &mut Vec<FoundRow>);
type Refine = fn(&FineRows<'_>, &[FoundRow], &ProbeCodes, f32, &mut Vec<FoundRow>);
type BitSums = fn(&FifthRows<'_>, &[FoundRow], &[ProbeLine]) -> [i32; GROUP_ROWS];
type ScanBatch =
    fn(&Kernel, &BatchRows<'_>, Range<usize>, &BatchProbes, &[f32], &mut BatchScratch, &mut [Vec<FoundRow>]);
type ScanTiles = fn(&Tiles<'_>, &TileProbes, &[f32; TILE_PROBES], &mut [Vec<FoundRow>]);

/// With at least so many probes [`Kernel::scan_batch`] is quicker than [`Kernel::scan`] of each: measured with
/// AVX-512 on a Zen 4, and 4 elsewhere.
#[derive(Debug, Clone, Copy)]
pub struct BatchMin {
    /// Where a scan of one probe has only coarse codes to look at.
    pub coarse: usize,
    /// Where it has sketches or fifth bits as well, which a batch does not look at.
    pub finer: usize,
}

/// One implementation of the inner loops.
pub struct Kernel {
    name: &'static str,
    scan: Scan,
    scan_listed: ScanListed,
    /// Sums of the probe's codes where the fifth bits of up to sixteen rows are set.
    bit_sums: BitSums,
    refine: Refine,
    /// Whether tiles hold 8-bit codes.
    has_whole_tiles: bool,
    /// Whether probes are kept for tile registers.
    has_tile_registers: bool,
    batch_min: BatchMin,
    scan_batch: ScanBatch,
    /// For [`scan_batch_by_tiles`]: unpacks the coarse plane, with whole tiles together with the fine plane of the same
    /// rows, for as many groups as there is room for.
    unpack: fn(&Rows<'_>, &[CodeLine], &mut [CodeLine]),
    /// For [`scan_batch_by_tiles`]: as [`Kernel::scan_batch`] for up to eight probes and as many lists.
    scan_tiles: ScanTiles,
    code_sum: fn(&[CodeLine], &[ProbeLine]) -> i32,
    dot: fn(&[FloatLine], &[FloatLine]) -> f64,
    select_code: fn(&[u32], u32, &mut [u64]),
    select_byte: fn(&[u8], (u8, u8), &mut [u64]),
    select_whole: fn(&[i64], (i64, i64), &mut [u64]),
    select_real: fn(&[f64], (f64, f64), &mut [u64]),
    list: fn(&[u64], usize, &mut Vec<u16>) -> usize,
}

impl Kernel {
    /// What it is called, as in `avx512-vnni`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Appends to `found` the rows of some groups that are wanted (bit `row` of `wanted`) and whose coarse bound is at
    /// least `cutoff`, in any order. Implementations may round [`BoundTerms::coarse_bound`] differently, by less than the
    /// slack allows for: a row within rounding of the cutoff may be in or out, and no row whose similarity reaches the
    /// cutoff is ever out.
    #[inline]
    pub fn scan(
        &self,
        rows: &Rows<'_>,
        groups: Range<usize>,
        wanted: &[u64],
        probe: &ProbeCodes,
        cutoff: f32,
        found: &mut Vec<FoundRow>,
    ) {
        check_rows(rows, groups.end * GROUP_ROWS);
        assert!(wanted.len() * 64 >= groups.end * GROUP_ROWS && probe.lines.len() == rows.n_lines);
        (self.scan)(rows, groups, wanted, probe, cutoff, found);
    }

    /// The same for the rows of a list.
    #[inline]
    pub fn scan_listed(
        &self,
        rows: &Rows<'_>,
        list: &[u16],
        probe: &ProbeCodes,
        cutoff: f32,
        found: &mut Vec<FoundRow>,
    ) {
        check_rows(rows, list.iter().map(|&row| usize::from(row) + 1).max().unwrap_or(0));
        assert!(probe.lines.len() == rows.n_lines);
        (self.scan_listed)(rows, list, probe, cutoff, found);
    }

    /// Appends to `narrowed` those of the rows found by coarse codes whose bound by codes of five bits reaches the cutoff as
    /// well.
    #[inline]
    pub fn narrow(
        &self,
        rows: &FifthRows<'_>,
        found: &[FoundRow],
        probe: &ProbeCodes,
        cutoff: f32,
        narrowed: &mut Vec<NarrowedRow>,
    ) {
        let n_rows = found.iter().map(|found| found.row as usize + 1).max().unwrap_or(0);
        assert!(rows.n_lines > 0 && probe.lines.len() == rows.n_lines);
        assert!(rows.bits.len() >= n_rows * rows.n_lines * FIFTH_WORDS);
        for chunk in found.chunks(GROUP_ROWS) {
            let bit_sums = (self.bit_sums)(rows, chunk, &probe.lines);
            // A group that is not full is filled up with its first row.
            let of = |lane: usize| chunk[if lane < chunk.len() { lane } else { 0 }];
            let sizes: [RowSizes; GROUP_ROWS] = std::array::from_fn(|lane| rows.fifth_sizes(of(lane).row as usize));
            let sums: [i32; GROUP_ROWS] = std::array::from_fn(|lane| 2 * of(lane).sum + bit_sums[lane]);
            let bounds: [f32; GROUP_ROWS] =
                std::array::from_fn(|lane| probe.terms.fifth_bound(sums[lane], sizes[lane]));
            let rows = chunk.iter().zip(bounds).filter(|(_, bound)| *bound >= cutoff);
            narrowed.extend(rows.map(|(&found, bound)| NarrowedRow { found, bound }));
        }
    }

    /// Appends to `near` those of the rows found by coarse codes whose fine bound reaches the cutoff as well, with the sums
    /// of their whole codes.
    #[inline]
    pub fn refine(
        &self,
        rows: &FineRows<'_>,
        found: &[FoundRow],
        probe: &ProbeCodes,
        cutoff: f32,
        near: &mut Vec<FoundRow>,
    ) {
        let n_rows = found.iter().map(|found| found.row as usize + 1).max().unwrap_or(0);
        assert!(rows.n_lines > 0 && probe.lines.len() == rows.n_lines && rows.fine.len() >= n_rows * rows.n_lines);
        assert!(rows.sizes.len() >= n_rows && rows.residuals.len() >= n_rows);
        (self.refine)(rows, found, probe, cutoff, near);
    }

    /// Whether [`Kernel::scan_batch`] multiplies whole codes of 8 bits instead of coarse ones: then rows are found by their
    /// whole bound.
    pub fn has_whole_tiles(&self) -> bool {
        self.has_whole_tiles
    }

    /// From how many probes on they are scanned for together.
    pub fn batch_min(&self) -> BatchMin {
        self.batch_min
    }

    /// Probes of the same length side by side, at least one, for [`Kernel::scan_batch`] of this kernel.
    pub fn batch(&self, probes: &[&ProbeCodes]) -> BatchProbes {
        let n_lines = probes[0].lines.len();
        assert!(n_lines > 0 && probes.iter().all(|probe| probe.lines.len() == n_lines));
        let eights = |probes: &[&ProbeCodes]| TileProbes::new(probes, self.has_whole_tiles);
        let codes = match self.has_tile_registers {
            true => BatchCodes::Sixteens(sixteens(probes)),
            false => BatchCodes::Eights(probes.chunks(TILE_PROBES).map(eights).collect()),
        };
        BatchProbes { terms: probes.iter().map(|probe| probe.terms).collect(), n_lines, codes }
    }

    /// As [`Kernel::scan`] of all rows of some groups for several probes at once: `found[i]` gets the rows whose bound for
    /// probe `i` reaches `cutoffs[i]`. The bound is that of whole codes if the kernel [has them](Kernel::has_whole_tiles).
    #[inline]
    pub fn scan_batch(
        &self,
        rows: &BatchRows<'_>,
        groups: Range<usize>,
        probes: &BatchProbes,
        cutoffs: &[f32],
        scratch: &mut BatchScratch,
        found: &mut [Vec<FoundRow>],
    ) {
        let n_rows = groups.end * GROUP_ROWS;
        check_rows(&rows.rows, n_rows);
        assert!(rows.fine.len() >= n_rows * rows.rows.n_lines && rows.residuals.len() >= n_rows);
        assert!(rows.rows.n_lines == probes.n_lines && cutoffs.len() == probes.len() && found.len() == probes.len());
        assert!(matches!(probes.codes, BatchCodes::Sixteens(_)) == self.has_tile_registers);
        (self.scan_batch)(self, rows, groups, probes, cutoffs, scratch, found);
    }

    /// Sum of a row's codes in one plane with the probe's.
    #[inline]
    pub fn code_sum(&self, row: &[CodeLine], probe: &[ProbeLine]) -> i32 {
        assert!(row.len() == probe.len());
        (self.code_sum)(row, probe)
    }

    /// Sets bit `i` of `rows` where value `i` is the code; other bits become 0.
    #[inline]
    pub fn select_code(&self, values: &[u32], code: u32, rows: &mut [u64]) {
        (self.select_code)(values, code, rows);
    }

    /// The same for values from `min` to `max`, both included.
    #[inline]
    pub fn select_byte(&self, values: &[u8], (min, max): (u8, u8), rows: &mut [u64]) {
        (self.select_byte)(values, (min, max), rows);
    }

    /// The same for values from `min` to `max`, both included.
    #[inline]
    pub fn select_whole(&self, values: &[i64], (min, max): (i64, i64), rows: &mut [u64]) {
        (self.select_whole)(values, (min, max), rows);
    }

    /// The same for values from `min` to `max`, both included.
    #[inline]
    pub fn select_real(&self, values: &[f64], (min, max): (f64, f64), rows: &mut [u64]) {
        (self.select_real)(values, (min, max), rows);
    }

    /// How many bits of `rows` are set; if they are at most `n_max`, appends their places to `list`, in their order.
    #[inline]
    pub fn list(&self, rows: &[u64], n_max: usize, list: &mut Vec<u16>) -> usize {
        assert!(rows.len() * 64 <= 1 << 16, "places are numbers of 16 bits");
        (self.list)(rows, n_max, list)
    }

    /// The similarity of two unit vectors of the same number of lines, as [`Similarity::of_units`] defines it.
    #[inline]
    pub fn similarity(&self, a: &[FloatLine], b: &[FloatLine]) -> Similarity {
        Similarity::new((self.dot)(a, b) as f32)
    }
}

#[inline]
fn check_rows(rows: &Rows<'_>, n_rows: usize) {
    assert!(rows.n_lines > 0 && rows.coarse.len() >= n_rows * rows.n_lines && rows.sizes.len() >= n_rows);
}

/// The implementations this processor can run, fastest first; the last one is always `scalar`.
pub fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    {
        kernels.extend(amx::available());
        kernels.extend(avx512::available());
        kernels.extend(avx2::available());
    }
    #[cfg(target_arch = "aarch64")]
    kernels.extend(aarch64::available());
    kernels.push(&scalar::KERNEL);
    kernels
}

/// The fastest implementation this processor can run; the same one for the life of the process.
pub fn active() -> &'static Kernel {
    static ACTIVE: OnceLock<&'static Kernel> = OnceLock::new();
    ACTIVE.get_or_init(|| available()[0])
}

/// A vector as lines, filled up with zeros.
pub fn float_lines(vector: &[f32]) -> impl Iterator<Item = FloatLine> + '_ {
    vector.chunks(16).map(|chunk| {
        let mut line = FloatLine::ZERO;
        line.0[..chunk.len()].copy_from_slice(chunk);
        line
    })
}

// ------------------------------------------------------------------------------- parts that implementations share

/// The bits of one group.
#[inline(always)]
fn group_bits(wanted: &[u64], group: usize) -> u16 {
    (wanted[group / 4] >> (group % 4 * GROUP_ROWS)) as u16
}

/// Puts the rows of a mask on the list.
#[inline(always)]
fn push_rows(mut mask: u16, row: impl Fn(usize) -> usize, sums: &[i32; GROUP_ROWS], found: &mut Vec<FoundRow>) {
    while mask != 0 {
        let lane = mask.trailing_zeros() as usize;
        found.push(FoundRow { row: row(lane) as u32, sum: sums[lane] });
        mask &= mask - 1;
    }
}

/// [`Kernel::scan`] made of the sum of a row and the comparison of a group.
#[inline(always)]
fn scan_by_group(
    (rows, groups, wanted): (&Rows<'_>, Range<usize>, &[u64]),
    (probe, cutoff, found): (&ProbeCodes, f32, &mut Vec<FoundRow>),
    code_sum: impl Fn(&[CodeLine], &[ProbeLine]) -> i32,
    reaching: impl Fn(&[i32; GROUP_ROWS], &[RowSizes; GROUP_ROWS], &BoundTerms, f32) -> u16,
) {
    for group in groups {
        let bits = group_bits(wanted, group);
        if bits == 0 {
            continue;
        }
        let first = group * GROUP_ROWS;
        let sums: [i32; GROUP_ROWS] = std::array::from_fn(|lane| {
            code_sum(&rows.coarse[(first + lane) * rows.n_lines..][..rows.n_lines], &probe.lines)
        });
        let sizes = rows.sizes[first..].first_chunk().expect("whole groups");
        push_rows(reaching(&sums, sizes, &probe.terms, cutoff) & bits, |lane| first + lane, &sums, found);
    }
}

/// [`Kernel::scan_listed`] made of the sum of a row.
#[inline(always)]
fn scan_list_by_row(
    (rows, list): (&Rows<'_>, &[u16]),
    (probe, cutoff, found): (&ProbeCodes, f32, &mut Vec<FoundRow>),
    code_sum: impl Fn(&[CodeLine], &[ProbeLine]) -> i32,
) {
    for row in list.iter().map(|&row| usize::from(row)) {
        let sum = code_sum(&rows.coarse[row * rows.n_lines..][..rows.n_lines], &probe.lines);
        if probe.terms.coarse_bound(sum, rows.sizes[row]) >= cutoff {
            found.push(FoundRow { row: row as u32, sum });
        }
    }
}

/// `Kernel::bit_sums`, bit by bit.
#[inline(always)]
fn bit_sums_by_bit(rows: &FifthRows<'_>, found: &[FoundRow], probe: &[ProbeLine]) -> [i32; GROUP_ROWS] {
    let mut sums = [0; GROUP_ROWS];
    for (sum, found) in sums.iter_mut().zip(found) {
        let eights = probe.iter().flat_map(|line| line.0.as_chunks::<8>().0);
        let bytes = rows.words(found.row as usize).iter().flat_map(|word| word.to_le_bytes());
        *sum = eights
            .zip(bytes)
            .map(|(codes, byte)| {
                let code = |bit: usize| if byte >> bit & 1 == 1 { i32::from(codes[bit]) } else { 0 };
                (0..8).map(code).sum::<i32>()
            })
            .sum();
    }
    sums
}

/// [`Kernel::refine`] made of the sum of a row.
#[inline(always)]
fn refine_by_row(
    (rows, found): (&FineRows<'_>, &[FoundRow]),
    (probe, cutoff, near): (&ProbeCodes, f32, &mut Vec<FoundRow>),
    code_sum: impl Fn(&[CodeLine], &[ProbeLine]) -> i32,
) {
    let terms = probe.terms.of_whole_codes();
    for found in found {
        let row = found.row as usize;
        let sum = 16 * found.sum + code_sum(rows.line(row), &probe.lines);
        if terms.coarse_bound(sum, rows.whole_sizes(row)) >= cutoff {
            near.push(FoundRow { row: found.row, sum });
        }
    }
}

/// See [`BatchCodes::Sixteens`].
fn sixteens(probes: &[&ProbeCodes]) -> Vec<CodeLine> {
    const LANES: usize = 16;
    let n_halves = 2 * probes[0].lines.len();
    let n_sixteens = probes.len().div_ceil(LANES).next_multiple_of(2);
    let mut lines = vec![CodeLine::ZERO; n_sixteens * n_halves * LANES];
    for (probe_idx, probe) in probes.iter().enumerate() {
        let (sixteen, lane) = (probe_idx / LANES, probe_idx % LANES);
        let halves = probe.lines.iter().flat_map(|line| line.0.as_chunks::<64>().0);
        for (half, codes) in halves.enumerate() {
            let lines = &mut lines[(sixteen * n_halves + half) * LANES..][..LANES];
            for (line, quad) in lines.iter_mut().zip(codes.as_chunks::<4>().0) {
                line.0.as_chunks_mut::<4>().0[lane] = quad.map(i8::cast_unsigned);
            }
        }
    }
    lines
}

/// [`Kernel::scan_batch`] made of unpacking and of scanning tiles.
fn scan_batch_by_tiles(
    kernel: &Kernel,
    rows: &BatchRows<'_>,
    groups: Range<usize>,
    probes: &BatchProbes,
    cutoffs: &[f32],
    scratch: &mut BatchScratch,
    found: &mut [Vec<FoundRow>],
) {
    let BatchCodes::Eights(eights) = &probes.codes else { return };
    let n_lines = rows.rows.n_lines;
    let n_block_groups = (BLOCK_GROUPS / n_lines).max(2);
    for first in groups.clone().step_by(n_block_groups) {
        let end = groups.end.min(first + n_block_groups);
        let block = first * GROUP_ROWS..end * GROUP_ROWS;
        let lines = block.start * n_lines..block.end * n_lines;
        let sizes = &rows.rows.sizes[block.clone()];
        let coarse =
            Rows { coarse: &rows.rows.coarse[lines.clone()], n_lines, sizes, next_coarse: &[], next_sizes: &[] };
        scratch.lines.resize((end - first) * n_lines * TILE_LINES, CodeLine::ZERO);
        (kernel.unpack)(&coarse, &rows.fine[lines], &mut scratch.lines);
        scratch.sizes.clear();
        match kernel.has_whole_tiles {
            true => {
                let residuals = &rows.residuals[block.clone()];
                scratch
                    .sizes
                    .extend(sizes.iter().zip(residuals).map(|(sizes, residual)| sizes.with_residual(*residual)));
            }
            false => scratch.sizes.extend_from_slice(coarse.sizes),
        }
        let tiles = Tiles { lines: &scratch.lines, n_lines, sizes: &scratch.sizes, first_row: block.start };
        let chunks = cutoffs.chunks(TILE_PROBES).zip(found.chunks_mut(TILE_PROBES));
        for (eight, (cutoffs, found)) in eights.iter().zip(chunks) {
            let cutoffs = std::array::from_fn(|idx| cutoffs.get(idx).copied().unwrap_or(f32::INFINITY));
            if cutoffs.iter().any(|cutoff| *cutoff < f32::INFINITY) {
                (kernel.scan_tiles)(&tiles, eight, &cutoffs, found);
            }
        }
    }
}

/// `Kernel::scan_tiles` made of the sums of a group and its comparison.
#[inline(always)]
fn scan_tiles_by_group(
    tiles: &Tiles<'_>,
    (probes, cutoffs, found): (&TileProbes, &[f32; TILE_PROBES], &mut [Vec<FoundRow>]),
    sums: impl Fn(&[CodeLine], &[[[i8; 4]; TILE_PROBES]]) -> [[i32; GROUP_ROWS]; TILE_PROBES],
    reaching: impl Fn(&[i32; GROUP_ROWS], &[RowSizes; GROUP_ROWS], &BoundTerms, f32) -> u16,
) {
    let groups = tiles.lines.chunks_exact(tiles.n_lines * TILE_LINES).zip(tiles.sizes.as_chunks::<GROUP_ROWS>().0);
    for (group, (lines, sizes)) in groups.enumerate() {
        let sums = sums(lines, &probes.quads);
        for (probe_idx, found) in found.iter_mut().enumerate().take(probes.n_probes) {
            let mask = reaching(&sums[probe_idx], sizes, &probes.terms[probe_idx], cutoffs[probe_idx]);
            push_rows(mask, |lane| tiles.first_row + group * GROUP_ROWS + lane, &sums[probe_idx], found);
        }
    }
}

/// `Kernel::unpack` of whole codes, byte by byte.
fn unpack_whole_by_byte(rows: &Rows<'_>, fine: &[CodeLine], tiles: &mut [CodeLine]) {
    let n_tile_lines = rows.n_lines * TILE_LINES;
    for (group, tile) in tiles.chunks_exact_mut(n_tile_lines).enumerate() {
        for lane in 0..GROUP_ROWS {
            let first = (group * GROUP_ROWS + lane) * rows.n_lines;
            let planes = rows.coarse[first..][..rows.n_lines].iter().zip(&fine[first..][..rows.n_lines]);
            for ((coarse, fine), tile) in planes.zip(tile.chunks_exact_mut(TILE_LINES)) {
                for (idx, (&coarse, &fine)) in coarse.0.iter().zip(&fine.0).enumerate() {
                    let place = lane * 4 + idx % 4;
                    tile[idx / 4].0[place] = (coarse & 15) << 4 | fine & 15;
                    tile[TILE_LINES / 2 + idx / 4].0[place] = coarse & 0xf0 | fine >> 4;
                }
            }
        }
    }
}

/// The bits of values that pass, 64 at a time.
#[inline(always)]
fn select<T: Copy>(values: &[T], rows: &mut [u64], pass: impl Fn(T) -> bool) {
    let mut chunks = values.chunks(64);
    for word in rows {
        let chunk = chunks.next().unwrap_or(&[]);
        *word = chunk.iter().enumerate().fold(0, |word, (idx, &value)| word | u64::from(pass(value)) << idx);
    }
}

/// [`Kernel::list`]. Where few bits are set a word has none, one or two, and how many cannot be foreseen: so the first few
/// places of each are written whether they are there or not.
#[inline(always)]
fn list_bits(rows: &[u64], n_max: usize, list: &mut Vec<u16>) -> usize {
    const AT_ONCE: usize = 4;
    let n_rows = rows.iter().map(|word| word.count_ones() as usize).sum();
    if n_rows > n_max {
        return n_rows;
    }
    let mut at = list.len();
    let end = at + n_rows;
    list.resize(end + AT_ONCE, 0);
    for (word_idx, &word) in rows.iter().enumerate() {
        let first = (word_idx * 64) as u16;
        let mut left = word;
        let n_of_word = word.count_ones() as usize;
        let room = &mut list[at..at + n_of_word.max(AT_ONCE)];
        let (at_once, beyond) = room.split_at_mut(AT_ONCE);
        for room in at_once {
            *room = first + left.trailing_zeros() as u16;
            left &= left.wrapping_sub(1);
        }
        for room in beyond {
            *room = first + left.trailing_zeros() as u16;
            left &= left.wrapping_sub(1);
        }
        at += n_of_word;
    }
    list.truncate(end);
    n_rows
}

fn select_code(values: &[u32], code: u32, rows: &mut [u64]) {
    select(values, rows, |value| value == code);
}

fn select_byte(values: &[u8], (min, max): (u8, u8), rows: &mut [u64]) {
    select(values, rows, |value| (min <= value) & (value <= max));
}

fn select_whole(values: &[i64], (min, max): (i64, i64), rows: &mut [u64]) {
    select(values, rows, |value| (min <= value) & (value <= max));
}

fn select_real(values: &[f64], (min, max): (f64, f64), rows: &mut [u64]) {
    select(values, rows, |value| (min <= value) & (value <= max));
}

/// `Kernel::unpack` of coarse codes, word by word.
fn unpack_coarse_by_word(rows: &Rows<'_>, _: &[CodeLine], tiles: &mut [CodeLine]) {
    let n_tile_lines = rows.n_lines * TILE_LINES;
    for (group, tile) in tiles.chunks_exact_mut(n_tile_lines).enumerate() {
        for lane in 0..GROUP_ROWS {
            let row = &rows.coarse[(group * GROUP_ROWS + lane) * rows.n_lines..][..rows.n_lines];
            for (line, tile) in row.iter().zip(tile.chunks_exact_mut(TILE_LINES)) {
                let (low, high) = tile.split_at_mut(TILE_LINES / 2);
                let words = line.0.as_chunks::<4>().0;
                for ((word, low), high) in words.iter().zip(low).zip(high) {
                    low.0.as_chunks_mut::<4>().0[lane] = word.map(|byte| byte & 15);
                    high.0.as_chunks_mut::<4>().0[lane] = word.map(|byte| byte >> 4);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
