//! The dialect as a client sees it: requests in, bytes out, over a library with a memory store and fake photographs.
//! `case_017_..` is case 17 of the reference's section 13.

mod auth;
mod error_table;
mod face_sets;
mod faces;
mod hostile;
mod images;
mod legacy;
mod limits;
mod liveness;
mod probes;
mod search;
mod server;
pub(super) mod signing;
mod tenants;
mod unit;
