//! Face sets: make, find, delete.

use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{Change, GalleryChange, Page};
use likeness_domain::types::{
    FaceSet, FaceSetBytes, FaceSetId, FaceSetPatch, FaceSetSummary, NewFaceSet, Person, Precondition, TenantId,
};
use rusqlite::Connection;

use super::checksums::{self, FACE_SETS, MEMBERSHIPS};
use super::errors::{Answer, Failure};
use super::rows::{self, PERSON_COLUMNS, SET_COLUMNS, SetRow};
use super::transaction::WriteTx;
use super::{codec, thumbnails};
use crate::gallery::{check_capacity, patched};
use crate::id::next_id;

/// See `GalleryStore::create_face_set`.
pub(super) fn create(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    new: NewFaceSet,
    face_sets_max: Option<u64>,
) -> Answer<FaceSet> {
    if rows::face_set_named(tx.conn, tenant, &new.name)?.is_some() {
        return Err(Failure::said(Kind::FaceSetExists, format!("face set `{}` exists already", new.name)));
    }
    check_quota(tx.conn, tenant, 1, face_sets_max)?;
    insert(tx, tenant, new)
}

/// `TooManyFaceSets` if `n_more` would be more than the tenant may have.
pub(super) fn check_quota(conn: &Connection, tenant: TenantId, n_more: u64, face_sets_max: Option<u64>) -> Answer<()> {
    let Some(n_max) = face_sets_max.filter(|_| n_more > 0) else { return Ok(()) };
    let sql = "SELECT count(*) FROM face_sets WHERE tenant = ?1 AND name IS NOT NULL";
    let n_now: u64 = conn.prepare_cached(sql)?.query_row([codec::tenant_bytes(tenant)], |row| row.get(0))?;
    if n_now.saturating_add(n_more) > n_max {
        let message = format!("the tenant may have {n_max} face sets and has {n_now}");
        return Err(Failure::said(Kind::TooManyFaceSets, message));
    }
    Ok(())
}

/// Makes the set; name and quota were checked.
pub(super) fn insert(tx: &mut WriteTx<'_>, tenant: TenantId, new: NewFaceSet) -> Answer<FaceSet> {
    let id = free_id(tx.conn, "SELECT 1 FROM face_sets WHERE id = ?1", new.id.get())?;
    let face_set = FaceSet {
        id: rows::face_set_id(id)?,
        tenant,
        name: new.name,
        label: new.label,
        note: new.note,
        tags: new.tags,
        pack: new.pack,
        schema: new.schema,
        capacity: new.capacity,
        quality_gate: new.quality_gate,
        thumbnails: new.thumbnails,
        created_at: new.created_at,
    };
    let sequence = tx.next_sequence();
    tx.conn.prepare_cached(&FACE_SETS.insert())?.execute((
        id,
        sequence,
        codec::tenant_bytes(tenant),
        face_set.name.as_str(),
        face_set.label.as_ref().map(|label| label.as_str()),
        face_set.note.as_ref().map(|note| note.as_str()),
        face_set.pack.as_str(),
        codec::schema_text(&face_set.schema),
        face_set.capacity.map(|capacity| capacity as i64),
        face_set.created_at.0,
        false,
        face_set.tags.to_string(),
        face_set.quality_gate.word(),
    ))?;
    if face_set.thumbnails {
        thumbnails::turn_on(tx.conn, tenant, face_set.id)?;
    }
    tx.push(GalleryChange::Open {
        face_set: face_set.id,
        pack: face_set.pack.clone(),
        schema: Arc::new(face_set.schema.clone()),
    });
    Ok(face_set)
}

/// The proposed id, or the next free one. Rows that wait to be erased still use theirs. `sql` finds a user of `?1`.
pub(super) fn free_id(conn: &Connection, sql: &str, proposed: u64) -> Answer<u64> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut id = proposed;
    while statement.exists([id])? {
        id = next_id(id);
    }
    Ok(id)
}

fn summary(row: SetRow) -> FaceSetSummary {
    FaceSetSummary { face_set: row.face_set, n_faces: row.n_gallery }
}

/// See `GalleryStore::face_set`.
pub(super) fn named(
    conn: &Connection,
    tenant: TenantId,
    name: &likeness_domain::types::FaceSetName,
) -> Answer<Option<FaceSetSummary>> {
    Ok(rows::face_set_named(conn, tenant, name)?.map(summary))
}

/// See `GalleryStore::face_set_by_id`.
pub(super) fn by_id(conn: &Connection, tenant: TenantId, id: FaceSetId) -> Answer<Option<FaceSetSummary>> {
    Ok(rows::face_set(conn, tenant, id)?.map(summary))
}

/// See `GalleryStore::update_face_set`.
pub(super) fn update(tx: &mut WriteTx<'_>, tenant: TenantId, id: FaceSetId, patch: FaceSetPatch) -> Answer<FaceSet> {
    let SetRow { mut face_set, n_gallery, .. } = rows::need_face_set(tx.conn, tenant, id)?;
    Precondition::check(patch.only_if.as_ref(), &face_set)?;
    if let Some(name) = &patch.name
        && rows::face_set_named(tx.conn, tenant, name)?.is_some_and(|other| other.face_set.id != id)
    {
        return Err(Failure::said(Kind::FaceSetExists, format!("face set `{name}` exists already")));
    }
    check_capacity(&patch, n_gallery)?;
    match patch.thumbnails {
        Some(true) => thumbnails::turn_on(tx.conn, tenant, id)?,
        Some(false) => thumbnails::turn_off(tx.conn, tenant, id)?,
        None => {}
    }
    patched(&mut face_set, patch);
    let sql = "UPDATE face_sets SET name = ?2, label = ?3, note = ?4, tags = ?5, quality_gate = ?6, capacity = ?7
               WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute((
        id.get(),
        face_set.name.as_str(),
        face_set.label.as_ref().map(|label| label.as_str()),
        face_set.note.as_ref().map(|note| note.as_str()),
        face_set.tags.to_string(),
        face_set.quality_gate.word(),
        face_set.capacity.map(|capacity| capacity as i64),
    ))?;
    checksums::renew(tx.conn, &FACE_SETS, "id", id.get())?;
    tx.push(Change::FaceSetChanged(id));
    tx.erased = true;
    Ok(face_set)
}

/// Stretches of a sample, and faces of each.
const STRETCHES: u64 = 20;
const STRETCH_FACES: u64 = FaceSetBytes::SAMPLE_MAX / STRETCHES;

/// See `GalleryStore::face_set_bytes`.
pub(super) fn bytes(conn: &Connection, tenant: TenantId, id: FaceSetId) -> Answer<FaceSetBytes> {
    let Some(SetRow { face_set, n_gallery }) = rows::face_set(conn, tenant, id)? else {
        return Ok(FaceSetBytes::default());
    };
    let is_exact = n_gallery <= FaceSetBytes::SAMPLE_MAX;
    let mut sample: Vec<u64> = Vec::new();
    let mut take = |from: u64, limit: u64| -> Answer<()> {
        let sql = "SELECT sequence FROM gallery WHERE face_set = ?1 AND sequence >= ?2 ORDER BY sequence LIMIT ?3";
        sample.extend(rows::all(conn, sql, (id.get(), from, limit), |row| Ok(row.get::<_, u64>(0)?))?);
        Ok(())
    };
    if is_exact {
        take(0, FaceSetBytes::SAMPLE_MAX)?;
    } else {
        let end_of = |order: &str| -> Answer<u64> {
            let sql = format!("SELECT sequence FROM gallery WHERE face_set = ?1 ORDER BY sequence {order} LIMIT 1");
            Ok(rows::first(conn, &sql, [id.get()], |row| Ok(row.get::<_, u64>(0)?))?.unwrap_or(0))
        };
        let (first, last) = (end_of("ASC")?, end_of("DESC")?);
        for stretch in 0..STRETCHES {
            take(first + (last - first) / STRETCHES * stretch, STRETCH_FACES)?;
        }
    }
    sample.sort_unstable();
    sample.dedup();
    let sql = "SELECT coalesce(sum((SELECT sum(length(t.vector)) FROM templates AS t WHERE t.face = f.sequence AND t.pack = ?2)), 0),
                   coalesce(sum(60 + coalesce(length(f.quality), 0) + coalesce(length(CAST(f.subject AS BLOB)), 0)
                       + coalesce(length(CAST(f.external_id AS BLOB)), 0) + coalesce(length(f.fields), 0)
                       + coalesce(length(CAST(f.note AS BLOB)), 0) + coalesce(length(CAST(f.source AS BLOB)), 0)), 0),
                   coalesce(sum((SELECT length(x.picture) FROM thumbnails AS x WHERE x.face = f.sequence)), 0)
               FROM json_each(?1) AS j CROSS JOIN faces AS f ON f.sequence = j.value";
    let n_sampled = sample.len() as u64;
    let found = rows::first(conn, sql, (rows::json_array(sample), face_set.pack.as_str()), |row| {
        Ok(FaceSetBytes { templates: row.get(0)?, records: row.get(1)?, thumbnails: row.get(2)?, is_exact })
    })?;
    Ok(found.unwrap_or_default().scaled(n_sampled, n_gallery))
}

/// See `GalleryStore::face_sets`.
pub(super) fn list(conn: &Connection, tenant: TenantId) -> Answer<Vec<FaceSetSummary>> {
    let sql = format!(
        "SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.tenant = ?1 AND s.name IS NOT NULL ORDER BY s.sequence"
    );
    rows::intact(conn, &sql, [codec::tenant_bytes(tenant)], |row| Ok(summary(rows::set_row(row)?)))
}

/// See `GalleryStore::delete_face_set`.
pub(super) fn delete(tx: &mut WriteTx<'_>, tenant: TenantId, id: FaceSetId, only_if_empty: bool) -> Answer<()> {
    let set = rows::need_face_set(tx.conn, tenant, id)?;
    if only_if_empty && set.n_gallery > 0 {
        return Err(Failure::said(Kind::FaceSetNotEmpty, format!("face set `{}` is not empty", set.face_set.name)));
    }
    hide(tx, id)?;
    thumbnails::turn_off(tx.conn, tenant, id)
}

/// Erases the set's name and texts, which hides it and everything in it from every query; the purger does the rest.
pub(super) fn hide(tx: &mut WriteTx<'_>, id: FaceSetId) -> Answer<()> {
    let sql = "UPDATE face_sets SET name = NULL, label = NULL, note = NULL, fields = '', tags = '' WHERE id = ?1";
    tx.conn.prepare_cached(sql)?.execute([id.get()])?;
    checksums::renew(tx.conn, &FACE_SETS, "id", id.get())?;
    tx.push(GalleryChange::Close { face_set: id });
    tx.erased = true;
    Ok(())
}

/// See `GalleryStore::members`.
pub(super) fn members(conn: &Connection, tenant: TenantId, id: FaceSetId, page: Page) -> Answer<(Vec<Person>, u64)> {
    if rows::face_set(conn, tenant, id)?.is_none() {
        return Ok((Vec::new(), 0));
    }
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM memberships AS m JOIN persons AS p ON p.id = m.person
         WHERE m.face_set = ?1 AND {} ORDER BY m.sequence LIMIT ?2 OFFSET ?3",
        MEMBERSHIPS.intact("m")
    );
    let (limit, offset) = limit_and_offset(page);
    let persons = rows::intact(conn, &sql, (id.get(), limit, offset), |row| Ok(rows::person_row(row)?.person))?;
    let n_members = conn
        .prepare_cached("SELECT count(*) FROM memberships WHERE face_set = ?1")?
        .query_row([id.get()], |row| row.get(0))?;
    Ok((persons, n_members))
}

/// The page in SQL's numbers, which end at 2^63.
pub(super) fn limit_and_offset(page: Page) -> (i64, i64) {
    let whole = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    (whole(page.limit), whole(page.offset))
}
