//! Templates as int8 codes, and how far a code sum can be from the similarity it stands for.
//!
//! # The bound
//! A vector `x` becomes `x̂ = s·q` with whole numbers `q` from -127 to 127 and one scale `s = max|xᵢ| / 127`. What is
//! left, `e = x - x̂`, is the *residual*; its length `|e|` is computed from the stored `s` and `q` themselves, so it holds
//! whatever rounding made them. A row `x = x̂ + e` and a probe `p = p̂ + f` then have
//!
//! ```text
//! <x, p> - <x̂, p̂>  =  <e, p> + <x̂, f>                     since <x, p> = <x̂, p> + <e, p> and <x̂, p> = <x̂, p̂> + <x̂, f>
//! |<e, p> + <x̂, f>| <=  |e||p| + |x̂||f|                    by Cauchy-Schwarz
//!                   <=  |e||p| + (|x| + |e|)|f|            since x̂ = x - e
//!                   <=  |e|(|p| + |f|) + LENGTH_MAX |f|    since a template's length is at most LENGTH_MAX
//! ```
//!
//! With `A = <q, r>` for the probe's codes `r` and scale `t`, a row's similarity is at most
//!
//! ```text
//! bound = A·(s·t) + |e|·(|p| + |f|) + (LENGTH_MAX |f| + ROUNDING)
//! ```
//!
//! Lengths are computed in f64 and rounded up to f32. `ROUNDING` covers the f32 arithmetic of `bound` itself: each of
//! its at most 8 roundings is of a number below 1.2 (a product or sum of the terms above) and errs by at most
//! 1.2 × 2⁻²⁴, together below 6e-7 (kernels that fuse a multiplication with an addition round less often); and the similarity's own rounding to f32, below 1e-7 (its f64 sums err by less than
//! 1e-12). 128 dimensions of a real template give a bound about 0.015 above the similarity, so a search computes little
//! more than the similarities it returns.

use super::kernel::{BoundTerms, CodeLine, FloatLine, Quad, float_lines};

/// Above the length of any [`likeness_domain::types::Template`], whose square is within 2e-3 of 1.
const LENGTH_MAX: f64 = 1.002;

/// Above the sum of all rounding errors; see the module's page.
const ROUNDING: f64 = 1e-6;

/// Added to a row's codes to make them unsigned, as the kernels want them.
const CODE_OFFSET: i32 = 128;

/// The codes of a vector as `scale × codes`, and the length of what that leaves out.
pub(super) struct Quantised {
    pub(super) codes: Vec<i8>,
    pub(super) scale: f32,
    /// Never below the exact length.
    pub(super) residual: f64,
}

pub(super) fn quantise(vector: &[f32]) -> Quantised {
    let largest = vector.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
    let scale = largest / 127.0;
    // Only a vector of zeros has no scale, and no template is one.
    let codes: Vec<i8> = match scale {
        0.0 => vec![0; vector.len()],
        _ => vector.iter().map(|&number| (number / scale).round().clamp(-127.0, 127.0) as i8).collect(),
    };
    let squared: f64 = vector
        .iter()
        .zip(&codes)
        .map(|(&number, &code)| f64::from(number) - f64::from(scale) * f64::from(code))
        .map(|left_out| left_out * left_out)
        .sum();
    Quantised { codes, scale, residual: rounded_up(squared.sqrt()) }
}

/// Beyond the error that 4096 f64 additions can make.
fn rounded_up(length: f64) -> f64 {
    length * (1.0 + 1e-9)
}

/// The f32 not below `number`, which is not negative.
pub(super) fn f32_above(number: f64) -> f32 {
    let nearest = number as f32;
    if f64::from(nearest) < number { nearest.next_up() } else { nearest }
}

/// A row's code as it is stored.
pub(super) fn stored_code(code: i8) -> u8 {
    (i32::from(code) + CODE_OFFSET) as u8
}

/// A probe made ready for a scan.
pub(super) struct ReadyProbe {
    pub(super) quads: Vec<Quad>,
    pub(super) lines: Vec<FloatLine>,
    pub(super) terms: BoundTerms,
}

impl ReadyProbe {
    pub(super) fn new(unit: &[f32]) -> Self {
        let Quantised { codes, scale, residual } = quantise(unit);
        let length = rounded_up(unit.iter().map(|&number| f64::from(number).powi(2)).sum::<f64>().sqrt());
        let quads =
            codes.chunks(4).map(|chunk| std::array::from_fn(|idx| chunk.get(idx).copied().unwrap_or(0))).collect();
        let terms = BoundTerms {
            sum_offset: CODE_OFFSET * codes.iter().map(|&code| i32::from(code)).sum::<i32>(),
            scale,
            residual_weight: f32_above(length + residual),
            slack: f32_above(LENGTH_MAX * residual + ROUNDING),
        };
        Self { quads, lines: float_lines(unit).collect(), terms }
    }
}

/// How many [`CodeLine`]s a block has.
pub(super) fn n_code_lines(dimensions: usize) -> usize {
    dimensions.div_ceil(size_of::<Quad>())
}

/// How many [`FloatLine`]s a row has.
pub(super) fn n_float_lines(dimensions: usize) -> usize {
    dimensions.div_ceil(FloatLine::ZERO.0.len())
}

/// Puts a row's codes into its block.
pub(super) fn write_codes(block: &mut [CodeLine], row: usize, codes: &[i8]) {
    for (line, chunk) in block.iter_mut().zip(codes.chunks(4)) {
        for (slot, &code) in line.0[row * 4..row * 4 + 4].iter_mut().zip(chunk) {
            *slot = stored_code(code);
        }
    }
}

#[cfg(test)]
mod tests;
