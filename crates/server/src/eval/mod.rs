//! How well a pack tells people apart, on labelled pairs: the protocol that papers use, so figures can be compared.
//!
//! [`pairs`] reads the list, [`metrics`] is the arithmetic and knows no image, [`plot`] draws. The command that feeds
//! them is `cli::eval`.

pub(crate) mod metrics;
pub(crate) mod pairs;
pub(crate) mod plot;
