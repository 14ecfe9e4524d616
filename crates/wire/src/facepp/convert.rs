//! The vendor's terms translated into the library's and back: the only file that knows both.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::library::TransientFaceOutcome;
use likeness_domain::ports::{IdSource, fresh_id};
use likeness_domain::types::{
    FaceId, FaceSet, FaceSetId, FaceSetName, InstallationSecret, JobId, Note, Subject, Tags, require_new_name,
};

use super::dto;
use super::errors::Failure;
use crate::http::keyed_ids::KeyedIds;
use crate::megvii::convert::text;
use crate::megvii::fields::Fields;

/// What the reference forbids in ids, tags and data.
const FORBIDDEN: &str = "^@,&=*'\"";
const DISPLAY_NAME_CHARS_MAX: usize = 256;
const TAGS_CHARS_MAX: usize = 255;
const USER_DATA_BYTES_MAX: usize = 16 * 1024;

/// How faces and face sets are named here.
pub(super) struct Names {
    face_tokens: KeyedIds,
    face_set_tokens: KeyedIds,
    task_ids: KeyedIds,
    /// Names of sets that were made without an `outer_id`: numbers that only this installation can spell, so that such a
    /// set differs from one whose client gave it a name of the same form.
    unnamed: KeyedIds,
}

impl Names {
    pub(super) fn new(secret: &InstallationSecret) -> Self {
        Self {
            face_tokens: KeyedIds::new(secret, "facepp face token"),
            face_set_tokens: KeyedIds::new(secret, "facepp faceset token"),
            task_ids: KeyedIds::new(secret, "facepp task id"),
            unnamed: KeyedIds::new(secret, "facepp unnamed faceset"),
        }
    }

    pub(super) fn face_token(&self, source_face: FaceId) -> String {
        self.face_tokens.spell(source_face.get())
    }

    /// The face that a token is for, if it is one of ours.
    pub(super) fn source_face(&self, token: &str) -> Option<FaceId> {
        self.face_tokens.read(token).and_then(FaceId::new)
    }

    pub(super) fn face_set(&self, token: &str) -> Option<FaceSetId> {
        self.face_set_tokens.read(token).and_then(FaceSetId::new)
    }

    pub(super) fn task_id(&self, id: JobId) -> String {
        self.task_ids.spell(id.get())
    }

    pub(super) fn task(&self, text: &str) -> Option<JobId> {
        self.task_ids.read(text).and_then(JobId::new)
    }

    /// A name for a set that was given none.
    pub(super) fn fresh_name(&self, ids: &dyn IdSource) -> Result<FaceSetName, Failure> {
        FaceSetName::new(self.unnamed.spell(fresh_id(ids, Some))).map_err(|_| Failure::malformed("outer_id"))
    }

    pub(super) fn named(&self, face_set: &FaceSet) -> dto::FaceSetNamed {
        let name = face_set.name.as_str();
        dto::FaceSetNamed {
            faceset_token: self.face_set_tokens.spell(face_set.id.get()),
            outer_id: if self.unnamed.read(name).is_some() { String::new() } else { name.to_owned() },
        }
    }

    pub(super) fn listed(&self, face_set: &FaceSet) -> dto::FaceSetListed {
        dto::FaceSetListed {
            named: self.named(face_set),
            display_name: text(face_set.label.as_ref()),
            tags: face_set.tags.to_string(),
        }
    }
}

/// A field that may have none of the forbidden characters, nor any of these.
fn clean<'a>(fields: &'a Fields, name: &str, but: &str) -> Result<Option<&'a str>, Failure> {
    let text = fields.text(name)?;
    match text {
        Some(text) if text.contains(|c: char| FORBIDDEN.contains(c) && !but.contains(c)) => {
            Err(Failure::malformed(name))
        }
        text => Ok(text),
    }
}

/// The name of a set to be made or renamed, unless the field is absent or empty.
pub(super) fn new_outer_id(fields: &Fields, name: &str) -> Result<Option<FaceSetName>, Failure> {
    clean(fields, name, "")?;
    fields.read_as(name, |text| require_new_name("outer_id", text).and_then(|()| FaceSetName::new(text)))
}

/// The name of a set that may exist. Sets made through other APIs can have names that this one would not give; they are
/// listed, so they can be named.
pub(super) fn outer_id(fields: &Fields) -> Result<Option<FaceSetName>, Failure> {
    fields.read_as("outer_id", FaceSetName::new)
}

/// What a field of a set says; `None` if it is absent, while an empty one clears what is there.
fn cleared_if_empty<'a, T, E>(
    fields: &'a Fields,
    name: &str,
    read: impl FnOnce(&'a str) -> Result<T, E>,
) -> Result<Option<T>, Failure> {
    let text = fields.text(name)?.unwrap_or_default();
    fields.present(name).map(|_| read(text)).transpose().map_err(|_| Failure::malformed(name))
}

pub(super) fn new_display_name(fields: &Fields) -> Result<Option<Note>, Failure> {
    fields.check_length("display_name", DISPLAY_NAME_CHARS_MAX)?;
    cleared_if_empty(fields, "display_name", Note::new)
}

pub(super) fn new_user_data(fields: &Fields) -> Result<Option<Note>, Failure> {
    if clean(fields, "user_data", "")?.is_some_and(|text| text.len() > USER_DATA_BYTES_MAX) {
        return Err(Failure::malformed("user_data"));
    }
    cleared_if_empty(fields, "user_data", Note::new)
}

/// Tags, a comma between two; `None` if the field is absent.
pub(super) fn tags(fields: &Fields) -> Result<Option<Tags>, Failure> {
    clean(fields, "tags", ",")?;
    fields.check_length("tags", TAGS_CHARS_MAX)?;
    cleared_if_empty(fields, "tags", Tags::parse)
}

pub(super) fn new_user_id(fields: &Fields) -> Result<Subject, Failure> {
    let text = clean(fields, "user_id", "")?.unwrap_or_default();
    Subject::new(text).map_err(|_| Failure::malformed("user_id"))
}

/// Why a face was not added.
pub(super) fn reason(outcome: TransientFaceOutcome) -> Option<&'static str> {
    match outcome {
        TransientFaceOutcome::Added | TransientFaceOutcome::Present => None,
        TransientFaceOutcome::Full => Some("QUOTA_EXCEEDED"),
        TransientFaceOutcome::PoorQuality => Some("LOW_QUALITY"),
        // A template of another pack is of no use in the set.
        TransientFaceOutcome::Unknown | TransientFaceOutcome::OtherPack => Some("INVALID_FACE_TOKEN"),
    }
}

/// A name for a picture in this answer; nothing is kept under it.
pub(super) fn image_id(ids: &dyn IdSource) -> String {
    let mut bits = [0; 16];
    ids.fill(&mut bits);
    STANDARD.encode(bits)
}
