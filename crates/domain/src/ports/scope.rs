//! Which faces a read or a delete is about.

use std::sync::Arc;

use crate::filter::Filter;
use crate::types::{FaceId, FaceSetId, FieldName, FieldValue, PersonId, Subject};

/// Which faces of a scope are meant.
#[derive(Debug, Clone)]
pub enum FaceSelector {
    /// These; ids that are not in the scope are passed over.
    Ids(Vec<FaceId>),
    /// All with this label.
    Subject(Subject),
    /// All whose custom field has exactly this value.
    Field {
        /// Which field.
        name: FieldName,
        /// Its value.
        value: FieldValue,
    },
    /// All that pass, evaluated by [`Filter::matches`].
    Filter(Arc<Filter>),
}

/// Where faces are looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaceScope {
    /// The gallery of a face set: its own faces and those of its member persons.
    FaceSet(FaceSetId),
    /// The faces a person owns.
    Person(PersonId),
}
