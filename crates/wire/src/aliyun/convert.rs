//! The vendor's terms translated into the library's and back: the only file that knows both.

use likeness_domain::library::{FaceFound, FacesFound};
use likeness_domain::ports::AnalyzedFace;
use likeness_domain::score::Scale;
use likeness_domain::types::{
    Aspects, Expression, Face, FaceId, FaceOwner, FaceSet, FaceSetName, Note, Person, PersonKey, Subject,
};

use super::dto;
use super::errors::Fault;
use crate::http::json::{Value, rounded};

/// Characters of a person's name, and of its note.
const NAME_CHARS_MAX: usize = 256;
const NOTE_CHARS_MAX: usize = 1024;
/// Persons shown for each face of a query image.
pub(super) const PERSONS_MAX: usize = 5;

/// Whether a text can be the id of a person or a group: `[A-Za-z0-9_-]{1,32}`.
pub(super) fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
    (1..=32).contains(&text.len()) && text.bytes().all(allowed)
}

/// The key of the person with that id.
pub(super) fn person_key(text: &str) -> Result<PersonKey, Fault> {
    let key = if is_id(text) { PersonKey::new(text).ok() } else { None };
    key.ok_or_else(|| Fault::invalid("`personId` must be 1 to 32 letters, digits, `_` or `-`"))
}

/// The name of the face set that a group is.
pub(super) fn group(text: &str) -> Result<FaceSetName, Fault> {
    let name = if is_id(text) { FaceSetName::new(text).ok() } else { None };
    name.ok_or_else(|| Fault::invalid("`groupId` must be 1 to 32 letters, digits, `_` or `-`"))
}

/// Groups, each once.
pub(super) fn groups(texts: &[&str]) -> Result<Vec<FaceSetName>, Fault> {
    let mut names = Vec::with_capacity(texts.len());
    for text in texts {
        let name = group(text)?;
        if !names.contains(&name) {
            names.push(name);
        }
    }
    Ok(names)
}

/// A person's name or note.
pub(super) fn note(member: &str, text: &str) -> Result<Note, Fault> {
    let n_chars_max = if member == "name" { NAME_CHARS_MAX } else { NOTE_CHARS_MAX };
    let note = if text.chars().count() <= n_chars_max { Note::new(text).ok() } else { None };
    note.ok_or_else(|| Fault::invalid(format!("`{member}` must be at most {n_chars_max} printable characters")))
}

/// An asked-for face id: text or number, as it was asked for and, if it can be one, as ours.
pub(super) struct AskedFace {
    pub(super) shown: dto::FaceIdShown,
    pub(super) id: Option<FaceId>,
}

/// Reads entries of `faceIds`.
pub(super) fn asked_faces(items: &[Value]) -> Result<Vec<AskedFace>, Fault> {
    let one = |item: &Value| {
        let number = match item {
            Value::Whole(number) => u64::try_from(*number).ok(),
            Value::Text(text) => text.parse().ok(),
            other => return Err(Fault::invalid(format!("`faceIds` has {}, expected texts", other.kind()))),
        };
        let shown = match (number, item) {
            (Some(number), _) => dto::FaceIdShown::Number(number),
            (None, Value::Text(text)) => dto::FaceIdShown::Text(text.chars().take(64).collect()),
            (None, _) => return Err(Fault::invalid("`faceIds` has a negative number, expected ids")),
        };
        Ok(AskedFace { shown, id: number.and_then(FaceId::new) })
    };
    items.iter().map(one).collect()
}

/// Names of face sets that can be groups, in their order.
pub(super) fn group_ids<'a>(face_sets: impl IntoIterator<Item = &'a FaceSet>) -> Vec<String> {
    let names = face_sets.into_iter().map(|face_set| face_set.name.as_str());
    names.filter(|name| is_id(name)).map(str::to_owned).collect()
}

/// A text that may be unset, as this dialect shows it.
pub(super) fn shown(text: Option<&Note>) -> String {
    text.map(Note::to_string).unwrap_or_default()
}

/// A stored face.
pub(super) fn face_item(face: &Face) -> dto::FaceItem {
    let (face_id, url) = (dto::FaceIdShown::Number(face.id.get()), shown(face.source.as_ref()));
    dto::FaceItem { success: true, face_id: Some(face_id), url: Some(url), ..Default::default() }
}

/// An image of which nothing was stored.
pub(super) fn failed_item(fault: Fault, url: &str) -> dto::FaceItem {
    let (code, msg, url) = (Some(fault.number), Some(fault.msg), Some(url.to_owned()));
    dto::FaceItem { code, msg, url, ..Default::default() }
}

/// Who resembles each face of an image, at most `n_max` each.
pub(super) fn faces_found(found: &FacesFound, scale: &Scale, n_max: usize) -> Vec<dto::FaceFound> {
    let one = |face: &FaceFound| {
        let bounds = face.probe.bounding_box;
        let face_item = dto::FaceBox { x: bounds.left, y: bounds.top, width: bounds.width, height: bounds.height };
        dto::FaceFound { face_item, persons: persons_found(face, &found.persons, scale, n_max) }
    };
    found.faces.iter().map(one).collect()
}

/// Each person once, with its best face. A face that a set owns has no person: its label stands for one, and without a
/// label it stands alone as a person without a name.
fn persons_found(found: &FaceFound, persons: &[Person], scale: &Scale, n_max: usize) -> Vec<dto::PersonFound> {
    let mut labels: Vec<&str> = Vec::new();
    let mut shown_persons = Vec::new();
    for candidate in &found.candidates {
        let rate = scale.to_number(candidate.similarity);
        let Some(shown) = person_found(&candidate.face, persons, rate) else { continue };
        let label = candidate.face.subject.as_ref().map_or("", Subject::as_str);
        if matches!(candidate.face.owner, FaceOwner::FaceSet(_)) && !label.is_empty() {
            if labels.contains(&label) {
                continue;
            }
            labels.push(label);
        }
        shown_persons.push(shown);
    }
    shown_persons.sort_by(|a, b| b.rate.total_cmp(&a.rate).then_with(|| a.person_id.cmp(&b.person_id)));
    shown_persons.truncate(n_max);
    shown_persons
}

/// A face as the person it stands for; `None` if its person is not among `persons`, since it was deleted meanwhile.
pub(super) fn person_found(face: &Face, persons: &[Person], rate: f64) -> Option<dto::PersonFound> {
    let (person_id, name, note) = match face.owner {
        FaceOwner::Person(id) => {
            let person = persons.iter().find(|person| person.id == id)?;
            (person.key.as_str(), shown(person.name.as_ref()), shown(person.note.as_ref()))
        }
        FaceOwner::FaceSet(_) => {
            let label = face.subject.as_ref().map_or("", Subject::as_str);
            (label, String::new(), shown(face.note.as_ref()))
        }
    };
    Some(dto::PersonFound { person_id: person_id.to_owned(), face_id: face.id.to_string(), rate, name, note })
}

/// What [`detected_face`] shows.
pub(super) const DETECTED: Aspects = Aspects::QUALITY.and(Aspects::POSE).and(Aspects::EXPRESSION);

/// A detected face with what was measured of it.
pub(super) fn detected_face(face: &AnalyzedFace) -> dto::DetectedFace {
    let bounds = face.detection.bounding_box;
    let percent = |share: f32| (f64::from(share) * 10_000.0).round() / 100.0;
    let degrees = |angle: f32| rounded(angle, 2);
    let AnalyzedFace { quality, assessment, .. } = face;
    let quality = dto::Quality {
        // Ours says how sharp it is, theirs how blurred.
        blur: quality.sharpness.map(|share| percent(1.0 - share)),
        integrity: quality.visibility.map(percent),
        pitch: assessment.pose.map(|pose| degrees(pose.pitch)),
        yaw: assessment.pose.map(|pose| degrees(pose.yaw)),
        roll: assessment.pose.map(|pose| degrees(pose.roll)),
    };
    let is_measured = quality.blur.is_some() || quality.integrity.is_some() || quality.pitch.is_some();
    let happy = assessment.expression.map(|expressions| expressions.probability(Expression::Happy));
    dto::DetectedFace {
        location: dto::Location { x: bounds.left, y: bounds.top, w: bounds.width, h: bounds.height },
        quality: is_measured.then_some(quality),
        smile: happy.map(|share| dto::Smile { rate: percent(share) }),
    }
}
