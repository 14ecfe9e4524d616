//! Expression: a net from the square around a face to seven probabilities.

use likeness_domain::Result;
use likeness_domain::types::{Expression, Expressions};

use super::View;
use super::net::{Net, probabilities};
use crate::pack::{ExpressionStage, InstalledPack};
use crate::runtime::Runtime;

/// A loaded net.
#[derive(Clone)]
pub struct ExpressionNet {
    net: Net,
    stage: ExpressionStage,
}

impl ExpressionNet {
    /// Opens the stage of a pack that has one.
    pub fn open(runtime: &Runtime, pack: &InstalledPack) -> Result<Self> {
        let stage = pack.manifest().assess().expression.clone().expect("was assigned from a pack that has it");
        Ok(Self { net: Net::open(runtime, pack, &stage.file, stage.input)?, stage })
    }

    /// How probable each expression is.
    pub fn read(&mut self, view: &View<'_>) -> Result<Expressions> {
        let (crop, _) = view.square(self.stage.crop, self.net.side());
        let outputs = self.net.run(&crop)?;
        let numbers = self.net.numbers(&outputs, self.stage.output.as_deref(), Expression::ALL.len())?;
        let numbers = in_our_order(numbers, &self.stage.classes);
        let probabilities = probabilities(numbers, self.stage.softmax);
        probabilities.map(Expressions).ok_or_else(|| self.net.refused("gives no probabilities"))
    }
}

/// The numbers in the order of [`Expression::ALL`]; `classes` says which each one belongs to.
pub(super) fn in_our_order(numbers: &[f32], classes: &[Expression; 7]) -> [f32; 7] {
    Expression::ALL.map(|wanted| {
        let mut pairs = classes.iter().zip(numbers);
        pairs.find_map(|(class, &number)| (*class == wanted).then_some(number)).unwrap_or(0.0)
    })
}
