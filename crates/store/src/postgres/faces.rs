//! Faces: enrol, find, change.
//!
//! Every function first looks its scope or owner up under the tenant, or does so in the statement itself; so none can reach
//! another tenant's rows.

use std::collections::{HashMap, HashSet};
use std::pin::pin;

use likeness_domain::access::Limits;
use likeness_domain::ports::{FacePage, FaceScope, GalleryChange, Page};
use likeness_domain::types::{
    ExternalId, Face, FaceId, FaceOwner, FacePatch, FaceSet, FaceSetId, NewFace, PackId, PersonId, Precondition,
    Template, TenantId, Thumbnail, TimestampMs,
};
use likeness_domain::{Error, Kind};
use tokio_postgres::binary_copy::BinaryCopyInWriter;
use tokio_postgres::types::Type;

use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, FaceRow, SET_COLUMNS, SetRow, number, tenant_bytes};
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

/// See `GalleryStore::add_faces`.
pub(super) async fn add(
    tx: &mut WriteTx,
    tenant: TenantId,
    owner: FaceOwner,
    faces: Vec<NewFace>,
    limits: &Limits,
) -> Answer<Vec<Face>> {
    let n_new = faces.len() as u64;
    let sets = match owner {
        FaceOwner::FaceSet(id) => {
            let set = rows::need_face_set(&tx.session, tenant, id).await?;
            check_packs(&set.face_set, faces.iter().map(|face| face.template.pack()))?;
            vec![set]
        }
        FaceOwner::Person(id) => {
            let n_owned = rows::need_person(&tx.session, tenant, id).await?.n_faces;
            bounds::check_person_faces(n_owned, n_new, limits)?;
            sets_of_person(&tx.session, id).await?
        }
    };
    if faces.is_empty() {
        return Ok(Vec::new());
    }
    check_tenant(&tx.session, tenant, n_new, limits).await?;
    for set in &sets {
        let n_shown = faces.iter().filter(|face| *face.template.pack() == set.face_set.pack).count() as u64;
        bounds::check_gallery(&set.face_set, set.n_gallery, n_shown, limits)?;
    }
    check_external_ids(&tx.session, owner, &faces).await?;
    let ids = free_face_ids(&tx.session, faces.iter().map(|face| (face.id, face.spare_id))).await?;
    let made = faces.into_iter().zip(ids).map(|(mut new, id)| {
        let thumbnail = new.thumbnail.take();
        let (face, template) = new.enrolled(id, tenant, owner);
        (face, template, thumbnail)
    });
    insert(tx, owner, made.collect(), &sets).await
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
        bounds::check_tenant_faces(usage::of_tenant(session, tenant).await?.n_faces, n_more, limits)?;
    }
    Ok(())
}

/// `FaceExists` if an external id is used by the owner already, or twice.
async fn check_external_ids(session: &Session, owner: FaceOwner, faces: &[NewFace]) -> Answer<()> {
    let exists =
        |id: &str| Failure::said(Kind::FaceExists, format!("a face with external id `{id}` is enrolled already"));
    let ids: Vec<&str> = faces.iter().filter_map(|face| face.external_id.as_ref()).map(|id| id.as_str()).collect();
    let mut seen = HashSet::new();
    if let Some(twice) = ids.iter().find(|id| !seen.insert(**id)) {
        return Err(exists(twice));
    }
    match users_of_external_ids(session, owner, &ids).await?.into_keys().next() {
        Some(used) => Err(exists(&used)),
        None => Ok(()),
    }
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

/// Writes faces of one owner with their templates, counts them, and shows each in the galleries of `sets` that share its pack.
/// Pictures are kept where one of these keeps pictures.
pub(super) async fn insert(
    tx: &mut WriteTx,
    owner: FaceOwner,
    made: Vec<(Face, Template, Option<Thumbnail>)>,
    sets: &[SetRow],
) -> Answer<Vec<Face>> {
    let places = tx.next_places(made.len()).await?;
    copy_faces(&tx.session, &made, &places).await?;
    copy_templates(&tx.session, made.iter().map(|(_, template, _)| template).zip(&places)).await?;
    let (mut shown, mut pictures) = (Vec::new(), Vec::new());
    for ((face, template, thumbnail), &sequence) in made.iter().zip(&places) {
        let mut is_wanted = false;
        for set in sets.iter().filter(|set| set.face_set.pack == *template.pack()) {
            shown.push((set.face_set.id, sequence));
            is_wanted |= set.face_set.thumbnails;
            let entry = entry(face, template.clone(), sequence.cast_unsigned(), &set.face_set.schema);
            tx.push(GalleryChange::Put { face_set: set.face_set.id, entry });
        }
        pictures.extend(thumbnail.clone().filter(|_| is_wanted).map(|thumbnail| (sequence, thumbnail)));
    }
    show(&tx.session, &shown).await?;
    thumbnails::insert(&tx.session, &pictures).await?;
    let count = match owner {
        FaceOwner::FaceSet(_) => "UPDATE face_sets SET n_owned = n_owned + $2 WHERE id = $1",
        FaceOwner::Person(_) => "UPDATE persons SET n_faces = n_faces + $2 WHERE id = $1",
    };
    tx.session.execute(count, &[&owner_id(owner), &(made.len() as i64)]).await?;
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
pub(super) async fn show(session: &Session, shown: &[(likeness_domain::types::FaceSetId, i64)]) -> Answer<()> {
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

/// See `GalleryStore::external_ids`.
pub(super) async fn external_ids(
    session: &Session,
    tenant: TenantId,
    owner: FaceOwner,
    ids: Vec<ExternalId>,
) -> Answer<Vec<(ExternalId, FaceId)>> {
    let exists = match owner {
        FaceOwner::FaceSet(id) => rows::face_set(session, tenant, id).await?.is_some(),
        FaceOwner::Person(id) => rows::person(session, tenant, id).await?.is_some(),
    };
    if !exists {
        return Ok(Vec::new());
    }
    let asked: Vec<&str> = ids.iter().map(|id| id.as_str()).collect();
    let mut users = users_of_external_ids(session, owner, &asked).await?;
    Ok(ids.into_iter().filter_map(|id| users.remove(id.as_str()).map(|face| (id, face))).collect())
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
