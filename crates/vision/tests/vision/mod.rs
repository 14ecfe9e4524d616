//! Tests by subject; `support` finds what they need.

mod assess;
mod photographs;
mod pipeline;
mod reference;
mod runtime;
mod support;
