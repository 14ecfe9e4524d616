//! Liveness of clips and pictures.

use serde::{Deserialize, Serialize};

use super::{Detection, Image};

/// Request to judge whether a living person is in a clip, or in a picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liveness {
    /// The clip if actions are named, else the picture.
    pub image: Image,
    /// What the person was asked to do, in that order: words between commas, as in `turn_left,nod`.
    pub actions: Option<String>,
    /// When each may happen: `start-end` in milliseconds between commas, one for each action.
    pub windows: Option<String>,
    /// Least change of pitch of a nod in degrees, 1 to 90.
    pub nod_degrees: Option<f32>,
}

/// Whether a living person is in a clip or a picture.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Judged {
    /// The verdict.
    pub alive: bool,
    /// Of a picture: how probable that is, 0 to 1.
    pub probability: Option<f32>,
    /// Of a picture: the face that was judged.
    pub face: Option<Detection>,
    /// Of a clip: what was seen, in the order asked for.
    pub actions: Option<Vec<SeenAction>>,
    /// Of a clip: its length.
    pub duration_ms: Option<u32>,
    /// What was amiss, in words such as `several_faces`.
    pub remarks: Vec<String>,
}

/// What was seen of an action.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct SeenAction {
    /// Which one.
    pub action: String,
    /// How clearly, 0 to 1; from 0.5 on it counts.
    pub confidence: f32,
}
