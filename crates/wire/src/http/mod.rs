//! Plumbing that every dialect needs and none owns: bodies, forms, JSON, request targets, request ids.
//!
//! Nothing here knows a vendor's terms or error codes: failures are small enums that each dialect maps to its own.

pub mod base64_text;
pub mod body;
pub mod budget;
pub(crate) mod codes;
pub(crate) mod failed_call;
pub mod form;
pub mod json;
pub mod keyed_ids;
pub mod media_type;
pub mod origin;
pub mod request_id;
pub(crate) mod sealed;
pub(crate) mod signing;
pub mod target;
pub mod trace;

#[cfg(test)]
mod tests;
