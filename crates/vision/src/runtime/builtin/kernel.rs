//! The inner loops, written once in [`loops`] and compiled for each instruction set; which one runs is
//! chosen once per process.
//!
//! Every set gives the same bits: sums of products are integers that cannot overflow, and each number in floats is made
//! by the same operations in the same order, multiplications and additions fused in all of them. All unsafe code is in
//! the submodules; what they rely on is asserted here.
//!
//! # Layout
//! A *plane* holds 16 neighbouring channels of a picture, one [`Line`] a pixel, rows after each other, with a frame of
//! zeros where the next convolution pads. A picture of more channels is one plane after another; the last one is filled
//! up with zeros.
#![expect(
    clippy::needless_range_loop,
    reason = "sums are in registers, and places of several arrays are counted together"
)]

#[cfg(target_arch = "x86_64")]
mod amx;
#[cfg(target_arch = "x86_64")]
mod avx2;
#[cfg(target_arch = "x86_64")]
mod avx512;
mod bytes;
mod convolve;
mod elementwise;
mod lanes;
mod loops;
mod portable;
#[cfg(test)]
mod tests;
mod words;

use std::sync::OnceLock;

/// Channels of a [`Line`].
pub(super) const LANES: usize = 16;

/// Lines of 16 output channels that lie together in a panel of weights; the last panel of a convolution may have fewer.
pub(super) const PANEL_LINES: usize = 4;

/// Inputs of a full connection that share a scale.
pub(super) const FULL_BLOCK: usize = 64;

/// Inputs of a convolution of one pixel in bytes that share a scale, of the pixel's numbers and of the weights.
pub(super) const BYTE_BLOCK: usize = FULL_BLOCK;

/// Pixels of a [`WordConvolution`] that share a scale.
pub(super) const RUN_PIXELS: usize = 96;

/// One number of each of 16 neighbouring channels.
#[derive(Debug, Clone, Copy, PartialEq)]
#[repr(C, align(64))]
pub(super) struct Line(pub(super) [f32; LANES]);

impl Line {
    /// Zeros.
    pub(super) const ZERO: Self = Self([0.0; LANES]);
}

/// The numbers of lines, one line after another.
pub(super) fn numbers(lines: &[Line]) -> &[f32] {
    lanes::numbers(lines)
}

/// Weights of 16 neighbouring outputs for two neighbouring inputs: both of the first output, then of the second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct PairLine(pub(super) [i16; 2 * LANES]);

/// Weights of 16 neighbouring outputs for four neighbouring inputs, without a sign: the four of the first output, then of the
/// second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct QuadLine(pub(super) [u8; 4 * LANES]);

/// A row of a tile: of pixels, 64 bytes of one; of weights, 4 bytes for each of 16 outputs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(64))]
pub(super) struct TileLine(pub(super) [u8; TILE_DEPTH]);

impl TileLine {
    /// Zeros.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "needs AMX"))]
    pub(super) const ZERO: Self = Self([0; TILE_DEPTH]);
}

/// Inputs whose products a tile adds up.
pub(super) const TILE_DEPTH: usize = 64;

/// Lines of two tiles of weights: of high and of low bytes.
const TILE_PAIR_LINES: usize = 32;

/// How the weights of a pointwise convolution lie in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Packing {
    /// Panels of [`PANEL_LINES`] lines of outputs, in each for every pair of inputs one line after another.
    Pairs,
    /// For each line of outputs, for every [`TILE_DEPTH`] inputs (filled up with zeros) 16 lines with the high bytes and 16
    /// with the low bytes of the weights; each line has 4 inputs of each of 16 outputs.
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "needs AMX"))]
    Tiles,
}

/// The weights of a pointwise convolution as a kernel reads them; see [`Kernel::packed`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum PackedWeights {
    /// See [`Packing::Pairs`].
    Pairs(Vec<PairLine>),
    /// See [`Packing::Tiles`].
    #[cfg_attr(not(target_arch = "x86_64"), expect(dead_code, reason = "needs AMX"))]
    Tiles(Vec<TileLine>),
}

/// The same in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C, align(32))]
pub(super) struct ByteLine(pub(super) [i8; 2 * LANES]);

/// What follows the sum of a convolution for 16 neighbouring channels: `x = sum * scale + bias`, and `x * slope` where
/// that is below zero.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Finish {
    /// What a weight of 1 stands for; 1 where weights are floats.
    pub(super) scale: Line,
    /// Added.
    pub(super) bias: Line,
    /// 1 where no activation follows, 0 for a rectifier.
    pub(super) slope: Line,
}

/// A convolution of more than one pixel over few channels, in floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Dense<'a> {
    /// Height x width x channels, with a frame of zeros.
    pub(super) input: &'a [f32],
    /// Numbers of a row of the input.
    pub(super) row_len: usize,
    /// Numbers between neighbouring places of the kernel: channels times stride.
    pub(super) step: usize,
    /// Rows between them.
    pub(super) row_step: usize,
    /// Rows of the kernel.
    pub(super) kernel_rows: usize,
    /// Numbers of a row of the kernel: width times channels.
    pub(super) run: usize,
    /// For each line of outputs, kernel rows x run lines.
    pub(super) weights: &'a [Line],
    /// One for each line of outputs; the scale is not used.
    pub(super) finish: &'a [Finish],
    /// Place of the first pixel of each row of outputs in the first plane of the output.
    pub(super) places: &'a [u32],
    /// Pixels of a row of outputs.
    pub(super) width: usize,
    /// Lines of a plane of the output.
    pub(super) plane_len: usize,
}

/// A depthwise convolution of 3x3 over one plane.
#[derive(Debug, Clone, Copy)]
pub(super) struct Depthwise<'a> {
    /// The plane from the first row that is needed on.
    pub(super) input: &'a [Line],
    /// Lines of a row of it.
    pub(super) row_len: usize,
    /// Pixels between neighbouring places of the kernel, 1 or 2.
    pub(super) stride: usize,
    /// The kernel, row by row.
    pub(super) weights: &'a [Line; 9],
    /// What follows; its scale is not used.
    pub(super) finish: &'a Finish,
    /// Pixels of a row of outputs.
    pub(super) width: usize,
}

/// A convolution of one pixel: rows of integers times a matrix of integers.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pointwise<'a> {
    /// A row of `depth` numbers for each pixel.
    pub(super) rows: &'a [i16],
    /// What a number of 1 stands for, for each row.
    pub(super) scales: &'a [f32],
    /// Inputs; even.
    pub(super) depth: usize,
    /// Of the same kernel.
    pub(super) weights: &'a PackedWeights,
    /// One for each line of outputs.
    pub(super) finish: &'a [Finish],
    /// Place of each pixel in the first plane of the output.
    pub(super) places: &'a [u32],
    /// Lines of a plane of the output.
    pub(super) plane_len: usize,
}

/// A convolution of one pixel: rows of bytes times a matrix of bytes.
#[derive(Debug, Clone, Copy)]
pub(super) struct BytePointwise<'a> {
    /// A row of `depth` numbers for each pixel.
    pub(super) rows: &'a [i8],
    /// For each row and each [`BYTE_BLOCK`] of it what a number of 1 stands for, and what the sum of its numbers does.
    pub(super) scales: &'a [[f32; 2]],
    /// Inputs, a multiple of [`LANES`].
    pub(super) depth: usize,
    /// Panels of [`PANEL_LINES`] lines of outputs, in each for every four inputs one line after another.
    pub(super) weights: &'a [QuadLine],
    /// For each line of outputs and each block of inputs what a weight of 1 and of 0 stand for: a weight `w` is
    /// `w * first + second`.
    pub(super) terms: &'a [[Line; 2]],
    /// One for each line of outputs; its scale is not used.
    pub(super) finish: &'a [Finish],
    /// Place of each pixel in the first plane of the output.
    pub(super) places: &'a [u32],
    /// Lines of a plane of the output.
    pub(super) plane_len: usize,
}

/// A full connection of some vectors, which share the reading of the weights.
#[derive(Debug, Clone, Copy)]
pub(super) struct Full<'a> {
    /// Numbers of a vector, a multiple of [`FULL_BLOCK`].
    pub(super) n_inputs: usize,
    /// The vectors, one after another.
    pub(super) inputs: &'a [i16],
    /// The sum of the inputs of each block of each vector.
    pub(super) block_sums: &'a [f32],
    /// What an input of 1 stands for, for each vector.
    pub(super) scales: &'a [f32],
    /// For each group of [`FULL_LINES`] lines of outputs (the last may be smaller), for each pair of inputs one line
    /// after another.
    pub(super) weights: &'a [ByteLine],
    /// For each group and block of inputs, for each line what a weight of 1 and of 0 stand for: a weight `w` is
    /// `w * first + second`.
    pub(super) terms: &'a [[Line; 2]],
    /// Added to the outputs.
    pub(super) bias: &'a [Line],
}

/// Where the windows of a convolution lie on a picture without a frame: what they cover beyond it counts as zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Window {
    /// Height and width of the picture that is convolved.
    pub(super) input: [usize; 2],
    /// Rows and columns of the kernel.
    pub(super) kernel: [usize; 2],
    /// Pixels between neighbouring windows.
    pub(super) stride: usize,
    /// Rows above and columns on the left of the picture that the first window covers.
    pub(super) pads: [usize; 2],
    /// Height and width of the outputs.
    pub(super) output: [usize; 2],
}

impl Window {
    /// Rows of the kernel that lie in the picture, for a row of outputs.
    fn rows(&self, y: usize) -> std::ops::Range<usize> {
        self.part(0, y)
    }

    /// The same of columns.
    fn columns(&self, x: usize) -> std::ops::Range<usize> {
        self.part(1, x)
    }

    fn part(&self, axis: usize, place: usize) -> std::ops::Range<usize> {
        // In pixels of the picture, counted from `pads` before its first one.
        let (start, end) = (place * self.stride, self.pads[axis] + self.input[axis]);
        self.pads[axis].saturating_sub(start)..self.kernel[axis].min(end.saturating_sub(start))
    }

    /// Columns of outputs all of whose window lies in the picture.
    fn inner(&self) -> std::ops::Range<usize> {
        let (pad, covered) = (self.pads[1], self.pads[1] + self.input[1]);
        let end = covered.checked_sub(self.kernel[1]).map_or(0, |steps| steps / self.stride + 1);
        pad.div_ceil(self.stride)..end.min(self.output[1])
    }

    fn check(&self) {
        assert!(self.stride > 0 && self.input.into_iter().chain(self.output).all(|len| len > 0), "an empty picture");
    }
}

/// A convolution in floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct Convolution<'a> {
    /// Groups of `lanes` channels, in each of them all pixels, a row after another.
    pub(super) input: &'a [f32],
    /// Channels that lie together: [`LANES`] in planes, 1 in a picture that is channel by channel.
    pub(super) lanes: usize,
    /// Channels of the input. The last group is filled up to `lanes`, with anything.
    pub(super) n_channels: usize,
    pub(super) window: Window,
    /// For each line of outputs, row and column of the kernel and channel a line.
    pub(super) weights: &'a [Line],
    /// One for each line of outputs; the scale is not used.
    pub(super) finish: &'a [Finish],
    /// Planes added to the first planes of the sums before negative ones are bent; may be empty.
    pub(super) addend: &'a [Line],
}

/// A convolution of one pixel over planes without a frame, in 16-bit integers: [`RUN_PIXELS`] are scaled together.
#[derive(Debug, Clone, Copy)]
pub(super) struct WordConvolution<'a> {
    /// Planes of `n_pixels` lines.
    pub(super) input: &'a [Line],
    pub(super) n_pixels: usize,
    /// Inputs, a multiple of [`LANES`].
    pub(super) depth: usize,
    /// The largest number of a run of pixels becomes this, at most 32,767.
    pub(super) limit: f32,
    /// As [`Kernel::packed_pairs`] gives them.
    pub(super) weights: &'a [PairLine],
    /// One for each line of outputs.
    pub(super) finish: &'a [Finish],
    /// As in [`Convolution`].
    pub(super) addend: &'a [Line],
}

/// A depthwise convolution of 3x3 in floats.
#[derive(Debug, Clone, Copy)]
pub(super) struct DepthwiseConvolution<'a> {
    /// Planes without a frame.
    pub(super) input: &'a [Line],
    /// Its kernel is 3x3, its stride 1 or 2.
    pub(super) window: Window,
    /// The kernel of each plane, row by row.
    pub(super) weights: &'a [[Line; 9]],
    /// One for each plane; the scale is not used.
    pub(super) finish: &'a [Finish],
}

/// Lines of outputs that a full connection makes at a time.
pub(super) const FULL_LINES: usize = 8;

/// One implementation of the inner loops.
pub(super) struct Kernel {
    name: &'static str,
    packing: Packing,
    dense: fn(&Dense<'_>, &mut [Line]),
    depthwise: fn(&Depthwise<'_>, &mut [Line]),
    quantise: fn(&[Line], limit: f32, &mut [i16], &mut [f32]),
    pointwise: fn(&Pointwise<'_>, &mut Vec<TileLine>, &mut [Line]),
    #[expect(clippy::type_complexity, reason = "that of the method of its name, which explains it")]
    quantise_bytes: fn(&[Line], n_pixels: usize, &mut [i8], &mut [[f32; 2]]),
    pointwise_bytes: fn(&BytePointwise<'_>, &mut [Line]),
    full: fn(&Full<'_>, &mut [Line]),
    convolution: fn(&Convolution<'_>, &mut [Line]),
    word_convolution: fn(&WordConvolution<'_>, &mut [i16], &mut [Line]),
    depthwise_convolution: fn(&DepthwiseConvolution<'_>, &mut [Line]),
    max_pool: fn(&[Line], [usize; 2], &mut [Line]),
    sums: fn(&[Line], &[Line], &mut [Line]),
    sums_with_halved: fn(&[Line], usize, &[Line], &mut [Line]),
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
        {
            all.extend(amx::kernel());
            all.extend(avx512::kernel());
            all.extend(avx2::kernel());
        }
        all.push(&portable::KERNEL);
        all
    }

    /// What it is called, as in `avx512-vnni`.
    pub(super) fn name(&self) -> &'static str {
        self.name
    }

    /// Whether it uses the processor's vector instructions.
    pub(super) fn is_vectorised(&self) -> bool {
        self.name != portable::KERNEL.name
    }

    /// Makes the rows of outputs that `places` names, in each plane of `out`.
    pub(super) fn dense(&self, job: &Dense<'_>, out: &mut [Line]) {
        assert!(job.width > 0 && job.run > 0 && job.kernel_rows > 0, "nothing to convolve");
        let rows_needed = job.places.len().saturating_sub(1) * job.row_step + job.kernel_rows;
        assert!((job.width - 1) * job.step + job.run <= job.row_len, "rows are shorter than their outputs need");
        assert!(rows_needed * job.row_len <= job.input.len(), "the input has too few rows");
        assert_eq!(job.weights.len(), job.finish.len() * job.kernel_rows * job.run, "weights of another shape");
        check_places(job.places, job.width, job.plane_len, job.finish.len(), out);
        (self.dense)(job, out);
    }

    /// Makes rows of outputs until `out` is full, one after another without a frame.
    pub(super) fn depthwise(&self, job: &Depthwise<'_>, out: &mut [Line]) {
        assert!(job.width > 0 && out.len().is_multiple_of(job.width), "no whole rows");
        assert!(job.stride == 1 || job.stride == 2, "a stride not known");
        let n_rows = out.len() / job.width;
        assert!((job.width - 1) * job.stride + 3 <= job.row_len, "rows are shorter than their outputs need");
        assert!(n_rows == 0 || ((n_rows - 1) * job.stride + 3) * job.row_len <= job.input.len(), "too few rows");
        (self.depthwise)(job, out);
    }

    /// Rows of integers for pixels that lie in planes without a frame: one plane of `scales.len()` pixels for each 16
    /// numbers of a row. Each row is scaled so that its largest number, whatever its sign, becomes `limit`, which is at
    /// most 32,767; `scales` says what a number of 1 stands for then.
    pub(super) fn quantise(&self, planes: &[Line], limit: f32, rows: &mut [i16], scales: &mut [f32]) {
        assert!((1.0..=32_767.0).contains(&limit), "integers have 16 bits");
        assert_eq!(planes.len() * LANES, rows.len(), "a number for each number");
        assert!(scales.is_empty() || planes.len().is_multiple_of(scales.len()), "planes of as many pixels");
        assert!(!scales.is_empty() || planes.is_empty(), "pixels without scales");
        (self.quantise)(planes, limit, rows, scales);
    }

    /// The weights of `16 * n_lines` outputs for each of `depth` inputs, as this kernel reads them; `weight` takes an
    /// output and an input.
    pub(super) fn packed(&self, n_lines: usize, depth: usize, weight: &dyn Fn(usize, usize) -> i16) -> PackedWeights {
        match self.packing {
            #[cfg(target_arch = "x86_64")]
            Packing::Tiles => {
                let mut lines = Vec::with_capacity(n_lines * depth.div_ceil(TILE_DEPTH) * TILE_PAIR_LINES);
                (0..n_lines).for_each(|line| amx::pack(depth, line * LANES, weight, &mut lines));
                PackedWeights::Tiles(lines)
            }
            _ => PackedWeights::Pairs(Self::packed_pairs(n_lines, depth, weight)),
        }
    }

    /// The same as every kernel reads them in a [`WordConvolution`].
    pub(super) fn packed_pairs(n_lines: usize, depth: usize, weight: &dyn Fn(usize, usize) -> i16) -> Vec<PairLine> {
        let mut lines = Vec::with_capacity(n_lines * depth / 2);
        for panel in (0..n_lines).step_by(PANEL_LINES) {
            for input in (0..depth).step_by(2) {
                for line in panel..n_lines.min(panel + PANEL_LINES) {
                    let pair = |idx: usize| weight(line * LANES + idx / 2, input + idx % 2);
                    lines.push(PairLine(std::array::from_fn(pair)));
                }
            }
        }
        lines
    }

    /// Makes all planes of outputs. `rows` is working space. What [`Self::pointwise`] says of sums holds here, too.
    pub(super) fn word_convolution(&self, job: &WordConvolution<'_>, rows: &mut Vec<i16>, out: &mut [Line]) {
        assert!(job.depth > 0 && job.depth.is_multiple_of(LANES), "inputs come in lines");
        assert!((1.0..=32_767.0).contains(&job.limit), "integers have 16 bits");
        assert!(job.input.len() >= job.depth / LANES * job.n_pixels, "the input has too few planes");
        assert_eq!(job.weights.len(), job.finish.len() * (job.depth / 2), "weights of another shape");
        assert_eq!(out.len(), job.finish.len() * job.n_pixels, "outputs of another shape");
        assert!(job.n_pixels > 0 && job.addend.len().is_multiple_of(job.n_pixels), "planes of as many pixels");
        rows.resize(rows.len().max(RUN_PIXELS * job.depth), 0);
        (self.word_convolution)(job, rows, out);
    }

    /// Makes the outputs of each pixel, in each plane of `out`. `bytes` is working space.
    ///
    /// No sum of products may exceed 32 bits: who makes the weights sees to that. If one did, it would wrap around.
    pub(super) fn pointwise(&self, job: &Pointwise<'_>, bytes: &mut Vec<TileLine>, out: &mut [Line]) {
        assert!(job.depth > 0 && job.depth.is_multiple_of(2), "inputs come in pairs");
        assert_eq!(job.rows.len(), job.scales.len() * job.depth, "rows of another length");
        assert_eq!(job.places.len(), job.scales.len(), "a place for each pixel");
        let (n_lines, n_packed) = match (job.weights, self.packing) {
            (PackedWeights::Pairs(lines), Packing::Pairs) => (lines.len(), job.finish.len() * (job.depth / 2)),
            (PackedWeights::Tiles(lines), Packing::Tiles) => {
                (lines.len(), job.finish.len() * job.depth.div_ceil(TILE_DEPTH) * TILE_PAIR_LINES)
            }
            _ => panic!("weights are packed for another kernel"),
        };
        assert_eq!(n_lines, n_packed, "weights of another shape");
        check_places(job.places, 1, job.plane_len, job.finish.len(), out);
        (self.pointwise)(job, bytes, out);
    }

    /// Rows of bytes for `n_pixels` pixels that lie in planes without a frame, as for [`Self::quantise`]. Each block of
    /// [`BYTE_BLOCK`] numbers of a row, the last of which may be shorter, is scaled so that its largest number, whatever its
    /// sign, becomes 127. `scales` says for each block what a number of 1 stands for then, and what the sum of its numbers
    /// does.
    pub(super) fn quantise_bytes(&self, planes: &[Line], n_pixels: usize, rows: &mut [i8], scales: &mut [[f32; 2]]) {
        assert!(n_pixels > 0 && planes.len().is_multiple_of(n_pixels), "planes of as many pixels");
        assert_eq!(planes.len() * LANES, rows.len(), "a number for each number");
        let n_blocks = (planes.len() / n_pixels * LANES).div_ceil(BYTE_BLOCK);
        assert_eq!(scales.len(), n_pixels * n_blocks, "scales for each block");
        (self.quantise_bytes)(planes, n_pixels, rows, scales);
    }

    /// The weights of `16 * n_lines` outputs for each of `depth` inputs; `weight` takes an output and an input.
    pub(super) fn packed_bytes(n_lines: usize, depth: usize, weight: &dyn Fn(usize, usize) -> u8) -> Vec<QuadLine> {
        let mut lines = Vec::with_capacity(n_lines * depth / 4);
        for panel in (0..n_lines).step_by(PANEL_LINES) {
            for input in (0..depth).step_by(4) {
                for line in panel..n_lines.min(panel + PANEL_LINES) {
                    let quad = |idx: usize| weight(line * LANES + idx / 4, input + idx % 4);
                    lines.push(QuadLine(std::array::from_fn(quad)));
                }
            }
        }
        lines
    }

    /// Makes the outputs of each pixel, in each plane of `out`.
    pub(super) fn pointwise_bytes(&self, job: &BytePointwise<'_>, out: &mut [Line]) {
        let (n_pixels, n_lines, n_blocks) = (job.places.len(), job.finish.len(), job.depth.div_ceil(BYTE_BLOCK));
        assert!(job.depth > 0 && job.depth.is_multiple_of(LANES), "inputs come in lines");
        assert_eq!(job.rows.len(), n_pixels * job.depth, "rows of another length");
        assert_eq!(job.scales.len(), n_pixels * n_blocks, "scales of other rows");
        assert_eq!(job.weights.len(), n_lines * (job.depth / 4), "weights of another shape");
        assert_eq!(job.terms.len(), n_lines * n_blocks, "scales of another shape");
        check_places(job.places, 1, job.plane_len, n_lines, out);
        (self.pointwise_bytes)(job, out);
    }

    /// Makes the outputs of each vector, a line of 16 after another.
    pub(super) fn full(&self, job: &Full<'_>, out: &mut [Line]) {
        let (n_vectors, n_blocks) = (job.scales.len(), job.n_inputs / FULL_BLOCK);
        assert!(job.n_inputs.is_multiple_of(FULL_BLOCK), "inputs come in blocks");
        assert_eq!(job.inputs.len(), n_vectors * job.n_inputs, "vectors of another length");
        assert_eq!(job.block_sums.len(), n_vectors * n_blocks, "a sum for each block");
        assert_eq!(out.len(), n_vectors * job.bias.len(), "a line of bias for each line of outputs");
        assert_eq!(job.weights.len(), job.bias.len() * (job.n_inputs / 2), "weights of another shape");
        assert_eq!(job.terms.len(), job.bias.len() * n_blocks, "scales of another shape");
        (self.full)(job, out);
    }

    /// Makes planes of outputs without a frame.
    pub(super) fn convolution(&self, job: &Convolution<'_>, out: &mut [Line]) {
        let Convolution { mut window, lanes, n_channels, .. } = *job;
        window.check();
        assert!(lanes > 0 && n_channels > 0 && !job.finish.is_empty(), "nothing to convolve");
        let [height, width] = window.input;
        assert_eq!(job.input.len(), n_channels.div_ceil(lanes) * lanes * height * width, "an input of another shape");
        let n_weights = job.finish.len() * window.kernel[0] * window.kernel[1] * n_channels;
        assert_eq!(job.weights.len(), n_weights, "weights of another shape");
        let plane_len = window.output[0] * window.output[1];
        assert_eq!(out.len(), job.finish.len() * plane_len, "an output of another shape");
        assert!(job.addend.len() <= out.len() && job.addend.len().is_multiple_of(plane_len), "planes of another shape");
        if window == (Window { kernel: [1, 1], stride: 1, pads: [0, 0], output: window.input, ..window }) {
            // Pixels by themselves: one long row leaves fewer over.
            (window.input, window.output) = ([1, height * width], [1, height * width]);
        }
        (self.convolution)(&Convolution { window, ..*job }, out);
    }

    /// Makes planes of outputs without a frame.
    pub(super) fn depthwise_convolution(&self, job: &DepthwiseConvolution<'_>, out: &mut [Line]) {
        let DepthwiseConvolution { window, input, .. } = job;
        window.check();
        assert!(window.kernel == [3, 3] && (window.stride == 1 || window.stride == 2), "a kernel not known");
        assert_eq!(job.weights.len(), job.finish.len(), "weights of another shape");
        assert_eq!(input.len(), job.finish.len() * window.input[0] * window.input[1], "an input of another shape");
        assert_eq!(out.len(), job.finish.len() * window.output[0] * window.output[1], "an output of another shape");
        (self.depthwise_convolution)(job, out);
    }

    /// The largest numbers of each 2x2 pixels of planes of this height and width; an odd last row or column is left out.
    pub(super) fn max_pool(&self, input: &[Line], [height, width]: [usize; 2], out: &mut [Line]) {
        assert!(height > 1 && width > 1 && input.len().is_multiple_of(height * width), "no whole planes");
        let n_planes = input.len() / (height * width);
        assert_eq!(out.len(), n_planes * (height / 2) * (width / 2), "an output of another shape");
        (self.max_pool)(input, [height, width], out);
    }

    /// The sums of two values.
    pub(super) fn sums(&self, a: &[Line], b: &[Line], out: &mut [Line]) {
        assert!(a.len() == b.len() && a.len() == out.len(), "sums of other sizes");
        (self.sums)(a, b, out);
    }

    /// The sums of planes of `width` pixels a row with planes of half as many rows and columns, each pixel of which stands
    /// for 2x2 pixels.
    pub(super) fn sums_with_halved(&self, input: &[Line], width: usize, halved: &[Line], out: &mut [Line]) {
        assert!(width > 0 && width.is_multiple_of(2) && input.len().is_multiple_of(width), "no pairs of columns");
        assert!(halved.len() * 4 == input.len() && input.len() == out.len(), "sums of other sizes");
        (self.sums_with_halved)(input, width, halved, out);
    }
}

/// Whether runs of pixels lie in their plane, and all planes in the output.
#[track_caller]
fn check_places(places: &[u32], run: usize, plane_len: usize, n_lines: usize, out: &[Line]) {
    let last = places.iter().max().map_or(0, |&place| place as usize);
    assert!(places.is_empty() || last + run <= plane_len, "a pixel lies outside its plane");
    assert!(n_lines * plane_len <= out.len(), "the output has too few planes");
}
