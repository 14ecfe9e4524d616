//! Rows as the domain's types, and the look-ups that guard every other query: a face set or person of another tenant, or a
//! deleted one, is not there.

use likeness_domain::types::{
    ExternalId, Face, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetName, Note, PackId, Person, PersonId, PersonKey,
    QualityGate, Subject, Tags, Template, TenantId, TimestampMs,
};
use likeness_domain::{Kind, Result};
use tokio_postgres::Row;

use super::checksums;
use super::errors::{Answer, Failure};
use super::session::Session;
use crate::embedded::codec;

/// A live face set with its exact count.
#[derive(Debug, Clone)]
pub(super) struct SetRow {
    pub(super) face_set: FaceSet,
    /// Faces in its gallery.
    pub(super) n_gallery: u64,
}

/// A live person with its exact count.
#[derive(Debug, Clone)]
pub(super) struct PersonRow {
    pub(super) person: Person,
    pub(super) n_faces: u64,
}

/// A face with its place in the order of enrolment.
#[derive(Debug, Clone)]
pub(super) struct FaceRow {
    pub(super) sequence: i64,
    pub(super) face: Face,
}

/// Columns of [`set_row`], of `face_sets AS s`.
pub(super) const SET_COLUMNS: &str = "s.id, s.tenant, s.name, s.label, s.note, s.pack, s.fields, s.capacity, \
     s.created_at, s.n_gallery, s.tags, s.quality_gate, s.checksum, \
     (SELECT w.checksum FROM thumbnail_sets AS w WHERE w.face_set = s.id AND w.wanted)";

/// Columns of [`person_row`], of `persons AS p`.
pub(super) const PERSON_COLUMNS: &str = "p.id, p.tenant, p.key, p.name, p.note, p.created_at, p.n_faces, p.checksum";

/// Columns of [`face_row`], of `faces AS f`. No vector is among them.
pub(super) const FACE_COLUMNS: &str = "f.sequence, f.id, f.face_set, f.person, f.pack, f.detection, f.quality, \
     f.subject, f.external_id, f.fields, f.note, f.source, f.created_at, f.updated_at, f.source_face, f.checksum";

/// Columns of [`template`], of `templates AS t`; behind [`FACE_COLUMNS`] they begin at [`VECTOR_COLUMN`].
pub(super) const VECTOR_COLUMNS: &str = "t.face, t.vector, t.checksum";

/// See [`VECTOR_COLUMNS`].
pub(super) const VECTOR_COLUMN: usize = 16;

/// A checked type read back: the database never held anything else, unless it was damaged.
pub(super) fn checked<T>(made: Result<T>) -> Answer<T> {
    made.map_err(|error| Failure::Damaged(error.message().to_owned()))
}

pub(super) fn text<T>(row: &Row, column: usize, make: impl Fn(String) -> Result<T>) -> Answer<Option<T>> {
    row.try_get::<_, Option<String>>(column)?.map(|text| checked(make(text))).transpose()
}

fn damaged(what: &str) -> Failure {
    Failure::Damaged(format!("the id of a {what} is out of range"))
}

/// A number that is never negative.
pub(super) fn whole(row: &Row, column: usize) -> Answer<u64> {
    let number = row.try_get::<_, i64>(column)?;
    u64::try_from(number).map_err(|_| Failure::Damaged(format!("a number is negative: {number}")))
}

pub(super) fn face_id(value: i64) -> Answer<FaceId> {
    u64::try_from(value).ok().and_then(FaceId::new).ok_or_else(|| damaged("face"))
}

pub(super) fn face_set_id(value: i64) -> Answer<FaceSetId> {
    u64::try_from(value).ok().and_then(FaceSetId::new).ok_or_else(|| damaged("face set"))
}

pub(super) fn person_id(value: i64) -> Answer<PersonId> {
    u64::try_from(value).ok().and_then(PersonId::new).ok_or_else(|| damaged("person"))
}

/// An id, count or limit in SQL's numbers, which end at 2^63.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// [`Failure::Damaged`] unless the stored checksum is that of what was read.
pub(super) fn need_intact(stored: i64, computed: i64, what: &str, id: impl std::fmt::Display) -> Answer<()> {
    if stored == computed {
        return Ok(());
    }
    tracing::error!(what, %id, "the checksum of a row does not match, it is set aside");
    Err(Failure::Damaged(format!("the checksum of {what} {id} does not match")))
}

pub(super) fn set_row(row: &Row) -> Answer<SetRow> {
    let face_set = FaceSet {
        id: face_set_id(row.try_get(0)?)?,
        tenant: codec::tenant_of(row.try_get(1)?)?,
        name: checked(FaceSetName::stored(row.try_get::<_, String>(2)?))?,
        label: text(row, 3, Note::new)?,
        note: text(row, 4, Note::new)?,
        tags: checked(Tags::stored(row.try_get(10)?))?,
        pack: codec::pack_of(row.try_get(5)?)?,
        schema: codec::schema_of(row.try_get(6)?)?,
        // The sign bit carries what is above 2^63.
        capacity: row.try_get::<_, Option<i64>>(7)?.map(i64::cast_unsigned),
        quality_gate: checked(QualityGate::from_word(row.try_get(11)?))?,
        // A damaged note that pictures are kept counts as one that says nothing.
        thumbnails: match row.try_get::<_, Option<i64>>(13)? {
            Some(checksum) => {
                let id: i64 = row.try_get(0)?;
                need_intact(checksum, checksums::thumbnail_set(id, true), "thumbnail setting of face set", id).is_ok()
            }
            None => false,
        },
        created_at: TimestampMs(row.try_get(8)?),
    };
    need_intact(row.try_get(12)?, checksums::face_set(&face_set), "face set", face_set.id)?;
    Ok(SetRow { face_set, n_gallery: whole(row, 9)? })
}

pub(super) fn person_row(row: &Row) -> Answer<PersonRow> {
    let person = Person {
        id: person_id(row.try_get(0)?)?,
        tenant: codec::tenant_of(row.try_get(1)?)?,
        key: checked(PersonKey::stored(row.try_get::<_, String>(2)?))?,
        name: text(row, 3, Note::new)?,
        note: text(row, 4, Note::new)?,
        created_at: TimestampMs(row.try_get(5)?),
    };
    need_intact(row.try_get(7)?, checksums::person(&person), "person", person.id)?;
    Ok(PersonRow { person, n_faces: whole(row, 6)? })
}

pub(super) fn owner(face_set: Option<i64>, person: Option<i64>) -> Answer<FaceOwner> {
    match (face_set, person) {
        (Some(face_set), None) => Ok(FaceOwner::FaceSet(face_set_id(face_set)?)),
        (None, Some(person)) => Ok(FaceOwner::Person(person_id(person)?)),
        _ => Err(Failure::Damaged("a face has not exactly one owner".into())),
    }
}

pub(super) fn face_row(row: &Row, tenant: TenantId) -> Answer<FaceRow> {
    let id = face_id(row.try_get(1)?)?;
    let sequence = row.try_get(0)?;
    let face = Face {
        id,
        source_face: row.try_get::<_, Option<i64>>(14)?.map_or(Ok(id), face_id)?,
        tenant,
        owner: owner(row.try_get(2)?, row.try_get(3)?)?,
        pack: codec::pack_of(row.try_get(4)?)?,
        detection: codec::detection_of(row.try_get(5)?)?,
        quality: codec::quality_of(row.try_get(6)?)?,
        subject: text(row, 7, Subject::stored)?,
        external_id: text(row, 8, ExternalId::stored)?,
        fields: codec::fields_of(row.try_get(9)?)?,
        note: text(row, 10, Note::new)?,
        source: text(row, 11, Note::new)?,
        created_at: TimestampMs(row.try_get(12)?),
        updated_at: TimestampMs(row.try_get(13)?),
    };
    need_intact(row.try_get(15)?, checksums::face(sequence, &face), "face", id)?;
    Ok(FaceRow { sequence, face })
}

/// A template of that pack, from [`VECTOR_COLUMNS`] that begin at `column`.
pub(super) fn template(row: &Row, column: usize, pack: &PackId) -> Answer<Template> {
    let (face, vector): (i64, &[u8]) = (row.try_get(column)?, row.try_get(column + 1)?);
    let computed = checksums::template(face, pack.as_str(), vector);
    need_intact(row.try_get(column + 2)?, computed, "template of the face with sequence", face)?;
    Ok(codec::template_of(pack.as_str(), vector)?)
}

/// A face and its template of that pack, from [`FACE_COLUMNS`] and [`VECTOR_COLUMNS`].
pub(super) fn face_and_template(row: &Row, tenant: TenantId, pack: &PackId) -> Answer<(FaceRow, Template)> {
    Ok((face_row(row, tenant)?, template(row, VECTOR_COLUMN, pack)?))
}

/// Every row, read, without the damaged ones, which are set aside.
pub(super) fn intact<T>(rows: &[Row], mut read: impl FnMut(&Row) -> Answer<T>) -> Answer<Vec<T>> {
    let mut found = Vec::with_capacity(rows.len());
    for row in rows {
        match read(row) {
            Err(Failure::Damaged(_)) => {}
            row => found.push(row?),
        }
    }
    Ok(found)
}

/// The tenant's face set with that id.
pub(super) async fn face_set(session: &Session, tenant: TenantId, id: FaceSetId) -> Answer<Option<SetRow>> {
    let sql =
        format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = $2 AND s.tenant = $1 AND s.name IS NOT NULL");
    let row = session.first(&sql, &[&tenant_bytes(tenant), &number(id.get())]).await?;
    row.as_ref().map(set_row).transpose()
}

/// The same, or `FaceSetNotFound`.
pub(super) async fn need_face_set(session: &Session, tenant: TenantId, id: FaceSetId) -> Answer<SetRow> {
    let found = face_set(session, tenant, id).await?;
    found.ok_or_else(|| Failure::said(Kind::FaceSetNotFound, "the face set does not exist"))
}

/// The tenant's face set of that name.
pub(super) async fn face_set_named(session: &Session, tenant: TenantId, name: &FaceSetName) -> Answer<Option<SetRow>> {
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.tenant = $1 AND s.name = $2");
    let row = session.first(&sql, &[&tenant_bytes(tenant), &name.as_str()]).await?;
    row.as_ref().map(set_row).transpose()
}

/// The template of that pack of the face with that sequence.
pub(super) async fn template_of(session: &Session, face: i64, pack: &PackId) -> Answer<Option<Template>> {
    let sql = format!("SELECT {VECTOR_COLUMNS} FROM templates AS t WHERE t.face = $1 AND t.pack = $2");
    let row = session.first(&sql, &[&face, &pack.as_str()]).await?;
    row.map(|row| template(&row, 0, pack)).transpose()
}

/// The tenant's person with that id.
pub(super) async fn person(session: &Session, tenant: TenantId, id: PersonId) -> Answer<Option<PersonRow>> {
    let sql =
        format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.id = $2 AND p.tenant = $1 AND p.key IS NOT NULL");
    let row = session.first(&sql, &[&tenant_bytes(tenant), &number(id.get())]).await?;
    row.as_ref().map(person_row).transpose()
}

/// The same, or `PersonNotFound`.
pub(super) async fn need_person(session: &Session, tenant: TenantId, id: PersonId) -> Answer<PersonRow> {
    person(session, tenant, id).await?.ok_or_else(no_person)
}

/// `PersonNotFound`.
pub(super) fn no_person() -> Failure {
    Failure::said(Kind::PersonNotFound, "the person does not exist")
}

/// The tenant as the columns have it.
pub(super) fn tenant_bytes(tenant: TenantId) -> Vec<u8> {
    codec::tenant_bytes(tenant).to_vec()
}
