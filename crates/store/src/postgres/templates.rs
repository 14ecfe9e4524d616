//! Templates: rows of their own, any number of packs a face, read only where a vector is needed.
//!
//! `templates.face` is the `sequence` of the face.

use std::collections::HashSet;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceScope, GalleryChange, TemplatePage};
use likeness_domain::types::{FaceId, FaceSet, FaceSetId, PackId, Template, TenantId};

use super::checksums;
use super::errors::{Answer, Failure};
use super::faces;
use super::rows::{self, FACE_COLUMNS, FaceRow, SetRow, VECTOR_COLUMNS, number, tenant_bytes};
use super::scope::{each_once, in_scope};
use super::session::Session;
use super::transaction::WriteTx;
use crate::bounds;
use crate::embedded::codec;
use crate::gallery::entry;

/// See `GalleryStore::templates`.
pub(super) async fn by_id(
    session: &Session,
    tenant: TenantId,
    scope: Option<FaceScope>,
    ids: Vec<FaceId>,
    pack: &PackId,
) -> Answer<Vec<(FaceId, Template)>> {
    let (condition, scope_id) = in_scope(scope);
    let sql = format!(
        "SELECT f.id, {VECTOR_COLUMNS} FROM unnest($3::int8[]) WITH ORDINALITY AS j (id, place)
         JOIN faces AS f ON f.id = j.id JOIN templates AS t ON t.face = f.sequence AND t.pack = $4
         WHERE {condition} ORDER BY j.place"
    );
    let found = session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &each_once(ids), &pack.as_str()]).await?;
    found.iter().map(|row| Ok((rows::face_id(row.try_get(0)?)?, rows::template(row, 1, pack)?))).collect()
}

/// See `GalleryStore::faces_with_templates`; `from` is the sequence of the first face that is meant.
pub(super) async fn page(
    session: &Session,
    tenant: TenantId,
    face_set: FaceSetId,
    from: u64,
    limit: u64,
) -> Answer<TemplatePage> {
    let Some(set) = rows::face_set(session, tenant, face_set).await? else { return Ok(TemplatePage::default()) };
    let scope = FaceScope::FaceSet(face_set);
    // The page is cut before rows are read, so that damaged ones are counted and not taken for the end.
    let (page, next) = faces::page_of(session, tenant, scope, from, limit).await?;
    let (condition, scope_id) = in_scope(Some(scope));
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f JOIN templates AS t ON t.face = f.sequence AND t.pack = $4
         WHERE f.sequence = ANY($3) AND {condition} ORDER BY f.sequence"
    );
    let pack = &set.face_set.pack;
    let found = session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &page, &pack.as_str()]).await?;
    let faces = rows::intact(&found, |row| {
        let (row, template) = rows::face_and_template(row, tenant, pack)?;
        Ok((row.face, template))
    })?;
    Ok(TemplatePage { n_damaged: (page.len() - faces.len()) as u64, faces, next })
}

/// See `GalleryStore::put_templates`.
pub(super) async fn put(tx: &mut WriteTx, tenant: TenantId, templates: Vec<(FaceId, Template)>) -> Answer<()> {
    // A face that is missing is told of before a set that is full.
    let mut found = Vec::with_capacity(templates.len());
    for (id, template) in templates {
        let not_found = || Failure::said(Kind::FaceNotFound, format!("face {id} does not exist"));
        found.push((find(&tx.session, tenant, id).await?.ok_or_else(not_found)?, template));
    }
    for (row, template) in found {
        put_one(tx, tenant, row, &template).await?;
    }
    Ok(())
}

async fn put_one(tx: &mut WriteTx, tenant: TenantId, row: FaceRow, template: &Template) -> Answer<()> {
    let FaceRow { sequence, face } = row;
    let (pack, vector) = (template.pack().as_str(), codec::vector_bytes(template));
    let checksum = checksums::template(sequence, pack, &vector);
    let sql = "INSERT INTO templates (face, pack, vector, checksum) VALUES ($1, $2, $3, $4)
               ON CONFLICT (face, pack) DO UPDATE SET vector = excluded.vector, checksum = excluded.checksum
               RETURNING xmax = 0";
    let is_new: bool = tx.session.one(sql, &[&sequence, &pack, &vector, &checksum]).await?.try_get(0)?;
    tx.push(Change::TemplatePut(face.id, template.pack().clone()));
    let sets = faces::sets_of_owner(&tx.session, tenant, face.owner).await?;
    for set in sets.into_iter().filter(|set| set.face_set.pack == *template.pack()) {
        let SetRow { face_set, n_gallery } = &set;
        if is_new {
            bounds::check_gallery(face_set, *n_gallery, 1, &Limits::NONE)?;
            faces::show(&tx.session, &[(face_set.id, sequence)]).await?;
        }
        let entry = entry(&face, template.clone(), sequence.cast_unsigned(), &face_set.schema);
        tx.push(GalleryChange::Put { face_set: face_set.id, entry });
    }
    Ok(())
}

/// The tenant's face with that id, wherever it is.
async fn find(session: &Session, tenant: TenantId, id: FaceId) -> Answer<Option<FaceRow>> {
    let (condition, anywhere) = in_scope(None);
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.id = $3 AND {condition}");
    let row = session.first(&sql, &[&anywhere, &tenant_bytes(tenant), &number(id.get())]).await?;
    row.map(|row| rows::face_row(&row, tenant)).transpose()
}

/// See `GalleryStore::face_sets_showing`.
pub(super) async fn face_sets_showing(session: &Session, tenant: TenantId, ids: Vec<FaceId>) -> Answer<Vec<FaceSet>> {
    let mut found: Vec<FaceSet> = Vec::new();
    let mut seen = HashSet::new();
    for id in ids {
        let Some(FaceRow { sequence, face }) = find(session, tenant, id).await? else { continue };
        for SetRow { face_set, .. } in faces::sets_of_owner(session, tenant, face.owner).await? {
            let sql = "SELECT 1 FROM gallery WHERE face_set = $1 AND sequence = $2";
            let is_shown = session.exists(sql, &[&number(face_set.id.get()), &sequence]).await?;
            if is_shown && seen.insert(face_set.id) {
                found.push(face_set);
            }
        }
    }
    Ok(found)
}
