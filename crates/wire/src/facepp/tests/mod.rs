//! The calls of the reference, what they refuse, and what the other dialects make of it.

mod auth;
mod dialects;
mod error_table;
mod face_sets;
mod faces;
mod hostile;
mod server;
mod tasks;
