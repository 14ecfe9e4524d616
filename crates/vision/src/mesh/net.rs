//! The net that fits the mesh: a square crop about a face in, 468 points and a presence score out.
//!
//! The net expects an upright face that fills two thirds of the crop. A detector's five points hardly show how far a head
//! is tilted, but the mesh does: so the crop is turned by the tilt that the mesh itself found, until little is left. That
//! converges from up to about 50 degrees; which quarter turn a face is nearest to is the detector's to say.

use likeness_domain::types::Landmarks;
use likeness_domain::{Error, Kind, Result};

use super::{FaceMesh, MeshPoint, N_POINTS};
use crate::align::Placement;
use crate::detect::FoundFace;
use crate::pack::MeshStage;
use crate::pyramid::Pyramid;
use crate::raster::RgbImage;
use crate::runtime::{ModelKind, Runtime, Session, Tensor};
use crate::tensor::{Scaling, fill_planes};

/// Other sizes that are tried where a face is not certain, as shares of the detector's box: its box is often too large for
/// a face in profile or with a beard or hat, and sometimes too small. The third size is tried only if the second is worse
/// than the detector's. Of 30 upright faces with a presence of 0 to 12, these and the mesh's own extent raise 19 to 8 or
/// more and 8 to 12 or more; of 48 with a presence below 0, none. The extent comes before the last size, which helps the
/// fewest: of 2,678 faces of 193 sheets of 12 photographs of LFW as many are believed as the other way about, with 36 of
/// 3,752 fits fewer.
const OTHER_SIZES: [f64; 3] = [0.87, 0.75, 1.15];

/// An upright face of which the mesh is sure need not lie as level in its crop as the manifest says: so many times as tilted
/// is enough. Of lying ones the pose is measured up to 7 degrees off by that.
const SURE_TILT_SHARE: f64 = 2.0;

/// Where a face is, for cutting a crop about it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct FacePlace {
    /// Its centre, column and row in pixels.
    pub centre: (f64, f64),
    /// The longer side of its box in pixels.
    pub size: f64,
    /// By how many degrees it is turned clockwise.
    pub tilt: f64,
}

impl FacePlace {
    /// The place that a detector's box and points show.
    pub fn of(face: &FoundFace) -> Self {
        let [left, top, right, bottom] = face.corners.map(f64::from);
        let Landmarks([right_eye, left_eye, ..]) = face.landmarks;
        Self {
            centre: ((left + right) / 2.0, (top + bottom) / 2.0),
            size: (right - left).max(bottom - top),
            tilt: f64::from(left_eye.y - right_eye.y).atan2(f64::from(left_eye.x - right_eye.x)).to_degrees(),
        }
    }

    /// The place that a mesh covers.
    fn about(fit: &MeshFit) -> Self {
        let [left, top, right, bottom] = fit.mesh.extent().map(f64::from);
        let size = (right - left).max(bottom - top).max(1.0);
        Self { centre: ((left + right) / 2.0, (top + bottom) / 2.0), size, tilt: fit.place.tilt }
    }

    /// The place of a fitted face in its own turn: the box about the points of the mesh, measured along the line of its eyes.
    pub(crate) fn within(fit: &MeshFit) -> Self {
        let tilt = fit.mesh.tilt();
        let (sine, cosine) = tilt.to_radians().sin_cos();
        let start = [f64::INFINITY, f64::INFINITY, f64::NEG_INFINITY, f64::NEG_INFINITY];
        let [left, top, right, bottom] = fit.mesh.points.iter().fold(start, |[left, top, right, bottom], point| {
            let (x, y) = (f64::from(point.x), f64::from(point.y));
            let (along, down) = (cosine * x + sine * y, cosine * y - sine * x);
            [left.min(along), top.min(down), right.max(along), bottom.max(down)]
        });
        let (along, down) = ((left + right) / 2.0, (top + bottom) / 2.0);
        let size = (right - left).max(bottom - top).max(1.0);
        Self { centre: (cosine * along - sine * down, sine * along + cosine * down), size, tilt }
    }

    /// The map from a crop of `side` pixels, `scale` times as wide as the face and turned upright, into the picture.
    pub(crate) fn placement(&self, scale: f64, side: u32) -> Placement {
        let per_pixel = scale * self.size / f64::from(side);
        let (sine, cosine) = self.tilt.to_radians().sin_cos();
        let (a, b, half) = (cosine * per_pixel, sine * per_pixel, f64::from(side) / 2.0);
        Placement { a, b, shift_x: self.centre.0 - (a - b) * half, shift_y: self.centre.1 - (b + a) * half }
    }
}

/// By how many degrees one turns clockwise from one tilt to another, -180 to 180.
pub(crate) fn turn_between(from: f64, to: f64) -> f64 {
    (to - from + 180.0).rem_euclid(360.0) - 180.0
}

/// What one pass of the net gives.
#[derive(Debug, Clone)]
pub struct MeshFit {
    /// The mesh, in pixels of the picture.
    pub mesh: FaceMesh,
    /// The place that its crop was cut about, with the tilt that the mesh found.
    pub place: FacePlace,
    /// By how many degrees the face is still turned in the crop, -180 to 180.
    pub tilt_left: f64,
}

impl MeshFit {
    /// The same fit in a picture that is `factor` times as large.
    #[must_use]
    pub fn scaled(&self, factor: f32) -> Self {
        let FacePlace { centre: (x, y), size, tilt } = self.place;
        let per_pixel = f64::from(factor);
        let centre = ((x + 0.5) * per_pixel - 0.5, (y + 0.5) * per_pixel - 0.5);
        let place = FacePlace { centre, size: size * per_pixel, tilt };
        Self { mesh: self.mesh.scaled(factor), place, tilt_left: self.tilt_left }
    }
}

/// A loaded net. Clones share the model: one for each thread.
#[derive(Clone)]
pub struct MeshNet {
    session: Session,
    stage: MeshStage,
}

impl MeshNet {
    /// Makes a session and runs it once on grey. [`Kind::PackUnavailable`] if the outputs are not what the manifest says.
    pub fn open(runtime: &Runtime, stage: &MeshStage, model: &[u8]) -> Result<Self> {
        let session = Session::open(runtime, ModelKind::Mesh, &stage.file.name, model)?;
        let mut net = Self { session, stage: stage.clone() };
        let side = stage.input.side;
        let grey = RgbImage::new(side, side, vec![128; side as usize * side as usize * 3]);
        net.run(&grey.expect("a manifest's side is positive")).map_err(|err| {
            let message = format!("model `{}` is no face mesh of {N_POINTS} points", stage.file.name);
            Error::new(Kind::PackUnavailable, message).with_source(err)
        })?;
        Ok(net)
    }

    /// What the manifest says of this stage.
    pub fn stage(&self) -> &MeshStage {
        &self.stage
    }

    /// Fits the mesh to the face at `place`, turning the crop until the eyes lie level. Ends early where the mesh denies the
    /// face (presence below 0) and where the presence reaches `enough`, level or not.
    pub fn settle(&mut self, pyramid: &mut Pyramid, mut place: FacePlace, enough: f32) -> Result<MeshFit> {
        let mut n_passes = 0;
        loop {
            let fit = self.pass(pyramid, place)?;
            n_passes += 1;
            let is_sure = fit.mesh.presence >= self.stage.presence_sure;
            let is_upright = turn_between(0.0, place.tilt).abs() < 45.0;
            let lenience = if is_sure && is_upright { SURE_TILT_SHARE } else { 1.0 };
            let tilt_max = f64::from(self.stage.tilt_max) * lenience;
            let is_settled = fit.tilt_left.abs() < tilt_max || fit.mesh.presence >= enough;
            if is_settled || fit.mesh.presence < 0.0 || n_passes >= self.stage.passes_max {
                return Ok(fit);
            }
            place = fit.place;
        }
    }

    /// Tries to better `first`, whose presence is below `enough`, with crops of other sizes until one reaches that; the fit with
    /// the highest presence.
    pub fn resized(&mut self, pyramid: &mut Pyramid, first: MeshFit, enough: f32) -> Result<MeshFit> {
        let (place, first_presence) = (first.place, first.mesh.presence);
        let presence_min = self.stage.presence_min;
        let mut best = first;
        let mut attempt = |net: &mut Self, best: &mut MeshFit, place: FacePlace| -> Result<f32> {
            if best.mesh.presence >= enough {
                return Ok(best.mesh.presence);
            }
            let fit = net.settle(pyramid, place, f32::INFINITY)?;
            let presence = fit.mesh.presence;
            if presence > best.mesh.presence {
                *best = fit;
            }
            Ok(presence)
        };
        let [smaller, smallest, larger] = OTHER_SIZES.map(|share| FacePlace { size: place.size * share, ..place });
        let is_better_smaller = attempt(self, &mut best, smaller)? > first_presence;
        // A mesh that is all but denied covers no face.
        if best.mesh.presence < presence_min / 2.0 {
            return Ok(best);
        }
        let about = FacePlace::about(&best);
        attempt(self, &mut best, about)?;
        let before = best.mesh.presence;
        attempt(self, &mut best, if is_better_smaller { smallest } else { larger })?;
        if best.mesh.presence > before {
            let about = FacePlace::about(&best);
            attempt(self, &mut best, about)?;
        }
        Ok(best)
    }

    /// Runs the net once.
    pub fn pass(&mut self, pyramid: &mut Pyramid, place: FacePlace) -> Result<MeshFit> {
        let side = self.stage.input.side;
        let placement = place.placement(f64::from(self.stage.crop_scale), side);
        let (numbers, presence) = self.run(&pyramid.warp(placement, side))?;
        let per_pixel = placement.a.hypot(placement.b) as f32;
        let point = |idx: usize| {
            let (x, y) = placement.source(f64::from(numbers[3 * idx]), f64::from(numbers[3 * idx + 1]));
            MeshPoint { x: x as f32, y: y as f32, z: numbers[3 * idx + 2] * per_pixel }
        };
        let mesh = FaceMesh { points: Box::new(std::array::from_fn(point)), presence };
        let tilt = mesh.tilt();
        let tilt_left = turn_between(place.tilt, tilt);
        Ok(MeshFit { mesh, place: FacePlace { tilt, ..place }, tilt_left })
    }

    /// The net's numbers for a crop: x, y and z of each point in pixels of the crop, and the presence (a logit).
    fn run(&mut self, crop: &RgbImage) -> Result<(Vec<f32>, f32)> {
        let input = self.stage.input;
        let scaling = Scaling { order: input.order, mean: input.mean, scale: input.scale };
        let outputs = self.session.run_filled(&[1, 3, input.side as usize, input.side as usize], |numbers| {
            fill_planes(crop, scaling, input.side, input.side, numbers);
        })?;
        let refused = |problem: String| Error::new(Kind::PackUnavailable, format!("face mesh {problem}"));
        let points = Tensor::numbers(&outputs, Some(&self.stage.points), 3 * N_POINTS).map_err(refused)?;
        let presence = Tensor::numbers(&outputs, Some(&self.stage.presence), 1).map_err(refused)?[0];
        let is_sound = presence.is_finite() && points.iter().all(|number| number.is_finite());
        // A broken model; no picture gives that.
        is_sound.then(|| (points.to_vec(), presence)).ok_or_else(|| refused("gives numbers that are not finite".into()))
    }
}
