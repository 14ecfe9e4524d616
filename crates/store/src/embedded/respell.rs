//! Names that are there are brought into Unicode NFC, as those that come are: part of the upgrade to layout 9, and of a
//! recovery. What was apart by its spelling alone is joined where that is safe, or stays apart visibly.
//!
//! - Subjects become equal, as do tags and texts of custom fields.
//! - Persons are merged, as the library merges them, into the one whose key was in NFC or else is the older.
//! - Face sets may differ in all that they are, and external ids tell faces apart: the second keeps its own under a name
//!   with `-2` at its end.
//!
//! A damaged row stays as it is. Face sets' labels and persons' names are names, too; notes are left alone.

use std::collections::HashMap;

use likeness_domain::access::Limits;
use likeness_domain::ports::{Clock, FaceMove};
use likeness_domain::types::{
    ExternalId, FaceSetName, FieldValue, FieldValues, LookAlikes, Note, PersonId, PersonKey, Subject, TEXT_CHARS_MAX,
    Tags, TenantId, UploadName, nfc,
};
use rusqlite::functions::{Context, FunctionFlags};
use rusqlite::types::Value;
use rusqlite::{Connection, ToSql};

use super::checksums::{self, FACE_SETS, FACES, HELD_FACES, PERSONS};
use super::errors::{Answer, Failure};
use super::scope::sets_of_person;
use super::transaction::WriteTx;
use super::{codec, numbers, persons, rows};
use crate::clock::WallClock;

/// What was done.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Respelled {
    /// Rows that were rewritten.
    pub(super) n_rows: u64,
    /// Subjects of one face set that had several spellings.
    pub(super) n_subjects_joined: u64,
    /// Persons that were merged into another.
    pub(super) n_persons_joined: u64,
    /// Face sets, persons and external ids that got a suffix.
    pub(super) n_renamed: u64,
}

/// Rewrites every name that is not in NFC. Call it in a transaction; doing it again does nothing.
pub(super) fn respell(conn: &Connection) -> Answer<Respelled> {
    register(conn)?;
    let mut work = Respelling { conn, done: Respelled::default(), next: HashMap::new() };
    work.faces()?;
    work.held_faces()?;
    work.face_sets()?;
    work.persons()?;
    // Whoever hands a picture in again under its name replaces it.
    let sql = format!(
        "UPDATE OR REPLACE pictures SET name = nfc(name, {max}) WHERE name <> nfc(name, {max})",
        max = UploadName::CHARS_MAX
    );
    work.done.n_rows += conn.execute(&sql, [])? as u64;
    let done = work.done;
    for (name, n_arguments) in FUNCTIONS {
        conn.remove_function(name, n_arguments)?;
    }
    if done.n_rows > 0 {
        // Indexes and followers that saw the old names read the tables instead of the commits.
        conn.execute(
            "UPDATE store SET revision = max(revision, last_commit) + 1,
                 last_commit = max(revision, last_commit) + 1, compacted = max(revision, last_commit) + 1",
            [],
        )?;
        conn.execute("DELETE FROM commits", [])?;
    }
    Ok(done)
}

const FUNCTIONS: [(&str, i32); 3] = [("nfc", 2), ("nfc_tags", 1), ("nfc_fields", 1)];

/// The functions in which the rewriting is told to SQLite. What is no text or does not decode stays.
fn register(conn: &Connection) -> rusqlite::Result<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC | FunctionFlags::SQLITE_DIRECTONLY;
    let text_or = |context: &Context<'_>, change: &dyn Fn(String) -> String| {
        Ok(match context.get::<Value>(0)? {
            Value::Text(text) => Value::Text(change(text)),
            other => other,
        })
    };
    conn.create_scalar_function("nfc", 2, flags, move |context| {
        let chars_max = context.get(1)?;
        text_or(context, &|text| nfc(text, chars_max))
    })?;
    conn.create_scalar_function("nfc_tags", 1, flags, move |context| {
        text_or(context, &|text| Tags::parse(&text).map_or(text, |tags| tags.to_string()))
    })?;
    conn.create_scalar_function("nfc_fields", 1, flags, |context| {
        let bytes: Option<Vec<u8>> = context.get(0)?;
        let Ok(fields) = codec::fields_of(bytes.as_deref()) else { return Ok(bytes) };
        Ok(codec::fields_bytes(&fields_in_nfc(fields)))
    })
}

/// The values with their texts in NFC.
pub(crate) fn fields_in_nfc(fields: FieldValues) -> FieldValues {
    FieldValues::new(fields.values().iter().cloned().map(|(name, value)| match value {
        FieldValue::Text(text) => (name, FieldValue::Text(nfc(text.to_string(), TEXT_CHARS_MAX).into())),
        other => (name, other),
    }))
}

/// The name with the first of no end, `-2`, `-3` .. from `n` on that is free, shortened if need be; the end, and the number to
/// go on with.
pub(crate) fn with_suffix(name: &str, n: u64, chars_max: usize) -> (String, String) {
    if n < 2 {
        return (name.to_owned(), String::new());
    }
    let suffix = format!("-{n}");
    let kept: String = name.chars().take(chars_max.saturating_sub(suffix.len())).collect();
    (format!("{kept}{suffix}"), suffix)
}

struct Respelling<'a> {
    conn: &'a Connection,
    done: Respelled,
    /// The number with which the next one of a name (of an owner) is tried, so that thousands of spellings of one name do not
    /// try all numbers each.
    next: HashMap<(&'static str, i64, String), u64>,
}

impl Respelling<'_> {
    /// A free name like the wanted one, and its end. `sql` looks for one of the owner: ?1 the owner, ?2 the name.
    fn free(
        &mut self,
        sql: &str,
        (kind, scope, owner): (&'static str, i64, &dyn ToSql),
        wanted: &str,
        chars_max: usize,
    ) -> Answer<(String, String)> {
        let n = self.next.entry((kind, scope, wanted.to_owned())).or_insert(1);
        loop {
            let (name, suffix) = with_suffix(wanted, *n, chars_max);
            *n += 1;
            if !self.conn.prepare_cached(sql)?.exists(rusqlite::params![owner, name])? {
                return Ok((name, suffix));
            }
        }
    }

    fn note(&mut self, kind: &str, row: i64, other: i64, suffix: Option<&str>) -> Answer<()> {
        let sql = "INSERT INTO respelled (kind, row, other, suffix) VALUES (?1, ?2, ?3, ?4)";
        self.conn.prepare_cached(sql)?.execute((kind, row, other, suffix))?;
        if suffix.is_some() {
            self.done.n_renamed += 1;
        }
        Ok(())
    }

    fn faces(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT f.sequence, f.id, f.face_set, f.person, f.external_id, nfc(f.external_id, {external})
             FROM faces AS f
             WHERE (f.subject IS NOT nfc(f.subject, {subject}) OR f.external_id IS NOT nfc(f.external_id, {external})
                    OR f.fields IS NOT nfc_fields(f.fields))
               AND {} ORDER BY f.sequence",
            FACES.intact("f"),
            external = ExternalId::CHARS_MAX,
            subject = Subject::CHARS_MAX
        );
        type Found = (i64, i64, Option<i64>, Option<i64>, Option<String>, Option<String>);
        let found: Vec<Found> = rows::all(self.conn, &sql, (), |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?, row.get(4)?, row.get(5)?))
        })?;
        if found.is_empty() {
            return Ok(());
        }
        self.subjects()?;
        let update = format!(
            "UPDATE faces SET subject = nfc(subject, {}), external_id = ?2, fields = nfc_fields(fields) WHERE sequence = ?1",
            Subject::CHARS_MAX
        );
        for (sequence, id, face_set, person, external_id, wanted) in found {
            let (owner, column) = match (face_set, person) {
                (Some(face_set), _) => (face_set, "face_set"),
                (None, person) => (person.unwrap_or_default(), "person"),
            };
            let external_id = match wanted {
                Some(wanted) if Some(&wanted) != external_id.as_ref() => {
                    Some(self.free_external_id(id, (column, owner), &wanted)?)
                }
                _ => external_id,
            };
            self.conn.prepare_cached(&update)?.execute((sequence, external_id))?;
            checksums::renew(self.conn, &FACES, "sequence", sequence)?;
            self.done.n_rows += 1;
        }
        Ok(())
    }

    /// An external id like the wanted one that no face of the owner has, for that face.
    fn free_external_id(&mut self, face: i64, (column, owner): (&'static str, i64), wanted: &str) -> Answer<String> {
        let sql = format!("SELECT id FROM faces WHERE {column} = ?1 AND external_id = ?2");
        let (free, suffix) = self.free(&sql, (column, owner, &owner), wanted, ExternalId::CHARS_MAX)?;
        if !suffix.is_empty() {
            let other = rows::first(self.conn, &sql, (owner, wanted), |row| Ok(row.get(0)?))?.unwrap_or_default();
            self.note("external id", face, other, Some(&suffix))?;
        }
        Ok(free)
    }

    /// Counts the subjects that become one, before they do.
    fn subjects(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT face_set, count(*) FROM (
                 SELECT face_set, nfc(subject, {}) AS name FROM faces
                 WHERE face_set IS NOT NULL AND subject IS NOT NULL
                 GROUP BY face_set, name HAVING count(DISTINCT subject) > 1)
             GROUP BY face_set",
            Subject::CHARS_MAX
        );
        for (face_set, n_joined) in rows::all(self.conn, &sql, (), |row| Ok((row.get(0)?, row.get(1)?)))? {
            self.note("subject", face_set, n_joined, None)?;
            self.done.n_subjects_joined += n_joined.cast_unsigned();
        }
        Ok(())
    }

    fn held_faces(&mut self) -> Answer<()> {
        let (max, intact) = (Subject::CHARS_MAX, HELD_FACES.intact("h"));
        let sql =
            format!("SELECT h.sequence FROM held_faces AS h WHERE h.subject IS NOT nfc(h.subject, {max}) AND {intact}");
        for sequence in rows::all(self.conn, &sql, (), |row| Ok(row.get::<_, i64>(0)?))? {
            let sql = format!("UPDATE held_faces SET subject = nfc(subject, {max}) WHERE sequence = ?1");
            self.conn.prepare_cached(&sql)?.execute([sequence])?;
            checksums::renew(self.conn, &HELD_FACES, "sequence", sequence)?;
            self.done.n_rows += 1;
        }
        Ok(())
    }

    fn face_sets(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT s.id, s.tenant, s.name, nfc(s.name, {name}) FROM face_sets AS s
             WHERE s.name IS NOT NULL AND (s.name <> nfc(s.name, {name}) OR s.label IS NOT nfc(s.label, {label})
                                           OR s.tags <> nfc_tags(s.tags))
               AND {} ORDER BY s.sequence",
            FACE_SETS.intact("s"),
            name = FaceSetName::CHARS_MAX,
            label = Note::CHARS_MAX
        );
        let found: Vec<(i64, Vec<u8>, String, String)> =
            rows::all(self.conn, &sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for (id, tenant, mut name, wanted) in found {
            if name != wanted {
                let sql = "SELECT id FROM face_sets WHERE tenant = ?1 AND name = ?2";
                let other: Option<i64> = rows::first(self.conn, sql, (&tenant, &wanted), |row| Ok(row.get(0)?))?;
                // The scope is the one that has the name: of this tenant, that is.
                let scope = other.unwrap_or(-id);
                let (free, suffix) = self.free(sql, ("name", scope, &tenant), &wanted, FaceSetName::CHARS_MAX)?;
                if !suffix.is_empty() {
                    self.note("face set", id, other.unwrap_or_default(), Some(&suffix))?;
                }
                name = free;
            }
            let sql = format!(
                "UPDATE face_sets SET name = ?2, label = nfc(label, {}), tags = nfc_tags(tags) WHERE id = ?1",
                Note::CHARS_MAX
            );
            self.conn.prepare_cached(&sql)?.execute((id, name))?;
            checksums::renew(self.conn, &FACE_SETS, "id", id)?;
            self.done.n_rows += 1;
        }
        Ok(())
    }

    fn persons(&mut self) -> Answer<()> {
        let sql = format!(
            "SELECT p.id, p.tenant, p.key, nfc(p.key, {key}) FROM persons AS p
             WHERE p.key IS NOT NULL AND (p.key <> nfc(p.key, {key}) OR p.name IS NOT nfc(p.name, {name}))
               AND {} ORDER BY p.created_at, p.id",
            PERSONS.intact("p"),
            key = PersonKey::CHARS_MAX,
            name = Note::CHARS_MAX
        );
        let found: Vec<(u64, Vec<u8>, String, String)> =
            rows::all(self.conn, &sql, (), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?)))?;
        for (id, tenant, mut key, wanted) in found {
            self.done.n_rows += 1;
            if key != wanted {
                let sql = "SELECT id FROM persons WHERE tenant = ?1 AND key = ?2";
                let other: Option<u64> = rows::first(self.conn, sql, (&tenant, &wanted), |row| Ok(row.get(0)?))?;
                if let Some(other) = other
                    && self.merged(codec::tenant_of(&tenant)?, id, other)?
                {
                    self.note("person", other.cast_signed(), id.cast_signed(), None)?;
                    self.done.n_persons_joined += 1;
                    continue;
                }
                let scope = other.map_or(-id.cast_signed(), u64::cast_signed);
                let (free, suffix) = self.free(sql, ("key", scope, &tenant), &wanted, PersonKey::CHARS_MAX)?;
                if !suffix.is_empty() {
                    let other = other.unwrap_or_default().cast_signed();
                    self.note("person", id.cast_signed(), other, Some(&suffix))?;
                }
                key = free;
            }
            let sql = format!("UPDATE persons SET key = ?2, name = nfc(name, {}) WHERE id = ?1", Note::CHARS_MAX);
            self.conn.prepare_cached(&sql)?.execute((id, key))?;
            checksums::renew(self.conn, &PERSONS, "id", id)?;
        }
        Ok(())
    }

    /// Merges one person into another; false, and nothing is changed, if a set has no room for it or a face is damaged.
    fn merged(&mut self, tenant: TenantId, from: u64, into: u64) -> Answer<bool> {
        self.conn.execute_batch("SAVEPOINT merging")?;
        let before = (self.done, self.next.clone());
        match self.merge(tenant, rows::person_id(from)?, rows::person_id(into)?) {
            Ok(()) => {
                self.conn.execute_batch("RELEASE merging")?;
                Ok(true)
            }
            Err(Failure::Said(_) | Failure::Damaged(_)) => {
                self.conn.execute_batch("ROLLBACK TO merging; RELEASE merging")?;
                (self.done, self.next) = before;
                Ok(false)
            }
            Err(failure) => Err(failure),
        }
    }

    /// As `Library::merge_persons`, whose limits were kept by either person alone.
    fn merge(&mut self, tenant: TenantId, from: PersonId, into: PersonId) -> Answer<()> {
        // A row that is written anew gets a checksum, also if it was damaged.
        let sql = format!("SELECT 1 FROM faces AS f WHERE f.person = ?1 AND NOT {}", FACES.intact("f"));
        if self.conn.prepare_cached(&sql)?.exists([from.get()])? {
            return Err(Failure::Damaged("a face of the person is damaged".into()));
        }
        let sql = "SELECT f.sequence, f.id, f.external_id FROM faces AS f WHERE f.person = ?1
                   AND f.external_id IN (SELECT external_id FROM faces WHERE person = ?2)";
        let doubled: Vec<(i64, i64, String)> =
            rows::all(self.conn, sql, (from.get(), into.get()), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))?;
        for (sequence, id, external_id) in doubled {
            let owner = ("person", into.get().cast_signed());
            let free = loop {
                let free = self.free_external_id(id, owner, &external_id)?;
                let sql = "SELECT 1 FROM faces WHERE person = ?1 AND external_id = ?2";
                if !self.conn.prepare_cached(sql)?.exists((from.get(), &free))? {
                    break free;
                }
            };
            let sql = "UPDATE faces SET external_id = ?2 WHERE sequence = ?1";
            self.conn.prepare_cached(sql)?.execute((sequence, free))?;
            checksums::renew(self.conn, &FACES, "sequence", sequence)?;
        }
        let mut tx = WriteTx {
            conn: self.conn,
            changes: Vec::new(),
            actor: None,
            erased: false,
            begun: None,
            idle: false,
            counters: numbers::counters(self.conn)?,
        };
        for set in sets_of_person(self.conn, from)? {
            persons::join_set(&mut tx, tenant, into, &set, &Limits::NONE)?;
        }
        let all = FaceMove { from, to: into, ids: None, limit: u64::from(u32::MAX), at: WallClock.now() };
        persons::move_faces(&mut tx, tenant, all, &Limits::NONE)?;
        persons::delete(&mut tx, tenant, from)?;
        self.conn.execute("UPDATE store SET next_sequence = ?1", [tx.counters.next_sequence])?;
        Ok(())
    }
}

/// Most joined or renamed things that are listed.
const NOTES_MAX: usize = 100;

/// What an upgrade has joined and renamed, for people, as far as it is still there.
pub(super) fn notes(conn: &Connection) -> Answer<Vec<String>> {
    let sql = format!(
        "SELECT r.kind, r.other, r.suffix,
                coalesce(s.name, p.key, f.external_id), coalesce(s.id, p.id, f.id)
         FROM respelled AS r
         LEFT JOIN face_sets AS s ON s.id = r.row AND r.kind IN ('subject', 'face set') AND s.name IS NOT NULL
         LEFT JOIN persons AS p ON p.id = r.row AND r.kind = 'person' AND p.key IS NOT NULL
         LEFT JOIN faces AS f ON f.id = r.row AND r.kind = 'external id'
         WHERE coalesce(s.id, p.id, f.id) IS NOT NULL
           AND (r.suffix IS NULL OR coalesce(s.name, p.key, f.external_id) LIKE '%' || r.suffix)
         ORDER BY r.id LIMIT {}",
        NOTES_MAX + 1
    );
    let mut notes = rows::all(conn, &sql, (), |row| {
        let (kind, other): (String, i64) = (row.get(0)?, row.get(1)?);
        let suffix: Option<String> = row.get(2)?;
        let (name, id): (Option<String>, u64) = (row.get(3)?, row.get(4)?);
        Ok(note(&kind, other, suffix.as_deref(), &name.unwrap_or_default(), id))
    })?;
    if notes.len() > NOTES_MAX {
        notes.truncate(NOTES_MAX);
        notes.push(format!("more names were joined or renamed; the first {NOTES_MAX} are listed"));
    }
    Ok(notes)
}

/// One line about what was joined or renamed.
pub(crate) fn note(kind: &str, other: i64, suffix: Option<&str>, name: &str, id: u64) -> String {
    let name = name.escape_debug();
    match (kind, suffix) {
        ("subject", _) => {
            format!("face set `{name}`: {other} subjects had several spellings and were joined (Unicode NFC)")
        }
        ("person", None) => {
            format!("person `{name}`: another person with this key in another spelling was merged into it")
        }
        ("external id", Some(suffix)) => format!(
            "face {id}: its external id `{name}` got `{suffix}` at its end, since face {other} has the same in another spelling"
        ),
        (kind, suffix) => format!(
            "{kind} `{name}`: it got `{}` at the end of its name, since another {kind} has the same in another spelling; \
             rename, merge or delete one",
            suffix.unwrap_or_default()
        ),
    }
}

/// Names that people take for one another, a line for each group: those of face sets, keys and names of persons of one tenant,
/// and subjects of one face set.
pub(super) fn look_alikes(conn: &Connection) -> Answer<Vec<String>> {
    let mut notes = Vec::new();
    let tenants: Vec<(Vec<u8>, String)> =
        rows::all(conn, "SELECT id, name FROM tenants ORDER BY rank", (), |row| Ok((row.get(0)?, row.get(1)?)))?;
    for (tenant, tenant_name) in tenants {
        for (what, sql) in [
            ("face sets", "SELECT name FROM face_sets WHERE tenant = ?1 AND name IS NOT NULL"),
            ("persons", "SELECT key FROM persons WHERE tenant = ?1 AND key IS NOT NULL"),
            (
                "persons by name",
                "SELECT DISTINCT name FROM persons WHERE tenant = ?1 AND key IS NOT NULL AND name <> ''",
            ),
        ] {
            let place = format!("{what} of tenant `{tenant_name}`");
            note_look_alikes(conn, sql, &tenant, &place, &mut notes)?;
        }
    }
    let sets: Vec<(i64, String)> =
        rows::all(conn, "SELECT id, name FROM face_sets WHERE name IS NOT NULL ORDER BY sequence", (), |row| {
            Ok((row.get(0)?, row.get(1)?))
        })?;
    for (set, name) in sets {
        let sql = "SELECT DISTINCT subject FROM faces WHERE face_set = ?1 AND subject IS NOT NULL";
        note_look_alikes(conn, sql, &set, &format!("subjects of face set `{}`", name.escape_debug()), &mut notes)?;
    }
    Ok(notes)
}

fn note_look_alikes(conn: &Connection, sql: &str, of: &dyn ToSql, place: &str, notes: &mut Vec<String>) -> Answer<()> {
    if notes.len() >= NOTES_MAX {
        return Ok(());
    }
    let mut found = LookAlikes::default();
    let mut statement = conn.prepare_cached(sql)?;
    for is_second in [false, true] {
        let mut rows = statement.query([of])?;
        while let Some(row) = rows.next()? {
            // What is no text is damaged, and told elsewhere.
            let Ok(name) = row.get_ref(0)?.as_str() else { continue };
            if is_second { found.second(name) } else { found.first(name) }
        }
    }
    notes.extend(look_alike_notes(place, found));
    notes.truncate(NOTES_MAX);
    Ok(())
}

/// A line for each group.
pub(crate) fn look_alike_notes(place: &str, found: LookAlikes) -> impl Iterator<Item = String> {
    found.groups().into_iter().map(move |group| {
        // Letters beyond ASCII are shown with their numbers, too: that they look alike is the point.
        let shown = |name: &String| match name.is_ascii() {
            true => format!("`{}`", name.escape_debug()),
            false => format!("`{}` ({})", name.escape_debug(), letters(name)),
        };
        format!("{place} look alike and are different: {}", group.iter().map(shown).collect::<Vec<_>>().join(", "))
    })
}

/// The name with every letter beyond ASCII as its number.
fn letters(name: &str) -> String {
    let letter = |letter: char| match letter.is_ascii() {
        true => letter.to_string(),
        false => format!("<U+{:04X}>", u32::from(letter)),
    };
    name.chars().map(letter).collect()
}
