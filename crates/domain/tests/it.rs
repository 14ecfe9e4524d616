//! The use cases over the in-memory store, a plain index and fake photographs.

mod library;
