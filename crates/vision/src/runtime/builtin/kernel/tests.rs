use proptest::prelude::*;

use super::*;

/// Numbers from -1 to 1, other ones for each seed.
fn floats(seed: u32, n: usize) -> Vec<f32> {
    let number = |idx: u32| idx.wrapping_add(seed).wrapping_mul(2_654_435_761) ^ idx.wrapping_mul(40_503);
    (0..n as u32).map(|idx| (number(idx) >> 8) as f32 / (1 << 23) as f32 - 1.0).collect()
}

fn lines(seed: u32, n: usize) -> Vec<Line> {
    floats(seed, n * LANES).chunks_exact(LANES).map(|chunk| Line(chunk.try_into().expect("16"))).collect()
}

fn finishes(seed: u32, n: usize) -> Vec<Finish> {
    let line = |part: u32, idx: usize| lines(seed + part + idx as u32 * 97, 1)[0];
    (0..n).map(|idx| Finish { scale: line(1, idx), bias: line(2, idx), slope: line(3, idx) }).collect()
}

fn bent(number: f32, slope: f32) -> f32 {
    if number < 0.0 { number * slope } else { number }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn pointwise_is_the_sum_of_products(n_pixels in 1..40_usize, n_lines in 1..10_usize, half in 1..80_usize, seed: u32) {
        let depth = 2 * half;
        let integers = |seed, n, limit: f32| floats(seed, n).iter().map(|x| (x * limit) as i16).collect::<Vec<_>>();
        let rows = integers(seed, n_pixels * depth, 4095.0);
        let weights = integers(seed ^ 1, n_lines * LANES * depth, 3000.0);
        let weight = |output: usize, input: usize| weights[output * depth + input];
        let (finish, scales) = (finishes(seed, n_lines), floats(seed ^ 2, n_pixels));
        // Every other pixel of the plane, from the last on.
        let places: Vec<u32> = (0..n_pixels as u32).rev().map(|pixel| 2 * pixel).collect();
        let plane_len = 2 * n_pixels;
        let mut expected = vec![Line([7.0; LANES]); n_lines * plane_len];
        for output in 0..n_lines * LANES {
            let (line, lane) = (output / LANES, output % LANES);
            for pixel in 0..n_pixels {
                let sum: i64 =
                    (0..depth).map(|i| i64::from(rows[pixel * depth + i]) * i64::from(weight(output, i))).sum();
                let Finish { scale, bias, slope } = &finish[line];
                let number = (sum as i32 as f32 * scales[pixel]).mul_add(scale.0[lane], bias.0[lane]);
                expected[line * plane_len + places[pixel] as usize].0[lane] = bent(number, slope.0[lane]);
            }
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); n_lines * plane_len];
            let weights = kernel.packed(n_lines, depth, &weight);
            let job = Pointwise {
                rows: &rows, scales: &scales, depth, weights: &weights, finish: &finish, places: &places, plane_len,
            };
            kernel.pointwise(&job, &mut vec![TileLine([3; TILE_DEPTH]); 5], &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn pointwise_in_bytes_is_the_sum_of_products_of_each_block(
        n_pixels in 1..40_usize, n_lines in 1..10_usize, n_depth in 1..10_usize, seed: u32,
    ) {
        let depth = LANES * n_depth;
        let n_blocks = depth.div_ceil(BYTE_BLOCK);
        let bytes = |seed, n| floats(seed, n).iter().map(|x| (x * 127.9) as i8).collect::<Vec<_>>();
        let (rows, weights) = (bytes(seed, n_pixels * depth), bytes(seed ^ 1, n_lines * LANES * depth));
        let weight = |output: usize, input: usize| weights[output * depth + input] as u8;
        let scales: Vec<[f32; 2]> =
            floats(seed ^ 2, 2 * n_pixels * n_blocks).chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let terms: Vec<[Line; 2]> =
            lines(seed ^ 3, 2 * n_lines * n_blocks).chunks_exact(2).map(|pair| [pair[0], pair[1]]).collect();
        let finish = finishes(seed, n_lines);
        // Every other pixel of the plane, from the last on.
        let places: Vec<u32> = (0..n_pixels as u32).rev().map(|pixel| 2 * pixel).collect();
        let plane_len = 2 * n_pixels;
        let mut expected = vec![Line([7.0; LANES]); n_lines * plane_len];
        for (output, pixel) in (0..n_lines * LANES).flat_map(|output| (0..n_pixels).map(move |pixel| (output, pixel))) {
            let (line, lane) = (output / LANES, output % LANES);
            let Finish { bias, slope, .. } = &finish[line];
            let mut number = bias.0[lane];
            for block in 0..n_blocks {
                let inputs = block * BYTE_BLOCK..depth.min((block + 1) * BYTE_BLOCK);
                let product = |i: usize| i32::from(rows[pixel * depth + i]) * i32::from(weight(output, i));
                let sum: i32 = inputs.map(product).sum();
                let ([scale, total], [one, zero]) = (scales[pixel * n_blocks + block], terms[line * n_blocks + block]);
                number = (sum as f32 * scale).mul_add(one.0[lane], number);
                number = total.mul_add(zero.0[lane], number);
            }
            expected[line * plane_len + places[pixel] as usize].0[lane] = bent(number, slope.0[lane]);
        }
        let weights = Kernel::packed_bytes(n_lines, depth, &weight);
        let job = BytePointwise {
            rows: &rows, scales: &scales, depth, weights: &weights, terms: &terms, finish: &finish, places: &places,
            plane_len,
        };
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); n_lines * plane_len];
            kernel.pointwise_bytes(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn rows_of_bytes_reach_the_limit_in_each_block_and_know_its_sum(
        n_pixels in 1..9_usize, n_planes in 1..10_usize, seed: u32,
    ) {
        let mut planes = lines(seed, n_pixels * n_planes);
        (0..n_planes).for_each(|plane| planes[plane * n_pixels] = Line::ZERO);
        let depth = n_planes * LANES;
        let n_blocks = depth.div_ceil(BYTE_BLOCK);
        for kernel in Kernel::all() {
            let (mut rows, mut scales) = (vec![1; planes.len() * LANES], vec![[1.0; 2]; n_pixels * n_blocks]);
            kernel.quantise_bytes(&planes, n_pixels, &mut rows, &mut scales);
            for (pixel, row) in rows.chunks_exact(depth).enumerate() {
                let numbers: Vec<f32> = (0..n_planes).flat_map(|plane| planes[plane * n_pixels + pixel].0).collect();
                let blocks = numbers.chunks(BYTE_BLOCK).zip(row.chunks(BYTE_BLOCK)).enumerate();
                for (block, (numbers, row)) in blocks {
                    let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
                    let factor = if largest > 0.0 { 127.0 / largest } else { 0.0 };
                    let expected: Vec<i8> = numbers.iter().map(|x| (x * factor).round_ties_even() as i8).collect();
                    prop_assert_eq!(row, &expected[..], "{}", kernel.name());
                    let one = largest / 127.0;
                    let sum: i32 = expected.iter().map(|&byte| i32::from(byte)).sum();
                    prop_assert_eq!(scales[pixel * n_blocks + block], [one, one * sum as f32]);
                }
            }
        }
    }

    #[test]
    fn depthwise_is_the_sum_of_nine_products(width in 1..12_usize, height in 1..5_usize, stride in 1..3_usize, seed: u32) {
        let row_len = (width - 1) * stride + 3 + (seed % 2) as usize;
        let input = lines(seed, row_len * ((height - 1) * stride + 3));
        let weights: [Line; 9] = lines(seed ^ 1, 9).try_into().expect("nine");
        let finish = finishes(seed, 1)[0];
        let job = Depthwise { input: &input, row_len, stride, weights: &weights, finish: &finish, width };
        let mut expected = vec![Line::ZERO; width * height];
        for (place, line) in expected.iter_mut().enumerate() {
            for lane in 0..LANES {
                let mut number = finish.bias.0[lane];
                for tap in 0..9 {
                    let (y, x) = (place / width * stride + tap / 3, place % width * stride + tap % 3);
                    number = input[y * row_len + x].0[lane].mul_add(weights[tap].0[lane], number);
                }
                line.0[lane] = bent(number, finish.slope.0[lane]);
            }
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line::ZERO; width * height];
            kernel.depthwise(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn dense_is_the_sum_of_products(
        width in 1..15_usize, height in 1..4_usize, channels in 1..4_usize, side in 1..4_usize, n_lines in 1..6_usize,
        seed: u32,
    ) {
        let stride = 1 + (seed % 2) as usize;
        let row_len = ((width - 1) * stride + side) * channels;
        let input = floats(seed, row_len * ((height - 1) * stride + side));
        let run = side * channels;
        let weights = lines(seed ^ 1, n_lines * side * run);
        let finish = finishes(seed, n_lines);
        let plane_len = (width + 1) * height;
        let places: Vec<u32> = (0..height).map(|y| (y * (width + 1) + 1) as u32).collect();
        let job = Dense {
            input: &input, row_len, step: channels * stride, row_step: stride, kernel_rows: side, run,
            weights: &weights, finish: &finish, places: &places, width, plane_len,
        };
        let mut expected = vec![Line::ZERO; n_lines * plane_len];
        for (line, y, x, lane) in (0..n_lines * height * width * LANES)
            .map(|i| (i / LANES / width / height, i / LANES / width % height, i / LANES % width, i % LANES))
        {
            let mut number = finish[line].bias.0[lane];
            for tap in 0..side * run {
                let at = (y * stride + tap / run) * row_len + x * channels * stride + tap % run;
                number = input[at].mul_add(weights[line * side * run + tap].0[lane], number);
            }
            let place = line * plane_len + places[y] as usize + x;
            expected[place].0[lane] = bent(number, finish[line].slope.0[lane]);
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line::ZERO; n_lines * plane_len];
            kernel.dense(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn convolution_is_the_sum_of_products_in_the_picture(
        height in 1..7_usize, width in 1..20_usize, kernel in 1..4_usize, stride in 1..4_usize, n_channels in 1..40_usize,
        n_lines in 1..6_usize, is_planar: bool, n_added in 0..6_usize, seed: u32,
    ) {
        let pads = [(seed % 3) as usize, (seed / 3 % 3) as usize];
        let side = |axis: usize, len: usize| (len + pads[axis] + 1).saturating_sub(kernel) / stride + 1;
        let window = Window {
            input: [height, width], kernel: [kernel, kernel], stride, pads, output: [side(0, height), side(1, width)],
        };
        let lanes = if is_planar { 1 } else { LANES };
        let n_pixels = height * width;
        let input = floats(seed, n_channels.div_ceil(lanes) * lanes * n_pixels);
        let number = |channel: usize, y: usize, x: usize| {
            input[channel / lanes * n_pixels * lanes + (y * width + x) * lanes + channel % lanes]
        };
        let weights = lines(seed ^ 1, n_lines * kernel * kernel * n_channels);
        let finish = finishes(seed, n_lines);
        let [out_height, out_width] = window.output;
        let plane_len = out_height * out_width;
        let addend = lines(seed ^ 2, n_added.min(n_lines) * plane_len);
        let job = Convolution {
            input: &input, lanes, n_channels, window, weights: &weights, finish: &finish, addend: &addend,
        };
        let mut expected = vec![Line::ZERO; n_lines * plane_len];
        for (idx, line) in expected.iter_mut().enumerate() {
            let (line_idx, y, x) = (idx / plane_len, idx % plane_len / out_width, idx % out_width);
            for lane in 0..LANES {
                let mut sum = finish[line_idx].bias.0[lane];
                for (tap, channel) in (0..kernel * kernel).flat_map(|tap| (0..n_channels).map(move |channel| (tap, channel))) {
                    let row = (y * stride + tap / kernel).checked_sub(pads[0]).filter(|&row| row < height);
                    let column = (x * stride + tap % kernel).checked_sub(pads[1]).filter(|&column| column < width);
                    if let (Some(row), Some(column)) = (row, column) {
                        let weight = weights[(line_idx * kernel * kernel + tap) * n_channels + channel].0[lane];
                        sum = number(channel, row, column).mul_add(weight, sum);
                    }
                }
                if let Some(added) = addend.get(idx) {
                    sum += added.0[lane];
                }
                line.0[lane] = bent(sum, finish[line_idx].slope.0[lane]);
            }
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); n_lines * plane_len];
            kernel.convolution(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn convolution_in_words_scales_a_run_of_pixels_together(
        n_pixels in 1..250_usize, n_lines in 1..10_usize, n_planes in 1..6_usize, n_addends in 0..12_usize, seed: u32,
    ) {
        let (depth, limit) = (n_planes * LANES, 16_383.0);
        let mut input = lines(seed, n_planes * n_pixels);
        // A run of its own scale, and one of zeros.
        input.chunks_exact_mut(n_pixels).for_each(|plane| {
            plane.iter_mut().take(RUN_PIXELS).for_each(|line| line.0 = line.0.map(|number| number * 40.0));
            plane.iter_mut().skip(2 * RUN_PIXELS).for_each(|line| *line = Line::ZERO);
        });
        let weights: Vec<i16> = floats(seed ^ 1, n_lines * LANES * depth).iter().map(|x| (x * 1000.0) as i16).collect();
        let weight = |output: usize, input: usize| weights[output * depth + input];
        let finish = finishes(seed, n_lines);
        let addend = lines(seed ^ 2, n_addends.min(n_lines) * n_pixels);
        let at = |pixel: usize, channel: usize| input[channel / LANES * n_pixels + pixel].0[channel % LANES];
        let mut expected = vec![Line::ZERO; n_lines * n_pixels];
        for first in (0..n_pixels).step_by(RUN_PIXELS) {
            let run = first..n_pixels.min(first + RUN_PIXELS);
            let numbers = run.clone().flat_map(|pixel| (0..depth).map(move |channel| at(pixel, channel).abs()));
            let largest = numbers.fold(0.0, f32::max);
            let (factor, one) = if largest > 0.0 { (limit / largest, largest / limit) } else { (0.0, 0.0) };
            for pixel in run {
                let row: Vec<i64> =
                    (0..depth).map(|channel| (at(pixel, channel) * factor).round_ties_even() as i64).collect();
                for output in 0..n_lines * LANES {
                    let (line, lane) = (output / LANES, output % LANES);
                    let sum: i64 = row.iter().enumerate().map(|(i, number)| number * i64::from(weight(output, i))).sum();
                    let Finish { scale, bias, slope } = &finish[line];
                    let number = (sum as i32 as f32).mul_add(scale.0[lane] * one, bias.0[lane]);
                    let added = addend.get(line * n_pixels + pixel).map_or(number, |addend| number + addend.0[lane]);
                    expected[line * n_pixels + pixel].0[lane] = bent(added, slope.0[lane]);
                }
            }
        }
        let packed = Kernel::packed_pairs(n_lines, depth, &weight);
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); n_lines * n_pixels];
            let job = WordConvolution {
                input: &input, n_pixels, depth, limit, weights: &packed, finish: &finish, addend: &addend,
            };
            kernel.word_convolution(&job, &mut vec![3; 5], &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn depthwise_convolution_is_the_sum_of_nine_products_in_the_picture(
        height in 1..7_usize, width in 1..20_usize, stride in 1..3_usize, n_planes in 1..4_usize, seed: u32,
    ) {
        let pads = [(seed % 3) as usize, (seed / 3 % 3) as usize];
        let side = |axis: usize, len: usize| (len + pads[axis] + 1).saturating_sub(3) / stride + 1;
        let window = Window {
            input: [height, width], kernel: [3, 3], stride, pads, output: [side(0, height), side(1, width)],
        };
        let input = lines(seed, n_planes * height * width);
        let weights: Vec<[Line; 9]> =
            (0..n_planes as u32).map(|plane| lines(seed ^ plane, 9).try_into().expect("nine")).collect();
        let finish = finishes(seed, n_planes);
        let job = DepthwiseConvolution { input: &input, window, weights: &weights, finish: &finish };
        let [out_height, out_width] = window.output;
        let mut expected = vec![Line::ZERO; n_planes * out_height * out_width];
        for (idx, line) in expected.iter_mut().enumerate() {
            let plane = idx / (out_height * out_width);
            let (y, x) = (idx / out_width % out_height, idx % out_width);
            for lane in 0..LANES {
                let mut sum = finish[plane].bias.0[lane];
                for tap in 0..9 {
                    let row = (y * stride + tap / 3).checked_sub(pads[0]).filter(|&row| row < height);
                    let column = (x * stride + tap % 3).checked_sub(pads[1]).filter(|&column| column < width);
                    if let (Some(row), Some(column)) = (row, column) {
                        let number = input[(plane * height + row) * width + column].0[lane];
                        sum = number.mul_add(weights[plane][tap].0[lane], sum);
                    }
                }
                line.0[lane] = bent(sum, finish[plane].slope.0[lane]);
            }
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); expected.len()];
            kernel.depthwise_convolution(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn sums_and_pools_are_those_of_each_number(
        (half_height, half_width) in (1..5_usize, 1..9_usize), odd in 0..2_usize, n_planes in 1..3_usize, seed: u32,
    ) {
        let (height, width) = (2 * half_height + odd, 2 * half_width + odd);
        let input = lines(seed, n_planes * height * width);
        let at = |lines: &[Line], n_columns: usize, plane_len: usize, plane: usize, y: usize, x: usize, lane: usize| {
            lines[plane * plane_len + y * n_columns + x].0[lane]
        };
        let each = |rows: usize, columns: usize, number: &dyn Fn(usize, usize, usize, usize) -> f32| -> Vec<Line> {
            let place = |idx: usize| (idx / (rows * columns), idx / columns % rows, idx % columns);
            let line = |(plane, y, x)| Line(std::array::from_fn(|lane| number(plane, y, x, lane)));
            (0..n_planes * rows * columns).map(place).map(line).collect()
        };
        let number = |plane, y, x, lane| at(&input, width, height * width, plane, y, x, lane);
        let largest = each(half_height, half_width, &|plane, y, x, lane| {
            (0..4).map(|tap| number(plane, 2 * y + tap / 2, 2 * x + tap % 2, lane)).fold(f32::MIN, f32::max)
        });
        let other = lines(seed ^ 1, input.len());
        let total = each(height, width, &|plane, y, x, lane| {
            number(plane, y, x, lane) + at(&other, width, height * width, plane, y, x, lane)
        });
        let even = lines(seed ^ 2, 4 * n_planes * half_height * half_width);
        let halved = &other[..n_planes * half_height * half_width];
        let with_halved = each(2 * half_height, 2 * half_width, &|plane, y, x, lane| {
            at(&even, 2 * half_width, 4 * half_height * half_width, plane, y, x, lane)
                + at(halved, half_width, half_height * half_width, plane, y / 2, x / 2, lane)
        });
        for kernel in Kernel::all() {
            let mut out = vec![Line::ZERO; largest.len()];
            kernel.max_pool(&input, [height, width], &mut out);
            prop_assert!(out == largest, "{}", kernel.name());
            let mut out = vec![Line::ZERO; total.len()];
            kernel.sums(&input, &other, &mut out);
            prop_assert!(out == total, "{}", kernel.name());
            let mut out = vec![Line::ZERO; even.len()];
            kernel.sums_with_halved(&even, 2 * half_width, halved, &mut out);
            prop_assert!(out == with_halved, "{}", kernel.name());
        }
    }

    #[test]
    fn rows_of_integers_reach_the_limit_and_round_to_nearest(n_pixels in 1..9_usize, n_planes in 1..6_usize, seed: u32) {
        let mut planes = lines(seed, n_pixels * n_planes);
        (0..n_planes).for_each(|plane| planes[plane * n_pixels] = Line::ZERO);
        for kernel in Kernel::all() {
            let (mut rows, mut scales) = (vec![1; planes.len() * LANES], vec![1.0; n_pixels]);
            kernel.quantise(&planes, 4095.0, &mut rows, &mut scales);
            for (pixel, row) in rows.chunks_exact(n_planes * LANES).enumerate() {
                let numbers: Vec<f32> = (0..n_planes).flat_map(|plane| planes[plane * n_pixels + pixel].0).collect();
                let largest = numbers.iter().fold(0.0_f32, |largest, number| largest.max(number.abs()));
                prop_assert_eq!(scales[pixel], largest / 4095.0);
                let factor = if largest > 0.0 { 4095.0 / largest } else { 0.0 };
                let expected: Vec<i16> = numbers.iter().map(|x| (x * factor).round_ties_even() as i16).collect();
                prop_assert_eq!(row, &expected[..], "{}", kernel.name());
            }
        }
    }

    #[test]
    fn full_is_the_sum_of_products(
        n_lines in 1..18_usize, n_blocks in 1..4_usize, n_vectors in 1..4_usize, seed: u32,
    ) {
        let n_inputs = n_blocks * FULL_BLOCK;
        let inputs: Vec<i16> = floats(seed, n_vectors * n_inputs).iter().map(|x| (x * 32_767.0) as i16).collect();
        let bytes: Vec<i8> = floats(seed ^ 1, n_lines * LANES * n_inputs).iter().map(|x| (x * 128.0) as i8).collect();
        let block_sums = floats(seed ^ 2, n_vectors * n_blocks);
        let term = |line: usize, block: usize| {
            let lines = lines(seed ^ (line * 31 + block) as u32, 2);
            [lines[0], lines[1]]
        };
        let (mut weights, mut terms) = (Vec::new(), Vec::new());
        for group in (0..n_lines).step_by(FULL_LINES) {
            let group = group..n_lines.min(group + FULL_LINES);
            for input in (0..n_inputs).step_by(2) {
                let byte = |line: usize, idx: usize| bytes[(line * LANES + idx / 2) * n_inputs + input + idx % 2];
                weights.extend(group.clone().map(|line| ByteLine(std::array::from_fn(|idx| byte(line, idx)))));
            }
            for block in 0..n_blocks {
                terms.extend(group.clone().map(|line| term(line, block)));
            }
        }
        let bias = lines(seed ^ 3, n_lines);
        let scales = floats(seed ^ 4, n_vectors);
        let job = Full {
            n_inputs, inputs: &inputs, block_sums: &block_sums, scales: &scales, weights: &weights, terms: &terms,
            bias: &bias,
        };
        let mut expected = vec![Line::ZERO; n_vectors * n_lines];
        for (idx, (line, lane)) in (0..n_vectors * n_lines).flat_map(|idx| (0..LANES).map(move |lane| (idx, (idx % n_lines, lane)))) {
            let vector = idx / n_lines;
            let mut total = 0.0_f32;
            for block in 0..n_blocks {
                let range = block * FULL_BLOCK..(block + 1) * FULL_BLOCK;
                let row = &bytes[(line * LANES + lane) * n_inputs..][range.clone()];
                let input = &inputs[vector * n_inputs..][range];
                let sum: i32 = input.iter().zip(row).map(|(&a, &b)| i32::from(a) * i32::from(b)).sum();
                let [one, zero] = term(line, block);
                total = (sum as f32).mul_add(one.0[lane], total);
                total = block_sums[vector * n_blocks + block].mul_add(zero.0[lane], total);
            }
            expected[idx].0[lane] = total.mul_add(scales[vector], bias[line].0[lane]);
        }
        for kernel in Kernel::all() {
            let mut out = vec![Line([7.0; LANES]); n_vectors * n_lines];
            kernel.full(&job, &mut out);
            prop_assert!(out == expected, "{}", kernel.name());
        }
    }

    #[test]
    fn products_of_the_largest_integers_are_exact(half in 1..80_usize, seed: u32) {
        // As many products as sums of 32 bits hold.
        let depth = 2 * half;
        let (largest, sign) = ((i32::MAX / 4095 / depth as i32).min(32_767) as i16, |idx: usize| if seed >> (idx % 32) & 1 == 0 { 1 } else { -1 });
        let rows: Vec<i16> = (0..depth).map(|idx| 4095 * sign(idx)).collect();
        let weight = |output: usize, input: usize| largest * sign(input) * if output.is_multiple_of(2) { 1 } else { -1 };
        let finish = Finish { scale: Line([1.0; LANES]), bias: Line::ZERO, slope: Line([1.0; LANES]) };
        for kernel in Kernel::all() {
            let weights = kernel.packed(1, depth, &weight);
            let job = Pointwise {
                rows: &rows, scales: &[1.0], depth, weights: &weights, finish: &[finish], places: &[0], plane_len: 1,
            };
            let mut out = [Line::ZERO];
            kernel.pointwise(&job, &mut Vec::new(), &mut out);
            let expected = (4095 * i32::from(largest) * depth as i32) as f32;
            prop_assert_eq!((out[0].0[0], out[0].0[1]), (expected, -expected), "{}", kernel.name());
        }
    }
}
