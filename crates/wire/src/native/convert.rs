//! The native API's types translated into the library's and back: the only file that knows both.

use std::collections::{BTreeMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use likeness_domain::access::{Caller, Grant, Limits, TenantUsage};
use likeness_domain::filter::{self, Expr, Vocabulary};
use likeness_domain::library::{self, Comparisons, ImageInput, ImageSource, Library, Probe, SortKey, Threshold};
use likeness_domain::policy::{self, QualityThresholds};
use likeness_domain::ports::{
    Analysis, AnalyzedFace, Count, Doubt, FaceChoice, ImageFormats, ImageRules, PackInfo, ReportProgress, ScrubReport,
    StoreReport,
};
use likeness_domain::score::{Bound, Calibration, FalseAcceptRate, Interval};
use likeness_domain::types::{
    self, Aspects, ClearedParts, ExternalId, FaceId, FaceOwner, FaceSetName, FaceSetPatch, FaceSetSummary, FieldName,
    FieldSchema, FieldType, FieldValue, GivenFields, GivenValue, Note, PackId, Person, PersonKey, QualityFailure,
    QualityGate, Similarity, Subject, Tags, Template, Tenant, Thumbnail, TimestampMs, UploadName,
};
use likeness_domain::{Error, Kind, limits};
use serde_json::{Number, Value};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::dto;
use crate::http::codes::code_of;
use crate::http::json::of_field;
use crate::readiness::{PartHealth, Readiness};

/// Time a fetch of an image by URL may take. Long enough for a slow camera, short enough for a waiting person.
const FETCH_DEADLINE: Duration = Duration::from_secs(10);

/// Candidates of a search that does not say how many.
const TOP_DEFAULT: u64 = 10;

/// Largest offset into a listing: every program can write it exactly.
pub(super) const OFFSET_MAX: u64 = (1 << 53) - 1;

// ------------------------------------------------------------------------------------------------ requests

/// What an image may be: our own API takes whatever the library takes.
pub const IMAGE_RULES: ImageRules = ImageRules {
    formats: ImageFormats::ALL,
    bytes_max: limits::IMAGE_BYTES_MAX,
    side_max: limits::IMAGE_SIDE_MAX,
    side_min: 1,
};

const VOCABULARY: Vocabulary = Vocabulary { subject: "subject", face_id: ("face_id", read_face_id) };

pub(super) fn read_face_id(text: &str) -> Option<FaceId> {
    // Only the spelling that is printed: no sign, no leading zero.
    let canonical = text.bytes().all(|byte| byte.is_ascii_digit()) && !text.starts_with('0');
    canonical.then(|| text.parse().ok().and_then(FaceId::new)).flatten()
}

/// A number, if it is within these.
pub(super) fn check_within(name: &'static str, number: u64, accepted: RangeInclusive<u64>) -> Result<u64, Error> {
    let (least, most) = (accepted.start(), accepted.end());
    match accepted.contains(&number) {
        true => Ok(number),
        false => Err(Error::invalid(name, format!("`{name}` is {number}, expected {least} to {most}"))),
    }
}

/// Refuses a list of fewer or more entries than these.
pub(super) fn check_count(name: &'static str, n: usize, accepted: RangeInclusive<usize>) -> Result<(), Error> {
    let (least, most) = (accepted.start(), accepted.end());
    match accepted.contains(&n) {
        true => Ok(()),
        false => Err(Error::invalid(name, format!("`{name}` has {n} entries, expected {least} to {most}"))),
    }
}

/// A face id; what cannot be one is an id that no face has.
pub(super) fn face_id(text: &str) -> Result<FaceId, Error> {
    read_face_id(text).ok_or_else(|| Error::new(Kind::FaceNotFound, "there is no face with that id in the face set"))
}

pub(super) fn create_face_set(body: dto::CreateFaceSet) -> Result<library::CreateFaceSet, Error> {
    let mut seen = HashSet::new();
    let fields = body.fields.into_iter().enumerate().map(|(idx, field)| {
        let named = |member: &str| format!("fields[{idx}].{member}");
        let Some(field_type) = FieldType::from_word(&field.field_type) else {
            let words = FieldType::ALL.map(FieldType::word).join(", ");
            let message = format!("field `{}` has an unknown type, expected one of {words}", field.name);
            return Err(Error::invalid(named("type"), message));
        };
        let name = FieldName::new(&field.name).map_err(|error| error.with_field(named("name")))?;
        match seen.insert(name.to_string()) {
            true => Ok((name, field_type)),
            false => Err(Error::invalid(named("name"), format!("custom field `{name}` is given twice"))),
        }
    });
    Ok(library::CreateFaceSet {
        name: FaceSetName::new(body.name)?,
        label: note("label", body.label)?,
        note: note("note", body.note)?,
        tags: tags(body.tags)?,
        schema: FieldSchema::new(fields.collect::<Result<Vec<_>, _>>()?)?,
        capacity: body.capacity,
        quality_gate: body.quality.as_deref().map(QualityGate::from_word).transpose()?,
        thumbnails: body.thumbnails.unwrap_or_default(),
    })
}

/// A free text; a refusal names the option that it was given as.
pub(super) fn note(option: &'static str, text: Option<String>) -> Result<Option<Note>, Error> {
    let named = |error: Error| Error::invalid(option, error.message().replacen("`note`", &format!("`{option}`"), 1));
    text.map(|text| Note::new(text).map_err(named)).transpose()
}

/// Words to find a face set by.
fn tags(words: Vec<String>) -> Result<Tags, Error> {
    if let Some(word) = words.iter().find(|word| word.contains(',')) {
        let word: String = word.chars().take(64).collect();
        return Err(Error::invalid("tags", format!("the tag `{word}` has a comma, which no tag may have")));
    }
    Tags::parse(&words.join(","))
}

/// The pack of that name, if one is given.
pub(super) fn pack_id(text: Option<&str>) -> Result<Option<PackId>, Error> {
    let malformed = || Error::invalid("pack", "`pack` is not a name of a model pack, expected one as `default-2`");
    text.map(|text| PackId::new(text).ok_or_else(malformed)).transpose()
}

pub(super) fn update_face_set(body: dto::UpdateFaceSet) -> Result<FaceSetPatch, Error> {
    Ok(FaceSetPatch {
        name: body.name.map(FaceSetName::new).transpose()?,
        tags: body.tags.map(tags).transpose()?,
        label: note("label", body.label)?,
        note: note("note", body.note)?,
        quality_gate: body.quality.as_deref().map(QualityGate::from_word).transpose()?,
        thumbnails: body.thumbnails,
        capacity: body.capacity,
        ..FaceSetPatch::default()
    })
}

/// The image of a request with one.
pub(super) fn image(image: dto::Image) -> Result<ImageInput, Error> {
    image_at("image", image)
}

/// The image at a path of the request's body, which refusals name.
pub(super) fn image_at(path: &str, image: dto::Image) -> Result<ImageInput, Error> {
    // Named as what it is: a decoder would call it damaged or of an unknown format.
    let is_empty = match &image {
        dto::Image::Bytes(bytes) => bytes.is_empty(),
        dto::Image::Base64(text) => text.trim().is_empty(),
        dto::Image::Url(_) | dto::Image::Upload(_) => false,
    };
    if is_empty {
        return Err(Error::new(Kind::ImageFormat, "the image is empty: it has 0 bytes").with_field(path.to_owned()));
    }
    let source = match image {
        dto::Image::Bytes(bytes) => ImageSource::Bytes(bytes),
        dto::Image::Url(url) => {
            // An address is read when the image is fetched, which may be long after a job was accepted.
            let scheme = url.split_once("://").map(|(scheme, _)| scheme.to_ascii_lowercase());
            if !scheme.is_some_and(|scheme| ["http", "https"].contains(&scheme.as_str())) {
                let message = "image address does not begin with http:// or https://";
                return Err(Error::new(Kind::UrlInvalid, message).with_field(format!("{path}.url")));
            }
            ImageSource::Url(url)
        }
        dto::Image::Upload(name) => {
            let name = UploadName::new(name).map_err(|error| {
                let message = error.message().replacen("`picture name`", &format!("`{path}.upload`"), 1);
                Error::invalid(format!("{path}.upload"), message)
            });
            ImageSource::Upload(name?)
        }
        dto::Image::Base64(text) => {
            let bytes = STANDARD.decode(text.trim_end()).map_err(|error| {
                let message = format!("`{path}.base64` is not standard base64 with padding");
                Error::invalid(format!("{path}.base64"), message).with_source(error)
            })?;
            ImageSource::Bytes(bytes.into())
        }
    };
    Ok(ImageInput { source, rules: IMAGE_RULES, fetch_deadline: FETCH_DEADLINE, count: Count::No })
}

/// The same of which the largest face is meant: whoever sends a picture of several people is to hear that. `explain` is for
/// an explanation, for which all faces are looked for.
pub(super) fn largest_of(path: &str, image: dto::Image, explain: bool) -> Result<ImageInput, Error> {
    let count = if explain { Count::All } else { Count::IfSeveral };
    Ok(ImageInput { count, ..image_at(path, image)? })
}

/// How many faces an image shows, where it is not one.
pub(super) fn several(n_faces: Option<usize>) -> Option<u64> {
    n_faces.filter(|&n_faces| n_faces > 1).map(|n_faces| n_faces as u64)
}

/// The same of two images; both are told where one of them shows several.
fn several_of_two(n_faces: [Option<usize>; 2]) -> Option<[u64; 2]> {
    let is_several = n_faces.iter().any(|&n_faces| several(n_faces).is_some());
    is_several.then(|| n_faces.map(|n_faces| n_faces.unwrap_or(1) as u64))
}

fn face_choice(text: Option<&str>) -> Result<FaceChoice, Error> {
    match text {
        None | Some("largest") => Ok(FaceChoice::Largest),
        Some("all") => Ok(FaceChoice::All),
        Some(text) => match text.parse() {
            Ok(n_max) if (1..=limits::FACES_PER_IMAGE_MAX).contains(&n_max) => Ok(FaceChoice::LargestFew(n_max)),
            _ => {
                let max = limits::FACES_PER_IMAGE_MAX;
                Err(Error::invalid("faces", format!("`faces` is `{text}`, expected `largest`, `all` or 1 to {max}")))
            }
        },
    }
}

/// The ids of a request that are not among those that something was done to, each once.
pub(super) fn unknown<'a>(asked: Vec<String>, done: impl IntoIterator<Item = &'a String>) -> Vec<String> {
    let mut seen: HashSet<&str> = done.into_iter().map(String::as_str).collect();
    let mut unknown = Vec::new();
    for id in &asked {
        if seen.insert(id) {
            unknown.push(id.clone());
        }
    }
    unknown
}

/// Custom values: those of JSON have types of their own, texts are read as the fields they are for.
pub(super) fn given_fields(values: dto::Values, texts: BTreeMap<String, String>) -> Result<GivenFields, Error> {
    let values = values.into_iter().map(|(name, value)| (name, given_value(&value)));
    let texts = texts.into_iter().map(|(name, text)| (name, GivenValue::Written(text)));
    values.chain(texts).map(|(name, value)| FieldName::new(&name).map(|_| (name, value))).collect()
}

fn given_value(value: &Value) -> GivenValue {
    let number = |number: &Number| number.as_i64().map(FieldValue::Whole).or(number.as_f64().map(FieldValue::Real));
    match value {
        Value::String(text) => GivenValue::Typed(FieldValue::Text(text.as_str().into())),
        Value::Number(given) => {
            number(given).map_or(GivenValue::Unfit("a number beyond all fields"), GivenValue::Typed)
        }
        Value::Bool(flag) => GivenValue::Typed(FieldValue::Boolean(*flag)),
        Value::Null => GivenValue::Unfit("null"),
        Value::Array(_) => GivenValue::Unfit("a list"),
        Value::Object(_) => GivenValue::Unfit("an object"),
    }
}

pub(super) fn add_faces(face_set: FaceSetName, body: dto::AddFaces) -> Result<library::AddFaces, Error> {
    Ok(library::AddFaces {
        face_set,
        choice: face_choice(body.faces.as_deref())?,
        subject: body.subject.map(Subject::new).transpose()?,
        external_id: body.external_id.map(ExternalId::new).transpose()?,
        fields: given_fields(body.fields, body.fields_as_text)?,
        note: note("note", body.note)?,
        image: image(body.image)?,
        thresholds: QualityThresholds::NONE,
        accept_doubtful: body.accept_doubtful,
        first_id: None,
    })
}

pub(super) fn update_face(body: dto::UpdateFace) -> Result<library::UpdateFace, Error> {
    let is_empty = |text: &Option<String>| text.as_deref() == Some("");
    if body.external_id.is_some() && !is_empty(&body.external_id) {
        let message = "`external_id` cannot be changed, expected `null`, which takes it away";
        return Err(Error::invalid("external_id", message));
    }
    let (gone, given): (dto::Values, dto::Values) = body.fields.into_iter().partition(|(_, value)| value.is_null());
    let cleared = ClearedParts {
        subject: is_empty(&body.subject),
        external_id: body.external_id.is_some(),
        fields: gone.keys().map(|name| FieldName::new(name)).collect::<Result<_, _>>()?,
    };
    Ok(library::UpdateFace {
        subject: body.subject.filter(|text| !text.is_empty()).map(Subject::new).transpose()?,
        fields: given_fields(given, BTreeMap::new())?,
        note: note("note", body.note)?,
        cleared,
        only_if: None,
    })
}

pub(super) fn delete_faces(body: dto::DeleteFaces) -> Result<library::DeleteFaces, Error> {
    Ok(match body {
        dto::DeleteFaces::Ids(ids) => {
            check_count("ids", ids.len(), 1..=limits::SELECTOR_IDS_MAX)?;
            // An id that cannot be one is passed over like any other id that is not in the set.
            library::DeleteFaces::Ids(ids.iter().filter_map(|id| read_face_id(id)).collect())
        }
        dto::DeleteFaces::Subject(subject) => library::DeleteFaces::Subject(Subject::new(subject)?),
        dto::DeleteFaces::Filter(text) => library::DeleteFaces::Filter(
            filter::parse(&text, &VOCABULARY)?
                .ok_or_else(|| Error::invalid("filter", "`filter` is empty; delete the face set to delete all"))?,
        ),
        dto::DeleteFaces::Field { name, value } => library::DeleteFaces::Field { name, value: given_value(&value) },
    })
}

/// A filter of a listing, which means something.
pub(super) fn filter(text: &str) -> Result<Expr, Error> {
    let is_empty = || Error::invalid("filter", "`filter` is empty; leave it out to list all faces");
    filter::parse(text, &VOCABULARY)?.ok_or_else(is_empty)
}

/// The faces whose pictures are asked for; what is no id is of no face.
pub(super) fn thumbnails_of(body: dto::ThumbnailsOf) -> Result<Vec<FaceId>, Error> {
    check_count("ids", body.ids.len(), 1..=limits::THUMBNAILS_MAX)?;
    Ok(body.ids.iter().filter_map(|id| read_face_id(id)).collect())
}

pub(super) fn thumbnails(found: Vec<(FaceId, Thumbnail)>) -> dto::Thumbnails {
    let spelled = |(id, thumbnail): (FaceId, Thumbnail)| dto::Thumbnail {
        id: id.to_string(),
        jpeg: STANDARD.encode(thumbnail.bytes()),
    };
    dto::Thumbnails { thumbnails: found.into_iter().map(spelled).collect() }
}

pub(super) fn external_ids(body: dto::ExternalIds) -> Result<Vec<ExternalId>, Error> {
    check_count("external_ids", body.external_ids.len(), 0..=limits::EXTERNAL_IDS_MAX)?;
    body.external_ids.into_iter().map(ExternalId::new).collect()
}

/// What `similarity_min`, `far` or `false_matches` asks for.
fn threshold(similarity_min: Option<f32>, far: Option<f64>, false_matches: Option<f64>) -> Result<Threshold, Error> {
    match (similarity_min, far, false_matches) {
        (None, None, None) => Ok(Threshold::Usual),
        (Some(cosine), None, None) if (-1.0..=1.0).contains(&cosine) => {
            Ok(Threshold::Similarity(Similarity::new(cosine)))
        }
        (Some(cosine), None, None) => {
            Err(Error::invalid("similarity_min", format!("`similarity_min` is {cosine}, expected -1 to 1")))
        }
        (None, Some(far), None) => Ok(Threshold::FalseAcceptRate(far)),
        (None, None, Some(expected)) => Ok(Threshold::FalseMatches(expected)),
        (_, Some(_), _) => Err(Error::invalid("far", "`far`, `false_matches` and `similarity_min` exclude each other")),
        (Some(_), None, Some(_)) => {
            Err(Error::invalid("false_matches", "`far`, `false_matches` and `similarity_min` exclude each other"))
        }
    }
}

pub(super) fn search(face_set: FaceSetName, body: dto::Search) -> Result<library::Search, Error> {
    let top = check_within("top", body.top.unwrap_or(TOP_DEFAULT), 1..=limits::TOP_K_MAX as u64)?;
    let probe = match (body.image, body.face_id, body.person, body.template) {
        (Some(given), None, None, None) => Probe::Image(largest_of("image", given, body.explain || body.crops)?),
        (None, Some(id), None, None) => Probe::Face(face_id(&id)?),
        (None, None, Some(key), None) => Probe::Person(PersonKey::new(key)?),
        (None, None, None, Some(text)) => Probe::Template(numbers(&text)?),
        (None, None, None, None) => {
            let message = "one of `image`, `face_id`, `person` and `template` is needed";
            return Err(Error::new(Kind::MissingArgument, message));
        }
        _ => {
            let message = "`image`, `face_id`, `person` and `template` exclude each other";
            return Err(Error::invalid("face_id", message));
        }
    };
    Ok(library::Search {
        face_set,
        probe,
        top_k: top as usize,
        threshold: threshold(body.similarity_min, body.far, body.false_matches)?,
        filter: body.filter.map(|text| filter::parse(&text, &VOCABULARY)).transpose()?.flatten(),
        sort: body.sort.iter().map(|text| sort_key(text)).collect::<Result<_, _>>()?,
        one_per_person: body.one_per_person,
    })
}

/// Faces of a picture, and candidates of each, of a search that does not say how many.
const PICTURE_FACES_DEFAULT: u64 = 20;
const PICTURE_TOP_DEFAULT: u64 = 1;

pub(super) fn search_picture(face_set: FaceSetName, body: dto::SearchPicture) -> Result<library::SearchFaces, Error> {
    let faces_max = body.faces_max.unwrap_or(PICTURE_FACES_DEFAULT);
    let faces_max = check_within("faces_max", faces_max, 1..=limits::FACES_PER_IMAGE_MAX as u64)? as usize;
    let top_k = body.top.unwrap_or(PICTURE_TOP_DEFAULT);
    let top_k = check_within("top", top_k, 1..=limits::TOP_K_MAX as u64)? as usize;
    if faces_max * top_k > limits::CANDIDATES_MAX {
        let max = limits::CANDIDATES_MAX;
        let message = format!("`top` times `faces_max` is {}, expected at most {max}", faces_max * top_k);
        return Err(Error::invalid("top", message));
    }
    Ok(library::SearchFaces {
        face_set,
        image: image(body.image)?,
        faces_max,
        top_k,
        threshold: threshold(body.similarity_min, body.far, body.false_matches)?,
        filter: body.filter.map(|text| filter::parse(&text, &VOCABULARY)).transpose()?.flatten(),
        one_per_person: body.one_per_person,
    })
}

fn sort_key(text: &str) -> Result<SortKey, Error> {
    let (field, direction) = match text.split_once(':') {
        None | Some((_, "ascending")) => (text.split(':').next().unwrap_or(text), library::Direction::Ascending),
        Some((field, "descending")) => (field, library::Direction::Descending),
        Some(_) => {
            let message =
                format!("`sort` has `{text}`, expected a field, or a field with `:ascending` or `:descending`");
            return Err(Error::invalid("sort", message));
        }
    };
    Ok(SortKey { field: field.to_owned(), direction })
}

pub(super) fn compare_images(body: dto::Compare) -> Result<[ImageInput; 2], Error> {
    let explain = body.explain || body.crops;
    Ok([largest_of("image_a", body.image_a, explain)?, largest_of("image_b", body.image_b, explain)?])
}

/// The image, and what to measure.
pub(super) fn detect(body: dto::Detect) -> Result<(ImageInput, Aspects), Error> {
    let aspects = aspects(body.assess.as_deref().unwrap_or_default())?;
    // The five points and the turn are in every answer.
    Ok((image(body.image)?, aspects.and(Aspects::POINTS)))
}

/// Names of what can be measured.
const ASPECTS: [(&str, Aspects); 7] = [
    ("landmarks68", Aspects::LANDMARKS),
    ("pose", Aspects::POSE),
    ("quality", Aspects::QUALITY),
    ("expression", Aspects::EXPRESSION),
    ("age_gender", Aspects::AGE_AND_GENDER),
    ("liveness", Aspects::LIVENESS),
    ("mesh468", Aspects::MESH),
];

/// What `all` means: every word but `mesh468`, whose points would be most of an answer.
const ALL_ASPECTS: Aspects = Aspects::LANDMARKS
    .and(Aspects::POSE)
    .and(Aspects::QUALITY)
    .and(Aspects::EXPRESSION)
    .and(Aspects::AGE_AND_GENDER)
    .and(Aspects::LIVENESS);

fn aspects(text: &str) -> Result<Aspects, Error> {
    let mut aspects = Aspects::NONE;
    for word in text.split(',').map(str::trim).filter(|word| !word.is_empty()) {
        let known = ASPECTS.into_iter().find_map(|(known, aspect)| (known == word).then_some(aspect));
        let aspect = known.or_else(|| (word == "all").then_some(ALL_ASPECTS)).ok_or_else(|| {
            let words = ASPECTS.map(|(word, _)| word).join(", ");
            let word: String = word.chars().take(40).collect();
            Error::invalid("assess", format!("`assess` has {word:?}, expected `all` or words of {words}"))
        })?;
        aspects = aspects.and(aspect);
    }
    Ok(aspects)
}

/// Words for what is asked for but cannot be measured.
pub(super) fn not_measured(asked: Aspects, measurable: Aspects) -> Vec<&'static str> {
    let missing = ASPECTS.into_iter().filter(|(_, aspect)| asked.contains(*aspect) && !measurable.contains(*aspect));
    missing.map(|(word, _)| word).collect()
}

/// The numbers of a template, as clients spell it.
pub(super) fn numbers(text: &str) -> Result<Arc<[f32]>, Error> {
    let invalid = |message: String| Error::invalid("template", message);
    let bytes = STANDARD
        .decode(text)
        .map_err(|error| invalid("`template` is not standard base64 with padding".to_owned()).with_source(error))?;
    let (numbers, []) = bytes.as_chunks::<4>() else {
        return Err(invalid(format!("`template` has {} bytes, expected 4 for each number", bytes.len())));
    };
    Ok(numbers.iter().map(|&bytes| f32::from_le_bytes(bytes)).collect())
}

// ------------------------------------------------------------------------------------------------ answers

/// A person without its face sets.
pub(super) fn person(person: Person, n_faces: Option<u64>) -> dto::Person {
    dto::Person {
        key: person.key.to_string(),
        name: text(person.name),
        note: text(person.note),
        face_sets: None,
        n_faces,
        created_at: time_text(person.created_at),
        thumbnail: None,
        unknown: Vec::new(),
    }
}

/// The answer of a change: whoever may not read persons learns nothing of one by changing it, or by a change that changes
/// nothing.
pub(super) fn changed_person(caller: &Caller, person: dto::Person) -> dto::Person {
    if caller.grants.contains(Grant::Read) {
        return person;
    }
    dto::Person { name: None, note: None, face_sets: None, n_faces: None, ..person }
}

/// The same for a face: what is left says which one it is, where it was in its picture, and when it was changed.
pub(super) fn changed_face(caller: &Caller, face: dto::Face) -> dto::Face {
    if caller.grants.contains(Grant::Read) {
        return face;
    }
    let dto::Face { id, detection, created_at, updated_at, .. } = face;
    dto::Face {
        id,
        person: None,
        person_name: None,
        subject: None,
        external_id: None,
        note: None,
        fields: BTreeMap::new(),
        detection,
        template: None,
        source: None,
        created_at,
        updated_at,
    }
}

pub(super) fn face_set(summary: FaceSetSummary) -> dto::FaceSet {
    let FaceSetSummary { face_set, n_faces } = summary;
    let field = |(name, field_type): &(FieldName, FieldType)| dto::Field {
        name: name.to_string(),
        field_type: field_type.word().to_owned(),
    };
    dto::FaceSet {
        name: face_set.name.to_string(),
        label: text(face_set.label),
        note: text(face_set.note),
        tags: face_set.tags.words().iter().map(|word| word.to_string()).collect(),
        pack: face_set.pack.to_string(),
        fields: face_set.schema.fields().iter().map(field).collect(),
        capacity: face_set.capacity,
        quality: face_set.quality_gate.word().to_owned(),
        thumbnails: face_set.thumbnails,
        n_faces,
        storage: None,
        created_at: time_text(face_set.created_at),
    }
}

pub(super) fn storage(bytes: types::FaceSetBytes) -> dto::Storage {
    let types::FaceSetBytes { templates, records, thumbnails, is_exact } = bytes;
    dto::Storage { template_bytes: templates, record_bytes: records, thumbnail_bytes: thumbnails, is_exact }
}

pub(super) fn text(note: Option<Note>) -> Option<String> {
    note.map(|note| note.to_string()).filter(|text| !text.is_empty())
}

/// A time as the native API spells it: RFC 3339, UTC.
pub fn time_text(at: TimestampMs) -> String {
    let nanos = i128::from(at.0) * 1_000_000;
    let utc = OffsetDateTime::from_unix_timestamp_nanos(nanos).unwrap_or(OffsetDateTime::UNIX_EPOCH);
    // RFC 3339 has no years beyond 9999; neither has a clock that works.
    utc.format(&Rfc3339).unwrap_or_default()
}

pub(super) fn detection(detection: types::Detection) -> dto::Detection {
    let types::BoundingBox { left, top, width, height } = detection.bounding_box;
    let [right_eye, left_eye, nose, mouth_right, mouth_left] =
        detection.landmarks.0.map(|point| [point.x, point.y].map(tenth_of_a_pixel));
    dto::Detection {
        bounding_box: dto::BoundingBox { left, top, width, height },
        landmarks: dto::Landmarks { right_eye, left_eye, nose, mouth_right, mouth_left },
        score: detection.score,
    }
}

pub(super) fn refused_face(face: library::RefusedFace) -> dto::RefusedFace {
    let reasons = face.reasons.iter().map(QualityFailure::to_string).collect();
    let failures = face.reasons.iter().map(failure).collect();
    dto::RefusedFace { detection: detection(face.detection), reasons, failures }
}

/// A figure that is too low.
pub(super) fn failure(failure: &QualityFailure) -> dto::Failure {
    let figure = match failure.figure {
        "side in pixels" => "side_px",
        figure => figure,
    };
    dto::Failure { figure: figure.to_owned(), value: failure.value, least: failure.least }
}

/// What was found in an image.
#[derive(Debug)]
pub struct Detected {
    /// As it is, fit for drawing.
    pub analysis: Analysis,
    /// What was asked for but no installed model pack measures, by the names of the native API.
    pub not_measured: Vec<&'static str>,
}

/// What was found in an image, as the native API's answer.
pub fn detections(detected: Detected) -> dto::Detections {
    let Detected { analysis, not_measured } = detected;
    dto::Detections {
        image_width: analysis.image_width,
        image_height: analysis.image_height,
        faces: analysis.faces.into_iter().map(detected_face).collect(),
        not_measured: not_measured.into_iter().map(str::to_owned).collect(),
    }
}

fn detected_face(face: AnalyzedFace) -> dto::DetectedFace {
    let AnalyzedFace { detection: found, quality, assessment, doubt, .. } = face;
    let expressions = assessment.expression.map(|expressions| {
        let word = |expression: types::Expression| (expression.word().to_owned(), expressions.probability(expression));
        types::Expression::ALL.into_iter().map(word).collect()
    });
    let points = |points: &[types::Point]| {
        points.iter().map(|point| [point.x, point.y].map(tenth_of_a_pixel)).collect::<Vec<_>>()
    };
    dto::DetectedFace {
        turn: found.landmarks.quarter_turn().degrees(),
        detection: detection(found),
        doubt: doubt.map(self::doubt),
        quality: self::quality(quality),
        pose: assessment.pose.map(|types::Pose { yaw, pitch, roll }| dto::Pose { yaw, pitch, roll }),
        landmarks68: assessment.landmarks.map(|landmarks| points(&landmarks.0[..])),
        mesh468: assessment.mesh.map(|mesh| points(&mesh.0[..])),
        openness: assessment.openness.map(|openness| {
            let types::Openness { right_eye, left_eye, mouth, eye_contrast } = openness;
            dto::Openness { right_eye, left_eye, mouth, eye_contrast }
        }),
        expressions,
        age: assessment.age,
        male: assessment.gender.map(|gender| gender.male),
        liveness: assessment.liveness,
    }
}

pub(super) fn doubt(doubt: Doubt) -> dto::Doubt {
    dto::Doubt {
        reason: policy::doubtful(doubt).reason.to_owned(),
        presence: doubt.presence,
        presence_min: doubt.presence_min,
    }
}

/// The figures of a face, if they were measured.
pub(super) fn quality(quality: types::Quality) -> Option<dto::Quality> {
    let is_measured = quality != types::Quality::default();
    let types::Quality { total, sharpness, illumination, pose, visibility } = quality;
    is_measured.then_some(dto::Quality { total, sharpness, illumination, pose, visibility })
}

/// Nobody can place an eye more exactly.
fn tenth_of_a_pixel(pixels: f32) -> f32 {
    (pixels * 10.0).round() / 10.0
}

/// Faces with the persons that own them.
pub(super) async fn faces(
    library: &Library,
    caller: &Caller,
    faces: Vec<types::Face>,
) -> Result<Vec<dto::Face>, Error> {
    let owners = library.owners(caller, &faces).await?;
    Ok(faces.into_iter().map(|face| owned_face(face, &owners)).collect())
}

/// A face of one of these persons, or of a set.
fn owned_face(face: types::Face, owners: &[Person]) -> dto::Face {
    let owner = match face.owner {
        FaceOwner::Person(id) => owners.iter().find(|person| person.id == id),
        FaceOwner::FaceSet(_) => None,
    };
    face_of(face, owner)
}

/// A face of that person, or of a set.
pub(super) fn face_of(face: types::Face, owner: Option<&Person>) -> dto::Face {
    dto::Face {
        id: face.id.to_string(),
        person: owner.map(|person| person.key.to_string()),
        person_name: owner.and_then(|person| text(person.name.clone())),
        subject: face.subject.map(|subject| subject.to_string()),
        external_id: face.external_id.map(|id| id.to_string()),
        note: text(face.note),
        fields: face.fields.values().iter().map(|(name, value)| (name.to_string(), of_field(value))).collect(),
        detection: detection(face.detection),
        template: None,
        source: text(face.source),
        created_at: time_text(face.created_at),
        updated_at: time_text(face.updated_at),
    }
}

/// A template as clients read it: base64 of its numbers.
pub(super) fn template(template: &Template) -> String {
    STANDARD.encode(template.unit().iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
}

/// A tenant without what it has.
pub(super) fn tenant(tenant: &Tenant) -> dto::Tenant {
    let Limits { face_sets_max, faces_max, persons_max, face_set_faces_max, person_faces_max, calls_per_second } =
        tenant.limits;
    dto::Tenant {
        name: tenant.name.to_string(),
        project_id: tenant.id.to_string(),
        created_at: time_text(tenant.created_at),
        limits: dto::TenantLimits {
            face_sets_max,
            faces_max,
            persons_max,
            set_faces_max: face_set_faces_max,
            person_faces_max,
            calls_per_second,
        },
        usage: None,
    }
}

pub(super) fn usage(TenantUsage { n_face_sets, n_persons, n_faces }: TenantUsage) -> dto::Usage {
    dto::Usage { n_face_sets, n_persons, n_faces }
}

/// A pack's calibration, which every face set's pack has as long as it is installed.
pub(super) fn calibration<'a>(library: &'a Library, pack: &PackId) -> Result<&'a Calibration, Error> {
    let info = library
        .pack(pack)
        .ok_or_else(|| Error::new(Kind::PackUnavailable, format!("model pack `{pack}` is not installed")))?;
    Ok(&info.calibration)
}

fn interval(interval: Interval) -> dto::Interval {
    dto::Interval { low: interval.low, high: interval.high }
}

pub(super) fn rate(rate: &FalseAcceptRate) -> dto::FalseAcceptRate {
    dto::FalseAcceptRate { far: rate.rate, far_interval: rate.interval.map(interval), far_bound: rate.bound.into() }
}

impl From<Bound> for dto::Bound {
    fn from(bound: Bound) -> Self {
        match bound {
            Bound::Measured => Self::Measured,
            Bound::AtMost => Self::AtMost,
            Bound::AtLeast => Self::AtLeast,
        }
    }
}

fn false_matches(rate: &FalseAcceptRate, n_faces: u64) -> dto::FalseMatches {
    let found = rate.false_matches(n_faces);
    dto::FalseMatches { false_matches: found.expected, false_matches_interval: found.interval.map(interval) }
}

pub(super) async fn search_answer(
    library: &Library,
    caller: &Caller,
    answer: library::SearchAnswer,
    is_person: bool,
) -> Result<dto::SearchAnswer, Error> {
    let found: Vec<types::Face> = answer.candidates.iter().map(|candidate| candidate.face.clone()).collect();
    let owners = library.owners(caller, &found).await?;
    let calibration = calibration(library, &answer.face_set.pack)?;
    let Comparisons { n_faces, n_probes } = answer.compared;
    let least = calibration.false_accept_rate(answer.similarity_min).of_any(n_probes);
    Ok(dto::SearchAnswer {
        pack: answer.face_set.pack.to_string(),
        n_faces,
        n_compared: is_person.then_some(n_probes),
        similarity_min: answer.similarity_min.get(),
        rate: rate(&least),
        in_gallery: false_matches(&least, n_faces),
        probe: answer.probe.map(detection),
        n_faces_in_image: several(answer.n_faces_in_image),
        candidates: answer
            .candidates
            .into_iter()
            .map(|found| candidate(calibration, answer.compared, &owners, found))
            .collect(),
        explanation: None,
    })
}

/// A candidate with what its similarity means after so many comparisons.
pub(super) fn candidate(
    calibration: &Calibration,
    Comparisons { n_faces, n_probes }: Comparisons,
    owners: &[Person],
    candidate: library::Candidate,
) -> dto::Candidate {
    let found = calibration.false_accept_rate(candidate.similarity).of_any(n_probes);
    dto::Candidate {
        similarity: candidate.similarity.get(),
        rate: rate(&found),
        in_gallery: false_matches(&found, n_faces),
        face: owned_face(candidate.face, owners),
    }
}

pub(super) fn picture_searched(library: &Library, found: library::FacesFound) -> Result<dto::PictureSearched, Error> {
    let calibration = calibration(library, &found.face_set.pack)?;
    let (n_faces, persons) = (found.n_faces, &found.persons);
    let candidate = |found: library::Candidate| candidate(calibration, Comparisons::with(n_faces), persons, found);
    let face = |face: library::FaceFound| dto::FaceSearched {
        probe: detection(face.probe),
        candidates: face.candidates.into_iter().map(candidate).collect(),
    };
    let least = calibration.false_accept_rate(found.similarity_min);
    Ok(dto::PictureSearched {
        pack: found.face_set.pack.to_string(),
        n_faces,
        similarity_min: found.similarity_min.get(),
        rate: rate(&least),
        in_gallery: false_matches(&least, n_faces),
        faces: found.faces.into_iter().map(face).collect(),
    })
}

/// What a verdict on faces of a pack is made from: the calibration, the least similarity and the false-accept rate it is of.
fn verdict<'a>(
    library: &'a Library,
    far: Option<f64>,
    pack: &PackId,
    among: Comparisons,
) -> Result<(&'a Calibration, Similarity, f64), Error> {
    let calibration = calibration(library, pack)?;
    let similarity_min = library.similarity_min(&threshold(None, far, None)?, pack, among)?;
    Ok((calibration, similarity_min, far.map_or_else(|| library.far_default(pack), Ok)?))
}

pub(super) fn person_compared(
    library: &Library,
    far: Option<f64>,
    compared: library::PersonCompared,
) -> Result<dto::PersonCompared, Error> {
    let among = Comparisons { n_faces: 1, n_probes: compared.n_compared };
    let (calibration, similarity_min, far_applied) = verdict(library, far, &compared.pack, among)?;
    Ok(dto::PersonCompared {
        similarity: compared.similarity.get(),
        rate: rate(&calibration.false_accept_rate(compared.similarity).of_any(compared.n_compared)),
        same: compared.similarity >= similarity_min,
        similarity_min: similarity_min.get(),
        far_asked: far,
        far_applied,
        face_id: compared.face.to_string(),
        n_compared: compared.n_compared,
        pack: compared.pack.to_string(),
        probe: detection(compared.probe),
        n_faces_in_image: several(compared.n_faces_in_image),
    })
}

pub(super) fn comparison(
    library: &Library,
    far: Option<f64>,
    answer: library::Comparison,
) -> Result<dto::Comparison, Error> {
    let (calibration, similarity_min, far_applied) = verdict(library, far, &answer.pack, Comparisons::ONE)?;
    Ok(dto::Comparison {
        similarity: answer.similarity.get(),
        rate: rate(&calibration.false_accept_rate(answer.similarity)),
        same: answer.similarity >= similarity_min,
        similarity_min: similarity_min.get(),
        far_asked: far,
        far_applied,
        pack: answer.pack.to_string(),
        faces: answer.faces.map(detection),
        n_faces_in_images: several_of_two(answer.n_faces_in_images),
        explanation: None,
    })
}

pub(super) fn many_compared(
    library: &Library,
    far: Option<f64>,
    answer: library::ManyCompared,
) -> Result<dto::ManyCompared, Error> {
    let (calibration, similarity_min, far_applied) = verdict(library, far, &answer.pack, Comparisons::ONE)?;
    let other = |compared: Result<(library::LargestFace, types::Similarity), Error>| match compared {
        Ok((face, similarity)) => dto::OtherCompared {
            same: similarity >= similarity_min,
            similarity: Some(similarity.get()),
            rate: Some(rate(&calibration.false_accept_rate(similarity))),
            face: Some(detection(face.detection)),
            n_faces_in_image: several(face.n_faces_in_image),
            error: None,
        },
        Err(error) => {
            let fault = dto::ImageFault {
                code: code_of(error.kind()).to_owned(),
                message: error.message().to_owned(),
                hint: error.hint().map(str::to_owned),
            };
            dto::OtherCompared {
                same: false,
                similarity: None,
                rate: None,
                face: None,
                n_faces_in_image: None,
                error: Some(fault),
            }
        }
    };
    Ok(dto::ManyCompared {
        similarity_min: similarity_min.get(),
        far_asked: far,
        far_applied,
        pack: answer.pack.to_string(),
        probe: detection(answer.probe.detection),
        n_faces_in_image: several(answer.probe.n_faces_in_image),
        others: answer.others.into_iter().map(other).collect(),
    })
}

pub(super) fn pack(info: &PackInfo) -> dto::Pack {
    let points = info.calibration.points().iter();
    dto::Pack {
        id: info.id.to_string(),
        dimensions: info.dimensions,
        default_far: info.calibration.far_default(),
        operating_points: points
            .map(|point| dto::OperatingPoint {
                far: point.far,
                similarity: point.similarity.get(),
                far_interval: point.far_interval.map(interval),
                tar: point.tar,
                tar_interval: point.tar_interval.map(interval),
            })
            .collect(),
    }
}

/// A report on a store in the native API's words.
pub fn report(report: StoreReport) -> dto::Report {
    dto::Report {
        backend: report.backend,
        schema_version: report.schema_version,
        revision: report.revision.0,
        n_tenants: report.n_tenants,
        n_face_sets: report.n_face_sets,
        n_persons: report.n_persons,
        n_faces: report.n_faces,
        n_held_faces: report.n_held_faces,
        n_faces_to_erase: report.n_faces_to_erase,
        bytes_on_disk: report.bytes_on_disk,
        bytes_free: report.bytes_free,
        problems: report.problems,
        notes: report.notes,
        checked: report.checked,
        not_checked: report.not_checked,
        scrub: report.scrub.map(scrub),
    }
}

pub(crate) fn scrub(scrub: ScrubReport) -> dto::Scrub {
    dto::Scrub {
        started_at: scrub.started_at.map(time_text),
        finished_at: scrub.finished_at.map(time_text),
        n_rows_read: scrub.n_rows_read,
        n_rows_all: scrub.n_rows_all,
    }
}

pub(super) fn report_progress(progress: Option<ReportProgress>) -> dto::ReportProgress {
    match progress {
        Some(ReportProgress { stage, n_done, n_all }) => {
            dto::ReportProgress { stage: Some(stage.to_owned()), n_done, n_all }
        }
        None => dto::ReportProgress::default(),
    }
}

/// How each part of a server is, in the native API's words.
pub(crate) fn parts(readiness: &Readiness) -> BTreeMap<String, dto::Part> {
    let part = |(name, part): (&str, &PartHealth)| {
        (name.to_owned(), dto::Part { state: part.state.word().to_owned(), reason: part.reason.clone() })
    };
    readiness.parts().into_iter().map(part).collect()
}
