//! The dialect of Face++ v3: detection, comparison and face sets under `/facepp/v3/`.
//!
//! # Terms
//! | Theirs | Ours |
//! |---|---|
//! | owner of an api_key | tenant |
//! | FaceSet, `outer_id` | face set, its name; a set made without one has a name of ours ([`convert::Names`]) |
//! | `faceset_token` | face set id as 32 hex digits ([`crate::http::keyed_ids`]) |
//! | `display_name`, `user_data`, `tags` | label, note and tags of the face set |
//! | face found by `detect` | transient face |
//! | `face_token` | source face of a face, transient or enrolled, as 32 hex digits |
//! | `user_id` | subject of the face |
//! | confidence, thresholds | what [`scale`] makes of a similarity |
//!
//! A picture in `detect`, `compare` or `search` has its faces kept for a while as transient faces, so that the tokens in
//! the answer can be used. No face in it is no error: the answer has no faces.
//!
//! # Order of checks
//! Path and method, size of the body, key, rate, required fields, their formats, tokens, face set, image. So a request
//! without a key never learns whether a face set exists.
//!
//! # Known differences
//! They are listed, with the reasons, in `docs/facepp.md`.
//!
//! Start at [`routes`]; [`errors`] holds every error.

mod attributes;
mod auth;
mod call;
mod convert;
mod dto;
mod errors;
mod face_sets;
mod faces;
mod image;
mod operations;
mod points;
mod routes;
mod scale;
mod settings;
mod tasks;

#[cfg(test)]
mod tests;

pub(crate) use call::Facepp;
pub use operations::ADAPTER;
pub use settings::Settings;
pub(crate) use tasks::workers;
