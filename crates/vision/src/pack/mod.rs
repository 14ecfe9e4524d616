//! Model packs: a folder with a manifest that states everything a pipeline needs to know about its models.
//!
//! This room ends where files end: it knows digests, archives and folders, but no tensor, no pixel and no runtime.
//! Start at [`Manifest`] for what a pack is.

mod digest;
mod manifest;

pub use digest::Digest;
pub use manifest::{
    Align, AlignTemplate, ColourOrder, DETECT_SIDE_MAX, Detect, DetectFamily, DetectFrame, DetectInput, Embed,
    EmbedFamily, EmbedInput, MANIFEST_BYTES_MAX, MANIFEST_FILE, Manifest, ModelFile, PackDescription, Score,
};
