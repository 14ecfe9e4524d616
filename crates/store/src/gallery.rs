//! A face as a gallery shows it.

use likeness_domain::ports::GalleryEntry;
use likeness_domain::types::{Face, FaceOwner, FaceSet, FaceSetPatch, FieldSchema, FieldValue, FieldValues, Template};
use likeness_domain::{Error, Result};

/// The values by position in the schema; a value the schema does not know, or of another type, is not shown.
pub(crate) fn slots(fields: &FieldValues, schema: &FieldSchema) -> Box<[Option<FieldValue>]> {
    let slot = |(name, field_type): &(likeness_domain::types::FieldName, likeness_domain::types::FieldType)| {
        fields.get(name.as_str()).filter(|value| value.fits(*field_type)).cloned()
    };
    schema.fields().iter().map(slot).collect()
}

/// The face with its template of the set's pack, as a row of the gallery of a set with that schema.
pub(crate) fn entry(face: &Face, template: Template, sequence: u64, schema: &FieldSchema) -> GalleryEntry {
    GalleryEntry {
        face: face.id,
        sequence,
        person: match face.owner {
            FaceOwner::FaceSet(_) => None,
            FaceOwner::Person(person) => Some(person),
        },
        template,
        subject: face.subject.as_ref().map(|subject| subject.as_str().into()),
        values: slots(&face.fields, schema),
    }
}

/// Refuses a capacity below the number of faces that the set shows.
pub(crate) fn check_capacity(patch: &FaceSetPatch, n_gallery: u64) -> Result<()> {
    match patch.capacity {
        Some(Some(capacity)) if capacity < n_gallery => {
            let message = format!("`capacity` is {capacity}, but the face set has {n_gallery} faces");
            Err(Error::invalid("capacity", message).with_hint("delete faces first, or give a capacity that holds them"))
        }
        _ => Ok(()),
    }
}

/// Lays the patch over the set; an empty text clears.
pub(crate) fn patched(face_set: &mut FaceSet, patch: FaceSetPatch) {
    let laid_over = |new: Option<_>, old| match new {
        None => old,
        Some(text) => Some(text).filter(|text: &likeness_domain::types::Note| !text.as_str().is_empty()),
    };
    face_set.name = patch.name.unwrap_or_else(|| face_set.name.clone());
    face_set.label = laid_over(patch.label, face_set.label.take());
    face_set.note = laid_over(patch.note, face_set.note.take());
    face_set.tags = patch.tags.unwrap_or_else(|| std::mem::take(&mut face_set.tags));
    face_set.quality_gate = patch.quality_gate.unwrap_or(face_set.quality_gate);
    face_set.thumbnails = patch.thumbnails.unwrap_or(face_set.thumbnails);
    face_set.capacity = patch.capacity.unwrap_or(face_set.capacity);
}
