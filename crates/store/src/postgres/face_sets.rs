//! Face sets: make, find, delete.

use std::sync::Arc;

use likeness_domain::Kind;
use likeness_domain::ports::{Change, GalleryChange, Page};
use likeness_domain::types::{
    FaceSet, FaceSetBytes, FaceSetId, FaceSetName, FaceSetPatch, FaceSetSummary, NewFaceSet, Person, Precondition,
    TenantId,
};

use super::errors::{Answer, Failure};
use super::rows::{self, PERSON_COLUMNS, SET_COLUMNS, SetRow, number, tenant_bytes};
use super::session::Session;
use super::transaction::WriteTx;
use super::{checksums, thumbnails, usage};
use crate::embedded::codec;
use crate::gallery::{check_capacity, patched};
use crate::id::next_id;

/// See `GalleryStore::create_face_set`.
pub(super) async fn create(
    tx: &mut WriteTx,
    tenant: TenantId,
    new: NewFaceSet,
    face_sets_max: Option<u64>,
) -> Answer<FaceSet> {
    if rows::face_set_named(&tx.session, tenant, &new.name).await?.is_some() {
        return Err(Failure::said(Kind::FaceSetExists, format!("face set `{}` exists already", new.name)));
    }
    check_quota(&tx.session, tenant, 1, face_sets_max).await?;
    insert(tx, tenant, new, false).await
}

/// `TooManyFaceSets` if `n_more` would be more than the tenant may have.
pub(super) async fn check_quota(
    session: &Session,
    tenant: TenantId,
    n_more: u64,
    face_sets_max: Option<u64>,
) -> Answer<()> {
    let Some(n_max) = face_sets_max.filter(|_| n_more > 0) else { return Ok(()) };
    let n_now = usage::of_tenant(session, tenant).await?.n_face_sets;
    if n_now.saturating_add(n_more) > n_max {
        let message = format!("the tenant may have {n_max} face sets and has {n_now}");
        return Err(Failure::said(Kind::TooManyFaceSets, message));
    }
    Ok(())
}

/// Makes the set; name and quota were checked. `made_by_joining`: it goes with its last member.
pub(super) async fn insert(
    tx: &mut WriteTx,
    tenant: TenantId,
    new: NewFaceSet,
    made_by_joining: bool,
) -> Answer<FaceSet> {
    let id = free_id(&tx.session, "SELECT 1 FROM face_sets WHERE id = $1", new.id.get()).await?;
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
    let sequence = tx.next_place().await?;
    let sql =
        "INSERT INTO face_sets (id, sequence, tenant, name, label, note, tags, pack, fields, capacity, quality_gate,
                                      created_at, made_by_joining, checksum)
               VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14)";
    tx.session
        .execute(
            sql,
            &[
                &id,
                &sequence,
                &tenant_bytes(tenant),
                &face_set.name.as_str(),
                &face_set.label.as_ref().map(|label| label.as_str()),
                &face_set.note.as_ref().map(|note| note.as_str()),
                &face_set.tags.to_string(),
                &face_set.pack.as_str(),
                &codec::schema_text(&face_set.schema),
                &face_set.capacity.map(u64::cast_signed),
                &face_set.quality_gate.word(),
                &face_set.created_at.0,
                &made_by_joining,
                &checksums::face_set(&face_set),
            ],
        )
        .await?;
    if face_set.thumbnails {
        thumbnails::turn_on(&tx.session, tenant, face_set.id).await?;
    }
    tx.push(GalleryChange::Open {
        face_set: face_set.id,
        pack: face_set.pack.clone(),
        schema: Arc::new(face_set.schema.clone()),
    });
    Ok(face_set)
}

/// The proposed id, or the next free one. Rows that wait to be erased still use theirs. `sql` finds a user of `$1`.
pub(super) async fn free_id(session: &Session, sql: &str, proposed: u64) -> Answer<i64> {
    let mut id = proposed;
    while session.exists(sql, &[&number(id)]).await? {
        id = next_id(id);
    }
    Ok(number(id))
}

fn summary(row: SetRow) -> FaceSetSummary {
    FaceSetSummary { face_set: row.face_set, n_faces: row.n_gallery }
}

/// See `GalleryStore::face_set`.
pub(super) async fn named(session: &Session, tenant: TenantId, name: &FaceSetName) -> Answer<Option<FaceSetSummary>> {
    Ok(rows::face_set_named(session, tenant, name).await?.map(summary))
}

/// See `GalleryStore::face_set_by_id`.
pub(super) async fn by_id(session: &Session, tenant: TenantId, id: FaceSetId) -> Answer<Option<FaceSetSummary>> {
    Ok(rows::face_set(session, tenant, id).await?.map(summary))
}

/// See `GalleryStore::update_face_set`.
pub(super) async fn update(tx: &mut WriteTx, tenant: TenantId, id: FaceSetId, patch: FaceSetPatch) -> Answer<FaceSet> {
    let SetRow { mut face_set, n_gallery, .. } = rows::need_face_set(&tx.session, tenant, id).await?;
    Precondition::check(patch.only_if.as_ref(), &face_set)?;
    if let Some(name) = &patch.name
        && rows::face_set_named(&tx.session, tenant, name).await?.is_some_and(|other| other.face_set.id != id)
    {
        return Err(Failure::said(Kind::FaceSetExists, format!("face set `{name}` exists already")));
    }
    check_capacity(&patch, n_gallery)?;
    match patch.thumbnails {
        Some(true) => thumbnails::turn_on(&tx.session, tenant, id).await?,
        Some(false) => {
            thumbnails::turn_off(&tx.session, tenant, id).await?;
            tx.leaves_rows = true;
        }
        None => {}
    }
    patched(&mut face_set, patch);
    let sql = "UPDATE face_sets SET name = $2, label = $3, note = $4, tags = $5, quality_gate = $6, checksum = $7,
                                    capacity = $8
               WHERE id = $1";
    tx.session
        .execute(
            sql,
            &[
                &number(id.get()),
                &face_set.name.as_str(),
                &face_set.label.as_ref().map(|label| label.as_str()),
                &face_set.note.as_ref().map(|note| note.as_str()),
                &face_set.tags.to_string(),
                &face_set.quality_gate.word(),
                &checksums::face_set(&face_set),
                &face_set.capacity.map(u64::cast_signed),
            ],
        )
        .await?;
    tx.push(Change::FaceSetChanged(id));
    Ok(face_set)
}

/// Stretches of a sample, and faces of each.
const STRETCHES: i64 = 20;
const STRETCH_FACES: i64 = FaceSetBytes::SAMPLE_MAX as i64 / STRETCHES;

/// See `GalleryStore::face_set_bytes`.
pub(super) async fn bytes(session: &Session, tenant: TenantId, id: FaceSetId) -> Answer<FaceSetBytes> {
    let Some(SetRow { face_set, n_gallery }) = rows::face_set(session, tenant, id).await? else {
        return Ok(FaceSetBytes::default());
    };
    let id = number(id.get());
    let is_exact = n_gallery <= FaceSetBytes::SAMPLE_MAX;
    let stretches = match is_exact {
        true => vec![(0, number(FaceSetBytes::SAMPLE_MAX))],
        false => {
            let sql = "SELECT min(sequence), max(sequence) FROM gallery WHERE face_set = $1";
            let row = session.one(sql, &[&id]).await?;
            let (first, last): (i64, i64) = (row.try_get(0)?, row.try_get(1)?);
            (0..STRETCHES).map(|stretch| (first + (last - first) / STRETCHES * stretch, STRETCH_FACES)).collect()
        }
    };
    let mut sample: Vec<i64> = Vec::new();
    for (from, limit) in stretches {
        let sql = "SELECT sequence FROM gallery WHERE face_set = $1 AND sequence >= $2 ORDER BY sequence LIMIT $3";
        for row in session.query(sql, &[&id, &from, &limit]).await? {
            sample.push(row.try_get(0)?);
        }
    }
    sample.sort_unstable();
    sample.dedup();
    let sql = "SELECT coalesce(sum((SELECT sum(length(t.vector)) FROM templates AS t WHERE t.face = f.sequence AND t.pack = $2)), 0)::int8,
                   coalesce(sum(60 + coalesce(length(f.quality), 0) + coalesce(octet_length(f.subject), 0)
                       + coalesce(octet_length(f.external_id), 0) + coalesce(length(f.fields), 0)
                       + coalesce(octet_length(f.note), 0) + coalesce(octet_length(f.source), 0)), 0)::int8,
                   coalesce(sum((SELECT length(x.picture) FROM thumbnails AS x WHERE x.face = f.sequence)), 0)::int8
               FROM faces AS f WHERE f.sequence = ANY($1)";
    let row = session.one(sql, &[&sample, &face_set.pack.as_str()]).await?;
    let (templates, records, thumbnails) = (rows::whole(&row, 0)?, rows::whole(&row, 1)?, rows::whole(&row, 2)?);
    let found = FaceSetBytes { templates, records, thumbnails, is_exact };
    Ok(found.scaled(sample.len() as u64, n_gallery))
}

/// See `GalleryStore::face_sets`.
pub(super) async fn list(session: &Session, tenant: TenantId) -> Answer<Vec<FaceSetSummary>> {
    let sql = format!(
        "SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.tenant = $1 AND s.name IS NOT NULL ORDER BY s.sequence"
    );
    let found = session.query(&sql, &[&tenant_bytes(tenant)]).await?;
    rows::intact(&found, |row| Ok(summary(rows::set_row(row)?)))
}

/// See `GalleryStore::delete_face_set`.
pub(super) async fn delete(tx: &mut WriteTx, tenant: TenantId, id: FaceSetId, only_if_empty: bool) -> Answer<()> {
    let set = rows::need_face_set(&tx.session, tenant, id).await?;
    if only_if_empty && set.n_gallery > 0 {
        return Err(Failure::said(Kind::FaceSetNotEmpty, format!("face set `{}` is not empty", set.face_set.name)));
    }
    hide(tx, id).await?;
    thumbnails::turn_off(&tx.session, tenant, id).await?;
    tx.leaves_rows = true;
    Ok(())
}

/// Erases the set's name and texts, which hides it and everything in it from every query; the maintenance erases it.
pub(super) async fn hide(tx: &mut WriteTx, id: FaceSetId) -> Answer<()> {
    let sql = "UPDATE face_sets SET name = NULL, label = NULL, note = NULL, fields = '', tags = '' WHERE id = $1";
    tx.session.execute(sql, &[&number(id.get())]).await?;
    tx.push(GalleryChange::Close { face_set: id });
    Ok(())
}

/// See `GalleryStore::members`.
pub(super) async fn members(
    session: &Session,
    tenant: TenantId,
    id: FaceSetId,
    page: Page,
) -> Answer<(Vec<Person>, u64)> {
    if rows::face_set(session, tenant, id).await?.is_none() {
        return Ok((Vec::new(), 0));
    }
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM memberships AS m JOIN persons AS p ON p.id = m.person
         WHERE m.face_set = $1 AND p.key IS NOT NULL ORDER BY m.sequence LIMIT $2 OFFSET $3"
    );
    let id = number(id.get());
    let found = session.query(&sql, &[&id, &number(page.limit), &number(page.offset)]).await?;
    let persons = rows::intact(&found, |row| Ok(rows::person_row(row)?.person))?;
    let row = session.one("SELECT count(*) FROM memberships WHERE face_set = $1", &[&id]).await?;
    Ok((persons, rows::whole(&row, 0)?))
}
