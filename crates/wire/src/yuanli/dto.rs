//! The bodies of answers, member for member. Members that are there only for clients that might look for them are
//! `Option`s; see [`super::Settings::superset_responses`].

use std::collections::BTreeMap;

use serde::Serialize;

use crate::megvii::dto::{FaceFailure, Rectangle};

/// The answer of a call that was done.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Answer {
    Created(GroupCreated),
    Freed { group_id: String },
    Groups { group_infos: Vec<GroupInfo> },
    Group { info: GroupInfo },
    Added(Box<FaceAdded>),
    Deleted { group_id: String, face_removed: usize, face_count: u64, failure_detail: Vec<FaceFailure> },
    Faces { face_tokens: Vec<FaceInfo>, next: Option<Next> },
    Face { info: FaceInfo },
    Found(Box<FacesFound>),
}

#[derive(Serialize)]
pub(super) struct GroupCreated {
    /// Without times and counts.
    #[serde(flatten)]
    pub(super) group: GroupInfo,
    pub(super) info: Option<GroupInfo>,
}

#[derive(Serialize, Clone)]
pub(super) struct GroupInfo {
    pub(super) group_id: String,
    pub(super) group_name: String,
    pub(super) group_data: String,
    pub(super) model_version: &'static str,
    /// ISO 8601 with offset, unlike that of a face.
    pub(super) add_time: Option<String>,
    pub(super) face_count: Option<u64>,
}

#[derive(Serialize, Clone)]
pub(super) struct FaceInfo {
    pub(super) face_token: String,
    pub(super) user_id: String,
    pub(super) user_data: String,
    /// Milliseconds since 1970, unlike that of a library.
    pub(super) add_time: Option<i64>,
}

#[derive(Serialize)]
pub(super) struct FaceAdded {
    pub(super) group_id: String,
    #[serde(flatten)]
    pub(super) face: FaceInfo,
    #[serde(flatten)]
    pub(super) more: Option<MoreOfFaceAdded>,
}

#[derive(Serialize)]
pub(super) struct MoreOfFaceAdded {
    pub(super) face_added: u32,
    pub(super) face_count: u64,
    pub(super) failure_detail: Vec<FaceFailure>,
    pub(super) info: FaceInfo,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Next {
    Text(String),
    Number(u64),
}

#[derive(Serialize)]
pub(super) struct FacesFound {
    pub(super) group_id: String,
    pub(super) results: Vec<FaceFound>,
    #[serde(flatten)]
    pub(super) more: Option<MoreOfFacesFound>,
}

#[derive(Serialize)]
pub(super) struct MoreOfFacesFound {
    pub(super) model_version: &'static str,
    pub(super) faces: Vec<ProbeFace>,
    pub(super) thresholds: BTreeMap<&'static str, u32>,
}

#[derive(Serialize)]
pub(super) struct FaceFound {
    #[serde(flatten)]
    pub(super) face: FaceInfo,
    pub(super) confidence: f64,
    pub(super) score: Option<f64>,
}

#[derive(Serialize)]
pub(super) struct ProbeFace {
    pub(super) face_rectangle: Rectangle,
}
