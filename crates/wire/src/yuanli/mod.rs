//! The dialect of Yuanli (yljz) FinAuth FaceSearch: nine calls under `/finauth/search/group/`.
//!
//! # Terms
//! | Theirs | Ours |
//! |---|---|
//! | owner of an api_key | tenant |
//! | library, `group_id` | face set, its name |
//! | `group_name`, `group_data` | label and note of the face set |
//! | `face_token` | face id as 32 hex digits ([`crate::http::keyed_ids`]) |
//! | `user_id`, `user_data` | subject and note of the face |
//! | score, confidence, threshold | what [`scale`] makes of a similarity |
//!
//! `list` lists faces and `group_list` lists libraries; `delete` deletes faces and `free` deletes a library.
//!
//! # Order of checks
//! Path and method, size of the body, signature, rate, required fields in the order of the vendor's tables, their formats
//! in the same order, library, image, faces, quotas. So an unsigned request never learns whether a library exists.
//!
//! # Known differences
//! They are listed, with the reasons, in `docs/yuanli.md`.
//!
//! Start at [`routes`]; [`errors`] holds every error.

mod auth;
mod call;
mod convert;
mod dto;
mod errors;
mod handlers;
mod image;
mod operations;
mod routes;
mod scale;
mod settings;

#[cfg(test)]
mod tests;

#[cfg(any(test, feature = "fuzz"))]
pub use auth::fuzz_sign;
pub use operations::ADAPTER;
pub(crate) use routes::Yuanli;
pub use settings::{BadSign, NextType, Settings, TimeOffset};
