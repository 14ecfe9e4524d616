//! What a face library is: its types, its rules, its use cases and the ports it needs.
//!
//! This crate must never know a wire format, a database, a pixel or a model: no serialisation, no HTTP, no SQL,
//! no ONNX. The rooms around it translate; it decides. Start at [`library::Library`] to see what it can do and
//! at [`ports`] to see what it asks of others.

pub mod access;
pub mod error;
pub mod filter;
pub mod library;
pub mod limits;
pub mod liveness;
pub mod policy;
pub mod ports;
pub mod score;
pub mod settings;
pub mod types;

pub use error::{Error, Kind, Repeated, Result};
