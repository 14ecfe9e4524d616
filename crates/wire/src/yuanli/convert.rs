//! The vendor's terms translated into the library's and back: the only file that knows both.

use likeness_domain::policy::QualityThresholds;
use likeness_domain::types::{Face, FaceId, FaceSet, FaceSetName, FaceSetSummary, Note, Subject, TimestampMs};
use time::UtcOffset;
use time::macros::format_description;

use super::dto;
use super::errors::Failure;
use super::scale;
use super::settings::{NextType, Settings, TimeOffset};
use crate::http::keyed_ids::KeyedIds;
use crate::http::signing::utc;
use crate::megvii::convert::text;
use crate::megvii::fields::Fields;

/// The vendor's only model version. Ours is the pack of the face set, which this vocabulary has no word for.
pub(super) const MODEL_VERSION: &str = "s21";

const ID_LEN_MAX: usize = 48;
const GROUP_NAME_CHARS_MAX: usize = 60;
const DATA_CHARS_MAX: usize = 128;

/// An id of the caller's own: letters, digits and `- % @ # & _`.
fn own_id<'a>(fields: &'a Fields, name: &str, settings: &Settings) -> Result<&'a str, Failure> {
    let text = fields.needed(name)?;
    let dot = settings.allow_dot_in_ids;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b"-%@#&_".contains(&byte) || (byte == b'.' && dot);
    if text.len() > ID_LEN_MAX || !text.bytes().all(allowed) {
        return Err(Failure::malformed(name));
    }
    Ok(text)
}

/// The id of a library to be made.
pub(super) fn new_group_id(fields: &Fields, settings: &Settings) -> Result<FaceSetName, Failure> {
    FaceSetName::new(own_id(fields, "group_id", settings)?).map_err(|_| Failure::malformed("group_id"))
}

/// The id of a library that may exist. Sets made through other APIs can have names that this one would not give; they
/// are listed, so they can be named.
pub(super) fn group_id(fields: &Fields) -> Result<FaceSetName, Failure> {
    fields.read_as("group_id", FaceSetName::new)?.ok_or_else(|| Failure::missing("group_id"))
}

/// The name of a library to be made. It must be there; unlike other required fields, an empty one is malformed.
pub(super) fn group_name(fields: &Fields) -> Result<Note, Failure> {
    fields.check_length("group_name", GROUP_NAME_CHARS_MAX)?;
    fields.read_as("group_name", Note::new)?.ok_or_else(|| Failure::malformed("group_name"))
}

/// Free text; none and empty are the same.
pub(super) fn data(fields: &Fields, name: &str) -> Result<Option<Note>, Failure> {
    fields.check_length(name, DATA_CHARS_MAX)?;
    fields.read_as(name, Note::new)
}

/// Who a face is said to be.
pub(super) fn user_id(fields: &Fields, settings: &Settings) -> Result<Subject, Failure> {
    Subject::new(own_id(fields, "user_id", settings)?).map_err(|_| Failure::malformed("user_id"))
}

/// The score a result must be above, if one is given.
pub(super) fn threshold(fields: &Fields) -> Result<Option<f64>, Failure> {
    let in_range = |text: &str| text.parse().ok().filter(|number: &f64| (0.0..=100.0).contains(number)).ok_or(());
    fields.read_as("threshold", in_range)
}

/// The face that a token is for, if it is one of ours.
pub(super) fn face_id(token: &str, tokens: &KeyedIds) -> Option<FaceId> {
    tokens.read(token).and_then(FaceId::new)
}

pub(super) fn group_created(face_set: &FaceSet, settings: &Settings) -> dto::GroupCreated {
    let info = group_info(face_set, None, settings);
    let group = dto::GroupInfo { add_time: None, ..info.clone() };
    dto::GroupCreated { group, info: settings.superset_responses.then_some(info) }
}

/// What there is to say of a library. One that was made through another API goes by its name.
pub(super) fn group_info(face_set: &FaceSet, n_faces: Option<u64>, settings: &Settings) -> dto::GroupInfo {
    let name = face_set.name.as_str();
    dto::GroupInfo {
        group_id: name.to_owned(),
        group_name: face_set.label.as_ref().map_or(name, Note::as_str).to_owned(),
        group_data: text(face_set.note.as_ref()),
        model_version: MODEL_VERSION,
        add_time: Some(iso_time(face_set.created_at, settings.group_time_offset)),
        face_count: n_faces.filter(|_| settings.superset_responses),
    }
}

pub(super) fn group_infos(summaries: &[FaceSetSummary], settings: &Settings) -> Vec<dto::GroupInfo> {
    summaries.iter().map(|summary| group_info(&summary.face_set, None, settings)).collect()
}

pub(super) fn face_info(face: &Face, tokens: &KeyedIds) -> dto::FaceInfo {
    dto::FaceInfo {
        face_token: tokens.spell(face.id.get()),
        user_id: text(face.subject.as_ref()),
        user_data: text(face.note.as_ref()),
        add_time: Some(face.created_at.0),
    }
}

pub(super) fn face_found(face: &Face, score: f64, tokens: &KeyedIds, settings: &Settings) -> dto::FaceFound {
    let (mut face, shown) = (face_info(face, tokens), scale::shown(score));
    face.add_time.take_if(|_| !settings.superset_responses);
    dto::FaceFound { face, confidence: shown, score: settings.superset_responses.then_some(shown) }
}

pub(super) fn next(position: u64, settings: &Settings) -> dto::Next {
    match settings.next_type {
        NextType::String => dto::Next::Text(position.to_string()),
        NextType::Int => dto::Next::Number(position),
    }
}

/// `2026-09-21T21:33:21+08:00`.
fn iso_time(at: TimestampMs, offset: TimeOffset) -> String {
    let format = format_description!(
        "[year]-[month]-[day]T[hour]:[minute]:[second][offset_hour sign:mandatory]:[offset_minute]"
    );
    let offset = UtcOffset::from_whole_seconds(i32::from(offset.0) * 60).unwrap_or(UtcOffset::UTC);
    let at = utc(at);
    at.checked_to_offset(offset).unwrap_or(at).format(format).unwrap_or_default()
}

/// What a face has to have to be added, besides passing the gate of the set.
pub(super) fn thresholds(settings: &Settings) -> QualityThresholds {
    let total = f32::from(settings.min_face_quality) / 100.0;
    QualityThresholds { total, side_px: settings.min_face_px, ..QualityThresholds::NONE }
}
