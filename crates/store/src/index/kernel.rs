//! The inner loops of a search, one implementation per instruction set, chosen once per process.
//!
//! All unsafe code of the crate is in the submodules of this file. What they compute is defined so that every
//! implementation gives the same bits: the code sums are integers, and the similarity's order of summation is stated
//! by [`Similarity::of_units`]. A search therefore gives the same answer on every processor.
//!
//! # Layout
//! Codes are kept by blocks of [`BLOCK_ROWS`] rows. A block is a run of [`CodeLine`]s, one for each four dimensions:
//! line `i` holds dimensions `4i..4i + 4` of row 0, then of row 1, and so on. A whole line is one vector register, the
//! four probe codes it meets are one broadcast, and each 32-bit lane sums up one row: no sum across lanes is needed.
//! Several probes share each line that was loaded, which is what makes answering them together cheap.

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod scalar;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

use likeness_domain::types::Similarity;

/// Rows of a block.
pub const BLOCK_ROWS: usize = 16;

/// Most probes in one pass over a block.
pub const PROBES_MAX: usize = 8;

/// Four dimensions of each of the sixteen rows of a block. A code is kept with 128 added, because the widest
/// instructions multiply unsigned by signed bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub struct CodeLine(pub [u8; 64]);

impl CodeLine {
    /// The codes of all-zero rows.
    pub const ZERO: CodeLine = CodeLine([128; 64]);
}

/// Sixteen numbers of one vector; the last line of a vector is filled up with zeros.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub struct FloatLine(pub [f32; 16]);

impl FloatLine {
    /// Zeros.
    pub const ZERO: FloatLine = FloatLine([0.0; 16]);
}

/// Four dimensions of a probe's codes, -127 to 127.
pub type Quad = [i8; 4];

/// For each row of a block, the sum of stored code times probe code. At most 4096 × 255 × 127: fits well.
pub type Sums = [i32; BLOCK_ROWS];

/// Scales and residuals of a block's rows: what each row brings to its bound.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BlockScales {
    /// What a row's codes are multiplied with.
    pub scales: [f32; BLOCK_ROWS],
    /// Length of what a row's codes leave out.
    pub residuals: [f32; BLOCK_ROWS],
}

impl BlockScales {
    /// Of all-zero rows.
    pub const ZERO: BlockScales = BlockScales { scales: [0.0; BLOCK_ROWS], residuals: [0.0; BLOCK_ROWS] };
}

/// What a probe brings to the bound of a row's similarity.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct BoundTerms {
    /// Taken from each code sum, for the 128 that was added to each code.
    pub sum_offset: i32,
    /// What the probe's codes are multiplied with.
    pub scale: f32,
    /// What a row's residual is multiplied with.
    pub residual_weight: f32,
    /// Added to every bound.
    pub slack: f32,
}

impl BoundTerms {
    /// Upper bound of the similarity of a row with this code sum, scale and residual.
    #[inline]
    pub fn bound(&self, sum: i32, scale: f32, residual: f32) -> f32 {
        (sum - self.sum_offset) as f32 * (scale * self.scale) + (residual * self.residual_weight + self.slack)
    }
}

type BlockSums<const P: usize> = fn(&[CodeLine], [&[Quad]; P], &mut [Sums; P]);

/// One implementation of the inner loops.
pub struct Kernel {
    name: &'static str,
    sums_1: BlockSums<1>,
    sums_4: BlockSums<4>,
    sums_8: BlockSums<8>,
    reaching: fn(&Sums, &BlockScales, &BoundTerms, f32) -> u16,
    dot: fn(&[FloatLine], &[FloatLine]) -> f64,
}

impl Kernel {
    /// What it is called, as in `avx512-vnni`.
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Sums of one block for up to [`PROBES_MAX`] probes; `sums[i]` is for `probes[i]`. Each probe has a quad for each
    /// line; missing ones count as zeros.
    #[inline]
    pub fn block_sums(&self, block: &[CodeLine], probes: &[&[Quad]], sums: &mut [Sums]) {
        assert!(probes.len() <= PROBES_MAX && probes.len() <= sums.len());
        let (mut probes, mut sums) = (probes, sums);
        while let Some(&first) = probes.first() {
            // A group that is not full is filled up with its first probe: still cheaper than loading lines again.
            let n_taken = match probes.len() {
                1 => {
                    let mut out = [[0; BLOCK_ROWS]];
                    (self.sums_1)(block, [first], &mut out);
                    sums[0] = out[0];
                    1
                }
                2..=4 => run_group(self.sums_4, block, probes, sums),
                _ => run_group(self.sums_8, block, probes, sums),
            };
            probes = &probes[n_taken..];
            sums = &mut sums[n_taken..];
        }
    }

    /// The rows of a block whose bound is at least `cutoff`, row 0 in the lowest bit. Implementations may round
    /// [`BoundTerms::bound`] differently, by less than the slack allows for: a row within rounding of the cutoff may be
    /// in or out, and no row whose similarity reaches the cutoff is ever out.
    #[inline]
    pub fn reaching(&self, sums: &Sums, scales: &BlockScales, terms: &BoundTerms, cutoff: f32) -> u16 {
        (self.reaching)(sums, scales, terms, cutoff)
    }

    /// The similarity of two unit vectors of the same number of lines, as [`Similarity::of_units`] defines it.
    #[inline]
    pub fn similarity(&self, a: &[FloatLine], b: &[FloatLine]) -> Similarity {
        Similarity::new((self.dot)(a, b) as f32)
    }
}

fn run_group<const P: usize>(run: BlockSums<P>, block: &[CodeLine], probes: &[&[Quad]], sums: &mut [Sums]) -> usize {
    let n_taken = probes.len().min(P);
    let group: [&[Quad]; P] = std::array::from_fn(|idx| probes[if idx < n_taken { idx } else { 0 }]);
    let mut out = [[0; BLOCK_ROWS]; P];
    run(block, group, &mut out);
    sums[..n_taken].copy_from_slice(&out[..n_taken]);
    n_taken
}

/// The implementations this processor can run, fastest first; the last one is always `scalar`.
pub fn available() -> Vec<&'static Kernel> {
    let mut kernels = Vec::new();
    #[cfg(target_arch = "x86_64")]
    kernels.extend(x86::available());
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

#[cfg(test)]
mod tests;
