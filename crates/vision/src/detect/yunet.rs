//! YuNet: an anchor-free detector with five points per face.
//!
//! Formulas from the OpenCV model zoo (`face_detection_yunet`, 2023mar) as OpenCV's `FaceDetectorYN` computes them. For
//! the cell in row r and column c of stride s: score = sqrt(cls * obj); centre = ((c + b0) s, (r + b1) s);
//! size = (exp(b2) s, exp(b3) s); point j = ((k[2j] + c) s, (k[2j + 1] + r) s).
//!
//! # Why two passes
//! The picture is shown to the net as large as the manifest allows, because landmarks found on a scaled copy move the
//! embedding (cosine 0.95). But the net loses large faces. Measured on ten portraits scaled to a face height of so many
//! pixels, its score is 0.94 to 0.96 at 300, 0.84 to 0.90 at 600, 0.67 to 0.82 at 800, and at 1300 it finds none (one at
//! 0.35) but sees small faces of score up to 0.75 on eyes and mouths instead. So a large frame gets a second, coarse
//! pass, of which only the large faces count; see [`merge`].

use likeness_domain::types::{Landmarks, Point};
use likeness_domain::{Error, Kind, Result};

use super::FoundFace;
use crate::pack::{Detect, DetectFrame};
use crate::raster::RgbImage;
use crate::runtime::{ModelKind, Runtime, Session, Tensor};
use crate::tensor::{Scaling, fill_planes};

#[cfg(test)]
mod tests;

/// Frames with a longer side than this get a second pass; below, no face can be too large to be found.
const SECOND_PASS_SIDE_MIN: u32 = 800;

/// Longer side of the frame of the second pass.
const COARSE_SIDE_MAX: u32 = 640;

/// From this height on in the first frame, in pixels, a face is large: the coarse pass finds it better. Chosen between 600,
/// where one of the portraits (biden2) would leave OpenCV's embedding, and 800, where scores come near the minimum.
const LARGE_HEIGHT_MIN: f32 = 700.0;

/// A small face on a large one is kept from this score on. False ones reached 0.75 on those portraits; of 205 upright
/// photographs the surest face had at least 0.89. Chosen between the two, not measured on pictures that have both.
const SCORE_ON_LARGE_MIN: f32 = 0.8;

/// Most boxes that compete for non-maximum suppression; OpenCV's number. The surest are kept.
const CANDIDATES_MAX: usize = 5000;

/// A loaded YuNet. Clones share the model: one for each thread.
#[derive(Clone)]
pub struct YuNet {
    session: Session,
    detect: Detect,
}

/// The frame a picture is shown in: how large it is and what its pixels mean in the picture.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Frame {
    /// Width of the scaled picture inside the frame.
    pub picture_width: u32,
    /// Height of the scaled picture inside the frame.
    pub picture_height: u32,
    /// Width of the model's input.
    pub width: u32,
    /// Height of the model's input.
    pub height: u32,
    /// Pixels of the source per pixel of the frame, across and down.
    pub source_per_frame: (f32, f32),
}

impl Frame {
    /// The frame for a picture whose longer side may have at most `side_max` pixels there.
    pub fn of(image: &RgbImage, side_max: u32, input: DetectFrame) -> Self {
        let (picture_width, picture_height) = image.fitted(side_max);
        let (width, height) = match input {
            DetectFrame::MultipleOf(step) => {
                (picture_width.next_multiple_of(step), picture_height.next_multiple_of(step))
            }
            DetectFrame::Fixed(side) => (side, side),
        };
        let source_per_frame =
            (image.width() as f32 / picture_width as f32, image.height() as f32 / picture_height as f32);
        Self { picture_width, picture_height, width, height, source_per_frame }
    }

    /// The one place where frame pixels become source pixels.
    fn to_source(self, face: FoundFace) -> FoundFace {
        let (across, down) = self.source_per_frame;
        let [left, top, right, bottom] = face.corners;
        let point = |point: Point| Point { x: point.x * across, y: point.y * down };
        FoundFace {
            corners: [left * across, top * down, right * across, bottom * down],
            landmarks: Landmarks(face.landmarks.0.map(point)),
            score: face.score,
        }
    }
}

impl YuNet {
    /// Makes a session and runs it once on black. [`Kind::PackUnavailable`] if the outputs are not YuNet's.
    pub fn open(runtime: &Runtime, detect: &Detect, model: &[u8]) -> Result<Self> {
        let session = Session::open(runtime, ModelKind::Detector, &detect.file.name, model)?;
        let mut yunet = Self { session, detect: detect.clone() };
        let black = RgbImage::new(32, 32, vec![0; 32 * 32 * 3]).ok_or_else(|| shape_error("32 x 32"))?;
        yunet.detect_at(&black, 32).map_err(|err| {
            let message = format!("model `{}` is no YuNet detector", detect.file.name);
            Error::new(Kind::PackUnavailable, message).with_source(err)
        })?;
        Ok(yunet)
    }

    /// Every face, surest first.
    pub fn detect(&mut self, image: &RgbImage) -> Result<Vec<FoundFace>> {
        let side_max = self.detect.side_max;
        let (frame, faces) = self.detect_at(image, side_max)?;
        if frame.picture_width.max(frame.picture_height) < SECOND_PASS_SIDE_MIN {
            return Ok(faces);
        }
        let (_, coarse) = self.detect_at(image, COARSE_SIDE_MAX.min(side_max))?;
        Ok(merge(faces, coarse, LARGE_HEIGHT_MIN * frame.source_per_frame.1, self.detect.nms_iou))
    }

    /// Every face of at least this score in a picture that is shown to the net as it is, strongest first, in pixels of
    /// the picture.
    pub fn pass(&mut self, image: &RgbImage, score_min: f32) -> Result<Vec<FoundFace>> {
        let frame = Frame::of(image, image.width().max(image.height()), self.detect.input.frame);
        let candidates = self.run(image, frame, score_min)?;
        Ok(suppressed(candidates, self.detect.nms_iou))
    }

    fn detect_at(&mut self, image: &RgbImage, side_max: u32) -> Result<(Frame, Vec<FoundFace>)> {
        let input = self.detect.input;
        let frame = Frame::of(image, side_max, input.frame);
        let scaled;
        let picture = if (frame.picture_width, frame.picture_height) == (image.width(), image.height()) {
            image
        } else {
            scaled = image.shrunk(frame.picture_width, frame.picture_height);
            &scaled
        };
        let candidates = self.run(picture, frame, self.detect.score_min)?;
        let faces = suppressed(candidates, self.detect.nms_iou);
        Ok((frame, faces.into_iter().map(|face| frame.to_source(face)).collect()))
    }

    /// Runs the net on a picture that fits the frame; every cell of at least this score, in frame pixels.
    fn run(&mut self, picture: &RgbImage, frame: Frame, score_min: f32) -> Result<Vec<FoundFace>> {
        let input = self.detect.input;
        let scaling = Scaling { order: input.order, mean: input.mean, scale: input.scale };
        let (width, height) = match input.frame {
            DetectFrame::MultipleOf(_) => {
                (self.session.model().side(frame.width), self.session.model().side(frame.height))
            }
            DetectFrame::Fixed(_) => (frame.width, frame.height),
        };
        let outputs = self.session.run_filled(&[1, 3, height as usize, width as usize], |numbers| {
            fill_planes(picture, scaling, width, height, numbers);
        })?;
        candidates(&outputs, &self.detect.strides, (width, height), score_min)
    }
}

/// Reads the outputs for a frame of `size` (width, height): every cell whose score is at least `score_min`, in frame
/// pixels, unordered. Cells with numbers that make no face (infinite, without area) are passed over.
///
/// [`Kind::PackUnavailable`] if an output is missing or has another size than the strides and the frame give it.
pub fn candidates(outputs: &[Tensor], strides: &[u32], size: (u32, u32), score_min: f32) -> Result<Vec<FoundFace>> {
    let mut faces = Vec::new();
    for &stride in strides {
        let n_columns = (size.0 / stride) as usize;
        let n_cells = n_columns * (size.1 / stride) as usize;
        let cls = output(outputs, "cls", stride, n_cells)?;
        let obj = output(outputs, "obj", stride, n_cells)?;
        let boxes = output(outputs, "bbox", stride, n_cells * 4)?;
        let points = output(outputs, "kps", stride, n_cells * 10)?;
        let unit = stride as f32;
        for cell in 0..n_cells {
            let score = (cls[cell].clamp(0.0, 1.0) * obj[cell].clamp(0.0, 1.0)).sqrt();
            if score.is_nan() || score < score_min {
                continue;
            }
            let (row, column) = ((cell / n_columns) as f32, (cell % n_columns) as f32);
            let b = &boxes[cell * 4..cell * 4 + 4];
            let (center_x, center_y) = ((column + b[0]) * unit, (row + b[1]) * unit);
            let (half_width, half_height) = (b[2].exp() * unit / 2.0, b[3].exp() * unit / 2.0);
            let k = &points[cell * 10..cell * 10 + 10];
            let point = |j: usize| Point { x: (k[2 * j] + column) * unit, y: (k[2 * j + 1] + row) * unit };
            let face = FoundFace {
                corners: [center_x - half_width, center_y - half_height, center_x + half_width, center_y + half_height],
                landmarks: Landmarks(std::array::from_fn(point)),
                score,
            };
            if is_sound(&face) {
                faces.push(face);
            }
        }
    }
    Ok(faces)
}

/// Non-maximum suppression: surest first, and of two that overlap more than `iou_max` only the surer.
pub fn suppressed(mut faces: Vec<FoundFace>, iou_max: f32) -> Vec<FoundFace> {
    // Stable, so equal scores stay in the order of the cells and an answer repeats exactly.
    faces.sort_by(|a, b| b.score.total_cmp(&a.score));
    faces.truncate(CANDIDATES_MAX);
    let mut kept: Vec<FoundFace> = Vec::new();
    for face in faces {
        if kept.iter().all(|surer| iou(surer, &face) <= iou_max) {
            kept.push(face);
        }
    }
    kept
}

/// Joins a first and a coarse pass over the same picture, both in source pixels.
///
/// From the coarse pass only large faces are taken, of at least `large_height_min`, where it competes with the first by
/// score. Small unsure faces of the first pass that lie on a large face are its eyes and mouth, and go.
pub fn merge(first: Vec<FoundFace>, coarse: Vec<FoundFace>, large_height_min: f32, iou_max: f32) -> Vec<FoundFace> {
    let large_faces: Vec<_> = coarse.into_iter().filter(|face| height(face) >= large_height_min).collect();
    if large_faces.is_empty() {
        return first;
    }
    let is_part_of = |face: &FoundFace, large: &FoundFace| {
        let [left, top, right, bottom] = face.corners;
        let (x, y) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let [large_left, large_top, large_right, large_bottom] = large.corners;
        let is_inside = (large_left..large_right).contains(&x) && (large_top..large_bottom).contains(&y);
        is_inside && area(face) * 4.0 < area(large)
    };
    let is_part =
        |face: &FoundFace| face.score < SCORE_ON_LARGE_MIN && large_faces.iter().any(|large| is_part_of(face, large));
    let mut faces: Vec<_> = first.into_iter().filter(|face| !is_part(face)).collect();
    faces.extend(large_faces);
    suppressed(faces, iou_max)
}

fn output<'a>(outputs: &'a [Tensor], name: &str, stride: u32, n_numbers: usize) -> Result<&'a [f32]> {
    let name = format!("{name}_{stride}");
    let tensor = outputs.iter().find(|tensor| tensor.name == name).ok_or_else(|| shape_error(&name))?;
    if tensor.data.len() == n_numbers { Ok(&tensor.data) } else { Err(shape_error(&name)) }
}

fn shape_error(name: &str) -> Error {
    Error::new(Kind::PackUnavailable, format!("detector output `{name}` is missing or has an unexpected size"))
}

fn is_sound(face: &FoundFace) -> bool {
    let points = &face.landmarks.0;
    let is_finite = face.corners.iter().all(|edge| edge.is_finite())
        && points.iter().all(|point| point.x.is_finite() && point.y.is_finite());
    // Points closer together than a hundredth of a pixel give no direction to align by.
    let spread = points.iter().map(|point| (point.x - points[0].x).abs().max((point.y - points[0].y).abs()));
    is_finite && area(face) > 0.0 && area(face).is_finite() && spread.fold(0.0, f32::max) > 0.01
}

fn height(face: &FoundFace) -> f32 {
    face.corners[3] - face.corners[1]
}

fn area(face: &FoundFace) -> f32 {
    (face.corners[2] - face.corners[0]) * height(face)
}

/// Intersection over union.
pub fn iou(a: &FoundFace, b: &FoundFace) -> f32 {
    let width = a.corners[2].min(b.corners[2]) - a.corners[0].max(b.corners[0]);
    let height = a.corners[3].min(b.corners[3]) - a.corners[1].max(b.corners[1]);
    let shared = width.max(0.0) * height.max(0.0);
    shared / (area(a) + area(b) - shared)
}
