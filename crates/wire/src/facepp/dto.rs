//! The bodies of answers, member for member.

use std::collections::BTreeMap;

use serde::Serialize;

use super::attributes::{Attributes, Landmark};
use crate::megvii::dto::{FaceFailure, Rectangle};

/// The answer of a call that was done.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Detected { image_id: String, face_num: usize, faces: Vec<Face> },
    Compared(Box<Compared>),
    Found(Box<Found>),
    Face { face_token: String, face_rectangle: Rectangle, user_id: String, facesets: Vec<FaceSetListed> },
    UserIdSet { face_token: String, user_id: String },
    FacesChanged(FacesChanged),
    Named(FaceSetNamed),
    Detail(FaceSetDetail),
    FaceSets { facesets: Vec<FaceSetListed>, next: Option<String> },
    Accepted { task_id: String },
    Task(TaskStatus),
}

#[derive(Serialize)]
pub(super) struct TaskStatus {
    pub(super) task_id: String,
    /// 1 done, 0 not yet, -1 failed.
    pub(super) status: i8,
    /// Those of the plain call when it is done, or why it failed.
    #[serde(flatten)]
    pub(super) members: serde_json::Map<String, serde_json::Value>,
}

#[derive(Serialize)]
pub(super) struct Face {
    pub(super) face_token: String,
    pub(super) face_rectangle: Rectangle,
    pub(super) landmark: Option<Landmark>,
    pub(super) attributes: Option<Attributes>,
}

/// A picture that came with the request, and who is in it.
pub(super) struct Picture {
    pub(super) image_id: String,
    pub(super) faces: Vec<Face>,
}

#[derive(Serialize)]
pub(super) struct Compared {
    pub(super) confidence: Option<f64>,
    pub(super) thresholds: Option<BTreeMap<&'static str, f64>>,
    pub(super) image_id1: Option<String>,
    pub(super) faces1: Option<Vec<Face>>,
    pub(super) image_id2: Option<String>,
    pub(super) faces2: Option<Vec<Face>>,
}

#[derive(Serialize)]
pub(super) struct Found {
    pub(super) results: Option<Vec<FaceFound>>,
    pub(super) thresholds: Option<BTreeMap<&'static str, f64>>,
    pub(super) image_id: Option<String>,
    pub(super) faces: Option<Vec<Face>>,
}

#[derive(Serialize)]
pub(super) struct FaceFound {
    pub(super) face_token: String,
    pub(super) confidence: f64,
    pub(super) user_id: String,
}

#[derive(Serialize)]
pub(super) struct FaceSetNamed {
    pub(super) faceset_token: String,
    /// Empty if the client gave none.
    pub(super) outer_id: String,
}

/// Faces were added, or removed.
#[derive(Serialize)]
pub(super) struct FacesChanged {
    #[serde(flatten)]
    pub(super) face_set: FaceSetNamed,
    pub(super) face_added: Option<usize>,
    pub(super) face_removed: Option<usize>,
    pub(super) face_count: u64,
    pub(super) failure_detail: Vec<FaceFailure>,
}

#[derive(Serialize)]
pub(super) struct FaceSetDetail {
    #[serde(flatten)]
    pub(super) face_set: FaceSetListed,
    pub(super) user_data: String,
    pub(super) face_count: u64,
    pub(super) face_tokens: Vec<String>,
    pub(super) next: Option<String>,
}

#[derive(Serialize)]
pub(super) struct FaceSetListed {
    #[serde(flatten)]
    pub(super) named: FaceSetNamed,
    pub(super) display_name: String,
    pub(super) tags: String,
}
