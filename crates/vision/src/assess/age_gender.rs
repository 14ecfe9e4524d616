//! Age and gender: a net from the square around a face to both.

use likeness_domain::Result;
use likeness_domain::types::GenderEstimate;

use super::View;
use super::net::{Net, probabilities};
use crate::pack::{AgeGenderStage, InstalledPack};
use crate::runtime::Runtime;

/// A loaded net.
#[derive(Clone)]
pub struct AgeGender {
    net: Net,
    stage: AgeGenderStage,
}

impl AgeGender {
    /// Opens the stage of a pack that has one.
    pub fn open(runtime: &Runtime, pack: &InstalledPack) -> Result<Self> {
        let stage = pack.manifest().assess().age_gender.clone().expect("was assigned from a pack that has it");
        Ok(Self { net: Net::open(runtime, pack, &stage.file, stage.input)?, stage })
    }

    /// Age in years, and gender.
    pub fn estimate(&mut self, view: &View<'_>) -> Result<(f32, GenderEstimate)> {
        let (crop, _) = view.square(self.stage.crop, self.net.side());
        let outputs = self.net.run(&crop)?;
        let age = self.net.numbers(&outputs, Some(&self.stage.age_output), 1)?[0];
        let genders = self.net.numbers(&outputs, Some(&self.stage.gender_output), 2)?;
        let genders = probabilities([genders[0], genders[1]], self.stage.softmax);
        let genders = genders.ok_or_else(|| self.net.refused("gives no probabilities"))?;
        Ok(((age * self.stage.age_years).max(0.0), GenderEstimate { male: genders[self.stage.male_idx] }))
    }
}
