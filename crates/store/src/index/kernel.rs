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
//! A scan of one probe ([`Kernel::scan`]) multiplies the coarse plane as it is. For many probes the codes of a segment are
//! first unpacked into *tiles* ([`Kernel::unpack`]): sixteen rows by four dimensions, one byte a code. A tile line is one
//! vector register, the four probe codes it meets are one broadcast, and each 32-bit lane sums up one row: a product of
//! matrices ([`Kernel::scan_tiles`]) whose results are compared while they are in registers. Where bytes can be multiplied
//! whole ([`Kernel::has_whole_tiles`]), tiles hold the 8-bit codes, whose bounds leave hardly a row to be looked at again.

#[cfg(target_arch = "aarch64")]
mod aarch64;
#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
pub mod pages;
mod scalar;

use std::ops::Range;
use std::sync::OnceLock;

use likeness_domain::types::Similarity;

/// Rows that are compared with a cutoff at a time; planes hold whole groups.
pub const GROUP_ROWS: usize = 16;

/// Dimensions of a [`CodeLine`] in a plane.
pub const LINE_DIMENSIONS: usize = 128;

/// Tile lines of a group for each line of a plane.
pub const TILE_LINES: usize = LINE_DIMENSIONS / 4;

/// Probes in one pass over tiles.
pub const TILE_PROBES: usize = 8;

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
        doubled * (sizes.scale() * (8.0 * self.scale)) + (sizes.residual() * self.residual_weight + self.slack)
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
        let margin = sizes.residual() * self.residual_weight + self.slack;
        (middle - margin, middle + margin)
    }
}

/// A row whose bound reaches the cutoff.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FoundRow {
    /// Its place in the rows.
    pub row: u32,
    /// Sum of its codes with the probe's: of the coarse ones or of whole ones, whichever the bound is of.
    pub sum: i32,
}

/// Eight probes side by side, as passes over tiles need them.
#[derive(Debug, Clone)]
pub struct TileProbes {
    /// For each tile line of a group, the four codes of each probe as they lie in memory.
    pub quads: Vec<[[i8; 4]; TILE_PROBES]>,
    /// For each 64 dimensions, the codes of each probe.
    pub rows: Vec<[CodeLine; TILE_PROBES]>,
    /// What bounds of the tiles' codes need.
    pub terms: [BoundTerms; TILE_PROBES],
    /// Probes that count; the places beyond are filled up.
    pub n_probes: usize,
}

impl TileProbes {
    /// Of 1 to [`TILE_PROBES`] probes of the same length, for tiles of that kernel.
    pub fn new(probes: &[&ProbeCodes], kernel: &Kernel) -> Self {
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
            rows: (0..2 * at(0).lines.len())
                .map(|half_idx| {
                    std::array::from_fn(|probe_idx| {
                        let codes = &at(probe_idx).lines[half_idx / 2].0[half_idx % 2 * 64..][..64];
                        CodeLine(std::array::from_fn(|idx| codes[idx].cast_unsigned()))
                    })
                })
                .collect(),
            terms: std::array::from_fn(|probe_idx| {
                let terms = &at(probe_idx).terms;
                if kernel.has_whole_tiles { terms.of_whole_codes() } else { *terms }
            }),
            n_probes: probes.len().min(TILE_PROBES),
        }
    }
}

/// Rows whose codes were unpacked.
#[derive(Debug, Clone, Copy)]
pub struct Tiles<'a> {
    /// [`TILE_LINES`] × `n_lines` for each group.
    pub lines: &'a [CodeLine],
    /// Lines of a row in its plane.
    pub n_lines: usize,
    /// One for each row; of whole codes their residual stands in place of that of coarse ones.
    pub sizes: &'a [RowSizes],
}

type Scan = fn(&Rows<'_>, Range<usize>, &[u64], &ProbeCodes, f32, &mut Vec<FoundRow>);
type ScanListed = fn(&Rows<'_>, &[u16], &ProbeCodes, f32, &mut Vec<FoundRow>);
type Refine = fn(&FineRows<'_>, &[FoundRow], &ProbeCodes, f32, &mut Vec<FoundRow>);
type ScanTiles = fn(
    &Tiles<'_>,
    Range<usize>,
    &[&[u64]; TILE_PROBES],
    &TileProbes,
    &[f32; TILE_PROBES],
    &mut [Vec<FoundRow>; TILE_PROBES],
);

/// One implementation of the inner loops.
pub struct Kernel {
    name: &'static str,
    scan: Scan,
    scan_listed: ScanListed,
    refine: Refine,
    /// Whether tiles hold 8-bit codes.
    has_whole_tiles: bool,
    unpack: fn(&Rows<'_>, &[CodeLine], &mut [CodeLine]),
    scan_tiles: ScanTiles,
    code_sum: fn(&[CodeLine], &[ProbeLine]) -> i32,
    dot: fn(&[FloatLine], &[FloatLine]) -> f64,
    select_code: fn(&[u32], u32, &mut [u64]),
    select_whole: fn(&[i64], (i64, i64), &mut [u64]),
    select_real: fn(&[f64], (f64, f64), &mut [u64]),
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

    /// Whether tiles hold whole codes of 8 bits instead of coarse ones: then rows are found by their whole bound.
    pub fn has_whole_tiles(&self) -> bool {
        self.has_whole_tiles
    }

    /// Unpacks codes into tiles, for as many groups as `tiles` has room for: the coarse plane, with [whole
    /// tiles](Kernel::has_whole_tiles) together with the fine plane of the same rows.
    #[inline]
    pub fn unpack(&self, rows: &Rows<'_>, fine: &[CodeLine], tiles: &mut [CodeLine]) {
        let n_rows = tiles.len() / (rows.n_lines * TILE_LINES) * GROUP_ROWS;
        check_rows(rows, n_rows);
        assert!(fine.len() >= n_rows * rows.n_lines);
        (self.unpack)(rows, fine, tiles);
    }

    /// As [`Kernel::scan`] for several probes at once, each with its own wanted rows, cutoff and list.
    #[inline]
    pub fn scan_tiles(
        &self,
        tiles: &Tiles<'_>,
        groups: Range<usize>,
        wanted: &[&[u64]; TILE_PROBES],
        probes: &TileProbes,
        cutoffs: &[f32; TILE_PROBES],
        found: &mut [Vec<FoundRow>; TILE_PROBES],
    ) {
        let n_rows = groups.end * GROUP_ROWS;
        assert!(tiles.lines.len() >= groups.end * tiles.n_lines * TILE_LINES && tiles.sizes.len() >= n_rows);
        assert!(wanted.iter().all(|wanted| wanted.len() * 64 >= n_rows));
        assert!(probes.quads.len() == tiles.n_lines * TILE_LINES && probes.rows.len() == tiles.n_lines * 2);
        (self.scan_tiles)(tiles, groups, wanted, probes, cutoffs, found);
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
    pub fn select_whole(&self, values: &[i64], (min, max): (i64, i64), rows: &mut [u64]) {
        (self.select_whole)(values, (min, max), rows);
    }

    /// The same for values from `min` to `max`, both included.
    #[inline]
    pub fn select_real(&self, values: &[f64], (min, max): (f64, f64), rows: &mut [u64]) {
        (self.select_real)(values, (min, max), rows);
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

/// [`Kernel::scan_tiles`] made of the sums of a group and its comparison.
#[inline(always)]
fn scan_tiles_by_group(
    (tiles, groups, wanted): (&Tiles<'_>, Range<usize>, &[&[u64]; TILE_PROBES]),
    (probes, cutoffs, found): (&TileProbes, &[f32; TILE_PROBES], &mut [Vec<FoundRow>; TILE_PROBES]),
    sums: impl Fn(&[CodeLine], &[[[i8; 4]; TILE_PROBES]]) -> [[i32; GROUP_ROWS]; TILE_PROBES],
    reaching: impl Fn(&[i32; GROUP_ROWS], &[RowSizes; GROUP_ROWS], &BoundTerms, f32) -> u16,
) {
    let n_tile_lines = tiles.n_lines * TILE_LINES;
    for group in groups {
        let first = group * GROUP_ROWS;
        let sums = sums(&tiles.lines[group * n_tile_lines..][..n_tile_lines], &probes.quads);
        let sizes = tiles.sizes[first..].first_chunk().expect("whole groups");
        for probe_idx in 0..probes.n_probes {
            let reaching = reaching(&sums[probe_idx], sizes, &probes.terms[probe_idx], cutoffs[probe_idx]);
            let mask = reaching & group_bits(wanted[probe_idx], group);
            push_rows(mask, |lane| first + lane, &sums[probe_idx], &mut found[probe_idx]);
        }
    }
}

/// [`Kernel::unpack`] of whole codes, byte by byte.
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

fn select_code(values: &[u32], code: u32, rows: &mut [u64]) {
    select(values, rows, |value| value == code);
}

fn select_whole(values: &[i64], (min, max): (i64, i64), rows: &mut [u64]) {
    select(values, rows, |value| (min <= value) & (value <= max));
}

fn select_real(values: &[f64], (min, max): (f64, f64), rows: &mut [u64]) {
    select(values, rows, |value| (min <= value) & (value <= max));
}

/// [`Kernel::unpack`] of coarse codes, word by word.
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
