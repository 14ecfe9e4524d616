//! The stages with real models: what needs the installed pack, photographs or OpenCV. Each test that misses one of
//! them says so and passes; `tests/run` provides all but the photographs.
#![expect(clippy::print_stderr, reason = "a skipped test says why")]

mod vision;
