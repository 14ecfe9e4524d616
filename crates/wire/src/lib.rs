//! The HTTP dialects: one folder a vendor, each translating its words to the library's and back.

pub mod native;
