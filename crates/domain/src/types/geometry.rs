//! Where a face is. All coordinates are pixels of the upright image (EXIF orientation applied), origin top left.

/// A point in pixels of the upright image; may lie outside it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Point {
    /// Distance from the left edge.
    pub x: f32,
    /// Distance from the top edge.
    pub y: f32,
}

/// A whole-pixel box inside the upright image; at least 1 x 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct BoundingBox {
    /// Left edge.
    pub left: u32,
    /// Top edge.
    pub top: u32,
    /// Width, at least 1.
    pub width: u32,
    /// Height, at least 1.
    pub height: u32,
}

impl BoundingBox {
    /// The box between two real-valued corners, rounded and clamped into an image of `image_width` x `image_height`
    /// (both at least 1). The result is never empty, whatever the corners are.
    pub fn clamped(corners: [f32; 4], image_width: u32, image_height: u32) -> Self {
        let [left, top, right, bottom] = corners;
        let (left, width) = clamp_span(left, right, image_width);
        let (top, height) = clamp_span(top, bottom, image_height);
        Self { left, top, width, height }
    }

    /// Width times height.
    pub fn area(&self) -> u64 {
        u64::from(self.width) * u64::from(self.height)
    }
}

fn clamp_span(start: f32, end: f32, size: u32) -> (u32, u32) {
    // `as` saturates and maps NaN to 0, which is what a hostile detector output deserves.
    let start = (start.round().max(0.0) as u32).min(size.saturating_sub(1));
    let end = (end.round().max(0.0) as u32).min(size).max(start + 1);
    (start, end - start)
}

/// Five points: right eye, left eye, nose tip, right mouth corner, left mouth corner (right and left of the person).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Landmarks(pub [Point; 5]);

/// A face found in an image.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    /// Where it is.
    pub bounding_box: BoundingBox,
    /// How sure the detector is, 0 to 1.
    pub score: f32,
    /// The five points used to align it.
    pub landmarks: Landmarks,
}

/// Pixels between the eyes of an aligned face, which is as large as an embedder sees one.
const EYE_DISTANCE_PX: f32 = 35.0;

impl Detection {
    /// Whether the face has enough pixels, 0 to 1: the pixels between its eyes, as a share of the 35 that an embedder
    /// gets to see. Turning the head brings the eyes together, so the distance from eyes to mouth counts as well, as 7 to
    /// 8 (what they are in a face that looks into the camera).
    pub fn size(&self) -> f32 {
        let [right_eye, left_eye, _, right_mouth, left_mouth] = self.landmarks.0;
        let between = |a: Point, b: Point| Point { x: (a.x + b.x) / 2.0, y: (a.y + b.y) / 2.0 };
        let distance = |a: Point, b: Point| (a.x - b.x).hypot(a.y - b.y);
        let height = distance(between(right_eye, left_eye), between(right_mouth, left_mouth));
        (distance(right_eye, left_eye).max(height * 7.0 / 8.0) / EYE_DISTANCE_PX).min(1.0)
    }
}
