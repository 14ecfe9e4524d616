//! Sixty-eight landmarks: a net from the square around a face to places in that square.

use likeness_domain::Result;
use likeness_domain::types::{DenseLandmarks, Point};

use super::View;
use super::net::Net;
use crate::crop::turned_back;
use crate::pack::{InstalledPack, Landmarks68Stage};
use crate::runtime::Runtime;

/// A loaded net.
#[derive(Clone)]
pub struct Landmarks68 {
    net: Net,
    stage: Landmarks68Stage,
}

impl Landmarks68 {
    /// Opens the stage of a pack that has one.
    pub fn open(runtime: &Runtime, pack: &InstalledPack) -> Result<Self> {
        let stage = pack.manifest().assess().landmarks68.clone().expect("was assigned from a pack that has it");
        Ok(Self { net: Net::open(runtime, pack, &stage.file, stage.input)?, stage })
    }

    /// The landmarks of a face, in pixels of the picture.
    pub fn find(&mut self, view: &View<'_>) -> Result<DenseLandmarks> {
        let (crop, stretch) = view.square(self.stage.crop, self.net.side());
        let outputs = self.net.run(&crop)?;
        let numbers = self.net.numbers(&outputs, self.stage.output.as_deref(), 2 * 68)?;
        let point = |idx: usize| {
            let (x, y) = turned_back(numbers[2 * idx], numbers[2 * idx + 1], view.turn);
            Point {
                x: stretch.left as f32 + x * stretch.width as f32,
                y: stretch.top as f32 + y * stretch.height as f32,
            }
        };
        Ok(DenseLandmarks(Box::new(std::array::from_fn(point))))
    }
}
