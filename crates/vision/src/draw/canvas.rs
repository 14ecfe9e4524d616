//! A picture that is drawn on: smooth lines, boxes and dots.
//!
//! Coordinates are pixels with the origin at the top left corner of the picture, so the centre of the first pixel is at
//! (0.5, 0.5). What lies outside the picture is left out.

use crate::raster::RgbImage;

/// Red, green, blue, eight bits each.
pub type Color = [u8; 3];

/// An area in pixels between its edges.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Area {
    /// Left edge.
    pub left: f32,
    /// Top edge.
    pub top: f32,
    /// Right edge.
    pub right: f32,
    /// Bottom edge.
    pub bottom: f32,
}

impl Area {
    /// The area with this corner and size.
    pub fn at(left: f32, top: f32, width: f32, height: f32) -> Self {
        Self { left, top, right: left + width, bottom: top + height }
    }

    /// Right edge minus left edge.
    pub fn width(&self) -> f32 {
        self.right - self.left
    }

    /// Bottom edge minus top edge.
    pub fn height(&self) -> f32 {
        self.bottom - self.top
    }

    /// The area with every edge moved outwards by `margin`, inwards where that is negative.
    #[must_use]
    pub fn grown(&self, margin: f32) -> Self {
        Self {
            left: self.left - margin,
            top: self.top - margin,
            right: self.right + margin,
            bottom: self.bottom + margin,
        }
    }

    /// How many square pixels two areas have in common.
    pub fn common(&self, other: &Self) -> f32 {
        let width = self.right.min(other.right) - self.left.max(other.left);
        let height = self.bottom.min(other.bottom) - self.top.max(other.top);
        width.max(0.0) * height.max(0.0)
    }

    /// Whether all of `other` lies inside.
    pub fn contains(&self, other: &Self) -> bool {
        self.left <= other.left && self.top <= other.top && self.right >= other.right && self.bottom >= other.bottom
    }

    /// Distance from a point to the edge of the area with rounded corners; below 0 inside.
    fn distance(&self, x: f32, y: f32, radius: f32) -> f32 {
        let (center_x, center_y) = ((self.left + self.right) / 2.0, (self.top + self.bottom) / 2.0);
        let dx = (x - center_x).abs() - self.width() / 2.0 + radius;
        let dy = (y - center_y).abs() - self.height() / 2.0 + radius;
        dx.max(0.0).hypot(dy.max(0.0)) + dx.max(dy).min(0.0) - radius
    }
}

/// How a line looks.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Stroke {
    /// Its colour.
    pub color: Color,
    /// Its width in pixels; below 1 the line is one pixel wide and fainter.
    pub width: f32,
    /// 0 (invisible) to 1 (covers what is below).
    pub alpha: f32,
}

/// A picture that is drawn on.
#[derive(Clone)]
pub struct Canvas {
    width: u32,
    height: u32,
    data: Vec<u8>,
}

impl Canvas {
    /// A canvas of one colour; both sides at least 1.
    pub fn filled(width: u32, height: u32, color: Color) -> Self {
        let (width, height) = (width.max(1), height.max(1));
        let data = color.repeat(width as usize * height as usize);
        Self { width, height, data }
    }

    /// Width in pixels.
    pub fn width(&self) -> u32 {
        self.width
    }

    /// Height in pixels.
    pub fn height(&self) -> u32 {
        self.height
    }

    /// All bytes, row by row, three a pixel.
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// One pixel; `x` and `y` must be inside.
    pub fn pixel(&self, x: u32, y: u32) -> Color {
        let at = (y as usize * self.width as usize + x as usize) * 3;
        [self.data[at], self.data[at + 1], self.data[at + 2]]
    }

    /// Lays a colour over one pixel, `alpha` 0 (nothing happens) to 1 (it covers); outside the canvas nothing happens.
    pub fn blend(&mut self, x: i64, y: i64, color: Color, alpha: f32) {
        if !(0..i64::from(self.width)).contains(&x) || !(0..i64::from(self.height)).contains(&y) {
            return;
        }
        let at = (y as usize * self.width as usize + x as usize) * 3;
        let alpha = alpha.clamp(0.0, 1.0);
        for (below, above) in self.data[at..at + 3].iter_mut().zip(color) {
            *below = (f32::from(*below) + (f32::from(above) - f32::from(*below)) * alpha + 0.5) as u8;
        }
    }

    /// Copies a picture, enlarged `factor` times (at least 1) with straight lines between its pixels, to (`left`, 0).
    pub fn place(&mut self, picture: &RgbImage, factor: u32, left: u32) {
        let (width, height) = (picture.width(), picture.height());
        if factor <= 1 {
            let n_bytes = width.min(self.width.saturating_sub(left)) as usize * 3;
            for (y, row) in picture.data().chunks_exact(width as usize * 3).enumerate().take(self.height as usize) {
                let at = (y * self.width as usize + left as usize) * 3;
                self.data[at..at + n_bytes].copy_from_slice(&row[..n_bytes]);
            }
            return;
        }
        // The two old pixels a new one lies between, and the share of the second.
        let between = |new: u32, size: u32| {
            let old = ((new as f32 + 0.5) / factor as f32 - 0.5).clamp(0.0, size as f32 - 1.0);
            let first = old as u32;
            (first, (first + 1).min(size - 1), old - first as f32)
        };
        for y in 0..(height * factor).min(self.height) {
            let (above, below, share_y) = between(y, height);
            for x in 0..(width * factor).min(self.width.saturating_sub(left)) {
                let (before, after, share_x) = between(x, width);
                let corners = [(before, above), (after, above), (before, below), (after, below)];
                let [a, b, c, d] = corners.map(|(x, y)| picture.pixel(x, y).map(f32::from));
                let color = [0, 1, 2].map(|channel| {
                    let upper = a[channel] + (b[channel] - a[channel]) * share_x;
                    let lower = c[channel] + (d[channel] - c[channel]) * share_x;
                    (upper + (lower - upper) * share_y + 0.5) as u8
                });
                self.blend(i64::from(left + x), i64::from(y), color, 1.0);
            }
        }
    }

    /// Fills an area with rounded corners.
    pub fn fill(&mut self, area: &Area, radius: f32, color: Color, alpha: f32) {
        let radius = radius.min(area.width() / 2.0).min(area.height() / 2.0).max(0.0);
        let columns = self.columns(area.left, area.right);
        for y in self.rows(area.top, area.bottom) {
            for x in columns.clone() {
                let coverage = 0.5 - area.distance(x as f32 + 0.5, y as f32 + 0.5, radius);
                self.blend(x, y, color, coverage.clamp(0.0, 1.0) * alpha);
            }
        }
    }

    /// Draws the edge of an area with rounded corners; half of the line lies outside.
    pub fn outline(&mut self, area: &Area, radius: f32, stroke: Stroke) {
        let radius = radius.min(area.width() / 2.0).min(area.height() / 2.0).max(0.0);
        let (half, faint) = half_width(stroke.width);
        let outer = area.grown(half + 1.0);
        // Between the corners of a row only its two ends are painted.
        let inner = area.grown(-(radius + half + 1.0));
        let sides = [self.columns(outer.left, inner.left), self.columns(inner.right, outer.right)];
        let whole = [self.columns(outer.left, outer.right), 0..0];
        // With whole-pixel columns the two ends must not meet, or pixels between them would be painted twice.
        let has_middle = sides[0].end <= sides[1].start;
        for y in self.rows(outer.top, outer.bottom) {
            let center_y = y as f32 + 0.5;
            let is_between = has_middle && inner.top < center_y && center_y < inner.bottom;
            for x in (if is_between { &sides } else { &whole }).iter().cloned().flatten() {
                let distance = area.distance(x as f32 + 0.5, center_y, radius).abs();
                self.blend(x, y, stroke.color, (half + 0.5 - distance).clamp(0.0, 1.0) * stroke.alpha * faint);
            }
        }
    }

    /// Draws the edge of an area in dashes, each about `dash` pixels long with gaps of the same length, and whole at the
    /// corners.
    pub fn dashed(&mut self, area: &Area, dash: f32, stroke: Stroke) {
        let corners = [
            (area.left, area.top),
            (area.right, area.top),
            (area.right, area.bottom),
            (area.left, area.bottom),
            (area.left, area.top),
        ];
        for side in corners.windows(2) {
            let (from, to) = (side[0], side[1]);
            let length = (to.0 - from.0).hypot(to.1 - from.1);
            // Dashes at both ends of a side: an odd number of equal parts.
            let n_parts = (length / dash.max(1.0) / 2.0).floor() * 2.0 + 1.0;
            let at = |part: f32| {
                let share = part / n_parts;
                (from.0 + (to.0 - from.0) * share, from.1 + (to.1 - from.1) * share)
            };
            for part in (0..n_parts as u32).step_by(2) {
                self.line(at(part as f32), at(part as f32 + 1.0), stroke);
            }
        }
    }

    /// Draws a straight line with round ends. A point that is no number, or far outside, leaves it out.
    pub fn line(&mut self, from: (f32, f32), to: (f32, f32), stroke: Stroke) {
        if !self.is_near(from) || !self.is_near(to) {
            return;
        }
        let (half, faint) = half_width(stroke.width);
        let (dx, dy) = (to.0 - from.0, to.1 - from.1);
        let length_squared = dx * dx + dy * dy;
        let reach = half + 1.0;
        let (top, bottom) = (from.1.min(to.1) - reach, from.1.max(to.1) + reach);
        let columns = self.columns(from.0.min(to.0) - reach, from.0.max(to.0) + reach);
        for y in self.rows(top, bottom) {
            for x in columns.clone() {
                let (px, py) = (x as f32 + 0.5 - from.0, y as f32 + 0.5 - from.1);
                let share =
                    if length_squared > 0.0 { ((px * dx + py * dy) / length_squared).clamp(0.0, 1.0) } else { 0.0 };
                let distance = (px - share * dx).hypot(py - share * dy);
                self.blend(x, y, stroke.color, (half + 0.5 - distance).clamp(0.0, 1.0) * stroke.alpha * faint);
            }
        }
    }

    /// Draws the lines between one point and the next.
    pub fn polyline(&mut self, points: &[(f32, f32)], stroke: Stroke) {
        for pair in points.windows(2) {
            self.line(pair[0], pair[1], stroke);
        }
    }

    /// Draws a round dot.
    pub fn dot(&mut self, center: (f32, f32), radius: f32, color: Color, alpha: f32) {
        self.line(center, center, Stroke { color, width: 2.0 * radius, alpha });
    }

    /// Whether a point is a number and at most one canvas away from this one.
    fn is_near(&self, (x, y): (f32, f32)) -> bool {
        let (width, height) = (self.width as f32, self.height as f32);
        (-width..=2.0 * width).contains(&x) && (-height..=2.0 * height).contains(&y)
    }

    fn columns(&self, from: f32, to: f32) -> std::ops::Range<i64> {
        (from.floor() as i64).max(0)..(to.ceil() as i64).min(i64::from(self.width))
    }

    fn rows(&self, from: f32, to: f32) -> std::ops::Range<i64> {
        (from.floor() as i64).max(0)..(to.ceil() as i64).min(i64::from(self.height))
    }
}

/// Half the width a line is drawn with, and how strongly: what is thinner than a pixel is one pixel wide and fainter.
fn half_width(width: f32) -> (f32, f32) {
    (width.max(1.0) / 2.0, width.clamp(0.0, 1.0))
}

#[cfg(test)]
mod tests;
