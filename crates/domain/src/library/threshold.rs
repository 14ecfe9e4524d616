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
    /// The similarity at the rate of [`Calibration::far_usual`].
    Usual,
    /// The similarity at this false-accept rate per comparison, which is within the measured range
    /// ([`Calibration::far_range`]), or 1, which everybody reaches.
    FalseAcceptRate(f64),
    /// The similarity at which so many strangers of the gallery are expected to be found; above 0. The larger the
    /// gallery, the higher it is. Nothing lower than the largest measured rate asks for is meant, however small the
    /// gallery; a rate below the smallest measured one is refused.
    FalseMatches(f64),
    /// This number on a dialect's scale.
    Number(Arc<Scales>, f64),
}

impl Threshold {
    /// Everybody reaches it.
    pub const NONE: Threshold = Threshold::Similarity(Similarity::MIN);
}

impl Library {
    /// The least similarity that a threshold means for templates of a pack in a gallery of `n_faces` (1 for a comparison
    /// of two). `PackUnavailable`; `InvalidArgument` for a rate that nobody has measured.
    pub fn similarity_min(&self, threshold: &Threshold, pack: &PackId, n_faces: u64) -> Result<Similarity> {
        let calibration = || self.loaded_pack(pack).map(|info| &info.calibration);
        match threshold {
            Threshold::Similarity(similarity) => Ok(*similarity),
            Threshold::Usual => {
                let calibration = calibration()?;
                Ok(calibration.similarity_at(calibration.far_usual()))
            }
            Threshold::FalseAcceptRate(far) if *far == 1.0 => Ok(Similarity::MIN),
            Threshold::FalseAcceptRate(far) => {
                let calibration = calibration()?;
                let (least, most) = calibration.far_range();
                if (least * ROUNDING_DOWN..=most * ROUNDING_UP).contains(far) {
                    return Ok(calibration.similarity_at(far.clamp(least, most)));
                }
                let message =
                    format!("`far` is {far:e}, expected {least:e} to {most:e}, measured for model pack `{pack}`, or 1");
                let hint = "beyond what was measured nobody knows the rate; ask for a similarity instead, or measure \
                            more photographs with `likeness calibrate`";
                Err(Error::invalid("far", message).with_hint(hint))
            }
            Threshold::FalseMatches(expected) if *expected > 0.0 => {
                let calibration = calibration()?;
                let ((least, most), n) = (calibration.far_range(), n_faces.max(1) as f64);
                let far = expected / n;
                if far >= least * ROUNDING_DOWN {
                    return Ok(calibration.similarity_at(far.clamp(least, most)));
                }
                let message = format!(
                    "`false_matches` is {expected}, which among {n_faces} faces is a false-accept rate of {far:.1e}; \
                     model pack `{pack}` was measured down to {least:e}, expected at least {:.1e}",
                    least * n
                );
                let hint = "search a smaller gallery, expect more false matches, or ask for a similarity";
                Err(Error::invalid("false_matches", message).with_hint(hint))
            }
            Threshold::FalseMatches(expected) => {
                let message = format!("`false_matches` is {expected}, expected more than 0");
                Err(Error::invalid("false_matches", message))
            }
            Threshold::Number(scales, number) => Ok(scales.get(pack)?.to_similarity(*number)),
        }
    }
}

/// What rounding may have done to a rate that was meant to be the smallest or the largest measured one.
const ROUNDING_DOWN: f64 = 1.0 - 1e-9;
const ROUNDING_UP: f64 = 1.0 + 1e-9;
