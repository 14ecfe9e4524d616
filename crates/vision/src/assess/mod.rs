//! What is measured of a face beyond where it is and whom it resembles, when it is asked for.
//!
//! Stages come from packs ([`Assignment`] says which from where) and run in a fixed order on one face ([`Assessor`]).
//! They cost nothing until they are needed: a model is read, checked and opened by the first face it is asked to measure.
//!
//! Nets are shown faces upright: one that lies or stands on its head ([`Landmarks::quarter_turn`]) is turned within its
//! crop, and what is found there is turned back.
//!
//! [`Landmarks::quarter_turn`]: likeness_domain::types::Landmarks::quarter_turn

use std::sync::{Arc, Mutex, PoisonError};

use likeness_domain::types::{Aspects, Assessment, BoundingBox, Detection, Quality, QuarterTurn};
use likeness_domain::{Error, Result};

use crate::align::Placement;
use crate::crop::{Sampling, Stretch, resampled, upright};
use crate::mesh::FaceMesh;
use crate::pack::{AssessStages, InstalledPack};
use crate::raster::RgbImage;
use crate::runtime::Runtime;

pub mod age_gender;
pub mod expression;
pub mod from_mesh;
pub mod landmarks68;
pub mod liveness;
pub mod pose;
pub mod quality;

mod net;

#[cfg(test)]
mod tests;

use age_gender::AgeGender;
use expression::ExpressionNet;
use landmarks68::Landmarks68;
use liveness::Liveness;

/// Which pack each stage is taken from.
#[derive(Debug, Clone, Default)]
pub struct Assignment {
    landmarks68: Option<Arc<InstalledPack>>,
    expression: Option<Arc<InstalledPack>>,
    age_gender: Option<Arc<InstalledPack>>,
    liveness: Option<Arc<InstalledPack>>,
}

impl Assignment {
    /// Every stage from the first of `packs` that has it.
    pub fn first_of(packs: &[Arc<InstalledPack>]) -> Self {
        let having = |has: fn(&AssessStages) -> bool| packs.iter().find(|pack| has(pack.manifest().assess())).cloned();
        Self {
            landmarks68: having(|stages| stages.landmarks68.is_some()),
            expression: having(|stages| stages.expression.is_some()),
            age_gender: having(|stages| stages.age_gender.is_some()),
            liveness: having(|stages| stages.liveness.is_some()),
        }
    }

    /// What can be measured with these stages, and without any.
    pub fn aspects(&self) -> Aspects {
        let stages = [
            (&self.landmarks68, Aspects::LANDMARKS),
            (&self.expression, Aspects::EXPRESSION),
            (&self.age_gender, Aspects::AGE_AND_GENDER),
            (&self.liveness, Aspects::LIVENESS),
        ];
        let assigned = stages.into_iter().filter(|(pack, _)| pack.is_some());
        assigned.fold(WITHOUT_STAGES, |all, (_, aspect)| all.and(aspect))
    }

    /// Each stage's word and the pack it is taken from, for people.
    pub fn packs(&self) -> impl Iterator<Item = (&'static str, &InstalledPack)> {
        let stages = [
            ("landmarks68", &self.landmarks68),
            ("expression", &self.expression),
            ("age_gender", &self.age_gender),
            ("liveness", &self.liveness),
        ];
        stages.into_iter().filter_map(|(word, pack)| Some((word, pack.as_deref()?)))
    }
}

/// What needs no pack. The pose is fitted to the face mesh or, without one, to the detector's five landmarks.
pub const WITHOUT_STAGES: Aspects =
    Aspects::QUALITY.and(Aspects::POSE).and(Aspects::POINTS).and(Aspects::CROP).and(Aspects::THUMBNAIL);

/// The stages of one thread. Clones are for other threads and share the models, also those opened later.
#[derive(Clone)]
pub struct Assessor {
    runtime: Runtime,
    landmarks68: Slot<Landmarks68>,
    expression: Slot<ExpressionNet>,
    age_gender: Slot<AgeGender>,
    liveness: Slot<Liveness>,
}

impl Assessor {
    /// Opens nothing yet.
    pub fn new(runtime: &Runtime, assignment: &Assignment) -> Self {
        Self {
            runtime: runtime.clone(),
            landmarks68: Slot::new(&assignment.landmarks68),
            expression: Slot::new(&assignment.expression),
            age_gender: Slot::new(&assignment.age_gender),
            liveness: Slot::new(&assignment.liveness),
        }
    }

    /// Measures `aspects` of one face, as far as there are stages for it; nothing asked for costs nothing. `mesh` is the
    /// face's mesh in pixels of `picture` if one was fitted and is believed: pose and landmarks come from it then, and no
    /// stage is asked for them. `aligned` is the face's crop with the map that made it: without it there is no quality.
    /// [`likeness_domain::Kind::PackUnavailable`] if a stage's model is damaged or is not what its manifest says.
    pub fn assess(
        &mut self,
        picture: &RgbImage,
        face: &Detection,
        mesh: Option<&FaceMesh>,
        aligned: Option<&(RgbImage, Placement)>,
        aspects: Aspects,
    ) -> Result<(Quality, Assessment)> {
        let quality = match aligned {
            Some((crop, placement)) if aspects.contains(Aspects::QUALITY) => {
                // Never with the pose of the 68 landmarks of another pack: a face must not pass here and fail on a server
                // with other packs.
                let pose = match mesh {
                    Some(mesh) => from_mesh::pose(mesh),
                    None => pose::of_sparse(&face.landmarks),
                };
                quality::measure(picture, crop, placement, face, pose, mesh.map(|mesh| mesh.presence))
            }
            _ => Quality::default(),
        };
        let view = View { picture, bounding_box: face.bounding_box, turn: face.landmarks.quarter_turn() };
        let mut assessment = Assessment::default();
        match mesh {
            Some(mesh) => {
                if aspects.contains(Aspects::POSE) {
                    assessment.pose = from_mesh::pose(mesh);
                }
                if aspects.contains(Aspects::LANDMARKS) {
                    assessment.landmarks = Some(from_mesh::landmarks68(mesh));
                    assessment.openness = Some(from_mesh::openness(picture, mesh));
                }
                if aspects.contains(Aspects::MESH) {
                    assessment.mesh = Some(from_mesh::all_points(mesh));
                }
            }
            None => self.landmarks_and_pose(&view, face, aspects, &mut assessment)?,
        }
        if aspects.contains(Aspects::EXPRESSION)
            && let Some(stage) = self.expression.open(&self.runtime, ExpressionNet::open)?
        {
            assessment.expression = Some(stage.read(&view)?);
        }
        if aspects.contains(Aspects::AGE_AND_GENDER)
            && let Some(stage) = self.age_gender.open(&self.runtime, AgeGender::open)?
        {
            let (age, gender) = stage.estimate(&view)?;
            (assessment.age, assessment.gender) = (Some(age), Some(gender));
        }
        if aspects.contains(Aspects::LIVENESS)
            && let Some(stage) = self.liveness.open(&self.runtime, Liveness::open)?
        {
            assessment.liveness = Some(stage.judge(&view)?);
        }
        Ok((quality, assessment))
    }

    /// Landmarks and pose of a face without a mesh.
    fn landmarks_and_pose(
        &mut self,
        view: &View<'_>,
        face: &Detection,
        aspects: Aspects,
        assessment: &mut Assessment,
    ) -> Result<()> {
        if aspects.common(Aspects::LANDMARKS.and(Aspects::POSE)).is_empty() {
            return Ok(());
        }
        // From 68 landmarks if there are any: of five, the tip of the nose alone tells depth.
        let stage = self.landmarks68.open(&self.runtime, Landmarks68::open)?;
        let landmarks = stage.map(|stage| stage.find(view)).transpose()?;
        if aspects.contains(Aspects::POSE) {
            assessment.pose = match &landmarks {
                Some(landmarks) => pose::of_dense(landmarks),
                None => pose::of_sparse(&face.landmarks),
            };
        }
        assessment.landmarks = landmarks.filter(|_| aspects.contains(Aspects::LANDMARKS));
        Ok(())
    }
}

/// A stage that is opened when it is first needed, by whichever thread needs it first.
#[derive(Clone)]
enum Slot<S> {
    Missing,
    /// With what the first thread to open it leaves for the others.
    Waiting(Arc<InstalledPack>, Arc<Mutex<Option<S>>>),
    Open(S),
}

impl<S: Clone> Slot<S> {
    fn new(pack: &Option<Arc<InstalledPack>>) -> Self {
        pack.as_ref().map_or(Slot::Missing, |pack| Slot::Waiting(Arc::clone(pack), Arc::default()))
    }

    fn open(
        &mut self,
        runtime: &Runtime,
        open: impl FnOnce(&Runtime, &InstalledPack) -> Result<S>,
    ) -> Result<Option<&mut S>> {
        if let Slot::Waiting(pack, shared) = self {
            let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
            let stage = match &*shared {
                Some(stage) => stage.clone(),
                None => {
                    let about = |err: Error| err.about(format_args!("model pack `{}`", pack.manifest().id()));
                    let stage = open(runtime, pack).map_err(about)?;
                    shared.insert(stage).clone()
                }
            };
            drop(shared);
            *self = Slot::Open(stage);
        }
        match self {
            Slot::Open(stage) => Ok(Some(stage)),
            Slot::Missing | Slot::Waiting(..) => Ok(None),
        }
    }
}

/// A face as stages look at it.
#[derive(Debug, Clone, Copy)]
pub struct View<'a> {
    /// The whole picture.
    pub picture: &'a RgbImage,
    /// Where the face is.
    pub bounding_box: BoundingBox,
    /// How it lies.
    pub turn: QuarterTurn,
}

impl View<'_> {
    /// The square about the face (see [`Stretch::square`]), upright, and where it is in the picture.
    pub(crate) fn square(&self, scale: f64, side: u32) -> (RgbImage, Stretch) {
        let stretch = Stretch::square(&self.bounding_box, scale);
        (upright(resampled(self.picture, stretch, side, Sampling::Smooth), self.turn), stretch)
    }
}
