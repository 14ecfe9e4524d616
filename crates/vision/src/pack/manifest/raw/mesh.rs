//! The detector's first pass and the face mesh, as written and checked.

use serde::Deserialize;

use super::{Checked, RawCropInput, check_crop_input, check_file, check_name, within};
use crate::pack::manifest::{Detect, FirstPass, MeshFamily, MeshStage};

/// Side of a mesh's crop in sides of the face's box; the net in use takes 1.5.
const CROP_SCALE_MAX: f32 = 4.0;

/// Presence scores are logits; beyond this a probability is 0 or 1 to float precision.
const PRESENCE_MAX: f32 = 100.0;

/// Runs of the mesh for one starting tilt. Two or three converge; more only cost time.
const PASSES_MAX: u32 = 16;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawFirstPass {
    side: u32,
    score_sure: f32,
}

#[derive(Deserialize)]
enum RawMeshFamily {
    #[serde(rename = "face-mesh-468")]
    FaceMesh468,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct RawMesh {
    family: RawMeshFamily,
    file: String,
    sha256: String,
    input: RawCropInput,
    crop_scale: f32,
    presence_min: f32,
    presence_sure: f32,
    tilt_max: f32,
    passes_max: u32,
    points: String,
    presence: String,
}

/// The first pass of a detector whose other values are checked already.
pub(super) fn check_first_pass(raw: &RawFirstPass, detect: &Detect) -> Checked<FirstPass> {
    let RawFirstPass { side, score_sure } = *raw;
    within("detect.first_pass.side", side, 32, detect.side_max)?;
    within("detect.first_pass.score_sure", score_sure, detect.score_min, 1.0)?;
    Ok(FirstPass { side, score_sure })
}

pub(super) fn check_mesh(raw: RawMesh) -> Checked<MeshStage> {
    let file = check_file("mesh", raw.file, &raw.sha256)?;
    let input = check_crop_input("mesh", raw.input)?;
    within("mesh.crop_scale", raw.crop_scale, 1.0, CROP_SCALE_MAX)?;
    within("mesh.presence_min", raw.presence_min, -PRESENCE_MAX, PRESENCE_MAX)?;
    within("mesh.presence_sure", raw.presence_sure, raw.presence_min, PRESENCE_MAX)?;
    if !(raw.tilt_max > 0.0 && raw.tilt_max <= 90.0) {
        return Err(format!("`mesh.tilt_max` is {}, expected above 0 to 90 degrees", raw.tilt_max));
    }
    within("mesh.passes_max", raw.passes_max, 1, PASSES_MAX)?;
    check_name("mesh.points", &raw.points)?;
    check_name("mesh.presence", &raw.presence)?;
    if raw.points == raw.presence {
        return Err(format!("`mesh.points` and `mesh.presence` are both {:?}, expected two outputs", raw.points));
    }
    Ok(MeshStage {
        family: match raw.family {
            RawMeshFamily::FaceMesh468 => MeshFamily::FaceMesh468,
        },
        file,
        input,
        crop_scale: raw.crop_scale,
        presence_min: raw.presence_min,
        presence_sure: raw.presence_sure,
        tilt_max: raw.tilt_max,
        passes_max: raw.passes_max,
        points: raw.points,
        presence: raw.presence,
    })
}
