//! Members that answers of several dialects have.

use likeness_domain::types::BoundingBox;
use serde::Serialize;

/// Where a face is, in pixels of the upright picture.
#[derive(Serialize)]
pub(crate) struct Rectangle {
    top: u32,
    left: u32,
    width: u32,
    height: u32,
}

impl From<BoundingBox> for Rectangle {
    fn from(BoundingBox { left, top, width, height }: BoundingBox) -> Self {
        Self { top, left, width, height }
    }
}

/// A face of a list for which nothing was done, and why.
#[derive(Serialize)]
pub(crate) struct FaceFailure {
    pub(crate) face_token: String,
    pub(crate) reason: &'static str,
}
