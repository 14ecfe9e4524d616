//! Operations with their weights in the form that the inner loops read.

use super::graph;
use super::kernel::{self, BYTE_BLOCK, ByteLine, FULL_BLOCK, FULL_LINES, Finish, Kernel, LANES, Line, PackedWeights};
use super::kernel::{QuadLine, TileLine};

/// The largest number of a row of integers that a pointwise convolution multiplies. More bits here leave fewer for the
/// weights, since the sum of all products must fit 32 bits.
const ROW_LIMIT: i32 = 4095;

/// The same of the vector that a full connection multiplies: there sums are of few products.
const VECTOR_LIMIT: f32 = 32_767.0;

/// Numbers of the rows of a picture that go through a depthwise and a pointwise convolution together: few enough to
/// stay in the processor's cache in between.
const STRIP_NUMBERS: usize = 1 << 16;

/// A picture in planes; see [`kernel`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Picture {
    pub(super) channels: usize,
    pub(super) height: usize,
    pub(super) width: usize,
    /// Zeros above, on the left, below and on the right.
    pub(super) frame: [usize; 4],
}

impl Picture {
    pub(super) fn n_planes(&self) -> usize {
        self.channels.div_ceil(LANES)
    }

    pub(super) fn row_len(&self) -> usize {
        self.frame[1] + self.width + self.frame[3]
    }

    pub(super) fn plane_len(&self) -> usize {
        self.row_len() * (self.frame[0] + self.height + self.frame[2])
    }

    /// Lines of all planes.
    pub(super) fn len(&self) -> usize {
        self.n_planes() * self.plane_len()
    }

    /// Where the first pixel of a row lies in a plane.
    pub(super) fn place(&self, y: usize) -> usize {
        (self.frame[0] + y) * self.row_len() + self.frame[1]
    }

    /// Writes the zeros of the frame.
    pub(super) fn clear_frame(&self, planes: &mut [Line]) {
        let [above, left, below, right] = self.frame;
        let row_len = self.row_len();
        for plane in planes[..self.len()].chunks_exact_mut(self.plane_len()) {
            let n_rows = above + self.height + below;
            plane[..above * row_len].fill(Line::ZERO);
            plane[(n_rows - below) * row_len..].fill(Line::ZERO);
            for row in plane.chunks_exact_mut(row_len) {
                row[..left].fill(Line::ZERO);
                row[row_len - right..].fill(Line::ZERO);
            }
        }
    }
}

/// A convolution of the input, with the frame of zeros around that.
pub(super) struct Dense {
    /// Channels, height and width.
    input: [usize; 3],
    pads: [usize; 4],
    kernel: [usize; 2],
    strides: [usize; 2],
    /// The input is multiplied with the first and added the second, for each channel.
    affine: (Vec<f32>, Vec<f32>),
    weights: Vec<Line>,
    finish: Vec<Finish>,
    pub(super) output: Picture,
    places: Vec<u32>,
}

impl Dense {
    pub(super) fn new(
        input: [usize; 3],
        affine: (Vec<f32>, Vec<f32>),
        convolution: &graph::Convolution,
        output: Picture,
    ) -> Self {
        let graph::Convolution { weights, n_inputs, n_outputs, kernel, strides, pads, .. } = convolution;
        let [rows, columns] = *kernel;
        let mut lines = Vec::with_capacity(output.n_planes() * rows * columns * n_inputs);
        for first in (0..*n_outputs).step_by(LANES) {
            for (y, x, channel) in places(rows, columns, *n_inputs) {
                let weight = |output| weights[((output * n_inputs + channel) * rows + y) * columns + x];
                lines.push(line_of(first, *n_outputs, weight));
            }
        }
        let places = (0..output.height).map(|y| output.place(y) as u32).collect();
        let finish = finish(convolution, None);
        Self { input, pads: *pads, kernel: *kernel, strides: *strides, affine, weights: lines, finish, output, places }
    }

    /// Numbers of the input with its frame.
    pub(super) fn framed_len(&self) -> usize {
        let [channels, height, width] = self.input;
        channels * (self.pads[0] + height + self.pads[2]) * (self.pads[1] + width + self.pads[3])
    }

    /// Convolves `data`, which is channel by channel. `framed` is [`Self::framed_len`] numbers of working space.
    pub(super) fn run(&self, kernel: &Kernel, data: &[f32], framed: &mut [f32], out: &mut [Line]) {
        let [channels, height, width] = self.input;
        let [above, left, _, right] = self.pads;
        let row_len = (left + width + right) * channels;
        framed.fill(0.0);
        for (channel, plane) in data.chunks_exact(height * width).enumerate() {
            let (by, to) = (self.affine.0[channel], self.affine.1[channel]);
            for (row, framed) in plane.chunks_exact(width).zip(framed.chunks_exact_mut(row_len).skip(above)) {
                let framed = framed[left * channels..].iter_mut().skip(channel).step_by(channels);
                for (number, framed) in row.iter().zip(framed) {
                    *framed = number * by + to;
                }
            }
        }
        self.output.clear_frame(out);
        let job = kernel::Dense {
            input: framed,
            row_len,
            step: self.strides[1] * channels,
            row_step: self.strides[0],
            kernel_rows: self.kernel[0],
            run: self.kernel[1] * channels,
            weights: &self.weights,
            finish: &self.finish,
            places: &self.places,
            width: self.output.width,
            plane_len: self.output.plane_len(),
        };
        kernel.dense(&job, out);
    }
}

/// A depthwise convolution of 3x3. Its output goes to the pointwise convolution after it a few rows at a time.
pub(super) struct Depthwise {
    stride: usize,
    /// For each plane.
    weights: Vec<[Line; 9]>,
    finish: Vec<Finish>,
}

impl Depthwise {
    /// The problem in words if it is of another kind.
    pub(super) fn new(convolution: &graph::Convolution) -> Result<Self, String> {
        let graph::Convolution { weights, n_outputs, kernel, strides, .. } = convolution;
        let [stride @ 1..=2, across] = *strides else { return Err(format!("has strides of {strides:?}")) };
        if *kernel != [3, 3] || across != stride {
            return Err("is depthwise, but not 3x3 with a stride of 1 or 2".to_owned());
        }
        let planes = (0..*n_outputs).step_by(LANES);
        let weights = planes
            .map(|first| std::array::from_fn(|place| line_of(first, *n_outputs, |output| weights[output * 9 + place])));
        Ok(Self { stride, weights: weights.collect(), finish: finish(convolution, None) })
    }
}

/// A convolution of one pixel, in integers, after a depthwise one if there is one.
pub(super) struct Pointwise {
    pub(super) depthwise: Option<Depthwise>,
    input: Picture,
    depth: usize,
    weights: PointwiseWeights,
    finish: Vec<Finish>,
    pub(super) output: Picture,
    places: Vec<u32>,
}

/// In which integers a [`Pointwise`] is computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Integers {
    /// Of 16 bits, a pixel's numbers scaled together.
    Words,
    /// Of 8 bits, each [`BYTE_BLOCK`] of a pixel's numbers scaled together.
    Bytes,
}

enum PointwiseWeights {
    Words(PackedWeights),
    Bytes {
        weights: Vec<QuadLine>,
        /// See [`kernel::BytePointwise::terms`].
        terms: Vec<[Line; 2]>,
    },
}

/// Working space of a [`Pointwise`].
#[derive(Default)]
pub(super) struct Strip {
    planes: Vec<Line>,
    words: Words,
    bytes: Bytes,
}

#[derive(Default)]
struct Words {
    rows: Vec<i16>,
    scales: Vec<f32>,
    tiles: Vec<TileLine>,
}

#[derive(Default)]
struct Bytes {
    rows: Vec<i8>,
    scales: Vec<[f32; 2]>,
}

impl Pointwise {
    /// `input` is what comes in, or what the depthwise convolution takes. The problem in words if no weights keep the
    /// sums within 32 bits.
    pub(super) fn new(
        (kernel, integers): (&Kernel, Integers),
        depthwise: Option<Depthwise>,
        input: Picture,
        convolution: &graph::Convolution,
        output: Picture,
    ) -> Result<Self, String> {
        let graph::Convolution { weights, n_inputs, n_outputs, .. } = convolution;
        let depth = n_inputs.next_multiple_of(LANES);
        let n_lines = n_outputs.div_ceil(LANES);
        let (weights, finish) = match integers {
            Integers::Words => {
                let rows: Vec<BoundedWeights> = weights
                    .chunks_exact(*n_inputs)
                    .map(|row| BoundedWeights::new(row, ROW_LIMIT))
                    .collect::<Result<_, _>>()?;
                let weight = |output: usize, input: usize| {
                    rows.get(output).and_then(|row| row.weights().get(input)).copied().unwrap_or(0)
                };
                let scales: Vec<f32> = rows.iter().map(|row| row.scale).collect();
                let packed = kernel.packed(n_lines, depth, &weight);
                (PointwiseWeights::Words(packed), finish(convolution, Some(&scales)))
            }
            Integers::Bytes => {
                let rows: Vec<ByteWeights> = weights.chunks_exact(*n_inputs).map(ByteWeights::new).collect();
                let weight = |output: usize, input: usize| {
                    rows.get(output).and_then(|row| row.weights.get(input)).map_or(0, |&byte| byte as u8 ^ 0x80)
                };
                let blocks =
                    (0..n_lines).flat_map(|line| (0..depth.div_ceil(BYTE_BLOCK)).map(move |block| (line, block)));
                let terms = blocks.map(|(line, block)| {
                    let line_of = |number: &dyn Fn(&ByteWeights) -> f32| {
                        line_of(line * LANES, *n_outputs, |output| number(&rows[output]))
                    };
                    // A byte without a sign is 128 more than one with a sign, so that 0 is the least.
                    [line_of(&|row| row.terms[block][0]), line_of(&|row| row.least[block])]
                });
                let terms = terms.collect();
                let weights = Kernel::packed_bytes(n_lines, depth, &weight);
                (PointwiseWeights::Bytes { weights, terms }, finish(convolution, None))
            }
        };
        let places = (0..output.height).flat_map(|y| (0..output.width).map(move |x| (output.place(y) + x) as u32));
        Ok(Self { depthwise, input, depth, weights, finish, output, places: places.collect() })
    }

    /// Weights of the convolution of one pixel.
    pub(super) fn n_weights(&self) -> usize {
        self.depth * self.output.channels
    }

    /// Numbers of the picture that comes in.
    pub(super) fn n_inputs(&self) -> usize {
        self.input.channels * self.input.height * self.input.width
    }

    pub(super) fn run(&self, kernel: &Kernel, input: &[Line], strip: &mut Strip, out: &mut [Line]) {
        self.output.clear_frame(out);
        let Picture { height, width, .. } = self.output;
        let n_planes = self.depth / LANES;
        let rows_max = match self.depthwise {
            Some(_) => (STRIP_NUMBERS / (width * self.depth)).clamp(1, height),
            None => height,
        };
        let mut first = 0;
        while first < height {
            let n_rows = rows_max.min(height - first);
            let n_pixels = n_rows * width;
            let Strip { planes, words, bytes } = &mut *strip;
            let pixels = if let Some(depthwise) = &self.depthwise {
                planes.resize(n_pixels * n_planes, Line::ZERO);
                let inputs = input[..self.input.len()].chunks_exact(self.input.plane_len());
                for (idx, (plane, out)) in inputs.zip(planes.chunks_exact_mut(n_pixels)).enumerate() {
                    let job = kernel::Depthwise {
                        input: &plane[first * depthwise.stride * self.input.row_len()..],
                        row_len: self.input.row_len(),
                        stride: depthwise.stride,
                        weights: &depthwise.weights[idx],
                        finish: &depthwise.finish[idx],
                        width,
                    };
                    kernel.depthwise(&job, out);
                }
                &planes[..]
            } else {
                &input[..self.input.len()]
            };
            let (depth, finish, plane_len) = (self.depth, &self.finish[..], self.output.plane_len());
            let places = &self.places[first * width..][..n_pixels];
            match &self.weights {
                PointwiseWeights::Words(weights) => {
                    let Words { rows, scales, tiles } = words;
                    rows.resize(n_pixels * depth, 0);
                    scales.resize(n_pixels, 0.0);
                    kernel.quantise(pixels, ROW_LIMIT as f32, rows, scales);
                    let job = kernel::Pointwise { rows, scales, depth, weights, finish, places, plane_len };
                    kernel.pointwise(&job, tiles, out);
                }
                PointwiseWeights::Bytes { weights, terms } => {
                    let Bytes { rows, scales } = bytes;
                    rows.resize(n_pixels * depth, 0);
                    scales.resize(n_pixels * depth.div_ceil(BYTE_BLOCK), [0.0; 2]);
                    kernel.quantise_bytes(pixels, n_pixels, rows, scales);
                    let job = kernel::BytePointwise { rows, scales, depth, weights, terms, finish, places, plane_len };
                    kernel.pointwise_bytes(&job, out);
                }
            }
            first += n_rows;
        }
    }
}

/// Weights of one output of a pointwise convolution as integers.
///
/// # Invariants
/// The sum of their magnitudes times the largest input fits 32 bits with a sign, so that no sum of products, nor any part of
/// one, can overflow.
#[derive(Debug)]
pub(super) struct BoundedWeights {
    weights: Vec<i16>,
    /// What a weight of 1 stands for.
    pub(super) scale: f32,
}

impl BoundedWeights {
    /// The weights rounded to as many bits as the bound allows where no input is larger than `limit`. The problem in words if there are too many of them.
    pub(super) fn new(weights: &[f32], limit: i32) -> Result<Self, String> {
        // Each weight may grow by half when it is rounded.
        let sum_max = f64::from(i32::MAX / limit) - weights.len() as f64 / 2.0;
        if sum_max <= 0.0 {
            return Err(format!("has {} inputs, too many for sums of 32 bits", weights.len()));
        }
        let largest = weights.iter().fold(0.0_f32, |largest, weight| largest.max(weight.abs()));
        let sum: f64 = weights.iter().map(|weight| f64::from(weight.abs())).sum();
        if largest == 0.0 {
            return Ok(Self { weights: vec![0; weights.len()], scale: 0.0 });
        }
        let factor = (f64::from(i16::MAX) / f64::from(largest)).min(sum_max / sum);
        let weights: Vec<i16> = weights.iter().map(|&weight| (f64::from(weight) * factor).round() as i16).collect();
        let sum: i64 = weights.iter().map(|&weight| i64::from(weight).abs()).sum();
        assert!(sum * i64::from(limit) <= i64::from(i32::MAX), "sums of products could overflow");
        Ok(Self { weights, scale: (1.0 / factor) as f32 })
    }

    pub(super) fn weights(&self) -> &[i16] {
        &self.weights
    }
}

/// A full connection of a whole picture.
pub(super) struct Full {
    input: Picture,
    /// Inputs, filled up to whole blocks.
    n_inputs: usize,
    weights: Vec<ByteLine>,
    terms: Vec<[Line; 2]>,
    bias: Vec<Line>,
    pub(super) n_outputs: usize,
}

/// The inputs of a [`Full`], one vector for each picture, and its working space.
#[derive(Default)]
pub(super) struct Vectors {
    lines: Vec<Line>,
    integers: Vec<i16>,
    block_sums: Vec<f32>,
    scales: Vec<f32>,
    out: Vec<Line>,
}

impl Vectors {
    /// Forgets all of them.
    pub(super) fn clear(&mut self) {
        self.integers.clear();
        self.block_sums.clear();
        self.scales.clear();
    }
}

impl Full {
    pub(super) fn new(input: Picture, full: &graph::Full) -> Self {
        let n_outputs = full.bias.len();
        let per_output = full.weights.len() / n_outputs;
        let n_inputs = per_output.next_multiple_of(FULL_BLOCK);
        let n_lines = n_outputs.div_ceil(LANES);
        let rows: Vec<ByteWeights> = full.weights.chunks_exact(per_output).map(ByteWeights::new).collect();
        let byte =
            |output: usize, input: usize| rows.get(output).and_then(|row| row.weights.get(input)).copied().unwrap_or(0);
        let (mut weights, mut terms) = (Vec::with_capacity(n_lines * n_inputs / 2), Vec::new());
        for group in (0..n_lines).step_by(FULL_LINES) {
            let lines = group..n_lines.min(group + FULL_LINES);
            for input in (0..n_inputs).step_by(2) {
                for line in lines.clone() {
                    weights.push(ByteLine(std::array::from_fn(|idx| byte(line * LANES + idx / 2, input + idx % 2))));
                }
            }
            for block in 0..n_inputs / FULL_BLOCK {
                for line in lines.clone() {
                    terms.push(
                        [0, 1].map(|term| line_of(line * LANES, n_outputs, |output| rows[output].terms[block][term])),
                    );
                }
            }
        }
        let bias = (0..n_outputs).step_by(LANES).map(|first| line_of(first, n_outputs, |output| full.bias[output]));
        Self { input, n_inputs, weights, terms, bias: bias.collect(), n_outputs }
    }

    /// Adds a picture to the vectors.
    pub(super) fn add(&self, kernel: &Kernel, input: &[Line], vectors: &mut Vectors) {
        let Picture { channels, height, width, .. } = self.input;
        let plane_len = self.input.plane_len();
        let Vectors { lines, integers, block_sums, scales, .. } = vectors;
        lines.resize(self.n_inputs / LANES, Line::ZERO);
        let mut numbers = lines.iter_mut().flat_map(|line| &mut line.0);
        for channel in 0..channels {
            let plane = &input[channel / LANES * plane_len..][..plane_len];
            for y in 0..height {
                for (line, number) in plane[self.input.place(y)..][..width].iter().zip(&mut numbers) {
                    *number = line.0[channel % LANES];
                }
            }
        }
        // The vector is one pixel of many channels.
        let (start, mut scale) = (integers.len(), [0.0]);
        integers.resize(start + self.n_inputs, 0);
        kernel.quantise(lines, VECTOR_LIMIT, &mut integers[start..], &mut scale);
        let sum = |block: &[i16]| block.iter().map(|&number| i32::from(number)).sum::<i32>() as f32;
        block_sums.extend(integers[start..].chunks_exact(FULL_BLOCK).map(sum));
        scales.extend(scale);
    }

    /// Appends the outputs of each picture that was added.
    pub(super) fn run(&self, kernel: &Kernel, vectors: &mut Vectors, numbers: &mut Vec<f32>) {
        let Vectors { integers, block_sums, scales, out, .. } = vectors;
        let job = kernel::Full {
            n_inputs: self.n_inputs,
            inputs: integers,
            block_sums,
            scales,
            weights: &self.weights,
            terms: &self.terms,
            bias: &self.bias,
        };
        out.resize(scales.len() * self.bias.len(), Line::ZERO);
        kernel.full(&job, out);
        for lines in out.chunks_exact(self.bias.len()) {
            numbers.extend(lines.iter().flat_map(|line| line.0).take(self.n_outputs));
        }
    }
}

/// Weights of one output in bytes: exact where the model's file was made of weights in 8 bits with a scale for each block,
/// as that of SFace was.
struct ByteWeights {
    weights: Vec<i8>,
    /// For each block what a weight of 1 and of 0 stand for.
    terms: Vec<[f32; 2]>,
    /// For each block what the least byte, -128, stands for.
    least: Vec<f32>,
}

impl ByteWeights {
    fn new(weights: &[f32]) -> Self {
        let mut bytes = Vec::with_capacity(weights.len());
        let (mut terms, mut leasts) = (Vec::new(), Vec::new());
        for block in weights.chunks(FULL_BLOCK) {
            let (least, most) =
                block.iter().fold((f32::MAX, f32::MIN), |(least, most), &weight| (least.min(weight), most.max(weight)));
            let step = (f64::from(most) - f64::from(least)) / 255.0;
            let byte = |&weight: &f32| match step {
                0.0 => 0,
                _ => (((f64::from(weight) - f64::from(least)) / step).round() - 128.0) as i8,
            };
            bytes.extend(block.iter().map(byte));
            let zero = if step == 0.0 { f64::from(least) } else { f64::from(least) + 128.0 * step };
            terms.push([step as f32, zero as f32]);
            leasts.push(least);
        }
        Self { weights: bytes, terms, least: leasts }
    }
}

/// Scales and shifts of a picture's channels.
pub(super) struct Affine {
    picture: Picture,
    scale: Vec<Line>,
    shift: Vec<Line>,
}

impl Affine {
    pub(super) fn new(picture: Picture, scale: &[f32], shift: &[f32]) -> Self {
        let lines = |numbers: &[f32]| {
            let firsts = (0..picture.channels).step_by(LANES);
            firsts.map(|first| line_of(first, picture.channels, |channel| numbers[channel])).collect()
        };
        Self { picture, scale: lines(scale), shift: lines(shift) }
    }

    pub(super) fn run(&self, planes: &mut [Line]) {
        let Picture { height, width, .. } = self.picture;
        let planes = planes[..self.picture.len()].chunks_exact_mut(self.picture.plane_len());
        for ((plane, scale), shift) in planes.zip(&self.scale).zip(&self.shift) {
            for y in 0..height {
                for line in &mut plane[self.picture.place(y)..][..width] {
                    for ((number, scale), shift) in line.0.iter_mut().zip(&scale.0).zip(&shift.0) {
                        *number = *number * scale + shift;
                    }
                }
            }
        }
    }
}

/// A number for each of 16 channels from `first` on; zeros beyond the last of `n`.
pub(super) fn line_of(first: usize, n: usize, number: impl Fn(usize) -> f32) -> Line {
    Line(std::array::from_fn(|lane| if first + lane < n { number(first + lane) } else { 0.0 }))
}

pub(super) fn finish(convolution: &graph::Convolution, scales: Option<&[f32]>) -> Vec<Finish> {
    let graph::Convolution { n_outputs, bias, slope, .. } = convolution;
    let line = |first, number: &dyn Fn(usize) -> f32| line_of(first, *n_outputs, number);
    let firsts = (0..*n_outputs).step_by(LANES);
    let finish = firsts.map(|first| Finish {
        scale: line(first, &|output| scales.map_or(1.0, |scales| scales[output])),
        bias: line(first, &|output| bias[output]),
        slope: line(first, &|output| slope.as_ref().map_or(1.0, |slope| slope[output])),
    });
    finish.collect()
}

/// Rows, columns and channels of a kernel, channels running fastest.
pub(super) fn places(rows: usize, columns: usize, channels: usize) -> impl Iterator<Item = (usize, usize, usize)> {
    (0..rows).flat_map(move |y| (0..columns).flat_map(move |x| (0..channels).map(move |channel| (y, x, channel))))
}
