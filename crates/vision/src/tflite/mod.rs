//! TFLite models, made into ONNX models.
//!
//! Known are the operations of nets of convolutions with 16 or 32-bit float weights; see [`to_onnx`]. A file is
//! half-trusted: offsets, counts and sizes are checked, nothing here panics on a damaged one, and what a conversion
//! allocates is bounded by the size of the file.

mod convert;
mod graph;
mod table;

#[cfg(test)]
mod tests;

use likeness_domain::Result;

use crate::onnx::{MODEL_BYTES_MAX, damaged, message};

/// An output of a TFLite model, and what it is called from then on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Output {
    /// Its name in the ONNX model.
    pub name: String,
    /// How many numbers it has.
    pub n_numbers: usize,
}

/// Makes an ONNX model that computes the same: `input` of shape [1, channels, height, width] where the TFLite model has
/// [1, height, width, channels], and one list [1, n] for each of `outputs`, which are named in the file's order and keep the
/// order of the TFLite model's numbers. Weights of 16-bit floats become 32-bit ones. The same file always gives the same
/// bytes.
///
/// Known are ADD, CONV_2D, DEPTHWISE_CONV_2D, DEQUANTIZE (of constants), MAX_POOL_2D, PAD (with zeros) and PRELU (one slope
/// per channel). Errors are [`likeness_domain::Kind::PackUnavailable`].
pub fn to_onnx(file: &[u8], outputs: &[Output]) -> Result<message::Model> {
    if file.len() > MODEL_BYTES_MAX {
        return Err(damaged(format!("has {} bytes, expected at most {MODEL_BYTES_MAX}", file.len())));
    }
    graph::read(file).and_then(|graph| convert::convert(&graph, file.len(), outputs)).map_err(damaged)
}
