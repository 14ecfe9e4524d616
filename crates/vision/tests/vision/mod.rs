//! Tests by subject; `support` finds what they need.

mod photographs;
mod pipeline;
mod reference;
mod runtime;
mod support;
