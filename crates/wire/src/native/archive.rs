//! Archives in our own words: faces with their templates, out and in.

use std::collections::HashMap;
use std::sync::Arc;

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use likeness_domain::types::{
    self, ExternalId, Face, FaceOwner, ID_END, PackId, Person, PersonId, PersonKey, Subject, Template, TemplateError,
    Thumbnail, TimestampMs,
};
use likeness_domain::{Error, library, limits};
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::body::{Call, InFaceSet, Json, Query, json};
use super::errors::NativeError;
use super::routes::never_kept;
use super::{convert, dto};
use crate::http::json::of_field;

type Answer = std::result::Result<Response, NativeError>;

/// `GET /face-sets/{name}/archive`
pub(super) async fn export(Call { api, caller }: Call, InFaceSet(name): InFaceSet, Query(mut words): Query) -> Answer {
    let from = words.parsed("from", "`next` of an earlier answer")?.unwrap_or(0);
    let limit = words.parsed("limit", "a whole number")?.unwrap_or(limits::ARCHIVE_FACES_MAX as u64);
    let with_thumbnails = words.includes("thumbnails")?;
    words.finish()?;
    let stretch = library::Stretch { from, limit, with_thumbnails };
    let exported = api.library.export_faces(&caller, &name, stretch).await?;
    let page = dto::ArchivePage {
        pack: exported.face_set.pack.to_string(),
        faces: archived_faces(&exported),
        n_damaged: exported.n_damaged,
        next: exported.next,
    };
    let mut response = json(StatusCode::OK, &page);
    never_kept(&mut response);
    Ok(response)
}

/// `POST /face-sets/{name}/archive`
pub(super) async fn import(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::ImportFaces>,
) -> Answer {
    let pack = convert::pack_id(Some(&body.pack))?.ok_or_else(|| Error::invalid("pack", "`pack` is missing"))?;
    let read = |(idx, face): (usize, dto::ArchivedFace)| {
        read(face, &pack).map_err(|error| error.about(format_args!("face {}", idx + 1)))
    };
    let faces = body.faces.into_iter().enumerate().map(read).collect::<Result<_, _>>()?;
    let imported = api.library.import_faces(&caller, library::ImportFaces { face_set: name, faces }).await?;
    let library::FacesImported { n_enrolled, n_known } = imported;
    Ok(json(StatusCode::OK, &dto::FacesImported { n_enrolled, n_known }))
}

/// The faces of a stretch, as an archive has them.
pub(super) fn archived_faces(exported: &library::FacesExported) -> Vec<dto::ArchivedFace> {
    let persons: HashMap<PersonId, &Person> = exported.persons.iter().map(|person| (person.id, person)).collect();
    let archived = |(face, template): &(Face, Template)| {
        let thumbnail = exported.thumbnails.get(&face.id).map(|picture| STANDARD.encode(picture.bytes()));
        dto::ArchivedFace { thumbnail, ..archived(face, template, &persons) }
    };
    exported.faces.iter().map(archived).collect()
}

fn archived(face: &Face, template: &Template, persons: &HashMap<PersonId, &Person>) -> dto::ArchivedFace {
    let person = match face.owner {
        FaceOwner::FaceSet(_) => None,
        FaceOwner::Person(id) => persons.get(&id),
    };
    let person = person.map(|person| dto::ArchivedPerson {
        key: person.key.to_string(),
        name: convert::text(person.name.clone()),
        note: convert::text(person.note.clone()),
    });
    let fields: dto::Values =
        face.fields.values().iter().map(|(name, value)| (name.to_string(), of_field(value))).collect();
    let types::Quality { total, sharpness, illumination, pose, visibility } = face.quality;
    let is_measured = face.quality != types::Quality::default();
    dto::ArchivedFace {
        id: Some(face.id.to_string()),
        external_id: face.external_id.as_ref().map(ToString::to_string),
        subject: face.subject.as_ref().map(ToString::to_string),
        fields: (!fields.is_empty()).then_some(fields),
        note: convert::text(face.note.clone()),
        source: convert::text(face.source.clone()),
        person,
        detection: Some(exact_detection(&face.detection)),
        quality: is_measured.then_some(dto::Quality { total, sharpness, illumination, pose, visibility }),
        created_at: Some(convert::time_text(face.created_at)),
        thumbnail: None,
        template: convert::template(template),
    }
}

/// As it is stored, where listings round to what people can see.
fn exact_detection(detection: &types::Detection) -> dto::Detection {
    let types::BoundingBox { left, top, width, height } = detection.bounding_box;
    let [right_eye, left_eye, nose, mouth_right, mouth_left] = detection.landmarks.0.map(|point| [point.x, point.y]);
    dto::Detection {
        bounding_box: dto::BoundingBox { left, top, width, height },
        landmarks: dto::Landmarks { right_eye, left_eye, nose, mouth_right, mouth_left },
        score: detection.score,
    }
}

/// A face of an archive, whose templates are of that pack.
pub(super) fn read(face: dto::ArchivedFace, pack: &PackId) -> Result<library::ArchivedFace, Error> {
    let fields = convert::given_fields(face.fields.unwrap_or_default(), Default::default())?;
    let person = face.person.map(|person| {
        Ok::<_, Error>(library::ArchivedPerson {
            key: PersonKey::new(person.key)?,
            name: convert::note("name", person.name)?,
            note: convert::note("note", person.note)?,
        })
    });
    Ok(library::ArchivedFace {
        id: face.id.map(|id| convert::read_face_id(&id).ok_or_else(|| malformed_id(&id))).transpose()?,
        template: template(&face.template, pack)?,
        detection: face.detection.map_or_else(|| Ok(nowhere()), detection)?,
        quality: face.quality.map_or_else(|| Ok(types::Quality::default()), quality)?,
        subject: face.subject.map(Subject::new).transpose()?,
        external_id: face.external_id.map(ExternalId::new).transpose()?,
        fields,
        note: convert::note("note", face.note)?,
        source: convert::note("source", face.source)?,
        created_at: face.created_at.as_deref().map(time_of).transpose()?,
        thumbnail: face.thumbnail.as_deref().map(thumbnail).transpose()?,
        person: person.transpose()?,
    })
}

fn malformed_id(given: &str) -> Error {
    let shown: String = given.chars().take(24).collect();
    let largest = ID_END - 1;
    let expected = format!("expected a decimal number from 1 to {largest} in a string, without leading zeros");
    Error::invalid("id", format!("`id` is {shown:?}, {expected}"))
}

/// A vector of unit length stays as it is to the bit, so that what was exported is known again.
pub(super) fn template(text: &str, pack: &PackId) -> Result<Template, Error> {
    let numbers = convert::numbers(text)?;
    let template = match Template::from_unit(pack.clone(), Arc::clone(&numbers)) {
        Err(TemplateError::NotUnit) => Template::new(pack.clone(), &numbers),
        template => template,
    };
    template.map_err(|error| Error::invalid("template", format!("`template` is none: {error}")))
}

fn thumbnail(text: &str) -> Result<Thumbnail, Error> {
    let bytes = STANDARD.decode(text).map_err(|error| {
        Error::invalid("thumbnail", "`thumbnail` is not standard base64 with padding").with_source(error)
    })?;
    Thumbnail::received(bytes.into())
}

fn nowhere() -> types::Detection {
    let bounding_box = types::BoundingBox { left: 0, top: 0, width: 0, height: 0 };
    types::Detection { bounding_box, score: 0.0, landmarks: types::Landmarks([types::Point { x: 0.0, y: 0.0 }; 5]) }
}

fn detection(detection: dto::Detection) -> Result<types::Detection, Error> {
    let dto::BoundingBox { left, top, width, height } = detection.bounding_box;
    let dto::Landmarks { right_eye, left_eye, nose, mouth_right, mouth_left } = detection.landmarks;
    let points = [right_eye, left_eye, nose, mouth_right, mouth_left];
    if !points.as_flattened().iter().all(|number| number.is_finite()) || !(0.0..=1.0).contains(&detection.score) {
        let message = "`detection` has a point that is not finite or a score outside of 0 to 1";
        return Err(Error::invalid("detection", message));
    }
    Ok(types::Detection {
        bounding_box: types::BoundingBox { left, top, width, height },
        score: detection.score,
        landmarks: types::Landmarks(points.map(|[x, y]| types::Point { x, y })),
    })
}

fn quality(quality: dto::Quality) -> Result<types::Quality, Error> {
    let dto::Quality { total, sharpness, illumination, pose, visibility } = quality;
    let figures = [total, sharpness, illumination, pose, visibility];
    if !figures.iter().flatten().all(|figure| (0.0..=1.0).contains(figure)) {
        return Err(Error::invalid("quality", "`quality` has a figure outside of 0 to 1"));
    }
    Ok(types::Quality { total, sharpness, illumination, pose, visibility })
}

fn time_of(text: &str) -> Result<TimestampMs, Error> {
    let malformed =
        |error| Error::invalid("created_at", "`created_at` is no time, expected RFC 3339").with_source(error);
    let time = OffsetDateTime::parse(text, &Rfc3339).map_err(malformed)?;
    let ms = time.unix_timestamp_nanos() / 1_000_000;
    i64::try_from(ms).map(TimestampMs).map_err(|_| Error::invalid("created_at", "`created_at` is out of range"))
}

/// Entry for fuzzing: a line of an archive is read or refused.
#[cfg(any(test, feature = "fuzz"))]
pub fn fuzz_archived_face(line: &[u8]) {
    let Ok(face) = serde_json::from_slice::<dto::ArchivedFace>(line) else { return };
    let Some(pack) = PackId::new("fuzz-1") else { return };
    let _ = read(face, &pack);
}
