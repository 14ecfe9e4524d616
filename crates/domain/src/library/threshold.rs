//! The least similarity of a search, in the terms in which a caller has it.

use std::sync::Arc;

use super::Library;
use crate::score::{Calibration, Scale};
use crate::types::{PackId, Similarity};
use crate::{Error, Kind, Result};

/// What a dialect's numbers are for the templates of each loaded pack.
#[derive(Debug)]
pub struct Scales(Vec<(PackId, Scale)>);

impl Scales {
    /// Makes the scale of every pack of a library from its calibration.
    pub fn of(library: &Library, scale: impl Fn(&Calibration) -> Scale) -> Arc<Self> {
        Arc::new(Self(library.packs().iter().map(|pack| (pack.id.clone(), scale(&pack.calibration))).collect()))
    }

    /// The scale of a pack; `PackUnavailable` if it is not loaded.
    pub fn get(&self, pack: &PackId) -> Result<&Scale> {
        let found = self.0.iter().find(|(id, _)| id == pack).map(|(_, scale)| scale);
        found.ok_or_else(|| Error::new(Kind::PackUnavailable, format!("model pack `{pack}` is not loaded")))
    }
}

/// What a candidate has to reach. Which similarity that is depends on the pack of the face set.
#[derive(Debug, Clone)]
pub enum Threshold {
    /// A similarity, inclusive.
    Similarity(Similarity),
    /// The similarity measured at this false-accept rate, which is above 0 and at most 1.
    FalseAcceptRate(f64),
    /// This number on a dialect's scale.
    Number(Arc<Scales>, f64),
}

impl Threshold {
    /// Everybody reaches it.
    pub const NONE: Threshold = Threshold::Similarity(Similarity::MIN);
}

impl Library {
    /// The least similarity that a threshold means for templates of a pack. `PackUnavailable`; `InvalidArgument` for a
    /// rate out of range.
    pub fn similarity_min(&self, threshold: &Threshold, pack: &PackId) -> Result<Similarity> {
        match threshold {
            Threshold::Similarity(similarity) => Ok(*similarity),
            Threshold::FalseAcceptRate(far) if 0.0 < *far && *far <= 1.0 => {
                Ok(self.loaded_pack(pack)?.calibration.similarity_at(*far))
            }
            Threshold::FalseAcceptRate(far) => {
                Err(Error::invalid("far", format!("`far` is {far}, expected more than 0 and at most 1")))
            }
            Threshold::Number(scales, number) => Ok(scales.get(pack)?.to_similarity(*number)),
        }
    }
}
