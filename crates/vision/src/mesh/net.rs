//! The net that fits the mesh: a square crop about a face in, 468 points and a presence score out.
//!
//! The net expects an upright face that fills two thirds of the crop. A detector's five points hardly show how far a head
//! is tilted, but the mesh does: so the crop is turned by the tilt that the mesh itself found, until little is left.

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

/// Other tilts that are tried, in degrees from the one the detector's points show, when the presence is not certain.
const OTHER_TILTS: [f64; 5] = [45.0, -45.0, 90.0, 180.0, 270.0];

/// Other sizes that are tried, as shares of the detector's box: its box is often too large for a face in profile or with
/// a beard or hat. Of 14 photographs with a presence below 12, these and the mesh's own extent raise 12.
const OTHER_SIZES: [f64; 2] = [0.87, 0.75];

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

    /// The map from a crop of `side` pixels, `scale` times as wide as the face and turned upright, into the picture.
    fn placement(&self, scale: f64, side: u32) -> Placement {
        let per_pixel = scale * self.size / f64::from(side);
        let (sine, cosine) = self.tilt.to_radians().sin_cos();
        let (a, b, half) = (cosine * per_pixel, sine * per_pixel, f64::from(side) / 2.0);
        Placement { a, b, shift_x: self.centre.0 - (a - b) * half, shift_y: self.centre.1 - (b + a) * half }
    }
}

/// What one pass of the net gives.
#[derive(Debug, Clone)]
pub struct MeshFit {
    /// The mesh, in pixels of the picture.
    pub mesh: FaceMesh,
    /// The place that its crop was cut about, with the tilt that the mesh found.
    pub place: FacePlace,
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

    /// Fits the mesh to the face at `place`, turning the crop until the eyes lie level. With `persistent`, where the
    /// presence stays below `presence_sure`, smaller crops, a crop about the mesh itself and other tilts are tried as well,
    /// and the fit with the highest presence is returned.
    pub fn fit(&mut self, pyramid: &mut Pyramid, place: FacePlace, persistent: bool) -> Result<MeshFit> {
        let mut best = self.settle(pyramid, place)?;
        if !persistent {
            return Ok(best);
        }
        let sized = OTHER_SIZES.map(|share| Some(FacePlace { size: place.size * share, ..place }));
        let tilted = OTHER_TILTS.map(|tilt| Some(FacePlace { tilt: place.tilt + tilt, ..place }));
        // `None` is the place that the best mesh so far shows.
        let others = sized.into_iter().chain([None]).map(|place| (place, false));
        for (other, is_tilted) in others.chain(tilted.map(|place| (place, true))) {
            if best.mesh.presence >= self.stage.presence_sure {
                break;
            }
            let fit = self.settle(pyramid, other.unwrap_or_else(|| FacePlace::about(&best)))?;
            // Another tilt that is not confirmed would only be a wrong mesh instead of an unsure one.
            let least = if is_tilted { self.stage.presence_min } else { f32::NEG_INFINITY };
            if fit.mesh.presence > best.mesh.presence.max(least) {
                best = fit;
            }
        }
        Ok(best)
    }

    fn settle(&mut self, pyramid: &mut Pyramid, mut place: FacePlace) -> Result<MeshFit> {
        let mut n_passes = 0;
        loop {
            let fit = self.pass(pyramid, place)?;
            n_passes += 1;
            let left = (fit.place.tilt - place.tilt + 180.0).rem_euclid(360.0) - 180.0;
            let is_settled = left.abs() < f64::from(self.stage.tilt_max);
            if is_settled || fit.mesh.presence < 0.0 || n_passes >= self.stage.passes_max {
                return Ok(fit);
            }
            place = fit.place;
        }
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
        Ok(MeshFit { mesh, place: FacePlace { tilt, ..place } })
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
