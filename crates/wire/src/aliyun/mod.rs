//! The dialect of Alibaba Cloud Content Moderation ("Green"), API 2018-05-09, as far as it is about faces: custom face
//! retrieval (`/green/sface/..`), the image scan scenes built on it, face detection and upload credentials.
//!
//! # Terms
//! | Theirs | Ours |
//! |---|---|
//! | account, account uid | tenant, its id as 32 hex digits |
//! | group | face set, by name |
//! | person, `personId` | person, its key |
//! | face, `faceId` | face, its id as a number |
//! | `rate` | what [`scale`] makes of a similarity |
//!
//! # Three levels of failure
//! The gateway refuses with an HTTP status and Pascal-case members, which is all that the oldest client understands;
//! everything after authentication is HTTP 200 with a code in the envelope; what concerns one image or one task has its
//! code there. Envelopes of success may therefore hold nothing but failures.
//!
//! # Order of checks
//! Path, method, version, `Authorization`, time, key, body digest, signature, nonce, security token, quota, body,
//! members, and then the library's.
//!
//! # Known differences
//! They are listed, with the reasons, in `docs/aliyun.md`.
//!
//! Start at [`routes`]; [`errors`] holds every code.

mod auth;
mod call;
mod client_info;
mod convert;
mod dto;
mod errors;
mod handlers;
mod image;
mod jobs;
mod operations;
mod params;
mod routes;
mod scale;
mod scan;
mod scan_result;
mod settings;
mod uploads;
mod workers;

#[cfg(test)]
mod tests;

pub use operations::ADAPTER;
pub(crate) use operations::BUCKET;
pub(crate) use routes::Aliyun;
pub use settings::{Settings, UploadEndpoint};
pub(crate) use workers::workers;
#[cfg(any(test, feature = "fuzz"))]
pub use {
    auth::{fuzz_acs3, fuzz_signature},
    client_info::fuzz_client_info,
    uploads::fuzz_upload,
};
