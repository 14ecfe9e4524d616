//! What was measured of a face, in the vendor's terms. What was not measured is left out, never invented.

use std::collections::BTreeMap;

use likeness_domain::ports::{Assess, FaceChoice};
use likeness_domain::types::{Aspects, Assessment, Detection, Expression, Openness, Point, Quality};
use serde::Serialize;

use super::errors::Failure;
use super::points::{self, Set};
use crate::http::json::rounded;
use crate::megvii::fields::Fields;

/// Faces that get landmarks and attributes unless all are asked for.
const ASSESSED_DEFAULT: usize = 5;
/// From which probability a smile is one; the vendor's own number.
const SMILE_THRESHOLD: f64 = 50.0;

/// Decimals of a number, as the vendor has them.
const DECIMALS: i32 = 3;

/// Attributes a client may ask for, and what has to be measured for them; nothing for those no stage measures.
const ATTRIBUTES: [(&str, Aspects); 13] = [
    ("gender", Aspects::AGE_AND_GENDER),
    ("age", Aspects::AGE_AND_GENDER),
    ("smiling", Aspects::EXPRESSION),
    ("headpose", Aspects::POSE),
    ("facequality", Aspects::QUALITY),
    ("blur", Aspects::QUALITY),
    ("emotion", Aspects::EXPRESSION),
    ("eyestatus", Aspects::NONE),
    ("ethnicity", Aspects::NONE),
    ("beauty", Aspects::NONE),
    ("mouthstatus", Aspects::LANDMARKS),
    ("eyegaze", Aspects::NONE),
    ("skinstatus", Aspects::NONE),
];

/// What a client wants to know of the faces in a picture.
pub(super) struct Wanted {
    landmark: Option<Set>,
    /// Names of attributes, each of [`ATTRIBUTES`].
    attributes: Vec<&'static str>,
    faces: FaceChoice,
}

impl Wanted {
    /// Where faces are, and nothing else.
    pub(super) const NOTHING: Wanted = Wanted { landmark: None, attributes: Vec::new(), faces: FaceChoice::None };

    pub(super) fn read(fields: &Fields) -> Result<Self, Failure> {
        let landmark = match fields.text("return_landmark")? {
            None | Some("0") => None,
            Some("1") => Some(Set::Of83),
            Some("2") => Some(Set::Of106),
            Some(_) => return Err(Failure::malformed("return_landmark")),
        };
        let mut attributes = Vec::new();
        for word in fields.text("return_attributes")?.unwrap_or("none").split(',').map(str::trim_ascii) {
            match ATTRIBUTES.iter().find(|(name, _)| *name == word) {
                Some((name, _)) => attributes.push(*name),
                None if word == "none" => {}
                None => return Err(Failure::malformed("return_attributes")),
            }
        }
        let all = fields.switch("calculate_all")?.unwrap_or(false);
        let faces = if all { FaceChoice::All } else { FaceChoice::LargestFew(ASSESSED_DEFAULT) };
        Ok(Self { landmark, attributes, faces })
    }

    /// What has to be measured.
    pub(super) fn assess(&self) -> Assess {
        let needed = ATTRIBUTES.iter().filter(|(name, _)| self.attributes.contains(name));
        let aspects = needed.fold(Aspects::NONE, |sum, (_, aspects)| sum.and(*aspects));
        let aspects =
            if self.landmark.is_some() { aspects.and(Aspects::LANDMARKS).and(Aspects::MESH) } else { aspects };
        Assess { aspects, faces: self.faces }
    }

    /// Whether the face at this place in the order of sizes gets what is wanted.
    fn is_assessed(&self, face_idx: usize) -> bool {
        face_idx < self.faces.count(face_idx + 1)
    }

    /// The landmarks of a face, if they are wanted of it.
    pub(super) fn landmark(&self, face_idx: usize, at: &Detection, measured: &Assessment) -> Option<Landmark> {
        self.landmark.filter(|_| self.is_assessed(face_idx)).map(|set| landmark(at, measured, set))
    }

    /// The attributes of a face, if some are wanted of it.
    pub(super) fn attributes(&self, face_idx: usize, measured: &Assessment, quality: &Quality) -> Option<Attributes> {
        let is_wanted = !self.attributes.is_empty() && self.is_assessed(face_idx);
        is_wanted.then(|| attributes(&self.attributes, measured, quality))
    }
}

/// Points by the vendor's names; left and right are those of the picture.
pub(super) type Landmark = BTreeMap<String, Place>;

#[derive(Serialize)]
pub(super) struct Place {
    x: i32,
    y: i32,
}

/// Points of the sixty-eight that the vendor has as well, for faces without a mesh.
const DENSE: [(&str, usize); 15] = [
    ("contour_chin", 8),
    ("left_eyebrow_left_corner", 17),
    ("right_eyebrow_right_corner", 26),
    ("left_eye_left_corner", 36),
    ("left_eye_right_corner", 39),
    ("right_eye_left_corner", 42),
    ("right_eye_right_corner", 45),
    ("nose_tip", 30),
    ("mouth_left_corner", 48),
    ("mouth_right_corner", 54),
    ("mouth_upper_lip_top", 51),
    ("mouth_upper_lip_bottom", 62),
    ("mouth_lower_lip_top", 66),
    ("mouth_lower_lip_bottom", 57),
    ("nose_middle_contour", 33),
];

/// The five points of every detection.
const SPARSE: [&str; 5] =
    ["left_eye_center", "right_eye_center", "nose_tip", "mouth_left_corner", "mouth_right_corner"];

fn landmark(at: &Detection, measured: &Assessment, set: Set) -> Landmark {
    if let Some(mesh) = &measured.mesh {
        return points::named(mesh, set).into_iter().map(|(name, point)| (name, place(point))).collect();
    }
    // The picture's left is the person's right, which comes first in ours.
    let mut points: Landmark =
        SPARSE.into_iter().zip(at.landmarks.0).map(|(name, point)| (name.to_owned(), place(point))).collect();
    if let Some(dense) = &measured.landmarks {
        points.extend(DENSE.into_iter().map(|(name, point_idx)| (name.to_owned(), place(dense.0[point_idx]))));
    }
    points
}

fn place(point: Point) -> Place {
    Place { x: point.x.round() as i32, y: point.y.round() as i32 }
}

/// What was measured of what was wanted.
#[derive(Serialize)]
pub(super) struct Attributes {
    gender: Option<Value<&'static str>>,
    age: Option<Value<u32>>,
    smile: Option<Graded>,
    headpose: Option<HeadPose>,
    facequality: Option<Value<f64>>,
    blur: Option<Blur>,
    emotion: Option<BTreeMap<&'static str, f64>>,
    mouthstatus: Option<MouthStatus>,
}

/// Percentages that add up to 100. The vendor's `surgical_mask_or_respirator` and `other_occlusion` are not measured.
#[derive(Serialize)]
struct MouthStatus {
    open: f64,
    close: f64,
}

#[derive(Serialize)]
struct Value<T> {
    value: T,
}

#[derive(Serialize)]
struct Graded {
    value: f64,
    threshold: f64,
}

#[derive(Serialize)]
struct HeadPose {
    pitch_angle: f64,
    roll_angle: f64,
    yaw_angle: f64,
}

#[derive(Serialize)]
struct Blur {
    blurness: Value<f64>,
}

fn attributes(wanted: &[&str], measured: &Assessment, quality: &Quality) -> Attributes {
    let wants = |name: &str| wanted.contains(&name);
    let value = |share: f32| Value { value: percent(share) };
    let expression = |name: &str| measured.expression.as_ref().filter(|_| wants(name));
    Attributes {
        gender: measured.gender.filter(|_| wants("gender")).map(|gender| {
            let value = if gender.male >= 0.5 { "Male" } else { "Female" };
            Value { value }
        }),
        age: measured.age.filter(|_| wants("age")).map(|age| Value { value: age.round() as u32 }),
        smile: expression("smiling").map(|measured| {
            let value = percent(measured.probability(Expression::Happy));
            Graded { value, threshold: SMILE_THRESHOLD }
        }),
        headpose: measured.pose.filter(|_| wants("headpose")).map(|pose| HeadPose {
            pitch_angle: rounded(pose.pitch, DECIMALS),
            roll_angle: rounded(pose.roll, DECIMALS),
            yaw_angle: rounded(pose.yaw, DECIMALS),
        }),
        facequality: quality.total.filter(|_| wants("facequality")).map(value),
        blur: quality.sharpness.filter(|_| wants("blur")).map(|sharp| Blur { blurness: value(1.0 - sharp) }),
        emotion: expression("emotion").map(|measured| {
            Expression::ALL.map(|expression| (emotion(expression), percent(measured.probability(expression)))).into()
        }),
        mouthstatus: measured.openness.filter(|_| wants("mouthstatus")).map(|openness| {
            // Half at the height of the lips that counts as open, all at twice of it.
            let open = percent((openness.mouth / (2.0 * Openness::MOUTH_OPEN_MIN)).clamp(0.0, 1.0));
            MouthStatus { open, close: rounded(100.0 - open, DECIMALS) }
        }),
    }
}

/// The vendor's name of an expression.
fn emotion(expression: Expression) -> &'static str {
    match expression {
        Expression::Neutral => "neutral",
        Expression::Happy => "happiness",
        Expression::Sad => "sadness",
        Expression::Angry => "anger",
        Expression::Fearful => "fear",
        Expression::Disgusted => "disgust",
        Expression::Surprised => "surprise",
    }
}

/// 0 to 1 as 0 to 100.
fn percent(share: f32) -> f64 {
    rounded(f64::from(share) * 100.0, DECIMALS)
}

#[cfg(test)]
mod tests;
