//! Model packs: a folder with a manifest that states everything a pipeline needs to know about its models.
//!
//! This room ends where files end: it knows digests, archives and folders, but no pixel and no runtime. Start at
//! [`ensure_default`] to get a working installation, at [`install_pack`] for the stages beyond it, at [`Manifest`] for what a pack is, at [`Home`] for where it lives.
//! A user's own pack needs no install: it is a folder with a manifest under `packs/`.

mod calibration;
mod digest;
mod home;
mod install;
mod installed;
mod manifest;
mod openvino;
mod own_points;
mod progress;

mod archive;
mod archives;
mod client;
mod files;
mod recipe;

use likeness_domain::{Error, Kind};

pub use archives::Source;
pub use calibration::{calibration_text, install_calibration, remove_calibration};
pub use digest::Digest;
pub use home::{HOME_VAR, Home, RuntimeLibrary};
pub use install::{Installed, ensure_default, install, install_pack};
pub use installed::{Finding, InstalledPack, has_runtime, list, load, open, runtime, verify};
pub use manifest::{
    AgeGenderStage, Align, AlignTemplate, AssessStages, ColourOrder, CropInput, DETECT_SIDE_MAX, Detect, DetectFamily,
    DetectFrame, DetectInput, Embed, EmbedFamily, ExpressionStage, FirstPass, Landmarks68Stage, LivenessModel,
    LivenessStage, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, MeshFamily, MeshStage, ModelFile, PackDescription,
    Recognition, Score,
};
pub use openvino::{has_openvino, openvino};
pub use progress::{Progress, Stage};
pub use recipe::{Installable, default_pack_id, earlier_default_pack_ids, is_installable};

/// Something about packs that does not work, and its cure.
fn unavailable(message: impl Into<String>, hint: impl Into<String>) -> Error {
    Error::new(Kind::PackUnavailable, message).with_hint(hint)
}
