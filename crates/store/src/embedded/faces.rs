//! Faces: enrol, find, change, delete.
//!
//! Every function first looks its scope or owner up under the tenant; all later queries go by the id found there, so none
//! can reach another tenant's rows.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, HashSet};

use likeness_domain::access::Limits;
use likeness_domain::ports::{FacePage, FaceScope, GalleryChange, OwnersId, Page};
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

/// See `GalleryStore::add_faces_of`.
pub(super) fn add(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    faces: Vec<(FaceOwner, Vec<NewFace>)>,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    // How many faces of each pack each owner gets, in the order of their coming.
    let mut owners: Vec<(FaceOwner, Vec<(&PackId, u64)>)> = Vec::new();
    let mut places: HashMap<FaceOwner, usize> = HashMap::new();
    for (owner, theirs) in &faces {
        let place = *places.entry(*owner).or_insert_with(|| {
            owners.push((*owner, Vec::new()));
            owners.len() - 1
        });
        let packs = &mut owners[place].1;
        for pack in theirs.iter().map(|face| face.template.pack()) {
            match packs.iter_mut().find(|(known, _)| *known == pack) {
                Some((_, n_faces)) => *n_faces += 1,
                None => packs.push((pack, 1)),
            }
        }
    }
    let mut sets = vec![Vec::new(); owners.len()];
    // In this order in every store: face sets, persons, packs, limits.
    for (owner, _) in &owners {
        if let FaceOwner::FaceSet(id) = owner {
            rows::need_face_set(tx.conn, tenant, *id)?;
        }
    }
    for (owner, _) in &owners {
        if let FaceOwner::Person(id) = owner {
            rows::need_person(tx.conn, tenant, *id)?;
        }
    }
    for are_persons in [false, true] {
        for (owner, packs) in owners.iter().filter(|(owner, _)| matches!(owner, FaceOwner::Person(_)) == are_persons) {
            sets[places[owner]] = sets_of_owner(tx.conn, tenant, *owner, packs, limits)?;
        }
    }
    let n_new = faces.iter().map(|(_, theirs)| theirs.len() as u64).sum();
    check_tenant(tx.conn, tenant, n_new, limits)?;
    // Their counts are those before the write, and owners may share sets.
    let mut n_shown: Vec<(SetRow, u64)> = Vec::new();
    for (set, packs) in owners.iter().zip(&sets).flat_map(|((_, packs), sets)| sets.iter().map(move |set| (set, packs)))
    {
        let n_more: u64 =
            packs.iter().filter(|(pack, _)| **pack == set.face_set.pack).map(|(_, n_faces)| n_faces).sum();
        match n_shown.iter_mut().find(|(other, _)| other.face_set.id == set.face_set.id) {
            Some((_, n_shown)) => *n_shown += n_more,
            None => n_shown.push((set.clone(), n_more)),
        }
    }
    for (set, n_shown) in n_shown {
        bounds::check_gallery(&set.face_set, set.n_gallery, n_shown, limits)?;
        tx.conn
            .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + ?2 WHERE id = ?1")?
            .execute((set.face_set.id.get(), n_shown))?;
    }
    for (owner, packs) in &owners {
        let count = match owner {
            FaceOwner::FaceSet(_) => "UPDATE face_sets SET n_owned = n_owned + ?2 WHERE id = ?1",
            FaceOwner::Person(_) => "UPDATE persons SET n_faces = n_faces + ?2 WHERE id = ?1",
        };
        let n_more: u64 = packs.iter().map(|(_, n_faces)| n_faces).sum();
        tx.conn.prepare_cached(count)?.execute((owner_id(*owner), n_more))?;
    }
    let mut added = Vec::with_capacity(usize::try_from(n_new).unwrap_or(0));
    for (owner, theirs) in faces {
        let sets = &sets[places[&owner]];
        for new in theirs {
            added.push(add_one(tx, tenant, owner, new, sets)?);
        }
    }
    Ok(added)
}

/// The sets that show faces of the owner, who gets so many of each pack: of the set itself, of the person's sets.
fn sets_of_owner(
    conn: &Connection,
    tenant: TenantId,
    owner: FaceOwner,
    packs: &[(&PackId, u64)],
    limits: &Limits,
) -> Answer<Vec<SetRow>> {
    match owner {
        FaceOwner::FaceSet(id) => {
            let set = rows::need_face_set(conn, tenant, id)?;
            check_packs(&set.face_set, packs.iter().map(|(pack, _)| *pack))?;
            Ok(vec![set])
        }
        FaceOwner::Person(id) => {
            let n_owned = rows::need_person(conn, tenant, id)?.n_faces;
            let n_more = packs.iter().map(|(_, n_faces)| n_faces).sum();
            limits.check_person_faces(n_owned, n_more)?;
            sets_of_person(conn, id)
        }
    }
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
        limits.check_tenant_faces(tenants::usage(conn, tenant)?.n_faces, n_more)?;
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

/// See `GalleryStore::external_ids_of`.
pub(super) fn external_ids(conn: &Connection, tenant: TenantId, ids: Vec<OwnersId>) -> Answer<Vec<(OwnersId, FaceId)>> {
    let mut known: HashMap<FaceOwner, bool> = HashMap::new();
    let mut seen = HashSet::new();
    let mut used = Vec::new();
    for asked in ids {
        let exists = match known.entry(asked.0) {
            Entry::Occupied(known) => *known.get(),
            Entry::Vacant(unknown) => *unknown.insert(match asked.0 {
                FaceOwner::FaceSet(id) => rows::face_set(conn, tenant, id)?.is_some(),
                FaceOwner::Person(id) => rows::person(conn, tenant, id)?.is_some(),
            }),
        };
        if exists
            && seen.insert(asked.clone())
            && let Some(face) = user_of_external_id(conn, asked.0, &asked.1)?
        {
            used.push((asked, face));
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
