//! A filter as parsed, before its fields are looked up.

use super::Filter;
use crate::Result;
use crate::types::{FaceId, FieldSchema};

/// What a dialect calls the built-in columns.
#[derive(Clone, Copy)]
pub struct Vocabulary {
    /// Name of the subject, as in `subject:anna`.
    pub subject: &'static str,
    /// Name of the face id, and how to read one; `None` from the reader matches no face.
    pub face_id: (&'static str, fn(&str) -> Option<FaceId>),
}

/// A parsed filter whose fields are still names.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    // Filled in by the parser's author.
    pub(crate) root: (),
}

/// Reads the filter language (grammar: Huawei FRS spec §6.2). Blank text is `None`. Errors are `InvalidArgument` and
/// point at the place.
pub fn parse(text: &str, vocabulary: &Vocabulary) -> Result<Option<Expr>> {
    let _ = (text, vocabulary);
    todo!()
}

impl Expr {
    /// Looks up every field and checks every literal: `UnknownField`, `InvalidArgument`.
    pub fn check(&self, schema: &FieldSchema) -> Result<Filter> {
        let _ = (self.root, schema);
        todo!()
    }
}
