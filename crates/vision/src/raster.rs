//! A decoded picture: upright, eight bits, red-green-blue. Knows pixels, not file formats and not faces.

use std::fmt;

use likeness_domain::limits::IMAGE_SIDE_MAX;

pub(crate) use self::kernel::write_numbers;
pub(crate) use self::resample::{Coverage, resample};

mod kernel;
mod resample;
#[cfg(test)]
mod tests;

/// Pixels in rows from the top, three bytes each: red, green, blue.
///
/// # Invariants
/// Both sides are at least 1, and there are exactly `width * height * 3` bytes.
#[derive(Clone, PartialEq, Eq)]
pub struct RgbImage {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

// Faces are biometric data: shape only.
impl fmt::Debug for RgbImage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "RgbImage({} x {})", self.width, self.height)
    }
}

/// One of the eight ways a stored picture can lie, numbered as EXIF does (tag 0x0112).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ExifOrientation(u8);

impl ExifOrientation {
    /// As stored.
    pub const UPRIGHT: ExifOrientation = ExifOrientation(1);
    /// Shown turned by 90 degrees clockwise.
    pub const TURN_90: ExifOrientation = ExifOrientation(6);
    /// Shown turned by 180 degrees.
    pub const TURN_180: ExifOrientation = ExifOrientation(3);
    /// Shown turned by 270 degrees clockwise.
    pub const TURN_270: ExifOrientation = ExifOrientation(8);

    /// The orientation with this number; `None` unless it is 1 to 8.
    pub fn new(number: u8) -> Option<Self> {
        (1..=8).contains(&number).then_some(Self(number))
    }

    /// Whether width and height change places.
    pub fn swaps_sides(self) -> bool {
        self.0 >= 5
    }

    /// Where the point (`x`, `y`) of the shown picture is in the stored picture of `width` x `height`. Whole numbers
    /// are pixel centres, so the last column is at `width - 1`.
    pub fn to_stored(self, x: f32, y: f32, width: u32, height: u32) -> (f32, f32) {
        let (x, y) = if self.swaps_sides() { (y, x) } else { (x, y) };
        let (right, bottom) = (width as f32 - 1.0, height as f32 - 1.0);
        (if self.flips_x() { right - x } else { x }, if self.flips_y() { bottom - y } else { y })
    }

    fn flips_x(self) -> bool {
        matches!(self.0, 2 | 3 | 7 | 8)
    }

    fn flips_y(self) -> bool {
        matches!(self.0, 3 | 4 | 6 | 7)
    }
}

impl RgbImage {
    /// A picture of these bytes; `None` if their number does not fit the sides or a side is 0.
    pub fn new(width: u32, height: u32, data: Vec<u8>) -> Option<Self> {
        let n_bytes = u64::from(width) * u64::from(height) * 3;
        (width > 0 && height > 0 && data.len() as u64 == n_bytes).then_some(Self { width, height, data })
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, row by row.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// One pixel; `x` and `y` must be inside.
    pub fn pixel(&self, x: u32, y: u32) -> [u8; 3] {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// Paints one pixel; outside the picture nothing happens.
    pub fn put_pixel(&mut self, x: i64, y: i64, color: [u8; 3]) {
        if (0..i64::from(self.width)).contains(&x) && (0..i64::from(self.height)).contains(&y) {
            let at = (y as usize * self.width as usize + x as usize) * 3;
            self.data[at..at + 3].copy_from_slice(&color);
        }
    }

    /// The picture as it is shown, given how it was stored.
    #[must_use]
    pub fn oriented(self, orientation: ExifOrientation) -> Self {
        if orientation == ExifOrientation::UPRIGHT {
            return self;
        }
        let (width, height) = (self.width as usize, self.height as usize);
        let (shown_width, shown_height) = if orientation.swaps_sides() { (height, width) } else { (width, height) };
        // Walking right and down in the shown picture is a constant stride through the stored one.
        let step = |flips: bool, size: usize, stride: isize| {
            if flips { ((size - 1) as isize * stride, -stride) } else { (0, stride) }
        };
        let (start_x, step_x) = step(orientation.flips_x(), width, 3);
        let (start_y, step_y) = step(orientation.flips_y(), height, width as isize * 3);
        let (right, down) = if orientation.swaps_sides() { (step_y, step_x) } else { (step_x, step_y) };

        let mut data = vec![0; self.data.len()];
        // Square tiles keep both sides in cache when rows become columns.
        for tile_y in (0..shown_height).step_by(TILE) {
            for tile_x in (0..shown_width).step_by(TILE) {
                for y in tile_y..(tile_y + TILE).min(shown_height) {
                    for x in tile_x..(tile_x + TILE).min(shown_width) {
                        let from = (start_x + start_y + x as isize * right + y as isize * down) as usize;
                        let to = (y * shown_width + x) * 3;
                        data[to..to + 3].copy_from_slice(&self.data[from..from + 3]);
                    }
                }
            }
        }
        Self { width: shown_width as u32, height: shown_height as u32, data }
    }

    /// A copy turned as [`RgbImage::oriented`] turns.
    #[must_use]
    pub fn turned(&self, orientation: ExifOrientation) -> Self {
        self.clone().oriented(orientation)
    }

    /// A copy of the rectangle that begins at (`left`, `top`), which must lie inside.
    #[must_use]
    pub fn cut(&self, left: u32, top: u32, width: u32, height: u32) -> Self {
        let row = |y: u32| {
            let start = (y as usize * self.width as usize + left as usize) * 3;
            &self.data[start..start + width as usize * 3]
        };
        Self { width, height, data: (top..top + height).flat_map(|y| row(y).iter().copied()).collect() }
    }

    /// The picture at a smaller size, each new pixel the mean of the area it covers (so fine patterns become grey
    /// instead of false faces). Sides are clamped to between 1 and the present ones.
    #[must_use]
    pub fn shrunk(&self, width: u32, height: u32) -> Self {
        let (width, height) = (width.clamp(1, self.width), height.clamp(1, self.height));
        if (width, height) == (self.width, self.height) {
            return self.clone();
        }
        let (columns, rows) = (coverage(self.width, width), coverage(self.height, height));
        let data = resample(&self.data, self.width as usize, &columns, &rows);
        Self { width, height, data }
    }

    /// The picture at half its size, each new pixel the mean of two by two old ones (rounded to the nearest); an odd last
    /// column or row is left out. Both sides must be at least 2.
    #[must_use]
    pub fn halved(&self) -> Self {
        let (width, height) = (self.width as usize / 2, self.height as usize / 2);
        let row_len = self.width as usize * 3;
        let mut data = vec![0; width * height * 3];
        for (y, out) in data.chunks_exact_mut(width * 3).enumerate() {
            let upper = &self.data[2 * y * row_len..][..width * 6];
            let lower = &self.data[(2 * y + 1) * row_len..][..width * 6];
            for ((new, a), b) in out.chunks_exact_mut(3).zip(upper.chunks_exact(6)).zip(lower.chunks_exact(6)) {
                for channel in 0..3 {
                    let sum = u16::from(a[channel])
                        + u16::from(a[channel + 3])
                        + u16::from(b[channel])
                        + u16::from(b[channel + 3]);
                    new[channel] = ((sum + 2) / 4) as u8;
                }
            }
        }
        Self { width: width as u32, height: height as u32, data }
    }

    /// The sides this picture gets when its longer one may be at most `side_max`; never larger than it is, nor without pixels:
    /// half of one pixel is one pixel.
    pub fn fitted(&self, side_max: u32) -> (u32, u32) {
        let side_max = side_max.max(1);
        let longer = self.width.max(self.height);
        if longer <= side_max {
            return (self.width, self.height);
        }
        let scale = f64::from(side_max) / f64::from(longer);
        let scaled = |side: u32| ((f64::from(side) * scale).round() as u32).clamp(1, side_max);
        (scaled(self.width), scaled(self.height))
    }
}

const TILE: usize = 32;
const _: () = assert!(IMAGE_SIDE_MAX as u64 * IMAGE_SIDE_MAX as u64 * 3 < isize::MAX as u64);

fn coverage(old_len: u32, new_len: u32) -> Vec<Coverage> {
    let scale = f64::from(old_len) / f64::from(new_len);
    let cover = |new_idx: u32| {
        let (start, end) = (f64::from(new_idx) * scale, f64::from(new_idx + 1) * scale);
        let first = (start as u32).min(old_len - 1);
        let last = (end.ceil() as u32).clamp(first + 1, old_len);
        let overlap = |old_idx: u32| (end.min(f64::from(old_idx + 1)) - start.max(f64::from(old_idx))).max(0.0);
        let total: f64 = (first..last).map(overlap).sum();
        Coverage { first: first as usize, weights: (first..last).map(|idx| (overlap(idx) / total) as f32).collect() }
    };
    (0..new_len).map(cover).collect()
}
