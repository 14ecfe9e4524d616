//! The vendor's terms translated into the library's and back: the only file that knows both.

use likeness_domain::filter::Vocabulary;
use likeness_domain::library::{Candidate, Direction, SortKey};
use likeness_domain::limits;
use likeness_domain::ports::AnalyzedFace;
use likeness_domain::score::Scale;
use likeness_domain::types::{
    Aspects, BoundingBox, DenseLandmarks, Expression, Expressions, Face, FaceSet, FaceSetName, FieldName, FieldSchema,
    FieldType, FieldValue, FieldValues, GivenFields, GivenValue, Point, Pose, Quality, Similarity, Subject,
    TimestampMs,
};

use super::dto::{self, Ordered};
use super::errors::{Failure, code};
use super::ids;
use super::params::{Params, shortened};
use super::settings::Settings;
use crate::http::json::{self, Object, Value, rounded};
use crate::http::signing::spell_time;

/// What this dialect calls the built-in columns of a filter.
pub(super) const VOCABULARY: Vocabulary =
    Vocabulary { subject: "external_image_id", face_id: ("face_id", ids::read_face_id) };

/// Names no custom field may have: members of the vendor's own records.
const RESERVED_FIELDS: [&str; 9] =
    ["external_image_id", "bounding_box", "similarity", "face_id", "create_time", "vector", "_id", "_all", "_source"];

// ------------------------------------------------------------------------------------------------- requests

/// A face set's name in a body: stricter than the library, as documented.
pub(super) fn new_face_set_name(text: &str) -> Result<FaceSetName, Failure> {
    check_word("face_set_name", text, 64)?;
    FaceSetName::new(text).map_err(|error| Failure::invalid(error.message()))
}

/// A face set's name in a path. A text that cannot be a name is the name of no set; sets made through other dialects
/// may have names this one could not give.
pub(super) fn named_face_set(text: &str) -> Result<FaceSetName, Failure> {
    let unknown = |_| Failure::service(code::FRS_0302, format!("face set `{}` does not exist", shortened(text)));
    FaceSetName::new(text).map_err(unknown)
}

/// A label to be given to faces: stricter than the library, as documented.
pub(super) fn new_external_image_id(text: &str) -> Result<Subject, Failure> {
    check_word("external_image_id", text, 36)?;
    Subject::new(text).map_err(|error| Failure::invalid(error.message()))
}

fn check_word(name: &str, text: &str, chars_max: usize) -> Result<(), Failure> {
    if (1..=chars_max).contains(&text.len()) && text.bytes().all(is_of_word) {
        return Ok(());
    }
    let message = format!("`{name}` is `{}`, expected 1 to {chars_max} of A-Z a-z 0-9 _ -", shortened(text));
    Err(Failure::invalid(message))
}

fn is_of_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"_-".contains(&byte)
}

/// The capacity of a new face set.
pub(super) fn capacity(params: &Params, settings: &Settings) -> Result<u64, Failure> {
    let Some(number) = params.integer("face_set_capacity")? else { return Ok(settings.capacity_max) };
    let Settings { capacity_step: step, capacity_max: max, .. } = *settings;
    match u64::try_from(number) {
        Ok(capacity) if (step..=max).contains(&capacity) && capacity.is_multiple_of(step) => Ok(capacity),
        _ => Err(Failure::invalid(format!(
            "`face_set_capacity` is {number}, expected a multiple of {step} from {step} to {max}"
        ))),
    }
}

/// The custom fields a new face set defines.
pub(super) fn field_schema(params: &Params) -> Result<FieldSchema, Failure> {
    let Some(definitions) = object(params, "external_fields")? else { return Ok(FieldSchema::default()) };
    let mut fields = Vec::new();
    for (name, definition) in definitions.members() {
        let wrong = |what: &str| Failure::invalid(format!("`external_fields`: field `{}` {what}", shortened(name)));
        if *definition == Value::Null {
            continue;
        }
        if RESERVED_FIELDS.contains(&name.as_str()) {
            return Err(wrong("has a reserved name"));
        }
        let word = match definition {
            Value::Object(definition) => match definition.get("type") {
                Some(Value::Text(word)) => word.to_ascii_lowercase(),
                _ => return Err(wrong("has no type")),
            },
            _ => return Err(wrong("is not defined by an object with a type")),
        };
        let Some(field_type) = FieldType::from_word(&word) else {
            return Err(wrong("has another type than string, integer, long, float, double or boolean"));
        };
        fields.push((FieldName::new(name).map_err(|error| Failure::invalid(error.message()))?, field_type));
        // Repeated names replace each other, so there may be more members than fields; hardly so many more.
        if fields.len() > 10 * FieldSchema::FIELDS_MAX {
            return Err(Failure::invalid("`external_fields` defines too many fields, expected at most 10"));
        }
    }
    FieldSchema::new(fields).map_err(|error| Failure::invalid(error.message()))
}

/// A member that must be an object if it is there.
pub(super) fn object(params: &Params, name: &str) -> Result<Option<Object>, Failure> {
    match params.structure(name)?.map(|value| value.into_owned()) {
        None => Ok(None),
        Some(Value::Object(object)) => Ok(Some(object)),
        Some(other) => Err(Failure::invalid(format!("`{name}` is {}, expected an object", other.kind()))),
    }
}

/// Values for custom fields, as JSON has them: text is never read as a number, and `null` is no value.
pub(super) fn field_values(given: &Object, settings: &Settings) -> GivenFields {
    let value = |value: &Value| match value {
        Value::Text(text) if !settings.field_text_strict || text.bytes().all(is_of_word) => {
            GivenValue::Typed(FieldValue::Text(text.as_str().into()))
        }
        Value::Whole(number) => GivenValue::Typed(FieldValue::Whole(*number)),
        Value::Real(number) => GivenValue::Typed(FieldValue::Real(*number)),
        Value::Boolean(flag) => GivenValue::Typed(FieldValue::Boolean(*flag)),
        Value::Text(_) => {
            GivenValue::Unfit("a text that is empty or has other characters than letters, digits, `_` and `-`")
        }
        Value::List(_) => GivenValue::Unfit("a list"),
        Value::Object(_) => GivenValue::Unfit("an object"),
        Value::Null => GivenValue::Unfit("null"),
    };
    let given = given.members().iter().filter(|(_, given)| *given != Value::Null);
    given.map(|(name, given)| (name.clone(), value(given))).collect()
}

/// How many candidates a search may answer.
pub(super) fn top_n(params: &Params, settings: &Settings) -> Result<usize, Failure> {
    const DEFAULT: usize = 10;
    let most = settings.top_n_max.min(limits::TOP_K_MAX);
    match params.integer("top_n")? {
        None | Some(0) => Ok(DEFAULT.min(most)),
        Some(number) => usize::try_from(number)
            .ok()
            .filter(|number| *number <= most)
            .ok_or_else(|| Failure::invalid(format!("`top_n` is {number}, expected 1 to {most}"))),
    }
}

/// The least similarity a search may answer, 0 to 1.
pub(super) fn threshold(params: &Params) -> Result<f64, Failure> {
    match params.number("threshold")? {
        None => Ok(0.0),
        Some(number) if (0.0..=1.0).contains(&number) => Ok(number),
        Some(number) => Err(Failure::invalid(format!("`threshold` is {number}, expected 0 to 1"))),
    }
}

/// Sort keys: an array of objects, or one object; of a field named twice the later direction wins.
pub(super) fn sort_keys(params: &Params) -> Result<Vec<SortKey>, Failure> {
    let Some(value) = params.structure("sort")? else { return Ok(Vec::new()) };
    let items = match value.as_ref() {
        Value::List(items) => items.as_slice(),
        Value::Object(_) => std::slice::from_ref(value.as_ref()),
        other => return Err(Failure::invalid(format!("`sort` is {}, expected an array of objects", other.kind()))),
    };
    let mut keys: Vec<SortKey> = Vec::new();
    for item in items {
        let Value::Object(members) = item else {
            return Err(Failure::invalid(format!("`sort` holds {}, expected objects", item.kind())));
        };
        for (field, direction) in members.members() {
            let direction = match direction {
                Value::Null => continue,
                Value::Text(word) if word.eq_ignore_ascii_case("asc") => Direction::Ascending,
                Value::Text(word) if word.eq_ignore_ascii_case("desc") => Direction::Descending,
                _ => {
                    let field = shortened(field);
                    return Err(Failure::invalid(format!("`sort`: direction of `{field}` is not asc or desc")));
                }
            };
            if RESERVED_FIELDS.contains(&field.as_str()) {
                let message = format!("`sort`: `{field}` is not a numeric custom field");
                return Err(Failure::service(code::FRS_0032, message));
            }
            match keys.iter().position(|key| key.field == *field) {
                Some(key_idx) => keys[key_idx].direction = direction,
                None if keys.len() == limits::SORT_KEYS_MAX => {
                    return Err(Failure::invalid("`sort` has too many keys, expected at most 10"));
                }
                None => keys.push(SortKey { field: field.clone(), direction }),
            }
        }
    }
    Ok(keys)
}

/// Names of the custom fields to return: an array, its text, or names between commas.
pub(super) fn return_fields(params: &Params) -> Result<Vec<String>, Failure> {
    let wrong = |what: &str| Failure::invalid(format!("`return_fields` {what}, expected an array of names"));
    let value = match params.structure("return_fields") {
        Ok(None) => return Ok(Vec::new()),
        Ok(Some(value)) => value.into_owned(),
        Err(failure) => match params.text("return_fields")? {
            Some(text) if !text.contains(['[', '{', '"', '\'']) => Value::Text(text.to_owned()),
            _ => return Err(failure),
        },
    };
    match value {
        Value::List(items) => items
            .into_iter()
            .filter(|item| *item != Value::Null)
            .map(|item| match item {
                Value::Text(name) => Ok(name),
                other => Err(wrong(&format!("holds {}", other.kind()))),
            })
            .collect(),
        Value::Text(names) => Ok(names.split(',').map(|name| name.trim().to_owned()).collect()),
        // Python's and JSON's numbers and words are also what a single field could be called.
        Value::Whole(_) | Value::Boolean(_) => {
            Ok(params.text("return_fields")?.into_iter().map(str::to_owned).collect())
        }
        other => Err(wrong(&format!("is {}", other.kind()))),
    }
}

/// Attribute codes of a detect call; `None` when none are asked for.
pub(super) fn attribute_codes(params: &Params) -> Result<Option<Vec<u8>>, Failure> {
    let Some(text) = params.text_or_whole("attributes")? else { return Ok(None) };
    let code = |piece: &str| piece.trim().parse().ok().filter(|code| *code <= 99);
    text.split(',').map(code).collect::<Option<Vec<u8>>>().map(Some).ok_or_else(|| {
        Failure::invalid(format!(
            "`attributes` is `{}`, expected numbers from 0 to 99 between commas",
            shortened(&text)
        ))
    })
}

// ------------------------------------------------------------------------------------------------- answers

/// A time as the vendor writes it, in UTC.
pub(super) fn create_date(time: TimestampMs) -> String {
    spell_time(time, time::macros::format_description!("[year]-[month]-[day] [hour]:[minute]:[second]"))
}

pub(super) fn bounding_box(bounding_box: BoundingBox) -> dto::BoundingBox {
    let BoundingBox { left, top, width, height } = bounding_box;
    dto::BoundingBox { width, height, top_left_x: left, top_left_y: top }
}

/// A face set; one made through another dialect without a bound is shown with the largest capacity there is here, or
/// with what it holds if that is more.
pub(super) fn face_set_info(face_set: FaceSet, n_faces: u64, settings: &Settings) -> dto::FaceSetInfo {
    let definition = |(name, field_type): &(FieldName, FieldType)| {
        (name.as_str().to_owned(), dto::FieldDefinition { field_type: field_type.word() })
    };
    dto::FaceSetInfo {
        face_number: n_faces,
        face_set_id: ids::face_set_id(face_set.id),
        face_set_name: face_set.name.as_str().to_owned(),
        create_date: create_date(face_set.created_at),
        face_set_capacity: face_set.capacity.unwrap_or_else(|| settings.capacity_max.max(n_faces)),
        external_fields: Ordered(face_set.schema.fields().iter().map(definition).collect()),
    }
}

fn field_values_shown(values: &FieldValues, wanted: impl Fn(&str) -> bool) -> Ordered<serde_json::Value> {
    let values = values.values().iter().filter(|(name, _)| wanted(name.as_str()));
    Ordered(values.map(|(name, value)| (name.as_str().to_owned(), json::of_field(value))).collect())
}

/// A face with the wanted custom fields, and how alike it is if it was searched for.
fn face_shown(face: &Face, similarity: Option<f64>, wants: impl Fn(&str) -> bool) -> dto::Face {
    dto::Face {
        face_id: ids::face_id(face.id),
        external_image_id: face.subject.as_ref().map(|subject| subject.as_str().to_owned()),
        similarity,
        bounding_box: bounding_box(face.detection.bounding_box),
        external_fields: field_values_shown(&face.fields, wants),
    }
}

pub(super) fn faces_shown(face_set: &FaceSet, faces: &[Face]) -> dto::Answer {
    dto::Answer::Faces {
        face_set_id: ids::face_set_id(face_set.id),
        face_set_name: face_set.name.as_str().to_owned(),
        faces: faces.iter().map(|face| face_shown(face, None, |_| true)).collect(),
    }
}

pub(super) fn faces_changed(face_set: &FaceSet, n_faces: usize) -> dto::Answer {
    dto::Answer::FacesChanged {
        face_number: n_faces as u64,
        face_set_id: ids::face_set_id(face_set.id),
        face_set_name: face_set.name.as_str().to_owned(),
    }
}

/// Candidates with the wanted custom fields; unknown names want nothing.
pub(super) fn faces_found(
    candidates: &[Candidate],
    schema: &FieldSchema,
    return_fields: &[String],
    scale: &Scale,
) -> dto::Answer {
    // Against the schema first: a caller may name very many fields, a set has ten.
    let is_wanted = |name: &FieldName| return_fields.iter().any(|wanted| wanted == name.as_str());
    let wanted: Vec<&str> =
        schema.fields().iter().map(|(name, _)| name).filter(|name| is_wanted(name)).map(FieldName::as_str).collect();
    let shown = |candidate: &Candidate| {
        let similarity = scale.to_number(candidate.similarity);
        face_shown(&candidate.face, Some(similarity), |name| wanted.contains(&name))
    };
    dto::Answer::FacesFound { faces: candidates.iter().map(shown).collect() }
}

pub(super) fn faces_compared(faces: [BoundingBox; 2], similarity: Similarity, scale: &Scale) -> dto::Answer {
    let [image1_face, image2_face] = faces.map(|face| dto::ComparedFace { bounding_box: bounding_box(face) });
    dto::Answer::FacesCompared { image1_face, image2_face, similarity: scale.to_number(similarity) }
}

/// What has to be measured for these attribute codes.
pub(super) fn aspects(codes: &[u8]) -> Aspects {
    let aspect = |code: &u8| match code {
        0 => Aspects::POSE,
        1 | 2 => Aspects::AGE_AND_GENDER,
        3 => Aspects::LANDMARKS,
        5 | 13 => Aspects::EXPRESSION,
        12 => Aspects::QUALITY,
        21 => Aspects::POINTS,
        _ => Aspects::NONE,
    };
    codes.iter().map(aspect).fold(Aspects::NONE, Aspects::and)
}

/// A detected face with the attributes that were asked for. What was not measured is `unknown` where the vendor has that
/// word, and left out elsewhere. Nothing measures dress, mask, hair, beard and where the picture comes from.
pub(super) fn detected_face(face: &AnalyzedFace, codes: Option<&[u8]>) -> dto::DetectedFace {
    const UNKNOWN: &str = "unknown";
    let found = &face.assessment;
    let asked = |code: u8| codes.is_some_and(|codes| codes.contains(&code));
    let unknown = |code: u8| asked(code).then_some(UNKNOWN);
    let attributes = codes.is_some().then(|| dto::Attributes {
        headpose: found.pose.filter(|_| asked(0)).map(headpose),
        gender: found.gender.filter(|_| asked(1)).map(|gender| if gender.male >= 0.5 { "male" } else { "female" }),
        age: found.age.filter(|_| asked(2)).map(|age| age.round() as u32),
        dress: asked(4).then_some(dto::Dress { glass: UNKNOWN, hat: UNKNOWN }),
        smile: asked(5).then(|| found.expression.as_ref().map_or(UNKNOWN, smile)),
        mask: unknown(6),
        hair: unknown(7),
        beard: unknown(8),
        quality: asked(12).then(|| quality(face.quality)).flatten(),
        expression: asked(13).then(|| expression(found.expression.as_ref())),
        face_angle: asked(21).then(|| face.detection.landmarks.quarter_turn().degrees()),
    });
    dto::DetectedFace {
        bounding_box: bounding_box(face.detection.bounding_box),
        attributes,
        landmark: found.landmarks.as_ref().filter(|_| asked(3)).map(landmark),
    }
}

fn headpose(pose: Pose) -> dto::HeadPose {
    let degrees = |angle: f32| rounded(angle, 2);
    dto::HeadPose { pitch_angle: degrees(pose.pitch), roll_angle: degrees(pose.roll), yaw_angle: degrees(pose.yaw) }
}

fn smile(expressions: &Expressions) -> &'static str {
    if expressions.probability(Expression::Happy) >= 0.5 { "yes" } else { "none" }
}

fn expression(expressions: Option<&Expressions>) -> dto::Expression {
    let Some((strongest, probability)) = expressions.map(Expressions::strongest) else {
        return dto::Expression { expression_type: "unknown", probability: None };
    };
    let expression_type = match strongest {
        Expression::Neutral => "neutral",
        Expression::Happy => "happy",
        Expression::Sad => "sad",
        Expression::Angry => "angry",
        Expression::Fearful => "fear",
        Expression::Disgusted => "disgust",
        Expression::Surprised => "surprise",
    };
    dto::Expression { expression_type, probability: Some(four_decimals(probability)) }
}

fn landmark(landmarks: &DenseLandmarks) -> dto::Landmark {
    let pixel = |point: &Point| dto::Pixel { x: point.x.round() as i64, y: point.y.round() as i64 };
    let contour = |points: &[Point]| points.iter().map(pixel).collect();
    dto::Landmark {
        eyes_contour: contour(landmarks.eyes()),
        mouth_contour: contour(landmarks.mouth()),
        face_contour: contour(landmarks.jaw()),
        eyebrow_contour: contour(landmarks.eyebrows()),
        nose_contour: contour(landmarks.nose()),
    }
}

/// So that 0.81 is not shown as the nearest f32.
fn four_decimals(figure: f32) -> f64 {
    rounded(figure, 4)
}

/// Their figures but the total count defects, ours count virtues. `None` when nothing was measured.
fn quality(quality: Quality) -> Option<dto::Quality> {
    if quality == Quality::default() {
        return None;
    }
    let defect = |virtue: Option<f32>| virtue.map(|virtue| four_decimals(1.0 - virtue));
    Some(dto::Quality {
        total_score: quality.total.map(four_decimals),
        blur: defect(quality.sharpness),
        pose: defect(quality.pose),
        occlusion: defect(quality.visibility),
        illumination: defect(quality.illumination),
    })
}
