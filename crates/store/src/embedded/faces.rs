//! Faces: enrol, find, change, delete.
//!
//! Every function first looks its scope or owner up under the tenant; all later queries go by the id found there, so none
//! can reach another tenant's rows.

use std::collections::HashSet;

use likeness_domain::access::Limits;
use likeness_domain::ports::{FacePage, FaceScope, GalleryChange, Page};
use likeness_domain::types::{
    ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, NewFace, PackId, Precondition, Template,
    TenantId, Thumbnail, TimestampMs,
};
use likeness_domain::{Error, Kind};
use rusqlite::Connection;

use super::checksums::{self, FACES};
use super::errors::{Answer, Failure};
use super::face_sets::{free_id, limit_and_offset};
use super::rows::{self, FACE_COLUMNS, FaceRow, SetRow};
use super::scope::{Scope, each_once, find_scope, in_scope, sets_of_person, show};
use super::transaction::WriteTx;
use super::{codec, templates, tenants, thumbnails};
use crate::bounds;
use crate::gallery::entry;

/// See `GalleryStore::add_faces`.
pub(super) fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    owner: FaceOwner,
    faces: Vec<NewFace>,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    let n_new = faces.len() as u64;
    let sets = match owner {
        FaceOwner::FaceSet(id) => {
            let set = rows::need_face_set(tx.conn, tenant, id)?;
            check_packs(&set.face_set, faces.iter().map(|face| face.template.pack()))?;
            vec![set]
        }
        FaceOwner::Person(id) => {
            let n_owned = rows::need_person(tx.conn, tenant, id)?.n_faces;
            bounds::check_person_faces(n_owned, n_new, limits)?;
            sets_of_person(tx.conn, id)?
        }
    };
    check_tenant(tx.conn, tenant, n_new, limits)?;
    for set in &sets {
        let n_shown = faces.iter().filter(|face| *face.template.pack() == set.face_set.pack).count() as u64;
        bounds::check_gallery(&set.face_set, set.n_gallery, n_shown, limits)?;
        tx.conn
            .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + ?2 WHERE id = ?1")?
            .execute((set.face_set.id.get(), n_shown))?;
    }
    let count = match owner {
        FaceOwner::FaceSet(_) => "UPDATE face_sets SET n_owned = n_owned + ?2 WHERE id = ?1",
        FaceOwner::Person(_) => "UPDATE persons SET n_faces = n_faces + ?2 WHERE id = ?1",
    };
    tx.conn.prepare_cached(count)?.execute((owner_id(owner), n_new))?;
    faces.into_iter().map(|new| add_one(tx, tenant, owner, new, &sets)).collect()
}

pub(super) fn owner_id(owner: FaceOwner) -> u64 {
    match owner {
        FaceOwner::FaceSet(id) => id.get(),
        FaceOwner::Person(id) => id.get(),
    }
}

/// `InvalidArgument` if one of these packs is not the set's.
pub(super) fn check_packs<'a>(face_set: &FaceSet, packs: impl IntoIterator<Item = &'a PackId>) -> Answer<()> {
    let pack = &face_set.pack;
    match packs.into_iter().find(|other| *other != pack) {
        None => Ok(()),
        Some(other) => Err(Failure::Said(Error::invalid(
            "template",
            format!("a template of pack `{other}` does not fit a face set of pack `{pack}`"),
        ))),
    }
}

/// `CapacityExceeded` if the tenant may not own `n_more` faces.
pub(super) fn check_tenant(conn: &Connection, tenant: TenantId, n_more: u64, limits: &Limits) -> Answer<()> {
    if limits.faces_max.is_some() {
        bounds::check_tenant_faces(tenants::usage(conn, tenant)?.n_faces, n_more, limits)?;
    }
    Ok(())
}

/// Enrols one face into the galleries of `sets` that share its pack; counts were taken.
fn add_one(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    owner: FaceOwner,
    mut new: NewFace,
    sets: &[SetRow],
) -> Answer<Face> {
    if let Some(external_id) = &new.external_id
        && user_of_external_id(tx.conn, owner, external_id)?.is_some()
    {
        let message = format!("a face with external id `{external_id}` is enrolled already");
        return Err(Failure::said(Kind::FaceExists, message));
    }
    let id = match (free_face_id(tx.conn, new.id)?, new.spare_id) {
        (id, Some(spare)) if id != new.id => free_face_id(tx.conn, spare)?,
        (id, _) => id,
    };
    let thumbnail = new.thumbnail.take();
    let (face, template) = new.enrolled(id, tenant, owner);
    insert(tx, &face, (&template, thumbnail.as_ref()), sets)?;
    Ok(face)
}

/// The proposed id, or the next one that names no face, held or enrolled, and is the origin of none.
pub(super) fn free_face_id(conn: &Connection, proposed: FaceId) -> Answer<FaceId> {
    let sql = "SELECT 1 FROM faces WHERE id = ?1 UNION ALL SELECT 1 FROM held_faces WHERE id = ?1
               UNION ALL SELECT 1 FROM faces WHERE origin = ?1";
    rows::face_id(free_id(conn, sql, proposed.get())?)
}

/// Writes a face and shows it in the galleries of `sets` that share its pack; counts were taken. The picture is kept if one of
/// these keeps pictures.
pub(super) fn insert(
    tx: &mut WriteTx<'_>,
    face: &Face,
    (template, thumbnail): (&Template, Option<&Thumbnail>),
    sets: &[SetRow],
) -> Answer<()> {
    let sequence = tx.next_sequence();
    let (owner_set, owner_person) = match face.owner {
        FaceOwner::FaceSet(id) => (Some(id.get()), None),
        FaceOwner::Person(id) => (None, Some(id.get())),
    };
    tx.conn.prepare_cached(&FACES.insert())?.execute((
        face.id.get(),
        sequence,
        owner_set,
        owner_person,
        face.pack.as_str(),
        codec::detection_bytes(&face.detection),
        codec::quality_bytes(&face.quality),
        face.subject.as_ref().map(|subject| subject.as_str()),
        face.external_id.as_ref().map(|external_id| external_id.as_str()),
        codec::fields_bytes(&face.fields),
        face.note.as_ref().map(|note| note.as_str()),
        face.source.as_ref().map(|source| source.as_str()),
        face.created_at.0,
        face.updated_at.0,
        Some(face.source_face.get()).filter(|&origin| origin != face.id.get()),
    ))?;
    templates::insert(tx.conn, sequence, template)?;
    let mut is_wanted = false;
    for set in sets.iter().filter(|set| set.face_set.pack == *template.pack()) {
        show(tx, &set.face_set, face, template.clone(), sequence)?;
        is_wanted |= set.face_set.thumbnails;
    }
    if let Some(thumbnail) = thumbnail.filter(|_| is_wanted) {
        thumbnails::insert(tx.conn, sequence, thumbnail)?;
    }
    Ok(())
}

pub(super) fn user_of_external_id(
    conn: &Connection,
    owner: FaceOwner,
    external_id: &ExternalId,
) -> Answer<Option<FaceId>> {
    let sql = match owner {
        FaceOwner::FaceSet(_) => "SELECT id FROM faces WHERE face_set = ?1 AND external_id = ?2",
        FaceOwner::Person(_) => "SELECT id FROM faces WHERE person = ?1 AND external_id = ?2",
    };
    rows::first(conn, sql, (owner_id(owner), external_id.as_str()), |row| rows::face_id(row.get(0)?))
}

/// See `GalleryStore::external_ids`.
pub(super) fn external_ids(
    conn: &Connection,
    tenant: TenantId,
    owner: FaceOwner,
    ids: Vec<ExternalId>,
) -> Answer<Vec<(ExternalId, FaceId)>> {
    let exists = match owner {
        FaceOwner::FaceSet(id) => rows::face_set(conn, tenant, id)?.is_some(),
        FaceOwner::Person(id) => rows::person(conn, tenant, id)?.is_some(),
    };
    let mut seen = HashSet::new();
    let mut used = Vec::new();
    for id in ids.into_iter().filter(|id| exists && seen.insert(id.clone())) {
        if let Some(face) = user_of_external_id(conn, owner, &id)? {
            used.push((id, face));
        }
    }
    Ok(used)
}

/// The face, if it is in the scope.
fn find_one(conn: &Connection, tenant: TenantId, scope: &Scope, id: FaceId) -> Answer<Option<FaceRow>> {
    let (condition, scope_id) = match scope {
        Scope::FaceSet(set) => (
            "EXISTS (SELECT 1 FROM gallery AS g WHERE g.face_set = ?1 AND g.sequence = f.sequence)",
            set.face_set.id.get(),
        ),
        Scope::Person(person) => ("f.person = ?1", person.get()),
    };
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.id = ?2 AND {condition}");
    rows::first(conn, &sql, (scope_id, id.get()), |row| rows::face_row(row, tenant))
}

/// See `GalleryStore::faces`.
pub(super) fn by_id(conn: &Connection, tenant: TenantId, scope: FaceScope, ids: Vec<FaceId>) -> Answer<Vec<Face>> {
    let (condition, scope_id) = in_scope(Some(scope));
    // The cross join makes the array the outer loop, so rows come in its order.
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.id = j.value WHERE {condition}"
    );
    let params = (scope_id, codec::tenant_bytes(tenant), each_once(ids));
    rows::intact(conn, &sql, params, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// See `GalleryStore::list_faces`.
pub(super) fn list(conn: &Connection, tenant: TenantId, scope: FaceScope, page: Page) -> Answer<Vec<Face>> {
    // The page is cut from the narrow table, so that faces before the offset are not read. The cross join keeps SQLite
    // from choosing another order of tables.
    let (page_of, scope_id) = match scope {
        FaceScope::FaceSet(id) => (
            "gallery WHERE face_set = ?1
             AND EXISTS (SELECT 1 FROM face_sets AS s WHERE s.id = ?1 AND s.tenant = ?2 AND s.name IS NOT NULL)",
            id.get(),
        ),
        FaceScope::Person(id) => (
            "faces WHERE person = ?1
             AND EXISTS (SELECT 1 FROM persons AS p WHERE p.id = ?1 AND p.tenant = ?2 AND p.key IS NOT NULL)",
            id.get(),
        ),
    };
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM (SELECT sequence FROM {page_of} ORDER BY sequence LIMIT ?3 OFFSET ?4) AS g
         CROSS JOIN faces AS f ON f.sequence = g.sequence
         WHERE f.face_set = ?1 OR f.person = ?1
           OR EXISTS (SELECT 1 FROM memberships AS m WHERE m.person = f.person AND m.face_set = ?1)"
    );
    let (limit, offset) = limit_and_offset(page);
    let params = (scope_id, codec::tenant_bytes(tenant), limit, offset);
    rows::intact(conn, &sql, params, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// See `GalleryStore::faces_from`; `from` is the sequence of the first face that is meant.
pub(super) fn page(conn: &Connection, tenant: TenantId, scope: FaceScope, from: u64, limit: u64) -> Answer<FacePage> {
    let (page_of, scope_id) = match find_scope(conn, tenant, scope)? {
        None => return Ok(FacePage::default()),
        Some(Scope::FaceSet(set)) => ("gallery WHERE face_set = ?1", set.face_set.id.get()),
        Some(Scope::Person(person)) => ("faces WHERE person = ?1", person.get()),
    };
    // The page is cut before rows are read, so that damaged ones are not taken for the end.
    let sql = format!("SELECT sequence FROM {page_of} AND sequence >= ?2 ORDER BY sequence LIMIT ?3");
    let limit = limit.min(u64::from(u32::MAX));
    let mut page = rows::all(conn, &sql, (scope_id, rows::number(from), limit + 1), |row| Ok(row.get::<_, u64>(0)?))?;
    let next = if page.len() as u64 > limit { page.pop() } else { None };
    Ok(FacePage { faces: at(conn, tenant, scope, page)?, next })
}

/// The faces of these sequences that are in the scope, in the order given. See `GalleryStore::faces_at`.
pub(super) fn at(conn: &Connection, tenant: TenantId, scope: FaceScope, places: Vec<u64>) -> Answer<Vec<Face>> {
    let (condition, scope_id) = in_scope(Some(scope));
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.sequence = j.value WHERE {condition}"
    );
    let params = (scope_id, codec::tenant_bytes(tenant), rows::json_array(places));
    rows::intact(conn, &sql, params, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// See `GalleryStore::places_beginning`.
pub(super) fn beginning(
    conn: &Connection,
    tenant: TenantId,
    face_set: FaceSetId,
    texts: Vec<String>,
    limit: u64,
) -> Answer<Vec<u64>> {
    if rows::face_set(conn, tenant, face_set)?.is_none() {
        return Ok(Vec::new());
    }
    let limit = limit.min(u64::from(u32::MAX));
    let mut places = Vec::new();
    for text in texts {
        // Behind every text that begins with it, as texts compare by their bytes.
        let end = format!("{text}{}", char::MAX);
        for sql in [
            "SELECT sequence FROM faces WHERE face_set = ?1 AND subject >= ?2 AND subject < ?3
             ORDER BY subject, sequence LIMIT ?4",
            "SELECT sequence FROM faces WHERE face_set = ?1 AND external_id >= ?2 AND external_id < ?3
             ORDER BY external_id, sequence LIMIT ?4",
            "SELECT f.sequence FROM memberships AS m CROSS JOIN persons AS p ON p.id = m.person
             CROSS JOIN faces AS f ON f.person = p.id
             CROSS JOIN gallery AS g ON g.face_set = ?1 AND g.sequence = f.sequence
             WHERE m.face_set = ?1 AND ((p.key >= ?2 AND p.key < ?3) OR (p.name >= ?2 AND p.name < ?3))
             ORDER BY f.sequence LIMIT ?4",
        ] {
            let params = (face_set.get(), &text, &end, limit);
            places.extend(rows::all(conn, sql, params, |row| Ok(row.get::<_, u64>(0)?))?);
        }
    }
    places.sort_unstable();
    places.dedup();
    places.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(places)
}

/// See `GalleryStore::update_face`.
pub(super) fn update(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    scope: FaceScope,
    id: FaceId,
    patch: FacePatch,
    now: TimestampMs,
) -> Answer<Face> {
    let not_found = || Failure::said(Kind::FaceNotFound, format!("face {id} does not exist there"));
    let scope = find_scope(tx.conn, tenant, scope)?.ok_or_else(not_found)?;
    let FaceRow { sequence, mut face } = find_one(tx.conn, tenant, &scope, id)?.ok_or_else(not_found)?;
    Precondition::check(patch.only_if.as_ref(), &face)?;
    patch.apply(&mut face);
    face.updated_at = now;
    write_words(tx, tenant, sequence, &face)?;
    Ok(face)
}

/// Writes what a patch may change, and tells every gallery that shows the face.
pub(super) fn write_words(tx: &mut WriteTx<'_>, tenant: TenantId, sequence: u64, face: &Face) -> Answer<()> {
    tx.conn
        .prepare_cached(
            "UPDATE faces SET subject = ?2, fields = ?3, note = ?4, updated_at = ?5, external_id = ?6 WHERE sequence = ?1",
        )?
        .execute((
            sequence,
            face.subject.as_ref().map(|subject| subject.as_str()),
            codec::fields_bytes(&face.fields),
            face.note.as_ref().map(|note| note.as_str()),
            face.updated_at.0,
            face.external_id.as_ref().map(|external_id| external_id.as_str()),
        ))?;
    checksums::renew(tx.conn, &FACES, "sequence", sequence)?;
    tx.erased = true;
    let sets = match face.owner {
        FaceOwner::FaceSet(id) => vec![rows::need_face_set(tx.conn, tenant, id)?],
        FaceOwner::Person(id) => sets_of_person(tx.conn, id)?,
    };
    for SetRow { face_set, .. } in sets {
        if let Some(template) = templates::one(tx.conn, sequence, &face_set.pack)? {
            let entry = entry(face, template, sequence, &face_set.schema);
            tx.push(GalleryChange::Put { face_set: face_set.id, entry });
        }
    }
    Ok(())
}
