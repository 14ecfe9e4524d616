//! What is measured of a face beyond where it is and whom it resembles, when it is asked for.

pub mod pose;
