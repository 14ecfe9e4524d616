//! The inner loops of decoding at full size, one implementation per instruction set, chosen once per process.
//!
//! All of it is integer arithmetic that gives exactly the pixels of libjpeg (and libjpeg-turbo) with its default
//! settings: the transform of `jidctint.c` ("islow"), the triangle filter of `jdsample.c` ("fancy upsampling") and the
//! colours of `jdcolor.c`. Every implementation gives the same bytes. The unsafe code is in the submodules.

mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86;

use std::sync::OnceLock;

/// 64 numbers, one for each coefficient of a block, at the places that [`PLACE`] gives.
pub(super) type BlockValues = [i16; 64];

/// Where each coefficient of the zigzag order lies in [`BlockValues`].
///
/// The transform multiplies rows of coefficients in pairs, vertical frequencies 0 and 4, 2 and 6, 1 and 7, 3 and 5, so
/// these rows lie interleaved: 0 and 4 of the first column, 0 and 4 of the second, and so on.
pub(super) const PLACE: [u8; 64] = {
    let mut place = [0; 64];
    let mut zigzag_idx = 0;
    while zigzag_idx < 64 {
        let (row, column) = (NATURAL[zigzag_idx] / 8, NATURAL[zigzag_idx] % 8);
        place[zigzag_idx] = place_of(row, column);
        zigzag_idx += 1;
    }
    place
};

/// Place of the coefficient of this vertical (`row`) and horizontal (`column`) frequency.
const fn place_of(row: u8, column: u8) -> u8 {
    const PAIR_AND_HALF: [(u8, u8); 8] = [(0, 0), (2, 0), (1, 0), (3, 0), (0, 1), (3, 1), (1, 1), (2, 1)];
    let (pair, half) = PAIR_AND_HALF[row as usize];
    pair * 16 + column * 2 + half
}

/// Row times 8 plus column of each coefficient of the zigzag order (ITU T.81, figure A.6).
const NATURAL: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

/// One implementation of the inner loops.
#[derive(Debug)]
pub(super) struct Kernel {
    /// What it is called, as in `avx2`.
    #[cfg_attr(not(test), expect(dead_code, reason = "named by tests"))]
    pub(super) name: &'static str,
    /// Coefficients times quantisers (both at their [`PLACE`]) to eight rows of samples. Products wrap at 16 bits, which
    /// only happens in files that no encoder writes.
    pub(super) transform: fn(&BlockValues, &BlockValues) -> [[u8; 8]; 8],
    /// A row of at least two samples enlarged to twice its width; `out` has room for it.
    pub(super) twice_as_wide: fn(row: &[u8], out: &mut [u8]),
    /// The row between two rows of samples, nearer to the first; the second is above or below.
    pub(super) twice_as_high: fn(near: &[u8], far: &[u8], far_is_above: bool, out: &mut [u8]),
    /// Both at once, rounded once; `sums` has room for the row.
    #[expect(clippy::type_complexity, reason = "the names of its parameters explain it")]
    pub(super) twice_both: fn(near: &[u8], far: &[u8], sums: &mut [u16], out: &mut [u8]),
    /// Rows of luma, Cb and Cr to pixels of three bytes; all of the same length.
    pub(super) rgb: fn(rows: [&[u8]; 3], out: &mut [[u8; 3]]),
}

impl Kernel {
    /// The fastest that this processor can run.
    pub(super) fn get() -> &'static Kernel {
        static CHOSEN: OnceLock<&Kernel> = OnceLock::new();
        CHOSEN.get_or_init(|| Self::all().first().copied().unwrap_or(&portable::KERNEL))
    }

    /// All that this processor can run, the fastest first.
    pub(super) fn all() -> Vec<&'static Kernel> {
        let mut all = vec![];
        #[cfg(target_arch = "x86_64")]
        all.extend(x86::kernel());
        all.push(&portable::KERNEL);
        all
    }
}

/// The sample of a block of which only the first coefficient is not 0.
#[inline(always)]
pub(super) fn flat_sample(first: i16, quantiser: i16) -> u8 {
    (((i32::from(first.wrapping_mul(quantiser)) + 4) >> 3) + 128).clamp(0, 255) as u8
}

/// One pixel's colour (ITU-R BT.601 in full range, as JFIF says), rounded as libjpeg does.
#[inline(always)]
pub(super) fn rgb(luma: u8, cb: u8, cr: u8) -> [u8; 3] {
    let (cb, cr) = (i32::from(cb) - 128, i32::from(cr) - 128);
    // 1.402, -0.34414, -0.71414 and 1.772 in 1/65536.
    let red = (91_881 * cr + 32_768) >> 16;
    let green = (-22_554 * cb - 46_802 * cr + 32_768) >> 16;
    let blue = (116_130 * cb + 32_768) >> 16;
    [red, green, blue].map(|difference| (i32::from(luma) + difference).clamp(0, 255) as u8)
}
