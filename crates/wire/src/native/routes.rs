//! One function for each operation: translate the request, call the library, translate the answer.

use axum::extract::{Path, State};
use axum::response::Response;
use http::StatusCode;
use likeness_domain::access::Caller;
use likeness_domain::library;
use likeness_domain::types::{FaceSetSummary, TenantName};
use likeness_domain::{Error, Kind};

use super::body::{InFaceSet, Json, OfFace, Posted, Query, Signed, json};
use super::errors::{self, NativeError};
use super::{Api, Operator, convert, dto};

type Answer = Result<Response, NativeError>;

pub(super) async fn create_face_set(
    State(api): State<Api>,
    Signed(caller): Signed,
    Json(body): Json<dto::CreateFaceSet>,
) -> Answer {
    let pack = convert::pack_id(body.pack.as_deref())?;
    let request = convert::create_face_set(body)?;
    let face_set = match pack {
        Some(pack) => api.library.create_face_set_of(&caller, request, &pack).await?,
        None => api.library.create_face_set(&caller, request).await?,
    };
    Ok(json(StatusCode::CREATED, &convert::face_set(FaceSetSummary { face_set, n_faces: 0 })))
}

pub(super) async fn list_face_sets(State(api): State<Api>, Signed(caller): Signed) -> Answer {
    let face_sets = api.library.face_sets(&caller).await?;
    Ok(json(StatusCode::OK, &dto::FaceSets { face_sets: face_sets.into_iter().map(convert::face_set).collect() }))
}

pub(super) async fn show_face_set(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
) -> Answer {
    Ok(json(StatusCode::OK, &convert::face_set(api.library.face_set(&caller, &name).await?)))
}

pub(super) async fn update_face_set(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::UpdateFaceSet>,
) -> Answer {
    let changed = api.library.update_face_set(&caller, &name, convert::update_face_set(body)?).await?;
    Ok(json(StatusCode::OK, &convert::face_set(api.library.known_face_set(&caller, changed.id).await?)))
}

pub(super) async fn delete_face_set(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
) -> Answer {
    let only_if_empty = words.flag("only_if_empty")?;
    words.finish()?;
    api.library.delete_face_set(&caller, &name, only_if_empty).await?;
    Ok(json(StatusCode::OK, &serde_json::json!({})))
}

pub(super) async fn add_faces(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Posted(body): Posted<dto::AddFaces>,
) -> Answer {
    let added = api.library.add_faces(&caller, convert::add_faces(name, body)?).await?;
    let faces = added.faces.into_iter().map(convert::face).collect();
    let refused = added.refused.into_iter().map(convert::refused_face).collect();
    Ok(json(StatusCode::CREATED, &dto::Faces { faces, refused, next_offset: None }))
}

pub(super) async fn list_faces(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Query(mut words): Query,
) -> Answer {
    let page = convert::page(words.parsed("offset", "a whole number")?, words.parsed("limit", "a whole number")?)?;
    words.finish()?;
    let (_, faces) = api.library.list_faces(&caller, &name, page).await?;
    let next_offset = (faces.len() as u64 == page.limit).then(|| page.offset.saturating_add(page.limit));
    let faces = faces.into_iter().map(convert::face).collect();
    Ok(json(StatusCode::OK, &dto::Faces { faces, refused: Vec::new(), next_offset }))
}

pub(super) async fn show_face(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    OfFace(id): OfFace,
) -> Answer {
    let (_, face) = api.library.face(&caller, &name, id).await?;
    Ok(json(StatusCode::OK, &convert::face(face)))
}

pub(super) async fn update_face(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    OfFace(id): OfFace,
    Json(body): Json<dto::UpdateFace>,
) -> Answer {
    let (_, face) = api.library.update_face(&caller, &name, id, convert::update_face(body)?).await?;
    Ok(json(StatusCode::OK, &convert::face(face)))
}

pub(super) async fn delete_face(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    OfFace(id): OfFace,
) -> Answer {
    let (_, deleted) = api.library.delete_faces(&caller, &name, library::DeleteFaces::Ids(vec![id])).await?;
    if deleted.is_empty() {
        return Err(Error::new(Kind::FaceNotFound, "there is no face with that id in the face set").into());
    }
    Ok(json(StatusCode::OK, &faces_deleted(&deleted)))
}

pub(super) async fn delete_faces(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::DeleteFaces>,
) -> Answer {
    let (_, deleted) = api.library.delete_faces(&caller, &name, convert::delete_faces(body)?).await?;
    Ok(json(StatusCode::OK, &faces_deleted(&deleted)))
}

fn faces_deleted(ids: &[likeness_domain::types::FaceId]) -> dto::FacesDeleted {
    dto::FacesDeleted { deleted: ids.iter().map(ToString::to_string).collect() }
}

pub(super) async fn enrolled(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Json(body): Json<dto::ExternalIds>,
) -> Answer {
    let enrolled = api.library.enrolled(&caller, &name, convert::external_ids(body)?).await?;
    let external_ids = enrolled.iter().map(ToString::to_string).collect();
    Ok(json(StatusCode::OK, &dto::ExternalIds { external_ids }))
}

pub(super) async fn search(
    State(api): State<Api>,
    Signed(caller): Signed,
    InFaceSet(name): InFaceSet,
    Posted(body): Posted<dto::Search>,
) -> Answer {
    let answer = api.library.search(&caller, convert::search(name, body)?).await?;
    Ok(json(StatusCode::OK, &convert::search_answer(&api.library, answer)?))
}

pub(super) async fn compare(
    State(api): State<Api>,
    Signed(caller): Signed,
    Posted(body): Posted<dto::Compare>,
) -> Answer {
    Ok(json(StatusCode::OK, &super::compare(&api.library, &caller, body).await?))
}

pub(super) async fn detect(
    State(api): State<Api>,
    Signed(caller): Signed,
    Posted(body): Posted<dto::Detect>,
) -> Answer {
    let detected = super::detect(&api.library, &caller, body).await?;
    Ok(json(StatusCode::OK, &super::detections(detected)))
}

pub(super) async fn liveness(
    State(api): State<Api>,
    Signed(caller): Signed,
    Posted(body): Posted<dto::Liveness>,
) -> Answer {
    Ok(json(StatusCode::OK, &super::judge(&api.library, &caller, body).await?))
}

pub(super) async fn packs(State(api): State<Api>, Signed(_caller): Signed) -> Answer {
    Ok(json(StatusCode::OK, &dto::Packs { packs: api.library.packs().iter().map(convert::pack).collect() }))
}

pub(super) async fn tenants(State(operator): State<Operator>) -> Answer {
    let tenants = operator.credentials.tenants().await?;
    let tenants = tenants.into_iter().map(|tenant| tenant.name.to_string()).collect();
    Ok(json(StatusCode::OK, &dto::Tenants { tenants }))
}

pub(super) async fn delete_tenant(State(operator): State<Operator>, Path(name): Path<String>) -> Answer {
    let name = TenantName::new(&name)?;
    let missing = || Error::invalid("tenant", format!("there is no tenant `{name}`"));
    let tenant = operator.credentials.tenant(name.clone()).await?.ok_or_else(missing)?;
    let actor = Caller::owner(&tenant, "local-delete-tenant").actor();
    match operator.store.delete_tenant(actor).await? {
        true => Ok(json(StatusCode::OK, &dto::TenantDeleted { deleted: name.to_string() })),
        false => Err(missing().into()),
    }
}

pub(super) async fn report(State(operator): State<Operator>, Query(mut words): Query) -> Answer {
    let thorough = words.flag("thorough")?;
    words.finish()?;
    Ok(json(StatusCode::OK, &convert::report(operator.store.report(thorough).await?)))
}

pub(super) async fn unknown_operation(method: http::Method, uri: http::Uri) -> Response {
    let message = format!("there is no operation {method} {}", uri.path());
    errors::answer(StatusCode::NOT_FOUND, "unsupported", &message, None, None)
}
