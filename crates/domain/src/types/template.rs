//! Templates and their similarity.

use std::fmt;
use std::sync::Arc;

/// Name and version of a model pack, as in `default-1`. Stamped on every template: scores across packs mean nothing.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PackId(Arc<str>);

impl PackId {
    /// A pack id: 1 to 64 of `a-z 0-9 - _ .`, not starting with a dot.
    pub fn new(text: &str) -> Option<Self> {
        let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-_.".contains(&byte);
        let valid = (1..=64).contains(&text.len()) && !text.starts_with('.') && text.bytes().all(allowed);
        valid.then(|| Self(text.into()))
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for PackId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PackId({})", self.0)
    }
}

/// Largest accepted number of dimensions of a template.
pub const DIMENSIONS_MAX: usize = 4096;

/// A face as numbers: a unit-length vector and the pack that made it.
///
/// # Invariants
/// The vector has 1 to [`DIMENSIONS_MAX`] finite numbers and length 1 within 1e-3. [`Template::new`] normalises,
/// [`Template::from_unit`] checks; there is no other maker.
#[derive(Clone, PartialEq)]
pub struct Template {
    pack: PackId,
    unit: Arc<[f32]>,
}

/// Why numbers are not a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemplateError {
    /// Empty, or more than [`DIMENSIONS_MAX`] numbers.
    Dimensions,
    /// A number is NaN or infinite, or all are zero.
    NotANumber,
    /// Read back with another length than 1: the bytes were damaged.
    NotUnit,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            TemplateError::Dimensions => "a template has 1 to 4096 dimensions",
            TemplateError::NotANumber => "a template has only finite numbers, not all zero",
            TemplateError::NotUnit => "a stored template has length 1",
        })
    }
}

impl std::error::Error for TemplateError {}

impl Template {
    /// Normalises a model's raw output to unit length.
    pub fn new(pack: PackId, raw: &[f32]) -> Result<Self, TemplateError> {
        check_dimensions(raw)?;
        let length = squared_length(raw).sqrt();
        if !length.is_finite() || length <= f64::from(f32::MIN_POSITIVE) {
            return Err(TemplateError::NotANumber);
        }
        let unit = raw.iter().map(|&number| (f64::from(number) / length) as f32).collect();
        Ok(Self { pack, unit })
    }

    /// Takes a vector that is already of unit length, as read back from a store.
    pub fn from_unit(pack: PackId, unit: Arc<[f32]>) -> Result<Self, TemplateError> {
        check_dimensions(&unit)?;
        let squared = squared_length(&unit);
        if !squared.is_finite() {
            return Err(TemplateError::NotANumber);
        }
        if (squared - 1.0).abs() > 2e-3 {
            return Err(TemplateError::NotUnit);
        }
        Ok(Self { pack, unit })
    }

    /// The pack that made it.
    pub fn pack(&self) -> &PackId {
        &self.pack
    }

    /// The unit-length vector.
    pub fn unit(&self) -> &[f32] {
        &self.unit
    }

    /// Cosine of the two; `None` when packs or dimensions differ, since such a score has no meaning.
    pub fn similarity(&self, other: &Template) -> Option<Similarity> {
        if self.pack != other.pack || self.unit.len() != other.unit.len() {
            return None;
        }
        Some(Similarity::of_units(&self.unit, &other.unit))
    }
}

fn check_dimensions(numbers: &[f32]) -> Result<(), TemplateError> {
    if numbers.is_empty() || numbers.len() > DIMENSIONS_MAX { Err(TemplateError::Dimensions) } else { Ok(()) }
}

fn squared_length(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&number| f64::from(number) * f64::from(number)).sum()
}

// Biometric bytes never reach a log: shape only.
impl fmt::Debug for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Template({}, {} dimensions)", self.pack, self.unit.len())
    }
}

/// Cosine between two templates, -1 to 1. Never a percentage: vendors' numbers are made in the adapters.
#[derive(Debug, Clone, Copy, PartialEq, PartialOrd)]
pub struct Similarity(f32);

impl Similarity {
    /// The similarity of identical templates.
    pub const MAX: Similarity = Similarity(1.0);
    /// The similarity of opposite templates: as a threshold it keeps everything.
    pub const MIN: Similarity = Similarity(-1.0);

    /// A cosine; float error beyond -1 or 1 is clamped, NaN becomes -1.
    pub fn new(cosine: f32) -> Self {
        // `max` of NaN and a number is the number; `clamp` would let NaN through.
        #[expect(clippy::manual_clamp, reason = "clamp keeps NaN")]
        Self(cosine.max(-1.0).min(1.0))
    }

    /// The similarity of two unit vectors of equal length: the definition that compare and every index share to the
    /// last bit, so that a face scores the same wherever it is met.
    ///
    /// Products are taken in f64, where they are exact. Element `i` is added to sum `i % 16` in rising order; then the
    /// upper half of the sums is added to the lower half until one is left, and that is rounded to f32. Stating the
    /// order makes the result the same on every processor (fused multiply-add changes nothing, as products are exact),
    /// and zeros appended to both vectors change nothing either.
    pub fn of_units(a: &[f32], b: &[f32]) -> Self {
        debug_assert_eq!(a.len(), b.len(), "vectors of one pack have one length");
        let mut sums = [0.0_f64; 16];
        for (a, b) in a.chunks(16).zip(b.chunks(16)) {
            for (sum, (&a, &b)) in sums.iter_mut().zip(a.iter().zip(b)) {
                *sum += f64::from(a) * f64::from(b);
            }
        }
        for half in [8, 4, 2, 1] {
            for lane in 0..half {
                sums[lane] += sums[lane + half];
            }
        }
        Self::new(sums[0] as f32)
    }

    /// The cosine.
    pub fn get(self) -> f32 {
        self.0
    }
}
