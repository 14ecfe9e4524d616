//! One function for each operation: translate the request, call the library, translate the answer.

use std::collections::HashMap;
use std::time::Duration;

use axum::response::Response;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use likeness_domain::access::Caller;
use likeness_domain::library::{self, ImageSource, Library};
use likeness_domain::ports::{Page, UploadQuota};
use likeness_domain::types::{Face, FaceId, FaceSetName, FaceSetPatch, FaceSetSummary, Tags, Template, Thumbnail};
use likeness_domain::{Error, Kind};

use super::api::Api;
use super::body::{Call, InFaceSet, Json, OfFace, Posted, Query, file_type, json};
use super::convert::OFFSET_MAX;
use super::errors::{self, NativeError};
use super::etag::{self, IfMatch};
use super::{convert, dto, explain, in_process, liveness};

type Answer = Result<Response, NativeError>;

pub(super) async fn create_face_set(Call { api, caller }: Call, Json(body): Json<dto::CreateFaceSet>) -> Answer {
    let pack = convert::pack_id(body.pack.as_deref())?;
    let request = convert::create_face_set(body)?;
    let face_set = match pack {
        Some(pack) => api.library.create_face_set_of(&caller, request, &pack).await?,
        None => api.library.create_face_set(&caller, request).await?,
    };
    Ok(json(StatusCode::CREATED, &convert::face_set(FaceSetSummary { face_set, n_faces: 0 })))
}

/// Face sets of a listing that does not say how many.
const FACE_SETS_LIMIT: u64 = 1000;

pub(super) async fn list_face_sets(Call { api, caller }: Call, Query(mut words): Query) -> Answer {
    let limit = words.limit_or(FACE_SETS_LIMIT)?;
    let tags = words.text("tags");
    let cursor = words.text("cursor");
    let with_storage = words.includes("storage")?;
    words.finish()?;
    let tags = Tags::parse(tags.as_deref().unwrap_or_default())?;
    let list = format!("face sets {tags}");
    let from = api.cursors.open_number(caller.tenant, &list, cursor.as_deref())?;
    let all = api.library.face_sets_tagged(&caller, &tags).await?;
    // The place is the last set that was listed; if it is deleted meanwhile the listing has to begin anew.
    let begin = match from {
        None => 0,
        Some(last) => {
            all.iter().position(|summary| summary.face_set.id.get() == last).map(|idx| idx + 1).ok_or_else(|| {
                Error::invalid("cursor", "the face set at which `cursor` stopped was deleted, list from the beginning")
            })?
        }
    };
    let n_left = all.len() - begin;
    let page: Vec<_> = all.into_iter().skip(begin).take(usize::try_from(limit).unwrap_or(usize::MAX)).collect();
    let last = page.last().filter(|_| n_left > page.len()).map(|summary| summary.face_set.id.get());
    let next_cursor = last.map(|last| api.cursors.seal_number(caller.tenant, &list, last));
    let mut face_sets = Vec::with_capacity(page.len());
    for summary in page {
        let id = summary.face_set.id;
        let mut shown = convert::face_set(summary);
        if with_storage {
            // One that was deleted meanwhile takes none.
            shown.storage = api.library.face_set_bytes(&caller, id).await.ok().map(convert::storage);
        }
        face_sets.push(shown);
    }
    Ok(json(StatusCode::OK, &dto::FaceSets { face_sets, next_cursor }))
}

pub(super) async fn show_face_set(Call { api, caller }: Call, InFaceSet(name): InFaceSet) -> Answer {
    let summary = api.library.face_set(&caller, &name).await?;
    let tag = etag::of_face_set(&summary.face_set);
    let storage = api.library.face_set_bytes(&caller, summary.face_set.id).await?;
    let shown = dto::FaceSet { storage: Some(convert::storage(storage)), ..convert::face_set(summary) };
    Ok(etag::tagged(json(StatusCode::OK, &shown), &tag))
}

pub(super) async fn update_face_set(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    if_match: IfMatch,
    Json(body): Json<dto::UpdateFaceSet>,
) -> Answer {
    let patch = FaceSetPatch { only_if: if_match.on(etag::of_face_set), ..convert::update_face_set(body)? };
    let changed = api.library.update_face_set(&caller, &name, patch).await?;
    let tag = etag::of_face_set(&changed);
    let summary = match api.library.known_face_set(&caller, changed.id).await {
        // It was changed, and deleted meanwhile.
        Err(error) if error.kind() == Kind::FaceSetNotFound => FaceSetSummary { face_set: changed, n_faces: 0 },
        summary => summary?,
    };
    Ok(etag::tagged(json(StatusCode::OK, &convert::face_set(summary)), &tag))
}

pub(super) async fn delete_face_set(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
) -> Answer {
    let only_if_empty = words.flag("only_if_empty")?;
    words.finish()?;
    api.library.delete_face_set(&caller, &name, only_if_empty).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}

pub(super) async fn add_faces(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Posted(body): Posted<dto::AddFaces>,
) -> Answer {
    let is_written = !body.fields_as_text.is_empty();
    let added = api.library.add_faces(&caller, convert::add_faces(name, body)?).await;
    // In a query or a form the option is called otherwise.
    let added = added.map_err(|error| match error.field().and_then(|field| field.strip_prefix("fields.")) {
        Some(field) if is_written => {
            let option = format!("field.{field}");
            error.with_field(option)
        }
        _ => error,
    })?;
    let faces = added.faces.into_iter().map(|face| convert::face_of(face, None)).collect();
    let refused = added.refused.into_iter().map(convert::refused_face).collect();
    Ok(json(StatusCode::CREATED, &dto::Faces { refused, ..dto::Faces::of(faces) }))
}

pub(super) async fn list_faces(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
) -> Answer {
    let offset = words.parsed("offset", "a whole number")?;
    let limit = words.limit()?;
    let page = Page { offset: convert::check_within("offset", offset.unwrap_or(0), 0..=OFFSET_MAX)?, limit };
    let cursor = words.text("cursor");
    let with_templates = words.includes("templates")?;
    let (filter, begins) = (words.text("filter"), words.text("begins"));
    words.finish()?;
    if offset.is_some() && cursor.is_some() {
        return Err(Error::invalid("cursor", "`cursor` and `offset` exclude each other").into());
    }
    match (filter, begins) {
        (Some(_), Some(_)) => {
            return Err(Error::invalid("begins", "`begins` and `filter` exclude each other").into());
        }
        (Some(filter), None) => {
            let face_set = api.library.face_set(&caller, &name).await?.face_set;
            let list = format!("faces of face set {} that pass {filter}", face_set.id);
            let from = api.cursors.open_number(caller.tenant, &list, cursor.as_deref())?.unwrap_or(0);
            let filter = convert::filter(&filter)?;
            let found = api.library.faces_passing(&caller, face_set.id, filter, from, page).await?;
            let next_cursor = found.next.map(|next| api.cursors.seal_number(caller.tenant, &list, next));
            let next_offset = found.next.filter(|_| cursor.is_none()).map(|_| page.offset + page.limit);
            let n_matching = Some(found.n_matching);
            let faces = listed(&api, &caller, &name, found.faces, with_templates).await?;
            let found = dto::Faces { next_offset, next_cursor, n_matching, ..dto::Faces::of(faces) };
            return Ok(json(StatusCode::OK, &found));
        }
        (None, Some(begins)) => {
            if cursor.is_some() || offset.is_some_and(|offset| offset > 0) {
                let field = if cursor.is_some() { "cursor" } else { "offset" };
                let message = format!("`{field}` does not go with `begins`: a longer text finds fewer faces");
                return Err(Error::invalid(field, message).into());
            }
            let faces = api.library.faces_beginning(&caller, &name, &begins, page.limit).await?;
            let faces = listed(&api, &caller, &name, faces, with_templates).await?;
            return Ok(json(StatusCode::OK, &dto::Faces::of(faces)));
        }
        (None, None) => {}
    }
    if offset.is_some() {
        // For clients of earlier versions: a deep offset takes time in proportion to it.
        let (_, faces) = api.library.list_faces(&caller, &name, page).await?;
        let next_offset = (faces.len() as u64 == page.limit).then(|| page.offset.saturating_add(page.limit));
        let faces = listed(&api, &caller, &name, faces, with_templates).await?;
        return Ok(json(StatusCode::OK, &dto::Faces { next_offset, ..dto::Faces::of(faces) }));
    }
    let face_set = api.library.face_set(&caller, &name).await?.face_set;
    let list = format!("faces of face set {}", face_set.id);
    let from = api.cursors.open_number(caller.tenant, &list, cursor.as_deref())?.unwrap_or(0);
    let (_, found) = api.library.faces_from(&caller, face_set.id, from, page.limit).await?;
    let next_cursor = found.next.map(|next| api.cursors.seal_number(caller.tenant, &list, next));
    // Clients of earlier versions that gave no offset go on by one.
    let next_offset = (cursor.is_none() && next_cursor.is_some()).then_some(page.limit);
    let faces = listed(&api, &caller, &name, found.faces, with_templates).await?;
    Ok(json(StatusCode::OK, &dto::Faces { next_offset, next_cursor, ..dto::Faces::of(faces) }))
}

pub(super) async fn show_face(Call { api, caller }: Call, InFaceSet(name): InFaceSet, OfFace(id): OfFace) -> Answer {
    let (_, face) = api.library.face(&caller, &name, id).await?;
    let tag = etag::of_face(&face);
    Ok(etag::tagged(json(StatusCode::OK, &one_face(&api, &caller, face).await?), &tag))
}

/// The picture as a file. It is kept by no cache: it would outlive its face there.
pub(super) async fn show_thumbnail(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    OfFace(id): OfFace,
    asked: HeaderMap,
) -> Answer {
    let Some(thumbnail) = api.library.thumbnail(&caller, &name, id).await? else {
        let hint = "only faces that are enrolled while `thumbnails` of the face set is true have one";
        return Err(Error::new(Kind::FaceNotFound, "the face has no thumbnail").with_hint(hint).into());
    };
    let mut response = Response::new(thumbnail.bytes().clone().into());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(file_type(&asked, "image/jpeg")));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    Ok(response)
}

pub(super) async fn list_thumbnails(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::ThumbnailsOf>,
) -> Answer {
    let found = api.library.thumbnails(&caller, &name, convert::thumbnails_of(body)?).await?;
    Ok(thumbnails(found))
}

pub(super) async fn update_face(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    OfFace(id): OfFace,
    if_match: IfMatch,
    Json(body): Json<dto::UpdateFace>,
) -> Answer {
    let request = library::UpdateFace { only_if: if_match.on(etag::of_face), ..convert::update_face(body)? };
    let (_, face) = api.library.update_face(&caller, &name, id, request).await?;
    let tag = etag::of_face(&face);
    let answer = convert::changed_face(&caller, one_face(&api, &caller, face).await?);
    Ok(etag::tagged_if_read(&caller, json(StatusCode::OK, &answer), &tag))
}

/// Pictures in an answer that no cache keeps.
pub(super) fn thumbnails(found: Vec<(FaceId, Thumbnail)>) -> Response {
    let mut response = json(StatusCode::OK, &convert::thumbnails(found));
    never_kept(&mut response);
    response
}

/// Has no cache keep an answer.
pub(super) fn never_kept(response: &mut Response) {
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
}

/// Faces of a listing, with their templates of the set's pack if they are asked for.
async fn listed(
    api: &Api,
    caller: &Caller,
    name: &FaceSetName,
    faces: Vec<Face>,
    with_templates: bool,
) -> Result<Vec<dto::Face>, Error> {
    let ids: Vec<FaceId> = faces.iter().map(|face| face.id).collect();
    let mut listed = convert::faces(&api.library, caller, faces).await?;
    if with_templates {
        let templates = api.library.templates(caller, name, ids.clone()).await?;
        let templates: HashMap<FaceId, Template> = templates.into_iter().collect();
        for (face, id) in listed.iter_mut().zip(&ids) {
            face.template = templates.get(id).map(convert::template);
        }
    }
    Ok(listed)
}

async fn one_face(api: &Api, caller: &Caller, face: Face) -> Result<dto::Face, Error> {
    let missing = || Error::internal("cannot show a face", "it was lost on the way");
    convert::faces(&api.library, caller, vec![face]).await?.pop().ok_or_else(missing)
}

pub(super) async fn delete_face(Call { api, caller }: Call, InFaceSet(name): InFaceSet, OfFace(id): OfFace) -> Answer {
    let (_, deleted) = api.library.delete_faces(&caller, &name, library::DeleteFaces::Ids(vec![id])).await?;
    if deleted.is_empty() {
        return Err(Error::new(Kind::FaceNotFound, "there is no face with that id in the face set").into());
    }
    Ok(json(StatusCode::OK, &faces_deleted(&deleted)))
}

pub(super) async fn delete_faces(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::DeleteFaces>,
) -> Answer {
    let named = match &body {
        dto::DeleteFaces::Ids(ids) => ids.clone(),
        _ => Vec::new(),
    };
    let (_, deleted) = api.library.delete_faces(&caller, &name, convert::delete_faces(body)?).await?;
    let answer = faces_deleted(&deleted);
    let unknown = convert::unknown(named, &answer.deleted);
    Ok(json(StatusCode::OK, &dto::FacesDeleted { unknown, ..answer }))
}

fn faces_deleted(ids: &[FaceId]) -> dto::FacesDeleted {
    dto::FacesDeleted { deleted: ids.iter().map(ToString::to_string).collect(), unknown: Vec::new() }
}

pub(super) async fn enrolled(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::ExternalIds>,
) -> Answer {
    let enrolled = api.library.enrolled(&caller, &name, convert::external_ids(body)?).await?;
    let external_ids = enrolled.iter().map(ToString::to_string).collect();
    Ok(json(StatusCode::OK, &dto::ExternalIds { external_ids }))
}

pub(super) async fn search(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Posted(body): Posted<dto::Search>,
) -> Answer {
    if body.explain || body.crops {
        let crops = body.crops;
        let answer = explain::search(&api.library, &caller, convert::search(name, body)?, crops).await?;
        return Ok(json(StatusCode::OK, &answer));
    }
    let is_person = body.person.is_some();
    let answer = api.library.search(&caller, convert::search(name, body)?).await?;
    Ok(json(StatusCode::OK, &convert::search_answer(&api.library, &caller, answer, is_person).await?))
}

pub(super) async fn search_picture(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Posted(body): Posted<dto::SearchPicture>,
) -> Answer {
    let found = api.library.search_faces(&caller, convert::search_picture(name, body)?).await?;
    Ok(json(StatusCode::OK, &convert::picture_searched(&api.library, found)?))
}

pub(super) async fn count_faces(
    Call { api, caller }: Call,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::DeleteFaces>,
) -> Answer {
    let n_faces = api.library.count_faces(&caller, &name, convert::delete_faces(body)?).await?;
    Ok(json(StatusCode::OK, &dto::FacesMeant { n_faces }))
}

pub(super) async fn compare(Call { api, caller }: Call, Posted(body): Posted<dto::Compare>) -> Answer {
    Ok(json(StatusCode::OK, &in_process::compare(&api.library, &caller, body).await?))
}

pub(super) async fn compare_many(Call { api, caller }: Call, Json(body): Json<dto::CompareMany>) -> Answer {
    let dto::CompareMany { image, others, far } = body;
    let image = convert::largest_of("image", image, false)?;
    let others = others.into_iter().enumerate().map(|(idx, other)| {
        let of_other = |error: Error| error.about(format_args!("other image {}", idx + 1));
        convert::largest_of(&format!("others[{idx}]"), other, false).map_err(of_other)
    });
    let others = others.collect::<Result<_, _>>()?;
    let answer = api.library.compare_many(&caller, image, others).await?;
    Ok(json(StatusCode::OK, &convert::many_compared(&api.library, far, answer)?))
}

pub(super) async fn detect(Call { api, caller }: Call, Posted(body): Posted<dto::Detect>) -> Answer {
    let detected = in_process::detect(&api.library, &caller, body).await?;
    Ok(json(StatusCode::OK, &convert::detections(detected)))
}

pub(super) async fn liveness(Call { api, caller }: Call, Posted(body): Posted<dto::Liveness>) -> Answer {
    Ok(json(StatusCode::OK, &liveness::judge(&api.library, &caller, body).await?))
}

/// How long an upload is kept.
const UPLOAD_LIFETIME: Duration = Duration::from_hours(1);

/// Uploads of one tenant: a folder of photographs.
const UPLOADS: UploadQuota = UploadQuota { n_max: 1000, bytes_max: 512 << 20 };

pub(super) async fn upload(Call { api, caller }: Call, Posted(body): Posted<dto::PutUpload>) -> Answer {
    let ImageSource::Bytes(bytes) = convert::image(body.image)?.source else {
        return Err(Error::invalid("image", "`image` is an address or an upload, expected the image itself").into());
    };
    let (name, expires_at) = api.library.put_unnamed_upload(&caller, bytes, UPLOAD_LIFETIME, UPLOADS).await?;
    let answer = dto::Uploaded { upload: name.to_string(), expires_at: convert::time_text(expires_at) };
    Ok(json(StatusCode::CREATED, &answer))
}

pub(super) async fn packs(Call { api, .. }: Call) -> Answer {
    Ok(json(StatusCode::OK, &packs_of(&api.library)))
}

/// The packs of a library, as they are told.
pub fn packs_of(library: &Library) -> dto::Packs {
    dto::Packs { packs: library.packs().iter().map(convert::pack).collect() }
}

pub(super) async fn unknown_operation(method: http::Method, uri: http::Uri) -> Response {
    let message = format!("there is no operation {method} {}", uri.path());
    errors::answer(StatusCode::NOT_FOUND, "unsupported", &message, None, None)
}

/// A path of ours with a method that it does not take. Those that it takes are told by the router, in `Allow`.
pub(super) async fn wrong_method(method: http::Method, uri: http::Uri) -> Response {
    let message = format!("there is no operation {method} {}, but with another method", uri.path());
    errors::answer(StatusCode::METHOD_NOT_ALLOWED, "unsupported", &message, None, None)
}
