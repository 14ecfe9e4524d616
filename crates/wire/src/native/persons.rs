//! Persons: identities that own faces and are members of face sets.

use axum::response::Response;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use http::StatusCode;
use likeness_domain::access::{Caller, Grant};
use likeness_domain::library::{AddPersonFaces, CreatePerson, Join, PersonImage, SplitPerson};
use likeness_domain::ports::{Page, PersonSummary};
use likeness_domain::types::{FaceId, FaceSet, FaceSetName, Person, PersonKey, PersonPatch, require_seen};
use likeness_domain::{Error, Kind, limits};

use super::body::{Call, InFaceSet, Json, OfFace, OfPerson, Posted, Query, json};
use super::errors::NativeError;
use super::etag::{self, IfMatch};
use super::{convert, dto, routes};

type Answer = Result<Response, NativeError>;

/// `GET /persons`
pub(super) async fn list(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    let contains = words.text("contains");
    let with_thumbnails = words.includes("thumbnails")?;
    words.finish()?;
    // A cursor of one text says nothing of where another one goes on.
    let list = contains.as_ref().map_or_else(|| "persons".to_owned(), |text| format!("persons with {text}"));
    let after = match cursor {
        None => None,
        Some(cursor) => {
            let place = api.cursors.open(caller.tenant, &list, &cursor)?;
            let key = String::from_utf8(place).map_err(|_| Error::invalid("cursor", "`cursor` has no key"))?;
            Some(PersonKey::new(key)?)
        }
    };
    let page = api.library.persons(&caller, after, contains, limit).await?;
    let next_cursor = page.next.map(|key| api.cursors.seal(caller.tenant, &list, key.as_str().as_bytes()));
    let mut thumbnails = match with_thumbnails {
        true => api.library.portraits(&caller, &page.persons).await?.into_iter(),
        false => Vec::new().into_iter(),
    };
    let with_picture = |summary: PersonSummary| {
        let thumbnail = thumbnails.next().flatten().map(|picture| STANDARD.encode(picture.bytes()));
        dto::Person { thumbnail, ..convert::person(summary.person, Some(summary.n_faces)) }
    };
    let persons = page.persons.into_iter().map(with_picture).collect();
    let mut response = json(StatusCode::OK, &dto::Persons { persons, next_cursor });
    if with_thumbnails {
        routes::never_kept(&mut response);
    }
    Ok(response)
}

/// `POST /persons`
pub(super) async fn create(Call { api, caller }: Call, Json(body): Json<dto::CreatePerson>) -> Answer {
    let request = CreatePerson {
        key: new_key("key", body.key)?,
        name: convert::note("name", body.name)?,
        note: convert::note("note", body.note)?,
        join: join("face_sets", body.face_sets)?,
    };
    let made = api.library.create_person(&caller, request).await;
    let (person, face_sets) = made.map_err(|error| of_face_sets("face_sets", error))?;
    Ok(json(StatusCode::CREATED, &person_with(person, &caller, face_sets, Some(0))))
}

/// `GET /persons/{key}`
pub(super) async fn show(Call { api, caller }: Call, OfPerson(key): OfPerson) -> Answer {
    let (person, face_sets) = api.library.person(&caller, &key).await?;
    let n_faces = api.library.n_faces_of_person(&caller, &person).await?;
    let tag = etag::of_person(&person);
    Ok(etag::tagged(json(StatusCode::OK, &person_with(person, &caller, face_sets, Some(n_faces))), &tag))
}

/// `PATCH /persons/{key}`
pub(super) async fn update(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    if_match: IfMatch,
    Json(body): Json<dto::UpdatePerson>,
) -> Answer {
    let patch = PersonPatch {
        key: body.key.map(|key| new_key("key", key)).transpose()?,
        name: convert::note("name", body.name)?,
        note: convert::note("note", body.note)?,
        only_if: if_match.on(etag::of_person),
    };
    let person = api.library.update_person(&caller, &key, patch).await?;
    let tag = etag::of_person(&person);
    // Not looked up by its key: what was changed is answered, whatever became of the key meanwhile.
    let face_sets = api.library.memberships(&caller, &person).await?;
    let answer = convert::changed_person(&caller, person_with(person, &caller, face_sets, None));
    Ok(etag::tagged_if_read(&caller, json(StatusCode::OK, &answer), &tag))
}

/// `DELETE /persons/{key}`
pub(super) async fn delete(Call { api, caller }: Call, OfPerson(key): OfPerson) -> Answer {
    let n_faces = api.library.delete_person(&caller, &key).await?;
    Ok(json(StatusCode::OK, &dto::PersonDeleted { deleted: key.to_string(), n_faces }))
}

/// `GET /persons/{key}/faces`
pub(super) async fn list_faces(Call { api, caller }: Call, OfPerson(key): OfPerson, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    words.finish()?;
    // Looked up first, as the cursor is bound to the person and not to its key.
    let (person, _) = api.library.person(&caller, &key).await?;
    let list = format!("faces of person {}", person.id);
    let from = api.cursors.open_number(caller.tenant, &list, cursor.as_deref())?.unwrap_or(0);
    let (person, page) = api.library.person_faces_from(&caller, &key, from, limit).await?;
    let next_cursor = page.next.map(|next| api.cursors.seal_number(caller.tenant, &list, next));
    let faces = page.faces.into_iter().map(|face| convert::face_of(face, Some(&person))).collect();
    Ok(json(StatusCode::OK, &dto::Faces { next_cursor, ..dto::Faces::of(faces) }))
}

/// `POST /persons/{key}/faces/thumbnails`
pub(super) async fn list_thumbnails(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Json(body): Json<dto::ThumbnailsOf>,
) -> Answer {
    let found = api.library.person_thumbnails(&caller, &key, convert::thumbnails_of(body)?).await?;
    Ok(routes::thumbnails(found))
}

/// `POST /persons/{key}/faces`
pub(super) async fn add_face(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Posted(body): Posted<dto::AddPersonFace>,
) -> Answer {
    let images =
        vec![PersonImage { image: convert::image(body.image)?, source: convert::note("source", body.source)? }];
    let added = api.library.add_person_faces(&caller, AddPersonFaces { person: key, images }).await?;
    let mut faces = Vec::with_capacity(added.faces.len());
    for face in added.faces {
        let face = convert::face_of(face?, Some(&added.person));
        // What is said of the person is not of this request.
        let person_name = face.person_name.clone().filter(|_| caller.grants.contains(Grant::Read));
        faces.push(dto::Face { person_name, ..face });
    }
    let answer = dto::Faces::of(faces);
    Ok(json(StatusCode::CREATED, &answer))
}

/// `DELETE /persons/{key}/faces/{id}`
pub(super) async fn delete_face(Call { api, caller }: Call, OfPerson(key): OfPerson, OfFace(id): OfFace) -> Answer {
    let (_, deleted) = api.library.delete_person_faces(&caller, &key, vec![id]).await?;
    if deleted.is_empty() {
        return Err(Error::new(Kind::FaceNotFound, "the person has no face with that id").into());
    }
    let deleted = deleted.iter().map(ToString::to_string).collect();
    Ok(json(StatusCode::OK, &dto::FacesDeleted { deleted, unknown: Vec::new() }))
}

/// `POST /persons/{key}/compare`
pub(super) async fn compare(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Posted(body): Posted<dto::ComparePerson>,
) -> Answer {
    let far = body.far;
    let compared = api.library.compare_person(&caller, convert::largest_of("image", body.image, false)?, &key).await?;
    Ok(json(StatusCode::OK, &convert::person_compared(&api.library, far, compared)?))
}

/// `POST /persons/{key}/move`
pub(super) async fn move_faces(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Json(body): Json<dto::MoveFaces>,
) -> Answer {
    let to = known_key("to", body.to)?;
    let ids = face_ids(&body.face_ids)?;
    let moved = api.library.move_person_faces(&caller, &key, &to, ids).await;
    let (person, moved) = moved.map_err(|error| twice("to", error))?;
    let changed = |face| convert::changed_face(&caller, convert::face_of(face, Some(&person)));
    let faces: Vec<_> = moved.into_iter().map(changed).collect();
    let unknown = convert::unknown(body.face_ids, faces.iter().map(|face| &face.id));
    Ok(json(StatusCode::OK, &dto::Faces { unknown, ..dto::Faces::of(faces) }))
}

/// `POST /persons/{key}/merge`
pub(super) async fn merge(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Json(body): Json<dto::MergePerson>,
) -> Answer {
    let merged = api.library.merge_persons(&caller, &known_key("from", body.from)?, &key).await;
    let merged = merged.map_err(|error| twice("from", error))?;
    let person = convert::changed_person(&caller, person_with(merged.person, &caller, merged.face_sets, None));
    Ok(json(StatusCode::OK, &dto::PersonMerged { person, n_moved: merged.n_moved }))
}

/// `POST /persons/{key}/split`
pub(super) async fn split(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Json(body): Json<dto::SplitPerson>,
) -> Answer {
    let request = SplitPerson {
        from: key,
        faces: face_ids(&body.face_ids)?,
        key: new_key("key", body.key)?,
        name: convert::note("name", body.name)?,
        note: convert::note("note", body.note)?,
    };
    let (person, face_sets, faces) = api.library.split_person(&caller, request).await?;
    let n_faces = faces.len() as u64;
    let moved: Vec<String> = faces.iter().map(|face| face.id.to_string()).collect();
    let unknown = convert::unknown(body.face_ids, &moved);
    let person = convert::changed_person(&caller, person_with(person, &caller, face_sets, Some(n_faces)));
    let answer = dto::Person { unknown, ..person };
    Ok(json(StatusCode::CREATED, &answer))
}

/// `POST /persons/{key}/face-sets`
pub(super) async fn change_face_sets(
    Call { api, caller }: Call,
    OfPerson(key): OfPerson,
    Json(body): Json<dto::ChangeMemberships>,
) -> Answer {
    if body.join.is_empty() && body.leave.is_empty() {
        return Err(Error::new(Kind::MissingArgument, "one of `join` and `leave` is needed").into());
    }
    let both = body.leave.iter().find(|name| body.join.contains(name)).cloned();
    let leave = names("leave", body.leave)?;
    // Both before anything is done: a refused request has changed nothing.
    if !body.join.is_empty() {
        caller.require(Grant::Enrol)?;
    }
    if !leave.is_empty() {
        caller.require(Grant::Delete)?;
    }
    if let Some(both) = both {
        let message = format!("face set `{both}` is in `join` and in `leave`, expected in one of them");
        return Err(Error::invalid("leave", message).into());
    }
    let (person, _) = api.library.known_person(&caller, &key).await?;
    // Joining first, so that a person does not fall out of the only set through which the caller sees it.
    if !body.join.is_empty() {
        let joined = api.library.join_face_sets(&caller, &key, join("join", body.join)?).await;
        joined.map_err(|error| of_face_sets("join", error))?;
    }
    if !leave.is_empty() {
        api.library.leave_face_sets(&caller, &key, leave).await?;
    }
    // A key for some face sets may have taken the person out of its own sight; it is told so by an empty list.
    let face_sets = api.library.memberships(&caller, &person).await?;
    Ok(json(StatusCode::OK, &convert::changed_person(&caller, person_with(person, &caller, face_sets, None))))
}

/// `GET /face-sets/{name}/persons`
pub(super) async fn members(Call { api, caller }: Call, InFaceSet(name): InFaceSet, Query(mut words): Query) -> Answer {
    let limit = words.limit()?;
    let cursor = words.text("cursor");
    words.finish()?;
    let face_set = api.library.face_set(&caller, &name).await?.face_set;
    let list = format!("persons of face set {}", face_set.id);
    let offset = api.cursors.open_number(caller.tenant, &list, cursor.as_deref())?.unwrap_or(0);
    let members = api.library.members(&caller, &name, Page { offset, limit }).await?;
    let reached = offset.saturating_add(limit);
    let next = (reached < members.n_persons).then(|| api.cursors.seal_number(caller.tenant, &list, reached));
    let persons = members.persons.into_iter().map(|person| convert::person(person, None)).collect();
    Ok(json(StatusCode::OK, &dto::Persons { persons, next_cursor: next }))
}

/// The refusal of a face set's name with the option that has it among others.
fn of_face_sets(option: &'static str, error: Error) -> Error {
    if error.field() == Some("face set name") { error.with_field(option) } else { error }
}

fn names(option: &'static str, names: Vec<String>) -> Result<Vec<FaceSetName>, Error> {
    if names.len() > limits::IMAGES_PER_REQUEST_MAX {
        let (n_names, max) = (names.len(), limits::IMAGES_PER_REQUEST_MAX);
        let message = format!("{n_names} face sets given, expected at most {max}");
        return Err(Error::invalid(option, message));
    }
    names.into_iter().map(|name| FaceSetName::new(name).map_err(|error| of_face_sets(option, error))).collect()
}

fn join(option: &'static str, face_sets: Vec<String>) -> Result<Join, Error> {
    Ok(Join { face_sets: names(option, face_sets)?, capacity: None })
}

/// A key of a request that names somebody who is there.
fn known_key(option: &'static str, key: String) -> Result<PersonKey, Error> {
    PersonKey::new(key).map_err(|error| {
        let message = error.message().replacen("`person key`", &format!("`{option}`"), 1);
        Error::invalid(option, message)
    })
}

/// A key that somebody is to have from now on. One that people cannot tell from another is refused; whoever has one of these
/// since before keeps it.
fn new_key(option: &'static str, key: String) -> Result<PersonKey, Error> {
    require_seen(option, &key)?;
    known_key(option, key)
}

/// The refusal of two persons who are one, with the option that names the second.
fn twice(option: &'static str, error: Error) -> Error {
    if error.field() == Some("person") { error.with_field(option) } else { error }
}

/// An id that cannot be one is passed over like any other id that is not there.
fn face_ids(ids: &[String]) -> Result<Vec<FaceId>, Error> {
    convert::check_count("face_ids", ids.len(), 1..=limits::SELECTOR_IDS_MAX)?;
    // That none of them is an id is said to those who may ask: by the library.
    Ok(ids.iter().filter_map(|id| convert::read_face_id(id)).collect())
}

fn person_with(person: Person, caller: &Caller, face_sets: Vec<FaceSet>, n_faces: Option<u64>) -> dto::Person {
    let seen = face_sets.into_iter().filter(|face_set| caller.sees(face_set.id));
    dto::Person {
        face_sets: Some(seen.map(|face_set| face_set.name.to_string()).collect()),
        ..convert::person(person, n_faces)
    }
}
