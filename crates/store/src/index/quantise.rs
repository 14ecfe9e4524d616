//! Templates as codes of 4 and 8 bits, and how far a code sum can be from the similarity it stands for.
//!
//! # The codes
//! A vector is first rotated ([`Rotation`]), which changes no similarity. The rotated vector `x` then has one scale `s`,
//! at least `max|xᵢ| / 127.5` and a bfloat16 number, and each number the nearest of 256 steps:
//!
//! ```text
//! kᵢ = round(xᵢ / s + 127.5), 0 to 255         x is about  s·(kᵢ - 127.5)              (fine)
//! hᵢ = kᵢ / 16 rounded down, 0 to 15           x is about  16s·(hᵢ - 7.5)              (coarse)
//! ```
//!
//! The coarse steps are the middles of sixteen fine ones, so that one set of codes serves both: a first pass reads the
//! upper halves only, and a row it cannot exclude needs just its lower halves `lᵢ` in addition, since `k = 16h + l`.
//!
//! In between there are codes of five bits, `gᵢ = 2hᵢ + bᵢ` with `bᵢ` the uppermost bit of `lᵢ`:
//!
//! ```text
//! gᵢ = kᵢ / 8 rounded down, 0 to 31            x is about  8s·(gᵢ - 15.5)              (of five bits)
//! ```
//!
//! # The bounds
//! Let `x̂` be either of the two approximations and `e = x - x̂` what it leaves out, the *residual*; its length `|e|` is
//! computed from the stored scale and codes themselves, so it holds whatever rounding made them. The probe `p` is
//! rotated as well and becomes `p̂ = t·r` with codes `r` from -127 to 127, leaving out `f = p - p̂`. Then
//!
//! ```text
//! <x, p> - <x̂, p̂>  =  <e, p> + <x̂, f>                     since <x, p> = <x̂, p> + <e, p> and <x̂, p> = <x̂, p̂> + <x̂, f>
//! |<e, p> + <x̂, f>| <=  |e||p| + |x̂||f|                    by Cauchy-Schwarz
//!                   <=  |e||p| + (|x| + |e|)|f|            since x̂ = x - e
//!                   <=  |e|(|p| + |f|) + LENGTH_MAX |f|    since a template's length is at most LENGTH_MAX
//! ```
//!
//! With `H = Σhᵢrᵢ`, `K = Σkᵢrᵢ` and `R = Σrᵢ`, a row's similarity is at most
//!
//! ```text
//! coarse:  8·s·t·(2H - 15R)  + |e|·(|p| + |f|) + (LENGTH_MAX |f| + ROUNDING)       for the coarse e
//! five:    4·s·t·(2G - 31R)  + |e|·(|p| + |f|) + (LENGTH_MAX |f| + ROUNDING)       for the e of five bits, G = Σgᵢrᵢ
//! fine:    s·t/2·(2K - 255R) + |e|·(|p| + |f|) + (LENGTH_MAX |f| + ROUNDING)       for the fine e
//! ```
//!
//! and, since the error is as far below as above, at least the same with both summands after the first subtracted.
//!
//! The residual of five bits is not computed from the vector, which is on disk, but from the fine one: the approximations
//! differ by `8s·(gᵢ - 15.5) - s·(kᵢ - 127.5) = s·(3.5 - mᵢ)` with `mᵢ` the lower three bits of `kᵢ`, so that its length is
//! at most that of the fine residual and `s·√Σ(mᵢ - 3.5)²` together.
//!
//! The residual's and the probe's lengths are computed in f64 and rounded up (to bfloat16 and f32). `ROUNDING` covers:
//! the f32 arithmetic of the bound itself, at most 10 roundings of numbers below 13 (a coarse code is at most 8 scales
//! off in each of at most 4096 dimensions, so no residual is longer than 4.1, no approximation than 5.2, and the probe's
//! not than 1.3), each of which errs by at most 13 × 2⁻²⁴, together below 7.8e-6, kernels that fuse a multiplication with
//! an addition rounding less often; the similarity's own rounding to f32, below 1e-7; and the rotation's errors, below
//! 1e-12. 128 dimensions of a real template give a coarse bound about 0.11, one of five bits about 0.07 and a fine one about
//! 0.01 above the similarity.

use super::kernel::{
    BoundTerms, CodeLine, FIFTH_WORDS, FloatLine, LINE_DIMENSIONS, ProbeCodes, ProbeLine, RowSizes, bf16, bf16_above,
    float_lines,
};
use super::rotation::Rotation;
use super::sketch::{self, SketchedProbe};

/// Above the length of any [`likeness_domain::types::Template`], whose square is within 2e-3 of 1.
const LENGTH_MAX: f64 = 1.002;

/// Above the sum of all rounding errors; see the module's page.
const ROUNDING: f64 = 1e-5;

/// The codes of a row, and what they leave out.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct RowCodes {
    /// Lines of the coarse plane.
    pub(super) coarse: Vec<CodeLine>,
    /// Lines of the fine plane.
    pub(super) fine: Vec<CodeLine>,
    pub(super) sizes: RowSizes,
    /// As the upper half of an f32, never below the exact length.
    pub(super) fine_residual: u16,
    /// What the row's sketch leaves out; of rows of more than one line 0.
    pub(super) sketch_residual: u8,
}

impl RowCodes {
    pub(super) fn new(vector: &[f32], rotation: &Rotation) -> Self {
        let rotated = rotation.apply(vector);
        let largest = rotated.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        let scale = bf16(bf16_above(f32_above(largest / 127.5)));
        let per_scale = if scale == 0.0 { 0.0 } else { 1.0 / f64::from(scale) };
        let n_lines = n_code_lines(vector.len());
        let (mut coarse, mut fine) = (vec![CodeLine::ZERO; n_lines], vec![CodeLine::ZERO; n_lines]);
        let (mut coarse_squared, mut fine_squared) = (0.0, 0.0);
        for ((numbers, coarse), fine) in rotated.chunks(LINE_DIMENSIONS).zip(&mut coarse).zip(&mut fine) {
            for (idx, &number) in numbers.iter().enumerate() {
                // `as` cuts off, which rounds what is never negative.
                let code = (number * per_scale + 128.0).clamp(0.0, 255.0) as u8;
                let (upper, lower) = (code >> 4, code & 15);
                let shift = if idx < 64 { 0 } else { 4 };
                coarse.0[idx % 64] |= upper << shift;
                fine.0[idx % 64] |= lower << shift;
                let coarse_error = number - f64::from(scale) * (16.0 * f64::from(upper) - 120.0);
                let fine_error = number - f64::from(scale) * (f64::from(code) - 127.5);
                coarse_squared += coarse_error * coarse_error;
                fine_squared += fine_error * fine_error;
            }
        }
        let residual = |squared: f64| f32_above(rounded_up(f64::sqrt(squared)));
        let sketch_residual = match (&coarse[..], &fine[..]) {
            ([coarse], [fine]) => sketch::residual(&sketch::codes(coarse, fine, scale, vector.len()), &rotated),
            _ => 0,
        };
        Self {
            coarse,
            fine,
            sketch_residual,
            sizes: RowSizes::new(scale, residual(coarse_squared)),
            fine_residual: bf16_above(residual(fine_squared)),
        }
    }
}

impl RowCodes {
    /// Puts the fifth bits of a row's fine codes into words as [`super::kernel::FifthRows`] has them, and gives the residual
    /// of codes of five bits, as the upper half of an f32.
    pub(super) fn fifth_bits(&self, dimensions: usize, bits: &mut [u64]) -> u16 {
        let mut left_out_squared = 0.0;
        for (word_idx, word) in bits.iter_mut().enumerate() {
            let (line, shift) = (&self.fine[word_idx / FIFTH_WORDS].0, word_idx % FIFTH_WORDS * 4);
            let fine = |idx: usize| line[idx] >> shift & 15;
            *word = (0..64).fold(0, |word, idx| word | u64::from(fine(idx) >> 3) << idx);
            for idx in 0..64.min(dimensions.saturating_sub(word_idx * 64)) {
                left_out_squared += (f64::from(fine(idx) & 7) - 3.5).powi(2);
            }
        }
        let left_out = f64::from(self.sizes.scale()) * f64::sqrt(left_out_squared);
        bf16_above(f32_above(rounded_up(f64::from(bf16(self.fine_residual)) + left_out)))
    }
}

/// Beyond the error that 4096 f64 additions can make.
fn rounded_up(length: f64) -> f64 {
    length * (1.0 + 1e-9)
}

/// The f32 not below `number`, which is not negative.
fn f32_above(number: f64) -> f32 {
    let nearest = number as f32;
    if f64::from(nearest) < number { nearest.next_up() } else { nearest }
}

/// A probe made ready for a scan.
pub(super) struct ReadyProbe {
    pub(super) codes: ProbeCodes,
    /// The probe itself, not rotated.
    pub(super) floats: Vec<FloatLine>,
    rotated: Vec<f64>,
    /// At least that of the probe.
    length: f64,
}

impl ReadyProbe {
    pub(super) fn new(unit: &[f32], rotation: &Rotation) -> Self {
        let rotated = rotation.apply(unit);
        let largest = rotated.iter().fold(0.0_f64, |largest, number| largest.max(number.abs()));
        let scale = f32_above(largest / 127.0);
        let per_scale = if scale == 0.0 { 0.0 } else { 1.0 / f64::from(scale) };
        let mut lines = vec![ProbeLine([0; LINE_DIMENSIONS]); n_code_lines(unit.len())];
        let (mut code_sum, mut left_out_squared) = (0, 0.0);
        for (numbers, line) in rotated.chunks(LINE_DIMENSIONS).zip(&mut lines) {
            for (&number, slot) in numbers.iter().zip(&mut line.0) {
                *slot = (number * per_scale).round().clamp(-127.0, 127.0) as i8;
                code_sum += i32::from(*slot);
                let left_out = number - f64::from(scale) * f64::from(*slot);
                left_out_squared += left_out * left_out;
            }
        }
        let left_out = rounded_up(f64::sqrt(left_out_squared));
        let length = rounded_up(unit.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt());
        let terms = BoundTerms {
            code_sum,
            scale,
            residual_weight: f32_above(length + left_out),
            slack: f32_above(LENGTH_MAX * left_out + ROUNDING),
        };
        Self { codes: ProbeCodes { lines, terms }, floats: float_lines(unit).collect(), rotated, length }
    }

    /// For rows with sketches.
    pub(super) fn sketched(&self) -> SketchedProbe {
        SketchedProbe::new(&self.rotated, self.length)
    }
}

/// How many [`CodeLine`]s of each plane a row has.
pub(super) fn n_code_lines(dimensions: usize) -> usize {
    dimensions.div_ceil(LINE_DIMENSIONS)
}

/// How many [`FloatLine`]s a row has.
pub(super) fn n_float_lines(dimensions: usize) -> usize {
    dimensions.div_ceil(FloatLine::ZERO.0.len())
}

#[cfg(test)]
mod tests;
