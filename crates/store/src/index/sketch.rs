//! Sketches of rows of up to 128 numbers: codes of 3 bits a number, which a search of one probe looks at first. The trade's
//! name for such codes is product quantisation, here with one fixed codebook for all parts, and for looking them up in
//! registers fast scan; unlike there the bound is proved, so nothing is lost.
//!
//! # The codes
//! Two numbers of a rotated vector, `xᵢ` and `x₆₄₊ᵢ`, are a point in the plane, and the points of all vectors lie alike: as a
//! normal distribution of deviation `1/√d`. So one set of 64 points serves all pairs of all vectors ([`POINTS`], found by
//! moving them to the middles of what is nearest to them until they stay): the code of a pair is the nearest point, and the
//! sketch `c` of a vector is those points. It leaves out less than codes of 3 bits for each number by itself would, 0.173 of
//! a random direction's length instead of 0.186 with the best such codes and 0.21 with codes that follow the largest number.
//!
//! A probe multiplies nothing: for each pair it has a table of what each of the 64 points contributes to `<c, p>`, in whole
//! multiples of a step `Δ`.
//!
//! # The bound
//! The pair `j` contributes `vⱼ(k)` with code `k`. Its table has, with an offset `oⱼ`,
//!
//! ```text
//! qⱼ(k) = the whole number from 0 to 255 that is nearest to (vⱼ(k) - oⱼ)/Δ
//! wⱼ    = max over k of (vⱼ(k) - oⱼ)/Δ - qⱼ(k), and at least 0
//! ```
//!
//! so that `vⱼ(k) <= oⱼ + Δ·(qⱼ(k) + wⱼ)`, whatever had to be cut off at 0 or 255. With `S = Σqⱼ(kⱼ)` and `e = x - c`,
//!
//! ```text
//! <x, p> = <c, p> + <e, p> <= Σoⱼ + Δ·Σwⱼ + Δ·S + |e||p|                    by Cauchy-Schwarz
//! ```
//!
//! `|e|` is computed from the vector in f64 and kept as the least multiple `R/1024` not below it. The weight `W` is a whole
//! number not below `256·|p|/(1024·Δ)`, so that `|e||p| <= Δ·R·W/256 < Δ·(⌊R·W/256⌋ + 1)`. A row that reaches `θ` therefore has
//!
//! ```text
//! S + ⌊R·W/256⌋ > (θ - Σoⱼ - Δ·Σwⱼ - ROUNDING)/Δ - 1
//! ```
//!
//! and, both sums on the left being whole numbers, a value (`kernel::sketch`) of at least the right side plus 1 rounded down,
//! which is [`SketchedProbe::least`]. `ROUNDING` covers the similarity's rounding to f32 (below 1e-7) and the rotation's and
//! the f64 arithmetic's errors (below 1e-11 together, Δ being at least 1e-5).
//!
//! Residuals of 255/1024 and more are kept as 255, and such a row is found whatever its value.
//!
//! # Which rows have one
//! Those of full segments from the [`SKETCHED_FROM`]th of a gallery on, on processors that can look 64 codes up at a time. The
//! first thousands of rows are hardly excluded by so coarse a bound, and small sets are in the caches anyway: what the
//! sketches take of memory, 49 bytes a row, would be for nothing there.
//!
//! Codes follow from those of 8 bits in the same way on every processor, and the residual is in the row on disk: whoever
//! changes [`POINTS`] must give those files another version.

use std::sync::OnceLock;

use super::kernel::sketch::{CODES, PAIRS, RESIDUAL_MAX, Tables};
use super::kernel::{CodeLine, LINE_DIMENSIONS};

/// Full segments before this one have no sketches.
pub(super) const SKETCHED_FROM: usize = if cfg!(test) { 1 } else { 96 };

/// The points that stand for all others, in 32nds of a deviation.
const POINTS: [[i8; 2]; CODES] = [
    [-86, -9],
    [-82, 31],
    [-67, -39],
    [-62, 12],
    [-61, -12],
    [-57, 62],
    [-54, -70],
    [-53, 36],
    [-44, -21],
    [-44, 1],
    [-41, -42],
    [-41, 21],
    [-32, 40],
    [-31, -8],
    [-30, 59],
    [-29, 10],
    [-28, -26],
    [-27, 88],
    [-26, -63],
    [-24, 26],
    [-19, -43],
    [-17, 1],
    [-16, -13],
    [-13, 16],
    [-12, -27],
    [-11, 47],
    [-9, 30],
    [-8, -87],
    [-7, 68],
    [-5, 7],
    [-4, -57],
    [-3, -8],
    [0, -37],
    [2, -22],
    [4, 20],
    [5, 37],
    [7, 3],
    [9, 57],
    [12, -12],
    [14, -46],
    [18, -70],
    [18, -28],
    [18, 13],
    [19, 84],
    [20, -1],
    [20, 27],
    [20, 43],
    [27, -13],
    [31, -46],
    [33, 6],
    [34, 60],
    [37, -26],
    [37, 39],
    [38, 21],
    [43, -7],
    [49, -70],
    [51, -40],
    [55, 8],
    [56, 32],
    [58, -18],
    [62, 62],
    [77, -39],
    [80, -6],
    [81, 25],
];

/// Steps of [`POINTS`] in a deviation.
const STEPS: f64 = 32.0;

/// Residuals are kept in such parts.
const RESIDUAL_PARTS: f64 = 1024.0;

/// See the module's page.
const ROUNDING: f64 = 1e-5;

/// The least step of a table.
const STEP_MIN: f64 = 1e-5;

/// The steps of the widest table go up to 255 over this part of its range; what is below is cut off at 0. Finer steps round
/// less, and what is cut off is far from the probe.
const RANGE_KEPT: f64 = 0.71;

/// What similarities of a row's sketch may be below the cutoff for the row to promise a hit, as far as it is the residual
/// that makes its bound.
const PROMISING: f64 = 0.13;

/// The nearest point of each place on the grid of [`POINTS`], by both coordinates plus 128.
fn nearest_points() -> &'static [u8] {
    static NEAREST: OnceLock<Box<[u8]>> = OnceLock::new();
    NEAREST.get_or_init(|| {
        let nearest = |place: usize| {
            let (x, y) = ((place / 256) as i32 - 128, (place % 256) as i32 - 128);
            let far = |[a, b]: [i8; 2]| (x - i32::from(a)).pow(2) + (y - i32::from(b)).pow(2);
            let nearest = (0..CODES).min_by_key(|&code| far(POINTS[code]));
            nearest.map_or(0, |code| code as u8)
        };
        (0..256 * 256).map(nearest).collect()
    })
}

/// The codes of a row with these whole codes and this scale.
pub(super) fn codes(coarse: &CodeLine, fine: &CodeLine, scale: f32, dimensions: usize) -> [u8; PAIRS] {
    let nearest = nearest_points();
    // The same f32 operations on every processor.
    let per_code = scale * (STEPS * (dimensions as f64).sqrt()) as f32;
    let place = |idx: usize, code: u8| match idx < dimensions {
        true => ((f32::from(code) - 127.5) * per_code + 128.5).clamp(0.0, 255.0) as usize,
        false => 128,
    };
    std::array::from_fn(|pair| {
        let (coarse, fine) = (coarse.0[pair], fine.0[pair]);
        let (first, second) = ((coarse & 15) << 4 | fine & 15, coarse & 0xf0 | fine >> 4);
        nearest[place(pair, first) * 256 + place(LINE_DIMENSIONS / 2 + pair, second)]
    })
}

/// What the sketch of a rotated vector leaves out.
pub(super) fn residual(codes: &[u8; PAIRS], rotated: &[f64]) -> u8 {
    let unit = unit_of(rotated.len());
    let point = |idx: usize| f64::from(POINTS[usize::from(codes[idx % PAIRS])][idx / PAIRS]);
    let squared: f64 = rotated.iter().enumerate().map(|(idx, number)| (number - unit * point(idx)).powi(2)).sum();
    // Beyond the errors of so few additions.
    (squared.sqrt() * (1.0 + 1e-9) * RESIDUAL_PARTS).ceil().min(f64::from(RESIDUAL_MAX)) as u8
}

/// Length of a step of [`POINTS`].
fn unit_of(dimensions: usize) -> f64 {
    1.0 / (STEPS * (dimensions as f64).sqrt())
}

/// A probe as scans of sketches need it.
#[derive(Debug)]
pub(super) struct SketchedProbe {
    pub(super) tables: Tables,
    /// Δ
    step: f64,
    /// Σoⱼ + Δ·Σwⱼ + ROUNDING
    offset: f64,
}

impl SketchedProbe {
    /// Of a rotated probe of up to 128 numbers and of this length at most.
    pub(super) fn new(rotated: &[f64], length: f64) -> Self {
        let unit = unit_of(rotated.len());
        let number = |idx: usize| unit * rotated.get(idx).copied().unwrap_or(0.0);
        let contributions = |pair: usize| {
            let (first, second) = (number(pair), number(LINE_DIMENSIONS / 2 + pair));
            POINTS.map(|[a, b]| first * f64::from(a) + second * f64::from(b))
        };
        let ends: Vec<(f64, f64)> = (0..PAIRS)
            .map(|pair| {
                let ends = (f64::INFINITY, f64::NEG_INFINITY);
                contributions(pair)
                    .iter()
                    .fold(ends, |(least, greatest), &number| (least.min(number), greatest.max(number)))
            })
            .collect();
        let range = ends.iter().fold(0.0_f64, |range, (least, greatest)| range.max(greatest - least));
        let step = (range * RANGE_KEPT / 255.0).max(STEP_MIN);
        let per_step = 1.0 / step;
        let mut offset = ROUNDING;
        let lines = ends
            .iter()
            .enumerate()
            .map(|(pair, (least, greatest))| {
                let least = least.max(greatest - 255.0 * step);
                let mut above = 0.0_f64;
                let table = contributions(pair).map(|number| {
                    let steps = (number - least) * per_step;
                    // `as` cuts off, which rounds what is not negative.
                    let whole = (steps + 0.5) as u8;
                    above = above.max(steps - f64::from(whole));
                    whole
                });
                offset += least + step * above;
                CodeLine(table)
            })
            .collect();
        let residual_weight = (256.0 / RESIDUAL_PARTS * length * per_step * (1.0 + 1e-9)).ceil() as u16;
        Self { tables: Tables { lines, residual_weight }, step, offset }
    }

    /// The least value of rows that may reach the cutoff.
    pub(super) fn least(&self, cutoff: f32) -> u16 {
        // `as` gives 0 for what is below, and the greatest number for what is above.
        ((f64::from(cutoff) - self.offset) / self.step).floor() as u16
    }

    /// The least value of rows that promise to reach it.
    pub(super) fn promising(&self, cutoff: f32) -> u16 {
        ((f64::from(cutoff) + PROMISING - self.offset) / self.step).floor() as u16
    }
}

#[cfg(test)]
mod tests;
