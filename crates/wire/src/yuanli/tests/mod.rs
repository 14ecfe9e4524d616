//! The conformance cases of the reference (§12) by their numbers, and what they leave out.

mod auth;
mod dialects;
mod error_table;
mod faces;
mod groups;
mod hostile;
mod listing;
mod search;
mod server;
mod settings;
mod unit;
