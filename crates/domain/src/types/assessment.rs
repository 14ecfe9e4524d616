//! What can be measured of a face beyond where it is and whom it resembles. All of it is optional: it is measured only
//! when asked for, and only what the installed model packs can measure.

use bytes::Bytes;

use super::{Landmarks, Point, Thumbnail};

/// What can be measured of a face, as a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Aspects(u16);

impl Aspects {
    /// Nothing.
    pub const NONE: Aspects = Aspects(0);
    /// Sixty-eight landmarks; with a face mesh also whether eyes and mouth are open.
    pub const LANDMARKS: Aspects = Aspects(1);
    /// Where the head looks.
    pub const POSE: Aspects = Aspects(2);
    /// Fitness for recognition ([`super::Quality`]).
    pub const QUALITY: Aspects = Aspects(4);
    /// Expression.
    pub const EXPRESSION: Aspects = Aspects(8);
    /// Age and gender, which one model estimates together.
    pub const AGE_AND_GENDER: Aspects = Aspects(16);
    /// Whether a living person was before the camera, judged from the one picture.
    pub const LIVENESS: Aspects = Aspects(32);
    /// The five points of [`super::Detection::landmarks`], and with them how the face is turned, as exact as a pack can
    /// give them, and whether the face is certain. Where neither this nor anything else of a face is asked for, nor a
    /// template, its box is enough: its points may be the detector's, which hardly follow a tilted head, and it is not
    /// called doubtful.
    pub const POINTS: Aspects = Aspects(64);
    /// All points of the face mesh, where a pack has one.
    pub const MESH: Aspects = Aspects(128);
    /// The crop that the recogniser sees, as a picture.
    pub const CROP: Aspects = Aspects(256);
    /// A small picture of the face with room around it, for people. Like quality, it is made of every face that gets a
    /// template besides.
    pub const THUMBNAIL: Aspects = Aspects(512);
    /// All of them.
    pub const ALL: Aspects = Aspects(1023);

    /// Both sets together.
    #[must_use]
    pub const fn and(self, other: Aspects) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in both sets.
    #[must_use]
    pub const fn common(self, other: Aspects) -> Self {
        Self(self.0 & other.0)
    }

    /// Whether all of `other` is in this set.
    pub const fn contains(self, other: Aspects) -> bool {
        self.0 & other.0 == other.0
    }

    /// Whether there is nothing in it.
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }
}

/// What was measured of a face; `None` is "not asked for" or "nothing installed can measure it".
#[derive(Clone, PartialEq, Default)]
pub struct Assessment {
    /// Sixty-eight landmarks.
    pub landmarks: Option<DenseLandmarks>,
    /// All points of the face mesh, where a mesh was fitted. Asked for with [`Aspects::MESH`].
    pub mesh: Option<MeshLandmarks>,
    /// How far eyes and mouth are open, where a mesh was fitted. Asked for with [`Aspects::LANDMARKS`].
    pub openness: Option<Openness>,
    /// Where the head looks.
    pub pose: Option<Pose>,
    /// How probable each expression is.
    pub expression: Option<Expressions>,
    /// Estimated age in years, 0 or more.
    pub age: Option<f32>,
    /// Estimated gender.
    pub gender: Option<GenderEstimate>,
    /// How probable it is that a living person was before the camera, 0 to 1.
    pub liveness: Option<f32>,
    /// The crop that the recogniser sees, as a PNG file. Asked for with [`Aspects::CROP`].
    pub crop: Option<Bytes>,
    /// A small picture of the face. Asked for with [`Aspects::THUMBNAIL`].
    pub thumbnail: Option<Thumbnail>,
}

// A picture of a face is never printed.
impl std::fmt::Debug for Assessment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Assessment")
            .field("landmarks", &self.landmarks)
            .field("mesh", &self.mesh)
            .field("openness", &self.openness)
            .field("pose", &self.pose)
            .field("expression", &self.expression)
            .field("age", &self.age)
            .field("gender", &self.gender)
            .field("liveness", &self.liveness)
            .field("crop_bytes", &self.crop.as_ref().map(Bytes::len))
            .field("thumbnail", &self.thumbnail)
            .finish()
    }
}

/// Sixty-eight points in the order of the iBUG 300-W annotation: 0-16 jaw from the person's right ear to the left one,
/// 17-21 right eyebrow, 22-26 left eyebrow, 27-30 bridge of the nose, 31-35 under the nose, 36-41 right eye, 42-47 left
/// eye, 48-59 outer lips, 60-67 inner lips (right and left of the person).
#[derive(Debug, Clone, PartialEq)]
pub struct DenseLandmarks(pub Box<[Point; 68]>);

/// The 468 points of MediaPipe's face mesh, in its order, in the plane of the picture.
#[derive(Clone, PartialEq)]
pub struct MeshLandmarks(pub Box<[Point; 468]>);

// The shape of a face is biometric data: no point is printed.
impl std::fmt::Debug for MeshLandmarks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("MeshLandmarks(468 points)")
    }
}

/// How far eyes and mouth are open: the height of each opening as a share of its width. Right and left of the person.
/// A mesh follows lids loosely: eyes that were painted shut on portraits still had 0.7 to 1.1 of their height.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Openness {
    /// Between the lids of the right eye.
    pub right_eye: f32,
    /// Between the lids of the left eye.
    pub left_eye: f32,
    /// Between the inner lips.
    pub mouth: f32,
    /// How much the brightness varies from corner to corner of the eyes, as a share of its mean: white, iris and white of
    /// an open eye alternate, a lid is even. The mean of both eyes, 0 or more. It falls to less than half when eyes close,
    /// but differs so much from person to person that one picture alone does not tell open from closed.
    pub eye_contrast: f32,
}

impl Openness {
    /// From which height of the inner lips the mouth is open.
    pub const MOUTH_OPEN_MIN: f32 = 0.25;

    /// Whether the mouth is open, so that teeth or a gap show.
    pub fn is_mouth_open(&self) -> bool {
        self.mouth >= Self::MOUTH_OPEN_MIN
    }
}

/// Where the head looks, in degrees, -180 to 180. All zero looks straight into the camera with upright eyes.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Pose {
    /// Above zero: the person turned the head to the person's own left, the right of the picture.
    pub yaw: f32,
    /// Above zero: the person looks up.
    pub pitch: f32,
    /// Above zero: the head is turned clockwise in the picture.
    pub roll: f32,
}

/// A facial expression.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Expression {
    /// None in particular.
    Neutral,
    /// Smiling or laughing.
    Happy,
    /// Sad.
    Sad,
    /// Angry.
    Angry,
    /// Afraid.
    Fearful,
    /// Disgusted.
    Disgusted,
    /// Surprised.
    Surprised,
}

impl Expression {
    /// Every expression, in the order of [`Expressions::0`].
    pub const ALL: [Expression; 7] = [
        Expression::Neutral,
        Expression::Happy,
        Expression::Sad,
        Expression::Angry,
        Expression::Fearful,
        Expression::Disgusted,
        Expression::Surprised,
    ];

    /// Our word for it, lower case.
    pub const fn word(self) -> &'static str {
        match self {
            Expression::Neutral => "neutral",
            Expression::Happy => "happy",
            Expression::Sad => "sad",
            Expression::Angry => "angry",
            Expression::Fearful => "fearful",
            Expression::Disgusted => "disgusted",
            Expression::Surprised => "surprised",
        }
    }
}

/// How probable each expression is, 0 to 1, in the order of [`Expression::ALL`]; they add up to 1.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Expressions(pub [f32; 7]);

impl Expressions {
    /// The most probable expression and its probability; of equals the first.
    pub fn strongest(&self) -> (Expression, f32) {
        let mut best = (Expression::Neutral, self.0[0]);
        for (expression, probability) in Expression::ALL.into_iter().zip(self.0) {
            if probability > best.1 {
                best = (expression, probability);
            }
        }
        best
    }

    /// How probable this one is.
    pub fn probability(&self, wanted: Expression) -> f32 {
        let mut pairs = Expression::ALL.into_iter().zip(self.0);
        pairs.find_map(|(expression, probability)| (expression == wanted).then_some(probability)).unwrap_or(0.0)
    }
}

/// How a face is read by the model: an estimate, not a statement about the person.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GenderEstimate {
    /// Probability of "male", 0 to 1; "female" has the rest.
    pub male: f32,
}

/// A turn in the plane of the picture, clockwise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum QuarterTurn {
    /// Upright, less than 45 degrees to either side.
    None,
    /// On its right side: the top of the head points to the right of the picture.
    Quarter,
    /// Upside down.
    Half,
    /// The top of the head points to the left of the picture.
    ThreeQuarters,
}

impl QuarterTurn {
    /// 0, 90, 180 or 270.
    pub const fn degrees(self) -> u32 {
        match self {
            QuarterTurn::None => 0,
            QuarterTurn::Quarter => 90,
            QuarterTurn::Half => 180,
            QuarterTurn::ThreeQuarters => 270,
        }
    }
}

impl Landmarks {
    /// By how much the face is turned clockwise in the plane of the picture, to the nearest quarter: where "down" from
    /// the middle of the eyes to the middle of the mouth points to.
    pub fn quarter_turn(&self) -> QuarterTurn {
        let [right_eye, left_eye, _, right_mouth, left_mouth] = self.0;
        let (x, y) = (
            right_mouth.x + left_mouth.x - right_eye.x - left_eye.x,
            right_mouth.y + left_mouth.y - right_eye.y - left_eye.y,
        );
        match (x.abs() > y.abs(), x > 0.0, y < 0.0) {
            (true, false, _) => QuarterTurn::Quarter,
            (true, true, _) => QuarterTurn::ThreeQuarters,
            (false, _, true) => QuarterTurn::Half,
            (false, _, false) => QuarterTurn::None,
        }
    }
}

impl DenseLandmarks {
    /// The jaw, 17 points.
    pub fn jaw(&self) -> &[Point] {
        &self.0[..17]
    }

    /// Both eyebrows, five points each, the person's right one first.
    pub fn eyebrows(&self) -> &[Point] {
        &self.0[17..27]
    }

    /// The nose, nine points.
    pub fn nose(&self) -> &[Point] {
        &self.0[27..36]
    }

    /// Both eyes, six points each, the person's right one first.
    pub fn eyes(&self) -> &[Point] {
        &self.0[36..48]
    }

    /// The lips, outer then inner, 20 points.
    pub fn mouth(&self) -> &[Point] {
        &self.0[48..]
    }
}

/// A figure that is too low.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityFailure {
    /// What is wrong, in a word or two: `blurred`.
    pub reason: &'static str,
    /// Which figure says so: `sharpness`.
    pub figure: &'static str,
    /// Its value.
    pub value: f32,
    /// The least that is accepted.
    pub least: f32,
}

impl std::fmt::Display for QualityFailure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // Rounded down, so that a figure just below the floor is not printed as the floor.
        let value = (self.value * 100.0).floor() / 100.0;
        write!(f, "{} ({} {value:.2}, expected at least {:.2})", self.reason, self.figure, self.least)
    }
}

#[cfg(test)]
mod tests;
