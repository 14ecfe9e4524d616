//! Persons and the sets they are members of.

use std::collections::HashSet;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, GalleryChange};
use likeness_domain::types::{
    FaceId, FaceSet, FaceSetName, NewFaceSet, NewPerson, Person, PersonId, PersonKey, PersonPatch, TenantId,
};
use rusqlite::Connection;

use super::checksums::{self, FACE_SETS, MEMBERSHIPS, PERSONS};
use super::errors::{Answer, Failure};
use super::face_sets::{self, free_id};
use super::faces::{self, sets_of_person};
use super::rows::{self, FACE_COLUMNS, FaceRow, PERSON_COLUMNS, SetRow, VECTOR_COLUMNS};
use super::writer::WriteTx;
use super::{codec, erase, tenants};
use crate::bounds;

/// See `GalleryStore::create_person`.
pub(super) fn create(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    new: NewPerson,
    join: Vec<NewFaceSet>,
    limits: &Limits,
) -> Answer<(Person, Vec<FaceSet>)> {
    if by_key(tx.conn, tenant, &new.key)?.is_some() {
        return Err(Failure::said(Kind::PersonExists, format!("person `{}` exists already", new.key)));
    }
    if limits.persons_max.is_some() {
        bounds::check_one_more_person(tenants::usage(tx.conn, tenant)?.n_persons, limits)?;
    }
    let join = each_name_once(join);
    face_sets::check_quota(tx.conn, tenant, n_missing(tx.conn, tenant, &join)?, limits.face_sets_max)?;
    let id = free_id(tx.conn, "SELECT 1 FROM persons WHERE id = ?1", new.id.get())?;
    let person = Person {
        id: rows::person_id(id)?,
        tenant,
        key: new.key,
        name: new.name,
        note: new.note,
        created_at: new.created_at,
    };
    tx.conn.prepare_cached(&PERSONS.insert())?.execute((
        id,
        codec::tenant_bytes(tenant),
        person.key.as_str(),
        person.name.as_ref().map(|name| name.as_str()),
        person.note.as_ref().map(|note| note.as_str()),
        person.created_at.0,
    ))?;
    let mut joined = Vec::with_capacity(join.len());
    for new_set in join {
        joined.push(join_one(tx, tenant, person.id, new_set, limits)?);
    }
    tx.push(Change::PersonChanged(person.id));
    Ok((person, joined))
}

fn each_name_once(mut join: Vec<NewFaceSet>) -> Vec<NewFaceSet> {
    let mut seen = HashSet::new();
    join.retain(|new| seen.insert(new.name.clone()));
    join
}

fn n_missing(conn: &Connection, tenant: TenantId, join: &[NewFaceSet]) -> Answer<u64> {
    let mut n_missing = 0;
    for new in join {
        n_missing += u64::from(rows::face_set_named(conn, tenant, &new.name)?.is_none());
    }
    Ok(n_missing)
}

/// Makes the person a member of the set of that name, made if it is missing; the tenant's quota was checked.
fn join_one(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    person: PersonId,
    new: NewFaceSet,
    limits: &Limits,
) -> Answer<FaceSet> {
    let set = match rows::face_set_named(tx.conn, tenant, &new.name)? {
        Some(set) => set,
        None => {
            let face_set = face_sets::insert(tx, tenant, new)?;
            let sql = "UPDATE face_sets SET made_by_joining = 1 WHERE id = ?1";
            tx.conn.prepare_cached(sql)?.execute([face_set.id.get()])?;
            checksums::renew(tx.conn, &FACE_SETS, "id", face_set.id.get())?;
            SetRow { face_set, n_gallery: 0 }
        }
    };
    let is_member = tx
        .conn
        .prepare_cached("SELECT 1 FROM memberships WHERE person = ?1 AND face_set = ?2")?
        .exists((person.get(), set.face_set.id.get()))?;
    if is_member {
        return Ok(set.face_set);
    }
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f CROSS JOIN templates AS t ON t.face = f.sequence AND t.pack = ?2
         WHERE f.person = ?1 ORDER BY f.sequence"
    );
    let pack = &set.face_set.pack;
    let shown =
        rows::intact(tx.conn, &sql, (person.get(), pack.as_str()), |row| rows::face_and_template(row, tenant, pack))?;
    bounds::check_gallery(&set.face_set, set.n_gallery, shown.len() as u64, limits)?;
    let sequence = tx.next_sequence();
    tx.conn.prepare_cached(&MEMBERSHIPS.insert())?.execute((set.face_set.id.get(), sequence, person.get()))?;
    tx.conn
        .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + ?2 WHERE id = ?1")?
        .execute((set.face_set.id.get(), shown.len() as u64))?;
    for (FaceRow { sequence, face }, template) in shown {
        faces::show(tx, &set.face_set, &face, template, sequence)?;
    }
    Ok(set.face_set)
}

/// See `GalleryStore::join_face_sets`.
pub(super) fn join(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    person: PersonId,
    join: Vec<NewFaceSet>,
    limits: &Limits,
) -> Answer<Vec<FaceSet>> {
    rows::need_person(tx.conn, tenant, person)?;
    let join = each_name_once(join);
    face_sets::check_quota(tx.conn, tenant, n_missing(tx.conn, tenant, &join)?, limits.face_sets_max)?;
    for new_set in join {
        join_one(tx, tenant, person, new_set, limits)?;
    }
    tx.push(Change::PersonChanged(person));
    face_sets_of(tx.conn, tenant, person)
}

/// Takes the person's faces out of the gallery of the set and ends the membership; a set that was there for its members
/// only goes with the last of them.
fn leave_one(tx: &mut WriteTx<'_>, face_set: &FaceSet, person: PersonId) -> Answer<()> {
    let hidden: Vec<(u64, FaceId)> = shown_of_person(tx.conn, person, face_set)?;
    for &(sequence, face) in &hidden {
        tx.conn
            .prepare_cached("DELETE FROM gallery WHERE face_set = ?1 AND sequence = ?2")?
            .execute((face_set.id.get(), sequence))?;
        tx.push(GalleryChange::Remove { face_set: face_set.id, face });
    }
    tx.conn
        .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery - ?2 WHERE id = ?1")?
        .execute((face_set.id.get(), hidden.len() as u64))?;
    tx.conn
        .prepare_cached("DELETE FROM memberships WHERE person = ?1 AND face_set = ?2")?
        .execute((person.get(), face_set.id.get()))?;
    tx.erased = true;
    let is_of_no_use = "SELECT 1 FROM face_sets WHERE id = ?1 AND made_by_joining = 1 AND n_owned = 0
         AND NOT EXISTS (SELECT 1 FROM memberships WHERE face_set = ?1)";
    if tx.conn.prepare_cached(is_of_no_use)?.exists([face_set.id.get()])? {
        face_sets::delete(tx, face_set.tenant, face_set.id, true)?;
    }
    Ok(())
}

/// Sequence and id of those of the person's faces that are in the gallery of the set.
fn shown_of_person(conn: &Connection, person: PersonId, face_set: &FaceSet) -> Answer<Vec<(u64, FaceId)>> {
    let sql = "SELECT f.sequence, f.id FROM faces AS f
               CROSS JOIN gallery AS g ON g.face_set = ?2 AND g.sequence = f.sequence
               WHERE f.person = ?1 ORDER BY f.sequence";
    rows::all(conn, sql, (person.get(), face_set.id.get()), |row| Ok((row.get(0)?, rows::face_id(row.get(1)?)?)))
}

/// See `GalleryStore::leave_face_sets`.
pub(super) fn leave(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    person: PersonId,
    names: &[FaceSetName],
) -> Answer<Vec<FaceSet>> {
    rows::need_person(tx.conn, tenant, person)?;
    let joined = sets_of_person(tx.conn, person)?;
    let mut left: Vec<FaceSet> = Vec::new();
    for name in names {
        let Some(set) = joined.iter().find(|set| set.face_set.name == *name) else { continue };
        if left.iter().any(|other| other.id == set.face_set.id) {
            continue;
        }
        leave_one(tx, &set.face_set, person)?;
        left.push(set.face_set.clone());
    }
    if !left.is_empty() {
        tx.push(Change::PersonChanged(person));
    }
    Ok(left)
}

/// See `GalleryStore::person`.
pub(super) fn by_key(conn: &Connection, tenant: TenantId, key: &PersonKey) -> Answer<Option<Person>> {
    let sql = format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.tenant = ?1 AND p.key = ?2");
    let row = rows::first(conn, &sql, (codec::tenant_bytes(tenant), key.as_str()), rows::person_row)?;
    Ok(row.map(|row| row.person))
}

/// See `GalleryStore::persons`.
pub(super) fn by_id(conn: &Connection, tenant: TenantId, ids: Vec<PersonId>) -> Answer<Vec<Person>> {
    let mut seen = HashSet::new();
    let ids = rows::json_array(ids.into_iter().filter(|&id| seen.insert(id)).map(PersonId::get));
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM json_each(?2) AS j CROSS JOIN persons AS p ON p.id = j.value
         WHERE p.tenant = ?1 AND p.key IS NOT NULL"
    );
    rows::intact(conn, &sql, (codec::tenant_bytes(tenant), ids), |row| Ok(rows::person_row(row)?.person))
}

/// See `GalleryStore::update_person`.
pub(super) fn update(tx: &mut WriteTx<'_>, tenant: TenantId, id: PersonId, patch: PersonPatch) -> Answer<Person> {
    let mut person = rows::need_person(tx.conn, tenant, id)?.person;
    person.name = patch.name.or(person.name).filter(|name| !name.as_str().is_empty());
    person.note = patch.note.or(person.note).filter(|note| !note.as_str().is_empty());
    tx.conn.prepare_cached("UPDATE persons SET name = ?2, note = ?3 WHERE id = ?1")?.execute((
        id.get(),
        person.name.as_ref().map(|name| name.as_str()),
        person.note.as_ref().map(|note| note.as_str()),
    ))?;
    checksums::renew(tx.conn, &PERSONS, "id", id.get())?;
    tx.push(Change::PersonChanged(id));
    tx.erased = true;
    Ok(person)
}

/// Takes the person out of every gallery and its key and words away; the purger does the rest.
/// See `GalleryStore::delete_person`.
pub(super) fn delete(tx: &mut WriteTx<'_>, tenant: TenantId, id: PersonId) -> Answer<u64> {
    let row = rows::need_person(tx.conn, tenant, id)?;
    for set in sets_of_person(tx.conn, id)? {
        leave_one(tx, &set.face_set, id)?;
    }
    // Memberships in sets that are being erased.
    tx.conn.prepare_cached("DELETE FROM memberships WHERE person = ?1")?.execute([id.get()])?;
    tx.conn
        .prepare_cached("UPDATE persons SET key = NULL, name = NULL, note = NULL WHERE id = ?1")?
        .execute([id.get()])?;
    checksums::renew(tx.conn, &PERSONS, "id", id.get())?;
    tx.erased = true;
    tx.push(Change::PersonDeleted(id));
    // The usual handful is gone at once; thousands are left to the maintenance.
    erase::erase_person(tx.conn, id.get(), erase::AT_ONCE_MAX)?;
    Ok(row.n_faces)
}

/// See `GalleryStore::face_sets_of`.
pub(super) fn face_sets_of(conn: &Connection, tenant: TenantId, person: PersonId) -> Answer<Vec<FaceSet>> {
    if rows::person(conn, tenant, person)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(sets_of_person(conn, person)?.into_iter().map(|set| set.face_set).collect())
}
