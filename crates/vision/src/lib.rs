//! From bytes to templates: decode, detect, align, embed, and the model packs that say how.
//!
//! This crate must never know a wire format or a store; it fulfils `likeness_domain::ports::FaceAnalyzer`.

pub mod align;
pub mod assess;
pub mod crop;
pub mod decode;
pub mod detect;
pub mod draw;
pub mod embed;
pub mod find;
pub mod memory;
pub mod mesh;
pub mod onnx;
pub mod pack;
pub mod pipeline;
pub mod pool;
pub mod pyramid;
pub mod raster;
pub mod runtime;
pub mod stages;
mod tensor;
pub mod tflite;
mod thumbnail;
