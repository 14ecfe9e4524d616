//! Whether a living person is in a clip, judged from what was measured of its pictures: pure functions over a
//! [`Track`], so that everything here is tested without a picture.
//!
//! The person was asked for [`Action`]s. They count when they are seen in the order asked for, done by one and the same
//! face, alone before the camera, and when the face moved as a body and not as a sheet of paper. What this cannot see:
//! a replayed or generated clip that shows the right actions, and a mask worn by a person. Nothing here was measured on
//! attacks in the field.
//!
//! Start at [`judge`].

mod flat;
mod identity;
mod movement;

use crate::types::{DenseLandmarks, Detection, Openness, Pose, Similarity, Template};

pub use flat::{depth, foreshortening};

/// Something a person is asked to do before the camera. Left and right are the person's own.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Action {
    /// Turn the head to the left.
    TurnLeft,
    /// Turn the head to the right.
    TurnRight,
    /// Nod.
    Nod,
    /// Open the mouth.
    OpenMouth,
    /// Close the eyes for a moment.
    Blink,
}

impl Action {
    /// Every action.
    pub const ALL: [Action; 5] = [Action::TurnLeft, Action::TurnRight, Action::Nod, Action::OpenMouth, Action::Blink];

    /// Our word for it.
    pub const fn word(self) -> &'static str {
        match self {
            Action::TurnLeft => "turn_left",
            Action::TurnRight => "turn_right",
            Action::Nod => "nod",
            Action::OpenMouth => "open_mouth",
            Action::Blink => "blink",
        }
    }

    /// Whether the whole head moves, so that a picture held before the camera can be told by moving flat.
    const fn moves_the_head(self) -> bool {
        matches!(self, Action::TurnLeft | Action::TurnRight | Action::Nod)
    }
}

/// An action asked for, and when it may happen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WantedAction {
    /// Which one.
    pub action: Action,
    /// From and until which millisecond of the clip; `None` is any time after the action before it.
    pub window_ms: Option<(u32, u32)>,
}

/// A reason why a person was not found alive, or a flaw of what was looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LivenessReason {
    /// The clip does not begin with the face towards the camera.
    NotFrontal,
    /// More than one face was seen, at once or one after another.
    SeveralFaces,
    /// No face was seen.
    NoFace,
    /// An action was not seen, or not clearly enough, where it should have been.
    SmallMovement,
    /// The face was lost too often, moved like a flat picture, or does not look like that of a living person.
    NotReal,
    /// No picture shows the face well enough to be returned.
    NoGoodPicture,
    /// The picture's quality is low as a whole.
    LowQuality,
    /// The face is blurred.
    Blurred,
    /// The face is turned away too far.
    Turned,
    /// Something hides part of the face.
    Hidden,
    /// The face is too dark, or too bright.
    Dark,
}

impl LivenessReason {
    /// Our word for it.
    pub const fn word(self) -> &'static str {
        match self {
            LivenessReason::NotFrontal => "not_frontal",
            LivenessReason::SeveralFaces => "several_faces",
            LivenessReason::NoFace => "no_face",
            LivenessReason::SmallMovement => "small_movement",
            LivenessReason::NotReal => "not_real",
            LivenessReason::NoGoodPicture => "no_good_picture",
            LivenessReason::LowQuality => "low_quality",
            LivenessReason::Blurred => "blurred",
            LivenessReason::Turned => "turned",
            LivenessReason::Hidden => "hidden",
            LivenessReason::Dark => "dark",
        }
    }
}

/// A clip as far as faces are concerned: what its pictures show, in order of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Track(pub Vec<Moment>);

/// One picture of a clip.
#[derive(Debug, Clone, PartialEq)]
pub struct Moment {
    /// Milliseconds since the first picture.
    pub at_ms: u32,
    /// The largest face.
    pub face: Option<TrackedFace>,
    /// Whether another face is at least half as wide and high.
    pub has_company: bool,
}

/// The largest face of one picture.
#[derive(Debug, Clone, PartialEq)]
pub struct TrackedFace {
    /// Where it is.
    pub detection: Detection,
    /// Where it looks.
    pub pose: Pose,
    /// Its points.
    pub landmarks: DenseLandmarks,
    /// How far eyes and mouth are open, if that was measured; otherwise the points tell it.
    pub openness: Option<Openness>,
    /// Who it resembles.
    pub template: Template,
}

impl TrackedFace {
    /// Whether pose and points come from a face mesh.
    fn has_mesh(&self) -> bool {
        self.openness.is_some()
    }
}

/// How strictly to judge.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct JudgeRules {
    /// Least change of pitch of a nod, in degrees.
    pub nod_degrees: f32,
    /// Least similarity of two pictures of one person in one clip.
    pub similarity_min: Similarity,
}

/// What was seen of an action.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct SeenAction {
    /// Which one was asked for.
    pub action: Action,
    /// How clearly it was seen, 0 to 1: one half is the least that counts, 1 is twice the needed movement or more.
    pub confidence: f32,
}

impl SeenAction {
    /// Whether it counts.
    pub fn is_seen(&self) -> bool {
        self.confidence >= 0.5
    }
}

/// The answer of [`judge`].
#[derive(Debug, Clone, PartialEq)]
pub struct Judgement {
    /// Whether all is well: every action was seen, and there is no reason but [`LivenessReason::NoGoodPicture`].
    pub is_alive: bool,
    /// What was asked for, in that order.
    pub actions: Vec<SeenAction>,
    /// Which moment shows the face best: frontal, of the one person, and largest.
    pub best: Option<usize>,
    /// What was amiss, each at most once.
    pub reasons: Vec<LivenessReason>,
}

/// Moments with a face that a judgement needs: half a second of them.
const FACES_MIN: usize = 6;

/// Moments that tell where the face looks at first: a quarter of a second of them, of which the middle value counts.
const FIRST_MOMENTS: usize = 3;

/// Degrees of yaw and pitch up to which a face looks into the camera: what a phone held low or to the side makes of a
/// person who looks at its screen.
const FRONTAL_DEGREES: f32 = 20.0;

/// Judges a clip.
pub fn judge(track: &Track, wanted: &[WantedAction], rules: JudgeRules) -> Judgement {
    let faces: Vec<(usize, &TrackedFace)> =
        track.0.iter().enumerate().filter_map(|(idx, moment)| Some((idx, moment.face.as_ref()?))).collect();
    let unseen = || wanted.iter().map(|wanted| SeenAction { action: wanted.action, confidence: 0.0 }).collect();
    if faces.len() < FACES_MIN {
        let reason = if faces.is_empty() { LivenessReason::NoFace } else { LivenessReason::NotReal };
        return Judgement { is_alive: false, actions: unseen(), best: None, reasons: vec![reason] };
    }
    let mut reasons = Vec::new();
    let first = movement::first_pose(&faces);
    if !is_frontal(&first) {
        reasons.push(LivenessReason::NotFrontal);
    }
    let is_same = identity::of_one_person(&faces, rules.similarity_min);
    let n_company = track.0.iter().filter(|moment| moment.has_company).count();
    // One moment may be a detector's mistake.
    if n_company > 1 || !identity::is_one_person(&is_same) {
        reasons.push(LivenessReason::SeveralFaces);
    }
    let mut is_flat = false;
    let actions = movement::seen_in_order(track, &faces, &is_same, wanted, rules.nod_degrees, &mut is_flat);
    if actions.iter().any(|action| !action.is_seen()) {
        reasons.push(LivenessReason::SmallMovement);
    }
    // A face that is lost in a third of the pictures was shown to the camera, not sitting before it.
    if is_flat || faces.len() * 3 < track.0.len() * 2 {
        reasons.push(LivenessReason::NotReal);
    }
    let is_alive = reasons.is_empty();
    let best = best(&faces, &is_same);
    if best.is_none() {
        reasons.push(LivenessReason::NoGoodPicture);
    }
    Judgement { is_alive, actions, best, reasons }
}

/// Whether the face looks into the camera.
pub fn is_frontal(pose: &Pose) -> bool {
    pose.yaw.abs() <= FRONTAL_DEGREES && pose.pitch.abs() <= FRONTAL_DEGREES
}

/// The moment with the largest frontal face of the one person; of equals the first.
fn best(faces: &[(usize, &TrackedFace)], is_same: &[bool]) -> Option<usize> {
    let fitting = faces.iter().zip(is_same).filter(|((_, face), is_same)| **is_same && is_frontal(&face.pose));
    fitting
        .map(|((moment_idx, face), _)| (face.detection.bounding_box.area(), *moment_idx))
        .max_by_key(|&(area, moment_idx)| (area, std::cmp::Reverse(moment_idx)))
        .map(|(_, moment_idx)| moment_idx)
}
