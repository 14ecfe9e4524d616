//! Persons and the sets they are members of.

use std::collections::HashSet;

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceMove, GalleryChange, PersonSummary};
use likeness_domain::types::{
    Face, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetName, NewFaceSet, NewPerson, Person, PersonId, PersonKey,
    PersonPatch, Precondition, TenantId,
};
use rusqlite::Connection;

use super::checksums::{self, FACE_SETS, FACES, MEMBERSHIPS, PERSONS};
use super::errors::{Answer, Failure};
use super::face_sets::{self, free_id};
use super::faces;
use super::rows::{self, FACE_COLUMNS, FaceRow, PERSON_COLUMNS, PersonRow, SetRow, VECTOR_COLUMNS};
use super::scope::{self, sets_of_person};
use super::transaction::WriteTx;
use super::{codec, erase, templates, tenants, thumbnails};
use crate::bounds;
use crate::gallery::entry;

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
        limits.check_persons(tenants::usage(tx.conn, tenant)?.n_persons, 1)?;
    }
    let join = each_name_once(join);
    face_sets::check_quota(tx.conn, tenant, n_missing(tx.conn, tenant, &join)?, limits.face_sets_max)?;
    let person = insert(tx.conn, tenant, new)?;
    let mut joined = Vec::with_capacity(join.len());
    for new_set in join {
        joined.push(join_one(tx, tenant, person.id, new_set, limits)?);
    }
    tx.push(Change::PersonChanged(person.id));
    Ok((person, joined))
}

/// Makes the person; key and limits were checked.
fn insert(conn: &Connection, tenant: TenantId, new: NewPerson) -> Answer<Person> {
    let id = free_id(conn, "SELECT 1 FROM persons WHERE id = ?1", new.id.get())?;
    let person = Person {
        id: rows::person_id(id)?,
        tenant,
        key: new.key,
        name: new.name,
        note: new.note,
        created_at: new.created_at,
    };
    conn.prepare_cached(&PERSONS.insert())?.execute((
        id,
        codec::tenant_bytes(tenant),
        person.key.as_str(),
        person.name.as_ref().map(|name| name.as_str()),
        person.note.as_ref().map(|note| note.as_str()),
        person.created_at.0,
    ))?;
    Ok(person)
}

/// See `GalleryStore::make_members`.
pub(super) fn make_members(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    face_set: FaceSetId,
    mut persons: Vec<NewPerson>,
    limits: &Limits,
) -> Answer<Vec<Person>> {
    let mut set = rows::need_face_set(tx.conn, tenant, face_set)?;
    let mut seen = HashSet::new();
    persons.retain(|new| seen.insert(new.key.clone()));
    let mut found = Vec::with_capacity(persons.len());
    for new in persons {
        found.push((by_key(tx.conn, tenant, &new.key)?, new));
    }
    let n_new = found.iter().filter(|(known, _)| known.is_none()).count() as u64;
    if limits.persons_max.is_some() {
        limits.check_persons(tenants::usage(tx.conn, tenant)?.n_persons, n_new)?;
    }
    let mut members = Vec::with_capacity(found.len());
    for (known, new) in found {
        let person = match known {
            Some(person) => person,
            None => insert(tx.conn, tenant, new)?,
        };
        if let Some(n_more) = join_set(tx, tenant, person.id, &set, limits)? {
            set.n_gallery += n_more;
            tx.push(Change::PersonChanged(person.id));
        }
        members.push(person);
    }
    Ok(members)
}

fn is_member(conn: &Connection, person: PersonId, face_set: FaceSetId) -> Answer<bool> {
    let sql = "SELECT 1 FROM memberships WHERE person = ?1 AND face_set = ?2";
    Ok(conn.prepare_cached(sql)?.exists((person.get(), face_set.get()))?)
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
    join_set(tx, tenant, person, &set, limits)?;
    Ok(set.face_set)
}

/// Makes the person a member of the set; how many faces the set's gallery gets. `None` if it was one already.
pub(super) fn join_set(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    person: PersonId,
    set: &SetRow,
    limits: &Limits,
) -> Answer<Option<u64>> {
    if is_member(tx.conn, person, set.face_set.id)? {
        return Ok(None);
    }
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f CROSS JOIN templates AS t ON t.face = f.sequence AND t.pack = ?2
         WHERE f.person = ?1 ORDER BY f.sequence"
    );
    let pack = &set.face_set.pack;
    // A damaged one is in the gallery, too, so that it is searched when it is whole again; the index is not told of it.
    let shown = rows::all(tx.conn, &sql, (person.get(), pack.as_str()), |row| {
        match rows::face_and_template(row, tenant, pack) {
            Err(Failure::Damaged(_)) => Ok((row.get::<_, u64>(0)?, None)),
            whole => whole.map(|(row, template)| (row.sequence, Some((row.face, template)))),
        }
    })?;
    let n_shown = shown.len() as u64;
    bounds::check_gallery(&set.face_set, set.n_gallery, n_shown, limits)?;
    // A picture that waits to be erased must not be wanted again because of the new set.
    for (sequence, _) in &shown {
        thumbnails::drop_unwanted(tx.conn, *sequence)?;
    }
    let sequence = tx.next_sequence();
    tx.conn.prepare_cached(&MEMBERSHIPS.insert())?.execute((set.face_set.id.get(), sequence, person.get()))?;
    tx.conn
        .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + ?2 WHERE id = ?1")?
        .execute((set.face_set.id.get(), n_shown))?;
    for (sequence, whole) in shown {
        match whole {
            Some((face, template)) => scope::show(tx, &set.face_set, &face, template, sequence)?,
            None => scope::into_gallery(tx.conn, set.face_set.id, sequence)?,
        }
    }
    Ok(Some(n_shown))
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
    for &(sequence, _) in &hidden {
        thumbnails::drop_unwanted(tx.conn, sequence)?;
    }
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

/// See `GalleryStore::persons_named`.
pub(super) fn named(
    conn: &Connection,
    tenant: TenantId,
    keys: Vec<PersonKey>,
    face_set: FaceSetId,
) -> Answer<Vec<(PersonSummary, bool)>> {
    let sql = format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.tenant = ?1 AND p.key = ?2");
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    for key in keys.into_iter().filter(|key| seen.insert(key.clone())) {
        let row = rows::first(conn, &sql, (codec::tenant_bytes(tenant), key.as_str()), rows::person_row)?;
        if let Some(PersonRow { person, n_faces }) = row {
            let is_member = is_member(conn, person.id, face_set)?;
            found.push((PersonSummary { person, n_faces }, is_member));
        }
    }
    Ok(found)
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

/// See `GalleryStore::persons_after`.
pub(super) fn after(
    conn: &Connection,
    tenant: TenantId,
    after: Option<&PersonKey>,
    limit: u64,
) -> Answer<Vec<PersonSummary>> {
    // No key is the empty text.
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM persons AS p
         WHERE p.tenant = ?1 AND p.key > ?2 AND p.key IS NOT NULL ORDER BY p.key LIMIT ?3"
    );
    let params = (codec::tenant_bytes(tenant), after.map_or("", PersonKey::as_str), limit.min(u64::from(u32::MAX)));
    rows::intact(conn, &sql, params, |row| {
        let row = rows::person_row(row)?;
        Ok(PersonSummary { person: row.person, n_faces: row.n_faces })
    })
}

/// See `GalleryStore::n_faces_of_person`.
pub(super) fn n_faces(conn: &Connection, tenant: TenantId, person: PersonId) -> Answer<u64> {
    let sql = "SELECT n_faces FROM persons WHERE id = ?1 AND tenant = ?2 AND key IS NOT NULL";
    let found = rows::first(conn, sql, (person.get(), codec::tenant_bytes(tenant)), |row| Ok(row.get::<_, u64>(0)?))?;
    Ok(found.unwrap_or(0))
}

/// See `GalleryStore::move_faces`.
pub(super) fn move_faces(
    tx: &mut WriteTx<'_>,
    tenant: TenantId,
    faces: FaceMove,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    let FaceMove { from, to, ids, limit, at } = faces;
    rows::need_person(tx.conn, tenant, from)?;
    let n_owned = rows::need_person(tx.conn, tenant, to)?.n_faces;
    if from == to {
        tx.idle = true;
        return Ok(Vec::new());
    }
    let ids = ids.map(|ids| rows::json_array(ids.into_iter().map(FaceId::get)));
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM faces AS f
         WHERE f.person = ?1 AND (?2 IS NULL OR f.id IN (SELECT value FROM json_each(?2)))
         ORDER BY f.sequence LIMIT ?3"
    );
    let params = (from.get(), ids, limit.min(u64::from(u32::MAX)));
    let moved = rows::intact(tx.conn, &sql, params, |row| rows::face_row(row, tenant))?;
    let n_moved = moved.len() as u64;
    limits.check_person_faces(n_owned, n_moved)?;
    let (left, joined) = (sets_of_person(tx.conn, from)?, sets_of_person(tx.conn, to)?);
    let is_among = |sets: &[SetRow], set: &SetRow| sets.iter().any(|other| other.face_set.id == set.face_set.id);
    let mut n_more = vec![0_u64; joined.len()];
    let mut faces = Vec::with_capacity(moved.len());
    for FaceRow { sequence, mut face } in moved {
        if let Some(external_id) = &face.external_id
            && faces::user_of_external_id(tx.conn, FaceOwner::Person(to), external_id)?.is_some()
        {
            let message = format!("the person has a face with external id `{external_id}` already");
            return Err(Failure::said(Kind::FaceExists, message));
        }
        // Before the sets of the other person want a picture that waits to be erased.
        thumbnails::drop_unwanted(tx.conn, sequence)?;
        face.owner = FaceOwner::Person(to);
        face.updated_at = at;
        tx.conn.prepare_cached("UPDATE faces SET person = ?2, updated_at = ?3 WHERE sequence = ?1")?.execute((
            sequence,
            to.get(),
            at.0,
        ))?;
        checksums::renew(tx.conn, &FACES, "sequence", sequence)?;
        for set in left.iter().filter(|set| !is_among(&joined, set)) {
            let n_hidden = tx
                .conn
                .prepare_cached("DELETE FROM gallery WHERE face_set = ?1 AND sequence = ?2")?
                .execute((set.face_set.id.get(), sequence))?;
            if n_hidden > 0 {
                tx.conn
                    .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery - 1 WHERE id = ?1")?
                    .execute([set.face_set.id.get()])?;
                tx.push(GalleryChange::Remove { face_set: set.face_set.id, face: face.id });
            }
        }
        for (set, n_more) in joined.iter().zip(&mut n_more) {
            let Some(template) = templates::one(tx.conn, sequence, &set.face_set.pack)? else { continue };
            if is_among(&left, set) {
                // It is there already; whose it is has changed.
                let entry = entry(&face, template, sequence, &set.face_set.schema);
                tx.push(GalleryChange::Put { face_set: set.face_set.id, entry });
                continue;
            }
            *n_more += 1;
            bounds::check_gallery(&set.face_set, set.n_gallery, *n_more, limits)?;
            tx.conn
                .prepare_cached("UPDATE face_sets SET n_gallery = n_gallery + 1 WHERE id = ?1")?
                .execute([set.face_set.id.get()])?;
            scope::show(tx, &set.face_set, &face, template, sequence)?;
        }
        thumbnails::drop_unwanted(tx.conn, sequence)?;
        faces.push(face);
    }
    if faces.is_empty() {
        tx.idle = true;
        return Ok(faces);
    }
    for (person, sql) in [
        (from, "UPDATE persons SET n_faces = n_faces - ?2 WHERE id = ?1"),
        (to, "UPDATE persons SET n_faces = n_faces + ?2 WHERE id = ?1"),
    ] {
        tx.conn.prepare_cached(sql)?.execute((person.get(), n_moved))?;
        tx.push(Change::PersonChanged(person));
    }
    // First what says that it is no delete (`crate::shares`).
    tx.changes.rotate_right(2);
    tx.erased = true;
    Ok(faces)
}

/// See `GalleryStore::update_person`.
pub(super) fn update(tx: &mut WriteTx<'_>, tenant: TenantId, id: PersonId, patch: PersonPatch) -> Answer<Person> {
    let mut person = rows::need_person(tx.conn, tenant, id)?.person;
    Precondition::check(patch.only_if.as_ref(), &person)?;
    if let Some(key) = patch.key {
        if by_key(tx.conn, tenant, &key)?.is_some_and(|other| other.id != id) {
            return Err(Failure::said(Kind::PersonExists, format!("person `{key}` exists already")));
        }
        person.key = key;
    }
    person.name = patch.name.or(person.name).filter(|name| !name.as_str().is_empty());
    person.note = patch.note.or(person.note).filter(|note| !note.as_str().is_empty());
    tx.conn.prepare_cached("UPDATE persons SET key = ?2, name = ?3, note = ?4 WHERE id = ?1")?.execute((
        id.get(),
        person.key.as_str(),
        person.name.as_ref().map(|name| name.as_str()),
        person.note.as_ref().map(|note| note.as_str()),
    ))?;
    checksums::renew(tx.conn, &PERSONS, "id", id.get())?;
    tx.push(Change::PersonChanged(id));
    tx.erased = true;
    Ok(person)
}

/// Takes the person out of every gallery and erases its key, name and note; the purger does the rest.
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

/// See `GalleryStore::delete_merged_person`.
pub(super) fn delete_merged(tx: &mut WriteTx<'_>, tenant: TenantId, id: PersonId, into: PersonId) -> Answer<bool> {
    let n_faces = rows::need_person(tx.conn, tenant, id)?.n_faces;
    rows::need_person(tx.conn, tenant, into)?;
    let theirs = sets_of_person(tx.conn, into)?;
    let is_theirs = |id| theirs.iter().any(|set| set.face_set.id == id);
    let has_given_all = n_faces == 0 && sets_of_person(tx.conn, id)?.iter().all(|set| is_theirs(set.face_set.id));
    if has_given_all {
        delete(tx, tenant, id)?;
    }
    Ok(has_given_all)
}

/// See `GalleryStore::face_sets_of`.
pub(super) fn face_sets_of(conn: &Connection, tenant: TenantId, person: PersonId) -> Answer<Vec<FaceSet>> {
    if rows::person(conn, tenant, person)?.is_none() {
        return Ok(Vec::new());
    }
    Ok(sets_of_person(conn, person)?.into_iter().map(|set| set.face_set).collect())
}
