//! Names that are there are brought into Unicode NFC, as those that come are: part of the upgrade to layout 2.
//!
//! Subjects, tags and texts of custom fields become equal. Face sets, persons and external ids of which another one has the
//! name keep their own under a name with `-2` at its end, to be renamed or merged by whoever knows. Damaged rows stay as
//! they are. The embedded store's `respell.rs` says more.

use std::collections::{HashMap, HashSet};

use likeness_domain::types::{
    ExternalId, FaceOwner, FaceSetName, LookAlikes, Note, PersonKey, Subject, Tags, TenantId, UploadName,
};

use super::checksums;
use super::errors::{Answer, Failure};
use super::rows::{self, FACE_COLUMNS, PERSON_COLUMNS, SET_COLUMNS};
use super::session::{Session, Values};
use super::transient;
use crate::embedded::codec::tenant_bytes;
use crate::embedded::respell::{fields_in_nfc, look_alike_notes, note, with_suffix};

/// Faces read at a time.
const PAGE: i64 = 5000;

/// Most joined or renamed things that are listed.
const NOTES_MAX: i64 = 100;

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Respelled {
    /// Rows that were rewritten.
    pub(super) n_rows: u64,
    /// Subjects of one face set that had several spellings.
    pub(super) n_subjects_joined: u64,
    /// Face sets, persons and external ids that got a suffix.
    pub(super) n_renamed: u64,
}

/// Rewrites every name that is not in NFC. Call it in a transaction; doing it again does nothing.
pub(super) async fn respell(session: &Session) -> Answer<Respelled> {
    let mut work = Respelling { session, done: Respelled::default(), next: HashMap::new() };
    work.faces().await?;
    work.done.n_rows += transient::respell(session).await?;
    work.face_sets().await?;
    work.persons().await?;
    work.uploads().await?;
    if work.done.n_rows > 0 {
        // Followers that saw the old names read the tables instead of the commits.
        session.execute("UPDATE store SET revision = revision + 1, compacted = revision + 1", &[]).await?;
        session.execute("DELETE FROM commits", &[]).await?;
    }
    Ok(work.done)
}

struct Respelling<'a> {
    session: &'a Session,
    done: Respelled,
    /// The number with which the next one of a name (of an owner) is tried.
    next: HashMap<(String, String), u64>,
}

/// The row, unless it is damaged.
fn unless_damaged<T>(row: Answer<T>) -> Answer<Option<T>> {
    match row {
        Err(Failure::Damaged(_)) => Ok(None),
        row => row.map(Some),
    }
}

impl Respelling<'_> {
    /// A free name like the wanted one, its end, and who has the name if that is not empty. `sql` looks for the id of the one of
    /// a name: $1 the name, then `values`.
    async fn free(
        &mut self,
        sql: &str,
        values: Values<'_>,
        (scope, wanted, chars_max): (String, &str, usize),
    ) -> Answer<(String, String, i64)> {
        let mut n = self.next.get(&(scope.clone(), wanted.to_owned())).copied().unwrap_or(1);
        let mut holder = 0;
        let (name, suffix) = loop {
            let (name, suffix) = with_suffix(wanted, n, chars_max);
            n += 1;
            let mut with_name: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&name];
            with_name.extend_from_slice(values);
            match self.session.first(sql, &with_name).await? {
                Some(row) => holder = row.try_get(0)?,
                None => break (name, suffix),
            }
        };
        if !suffix.is_empty() {
            let mut with_name: Vec<&(dyn tokio_postgres::types::ToSql + Sync)> = vec![&wanted];
            with_name.extend_from_slice(values);
            if let Some(row) = self.session.first(sql, &with_name).await? {
                holder = row.try_get(0)?;
            }
        }
        self.next.insert((scope, wanted.to_owned()), n);
        Ok((name, suffix, holder))
    }

    async fn note(&mut self, kind: &str, row: i64, other: i64, suffix: Option<&str>) -> Answer<()> {
        let sql = "INSERT INTO respelled (kind, row_id, other, suffix) VALUES ($1, $2, $3, $4)";
        self.session.execute(sql, &[&kind, &row, &other, &suffix]).await?;
        if suffix.is_some_and(|suffix| !suffix.is_empty()) {
            self.done.n_renamed += 1;
        }
        Ok(())
    }

    async fn faces(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT {FACE_COLUMNS} FROM faces AS f WHERE f.sequence > $1
               AND (octet_length(f.subject) > char_length(f.subject) OR f.fields IS NOT NULL
                    OR octet_length(f.external_id) > char_length(f.external_id))
             ORDER BY f.sequence LIMIT $2"
        );
        let mut after = -1_i64;
        let mut joined: HashMap<i64, HashSet<String>> = HashMap::new();
        loop {
            let found = self.session.query(&sql, &[&after, &PAGE]).await?;
            let Some(last) = found.last() else { break };
            after = last.try_get(0)?;
            for row in &found {
                let Some(row) = unless_damaged(rows::face_row(row, TenantId::from_bits(0)))? else { continue };
                let (sequence, before) = (row.sequence, row.face);
                let mut face = before.clone();
                face.subject = rows::checked(face.subject.map(|subject| Subject::new(subject.as_str())).transpose())?;
                face.fields = fields_in_nfc(face.fields);
                let wanted = before.external_id.as_ref().map(|id| ExternalId::new(id.as_str())).transpose();
                let wanted = rows::checked(wanted)?;
                if wanted != before.external_id
                    && let Some(wanted) = wanted
                {
                    let (column, owner) = match face.owner {
                        FaceOwner::FaceSet(id) => ("face_set", rows::number(id.get())),
                        FaceOwner::Person(id) => ("person", rows::number(id.get())),
                    };
                    let sql = format!("SELECT id FROM faces WHERE external_id = $1 AND {column} = $2");
                    let name = (format!("{column} {owner}"), wanted.as_str(), ExternalId::CHARS_MAX);
                    let (free, suffix, holder) = self.free(&sql, &[&owner], name).await?;
                    if !suffix.is_empty() {
                        self.note("external id", rows::number(face.id.get()), holder, Some(&suffix)).await?;
                    }
                    face.external_id = Some(rows::checked(ExternalId::stored(free))?);
                }
                let is_same = face.subject == before.subject
                    && face.external_id == before.external_id
                    && face.fields == before.fields;
                if is_same {
                    continue;
                }
                if face.subject != before.subject
                    && let (FaceOwner::FaceSet(set), Some(subject)) = (face.owner, &face.subject)
                {
                    let set = rows::number(set.get());
                    let sql = "SELECT 1 FROM faces WHERE face_set = $1 AND subject = $2 LIMIT 1";
                    if self.session.exists(sql, &[&set, &subject.as_str()]).await? {
                        joined.entry(set).or_default().insert(subject.as_str().to_owned());
                    }
                }
                self.session
                    .execute(
                        "UPDATE faces SET subject = $2, external_id = $3, fields = $4, checksum = $5 WHERE sequence = $1",
                        &[
                            &sequence,
                            &face.subject.as_ref().map(|subject| subject.as_str()),
                            &face.external_id.as_ref().map(|id| id.as_str()),
                            &crate::embedded::codec::fields_bytes(&face.fields),
                            &checksums::face(sequence, &face),
                        ],
                    )
                    .await?;
                self.done.n_rows += 1;
            }
        }
        for (set, subjects) in joined {
            self.note("subject", set, rows::number(subjects.len() as u64), None).await?;
            self.done.n_subjects_joined += subjects.len() as u64;
        }
        Ok(())
    }

    async fn face_sets(&mut self) -> Answer<()> {
        let sql = format!("SELECT {SET_COLUMNS} FROM face_sets AS s WHERE s.name IS NOT NULL ORDER BY s.sequence");
        for row in self.session.query(&sql, &[]).await? {
            let Some(row) = unless_damaged(rows::set_row(&row))? else { continue };
            let before = row.face_set;
            let mut set = before.clone();
            set.label = set.label.map(Note::as_name);
            set.tags = rows::checked(Tags::parse(&set.tags.to_string()))?;
            let wanted = rows::checked(FaceSetName::new(set.name.as_str()))?;
            let (id, tenant) = (rows::number(set.id.get()), tenant_bytes(set.tenant));
            if wanted != before.name {
                let sql = "SELECT id FROM face_sets WHERE name = $1 AND tenant = $2";
                let name = (format!("sets of {}", set.tenant), wanted.as_str(), FaceSetName::CHARS_MAX);
                let (free, suffix, holder) = self.free(sql, &[&&tenant[..]], name).await?;
                if !suffix.is_empty() {
                    self.note("face set", id, holder, Some(&suffix)).await?;
                }
                set.name = rows::checked(FaceSetName::stored(free))?;
            }
            if (&set.name, &set.label, &set.tags) == (&before.name, &before.label, &before.tags) {
                continue;
            }
            let label = set.label.as_ref().map(|label| label.as_str());
            self.session
                .execute(
                    "UPDATE face_sets SET name = $2, label = $3, tags = $4, checksum = $5 WHERE id = $1",
                    &[&id, &set.name.as_str(), &label, &set.tags.to_string(), &checksums::face_set(&set)],
                )
                .await?;
            self.done.n_rows += 1;
        }
        Ok(())
    }

    async fn persons(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT {PERSON_COLUMNS} FROM persons AS p WHERE p.key IS NOT NULL
               AND (octet_length(p.key) > char_length(p.key) OR octet_length(p.name) > char_length(p.name))
             ORDER BY p.created_at, p.id"
        );
        for row in self.session.query(&sql, &[]).await? {
            let Some(row) = unless_damaged(rows::person_row(&row))? else { continue };
            let before = row.person;
            let mut person = before.clone();
            person.name = person.name.map(Note::as_name);
            let wanted = rows::checked(PersonKey::new(person.key.as_str()))?;
            let (id, tenant) = (rows::number(person.id.get()), tenant_bytes(person.tenant));
            if wanted != before.key {
                let sql = "SELECT id FROM persons WHERE key = $1 AND tenant = $2";
                let name = (format!("persons of {}", person.tenant), wanted.as_str(), PersonKey::CHARS_MAX);
                let (free, suffix, holder) = self.free(sql, &[&&tenant[..]], name).await?;
                if !suffix.is_empty() {
                    self.note("person", id, holder, Some(&suffix)).await?;
                }
                person.key = rows::checked(PersonKey::stored(free))?;
            }
            if (&person.key, &person.name) == (&before.key, &before.name) {
                continue;
            }
            let name = person.name.as_ref().map(|name| name.as_str());
            self.session
                .execute(
                    "UPDATE persons SET key = $2, name = $3, checksum = $4 WHERE id = $1",
                    &[&id, &person.key.as_str(), &name, &checksums::person(&person)],
                )
                .await?;
            self.done.n_rows += 1;
        }
        Ok(())
    }

    /// Whoever hands a picture in again under its name replaces it.
    async fn uploads(&mut self) -> Answer<()> {
        let sql = "SELECT tenant, name FROM pictures WHERE octet_length(name) > char_length(name)";
        for row in self.session.query(sql, &[]).await? {
            let (tenant, name): (Vec<u8>, String) = (row.try_get(0)?, row.try_get(1)?);
            let wanted = rows::checked(UploadName::new(name.as_str()))?;
            if wanted.as_str() == name {
                continue;
            }
            let values: Values<'_> = &[&tenant, &wanted.as_str()];
            self.session.execute("DELETE FROM pictures WHERE tenant = $1 AND name = $2", values).await?;
            let sql = "UPDATE pictures SET name = $2 WHERE tenant = $1 AND name = $3";
            self.session.execute(sql, &[&tenant, &wanted.as_str(), &name]).await?;
            self.done.n_rows += 1;
        }
        Ok(())
    }
}

/// What an upgrade has joined and renamed, for people, as far as it is still there.
pub(super) async fn notes(session: &Session) -> Answer<Vec<String>> {
    let sql = "SELECT r.kind, r.other, r.suffix,
                coalesce(s.name, p.key, f.external_id, ''), coalesce(s.id, p.id, f.id)
         FROM respelled AS r
         LEFT JOIN face_sets AS s ON s.id = r.row_id AND r.kind IN ('subject', 'face set') AND s.name IS NOT NULL
         LEFT JOIN persons AS p ON p.id = r.row_id AND r.kind = 'person' AND p.key IS NOT NULL
         LEFT JOIN faces AS f ON f.id = r.row_id AND r.kind = 'external id'
         WHERE coalesce(s.id, p.id, f.id) IS NOT NULL
           AND (r.suffix IS NULL OR coalesce(s.name, p.key, f.external_id) LIKE '%' || r.suffix)
         ORDER BY r.id LIMIT $1";
    let mut notes = Vec::new();
    for row in session.query(sql, &[&NOTES_MAX]).await? {
        let (kind, other, suffix): (&str, i64, Option<&str>) = (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
        notes.push(note(kind, other, suffix, row.try_get(3)?, rows::whole(&row, 4)?));
    }
    Ok(notes)
}

/// Names that people take for one another, as the embedded store's.
pub(super) async fn look_alikes(session: &Session) -> Answer<Vec<String>> {
    let mut notes = Vec::new();
    for row in session.query("SELECT id, name FROM tenants ORDER BY rank", &[]).await? {
        let (tenant, name): (Vec<u8>, String) = (row.try_get(0)?, row.try_get(1)?);
        for (what, sql) in [
            ("face sets", "SELECT name FROM face_sets WHERE tenant = $1 AND name IS NOT NULL"),
            ("persons", "SELECT key FROM persons WHERE tenant = $1 AND key IS NOT NULL"),
            (
                "persons by name",
                "SELECT DISTINCT name FROM persons WHERE tenant = $1 AND key IS NOT NULL AND name <> ''",
            ),
        ] {
            let names = session.query(sql, &[&tenant]).await?;
            note_look_alikes(&names, &format!("{what} of tenant `{name}`"), &mut notes)?;
        }
    }
    let sets = session.query("SELECT id, name FROM face_sets WHERE name IS NOT NULL ORDER BY sequence", &[]).await?;
    for row in sets {
        let (set, name): (i64, String) = (row.try_get(0)?, row.try_get(1)?);
        let sql = "SELECT DISTINCT subject FROM faces WHERE face_set = $1 AND subject IS NOT NULL";
        let names = session.query(sql, &[&set]).await?;
        note_look_alikes(&names, &format!("subjects of face set `{}`", name.escape_debug()), &mut notes)?;
    }
    Ok(notes)
}

fn note_look_alikes(rows: &[tokio_postgres::Row], place: &str, notes: &mut Vec<String>) -> Answer<()> {
    let mut found = LookAlikes::default();
    for row in rows {
        found.first(row.try_get(0)?);
    }
    for row in rows {
        found.second(row.try_get(0)?);
    }
    notes.extend(look_alike_notes(place, found));
    notes.truncate(NOTES_MAX as usize);
    Ok(())
}
