//! Persons and the sets they are members of.

use std::collections::{HashMap, HashSet};

use likeness_domain::Kind;
use likeness_domain::access::Limits;
use likeness_domain::ports::{Change, FaceMove, GalleryChange, PersonSummary};
use likeness_domain::types::{
    Face, FaceOwner, FaceSet, FaceSetId, FaceSetName, NewFaceSet, NewPerson, Person, PersonId, PersonKey, PersonPatch,
    Precondition, TenantId,
};

use super::errors::{Answer, Failure};
use super::face_sets;
use super::faces::{self, sets_of_person};
use super::rows::{
    self, FACE_COLUMNS, FaceRow, PERSON_COLUMNS, PersonRow, SetRow, VECTOR_COLUMNS, number, tenant_bytes,
};
use super::session::Session;
use super::transaction::WriteTx;
use super::{checksums, erase, thumbnails, usage};
use crate::bounds;
use crate::gallery::entry;
use crate::id::next_id;

/// Column behind [`PERSON_COLUMNS`].
const MEMBER_COLUMN: usize = 8;

/// See `GalleryStore::create_person`.
pub(super) async fn create(
    tx: &mut WriteTx,
    tenant: TenantId,
    new: NewPerson,
    join: Vec<NewFaceSet>,
    limits: &Limits,
) -> Answer<(Person, Vec<FaceSet>)> {
    if by_key(&tx.session, tenant, &new.key).await?.is_some() {
        return Err(Failure::said(Kind::PersonExists, format!("person `{}` exists already", new.key)));
    }
    if limits.persons_max.is_some() {
        limits.check_persons(usage::of_tenant(&tx.session, tenant).await?.n_persons, 1)?;
    }
    let join = each_name_once(join);
    let n_missing = n_missing(&tx.session, tenant, &join).await?;
    face_sets::check_quota(&tx.session, tenant, n_missing, limits.face_sets_max).await?;
    let mut made = insert(&tx.session, tenant, vec![new]).await?;
    let person = made.pop().ok_or_else(rows::no_person)?;
    let mut joined = Vec::with_capacity(join.len());
    for new_set in join {
        joined.push(join_one(tx, tenant, person.id, new_set, limits).await?);
    }
    tx.push(Change::PersonChanged(person.id));
    Ok((person, joined))
}

/// Makes persons; keys and limits were checked.
async fn insert(session: &Session, tenant: TenantId, new: Vec<NewPerson>) -> Answer<Vec<Person>> {
    if new.is_empty() {
        return Ok(Vec::new());
    }
    let ids = free_person_ids(session, &new).await?;
    let of_tenant = |(new, id): (NewPerson, PersonId)| {
        let NewPerson { id: _, key, name, note, created_at } = new;
        Person { id, tenant, key, name, note, created_at }
    };
    let persons: Vec<Person> = new.into_iter().zip(ids).map(of_tenant).collect();
    let sql = "INSERT INTO persons (tenant, id, key, name, note, created_at, checksum)
               SELECT $1, * FROM unnest($2::int8[], $3::text[], $4::text[], $5::text[], $6::int8[], $7::int8[])";
    let all = || persons.iter();
    session
        .execute(
            sql,
            &[
                &tenant_bytes(tenant),
                &all().map(|person| number(person.id.get())).collect::<Vec<_>>(),
                &all().map(|person| person.key.as_str()).collect::<Vec<_>>(),
                &all().map(|person| person.name.as_ref().map(|name| name.as_str())).collect::<Vec<_>>(),
                &all().map(|person| person.note.as_ref().map(|note| note.as_str())).collect::<Vec<_>>(),
                &all().map(|person| person.created_at.0).collect::<Vec<_>>(),
                &all().map(checksums::person).collect::<Vec<_>>(),
            ],
        )
        .await?;
    Ok(persons)
}

/// The proposed ids, each or the next that is free.
async fn free_person_ids(session: &Session, new: &[NewPerson]) -> Answer<Vec<PersonId>> {
    let used = async |ids: Vec<i64>| -> Answer<HashSet<i64>> {
        let found = session.query("SELECT id FROM persons WHERE id = ANY($1)", &[&ids]).await?;
        found.iter().map(|row| Ok(row.try_get(0)?)).collect()
    };
    let mut taken = used(new.iter().map(|new| number(new.id.get())).collect()).await?;
    let mut free = Vec::with_capacity(new.len());
    for new in new {
        let mut id = new.id.get();
        while taken.contains(&number(id)) {
            id = next_id(id);
            if !taken.contains(&number(id)) {
                taken.extend(used(vec![number(id)]).await?);
            }
        }
        taken.insert(number(id));
        free.push(rows::person_id(number(id))?);
    }
    Ok(free)
}

/// See `GalleryStore::make_members`.
pub(super) async fn make_members(
    tx: &mut WriteTx,
    tenant: TenantId,
    face_set: FaceSetId,
    persons: Vec<NewPerson>,
    limits: &Limits,
) -> Answer<Vec<Person>> {
    let mut set = rows::need_face_set(&tx.session, tenant, face_set).await?;
    let keys: Vec<PersonKey> = persons.iter().map(|new| new.key.clone()).collect();
    let known = named(&tx.session, tenant, keys.clone(), face_set).await?;
    let mut seen: HashSet<PersonKey> = known.iter().map(|(summary, _)| summary.person.key.clone()).collect();
    let new: Vec<NewPerson> = persons.into_iter().filter(|new| seen.insert(new.key.clone())).collect();
    if limits.persons_max.is_some() {
        let n_persons = usage::of_tenant(&tx.session, tenant).await?.n_persons;
        limits.check_persons(n_persons, new.len() as u64)?;
    }
    let made = insert(&tx.session, tenant, new).await?;
    let mut known: HashMap<PersonKey, (Person, bool)> = known
        .into_iter()
        .map(|(summary, is_member)| (summary.person.key.clone(), (summary.person, is_member)))
        .collect();
    let is_made: HashSet<PersonId> = made.iter().map(|person| person.id).collect();
    known.extend(made.into_iter().map(|person| (person.key.clone(), (person, false))));
    let members: Vec<(Person, bool)> = keys.iter().filter_map(|key| known.remove(key)).collect();
    // In the order of joining: those that are made have no faces to be shown, and become members together.
    let joining: Vec<&Person> = members.iter().filter(|(_, is_member)| !is_member).map(|(person, _)| person).collect();
    let places = tx.next_places(joining.len()).await?;
    for (person, place) in joining.iter().zip(&places).filter(|(person, _)| !is_made.contains(&person.id)) {
        set.n_gallery += join_set(tx, tenant, person.id, *place, &set, limits).await?;
    }
    let (ids, places): (Vec<i64>, Vec<i64>) = joining
        .iter()
        .zip(&places)
        .filter(|(person, _)| is_made.contains(&person.id))
        .map(|(person, place)| (number(person.id.get()), *place))
        .unzip();
    if !ids.is_empty() {
        let sql =
            "INSERT INTO memberships (face_set, sequence, person) SELECT $1, * FROM unnest($2::int8[], $3::int8[])";
        tx.session.execute(sql, &[&number(face_set.get()), &places, &ids]).await?;
    }
    for person in joining {
        tx.changes.push(Change::PersonChanged(person.id));
    }
    Ok(members.into_iter().map(|(person, _)| person).collect())
}

fn each_name_once(mut join: Vec<NewFaceSet>) -> Vec<NewFaceSet> {
    let mut seen = HashSet::new();
    join.retain(|new| seen.insert(new.name.clone()));
    join
}

async fn n_missing(session: &Session, tenant: TenantId, join: &[NewFaceSet]) -> Answer<u64> {
    if join.is_empty() {
        return Ok(0);
    }
    let names: Vec<&str> = join.iter().map(|new| new.name.as_str()).collect();
    let sql = "SELECT count(*) FROM face_sets WHERE tenant = $1 AND name = ANY($2)";
    let row = session.one(sql, &[&tenant_bytes(tenant), &names]).await?;
    Ok((names.len() as u64).saturating_sub(rows::whole(&row, 0)?))
}

/// Makes the person a member of the set of that name, made if it is missing; the tenant's quota was checked.
async fn join_one(
    tx: &mut WriteTx,
    tenant: TenantId,
    person: PersonId,
    new: NewFaceSet,
    limits: &Limits,
) -> Answer<FaceSet> {
    let set = match rows::face_set_named(&tx.session, tenant, &new.name).await? {
        Some(set) => set,
        None => SetRow { face_set: face_sets::insert(tx, tenant, new, true).await?, n_gallery: 0 },
    };
    let (id, member) = (number(set.face_set.id.get()), number(person.get()));
    let sql = "SELECT 1 FROM memberships WHERE person = $1 AND face_set = $2";
    if tx.session.exists(sql, &[&member, &id]).await? {
        return Ok(set.face_set);
    }
    let place = tx.next_place().await?;
    join_set(tx, tenant, person, place, &set, limits).await?;
    Ok(set.face_set)
}

/// Makes a person that is no member of the set one, at that place in the order of joining; how many faces the set's gallery gets.
async fn join_set(
    tx: &mut WriteTx,
    tenant: TenantId,
    person: PersonId,
    place: i64,
    set: &SetRow,
    limits: &Limits,
) -> Answer<u64> {
    let (id, member) = (number(set.face_set.id.get()), number(person.get()));
    let sql = format!(
        "SELECT {FACE_COLUMNS}, {VECTOR_COLUMNS} FROM faces AS f JOIN templates AS t ON t.face = f.sequence AND t.pack = $2
         WHERE f.person = $1 ORDER BY f.sequence"
    );
    let pack = &set.face_set.pack;
    let found = tx.session.query(&sql, &[&member, &pack.as_str()]).await?;
    let shown = rows::intact(&found, |row| rows::face_and_template(row, tenant, pack))?;
    bounds::check_gallery(&set.face_set, set.n_gallery, shown.len() as u64, limits)?;
    // A picture that waits to be erased must not be wanted again because of the new set.
    let faces_shown: Vec<i64> = shown.iter().map(|(row, _)| row.sequence).collect();
    thumbnails::drop_unwanted(&tx.session, &faces_shown).await?;
    let sql = "INSERT INTO memberships (face_set, sequence, person) VALUES ($1, $2, $3)";
    tx.session.execute(sql, &[&id, &place, &member]).await?;
    let added: Vec<(FaceSetId, i64)> = shown.iter().map(|(row, _)| (set.face_set.id, row.sequence)).collect();
    faces::show(&tx.session, &added).await?;
    for (FaceRow { sequence, face }, template) in shown {
        let entry = entry(&face, template, sequence.cast_unsigned(), &set.face_set.schema);
        tx.push(GalleryChange::Put { face_set: set.face_set.id, entry });
    }
    Ok(added.len() as u64)
}

/// See `GalleryStore::join_face_sets`.
pub(super) async fn join(
    tx: &mut WriteTx,
    tenant: TenantId,
    person: PersonId,
    join: Vec<NewFaceSet>,
    limits: &Limits,
) -> Answer<Vec<FaceSet>> {
    rows::need_person(&tx.session, tenant, person).await?;
    let join = each_name_once(join);
    let n_missing = n_missing(&tx.session, tenant, &join).await?;
    face_sets::check_quota(&tx.session, tenant, n_missing, limits.face_sets_max).await?;
    for new_set in join {
        join_one(tx, tenant, person, new_set, limits).await?;
    }
    tx.push(Change::PersonChanged(person));
    face_sets_of(&tx.session, tenant, person).await
}

/// Takes the person's faces out of the gallery of the set and ends the membership; a set that was there for its members
/// only goes with the last of them.
async fn leave_one(tx: &mut WriteTx, face_set: &FaceSet, person: PersonId) -> Answer<()> {
    let (id, member) = (number(face_set.id.get()), number(person.get()));
    let sql = "SELECT f.sequence, f.id FROM faces AS f JOIN gallery AS g ON g.face_set = $2 AND g.sequence = f.sequence
               WHERE f.person = $1 ORDER BY f.sequence";
    let mut hidden = Vec::new();
    for row in tx.session.query(sql, &[&member, &id]).await? {
        hidden.push((id, row.try_get(0)?));
        tx.push(GalleryChange::Remove { face_set: face_set.id, face: rows::face_id(row.try_get(1)?)? });
    }
    faces::hide(&tx.session, &hidden).await?;
    tx.session.execute("DELETE FROM memberships WHERE person = $1 AND face_set = $2", &[&member, &id]).await?;
    let hidden: Vec<i64> = hidden.into_iter().map(|(_, sequence)| sequence).collect();
    thumbnails::drop_unwanted(&tx.session, &hidden).await?;
    let is_of_no_use = "SELECT 1 FROM face_sets WHERE id = $1 AND made_by_joining AND n_owned = 0
         AND NOT EXISTS (SELECT 1 FROM memberships WHERE face_set = $1)";
    if tx.session.exists(is_of_no_use, &[&id]).await? {
        face_sets::delete(tx, face_set.tenant, face_set.id, true).await?;
    }
    Ok(())
}

/// See `GalleryStore::leave_face_sets`.
pub(super) async fn leave(
    tx: &mut WriteTx,
    tenant: TenantId,
    person: PersonId,
    names: &[FaceSetName],
) -> Answer<Vec<FaceSet>> {
    rows::need_person(&tx.session, tenant, person).await?;
    let joined = sets_of_person(&tx.session, person).await?;
    let mut left: Vec<FaceSet> = Vec::new();
    for name in names {
        let Some(set) = joined.iter().find(|set| set.face_set.name == *name) else { continue };
        if left.iter().any(|other| other.id == set.face_set.id) {
            continue;
        }
        leave_one(tx, &set.face_set, person).await?;
        left.push(set.face_set.clone());
    }
    if !left.is_empty() {
        tx.push(Change::PersonChanged(person));
    }
    Ok(left)
}

/// See `GalleryStore::person`.
pub(super) async fn by_key(session: &Session, tenant: TenantId, key: &PersonKey) -> Answer<Option<Person>> {
    let sql = format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.tenant = $1 AND p.key = $2");
    let row = session.first(&sql, &[&tenant_bytes(tenant), &key.as_str()]).await?;
    Ok(row.as_ref().map(rows::person_row).transpose()?.map(|row| row.person))
}

/// See `GalleryStore::persons_named`.
pub(super) async fn named(
    session: &Session,
    tenant: TenantId,
    keys: Vec<PersonKey>,
    face_set: FaceSetId,
) -> Answer<Vec<(PersonSummary, bool)>> {
    let sql = format!(
        "SELECT {PERSON_COLUMNS}, EXISTS (SELECT 1 FROM memberships AS m WHERE m.person = p.id AND m.face_set = $3)
         FROM persons AS p WHERE p.tenant = $1 AND p.key = ANY($2)"
    );
    let asked: Vec<&str> = keys.iter().map(PersonKey::as_str).collect();
    let mut found = HashMap::new();
    for row in session.query(&sql, &[&tenant_bytes(tenant), &asked, &number(face_set.get())]).await? {
        let PersonRow { person, n_faces } = rows::person_row(&row)?;
        found.insert(person.key.clone(), (PersonSummary { person, n_faces }, row.try_get(MEMBER_COLUMN)?));
    }
    Ok(keys.iter().filter_map(|key| found.remove(key)).collect())
}

/// See `GalleryStore::persons`.
pub(super) async fn by_id(session: &Session, tenant: TenantId, ids: Vec<PersonId>) -> Answer<Vec<Person>> {
    let mut seen = HashSet::new();
    let ids: Vec<i64> = ids.into_iter().filter(|&id| seen.insert(id)).map(|id| number(id.get())).collect();
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM unnest($2::int8[]) WITH ORDINALITY AS j (id, place) JOIN persons AS p ON p.id = j.id
         WHERE p.tenant = $1 AND p.key IS NOT NULL ORDER BY j.place"
    );
    let found = session.query(&sql, &[&tenant_bytes(tenant), &ids]).await?;
    rows::intact(&found, |row| Ok(rows::person_row(row)?.person))
}

/// See `GalleryStore::persons_after`.
pub(super) async fn after(
    session: &Session,
    tenant: TenantId,
    after: Option<&PersonKey>,
    limit: u64,
) -> Answer<Vec<PersonSummary>> {
    // No key is the empty text.
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM persons AS p
         WHERE p.tenant = $1 AND p.key > $2 AND p.key IS NOT NULL ORDER BY p.key LIMIT $3"
    );
    let after = after.map_or("", PersonKey::as_str);
    let found = session.query(&sql, &[&tenant_bytes(tenant), &after, &number(limit)]).await?;
    rows::intact(&found, |row| {
        let row = rows::person_row(row)?;
        Ok(PersonSummary { person: row.person, n_faces: row.n_faces })
    })
}

/// See `GalleryStore::n_faces_of_person`.
pub(super) async fn n_faces(session: &Session, tenant: TenantId, person: PersonId) -> Answer<u64> {
    let sql = "SELECT n_faces FROM persons WHERE id = $1 AND tenant = $2 AND key IS NOT NULL";
    match session.first(sql, &[&number(person.get()), &tenant_bytes(tenant)]).await? {
        Some(row) => rows::whole(&row, 0),
        None => Ok(0),
    }
}

/// See `GalleryStore::move_faces`.
pub(super) async fn move_faces(
    tx: &mut WriteTx,
    tenant: TenantId,
    faces: FaceMove,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    let FaceMove { from, to, ids, limit, at } = faces;
    rows::need_person(&tx.session, tenant, from).await?;
    let n_owned = rows::need_person(&tx.session, tenant, to).await?.n_faces;
    if from == to {
        return Ok(Vec::new());
    }
    let ids: Option<Vec<i64>> = ids.map(|ids| ids.into_iter().map(|id| number(id.get())).collect());
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.person = $1 AND ($2::int8[] IS NULL OR f.id = ANY($2))
         ORDER BY f.sequence LIMIT $3"
    );
    let found = tx.session.query(&sql, &[&number(from.get()), &ids, &number(limit)]).await?;
    let moved = rows::intact(&found, |row| rows::face_row(row, tenant))?;
    let n_moved = moved.len() as u64;
    limits.check_person_faces(n_owned, n_moved)?;
    if moved.is_empty() {
        return Ok(Vec::new());
    }
    let external_ids: Vec<&str> =
        moved.iter().filter_map(|row| row.face.external_id.as_ref()).map(|id| id.as_str()).collect();
    let used = faces::users_of_external_ids(&tx.session, FaceOwner::Person(to), &external_ids).await?;
    if let Some(id) = used.keys().next() {
        let message = format!("the person has a face with external id `{id}` already");
        return Err(Failure::said(Kind::FaceExists, message));
    }
    let (left, joined) = (sets_of_person(&tx.session, from).await?, sets_of_person(&tx.session, to).await?);
    let is_among = |sets: &[SetRow], set: &SetRow| sets.iter().any(|other| other.face_set.id == set.face_set.id);
    let mut n_more = vec![0_u64; joined.len()];
    let mut moved_faces = Vec::with_capacity(moved.len());
    // Before the sets of the other person want pictures that wait to be erased.
    let sequences: Vec<i64> = moved.iter().map(|row| row.sequence).collect();
    thumbnails::drop_unwanted(&tx.session, &sequences).await?;
    for FaceRow { sequence, mut face } in moved {
        face.owner = FaceOwner::Person(to);
        face.updated_at = at;
        let sql = "UPDATE faces SET person = $2, updated_at = $3, checksum = $4 WHERE sequence = $1";
        let values = [&sequence as _, &number(to.get()) as _, &at.0 as _, &checksums::face(sequence, &face) as _];
        tx.session.execute(sql, &values).await?;
        let hidden: Vec<(i64, i64)> = left
            .iter()
            .filter(|set| !is_among(&joined, set))
            .map(|set| (number(set.face_set.id.get()), sequence))
            .collect();
        for (face_set, _) in faces::hide(&tx.session, &hidden).await? {
            tx.push(GalleryChange::Remove { face_set: rows::face_set_id(face_set)?, face: face.id });
        }
        for (set, n_more) in joined.iter().zip(&mut n_more) {
            let Some(template) = rows::template_of(&tx.session, sequence, &set.face_set.pack).await? else { continue };
            // Where the face is shown already, whose it is has changed.
            if !is_among(&left, set) {
                *n_more += 1;
                bounds::check_gallery(&set.face_set, set.n_gallery, *n_more, limits)?;
                faces::show(&tx.session, &[(set.face_set.id, sequence)]).await?;
            }
            let entry = entry(&face, template, sequence.cast_unsigned(), &set.face_set.schema);
            tx.push(GalleryChange::Put { face_set: set.face_set.id, entry });
        }
        thumbnails::drop_unwanted(&tx.session, &[sequence]).await?;
        moved_faces.push(face);
    }
    for (person, sql) in [
        (from, "UPDATE persons SET n_faces = n_faces - $2 WHERE id = $1"),
        (to, "UPDATE persons SET n_faces = n_faces + $2 WHERE id = $1"),
    ] {
        tx.session.execute(sql, &[&number(person.get()), &number(n_moved)]).await?;
        tx.push(Change::PersonChanged(person));
    }
    // First what says that it is no delete (`crate::shares`).
    tx.changes.rotate_right(2);
    Ok(moved_faces)
}

/// See `GalleryStore::update_person`.
pub(super) async fn update(tx: &mut WriteTx, tenant: TenantId, id: PersonId, patch: PersonPatch) -> Answer<Person> {
    let mut person = rows::need_person(&tx.session, tenant, id).await?.person;
    Precondition::check(patch.only_if.as_ref(), &person)?;
    if let Some(key) = patch.key {
        if by_key(&tx.session, tenant, &key).await?.is_some_and(|other| other.id != id) {
            return Err(Failure::said(Kind::PersonExists, format!("person `{key}` exists already")));
        }
        person.key = key;
    }
    person.name = patch.name.or(person.name).filter(|name| !name.as_str().is_empty());
    person.note = patch.note.or(person.note).filter(|note| !note.as_str().is_empty());
    let sql = "UPDATE persons SET key = $2, name = $3, note = $4, checksum = $5 WHERE id = $1";
    tx.session
        .execute(
            sql,
            &[
                &number(id.get()),
                &person.key.as_str(),
                &person.name.as_ref().map(|name| name.as_str()),
                &person.note.as_ref().map(|note| note.as_str()),
                &checksums::person(&person),
            ],
        )
        .await?;
    tx.push(Change::PersonChanged(id));
    Ok(person)
}

/// Takes the person out of every gallery and erases its key, name and note; the maintenance does the rest.
/// See `GalleryStore::delete_person`.
pub(super) async fn delete(tx: &mut WriteTx, tenant: TenantId, id: PersonId) -> Answer<u64> {
    let row = rows::need_person(&tx.session, tenant, id).await?;
    for set in sets_of_person(&tx.session, id).await? {
        leave_one(tx, &set.face_set, id).await?;
    }
    let number = number(id.get());
    // Memberships in sets that are being erased.
    tx.session.execute("DELETE FROM memberships WHERE person = $1", &[&number]).await?;
    tx.session.execute("UPDATE persons SET key = NULL, name = NULL, note = NULL WHERE id = $1", &[&number]).await?;
    tx.push(Change::PersonDeleted(id));
    // The usual handful is gone at once; thousands are left to the maintenance.
    if erase::erase_person(&tx.session, number, erase::AT_ONCE_MAX).await? >= erase::AT_ONCE_MAX as u64 {
        tx.leaves_rows = true;
    }
    Ok(row.n_faces)
}

/// See `GalleryStore::delete_merged_person`.
pub(super) async fn delete_merged(tx: &mut WriteTx, tenant: TenantId, id: PersonId, into: PersonId) -> Answer<bool> {
    let n_faces = rows::need_person(&tx.session, tenant, id).await?.n_faces;
    rows::need_person(&tx.session, tenant, into).await?;
    let theirs = sets_of_person(&tx.session, into).await?;
    let is_theirs = |id| theirs.iter().any(|set| set.face_set.id == id);
    let own = sets_of_person(&tx.session, id).await?;
    let has_given_all = n_faces == 0 && own.iter().all(|set| is_theirs(set.face_set.id));
    if has_given_all {
        delete(tx, tenant, id).await?;
    }
    Ok(has_given_all)
}

/// See `GalleryStore::face_sets_of`.
pub(super) async fn face_sets_of(session: &Session, tenant: TenantId, person: PersonId) -> Answer<Vec<FaceSet>> {
    if rows::person(session, tenant, person).await?.is_none() {
        return Ok(Vec::new());
    }
    Ok(sets_of_person(session, person).await?.into_iter().map(|set| set.face_set).collect())
}
