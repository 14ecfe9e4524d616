//! Finding faces with a small detector pass and confirming each with the face mesh.
//!
//! The detector sees the whole picture shrunk to [`FirstPass::side`] pixels; only if nothing large there is certain, the
//! other quarter turns of that small picture follow. Each face that is wanted is then fitted with the mesh at full resolution,
//! and the mesh's presence score, not the detector's, decides whether it is a face. The mesh fits a wrong turn nearly as surely
//! as the right one now and then, so the detector is asked whether it sees the face, levelled, the right way up. Larger passes,
//! down to tiles of the picture at full size, are run only when small faces are wanted and either the pass before hides them or
//! it gives reason to expect some. A picture that shows no face in all that is looked at once more, turned by 45 degrees.

use std::cmp::Reverse;

use likeness_domain::Result;
use likeness_domain::limits::FACES_PER_IMAGE_MAX;
use likeness_domain::policy::off_centre;
use likeness_domain::ports::{Doubt, FaceChoice};
use likeness_domain::types::{BoundingBox, Landmarks, Point};

use crate::detect::{Detector, FoundFace, iou, suppressed};
use crate::mesh::{FacePlace, MeshFit, MeshNet, turn_between};
use crate::pack::{Detect, FirstPass};
use crate::pyramid::Pyramid;
use crate::raster::{ExifOrientation, RgbImage};

#[cfg(test)]
mod tests;

/// Longer sides of the passes after the first one, in pixels.
const FINER_SIDES: [u32; 2] = [640, 1280];

/// Least score of a weak candidate: too little to report, enough to look there once more at a larger size.
const WEAK_SCORE_MIN: f32 = 0.3;

/// A detector's candidate below this score is given up when the first fit of the mesh does not confirm it; above, other
/// crops are tried.
const PERSISTENT_SCORE_MIN: f32 = 0.6;

/// A candidate of at least this score is turned by less than 50 degrees, so that no other turn is tried. Of 64 faces at
/// each of 135, 180, 225 and 270 degrees, the highest score was 0.90.
const UPRIGHT_SCORE_MIN: f32 = 0.92;

/// The crop on which the detector tells which way up a face is: how much wider than the detector's box, and its side in
/// pixels.
const TURN_CROP_SCALE: f64 = 1.5;
const TURN_CROP_SIDE: u32 = 128;

/// How far from the middle of that crop the face may be found, in pixels: a third of the face.
const TURN_OFF_CENTRE_MAX: f32 = 28.0;

/// A turn of that crop is worth a fit of the mesh if the detector's score is at most so much below that of the
/// upright crop, and at most so much below that of the best turn (diagonal faces are like in two turns). Of 261 faces that
/// were turned by 45 to 315 degrees and not certain as they were, fits of these turns confirm 245 (fits at five fixed
/// tilts, 242); of 78 upright ones, 16 cost a fit in vain (and five each with fixed tilts). That was counted
/// with quarter turns only.
const TURN_SCORE_BELOW_UPRIGHT_MAX: f32 = 0.05;
const TURN_SCORE_BELOW_BEST_MAX: f32 = 0.2;

/// The quarter turns of a crop.
const TURNS: [ExifOrientation; 4] =
    [ExifOrientation::UPRIGHT, ExifOrientation::TURN_90, ExifOrientation::TURN_180, ExifOrientation::TURN_270];

/// A mesh is taken without a look at other turns if it is turned by at most so many degrees from where the detector's points
/// are, and lies as level as this in its crop: from farther off it may have settled upside down.
const PLAIN_TURN_MAX: f64 = 30.0;
const PLAIN_LEFT_MAX: f64 = 10.0;

/// A fitted face that is turned by less than this is upright, and two fits that differ by less are of one turn.
const UPRIGHT_TURN_MAX: f64 = 20.0;

/// A face that is fitted upright with at least this presence is. Those of wrong turns that were fitted so had up to 16.
const UPRIGHT_PRESENCE_MIN: f32 = 20.0;

/// The detector sees a levelled face the right way up if it is at least so sure of it; else if it is by so much surer of it than
/// of any other quarter turn. Of 150 levelled faces whose templates were right, the least score was 0.90 and the least lead
/// 0.04; of 60 that were fitted in a wrong turn, none of 41 degrees or more off had both.
const LEVEL_SCORE_SURE: f32 = 0.93;
const LEVEL_SCORE_AHEAD_MIN: f32 = 0.03;

/// By how many degrees the detector's points may be turned there.
const LEVEL_TILT_MAX: f64 = 20.0;

/// See [`is_diagonal`].
const DIAGONAL_MIN: f64 = 22.5;

/// Most turns that are fitted.
const TURNS_MAX: usize = 3;

/// Faces of fewer pixels than this (longer side, in the frame the detector sees) may be missed by a pass: a candidate that
/// is smaller, however weak, is the reason for a finer one.
pub const CERTAIN_SIDE_MIN: f32 = 24.0;

/// Where all faces are wanted, those of so many pixels of the picture as it came (longer side) are looked for.
const SMALL_SIDE: f32 = 40.0;

/// Faces of fewer pixels than this in the frame are missed by most passes.
const FINDABLE_SIDE_MIN: f32 = 12.0;

/// A picture is taken to be upright unless another turn shows a face that is surer by this much; and a candidate in the turn
/// that the picture is taken to have wins over the same face in another turn unless that is surer by this much.
const MAIN_TURN_BONUS: f32 = 0.02;

/// A picture that shows a face of at least this score is upright, and its other turns are not looked at: of 580 press
/// photographs 11 show none. Faces on their heads reach 0.85 now and then, seldom 0.9.
const CERTAIN_TURN_SCORE_MIN: f32 = 0.9;

/// So large a share of the picture must a certain face fill, or so many faces must seem upright, for the picture's other
/// turns not to be looked at.
const UPRIGHT_SHARE_MIN: f32 = 0.025;
const UPRIGHT_FACES_MIN: usize = 3;

/// Weaker candidates than this say nothing of faces in other turns.
const RIVAL_SCORE_MIN: f32 = 0.5;

/// A face of at least this score whose points lie level seems upright, and is reported among several others that do. Of 76 such
/// candidates below [`FirstPass::score_sure`] in 193 sheets of 12 photographs of LFW, the mesh denies 39, of which some 30 are
/// people in the background, out of focus or cut off.
const SEEMS_UPRIGHT_SCORE_MIN: f32 = 0.8;

/// Least area of a face, as a share of the largest one's, that may turn out to be larger when it is looked at more closely.
const RIVAL_AREA_MIN: f32 = 0.5;

/// Which of two faces is the larger one is a close call if the smaller one's area is at least such a share of the other's: boxes of
/// passes at other sizes differ by a few per cent in width and height.
const CLOSE_AREA_MIN: f32 = 0.75;

/// Most candidates that are fitted when one face is wanted.
const TRIES_MAX: usize = 12;

/// Most tiles of one picture, each of [`TILE_SIDE`] pixels.
const TILES_MAX: usize = 24;

/// Longer side of a tile, and by how much neighbours overlap: as much as the largest face that only tiles find.
const TILE_SIDE: u32 = 1280;
const TILE_OVERLAP: u32 = 160;

/// A face of which the detector is not sure is a part of a sure one if at least so much of its box lies in that one's, and its
/// area is at most such a share.
const PART_WITHIN_MIN: f32 = 0.85;
const PART_AREA_MAX: f32 = 0.5;

/// Two meshes whose extents overlap more (intersection over union) are one face.
const SAME_FACE_IOU: f32 = 0.4;

/// A mesh is that of a candidate if its extent overlaps the detector's box so much at least. A box about a diagonal face has up
/// to three times the area of its mesh.
const SAME_PLACE_IOU: f32 = 0.25;

/// A face that was found, in pixels of the pyramid's base.
#[derive(Debug, Clone)]
pub struct Face {
    /// The detector's box and score; the five points of the mesh if that confirmed the face, else the detector's.
    pub found: FoundFace,
    /// The mesh that fits best, confirmed or not. `None` if the detector alone was asked: see [`Purpose::Boxes`].
    pub fit: Option<MeshFit>,
    /// Why it is not certain.
    pub doubt: Option<Doubt>,
}

impl Face {
    /// The mesh's presence score; 0, which neither confirms nor denies, without one.
    fn presence(&self) -> f32 {
        self.fit.as_ref().map_or(0.0, |fit| fit.mesh.presence)
    }
}

/// What the faces are wanted for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Purpose {
    /// Where they are, no more. The mesh is fitted only where it decides whether a face is reported, and only until that is
    /// decided: a box of which the detector is certain is reported whatever the mesh says. Doubt then says no more than that a
    /// face must not come first.
    Boxes,
    /// Templates or measurements of them, be it only how they are turned: the mesh is fitted to each.
    Meshes,
}

/// Which candidates are looked at in other turns where the mesh does not confirm them as they are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Turning {
    /// Those of at least [`PERSISTENT_SCORE_MIN`].
    Persistent,
    /// The same, but for those that seem upright: several others of the picture do, see [`are_upright`].
    Turned,
    /// Also weaker ones.
    Any,
}

/// What the detector shows of a picture at one size.
struct Look {
    /// The turn in which the picture is taken to be upright.
    turn: ExifOrientation,
    /// The candidates of all turns that were looked at, strongest first.
    faces: Vec<FoundFace>,
    /// Whether other turns than the upright one were looked at.
    has_turns: bool,
}

impl Look {
    /// Whether it leaves no doubt about the turn.
    fn is_certain(&self) -> bool {
        best_score(&self.faces) >= CERTAIN_TURN_SCORE_MIN
    }
}

/// A detector and a mesh that work together.
#[derive(Clone)]
pub struct Finder {
    detector: Detector,
    first: FirstPass,
    score_min: f32,
    nms_iou: f32,
    side_max: u32,
    mesh: MeshNet,
    /// What passes over the whole picture at hand have shown, by longer side and turn: ways of looking for faces have passes in
    /// common.
    passes: Vec<((u32, ExifOrientation), Vec<FoundFace>)>,
    /// See [`Finder::is_close_call`].
    is_close_call: bool,
    /// See [`Finder::saw_others`].
    saw_others: bool,
}

impl Finder {
    /// A finder of these loaded models; `detect` is what the manifest says of the detector.
    pub fn new(detector: Detector, detect: &Detect, first: FirstPass, mesh: MeshNet) -> Self {
        let (score_min, nms_iou, side_max) = (detect.score_min, detect.nms_iou, detect.side_max);
        let (is_close_call, saw_others) = (false, false);
        Self { detector, first, score_min, nms_iou, side_max, mesh, passes: Vec::new(), is_close_call, saw_others }
    }

    /// Whether one face was wanted of the last picture, and something at another place may be one as well.
    pub fn saw_others(&self) -> bool {
        self.saw_others
    }

    /// Whether the largest face was wanted of the last picture, and another one is nearly as large: in the picture at another size
    /// either may be.
    pub fn is_close_call(&self) -> bool {
        self.is_close_call
    }

    /// The mesh net, to fit a face once more in a picture of another size.
    pub fn mesh(&mut self) -> &mut MeshNet {
        &mut self.mesh
    }

    /// The faces that are wanted: confirmed ones before doubtful ones, each in the order of `choice`. `side_min` is the
    /// least longer side of a face's box, in pixels of the base.
    pub fn find(
        &mut self,
        pyramid: &mut Pyramid,
        choice: FaceChoice,
        side_min: f32,
        purpose: Purpose,
    ) -> Result<Vec<Face>> {
        self.passes.clear();
        self.is_close_call = false;
        self.saw_others = false;
        let is_one_wanted = matches!(choice, FaceChoice::Largest | FaceChoice::Central | FaceChoice::LargestFew(1));
        let mut faces = match is_one_wanted {
            true => self.find_one(pyramid, choice, side_min, purpose)?,
            false => self.find_all(pyramid, side_min, purpose)?,
        };
        let is_none_believed = faces.iter().all(|face| face.doubt.is_some());
        if is_none_believed && choice != FaceChoice::Central {
            // Each way sees what the other one does not; what is then first must not depend on the way.
            let more = match is_one_wanted {
                true if faces.is_empty() => Vec::new(),
                true => self.find_all(pyramid, side_min, purpose)?,
                false => self.find_one(pyramid, FaceChoice::Largest, side_min, purpose)?,
            };
            more.into_iter().for_each(|face| add(&mut faces, face, self.mesh.stage().presence_sure));
        }
        if is_one_wanted && let Some(face) = faces.first() {
            let is_another = |seen: &FoundFace| seen.score >= self.score_min && iou(&face.found, seen) == 0.0;
            let mut seen = self.passes.iter().flat_map(|(_, seen)| seen);
            self.saw_others = faces.len() > 1 || seen.any(is_another);
        }
        if faces.is_empty() {
            let n_max = if is_one_wanted { 1 } else { usize::MAX };
            faces = self.find_diagonal(pyramid, (choice, n_max), side_min, purpose)?;
        }
        Ok(faces)
    }

    /// The first `n_max` faces, in the order of the choice, of a picture in which no quarter turn shows one: it is looked at
    /// turned by 45 degrees. Confirmed ones only.
    fn find_diagonal(
        &mut self,
        pyramid: &mut Pyramid,
        (choice, n_max): (FaceChoice, usize),
        side_min: f32,
        purpose: Purpose,
    ) -> Result<Vec<Face>> {
        let (width, height) = (f64::from(pyramid.base().width()), f64::from(pyramid.base().height()));
        let whole = FacePlace { centre: (width / 2.0, height / 2.0), size: width.hypot(height), tilt: 45.0 };
        let shrunk = (f64::from(FINER_SIDES[0]) / width.max(height)).min(1.0);
        let side = (whole.size * shrunk).ceil() as u32;
        let placement = whole.placement(1.0, side);
        let picture = pyramid.warp(placement, side);
        let per_pixel = placement.a.hypot(placement.b) as f32;
        let source = |x: f32, y: f32| {
            let (x, y) = placement.source(f64::from(x), f64::from(y));
            Point { x: x as f32, y: y as f32 }
        };
        let mut candidates = Vec::new();
        for turn in TURNS {
            for face in self.pass_turned(&picture, turn, self.score_min)? {
                let [left, top, right, bottom] = face.corners;
                let (centre, half) =
                    (source((left + right) / 2.0, (top + bottom) / 2.0), longest(&face) * per_pixel / 2.0);
                candidates.push(FoundFace {
                    corners: [centre.x - half, centre.y - half, centre.x + half, centre.y + half],
                    landmarks: Landmarks(face.landmarks.0.map(|point| source(point.x, point.y))),
                    score: face.score,
                });
            }
        }
        let mut candidates = suppressed(candidates, self.nms_iou);
        candidates.retain(|face| longest(face) >= side_min);
        order(&mut candidates, choice, pyramid.base());
        let mut faces: Vec<Face> = Vec::new();
        for candidate in candidates.into_iter().take(TRIES_MAX) {
            let face = self.confirmed(pyramid, candidate, purpose, Turning::Persistent)?;
            if face.doubt.is_none() && faces.iter().all(|other| !is_same(other, &face)) {
                faces.push(face);
            }
            if faces.len() >= n_max {
                break;
            }
        }
        Ok(faces)
    }

    /// The same face in a picture that is `factor` times as large, fitted there once more.
    pub fn refitted(&mut self, pyramid: &mut Pyramid, face: &Face, factor: f32) -> Result<Face> {
        let found = face.found.moved((factor, factor), (0.0, 0.0));
        let Some(coarse) = &face.fit else { return Ok(Face { found, ..face.clone() }) };
        let coarse = coarse.scaled(factor);
        if face.doubt.is_some() {
            return Ok(Face { found, fit: Some(coarse), doubt: face.doubt });
        }
        let fine = self.mesh.pass(pyramid, coarse.place)?;
        // The finer picture shows more; should it deny the face all the same, the coarse fit stands.
        let fit = if fine.mesh.presence >= self.mesh.stage().presence_min { fine } else { coarse };
        Ok(Face { found: FoundFace { landmarks: fit.mesh.five_points(), ..found }, fit: Some(fit), doubt: None })
    }

    fn find_one(
        &mut self,
        pyramid: &mut Pyramid,
        choice: FaceChoice,
        side_min: f32,
        purpose: Purpose,
    ) -> Result<Vec<Face>> {
        let mut doubtful: Option<Face> = None;
        let mut weak: Vec<FoundFace> = Vec::new();
        let mut known: Vec<FoundFace> = Vec::new();
        let mut last_side = 0;
        let sides = self.sides(pyramid);
        for (pass_idx, &side) in sides.iter().enumerate() {
            // A pass that can only add faces which are too small is in vain.
            if pass_idx > 0 && side_min * last_side as f32 / longer_side(pyramid.base()) >= CERTAIN_SIDE_MIN {
                break;
            }
            last_side = side;
            let look = self.look(pyramid, side, side <= 640)?;
            let turning = turning_among(&look.faces);
            let is_in_question = choice != FaceChoice::Central
                && pass_idx == 0
                && (!look.is_certain() || is_largest_in_question(&look, self.score_min));
            let mut candidates = match is_in_question {
                // Their boxes are then those that whoever asks for all faces gets.
                true => self.all_candidates(pyramid, side_min, Some(look))?,
                false => look.faces,
            };
            candidates.retain(|face| face.score >= self.score_min && known.iter().all(|old| iou(old, face) <= 0.5));
            order(&mut candidates, choice, pyramid.base());
            if let [first, second, ..] = &candidates[..]
                && choice != FaceChoice::Central
            {
                self.is_close_call |= whole_area(second) >= whole_area(first) * CLOSE_AREA_MIN;
            }
            known.extend_from_slice(&candidates);
            candidates.truncate(TRIES_MAX);
            let mut believed: Vec<Face> = Vec::new();
            // Once a face is believed, only what may be the same one in a truer box, or a larger one, is looked at.
            while let Some(idx) = candidates.iter().position(|candidate| {
                let base = pyramid.base();
                let is_larger = |face: &Face| area(&face.found, base) >= area(candidate, base);
                !believed.iter().any(|face| is_larger(face) && iou(&face.found, candidate) == 0.0)
            }) {
                let candidate = candidates.remove(idx);
                let purpose = first_purpose(&candidate, purpose);
                let face = self.confirmed(pyramid, candidate, purpose, turning)?;
                match face.doubt {
                    None if choice == FaceChoice::Central => return Ok(vec![face]),
                    None => add(&mut believed, face, self.mesh.stage().presence_sure),
                    // The central face is meant, certain or not; of others, a certain one beats a doubtful one.
                    Some(_) if choice == FaceChoice::Central && self.is_reported(&face, turning) => {
                        return Ok(vec![face]);
                    }
                    Some(_) if self.is_reported(&face, turning) => {
                        let is_better = |old: &Face| face.presence() > old.presence();
                        if doubtful.as_ref().is_none_or(is_better) {
                            doubtful = Some(face);
                        }
                    }
                    Some(_) if candidate.score < PERSISTENT_SCORE_MIN => weak.push(candidate),
                    Some(_) => {}
                }
            }
            let base = pyramid.base();
            let largest = believed.into_iter().max_by(|a, b| area(&a.found, base).cmp(&area(&b.found, base)));
            if let Some(face) = largest {
                return Ok(vec![face]);
            }
        }
        // A diagonal face alone in a picture may be no more than a weak candidate; beside others, those are mostly false.
        for candidate in weak.into_iter().take(if doubtful.is_none() { TRIES_MAX } else { 0 }) {
            let face = self.confirmed(pyramid, candidate, purpose, Turning::Any)?;
            if face.doubt.is_none() {
                return Ok(vec![face]);
            }
        }
        Ok(doubtful.into_iter().collect())
    }

    fn find_all(&mut self, pyramid: &mut Pyramid, side_min: f32, purpose: Purpose) -> Result<Vec<Face>> {
        let mut all = self.all_candidates(pyramid, side_min, None)?;
        let turning = turning_among(&all);
        all.retain(|face| face.score >= self.score_min && longest(face) >= side_min);
        all.truncate(FACES_PER_IMAGE_MAX);
        let mut faces: Vec<Face> = Vec::with_capacity(all.len());
        for candidate in all {
            let face = self.confirmed(pyramid, candidate, purpose, turning)?;
            add(&mut faces, face, self.mesh.stage().presence_sure);
        }
        faces.retain(|face| face.doubt.is_none() || self.is_reported(face, turning));
        let score_sure = self.first.score_sure;
        let wholes: Vec<FoundFace> = faces.iter().filter(|face| face.doubt.is_none()).map(|face| face.found).collect();
        let is_sure = |face: &FoundFace| face.score >= score_sure;
        faces.retain(|Face { found, .. }| {
            is_sure(found) || !wholes.iter().any(|whole| is_sure(whole) && is_part_of(found, whole))
        });
        if purpose == Purpose::Boxes {
            faces = self.settle_first(pyramid, faces, turning)?;
        }
        Ok(faces)
    }

    /// Boxes of which the mesh was not asked, or not to the end: it is, until the largest one that is believed is known.
    /// Those before it stay in doubt.
    fn settle_first(&mut self, pyramid: &mut Pyramid, mut faces: Vec<Face>, turning: Turning) -> Result<Vec<Face>> {
        let base = pyramid.base();
        faces.sort_by_key(|face| Reverse(area(&face.found, base)));
        faces.iter_mut().for_each(|face| face.doubt = None);
        let mut idx = 0;
        while idx < faces.len() && first_purpose(&faces[idx].found, Purpose::Boxes) == Purpose::Meshes {
            let face = self.confirmed(pyramid, faces[idx].found, Purpose::Meshes, turning)?;
            if face.doubt.is_none() {
                // A box that is too large for its face may hide a truer one.
                let is_double =
                    faces[idx + 1..].iter().any(|other| is_same(other, &face) && other.found.score > face.found.score);
                if !is_double {
                    break;
                }
                faces.remove(idx);
                continue;
            }
            faces[idx].doubt = face.doubt;
            idx += 1;
        }
        Ok(faces)
    }

    /// Every candidate of a picture, strongest first, in passes as fine as the faces that are wanted need. `look` is the
    /// first look if there was one.
    fn all_candidates(&mut self, pyramid: &mut Pyramid, side_min: f32, look: Option<Look>) -> Result<Vec<FoundFace>> {
        let longer = longer_side(pyramid.base());
        // The second size finds faces from a sixteenth of the picture on, and the largest ones as well. The same for every
        // purpose: the crop of a mesh begins with the detector's box, so what is measured changes a little with the pass.
        let side = FINER_SIDES[0].min(self.side_max);
        let mut all = self.pass(pyramid, side, ExifOrientation::UPRIGHT)?;
        let mut turn = ExifOrientation::UPRIGHT;
        let look = look.filter(|look| look.has_turns);
        if look.is_some() || !is_upright(&all, pyramid.base()) {
            let look = look.map_or_else(|| self.look(pyramid, self.first.side, true), Ok)?;
            turn = look.turn;
            let mut others = look.faces;
            if turn != ExifOrientation::UPRIGHT {
                // As an upright picture is looked at.
                others.extend(std::mem::replace(&mut all, self.pass(pyramid, side, turn)?));
            }
            all = preferred(all, others, self.nms_iou);
        }
        let score_min = self.score_min;
        let frame_per_base = |side: u32| (side as f32 / longer).min(1.0);
        let may_be_wanted = |side: u32| {
            let frame_per_base = frame_per_base(side);
            frame_per_base < 1.0 && side_min * frame_per_base < FINDABLE_SIDE_MIN * 2.0
        };
        let needs_finer = |all: &[FoundFace], side: u32| {
            let is_small = |face: &FoundFace| longest(face) * frame_per_base(side) < CERTAIN_SIDE_MIN;
            may_be_wanted(side) && (all.iter().any(is_small) || best_score(all) < score_min)
        };
        let finer = FINER_SIDES[1].min(self.side_max);
        // What a pass shows of faces that are too small for it is chance.
        let hides_small =
            may_be_wanted(side) && SMALL_SIDE * frame_per_base(side) < FINDABLE_SIDE_MIN * pyramid.reduced();
        let shows_small = needs_finer(&all, side);
        if hides_small || shows_small {
            let upright = self.pass(pyramid, finer, ExifOrientation::UPRIGHT)?;
            // Nor does it tell which way up they are.
            if turn != ExifOrientation::UPRIGHT && best_score(&upright) >= CERTAIN_TURN_SCORE_MIN.min(best_score(&all))
            {
                turn = ExifOrientation::UPRIGHT;
            }
            let mut more = if turn == ExifOrientation::UPRIGHT { upright } else { self.pass(pyramid, finer, turn)? };
            // Of small faces that lie or stand on their heads the passes before show nothing, or chance.
            let shown_in = turn;
            for other in TURNS.into_iter().filter(|&other| other != shown_in) {
                if best_score(&more) >= CERTAIN_TURN_SCORE_MIN {
                    break;
                }
                let found = self.pass(pyramid, finer, other)?;
                if best_score(&found) > best_score(&more) + MAIN_TURN_BONUS {
                    (turn, more) = (other, found);
                }
            }
            if !shows_small {
                // Faces that the pass before shows surely keep their boxes, which whoever asks for one of them gets.
                let is_known = |face: &FoundFace| {
                    all.iter().any(|known| known.score >= score_min && iou(known, face) > self.nms_iou)
                };
                more.retain(|face| !is_known(face));
            }
            let found_more = !more.is_empty();
            all = merged(all, more, self.nms_iou);
            if found_more && needs_finer(&all, finer) {
                all = merged(all, self.tiles(pyramid, turn)?, self.nms_iou);
            }
        }
        Ok(all)
    }

    /// Sides of the passes for a picture of this size, in order: beyond the picture's own there is nothing to be seen.
    fn sides(&self, pyramid: &Pyramid) -> Vec<u32> {
        let longer = pyramid.base().width().max(pyramid.base().height());
        let mut sides = vec![self.first.side.min(longer)];
        for side in FINER_SIDES {
            let side = side.min(self.side_max).min(longer);
            if side > sides[sides.len() - 1] {
                sides.push(side);
            }
        }
        // A face that fills more than the picture is seen better when it is smaller.
        sides.push(self.first.side.min(longer) / 2);
        sides
    }

    /// One size of the picture; with `turns`, in the other quarter turns as well unless a face is certain.
    fn look(&mut self, pyramid: &mut Pyramid, side: u32, turns: bool) -> Result<Look> {
        let upright = self.pass(pyramid, side, ExifOrientation::UPRIGHT)?;
        if !turns || is_upright(&upright, pyramid.base()) {
            return Ok(Look { turn: ExifOrientation::UPRIGHT, faces: upright, has_turns: false });
        }
        let mut best = best_score(&upright) + MAIN_TURN_BONUS;
        let (mut turn, mut main, mut others) = (ExifOrientation::UPRIGHT, upright, Vec::new());
        for other in [ExifOrientation::TURN_90, ExifOrientation::TURN_180, ExifOrientation::TURN_270] {
            let found = self.pass(pyramid, side, other)?;
            if best_score(&found) > best {
                best = best_score(&found);
                turn = other;
                others.extend(std::mem::replace(&mut main, found));
            } else {
                others.extend(found);
            }
        }
        Ok(Look { turn, faces: preferred(main, others, self.nms_iou), has_turns: true })
    }

    /// One detector pass over the whole picture, in pixels of the base.
    fn pass(&mut self, pyramid: &mut Pyramid, side: u32, turn: ExifOrientation) -> Result<Vec<FoundFace>> {
        if let Some((_, found)) = self.passes.iter().find(|(pass, _)| *pass == (side, turn)) {
            return Ok(found.clone());
        }
        let fitted = pyramid.fitted(side);
        let picture = fitted.as_ref().unwrap_or(pyramid.base());
        let (width, height) = (picture.width(), picture.height());
        let found = self.pass_turned(picture, turn, WEAK_SCORE_MIN)?;
        let base = pyramid.base();
        let scale = (base.width() as f32 / width as f32, base.height() as f32 / height as f32);
        let found: Vec<_> = found.into_iter().map(|face| face.moved(scale, (0.0, 0.0))).collect();
        self.passes.push(((side, turn), found.clone()));
        Ok(found)
    }

    /// One detector pass over a picture shown in that turn; what is found in pixels of the picture as it is.
    fn pass_turned(&mut self, picture: &RgbImage, turn: ExifOrientation, score_min: f32) -> Result<Vec<FoundFace>> {
        if turn == ExifOrientation::UPRIGHT {
            return self.detector.pass(picture, score_min);
        }
        let found = self.detector.pass(&picture.turned(turn), score_min)?;
        Ok(found.iter().map(|face| turned_back(face, turn, picture.width(), picture.height())).collect())
    }

    /// Detector passes over overlapping tiles of the base.
    fn tiles(&mut self, pyramid: &mut Pyramid, turn: ExifOrientation) -> Result<Vec<FoundFace>> {
        let base = pyramid.base();
        let tiles = tiles(base.width(), base.height());
        let mut all = Vec::new();
        for (left, top, width, height) in tiles {
            let tile = base.cut(left, top, width, height);
            let found = self.pass_turned(&tile, turn, WEAK_SCORE_MIN)?;
            // A face cut by the tile's edge is whole in its neighbour.
            let inside = |face: &FoundFace| {
                let [x1, y1, x2, y2] = face.corners;
                let touches = |start: u32, end: u32, low: f32, high: f32, size: u32| {
                    (start > 0 && low < 2.0) || (end < size && high > (end - start) as f32 - 2.0)
                };
                !touches(left, left + width, x1, x2, base.width()) && !touches(top, top + height, y1, y2, base.height())
            };
            all.extend(found.into_iter().filter(inside).map(|face| face.moved((1.0, 1.0), (left as f32, top as f32))));
        }
        Ok(suppressed(all, self.nms_iou))
    }

    /// Whether a doubtful candidate is reported: the detector is sure of it, or nearly so and the mesh does not deny it.
    fn is_reported(&self, face: &Face, turning: Turning) -> bool {
        is_sure(&face.found, self.first.score_sure, turning)
            || (face.found.score >= PERSISTENT_SCORE_MIN && face.presence() >= 0.0)
    }

    /// Fits the mesh to a candidate, as well as the purpose needs it.
    fn confirmed(
        &mut self,
        pyramid: &mut Pyramid,
        candidate: FoundFace,
        purpose: Purpose,
        turning: Turning,
    ) -> Result<Face> {
        if purpose == Purpose::Boxes && is_sure(&candidate, self.first.score_sure, turning) {
            return Ok(Face { found: candidate, fit: None, doubt: None });
        }
        let fit = self.fitted(pyramid, &candidate, purpose, turning)?;
        let (presence, presence_min) = (fit.mesh.presence, self.mesh.stage().presence_min);
        let doubt = (presence < presence_min).then_some(Doubt { presence, presence_min });
        let mut found = candidate;
        if doubt.is_none() {
            found.landmarks = fit.mesh.five_points();
        }
        Ok(Face { found, fit: Some(fit), doubt })
    }

    /// The mesh with the highest presence that is found for a candidate. Where a template is made of it, one that the detector
    /// does not see the right way up counts as neither confirmed nor denied.
    fn fitted(
        &mut self,
        pyramid: &mut Pyramid,
        candidate: &FoundFace,
        purpose: Purpose,
        turning: Turning,
    ) -> Result<MeshFit> {
        let (presence_min, presence_sure) = (self.mesh.stage().presence_min, self.mesh.stage().presence_sure);
        let is_persistent = candidate.score >= PERSISTENT_SCORE_MIN;
        let is_turnable = is_persistent || turning == Turning::Any;
        let place = FacePlace::of(candidate);
        if purpose == Purpose::Boxes {
            // What decides, and the presence at which it need not be fitted level; see `is_reported`.
            let enough = if is_persistent { 0.0 } else { presence_min };
            let mut best = self.mesh.settle(pyramid, place, enough)?;
            if best.mesh.presence < enough && is_turnable && candidate.score < UPRIGHT_SCORE_MIN {
                for turned in self.turned_places(pyramid, place)? {
                    let fit = self.mesh.settle(pyramid, turned, presence_min)?;
                    if is_of(&fit, candidate) && fit.mesh.presence >= presence_min {
                        best = fit;
                        break;
                    }
                }
            }
            return Ok(best);
        }
        let mut best = self.mesh.settle(pyramid, place, f32::INFINITY)?;
        let is_plain = best.mesh.presence >= presence_sure
            && turn_between(place.tilt, best.place.tilt).abs() <= PLAIN_TURN_MAX
            && best.tilt_left.abs() < PLAIN_LEFT_MAX;
        // Where nothing speaks for another turn, a crop in which the mesh is surer makes no better template: of all pairs of 2,320
        // photographs of LFW as many are told apart without it, with 40 % fewer fits of the faces in question.
        let enough = if seems_upright(candidate) { presence_min } else { presence_sure };
        if !is_plain && is_persistent && (0.0..enough).contains(&best.mesh.presence) {
            best = self.mesh.resized(pyramid, best, enough)?;
        }
        if candidate.score >= UPRIGHT_SCORE_MIN {
            return Ok(best);
        }
        let is_upright = turn_between(0.0, best.place.tilt).abs() < UPRIGHT_TURN_MAX;
        let is_among_upright = turning == Turning::Turned && seems_upright(candidate);
        // Among upright faces nothing speaks for another turn, however little the mesh believes the face.
        if is_upright && (is_among_upright || (is_plain && best.mesh.presence >= UPRIGHT_PRESENCE_MIN)) {
            return Ok(best);
        }
        let first = self.levelled(pyramid, &best)?;
        match first {
            Some(_) if is_upright && is_plain => return Ok(best),
            Some(place) => best = self.refitted_at(pyramid, best, place)?,
            None => {}
        }
        if first.is_some() && best.mesh.presence >= presence_min {
            return Ok(best);
        }
        if !is_turnable {
            return Ok(undecided(best, presence_min));
        }
        let mut believed: Option<MeshFit> = None;
        for turned in self.turned_places(pyramid, place)? {
            let fit = self.mesh.settle(pyramid, turned, f32::INFINITY)?;
            // A face elsewhere in the crop says nothing of this candidate.
            if !is_of(&fit, candidate) {
                continue;
            }
            let Some(place) = self.levelled(pyramid, &fit)? else { continue };
            let fit = self.refitted_at(pyramid, fit, place)?;
            let is_sure = fit.mesh.presence >= presence_sure;
            if believed.as_ref().is_none_or(|old| fit.mesh.presence > old.mesh.presence) {
                believed = Some(fit);
            }
            if is_sure {
                break;
            }
        }
        Ok(match believed {
            Some(fit) => fit,
            // An upright face like many another, of which the detector is not sure: no other turn shows it.
            None if is_plain && is_upright => best,
            None => undecided(best, presence_min),
        })
    }

    /// Whether the detector sees the face of a fit the right way up: it is shown the face as level as the mesh has it, and unless
    /// it is certain, in the other quarter turns as well, none of which may be nearly as good. Gives the face's place, in which the
    /// detector has measured its size as that of an upright one; `None` if it does not see it so.
    fn levelled(&mut self, pyramid: &mut Pyramid, fit: &MeshFit) -> Result<Option<FacePlace>> {
        // What is denied need not be looked at.
        if fit.mesh.presence < 0.0 {
            return Ok(None);
        }
        let place = FacePlace::within(fit);
        let placement = place.placement(TURN_CROP_SCALE, TURN_CROP_SIDE);
        let crop = pyramid.warp(placement, TURN_CROP_SIDE);
        let Some(level) = self.pass_turned(&crop, TURNS[0], WEAK_SCORE_MIN)?.into_iter().find(is_in_the_middle) else {
            return Ok(None);
        };
        let in_crop = FacePlace::of(&level);
        if in_crop.tilt.abs() > LEVEL_TILT_MAX {
            return Ok(None);
        }
        if level.score < LEVEL_SCORE_SURE {
            for turn in &TURNS[1..] {
                let faces = self.pass_turned(&crop, *turn, WEAK_SCORE_MIN)?;
                if faces.iter().any(|face| is_in_the_middle(face) && face.score > level.score - LEVEL_SCORE_AHEAD_MIN) {
                    return Ok(None);
                }
            }
        }
        let size = in_crop.size * placement.a.hypot(placement.b);
        Ok(Some(FacePlace { centre: placement.source(in_crop.centre.0, in_crop.centre.1), size, tilt: place.tilt }))
    }

    /// The same face fitted at a place whose size is truer; the fit as it was if that does not show it as surely.
    fn refitted_at(&mut self, pyramid: &mut Pyramid, fit: MeshFit, place: FacePlace) -> Result<MeshFit> {
        let again = self.mesh.settle(pyramid, place, f32::INFINITY)?;
        let is_same_turn = turn_between(fit.place.tilt, again.place.tilt).abs() < UPRIGHT_TURN_MAX;
        let is_as_sure = again.mesh.presence >= fit.mesh.presence.min(self.mesh.stage().presence_sure);
        Ok(if is_same_turn && is_as_sure { again } else { fit })
    }

    /// Where the face at `place` is, the likeliest place first: the detector is shown a crop about it in the four quarter turns
    /// and, if it is certain of none of those, in the four turns between. In one of them the face is nearly upright and its
    /// box as large as the face. Empty if the detector finds it in none.
    fn turned_places(&mut self, pyramid: &mut Pyramid, place: FacePlace) -> Result<Vec<FacePlace>> {
        let mut found: Vec<(f32, FacePlace)> = Vec::new();
        let mut upright_score = 0.0;
        for tilt in [0.0, 45.0] {
            // A face that lies near a quarter turn is seen well enough in that.
            if found.iter().any(|(score, place)| *score >= LEVEL_SCORE_SURE && !is_diagonal(place)) {
                break;
            }
            let placement = FacePlace { tilt, ..place }.placement(TURN_CROP_SCALE, TURN_CROP_SIDE);
            let crop = pyramid.warp(placement, TURN_CROP_SIDE);
            for turn in TURNS {
                // Others beside it are not meant.
                let faces = self.pass_turned(&crop, turn, WEAK_SCORE_MIN)?;
                let Some(strongest) = faces.into_iter().find(is_in_the_middle) else { continue };
                if tilt == 0.0 && turn == ExifOrientation::UPRIGHT {
                    upright_score = strongest.score;
                }
                let in_crop = FacePlace::of(&strongest);
                let turned = FacePlace {
                    centre: placement.source(in_crop.centre.0, in_crop.centre.1),
                    size: in_crop.size * placement.a.hypot(placement.b),
                    tilt: in_crop.tilt + tilt,
                };
                found.push((strongest.score, turned));
            }
        }
        let best_score = found.iter().map(|(score, _)| *score).fold(0.0, f32::max);
        let score_min = (upright_score - TURN_SCORE_BELOW_UPRIGHT_MAX).max(best_score - TURN_SCORE_BELOW_BEST_MAX);
        found.retain(|(score, _)| *score >= score_min);
        found.sort_by(|(a, _), (b, _)| b.total_cmp(a));
        found.truncate(TURNS_MAX);
        Ok(found.into_iter().map(|(_, place)| place).collect())
    }
}

/// A fit of which nothing tells which way up its face is: no reason to believe the face, nor to deny it.
fn undecided(mut fit: MeshFit, presence_min: f32) -> MeshFit {
    if fit.mesh.presence >= presence_min {
        fit.mesh.presence = 0.0;
    }
    fit
}

/// Whether a fit covers the candidate that it was looked for at.
fn is_of(fit: &MeshFit, candidate: &FoundFace) -> bool {
    iou(&FoundFace { corners: fit.mesh.extent(), ..*candidate }, candidate) >= SAME_PLACE_IOU
}

/// Whether a face in a crop of [`TURN_CROP_SIDE`] is the one that it was cut about.
fn is_in_the_middle(face: &FoundFace) -> bool {
    let ([left, top, right, bottom], middle) = (face.corners, TURN_CROP_SIDE as f32 / 2.0);
    ((left + right) / 2.0 - middle).hypot((top + bottom) / 2.0 - middle) < TURN_OFF_CENTRE_MAX
}

/// Whether a face lies more than [`DIAGONAL_MIN`] degrees off every quarter turn: the detector's box about it is too large.
fn is_diagonal(place: &FacePlace) -> bool {
    let off = place.tilt.rem_euclid(90.0);
    off.min(90.0 - off) > DIAGONAL_MIN
}

/// What a candidate that may come first must be asked for: a score below [`UPRIGHT_SCORE_MIN`] does not settle that it is
/// believed, as two of 2,668 faces of press photographs in doubt have a higher one.
fn first_purpose(candidate: &FoundFace, purpose: Purpose) -> Purpose {
    if candidate.score >= UPRIGHT_SCORE_MIN { purpose } else { Purpose::Meshes }
}

/// Adds a face unless it is there already; of two fits of one face the surer one stays, and of two of at least
/// `presence_sure` that with the surer box.
fn add(faces: &mut Vec<Face>, face: Face, presence_sure: f32) {
    let rank = |face: &Face| (face.presence().min(presence_sure), face.found.score);
    match faces.iter().position(|other| is_same(other, &face)) {
        Some(idx) if faces[idx].fit.is_some() && rank(&faces[idx]) < rank(&face) => faces[idx] = face,
        Some(_) => {}
        None => faces.push(face),
    }
}

/// Whether a face lies in another one, which is much larger: of a close portrait an eye with its cheek passes for a face.
fn is_part_of(part: &FoundFace, whole: &FoundFace) -> bool {
    let ([left, top, right, bottom], [x1, y1, x2, y2]) = (part.corners, whole.corners);
    let within = (right.min(x2) - left.max(x1)).max(0.0) * (bottom.min(y2) - top.max(y1)).max(0.0);
    let area = whole_area(part);
    within >= PART_WITHIN_MIN * area && area <= PART_AREA_MAX * whole_area(whole)
}

/// Whether both are the same face of the picture.
fn is_same(a: &Face, b: &Face) -> bool {
    let extent = |face: &Face| match (&face.fit, face.doubt) {
        // A doubtful mesh does not show where the face is.
        (Some(fit), None) => FoundFace { corners: fit.mesh.extent(), ..face.found },
        _ => face.found,
    };
    let both_have_mesh = [a, b].iter().all(|face| face.fit.is_some() && face.doubt.is_none());
    let overlap = iou(&extent(a), &extent(b));
    overlap > SAME_FACE_IOU || (!both_have_mesh && iou(&a.found, &b.found) > SAME_FACE_IOU)
}

/// Sorts candidates so that those that are meant come first.
fn order(candidates: &mut [FoundFace], choice: FaceChoice, base: &RgbImage) {
    let (width, height) = (base.width(), base.height());
    match choice {
        FaceChoice::Central => {
            candidates.sort_by_key(|face| off_centre(BoundingBox::clamped(face.corners, width, height), width, height))
        }
        _ => candidates.sort_by_key(|face| Reverse(area(face, base))),
    }
}

/// Whether what is found in a picture as it lies leaves no doubt that it shows no faces in other turns: a certain face among several
/// that seem upright, or one that is large and nothing else that could be another face of that size. A badge or a poster may be
/// upright in a photograph that is not.
fn is_upright(faces: &[FoundFace], picture: &RgbImage) -> bool {
    let certain = faces.iter().filter(|face| face.score >= CERTAIN_TURN_SCORE_MIN);
    let Some(largest) = certain.map(whole_area).reduce(f32::max) else { return false };
    if are_upright(faces) {
        return true;
    }
    let upright: Vec<_> = faces.iter().filter(|face| seems_upright(face)).collect();
    let is_rival = |face: &FoundFace| {
        face.score >= RIVAL_SCORE_MIN
            && whole_area(face) >= largest * RIVAL_AREA_MIN
            && upright.iter().all(|upright| iou(upright, face) == 0.0)
    };
    let n_pixels = picture.width() as f32 * picture.height() as f32;
    largest >= n_pixels * UPRIGHT_SHARE_MIN && !faces.iter().any(is_rival)
}

/// Whether a face's score and points are those of an upright one.
fn seems_upright(face: &FoundFace) -> bool {
    face.score >= SEEMS_UPRIGHT_SCORE_MIN && FacePlace::of(face).tilt.abs() < LEVEL_TILT_MAX
}

/// Whether a candidate is reported whatever the mesh says: `score_sure` is [`FirstPass::score_sure`].
fn is_sure(candidate: &FoundFace, score_sure: f32, turning: Turning) -> bool {
    candidate.score >= score_sure || (turning == Turning::Turned && seems_upright(candidate))
}

/// Whether so many faces of a picture seem upright, a certain one among them, that each of them is.
fn are_upright(faces: &[FoundFace]) -> bool {
    best_score(faces) >= CERTAIN_TURN_SCORE_MIN
        && faces.iter().filter(|face| seems_upright(face)).count() >= UPRIGHT_FACES_MIN
}

/// Which of these candidates of a picture are looked at in other turns.
fn turning_among(faces: &[FoundFace]) -> Turning {
    if are_upright(faces) { Turning::Turned } else { Turning::Persistent }
}

/// Whether the boxes of the first pass leave open which face is the largest: they are a tenth off, and one of two faces side
/// by side may be larger by less.
fn is_largest_in_question(look: &Look, score_min: f32) -> bool {
    let sizes = || look.faces.iter().filter(|face| face.score >= score_min).map(whole_area);
    let largest = sizes().fold(0.0, f32::max);
    // Where several turns were looked at, the largest box may be a wrong one about two faces.
    let rival_min = if look.turn == ExifOrientation::UPRIGHT { largest * RIVAL_AREA_MIN } else { 0.0 };
    sizes().filter(|size| *size >= rival_min).nth(1).is_some()
}

/// Both lists without doubles; of two, one of the first list is kept unless that of the second is surer by more than
/// [`MAIN_TURN_BONUS`].
fn preferred(main: Vec<FoundFace>, others: Vec<FoundFace>, iou_max: f32) -> Vec<FoundFace> {
    let main = main.into_iter().map(|face| (face.score + MAIN_TURN_BONUS, face));
    let others = others.into_iter().map(|face| (face.score, face));
    let mut all: Vec<_> = main.chain(others).collect();
    all.sort_by(|(a, _), (b, _)| b.total_cmp(a));
    let mut kept: Vec<FoundFace> = Vec::new();
    for (_, face) in all {
        if kept.iter().all(|surer| iou(surer, &face) <= iou_max) {
            kept.push(face);
        }
    }
    kept
}

/// Both lists without doubles, the stronger one of two kept.
fn merged(mut a: Vec<FoundFace>, b: Vec<FoundFace>, iou_max: f32) -> Vec<FoundFace> {
    a.extend(b);
    suppressed(a, iou_max)
}

fn best_score(faces: &[FoundFace]) -> f32 {
    faces.iter().map(|face| face.score).fold(0.0, f32::max)
}

pub(crate) fn longest(face: &FoundFace) -> f32 {
    let [left, top, right, bottom] = face.corners;
    (right - left).max(bottom - top)
}

fn whole_area(face: &FoundFace) -> f32 {
    let [left, top, right, bottom] = face.corners;
    (right - left) * (bottom - top)
}

/// The area by which the largest face is told: that of the box that is reported, in whole pixels.
fn area(face: &FoundFace, base: &RgbImage) -> u64 {
    BoundingBox::clamped(face.corners, base.width(), base.height()).area()
}

fn longer_side(image: &RgbImage) -> f32 {
    image.width().max(image.height()) as f32
}

/// Left, top, width and height of tiles that cover a picture; fewer and larger ones where there would be too many.
fn tiles(width: u32, height: u32) -> Vec<(u32, u32, u32, u32)> {
    let starts = |len: u32, tile: u32| -> Vec<u32> {
        if len <= tile {
            return vec![0];
        }
        let n_tiles = (len - TILE_OVERLAP).div_ceil(tile - TILE_OVERLAP);
        (0..n_tiles).map(|idx| (u64::from(len - tile) * u64::from(idx) / u64::from(n_tiles - 1)) as u32).collect()
    };
    let mut tile = TILE_SIDE;
    loop {
        let (columns, rows) = (starts(width, tile), starts(height, tile));
        if columns.len() * rows.len() <= TILES_MAX {
            let place = |&top: &u32| {
                let columns = columns.clone();
                columns.into_iter().map(move |left| (left, top, tile.min(width), tile.min(height)))
            };
            return rows.iter().flat_map(place).collect();
        }
        tile += 320;
    }
}

/// A face found in a turned picture, in pixels of the picture before it was turned (`width` x `height`).
pub(crate) fn turned_back(face: &FoundFace, turn: ExifOrientation, width: u32, height: u32) -> FoundFace {
    let [left, top, right, bottom] = face.corners;
    // Edges lie between pixels, half a pixel before the centre that `to_stored` counts from.
    let edge = |x: f32, y: f32| {
        let (x, y) = turn.to_stored(x - 0.5, y - 0.5, width, height);
        (x + 0.5, y + 0.5)
    };
    let ((x1, y1), (x2, y2)) = (edge(left, top), edge(right, bottom));
    let point = |point: Point| {
        let (x, y) = turn.to_stored(point.x, point.y, width, height);
        Point { x, y }
    };
    FoundFace {
        corners: [x1.min(x2), y1.min(y2), x1.max(x2), y1.max(y2)],
        landmarks: Landmarks(face.landmarks.0.map(point)),
        score: face.score,
    }
}
