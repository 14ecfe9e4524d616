//! The least similarity of a search, in the terms in which a caller has it.

use std::sync::Arc;

use super::Library;
use crate::score::{Calibration, FAR_USUAL, Scale};
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
    /// The similarity at the rate of [`Library::far_default`].
    Usual,
    /// The similarity at this false-accept rate per comparison, which is within the measured range
    /// ([`Calibration::far_range`]), or 1, which everybody reaches.
    FalseAcceptRate(f64),
    /// The similarity at which so many strangers of the gallery are expected to be found; above 0. The larger the
    /// gallery, the higher it is. A rate per comparison that was not measured is refused; an empty gallery counts as one
    /// face.
    FalseMatches(f64),
    /// This number on a dialect's scale.
    Number(Arc<Scales>, f64),
}

impl Threshold {
    /// Everybody reaches it.
    pub const NONE: Threshold = Threshold::Similarity(Similarity::MIN);
}

impl Library {
    /// The false-accept rate of a verdict for which nobody says which ([`Calibration::far_default`]). `PackUnavailable`;
    /// `MissingArgument` where that is not known, since another rate in its place would open doors in silence.
    pub fn far_default(&self, pack: &PackId) -> Result<f64> {
        let calibration = &self.loaded_pack(pack)?.calibration;
        calibration.far_default().ok_or_else(|| {
            let (least, most) = calibration.far_range();
            let message = format!(
                "`far` is missing, and the default of {FAR_USUAL:e} was not measured for model pack `{pack}`; expected \
                 {least:e} to {most:e}"
            );
            let hint = "say `far`, or have a default set: `likeness pack calibrate FILE --default-far RATE`";
            Error::new(Kind::MissingArgument, message).with_field("far").with_hint(hint)
        })
    }

    /// The least similarity that a threshold means for templates of a pack, where so many comparisons are made
    /// ([`Comparisons::ONE`] for one of two faces). `PackUnavailable`; `InvalidArgument` for a rate that nobody has measured.
    pub fn similarity_min(&self, threshold: &Threshold, pack: &PackId, among: Comparisons) -> Result<Similarity> {
        let calibration = || self.loaded_pack(pack).map(|info| &info.calibration);
        match threshold {
            Threshold::Similarity(similarity) => Ok(*similarity),
            Threshold::Usual => {
                let far = self.far_default(pack)?;
                similarity_at(calibration()?, far, pack, among.n_probes, " by default")
            }
            Threshold::FalseAcceptRate(far) if *far == 1.0 => Ok(Similarity::MIN),
            Threshold::FalseAcceptRate(far) => similarity_at(calibration()?, *far, pack, among.n_probes, ""),
            Threshold::FalseMatches(expected) if *expected > 0.0 => {
                let calibration = calibration()?;
                let ((least, most), n) = (calibration.far_range(), among.count());
                let far = expected / n;
                if (least * ROUNDING_DOWN..=most * ROUNDING_UP).contains(&far) {
                    return Ok(least_at(calibration, far.clamp(least, most)));
                }
                let message = format!(
                    "`false_matches` is {expected}, expected {} to {} {}; {far:.1e} per comparison was not measured for \
                     model pack `{pack}`, which was measured from {least:e} to {most:e}",
                    short(least * n),
                    short(most * n),
                    among.words()
                );
                let hint = if far < least {
                    "search a smaller gallery, expect more false matches, or ask for a similarity"
                } else {
                    "expect fewer false matches, or ask for a similarity or `far`=1, which every face reaches"
                };
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

/// How many comparisons a verdict rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Comparisons {
    /// Faces of the gallery.
    pub n_faces: u64,
    /// Faces that are looked for at once, as those of a person are: any of them may be the one that is found.
    pub n_probes: u64,
}

impl Comparisons {
    /// One face with one other.
    pub const ONE: Comparisons = Comparisons { n_faces: 1, n_probes: 1 };

    /// One face with each of so many.
    pub fn with(n_faces: u64) -> Self {
        Self { n_faces, n_probes: 1 }
    }

    fn count(self) -> f64 {
        self.n_faces.max(1) as f64 * self.n_probes.max(1) as f64
    }

    fn words(self) -> String {
        match self {
            Self { n_faces, n_probes: 0 | 1 } => format!("among {n_faces} faces"),
            Self { n_faces, n_probes } => format!("for {n_probes} faces of the person among {n_faces}"),
        }
    }
}

/// The least similarity that states no higher rate than this one, though similarities are rounded.
fn least_at(calibration: &Calibration, far: f64) -> Similarity {
    let nearest = calibration.similarity_at(far);
    match calibration.false_accept_rate(nearest).rate > far {
        true => Similarity::new(nearest.get().next_up()),
        false => nearest,
    }
}

/// The similarity at which one of `n_probes` comparisons passes at this rate in all: by the sum, since how far their
/// false matches coincide nobody knows. `origin` says how the rate came about.
fn similarity_at(
    calibration: &Calibration,
    far: f64,
    pack: &PackId,
    n_probes: u64,
    origin: &str,
) -> Result<Similarity> {
    let (least, most) = calibration.far_range();
    let n = n_probes.max(1) as f64;
    // Rates of several comparisons end below 1, which everybody reaches.
    if (least * ROUNDING_DOWN..=most * ROUNDING_UP).contains(&(far / n)) && far < 1.0 {
        return Ok(least_at(calibration, (far / n).clamp(least, most)));
    }
    let of_several = match n_probes {
        0 | 1 => String::new(),
        _ => format!(" for {n_probes} faces of the person, {} for each of them", short(far / n)),
    };
    let (low, high) = (short(least * n), short((most * n).min(1.0)));
    let (given, short_far) = (format!("{far:e}"), short(far));
    // With all its digits where the rounded one would be within the range.
    let given = if short_far == low || short_far == high { given } else { short_far };
    let message = format!(
        "`far` is {given}{origin}{of_several}, expected {low} to {high}, measured for model pack `{pack}`, or 1"
    );
    let hint = match n_probes {
        0 | 1 => {
            "beyond what was measured nobody knows the rate; `likeness calibrate` measures more photographs, and a search \
             can ask for a similarity instead"
        }
        _ => "ask for a larger `far`; a search can also ask for a similarity, or for one face of the person",
    };
    Err(Error::invalid("far", message).with_hint(hint))
}

/// A rate or a number of false matches with as many digits as it was given, without the noise of products.
fn short(number: f64) -> String {
    let rounded = format!("{number:.5e}").parse().unwrap_or(number);
    let is_plain = rounded == 0.0 || (1e-3..1e6).contains(&rounded) && rounded.fract() == 0.0;
    if is_plain { format!("{rounded}") } else { format!("{rounded:e}") }
}

/// What rounding may have done to a rate that was meant to be the smallest or the largest measured one.
const ROUNDING_DOWN: f64 = 1.0 - 1e-9;
const ROUNDING_UP: f64 = 1.0 + 1e-9;
