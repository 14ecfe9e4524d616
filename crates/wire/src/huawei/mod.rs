//! The dialect of Huawei Cloud Face Recognition Service (FRS), API v2, with the v1 paths of its older clients and the
//! two IAM calls clients make on the way (token, project look-up).
//!
//! # Terms
//! | Theirs | Ours |
//! |---|---|
//! | project, project id | tenant, its id as 32 hex digits |
//! | account (domain), IAM user, password | tenant name, access key id, its secret |
//! | face set, face | the same; ids are spelled as eight letters ([`ids`]) |
//! | `external_image_id` | subject |
//! | `external_fields` | custom fields |
//! | `similarity` | confidence, made by [`scale`] |
//!
//! # Projects
//! A tenant is one project. Its name is asked for by clients that know only a region, so every region name of the
//! vendor, each with any sub-project suffix (`cn-north-4_staging`), and the configured name all mean the one project
//! of whoever asks. Other names are unknown.
//!
//! # Order of checks
//! Route, authentication, project, size, media type and JSON, required members, formats, face set, custom fields,
//! image, faces, quotas. The first that fails is the answer.
//!
//! # Known differences
//! They are listed, with the reasons, in `docs/huawei.md`.
//!
//! Start at [`routes`]; [`errors`] holds every code.

mod auth;
mod call;
mod convert;
mod dto;
mod errors;
mod handlers;
mod iam;
mod ids;
mod image;
mod keystone;
mod liveness;
mod operations;
mod params;
mod python;
mod routes;
mod scale;
mod settings;

#[cfg(test)]
mod tests;

pub use auth::sign;
pub(crate) use call::Huawei;
pub use operations::ADAPTER;
pub use settings::Settings;
#[cfg(any(test, feature = "fuzz"))]
pub use {auth::fuzz_signature, iam::fuzz_keystone, python::fuzz_python};
