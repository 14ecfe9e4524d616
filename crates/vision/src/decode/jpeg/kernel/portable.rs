//! The inner loops in plain Rust, which are also what the vector versions are compared with.

use super::{BlockValues, Kernel, place_of, rgb};

pub(super) static KERNEL: Kernel = Kernel {
    name: "portable",
    transform,
    twice_as_wide: |row, out| twice_as_wide(row, out),
    twice_as_high: |near, far, far_is_above, out| twice_as_high(near, far, far_is_above, out),
    twice_both: |near, far, sums, out| twice_both(near, far, sums, out),
    rgb: pixels,
};

type Lanes = [i32; 8];

fn lanes(value: impl Fn(usize) -> i32) -> Lanes {
    std::array::from_fn(value)
}

fn transform(coefficients: &BlockValues, quantisers: &BlockValues) -> [[u8; 8]; 8] {
    let input: [Lanes; 8] = std::array::from_fn(|row| {
        lanes(|column| {
            let place = usize::from(place_of(row as u8, column as u8));
            i32::from(coefficients[place].wrapping_mul(quantisers[place]))
        })
    });
    let columns = transposed(&pass(&input, 11));
    let rows = transposed(&pass(&columns, 18));
    rows.map(|row| row.map(|sample| (sample + 128).clamp(0, 255) as u8))
}

fn transposed(input: &[Lanes; 8]) -> [Lanes; 8] {
    std::array::from_fn(|row| lanes(|column| input[column][row]))
}

/// One direction of the transform of `jidctint.c` for eight columns at once (Loeffler, Ligtenberg and Moschytz 1989).
/// Factors are in 1/8192, results are divided by two to the power of `shift` and rounded. What does not fit 16 bits, in
/// files that no encoder writes, wraps and saturates where vector instructions do.
fn pass(input: &[Lanes; 8], shift: u32) -> [Lanes; 8] {
    let mut output = [[0; 8]; 8];
    for lane in 0..8 {
        let at = |row: usize| input[row][lane];
        let z1 = at(2).wrapping_add(at(6)).wrapping_mul(4433);
        let even_2 = z1.wrapping_sub(at(6).wrapping_mul(15_137));
        let even_3 = z1.wrapping_add(at(2).wrapping_mul(6270));
        let (even_0, even_1) = (at(0).wrapping_add(at(4)) << 13, at(0).wrapping_sub(at(4)) << 13);
        let even = [
            even_0.wrapping_add(even_3),
            even_1.wrapping_add(even_2),
            even_1.wrapping_sub(even_2),
            even_0.wrapping_sub(even_3),
        ];

        let sum_16 = |a: i32, b: i32| i32::from((a as i16).wrapping_add(b as i16));
        let (z3, z4) = (sum_16(at(7), at(3)), sum_16(at(5), at(1)));
        let z5 = z3.wrapping_add(z4).wrapping_mul(9633);
        let z1 = at(7).wrapping_add(at(1)).wrapping_mul(-7373);
        let z2 = at(5).wrapping_add(at(3)).wrapping_mul(-20_995);
        let z3 = z3.wrapping_mul(-16_069).wrapping_add(z5);
        let z4 = z4.wrapping_mul(-3196).wrapping_add(z5);
        let odd = [
            at(1).wrapping_mul(12_299).wrapping_add(z1).wrapping_add(z4),
            at(3).wrapping_mul(25_172).wrapping_add(z2).wrapping_add(z3),
            at(5).wrapping_mul(16_819).wrapping_add(z2).wrapping_add(z4),
            at(7).wrapping_mul(2446).wrapping_add(z1).wrapping_add(z3),
        ];

        let rounded =
            |value: i32| (value.wrapping_add(1 << (shift - 1)) >> shift).clamp(i16::MIN.into(), i16::MAX.into());
        for idx in 0..4 {
            output[idx][lane] = rounded(even[idx].wrapping_add(odd[idx]));
            output[7 - idx][lane] = rounded(even[idx].wrapping_sub(odd[idx]));
        }
    }
    output
}

/// Two pixels of each sample, three parts of the nearer and one of the next.
#[inline(always)]
pub(super) fn twice_as_wide(row: &[u8], out: &mut [u8]) {
    let last = row.len() - 1;
    out[0] = row[0];
    out[2 * last + 1] = row[last];
    let (pairs, _) = out[1..=2 * last].as_chunks_mut::<2>();
    for (pair, (&left, &right)) in pairs.iter_mut().zip(row[..last].iter().zip(&row[1..])) {
        let (left, right) = (u16::from(left), u16::from(right));
        *pair = [((3 * left + right + 2) >> 2) as u8, ((3 * right + left + 1) >> 2) as u8];
    }
}

#[inline(always)]
pub(super) fn twice_as_high(near: &[u8], far: &[u8], far_is_above: bool, out: &mut [u8]) {
    let bias = if far_is_above { 1 } else { 2 };
    for ((out, &near), &far) in out.iter_mut().zip(near).zip(far) {
        *out = ((3 * u16::from(near) + u16::from(far) + bias) >> 2) as u8;
    }
}

#[inline(always)]
pub(super) fn twice_both(near: &[u8], far: &[u8], sums: &mut [u16], out: &mut [u8]) {
    let sums = &mut sums[..near.len()];
    for ((sum, &near), &far) in sums.iter_mut().zip(near).zip(far) {
        *sum = 3 * u16::from(near) + u16::from(far);
    }
    let last = sums.len() - 1;
    out[0] = ((4 * sums[0] + 8) >> 4) as u8;
    out[2 * last + 1] = ((4 * sums[last] + 7) >> 4) as u8;
    let (pairs, _) = out[1..=2 * last].as_chunks_mut::<2>();
    for (pair, (&left, &right)) in pairs.iter_mut().zip(sums[..last].iter().zip(&sums[1..])) {
        *pair = [((3 * left + right + 7) >> 4) as u8, ((3 * right + left + 8) >> 4) as u8];
    }
}

pub(super) fn pixels([luma, cb, cr]: [&[u8]; 3], out: &mut [[u8; 3]]) {
    for (pixel, ((&luma, &cb), &cr)) in out.iter_mut().zip(luma.iter().zip(cb).zip(cr)) {
        *pixel = rgb(luma, cb, cr);
    }
}
