//! Tests by subject; `support` finds what they need.

mod assess;
mod closer_look;
mod engines;
mod mesh;
mod photographs;
mod pipeline;
mod quality;
mod reference;
mod runtime;
mod support;
mod tflite;
