//! The inverse cosine transform of 8 x 8 coefficients to 8, 4, 2 or 1 samples in each direction.
//!
//! A reduced sample is the mean of the samples it covers, exactly: the mean of a cosine over 2, 4 or 8 samples is a
//! factor of its coefficient, so the transform and the averaging are one sum. (The mean over all eight is 0 but for the
//! first coefficient; over four, 0 for the even ones.) Full size is the algorithm of Arai, Agui and Nakajima (1988) in
//! floating point, as in libjpeg's `jidctflt.c`.
//!
//! Coefficients lie in columns (`horizontal frequency * 8 + vertical frequency`), so that after the horizontal pass and
//! one transposition the rows of samples lie as they are stored.

/// Samples of one block: rows of eight, of which the first ones are used.
pub(super) type Samples = [[f32; 8]; 8];

/// Where each coefficient of the zigzag order lies in columns. Sixteen more entries catch nothing lawful.
pub(super) const COLUMN_ORDER: [u8; 64] = [
    0, 8, 1, 2, 9, 16, 24, 17, 10, 3, 4, 11, 18, 25, 32, 40, 33, 26, 19, 12, 5, 6, 13, 20, 27, 34, 41, 48, 56, 49, 42,
    35, 28, 21, 14, 7, 15, 22, 29, 36, 43, 50, 57, 58, 51, 44, 37, 30, 23, 31, 38, 45, 52, 59, 60, 53, 46, 39, 47, 54,
    61, 62, 55, 63,
];

/// `cos(k pi / 16)` for k of 0 to 7.
const COS: [f64; 8] = [
    1.0,
    0.980_785_280_403_230_4,
    0.923_879_532_511_286_7,
    0.831_469_612_302_545_2,
    std::f64::consts::FRAC_1_SQRT_2,
    0.555_570_233_019_602_2,
    0.382_683_432_365_089_8,
    0.195_090_322_016_128_3,
];

/// What a coefficient is multiplied with before the passes to `n` samples, for one direction.
fn prefactor(n: usize, k: usize) -> f64 {
    let norm = if k == 0 { std::f64::consts::FRAC_1_SQRT_2 / 2.0 } else { 0.5 };
    match n {
        // The scale factors of Arai, Agui and Nakajima.
        8 if k == 0 => norm,
        8 => norm * COS[k],
        4 => norm,
        // The mean of cos((2 x + 1) k pi / 16) over x of 0 to 3; the second half is its negative for odd k.
        2 if k == 0 => norm,
        2 if k % 2 == 1 => {
            let mean: f64 = (0..4).map(|x| (f64::from(2 * x + 1) * k as f64 * std::f64::consts::PI / 16.0).cos()).sum();
            norm * mean / 4.0
        }
        1 if k == 0 => norm,
        _ => 0.0,
    }
}

/// A quantisation table (in zigzag order) made ready for blocks of `width` x `height` samples; in zigzag order too.
pub(super) fn factors(quantisation: &[u16; 64], width: usize, height: usize) -> [f32; 64] {
    std::array::from_fn(|zigzag_idx| {
        let place = usize::from(COLUMN_ORDER[zigzag_idx]);
        (f64::from(quantisation[zigzag_idx]) * prefactor(width, place / 8) * prefactor(height, place % 8)) as f32
    })
}

/// Samples of a block, around 0, of coefficients that were multiplied with [`factors`].
#[inline(always)]
pub(super) fn transform(coefficients: &[f32; 64], width: usize, height: usize) -> Samples {
    let (rows, _) = coefficients.as_chunks::<8>();
    let mut input = [[0.0; 8]; 8];
    input.copy_from_slice(rows);
    pass(&transposed(&pass(&input, width)), height)
}

#[inline(always)]
fn pass(input: &Samples, n: usize) -> Samples {
    match n {
        8 => pass_8(input),
        4 => pass_4(input),
        2 => pass_2(input),
        _ => [input[0], [0.0; 8], [0.0; 8], [0.0; 8], [0.0; 8], [0.0; 8], [0.0; 8], [0.0; 8]],
    }
}

#[inline(always)]
fn transposed(input: &Samples) -> Samples {
    std::array::from_fn(|row| std::array::from_fn(|column| input[column][row]))
}

#[inline(always)]
fn add(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
    std::array::from_fn(|lane| a[lane] + b[lane])
}

#[inline(always)]
fn sub(a: [f32; 8], b: [f32; 8]) -> [f32; 8] {
    std::array::from_fn(|lane| a[lane] - b[lane])
}

#[inline(always)]
fn mul(a: [f32; 8], factor: f32) -> [f32; 8] {
    std::array::from_fn(|lane| a[lane] * factor)
}

#[inline(always)]
fn pass_8(input: &Samples) -> Samples {
    const SQRT_2: f32 = std::f32::consts::SQRT_2;
    let (sum, difference) = (add(input[0], input[4]), sub(input[0], input[4]));
    let inner_sum = add(input[2], input[6]);
    let inner_difference = sub(mul(sub(input[2], input[6]), SQRT_2), inner_sum);
    let even = [
        add(sum, inner_sum),
        add(difference, inner_difference),
        sub(difference, inner_difference),
        sub(sum, inner_sum),
    ];

    let (z13, z10) = (add(input[5], input[3]), sub(input[5], input[3]));
    let (z11, z12) = (add(input[1], input[7]), sub(input[1], input[7]));
    let odd_0 = add(z11, z13);
    let z5 = mul(add(z10, z12), 1.847_759_1);
    let odd_1 = sub(sub(z5, mul(z10, 2.613_125_9)), odd_0);
    let odd_2 = sub(mul(sub(z11, z13), SQRT_2), odd_1);
    // Of the fourth the negative.
    let odd_3 = add(sub(mul(z12, 1.082_392_2), z5), odd_2);
    [
        add(even[0], odd_0),
        add(even[1], odd_1),
        add(even[2], odd_2),
        sub(even[3], odd_3),
        add(even[3], odd_3),
        sub(even[2], odd_2),
        sub(even[1], odd_1),
        sub(even[0], odd_0),
    ]
}

/// `MEAN_4[x][k]`: the mean of `cos((2 i + 1) k pi / 16)` over the samples i of `2 x` and `2 x + 1`, which is
/// `cos((2 x + 1) k pi / 8) cos(k pi / 16)`, for x of 0 and 1.
const MEAN_4: [[f32; 8]; 2] = {
    // cos(k pi / 8) and cos(3 k pi / 8) by their places in COS; sign first.
    let first = [1.0, COS[2], COS[4], COS[6], 0.0, -COS[6], -COS[4], -COS[2]];
    let second = [1.0, COS[6], -COS[4], -COS[2], 0.0, COS[2], COS[4], -COS[6]];
    let mut mean = [[0.0; 8]; 2];
    let mut k = 0;
    while k < 8 {
        mean[0][k] = (first[k] * COS[k]) as f32;
        mean[1][k] = (second[k] * COS[k]) as f32;
        k += 1;
    }
    mean
};

#[inline(always)]
fn pass_4(input: &Samples) -> Samples {
    let even = |x: usize| add(input[0], add(mul(input[2], MEAN_4[x][2]), mul(input[6], MEAN_4[x][6])));
    let odd = |x: usize| {
        let low = add(mul(input[1], MEAN_4[x][1]), mul(input[3], MEAN_4[x][3]));
        add(low, add(mul(input[5], MEAN_4[x][5]), mul(input[7], MEAN_4[x][7])))
    };
    let ((even_0, odd_0), (even_1, odd_1)) = ((even(0), odd(0)), (even(1), odd(1)));
    let zero = [0.0; 8];
    [add(even_0, odd_0), add(even_1, odd_1), sub(even_1, odd_1), sub(even_0, odd_0), zero, zero, zero, zero]
}

#[inline(always)]
fn pass_2(input: &Samples) -> Samples {
    let odd = add(add(input[1], input[3]), add(input[5], input[7]));
    let zero = [0.0; 8];
    [add(input[0], odd), sub(input[0], odd), zero, zero, zero, zero, zero, zero]
}

/// A sample around 0 as a byte around 128, rounded.
#[inline(always)]
pub(super) fn byte(sample: f32) -> u8 {
    // Between 2^23 and 2^24 a float's last place is 1, so the sum is rounded and its low bits are the number: this has
    // no branch and no saturating conversion, which compilers do not turn into SIMD.
    ((sample + 128.0).clamp(0.0, 255.0) + 8_388_608.0).to_bits() as u8
}
