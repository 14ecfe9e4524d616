//! One function for each call: translate the request, call the library (seldom twice), translate the answer.

use likeness_domain::library::{AddFaces, CreateFaceSet, DeleteFaces, ImageInput, Probe, Search, Threshold};
use likeness_domain::ports::{FaceChoice, Page};
use likeness_domain::types::{FaceId, FaceSetName, FieldSchema, GivenFields, Tags};
use likeness_domain::{Error, Kind, limits};

use super::call::Call;
use super::convert::{self, MODEL_VERSION};
use super::dto::{self, Answer};
use super::errors::{self, Failure};
use super::image;
use super::operations::{self, Operation};
use super::scale;
use crate::megvii::convert::{REMOVE_ALL, items, not_removed};
use crate::megvii::dto::FaceFailure;
use crate::megvii::picture::Given;

/// Tokens of one `delete`.
const TOKENS_MAX: usize = limits::SELECTOR_IDS_MAX;
/// Entries of one `list`: most, and when none is said.
const LIST_MAX: u64 = 1000;
const LIST_DEFAULT: u64 = 100;
/// Largest `start` by the letter of the reference.
const START_MAX_DOCUMENTED: u64 = 1000;
/// No library is as long as this, and every store can take sums with it.
const BEYOND_EVERY_END: u64 = 1 << 53;
/// Results of one `search`.
const RESULTS_MAX: u64 = 100;

/// Runs the call.
pub(super) async fn handle(operation: Operation, call: &Call<'_>) -> Result<Answer, Failure> {
    operations::run!(operation, call)
}

async fn create(call: &Call<'_>) -> Result<Answer, Failure> {
    if call.fields.present("group_name").is_none() {
        return Err(Failure::missing("group_name"));
    }
    call.fields.require(&["group_id"])?;
    let label = convert::group_name(&call.fields)?;
    let name = convert::new_group_id(&call.fields, call.settings())?;
    let note = convert::data(&call.fields, "group_data")?;
    if call.fields.text("model_version")?.is_some_and(|version| version != MODEL_VERSION) {
        return Err(Failure::malformed("model_version"));
    }
    let request = CreateFaceSet {
        name,
        label: Some(label),
        note,
        tags: Tags::default(),
        schema: FieldSchema::default(),
        capacity: None,
        quality_gate: None,
        thumbnails: false,
    };
    let face_set = call.ask(call.library.create_face_set(&call.caller, request)).await?;
    Ok(Answer::Created(convert::group_created(&face_set, call.settings())))
}

async fn free(call: &Call<'_>) -> Result<Answer, Failure> {
    let name = convert::group_id(&call.fields)?;
    let only_if_empty = call.fields.switch("check_empty")?.unwrap_or(true);
    let freed = call.ask(call.library.delete_face_set(&call.caller, &name, only_if_empty)).await?;
    Ok(Answer::Freed { group_id: freed.name.as_str().to_owned() })
}

async fn group_list(call: &Call<'_>) -> Result<Answer, Failure> {
    let found = call.ask(call.library.face_sets(&call.caller)).await?;
    Ok(Answer::Groups { group_infos: convert::group_infos(&found, call.settings()) })
}

async fn group_info(call: &Call<'_>) -> Result<Answer, Failure> {
    let name = convert::group_id(&call.fields)?;
    let found = call.ask(call.library.face_set(&call.caller, &name)).await?;
    Ok(Answer::Group { info: convert::group_info(&found.face_set, Some(found.n_faces), call.settings()) })
}

async fn add(call: &Call<'_>) -> Result<Answer, Failure> {
    call.fields.require(&["group_id"])?;
    let given = image::given(&call.fields)?;
    call.fields.require(&["user_id"])?;
    let name = convert::group_id(&call.fields)?;
    image::check_coexistence(&call.fields, call.settings())?;
    let subject = convert::user_id(&call.fields, call.settings())?;
    let note = convert::data(&call.fields, "user_data")?;
    check_orientation(call)?;
    let image = picture(call, &name, given).await?;
    let request = AddFaces {
        face_set: name.clone(),
        image,
        choice: FaceChoice::Largest,
        subject: Some(subject),
        external_id: None,
        fields: GivenFields::new(),
        note,
        thresholds: convert::thresholds(call.settings()),
        accept_doubtful: false,
        first_id: None,
    };
    let added = call.library.add_faces(&call.caller, request).await;
    let added = added.map_err(|error| errors::library(error, given.name, call.settings()))?;
    let face =
        added.faces.first().ok_or_else(|| call.failed(Error::new(Kind::Internal, "the library added no face")))?;
    let face = convert::face_info(face, call.names);
    let more = if call.settings().superset_responses {
        let face_count = call.n_faces(&name).await?;
        Some(dto::MoreOfFaceAdded { face_added: 1, face_count, failure_detail: Vec::new(), info: face.clone() })
    } else {
        None
    };
    Ok(Answer::Added(Box::new(dto::FaceAdded { group_id: name.as_str().to_owned(), face, more })))
}

async fn delete(call: &Call<'_>) -> Result<Answer, Failure> {
    call.fields.require(&["group_id", "face_tokens"])?;
    let name = convert::group_id(&call.fields)?;
    let text = call.fields.needed("face_tokens")?;
    if call.settings().allow_remove_all && text == REMOVE_ALL {
        let (_, removed) = call.ask(call.library.delete_faces(&call.caller, &name, DeleteFaces::All)).await?;
        return deleted(call, &name, removed.len(), Vec::new()).await;
    }
    let tokens: Vec<String> = items(text).take(TOKENS_MAX + 1).map(str::to_owned).collect();
    match tokens.len() {
        0 => return Err(Failure::malformed("face_tokens")),
        1..=TOKENS_MAX => {}
        _ => return Err(Failure::bad("INVALID_FACE_TOKENS_SIZE")),
    }
    let ids: Vec<Option<FaceId>> = tokens.iter().map(|token| convert::face_id(token, call.names)).collect();
    let which = DeleteFaces::Ids(ids.iter().flatten().copied().collect());
    let (_, removed) = call.ask(call.library.delete_faces(&call.caller, &name, which)).await?;
    let face_removed = removed.len();
    let failures = not_removed(tokens.into_iter().zip(ids), removed, "FACE_NOT_IN_GROUP");
    deleted(call, &name, face_removed, failures).await
}

async fn deleted(
    call: &Call<'_>,
    name: &FaceSetName,
    face_removed: usize,
    failure_detail: Vec<FaceFailure>,
) -> Result<Answer, Failure> {
    let face_count = call.n_faces(name).await?;
    let group_id = name.as_str().to_owned();
    Ok(Answer::Deleted { group_id, face_removed, face_count, failure_detail })
}

async fn list(call: &Call<'_>) -> Result<Answer, Failure> {
    let name = convert::group_id(&call.fields)?;
    let start_max = if call.settings().strict_start_max { START_MAX_DOCUMENTED } else { u64::MAX };
    let clamps = call.settings().clamp_limits;
    let start = call.fields.positive("start", 1, start_max, clamps)?.min(BEYOND_EVERY_END);
    let limit = call.fields.positive("limit", LIST_DEFAULT, LIST_MAX, clamps)?;
    // One more than asked for, to know whether there are more.
    let page = Page { offset: start - 1, limit: limit + 1 };
    let (_, mut faces) = call.ask(call.library.list_faces(&call.caller, &name, page)).await?;
    let has_more = faces.len() as u64 > limit;
    faces.truncate(limit as usize);
    let next = has_more.then(|| convert::next(start + limit, call.settings()));
    let face_tokens = faces.iter().map(|face| convert::face_info(face, call.names)).collect();
    Ok(Answer::Faces { face_tokens, next })
}

async fn face_info(call: &Call<'_>) -> Result<Answer, Failure> {
    call.fields.require(&["group_id", "face_token"])?;
    let name = convert::group_id(&call.fields)?;
    let Some(id) = convert::face_id(call.fields.needed("face_token")?, call.names) else {
        call.ask(call.library.known_face_set(&call.caller, &name)).await?;
        return Err(errors::no_face());
    };
    let (_, face) = call.ask(call.library.face(&call.caller, &name, id)).await?;
    Ok(Answer::Face { info: convert::face_info(&face, call.names) })
}

async fn search(call: &Call<'_>) -> Result<Answer, Failure> {
    call.fields.require(&["group_id"])?;
    let given = image::given(&call.fields)?;
    let name = convert::group_id(&call.fields)?;
    image::check_coexistence(&call.fields, call.settings())?;
    let limit = call.fields.positive("limit", 1, RESULTS_MAX, call.settings().clamp_limits)?;
    let threshold = convert::threshold(&call.fields)?;
    check_orientation(call)?;
    let image = picture(call, &name, given).await?;
    if call.settings().empty_group_error {
        let summary = call.ask(call.library.known_face_set(&call.caller, &name)).await?;
        if summary.n_faces == 0 {
            return Err(Failure::bad("EMPTY_FACESET"));
        }
    }
    let scales = &call.service.scales;
    let request = Search {
        face_set: name.clone(),
        probe: Probe::Image(image),
        top_k: limit as usize,
        threshold: threshold.map_or(Threshold::NONE, |number| Threshold::Number(scales.clone(), number)),
        filter: None,
        sort: Vec::new(),
        one_per_person: false,
    };
    let found = call.library.search(&call.caller, request).await;
    let found = found.map_err(|error| errors::library(error, given.name, call.settings()))?;
    let scale = call.scale(&found.face_set.pack)?;
    let scored = found.candidates.iter().map(|candidate| (candidate, scale.to_number(candidate.similarity)));
    let passed = scored.filter(|(_, score)| scale::passes(*score, threshold));
    let results =
        passed.map(|(candidate, score)| convert::face_found(&candidate.face, score, call.names, call.settings()));
    let results = results.collect();
    let probe = found.probe.map(|probe| dto::ProbeFace { face_rectangle: probe.bounding_box.into() });
    let more = call.settings().superset_responses.then(|| dto::MoreOfFacesFound {
        model_version: MODEL_VERSION,
        faces: probe.into_iter().collect(),
        thresholds: scale::advice(found.compared.n_faces),
    });
    Ok(Answer::Found(Box::new(dto::FacesFound { group_id: name.as_str().to_owned(), results, more })))
}

/// Checks the switch for turned faces. They are always found, so it changes nothing.
fn check_orientation(call: &Call<'_>) -> Result<(), Failure> {
    call.fields.switch("multi_oriented_detection")?;
    Ok(())
}

/// The picture. An unknown library is reported before an unreadable picture.
async fn picture(call: &Call<'_>, name: &FaceSetName, given: Given<'_>) -> Result<ImageInput, Failure> {
    match image::input(given, call.settings()) {
        Ok(picture) => Ok(picture),
        Err(failure) => {
            call.ask(call.library.known_face_set(&call.caller, name)).await?;
            Err(failure)
        }
    }
}
