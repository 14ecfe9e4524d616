//! Calls about face sets.

use likeness_domain::Kind;
use likeness_domain::access::Grant;
use likeness_domain::library::{CreateFaceSet, DeleteFaces};
use likeness_domain::ports::Page;
use likeness_domain::types::{FaceId, FaceSet, FaceSetKey, FaceSetName, FaceSetPatch, FaceSetSummary, FieldSchema};
use serde::{Deserialize, Serialize};

use super::call::Call;
use super::convert;
use super::dto::{self, Answer};
use super::errors::{self, Blame, Failure};
use crate::megvii::convert::{REMOVE_ALL, items, not_removed, text};
use crate::megvii::dto::FaceFailure;

/// Tokens of one `create` or `addface`.
const ADDED_MAX: usize = 5;
/// Tokens of one `removeface`.
const REMOVED_MAX: usize = 1000;
/// Entries of one page.
const PAGE: u64 = 100;
/// Largest `start` by the letter of the reference, which is also how many faces a set made here holds.
const START_MAX: u64 = 10_000;

/// What is to be done with the faces of a set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Act {
    Add,
    Remove,
}

/// How a call names its face set.
pub(super) enum FaceSetNamed {
    Token(likeness_domain::types::FaceSetId),
    OuterId(FaceSetName),
}

impl FaceSetNamed {
    pub(super) fn read(call: &Call<'_>) -> Result<Self, Failure> {
        let outer_id = convert::outer_id(&call.fields)?;
        match (call.fields.text("faceset_token")?, outer_id) {
            (None, None) => Err(Failure::missing("faceset_token, outer_id")),
            (Some(_), Some(_)) => Err(Failure::bad("COEXISTENCE_ARGUMENTS")),
            (None, Some(name)) => Ok(Self::OuterId(name)),
            (Some(token), None) => {
                let id = call.names.face_set(token);
                id.map(Self::Token).ok_or_else(|| Failure::bad(Blame::NOBODY.unknown_face_set))
            }
        }
    }

    fn key(&self) -> FaceSetKey<'_> {
        match self {
            Self::Token(id) => FaceSetKey::Id(*id),
            Self::OuterId(name) => FaceSetKey::Name(name),
        }
    }

    pub(super) fn blame(&self) -> Blame<'static> {
        match self {
            Self::Token(_) => Blame::NOBODY,
            Self::OuterId(_) => Blame { unknown_face_set: "INVALID_OUTER_ID", ..Blame::NOBODY },
        }
    }

    fn failed(&self) -> impl Fn(likeness_domain::Error) -> Failure {
        let blame = self.blame();
        move |error| errors::library(error, &blame)
    }

    pub(super) async fn find(&self, call: &Call<'_>) -> Result<FaceSetSummary, Failure> {
        call.library.known_face_set(&call.caller, self.key()).await.map_err(self.failed())
    }
}

pub(super) async fn create(call: &Call<'_>) -> Result<Answer, Failure> {
    let label = convert::new_display_name(&call.fields)?;
    let given_name = convert::new_outer_id(&call.fields, "outer_id")?;
    let tags = convert::tags(&call.fields)?.unwrap_or_default();
    let tokens = tokens(call, ADDED_MAX)?;
    if !tokens.is_empty() {
        // Before the set is made, which would otherwise stay behind a refusal.
        call.caller.require(Grant::Enrol).map_err(|error| call.failed(error))?;
    }
    let note = convert::new_user_data(&call.fields)?;
    let merge = call.fields.switch("force_merge")?.unwrap_or(false) && given_name.is_some();
    let name = match given_name {
        Some(name) => name,
        None => call.names.fresh_name(&*call.service.wire.ids)?,
    };
    let request = CreateFaceSet {
        name: name.clone(),
        label: label.filter(|label| !label.as_str().is_empty()),
        note: note.filter(|note| !note.as_str().is_empty()),
        tags,
        schema: FieldSchema::default(),
        capacity: None,
        quality_gate: None,
        thumbnails: false,
    };
    let named = FaceSetNamed::OuterId(name);
    let face_set = match call.library.create_face_set(&call.caller, request).await {
        Ok(face_set) => face_set,
        Err(error) if error.kind() == Kind::FaceSetExists && merge => named.find(call).await?.face_set,
        Err(error) => return Err(named.failed()(error)),
    };
    added(call, &face_set, &tokens).await
}

pub(super) async fn add_faces(call: &Call<'_>) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    let tokens = tokens_of(call, Act::Add)?.unwrap_or_default();
    let face_set = named.find(call).await?.face_set;
    added(call, &face_set, &tokens).await
}

/// The tokens of a call, as they were given; none if the field is absent or empty.
fn tokens(call: &Call<'_>, most: usize) -> Result<Vec<String>, Failure> {
    let text = call.fields.text("face_tokens")?.unwrap_or_default();
    let tokens: Vec<String> = items(text).take(most + 1).map(str::to_owned).collect();
    if tokens.len() > most || (tokens.is_empty() && !text.is_empty()) {
        return Err(Failure::bad("INVALID_FACE_TOKENS_SIZE"));
    }
    Ok(tokens)
}

pub(super) async fn added(call: &Call<'_>, face_set: &FaceSet, tokens: &[String]) -> Result<Answer, Failure> {
    let source_faces: Vec<Option<FaceId>> = tokens.iter().map(|token| call.names.source_face(token)).collect();
    let known = source_faces.iter().flatten().copied().collect();
    let outcomes = match tokens.is_empty() {
        // A face set is made without faces: no grant to enrol is needed.
        true => Vec::new(),
        false => call.ask(call.library.add_transient_faces(&call.caller, face_set.id, known)).await?,
    };
    let mut outcomes = outcomes.into_iter();
    let mut face_added = 0;
    let mut failure_detail = Vec::new();
    for (token, source_face) in tokens.iter().zip(&source_faces) {
        let outcome = source_face.and_then(|_| outcomes.next());
        face_added += usize::from(outcome == Some(likeness_domain::library::TransientFaceOutcome::Added));
        let reason = outcome.map_or(Some("INVALID_FACE_TOKEN"), convert::reason);
        failure_detail.extend(reason.map(|reason| FaceFailure { face_token: token.clone(), reason }));
    }
    let (face_set, face_count) = (call.names.named(face_set), call.n_faces(face_set.id).await?);
    let (face_added, face_removed) = (Some(face_added), None);
    Ok(Answer::FacesChanged(dto::FacesChanged { face_set, face_added, face_removed, face_count, failure_detail }))
}

pub(super) async fn remove_faces(call: &Call<'_>) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    let tokens = tokens_of(call, Act::Remove)?;
    let face_set = named.find(call).await?.face_set;
    removed(call, &face_set, tokens).await
}

/// The tokens of a call that needs some; `None` stands for every face of the set.
pub(super) fn tokens_of(call: &Call<'_>, act: Act) -> Result<Option<Vec<String>>, Failure> {
    call.fields.require(&["face_tokens"])?;
    match act {
        Act::Add => tokens(call, ADDED_MAX).map(Some),
        Act::Remove if call.fields.text("face_tokens")? == Some(REMOVE_ALL) => Ok(None),
        Act::Remove => tokens(call, REMOVED_MAX).map(Some),
    }
}

pub(super) async fn removed(
    call: &Call<'_>,
    face_set: &FaceSet,
    tokens: Option<Vec<String>>,
) -> Result<Answer, Failure> {
    let (face_removed, failure_detail) = match tokens {
        None => {
            let (_, removed) = call.ask(call.library.delete_faces(&call.caller, face_set.id, DeleteFaces::All)).await?;
            (removed.len(), Vec::new())
        }
        Some(tokens) => {
            let source_faces: Vec<Option<FaceId>> = tokens.iter().map(|token| call.names.source_face(token)).collect();
            let known = source_faces.iter().flatten().copied().collect();
            let removed = call.ask(call.library.remove_source_faces(&call.caller, face_set.id, known)).await?;
            (removed.len(), not_removed(tokens.into_iter().zip(source_faces), removed, "INVALID_FACE_TOKEN"))
        }
    };
    let (face_set, face_count) = (call.names.named(face_set), call.n_faces(face_set.id).await?);
    let (face_added, face_removed) = (None, Some(face_removed));
    Ok(Answer::FacesChanged(dto::FacesChanged { face_set, face_added, face_removed, face_count, failure_detail }))
}

pub(super) async fn update(call: &Call<'_>) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    if ["new_outer_id", "display_name", "user_data", "tags"].iter().all(|name| call.fields.present(name).is_none()) {
        return Err(Failure::missing("new_outer_id, display_name, user_data, tags"));
    }
    let patch = FaceSetPatch {
        name: convert::new_outer_id(&call.fields, "new_outer_id")?,
        label: convert::new_display_name(&call.fields)?,
        note: convert::new_user_data(&call.fields)?,
        tags: convert::tags(&call.fields)?,
        quality_gate: None,
        thumbnails: None,
        capacity: None,
        only_if: None,
    };
    let updated = call.library.update_face_set(&call.caller, named.key(), patch).await;
    let face_set = updated.map_err(|error| match error.kind() {
        Kind::FaceSetExists => Failure::bad("NEW_OUTER_ID_EXIST"),
        _ => named.failed()(error),
    })?;
    Ok(Answer::Named(call.names.named(&face_set)))
}

pub(super) async fn detail(call: &Call<'_>) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    let start = call.fields.positive("start", 1, i64::MAX as u64, false)?;
    let summary = named.find(call).await?;
    // A set made through another API may hold more than the reference can count to.
    if start > START_MAX.max(summary.n_faces) {
        return Err(Failure::malformed("start"));
    }
    // One more than is shown, to know whether there are more.
    let page = Page { offset: start - 1, limit: PAGE + 1 };
    let listed = call.library.list_faces(&call.caller, summary.face_set.id, page).await;
    let (face_set, faces) = listed.map_err(named.failed())?;
    let next = (faces.len() as u64 > PAGE).then(|| (start + PAGE).to_string());
    let face_tokens = faces.iter().take(PAGE as usize).map(|face| call.names.face_token(face.source_face)).collect();
    Ok(Answer::Detail(dto::FaceSetDetail {
        face_set: call.names.listed(&face_set),
        user_data: text(face_set.note.as_ref()),
        face_count: summary.n_faces,
        face_tokens,
        next,
    }))
}

pub(super) async fn delete(call: &Call<'_>) -> Result<Answer, Failure> {
    let named = FaceSetNamed::read(call)?;
    let only_if_empty = call.fields.switch("check_empty")?.unwrap_or(true);
    let deleted = call.library.delete_face_set(&call.caller, named.key(), only_if_empty).await;
    Ok(Answer::Named(call.names.named(&deleted.map_err(named.failed())?)))
}

pub(super) async fn list(call: &Call<'_>) -> Result<Answer, Failure> {
    let tags = convert::tags(&call.fields)?.unwrap_or_default();
    let start = call.fields.positive("start", 1, i64::MAX as u64, false)?;
    let found = call.ask(call.library.face_sets_tagged(&call.caller, &tags)).await?;
    let before = usize::try_from(start - 1).unwrap_or(usize::MAX);
    let shown = found.iter().skip(before).take(PAGE as usize);
    let facesets: Vec<dto::FaceSetListed> = shown.map(|set| call.names.listed(&set.face_set)).collect();
    let has_more = found.len().saturating_sub(before) > facesets.len();
    Ok(Answer::FaceSets { next: has_more.then(|| (start + PAGE).to_string()), facesets })
}
