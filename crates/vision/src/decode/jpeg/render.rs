//! Blocks of samples to rows of RGB: reduced, enlarged where a component has fewer samples, colours converted.
//!
//! Only the last two rows of MCUs are kept: a row of pixels needs chroma samples above and below it. A component that
//! has fewer samples than the picture is reduced by less, so that chroma of a halved 4:2:0 picture is taken as it is
//! stored. What is left is enlarged by the triangle filter of libjpeg ("fancy upsampling"). At full size all arithmetic
//! is that of libjpeg (see `kernel`), so that pixels are those of other readers, to the last bit.

use super::frame::{ColourModel, Component, Frame};
use super::idct::{Samples, byte};
use super::kernel::{Kernel, rgb};
use crate::decode::Reduction;

/// How the blocks of one component become samples.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Shape {
    /// Samples across and down that are made of a block: 8, 4, 2 or 1.
    pub(super) block_width: usize,
    pub(super) block_height: usize,
    /// Samples across, up to the end of the last MCU.
    stride: usize,
    /// Samples down in one row of MCUs.
    strip_rows: usize,
    /// Samples that belong to the picture.
    width: usize,
    height: usize,
    /// Pixels for each sample, across and down, as fractions.
    across: (usize, usize),
    down: (usize, usize),
}

impl Shape {
    /// The shape of one component of a picture decoded with this reduction.
    pub(super) fn of(frame: &Frame, component: &Component, reduction: Reduction) -> Self {
        let size = 8 / reduction.divisor() as usize;
        let (block_width, across) = block_side(size, component.h, frame.h_max);
        let (block_height, down) = block_side(size, component.v, frame.v_max);
        Self {
            block_width,
            block_height,
            stride: frame.mcus_across * component.h * block_width,
            strip_rows: component.v * block_height,
            width: (component.width * block_width).div_ceil(8),
            height: (component.height * block_height).div_ceil(8),
            across,
            down,
        }
    }

    /// Whether a block is made at full size, eight by eight samples.
    pub(super) fn is_full(&self) -> bool {
        (self.block_width, self.block_height) == (8, 8)
    }

    /// Bytes kept of it.
    pub(super) fn n_bytes(&self) -> usize {
        self.stride * self.strip_rows * 2
    }
}

/// Samples made of the 8 of a block in one direction, and pixels for each sample, when a full component gets `size`.
fn block_side(size: usize, factor: usize, factor_max: usize) -> (usize, (usize, usize)) {
    let mut side = size;
    while side < 8 && (factor_max * size).is_multiple_of(factor * side * 2) {
        side *= 2;
    }
    let (pixels, samples) = (factor_max * size, factor * side);
    let ratio = if pixels.is_multiple_of(samples) { (pixels / samples, 1) } else { (pixels, samples) };
    (side, ratio)
}

/// The last samples of one component.
pub(super) struct Plane {
    pub(super) shape: Shape,
    /// Twice `strip_rows` rows; row y of the component is at `y % (2 strip_rows)`.
    data: Vec<u8>,
}

impl Plane {
    fn new(shape: Shape) -> Self {
        Self { shape, data: vec![0; shape.n_bytes()] }
    }

    fn row(&self, y: usize) -> &[u8] {
        let start = (y.min(self.shape.height - 1) % (2 * self.shape.strip_rows)) * self.shape.stride;
        &self.data[start..start + self.shape.width]
    }

    /// Where the samples of a block begin, by its column and row among all blocks of the component.
    #[inline(always)]
    fn start(&self, block_column: usize, block_row: usize) -> usize {
        let row = (block_row * self.shape.block_height) % (2 * self.shape.strip_rows);
        row * self.shape.stride + block_column * self.shape.block_width
    }

    /// Stores a block of samples around 0.
    #[inline(always)]
    pub(super) fn put(&mut self, block_column: usize, block_row: usize, samples: &Samples) {
        let mut start = self.start(block_column, block_row);
        for row in &samples[..self.shape.block_height] {
            let bytes = row.map(byte);
            match self.shape.block_width {
                8 => self.data[start..start + 8].copy_from_slice(&bytes),
                width => self.data[start..start + width].copy_from_slice(&bytes[..width]),
            }
            start += self.shape.stride;
        }
    }

    /// Stores a block of eight rows of samples.
    #[inline(always)]
    pub(super) fn put_full(&mut self, block_column: usize, block_row: usize, samples: &[[u8; 8]; 8]) {
        let (start, stride) = (self.start(block_column, block_row), self.shape.stride);
        let rows = self.data[start..start + 7 * stride + 8].chunks_mut(stride);
        for (row, samples) in rows.zip(samples) {
            row[..8].copy_from_slice(samples);
        }
    }

    /// Stores a block of two by two samples around 0.
    #[inline(always)]
    pub(super) fn put_four(&mut self, block_column: usize, block_row: usize, samples: [[f32; 2]; 2]) {
        let start = self.start(block_column, block_row);
        for (row_idx, row) in samples.into_iter().enumerate() {
            let start = start + row_idx * self.shape.stride;
            self.data[start..start + 2].copy_from_slice(&row.map(byte));
        }
    }

    /// Stores a block whose samples are all the same.
    #[inline(always)]
    pub(super) fn fill(&mut self, block_column: usize, block_row: usize, sample: u8) {
        if self.shape.is_full() {
            return self.put_full(block_column, block_row, &[[sample; 8]; 8]);
        }
        let mut start = self.start(block_column, block_row);
        for _ in 0..self.shape.block_height {
            self.data[start..start + self.shape.block_width].fill(sample);
            start += self.shape.stride;
        }
    }

    /// The samples for row `y` of the picture, enlarged into `wide` if need be.
    fn enlarged<'a>(&'a self, kernel: &Kernel, y: usize, wide: &'a mut Wide) -> &'a [u8] {
        let Shape { across, down, width, .. } = self.shape;
        // libjpeg does not filter across in rows of fewer than three samples.
        let is_smooth = across.0 == 1 || width > 2;
        match (across, down) {
            ((1, 1), (1, 1)) => self.row(y),
            ((2, 1), (1, 1)) if is_smooth => {
                (kernel.twice_as_wide)(self.row(y), &mut wide.bytes);
                &wide.bytes
            }
            ((1 | 2, 1), (2, 1)) if is_smooth => {
                let far_is_above = y.is_multiple_of(2);
                let near = self.row(y / 2);
                let far = self.row(if far_is_above { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
                match across.0 {
                    1 => (kernel.twice_as_high)(near, far, far_is_above, &mut wide.bytes),
                    _ => (kernel.twice_both)(near, far, &mut wide.sums, &mut wide.bytes),
                }
                &wide.bytes
            }
            _ => {
                let row = self.row(y * down.1 / down.0);
                for (x, out) in wide.bytes.iter_mut().enumerate() {
                    *out = row[(x * across.1 / across.0).min(width - 1)];
                }
                &wide.bytes
            }
        }
    }
}

/// Room for one enlarged row.
struct Wide {
    bytes: Vec<u8>,
    sums: Vec<u16>,
}

/// Makes the picture as its rows of MCUs come.
pub(super) struct Renderer {
    pub(super) planes: Vec<Plane>,
    wide: Vec<Wide>,
    model: ColourModel,
    pub(super) kernel: &'static Kernel,
    width: usize,
    height: usize,
    mcu_rows: usize,
    /// Rows that need no samples below them.
    has_rows_below: bool,
    n_rows_done: usize,
    data: Vec<u8>,
}

impl Renderer {
    /// An empty picture.
    pub(super) fn new(frame: &Frame, model: ColourModel, reduction: Reduction) -> Self {
        let divisor = reduction.divisor() as usize;
        let planes: Vec<_> =
            frame.components.iter().map(|component| Plane::new(Shape::of(frame, component, reduction))).collect();
        let (width, height) = (frame.width.div_ceil(divisor), frame.height.div_ceil(divisor));
        let wide = |_| Wide { bytes: vec![0; wide_len(width)], sums: vec![0; width] };
        Self {
            wide: planes.iter().map(wide).collect(),
            has_rows_below: planes.iter().any(|plane| plane.shape.down != (1, 1)),
            planes,
            model,
            kernel: Kernel::get(),
            width,
            height,
            mcu_rows: frame.v_max * 8 / divisor,
            n_rows_done: 0,
            data: vec![0; width * height * 3],
        }
    }

    /// Bytes that a renderer takes.
    pub(super) fn n_bytes(frame: &Frame, reduction: Reduction) -> usize {
        let divisor = reduction.divisor() as usize;
        let (width, height) = (frame.width.div_ceil(divisor), frame.height.div_ceil(divisor));
        let planes: usize = frame.components.iter().map(|one| Shape::of(frame, one, reduction).n_bytes()).sum();
        width * height * 3 + planes + frame.components.len() * (wide_len(width) + 2 * width)
    }

    /// Makes the rows of pixels that are complete once `n_mcu_rows` rows of MCUs are in the planes.
    pub(super) fn advance(&mut self, n_mcu_rows: usize) {
        let n_rows = n_mcu_rows * self.mcu_rows;
        // The last row of an MCU needs the chroma samples below it.
        let end = if n_rows >= self.height { self.height } else { n_rows - usize::from(self.has_rows_below) };
        let row_len = self.width * 3;
        for y in self.n_rows_done..end {
            let out = &mut self.data[y * row_len..(y + 1) * row_len];
            let mut rows: [&[u8]; 4] = [&[]; 4];
            for ((row, plane), wide) in rows.iter_mut().zip(&self.planes).zip(&mut self.wide) {
                *row = &plane.enlarged(self.kernel, y, wide)[..self.width];
            }
            convert(self.kernel, self.model, rows, out);
        }
        self.n_rows_done = end;
    }

    /// Width, height and bytes of the finished picture.
    pub(super) fn finish(self) -> (usize, usize, Vec<u8>) {
        (self.width, self.height, self.data)
    }
}

/// Bytes of an enlarged row: an odd width has a sample that is only half used.
fn wide_len(width: usize) -> usize {
    width + 2
}

/// One row of samples to RGB.
fn convert(kernel: &Kernel, model: ColourModel, [first, second, third, fourth]: [&[u8]; 4], out: &mut [u8]) {
    let (out, _) = out.as_chunks_mut::<3>();
    let threes = || first.iter().zip(second).zip(third);
    match model {
        ColourModel::Grey => {
            for (pixel, &grey) in out.iter_mut().zip(first) {
                *pixel = [grey; 3];
            }
        }
        ColourModel::Rgb => {
            for (pixel, ((&red, &green), &blue)) in out.iter_mut().zip(threes()) {
                *pixel = [red, green, blue];
            }
        }
        ColourModel::YCbCr => (kernel.rgb)([first, second, third], out),
        ColourModel::Cmyk { is_inverted } => {
            let flip = if is_inverted { 0 } else { 255 };
            for ((pixel, ((&cyan, &magenta), &yellow)), &black) in out.iter_mut().zip(threes()).zip(fourth) {
                let light = u32::from(black ^ flip);
                *pixel = [cyan, magenta, yellow].map(|ink| dimmed(ink ^ flip, light));
            }
        }
        ColourModel::Ycck => {
            for ((pixel, ((&luma, &cb), &cr)), &black) in out.iter_mut().zip(threes()).zip(fourth) {
                *pixel = rgb(luma, cb, cr).map(|ink| dimmed(255 - ink, black.into()));
            }
        }
    }
}

fn dimmed(value: u8, light: u32) -> u8 {
    ((u32::from(value) * light + 127) / 255) as u8
}
