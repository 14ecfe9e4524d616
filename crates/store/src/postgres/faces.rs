//! Faces: enrol, find, change.
//!
//! Every function first looks its scope or owner up under the tenant, or does so in the statement itself; so none can reach
//! another tenant's rows.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use likeness_domain::access::Limits;
use likeness_domain::ports::{FacePage, FaceScope, GalleryChange, OwnersId, Page};
use likeness_domain::types::{
    ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, NewFace, PackId, PersonId, Precondition,
    Template, TenantId, Thumbnail, TimestampMs,
};
use likeness_domain::{Error, Kind};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, FaceRow, PERSON_COLUMNS, PersonRow, SET_COLUMNS, SetRow, number, tenant_bytes};
use super::scope::{each_once, in_scope};
use super::session::Session;
use super::transaction::WriteTx;
use super::{checksums, thumbnails, usage};
use crate::bounds;
use crate::embedded::codec;
use crate::gallery::entry;
use crate::id::next_id;

/// The sets whose galleries show the person's faces of some pack, with their counts.
pub(super) async fn sets_of_person(session: &Session, person: PersonId) -> Answer<Vec<SetRow>> {
    let sql = format!(
        "SELECT {SET_COLUMNS} FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
         WHERE m.person = $1 AND s.name IS NOT NULL ORDER BY m.sequence"
    );
    rows::intact(&session.query(&sql, &[&number(person.get())]).await?, rows::set_row)
}

/// The sets that may show a face of that owner.
pub(super) async fn sets_of_owner(session: &Session, tenant: TenantId, owner: FaceOwner) -> Answer<Vec<SetRow>> {
    match owner {
        FaceOwner::FaceSet(id) => Ok(rows::face_set(session, tenant, id).await?.into_iter().collect()),
        FaceOwner::Person(id) => sets_of_person(session, id).await,
    }
}

/// Owners, each with the sets that may show its faces.
type SetsOf = HashMap<FaceOwner, Vec<SetRow>>;

/// See `GalleryStore::add_faces_of`.
pub(super) async fn add(
    tx: &mut WriteTx,
    tenant: TenantId,
    faces: Vec<(FaceOwner, Vec<NewFace>)>,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    let sets = owners_of(&tx.session, tenant, &faces, limits).await?;
    let faces: Vec<(FaceOwner, NewFace)> =
        faces.into_iter().flat_map(|(owner, theirs)| theirs.into_iter().map(move |new| (owner, new))).collect();
    if faces.is_empty() {
        return Ok(Vec::new());
    }
    check_tenant(&tx.session, tenant, faces.len() as u64, limits).await?;
    let mut n_shown: HashMap<FaceSetId, (&SetRow, u64)> = HashMap::new();
    for (owner, face) in &faces {
        for set in sets[owner].iter().filter(|set| *face.template.pack() == set.face_set.pack) {
            n_shown.entry(set.face_set.id).or_insert((set, 0)).1 += 1;
        }
    }
    for (set, n_shown) in n_shown.into_values() {
        bounds::check_gallery(&set.face_set, set.n_gallery, n_shown, limits)?;
    }
    check_external_ids(&tx.session, &faces).await?;
    let ids = free_face_ids(&tx.session, faces.iter().map(|(_, face)| (face.id, face.spare_id))).await?;
    let made = faces.into_iter().zip(ids).map(|((owner, mut new), id)| {
        let thumbnail = new.thumbnail.take();
        let (face, template) = new.enrolled(id, tenant, owner);
        (face, template, thumbnail)
    });
    insert(tx, made.collect(), &sets).await
}

/// New faces of a set itself are of its pack.
fn check_packs_of_sets(sets: &SetsOf, faces: &[(FaceOwner, Vec<NewFace>)]) -> Answer<()> {
    for (owner, theirs) in faces.iter().filter(|(owner, _)| matches!(owner, FaceOwner::FaceSet(_))) {
        for set in &sets[owner] {
            check_packs(&set.face_set, theirs.iter().map(|face| face.template.pack()))?;
        }
    }
    Ok(())
}

/// Looks the owners of new faces up, and the sets that show them. In this order in every store: face sets, persons, packs,
/// limits.
async fn owners_of(
    session: &Session,
    tenant: TenantId,
    faces: &[(FaceOwner, Vec<NewFace>)],
    limits: &Limits,
) -> Answer<SetsOf> {
    let mut sets = SetsOf::new();
    let mut n_more: HashMap<PersonId, u64> = HashMap::new();
    for (owner, theirs) in faces {
        match *owner {
            FaceOwner::FaceSet(id) => {
                if !sets.contains_key(owner) {
                    sets.insert(*owner, vec![rows::need_face_set(session, tenant, id).await?]);
                }
            }
            FaceOwner::Person(id) => *n_more.entry(id).or_default() += theirs.len() as u64,
        }
    }
    if n_more.is_empty() {
        check_packs_of_sets(&sets, faces)?;
        return Ok(sets);
    }
    let ids: Vec<i64> = n_more.keys().map(|id| number(id.get())).collect();
    let sql = format!(
        "SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.tenant = $1 AND p.id = ANY($2) AND p.key IS NOT NULL"
    );
    let mut persons = Vec::new();
    for row in session.query(&sql, &[&tenant_bytes(tenant), &ids]).await? {
        persons.push(rows::person_row(&row)?);
    }
    sets.extend(persons.iter().map(|row| (FaceOwner::Person(row.person.id), Vec::new())));
    if n_more.keys().any(|&id| !sets.contains_key(&FaceOwner::Person(id))) {
        return Err(rows::no_person());
    }
    check_packs_of_sets(&sets, faces)?;
    for PersonRow { person, n_faces } in &persons {
        limits.check_person_faces(*n_faces, n_more[&person.id])?;
    }
    // Most of them are members of the same few sets.
    let sql = "SELECT m.person, m.face_set FROM memberships AS m JOIN face_sets AS s ON s.id = m.face_set
               WHERE m.person = ANY($1) AND s.name IS NOT NULL ORDER BY m.sequence";
    let mut memberships: Vec<(PersonId, i64)> = Vec::new();
    for row in session.query(sql, &[&ids]).await? {
        memberships.push((rows::person_id(row.try_get(0)?)?, row.try_get(1)?));
    }
    let joined: HashSet<i64> = memberships.iter().map(|&(_, set)| set).collect();
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = ANY($1)");
    let found = session.query(&sql, &[&joined.into_iter().collect::<Vec<i64>>()]).await?;
    let found = rows::intact(&found, rows::set_row)?;
    let by_id: HashMap<i64, SetRow> = found.into_iter().map(|set| (number(set.face_set.id.get()), set)).collect();
    for (person, set) in memberships {
        if let (Some(sets), Some(set)) = (sets.get_mut(&FaceOwner::Person(person)), by_id.get(&set)) {
            sets.push(set.clone());
        }
    }
    Ok(sets)
}

pub(super) fn owner_id(owner: FaceOwner) -> i64 {
    match owner {
        FaceOwner::FaceSet(id) => number(id.get()),
        FaceOwner::Person(id) => number(id.get()),
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
pub(super) async fn check_tenant(session: &Session, tenant: TenantId, n_more: u64, limits: &Limits) -> Answer<()> {
    if limits.faces_max.is_some() {
        limits.check_tenant_faces(usage::of_tenant(session, tenant).await?.n_faces, n_more)?;
    }
    Ok(())
}

/// `FaceExists` if an external id is used by its owner already, or twice.
async fn check_external_ids(session: &Session, faces: &[(FaceOwner, NewFace)]) -> Answer<()> {
    let exists = |id: &ExternalId| {
        Failure::said(Kind::FaceExists, format!("a face with external id `{id}` is enrolled already"))
    };
    let ids: Vec<OwnersId> =
        faces.iter().filter_map(|(owner, face)| Some((*owner, face.external_id.clone()?))).collect();
    let mut seen = HashSet::new();
    if let Some((_, twice)) = ids.iter().find(|id| !seen.insert(*id)) {
        return Err(exists(twice));
    }
    match users_of_owners_ids(session, &ids).await?.keys().next() {
        Some((_, used)) => Err(exists(used)),
        None => Ok(()),
    }
}

/// Which of these external ids are those of faces that their owners have.
async fn users_of_owners_ids(session: &Session, ids: &[OwnersId]) -> Answer<HashMap<OwnersId, FaceId>> {
    let mut users = HashMap::new();
    let of_sets = "SELECT f.face_set, f.external_id, f.id FROM unnest($1::int8[], $2::text[]) AS w (owner, external_id)
                   JOIN faces AS f ON f.face_set = w.owner AND f.external_id = w.external_id";
    let of_persons =
        "SELECT f.person, f.external_id, f.id FROM unnest($1::int8[], $2::text[]) AS w (owner, external_id)
                      JOIN faces AS f ON f.person = w.owner AND f.external_id = w.external_id";
    let is_of_set = |owner: &FaceOwner| matches!(owner, FaceOwner::FaceSet(_));
    for (sql, are_of_sets) in [(of_sets, true), (of_persons, false)] {
        let asked = ids.iter().filter(|(owner, _)| is_of_set(owner) == are_of_sets);
        let (owners, texts): (Vec<i64>, Vec<&str>) = asked.map(|(owner, id)| (owner_id(*owner), id.as_str())).unzip();
        if owners.is_empty() {
            continue;
        }
        for row in session.query(sql, &[&owners, &texts]).await? {
            let owner = match are_of_sets {
                true => FaceOwner::FaceSet(rows::face_set_id(row.try_get(0)?)?),
                false => FaceOwner::Person(rows::person_id(row.try_get(0)?)?),
            };
            let id = rows::checked(ExternalId::stored(row.try_get::<_, String>(1)?))?;
            users.insert((owner, id), rows::face_id(row.try_get(2)?)?);
        }
    }
    Ok(users)
}

/// Which of these external ids the owner's faces have.
pub(super) async fn users_of_external_ids(
    session: &Session,
    owner: FaceOwner,
    ids: &[&str],
) -> Answer<HashMap<String, FaceId>> {
    if ids.is_empty() {
        return Ok(HashMap::new());
    }
    let sql = match owner {
        FaceOwner::FaceSet(_) => "SELECT external_id, id FROM faces WHERE face_set = $1 AND external_id = ANY($2)",
        FaceOwner::Person(_) => "SELECT external_id, id FROM faces WHERE person = $1 AND external_id = ANY($2)",
    };
    let found = session.query(sql, &[&owner_id(owner), &ids]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, rows::face_id(row.try_get(1)?)?))).collect()
}

/// Of `$1`, ids that name a face, kept or enrolled, or are the source of one.
const USED_IDS: &str = "SELECT id FROM faces WHERE id = ANY($1) UNION ALL SELECT id FROM held_faces WHERE id = ANY($1)
     UNION ALL SELECT source_face FROM faces WHERE source_face = ANY($1)";

/// The proposed ids, each or its spare one or the next that is free.
pub(super) async fn free_face_ids(
    session: &Session,
    proposed: impl Iterator<Item = (FaceId, Option<FaceId>)>,
) -> Answer<Vec<FaceId>> {
    let mut taken = HashSet::new();
    let proposed: Vec<(FaceId, Option<FaceId>)> = proposed.collect();
    let asked: Vec<i64> =
        proposed.iter().flat_map(|&(id, spare)| [Some(id), spare]).flatten().map(|id| number(id.get())).collect();
    let mut used: HashSet<i64> = used_ids(session, &asked).await?;
    let mut wanted = Vec::with_capacity(proposed.len());
    for (id, spare) in proposed {
        let is_used = taken.contains(&id.get()) || used.contains(&number(id.get()));
        let mut id = spare.filter(|_| is_used).unwrap_or(id).get();
        while taken.contains(&id) || used.contains(&number(id)) {
            id = next_id(id);
            if !taken.contains(&id) {
                used.extend(used_ids(session, &[number(id)]).await?);
            }
        }
        taken.insert(id);
        wanted.push(id);
    }
    wanted.into_iter().map(|id| rows::face_id(number(id))).collect()
}

async fn used_ids(session: &Session, ids: &[i64]) -> Answer<HashSet<i64>> {
    session.query(USED_IDS, &[&ids]).await?.iter().map(|row| Ok(row.try_get(0)?)).collect()
}

/// Writes faces with their templates, counts them, and shows each in the galleries of those of its owner's sets that share its
/// pack. Pictures are kept where one of these keeps pictures.
pub(super) async fn insert(
    tx: &mut WriteTx,
    made: Vec<(Face, Template, Option<Thumbnail>)>,
    sets: &SetsOf,
) -> Answer<Vec<Face>> {
    let places = tx.next_places(made.len()).await?;
    copy_faces(&tx.session, &made, &places).await?;
    copy_templates(&tx.session, made.iter().map(|(_, template, _)| template).zip(&places)).await?;
    let (mut shown, mut pictures) = (Vec::new(), Vec::new());
    let mut n_owned: HashMap<FaceOwner, i64> = HashMap::new();
    for ((face, template, thumbnail), &sequence) in made.iter().zip(&places) {
        let mut is_wanted = false;
        for set in sets[&face.owner].iter().filter(|set| set.face_set.pack == *template.pack()) {
            shown.push((set.face_set.id, sequence));
            is_wanted |= set.face_set.thumbnails;
            let entry = entry(face, template.clone(), sequence.cast_unsigned(), &set.face_set.schema);
            tx.push(GalleryChange::Put { face_set: set.face_set.id, entry });
        }
        pictures.extend(thumbnail.clone().filter(|_| is_wanted).map(|thumbnail| (sequence, thumbnail)));
        *n_owned.entry(face.owner).or_default() += 1;
    }
    show(&tx.session, &shown).await?;
    thumbnails::insert(&tx.session, &pictures).await?;
    for (sql, are_of_sets) in [
        (
            "UPDATE face_sets AS s SET n_owned = s.n_owned + w.n_more FROM unnest($1::int8[], $2::int8[]) AS w (id, n_more)
             WHERE s.id = w.id",
            true,
        ),
        (
            "UPDATE persons AS p SET n_faces = p.n_faces + w.n_more FROM unnest($1::int8[], $2::int8[]) AS w (id, n_more)
             WHERE p.id = w.id",
            false,
        ),
    ] {
        let of_kind = n_owned.iter().filter(|(owner, _)| matches!(owner, FaceOwner::FaceSet(_)) == are_of_sets);
        let (owners, n_more): (Vec<i64>, Vec<i64>) = of_kind.map(|(&owner, &n_more)| (owner_id(owner), n_more)).unzip();
        if !owners.is_empty() {
            tx.session.execute(sql, &[&owners, &n_more]).await?;
        }
    }
    Ok(made.into_iter().map(|(face, ..)| face).collect())
}

async fn copy_faces(session: &Session, made: &[(Face, Template, Option<Thumbnail>)], places: &[i64]) -> Answer<()> {
    const SQL: &str =
        "COPY faces (sequence, id, face_set, person, pack, detection, quality, subject, external_id, fields,
                       note, source, created_at, updated_at, source_face, checksum) FROM STDIN BINARY";
    const TYPES: &[Type] = &[
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::TEXT,
        Type::BYTEA,
        Type::BYTEA,
        Type::TEXT,
        Type::TEXT,
        Type::BYTEA,
        Type::TEXT,
        Type::TEXT,
        Type::INT8,
        Type::INT8,
        Type::INT8,
        Type::INT8,
    ];
    let copied = async {
        let mut writer = pin!(BinaryCopyInWriter::new(session.copy_in(SQL).await?, TYPES));
        for ((face, ..), &sequence) in made.iter().zip(places) {
            let (owner_set, owner_person) = match face.owner {
                FaceOwner::FaceSet(id) => (Some(number(id.get())), None),
                FaceOwner::Person(id) => (None, Some(number(id.get()))),
            };
            let source_face = Some(number(face.source_face.get())).filter(|_| face.source_face != face.id);
            writer
                .as_mut()
                .write(&[
                    &sequence,
                    &number(face.id.get()),
                    &owner_set,
                    &owner_person,
                    &face.pack.as_str(),
                    &&codec::detection_bytes(&face.detection)[..],
                    &codec::quality_bytes(&face.quality),
                    &face.subject.as_ref().map(|subject| subject.as_str()),
                    &face.external_id.as_ref().map(|external_id| external_id.as_str()),
                    &codec::fields_bytes(&face.fields),
                    &face.note.as_ref().map(|note| note.as_str()),
                    &face.source.as_ref().map(|source| source.as_str()),
                    &face.created_at.0,
                    &face.updated_at.0,
                    &source_face,
                    &checksums::face(sequence, face),
                ])
                .await?;
        }
        writer.finish().await?;
        Ok(())
    };
    session.in_time(copied).await
}

/// Writes the first template of its pack of each of these faces, by their sequences.
pub(super) async fn copy_templates(
    session: &Session,
    templates: impl Iterator<Item = (&Template, &i64)> + Send,
) -> Answer<()> {
    const SQL: &str = "COPY templates (face, pack, vector, checksum) FROM STDIN BINARY";
    const TYPES: &[Type] = &[Type::INT8, Type::TEXT, Type::BYTEA, Type::INT8];
    let copied = async {
        let mut writer = pin!(BinaryCopyInWriter::new(session.copy_in(SQL).await?, TYPES));
        for (template, face) in templates {
            let (pack, vector) = (template.pack().as_str(), codec::vector_bytes(template));
            let checksum = checksums::template(*face, pack, &vector);
            writer.as_mut().write(&[face, &pack, &vector, &checksum]).await?;
        }
        writer.finish().await?;
        Ok(())
    };
    session.in_time(copied).await
}

/// Adds rows to galleries, face sets by id and faces by sequence, and counts them.
pub(super) async fn show(session: &Session, shown: &[(FaceSetId, i64)]) -> Answer<()> {
    if shown.is_empty() {
        return Ok(());
    }
    let (sets, sequences): (Vec<i64>, Vec<i64>) =
        shown.iter().map(|(set, sequence)| (number(set.get()), *sequence)).unzip();
    let sql = "WITH shown AS (INSERT INTO gallery (face_set, sequence) SELECT * FROM unnest($1::int8[], $2::int8[])
                              RETURNING face_set),
                    counted AS (SELECT face_set, count(*) AS n_shown FROM shown GROUP BY face_set)
               UPDATE face_sets SET n_gallery = n_gallery + n_shown FROM counted WHERE id = counted.face_set";
    session.execute(sql, &[&sets, &sequences]).await?;
    Ok(())
}

/// Takes rows out of galleries and counts them; returns those that were there.
pub(super) async fn hide(session: &Session, hidden: &[(i64, i64)]) -> Answer<HashSet<(i64, i64)>> {
    if hidden.is_empty() {
        return Ok(HashSet::new());
    }
    let (sets, sequences): (Vec<i64>, Vec<i64>) = hidden.iter().copied().unzip();
    let sql = "WITH hidden AS (DELETE FROM gallery AS g USING unnest($1::int8[], $2::int8[]) AS h (face_set, sequence)
                               WHERE g.face_set = h.face_set AND g.sequence = h.sequence RETURNING g.face_set, g.sequence),
                    counted AS (UPDATE face_sets SET n_gallery = n_gallery - c.n_hidden
                                FROM (SELECT face_set, count(*) AS n_hidden FROM hidden GROUP BY face_set) AS c
                                WHERE id = c.face_set)
               SELECT face_set, sequence FROM hidden";
    let found = session.query(sql, &[&sets, &sequences]).await?;
    found.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}

/// See `GalleryStore::external_ids_of`.
pub(super) async fn external_ids(
    session: &Session,
    tenant: TenantId,
    ids: Vec<OwnersId>,
) -> Answer<Vec<(OwnersId, FaceId)>> {
    let mut known: HashSet<FaceOwner> = HashSet::new();
    let (mut sets, mut persons) = (Vec::new(), Vec::new());
    for (owner, _) in &ids {
        if known.insert(*owner) {
            match owner {
                FaceOwner::FaceSet(id) => sets.push(number(id.get())),
                FaceOwner::Person(id) => persons.push(number(id.get())),
            }
        }
    }
    let sql = "SELECT id, true FROM face_sets WHERE tenant = $1 AND id = ANY($2) AND name IS NOT NULL
               UNION ALL SELECT id, false FROM persons WHERE tenant = $1 AND id = ANY($3) AND key IS NOT NULL";
    known.clear();
    for row in session.query(sql, &[&tenant_bytes(tenant), &sets, &persons]).await? {
        let id = row.try_get(0)?;
        known.insert(match row.try_get(1)? {
            true => FaceOwner::FaceSet(rows::face_set_id(id)?),
            false => FaceOwner::Person(rows::person_id(id)?),
        });
    }
    let ids: Vec<OwnersId> = ids.into_iter().filter(|(owner, _)| known.contains(owner)).collect();
    let mut users = users_of_owners_ids(session, &ids).await?;
    Ok(ids.into_iter().filter_map(|id| users.remove(&id).map(|face| (id, face))).collect())
}

/// See `GalleryStore::faces`.
pub(super) async fn by_id(
    session: &Session,
    tenant: TenantId,
    scope: FaceScope,
    ids: Vec<FaceId>,
) -> Answer<Vec<Face>> {
    let (condition, scope_id) = in_scope(Some(scope));
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM unnest($3::int8[]) WITH ORDINALITY AS j (id, place) JOIN faces AS f ON f.id = j.id
         WHERE {condition} ORDER BY j.place"
    );
    let found = session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &each_once(ids)]).await?;
    rows::intact(&found, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// See `GalleryStore::list_faces`.
pub(super) async fn list(session: &Session, tenant: TenantId, scope: FaceScope, page: Page) -> Answer<Vec<Face>> {
    // The page is cut from the narrow table, so that faces before the offset are not read.
    let places = match scope {
        FaceScope::FaceSet(_) => "gallery WHERE face_set = $1",
        FaceScope::Person(_) => "faces WHERE person = $1",
    };
    let (condition, scope_id) = in_scope(Some(scope));
    let sql = format!(
        "SELECT {FACE_COLUMNS} FROM (SELECT sequence FROM {places} ORDER BY sequence LIMIT $3 OFFSET $4) AS page
         JOIN faces AS f ON f.sequence = page.sequence WHERE {condition} ORDER BY f.sequence"
    );
    let values = [&scope_id as _, &tenant_bytes(tenant) as _, &number(page.limit) as _, &number(page.offset) as _];
    let found = session.query(&sql, &values).await?;
    rows::intact(&found, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// Sequences of the scope's faces from `from` on, at most `limit` of them, and the next one.
pub(super) async fn page_of(
    session: &Session,
    tenant: TenantId,
    scope: FaceScope,
    from: u64,
    limit: u64,
) -> Answer<(Vec<i64>, Option<u64>)> {
    let (places, exists) = match scope {
        FaceScope::FaceSet(id) => ("gallery WHERE face_set = $1", rows::face_set(session, tenant, id).await?.is_some()),
        FaceScope::Person(id) => ("faces WHERE person = $1", rows::person(session, tenant, id).await?.is_some()),
    };
    if !exists {
        return Ok((Vec::new(), None));
    }
    let (_, scope_id) = in_scope(Some(scope));
    let sql = format!("SELECT sequence FROM {places} AND sequence >= $2 ORDER BY sequence LIMIT $3");
    let limit = limit.min(u64::from(u32::MAX));
    let found = session.query(&sql, &[&scope_id, &number(from), &number(limit + 1)]).await?;
    let mut page: Vec<i64> = found.iter().map(|row| Ok(row.try_get(0)?)).collect::<Answer<_>>()?;
    let next = if page.len() as u64 > limit { page.pop() } else { None };
    Ok((page, next.map(i64::cast_unsigned)))
}

/// See `GalleryStore::faces_from`; `from` is the sequence of the first face that is meant.
pub(super) async fn page(
    session: &Session,
    tenant: TenantId,
    scope: FaceScope,
    from: u64,
    limit: u64,
) -> Answer<FacePage> {
    // The page is cut before rows are read, so that damaged ones are not taken for the end.
    let (page, next) = page_of(session, tenant, scope, from, limit).await?;
    Ok(FacePage { faces: at(session, tenant, scope, &page).await?, next })
}

/// The faces of these sequences that are in the scope, in order of enrolment. See `GalleryStore::faces_at`.
pub(super) async fn at(session: &Session, tenant: TenantId, scope: FaceScope, places: &[i64]) -> Answer<Vec<Face>> {
    let (condition, scope_id) = in_scope(Some(scope));
    let sql =
        format!("SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.sequence = ANY($3) AND {condition} ORDER BY f.sequence");
    let found = session.query(&sql, &[&scope_id, &tenant_bytes(tenant), &places]).await?;
    rows::intact(&found, |row| Ok(rows::face_row(row, tenant)?.face))
}

/// See `GalleryStore::places_beginning`.
pub(super) async fn beginning(
    session: &Session,
    tenant: TenantId,
    face_set: FaceSetId,
    texts: Vec<String>,
    limit: u64,
) -> Answer<Vec<u64>> {
    if rows::face_set(session, tenant, face_set).await?.is_none() {
        return Ok(Vec::new());
    }
    let mut places: Vec<u64> = Vec::new();
    for text in texts {
        // Behind every text that begins with it, as texts compare by their bytes.
        let end = format!("{text}{}", char::MAX);
        for sql in [
            "SELECT sequence FROM faces WHERE face_set = $1 AND subject >= $2 AND subject < $3
             ORDER BY subject, sequence LIMIT $4",
            "SELECT sequence FROM faces WHERE face_set = $1 AND external_id >= $2 AND external_id < $3
             ORDER BY external_id, sequence LIMIT $4",
            "SELECT f.sequence FROM memberships AS m JOIN persons AS p ON p.id = m.person JOIN faces AS f ON f.person = p.id
             JOIN gallery AS g ON g.face_set = $1 AND g.sequence = f.sequence
             WHERE m.face_set = $1 AND ((p.key >= $2 AND p.key < $3) OR (p.name >= $2 AND p.name < $3))
             ORDER BY f.sequence LIMIT $4",
        ] {
            let values = [&number(face_set.get()) as _, &text as _, &end as _, &number(limit) as _];
            for row in session.query(sql, &values).await? {
                places.push(rows::whole(&row, 0)?);
            }
        }
    }
    places.sort_unstable();
    places.dedup();
    places.truncate(usize::try_from(limit).unwrap_or(usize::MAX));
    Ok(places)
}

/// See `GalleryStore::update_face`.
pub(super) async fn update(
    tx: &mut WriteTx,
    tenant: TenantId,
    scope: FaceScope,
    id: FaceId,
    patch: FacePatch,
    now: TimestampMs,
) -> Answer<Face> {
    let (condition, scope_id) = in_scope(Some(scope));
    let sql = format!("SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.id = $3 AND {condition}");
    let found = tx.session.first(&sql, &[&scope_id, &tenant_bytes(tenant), &number(id.get())]).await?;
    let found = found.ok_or_else(|| Failure::said(Kind::FaceNotFound, format!("face {id} does not exist there")))?;
    let FaceRow { sequence, mut face } = rows::face_row(&found, tenant)?;
    Precondition::check(patch.only_if.as_ref(), &face)?;
    patch.apply(&mut face);
    face.updated_at = now;
    write_words(tx, tenant, sequence, &face).await?;
    Ok(face)
}

/// Writes what a patch may change, and tells every gallery that shows the face.
pub(super) async fn write_words(tx: &mut WriteTx, tenant: TenantId, sequence: i64, face: &Face) -> Answer<()> {
    let sql = "UPDATE faces SET subject = $2, fields = $3, note = $4, updated_at = $5, checksum = $6, external_id = $7
               WHERE sequence = $1";
    tx.session
        .execute(
            sql,
            &[
                &sequence,
                &face.subject.as_ref().map(|subject| subject.as_str()),
                &codec::fields_bytes(&face.fields),
                &face.note.as_ref().map(|note| note.as_str()),
                &face.updated_at.0,
                &checksums::face(sequence, face),
                &face.external_id.as_ref().map(|external_id| external_id.as_str()),
            ],
        )
        .await?;
    for SetRow { face_set, .. } in sets_of_owner(&tx.session, tenant, face.owner).await? {
        if let Some(template) = rows::template_of(&tx.session, sequence, &face_set.pack).await? {
            let entry = entry(face, template, sequence.cast_unsigned(), &face_set.schema);
            tx.push(GalleryChange::Put { face_set: face_set.id, entry });
        }
    }
    Ok(())
}
