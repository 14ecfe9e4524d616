//! One function for each operation: translate the request, call the library (seldom twice), translate the answer.

use axum::response::Response;
use http::StatusCode;
use likeness_domain::Kind;
use likeness_domain::library::{AddPersonFaces, CreatePerson, Join, PersonFacesAdded, PersonImage};
use likeness_domain::ports::{Analysis, Page};
use likeness_domain::types::{FaceSet, FaceSetName, Note, PersonKey, PersonPatch};
use serde::Serialize;

use super::call::Call;
use super::dto::Answer;
use super::errors::{Failure, Fault, answer, code, retry_later_if_busy, told};
use super::operations::{self, Operation};
use super::params;
use super::scan::{self, FACES_MAX};
use super::{convert, dto, image, jobs, uploads};
use crate::http::json::Object;

type Outcome = Result<Response, Failure>;

/// Most groups named in one request: as many as there may be.
const GROUPS_MAX: usize = 100;
/// Most images of one AddFaces.
const URLS_MAX: usize = 20;

/// Runs the operation.
pub(super) async fn handle(call: Call<'_>) -> Outcome {
    let call = &call;
    operations::run!(call.row.operation, call)
}

impl Call<'_> {
    fn object(&self) -> Result<Object, Fault> {
        params::object(&self.body)
    }

    /// The body, and the person that it is about.
    fn person(&self) -> Result<(Object, PersonKey), Fault> {
        let body = self.object()?;
        let key = convert::person_key(params::needed_text(&body, "personId")?)?;
        Ok((body, key))
    }

    /// The face sets that a person is to join or to leave.
    fn groups(&self, body: &Object) -> Result<Vec<FaceSetName>, Fault> {
        convert::groups(&params::needed_texts(body, "groupIds", GROUPS_MAX)?)
    }

    fn ok(&self, data: impl Serialize) -> Outcome {
        let envelope = dto::Envelope {
            code: code::OK.number,
            msg: code::OK.name,
            request_id: &self.shown_id,
            typed_request_id: &self.shown_id,
            data: Some(data),
        };
        Ok(answer(StatusCode::OK, &envelope))
    }

    fn done(&self, answer: Answer) -> Outcome {
        self.ok(dto::Done { code: code::OK.number, answer })
    }

    /// The same of several results, each with its code.
    fn ok_of(&self, codes: Vec<u16>, data: impl Serialize) -> Outcome {
        Ok(retry_later_if_busy(self.ok(data)?, codes))
    }
}

async fn add_person(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let request = CreatePerson {
        key,
        name: note(&body, "name")?.filter(|name| !name.as_str().is_empty()),
        note: note(&body, "note")?.filter(|note| !note.as_str().is_empty()),
        join: Join { face_sets: call.groups(&body)?, capacity: None },
    };
    let (person, face_sets) = call.api.library().create_person(&call.caller, request).await?;
    call.done(in_groups(&person.key, &face_sets))
}

async fn set_person(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let patch = PersonPatch { key: None, name: note(&body, "name")?, note: note(&body, "note")?, only_if: None };
    let person = call.api.library().update_person(&call.caller, &key, patch).await?;
    call.done(Answer::PersonSet { person_id: person.key.as_str().to_owned() })
}

async fn get_person(call: &Call<'_>) -> Outcome {
    let (_, key) = call.person()?;
    let library = call.api.library();
    let (person, face_sets) = library.person(&call.caller, &key).await?;
    let (_, faces) = library.list_person_faces(&call.caller, &key, ALL).await?;
    call.done(Answer::Person {
        person_id: person.key.as_str().to_owned(),
        name: convert::shown(person.name.as_ref()),
        group_ids: convert::group_ids(&face_sets),
        face_ids: faces.iter().map(|face| face.id.to_string()).collect(),
        note: convert::shown(person.note.as_ref()),
    })
}

async fn delete_person(call: &Call<'_>) -> Outcome {
    let (_, key) = call.person()?;
    let delete_count = match call.api.library().delete_person(&call.caller, &key).await {
        Ok(_) => 1,
        Err(error) if error.kind() == Kind::PersonNotFound => 0,
        Err(error) => return Err(error.into()),
    };
    call.done(Answer::PersonDeleted { person_id: key.as_str().to_owned(), delete_count })
}

async fn add_faces(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let urls = params::needed_texts(&body, "urls", URLS_MAX)?;
    let mut images = Vec::new();
    let mut refused = Vec::new();
    for url in &urls {
        let source = Note::new(*url).map_err(|_| Fault::invalid("the address has a control character"));
        match source.and_then(|source| {
            Ok(PersonImage { image: image::image(call.api, &call.caller, url)?, source: Some(source) })
        }) {
            Ok(image) => {
                images.push(image);
                refused.push(None);
            }
            Err(fault) => refused.push(Some(fault)),
        }
    }
    let library = call.api.library();
    let added = if images.is_empty() {
        let (person, face_sets) = library.known_person(&call.caller, &key).await?;
        PersonFacesAdded { person, face_sets, faces: Vec::new() }
    } else {
        let request = AddPersonFaces { person: key, images };
        library.add_person_faces(&call.caller, request).await?
    };
    let mut faces = added.faces.into_iter();
    let item = |(url, refused): (&&str, Option<Fault>)| match refused {
        Some(fault) => convert::failed_item(fault, url),
        None => match faces.next() {
            Some(Ok(face)) => convert::face_item(&face),
            Some(Err(error)) => convert::failed_item(Fault::from(error).of_unknown_person(call.api.settings()), url),
            None => convert::failed_item(Fault::new(code::GENERAL_ERROR, "no answer for this image"), url),
        },
    };
    let face_image_items: Vec<_> = urls.iter().zip(refused).map(item).collect();
    let codes: Vec<u16> = face_image_items.iter().filter_map(|item| item.code).collect();
    let items = Answer::Faces {
        person_id: added.person.key.as_str().to_owned(),
        group_ids: Some(convert::group_ids(&added.face_sets)),
        face_image_items,
    };
    Ok(retry_later_if_busy(call.done(items)?, codes))
}

async fn delete_faces(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let asked = convert::asked_faces(params::needed_list(&body, "faceIds", IDS_MAX)?)?;
    let ids = asked.into_iter().filter_map(|face| face.id).collect();
    let (person, deleted) = call.api.library().delete_person_faces(&call.caller, &key, ids).await?;
    call.done(Answer::FacesDeleted {
        person_id: person.key.as_str().to_owned(),
        delete_count: deleted.len(),
        face_ids: deleted.iter().map(ToString::to_string).collect(),
    })
}

async fn get_faces(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let asked = params::list(&body, "faceIds")?.unwrap_or_default();
    if asked.len() > IDS_MAX {
        return Err(Fault::invalid(format!("`faceIds` has {} entries, expected at most {IDS_MAX}", asked.len())).into());
    }
    let asked = convert::asked_faces(asked)?;
    let library = call.api.library();
    let (person, face_image_items) = if asked.is_empty() {
        let (person, faces) = library.list_person_faces(&call.caller, &key, ALL).await?;
        (person, faces.iter().map(convert::face_item).collect())
    } else {
        let ids = asked.iter().filter_map(|face| face.id).collect();
        let (person, faces) = library.person_faces(&call.caller, &key, ids).await?;
        let item = |asked: convert::AskedFace| match faces.iter().find(|face| Some(face.id) == asked.id) {
            Some(face) => convert::face_item(face),
            None => dto::FaceItem { face_id: Some(asked.shown), ..Default::default() },
        };
        (person, asked.into_iter().map(item).collect())
    };
    let person_id = person.key.as_str().to_owned();
    call.done(Answer::Faces { person_id, group_ids: None, face_image_items })
}

async fn get_groups(call: &Call<'_>) -> Outcome {
    call.object()?;
    let face_sets = call.api.library().face_sets(&call.caller).await?;
    let mut group_ids = convert::group_ids(face_sets.iter().map(|summary| &summary.face_set));
    group_ids.sort();
    call.done(Answer::Groups { group_ids })
}

async fn get_persons(call: &Call<'_>) -> Outcome {
    let body = call.object()?;
    let name = convert::group(params::needed_text(&body, "groupId")?)?;
    let current_page = params::whole(&body, "currentPage", 1, 1..=u64::from(u32::MAX))?;
    let page_size = params::whole(&body, "pageSize", 20, 1..=100)?;
    let page = Page { offset: (current_page - 1) * page_size, limit: page_size };
    let (person_ids, total_count) = match call.api.library().members(&call.caller, &name, page).await {
        Ok(members) => {
            let ids = members.persons.iter().map(|person| person.key.as_str().to_owned()).collect();
            (ids, members.n_persons)
        }
        Err(error) if error.kind() == Kind::FaceSetNotFound => (Vec::new(), 0),
        Err(error) => return Err(error.into()),
    };
    call.done(Answer::Persons { person_ids, current_page, page_size, total_count })
}

async fn add_groups(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let join = Join { face_sets: call.groups(&body)?, capacity: None };
    let face_sets = call.api.library().join_face_sets(&call.caller, &key, join).await?;
    call.done(in_groups(&key, &face_sets))
}

async fn delete_groups(call: &Call<'_>) -> Outcome {
    let (body, key) = call.person()?;
    let face_sets = call.api.library().leave_face_sets(&call.caller, &key, call.groups(&body)?).await?;
    call.done(in_groups(&key, &face_sets))
}

async fn image_scan(call: &Call<'_>) -> Outcome {
    let tasks = scan::read(&call.object()?)?;
    call.count(tasks.len())?;
    let answers = scan::run_all(call.api, &call.caller, tasks).await;
    call.ok_of(answers.iter().map(|answer| answer.code).collect(), answers)
}

async fn image_async_scan(call: &Call<'_>) -> Outcome {
    let body = call.object()?;
    let tasks = scan::read(&body)?;
    call.count(tasks.len())?;
    let callback = jobs::callback(call.api, &body).await?;
    let answers = jobs::accept(call.api, &call.caller, tasks, callback).await?;
    call.ok(answers)
}

async fn image_results(call: &Call<'_>) -> Outcome {
    let ids = jobs::task_ids(&call.body)?;
    let answers = jobs::results(call.api, &call.caller, &ids).await?;
    call.ok(answers)
}

async fn detect_face(call: &Call<'_>) -> Outcome {
    let body = call.object()?;
    let url = params::needed_text(&body, "url")?;
    let data_id = params::text(&body, "dataId")?.map(str::to_owned);
    let detected = match image::image(call.api, &call.caller, url) {
        Ok(image) => call.api.library().detect(&call.caller, image, convert::DETECTED).await.map_err(Fault::from),
        Err(fault) => Err(fault),
    };
    let (code, msg, analysis) = told(detected);
    let shown = |analysis: Analysis| analysis.faces.iter().take(FACES_MAX).map(convert::detected_face).collect();
    let faces = analysis.map(shown);
    let task_id = Some(scan::fresh_task_id(call.api));
    let url = Some(url.to_owned());
    call.ok_of(vec![code], dto::TaskAnswer { code, msg, data_id, task_id, url, faces, ..Default::default() })
}

async fn upload_credentials(call: &Call<'_>) -> Outcome {
    call.ok(uploads::credentials(call.api, (&call.key, &call.secret))?)
}

async fn search_person(call: &Call<'_>) -> Outcome {
    let body = call.object()?;
    let url = params::needed_text(&body, "url")?;
    let face_set = convert::group(params::needed_text(&body, "groupId")?)?;
    let most = convert::PERSONS_MAX as u64;
    let n_max = params::whole(&body, "topN", most, 1..=most)? as usize;
    match scan::persons_like(call.api, &call.caller, url, face_set, n_max).await {
        Ok((_, top_person_data)) => call.done(Answer::PersonsFound { top_person_data }),
        Err(Fault { number: code, msg, .. }) => {
            call.ok_of(vec![code], dto::TaskAnswer { code, msg, ..Default::default() })
        }
    }
}

/// Most face ids of one request.
const IDS_MAX: usize = 100;
/// A person's faces fit on one page, also those that a laxer dialect enrolled.
const ALL: Page = Page { offset: 0, limit: likeness_domain::limits::PAGE_LIMIT_MAX };

fn in_groups(key: &PersonKey, face_sets: &[FaceSet]) -> Answer {
    Answer::PersonInGroups { person_id: key.as_str().to_owned(), group_ids: convert::group_ids(face_sets) }
}

fn note(body: &Object, member: &str) -> Result<Option<Note>, Fault> {
    params::text(body, member)?.map(|text| convert::note(member, text)).transpose()
}
