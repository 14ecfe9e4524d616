//! Who changed what: the record of commits.

use axum::response::Response;
use http::StatusCode;
use likeness_domain::Error;
use likeness_domain::library::Record;
use likeness_domain::ports::{ChangeRef, CommitRecord, KeyAction};
use likeness_domain::types::{AccessKeyId, FaceId, FaceSetId, FaceSetName, PersonId, Revision};

use super::body::{Call, Query, json};
use super::errors::NativeError;
use super::{convert, dto};

/// Ids of faces that one change names; of more it says how many they are.
const FACE_IDS_MAX: usize = 100;

/// `GET /changes`
pub(super) async fn list(Call { api, caller }: Call, Query(mut words): Query) -> Result<Response, NativeError> {
    let limit = words.limit()?;
    let since: Option<u64> = words.parsed("since", "a whole number")?;
    let face_set = words.text("face_set").map(FaceSetName::new).transpose()?;
    let cursor = words.text("cursor");
    words.finish()?;
    if since.is_some() && cursor.is_some() {
        return Err(Error::invalid("cursor", "`cursor` and `since` exclude each other").into());
    }
    let list = format!("changes {}", face_set.as_ref().map_or("", FaceSetName::as_str));
    let from = api.cursors.open_position(caller.tenant, &list, cursor.as_deref())?;
    let after = from.unwrap_or_else(|| Revision(since.unwrap_or(0)).into());
    let record = api.library.record(&caller, face_set.as_ref(), after, limit).await?;
    let position = api.cursors.seal_position(caller.tenant, &list, record.reached);
    let next_cursor = record.has_more.then(|| position.clone());
    let commits = record.commits.iter().map(|commit| told(commit, &record)).collect();
    Ok(json(StatusCode::OK, &dto::Changes { commits, compacted: record.compacted.0, next_cursor, position }))
}

fn told(commit: &CommitRecord, record: &Record) -> dto::Commit {
    let mut changes: Vec<dto::Changed> = Vec::new();
    for change in &commit.changes {
        let (change, face) = changed(change, record);
        let Some(face) = face else {
            changes.push(change);
            continue;
        };
        // Faces to which the same was done stand together.
        let is_same = |last: &dto::Changed| {
            (&last.what, &last.face_set_id, &last.pack) == (&change.what, &change.face_set_id, &change.pack)
        };
        if !changes.last().is_some_and(is_same) {
            changes.push(dto::Changed { n_faces: Some(0), ..change });
        }
        if let Some(together) = changes.last_mut() {
            *together.n_faces.get_or_insert(0) += 1;
            if together.face_ids.len() < FACE_IDS_MAX {
                together.face_ids.push(face.to_string());
            }
        }
    }
    dto::Commit {
        revision: commit.revision.0,
        at: convert::time_text(commit.at),
        key: commit.actor.key.as_ref().map(AccessKeyId::to_string),
        request_id: commit.actor.request_id.as_str().to_owned(),
        changes,
    }
}

/// A change, and the face that it is about.
fn changed(change: &ChangeRef, record: &Record) -> (dto::Changed, Option<FaceId>) {
    let plain = |what: &str| dto::Changed { what: what.to_owned(), ..dto::Changed::default() };
    let of_set = |what: &str, id: &FaceSetId| dto::Changed {
        face_set: record.face_sets.get(id).map(FaceSetName::to_string),
        face_set_id: Some(id.get().to_string()),
        ..plain(what)
    };
    let of_person = |what: &str, id: &PersonId| dto::Changed {
        person: record.persons.get(id).map(ToString::to_string),
        person_id: Some(id.get().to_string()),
        ..plain(what)
    };
    match change {
        ChangeRef::Opened(id) => (of_set("face_set_made", id), None),
        ChangeRef::Closed(id) => (of_set("face_set_deleted", id), None),
        ChangeRef::FaceSetChanged(id) => (of_set("face_set_changed", id), None),
        ChangeRef::Put(id, face) => (of_set("faces_put", id), Some(*face)),
        ChangeRef::Removed(id, face) => (of_set("faces_removed", id), Some(*face)),
        ChangeRef::PersonChanged(id) => (of_person("person_changed", id), None),
        ChangeRef::PersonDeleted(id) => (of_person("person_deleted", id), None),
        ChangeRef::TransientFaceKept(face) => (plain("faces_held"), Some(*face)),
        ChangeRef::TransientFaceGone(face) => (plain("held_faces_gone"), Some(*face)),
        ChangeRef::TemplatePut(face, pack) => {
            (dto::Changed { pack: Some(pack.to_string()), ..plain("templates_put") }, Some(*face))
        }
        ChangeRef::TenantMade(_) => (plain("tenant_made"), None),
        ChangeRef::TenantChanged(_) => (plain("tenant_changed"), None),
        ChangeRef::TenantDeleted(_) => (plain("tenant_deleted"), None),
        ChangeRef::Key(key, action) => {
            let what = match action {
                KeyAction::Made => "key_made",
                KeyAction::Enabled => "key_enabled",
                KeyAction::Disabled => "key_disabled",
                KeyAction::Rotated => "key_rotated",
                KeyAction::Deleted => "key_deleted",
                KeyAction::Changed => "key_changed",
            };
            (dto::Changed { access_key: Some(key.to_string()), ..plain(what) }, None)
        }
    }
}
