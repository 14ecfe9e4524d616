//! Where faces are kept and searched: the gallery stores and the vector index.
//!
//! This crate must never know a wire format, a pixel or a policy: it keeps what it is given and says what it has.
//! The contract is [`likeness_domain::ports`]; every backend proves it with the same cases.

pub mod archives;
pub mod conformance;
pub mod embedded;
pub mod folder;
pub mod index;
pub mod memory;
pub mod migration;
#[cfg(feature = "milvus")]
pub mod milvus;
pub mod open;
#[cfg(feature = "postgres")]
pub mod postgres;

mod bounds;
mod clock;
mod commits;
mod gallery;
mod id;
mod pace;
mod shares;
mod wait;
