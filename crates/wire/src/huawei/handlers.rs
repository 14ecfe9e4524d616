//! One function for each operation: translate the request, call the library (seldom twice), translate the answer.

use likeness_domain::filter::{self, Expr};
use likeness_domain::library::{AddFaces, CreateFaceSet, DeleteFaces, Probe, Search, Threshold, UpdateFace};
use likeness_domain::policy::QualityThresholds;
use likeness_domain::ports::{FaceChoice, Page};
use likeness_domain::types::{Face, FaceSet, GivenValue, Subject, Tags};

use super::call::Call;
use super::convert::{self, VOCABULARY};
use super::dto::Answer;
use super::errors::{Code, Failure, Origin, code};
use super::image::{self, Picture};
use super::operations::{self, Operation};
use super::params::shortened;
use super::{ids, liveness};

type Outcome = Result<Answer, Failure>;

/// Runs the operation.
pub(super) async fn handle(call: Call<'_>) -> Outcome {
    let call = &call;
    operations::run!(call.operation, call)
}

async fn detect_faces(call: &Call<'_>) -> Outcome {
    let codes = convert::attribute_codes(&call.params)?;
    let Picture { input, origin, .. } = image::needed(&call.params, "image", call.settings())?;
    let asked = codes.as_deref().unwrap_or_default();
    let analysis = call.ask(origin, call.library.detect(&call.caller, input, convert::aspects(asked))).await?;
    let faces = analysis.faces.iter().map(|face| convert::detected_face(face, codes.as_deref())).collect();
    Ok(Answer::FacesDetected { faces })
}

async fn compare_faces(call: &Call<'_>) -> Outcome {
    let first = image::needed(&call.params, "image1", call.settings())?;
    let second = image::needed(&call.params, "image2", call.settings())?;
    image::check_size("both images", first.n_bytes_sent + second.n_bytes_sent, call.settings())?;
    // A failure does not say which of the two it is about. They mostly come the same way; if not, the one that had to
    // be fetched is the likelier cause of the failures this is used for.
    let origin = if first.origin == Origin::Inline { second.origin } else { first.origin };
    let comparison = call.ask(origin, call.library.compare(&call.caller, [first.input, second.input])).await?;
    let scale = call.dialect.scales.get(&comparison.pack)?;
    let boxes = comparison.faces.map(|face| face.bounding_box);
    Ok(convert::faces_compared(boxes, comparison.similarity, scale))
}

async fn create_face_set(call: &Call<'_>) -> Outcome {
    let settings = call.settings();
    let request = CreateFaceSet {
        name: convert::new_face_set_name(call.params.needed_text("face_set_name")?)?,
        label: None,
        note: None,
        tags: Tags::default(),
        capacity: Some(convert::capacity(&call.params, settings)?),
        schema: convert::field_schema(&call.params)?,
        quality_gate: None,
        thumbnails: false,
    };
    let face_set = call.library.create_face_set(&call.caller, request).await?;
    Ok(Answer::FaceSet { face_set_info: convert::face_set_info(face_set, 0, settings) })
}

async fn list_face_sets(call: &Call<'_>) -> Outcome {
    let face_sets = call.library.face_sets(&call.caller).await?;
    let info = |summary: likeness_domain::types::FaceSetSummary| {
        convert::face_set_info(summary.face_set, summary.n_faces, call.settings())
    };
    Ok(Answer::FaceSets { face_sets_info: face_sets.into_iter().map(info).collect() })
}

async fn show_face_set(call: &Call<'_>) -> Outcome {
    let name = convert::named_face_set(&call.face_set_name)?;
    let summary = call.library.face_set(&call.caller, &name).await?;
    let face_set_info = convert::face_set_info(summary.face_set, summary.n_faces, call.settings());
    Ok(Answer::FaceSet { face_set_info })
}

async fn delete_face_set(call: &Call<'_>) -> Outcome {
    let name = convert::named_face_set(&call.face_set_name)?;
    let face_set = call.library.delete_face_set(&call.caller, &name, false).await?;
    Ok(Answer::FaceSetDeleted { face_set_name: face_set.name.as_str().to_owned() })
}

async fn add_faces(call: &Call<'_>) -> Outcome {
    let single = call.params.boolean("single")?.unwrap_or(false);
    let given_fields = convert::object(&call.params, "external_fields")?.unwrap_or_default();
    let subject = match call.params.text("external_image_id")? {
        Some(text) => convert::new_external_image_id(text)?,
        None => {
            let text = ids::fresh_external_image_id(&*call.dialect.wire.ids);
            Subject::new(text)?
        }
    };
    let Picture { input, origin, .. } = image::needed(&call.params, "image", call.settings())?;
    let request = AddFaces {
        face_set: convert::named_face_set(&call.face_set_name)?,
        image: input,
        choice: if single { FaceChoice::Largest } else { FaceChoice::All },
        subject: Some(subject),
        external_id: None,
        fields: convert::field_values(&given_fields, call.settings()),
        note: None,
        thresholds: QualityThresholds::NONE,
        accept_doubtful: false,
        first_id: None,
    };
    let added = call.ask(origin, call.library.add_faces(&call.caller, request)).await?;
    Ok(convert::faces_shown(&added.face_set, &added.faces))
}

async fn list_faces(call: &Call<'_>) -> Outcome {
    let name = convert::named_face_set(&call.face_set_name)?;
    let (face_set, faces): (FaceSet, Vec<Face>) = match query_value(call, "face_id") {
        Some(text) => {
            let Some(id) = ids::read_face_id(text) else { return Err(no_face(call, code::FRS_0403, text).await) };
            let (face_set, face) = call.library.face(&call.caller, &name, id).await?;
            (face_set, vec![face])
        }
        None => {
            let page = page(call)?;
            call.library.list_faces(&call.caller, &name, page).await?
        }
    };
    Ok(convert::faces_shown(&face_set, &faces))
}

async fn update_face(call: &Call<'_>) -> Outcome {
    let face_id = call.params.needed_text("face_id")?;
    let subject = call.params.text("external_image_id")?.map(convert::new_external_image_id).transpose()?;
    let given_fields = convert::object(&call.params, "external_fields")?.unwrap_or_default();
    if subject.is_none() && given_fields.members().is_empty() {
        return Err(Failure::missing("nothing to change: expected `external_image_id` or `external_fields`"));
    }
    let Some(id) = ids::read_face_id(face_id) else { return Err(no_face(call, code::FRS_0303, face_id).await) };
    let name = convert::named_face_set(&call.face_set_name)?;
    let request =
        UpdateFace { subject, fields: convert::field_values(&given_fields, call.settings()), ..UpdateFace::default() };
    let (face_set, _) = call.library.update_face(&call.caller, &name, id, request).await?;
    Ok(convert::faces_changed(&face_set, 1))
}

async fn delete_faces(call: &Call<'_>) -> Outcome {
    // One name is documented; of several a face id is meant before a label, and a label before any other.
    let named_first = |name: &str| call.query.iter().find(|(other, _)| other == name);
    let chosen = named_first("face_id").or_else(|| named_first("external_image_id")).or(call.query.first());
    let Some((name, text)) = chosen else {
        return Err(Failure::missing("expected `face_id`, `external_image_id` or a custom field in the query"));
    };
    if text.is_empty() {
        return Err(Failure::missing(format!("`{}` has no value", shortened(name))));
    }
    let face_set_name = convert::named_face_set(&call.face_set_name)?;
    let (which, none_found) = match name.as_str() {
        "face_id" => (ids::read_face_id(text).map(|id| DeleteFaces::Ids(vec![id])), code::FRS_0303),
        // A text that no label can be is the label of no face.
        "external_image_id" => (Subject::new(text.as_str()).ok().map(DeleteFaces::Subject), code::FRS_0401),
        field => {
            let value = GivenValue::Written(text.clone());
            (Some(DeleteFaces::Field { name: field.to_owned(), value }), code::FRS_0401)
        }
    };
    let (face_set, deleted) = match which {
        Some(which) => {
            let deleted = call.library.delete_faces(&call.caller, &face_set_name, which).await;
            deleted?
        }
        None => (named(call).await?, Vec::new()),
    };
    if deleted.is_empty() {
        // Without the value: it may name a person, and messages are logged.
        let message = format!("no face has that `{}`", shortened(name));
        return Err(Failure::service(none_found, message));
    }
    Ok(convert::faces_changed(&face_set, deleted.len()))
}

async fn batch_delete_faces(call: &Call<'_>) -> Outcome {
    let filter = parsed_filter(call)?.ok_or_else(|| Failure::missing("`filter` is missing"))?;
    let name = convert::named_face_set(&call.face_set_name)?;
    let (face_set, deleted) = call.library.delete_faces(&call.caller, &name, DeleteFaces::Filter(filter)).await?;
    if deleted.is_empty() {
        return Err(Failure::service(code::FRS_0407, "no face passes the filter, nothing was deleted"));
    }
    Ok(convert::faces_changed(&face_set, deleted.len()))
}

async fn search_faces(call: &Call<'_>) -> Outcome {
    let settings = call.settings();
    let top_k = convert::top_n(&call.params, settings)?;
    let threshold = convert::threshold(&call.params)?;
    let sort = convert::sort_keys(&call.params)?;
    let return_fields = convert::return_fields(&call.params)?;
    let filter = parsed_filter(call)?;
    let picture = image::find(&call.params, "image", settings)?;
    let face_id = call.params.text("face_id")?;
    if picture.is_none() && face_id.is_none() {
        let message = "no probe: expected `image_base64`, `image_url`, `image_file` or `face_id`";
        return Err(Failure::missing(message));
    }
    let (probe, origin) = match (picture, face_id) {
        (Some(Picture { input, origin, .. }), _) => (Probe::Image(input), origin),
        (None, face_id) => {
            let text = face_id.unwrap_or_default();
            let Some(id) = ids::read_face_id(text) else { return Err(no_face(call, code::FRS_0403, text).await) };
            (Probe::Face(id), Origin::Inline)
        }
    };
    let request = Search {
        face_set: convert::named_face_set(&call.face_set_name)?,
        probe,
        top_k,
        threshold: Threshold::Number(call.dialect.scales.clone(), threshold),
        filter,
        sort,
        one_per_person: false,
    };
    let answer = call.ask(origin, call.library.search(&call.caller, request)).await?;
    let scale = call.dialect.scales.get(&answer.face_set.pack)?;
    Ok(convert::faces_found(&answer.candidates, &answer.face_set.schema, &return_fields, scale))
}

async fn detect_live(call: &Call<'_>) -> Outcome {
    let video = image::find(&call.params, "video", call.settings())?;
    let video =
        video.ok_or_else(|| Failure::missing("no clip: expected `video_base64`, `video_url` or `video_file`"))?;
    let origin = video.origin;
    let asked = liveness::asked(&call.params)?;
    let answer = call.ask(origin, call.library.clip_liveness(&call.caller, liveness::live_clip(asked, video))).await?;
    Ok(Answer::Liveness(liveness::clip_judged(answer)))
}

async fn detect_live_face(call: &Call<'_>) -> Outcome {
    let Picture { input, origin, .. } = image::needed(&call.params, "image", call.settings())?;
    let answer = call.ask(origin, call.library.still_liveness(&call.caller, input)).await?;
    Ok(Answer::Liveness(liveness::still_judged(answer)))
}

async fn service_status(call: &Call<'_>) -> Outcome {
    let create_time = convert::create_date(call.identity.key.tenant.created_at);
    Ok(Answer::ServiceStatus { subscribe_status: true, create_time })
}

/// The face set that the path names.
async fn named(call: &Call<'_>) -> Result<FaceSet, Failure> {
    let name = convert::named_face_set(&call.face_set_name)?;
    let summary = call.library.known_face_set(&call.caller, &name).await?;
    Ok(summary.face_set)
}

/// Why there is no face for a text that spells no id; that there is no such face set comes first.
async fn no_face(call: &Call<'_>, code: Code, text: &str) -> Failure {
    let unknown = Failure::service(code, format!("face `{}` does not exist", shortened(text)));
    named(call).await.err().unwrap_or(unknown)
}

fn parsed_filter(call: &Call<'_>) -> Result<Option<Expr>, Failure> {
    match call.params.text("filter")? {
        Some(text) => Ok(filter::parse(text, &VOCABULARY)?),
        None => Ok(None),
    }
}

/// The last value of a query name; an empty one is absent.
fn query_value<'a>(call: &'a Call<'_>, name: &str) -> Option<&'a str> {
    call.query.iter().rfind(|(other, _)| other == name).map(|(_, value)| value.as_str()).filter(|text| !text.is_empty())
}

fn page(call: &Call<'_>) -> Result<Page, Failure> {
    let number = |name: &str, default: u64| match query_value(call, name) {
        None => Ok(default),
        Some(text) => text.parse().map_err(|_| {
            Failure::invalid(format!("`{name}` is `{}`, expected a whole number that is not negative", shortened(text)))
        }),
    };
    let (offset, limit) = (number("offset", 0)?, number("limit", 5)?);
    let end_max = call.settings().page_end_max.min(likeness_domain::limits::PAGE_LIMIT_MAX);
    if limit == 0 {
        return Err(Failure::invalid("`limit` is 0, expected at least 1"));
    }
    if offset.checked_add(limit).is_none_or(|end| end > end_max) {
        let message = format!("`offset` {offset} and `limit` {limit} together are above {end_max}");
        return Err(Failure::invalid(message));
    }
    Ok(Page { offset, limit })
}
