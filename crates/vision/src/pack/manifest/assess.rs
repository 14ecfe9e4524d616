//! The stages that measure faces: which nets, what they are fed, and what their outputs mean.

use likeness_domain::types::{Aspects, Expression};

use super::{CropInput, ModelFile};

/// The stages of a pack that measure faces; each may be missing.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AssessStages {
    /// `[landmarks68]`.
    pub landmarks68: Option<Landmarks68Stage>,
    /// `[expression]`.
    pub expression: Option<ExpressionStage>,
    /// `[age_gender]`.
    pub age_gender: Option<AgeGenderStage>,
    /// `[liveness]`.
    pub liveness: Option<LivenessStage>,
}

/// `[landmarks68]`, family `square-crop`: a net from the square around a face to 136 numbers, x and y of each landmark in
/// 0 to 1 of the crop, in the order of [`likeness_domain::types::DenseLandmarks`].
#[derive(Debug, Clone, PartialEq)]
pub struct Landmarks68Stage {
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: CropInput,
    /// Side of the square, in longer sides of the face's box.
    pub crop: f64,
    /// Name of the output; `None` when there is only one.
    pub output: Option<String>,
}

/// `[expression]`, family `square-crop`: a net from the square around a face to one number per expression.
#[derive(Debug, Clone, PartialEq)]
pub struct ExpressionStage {
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: CropInput,
    /// Side of the square, in longer sides of the face's box.
    pub crop: f64,
    /// Name of the output; `None` when there is only one.
    pub output: Option<String>,
    /// Which expression each number stands for.
    pub classes: [Expression; 7],
    /// Whether the numbers are yet to be made probabilities.
    pub softmax: bool,
}

/// `[age_gender]`, family `square-crop`: a net from the square around a face to an age and two numbers for the gender.
#[derive(Debug, Clone, PartialEq)]
pub struct AgeGenderStage {
    /// The model.
    pub file: ModelFile,
    /// What it is fed.
    pub input: CropInput,
    /// Side of the square, in longer sides of the face's box.
    pub crop: f64,
    /// Name of the output with the age (`age.output`).
    pub age_output: String,
    /// Years that a 1 in it stands for (`age.years`).
    pub age_years: f32,
    /// Name of the output with the gender (`gender.output`).
    pub gender_output: String,
    /// Which of its two numbers stands for "male" (`gender.classes`).
    pub male_idx: usize,
    /// Whether the two numbers are yet to be made probabilities (`gender.softmax`).
    pub softmax: bool,
}

/// `[liveness]`, family `minifasnet`: nets that each see another stretch around a face, and whose mean counts.
#[derive(Debug, Clone, PartialEq)]
pub struct LivenessStage {
    /// The nets.
    pub models: Vec<LivenessModel>,
    /// What they are fed.
    pub input: CropInput,
    /// Which of the output's numbers stands for a living person.
    pub live_class: usize,
    /// Whether the numbers are yet to be made probabilities.
    pub softmax: bool,
}

/// One net of a [`LivenessStage`].
#[derive(Debug, Clone, PartialEq)]
pub struct LivenessModel {
    /// The model.
    pub file: ModelFile,
    /// Width and height of the stretch, in those of the face's box.
    pub crop: f64,
}

impl AssessStages {
    /// What the stages measure. Pose and quality are computed from what others measure and belong to no pack.
    pub fn aspects(&self) -> Aspects {
        let measured = [
            (self.landmarks68.is_some(), Aspects::LANDMARKS),
            (self.expression.is_some(), Aspects::EXPRESSION),
            (self.age_gender.is_some(), Aspects::AGE_AND_GENDER),
            (self.liveness.is_some(), Aspects::LIVENESS),
        ];
        measured.into_iter().filter(|(is_there, _)| *is_there).fold(Aspects::NONE, |all, (_, aspect)| all.and(aspect))
    }

    /// The word of each stage that is there, as the manifest has it.
    pub fn words(&self) -> Vec<&'static str> {
        let stages = [
            (self.landmarks68.is_some(), "landmarks68"),
            (self.expression.is_some(), "expression"),
            (self.age_gender.is_some(), "age_gender"),
            (self.liveness.is_some(), "liveness"),
        ];
        stages.into_iter().filter_map(|(is_there, word)| is_there.then_some(word)).collect()
    }

    /// Every model file of the stages.
    pub(super) fn files(&self) -> impl Iterator<Item = &ModelFile> {
        let landmarks68 = self.landmarks68.iter().map(|stage| &stage.file);
        let expression = self.expression.iter().map(|stage| &stage.file);
        let age_gender = self.age_gender.iter().map(|stage| &stage.file);
        let liveness = self.liveness.iter().flat_map(|stage| &stage.models).map(|model| &model.file);
        landmarks68.chain(expression).chain(age_gender).chain(liveness)
    }
}
