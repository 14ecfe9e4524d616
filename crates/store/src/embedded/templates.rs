//! Templates: rows of their own, any number of packs a face, read only where a vector is needed.
//!
//! `templates.face` is the `sequence` of the face.

use std::collections::HashSet;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceScope, GalleryChange, TemplatePage};
use likeness_domain::types::{FaceId, FaceOwner, FaceSet, FaceSetId, PackId, Template, TenantId};
use rusqlite::Connection;

use super::checksums::TEMPLATES;
use super::codec;
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, FaceRow, SetRow, VECTOR_COLUMNS};
use super::scope::{self, each_once, in_scope};
use super::transaction::WriteTx;
use crate::bounds;
use crate::gallery::entry;

/// Writes the first template of that pack of a face.
pub(super) fn insert(conn: &Connection, face: u64, template: &Template) -> Answer<()> {
    conn.prepare_cached(&TEMPLATES.insert())?.execute((
        face,
        template.pack().as_str(),
        codec::vector_bytes(template),
    ))?;
    Ok(())
}

/// The template of that pack of the face with that sequence.
pub(super) fn one(conn: &Connection, face: u64, pack: &PackId) -> Answer<Option<Template>> {
    let sql = format!("SELECT {VECTOR_COLUMNS} FROM templates AS t WHERE t.face = ?1 AND t.pack = ?2");
    rows::first(conn, &sql, (face, pack.as_str()), |row| rows::template(row, 0, pack))
}

/// See `GalleryStore::templates`.
pub(super) fn by_id(
    conn: &Connection,
    tenant: TenantId,
    scope: Option<FaceScope>,
    ids: Vec<FaceId>,
    pack: &PackId,
) -> Answer<Vec<(FaceId, Template)>> {
    let (condition, scope_id) = in_scope(scope);
    let sql = format!(
        "SELECT f.id, {VECTOR_COLUMNS} FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.id = j.value
         CROSS JOIN templates AS t ON t.face = f.sequence AND t.pack = ?4
         WHERE {condition}"
    );
    let params = (scope_id, codec::tenant_bytes(tenant), each_once(ids), pack.as_str());
    let mut damaged = None;
    let found = rows::all(conn, &sql, params, |row| match rows::template(row, 1, pack) {
        Err(Failure::Damaged(what)) => {
            damaged.get_or_insert(what);
            Ok(None)
        }
        template => Ok(Some((rows::face_id(row.get(0)?)?, template?))),
    })?;
    let whole: Vec<_> = found.into_iter().flatten().collect();
    match damaged.filter(|_| whole.is_empty()) {
        Some(what) => Err(Failure::Damaged(what)),
        None => Ok(whole),
    }
}

/// See `GalleryStore::faces_with_templates`; `from` is the sequence of the first face that is meant.
pub(super) fn page(
    conn: &Connection,
    tenant: TenantId,
    face_set: FaceSetId,
    from: u64,
    limit: u64,
) -> Answer<TemplatePage> {
    let Some(set) = rows::face_set(conn, tenant, face_set)? else { return Ok(TemplatePage::default()) };
    // The page is cut before rows are read, so that damaged ones are counted and not taken for the end.
    let sql = "SELECT sequence FROM gallery WHERE face_set = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";
    let limit = limit.min(u64::from(u32::MAX));
    let mut page =
        rows::all(conn, sql, (face_set.get(), rows::number(from), limit + 1), |row| Ok(row.get::<_, u64>(0)?))?;
    let next = if page.len() as u64 > limit { page.pop() } else { None };
    let (condition, scope_id) = in_scope(Some(FaceScope::FaceSet(face_set)));
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM json_each(?3) AS j CROSS JOIN faces AS f ON f.sequence = j.value
         CROSS JOIN templates AS t ON t.face = f.sequence AND t.pack = ?4
         WHERE {condition}"
    );
    let n_listed = page.len() as u64;
    let pack = &set.face_set.pack;
    let params = (scope_id, codec::tenant_bytes(tenant), rows::json_array(page), pack.as_str());
    let faces = rows::intact(conn, &sql, params, |row| {
        let (row, template) = rows::face_and_template(row, tenant, pack)?;
        Ok((row.face, template))
    })?;
    Ok(TemplatePage { n_damaged: n_listed - faces.len() as u64, faces, next })
}

/// See `GalleryStore::put_templates`.
pub(super) fn put(tx: &mut WriteTx<'_>, tenant: TenantId, templates: Vec<(FaceId, Template)>) -> Answer<()> {
    // A face that is missing is told of before a set that is full.
    let mut found = Vec::with_capacity(templates.len());
    for (id, template) in templates {
        let not_found = || Failure::said(Kind::FaceNotFound, format!("face {id} does not exist"));
        found.push((find(tx.conn, tenant, id)?.ok_or_else(not_found)?, template));
    }
    found.into_iter().try_for_each(|(row, template)| put_one(tx, tenant, row, &template))
}

fn put_one(tx: &mut WriteTx<'_>, tenant: TenantId, row: FaceRow, template: &Template) -> Answer<()> {
    let FaceRow { sequence, face } = row;
    let replaced = tx
        .conn
        .prepare_cached("UPDATE templates SET vector = ?3, checksum = row_checksum('templates', ?1, ?2, ?3) WHERE face = ?1 AND pack = ?2")?
        .execute((sequence, template.pack().as_str(), codec::vector_bytes(template)))?;
    if replaced > 0 {
        tx.erased = true;
    } else {
        insert(tx.conn, sequence, template)?;
    }
    tx.push(Change::TemplatePut(face.id, template.pack().clone()));
    let sets = match face.owner {
        FaceOwner::FaceSet(id) => vec![rows::need_face_set(tx.conn, tenant, id)?],
        FaceOwner::Person(id) => scope::sets_of_person(tx.conn, id)?,
    };
    for set in sets.into_iter().filter(|set| set.face_set.pack == *template.pack()) {
        let SetRow { face_set, .. } = &set;
        if replaced > 0 {
            let entry = entry(&face, template.clone(), sequence, &face_set.schema);
            tx.push(GalleryChange::Put { face_set: face_set.id, entry });
        } else {
            bounds::check_gallery(&set.face_set, set.n_gallery, 1, &Limits::NONE)?;
            tx.conn
                .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + 1 WHERE id = ?1")?
                .execute([face_set.id.get()])?;
            scope::show(tx, face_set, &face, template.clone(), sequence)?;
        }
    }
    Ok(())
}

/// The tenant's face with that id, wherever it is.
fn find(conn: &Connection, tenant: TenantId, id: FaceId) -> Answer<Option<FaceRow>> {
    let (condition, anywhere) = in_scope(None);
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.id = ?3 AND {condition}");
    rows::first(conn, &sql, (anywhere, codec::tenant_bytes(tenant), id.get()), |row| rows::face_row(row, tenant))
}

/// See `GalleryStore::face_sets_showing`.
pub(super) fn face_sets_showing(conn: &Connection, tenant: TenantId, ids: Vec<FaceId>) -> Answer<Vec<FaceSet>> {
    let mut found: Vec<FaceSet> = Vec::new();
    let mut seen = HashSet::new();
    for id in ids {
        let Some(FaceRow { sequence, face }) = find(conn, tenant, id)? else { continue };
        let sets = match face.owner {
            FaceOwner::FaceSet(id) => rows::face_set(conn, tenant, id)?.into_iter().collect(),
            FaceOwner::Person(id) => scope::sets_of_person(conn, id)?,
        };
        for SetRow { face_set, .. } in sets {
            let shows = conn
                .prepare_cached("SELECT 1 FROM gallery WHERE face_set = ?1 AND sequence = ?2")?
                .exists((face_set.id.get(), sequence))?;
            if shows && seen.insert(face_set.id) {
                found.push(face_set);
            }
        }
    }
    Ok(found)
}

/// Reads every template; lists those that cannot be what was written.
pub(super) fn check(conn: &Connection, problems: &mut Vec<String>, problems_max: usize) -> Answer<()> {
    let sql = format!(
        "SELECT f.id, t.pack, {VECTOR_COLUMNS} FROM templates AS t CROSS JOIN faces AS f ON f.sequence = t.face"
    );
    let mut statement = conn.prepare(&sql)?;
    let mut found = statement.query([])?;
    while let Some(row) = found.next()? {
        let pack = codec::pack_of(row.get_ref(1)?.as_str().map_err(rusqlite::Error::from)?);
        match pack.and_then(|pack| rows::template(row, 2, &pack)) {
            // Named by its damage already.
            Err(Failure::Damaged(_)) if !row.get::<_, bool>(3)? => {}
            Err(Failure::Damaged(what)) => {
                let id = row.get::<_, i64>(0)?;
                problems.push(format!("template of face {id}: {what}: delete the face by its id and enrol it again"));
            }
            other => drop(other?),
        }
        if problems.len() >= problems_max {
            break;
        }
    }
    Ok(())
}
