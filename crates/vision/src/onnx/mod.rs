//! ONNX files as data: read, changed and written without any runtime.
//!
//! What is read is half-trusted: [`parse`] bounds bytes and records before anything is allocated, and no function here
//! panics on a damaged model. Start at [`fold`], which turns block-quantised weights into plain ones, and at [`face_api`],
//! which makes models of weights that come without a graph.

pub mod message;

mod bounds;
pub(crate) mod build;
pub(crate) mod constant;
mod faceapi;
mod fold;
mod prelu;

#[cfg(test)]
pub(crate) mod tests;

use bytes::Bytes;
use likeness_domain::{Error, Kind, Result};
use prost::Message as _;

pub use bounds::{MODEL_BYTES_MAX, RECORDS_MAX};
pub use faceapi::{FaceApiNet, face_api};
pub use fold::{InputSize, fold};
pub use prelu::ease_prelu;

/// Reads a model. Errors are [`Kind::PackUnavailable`]: too large, or not an ONNX file.
pub fn parse(bytes: Bytes) -> Result<message::Model> {
    bounds::check(&bytes).map_err(damaged)?;
    message::Model::decode(bytes).map_err(|err| damaged("not an ONNX model").with_source(err))
}

/// Writes a model. The same model always gives the same bytes.
pub fn write(model: &message::Model) -> Vec<u8> {
    model.encode_to_vec()
}

pub(crate) fn damaged(problem: impl Into<String>) -> Error {
    // Names in a damaged file may be megabytes long.
    let problem: String = problem.into().chars().take(300).collect();
    Error::new(Kind::PackUnavailable, format!("model file: {problem}"))
}
