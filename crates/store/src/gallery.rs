//! A face as a gallery shows it.

use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{Face, FaceOwner, FieldSchema, FieldValue, FieldValues};

/// The values by position in the schema; a value the schema does not know, or of another type, is not shown.
pub(crate) fn slots(fields: &FieldValues, schema: &FieldSchema) -> Box<[Option<FieldValue>]> {
    let slot = |(name, field_type): &(likeness_domain::types::FieldName, likeness_domain::types::FieldType)| {
        fields.get(name.as_str()).filter(|value| value.fits(*field_type)).cloned()
    };
    schema.fields().iter().map(slot).collect()
}

/// The face as a row of the gallery of a set with that schema.
pub(crate) fn entry(face: &Face, sequence: u64, schema: &FieldSchema) -> GalleryEntry {
    GalleryEntry {
        face: face.id,
        sequence,
        person: match face.owner {
            FaceOwner::FaceSet(_) => None,
            FaceOwner::Person(person) => Some(person),
        },
        template: face.template.clone(),
        subject: face.subject.as_ref().map(|subject| subject.as_str().into()),
        values: slots(&face.fields, schema),
    }
}
