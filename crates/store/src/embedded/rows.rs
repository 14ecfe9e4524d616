//! Rows as the domain's types, and the look-ups that guard every other query: a face set or person of another tenant,
//! or a deleted one, is not there.

use likeness_domain::types::{
    AccessKeyId, ExternalId, Face, FaceId, FaceOwner, FaceSet, FaceSetId, FaceSetName, Note, PackId, Person, PersonId,
    PersonKey, QualityGate, Subject, Tags, Template, TenantId, TimestampMs,
};
use likeness_domain::{Kind, Result};
use rusqlite::{Connection, Params, Row};

use super::checksums::{Columns, FACE_SETS, FACES, PERSONS, TEMPLATES, THUMBNAIL_SETS};
use super::codec;
use super::errors::{Answer, Failure};

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
    pub(super) sequence: u64,
    pub(super) face: Face,
}

/// Columns of [`set_row`], of `face_sets AS s`.
pub(super) static SET_COLUMNS: Columns = Columns::new(|| {
    let (intact, is_kept) = (FACE_SETS.intact("s"), THUMBNAIL_SETS.intact("w"));
    // Damaged, it counts as one that says nothing: then no picture is kept.
    format!(
        "s.id, s.tenant, s.name, s.label, s.note, s.pack, s.fields, s.capacity, s.created_at, s.n_gallery, \
         s.tags, s.quality_gate, {intact}, EXISTS (SELECT 1 FROM thumbnail_sets AS w \
         WHERE w.face_set = s.id AND w.wanted = 1 AND {is_kept})"
    )
});

/// Columns of [`person_row`], of `persons AS p`.
pub(super) static PERSON_COLUMNS: Columns =
    Columns::new(|| format!("p.id, p.tenant, p.key, p.name, p.note, p.created_at, p.n_faces, {}", PERSONS.intact("p")));

/// Columns of [`face_row`], of `faces AS f`. No vector is among them.
pub(super) static FACE_COLUMNS: Columns = Columns::new(|| {
    let intact = FACES.intact("f");
    format!(
        "f.sequence, f.id, f.face_set, f.person, f.pack, f.detection, f.quality, f.subject, f.external_id, f.fields, \
         f.note, f.source, f.created_at, f.updated_at, f.origin, {intact}"
    )
});

/// Column of [`FACE_COLUMNS`] that says whether the row is what was written.
pub(super) const FACE_INTACT: usize = 15;

/// A number as SQLite has it: one beyond its integers is as good as the largest, since nothing is numbered so high.
pub(super) fn number(value: u64) -> i64 {
    i64::try_from(value).unwrap_or(i64::MAX)
}

/// A checked type read back: the database never held anything else, unless it was damaged.
pub(super) fn checked<T>(made: Result<T>) -> Answer<T> {
    made.map_err(|error| Failure::Damaged(error.message().to_owned()))
}

pub(super) fn text<T>(row: &Row<'_>, column: usize, make: impl Fn(String) -> Result<T>) -> Answer<Option<T>> {
    row.get::<_, Option<String>>(column)?.map(|text| checked(make(text))).transpose()
}

/// The id of an access key, of rows that were made with one.
pub(super) fn key_id(row: &Row<'_>, column: usize) -> Answer<Option<AccessKeyId>> {
    let malformed = || Failure::Damaged("the id of an access key is malformed".into());
    row.get::<_, Option<String>>(column)?.map(|id| AccessKeyId::new(&id).ok_or_else(malformed)).transpose()
}

fn damaged_id(what: &str) -> Failure {
    Failure::Damaged(format!("the id of a {what} is out of range"))
}

pub(super) fn face_id(value: u64) -> Answer<FaceId> {
    FaceId::new(value).ok_or_else(|| damaged_id("face"))
}

pub(super) fn face_set_id(value: u64) -> Answer<FaceSetId> {
    FaceSetId::new(value).ok_or_else(|| damaged_id("face set"))
}

pub(super) fn person_id(value: u64) -> Answer<PersonId> {
    PersonId::new(value).ok_or_else(|| damaged_id("person"))
}

/// Column of [`SET_COLUMNS`] that says whether the row is what was written.
pub(super) const SET_INTACT: usize = 12;

/// The same of [`PERSON_COLUMNS`].
pub(super) const PERSON_INTACT: usize = 7;

pub(super) fn set_row(row: &Row<'_>) -> Answer<SetRow> {
    need_intact(row, SET_INTACT, "face set", 0)?;
    Ok(SetRow {
        face_set: FaceSet {
            id: face_set_id(row.get(0)?)?,
            tenant: codec::tenant_of(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?,
            name: checked(FaceSetName::stored(row.get::<_, String>(2)?))?,
            label: text(row, 3, Note::new)?,
            note: text(row, 4, Note::new)?,
            tags: checked(Tags::stored(row.get_ref(10)?.as_str().map_err(rusqlite::Error::from)?))?,
            pack: codec::pack_of(row.get_ref(5)?.as_str().map_err(rusqlite::Error::from)?)?,
            schema: codec::schema_of(row.get_ref(6)?.as_str().map_err(rusqlite::Error::from)?)?,
            // SQLite's integers end at 2^63; the sign bit carries the rest.
            capacity: row.get::<_, Option<i64>>(7)?.map(|capacity| capacity as u64),
            quality_gate: checked(QualityGate::from_word(row.get_ref(11)?.as_str().map_err(rusqlite::Error::from)?))?,
            thumbnails: row.get(13)?,
            created_at: TimestampMs(row.get(8)?),
        },
        n_gallery: row.get(9)?,
    })
}

pub(super) fn person_row(row: &Row<'_>) -> Answer<PersonRow> {
    need_intact(row, PERSON_INTACT, "person", 0)?;
    Ok(PersonRow {
        person: Person {
            id: person_id(row.get(0)?)?,
            tenant: codec::tenant_of(row.get_ref(1)?.as_blob().map_err(rusqlite::Error::from)?)?,
            key: checked(PersonKey::stored(row.get::<_, String>(2)?))?,
            name: text(row, 3, Note::new)?,
            note: text(row, 4, Note::new)?,
            created_at: TimestampMs(row.get(5)?),
        },
        n_faces: row.get(6)?,
    })
}

pub(super) fn owner(face_set: Option<u64>, person: Option<u64>) -> Answer<FaceOwner> {
    match (face_set, person) {
        (Some(face_set), None) => Ok(FaceOwner::FaceSet(face_set_id(face_set)?)),
        (None, Some(person)) => Ok(FaceOwner::Person(person_id(person)?)),
        _ => Err(Failure::Damaged("a face has not exactly one owner".into())),
    }
}

pub(super) fn face_row(row: &Row<'_>, tenant: TenantId) -> Answer<FaceRow> {
    need_intact(row, FACE_INTACT, "face", 1)?;
    let blob = |column: usize| row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from);
    let blob_or_null = |column: usize| row.get_ref(column)?.as_blob_or_null().map_err(rusqlite::Error::from);
    let pack = row.get_ref(4)?.as_str().map_err(rusqlite::Error::from)?;
    let id = face_id(row.get(1)?)?;
    Ok(FaceRow {
        sequence: row.get(0)?,
        face: Face {
            id,
            source_face: row.get::<_, Option<u64>>(14)?.map_or(Ok(id), face_id)?,
            tenant,
            owner: owner(row.get(2)?, row.get(3)?)?,
            pack: codec::pack_of(pack)?,
            detection: codec::detection_of(blob(5)?)?,
            quality: codec::quality_of(blob_or_null(6)?)?,
            subject: text(row, 7, Subject::stored)?,
            external_id: text(row, 8, ExternalId::stored)?,
            fields: codec::fields_of(blob_or_null(9)?)?,
            note: text(row, 10, Note::new)?,
            source: text(row, 11, Note::new)?,
            created_at: TimestampMs(row.get(12)?),
            updated_at: TimestampMs(row.get(13)?),
        },
    })
}

/// Column of the vector in a question for [`FACE_COLUMNS`] and then [`VECTOR_COLUMNS`].
const VECTOR_COLUMN: usize = FACE_INTACT + 1;

/// A face and its template of that pack, from [`FACE_COLUMNS`] and [`VECTOR_COLUMNS`].
pub(super) fn face_and_template(row: &Row<'_>, tenant: TenantId, pack: &PackId) -> Answer<(FaceRow, Template)> {
    Ok((face_row(row, tenant)?, template(row, VECTOR_COLUMN, pack)?))
}

/// Columns of [`template`], of `templates AS t`.
pub(super) static VECTOR_COLUMNS: Columns = Columns::new(|| format!("t.vector, {}", TEMPLATES.intact("t")));

/// A template of that pack, from [`VECTOR_COLUMNS`] that begin at `column`.
pub(super) fn template(row: &Row<'_>, column: usize, pack: &PackId) -> Answer<Template> {
    let template = codec::template_of(pack.as_str(), row.get_ref(column)?.as_blob().map_err(rusqlite::Error::from)?)?;
    match row.get(column + 1)? {
        true => Ok(template),
        false => Err(Failure::Damaged("the checksum of a template does not match".into())),
    }
}

/// [`Failure::Damaged`] unless the answer of `row_intact` in `column` is yes; `id_column` names the row, which is a `what`.
pub(super) fn need_intact(row: &Row<'_>, column: usize, what: &str, id_column: usize) -> Answer<()> {
    if row.get(column)? {
        return Ok(());
    }
    let id = row.get::<_, rusqlite::types::Value>(id_column)?;
    let id = match id {
        rusqlite::types::Value::Integer(id) => format!(" {id}"),
        _ => String::new(),
    };
    Err(Failure::Damaged(format!("the checksum of {what}{id} does not match")))
}

/// Numbers as a JSON array, to be unpacked by `json_each` so that one prepared statement takes any number of ids.
pub(super) fn json_array(numbers: impl IntoIterator<Item = u64>) -> String {
    let mut text = String::from("[");
    for number in numbers {
        if text.len() > 1 {
            text.push(',');
        }
        text.push_str(&number.to_string());
    }
    text.push(']');
    text
}

/// Every row of a question, read.
pub(super) fn all<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push(read(row)?);
    }
    Ok(found)
}

/// The same without the damaged rows, which are set aside: they are in the damage log by then.
pub(super) fn intact<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    mut read: impl FnMut(&Row<'_>) -> Answer<T>,
) -> Answer<Vec<T>> {
    let rows = all(conn, sql, params, |row| match read(row) {
        Err(Failure::Damaged(_)) => Ok(None),
        row => row.map(Some),
    })?;
    Ok(rows.into_iter().flatten().collect())
}

/// The first row of a question, read.
pub(super) fn first<T>(
    conn: &Connection,
    sql: &str,
    params: impl Params,
    read: impl FnOnce(&Row<'_>) -> Answer<T>,
) -> Answer<Option<T>> {
    let mut statement = conn.prepare_cached(sql)?;
    let mut rows = statement.query(params)?;
    rows.next()?.map(read).transpose()
}

/// The tenant's face set with that id.
pub(super) fn face_set(conn: &Connection, tenant: TenantId, id: FaceSetId) -> Answer<Option<SetRow>> {
    let sql =
        format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.id = ?2 AND s.tenant = ?1 AND s.name IS NOT NULL");
    first(conn, &sql, (codec::tenant_bytes(tenant), id.get()), set_row)
}

/// The same, or `FaceSetNotFound`.
pub(super) fn need_face_set(conn: &Connection, tenant: TenantId, id: FaceSetId) -> Answer<SetRow> {
    face_set(conn, tenant, id)?.ok_or_else(|| Failure::said(Kind::FaceSetNotFound, "the face set does not exist"))
}

/// The tenant's face set of that name.
pub(super) fn face_set_named(conn: &Connection, tenant: TenantId, name: &FaceSetName) -> Answer<Option<SetRow>> {
    let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.tenant = ?1 AND s.name = ?2");
    first(conn, &sql, (codec::tenant_bytes(tenant), name.as_str()), set_row)
}

/// The tenant's person with that id.
pub(super) fn person(conn: &Connection, tenant: TenantId, id: PersonId) -> Answer<Option<PersonRow>> {
    let sql =
        format!("SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.id = ?2 AND p.tenant = ?1 AND p.key IS NOT NULL");
    first(conn, &sql, (codec::tenant_bytes(tenant), id.get()), person_row)
}

/// The same, or `PersonNotFound`.
pub(super) fn need_person(conn: &Connection, tenant: TenantId, id: PersonId) -> Answer<PersonRow> {
    person(conn, tenant, id)?.ok_or_else(|| Failure::said(Kind::PersonNotFound, "the person does not exist"))
}
