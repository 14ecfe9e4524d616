//! The gallery as searched: the exact in-memory index, its kernels, and what every index must do.
//!
//! Start at [`FlatIndex`]. A search is one pass over codes of 4 bits that gives each row an upper bound of its similarity;
//! a row whose bound can still make it a hit gets a closer one from 4 bits more, and only what is left has its similarity
//! computed from the f32 vectors. In a large gallery of up to 128 numbers a search that is alone reads codes of 3 bits
//! before. The bounds are proved in `quantise` and `sketch`, so the answer equals computing every similarity
//! ([`BruteForceIndex`] does just that), in every tie.
//!
//! | Part | What it is |
//! |---|---|
//! | `flat` | the index: changes taken over, searches answered |
//! | `galleries` | the galleries by face set |
//! | `gallery` | the rows of one face set: one writer, many readers |
//! | `places` | at which place each face is |
//! | `segment`, `wiped` | rows in contiguous memory, overwritten before it is given back |
//! | `row_file`, `row_record` | the rows on disk: vectors, and what a restart needs |
//! | `rotation`, `quantise`, `sketch` | codes and the bounds |
//! | `labels` | face, sequence and person of the rows |
//! | `columns` | values that filters look at, filters over 64 rows at a time |
//! | `pass`, `best` | one pass for one or many probes; the best rows so far |
//! | `pool` | threads, bounded queue, questions answered together |
//! | `state` | the revision reached, and whether it may be trusted |
//! | `kernel` | inner loops by instruction set, and memory in large pages |
//!
//! Nothing here knows of a store: an index is fed by one and may be rebuilt at any time, whatever is on disk.
//!
//! # When a removed template is gone
//! When `apply` returns, no later search sees the row, and its place in the gallery is overwritten. A search that was
//! running at that moment may hold the old place until it ends, milliseconds later; then that is overwritten as well. A
//! closed gallery is overwritten by a thread of the pool, right after the task it is at. `row_file` says the same of the
//! disk.

mod best;
mod brute_force;
mod columns;
pub mod conformance;
mod flat;
mod galleries;
mod gallery;
pub mod kernel;
mod labels;
mod pass;
mod places;
mod pool;
mod quantise;
mod rotation;
pub mod row_file;
mod row_record;
mod segment;
mod sketch;
mod state;
mod wiped;

#[cfg(feature = "milvus")]
pub(crate) use best::{Best, Ranked};
pub use brute_force::BruteForceIndex;
pub use flat::{FlatIndex, FlatOptions, INLINE_NUMBERS_MAX};

#[cfg(test)]
mod tests;
